"""Faithfulness as a table, and for people."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from pathlib import Path

import polars as pl

from llmxrec.evaluation.faithfulness import CITED, Faithfulness
from llmxrec.recommenders.metrics import Metric
from llmxrec.reports.tables import replace_rows
from llmxrec.workspace import Workspace

FAITHFULNESS = {
    "recommender": pl.String,
    "generator": pl.String,
    "removed": pl.String,
    "measure": pl.String,
    "value": pl.Float64,
    "low": pl.Float64,
    "high": pl.Float64,
    "rows": pl.Int64,
    "unread": pl.Int64,
    "surrogate": pl.Boolean,
}
"""A row for each measure (see `evaluation.faithfulness`); `removed` is empty for what is of the texts alone."""


def write_faithfulness(
    found: Mapping[str, Mapping[str, Faithfulness]], surrogates: Mapping[str, bool], workspace: Workspace
) -> Path:
    """Write `found`, by recommender and generator, to tables/faithfulness.csv, in place of what it had of these
    recommenders; returns the file.
    """
    rows = [
        (recommender, generator, removed, metric.name, metric.value, metric.low, metric.high, metric.rows, one.unread,
         stand_in)
        for recommender, by_generator in found.items()
        for stand_in in [surrogates[recommender]]
        for generator, one in by_generator.items()
        for removed, metric in _metrics(one)
    ]  # fmt: skip
    table = pl.DataFrame(rows, schema=FAITHFULNESS, orient="row").fill_nan(None)
    file = workspace.table("faithfulness")
    replace_rows(file, FAITHFULNESS, table, pl.col("recommender").is_in(list(found)))
    return file


def faithfulness_lines(recommender: str, generator: str, found: Faithfulness) -> Iterator[str]:
    """`found` for people: what is cited, and what becomes of recommendations without that or without as many others."""
    yield (
        f"{recommender} x {generator}: {_share(found.citing)} of {found.citing.rows:,} texts cite the history, "
        f"{_plain(found.items)} items each; they cite {_share(found.coverage)} of what the recommendation rests on"
        f"{f'; {found.unread:,} unread' if found.unread else ''}"
    )
    for one in found.removals:
        figures = ", ".join(f"{metric.name} {_plain(metric)}" for metric in (one.flip, one.pos, one.neg, one.drop))
        yield f"  {'as many, ' if one.removed != CITED else ''}{one.removed}: {figures}"


def _metrics(one: Faithfulness) -> Iterator[tuple[str, Metric]]:
    for metric in (one.citing, one.items, one.coverage):
        yield "", metric
    for removal in one.removals:
        for metric in (removal.flip, removal.pos, removal.neg, removal.drop):
            yield removal.removed, metric


def _plain(metric: Metric) -> str:
    return "–" if math.isnan(metric.value) else f"{metric.value:.3f} [{metric.low:.3f}, {metric.high:.3f}]"


def _share(metric: Metric) -> str:
    return "–" if math.isnan(metric.value) else f"{metric.value:.1%} [{metric.low:.1%}, {metric.high:.1%}]"
