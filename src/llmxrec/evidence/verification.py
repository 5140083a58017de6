"""Whether an explanation may be sent: it says nothing that its prompt does not support, and says what it has to."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Annotated, Literal

from pydantic import Field

from llmxrec.evidence.claims import Claim, ClaimReader
from llmxrec.evidence.refusals import is_refusal
from llmxrec.records import Answer, Message, Prompt
from llmxrec.settings import Settings

Problem = tuple[str, str]
"""What kind it is, one of KINDS, and what it is, in words that a generator can heed."""

_MOST_TOLD = 400
"""Characters of what was wrong that a prompt is made longer by."""

KINDS = (
    "no answer",
    "refusal",
    "too long",
    "wrong candidate",
    "unsupported title",
    "unsupported attribute",
    "profile told",
)


class Verification(Settings):
    """What is done about an explanation that may not be sent."""

    again: Annotated[int, Field(ge=0, le=10)] = 2
    """Times that it is asked for again, at most."""
    otherwise: Literal["template", "withhold"] = "template"
    """After that: fixed sentences take its place, or nothing."""
    may_tell: tuple[str, ...] = ()
    """What of the person an explanation may tell them, by column: age, gender, occupation."""


@dataclass(frozen=True)
class Verifier:
    """Reads what a text claims and says what is wrong with it.

    `ordinary` are words that a sentence may begin with; any other there may be a name.
    """

    reader: ClaimReader
    rules: Verification
    ordinary: frozenset[str] | None = None

    def problems(self, prompt: Prompt, answer: Answer) -> list[Problem]:
        """What is wrong with `answer` to `prompt`; nothing where it may be sent."""
        return list(self._problems(prompt, answer))

    def _problems(self, prompt: Prompt, answer: Answer) -> Iterator[Problem]:
        if answer.status == "refused" or is_refusal(answer.text):
            yield "refusal", "it declines to answer"
            return
        if answer.status != "ok" or not answer.text.strip():
            yield "no answer", f"it is {answer.status if answer.status != 'ok' else 'empty'}"
            return
        if (words := len(answer.text.split())) > prompt.max_words:
            yield "too long", f"it has {words} words, {prompt.max_words} at most are allowed"
        claims = self.reader.read(answer.text, prompt.instruction)
        if not any(claim.kind == "title" and claim.about == "candidate" for claim in claims):
            yield "wrong candidate", f"it does not name what is recommended, {prompt.instruction.candidate.title!r}"
        for claim in claims:
            yield from self._of_claim(claim)
        for name in self.reader.suspects(answer.text, prompt.instruction, self.ordinary):
            yield "unsupported title", f"it names {name!r}, of which nothing was told"

    def _of_claim(self, claim: Claim) -> Iterator[Problem]:
        if claim.kind == "profile":
            if claim.about is None or claim.column not in self.rules.may_tell:
                yield "profile told", f"it tells the customer their {claim.column}"
        elif claim.about is None and claim.kind == "title":
            yield "unsupported title", f"it names {claim.value!r}, which was not shown"
        elif claim.about is None:
            yield "unsupported attribute", f"nothing that was shown has {claim.column} {claim.value!r}"


def told(problems: Sequence[Problem]) -> str:
    """What is wrong, in a line."""
    return "; ".join(dict.fromkeys(f"{kind}: {what}" for kind, what in problems))


def asked_again(prompt: Prompt, wrong: str, seed: int) -> Prompt:
    """`prompt` for another attempt: with what was `wrong` with the last, and another `seed`."""
    *before, last = prompt.messages
    words = f"{last.content}\n\nAn earlier answer could not be sent ({wrong[:_MOST_TOLD]}). Write one that can."
    return replace(prompt, messages=(*before, Message(last.role, words)), seed=seed)
