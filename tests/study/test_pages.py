"""What pages tell and what they do not: blind for raters, legible for everybody, results only after unblinding."""

from __future__ import annotations

import asyncio
import io
import json
import re
import time
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import polars as pl
import pytest
from tests.conftest import Demo
from tests.study.asking import Asker
from tests.study.studies import GENERATORS, TITLES, film, make_study

from llmxrec.study.exploring import Explorer, Piece, marked
from llmxrec.study.material import SCALES
from llmxrec.study.web import PAGES
from llmxrec.workspace import Workspace

SHEET = (PAGES / "static/study.css").read_text(encoding="utf-8")


def test_nothing_tells_who_wrote_an_explanation(study_file: Path) -> None:
    store = make_study(study_file, rows=6, mode="both", gold=1, attention=4)
    asker = Asker(store)
    with store.database.reading() as db:
        found = db.exec_driver_sql("SELECT id, generator, text FROM explanation").all()
        ids = {one.id for one in found}
    texts = {one.text: one.generator for one in found}
    bare: dict[str, set[str]] = {}
    for _ in range(3):
        person = asker.rater()
        for _ in range(8):
            task = person.task()
            page = person.get(f"/tasks/{task.task_id}").text
            assert not any(told in page for told in (*GENERATORS, *ids))
            rest = page.replace(task.task_id, "ID").replace(person.form_token, "TOKEN")
            for text in task.texts:
                rest = rest.replace(text, "TEXT")
            rest = re.sub(r"\d+ of \d+|value=\"\d+\"|max=\"\d+\"|>\d+ done<", "N", rest)
            for title in TITLES:
                rest = rest.replace(title, "T")
            rest = re.sub(r"\b(19|20)\d\d\b|\bage:</span> <bdi>\d+|drama, comedy|thriller", "A", rest)
            for text in task.texts:
                bare.setdefault(texts.get(text, "a check"), set()).add(rest if len(task.texts) == 1 else "")
            person.rate()
    # All that is left of a page is the same for every generator, and for checks.
    left = {page for pages in bare.values() for page in pages if page}
    assert set(bare) == {*GENERATORS, "a check"} and len(left) == 1


def test_the_order_of_two_is_drawn(study_file: Path) -> None:
    store = make_study(study_file, rows=12, mode="compare")
    asker = Asker(store)
    with store.database.reading() as db:
        by_text = dict(db.exec_driver_sql("SELECT text, generator FROM explanation").all())
    first = []
    person = asker.rater()
    for _ in range(12):
        first.append(by_text[person.task().texts[0]])
        person.rate()
    assert set(first) == set(GENERATORS)


def test_the_form_says_what_is_missing(study_file: Path) -> None:
    asker = Asker(make_study(study_file))
    person = asker.rater()
    task = person.task().task_id
    for wrong in ("", "0", "11", "5.0", " 5", "٥", "five", "-1", "1e1"):
        answer = person.post(f"/tasks/{task}", reasonability=wrong, attractiveness="3", redundancy="4", comment="Hm")
        assert answer.status_code == 422 and answer.text.count("Please choose a number") == 1
        assert answer.text.count(" checked") == 2 and ">Hm</textarea>" in answer.text
    answer = person.post(f"/tasks/{task}", reasonability=1, attractiveness=1, redundancy=1, comment="x" * 2001)
    assert answer.status_code == 422 and "2,000 signs at most" in answer.text
    assert asker.store.stored_answer(task, person.subject) is None


def test_half_a_form_is_none(study_file: Path) -> None:
    """A line that breaks after `redundancy=1` of `redundancy=10` has not said 1."""
    asker = Asker(make_study(study_file))
    person = asker.rater()
    task = person.task().task_id
    fields = {"form_token": person.form_token, **dict.fromkeys(SCALES, "10")}
    body = urlencode(fields).encode()
    for whole in (False, True):
        parts = [{"type": "http.request", "body": body if whole else body[:-1], "more_body": not whole}]
        parts += [{"type": "http.disconnect"}] * 3
        _post(asker, f"/tasks/{task}", person.cookies, parts)
        assert (asker.store.stored_answer(task, person.subject) is not None) == whole


