"""BPR-MF: matrix factorization fitted to rank what people had above what they had not (Rendle et al., 2009)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Self

import numpy as np
import numpy.typing as npt
from pydantic import Field

from llmxrec.datasets.dataset import Histories
from llmxrec.errors import InputError
from llmxrec.progress import Advance, quiet
from llmxrec.recommenders import storage
from llmxrec.recommenders.protocol import History, Scores
from llmxrec.seeds import derive
from llmxrec.settings import Settings, check

_FOLD_RIDGE = 1e-3
"""Keeps the fold-in solvable where there are fewer users than features."""

_FOLD_USERS = 20_000
"""About as many users are enough to fit the fold-in; more would change nothing but the memory it takes."""


class BPRSettings(Settings):
    """What can be set. The defaults were chosen on the validation items of ML-100k."""

    embedding_size: Annotated[int, Field(ge=1)] = 64
    """Numbers per user and item."""
    epochs: Annotated[int, Field(ge=1)] = 50
    """Passes over all interactions."""
    learning_rate: Annotated[float, Field(gt=0, le=10)] = 0.15
    """Of the first epoch; it falls to zero in equal steps."""
    regularization: Annotated[float, Field(ge=0)] = 0.005
    """L2, of factors (biases are free)."""
    seed: Annotated[int, Field(ge=0)] = 1


class BPR:
    """Scores an item by user factors · item factors + the item's bias.

    A history that was never seen is folded in by a linear map from its items' factors (their mean, their sum, and the
    sum over the root of their number) to user factors, the least-squares one over the users of the fit.
    """

    name = "bpr"
    settings_type = BPRSettings

    def __init__(self, settings: BPRSettings | None = None) -> None:
        self.settings = settings or BPRSettings()
        self.epochs = self.settings.epochs
        empty: Scores = np.zeros((0, self.settings.embedding_size), np.float32)
        self.user_factors, self.item_factors, self.fold = empty, empty, empty
        self.biases: Scores = np.zeros(0, np.float32)

    def fit(self, train: Histories, advance: Advance = quiet) -> Self:
        """Raises InputError for an empty catalogue."""
        from llmxrec.recommenders.kernels import bpr_epoch, shuffle

        if train.n_items == 0:
            raise InputError("bpr needs items to rank", value=0)
        settings = self.settings
        draw = np.random.Generator(np.random.PCG64(derive(settings.seed, "bpr", "start")))
        shape = settings.embedding_size
        self.user_factors = draw.normal(0.0, 0.1, (train.n_users, shape)).astype(np.float32)
        self.item_factors = draw.normal(0.0, 0.1, (train.n_items, shape)).astype(np.float32)
        self.biases = np.zeros_like(self.biases, shape=train.n_items)
        users = np.repeat(np.arange(train.n_users), np.diff(train.offsets))
        items = train.item_index.astype(np.int64)
        owned = items[np.lexsort((items, users))]
        order = np.arange(len(items))
        state = np.array([derive(settings.seed, "bpr", "steps")], np.uint64)
        for number in range(settings.epochs):
            rate = np.float32(settings.learning_rate * (1 - number / settings.epochs))
            shuffle(order, state)
            bpr_epoch(
                order, users, items, train.offsets, owned, self.user_factors, self.item_factors, self.biases,
                rate, np.float32(settings.regularization), state,
            )  # fmt: skip
            advance(1)
        some = np.arange(0, train.n_users, max(1, train.n_users // _FOLD_USERS))
        features = self._features([train.of(int(user)) for user in some])
        gram = features.T @ features + _FOLD_RIDGE * np.eye(features.shape[1])
        fold: Scores = np.linalg.solve(gram, features.T @ self.user_factors[some]).astype(np.float32)
        self.fold = fold
        return self

    def score(self, users: npt.NDArray[np.int64]) -> Scores:
        scores: Scores = self.user_factors[users] @ self.item_factors.T + self.biases
        return scores

    def score_histories(self, histories: Sequence[History]) -> Scores:
        folded: Scores = self._features(histories).astype(np.float32) @ self.fold
        scores: Scores = folded @ self.item_factors.T + self.biases
        return scores

    def _features(self, histories: Sequence[History]) -> npt.NDArray[np.float64]:
        """What the fold-in reads: (n, 3 * embedding_size + 1)."""
        sums = np.zeros((len(histories), self.settings.embedding_size))
        for row, history in enumerate(histories):
            sums[row] = self.item_factors[history].sum(axis=0)
        length = np.maximum(1, [len(history) for history in histories]).reshape(-1, 1)
        return np.hstack([sums / length, sums / np.sqrt(length), sums, np.ones_like(length)])

    def save(self, folder: Path) -> None:
        arrays = {
            "user_factors": self.user_factors,
            "item_factors": self.item_factors,
            "biases": self.biases,
            "fold": self.fold,
        }
        storage.save(folder, self.name, self.settings, arrays)

    @classmethod
    def load(cls, folder: Path) -> Self:
        names = ("user_factors", "item_factors", "biases", "fold")
        settings, arrays = storage.load(folder, cls.name, names)
        model = cls(check(BPRSettings, settings, "bpr"))
        for name in names:
            setattr(model, name, arrays[name])
        return model
