"""Faults looked for in what is stored, and written on a page."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from llmxrec.errors import printable
from llmxrec.evaluation.audit import Finding, audit
from llmxrec.evaluation.audit.reading import read_material
from llmxrec.progress import progress
from llmxrec.reports.markdown import safe
from llmxrec.workspace import atomic

HEADINGS = {"critical": "Critical", "warning": "Warnings", "note": "Notes"}


def find_faults(
    folder: Path, *, tuning: Sequence[Path] = (), pairs: Sequence[Path] = (), accuracies: Path | None = None
) -> list[Finding]:
    """All that is to be said of `folder`, a workspace or a folder of them, and of the files named; the worst first."""
    material = read_material(folder, tuning=tuning, pairs=pairs, accuracies=accuracies)
    rows = sum(len(answers.rows) for part in material.parts for answers in part.answers)
    with progress("auditing", rows, "explanations") as advance:
        return audit(material, advance)


def write_faults(folder: Path, found: Sequence[Finding]) -> Path:
    """Write what was found in `folder` to its audit.md; returns the file."""
    file = folder / "audit.md"
    with atomic(file) as draft:
        draft.write_text(_page(folder, found), encoding="utf-8")
    return file


def finding_lines(found: Sequence[Finding], *, notes: bool = False) -> list[str]:
    """`found` for people, and how many there are of each severity; the notes only if wanted."""
    lines = []
    for finding in found:
        if notes or finding.severity != "note":
            lines += [f"{finding.severity}: {finding.title} ({finding.about})", f"  {finding.figure}"]
            lines += [f"    {row}: {quoted}" if quoted else f"    {row}" for row, quoted in finding.examples]
            lines.append(f"  {finding.consequence}")
    counts = {severity: sum(finding.severity == severity for finding in found) for severity in HEADINGS}
    return [*lines, f"{counts['critical']:,} critical, {counts['warning']:,} warnings, {counts['note']:,} notes"]


def _page(folder: Path, found: Sequence[Finding]) -> str:
    """The findings as Markdown, with nothing in quotations read as markup."""
    lines = [f"# Audit of {safe(folder.resolve().name)}"]
    for severity, heading in HEADINGS.items():
        lines += ["", f"## {heading}", ""]
        some = [finding for finding in found if finding.severity == severity]
        if not some:
            lines.append("None.")
        for finding in some:
            lines += [f"- **{safe(finding.title)}** ({safe(finding.about)}): {safe(finding.figure)}."]
            lines += [f"  {safe(finding.consequence)}"]
            lines += [f"  - {safe(printable(row))}: {safe(printable(quoted))}" for row, quoted in finding.examples]
    return "\n".join(lines) + "\n"
