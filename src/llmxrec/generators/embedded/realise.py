"""From words and slots to text that people read, in any domain."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from llmxrec.evidence.plan import Plan
from llmxrec.generators.embedded import slots
from llmxrec.records import Item

_LONGEST_TITLE = 40
"""Words; a title of more is cut, as headlines in lists are."""
_NUMBERS = ["no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve"]
_AN = re.compile(r"(?i)(?:[aeio]|u(?!ni(?!n|m)|s[aeiu]|b?iq)|ho(?:ur|nest|no)|8|11\b|18\b)")
_AN_SPELLED = re.compile(r"[FHLMNRSX](?:[^AEIOUa-z\W_][A-Z0-9]*|[AEIOU]?[A-Z0-9]?)\b")
"""Letters that are spelled: an FPS, an RPG; but a MOBA."""


def realise(tokens: Iterable[str], plan: Plan) -> str:
    """The text that `tokens` make of `plan`: facts in place of slots, capitals, articles and spaces set.

    Raises KeyError for a slot that the plan does not fill.
    """
    facts = surface(plan)
    out: list[str] = []
    begins = True
    for token in tokens:
        words = facts[token] if token.startswith("{") else token
        if token in (",", ":", ";", *slots.SENTENCE_ENDS):
            out.append(token)
            begins = token in slots.SENTENCE_ENDS
            continue
        if out and out[-1] in (" a", "a", " A", "A") and _takes_an(words):
            out[-1] += "n"
        if begins or token.split("'")[0] == "i":
            words = words[:1].upper() + words[1:]
        out.append(f" {words}" if out else words)
        begins = False
    return "".join(out)


def surface(plan: Plan) -> dict[str, str]:
    """What each slot of `plan` is told as."""
    domain = plan.domain
    facts = {
        slots.CANDIDATE: quoted(plan.candidate),
        "{item}": domain.item,
        "{items}": domain.items,
        "{verb}": domain.verb,
        "{verb_past}": domain.verb_past,
    }
    facts.update(zip(slots.CITED, map(quoted, plan.cited), strict=False))
    facts.update(zip(slots.LABELS, map(label, plan.labels), strict=False))
    facts.update(
        zip(slots.PROPERTIES, (f"the {name} {one_line(value)}" for name, value in plan.properties), strict=False)
    )
    facts.update(zip(slots.RECENT, map(quoted, plan.recent), strict=False))
    if plan.count:
        facts[slots.COUNT] = number(plan.count)
    if plan.count or plan.taste:
        facts[slots.TOTAL] = number(plan.total)
    if plan.taste:
        facts[slots.TASTE], facts[slots.TASTE_COUNT] = label(plan.taste[0]), number(plan.taste[1])
    if plan.novel:
        facts[slots.NOVEL] = label(plan.novel)
    if plan.own:
        facts[slots.OWN] = label(plan.own)
    if plan.profile:
        facts[slots.PROFILE] = " and ".join(_said_of(*fact) for fact in plan.profile)
    return facts


def quoted(item: Item) -> str:
    """A title in quotation marks, on one line; its own double quotes become single ones."""
    words = one_line(item.title).replace('"', "'").split(" ")
    cut = "…" if len(words) > _LONGEST_TITLE else ""
    return f'"{" ".join(words[:_LONGEST_TITLE])}{cut}"'


def label(value: str) -> str:
    """A label as it stands before a noun: in lower case, but for abbreviations and names within it."""
    return " ".join(_lower(word) for word in one_line(value).replace("_", " ").split(" "))


def number(count: int) -> str:
    """In words up to twelve."""
    return _NUMBERS[count] if count < len(_NUMBERS) else str(count)


def one_line(text: str) -> str:
    """Without line breaks and control characters; never empty."""
    return " ".join("".join(sign if sign.isprintable() else " " for sign in text).split()) or "untitled"


def _lower(word: str) -> str:
    inner = word[1:]
    return word if inner != inner.lower() or any(sign.isdigit() for sign in word) else word.lower()


def _takes_an(words: str) -> bool:
    first = words.lstrip("\"'(“‘")
    return bool(_AN_SPELLED.match(first) or _AN.match(first))


def _said_of(name: str, value: str) -> str:
    value = one_line(value)
    if value.isdigit():
        return f"{value} years old" if name == "age" else f"of {name} {value}"
    return f"{'an' if _takes_an(value) else 'a'} {value}"


def sentences(tokens: Iterable[str]) -> Iterator[list[str]]:
    """The sentences of a text, each with its end."""
    one: list[str] = []
    for token in tokens:
        one.append(token)
        if token in slots.SENTENCE_ENDS:
            yield one
            one = []
    if one:
        yield one
