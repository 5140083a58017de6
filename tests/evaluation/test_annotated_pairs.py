"""The pairs labelled for this project: the file holds what its account says, about people whom the demo has not."""

from __future__ import annotations

import json
import re
from collections import Counter, defaultdict
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from training.annotations.pairs import Asked, _anothers, _as_json, questions

from llmxrec.datasets.dataset import Dataset
from llmxrec.datasets.demo.simulation import simulate
from llmxrec.errors import InputError
from llmxrec.evaluation.figures import strata_of
from llmxrec.evaluation.pairs import ANNOTATED, labelled, read_named_pairs, read_pairs
from llmxrec.evaluation.rules import truth_of
from llmxrec.evidence.mentions import find_titles
from llmxrec.records import Item, Pair

FILE = labelled(Path(ANNOTATED))
ACCOUNT = FILE.with_name("README.md").read_text(encoding="utf-8")


@cache
def stored() -> list[dict[str, Any]]:
    return [json.loads(line) for line in FILE.read_text(encoding="utf-8").splitlines()]


@cache
def world() -> tuple[Dataset, list[Asked]]:
    """The simulated world with people enough, and what the script asks in it."""
    dataset, _ = simulate(users=400)
    return dataset, list(questions(dataset))


def said(pattern: str) -> tuple[str, ...]:
    """What the account says where `pattern` has groups."""
    found = re.search(pattern, " ".join(ACCOUNT.split()))
    assert found is not None, pattern
    return found.groups()


def test_the_word_stands_for_the_file_unless_there_is_one_of_that_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert FILE.is_file() and len(read_pairs(Path(ANNOTATED))) == 332
    assert labelled(Path("other.jsonl")) == Path("other.jsonl")
    (tmp_path / ANNOTATED).write_text('{"instruction": "?", "explanation_1": "a", "explanation_2": "b", "label": 1}')
    assert labelled(Path(ANNOTATED)) == Path(ANNOTATED) and len(read_pairs(Path(ANNOTATED))) == 1


def test_there_are_as_many_as_the_account_says() -> None:
    pairs = read_pairs(FILE)
    assert said(r"(\d+) pairs of explanations of (\d+) film recommendations") == (str(len(pairs)), str(len(stored())))
    assert {row["domain"] for row in stored()} == {"movies"}
    assert len({pair.group for pair in pairs}) == len(stored()), "a group for each recommendation"
    agreed, of, unsure, more = said(r"On (\d+) of (\d+) pairs .* the label is a tie, (\d+) times; (one) more")
    ties = sum(pair.winner == "tie" for pair in pairs)
    assert (int(of), int(agreed), ties) == (len(pairs), len(pairs) - int(unsure), int(unsure) + {"one": 1}[more])
    decided = [pair for pair in pairs if pair.winner != "tie"]
    (varying,) = said(r"(\d+) pairs are of two of which either wins at times")
    assert int(varying) == sum(map(bool, strata_of(decided, truth_of(decided))))


def test_each_writer_won_the_share_that_the_account_says() -> None:
    points: dict[str, float] = defaultdict(float)
    times: Counter[str] = Counter()
    for pair in read_pairs(FILE):
        times.update(pair.generators)
        first, second = pair.generators
        points[first] += {"first": 1, "tie": 0.5, "second": 0}[pair.winner]
        points[second] += {"first": 0, "tie": 0.5, "second": 1}[pair.winner]
    table = re.findall(r"^\| `([\w'-]+)` \|.*\| (\.\d+) of (\d+) \|$", ACCOUNT, re.MULTILINE)
    assert {name: (share, of) for name, share, of in table} == {
        name: (f"{points[name] / count:.3f}".removeprefix("0"), str(count)) for name, count in times.items()
    }
    assert len(table) == 8


def test_every_row_is_whole() -> None:
    for row in stored():
        assert list(row) == ["domain", "history", "candidate", "texts", "labels"]
        history = [item["item_id"] for item in row["history"]]
        assert row["candidate"]["item_id"] not in history and len({*history}) == len(history)
        assert len(row["texts"]) == 4 and all(map(str.strip, row["texts"].values()))
        assert all(first != second and {first, second} <= {*row["texts"]} for first, second, _ in row["labels"])
        # A ring: each of the four is compared with two others.
        assert Counter(name for *two, _ in row["labels"] for name in two) == dict.fromkeys(row["texts"], 2)


