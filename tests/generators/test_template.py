"""The template generator: every sentence is true of the instruction."""

from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st
from tests.worlds import ANNA, BAMBI, FARGO, HEAT, MOVIES, SUSPECTS

from llmxrec.generators.template import TemplateGenerator, sentence, sentences
from llmxrec.records import Instruction, Item, Prompt


def why(*history: Item, candidate: Item = SUSPECTS) -> str:
    return sentence(Instruction("explain", ANNA, history, candidate), MOVIES)


def test_what_is_shared_is_named() -> None:
    assert why(HEAT, BAMBI) == 'Like "Heat", which you watched, "The Usual Suspects" is listed under Crime.'
    assert why(HEAT, FARGO) == 'Like "Fargo" and "Heat", which you watched, "The Usual Suspects" is listed under Crime.'


def test_the_most_alike_comes_first_and_no_one_else_is_said_to_share_as_much() -> None:
    seven = Item("seven", "Seven", {"genres": ("Thriller", "Crime")})
    assert why(seven, HEAT, FARGO) == (
        'Like "Seven", which you watched, "The Usual Suspects" is listed under Crime and Thriller.'
    )


def test_nothing_shared() -> None:
    assert why(BAMBI) == 'You watched "Bambi"; now try "The Usual Suspects".'
    assert why() == '"The Usual Suspects" is recommended to you.'


def test_a_year_is_no_reason_and_a_namesake_is_not_cited() -> None:
    same_year = Item("x", "Casino", {"year": ("1995",)})
    assert "1995" not in why(same_year)
    namesake = Item("y", "The Usual Suspects", {"genres": ("Crime", "Thriller")})
    assert why(namesake, BAMBI) == 'You watched "Bambi"; now try "The Usual Suspects".'


def because(*causes: Item, candidate: Item = SUSPECTS) -> str:
    return sentence(Instruction("explain", ANNA, (BAMBI, *causes), candidate, causes=causes), MOVIES)


def test_what_a_recommendation_rests_on_is_named_whatever_it_shares() -> None:
    start = 'Because you watched "Heat"'
    assert because(HEAT) == f'{start}, "The Usual Suspects" is recommended to you: like it, it is listed under Crime.'
    assert because(HEAT, FARGO) == (
        f'{start} and "Fargo", "The Usual Suspects" is recommended to you: like them, it is listed under Crime.'
    )
    assert because(BAMBI) == 'Because you watched "Bambi", "The Usual Suspects" is recommended to you.'
    assert because(HEAT, BAMBI) == (
        f'{start} and "Bambi", "The Usual Suspects" is recommended to you: like "Heat", it is listed under Crime.'
    )
    assert because(SUSPECTS) == '"The Usual Suspects" is recommended to you.'


def test_shorter_sentences_say_less() -> None:
    asked = Instruction("explain", ANNA, (HEAT, FARGO), SUSPECTS, causes=(HEAT, FARGO))
    assert list(sentences(asked, MOVIES)) == [
        because(HEAT, FARGO), because(HEAT), '"The Usual Suspects" is recommended to you.'
    ]  # fmt: skip


genres = st.lists(st.sampled_from(["Crime", "Drama", "War", "Western"]), unique=True).map(tuple)
films = st.lists(genres, max_size=6).map(
    lambda found: [Item("", f"Film {n}", {"genres": g, "year": ("1995",)}) for n, g in enumerate(found)]
)


@given(films, genres)
def test_every_cited_film_shares_every_genre_named(history: list[Item], wanted: tuple[str, ...]) -> None:
    candidate = Item("", "New", {"genres": wanted, "year": ("1995",)})
    text = why(*history, candidate=candidate)
    assert '"New"' in text and text.endswith(".")
    cited = [film for film in history if f'"{film.title}"' in text]
    best = max((len(set(film.attributes["genres"]) & set(wanted)) for film in history), default=0)
    assert (" listed under " in text) == (best > 0)
    if best:
        named = re.findall(r"Crime|Drama|War|Western", text.partition(" under ")[2])
        assert 1 <= len(cited) <= 2 and len(named) == min(best, 3)
        assert all(set(named) <= set(film.attributes["genres"]) & set(wanted) for film in cited)


def test_it_predicts_nothing() -> None:
    prompt = Prompt("k", Instruction("predict", ANNA, (HEAT,), SUSPECTS, ("age",)), MOVIES, ())
    (answer,) = TemplateGenerator().generate([prompt])
    assert (answer.status, answer.text) == ("empty", "")
