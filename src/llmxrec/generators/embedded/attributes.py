"""How the embedded model predicts attributes: items are tokens of their own, and so is each answer to choose from.

It knows none of them before it is tuned (`llmxrec.tuning.embedded`): an adapter brings them.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from llmxrec.generators.embedded import slots
from llmxrec.records import Instruction

MOST_ITEMS = 400
"""The newest items read, at most."""


def item_token(item_id: str) -> str:
    return f"<item {json.dumps(item_id)}>"


def ask_token(target: str) -> str:
    """Stands where the model is to say `target`."""
    return f"<ask {json.dumps(target)}>"


def answer_token(target: str, answer: str) -> str:
    return f"<answer {json.dumps([target, answer])}>"


@dataclass(frozen=True)
class Answers:
    """What may be answered when an attribute is asked for: values, and their tokens' numbers in the same order."""

    ask: int
    values: tuple[str, ...]
    tokens: npt.NDArray[np.int64]


def known_answers(vocabulary: Sequence[str]) -> dict[str, Answers]:
    """By attribute, what a model with this vocabulary was taught to answer; none: it is not tuned on attributes."""
    number = {token: n for n, token in enumerate(vocabulary) if token.startswith(("<ask ", "<answer "))}
    values: dict[str, dict[str, int]] = {}
    for token, n in number.items():
        if token.startswith("<answer "):
            target, value = json.loads(token.removeprefix("<answer ")[:-1])
            values.setdefault(target, {})[value] = n
    return {
        target: Answers(number[ask_token(target)], tuple(found), np.array([*found.values()], np.int64))
        for target, found in values.items()
    }


def read_items(instruction: Instruction, number: Mapping[str, int]) -> list[int]:
    """What the model reads of an instruction: the candidate, then the history up to the newest; items that it does not
    know are left out of the history."""
    candidate = number.get(item_token(instruction.candidate.item_id), number[slots.UNKNOWN])
    known = [number[token] for item in instruction.history if (token := item_token(item.item_id)) in number]
    return [number[slots.BEGIN], candidate, *known[-MOST_ITEMS:]]
