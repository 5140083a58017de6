"""Accuracy of predicted attributes: checked by hand, and the rules beside it."""

from __future__ import annotations

import json
import math

import numpy as np
import polars as pl
import pytest
from scipy import sparse
from sklearn.feature_extraction.text import TfidfTransformer
from sklearn.linear_model import LogisticRegression
from tests.prompts.test_targets import news, shop
from tests.worlds import small_dataset

from llmxrec.datasets.dataset import Dataset, Histories
from llmxrec.datasets.demo.simulation import simulate
from llmxrec.datasets.domains import load_domain
from llmxrec.evaluation.attributes import (
    Accuracy,
    Material,
    accuracy,
    features,
    guess_at_random,
    guess_by_regression,
    guess_the_most_frequent,
    measure,
    parts,
)
from llmxrec.evaluation.regression import counts, regressions, tf_idf
from llmxrec.predict import PREDICTIONS
from llmxrec.prompts.targets import Targets


def known(dataset: Dataset) -> Histories:
    return Histories.build(dataset.interactions, dataset.users["user_id"], dataset.items["item_id"])


def by_regression(material: Material, dataset: Dataset, histories: Histories) -> Accuracy:
    return guess_by_regression(material, features(material.target, material.rows, dataset, histories))


def said(*rows: tuple[str, str, str | None, str | None]) -> pl.DataFrame:
    """Predictions of age and gender: user, item, text, status."""
    table = pl.DataFrame(rows, schema=["user_id", "item_id", "text", "status"], orient="row")
    return table.with_columns(
        targets=pl.lit(["age", "gender"]),
        **{name: pl.lit(None, kind) for name, kind in PREDICTIONS.items() if name not in (*table.columns, "targets")},
    ).select(*PREDICTIONS)


def test_right_wrong_unread_and_not_asked() -> None:
    """Anna is 34 and female, Bob 50 and male, of Cleo nothing is known."""
    dataset = small_dataset()
    table = said(
        ("anna", "suspects", '{"age": "39", "gender": "Female"}', "ok"),
        ("anna", "heat", '{"age": "40", "gender": "?"}', "ok"),
        ("bob", "fargo", '{"age": "50", "gender": "male"}', "truncated"),
        ("bob", "bambi", '{"age": "50", "gender": "female"}', "ok"),
        ("bob", "heat", None, None),
        ("cleo", "heat", '{"age": "50", "gender": "female"}', "ok"),
    )
    age, gender = measure(table, "gpt", Targets.of(dataset, known(dataset)))
    assert (age.target, age.who, age.rows, age.unread) == ("age", "gpt", 4, 1)
    assert (age.accuracy, age.over_all) == (2 / 3, 2 / 4)
    assert (gender.rows, gender.unread, gender.accuracy, gender.over_all) == (4, 2, 1 / 2, 1 / 4)
    assert 0 <= age.low <= age.accuracy <= age.high <= 1


def test_nothing_readable_is_not_a_number_and_never_a_zero() -> None:
    dataset = small_dataset()
    (age, _) = measure(said(("anna", "heat", "", "refused")), "gpt", Targets.of(dataset, known(dataset)))
    assert math.isnan(age.accuracy) and (age.over_all, age.rows, age.unread) == (0.0, 1, 1)
    (none, _) = measure(said(("cleo", "heat", "", "ok")), "gpt", Targets.of(dataset, known(dataset)))
    assert math.isnan(none.accuracy) and math.isnan(none.over_all) and none.rows == 0


def test_intervals_are_over_users() -> None:
    """One user with all the rows is one draw: there is nothing to tell how others fare."""
    one = accuracy("age", "x", [1.0, 0.0, 1.0, 0.0], ["u"] * 4)
    assert (one.low, one.high) == (0.5, 0.5)
    four = accuracy("age", "x", [1.0, 0.0, 1.0, 0.0], list("abcd"))
    assert four.low == 0.0 and four.high == 1.0