def _post(asker: Asker, path: str, cookies: str, parts: list[dict[str, Any]]) -> None:
    """Send a form to the application as a server does, in these parts."""
    told = {"host": "127.0.0.1:8000", "cookie": cookies, "content-type": "application/x-www-form-urlencoded"}
    headers = [(name.encode(), value.encode()) for name, value in told.items()]
    scope = {"type": "http", "method": "POST", "path": path, "raw_path": path.encode(), "headers": headers}
    scope |= {"query_string": b"", "http_version": "1.1", "scheme": "http", "client": ("127.0.0.1", 1), "root_path": ""}
    coming = iter(parts)

    async def receive() -> Any:
        return next(coming)

    async def send(_: Any) -> None:
        pass

    asyncio.run(asker.app(scope, receive, send))


def test_a_paused_study_says_so(study_file: Path) -> None:
    asker = Asker(make_study(study_file, tasks=2))
    person, organiser = asker.rater(), asker.organiser()
    person.rate()
    organiser.post("/organise/state", to="paused")
    assert "The study pauses" in person.get("/rate").text
    organiser.post("/organise/state", to="open")
    assert person.get("/rate").headers["location"].startswith("/tasks/")
    answer = person.rate()  # the last
    assert answer.headers["location"] == "/rate" and "Thank you!" in person.get("/rate").text


def test_a_self_rater_is_spoken_to(study_file: Path) -> None:
    asker = Asker(make_study(study_file))
    person = asker.rater("self", "Ada", "u2")
    page = person.get(f"/tasks/{person.task().task_id}").text
    assert "Recommended to you" in page and "What you watched" in page and film(2).title in page
    other = asker.rater()
    assert "Recommended to this person" in other.get(f"/tasks/{other.task().task_id}").text


def test_the_organiser_sees_how_far_it_is(study_file: Path) -> None:
    asker = Asker(make_study(study_file, rows=2))
    organiser = asker.organiser()
    invited = organiser.post("/organise/invite", name="Ada", kind="third-party").text
    (link,) = re.findall(r"http://127\.0\.0\.1:8000(/enter/[\w-]+)", invited)
    assert asker.ask("GET", link).status_code == 200 and link not in organiser.get("/organise").text
    assert organiser.post("/organise/invite", name="Bo", kind="self", user_id="nobody").status_code == 409
    person = asker.rater(name="Cy")
    person.rate(9)
    page = organiser.get("/organise").text
    assert "1 of 8 answers" in page and "Cy" in page and "Ada" in page
    organiser.post("/organise/exclude", rater=person.subject, reason="too fast")
    page = organiser.get("/organise").text
    assert "0 of 8 answers" in page and "too fast" in page
    assert organiser.post("/organise/exclude", rater=person.subject, reason="again").status_code == 409


def test_answers_are_given_out_and_taken_in(study_file: Path, tmp_path: Path) -> None:
    store = make_study(study_file, rows=2, mode="both", ratings_per_cell=1)
    workspace = Workspace(tmp_path / "shop")
    asker = Asker(store, workspace)
    person, organiser = asker.rater(), asker.organiser()
    for _ in range(6):
        person.rate(8, comment="=1+1")
    organiser.post("/organise/state", to="closed")
    organiser.post("/organise/unblind", by="Grace", word="unblind")
    jsonl = [json.loads(line) for line in organiser.get("/organise/answers.jsonl").text.splitlines()]
    parquet = pl.read_parquet(io.BytesIO(organiser.get("/organise/answers.parquet").content))
    csv = organiser.get("/organise/answers.csv")
    assert len(jsonl) == parquet.height == csv.text.count("'=1+1") == 6
    assert {"rater", "order", "seconds", "first", "second"} <= set(jsonl[0])
    assert csv.headers["content-disposition"] == 'attachment; filename="answers.csv"'
    page = organiser.get("/organise/results").text
    assert "8.00" in page and all(name in page for name in GENERATORS)
    assert organiser.post("/organise/keep").status_code == 200
    files = sorted(str(file.relative_to(workspace.path)) for file in workspace.path.rglob("*.jsonl"))
    assert files == ["pairs/bpr.jsonl", "ratings/bpr.jsonl", "verdicts/bpr/people.jsonl"]


