"""What a judge was found to be worth: figures, and whether they make it VALID (measured by `validation`)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from llmxrec.evaluation.figures import Calibration, Figure
from llmxrec.evaluation.rules import RULES

LEAST_CONSISTENCY = 0.8
"""Of the pairs that can be read in both orders, the share on which both say the same, at least."""
LEAST_RECOMMENDATIONS = 20
"""That the pairs measured are about, at least: drawn anew from fewer, a few hits in a row look like a certainty."""
MOST_UNREADABLE = 0.1
"""Of all rulings, the share without a winner, at most: what is measured on the rest says nothing of these."""


@dataclass(frozen=True)
class Validity:
    """What a judge was found to be worth.

    `forward` is its accuracy in the order the pairs were labelled in, `swapped` in the other, `balanced` the mean of
    both; a tie where there is a winner is half right. `consistency` is over pairs read in both orders. `rules` are the
    balanced accuracies of RULES on the same pairs, `ahead` how far the judge is before each; None where it cannot be
    measured. `left_out` has the balanced accuracy on the pairs of each generator, under "all" on those of any:
    where the judge learns, it has not read a text of that generator (`learns`). `varying` counts the pairs between
    generators, in one domain, of which now one wins and now the other; `varying_accuracy` and `varying_names` are the
    judge's and the names' accuracy on them, and `insight` how often, of two such pairs with different winners, the
    judge thinks more of the one generator where it won: .5 for whoever knows the names only. `ties` counts pairs
    labelled a tie: they are not measured. `recommendations` counts those that pairs read in both orders are about,
    which intervals are drawn over. `unreadable` counts rulings of `rulings`, `overlap` the pairs that could have
    been learned from but are about a recommendation measured here, `seen` those that could have been measured but are
    about one that the judge had learned from before.
    """

    judge: str
    learns: bool
    rows: int
    recommendations: int
    ties: int
    rulings: int
    unreadable: int
    forward: Figure
    swapped: Figure
    balanced: Figure
    consistency: Figure
    rules: Mapping[str, Figure | None]
    ahead: Mapping[str, Figure | None]
    left_out: Mapping[str, Figure]
    left_out_ahead: Figure | None
    varying: int
    varying_accuracy: Figure | None
    varying_names: Figure | None
    insight: Figure | None
    calibration: Calibration | None
    folds: int | None = None
    overlap: int = 0
    seen: int = 0

    @property
    def valid(self) -> bool:
        return not self.reasons

    @property
    def reasons(self) -> tuple[str, ...]:
        """Why not to believe it, each in one line; none where it is VALID."""
        return tuple(self._reasons())

    def _reasons(self) -> Iterator[str]:
        if not self.balanced.rows:
            yield "no pair could be read in both orders"
            return
        if self.recommendations < LEAST_RECOMMENDATIONS:
            yield f"it was measured on {self.recommendations:,} recommendations, fewer than {LEAST_RECOMMENDATIONS}"
        if self.unreadable > MOST_UNREADABLE * self.rulings:
            yield f"{self.unreadable:,} of {self.rulings:,} rulings are unreadable, more than {MOST_UNREADABLE:.0%}"
        if not self.consistency.value >= LEAST_CONSISTENCY:
            share = f"{self.consistency.value:.1%}"
            yield f"it says the same in both orders on {share} of the pairs, less than {LEAST_CONSISTENCY:.0%}"
        for rule in ("random", "always_second", "longer"):
            ahead = self.ahead[rule]
            if ahead is not None and not ahead.low > 0:
                yield f"it does not beat the rule '{_spoken(rule)}': {_against(self.balanced, self.rules[rule], ahead)}"
        names = self.ahead["names_only"]
        if names is None or names.low > 0:
            return
        against = _against(self.balanced, self.rules["names_only"], names)
        if names.high < 0:
            yield f"it does worse than the generators' names alone: {against}"
        elif self.insight is None:
            yield f"it does not beat the generators' names: {against}; and no pairing has winners that they do not tell"
        elif not self.insight.low > 0.5:
            yield f"it knows no more than the generators' names: {against}; where they do not tell, {self.insight}"
        elif self.learns and not (self.left_out_ahead is not None and self.left_out_ahead.low > 0):
            found = self.left_out.get("all", "not measured")
            yield f"it knows only the generators it learned from: {found} on others, not above chance and 'longer'"

    def to_json(self) -> dict[str, Any]:
        """All of it as plain JSON: None where something was not measured."""
        figures = {
            "accuracy_forward": self.forward,
            "accuracy_swapped": self.swapped,
            "accuracy_balanced": self.balanced,
            "consistency": self.consistency,
        }
        return {
            "judge": self.judge,
            "valid": self.valid,
            "reasons": list(self.reasons),
            "rows": self.rows,
            "recommendations": self.recommendations,
            "ties": self.ties,
            "rulings": self.rulings,
            "unreadable": self.unreadable,
            "learns": self.learns,
            "folds": self.folds,
            "overlap": self.overlap,
            "seen": self.seen,
            **{name: _number(figure.value) for name, figure in figures.items()},
            "intervals": {name: [_number(figure.low), _number(figure.high)] for name, figure in figures.items()},
            "rules": {name: figure and _number(figure.value) for name, figure in self.rules.items()},
            "ahead": {name: _json(figure) for name, figure in self.ahead.items()},
            "leave_one_generator_out": {name: _json(figure) for name, figure in self.left_out.items()},
            "leave_one_generator_out_ahead": _json(self.left_out_ahead),
            "within_varying_pairs": {
                "rows": self.varying,
                "accuracy": _json(self.varying_accuracy),
                "names_only": _json(self.varying_names),
                "insight": _json(self.insight),
            },
            "calibration": self.calibration
            and {"error": self.calibration.error, "brier": self.calibration.brier, "rows": self.calibration.rows},
        }

    def _told(self, figure: Figure) -> str:
        """With the number of pairs, where it is not of all."""
        return f"{figure}  {figure.rows:,} pairs" if 0 < figure.rows != self.rows else f"{figure}"

    def lines(self) -> list[str]:
        """All of it for people; the last lines are the verdict."""
        how = f", cross-validated in {self.folds} folds" if self.folds else ""
        rows = [
            ("as labelled", self.forward),
            ("swapped", self.swapped),
            ("balanced", self.balanced),
            ("same in both orders", self.consistency),
        ]
        out = [f"{self.judge}: {self.rows:,} pairs{how}; {self.unreadable:,} of {self.rulings:,} rulings unreadable"]
        out += [f"{self.ties:,} more pairs are labelled a tie and not measured"] if self.ties else []
        if self.overlap:
            out.append(
                f"{self.overlap:,} pairs to learn from are about recommendations measured here, and were left out"
            )
        if self.seen:
            out.append(
                f"{self.seen:,} pairs are about recommendations that the judge was trained on, and were left out"
            )
        out += [f"  {name:<28}{self._told(figure)}" for name, figure in rows]
        out.append("rules on the same pairs, balanced, and how far the judge is ahead:")
        for rule in RULES:
            found, ahead = self.rules[rule], self.ahead[rule]
            shown = "not measured" if found is None else f"{found.value:.3f}   ahead {_signed(ahead)}"
            out.append(f"  {_spoken(rule):<28}{shown}")
        if self.left_out:
            what = "that it has not learned from" if self.learns else "alone"
            out.append(f"pairs with a generator {what}:")
            out += [f"  {name:<28}{self._told(figure)}" for name, figure in self.left_out.items()]
        if self.insight is not None:
            out.append(f"{self.varying:,} pairs of generators of which either wins at times:")
            out.append(f"  {'accuracy':<28}{self.varying_accuracy}")
            out.append(f"  {'accuracy of names only':<28}{self.varying_names}")
            out.append(f"  {'insight (names only: .500)':<28}{self.insight}")
        if self.calibration is not None:
            out.append(f"calibration error {self.calibration.error:.3f}, Brier score {self.calibration.brier:.3f}")
        if not self.valid:
            return [*out, "INVALID: " + "; ".join(self.reasons)]
        measured = self.ahead["names_only"] is not None
        unknown = "" if measured else ", though names were not measured: no pair says who wrote its texts"
        out.append(f"VALID{unknown}")
        return out


def _spoken(rule: str) -> str:
    return rule.replace("_", " ")


def _against(found: Figure, rule: Figure | None, ahead: Figure) -> str:
    return f"{found.value:.3f} against {rule.value if rule else float('nan'):.3f}, ahead {_signed(ahead)}"


def _signed(figure: Figure | None) -> str:
    return "not measured" if figure is None else f"{figure.value:+.3f} [{figure.low:+.3f}, {figure.high:+.3f}]"


def _number(value: float) -> float | None:
    return None if np.isnan(value) else value


def _json(figure: Figure | None) -> dict[str, Any] | None:
    if figure is None:
        return None
    return {
        "value": _number(figure.value),
        "low": _number(figure.low),
        "high": _number(figure.high),
        "rows": figure.rows,
    }
