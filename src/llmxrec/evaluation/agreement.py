"""How far two judges, or a judge and people, say the same: accuracy, Cohen's kappa, Krippendorff's alpha.

All on what both were asked, with intervals of 95 % over users.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import polars as pl

from llmxrec.errors import InputError
from llmxrec.evaluation.bootstrap import Floats, clusters, intervals, ratio, sums_by_user
from llmxrec.evaluation.ranking import mean
from llmxrec.recommenders.metrics import Metric

Level = Literal["nominal", "ordinal", "interval"]
"""What numbers mean: names only, an order, or an order with distances."""

_PAIR = ["recommender", "user_id", "item_id", "a", "b"]


@dataclass(frozen=True)
class Agreement:
    """How far one side agrees with another, taken as the reference.

    accuracy: of the pairs that the reference does not call a tie, the share with the same winner; a tie is half right.
    kappa: Cohen's, of the three outcomes a, tie and b. alpha: Krippendorff's, nominal, of the same, each row a unit.
    1 is full agreement, 0 what chance gives, below 0 less than that. `rows` of each are the pairs behind it; NaN where
    it is not defined: no pairs, or all of one outcome.
    """

    accuracy: Metric
    kappa: Metric
    alpha: Metric

    def __str__(self) -> str:
        return f"{self.accuracy}, {self.kappa}, {self.alpha}, {self.kappa.rows:,} pairs"


def agreement(one: pl.DataFrame, reference: pl.DataFrame, seed: int = 1) -> Agreement:
    """How far the outcomes `one` (see `ranking.outcomes`) agree with those of `reference`, on the pairs that both hold.

    Where several raters said something of a pair, each is compared with each of the other side.
    """
    both = (
        one.select(*_PAIR, "points")
        .join(reference.select(*_PAIR, pl.col("points").alias("true")), on=_PAIR)
        .sort(*_PAIR, "points", "true")
    )
    decided = both.filter(pl.col("true") != 0.5)
    hits = (1 - (decided["points"] - decided["true"]).abs()).to_numpy()
    said = (both["points"] * 2).cast(pl.Int64).to_numpy()
    true = (both["true"] * 2).cast(pl.Int64).to_numpy()
    user, users = clusters(both["user_id"])
    # Each row as a one in a table of 3 x 3: sums of these are all that kappa and alpha take.
    table = np.zeros((both.height, 3, 3))
    table[np.arange(both.height), said, true] = 1.0
    sums = sums_by_user(table, user, users)
    found = {}
    for name, statistic in (("kappa", _kappa), ("alpha", _nominal_alpha_of_two)):
        value, low, high = intervals(sums, statistic, seed, name)
        found[name] = Metric(name, float(value), float(low), float(high), both.height)
    return Agreement(mean("accuracy", hits, decided["user_id"], seed), **found)


def alpha_of_outcomes(outcomes: pl.DataFrame, seed: int = 1) -> Metric:
    """Krippendorff's nominal alpha among all who judged the same pairs (see `ranking.outcomes`): judges and raters."""
    who = pl.concat_str("judge", "rater", separator="\x1f")
    unit = pl.concat_str(_PAIR, separator="\x1f")
    return alpha(outcomes.select("user_id", unit.alias("unit"), who.alias("rater"), value="points"), "nominal", seed)


def alpha(ratings: pl.DataFrame, level: Level, seed: int = 1) -> Metric:
    """Krippendorff's alpha of `ratings`: unit (what is rated), rater, value (a number), user_id (whom it is about).

    1: all raters agree; 0: as far as chance; below: less. Units rated once say nothing; `rows` counts the ratings of
    the others. NaN where all values are the same. Any number of raters, and any of them may be missing (Krippendorff
    2011, "Computing Krippendorff's alpha-reliability"). Raises InputError where somebody rated a unit twice.
    """
    twice = ratings.filter(pl.struct("unit", "rater").is_duplicated())
    if twice.height:
        row = twice.row(0, named=True)
        raise InputError("a rater rates a thing once", value=f"{row['rater']}: {row['unit']}", cure="keep one of them")
    shared = ratings.filter(pl.col("value").is_not_null()).filter(pl.len().over("unit") > 1)
    levels = shared["value"].cast(pl.Float64).unique().sort()
    size = len(levels)
    coded = shared.with_columns(
        pl.col("value").cast(pl.Float64).rank("dense").cast(pl.Int64).alias("code") - 1,
        pl.len().over("unit").alias("raters"),
    ).select("unit", "user_id", "rater", "code", "raters")
    # Coincidences: each ordered pair of ratings of a unit counts 1 / (raters - 1).
    paired = coded.join(coded.select("unit", "rater", other="code"), on="unit").filter(
        pl.col("rater") != pl.col("rater_right")
    )
    user, users = clusters(paired["user_id"])
    cell = paired["code"].to_numpy() * size + paired["other"].to_numpy()
    weights = 1.0 / (paired["raters"].to_numpy() - 1)
    flat: Floats = np.bincount(user * size**2 + cell, weights=weights, minlength=users * size**2).astype(np.float64)
    sums = flat.reshape(users, size, size)

    def statistic(summed: Floats) -> Floats:
        return _alpha(summed, levels.to_numpy(), level)

    value, low, high = intervals(sums, statistic, seed, f"alpha {level}")
    return Metric(f"alpha, {level}", float(value), float(low), float(high), shared.height)


def _alpha(coincidences: Floats, levels: Floats, level: Level) -> Floats:
    """1 - observed / expected disagreement, from coincidences (draws, v, v) of the values `levels`."""
    totals = coincidences.sum(axis=2)
    n = totals.sum(axis=1)
    distances = _squared_distances(totals, levels, level)
    observed = (coincidences * distances).sum(axis=(1, 2))
    expected = (totals[:, :, None] * totals[:, None, :] * distances).sum(axis=(1, 2)) / np.maximum(n - 1, 1)
    return 1 - ratio(observed, expected)


def _squared_distances(totals: Floats, levels: Floats, level: Level) -> Floats:
    """(draws, v, v). Of ordinal values: how many values lie between, counting half of each of the two themselves."""
    if level == "nominal":
        return np.broadcast_to(1 - np.eye(len(levels)), (len(totals), len(levels), len(levels)))
    if level == "interval":
        return np.broadcast_to(np.square(levels[:, None] - levels[None, :]), (len(totals), len(levels), len(levels)))
    middle = np.cumsum(totals, axis=1) - totals / 2
    out: Floats = np.square(middle[:, :, None] - middle[:, None, :])
    return out


def _kappa(table: Floats) -> Floats:
    """Cohen's kappa from tables of counts (draws, 3, 3)."""
    n = table.sum(axis=(1, 2))
    observed = ratio(np.trace(table, axis1=1, axis2=2), n)
    chance = ratio((table.sum(axis=1) * table.sum(axis=2)).sum(axis=1), n * n)
    # All of one outcome: chance alone agrees fully, and kappa is 0 / 0.
    return ratio(observed - chance, np.where(chance < 1 - 1e-12, 1 - chance, 0.0))


def _nominal_alpha_of_two(table: Floats) -> Floats:
    return _alpha(table + table.transpose(0, 2, 1), np.arange(3.0), "nominal")
