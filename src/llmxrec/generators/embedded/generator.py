"""The generator `embedded`: no key, no download, no GPU; what it says is true of the plan."""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property
from itertools import islice
from pathlib import Path

import numpy as np

from llmxrec.evidence.plan import Plan, make_plan
from llmxrec.generators.embedded import slots
from llmxrec.generators.embedded.decoding import LONGEST, Writer
from llmxrec.generators.embedded.realise import realise, sentences
from llmxrec.generators.specs import GenerationSettings
from llmxrec.records import Answer, Message, Prompt
from llmxrec.seeds import derive

MODEL = Path(__file__).parent / "model"
_AT_ONCE = 256
_TEMPERATURE, _TOP_P = 0.8, 0.95
"""Where the settings name no temperature: enough that no two people read the same, and few odd words."""
_LENGTHS = ((1, 2, 3, 4), (8, 30, 42, 20))
"""Sentences, and how often so many are wanted."""


class EmbeddedGenerator:
    """Writes from the plan of each prompt (see `make_plan`), as much as the prompt shows and no more.

    Words are drawn with each prompt's own random numbers, at a temperature of .8 from the likeliest that have .95 of
    the probability, unless the settings name a temperature; at 0 the likeliest are taken.
    """

    context_tokens: int | None = None

    def __init__(
        self,
        settings: GenerationSettings | None = None,
        *,
        adapter: Path | None = None,
        name: str = "embedded",
        model: Path = MODEL,
    ) -> None:
        self.name = name
        self._adapter = adapter
        self.settings = settings or GenerationSettings()
        self._model = model

    @cached_property
    def writer(self) -> Writer:
        """The weights, read when the first answer is wanted."""
        return Writer.load(self._model, self._adapter)

    def count_tokens(self, messages: Sequence[Message]) -> int:
        """Words: it reads records, so nothing is ever too long for it."""
        return sum(len(message.content.split()) for message in messages)

    def generate(self, prompts: Iterable[Prompt]) -> Iterator[Answer]:
        source = iter(prompts)
        while batch := list(islice(source, _AT_ONCE)):
            asked = [prompt for prompt in batch if prompt.instruction.task == "explain"]
            for prompt in batch:
                if prompt.instruction.task != "explain":
                    detail = "the embedded model predicts no attributes"
                    yield Answer(prompt.key, "", "empty", detail=detail)
            if asked:
                yield from self._answers(asked)

    def _answers(self, batch: Sequence[Prompt]) -> Iterator[Answer]:
        plans = [make_plan(prompt.instruction, prompt.domain) for prompt in batch]
        wanted, draws = [], np.empty((len(batch), LONGEST))
        for row, prompt in enumerate(batch):
            seed = derive(self.settings.seed, "embedded", prompt.seed)
            wanted.append(random.Random(seed).choices(*_LENGTHS)[0])
            draws[row] = np.random.Generator(np.random.PCG64(seed)).random(LONGEST)
        temperature, top_p = self.settings.temperature, self.settings.top_p
        if temperature is None:
            temperature, top_p = _TEMPERATURE, min(top_p, _TOP_P)
        texts = self.writer.write(
            plans,
            wanted,
            [prompt.max_words for prompt in batch],
            draws,
            temperature=temperature,
            top_p=top_p,
        )
        for prompt, plan, tokens in zip(batch, plans, texts, strict=True):
            said = finished(tokens, plan, prompt.max_words)
            yield Answer(prompt.key, realise(said, plan), input_tokens=slots.READ, output_tokens=len(said))


def finished(tokens: Sequence[str], plan: Plan, max_words: int) -> list[str]:
    """The whole sentences of a text, as many as `max_words` allow; a plain one where none of it will do."""
    kept = [one for one in sentences(tokens) if one[-1] in slots.SENTENCE_ENDS]
    while kept:
        text = [token for one in kept for token in one]
        if slots.obeys(text, plan) and len(realise(text, plan).split()) <= max_words:
            return text
        kept.pop()
    return plain(plan)


def plain(plan: Plan) -> list[str]:
    """The shortest text that says what there is to say."""
    if plan.labels:
        return list(slots.tokens_of("Like {h1}, {cand} is a {A} {item}."))
    if plan.properties:
        return list(slots.tokens_of("{cand} shares {P} with {h1}."))
    return list(slots.tokens_of("{cand} is recommended to you."))
