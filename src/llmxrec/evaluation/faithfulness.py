"""Whether explanations cite what a recommendation rests on: without the items that they cite, does it fall?

The recommender itself answers, scored again on the history without those items (see `llmxrec.evidence.causes`). Beside
what a text cites stand as many items drawn at random, as many of the newest, and as many of the true evidence: a text
is faithful as far as it does better than the first two and comes near the third.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import polars as pl

from llmxrec.datasets.dataset import Histories
from llmxrec.evaluation.bootstrap import Floats, clusters, intervals, ratio, sums_by_user
from llmxrec.evidence.causes import ScoresHistories, causes, standings
from llmxrec.progress import Advance, quiet
from llmxrec.recommenders.metrics import Metric
from llmxrec.recommenders.protocol import History
from llmxrec.seeds import derive

CITED, RANDOM, RECENT, EVIDENCE = "cited", "random", "most recent", "evidence"
"""What is removed: what the text cites, or as many others."""
FLIP = "flip"
"""What it is called that a recommendation falls from its place."""
DRAWS = 5
"""Times that random items are drawn for each text."""

CITATIONS: dict[str, Any] = {"user_id": pl.String, "item_id": pl.String, "cited": pl.List(pl.String)}
"""What a text of a recommendation cites: ids of items of the history, in the order named. Any other is left aside. Null
where the text could not be read."""


@dataclass(frozen=True)
class Removal:
    """What becomes of recommendations when the items `removed` (one of the names above) leave the history.

    `flip`: the share that falls from its place. `pos`: the share still among the best k; `neg`: the same when all
    *other* items leave, so that these alone have to hold it. `drop`: how many ranks it falls. All are over texts that
    cite something (`rows` of Metric).
    """

    removed: str
    flip: Metric
    pos: Metric
    neg: Metric
    drop: Metric


@dataclass(frozen=True)
class Faithfulness:
    """How true the texts of one generator are to the recommender.

    `citing`: the share of texts that cite any item of the history; `items`: how many those cite. `coverage`: of what a
    recommendation rests on (see `causes`), the share that its text cites; of texts without a citation it is 0, and
    recommendations whose causes are not known are left out. `removals` in the order of the names above. `unread` texts
    are not measured: they could not be read, or nobody traced the evidence of their recommendation.
    """

    citing: Metric
    items: Metric
    coverage: Metric
    removals: tuple[Removal, ...]
    unread: int = 0

    def of(self, removed: str) -> Removal:
        return next(one for one in self.removals if one.removed == removed)


class _Row(NamedTuple):
    """A recommendation in numbers: places in `history` of what is cited, and of its causes, the strongest first."""

    user_id: str
    user: int
    candidate: int
    place: int
    history: History
    cited: tuple[int, ...]
    causes: tuple[int, ...]
    strongest: tuple[int, ...]


def faithfulness(
    recommender: ScoresHistories,
    histories: Histories,
    known: Histories,
    evidence: pl.DataFrame,
    citations: pl.DataFrame,
    *,
    k: int = 10,
    seed: int = 1,
    advance: Advance = quiet,
) -> Faithfulness:
    """Of texts about recommendations whose `evidence` (columns of EVIDENCE in `causes`) is known; others are unread.

    `citations` has the columns of CITATIONS. `histories` and `known` are as in `causes.measure`. `advance` is told of
    texts. Intervals are over users.
    """
    rows = list(_rows(histories, evidence, citations))
    citing = [row for row in rows if row.cited]
    users = [row.user_id for row in citing]
    ranks = {name: _ranks(recommender, known, citing, name, seed) for name in (CITED, RANDOM, RECENT, EVIDENCE)}
    advance(len(rows))
    place = np.array([[row.place] for row in citing]).reshape(-1, 1)
    removals = []
    for name, (without, only) in ranks.items():
        figures = {
            FLIP: without > place,
            f"POS@{k}": without <= k,
            f"NEG@{k}": only <= k,
            "rank drop": without - place,
        }
        found = [_mean(label, values.mean(axis=1), users, seed, name) for label, values in figures.items()]
        removals.append(Removal(name, *found))
    everyone = [row.user_id for row in rows]
    caused = [row for row in rows if row.causes]
    covered = [len(set(row.causes) & set(row.cited)) / len(row.causes) for row in caused]
    return Faithfulness(
        _mean("citing", [float(bool(row.cited)) for row in rows], everyone, seed),
        _mean("items", [float(len(row.cited)) for row in citing], users, seed),
        _mean("coverage", covered, [row.user_id for row in caused], seed),
        tuple(removals),
        citations.height - len(rows),
    )


def flips(
    recommender: ScoresHistories,
    histories: Histories,
    known: Histories,
    evidence: pl.DataFrame,
    citations: pl.DataFrame,
) -> pl.DataFrame:
    """For each text that cites something whether its recommendation falls without that: user_id, item_id, flip (0 or
    1), so that groups of people can be compared. Arguments as of `faithfulness`."""
    rows = [row for row in _rows(histories, evidence, citations) if row.cited]
    without, _ = _ranks(recommender, known, rows, CITED, seed=1)
    return pl.DataFrame(
        {
            "user_id": [row.user_id for row in rows],
            "item_id": [histories.items[row.candidate] for row in rows],
            FLIP: [float(rank > row.place) for row, rank in zip(rows, without[:, 0], strict=True)],
        },
        schema={"user_id": pl.String, "item_id": pl.String, FLIP: pl.Float64},
    )


def _rows(histories: Histories, evidence: pl.DataFrame, citations: pl.DataFrame) -> Iterator[_Row]:
    user_number = {user: number for number, user in enumerate(histories.users.to_list())}
    item_number = {item: number for number, item in enumerate(histories.items.to_list())}
    columns = ("user_id", "item_id", "cited", "place", "history", "influence", "displacing")
    both = (
        citations.drop_nulls("cited")
        .join(evidence, on=["user_id", "item_id"], how="inner", maintain_order="left")
        .select(columns)
    )
    for user_id, item_id, cited, place, ranked, influence, displacing in both.iter_rows():
        if user_id not in user_number:
            continue
        history = histories.of(user_number[user_id])
        history = history[history != item_number[item_id]]
        at = {int(item): number for number, item in enumerate(history)}
        rests_on = causes(displacing, ranked, influence)

        def places(items: Sequence[str], at: Mapping[int, int] = at) -> tuple[int, ...]:
            numbers = (at.get(item_number.get(item, -1)) for item in dict.fromkeys(items))
            return tuple(number for number in numbers if number is not None)

        yield _Row(
            user_id,
            user_number[user_id],
            item_number[item_id],
            place,
            history,
            places(cited),
            places(rests_on),
            places([*rests_on, *ranked]),
        )


def _ranks(
    recommender: ScoresHistories, known: Histories, rows: Sequence[_Row], removed: str, seed: int
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Where each candidate stands without what is `removed`, and with nothing else: (rows, draws) each."""
    chosen = [list(_removed(row, removed, seed)) for row in rows]
    draws = len(chosen[0]) if chosen else 1
    without = [np.delete(row.history, places) for row, sets in zip(rows, chosen, strict=True) for places in sets]
    only = [row.history[sorted(places)] for row, sets in zip(rows, chosen, strict=True) for places in sets]
    user, candidate = (np.repeat(np.array([getattr(row, name) for row in rows], np.int64), draws) for name in _ASKED)
    order = np.arange(len(without))
    ranks = [standings(recommender, known, some, order, user, candidate).rank for some in (without, only)]
    return ranks[0].reshape(-1, draws), ranks[1].reshape(-1, draws)


