"""`llmxrec validate-judge`, as a user gives it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tests.conftest import Call

from llmxrec.evaluation.judges.text import TextJudge
from llmxrec.records import Pair
from llmxrec.testing.judges import sample_pairs


def written(file: Path, pairs: list[Pair]) -> Path:
    rows = [
        {
            "instruction": pair.case.asked,
            "explanation_1": pair.case.texts[0],
            "explanation_2": pair.case.texts[1],
            "label": 1 if pair.winner == "first" else 2,
            "generator_1": pair.generators[0],
            "generator_2": pair.generators[1],
        }
        for pair in pairs
    ]
    file.write_text("\n".join(map(json.dumps, rows)))
    return file


@pytest.fixture
def train(tmp_path: Path) -> Path:
    return written(tmp_path / "train.jsonl", sample_pairs(60))


@pytest.fixture
def test_pairs(tmp_path: Path) -> Path:
    return written(tmp_path / "test.jsonl", sample_pairs(40, start=60))


def test_two_files(call: Call, train: Path, test_pairs: Path) -> None:
    ended = call("validate-judge", "--judge", "text", "--train", train, "--test", test_pairs, "--json")
    assert ended.code == 0
    found = json.loads(ended.out)
    assert (found["accuracy_forward"], found["accuracy_swapped"], found["accuracy_balanced"]) == (1, 1, 1)
    assert (found["consistency"], found["rows"], found["unreadable"], found["overlap"]) == (1, 40, 0, 0)
    assert found["labels"]["ranking"] == 1
    # Here one generator always wins: names tell everything, so no judge can show that it knows more.
    assert found["rules"]["names_only"] == 1
    assert found["valid"] is False and "names" in found["reasons"][0]


def test_for_people(call: Call, train: Path, test_pairs: Path) -> None:
    ended = call("validate-judge", "--train", train, "--test", test_pairs)
    assert ended.code == 0  # a finding, not an error
    assert "train: 60 pairs of 60 texts; 100% have a known author (60 said by the file)" in ended.out
    assert "labels: 20 labelled again, 0 of them otherwise" in ended.out
    assert "text: 40 pairs; 0 of 80 rulings unreadable" in ended.out
    assert "INVALID: it does not beat the generators' names" in ended.out


def test_without_test_pairs_it_is_cross_validated(call: Call, train: Path) -> None:
    nameless = [json.loads(line) | {"generator_1": "", "generator_2": ""} for line in train.read_text().splitlines()]
    train.write_text(json.dumps(nameless))
    ended = call("validate-judge", "--train", train, "--folds", 3)
    assert ended.code == 0
    assert "text: 60 pairs, cross-validated in 3 folds" in ended.out
    said, after = ended.out.splitlines()[-2:]
    assert said == "VALID, though names were not measured: no pair says who wrote its texts"
    assert after == "next: llmxrec judge WORKSPACE --judge text"


def test_a_saved_judge_needs_no_pairs_to_learn_from(call: Call, test_pairs: Path, tmp_path: Path) -> None:
    judge = TextJudge()
    judge.fit(sample_pairs(60))
    judge.save(tmp_path / "judge")
    ended = call("validate-judge", "--judge", f"text:{tmp_path / 'judge'}", "--test", test_pairs, "--json")
    found = json.loads(ended.out)
    assert (found["judge"], found["learns"]) == (f"text:{tmp_path / 'judge'}", False)
    assert found["accuracy_balanced"] == 1


@pytest.mark.parametrize(
    ("words", "rule"),
    [
        ((), "say on which pairs the judge is measured; give --train, --test, or both"),
        (("--train", "nowhere.json"), "nowhere.json: the file does not exist"),
        (("--judge", "texd", "--train", "{train}"), "unknown judge 'texd'; did you mean 'text'?"),
        (("--judge", "text:nowhere", "--train", "{train}"), "nowhere: the folder holds no trained judge 'text'"),
        (("--test", "{train}"), "a judge that learns needs pairs to learn from; give them with --train"),
        (("--train", "{train}", "--folds", "31"), "for 31 folds; found 30"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(call: Call, train: Path, words: tuple[str, ...], rule: str) -> None:
    ended = call("validate-judge", *(str(train) if word == "{train}" else word for word in words))
    assert ended.code == 2
    assert rule in ended.out and ended.out.startswith("error: ") and len(ended.out.splitlines()) == 1


def test_names_found_beside_the_one_file_serve_the_other(call: Call, real_release: Path, tmp_path: Path) -> None:
    file = real_release / "src/SFT/data/disc_data/train.json"
    rows = file.read_text(encoding="utf-8").splitlines()
    (tmp_path / "alone.json").write_text("\n".join(row for place, row in enumerate(rows) if place % 80 >= 64))
    ended = call("validate-judge", "--train", file, "--test", tmp_path / "alone.json", "--json")
    found = json.loads(ended.out)
    assert (found["rows"], found["overlap"]) == (288, 288)
    assert found["rules"]["names_only"] > 0.85
    assert set(found["leave_one_generator_out"]) == {"LLaMA", "ChatGLM", "GPT-3.5", "GPT-4", "all"}
    assert found["accuracy_balanced"] > 0.88 and found["consistency"] == 1
