"""Whether texts tell whose they are, and differ by whose they are: as CSV and for people."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

import polars as pl

from llmxrec.evaluation.bootstrap import Interval
from llmxrec.evaluation.fairness import Contrast, unequal_histories
from llmxrec.evaluation.identifiability import ALL, BY, Identified
from llmxrec.reports.tables import replace_rows
from llmxrec.workspace import Workspace

_OF = {"recommender": pl.String, "dataset": pl.String}

IDENTIFIABILITY = {
    **_OF,
    "who": pl.String,
    "by": pl.String,
    "among": pl.Int64,
    **{f"{name}{end}": pl.Float64 for name in ("recall", "bits") for end in ("", "_low", "_high")},
    "rows": pl.Int64,
    "unread": pl.Int64,
}
"""Identified as a table: nothing where a figure is not a number."""

FAIRNESS = {
    **_OF,
    **dict.fromkeys(("how", "who", "attribute", "group", "against", "measure"), pl.String),
    **{f"{name}{end}": pl.Float64 for name in ("mean", "difference", "adjusted") for end in ("", "_low", "_high")},
    "rows": pl.Int64,
    "unread": pl.Int64,
}
"""Contrast as a table, likewise."""


def write_identified(found: Sequence[Identified], workspace: Workspace, recommender: str) -> Path:
    """Write `found` to tables/identifiability.csv, in place of what it had of `recommender`; returns the file."""
    return _write(plain(found), workspace, "identifiability", recommender, IDENTIFIABILITY, pl.lit(True))


def write_fairness(found: Sequence[Contrast], workspace: Workspace, recommender: str) -> Path:
    """Write `found` to tables/fairness.csv, in place of what it had of the same texts; returns the file."""
    texts = {(one.who, one.attribute) for one in found}
    told = pl.struct("who", "attribute").is_in([{"who": who, "attribute": attribute} for who, attribute in texts])
    return _write(plain(found), workspace, "fairness", recommender, FAIRNESS, told)


def identified_lines(found: Sequence[Identified]) -> list[str]:
    """`found` for people: a line for each generator, and under it the bits of each kind of evidence by itself."""
    if not found:
        return []
    width = max(len(one.who) for one in found)
    among = found[0].among
    lines = [f"{'':<{width}}  {f'R@1 among {among:,}':<21}  bits, of {math.log2(among):.2f}"]
    for who in dict.fromkeys(one.who for one in found):
        by = {one.by: one for one in found if one.who == who}
        whole = by[ALL]
        parts = ", ".join(f"{name} {by[name].bits.value:.2f}" for name in BY if name != ALL)
        unread = f", {whole.unread:,} unread" if whole.unread else ""
        figures = f"{_figure(*whole.recall, '.3f'):<21}  {_figure(*whole.bits, '.2f'):<20}"
        lines.append(f"{who:<{width}}  {figures}  {whole.rows:,} rows{unread}; alone: {parts}")
    return lines


def fairness_lines(found: Sequence[Contrast]) -> list[str]:
    """`found` for people: under each attribute and measure a line for each generator and group."""
    lines: list[str] = []
    for key in dict.fromkeys((one.how, one.attribute, one.measure) for one in found):
        some = [one for one in found if (one.how, one.attribute, one.measure) == key]
        how, attribute, measure = key
        lines.append(f"{measure} by {attribute}" + (", the same prompts flipped" if how == "flipped" else ""))
        lines += [f"  {line}" for line in _lines(some)]
    return [*lines, *unequal_histories(found)]


def plain(found: Sequence[Identified | Contrast]) -> list[dict[str, Any]]:
    """`found` as rows of the tables: None for what is not a number, an interval as three columns."""
    rows = []
    for one in found:
        row: dict[str, Any] = {}
        for key in (field.name for field in fields(one)):
            value = getattr(one, key)
            if isinstance(value, Interval) or key in ("difference", "adjusted"):
                row |= dict(zip((key, f"{key}_low", f"{key}_high"), value or (None,) * 3, strict=True))
            else:
                row[key] = value
        rows.append({key: None if isinstance(v, float) and math.isnan(v) else v for key, v in row.items()})
    return rows


def _lines(some: Sequence[Contrast]) -> list[str]:
    whom = [f"{one.group} - {one.against}" if one.how == "flipped" else one.group for one in some]
    widths = max(len(one.who) for one in some), max(map(len, whom))
    out = []
    for one, group in zip(some, whom, strict=True):
        parts = [_figure(*one.mean, ".2f")]
        if one.difference is not None:
            parts.append(f"difference {_figure(*one.difference, '+.2f')}")
        if one.adjusted is not None:
            parts.append(f"at equal history {_figure(*one.adjusted, '+.2f')}")
        parts.append(f"{one.rows:,} {'pairs' if one.how == 'flipped' else 'rows'}")
        parts += [f"{one.unread:,} unread"] if one.unread else []
        out.append(f"{one.who:<{widths[0]}}  {group:<{widths[1]}}  {', '.join(parts)}")
    return out


def _write(
    rows: Sequence[Mapping[str, Any]],
    workspace: Workspace,
    name: str,
    recommender: str,
    schema: Mapping[str, Any],
    replaced: pl.Expr,
) -> Path:
    """Write `rows` to a table of `workspace`, in place of those of `recommender` that are `replaced`."""
    file, dataset = workspace.table(name), workspace.path.resolve().name
    named = [{"recommender": recommender, "dataset": dataset, **row} for row in rows]
    mine = (pl.col("recommender") == recommender) & replaced
    replace_rows(file, schema, pl.DataFrame(named, schema=schema), mine)
    return file


def _figure(value: float, low: float, high: float, form: str) -> str:
    return "–" if math.isnan(value) else f"{value:{form}} [{low:{form}}, {high:{form}}]"