_ASKED = ("user", "candidate")


def _removed(row: _Row, removed: str, seed: int) -> Iterator[list[int]]:
    """Places in the history; as many as are cited."""
    count = len(row.cited)
    if removed == CITED:
        yield list(row.cited)
    elif removed == RECENT:
        yield list(range(len(row.history) - count, len(row.history)))
    elif removed == EVIDENCE:
        yield list(row.strongest[:count])
    else:
        draw = np.random.Generator(np.random.PCG64(derive(seed, "removed", row.user_id, row.candidate)))
        for _ in range(DRAWS):
            yield draw.choice(len(row.history), count, replace=False).tolist()


def _mean(name: str, values: Sequence[float] | Floats, users: Sequence[str], seed: int, what: str = "") -> Metric:
    """The mean with its 95 % interval over users; NaN where there is nothing."""
    numbers, n_users = clusters(pl.Series(users, dtype=pl.String))
    pairs = np.stack([np.asarray(values, np.float64), np.ones(len(users))], axis=1)
    sums = sums_by_user(pairs, numbers, n_users)
    value, low, high = intervals(sums, lambda drawn: ratio(drawn[:, :1], drawn[:, 1:]), seed, f"{what}/{name}")
    return Metric(name, float(value[0]), float(low[0]), float(high[0]), len(users))
