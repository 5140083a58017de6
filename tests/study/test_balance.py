"""Whatever raters do, in whatever order: quotas hold, cells fill evenly, and nobody sees a cell twice."""

from __future__ import annotations

import tempfile
from collections import Counter

import sqlalchemy as sa
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from tests.study.small import MINUTE, START, answer_to, created, design, invited, rate_all

from llmxrec.study import schema
from llmxrec.study.giving import StudyTask

PEOPLE = 5


class Raters(RuleBasedStateMachine):
    """Five raters who begin, answer, walk away, come back late, and are excluded."""

    @initialize(
        mode=st.sampled_from(["rate", "both"]), quota=st.integers(1, 3), rows=st.integers(1, 3), seed=st.integers(0, 99)
    )
    def create(self, mode: str, quota: int, rows: int, seed: int) -> None:
        self.folder = tempfile.TemporaryDirectory()
        of = design(mode=mode, ratings_per_cell=quota, rows=rows, seed=seed, hold_minutes=10, attention_every=4)
        self.quota = quota
        self.store = created(f"sqlite:///{self.folder.name}/study.db", of)
        self.raters = [invited(self.store, f"rater {n}") for n in range(PEOPLE)]
        self.shown: dict[str, tuple[str, StudyTask]] = {}
        self.stored: set[str] = set()
        self.excluded: set[str] = set()
        self.now = START

    def teardown(self) -> None:
        if hasattr(self, "store"):
            self.store.database.disconnect()
            self.folder.cleanup()

    @rule(number=st.integers(0, PEOPLE - 1))
    def ask(self, number: int) -> None:
        rater = self.raters[number]
        mine = self._cells_of(rater)
        task = self.store.next_task(rater, self.now)
        if task is None:
            # Nothing is left for them: all that they have not seen is full.
            left = [taken < self.quota for cell, (_, taken) in self._cells().items() if cell not in mine]
            assert rater in self.excluded or not any(left)
            return
        assert rater not in self.excluded
        self.shown[task.task_id] = (rater, task)
        (new,) = self._cells_of(rater) - mine or {None}
        if new is not None:
            unseen = [taken for cell, (_, taken) in self._cells().items() if cell not in mine and cell != new]
            # Before it was taken, it was one of the least filled.
            assert self._cells()[new][1] - 1 <= min(unseen, default=self.quota)

    # Ids are random, and which tasks there are follows from them: what is drawn may not depend on either.
    @rule(turn=st.integers(0, 99))
    def answer(self, turn: int) -> None:
        if self.shown:
            task_id = list(self.shown)[turn % len(self.shown)]
            rater, task = self.shown[task_id]
            outcome = self.store.submit(task_id, rater, answer_to(task), self.now)
            if task_id in self.stored:
                assert outcome == "already stored"
            else:
                assert outcome == ("refused" if rater in self.excluded else "stored")
            if outcome == "stored":
                self.stored.add(task_id)

    @rule(minutes=st.sampled_from([1, 6, 11]))
    def wait(self, minutes: int) -> None:
        self.now += minutes * MINUTE

    @rule(number=st.integers(0, PEOPLE - 1))
    def exclude(self, number: int) -> None:
        if self.raters[number] not in self.excluded and len(self.excluded) < 2:
            self.store.exclude(self.raters[number], "a reason", "me", self.now)
            self.excluded.add(self.raters[number])

    @invariant()
    def each_place_is_taken_by_one(self) -> None:
        if not hasattr(self, "store"):
            return
        for cell, (held, taken) in self._cells().items():
            assert held == taken <= self.quota, cell

    @invariant()
    def what_was_acknowledged_is_stored_once(self) -> None:
        if hasattr(self, "store"):
            with self.store.database.reading() as db:
                stored = list(db.execute(sa.select(schema.rating.c.task)).scalars())
            assert sorted(stored) == sorted(self.stored)

    def _cells(self) -> dict[int, tuple[int, int]]:
        """Of each cell how many answers count and tasks are open, counted anew, and how many places are taken."""
        task, rating = schema.task, schema.rating
        counted = sa.select(task.c.cell).join_from(task, rating).where(rating.c.left_out.is_(None))
        opened = sa.select(task.c.cell).where(task.c.state == "open")
        with self.store.database.reading() as db:
            held = Counter([*db.execute(counted).scalars(), *db.execute(opened).scalars()])
            return {cell.id: (held[cell.id], cell.taken) for cell in db.execute(sa.select(schema.cell))}

    def _cells_of(self, rater: str) -> set[int]:
        with self.store.database.reading() as db:
            cells = list(db.execute(sa.select(schema.task.c.cell).where(schema.task.c.rater == rater)).scalars())
        known = [cell for cell in cells if cell is not None]
        assert len(known) == len(set(known))
        return set(known)


Raters.TestCase.settings = settings(max_examples=30, stateful_step_count=40, deadline=None)
TestRaters = Raters.TestCase


@settings(max_examples=15, deadline=None)
@given(people=st.integers(2, 6), quota=st.integers(1, 3), rows=st.integers(2, 6), seed=st.integers(0, 99))
def test_cells_fill_evenly_and_generators_are_shared_out(people: int, quota: int, rows: int, seed: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        of = design(generators=tuple("ABC"), rows=rows, ratings_per_cell=quota, seed=seed, tasks_per_rater=3 * rows)
        store = created(f"sqlite:///{folder}/study.db", of)
        raters = [invited(store, f"rater {n}") for n in range(people)]
        given: dict[str, Counter[str]] = {rater: Counter() for rater in raters}
        # By turns, so that nobody has seen everything before the others begin.
        for turn in range(rows):
            for rater in raters:
                task = store.next_task(rater, START)
                if task is None:
                    continue
                given[rater][task.texts[0][0]] += 1
                store.submit(task.task_id, rater, answer_to(task), START)
            filled = [cell.stored for cell in store.progress().cells]
            # One round may run into cells that a rater has seen; two cells are never further apart than that.
            assert max(filled) - min(filled) <= 2, turn
        if people <= 3:
            # No cell is full yet, and each rater meets the generators by turns.
            assert all(max(counts.values()) - min(counts[name] for name in "ABC") <= 2 for counts in given.values())
        store.database.disconnect()


def test_both_orders_of_a_comparison_are_shown(study_url: str) -> None:
    store = created(study_url, design(mode="compare", rows=30, ratings_per_cell=2))
    tasks = [task for name in ("Ann", "Bob") for task in rate_all(store, invited(store, name))]
    assert len(tasks) == 60
    first = Counter(task.texts[0][0] for task in tasks)
    assert 15 < first["A"] < 45
