"""MovieLens' original files: a made-up folder of them, and the real one where it is at hand."""

from __future__ import annotations

import time
from pathlib import Path

import polars as pl
import pytest
from polars.testing import assert_frame_equal
from tests.datasets.promises import keeps_promises

from llmxrec.datasets import read_dataset
from llmxrec.datasets.dataset import Dataset
from llmxrec.errors import InputError

FILES = {
    "u.genre": b"unknown|0\nComedy|1\nDrama|2\n\n",
    "u.item": "1|Été, L' (1990)|01-Jan-1990||http://x|0|1|1\n2|Box, The (1991) ||||0|0|1\n3|unknown||||1|0|0\n".encode(
        "latin-1"
    ),
    "u.user": b"7|24|M|artist|T8H1N\n8|53|F|none|94043\n9|33|F|other|1\n",
    "u.data": b"7\t1\t5\t100\n8\t3\t2\t50\n7\t2\t4\t100\n8\t1\t1\t70\n8\t1\t1\t70\n7\t2\t3\t90\n7\t99\t3\t90\n",
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, content in FILES.items():
        (tmp_path / name).write_bytes(content)
    return tmp_path


def test_a_small_folder(folder: Path) -> None:
    dataset, report = read_dataset("ml-100k", folder)
    assert keeps_promises(dataset)
    assert dataset.domain.name == "movies"
    assert dataset.interactions.rows() == [
        ("7", "1", 100, 5.0),
        ("8", "3", 50, 2.0),
        ("8", "1", 70, 1.0),
        ("7", "2", 90, 3.0),  # the earlier of two, though it stands later
    ]
    assert dataset.items.to_dicts() == [
        {
            "item_id": "1",
            "title": "L'Été",
            "original_title": "Été, L' (1990)",
            "genres": ["Comedy", "Drama"],
            "year": "1990",
            "release_date": "01-Jan-1990",
        },
        {
            "item_id": "2",
            "title": "The Box",
            "original_title": "Box, The (1991)",
            "genres": ["Drama"],
            "year": "1991",
            "release_date": None,
        },
        {
            "item_id": "3",
            "title": "unknown",
            "original_title": "unknown",
            "genres": [],
            "year": None,
            "release_date": None,
        },
    ]
    assert dataset.users.rows() == [
        ("7", "24", "male", "artist", "T8H1N"),
        ("8", "53", "female", "none", "94043"),
        ("9", "33", "female", "other", "1"),
    ]
    assert report.read == {"ratings": 7, "films": 3, "users": 3}
    assert {why: count for why, count in report.dropped.items() if count} == {
        "interactions with items that are not described": 1,
        "exact repeats of an interaction": 1,
        "later interactions of a user with the same item": 1,
    }
    assert {what: count for what, count in report.notes.items() if count} == {
        "films whose genre is given as unknown": 1,
        "films without a year": 1,
    }
    assert "dropped 1 exact repeats of an interaction" in report.lines()


def test_what_is_saved_is_what_is_loaded(folder: Path, tmp_path: Path) -> None:
    dataset, _ = read_dataset("ml-100k", folder)
    dataset.save(tmp_path / "saved")
    loaded = Dataset.load(tmp_path / "saved")
    for table in ("interactions", "items", "users"):
        assert_frame_equal(getattr(loaded, table), getattr(dataset, table))
    assert loaded.domain == dataset.domain


@pytest.mark.parametrize(
    ("file", "content", "message"),
    [
        ("u.data", b"7\t1\t5\t100\n7\t1\tfive\t100\n", "u.data, line 2: 'rating' is a number; found 'five'"),
        ("u.data", b"7\t1\t5\t100\n\n7\t1\t5\n", "u.data, line 3: every line has 4 fields; found 3; mend that line"),
        ("u.data", b"7\t1\t5\t100\n7\t1\tinf\t1\n", "u.data, line 2: 'rating' is a number; found 'inf'"),
        ("u.data", b"7\t1\t5\t\n", "u.data, line 1: 'timestamp' is a number; found ''"),
        ("u.data", b"7\t1\t5\t1e300\n", "u.data, line 1: 'timestamp' is a whole number below 2^63; found '1e300'"),
        ("u.data", b"\t1\t5\t100\n", "u.data, line 1: every row has its user_id; found ''"),
        ("u.data", b"7\t1\t5\t100\n7\t1\0\t5\t1\n", "u.data, line 2: a text file holds no NUL bytes; save it as text"),
        ("u.data", b"", "no interaction is left"),
        ("u.data", b"7\t99\t5\t100\n", "no interaction is left"),
        ("u.item", b"1|A|||x|0|2|0\n", "u.item, line 1: a genre is 0 or 1 (Comedy); found '2'"),
        ("u.item", b"1|A|||x|0|1\n", "u.item, line 1: every line has 8 fields; found 7; mend that line"),
        ("u.genre", b"Comedy|1\nDrama|2\n", "u.genre: genres are different names, numbered from 0 without a gap"),
        ("u.user", b"7;24;M\n", "u.user, line 1: every line has 5 fields; found 1; mend that line"),
    ],
)
def test_a_broken_file_is_named_with_its_line(folder: Path, file: str, content: bytes, message: str) -> None:
    (folder / file).write_bytes(content)
    with pytest.raises(InputError) as caught:
        read_dataset("ml-100k", folder)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("file", FILES)
def test_a_missing_file_and_a_folder_in_its_place_are_named(folder: Path, file: str) -> None:
    (folder / file).unlink()
    with pytest.raises(InputError, match=f"{file}: the file does not exist; check the path"):
        read_dataset("ml-100k", folder)
    (folder / file).mkdir()
    with pytest.raises(InputError, match=f"{file}: this is a folder, not a file; give the file itself"):
        read_dataset("ml-100k", folder)


def test_a_source_that_is_no_folder(folder: Path) -> None:
    with pytest.raises(InputError, match=r"u.data: this is a file, not a folder; give the folder that holds"):
        read_dataset("ml-100k", folder / "u.data")
    with pytest.raises(InputError, match="nowhere: the folder does not exist"):
        read_dataset("ml-100k", folder / "nowhere")


def test_an_unknown_kind_and_no_source(folder: Path) -> None:
    with pytest.raises(InputError, match="unknown dataset 'ml100k'; did you mean 'ml-100k'"):
        read_dataset("ml100k", folder)
    with pytest.raises(InputError, match="'mind' is read from the folder of its original files"):
        read_dataset("mind")


def test_the_real_files(real_data: Path, tmp_path: Path) -> None:
    start = time.perf_counter()
    dataset, report = read_dataset("ml-100k", real_data / "ml-100k")
    dataset.save(tmp_path)
    assert time.perf_counter() - start < 2
    assert keeps_promises(dataset)
    assert (dataset.interactions.height, dataset.users.height, dataset.items.height) == (100_000, 943, 1_682)
    assert not any(report.dropped.values())
    dates = pl.from_epoch(dataset.interactions["timestamp"]).dt.date()
    assert (str(dates.min()), str(dates.max())) == ("1997-09-20", "1998-04-22")
    assert dataset.items["year"].null_count() == 1
    assert not dataset.items["title"].str.contains(r", (The|A|An|La|Le|Les|L'|Il|Das|Der|Die|O)$|\(\d{4}\)").any()
    assert len(set(dataset.items["genres"].explode()) - {None}) == 18
    assert set(dataset.users["gender"]) == {"male", "female"}


def test_the_real_files_of_recbole_hold_the_same(real_data: Path) -> None:
    ours, _ = read_dataset("ml-100k", real_data / "ml-100k")
    theirs, _ = read_dataset("recbole", real_data / "ml-100k-recbole")
    assert keeps_promises(theirs)
    assert theirs.domain == ours.domain
    assert_frame_equal(theirs.interactions, ours.interactions)
    assert_frame_equal(theirs.users, ours.users)
    shared = ["item_id", "title", "genres", "year"]
    # RecBole misspells the title of the one film that is called "unknown".
    assert theirs.items.filter(pl.col("item_id") == "267")["title"].item() != "unknown"
    without = pl.col("item_id") != "267"
    assert_frame_equal(theirs.items.filter(without).select(shared), ours.items.filter(without).select(shared))
