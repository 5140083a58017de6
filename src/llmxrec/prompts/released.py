"""The prompts that the paper's authors released, read back into records.

Their repository stores each answer beside the prompt it was given to: a line that names the kind of items,
numbered titles, an attribute sentence or two under each, a paragraph with profile and request, the candidate,
and the limits of the answer. Those that ask for attributes end in "Your mission is to infer ...", and their answers are
JSON, or would be if all words in it stood in quotes. Nothing of theirs is kept here but the layout of their sentences.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace

from llmxrec.datasets.domains import load_domain
from llmxrec.datasets.literals import unescape
from llmxrec.datasets.steam import price_words
from llmxrec.errors import InputError
from llmxrec.prompts.lines import one_line
from llmxrec.prompts.targets import NUMBERS, TARGETS, read_answer
from llmxrec.records import Domain, Instruction, Item, User

_DOMAINS = {"films": "movies", "news": "news", "games": "games"}
"""What the authors call the items of a prompt -> our domain."""

_ATTRIBUTES = {
    "class": "genres",
    "category": "category",
    "sub category": "subcategory",
    "tags": "tags",
    "popularity": "popularity",
    "price": "price",
}
"""What the authors call an attribute -> our column."""

_TARGETS = {
    "user age": "age",
    "user gender": "gender",
    "user occupation": "occupation",
    "popularity": "popularity",
    "price_acc": "price",
}
"""What the authors call an attribute in an answer -> our target."""

_NOTHING = ("nan", "unknown", "")
"""How the authors' prompts spell that an item has no such attribute."""

_HISTORY = re.compile(r"The history (\w+) \w+ by the customer are:\n(.*?)\n\n", re.DOTALL)
_NUMBERED = re.compile(r"\d+: (.*)")
_ATTRIBUTE = re.compile(r"The ([a-z ]+) of the (?:movie|news|game) (?:is|are) (.*)\.")
_CANDIDATE = re.compile(
    r"(?:Give reasons why|The recommender system suggests) [^\n]*title(?: and \w+)?:\n(.*?)\n(?:\n|$)", re.DOTALL
)
_WANTED = re.compile(r"\nYour mission is to infer .*?You must infer ([\w, ]+)\.", re.DOTALL)
_POPULARITY = re.compile(r" And the (popularity of the movie is \d+\.)")
_ANSWERED = re.compile(r'"([\w ]+)": ("?)([^"{},]*)\2(?=[,}])')
_PROFILE = re.compile(
    r"The age of the customer is (\d+), the gender is (\w+) and the customer's occupation is ([\w ]+)\."
)


def parse_released(text: str) -> tuple[Instruction, Domain]:
    """The instruction of a released prompt, without ids, and the domain it is of, with what the prompt shows.

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
    wanted = _WANTED.search(text, candidate.end() - 1)
    targets = tuple(name for name in TARGETS if wanted and re.search(rf"\b{name}\b", wanted[1]))
    items = tuple(_items(history[2].split("\n")))
    instruction = Instruction(
        task="predict" if targets else "explain",
        user=User("", user),
        history=items,
        candidate=Item("", one_line(unescape(title.removesuffix("."))), _attributes(attributes)),
        targets=targets,
    )
    told = {name for item in items for name in item.attributes}
    more = [name for name in ("price", "popularity") if name in told]
    return instruction, load_released_domain(_DOMAINS[history[1]], *more)


def parse_released_answer(text: str, targets: Sequence[str]) -> dict[str, str]:
    """What a released answer says of `targets`, prices and numbers as we spell them; without what it does not tell.

    Raises InputError for an answer of another layout.
    """
    said = {_TARGETS.get(key, key): value.strip() for key, _, value in _ANSWERED.findall(text)}
    if set(said) != set(targets):
        raise InputError(f"a released answer tells {', '.join(targets)}", value=text)
    told = {name: said[name] for name in targets if said[name] not in _NOTHING}
    read = {name: read_answer(name, value, () if name in NUMBERS else (value,)) for name, value in told.items()}
    for name, value in read.items():
        if value is None:
            raise InputError(f"a released answer has a {name} that can be read", value=text)
    return {name: str(value) for name, value in read.items()}


def load_released_domain(name: str, *more: str) -> Domain:
    """The bundled domain `name`, showing what the authors' prompts show: `more` in some of them."""
    domain = load_domain(name)
    shown = {"movies": ["genres"], "news": ["category", "subcategory"], "games": ["tags"]}[name]
    labels = {**domain.item_attributes, "popularity": "popularity"}
    return replace(domain, item_attributes={key: labels[key] for key in (*shown, *more)})


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
    for line in _POPULARITY.sub(r"\nThe \1", "\n".join(lines)).splitlines():
        match = _ATTRIBUTE.fullmatch(line)
        if not match or match[1] not in _ATTRIBUTES:
            raise InputError("an attribute line reads 'The NAME of the ITEM is VALUES.'", value=line)
        name, values = _ATTRIBUTES[match[1]], match[2]
        if values in _NOTHING:
            continue
        if name == "price":
            price = price_words(values)
            found |= {name: (price,)} if price else {}
        elif values.startswith("[") and values.endswith("]"):
            found[name] = tuple(values[1:-1].split(", "))
        else:
            found[name] = tuple(values.split(" ")) if name == "genres" else (values,)
    return found
