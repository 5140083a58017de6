"""Scores from verdicts: by hand, against choix, and the paper's own (in test_replay)."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from itertools import combinations
from random import Random

import choix
import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llmxrec.errors import InputError
from llmxrec.evaluation.ranking import (
    SCORES,
    outcomes,
    positions,
    score,
    strengths,
    trivial_rules,
    word_counts,
)
from llmxrec.evaluation.verdicts import VERDICTS, as_table
from llmxrec.records import Verdict, Winner


def said(
    user: str, first: str, second: str, winner: Winner | None, rater: str = "", order_free: bool = False
) -> Verdict:
    status = "ok" if winner else "invalid"
    return Verdict("bpr", "j", user, "heat", first, second, winner, None, status, "", order_free, rater)


def one(*verdicts: Verdict) -> list[tuple[str, str, float, bool | None]]:
    return outcomes(as_table(verdicts)).select("a", "b", "points", "consistent").rows()


def test_both_orders_agree_or_it_is_a_tie() -> None:
    assert one(said("u", "x", "y", "first"), said("u", "y", "x", "second")) == [("x", "y", 1.0, True)]
    assert one(said("u", "x", "y", "second"), said("u", "y", "x", "second")) == [("x", "y", 0.5, False)]
    assert one(said("u", "x", "y", "tie"), said("u", "y", "x", "second")) == [("x", "y", 0.5, False)]
    assert one(said("u", "x", "y", "tie"), said("u", "y", "x", "tie")) == [("x", "y", 0.5, True)]


def test_one_order_counts_as_it_is() -> None:
    assert one(said("u", "y", "x", "first")) == [("x", "y", 0.0, None)]
    assert one(said("u", "y", "x", "second", order_free=True)) == [("x", "y", 1.0, None)]


def test_unreadable_is_unmeasured() -> None:
    """Also where the other order could be read: that one alone would let the place decide."""
    assert one(said("u", "x", "y", None)) == []
    assert one(said("u", "x", "y", "first"), said("u", "y", "x", None)) == []


def test_each_rater_judges_alone() -> None:
    pair = [said("u", "x", "y", "first", "ann"), said("u", "x", "y", "second", "bo"), said("u", "x", "y", None, "cy")]
    assert one(*pair) == [("x", "y", 1.0, None), ("x", "y", 0.0, None)]


WORLD = as_table(
    [
        # anna: z 2 points, x and y, that tie, half a point each
        said("anna", "x", "y", "tie"),
        said("anna", "x", "z", "second"),
        said("anna", "y", "z", "second"),
        # bob: a circle, everyone wins once
        said("bob", "x", "y", "first"),
        said("bob", "y", "z", "first"),
        said("bob", "x", "z", "second"),
        # cleo: y against z was not readable
        said("cleo", "x", "y", "first"),
        said("cleo", "x", "z", "first"),
        said("cleo", "y", "z", None),
    ]
)
"""Three people, three generators."""


def test_scores_by_hand() -> None:
    table = score(WORLD)
    assert dict(table.schema) == SCORES
    x, y, z = table.iter_rows(named=True)
    assert [x["win_ratio"], y["win_ratio"], z["win_ratio"]] == [3.5 / 6, 1.5 / 5, 3 / 5]
    # Dense ranks: anna z 1, x and y 2; bob all 1; cleo x 1, y and z 2 of one comparison each
    assert [x["ranking_order"], y["ranking_order"], z["ranking_order"]] == [4 / 3, 5 / 3, 4 / 3]
    assert [x["unreadable"], y["unreadable"], z["unreadable"]] == [0, 1, 1]
    assert [x["comparisons"], y["comparisons"], z["comparisons"]] == [6, 5, 5]
    assert table["rows"].to_list() == table["ranked"].to_list() == [3, 3, 3]
    for row in (x, y, z):
        assert row["win_ratio_low"] <= row["win_ratio"] <= row["win_ratio_high"]
        assert 1 <= row["ranking_order_low"] <= row["ranking_order"] <= row["ranking_order_high"] <= 2


def test_equal_ones_share_a_rank_and_the_next_goes_on_from_there() -> None:
    """v and w win from the others and tie, x wins from y: ranks 1, 1, 2, 3."""
    wins = [said("u", first, second, "first") for first, second in ("vx", "vy", "wx", "wy", "xy")]
    table = score(as_table([said("u", "v", "w", "tie"), *wins]))
    assert table["ranking_order"].to_list() == [1, 1, 2, 3]


def test_nobody_ranks_lower_for_what_was_not_measured() -> None:
    """y won all that could be read of it, x one of two: by wins they would be equal."""
    table = score(
        as_table([said("u", "x", "z", "first"), said("u", "y", "x", "first"), said("u", "y", "z", None)]),
    )
    assert table["ranking_order"].to_list() == [2, 1, 3]


def test_a_list_that_lacks_a_generator_has_no_ranks() -> None:
    table = score(pl.concat([WORLD, as_table([said("dora", "x", "y", "first"), said("dora", "x", "z", None)])]))
    assert table["rows"].to_list() == [4, 4, 3]
    assert table["ranked"].to_list() == [3, 3, 3]
    assert table["ranking_order"].to_list() == [4 / 3, 5 / 3, 4 / 3]
    assert table["win_ratio"].to_list()[:2] == [4.5 / 7, 1.5 / 6]


def test_nothing_readable_is_no_score() -> None:
    table = score(as_table([said("u", "x", "y", None)]))
    assert table.select("generator", "win_ratio", "win_ratio_low", "ranking_order", "rows", "unreadable").rows() == [
        ("x", None, None, None, 0, 1),
        ("y", None, None, None, 0, 1),
    ]
    assert score(pl.DataFrame(schema=VERDICTS)).is_empty()
    only_x_and_y = score(pl.concat([WORLD.filter(pl.col("second") == "y"), as_table([said("u", "w", "x", None)])]))
    assert only_x_and_y["ranked"].to_list() == [0, 3, 3], "who was never read takes nobody's rank away"


winners = st.sampled_from(["first", "second", "tie", None])


@st.composite
def judged(draw: st.DrawFn) -> list[Verdict]:
    """Any verdicts on up to four people's three generators, in one order or both."""
    out = []
    for user in range(draw(st.integers(1, 4))):
        for first, second in combinations("xyz", 2):
            out += [said(f"u{user}", *order, draw(winners)) for order in draw(st.sampled_from(
                [[], [(first, second)], [(second, first)], [(first, second), (second, first)]]
            ))]  # fmt: skip
    return out


