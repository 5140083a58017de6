"""How far a study is, and all that was answered: read from its tables."""

from __future__ import annotations

import json
from statistics import median
from typing import Any

import polars as pl
import sqlalchemy as sa

from llmxrec.study import assignment, giving
from llmxrec.study.accounts import LATE, CellProgress, Progress, Rater, RaterProgress, Standing, State
from llmxrec.study.design import StudyDesign
from llmxrec.study.giving import Fixed
from llmxrec.study.material import StudyRow
from llmxrec.study.schema import cell, explanation, rater, rating, row, study, task
from llmxrec.study.written import domain_of, gold_of, instruction_of

ANSWERS = {
    "task": pl.String,
    "rater": pl.String,
    "rater_kind": pl.String,
    "order": pl.Int64,
    "kind": pl.String,
    "purpose": pl.String,
    "recommender": pl.String,
    "user_id": pl.String,
    "item_id": pl.String,
    "first": pl.String,
    "second": pl.String,
    "reasonability": pl.Int64,
    "attractiveness": pl.Int64,
    "redundancy": pl.Int64,
    "winner": pl.String,
    "comment": pl.String,
    "passed": pl.Boolean,
    "left_out": pl.String,
    "shown_at": pl.Float64,
    "stored_at": pl.Float64,
    "seconds": pl.Float64,
}
"""All answers as a table. `first` and `second` are generators in the order shown, null in checks; `second` is null in
ratings. `left_out` says why an answer does not count, null where it does."""


def fixed(db: sa.Connection) -> Fixed:
    """What never changes of the study."""
    found = db.execute(sa.select(study)).one()
    design = StudyDesign.model_validate_json(found.design)
    rows = db.execute(sa.select(row.c.id, row.c.instruction))
    texts = db.execute(sa.select(explanation.c.id, explanation.c.text))
    shared = sa.select(sa.func.count()).select_from(cell).where(cell.c.quota > 0)
    return Fixed(
        design,
        domain_of(json.loads(found.domain)),
        [gold_of(one) for one in json.loads(found.gold)],
        [one.label for one in assignment.cells(design, 1)],
        found.places,
        db.execute(shared).scalar_one(),
        {one.id: instruction_of(json.loads(one.instruction)) for one in rows},
        {one.id: one.text for one in texts},
    )


def length(db: sa.Connection, fixed: Fixed, who: Rater) -> int:
    """How many tasks the rater will be given at most."""
    cells = fixed.shared
    if who.kind == "self":
        mine = sa.select(sa.func.count()).select_from(cell).join(row, cell.c.row == row.c.id)
        cells = db.execute(mine.where(row.c.user_id == who.user_id)).scalar_one()
    return assignment.length(assignment.schedule(fixed.design, who.rater_id), cells)


def standing(db: sa.Connection, fixed: Fixed, who: Rater, state: State) -> Standing:
    """How far a rater is."""
    counted = sa.select(task.c.state, sa.func.count().label("times")).where(task.c.rater == who.rater_id)
    tasks = {one.state: one.times for one in db.execute(counted.group_by(task.c.state))}
    left = state == "open" and who.excluded_reason is None
    if left and "open" not in tasks:
        given = giving.given_to(db, who.rater_id)
        left = giving.reopenable(db, who.rater_id) is not None or giving.next_cell(db, fixed, who, given) is not None
    return Standing(tasks.get("done", 0), length(db, fixed, who), state, who.excluded_reason, left)


def progress(db: sa.Connection, state: State) -> Progress:
    """How far the study is; nothing of how anybody rated."""
    counts = rating.c.left_out.is_(None)
    stored_of = (
        sa.select(task.c.cell, task.c.holds, sa.func.count().label("stored"))
        .join_from(task, rating)
        .where(counts, task.c.cell.is_not(None))
        .group_by(task.c.cell, task.c.holds)
    )
    stored = {(one.cell, one.holds): one.stored for one in db.execute(stored_of)}
    cells = []
    for one in db.execute(sa.select(cell, row.c.user_id, row.c.item_id).join_from(cell, row).order_by(cell.c.id)):
        has = stored.get((one.id, True), 0)
        generators = tuple(json.loads(one.label))
        cells.append(CellProgress(one.user_id, one.item_id, generators, has, one.taken - has, one.quota))
    found = db.execute(sa.select(study.c.unblinded_at, study.c.unblinded_by)).one()
    return Progress(
        state,
        sum(one.stored for one in cells),
        sum(one.quota for one in cells),
        sum(times for (_, holds), times in stored.items() if not holds),
        tuple(_raters(db)),
        tuple(cells),
        found.unblinded_at,
        found.unblinded_by,
    )


def _raters(db: sa.Connection) -> list[RaterProgress]:
    asked = sa.select(task.c.rater, task.c.check, rating).join_from(task, rating).order_by(rating.c.stored_at)
    answers: dict[str, list[Any]] = {}
    for one in db.execute(asked):
        answers.setdefault(one.rater, []).append(one)
    found = []
    for who in db.execute(sa.select(rater).order_by(rater.c.invited_at, rater.c.id)):
        done = answers.get(who.id, [])
        checks = [one.passed for one in done if one.passed is not None]
        found.append(
            RaterProgress(
                as_rater(who),
                len(done),
                sum(one.left_out == LATE for one in done),
                sum(checks),
                len(checks),
                median(one.seconds for one in done) if done else None,
                done[-1].stored_at if done else None,
            )
        )
    return found


def as_rater(found: Any) -> Rater:
    """A row of the table of raters, without what is secret."""
    return Rater(found.id, found.kind, found.name, found.user_id, found.expires_at, found.excluded_reason)


def answers(db: sa.Connection, recommender: str) -> pl.DataFrame:
    """All answers, in the order stored: the columns of ANSWERS."""
    asked = (
        sa.select(
            task,
            rating,
            rater.c.kind.label("rater_kind"),
            row.c.user_id,
            row.c.item_id,
            cell.c.label,
            (task.c.first == cell.c.first).label("straight"),
        )
        .join_from(task, rating)
        .join(rater, task.c.rater == rater.c.id)
        .outerjoin(row, task.c.row == row.c.id)
        .outerjoin(cell, task.c.cell == cell.c.id)
        .order_by(rating.c.stored_at, task.c.id)
    )
    rows = []
    for one in db.execute(asked):
        shown = json.loads(one.label) if one.label is not None else []
        if not one.straight:
            shown.reverse()
        known = {name: getattr(one, name) for name in ANSWERS if hasattr(one, name)}
        rows.append(
            {
                **known,
                "task": one.id,
                "order": one.number,
                "recommender": recommender,
                "first": shown[0] if shown else None,
                "second": shown[1] if len(shown) > 1 else None,
            }
        )
    return pl.DataFrame(rows, schema=ANSWERS)


def rows(db: sa.Connection) -> list[StudyRow]:
    """What the study was created with, but for gold tasks."""
    texts: dict[int, dict[str, str]] = {}
    for one in db.execute(sa.select(explanation).order_by(explanation.c.row, explanation.c.generator)):
        texts.setdefault(one.row, {})[one.generator] = one.text
    return [
        StudyRow(instruction_of(json.loads(one.instruction)), texts[one.id], one.self_only)
        for one in db.execute(sa.select(row).order_by(row.c.id))
    ]
