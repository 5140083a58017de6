"""What matrix factorizations share, whoever fitted them: a vector for each user and item, and a map for new users."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
import numpy.typing as npt

from llmxrec.datasets.dataset import Histories
from llmxrec.recommenders import fold_in, storage
from llmxrec.recommenders.dot_product import DotProductRecommender
from llmxrec.recommenders.protocol import History, Scores
from llmxrec.settings import Settings, check

_ARRAYS = ("user_factors", "item_vectors", "biases", "fold")


class Factors(DotProductRecommender):
    """Scores an item by user factors · item factors + the item's bias.

    A history that was never seen is folded in by a linear map (see `fold_in`), `fold`.
    """

    name: str
    settings_type: ClassVar[type[Settings]]
    half_life: float | None = None
    """As of `fold_in.features`."""

    @abstractmethod
    def __init__(self, settings: Any) -> None:
        self.settings = settings
        empty: Scores = np.zeros((0, 1), np.float32)
        self.user_factors, self.item_vectors, self.fold = empty, empty, empty
        self.biases: Scores = np.zeros(0, np.float32)

    def fit_fold(self, train: Histories, users: npt.NDArray[np.int64]) -> None:
        """Fit the map to some of `users`, who have their factors."""
        some = users[fold_in.some_of(len(users))]
        read = self._features([train.of(int(user)) for user in some])
        self.fold = fold_in.fit(read, self.user_factors[some])

    def user_vectors(self, users: npt.NDArray[np.int64]) -> Scores:
        return self.user_factors[users]

    def history_vectors(self, histories: Sequence[History]) -> Scores:
        vectors: Scores = self._features(histories).astype(np.float32) @ self.fold
        return vectors

    def _features(self, histories: Sequence[History]) -> fold_in.Features:
        return fold_in.features(histories, self.item_vectors, self.half_life)

    def save(self, folder: Path) -> None:
        storage.save(folder, self.name, self.settings, {name: getattr(self, name) for name in _ARRAYS})

    @classmethod
    def load(cls, folder: Path) -> Self:
        settings, arrays = storage.load(folder, cls.name, _ARRAYS)
        model = cls(check(cls.settings_type, settings, cls.name))
        for name in _ARRAYS:
            setattr(model, name, arrays[name])
        return model
