"""Every recommender keeps the contract, and each agrees with its paper."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmxrec.errors import InputError
from llmxrec.recommenders import RECOMMENDERS, load_recommender, make_recommender
from llmxrec.recommenders.bpr import BPR, BPRSettings
from llmxrec.recommenders.ease import EASE, EASESettings
from llmxrec.recommenders.popularity import Popularity
from llmxrec.testing.recommenders import RecommenderConformance, checkerboard, histories

SMALL = {"popularity": {}, "ease": {"ridge": 1.0}, "bpr": {"embedding_size": 8, "epochs": 200}}


class TestPopularity(RecommenderConformance):
    personal = False

    def make(self) -> Popularity:
        return Popularity()


class TestEASE(RecommenderConformance):
    def make(self) -> EASE:
        return EASE(EASESettings(ridge=1.0))


class TestBPR(RecommenderConformance):
    def make(self) -> BPR:
        return BPR(BPRSettings(embedding_size=8, epochs=200))


@pytest.mark.parametrize("name", RECOMMENDERS)
def test_by_name_saved_and_found_again(name: str, tmp_path: Path) -> None:
    train, _ = checkerboard(8)
    fitted = make_recommender(name, SMALL[name]).fit(train)
    assert fitted.name == name
    fitted.save(tmp_path)
    assert type(load_recommender(tmp_path)) is type(fitted)


@pytest.mark.parametrize(
    ("name", "settings", "error"),
    [
        ("bpr", {"epoch": 3}, "unknown setting of recommender bpr 'epoch'; did you mean 'epochs'"),
        ("bpr", {"epochs": 0}, "epochs of recommender bpr should be greater than or equal to 1; found 0"),
        ("bpr", {"learning_rate": "fast"}, "learning_rate of .* should be a valid number; found 'fast'"),
        ("ease", {"ridge": 0}, "ridge of recommender ease should be greater than 0"),
        ("popularity", {"k": 1}, "recommender popularity takes no settings; found 'k'"),
        ("easy", {}, "unknown recommender 'easy'; did you mean 'ease'"),
    ],
)
def test_wrong_settings_are_refused(name: str, settings: dict[str, object], error: str) -> None:
    with pytest.raises(InputError, match=error):
        make_recommender(name, settings)


def test_what_is_no_model_is_not_loaded(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="a trained model has a model"):
        load_recommender(tmp_path)
    train, _ = checkerboard(8)
    make_recommender("ease", SMALL["ease"]).fit(train).save(tmp_path)
    with pytest.raises(InputError, match="holds the model 'bpr'; found 'ease'"):
        BPR.load(tmp_path)
    (tmp_path / "model.safetensors").write_bytes(b"\x80\x04 no pickle is ever read")
    with pytest.raises(InputError, match="numbers are safetensors"):
        load_recommender(tmp_path)
    (tmp_path / "model.json").write_text("[]")
    with pytest.raises(InputError, match="has a model"):
        load_recommender(tmp_path)


def test_popularity_counts() -> None:
    train = histories([[0, 1], [1], [1, 2], []], n_items=4)
    assert Popularity().fit(train).score(np.array([3])).tolist() == [[1, 3, 1, 0]]


@given(st.lists(st.sets(st.integers(0, 4)), min_size=1, max_size=6), st.floats(0.1, 20))
def test_ease_solves_its_least_squares(rows: list[set[int]], ridge: float) -> None:
    """Column j of B minimises |X_j - X b|^2 + ridge |b|^2 under b_j = 0: ridge regression without j."""
    train = histories([sorted(row) for row in rows], n_items=5)
    fitted = EASE(EASESettings(ridge=ridge)).fit(train)
    weights = fitted.score_histories([np.array([item], np.int32) for item in range(5)])
    taken = np.array([[item in row for item in range(5)] for row in rows], float)
    for j in range(5):
        others = [i for i in range(5) if i != j]
        x = taken[:, others]
        solved = np.linalg.solve(x.T @ x + ridge * np.eye(4), x.T @ taken[:, j])
        assert weights[j, j] == 0 and np.allclose(weights[others, j], solved, atol=1e-5)


def test_ease_refuses_what_would_not_fit_in_memory() -> None:
    with pytest.raises(InputError, match=r"30,000 items at most; found 40000; use bpr"):
        EASE().fit(histories([list(range(40_000))], n_items=50_000))


def test_a_loaded_ease_says_what_it_cannot_do(tmp_path: Path) -> None:
    train, _ = checkerboard(8)
    EASE().fit(train).save(tmp_path)
    with pytest.raises(InputError, match="score their histories"):
        EASE.load(tmp_path).score(np.arange(1))


def test_bpr_takes_the_steps_of_its_paper() -> None:
    """One user, one item had, one not: every draw is the same, so a plain loop can follow it number by number."""
    train = histories([[0]], n_items=2)
    settings = BPRSettings(embedding_size=3, epochs=4, learning_rate=0.5, regularization=0.1)
    start = BPR(settings.model_copy(update={"epochs": 1, "learning_rate": 1e-12})).fit(train)
    p, q, r = (np.array(x, float) for x in (start.user_factors[0], *start.item_factors))
    b = np.zeros(2)
    for epoch in range(4):
        rate = 0.5 * (1 - epoch / 4)
        push = 1 / (1 + np.exp(p @ (q - r) + b[0] - b[1]))  # d ln sigmoid(x) / dx
        p, q, r = (
            p + rate * (push * (q - r) - 0.1 * p),
            q + rate * (push * p - 0.1 * q),
            r + rate * (-push * p - 0.1 * r),
        )
        b += rate * push * np.array([1, -1])
    fitted = BPR(settings).fit(train)
    assert np.allclose(fitted.user_factors[0], p, atol=1e-5)
    assert np.allclose(fitted.item_factors, [q, r], atol=1e-5)
    assert np.allclose(fitted.biases, b, atol=1e-5)


def test_bpr_folds_a_history_in_by_its_items() -> None:
    train, _ = checkerboard()
    fitted = BPR(BPRSettings(embedding_size=4, epochs=20)).fit(train)
    total = fitted.item_factors[3] + fitted.item_factors[5]
    features = np.concatenate([total / 2, total / np.sqrt(2), total, [1.0]])
    expected = features @ fitted.fold @ fitted.item_factors.T + fitted.biases
    assert np.allclose(fitted.score_histories([np.array([3, 5], np.int32)])[0], expected, atol=1e-5)
    assert all(np.abs(part).max() > 1e-3 for part in np.split(fitted.fold[:12], 3)), "each of the three sums counts"
    # The map is the least-squares one: its residuals are at right angles to what it reads.
    read = fitted._features([train.of(user) for user in range(train.n_users)])
    residuals = fitted.user_factors - read @ fitted.fold
    assert np.abs(read.T @ residuals).max() < 0.05 * np.abs(read.T @ fitted.user_factors).max()


def test_bpr_draws_anew_for_another_seed() -> None:
    train, _ = checkerboard()
    scores = [BPR(BPRSettings(epochs=2, seed=seed)).fit(train).score(np.arange(2)) for seed in (1, 1, 2)]
    assert np.array_equal(scores[0], scores[1]) and not np.array_equal(scores[0], scores[2])


def test_bpr_needs_items() -> None:
    with pytest.raises(InputError, match="items to rank"):
        BPR().fit(histories([[]], n_items=0))
