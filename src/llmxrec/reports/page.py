"""A workspace as one file to read in a browser: nothing is loaded from anywhere, and nothing in it runs but its own."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from html import escape
from importlib import resources
from typing import Any

from llmxrec.datasets.dataset import Dataset
from llmxrec.reports.sheets import Bar, Sheet
from llmxrec.stored import causes_of, current_explanations, read_evidence
from llmxrec.workspace import Workspace, atomic

_NUMBER = re.compile(r"–|-?[\d,.]+%?( \[[^\]]*\])?")
"""What stands at the right of its column: figures, with their intervals or without."""
_BROAD = 120
"""Signs of a cell that takes all the room there is."""
_LONG = 1200
"""Signs of a cell that is folded, so that what stands beside it can be read."""


def write_page(workspace: Workspace, sheets: Sequence[Sheet]) -> None:
    """Write `report.html`: `sheets`, and all explanations to look through, with what each recommendation rests on."""
    with atomic(workspace.report) as draft:
        draft.write_text(page(workspace.path.resolve().name, sheets, list(rows_of(workspace))), encoding="utf-8")


def rows_of(workspace: Workspace, *recommenders: str) -> Iterator[dict[str, Any]]:
    """Each recommendation there is now that was explained, of some `recommenders` or of all: recommender, user, item,
    causes (titles), texts by generator, and how each text ended that is not ok.
    """
    titles = dict(Dataset.load(workspace.dataset).items.select("item_id", "title").iter_rows())
    for recommender in recommenders or workspace.recommenders():
        texts: dict[tuple[str, str], dict[str, str]] = {}
        ended: dict[tuple[str, str], dict[str, str]] = {}
        for generator, table in current_explanations(workspace, recommender).items():
            for user, item, text, status in table.select("user_id", "item_id", "text", "status").iter_rows():
                texts.setdefault((user, item), {})[generator] = text or ""
                if status != "ok":
                    ended.setdefault((user, item), {})[generator] = status
        causes: dict[tuple[str, str], list[str]] = {}
        if workspace.evidence(recommender).exists():
            known = causes_of(read_evidence(workspace, recommender)).iter_rows()
            causes = {(user, item): found for user, item, found in known}
        for (user, item), said in texts.items():
            rests_on = [titles.get(cause, cause) for cause in causes.get((user, item), ())]
            yield {
                "recommender": recommender, "user": user, "item": titles.get(item, item), "causes": rests_on,
                "texts": said, "ended": ended.get((user, item), {}),
            }  # fmt: skip


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
    recommenders = dict.fromkeys(row["recommender"] for row in rows)
    statuses = {row["ended"].get(generator, "ok"): None for row in rows for generator in row["texts"]}
    chosen = _choice("recommender", "every recommender", recommenders) + _choice("ended", "ended in any way", statuses)
    # Within the block, "<" could end it.
    data = json.dumps(rows, ensure_ascii=False, separators=(",", ":")).replace("<", "\\u003c")
    browser = f"""
<section id="browse"><h2>Explanations</h2>
<form role="search">
<input type="search" id="search" aria-label="Search explanations" placeholder="a user, a title, a word">{chosen}{boxes}
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


def _choice(name: str, every: str, some: Mapping[str, None]) -> str:
    """A field to choose one of `some` by; nothing where there is nothing to choose."""
    if len(some) < 2:
        return ""
    options = "".join(f'<option value="{escape(one)}">{escape(one)}</option>' for one in sorted(some))
    return f'<select id="{name}" aria-label="{name}"><option value="">{every}</option>{options}</select>'


