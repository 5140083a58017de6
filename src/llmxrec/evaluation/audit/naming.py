"""What a text names: its candidate, titles that were shown, titles that were not."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from math import log

from llmxrec.datasets.titles import display_title
from llmxrec.evidence.mentions import find_titles, variants
from llmxrec.records import Instruction, Item

Words = tuple[str, ...]

_TOKEN = re.compile(r"[^\W_]+(?:['’][^\W_]+)*")
_QUOTED = re.compile(r"[\"“”«]([^\"“”«»]{1,150})[\"“”»]|(?<!\w)['‘]([^\"\n]{2,150}?)['’](?!\w)")
_EMPTY_WORDS = frozenset(
    "a an and are as at be by for from has have how i in is it its not of on or s that the this to was what when who"
    " why will with you your".split()
)
_OF_SERIES = frozenset(
    "collection film films franchise franchises games installment instalment legacy movies saga sequel series trilogy"
    " universe".split()
)
_SUMMED_UP = 4
"""Words that tell something, in a title that is told in other words: headlines are, names of films are not."""
_PARAPHRASED = 0.6
"""Of the weight of a long title's words, the part with which a text says the same."""


def words_of(text: str) -> Words:
    """The words of `text` as they compare: small letters, no accents, no signs."""
    return tuple(_plain(match[0]) for match in _TOKEN.finditer(text))


@lru_cache(maxsize=1 << 16)
def title_key(title: str) -> Words:
    """What spellings of one title have in common."""
    words = words_of(display_title(title)[0])
    return words[1:] if len(words) > 1 and words[0] in ("the", "a", "an") else words


@lru_cache(maxsize=1 << 16)
def _ways(title: str) -> tuple[tuple[str, ...], frozenset[str]]:
    """How a title may be spelled, and the words that tell it from others."""
    ways = tuple(variants(title)) or (title,)
    words = {word for way in ways for word in words_of(way)}
    return ways, frozenset(words - _EMPTY_WORDS) or frozenset(words)


@lru_cache(maxsize=1 << 16)
def _sequences(title: str) -> tuple[Words, ...]:
    return tuple({words for way in _ways(title)[0] if (words := words_of(way)) and any(map(_tells, words))})


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