def turned(verdict: Verdict) -> Verdict:
    """The same, as it would be had the texts been shown the other way round."""
    other = {"first": "second", "second": "first"}
    winner = other.get(verdict.winner or "", verdict.winner)
    return Verdict("bpr", "j", verdict.user_id, "heat", verdict.second, verdict.first, winner, None, verdict.status)


@given(judged(), st.randoms())
@settings(max_examples=50)
def test_neither_the_order_of_rows_nor_of_texts_matters(verdicts: list[Verdict], random: Random) -> None:
    columns = ["generator", "win_ratio", "ranking_order", "rows", "comparisons", "ranked", "unreadable"]
    here = score(as_table(verdicts)).select(columns)
    shuffled = random.sample(verdicts, len(verdicts))
    assert score(as_table(shuffled)).select(columns).equals(here)
    assert score(as_table([turned(verdict) for verdict in verdicts])).select(columns).equals(here)


@given(judged())
@settings(max_examples=50)
def test_points_are_shared_out(verdicts: list[Verdict]) -> None:
    pairs, table = outcomes(as_table(verdicts)), score(as_table(verdicts))
    points = (table["win_ratio"] * table["comparisons"]).sum()
    assert points == pytest.approx(pairs.height)
    for low, value, high in table.select("win_ratio_low", "win_ratio", "win_ratio_high").drop_nulls().iter_rows():
        assert 0 <= low <= high <= 1 and 0 <= value <= 1


