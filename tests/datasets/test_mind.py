"""MIND's original files: a made-up folder of them, and the real sample where it is at hand."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest
from tests.datasets.promises import keeps_promises

from llmxrec.datasets import read_dataset
from llmxrec.errors import InputError

NEWS = (
    'N1\tsports\tgolf\t"Not yet," says caddie\tAn abstract.\thttp://x\t[]\t[]\n'
    "N2\tnews\tworld\tSnow   again\t\thttp://x\t[]\t[]\n"
    "N3\ttv\tquiz\tA question\tWhich?\thttp://x\t[]\t[]\n"
)
BEHAVIORS = (
    "1\tU1\t11/9/2019 6:31:04 AM\tN2 N1 N2 N77\tN3-1 N1-0\n"
    "2\tU1\t11/9/2019 12:00:00 PM\tN2 N1 N2 N77\tN2-1 N88-1\n"  # N2 is in the history already
    "3\tU2\t11/10/2019 12:00:00 AM\t\tN3-0 N1-1 N3-1\n"
    "4\tU3\t11/10/2019 1:00:00 AM\t\tN1-0\n"
    "5\tU4\t11/10/2019 1:00:00 AM\tN3\tN1 N2\n"  # as in a part for testing, without labels
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "news.tsv").write_text(NEWS)
    (tmp_path / "behaviors.tsv").write_text(BEHAVIORS)
    return tmp_path


def test_a_small_folder(folder: Path) -> None:
    dataset, report = read_dataset("mind", folder)
    assert keeps_promises(dataset)
    assert dataset.domain.name == "news"
    nine_on_the_ninth = 1573257600 + 6 * 3600 + 31 * 60 + 4
    assert dataset.interactions.rows() == [
        ("U1", "N2", None, None),
        ("U1", "N1", None, None),
        ("U4", "N3", None, None),
        ("U1", "N3", nine_on_the_ninth, None),
        ("U2", "N1", 1573344000, None),
        ("U2", "N3", 1573344000, None),
    ]
    assert dataset.items.to_dicts()[:2] == [
        {
            "item_id": "N1",
            "title": '"Not yet," says caddie',
            "category": "sports",
            "subcategory": "golf",
            "abstract": "An abstract.",
        },
        {"item_id": "N2", "title": "Snow again", "category": "news", "subcategory": "world", "abstract": None},
    ]
    assert dataset.users["user_id"].to_list() == ["U1", "U4", "U2"]  # nobody knows what U3 read
    assert report.read == {"articles": 3, "impressions": 5, "articles in histories": 5, "clicks": 5}
    assert {why: count for why, count in report.dropped.items() if count} == {
        "interactions with items that are not described": 2,
        "exact repeats of an interaction": 1,
        "later interactions of a user with the same item": 1,
    }
    assert report.notes["articles shown that are neither clicked (-1) nor not (-0)"] == 2


@pytest.mark.parametrize(
    ("file", "content", "message"),
    [
        (
            "behaviors.tsv",
            "1\tU1\t11/9/2019 6:31:04 AM\tN1\tN1-1\n2\tU1\t2019-11-09 06:31\tN1\tN1-1\n",
            "behaviors.tsv, line 2: a time reads like 11/11/2019 6:31:04 AM; found '2019-11-09 06:31'",
        ),
        ("behaviors.tsv", "1\t\t11/9/2019 6:31:04 AM\tN1\tN1-1\n", "line 1: every row has its user_id"),
        ("behaviors.tsv", "1\tU1\n", "line 1: every line has 5 fields; found 2"),
        ("news.tsv", "N1\tsports\n", "line 1: every line has 8 fields; found 2"),
        ("news.tsv", "\tsports\tgolf\tt\ta\tu\t[]\t[]\n", "line 1: every row has its item_id"),
    ],
)
def test_a_broken_file_is_named_with_its_line(folder: Path, file: str, content: str, message: str) -> None:
    (folder / file).write_text(content)
    with pytest.raises(InputError) as caught:
        read_dataset("mind", folder)
    assert message in str(caught.value)


def test_a_history_counts_once_even_in_a_file_of_many_blocks(folder: Path) -> None:
    wide = "0" * (1 << 24) + BEHAVIORS.splitlines(keepends=True)[0]
    (folder / "behaviors.tsv").write_text(wide + BEHAVIORS)
    dataset, report = read_dataset("mind", folder)
    assert report.read["articles in histories"] == 5
    assert report.read["impressions"] == 6
    assert keeps_promises(dataset)


def test_the_real_sample(real_data: Path) -> None:
    dataset, report = read_dataset("mind", real_data / "mind-sample")
    assert keeps_promises(dataset)
    assert (report.read["impressions"], report.read["articles"]) == (6_936, 2_481)
    assert dataset.interactions.height == 9_339  # different pairs of history or click whose article is described
    per_user = dataset.interactions.group_by("user_id").len()
    assert per_user.filter(pl.col("len") >= 5).height == 484
    assert report.dropped["interactions with items that are not described"] > 100_000
    assert dataset.items["title"].str.starts_with('"').sum() == 3
