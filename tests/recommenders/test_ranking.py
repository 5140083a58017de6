"""Top-k against a full sort, and metrics by hand."""

from __future__ import annotations

from math import log2

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from llmxrec.errors import WorkError
from llmxrec.recommenders import kernels, topk
from llmxrec.recommenders.dot_product import DotProduct
from llmxrec.recommenders.metrics import evaluate
from llmxrec.recommenders.topk import best_unseen, recommend, top_k
from llmxrec.testing.recommenders import histories


@given(st.data(), st.integers(1, 6), st.integers(1, 8), st.integers(1, 10))
def test_top_k_is_a_stable_full_sort(data: st.DataObject, users: int, items: int, k: int) -> None:
    few_values = st.sampled_from([-1.0, 0.0, 0.5, 2.0])  # so that there are many ties
    scores = data.draw(arrays.arrays(np.float32, (users, items), elements=few_values))
    seen = [sorted(data.draw(st.sets(st.integers(0, items - 1)))) for _ in range(users)]
    best, values = top_k(scores.copy(), histories(seen, items), np.arange(users), k)
    for user in range(users):
        unseen = [item for item in range(items) if item not in seen[user]]
        expected = sorted(unseen, key=lambda item: (-scores[user, item], item))[:k]
        there = values[user] > -np.inf
        assert best[user][there].tolist() == expected
        assert values[user][there].tolist() == [scores[user, item] for item in expected]


def test_users_may_be_any_of_them() -> None:
    known = histories([[0], [1], [2]], n_items=3)
    best, _ = top_k(np.zeros((2, 3), np.float32), known, np.array([2, 0]), 1)
    assert best.tolist() == [[0], [1]]


class Fixed:
    """Scores that are given."""

    name = "fixed"

    def __init__(self, scores: list[list[float]]) -> None:
        self.scores = np.array(scores, np.float32)

    def score(self, users: np.ndarray) -> np.ndarray:
        return self.scores[users]


def test_a_table_by_user_and_rank() -> None:
    train = histories([[0], [1, 2]], n_items=3)
    table = recommend(Fixed([[9, 1, 2], [3, 9, 9]]), train, train, 2)
    assert table.rows() == [("u0", "i2", 1, 2.0), ("u0", "i1", 2, 1.0), ("u1", "i0", 1, 3.0)]
    assert table.schema == {"user_id": pl.String, "item_id": pl.String, "rank": pl.Int32, "score": pl.Float64}


def test_scores_that_are_no_numbers_stop_the_work() -> None:
    train = histories([[0]], n_items=2)
    with pytest.raises(WorkError, match="fixed gave scores that are no numbers"):
        recommend(Fixed([[1, float("nan")]]), train, train, 1)


def table(**ranked: str) -> pl.DataFrame:
    rows = [(user, item, rank) for user, items in ranked.items() for rank, item in enumerate(items, 1)]
    return pl.DataFrame(rows, schema={"user_id": pl.String, "item_id": pl.String, "rank": pl.Int32}, orient="row")


IDS = {"user_id": pl.String, "item_id": pl.String}


def held(**items: str) -> pl.DataFrame:
    return pl.DataFrame({"user_id": list(items), "item_id": list(items.values())}, schema_overrides=IDS)


def test_metrics_by_hand() -> None:
    # u finds x first, v third, w at rank 4, which is beyond 3; y was recommended nothing.
    shown = table(u="xab", v="abx", w="abcx", stranger="q")
    recall, ndcg, mrr, coverage = evaluate(shown, held(u="x", v="x", w="x", y="x"), k=3)
    assert (recall.name, recall.value, recall.rows) == ("Recall@3", 2 / 4, 4)
    assert ndcg.value == pytest.approx((1 / log2(2) + 1 / log2(4)) / 4)
    assert mrr.value == pytest.approx((1 / 1 + 1 / 3) / 4)
    assert (coverage.name, coverage.value) == ("coverage@3", 4)  # x a b c; the stranger is not measured
    # Without w there is no c: lost are 0, 0, 1, 0; their squared deviations from 1/4 add up to 3/4.
    error = (3 / 4 * 3 / 4) ** 0.5
    assert (coverage.low, coverage.high) == (pytest.approx(4 - 1.96 * error), pytest.approx(4 + 1.96 * error))
    assert all(metric.low <= metric.value <= metric.high for metric in (recall, ndcg, mrr, coverage))
    assert str(recall).startswith("Recall@3 0.5000 [0.")


def test_perfect_and_hopeless() -> None:
    users = {f"u{n}": "x" for n in range(20)}
    assert [m.value for m in evaluate(table(**users), held(**users))] == [1, 1, 1, 1]
    assert [m.value for m in evaluate(table(**dict.fromkeys(users, "y")), held(**users))] == [0, 0, 0, 1]
    assert [m.rows for m in evaluate(table(), held(**users))] == [20] * 4
    assert [m.value for m in evaluate(table(u="x"), held())] == [0, 0, 0, 0]


