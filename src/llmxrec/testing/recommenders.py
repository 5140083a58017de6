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
import pytest

from llmxrec.datasets.dataset import Histories
from llmxrec.recommenders.protocol import Recommender, Watch
from llmxrec.recommenders.topk import best_unseen, recommend, top_k


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

    Everyone takes them in the same round, and the withheld item is the next. Returns the histories, and the item
    withheld of each user, which is what to recommend to them.
    """
    rows, withheld = [], []
    for user in range(size):
        same_colour = [item for item in range(size) if item % 2 == user % 2]
        out = same_colour[(user // 2) % len(same_colour)]
        place = same_colour.index(out)
        rows.append(same_colour[place + 1 :] + same_colour[:place])
        withheld.append(out)
    return histories(rows, size), withheld


class RecommenderConformance:
    """Give `make`; set `personal` to False for a recommender that tells everyone the same.

    `alike` is the share of a fitted user's ten best items that are among the ten best of the user's history: 1 where a
    user is scored by the history alone.
    """

    personal = True
    alike = 1.0

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
        assert recommender.fit(train, Watch(advance=steps.append)) is recommender
        assert sum(steps) == recommender.epochs

    def test_held_out_items_end_a_fit_where_they_rank_best(self) -> None:
        """The items held out are of the other colour, so that a ranking of them gets worse with every epoch."""
        train, withheld = checkerboard()
        planned = self.make().fit(train)
        assert planned.best_epoch == planned.epochs
        disliked = np.array([(item + 1) % train.n_items for item in withheld])
        stopped = self.make().fit(train, Watch(held_out=disliked))
        if not planned.epochs:
            return
        assert 0 < stopped.best_epoch < planned.epochs
        again = self.make().fit(train, Watch(last_epoch=stopped.best_epoch))
        assert again.best_epoch == stopped.best_epoch
        users = np.arange(train.n_users)
        assert np.array_equal(again.score(users), stopped.score(users)), "the weights are those of the best epoch"

    def test_an_interrupted_fit_goes_on_as_if_it_never_was(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        from llmxrec.recommenders import training

        train, withheld = checkerboard()
        whole = self.make().fit(train, Watch(held_out=np.array(withheld)))
        if not whole.epochs:
            return
        monkeypatch.setattr(training, "_CHECKPOINT_S", 0.0)
        monkeypatch.setattr(training, "_CHECKPOINT_SHARE", 0)
        steps: list[int] = []

        def interrupt(done: int) -> None:
            steps.append(done)
            if sum(steps) == 4:
                raise KeyboardInterrupt

        file = tmp_path / "checkpoint"
        with pytest.raises(KeyboardInterrupt):
            self.make().fit(train, Watch(interrupt, np.array(withheld), checkpoint=file))
        assert file.exists()
        told: list[int] = []
        gone_on = self.make().fit(train, Watch(told.append, np.array(withheld), checkpoint=file))
        assert told[0] == 4 and not file.exists()
        users = np.arange(train.n_users)
        assert np.array_equal(whole.score(users), gone_on.score(users))
        assert whole.best_epoch == gone_on.best_epoch

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
        best, _ = top_k(by_history, train, users, 10)
        if self.personal:
            assert best[:, 0].tolist() == withheld
        recommended = best_unseen(fitted, train, users, 10)
        both = [len({*a} & {*b}) / 10 for a, b in zip(best.tolist(), recommended.tolist(), strict=True)]
        assert np.mean(both) >= self.alike
        if self.alike == 1.0:
            assert np.array_equal(best, recommended)

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
