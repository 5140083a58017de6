"""What a study tells of itself: its raters, its state, how far it is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from llmxrec.errors import InputError
from llmxrec.study.answers import Answer

RaterKind = Literal["third-party", "self"]

State = Literal["open", "paused", "closed"]
"""open: tasks are given out. paused: none for now. closed: none any more, for good. What was begun may be finished
while the study is not closed."""

Outcome = Literal["stored", "already stored", "refused"]
"""How a submit ended. refused: the study is closed or the rater is excluded; nothing was stored."""

LATE = "late: its place had been given to another"
"""Why an answer is kept, but left out of the results."""


class UnknownTask(InputError):
    """There is no such task, or it is another rater's."""

    def __init__(self) -> None:
        super().__init__("a task is answered by the rater whom it was given to", cure="ask for the next task")


@dataclass(frozen=True, slots=True)
class Rater:
    """Somebody who was invited. A self-rater is the person `user_id` of the dataset, and rates what they were
    recommended themselves."""

    rater_id: str
    kind: RaterKind
    name: str
    user_id: str | None
    expires_at: float | None
    excluded_reason: str | None


@dataclass(frozen=True, slots=True)
class StoredAnswer:
    """What is stored of a task."""

    answer: Answer
    stored_at: float


@dataclass(frozen=True, slots=True)
class Standing:
    """How far a rater is: tasks `done`, of how many there will be at most, checks among them.

    `left`: the study is open, and there is something for them to do at this moment.
    """

    done: int
    of: int
    state: State
    excluded_reason: str | None
    left: bool


@dataclass(frozen=True, slots=True)
class RaterProgress:
    """What a rater did. `late` answers are left out of the results; `seconds` is the median of a task, None without.

    `passed` of `checks` (attention checks and gold tasks) were answered as they should be.
    """

    rater: Rater
    done: int
    late: int
    passed: int
    checks: int
    seconds: float | None
    last_at: float | None


@dataclass(frozen=True, slots=True)
class CellProgress:
    """Of one cell: answers that count, places held for raters now, and how many answers it is to have.

    A cell that is for self-raters only has the quota 0.
    """

    user_id: str
    item_id: str
    generators: tuple[str, ...]
    stored: int
    held: int
    quota: int


@dataclass(frozen=True, slots=True)
class Progress:
    """How far the study is: `stored` answers that count of `quota`, those of self-raters apart."""

    state: State
    stored: int
    quota: int
    by_self: int
    raters: tuple[RaterProgress, ...]
    cells: tuple[CellProgress, ...]
    unblinded_at: float | None
    unblinded_by: str | None

    @property
    def complete(self) -> bool:
        """Whether each cell has its quota."""
        return self.stored == self.quota


@dataclass(frozen=True, slots=True)
class Event:
    """Something that was done to the study: when, by whom, and what."""

    at: float
    who: str
    what: str
