"""Slots to text, by hand."""

from __future__ import annotations

import pytest
from hypothesis import given
from tests.worlds import BAMBI, FARGO, HEAT, MOVIES, SUSPECTS, hostile

from llmxrec.datasets.domains import load_domain
from llmxrec.evidence.plan import Plan
from llmxrec.generators.embedded.realise import label, quoted, realise, sentences
from llmxrec.generators.embedded.slots import tokens_of
from llmxrec.records import Item

PLAN = Plan(
    MOVIES,
    SUSPECTS,
    cited=(HEAT, FARGO),
    labels=("Action", "Crime"),
    properties=(("director", "Jane Doe"),),
    count=5,
    total=20,
    novel="Noir",
    own="Animation",
    recent=(BAMBI,),
    profile=(("age", "34"), ("occupation", "engineer")),
)


def said(text: str, plan: Plan = PLAN) -> str:
    return realise(tokens_of(text), plan)


def test_facts_stand_in_place_of_slots() -> None:
    assert said("because you {verb_past} {h1} and {h2}, {cand} fits: all are {A} {items}. {P} is shared!") == (
        'Because you watched "Heat" and "Fargo", "The Usual Suspects" fits: all are action films. '
        "The director Jane Doe is shared!"
    )
    assert (
        said("{nA} of your last {total} {items} were {A} {items}.") == "Five of your last 20 films were action films."
    )
    assert said("for {U}.") == "For 34 years old and an engineer."


def test_articles_follow_what_comes_after() -> None:
    assert said("a {A} {item} and a {B} one, a {D} one, a {N} one.") == (
        "An action film and a crime one, an animation one, a noir one."
    )
    games = Plan(load_domain("games"), SUSPECTS, cited=(HEAT,), labels=("FPS", "RPG", "Early Access"))
    assert said("a {A} {item}, a {B} {item}, a {C} {item}.", games) == "An FPS game, an RPG game, an early access game."
    for word, article in {
        "hour": "an",
        "unique": "a",
        "unusual": "an",
        "use": "a",
        "house": "a",
        "8-bit": "an",
        "MOBA": "a",
        "MMORPG": "an",
        "VR": "a",
    }.items():
        plan = Plan(MOVIES, SUSPECTS, labels=(word,))
        assert said("so a {A}.", plan) == f"So {article} {word}."


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("Crime", "crime"),
        ("Sci-Fi", "Sci-Fi"),
        ("Free to Play", "free to play"),
        ("more_sports", "more sports"),
        ("2D", "2D"),
        ("RPG", "RPG"),
        ("Action RPG", "action RPG"),
        ("Children's", "children's"),
    ],
)
def test_labels_before_a_noun(value: str, shown: str) -> None:
    assert label(value) == shown


def test_titles_are_one_quoted_line() -> None:
    assert quoted(Item("", 'The "Best"\nof\x07 it')) == "\"The 'Best' of it\""
    assert quoted(Item("", " \n ")) == '"untitled"'
    assert quoted(Item("", "word " * 60)) == '"' + " ".join(["word"] * 40) + '…"'


def test_an_unfilled_slot_is_no_text() -> None:
    with pytest.raises(KeyError):
        said("{h3} is there.")


@given(hostile, hostile)
def test_text_of_titles_is_only_text(first: str, second: str) -> None:
    plan = Plan(MOVIES, Item("c", first), cited=(Item("h", second),), labels=("Crime",))
    text = said("like {h1}, {cand} is a {A} {item}.", plan)
    assert text == f"Like {quoted(plan.cited[0])}, {quoted(plan.candidate)} is a crime film."
    assert text.count('"') == 4 and "\n" not in text


def test_sentences_end_where_they_end() -> None:
    assert [len(one) for one in sentences(tokens_of("a b. c d? e"))] == [3, 3, 1]
