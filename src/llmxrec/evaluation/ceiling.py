"""How far labels can be agreed with at all: what their own contradictions set as the ceiling of any judge."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import combinations, pairwise
from typing import Any

from llmxrec.records import Pair

_MOST_RANKED = 12
"""Texts of one group whose best order is looked for; in a larger one, all labels count as if they could be met."""


@dataclass(frozen=True)
class Ceiling:
    """What the labels of `rows` pairs with a winner say of themselves.

    `repeated` counts the times that two texts labelled before were labelled again, and `disagreeing` the times that
    another one won. `noise` is the share of wrong labels that would explain it, on pairs such as were repeated:
    2 p (1 - p) of two labels differ where each is wrong with probability p; None where nothing was repeated. Of
    `triples` of texts all compared with each other, `cycles` go round. `ranking` is the accuracy of the best order of
    each group's texts, chosen with its labels in view: no judge that is order-free and scores texts can reach more.
    """

    rows: int
    repeated: int
    disagreeing: int
    noise: float | None
    triples: int
    cycles: int
    ranking: float

    def __str__(self) -> str:
        again = f"{self.repeated:,} labelled again, {self.disagreeing:,} of them otherwise"
        again += "" if self.noise is None else f", as if {self.noise:.1%} of such labels were wrong"
        round_ = f"{self.cycles:,} of {self.triples:,} triples go round"
        return f"labels: {again}; {round_}; no order of the texts agrees with more than {self.ranking:.1%} of them"

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def ceiling(pairs: Sequence[Pair]) -> Ceiling | None:
    """What the labels of `pairs` allow; None where no pair has a winner."""
    groups: dict[str, list[tuple[str, str]]] = {}
    for pair in pairs:
        if pair.winner != "tie":
            first, second = pair.case.texts
            groups.setdefault(pair.group, []).append((first, second) if pair.winner == "first" else (second, first))
    rows = sum(map(len, groups.values()))
    if not rows:
        return None
    repeated = disagreeing = triples = cycles = met = 0
    for wins in groups.values():
        labels: dict[frozenset[str], list[str]] = {}
        for better, worse in wins:
            labels.setdefault(frozenset((better, worse)), []).append(better)
        for said in labels.values():
            repeated += len(said) - 1
            disagreeing += sum(one != other for one, other in pairwise(said))
        clear = {both: said[0] for both, said in labels.items() if len(set(said)) == 1 and len(both) == 2}
        for three in combinations(sorted({text for two in wins for text in two}), 3):
            winners = [clear.get(frozenset(two)) for two in combinations(three, 2)]
            if None not in winners:
                triples += 1
                cycles += len(set(winners)) == 3
        met += _most_met(wins)
    rate = disagreeing / repeated if repeated else None
    noise = None if rate is None else (1 - math.sqrt(max(0.0, 1 - 2 * rate))) / 2
    return Ceiling(rows, repeated, disagreeing, noise, triples, cycles, met / rows)


def _most_met(wins: Sequence[tuple[str, str]]) -> int:
    """Labels that the best order of the texts agrees with: for each set of texts, the best with some text last."""
    texts = sorted({text for two in wins for text in two})
    if len(texts) > _MOST_RANKED:
        return len(wins)
    place = {text: number for number, text in enumerate(texts)}
    over = Counter((place[better], place[worse]) for better, worse in wins if better != worse)
    best = [0] * (1 << len(texts))
    for some in range(1, len(best)):
        members = [number for number in range(len(texts)) if some >> number & 1]
        best[some] = max(
            best[some & ~(1 << last)] + sum(over[other, last] for other in members if other != last) for last in members
        )
    return best[-1]
