"""Whatever bytes a file holds, a reader gives a dataset that keeps its promises, or an InputError of one line."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.datasets.promises import keeps_promises

from llmxrec.datasets import read_dataset
from llmxrec.datasets.dataset import Dataset
from llmxrec.datasets.domains import load_domain
from llmxrec.datasets.tables import read_recommendations, read_tables
from llmxrec.errors import InputError

FOLDERS: dict[str, dict[str, bytes]] = {
    "ml-100k": {
        "u.data": b"1\t1\t5\t9\n2\t1\t3\t8\n",
        "u.item": b"1|Net, The (1995)|01-Jan-1995|||0|1\n2|x||||1|0\n",
        "u.genre": b"unknown|0\nDrama|1\n",
        "u.user": b"1|24|M|writer|85711\n2|1|F|none|0\n",
    },
    "mind": {
        "news.tsv": b'N1\tnews\tworld\tA title\tAn abstract\tu\t[]\t[]\nN2\ttv\tx\t"t" u\t\tu\t[]\t[]\n',
        "behaviors.tsv": b"1\tU1\t11/9/2019 6:31:04 AM\tN1 N1\tN2-1 N1-0\n",
    },
    "steam": {
        "steam_games.json": b"{u'id': u'10', u'title': u'A', u'tags': [u'x'], u'price': 4.99, u'url': u'/app/10'}\n",
        "steam_reviews.json": b"{u'username': u'ann', u'product_id': u'10', u'date': u'2017-12-24'}\n"
        b"{'user_id': 'u', 'reviews': [{'posted': 'Posted July 3.', 'item_id': '10', 'recommend': True}]}\n",
    },
    "recbole": {
        "a.inter": b"user_id:token\titem_id:token\trating:float\ttimestamp:float\n1\t1\t5\t9\n",
        "a.item": b"item_id:token\tmovie_title:token_seq\trelease_year:token\tclass:token_seq\n1\tX, The\t1995\tA B\n",
        "a.user": b"user_id:token\tage:token\tgender:token\n1\t24\tM\n",
    },
}
TABLES: dict[str, bytes] = {
    "actions.csv": b'user,item,time,rating\n1,1,2024-01-01,5\n"2",1,9,\n',
    "actions.tsv": b"user\titem\ttime\trating\n1\t1\t2024-01-01\t5\n2\t1\t9\t\n",
    "actions.jsonl": b'{"user": 1, "item": 1, "time": "2024-01-01", "rating": 5}\n'
    b'{"user": "2", "item": [1], "x": [null]}\n',
    "items.csv": b'item,title,genres,year\n1,"Net, The (1995)",A|B,1995\n2,x,,\n',
    "items.jsonl": b'{"item": 1, "title": "x", "genres": ["A"], "year": 1995}\n',
    "users.csv": b"user,age\n1,24\n",
}

hostile = settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
fragments = st.sampled_from(
    [
        *(
            b"\n",
            b"\r\n",
            b"\t",
            b"|",
            b",",
            b'"',
            b"'",
            b"\\",
            b"\0",
            b"\xff",
            b"\xef\xbb\xbf",
            b"{",
            b"}",
            b"[",
            b"]",
        ),
        *(b":", b" ", b"-1", b"nan", b"inf", b"1e999", b"9" * 30, b"\xc2\x85", b"\xe2\x80\xa8", b"\\ud800", b"\\u2122"),
        *(b"u'", b"True", b"None", b"b'x'", b"{}: 1", b"#line", b":token", b"item_id", b"title", b"(1995)", b", The"),
    ]
)


@st.composite
def damaged(draw: st.DrawFn, content: bytes) -> bytes:
    """Bytes of any kind, or `content` with some places overwritten, cut or added to."""
    if draw(st.integers(0, 4)) == 0:
        return draw(st.binary(max_size=80) | st.lists(fragments, max_size=12).map(b"".join))
    for _ in range(draw(st.integers(0, 3))):
        start = draw(st.integers(0, len(content)))
        end = draw(st.integers(start, min(len(content), start + 6)))
        content = content[:start] + draw(fragments | st.binary(max_size=3)) + content[end:]
    return content


def fine(read: Callable[[], Dataset]) -> bool:
    try:
        return keeps_promises(read())
    except InputError as error:
        return "\n" not in str(error)


@pytest.mark.parametrize(("kind", "name"), [(kind, name) for kind, files in FOLDERS.items() for name in files])
@hostile
@given(data=st.data())
def test_original_files(tmp_path: Path, kind: str, name: str, data: st.DataObject) -> None:
    for each, content in FOLDERS[kind].items():
        (tmp_path / each).write_bytes(content)
    (tmp_path / name).write_bytes(data.draw(damaged(FOLDERS[kind][name])))
    assert fine(lambda: read_dataset(kind, tmp_path)[0])


@pytest.mark.parametrize("name", ["steam_games.json", "steam_reviews.json"])
@hostile
@given(data=st.data())
def test_packed_files(tmp_path: Path, name: str, data: st.DataObject) -> None:
    for each, content in FOLDERS["steam"].items():
        (tmp_path / f"{each}.gz").write_bytes(gzip.compress(content, mtime=0))
    content = data.draw(damaged(gzip.compress(FOLDERS["steam"][name], mtime=0)))
    (tmp_path / f"{name}.gz").write_bytes(content)
    assert fine(lambda: read_dataset("steam", tmp_path)[0])


@pytest.mark.parametrize("domain", ["items", "movies"])
@pytest.mark.parametrize("name", TABLES)
@hostile
@given(data=st.data())
def test_own_tables(tmp_path: Path, name: str, domain: str, data: st.DataObject) -> None:
    for each, content in TABLES.items():
        (tmp_path / each).write_bytes(content)
    (tmp_path / name).write_bytes(data.draw(damaged(TABLES[name])))
    actions = tmp_path / (name if name.startswith("actions") else "actions.csv")
    items = tmp_path / (name if name.startswith("items") else "items.csv")
    assert fine(lambda: read_tables(actions, items, tmp_path / "users.csv", load_domain(domain), {})[0])


@hostile
@given(data=st.data())
def test_parquet(tmp_path: Path, data: st.DataObject) -> None:
    dataset, _ = read_tables_of(tmp_path)
    dataset.interactions.write_parquet(tmp_path / "a.parquet")
    content = (tmp_path / "a.parquet").read_bytes()
    (tmp_path / "a.parquet").write_bytes(data.draw(damaged(content)))
    assert fine(lambda: read_tables(tmp_path / "a.parquet", None, None, load_domain("items"), {})[0])


@hostile
@given(data=st.data())
def test_recommendations(tmp_path: Path, data: st.DataObject) -> None:
    dataset, _ = read_tables_of(tmp_path)
    content = data.draw(damaged(b"user,item,rank,score\n1,1,1,0.5\n2,1,2,\n"))
    (tmp_path / "recs.csv").write_bytes(content)
    try:
        table, _ = read_recommendations(tmp_path / "recs.csv", dataset)
        assert table.height and (table["rank"] >= 1).all() and table["score"].is_finite().all()
    except InputError as error:
        assert "\n" not in str(error)


def read_tables_of(folder: Path) -> tuple[Dataset, object]:
    (folder / "actions.csv").write_bytes(TABLES["actions.csv"])
    return read_tables(folder / "actions.csv", None, None, load_domain("items"), {})