def many(users: int, chances: dict[str, float], seed: int = 5) -> pl.DataFrame:
    """`users` people, every pair of generators shown in one order; the one of higher chance wins more often."""
    draw = np.random.default_rng(seed)
    rows = []
    for user in range(users):
        for a, b in combinations(chances, 2):
            won = draw.random() < chances[a] / (chances[a] + chances[b])
            rows.append(("bpr", "j", f"u{user}", "heat", a, b, "first" if won else "second"))
    table = pl.DataFrame(rows, schema=list(VERDICTS)[:7], orient="row")
    return table.with_columns(
        pl.lit(None, pl.Float64).alias("probability"),
        pl.lit("ok").alias("status"),
        pl.lit("").alias("raw"),
        pl.lit(False).alias("order_free"),
        pl.lit("").alias("rater"),
        pl.lit("").alias("case"),
    )


def test_intervals_are_those_of_a_bootstrap_of_users() -> None:
    """Against the means of one-user scores, over users drawn one resample at a time."""
    table = many(60, {"x": 3, "y": 2, "z": 1})
    alone = [score(user).row(0, named=True) for user in table.partition_by("user_id")]
    draw = np.random.default_rng(1)
    whole = score(table).row(0, named=True)
    for name in ("win_ratio", "ranking_order"):
        values = np.array([row[name] for row in alone])
        assert whole[name] == pytest.approx(values.mean())
        low, high = np.percentile([values[draw.integers(0, 60, 60)].mean() for _ in range(2000)], [2.5, 97.5])
        assert [whole[f"{name}_low"], whole[f"{name}_high"]] == pytest.approx([low, high], abs=0.1 * (high - low))


def test_the_same_seed_gives_the_same_and_intervals_hold_the_truth() -> None:
    table = many(97, {"x": 3, "y": 2, "z": 1})
    assert score(table).equals(score(table)) and not score(table).equals(score(table, seed=2))
    held = 0
    for seed in range(60):
        row = score(many(100, {"x": 3, "y": 1}, seed)).row(0, named=True)
        held += row["win_ratio_low"] <= 0.75 <= row["win_ratio_high"]
    assert 50 <= held <= 60, "95 % of them, give or take"


def test_a_thousand_lists_of_five_in_a_second() -> None:
    table = many(1000, {"a": 5, "b": 4, "c": 3, "d": 2, "e": 1})
    start = time.process_time()
    assert score(table)["comparisons"].sum() == 20_000
    assert time.process_time() - start < 3


# --- trivial rules ---


def test_trivial_rules_answer_what_was_asked() -> None:
    words = pl.DataFrame(
        {
            "recommender": "bpr",
            "user_id": ["anna", "anna", "anna", "bob", "bob"],
            "item_id": "heat",
            "generator": ["x", "y", "z", "x", "y"],
            "words": [3, 3, 9, 8, 1],
        }
    )
    rules = trivial_rules(WORLD, words)
    assert list(rules) == ["second", "random", "longer"]
    for rule, table in rules.items():
        assert table.select("user_id", "first", "second").equals(WORLD.select("user_id", "first", "second"))
        assert dict(table.schema) == VERDICTS and set(table["judge"]) == {rule}
    assert set(rules["second"]["winner"]) == {"second"}
    assert score(rules["second"])["win_ratio"].to_list() == [0.0, 0.5, 1.0]
    # of anna's texts z is the longest, x and y are equally long; of bob's z has no length, of cleo's none
    expected = ["tie", "second", "second", "first", None, None, None, None, None]
    assert rules["longer"]["winner"].to_list() == expected
    assert rules["longer"]["status"].to_list() == ["ok" if winner else "invalid" for winner in expected]


def test_the_second_is_no_rule_where_there_is_no_order() -> None:
    table = as_table([said("u", "x", "y", "first", order_free=True), said("u", "x", "z", "first")])
    assert trivial_rules(table)["second"]["winner"].to_list() == ["tie", "second"]


