"""How a task is given to a rater: within a transaction, in the tables of a study."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from llmxrec.records import Domain, Instruction
from llmxrec.study import assignment
from llmxrec.study.accounts import Rater
from llmxrec.study.creating import random_id
from llmxrec.study.design import Kind, StudyDesign
from llmxrec.study.material import Gold
from llmxrec.study.schema import cell, row, task
from llmxrec.study.written import instruction_of


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


@dataclass(frozen=True)
class Fixed:
    """What never changes of a study, so that it is read once.

    `labels` are of its kinds of cells, `places` how many cells there are and `shared` how many of them are for
    third-party raters; `instructions` go by row, `texts` by the id of the explanation.
    """

    design: StudyDesign
    domain: Domain
    gold: Sequence[Gold]
    labels: Sequence[str]
    places: int
    shared: int
    instructions: Mapping[int, Instruction]
    texts: Mapping[str, str]


@dataclass(frozen=True)
class Given:
    """What a rater was given so far: how often each label, how many tasks in all, and in which states."""

    labels: Mapping[str, int]
    count: int
    states: frozenset[str]


def take(db: sa.Connection, cell_id: int) -> bool:
    """Take one more place of a cell, if it has one."""
    free = sa.update(cell).where(cell.c.id == cell_id, cell.c.taken < cell.c.quota)
    return db.execute(free.values(taken=cell.c.taken + 1)).rowcount == 1


def give_back(db: sa.Connection, cells: Sequence[int]) -> None:
    """Give back one place of a cell for each time that it stands in `cells`."""
    for one in sorted(cells):
        db.execute(sa.update(cell).where(cell.c.id == one).values(taken=cell.c.taken - 1))


def expire(db: sa.Connection, *which: sa.ColumnElement[bool]) -> None:
    """Take back the open tasks that are meant by `which`, and their places."""
    ended = sa.update(task).where(task.c.state == "open", *which).values(state="expired")
    given = db.execute(ended.returning(task.c.cell, task.c.holds)).all()
    give_back(db, [one.cell for one in given if one.holds])


def give(db: sa.Connection, fixed: Fixed, rater: Rater, now: float) -> Any:
    """The row of the table of tasks that the rater is to answer now; None where nothing is left for them.

    It is the one that they have, or one whose place they lost and that is free again, or a new one.
    """
    given = given_to(db, rater.rater_id)
    times: dict[str, Any] = {"shown_at": now, "reserved_until": now + fixed.design.hold_minutes * 60}
    if "open" in given.states:
        # Who comes back after long did not read all the while.
        first_shown = sa.case((task.c.reserved_until < now, now), else_=task.c.shown_at)
        mine = sa.update(task).where(task.c.rater == rater.rater_id, task.c.state == "open")
        # None where it was answered a moment ago: then there is another.
        if found := db.execute(mine.values(times | {"shown_at": first_shown}).returning(task)).first():
            return found
    expire(db, task.c.holds, task.c.reserved_until < now)
    lost = reopenable(db, rater.rater_id) if "expired" in given.states else None
    if lost is not None and (found := _reopen(db, lost, times)):
        return found
    values = _draw(db, fixed, rater, given)
    if values is None:
        return None
    return db.execute(
        sa.insert(task).values(values | times | {"state": "open", "id": random_id()}).returning(task)
    ).one()


def _reopen(db: sa.Connection, lost: Any, times: dict[str, Any]) -> Any:
    """The task `lost`, open again, its place taken; None where it was answered, or its place went, a moment ago."""
    # First the task, then its cell, as whoever answers it late: two that lock in turn never wait for each other.
    again = sa.update(task).where(task.c.id == lost.id, task.c.state == "expired")
    found = db.execute(again.values(times | {"state": "open"}).returning(task)).first()
    if found is None or take(db, found.cell):
        return found
    db.execute(sa.update(task).where(task.c.id == lost.id).values(state="expired"))
    return None


def finish(db: sa.Connection, given: Any) -> bool:
    """Mark a task as done that is not; whether its answer counts, or came after its place was given to another."""
    still = sa.update(task).where(task.c.id == given.id, task.c.state == "open")
    if db.execute(still.values(state="done")).rowcount:
        return True
    db.execute(sa.update(task).where(task.c.id == given.id).values(state="done"))
    return take(db, given.cell)


def reopenable(db: sa.Connection, rater_id: str) -> Any:
    """The first task of the rater whose place was taken back and is free again; None where there is none."""
    lost = sa.select(task).join_from(task, cell, task.c.cell == cell.c.id).order_by(task.c.number).limit(1)
    return db.execute(
        lost.where(task.c.rater == rater_id, task.c.state == "expired", cell.c.taken < cell.c.quota)
    ).first()


def _draw(db: sa.Connection, fixed: Fixed, rater: Rater, given: Given) -> dict[str, Any] | None:
    """The fields of the rater's next task, its place taken; None where nothing is left for them."""
    found = next_cell(db, fixed, rater, given)
    # Without a cell there is no check either: it would be all that is left.
    if found is None:
        return None
    number = given.count + 1
    purposes = assignment.schedule(fixed.design, rater.rater_id)
    purpose, seed = purposes[number - 1], fixed.design.seed
    values: dict[str, Any] = {"rater": rater.rater_id, "number": number, "purpose": purpose, "holds": False}
    kind: Kind = "rate" if found.second is None else "compare"
    if purpose == "gold":
        turn = purposes[: number - 1].count("gold")
        return values | assignment.gold_task(fixed.design, fixed.gold, rater.rater_id, number, turn)
    if purpose == "attention":
        text = fixed.texts[found.first]
        return values | {"row": found.row} | assignment.attention_task(fixed.design, kind, text, rater.rater_id, number)
    shown = [found.first, found.second]
    if kind == "compare" and assignment.turned(seed, rater.rater_id, number):
        shown.reverse()
    if rater.kind == "third-party":
        if not take(db, found.id):
            # Its last place went to a late answer a moment ago: there may be another cell.
            return _draw(db, fixed, rater, given)
        values["holds"] = True
    return values | {"kind": kind, "row": found.row, "cell": found.id, "first": shown[0], "second": shown[1]}


