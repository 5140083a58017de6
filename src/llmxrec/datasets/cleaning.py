"""What every reader does last: tidy the text, join the tables, keep each user-item pair once, and count what goes."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import polars as pl

from llmxrec.datasets.dataset import INTERACTION_COLUMNS, Dataset, ReadReport
from llmxrec.datasets.titles import one_line
from llmxrec.errors import InputError
from llmxrec.records import Domain


def assemble(
    source: Path,
    domain: Domain,
    interactions: pl.DataFrame,
    items: pl.DataFrame,
    users: pl.DataFrame | None = None,
    *,
    read: Mapping[str, int],
    dropped: Mapping[str, int] | None = None,
    notes: Mapping[str, int] | None = None,
) -> tuple[Dataset, ReadReport]:
    """A dataset that keeps the promises of `Dataset`, and the report of how it was made.

    `interactions` needs user_id and item_id (timestamp and rating are null where absent), `items` item_id and title,
    `users` user_id; without `users` there is a row for everyone who interacted. Other columns are attributes, String
    or List(String). The first row of an item or user counts. `read`, `dropped` and `notes` are the reader's own
    counts, which come first in the report. Raises InputError where no interaction is left.
    """
    dropped, notes = dict(dropped or {}), dict(notes or {})

    items, dropped["items without an id"], dropped["repeats of an item"] = _one_row_each(items, "item_id")
    items = _tidy(items, keep="item_id")
    notes["items without a title, named by their id"] = items["title"].null_count()
    items = items.with_columns(pl.coalesce("title", one_line(pl.col("item_id")), pl.lit("")).alias("title"))
    notes["items that share their title with another"] = int(items["title"].is_duplicated().sum())

    interactions = interactions.select(
        pl.col(column) if column in interactions.columns else pl.lit(None, dtype).alias(column)
        for column, dtype in INTERACTION_COLUMNS.items()
    )
    rows = interactions.height
    interactions = interactions.filter(pl.col("user_id") != "", pl.col("item_id") != "")
    dropped["interactions without a user or an item"] = rows - interactions.height
    rows = interactions.height
    interactions = interactions.join(items.select("item_id"), on="item_id", how="semi", maintain_order="left")
    dropped["interactions with items that are not described"] = rows - interactions.height
    interactions, exact, later = first_of_pairs(interactions)
    dropped["exact repeats of an interaction"] = exact
    dropped["later interactions of a user with the same item"] = later
    if interactions.is_empty():
        raise InputError(
            "no interaction is left",
            file=source,
            value="; ".join(ReadReport("", read, dropped).lines()),
            cure="check that the ids of the interactions are those of the items",
        )

    seen = interactions.select(pl.col("user_id").unique(maintain_order=True))
    if users is None:
        users = seen
    else:
        users, dropped["users without an id"], dropped["repeats of a user"] = _one_row_each(users, "user_id")
        users = _tidy(users, keep="user_id")
        missing = seen.join(users, on="user_id", how="anti", maintain_order="left")
        notes["users who interacted and are not described"] = missing.height
        users = pl.concat([users, missing], how="diagonal")
    dataset = Dataset(interactions, items, users, domain)
    return dataset, ReadReport(str(source), dict(read), dropped, notes)


def first_of_pairs(interactions: pl.DataFrame) -> tuple[pl.DataFrame, int, int]:
    """Keep the first interaction of each user-item pair: by time, undated first, then by place in the table.

    Returns the rest in its order, the number of exact repeats, and of other, later interactions left out.
    """
    # Hashes may clash, which only makes the rows to look at more closely a few more.
    suspect = interactions.select(pl.struct("user_id", "item_id").hash().is_duplicated()).to_series()
    if not suspect.any():
        return interactions, 0, 0
    rows = interactions.with_row_index("#row")
    again = rows.filter(suspect)
    first = again.sort("timestamp", nulls_last=False, maintain_order=True)
    first = first.unique(["user_id", "item_id"], keep="first", maintain_order=True)
    distinct = again.select(pl.struct(interactions.columns).n_unique()).item()
    kept = pl.concat([rows.filter(~suspect), first]).sort("#row").drop("#row")
    return kept, again.height - distinct, distinct - first.height


def _one_row_each(rows: pl.DataFrame, key: str) -> tuple[pl.DataFrame, int, int]:
    """The first row of each `key`; the number of rows without one, and of repeats."""
    named = rows.filter(pl.col(key) != "")
    once = named.unique(key, keep="first", maintain_order=True)
    return once, rows.height - named.height, named.height - once.height


def _tidy(rows: pl.DataFrame, keep: str) -> pl.DataFrame:
    """Text on one line, empty text null, values of lists once each; the column `keep` as it is."""
    columns = []
    for column, dtype in rows.schema.items():
        if column == keep:
            columns.append(pl.col(column))
        elif dtype == pl.String:
            columns.append(_filled(one_line(pl.col(column))).alias(column))
        else:
            values = (
                pl.col(column)
                .list.eval(_filled(one_line(pl.element())))
                .list.drop_nulls()
                .list.unique(maintain_order=True)
            )
            columns.append(values.fill_null([]).alias(column))
    return rows.select(columns)


def _filled(text: pl.Expr) -> pl.Expr:
    return pl.when(text != "").then(text)
