"""What BPR-MF, LightGCN and SASRec share: a score is a user's vector times an item's, plus the item's bias."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from llmxrec.recommenders.protocol import History, Scores


class DotProduct(ABC):
    """Scores items from vectors, so that a user's best items are found without scoring all. A fit under way is one."""

    item_vectors: Scores
    """(n_items, size)"""
    biases: Scores
    """(n_items,)"""

    @abstractmethod
    def user_vectors(self, users: npt.NDArray[np.int64]) -> Scores:
        """(len(users), size): those of users of the fitted histories, by their number."""

    def score(self, users: npt.NDArray[np.int64]) -> Scores:
        return self._scores(self.user_vectors(users))

    def _scores(self, vectors: Scores) -> Scores:
        scores: Scores = vectors @ self.item_vectors.T
        scores += self.biases
        return scores


class DotProductRecommender(DotProduct):
    """One that is fitted: it has a vector for any history."""

    @abstractmethod
    def history_vectors(self, histories: Sequence[History]) -> Scores:
        """(len(histories), size): those of people who have these histories (item numbers, oldest first)."""

    def score_histories(self, histories: Sequence[History]) -> Scores:
        return self._scores(self.history_vectors(histories))


def concatenated(histories: Sequence[History]) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int32]]:
    """Histories one after the other: where each begins and the last ends, and their items."""
    offsets = np.zeros(len(histories) + 1, np.int64)
    np.cumsum([len(history) for history in histories], out=offsets[1:])
    items = np.concatenate([np.zeros(0, np.int32), *histories]).astype(np.int32, copy=False)
    return offsets, items
