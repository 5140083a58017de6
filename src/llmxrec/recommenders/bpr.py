"""BPR-MF: matrix factorization fitted to rank what people had above what they had not (Rendle et al., 2009)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Self

import numpy as np
import numpy.typing as npt
from pydantic import Field

from llmxrec.datasets.dataset import Histories
from llmxrec.errors import InputError
from llmxrec.recommenders import storage, training
from llmxrec.recommenders.dot_product import DotProduct, DotProductRecommender, concatenated
from llmxrec.recommenders.protocol import UNWATCHED, History, Scores, Watch
from llmxrec.recommenders.training import Arrays
from llmxrec.seeds import derive
from llmxrec.settings import Settings, check

_FOLD_RIDGE = 1e-3
"""Keeps the fold-in solvable where there are fewer users than features."""
_FOLD_USERS = 20_000
"""About as many users are enough to fit the fold-in; more would change nothing but the memory it takes."""
_CACHE_BYTES = 1 << 21
"""Of user factors that one block of an epoch touches: about what stays in a core's own cache."""


class BPRSettings(Settings):
    """What can be set. The defaults were chosen on the validation items of ML-100k."""

    embedding_size: Annotated[int, Field(ge=1)] = 64
    """Numbers per user and item."""
    epochs: Annotated[int, Field(ge=1)] = 50
    """Passes over all interactions, at most."""
    patience: Annotated[int, Field(ge=1)] = 20
    """Epochs without a better ranking of what is held out, after which training ends."""
    learning_rate: Annotated[float, Field(gt=0, le=10)] = 0.15
    """Of the first epoch; it falls to zero in equal steps."""
    regularization: Annotated[float, Field(ge=0)] = 0.03
    """L2, of factors (biases are free)."""
    negatives: Annotated[int, Field(ge=1, le=1000)] = 8
    """Unseen items drawn for each step, of which the one scored highest is ranked below the item that was had
    (Zhang et al., "Optimizing top-N collaborative filtering via dynamic negative item sampling", 2013); 1: as BPR's
    paper."""
    half_life: Annotated[float, Field(gt=0)] | None = 35.0
    """After so many later interactions of the same person, one weighs half as much; None: all weigh the same."""
    seed: Annotated[int, Field(ge=0)] = 1


