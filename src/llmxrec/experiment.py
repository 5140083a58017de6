"""A whole experiment, top to bottom: the paper's Figure 1.

`run` is the way through; each stage stands alone too, in the room `stages`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from llmxrec.asking.answers import answer_rows
from llmxrec.asking.purse import Purse
from llmxrec.datasets import read_dataset
from llmxrec.datasets.dataset import Dataset
from llmxrec.datasets.domains import load_domain
from llmxrec.errors import InputError
from llmxrec.evaluation.gate import prepare
from llmxrec.evaluation.reading import known_histories
from llmxrec.generators.specs import make_generator
from llmxrec.notes import read_notes, refuse_to_mix
from llmxrec.prompts.instructions import check_shown, shown_for_attributes
from llmxrec.prompts.targets import Targets
from llmxrec.recipe import AdapterRecipe, GeneratorRecipe, JudgeRecipe, Recipe, price_for
from llmxrec.recommenders import FITTED_ELSEWHERE, make_recommender
from llmxrec.reports.attributes import accuracy_lines, write_table_3
from llmxrec.reports.faithfulness import faithfulness_lines, write_faithfulness
from llmxrec.reports.people import fairness_lines, identified_lines, write_fairness, write_identified
from llmxrec.reports.tables import verdict_lines, write_tables
from llmxrec.settings import check
from llmxrec.sources import gather, some
from llmxrec.stages.data import check_same, find_source, store_dataset
from llmxrec.stages.explaining import answer_settings, explain_recommendations, questions_about
from llmxrec.stages.fairness import ask_flipped, check_attribute, check_flippable, flip, measure_fairness
from llmxrec.stages.faithful import measure_faithfulness
from llmxrec.stages.identifying import identify_people
from llmxrec.stages.judging import judge_explanations, judge_settings
from llmxrec.stages.predicting import attribute_questions, measure_predictions, predict_attributes
from llmxrec.stages.recommending import check_measurable, is_trained, recommend
from llmxrec.stages.tracing import trace_missing
from llmxrec.stages.tuning import tune, usual_settings
from llmxrec.stored import EXTERNAL, read_recommendations, rests_on_a_stand_in
from llmxrec.tuning.loop import TuningSettings
from llmxrec.workspace import Workspace

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
        if entry.name == EXTERNAL:
            continue
        how: dict[str, Any] = {"k": recipe.k, "hold_out": recipe.hold_out, "seed": recipe.seed}
        # What was fitted elsewhere may have been fitted anew, to the same file.
        kept = entry.name not in FITTED_ELSEWHERE and is_trained(workspace, entry.name, entry.settings, **how)
        if not kept:
            say(f"  {entry.name}: {recommend(workspace, entry.name, entry.settings, **how)}")
    for adapter in recipe.adapters:
        _tune(recipe, workspace, adapter, say)
    explaining = [with_adapter(entry, workspace) for entry in recipe.explaining]
    predicting = [entry for entry in recipe.generators if entry.label in recipe.predict.generators]
    for name in recipe.explained:
        _explain(recipe, workspace, name, explaining, say)
    for judge in recipe.judges:
        _judge(recipe, workspace, judge, recipe.explained, say)
    for name in recipe.predicted:
        _predict(recipe, workspace, name, [with_adapter(entry, workspace) for entry in predicting], say)
    for name in recipe.explained:
        _measure(recipe, workspace, name, explaining, say)


def with_adapter(entry: GeneratorRecipe, workspace: Workspace) -> GeneratorRecipe:
    """`entry` with the adapter of the recipe, if it has one, as part of its spec: where it lies in `workspace`."""
    if entry.adapter is None:
        return entry
    spec = f"{entry.spec}+{workspace.adapter(entry.adapter)}"
    return entry.model_copy(update={"spec": spec, "name": entry.label, "adapter": None})


def _with_what_is_left(generator: GeneratorRecipe, workspace: Workspace, *files: Path) -> GeneratorRecipe:
    """`generator`, whose limit of cost is what all else that it was asked in `workspace` leaves for the ledgers
    `files`."""
    if generator.max_cost is None:
        return generator
    purse = Purse(price_for(generator), generator.settings.max_tokens, limit=None)
    for recommender in workspace.recommenders():
        flips = [
            file
            for file in workspace.flips(recommender)
            if read_notes(file).get("flipped", {}).get("generator") == generator.label
        ]
        for file in (
            workspace.explanations(recommender, generator.label),
            workspace.predictions(recommender, generator.label),
            *flips,
        ):
            for row in answer_rows(file) if file not in files else ():
                purse.remember(row)
    return generator.model_copy(update={"max_cost": max(0.0, generator.max_cost - purse.spent)})


def _tune(recipe: Recipe, workspace: Workspace, entry: AdapterRecipe, say: Say) -> None:
    usual = usual_settings(entry.base, entry.tasks).model_dump()
    settings = check(TuningSettings, {**usual, **entry.settings}, f"adapter '{entry.name}'")
    whose = entry.recommenders or [one.name for one in recipe.recommenders]
    whole = entry.base == "embedded"
    lessons = gather(workspace, entry.tasks, entry.sources, whose, None, recipe.prompt, seed=settings.seed, whole=whole)
    lessons = lessons if entry.rows is None else some(lessons, entry.rows, settings.seed)
    cards = tune(workspace, entry.base, entry.name, lessons, settings, prompt=recipe.prompt, folds=entry.folds,
                 say=lambda text: say(f"  {text}"))  # fmt: skip
    for folder, card in cards.items():
        say(f"  {folder.relative_to(workspace.path)}: {card.rows:,} rows learned, loss {card.curve.loss[-1]:.3f}")


def _explain(recipe: Recipe, workspace: Workspace, name: str, generators: list[GeneratorRecipe], say: Say) -> None:
    traced = trace_missing(workspace, name, top=recipe.explain.top)
    if traced is not None:
        say(f"  {name}: {'; '.join(traced.lines())}")
    for entry in generators:
        generator = _with_what_is_left(entry, workspace, workspace.explanations(name, entry.label))
        questions = questions_about(
            workspace,
            name,
            generator,
            generator.asked(recipe.prompt),
            users=recipe.explain.users,
            top=recipe.explain.top,
            seed=recipe.seed,
        )
        outcome = explain_recommendations(workspace, generator, questions, recipe.explain.verify)
        say(f"  {name} x {generator.label}: {'; '.join(outcome.lines())}")


def _judge(recipe: Recipe, workspace: Workspace, entry: JudgeRecipe, explained: tuple[str, ...], say: Say) -> None:
    """Have one judge, measured first, compare the explanations of each recommender; write the tables."""
    train, test = (None if file is None else Path(file) for file in (entry.train, entry.test))
    judge, measured = prepare(entry.spec, train, test, seed=recipe.seed)
    for line in measured.validity.lines() if measured else ():
        say(f"    {line}")
    for name in explained:
        settings = judge_settings(entry.spec, judge, train, recipe.seed)
        judged = judge_explanations(workspace, name, judge, measured, settings)
        say(f"  {name}, judged by {entry.spec}: {'; '.join(judged.lines())}")
    places = {workspace.name: workspace}
    for line in verdict_lines(places, recipe.seed):
        say(f"    {line}")
    for file in write_tables(places, workspace, recipe.seed):
        say(f"  wrote {file}")


def _predict(recipe: Recipe, workspace: Workspace, name: str, generators: list[GeneratorRecipe], say: Say) -> None:
    """Have attributes predicted and measured beside rules; write the table."""
    for entry in generators:
        generator = _with_what_is_left(entry, workspace, workspace.predictions(name, entry.label))
        questions, left_out = attribute_questions(
            workspace, name, generator, generator.asked(recipe.prompt), recipe.predict.targets,
            users=recipe.predict.users, seed=recipe.seed,
        )  # fmt: skip
        outcome = predict_attributes(workspace, generator, questions)
        aside = f"; left out: {left_out:,} on whom it was tuned" if left_out else ""
        say(f"  {name} x {generator.label}, attributes: {'; '.join(outcome.lines())}{aside}")
    if generators:
        found, notes = measure_predictions(workspace, name, recipe.seed)
        for line in (*accuracy_lines(found), *notes):
            say(f"    {line}")
        say(f"  wrote {write_table_3(found, workspace, name)}")


def _measure(recipe: Recipe, workspace: Workspace, name: str, generators: list[GeneratorRecipe], say: Say) -> None:
    """What else the recipe wants to know of the explanations of `name`; write the tables."""
    labels, wanted = [generator.label for generator in generators], recipe.measure
    if wanted.faithfulness and labels:
        measured = measure_faithfulness(workspace, name, seed=recipe.seed)
        for label, one in measured.items():
            for line in faithfulness_lines(name, label, one):
                say(f"    {line}")
        stand_in = rests_on_a_stand_in(workspace, name)
        say(f"  wrote {write_faithfulness({name: measured}, {name: stand_in}, workspace)}")
    if wanted.identify is not None and labels:
        found = identify_people(workspace, name, labels, wanted.identify, recipe.seed)
        for line in identified_lines(found):
            say(f"    {line}")
        say(f"  wrote {write_identified(found, workspace, name)}")
    for attribute in wanted.fairness if wanted.flip else ():
        for generator in generators:
            asked = flip(workspace, name, generator, generator.asked(recipe.prompt), attribute,
                         users=recipe.explain.users, seed=recipe.seed)  # fmt: skip
            files = (workspace.flipped(name, generator.label, attribute, value) for value in asked.values)
            asked = replace(asked, generator=_with_what_is_left(generator, workspace, *files))
            for value, outcome in ask_flipped(workspace, asked):
                say(f"  {name} x {generator.label}, {attribute} {value}: {'; '.join(outcome.lines())}")
    if wanted.fairness and labels:
        contrasts = measure_fairness(workspace, name, labels, wanted.fairness, recipe.seed)
        for line in fairness_lines(contrasts):
            say(f"    {line}")
        say(f"  wrote {write_fairness(contrasts, workspace, name)}")


def _check_fit(recipe: Recipe, workspace: Workspace) -> None:
    """Raises InputError where the workspace holds what the recipe would spoil, before anything is done."""
    check_same(workspace, recipe.dataset.kind, recipe.dataset.source)
    domain = load_domain(workspace.dataset / "domain.toml")
    _check_people(recipe, Dataset.load(workspace.dataset))
    for generator in recipe.generators:
        check_shown(generator.asked(recipe.prompt), domain)
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
        if entry.name in recipe.explained:
            for generator in (with_adapter(one, workspace) for one in recipe.explaining):
                file = workspace.explanations(entry.name, generator.label)
                prompt = generator.asked(recipe.prompt)
                refuse_to_mix(
                    file, answer_settings(workspace, generator, prompt, recipe.seed, how, recipe.explain.verify)
                )
        if entry.name in recipe.predicted:
            for generator in (with_adapter(one, workspace) for one in recipe.generators):
                if generator.label in recipe.predict.generators:
                    _check_predictions(recipe, workspace, entry.name, generator, how)


def _check_predictions(
    recipe: Recipe, workspace: Workspace, name: str, generator: GeneratorRecipe, known: Mapping[str, Any]
) -> None:
    """Raises InputError where the workspace holds other predictions of that name."""
    file = workspace.predictions(name, generator.label)
    dataset = Dataset.load(workspace.dataset)
    wanted = Targets.of(dataset, known_histories(workspace, dataset, name)).wanted(recipe.predict.targets)
    prompt = shown_for_attributes(generator.asked(recipe.prompt))
    made = {**answer_settings(workspace, generator, prompt, recipe.seed, known), "targets": list(wanted)}
    refuse_to_mix(file, made, only=list(made))  # what an adapter was tuned on is not known before it is


def _check_people(recipe: Recipe, dataset: Dataset) -> None:
    """Raises InputError where the recipe names an attribute of people, or a person, that is not of the dataset."""
    for attribute in recipe.measure.fairness:
        check_attribute(dataset, attribute)
        for generator in recipe.explaining if recipe.measure.flip else ():
            check_flippable(dataset, attribute, generator.asked(recipe.prompt))
    for user in recipe.report.cases:
        if user not in dataset.users["user_id"]:
            raise InputError("a case is a person of the dataset", value=user, cure="name others in [report] cases")
