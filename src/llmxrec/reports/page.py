"""A workspace as one file to read in a browser: nothing is loaded from anywhere, and nothing in it runs but its own."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from html import escape
from importlib import resources
from typing import Any

import polars as pl

from llmxrec.asking.answers import latest
from llmxrec.datasets.dataset import Dataset
from llmxrec.explain import SCHEMA
from llmxrec.reports.sheets import Sheet
from llmxrec.stored import causes_of, read_evidence, read_recommendations
from llmxrec.workspace import Workspace, atomic

_WIDTH, _LINE, _LEFT, _RIGHT = 640, 26, 220, 70
"""Of a drawing: its width, the height of a line, and what stands to the left and right of the scale."""


def write_page(workspace: Workspace, sheets: Sequence[Sheet]) -> None:
    """Write `report.html`: `sheets`, and all explanations to look through, with what each recommendation rests on."""
    with atomic(workspace.report) as draft:
        draft.write_text(page(workspace.path.resolve().name, sheets, list(rows_of(workspace))), encoding="utf-8")


def rows_of(workspace: Workspace, *recommenders: str) -> Iterator[dict[str, Any]]:
    """Each recommendation that was explained, of some `recommenders` or of all: user, item, causes (titles), and texts
    by generator.
    """
    titles = dict(Dataset.load(workspace.dataset).items.select("item_id", "title").iter_rows())
    for recommender in recommenders or workspace.recommenders():
        wanted = read_recommendations(workspace, recommender)
        texts: dict[tuple[str, str], dict[str, str]] = {}
        for generator in workspace.generators(recommender):
            table = latest(workspace.explanations(recommender, generator), wanted, SCHEMA)
            told = table.filter(pl.col("status").is_not_null()).select("user_id", "item_id", "text", "status")
            for user, item, text, status in told.iter_rows():
                texts.setdefault((user, item), {})[generator] = text if status == "ok" else f"({status}) {text}"
        causes: dict[tuple[str, str], list[str]] = {}
        if workspace.evidence(recommender).exists():
            known = causes_of(read_evidence(workspace, recommender)).iter_rows()
            causes = {(user, item): found for user, item, found in known}
        for (user, item), said in texts.items():
            rests_on = [titles.get(cause, cause) for cause in causes.get((user, item), ())]
            yield {"user": user, "item": titles.get(item, item), "causes": rests_on, "texts": said}


def page(name: str, sheets: Sequence[Sheet], rows: Sequence[Mapping[str, Any]]) -> str:
    """The whole file. All that comes from data is escaped, or text in a block that is not run."""
    style, script = _asset("style.css"), _asset("browse.js")
    policy = (
        f"default-src 'none'; style-src {_hash(style)}; script-src {_hash(script)}; base-uri 'none'; form-action 'none'"
    )
    generators = list(dict.fromkeys(generator for row in rows for generator in row["texts"]))
    links = [(sheet.name, sheet.title) for sheet in sheets] + ([("browse", "Explanations")] if rows else [])
    boxes = "".join(
        f'<label><input type="checkbox" name="generator" value="{escape(one)}" checked> {escape(one)}</label>'
        for one in generators
    )
    # Within the block, "<" could end it.
    data = json.dumps(rows, ensure_ascii=False, separators=(",", ":")).replace("<", "\\u003c")
    browser = f"""
<section id="browse"><h2>Explanations</h2>
<form role="search">
<input type="search" id="search" aria-label="Search explanations" placeholder="a user, a title, a word">{boxes}
</form>
<p class="pages"><button id="back" type="button">Back</button>
<span id="count" aria-live="polite"></span> <button id="on" type="button">On</button></p>
<div id="list"></div></section>
<script type="application/json" id="rows">{data}</script>
<script>{script}</script>"""
    return f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{policy}">
<meta name="viewport" content="width=device-width, initial-scale=1"><meta name="referrer" content="no-referrer">
<title>{escape(name)}</title><style>{style}</style></head><body><main>
<h1>{escape(name)}</h1>
<nav>{"".join(f'<a href="#{escape(link)}">{escape(title)}</a>' for link, title in links)}</nav>
{"".join(map(_section, sheets))}{browser if rows else ""}
</main></body></html>
"""


def _section(sheet: Sheet) -> str:
    head = "".join(_cell(cell, like, "th") for cell, like in zip(sheet.head, sheet.rows[0], strict=True))
    body = "".join("<tr>" + "".join(_cell(cell, cell) for cell in line) + "</tr>" for line in sheet.rows)
    note = f'<p class="note">{escape(sheet.note)}</p>' if sheet.note else ""
    label = f'tabindex="0" role="group" aria-label="{escape(sheet.title)}"'
    return (
        f'<section id="{escape(sheet.name)}"><h2>{escape(sheet.title)}</h2>{note}{_drawing(sheet)}'
        f'<div class="scroll" {label}><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'
        "</section>"
    )


def _cell(text: str, like: str, name: str = "td") -> str:
    """A cell; one in the head stands as what is `like` below it."""
    kind = text if text in ("critical", "warning") else "number" if like[:1].isdigit() and " " not in like else ""
    scope = ' scope="col"' if name == "th" else ""
    return f"<{name}{scope}{_class(kind)}>{escape(text)}</{name}>"


def _class(kind: str) -> str:
    return f' class="{kind}"' if kind else ""


def _drawing(sheet: Sheet) -> str:
    """Figures with their intervals, on one scale from the lowest to the highest; nothing where there are none."""
    if not sheet.bars:
        return ""
    low, high = min(0.0, *(bar[2] for bar in sheet.bars)), max(bar[3] for bar in sheet.bars)
    span = (high - low) or 1.0

    def at(value: float) -> float:
        return round(_LEFT + (value - low) / span * (_WIDTH - _LEFT - _RIGHT), 1)

    lines = []
    for number, (what, value, least, most) in enumerate(sheet.bars):
        y = _LINE * number + _LINE // 2
        lines += [
            f'<text x="0" y="{y + 4}">{escape(what[:32])}</text>',
            f'<line class="interval" x1="{at(least)}" x2="{at(most)}" y1="{y}" y2="{y}"/>',
            f'<circle cx="{at(value)}" cy="{y}" r="5"/>',
            f'<text class="soft" x="{at(most) + 8}" y="{y + 4}">{value:.3f}</text>',
        ]
    height = _LINE * len(sheet.bars)
    size = f'viewBox="0 0 {_WIDTH} {height}" width="{_WIDTH}"'
    axis = f'<line x1="{at(0.0)}" x2="{at(0.0)}" y1="0" y2="{height}"/>'
    return f'<svg {size} role="img" aria-label="{escape(sheet.title)}">{axis}{"".join(lines)}</svg>'


def _asset(name: str) -> str:
    return resources.files("llmxrec.reports").joinpath("page_assets", name).read_text(encoding="utf-8")


def _hash(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"
