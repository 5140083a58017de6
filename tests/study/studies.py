"""Studies to try the pages on: small, hand-made, and a server that runs one."""

from __future__ import annotations

from pathlib import Path

from llmxrec.records import Domain, Instruction, Item, User
from llmxrec.study.access import Access
from llmxrec.study.design import Mode, StudyDesign
from llmxrec.study.material import Gold, Material, StudyRow
from llmxrec.study.store import Store, open_store

SECRET = "a secret that only the tests know"  # noqa: S105
GENERATORS = ("zebra-writer", "quokka-writer")
FILMS = Domain(
    name="films",
    field="film",
    item="film",
    items="films",
    verb="watch",
    verb_past="watched",
    item_attributes={"genres": "genres", "year": "year"},
    user_attributes={"age": "age"},
)
TITLES = (
    "The Long Harbour", "Paper Moons", "A Quiet Engine", "Nightjar", "The Cartographer’s Daughter", "Salt and Snow",
    "Eleven Lanterns", "Under the Viaduct", "The Last Timetable", "Marigold Street", "Coming Up for Air", "Half a Mile",
)  # fmt: skip


def film(number: int, title: str | None = None) -> Item:
    genres = ("drama", "comedy") if number % 2 else ("thriller",)
    return Item(f"i{number}", title or TITLES[number % len(TITLES)], {"genres": genres, "year": (str(1980 + number),)})


def instruction(row: int, history: int = 11) -> Instruction:
    """Person `row`, who has seen `history` films, and is recommended another."""
    seen = tuple(film(row + step) for step in range(1, history + 1))
    return Instruction("explain", User(f"u{row}", {"age": str(20 + row)}), seen, film(row))


def material(rows: int, generators: tuple[str, ...] = GENERATORS, gold: int = 0) -> Material:
    told = [
        StudyRow(instruction(row), {name: explained(row, number) for number, name in enumerate(generators)})
        for row in range(rows)
    ]
    known = [Gold(instruction(50 + n), (f"Gold {n}.",), {"reasonability": (1, 4)}) for n in range(gold)]
    return Material(FILMS, tuple(told), tuple(known))


def explained(row: int, number: int) -> str:
    one = film(row)
    return (
        f"You have just seen “{film(row + 11).title}” and “{film(row + 10).title}”, which take their time as "
        f"“{one.title}” does. It is a {one.attributes['genres'][0]} of {one.attributes['year'][0]}, and the kind that "
        + ("stays with you." if number % 2 else "you came back to more than once this year. Give it an evening.")
    )


def make_study(
    url: str | Path,
    rows: int = 4,
    mode: Mode = "rate",
    gold: int = 0,
    attention: int = 0,
    ratings_per_cell: int = 2,
    tasks: int = 50,
    generators: tuple[str, ...] = GENERATORS,
    made_of: Material | None = None,
) -> Store:
    """An open study at `url`, just created."""
    store = open_store(url)
    design = StudyDesign(
        recommender="bpr",
        generators=generators,
        rows=rows,
        ratings_per_cell=ratings_per_cell,
        mode=mode,
        gold=gold,
        attention_every=attention,
        tasks_per_rater=tasks,
    )
    store.create(design, made_of or material(rows, generators, gold), 1_700_000_000.0)
    return store


def access() -> Access:
    return Access(SECRET)
