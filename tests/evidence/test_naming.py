"""What texts name: their candidate, what was shown, what was not."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.worlds import BAMBI, FARGO, HEAT, SUSPECTS

from llmxrec.evidence.naming import Candidates, Catalogue, Naming, says
from llmxrec.evidence.spelling import title_key, words_of
from llmxrec.records import Instruction, Item, User

STORY = Item("story", "Storm surge floods old town as locals rush to save paintings", {"category": ("weather",)})
SAGA = Item("saga", "Star Wars", {"genres": ("Sci-Fi",)})
FREE = Item("free", "Free to Play", {"genres": ("Documentary", "Free to Play")})
LION = Item("lion", "The Lion King", {"genres": ("Animation",)})
EVERY = [HEAT, FARGO, BAMBI, SUSPECTS, STORY, SAGA, FREE, LION]


def read(text: str, candidate: Item = HEAT, history: tuple[Item, ...] = (FARGO, SUSPECTS)) -> Naming:
    return Catalogue(EVERY).read(text, Instruction("explain", User("u"), history, candidate))


def test_words_compare_without_signs_and_accents() -> None:
    assert words_of("Les Misérables: it's the “best”") == ("les", "miserables", "its", "the", "best")
    assert title_key("Usual Suspects, The (1995)") == title_key("The Usual Suspects") == ("usual", "suspects")


@pytest.mark.parametrize(
    "text", ['"Heat" is like "Fargo"', "You will like Heat, as you did Fargo", "heat, as in Fargo", 'The film "HEAT".']
)
def test_a_candidate_is_named_however_it_is_spelled(text: str) -> None:
    assert read(text).candidate


def test_a_long_title_is_named_by_most_of_its_words() -> None:
    assert read("This tells how the old town floods and locals save their paintings in the storm", STORY).candidate
    assert not read("This tells of a storm and of paintings", STORY).candidate
    assert not says(words_of("a king of cats"), "The Lion King"), "short titles are named as they are"


def test_history_and_what_is_not_shown_stand_apart() -> None:
    naming = read(
        'Like "The Usual Suspects", and like Fargo, "Heat" is a crime film; it has nothing of "The Lion King".'
    )
    assert naming.candidate and set(naming.history) == {"The Usual Suspects", "Fargo"}
    assert naming.others == ("The Lion King",) and naming.unknown == ()


def test_titles_without_quotation_marks_need_capitals_and_words() -> None:
    assert read("Think of The Lion King.").others == ("The Lion King",)
    assert read("It is about the lion king of a zoo, and bambi.").others == ()


@pytest.mark.parametrize(
    ("text", "unknown"),
    [
        ('It reminds of "Pulp Fiction" too.', ("Pulp Fiction",)),
        ('A "Crime" film, tagged "Action, Crime".', ()),
        ('Like "The Usual Suspects (1995)" or "Usual".', ()),
        ('As people say: "show me the money".', ()),
        ('"Heat" and "Fargo".', ()),
    ],
)
def test_quotations_that_are_no_title(text: str, unknown: tuple[str, ...]) -> None:
    assert read(text).unknown == unknown and read(text).others == ()


def test_a_series_and_a_value_are_no_titles() -> None:
    assert read("It is part of the Star Wars saga.").others == ()
    series = read('Like the "Star Wars" series.')
    assert series.others == () and series.unknown == ()
    assert read("You have not seen Star Wars yet.").others == ("Star Wars",)
    assert read('It is tagged "Free to Play" and Free To Play.').others == ()


def test_part_of_a_title_that_was_shown_is_no_other_title() -> None:
    first = Item("first", "Star Wars: Episode IV")
    assert read("You have seen Star Wars before.", history=(first,)).others == ()
    sequel = Item("sequel", "The Lion King II")
    assert read("It is much like The Lion King.", history=(sequel,)).others == ()


def test_masked_texts_differ_by_no_title() -> None:
    one, other = read('Like "Fargo", "Heat" is dark.'), read('Like "The Usual Suspects", "Heat" is dark.')
    assert one.masked.split() == other.masked.split() and "Heat" not in one.masked


@given(st.text(max_size=60), st.lists(st.text(max_size=12), min_size=1, max_size=6))
def test_any_text_and_any_titles_can_be_read(text: str, titles: list[str]) -> None:
    items = [Item(str(n), title) for n, title in enumerate(titles)]
    naming = Catalogue(items).read(text, Instruction("explain", User("u"), tuple(items[1:]), items[0]))
    assert set(naming.history) <= set(titles) and naming.others == ()
    assert Candidates(titles).closest(text, titles) is None
    told = " and ".join(f'"{title}"' for title in titles if title.strip().isalpha())
    assert Catalogue(items).read(told, Instruction("explain", User("u"), tuple(items[1:]), items[0])).others == ()


def test_what_else_a_text_is_about() -> None:
    candidates = Candidates([item.title for item in EVERY])
    assert candidates.closest('You should see "Bambi" soon') == "Bambi"
    assert candidates.closest('You should see "Bambi" soon', but=["Bambi"]) is None
    assert candidates.closest("You should see Bambi soon") == "Bambi"
    assert candidates.closest("Bambis are deer, and the heat is on") is None
    assert candidates.closest("a storm flooded the old town; locals rush, floods surge, paintings save") == STORY.title
    assert candidates.closest("") is None
