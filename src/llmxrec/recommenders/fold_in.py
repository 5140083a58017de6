"""Vectors for histories that were never seen, where a model learned one for each user: by a linear map.

The map is fitted by ridge regression from what a history's items sum up to, to the vectors that the fit gave its users.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from llmxrec.recommenders.dot_product import concatenated
from llmxrec.recommenders.protocol import History, Scores

Features = npt.NDArray[np.float64]

_RIDGE = 1.0
"""In units of one user and of features scaled to a deviation of 1."""
_SOME_USERS = 20_000
"""About as many users are enough to fit the map; more would change nothing but the memory it takes."""


def some_of(n_users: int) -> npt.NDArray[np.int64]:
    """Which of so many users the map is fitted to, evenly spread."""
    return np.arange(0, n_users, max(1, n_users // _SOME_USERS))


def features(histories: Sequence[History], item_vectors: Scores, half_life: float | None = None) -> Features:
    """What the map reads: (n, 3 * size + 1).

    The mean of the items' vectors, their sum over the root of the sum of weights, their sum, and 1; items weighed by
    `weights_by_age`. Who has few items differs from who has many as the three do.
    """
    from llmxrec.recommenders.kernels import weighted_sums

    offsets, items = concatenated(histories)
    lengths = np.diff(offsets)
    weights = weights_by_age(half_life, int(lengths.max(initial=0)))
    sums = np.zeros((len(histories), item_vectors.shape[1]), np.float32)
    weighted_sums(offsets, items, weights, item_vectors, sums)
    totals = np.maximum(np.concatenate([[0.0], np.cumsum(weights)])[lengths], 1.0)[:, None]
    return np.hstack([sums / totals, sums / np.sqrt(totals), sums, np.ones_like(totals)])


def fit(read: Features, vectors: Scores) -> Scores:
    """The map from `features` (users, f) to `vectors` (users, size) with the least squares: (f, size)."""
    deviations = read.std(axis=0)
    scales = np.where(deviations > 0, deviations, 1.0)
    scaled = read / scales
    gram = scaled.T @ scaled + _RIDGE * np.eye(read.shape[1])
    solved: Scores = (np.linalg.solve(gram, scaled.T @ vectors) / scales[:, None]).astype(np.float32)
    return solved


def weights_by_age(half_life: float | None, longest: int) -> Scores:
    """The weight of an interaction by how many later ones the same person has: 1 for none, falling from there."""
    ages = np.arange(longest)
    weights: Scores = np.exp2(-ages / half_life if half_life else 0.0 * ages).astype(np.float32)
    return weights
