"""BPR-MF: matrix factorization fitted to rank what people had above what they had not (Rendle et al., 2009)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Self

import numpy as np
import numpy.typing as npt
from pydantic import Field

from llmxrec.datasets.dataset import Histories
from llmxrec.errors import InputError
from llmxrec.recommenders import fold_in, training
from llmxrec.recommenders.dot_product import DotProduct
from llmxrec.recommenders.factors import Factors
from llmxrec.recommenders.protocol import UNWATCHED, Scores, Watch
from llmxrec.recommenders.training import Arrays
from llmxrec.seeds import derive
from llmxrec.settings import Settings

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


class BPR(Factors):
    """Factors fitted by stochastic gradient descent; items weigh in the fold-in as they do in training.

    On ML-100k, .82 of a fitted user's ten best items are among the ten best of their history; of the same user learned
    twice, with all items' factors held still, .87 are.
    """

    name = "bpr"
    settings_type = BPRSettings

    def __init__(self, settings: BPRSettings | None = None) -> None:
        super().__init__(settings or BPRSettings())
        self.epochs, self.best_epoch = self.settings.epochs, 0
        self.half_life = self.settings.half_life

    def fit(self, train: Histories, watch: Watch = UNWATCHED) -> Self:
        """Raises InputError for an empty catalogue, WorkError where the steps are too long."""
        if train.n_items == 0:
            raise InputError("bpr needs items to rank", value=0)
        learner = _Learner(self.settings, train)
        self.best_epoch = training.train(learner, train, watch)
        self.user_factors, self.item_vectors, self.biases = learner.user_factors, learner.item_vectors, learner.biases
        self.fit_fold(train, np.arange(train.n_users))
        return self


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
        weights = fold_in.weights_by_age(settings.half_life, int(lengths.max(initial=0)))
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
