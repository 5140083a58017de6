"""What the auditor says: a finding, and how sure a count must be before it is more than a note."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import sqrt
from typing import Literal

from llmxrec.generators.replies import brief

Severity = Literal["critical", "warning", "note"]
"""critical: the numbers do not say what they seem to. warning: they are off, or customers are served badly. note: to
know."""
SEVERITIES: tuple[Severity, ...] = ("critical", "warning", "note")

_Z = 1.959964
"""Of a two-sided 95 % interval."""
_EXAMPLES = 3
_QUOTED = 160
"""Signs of a text that an example quotes: enough to see what is wrong."""


@dataclass(frozen=True, slots=True)
class Finding:
    """Something wrong, or good to know, about one file or one stage.

    `check` names the kind of fault, `about` what it was found in. `count` of `rows` have it; `figure` says so in words,
    with what else was measured. `examples` are row and quotation, three at most, on one line each: still
    untrusted text, to be escaped where it is shown. `consequence` is what it does to the numbers.
    """

    check: str
    severity: Severity
    about: str
    title: str
    figure: str
    count: int
    rows: int
    consequence: str
    examples: tuple[tuple[str, str], ...] = ()


def wilson(count: float, rows: int) -> tuple[float, float]:
    """The 95 % interval of Wilson (1927) for a share of `count` in `rows`; (0, 1) where there are no rows."""
    if not rows:
        return 0.0, 1.0
    share, spread = count / rows, _Z * _Z / rows
    centre = share + spread / 2
    half = _Z * sqrt(share * (1 - share) / rows + spread / (4 * rows))
    return max(0.0, (centre - half) / (1 + spread)), min(1.0, (centre + half) / (1 + spread))


def grade(count: float, rows: int, *, warning: float, critical: float = 1.0) -> Severity:
    """How bad a share is: it has to be above a tolerance for sure, not by the luck of a few rows.

    Both tolerances are shares, and the interval's lower end is held against them: 3 of 10 rows are no more than a note
    where a tenth is tolerated. A `critical` of 1 is never passed.
    """
    low, _ = wilson(count, rows)
    return "critical" if low > critical else "warning" if low > warning else "note"


def share(count: float, rows: int) -> str:
    """`12 of 943 (1.3 %)`."""
    return f"{count:,} of {rows:,} ({100 * count / rows:.1f} %)" if rows else f"{count:,} of 0"


def examples(found: Iterable[tuple[Sequence[str], str]]) -> tuple[tuple[str, str], ...]:
    """The first few of rows (ids) and quotations."""
    shown: list[tuple[str, str]] = []
    for row, quoted in found:
        if len(shown) == _EXAMPLES:
            break
        shown.append((brief(" / ".join(row), 80), brief(quoted, _QUOTED)))
    return tuple(shown)
