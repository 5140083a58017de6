"""Agreement: by hand, against scikit-learn's kappa, and against the krippendorff library."""

from __future__ import annotations

import math

import krippendorff
import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import accuracy_score, cohen_kappa_score

from llmxrec.errors import InputError
from llmxrec.evaluation.agreement import Level, agreement, alpha, alpha_of_outcomes


def judged(points: list[float], judge: str = "j", rater: str = "", about: list[str] | None = None) -> pl.DataFrame:
    """Outcomes of one pair of generators, a row each for the users u0, u1, ..."""
    return pl.DataFrame(
        {
            "recommender": "bpr",
            "judge": judge,
            "user_id": about or [f"u{n}" for n in range(len(points))],
            "item_id": "heat",
            "a": "x",
            "b": "y",
            "rater": rater,
            "points": points,
        },
        schema_overrides={"points": pl.Float64, "user_id": pl.String},
    )


def test_agreement_by_hand() -> None:
    #                  same  other half   not decided
    found = agreement(judged([1.0, 0.0, 0.5, 1.0]), judged([1.0, 1.0, 0.0, 0.5]))
    assert (found.accuracy.value, found.accuracy.rows) == (1.5 / 3, 3)
    # one of four the same; by chance 1/2 * 1/2 (a) + 1/4 * 1/4 (tie) + 1/4 * 1/4 (b)
    chance = 1 / 4 + 1 / 16 + 1 / 16
    assert found.kappa.value == pytest.approx((1 / 4 - chance) / (1 - chance))
    assert found.kappa.rows == found.alpha.rows == 4
    assert str(found).endswith("4 pairs") and str(found).startswith("accuracy 0.5000 [")


def test_only_what_both_judged_counts() -> None:
    one, other = judged([1.0, 0.0], about=["anna", "bob"]), judged([0.0, 0.0], about=["bob", "cleo"])
    found = agreement(one, other)
    assert (found.accuracy.value, found.accuracy.rows) == (1.0, 1)
    nothing = agreement(one, judged([1.0], about=["dora"]))
    assert math.isnan(nothing.accuracy.value) and math.isnan(nothing.kappa.value) and math.isnan(nothing.alpha.value)
    assert nothing.kappa.rows == 0


def test_each_rater_is_compared() -> None:
    people = pl.concat([judged([1.0], "people", "ann"), judged([1.0], "people", "bo"), judged([0.0], "people", "cy")])
    found = agreement(judged([1.0]), people)
    assert (found.accuracy.value, found.accuracy.rows) == (2 / 3, 3)


pairs = st.lists(st.tuples(*[st.sampled_from([0.0, 0.5, 1.0])] * 2), min_size=2, max_size=30)


@given(pairs)
@settings(max_examples=60)
def test_they_are_those_of_others(rows: list[tuple[float, float]]) -> None:
    one, other = ([row[side] for row in rows] for side in (0, 1))
    found = agreement(judged(one), judged(other))
    labels = [[int(2 * value) for value in values] for values in (one, other)]
    if len({*one, *other}) > 1:
        assert found.kappa.value == pytest.approx(cohen_kappa_score(*labels))
        theirs = krippendorff.alpha(reliability_data=[one, other], level_of_measurement="nominal")
        assert found.alpha.value == pytest.approx(theirs)
    else:
        assert math.isnan(found.kappa.value) and math.isnan(found.alpha.value)
    decided = [(a, b) for a, b in zip(*labels, strict=True) if b != 1 and a != 1]
    halves = sum(a == 1 and b != 1 for a, b in zip(*labels, strict=True))
    if decided:
        hits = accuracy_score(*zip(*decided, strict=True)) * len(decided)
        assert found.accuracy.value == pytest.approx((hits + halves / 2) / (len(decided) + halves))


@given(pairs)
@settings(max_examples=30)
def test_what_does_not_matter(rows: list[tuple[float, float]]) -> None:
    """Who is the reference, for kappa and alpha; which generator is called a, for all three."""
    one, other = (judged([row[side] for row in rows]) for side in (0, 1))
    here, there = agreement(one, other), agreement(other, one)
    named = agreement(*(table.with_columns(points=1 - pl.col("points")) for table in (one, other)))
    for name in ("kappa", "alpha"):
        assert getattr(here, name).value == pytest.approx(getattr(there, name).value, nan_ok=True)
    for name in ("accuracy", "kappa", "alpha"):
        assert getattr(here, name).value == pytest.approx(getattr(named, name).value, nan_ok=True)


