"""People's scores as a table and as a ledger, and what they say of generators: the paper's Figure 2, with intervals.

Only ratings that count are here: those of checks, or left out for a reason, stay in the study's own export.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import asdict
from itertools import combinations
from pathlib import Path

import numpy as np
import polars as pl

from llmxrec.errors import InputError
from llmxrec.evaluation.agreement import alpha
from llmxrec.evaluation.bootstrap import Floats, clusters, intervals, ratio, sums_by_user
from llmxrec.ledger import Record, read_ledger
from llmxrec.recommenders.metrics import Metric
from llmxrec.records import Rating

SCALES = ("reasonability", "attractiveness", "redundancy")
"""What is scored, from 1 to 10, higher is better: the paper's three, in its order."""

RATINGS = {
    "recommender": pl.String,
    "generator": pl.String,
    "user_id": pl.String,
    "item_id": pl.String,
    "rater": pl.String,
    "reasonability": pl.Int64,
    "attractiveness": pl.Int64,
    "redundancy": pl.Int64,
    "order": pl.Int64,
    "seconds": pl.Float64,
    "comment": pl.String,
    "self_rated": pl.Boolean,
}
"""Rating as a table."""

RATED = ["recommender", "generator", "user_id", "item_id", "rater"]
"""What was rated, and by whom: the key of a rating. One given again replaces the one before."""

FIGURE_2 = {
    "recommender": pl.String,
    "raters": pl.String,
    "generator": pl.String,
    "scale": pl.String,
    "mean": pl.Float64,
    "low": pl.Float64,
    "high": pl.Float64,
    "ratings": pl.Int64,
    "rows": pl.Int64,
}
"""Mean scores; `raters` are `third-party` or `self`, `rows` the recommendations behind a mean."""

DIFFERENCES = {
    "recommender": pl.String,
    "raters": pl.String,
    "scale": pl.String,
    "a": pl.String,
    "b": pl.String,
    "difference": pl.Float64,
    "low": pl.Float64,
    "high": pl.Float64,
    "rows": pl.Int64,
}
"""By how many points `a` is scored higher than `b`, on the recommendations of which both are rated."""

_ROW = ["user_id", "item_id"]
_PARTS = ["recommender", "self_rated"]


def as_table(ratings: Iterable[Rating]) -> pl.DataFrame:
    """Ratings as a table with the columns of RATINGS, each thing that a rater rated with its last rating."""
    return _latest(pl.DataFrame([asdict(rating) for rating in ratings], schema=RATINGS))


def read_ratings(file: Path) -> pl.DataFrame:
    """The ratings of the ledger `file`: the columns of RATINGS, as `as_table` has them.

    Raises InputError where there is no such file, and for the first line that is not a rating.
    """
    if not file.exists():
        raise InputError("there are no such ratings yet", value=str(file), cure="make them with: llmxrec study")
    return _latest(pl.DataFrame(list(_rows(file)), schema=RATINGS))


def figure_2(ratings: pl.DataFrame, seed: int = 1) -> pl.DataFrame:
    """The mean of each score by generator: the columns of FIGURE_2, by recommender, raters, generator and scale.

    Each rating weighs the same. Intervals of 95 %: bootstrap over the people whose recommendations were rated, with all
    ratings of these, so they hold for other recommendations, rated by raters as these.
    """
    tables = [pl.DataFrame(schema=FIGURE_2)]
    for (recommender, self_rated), part in _parts(ratings):
        names = sorted(set(part["generator"]))
        place = part["generator"].replace_strict(names, range(len(names)), return_dtype=pl.Int64).to_numpy()
        values = np.zeros((part.height, len(SCALES) + 1, len(names)))
        rows = np.arange(part.height)
        for number, scale in enumerate(SCALES):
            values[rows, number, place] = part[scale].to_numpy()
        values[rows, len(SCALES), place] = 1.0
        value, low, high = intervals(_by_user(part, values), _means, seed, "figure 2")
        counts = np.bincount(place, minlength=len(names))
        rated = part.group_by("generator").agg(pl.struct(_ROW).n_unique().alias("rows")).sort("generator")["rows"]
        tables += [
            pl.DataFrame(
                {
                    "recommender": recommender,
                    "raters": _kind(self_rated),
                    "generator": names,
                    "scale": scale,
                    "mean": value[number],
                    "low": low[number],
                    "high": high[number],
                    "ratings": counts,
                    "rows": rated,
                },
                schema=FIGURE_2,
            )
            for number, scale in enumerate(SCALES)
        ]
    scales = pl.Enum(SCALES)
    return pl.concat(tables).sort("recommender", "raters", "generator", pl.col("scale").cast(scales), descending=False)


