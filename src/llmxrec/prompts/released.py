"""The prompts that the paper's authors released, read back into records.

Their repository stores each answer beside the prompt it was given to: a line that names the kind of items,
numbered titles, an attribute sentence or two under each, a paragraph with profile and request, the candidate,
and the limits of the answer. Nothing of theirs is kept here but the layout of their sentences.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace

from llmxrec.datasets.domains import load_domain
from llmxrec.datasets.literals import unescape
from llmxrec.errors import InputError
from llmxrec.prompts.lines import one_line
from llmxrec.records import Domain, Instruction, Item, User

_DOMAINS = {"films": "movies", "news": "news", "games": "games"}
"""What the authors call the items of a prompt -> our domain."""

_ATTRIBUTES = {"class": "genres", "category": "category", "sub category": "subcategory", "tags": "tags"}
"""What the authors call an attribute -> our column."""

_NOTHING = ("nan", "unknown", "")
"""How the authors' prompts spell that an item has no such attribute."""

_HISTORY = re.compile(r"The history (\w+) \w+ by the customer are:\n(.*?)\n\n", re.DOTALL)
_NUMBERED = re.compile(r"\d+: (.*)")
_ATTRIBUTE = re.compile(r"The ([a-z ]+) of the (?:movie|news|game) (?:is|are) (.*)\.")
_CANDIDATE = re.compile(r"Give reasons why [^\n]*title(?: and \w+)?:\n(.*?)\n(?:\n|$)", re.DOTALL)
_PROFILE = re.compile(
    r"The age of the customer is (\d+), the gender is (\w+) and the customer's occupation is ([\w ]+)\."
)


def parse_released(text: str) -> tuple[Instruction, Domain]:
    """The instruction of a released explanation prompt, without ids, and the domain it is of.

    Titles become one line, and escapes left in them as letters (a backslash, u2122) the signs they stand for. Raises
    InputError for any other text.
    """
    history = _HISTORY.search(text)
    candidate = _CANDIDATE.search(text)
    if not history or not candidate or history[1] not in _DOMAINS:
        raise InputError("a released prompt tells a history of films, news or games and a candidate", value=text)
    profile = _PROFILE.search(text, history.end(), candidate.start())
    user = dict(zip(("age", "gender", "occupation"), profile.groups(), strict=True)) if profile else {}
    title, *attributes = candidate[1].split("\n")
    instruction = Instruction(
        task="explain",
        user=User("", user),
        history=tuple(_items(history[2].split("\n"))),
        candidate=Item("", one_line(unescape(title.removesuffix("."))), _attributes(attributes)),
    )
    return instruction, load_released_domain(_DOMAINS[history[1]])


def load_released_domain(name: str) -> Domain:
    """The bundled domain `name`, showing what the authors' prompts show."""
    domain = load_domain(name)
    shown = {"movies": ["genres"], "news": ["category", "subcategory"], "games": ["tags"]}[name]
    return replace(domain, item_attributes={key: domain.item_attributes[key] for key in shown})


def _items(lines: list[str]) -> Iterator[Item]:
    """Numbered titles, each with the attribute lines below it."""
    starts = [(row, match[1]) for row, line in enumerate(lines) if (match := _NUMBERED.fullmatch(line))]
    if not starts or starts[0][0] != 0:
        raise InputError("a released history begins with '1: TITLE'", value=lines[0])
    ends = [row for row, _ in starts[1:]] + [len(lines)]
    for (start, title), end in zip(starts, ends, strict=True):
        yield Item("", one_line(unescape(title)), _attributes(lines[start + 1 : end]))


def _attributes(lines: list[str]) -> dict[str, tuple[str, ...]]:
    found: dict[str, tuple[str, ...]] = {}
    for line in lines:
        match = _ATTRIBUTE.fullmatch(line)
        if not match or match[1] not in _ATTRIBUTES:
            raise InputError("an attribute line reads 'The NAME of the ITEM is VALUES.'", value=line)
        name, values = _ATTRIBUTES[match[1]], match[2]
        if values in _NOTHING:
            continue
        if values.startswith("[") and values.endswith("]"):
            found[name] = tuple(values[1:-1].split(", "))
        else:
            found[name] = tuple(values.split(" ")) if name == "genres" else (values,)
    return found
