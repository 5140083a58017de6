"""Commands that tell what is stored: report."""

from __future__ import annotations

from llmxrec.cli import app
from llmxrec.cli.console import figures, say, say_next, wrote
from llmxrec.cli.judging import compared
from llmxrec.cli.options import WorkspaceOrFolder
from llmxrec.workspace import Workspace


@app.command()
def report(
    folder: WorkspaceOrFolder,
) -> None:
    """Write report.html, all tables and summaries anew from what is stored.

    The report is one file, to be opened in any browser: what the auditor found first, then every table, then all
    explanations side by side, to look through. Nothing is asked, trained or judged.
    """
    from llmxrec.reports.tables import verdict_lines
    from llmxrec.stages.reporting import named_workspaces, write_report

    files, places = write_report(folder), named_workspaces(folder)
    for line in verdict_lines(places):
        say(line)
    for file in files:
        wrote(file)
    figures(workspaces=[place.path for place in places.values()], **compared(places, Workspace(folder)))
    if Workspace(folder).dataset.is_dir():  # one workspace: people can be asked about it
        say_next("study", folder)
