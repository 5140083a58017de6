"""Single recommendations shown whole, and the demo's last screen: what is wrong is said, and nothing hostile runs."""

from __future__ import annotations

import shutil
from dataclasses import asdict, replace
from io import StringIO
from pathlib import Path

import polars as pl
import pytest
from rich.console import Console
from rich.panel import Panel
from typer.testing import CliRunner

from llmxrec.cli import app
from llmxrec.generators.scripted import ScriptedGenerator
from llmxrec.ledger import Ledger
from llmxrec.prompts.instructions import PromptSettings
from llmxrec.recipe import GeneratorRecipe
from llmxrec.records import Explanation, Prompt
from llmxrec.reports.page import page, rows_of
from llmxrec.reports.screen import screen
from llmxrec.stages.cases import cases_of
from llmxrec.stages.explaining import explain_recommendations, questions_about
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
    assert list(told) == ["rests on", "hostile", "template", "asked of template"], "the prompt comes last"
    assert sheet.name == "case-ease-1" and sheet.title.startswith(f"{row['item']}, for u001")
    assert told["rests on"] == ", ".join(row["causes"]) and sheet.marks == tuple(row["causes"]) != ()
    assert told["template"] == row["texts"]["template"], "nothing is wrong with it"
    assert told["hostile"].startswith(HOSTILE + " [") and "Alien 9" in told["hostile"].removeprefix(HOSTILE)
    assert told["asked of template"].count("\n") > 2, "as it was asked, line by line"
    text = page("x", [sheet], [])
    assert "<script>alert" not in text and "&lt;script&gt;alert(1)" in text
    assert all(f"<mark>{title}</mark>" in text for title in sheet.marks)


def asked_anew(demo: Workspace, name: str, settings: PromptSettings, room: int | None = None) -> list[Prompt]:
    """What a generator is asked about the first person, whom it tells their gender; its answers are called `name`."""
    heard: list[Prompt] = []

    def answer(prompt: Prompt) -> str:
        heard.append(prompt)
        return f"You are a female engineer: {prompt.instruction.candidate.title}."

    recipe = GeneratorRecipe(spec="template", name=name)
    asked = questions_about(demo, "ease", recipe, settings, users=1)
    explain_recommendations(demo, recipe, replace(asked, generator=ScriptedGenerator(answer, context_tokens=room)))
    return heard


def words(prompt: Prompt) -> str:
    return "\n\n".join(message.content for message in prompt.messages)


def test_what_stands_as_asked_is_what_was_asked(demo: Workspace, tmp_path: Path) -> None:
    place = Workspace(Path(shutil.copytree(demo.path, tmp_path / "w")))
    place.note("recipe", report={"cases": ["u001"]})
    place.explanations("ease", "hostile").unlink()
    told = PromptSettings(template="evidence")
    (silent,) = asked_anew(place, "silent", PromptSettings(history=3, user_attributes=(), max_words=4, reasoning=False))
    (shortened,) = asked_anew(place, "shortened", told, room=330)
    (alike,) = asked_anew(place, "alike", told)
    assert shortened.dropped > 0 and "About this customer" not in words(silent) and "4 words" in words(silent)
    (sheet,) = cases_of(place)
    by_who = dict(sheet.rows)
    assert {who: text for who, text in by_who.items() if who.startswith("asked")} == {
        "asked of alike, template": words(alike),
        "asked of shortened": words(shortened),
        "asked of silent": words(silent),
    }
    assert "profile told" not in by_who["alike"], "nobody said that it may not be told"
    assert "4 at most are allowed" in by_who["silent"], "it was asked for so many"
    assert "profile told: it tells the customer their gender" in by_who["silent"], "nobody told it the gender"

    # With another template, or other evidence, nobody knows what was asked.
    file = place.explanations("ease", "silent").with_suffix(".toml")
    file.write_text(file.read_text().replace('template = "default"', 'template = "paper"'))
    pl.read_parquet(place.evidence("ease")).with_columns(
        displacing=pl.lit([], pl.List(pl.String))
    ).write_parquet(place.evidence("ease"))  # fmt: skip
    (sheet,) = cases_of(place)
    assert [who for who, _ in sheet.rows if who.startswith("asked")] == ["asked of shortened"]


def test_what_a_text_may_tell_is_what_it_was_verified_for(demo: Workspace, tmp_path: Path) -> None:
    place = Workspace(Path(shutil.copytree(demo.path, tmp_path / "w")))
    place.note("recipe", report={"cases": ["u001"]})
    for rules in ((), ("gender", "occupation")):
        asked_anew(place, f"r{len(rules)}", PromptSettings())
        with place.explanations("ease", f"r{len(rules)}").with_suffix(".toml").open("a") as notes:
            notes.write(f'[verified]\nagain = 0\notherwise = "withhold"\nmay_tell = {list(rules)}\n')
    (sheet,) = cases_of(place)
    told = dict(sheet.rows)
    assert "their gender" in told["r0"] and "their occupation" in told["r0"]
    assert "profile told" not in told["r2"]


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
