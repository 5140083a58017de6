"""Stage 1: recommenders trained and measured, and what they recommend written for the next stage."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from llmxrec.datasets.dataset import Dataset, Histories
from llmxrec.datasets.split import leave_one_out
from llmxrec.errors import InputError
from llmxrec.progress import progress
from llmxrec.recommenders import FITTED_ELSEWHERE, make_recommender
from llmxrec.recommenders.metrics import Metric, evaluate
from llmxrec.recommenders.protocol import Recommender, Watch
from llmxrec.recommenders.topk import recommend as top_k
from llmxrec.reports.measured import forget
from llmxrec.stages.timing import timed
from llmxrec.workspace import Workspace, atomic

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Trained:
    """A recommender's result: rows recommended to users, and how it ranks the held-out items (none: not measured).

    `strangers` have no history and are recommended nothing; `kept_out` have too few items to hold any out.
    """

    rows: int
    users: int
    strangers: int
    kept_out: int
    metrics: tuple[Metric, ...]

    def __str__(self) -> str:
        if not self.metrics:
            return f"recommended to {self.users:,} users; not measured, for nothing was held out"
        shown = [metric for metric in self.metrics if metric.name.startswith(("NDCG", "Recall"))]
        return ", ".join([*map(str, shown), f"{self.metrics[0].rows:,} users"])


def recommend(
    workspace: Workspace,
    name: str,
    settings: Mapping[str, Any] | None = None,
    *,
    k: int = 10,
    hold_out: bool = True,
    seed: int = 1,
) -> Trained:
    """Stage 1: train recommender `name`, and write its `k` best unseen items for everybody.

    `hold_out`: train without each person's last two items, and measure the ranking on the last (leave-one-out).
    Otherwise it trains on everything, for use rather than for measuring.
    """
    check_measurable(name, hold_out)
    recommender = make_recommender(name, settings, seed=seed)
    dataset = Dataset.load(workspace.dataset)
    train, known, held_out, kept_out = parts(dataset, hold_out)
    with timed(workspace, "train", name) as rows:
        recommender = _train(workspace, recommender, dataset, train, hold_out)
        rows(len(train.item_index))
    with (
        timed(workspace, "recommend", name) as rows,
        progress(f"recommending with {name}", train.n_users, "users") as advance,
    ):
        recommendations = top_k(recommender, train, known, k, advance)
        rows(recommendations.height)
    metrics = tuple(evaluate(recommendations, held_out, k=k, seed=seed)) if held_out is not None else ()
    # The table goes first and comes last: without it nothing is taken for done, wherever this is stopped.
    workspace.recommendations(name).unlink(missing_ok=True)
    recommender.save(workspace.model(name))
    workspace.note(
        "recommenders",
        name,
        settings=recommender.settings.model_dump(mode="json"),
        k=k,
        hold_out=hold_out,
        best_epoch=recommender.best_epoch,
        kept_out=kept_out,
        metrics={metric.name: asdict(metric) for metric in metrics},
    )
    write_recommendations(workspace, name, recommendations)
    users = recommendations["user_id"].n_unique()
    return Trained(recommendations.height, users, dataset.users.height - users, kept_out, metrics)


def check_measurable(name: str, hold_out: bool) -> None:
    """Raises InputError for a recommender that may have learned from what would be held out to measure it."""
    if hold_out and name in FITTED_ELSEWHERE:
        raise InputError(
            f"'{name}' was fitted elsewhere, perhaps to the very items that would be held out to measure it",
            cure="recommend with --full (hold_out = false in a recipe)",
        )


def _train(
    workspace: Workspace, recommender: Recommender, dataset: Dataset, train: Histories, hold_out: bool
) -> Recommender:
    """`recommender`, fitted to `train`; how long is decided by the validation items, whatever else is held out.

    To train on everything, it is first fitted without everyone's last item, and then again for as many epochs as
    ranked that item best. Interrupted, each fit goes on from its checkpoint.
    """
    name, model = recommender.name, workspace.model(recommender.name)
    if recommender.epochs and not hold_out:
        split = leave_one_out(dataset)
        # Without the last item only: here the one before it is for learning.
        before = Histories.build(pl.concat([split.train, split.validation]), train.users, train.items)
        with progress(f"choosing the epochs of {name}", recommender.epochs, "epochs") as advance:
            held_out = _one_per_user(split.test, train)
            recommender.fit(before, Watch(advance, held_out, checkpoint=model.with_name(f".{name}.choosing")))
        last_epoch = recommender.best_epoch
        recommender = make_recommender(name, recommender.settings.model_dump(mode="json"))
        with progress(f"training {name}", last_epoch, "epochs") as advance:
            checkpoint = model.with_name(f".{name}.training")
            return recommender.fit(train, Watch(advance, last_epoch=last_epoch, checkpoint=checkpoint))
    validation = _one_per_user(leave_one_out(dataset).validation, train) if recommender.epochs else None
    began = time.monotonic()
    with progress(f"training {name}", recommender.epochs or None, "epochs") as advance:
        recommender.fit(train, Watch(advance, validation, checkpoint=model.with_name(f".{name}.training")))
    if not recommender.epochs:  # those that have some tell of them
        log.info("trained %s in %.1f s", name, time.monotonic() - began)
    return recommender


def _one_per_user(held_out: pl.DataFrame, histories: Histories) -> npt.NDArray[np.int64]:
    """By user of `histories`, the item held out; -1 for none."""
    items = np.full(histories.n_users, -1, np.int64)
    rows = Histories.build(held_out, histories.users, histories.items)
    items[rows.user_index] = rows.item_index
    return items


def is_trained(
    workspace: Workspace, name: str, settings: Mapping[str, Any], *, k: int, hold_out: bool, seed: int
) -> bool:
    """Whether `recommend` would write what lies there already."""
    noted = workspace.read_manifest().get("recommenders", {}).get(name, {})
    wanted = make_recommender(name, settings, seed=seed).settings.model_dump(mode="json")
    same = (noted.get("settings"), noted.get("k"), noted.get("hold_out")) == (wanted, k, hold_out)
    kept = same and workspace.recommendations(name).exists()
    if kept:
        log.info("%s is kept: it was trained like this before", name)
    return kept


def write_recommendations(workspace: Workspace, name: str, recommendations: pl.DataFrame) -> None:
    """Put a recommender's table (user_id, item_id, rank, score) where the next stage reads it.

    What others rested on is no longer known, nor what was measured of them.
    """
    workspace.evidence(name).unlink(missing_ok=True)
    forget(workspace, name)
    with atomic(workspace.recommendations(name)) as file:
        recommendations.write_parquet(file)


def parts(dataset: Dataset, hold_out: bool) -> tuple[Histories, Histories, pl.DataFrame | None, int]:
    """What a recommender is trained on, what its users have seen, the item held out of each, and who has none."""
    users, items = dataset.users["user_id"], dataset.items["item_id"]
    if not hold_out:
        everything = Histories.build(dataset.interactions, users, items)
        return everything, everything, None, 0
    split = leave_one_out(dataset)
    train = Histories.build(split.train, users, items)
    known = Histories.build(pl.concat([split.train, split.validation]), users, items)
    return train, known, split.test.select("user_id", "item_id"), split.kept_out
