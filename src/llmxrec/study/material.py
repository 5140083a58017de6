"""What a study puts before people: recommendations, their explanations, and tasks whose answer is known."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from llmxrec.evaluation.ratings import SCALES as SCALES
from llmxrec.records import Domain, Instruction, Winner


@dataclass(frozen=True, slots=True)
class StudyRow:
    """A recommendation and what each generator said of it: generator -> text.

    `self_only`: it is shown to the person whom it was made for, and to nobody else.
    """

    instruction: Instruction
    texts: Mapping[str, str]
    self_only: bool = False


@dataclass(frozen=True, slots=True)
class Gold:
    """A task whose answer is known. One text is to be scored, of two the better is to be named.

    `expected` has for scales the lowest and the highest score that is right; `winner` says which of two texts is
    better, in the order given here (the order shown is drawn anew).
    """

    instruction: Instruction
    texts: tuple[str, ...]
    expected: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    winner: Winner | None = None


@dataclass(frozen=True, slots=True)
class Material:
    """All that a study puts before people. Rows are told apart by their user and item."""

    domain: Domain
    rows: tuple[StudyRow, ...]
    gold: tuple[Gold, ...] = ()