class BPR(DotProductRecommender):
    """Scores an item by user factors · item factors + the item's bias.

    A history that was never seen is folded in by a linear map from its items' factors (weighted as in training: their
    mean, their sum, and the sum over the root of all weights) to user factors, the least-squares one over the users of
    the fit.
    """

    name = "bpr"
    settings_type = BPRSettings

    def __init__(self, settings: BPRSettings | None = None) -> None:
        self.settings = settings or BPRSettings()
        self.epochs, self.best_epoch = self.settings.epochs, 0
        empty: Scores = np.zeros((0, self.settings.embedding_size), np.float32)
        self.user_factors, self.item_vectors, self.fold = empty, empty, empty
        self.biases: Scores = np.zeros(0, np.float32)

    def fit(self, train: Histories, watch: Watch = UNWATCHED) -> Self:
        """Raises InputError for an empty catalogue, WorkError where the steps are too long."""
        if train.n_items == 0:
            raise InputError("bpr needs items to rank", value=0)
        learner = _Learner(self.settings, train)
        self.best_epoch = training.train(learner, train, watch)
        self.user_factors, self.item_vectors, self.biases = learner.user_factors, learner.item_vectors, learner.biases
        some = np.arange(0, train.n_users, max(1, train.n_users // _FOLD_USERS))
        features = self._features([train.of(int(user)) for user in some])
        gram = features.T @ features + _FOLD_RIDGE * np.eye(features.shape[1])
        fold: Scores = np.linalg.solve(gram, features.T @ self.user_factors[some]).astype(np.float32)
        self.fold = fold
        return self

    def user_vectors(self, users: npt.NDArray[np.int64]) -> Scores:
        return self.user_factors[users]

    def history_vectors(self, histories: Sequence[History]) -> Scores:
        vectors: Scores = self._features(histories).astype(np.float32) @ self.fold
        return vectors

    def _features(self, histories: Sequence[History]) -> npt.NDArray[np.float64]:
        """What the fold-in reads: (n, 3 * embedding_size + 1)."""
        from llmxrec.recommenders.kernels import weighted_sums

        offsets, items = concatenated(histories)
        lengths = np.diff(offsets)
        weights = weights_by_age(self.settings.half_life, int(lengths.max(initial=0)))
        sums = np.zeros((len(histories), self.settings.embedding_size), np.float32)
        weighted_sums(offsets, items, weights, self.item_vectors, sums)
        totals = np.maximum(np.concatenate([[0.0], np.cumsum(weights)])[lengths], 1.0)[:, None]
        return np.hstack([sums / totals, sums / np.sqrt(totals), sums, np.ones_like(totals)])

    def save(self, folder: Path) -> None:
        arrays = {
            "user_factors": self.user_factors,
            "item_factors": self.item_vectors,
            "biases": self.biases,
            "fold": self.fold,
        }
        storage.save(folder, self.name, self.settings, arrays)

    @classmethod
    def load(cls, folder: Path) -> Self:
        settings, arrays = storage.load(folder, cls.name, ("user_factors", "item_factors", "biases", "fold"))
        model = cls(check(BPRSettings, settings, "bpr"))
        model.user_factors, model.item_vectors = arrays["user_factors"], arrays["item_factors"]
        model.biases, model.fold = arrays["biases"], arrays["fold"]
        return model


def weights_by_age(half_life: float | None, longest: int) -> Scores:
    """The weight of an interaction by how many later ones the same person has: 1 for none, falling from there."""
    ages = np.arange(longest)
    weights: Scores = np.exp2(-ages / half_life if half_life else 0.0 * ages).astype(np.float32)
    return weights


class _Learner(DotProduct):
    """A fit under way: stochastic gradient descent has nothing to remember but the factors."""

    name = BPR.name
    measured_every = 5

    def __init__(self, settings: BPRSettings, train: Histories) -> None:
        self.settings, self._train = settings, train
        self.epochs, self.patience = settings.epochs, settings.patience
        draw = np.random.Generator(np.random.PCG64(derive(settings.seed, "bpr", "start")))
        size = settings.embedding_size
        self.user_factors = np.float32(0.1) * draw.standard_normal((train.n_users, size), np.float32)
        self.item_vectors = np.float32(0.1) * draw.standard_normal((train.n_items, size), np.float32)
        self.biases = np.zeros(train.n_items, np.float32)
        lengths = np.diff(train.offsets)
        weights = weights_by_age(settings.half_life, int(lengths.max(initial=0)))
        # A mean of 1, so that the learning rate means the same with and without a half-life.
        total = np.concatenate([[0.0], np.cumsum(weights, dtype=np.float64)])[lengths].sum()
        self._weights: Scores = (weights * (len(train) / max(total, 1.0))).astype(np.float32)

    def epoch(self, number: int) -> None:
        from llmxrec.recommenders.kernels import bpr_epoch

        settings, train = self.settings, self._train
        rate = np.float32(settings.learning_rate * (1 - number / settings.epochs))
        state = np.array([derive(settings.seed, "bpr", number)], np.uint64)
        block = max(1, _CACHE_BYTES // (4 * settings.embedding_size))
        bpr_epoch(
            train.offsets, train.item_index, train.sorted_items, block, self._weights, settings.negatives,
            self.user_factors, self.item_vectors, self.biases, rate, np.float32(settings.regularization), state,
        )  # fmt: skip

    def measurable(self) -> None:
        """It always is."""

    def user_vectors(self, users: npt.NDArray[np.int64]) -> Scores:
        return self.user_factors[users]

    def weights(self) -> Arrays:
        return {"user_factors": self.user_factors, "item_vectors": self.item_vectors, "biases": self.biases}

    def memory(self) -> Arrays:
        return {}

    def restore(self, arrays: Mapping[str, npt.NDArray[Any]]) -> None:
        for name, array in arrays.items():
            self.weights()[name][:] = array
