"""Steam's games and reviews: made-up files with every kind of dirt, and the real sample where it is at hand."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.datasets.promises import keeps_promises

from llmxrec.datasets import read_dataset
from llmxrec.datasets.literals import flat_fields, read_object
from llmxrec.datasets.steam import price_words
from llmxrec.errors import InputError

GAMES: list[dict[str, Any]] = [
    {
        "id": "10",
        "title": "Mount &amp; Sword\u2122",
        "app_name": "Mount & Sword",
        "genres": ["Action", "Design &amp;amp; Illustration"],
        "tags": ["Indie", "Action", "Indie"],
        "price": 4.99,
        "release_date": "2018-01-04",
        "metascore": 88,
        "sentiment": "Mostly Positive",
    },
    {"id": "20", "app_name": "No Title Yet", "price": "Free To Play", "metascore": "NA", "release_date": "Coming Soon"},
    {"url": "http://store/app/30", "title": "Only an Address", "price": "Starting at $499.00"},
    {"url": "http://store/", "price": 19.99},
    {"id": "40", "title": "Twice"},
    {"id": "40", "title": "Twice again"},
    {"id": "50", "title": "A\\u2122 literal, on\ntwo lines", "price": "Play the Demo", "sentiment": "3 user reviews"},
    {"id": "60", "price": 0.0, "release_date": "Q2 2018"},
]
NESTED: list[dict[str, Any]] = [
    {
        "user_id": "ann",
        "reviews": [
            {"item_id": "10", "posted": "Posted November 5, 2011.", "recommend": True},
            {"item_id": "20", "posted": "Posted July 3.", "recommend": False},
            {"item_id": "10", "posted": "Posted November 5, 2011.", "recommend": True},
            {"item_id": "30", "posted": "yesterday", "recommend": "yes"},
            {"item_id": "99", "posted": "Posted July 3, 2012.", "recommend": True},
        ],
    },
    {"user_id": "bob", "reviews": []},
    {
        "user_id": "cem",
        "reviews": [{"posted": "Posted July 3, 2012."}, {"item_id": 40, "posted": "Posted May 9, 2012."}],
    },
]
FLAT: list[dict[str, Any]] = [
    {"username": "ann", "hours": 13.5, "product_id": "10", "date": "2017-12-24", "text": 'it\'s "fine"\n', "page": 1},
    {
        "username": "it's",
        "product_id": "20",
        "date": "2017-12-25",
        "early_access": False,
        "text": "{'product_id': '9'}",
    },
    {"product_id": "20", "date": "2017-12-25"},
    {"username": "bob \u00e9\U0001f600", "product_id": "10", "date": "soon", "compensation": None},
]
CHRISTMAS_EVE = 1514073600


def as_python2(value: Any) -> str:
    """`value` as Python 2 wrote it, with u'' before its text."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{as_python2(key)}: {as_python2(part)}" for key, part in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(as_python2, value)) + "]"
    return f"u{value!a}" if isinstance(value, str) else repr(value)


SPELLINGS = {"python 2": as_python2, "python 3": repr, "json": json.dumps}


def write(file: Path, objects: list[dict[str, Any]], spelling: str) -> None:
    text = "".join(SPELLINGS[spelling](each) + "\n" for each in objects)
    file.write_bytes(gzip.compress(text.encode()) if file.suffix == ".gz" else text.encode())


