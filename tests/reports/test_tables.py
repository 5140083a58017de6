"""Table 2 from stored verdicts: every judge and recommender, trivial rules beside them, nothing a spreadsheet runs."""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path

import polars as pl
import pytest
from tests.worlds import small_dataset

from llmxrec.datasets.dataset import ReadReport
from llmxrec.ledger import Ledger
from llmxrec.records import Explanation, Verdict, Winner
from llmxrec.reports.tables import (
    POSITIONS,
    TABLE_2,
    positions_of,
    rules_of_table_2,
    side_by_side,
    table_2,
    winner,
    write_table,
)
from llmxrec.stages.data import store_dataset
from llmxrec.stages.recommending import write_recommendations
from llmxrec.workspace import Workspace


def verdict(judge: str, user: str, winner: Winner | None, *, turned: bool = False, order_free: bool = False) -> Verdict:
    """On x and y, in this order or the other."""
    shown = ("y", "x") if turned else ("x", "y")
    status = "ok" if winner else "invalid"
    return Verdict("bpr", judge, user, "heat", *shown, winner, None, status, "", order_free)


@pytest.fixture
def world(tmp_path: Path) -> Workspace:
    """Two people, two generators; x writes more to anna, y to bob. Two judges and what was released."""
    workspace = Workspace(tmp_path / "w")
    store_dataset(workspace, small_dataset(), ReadReport("here", {}))
    people = {"user_id": ["anna", "bob"], "item_id": ["heat", "heat"]}
    recommended = pl.DataFrame(people).with_columns(rank=pl.lit(1, pl.Int32), score=pl.lit(0.0))
    write_recommendations(workspace, "bpr", recommended)
    texts = {("x", "anna"): "one two three", ("y", "anna"): "one", ("x", "bob"): "one", ("y", "bob"): "one two"}
    for (generator, user), text in texts.items():
        with Ledger(workspace.explanations("bpr", generator)) as ledger:
            ledger.append(asdict(Explanation("bpr", generator, user, "heat", 1, text, "ok", "p", 1)))
    judged = {
        "released": [verdict("released", "anna", "second"), verdict("released", "bob", None)],
        "text": [verdict("text", user, "first", order_free=True) for user in ("anna", "bob")],
        "pairwise-tiny": [
            verdict("pairwise:tiny", user, winner, turned=turned)
            for user, turned, winner in [("anna", False, "first"), ("anna", True, "second"), ("bob", False, "second"),
                                         ("bob", True, "second")]
        ],
    }  # fmt: skip
    for judge, verdicts in judged.items():
        with Ledger(workspace.verdicts("bpr", judge)) as ledger:
            for one in verdicts:
                ledger.append(asdict(one))
    return workspace


def test_a_row_for_each_source_and_generator(world: Workspace) -> None:
    table = table_2({"small": world})
    assert dict(table.schema) == TABLE_2
    assert set(table["recommender"]) == {"bpr"} and set(table["dataset"]) == {"small"}
    assert table.select("source", "generator", "win_ratio", "ranking_order", "rows", "unreadable").rows() == [
        ("released verdicts", "x", 0.0, 2.0, 1, 1),
        ("released verdicts", "y", 1.0, 1.0, 1, 1),
        ("pairwise:tiny", "x", 0.75, 1.0, 2, 0),
        ("pairwise:tiny", "y", 0.25, 1.5, 2, 0),
        ("text", "x", 1.0, 1.0, 2, 0),
        ("text", "y", 0.0, 2.0, 2, 0),
    ]


def test_the_ranking_order_is_of_the_lists_that_were_ranked(world: Workspace) -> None:
    """Only to anna z was shown, too."""
    with Ledger(world.verdicts("bpr", "text")) as ledger:
        for shown in (("x", "z"), ("y", "z")):
            ledger.append({**asdict(verdict("text", "anna", "second", order_free=True)), "first": shown[0],
                           "second": shown[1]})  # fmt: skip
    table = table_2({"small": world}).filter(source="text")
    columns = ("generator", "win_ratio", "ranking_order", "rows", "ranked")
    assert table.select(*columns).rows() == [("x", 2 / 3, 2.0, 2, 1), ("y", 0.0, 3.0, 2, 1), ("z", 1.0, 1.0, 1, 1)]
    lines = side_by_side(table)
    assert lines[2].endswith("1 rows") and lines[4].endswith("2 rows, 1 ranked")


@pytest.mark.parametrize(
    ("ratios", "rows", "said"),
    [
        ((0.7, 0.3), 20, "x wins; by people's own comparisons"),
        ((0.7, 0.3), 19, "x wins most, but of 19 recommendations, fewer than 20; by people's own comparisons"),
        ((0.52, 0.48), 300, "x wins most, but not surely more than y; by people's own comparisons"),
        ((0.5, 0.5), 300, "none wins most; by people's own comparisons"),
    ],
)
def test_who_wins_wins_surely(world: Workspace, ratios: tuple[float, float], rows: int, said: str) -> None:
    """By intervals apart, of recommendations enough for an interval."""
    scores = pl.DataFrame(
        [
            {"generator": name, "win_ratio": ratio, "win_ratio_low": ratio - 0.1, "win_ratio_high": ratio + 0.1,
             "rows": rows}
            for name, ratio in zip("xy", ratios, strict=True)
        ]
    )  # fmt: skip
    assert winner(world, "bpr", "people", scores) == said


