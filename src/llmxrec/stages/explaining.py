"""Stage 2: what a recommender recommends, explained by a generator."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import polars as pl

from llmxrec.asking.ask import Outcome
from llmxrec.asking.questions import Questions
from llmxrec.datasets.dataset import Dataset
from llmxrec.evaluation.reading import known_histories
from llmxrec.evidence.claims import ClaimReader
from llmxrec.evidence.verification import Verification, Verifier
from llmxrec.explain import explain
from llmxrec.generators.cards import listed
from llmxrec.generators.embedded.weights import known_words
from llmxrec.generators.specs import GenerationSettings, make_generator, read_spec
from llmxrec.lookup import closest
from llmxrec.progress import progress
from llmxrec.prompts.instructions import PromptSettings
from llmxrec.prompts.template import load_template
from llmxrec.recipe import GeneratorRecipe, price_for
from llmxrec.stages.timing import timed
from llmxrec.stored import causes_of, knowledge, read_evidence, read_recommendations, what_was_known
from llmxrec.tuning.adapters import made_of
from llmxrec.workspace import Workspace

_MOST_VALUES = 1000
"""Of an attribute of people, that are looked for in texts: occupations, not names."""


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
    tells = load_template(prompt.template).tells_causes
    causes = causes_of(read_evidence(workspace, recommender)) if tells else None
    dataset = Dataset.load(workspace.dataset)
    return Questions.of(
        recommender,
        recommendations,
        dataset,
        known_histories(workspace, dataset, recommender),
        make_generator(generator.spec, within_limit(generator)),
        prompt,
        users=users,
        top=top,
        seed=seed,
        causes=causes,
    )


def explain_recommendations(
    workspace: Workspace, generator: GeneratorRecipe, questions: Questions, verification: Verification | None = None
) -> Outcome:
    """Stage 2: have `generator` answer `questions` (see `questions_about`), from where an earlier run stopped.

    With `verification`, what claims anything that its prompt does not support is not sent.
    """
    recommender = questions.recommender
    known = knowledge(workspace, recommender)
    what = f"explaining {recommender} with {generator.label}"
    with (
        timed(workspace, "explain", recommender, generator.label) as rows,
        progress(what, len(questions)) as advance,
    ):
        outcome = explain(
            questions,
            workspace.explanations(recommender, generator.label),
            price=price_for(generator),
            max_tokens=generator.settings.max_tokens,
            max_cost=generator.max_cost,
            settings=answer_settings(workspace, generator, questions.settings, questions.seed, known, verification),
            verifier=None if verification is None else make_verifier(questions.dataset, verification),
            advance=advance,
        )
        rows(outcome.asked.total())
    return outcome


def make_verifier(dataset: Dataset, rules: Verification) -> Verifier:
    """What reads texts about items of `dataset`."""
    columns = [column for column in dataset.domain.user_attributes if column in dataset.users.columns]
    values = {column: dataset.users[column].drop_nulls().cast(pl.String).unique().to_list() for column in columns}
    people = {column: known for column, known in values.items() if len(known) <= _MOST_VALUES}
    for column in rules.may_tell:
        if column not in dataset.domain.user_attributes:
            raise closest("user attribute", column, dataset.domain.user_attributes)
    return Verifier(ClaimReader(dataset.item_records, dataset.domain, people), rules, known_words())


def within_limit(generator: GeneratorRecipe) -> GenerationSettings:
    """Its settings. With a limit of cost, what was lost on the way is not asked again at once: it may cost twice."""
    limited = {"retry_lost": False} if generator.max_cost is not None else {}
    return generator.settings.model_copy(update=limited)


def answer_settings(
    workspace: Workspace,
    generator: GeneratorRecipe,
    prompt: PromptSettings,
    seed: int,
    known: Mapping[str, Any],
    verification: Verification | None = None,
) -> dict[str, Any]:
    """All that decides what an answer says; how fast it is asked for does not. `known`: see `knowledge`.

    An adapter is told by where it lies and by what it is made of: another may come to lie there.
    """
    adapter = read_spec(generator.spec).adapter
    pace = {"batch_size", "concurrency", "timeout", "retries", "retry_lost"}
    sections = repr(load_template(prompt.template).sections)
    return {
        "spec": noted(generator.spec, workspace),
        "adapter": None if adapter is None else made_of(Path(adapter)),
        "taught_by": sorted(listed(adapter, "taught_by")) or None,
        "seed": seed,
        **what_was_known(known),
        **prompt.model_dump(mode="json"),
        "template_digest": hashlib.blake2b(sections.encode(), digest_size=8).hexdigest(),
        "verified": None if verification is None else verification.model_dump(mode="json"),
        "sampling_seed": generator.settings.seed,
        **generator.settings.model_dump(mode="json", exclude=pace | {"seed"}),
    }


def noted(spec: str, workspace: Workspace) -> str:
    """`spec` as notes have it: an adapter of `workspace` by where it lies in it, so that the folder may be moved."""
    adapter = read_spec(spec).adapter
    if adapter is None or not Path(adapter).resolve().is_relative_to(folder := workspace.path.resolve() / "adapters"):
        return spec
    return f"{spec.removesuffix(adapter)}adapters/{Path(adapter).resolve().relative_to(folder).as_posix()}"


def placed(spec: str, workspace: Workspace) -> str:
    """The spec that was `noted`, as a generator can be made of it."""
    adapter = read_spec(spec).adapter
    here = adapter is not None and adapter.startswith("adapters/") and (workspace.path / adapter).is_dir()
    return f"{spec.removesuffix(str(adapter))}{workspace.path / str(adapter)}" if here else spec
