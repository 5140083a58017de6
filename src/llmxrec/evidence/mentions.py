"""Which items a text names, however it spells them."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher

from llmxrec.datasets.titles import display_title
from llmxrec.records import Item

_QUOTED = re.compile(r"[\"“”«]([^\"“”«»]{1,150})[\"“”»]|(?<!\w)['‘]([^'‘’\"]{2,80}?(?:['’]\w[^'‘’\"]*?)*)['’](?!\w)")
_ALIKE = 0.86
"""Of two spellings, the least share of signs in common at which a quoted title is taken for the other."""
_ROMAN = {"ii": "2", "iii": "3", "iv": "4", "vi": "6", "vii": "7"}


@dataclass(frozen=True, slots=True)
class Mention:
    """A title in a text, from `start` to `end`, quotation marks included. `item` None: one that is none of these."""

    start: int
    end: int
    item: Item | None


def find_titles(text: str, items: Sequence[Item]) -> list[Mention]:
    """What `text` names of `items`, in its order, and what it puts in quotation marks that is none of them.

    A title counts with its article in front or behind or left out, without what stands in brackets, without its
    subtitle, with numbers spelled either way, and, where it is quoted, with a few signs amiss. Without quotation marks
    it has to be spelled as it is, capitals included, and to be of six letters or more, of several words, or to stand
    within a sentence.
    """
    spellings: dict[str, Item] = {}
    for item in items:
        for spelling in variants(item.title):
            spellings.setdefault(_key(spelling), item)
    found: list[Mention] = []
    for match in _QUOTED.finditer(text):
        words = match[1] or match[2]
        named = _closest(_key(words), spellings)
        if named is not None or (match[1] and _looks_like_a_title(words)):
            found.append(Mention(match.start(), match.end(), named))
    for item in items:
        for spelling in variants(item.title):
            if len(spelling) < 4 or spelling.islower() or spelling.isdigit():
                continue
            for match in re.finditer(rf"(?<!\w){re.escape(spelling)}(?!\w)", text):
                # A short word is no name where any word has a capital.
                before = text[: match.start()].rstrip(" \n\t\"'“‘(*-")
                if " " not in spelling and len(spelling) < 6 and (not before or before[-1] in ".!?:"):
                    continue
                if not overlapping(match.start(), match.end(), found):
                    found.append(Mention(match.start(), match.end(), item))
    return sorted(found, key=lambda mention: mention.start)


def variants(title: str) -> list[str]:
    """Ways to spell a title, the longest first."""
    shown = display_title(title)[0]
    ways = {title, shown}
    for inverted in re.split(r"\s*[()]\s*", shown):  # what stands in brackets is another title, or an aside
        ways.add(display_title(inverted)[0])
    ways.add(re.sub(r"\s*\([^()]*\)", "", shown))
    ways |= {re.split(r":| - |\s[–—]\s", way)[0] for way in list(ways) if len(re.split(r":| - ", way)[0]) >= 4}
    ways |= {re.sub(r"^(?:The|A|An) ", "", way) for way in list(ways)}
    return sorted((way.strip() for way in ways if len(way.strip()) >= 2), key=len, reverse=True)


def _key(words: str) -> str:
    """What two spellings of one title have in common: letters and digits, without accents and a first article."""
    plain = unicodedata.normalize("NFKD", words.casefold()).encode("ascii", "ignore").decode() or words.casefold()
    parts = re.findall(r"[^\W_]+", plain.replace("'", "").replace("&", " and "))
    if len(parts) > 1 and parts[0] in ("the", "a", "an"):
        parts = parts[1:]
    return " ".join(_ROMAN.get(part, part) for part in parts)


def _closest(key: str, spellings: dict[str, Item]) -> Item | None:
    if not key:
        return None
    if key in spellings:
        return spellings[key]
    best, most = None, _ALIKE
    for known, item in spellings.items():
        if abs(len(known) - len(key)) > 0.3 * max(len(known), len(key)) or len(known) < 4:
            continue
        matcher = SequenceMatcher(None, known, key, autojunk=False)
        if matcher.real_quick_ratio() > most and matcher.quick_ratio() > most and matcher.ratio() > most:
            best, most = item, matcher.ratio()
    return best


def _looks_like_a_title(words: str) -> bool:
    return words[:1].isupper() or words[:1].isdigit()


def overlapping(start: int, end: int, mentions: Iterable[Mention]) -> bool:
    """Whether some mention has a part of the text from `start` to `end`."""
    return any(mention.start < end and start < mention.end for mention in mentions)
