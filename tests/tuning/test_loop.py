"""The loop on a model of eight weights, of which four are the adapter: every step can be followed."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from llmxrec.errors import InputError, WorkError
from llmxrec.seeds import derive
from llmxrec.tuning import loop
from llmxrec.tuning.loop import Curve, Job, TuningSettings, learn, measure, pace, steps

Row = tuple[torch.Tensor, torch.Tensor]
SETTINGS = TuningSettings(epochs=3, batch_size=4, rows_at_once=4, learning_rate=0.05, dropout=0.5, patience=3)


class Line(torch.nn.Module):
    """y = (base + adapter) x; while it learns, some of what the adapter reads is left out."""

    def __init__(self, dropout: float = 0.5) -> None:
        super().__init__()
        self.base = torch.nn.Parameter(torch.tensor([1.0, -1.0, 0.5, 0.0]), requires_grad=False)
        self.adapter = torch.nn.Parameter(torch.zeros(4))
        self.dropout = torch.nn.Dropout(dropout)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x @ self.base + self.dropout(x) @ self.adapter


def rows(count: int, seed: int, noise: float = 0.0) -> list[Row]:
    """Of one to five points each, on the line (2, 0, 0, -1)."""
    draw = torch.Generator().manual_seed(seed)
    out = []
    for number in range(count):
        x = torch.randn(1 + derive(seed, number) % 5, 4, generator=draw)
        out.append((x, x @ torch.tensor([2.0, 0, 0, -1]) + noise * torch.randn(len(x), generator=draw)))
    return out


def squares(model: Any, some: Any) -> tuple[torch.Tensor, float]:
    x, y = (torch.cat(parts) for parts in zip(*some, strict=True))
    return ((model(x) - y) ** 2).sum(), float(len(y))


def job(learned: int = 18, held_out: int = 5, noise: float = 0.0) -> Job[Row]:
    return Job(rows(learned, 1, noise), rows(held_out, 2), squares, lambda row: len(row[0]))


def learned(
    settings: TuningSettings = SETTINGS, work: Job[Row] | None = None, dropout: float = 0.5, **how: Any
) -> tuple[Line, Curve]:
    model = Line(dropout)
    return model, learn(model, work or job(), settings, **how)


@given(st.lists(st.integers(1, 50), min_size=1, max_size=300), st.integers(1, 9), st.integers(0, 3))
def test_every_epoch_has_every_row_once(lengths: list[int], size: int, epoch: int) -> None:
    settings = TuningSettings(batch_size=size)
    found = steps(lengths, settings, epoch)
    assert len(found) == -(-len(lengths) // size)
    assert sorted(np.concatenate(found).tolist()) == list(range(len(lengths)))
    assert sorted(map(len, found))[1:] == [size] * (len(found) - 1) and len(found[0]) <= size
    again = steps(lengths, settings, epoch)
    assert all(np.array_equal(one, other) for one, other in zip(found, again, strict=True))


def test_rows_of_a_step_are_of_like_lengths_and_steps_are_not_in_order_of_them() -> None:
    lengths = [20 + derive(1, row) % 400 for row in range(2000)]
    batches = steps(lengths, TuningSettings(batch_size=8), 0)
    of = np.array(lengths)
    padded = sum(len(batch) * of[batch].max() for batch in batches) / of.sum()
    assert padded < 1.02, "in random batches it is 1.6"
    assert abs(np.corrcoef(range(len(batches)), [of[batch].mean() for batch in batches])[0, 1]) < 0.2
    other = steps(lengths, TuningSettings(batch_size=8), 1)
    assert {tuple(sorted(batch)) for batch in batches}.isdisjoint(tuple(sorted(batch)) for batch in other)


def test_the_pace_rises_evenly_and_falls_as_a_cosine() -> None:
    assert [pace(step, 100, 0.04) for step in range(4)] == pytest.approx([0.2, 0.4, 0.6, 0.8])
    assert pace(4, 100, 0.04) == 1
    assert pace(52, 100, 0.04) == pytest.approx(0.5)
    assert pace(0, 1, 0.05) == pytest.approx(1 / 1.05)
    assert 0 < pace(99, 100, 0.04) < 0.001
    shares = [pace(step, 100, 0.04) for step in range(4, 100)]
    assert shares == sorted(shares, reverse=True)


def test_it_learns_and_the_base_does_not_change() -> None:
    settings = TuningSettings(epochs=40, batch_size=4, learning_rate=0.1, held_out=0.2, patience=40)
    model, curve = learned(settings, dropout=0)
    assert torch.equal(model.base, Line().base)
    assert not model.training and model.adapter.grad is None
    assert measure(model, job(), settings) < 0.02 < 0.5 < curve.held_out[0]
    assert curve.steps == 40 * 5 and len(curve.loss) == len(curve.held_out) == 40


def test_it_is_the_plainest_loop() -> None:
    """PyTorch's AdamW and mean loss, steps clipped, dropout drawn anew at each: step by step, by hand."""
    model, work = Line(), job(held_out=0)
    optimizer = torch.optim.AdamW([model.adapter], lr=1.0, weight_decay=0.0)
    clipped = []
    for epoch in range(3):
        for number, batch in enumerate(steps([len(x) for x, _ in work.rows], SETTINGS, epoch), epoch * 5):
            torch.manual_seed(derive(1, "dropout", number, 0))
            loss, weight = squares(model, [work.rows[place] for place in batch])
            (loss / weight).backward()
            clipped.append(float(torch.nn.utils.clip_grad_norm_([model.adapter], 1.0)) > 1)
            optimizer.param_groups[0]["lr"] = 0.05 * pace(number, 15, 0.05)
            optimizer.step()
            optimizer.zero_grad()
    found, _ = learned(work=work)
    assert torch.allclose(found.adapter, model.adapter, atol=1e-6)
    assert {*clipped} == {True, False}


