"""Faults in what is recommended and in what was asked."""

from __future__ import annotations

from dataclasses import replace

from tests.evaluation.audit.worlds import answers, by_check, question, simulated
from tests.worlds import BAMBI, FARGO, HEAT, MOVIES

from llmxrec.evaluation.audit import audit
from llmxrec.evaluation.audit.findings import Finding
from llmxrec.evaluation.audit.material import Material
from llmxrec.evaluation.material import Part
from llmxrec.records import Item

CLEAN = simulated(7)


def found_in(part: Part) -> dict[str, Finding]:
    return by_check(audit(Material([part])))


def test_candidates_in_the_displayed_history() -> None:
    assert "seen" not in found_in(CLEAN)
    questions = dict(CLEAN.questions["r"])
    for row in list(questions)[::3]:
        asked = questions[row].instruction
        questions[row] = replace(questions[row], instruction=replace(asked, history=(*asked.history, asked.candidate)))
    found = found_in(replace(CLEAN, questions={"r": questions}))["seen"]
    assert found.severity == "critical" and found.count == 67 and "67 of 200" in found.figure
    known = {row: replace(asked, known=place < 50) for place, (row, asked) in enumerate(CLEAN.questions["r"].items())}
    found = found_in(replace(CLEAN, questions={"r": known}))["seen"]
    assert found.severity == "warning" and "0 of 200" in found.figure and "50 more" in found.figure


def test_a_remake_is_another_film() -> None:
    remake = Item("", "Heat", {"genres": ("Drama",)})
    for shown, there in (((remake, FARGO), False), ((replace(HEAT, item_id=""), FARGO), True)):
        part = Part("w", MOVIES, [HEAT, FARGO], {"r": {("u", "heat"): question(HEAT, shown)}})
        assert ("seen" in found_in(part)) == there


def test_collapse_is_told_from_popularity() -> None:
    row = {f"u{n}": "heat" if n < 999 else "fargo" for n in range(1000)}
    part = Part("w", MOVIES, [HEAT, FARGO], {}, {"r": dict.fromkeys(row.items(), 1)})
    found = found_in(part)["collapse"]
    assert found.severity == "critical" and found.count == 999
    assert "2 different items to 1,000 users; the commonest to 999 of 1,000" in found.figure
    assert found.examples[0][1] == "Heat"
    trivial = replace(part, recommended={"popularity": dict.fromkeys(row.items(), 1)})
    assert found_in(trivial)["collapse"].severity == "note"
    few = replace(part, recommended={"r": {("a", "heat"): 1, ("b", "heat"): 1}})
    assert found_in(few)["collapse"].severity == "warning", "two users cannot be critical"
    second = {("a", "heat"): 1, ("a", "fargo"): 2, ("b", "bambi"): 1, ("b", "fargo"): 2}
    assert "2 different items to 2 users" in found_in(replace(part, recommended={"r": second}))["collapse"].figure


def test_generators_asked_differently() -> None:
    one = CLEAN.answers[0]
    other = replace(one, generator="h", rows=[replace(row, prompt=f"other/{row.prompt}") for row in one.rows])
    third = replace(one, generator="i")
    found = found_in(replace(CLEAN, answers=[one, other, third]))["asked otherwise"]
    assert found.severity == "critical" and found.count == 200 and "h (200)" in found.figure
    assert "asked otherwise" not in found_in(replace(CLEAN, answers=[one, third]))
    meant = replace(CLEAN, answers=[replace(one, asked="20 items"), replace(other, asked="5 items")])
    found = found_in(meant)["asked otherwise"]
    assert found.severity == "note" and found.count == 200 and "as they were meant to be" in found.title
    alike = replace(third, rows=other.rows, asked="20 items")
    found = found_in(replace(meant, answers=[*meant.answers, alike]))["asked otherwise"]
    assert found.severity == "critical", "two were to be asked alike"
    unknown = replace(one, generator="h", rows=[replace(row, prompt="") for row in one.rows])
    assert "asked otherwise" not in found_in(replace(CLEAN, answers=[one, unknown]))


def test_explanations_of_what_is_not_recommended() -> None:
    told = answers([(("u", "heat"), "Heat is for you."), (("v", "bambi"), "Bambi is for you.")] * 50)
    table = {"r": {("u", "heat"): 1, ("v", "fargo"): 1}, "s": {("v", "bambi"): 1}}
    found = found_in(Part("w", MOVIES, [HEAT, FARGO, BAMBI], {}, table, [told]))["stray"]
    assert found.count == 50 and found.severity == "warning" and "50 are what s recommends to that user" in found.figure
    assert "stray" not in found_in(CLEAN)
