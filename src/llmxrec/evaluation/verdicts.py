"""Verdicts as a table and as a ledger: what a judge or a person said of two explanations."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import get_args

import polars as pl

from llmxrec.errors import InputError
from llmxrec.ledger import Record, read_ledger
from llmxrec.records import Status, Verdict, Winner

VERDICTS = {
    "recommender": pl.String,
    "judge": pl.String,
    "user_id": pl.String,
    "item_id": pl.String,
    "first": pl.String,
    "second": pl.String,
    "winner": pl.String,
    "probability": pl.Float64,
    "status": pl.String,
    "raw": pl.String,
    "order_free": pl.Boolean,
    "rater": pl.String,
    "case": pl.String,
}
"""Verdict as a table."""

ASKED = ["recommender", "judge", "user_id", "item_id", "first", "second", "rater"]
"""What was asked, and whom: the key of a verdict. One asked again replaces the one before."""

_LIST = ["recommender", "judge", "user_id", "item_id", "rater"]
"""What is asked about, and whom."""

PEOPLE = "people"
"""What the judge is called whose verdicts are those of people, each with the rater who said so."""

RELEASED = "released"
"""What the judge is called whose verdicts the paper's authors released."""

_WINNERS = (*get_args(Winner), None)
_NAMES = ("recommender", "judge", "user_id", "item_id", "first", "second")


def as_table(verdicts: Iterable[Verdict]) -> pl.DataFrame:
    """Verdicts as a table with the columns of VERDICTS, in their order, each question with its last verdict."""
    return latest(pl.DataFrame([asdict(verdict) for verdict in verdicts], schema=VERDICTS))


def latest(verdicts: pl.DataFrame) -> pl.DataFrame:
    """The last verdict on each question: what was asked again counts once.

    Of a recommendation that was judged again with other texts, all that was said of those before goes: else the two
    orders of a pair could be about different texts, where a run was stopped.
    """
    last = verdicts.filter(pl.col("case").eq_missing(pl.col("case").last().over(_LIST)))
    return last.unique(ASKED, keep="last", maintain_order=True)


def read_verdicts(file: Path) -> pl.DataFrame:
    """The verdicts of the ledger `file`, one for each question (see `latest`). `order_free`, `rater` and `case` may be
    absent.

    Raises InputError where there is no such file, and for the first line that is not a verdict.
    """
    return latest(read_all_verdicts(file))


def read_all_verdicts(file: Path) -> pl.DataFrame:
    """All verdicts that the ledger `file` has, in its order, those included that others replaced (see
    `read_verdicts`)."""
    if not file.exists():
        raise InputError("there are no such verdicts yet", value=str(file), cure="make them with: llmxrec judge")
    try:
        with file.open("rb") as lines:
            table = pl.read_ndjson(lines, schema=VERDICTS)
    except pl.exceptions.PolarsError:
        table = None
    if table is not None:
        table = table.with_columns(pl.col("order_free").fill_null(False), pl.col("rater", "raw", "case").fill_null(""))
    if table is None or not _all_fine(table):
        # A last line being written, or a wrong one, which this names.
        table = pl.DataFrame(list(_rows(file)), schema=VERDICTS)
    return table


def _all_fine(table: pl.DataFrame) -> bool:
    winner, status, probability = pl.col("winner"), pl.col("status"), pl.col("probability")
    fine = [
        *(pl.col(name).is_not_null() for name in _NAMES),
        pl.col("first") != pl.col("second"),
        winner.is_null() | winner.is_in(get_args(Winner)),
        status.is_in(get_args(Status)).fill_null(False),
        winner.is_null() | (status == "ok"),
        probability.is_null() | probability.is_between(0, 1),
    ]
    return bool(table.select(pl.all_horizontal(fine).all()).item())


def _rows(file: Path) -> Iterator[Record]:
    for number, row in enumerate(read_ledger(file), 1):
        filled = {**dict.fromkeys(VERDICTS), "order_free": False, "rater": "", "raw": "", "case": "", **row}
        # Ids that are numbers are read as text, as polars does.
        filled |= {name: str(filled[name]) for name in (*_NAMES, "case") if type(filled[name]) is int}
        filled["case"] = "" if filled["case"] is None else filled["case"]
        if problem := _problem(filled):
            rule, value = problem
            raise InputError(rule, value=value, cure="mend or delete the line", file=file, line=number)
        yield {column: filled[column] for column in VERDICTS}


def _problem(row: Record) -> tuple[str, object] | None:
    """Which rule of verdicts `row` breaks, and with what; None where it keeps them all."""
    for name in (*_NAMES, "rater", "raw", "case"):
        if not isinstance(row[name], str):
            return f"a verdict has '{name}', as text", row[name]
    if row["first"] == row["second"]:
        return "a verdict compares two generators", row["first"]
    if row["winner"] not in _WINNERS:
        return "the winner of a verdict is first, second, tie or null", row["winner"]
    if row["status"] not in get_args(Status):
        return f"the status of a verdict is one of {', '.join(get_args(Status))}", row["status"]
    if row["winner"] is not None and row["status"] != "ok":
        return "a verdict with a winner has the status ok", row["status"]
    chance = row["probability"]
    number = isinstance(chance, int | float) and not isinstance(chance, bool)
    if chance is not None and not (number and 0 <= chance <= 1):
        return "the probability of a verdict lies between 0 and 1, or is null", chance
    if not isinstance(row["order_free"], bool):
        return "'order_free' of a verdict is true or false", row["order_free"]
    return None
