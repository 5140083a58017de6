"""What a text names: its candidate, titles that were shown, titles that were not."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from math import log

from llmxrec.evidence.mentions import Covered, Mention, titles_in
from llmxrec.evidence.spelling import ARTICLES, Reading, Words, spellings, telling, title_key, within, words_of
from llmxrec.records import Instruction, Item

_OF_SERIES = frozenset(
    "collection film films franchise franchises games installment instalment legacy movies saga sequel series trilogy"
    " universe".split()
)
_WORD = re.compile(r"\W{0,2}(\w{1,20})")
_SUMMED_UP = 4
"""Words that tell something, in a title that is told in other words: headlines are, names of films are not."""
_FEW = 3
"""Words of a title, of which one or two alone are no sign that it is meant."""
_RETOLD_FROM = 6
"""Such words, in a title that is told in the words of one sentence."""
_RETOLD = 0.55
"""Of such a title's words, the part that the sentence has. Where labelled by hand, what is called retold has .6 and
more, anything else .5 and less."""
_PARAPHRASED = 0.6
"""Of the weight of a long title's words, the part with which a text says the same."""


@dataclass(frozen=True, slots=True)
class Naming:
    """What one text names. `candidate`: in whatever spelling, or, for a long title, most of its words.

    `history` are titles shown before. `others` are titles of the catalogue that were not shown; `unknown` are
    quotations that look like titles and are none. `masked` is the text with every title as one sign.
    """

    candidate: bool
    history: tuple[str, ...]
    others: tuple[str, ...]
    unknown: tuple[str, ...]
    masked: str


@dataclass(frozen=True, slots=True)
class Found:
    """The same by place: items that were shown, then titles of the catalogue and quotations that were not."""

    shown: tuple[Mention, ...]
    others: tuple[tuple[int, int, str], ...]
    unknown: tuple[tuple[int, int, str], ...]


class Catalogue:
    """The titles of a dataset, to find in a text those that its prompt did not show."""

    def __init__(self, items: Sequence[Item]) -> None:
        self._titles: dict[Words, str] = {}
        self._lengths: dict[str, set[int]] = defaultdict(set)
        values = {value for item in items for values in item.attributes.values() for value in values}
        self._values = {words_of(value) for value in values}
        self._value_words = {word for words in self._values for word in words}
        parts: dict[Words, list[str]] = defaultdict(list)
        for title in {item.title: None for item in items}:
            for words, whole in spellings(title).items():
                if whole:
                    self._titles.setdefault(words, title)
                    self._lengths[words[0]].add(len(words))
                elif len(words) > 1:
                    parts[words].append(title)
        for words, having in parts.items():
            # What several titles begin with is a series.
            if len(having) == 1:
                self._titles.setdefault(words, having[0])
                self._lengths[words[0]].add(len(words))

    def read(self, text: str, instruction: Instruction) -> Naming:
        """What `text` names, which answers `instruction`."""
        reading = Reading(text)
        found = self.find(reading, instruction)
        candidate = instruction.candidate.title
        named = dict.fromkeys(mention.item.title for mention in found.shown if mention.item is not None)
        spans = [(mention.start, mention.end) for mention in found.shown]
        return Naming(
            candidate=title_key(candidate) in {title_key(title) for title in named} or says(reading.words, candidate),
            history=tuple(title for title in named if title_key(title) != title_key(candidate)),
            others=tuple(dict.fromkeys(title for _, _, title in found.others)),
            unknown=tuple(quoted for _, _, quoted in found.unknown),
            masked=_masked(text, [*spans, *((start, end) for start, end, _ in found.others)]),
        )

    def find(self, reading: Reading, instruction: Instruction) -> Found:
        """What a text names that answers `instruction`, and where."""
        shown = (instruction.candidate, *instruction.history)
        mentions = titles_in(reading, shown)
        taken = {title_key(item.title) for item in shown}
        others = [
            (start, end, title)
            for start, end, title in self._titles_in(reading)
            if title_key(title) not in taken and not _begins_any(title_key(title), taken)
        ]
        named = tuple(
            one
            for one in mentions
            if one.item is not None
            and self.other_title(reading.text[one.start : one.end], (one.item,)) is None
            and not _is_inside(one, others)
        )
        covered = Covered(reading.text)
        for one in named:
            covered.take(one.start, one.end)
        others = [(start, end, title) for start, end, title in others if covered.take(start, end)]
        unknown = []
        for one in mentions:
            quoted = reading.text[one.start + 1 : one.end - 1].strip(" ,.;:!?")
            behind = _WORD.match(reading.text, one.end)
            if one.item is not None or covered.has(one.start, one.end) or (behind and behind[1] in _OF_SERIES):
                continue
            title = self.other_title(quoted, shown)
            if title is not None and not _begins_any(title_key(title), taken):
                others.append((one.start, one.end, title))
            elif title is None and self._is_no_title_shown(quoted, taken):
                unknown.append((one.start, one.end, quoted))
        return Found(named, tuple(sorted(others)), tuple(unknown))

    def other_title(self, said: str, shown: Iterable[Item | None]) -> str | None:
        """The title of the catalogue that `said` spells in full, if it is no way to spell one of `shown`."""
        key = title_key(said)
        title = self._titles.get(key)
        if (
            title is None
            or key in self._values
            or any(item is not None and key in spellings(item.title) for item in shown)
        ):
            return None
        return title

    def _titles_in(self, reading: Reading) -> Iterator[tuple[int, int, str]]:
        """Titles of the catalogue in the text: quoted as a whole, or of several words and spelled with capitals."""
        place, words = 0, reading.words
        while place < len(words):
            for length in sorted(self._lengths.get(words[place], ()), reverse=True):
                title = self._titles.get(words[place : place + length])
                if title is None or place + length > len(words) or title_key(title) in self._values:
                    continue
                first = place - 1 if reading.adjoins(place) and words[place - 1] in ARTICLES else place
                behind = place + length
                quoted = (length > 1 or not reading.is_small(place)) and any(
                    reading.is_quoted(at, behind - at) for at in (first, place)
                )
                is_series = not _OF_SERIES.isdisjoint(words[behind : behind + (1 if quoted else 2)])
                if (quoted or reading.is_name(place, length)) and not is_series:
                    start = reading.starts[place if reading.is_small(first) else first]
                    yield start, reading.ends[behind - 1], title
                    place = behind - 1
                    break
            place += 1

    def _is_no_title_shown(self, quoted: str, taken: Iterable[Words]) -> bool:
        """Whether a quotation may pretend to be a title: in capitals; no value, nor a franchise or part of what was
        shown."""
        says_something = telling(words_of(quoted))
        if not _is_in_capitals(quoted):
            return False
        if says_something <= self._value_words:
            return False
        # A sequel has another number; a headline can be quoted without its own.
        numbers = {word for word in says_something if word.isdigit() and len(says_something) < _RETOLD_FROM}
        return not any(
            numbers.issubset(title)
            and len(says_something.intersection(title))
            >= _PARAPHRASED * min(len(says_something), max(_FEW, len(set(title))))
            for title in taken
        )


