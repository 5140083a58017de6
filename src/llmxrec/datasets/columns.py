"""Which column of somebody's table is which of ours, and its values in our types."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import polars as pl

from llmxrec.datasets.textfiles import LINE, numbers
from llmxrec.errors import InputError
from llmxrec.lookup import closest

ALIASES: Mapping[str, tuple[str, ...]] = {
    "user_id": (
        *(
            "user",
            "uid",
            "username",
            "customer_id",
            "customer",
            "buyer_id",
            "buyer",
            "client_id",
            "client",
            "account_id",
            "reviewer_id",
            "visitor_id",
        ),
    ),
    "item_id": (
        *("item", "iid", "product_id", "product", "movie_id", "movie", "news_id", "article_id", "game_id", "app_id"),
        *("article", "article_no", "item_no", "product_no", "book_id", "parent_asin", "asin", "sku"),
    ),
    "timestamp": (
        *(
            "time",
            "date",
            "datetime",
            "ts",
            "created_at",
            "bought_at",
            "ordered_at",
            "purchased_at",
            "event_time",
            "unix_review_time",
            "review_time",
        ),
    ),
    "rating": ("stars", "overall", "score"),
    "title": (
        *("name", "movie_title", "item_title", "item_name", "product_title", "product_name", "app_name"),
        *("news_title", "headline"),
    ),
    "rank": ("position",),
    "score": ("prediction", "predicted_rating", "relevance"),
}
"""Our names, and others by which they are known. Capitals, spaces, '-' and '_' make no difference: `userId` is one."""

# Numbers of 1e11 and more (as seconds, the year 5138) are milli-, micro- or nanoseconds.
_LARGEST_SECOND = 1e11
_ALIKE = 0.8
"""From which likeness on a name is taken for a slip of the pen."""


def find(name: str, available: Sequence[str], columns: Mapping[str, str], *more: str) -> str | None:
    """The one of `available` that is our `name`: as `columns` says, else by that name, an alias, or one of `more`."""
    for exact in (columns.get(name), name):
        if exact is not None and exact in available:
            return exact
    known = {_plain(column): column for column in reversed(available)}
    matches = (known[alias] for alias in map(_plain, (name, *ALIASES.get(name, ()), *more)) if alias in known)
    return next(matches, None)


def need(name: str, available: Sequence[str], columns: Mapping[str, str], file: Path, *more: str) -> str:
    """As `find`. Raises InputError where there is none."""
    found = find(name, available, columns, *more)
    if found is None:
        held = ", ".join(column for column in available if column != LINE)
        raise InputError(
            f"a column holds the {name}", file=file, value=held, cure=f"say which: --column {name}=YOUR_COLUMN"
        )
    return found


def check_used(columns: Mapping[str, str], available: Iterable[str]) -> None:
    """Raises InputError where `columns` names a column that no file has, or misspells one of ours."""
    held = sorted(set(available) - {LINE})
    for name, column in columns.items():
        # Any other name is one for an attribute; but nobody means to call one `tilte`.
        if name not in ALIASES and difflib.get_close_matches(name, ALIASES, cutoff=_ALIKE):
            raise closest("column of ours", name, ALIASES)
        if column not in held:
            raise InputError(
                f"'{name}={column}' names a column that is there", value=column, cure=f"one of: {', '.join(held)}"
            )


def as_text(column: pl.Series) -> pl.Series | None:
    """As String: whole floats without their fraction (pandas writes the id 7 as 7.0); None for what is no text."""
    if column.dtype.is_float():
        column = column.fill_nan(None)
        whole = column.cast(pl.Int64, strict=False)
        if (whole.cast(column.dtype) == column).fill_null(column.is_null()).all():
            column = whole
    if column.dtype.is_nested() or column.dtype in (pl.Binary, pl.Object):
        return None
    try:
        return column.cast(pl.String)
    except pl.exceptions.PolarsError:  # such as a duration
        return None


def as_ids(rows: pl.DataFrame, column: str, file: Path) -> pl.Series:
    """As String without white space around. Raises InputError where the column holds neither text nor numbers."""
    ids = as_text(rows[column])
    if ids is None:
        raise InputError("ids are text or whole numbers", value=str(rows[column].dtype), file=file)
    return ids.str.strip_chars()


def as_numbers(rows: pl.DataFrame, column: str, file: Path) -> pl.Series:
    """As Float64, null where empty. Raises InputError at the first value that is no finite number."""
    values = as_text(rows[column])
    if values is None:
        raise InputError(f"'{column}' holds numbers", value=str(rows[column].dtype), file=file)
    if rows[column].dtype.is_numeric():
        floats = rows[column].cast(pl.Float64)
        if floats.is_finite().fill_null(True).all():
            return floats
    return numbers(rows.select(LINE, values.alias(column)), column, file)


def as_microseconds(column: pl.Series) -> tuple[pl.Series, int]:
    """As unix time in microseconds (Int64), and how many values could not be read, which are null.

    Reads numbers, as seconds or as milli-, micro- or nanoseconds where they are too large for that; dates and times
    (of UTC where they name no zone), and text of any of these, as in ISO 8601.
    """
    if column.dtype.is_temporal() and column.dtype not in (pl.Time, pl.Duration):
        exact = column.dt.epoch("us")
    elif column.dtype.is_numeric():
        exact = _scaled(column.cast(pl.Float64))
    elif column.dtype == pl.String:
        text = column.str.strip_chars()
        text = text.set(text == "", None)
        column = text
        numeric = _scaled(text.cast(pl.Float64, strict=False))
        exact = numeric if numeric.null_count() == text.null_count() else numeric.fill_null(_dated(text))
    else:
        exact = pl.Series(column.name, [None] * len(column), dtype=pl.Int64)
    return exact.cast(pl.Int64), exact.null_count() - column.null_count()


def with_seconds(actions: pl.DataFrame) -> pl.DataFrame:
    """`actions` with its `timestamp`, in microseconds, as whole seconds.

    Place in the table decides between equal seconds, so where there are fractions, rows are first put in their order.
    """
    seconds = whole_seconds(actions["timestamp"])
    if (seconds * 1_000_000 != actions["timestamp"]).any():
        actions = actions.sort("timestamp", nulls_last=False, maintain_order=True)
        seconds = whole_seconds(actions["timestamp"])
    return actions.with_columns(seconds)


def whole_seconds(microseconds: pl.Series) -> pl.Series:
    """As unix seconds, rounded down (Int64)."""
    return microseconds // 1_000_000


def _scaled(numbers: pl.Series) -> pl.Series:
    frame = pl.DataFrame({"n": numbers})
    for _ in range(3):
        frame = frame.with_columns(
            pl.when(pl.col("n").abs() >= _LARGEST_SECOND).then(pl.col("n") / 1000).otherwise(pl.col("n"))
        )
    n = pl.col("n")
    return frame.select(pl.when(n.abs() < _LARGEST_SECOND).then(n * 1e6).floor().cast(pl.Int64)).to_series()


def _dated(text: pl.Series) -> pl.Series:
    one_form = pl.col("t").str.replace(r"^(\d{4}-\d{2}-\d{2})[T ]\s*", "$1 ").str.replace(r"\s*Z$", "+00:00")
    return (
        pl.DataFrame({"t": text})
        .select(one_form)
        .select(
            pl.coalesce(
                pl.col("t").str.to_datetime("%Y-%m-%d %H:%M:%S%.f%z", time_unit="us", strict=False).dt.epoch("us"),
                pl.col("t").str.to_datetime("%Y-%m-%d %H:%M:%S%.f", time_unit="us", strict=False).dt.epoch("us"),
                pl.col("t").str.to_datetime("%Y-%m-%d %H:%M", time_unit="us", strict=False).dt.epoch("us"),
                pl.col("t").str.to_date("%Y-%m-%d", strict=False).dt.epoch("us"),
            )
        )
        .to_series()
    )


def _plain(name: str) -> str:
    return "".join(c for c in name.casefold() if c.isalnum())
