"""Commands that do everything: run, demo."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from llmxrec.cli import app
from llmxrec.cli.console import say, say_next, wrote
from llmxrec.workspace import Workspace


@app.command()
def run(
    recipe: Annotated[Path, typer.Argument(metavar="RECIPE.toml", help="The experiment.")],
    workspace: Annotated[
        Path | None, typer.Option(help="The folder to fill; by default workspaces/ and the recipe's name.")
    ] = None,
    source: Annotated[Path | None, typer.Option(help="The folder of the dataset's original files.")] = None,
) -> None:
    """A whole experiment: data, recommenders, explanations, whatever the recipe has measured, and a report to read."""
    from llmxrec import experiment
    from llmxrec.recipe import load_recipe
    from llmxrec.stages.reporting import write_report

    wanted = load_recipe(recipe)
    if source is not None:
        wanted = wanted.model_copy(update={"dataset": wanted.dataset.model_copy(update={"source": str(source)})})
    place = Workspace(workspace or Path("workspaces", wanted.name))
    say(f"{wanted.name}, into {place.path}")
    experiment.run(wanted, place, say)
    write_report(place.path)
    wrote(place.summary)
    wrote(place.report)
    say_next("export", place.path, "--out", "explanations.csv")


@app.command()
def demo(
    workspace: Annotated[Path, typer.Argument(metavar="[WORKSPACE]", help="The folder to fill.")] = Path(
        "llmxrec-demo"
    ),
) -> None:
    """The main job on the bundled data, offline: simulated people, real films, and why each was recommended."""
    from llmxrec import experiment
    from llmxrec.datasets.dataset import Dataset
    from llmxrec.recipe import Recipe, check_recipe
    from llmxrec.reports.summary import write_summary
    from llmxrec.settings import check
    from llmxrec.stored import stored_explanations

    wanted = check_recipe(check(Recipe, DEMO, "the demo"))
    place = Workspace(workspace)
    say(f"demo, into {place.path}")
    experiment.run(wanted, place, say)
    write_summary(place)
    dataset = Dataset.load(place.dataset)
    titles = dict(dataset.items.select("item_id", "title").iter_rows())
    table = stored_explanations(place, "ease", "embedded")
    for row in table.gather_every(table.height // 3).head(3).iter_rows(named=True):
        say(f"\n{titles[row['item_id']]}, for {row['user_id']}:\n  {row['text']}")
    say("")
    wrote(place.summary)
    say_next("explain", place.path, "--recommender", "bpr")


DEMO = {
    "name": "demo",
    "dataset": {"kind": "demo"},
    "recommenders": [{"name": "popularity"}, {"name": "ease"}, {"name": "bpr"}],
    "prompt": {"template": "evidence"},
    "generators": [{"spec": "embedded"}],
    "explain": {"recommenders": ["ease"], "verify": {}},
}
"""The demo as a recipe."""
