"""What somebody's own recommender recommended."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmxrec.datasets.dataset import INTERACTION_COLUMNS, Dataset
from llmxrec.datasets.domains import load_domain
from llmxrec.datasets.tables import read_recommendations
from llmxrec.errors import InputError

DATASET = Dataset(
    pl.DataFrame(
        {"user_id": ["ann"], "item_id": ["p1"], "timestamp": [1], "rating": [None]}, schema=INTERACTION_COLUMNS
    ),
    pl.DataFrame({"item_id": ["p1", "p2", "p3"], "title": ["Pen", "Ink", "Nib"]}),
    pl.DataFrame({"user_id": ["ann", "bob"]}),
    load_domain("items"),
)


def read(folder: Path, text: str, **columns: str) -> tuple[list[tuple[object, ...]], dict[str, int]]:
    (folder / "recs.csv").write_text(text)
    table, report = read_recommendations(folder / "recs.csv", DATASET, columns)
    assert dict(table.schema) == {"user_id": pl.String, "item_id": pl.String, "rank": pl.Int32, "score": pl.Float64}
    counts = {**report.read, **report.dropped, **report.notes}
    return table.rows(), {what: count for what, count in counts.items() if count}


def test_ranked_by_rank(tmp_path: Path) -> None:
    rows, _ = read(tmp_path, "user,item,rank,score\nbob,p1,7,0.5\nann,p2,1,0.1\nbob,p3,0,0.4\nann,p1,0,0.9\n")
    assert rows == [("bob", "p3", 1, 0.4), ("bob", "p1", 2, 0.5), ("ann", "p1", 1, 0.9), ("ann", "p2", 2, 0.1)]


def test_what_a_user_already_has_is_counted_and_kept(tmp_path: Path) -> None:
    rows, counts = read(tmp_path, "user,item,score\nann,p1,3\nann,p1,2\nann,p2,1\nbob,p1,1\n")
    assert len(rows) == 3
    assert counts["recommendations of items that the user already has"] == 1


def test_ranked_by_score_and_equal_scores_by_place(tmp_path: Path) -> None:
    rows, counts = read(tmp_path, "user,item,score\nann,p2,1\nann,p3,2.5\nann,p1,1\nbob,p1,\nbob,p2,-3\n")
    assert [row[:3] for row in rows] == [
        ("ann", "p3", 1),
        ("ann", "p2", 2),
        ("ann", "p1", 3),
        ("bob", "p2", 1),  # nobody knows how good the other is
        ("bob", "p1", 2),
    ]
    assert counts == {
        "recommendations": 5,
        "recommendations without a score, given 0": 1,
        "recommendations of items that the user already has": 1,
    }


def test_ranked_by_place(tmp_path: Path) -> None:
    rows, counts = read(tmp_path, "user,item\nann,p2\nbob,p1\nann,p1\n")
    assert rows == [("ann", "p2", 1, 0.0), ("ann", "p1", 2, 0.0), ("bob", "p1", 1, 0.0)]
    assert counts["recommendations without a score, given 0"] == 3


def test_what_the_dataset_does_not_hold_and_repeats_are_counted(tmp_path: Path) -> None:
    text = "user,item,rank\nzoe,p1,1\nann,p9,1\nann,p2,3\nann,p2,2\n,p1,1\nann,p3,4\n"
    rows, counts = read(tmp_path, text)
    assert [row[:3] for row in rows] == [("ann", "p2", 1), ("ann", "p3", 2)]
    assert counts == {
        "recommendations": 6,
        "recommendations for users that the dataset does not hold": 2,
        "recommendations of items that the dataset does not hold": 1,
        "repeats of a recommendation": 1,
        "recommendations without a score, given 0": 2,
    }


def test_columns_by_name(tmp_path: Path) -> None:
    rows, _ = read(tmp_path, "who,what,r\nann,p2,2\nann,p1,1\n", user_id="who", item_id="what", rank="r", title="x")
    assert rows == [("ann", "p1", 1, 0.0), ("ann", "p2", 2, 0.0)]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("user,item\n", "recs.csv: a recommendation names a user and an item of the dataset; found 'no rows'"),
        ("user,item\nann,P1\n", "a recommendation names a user and an item of the dataset; found 'ann, P1'; check"),
        ("user,item,rank\nann,p1,1\nann,p2,first\n", "recs.csv, line 3: 'rank' is a number; found 'first'"),
        ("user,item,score\nann,p1,nan\n", "recs.csv, line 2: 'score' is a number; found 'nan'"),
        ("user,rank\nann,1\n", "recs.csv: a column holds the item_id; found 'user, rank'"),
        ("user,item\nann\n", "recs.csv, line 2: every line has 2 fields; found 1"),
    ],
)
def test_a_broken_file_is_named_with_its_line(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(InputError) as caught:
        read(tmp_path, text)
    assert message in str(caught.value)


def test_a_mapped_column_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="'score=points' names a column that is there"):
        read(tmp_path, "user,item\nann,p1\n", score="points")


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["ann", "bob", "zoe"]), st.sampled_from(["p1", "p2", "p3", "p9"]), st.integers(-9, 9)
        ),
        min_size=1,
    )
)
def test_ranks_run_from_one_without_gaps(
    tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[str, str, int]]
) -> None:
    text = "user,item,score\n" + "".join(f"{user},{item},{score}\n" for user, item, score in rows)
    best = {(user, item): score for user, item, score in sorted(rows, key=lambda row: row[2]) if user != "zoe"}
    best = {pair: score for pair, score in best.items() if pair[1] != "p9"}
    try:
        found, _ = read(tmp_path_factory.mktemp("recs"), text)
    except InputError:
        assert not best
        return
    assert {(user, item): score for user, item, _, score in found} == best
    for name in {row[0] for row in found}:
        mine = [row for row in found if row[0] == name]
        assert [row[2] for row in mine] == list(range(1, len(mine) + 1))
        assert [row[3] for row in mine] == sorted((row[3] for row in mine), reverse=True)
