"""A workspace small enough to check by hand, and what explains in it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import polars as pl
from tests.worlds import small_dataset

from llmxrec.asking.ask import Outcome
from llmxrec.evidence.verification import Verification
from llmxrec.generators.scripted import ScriptedGenerator
from llmxrec.prompts.instructions import PromptSettings
from llmxrec.recipe import GeneratorRecipe
from llmxrec.records import Answer, Prompt
from llmxrec.stages.explaining import explain_recommendations, questions_about
from llmxrec.stages.recommending import write_recommendations
from llmxrec.workspace import Workspace

FIRST = pl.DataFrame(
    {
        "user_id": ["anna", "bob", "cleo"],
        "item_id": ["suspects", "fargo", "heat"],
        "rank": pl.Series([1, 1, 1], dtype=pl.Int32),
        "score": [0.9, 0.8, 0.7],
    }
)
"""What `bpr` recommends."""

Script = Callable[[Prompt], Answer | str]


def small_workspace(path: Path) -> Workspace:
    """Three people, each recommended one film."""
    workspace = Workspace(path)
    small_dataset().save(workspace.dataset)
    write_recommendations(workspace, "bpr", FIRST)
    return workspace


def explained(
    workspace: Workspace, generator: GeneratorRecipe, script: Script, rules: Verification | None = None
) -> Outcome:
    """What came of explaining `bpr` as `generator`, with what this script says."""
    asked = questions_about(workspace, "bpr", GeneratorRecipe(spec="template"), PromptSettings())
    asked = replace(asked, generator=ScriptedGenerator(script))
    return explain_recommendations(workspace, generator, asked, rules)


def named(prompt: Prompt) -> str:
    """What may be sent."""
    return f'You may like "{prompt.instruction.candidate.title}".'
