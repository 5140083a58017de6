"""Names in a text: runs of words with capitals, and which of them nothing that was shown supports."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, replace
from functools import lru_cache

from llmxrec.evidence.mentions import is_series
from llmxrec.evidence.spelling import ARTICLES, EMPTY_WORDS, Reading, words_of

ORDINARY = frozenset(
    (
        "ai cgi dlc dvd fps gpu hd id ok pc pm pvp pve tv uk us usa vr 2d 3d 4k"
        " monday tuesday wednesday thursday friday saturday sunday january february march april may june july august"
        " september october november december spring summer autumn fall winter christmas easter halloween thanksgiving"
        " english french german italian spanish portuguese dutch swedish danish norwegian russian polish greek turkish"
        " chinese japanese korean indian arabic hebrew latin british scottish irish welsh american canadian mexican"
        " brazilian australian african asian european western eastern northern southern"
        " action adventure animation comedy crime documentary drama fantasy horror indie mmo mmorpg multiplayer musical"
        " mystery noir romance rpg rts sci fi scifi science fiction simulation strategy thriller war"
    ).split()
)
"""Words that are written with capitals, or are kinds of items, without naming one."""
BEGINNING = EMPTY_WORDS | frozenset(
    (
        "after among half none only mr mrs ms dr sir president dear hello hi customer customers user users"
        " viewer viewers player players gamer reader readers fan fans friend all also although another any"
        " because both but considering despite discover dive dont each enjoy enjoyed every experience explore"
        " featuring finally get give given he her his if id ill im its ive join just let like look love lover"
        " lovers more moreover most must my never no or our overall plus read recommended play playing she"
        " similar since so than their them then there these they this those thus to too try unlike very watch"
        " watching we which while whether yes youd youll youre youve"
    ).split()
)
"""Words that stand before a name, with a capital perhaps, and are no part of it."""
LINKS = frozenset("of the and in to for a an on at from with by de la le les du des von van der den und y & vs".split())
"""Small words within names."""
_MOST_LINKS = 2
_BETWEEN = frozenset(
    (" ", "-", ": ", " - ", " & ", "/", "–", ".", "'", "’", ", the ", "! ", "™ ", "® ", "®: ", "™: ", "_")
)
"""What may stand between the words of one name."""


@dataclass(frozen=True, slots=True)
class Name:
    """Words with capitals in a row, by their places: from `first`, before `last`. `begins`: so does a sentence."""

    first: int
    last: int
    begins: bool


def names_in(reading: Reading, taken: Collection[int]) -> Iterator[Name]:
    """The names in a text, outside of the words that are `taken`, by their places: as long as can be."""
    place = 0
    while place < len(reading.words):
        if place in taken or not reading.has_capital(place):
            place += 1
            continue
        last = _end(reading, place, taken)
        yield Name(place, last, reading.begins(place))
        place = last


def _end(reading: Reading, place: int, taken: Collection[int]) -> int:
    """Behind the last word of the name that begins at `place`."""
    last = place + 1
    at = last
    while at < len(reading.words) and at not in taken and at - last <= _MOST_LINKS:
        between = reading.text[reading.ends[at - 1] : reading.starts[at]]
        if between not in _BETWEEN and not (between == ". " and reading.sentence[at] == reading.sentence[at - 1]):
            break
        if reading.has_capital(at) or reading.is_number(at):
            last = at + 1
        elif reading.words[at] not in LINKS:
            break
        at += 1
    return last


def has_article(reading: Reading, name: Name) -> bool:
    """Whether a name has an article with a capital within a sentence, as titles have: in The Little Mermaid."""
    first = name.first
    return not name.begins and name.last - first > 1 and reading.words[first] in ARTICLES


def unsupported(
    reading: Reading, name: Name, titles: str, known: Collection[int], ordinary: Collection[str] = ()
) -> Name | None:
    """A name, without what only stands before it, that nothing supports; None where something does.

    Titles (see `joined`) support it with words that stand together in one of them: single words of several do not. So
    do ordinary words and those in the places `known`, if it has no others. Where a sentence begins with the name, its
    first word may have its capital from that, if it is of a kind that sentences begin with, or `ordinary`.
    """
    whole = without_beginning(reading, name)
    if whole is None or _is_ordinary(reading, whole, known) or _is_said(reading, whole, titles):
        return None
    # The first word could be the title's: "Dark Star" is not supported by "Star Wars".
    rest = without_beginning(reading, replace(whole, first=whole.first + 1, begins=False)) if whole.begins else whole
    if rest is None or (
        whole.begins and _is_ordinary(reading, rest, known) and _may_begin(reading.words[whole.first], ordinary)
    ):
        return None
    pieces = list(parts(reading, rest, ("and",))) if rest.last - rest.first > 1 else [whole]
    if all(_is_ordinary(reading, part, known) or _is_said(reading, part, titles, 2) for part in pieces):
        return None
    return whole


def _may_begin(word: str, ordinary: Collection[str]) -> bool:
    """Whether a word is of a kind that sentences begin with: "Combining Action", "Based on English"."""
    return word in ordinary or word.endswith(("ing", "ed", "ly"))


def parts(reading: Reading, name: Name, links: Collection[str] = LINKS) -> Iterator[Name]:
    """What of a name stands before, between and behind small words."""
    first = name.first
    for place in range(name.first, name.last + 1):
        if place == name.last or (reading.words[place] in links and reading.is_small(place)):
            if first < place:
                yield Name(first, place, name.begins and first == name.first)
            first = place + 1


def joined(titles: Iterable[str]) -> str:
    """Titles as one text, in which the words of each can be found with a space on both sides."""
    return "|".join(map(_joined, titles)) + "|"


@lru_cache(maxsize=1 << 17)
def _joined(title: str) -> str:
    return f" {' '.join(words_of(title))} "


def _is_said(reading: Reading, name: Name, titles: str, least: int = 1) -> bool:
    """Whether a title has the words of a name, `least` or more, together.

    Without the number that follows them there they are the name of another: "Left 4 Dead" is not "Left 4 Dead 2".
    """
    if name.last - name.first < least:
        return False
    words = reading.words[name.first : name.last]
    for ending in {words[-1], reading.bare[name.last - 1]}:
        said = f" {' '.join((*words[:-1], ending))} "
        at = titles.find(said)
        while at >= 0:
            if not titles[at + len(said)].isdigit() or is_series(reading, name.last):
                return True
            at = titles.find(said, at + 1)
    return False


def without_beginning(reading: Reading, name: Name) -> Name | None:
    """A name without what only stands before or behind it; None where there is nothing else."""
    first, last = name.first, name.last
    while first < last and reading.words[first] in BEGINNING:
        first += 1
    while last > first and reading.words[last - 1] in BEGINNING:
        last -= 1
    return Name(first, last, name.begins and first == name.first) if first < last else None


def _is_ordinary(reading: Reading, name: Name, known: Collection[int]) -> bool:
    return all(
        place in known
        or reading.words[place].isdigit()
        or not ORDINARY.isdisjoint((reading.words[place], reading.bare[place]))
        or reading.words[place] in BEGINNING
        for place in range(name.first, name.last)
    )
