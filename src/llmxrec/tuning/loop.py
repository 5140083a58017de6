"""The one loop in which adapters are tuned: only they change, and only what is to be answered is learned.

On one process or, under `accelerate launch`, on several: each reads its share of every step's rows, and all take the
same step. It goes on from a checkpoint as if nothing had happened.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Generic, TypeVar

import numpy as np
import numpy.typing as npt
from pydantic import Field

from llmxrec.errors import InputError, MissingExtra, WorkError
from llmxrec.progress import Advance, note, quiet
from llmxrec.seeds import derive
from llmxrec.settings import Settings
from llmxrec.workspace import atomic

Row = TypeVar("Row")

_CHECKPOINT_S = 30.0
"""Seconds between checkpoints, beside those after each epoch."""
_GROUPED = 64
"""Steps whose rows are drawn together and then sorted by length: padding costs as much as words do."""


class TuningSettings(Settings):
    """How an adapter is tuned."""

    epochs: int = Field(default=3, ge=1)
    """Passes over the rows, at most."""
    batch_size: int = Field(default=32, ge=1)
    """Rows to a step, over all processes."""
    rows_at_once: int = Field(default=32, ge=1)
    """Rows that a process reads at a time; where a step has more, their gradients are accumulated."""
    learning_rate: float = Field(default=1e-3, gt=0)
    """AdamW's largest step: it is reached after `warm_up`, and falls to zero as half a cosine."""
    warm_up: float = Field(default=0.05, ge=0, lt=1)
    """Share of the steps."""
    weight_decay: float = Field(default=0.0, ge=0)
    """AdamW's."""
    rank: int = Field(default=8, ge=1)
    """Of the LoRA matrices (Hu et al., 2022)."""
    alpha: float = Field(default=16.0, gt=0)
    """LoRA's scale: what is learned counts alpha / rank times."""
    dropout: float = Field(default=0.0, ge=0, lt=1)
    """Share of what LoRA reads that is left out at each step."""
    held_out: float = Field(default=0.1, ge=0, lt=1)
    """Share of the people whose rows are not learned from: the loss on them says when to stop. 0: nobody's, and the
    last weights are kept."""
    patience: int = Field(default=2, ge=1)
    """Epochs without a better loss on these, after which tuning ends."""
    rehearsal: int = Field(default=0, ge=0)
    """Explanations that the embedded model learns from, at least: where fewer are given, it writes the others itself.
    Some hundred rows in new words would cost it its hold on the old ones."""
    most_tokens: int = Field(default=2048, ge=2)
    """Tokens of a row; longer ones are left out, and counted."""
    quantize: bool = False
    """Hold the model in 4 bits (QLoRA; Dettmers et al., 2023). On CUDA only, with bitsandbytes."""
    seed: int = Field(default=1, ge=0)
    """Of the order of rows, the adapter's first weights, dropout, and whose rows are held out."""


@dataclass(frozen=True)
class Job(Generic[Row]):
    """What is learned. `rows` and `held_out` are what `loss` takes some of, with the model.

    `loss` returns the sum over all that is to be answered in these rows (a tensor that can be differentiated), and how
    much that is: a step's loss is the mean over everything its rows answer, however they are divided. `length` says
    how long a row is, in tokens.
    """

    rows: Sequence[Row]
    held_out: Sequence[Row]
    loss: Callable[[Any, Sequence[Row]], tuple[Any, float]]
    length: Callable[[Row], int]


@dataclass
class Curve:
    """Mean loss of each epoch: while learning, and on what is held out (empty: nothing is). `best` is the epoch, from
    1, whose weights were kept; `steps` and `seconds` count what all runs took together."""

    loss: list[float] = field(default_factory=list)
    held_out: list[float] = field(default_factory=list)
    best: int = 0
    steps: int = 0
    seconds: float = 0.0


def learn(
    model: Any,
    job: Job[Row],
    settings: TuningSettings,
    *,
    checkpoint: Path | None = None,
    about: str = "",
    advance: Advance = quiet,
) -> Curve:
    """Adjust those weights of `model` that require a gradient; they end as they were when `held_out` was met best.

    The model stands on its device and is left in evaluation mode. `checkpoint` is a file from which an interrupted
    call goes on, if it was about the same settings and `about` (a digest of rows and model); whoever saved what was
    learned deletes it. Ctrl-C ends the step under way, and leaves a checkpoint. `advance` counts rows. Raises
    InputError where there are no rows, WorkError where nothing but no-numbers is learned or memory does not suffice.
    """
    import torch

    if not job.rows:
        raise InputError("tuning needs rows to learn from", value=0)
    team = Team()
    try:
        with _asked_to_stop() as stop:
            return _learn(model, job, settings, team, _Checkpoint(checkpoint, settings, about), stop, advance)
    except torch.cuda.OutOfMemoryError:
        raise WorkError(
            f"the device's memory does not hold {settings.rows_at_once} rows at once; lower rows_at_once"
        ) from None


