"""Which items a text names, however it spells them."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from functools import lru_cache

from llmxrec.evidence.spelling import (
    ARTICLES,
    EMPTY_WORDS,
    Reading,
    Words,
    initials,
    shown_title,
    spellings,
    telling,
    title_key,
    within,
    words_of,
)
from llmxrec.records import Item

_QUOTED = re.compile(
    r"[\"“”«]([^\"“”«»]{1,150})[\"“”»]|(?<!\w)['‘]([^'‘’\"]{2,80}?(?:['’]\w[^'‘’\"]{0,80}?){0,4})['’](?!\w)"
)
_ALIKE = 0.86
"""Of two spellings, the least share of signs in common at which one title is taken for the other."""
_QUOTED_OF = 4
"""Telling words of a title that name it where they are quoted alone: the beginning of a headline."""
_MOST = 0.6
"""Of a title's telling words, the part that names it alone: "Rainbow Six Siege" of one that begins with an author."""
_SURE = 4
"""Words in a row that name an item in small letters too."""
_HEADLINE = 6
"""Words of a title that is hardly one of a film or a game."""
_MARKS = str.maketrans("", "", "\"'“”‘’«»")
_SUBJECT = re.compile(
    r"(?:, (?:an?|the|which|with|like|too)\b| (?:also|can|combines|could|delivers|features|fits|gives|has|is"
    r"|may|might|offers|provides|shares|should|stands|suits|takes|tells|was|will|would)\b)"
)
"""What follows a name that a sentence is about."""
_OF_SERIES = frozenset("films franchise franchises games movies saga sagas series sequels trilogy universe".split())


@dataclass(frozen=True, slots=True)
class Mention:
    """A title in a text, from `start` to `end`, quotation marks included. `item` None: one that is none of these."""

    start: int
    end: int
    item: Item | None


def find_titles(text: str, items: Sequence[Item]) -> list[Mention]:
    """What `text` names of `items`, in its order, and what it puts in quotation marks that is none of them.

    A title counts with its article in front or behind or left out, without what stands in brackets, without its
    subtitle or as nothing else, by its initials, with numbers spelled either way, and, where it is quoted, with a few
    signs amiss. Without quotation marks it has to have capitals, and a single word must be no part of a longer name;
    "the Star Wars films" name a series. Of items with one title, the first is meant.
    """
    found = titles_in(Reading(text), items)
    return [one for one in found if one.item is not None or _begins_like_a_title(text[one.start + 1])]


def _begins_like_a_title(sign: str) -> bool:
    return sign.isupper() or sign.isdigit()


def titles_in(reading: Reading, items: Sequence[Item]) -> list[Mention]:
    """`find_titles` of what is read already, with quotations in small letters too."""
    quotes = list(_QUOTED.finditer(reading.text))
    covered = Covered(reading.text)
    found: list[Mention] = []
    left: list[Mention] = []
    known = _by_spelling(items) if quotes else {}
    alike: dict[str, Item | None] = {}
    for quote in quotes:
        words = (quote[1] or quote[2]).strip(" ,.;:")
        if words not in alike:
            key = title_key(words)
            alike[words] = known.get(key) or closest(words, items) or _beginning(key, items)
        item = alike[words]
        if item is not None and covered.take(quote.start(), quote.end()):
            found.append(Mention(quote.start(), quote.end(), item))
        elif quote[1]:
            left.append(Mention(quote.start(), quote.end(), None))
    for start, end, item in (*_unquoted(reading, items), *_by_initials(reading, items)):
        if _is_alone(reading.text, start, end, left) and covered.take(start, end):
            found.append(Mention(start, end, item))
    found += [mention for mention in left if covered.take(mention.start, mention.end)]
    return sorted(found, key=lambda mention: mention.start)


def _beginning(words: Words, items: Iterable[Item]) -> Item | None:
    """The item of whose long title so much is quoted that it is plain."""
    if len(telling(words)) < _QUOTED_OF:
        return None
    return next((item for item in items if within(words, title_key(item.title))), None)


