"""Fixed sentences about what the candidate shares with the history: the field's baseline, and always true.

It names the items that a recommendation rests on, where the prompt tells them, or else those it has most in common
with, as shops do without a language model. Every other generator has to be better than this to be worth its price.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

from llmxrec.records import Answer, Domain, Instruction, Item, Message, Prompt

_MOST_VALUES = 3
"""Shared values named, at most: a game can have twenty tags."""


class TemplateGenerator:
    """Answers task `explain` from the instruction alone, in microseconds; task `predict` it cannot answer."""

    name = "template"
    context_tokens: int | None = None

    def count_tokens(self, messages: Sequence[Message]) -> int:
        """Words: it reads records, so nothing is ever too long for it."""
        return sum(len(message.content.split()) for message in messages)

    def generate(self, prompts: Iterable[Prompt]) -> Iterator[Answer]:
        for prompt in prompts:
            if prompt.instruction.task == "explain":
                yield Answer(prompt.key, sentence(prompt.instruction, prompt.domain))
            else:
                yield Answer(prompt.key, "", "empty", detail="the template generator predicts no attributes")


def sentence(instruction: Instruction, domain: Domain) -> str:
    """Why the candidate, in one sentence: what it shares with one or two items of the history.

    The attribute is the first of the domain's that is shared at all; the item cited first shares most of its values
    (the newest, where several do), and a second one is named only if it shares the same. Numbers, such as a year,
    are no reason.
    """
    if instruction.causes:
        return _because(instruction, domain)
    title = _quoted(instruction.candidate)
    known = [item for item in reversed(instruction.history) if item.title != instruction.candidate.title]
    for column in domain.item_attributes:
        cited, shared = _most_alike(instruction.candidate, known, column)
        if cited:
            likened = _listed([_quoted(item) for item in cited])
            where = _listed(shared[:_MOST_VALUES])
            return f"Like {likened}, which you {domain.verb_past}, {title} is listed under {where}."
    if known:
        return f"You {domain.verb_past} {_listed([_quoted(item) for item in known[:2]])}; now try {title}."
    return f"{title} is recommended to you."


def sentences(instruction: Instruction, domain: Domain) -> Iterator[str]:
    """`sentence`, and shorter ones that say less, for where that may not be sent."""
    yield sentence(instruction, domain)
    if instruction.causes:
        strongest = replace(instruction, causes=instruction.causes[:1])
        yield sentence(strongest, domain)
    yield f"{_quoted(instruction.candidate)} is recommended to you."


def _because(instruction: Instruction, domain: Domain) -> str:
    """The causes, all of them, and what those that share most with the candidate have in common with it."""
    candidate = instruction.candidate
    causes = list({item.title: item for item in instruction.causes if item.title != candidate.title}.values())
    if not causes:
        return f"{_quoted(candidate)} is recommended to you."
    because = f"Because you {domain.verb_past} {_listed([_quoted(item) for item in causes])}"
    for column in domain.item_attributes:
        cited, shared = _most_alike(candidate, causes, column)
        if cited:
            like = "them" if len(cited) == len(causes) > 1 else _listed([_quoted(item) for item in cited])
            like = "it" if len(causes) == 1 else like
            where = _listed(shared[:_MOST_VALUES])
            return f"{because}, {_quoted(candidate)} is recommended to you: like {like}, it is listed under {where}."
    return f"{because}, {_quoted(candidate)} is recommended to you."


def _most_alike(candidate: Item, newest_first: list[Item], column: str) -> tuple[list[Item], list[str]]:
    """Up to two items that share values of `column` with the candidate, and the values that all of them share."""
    reasons = [v for v in candidate.attributes.get(column, ()) if any(sign.isalpha() for sign in v)]
    sharing = [(item, [v for v in reasons if v in item.attributes.get(column, ())]) for item in newest_first]
    # max() keeps the first of equals: the newest.
    best, shared = max(sharing, key=lambda pair: len(pair[1]), default=(candidate, []))
    if not shared:
        return [], []
    others = [item for item, values in sharing if values == shared and item.title != best.title]
    return [best, *others[:1]], shared


def _quoted(item: Item) -> str:
    return f'"{item.title}"'


def _listed(words: Sequence[str]) -> str:
    """`a`, `a and b`, `a, b and c`."""
    return " and ".join(filter(None, [", ".join(words[:-1]), words[-1]]))
