"""What a study asks of whom, and when it ends: stated before it starts, and stored with it."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from llmxrec.settings import Settings

Mode = Literal["rate", "compare", "both"]
"""Raters give scores to one explanation, say which of two is better, or do both by turns."""

Kind = Literal["rate", "compare"]
"""What one task asks."""

Purpose = Literal["cell", "gold", "attention"]
"""What a task is for: a rating that counts, one whose answer is known, or a text that says how to answer."""


class StudyDesign(Settings):
    """The design of a study: `rows` recommendations x `generators`, each cell rated `ratings_per_cell` times.

    In a comparison a cell is a recommendation x two generators. People who rate their own recommendations come on top
    of the quotas.
    """

    recommender: str
    generators: Annotated[tuple[str, ...], Field(min_length=1)]
    """Names, as in the workspace. Raters never see them."""
    rows: Annotated[int, Field(ge=1)]
    """How many recommendations are sampled; each is explained by all generators."""
    ratings_per_cell: Annotated[int, Field(ge=1)] = 3
    """How many raters see each cell: exactly so many when the study is full."""
    mode: Mode = "rate"
    tasks_per_rater: Annotated[int, Field(ge=1)] = 50
    """How many cells one rater is given at most; checks and gold tasks come on top."""
    attention_every: Annotated[int, Field(ge=0)] = 20
    """In each so many tasks one attention check is hidden, at random; 0: none."""
    gold: Annotated[int, Field(ge=0)] = 2
    """How many tasks whose answer is known are spread over those of each rater."""
    hold_minutes: Annotated[float, Field(gt=0)] = 20.0
    """How long a task is kept for the rater who was shown it; then another may be given its place."""
    stop_at: Annotated[float, Field(gt=0)] | None = None
    """The stopping rule. None: when each cell has its quota. Else also when the 95 % interval of every generator's mean
    on every scale is narrower than this, in points."""
    seed: int = 1

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if len(set(self.generators)) < len(self.generators):
            raise ValueError("a study has each generator once")
        if self.mode != "rate" and len(self.generators) < 2:
            raise ValueError("a comparison takes two generators or more")
        if self.mode == "compare" and self.stop_at is not None:
            raise ValueError("stop_at is about scores: a study with comparisons only ends at its quotas")
        return self
