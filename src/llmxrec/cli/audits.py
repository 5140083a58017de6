"""Commands that look for faults: audit."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from llmxrec.cli import app
from llmxrec.cli.console import figures, say, say_next, wrote
from llmxrec.cli.options import WorkspaceOrFolder


@app.command()
def audit(
    folder: WorkspaceOrFolder,
    tuning: Annotated[
        list[Path] | None,
        typer.Option(metavar="FILE", help="Rows that a generator was tuned on, as JSON lines. Repeatable."),
    ] = None,
    pairs: Annotated[
        list[Path] | None, typer.Option(metavar="FILE", help="Labelled pairs that a judge learns from. Repeatable.")
    ] = None,
    accuracies: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Reported accuracies, CSV: measure (an attribute, or judge), accuracy."),
    ] = None,
    notes: Annotated[bool, typer.Option("--notes", help="Print notes too; the file has them in any case.")] = False,
) -> None:
    """Look for what makes numbers say what they do not.

    Misplaced answers, places that decide, leaks, collapse, accuracies that a constant reaches.
    """
    from llmxrec.stages.auditing import find_faults, finding_lines, write_faults

    found = find_faults(folder, tuning=tuning or (), pairs=pairs or (), accuracies=accuracies)
    file = write_faults(folder, found)
    for line in finding_lines(found, notes=notes):
        say(line)
    counts = {severity: sum(one.severity == severity for one in found) for severity in ("critical", "warning", "note")}
    figures(findings=found, **counts)
    wrote(file)
    say_next("report", folder)
