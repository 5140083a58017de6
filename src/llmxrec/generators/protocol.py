"""What a generator is. The conformance suite in `llmxrec.testing` checks every implementation, yours too."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Protocol

from llmxrec.records import Answer, Message, Prompt


class Generator(Protocol):
    """Answers prompts.

    `name` stands in tables and file names. `context_tokens` is how many tokens a prompt may have so that the
    answer still fits, None where there is no limit.
    """

    name: str
    context_tokens: int | None

    def count_tokens(self, messages: Sequence[Message]) -> int:
        """How many tokens the model would read; at least the true number where it can only be estimated."""
        ...

    def generate(self, prompts: Iterable[Prompt]) -> Iterator[Answer]:
        """Answer every prompt once, in any order; `Answer.key` is `Prompt.key`.

        Prompts are drawn as they are needed, so that a million rows stream in bounded memory, and answers are
        given out as they come. What goes wrong with one prompt is its answer's status, never an exception;
        WorkError is for what would go wrong with all the rest too (credit exhausted, key refused).
        """
        ...
