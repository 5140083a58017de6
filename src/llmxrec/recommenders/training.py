"""The one training loop: early stopping on the NDCG@10 of held-out items, the best weights kept, checkpoints."""

from __future__ import annotations

import hashlib
import json
import logging
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol, TypeAlias

import numpy as np
import numpy.typing as npt

from llmxrec.datasets.dataset import Histories
from llmxrec.errors import WorkError
from llmxrec.recommenders.protocol import Scores, Watch
from llmxrec.recommenders.topk import best_unseen
from llmxrec.settings import Settings
from llmxrec.workspace import atomic

log = logging.getLogger(__name__)

Arrays: TypeAlias = dict[str, npt.NDArray[Any]]

_K = 10
_MOST_MEASURED = 10_000
"""People whose held-out items are ranked after an epoch: the standard error is below .004, and the time bounded."""
_CHECKPOINT_S = 30.0
_CHECKPOINT_SHARE = 20
"""A checkpoint is due after so many seconds, and after so many times what the last one took."""


class Learner(Protocol):
    """A fit under way.

    An epoch depends on the weights, the optimizer's memory and the epoch's number alone: what it draws comes from
    these. So a fit that went on from a checkpoint ends as one that was never interrupted.
    """

    name: str
    epochs: int
    """How many are planned."""
    patience: int
    """Epochs without a better ranking of what is held out, after which training ends."""
    measured_every: int
    """Epochs from one ranking of what is held out to the next."""

    @property
    def settings(self) -> Settings: ...

    def epoch(self, number: int) -> None:
        """Pass over all interactions once; `number` counts from 0."""
        ...

    def measurable(self) -> None:
        """Make `score` ready, where that needs more than the weights."""
        ...

    def score(self, users: npt.NDArray[np.int64]) -> Scores:
        """As a recommender does."""
        ...

    def weights(self) -> Arrays:
        """What is learned, by name; may be changed by later epochs."""
        ...

    def memory(self) -> Arrays:
        """What the optimizer remembers, by name."""
        ...

    def restore(self, arrays: Mapping[str, npt.NDArray[Any]]) -> None:
        """Put back what `weights` gave, or both."""
        ...


def train(learner: Learner, histories: Histories, watch: Watch) -> int:
    """Have `learner`, which has its first weights, pass over `histories` as `watch` says.

    Returns the number of epochs that went into the weights it has in the end: those that rank the held-out items
    best, or the last ones where none are held out. Raises WorkError where the learner ends with no numbers.
    """
    held_out = _HeldOut(histories, watch.held_out)
    planned = min(learner.epochs, watch.last_epoch or learner.epochs)
    checkpoint = _Checkpoint(watch.checkpoint, learner, histories, watch)
    done, best_epoch, best_value, best = checkpoint.read(learner)
    watch.advance(done)
    if done:
        log.info("going on with %s after %d epochs of an earlier run", learner.name, done)
    began = time.monotonic()
    while done < planned and not (best and done - best_epoch >= learner.patience):
        learner.epoch(done)
        done += 1
        if held_out and (done % learner.measured_every == 0 or done == planned):
            learner.measurable()
            value = held_out.ndcg(learner)
            log.debug("%s, epoch %d: NDCG@10 %.4f of what is held out", learner.name, done, value)
            if not best or value > best_value:
                best_epoch, best_value = done, value
                best = {name: array.copy() for name, array in learner.weights().items()}
        if done < planned:
            checkpoint.keep(learner, done, best_epoch, best_value, best)
        watch.advance(1)
    if best:
        learner.restore(best)
    learner.measurable()
    if not all(np.isfinite(array).all() for array in learner.weights().values()):
        raise WorkError(f"{learner.name} learned no numbers: its steps were too long; lower learning_rate")
    checkpoint.discard()
    kept = best_epoch if best else done
    log.info("trained %s: %d epochs in %.1f s, epoch %d is kept", learner.name, done, time.monotonic() - began, kept)
    return kept


class _HeldOut:
    """The items that a ranking is measured by; none: false."""

    def __init__(self, histories: Histories, items: npt.NDArray[np.int64] | None) -> None:
        self._histories = histories
        items = np.full(histories.n_users, -1, np.int64) if items is None else items
        measured = np.flatnonzero((items >= 0) & (np.diff(histories.offsets) > 0))
        self._users = measured[np.linspace(0, len(measured) - 1, min(len(measured), _MOST_MEASURED)).astype(np.int64)]
        self._items = items[self._users]

    def __bool__(self) -> bool:
        return len(self._users) > 0

    def ndcg(self, learner: Learner) -> float:
        """NDCG@10 of the held-out items among those that these users have not had."""
        best = best_unseen(learner, self._histories, self._users, _K)
        _row, place = np.nonzero(best == self._items[:, None])
        return float((1 / np.log2(place + 2)).sum() / len(self._users))


class _Checkpoint:
    """A file with all that training needs to go on, replaced whole. It is of one fit: other settings, other data or
    other held-out items begin anew."""

    def __init__(self, file: Path | None, learner: Learner, histories: Histories, watch: Watch) -> None:
        self._file = file
        self._due = time.monotonic() + _CHECKPOINT_S
        if file is not None:
            said = f"{learner.name} {learner.settings.model_dump_json()} {watch.last_epoch}"
            digest = hashlib.blake2b(said.encode(), digest_size=16)
            for array in (histories.offsets, histories.item_index, watch.held_out):
                digest.update(b"" if array is None else np.ascontiguousarray(array).data)
            self._digest = digest.hexdigest()

    def read(self, learner: Learner) -> tuple[int, int, float, Arrays]:
        """Epochs done, the best of them, its value and its weights; the learner gets what it had. Else nothing."""
        from safetensors import SafetensorError, safe_open

        nothing: tuple[int, int, float, Arrays] = (0, 0, 0.0, {})
        if self._file is None or not self._file.exists():
            return nothing
        try:
            with safe_open(self._file, framework="numpy") as kept:
                about = json.loads((kept.metadata() or {}).get("llmxrec", "{}"))
                if about.get("fit") != self._digest:
                    return nothing
                names = kept.keys()
                arrays = {name: kept.get_tensor(name) for name in names}
        except (OSError, SafetensorError):
            return nothing
        best = {name.removeprefix("best."): a for name, a in arrays.items() if name.startswith("best.")}
        learner.restore({name.removeprefix("now."): a for name, a in arrays.items() if name.startswith("now.")})
        return about["done"], about["best_epoch"], about["best_value"], best

    def keep(self, learner: Learner, done: int, best_epoch: int, best_value: float, best: Arrays) -> None:
        """Write one if it is due."""
        start = time.monotonic()
        if self._file is None or start < self._due:
            return
        from safetensors.numpy import save_file

        about = {"fit": self._digest, "done": done, "best_epoch": best_epoch, "best_value": best_value}
        now = {f"now.{name}": array for name, array in (learner.weights() | learner.memory()).items()}
        kept = now | {f"best.{name}": array for name, array in best.items()}
        with atomic(self._file) as draft:
            save_file({n: np.ascontiguousarray(a) for n, a in kept.items()}, draft, {"llmxrec": json.dumps(about)})
        end = time.monotonic()
        self._due = end + max(_CHECKPOINT_S, _CHECKPOINT_SHARE * (end - start))

    def discard(self) -> None:
        if self._file is not None:
            self._file.unlink(missing_ok=True)
