"""Reported accuracies held against constants: what does one get who looks at nothing?"""

from __future__ import annotations

import csv
from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from llmxrec.errors import InputError
from llmxrec.evaluation.audit.findings import Finding, Severity, wilson
from llmxrec.evaluation.audit.material import Claim
from llmxrec.evaluation.audit.verdicts import no_text_rule
from llmxrec.evaluation.material import Part
from llmxrec.records import Pair

WITHIN = 5
"""Years within which an age counts as right, as in the paper."""
JUDGE = "judge"
"""The measure of a claim about a judge; any other is an attribute."""


def constant(values: Sequence[str], *, within: int | None = None) -> tuple[str, float]:
    """The answer that is right most often of these true values, and how often it is, from 0 to 1.

    `within`: an answer is a number, and right when it is that near. Raises InputError where there are no values, or
    values that are no whole numbers though they should be.
    """
    if not values:
        raise InputError("a constant is chosen from true values", value=0)
    if within is None:
        answer, count = max(sorted(Counter(values).items()), key=lambda entry: entry[1])
        return answer, count / len(values)
    try:
        numbers = sorted(int(float(value)) for value in values)
    except ValueError:
        raise InputError("ages are numbers", value=next(v for v in values if not v.isdigit())) from None
    near = {
        centre: bisect_right(numbers, centre + within) - bisect_left(numbers, centre - within)
        for centre in range(numbers[0], numbers[-1] + 1)
    }
    centre = max(near, key=lambda at: (near[at], -at))
    return f"{centre} ± {within}", near[centre] / len(numbers)


def beaten(claim: Claim, answer: str, accuracy: float, rows: int, about: str) -> Finding | None:
    """A finding where a claim is not above the `accuracy` that `answer`, given always, has; `rows` were measured.

    critical: it is below for sure. warning: it is not above. A note where it is above, but not for sure.
    """
    rows = claim.rows or rows
    low, high = wilson(claim.accuracy * rows, rows)
    severity: Severity
    if high < accuracy:
        severity = "critical"
    elif claim.accuracy <= accuracy:
        severity = "warning"
    elif low <= accuracy:
        severity = "note"
    else:
        return None
    how = {"critical": "below", "warning": "not above", "note": "not surely above"}[severity]
    source = f"{claim.source}: " if claim.source else ""
    return Finding(
        "constant",
        severity,
        about,
        f"{claim.measure}: {how} a constant",
        f"{source}{claim.accuracy:.3f}; always {answer!r} {accuracy:.3f}",
        round(claim.accuracy * rows),
        rows,
        "It shows no ability to tell: whoever looks at nothing gets as much.",
    )


def claim_findings(claims: Sequence[Claim], parts: Sequence[Part], pairs: Sequence[Pair]) -> Iterator[Finding]:
    """Claims that a constant reaches, of users' attributes and of judges. Raises InputError for any other measure."""
    truths = _truths(parts)
    for claim in claims:
        if claim.measure.casefold() == JUDGE:
            rules = _rules(pairs)
            if not rules:
                raise InputError(
                    "a judge's accuracy is held against labelled pairs", cure="give them with --pairs FILE"
                )
            answer, accuracy, rows = max(rules, key=lambda rule: rule[1])
            found = beaten(claim, answer, accuracy, rows, "labelled pairs")
        else:
            values = truths.get(claim.measure.casefold())
            if not values:
                known = ", ".join([*sorted(truths), JUDGE])
                raise InputError(
                    "an accuracy is that of an attribute of users, or of a judge", value=claim.measure, cure=known
                )
            answer, accuracy = constant(values, within=WITHIN if _is_age(claim.measure, values) else None)
            found = beaten(claim, answer, accuracy, len(values), "attributes of users")
        if found:
            yield found


def read_claims(file: Path) -> list[Claim]:
    """Accuracies from CSV: columns measure and accuracy; source and rows if there are any. Raises InputError else."""
    claims = []
    try:
        with file.open(encoding="utf-8-sig", newline="") as lines:
            table = csv.DictReader(lines)
            if not {"measure", "accuracy"} <= set(table.fieldnames or ()):
                raise InputError("accuracies are CSV with the columns measure, accuracy (and source, rows)", file=file)
            for row in table:
                claims.append(_claim(row, file, table.line_num))
    except FileNotFoundError:
        raise InputError("accuracies are a file", value=str(file), cure="give its path") from None
    except (UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"accuracies are CSV: {error}", file=file) from None
    return claims


def _claim(row: Mapping[str, str | None], file: Path, line: int) -> Claim:
    try:
        accuracy, rows = float(row["accuracy"] or ""), int(row.get("rows") or 0)
    except ValueError:
        accuracy, rows = -1.0, 0
    if not 0 <= accuracy <= 1 or rows < 0 or not row["measure"]:
        raise InputError(
            "an accuracy is a number from 0 to 1 of a measure, rows a count", value=dict(row), file=file, line=line
        )
    return Claim(row["measure"], accuracy, row.get("source") or "", rows)


def _truths(parts: Sequence[Part]) -> dict[str, Sequence[str]]:
    """The values of each attribute; of several datasets that have it, of the one with most."""
    out: dict[str, Sequence[str]] = {}
    for part in parts:
        for name, values in part.truths.items():
            if len(values) > len(out.get(name.casefold(), ())):
                out[name.casefold()] = values
    return out


def _rules(pairs: Sequence[Pair]) -> list[tuple[str, float, int]]:
    decided = [pair for pair in pairs if pair.winner != "tie"]
    if not decided:
        return []
    right, rows = no_text_rule(pairs)
    side, count = Counter(pair.winner for pair in decided).most_common(1)[0]
    rules: list[tuple[str, float, int]] = [(f"the {side}", count / len(decided), len(decided))]
    return [*rules, ("the usual winner of the two named", right / rows, rows)] if rows else rules


def _is_age(name: str, values: Sequence[str]) -> bool:
    return name.casefold() == "age" and all(value.isdigit() for value in values)