@pytest.mark.parametrize("spelling", SPELLINGS)
@pytest.mark.parametrize("ending", [".json", ".json.gz"])
def test_nested_reviews(tmp_path: Path, spelling: str, ending: str) -> None:
    write(tmp_path / f"steam_games{ending}", GAMES, spelling)
    write(tmp_path / f"australian_user_reviews{ending}", NESTED, spelling)
    dataset, report = read_dataset("steam", tmp_path)
    assert keeps_promises(dataset)
    assert dataset.domain.name == "games"
    assert dataset.interactions.rows() == [
        ("ann", "10", 1320451200, 1.0),
        ("ann", "20", 1372809600, 0.0),  # 3 July of the year after 2012, the newest that is named
        ("ann", "30", None, None),
        ("cem", "40", 1336521600, None),
    ]
    assert dataset.items.select("item_id", "title", "price").rows() == [
        ("10", "Mount & Sword\u2122", "4.99"),
        ("20", "No Title Yet", "free"),
        ("30", "Only an Address", "499.00"),
        ("40", "Twice", None),
        ("50", "A\u2122 literal, on two lines", None),
        ("60", "60", "free"),
    ]
    assert dataset.items["genres"].to_list() == [["Action", "Design & Illustration"], [], [], [], [], []]
    assert dataset.items["tags"][0].to_list() == ["Indie", "Action"]
    assert dataset.items["release_date"].to_list() == ["2018-01-04", None, None, None, None, None]
    assert dataset.items["metascore"].to_list() == ["88", None, None, None, None, None]
    assert dataset.items["sentiment"].to_list() == ["Mostly Positive", None, None, None, None, None]
    assert report.read == {"games": 8, "reviews": 7}
    assert {why: count for why, count in report.dropped.items() if count} == {
        "games without an id": 1,
        "repeats of an item": 1,
        "interactions without a user or an item": 1,
        "interactions with items that are not described": 1,
        "exact repeats of an interaction": 1,
    }
    assert {what: count for what, count in report.notes.items() if count} == {
        "games whose id was taken from their address": 1,
        "prices that name no amount, left out": 1,
        "release dates that are no date, left out": 2,
        "metascores that are no number, left out": 1,
        "sentiments that only count reviews, left out": 1,
        "reviews dated without a year, taken to be of 2013": 1,
        "reviews without a date that can be read, kept undated": 1,
        "items without a title, named by their id": 1,
    }


def dated(folder: Path, *dates: str) -> tuple[list[str | None], dict[str, int]]:
    """The days that reviews with these dates get, and the notes about dates."""
    write(folder / "steam_games.json", [{"id": str(game), "title": f"Game {game}"} for game in range(9)], "json")
    reviews = [{"item_id": str(game), "posted": date} for game, date in enumerate(dates)]
    write(folder / "australian_user_reviews.json", [{"user_id": "ann", "reviews": reviews}], "json")
    dataset, report = read_dataset("steam", folder)
    days = dataset.interactions.select(pl.from_epoch("timestamp").dt.strftime("%Y-%m-%d")).to_series()
    return days.to_list(), {what: count for what, count in report.notes.items() if count and what.startswith("review")}


def test_reviews_that_name_no_year_are_the_newest(tmp_path: Path) -> None:
    days, notes = dated(tmp_path, "Posted July 3.", "Posted December 31, 2015.", "Posted February 29.", "Posted May 9")
    assert days == ["2016-07-03", "2015-12-31", "2016-02-29", "2016-05-09"]
    assert notes == {"reviews dated without a year, taken to be of 2016": 3}


def test_a_day_that_its_year_does_not_have_is_no_date(tmp_path: Path) -> None:
    days, notes = dated(
        tmp_path, "Posted July 3.", "2016-12-31", "Posted February 29.", "Posted May 32.", "Posted X 1."
    )
    assert days == ["2017-07-03", "2016-12-31", None, None, None]
    assert notes == {
        "reviews dated without a year, taken to be of 2017": 1,
        "reviews dated without a year, kept undated": 1,
        "reviews without a date that can be read, kept undated": 2,
    }


def test_where_no_review_names_its_year_all_stay_undated(tmp_path: Path) -> None:
    days, notes = dated(tmp_path, "Posted July 3.", "+262142-12-31", "Posted February 29.")
    assert days == [None] * 3
    assert notes == {
        "reviews dated without a year, kept undated": 2,
        "reviews without a date that can be read, kept undated": 1,
    }


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_flat_reviews(tmp_path: Path, spelling: str) -> None:
    write(tmp_path / "steam_games.json", GAMES, "python 2")
    write(tmp_path / "steam_reviews.json.gz", FLAT, spelling)
    dataset, report = read_dataset("steam", tmp_path)
    assert keeps_promises(dataset)
    assert dataset.interactions.rows() == [
        ("ann", "10", CHRISTMAS_EVE, None),
        ("it's", "20", CHRISTMAS_EVE + 86400, None),
        ("bob \u00e9\U0001f600", "10", None, None),
    ]
    assert report.dropped["interactions without a user or an item"] == 1


def test_each_line_may_be_spelled_its_own_way(tmp_path: Path) -> None:
    write(tmp_path / "steam_games.json", GAMES, "json")
    lines = [SPELLINGS[spelling](review) for spelling, review in zip(SPELLINGS, FLAT, strict=False)]
    (tmp_path / "steam_reviews.json").write_text("\n\n".join(lines))
    assert read_dataset("steam", tmp_path)[1].read["reviews"] == 3


