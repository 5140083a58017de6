"""The inner loops, compiled. Imported when they are needed, since numba takes half a second to load."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, cast

import numpy as np

from llmxrec.errors import MissingExtra

try:
    from numba import int64, njit, uint64
except ImportError:
    raise MissingExtra("training a recommender", "train") from None

# A whole epoch is one call. Random numbers come from splitmix64, whose state is handed in and left changed: the same
# seed takes the same steps, and nothing global is touched.

F = TypeVar("F", bound=Callable[..., Any])


def _compiled(function: F) -> F:
    try:
        return cast(F, njit(cache=True)(function))
    except RuntimeError:  # a read-only installation has no place for compiled code: it is compiled in every run
        return cast(F, njit(function))


@_compiled
def _below(state: Any, n: Any) -> Any:
    """A random integer from 0 to n - 1."""
    state[0] += uint64(0x9E3779B97F4A7C15)
    z = state[0]
    z = (z ^ (z >> uint64(30))) * uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> uint64(27))) * uint64(0x94D049BB133111EB)
    z = z ^ (z >> uint64(31))
    return int64(((z >> uint64(32)) * uint64(n)) >> uint64(32))


@_compiled
def shuffle(order: Any, state: Any) -> None:
    """Put `order` into a random order (Fisher-Yates)."""
    for last in range(len(order) - 1, 0, -1):
        other = _below(state, last + 1)
        order[last], order[other] = order[other], order[last]


@_compiled
def bpr_epoch(
    order: Any,
    users: Any,
    items: Any,
    offsets: Any,
    owned: Any,
    user_factors: Any,
    item_factors: Any,
    biases: Any,
    rate: Any,
    regularization: Any,
    state: Any,
) -> None:
    """One step of SGD on ln sigmoid(x_ui - x_uj) for each interaction (u, i) in `order`, j a random item not of u.

    `owned` holds each user's items in rising order, within `offsets`. Factors and biases are changed in place. Users
    who have every item are passed over.
    """
    n_items, size = item_factors.shape
    one = np.float32(1.0)
    for row in order:
        u, i = users[row], items[row]
        begin, end = offsets[u], offsets[u + 1]
        if end - begin >= n_items:
            continue
        while True:
            j = _below(state, n_items)
            low, high = begin, end
            while low < high:
                middle = (low + high) // 2
                if owned[middle] < j:
                    low = middle + 1
                else:
                    high = middle
            if low == end or owned[low] != j:
                break
        p, q, r = user_factors[u], item_factors[i], item_factors[j]
        x = biases[i] - biases[j]
        for f in range(size):
            x += p[f] * (q[f] - r[f])
        push = one / (one + np.exp(x))
        for f in range(size):
            pf, qf, rf = p[f], q[f], r[f]
            p[f] += rate * (push * (qf - rf) - regularization * pf)
            q[f] += rate * (push * pf - regularization * qf)
            r[f] += rate * (-push * pf - regularization * rf)
        biases[i] += rate * push
        biases[j] -= rate * push


@_compiled
def best_of_rows(scores: Any, best: Any, values: Any) -> None:
    """Put the highest scores of each row into `values`, and their columns into `best`, highest first.

    Of equal scores, the lower column comes first. `values` begins as -inf, and keeps it where a row has fewer scores
    above that. A row is passed once; almost every score is below the worst of those kept, and goes by with one look.
    """
    size = best.shape[1]
    for row in range(scores.shape[0]):
        kept, columns = values[row], best[row]
        for column in range(scores.shape[1]):
            score = scores[row, column]
            if not score > kept[size - 1]:
                continue
            place = size - 1
            while place > 0 and kept[place - 1] < score:
                kept[place], columns[place] = kept[place - 1], columns[place - 1]
                place -= 1
            kept[place], columns[place] = score, column
