"""Titles as people say them: "Usual Suspects, The (1995)" is "The Usual Suspects", of 1995."""

from __future__ import annotations

import re

import polars as pl

# Articles that catalogues put behind a comma. Each is matched as spelled here, so "Texas" in "Paris, Texas" stays.
_ARTICLES = (
    *("The", "A", "An"),  # English
    *("Le", "La", "Les", "L'", "L’", "Un", "Une"),  # French
    *("Der", "Die", "Das", "Ein", "Eine"),  # German
    *("Il", "Lo", "I", "Gli", "Uno", "Una"),  # Italian, with those above
    *("El", "Los", "Las"),  # Spanish, with those above
    *("O", "Os", "As", "Um", "Uma"),  # Portuguese, with those above
    *("De", "Het", "Een"),  # Dutch
    *("Den", "Det", "En", "Ett", "Et"),  # Swedish, Danish, Norwegian
)
_INVERTED = re.compile(rf"(?P<before>(?:a\.?k\.?a\.? )?)(?P<rest>.+), (?P<article>{'|'.join(_ARTICLES)})")
_YEAR = re.compile(r"(?P<title>.*\S)\s*\((?P<year>\d{4})(?:[-–/][^()]*)?\)(?:\s*\([A-Z]{1,3}\))*")
_ALTERNATIVES = re.compile(r"(?P<title>.*?)(?P<others>(?:\s*\([^()]*\)){0,3})")
_BREAKS = r"[\s\x00-\x1f\x7f-\x9f]+"  # white space holds the line and paragraph separators too


def display_title(original: str) -> tuple[str, str | None]:
    """The title as people say it, and its year if the title ends with one.

    The year and what stands behind it, such as "(V)" for video, are taken off; an article behind a comma goes to the
    front, in alternative titles too; runs of white space become one space.

    >>> display_title("Double vie de Véronique, La (Double Life of Veronique, The) (1991)")
    ('La Double vie de Véronique (The Double Life of Veronique)', '1991')
    >>> display_title("Good, The Bad and The Ugly, The (1966)")
    ('The Good, The Bad and The Ugly', '1966')
    """
    title, year = re.sub(_BREAKS, " ", original).strip(" "), None
    if dated := _YEAR.fullmatch(title):
        title, year = dated["title"], dated["year"]
    parts = _ALTERNATIVES.fullmatch(title)
    if parts is None or not parts["title"]:
        return title, year
    others = re.sub(r"\(([^()]*)\)", lambda match: f"({_article_first(match[1])})", parts["others"])
    return _article_first(parts["title"]) + others, year


def one_line(text: pl.Expr) -> pl.Expr:
    """`text` on one line: control characters and runs of white space become one space, with none at the ends."""
    return text.str.replace_all(_BREAKS, " ").str.strip_chars(" ")


def _article_first(title: str) -> str:
    inverted = _INVERTED.fullmatch(title)
    if inverted is None:
        return title
    article = inverted["article"]
    space = "" if article.endswith(("'", "’")) else " "
    return f"{inverted['before']}{article}{space}{inverted['rest']}"
