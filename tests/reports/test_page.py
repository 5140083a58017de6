"""The report is one file that loads nothing, runs nothing but its own, and shows what there is."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from tests.conftest import Call

from llmxrec.reports.page import page, rows_of
from llmxrec.reports.sheets import Bar, Sheet, latex, markdown
from llmxrec.workspace import Workspace

HOSTILE = [
    "</script><script>document.title='taken'</script>",
    "<img src=x onerror=\"document.title='taken'\">",
    "<!--<script>",
    "'\"><svg onload=alert(1)>",
    "{{7*7}}",
    "\\u003cscript>",
]
SIGNS = r"X-Men ^$.*+?(a)[b]{c}|\/&-"
"""A title with every sign that an expression may read as its own."""
SHEETS = [
    Sheet("one", text, ("what", "value"), ((text, "0.5"),), text, (Bar(text, 0.5, 0.4, 0.6, 0.5),), text, (text,))
    for text in ("Plain", *HOSTILE)
]


def rows(count: int) -> list[dict[str, Any]]:
    text = HOSTILE[0] + f' You watched "Heat" & <b>bold</b>, and {SIGNS}.'
    return [
        {
            "recommender": ("ease", HOSTILE[0])[n % 2],
            "user": f"u{n}",
            "item": HOSTILE[n % len(HOSTILE)],
            "causes": ["Heat", "", "You", "You watched", SIGNS],
            "texts": {"a": f"{text} {n}", "constructor": "Heath wrote iHeat."},
            "ended": {"constructor": "rejected"} if n % 5 == 0 else {},
        }
        for n in range(count)
    ]


class Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))


def test_nothing_of_what_comes_from_data_is_markup() -> None:
    text = page(HOSTILE[0], SHEETS, rows(30))
    tags = Tags()
    tags.feed(text)
    names = [tag for tag, _ in tags.found]
    assert names.count("script") == 2 and "img" not in names and names.count("svg") == 2 * len(SHEETS)
    for _, attributes in tags.found:
        assert not any(name.startswith("on") or name in ("src", "style") for name in attributes)
        assert (attributes.get("href") or "#").startswith("#"), "nothing is loaded from anywhere"


def test_only_its_own_style_and_script_may_run() -> None:
    text = page("x", SHEETS, rows(3))
    policy = re.search(r'Content-Security-Policy" content="([^"]+)"', text)
    assert policy and policy[1].startswith("default-src 'none'") and "unsafe" not in policy[1]
    for name in ("style", "script"):
        (inner,) = re.findall(rf"<{name}>(.*?)</{name}>", text, re.DOTALL)
        digest = base64.b64encode(hashlib.sha256(inner.encode()).digest()).decode()
        assert f"{name}-src 'sha256-{digest}'" in policy[1]


def test_nothing_in_a_cell_is_markdown_or_latex() -> None:
    sheet = Sheet("t", "A & B", ("a|b", "c"), (("x_1 | 50% $", "{\\input}"),), "#1")
    assert markdown(sheet).splitlines()[2:] == [
        "| a\\|b | c |", "| --- | --- |", "| x\\_1 \\| 50% \\$ | \\{\\\\input\\} |", "", "\\#1"
    ]  # fmt: skip
    assert r"x\_1 \textbar{} 50\% \$ & \{\textbackslash{}input\} \\" in latex(sheet) and r"A \& B. \#1" in latex(sheet)


def test_what_begins_a_line_is_no_argument_of_the_line_before_and_long_cells_are_broken() -> None:
    sheet = Sheet("t", "T", ("[3cm]", "b"), (("[9cm]", "long " * 30), ("*", "b")))
    told = latex(sheet).splitlines()
    assert r"\begin{tabular}{lp{0.70\linewidth}}" in told and "{[}3cm] & b " + r"\\" in told
    assert any(line.startswith("{[}9cm] & long") for line in told) and "{*} & b " + r"\\" in told


def test_a_table_taller_than_a_page_is_set_smaller() -> None:
    def begun(*signs: int) -> str:
        return latex(Sheet("t", "T", ("who", "what"), tuple(("a", "x" * count) for count in signs))).splitlines()[0]

    assert begun(1400) == begun(*[60] * 50) == r"\begin{table}", "rows of a line each are not broken"
    assert begun(700, 800) == r"\begin{table}\footnotesize" and begun(200, 2400) == r"\begin{table}\scriptsize"


@pytest.mark.parametrize("signs", [1300, 2200, 3200])
def test_a_case_fits_on_a_page(signs: int, tmp_path: Path) -> None:
    if shutil.which("pdflatex") is None:
        pytest.skip("pdflatex is not installed")
    sheet = Sheet("t", "T", ("who", "what"), (("asked of it", ("word " * signs)[:signs]), ("b", "c")), "A note. " * 40)
    whole = rf"\documentclass{{article}}\usepackage{{booktabs}}\begin{{document}}{latex(sheet)}\end{{document}}"
    (tmp_path / "t.tex").write_text(whole, encoding="utf-8")
    subprocess.run(["pdflatex", "-interaction=batchmode", "t.tex"], cwd=tmp_path, check=True, capture_output=True)
    assert "Float too large" not in (tmp_path / "t.log").read_text(errors="replace")


def test_a_drawing_has_its_scale_its_interval_and_what_is_to_be_beaten() -> None:
    bars = (Bar("a name that is long, and not to be cut anywhere", 1.0, 0.5, 2.0, 0.5), Bar("b", 0.25, 0.0, 0.5))
    text = page("x", [Sheet("t", "T", ("a",), (("b",),), "", bars, "shares; dashed: a coin")], [])
    assert "<span>a name that is long, and not to be cut anywhere</span>" in text
    assert '<line class="interval" x1="25.00%" x2="100.00%"' in text and '<circle cx="50.00%"' in text
    assert text.count('class="rule"') == 1 and '<line class="rule" x1="25.00%" x2="25.00%"' in text
    assert "<figcaption>Drawn: shares; dashed: a coin.</figcaption>" in text


def test_cells_are_set_by_what_their_column_holds() -> None:
    lines = (("0.5 [0.4, 0.6]", "critical", "Heathrow, iHeat, Heat" + "." * 200), ("–", "7 x", "Heat 2, $1,000"))
    text = page("x", [Sheet("t", "T", ("n", "s", "t"), lines, marks=("Heat", "Heat 2", ""))], [])
    assert '<th scope="col" class="number">n</th><th scope="col">s</th><th scope="col" class="text">t</th>' in text
    assert '<td class="number">–</td><td>7 x</td>' in text and '<td class="critical">critical</td>' in text
    assert ">Heathrow, iHeat, <mark>Heat</mark>..." in text and "<mark>Heat 2</mark>, $1,000</td>" in text
    folded = page("x", [Sheet("t", "T", ("a",), (("<b>" + "x" * 2000,),))], [])
    assert "<details><summary>&lt;b&gt;xxx" in folded and "x" * 2000 + "</details>" in folded


@pytest.fixture
def browser() -> Iterator[Any]:
    chromium = shutil.which("chromium")
    if chromium is None:
        pytest.skip("Debian's chromium is not installed")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        yield opened
        opened.close()


def test_ten_thousand_explanations_are_looked_through_in_a_browser(browser: Any, tmp_path: Path) -> None:
    file = tmp_path / "report.html"
    file.write_text(page("x", SHEETS, rows(10_000)), encoding="utf-8")
    said: list[str] = []
    tab = browser.new_page()
    tab.on("console", lambda message: said.append(message.text))
    tab.on("pageerror", lambda error: said.append(str(error)))
    tab.goto(file.as_uri())
    assert tab.title() == "x" and said == [], "nothing hostile ran, and the policy stopped nothing of its own"
    assert tab.locator("#count").inner_text() == "1 to 20 of 10,000"
    assert tab.locator("article").count() == 20 and tab.locator("article img, article script").count() == 0
    loaded = tab.evaluate("performance.timing.loadEventEnd - performance.timing.navigationStart")
    assert loaded < 2000, "milliseconds until all of it can be used"
    first = tab.locator(".texts div").first
    assert first.locator("mark").all_inner_texts() == ["You watched", "Heat", SIGNS], "the longest title"
    assert tab.locator(".texts div").nth(1).locator("mark").count() == 0, "neither Heath nor iHeat is Heat"
    assert tab.locator("article").first.locator("i").all_inner_texts() == ["(rejected) "]
    assert tab.locator("article .soft").nth(1).inner_text().startswith(f"by {HOSTILE[0]}; rests on: ")
    tab.select_option("#ended", "rejected")
    assert tab.locator("#count").inner_text() == "1 to 20 of 2,000"
    tab.select_option("#recommender", "ease")
    assert tab.locator("#count").inner_text() == "1 to 20 of 1,000"
    tab.uncheck("input[value=constructor]")
    assert tab.locator("#count").inner_text() == "none", "no text that is shown was rejected"
    tab.check("input[value=constructor]")
    tab.select_option("#ended", "")
    tab.select_option("#recommender", "")
    tab.fill("#search", "u77 you")
    assert tab.locator("article h3").first.inner_text().endswith("for u77")
    tab.fill("#search", "nowhere")
    assert tab.locator("#count").inner_text() == "none" and tab.locator("article").count() == 0
    tab.fill("#search", "")
    tab.click("#on")
    assert tab.locator("#count").inner_text() == "21 to 40 of 10,000"
    tab.uncheck("input[value=a]")
    assert tab.locator("#count").inner_text() == "1 to 20 of 10,000" and tab.locator(".texts div").count() == 20
    assert said == []


def test_what_is_the_same_for_all_is_no_choice(browser: Any, tmp_path: Path) -> None:
    (tmp_path / "report.html").write_text(page("x", [], [{**row, "recommender": "r", "ended": {}} for row in rows(3)]))
    tab = browser.new_page(viewport={"width": 400, "height": 800})
    tab.goto((tmp_path / "report.html").as_uri())
    assert tab.locator("select").count() == 0 and tab.locator("article .soft").first.inner_text()[:8] == "rests on"
    assert tab.evaluate("document.documentElement.scrollWidth") == 400, "nothing is broader than a small screen"


def test_the_report_of_a_workspace(call: Call, tmp_path: Path) -> None:
    place = Workspace(tmp_path / "demo")
    for command in (
        ("init", str(place.path), "--dataset", "demo"),
        ("recommend", str(place.path), "--recommender", "ease"),
        ("explain", str(place.path), "--generator", "template", "--template", "evidence", "--users", "40"),
        ("faithfulness", str(place.path)),
        ("report", str(place.path)),
    ):
        assert call(*command).code == 0, command
    text = place.report.read_text()
    order = [text.index(f'<section id="{name}"') for name in ("audit", "table1", "recommenders", "faithfulness")]
    assert order == sorted(order), "what is wrong comes first"
    shown = json.loads(re.findall(r'id="rows">(.*?)</script>', text, re.DOTALL)[0])
    assert shown == list(rows_of(place)) and len(shown) == 40
    evidence = dict(pl.read_parquet(place.evidence("ease")).select("user_id", "displacing").iter_rows())
    assert all(len(row["causes"]) == len(evidence[row["user"]]) for row in shown)
    assert (place.path / "tables/faithfulness.tex").exists() and (place.path / "tables/table1.md").exists()
