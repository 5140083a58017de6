"""Commands that look for faults: audit."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from llmxrec.cli import app
from llmxrec.cli.console import figures, printable, say, say_next, wrote
from llmxrec.cli.options import WorkspaceOrFolder

if TYPE_CHECKING:
    from llmxrec.evaluation.audit import Finding

_HEADINGS = {"critical": "Critical", "warning": "Warnings", "note": "Notes"}


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
    from llmxrec.evaluation.audit import audit as look
    from llmxrec.evaluation.audit.reading import read_material
    from llmxrec.progress import progress
    from llmxrec.workspace import atomic

    material = read_material(folder, tuning=tuning or (), pairs=pairs or (), accuracies=accuracies)
    rows = sum(len(answers.rows) for part in material.parts for answers in part.answers)
    with progress("auditing", rows, "explanations") as advance:
        found = look(material, advance)
    file = folder / "audit.md"
    with atomic(file) as draft:
        draft.write_text(_page(folder, found), encoding="utf-8")
    for finding in found:
        if notes or finding.severity != "note":
            _show(finding)
    counts = {severity: sum(finding.severity == severity for finding in found) for severity in _HEADINGS}
    say(f"{counts['critical']:,} critical, {counts['warning']:,} warnings, {counts['note']:,} notes")
    figures(findings=found, **counts)
    wrote(file)
    say_next("report", folder)


def _show(finding: Finding) -> None:
    say(f"{finding.severity}: {finding.title} ({finding.about})")
    say(f"  {finding.figure}")
    for row, quoted in finding.examples:
        say(f"    {row}: {quoted}" if quoted else f"    {row}")
    say(f"  {finding.consequence}")


def _page(folder: Path, found: list[Finding]) -> str:
    """The findings as Markdown, with nothing in quotations read as markup."""
    from llmxrec.reports.summary import safe

    lines = [f"# Audit of {safe(folder.resolve().name)}"]
    for severity, heading in _HEADINGS.items():
        lines += ["", f"## {heading}", ""]
        some = [finding for finding in found if finding.severity == severity]
        if not some:
            lines.append("None.")
        for finding in some:
            lines += [f"- **{safe(finding.title)}** ({safe(finding.about)}): {safe(finding.figure)}."]
            lines += [f"  {safe(finding.consequence)}"]
            lines += [f"  - {safe(printable(row))}: {safe(printable(quoted))}" for row, quoted in finding.examples]
    return "\n".join(lines) + "\n"