class Catalogue:
    """The titles of a dataset, to find in a text those that its prompt did not show."""

    def __init__(self, items: Sequence[Item]) -> None:
        self._titles: dict[Words, str] = {}
        self._lengths: dict[str, set[int]] = defaultdict(set)
        values = {value for item in items for values in item.attributes.values() for value in values}
        self._values = {words_of(value) for value in values}
        self._value_words = {word for words in self._values for word in words}
        for item in items:
            shown = display_title(item.title)[0]
            for way in (item.title, shown, re.sub(r"\s*\([^()]*\)", "", shown)):
                words = words_of(way)
                if words:
                    self._titles.setdefault(words, item.title)
                    self._lengths[words[0]].add(len(words))

    def read(self, text: str, instruction: Instruction) -> Naming:
        """What `text` names, which answers `instruction`."""
        shown = (instruction.candidate, *instruction.history)
        tokens = [(match.start(), match.end(), _plain(match[0])) for match in _TOKEN.finditer(text)]
        plain = tuple(token for _, _, token in tokens)
        spans, named, unknown = self._shown(text, shown)
        others: dict[str, None] = {}
        taken = {title_key(item.title) for item in shown}
        for start, end, title in self._titles_in(text, tokens):
            inside = any(a < end and start < b for a, b in spans)
            if not inside and title_key(title) not in taken and not _part_of_any(title_key(title), taken):
                others[title] = None
                spans.append((start, end))
        invented = tuple(
            quoted for start, end, quoted in unknown
            if not any(a < end and start < b for a, b in spans)
            and words_of(quoted) not in self._titles
            and _is_in_capitals(quoted)
            and self._is_no_title_shown(words_of(quoted), taken)
        )  # fmt: skip
        candidate = instruction.candidate.title
        return Naming(
            candidate=title_key(candidate) in {title_key(title) for title in named} or says(plain, candidate),
            history=tuple(title for title in named if title_key(title) != title_key(candidate)),
            others=tuple(others),
            unknown=invented,
            masked=_masked(text, spans),
        )

    def _shown(
        self, text: str, shown: Sequence[Item]
    ) -> tuple[list[tuple[int, int]], tuple[str, ...], list[tuple[int, int, str]]]:
        """Where titles and quotations stand, which shown titles they are, and quotations that are none of them.

        Only items that can be in the text are looked for: of fifty shown, a text names a few.
        """
        quoted = {word for match in _QUOTED.finditer(text) for word in words_of(match[1] or match[2])}
        likely = [item for item in shown if _may_stand(item.title, text, quoted)]
        spans: list[tuple[int, int]] = []
        named: dict[str, None] = {}
        unknown: list[tuple[int, int, str]] = []
        for mention in find_titles(text, likely):
            item = mention.item
            if item is None and len(likely) < len(shown):  # perhaps misspelled
                item = next((found.item for found in find_titles(text[mention.start : mention.end], shown)), None)
            if item is None:
                unknown.append((mention.start, mention.end, text[mention.start + 1 : mention.end - 1].strip(" ,.;:!?")))
            else:
                named[item.title] = None
                spans.append((mention.start, mention.end))
        return spans, tuple(named), unknown

    def _titles_in(self, text: str, tokens: Sequence[tuple[int, int, str]]) -> Iterable[tuple[int, int, str]]:
        """Titles of the catalogue in the text: quoted as a whole, or of several words and spelled with capitals."""
        place = 0
        while place < len(tokens):
            found = None
            for length in sorted(self._lengths.get(tokens[place][2], ()), reverse=True):
                stretch = tokens[place : place + length]
                title = self._titles.get(tuple(token for _, _, token in stretch))
                if title is not None and title_key(title) not in self._values:
                    start, end = stretch[0][0], stretch[-1][1]
                    around = 1 if (quoted := _is_quoted(text, start, end)) else 2
                    named = quoted or _is_spelled_as_name(text, stretch)
                    if named and not _is_series(tokens, place, length, around):
                        found = (start, end, title)
                        break
            if found:
                yield found
                place += length
            else:
                place += 1

    def _is_no_title_shown(self, words: Words, taken: Iterable[Words]) -> bool:
        """Whether a quotation may pretend to be a title: no values, no franchise or part of a title shown."""
        telling = set(words) - _EMPTY_WORDS
        if telling <= self._value_words:
            return False
        return not any(
            title and len(telling & set(title)) >= _PARAPHRASED * min(len(telling), len(set(title))) for title in taken
        )


def says(text: Words, title: str) -> bool:
    """Whether a text, as words, says `title`: in some spelling, or most words of a long one in any order."""
    if any(_within(words, text) for words in _sequences(title)):
        return True
    telling = _ways(title)[1]
    return len(telling) >= _SUMMED_UP and len(telling & set(text)) >= _PARAPHRASED * len(telling)


class Candidates:
    """Candidates of other prompts, by their words: what is a text about that never says its own?"""

    def __init__(self, titles: Iterable[str]) -> None:
        self._by_key = {title_key(title): title for title in titles}
        self._holding: dict[str, list[Words]] = defaultdict(list)
        self._telling = {key: frozenset(key) - _EMPTY_WORDS for key in self._by_key}
        found = Counter(word for words in self._telling.values() for word in words)
        self._weight = {word: log(1 + len(self._telling) / count) for word, count in found.items()}
        for key, words in self._telling.items():
            for word in words:
                self._holding[word].append(key)

    def closest(self, text: str, but: Iterable[str] = ()) -> str | None:
        """The candidate that `text` is about, if it is plainly about one; none of `but`."""
        shown = {title_key(title) for title in but}
        words = words_of(text)
        covered: dict[Words, float] = defaultdict(float)
        for word in set(words):
            for key in self._holding.get(word, ()):
                covered[key] += self._weight[word]
        best, most = None, 0.0
        for key, weight in covered.items():
            whole = sum(self._weight[word] for word in self._telling[key])
            title = self._by_key[key]
            if weight >= 0.999 * whole and _named_in(text, words, title):
                part = 1.0
            elif len(self._telling[key]) >= _SUMMED_UP and weight >= _PARAPHRASED * whole:
                part = weight / whole
            else:
                continue
            if part * weight > most and not _part_of_any(key, shown):
                best, most = title, part * weight
        return best


