"""What the auditor looks at: workspaces, as records, and files that came with them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from llmxrec.evaluation.material import Part
from llmxrec.records import Pair


@dataclass(frozen=True, slots=True)
class Tuned:
    """A row that a generator was tuned on: what it was asked, in words, and what it was to answer."""

    asked: str
    target: str


@dataclass(frozen=True, slots=True)
class Claim:
    """An accuracy that somebody reports, from 0 to 1.

    `measure` is an attribute of users, or `judge`: agreement with the labels of pairs. `rows` is 0 where unknown.
    """

    measure: str
    accuracy: float
    source: str = ""
    rows: int = 0


@dataclass(frozen=True)
class Material:
    """All that is looked at together. Parts of other datasets help to tell where an answer belongs."""

    parts: Sequence[Part] = ()
    tuned: Sequence[Tuned] = ()
    pairs: Sequence[Pair] = ()
    claims: Sequence[Claim] = ()
