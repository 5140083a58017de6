"""A study as it is stored: made once, then raters are invited, given tasks, and their answers kept.

Any number of processes may serve one study at once. Each step is one short transaction; an answer that was
acknowledged is on the disk.
"""

from __future__ import annotations

import hashlib
import json
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import sqlalchemy as sa

from llmxrec.errors import InputError
from llmxrec.records import Domain, Instruction
from llmxrec.study import assignment, schema
from llmxrec.study.answers import Answer, Choice, Scores
from llmxrec.study.design import Kind, StudyDesign
from llmxrec.study.material import SCALES, Gold, Material
from llmxrec.study.written import as_json, domain_of, gold_of, instruction_of

RaterKind = Literal["third-party", "self"]
State = Literal["open", "paused", "closed"]
"""open: tasks are given out. paused: none for now. closed: none any more, for good. What was begun may be finished
while the study is not closed."""

Outcome = Literal["stored", "already stored", "refused"]
"""How a submit ended. refused: the study is closed or the rater is excluded; nothing was stored."""

LATE = "late: its place had been given to another"
"""Why a rating is kept, but left out of the results."""


class UnknownTask(InputError):
    """There is no such task, or it is another rater's."""

    def __init__(self) -> None:
        super().__init__("a task is answered by the rater whom it was given to", cure="ask for the next task")


@dataclass(frozen=True, slots=True)
class Rater:
    """Somebody who was invited. A self-rater is the person `user_id` of the dataset, and rates what they were
    recommended themselves."""

    rater_id: str
    kind: RaterKind
    name: str
    user_id: str | None
    expires_at: float | None
    excluded_reason: str | None


@dataclass(frozen=True, slots=True)
class StudyTask:
    """What is put before a rater: all that a page may show, and nothing that tells who wrote it.

    `texts` has one explanation, or two in the order in which they are to be shown. `number` counts the rater's tasks
    from 1, `of` is how many there will be at most. A check looks as any other task does.
    """

    task_id: str
    kind: Kind
    instruction: Instruction
    texts: tuple[str, ...]
    number: int
    of: int


@dataclass(frozen=True, slots=True)
class StoredAnswer:
    """What is stored of a task."""

    answer: Answer
    stored_at: float


def open_store(url: str | Path) -> Store:
    """The study at `url`, as in sqlite:///study.db, postgresql://host/study, or the path of an SQLite file.

    Raises InputError where the URL is of another kind of database. A new one is empty until `Store.create`.
    """
    return Store(schema.Database(f"sqlite:///{url}" if isinstance(url, Path) else url))