def _section(sheet: Sheet) -> str:
    kinds = [_kind(column) for column in zip(*sheet.rows, strict=True)]
    head = "".join(
        f'<th scope="col"{_class(kind)}>{escape(cell)}</th>' for cell, kind in zip(sheet.head, kinds, strict=True)
    )
    body = "".join(
        "<tr>" + "".join(_cell(cell, kind, sheet.marks) for cell, kind in zip(line, kinds, strict=True)) + "</tr>"
        for line in sheet.rows
    )
    note = f'<p class="note">{escape(sheet.note)}</p>' if sheet.note else ""
    label = f'tabindex="0" role="group" aria-label="{escape(sheet.title)}"'
    return (
        f'<section id="{escape(sheet.name)}"><h2>{escape(sheet.title)}</h2>{note}{_drawing(sheet)}'
        f'<div class="scroll" {label}><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'
        "</section>"
    )


def _kind(column: Sequence[str]) -> str:
    """How a column is set: as figures, as texts, or as it comes."""
    if all(map(_NUMBER.fullmatch, column)):
        return "number"
    return "text" if any(len(cell) > _BROAD for cell in column) else ""


def _cell(text: str, kind: str, marks: Sequence[str]) -> str:
    """A cell; a very long one is folded under its beginning."""
    if len(text) > _LONG:
        begun = escape(" ".join(text[:80].split()))
        return f"<td{_class(kind)}><details><summary>{begun} …</summary>{escape(text)}</details></td>"
    return f"<td{_class(text if text in ('critical', 'warning') else kind)}>{_marked(text, marks)}</td>"


def _marked(text: str, titles: Sequence[str]) -> str:
    """`text` as HTML, with `titles` marked where they stand as words; the longest of several that begin alike."""
    named = "|".join(re.escape(title) for title in sorted(titles, key=len, reverse=True) if title)
    parts = re.split(rf"(?<!\w)({named})(?!\w)", text) if named else [text]
    return "".join(f"<mark>{escape(part)}</mark>" if place % 2 else escape(part) for place, part in enumerate(parts))


def _class(kind: str) -> str:
    return f' class="{kind}"' if kind else ""


def _drawing(sheet: Sheet) -> str:
    """Figures with their intervals, on one scale from the lowest to the highest; nothing where there are none."""
    if not sheet.bars:
        return ""
    rules = [bar.rule for bar in sheet.bars if bar.rule is not None]
    low = min(0.0, *rules, *(bar.low for bar in sheet.bars))
    high = max(*rules, *(bar.high for bar in sheet.bars), low)

    def at(value: float) -> str:
        return f"{100 * (value - low) / ((high - low) or 1.0):.2f}%"

    lines = "".join(_line(bar, at(bar.value), at(bar.low), at(bar.high), at) for bar in sheet.bars)
    ends = f'<text x="0">{low:g}</text><text x="100%" text-anchor="end">{high:.3g}</text>'
    scale = f'<span></span><svg class="scale" aria-hidden="true">{ends}</svg><b></b>'
    drawn = f"<figcaption>Drawn: {escape(sheet.drawn)}.</figcaption>" if sheet.drawn else ""
    label = f'role="group" aria-label="{escape(sheet.title)}"'
    return f'<figure {label}><div class="bars">{lines}{scale}</div>{drawn}</figure>'


def _line(bar: Bar, value: str, least: str, most: str, at: Callable[[float], str]) -> str:
    """A line of a drawing: what, the interval on the scale, the value."""
    rule = "" if bar.rule is None else f'<line class="rule" x1="{at(bar.rule)}" x2="{at(bar.rule)}" y1="0" y2="26"/>'
    return (
        f'<span>{escape(bar.what)}</span><svg aria-hidden="true"><line x1="0" x2="100%" y1="13" y2="13"/>{rule}'
        f'<line class="interval" x1="{least}" x2="{most}" y1="13" y2="13"/><circle cx="{value}" cy="13" r="5"/></svg>'
        f"<b>{bar.value:.3f}</b>"
    )


def _asset(name: str) -> str:
    return resources.files("llmxrec.reports").joinpath("page_assets", name).read_text(encoding="utf-8")


def _hash(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"
