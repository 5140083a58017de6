"""What a text tells people about themselves: age, gender, occupation, and whatever else is known of them."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache

_GENDERS = {"male": "male|man|guy|gentleman", "female": "female|woman|lady"}
_LETTERS = {"m": "male", "f": "female"}
_NO_VALUES = frozenset({"other", "none", "unknown", "nan", ""})
_WORDS = r"(?:(?!(?:of|by|about|from|for|in|on|with|to|favou?rites?|beloved)\b)[\w'’-]+\s){0,3}?"
"""Up to three words between "as a" and what somebody is."""
_ARE = r"you\sare|you['’]re"
_AGES = (
    rf"\b(?:(?:as|being|for|like|{_ARE})\s(?:an?\s)?{_WORDS})(\d{{1,3}})[-\s]years?[-\s]olds?\b"
    r"|\b(\d{1,3})[-\s]years?[-\s]old\s(?:man|male|woman|female|customer|viewer|user|player|reader|like\syou)"
    r"|\b(?:aged?|your\sage(?:\sis)?,?)(?:\sof)?[\s(]{1,2}(\d{1,3})\b|\b(\d{1,3})\syears\sof\sage\b"
    rf"|\bat\s(\d{{1,3}}),\syou\b|\b(?:{_ARE})\s(\d{{1,3}})(?=,|\sand\b|\syears?\sold|\.(?!\d))"
)
_OF_GENDER = (
    rf"\b(?:as|being|{_ARE})\san?\s{_WORDS}(VALUE)\b(?!\s(?:lead|character|hero|protagonist)|['’])"
    r"|\byear[-\s]old\s(VALUE)\b|\b(VALUE)\s(?:customer|viewer|user|player|reader|audience)s?\b"
)
_OF_JOB = (
    r"\bdear\s(?:\w+\s)?(VALUE)\b"
    rf"|\b(?:appealing|excellent|fit|good|great|ideal|perfect|relatable|relevant|suitable)\s(?:for|to)\san?\s{_WORDS}(VALUE)\b"
    rf"|\b(?:(?:as|being|{_ARE})\san?|your|fellow)\s{_WORDS}(VALUE)\b"
    r"|\byour\s(?:\w+\s)?(?:background|career|experience|job|occupation|profession|role|status|work)"
    r"(?:\s(?:\w+\s)?(?:as|in|is|of)\s(?:an?\s)?|[:,]\s|\s\()(VALUE)\b"
    r"|\byear[-\s]old\s(VALUE)\b|\b(VALUE)s?\s(?:like\syou|yourself)\b"
)
_OF_SOMEBODY = re.compile(r"(?:as|being)\s", re.IGNORECASE)
_OF_YOU = re.compile(
    r"(?:\A|[.!?\n,;:(\[*–—-]\s*|\b(?:also|and|because|but|especially|even|if|particularly|since|so|that|while)\s"
    r"|\byou(?:\s\w+)?\s|\byour(?:\s\w+){1,3}\s)\Z",
    re.IGNORECASE,
)
"""What stands before "as a student" where it is said of the person; anywhere else, of somebody in the item."""
_WINDOW = 40
"""Signs before a fact that are looked at."""


@dataclass(frozen=True, slots=True)
class Fact:
    """What a text tells somebody of themselves, from `start` to `end` of it: their `column` is `value`."""

    column: str
    value: str
    start: int
    end: int


def facts_told(
    text: str, known: Mapping[str, str], people: Mapping[str, Collection[str]] | None = None
) -> Iterator[Fact]:
    """The facts told in `text` of the person it addresses, whether they are so or not.

    `known` is so of this person; `people` has the values that occur of anybody in each column. An age can be any
    number. A number alone may be part of anything, and an artist may be in the film: the words around have to be about
    the person.
    """
    for column in dict.fromkeys((*known, *(people or ()))):
        values = (people or {}).get(column, ())
        read = _pattern(column, known.get(column, ""), values if isinstance(values, frozenset) else frozenset(values))
        if read is None:
            continue
        pattern, spelled = read
        for match in pattern.finditer(text):
            group = match.lastindex or 0
            said = match[group].casefold()
            value = spelled.get(said, said)
            # What is so of this person is hardly ever meant of another.
            if (
                value == known.get(column)
                or not _OF_SOMEBODY.match(match[0])
                or _OF_YOU.search(text[max(0, match.start() - _WINDOW) : match.start()])
            ):
                yield Fact(column, value, match.start(group), match.end(group))


@lru_cache(maxsize=4096)
def _pattern(column: str, own: str, values: frozenset[str]) -> tuple[re.Pattern[str], Mapping[str, str]] | None:
    """What tells a fact, in one group, and how the values are spelled of which that group is a spelling."""
    if column.casefold() == "age":
        # Nobody else would be of just that age.
        its = rf"|\b({own})[-\s]years?[-\s]olds?\b|\b(?:age|at)\s({own})\b" if own.isdigit() else ""
        return re.compile(_AGES + its, re.IGNORECASE), {}
    is_gender = column.casefold() in ("gender", "sex")
    spelled = {way: kind for kind, ways in _GENDERS.items() for way in ways.split("|") if is_gender}
    for value in (*sorted(values), own):
        plain = value.strip().casefold()
        if is_gender and (kind := _LETTERS.get(plain, plain)) in _GENDERS:
            spelled |= dict.fromkeys(_GENDERS[kind].split("|"), value)
        elif plain not in _NO_VALUES:
            spelled[plain] = value
    if not spelled:
        return None
    ways = "|".join(re.escape(way) for way in sorted(spelled, key=len, reverse=True))
    form = _OF_GENDER if is_gender else _OF_JOB
    return re.compile(form.replace("VALUE", ways), re.IGNORECASE), spelled
