"""Who is given what: which cells there are, in which order a rater meets them, and where checks are hidden.

Pure and seeded: the store keeps what is drawn here. Nothing that a rater sees is made from a generator's name.
"""

from __future__ import annotations

import json
import random
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import lru_cache
from itertools import combinations

from llmxrec.evaluation.ratings import SCALES
from llmxrec.records import Winner
from llmxrec.seeds import derive
from llmxrec.study.design import Kind, Purpose, StudyDesign
from llmxrec.study.material import Gold


@dataclass(frozen=True, slots=True)
class Cell:
    """What is rated `ratings_per_cell` times: a row and one generator, or two that are compared.

    `place` orders the cells at random.
    """

    row: int
    generators: tuple[str, ...]
    place: int

    @property
    def label(self) -> str:
        """The generators as a text; back by `json.loads`."""
        return json.dumps(self.generators)


def cells(design: StudyDesign, rows: int) -> list[Cell]:
    """All cells of `rows` rows, numbered from 0, in a random order of their places."""
    kinds: list[tuple[str, ...]] = []
    if design.mode != "compare":
        kinds += [(name,) for name in design.generators]
    if design.mode != "rate":
        kinds += list(combinations(sorted(design.generators), 2))
    found = [(row, generators) for row in range(rows) for generators in kinds]
    places = list(range(len(found)))
    random.Random(derive(design.seed, "places")).shuffle(places)
    return [Cell(row, generators, place) for (row, generators), place in zip(found, places, strict=True)]


@lru_cache(4096)
def schedule(design: StudyDesign, rater: str) -> tuple[Purpose, ...]:
    """What each task of `rater` is for, in order: the cells with checks and gold spread among them at random."""
    draw = random.Random(derive(design.seed, "schedule", rater))
    purposes: list[Purpose] = ["cell"] * design.tasks_per_rater
    for at in sorted((draw.randrange(low, high) for low, high in _blocks(len(purposes), design.gold)), reverse=True):
        purposes.insert(at, "gold")
    if design.attention_every:
        checks = max(1, len(purposes) // design.attention_every)
        spread = [draw.randrange(low, high) for low, high in _blocks(len(purposes), checks)]
        for at in sorted(spread, reverse=True):
            purposes.insert(at, "attention")
    return tuple(purposes)


def length(purposes: Sequence[Purpose], cells: int) -> int:
    """How many tasks of a schedule are given where there are `cells` for the rater: no check comes after the last."""
    places = [place for place, purpose in enumerate(purposes, 1) if purpose == "cell"]
    return places[min(cells, len(places)) - 1] if cells else 0


def _blocks(length: int, count: int) -> list[tuple[int, int]]:
    """`length` places in `count` blocks of about one size, none of them empty."""
    return [
        (length * block // count, max(length * (block + 1) // count, length * block // count + 1))
        for block in range(count)
    ]


def by_need(labels: Sequence[str], seen: Mapping[str, int], seed: int, rater: str, number: int) -> list[str]:
    """`labels` (of generators, or of two) with those first that the rater has seen least; equal ones in random order.

    So a strict rater is strict with all generators alike.
    """
    return sorted(labels, key=lambda label: (seen.get(label, 0), derive(seed, "label", rater, number, label)))


def pivot(seed: int, rater: str, number: int, places: int) -> int:
    """From which place on a rater looks for the next cell: raters meet the rows in different orders."""
    return derive(seed, "pivot", rater, number) % max(places, 1)


def turned(seed: int, rater: str, number: int) -> bool:
    """Whether the second of two texts is shown first to this rater."""
    return derive(seed, "order", rater, number) % 2 == 1


def attention(kind: Kind, seed: int, rater: str, number: int) -> tuple[str, dict[str, int]]:
    """The text of an attention check, and the scores that it asks for; none where it stands in a comparison."""
    if kind == "compare":
        return "To show that this page is read with care, please say that this text here explains better.", {}
    draw = random.Random(derive(seed, "attention", rater, number))
    asked = dict(zip(SCALES, draw.sample(range(1, 11), len(SCALES)), strict=True))
    wanted = ", ".join(f"{score} for {scale}" for scale, score in asked.items())
    return f"To show that this page is read with care, please give these scores here: {wanted}.", asked


def mirrored(winner: Winner) -> Winner:
    """The same winner where the two texts have changed places."""
    turned_round: dict[Winner, Winner] = {"first": "second", "second": "first", "tie": "tie"}
    return turned_round[winner]


def gold_task(design: StudyDesign, gold: Sequence[Gold], rater: str, number: int, turn: int) -> dict[str, object]:
    """The rater's gold task number `turn` (from 0), as fields of a task: each of them comes once."""
    one = gold[(derive(design.seed, "gold", rater) + turn) % len(gold)]
    texts, winner = list(one.texts), one.winner
    if winner is not None and turned(design.seed, rater, number):
        texts.reverse()
        winner = mirrored(winner)
    check = {"texts": texts, "expected": dict(one.expected), "winner": winner}
    return {
        "kind": "rate" if one.winner is None else "compare",
        "check": json.dumps(check | {"instruction": asdict(one.instruction)}),
    }


def attention_task(design: StudyDesign, kind: Kind, text: str, rater: str, number: int) -> dict[str, object]:
    """An attention check as fields of a task. In a comparison it stands beside `text`, a real explanation."""
    asking, asked = attention(kind, design.seed, rater, number)
    texts, winner = [asking], None
    if kind == "compare":
        second = turned(design.seed, rater, number)
        texts, winner = ([text, asking], "second") if second else ([asking, text], "first")
    check = {"texts": texts, "expected": {scale: (score, score) for scale, score in asked.items()}, "winner": winner}
    return {"kind": kind, "check": json.dumps(check)}
