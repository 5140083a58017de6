"""A workspace on one screen: some explanations with what they rest on, and how the generators stand."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from rich.console import Group, RenderableType
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from llmxrec.errors import printable
from llmxrec.evaluation.faithfulness import FLIP
from llmxrec.reports.faithfulness import FAITHFULNESS
from llmxrec.reports.page import rows_of
from llmxrec.reports.tables import bounds, label_of, read_table, table_2, winner
from llmxrec.workspace import Workspace

_BETWEEN = 97
"""Recommendations between one that is shown and the next: a table begins with people who are alike."""


def screen(workspace: Workspace, recommender: str, generator: str, examples: int = 3) -> Group:
    """`examples` texts of `generator` about what `recommender` recommends, and a table of all generators.

    The items that a recommendation rests on are marked where a text names them.
    """
    rows = [row for row in rows_of(workspace, recommender) if generator in row["texts"]]
    shown = (rows * (_BETWEEN * examples // max(1, len(rows)) + 1))[:: _BETWEEN if len(rows) > examples else 1]
    panels = [_panel(row, generator) for row in shown[:examples]]
    return Group(*panels, *_generators(workspace, recommender))


def _panel(row: Mapping[str, Any], generator: str) -> Panel:
    told = row["texts"][generator]
    status = row["ended"].get(generator)
    text = Text(printable(f"({status}) {told}" if status else told))
    for title in filter(None, map(printable, row["causes"])):
        text.highlight_regex(rf"(?<!\w){re.escape(title)}(?!\w)", "bold green")
    rests_on = Text(f"rests on: {', '.join(map(printable, row['causes'])) or 'nothing that few items could displace'}")
    rests_on.stylize("dim")
    heading = Text(printable(f"{row['item']}, for {row['user']}"), "bold")
    return Panel(Group(text, rests_on), title=heading, title_align="left", border_style="dim")


def _generators(workspace: Workspace, recommender: str) -> Iterator[RenderableType]:
    """A row for each generator of the first judge's table, and who wins, or why nobody does."""
    scores = table_2({workspace.path.resolve().name: workspace}).filter(recommender=recommender)
    if scores.is_empty():
        return
    source = scores["source"][0]
    scores = scores.filter(source=source).sort("win_ratio", descending=True, nulls_last=True)
    flips = _flips(workspace, recommender)
    table = Table(box=None, header_style="bold", pad_edge=False)
    for head in ("generator", "wins", "falls without what it cites", "without as many at random", "rows"):
        table.add_column(head, justify="left" if head == "generator" else "right")
    for row in scores.iter_rows(named=True):
        cited, random = (flips.get((row["generator"], removed), "–") for removed in ("cited", "random"))
        table.add_row(printable(row["generator"]), bounds(row, "win_ratio"), cited, random, f"{row['rows']:,}")
    yield table
    yield Text(f"compared by {source}: {winner(workspace, recommender, label_of(source), scores)}; a coin wins .500")


def _flips(workspace: Workspace, recommender: str) -> dict[tuple[str, str], str]:
    """How often a recommendation falls, by generator and by what is taken away, where that was measured."""
    table = read_table(workspace.table("faithfulness"), FAITHFULNESS).filter(recommender=recommender, measure=FLIP)
    return {(row["generator"], row["removed"]): _figure(row) for row in table.iter_rows(named=True)}


def _figure(row: Mapping[str, Any]) -> str:
    figures: Sequence[Any] = [row[name] for name in ("value", "low", "high")]
    return "–" if None in figures else "{:.3f} [{:.3f}, {:.3f}]".format(*figures)
