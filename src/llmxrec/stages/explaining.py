"""Stage 2: what a recommender recommends, explained by a generator."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

from llmxrec.datasets.dataset import Dataset
from llmxrec.evaluation.reading import known_histories
from llmxrec.explain import Outcome, Questions, explain
from llmxrec.generators.cards import listed
from llmxrec.generators.specs import GenerationSettings, make_generator, read_spec
from llmxrec.progress import progress
from llmxrec.prompts.instructions import PromptSettings
from llmxrec.prompts.template import load_template
from llmxrec.recipe import GeneratorRecipe, price_for
from llmxrec.stored import knowledge, read_recommendations, what_was_known
from llmxrec.workspace import Workspace


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
        known_histories(workspace, dataset, recommender),
        make_generator(generator.spec, within_limit(generator)),
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


def within_limit(generator: GeneratorRecipe) -> GenerationSettings:
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
