"""The best unseen items for everyone: blocked, so that memory is bounded, and ties broken the same way every time."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

import numpy as np
import numpy.typing as npt
import polars as pl

from llmxrec.datasets.dataset import Histories
from llmxrec.errors import InputError, WorkError
from llmxrec.progress import Advance, quiet
from llmxrec.recommenders.dot_product import DotProduct
from llmxrec.recommenders.protocol import Scores

Numbers = npt.NDArray[np.int64]

_BLOCK_BYTES = 1 << 26
"""Of scores held at once."""
_BLOCK_USERS = 2048
_BLOCK_ITEMS = 2048
_SOME_USERS = 30
"""Whose vectors tell how long they usually are."""
_SLACK = np.float32(1e-4)
"""Of a bound on scores, relative: far more than float32 can be off in a dot product."""


class Scoring(Protocol):
    """What scores users: a recommender, or one that is being fitted."""

    name: str

    def score(self, users: Numbers) -> Scores: ...


def recommend(
    recommender: Scoring, train: Histories, known: Histories, k: int, advance: Advance = quiet
) -> pl.DataFrame:
    """The `k` best items for every user who has a history in `train`, without those in `known`.

    `known` numbers users and items as `train` does. Returns user_id, item_id, rank (Int32, from 1), score (Float64);
    of equal scores, the item that stands first in the item table comes first. Who has fewer than `k` unseen items gets
    fewer rows. `advance` is told of users. Raises WorkError for scores that are no numbers.
    """
    if k < 1:
        raise InputError("k is the number of items recommended to each user, 1 or more", value=k)
    everyone = np.flatnonzero(np.diff(train.offsets))
    users, items, scores, ranks = [], [], [], []
    for numbers, best, values in _best(recommender, known, everyone, k):
        row, rank = np.nonzero(values > -np.inf)
        users.append(numbers[row])
        items.append(best[row, rank])
        scores.append(values[row, rank])
        ranks.append(rank + 1)
        advance(len(numbers))
    none = [np.zeros(0, np.int64)]
    return pl.DataFrame(
        {
            "user_id": train.users.gather(np.concatenate(users or none)),
            "item_id": train.items.gather(np.concatenate(items or none)),
            "rank": pl.Series(np.concatenate(ranks or none), dtype=pl.Int32),
            "score": pl.Series(np.concatenate(scores or none), dtype=pl.Float64),
        }
    )


def best_unseen(recommender: Scoring, known: Histories, users: Numbers, k: int) -> Numbers:
    """The numbers of the `k` best items of each of `users` without those in `known`, best first; -1 where there are
    fewer. Raises WorkError for scores that are no numbers."""
    found = [np.where(values > -np.inf, best, -1) for _, best, values in _best(recommender, known, users, k)]
    return np.concatenate(found) if found else np.zeros((0, min(k, known.n_items)), np.int64)


def top_k(scores: Scores, known: Histories, users: Numbers, k: int) -> tuple[Numbers, Scores]:
    """The `k` highest of each row of `scores` (one row per user) outside `known`, best first.

    Returns item numbers and scores, (rows, min(k, n_items)); where a row has fewer, the rest has score -inf.
    """
    from llmxrec.recommenders.kernels import best_of_rows

    best, values = _nothing_yet(len(users), min(k, scores.shape[1]))
    columns = np.arange(scores.shape[1])
    best_of_rows(scores, columns, users, known.offsets, known.sorted_items, best, values)
    return best, values


def _nothing_yet(rows: int, k: int) -> tuple[Numbers, Scores]:
    return np.zeros((rows, k), np.int64), np.full((rows, k), -np.inf, np.float32)


def _best(recommender: Scoring, known: Histories, users: Numbers, k: int) -> Iterator[tuple[Numbers, Numbers, Scores]]:
    """Blocks of `users`, their best items and the scores of these."""
    k = min(k, known.n_items)
    search = _Search(recommender, known, k) if isinstance(recommender, DotProduct) else None
    block = _BLOCK_USERS if search else max(1, _BLOCK_BYTES // (4 * max(1, known.n_items)))
    for start in range(0, len(users), block):
        numbers = users[start : start + block]
        if search:
            best, values = search.of(numbers)
        else:
            scores = recommender.score(numbers)
            _check_numbers(recommender, scores)
            best, values = top_k(scores, known, numbers, k)
        yield numbers, best, values


def _check_numbers(recommender: Scoring | DotProduct, scores: Scores) -> None:
    if not np.isfinite(scores.sum(dtype=np.float64)) and np.isnan(scores).any():
        name = getattr(recommender, "name", "the recommender")
        raise WorkError(f"{name} gave scores that are no numbers; train it with other settings")


class _Search:
    """Exact search among dot products that leaves out the items which cannot be among the best.

    No score is above |user vector| |item vector| + bias (Cauchy-Schwarz). Items are taken in blocks from the highest
    such bound down; a user is done when the bound of what is left lies below the worst item kept.
    """

    def __init__(self, recommender: DotProduct, known: Histories, k: int) -> None:
        self._recommender, self._known, self._k = recommender, known, k
        _check_numbers(recommender, recommender.item_vectors)
        _check_numbers(recommender, recommender.biases)
        lengths = np.linalg.norm(recommender.item_vectors, axis=1)
        # The order needs some length of a user's vector; any is right, a usual one leaves out most.
        some = np.arange(0, known.n_users, max(1, known.n_users // _SOME_USERS))
        vectors = recommender.user_vectors(some)
        usual = float(np.linalg.norm(vectors, axis=1).mean()) if len(some) else 0.0
        self._items = np.argsort(-(usual * lengths + recommender.biases), kind="stable")
        # Within a block, what most people score high goes first: then few items are kept only to be dropped again.
        middle = vectors.mean(axis=0) if len(some) else np.zeros(recommender.item_vectors.shape[1], np.float32)
        liked = recommender.item_vectors @ middle + recommender.biases
        for start in range(0, len(self._items), _BLOCK_ITEMS):
            block = self._items[start : start + _BLOCK_ITEMS]
            block[:] = block[np.argsort(-liked[block], kind="stable")]
        self._vectors = np.ascontiguousarray(recommender.item_vectors[self._items].T)
        self._biases = recommender.biases[self._items]
        starts = range(0, len(self._items), _BLOCK_ITEMS)
        sorted_lengths = lengths[self._items]
        self._most = [
            (sorted_lengths[start:].max(), self._biases[start:].max(), np.abs(self._biases[start:]).max())
            for start in starts
        ]

    def of(self, users: Numbers) -> tuple[Numbers, Scores]:
        from llmxrec.recommenders.kernels import best_of_rows

        vectors = self._recommender.user_vectors(users)
        _check_numbers(self._recommender, vectors)
        lengths = np.linalg.norm(vectors, axis=1)
        best, values = _nothing_yet(len(users), self._k)
        left = np.arange(len(users))
        for number, (length, bias, size) in enumerate(self._most):
            reach = lengths[left] * length
            left = left[reach + bias + _SLACK * (reach + size) >= values[left, -1]]
            if not len(left):
                break
            part = slice(number * _BLOCK_ITEMS, (number + 1) * _BLOCK_ITEMS)
            scores = vectors[left] @ self._vectors[:, part]
            scores += self._biases[part]
            some_best, some_values = best[left], values[left]
            best_of_rows(
                scores, self._items[part], users[left], self._known.offsets, self._known.sorted_items,
                some_best, some_values,
            )  # fmt: skip
            best[left], values[left] = some_best, some_values
        return best, values
