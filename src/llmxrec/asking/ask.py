"""Asking itself: what a ledger does not hold yet is asked, verified if wanted, and kept.

Every answer is on disk before more is asked for, so a run can be killed at any moment: the same call goes on where it
stopped and asks only for what is missing.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from llmxrec.asking.answers import answer_rows
from llmxrec.asking.purse import Purse
from llmxrec.asking.questions import Question, Questions, probe
from llmxrec.errors import InputError, WorkError
from llmxrec.evidence.verification import Verifier, asked_again, told
from llmxrec.generators.prices import Price
from llmxrec.generators.template import sentences
from llmxrec.ledger import Ledger, Record
from llmxrec.notes import settle
from llmxrec.progress import Advance
from llmxrec.records import Answer, Prompt, Source
from llmxrec.seeds import derive

log = logging.getLogger(__name__)


@dataclass
class Outcome:
    """What a run did. `asked` counts the answers of this run by status; `cost` is in USD, of the whole ledger.

    Where answers are verified, `rejected` counts those that may not be sent, `wrong` why (see `verification.KINDS`),
    and `replaced` the rows in which fixed sentences took their place.
    """

    rows: int
    known: int = 0
    asked: Counter[str] = field(default_factory=Counter)
    rejected: int = 0
    wrong: Counter[str] = field(default_factory=Counter)
    replaced: int = 0
    shortened: int = 0
    cost: float = 0.0
    out_of_money: bool = False

    def lines(self) -> list[str]:
        """The outcome for people."""
        counts = ", ".join(f"{count:,} {status}" for status, count in self.asked.most_common()) or "nothing to ask"
        known = f" ({self.known:,} were answered before)" if self.known else ""
        out = [f"{self.rows:,} rows: {counts}{known}"]
        if self.rejected:
            why = ", ".join(f"{kind} {count:,}" for kind, count in self.wrong.most_common())
            out.append(
                f"{self.rejected:,} answers may not be sent ({why}); {self.replaced:,} rows have fixed sentences"
            )
        if self.shortened:
            out.append(f"{self.shortened:,} prompts were too long for the model: their oldest history was left out")
        if self.cost:
            out.append(f"cost so far: {self.cost:,.4f} USD")
        if self.out_of_money:
            out.append("stopped: the next row could exceed the most it may cost; allow more, and it goes on from there")
        return out


Written = Callable[[Question, Answer, float | None, Source | None], Record]
"""The row of a question, its answer, what it cost, and who wrote it, if that was verified."""


def ask(
    questions: Questions,
    file: Path,
    written: Written,
    *,
    price: Price | None,
    max_tokens: int,
    max_cost: float | None,
    settings: Mapping[str, Any] | None,
    verifier: Verifier | None = None,
    advance: Advance,
) -> Outcome:
    """What `explain` does, for whatever is asked."""
    if max_cost is not None and price is None:
        raise InputError("a limit of cost needs a price", cure="say what a million tokens, read and written, cost")
    probe(questions)
    with Ledger(file) as ledger:
        if settings is not None:
            settle(file, settings)
        asking = _Asking(questions, ledger, written, Purse(price, max_tokens, max_cost), verifier, advance)
        for row in answer_rows(file):
            asking.remember(row)
        asking.go_on()
    return asking.outcome


class _Asking:
    """A run under way: what was answered before, what is being asked, and what has to be asked again.

    `rejected` has, by prompt, what was wrong with each answer that may not be sent, until one may or none is left to
    ask for. Only such prompts are held in memory, so that a million rows stream through. `waiting` has, by prompt, the
    question under way and the prompt that asks it now.
    """

    def __init__(
        self,
        questions: Questions,
        ledger: Ledger,
        written: Written,
        purse: Purse,
        verifier: Verifier | None,
        advance: Advance,
    ) -> None:
        self.questions, self.ledger, self.written = questions, ledger, written
        self.purse, self.verifier, self.advance = purse, verifier, advance
        self.outcome = Outcome(rows=len(questions))
        self.done: set[str] = set()
        self.rejected: dict[str, list[str]] = {}
        self.waiting: dict[str, tuple[Question, Prompt]] = {}

    def remember(self, row: Mapping[str, Any]) -> None:
        """Count in a row of an earlier run."""
        self.purse.remember(row)
        if row["status"] == "rejected":
            self.rejected.setdefault(row["prompt"], []).append(str(row.get("detail") or ""))
        elif row["status"] != "failed":
            self.done.add(row["prompt"])
            self.rejected.pop(row["prompt"], None)

    def go_on(self) -> None:
        """Ask all that is missing; then, as long as there are any, those again whose answers may not be sent."""
        file, kept = self.ledger.file, len(self.done)
        log.info("%s: %s rows, %s answers are kept from before", file, f"{self.outcome.rows:,}", f"{kept:,}")
        self._round(self._missing())
        while self.verifier is not None and self.rejected and not self.outcome.out_of_money:
            before = {key: len(wrong) for key, wrong in self.rejected.items()}
            log.info("%s answers may not be sent; these rows are asked again", f"{len(self.rejected):,}")
            self._round(self._again())
            if {key: len(wrong) for key, wrong in self.rejected.items()} == before:
                break  # what is left got no answer, or is of rows that are not asked about this time
        self.outcome.cost = self.purse.spent

    def _round(self, prompts: Iterator[Prompt]) -> None:
        name = self.questions.generator.name
        with closing(_closable(self.questions.generator.generate(prompts))) as answers:
            for answer in answers:
                if answer.key not in self.waiting:
                    raise WorkError(f"generator '{name}' answered a prompt that it was not asked, or twice")
                question, asked = self.waiting.pop(answer.key)
                self._keep(question, answer, self.purse.pay(asked, answer))
        if self.waiting:
            raise WorkError(f"generator '{name}' left {len(self.waiting)} prompts without an answer")

    def _missing(self) -> Iterator[Prompt]:
        for question in self.questions.prompts():
            key = question.prompt.key
            self.outcome.shortened += question.prompt.dropped > 0 and question.problem is None
            if key in self.done:
                self.outcome.known += 1
                self.advance(1)
            elif question.problem is not None:
                self._keep(question, Answer(key, "", "invalid", 0, 0, question.problem), self.purse.nothing)
            else:
                yield from self._asked(question)
                if self.outcome.out_of_money:
                    return

    def _again(self) -> Iterator[Prompt]:
        for question in self.questions.prompts():
            if question.prompt.key in self.rejected:
                yield from self._asked(question)
                if self.outcome.out_of_money:
                    return

    def _asked(self, question: Question) -> Iterator[Prompt]:
        """The prompt that asks `question`, if it may still be asked and paid."""
        prompt = question.prompt
        wrong = self.rejected.get(prompt.key, [])
        if self.verifier is not None and len(wrong) > self.verifier.rules.again:
            self._replace(question)
            return
        if wrong:
            # It is longer then: what it costs is not what the first attempt did.
            prompt = asked_again(prompt, wrong[-1], derive(prompt.seed, "again", len(wrong)))
        if self.purse.reserve(prompt):
            self.waiting[prompt.key] = question, prompt
            yield prompt
        else:
            self.outcome.out_of_money = True

    def _keep(self, question: Question, answer: Answer, paid: float | None) -> None:
        if self.verifier is None or answer.status == "failed":
            self._settle(question, answer, paid, None)
            return
        key = question.prompt.key
        problems = self.verifier.problems(question.prompt, answer)
        if not problems:
            before = "; ".join(dict.fromkeys(self.rejected.pop(key, [])))
            self._settle(question, replace(answer, detail=before or answer.detail), paid, "generator")
            return
        wrong = told(problems)
        self.outcome.rejected += 1
        self.outcome.wrong.update({kind for kind, _ in problems})
        self.ledger.append(self.written(question, replace(answer, status="rejected", detail=wrong), paid, None))
        self.rejected.setdefault(key, []).append(wrong)
        if question.problem is not None or len(self.rejected[key]) > self.verifier.rules.again:
            self._replace(question)

    def _replace(self, question: Question) -> None:
        """Put what may be sent, if there is anything, in the place of what may not."""
        wrong = "; ".join(dict.fromkeys(self.rejected.pop(question.prompt.key)))
        text = None if self.verifier is None else instead(self.verifier, question.prompt)
        self.outcome.replaced += text is not None
        answer = Answer(question.prompt.key, text or "", "ok" if text else "withheld", 0, 0, wrong)
        self._settle(question, answer, self.purse.nothing, "template" if text else None)

    def _settle(self, question: Question, answer: Answer, paid: float | None, source: Source | None) -> None:
        row = self.written(question, answer, paid, source)
        self.ledger.append(row)
        self.outcome.asked[row["status"]] += 1
        self.advance(1)


def instead(verifier: Verifier, prompt: Prompt) -> str | None:
    """Fixed sentences that may be sent in the place of an answer; None where none may, or the rules want none."""
    if verifier.rules.otherwise == "withhold":
        return None
    texts = sentences(prompt.instruction, prompt.domain)
    return next((text for text in texts if not verifier.problems(prompt, Answer(prompt.key, text))), None)


def _closable(answers: Iterator[Answer]) -> Any:
    """`answers` itself if it can be closed, as generators can: so that an interrupted run stops asking at once."""
    return answers if hasattr(answers, "close") else (answer for answer in answers)
