"""The command of the paper's third evaluation: predict."""

from __future__ import annotations

from typing import Annotated

import typer

from llmxrec.cli import app
from llmxrec.cli.console import figures, listed, numbers_or_words, only, pairs, say, say_next, wrote
from llmxrec.cli.data import WorkspacePath
from llmxrec.cli.explanations import check_answered, plain_plan, price_option, show_plan
from llmxrec.workspace import Workspace


@app.command()
def predict(
    workspace: WorkspacePath,
    recommender: Annotated[str | None, typer.Option(help="Whose recommendations; the only one, if not said.")] = None,
    generator: Annotated[
        str, typer.Option(help="embedded+ADAPTER, hf:NAME_OR_PATH, hf:NAME+ADAPTER, openai:MODEL, gpt-4...")
    ] = "embedded",
    target: Annotated[
        list[str] | None,
        typer.Option(
            help="age, gender, occupation, category, interest, price, popularity; if not said, all that the data tell."
        ),
    ] = None,
    users: Annotated[int | None, typer.Option(min=1, help="Only the first N users.")] = None,
    history: Annotated[int, typer.Option(min=0, help="The newest items shown, at most.")] = 20,
    template: Annotated[str, typer.Option(help="default, paper or FILE.txt.")] = "default",
    item_attributes: Annotated[str | None, typer.Option(help="Shown of items: genres,year; '' for none.")] = None,
    user_attributes: Annotated[
        str, typer.Option(help="Shown of users, but for what is asked for: age,gender; by default, nothing.")
    ] = "",
    seed: Annotated[int, typer.Option(min=0, help="Of prompts, of parts of the people, and of intervals.")] = 1,
    setting: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Of the generator: --set batch_size=4.")
    ] = None,
    name: Annotated[str | None, typer.Option(help="What to call these predictions; by default, the generator.")] = None,
    price: Annotated[
        str | None, typer.Option(metavar="IN,OUT", help="USD per million tokens read and written.")
    ] = None,
    max_cost: Annotated[float | None, typer.Option(min=0, help="USD these predictions may cost in all.")] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Ask nothing: show three prompts, calls, tokens, price.")
    ] = False,
) -> None:
    """Have a generator predict attributes that it is not shown, and measure it beside rules that it has to beat.

    Nobody is asked about whom the generator's adapter was tuned on. Stopped at any moment, it goes on where it was.
    """
    import polars as pl

    from llmxrec.explain import estimate
    from llmxrec.notes import refuse_to_mix
    from llmxrec.prompts.instructions import PromptSettings
    from llmxrec.recipe import GeneratorRecipe, price_for
    from llmxrec.reports.attributes import accuracy_lines, write_table_3
    from llmxrec.settings import check
    from llmxrec.stages import predicting
    from llmxrec.stored import stored_predictions

    place = Workspace(workspace)
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
