"""A whole experiment, top to bottom: the paper's Figure 1 as far as it is built.

`run` is the way through; each stage stands alone too, reads what the stage before it wrote to the workspace, and
writes what the next one reads.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from llmxrec.datasets import READERS, read_dataset
from llmxrec.datasets.dataset import Dataset, Histories, ReadReport
from llmxrec.datasets.domains import load_domain
from llmxrec.datasets.split import leave_one_out
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
from llmxrec.evaluation.gate import Measured, prepare
from llmxrec.evaluation.judges.protocol import Judge, Learner
from llmxrec.evaluation.judging import Judged, contests, judge_contests
from llmxrec.evaluation.reading import read_part
from llmxrec.explain import Outcome, Questions, explain
from llmxrec.generators.cards import CARD, listed
from llmxrec.generators.folds import FoldedGenerator
from llmxrec.generators.protocol import Generator
from llmxrec.generators.specs import GenerationSettings, make_generator, read_spec, slug
from llmxrec.lookup import closest, resolve
from llmxrec.notes import read_notes, refuse_to_mix
from llmxrec.predict import predict
from llmxrec.progress import progress, quiet
from llmxrec.prompts.instructions import PromptSettings, check_shown, shown_for_attributes
from llmxrec.prompts.targets import Targets
from llmxrec.prompts.template import load_template
from llmxrec.recipe import GeneratorRecipe, JudgeRecipe, Recipe, price_for
from llmxrec.recommenders import FITTED_ELSEWHERE, make_recommender
from llmxrec.recommenders.metrics import Metric, evaluate
from llmxrec.recommenders.protocol import Recommender, Watch
from llmxrec.recommenders.topk import recommend as top_k
from llmxrec.records import Pair
from llmxrec.reports.attributes import accuracy_lines, write_table_3
from llmxrec.reports.tables import verdict_lines, write_tables
from llmxrec.sources import in_folds
from llmxrec.stored import EXTERNAL, knowledge, read_recommendations, stored_predictions, what_was_known
from llmxrec.tuning.adapters import Card, check_apart, folds, read_card, tuned_on
from llmxrec.tuning.lessons import Lessons, digest
from llmxrec.tuning.loop import Team, TuningSettings
from llmxrec.tuning.preference import Preferences
from llmxrec.workspace import Workspace, atomic, safe_name

DATA_FOLDERS = ("data", "../shared/data")
"""Where datasets usually lie, each in a folder of its name; $LLMXREC_DATA comes before these."""

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
        if entry.name != EXTERNAL and not _is_trained(workspace, entry.name, entry.settings, **how):
            say(f"  {entry.name}: {recommend(workspace, entry.name, entry.settings, **how)}")
    for name in recipe.explain.recommenders or [entry.name for entry in recipe.recommenders]:
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
            outcome = explain_recommendations(workspace, generator, questions)
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
            _check_measurable(entry.name, recipe.hold_out)
            settings = make_recommender(entry.name, entry.settings, seed=recipe.seed).settings
            how = {"hold_out": recipe.hold_out, "settings": settings.model_dump(mode="json")}
        if entry.name in (recipe.explain.recommenders or [entry.name]):
            for generator in recipe.generators:
                file = workspace.explanations(entry.name, generator.label)
                refuse_to_mix(file, answer_settings(generator, recipe.prompt, recipe.seed, how))


def find_source(kind: str, source: str | Path | None = None) -> Path | None:
    """The folder of a dataset's original files: `source`, or where such files usually lie; None for the bundled one.

    Raises InputError, naming the places looked at, where there is none.
    """
    if kind not in READERS:
        raise closest("dataset", kind, READERS)
    if source is not None or kind == "demo":
        return None if source is None else Path(source)
    roots = [root for root in (os.environ.get("LLMXREC_DATA"), *DATA_FOLDERS) if root]
    for root in roots:
        if Path(root, kind).is_dir():
            return Path(root, kind)
    looked = ", ".join(str(Path(root, kind)) for root in roots)
    raise InputError(
        f"the original files of '{kind}' lie in a folder", cure=f"give it with --source (looked at: {looked})"
    )


def check_new(workspace: Workspace) -> None:
    """Raises InputError where the workspace has a dataset already, or is no folder."""
    if workspace.path.exists() and not workspace.path.is_dir():
        raise InputError("a workspace is a folder", value=str(workspace.path), cure="choose another name")
    if workspace.dataset.exists():
        raise InputError(
            "a workspace holds one dataset", value=str(workspace.dataset), cure="choose another folder, or delete it"
        )


def store_dataset(workspace: Workspace, dataset: Dataset, report: ReadReport, **origin: str) -> None:
    """Write `dataset` to a workspace that has none, whole or not at all."""
    check_new(workspace)
    draft = workspace.path / ".dataset.draft"
    shutil.rmtree(draft, ignore_errors=True)
    counts = {key: dict(value) for key, value in asdict(report).items() if isinstance(value, Mapping)}
    try:
        dataset.save(draft)
        # Noted before it is there: a kill in between leaves a note that the next try overwrites.
        workspace.note("dataset", **{"source": report.source, **origin}, **counts)
        draft.rename(workspace.dataset)
    finally:
        shutil.rmtree(draft, ignore_errors=True)


@dataclass(frozen=True)
class Trained:
    """A recommender's result: rows recommended to users, and how it ranks the held-out items (none: not measured).

    `strangers` have no history and are recommended nothing; `kept_out` have too few items to hold any out.
    """

    rows: int
    users: int
    strangers: int
    kept_out: int
    metrics: tuple[Metric, ...]

    def __str__(self) -> str:
        if not self.metrics:
            return f"recommended to {self.users:,} users; not measured, for nothing was held out"
        shown = [metric for metric in self.metrics if metric.name.startswith(("NDCG", "Recall"))]
        return ", ".join([*map(str, shown), f"{self.metrics[0].rows:,} users"])


def recommend(
    workspace: Workspace,
    name: str,
    settings: Mapping[str, Any] | None = None,
    *,
    k: int = 10,
    hold_out: bool = True,
    seed: int = 1,
) -> Trained:
    """Stage 1: train recommender `name`, and write its `k` best unseen items for everybody.

    `hold_out`: train without each person's last two items, and measure the ranking on the last (leave-one-out).
    Otherwise it trains on everything, for use rather than for measuring.
    """
    _check_measurable(name, hold_out)
    recommender = make_recommender(name, settings, seed=seed)
    dataset = Dataset.load(workspace.dataset)
    train, known, held_out, kept_out = _parts(dataset, hold_out)
    recommender = _train(workspace, recommender, dataset, train, hold_out)
    with progress(f"recommending with {name}", train.n_users, "users") as advance:
        recommendations = top_k(recommender, train, known, k, advance)
    metrics = tuple(evaluate(recommendations, held_out, k=k, seed=seed)) if held_out is not None else ()
    recommender.save(workspace.model(name))
    write_recommendations(workspace, name, recommendations)
    workspace.note(
        "recommenders",
        name,
        settings=recommender.settings.model_dump(mode="json"),
        k=k,
        hold_out=hold_out,
        best_epoch=recommender.best_epoch,
        kept_out=kept_out,
        metrics={metric.name: asdict(metric) for metric in metrics},
    )
    users = recommendations["user_id"].n_unique()
    return Trained(recommendations.height, users, dataset.users.height - users, kept_out, metrics)


def _check_measurable(name: str, hold_out: bool) -> None:
    """Raises InputError for a recommender that may have learned from what would be held out to measure it."""
    if hold_out and name in FITTED_ELSEWHERE:
        raise InputError(
            f"'{name}' was fitted elsewhere, perhaps to the very items that would be held out to measure it",
            cure="recommend with --full (hold_out = false in a recipe)",
        )


def _train(
    workspace: Workspace, recommender: Recommender, dataset: Dataset, train: Histories, hold_out: bool
) -> Recommender:
    """`recommender`, fitted to `train`; how long is decided by the validation items, whatever else is held out.

    To train on everything, it is first fitted without everyone's last item, and then again for as many epochs as
    ranked that item best. Interrupted, each fit goes on from its checkpoint.
    """
    name, model = recommender.name, workspace.model(recommender.name)
    if recommender.epochs and not hold_out:
        split = leave_one_out(dataset)
        # Without the last item only: here the one before it is for learning.
        before = Histories.build(pl.concat([split.train, split.validation]), train.users, train.items)
        with progress(f"choosing the epochs of {name}", recommender.epochs, "epochs") as advance:
            held_out = _one_per_user(split.test, train)
            recommender.fit(before, Watch(advance, held_out, checkpoint=model.with_name(f".{name}.choosing")))
        last_epoch = recommender.best_epoch
        recommender = make_recommender(name, recommender.settings.model_dump(mode="json"))
        with progress(f"training {name}", last_epoch, "epochs") as advance:
            checkpoint = model.with_name(f".{name}.training")
            return recommender.fit(train, Watch(advance, last_epoch=last_epoch, checkpoint=checkpoint))
    validation = _one_per_user(leave_one_out(dataset).validation, train) if recommender.epochs else None
    with progress(f"training {name}", recommender.epochs or None, "epochs") as advance:
        return recommender.fit(train, Watch(advance, validation, checkpoint=model.with_name(f".{name}.training")))


def _one_per_user(held_out: pl.DataFrame, histories: Histories) -> npt.NDArray[np.int64]:
    """By user of `histories`, the item held out; -1 for none."""
    items = np.full(histories.n_users, -1, np.int64)
    rows = Histories.build(held_out, histories.users, histories.items)
    items[rows.user_index] = rows.item_index
    return items


def _is_trained(
    workspace: Workspace, name: str, settings: Mapping[str, Any], *, k: int, hold_out: bool, seed: int
) -> bool:
    """Whether `recommend` would write what lies there already."""
    noted = workspace.read_manifest().get("recommenders", {}).get(name, {})
    wanted = make_recommender(name, settings, seed=seed).settings.model_dump(mode="json")
    same = (noted.get("settings"), noted.get("k"), noted.get("hold_out")) == (wanted, k, hold_out)
    return same and workspace.recommendations(name).exists()


def write_recommendations(workspace: Workspace, name: str, recommendations: pl.DataFrame) -> None:
    """Put a recommender's table (user_id, item_id, rank, score) where the next stage reads it."""
    with atomic(workspace.recommendations(name)) as file:
        recommendations.write_parquet(file)


