"""Single recommendations shown whole, and the demo's last screen: what is wrong is said, and nothing hostile runs."""

from __future__ import annotations

from dataclasses import asdict
from io import StringIO
from pathlib import Path

import polars as pl
import pytest
from rich.console import Console
from rich.panel import Panel
from typer.testing import CliRunner

from llmxrec.cli import app
from llmxrec.ledger import Ledger
from llmxrec.records import Explanation
from llmxrec.reports.page import page, rows_of
from llmxrec.reports.screen import screen
from llmxrec.stages.cases import cases_of
from llmxrec.stages.reporting import write_report
from llmxrec.workspace import Workspace

HOSTILE = '</td><script>alert(1)</script> You watched "Alien 9".\x1b[31m \x1b]0;taken\x07'


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """The demo, explained to five people by the template, and to the first of them also by something hostile."""
    place = Workspace(tmp_path_factory.mktemp("demo") / "w")
    for words in (
        ("init", place.path, "--dataset", "demo"),
        ("recommend", place.path, "--recommender", "ease"),
        ("explain", place.path, "--generator", "template", "--template", "evidence", "--users", "5"),
    ):
        assert CliRunner().invoke(app, [str(word) for word in words]).exit_code == 0, words
    first = pl.read_parquet(place.recommendations("ease")).filter(user_id="u001", rank=1)
    user, item = first.select("user_id", "item_id").row(0)
    with Ledger(place.explanations("ease", "hostile")) as ledger:
        ledger.append(asdict(Explanation("ease", "hostile", user, item, 1, HOSTILE, "ok", "p", 1)))
    return place


def test_nobody_is_a_case_unless_the_recipe_says_so(demo: Workspace) -> None:
    demo.note("recipe")
    assert list(cases_of(demo)) == []
    demo.note("recipe", report={"cases": ["nobody"]})
    assert list(cases_of(demo)) == []


def test_a_case_is_shown_whole_with_what_is_wrong_in_brackets(demo: Workspace) -> None:
    demo.note("recipe", report={"cases": ["u001"]})
    (sheet,) = cases_of(demo)
    row = next(row for row in rows_of(demo) if row["user"] == "u001")
    told = dict(sheet.rows)
    assert list(told) == ["rests on", "hostile", "template", "asked"], "the prompt comes last"
    assert sheet.name == "case-ease-1" and sheet.title.startswith(f"{row['item']}, for u001")
    assert told["rests on"] == ", ".join(row["causes"]) and sheet.marks == tuple(row["causes"]) != ()
    assert told["template"] == row["texts"]["template"], "nothing is wrong with it"
    assert told["hostile"].startswith(HOSTILE + " [") and "Alien 9" in told["hostile"].removeprefix(HOSTILE)
    assert told["asked"].count("\n") > 2, "as it was asked, line by line"
    text = page("x", [sheet], [])
    assert "<script>alert" not in text and "&lt;script&gt;alert(1)" in text
    assert all(f"<mark>{title}</mark>" in text for title in sheet.marks)


def test_the_report_has_the_cases_and_what_was_marked_as_ended(demo: Workspace) -> None:
    demo.note("recipe", report={"cases": ["u001"]})
    write_report(demo.path)
    assert '<section id="case-ease-1">' in demo.report.read_text()
    tables = {file.name for file in (demo.path / "tables").iterdir()}
    assert {"case-ease-1.md", "case-ease-1.tex", "case-ease-1.csv"} <= tables
    assert r"p{0.70\linewidth}" in (demo.path / "tables/case-ease-1.tex").read_text()
    demo.note("recipe")
    write_report(demo.path)
    assert not list((demo.path / "tables").glob("case-*")), "whoever is no case any more is shown nowhere"


def test_a_screen_marks_causes_and_lets_no_escape_through(demo: Workspace) -> None:
    told = StringIO()
    group = screen(demo, "ease", "hostile")
    Console(file=told, width=200).print(group)
    assert "\x1b" not in told.getvalue() and "\x07" not in told.getvalue() and "You watched" in told.getvalue()
    panel, *_ = screen(demo, "ease", "template", examples=1).renderables
    assert isinstance(panel, Panel)
    text = panel.renderable.renderables[0]  # type: ignore[union-attr]
    row = next(row for row in rows_of(demo, "ease") if row["user"] == "u001")
    marked = {text.plain[span.start : span.end] for span in text.spans if span.style == "bold green"}
    assert marked == set(row["causes"]) != set()


def test_a_title_is_marked_only_as_a_word(demo: Workspace, tmp_path: Path) -> None:
    from llmxrec.reports.screen import _panel

    row = {"item": "Fargo\x1b[31m", "user": "u", "causes": ["Heat", "", "Up (2009)"], "ended": {"x": "rejected"},
           "texts": {"x": "Heathrow is not Heat, nor is Up (2009) upwards."}}  # fmt: skip
    panel = _panel(row, "x")
    text = panel.renderable.renderables[0]  # type: ignore[union-attr]
    assert text.plain.startswith("(rejected) Heathrow") and "\x1b" not in str(panel.title)
    marked = [text.plain[span.start : span.end] for span in text.spans]
    assert marked == ["Heat", "Up (2009)"] and text.plain.index("Heat,") == text.spans[0].start