class Store:
    """A study in a database. Times are seconds since 1970, as `time.time()` gives them."""

    def __init__(self, database: schema.Database) -> None:
        self.database = database
        self._fixed: tuple[StudyDesign, Domain, tuple[Gold, ...], int] | None = None

    def close_database(self) -> None:
        self.database.close()

    # The study as a whole

    def exists(self) -> bool:
        """Whether a study was created here."""
        if not self.database.has_tables():
            return False
        with self.database.reading() as db:
            return db.execute(sa.select(schema.study.c.id)).first() is not None

    def create(self, design: StudyDesign, material: Material, now: float) -> None:
        """Make the study. Raises InputError where there is one already, or the material does not fit the design."""
        _check_fits(design, material)
        self.database.make_tables()
        if self.exists():
            raise InputError("a database holds one study", cure="give another file or database")
        shared = [number for number, row in enumerate(material.rows) if not row.self_only]
        drawn = assignment.cells(design, len(material.rows))
        written = [
            {"id": _random_id(), "row": number, "generator": name, "text": row.texts[name]}
            for number, row in enumerate(material.rows)
            for name in design.generators
        ]
        # In an order that says nothing of who wrote what.
        written.sort(key=lambda one: str(one["id"]))
        ids = {(one["row"], one["generator"]): one["id"] for one in written}
        with self.database.writing() as db:
            db.execute(
                sa.insert(schema.study).values(
                    id=1,
                    design=design.model_dump_json(),
                    domain=as_json(material.domain),
                    gold=json.dumps([json.loads(as_json(gold)) for gold in material.gold]),
                    state="open",
                    places=len(drawn),
                    created_at=now,
                )
            )
            db.execute(
                sa.insert(schema.row),
                [
                    {
                        "id": number,
                        "user_id": row.instruction.user.user_id,
                        "item_id": row.instruction.candidate.item_id,
                        "instruction": as_json(row.instruction),
                        "self_only": row.self_only,
                    }
                    for number, row in enumerate(material.rows)
                ],
            )
            db.execute(sa.insert(schema.explanation), written)
            db.execute(
                sa.insert(schema.cell),
                [
                    {
                        "id": number,
                        "row": cell.row,
                        "label": label_of(cell.generators),
                        "first": ids[cell.row, cell.generators[0]],
                        "second": ids[cell.row, cell.generators[1]] if len(cell.generators) > 1 else None,
                        "place": cell.place,
                        "quota": design.ratings_per_cell if cell.row in shared else 0,
                        "taken": 0,
                    }
                    for number, cell in enumerate(drawn)
                ],
            )
            _log(db, now, "organiser", f"created: {design.model_dump_json()}")

    @property
    def design(self) -> StudyDesign:
        return self._constants()[0]

    @property
    def domain(self) -> Domain:
        return self._constants()[1]

    def state(self) -> State:
        with self.database.reading() as db:
            return _state(db)

    def pause(self, by: str, now: float) -> None:
        """Give out no more tasks until `resume`. What was begun may be finished."""
        self._turn(("open",), "paused", by, now)

    def resume(self, by: str, now: float) -> None:
        self._turn(("paused",), "open", by, now)

    def close(self, by: str, now: float) -> None:
        """End the study, for good. No answer is taken any more."""
        self._turn(("open", "paused"), "closed", by, now)

    def _turn(self, given: tuple[State, ...], to: State, by: str, now: float) -> None:
        with self.database.writing() as db:
            state = _state(db, lock=True)
            if state not in given:
                raise InputError(f"a study becomes {to} that is {' or '.join(given)}", value=state)
            db.execute(sa.update(schema.study).values(state=to))
            _log(db, now, by, to)

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
        token, rater_id = secrets.token_urlsafe(32), _random_id()
        with self.database.writing() as db:
            own = sa.select(schema.row.c.id).where(schema.row.c.user_id == user_id)
            if kind == "self" and db.execute(own).first() is None:
                raise InputError("a self-rater has recommendations in the study", value=user_id)
            db.execute(
                sa.insert(schema.rater).values(
                    id=rater_id,
                    kind=kind,
                    token_hash=_hash(token),
                    name=name,
                    user_id=user_id,
                    invited_at=now,
                    expires_at=expires_at,
                )
            )
            _log(db, now, by, f"invited {rater_id} ({kind})")
        return token

    def rater_of(self, token: str, now: float) -> Rater | None:
        """Whose token it is; None for one that was never given out, or is expired."""
        with self.database.reading() as db:
            found = db.execute(sa.select(schema.rater).where(schema.rater.c.token_hash == _hash(token))).first()
        if found is None or (found.expires_at is not None and found.expires_at <= now):
            return None
        return _rater(found)

    # Tasks

    def next_task(self, rater_id: str, now: float) -> StudyTask | None:
        """The task that the rater is at, or the next; None where there is none for them (now: see `state`).

        A task is held for the rater for `hold_minutes` from the last time that it was asked for.
        """
        with self._assigning(now) as (db, state):
            rater = db.execute(sa.select(schema.rater).where(schema.rater.c.id == rater_id)).one()
            if state != "open" or rater.excluded_reason is not None:
                return None
            until = now + self.design.hold_minutes * 60
            task = db.execute(sa.select(schema.task).where(_of(rater_id), schema.task.c.state == "open")).first()
            if task is not None:
                db.execute(sa.update(schema.task).where(schema.task.c.id == task.id).values(reserved_until=until))
                return self._shown(db, task)
            values = self._draw(db, rater)
            if values is None:
                return None
            values |= {"id": _random_id(), "state": "open", "shown_at": now, "reserved_until": until}
            task = db.execute(sa.insert(schema.task).values(values).returning(schema.task)).one()
            return self._shown(db, task)

    @contextmanager
    def _assigning(self, now: float) -> Iterator[tuple[sa.Connection, State]]:
        """A transaction that gives out tasks: one at a time, whatever is held too long given back."""
        with self.database.writing() as db:
            state = _state(db, lock=True)
            given_back = db.execute(
                sa.update(schema.task)
                .where(schema.task.c.state == "open", schema.task.c.reserved_until < now)
                .values(state="expired")
                .returning(schema.task.c.cell, schema.task.c.holds)
            ).all()
            _give_back(db, [task.cell for task in given_back if task.holds])
            yield db, state

    def _draw(self, db: sa.Connection, rater: Any) -> dict[str, Any] | None:
        """What the rater's next task is to be; None where nothing is left for them."""
        design, _, gold, _ = self._constants()
        known = db.execute(
            sa.select(schema.task.c.purpose, schema.cell.c.label, sa.func.count().label("times"))
            .outerjoin_from(schema.task, schema.cell, schema.task.c.cell == schema.cell.c.id)
            .where(_of(rater.id))
            .group_by(schema.task.c.purpose, schema.cell.c.label)
        ).all()
        number = sum(one.times for one in known) + 1
        purposes = assignment.schedule(design, rater.id)
        if number > len(purposes):
            return None
        purpose = purposes[number - 1]
        seen = {one.label: one.times for one in known if one.label is not None}
        found = self._cell(db, rater, seen, number)
        if found is None:
            return None  # also where a check would be due: it would be the last
        values: dict[str, Any] = {"rater": rater.id, "number": number, "purpose": purpose, "holds": False}
        if purpose == "cell":
            values["holds"] = rater.kind == "third-party"
            if values["holds"]:
                taken = sa.update(schema.cell).where(schema.cell.c.id == found.id)
                db.execute(taken.values(taken=schema.cell.c.taken + 1))
            shown = [found.first] if found.second is None else [found.first, found.second]
            if len(shown) > 1 and assignment.turned(design.seed, rater.id, number):
                shown.reverse()
            return values | {
                "kind": "rate" if len(shown) == 1 else "compare",
                "row": found.row,
                "cell": found.id,
                "first": shown[0],
                "second": shown[1] if len(shown) > 1 else None,
            }
        if purpose == "gold":
            turn = purposes[: number - 1].count("gold")
            return values | assignment.gold_task(design, gold, rater.id, number, turn)
        text = db.execute(
            sa.select(schema.explanation.c.text).where(schema.explanation.c.id == found.first)
        ).scalar_one()
        kind: Kind = "rate" if found.second is None else "compare"
        return values | {"row": found.row} | assignment.attention_task(design, kind, text, rater.id, number)

    def _cell(self, db: sa.Connection, rater: Any, seen: dict[str, int], number: int) -> Any:
        """The cell that the rater is to see next: of those that they have not seen the least filled."""
        cell, design, places = schema.cell, self.design, self._constants()[3]
        unseen = ~sa.exists().where(schema.task.c.cell == cell.c.id, _of(rater.id))
        if rater.kind == "self":
            own = sa.select(schema.row.c.id).where(schema.row.c.user_id == rater.user_id)
            fits = [cell.c.row.in_(own), unseen]
        else:
            open_cells = [cell.c.quota == design.ratings_per_cell, cell.c.taken < design.ratings_per_cell, unseen]
            least = db.execute(sa.select(cell.c.taken).where(*open_cells).order_by(cell.c.taken).limit(1)).scalar()
            fits = [cell.c.quota == design.ratings_per_cell, cell.c.taken == least, unseen]
        start = assignment.pivot(design.seed, rater.id, number, places)
        for label in assignment.by_need(labels(design), seen, design.seed, rater.id, number):
            for part in (cell.c.place >= start, cell.c.place < start):
                asked = sa.select(cell).where(*fits, cell.c.label == label, part).order_by(cell.c.place).limit(1)
                if found := db.execute(asked).first():
                    return found
        return None

    def _shown(self, db: sa.Connection, task: Any) -> StudyTask:
        of = len(assignment.schedule(self.design, task.rater))
        if task.check is not None:
            check = json.loads(task.check)
            texts = tuple(check["texts"])
        else:
            stored = sa.select(schema.explanation.c.id, schema.explanation.c.text)
            found = db.execute(stored.where(schema.explanation.c.id.in_([task.first, task.second]))).all()
            by_id = {one.id: one.text for one in found}
            texts = tuple(by_id[one] for one in (task.first, task.second) if one is not None)
        if task.row is None:
            instruction = instruction_of(check["instruction"])
        else:
            asked = sa.select(schema.row.c.instruction).where(schema.row.c.id == task.row)
            instruction = instruction_of(json.loads(db.execute(asked).scalar_one()))
        return StudyTask(task.id, task.kind, instruction, texts, task.number, of)

    def submit(self, task_id: str, rater_id: str, answer: Answer, now: float) -> Outcome:
        """Store the rater's answer to their task, once: of a task that is answered nothing changes any more.

        An answer that comes after another rater was given its place is kept, and left out of the results. Raises
        UnknownTask, and InputError for scores of a comparison or a choice where scores were asked for.
        """
        with self.database.writing() as db:
            # Held until the end, so that nobody is excluded between this and the rating.
            own = sa.select(schema.rater).where(schema.rater.c.id == rater_id).with_for_update(key_share=True)
            rater = db.execute(own).first()
            task = db.execute(sa.select(schema.task).where(schema.task.c.id == task_id, _of(rater_id))).first()
            if rater is None or task is None:
                raise UnknownTask
            if (task.kind == "rate") != isinstance(answer, Scores):
                raise InputError("scores answer a rating, a choice a comparison", value=task.kind)
            if task.state == "done":
                return "already stored"
            if _state(db) == "closed" or rater.excluded_reason is not None:
                return "refused"
            left_out = None
            open_still = sa.update(schema.task).where(schema.task.c.id == task_id, schema.task.c.state == "open")
            if not db.execute(open_still.values(state="done")).rowcount:
                again = sa.update(schema.task).where(schema.task.c.id == task_id, schema.task.c.state == "expired")
                if not db.execute(again.values(state="done")).rowcount:
                    return "already stored"
                if task.holds and not _take(db, task.cell):
                    left_out = LATE
            db.execute(
                sa.insert(schema.rating).values(
                    task=task_id,
                    **{scale: getattr(answer, scale, None) for scale in SCALES},
                    winner=answer.winner if isinstance(answer, Choice) else None,
                    comment=answer.comment,
                    passed=_passed(task, answer),
                    left_out=left_out,
                    stored_at=now,
                    seconds=max(now - task.shown_at, 0.0),
                )
            )
            return "stored"

    def stored_answer(self, task_id: str, rater_id: str) -> StoredAnswer | None:
        """What is stored of the rater's task; None where nothing is."""
        asked = sa.select(schema.rating).join_from(schema.rating, schema.task)
        with self.database.reading() as db:
            found = db.execute(asked.where(schema.task.c.id == task_id, _of(rater_id))).first()
        if found is None:
            return None
        answer: Answer = (
            Choice(winner=found.winner, comment=found.comment)
            if found.winner is not None
            else Scores(**{scale: getattr(found, scale) for scale in SCALES}, comment=found.comment)
        )
        return StoredAnswer(answer, found.stored_at)

    def _constants(self) -> tuple[StudyDesign, Domain, tuple[Gold, ...], int]:
        """What never changes of a study: design, domain, gold tasks and the number of cells."""
        if self._fixed is None:
            if not self.exists():
                raise InputError("the database holds a study", cure="create one first")
            with self.database.reading() as db:
                found = db.execute(sa.select(schema.study)).one()
            gold = tuple(gold_of(one) for one in json.loads(found.gold))
            design = StudyDesign.model_validate_json(found.design)
            self._fixed = design, domain_of(json.loads(found.domain)), gold, found.places
        return self._fixed