def _learn(
    model: Any,
    job: Job[Row],
    settings: TuningSettings,
    team: Team,
    kept: _Checkpoint,
    stop: Callable[[], bool],
    advance: Advance,
) -> Curve:
    import torch

    weights = {name: weight for name, weight in model.named_parameters() if weight.requires_grad}
    optimizer = torch.optim.AdamW(
        list(weights.values()), lr=settings.learning_rate, betas=(0.9, 0.999), weight_decay=settings.weight_decay
    )
    lengths = [job.length(row) for row in job.rows]
    per_epoch = -(-len(lengths) // settings.batch_size)
    planned = per_epoch * settings.epochs
    curve, best = kept.read(weights, optimizer)
    first = curve.steps
    advance(sum(len(some) for n in range(first // per_epoch) for some in steps(lengths, settings, n)))
    start, before = time.perf_counter(), curve.seconds
    for epoch in range(first // per_epoch, settings.epochs):
        if curve.held_out and epoch - curve.best >= settings.patience:
            break
        model.train()
        total, much = kept.epoch if epoch == first // per_epoch else (0.0, 0.0)
        for number, some in enumerate(steps(lengths, settings, epoch), epoch * per_epoch):
            if number < first:
                advance(len(some))
                continue
            torch.manual_seed(derive(settings.seed, "dropout", number, team.rank))
            loss, weight = _accumulate(model, job, some, settings, team)
            _divide_gradients(weights.values(), weight, team)
            torch.nn.utils.clip_grad_norm_(list(weights.values()), 1.0)
            for group in optimizer.param_groups:
                group["lr"] = settings.learning_rate * pace(number, planned, settings.warm_up)
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
            total, much = total + loss, much + weight
            curve.steps, curve.seconds = number + 1, before + time.perf_counter() - start
            note(advance, f"loss {total / much:.3f}")
            advance(len(some))
            if number + 1 < (epoch + 1) * per_epoch:
                if team.first:
                    kept.keep(weights, optimizer, curve, best, (total, much), due=stop())
                if stop():
                    raise KeyboardInterrupt
        curve.loss.append(total / much)
        if job.held_out:
            curve.held_out.append(measure(model, job, settings, team))
        if not curve.held_out or curve.held_out[-1] == min(curve.held_out):
            curve.best = epoch + 1
            best = {name: weight.detach().clone() for name, weight in weights.items()}
        if not math.isfinite(curve.loss[-1]):
            raise WorkError("the model learned no numbers: its steps were too long; lower learning_rate")
        if team.first:
            kept.keep(weights, optimizer, curve, best, (0.0, 0.0), due=True)
        if stop():
            raise KeyboardInterrupt
    with torch.no_grad():
        for name, weight in weights.items():
            weight.copy_(best[name])
    model.eval()
    return curve


@contextmanager
def _asked_to_stop() -> Iterator[Callable[[], bool]]:
    """Whether Ctrl-C was pressed: a step is taken to its end first, for half of one cannot be gone on from.

    Pressed again, it interrupts at once.
    """
    asked = threading.Event()
    if threading.current_thread() is not threading.main_thread():  # whom Python tells of signals
        yield asked.is_set
        return

    def ask(number: int, frame: Any) -> None:
        signal.signal(signal.SIGINT, before)
        asked.set()

    before = signal.signal(signal.SIGINT, ask)
    try:
        yield asked.is_set
    finally:
        signal.signal(signal.SIGINT, before)


def steps(lengths: Sequence[int], settings: TuningSettings, epoch: int) -> list[npt.NDArray[np.int64]]:
    """The rows of each step of an epoch: all of them once, in random batches of like lengths."""
    draw = np.random.default_rng(derive(settings.seed, "order", epoch))
    order = draw.permutation(len(lengths))
    size, of = settings.batch_size, np.array(lengths)
    batches = []
    for start in range(0, len(order), _GROUPED * size):
        block = order[start : start + _GROUPED * size]
        block = block[np.argsort(of[block], kind="stable")]
        batches += [block[place : place + size] for place in range(0, len(block), size)]
    return [batches[place] for place in draw.permutation(len(batches))]


def hold_out(keys: Sequence[str], share: float, seed: int) -> list[bool]:
    """Which rows are held out, by what each is about (a person, a recommendation): all or none of those of one key.

    It is a `share` of the keys; at least one where `share` is above 0 and there are two or more.
    """
    drawn = sorted(set(keys), key=lambda key: derive(seed, "held out", key))
    count = min(len(drawn) - 1, max(1, round(share * len(drawn)))) if share else 0
    out = set(drawn[:count])
    return [key in out for key in keys]


def pace(step: int, steps: int, warm_up: float) -> float:
    """The share of the largest step taken at `step`, from 0: it rises evenly to 1, and falls as half a cosine."""
    warm = warm_up * steps
    if step < warm:
        return (step + 1) / (warm + 1)
    return 0.5 * (1 + math.cos(math.pi * (step - warm) / max(1.0, steps - warm)))


def measure(model: Any, job: Job[Row], settings: TuningSettings, team: Team | None = None) -> float:
    """Mean loss over what `held_out` answers."""
    import torch

    team = team or Team()
    model.eval()
    rows = sorted(job.held_out, key=job.length)[team.rank :: team.size]
    total = much = 0.0
    with torch.inference_mode():
        for start in range(0, len(rows), settings.rows_at_once):
            loss, weight = job.loss(model, rows[start : start + settings.rows_at_once])
            total, much = total + float(loss), much + weight
    total, much = team.sum(total, much)
    return total / much


def _accumulate(
    model: Any, job: Job[Row], some: npt.NDArray[np.int64], settings: TuningSettings, team: Team
) -> tuple[float, float]:
    """Gradients of the summed loss of a step's rows, this process's share; returns loss and weight of all shares."""
    mine = some[team.rank :: team.size]
    total = much = 0.0
    for start in range(0, len(mine), settings.rows_at_once):
        loss, weight = job.loss(model, [job.rows[row] for row in mine[start : start + settings.rows_at_once]])
        loss.backward()
        total, much = total + loss.item(), much + weight
    return team.sum(total, much)


def _divide_gradients(weights: Any, much: float, team: Team) -> None:
    """From the sums of each process to the mean over everything that the step's rows answer."""
    import torch

    for weight in weights:
        if weight.grad is None:
            weight.grad = torch.zeros_like(weight)
        team.sum_in_place(weight.grad)
        weight.grad /= max(much, 1e-12)


class Team:
    """The processes that tune together: this one alone, unless `accelerate launch` (or torchrun) started several.

    `first` is the one that prints and writes; `device` is where the model of this one stands, None where it is alone
    and any will do.
    """

    def __init__(self) -> None:
        self.size = int(os.environ.get("WORLD_SIZE", "1"))
        self.rank = int(os.environ.get("RANK", "0")) if self.size > 1 else 0
        self.first = self.rank == 0

    @cached_property
    def device(self) -> Any:
        if self.size == 1:
            return None
        try:
            from accelerate import PartialState
        except ImportError:
            raise MissingExtra("tuning on several processes", "tune") from None
        return PartialState().device

    def sum(self, one: float, other: float) -> tuple[float, float]:
        if self.size == 1:
            return one, other
        import torch

        both = torch.tensor([one, other], dtype=torch.float64, device=self.device)
        self.sum_in_place(both)
        return both[0].item(), both[1].item()

    def sum_in_place(self, tensor: Any) -> None:
        if self.size > 1:
            import torch

            torch.distributed.all_reduce(tensor)


class _Checkpoint:
    """One file with all that tuning needs to go on, replaced whole. Of other settings or rows, it is passed over."""

    def __init__(self, file: Path | None, settings: TuningSettings, about: str) -> None:
        self._file = file
        self._digest = hashlib.blake2b(f"{settings.model_dump_json()} {about}".encode(), digest_size=16).hexdigest()
        self._due = time.monotonic() + _CHECKPOINT_S
        self.epoch = (0.0, 0.0)
        """Loss and weight of the steps of the epoch under way."""

    def read(self, weights: Mapping[str, Any], optimizer: Any) -> tuple[Curve, dict[str, Any]]:
        """The curve so far and the best weights; model and optimizer get what they had. Else nothing."""
        import torch
        from safetensors import SafetensorError, safe_open

        nothing: tuple[Curve, dict[str, Any]] = (Curve(), {})
        if self._file is None or not self._file.exists():
            return nothing
        try:
            with safe_open(self._file, framework="pt") as held:
                said = json.loads((held.metadata() or {}).get("llmxrec", "{}"))
                if said.get("tuning") != self._digest:
                    return nothing
                arrays = {name: held.get_tensor(name) for name in held.keys()}  # noqa: SIM118 - no mapping
        except (OSError, SafetensorError):
            return nothing
        best = {}
        with torch.no_grad():
            for name, weight in weights.items():
                weight.copy_(arrays[f"now.{name}"])
                parts = ("step", "exp_avg", "exp_avg_sq")
                on = {"step": "cpu"}
                optimizer.state[weight] = {
                    part: arrays[f"{part}.{name}"].to(on.get(part, weight.device)) for part in parts
                }
                if f"best.{name}" in arrays:
                    best[name] = arrays[f"best.{name}"].to(weight.device)
        self.epoch = tuple(said["epoch"])
        return Curve(**said["curve"]), best

    def keep(
        self,
        weights: Mapping[str, Any],
        optimizer: Any,
        curve: Curve,
        best: Mapping[str, Any],
        epoch: tuple[float, float],
        *,
        due: bool = False,
    ) -> None:
        """Write one if it is due."""
        if self._file is None or not (due or time.monotonic() >= self._due):
            return
        from safetensors.torch import save_file

        arrays = {f"best.{name}": weight for name, weight in best.items()}
        for name, weight in weights.items():
            arrays[f"now.{name}"] = weight.detach()
            arrays |= {f"{part}.{name}": value for part, value in optimizer.state[weight].items()}
        said = {"tuning": self._digest, "curve": asdict(curve), "epoch": epoch}
        with atomic(self._file) as draft:
            save_file(
                {name: array.contiguous() for name, array in arrays.items()}, draft, {"llmxrec": json.dumps(said)}
            )
        self._due = time.monotonic() + _CHECKPOINT_S
