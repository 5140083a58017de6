"""Whether explanations tell whose they are: each text's person is looked for among others."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from llmxrec.evaluation.identifiability import (
    AMONG,
    OWN,
    POPULAR,
    SHUFFLED,
    Identified,
    Told,
    attributed_to_others,
    identify,
    most_popular,
    popular_sentence,
)
from llmxrec.evaluation.material import Part, Question, Row
from llmxrec.evaluation.reading import read_part
from llmxrec.evaluation.resemblance import Crowd, Person, Stranger
from llmxrec.evidence.claims import ClaimReader
from llmxrec.generators.template import sentence
from llmxrec.progress import progress
from llmxrec.seeds import derive
from llmxrec.workspace import Workspace

MOST = 10_000
"""Rows measured, at most: intervals are narrow by then, and reading more takes minutes."""


def identify_people(
    workspace: Workspace, recommender: str, generators: Sequence[str], among: int = AMONG, seed: int = 1
) -> list[Identified]:
    """How often the texts of each of `generators` tell their person, and what stands beside them.

    People are as generators were shown them. Each generator is followed by its own texts attributed to others; at the
    end come the template's sentences, and those that name what is popular, about all rows that any of them explained.
    Of more than MOST rows, so many are drawn.
    """
    part = read_part(workspace)
    questions = part.questions[recommender]
    crowd = Crowd({user: Person.of(question.instruction) for (user, _), question in questions.items()})
    had = (item for person in crowd.people.values() for item in person.items)
    reader = Stranger(ClaimReader(part.items, part.domain, _values(questions)), had)
    answers = {
        one.generator: {(row.user_id, row.item_id): row.text if row.status == "ok" else None for row in one.rows}
        for one in part.answers
        if one.recommender == recommender and one.generator in generators
    }
    rows = _some(sorted({row for texts in answers.values() for row in texts} & set(questions)), seed)
    found: list[Identified] = []

    def told(texts: Mapping[Row, str | None]) -> list[Told]:
        """As they are read without knowing whose they are."""
        return [
            Told(
                *row, None if texts[row] is None else reader.read(str(texts[row]), questions[row].instruction.candidate)
            )
            for row in rows
            if row in texts
        ]

    with progress("looking for people", len(answers) + 2, "generators") as advance:
        for name, answered in answers.items():
            texts = told(answered)
            found += identify(texts, crowd, name, among, seed)
            others = attributed_to_others(texts, crowd.people, seed)
            found += identify(others, crowd, f"{name}, {SHUFFLED}", among, seed)
            advance(1)
        for name, sentences in _references(part, questions, rows).items():
            if name not in answers:
                found += identify(told(sentences), crowd, name, among, seed)
            advance(1)
    return found


def _some(rows: list[Row], seed: int) -> list[Row]:
    if len(rows) <= MOST:
        return rows
    draw = np.random.Generator(np.random.PCG64(derive(seed, "identified")))
    return [rows[place] for place in np.sort(draw.choice(len(rows), MOST, replace=False))]


def _references(
    part: Part, questions: Mapping[Row, Question], rows: Sequence[Row]
) -> dict[str, Mapping[Row, str | None]]:
    """The sentences that stand beside generators, by row."""
    popular = most_popular({user: question.instruction.history for (user, _), question in questions.items()})
    asked = {row: questions[row].instruction for row in rows}
    return {
        OWN: {row: sentence(one, part.domain) for row, one in asked.items()},
        POPULAR: {row: popular_sentence(one.candidate, popular, part.domain) for row, one in asked.items()},
    }


def _values(questions: Mapping[Row, Question]) -> dict[str, set[str]]:
    """What occurs of each attribute of people, as generators were shown them."""
    out: dict[str, set[str]] = {}
    for question in questions.values():
        for column, value in question.instruction.user.attributes.items():
            out.setdefault(column, set()).add(value)
    return out