lists = st.dictionaries(
    st.sampled_from(["u", "v", "w", "x", "y", "z"]), st.permutations("abcdef").map("".join), min_size=1
)


@given(lists, st.randoms(use_true_random=False))
def test_the_order_of_rows_is_nothing(shown: dict[str, str], random: object) -> None:
    wanted = held(**dict.fromkeys(shown, "c"))
    rows = table(**shown)
    shuffled = rows.sample(fraction=1.0, shuffle=True, seed=3)
    first, second = evaluate(rows, wanted, k=4), evaluate(shuffled, wanted, k=4)
    assert first == second
    assert all(0 <= metric.value <= 1 for metric in first[:3])


def test_intervals_narrow_with_users() -> None:
    def width(n: int) -> float:
        users = {f"u{i}": "xa" if i % 2 else "ax" for i in range(n)}
        metric = evaluate(table(**users), held(**dict.fromkeys(users, "x")))[2]
        return metric.high - metric.low

    # The standard error of a mean of 1s and halves is .25 / sqrt(n).
    assert width(400) == pytest.approx(2 * 1.96 * 0.25 / 20, rel=0.15)
    assert width(100) == pytest.approx(2 * 1.96 * 0.25 / 10, rel=0.15)


class Vectors(DotProduct):
    """Vectors that are given."""

    name = "vectors"

    def __init__(self, users: np.ndarray, items: np.ndarray, biases: np.ndarray) -> None:
        self.users, self.item_vectors, self.biases = users, items, biases

    def user_vectors(self, users: np.ndarray) -> np.ndarray:
        return self.users[users]


@given(st.integers(0, 2**32), st.integers(1, 6), st.sampled_from([0.0, 0.3, 3.0]))
def test_the_search_among_vectors_leaves_out_nothing_that_counts(seed: int, k: int, spread: float) -> None:
    """Small whole numbers, so that sums are exact and there are ties; blocks of three items, so that many are cut."""
    draw = np.random.default_rng(seed)
    size = draw.integers(1, 4)
    users = draw.integers(-2, 3, (5, size)).astype(np.float32)
    items = (draw.integers(-2, 3, (20, size)) * (draw.random((20, 1)) < 0.5)).astype(np.float32)
    biases = np.round(spread * draw.normal(size=20)).astype(np.float32)
    seen = histories([sorted(draw.choice(20, draw.integers(0, 20), replace=False).tolist()) for _ in users], 20)
    searched = Vectors(users, items, biases)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(topk, "_BLOCK_ITEMS", 3)
        found = best_unseen(searched, seen, np.arange(5), k)
    best, values = top_k(searched.score(np.arange(5)), seen, np.arange(5), k)
    assert np.array_equal(found, np.where(values > -np.inf, best, -1))


def test_the_search_stops_early(monkeypatch: pytest.MonkeyPatch) -> None:
    """One block of items is far above all others: nothing else is scored."""
    scored = []
    real = kernels.best_of_rows
    monkeypatch.setattr(
        kernels, "best_of_rows", lambda scores, *rest: (scored.append(scores.shape), real(scores, *rest))
    )
    monkeypatch.setattr(topk, "_BLOCK_ITEMS", 4)
    biases = np.where(np.arange(40) % 10 == 0, 9.0, -9.0).astype(np.float32)
    searched = Vectors(np.ones((3, 2), np.float32), np.full((40, 2), 0.1, np.float32), biases)
    assert best_unseen(searched, histories([[], [], []], 40), np.arange(3), 4).tolist() == [[0, 10, 20, 30]] * 3
    assert scored == [(3, 4)]


@given(st.lists(st.integers(0, 30), min_size=1, max_size=4), st.integers(1, 5))
def test_sums_of_lines_are_sums_however_many_there_are(lengths: list[int], size: int) -> None:
    """Small whole numbers, so that sums are exact; eight lines are added at a time, and the rest one by one."""
    draw = np.random.default_rng(sum(lengths))
    lines = draw.integers(-9, 9, (12, size)).astype(np.float32)
    ends = np.cumsum(lengths)
    items = draw.integers(0, 12, ends[-1]).astype(np.int32)
    sums, spread = np.empty((len(lengths), size), np.float32), np.full((len(lengths), size + 2), 7, np.float32)
    columns = draw.permutation(size + 2)[:size]
    kernels.sum_lines(ends - lengths, ends, items, lines, sums)
    kernels.sum_lines_into(ends - lengths, ends, items, lines, columns, spread)
    for row, (length, end) in enumerate(zip(lengths, ends, strict=True)):
        assert np.array_equal(sums[row], lines[items[end - length : end]].sum(axis=0))
        assert np.array_equal(spread[row, columns], sums[row])
        assert (np.delete(spread[row], columns) == 7).all(), "other columns stay as they are"
