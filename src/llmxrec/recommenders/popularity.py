"""The trivial rule: what most people had, for everybody. Any recommender has to beat it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Self

import numpy as np
import numpy.typing as npt

from llmxrec.datasets.dataset import Histories
from llmxrec.recommenders import storage
from llmxrec.recommenders.protocol import UNWATCHED, History, Scores, Watch
from llmxrec.settings import Settings, check


class PopularitySettings(Settings):
    """There is nothing to set."""


class Popularity:
    """Scores an item by the number of people who had it."""

    name = "popularity"
    epochs = 0
    best_epoch = 0
    settings_type = PopularitySettings

    def __init__(self, settings: PopularitySettings | None = None) -> None:
        self.settings = settings or PopularitySettings()
        self.counts: Scores = np.zeros(0, np.float32)

    def fit(self, train: Histories, watch: Watch = UNWATCHED) -> Self:
        self.counts = np.bincount(train.item_index, minlength=train.n_items).astype(np.float32)
        return self

    def score(self, users: npt.NDArray[np.int64]) -> Scores:
        return np.tile(self.counts, (len(users), 1))

    def score_histories(self, histories: Sequence[History]) -> Scores:
        return np.tile(self.counts, (len(histories), 1))

    def save(self, folder: Path) -> None:
        storage.save(folder, self.name, self.settings, {"counts": self.counts})

    @classmethod
    def load(cls, folder: Path) -> Self:
        settings, arrays = storage.load(folder, cls.name, ("counts",))
        model = cls(check(PopularitySettings, settings, "popularity"))
        model.counts = arrays["counts"]
        return model