def test_which_reviews_to_read_must_be_clear(tmp_path: Path) -> None:
    write(tmp_path / "steam_games.json", GAMES, "json")
    with pytest.raises(InputError, match=r"holds no steam_reviews.json.gz or .* put it there"):
        read_dataset("steam", tmp_path)
    write(tmp_path / "steam_reviews.json", FLAT, "json")
    write(tmp_path / "australian_user_reviews.json.gz", NESTED, "json")
    with pytest.raises(InputError, match=r"holds more than one of .*; keep the one to read"):
        read_dataset("steam", tmp_path)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("__import__('os').system('true')", "line 2: every line is one object, as JSON or as a Python literal"),
        ("{u'id': u'1', u'title': open('x')}", "line 2: every line is one object, as JSON or as a Python literal"),
        ("{u'username': u, u'product_id': u'10'}", "line 2: every line is one object"),
        ("[1, 2]", r"line 2: every line is one object; found \[1, 2\]"),
        ("{'user_id': 'x', 'reviews': 3}", "line 2: 'reviews' is a list of objects; found 3"),
        ("{" * 100_000, "line 2: every line is one object"),
        ("{u'username': u'\\x4', u'product_id': u'10'}", "line 2: every line is one object"),
    ],
)
def test_a_broken_line_is_named(tmp_path: Path, line: str, message: str) -> None:
    write(tmp_path / "steam_games.json", GAMES, "json")
    (tmp_path / "steam_reviews.json").write_text("{'username': 'a', 'product_id': '10'}\n" + line)
    with pytest.raises(InputError, match=message):
        read_dataset("steam", tmp_path)


def test_a_file_cut_short(tmp_path: Path) -> None:
    write(tmp_path / "steam_games.json.gz", GAMES, "json")
    write(tmp_path / "steam_reviews.json", FLAT, "json")
    packed = (tmp_path / "steam_games.json.gz").read_bytes()
    (tmp_path / "steam_games.json.gz").write_bytes(packed[:-20])
    with pytest.raises(InputError, match=r"steam_games.json.gz: the file is damaged or cut short"):
        read_dataset("steam", tmp_path)


@pytest.mark.parametrize(
    ("price", "words"),
    [
        (4.99, "4.99"),
        (10, "10.00"),
        (0.0, "free"),
        ("Free to Play", "free"),
        ("Play for Free!", "free"),
        ("Starting at $1,499.00", "1499.00"),
        ("19.99", "19.99"),
        ("Third-party", None),
        ("Freedom Pack", None),
        (True, None),
        (None, None),
        (float("nan"), None),
        (-1.0, None),
        (" " * 100_000, None),  # which took a minute where each space began a search of its own
        ("$" + " " * 100_000 + "5", "5.00"),
    ],
)
def test_price_words(price: Any, words: str | None) -> None:
    assert price_words(price) == words


values = st.text(max_size=20) | st.text("'\"\\u{}, x:", max_size=12) | st.booleans() | st.none() | st.integers()
values |= st.floats(allow_nan=False, allow_infinity=False)


@given(st.dictionaries(st.sampled_from(["username", "product_id", "date", "text", "hours"]), values))
def test_the_quick_way_gives_what_the_sure_way_gives(fields: dict[str, Any]) -> None:
    names = ("username", "product_id", "date")
    wanted = {name: fields[name] for name in names if name in fields}
    for spelling in (as_python2, repr, ascii):
        line = spelling(fields)
        sure = read_object(line, Path("f"), 1)
        assert sure == fields
        assert flat_fields(line, names) == (wanted if fields else None)


def test_the_real_sample(real_data: Path) -> None:
    dataset, report = read_dataset("steam", real_data / "steam-sample")
    assert keeps_promises(dataset)
    assert report.read == {"games": 32_135, "reviews": 59_305}
    assert report.dropped["games without an id"] == 1
    assert report.notes["games whose id was taken from their address"] == 1
    described = report.read["reviews"] - report.dropped["interactions with items that are not described"]
    assert round(described / report.read["reviews"], 3) == 0.910
    assert round(report.read["reviews"] / report.notes["reviews dated without a year, taken to be of 2016"]) == 6
    assert not report.notes["reviews dated without a year, kept undated"]
    assert not report.notes["reviews without a date that can be read, kept undated"]
    assert dataset.items.filter(dataset.items["item_id"] == "612880").height == 1
    assert not dataset.items["title"].str.contains("&amp;|\\\\u2122").any()
