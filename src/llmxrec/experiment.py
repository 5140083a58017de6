"""A whole experiment, top to bottom: the paper's Figure 1 as far as it is built.

`run` is the way through; each stage stands alone too, reads what the stage before it wrote to the workspace, and
writes what the next one reads.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import polars as pl

from llmxrec.datasets import read_dataset
from llmxrec.datasets.dataset import Dataset, Histories, ReadReport
from llmxrec.datasets.split import leave_one_out
from llmxrec.errors import InputError, WorkError
from llmxrec.explain import Outcome, Questions, explain, settle
from llmxrec.generators.prices import Price
from llmxrec.generators.specs import GenerationSettings, make_generator, price_of_spec, read_spec
from llmxrec.progress import progress
from llmxrec.prompts.instructions import PromptSettings
from llmxrec.recipe import EXTERNAL, GeneratorRecipe, Recipe
from llmxrec.recommenders import make_recommender
from llmxrec.recommenders.metrics import Metric, evaluate
from llmxrec.recommenders.topk import recommend as top_k
from llmxrec.workspace import Workspace, atomic

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
    elif (held := workspace.read_manifest().get("dataset", {}).get("kind")) != recipe.dataset.kind:
        raise InputError(
            f"{workspace.path} holds dataset '{held}'", value=recipe.dataset.kind, cure="choose another --workspace"
        )
    workspace.note("recipe", **recipe.model_dump(mode="json"))
    for entry in recipe.recommenders:
        how: dict[str, Any] = {"k": recipe.k, "hold_out": recipe.hold_out, "seed": recipe.seed}
        if entry.name != EXTERNAL and not _is_trained(workspace, entry.name, entry.settings, **how):
            say(f"  {entry.name}: {recommend(workspace, entry.name, entry.settings, **how)}")
    for name in recipe.explain.recommenders or [entry.name for entry in recipe.recommenders]:
        for generator in recipe.generators:
            outcome = explain_recommendations(
                workspace,
                name,
                generator,
                recipe.prompt,
                users=recipe.explain.users,
                top=recipe.explain.top,
                seed=recipe.seed,
            )
            say(f"  {name} x {generator.label}: {'; '.join(outcome.lines())}")


def find_source(kind: str, source: str | Path | None = None) -> Path | None:
    """The folder of a dataset's original files: `source`, or where such files usually lie; None for the bundled one.

    Raises InputError, naming the places looked at, where there is none.
    """
    if source is not None or kind == "demo":
        return None if source is None else Path(source)
    roots = [root for root in (os.environ.get("LLMXREC_DATA"), *DATA_FOLDERS) if root]
    for root in roots:
        for folder in (Path(root, kind), Path(root, f"{kind}-sample")):
            if folder.is_dir():
                return folder
    looked = ", ".join(str(Path(root, kind)) for root in roots)
    raise InputError(
        f"the original files of '{kind}' lie in a folder", cure=f"give it with --source (looked at: {looked})"
    )


def check_new(workspace: Workspace) -> None:
    """Raises InputError where the workspace has a dataset already."""
    if workspace.dataset.exists():
        raise InputError(
            "a workspace holds one dataset", value=str(workspace.dataset), cure="choose another folder, or delete it"
        )


def store_dataset(workspace: Workspace, dataset: Dataset, report: ReadReport, **origin: str) -> None:
    """Write `dataset` to a workspace that has none, whole or not at all."""
    check_new(workspace)
    draft = workspace.path / ".dataset.draft"
    shutil.rmtree(draft, ignore_errors=True)
    try:
        dataset.save(draft)
        draft.rename(workspace.dataset)
    except OSError as error:
        raise WorkError(f"{workspace.path}: cannot be written: {error.strerror}") from error
    counts = {key: dict(value) for key, value in asdict(report).items() if isinstance(value, Mapping)}
    workspace.note("dataset", source=report.source, **origin, **counts)


@dataclass(frozen=True)
class Trained:
    """A recommender's result: how many rows it recommends, and how it ranks the held-out items (none: not measured)."""

    rows: int
    users: int
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
    recommender = make_recommender(name, settings, seed=seed)
    dataset = Dataset.load(workspace.dataset)
    train, known, held_out, kept_out = _parts(dataset, hold_out)
    with progress(f"training {name}", recommender.epochs or None, "epochs") as advance:
        recommender.fit(train, advance)
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
        kept_out=kept_out,
        metrics={metric.name: asdict(metric) for metric in metrics},
    )
    users = recommendations["user_id"].n_unique()
    return Trained(recommendations.height, users, kept_out, metrics)


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


def read_recommendations(workspace: Workspace, name: str) -> pl.DataFrame:
    """What `write_recommendations` wrote. Raises InputError where there is none."""
    file = workspace.recommendations(name)
    if not file.exists():
        cure = "give yours with: llmxrec init --recommendations FILE" if name == EXTERNAL else "llmxrec recommend"
        raise InputError(f"there are no recommendations of '{name}' yet", value=str(file), cure=f"make them: {cure}")
    return pl.read_parquet(file)


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
    noted = workspace.read_manifest().get("recommenders", {}).get(recommender, {})
    train, _, _, _ = _parts(dataset, bool(noted.get("hold_out", False)))
    return Questions.of(
        recommender,
        recommendations,
        dataset,
        train,
        make_generator(generator.spec, generator.settings),
        prompt,
        users=users,
        top=top,
        seed=seed,
    )


def explain_recommendations(
    workspace: Workspace,
    recommender: str,
    generator: GeneratorRecipe,
    prompt: PromptSettings,
    *,
    users: int | None = None,
    top: int = 1,
    seed: int = 1,
) -> Outcome:
    """Stage 2: explain the recommendations of `recommender` with `generator`, from where an earlier run stopped."""
    questions = questions_about(workspace, recommender, generator, prompt, users=users, top=top, seed=seed)
    file = workspace.explanations(recommender, generator.label)
    settle(file, answer_settings(generator, prompt, seed))
    with progress(f"explaining {recommender} with {generator.label}", len(questions)) as advance:
        return explain(
            questions,
            file,
            price=price_for(generator),
            max_tokens=generator.settings.max_tokens,
            max_cost=generator.max_cost,
            advance=advance,
        )


def price_for(generator: GeneratorRecipe) -> Price | None:
    """What `generator` costs: as its recipe says, or the dated table; nothing where it runs here; None: not known."""
    if generator.price is not None:
        return Price(generator.price.input, generator.price.output)
    return price_of_spec(generator.spec) if read_spec(generator.spec).kind == "openai" else Price(0.0, 0.0)


def answer_settings(generator: GeneratorRecipe, prompt: PromptSettings, seed: int) -> dict[str, Any]:
    """All that decides what an answer says; how fast it is asked for does not."""
    pace = {"batch_size", "concurrency", "timeout", "retries"}
    return {
        "spec": generator.spec,
        "seed": seed,
        **prompt.model_dump(mode="json"),
        **GenerationSettings.model_dump(generator.settings, mode="json", exclude=pace | {"seed"}),
    }


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
