"""Commands that take in what others made: replay, import."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from llmxrec.cli import app
from llmxrec.cli.console import figures, pairs, say, say_next, wrote
from llmxrec.cli.data import WorkspacePath
from llmxrec.cli.judging import compared
from llmxrec.workspace import Workspace


@app.command()
def replay(
    repository: Annotated[
        Path, typer.Argument(metavar="REPOSITORY", help="A clone of the repository of the paper's authors.")
    ],
    out: Annotated[Path, typer.Option(metavar="WORKSPACE", help="The folder to fill: a workspace for each dataset.")],
    judge: Annotated[
        str | None, typer.Option(help="Who judges again: text (if pairs to learn from are there), pairwise:...")
    ] = None,
    judging: Annotated[bool, typer.Option("--judging/--no-judging", help="Have the texts judged again.")] = True,
) -> None:
    """The paper's released explanations as workspaces; its Table 2 from the verdicts and judged again, side by side."""
    from llmxrec import replay as replaying
    from llmxrec.evaluation.reading import workspaces

    for file in replaying.replay(repository, out, say, judge=judge if judging else ""):
        wrote(file)
    places = {place.path.name: place for place in workspaces(out)}
    figures(workspaces=[place.path for place in places.values()], **compared(places, Workspace(out)))
    say_next("audit", out)


@app.command("import")
def import_explanations(
    workspace: WorkspacePath,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="CSV, TSV, JSONL or Parquet: user, item, text.")],
    recommender: Annotated[str, typer.Option(help="Whose recommendations are explained; any name, if nobody's here.")],
    generator: Annotated[str | None, typer.Option(help="Who explained, where the file does not say.")] = None,
    column: Annotated[
        list[str] | None, typer.Option(metavar="OURS=YOURS", help="A column of yours: --column text=explanation.")
    ] = None,
) -> None:
    """Take in explanations made elsewhere, by any system or by hand, to compare, judge and audit them."""
    from llmxrec.imports import import_explanations as take_in

    place = Workspace(workspace)
    taken = take_in(place, file, recommender, generator, pairs("--column", column or []))
    figures(recommender=recommender, imported=taken)
    for one in taken:
        say(str(one))
        wrote(place.explanations(recommender, one.generator))
    say_next(
        "export",
        workspace,
        "--recommender",
        recommender,
        "--generator",
        taken[0].generator,
        "--out",
        "explanations.csv",
    )
