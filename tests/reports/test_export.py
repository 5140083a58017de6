"""Exports: the same rows in every format, and nothing in them that a spreadsheet runs."""

from __future__ import annotations

import csv
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.worlds import small_dataset

from llmxrec.errors import InputError
from llmxrec.explain import SCHEMA
from llmxrec.reports.export import defuse, export

HOSTILE = ["=1+1", "+cmd|' /C calc'!A0", "-2+3", "@SUM(A1)", "\t=1", " \n=1", "＝1", "\x00=1", "\r@x"]


def explanations(texts: list[str]) -> pl.DataFrame:
    row = {
        "recommender": "bpr",
        "generator": "x",
        "item_id": "heat",
        "rank": 1,
        "status": "ok",
        "prompt": "p",
        "history": 1,
        "dropped": 0,
    }
    return pl.DataFrame([{**row, "user_id": f"u{n}", "text": text} for n, text in enumerate(texts)], schema=SCHEMA)


def test_what_a_recommendation_rests_on_is_told_by_title(tmp_path: Path) -> None:
    table = explanations(["Because.", "So."])
    known = table.with_columns(pl.Series("causes", [["fargo", "heat"], None], dtype=pl.List(pl.String)))
    export(known, small_dataset(), tmp_path / "a.csv")
    titles = dict(small_dataset().items.select("item_id", "title").iter_rows())
    told = pl.read_csv(tmp_path / "a.csv")["rests_on"].to_list()
    assert told == [f"{titles['fargo']}; {titles['heat']}", None]
    export(known.with_columns(pl.lit(None, pl.List(pl.String)).alias("causes")), small_dataset(), tmp_path / "b.csv")
    assert not {"causes", "rests_on"} & {*pl.read_csv(tmp_path / "b.csv").columns}


@pytest.mark.parametrize("ending", ["csv", "parquet", "jsonl"])
def test_every_row_and_its_title(tmp_path: Path, ending: str) -> None:
    file = tmp_path / f"out.{ending}"
    export(explanations(["Because.", 'Two "words",\nhere']), small_dataset(), file)
    read = {"csv": pl.read_csv, "parquet": pl.read_parquet, "jsonl": pl.read_ndjson}[ending]
    table = read(file)
    assert table["text"].to_list() == ["Because.", 'Two "words",\nhere']
    assert table["title"].to_list() == ["Heat", "Heat"]
    assert table.columns[:3] == ["user_id", "item_id", "title"]


def test_formulas_are_defused_in_csv_only(tmp_path: Path) -> None:
    export(explanations(HOSTILE), small_dataset(), tmp_path / "a.csv")
    with (tmp_path / "a.csv").open(newline="", encoding="utf-8") as file:
        assert [row["text"] for row in csv.DictReader(file)] == ["'" + text for text in HOSTILE]
    export(explanations(HOSTILE), small_dataset(), tmp_path / "a.jsonl")
    assert pl.read_ndjson(tmp_path / "a.jsonl")["text"].to_list() == HOSTILE


@given(st.lists(st.text(st.characters(exclude_categories=("Cs",)), max_size=8), min_size=1))
def test_no_cell_begins_a_formula(texts: list[str]) -> None:
    for cell in defuse(pl.DataFrame({"a": texts}))["a"]:
        assert cell.lstrip("\x00 \t\r\n\x0b\x0c\x85\xa0\u2028\u2029")[:1] not in set("=+-@＝＋－＠") or cell[:1] == "'"


def test_ordinary_text_is_left_as_it_is() -> None:
    texts = ["You watched Heat.", "1 + 1 = 2", "", "'quoted'", "a-b"]
    assert defuse(pl.DataFrame({"a": texts}))["a"].to_list() == texts


def test_another_ending_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"ends in one of .parquet, .csv, .jsonl; found 'a.xlsx'"):
        export(explanations(["x"]), small_dataset(), tmp_path / "a.xlsx")
