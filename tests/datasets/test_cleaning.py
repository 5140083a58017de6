"""What every reader does last."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.datasets.promises import keeps_promises

from llmxrec.datasets.cleaning import assemble, first_of_pairs
from llmxrec.datasets.dataset import INTERACTION_COLUMNS
from llmxrec.datasets.domains import load_domain
from llmxrec.errors import InputError

ITEMS = load_domain("items")

pairs = st.tuples(
    st.sampled_from("ab"),
    st.sampled_from("xyz"),
    st.none() | st.integers(0, 3),
    st.none() | st.sampled_from([1.0, 2.0]),
)


def frame(rows: list[tuple[str, str, int | None, float | None]]) -> pl.DataFrame:
    return pl.DataFrame(rows, schema=INTERACTION_COLUMNS, orient="row")


@given(st.lists(pairs, max_size=30))
def test_the_first_of_each_pair_stays_and_the_rest_is_counted(
    rows: list[tuple[str, str, int | None, float | None]],
) -> None:
    first: dict[tuple[str, str], int] = {}
    for place, (user, item, time, _) in enumerate(rows):
        held = first.get((user, item))
        if held is None or _when(time) < _when(rows[held][2]):
            first[user, item] = place
    kept, exact, later = first_of_pairs(frame(rows))
    assert kept.rows() == [rows[place] for place in sorted(first.values())]
    assert exact == len(rows) - len(set(rows))
    assert exact + later + len(kept) == len(rows)


def _when(time: int | None) -> float:
    return float("-inf") if time is None else time


def test_text_is_on_one_line_and_empty_text_is_none() -> None:
    items = pl.DataFrame(
        {
            "item_id": ["1", "2", "3", "", None],
            "title": [" A\r\n title\x85\u2028of \u3000two\x00lines ", " \t", None, "x", "y"],
            "note": ["", " ", "a\nb", "c", "d"],
            "tags": [["a", " a ", "", None, "b\nc"], None, [], [], []],
        }
    )
    dataset, report = assemble(Path("f"), ITEMS, frame([("u", "1", None, None)]), items, read={})
    assert keeps_promises(dataset)
    assert dataset.items.rows() == [
        ("1", "A title of two lines", None, ["a", "b c"]),
        ("2", "2", None, []),
        ("3", "3", "a b", []),
    ]
    assert report.dropped["items without an id"] == 2
    assert report.notes["items without a title, named by their id"] == 2


def test_users_keep_the_order_of_their_table_then_that_of_their_interactions() -> None:
    items = pl.DataFrame({"item_id": ["1"], "title": ["t"]})
    users = pl.DataFrame({"user_id": ["b", "", "b", "a"], "age": ["1", "2", "3", "4"]})
    rows = frame([("d", "1", 2, None), ("a", "1", 1, None), ("c", "1", None, None)])
    dataset, report = assemble(Path("f"), ITEMS, rows, items, users, read={"rows": 3}, notes={"mine": 1})
    assert keeps_promises(dataset)
    assert dataset.interactions.rows() == rows.rows()
    assert dataset.users.rows() == [("b", "1"), ("a", "4"), ("d", None), ("c", None)]
    assert report.dropped["users without an id"] == report.dropped["repeats of a user"] == 1
    assert report.lines() == [
        "read 3 rows",
        "dropped 1 users without an id",
        "dropped 1 repeats of a user",
        "note: 1 mine",
        "note: 2 users who interacted and are not described",
    ]


def test_nothing_left_is_an_error_that_says_where_it_all_went() -> None:
    items = pl.DataFrame({"item_id": ["1"], "title": ["t"]})
    with pytest.raises(InputError, match=r"f: no interaction is left; found .*dropped 1 interactions with items"):
        assemble(Path("f"), ITEMS, frame([("u", "2", 1, None)]), items, read={"rows": 1})
