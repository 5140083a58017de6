"""The released prompts: every one is read, and what is read goes through our templates and back."""

from __future__ import annotations

import csv
import re
import sys
from pathlib import Path

import pytest

from llmxrec.datasets.literals import unescape
from llmxrec.errors import InputError
from llmxrec.prompts.released import parse_released
from llmxrec.prompts.template import BUNDLED, load_template

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
