"""What a judge is. The conformance suite in `llmxrec.testing` checks every implementation, yours too."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Protocol, runtime_checkable

from llmxrec.records import Case, Pair, Ruling


class Judge(Protocol):
    """Compares explanations of one recommendation.

    `name` stands in tables and file names. `order_free`: by construction, what it says does not depend on the order in
    which two texts are shown.
    """

    name: str
    order_free: bool

    def judge(self, cases: Iterable[Case]) -> Iterator[Ruling]:
        """Compare every two texts of each case: in both orders, one ruling each; an order-free judge in one, the first
        of them first.

        Cases are drawn as they are needed and rulings given out as they come, those of a case together. What cannot
        be read is a ruling without a winner, never an exception; WorkError is for what would go wrong with all the
        rest too.
        """
        ...


@runtime_checkable
class Learner(Protocol):
    """A judge that learns from labelled pairs before it judges. `trained`: it has."""

    @property
    def trained(self) -> bool: ...

    def fit(self, pairs: Sequence[Pair]) -> None:
        """Learn from `pairs`, each in both orders or without any, so that no place is preferred. Seeded.

        Raises InputError where there are too few of them.
        """
        ...


@runtime_checkable
class Taught(Protocol):
    """A judge that knows the pairs which it learned from before it came here.

    `groups`: the recommendations that these are about (see `pairs.groups_of`). It is not measured on them.
    """

    @property
    def groups(self) -> frozenset[str]: ...
