"""Every recommender keeps the contract, and each agrees with its paper."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from llmxrec.errors import InputError, WorkError
from llmxrec.recommenders import FITTED_ELSEWHERE, RECOMMENDERS, fold_in, load_recommender, make_recommender, training
from llmxrec.recommenders.bpr import BPR, BPRSettings
from llmxrec.recommenders.ease import EASE, EASESettings
from llmxrec.recommenders.kernels import bpr_epoch
from llmxrec.recommenders.lightgcn import LightGCN, LightGCNSettings
from llmxrec.recommenders.lightgcn import _Learner as Learner
from llmxrec.recommenders.popularity import Popularity
from llmxrec.recommenders.protocol import Watch
from llmxrec.recommenders.sasrec import SASRec, SASRecSettings, _first_weights, _states, _windows
from llmxrec.recommenders.topk import best_unseen
from llmxrec.testing.recommenders import RecommenderConformance, checkerboard, histories

SMALL = {
    "popularity": {},
    "ease": {"ridge": 1.0},
    "bpr": {"embedding_size": 8, "epochs": 200, "regularization": 0.005, "negatives": 1},
    "lightgcn": {"embedding_size": 8, "epochs": 100, "learning_rate": 0.05},
    "sasrec": {"embedding_size": 16, "epochs": 40, "batch_size": 64, "learning_rate": 0.01, "dropout": 0.1},
}


class TestPopularity(RecommenderConformance):
    personal = False

    def make(self) -> Popularity:
        return Popularity()


class TestEASE(RecommenderConformance):
    def make(self) -> EASE:
        return EASE(EASESettings(ridge=1.0))


class TestBPR(RecommenderConformance):
    alike = 0.9

    def make(self) -> BPR:
        return BPR(BPRSettings(**SMALL["bpr"]))


class TestLightGCN(RecommenderConformance):
    alike = 0.85

    def make(self) -> LightGCN:
        return LightGCN(LightGCNSettings(**SMALL["lightgcn"]))


class TestSASRec(RecommenderConformance):
    def make(self) -> SASRec:
        return SASRec(SASRecSettings(**SMALL["sasrec"]))


@pytest.mark.parametrize("name", sorted(set(RECOMMENDERS) - FITTED_ELSEWHERE))
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
    settings = BPRSettings(embedding_size=3, epochs=4, learning_rate=0.5, regularization=0.1, negatives=1)
    start = BPR(settings.model_copy(update={"epochs": 1, "learning_rate": 1e-12})).fit(train)
    p, q, r = (np.array(x, float) for x in (start.user_factors[0], *start.item_vectors))
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
    assert np.allclose(fitted.item_vectors, [q, r], atol=1e-5)
    assert np.allclose(fitted.biases, b, atol=1e-5)


def test_bpr_folds_a_history_in_by_its_items() -> None:
    train, _ = checkerboard()
    fitted = BPR(BPRSettings(embedding_size=4, epochs=20, half_life=None)).fit(train)
    total = fitted.item_vectors[3] + fitted.item_vectors[5]
    features = np.concatenate([total / 2, total / np.sqrt(2), total, [1.0]])  # without a half-life, all weigh 1
    expected = features @ fitted.fold @ fitted.item_vectors.T + fitted.biases
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


def test_bpr_weighs_the_past_by_its_half_life() -> None:
    assert fold_in.weights_by_age(2.0, 5).tolist() == pytest.approx([1, 2**-0.5, 0.5, 2**-1.5, 0.25])
    assert fold_in.weights_by_age(None, 3).tolist() == [1, 1, 1]


def test_bpr_takes_the_hardest_of_the_negatives_drawn() -> None:
    """Of items 1 to 9, which nobody has, item 9 begins far above: with many draws it is the one pushed down."""
    item_vectors, user_vectors = np.zeros((10, 1), np.float32), np.zeros((1, 1), np.float32)
    biases = np.array([0.0, 0, 0, 0, 0, 0, 0, 0, 0, 5], np.float32)
    offsets, items = np.array([0, 1]), np.array([0], np.int32)
    settings = (np.ones(1, np.float32), 200, user_vectors, item_vectors, biases, np.float32(0.1), np.float32(0))
    bpr_epoch(offsets, items, items, 1, *settings, np.array([7], np.uint64))
    push = 1 / (1 + np.exp(-5))
    assert biases.tolist() == pytest.approx([0.1 * push, *[0.0] * 8, 5 - 0.1 * push])


def test_lightgcn_is_its_paper_in_matrices() -> None:
    """Against the definition: E* = (E + AE + A^2 E + A^3 E) / 4, A = D^-1/2 [[0, R], [R^T, 0]] D^-1/2."""
    rows = [[0, 1], [1, 2, 3], [3], []]
    learner = Learner(LightGCNSettings(embedding_size=2), histories(rows, n_items=5))
    taken = np.array([[item in row for item in range(5)] for row in rows], float)
    graph = np.block([[np.zeros((4, 4)), taken], [taken.T, np.zeros((5, 5))]])
    root = 1 / np.sqrt(np.maximum(graph.sum(axis=1), 1))
    spread = root[:, None] * graph * root
    first = np.vstack([learner.weights()["users"], learner.weights()["items"]])
    final = sum(np.linalg.matrix_power(spread, power) @ first for power in range(4)) / 4
    assert np.allclose(learner.user_vectors(np.arange(4)), final[:4], atol=1e-6)
    assert np.allclose(learner.item_vectors, final[4:], atol=1e-6)
    assert np.allclose(learner.score(np.array([1])), final[1] @ final[4:].T, atol=1e-6)


def test_lightgcn_goes_down_its_gradient() -> None:
    """In a world with one possible draw, by finite differences: Adam remembers a tenth of its first gradient."""
    train = histories([[0]], n_items=2)
    settings = LightGCNSettings(embedding_size=2, layers=2, learning_rate=0.001, regularization=0.0, batch_size=1)
    learner = Learner(settings, train)
    before = {name: array.astype(float) for name, array in learner.weights().items()}

    def loss(users: np.ndarray, items: np.ndarray) -> float:
        # The only edge joins the user and item 0: A swaps their vectors, and item 1 has no neighbour.
        user, item = (2 * users[0] + items[0]) / 3, (2 * items[0] + users[0]) / 3
        return float(np.log1p(np.exp(-(user @ item - user @ items[1] / 3))))

    learner.epoch(0)
    for name, array in learner.weights().items():
        for place in np.ndindex(array.shape):
            higher, lower = ({key: value.copy() for key, value in before.items()} for _ in range(2))
            higher[name][place] += 1e-6
            lower[name][place] -= 1e-6
            slope = (loss(**higher) - loss(**lower)) / 2e-6
            assert learner.memory()[f"means.{name}"][place] == pytest.approx(0.1 * slope, rel=1e-3, abs=1e-7)
            assert array[place] - before[name][place] == pytest.approx(-0.001 * np.sign(slope), rel=0.01)


def test_a_new_person_of_lightgcn_is_a_new_row_of_the_graph() -> None:
    train, _ = checkerboard()
    fitted = LightGCN(LightGCNSettings(embedding_size=4, epochs=3)).fit(train)
    asked = [np.array([3], np.int32), np.array([3, 5], np.int32)]
    layer0 = fold_in.features(asked, fitted.item_vectors) @ fitted.fold
    expected = layer0 + np.stack([fitted.reach[3], fitted.reach[[3, 5]].sum(axis=0) / 2**0.5])
    assert np.allclose(fitted.history_vectors(asked), expected, atol=1e-5)
    assert np.abs(layer0).max() > 0.1 * np.abs(expected).max(), "layer 0 counts"


@given(st.lists(st.integers(0, 9), min_size=1, max_size=6), st.integers(1, 4))
def test_windows_have_every_item_follow_one_token(sizes: list[int], length: int) -> None:
    begins, ends = _windows(np.array(sizes), length)
    assert all(0 < end - begin <= length for begin, end in zip(begins, ends, strict=True))
    followed = sorted(place + 1 for begin, end in zip(begins, ends, strict=True) for place in range(begin, end))
    firsts = np.cumsum([0, *(size + 1 for size in sizes)])[:-1]
    assert followed == [first + n for first, size in zip(firsts, sizes, strict=True) for n in range(1, size + 1)]


def test_sasrec_sees_no_item_before_its_time() -> None:
    """Causal: what comes later, or pads the row, changes no earlier state; what comes before does."""
    settings = SASRecSettings(embedding_size=8, length=6, blocks=2, heads=2)
    tensors = _first_weights(settings, 9)
    lengths = torch.tensor([5])
    state = _states(tensors, torch.tensor([[1, 2, 3, 4, 5, 0]]), lengths, settings)
    later = _states(tensors, torch.tensor([[1, 2, 3, 7, 5, 8]]), lengths, settings)
    assert torch.allclose(state[0, :3], later[0, :3], atol=1e-6)
    assert not torch.allclose(state[0, 4], later[0, 4], atol=1e-4)
    last = _states(tensors, torch.tensor([[1, 2, 3, 4, 5, 0]]), lengths, settings, only_last=True)
    assert torch.allclose(state[0, 4], last[0], atol=1e-6)


def test_sasrec_reads_the_latest_items_in_order() -> None:
    train, _ = checkerboard()
    fitted = SASRec(SASRecSettings(embedding_size=8, epochs=2, length=3)).fit(train)
    scores = fitted.score_histories([np.array(h, np.int32) for h in ([9, 1, 2, 3], [1, 2, 3], [3, 2, 1])])
    assert np.allclose(scores[0], scores[1], atol=1e-6) and not np.allclose(scores[1], scores[2], atol=1e-6)


def test_sasrec_learns_from_a_sample_of_a_large_catalogue() -> None:
    train, withheld = checkerboard()
    settings = SASRecSettings(**{**SMALL["sasrec"], "sampled_items": 8})
    best = best_unseen(SASRec(settings).fit(train), train, np.arange(train.n_users), 1)
    assert np.mean(best[:, 0] == withheld) > 0.9


def test_a_device_that_is_not_there() -> None:
    with pytest.raises(InputError, match="a device is cpu, or a GPU that is there"):
        SASRec(SASRecSettings(device="warp")).fit(checkerboard()[0])
    with pytest.raises(InputError, match="3 heads do not divide an embedding_size of 8"):
        make_recommender("sasrec", {"embedding_size": 8, "heads": 3})


def test_steps_too_long_are_told() -> None:
    with pytest.raises(WorkError, match=r"bpr learned no numbers: .* lower learning_rate"):
        BPR(BPRSettings(learning_rate=10, regularization=100, epochs=40)).fit(checkerboard()[0])


def test_a_checkpoint_is_of_one_fit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Other settings, other data or a damaged file begin anew."""
    monkeypatch.setattr(training, "_CHECKPOINT_S", 0.0)
    monkeypatch.setattr(training, "_CHECKPOINT_SHARE", 0)
    train, _ = checkerboard()
    file = tmp_path / "checkpoint"

    def leave_one(seed: int) -> list[int]:
        told: list[int] = []

        def interrupt(steps: int) -> None:
            told.append(steps)
            if sum(told) >= 3:
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            BPR(BPRSettings(seed=seed, epochs=9)).fit(train, Watch(interrupt, checkpoint=file))
        return told

    assert leave_one(seed=1) == [0, 1, 1, 1]
    assert leave_one(seed=1) == [3]
    assert leave_one(seed=2) == [0, 1, 1, 1]
    file.write_bytes(b"half a che")
    assert leave_one(seed=2) == [0, 1, 1, 1]
