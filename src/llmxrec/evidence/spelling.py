"""Words as they compare, and the ways in which people spell a title."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from functools import cached_property, lru_cache
from typing import TypeAlias

from llmxrec.datasets.titles import display_title

Words: TypeAlias = tuple[str, ...]

EMPTY_WORDS = frozenset(
    "a an and are as at be by for from has have how i in is it its not of on or s that the this to was what when who"
    " why will with you your".split()
)
"""Words that tell titles from each other no more than signs do."""
ARTICLES = ("the", "a", "an")

_TOKEN = re.compile(r"[^\W_]+(?:['’][^\W_]+)*|&")
_DIGITS = {
    **{"ii": "2", "iii": "3", "iv": "4", "vi": "6", "vii": "7", "viii": "8", "ix": "9"},
    **{"two": "2", "three": "3", "four": "4", "five": "5", "six": "6", "seven": "7", "eight": "8", "nine": "9"},
    **{"ten": "10", "eleven": "11", "twelve": "12"},
}
_ABBREVIATED = frozenset("dr jr mr mrs ms no sr st vs vol".split())
_SUBTITLE = re.compile(r":\s|\s-\s|\s[–—]\s")
_EDITION = re.compile(
    r"[:\s-]*\b(?:the )?(?:(?:game of the year|goty|definitive|special|enhanced|complete|deluxe|gold|ultimate"
    r"|legendary|anniversary|collector'?s|director'?s) (?:edition|cut)|remastered|hd)$",
    re.IGNORECASE,
)
_HEADINGS = frozenset(
    "analysis breaking column editorial exclusive gallery interview live now opinion photos poll recap report review"
    " update video videos watch".split()
)
"""What stands before the colon of a headline: a kind of article, not its name."""
_REPR = re.compile(r"(?s)u?(['\"])(.+)\1")
"""A title in quotation marks, as programs print it."""
_OWNED = re.compile(r"(?!The |A |An )[A-Z]\w+ [A-Z]\w+(?:'s?|’s?) (.{5,})")
"""Whose it is, and what it is called without that: "Monty Python's Life of Brian"."""
_NUMBERING = frozenset("book chapter edition episode movie part season vol volume".split())
"""Words in subtitles that many titles have."""
_BEFORE, _BEHIND = 8, 6
"""Signs looked at around a word: quotation marks, brackets, the end of a sentence."""


@lru_cache(maxsize=1 << 17)
def _plain(word: str) -> str:
    small = word.casefold().replace("'", "").replace("’", "")
    if not small.isascii():
        small = unicodedata.normalize("NFKD", small).encode("ascii", "ignore").decode() or small
    return "and" if small == "&" else _DIGITS.get(small, small)


def words_of(text: str) -> Words:
    """The words of `text` as they compare: small letters, no accents, no signs, numbers as digits."""
    return tuple(_plain(word) for word in _TOKEN.findall(text))


def telling(words: Words) -> frozenset[str]:
    """Those that tell something."""
    return frozenset(words) - EMPTY_WORDS


def within(words: Words, text: Words) -> bool:
    """Whether `words`, one or more, stand in `text` one behind the other."""
    first, length = words[0], len(words)
    # Nearly always it is not there at all, which a tuple knows far sooner than a loop.
    return first in text and any(word == first and text[at : at + length] == words for at, word in enumerate(text))


@lru_cache(maxsize=1 << 17)
def shown_title(title: str) -> str:
    """A title as people say it, without its year and the marks with which programs print it."""
    return display_title(_REPR.sub(r"\2", title))[0]


@lru_cache(maxsize=1 << 17)
def title_key(title: str) -> Words:
    """What spellings of one title have in common."""
    return _without_article(words_of(shown_title(title)))


def _without_article(words: Words) -> Words:
    return words[1:] if len(words) > 1 and words[0] in ARTICLES else words


@lru_cache(maxsize=1 << 17)
def spellings(title: str) -> dict[Words, bool]:
    """The ways to spell a title, first articles left out, and whether each is all of it.

    What stands in brackets is another title, or an aside. Other ways leave out a subtitle or the edition, or are the
    subtitle alone: these words can belong to other titles too.
    """
    shown = shown_title(title)
    outside = re.sub(r"\s*\([^()]*\)", "", shown)
    whole = dict.fromkeys(_without_article(words_of(way)) for way in (title, shown, outside))
    ways = {words: True for words in whole if words}
    for aside in (outside, *re.split(r"\s*[()]\s*", shown)):
        way = display_title(aside)[0]
        for part in (way, *_parts(way)):
            words = _without_article(words_of(part))
            if telling(words):
                ways.setdefault(words, False)
    return ways


def _parts(title: str) -> Iterator[str]:
    """A title without its edition; its main part; its subtitle, where that can stand alone."""
    shorter = _EDITION.sub("", title)
    yield shorter
    main, *subtitles = _SUBTITLE.split(shorter)
    main = main.removesuffix(" or").removesuffix(",")
    if subtitles and len(main) >= 3 and main.casefold() not in _HEADINGS:
        yield main
    for subtitle in (" ".join(subtitles), *subtitles[-1:]):
        if _is_long(subtitle):
            yield subtitle
    if " " in main and "/" in main:
        yield main.split("/")[0]
    if owned := _OWNED.fullmatch(shorter):
        yield owned[1]


def _is_long(subtitle: str) -> bool:
    words = {word for word in telling(words_of(subtitle)) - _NUMBERING if not word.isdigit()}
    return len(words) >= 2 or any(len(word) >= 6 for word in words)


@lru_cache(maxsize=1 << 17)
def initials(title: str) -> str:
    """The first signs of a title's words, such as "gtav"; empty where it has fewer than three."""
    words = words_of(shown_title(title))
    return "".join(word if word.isdigit() else word[0] for word in words) if len(words) >= 3 else ""


