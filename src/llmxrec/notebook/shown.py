"""How results show themselves, in a terminal and in a notebook: all text from data is made harmless."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from html import escape
from textwrap import indent

import polars as pl

from llmxrec.errors import printable
from llmxrec.prompts.lines import one_line
from llmxrec.reports.sheets import Sheet

_MOST = 40
"""Rows of a table and lines of text that are shown; all of them are in `.table`."""
_CELL = "text-align:left"
_CARD = "border-left:3px solid #7a7a7a;padding:.1em 0 .1em .8em;margin:.6em 0;max-width:46em"


class Shown(ABC):
    """Something that says what it is: `repr` in a few lines, in a notebook with tables."""

    @abstractmethod
    def _lines(self) -> Iterable[str]:
        """For a terminal; they may hold any text."""

    def _blocks(self) -> Iterable[str]:
        """HTML for a notebook."""
        return [f"<pre>{escape(repr(self))}</pre>"]

    def __repr__(self) -> str:
        return printable("\n".join(self._lines()))

    def _repr_html_(self) -> str:
        # No formula in it is set: text that holds two "$" is no mathematics.
        return f'<div class="tex2jax_ignore mathjax_ignore">{"".join(self._blocks())}</div>'


@dataclass(frozen=True, repr=False)
class Card(Shown):
    """One explanation: of what (a title), to whom, and what the recommendation rests on (titles, the strongest first;
    empty where nobody measured that). `marked` are the places of `text` that name these. `stand_in`: that was measured
    on a stand-in for the recommender."""

    user_id: str
    item_id: str
    title: str
    rank: int
    text: str
    status: str
    causes: tuple[str, ...] = ()
    marked: tuple[tuple[int, int], ...] = ()
    stand_in: bool = False

    def _lines(self) -> Iterator[str]:
        causes = f", {self._rests_on}" if self.causes else ""
        yield one_line(f"{self.title}, for {self.user_id}{causes}")
        text = "".join(f"*{part}*" if is_marked else part for part, is_marked in self._pieces())
        yield indent(text if self.status == "ok" else f"({self.status}) {text}", "  ")

    def _blocks(self) -> Iterator[str]:
        text = "".join(
            f"<mark>{escape(part)}</mark>" if is_marked else escape(part) for part, is_marked in self._pieces()
        )
        status = "" if self.status == "ok" else f"<b>({escape(self.status)})</b> "
        causes = f"<br><small>{escape(self._rests_on)}</small>" if self.causes else ""
        head = f"<b>{escape(self.title)}</b> <small>for {escape(self.user_id)}, rank {self.rank}</small>"
        yield f'<div style="{_CARD}">{head}<br>{status}{text}{causes}</div>'

    @property
    def _rests_on(self) -> str:
        return f"rests on{' (by a stand-in)' if self.stand_in else ''}: {'; '.join(self.causes)}"

    def _pieces(self) -> Iterator[tuple[str, bool]]:
        """The text in parts, and whether each is marked."""
        end = 0
        for first, last in self.marked:
            yield self.text[end:first], False
            yield self.text[first:last], True
            end = last
        yield self.text[end:], False


class Cards(tuple[Card, ...], Shown):
    """Some explanations."""

    __repr__ = Shown.__repr__

    def _lines(self) -> Iterator[str]:
        return (line for card in self for line in card._lines())

    def _blocks(self) -> Iterator[str]:
        return (block for card in self for block in card._blocks())


def lines_of(sheet: Sheet) -> list[str]:
    """`sheet` as columns of text, its note below."""
    # Line breaks in a cell would be rows of their own.
    rows = [[one_line(cell) for cell in row] for row in (sheet.head, *sheet.rows)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    return [*lines, *([sheet.note] if sheet.note else [])]


def some(lines: Sequence[str]) -> list[str]:
    """`lines`, or the first of very many."""
    left = len(lines) - _MOST
    return [*lines[:_MOST], *([f"... {left:,} more lines; .table has all figures"] if left > 0 else [])]


def html_of(sheet: Sheet) -> str:
    """`sheet` as a table, its title above and its note below."""
    head = "".join(f'<th style="{_CELL}">{escape(cell)}</th>' for cell in sheet.head)
    body = "".join(
        "<tr>" + "".join(f'<td style="{_CELL}">{escape(cell)}</td>' for cell in row) + "</tr>" for row in sheet.rows
    )
    title = f"<b>{escape(sheet.title)}</b>" if sheet.title else ""
    return f"{title}<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>{html_lines([sheet.note])}"


def html_lines(lines: Iterable[str]) -> str:
    """`lines` as a paragraph; nothing where they are empty."""
    text = "<br>".join(escape(line) for line in lines if line)
    return f"<p>{text}</p>" if text else ""


def sheet_of(title: str, table: pl.DataFrame, note: str = "", *, without: Sequence[str] = ()) -> Sheet:
    """`table` to be read: each figure with its interval (two columns that follow it, `low` and `high`) in one cell.

    Columns in `without` are left out, and rows beyond the first of very many.
    """
    if table.height > _MOST:
        note = " ".join([note, f"{table.height - _MOST:,} more rows are in .table."]).strip()
    names = [name for name in table.columns if name not in without]
    ends = {name for name in names if name.endswith(("low", "high"))}
    bounds = {name: [end for end in names[place + 1 : place + 3] if end in ends] for place, name in enumerate(names)}
    head = [name for name in names if name not in ends]
    rows = [
        tuple(_cell(row[name], *(row[end] for end in bounds[name])) for name in head)
        for row in table.head(_MOST).iter_rows(named=True)
    ]
    return Sheet("", title, tuple(name.replace("_", " ") for name in head), tuple(rows), note)


def _cell(value: object, low: object = None, high: object = None) -> str:
    if value is None:
        return "–"
    figure = f"{value:.3f}" if isinstance(value, float) else f"{value:,}" if isinstance(value, int) else str(value)
    return figure if low is None or high is None else f"{figure} [{low:.3f}, {high:.3f}]"
