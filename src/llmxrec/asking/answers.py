"""What is kept of every answer, in a ledger, and read back from it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import polars as pl

from llmxrec.errors import InputError
from llmxrec.ledger import Record, read_ledger

ANSWERED = {
    "recommender": pl.String,
    "generator": pl.String,
    "user_id": pl.String,
    "item_id": pl.String,
    "rank": pl.Int32,
    "text": pl.String,
    "status": pl.String,
    "prompt": pl.String,
    "history": pl.Int32,
    "dropped": pl.Int32,
    "input_tokens": pl.Int64,
    "output_tokens": pl.Int64,
    "detail": pl.String,
    "cost": pl.Float64,
}
"""What is kept of every answer, whatever was asked."""


def latest(file: Path, recommendations: pl.DataFrame, schema: Mapping[str, Any]) -> pl.DataFrame:
    """The last row about each of `recommendations` in the ledger `file`, as columns of `schema`."""
    table = _read_table(file, schema).unique(["user_id", "item_id"], keep="last", maintain_order=True)
    order = recommendations.select("user_id", "item_id", "rank")
    return order.join(table.drop("rank"), on=["user_id", "item_id"], maintain_order="left").select(*schema)


def answer_rows(file: Path) -> Iterator[Record]:
    """The rows of a ledger of answers. Raises InputError for one that is of something else."""
    for number, row in enumerate(read_ledger(file), 1):
        paid = row.get("cost")
        known = isinstance(row.get("prompt"), str) and isinstance(row.get("status"), str)
        if not known or not (paid is None or (isinstance(paid, int | float) and 0 <= paid < float("inf"))):
            raise InputError(
                "a row of answers has a prompt, a status and a cost in USD, if it is known",
                value=row,
                cure="is this file another's?",
                file=file,
                line=number,
            )
        yield row


def _read_table(file: Path, schema: Mapping[str, Any]) -> pl.DataFrame:
    try:
        with file.open("rb") as lines:
            table = pl.read_ndjson(lines, schema=schema)
    except pl.exceptions.PolarsError:
        table = None
    if table is not None and not table["prompt"].null_count() + table["status"].null_count():
        return table
    # A last line being written, or a broken one, which this names.
    try:
        return pl.DataFrame(list(answer_rows(file)), schema=schema)
    except (pl.exceptions.PolarsError, TypeError) as error:
        raise InputError(f"answers are rows of known columns: {error}", file=file) from None