def questions_about(
    workspace: Workspace,
    recommender: str,
    generator: GeneratorRecipe,
    prompt: PromptSettings,
    *,
    users: int | None = None,
    top: int = 1,
    seed: int = 1,
) -> Questions:
    """What stage 2 asks: the recommendations of `recommender`, with the histories that it knew."""
    recommendations = read_recommendations(workspace, recommender)
    dataset = Dataset.load(workspace.dataset)
    return Questions.of(
        recommender,
        recommendations,
        dataset,
        _known(workspace, recommender, dataset),
        make_generator(generator.spec, _within_limit(generator)),
        prompt,
        users=users,
        top=top,
        seed=seed,
    )


def explain_recommendations(workspace: Workspace, generator: GeneratorRecipe, questions: Questions) -> Outcome:
    """Stage 2: have `generator` answer `questions` (see `questions_about`), from where an earlier run stopped."""
    recommender = questions.recommender
    known = knowledge(workspace, recommender)
    with progress(f"explaining {recommender} with {generator.label}", len(questions)) as advance:
        return explain(
            questions,
            workspace.explanations(recommender, generator.label),
            price=price_for(generator),
            max_tokens=generator.settings.max_tokens,
            max_cost=generator.max_cost,
            settings=answer_settings(generator, questions.settings, questions.seed, known),
            advance=advance,
        )


