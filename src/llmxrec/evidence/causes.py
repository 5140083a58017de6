"""Which items of a history caused a recommendation: leave them out, and have the recommender score again.

What is measured is the recommender's own answer to another history (`score_histories`). What somebody had stays out of
the ranking whether or not it is left out of the history, so a candidate is displaced only by something new.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any, NamedTuple, Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt
import polars as pl

from llmxrec.datasets.dataset import Histories
from llmxrec.progress import Advance, quiet
from llmxrec.recommenders.ease import EASE
from llmxrec.recommenders.protocol import History, Scores

MOST_REMOVED = 5
"""Items that a set may have whose removal displaces a candidate."""
STRONGEST = 3
"""Items that count as the cause where no such set exists."""

EVIDENCE: dict[str, Any] = {
    "user_id": pl.String,
    "item_id": pl.String,
    "rank": pl.Int32,
    "place": pl.Int32,
    "history": pl.List(pl.String),
    "influence": pl.List(pl.Float32),
    "displacing": pl.List(pl.String),
    "surrogate": pl.Boolean,
}
"""The causes of a recommendation, as a table with a row for each.

`place` is where the candidate stands among what the user has not had, scored by the history alone: 1, or lower where
the recommender goes by more than the history. `history` has the items of the history, the strongest influence first,
and `influence` how much the candidate's score falls without each. `displacing` is the smallest set found, of
MOST_REMOVED at most, without which the candidate stands lower than `place`; null where there is none. `surrogate`:
measured on a stand-in, because the recommender itself cannot be asked.
"""

_TELLING = 8
"""Of items none of which displaces alone, so many are tried together: those without which the lead shrinks most."""
_ROWS_BYTES = 1 << 26
"""Of scores held at once."""
_BLOCK = 4096
"""Histories gathered before they are scored."""

Ints = npt.NDArray[np.int64]


class ScoresHistories(Protocol):
    """What can be asked what it would recommend for another history: any recommender (see `Recommender`)."""

    def score_histories(self, histories: Sequence[History]) -> Scores: ...


@runtime_checkable
class Additive(Protocol):
    """One whose scores are sums over the history, so that what an item adds need not be measured: it is known."""

    def contributions(self, history: History) -> Scores:
        """(len(history), n_items): what each item of the history adds to the score of each item."""
        ...


class Standing(NamedTuple):
    """Where candidates stand, by question: score, rank from 1, and how far ahead of the best other item they are."""

    score: Scores
    rank: Ints
    lead: Scores

    def at(self, places: Ints | slice) -> Standing:
        """The answers at these places."""
        return Standing(self.score[places], self.rank[places], self.lead[places])


def standings(
    recommender: ScoresHistories,
    known: Histories,
    histories: Sequence[History],
    row: Ints,
    user: Ints,
    candidate: Ints,
) -> Standing:
    """Where `candidate[n]` stands for `histories[row[n]]` among what `user[n]` has not had (see `known`).

    `row` rises. Of equal scores, the item that stands first in the item table comes first, as in recommendations.
    """
    from llmxrec.recommenders.kernels import stand

    score, lead = np.empty(len(row), np.float32), np.empty(len(row), np.float32)
    rank = np.empty(len(row), np.int64)
    at_once = max(1, _ROWS_BYTES // (4 * max(1, known.n_items)))
    for start in range(0, len(histories), at_once):
        scores = recommender.score_histories(histories[start : start + at_once])
        part = slice(*np.searchsorted(row, [start, start + at_once]))
        stand(
            scores, row[part] - start, user[part], candidate[part], known.offsets, known.sorted_items,
            score[part], rank[part], lead[part],
        )  # fmt: skip
    return Standing(score, rank, lead)


def measure(
    recommender: ScoresHistories,
    histories: Histories,
    known: Histories,
    recommendations: pl.DataFrame,
    *,
    surrogate: bool = False,
    advance: Advance = quiet,
) -> pl.DataFrame:
    """The causes of `recommendations` (user_id, item_id, rank): a table with the columns of EVIDENCE, in their order.

    `histories` is what the recommender knew of each user; `known` numbers users and items alike, and has what is never
    recommended. `advance` is told of recommendations. Whom `histories` do not know has no causes.
    """
    user_number = {user: number for number, user in enumerate(histories.users.to_list())}
    item_number = {item: number for number, item in enumerate(histories.items.to_list())}
    rows = list(recommendations.select("user_id", "item_id", "rank").iter_rows())
    asked = [
        _Asked.of(histories, user_number[user], item_number[item]) for user, item, _ in rows if user in user_number
    ]
    found: list[_Found] = []
    for block in _blocks(asked):
        some = [_added_up(recommender, known, one) if isinstance(recommender, Additive) else None for one in block]
        rest = _left_out(recommender, known, [one for one, done in zip(block, some, strict=True) if not done])
        found += [done or next(rest) for done in some]
        advance(len(block))
    traced = iter(found)
    found = [next(traced) if user in user_number else _Found.nothing(rank) for user, _, rank in rows]
    items = histories.items.to_list()
    table = {
        "user_id": [user for user, _, _ in rows],
        "item_id": [item for _, item, _ in rows],
        "rank": [rank for _, _, rank in rows],
        "place": [one.place for one in found],
        "history": [[items[number] for number in one.history] for one in found],
        "influence": [one.influence.tolist() for one in found],
        "displacing": [None if one.displacing is None else [items[n] for n in one.displacing] for one in found],
        "surrogate": [surrogate] * len(found),
    }
    return pl.DataFrame(table, schema=EVIDENCE)


def causes(displacing: Sequence[str] | None, history: Sequence[str], influence: Sequence[float]) -> list[str]:
    """What a recommendation rests on, the strongest first: what displaces it, or else the STRONGEST of what speaks for
    it. `history` and `influence` are as in EVIDENCE."""
    if displacing:
        return list(displacing)
    return [item for item, weight in zip(history, influence, strict=True) if weight > 0][:STRONGEST]


def stand_in(histories: Histories) -> EASE:
    """A recommender to measure on where the true one cannot be asked: EASE, fitted to what people had.

    Raises InputError where there are too many items for it.
    """
    return EASE().fit(histories)


@dataclass(frozen=True, slots=True)
class _Asked:
    """The numbers of a user and of the candidate, and the history it is recommended for, without the candidate."""

    user: int
    candidate: int
    history: History

    @classmethod
    def of(cls, histories: Histories, user: int, candidate: int) -> _Asked:
        history = histories.of(user)
        return cls(user, candidate, history[history != candidate])


@dataclass(frozen=True, slots=True)
class _Found:
    """A row of EVIDENCE in numbers."""

    place: int
    history: Ints
    influence: Scores
    displacing: Sequence[int] | None

    @classmethod
    def nothing(cls, rank: int) -> _Found:
        """Of somebody whom the histories do not know."""
        return cls(rank, np.zeros(0, np.int64), np.zeros(0, np.float32), None)


def _blocks(asked: Sequence[_Asked]) -> Iterator[list[_Asked]]:
    """Parts of `asked` whose histories, each without one of its items, are about _BLOCK."""
    block: list[_Asked] = []
    size = 0
    for one in asked:
        block.append(one)
        size += 1 + len(one.history)
        if size >= _BLOCK:
            yield block
            block, size = [], 0
    if block:
        yield block


def _found(place: int, history: History, influence: Scores, displacing: Collection[int] | None) -> _Found:
    """Items by influence, the strongest first; of equal ones, the newest. `displacing` has places in the history."""
    order = np.lexsort((-np.arange(len(history)), -influence))
    left_out = None if displacing is None else [int(history[at]) for at in order if at in displacing]
    return _Found(place, history[order].astype(np.int64), influence[order], left_out)


def _added_up(recommender: Additive, known: Histories, one: _Asked) -> _Found | None:
    """What `_left_out` finds, without asking again, and a smallest set of all; None unless the candidate is first."""
    from llmxrec.recommenders.kernels import smallest_set

    added = recommender.contributions(one.history)
    owned = known.sorted_items[slice(*known.offsets[one.user : one.user + 2])]
    chosen = np.full(MOST_REMOVED, -1, np.int64)
    if not smallest_set(added, one.candidate, owned, chosen):
        return None
    return _found(1, one.history, added[:, one.candidate], set(chosen[chosen >= 0].tolist()) or None)


def _left_out(recommender: ScoresHistories, known: Histories, block: Sequence[_Asked]) -> Iterator[_Found]:
    """Ask again without each item, and where none displaces alone, without some together."""
    variants: list[History] = []
    questions: list[Ints] = []
    for before, one in zip([None, *block], block, strict=False):
        same = before is not None and before.user == one.user and np.array_equal(before.history, one.history)
        if not same:  # several recommendations of one user are asked about at once
            first = len(variants)
            variants += [one.history, *(np.delete(one.history, place) for place in range(len(one.history)))]
        questions.append(first + np.arange(len(one.history) + 1))
    found = _ask(recommender, known, variants, block, questions)
    place = [int(standing.rank[0]) for standing in found]
    displacing: list[tuple[int, ...] | None] = [
        _best([(at,) for at in range(len(standing.rank) - 1)], standing.at(slice(1, None)), standing.rank[0])
        for standing in found
    ]
    telling = [np.argsort(standing.lead[1:], kind="stable")[:_TELLING].tolist() for standing in found]
    for size in range(2, MOST_REMOVED + 1):
        left = [n for n, best in enumerate(displacing) if best is None and len(telling[n]) >= size]
        tried = [list(combinations(telling[n], size)) for n in left]
        variants, questions = [], []
        for n, sets in zip(left, tried, strict=True):
            questions.append(len(variants) + np.arange(len(sets)))
            variants += [np.delete(block[n].history, places) for places in sets]
        again = _ask(recommender, known, variants, [block[n] for n in left], questions)
        for n, sets, standing in zip(left, tried, again, strict=True):
            displacing[n] = _best(sets, standing, place[n])
    for one, standing, best in zip(block, found, displacing, strict=True):
        yield _found(int(standing.rank[0]), one.history, standing.score[0] - standing.score[1:], best)


def _ask(
    recommender: ScoresHistories,
    known: Histories,
    variants: Sequence[History],
    asked: Sequence[_Asked],
    questions: Sequence[Ints],
) -> list[Standing]:
    """Where the candidate of each of `asked` stands for its `questions`, rows of `variants`."""
    counts = [len(rows) for rows in questions]
    row = np.concatenate([np.zeros(0, np.int64), *questions])
    user, candidate = (
        np.repeat(np.array([getattr(one, name) for one in asked], np.int64), counts) for name in ("user", "candidate")
    )
    order = np.argsort(row, kind="stable")
    answers = standings(recommender, known, variants, row[order], user[order], candidate[order])
    back = np.argsort(order, kind="stable")
    ends = np.cumsum(counts)
    return [answers.at(back[end - count : end]) for count, end in zip(counts, ends, strict=True)]


def _best(sets: Sequence[tuple[int, ...]], standing: Standing, place: int) -> tuple[int, ...] | None:
    """Of `sets` without which the candidate stands lower than `place`, the one without which it is furthest behind."""
    lower = np.flatnonzero(standing.rank > place)
    return sets[lower[standing.lead[lower].argmin()]] if len(lower) else None
