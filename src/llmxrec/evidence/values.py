"""How prose tells the values of a catalogue: "romantic" is Romance, "NFL football" is football_nfl."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from html import unescape

from llmxrec.evidence.nouns import nouns
from llmxrec.evidence.numbers import Numbers, are_numbers
from llmxrec.evidence.spelling import EMPTY_WORDS, Reading, words_of
from llmxrec.records import Domain, Item

_FORMS = {
    "adventure": "adventurous",
    "animation": "animated",
    "drama": "dramatic",
    "education": "educational",
    "fantasy": "fantastical",
    "filmnoir": "noir neonoir",
    "freetoplay": "playforfree playitforfree f2p",
    "massivelymultiplayer": "mmo mmos mmorpg mmorpgs",
    "music": "musical",
    "politics": "political",
    "romance": "romantic romcom",
    "royals": "royal royalty",
    "rpg": "roleplaying",
    "science": "scientific",
    "sciencefiction": "scifi",
    "scifi": "sciencefiction",
    "simulation": "simulator simulators sim sims",
    "sports": "sport sporting",
    "technology": "tech",
    "tv": "television",
    "world": "global international",
}
"""A value, its words joined, -> how else prose tells it; plurals and endings such as -ic need no entry."""
_BROAD = frozenset(
    "all best career family global home international life market more new opinion other others science shop"
    " stories tech tips top trends us video videos world".split()
)
"""Words that say so much else that, as a part of a value, they tell it only beside a word for a kind of item."""
_KINDS = frozenset("affairs content coverage events related stories story topic topics".split())
_LABELS = frozenset("categories category class classes genre genres section sections subcategory tag tags".split())
"""Words for columns, beside what a domain calls them."""
_LONGEST = 6
"""Words in a row that can tell a value."""
_HEAD = 4
"""Signs of a word that are looked at before it is joined with the next."""
_UNCOUNTED = frozenset("action casual crime horror music news sports war".split())
"""Values whose plural says something else."""
_WORKS = "classic|comed|drama|element|epic|film|game|genre|movie|romance|setting|stor|tag|theme|thriller"
_OTHERWISE: dict[str, list[tuple[str, str]]] = {
    "action": [(r"\b(?:tak(?:e|es|en|ing)|took|legal|into|military|call to|course of|plan of)\s\Z", "")],
    "casual": [("", r"\s(?:conversations?|wear|clothes)\b")],
    "crime": [(r"\b(?:an?|the|his|her|their|commits?|committed|solv(?:e|es|ing)(?: the| a)?)\s\Z", r"(?!\s\w)")],
    "education": [(r"\b(?:his|her|their|your)\s\Z", "")],
    "musical": [("", r"\s(?:scores?|talents?|careers?|artists?|tastes?)\b")],
    "racing": [(r"\b(?:hearts?|pulse|adrenaline)\s\Z", ""), ("", r"\s(?:hearts?|pulse|against)\b")],
    "strategy": [("", r"\s(?:to|for)\b")],
    "war": [(r"\b(?:cold|civil|world|the|a|gulf|vietnam|tug of)\s\Z", rf"(?!\s(?:{_WORKS}))")],
    "western": [("", r"\s(?:culture|world|countr|civili|societ|europe|medicine|media|audience|allies|powers)")],
}
"""Words -> what stands before them and what behind where they have another sense."""
_SENSES = {
    word: [(re.compile(before, re.IGNORECASE), re.compile(behind, re.IGNORECASE)) for before, behind in ways]
    for word, ways in _OTHERWISE.items()
}
_NOTHING: tuple[Form, ...] = ()
_WINDOW = 24
"""Signs before a word in which another sense is looked for."""
_JOINTS = frozenset((" ", "-", "_", "/", "–", "‑"))
"""What may stand between the words of one value."""


@dataclass(frozen=True, slots=True)
class Form:
    """A value of `column` that some words can tell. `sure`: wherever they stand, else only of what has it.

    `joined`: only without a space between the words.
    """

    column: str
    value: str
    sure: bool = True
    joined: bool = False


@dataclass(frozen=True, slots=True)
class Told:
    """From `start` to `end`, a text tells one of the values in `forms`."""

    start: int
    end: int
    forms: tuple[Form, ...]


class Values:
    """The values of a catalogue's columns that a domain shows, to find where texts tell them.

    `labels` are words for columns, `words` those of which values are made.
    """

    def __init__(self, items: Sequence[Item], domain: Domain) -> None:
        values: dict[str, dict[str, None]] = {column: {} for column in domain.item_attributes}
        for item in items:
            for column, found in values.items():
                found.update(dict.fromkeys(item.attributes.get(column, ())))
        self._numbers = Numbers({c: tuple(v) for c, v in values.items() if are_numbers(v)}, domain)
        words = {column: tuple(found) for column, found in values.items() if not are_numbers(found)}
        self._nouns = nouns(domain)
        self.labels = {word for pair in domain.item_attributes.items() for name in pair for word in words_of(name)}
        self.labels |= _LABELS
        self._marks = _KINDS | self.labels | self._nouns
        known: dict[str, set[str]] = defaultdict(set)
        for column, occurring in words.items():
            for value in occurring:
                known[_joined(value)].add(column)
        self._forms: dict[str, list[Form]] = defaultdict(list)
        for column, occurring in words.items():
            for value in occurring:
                self._add(column, value, known)
        self._heads = {key[:size] for key in self._forms for size in range(1, _HEAD + 1)}
        self.words = frozenset(word for found in words.values() for value in found for word in words_of(value))
        self._fillers = EMPTY_WORDS | self.words | self.labels | self._nouns

    def _add(self, column: str, value: str, known: Mapping[str, set[str]]) -> None:
        """Take in the ways to tell a value; `known` has the columns in which each occurs."""
        whole = _joined(value)
        if not whole or len(value.split()) > _LONGEST:
            return
        rest = _rest(whole, known) if _is_code(value) else ""
        self._put(Form(column, value, joined=bool(rest)), whole)
        way = rest if known.get(rest, {column}) == {column} and rest not in self._nouns else ""
        if not rest:
            way = whole
            self._put(Form(column, value), *_endings(way), *_FORMS.get(way, "").split())
        self._put(Form(column, value, sure=False), way, *_endings(way), *_singular(way, value))
        self._put(Form(column, value, sure=False), *_FORMS.get(way, "").split())
        parts = re.split("[_-]", value) if _is_code(value) and not rest else []
        if len(parts) == 2:
            self._put(Form(column, value), _joined("".join(reversed(parts))))
            alone = [
                part for part in map(_joined, parts) if not (part in known or part in self._nouns or part in _BROAD)
            ]
            self._put(Form(column, value, sure="_" in value), *alone)

    def _put(self, form: Form, *ways: str) -> None:
        for way in ways:
            if len(way) > 1 and way not in EMPTY_WORDS:
                forms = self._forms[way]
                if not any((form.column, form.value) == (one.column, one.value) for one in forms):
                    forms.append(form)

    def find(self, reading: Reading, taken: Collection[int]) -> Iterator[Told]:
        """Where a text tells values, outside of the words that are `taken`, by their places."""
        place, behind = 0, -1
        while place < len(reading.words):
            length, forms = 1, _NOTHING
            if reading.words[place][:_HEAD] in self._heads:
                length, forms = self._told(reading, place, taken, behind)
            if forms:
                yield Told(reading.starts[place], reading.ends[place + length - 1], forms)
                behind = place + length
            place += length
        for column, value, start, end in self._numbers.find(reading, taken):
            yield Told(start, end, (Form(column, value),))

    def _told(self, reading: Reading, place: int, taken: Collection[int], behind: int) -> tuple[int, tuple[Form, ...]]:
        """How many words from `place` on tell values, the most, and which; none tell any where there are no forms."""
        best = 1, _NOTHING
        said = ""
        for at in range(place, min(place + _LONGEST, len(reading.words))):
            if at in taken or (at > place and reading.text[reading.ends[at - 1] : reading.starts[at]] not in _JOINTS):
                break
            for way in {said + reading.words[at], said + reading.bare[at]}:
                if way in self._forms:
                    forms = self._meant(reading, place, at - place + 1, way, taken, behind)
                    best = (at - place + 1, forms) if forms else best
            said += reading.words[at]
            if said[:_HEAD] not in self._heads:
                break
        return best

    def _meant(
        self, reading: Reading, place: int, length: int, way: str, taken: Collection[int], behind: int
    ) -> tuple[Form, ...]:
        """The values that so many words tell here."""
        start, end = reading.starts[place], reading.ends[place + length - 1]
        said = reading.text[start:end]
        marked = reading.words[place + length] in self._marks if reading.adjoins(place + length) else said[-1] == "-"
        marked |= reading.text[end : end + 8].casefold() == "-related"
        if (
            (way in self._nouns and not self._is_value(reading, place, length, behind))
            or (way in _BROAD and not (marked and (len(said) > 2 or said.isupper())))
            or _has_other_sense(reading.text, way, start, end)
            or self._is_in_name(reading, place, length, taken)
        ):
            return ()
        sure = marked or (len(said) >= 3 and said.isupper())
        return tuple(
            replace(form, sure=True) if sure and not form.sure else form
            for form in self._forms[way]
            if not (form.joined and " " in said)
        )

    def _is_value(self, reading: Reading, place: int, length: int, behind: int) -> bool:
        """Whether a word for items is told as one of their values: "the category of news", "sports and news"."""
        words, after = reading.words, place + length
        before = words[max(0, place - 2) : place]
        if reading.adjoins(after) and words[after] in self.labels:
            return True
        if before[-1:] == ("of",) and before[0] in self.labels:
            return True
        ends = after == len(words) or not reading.adjoins(after) or words[after] in ("and", "or")
        listed = behind == place - 1 and before[-1] in ("and", "or")
        if behind == place and place:
            listed = "," in reading.text[reading.ends[place - 1] : reading.starts[place]]
        return ends and (listed or (before[-1:] == ("in",) and before[0].startswith("interest")))

    def _is_in_name(self, reading: Reading, place: int, length: int, taken: Collection[int]) -> bool:
        """Whether words with capitals are a part of a longer name: World War, Sports Illustrated."""
        if not reading.is_capital(place) or reading.begins(place):
            return False

        def is_name(at: int) -> bool:
            words = reading.words[at], reading.bare[at]
            return at not in taken and reading.is_capital(at) and self._fillers.isdisjoint(words)

        before, after = place - 1, place + length
        return (reading.adjoins(place) and not reading.begins(before) and is_name(before)) or (
            reading.adjoins(after) and is_name(after)
        )


def _has_other_sense(text: str, way: str, start: int, end: int) -> bool:
    before = text[max(0, start - _WINDOW) : start] if way in _SENSES else ""
    return any(left.search(before) and right.match(text, end) for left, right in _SENSES.get(way, ()))


def _joined(value: str) -> str:
    return "".join(words_of(unescape(value)))


def _is_code(value: str) -> bool:
    """Whether a value is written for machines: newspolitics, football_nfl."""
    return value.islower() and " " not in value


def _rest(whole: str, known: Collection[str]) -> str:
    """What a value says beyond the value that it begins with; empty where it begins with none."""
    for size in range(len(whole) - 2, 1, -1):
        if whole[:size] in known or f"{whole[:size]}s" in known:
            return whole[size:]
    return ""


def _endings(word: str) -> Iterator[str]:
    """The plural, and adjectives in -ic."""
    if word in _UNCOUNTED:
        return
    if word.endswith("y") and word[-2:-1] not in "aeiou":
        yield f"{word[:-1]}ies"
        if len(word) > 5:
            yield from (f"{word[:-1]}ic", f"{word[:-1]}ical")
    else:
        yield f"{word}es" if word.endswith(("s", "x", "z", "ch", "sh")) else f"{word}s"


def _singular(word: str, value: str) -> Iterator[str]:
    """One of what a value calls by its plural; not who has something, as in "Children's"."""
    if len(word) > 4 and word.endswith("s") and not word.endswith(("ss", "us", "is")) and "'" not in value:
        yield word[:-1]
        if word.endswith("ies"):
            yield f"{word[:-3]}y"
