"""Commands that look for faults: audit."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from llmxrec.cli import app
from llmxrec.cli.console import say, wrote


@app.command()
def audit(
    folder: Annotated[Path, typer.Argument(metavar="WORKSPACE", help="A workspace, or a folder of workspaces.")],
    tuning: Annotated[
        list[Path] | None, typer.Option(help="Rows a generator was tuned on (JSON lines). Can be given again.")
    ] = None,
    pairs: Annotated[
        list[Path] | None, typer.Option(help="Labelled pairs that a judge learns from. Can be given again.")
    ] = None,
    accuracies: Annotated[
        Path | None, typer.Option(help="Reported accuracies, CSV: measure (an attribute, or judge), accuracy.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the findings as JSON, nothing else.")] = False,
    notes: Annotated[bool, typer.Option(help="Print notes too; the file has them in any case.")] = False,
) -> None:
    """Look for what makes numbers say what they do not: misplaced answers, places that decide, leaks, collapse."""
    from llmxrec.stages.auditing import find_faults, finding_lines, write_faults

    found = find_faults(folder, tuning=tuning or (), pairs=pairs or (), accuracies=accuracies)
    file = write_faults(folder, found)
    if as_json:
        typer.echo(json.dumps([asdict(finding) for finding in found], indent=2))
        return
    for line in finding_lines(found, notes=notes):
        say(line)
    wrote(file)
