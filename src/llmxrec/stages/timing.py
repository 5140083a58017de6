"""How long work took, kept beside what it made."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from llmxrec.ledger import Ledger
from llmxrec.workspace import Workspace


@contextmanager
def timed(workspace: Workspace, stage: str, recommender: str, who: str = "") -> Iterator[Callable[[int], None]]:
    """Time what is done within, for `times.jsonl`. It is given a function that is to be told of how many rows it was.

    Nothing is kept of work that was stopped or failed, or that did no rows.
    """
    told: list[int] = []
    began = time.perf_counter()
    yield told.append
    seconds = time.perf_counter() - began
    if sum(told):
        row = {"stage": stage, "recommender": recommender, "who": who, "rows": sum(told), "seconds": round(seconds, 3)}
        with Ledger(workspace.times) as ledger:
            ledger.append(row)
