"""What a recommender is. The conformance suite in `llmxrec.testing` checks every implementation, yours too."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, Self, TypeAlias

import numpy as np
import numpy.typing as npt

from llmxrec.datasets.dataset import Histories
from llmxrec.progress import Advance, quiet
from llmxrec.settings import Settings

Scores: TypeAlias = npt.NDArray[np.float32]
History: TypeAlias = npt.NDArray[np.int32]


@dataclass(frozen=True)
class Watch:
    """What a fit is told besides the histories. All of it may be ignored but `advance`, which is told of epochs."""

    advance: Advance = quiet
    held_out: npt.NDArray[np.int64] | None = None
    """By user of the histories, an item that the user had after them; -1: none. Training ends where these rank best."""
    last_epoch: int | None = None
    """End after so many of the planned epochs, as they are planned; None: after all."""
    checkpoint: Path | None = None
    """A file to go on from after an interruption, written now and then, deleted in the end; None: none is kept."""


UNWATCHED = Watch()


class Recommender(Protocol):
    """Scores items for people, from what they did before.

    `name` is the one it is known by in a workspace. `fit` learns from all of `train` and returns itself.
    """

    name: str
    epochs: int
    """How many epochs a fit plans, which `advance` is told of; 0 where the fit is one step."""
    best_epoch: int
    """After a fit: the epochs that went into what it learned; fewer than planned where held-out items said so."""

    @property
    def settings(self) -> Settings:
        """All that decides what a fit learns, seeds included."""
        ...

    def fit(self, train: Histories, watch: Watch = UNWATCHED) -> Self: ...

    def score(self, users: npt.NDArray[np.int64]) -> Scores:
        """Score every item for these users of the fitted histories, by their number.

        Returns (len(users), n_items), float32; the higher, the better. What they have had keeps its score.
        """
        ...

    def score_histories(self, histories: Sequence[History]) -> Scores:
        """Score every item for histories (item numbers, each once, oldest first) never seen before, perhaps.

        Returns (len(histories), n_items). An empty history is allowed. This is the what-if: leave an item
        out of a history, score again, and see what it caused.
        """
        ...

    def save(self, folder: Path) -> None:
        """Write safetensors and JSON files to `folder`, made if absent."""
        ...

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read what `save` wrote: histories score the same as before."""
        ...
