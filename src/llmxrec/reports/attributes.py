"""The paper's Table 3: attributes predicted, beside the rules that have to be beaten, as CSV and for people."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import polars as pl

from llmxrec.evaluation.attributes import Accuracy
from llmxrec.reports.tables import replace_rows
from llmxrec.workspace import Workspace

TABLE_3 = {
    "recommender": pl.String,
    "dataset": pl.String,
    "target": pl.String,
    "who": pl.String,
    "accuracy": pl.Float64,
    "low": pl.Float64,
    "high": pl.Float64,
    "rows": pl.Int64,
    "unread": pl.Int64,
    "over_all": pl.Float64,
    "over_all_low": pl.Float64,
    "over_all_high": pl.Float64,
}
"""Accuracy as a table: nothing where a figure is not a number."""


def write_table_3(found: Sequence[Accuracy], workspace: Workspace, recommender: str) -> Path:
    """Write what was `found` to the workspace's table 3, in place of what it had of `recommender`; returns the file."""
    file, dataset = workspace.table("table3"), workspace.path.resolve().name
    rows = [{"recommender": recommender, "dataset": dataset, **asdict(one)} for one in found]
    table = pl.DataFrame(rows, schema=TABLE_3).fill_nan(None)
    replace_rows(file, TABLE_3, table, pl.col("recommender") == recommender)
    return file


def accuracy_lines(found: Sequence[Accuracy]) -> list[str]:
    """`found` for people: under each target a line for each rule and generator, with intervals and what is behind."""
    lines: list[str] = []
    width = max((len(one.who) for one in found), default=0)
    for target in dict.fromkeys(one.target for one in found):
        lines.append(target)
        for one in found:
            if one.target == target:
                read = f"{_share(one.accuracy, one.low, one.high)}  {one.rows:,} rows"
                if one.unread:
                    whole = _share(one.over_all, one.over_all_low, one.over_all_high)
                    read += f", {one.unread:,} unread; {whole} of all"
                lines.append(f"  {one.who:<{width}}  {read}")
    return lines


def _share(value: float, low: float, high: float) -> str:
    return "–" if math.isnan(value) else f"{value:.3f} [{low:.3f}, {high:.3f}]"