_TUNERS = {
    "embedded": "llmxrec.tuning.embedded:tune_embedded",
    "hf": "llmxrec.tuning.language:tune_language",
}
"""Who tunes a generator, by the kind of its base."""

_TUNERS_ON_PAIRS = {
    "judge": "llmxrec.tuning.judges:tune_judge",
    "reward": "llmxrec.tuning.judges:tune_judge",
    "prefer": "llmxrec.tuning.preference:tune_preference",
}
"""Who tunes on labelled pairs, by the task."""
_JUDGES = {"judge": "pairwise", "reward": "reward"}


def usual_settings(base: str, tasks: Sequence[str]) -> TuningSettings:
    """How `base` is tuned where nobody says otherwise."""
    from llmxrec.tuning import embedded

    if read_spec(base).kind != "embedded":
        return TuningSettings()
    return embedded.EXPLAIN if "explain" in tasks else embedded.ATTRIBUTES


def tune(
    workspace: Workspace,
    base: str,
    name: str,
    lessons: Lessons,
    settings: TuningSettings,
    *,
    prompt: PromptSettings | None = None,
    folds: int | None = None,
    say: Say = print,
) -> dict[Path, Card]:
    """Tune the adapter `name` of the generator `base` on `lessons`, those of both tasks together.

    With `folds`, several of them: `NAME/fold-1` and so on, each tuned without another part of the people. `prompt` is
    how an `hf:` model is asked. Returns the cards by their folders. Interrupted, the same call goes on; what was tuned
    in the same way before is kept. Raises InputError where something else lies there, or for a base that is not tuned.
    """
    spec = read_spec(base)
    if spec.kind not in _TUNERS or spec.adapter is not None:
        cure = "give a base without an adapter: embedded or hf:NAME_OR_PATH"
        raise InputError("what is tuned is a model that runs here", value=base, cure=cure)
    folder = workspace.adapter(name)
    parts = {folder: lessons}
    if folds is not None:
        parts = {folder / f"fold-{n}": part for n, part in enumerate(in_folds(lessons, folds, settings.seed), 1)}
    model = (spec.model,) if spec.kind == "hf" else ()
    asked = {"prompt": prompt or PromptSettings()} if spec.kind == "hf" else {}
    known: dict[str, Any] = {"base": ":".join([spec.kind, *model]), "settings": settings.model_dump(mode="json")}
    if asked:
        known["prompt"] = asked["prompt"].model_dump(mode="json")
    done = {place: _tuned(folder, place, {**known, "data": digest(part.rows)}) for place, part in parts.items()}
    tuner = resolve("base", spec.kind, _TUNERS)
    cards = {}
    for place, part in parts.items():
        card = done[place]
        if card is not None:
            say(f"{place} was tuned before")
        else:
            with _tuning(place, len(part.rows), settings) as how:
                card = tuner(*model, part, place, settings, **asked, **how)
        cards[place] = card
    return cards