def test_a_uniform_guess_by_hand() -> None:
    """Ages 34 to 50 are 17 guesses: of 34 those up to 39 are right (6), of 50 those from 45 on (6)."""
    dataset = small_dataset()
    rows = pl.DataFrame({"user_id": ["anna", "bob", "cleo"], "item_id": ["heat"] * 3})
    targets = Targets.of(dataset, known(dataset))
    assert guess_at_random(Material.of("age", rows, targets)).accuracy == pytest.approx(6 / 17)
    assert guess_at_random(Material.of("gender", rows, targets)).accuracy == 0.5
    articles = news()
    asked = pl.DataFrame({"user_id": ["ann", "ben"], "item_id": ["e", "e"]})
    interest = Material.of("interest", asked, Targets.of(articles, known(articles)))
    assert interest.rows["user_id"].to_list() == ["ann"] and guess_at_random(interest).accuracy == pytest.approx(2 / 3)


def people(ages: list[int]) -> tuple[Dataset, Targets, pl.DataFrame]:
    users = pl.DataFrame({"user_id": [f"u{n}" for n in range(len(ages))], "age": [str(age) for age in ages]})
    rows = users.select(
        "user_id", item_id=pl.lit("a"), timestamp=pl.lit(None, pl.Int64), rating=pl.lit(None, pl.Float64)
    )
    dataset = Dataset(rows, pl.DataFrame({"item_id": ["a"], "title": ["A"]}), users, load_domain("movies"))
    return dataset, Targets.of(dataset, known(dataset)), rows.select("user_id", "item_id")


def test_the_constant_is_the_one_that_is_right_most_often() -> None:
    """Most people are exactly 20, but more are within 5 years of 42."""
    ages = [20] * 20 + [37, 38, 39, 40, 41, 43, 44, 45, 46, 47] * 3
    _, targets, rows = people(ages)
    assert guess_the_most_frequent(Material.of("age", rows, targets)).accuracy == pytest.approx(30 / 50)


def test_a_rule_learns_from_all_and_is_measured_on_some() -> None:
    """Most are near 42: right of nobody who is 20, whoever else is asked about."""
    dataset, targets, rows = people([20] * 20 + [42] * 30)
    material, young = Material.of("age", rows, targets), rows.head(20)
    read = features("age", material.rows, dataset, known(dataset))
    by_rule = [
        guess_the_most_frequent(material, of=young), guess_by_regression(material, read, of=young),
        guess_at_random(material, of=young),
    ]  # fmt: skip
    assert [(one.accuracy, one.rows) for one in by_rule[:2]] == [(0.0, 20)] * 2
    assert by_rule[2].accuracy == pytest.approx(6 / 23) and by_rule[2].rows == 20, "20 to 25 of 20 to 42"
    assert guess_the_most_frequent(material).accuracy == pytest.approx(30 / 50)


def test_a_constant_is_chosen_on_others_than_it_is_measured_on() -> None:
    """Of as many of each as there are parts, the part held out has too few of its own in the others: never right."""
    users = pl.DataFrame({"user_id": [f"u{n}" for n in range(10)]})
    part = parts(users["user_id"].to_list(), 1)
    users = users.with_columns(gender=pl.Series([f"g{n}" for n in part]))
    rows = users.select(
        "user_id", item_id=pl.lit("a"), timestamp=pl.lit(None, pl.Int64), rating=pl.lit(None, pl.Float64)
    )
    dataset = Dataset(rows, pl.DataFrame({"item_id": ["a"], "title": ["A"]}), users, load_domain("movies"))
    material = Material.of("gender", rows, Targets.of(dataset, known(dataset)))
    assert (
        guess_the_most_frequent(material).accuracy == 0.0 == by_regression(material, dataset, known(dataset)).accuracy
    )


def test_parts_are_even_of_whole_users_and_by_seed() -> None:
    users = [f"u{n // 2}" for n in range(46)]
    found = parts(users, 1)
    assert sorted(np.bincount(found)) == [8, 8, 10, 10, 10]
    assert all(found[n] == found[n + 1] for n in range(0, 46, 2))
    assert parts(users[::-1], 1).tolist() == found[::-1].tolist() and parts(users, 2).tolist() != found.tolist()


