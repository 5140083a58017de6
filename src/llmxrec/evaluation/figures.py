"""Figures over labelled pairs, with intervals drawn over the recommendations that they are about."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from llmxrec.evaluation.bootstrap import Floats, intervals, ratio
from llmxrec.records import Pair

_BINS = 10


@dataclass(frozen=True, slots=True)
class Figure:
    """A mean over `rows` pairs with its 95 % interval: bootstrap over groups. NaN where there are none."""

    value: float
    low: float
    high: float
    rows: int

    def __str__(self) -> str:
        return f"{self.value:.3f} [{self.low:.3f}, {self.high:.3f}]" if self.rows else "not measured"


@dataclass(frozen=True, slots=True)
class Calibration:
    """How far probabilities can be taken at their word, over both orders of each pair.

    `error` is the expected calibration error over ten equal bins of the probability of the winner; `brier` the mean
    square of probability minus outcome: .25 for a judge that always says one half.
    """

    error: float
    brier: float
    rows: int


@dataclass(frozen=True)
class Groups:
    """The group of each pair, by number, so that intervals are drawn over groups."""

    group: npt.NDArray[np.int64]
    n: int
    seed: int

    def mean(self, values: Floats) -> Figure:
        """Over the pairs where there is a value. All figures see the same draws."""
        there = ~np.isnan(values)
        sums = np.zeros((self.n, 2))
        np.add.at(sums, self.group, np.stack([np.where(there, values, 0.0), there.astype(np.float64)], axis=1))
        value, low, high = intervals(sums, lambda s: ratio(s[:, :1], s[:, 1:]), self.seed, "pairs")
        return Figure(float(value[0]), float(low[0]), float(high[0]), int(there.sum()))

    def known(self, values: Floats) -> Figure | None:
        """As `mean`; None where there is no value at all."""
        return None if np.isnan(values).all() else self.mean(values)

    def insight(
        self, scores: Floats, truth: Floats, pairs: Sequence[Pair], strata: Sequence[tuple[str, ...]]
    ) -> Figure | None:
        """Of all two pairs of one stratum with different winners, the share in which the score of the alphabetically
        first generator is the higher where it won; equal scores are half."""
        turned = np.array([1.0 if pair.generators[0] <= pair.generators[1] else -1.0 for pair in pairs])
        score, won = scores * turned, truth * turned > 0
        tables: list[tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], Floats]] = []
        for stratum in sorted({stratum for stratum in strata if stratum}):
            its = np.array([place == stratum for place in strata]) & ~np.isnan(score)
            above, below = np.flatnonzero(its & won), np.flatnonzero(its & ~won)
            if len(above) and len(below):
                higher = (1 + np.sign(score[above][:, None] - score[below][None, :])) / 2
                tables.append((self.group[above], self.group[below], higher))
        if not tables:
            return None

        def share(weights: Floats) -> Floats:
            right = sum(
                ((weights[:, above] @ higher) * weights[:, below]).sum(axis=1) for above, below, higher in tables
            )
            of = sum(weights[:, above].sum(axis=1) * weights[:, below].sum(axis=1) for above, below, _ in tables)
            return ratio(np.asarray(right), np.asarray(of))[:, None]

        value, low, high = intervals(np.eye(self.n), share, self.seed, "pairs")
        rows = sum(len(above) + len(below) for above, below, _ in tables)
        return Figure(float(value[0]), float(low[0]), float(high[0]), rows)


def strata_of(pairs: Sequence[Pair], truth: Floats) -> list[tuple[str, ...]]:
    """For each pair its generators and domain, where either of the two wins at times; else nothing."""
    keys = [
        (*sorted(pair.generators), pair.case.domain.name if pair.case.domain else "") if all(pair.generators) else ()
        for pair in pairs
    ]
    winners: dict[tuple[str, ...], set[str]] = {}
    for key, pair, sign in zip(keys, pairs, truth, strict=True):
        winners.setdefault(key, set()).add(pair.generators[0 if sign > 0 else 1])
    return [key if len(winners[key]) == 2 else () for key in keys]


def calibrated(odds: Floats, truth: Floats) -> Calibration | None:
    """How well `odds` that the first is better, shape (pairs, 2), hold; NaN is left out, None where there are none."""
    there = ~np.isnan(odds)
    if not there.any():
        return None
    first = (np.broadcast_to(truth[:, None], odds.shape) > 0)[there]
    odds = odds[there]
    sure = np.maximum(odds, 1 - odds)
    right = np.where(odds == 0.5, 0.5, (odds > 0.5) == first)
    place = np.minimum((sure - 0.5) * 2 * _BINS, _BINS - 1).astype(np.int64)
    gaps = np.bincount(place, weights=right - sure, minlength=_BINS)
    return Calibration(float(np.abs(gaps).sum() / len(odds)), float(np.square(odds - first).mean()), len(odds))