def tune_on_pairs(
    workspace: Workspace,
    base: str,
    task: str,
    name: str,
    pairs: Sequence[Pair] | Preferences,
    settings: TuningSettings,
    *,
    prompt: PromptSettings | None = None,
) -> Card:
    """Tune the adapter `name` of the model `base` on labelled `pairs`, or for `prefer` on verdicts: to be a judge that
    is asked which is better (`judge`) or that scores each (`reward`), or to write what is preferred (`prefer`), asked
    as `prompt` says.

    Interrupted, the same call goes on. Raises InputError where an adapter of that name lies there.
    """
    tuner = resolve("task", task, _TUNERS_ON_PAIRS)
    asked = {"prompt": prompt or PromptSettings()} if task == "prefer" else {"kind": _JUDGES[task]}
    place = workspace.adapter(name)
    _tuned(place, place, {"data": None})
    rows = len(pairs.rows if isinstance(pairs, Preferences) else pairs)
    with _tuning(place, rows, settings) as how:
        card: Card = tuner(base, pairs, place, settings, **asked, **how)
    return card


@contextmanager
def _tuning(place: Path, rows: int, settings: TuningSettings) -> Iterator[dict[str, Any]]:
    """How all are tuned: with progress shown, and a checkpoint that is gone when the adapter is written."""
    checkpoint = place.with_name(f".{place.name}.checkpoint")
    learned = round(rows * (1 - settings.held_out))
    what = place.name if place.parent.name == "adapters" else f"{place.parent.name}/{place.name}"
    showing = progress(f"tuning {what}", learned * settings.epochs)
    with showing if Team().first else nullcontext(quiet) as advance:
        yield {"checkpoint": checkpoint, "advance": advance}
    if Team().first:
        checkpoint.unlink(missing_ok=True)


