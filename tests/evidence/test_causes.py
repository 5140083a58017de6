"""Causes are what the recommender itself says, asked without them."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations

import numpy as np
import numpy.typing as npt
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llmxrec.datasets.dataset import Histories
from llmxrec.evidence.causes import EVIDENCE, MOST_REMOVED, causes, measure, stand_in, standings
from llmxrec.recommenders import FITTED_ELSEWHERE, RECOMMENDERS, make_recommender
from llmxrec.recommenders.ease import EASE, EASESettings
from llmxrec.recommenders.topk import recommend
from llmxrec.testing.recommenders import checkerboard, histories

SMALL = {
    "popularity": {},
    "ease": {"ridge": 1.0},
    "bpr": {"embedding_size": 8, "epochs": 200, "regularization": 0.005, "negatives": 1},
    "lightgcn": {"embedding_size": 8, "epochs": 100, "learning_rate": 0.05},
    "sasrec": {"embedding_size": 16, "epochs": 40, "batch_size": 64, "learning_rate": 0.01, "dropout": 0.1},
}


class Asked:
    """Scores are sums of `weights[had, item]`; nobody is told so."""

    def __init__(self, weights: npt.NDArray[np.float32]) -> None:
        self.weights = weights.astype(np.float32)

    def score_histories(self, told: Sequence[npt.NDArray[np.int32]]) -> npt.NDArray[np.float32]:
        return np.stack([self.weights[history].sum(axis=0, dtype=np.float32) for history in told])


class Sums(Asked):
    """The same, and it says so."""

    def contributions(self, history: npt.NDArray[np.int32]) -> npt.NDArray[np.float32]:
        return self.weights[history]


def rows_of(*rows: tuple[str, str, int]) -> pl.DataFrame:
    return pl.DataFrame(rows, schema={"user_id": pl.String, "item_id": pl.String, "rank": pl.Int32}, orient="row")


# Somebody had items 0 to 3; 4 is recommended, and 5 comes next. Item 0 speaks for 4, item 1 a little, item 2 for 5.
BY_HAND = np.zeros((6, 6))
BY_HAND[0, 4], BY_HAND[1, 4], BY_HAND[2, 5], BY_HAND[3, 4] = 5, 2, 4, -1


@pytest.mark.parametrize("recommender", [Sums(BY_HAND), Asked(BY_HAND)])
def test_a_world_by_hand(recommender: Asked) -> None:
    """4 has 5 + 2 - 1 = 6 and 5 has 4. Without item 0, it is 1 against 4; without item 1, 4 against 4: still first, for
    it stands before 5."""
    known = histories([[0, 1, 2, 3]], n_items=6)
    (found,) = measure(recommender, known, known, rows_of(("u0", "i4", 1))).to_dicts()
    assert found["history"] == ["i0", "i1", "i2", "i3"] and found["place"] == 1 and not found["surrogate"]
    assert found["displacing"] == ["i0"] and found["influence"] == [5.0, 2.0, 0.0, -1.0]


@pytest.mark.parametrize("recommender", [Sums(BY_HAND), Asked(BY_HAND)])
def test_the_candidate_itself_is_no_cause_and_strangers_have_none(recommender: Asked) -> None:
    known = histories([[0, 4, 2], []], n_items=6)
    asked = rows_of(("u0", "i4", 1), ("u1", "i5", 2), ("nobody", "i5", 3))
    first, empty, stranger = measure(recommender, known, known, asked).to_dicts()
    assert first["history"] == ["i0", "i2"] and first["place"] == 1
    for found, place in ((empty, None), (stranger, 3)):
        assert found["history"] == [] and found["influence"] == [] and found["displacing"] is None
        assert place is None or found["place"] == place


@given(st.data())
@settings(max_examples=60, deadline=None)
def test_what_adds_up_has_the_smallest_set_of_all(data: st.DataObject) -> None:
    n_items, n_had = data.draw(st.integers(4, 8)), data.draw(st.integers(0, 7))
    cells = st.lists(st.integers(-6, 6), min_size=n_items, max_size=n_items)
    weights = np.array(data.draw(st.lists(cells, min_size=n_items, max_size=n_items)), np.float32)
    had = data.draw(st.permutations(range(n_items)))[: min(n_had, n_items - 2)]
    known = histories([list(had)], n_items=n_items)
    best = recommended(Asked(weights), known)
    (summed,) = measure(Sums(weights), known, known, best).to_dicts()
    (asked,) = measure(Asked(weights), known, known, best).to_dicts()
    assert summed["place"] == asked["place"] == 1
    assert summed["history"] == asked["history"] and summed["influence"] == pytest.approx(asked["influence"])
    candidate = int(best["item_id"][0][1:])
    smallest = next(
        (
            size
            for size in range(1, MOST_REMOVED + 1)
            for left in combinations(range(len(had)), size)
            if behind(weights, np.delete(np.array(had, np.int32), left), candidate, had)
        ),
        None,
    )
    assert (None if summed["displacing"] is None else len(summed["displacing"])) == smallest
    if asked["displacing"] is not None:
        left = [item for item in had if f"i{item}" not in asked["displacing"]]
        none, wanted = np.zeros(1, np.int64), np.array([candidate])
        where = standings(Asked(weights), known, [np.array(left, np.int32)], none, none, wanted)
        assert where.rank[0] > 1


def recommended(recommender: Asked, known: Histories) -> pl.DataFrame:
    """The best item that u0 has not had."""
    scores = recommender.score_histories([known.of(0)])[0]
    scores[known.of(0)] = -np.inf
    return rows_of(("u0", f"i{int(scores.argmax())}", 1))


def behind(weights: npt.NDArray[np.float32], left: npt.NDArray[np.int32], candidate: int, had: Sequence[int]) -> bool:
    """Whether something new is surely above the candidate."""
    scores = weights[left].sum(axis=0)
    others = [item for item in range(len(scores)) if item != candidate and item not in had]
    return bool(others) and max(scores[others]) > scores[candidate]


@pytest.mark.parametrize("name", sorted(set(RECOMMENDERS) - FITTED_ELSEWHERE))
def test_every_recommender_can_be_asked_and_what_displaces_does(name: str) -> None:
    board, _ = checkerboard(12)
    torn = [[1, 3, 0, 2, 4], [0, 2, 1, 3, 5], [1, 0, 3, 2, 5, 4, 7]]  # who had items of both colours
    train = histories([*(board.of(user).tolist() for user in range(board.n_users)), *torn], n_items=12)
    fitted = make_recommender(name, SMALL[name]).fit(train)
    asked = recommend(fitted, train, train, 2)
    found = measure(fitted, train, train, asked)
    assert dict(found.schema) == EVIDENCE and found.height == asked.height
    displaced = found.filter(pl.col("displacing").is_not_null())
    assert displaced.is_empty() == (name == "popularity"), "what everybody gets has no cause in a history"
    number = {item: row for row, item in enumerate(train.items.to_list())}
    people = {user: row for row, user in enumerate(train.users.to_list())}
    for row in displaced.iter_rows(named=True):
        user, gone = people[row["user_id"]], {number[item] for item in row["displacing"]}
        assert len(gone) <= MOST_REMOVED and gone <= set(train.of(user).tolist())
        left = np.array([item for item in train.of(user) if item not in gone], np.int32)
        where = standings(
            fitted, train, [left], np.zeros(1, np.int64), np.array([user]), np.array([number[row["item_id"]]])
        )
        assert where.rank[0] > row["place"]


def test_ease_tells_its_weights() -> None:
    train, _ = checkerboard(12)
    fitted = EASE(EASESettings(ridge=1.0)).fit(train)
    found = measure(fitted, train, train, recommend(fitted, train, train, 1))
    for row in found.iter_rows(named=True):
        weights = {f"i{item}": fitted.weights[at] for at, item in enumerate(fitted.items)}
        candidate = list(fitted.items).index(int(row["item_id"][1:]))
        expected = [float(weights[item][candidate]) for item in row["history"]]
        assert row["influence"] == pytest.approx(expected) and expected == sorted(expected, reverse=True)


def test_causes_are_what_displaces_or_else_the_strongest_that_speak_for_it() -> None:
    assert causes(["b", "a"], ["a", "b"], [2.0, 1.0]) == ["b", "a"]
    assert causes(None, ["a", "b", "c", "d", "e"], [4.0, 3.0, 2.0, 1.0, -1.0]) == ["a", "b", "c"]
    assert causes(None, ["a", "b"], [1.0, 0.0]) == ["a"]
    assert causes(None, [], []) == []


def test_a_stand_in_knows_what_people_had_together() -> None:
    train, _ = checkerboard(12)
    scores = stand_in(train).score_histories([train.of(0)])[0]
    assert scores[::2].mean() > scores[1::2].mean()
