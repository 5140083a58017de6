"""What a study can find, reckoned before it starts."""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil, sqrt
from statistics import NormalDist

from llmxrec.errors import InputError

_NORMAL = NormalDist()


@dataclass(frozen=True, slots=True)
class Spread:
    """How ratings are taken to scatter: guesses, to be stated with the power that is reckoned from them.

    `sd`: the standard deviation of one rating, in points; the ratings that the paper's authors released have .7 to 1.1,
    each by one of five experts, and people at large scatter more. `same_row`: the correlation of two ratings of one
    recommendation whose explanations are different, by two raters (-.2 to .3 there). `same_text`: that of two ratings
    of one explanation; at least `same_row`. The more it exceeds it, the less another rater tells, and the more
    another recommendation.
    """

    sd: float = 2.0
    same_row: float = 0.2
    same_text: float = 0.3

    def __post_init__(self) -> None:
        if not self.sd > 0:
            raise InputError("ratings scatter: sd is above 0", value=self.sd)
        if not -1 < self.same_row <= self.same_text <= 1:
            raise InputError(
                "correlations are above -1, at most 1, and same_row is at most same_text",
                value=(self.same_row, self.same_text),
            )

    def of_difference(self, raters: int) -> float:
        """The standard deviation of the difference of two generators' means on one row, each of `raters` ratings."""
        return self.sd * sqrt(2 * ((1 - self.same_text) / raters + self.same_text - self.same_row))


def power(rows: int, raters: int, difference: float, spread: Spread | None = None, *, alpha: float = 0.05) -> float:
    """How likely a study finds that two generators' means differ, where in truth they differ by `difference` points.

    The test is the paired one, two-sided at the level `alpha`: of each of `rows` recommendations the difference of the
    means of two generators, each of `raters` ratings by people drawn anew for each (see `ratings.differences`). Normal
    approximation; below about 20 rows it says a little too much.
    """
    _check(rows, raters, alpha)
    at = abs(difference) * sqrt(rows) / (spread or Spread()).of_difference(raters)
    limit = _NORMAL.inv_cdf(1 - alpha / 2)
    return _NORMAL.cdf(at - limit) + _NORMAL.cdf(-at - limit)


def detectable(
    rows: int, raters: int, spread: Spread | None = None, *, goal: float = 0.8, alpha: float = 0.05
) -> float:
    """The smallest difference, in points, that is found with the power `goal`: the inverse of `power`.

    >>> round(detectable(200, 3), 2)
    0.32
    """
    _check(rows, raters, alpha, goal)
    error = (spread or Spread()).of_difference(raters) / sqrt(rows)
    return (_NORMAL.inv_cdf(1 - alpha / 2) + _NORMAL.inv_cdf(goal)) * error


def rows_needed(
    raters: int, difference: float, spread: Spread | None = None, *, goal: float = 0.8, alpha: float = 0.05
) -> int:
    """How many recommendations it takes to find a `difference` with the power `goal`."""
    _check(1, raters, alpha, goal)
    if difference == 0:
        raise InputError("a difference to be found is not 0", value=difference)
    of_one = detectable(1, raters, spread, goal=goal, alpha=alpha)
    return max(1, ceil((of_one / difference) ** 2 - 1e-9))


def statement(rows: int, raters: int, spread: Spread | None = None) -> str:
    """The power of a study in one sentence, with what it rests on."""
    spread = spread or Spread()
    return (
        f"{rows:,} rows x {raters} raters detect a difference of {detectable(rows, raters, spread):.2f} points with "
        f"power .8 (paired test at .05; assumed: sd {spread.sd:g}, correlation {spread.same_row:g} of ratings of one "
        f"row, {spread.same_text:g} of one explanation)"
    )


def _check(rows: int, raters: int, alpha: float, goal: float = 0.8) -> None:
    if rows < 1 or raters < 1:
        raise InputError("a study has rows and raters", value=(rows, raters))
    if not (0 < alpha < 1 and alpha < goal < 1):
        raise InputError("alpha and the power lie between 0 and 1, the power above alpha", value=(alpha, goal))
