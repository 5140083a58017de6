"""Stage 2 as a whole: recommendations x generator -> explanations, through a ledger.

Asking, resuming and paying is that of `llmxrec.asking.ask`, as it is for predictions (see `llmxrec.predict`).
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import polars as pl

from llmxrec.asking.answers import ANSWERED, latest
from llmxrec.asking.ask import Outcome, ask
from llmxrec.asking.questions import Question, Questions
from llmxrec.errors import InputError
from llmxrec.evidence.verification import Verifier
from llmxrec.generators.prices import Price
from llmxrec.ledger import Record
from llmxrec.progress import Advance, quiet
from llmxrec.records import Answer, Explanation, Source

SCHEMA = {**ANSWERED, "source": pl.String}
"""Explanation as a table."""


def explain(
    questions: Questions,
    file: Path,
    *,
    price: Price | None = None,
    max_tokens: int = 0,
    max_cost: float | None = None,
    settings: Mapping[str, Any] | None = None,
    verifier: Verifier | None = None,
    advance: Advance = quiet,
) -> Outcome:
    """Ask what `file` does not hold yet, and append each answer to it as it comes.

    With a `verifier`, an answer that may not be sent is kept as `rejected` and asked for again, as often as its rules
    say; then fixed sentences take its place, or nothing does.

    `price` and `max_tokens` (the most an answer can have) say what a row costs; the run ends before a row that could
    bring the cost of the ledger, earlier runs included, above `max_cost` USD. `settings` is what decides the answers;
    they are noted beside the ledger, and answers made otherwise are refused (see `refuse_to_mix`). Raises WorkError
    where all further prompts would fail too; what was answered is kept, and the same call goes on from there.
    """

    def explanation(question: Question, answer: Answer, paid: float | None, source: Source | None) -> Record:
        found = _explanation(questions, question, answer, paid, source)
        return {column: getattr(found, column) for column in SCHEMA}

    return ask(
        questions,
        file,
        explanation,
        price=price,
        max_tokens=max_tokens,
        max_cost=max_cost,
        settings=settings,
        verifier=verifier,
        advance=advance,
    )


def read_explanations(file: Path, recommendations: pl.DataFrame) -> pl.DataFrame:
    """The explanations of a ledger that are about `recommendations`, in their order, one row each (see SCHEMA).

    Where a row was asked again, because it had failed or its prompt changed, its last answer counts. Raises
    InputError where there is no such ledger.
    """
    if not file.exists():
        raise InputError("there are no such explanations yet", value=str(file), cure="make them with: llmxrec explain")
    return latest(file, recommendations, SCHEMA)


def _explanation(
    questions: Questions, question: Question, answer: Answer, paid: float | None, source: Source | None
) -> Explanation:
    prompt, rank, _ = question
    return Explanation(
        recommender=questions.recommender,
        generator=questions.generator.name,
        user_id=prompt.instruction.user.user_id,
        item_id=prompt.instruction.candidate.item_id,
        rank=rank,
        text=answer.text,
        status=answer.status,
        prompt=prompt.key,
        history=len(prompt.instruction.history),
        dropped=prompt.dropped,
        input_tokens=answer.input_tokens,
        output_tokens=answer.output_tokens,
        detail=answer.detail,
        cost=paid,
        source=source,
    )