def given_to(db: sa.Connection, rater_id: str) -> Given:
    """What a rater was given so far."""
    counted = (
        sa.select(cell.c.label, task.c.state, sa.func.count().label("times"))
        .outerjoin_from(task, cell, task.c.cell == cell.c.id)
        .where(task.c.rater == rater_id)
        .group_by(cell.c.label, task.c.state)
    )
    labels, count, states = Counter[str](), 0, set()
    for one in db.execute(counted):
        count += one.times
        states.add(one.state)
        if one.label is not None:
            labels[one.label] += one.times
    return Given(labels, count, frozenset(states))


def next_cell(db: sa.Connection, fixed: Fixed, rater: Rater, given: Given) -> Any:
    """The cell that the rater is to see next: of those that they have not seen yet, one of the least filled.

    Of these one with the label that they have seen least, the next after a place drawn for this task. None where all
    are seen or full, or the rater has had as many as they are given.
    """
    seed, quota, who, number = fixed.design.seed, fixed.design.ratings_per_cell, rater.rater_id, given.count + 1
    if number > len(assignment.schedule(fixed.design, who)):
        return None
    fits = [~sa.exists().where(task.c.cell == cell.c.id, task.c.rater == who)]
    if rater.kind == "self":
        fits.append(cell.c.row.in_(sa.select(row.c.id).where(row.c.user_id == rater.user_id)))
    else:
        fits.append(cell.c.quota == quota)
        unfilled = sa.select(cell.c.taken).where(*fits, cell.c.taken < quota).order_by(cell.c.taken).limit(1)
        fits.append(cell.c.taken == db.execute(unfilled).scalar())
    start = assignment.pivot(seed, who, number, fixed.places)
    for label in assignment.by_need(fixed.labels, given.labels, seed, who, number):
        for part in (cell.c.place >= start, cell.c.place < start):
            asked = sa.select(cell).where(*fits, cell.c.label == label, part).order_by(cell.c.place).limit(1)
            if found := db.execute(asked).first():
                return found
    return None


def shown(fixed: Fixed, given: Any, of: int) -> StudyTask:
    """A row of the table of tasks as the rater is to see it."""
    check = json.loads(given.check) if given.check is not None else {}
    gold = given.row is None
    instruction = instruction_of(check["instruction"]) if gold else fixed.instructions[given.row]
    texts = check.get("texts") or [fixed.texts[one] for one in (given.first, given.second) if one is not None]
    return StudyTask(given.id, given.kind, instruction, tuple(texts), given.number, of)
