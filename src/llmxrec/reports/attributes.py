"""The paper's Table 3: attributes predicted, beside the rules that have to be beaten, as CSV and for people."""

from __future__ import annotations

import math
from collections.abc import Hashable, Iterable, Sequence
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
    "beside": pl.String,
}
"""Accuracy as a table: nothing where a figure is not a number. Of a rule, `beside` has the generators whose rows it is
measured on."""


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
    apart = asked_apart((one.target, one.beside) for one in found)
    names = [rule_name(one.who, one.beside if apart else "") for one in found]
    width = max(map(len, names), default=0)
    for target in dict.fromkeys(one.target for one in found):
        lines.append(target)
        for one, name in zip(found, names, strict=True):
            if one.target == target:
                read = f"{_share(one.accuracy, one.low, one.high)}  {one.rows:,} rows"
                if one.unread:
                    whole = _share(one.over_all, one.over_all_low, one.over_all_high)
                    read += f", {one.unread:,} unread; {whole} of all"
                lines.append(f"  {name:<{width}}  {read}")
    return lines


def asked_apart(rules: Iterable[tuple[Hashable, str]]) -> bool:
    """Whether any of `rules` (of what, beside whom) stand beside some generators only: others were asked of other rows.

    Those beside nobody are generators.
    """
    sets = {(target, beside) for target, beside in rules if beside}
    return len(sets) > len({target for target, _ in sets})


def rule_name(who: str, beside: str) -> str:
    """What a rule is called where it stands `beside` some generators and not beside others (empty: beside all)."""
    return f"{who}, rows of {beside}" if beside else who


def _share(value: float, low: float, high: float) -> str:
    return "–" if math.isnan(value) else f"{value:.3f} [{low:.3f}, {high:.3f}]"
