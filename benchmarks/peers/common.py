"""What the peers' scripts share: the data folder, the measuring and the result. Needs numpy only.

All peers give their scores to the same code, so that a difference in quality is not one in how it was measured.
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

TOP_K = 10

Ints = npt.NDArray[np.int64]
Scores = npt.NDArray[np.float32]
"""One row per user, one column per item, in the numbers of the data folder; -inf for items the peer does not know."""


@dataclass(frozen=True)
class Data:
    """The parts of the split, each with rows of user and item; by user, oldest first."""

    n_users: int
    n_items: int
    train: Ints
    validation: Ints
    test: Ints

    @cached_property
    def known(self) -> Ints:
        """Train and validation: what a person has seen before their test item."""
        rows = np.concatenate([self.train, self.validation])
        return rows[np.argsort(rows[:, 0], kind="stable")]


def read(folder: Path) -> Data:
    """What `export.py` wrote."""
    parts = {name: _read_part(folder / f"{name}.tsv") for name in ("train", "validation", "test")}
    return Data(**json.loads((folder / "sizes.json").read_text()), **parts)


def _read_part(file: Path) -> Ints:
    rows = np.loadtxt(file, np.int64, delimiter="\t", skiprows=1, ndmin=2)
    return rows[np.lexsort((rows[:, 2], rows[:, 0])), :2]


def histories(rows: Ints, n_users: int) -> list[Ints]:
    """Each user's items, oldest first."""
    return np.split(rows[:, 1], np.cumsum(np.bincount(rows[:, 0], minlength=n_users))[:-1])


def quality(scores: Scores, held_out: Ints, seen: Ints) -> tuple[float, float]:
    """NDCG@10 and Recall@10 of the held-out items, each ranked among all items that its user has not seen.

    Of equal scores, the item with the lower number comes first, as in llmxrec.
    """
    if np.isnan(scores).any():
        raise ValueError("the peer gave scores that are no numbers")
    scores = scores.copy()
    scores[seen[:, 0], seen[:, 1]] = -np.inf
    users, items = held_out[:, 0], held_out[:, 1:]
    rows = scores[users]
    target = np.take_along_axis(rows, items, axis=1)
    ahead = (rows > target) | ((rows == target) & (np.arange(scores.shape[1]) < items))
    rank = 1 + ahead.sum(axis=1)
    hit = (rank <= TOP_K) & (target[:, 0] > -np.inf)
    return float(np.mean(hit / np.log2(rank + 1))), float(np.mean(hit))


@dataclass(frozen=True)
class Point:
    """What a training came to after so many CPU seconds and epochs.

    `ndcg_known` and `recall_known` are of sequential models that read the validation item too before the test item.
    """

    seconds: float
    epochs: int
    validation_ndcg: float
    ndcg: float
    recall: float
    ndcg_known: float | None = None
    recall_known: float | None = None


class Training:
    """A training, watched epoch by epoch. Its clock counts CPU seconds and stands still while we measure."""

    def __init__(self, data: Data, patience: int = 0) -> None:
        self.data, self.patience = data, patience
        self.curve: list[Point] = []
        self._seconds = 0.0
        self._since = time.process_time()

    def start(self) -> None:
        """Begin to count: to be called right before the peer begins to train."""
        self._since = time.process_time()

    def epoch(self, score: Callable[[], Scores], score_known: Callable[[], Scores] | None = None) -> bool:
        """Measure after an epoch. False when more than `patience` epochs in a row were no better, as RecBole counts."""
        self._seconds += time.process_time() - self._since
        self.add(self._seconds, len(self.curve) + 1, score(), score_known() if score_known else None)
        self._since = time.process_time()
        return len(self.curve) - 1 - self.curve.index(self.best) <= self.patience

    def add(self, seconds: float, epochs: int, scores: Scores, scores_known: Scores | None = None) -> None:
        """Measure a model that took `seconds` of training and `epochs`."""
        data = self.data
        validation, _ = quality(scores, data.validation, data.train)
        test = quality(scores, data.test, data.known)
        known = (None, None) if scores_known is None else quality(scores_known, data.test, data.known)
        self.curve.append(Point(seconds, epochs, validation, *test, *known))

    @property
    def best(self) -> Point:
        """The epoch with the highest validation NDCG@10, the first of equals."""
        return max(self.curve, key=lambda point: point.validation_ndcg)


def users_per_second(recommend: Callable[[], object], n_users: int) -> float:
    """How many users `recommend`, a call for all of them, serves in a CPU second: the median of 5, after a first."""
    recommend()
    seconds = []
    for _ in range(5):
        start = time.process_time()
        recommend()
        seconds.append(time.process_time() - start)
    return n_users / statistics.median(seconds)


def arguments(description: str, epochs: int, patience: int | None = None) -> argparse.ArgumentParser:
    """What every script understands, with these defaults; without a `patience`, the epochs are not chosen."""
    parser = argparse.ArgumentParser(description=description.partition("\n")[0])
    parser.add_argument("data", type=Path, help="the folder that export.py made")
    parser.add_argument("out", type=Path, help="where to write the result, as JSON")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--epochs", type=int, default=epochs, help="train for no more than these")
    if patience is not None:
        parser.add_argument("--patience", type=int, default=patience, help="go on for so many epochs that do no better")
    return parser


def peak_mib() -> float:
    """The most memory that this process has held. Linux counts it in KiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def write(
    out: Path,
    *,
    peer: str,
    settings: str,
    seed: int,
    training: Training,
    chosen: Point,
    users_per_s: float,
    **more: float,
) -> None:
    """Write the result to `out` and print it without its curve. The figures are those of the `chosen` epoch, and
    whatever `more` there is."""
    figures: dict[str, Any] = {
        "peer": peer,
        "settings": settings,
        "seed": seed,
        "seconds": chosen.seconds,
        "epochs": chosen.epochs,
        "seconds_per_epoch": training.curve[-1].seconds / max(1, training.curve[-1].epochs),
        "validation_ndcg": chosen.validation_ndcg,
        "ndcg": chosen.ndcg,
        "recall": chosen.recall,
        "users_per_s": users_per_s,
        "peak_mib": peak_mib(),
        **more,
    }
    if chosen.ndcg_known is not None:
        figures |= {"test_ndcg_known": chosen.ndcg_known, "test_recall_known": chosen.recall_known}
    print(json.dumps(figures))
    # Five columns for every peer; the two of sequential models, where there are any, follow them.
    curve = [[value for value in asdict(point).values() if value is not None] for point in training.curve]
    out.write_text(json.dumps(figures | {"curve": curve}, indent=1) + "\n")
