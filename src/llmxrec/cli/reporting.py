"""Commands that tell what is stored: report."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from llmxrec.cli import app
from llmxrec.cli.console import say, say_next, wrote


@app.command()
def report(
    folder: Annotated[Path, typer.Argument(metavar="WORKSPACE", help="A workspace, or a folder of workspaces.")],
) -> None:
    """Write report.html, all tables and summaries anew from what is stored; nothing is asked, trained or judged.

    The report is one file, to be opened in any browser: what the auditor found first, then every table, then all
    explanations side by side, to look through.
    """
    from llmxrec.reports.tables import verdict_lines
    from llmxrec.stages.reporting import named_workspaces, write_report

    files = write_report(folder)
    for line in verdict_lines(named_workspaces(folder)):
        say(line)
    for file in files:
        wrote(file)
    say_next("audit", folder)