def test_questions_are_those_that_the_script_makes_about_people_whom_the_demo_has_not() -> None:
    dataset, asked = world()
    made = [
        {"history": [_as_json(item) for item in one.history], "candidate": _as_json(one.candidate)} for _, one in asked
    ]
    assert [{key: row[key] for key in ("history", "candidate")} for row in stored()] == made
    demo, _ = simulate()
    assert demo.users.height == 300 and not {user for user, _ in asked} & {*demo.users["user_id"]}
    films = {item.item_id: item for item in demo.item_records}
    for row in stored():
        for told in (*row["history"], row["candidate"]):
            assert told == _as_json(films[told["item_id"]])
    assert demo.items.equals(dataset.items)


def test_what_is_anothers_names_no_film_of_the_history_that_both_have_not() -> None:
    _, asked = world()
    seen = 0
    for row, (_, one) in zip(stored(), asked, strict=True):
        if text := row["texts"].get("another's"):
            theirs = _anothers(one, asked).history
            named = [mention.item for mention in find_titles(text, [*one.history, *theirs]) if mention.item]
            assert not [item.title for item in named if item in one.history and item not in theirs], text
            seen += any(item in theirs for item in named)
    assert seen >= 40, "it names films of the other's"


def test_a_pair_is_what_its_row_says() -> None:
    row, pairs = stored()[0], read_pairs(FILE)[: len(stored()[0]["labels"])]
    for (first, second, label), pair in zip(row["labels"], pairs, strict=True):
        assert pair.generators == (first, second)
        assert pair.case.texts == (row["texts"][first], row["texts"][second])
        assert pair.winner == {"1": "first", "2": "second", "tie": "tie"}[label]
        assert pair.case.instruction is not None and pair.case.domain is not None
        assert [item.title for item in pair.case.instruction.history] == [item["title"] for item in row["history"]]
        assert all(f'"{item["title"]}"' in pair.case.asked for item in (*row["history"], row["candidate"]))
    assert str(read_named_pairs(FILE)) == "332 pairs of 332 texts; 100% have a known author (332 said by the file)"


WHOLE: dict[str, Any] = {
    "domain": "games",
    "history": [{"title": "Tea", "attributes": {"tags": ["Indie"]}}],
    "candidate": {"item_id": "2", "title": "Coffee"},
    "texts": {"a": "One.", "b": "Two.", "c": "Three."},
    "labels": [["a", "b", 1], ["c", "a", "tie"]],
}


def read(folder: Path, row: dict[str, Any]) -> list[Pair]:
    file = folder / "pairs.jsonl"
    file.write_text(json.dumps(WHOLE) + "\n" + json.dumps(row) + "\n")
    return read_pairs(file)[2:]


def test_a_row_of_ones_own(tmp_path: Path) -> None:
    one, other = read(tmp_path, WHOLE)
    assert one.case.instruction is not None and one.case.instruction.candidate == Item("2", "Coffee")
    assert one.case.instruction.history == (Item("", "Tea", {"tags": ("Indie",)}),)
    assert (one.generators, one.case.texts, one.winner) == (("a", "b"), ("One.", "Two."), "first")
    assert (other.generators, other.case.texts, other.winner) == (("c", "a"), ("Three.", "One."), "tie")
    assert one.group == other.group and one.case.domain is not None and one.case.domain.name == "games"
    (again, _) = read(tmp_path, {**WHOLE, "candidate": {"title": "Cocoa"}})
    assert again.group != one.group
    assert read(tmp_path, {**WHOLE, "labels": []}) == []


@pytest.mark.parametrize(
    ("wrong", "rule"),
    [
        ({"labels": [["a", "d", 1]]}, "each label two of these: KeyError('d')"),
        ({"labels": [["a", "b"]]}, "each label two of these"),
        ({"labels": [["a", "b", 3]]}, "'label' is 1, 2 or tie; found 3"),
        ({"labels": 3}, "each label two of these"),
        ({"texts": {"a": 1, "b": "Two.", "c": "Three."}}, "text is wanted, not 1"),
        ({"history": [{"item_id": "1"}]}, "KeyError('title')"),
        ({"history": [{"title": 5}]}, "text is wanted, not 5"),
        ({"history": [{"title": "Tea", "attributes": {"tags": [1]}}]}, "text is wanted, not 1"),
        ({"history": None}, "a row with labels has a domain, a history, a candidate and texts"),
        ({"candidate": "Coffee"}, "a row with labels has a domain, a history, a candidate and texts"),
        ({"domain": "game"}, "did you mean 'games'?"),
        ({"domain": {"name": "games"}}, "a domain's 'field' is one line of words"),
    ],
)
def test_a_row_that_says_too_little_is_an_error_with_its_line(tmp_path: Path, wrong: dict[str, Any], rule: str) -> None:
    with pytest.raises(InputError) as error:
        read(tmp_path, {**WHOLE, **wrong})
    assert rule in str(error.value) and str(error.value).startswith(f"{tmp_path / 'pairs.jsonl'}, line 2: ")
