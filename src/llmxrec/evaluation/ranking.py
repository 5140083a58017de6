"""From verdicts to scores: win ratio and ranking order as in the paper, strengths adjusted for length, and how much the
place in which a text was shown decided.

Verdicts of models and of people go the same way. What could not be read is counted and left out, never taken for a
loss or a tie; intervals are of 95 %, over users.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import polars as pl

from llmxrec.errors import InputError
from llmxrec.evaluation.bootstrap import Floats, clusters, intervals, ratio, sums_by_user
from llmxrec.evaluation.verdicts import latest
from llmxrec.recommenders.metrics import Metric
from llmxrec.seeds import derive

_LIST = ["recommender", "judge", "user_id", "item_id"]
"""What one list of explanations is about; all who rate it, rate it together."""

SCORES = {
    "generator": pl.String,
    "win_ratio": pl.Float64,
    "win_ratio_low": pl.Float64,
    "win_ratio_high": pl.Float64,
    "ranking_order": pl.Float64,
    "ranking_order_low": pl.Float64,
    "ranking_order_high": pl.Float64,
    "rows": pl.Int64,
    "comparisons": pl.Int64,
    "ranked": pl.Int64,
    "unreadable": pl.Int64,
}
"""What `score` gives, one row a generator."""

_LENGTH_PRIOR_SD = 10.0
_QUANTILE = 1.959963984540054


def outcomes(verdicts: pl.DataFrame) -> pl.DataFrame:
    """The verdicts (columns of VERDICTS) as one row for each list, pair of generators and rater, where it is measured.

    `a` and `b` are the two generators, by name; `points` is what `a` scores: 1, .5 for a tie, or 0; `b` scores the
    rest. A pair asked in both orders is won where both verdicts agree, and a tie where they do not; `consistent` says
    whether they do, null for a pair that was asked in one order, which counts as it is. A pair of which any verdict
    could not be read is unmeasured and left out: the other order alone would let the place decide.
    """
    turned = pl.col("first") > pl.col("second")
    points = pl.when(pl.col("winner") == "tie").then(0.5).otherwise(((pl.col("winner") == "first") != turned) * 1.0)
    shown = latest(verdicts).with_columns(
        pl.min_horizontal("first", "second").alias("a"),
        pl.max_horizontal("first", "second").alias("b"),
        pl.when(pl.col("winner").is_not_null()).then(points).alias("points"),
    )
    agreed = pl.col("points").min() == pl.col("points").max()
    return (
        shown.group_by(*_LIST, "a", "b", "rater", maintain_order=True)
        .agg(
            pl.when(agreed).then(pl.col("points").first()).otherwise(0.5).alias("points"),
            pl.when(pl.len() > 1).then(agreed).alias("consistent"),
            pl.col("points").is_null().any().alias("#unmeasured"),
        )
        .filter(~pl.col("#unmeasured"))
        .drop("#unmeasured")
    )


def score(verdicts: pl.DataFrame, seed: int = 1) -> pl.DataFrame:
    """Win ratio and ranking order of each generator of `verdicts`, by name, with intervals: the columns of SCORES.

    win_ratio: the points of a generator by the comparisons it took part in (equation 6), from 0 to 1.
    ranking_order: its rank among the generators of a list, equal ones sharing one and the next going on from there
    (dense ranks), meant over lists (equation 7), from 1, the best. Where every pair is measured, ranks are those of
    the paper, by wins; they are by wins per comparison, so that nobody ranks lower for what was not measured. `ranked`
    lists count: those in which each generator was compared at all.
    rows: lists in which the generator was compared. unreadable: its verdicts that could not be read, and are left out.
    Null where there is nothing to measure. Bootstrap over users.
    """
    names = sorted({*verdicts["first"], *verdicts["second"]})
    if not names:
        return pl.DataFrame(schema=SCORES)
    pairs = outcomes(verdicts)
    won = pl.concat(
        [
            pairs.select(*_LIST, pl.col("a").alias("generator"), "points"),
            pairs.select(*_LIST, pl.col("b").alias("generator"), (1 - pl.col("points")).alias("points")),
        ]
    )
    lists = (
        won.group_by(*_LIST, "generator", maintain_order=True)
        .agg(pl.col("points").sum(), pl.len().alias("comparisons"))
        # Halves by small counts: rounding makes shares that are equal the same number.
        .with_columns((pl.col("points") / pl.col("comparisons")).round(9).alias("share"))
        .with_columns(
            pl.col("share").rank("dense", descending=True).over(_LIST).cast(pl.Float64).alias("rank"),
            (pl.len().over(_LIST) == pl.col("generator").n_unique()).alias("complete"),
        )
        .with_columns(pl.when("complete").then("rank").otherwise(0.0).alias("rank"))
    )
    user, users = clusters(lists["user_id"])
    place = lists["generator"].replace_strict(names, range(len(names)), return_dtype=pl.Int64).to_numpy()
    values = np.zeros((lists.height, 4, len(names)))
    for row, column in enumerate(("points", "comparisons", "rank", "complete")):
        values[np.arange(lists.height), row, place] = lists[column].to_numpy()
    sums = sums_by_user(values, user, users)

    def both(summed: Floats) -> Floats:
        points, comparisons, ranks, complete = np.moveaxis(summed, 1, 0)
        return np.stack([ratio(points, comparisons), ratio(ranks, complete)], axis=1)

    value, low, high = intervals(sums, both, seed, "scores")
    unread = latest(verdicts).filter(pl.col("winner").is_null())
    table = {"generator": names}
    for row, name in enumerate(("win_ratio", "ranking_order")):
        for ending, numbers in (("", value), ("_low", low), ("_high", high)):
            table[name + ending] = numbers[row].tolist()
    counts = sums.sum(axis=0)
    rows = dict(lists["generator"].value_counts().iter_rows())
    return pl.DataFrame(
        {
            **table,
            "rows": [rows.get(name, 0) for name in names],
            "comparisons": counts[1].astype(int).tolist(),
            "ranked": counts[3].astype(int).tolist(),
            "unreadable": [unread.filter((pl.col("first") == n) | (pl.col("second") == n)).height for n in names],
        },
        schema=SCORES,
    ).with_columns(pl.col(pl.Float64).fill_nan(None))


DUELS = {
    "generator": pl.String,
    "against": pl.String,
    "win_ratio": pl.Float64,
    "low": pl.Float64,
    "high": pl.Float64,
    "rows": pl.Int64,
}
"""What `duels` gives, one row for each generator against each other one."""


def duels(verdicts: pl.DataFrame, seed: int = 1) -> pl.DataFrame:
    """How often each generator of `verdicts` wins from each other one, from 0 to 1, a tie being half: as DUELS has it.

    What nobody could tell apart, or a coin decides, stands at .5. Bootstrap over users.
    """
    pairs = outcomes(verdicts)
    rows = []
    for (a, b), part in pairs.partition_by("a", "b", as_dict=True).items():
        won = mean("duel", part["points"].to_numpy(), part["user_id"], seed)
        rows.append((a, b, won.value, won.low, won.high, won.rows))
        rows.append((b, a, 1 - won.value, 1 - won.high, 1 - won.low, won.rows))
    return pl.DataFrame(rows, schema=DUELS, orient="row").sort("against", "generator")


def trivial_rules(
    verdicts: pl.DataFrame, words: pl.DataFrame | None = None, seed: int = 1
) -> Mapping[str, pl.DataFrame]:
    """What rules that read nothing would have said where these verdicts were asked for: name -> verdicts.

    `second` answers "the second" always (a tie where no order was shown), `random` tosses a coin for each pair, and
    `longer` prefers the longer text, where `words` are given (see `word_counts`). A judge is worth as much as it says
    other than these.
    """
    asked = latest(verdicts)
    by = pl.when(pl.col("order_free")).then(pl.lit("tie")).otherwise(pl.lit("second"))
    rules = {"second": _answered(asked, "second", by)}
    key = pl.concat_str(*_LIST, "rater", pl.min_horizontal("first", "second"), pl.max_horizontal("first", "second"),
                        separator="\x1f", ignore_nulls=True)  # fmt: skip
    first_by_name = [derive(seed, "coin", text) % 2 == 0 for text in asked.select(key).to_series()]
    tossed = asked.with_columns(pl.Series("#a", first_by_name, dtype=pl.Boolean))
    first = pl.col("#a") == (pl.col("first") < pl.col("second"))
    rules["random"] = _answered(tossed, "random", pl.when(first).then(pl.lit("first")).otherwise(pl.lit("second")))
    if words is not None:
        length = pl.col("#second") - pl.col("#first")
        winner = length.sign().replace_strict([1, 0, -1], ["second", "tie", "first"], return_dtype=pl.String)
        rules["longer"] = _answered(_with_words(asked, words, ("first", "second")), "longer", winner)
    return rules


def word_counts(explanations: pl.DataFrame) -> pl.DataFrame:
    """How long explanations are: recommender, user_id, item_id, generator, words. Only those that are ok."""
    words = pl.col("text").str.count_matches(r"\S+").cast(pl.Int64).alias("words")
    return explanations.filter(pl.col("status") == "ok").select("recommender", "user_id", "item_id", "generator", words)


@dataclass(frozen=True)
class Positions:
    """How much the place decided. `second` is the share of readable verdicts won by the text shown second (a tie is
    half), `pairs` the same for each two generators in the order shown (first, second, value, low, high, rows).

    Without a preference, and each pair shown in both orders, `second` is .5. `consistency` is the share of the pairs
    asked in both orders whose verdicts agree. NaN where there is nothing to measure; verdicts without an order are left
    out.
    """

    second: Metric
    pairs: pl.DataFrame
    consistency: Metric
    unreadable: int


def positions(verdicts: pl.DataFrame, seed: int = 1) -> Positions:
    """The statistics of places of `verdicts` (columns of VERDICTS)."""
    ordered = latest(verdicts).filter(~pl.col("order_free"))
    read = ordered.filter(pl.col("winner").is_not_null())
    shown = read.select("first", "second").unique().sort("first", "second")
    pair = read.join(shown.with_row_index("pair"), on=["first", "second"], maintain_order="left")["pair"].to_numpy()
    won = read["winner"].replace_strict(["first", "tie", "second"], [0.0, 0.5, 1.0], return_dtype=pl.Float64)
    values = np.zeros((read.height, 2, shown.height + 1))
    rows = np.arange(read.height)
    for column in (pair, shown.height):
        values[rows, 0, column] = won.to_numpy()
        values[rows, 1, column] = 1.0
    user, users = clusters(read["user_id"])
    sums = sums_by_user(values, user, users)

    def share(summed: Floats) -> Floats:
        above, below = np.moveaxis(summed, 1, 0)
        return ratio(above, below)

    value, low, high = intervals(sums, share, seed, "positions")
    counts = sums.sum(axis=0)[1].astype(int)
    table = shown.with_columns(
        pl.Series("value", value[:-1]),
        pl.Series("low", low[:-1]),
        pl.Series("high", high[:-1]),
        pl.Series("rows", counts[:-1], dtype=pl.Int64),
    )
    second = Metric("second", float(value[-1]), float(low[-1]), float(high[-1]), int(counts[-1]))
    twice = outcomes(ordered).filter(pl.col("consistent").is_not_null())
    consistent = twice["consistent"].cast(pl.Float64).to_numpy()
    unread = ordered.height - read.height
    return Positions(second, table, mean("consistency", consistent, twice["user_id"], seed), unread)


def mean(name: str, values: Floats, users: pl.Series, seed: int = 1) -> Metric:
    """The mean of `values`, one a row, with its interval over the `users` of the rows; NaN where there are no rows."""
    user, n_users = clusters(users)
    sums = sums_by_user(np.stack([values, np.ones(len(values))], axis=1), user, n_users)
    value, low, high = intervals(sums, lambda summed: ratio(summed[:, 0], summed[:, 1]), seed, name)
    return Metric(name, float(value), float(low), float(high), len(values))


@dataclass(frozen=True)
class Strengths:
    """Bradley-Terry strengths: `table` has generator, strength, low, high, rows (comparisons), by name.

    Strengths are log-odds with mean 0: one generator wins from another with the probability 1 / (1 + exp(-difference)).
    `length` is what an advantage in length adds: the log-odds for a text e times as long; None where not adjusted.
    """

    table: pl.DataFrame
    length: Metric | None


def strengths(pairs: pl.DataFrame, words: pl.DataFrame | None = None) -> Strengths:
    """Bradley-Terry strengths from `outcomes`, by logistic regression; with `words` (`word_counts`) at equal length.

    log odds(a wins from b) = strength(a) - strength(b) + length * log(words(a) / words(b)); a tie is half a win for
    each (Bradley and Terry 1952; the covariate as in Dubois et al. 2024). Each two generators begin with one tie, so
    that one that always wins has a finite strength, and `length` with a normal prior of mean 0 and standard deviation
    10. Comparisons of texts of unknown length are left out. Intervals: sandwich estimate clustered by user, or that of
    the likelihood where it is wider, as it is for a generator that never loses.
    Raises InputError where there are no comparisons.
    """
    if words is not None:
        lengths = ((pl.col("#a").clip(1) / pl.col("#b").clip(1)).log()).alias("length")
        pairs = _with_words(pairs, words, ("a", "b")).with_columns(lengths).filter(pl.col("length").is_not_null())
    if pairs.is_empty():
        raise InputError("strengths are measured on comparisons", value=0, cure="judge first")
    names = sorted({*pairs["a"], *pairs["b"]})
    size, n = len(names), pairs.height
    places = {name: place for place, name in enumerate(names)}
    one, other = (pairs[column].replace_strict(places, return_dtype=pl.Int64).to_numpy() for column in ("a", "b"))
    # Strengths with mean 0 have one degree of freedom less than there are generators: an orthonormal basis of those.
    basis = np.linalg.qr(np.eye(size) - 1 / size)[0][:, : size - 1]
    design = basis[one] - basis[other]
    begun = np.array([basis[i] - basis[j] for i in range(size) for j in range(i)])
    precision = np.zeros((size, size)) if words is not None else np.zeros((size - 1, size - 1))
    if words is not None:
        precision[-1, -1] = _LENGTH_PRIOR_SD**-2
        design = np.column_stack([design, pairs["length"].to_numpy()])
        begun = np.column_stack([begun, np.zeros(len(begun))])
    points = pairs["points"].to_numpy()
    fitted, hessian = _logistic(
        np.concatenate([design, begun]), np.concatenate([points, np.full(len(begun), 0.5)]), precision
    )
    inverse = np.linalg.inv(hessian)
    user, users = clusters(pairs["user_id"])
    scores = sums_by_user(design * (points - _probability(design @ fitted))[:, None], user, users)
    sandwich = inverse @ (scores.T @ scores * users / max(users - 1, 1)) @ inverse
    spread = np.zeros((size + 1, len(fitted)))
    spread[:size, : size - 1] = basis
    spread[size, -1] = 1.0
    error = np.sqrt(np.maximum(*(np.diag(spread @ covariance @ spread.T) for covariance in (sandwich, inverse))))
    strength = basis @ fitted[: size - 1]
    table = pl.DataFrame(
        {
            "generator": names,
            "strength": strength,
            "low": strength - _QUANTILE * error[:size],
            "high": strength + _QUANTILE * error[:size],
            "rows": np.bincount(one, minlength=size) + np.bincount(other, minlength=size),
        },
    )
    if words is None:
        return Strengths(table, None)
    effect, margin = float(fitted[-1]), float(_QUANTILE * error[size])
    return Strengths(table, Metric("length", effect, effect - margin, effect + margin, n))


def _logistic(design: Floats, points: Floats, precision: Floats) -> tuple[Floats, Floats]:
    """Coefficients that maximise the likelihood of `points` (0 to 1) under a normal prior, and the Hessian there."""
    fitted = np.zeros(design.shape[1])

    def loss(at: Floats) -> float:
        odds = design @ at
        return float(np.logaddexp(0, odds).sum() - points @ odds + at @ precision @ at / 2)

    for _ in range(100):
        chance = _probability(design @ fitted)
        hessian: Floats = design.T @ (design * (chance * (1 - chance))[:, None]) + precision
        gradient = design.T @ (chance - points) + precision @ fitted
        step = np.linalg.solve(hessian, gradient)
        size = 1.0
        while size > 1e-6 and loss(fitted - size * step) > loss(fitted):
            size /= 2
        fitted = fitted - size * step
        if math.sqrt(float(step @ step)) < 1e-10:
            break
    return fitted, hessian


def _probability(odds: Floats) -> Floats:
    out: Floats = np.exp(-np.logaddexp(0, -odds))
    return out


def _answered(asked: pl.DataFrame, rule: str, winner: pl.Expr) -> pl.DataFrame:
    """`asked` as if `rule` had answered; without a winner where it cannot say. Columns named #... go."""
    answered = asked.with_columns(
        winner.alias("winner"),
        pl.lit(rule).alias("judge"),
        pl.lit("").alias("raw"),
        pl.lit(None, pl.Float64).alias("probability"),
    )
    status = pl.when(pl.col("winner").is_null()).then(pl.lit("invalid")).otherwise(pl.lit("ok"))
    return answered.with_columns(status.alias("status")).select(pl.exclude(r"^#.*$"))


def _with_words(table: pl.DataFrame, words: pl.DataFrame, generators: tuple[str, str]) -> pl.DataFrame:
    """`table` with the number of words, as #NAME, of each of the two columns that name generators; null if unknown."""
    key = ["recommender", "user_id", "item_id"]
    for column in generators:
        known = words.select(*key, pl.col("generator").alias(column), pl.col("words").alias(f"#{column}"))
        table = table.join(known, on=[*key, column], how="left", maintain_order="left", validate="m:1")
    return table
