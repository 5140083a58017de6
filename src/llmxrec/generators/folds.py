"""One model with several adapters, each tuned without some of the people, who are left to it to answer."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import groupby

from llmxrec.generators.protocol import Generator
from llmxrec.generators.specs import GenerationSettings, make_generator
from llmxrec.records import Answer, Message, Prompt


class FoldedGenerator:
    """Asks one of the generators `specs` about each person: the one at the place that `asked_of` has for them.

    They are adapters of one model, so that a prompt has as many tokens to each. One is in memory at a time, so people
    asked of the same one should come one after the other.
    """

    def __init__(
        self, specs: Sequence[str], asked_of: Mapping[str, int], settings: GenerationSettings, *, name: str
    ) -> None:
        self.name = name
        self._specs = specs
        self._asked_of = asked_of
        self._settings = settings
        self._any: Generator = make_generator(specs[0], settings)
        self.context_tokens = self._any.context_tokens

    def count_tokens(self, messages: Sequence[Message]) -> int:
        return self._any.count_tokens(messages)

    def generate(self, prompts: Iterable[Prompt]) -> Iterator[Answer]:
        for place, group in groupby(prompts, key=lambda prompt: self._asked_of[prompt.instruction.user.user_id]):
            yield from make_generator(self._specs[place], self._settings).generate(group)
