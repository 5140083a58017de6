"""Titles as people say them."""

from __future__ import annotations

from unicodedata import category

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmxrec.datasets.titles import display_title


def one_line(text: str) -> str:
    return " ".join("".join(" " if category(c) == "Cc" else c for c in text).split())


@pytest.mark.parametrize(
    ("original", "title", "year"),
    [
        ("Fargo (1996)", "Fargo", "1996"),
        ("Usual Suspects, The (1995)", "The Usual Suspects", "1995"),
        ("Clockwork Orange, A (1971)", "A Clockwork Orange", "1971"),
        ("American in Paris, An (1951)", "An American in Paris", "1951"),
        ("Postino, Il (1994)", "Il Postino", "1994"),
        ("Misérables, Les (1995)", "Les Misérables", "1995"),
        ("Boot, Das (1981)", "Das Boot", "1981"),
        ("Enfer, L' (1994)", "L'Enfer", "1994"),
        ("Convent, The (Convento, O) (1995)", "The Convent (O Convento)", "1995"),
        ("Star Maker, The (Uomo delle stelle, L') (1995)", "The Star Maker (L'Uomo delle stelle)", "1995"),
        ("Nikita (La Femme Nikita) (1990)", "Nikita (La Femme Nikita)", "1990"),
        ("Femme Nikita, La (1990)", "La Femme Nikita", "1990"),
        ("Die xue (Killer, The) (1989)", "Die xue (The Killer)", "1989"),
        ("Seven (a.k.a. Seventh, The) (1995)", "Seven (a.k.a. The Seventh)", "1995"),
        ("Godfather: Part II, The (1974)", "The Godfather: Part II", "1974"),
        # real commas
        ("Good, the Bad and the Ugly, The (1966)", "The Good, the Bad and the Ugly", "1966"),
        ("Lock, Stock & Two Smoking Barrels (1998)", "Lock, Stock & Two Smoking Barrels", "1998"),
        ("Paris, Texas (1984)", "Paris, Texas", "1984"),
        ("Me, Myself, the", "Me, Myself, the", None),
        ("To Have, or Not (1995)", "To Have, or Not", "1995"),
        # what stands around the year
        ("Two Friends (1986) ", "Two Friends", "1986"),
        ("Land Before Time III, The (1995) (V)", "The Land Before Time III", "1995"),
        ("Dekalog (1989–1990)", "Dekalog", "1989"),
        ("2001: A Space Odyssey (1968)", "2001: A Space Odyssey", "1968"),
        ("(500) Days of Summer (2009)", "(500) Days of Summer", "2009"),
        ("1984 (1956)", "1984", "1956"),
        ("Blade Runner 2049", "Blade Runner 2049", None),
        ("(1995)", "(1995)", None),
        ("unknown", "unknown", None),
        ("", "", None),
        ("A\ntitle\x00 \ton  one line", "A title on one line", None),
    ],
)
def test_display_title(original: str, title: str, year: str | None) -> None:
    assert display_title(original) == (title, year)


@given(st.text(st.characters(exclude_categories=("Cs",)), max_size=40) | st.text("(), 19aThe'", max_size=40))
def test_only_order_and_year_change(original: str) -> None:
    title, year = display_title(original)
    assert title == " ".join(title.split())
    assert year is None or (len(year) == 4 and f"({year}" in original)
    if year is None and ", " not in original:
        assert title == one_line(original)


def test_a_long_title_takes_no_longer_than_it_must() -> None:
    assert display_title("(a) " * 50_000 + "x")[1] is None
    assert display_title("(1995)(V) " * 20_000 + "x")[1] is None
    assert display_title("a, " * 50_000 + "The")[0].startswith("The a, ")
