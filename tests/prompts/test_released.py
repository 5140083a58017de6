"""The released prompts: every one is read, and what is read goes through our templates and back."""

from __future__ import annotations

import csv
import json
import re
import sys
from pathlib import Path

import pytest

from llmxrec.datasets.literals import unescape
from llmxrec.errors import InputError
from llmxrec.prompts.released import parse_released, parse_released_answer
from llmxrec.prompts.template import BUNDLED, load_template
from llmxrec.tuning.lessons import read_lessons

MADE_UP = """The history games played by the customer are:
1: Tower\\u2122 of Tea
The tags of the game are [Indie, Free to Play].
2: 2048: The Game
The tags of the game are nan.

As a recommender, say something.
Give reasons why the customer needs to play this game with the following title and tags:
3001: A Tea Odyssey.
The tags of the game are [Strategy].

Use ONLY what is above.

"""


def test_a_prompt_of_that_layout() -> None:
    instruction, domain = parse_released(MADE_UP)
    assert [item.title for item in instruction.history] == ["Tower™ of Tea", "2048: The Game"]
    assert instruction.history[0].attributes == {"tags": ("Indie", "Free to Play")}
    assert instruction.history[1].attributes == {}
    assert (instruction.candidate.title, domain.name) == ("3001: A Tea Odyssey", "games")


def test_a_profile_is_read() -> None:
    text = MADE_UP.replace("games played", "films watched").replace(
        "tags of the game are [Strategy]", "class of the movie is Drama War"
    )
    text = text.replace("tags of the game are", "class of the movie is").replace(
        "As a", "The age of the customer is 63, the gender is male and the customer's occupation is programmer. As a"
    )
    instruction, domain = parse_released(text)
    assert instruction.user.attributes == {"age": "63", "gender": "male", "occupation": "programmer"}
    assert instruction.candidate.attributes == {"genres": ("Drama", "War")}
    assert domain.name == "movies"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "Hello",
        MADE_UP.replace("1: T", "T"),
        MADE_UP.replace("are nan", "were nan"),
        MADE_UP.replace("games", "songs"),
    ],
)
def test_another_text_is_refused(text: str) -> None:
    with pytest.raises(InputError):
        parse_released(text)


def test_escapes() -> None:
    assert unescape(r"Paladins\xae \u6771\u65b9 C:\users \ud83c\udfae") == "Paladins® 東方 C:\\users 🎮"


def test_all_released_prompts_of_bpr_mf_are_read_and_round_trip(real_release: Path) -> None:
    """2,943 prompts: titles, attributes and profiles counted independently, by lines of the text."""
    csv.field_size_limit(sys.maxsize)
    count = 0
    for dataset in ("ml-100k", "mind_small_dev", "steam"):
        file = real_release / "src/gen_exp_4_model/results/BPR-MF/GPT4" / dataset / "results.csv"
        with file.open(newline="", encoding="utf-8") as rows:
            for row in csv.DictReader(rows):
                text = row["instruction"]
                instruction, domain = parse_released(text)
                count += 1
                history = text.split("\n\n")[0].split("\n")[1:]
                titles = [line for line in history if not line.startswith("The ")]
                assert len(instruction.history) == len(titles)
                assert all(
                    item.title and not re.search(r"\\[ux][0-9a-f]{2}", item.title) for item in instruction.history
                )
                if dataset == "ml-100k":
                    assert set(instruction.user.attributes) == {"age", "gender", "occupation"}
                for name in BUNDLED:
                    template = load_template(name)
                    assert template.parse(template.render(instruction, domain), domain) == instruction
    assert count == 2943


WHO = """The history films watched by the customer are:
1: Tea
The class of the movie is Comedy Drama. And the popularity of the movie is 3.
2: Coffee
The class of the movie is Western.

The recommender system suggests the customer to watch this movie with the following title and class:
Cocoa.
The class of the movie is Drama.

Your mission is to infer the customer's information from the history record, such as age, gender, etc.
You must infer age, and gender. Do not return other information.
"""


def test_what_asks_for_attributes() -> None:
    instruction, domain = parse_released(WHO)
    assert (instruction.task, instruction.targets) == ("predict", ("age", "gender"))
    assert [item.attributes for item in instruction.history] == [
        {"genres": ("Comedy", "Drama"), "popularity": ("3",)},
        {"genres": ("Western",)},
    ]
    assert instruction.candidate.title == "Cocoa" and instruction.candidate.attributes == {"genres": ("Drama",)}
    assert dict(domain.item_attributes) == {"genres": "genres", "popularity": "popularity"}
    for name in BUNDLED:
        template = load_template(name)
        assert template.parse(template.render(instruction, domain), domain) == instruction


@pytest.mark.parametrize(
    ("said", "read"),
    [
        ('{"user age": 24, "user gender": "male"}', {"age": "24", "gender": "male"}),
        ('{"user age": "24.0", "user gender": male}', {"age": "24", "gender": "male"}),
        ('{"user age": nan, "user gender": male}', {"gender": "male"}),
    ],
)
def test_answers_are_read_whether_or_not_they_are_json(said: str, read: dict[str, str]) -> None:
    assert parse_released_answer(said, ("age", "gender")) == read


def test_prices_are_spelled_as_ours() -> None:
    said = ["Free to Play", "Free", "4.99", '"19.9"', "0"]
    read = [parse_released_answer(f'{{"price_acc": {price}}}', ("price",))["price"] for price in said]
    assert read == ["free", "free", "4.99", "19.90", "free"]


@pytest.mark.parametrize("said", ["", "24", '{"user age": 24}', '{"user age": "old", "user gender": "male"}'])
def test_an_answer_of_another_layout_is_refused(said: str) -> None:
    with pytest.raises(InputError, match="a released answer"):
        parse_released_answer(said, ("age", "gender"))


def test_all_released_rows_of_attributes_are_read(real_release: Path) -> None:
    """902, of which one price is not known; counted independently, by the letters of the answers."""
    file = real_release / "src/Ground Truth/SFT_data/train.json"
    lessons = read_lessons(file)
    assert (len(lessons.rows), lessons.dropped) == (901, {"nothing known": 1})
    said = [json.loads(line)["output"] for line in file.read_text(encoding="utf-8").splitlines()]
    for name, theirs in (("age", "user age"), ("popularity", "popularity"), ("price", "price_acc")):
        ours = [json.loads(row.answer) for row in lessons.rows if name in row.instruction.targets]
        words = [text for text in said if f'"{theirs}"' in text and "nan" not in text]
        assert len(ours) == len(words) in (300, 301)
        for answer, text in zip(ours, words, strict=True):
            numbers = re.findall(r"\d+(?:\.\d+)?", text) or [0.0]
            assert float(numbers[0]) == (0.0 if answer[name] == "free" else float(answer[name]))
    for row in lessons.rows:
        assert row.instruction.task == "predict" and tuple(json.loads(row.answer)) == row.instruction.targets
        assert not set(row.instruction.targets) & set(row.instruction.candidate.attributes)
        template = load_template("default")
        assert template.parse(template.render(row.instruction, row.domain), row.domain) == row.instruction
