"""Tuning rows that are asked again, and targets that others said."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from tests.evaluation.audit.test_verdicts import pair
from tests.evaluation.audit.worlds import by_check, question, simulated

from llmxrec.errors import InputError
from llmxrec.evaluation.audit import audit
from llmxrec.evaluation.audit.findings import Finding
from llmxrec.evaluation.audit.material import Material, Tuned
from llmxrec.evaluation.audit.tuning import read_tuned
from llmxrec.evaluation.material import Part
from llmxrec.prompts.template import load_template
from llmxrec.records import Instruction

CLEAN, OTHERS = simulated(7), simulated(8)


def words(instruction: Instruction) -> str:
    return "\n".join(message.content for message in load_template("default").render(instruction, CLEAN.domain))


def rows_of(part: Part, target: str = "a target {}", history: int = 20) -> list[Tuned]:
    asked = [one.instruction for one in part.questions["r"].values()]
    cut = [replace(one, history=one.history[-history:]) for one in asked]
    return [Tuned(words(one), target.format(place)) for place, one in enumerate(cut)]


def found_in(tuned: list[Tuned], part: Part = CLEAN) -> dict[str, Finding]:
    found = audit(Material([part], tuned))
    return {check: finding for check, finding in by_check(found).items() if finding.about.startswith("tuning")}


def test_other_peoples_rows_are_no_leak() -> None:
    assert found_in(rows_of(OTHERS)) == {}


def test_the_same_prompts_are_found_with_and_without_their_words() -> None:
    found = found_in(rows_of(CLEAN))
    assert set(found) == {"tuned on"} and found["tuned on"].severity == "critical" and found["tuned on"].count == 200
    assert found["tuned on"].figure.endswith(", 0 word for word")
    stored = {row: replace(asked, words=words(asked.instruction)) for row, asked in CLEAN.questions["r"].items()}
    assert found_in(rows_of(CLEAN), replace(CLEAN, questions={"r": stored}))["tuned on"].figure.endswith(
        ", 200 word for word"
    )


def test_the_same_prompts_with_a_shorter_history_are_found() -> None:
    assert found_in(rows_of(CLEAN, history=8))["tuned on"].count >= 195


def test_a_few_leaked_rows_are_found_by_number() -> None:
    found = found_in([*rows_of(OTHERS), *rows_of(CLEAN)[:3]])["tuned on"]
    assert found.severity == "note" and found.count == 3 and found.examples[0][0].startswith("tuning row 201 / u001")


def test_the_same_people_with_another_candidate() -> None:
    asked = [one.instruction for one in CLEAN.questions["r"].values()]
    others = [next(item for item in CLEAN.items if item not in (*one.history, one.candidate)) for one in asked]
    found = found_in([Tuned(words(replace(one, candidate=o)), "t") for one, o in zip(asked, others, strict=True)])
    assert set(found) == {"tuned users"} and found["tuned users"].severity == "warning"
    assert found["tuned users"].count == 200


def test_targets_that_a_compared_generator_said() -> None:
    said = [row.text for row in CLEAN.answers[0].rows]
    tuned = [Tuned(f"asked {place}", f"  {text}\n") for place, text in enumerate(said[:100])]
    found = found_in(tuned)
    assert set(found) == {"imitated"} and found["imitated"].severity == "critical" and found["imitated"].count == 100
    assert "answers of g" in found["imitated"].figure and "imitates g" in found["imitated"].consequence


def test_targets_that_a_judge_is_taught_to_prefer() -> None:
    pairs = [pair(f"g{n}", "a", "b", "second" if n else "first") for n in range(50)]
    tuned = [Tuned("asked", f"b says g{n}") for n in range(50)]
    found = by_check(audit(Material([], tuned, pairs)))["taught"]
    assert found.severity == "critical" and found.count == 50
    assert "win 49 of 50 (98.0 %) of these pairs, and stand second in 50" in found.figure


def test_rows_of_three_kinds(tmp_path: Path) -> None:
    rows = [
        {"instruction": "a", "input": "b", "output": "c"},
        {"instruction": "a", "input": {}, "output": "c"},
        {"prompt": "a", "completion": "c"},
        {"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "c"}]},
    ]
    file = tmp_path / "rows.jsonl"
    file.write_text("\n".join(map(json.dumps, rows)) + "\n\n")
    want = [Tuned("a\nb", "c"), Tuned("a", "c"), Tuned("a", "c"), Tuned("a", "c")]
    assert read_tuned(file) == want
    file.write_text(json.dumps(rows))
    assert read_tuned(file) == want


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ('{"instruction": "a"}', "line 1: a tuning row has instruction and output"),
        ('{"prompt": "a", "completion": "b"}\nhello', "line 2: each tuning row is a line of JSON"),
        ("[1, 2", "a list of tuning rows is JSON"),
        ('{"messages": [{"content": "a"}, 7]}', "line 1: a tuning row"),
        ("\xff", "UTF-8"),
    ],
)
def test_files_that_hold_no_rows(tmp_path: Path, content: str, said: str) -> None:
    file = tmp_path / "rows.jsonl"
    file.write_bytes(content.encode("latin-1"))
    with pytest.raises(InputError, match=said):
        read_tuned(file)
    with pytest.raises(InputError, match="tuning rows are a file"):
        read_tuned(tmp_path / "none")


def test_a_few_titles_in_common_are_no_person() -> None:
    assert found_in(rows_of(CLEAN, history=4)) == {}
    short = {
        row: replace(asked, instruction=replace(asked.instruction, history=asked.instruction.history[-4:]))
        for row, asked in CLEAN.questions["r"].items()
    }
    found = found_in(rows_of(CLEAN, history=4), replace(CLEAN, questions={"r": short}))
    assert found["tuned on"].count == 200, "but for those that are as short themselves"


def test_nobody_is_found_by_an_empty_history() -> None:
    candidate = CLEAN.items[0]
    part = Part("w", CLEAN.domain, CLEAN.items, {"r": {("u", candidate.item_id): question(candidate)}})
    assert found_in(rows_of(CLEAN), part) == {}
