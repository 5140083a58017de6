"""The generator `embedded`: no key, no download, no GPU; what it says is true of the plan.

It makes as many words as it is allowed tokens: to it, a word is one.
"""

from __future__ import annotations

import json
import logging
import random
from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property
from itertools import islice
from pathlib import Path

import numpy as np

from llmxrec.evidence.plan import Plan, make_plan
from llmxrec.generators.embedded import slots
from llmxrec.generators.embedded.attributes import Answers, known_answers, read_items
from llmxrec.generators.embedded.decoding import LONGEST, Writer
from llmxrec.generators.embedded.realise import realise, sentences
from llmxrec.generators.specs import GenerationSettings
from llmxrec.prompts.targets import likeliest
from llmxrec.records import Answer, Domain, Instruction, Message, Prompt
from llmxrec.seeds import derive

log = logging.getLogger(__name__)

MODEL = Path(__file__).parent / "model"
_AT_ONCE = 256
_TEMPERATURE, _TUNED_TEMPERATURE, _TOP_P = 0.8, 0.4, 0.95
"""Where the settings name no temperature: enough that no two people read the same, and few odd words. Tuned on some
hundred texts it is less sure of its rarer words."""
_ATTEMPTS = 3
"""Times that a text is begun anew, where nothing of it could be kept; then a plain sentence says what there is."""
_LENGTHS = ((1, 2, 3, 4), (8, 30, 42, 20))
"""Sentences, and how often so many are wanted."""


