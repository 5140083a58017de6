"""Explanations as a file for others: Parquet, CSV or JSONL, by the ending of its name."""

from __future__ import annotations

from pathlib import Path

import polars as pl

from llmxrec.datasets.dataset import Dataset
from llmxrec.errors import InputError
from llmxrec.workspace import atomic

ENDINGS = (".parquet", ".csv", ".jsonl")

_FORMULA = r"^[\s\x00]*[=+\-@＝＋－＠\t\r]"
"""What a spreadsheet may take for a formula: its first sign, full-width ones and leading blanks included."""


def export(explanations: pl.DataFrame, dataset: Dataset, file: Path) -> None:
    """Write `explanations` with the title of each item. In CSV, text that a spreadsheet would run is defused.

    Where they have causes (ids; null where nobody measured them), these become rests_on: titles, with "; " between.
    """
    if file.suffix not in ENDINGS:
        raise InputError(f"an export ends in one of {', '.join(ENDINGS)}", value=file.name)
    if file.is_dir():
        raise InputError("an export is a file", value=str(file), cure="choose another name: this is a folder")
    titles = dataset.items.select("item_id", "title")
    columns = ["user_id", "item_id", "title", *(c for c in explanations.columns if c not in ("user_id", "item_id"))]
    table = explanations.join(titles, on="item_id", how="left", maintain_order="left").select(columns)
    if "causes" in columns:
        named = dict(titles.iter_rows())
        rests_on = pl.col("causes").list.eval(pl.element().replace(named)).list.join("; ").alias("rests_on")
        measured = table["causes"].null_count() < table.height
        table = table.with_columns(rests_on if measured else []).drop("causes")
    write_by_ending(table, file)


def write_by_ending(table: pl.DataFrame, file: Path) -> None:
    """Write `table` as the ending of `file` says, one of ENDINGS; in CSV, text is defused."""
    with atomic(file) as draft:
        if file.suffix == ".parquet":
            table.write_parquet(draft)
        elif file.suffix == ".csv":
            defuse(table).write_csv(draft)
        else:
            table.write_ndjson(draft)


def defuse(table: pl.DataFrame) -> pl.DataFrame:
    """`table` with an apostrophe before every text that a spreadsheet would take for a formula."""
    text = pl.col(pl.String)
    return table.with_columns(pl.when(text.str.contains(_FORMULA)).then("'" + text).otherwise(text).name.keep())
