"""What labels say of themselves."""

from __future__ import annotations

from itertools import permutations
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmxrec.evaluation.ceiling import ceiling
from llmxrec.evaluation.pairs import read_pairs
from llmxrec.records import Case, Pair


def pair(better: str, worse: str, group: str = "g") -> Pair:
    return Pair(Case("k", "Why?", (better, worse)), "first", group)


def test_checked_by_hand() -> None:
    """Of group g, a > b > c > a goes round: one of three cannot be met. Of h, one label of three contradicts two."""
    labels = [pair("a", "b"), pair("b", "c"), pair("c", "a")]
    labels += [pair("a", "b", "h"), pair("a", "b", "h"), pair("b", "a", "h")]
    found = ceiling(labels)
    assert found is not None
    assert (found.rows, found.repeated, found.disagreeing, found.triples, found.cycles) == (6, 2, 1, 1, 1)
    assert found.ranking == 4 / 6
    assert found.noise == 0.5


def test_labels_that_agree_set_no_ceiling() -> None:
    found = ceiling([pair("a", "b"), pair("b", "c"), pair("a", "c")])
    assert found is not None
    assert (found.ranking, found.cycles, found.triples, found.noise) == (1, 0, 1, None)
    assert ceiling([]) is None
    assert ceiling([Pair(Case("k", "Why?", ("a", "b")), "tie", "g")]) is None


@given(st.lists(st.tuples(st.sampled_from("abcd"), st.sampled_from("abcd")), min_size=1, max_size=12))
def test_the_best_order_is_that_of_all_orders(wins: list[tuple[str, str]]) -> None:
    found = ceiling([pair(better, worse) for better, worse in wins])
    met = [sum(order.index(a) < order.index(b) for a, b in wins) for order in permutations("abcd")]
    assert found is not None
    assert found.ranking == pytest.approx(max(met) / len(wins))


def test_the_released_labels(real_release: Path) -> None:
    found = ceiling(read_pairs(real_release / "src/SFT/data/disc_data/train.json"))
    assert found is not None
    assert (found.repeated, found.disagreeing, found.triples, found.cycles) == (160, 30, 662, 2)
    assert found.ranking == pytest.approx(1408 / 1440)
    assert found.noise == pytest.approx(0.105, abs=0.001)
