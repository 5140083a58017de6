"""Models that the library implicit fitted, held to the contract and to implicit's own answers."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from implicit.als import AlternatingLeastSquares
from implicit.bpr import BayesianPersonalizedRanking
from implicit.lmf import LogisticMatrixFactorization
from implicit.nearest_neighbours import CosineRecommender
from scipy.sparse import csr_matrix
from tests.conftest import Call

from llmxrec.datasets.dataset import Histories
from llmxrec.errors import InputError
from llmxrec.recommenders.implicit import Implicit, ImplicitSettings
from llmxrec.recommenders.protocol import UNWATCHED, Watch
from llmxrec.recommenders.topk import best_unseen
from llmxrec.testing.recommenders import RecommenderConformance, checkerboard, histories


def matrix(train: Histories) -> csr_matrix:
    ones = np.ones(len(train), np.float32)
    return csr_matrix((ones, (train.user_index, train.item_index)), (train.n_users, train.n_items))


def fitted_by_implicit(model: object, train: Histories, folder: Path) -> ImplicitSettings:
    """Fit and save `model` as its users do; returns where it lies."""
    folder.mkdir(exist_ok=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about threads of BLAS
        model.fit(matrix(train), show_progress=False)
    model.save(folder / "model.npz")
    (folder / "users.txt").write_text("\n".join(train.users))
    (folder / "items.txt").write_text("\n".join(train.items))
    return ImplicitSettings(**{part: str(folder / name) for part, name in NAMES.items()})


NAMES = {"model": "model.npz", "users": "users.txt", "items": "items.txt"}


class FittedHere(Implicit):
    """For a suite that fits: has implicit do that first."""

    def __init__(self, settings: ImplicitSettings, model: object = None) -> None:
        super().__init__(settings)
        self.model = model

    def fit(self, train: Histories, watch: Watch = UNWATCHED) -> FittedHere:
        fitted_by_implicit(self.model, train, Path(self.settings.model).parent)
        return super().fit(train, watch)


class AttachedConformance(RecommenderConformance):
    @pytest.fixture(autouse=True)
    def _folder(self, tmp_path: Path) -> None:
        self.folder = tmp_path

    def attached(self, model: object) -> FittedHere:
        return FittedHere(ImplicitSettings(**{p: str(self.folder / n) for p, n in NAMES.items()}), model)


class TestALS(AttachedConformance):
    alike = 0.9

    def make(self) -> FittedHere:
        return self.attached(AlternatingLeastSquares(factors=8, num_threads=1, random_state=1))


class TestBPR(AttachedConformance):
    alike = 0.9

    def make(self) -> FittedHere:
        model = BayesianPersonalizedRanking(factors=8, iterations=300, num_threads=1, random_state=1)
        return self.attached(model)


class TestLogisticMF(AttachedConformance):
    alike = 0.8

    def make(self) -> FittedHere:
        return self.attached(LogisticMatrixFactorization(factors=8, iterations=60, num_threads=1, random_state=1))


@pytest.mark.parametrize("kind", [AlternatingLeastSquares, BayesianPersonalizedRanking, LogisticMatrixFactorization])
def test_it_recommends_what_implicit_recommends(kind: type, tmp_path: Path) -> None:
    train, _ = checkerboard()
    model = kind(factors=6, num_threads=1, random_state=1)
    attached = Implicit(fitted_by_implicit(model, train, tmp_path)).fit(train)
    everyone = np.arange(train.n_users)
    theirs, _ = model.recommend(everyone, matrix(train), N=5)
    assert best_unseen(attached, train, everyone, 5).tolist() == theirs.tolist()


def test_ids_say_who_is_who(tmp_path: Path) -> None:
    """The workspace numbers users and items in another order, and knows some that the model does not."""
    train, _ = checkerboard()
    settings = fitted_by_implicit(AlternatingLeastSquares(factors=6, num_threads=1, random_state=1), train, tmp_path)
    same = Implicit(settings).fit(train)
    turned = Histories(
        users=pl.concat([train.users.reverse(), pl.Series(["new"])]),
        items=pl.concat([pl.Series(["unknown"]), train.items.reverse()]),
        offsets=np.array([*range(0, 2 * train.n_users + 1, 2), 2 * train.n_users + 3]),
        item_index=np.array([*([0, 1] * train.n_users), 5, 3, 1], np.int32),
    )
    other = Implicit(settings).fit(turned)
    theirs = other.score(np.arange(train.n_users))
    assert np.allclose(theirs[::-1, :0:-1], same.score(np.arange(train.n_users)), atol=1e-6)
    everyone = np.arange(train.n_users + 1)
    assert (other.score(everyone)[:, 0] < other.score(everyone)[:, 1:].min(axis=1)).all(), "the unknown item is last"
    new = np.array([5, 3, 1], np.int32)
    assert np.array_equal(other.score(np.array([train.n_users])), other.score_histories([new]))


def test_what_is_no_model_is_told_in_one_line(tmp_path: Path) -> None:
    train, _ = checkerboard(8)
    settings = fitted_by_implicit(AlternatingLeastSquares(factors=3, num_threads=1, random_state=1), train, tmp_path)
    (tmp_path / "users.txt").write_text("\n".join([*train.users[:-1], train.users[0]]))
    with pytest.raises(InputError, match=r"knows 8 users, each named .* found '8 lines, 7 of them different'"):
        Implicit(settings).fit(train)
    (tmp_path / "users.txt").write_text("\n".join(f"{user}.0" for user in train.users))
    with pytest.raises(InputError, match="the model and the workspace share users"):
        Implicit(settings).fit(train)
    (tmp_path / "users.txt").unlink()
    with pytest.raises(InputError, match="the model's users are a text file of ids"):
        Implicit(settings).fit(train)
    fitted_by_implicit(CosineRecommender(K=3, num_threads=1), train, tmp_path)
    with pytest.raises(InputError, match=r"user_factors and item_factors .* with --recommender external"):
        Implicit(settings).fit(train)
    np.savez(tmp_path / "model.npz", user_factors=np.array([{"a": 1}], object), item_factors=np.zeros((1, 1)))
    with pytest.raises(InputError, match=r"models are .npz files"):
        Implicit(settings).fit(train)
    for spoilt in (b"no archive", b"PK\x03\x04 half of one"):
        (tmp_path / "model.npz").write_bytes(spoilt)
        with pytest.raises(InputError, match=r"models are .npz files"):
            Implicit(settings).fit(train)


def test_it_is_attached_from_the_command_line_and_not_measured(call: Call, tmp_path: Path) -> None:
    rows = [[(user + step) % 9 for step in range(4)] for user in range(12)]
    train = histories(rows, n_items=9)
    lines = [f"u{user},i{item},{step}" for user, row in enumerate(rows) for step, item in enumerate(row)]
    (tmp_path / "orders.csv").write_text("\n".join(["user,item,time", *lines]) + "\n")
    (tmp_path / "products.csv").write_text("item,title\n" + "".join(f"i{n},Book {n}\n" for n in range(9)))
    fitted_by_implicit(AlternatingLeastSquares(factors=4, num_threads=1, random_state=1), train, tmp_path)
    assert call("init", "shop", "--interactions", "orders.csv", "--items", "products.csv").code == 0
    where = [word for part, name in NAMES.items() for word in ("--set", f"{part}={name}")]
    refused = call("recommend", "shop", "--recommender", "implicit", *where)
    assert refused.code == 2 and "perhaps to the very items that would be held out to measure it" in refused.out
    assert call("recommend", "shop", "--recommender", "implicit", "--full", *where).code == 0
    explained = call("explain", "shop", "--recommender", "implicit", "--generator", "template")
    assert explained.code == 0 and "12 rows: 12 ok" in explained.out
