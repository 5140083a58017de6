"""Which cells there are, what a rater's tasks are for, and what they are told: drawn the same way each time."""

from __future__ import annotations

import json
from collections import Counter

from hypothesis import given
from hypothesis import strategies as st
from tests.study.small import design, instruction

from llmxrec.study import assignment
from llmxrec.study.design import Mode, StudyDesign
from llmxrec.study.material import Gold

RATERS = st.text(st.characters(codec="ascii", categories=["L", "N"]), min_size=1, max_size=8)


@st.composite
def designs(draw: st.DrawFn) -> StudyDesign:
    return design(
        generators=tuple("ABCDE"[: draw(st.integers(2, 5))]),
        rows=draw(st.integers(1, 6)),
        mode=draw(st.sampled_from(["rate", "compare", "both"])),
        tasks_per_rater=draw(st.integers(1, 60)),
        attention_every=draw(st.integers(0, 30)),
        gold=draw(st.integers(0, 5)),
        seed=draw(st.integers(0, 1000)),
    )


def test_each_row_has_a_cell_for_each_generator_and_each_two() -> None:
    labels = {mode: _labels(mode) for mode in ("rate", "compare", "both")}
    assert labels["rate"] == [(row, name) for row in (0, 1) for name in ("A", "B", "C")]
    assert labels["compare"] == [(row, *two) for row in (0, 1) for two in (("A", "B"), ("A", "C"), ("B", "C"))]
    assert sorted(labels["both"]) == sorted(labels["rate"] + labels["compare"])


def _labels(mode: Mode) -> list[tuple[object, ...]]:
    drawn = assignment.cells(design(generators=("C", "A", "B"), mode=mode), 2)
    return sorted((cell.row, *json.loads(cell.label)) for cell in drawn)


@given(designs(), st.integers(1, 20))
def test_places_are_a_shuffle_that_the_seed_decides(of: StudyDesign, rows: int) -> None:
    drawn = assignment.cells(of, rows)
    assert sorted(cell.place for cell in drawn) == list(range(len(drawn)))
    assert drawn == assignment.cells(of, rows)


def test_places_do_not_follow_rows_or_generators() -> None:
    drawn = sorted(assignment.cells(design(generators=tuple("ABCDE")), 40), key=lambda cell: cell.place)
    first = Counter(cell.generators for cell in drawn[:100])
    assert max(first.values()) < 35 and len({cell.row for cell in drawn[:40]}) > 20


@given(designs(), RATERS)
def test_checks_and_gold_are_spread_over_a_raters_tasks(of: StudyDesign, rater: str) -> None:
    purposes = assignment.schedule(of, rater)
    counts = Counter(purposes)
    rated = of.tasks_per_rater + of.gold
    assert counts["cell"] == of.tasks_per_rater and counts["gold"] == of.gold
    assert counts["attention"] == (max(1, rated // of.attention_every) if of.attention_every else 0)
    # At least one attention check in each two stretches of so many tasks.
    if of.attention_every:
        at = [place for place, purpose in enumerate(purposes) if purpose == "attention"]
        gaps = [after - before for before, after in zip([-1, *at], [*at, len(purposes)], strict=True)]
        assert max(gaps) <= 4 * of.attention_every + 2


@given(designs(), RATERS, st.integers(0, 80))
def test_no_check_comes_after_the_last_cell(of: StudyDesign, rater: str, cells: int) -> None:
    purposes = assignment.schedule(of, rater)
    length = assignment.length(purposes, cells)
    assert purposes[:length].count("cell") == min(cells, of.tasks_per_rater)
    assert length == 0 or purposes[length - 1] == "cell"


def test_raters_have_their_checks_at_different_places() -> None:
    of = design(attention_every=10, gold=3, tasks_per_rater=40)
    assert len({assignment.schedule(of, f"rater {n}") for n in range(20)}) == 20


@given(st.dictionaries(st.sampled_from("ABCDE"), st.integers(0, 3)), st.integers(0, 50), RATERS)
def test_the_label_seen_least_comes_first(seen: dict[str, int], number: int, rater: str) -> None:
    ordered = assignment.by_need(tuple("ABCDE"), seen, 1, rater, number)
    counts = [seen.get(label, 0) for label in ordered]
    assert sorted(ordered) == list("ABCDE") and counts == sorted(counts)


def test_ties_between_labels_and_orders_of_texts_are_even() -> None:
    firsts = Counter(assignment.by_need("ABCD", {}, 1, f"rater {n}", 1)[0] for n in range(2000))
    assert all(420 < count < 580 for count in firsts.values())
    assert 920 < sum(assignment.turned(1, f"rater {n}", 1) for n in range(2000)) < 1080
    assert 920 < sum(assignment.turned(1, "Ann", n) for n in range(2000)) < 1080


@given(designs(), RATERS)
def test_each_gold_task_comes_once(of: StudyDesign, rater: str) -> None:
    gold = [Gold(instruction(n), (f"gold {n}",), {"reasonability": (1, 4)}) for n in range(of.gold + 2)]
    shown = [assignment.gold_task(of, gold, rater, turn + 1, turn)["check"] for turn in range(of.gold)]
    assert len({json.loads(str(check))["texts"][0] for check in shown}) == of.gold


@given(RATERS, st.integers(1, 50))
def test_a_gold_comparison_is_turned_with_its_answer(rater: str, number: int) -> None:
    of = design(mode="compare")
    given = assignment.gold_task(of, [Gold(instruction(0), ("good", "bad"), winner="first")], rater, number, 0)
    check = json.loads(str(given["check"]))
    assert check["texts"][0 if check["winner"] == "first" else 1] == "good"
    assert given["kind"] == "compare"
