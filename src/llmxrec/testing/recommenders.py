"""The conformance suite of recommenders: what every stage after them relies on.

Run it on yours by naming it, and pytest does the rest:

    from llmxrec.testing.recommenders import RecommenderConformance

    class TestMine(RecommenderConformance):
        def make(self):
            return Mine()
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl

from llmxrec.datasets.dataset import Histories
from llmxrec.recommenders.protocol import Recommender
from llmxrec.recommenders.topk import recommend, top_k


def histories(rows: list[list[int]], n_items: int) -> Histories:
    """Histories of users u0, u1, ... over items i0, i1, ..., each given as item numbers, oldest first."""
    offsets = np.cumsum([0, *map(len, rows)]).astype(np.int64)
    return Histories(
        users=pl.Series([f"u{n}" for n in range(len(rows))], dtype=pl.String),
        items=pl.Series([f"i{n}" for n in range(n_items)], dtype=pl.String),
        offsets=offsets,
        item_index=np.array([item for row in rows for item in row], dtype=np.int32),
    )


def checkerboard(size: int = 24) -> tuple[Histories, list[int]]:
    """A world where even users have all even items, odd users all odd ones, each but one of their own colour.

    Returns the histories, and the item withheld of each user, which is what to recommend to them.
    """
    rows, withheld = [], []
    for user in range(size):
        same_colour = [item for item in range(size) if item % 2 == user % 2]
        out = same_colour[(user // 2) % len(same_colour)]
        rows.append([item for item in same_colour if item != out])
        withheld.append(out)
    return histories(rows, size), withheld


class RecommenderConformance:
    """Give `make`; set `personal` to False for a recommender that tells everyone the same."""

    personal = True

    def make(self) -> Recommender:
        """A new recommender, not fitted, with settings fit for worlds of two dozen users."""
        raise NotImplementedError("say how your recommender is made")

    def test_scores_are_numbers_of_the_right_shape(self) -> None:
        train, _ = checkerboard()
        fitted = self.make().fit(train)
        scores = fitted.score(np.arange(3))
        assert scores.shape == (3, train.n_items) and scores.dtype == np.float32
        assert np.isfinite(scores).all()
        assert fitted.score(np.arange(0)).shape == (0, train.n_items)

    def test_fit_returns_itself_and_tells_its_steps(self) -> None:
        train, _ = checkerboard()
        steps: list[int] = []
        recommender = self.make()
        assert recommender.fit(train, steps.append) is recommender
        assert sum(steps) == recommender.epochs

    def test_two_fits_are_equal(self) -> None:
        train, _ = checkerboard()
        users = np.arange(train.n_users)
        assert np.array_equal(self.make().fit(train).score(users), self.make().fit(train).score(users))

    def test_it_learns_who_likes_what(self) -> None:
        train, withheld = checkerboard()
        first = recommend(self.make().fit(train), train, train, 1)
        found = [int(item[1:]) for item in first["item_id"]]
        if self.personal:
            assert found == withheld
        else:
            assert len(found) == train.n_users

    def test_what_was_seen_is_never_recommended(self) -> None:
        train, _ = checkerboard()
        table = recommend(self.make().fit(train), train, train, train.n_items)
        shown = table.group_by("user_id", maintain_order=True).agg("item_id")
        for number, items in enumerate(shown["item_id"]):
            seen = {f"i{item}" for item in train.of(number)}
            assert seen.isdisjoint(items) and len(items) == train.n_items - len(seen)

    def test_a_history_scores_whether_seen_before_or_not(self) -> None:
        train, _ = checkerboard()
        fitted = self.make().fit(train)
        asked = [train.of(0), train.of(1)[:3], np.array([], np.int32), np.arange(train.n_items, dtype=np.int32)]
        before = [history.copy() for history in asked]
        scores = fitted.score_histories(asked)
        assert scores.shape == (4, train.n_items) and scores.dtype == np.float32 and np.isfinite(scores).all()
        assert all(np.array_equal(a, b) for a, b in zip(asked, before, strict=True)), "histories are read, not changed"
        one_by_one = np.vstack([fitted.score_histories([history]) for history in asked])
        assert np.allclose(scores, one_by_one, rtol=1e-4, atol=1e-5)

    def test_a_training_users_history_ranks_as_the_user(self) -> None:
        train, withheld = checkerboard()
        fitted = self.make().fit(train)
        users = np.arange(train.n_users)
        by_history = fitted.score_histories([train.of(int(user)) for user in users])
        best, _ = top_k(by_history.copy(), train, users, 1)
        if self.personal:
            assert best[:, 0].tolist() == withheld

    def test_saved_and_loaded_it_scores_the_same(self, tmp_path: Path) -> None:
        train, _ = checkerboard()
        fitted = self.make().fit(train)
        fitted.save(tmp_path / "model")
        loaded = type(fitted).load(tmp_path / "model")
        asked = [train.of(0), train.of(1)[:3], np.array([], np.int32)]
        assert np.array_equal(fitted.score_histories(asked), loaded.score_histories(asked))

    def test_people_and_items_without_a_past(self) -> None:
        train = histories([[0, 1], [], [1], [0, 1, 2]], n_items=4)
        scores = self.make().fit(train).score(np.arange(4))
        assert scores.shape == (4, 4) and np.isfinite(scores).all()
        assert recommend(self.make().fit(train), train, train, 10).height == 2 + 3 + 1, "no history, no recommendation"

    def test_one_person_who_has_everything(self) -> None:
        train = histories([[0, 1, 2]], n_items=3)
        fitted = self.make().fit(train)
        assert recommend(fitted, train, train, 10).is_empty()
