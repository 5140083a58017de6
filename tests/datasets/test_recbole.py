"""RecBole's atomic files. MovieLens in this form is compared with its original files in `test_movielens`."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.datasets.promises import keeps_promises

from llmxrec.datasets import read_dataset
from llmxrec.errors import InputError

FILES = {
    "ml.inter": "user_id:token\titem_id:token\trating:float\ttimestamp:float\n1\t10\t4\t8.5e2\n1\t11\t3\t851.9\n",
    "ml.item": "item_id:token\tmovie_title:token_seq\trelease_year:token\tclass:token_seq\n"
    "10\tNet, The\t1995\tAction Sci-Fi\n11\tLand III: The Time (1994)\tV\tunknown\n",
    "ml.user": "user_id:token\tage:token\tgender:token\n1\t30\tF\n",
}


def write(folder: Path, **files: str) -> Path:
    for name, content in files.items():
        (folder / name).write_text(content)
    return folder


def test_films(tmp_path: Path) -> None:
    dataset, report = read_dataset("recbole", write(tmp_path, **FILES))
    assert keeps_promises(dataset)
    assert dataset.domain.name == "movies"
    assert dataset.interactions.rows() == [("1", "10", 850, 4.0), ("1", "11", 851, 3.0)]
    assert dataset.items.rows() == [
        ("10", "The Net", "Net, The", ["Action", "Sci-Fi"], "1995"),
        ("11", "Land III: The Time", "Land III: The Time (1994)", [], "1994"),
    ]
    assert dataset.users.rows() == [("1", "30", "female")]
    assert report.read == {"interactions": 2, "items": 2, "users": 1}
    assert report.notes["films whose genre is given as unknown"] == 1


def test_anything_else_keeps_its_columns(tmp_path: Path) -> None:
    files = {
        "shop.inter": "user_id:token\tproduct_id:token\na\tx\nb\ty\n",
        "shop.item": "id:token\tapp_name:token_seq\ttags:token_seq\tprice:float\tvector:float_seq\ttitle:token\n"
        "x\tRed pen\tpen red\t1.5\t0.1 0.2\tPEN\ny\tInk\t\t\t\t\n",
    }
    dataset, _ = read_dataset("recbole", write(tmp_path, **files))
    assert keeps_promises(dataset)
    assert dataset.domain.name == "items"
    assert dataset.items.columns == ["item_id", "title", "app_name", "tags", "price"]
    assert dataset.items.row(0) == ("x", "PEN", ["Red", "pen"], ["pen", "red"], "1.5")
    assert dict(dataset.domain.item_attributes) == {c: c for c in ("app_name", "tags", "price")}


def test_interactions_alone(tmp_path: Path) -> None:
    dataset, report = read_dataset("recbole", write(tmp_path, **{"a.inter": "user_id:token\titem_id:token\nu\ti\n"}))
    assert keeps_promises(dataset)
    assert dataset.items.rows() == [("i", "i")]
    assert report.notes["items without a title, named by their id"] == 1


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        (
            "ml.inter",
            "user_id\titem_id\n1\t2\n",
            "ml.inter, line 1: the first line names the columns, each differently,",
        ),
        ("ml.inter", "user_id:token\tuser_id:token\n", "found 'user_id:token'"),
        ("ml.inter", "user_id:token\titem_id:word\n", "found 'item_id:word'"),
        ("ml.inter", "", "ml.inter, line 1: the first line names the columns"),
        ("ml.inter", "user_id:token\trating:float\n", "ml.inter: a column holds the item_id; found 'user_id, rating'"),
        ("ml.inter", "user_id:token\titem_id:token\n1\t2\n1\n", "ml.inter, line 3: every line has 2 fields; found 1"),
        (
            "ml.inter",
            "user_id:token\titem_id:token\ttimestamp:float\n1\t2\t\n1\t3\tnoon\n",
            "ml.inter, line 3: 'timestamp' is a number; found 'noon'",
        ),
        ("ml.item", "item_id:token\tmovie_title\n", "ml.item, line 1: the first line names the columns"),
        ("ml.user", "user_id:float\tage\n", "ml.user, line 1: the first line names the columns"),
    ],
)
def test_a_broken_file_is_named_with_its_line(tmp_path: Path, name: str, content: str, message: str) -> None:
    with pytest.raises(InputError) as caught:
        read_dataset("recbole", write(tmp_path, **{**FILES, name: content}))
    assert message in str(caught.value)


def test_which_file_to_read_must_be_clear(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"the folder holds one .inter file; found 'none'"):
        read_dataset("recbole", tmp_path)
    write(tmp_path, **{"a.inter": "", "b.inter": ""})
    with pytest.raises(InputError, match=r"the folder holds one .inter file; found 'a.inter, b.inter'"):
        read_dataset("recbole", tmp_path)