def test_rules_answer_what_was_released(world: Workspace) -> None:
    table = rules_of_table_2({"small": world})
    assert dict(table.schema) == TABLE_2
    by_source = {source: part["win_ratio"].to_list() for (source,), part in table.group_by("source")}
    del by_source["a coin"]
    assert by_source == {"always the second": [0.0, 1.0], "the longer text": [0.5, 0.5]}


def test_a_coin_is_fair_and_falls_alike_each_time(world: Workspace) -> None:
    """It is asked what was released: of 400 more people, who all have the second win."""
    with Ledger(world.verdicts("bpr", "released")) as ledger:
        for number in range(400):
            ledger.append(asdict(verdict("released", f"u{number}", "second")))
    table = rules_of_table_2({"small": world}).filter(source="a coin")
    x, y = table["win_ratio"]
    assert 0.4 < x < 0.6 and x + y == pytest.approx(1.0), "four standard deviations and more"
    assert table["rows"].to_list() == [402, 402]
    assert table.equals(rules_of_table_2({"small": world}).filter(source="a coin"))
    other = rules_of_table_2({"small": world}, seed=2).filter(source="a coin")
    assert other["win_ratio"][0] != x, "another seed is another coin"


def test_places_in_a_table_and_in_words(world: Workspace) -> None:
    table, lines = positions_of({"small": world})
    assert dict(table.schema) == POSITIONS
    assert table.select("source", "first", "second", "second_wins", "rows").rows() == [
        ("released verdicts", None, None, 1.0, 1),
        ("released verdicts", "x", "y", 1.0, 1),
        ("pairwise:tiny", None, None, 0.75, 4),
        ("pairwise:tiny", "x", "y", 0.5, 2),
        ("pairwise:tiny", "y", "x", 1.0, 2),
    ]
    assert lines[0].startswith("bpr on small, released verdicts: the text shown second wins 100.0% [")
    assert lines[0].endswith("of 1; no pair was shown in both orders")
    assert "of 4; 50.0% [" in lines[1] and lines[1].endswith("of 2 pairs agree in both orders")


def test_side_by_side(world: Workspace) -> None:
    lines = side_by_side(pl.concat([table_2({"small": world}), rules_of_table_2({"small": world})]))
    assert lines[:2] == ["bpr on small", "  y"], "the winner of the first source comes first"
    assert lines[2] == "    released verdicts  WR 1.000 [1.000, 1.000]  RO 1.000 [1.000, 1.000]  1 rows, 1 unreadable"
    assert lines[3].startswith("    pairwise:tiny      WR 0.250 [0.000, 0.500]  RO 1.500 [1.000, 2.000]  2 rows")
    assert len(lines) == 1 + 2 * (1 + 6)


def test_nothing_readable_is_a_dash(world: Workspace) -> None:
    with Ledger(world.verdicts("bpr", "released")) as ledger:
        ledger.append(asdict(verdict("released", "anna", None)))
    table = table_2({"small": world})
    assert table["win_ratio"].to_list()[:2] == [None, None] and table["unreadable"].to_list()[:2] == [2, 2]
    assert "    released verdicts  WR –  RO –  0 rows, 2 unreadable" in side_by_side(table)


def test_no_verdicts_no_rows(tmp_path: Path) -> None:
    nothing = {"none": Workspace(tmp_path)}
    assert table_2(nothing).is_empty() and rules_of_table_2(nothing).is_empty()
    assert positions_of(nothing)[0].is_empty() and positions_of(nothing)[1] == []


def test_lengths_that_are_not_known_are_not_compared(world: Workspace) -> None:
    for generator in world.generators("bpr"):
        world.explanations("bpr", generator).unlink()
    assert set(rules_of_table_2({"small": world})["source"]) == {"always the second", "a coin"}


def test_written_for_spreadsheets(world: Workspace, tmp_path: Path) -> None:
    hostile = replace(verdict("=1+1", "anna", "first"), first="@x", second="-y")
    with Ledger(world.verdicts("theirs", "theirs")) as ledger:
        ledger.append(asdict(hostile))
    write_table(table_2({"+small": world}), tmp_path / "tables/table2.csv")
    written = pl.read_csv(tmp_path / "tables/table2.csv")
    assert written.columns == list(TABLE_2)
    assert "'=1+1" in set(written["source"]) and set(written["dataset"]) == {"'+small"}
    assert set(written["generator"]) == {"'@x", "'-y", "x", "y"}
    assert written.schema["win_ratio"] == pl.Float64 and written.height == 8