def _is_alone(text: str, start: int, end: int, quotes: Sequence[Mention]) -> bool:
    """Whether a title is no part of a longer one in quotation marks, which may hold a list, though."""
    place = bisect_right(quotes, start, key=lambda quote: quote.start) - 1
    if place < 0 or quotes[place].end <= end or len(words_of(text[start:end])) >= _SURE:
        return True
    quote = quotes[place]
    before, behind = text[quote.start + 1 : start].strip(), text[end : quote.end - 1].strip()
    return (not before or before.endswith((",", ";", "and", "&"))) and (
        not behind or behind.startswith((",", ".", "!", "?", ";", "and ", "&"))
    )


class Covered:
    """Which parts of a text are taken."""

    def __init__(self, text: str) -> None:
        self._signs = bytearray(len(text))

    def has(self, start: int, end: int) -> bool:
        """Whether anything from `start` to `end` is taken."""
        return 1 in self._signs[start:end]

    def take(self, start: int, end: int) -> bool:
        """Take what lies from `start` to `end`, if nothing of it is taken: whether it was free."""
        free = not self.has(start, end)
        if free:
            self._signs[start:end] = b"\x01" * (end - start)
        return free


def closest(words: str, items: Iterable[Item], *, whole: bool = False) -> Item | None:
    """The item whose title, or whose title in part unless it shall be the `whole`, is spelled most like `words`, a few
    signs amiss; else one of whose telling words these are the most, and stand together.
    """
    key = title_key(words)
    wanted = " ".join(key)
    best, most = None, _ALIKE
    if not wanted:
        return None
    signs, numbers = _signs(wanted), _numbers(key)
    for item in items:
        for way, way_signs, is_whole in _joined(item.title):
            short, long = sorted((len(way), len(wanted)))
            # These cannot be alike: too long, other numbers, or too many letters that the other has not.
            if short < 4 or 2 * short <= most * (short + long) or (whole and not is_whole):
                continue
            if (signs ^ way_signs).bit_count() > (1 - most) * (short + long) or _numbers(way.split()) != numbers:
                continue
            matcher = SequenceMatcher(None, way, wanted, autojunk=False)
            if matcher.quick_ratio() > most and (ratio := matcher.ratio()) > most:
                best, most = item, ratio
    return best or next((item for item in items if _is_most_of(key, item.title)), None)


def _is_most_of(words: Words, title: str) -> bool:
    """Whether words stand together in a title and are most of what it tells, all its numbers among them.

    What it begins with, up to a colon, is no such part: a series is called so.
    """
    key = title_key(title)
    if not within(words, key) or words in spellings(title):
        return False
    said, every = telling(words), telling(key)
    return 2 <= len(said) >= _MOST * len(every) and not any(word.isdigit() for word in every - said)


@lru_cache(maxsize=1 << 17)
def _joined(title: str) -> tuple[tuple[str, int, bool], ...]:
    ways = {" ".join(words): whole for words, whole in spellings(title).items()}
    return tuple((way, _signs(way), whole) for way, whole in ways.items())


def _numbers(words: Sequence[str]) -> list[str]:
    """The numbers by which titles of a few words differ from their sequels; in a headline, one amiss is a slip."""
    return [word for word in words if word.isdigit()] if len(words) < _HEADLINE else []


def _signs(words: str) -> int:
    """The set of the signs in `words`, as bits; a few signs share one."""
    bits = 0
    for sign in words:
        bits |= 1 << (ord(sign) & 63)
    return bits


def _by_spelling(items: Iterable[Item]) -> dict[Words, Item]:
    whole: dict[Words, Item] = {}
    parts: dict[Words, Item] = {}
    for item in items:
        for words, is_whole in spellings(item.title).items():
            (whole if is_whole else parts).setdefault(words, item)
    return parts | whole


def _unquoted(reading: Reading, items: Sequence[Item]) -> Iterator[tuple[int, int, Item]]:
    """Where titles stand, the longest first."""
    found: dict[tuple[int, int], dict[Words, tuple[Item, Words, bool]]] = {}
    for item in items:
        for words, is_whole in spellings(item.title).items():
            if words[0] in reading.places:
                for place in reading.at(words):
                    of_title = found.setdefault((place, len(words)), {})
                    of_title.setdefault(title_key(item.title), (item, words, is_whole))
    for (place, _), of_title in sorted(found.items(), key=lambda entry: -entry[0][1]):
        meant = [one for one in of_title.values() if one[2]] or list(of_title.values())
        # What several titles begin with is the name of a series.
        item, words, is_whole = meant[0]
        if (len(meant) == 1 or is_whole) and _is_named(reading, place, words, item, is_whole):
            yield (*_span(reading, place, words, item), item)


