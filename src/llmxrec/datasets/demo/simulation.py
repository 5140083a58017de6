"""Made-up people who watch the demo's films for a year.

The films are real (see catalogue.py), the people are not: who they are, what they like, watch and rate is drawn at
random, and no other dataset lies behind it. So whatever these figures show, they show nothing about real people.
What was put in, for a recommender or a language model to find:

- A person has one to three favourite genres and a favourite era. They mostly watch, and rate higher, what fits both.
- Over the year a person moves from the first favourite genre to the last, so what comes last can be told from the
  history better than from popularity.
- Some films are watched far more than others, newer ones more often. Which ones is drawn too.
- Attributes can be guessed from a history, but not well. These ties are invented: age shows in the era (most people
  like the films of their youth), occupation in the genres, and gender, a little, in other genres.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import polars as pl

from llmxrec.datasets.dataset import INTERACTION_COLUMNS, Dataset, ReadReport
from llmxrec.datasets.demo.catalogue import GENRES, films
from llmxrec.datasets.domains import load_domain
from llmxrec.errors import InputError
from llmxrec.seeds import derive

FEWEST, MOST = 20, 80
"""How many films a person watches in the year."""

START, DAYS = 1_735_689_600, 365
"""The year is 2025, the first after the newest film: its first second (unix, UTC) and its length."""

_LIKED_BY_OCCUPATION = {
    "artist": ("Animation", "Fantasy"),
    "chef": ("Family", "Romance"),
    "driver": ("Action", "Thriller"),
    "engineer": ("Adventure", "Science Fiction"),
    "farmer": ("Family", "Western"),
    "lawyer": ("Crime", "Mystery"),
    "musician": ("Documentary", "Music"),
    "nurse": ("Comedy", "Horror"),
    "retired": ("War", "Western"),
    "scientist": ("Documentary", "Science Fiction"),
    "student": ("Fantasy", "Horror"),
    "teacher": ("Drama", "History"),
}
_LIKED_BY_GENDER = {
    "female": ("Adventure", "Mystery"),
    "male": ("Comedy", "Music"),
    "nonbinary": ("Documentary", "Western"),
}
_JOBS = tuple(job for job in _LIKED_BY_OCCUPATION if job not in ("retired", "student"))

_Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class _Catalogue:
    """What choosing needs to know of the films. `genres` is (films, GENRES), each row of length 1."""

    item_ids: list[str]
    years: _Floats
    genres: _Floats
    log_popularity: _Floats


@dataclass(frozen=True)
class _Person:
    """`likes` weighs GENRES over the whole year, `drift` is late minus early, `era` is a year."""

    age: int
    gender: str
    occupation: str
    likes: _Floats
    drift: _Floats
    era: float


def read(source: Path | None = None) -> tuple[Dataset, ReadReport]:
    """The demo as every command gets it: `simulate()`. Raises InputError if given a source, as it reads none."""
    if source is not None:
        raise InputError("the demo comes with the library and reads no source", value=str(source), cure="leave it out")
    return simulate()


def simulate(users: int = 300, seed: int = 1) -> tuple[Dataset, ReadReport]:
    """The demo with that many people. The same seed gives the same people, and person k does not depend on `users`.

    Rows are ordered by person, then time. Raises InputError for fewer than one person.
    """
    if users < 1:
        raise InputError("the demo has at least one person", value=users)
    items = films()
    catalogue = _catalogue(items, seed)
    people: list[tuple[str, str, str, str]] = []
    rows: dict[str, list[npt.NDArray[np.generic]]] = {"item": [], "timestamp": [], "rating": []}
    for k in range(1, users + 1):
        random = np.random.Generator(np.random.PCG64(derive(seed, "user", k)))
        person = _person(random)
        people.append((f"u{k:03d}", str(person.age), person.gender, person.occupation))
        for name, values in zip(rows, _year(person, catalogue, random), strict=True):
            rows[name].append(values)
    interactions = pl.DataFrame(
        {
            "user_id": np.repeat([row[0] for row in people], [len(seen) for seen in rows["item"]]),
            "item_id": np.array(catalogue.item_ids)[np.concatenate(rows["item"])],
            "timestamp": np.concatenate(rows["timestamp"]),
            "rating": np.concatenate(rows["rating"]),
        },
        schema=INTERACTION_COLUMNS,
    )
    columns = ["user_id", "age", "gender", "occupation"]
    dataset = Dataset(interactions, items, pl.DataFrame(people, schema=columns, orient="row"), load_domain("movies"))
    report = ReadReport(
        f"the demo, seed {seed}",
        read={"ratings": interactions.height, "films": items.height, "people (made up)": users},
    )
    return dataset, report


def _catalogue(items: pl.DataFrame, seed: int) -> _Catalogue:
    genres = np.array([[genre in film for genre in GENRES] for film in items["genres"].to_list()], dtype=np.float64)
    years = items["year"].cast(pl.Float64).to_numpy()
    random = np.random.Generator(np.random.PCG64(derive(seed, "popularity")))
    # Newer films come first more often; then Zipf's law, flattened at the top so that nobody has seen it all.
    rank = np.argsort(np.argsort(-(random.random(len(years)) + 0.4 * (years - 1920) / 100)))
    return _Catalogue(
        item_ids=items["item_id"].to_list(),
        years=years,
        genres=genres / np.sqrt(genres.sum(axis=1, keepdims=True)),
        log_popularity=-0.8 * np.log(rank + 6.0),
    )


def _person(random: np.random.Generator) -> _Person:
    # Only `random()` is drawn: its stream is the same in every version of NumPy, which its distributions' are not.
    age_draw, gender_draw, job_draw, count_draw, era_draw, old_soul = random.random(6)
    age = 16 + int(60 * age_draw**1.3)
    gender = "female" if gender_draw < 0.48 else "male" if gender_draw < 0.96 else "nonbinary"
    occupation = "student" if age < 23 else "retired" if age > 66 else _JOBS[int(job_draw * len(_JOBS))]

    odds = np.array(
        [1 + 6 * (g in _LIKED_BY_OCCUPATION[occupation]) + 3 * (g in _LIKED_BY_GENDER[gender]) for g in GENRES]
    )
    favourites = np.argsort(-np.log(random.random(len(GENRES))) / odds)[: 1 + int(3 * count_draw)]
    likes, drift = np.zeros(len(GENRES)), np.zeros(len(GENRES))
    likes[favourites] = 1
    drift[favourites] = np.linspace(-1, 1, len(favourites)) if len(favourites) > 1 else 0
    # Three in four like the films of when they were about twenty, give or take; the others any era.
    youth = 2025 - age + 20 + 20 * (era_draw - 0.5)
    era = min(youth, 2020.0) if old_soul < 0.75 else 1925 + 95 * era_draw
    return _Person(age, gender, occupation, likes, drift, era)


def _year(person: _Person, catalogue: _Catalogue, random: np.random.Generator) -> tuple[npt.NDArray[np.generic], ...]:
    """What the person watched, oldest first: film numbers, timestamps, ratings."""
    count_draw, mood = random.random(2)
    chance, turn, opinion = random.random((3, len(catalogue.years)))
    evening, hour = random.random((2, DAYS))
    count = FEWEST + int((MOST - FEWEST + 1) * count_draw**2)
    liking = catalogue.genres @ person.likes
    fit = np.exp(-(((catalogue.years - person.era) / 15) ** 2) / 2)
    # Gumbel noise makes the best `count` a draw without replacement, with odds exp(appeal).
    appeal = 3.5 * liking + 2.0 * fit + catalogue.log_popularity
    seen = np.argsort(np.log(-np.log(chance)) - appeal)[:count]
    seen = seen[np.argsort((turn + catalogue.genres @ person.drift)[seen])]
    # At most one film an evening, begun between six and eleven.
    days = np.sort(np.argsort(evening)[:count])
    times = START + 86_400 * days + (3600 * (18 + 5 * hour[:count])).astype(np.int64)
    stars = 2.6 + 1.2 * liking + 0.5 * fit + (mood - 0.5) + 2.4 * (opinion - 0.5)
    return seen, times, np.clip(np.rint(stars), 1, 5)[seen]
