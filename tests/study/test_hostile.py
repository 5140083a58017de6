"""Whatever titles, explanations, names and comments hold is shown as text: on pages, in exports, in the log."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable
from html.parser import HTMLParser
from itertools import cycle
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from tests.conftest import Call
from tests.study.asking import Asker
from tests.study.browsing import Visitor, chromium
from tests.study.conftest import Host
from tests.study.payloads import PAYLOADS
from tests.study.studies import FILMS, GENERATORS, make_study

from llmxrec.records import Instruction, Item, User
from llmxrec.study.material import Material, StudyRow
from llmxrec.study.web import cleaned
from llmxrec.workspace import Workspace

_URLS = {"href", "src", "action", "hx-get", "hx-post", "content"}
Say = Callable[[], str]


class Shape(HTMLParser):
    """What is active in a page, with its text left out: elements, attributes, and where they point."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.elements: list[Any] = []
        self.words: list[str] = []
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        told = [(name, value if name in _URLS else "") for name, value in attrs]
        self.elements.append((tag, told))

    def handle_endtag(self, tag: str) -> None:
        self.elements.append(tag)

    def handle_comment(self, data: str) -> None:
        self.elements.append("comment")

    def handle_decl(self, decl: str) -> None:
        self.elements.append(decl)

    def handle_data(self, data: str) -> None:
        self.words.append(data)

    @property
    def text(self) -> str:
        return "".join(self.words)


def hostile(rows: int, say: Say) -> Material:
    """Rows in which every text is what `say` says next."""

    def item(number: int, sign: str = "") -> Item:
        return Item(f"i{number}{sign}", say(), {"genres": (say(), say()), "year": (say(),)})

    def row(number: int) -> StudyRow:
        history = tuple(item(step) for step in range(4))
        instruction = Instruction("explain", User(f"u{number}-{say()}", {"age": say()}), history, item(number, say()))
        return StudyRow(instruction, {name: say() for name in GENERATORS})

    return Material(FILMS, tuple(row(number) for number in range(rows)))


def pages(file: Path, say: Say, rows: int, visits: int) -> tuple[list[str], list[Any]]:
    """All pages of a study whose texts `say` says, in an order that does not depend on them; and its exports."""
    asker = Asker(
        make_study(file, rows=rows, mode="both", ratings_per_cell=2, made_of=hostile(rows, say), tasks=3 * rows)
    )
    person, organiser = asker.rater(name=say()), asker.organiser()
    shown = [person.get("/").text]
    for _ in range(visits):
        task = person.task()
        shown.append(person.get(f"/tasks/{task.task_id}").text)
        person.rate(comment=say())
        shown.append(person.get(f"/tasks/{task.task_id}").text)
    for _ in range(20):
        shown.append(organiser.post("/organise/invite", name=say(), kind="third-party").text)
    doomed = asker.rater(name=say())
    organiser.post("/organise/exclude", rater=doomed.subject, reason=say())
    shown.append(organiser.get("/organise").text)
    organiser.post("/organise/state", to="closed")
    organiser.post("/organise/unblind", by=say(), word="unblind")
    shown += [organiser.get("/organise").text, organiser.get("/organise/results").text]
    return shown, [organiser.get(f"/organise/answers.{kind}") for kind in ("csv", "jsonl", "parquet")]


def test_two_thousand_payloads_are_text(tmp_path: Path) -> None:
    assert len(set(PAYLOADS)) == 2000
    turn = iter(cycle(PAYLOADS))
    used: set[str] = set()

    def say() -> str:
        used.add(text := next(turn))
        return text

    rows = 72
    shown, exports = pages(tmp_path / "hostile.db", say, rows, 3 * rows)
    harmless, _ = pages(tmp_path / "harmless.db", lambda: "some words", rows, 30)
    assert len(used) == 2000 and len(shown) > 400
    # Each page has the elements of one without harm, whatever is drawn for whom.
    shapes = {_kinds(Shape(page)) for page in harmless}
    assert len(shapes) < 40
    for page in shown:
        assert _kinds(Shape(page)) in shapes
    text = _plain("\n".join(Shape(page).text for page in shown))
    missing = [one for one in PAYLOADS if _plain(one) not in text]
    assert not missing

    table = list(csv.DictReader(io.StringIO(exports[0].text)))
    assert len(table) == 3 * rows
    for row in table:
        for value in row.values():
            assert value.lstrip("\x00 \n")[:1] not in set("=+-@＝＋－＠\t\r")
    said = {row["comment"] for row in map(json.loads, exports[1].text.strip("\n").split("\n"))}
    sent = {cleaned(one.encode("utf-8", "replace").decode(), 2000) for one in used}
    assert said <= sent and len(said) > 100
    assert set(pl.read_parquet(io.BytesIO(exports[2].content))["comment"]) == said


