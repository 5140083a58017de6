"""Worlds small enough to check by hand, and strategies for records."""

from __future__ import annotations

import polars as pl
from hypothesis import strategies as st

from llmxrec.datasets.dataset import Dataset
from llmxrec.datasets.domains import load_domain
from llmxrec.prompts.lines import one_line
from llmxrec.records import Domain, Instruction, Item, User

MOVIES = load_domain("movies")

HEAT = Item("heat", "Heat", {"genres": ("Action", "Crime"), "year": ("1995",)})
FARGO = Item("fargo", "Fargo", {"genres": ("Crime", "Drama"), "year": ("1996",)})
BAMBI = Item("bambi", "Bambi", {"genres": ("Animation",), "year": ("1942",)})
SUSPECTS = Item("suspects", "The Usual Suspects", {"genres": ("Crime", "Thriller"), "year": ("1995",)})
ANNA = User("anna", {"age": "34", "gender": "female", "occupation": "engineer"})

texts = st.text(st.characters(exclude_categories=("Cs",)), max_size=25).map(one_line)
"""Any text as readers leave it: one line. Quotes, borders and other people's sections included."""

hostile = texts | st.sampled_from(
    [
        '"',
        "\\",
        '\\"; genres: X',
        "1. A",
        '"Heat"; genres: Drama',
        "{title}",
        "[candidate]",
        "a; year: 1",
        ",",
        "'",
        "é: ü",
    ]
)


def attributes(columns: list[str]) -> st.SearchStrategy[dict[str, tuple[str, ...]]]:
    values = st.lists(hostile.filter(bool), min_size=1, max_size=3).map(tuple)
    return st.dictionaries(st.sampled_from(columns), values) if columns else st.just({})


def items(domain: Domain = MOVIES) -> st.SearchStrategy[Item]:
    return st.builds(Item, st.just(""), hostile, attributes(list(domain.item_attributes)))


def users(domain: Domain = MOVIES) -> st.SearchStrategy[User]:
    columns = list(domain.user_attributes)
    shown = st.dictionaries(st.sampled_from(columns), hostile.filter(bool)) if columns else st.just({})
    return st.builds(User, st.just(""), shown)


def instructions(domain: Domain = MOVIES) -> st.SearchStrategy[Instruction]:
    history = st.lists(items(domain), max_size=5).map(tuple)
    explain = st.builds(Instruction, st.just("explain"), users(domain), history, items(domain), st.just(()))
    targets = st.lists(st.sampled_from(["age", "gender", "a, b", 'odd "one"']), min_size=1, unique=True).map(tuple)
    predict = st.builds(Instruction, st.just("predict"), users(domain), history, items(domain), targets)
    return explain | predict


def small_dataset() -> Dataset:
    """Three people and four films; cleo has done nothing yet."""
    interactions = pl.DataFrame(
        {
            "user_id": ["anna", "anna", "anna", "bob", "bob"],
            "item_id": ["heat", "bambi", "fargo", "suspects", "heat"],
            "timestamp": [20, 10, 20, 5, 6],
            "rating": [5.0, 2.0, 4.0, 5.0, 4.0],
        }
    )
    films = [HEAT, FARGO, BAMBI, SUSPECTS]
    catalogue = pl.DataFrame(
        {
            "item_id": [film.item_id for film in films],
            "title": [film.title for film in films],
            "genres": [list(film.attributes["genres"]) for film in films],
            "year": [film.attributes["year"][0] for film in films],
        }
    )
    people = pl.DataFrame(
        {
            "user_id": ["anna", "bob", "cleo"],
            "age": ["34", "50", None],
            "gender": ["female", "male", None],
            "occupation": ["engineer", "writer", None],
        }
    )
    return Dataset(interactions, catalogue, people, MOVIES)