def test_a_coin_is_tossed_once_for_a_pair_and_is_fair() -> None:
    table = many(500, {"x": 1, "y": 1, "z": 1})
    swapped = table.with_columns(pl.col("second").alias("first"), pl.col("first").alias("second"))
    tossed = trivial_rules(pl.concat([table, swapped]))["random"]
    assert outcomes(tossed)["consistent"].all()
    assert score(tossed)["win_ratio"].to_list() == pytest.approx([0.5] * 3, abs=0.06)
    assert not trivial_rules(table, seed=2)["random"].equals(trivial_rules(table)["random"])


def test_word_counts() -> None:
    row = {"recommender": "bpr", "user_id": "u", "item_id": "i"}
    table = pl.DataFrame(
        [
            {**row, "generator": "x", "text": " Two\n\nwords. ", "status": "ok"},
            {**row, "generator": "y", "text": "Cut sho", "status": "truncated"},
        ]
    )
    assert word_counts(table).select("generator", "words").rows() == [("x", 2)]


# --- places ---


def test_positions_by_hand() -> None:
    verdicts = as_table(
        [
            said("a", "x", "y", "second"),
            said("a", "y", "x", "second"),
            said("b", "x", "y", "second"),
            said("b", "y", "x", "first"),
            said("c", "x", "y", "tie"),
            said("c", "y", "x", None),
            said("d", "x", "z", "first"),
            said("e", "x", "z", "first", order_free=True),
        ]
    )
    found = positions(verdicts)
    assert (found.second.value, found.second.rows) == (3.5 / 6, 6)
    assert 0 <= found.second.low <= 3.5 / 6 <= found.second.high <= 1
    assert found.pairs.select("first", "second", "value", "rows").rows() == [
        ("x", "y", 2.5 / 3, 3),
        ("x", "z", 0.0, 1),
        ("y", "x", 0.5, 2),
    ]
    assert (found.consistency.value, found.consistency.rows) == (0.5, 2)
    assert found.unreadable == 1


def test_nothing_to_measure_of_places() -> None:
    found = positions(as_table([said("e", "x", "z", "first", order_free=True)]))
    assert math.isnan(found.second.value) and math.isnan(found.consistency.value) and found.pairs.is_empty()
    assert found.second.rows == found.consistency.rows == 0


# --- Bradley-Terry ---


def pairs_of(rows: Sequence[tuple[str, str, str, float]]) -> pl.DataFrame:
    table = pl.DataFrame(rows, schema=["user_id", "a", "b", "points"], orient="row")
    return table.with_columns(recommender=pl.lit("bpr"), item_id=pl.lit("heat"))


@given(
    st.lists(
        st.tuples(st.sampled_from(list(combinations("wxyz", 2))), st.sampled_from([0.0, 0.5, 1.0])),
        min_size=1,
        max_size=40,
    )
)
@settings(max_examples=40)
def test_strengths_are_those_of_choix(rows: list[tuple[tuple[str, str], float]]) -> None:
    found = strengths(pairs_of([(f"u{n}", a, b, points) for n, ((a, b), points) in enumerate(rows)])).table
    names = found["generator"].to_list()
    place = {name: number for number, name in enumerate(names)}
    # each comparison twice, so that a tie is one win each, and the tie that each two begin with
    wins = [
        (place[a], place[b]) if won else (place[b], place[a])
        for (a, b), points in rows
        for won in (points > 0, points == 1)
    ]
    wins += [pair for i, j in combinations(range(len(names)), 2) for pair in ((i, j), (j, i))]
    theirs = choix.opt_pairwise(len(names), wins, alpha=0.0, method="BFGS", tol=1e-8)
    assert found["strength"].to_list() == pytest.approx(theirs - theirs.mean(), abs=1e-4)
    assert found["strength"].sum() == pytest.approx(0, abs=1e-9)


