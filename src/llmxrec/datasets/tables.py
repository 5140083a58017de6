"""Anyone's own tables: interactions, items, users, and what a recommender of theirs recommended."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import polars as pl

from llmxrec.datasets.cleaning import assemble
from llmxrec.datasets.columns import (
    as_ids,
    as_microseconds,
    as_numbers,
    as_text,
    check_used,
    find,
    need,
    with_seconds,
)
from llmxrec.datasets.dataset import Dataset, ReadReport
from llmxrec.datasets.domains import BUNDLED, load_domain
from llmxrec.datasets.movielens import film_columns
from llmxrec.datasets.tablefiles import read_table
from llmxrec.datasets.textfiles import LINE
from llmxrec.errors import InputError
from llmxrec.lookup import closest
from llmxrec.records import Domain

# A text column whose values hold "|" at least this often is a list: films of one genre alone have none in theirs.
_LIST_SHARE = 0.3
_LONG_TEXT = 200
_TITLES = ("title", "original_title")


def read_tables(
    interactions: Path,
    items: Path | None,
    users: Path | None,
    domain: Domain,
    columns: Mapping[str, str],
    shown_of_users: Sequence[str] = (),
) -> tuple[Dataset, ReadReport]:
    """Read tables of a kind that `tablefiles` knows.

    `columns` maps our name of a column to theirs, for whichever file has it; the rest goes by `columns.ALIASES`. Names
    of a recommender's output, rank and score, are passed over, so that one mapping can serve all files.
    Interactions need a user and an item; timestamp and rating may be absent. Without `items`, items are named by their
    ids. Other columns of items and users are attributes; "|" separates several values. Where the domain is one that
    comes with the library, those of items are shown to generators under their own names, except titles, addresses and
    long texts; a domain of the user's own says itself what is shown. Of users, who may not want it, nothing is shown
    but what the domain lists and the columns `shown_of_users`. Times that differ by less than a second put their rows
    in order, and count in whole seconds.
    Raises InputError for a file, a column or a value that breaks a rule, or a column to show that users do not have.
    """
    rows = read_table(interactions)
    found = rows.columns
    actions, notes = _interactions(rows, interactions, columns)
    read = {"interactions": actions.height}

    if items is None:
        catalogue = named_by_id(actions)
    else:
        rows = read_table(items)
        found = [*found, *rows.columns]
        catalogue, notes["item columns that hold no text or numbers, left out"] = _items(rows, items, columns)
        if domain.name == "movies":
            catalogue, more = film_columns(catalogue)
            notes |= more
        read["items"] = catalogue.height

    people = None
    if users is not None:
        rows = read_table(users)
        found = [*found, *rows.columns]
        people, notes["user columns that hold no text or numbers, left out"] = _users(rows, users, columns)
        read["users"] = people.height

    check_used({name: column for name, column in columns.items() if name not in ("rank", "score")}, found)
    domain = show_attributes(domain, catalogue, people, shown_of_users)
    return assemble(interactions, domain, actions, catalogue, people, read=read, notes=notes)


def read_recommendations(
    file: Path, dataset: Dataset, columns: Mapping[str, str] | None = None
) -> tuple[pl.DataFrame, ReadReport]:
    """Read what a recommender recommended: a user and an item per row, with a rank, a score, both or neither.

    Returns user_id, item_id, rank (Int32, from 1 without gaps), score (Float64, 0 where the file has none), by user in
    the order of the file, then by rank. Rows are ranked by their rank, else by their score (higher is better), else
    as they stand. Raises InputError where nothing is left, or a value breaks a rule.
    """
    columns = columns or {}
    rows = read_table(file)
    check_used({name: column for name, column in columns.items() if name in ("rank", "score")}, rows.columns)
    rank, score = find("rank", rows.columns, columns), find("score", rows.columns, columns)
    nothing = pl.Series([None] * rows.height, dtype=pl.Float64)
    given = pl.DataFrame(
        {
            "user_id": as_ids(rows, need("user_id", rows.columns, columns, file), file),
            "item_id": as_ids(rows, need("item_id", rows.columns, columns, file), file),
            "rank": as_numbers(rows, rank, file) if rank else nothing,
            "score": as_numbers(rows, score, file) if score else nothing,
        }
    )
    known = given.join(dataset.users.select("user_id"), on="user_id", how="semi", maintain_order="left")
    offered = known.join(dataset.items.select("item_id"), on="item_id", how="semi", maintain_order="left")
    if offered.is_empty():
        raise InputError(
            "a recommendation names a user and an item of the dataset",
            value=", ".join(map(str, given.row(0)[:2])) if given.height else "no rows",
            cure="check that the ids are those of the dataset",
            file=file,
        )
    users = offered.select(pl.col("user_id").unique(maintain_order=True)).with_row_index("#user")
    order = pl.col("rank") if rank else -pl.col("score")
    ranked = (
        offered.join(users, on="user_id", maintain_order="left")
        .sort("#user", order, nulls_last=True, maintain_order=True)
        .unique(["user_id", "item_id"], keep="first", maintain_order=True)
    )
    out = ranked.select(
        "user_id",
        "item_id",
        pl.int_range(1, pl.len() + 1, dtype=pl.Int32).over("user_id").alias("rank"),
        pl.col("score").fill_null(0.0),
    )
    already = out.join(dataset.interactions, on=["user_id", "item_id"], how="semi").height
    return out, ReadReport(
        str(file),
        {"recommendations": given.height},
        {
            "recommendations for users that the dataset does not hold": given.height - known.height,
            "recommendations of items that the dataset does not hold": known.height - offered.height,
            "repeats of a recommendation": offered.height - out.height,
        },
        {
            "recommendations without a score, given 0": ranked["score"].null_count(),
            "recommendations of items that the user already has": already,
        },
    )


def show_attributes(
    domain: Domain, items: pl.DataFrame, users: pl.DataFrame | None, shown_of_users: Sequence[str] = ()
) -> Domain:
    """`domain` that also shows attributes of these tables, under their own names.

    Of users, those are the columns `shown_of_users`; of items, all where the domain comes with the library, but for
    titles, addresses of pages and mail, long texts, and columns without a value. Raises InputError for a column to
    show that users do not have, or that gives no name of its own.
    """
    labels = dict(domain.item_attributes)
    for column in items.columns if domain in map(load_domain, BUNDLED) else ():
        label = _label(column)
        free = column not in labels and label not in ("", *labels.values())
        if free and column.lower() not in ("item_id", *_TITLES) and _is_short(items[column]):
            labels[column] = label
    user_labels = _user_labels(domain.user_attributes, users, shown_of_users)
    return replace(domain, item_attributes=labels, user_attributes=user_labels)


def named_by_id(interactions: pl.DataFrame) -> pl.DataFrame:
    """Items without a title: those of `interactions`, for want of a file about them."""
    ids = interactions.filter(pl.col("item_id") != "").select(pl.col("item_id").unique(maintain_order=True))
    return ids.with_columns(pl.lit(None, pl.String).alias("title"))


def some_titles(columns: list[str]) -> list[str]:
    """The columns that are some kind of title by their name, such as `book_title`."""
    return [column for column in columns if column.endswith(("_title", " title", "Title", " Title"))]


def split_lists(rows: pl.DataFrame, separator: str = "|") -> pl.DataFrame:
    """`rows` with those text columns as lists that often hold `separator`; the first two, id and title, stay."""
    for column in rows.columns[2:]:
        if rows.schema[column] == pl.String:
            filled = rows[column].drop_nulls()
            holding = filled.str.contains(separator, literal=True).mean()
            if isinstance(holding, float) and holding >= _LIST_SHARE:
                rows = rows.with_columns(pl.col(column).str.split(separator))
    return rows


def _interactions(rows: pl.DataFrame, file: Path, columns: Mapping[str, str]) -> tuple[pl.DataFrame, dict[str, int]]:
    notes = {}
    out = [as_ids(rows, need(name, rows.columns, columns, file), file).alias(name) for name in ("user_id", "item_id")]
    if time := find("timestamp", rows.columns, columns):
        exact, unread = as_microseconds(rows[time])
        out.append(exact.alias("timestamp"))
        notes["times that could not be read, kept undated"] = unread
    if rating := find("rating", rows.columns, columns):
        out.append(as_numbers(rows, rating, file).alias("rating"))
    actions = pl.DataFrame(out)
    if time:
        actions = with_seconds(actions)
    else:
        notes["interactions without a time: histories are in the order of the file (--column timestamp=COLUMN)"] = (
            actions.height
        )
    used = {time, rating, *(need(name, rows.columns, columns, file) for name in ("user_id", "item_id"))}
    left = [column for column in rows.columns if column not in used and column != LINE]
    notes[f"columns of interactions are not used: {', '.join(left)}"] = len(left)
    return actions, notes


def _items(rows: pl.DataFrame, file: Path, columns: Mapping[str, str]) -> tuple[pl.DataFrame, int]:
    """Items with their id and title first, and the number of columns left out."""
    item = need("item_id", rows.columns, columns, file, "id")
    title = find("title", rows.columns, columns, *some_titles(rows.columns))
    named = _renamed(rows.drop(LINE, item, *([title] if title else [])), columns)
    attributes, unread = _attributes(named.drop("item_id", "title", strict=False))
    head = [as_ids(rows, item, file).alias("item_id")]
    titles = as_text(rows[title]) if title else None
    head.append(titles.alias("title") if titles is not None else pl.Series("title", [None] * rows.height, pl.String))
    return split_lists(pl.DataFrame([*head, *attributes])), unread


def _users(rows: pl.DataFrame, file: Path, columns: Mapping[str, str]) -> tuple[pl.DataFrame, int]:
    user = need("user_id", rows.columns, columns, file, "id")
    attributes, unread = _attributes(_renamed(rows.drop(LINE, user), columns).drop("user_id", strict=False))
    joined = [a.list.join(", ", ignore_nulls=True) if a.dtype == pl.List else a for a in attributes]
    return pl.DataFrame([as_ids(rows, user, file).alias("user_id"), *joined]), unread


def _renamed(rows: pl.DataFrame, columns: Mapping[str, str]) -> pl.DataFrame:
    """With the names that `columns` gives, whose bearer gives way."""
    ours = {theirs: name for name, theirs in columns.items() if theirs in rows.columns}
    return rows.drop([name for theirs, name in ours.items() if name != theirs], strict=False).rename(ours, strict=False)


def _attributes(rows: pl.DataFrame) -> tuple[list[pl.Series], int]:
    """Columns as String or List(String), and the number of those that are neither text nor numbers."""
    out = []
    for column in rows:
        if isinstance(column.dtype, pl.List):
            if as_text(column.explode()) is not None:
                out.append(column.cast(pl.List(pl.String)))
        elif (text := as_text(column)) is not None:
            out.append(text)
    return out, rows.width - len(out)


def _user_labels(known: Mapping[str, str], users: pl.DataFrame | None, shown: Sequence[str]) -> dict[str, str]:
    """`known`, and the columns `shown` with labels of their own."""
    labels = dict(known)
    for column in shown:
        if users is None:
            raise InputError("a table of users has the columns of users to show", value=column, cure="give that table")
        if column not in users.columns[1:]:
            raise closest("column of users", column, users.columns[1:])
        if column not in labels:
            label = _label(column)
            if label in ("", *labels.values()):
                raise InputError(
                    "a column that is shown has letters or digits for a name, and not those of another",
                    value=column,
                    cure="rename it",
                )
            labels[column] = label
    return labels


def _label(column: str) -> str:
    """The name of a column without signs that could be taken for a border in a prompt; may be empty."""
    return " ".join("".join(c if c.isalnum() or c in "-_" else " " for c in column).split())


def _is_short(column: pl.Series) -> bool:
    """Whether a value is a word or some, rather than a text, an address or nothing at all."""
    values = (column.explode() if column.dtype == pl.List else column).drop_nulls()
    if values.is_empty():
        return False
    length, pages = values.str.len_chars().mean(), values.str.contains(r"^\s*(?i:https?://|www\.)").mean()
    mails = values.str.contains(r"\S@\S+\.\S").mean()
    return all(isinstance(n, float) and n < most for n, most in ((length, _LONG_TEXT), (pages, 0.5), (mails, 0.5)))
