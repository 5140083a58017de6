"""Verdicts that the place decides, and labels that prefer a side."""

from __future__ import annotations

import random

import polars as pl
import pytest
from tests.evaluation.audit.worlds import answers, by_check, serious, verdicts
from tests.worlds import MOVIES

from llmxrec.evaluation.audit import audit
from llmxrec.evaluation.audit.findings import Finding
from llmxrec.evaluation.audit.material import Material
from llmxrec.evaluation.audit.verdicts import no_text_rule, win_ratios, with_generators, with_places
from llmxrec.evaluation.material import Part
from llmxrec.records import Case, Pair, Winner

ROWS = [(f"u{n}", "i") for n in range(100)]
NAMES = ("a", "b", "c")


def fair(first: str, second: str, draw: random.Random) -> Winner:
    """Prefers the later in the alphabet, wherever it stands, in four of five."""
    return "first" if (first > second) == (draw.random() < 0.8) else "second"


def always_second(first: str, second: str, draw: random.Random) -> Winner:
    return "second"


def found_in(table: pl.DataFrame) -> list[Finding]:
    return audit(Material([Part("w", MOVIES, [], {}, verdicts={("r", "j"): table})]))


def test_a_fair_judge_asked_in_both_orders_is_left_in_peace() -> None:
    assert found_in(verdicts(ROWS, NAMES, fair, both=True)) == []


def test_a_judge_that_always_answers_the_second() -> None:
    found = by_check(found_in(verdicts(ROWS, NAMES, always_second, both=False)))
    assert {check: finding.severity for check, finding in found.items()} == {
        "place": "critical", "one side": "critical", "always second": "critical"
    }  # fmt: skip
    assert (
        "300 of 300 (100.0 %)" in found["place"].figure and "no pair was shown in both orders" in found["place"].figure
    )
    assert "a first in 200 of 200" in found["one side"].figure and "c second in 200" in found["one side"].figure
    assert "a 0.000 (0.000); b 0.500 (0.500); c 1.000 (1.000)" in found["always second"].figure
    both = by_check(found_in(verdicts(ROWS, NAMES, always_second, both=True)))
    assert set(both) == {"place"} and "3 pairs in both orders" in both["place"].figure


def test_a_better_generator_always_second_is_not_known_to_be_better() -> None:
    found = by_check(found_in(verdicts(ROWS, NAMES, fair, both=False)))
    assert found["place"].severity == "critical" and found["one side"].severity == "critical"


def test_a_few_verdicts_prove_nothing() -> None:
    assert serious(found_in(verdicts(ROWS[:3], ("a", "b"), always_second, both=False))) == []
    assert serious(found_in(verdicts(ROWS[:40], ("a", "b"), always_second, both=False))) != []


def test_unreadable_verdicts_are_counted() -> None:
    def mute(first: str, second: str, draw: random.Random) -> Winner | None:
        return None if draw.random() < 0.1 else fair(first, second, draw)

    found = by_check(found_in(verdicts(ROWS, NAMES, mute, both=True)))
    assert set(found) == {"unreadable"} and found["unreadable"].severity == "warning"
    assert 30 < found["unreadable"].count < 90 and found["unreadable"].rows == 600
    silent = verdicts(ROWS, NAMES, lambda first, second, draw: None, both=True)
    assert [finding.check for finding in found_in(silent)] == ["unreadable"]


def test_win_ratios_by_hand() -> None:
    table = verdicts(ROWS[:1], NAMES, always_second, both=False)
    assert win_ratios(table) == {"a": 0.0, "b": 0.5, "c": 1.0}


def pair(group: str, first: str, second: str, winner: Winner, names: bool = True) -> Pair:
    texts = (f"{first} says {group}", f"{second} says {group}")
    return Pair(Case(group + first + second, "asked", texts), winner, group, (first, second) if names else ("", ""))


def labelled(seed: int, *, swapped: bool, names: bool = True) -> list[Pair]:
    draw = random.Random(seed)
    out = []
    for group in range(100):
        for first, second in (("a", "b"), ("a", "c"), ("b", "c")):
            one, other = (second, first) if swapped and draw.random() < 0.5 else (first, second)
            out.append(pair(f"g{group}", one, other, fair(one, other, draw), names))
    return out


def test_labels_that_prefer_the_second() -> None:
    found = by_check(audit(Material(pairs=labelled(1, swapped=False))))
    assert found["label skew"].severity == "warning" and found["one side"].severity == "critical"
    always = [pair(f"g{n}", "a", "b", "second") for n in range(100)]
    assert by_check(audit(Material(pairs=always)))["label skew"].severity == "critical"
    assert found["no text"].count / found["no text"].rows == pytest.approx(0.8, abs=0.06)
    clean = audit(Material(pairs=labelled(1, swapped=True)))
    assert [finding.check for finding in clean] == ["no text"], "that one is better than another is no fault"
    assert clean[0].count / 300 == pytest.approx(0.8, abs=0.06)


def test_the_place_in_a_group_is_as_good_as_a_name_where_orders_are_fixed() -> None:
    fixed = by_check(audit(Material(pairs=labelled(1, swapped=False, names=False))))["no text"]
    assert fixed.count / 300 == pytest.approx(0.8, abs=0.06) and "stands first" in fixed.figure
    drawn = by_check(audit(Material(pairs=labelled(1, swapped=True, names=False))))["no text"]
    assert drawn.count / 300 < 0.65


def test_the_rule_without_text_learns_from_other_groups_only() -> None:
    pairs = [pair("g", "a", "b", "first"), pair("h", "a", "b", "second"), pair("h", "a", "b", "second")]
    assert no_text_rule(pairs) == (0, 3), "g is told second by h; h is told first by g"
    assert no_text_rule([pair("g", "a", "b", "tie"), pair("g", "a", "b", "first", names=False)]) == (0, 0)
    assert [one.generators for one in with_places(labelled(1, swapped=False, names=False)[:3])] == [
        ("2 times first", "1 times first"), ("2 times first", "0 times first"), ("1 times first", "0 times first")
    ]  # fmt: skip


def test_names_are_found_by_the_texts() -> None:
    part = Part("w", MOVIES, [], {}, answers=[answers([(("u", "i"), f"{name} says g")], name) for name in "ab"])
    found = with_generators(
        [pair("g", "a", "b", "first", names=False), pair("h", "a", "b", "first", names=False)], [part]
    )
    assert [one.generators for one in found] == [("a", "b"), ("", "")]
