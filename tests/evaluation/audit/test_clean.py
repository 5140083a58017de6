"""Data without a fault is left in peace: no warning, nothing critical, whatever the seed."""

from __future__ import annotations

import random
from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest
from tests.evaluation.audit.worlds import serious, simulated, verdicts

from llmxrec.datasets.demo.simulation import simulate
from llmxrec.evaluation.audit import audit
from llmxrec.evaluation.audit.material import Material
from llmxrec.evaluation.audit.reading import read_material
from llmxrec.prompts.instructions import PromptSettings
from llmxrec.recipe import GeneratorRecipe
from llmxrec.records import Winner
from llmxrec.stages import data, explaining, recommending
from llmxrec.workspace import Workspace


@pytest.mark.parametrize("seed", range(20))
def test_true_explanations_in_four_shapes(seed: int) -> None:
    assert serious(audit(Material([simulated(seed), simulated(seed + 100)]))) == []


@pytest.mark.parametrize("seed", range(20))
def test_a_noisy_judge_asked_in_both_orders(seed: int) -> None:
    def judge(first: str, second: str, draw: random.Random) -> Winner:
        return (
            draw.choice(["first", "second", "tie"]) if draw.random() < 0.5 else "first" if first > second else "second"
        )

    rows = [(f"u{seed}/{n}", "i") for n in range(150)]
    part = replace(simulated(1), verdicts={("r", "j"): verdicts(rows, ("a", "b", "c"), judge, both=True)})
    assert serious(audit(Material([part]))) == []


@pytest.mark.parametrize("seed", (1, 2, 3))
def test_our_own_generators_through_the_real_stage(tmp_path: Path, seed: int) -> None:
    workspace = Workspace(tmp_path / "demo")
    dataset, report = simulate(150, seed)
    data.store_dataset(workspace, dataset, report, kind="demo")
    seen = dict(dataset.interactions.group_by("user_id").agg("item_id").iter_rows())
    rows = []
    for user_id, items in seen.items():
        draw = random.Random(f"{seed}/{user_id}")
        unseen = [item for item in dataset.items["item_id"].to_list() if item not in items]
        rows += [(user_id, item, rank) for rank, item in enumerate(draw.sample(unseen, 3), 1)]
    table = pl.DataFrame(rows, schema={"user_id": pl.String, "item_id": pl.String, "rank": pl.Int32}, orient="row")
    recommending.write_recommendations(workspace, "ours", table)
    for spec in ("embedded", "template"):
        recipe = GeneratorRecipe(spec=spec)
        questions = explaining.questions_about(workspace, "ours", recipe, PromptSettings(history=10), seed=seed)
        explaining.explain_recommendations(workspace, recipe, questions)
    material = read_material(tmp_path)
    (part,) = material.parts
    assert len(part.questions["ours"]) == 150 and len(part.recommended["ours"]) == 450
    assert all(len(asked.instruction.history) == 10 for asked in part.questions["ours"].values())
    found = audit(material)
    assert serious(found) == []
    named = {finding.about: finding.count for finding in found if finding.check == "history named"}
    assert named == {"demo: ours x embedded": 150, "demo: ours x template": 150}
