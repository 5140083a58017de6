"""Power is what a simulated study finds."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmxrec.errors import InputError
from llmxrec.study.power import Spread, detectable, power, rows_needed, statement


@pytest.mark.parametrize(
    ("rows", "raters", "difference", "spread"),
    [
        (200, 3, 0.3, Spread()),
        (200, 3, 0.0, Spread()),
        (50, 1, 0.8, Spread(same_row=0.0, same_text=0.0)),
        (80, 5, 0.5, Spread(same_row=0.1, same_text=0.5)),
        (120, 2, 0.4, Spread(sd=1.0, same_row=0.6, same_text=0.6)),
    ],
)
def test_power_is_that_of_simulated_studies(rows: int, raters: int, difference: float, spread: Spread) -> None:
    draw = np.random.Generator(np.random.PCG64(7))
    studies = 4000
    # A row may be easy to explain, and a text good or bad, for all raters; the rest is the rater's own.
    row = draw.normal(0, spread.sd * spread.same_row**0.5, (studies, rows, 1, 1))
    text = draw.normal(0, spread.sd * (spread.same_text - spread.same_row) ** 0.5, (studies, rows, 2, 1))
    own = draw.normal(0, spread.sd * (1 - spread.same_text) ** 0.5, (studies, rows, 2, raters))
    ratings = row + text + own
    ratings[:, :, 1] += difference
    assert ratings.std() == pytest.approx((spread.sd**2 + difference**2 / 4) ** 0.5, rel=0.02)
    means = ratings.mean(axis=3)
    apart = means[:, :, 1] - means[:, :, 0]
    t = apart.mean(axis=1) / (apart.std(axis=1, ddof=1) / rows**0.5)
    found = (np.abs(t) > 1.96).mean()
    # Four standard errors of the simulation, and what the normal approximation costs.
    assert power(rows, raters, difference, spread) == pytest.approx(found, abs=0.03 + 0.01)


def test_whole_scores_from_1_to_10_cost_little() -> None:
    draw = np.random.Generator(np.random.PCG64(7))
    ratings = draw.normal(6.5, 2.0, (2000, 200, 2, 3))
    ratings[:, :, 1] += 0.3
    means = ratings.round().clip(1, 10).mean(axis=3)
    apart = means[:, :, 1] - means[:, :, 0]
    found = (np.abs(apart.mean(axis=1) / (apart.std(axis=1, ddof=1) / 200**0.5)) > 1.96).mean()
    assert found == pytest.approx(power(200, 3, 0.3, Spread(same_row=0.0, same_text=0.0)), abs=0.05)


def test_the_issues_own_figure() -> None:
    # Taken that a text is not better or worse for all: then 200 rows x 3 raters find .3 with power .8.
    assert detectable(200, 3, Spread(same_row=0.2, same_text=0.2)) == pytest.approx(0.289, abs=0.001)
    assert power(200, 3, 0.3, Spread(same_row=0.2, same_text=0.2)) == pytest.approx(0.827, abs=0.001)
    # By default the study's rows differ in which generator they suit.
    assert power(200, 3, 0.3) == pytest.approx(0.738, abs=0.001)
    assert statement(200, 3).startswith("200 rows x 3 raters detect a difference of 0.32 points with power .8 (")


@given(st.integers(1, 3000), st.integers(1, 10), st.floats(0.6, 0.99))
def test_inverses(rows: int, raters: int, goal: float) -> None:
    difference = detectable(rows, raters, goal=goal)
    # The other tail adds what the inverse leaves out: next to nothing.
    assert power(rows, raters, difference) == pytest.approx(goal, abs=1e-3)
    assert rows_needed(raters, difference, goal=goal) in (rows, rows + 1)


@given(st.integers(1, 500), st.integers(1, 9), st.floats(0.01, 3))
def test_more_of_anything_finds_more(rows: int, raters: int, difference: float) -> None:
    here = power(rows, raters, difference)
    assert 0.05 <= here <= 1 and power(rows, raters, -difference) == here
    assert power(rows + 1, raters, difference) >= here
    assert power(rows, raters + 1, difference) >= here
    assert power(rows, raters, difference + 0.1) >= here


@pytest.mark.parametrize(
    "wrong", [{"sd": 0.0}, {"same_row": 0.5, "same_text": 0.4}, {"same_text": 1.1}, {"sd": float("nan")}]
)
def test_what_cannot_be_is_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(InputError):
        Spread(**wrong)


def test_a_study_has_rows_and_raters() -> None:
    for call in (
        lambda: power(0, 3, 0.3),
        lambda: detectable(3, 0),
        lambda: detectable(3, 3, goal=1.0),
        lambda: rows_needed(3, 0.0),
        lambda: power(3, 3, 0.3, alpha=0.0),
    ):
        with pytest.raises(InputError):
            call()
