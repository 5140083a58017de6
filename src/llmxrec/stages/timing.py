"""How long work took, kept beside what it made."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from llmxrec.errors import WorkError
from llmxrec.ledger import Ledger
from llmxrec.workspace import Workspace

log = logging.getLogger(__name__)

_ATTEMPTS, _WAIT_S = 20, 0.1


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
        # Two commands in one workspace may end at once. Neither fails for it: the work is done.
        for _ in range(_ATTEMPTS):
            try:
                with Ledger(workspace.times) as ledger:
                    ledger.append(row)
                return
            except WorkError:
                time.sleep(_WAIT_S)
        log.warning("%s: another llmxrec is writing it; how long this took is not kept", workspace.times)
