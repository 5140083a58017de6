"""A study as it is stored: made once, then raters are invited, given tasks, and their answers kept.

Any number of processes may serve one study at once. Each step is one short transaction; an answer that was
acknowledged is on the disk.
"""

from __future__ import annotations

import hashlib
import json
import secrets
from pathlib import Path

import polars as pl
import sqlalchemy as sa

from llmxrec.errors import InputError
from llmxrec.evaluation.ratings import SCALES
from llmxrec.recommenders.metrics import Metric
from llmxrec.records import Domain
from llmxrec.study import giving, overview, results, schema
from llmxrec.study.accounts import (
    LATE,
    Event,
    Outcome,
    Progress,
    Rater,
    RaterKind,
    Standing,
    State,
    StoredAnswer,
    UnknownTask,
)
from llmxrec.study.answers import Answer, Choice, Scores
from llmxrec.study.creating import check_fits, fill, random_id
from llmxrec.study.database import Database
from llmxrec.study.design import StudyDesign
from llmxrec.study.giving import Fixed, StudyTask
from llmxrec.study.material import Material, StudyRow
from llmxrec.study.schema import rater, rating, study, task
from llmxrec.study.written import storable

_SETTLE_EVERY = 25
"""Answers between two looks at whether the stopping rule is met."""


def open_store(url: str | Path) -> Store:
    """The study at `url`, as in sqlite:///study.db, postgresql://host/study, or the path of an SQLite file.

    Raises InputError where the URL is of another kind of database. A new one is empty until `Store.create`.
    """
    return Store(Database(f"sqlite:///{url}" if isinstance(url, Path) else url))