def test_a_regression_learns_what_a_history_tells() -> None:
    """The demo's occupations show in what people watch, and do not show where their histories are taken away."""
    dataset, _ = simulate(200)
    histories = known(dataset)
    rows = dataset.users.select("user_id", item_id=pl.lit(dataset.items["item_id"][0]))
    targets = Targets.of(dataset, histories)
    for target in ("occupation", "age"):
        material = Material.of(target, rows, targets)
        constant, learned = guess_the_most_frequent(material), by_regression(material, dataset, histories)
        assert learned.accuracy > constant.accuracy + 0.05
        nothing = Histories(histories.users, histories.items, histories.offsets * 0, histories.item_index[:0])
        blind = by_regression(material, dataset, nothing)
        assert blind.accuracy <= constant.accuracy + 0.03


def test_a_regression_is_shown_no_more_than_a_prompt() -> None:
    """The price of a game that nobody had yet, and a tag that tells it, make no difference."""
    games = shop()
    asked = pl.DataFrame({"user_id": ["u0", "u1"], "item_id": ["j", "j"]})
    dear = games.items.with_columns(
        price=pl.Series(["free", "4.99", None, "4.99"]),
        tags=pl.Series([["Free to Play", "Action"], ["Indie"], ["free", "RPG"], []], dtype=pl.List(pl.String)),
    )
    free = games.items.with_columns(price=pl.Series(["free", "4.99", None, "free"]))
    found = [
        {
            target: features(target, asked, Dataset(games.interactions, items, games.users, games.domain), known(games))
            for target in ("price", "popularity")
        }
        for items in (dear, free)
    ]
    assert (found[0]["price"] != found[1]["price"]).nnz == 0
    assert (found[0]["popularity"] != found[1]["popularity"]).nnz > 0, "of a popularity, prices may tell"
    articles = news()
    interest = features("interest", pl.DataFrame({"user_id": ["ann"], "item_id": ["e"]}), articles, known(articles))
    assert interest.shape[1] == articles.items.height, "the items of the history, and no categories"


def test_regressions_are_those_of_scikit_learn() -> None:
    draw = np.random.default_rng(1)
    read = sparse.csr_matrix(draw.random((60, 7)) * (draw.random((60, 7)) < 0.5))
    labels = draw.integers(0, 3, 60)
    for strength, ours in zip(
        (0.5, 5.0), regressions(read, np.eye(3)[labels], (0.5, 5.0), steps=2000, enough=1e-14), strict=True
    ):
        theirs = LogisticRegression(C=strength, tol=1e-10, max_iter=5000).fit(read, labels)
        assert np.allclose(ours.shares(read), theirs.predict_proba(read), atol=1e-4)
    assert np.allclose(tf_idf(read > 0).toarray(), TfidfTransformer().fit_transform(read > 0).toarray())


def test_a_row_with_two_right_answers_is_two_rows_of_half_the_weight() -> None:
    read = counts([[0], [0, 1], [1], [2, 2], []], 3)
    assert read.toarray().tolist() == [[1, 0, 0], [1, 1, 0], [0, 1, 0], [0, 0, 2], [0, 0, 0]]
    wanted = np.array([[0.5, 0.5, 0], [1, 0, 0], [0, 0.5, 0.5], [0, 0, 1], [0, 1, 0]])
    (ours,) = regressions(read, wanted, (2.0,), steps=2000, enough=1e-14)
    rows, labels = wanted.nonzero()
    theirs = LogisticRegression(C=2.0, tol=1e-10, max_iter=5000).fit(read[rows], labels, wanted[rows, labels])
    assert np.allclose(ours.shares(read), theirs.predict_proba(read), atol=1e-4)


def test_answers_out_of_range_are_wrong_and_not_unread() -> None:
    dataset = small_dataset()
    (age, _) = measure(
        said(("anna", "heat", json.dumps({"age": 99}), "ok")), "gpt", Targets.of(dataset, known(dataset))
    )
    assert (age.accuracy, age.unread) == (0.0, 0)
