"""Commands about the people whom texts are for: identify, fairness."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from llmxrec.cli import app, completion
from llmxrec.cli.console import figures, listed, only, opened, refuse_idle, say, say_next, wrote
from llmxrec.cli.explanations import check_answered, plain_plan, price_option, show_plan
from llmxrec.cli.options import (
    DryRun,
    ExplainedRecommender,
    MaxCost,
    Price,
    Recommender,
    Seed,
    WorkspacePath,
)
from llmxrec.errors import InputError
from llmxrec.workspace import Workspace

if TYPE_CHECKING:
    from llmxrec.stages.fairness import Flip


_FLIP = "Flipped"


@app.command()
def identify(
    workspace: WorkspacePath,
    recommender: ExplainedRecommender = None,
    generator: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME", help="Whose texts; without, all. Repeatable.", autocompletion=completion.generators
        ),
    ] = None,
    among: Annotated[int, typer.Option(metavar="N", min=2, help="People whom a text may be about.")] = 100,
    seed: Seed = 1,
) -> None:
    """Find out whether explanations tell whose they are.

    Each text's person is looked for among others, by history and profile; beside shuffled and popular texts.
    """
    from llmxrec.reports.people import identified_lines, plain, write_identified
    from llmxrec.stages.identifying import identify_people

    place = opened(workspace)
    recommender = only("recommender", recommender, place.explained(), f"llmxrec explain {workspace}")
    there = place.generators(recommender)
    names = [only("generator", name, there, f"llmxrec explain {workspace}") for name in generator or there]
    found = identify_people(place, recommender, names, among, seed)
    file = write_identified(found, place, recommender)
    figures(recommender=recommender, identified=plain(found))
    for line in identified_lines(found):
        say(line)
    wrote(file)
    say_next("fairness", workspace, "--recommender", recommender)


@app.command()
def fairness(
    workspace: WorkspacePath,
    recommender: Recommender = None,
    generator: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="Whose texts; without, all. With --flip: a name, or a spec.",
            autocompletion=completion.any_generator,
        ),
    ] = None,
    attribute: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME",
            help="Of users: gender, age...; without, all that may be shown. Repeatable.",
            autocompletion=completion.user_attribute,
        ),
    ] = None,
    seed: Seed = 1,
    flip: Annotated[
        bool,
        typer.Option(
            "--flip",
            help="Ask the generator everybody's prompt with one value, and with another.",
            rich_help_panel=_FLIP,
        ),
    ] = False,
    between: Annotated[
        str | None,
        typer.Option(
            metavar="A,B",
            help="The two values; without, ages 20 and 60, or the two most frequent.",
            rich_help_panel=_FLIP,
        ),
    ] = None,
    users: Annotated[
        int | None, typer.Option(metavar="N", min=1, help="Only the first N users.", rich_help_panel=_FLIP)
    ] = None,
    price: Price = None,
    max_cost: MaxCost = None,
    dry_run: DryRun = False,
) -> None:
    """Find out whether explanations differ by who they are for.

    Groups of people are compared, at equal history too. With --flip, each person's prompt is asked with one attribute
    changed; nothing is asked without.
    """
    from llmxrec.datasets.dataset import Dataset
    from llmxrec.reports.people import fairness_lines, plain, write_fairness
    from llmxrec.stages.fairness import called, measurable, measure_fairness

    place = opened(workspace)
    recommender = only("recommender", recommender, place.recommenders(), f"llmxrec recommend {workspace}")
    dataset = Dataset.load(place.dataset)
    shown = [name for name in dataset.domain.user_attributes if name in dataset.users.columns]
    names, failed = measurable(place, recommender), 0
    flip = flip or dry_run
    if not flip:
        refuse_idle("--flip", between=between, users=users, price=price, max_cost=max_cost)
    if flip:
        if generator is None:
            raise InputError("--flip asks one generator", cure=f"--generator SPEC, or one of: {', '.join(names)}")
        (one,) = attribute if attribute and len(attribute) == 1 else [only("attribute", None, shown, "--attribute")]
        asked = _planned(place, recommender, generator, one, listed(between), users, price_option(price), max_cost)
        if dry_run:
            _show_plans(place, asked, listed_price=price is None)
            return
        failed = _ask(place, asked)
        names, attribute = [asked.generator.label], [one]
    elif generator is not None or not names:
        known = generator and called(generator, names)
        names = [only("generator", known, names, f"llmxrec explain {workspace}")]
    found = measure_fairness(place, recommender, names, attribute or shown, seed)
    file = write_fairness(found, place, recommender)
    figures(recommender=recommender, contrasts=plain(found))
    for line in fairness_lines(found):
        say(line)
    wrote(file)
    check_answered(failed)
    say_next("audit", workspace)


def _planned(
    place: Workspace,
    recommender: str,
    generator: str,
    attribute: str,
    values: tuple[str, ...] | None,
    users: int | None,
    price: dict[str, float] | None,
    max_cost: float | None,
) -> Flip:
    """What to ask: as the explanations of that name were asked for, or as a spec is by default."""
    from llmxrec.stages.fairness import asked_before, flip

    recipe, prompt, seed = asked_before(place, recommender, generator, price=price, max_cost=max_cost)
    return flip(place, recommender, recipe, prompt, attribute, values or (), users=users, seed=seed)


def _ask(place: Workspace, asked: Flip) -> int:
    """Ask, and say what came of it; returns how many rows got no answer."""
    from llmxrec.stages.fairness import ask_flipped

    outcomes = {}
    for value, outcome in ask_flipped(place, asked):
        outcomes[value] = vars(outcome)
        for line in outcome.lines():
            say(f"{asked.attribute} {value}: {line}")
    figures(generator=asked.generator.label, attribute=asked.attribute, flipped=outcomes)
    return sum(outcome["asked"]["failed"] for outcome in outcomes.values())


def _show_plans(place: Workspace, asked: Flip, listed_price: bool) -> None:
    """What asking for each value would take."""
    from llmxrec.asking.estimate import estimate
    from llmxrec.recipe import price_for

    generator, plans = asked.generator, {}
    for value, questions in zip(asked.values, asked.questions, strict=True):
        say(f"{asked.attribute} {value}:")
        file = place.flipped(questions.recommender, generator.label, asked.attribute, value)
        plan = estimate(questions, file, price=price_for(generator), max_tokens=generator.settings.max_tokens)
        show_plan(plan, listed_price)
        plans[value] = plain_plan(plan)
    figures(generator=generator.label, attribute=asked.attribute, plans=plans)