def _kinds(shape: Shape) -> str:
    """The elements of a page; where they point to without ids of tasks, which are drawn anew."""
    cut = [one if isinstance(one, str) else (one[0], [(k, (v or "")[:7]) for k, v in one[1]]) for one in shape.elements]
    return json.dumps(cut)


def _plain(text: str) -> str:
    return "".join(cleaned(text, 10**9).replace("?", "").replace("\ufffd", "").split())


def test_the_explorer_shows_text(tmp_path: Path, call: Call) -> None:
    said = [one for one in PAYLOADS if "\x00" not in one and not any("\ud800" <= sign <= "\udfff" for sign in one)][::7]
    titles = pl.DataFrame({"sku": [f"p{n}" for n in range(len(said))], "title": said, "shelf": said[::-1]})
    titles.write_parquet(tmp_path / "products.parquet")
    orders = {"customer": ["<i>c</i>"] * 8, "sku": [f"p{n}" for n in range(8)]}
    pl.DataFrame(orders).write_parquet(tmp_path / "orders.parquet")
    theirs = {"user": ["<i>c</i>"] * 100, "item": [f"p{n + 8}" for n in range(100)], "text": said[:100]}
    pl.DataFrame({"customer": theirs["user"], "sku": theirs["item"]}).write_parquet(tmp_path / "ours.parquet")
    pl.DataFrame(theirs).write_parquet(tmp_path / "theirs.parquet")
    files = ("--interactions", "orders.parquet", "--items", "products.parquet", "--recommendations", "ours.parquet")
    assert call("init", "shop", *files).code == 0
    taken = call("import", "shop", "theirs.parquet", "--recommender", "external", "--generator", "theirs")
    assert taken.code == 0, taken.out
    asker = Asker(make_study(tmp_path / "study.db"), Workspace(tmp_path / "shop"), explore=True)
    page = asker.organiser().get("/explore?user=%3Ci%3Ec%3C/i%3E&find=%22%3E%3Cscript%3E")
    assert page.status_code == 200
    shape = Shape(page.text)
    tags = {one[0] for one in shape.elements if not isinstance(one, str)}
    assert (
        not tags & {"img", "iframe", "i", "b", "style", "base", "video", "object"} and "comment" not in shape.elements
    )
    assert sum(one[0] == "script" for one in shape.elements if not isinstance(one, str)) == 2
    assert not any(k.startswith("on") for one in shape.elements if not isinstance(one, str) for k, _ in one[1])
    assert sum(_plain(one) in _plain(shape.text) for one in said[:100]) >= 95
    assert asker.organiser().get("/explore?user=%00").status_code == 404


def test_nothing_runs_in_a_browser(host: Host, study_file: Path) -> None:
    turn = iter(PAYLOADS)
    store = make_study(study_file, rows=6, mode="both", made_of=hostile(6, lambda: next(turn)))
    with chromium() as browser:
        rater = Visitor(browser, store, host(store))
        rater.begin()
        for number in range(18):
            rater.fill()
            rater.page.get_by_text("Add a comment").click()
            rater.page.locator("textarea").fill(next(turn))
            rater.send()
            assert rater.page.evaluate("window.harmed === undefined && document.scripts.length === 2"), number
            rater.page.go_back()
            rater.page.get_by_text("Your answer to this one is stored").wait_for()
            rater.page.goto(f"{rater.address}/rate")
        # Not even an attempt that the policy had to stop.
        assert rater.said == []


@pytest.mark.parametrize("text", ["a\x00b", "a\ud800b", "a\x1bb", "a\x85b", "a\x07b"])
def test_control_signs_are_left_out(text: str) -> None:
    assert cleaned(text, 10) == "ab" and cleaned("1\r\n2\r3", 10) == "1\n2\n3" and cleaned(" abc ", 2) == "ab"
