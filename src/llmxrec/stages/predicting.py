"""The paper's third evaluation: attributes predicted, and measured beside the rules that have to be beaten."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import polars as pl

from llmxrec.asking.ask import Outcome
from llmxrec.asking.questions import Questions
from llmxrec.datasets.dataset import Dataset
from llmxrec.errors import InputError, MissingExtra
from llmxrec.evaluation.attributes import (
    FOLDS,
    Accuracy,
    Material,
    asked_for,
    features,
    guess_at_random,
    guess_by_regression,
    guess_the_most_frequent,
    measure,
)
from llmxrec.evaluation.reading import known_histories
from llmxrec.generators.folds import FoldedGenerator
from llmxrec.generators.protocol import Generator
from llmxrec.generators.specs import make_generator, read_spec
from llmxrec.predict import predict
from llmxrec.progress import progress
from llmxrec.prompts.instructions import PromptSettings, shown_for_attributes
from llmxrec.prompts.targets import Targets
from llmxrec.recipe import GeneratorRecipe, price_for
from llmxrec.stages.explaining import answer_settings, within_limit
from llmxrec.stages.timing import timed
from llmxrec.stored import knowledge, read_recommendations, stored_predictions
from llmxrec.tuning.adapters import folds, tuned_on
from llmxrec.workspace import Workspace


def attribute_questions(
    workspace: Workspace,
    recommender: str,
    generator: GeneratorRecipe,
    prompt: PromptSettings,
    targets: Sequence[str] | None = None,
    *,
    users: int | None = None,
    seed: int = 1,
) -> tuple[Questions, int]:
    """What the third evaluation asks about the first recommendation of each person, all of `targets` in one prompt
    (None: all that the dataset tells); and how many people are left out, for an adapter was tuned on them.

    Nothing is shown of the person but what `prompt` names. An adapter's folder that holds folds, `fold-1` and so on,
    stands for the one of them that was not tuned on the person. Raises InputError where nobody is left.
    """
    table = read_recommendations(workspace, recommender).filter(pl.col("rank") == 1)
    dataset = Dataset.load(workspace.dataset)
    known = known_histories(workspace, dataset, recommender)
    told = Targets.of(dataset, known)
    wanted = told.wanted(targets)
    specs = _folds(generator.spec)
    tuned = [_tuned_on(spec) for spec in specs]
    everybody = table["user_id"].unique(maintain_order=True).to_list()
    asked_of = {user: place for user in everybody if (place := _apart(user, tuned)) is not None}
    if not asked_of:
        raise InputError(
            "nobody is measured on whom the model was tuned on",
            value=f"it was tuned on all {len(everybody):,} people",
            cure="tune it on some of them (--users), or by parts (--folds)",
        )
    chosen = pl.DataFrame({"user_id": [*asked_of][:users]}).with_columns(
        place=pl.col("user_id").replace_strict(asked_of, return_dtype=pl.Int64)
    )
    settings = within_limit(generator)
    asked: Generator = (
        make_generator(generator.spec, settings)
        if len(specs) == 1
        else FoldedGenerator(specs, asked_of, settings, name=generator.spec)
    )
    questions = Questions.of(
        recommender,
        chosen.sort("place", maintain_order=True).join(table, on="user_id", maintain_order="left"),
        dataset,
        known,
        asked,
        shown_for_attributes(prompt),
        seed=seed,
        targets=wanted,
        choices=told.choices(wanted),
    )
    return questions, len(everybody) - len(asked_of)


def predict_attributes(workspace: Workspace, generator: GeneratorRecipe, questions: Questions) -> Outcome:
    """Have `generator` answer `questions` (see `attribute_questions`), from where an earlier run stopped."""
    recommender = questions.recommender
    with (
        timed(workspace, "predict", recommender, generator.label) as rows,
        progress(f"predicting for {recommender} with {generator.label}", len(questions)) as advance,
    ):
        outcome = predict(
            questions,
            workspace.predictions(recommender, generator.label),
            price=price_for(generator),
            max_tokens=generator.settings.max_tokens,
            max_cost=generator.max_cost,
            settings=prediction_settings(workspace, generator, questions),
            advance=advance,
        )
        rows(outcome.asked.total())
    return outcome


def measure_predictions(workspace: Workspace, recommender: str, seed: int = 1) -> tuple[list[Accuracy], list[str]]:
    """How often each generator's predictions are right, and the rules that they have to beat; and what was left out.

    The rules learn from all people whom any generator was asked about, and are measured on the rows of each: once for
    those of the same rows, whose names they stand beside. Needs SciPy for the regression; without it, that is left out
    and said.
    """
    dataset = Dataset.load(workspace.dataset)
    known = known_histories(workspace, dataset, recommender)
    told = Targets.of(dataset, known)
    tables = {name: stored_predictions(workspace, recommender, name) for name in workspace.predictors(recommender)}
    together = pl.concat(tables.values())
    names = asked_for(together)
    measured = [one for name, table in tables.items() for one in measure(table, name, told, seed)]
    asked = {name: _alike(tables, name) for name in names}
    found: list[Accuracy] = []
    notes: list[str] = []
    with progress("measuring the rules to beat", FOLDS * sum(map(len, asked.values())), "parts") as advance:
        for name, groups in asked.items():
            everything = pl.concat([rows for _, rows in groups]).unique(maintain_order=True)
            material = Material.of(name, everything, told)
            try:
                read = features(name, material.rows, dataset, known)
            except MissingExtra as error:
                read, notes = None, [f"left out: {error}"]
            for generators, rows in groups:
                rules = [guess_at_random(material, seed, of=rows), guess_the_most_frequent(material, seed, of=rows)]
                if read is not None:
                    rules.append(guess_by_regression(material, read, seed, advance, of=rows))
                found += [replace(rule, beside=", ".join(generators)) for rule in rules]
                found += [one for one in measured if one.target == name and one.who in generators]
    return found, notes


def _alike(tables: Mapping[str, pl.DataFrame], target: str) -> list[tuple[list[str], pl.DataFrame]]:
    """Names of `tables` of predictions that ask for `target` of the same rows, and those: user_id, item_id."""
    found: dict[frozenset[tuple[str, str]], tuple[list[str], pl.DataFrame]] = {}
    for name, table in tables.items():
        rows = table.filter(pl.col("targets").list.contains(target)).select("user_id", "item_id")
        if rows.height:
            found.setdefault(frozenset(rows.iter_rows()), ([], rows))[0].append(name)
    return list(found.values())


def prediction_settings(workspace: Workspace, generator: GeneratorRecipe, questions: Questions) -> dict[str, Any]:
    """All that decides what is predicted (see `answer_settings`)."""
    known = knowledge(workspace, questions.recommender)
    settings = answer_settings(workspace, generator, questions.settings, questions.seed, known)
    return {**settings, "targets": list(questions.targets)}


def _folds(spec: str) -> list[str]:
    """The specs that `spec` stands for: itself, or one for each fold of its adapter, in their order."""
    adapter = read_spec(spec).adapter
    return [f"{spec.rstrip('/')}/{fold.name}" for fold in folds(Path(adapter))] or [spec] if adapter else [spec]


def _tuned_on(spec: str) -> frozenset[str]:
    """The people that the adapter of `spec` learned from; none where it has none."""
    adapter = read_spec(spec).adapter
    return tuned_on(Path(adapter)) if adapter else frozenset()


def _apart(user: str, tuned: Sequence[frozenset[str]]) -> int | None:
    """The place of the first of `tuned` (people, by adapter) that `user` is not one of; None where there is none."""
    return next((place for place, people in enumerate(tuned) if user not in people), None)
