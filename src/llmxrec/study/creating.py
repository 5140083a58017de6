"""How a study is written into its tables before it starts."""

from __future__ import annotations

import json
import secrets

import sqlalchemy as sa

from llmxrec.errors import InputError
from llmxrec.study import assignment, schema
from llmxrec.study.design import StudyDesign
from llmxrec.study.material import Material
from llmxrec.study.written import as_json, storable


def check_fits(design: StudyDesign, material: Material) -> None:
    """Raise InputError where `material` is not what `design` takes."""
    shared = sum(not row.self_only for row in material.rows)
    if shared != design.rows:
        raise InputError(f"a study of {design.rows} rows is given so many", value=shared)
    for row in material.rows:
        if missing := set(design.generators) - {name for name, text in row.texts.items() if text.strip()}:
            raise InputError("each row of a study is explained by all of its generators", value=sorted(missing))
    if len({(row.instruction.user.user_id, row.instruction.candidate.item_id) for row in material.rows}) < len(
        material.rows
    ):
        raise InputError("a study has each recommendation once")
    if len(material.gold) < design.gold:
        raise InputError(f"a study with {design.gold} gold tasks is given so many", value=len(material.gold))
    for gold in material.gold:
        if len(gold.texts) != (1 if gold.winner is None else 2) or (gold.winner is None) != bool(gold.expected):
            raise InputError("a gold task has one text and scores, or two texts and a winner", value=gold.texts)


def fill(db: sa.Connection, design: StudyDesign, material: Material, now: float) -> None:
    """Write the study, its rows, explanations and cells. Raises sqlalchemy's IntegrityError where there is one."""
    drawn = assignment.cells(design, len(material.rows))
    golds = [json.loads(as_json(gold)) for gold in material.gold]
    db.execute(
        sa.insert(schema.study).values(
            id=1,
            design=design.model_dump_json(),
            domain=as_json(material.domain),
            gold=json.dumps(golds),
            state="open",
            places=len(drawn),
            created_at=now,
        )
    )
    rows, texts = [], []
    for number, row in enumerate(material.rows):
        rows.append(
            {
                "id": number,
                "user_id": storable(row.instruction.user.user_id),
                "item_id": storable(row.instruction.candidate.item_id),
                "instruction": as_json(row.instruction),
                "self_only": row.self_only,
            }
        )
        for name in design.generators:
            texts.append({"id": random_id(), "row": number, "generator": name, "text": storable(row.texts[name])})
    ids = {(text["row"], text["generator"]): text["id"] for text in texts}
    cells = []
    for number, cell in enumerate(drawn):
        shown = [ids[cell.row, generator] for generator in cell.generators]
        cells.append(
            {
                "id": number,
                "row": cell.row,
                "label": cell.label,
                "first": shown[0],
                "second": shown[1] if len(shown) > 1 else None,
                "place": cell.place,
                "quota": 0 if material.rows[cell.row].self_only else design.ratings_per_cell,
                "taken": 0,
            }
        )
    db.execute(sa.insert(schema.row), rows)
    db.execute(sa.insert(schema.explanation), texts)
    db.execute(sa.insert(schema.cell), cells)


def random_id() -> str:
    """128 random bits, as text: nobody guesses another's."""
    return secrets.token_hex(16)
