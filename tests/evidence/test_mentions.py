"""Titles as people spell them, found again."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmxrec.evidence.mentions import find_titles
from llmxrec.records import Item

TITLES = (
    "The Godfather: Part II",
    "Seven (Se7en)",
    "Star Trek IV: The Voyage Home",
    "Il Postino",
    "Usual Suspects, The",
    "Heat",
    "Fargo",
    "One Flew Over the Cuckoo's Nest",
    "Les Misérables",
    "The Good, The Bad and The Ugly",
)
ITEMS = [Item(str(n), title) for n, title in enumerate(TITLES)]


def named(text: str) -> list[str | None]:
    return [mention.item.title if mention.item else None for mention in find_titles(text, ITEMS)]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ('You liked "The Godfather: Part II".', ["The Godfather: Part II"]),
        ('You liked "Godfather, The: Part II," too', ["The Godfather: Part II"]),
        ("You liked “The Godfather Part 2”", ["The Godfather: Part II"]),
        ('"Seven" and "Se7en"', ["Seven (Se7en)", "Seven (Se7en)"]),
        ("the film 'Star Trek 4: The Voyage Home'", ["Star Trek IV: The Voyage Home"]),
        ("like The Usual Suspects, which", ["Usual Suspects, The"]),
        ('"Usual Suspects"', ["Usual Suspects, The"]),
        ("In Heat and then Fargo we see", ["Heat", "Fargo"]),
        ("Heat waves. Fargo winters, in the heat", []),
        ("\"One Flew Over the Cuckoo's Nest\" and 'One Flew Over the Cuckoo’s Nest'", [TITLES[7], TITLES[7]]),
        ('"Les Miserables"', ["Les Misérables"]),
        ('"The Good, the Bad, and the Ugly"', [TITLES[9]]),
        ('"Star Trek: First Contact"', [None]),
        ('"Pulp Fiction" and the so-called "genre"', [None]),
        ("", []),
    ],
)
def test_however_it_is_spelled(text: str, found: list[str | None]) -> None:
    assert named(text) == found


def test_where_a_mention_stands() -> None:
    text = 'First "Fargo", then Il Postino.'
    first, second = find_titles(text, ITEMS)
    assert text[first.start : first.end] == '"Fargo"' and text[second.start : second.end] == "Il Postino"


titles = st.lists(
    st.text(st.sampled_from("abcdeé :,'(12"), min_size=3, max_size=14).map(str.strip), min_size=1, max_size=4
)


@given(titles)
def test_every_title_in_quotation_marks_is_found(found: list[str]) -> None:
    shown = [Item(str(n), f"T{title}x") for n, title in enumerate(dict.fromkeys(found))]
    text = " and ".join(f'"{item.title}"' for item in shown)
    mentions = find_titles(text, shown)
    assert len(mentions) == len(shown) and all(mention.item is not None for mention in mentions)


@given(st.text(max_size=80), titles)
def test_any_text_has_mentions_in_order_that_do_not_overlap(text: str, found: list[str]) -> None:
    mentions = find_titles(text, [Item("", title) for title in found])
    assert all(a.end <= b.start for a, b in pairwise(mentions))
    assert all(0 <= mention.start < mention.end <= len(text) for mention in mentions)
