"""Commands that tell what is stored: report."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from llmxrec.cli import app
from llmxrec.cli.console import say, say_next, wrote
from llmxrec.workspace import Workspace, safe_name


@app.command()
def report(
    folder: Annotated[Path, typer.Argument(metavar="WORKSPACE", help="A workspace, or a folder of workspaces.")],
) -> None:
    """Write all tables and summaries anew from what is stored; nothing is asked, trained or judged."""
    from llmxrec.evaluation.reading import workspaces
    from llmxrec.reports.summary import write_summary
    from llmxrec.reports.tables import verdict_lines, write_tables

    places = {safe_name(place.path.resolve().name): place for place in workspaces(folder)}
    for place in places.values():
        write_summary(place)
    tables = write_tables(places, Workspace(folder))
    for line in verdict_lines(places):
        say(line)
    for file in (*(place.summary for place in places.values()), *tables):
        wrote(file)
    say_next("audit", folder)