def test_one_that_always_wins_has_a_finite_strength_and_an_open_interval() -> None:
    found = strengths(pairs_of([(f"u{n}", "x", "y", 1.0) for n in range(99)])).table
    x, y = found["strength"]
    assert x - y == pytest.approx(math.log(99.5 / 0.5))
    assert found["high"][0] - x == pytest.approx(x - found["low"][0]) and found["high"][0] - x > 1
    assert found["rows"].to_list() == [99, 99]


def test_strengths_find_the_chances_behind_the_verdicts() -> None:
    found = strengths(outcomes(many(2000, {"x": 4, "y": 2, "z": 1}))).table
    truth = np.log([4, 2, 1]) - np.log([4, 2, 1]).mean()
    assert found["strength"].to_list() == pytest.approx(truth, abs=0.1)
    assert all(low < value < high for value, low, high in zip(truth, found["low"], found["high"], strict=True))


def test_verdicts_that_repeat_for_a_user_are_no_more_evidence() -> None:
    """The same 200 comparisons by 200 people or by 20, ten alike each: the interval is 10 ** .5 times as wide."""
    rows = [("x", "y", 1.0 if n % 4 else 0.0) for n in range(20) for _ in range(10)]
    apart = strengths(pairs_of([(f"u{n}", *row) for n, row in enumerate(rows)])).table
    alike = strengths(pairs_of([(f"u{n // 10}", *row) for n, row in enumerate(rows)])).table
    wide, narrow = (table["high"][0] - table["strength"][0] for table in (alike, apart))
    assert apart["strength"].to_list() == alike["strength"].to_list()
    assert wide / narrow == pytest.approx(math.sqrt(10), rel=0.05)


def test_at_equal_length_only_the_better_wins() -> None:
    """Texts of z are the longest, and length alone decides among equals: adjusted, all are equally strong."""
    draw = np.random.default_rng(3)
    rows, words = [], []
    for user in range(1500):
        lengths = {name: int(draw.integers(20, 60)) + bonus for name, bonus in (("x", 0), ("y", 10), ("z", 40))}
        words += [("bpr", f"u{user}", "heat", name, length) for name, length in lengths.items()]
        for a, b in combinations("xyz", 2):
            odds = 2.0 * math.log(lengths[a] / lengths[b])
            rows.append((f"u{user}", a, b, float(draw.random() < 1 / (1 + math.exp(-odds)))))
    known = pl.DataFrame(words, schema=["recommender", "user_id", "item_id", "generator", "words"], orient="row")
    plain, adjusted = strengths(pairs_of(rows)), strengths(pairs_of(rows), known)
    assert plain.length is None and plain.table["strength"][2] > 0.5
    assert adjusted.table["strength"].to_list() == pytest.approx([0, 0, 0], abs=0.15)
    assert adjusted.length is not None
    assert adjusted.length.low < 2.0 < adjusted.length.high and adjusted.length.value == pytest.approx(2, abs=0.3)
    fewer = strengths(pairs_of(rows), known.filter(pl.col("user_id") != "u0"))
    assert fewer.length is not None and fewer.length.rows == 3 * 1499


def test_length_that_decides_everything_stays_finite() -> None:
    words = pl.DataFrame(
        {
            "recommender": "bpr",
            "user_id": ["u0", "u0", "u1", "u1"],
            "item_id": "heat",
            "generator": ["x", "y"] * 2,
            "words": [5, 50, 50, 5],
        }
    )
    found = strengths(pairs_of([("u0", "x", "y", 0.0), ("u1", "x", "y", 1.0)]), words)
    assert found.length is not None and 0 < found.length.value < 10 and found.length.low < 0 < found.length.high
    assert found.table["strength"].to_list() == pytest.approx([0, 0], abs=1e-9)


def test_no_comparisons_no_strengths() -> None:
    with pytest.raises(InputError, match="strengths are measured on comparisons"):
        strengths(outcomes(as_table([])))