def _is_named(reading: Reading, place: int, words: Words, item: Item, is_whole: bool) -> bool:
    """Whether words that spell a title stand for it, or are no more than words."""
    length = len(words)
    if reading.is_quoted(place, length):
        return True
    behind = place + length
    if is_series(reading, behind):
        return False
    if length >= _SURE:
        return True
    if _is_longer_name(reading, place, length):
        return False
    said = reading.text[reading.starts[place] : reading.ends[behind - 1]]
    as_spelled = said.translate(_MARKS) in item.title.translate(_MARKS) and not said.islower()
    if length > 1:
        return as_spelled or reading.is_name(place, length)
    if reading.is_number(place) or len(said) < 3 or words[0] in EMPTY_WORDS:
        return False
    # A short word is no name where any word has a capital.
    if reading.begins(place) and (len(said) < 6 or not is_whole) and not is_subject(reading, place):
        return False
    return reading.is_capital(place) or as_spelled


def is_series(reading: Reading, behind: int) -> bool:
    """Whether the word behind a title says that it is that of a series: "the Star Wars films"."""
    return reading.adjoins(behind) and reading.words[behind] in _OF_SERIES


def is_subject(reading: Reading, place: int) -> bool:
    """Whether a sentence that begins with this word is about it: "Heat is", "Fargo, a film"; not "Heat waves"."""
    owns = reading.words[place] != reading.bare[place]
    return owns or _SUBJECT.match(reading.text, reading.ends[place]) is not None


def _is_longer_name(reading: Reading, place: int, length: int) -> bool:
    """Whether words are a part of a name: a number follows, or, for one word, another with a capital."""
    behind = place + length
    if reading.adjoins(behind):
        if reading.words[behind].isdigit() and len(reading.words[behind]) < 3 and not reading.is_small(behind):
            return True
        if length == 1 and reading.is_capital(behind) and reading.words[behind] not in EMPTY_WORDS:
            return True
    before = place - 1
    return (
        length == 1
        and reading.adjoins(place)
        and reading.is_capital(before)
        and not reading.begins(before)
        and reading.words[before] not in ARTICLES
        and reading.words[before] == reading.bare[before]
        and not reading.text[reading.starts[before] : reading.ends[before]].isupper()
    )


def _span(reading: Reading, place: int, words: Words, item: Item) -> tuple[int, int]:
    """From where to where a title stands, with its article, and with the signs at its end."""
    shown, length = shown_title(item.title), len(words)
    start, end = reading.starts[place], reading.ends[place + length - 1]
    if reading.words[place + length - 1] != words[-1]:
        end -= 2
    article = reading.text[reading.starts[place - 1] : end] if reading.adjoins(place) else ""
    if article and reading.words[place - 1] in ARTICLES and shown.startswith(article):
        start = reading.starts[place - 1]
    tail = re.search(r"[^\w\s]*$", shown)
    signs = tail[0] if tail else ""
    return start, end + len(signs) if signs and reading.text.startswith(signs, end) else end


def _by_initials(reading: Reading, items: Sequence[Item]) -> Iterator[tuple[int, int, Item]]:
    """Words in capitals, up to three in a row, that are the initials of one title."""
    places = [
        place
        for place, (start, end) in enumerate(zip(reading.starts, reading.ends, strict=True))
        if end - start >= 2 and reading.text[start:end].isupper()
    ]
    if not places:
        return
    short = {initials(item.title): item for item in items}
    for place in places:
        for length in (3, 2, 1):
            joined = "".join(reading.words[place : place + length])
            if len(joined) >= 3 and joined in short and not joined.isdigit():
                last = min(place + length, len(reading.words)) - 1
                yield reading.starts[place], reading.ends[last], short[joined]
                break