class Store:
    """A study in a database. Times are seconds since 1970, as `time.time()` gives them."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self._known: Fixed | None = None

    # The study as a whole

    def exists(self) -> bool:
        """Whether a study was created here. Raises WorkError where the database does not answer."""
        if not self.database.has_tables():
            return False
        with self.database.reading() as db:
            return db.execute(sa.select(study.c.id)).first() is not None

    def create(self, design: StudyDesign, material: Material, now: float) -> None:
        """Make the study. Raises InputError where there is one already, or the material does not fit the design."""
        check_fits(design, material)
        if self.exists():
            raise InputError("a database holds one study", value="one", cure="give another file or database")
        self.database.make_tables()
        with self.database.writing() as db:
            fill(db, design, material, now)
            _log(db, now, "organiser", f"created: {design.model_dump_json()}")

    @property
    def design(self) -> StudyDesign:
        return self._fixed().design

    @property
    def domain(self) -> Domain:
        return self._fixed().domain

    def state(self) -> State:
        with self.database.reading() as db:
            return _state(db)

    def pause(self, by: str, now: float) -> None:
        """Give out no more tasks until `resume`. What was begun may be finished."""
        self._turn(("open",), "paused", by, now)

    def resume(self, by: str, now: float) -> None:
        """Give out tasks again."""
        self._turn(("paused",), "open", by, now)

    def close(self, by: str, now: float, why: str = "") -> None:
        """End the study, for good. No answer is taken any more."""
        self._turn(("open", "paused"), "closed", by, now, why)

    def unblind(self, by: str, now: float) -> None:
        """Show results from now on. Raises InputError before the study is closed, and where it is unblinded already."""
        with self.database.writing() as db:
            if _state(db, lock=True) != "closed":
                raise InputError("a study is closed before it is unblinded", value="open", cure="close it")
            once = sa.update(study).where(study.c.unblinded_at.is_(None))
            if not db.execute(once.values(unblinded_at=now, unblinded_by=storable(by))).rowcount:
                raise InputError("a study is unblinded once", value="unblinded")
            _log(db, now, by, "unblinded")

    def settle(self, now: float) -> bool:
        """Close the study if its rule says that enough is known; whether it did. Its quotas need no closing."""
        goal = self.design.stop_at
        if goal is None or self.state() != "open" or not results.narrower(self._answers(), self.design, goal):
            return False
        try:
            self.close("stopping rule", now, f"every interval is narrower than {goal:g}")
        except InputError:
            return False  # another process was first
        return True

    def _turn(self, given: tuple[State, ...], to: State, by: str, now: float, why: str = "") -> None:
        with self.database.writing() as db:
            state = _state(db, lock=True)
            if state not in given:
                raise InputError(f"a study becomes {to} that is {' or '.join(given)}", value=state)
            db.execute(sa.update(study).values(state=to))
            _log(db, now, by, f"{to}: {why}" if why else to)

    # Raters

    def invite(
        self,
        kind: RaterKind,
        name: str,
        now: float,
        user_id: str | None = None,
        expires_at: float | None = None,
        by: str = "organiser",
    ) -> str:
        """Invite somebody; returns the secret token of their personal link, which is stored nowhere.

        Raises InputError for a self-rater of whom the study holds no recommendations.
        """
        if (kind == "self") != (user_id is not None):
            raise InputError("a self-rater is a user of the dataset, a third-party rater is not", value=user_id)
        whose = None if user_id is None else storable(user_id)
        token, rater_id = secrets.token_urlsafe(32), random_id()
        with self.database.writing() as db:
            own = sa.select(schema.row.c.id).where(schema.row.c.user_id == whose)
            if kind == "self" and db.execute(own).first() is None:
                raise InputError("a self-rater has recommendations in the study", value=user_id)
            fields = {"name": storable(name), "user_id": whose, "invited_at": now, "expires_at": expires_at}
            db.execute(sa.insert(rater).values(id=rater_id, kind=kind, token_hash=_hash(token), **fields))
            _log(db, now, by, f"invited {rater_id} ({kind})")
        return token

    def rater_of(self, token: str, now: float) -> Rater | None:
        """Whose token it is; None for one that was never given out, or is expired."""
        with self.database.reading() as db:
            found = db.execute(sa.select(rater).where(rater.c.token_hash == _hash(token))).first()
        if found is None or (found.expires_at is not None and found.expires_at <= now):
            return None
        return overview.as_rater(found)

    def rater(self, rater_id: str) -> Rater | None:
        """The rater of that id, if there is one."""
        with self.database.reading() as db:
            found = db.execute(sa.select(rater).where(rater.c.id == rater_id)).first()
        return None if found is None else overview.as_rater(found)

    def exclude(self, rater_id: str, reason: str, by: str, now: float) -> None:
        """Leave out all that a rater answered, and give their cells to others while the study is open.

        Raises InputError after unblinding: who is left out is not to depend on the results.
        """
        with self.database.writing() as db:
            _state(db, lock=True)
            if db.execute(sa.select(study.c.unblinded_at)).scalar_one() is not None:
                raise InputError("raters are excluded before the study is unblinded", value="unblinded")
            if not reason.strip() or _rater_and_state(db, rater_id, lock=rater)[0].excluded_reason is not None:
                raise InputError("a rater is excluded once, for a reason", value=reason)
            db.execute(sa.update(rater).where(rater.c.id == rater_id).values(excluded_reason=storable(reason)))
            giving.expire(db, task.c.rater == rater_id)
            mine = sa.select(task.c.id).where(task.c.rater == rater_id)
            out = sa.update(rating).where(rating.c.task.in_(mine), rating.c.left_out.is_(None))
            counted = db.execute(out.values(left_out=f"rater excluded: {storable(reason)}").returning(rating.c.task))
            ids = [one.task for one in counted]
            held = sa.select(task.c.cell).where(task.c.id.in_(ids), task.c.holds)
            giving.give_back(db, list(db.execute(held).scalars()))
            _log(db, now, by, f"excluded {rater_id}: {reason}")

    # Tasks

    def next_task(self, rater_id: str, now: float) -> StudyTask | None:
        """The task that the rater is at, or the next; None where there is none for them (`standing` says why).

        A task is held for the rater for `hold_minutes` from the last time that it was asked for.
        """
        fixed = self._fixed()
        # A task that a power cut loses is asked for again.
        with self.database.writing(durable=False) as db:
            # One at a time gives out tasks: two would choose the same cell.
            who, state = _rater_and_state(db, rater_id, lock=study)
            if state != "open" or who.excluded_reason is not None:
                return None
            found = giving.give(db, fixed, who, now)
            of = overview.length(db, fixed, who)
        return None if found is None else giving.shown(fixed, found, of)

    def task(self, task_id: str, rater_id: str) -> StudyTask | None:
        """The rater's task of that id, answered or not; None where they were given none such."""
        fixed = self._fixed()
        with self.database.reading() as db:
            found = db.execute(sa.select(task).where(task.c.id == task_id, task.c.rater == rater_id)).first()
            if found is None:
                return None
            of = overview.length(db, fixed, _rater_and_state(db, rater_id)[0])
        return giving.shown(fixed, found, of)

    def submit(self, task_id: str, rater_id: str, answer: Answer, now: float) -> Outcome:
        """Store the rater's answer to their task, once: of a task that is answered nothing changes any more.

        An answer that comes after another rater was given its place is kept, and left out of the results. Raises
        UnknownTask, and InputError for scores of a comparison or a choice where scores were asked for.
        """
        with self.database.writing() as db:
            # Held until the end, so that nobody is excluded between this and the rating.
            who, state = _rater_and_state(db, rater_id, lock=rater)
            found = db.execute(sa.select(task).where(task.c.id == task_id, task.c.rater == rater_id)).first()
            if found is None:
                raise UnknownTask
            if (found.kind == "rate") != isinstance(answer, Scores):
                raise InputError("scores answer a rating, a choice a comparison", value=found.kind)
            if found.state == "done":
                return "already stored"
            if state == "closed" or who.excluded_reason is not None:
                return "refused"
            counts = giving.finish(db, found)
            db.execute(
                sa.insert(rating).values(
                    task=task_id,
                    **{scale: getattr(answer, scale, None) for scale in SCALES},
                    winner=answer.winner if isinstance(answer, Choice) else None,
                    comment=storable(answer.comment),
                    passed=_passed(found.check, answer),
                    left_out=None if counts else LATE,
                    stored_at=now,
                    seconds=max(now - found.shown_at, 0.0),
                )
            )
            n_stored = 0
            if self.design.stop_at is not None:
                n_stored = db.execute(sa.select(sa.func.count()).select_from(rating)).scalar_one()
        if n_stored and n_stored % _SETTLE_EVERY == 0:
            self.settle(now)
        return "stored"

    def stored_answer(self, task_id: str, rater_id: str) -> StoredAnswer | None:
        """What is stored of the rater's task; None where nothing is."""
        asked = sa.select(rating).join_from(rating, task).where(task.c.id == task_id, task.c.rater == rater_id)
        with self.database.reading() as db:
            found = db.execute(asked).first()
        if found is None:
            return None
        if found.winner is not None:
            return StoredAnswer(Choice(winner=found.winner, comment=found.comment), found.stored_at)
        scores = {scale: getattr(found, scale) for scale in SCALES}
        return StoredAnswer(Scores(**scores, comment=found.comment), found.stored_at)

    # What is known of it all

    def standing(self, rater_id: str) -> Standing:
        """How far a rater is."""
        fixed = self._fixed()
        with self.database.reading() as db:
            return overview.standing(db, fixed, *_rater_and_state(db, rater_id))

    def progress(self) -> Progress:
        """How far the study is, by rater and by cell; nothing of how anybody rated."""
        with self.database.reading() as db:
            return overview.progress(db, _state(db))

    def events(self) -> list[Event]:
        """All that was done to the study, in order."""
        with self.database.reading() as db:
            found = db.execute(sa.select(schema.event).order_by(schema.event.c.id))
            return [Event(one.at, one.who, one.what) for one in found]

    def agreement(self) -> list[Metric]:
        """How far raters agree so far, over all generators together: it unblinds nothing. See `results.agreement`."""
        return results.agreement(self._answers())

    def ratings(self) -> pl.DataFrame:
        """All answers with the generators that they are about: the columns of ANSWERS, a row for each, in the order
        stored. Raises InputError before the study is unblinded."""
        self._check_unblinded()
        return self._answers()

    def rows(self) -> list[StudyRow]:
        """What the study put before people, with the generators' names. Raises InputError as `ratings` does."""
        self._check_unblinded()
        with self.database.reading() as db:
            return overview.rows(db)

    def _check_unblinded(self) -> None:
        with self.database.reading() as db:
            if db.execute(sa.select(study.c.unblinded_at)).scalar_one() is None:
                raise InputError("results are shown when the study is closed and unblinded", cure="close, and unblind")

    def _answers(self) -> pl.DataFrame:
        recommender = self.design.recommender
        with self.database.reading() as db:
            return overview.answers(db, recommender)

    def _fixed(self) -> Fixed:
        if self._known is None:
            if not self.exists():
                raise InputError("the database holds a study", value="none", cure="create one first")
            with self.database.reading() as db:
                self._known = overview.fixed(db)
        return self._known


