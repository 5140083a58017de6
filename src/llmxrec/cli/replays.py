"""Commands that take in what others made: replay, import."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from llmxrec.cli import app, completion
from llmxrec.cli.console import figures, pairs, say, say_next, wrote
from llmxrec.cli.judging import compared
from llmxrec.cli.options import Columns, WorkspacePath
from llmxrec.workspace import Workspace


@app.command()
def replay(
    repository: Annotated[
        Path, typer.Argument(metavar="REPOSITORY", help="A clone of the repository of the paper's authors.")
    ],
    out: Annotated[Path, typer.Option(metavar="WORKSPACE", help="The folder to fill: a workspace for each dataset.")],
    judge: Annotated[
        str | None,
        typer.Option(
            metavar="SPEC",
            help="Who judges again; without, text, if the authors' labelled pairs are there.",
            autocompletion=completion.judge_specs,
        ),
    ] = None,
    judging: Annotated[bool, typer.Option("--judging/--no-judging", help="Have the texts judged again.")] = True,
) -> None:
    """Make workspaces of what the paper's authors released, and judge it again.

    The paper's Table 2 is shown side by side: from their verdicts, from trivial rules, and judged again.
    """
    from llmxrec import replay as replaying

    for file in replaying.replay(repository, out, say, judge=judge if judging else ""):
        wrote(file)
    names = [name for name in replaying.DATASETS.values() if (out / name).is_dir()]
    places = {name: Workspace(out / name) for name in names}
    figures(workspaces=[place.path for place in places.values()], **compared(places, Workspace(out)))
    say_next("audit", out)


@app.command("import")
def import_explanations(
    workspace: WorkspacePath,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="CSV, TSV, JSONL or Parquet: user, item, text.")],
    recommender: Annotated[
        str,
        typer.Option(
            metavar="NAME",
            help="Whose recommendations they explain; any name, if they are not here.",
            autocompletion=completion.recommenders,
        ),
    ],
    generator: Annotated[
        str | None, typer.Option(metavar="NAME", help="Who explained, where the file does not say.")
    ] = None,
    column: Columns = None,
) -> None:
    """Take in explanations made elsewhere, by any system or by hand.

    They are compared, judged, audited and exported like those made here.
    """
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
