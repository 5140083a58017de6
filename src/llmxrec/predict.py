"""The paper's third evaluation as a stage: attributes predicted by generators, kept in a ledger (equation 5).

All attributes wanted of a recommendation are asked for in one prompt. Asking, resuming and paying is as for
explanations (see `llmxrec.asking.ask`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import polars as pl

from llmxrec.asking.answers import ANSWERED, latest
from llmxrec.asking.ask import Outcome, ask
from llmxrec.asking.questions import Question, Questions
from llmxrec.errors import InputError
from llmxrec.generators.prices import Price
from llmxrec.ledger import Record
from llmxrec.progress import Advance, quiet
from llmxrec.prompts.targets import read_answers
from llmxrec.records import Answer, Prediction, Source

PREDICTIONS = {"targets": pl.List(pl.String), **ANSWERED}
"""Prediction as a table."""


def predict(
    questions: Questions,
    file: Path,
    *,
    price: Price | None = None,
    max_tokens: int = 0,
    max_cost: float | None = None,
    settings: Mapping[str, Any] | None = None,
    advance: Advance = quiet,
) -> Outcome:
    """Ask what `file` does not hold yet, and append each answer to it as it comes; everything as in `explain`.

    An answer of which none of the targets can be read is `invalid`.
    """

    def prediction(question: Question, answer: Answer, paid: float | None, _: Source | None) -> Record:
        return asdict(_prediction(questions, question, answer, paid))

    return ask(
        questions,
        file,
        prediction,
        price=price,
        max_tokens=max_tokens,
        max_cost=max_cost,
        settings=settings,
        advance=advance,
    )


def read_predictions(file: Path, recommendations: pl.DataFrame) -> pl.DataFrame:
    """The predictions of a ledger that are about `recommendations`, in their order, one row each (see PREDICTIONS).

    The last answer to a row counts. Raises InputError where there is no such ledger.
    """
    if not file.exists():
        raise InputError("there are no such predictions yet", value=str(file), cure="make them with: llmxrec predict")
    return latest(file, recommendations, PREDICTIONS)


def _prediction(questions: Questions, question: Question, answer: Answer, paid: float | None) -> Prediction:
    prompt = question.prompt
    if answer.status == "ok" and not any(read_answers(answer.text, questions.targets, prompt.choices).values()):
        answer = replace(answer, status="invalid", detail="none of the attributes can be read")
    return Prediction(
        recommender=questions.recommender,
        generator=questions.generator.name,
        user_id=prompt.instruction.user.user_id,
        item_id=prompt.instruction.candidate.item_id,
        rank=question.rank,
        targets=questions.targets,
        text=answer.text,
        status=answer.status,
        prompt=prompt.key,
        history=len(prompt.instruction.history),
        dropped=prompt.dropped,
        input_tokens=answer.input_tokens,
        output_tokens=answer.output_tokens,
        detail=answer.detail,
        cost=paid,
    )