def _state(db: sa.Connection, lock: bool = False) -> State:
    """The state of the study; with `lock`, nobody else passes here until the transaction ends."""
    asked = sa.select(study.c.state)
    state: State = db.execute(asked.with_for_update() if lock else asked).scalar_one()
    return state


def _rater_and_state(db: sa.Connection, rater_id: str, lock: sa.Table | None = None) -> tuple[Rater, State]:
    """The rater, and the state of the study. Nobody else passes here with the same row of the table `lock`, until the
    transaction ends.

    Raises InputError where there is no such rater.
    """
    asked = sa.select(rater, study.c.state).join_from(rater, study, sa.true()).where(rater.c.id == rater_id)
    found = db.execute(asked if lock is None else asked.with_for_update(of=lock, key_share=True)).first()
    if found is None:
        raise InputError("a rater was invited", value=rater_id)
    return overview.as_rater(found), found.state


def _passed(written: str | None, answer: Answer) -> bool | None:
    """Whether a check was answered as it should be; None for what is no check."""
    if written is None:
        return None
    check = json.loads(written)
    if isinstance(answer, Choice):
        return bool(answer.winner == check["winner"])
    return all(low <= getattr(answer, scale) <= high for scale, (low, high) in check["expected"].items())


def _log(db: sa.Connection, now: float, who: str, what: str) -> None:
    db.execute(sa.insert(schema.event).values(at=now, who=storable(who), what=storable(what)))


def _hash(token: str) -> str:
    # 256 random bits need no salt and no slow hash.
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).hexdigest()