@pytest.mark.parametrize("at_once", [1, 2, 3])
def test_accumulated_gradients_are_those_of_one_batch(at_once: int) -> None:
    """Rows hold one to five points, so a mean of means would be another one. Without dropout, which is drawn anew."""
    whole, _ = learned(dropout=0)
    parts, _ = learned(SETTINGS.model_copy(update={"rows_at_once": at_once}), dropout=0)
    assert torch.allclose(whole.adapter, parts.adapter, atol=1e-6)
    assert not torch.allclose(whole.adapter, torch.zeros(4), atol=0.01)


def stopping(after: int) -> Callable[[int], None]:
    calls = 0

    def advance(_steps: int) -> None:
        nonlocal calls
        calls += 1
        if calls > after:
            raise MemoryError

    return advance


@pytest.mark.parametrize("every", [True, False], ids=["each step kept", "each epoch kept"])
def test_interrupted_anywhere_it_ends_as_if_it_never_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, every: bool
) -> None:
    monkeypatch.setattr(loop, "_CHECKPOINT_S", 0.0 if every else 1e9)
    whole, curve = learned()
    steps_of_all = 3 * 5
    for after in range(1, steps_of_all + 1):
        file = tmp_path / f"{after}.checkpoint"
        with pytest.raises(MemoryError):
            learned(checkpoint=file, advance=stopping(after))
        done: list[int] = []
        model, gone_on = learned(checkpoint=file, advance=done.append)
        assert torch.equal(model.adapter, whole.adapter), after
        assert (gone_on.loss, gone_on.held_out, gone_on.best, gone_on.steps) == (
            curve.loss, curve.held_out, curve.best, curve.steps,
        )  # fmt: skip
        assert sum(done) == 3 * 18
        if every:
            assert (len(done) - 1) <= steps_of_all and done[0] == 18 * ((after - 1) // 5)


def test_what_was_learned_to_the_end_is_not_learned_again(tmp_path: Path) -> None:
    """Killed between the last step and the writing of the adapter."""
    file = tmp_path / "checkpoint"
    model, curve = learned(checkpoint=file)

    def never(model: Any, some: Any) -> tuple[torch.Tensor, float]:
        raise AssertionError

    again, gone_on = learned(work=Job(job().rows, job().held_out, never, lambda row: len(row[0])), checkpoint=file)
    assert torch.equal(again.adapter, model.adapter) and gone_on.loss == curve.loss


@pytest.mark.parametrize("change", [{"learning_rate": 0.04}, {"seed": 2}, {"epochs": 4}])
def test_a_checkpoint_of_something_else_is_passed_over(tmp_path: Path, change: dict[str, Any]) -> None:
    file = tmp_path / "checkpoint"
    other = SETTINGS.model_copy(update=change)
    learned(checkpoint=file, about="these rows")
    assert torch.equal(learned(other, checkpoint=file, about="these rows")[0].adapter, learned(other)[0].adapter)
    file.write_bytes(file.read_bytes()[:-40])
    assert torch.equal(learned(checkpoint=file, about="these rows")[0].adapter, learned()[0].adapter)


def test_rows_that_are_others_are_learned_from_the_start(tmp_path: Path) -> None:
    file = tmp_path / "checkpoint"
    learned(checkpoint=file, about="these rows")
    others = job(learned=7)
    found = learned(work=others, checkpoint=file, about="others")[0].adapter
    assert torch.equal(found, learned(work=others)[0].adapter)


def test_it_ends_where_what_is_held_out_is_met_best() -> None:
    """Noise is learned by heart: the held-out loss rises again."""
    settings = TuningSettings(epochs=60, batch_size=2, learning_rate=0.3, patience=4, warm_up=0.0)
    work = job(learned=4, held_out=6, noise=3.0)
    model, curve = learned(settings, work)
    assert curve.best == int(np.argmin(curve.held_out)) + 1 < len(curve.held_out) < 60
    assert len(curve.held_out) == curve.best + 4
    assert measure(model, work, settings) == pytest.approx(min(curve.held_out), rel=1e-6)


def test_with_nobody_held_out_the_last_weights_are_kept() -> None:
    _, curve = learned(work=job(held_out=0))
    assert curve.held_out == [] and curve.best == 3 and len(curve.loss) == 3


def test_what_cannot_be_learned_is_said() -> None:
    with pytest.raises(InputError, match="tuning needs rows to learn from"):
        learned(work=job(learned=0))
    with pytest.raises(WorkError, match="lower learning_rate"):
        learned(
            work=Job(job().rows, [], lambda model, some: (squares(model, some)[0] * float("nan"), 1.0), lambda _: 1)
        )

    def exhausted(model: Any, some: Any) -> tuple[torch.Tensor, float]:
        raise torch.cuda.OutOfMemoryError

    with pytest.raises(WorkError, match="does not hold 4 rows at once; lower rows_at_once"):
        learned(work=Job(job().rows, [], exhausted, lambda _: 1))


def test_ctrl_c_waits_for_the_step_and_leaves_a_checkpoint(tmp_path: Path) -> None:
    asked = 0

    def interrupted(model: Any, some: Any) -> tuple[torch.Tensor, float]:
        nonlocal asked
        asked += 1
        if asked == 7:
            os.kill(os.getpid(), signal.SIGINT)
        return squares(model, some)

    work, file, before = job(held_out=0), tmp_path / "checkpoint", signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        learned(work=Job(work.rows, [], interrupted, work.length), checkpoint=file)
    assert asked == 7 and signal.getsignal(signal.SIGINT) is before
    model, _ = learned(work=Job(work.rows, [], interrupted, work.length), checkpoint=file)
    assert asked == 3 * 5, "no step was taken twice"
    assert torch.equal(model.adapter, learned(work=work)[0].adapter)


def test_ctrl_c_twice_ends_it_at_once() -> None:
    def interrupted(model: Any, some: Any) -> tuple[torch.Tensor, float]:
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGINT)
        raise AssertionError

    with pytest.raises(KeyboardInterrupt):
        learned(work=Job(job().rows, [], interrupted, lambda _: 1))
