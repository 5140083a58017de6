"""Ranking metrics for one held-out item per user, each with its interval and its number of rows."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl

from llmxrec.seeds import derive

_DRAWS = 1000

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Metric:
    """A mean over `rows` users with its 95 % interval. Coverage is a count, of all the items recommended to them."""

    name: str
    value: float
    low: float
    high: float
    rows: int

    def __str__(self) -> str:
        form = ".0f" if self.name.startswith("coverage") else ".4f"
        return f"{self.name} {self.value:{form}} [{self.low:{form}}, {self.high:{form}}]"


def evaluate(recommendations: pl.DataFrame, held_out: pl.DataFrame, k: int = 10, seed: int = 1) -> list[Metric]:
    """Recall@k, NDCG@k, MRR@k and coverage@k over the users of `held_out` (user_id, item_id; one row each).

    With r the rank of a user's held-out item among all items not seen before, and 0 for each where r > k:
    Recall@k = 1, NDCG@k = 1 / log2(r + 1), MRR@k = 1 / r. Coverage@k is the number of distinct items recommended
    within k. Users without recommendations count as 0. Intervals are of 95 %: percentile bootstrap over users, and for
    coverage jackknife over users.
    """
    within = recommendations.filter(pl.col("rank") <= k)
    ranks = (
        held_out.select("user_id", "item_id")
        .join(within, on=["user_id", "item_id"], how="left", maintain_order="left")["rank"]
        .cast(pl.Float64)
        .to_numpy()
    )
    hit = ~np.isnan(ranks)
    rank = np.where(hit, ranks, 1.0)
    values = {"Recall": hit * 1.0, "NDCG": hit / np.log2(rank + 1), "MRR": hit / rank}
    metrics = [_mean(f"{name}@{k}", gains, seed) for name, gains in values.items()]
    return [*metrics, _coverage(within, held_out, k)]


def _mean(name: str, gains: Floats, seed: int) -> Metric:
    """The mean of `gains`, and the 2.5th and 97.5th percentile of it over users drawn with replacement."""
    if not len(gains):
        return Metric(name, 0.0, 0.0, 0.0, 0)
    draw = np.random.Generator(np.random.PCG64(derive(seed, "bootstrap", name)))
    means = [gains[draw.integers(0, len(gains), len(gains))].mean() for _ in range(_DRAWS)]
    low, high = np.percentile(means, [2.5, 97.5])
    return Metric(name, float(gains.mean()), float(low), float(high), len(gains))


def _coverage(within: pl.DataFrame, held_out: pl.DataFrame, k: int) -> Metric:
    """Distinct items, with a jackknife interval: drawing users with replacement would always find fewer items."""
    shown = within.join(held_out.select("user_id"), on="user_id", how="semi")
    distinct, n = shown["item_id"].n_unique(), held_out.height
    # Without one user, the items go that nobody else was recommended.
    alone = shown.filter(pl.len().over("item_id") == 1).group_by("user_id").len()["len"].to_numpy()
    lost = np.concatenate([alone, np.zeros(n - len(alone))]).astype(float)
    error = float(np.sqrt((n - 1) / n * np.square(lost - lost.mean()).sum())) if n else 0.0
    low, high = max(0.0, distinct - 1.96 * error), distinct + 1.96 * error
    return Metric(f"coverage@{k}", float(distinct), low, high, n)