def label_of(generators: tuple[str, ...]) -> str:
    """One generator or two as a text, and back by `json.loads`."""
    return json.dumps(generators)


def labels(design: StudyDesign) -> list[str]:
    """The labels of all kinds of cells of a design."""
    return list(dict.fromkeys(label_of(cell.generators) for cell in assignment.cells(design, 1)))


def _check_fits(design: StudyDesign, material: Material) -> None:
    shared = sum(not row.self_only for row in material.rows)
    if shared != design.rows:
        raise InputError(f"a study of {design.rows} rows is given so many", value=shared)
    for row in material.rows:
        if missing := set(design.generators) - {name for name, text in row.texts.items() if text.strip()}:
            raise InputError("each row of a study is explained by all of its generators", value=sorted(missing))
    if len(material.gold) < design.gold:
        raise InputError(f"a study with {design.gold} gold tasks is given so many", value=len(material.gold))


def _of(rater_id: str) -> sa.ColumnElement[bool]:
    return schema.task.c.rater == rater_id


def _state(db: sa.Connection, lock: bool = False) -> State:
    """The state of the study; with `lock`, nobody else passes here until the transaction ends."""
    asked = sa.select(schema.study.c.state)
    state: State = db.execute(asked.with_for_update() if lock else asked).scalar_one()
    return state


