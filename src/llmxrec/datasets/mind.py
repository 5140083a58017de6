"""MIND, the Microsoft News Dataset (Wu et al., 2020), in its original files: news.tsv and behaviors.tsv."""

from __future__ import annotations

from pathlib import Path

import polars as pl

from llmxrec.datasets.cleaning import assemble
from llmxrec.datasets.dataset import Dataset, ReadReport
from llmxrec.datasets.domains import load_domain
from llmxrec.datasets.textfiles import LINE, delimited_blocks, existing_folder, present, read_delimited
from llmxrec.errors import InputError

_NEWS = ("item_id", "category", "subcategory", "title", "abstract", "url", "title_entities", "abstract_entities")
_BEHAVIORS = ("impression_id", "user_id", "time", "history", "impressions")
_TIME = "%m/%d/%Y %I:%M:%S %p"


def read(source: Path) -> tuple[Dataset, ReadReport]:
    """Read the folder `source`, one of MIND's parts such as MINDsmall_train.

    A user interacted with the articles of their history, oldest first and without times, then with those they
    clicked (`-1`), at the time of the impression, taken as UTC. Ids that no row of news.tsv describes are dropped.
    Raises InputError for a file that is missing or breaks the format.
    """
    folder = existing_folder(source)
    news = read_delimited(folder / "news.tsv", _NEWS, "\t")
    items = present(news, "item_id", folder / "news.tsv").select(
        "item_id", "title", "category", "subcategory", "abstract"
    )
    file = folder / "behaviors.tsv"
    histories, clicks = [_no_rows("history")], [_no_rows("item_id", timestamp=pl.Int64)]
    impressions = unlabelled = 0
    for rows in delimited_blocks(file, _BEHAVIORS, "\t"):
        present(rows, "user_id", file)
        impressions += rows.height
        histories.append(rows.select("user_id", "history").unique(maintain_order=True))
        shown = _shown(rows, file)
        clicks.append(shown.filter(pl.col("label") == "1").select("user_id", "item_id", "timestamp"))
        unlabelled += shown.filter(~pl.col("label").fill_null("").is_in(("0", "1"))).height
    # The same history stands in every row of a user.
    before = pl.concat(histories).unique(maintain_order=True)
    before = _exploded(before, "history").select("user_id", pl.col("history").alias("item_id"))
    clicked = pl.concat(clicks)
    return assemble(
        source,
        load_domain("news"),
        pl.concat([before, clicked], how="diagonal"),
        items,
        read={
            "articles": items.height,
            "impressions": impressions,
            "articles in histories": before.height,
            "clicks": clicked.height,
        },
        notes={"articles shown that are neither clicked (-1) nor not (-0)": unlabelled},
    )


def _shown(rows: pl.DataFrame, file: Path) -> pl.DataFrame:
    """One row per article shown: user_id, item_id, label ("1", "0" or anything else), timestamp."""
    timed = rows.with_columns(pl.col("time").str.to_datetime(_TIME, strict=False).dt.epoch("s").alias("timestamp"))
    wrong = timed.filter(pl.col("timestamp").is_null()).head(1)
    if wrong.height:
        raise InputError(
            "a time reads like 11/11/2019 6:31:04 AM", value=wrong["time"][0], file=file, line=wrong[LINE][0]
        )
    parts = pl.col("impressions").str.extract_groups(r"^(?<item_id>.*)-(?<label>[^-]*)$")
    return _exploded(timed, "impressions").select("user_id", "timestamp", parts.alias("")).unnest("")


def _exploded(rows: pl.DataFrame, column: str) -> pl.DataFrame:
    """One row for each of the words of `column`."""
    return rows.with_columns(pl.col(column).str.split(" ")).explode(column).filter(pl.col(column) != "")


def _no_rows(column: str, **others: type[pl.DataType]) -> pl.DataFrame:
    return pl.DataFrame(schema={"user_id": pl.String, column: pl.String, **others})