def test_the_explorer_is_off_while_raters_are_blind(demo: Demo, tmp_path: Path) -> None:
    demo.copy(tmp_path / "shop")
    asker = Asker(make_study(tmp_path / "study.db"), Workspace(tmp_path / "shop"))
    organiser = asker.organiser()
    assert organiser.get("/explore").status_code == 403
    asker.store.close("organiser", time.time())
    assert "u101" in organiser.get("/explore?find=u10").text
    page = organiser.get("/explore?user=u101").text
    assert "ease recommends" in page and "Airplane!" in page and "embedded" in page
    assert organiser.get("/explore?user=nobody").status_code == 404


def test_the_explorer_calls_nothing_a_cause_that_speaks_against_the_item(demo: Demo, tmp_path: Path) -> None:
    """Where no set displaces the item, the strongest influences are its causes, but only those above 0."""
    demo.copy(tmp_path / "shop")
    place = Workspace(tmp_path / "shop")
    file = place.evidence("ease")
    table = pl.read_parquet(file).with_columns(displacing=pl.lit(None, pl.List(pl.String)))
    signs = pl.col("influence").list.eval(pl.when(pl.int_range(pl.len()) == 0).then(1.0).otherwise(-1.0))
    table.with_columns(influence=signs.cast(pl.List(pl.Float32))).write_parquet(file)
    (strongest,) = table.filter(user_id="u101")["history"].list.first()
    (shown,) = [one for one in Explorer(place).of("u101") if one.recommender == "ease"]
    assert shown.causes == {strongest}


def test_claims_are_marked() -> None:
    class Claim:
        def __init__(self, kind: str, start: int, end: int, about: str | None) -> None:
            self.kind, self.column, self.start, self.end, self.about = kind, "", start, end, about

    text = "Like Heat, a drama."
    claims = [Claim("attribute", 13, 18, "candidate"), Claim("title", 5, 9, None), Claim("title", 7, 12, "history")]
    claims += [Claim("title", 40, 50, "history"), Claim("title", 18, 18, "history")]
    pieces = marked(text, claims)
    assert "".join(piece.text for piece in pieces) == text
    assert [(piece.text, piece.mark) for piece in pieces if piece.mark] == [
        ("Heat", "unsupported"),
        ("drama", "attribute"),
    ]
    assert marked(text, ()) == (Piece(text),) and marked("", ()) == ()


def _colours(sheet: str) -> dict[str, str]:
    return dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6})", sheet))


def _luminance(colour: str) -> float:
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def _contrast(one: str, other: str) -> float:
    bright, dark = sorted((_luminance(one), _luminance(other)), reverse=True)
    return (bright + 0.05) / (dark + 0.05)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_colours_can_be_told_apart(scheme: str) -> None:
    """WCAG 2.2 AA: 4.5 for text (1.4.3), 3 for what shows where a control is (1.4.11)."""
    assert round(_contrast("#ffffff", "#000000"), 1) == 21 and round(_contrast("#777777", "#ffffff"), 2) == 4.48
    light, dark = SHEET.split("@media (prefers-color-scheme: dark)", 1)
    dark = dark.split("\n}\n", 1)[0]
    colours = _colours(light) if scheme == "light" else _colours(light) | _colours(dark)
    assert set(_colours(dark)) == set(_colours(light))
    pairs = [(ink, ground) for ink in ("ink", "soft-ink", "accent") for ground in ("page", "card", "tint")]
    pairs += [
        ("on-accent", "accent"),
        ("on-accent", "accent-hover"),
        ("accent-hover", "card"),
        ("accent-hover", "page"),
    ]
    pairs += [
        ("wrong", "wrong-tint"),
        *(("ink", f"{mark}-mark") for mark in ("title", "attribute", "profile", "false")),
    ]
    for one, other in pairs:
        assert _contrast(colours[one], colours[other]) >= 4.5, (one, other)
    for one, other in (("edge", "card"), ("edge", "page"), ("accent", "line"), ("accent", "card")):
        assert _contrast(colours[one], colours[other]) >= 3, (one, other)