class Reading:
    """A text as words: where each begins and ends (in `text`), and how it compares (see `words_of`)."""

    def __init__(self, text: str) -> None:
        self.text = text
        found = list(_TOKEN.finditer(text))
        self.starts = [match.start() for match in found]
        self.ends = [match.end() for match in found]
        self.words: Words = tuple(_plain(match[0]) for match in found)

    @cached_property
    def bare(self) -> Words:
        """`words` without the 's of owners."""
        return tuple(
            word[:-1] if len(word) > 1 and word[-1] == "s" and self.text[end - 2] in "'’" else word
            for word, end in zip(self.words, self.ends, strict=True)
        )

    @cached_property
    def places(self) -> dict[str, list[int]]:
        """Where each word stands, with its 's or without."""
        out: dict[str, list[int]] = {}
        for place, (word, bare) in enumerate(zip(self.words, self.bare, strict=True)):
            out.setdefault(word, []).append(place)
            if bare != word:
                out.setdefault(bare, []).append(place)
        return out

    @cached_property
    def sentence(self) -> list[int]:
        """The number of the sentence that each word is in."""
        numbers, number = [], 0
        for place in range(len(self.words)):
            number += place > 0 and self._ends_before(place)
            numbers.append(number)
        return numbers

    def _ends_before(self, place: int) -> bool:
        """Whether a sentence ends in the signs before a word."""
        end = self.ends[place - 1]
        between = self.text[end : self.starts[place]]
        if len(between) < 2 or not any(sign in between for sign in ".!?\n"):
            return False
        short = self.words[place - 1] in _ABBREVIATED or end - self.starts[place - 1] == 1
        return "\n" in between or not (self.is_small(place) or (short and between[0] == "."))

    def at(self, words: Words) -> list[int]:
        """Where `words`, one or more, stand one behind the other; the last may be an owner's."""
        length = len(words)
        if length == 1:
            return self.places.get(words[0], [])
        return [
            place
            for place in self.places.get(words[0], ())
            if self.words[place : place + length - 1] == words[:-1]
            and place + length <= len(self.words)
            and words[-1] in (self.words[place + length - 1], self.bare[place + length - 1])
        ]

    def is_small(self, place: int) -> bool:
        """Whether a word begins with a small letter."""
        return self.text[self.starts[place]].islower()

    def is_number(self, place: int) -> bool:
        """Whether a word is written in digits."""
        return self.text[self.starts[place] : self.ends[place]].isdigit()

    def has_capital(self, place: int) -> bool:
        """Whether there is a capital letter in a word."""
        word = self.text[self.starts[place] : self.ends[place]]
        return word != word.lower()

    def is_capital(self, place: int) -> bool:
        """Whether a word begins with a capital letter."""
        return self.text[self.starts[place]].isupper()

    def begins(self, place: int) -> bool:
        """Whether a capital here says nothing: a sentence, a quotation, or what a colon announces begins."""
        if place == 0 or self.sentence[place] != self.sentence[place - 1]:
            return True
        start = self.starts[place]
        return self.text[max(0, start - _BEFORE) : start].rstrip(" \"'“‘(*-[")[-1:] == ":"

    def adjoins(self, place: int) -> bool:
        """Whether nothing but a space parts a word from the one before."""
        return 0 < place < len(self.words) and self.text[self.ends[place - 1] : self.starts[place]] == " "

    def is_quoted(self, place: int, length: int) -> bool:
        """Whether so many words fill a pair of quotation marks."""
        start, end = self.starts[place], self.ends[place + length - 1]
        before = self.text[max(0, start - _BEFORE) : start].rstrip(" (")[-1:]
        behind = self.text[end : end + _BEHIND].lstrip(" .,;:!?)®™")[:1]
        return bool(before and behind) and before in "\"“«'‘*" and behind in "\"”“»'’*"

    def is_name(self, place: int, length: int) -> bool:
        """Whether two of so many words or more tell something, and none of these is in small letters."""
        some = [at for at in range(place, place + length) if self.words[at] not in EMPTY_WORDS]
        return len(some) >= 2 and not any(self.text[self.starts[at] : self.ends[at]].islower() for at in some)
