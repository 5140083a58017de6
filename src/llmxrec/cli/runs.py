"""Commands that do everything: run, demo."""

from __future__ import annotations

import os
import sys
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
        Path | None,
        typer.Option(metavar="FOLDER", help="The folder to fill; by default workspaces/ and the recipe's name."),
    ] = None,
    source: Annotated[Path | None, typer.Option(metavar="FOLDER", help="Of the dataset's original files.")] = None,
) -> None:
    """A whole experiment, as a file describes it, and a report to read."""
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
    workspace: Annotated[Path, typer.Argument(metavar="WORKSPACE", help="The folder to fill.")] = Path("llmxrec-demo"),
) -> None:
    """Everything once, on bundled data, offline, in two minutes or three.

    Simulated people, real films, and why they are recommended: recommenders trained, explanations by fixed sentences
    and by the shipped model, untuned and tuned; a judge that has to prove itself first, attributes predicted,
    faithfulness measured, faults looked for, and a report.
    """
    from rich.console import Console

    from llmxrec import experiment
    from llmxrec.recipe import Recipe, check_recipe
    from llmxrec.reports.screen import screen
    from llmxrec.settings import check
    from llmxrec.stages.auditing import find_faults, finding_lines, write_faults
    from llmxrec.stages.reporting import write_report

    wanted = check_recipe(check(Recipe, DEMO, "the demo"))
    place = Workspace(workspace)
    say(f"demo, into {place.path}")
    experiment.run(wanted, place, say)
    found = find_faults(place.path)
    for line in finding_lines(found):
        say(f"  {line}")
    write_report(place.path)
    say("")
    # Wide enough for the table wherever it goes; a terminal, or whoever sets COLUMNS, has a width of its own.
    console = Console(width=None if sys.stdout.isatty() or "COLUMNS" in os.environ else 100)
    console.print(screen(place, "ease", "embedded"))
    wrote(write_faults(place.path, found))
    wrote(place.report)
    say_next("explain", place.path, "--recommender", "bpr")


DEMO = {
    "name": "demo",
    "dataset": {"kind": "demo"},
    "recommenders": [{"name": "popularity"}, {"name": "ease"}, {"name": "bpr"}],
    "prompt": {"template": "evidence", "user_attributes": []},
    "adapters": [
        # Not on the annotated explanations of films: some are about people of the demo.
        {"name": "tuned", "sources": ["annotated:news", "annotated:games"], "settings": {"epochs": 8}},
        {"name": "attributes", "tasks": ["attributes"], "recommenders": ["ease"], "folds": 3},
    ],
    "generators": [
        {"spec": "template"},
        {"spec": "embedded"},
        {"spec": "embedded", "adapter": "tuned"},
        {"spec": "embedded", "adapter": "attributes"},
    ],
    "explain": {"recommenders": ["ease"], "generators": ["template", "embedded", "tuned"], "verify": {}},
    "judges": [{"spec": "text", "train": "annotated"}],
    "predict": {
        "recommenders": ["ease"], "generators": ["attributes"], "targets": ["age", "gender", "occupation"],
    },
    "measure": {"faithfulness": True},
    "report": {"cases": ["u001", "u098", "u195"]},
}  # fmt: skip
"""The demo as a recipe."""
