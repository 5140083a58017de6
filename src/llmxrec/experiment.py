"""A whole experiment, top to bottom: the paper's Figure 1 as far as it is built.

`run` is the way through; each stage stands alone too, in the room `stages`.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from llmxrec.datasets import read_dataset
from llmxrec.datasets.domains import load_domain
from llmxrec.errors import InputError
from llmxrec.evaluation.gate import prepare
from llmxrec.generators.specs import make_generator
from llmxrec.notes import refuse_to_mix
from llmxrec.prompts.instructions import check_shown
from llmxrec.recipe import JudgeRecipe, Recipe
from llmxrec.recommenders import make_recommender
from llmxrec.reports.attributes import accuracy_lines, write_table_3
from llmxrec.reports.tables import verdict_lines, write_tables
from llmxrec.stages.data import find_source, store_dataset
from llmxrec.stages.explaining import answer_settings, explain_recommendations, questions_about
from llmxrec.stages.judging import judge_explanations, judge_settings
from llmxrec.stages.predicting import attribute_questions, measure_predictions, predict_attributes
from llmxrec.stages.recommending import check_measurable, is_trained, recommend
from llmxrec.stages.tracing import trace
from llmxrec.stored import EXTERNAL, read_recommendations
from llmxrec.workspace import Workspace, safe_name

Say = Callable[[str], None]


def run(recipe: Recipe, workspace: Workspace, say: Say = print) -> None:
    """Everything that `recipe` describes. What is already in the workspace and was made the same way is kept."""
    if not workspace.dataset.exists():
        dataset, report = read_dataset(recipe.dataset.kind, find_source(recipe.dataset.kind, recipe.dataset.source))
        store_dataset(workspace, dataset, report, kind=recipe.dataset.kind)
        for line in report.lines():
            say(f"  {line}")
    _check_fit(recipe, workspace)
    workspace.note("recipe", **recipe.model_dump(mode="json"))
    for entry in recipe.recommenders:
        how: dict[str, Any] = {"k": recipe.k, "hold_out": recipe.hold_out, "seed": recipe.seed}
        if entry.name != EXTERNAL and not is_trained(workspace, entry.name, entry.settings, **how):
            say(f"  {entry.name}: {recommend(workspace, entry.name, entry.settings, **how)}")
    for name in recipe.explain.recommenders or [entry.name for entry in recipe.recommenders]:
        if not workspace.evidence(name).exists():
            say(f"  {name}: {'; '.join(trace(workspace, name, top=recipe.explain.top).lines())}")
        for generator in recipe.generators:
            questions = questions_about(
                workspace,
                name,
                generator,
                recipe.prompt,
                users=recipe.explain.users,
                top=recipe.explain.top,
                seed=recipe.seed,
            )
            outcome = explain_recommendations(workspace, generator, questions, recipe.explain.verify)
            say(f"  {name} x {generator.label}: {'; '.join(outcome.lines())}")
    for judge in recipe.judges:
        _judge_all(recipe, workspace, judge, say)
    for name in recipe.predict.recommenders or [entry.name for entry in recipe.recommenders]:
        for generator in recipe.generators:
            if generator.label in recipe.predict.generators:
                questions, left_out = attribute_questions(
                    workspace, name, generator, recipe.prompt, recipe.predict.targets, users=recipe.predict.users,
                    seed=recipe.seed,
                )  # fmt: skip
                outcome = predict_attributes(workspace, generator, questions)
                aside = f"; left out: {left_out:,} on whom it was tuned" if left_out else ""
                say(f"  {name} x {generator.label}, attributes: {'; '.join(outcome.lines())}{aside}")
        if recipe.predict.generators:
            found, notes = measure_predictions(workspace, name, recipe.seed)
            for line in (*accuracy_lines(found), *notes):
                say(f"    {line}")
            say(f"  wrote {write_table_3(found, workspace, name)}")


def _judge_all(recipe: Recipe, workspace: Workspace, entry: JudgeRecipe, say: Say) -> None:
    """Have one judge, measured first, compare the explanations of each recommender; write the tables."""
    train, test = (None if file is None else Path(file) for file in (entry.train, entry.test))
    judge, measured = prepare(entry.spec, train, test, seed=recipe.seed)
    for line in measured.validity.lines() if measured else ():
        say(f"    {line}")
    for name in recipe.explain.recommenders or [one.name for one in recipe.recommenders]:
        settings = judge_settings(entry.spec, judge, train, recipe.seed)
        judged = judge_explanations(workspace, name, judge, measured, settings)
        say(f"  {name}, judged by {entry.spec}: {'; '.join(judged.lines())}")
    places = {safe_name(workspace.path.resolve().name): workspace}
    for line in verdict_lines(places, recipe.seed):
        say(f"    {line}")
    for file in write_tables(places, workspace, recipe.seed):
        say(f"  wrote {file}")


def _check_fit(recipe: Recipe, workspace: Workspace) -> None:
    """Raises InputError where the workspace holds what the recipe would spoil, before anything is done."""
    held = workspace.read_manifest().get("dataset", {})
    kind, source = held.get("kind"), str(held.get("source"))
    other = recipe.dataset.source is not None and Path(recipe.dataset.source).resolve() != Path(source).resolve()
    if kind != recipe.dataset.kind or other:
        raise InputError(
            f"{workspace.path} holds the dataset '{kind}' of {source}",
            value=recipe.dataset.source if other else recipe.dataset.kind,
            cure="choose another --workspace",
        )
    check_shown(recipe.prompt, load_domain(workspace.dataset / "domain.toml"))
    for generator in recipe.generators:
        # Asked nothing, it says whether it could be asked: a model that is there, a key that is set.
        for _ in make_generator(generator.spec, generator.settings).generate(()):
            pass
    for entry in recipe.recommenders:
        how: dict[str, Any] = {"hold_out": False}
        if entry.name == EXTERNAL:
            read_recommendations(workspace, EXTERNAL)
        else:
            check_measurable(entry.name, recipe.hold_out)
            settings = make_recommender(entry.name, entry.settings, seed=recipe.seed).settings
            how = {"hold_out": recipe.hold_out, "settings": settings.model_dump(mode="json")}
        if entry.name in (recipe.explain.recommenders or [entry.name]):
            for generator in recipe.generators:
                file = workspace.explanations(entry.name, generator.label)
                made = answer_settings(generator, recipe.prompt, recipe.seed, how, recipe.explain.verify)
                refuse_to_mix(file, made)
