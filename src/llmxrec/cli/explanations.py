"""Commands of stage 2: explain, export."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from llmxrec.cli import app, completion
from llmxrec.cli.console import figures, listed, only, opened, refuse_idle, say, say_next, wrote
from llmxrec.cli.options import (
    GENERATOR,
    DryRun,
    ExplainedRecommender,
    GeneratorName,
    GeneratorSpec,
    History,
    ItemAttributes,
    MaxCost,
    MaxWords,
    Name,
    Price,
    Reasoning,
    Recommender,
    Seed,
    Template,
    UserAttributes,
    Users,
    WorkspacePath,
)
from llmxrec.errors import InputError, WorkError

if TYPE_CHECKING:
    from llmxrec.asking.estimate import Estimate

_VERIFIED = "Verified"


@app.command()
def explain(
    workspace: WorkspacePath,
    recommender: Recommender = None,
    users: Users = None,
    top: Annotated[
        int, typer.Option(metavar="N", min=1, help="Recommendations explained to each user, the best first.")
    ] = 1,
    seed: Seed = 1,
    generator: GeneratorSpec = "embedded",
    name: Name = None,
    max_tokens: Annotated[
        int, typer.Option(metavar="N", min=1, help="Tokens an answer may have.", rich_help_panel=GENERATOR)
    ] = 200,
    temperature: Annotated[
        float | None,
        typer.Option(
            metavar="X",
            min=0,
            help="0: the likeliest word each time; above, words are drawn.",
            rich_help_panel=GENERATOR,
        ),
    ] = None,
    context_tokens: Annotated[
        int | None, typer.Option(metavar="N", min=1, help="Tokens a prompt may have.", rich_help_panel=GENERATOR)
    ] = None,
    batch_size: Annotated[
        int, typer.Option(metavar="N", min=1, help="Prompts at a time (hf:).", rich_help_panel=GENERATOR)
    ] = 16,
    concurrency: Annotated[
        int, typer.Option(metavar="N", min=1, help="Requests at a time (openai:).", rich_help_panel=GENERATOR)
    ] = 8,
    timeout: Annotated[
        float,
        typer.Option(
            metavar="SECONDS", min=0.1, help="How long a request may take (openai:).", rich_help_panel=GENERATOR
        ),
    ] = 120.0,
    template: Template = "default",
    history: History = 20,
    item_attributes: ItemAttributes = None,
    user_attributes: UserAttributes = None,
    reasoning: Reasoning = True,
    max_words: MaxWords = 75,
    verify: Annotated[
        bool,
        typer.Option(
            "--verify", help="Send nothing that claims what its prompt does not support.", rich_help_panel=_VERIFIED
        ),
    ] = False,
    again: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            min=0,
            max=10,
            help="Times that such an answer is asked for again; without, 2.",
            rich_help_panel=_VERIFIED,
        ),
    ] = None,
    otherwise: Annotated[
        str | None,
        typer.Option(
            metavar="HOW",
            help="And then: template (fixed sentences, the default) or withhold.",
            autocompletion=completion.otherwise,
            rich_help_panel=_VERIFIED,
        ),
    ] = None,
    may_tell: Annotated[
        str | None,
        typer.Option(
            metavar="A,B",
            help="What an explanation may tell of the user: age,gender; without, nothing.",
            autocompletion=completion.user_attributes,
            rich_help_panel=_VERIFIED,
        ),
    ] = None,
    price: Price = None,
    max_cost: MaxCost = None,
    dry_run: DryRun = False,
) -> None:
    """Have a generator explain the recommendations, each answer kept as it comes.

    Stopped at any moment, the same command goes on where it was.
    """
    from llmxrec.asking.estimate import estimate
    from llmxrec.evidence.verification import Verification
    from llmxrec.notes import refuse_to_mix
    from llmxrec.prompts.instructions import PromptSettings
    from llmxrec.prompts.template import load_template
    from llmxrec.recipe import GeneratorRecipe, price_for
    from llmxrec.settings import check
    from llmxrec.stages import explaining
    from llmxrec.stages.tracing import STAND_IN, trace_missing
    from llmxrec.stored import knowledge, rests_on_a_stand_in

    place = opened(workspace)
    recommender = only("recommender", recommender, place.recommenders(), f"llmxrec recommend {workspace}")
    prompt = PromptSettings(
        template=template,
        history=history,
        item_attributes=listed(item_attributes),
        user_attributes=listed(user_attributes),
        reasoning=reasoning,
        max_words=max_words,
    )
    asked = check(
        GeneratorRecipe,
        {
            "spec": generator,
            "name": name,
            "settings": {
                "max_tokens": max_tokens,
                "temperature": temperature,
                "seed": seed,
                "context_tokens": context_tokens,
                "batch_size": batch_size,
                "concurrency": concurrency,
                "timeout": timeout,
            },
            "price": price_option(price),
            "max_cost": max_cost,
        },
        "the generator",
    )
    rules = {"again": again, "otherwise": otherwise, "may_tell": listed(may_tell)}
    if not verify:
        refuse_idle("--verify", **rules)
    said = {name: rule for name, rule in rules.items() if rule is not None}
    verification = check(Verification, said, "--verify") if verify else None
    file = place.explanations(recommender, asked.label)
    refuse_to_mix(
        file, explaining.answer_settings(place, asked, prompt, seed, knowledge(place, recommender), verification)
    )
    tells = load_template(template).tells_causes
    if tells:
        trace_missing(place, recommender, top=top)
    questions = explaining.questions_about(place, recommender, asked, prompt, users=users, top=top, seed=seed)
    if dry_run:
        attempts = 1 if verification is None else 1 + verification.again
        plan = estimate(questions, file, price=price_for(asked), max_tokens=max_tokens, attempts=attempts)
        show_plan(plan, listed_price=price is None)
        figures(recommender=recommender, generator=asked.label, plan=plain_plan(plan))
        return
    outcome = explaining.explain_recommendations(place, asked, questions, verification)
    for line in outcome.lines():
        say(line)
    stand_in = tells and rests_on_a_stand_in(place, recommender)
    if stand_in:
        say(f"reasons are those of {STAND_IN}")
    figures(recommender=recommender, generator=asked.label, stand_in=stand_in, **vars(outcome))
    wrote(file)
    check_answered(outcome.asked["failed"])
    say_next("export", workspace, "--recommender", recommender, "--generator", asked.label, "--out", "explanations.csv")


@app.command()
def export(
    workspace: WorkspacePath,
    out: Annotated[Path, typer.Option(metavar="FILE", help="FILE.csv, FILE.parquet or FILE.jsonl.")],
    recommender: ExplainedRecommender = None,
    generator: GeneratorName = None,
    top: Annotated[
        int | None, typer.Option(metavar="N", min=1, help="Recommendations of each user, the best first; without, all.")
    ] = None,
) -> None:
    """Write explanations to one file for others: CSV, Parquet or JSON lines.

    CSV is made safe for spreadsheets. What each recommendation rests on stands beside it, where that was measured.
    """
    from llmxrec.datasets.dataset import Dataset
    from llmxrec.reports.export import export as write
    from llmxrec.stored import causes_of, read_evidence, stored_explanations

    place = opened(workspace)
    recommender = only("recommender", recommender, place.explained(), f"llmxrec explain {workspace}")
    generator = only("generator", generator, place.generators(recommender), f"llmxrec explain {workspace}")
    table = stored_explanations(place, recommender, generator)
    if top is not None:
        table = table.filter(table["rank"] <= top)
    if place.evidence(recommender).exists():
        causes = causes_of(read_evidence(place, recommender))
        table = table.join(causes, on=["user_id", "item_id"], how="left", maintain_order="left")
    write(table, Dataset.load(place.dataset), out)
    say(f"{table.height:,} explanations")
    figures(recommender=recommender, generator=generator, rows=table.height)
    wrote(out)


def price_option(text: str | None) -> dict[str, float] | None:
    """--price as a recipe has it."""
    if text is None:
        return None
    try:
        read, written = map(float, text.split(","))
    except ValueError:
        raise InputError("--price is IN,OUT: two numbers, USD per million tokens", value=text) from None
    return {"input": read, "output": written}


def check_answered(failed: int, what: str = "rows") -> None:
    """Raises WorkError where some got no answer: a server's fault, so that the work is not done."""
    if failed:
        raise WorkError(f"{failed:,} {what} got no answer; the same command asks them again")


def plain_plan(plan: Estimate) -> dict[str, Any]:
    """A plan for programs: of its prompts, the messages."""
    return {**vars(plan), "examples": [prompt.messages for prompt in plan.examples]}


def show_plan(plan: Estimate, listed_price: bool) -> None:
    """Three prompts whole, and what asking all would take."""
    for number, prompt in enumerate(plan.examples, 1):
        say(f"--- prompt {number} of {plan.calls:,} ---")
        for message in prompt.messages:
            say(f"[{message.role}]\n{message.content}\n")
    say("--- nothing was asked ---")
    for line in plan.lines(listed_price):
        say(line)
