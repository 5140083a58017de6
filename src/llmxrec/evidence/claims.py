"""What a text asserts, read without a language model, and whom it is true of."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from llmxrec.evidence.capitals import BEGINNING, ORDINARY, Name, has_article, joined, names_in, parts, unsupported
from llmxrec.evidence.mentions import closest, is_series, is_subject
from llmxrec.evidence.naming import Catalogue, retold
from llmxrec.evidence.nouns import nouns
from llmxrec.evidence.profile import facts_told
from llmxrec.evidence.spelling import Reading, title_key, words_of
from llmxrec.evidence.values import Told, Values
from llmxrec.records import Domain, Instruction, Item, User

About = Literal["candidate", "history", "user"]
Having = Mapping[tuple[str, str], Mapping[str, None]]
"""A column and a value of it -> ids of the items that have it."""

_LONG = 7
"""Letters of a single word that is taken for a title with some amiss."""


@dataclass(frozen=True, slots=True)
class Claim:
    """Something that a text asserts, from `start` to `end` of it.

    `column` is that of the attribute, or of what is known of the person; empty for a title. `value` is spelled as the
    catalogue or the table of users spells it, a title that is in neither as the text does. `about` tells whom it is
    true of; None where nothing that was shown supports it. `items` are the ids of the items shown that are called so,
    or that have the value: of the candidate if it is one of them, else of the history.
    """

    kind: Literal["title", "attribute", "profile"]
    column: str
    value: str
    start: int
    end: int
    about: About | None
    items: tuple[str, ...] = ()


class ClaimReader:
    """Reads what texts about the items of one catalogue assert."""

    def __init__(
        self, items: Sequence[Item], domain: Domain, people: Mapping[str, Collection[str]] | None = None
    ) -> None:
        """`items` are all of the catalogue; `people` has the values that occur of each attribute of users."""
        self._catalogue = Catalogue(items)
        self._values = Values(items, domain)
        self._people = {column: frozenset(values) for column, values in (people or {}).items()}
        self._domain = domain
        self._labels = nouns(domain) | self._values.labels
        self._words = BEGINNING | ORDINARY | self._labels | self._values.words

    def read(self, text: str, instruction: Instruction, about: User | None = None) -> tuple[Claim, ...]:
        """The claims of `text`, which answers `instruction`, in its order; a claim made twice is there twice.

        `about` is the person with all that is known of them, where that is more than the instruction shows.
        """
        reading = Reading(text)
        titles, taken = self._titles(reading, instruction)
        claims = [*titles, *self._attributes(reading, instruction, taken)]
        known = {**instruction.user.attributes, **(about.attributes if about else {})}
        claims += self._profile(reading, known, _places(reading, ((one.start, one.end) for one in titles)))
        return tuple(sorted(claims, key=lambda claim: (claim.start, claim.end)))

    def suspects(self, text: str, instruction: Instruction, ordinary: Collection[str] | None = None) -> tuple[str, ...]:
        """Names in `text` that nothing shown supports, each once: what may be a title that nobody has shown.

        A name is a word with a capital within a sentence, or several in a row anywhere. Those are supported that are a
        part of a title shown (and no other title of the catalogue), an attribute, what is known of the person, or
        ordinary. At the beginning of a sentence a single word counts where it is a title of the catalogue, or is none
        of the words that are `ordinary` there (None: any may be).
        """
        reading = Reading(text)
        shown = (instruction.candidate, *instruction.history)
        titles, _ = self._titles(reading, instruction)
        taken = _places(reading, ((one.start, one.end) for one in titles if one.about))
        told = [value for item in shown for values in item.attributes.values() for value in values]
        words = {word for value in (*told, *instruction.user.attributes.values()) for word in words_of(value)}
        known = _places(reading, ((one.start, one.end) for one in self._values.find(reading, taken)))
        known.update(place for place, word in enumerate(reading.bare) if word in self._labels or word in words)
        supporting = joined(item.title for item in shown)
        usual = ordinary or ()
        found: dict[str, None] = {}
        for name in names_in(reading, taken):
            # "Heat and Fargo" are two names, "Sense and Sensibility" is one.
            several = any(self._other(reading, part, shown, usual) for part in parts(reading, name))
            whole = self._catalogue.other_title(_said(reading, name), shown)
            for part in parts(reading, name) if several and not whole else (name,):
                other = self._other(reading, part, shown, usual)
                left = other or unsupported(reading, part, supporting, known, usual)
                if left is None and ordinary is not None:
                    left = _strange(reading, part, supporting, known, ordinary)
                if left is not None:
                    found[_said(reading, left)] = None
        return tuple(found)

    def _other(self, reading: Reading, name: Name, shown: Sequence[Item], ordinary: Collection[str]) -> Name | None:
        """The part of a name that spells a title of the catalogue that was not shown: all of it, or all but words that
        stand before it."""
        later = [Name(place, name.last, False) for place in range(name.first + 1, min(name.first + 3, name.last))]
        for part in (name, *later):
            if self._catalogue.other_title(_said(reading, part), shown) and self._may_name(reading, part, ordinary):
                return part
        return None

    def _may_name(self, reading: Reading, name: Name, ordinary: Collection[str]) -> bool:
        """Whether a name that a title has may stand for it: no number, and where a sentence begins, no "It" and no
        "Keen" but one that the sentence is about."""
        word = reading.words[name.first]
        if name.last - name.first > 1:
            return True
        if word.isdigit() or not name.begins:
            return not word.isdigit()
        usual = word in ordinary and not is_subject(reading, name.first)
        return not (usual or word in BEGINNING or word in self._labels)

    def _titles(self, reading: Reading, instruction: Instruction) -> tuple[list[Claim], set[int]]:
        """Titles that are named, and the places of the words that name them."""
        found = self._catalogue.find(reading, instruction)
        claims = [_named(one.item, one.start, one.end, instruction) for one in found.shown if one.item is not None]
        claims += [Claim("title", "", value, start, end, None) for start, end, value in (*found.others, *found.unknown)]
        taken = _places(reading, ((claim.start, claim.end) for claim in claims))
        shown = (instruction.candidate, *instruction.history)
        for name in names_in(reading, taken):
            claim = self._meant(reading, name, instruction)
            if claim is not None:
                claims.append(claim)
                taken.update(range(name.first, name.last))
        named = {title_key(claim.value) for claim in claims}
        for places, item in retold(reading, shown):
            if title_key(item.title) not in named:
                named.add(title_key(item.title))
                claims.append(_named(item, reading.starts[places[0]], reading.ends[places[-1]], instruction))
                taken.update(places)
        return claims, taken

    def _meant(self, reading: Reading, name: Name, instruction: Instruction) -> Claim | None:
        """What a name without quotation marks claims that spells no title: one with signs amiss, or one not shown."""
        shown = (instruction.candidate, *instruction.history)
        start, end = reading.starts[name.first], reading.ends[name.last - 1]
        said = _said(reading, name)
        long = name.last - name.first > 1 or end - start >= _LONG
        other = self._catalogue.other_title(said, shown)
        if other is not None and self._is_name(reading, name):
            return Claim("title", "", other, start, end, None)
        if long and not name.begins and (item := closest(said, shown, whole=True)) is not None:
            return _named(item, start, end, instruction)
        if has_article(reading, name) and not any(_begins(item.title, said) for item in shown):
            return Claim("title", "", said, start, end, None)
        return None

    def _is_name(self, reading: Reading, name: Name) -> bool:
        """Whether a single word stands for a title that it spells, as far as can be told without quotation marks."""
        word = reading.words[name.first]
        if name.last - name.first > 1 or len(word) < 3 or word in self._words:
            return False
        return (not name.begins or is_subject(reading, name.first)) and not is_series(reading, name.last)

    def _attributes(self, reading: Reading, instruction: Instruction, taken: Collection[int]) -> Iterator[Claim]:
        candidate = instruction.candidate
        its, before = _having((candidate,), self._domain), _having(instruction.history, self._domain)
        for told in self._values.find(reading, taken):
            claim = _linked(told, its, "candidate") or _linked(told, before, "history")
            if claim is None:
                sure = next((form for form in told.forms if form.sure), None)
                if sure is not None:
                    yield Claim("attribute", sure.column, sure.value, told.start, told.end, None)
            else:
                yield claim

    def _profile(self, reading: Reading, known: Mapping[str, str], taken: Collection[int]) -> Iterator[Claim]:
        """What the text says of the person, whose attributes are `known`, outside of titles."""
        for fact in facts_told(reading.text, known, self._people):
            if _places(reading, [(fact.start, fact.end)]).isdisjoint(taken):
                true = known.get(fact.column, "").strip().casefold() == fact.value.strip().casefold()
                yield Claim("profile", fact.column, fact.value, fact.start, fact.end, "user" if true else None)


def _strange(
    reading: Reading, name: Name, titles: str, known: Collection[int], ordinary: Collection[str]
) -> Name | None:
    """A single word at the beginning of a sentence that nothing shown has, and that is not `ordinary` either."""
    place = name.first
    words = {reading.words[place], reading.bare[place]}
    if not name.begins or name.last - place > 1 or place in known or reading.words[place].isdigit():
        return None
    fine = words & BEGINNING or any(word in ordinary or f" {word} " in titles for word in words)
    return None if fine else name


def _places(reading: Reading, spans: Iterable[tuple[int, int]]) -> set[int]:
    """The words of which `spans` of the text have a part."""
    out = set[int]()
    for start, end in spans:
        out.update(range(bisect_right(reading.ends, start), bisect_left(reading.starts, end)))
    return out


def _said(reading: Reading, name: Name) -> str:
    return reading.text[reading.starts[name.first] : reading.ends[name.last - 1]]


def _begins(title: str, said: str) -> bool:
    """Whether a title begins with what is said: a series is called so."""
    words = title_key(said)
    return title_key(title)[: len(words)] == words


def _named(item: Item, start: int, end: int, instruction: Instruction) -> Claim:
    key = title_key(item.title)
    if title_key(instruction.candidate.title) == key:
        return Claim("title", "", item.title, start, end, "candidate", (instruction.candidate.item_id,))
    ids = (one.item_id for one in instruction.history if title_key(one.title) == key)
    return Claim("title", "", item.title, start, end, "history", tuple(dict.fromkeys(ids)))


def _having(items: Sequence[Item], domain: Domain) -> Having:
    out: dict[tuple[str, str], dict[str, None]] = defaultdict(dict)
    for item in items:
        for column in domain.item_attributes:
            for value in item.attributes.get(column, ()):
                out[column, value][item.item_id] = None
    return out


def _linked(told: Told, having: Having, about: About) -> Claim | None:
    """The value told that some of these items have; a sure one first."""
    for form in sorted(told.forms, key=lambda form: not form.sure):
        ids = having.get((form.column, form.value))
        if ids is not None:
            return Claim("attribute", form.column, form.value, told.start, told.end, about, tuple(ids))
    return None
