"""What a rater answers to a task."""

from __future__ import annotations

from typing import Annotated, TypeAlias

from pydantic import Field

from llmxrec.records import Winner
from llmxrec.settings import Settings

Score: TypeAlias = Annotated[int, Field(ge=1, le=10)]
Comment: TypeAlias = Annotated[str, Field(max_length=4000)]


class Scores(Settings):
    """The answer to a rating: three scores from 1 to 10, higher is better, as in the paper."""

    reasonability: Score
    attractiveness: Score
    redundancy: Score
    comment: Comment = ""


class Choice(Settings):
    """The answer to a comparison: which of the texts, in the order shown, explains better."""

    winner: Winner
    comment: Comment = ""


Answer: TypeAlias = Scores | Choice