def _tuned(folder: Path, place: Path, wanted: Mapping[str, Any]) -> Card | None:
    """The card of the adapter that is to lie at `place`, in the `folder` of its name; None where nothing does.

    Raises InputError where one lies there that was tuned otherwise, or folds instead of one, or one instead of folds.
    """
    card, there = read_card(place), (place / "adapter_config.json").exists()
    different = [key for key, value in wanted.items() if there and card.get(key) != value]
    if different or (any(folder.glob("fold-*")) if place == folder else (folder / "adapter_config.json").exists()):
        raise InputError(
            f"{folder} holds what was tuned otherwise" + (f", by its {different[0]}" if different else ""),
            cure="keep both with --name OTHER, or delete the folder to start over",
        )
    return Card.from_json(card) if there else None


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
    known = _known(workspace, recommender, dataset)
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
    settings = _within_limit(generator)
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
    with progress(f"predicting for {recommender} with {generator.label}", len(questions)) as advance:
        return predict(
            questions,
            workspace.predictions(recommender, generator.label),
            price=price_for(generator),
            max_tokens=generator.settings.max_tokens,
            max_cost=generator.max_cost,
            settings=prediction_settings(workspace, generator, questions),
            advance=advance,
        )


def measure_predictions(workspace: Workspace, recommender: str, seed: int = 1) -> tuple[list[Accuracy], list[str]]:
    """How often each generator's predictions are right, and the rules that they have to beat; and what was left out.

    The rules are measured on all people whom any generator was asked about. Needs SciPy for the regression; without it,
    that is left out and said.
    """
    dataset = Dataset.load(workspace.dataset)
    known = _known(workspace, recommender, dataset)
    told = Targets.of(dataset, known)
    tables = {name: stored_predictions(workspace, recommender, name) for name in workspace.predictors(recommender)}
    tables = {name: table.filter(pl.col("status").is_not_null()) for name, table in tables.items()}
    together = pl.concat(tables.values())
    found: list[Accuracy] = []
    notes: list[str] = []
    names = asked_for(together)
    with progress("measuring the rules to beat", FOLDS * len(names), "parts") as advance:
        for name in names:
            rows = together.filter(pl.col("targets").list.contains(name)).select("user_id", "item_id")
            material = Material.of(name, rows.unique(maintain_order=True), told)
            found += [guess_at_random(material, seed), guess_the_most_frequent(material, seed)]
            try:
                read = features(name, material.rows, dataset, known)
                found.append(guess_by_regression(material, read, seed, advance))
            except MissingExtra as error:
                notes = [f"left out: {error}"]
    for name, table in tables.items():
        found += measure(table, name, told, seed)
    return sorted(found, key=lambda one: names.index(one.target)), notes


def judge_explanations(
    workspace: Workspace, recommender: str, judge: Judge, measured: Measured | None, settings: Mapping[str, Any]
) -> Judged:
    """The paper's first evaluation: have `judge` compare what explains the recommendations of `recommender`.

    What it was found to be worth (None: nobody measured) lies beside its verdicts. `settings` is what decides these.
    Left out is whom a compared generator, or the judge, was tuned on. Raises InputError where no two generators
    explained the same recommendation, or only to such people.
    """
    found = list(contests(read_part(workspace), recommender))
    tuned = {name: _learned_from(workspace, spec) for name, spec in _specs(workspace, recommender).items()}
    taught = _learned_from(workspace, str(settings.get("judge", "")))
    compared = [
        one for one in found if one.user_id not in taught.union(*(tuned.get(name, ()) for name in one.generators))
    ]
    if not compared:
        check_apart(taught.union(*tuned.values()), (one.user_id for one in found))
        raise InputError(
            f"two generators or more explain a recommendation of '{recommender}', to be compared",
            value=", ".join(workspace.generators(recommender)) or "none",
            cure="llmxrec explain, or llmxrec import",
        )
    label = slug(judge.name)
    with progress(f"judging {recommender} with {judge.name}", len(compared)) as advance:
        outcome = judge_contests(
            compared, judge, recommender, workspace.verdicts(recommender, label), settings=settings, advance=advance
        )
    outcome.left_out = len({one.user_id for one in found} - {one.user_id for one in compared})
    worth = {"measured": False} if measured is None else {"measured": True, **measured.validity.to_json()}
    with atomic(workspace.validity(recommender, label)) as file:
        file.write_text(json.dumps(worth, indent=2) + "\n", encoding="utf-8")
    return outcome


