"""A generator whose answers you write: for tests, documentation and rehearsals. No model, no network, no chance."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

from llmxrec.generators.replies import ended
from llmxrec.records import Answer, Message, Prompt

Script = Callable[[Prompt], Answer | str] | Mapping[str, Answer | str]


class ScriptedGenerator:
    """Answers from `script`: a function of the prompt, or a table by the prompt's key.

    A string becomes an answer as if a model had written it (blank is `empty`, "I'm sorry, but I can't" is `refused`);
    an Answer is given as it is, under the prompt's key. A key the table lacks is `failed`.

    >>> generator = ScriptedGenerator(lambda prompt: f"Because you liked {prompt.instruction.history[-1].title}.")
    """

    def __init__(self, script: Script, *, name: str = "scripted", context_tokens: int | None = None) -> None:
        self.name = name
        self.context_tokens = context_tokens
        self._script = script

    def count_tokens(self, messages: Sequence[Message]) -> int:
        """Words, and one for each message."""
        return sum(len(message.content.split()) + 1 for message in messages)

    def generate(self, prompts: Iterable[Prompt]) -> Iterator[Answer]:
        for prompt in prompts:
            yield self._answer(prompt)

    def _answer(self, prompt: Prompt) -> Answer:
        line = self._script.get(prompt.key) if isinstance(self._script, Mapping) else self._script(prompt)
        if line is None:
            return Answer(prompt.key, "", "failed", detail="the script has no answer for this prompt")
        if isinstance(line, Answer):
            return replace(line, key=prompt.key)
        words = len(line.split())
        return Answer(
            prompt.key, line, ended(line), input_tokens=self.count_tokens(prompt.messages), output_tokens=words
        )
