"""The command of the paper's third evaluation: predict."""

from __future__ import annotations

from typing import Annotated

import typer

from llmxrec.cli import app, completion
from llmxrec.cli.console import figures, listed, numbers_or_words, only, opened, pairs, say, say_next, wrote
from llmxrec.cli.explanations import check_answered, plain_plan, price_option, show_plan
from llmxrec.cli.options import (
    GENERATOR,
    PROMPT,
    DryRun,
    GeneratorSpec,
    History,
    ItemAttributes,
    MaxCost,
    Name,
    Price,
    Recommender,
    Seed,
    Target,
    Template,
    Users,
    WorkspacePath,
)


@app.command()
def predict(
    workspace: WorkspacePath,
    recommender: Recommender = None,
    target: Target = None,
    users: Users = None,
    seed: Seed = 1,
    generator: GeneratorSpec = "embedded",
    name: Name = None,
    setting: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="KEY=VALUE",
            help="A setting of it: --set batch_size=4. Repeatable.",
            rich_help_panel=GENERATOR,
        ),
    ] = None,
    template: Template = "default",
    history: History = 20,
    item_attributes: ItemAttributes = None,
    user_attributes: Annotated[
        str,
        typer.Option(
            metavar="A,B",
            help="Shown of users, but for what is asked for: age,gender; without, nothing.",
            autocompletion=completion.user_attributes,
            rich_help_panel=PROMPT,
        ),
    ] = "",
    price: Price = None,
    max_cost: MaxCost = None,
    dry_run: DryRun = False,
) -> None:
    """Have a generator predict attributes of people and items that it is not shown.

    It is measured beside rules that it has to beat. Nobody is asked about whom the generator's adapter was tuned on.
    Stopped at any moment, the same command goes on.
    """
    import polars as pl

    from llmxrec.asking.estimate import estimate
    from llmxrec.notes import refuse_to_mix
    from llmxrec.prompts.instructions import PromptSettings
    from llmxrec.recipe import GeneratorRecipe, price_for
    from llmxrec.reports.attributes import accuracy_lines, write_table_3
    from llmxrec.settings import check
    from llmxrec.stages import predicting
    from llmxrec.stored import stored_predictions

    place = opened(workspace)
    recommender = only("recommender", recommender, place.recommenders(), f"llmxrec recommend {workspace}")
    prompt = PromptSettings(
        template=template,
        history=history,
        item_attributes=listed(item_attributes),
        user_attributes=listed(user_attributes),
    )
    asked = check(
        GeneratorRecipe,
        {
            "spec": generator,
            "name": name,
            "settings": numbers_or_words(pairs("--set", setting or [])),
            "price": price_option(price),
            "max_cost": max_cost,
        },
        "the generator",
    )
    questions, left_out = predicting.attribute_questions(
        place, recommender, asked, prompt, target, users=users, seed=seed
    )
    file = place.predictions(recommender, asked.label)
    refuse_to_mix(file, predicting.prediction_settings(place, asked, questions))
    figures(recommender=recommender, generator=asked.label, left_out=left_out)
    if left_out:
        say(f"left out: {left_out:,} people on whom the adapter was tuned")
    if dry_run:
        plan = estimate(questions, file, price=price_for(asked), max_tokens=asked.settings.max_tokens)
        show_plan(plan, listed_price=price is None)
        figures(plan=plain_plan(plan))
        return
    outcome = predicting.predict_attributes(place, asked, questions)
    for line in outcome.lines():
        say(line)
    silent = stored_predictions(place, recommender, asked.label).filter(pl.col("status") != "ok")["detail"].drop_nulls()
    if len(silent):
        say(f"not answered, such as: {silent[0]}")
    found, notes = predicting.measure_predictions(place, recommender, seed)
    for line in (*accuracy_lines(found), *notes):
        say(line)
    figures(**vars(outcome), accuracies=found, notes=notes)
    wrote(file)
    wrote(write_table_3(found, place, recommender))
    check_answered(outcome.asked["failed"])
    say_next("audit", workspace)
