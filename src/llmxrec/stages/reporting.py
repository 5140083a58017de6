"""Everything that is stored, told: summaries, tables and the report."""

from __future__ import annotations

from pathlib import Path

from llmxrec.evaluation.reading import workspaces
from llmxrec.reports.page import write_page
from llmxrec.reports.sheets import sheets_of, write_sheets
from llmxrec.reports.summary import write_summary
from llmxrec.reports.tables import write_tables
from llmxrec.stages.auditing import find_faults
from llmxrec.stages.cases import cases_of
from llmxrec.workspace import Workspace


def named_workspaces(folder: Path) -> dict[str, Workspace]:
    """The workspace that `folder` is, or those that lie in it, by the names that tables have for them."""
    return {place.path.resolve().name: place for place in workspaces(folder)}


def write_report(folder: Path) -> list[Path]:
    """Write anew all summaries, tables and reports of `folder`, a workspace or a folder of them; returns the files.

    Nothing is asked, trained or judged. People whom the recipe names as cases are shown whole.
    """
    places = named_workspaces(folder)
    for place in places.values():
        write_summary(place)
    tables = write_tables(places, Workspace(folder))
    for name, place in places.items():
        if place.path != folder:  # what stands there from before would be of other verdicts
            write_tables({name: place}, place)
        sheets = [*sheets_of(place, find_faults(place.path)), *cases_of(place)]
        write_sheets(sheets, place)
        write_page(place, sheets)
    return [*(place.summary for place in places.values()), *tables, *(place.report for place in places.values())]