def _specs(workspace: Workspace, recommender: str) -> dict[str, str]:
    """The spec of each generator that explained recommendations of `recommender` here, as far as it was noted."""
    files = {name: workspace.explanations(recommender, name) for name in workspace.generators(recommender)}
    specs = {name: read_notes(file).get("spec") for name, file in files.items()}
    return {name: spec for name, spec in specs.items() if isinstance(spec, str)}


def _learned_from(workspace: Workspace, spec: str) -> frozenset[str]:
    """The people whose rows a generator or a judge learned from, where its spec names an adapter; else nobody.

    Raises InputError where the adapter is gone, so that nobody can say.
    """
    kind, _, rest = spec.partition(":")
    if kind == "pairwise":
        return _learned_from(workspace, rest)
    adapter = rest if kind == "reward" else read_spec(spec).adapter if "+" in spec else None
    if adapter is None:
        return frozenset()
    for folder in (Path(adapter), workspace.path / "adapters" / Path(adapter).name):
        if folder.is_dir():
            return tuned_on(folder)
    cure = f"put its folder back, or to {workspace.path / 'adapters'}"
    raise InputError("the adapter is there, for its card to say whom it was tuned on", value=spec, cure=cure)


def judge_settings(spec: str, judge: Judge, train: Path | None, seed: int) -> dict[str, Any]:
    """All that decides what a judge says: itself, and for one that was trained for this, what on."""
    learned = isinstance(judge, Learner) and train is not None
    digest = hashlib.blake2b(train.read_bytes(), digest_size=8).hexdigest() if learned and train else None
    return {"judge": spec, "learned_from": digest, "seed": seed}


def _within_limit(generator: GeneratorRecipe) -> GenerationSettings:
    """Its settings. With a limit of cost, what was lost on the way is not asked again at once: it may cost twice."""
    limited = {"retry_lost": False} if generator.max_cost is not None else {}
    return generator.settings.model_copy(update=limited)


def answer_settings(
    generator: GeneratorRecipe, prompt: PromptSettings, seed: int, known: Mapping[str, Any]
) -> dict[str, Any]:
    """All that decides what an answer says; how fast it is asked for does not. `known`: see `knowledge`."""
    pace = {"batch_size", "concurrency", "timeout", "retries", "retry_lost"}
    sections = repr(load_template(prompt.template).sections)
    return {
        "spec": generator.spec,
        "taught_by": sorted(listed(read_spec(generator.spec).adapter, "taught_by")) or None,
        "seed": seed,
        **what_was_known(known),
        "template_digest": hashlib.blake2b(sections.encode(), digest_size=8).hexdigest(),
        **prompt.model_dump(mode="json"),
        "sampling_seed": generator.settings.seed,
        **generator.settings.model_dump(mode="json", exclude=pace | {"seed"}),
    }


def prediction_settings(workspace: Workspace, generator: GeneratorRecipe, questions: Questions) -> dict[str, Any]:
    """All that decides what is predicted (see `answer_settings`), the adapters included: by what they were tuned on."""
    known = knowledge(workspace, questions.recommender)
    adapters = [read_spec(spec).adapter for spec in _folds(generator.spec)]
    cards = [Path(adapter) / CARD for adapter in adapters if adapter]
    content = b"".join(card.read_bytes() for card in cards if card.exists())
    return {
        **answer_settings(generator, questions.settings, questions.seed, known),
        "targets": list(questions.targets),
        "adapter": hashlib.blake2b(content, digest_size=8).hexdigest() if content else None,
    }


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


def _known(workspace: Workspace, recommender: str, dataset: Dataset) -> Histories:
    """The interactions that `recommender` was trained on."""
    return _parts(dataset, knowledge(workspace, recommender)["hold_out"])[0]


def _parts(dataset: Dataset, hold_out: bool) -> tuple[Histories, Histories, pl.DataFrame | None, int]:
    """What a recommender is trained on, what its users have seen, the item held out of each, and who has none."""
    users, items = dataset.users["user_id"], dataset.items["item_id"]
    if not hold_out:
        everything = Histories.build(dataset.interactions, users, items)
        return everything, everything, None, 0
    split = leave_one_out(dataset)
    train = Histories.build(split.train, users, items)
    known = Histories.build(pl.concat([split.train, split.validation]), users, items)
    return train, known, split.test.select("user_id", "item_id"), split.kept_out
