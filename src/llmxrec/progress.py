"""Progress for whoever waits: rate and time left on a terminal, a line now and then in a log, nothing in a test."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

Advance = Callable[[int], None]
"""Call it with the number of steps done since the last call."""

_LOG_EVERY_S = 30.0


def quiet(_steps: int) -> None:
    """An `Advance` that shows nothing."""


class Shown:
    """An `Advance` that somebody sees, with a word on how it goes."""

    def __init__(self, show: Callable[[int, str], None]) -> None:
        self._show = show
        self.note = ""

    def __call__(self, steps: int) -> None:
        self._show(steps, self.note)


def note(advance: Advance, words: str) -> None:
    """Have `advance`, if anybody sees it, say `words` beside the number of steps from now on."""
    if isinstance(advance, Shown):
        advance.note = words


@contextmanager
def progress(what: str, total: int | None, unit: str = "rows") -> Iterator[Advance]:
    """Show how far `what` is, with rate and time left, on standard error. `total` may be unknown (None)."""
    if sys.stderr.isatty():
        yield from _bar(what, total, unit)
    else:
        yield from _lines(what, total, unit)


def _bar(what: str, total: int | None, unit: str) -> Iterator[Advance]:
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        ProgressColumn,
        Task,
        TextColumn,
        TimeRemainingColumn,
    )
    from rich.text import Text

    class Rate(ProgressColumn):
        def render(self, task: Task) -> Text:
            speed = task.finished_speed or task.speed
            return Text("" if speed is None else f"{speed:,.0f} {unit}/s" if speed >= 10 else f"{speed:.1f} {unit}/s")

    words = (TextColumn("{task.description}"), TextColumn("{task.fields[note]}"))
    columns = (*words, BarColumn(), MofNCompleteColumn(), Rate(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(what, total=total, note="")
        yield Shown(lambda steps, note: bar.update(task, advance=steps, note=note))


def _lines(what: str, total: int | None, unit: str) -> Iterator[Advance]:
    start = shown = time.monotonic()
    done = 0

    def advance(steps: int, note: str) -> None:
        nonlocal done, shown
        done += steps
        now = time.monotonic()
        if now - shown < _LOG_EVERY_S:
            return
        shown = now
        rate = done / (now - start)
        left = "" if total is None or not done else f" of {total:,}, {(total - done) / rate:,.0f} s left"
        said = f", {note}" if note else ""
        print(f"{what}: {done:,}{left} ({rate:,.1f} {unit}/s){said}", file=sys.stderr, flush=True)

    yield Shown(advance)
