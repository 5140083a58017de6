"""A text is faithful if the recommendation falls without what it cites, and the recommender says so itself."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from tests.evidence.test_causes import Asked, rows_of

from llmxrec.evaluation.faithfulness import CITATIONS, CITED, EVIDENCE, RANDOM, RECENT, faithfulness, flips
from llmxrec.evidence.causes import measure
from llmxrec.testing.recommenders import histories

N = 12
"""Everybody had items 0 to 9. Item 0 alone speaks for 10, which is first; all others speak a little for 11."""
WEIGHTS = np.zeros((N, N))
WEIGHTS[0, 10] = 5
WEIGHTS[1:10, 11] = 0.5
KNOWN = histories([list(range(10)) for _ in range(40)], n_items=N)
ROWS = rows_of(*((f"u{user}", "i10", 1) for user in range(40)))
TRUE = measure(Asked(WEIGHTS), KNOWN, KNOWN, ROWS)


def citing(*items: str) -> pl.DataFrame:
    return ROWS.select("user_id", "item_id", cited=pl.Series([list(items)] * ROWS.height, dtype=CITATIONS["cited"]))


def test_a_text_that_cites_the_cause() -> None:
    """10 has 5 and 11 has 4.5. Without item 0 it is 0 against 4.5; a random item is item 0 in one draw of ten."""
    found = faithfulness(Asked(WEIGHTS), KNOWN, KNOWN, TRUE, citing("i0"), k=1)
    assert found.citing.value == 1 and found.items.value == 1 and found.coverage.value == 1
    cited, chance = found.of(CITED), found.of(RANDOM)
    assert (cited.flip.value, cited.pos.value, cited.neg.value, cited.drop.value) == (1, 0, 1, 1)
    assert found.of(EVIDENCE).flip.value == 1 and found.of(RECENT).flip.value == 0
    assert chance.flip.value == pytest.approx(0.1, abs=0.07)
    assert chance.flip.low <= chance.flip.value <= chance.flip.high
    assert cited.flip.rows == 40


def test_a_text_that_cites_something_else() -> None:
    found = faithfulness(Asked(WEIGHTS), KNOWN, KNOWN, TRUE, citing("i9", "i3", "i9", "i11", "no item"), k=1)
    assert found.items.value == 2, "each once, and only what was had"
    assert found.coverage.value == 0 and found.of(CITED).flip.value == 0
    assert found.of(CITED).neg.value == 0, "with these two alone, 11 is first"
    assert found.of(EVIDENCE).flip.value == 1


def test_texts_that_cite_nothing_are_counted_and_not_measured() -> None:
    nothing = citing().with_columns(cited=pl.Series([["i0"]] * 10 + [[]] * 30, dtype=pl.List(pl.String)))
    found = faithfulness(Asked(WEIGHTS), KNOWN, KNOWN, TRUE, nothing)
    assert found.citing.value == 0.25 and found.citing.rows == 40
    assert found.coverage.value == 0.25 and found.of(CITED).flip.rows == 10
    none = faithfulness(Asked(WEIGHTS), KNOWN, KNOWN, TRUE, citing())
    assert none.citing.value == 0 and np.isnan(none.of(CITED).flip.value)


def test_what_could_not_be_read_or_was_not_traced_is_counted_apart() -> None:
    unread = citing("i0").with_columns(cited=pl.Series([None] * 3 + [["i0"]] * 37, dtype=pl.List(pl.String)))
    found = faithfulness(Asked(WEIGHTS), KNOWN, KNOWN, TRUE.tail(35), unread, k=1)
    assert found.unread == 5 and found.citing.rows == found.of(CITED).flip.rows == 35
    assert found.citing.value == 1 and found.of(CITED).flip.value == 1
    assert faithfulness(Asked(WEIGHTS), KNOWN, KNOWN, TRUE, citing()).unread == 0, "to cite nothing is to be read"
    assert flips(Asked(WEIGHTS), KNOWN, KNOWN, TRUE, unread).height == 37


def test_flips_row_by_row() -> None:
    table = flips(Asked(WEIGHTS), KNOWN, KNOWN, TRUE, citing("i0"))
    assert table["flip"].to_list() == [1.0] * 40 and table["item_id"].unique().to_list() == ["i10"]
    assert flips(Asked(WEIGHTS), KNOWN, KNOWN, TRUE, citing("i1"))["flip"].sum() == 0
