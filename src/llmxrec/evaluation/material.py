"""What a workspace holds of explanations and verdicts, as records: what judges compare and the auditor looks at."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

import polars as pl

from llmxrec.records import Domain, Explanation, Instruction, Item

Row: TypeAlias = tuple[str, str]
"""A user and the item recommended to them: `user_id`, `item_id`."""

MAX_WORDS = 75
"""What an explanation is asked to keep where nothing else was noted: the paper's limit."""


@dataclass(frozen=True, slots=True)
class Question:
    """A recommendation as generators were shown it.

    `words` are those of the prompt where they are stored, else empty. `known`: the recommender knew that the user had
    the item already, whether or not it was shown.
    """

    instruction: Instruction
    words: str = ""
    known: bool = False


@dataclass(frozen=True, slots=True)
class Answers:
    """The explanations of one file: what `generator` said of what `recommender` recommends. One per row.

    `asked` tells how its prompts were to be made, where that was noted: the same text, the same way.
    """

    recommender: str
    generator: str
    rows: Sequence[Explanation]
    max_words: int = MAX_WORDS
    asked: str = ""


@dataclass(frozen=True)
class Part:
    """What one workspace holds, called `name`.

    `items` is the whole catalogue. `questions` has each row that was explained or stands first in a recommender's
    table, by recommender; `recommended` has the rows of the table and their ranks. `verdicts` (columns of VERDICTS) go
    by recommender and judge; `truths` are the values of each attribute of users.
    """

    name: str
    domain: Domain
    items: Sequence[Item]
    questions: Mapping[str, Mapping[Row, Question]]
    recommended: Mapping[str, Mapping[Row, int]] = field(default_factory=dict)
    answers: Sequence[Answers] = ()
    verdicts: Mapping[tuple[str, str], pl.DataFrame] = field(default_factory=dict)
    truths: Mapping[str, Sequence[str]] = field(default_factory=dict)
