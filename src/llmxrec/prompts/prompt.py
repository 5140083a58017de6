"""From an instruction to the prompt that a model can read: rendered, and shortened until it fits."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from llmxrec.errors import InputError
from llmxrec.prompts.instructions import PromptSettings
from llmxrec.prompts.targets import NUMBERS
from llmxrec.prompts.template import Template
from llmxrec.records import Domain, Instruction, Message, Prompt


class TooLong(InputError):
    """A prompt that the model could not read even without any history, as `prompt` has it."""

    def __init__(self, prompt: Prompt, needed: int, room: int) -> None:
        self.prompt = prompt
        super().__init__(
            f"a prompt fits the model: without any history it takes {needed} tokens, and there is room for {room}",
            cure="allow a larger context, fewer tokens for the answer, or use a shorter template",
        )


def make_prompt(
    key: str,
    instruction: Instruction,
    template: Template,
    domain: Domain,
    settings: PromptSettings,
    *,
    room: int | None = None,
    count_tokens: Callable[[Sequence[Message]], int] | None = None,
    seed: int = 0,
    choices: Mapping[str, tuple[str, ...]] | None = None,
) -> Prompt:
    """Render `instruction`; where it takes more than `room` tokens, drop the oldest history until it fits.

    `room` None: there is no limit, and nothing is counted. `choices`: the answers that are allowed to its targets, told
    in the prompt; None: nothing is told of them. Raises TooLong where it does not fit even without any history.
    """
    told = None if choices is None else {name: choices.get(name) or NUMBERS[name] for name in instruction.targets}

    def with_dropped(count: int) -> Prompt:
        shown = without_oldest(instruction, count)
        messages = template.render(
            shown, domain, reasoning=settings.reasoning, max_words=settings.max_words, choices=told
        )
        return Prompt(key, shown, domain, messages, count, seed, settings.max_words, choices or {})

    prompt = with_dropped(0)
    if room is None or count_tokens is None or count_tokens(prompt.messages) <= room:
        return prompt
    shortest = with_dropped(len(instruction.history))
    if (needed := count_tokens(shortest.messages)) > room:
        raise TooLong(shortest, needed, room)
    # The fewest items to drop lies in (too_few, enough]: more dropped is never longer.
    too_few, enough = 0, len(instruction.history)
    while enough - too_few > 1:
        middle = (too_few + enough) // 2
        if count_tokens(with_dropped(middle).messages) <= room:
            enough = middle
        else:
            too_few = middle
    return with_dropped(enough)


def without_oldest(instruction: Instruction, count: int) -> Instruction:
    """`instruction` without the `count` oldest items of its history; those that it rests on go last."""
    causes = set(map(id, instruction.causes))
    order = sorted(range(len(instruction.history)), key=lambda place: id(instruction.history[place]) in causes)
    left = sorted(order[count:])
    gone = {id(instruction.history[place]) for place in order[:count]}
    return replace(
        instruction,
        history=tuple(instruction.history[place] for place in left),
        causes=tuple(cause for cause in instruction.causes if id(cause) not in gone),
    )
