"""The leave-one-out split."""

from __future__ import annotations

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmxrec.datasets.dataset import INTERACTION_COLUMNS, Dataset
from llmxrec.datasets.domains import load_domain
from llmxrec.datasets.split import leave_one_out
from llmxrec.errors import InputError

Row = tuple[str, str, int | None, None]


def dataset(rows: list[Row]) -> Dataset:
    interactions = pl.DataFrame(rows, schema=INTERACTION_COLUMNS, orient="row")
    items = interactions.select(pl.col("item_id").unique(), title=pl.lit("t"))
    return Dataset(interactions, items, interactions.select(pl.col("user_id").unique()), load_domain("items"))


def test_a_world_to_check_by_hand() -> None:
    split = leave_one_out(
        dataset(
            [
                ("ann", "d", 40, None),
                ("bob", "x", 10, None),
                ("ann", "b", 20, None),
                ("ann", "c", 30, None),
                ("bob", "y", 5, None),
                ("cem", "p", 7, None),  # equal times: the place in the table decides
                ("cem", "q", 7, None),
                ("cem", "r", 7, None),
                ("dee", "m", 1, None),
                ("dee", "n", None, None),  # undated comes first
                ("dee", "o", None, None),
            ]
        )
    )
    assert [row[:2] for row in split.test.rows()] == [("ann", "d"), ("cem", "r"), ("dee", "m")]
    assert [row[:2] for row in split.validation.rows()] == [("ann", "c"), ("cem", "q"), ("dee", "o")]
    assert [row[:2] for row in split.train.rows()] == [
        ("bob", "x"),
        ("ann", "b"),
        ("bob", "y"),
        ("cem", "p"),
        ("dee", "n"),
    ]
    assert split.kept_out == 1


@given(
    st.lists(
        st.tuples(st.sampled_from("abc"), st.integers(0, 30).map(str), st.none() | st.integers(-3, 3), st.none()),
        unique_by=lambda row: row[:2],
    ),
    st.integers(3, 5),
)
def test_each_interaction_is_in_one_part_and_the_latest_are_held_out(rows: list[Row], min_items: int) -> None:
    split = leave_one_out(dataset(rows), min_items)
    places = {row: place for place, row in enumerate(rows)}
    parts = (split.train.rows(), split.validation.rows(), split.test.rows())
    assert sorted(places[row] for part in parts for row in part) == list(range(len(rows)))
    for part in parts:
        assert [places[row] for row in part] == sorted(places[row] for row in part)
    few = 0
    for user in {row[0] for row in rows}:
        mine = sorted(
            (row for row in rows if row[0] == user), key=lambda row: (row[2] is not None, row[2] or 0, places[row])
        )
        held = [[row for row in part if row[0] == user] for part in parts[1:]]
        if len(mine) < min_items:
            few += 1
            assert held == [[], []]
        else:
            assert held == [[mine[-2]], [mine[-1]]]
    assert split.kept_out == few


def test_a_person_needs_three_items() -> None:
    with pytest.raises(InputError, match=r"found 2; give min_items of 3 or more"):
        leave_one_out(dataset([("a", "x", 1, None)]), min_items=2)
