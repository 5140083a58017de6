"""Studies small enough to check by hand."""

from __future__ import annotations

from typing import Any

from llmxrec.records import Domain, Instruction, Item, User
from llmxrec.study.answers import Answer, Choice, Scores
from llmxrec.study.design import StudyDesign
from llmxrec.study.giving import StudyTask
from llmxrec.study.material import Gold, Material, StudyRow
from llmxrec.study.store import Store, open_store

FILMS = Domain("films", "film", "film", "films", "watch", "watched", {"genre": "genres"}, {"age": "age"})
START = 1_700_000_000.0
"""When all studies here begin."""
MINUTE = 60.0


def instruction(number: int) -> Instruction:
    """Person `number`, who has seen one film, and is recommended another."""
    seen = Item(f"seen{number}", f"Seen {number}", {"genre": ("drama", "war")})
    return Instruction("explain", User(f"u{number}", {"age": "30"}), (seen,), Item(f"i{number}", f"Film {number}"))


def design(**settings: Any) -> StudyDesign:
    """A design without checks, but for what is given."""
    plain = {"recommender": "bpr", "generators": ("A", "B"), "rows": 3, "ratings_per_cell": 2}
    return StudyDesign(**(plain | {"attention_every": 0, "gold": 0, "hold_minutes": 10.0} | settings))


def material(of: StudyDesign, own: int = 0) -> Material:
    """Rows 0, 1, ... of a design with the texts "A of 0", ..., `own` more for self-raters, and its gold tasks."""
    rows = tuple(
        StudyRow(instruction(n), {name: f"{name} of {n}" for name in of.generators}, self_only=n >= of.rows)
        for n in range(of.rows + own)
    )
    single = tuple(Gold(instruction(100 + n), (f"gold {n}",), {"reasonability": (1, 4)}) for n in range(of.gold))
    double = tuple(Gold(instruction(100 + n), (f"good {n}", f"bad {n}"), winner="first") for n in range(of.gold))
    return Material(FILMS, rows, double if of.mode == "compare" else single)


def created(url: str, of: StudyDesign, own: int = 0) -> Store:
    store = open_store(url)
    store.create(of, material(of, own), START)
    return store


def invited(store: Store, name: str = "Ann", user_id: str | None = None) -> str:
    """The id of a new rater, a self-rater where `user_id` says of whom."""
    token = store.invite("third-party" if user_id is None else "self", name, START, user_id)
    rater = store.rater_of(token, START)
    assert rater is not None
    return rater.rater_id


def answer_to(task: StudyTask, score: int = 5) -> Answer:
    if task.kind == "compare":
        return Choice(winner="first")
    return Scores(reasonability=score, attractiveness=score, redundancy=score)


def rate_all(store: Store, rater: str, now: float = START) -> list[StudyTask]:
    """Have a rater answer all that they are given, a task a minute; returns the tasks."""
    done = []
    while task := store.next_task(rater, now):
        done.append(task)
        assert store.submit(task.task_id, rater, answer_to(task), now + MINUTE / 2) == "stored"
        now += MINUTE
    return done