def _take(db: sa.Connection, cell: int) -> bool:
    """Take one more place of a cell, if it has one."""
    free = sa.update(schema.cell).where(schema.cell.c.id == cell, schema.cell.c.taken < schema.cell.c.quota)
    return db.execute(free.values(taken=schema.cell.c.taken + 1)).rowcount == 1


def _give_back(db: sa.Connection, cells: list[int]) -> None:
    for cell in sorted(cells):
        held = sa.update(schema.cell).where(schema.cell.c.id == cell)
        db.execute(held.values(taken=schema.cell.c.taken - 1))


def _passed(task: Any, answer: Answer) -> bool | None:
    """Whether a check was answered as it should be; None for what is no check."""
    if task.check is None:
        return None
    check = json.loads(task.check)
    if isinstance(answer, Choice):
        return bool(answer.winner == check["winner"])
    return all(low <= getattr(answer, scale) <= high for scale, (low, high) in check["expected"].items())


def _rater(found: Any) -> Rater:
    return Rater(found.id, found.kind, found.name, found.user_id, found.expires_at, found.excluded_reason)


def _log(db: sa.Connection, now: float, who: str, what: str) -> None:
    db.execute(sa.insert(schema.event).values(at=now, who=who, what=what))


def _hash(token: str) -> str:
    # 256 random bits need no salt and no slow hash.
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).hexdigest()


def _random_id() -> str:
    return secrets.token_hex(16)
