"""Progress for whoever waits: rate and time left on a terminal or in a notebook, a line now and then in a log."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from html import escape
from typing import Any

Advance = Callable[[int], None]
"""Call it with the number of steps done since the last call."""

_LOG_EVERY_S = 30.0
_SHOW_EVERY_S = 0.5
"""In a notebook; what takes less is not shown at all."""


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
    """Show how far `what` is, with rate and time left, on standard error, or below the cell of a notebook, where it is
    gone when done. `total` may be unknown (None)."""
    if sys.stderr.isatty():
        yield from _bar(what, total, unit)
    elif (show := _notebook()) is not None:
        yield from _cell(what, total, unit, show)
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


def _notebook() -> Any:
    """IPython's `display` where a notebook runs this; else None."""
    ipython: Any = sys.modules.get("IPython")  # whoever runs a notebook has loaded it
    shell = None if ipython is None else ipython.get_ipython()
    return ipython.display.display if hasattr(shell, "kernel") else None


def _cell(what: str, total: int | None, unit: str, show: Any) -> Iterator[Advance]:
    start = shown = time.monotonic()
    done = 0
    handle: Any = None

    def advance(steps: int, note: str) -> None:
        nonlocal done, shown, handle
        done += steps
        now = time.monotonic()
        if now - shown < _SHOW_EVERY_S:
            return
        shown = now
        words = _words(what, done, total, unit, now - start, note)
        bar = "" if total is None else f'<progress value="{done}" max="{total}"></progress> '
        told = {"text/plain": words, "text/html": f"{bar}{escape(words)}"}
        if handle is None:
            handle = show(told, raw=True, display_id=True)
        else:
            handle.update(told, raw=True)

    try:
        yield Shown(advance)
    finally:
        if handle is not None:
            handle.update({"text/plain": ""}, raw=True)


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
        print(_words(what, done, total, unit, now - start, note), file=sys.stderr, flush=True)

    yield Shown(advance)


def _words(what: str, done: int, total: int | None, unit: str, seconds: float, note: str) -> str:
    """How far `what` is."""
    rate = done / seconds
    left = "" if total is None or not done else f" of {total:,}, {(total - done) / rate:,.0f} s left"
    return f"{what}: {done:,}{left} ({rate:,.1f} {unit}/s){f', {note}' if note else ''}"
