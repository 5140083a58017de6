"""Commands that tell what is stored: report."""

from __future__ import annotations

from collections import Counter

from llmxrec.cli import app
from llmxrec.cli.console import figures, say, say_next, wrote
from llmxrec.cli.judging import compared
from llmxrec.cli.options import WorkspaceOrFolder
from llmxrec.workspace import Workspace, safe_name


@app.command()
def report(
    folder: WorkspaceOrFolder,
) -> None:
    """Write report.html, all tables and summaries anew from what is stored.

    The report is one file, to be opened in any browser: what the auditor found first, then every table, then all
    explanations side by side, to look through. Nothing is asked, trained or judged.
    """
    from llmxrec.evaluation.audit import audit
    from llmxrec.evaluation.audit.reading import read_material
    from llmxrec.evaluation.reading import workspaces
    from llmxrec.progress import progress
    from llmxrec.reports.page import write_page
    from llmxrec.reports.sheets import sheets_of, write_sheets
    from llmxrec.reports.summary import write_summary
    from llmxrec.reports.tables import verdict_lines, write_tables

    places = {safe_name(place.path.resolve().name): place for place in workspaces(folder)}
    for place in places.values():
        write_summary(place)
    tables = write_tables(places, Workspace(folder))
    for line in verdict_lines(places):
        say(line)
    counts: dict[str, Counter[str]] = {}
    for name, place in places.items():
        material = read_material(place.path)
        rows = sum(len(answers.rows) for part in material.parts for answers in part.answers)
        with progress("auditing", rows, "explanations") as advance:
            findings = audit(material, advance)
        counts[name] = Counter(finding.severity for finding in findings)
        sheets = sheets_of(place, findings)
        write_sheets(sheets, place)
        write_page(place, sheets)
    for file in (*(place.summary for place in places.values()), *tables, *(place.report for place in places.values())):
        wrote(file)
    figures(workspaces=[place.path for place in places.values()], findings=counts)
    figures(**compared(places, Workspace(folder)))
    if Workspace(folder).dataset.is_dir():  # one workspace: people can be asked about it
        say_next("study", folder)