def test_intervals_are_over_users() -> None:
    """The same 200 pairs, of 200 people or of 20: the second interval is 10 ** .5 times as wide, roughly."""
    truth = [float(n % 2) for n in range(200)]
    said = [value if (n // 10) % 4 else 1 - value for n, value in enumerate(truth)]
    items = [f"i{n}" for n in range(200)]

    def between(about: list[str]) -> list[tuple[float, float]]:
        one, other = (judged(points, about=about).with_columns(item_id=pl.Series(items)) for points in (said, truth))
        found = agreement(one, other)
        assert found.accuracy.value == 0.75 and found.kappa.value == pytest.approx(0.5)
        return [(m.low, m.high) for m in (found.accuracy, found.kappa, found.alpha)]

    apart, alike = between([f"u{n}" for n in range(200)]), between([f"u{n // 10}" for n in range(200)])
    for (low, high), (wide_low, wide_high) in zip(apart, alike, strict=True):
        assert (wide_high - wide_low) / (high - low) == pytest.approx(math.sqrt(10), rel=0.2)
    assert apart[0] == pytest.approx(
        (0.75 - 1.96 * math.sqrt(0.1875 / 200), 0.75 + 1.96 * math.sqrt(0.1875 / 200)), abs=0.01
    )


# --- ratings ---


def long(matrix: list[list[float | None]]) -> pl.DataFrame:
    """A row of the matrix for each rater, a column for each thing rated."""
    rows = [
        (f"i{unit}", f"r{rater}", value, f"u{unit}")
        for rater, values in enumerate(matrix)
        for unit, value in enumerate(values)
        if value is not None
    ]
    return pl.DataFrame(
        rows, schema={"unit": pl.String, "rater": pl.String, "value": pl.Float64, "user_id": pl.String}, orient="row"
    )


HAND: list[list[float | None]] = [[1, 2, 3, None], [1, 2, 4, 4], [None, 2, 3, 5]]


def test_alpha_by_hand() -> None:
    """The units are rated 1 1, 2 2 2, 3 4 3 and 4 5."""
    found = alpha(long(HAND), "nominal")
    n = 10
    # disagreeing pairs, each 1 / (raters - 1): unit three 4 of weight 1/2, unit four 2 of weight 1
    observed = (4 / 2 + 2) / n
    counts = {1: 2, 2: 3, 3: 2, 4: 2, 5: 1}
    expected = 1 - sum(c * (c - 1) for c in counts.values()) / (n * (n - 1))
    assert found.value == pytest.approx(1 - observed / expected)
    assert found.rows == 10 and found.name == "alpha, nominal"


@given(
    st.lists(st.lists(st.none() | st.integers(1, 10).map(float), min_size=3, max_size=3), min_size=1, max_size=12),
    st.sampled_from(["nominal", "ordinal", "interval"]),
)
@settings(max_examples=100)
def test_alpha_is_that_of_the_krippendorff_library(units: list[list[float | None]], level: Level) -> None:
    matrix = [list(values) for values in zip(*units, strict=True)]
    found = alpha(long(matrix), level)
    shared = [[value for value in unit if value is not None] for unit in units]
    values = {value for unit in shared if len(unit) > 1 for value in unit}
    assert found.rows == sum(len(unit) for unit in shared if len(unit) > 1)
    if len(values) < 2:
        assert math.isnan(found.value)
        return
    data = np.array([[math.nan if value is None else value for value in row] for row in matrix])
    assert found.value == pytest.approx(krippendorff.alpha(reliability_data=data, level_of_measurement=level))
    if not math.isnan(found.low):
        assert found.low <= found.high <= 1


def test_orders_and_distances_count() -> None:
    near, far = [[1, 2, 9, 10], [2, 1, 10, 9]], [[1, 2, 9, 10], [10, 9, 2, 1]]
    assert alpha(long(near), "nominal").value == alpha(long(far), "nominal").value < 0
    assert alpha(long(near), "ordinal").value > 0.5 > alpha(long(far), "ordinal").value
    assert alpha(long(near), "interval").value > 0.9


def test_a_thing_is_rated_once_by_each() -> None:
    with pytest.raises(InputError, match="a rater rates a thing once; found 'r0: i0'"):
        alpha(pl.concat([long(HAND), long([[2]])]), "nominal")


def test_alpha_among_judges_and_people() -> None:
    judges = [judged([1.0, 0.0, 1.0]), judged([1.0, 0.0, 0.5], "other"), judged([1.0, 1.0], "people", "ann")]
    found = alpha_of_outcomes(pl.concat(judges))
    data = [[2, 0, 2], [2, 0, 1], [2, 2, math.nan]]
    assert found.value == pytest.approx(krippendorff.alpha(reliability_data=data, level_of_measurement="nominal"))
    assert found.rows == 8
