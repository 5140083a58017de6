"""The leave-one-out split: of each person's items, the last is for testing and the one before for choosing by."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl

from llmxrec.datasets.dataset import Dataset
from llmxrec.errors import InputError


@dataclass(frozen=True)
class Split:
    """Interactions in three parts, each in the order of the dataset. `kept_out` people are in `train` only."""

    train: pl.DataFrame
    validation: pl.DataFrame
    test: pl.DataFrame
    kept_out: int


def leave_one_out(dataset: Dataset, min_items: int = 3) -> Split:
    """Hold out the last item of everyone who has at least `min_items` for `test`, the one before for `validation`.

    Last by time; undated interactions come first, and equal times go by their place in the table. Those who have
    fewer items keep them all in `train` and are counted in `kept_out`. Raises InputError for `min_items` below 3.
    """
    if min_items < 3:
        raise InputError(
            "a person has an item to learn from, one to choose by and one to test with",
            value=min_items,
            cure="give min_items of 3 or more",
        )
    rows = dataset.interactions.with_row_index("#row")
    rows = rows.with_columns((pl.len().over("user_id") >= min_items).alias("#many"))
    latest = rows.filter("#many").sort("timestamp", nulls_last=False, maintain_order=True)
    test = latest.filter(pl.col("user_id").is_last_distinct())
    before = latest.filter(~pl.col("user_id").is_last_distinct())
    validation = before.filter(pl.col("user_id").is_last_distinct())
    part = np.zeros(rows.height, np.int8)
    part[validation["#row"].to_numpy()] = 1
    part[test["#row"].to_numpy()] = 2
    train_rows, validation_rows, test_rows = (dataset.interactions.filter(pl.Series(part == n)) for n in (0, 1, 2))
    kept_out = rows.filter(~pl.col("#many"))["user_id"].n_unique()
    return Split(train_rows, validation_rows, test_rows, kept_out)
