"""Intervals of statistics over rows that belong to users: users are drawn with replacement, with all of their rows."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import polars as pl

from llmxrec.seeds import derive

Floats = npt.NDArray[np.float64]


class Interval(NamedTuple):
    """A figure and its 95 % interval over users; NaN where there is nothing to measure."""

    value: float
    low: float
    high: float


DRAWS = 1000
"""Times that users are drawn, by default."""

_CELLS = 1 << 24
"""Weights held at once, at most: 128 MiB."""


def clusters(users: pl.Series) -> tuple[npt.NDArray[np.int64], int]:
    """The number of each row's user, from 0 by first appearance, and how many users there are."""
    distinct = users.unique(maintain_order=True)
    numbered = pl.DataFrame({"user": distinct, "number": np.arange(len(distinct), dtype=np.int64)})
    rows = pl.DataFrame({"user": users}).join(numbered, on="user", maintain_order="left", nulls_equal=True)
    return rows["number"].to_numpy(), len(distinct)


def sums_by_user(values: Floats, user: npt.NDArray[np.int64], n_users: int) -> Floats:
    """`values`, shape (rows, ...), summed over the rows of each user: (users, ...)."""
    out = np.zeros((n_users, *values.shape[1:]))
    np.add.at(out, user, values)
    return out


def intervals(
    sums: Floats, statistic: Callable[[Floats], Floats], seed: int, name: str, draws: int = DRAWS
) -> tuple[Floats, Floats, Floats]:
    """`statistic` of the sums over all users, and its 95 % interval: value, low, high, each of the statistic's shape.

    `sums` has a row for each user; `statistic` takes sums over users, one row a draw, and returns a row for each, NaN
    where it is not defined; such draws are left out, and what has no others is NaN. Percentile bootstrap over users.
    """
    value = statistic(sums.sum(axis=0, keepdims=True))[0]
    users, shape = len(sums), sums.shape[1:]
    flat = sums.reshape(users, math.prod(shape))
    if not users:
        return value, np.full_like(value, np.nan), np.full_like(value, np.nan)
    draw = np.random.Generator(np.random.PCG64(derive(seed, "bootstrap", name)))
    parts = []
    at_once = max(1, _CELLS // users)
    for done in range(0, draws, at_once):
        count = min(at_once, draws - done)
        drawn = draw.integers(0, users, (count, users)) + users * np.arange(count)[:, None]
        weights = np.bincount(drawn.ravel(), minlength=count * users).reshape(count, users)
        parts.append(statistic((weights.astype(np.float64) @ flat).reshape(count, *shape)))
    low, high = _percentiles(np.concatenate(parts))
    return value, low, high


def _percentiles(drawn: Floats) -> tuple[Floats, Floats]:
    """The 2.5th and the 97.5th percentile along the first axis, of what is not NaN."""
    flat = drawn.reshape(len(drawn), math.prod(drawn.shape[1:]))
    out = np.full((2, flat.shape[1]), np.nan)
    for column in range(flat.shape[1]):
        known = flat[~np.isnan(flat[:, column]), column]
        if len(known):
            out[:, column] = np.percentile(known, [2.5, 97.5])
    shape = drawn.shape[1:]
    return out[0].reshape(shape), out[1].reshape(shape)


def ratio(above: Floats, below: Floats) -> Floats:
    """`above / below`, NaN where `below` is 0."""
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(below > 0, above / np.where(below > 0, below, 1.0), np.nan)