def says(text: Words, title: str) -> bool:
    """Whether a text, as words, says `title`: in some spelling, or most words of a long one in any order."""
    if any(within(words, text) for words in spellings(title) if telling(words)):
        return True
    words = telling(title_key(title))
    return len(words) >= _SUMMED_UP and len(words.intersection(text)) >= _PARAPHRASED * len(words)


def retold(reading: Reading, items: Iterable[Item]) -> Iterator[tuple[list[int], Item]]:
    """Items whose long titles a sentence tells in much the same words, with the places of these words."""
    said = {_stem(word) for word in reading.bare}
    for item in items:
        stems = _stems(item.title)
        if len(stems) < _RETOLD_FROM or len(stems & said) < _RETOLD * len(stems):
            continue
        by_sentence: dict[int, dict[str, int]] = defaultdict(dict)
        for place, word in enumerate(reading.bare):
            if _stem(word) in stems:
                by_sentence[reading.sentence[place]].setdefault(_stem(word), place)
        most = max(by_sentence.values(), key=len)
        if len(most) >= _RETOLD * len(stems):
            yield sorted(most.values()), item


def _stem(word: str) -> str:
    return word[:5]


@lru_cache(maxsize=1 << 17)
def _stems(title: str) -> frozenset[str]:
    return frozenset(_stem(word) for word in telling(Reading(title).bare))


class Candidates:
    """Candidates of other prompts, by their words: what is a text about that never says its own?"""

    def __init__(self, titles: Iterable[str]) -> None:
        self._by_key = {title_key(title): title for title in titles}
        self._holding: dict[str, list[Words]] = defaultdict(list)
        self._telling = {key: telling(key) for key in self._by_key}
        found = Counter(word for words in self._telling.values() for word in words)
        self._weight = {word: log(1 + len(self._telling) / count) for word, count in found.items()}
        for key, words in self._telling.items():
            for word in words:
                self._holding[word].append(key)

    def closest(self, text: str, but: Iterable[str] = ()) -> str | None:
        """The candidate that `text` is about, if it is plainly about one; none of `but`."""
        shown = {title_key(title) for title in but}
        reading = Reading(text)
        covered: dict[Words, float] = defaultdict(float)
        for word in set(reading.words):
            for key in self._holding.get(word, ()):
                covered[key] += self._weight[word]
        best, most = None, 0.0
        for key, weight in covered.items():
            whole = sum(self._weight[word] for word in self._telling[key])
            if weight >= 0.999 * whole and _is_named(reading, key):
                part = 1.0
            elif len(self._telling[key]) >= _SUMMED_UP and weight >= _PARAPHRASED * whole:
                part = weight / whole
            else:
                continue
            if part * weight > most and not _begins_any(key, shown):
                best, most = self._by_key[key], part * weight
        return best


def _is_named(reading: Reading, key: Words) -> bool:
    """Whether a title stands in the text as a name: with capitals, or in quotation marks."""
    return any(
        reading.is_quoted(place, len(key))
        or reading.is_name(place, len(key))
        or (len(key) == 1 and reading.is_capital(place) and not reading.begins(place))
        for place in reading.at(key)
    )


def _is_inside(mention: Mention, titles: Sequence[tuple[int, int, str]]) -> bool:
    """Whether a mention is a part of one of these titles, which follow each other in the text."""
    place = bisect_right(titles, mention.start, key=lambda title: title[0]) - 1
    if place < 0:
        return False
    start, end, _ = titles[place]
    return mention.end <= end and mention.end - mention.start < end - start


def _begins_any(words: Words, titles: Iterable[Words]) -> bool:
    """Whether a title begins with `words`: so a series is called, and what had a sequel."""
    return any(title[: len(words)] == words for title in titles)


def _is_in_capitals(quoted: str) -> bool:
    """Whether all telling words have one: what people say in a film has not."""
    reading = Reading(quoted)
    return not any(reading.is_small(place) for place, word in enumerate(reading.words) if telling((word,)))


def _masked(text: str, spans: Iterable[tuple[int, int]]) -> str:
    out, at = [], 0
    for start, end in sorted(spans):
        if start >= at:
            out += [text[at:start], " □ "]
        at = max(at, end)
    return "".join([*out, text[at:]])