def differences(ratings: pl.DataFrame, seed: int = 1) -> pl.DataFrame:
    """How much higher each generator is scored than each other: the columns of DIFFERENCES, by recommender and raters.

    Of each recommendation of which both are rated the difference of their means counts once: what makes all scores of
    one recommendation high or low drops out. This is the test that `study.power` is about. Bootstrap as in `figure_2`.
    """
    found = []
    for (recommender, self_rated), part in _parts(ratings):
        means = part.group_by(*_ROW, "generator", maintain_order=True).agg(pl.col(SCALES).mean())
        for a, b in combinations(sorted(set(part["generator"])), 2):
            both = means.filter(generator=a).join(means.filter(generator=b), on=_ROW, suffix="#b").sort(_ROW)
            apart = np.stack([(both[scale] - both[f"{scale}#b"]).to_numpy() for scale in SCALES], axis=1)
            values = np.concatenate([apart, np.ones((both.height, 1))], axis=1)[:, :, None]
            value, low, high = intervals(_by_user(both, values), _means, seed, f"{a}/{b}")
            for number, scale in enumerate(SCALES):
                numbers = (float(value[number, 0]), float(low[number, 0]), float(high[number, 0]), both.height)
                found.append((recommender, _kind(self_rated), scale, a, b, *numbers))
    return pl.DataFrame(found, schema=DIFFERENCES, orient="row")


def alphas(ratings: pl.DataFrame, seed: int = 1) -> list[Metric]:
    """Krippendorff's alpha, interval, of each score among third-party raters (see `agreement.alpha`).

    A unit is one explanation. NaN where no explanation was rated by two.
    """
    unit = pl.concat_str("recommender", "generator", *_ROW, separator="\x1f").alias("unit")
    others = ratings.filter(~pl.col("self_rated"))
    found = [alpha(others.select("user_id", unit, "rater", value=scale), "interval", seed) for scale in SCALES]
    return [
        Metric(f"{scale} {one.name}", one.value, one.low, one.high, one.rows)
        for scale, one in zip(SCALES, found, strict=True)
    ]


def outcomes_of_ratings(ratings: pl.DataFrame) -> pl.DataFrame:
    """Which of two generators people scored higher on each recommendation, as `ranking.outcomes` has comparisons.

    By the mean over all scales and third-party raters; equal means are a tie. `judge` is "ratings", `rater` empty.
    """
    score = pl.mean_horizontal(*SCALES)
    means = (
        ratings.filter(~pl.col("self_rated"))
        .group_by("recommender", *_ROW, "generator", maintain_order=True)
        # Thirds of whole numbers: rounding makes means that are equal the same number.
        .agg(score.mean().round(9).alias("score"))
    )
    both = means.join(means, on=["recommender", *_ROW], suffix="#b", maintain_order="left_right")
    higher = (pl.col("score") - pl.col("score#b")).sign()
    return both.filter(pl.col("generator") < pl.col("generator#b")).select(
        "recommender",
        pl.lit("ratings").alias("judge"),
        *_ROW,
        pl.col("generator").alias("a"),
        pl.col("generator#b").alias("b"),
        pl.lit("").alias("rater"),
        ((higher + 1) / 2).alias("points"),
        pl.lit(None, pl.Boolean).alias("consistent"),
    )


def _means(summed: Floats) -> Floats:
    """Sums (draws, scales and a count, generators) -> means (draws, scales, generators)."""
    return ratio(summed[:, :-1], summed[:, -1:])


def _by_user(table: pl.DataFrame, values: Floats) -> Floats:
    return sums_by_user(values, *clusters(table["user_id"]))


def _parts(ratings: pl.DataFrame) -> Iterator[tuple[tuple[str, bool], pl.DataFrame]]:
    # Sorted, so that intervals do not depend on who was first.
    for key, part in ratings.sort(*RATED).partition_by(_PARTS, as_dict=True, maintain_order=True).items():
        yield (str(key[0]), bool(key[1])), part


def _kind(self_rated: bool) -> str:
    return "self" if self_rated else "third-party"


def _latest(ratings: pl.DataFrame) -> pl.DataFrame:
    return ratings.unique(RATED, keep="last", maintain_order=True)


def _rows(file: Path) -> Iterator[Record]:
    for number, row in enumerate(read_ledger(file), 1):
        filled = {**dict.fromkeys(RATINGS), "comment": "", "self_rated": False, **row}
        if problem := _problem(filled):
            rule, value = problem
            raise InputError(rule, value=value, cure="mend or delete the line", file=file, line=number)
        yield {column: filled[column] for column in RATINGS}


def _problem(row: Record) -> tuple[str, object] | None:
    """Which rule of ratings `row` breaks, and with what; None where it keeps them all."""
    for name in (*RATED, "comment"):
        if not isinstance(row[name], str):
            return f"a rating has '{name}', as text", row[name]
    for scale in SCALES:
        if type(row[scale]) is not int or not 1 <= row[scale] <= 10:
            return f"'{scale}' of a rating is a whole number from 1 to 10", row[scale]
    if type(row["order"]) is not int or row["order"] < 1:
        return "'order' of a rating is a whole number from 1 on", row["order"]
    if type(row["seconds"]) not in (int, float) or not 0 <= row["seconds"] < float("inf"):
        return "'seconds' of a rating is a number, 0 or more", row["seconds"]
    if not isinstance(row["self_rated"], bool):
        return "'self_rated' of a rating is true or false", row["self_rated"]
    return None