def _named_in(text: str, words: Words, title: str) -> bool:
    """Whether `title` stands in the text as a name: with capitals, or in quotation marks."""
    key = title_key(title)
    if not _within(key, words):
        return False
    tokens = [(match.start(), match.end(), _plain(match[0])) for match in _TOKEN.finditer(text)]
    for place in range(len(tokens) - len(key) + 1):
        stretch = tokens[place : place + len(key)]
        if tuple(token for _, _, token in stretch) == key and (
            _is_quoted(text, stretch[0][0], stretch[-1][1])
            or _is_spelled_as_name(text, stretch)
            or (len(stretch) == 1 and _is_within_a_sentence(text, stretch[0][0]))
        ):
            return True
    return False


def _may_stand(title: str, text: str, quoted: set[str]) -> bool:
    ways, telling = _ways(title)
    return not telling.isdisjoint(quoted) or any(way in text for way in ways)


def _plain(word: str) -> str:
    small = word.casefold().replace("'", "").replace("’", "")
    if small.isascii():
        return small
    return unicodedata.normalize("NFKD", small).encode("ascii", "ignore").decode() or small


def _tells(word: str) -> bool:
    return word not in _EMPTY_WORDS


def _within(words: Words, text: Words) -> bool:
    first, length = words[0], len(words)
    # Nearly always it is not there at all, which a tuple knows far sooner than a loop.
    return first in text and any(word == first and text[at : at + length] == words for at, word in enumerate(text))


def _part_of_any(words: Words, titles: Iterable[Words]) -> bool:
    """Whether `words` stand within a title, or a title within them: a franchise, a sequel, a subtitle."""
    return any(title and (_within(words, title) or _within(title, words)) for title in titles)


def _is_quoted(text: str, start: int, end: int) -> bool:
    before = text[:start].rstrip(" (")[-1:]
    behind = text[end:].lstrip(" .,;:!?)®™")[:1]
    return bool(before and behind) and before in "\"“«'‘*" and behind in "\"”“»'’*"


def _is_spelled_as_name(text: str, stretch: Sequence[tuple[int, int, str]]) -> bool:
    """Of two telling words or more, all with capitals."""
    telling = [(start, token) for start, _, token in stretch if _tells(token)]
    return len(telling) >= 2 and all(not text[start].islower() for start, _ in telling)


def _is_within_a_sentence(text: str, start: int) -> bool:
    """Whether a word has a capital though no sentence begins with it."""
    return text[start].isupper() and text[:start].rstrip(" \n\t\"'“‘(*-")[-1:] not in ("", ".", "!", "?", ":")


def _is_in_capitals(quoted: str) -> bool:
    """Whether all telling words have one: what people say in a film has not."""
    return all(not match[0][0].islower() for match in _TOKEN.finditer(quoted) if _tells(_plain(match[0])))


def _is_series(tokens: Sequence[tuple[int, int, str]], place: int, length: int, most: int) -> bool:
    """Whether one of the next words, `most` of them, says that a name is that of a series: "the Star Wars saga"."""
    return any(token in _OF_SERIES for _, _, token in tokens[place + length : place + length + most])


def _masked(text: str, spans: Iterable[tuple[int, int]]) -> str:
    out, at = [], 0
    for start, end in sorted(spans):
        if start >= at:
            out += [text[at:start], " □ "]
        at = max(at, end)
    return "".join([*out, text[at:]])
