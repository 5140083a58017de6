"""Attributes to predict: what can be asked, what is true, what is read, and what may not be shown."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.worlds import small_dataset

from llmxrec.datasets import read_dataset
from llmxrec.datasets.dataset import Dataset, Histories
from llmxrec.datasets.domains import load_domain
from llmxrec.errors import InputError
from llmxrec.prompts.instructions import Instructions, PromptSettings
from llmxrec.prompts.targets import (
    AGES,
    LEVELS,
    NUMBERS,
    TARGETS,
    Targets,
    is_right,
    likeliest,
    read_answer,
    read_answers,
)
from llmxrec.records import Instruction, Item, User


def histories(dataset: Dataset) -> Histories:
    return Histories.build(dataset.interactions, dataset.users["user_id"], dataset.items["item_id"])


def of(dataset: Dataset) -> Targets:
    return Targets.of(dataset, histories(dataset))


def news() -> Dataset:
    """Ann read two of sports and one of the world, Ben one article that has no category, Cay nothing."""
    items = pl.DataFrame(
        {
            "item_id": ["a", "b", "c", "d", "e"],
            "title": ["A", "B", "C", "D", "E"],
            "category": ["sports", "Sports", "world", None, "food"],
            "subcategory": ["ball", "ball", "east", "east", "soup"],
        }
    )
    read = [("ann", "c"), ("ann", "a"), ("ann", "b"), ("ben", "d")]
    rows = pl.DataFrame(read, schema=["user_id", "item_id"], orient="row")
    rows = rows.with_columns(timestamp=pl.Series(range(4), dtype=pl.Int64), rating=pl.lit(None, pl.Float64))
    return Dataset(rows, items, pl.DataFrame({"user_id": ["ann", "ben", "cay"]}), load_domain("news"))


def shop() -> Dataset:
    items = pl.DataFrame(
        {
            "item_id": ["g", "h", "i", "j"],
            "title": ["G", "H", "I", "J"],
            "tags": [["Free to Play", "Action"], ["Indie"], ["free", "RPG"], ["Free to Play"]],
            "price": ["free", "4.99", None, "Free To Play"],
        }
    )
    people = [f"u{n}" for n in range(220)]
    rows = pl.DataFrame(
        {
            "user_id": people[:49] + people[:50] + people[:200],
            "item_id": ["g"] * 49 + ["h"] * 50 + ["i"] * 200,
        }
    ).with_columns(timestamp=pl.lit(None, pl.Int64), rating=pl.lit(None, pl.Float64))
    return Dataset(rows, items, pl.DataFrame({"user_id": people}), load_domain("games"))


def test_what_can_be_asked_is_what_the_data_tell() -> None:
    assert of(small_dataset()).wanted() == ("age", "gender", "occupation", "popularity")
    assert of(news()).wanted() == ("category", "interest", "popularity")
    assert of(shop()).wanted() == ("price", "popularity")
    assert of(small_dataset()).wanted(["gender", "age"]) == ("age", "gender")
    with pytest.raises(InputError, match="'price' can be predicted where items have a column 'price'"):
        of(news()).wanted(["price"])
    with pytest.raises(InputError, match="did you mean 'gender'"):
        of(news()).wanted(["gendre"])
    bare = small_dataset()
    bare = Dataset(bare.interactions.clear(), bare.items, bare.users.select("user_id"), bare.domain)
    with pytest.raises(InputError, match="an attribute to predict is named"):
        of(bare).wanted()


def test_the_answers_are_those_of_the_data() -> None:
    people = of(small_dataset())
    assert people.answers["gender"] == ("female", "male")
    assert people.answers["age"] == tuple(map(str, range(34, 51)))
    assert people.choices(("age", "gender")) == {"gender": ("female", "male")}
    assert of(news()).answers["interest"] == of(news()).answers["category"] == ("Sports", "food", "world")
    assert of(shop()).answers["price"] == ("free", "4.99")
    assert of(shop()).choices(("price", "popularity")) == {"popularity": ("1", "2", "3", "4", "5")}


def test_the_truth() -> None:
    people = of(small_dataset())
    assert people.truth("age", "anna", "suspects") == ("34",)
    assert people.truth("gender", "bob", "suspects") == ("male",)
    assert people.truth("occupation", "cleo", "heat") == () == people.truth("age", "stranger", "heat")
    articles = of(news())
    assert articles.truth("category", "ann", "b") == ("Sports",)
    assert articles.truth("category", "ann", "d") == ()
    assert articles.truth("interest", "ann", "e") == ("Sports", "world"), "the one of which they read most comes first"
    assert articles.truth("interest", "ben", "e") == () == articles.truth("interest", "cay", "e")
    asked = Instruction("predict", User("ann"), (), Item("e", "E"), ("interest",))
    assert (articles.to_learn(asked, "interest"), articles.to_learn(asked, "category")) == ("Sports", "food")
    assert articles.to_learn(replace(asked, user=User("cay")), "interest") is None
    games = of(shop())
    assert [games.truth("price", "u0", game) for game in "ghij"] == [("free",), ("4.99",), (), ("free",)]
    assert [games.truth("popularity", "u0", game) for game in "ghij"] == [("1",), ("2",), ("5",), ("1",)]


@given(st.integers(0, 260))
def test_popularity_goes_by_fifties(count: int) -> None:
    texts = {"user_id": pl.String, "item_id": pl.String}
    rows = pl.DataFrame({"user_id": [f"u{n}" for n in range(count)], "item_id": ["x"] * count}, schema=texts)
    rows = rows.with_columns(timestamp=pl.lit(None, pl.Int64))
    items = pl.DataFrame({"item_id": ["x"], "title": ["X"]})
    found = Histories.build(rows, rows["user_id"], items["item_id"])
    dataset = Dataset(rows, items, rows.select("user_id"), load_domain("items"))
    level = 1 + sum(count >= least for least in LEVELS)
    assert Targets.of(dataset, found).truth("popularity", "u", "x") == (str(level),)


@pytest.mark.parametrize(
    ("name", "said", "read"),
    [
        ("age", "24", "24"),
        ("age", " 24.0 ", "24"),
        ("age", 24, "24"),
        ("age", 24.5, "24.5"),
        ("age", "about 24", None),
        ("age", "24-30", None),
        ("age", "-24", None),
        ("age", "1e3", None),
        ("age", "２４", None),
        ("age", "nan", None),
        ("age", float("nan"), None),
        ("age", float("inf"), None),
        ("age", True, None),
        ("age", None, None),
        ("age", ["24"], None),
        ("age", "free", None),
        ("age", 10**400, None),
        ("price", "Free", "free"),
        ("price", "free to  play", "free"),
        ("price", 0, "free"),
        ("price", "0.00", "free"),
        ("price", "19.99", "19.99"),
        ("price", 20, "20.00"),
        ("price", "$19.99", None),
        ("price", "Freeware", None),
    ],
)
def test_numbers_are_read_strictly(name: str, said: object, read: str | None) -> None:
    assert read_answer(name, said, ()) == read


def test_closed_answers_are_the_same_but_for_case_and_space() -> None:
    jobs = ("administrator", "Art & design", "5")
    assert read_answer("occupation", " ART & Design\n", jobs) == "Art & design"
    assert read_answer("popularity", 5, jobs) == "5"
    for other in ("admin", "administrator.", "an administrator", "", "5.0", "administrator, art & design", None):
        assert read_answer("occupation", other, jobs) is None


@given(st.text() | st.integers() | st.floats() | st.booleans() | st.none())
def test_whatever_is_said_is_one_of_the_choices_or_nothing(said: object) -> None:
    assert read_answer("gender", said, ("female", "male")) in ("female", "male", None)
    number = read_answer("age", said, ())
    assert number is None or float(number) >= 0


@pytest.mark.parametrize(
    "text",
    [
        '{"age": "24", "gender": "Male"}',
        '{"gender": "male", "AGE ": 24, "because": "of Heat"}',
        'Here you are: {"age": 24.0, "gender": "MALE"} Enjoy!',
        '```json\n{"age": "24",\n "gender": "male"}\n```',
    ],
)
def test_one_object_is_found(text: str) -> None:
    assert read_answers(text, ("age", "gender"), {"gender": ("female", "male")}) == {"age": "24", "gender": "male"}


@pytest.mark.parametrize(
    "text",
    [
        "",
        "24, male",
        '["24", "male"]',
        '{"age": "24"} or {"age": "30"}',
        '{"age": 24, "age": 30}',
        '{"age": 24, "Age": 30}',
        '{"age": Free to Play}',
        '{"age": "24"',
        "{" * 100_000,
    ],
)
def test_what_is_not_one_object_says_nothing(text: str) -> None:
    assert read_answers(text, ("age", "gender"), {}) == {"age": None, "gender": None}


def test_a_missing_key_is_unread_and_the_others_are_not() -> None:
    assert read_answers('{"age": "24"}', ("age", "gender"), {"gender": ("male",)}) == {"age": "24", "gender": None}


@given(st.text())
def test_any_text_is_read_without_an_error(text: str) -> None:
    found = read_answers(text, TARGETS, {"gender": ("male",)})
    assert list(found) == list(TARGETS)
    assert read_answers(json.dumps({"gender": "male", "note": text}), ("gender",), {"gender": ("male",)}) == {
        "gender": "male"
    }


def test_what_is_right() -> None:
    assert is_right("age", "29", ("34",)) and is_right("age", "39", ("34",)) and not is_right("age", "39.5", ("34",))
    assert is_right("price", "4.99", ("4.99",)) and not is_right("price", "5.00", ("4.99",))
    assert is_right("interest", "world", ("sports", "world")) and not is_right("interest", "food", ("sports", "world"))


def test_an_age_is_the_one_with_most_around_it() -> None:
    """10 is likeliest by itself, but 40 to 45 have more together, and 42 is within 5 of all of them."""
    shares = np.zeros((1, 100))
    shares[0, [10, 40, 42, 46]] = [0.4, 0.2, 0.25, 0.15]
    assert likeliest("age", AGES, shares) == [42]
    assert likeliest("popularity", AGES, shares) == [10]


def test_nothing_is_shown_that_would_tell() -> None:
    articles = news()
    made = Instructions.of(articles, histories(articles), PromptSettings(), ["ann"])
    category = made.make("predict", "ann", "e", ("category",))
    assert category.candidate.attributes == {} and category.history[0].attributes["category"] == ("world",)
    interest = made.make("predict", "ann", "e", ("interest",))
    assert interest.candidate.attributes == {"category": ("food",), "subcategory": ("soup",)}
    assert [item.attributes for item in interest.history] == [{}, {}, {}]
    games = shop()
    sold = Instructions.of(games, histories(games), PromptSettings(), ["u0"])
    price = sold.make("predict", "u0", "g", ("price",))
    assert price.candidate.attributes == {"tags": ("Action",)}
    assert price.history[0].attributes == {"tags": ("Indie",), "price": ("4.99",)}
    assert sold.make("predict", "u0", "j", ("price",)).candidate.attributes == {}
    assert sold.make("predict", "u0", "g", ("popularity",)).candidate.attributes["tags"] == ("Free to Play", "Action")


def test_columns_of_other_kinds() -> None:
    dataset = small_dataset()
    odd = dataset.users.with_columns(
        age=pl.Series([34, 51, None], dtype=pl.Int64), gender=pl.Series([["female"], ["male"], None])
    )
    found = of(Dataset(dataset.interactions, dataset.items, odd, dataset.domain))
    assert found.truth("age", "bob", "heat") == ("51",) and "gender" not in found.answers
    old = of(Dataset(dataset.interactions, dataset.items, odd.with_columns(age=pl.lit(10**14)), dataset.domain))
    assert len(old.answers["age"]) == 1
    bands = of(Dataset(dataset.interactions, dataset.items, odd.with_columns(age=pl.lit("25-34")), dataset.domain))
    assert "age" not in bands.answers
    assert set(NUMBERS) == {"age", "price"}


def test_real_people_and_news(real_data: Path) -> None:
    """Counted independently of the readers, by the words of the files."""
    dataset, _ = read_dataset("ml-100k", real_data / "ml-100k")
    found = of(dataset)
    assert (found.answers["age"][0], found.answers["age"][-1], len(found.answers["occupation"])) == ("7", "73", 21)
    lines = [line.split("|") for line in (real_data / "ml-100k/u.user").read_text(encoding="latin-1").splitlines()]
    truth = [[found.truth(name, line[0], "1")[0] for name in ("age", "gender", "occupation")] for line in lines]
    assert truth == [[line[1], {"M": "male", "F": "female"}[line[2]], line[3]] for line in lines]
    rated = Counter(line.split("\t")[1] for line in (real_data / "ml-100k/u.data").read_text().splitlines())
    for item, count in rated.items():
        assert found.truth("popularity", "1", item) == (str(min(5, count // 50 + 1)),)
    dataset, _ = read_dataset("mind", real_data / "mind-sample")
    assert len(of(dataset).answers["category"]) == 15
