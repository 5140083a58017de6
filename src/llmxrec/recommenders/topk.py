"""The best unseen items for everyone: blocked, so that memory is bounded, and ties broken the same way every time."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import polars as pl

from llmxrec.datasets.dataset import Histories
from llmxrec.errors import InputError, WorkError
from llmxrec.progress import Advance, quiet
from llmxrec.recommenders.protocol import Recommender, Scores

_BLOCK_BYTES = 1 << 26


def recommend(
    recommender: Recommender, train: Histories, known: Histories, k: int, advance: Advance = quiet
) -> pl.DataFrame:
    """The `k` best items for every user who has a history in `train`, without those in `known`.

    `known` numbers users and items as `train` does. Returns user_id, item_id, rank (Int32, from 1), score (Float64);
    of equal scores, the item that stands first in the item table comes first. Who has fewer than `k` unseen items gets
    fewer rows. `advance` is told of users. Raises WorkError for scores that are no numbers.
    """
    if k < 1:
        raise InputError("k is the number of items recommended to each user, 1 or more", value=k)
    block = max(1, _BLOCK_BYTES // (4 * max(1, train.n_items)))
    everyone = np.flatnonzero(np.diff(train.offsets))
    users, items, scores, ranks = [], [], [], []
    for start in range(0, len(everyone), block):
        numbers = everyone[start : start + block]
        block_scores = recommender.score(numbers)
        if np.isnan(block_scores).any():
            raise WorkError(f"{recommender.name} gave scores that are no numbers; train it with other settings")
        best, values = top_k(block_scores, known, numbers, k)
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


def top_k(
    scores: Scores, known: Histories, users: npt.NDArray[np.int64], k: int
) -> tuple[npt.NDArray[np.int64], Scores]:
    """The `k` highest of each row of `scores` (one row per user) outside `known`, best first.

    Returns item numbers and scores, (rows, min(k, n_items)); where a row has fewer, the rest has score -inf. `scores`
    is changed: what is known becomes -inf.
    """
    from llmxrec.recommenders.kernels import best_of_rows

    starts, counts = known.offsets[users], np.diff(known.offsets)[users]
    rows = np.repeat(np.arange(len(users)), counts)
    # The places of all these users' items, one after the other: each user's start, and 0, 1, 2... from there.
    places = np.repeat(starts - np.cumsum(counts) + counts, counts) + np.arange(len(rows))
    scores[rows, known.item_index[places]] = -np.inf
    best = np.zeros((len(users), min(k, scores.shape[1])), np.int64)
    values = np.full(best.shape, -np.inf, np.float32)
    best_of_rows(scores, best, values)
    return best, values