class EmbeddedGenerator:
    """Writes from the plan of each prompt (see `make_plan`), as much as the prompt shows and no more.

    Words are drawn with each prompt's own random numbers, at a temperature of .8 (.4 with an adapter) from the
    likeliest that have .95 of the probability, unless the settings name a temperature; at 0 the likeliest are taken.
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
        self._usual_temperature = _TEMPERATURE if adapter is None else _TUNED_TEMPERATURE
        self.settings = settings or GenerationSettings()
        self._model = model

    @cached_property
    def writer(self) -> Writer:
        """The weights, read when the first answer is wanted."""
        log.info("loading the embedded model%s", f" with {self._adapter}" if self._adapter else "")
        return Writer.load(self._model, self._adapter)

    def count_tokens(self, messages: Sequence[Message]) -> int:
        """Words: it reads records, so nothing is ever too long for it."""
        return sum(len(message.content.split()) for message in messages)

    def generate(self, prompts: Iterable[Prompt]) -> Iterator[Answer]:
        source = iter(prompts)
        while batch := list(islice(source, _AT_ONCE)):
            if explained := [prompt for prompt in batch if prompt.instruction.task == "explain"]:
                yield from self._answers(explained)
            yield from self._predictions([prompt for prompt in batch if prompt.instruction.task == "predict"])

    def _predictions(self, batch: Sequence[Prompt]) -> Iterator[Answer]:
        """Of the answers that the adapter knows and the prompt allows the one most likely right, as a JSON object.

        Prompts that read alike long are answered together.
        """
        together: dict[tuple[int, tuple[str, ...], tuple[tuple[str, ...], ...]], list[tuple[Prompt, list[int]]]] = {}
        for prompt in batch:
            targets = prompt.instruction.targets
            unknown = [target for target in targets if target not in self._known]
            if unknown:
                detail = f"not tuned to predict {', '.join(unknown)}: use embedded+ADAPTER, tuned on attributes"
                yield Answer(prompt.key, "", "empty", detail=detail)
                continue
            asked = tuple(_allowed(self._known[target], prompt.choices.get(target)) for target in targets)
            if not all(one.values for one in asked):
                yield Answer(prompt.key, "", "empty", detail="none of the answers allowed is one it was tuned on")
                continue
            read = read_items(prompt.instruction, self._numbers)
            key = (len(read), targets, tuple(one.values for one in asked))
            together.setdefault(key, []).append((prompt, read))
        for (_, targets, values), rows in together.items():
            asked = tuple(_allowed(self._known[target], some) for target, some in zip(targets, values, strict=True))
            reads = np.array([read + [one.ask for one in asked] for _, read in rows])
            shares = self.writer.choose(reads, len(asked), [one.tokens for one in asked])
            best = [
                [one.values[n] for n in likeliest(target, one.values, share)]
                for target, one, share in zip(targets, asked, shares, strict=True)
            ]
            for (prompt, read), *said in zip(rows, *best, strict=True):
                text = json.dumps(dict(zip(targets, said, strict=True)), ensure_ascii=False)
                yield Answer(prompt.key, text, input_tokens=len(read) + len(asked), output_tokens=len(asked))

    @cached_property
    def _numbers(self) -> dict[str, int]:
        return {token: number for number, token in enumerate(self.writer.vocabulary)}

    @cached_property
    def _known(self) -> dict[str, Answers]:
        return known_answers(self.writer.vocabulary)

    def _answers(self, batch: Sequence[Prompt]) -> Iterator[Answer]:
        plans = [_plan(prompt.instruction, prompt.domain) for prompt in batch]
        most = [min(prompt.max_words, self.settings.max_tokens) for prompt in batch]
        texts = self._written(batch, plans, most, 0)
        for attempt in range(1, _ATTEMPTS):
            again = [row for row, text in enumerate(texts) if not text]
            some = [batch[row] for row in again], [plans[row] for row in again], [most[row] for row in again]
            for row, text in zip(again, self._written(*some, attempt), strict=True):
                texts[row] = text
        for prompt, plan, text in zip(batch, plans, texts, strict=True):
            said = text or plain(plan)
            yield Answer(prompt.key, realise(said, plan), input_tokens=slots.READ, output_tokens=len(said))

    def _written(
        self, batch: Sequence[Prompt], plans: Sequence[Plan], most: Sequence[int], attempt: int
    ) -> list[list[str]]:
        """A text for each prompt, as tokens; empty where none of it will do."""
        wanted, draws = [], np.empty((len(batch), LONGEST))
        for row, prompt in enumerate(batch):
            seed = derive(self.settings.seed, "embedded", prompt.seed, *([attempt] if attempt else []))
            wanted.append(random.Random(seed).choices(*_LENGTHS)[0])
            draws[row] = np.random.Generator(np.random.PCG64(seed)).random(LONGEST)
        temperature, top_p = self.settings.temperature, self.settings.top_p
        if temperature is None:
            temperature, top_p = self._usual_temperature, min(top_p, _TOP_P)
        if attempt and not temperature:
            return [[] for _ in batch]  # it would write the same again
        texts = self.writer.write(plans, wanted, most, draws, temperature=temperature, top_p=top_p)
        return [finished(text, plan, words) for text, plan, words in zip(texts, plans, most, strict=True)]


def _plan(instruction: Instruction, domain: Domain) -> Plan:
    return make_plan(instruction, domain, causes=[cause.item_id for cause in instruction.causes])


def _allowed(known: Answers, choices: Sequence[str] | None) -> Answers:
    """Of what it knows, what `choices` allow; all of it where there are none."""
    if not choices:
        return known
    places = [place for place, value in enumerate(known.values) if value in choices]
    return Answers(known.ask, tuple(known.values[place] for place in places), known.tokens[places])


def finished(tokens: Sequence[str], plan: Plan, max_words: int) -> list[str]:
    """The whole sentences of a text, as many as `max_words` allow; none where none of it will do."""
    kept = [one for one in sentences(tokens) if one[-1] in slots.SENTENCE_ENDS]
    while kept:
        text = [token for one in kept for token in one]
        if slots.obeys(text, plan) and len(realise(text, plan).split()) <= max_words:
            return text
        kept.pop()
    return []


def plain(plan: Plan) -> list[str]:
    """The shortest text that says what there is to say."""
    if plan.labels:
        return list(slots.tokens_of("Like {h1}, {cand} is a {A} {item}."))
    if plan.properties:
        return list(slots.tokens_of("{cand} shares {P} with {h1}."))
    return list(slots.tokens_of("{cand} is recommended to you."))
