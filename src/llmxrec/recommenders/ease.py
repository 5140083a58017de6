"""EASE: an item-item model in closed form (Steck, "Embarrassingly shallow autoencoders for sparse data", 2019)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Self

import numpy as np
import numpy.typing as npt
from pydantic import Field

from llmxrec.datasets.dataset import Histories
from llmxrec.errors import InputError
from llmxrec.recommenders import storage
from llmxrec.recommenders.dot_product import concatenated
from llmxrec.recommenders.protocol import UNWATCHED, History, Scores, Watch
from llmxrec.settings import Settings, check

_MOST_ITEMS = 30_000
"""Its matrices are items x items in float64, two at a time: 30,000 items take 14 GB."""


class EASESettings(Settings):
    """What can be set."""

    ridge: Annotated[float, Field(gt=0)] = 100.0
    """L2 regularization (lambda of the paper), in people. The default was chosen on the validation items of ML-100k."""


class EASE:
    """Scores an item by the weights of the items in the history: X B, where B has no diagonal (equation 8 there).

    `weights` is B for `items`, those that anybody had; all others weigh nothing, and score 0.
    """

    name = "ease"
    epochs = 0
    best_epoch = 0
    settings_type = EASESettings

    def __init__(self, settings: EASESettings | None = None) -> None:
        self.settings = settings or EASESettings()
        self.weights: Scores = np.zeros((0, 0), np.float32)
        self.items: npt.NDArray[np.int64] = np.zeros(0, np.int64)
        self._n_items = 0
        self._train: Histories | None = None

    def fit(self, train: Histories, watch: Watch = UNWATCHED) -> Self:
        """Raises InputError where more items were had than matrices of them would fit in memory."""
        self.items = np.unique(train.item_index).astype(np.int64)
        self._n_items = train.n_items
        if len(self.items) > _MOST_ITEMS:
            raise InputError(
                f"ease inverts an items x items matrix, for {_MOST_ITEMS:,} items at most",
                value=len(self.items),
                cure="use bpr",
            )
        gram = _gram(train, self.items)
        gram[np.diag_indices_from(gram)] += self.settings.ridge
        inverse = np.linalg.inv(gram)
        weights = inverse / -np.diag(inverse)
        weights[np.diag_indices_from(weights)] = 0.0
        self.weights = weights.astype(np.float32)
        self._train = train
        return self

    def score(self, users: npt.NDArray[np.int64]) -> Scores:
        if self._train is None:
            raise InputError("a loaded ease model knows no users", cure="score their histories")
        return self.score_histories([self._train.of(int(user)) for user in users])

    def score_histories(self, histories: Sequence[History]) -> Scores:
        from llmxrec.recommenders.kernels import sum_lines_into

        rows = np.full(self._n_items, -1)
        rows[self.items] = np.arange(len(self.items))
        offsets, items = concatenated(histories)
        places = rows[items]
        ends = np.append(0, np.cumsum(places >= 0))[offsets]
        scores = np.zeros((len(histories), self._n_items), np.float32)
        sum_lines_into(ends[:-1], ends[1:], places[places >= 0], self.weights, self.items, scores)
        return scores

    def contributions(self, history: History) -> Scores:
        """(len(history), n_items): what each item of the history adds to the score of each item."""
        rows = np.full(self._n_items, -1)
        rows[self.items] = np.arange(len(self.items))
        places = rows[history]
        added = np.zeros((len(history), self._n_items), np.float32)
        fitted = places >= 0
        added[np.ix_(fitted, self.items)] = self.weights[places[fitted]]
        return added

    def save(self, folder: Path) -> None:
        storage.save(
            folder,
            self.name,
            self.settings,
            {"weights": self.weights, "items": self.items, "n_items": np.array([self._n_items])},
        )

    @classmethod
    def load(cls, folder: Path) -> Self:
        settings, arrays = storage.load(folder, cls.name, ("weights", "items", "n_items"))
        model = cls(check(EASESettings, settings, "ease"))
        model.weights, model.items, model._n_items = arrays["weights"], arrays["items"], int(arrays["n_items"][0])
        return model


def _gram(train: Histories, items: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
    """How many people had both of two `items`. Blocks of people keep the memory bounded."""
    gram = np.zeros((len(items), len(items)))
    column = np.searchsorted(items, train.item_index)
    block = max(1, (1 << 26) // max(1, len(items)))
    for start in range(0, train.n_users, block):
        stop = min(start + block, train.n_users)
        taken = np.zeros((stop - start, len(items)), np.float32)
        rows = np.repeat(np.arange(stop - start), np.diff(train.offsets[start : stop + 1]))
        taken[rows, column[train.offsets[start] : train.offsets[stop]]] = 1.0
        gram += taken.T @ taken
    return gram
