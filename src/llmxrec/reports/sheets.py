"""What a workspace holds as tables to read: each with its rows, intervals and what has to be beaten."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from llmxrec.asking.answers import latest
from llmxrec.datasets.dataset import Dataset
from llmxrec.evaluation.audit import Finding
from llmxrec.evaluation.ratings import figure_2, read_ratings
from llmxrec.explain import SCHEMA
from llmxrec.generators.specs import slug
from llmxrec.ledger import read_ledger
from llmxrec.reports.tables import bounds, duels_of, label_of, rules_of_table_2, table_2, winner
from llmxrec.stored import read_recommendations
from llmxrec.workspace import Workspace, atomic, safe_name

_TEX = {**{sign: f"\\{sign}" for sign in "&%$#_{}"}, "\\": r"\textbackslash{}", "~": r"\textasciitilde{}",
        "^": r"\textasciicircum{}", "–": "--"}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Sheet:
    """A table as it is shown: text in cells, untrusted where it comes from data.

    `note` says what has to be known to read it. `bars` are figures to draw: what, value, low and high.
    """

    name: str
    title: str
    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    note: str = ""
    bars: tuple[tuple[str, float, float, float], ...] = ()


def sheets_of(workspace: Workspace, findings: Sequence[Finding], seed: int = 1) -> list[Sheet]:
    """All that there is to show of `workspace`; what was not measured is left out."""
    every = (
        _findings(findings), _dataset(Dataset.load(workspace.dataset)), _recommenders(workspace.read_manifest()),
        *_compared(workspace, seed), _attributes(workspace), *_people(workspace, seed), _faithfulness(workspace),
        _identified(workspace), _fairness(workspace), _costs(workspace), _times(workspace),
    )  # fmt: skip
    return [sheet for sheet in every if sheet.rows]


def write_sheets(sheets: Sequence[Sheet], workspace: Workspace) -> list[Path]:
    """Each of `sheets` as Markdown and LaTeX beside the CSV tables; returns the files."""
    out = []
    for sheet in sheets:
        for ending, text in ((".md", markdown(sheet)), (".tex", latex(sheet))):
            file = workspace.table(sheet.name).with_suffix(ending)
            with atomic(file) as draft:
                draft.write_text(text, encoding="utf-8")
            out.append(file)
    return out


def markdown(sheet: Sheet) -> str:
    """`sheet` as a table of Markdown; nothing in a cell is markup."""
    lines = [sheet.head, ("---",) * len(sheet.head), *sheet.rows]
    table = "\n".join("| " + " | ".join(_plain(cell) for cell in line) + " |" for line in lines)
    note = f"\n\n{_plain(sheet.note)}" if sheet.note else ""
    return f"**{_plain(sheet.title)}**\n\n{table}{note}\n"


def latex(sheet: Sheet) -> str:
    """`sheet` as a LaTeX table (package booktabs); nothing in a cell is a command."""
    body = [" & ".join(map(_tex, line)) + r" \\" for line in sheet.rows]
    lines = [
        r"\begin{table}", rf"\caption{{{_tex(sheet.title)}. {_tex(sheet.note)}}}",
        rf"\begin{{tabular}}{{{'l' * len(sheet.head)}}}", r"\toprule", " & ".join(map(_tex, sheet.head)) + r" \\",
        r"\midrule", *body, r"\bottomrule", r"\end{tabular}", r"\end{table}",
    ]  # fmt: skip
    return "\n".join(lines) + "\n"


def _plain(text: str) -> str:
    return text if set(text) == {"-"} else re.sub(r"([\\`*_{}\[\]()<>#+!|~&$-])", r"\\\1", " ".join(text.split()))


def _tex(text: str) -> str:
    return "".join(_TEX.get(sign, sign) for sign in " ".join(text.split()))


def _findings(findings: Sequence[Finding]) -> Sheet:
    serious = [one for one in findings if one.severity != "note"]
    rows = [(str(one.severity), one.title, one.about, one.figure, one.consequence) for one in serious]
    head = ("severity", "what", "where", "figure", "what it does")
    none = ("none", "nothing was found that spoils a figure", "", "", "")
    return Sheet("audit", "What is wrong", head, tuple(rows) or (none,))


def _dataset(dataset: Dataset) -> Sheet:
    users, items = dataset.interactions["user_id"].n_unique(), dataset.interactions["item_id"].n_unique()
    count = dataset.interactions.height
    cells = (f"{users:,}", f"{items:,}", f"{count:,}", f"{count / max(1, users):.1f}",
             f"{1 - count / max(1, users * items):.2%}", dataset.domain.name)  # fmt: skip
    head = ("users", "items", "interactions", "of each user", "sparsity", "domain")
    return Sheet("table1", "The data (the paper's Table 1)", head, (cells,), "Users and items that have interactions.")


def _recommenders(manifest: Mapping[str, Any]) -> Sheet:
    rows, bars = [], []
    for name, noted in manifest.get("recommenders", {}).items():
        for metric in noted.get("metrics", {}).values():
            value, low, high = (float(metric[key]) for key in ("value", "low", "high"))
            if not str(metric["name"]).startswith("coverage"):
                rows.append((name, str(metric["name"]), _interval(value, low, high), f"{metric['rows']:,}"))
                bars += [(name, value, low, high)] if str(metric["name"]).startswith("NDCG") else []
    note = "Leave-one-out by time. `popularity` is the trivial rule. Drawn: NDCG."
    return Sheet("recommenders", "Recommenders", ("recommender", "metric", "value", "users"), tuple(rows), note,
                 tuple(bars))  # fmt: skip


def _compared(workspace: Workspace, seed: int) -> Iterator[Sheet]:
    """The paper's Table 2, a sheet for each recommender and source of verdicts."""
    places = {safe_name(workspace.path.resolve().name): workspace}
    table, rules = table_2(places, seed), rules_of_table_2(places, seed)
    for (recommender, source), scores in table.partition_by("recommender", "source", as_dict=True).items():
        best = winner(workspace, str(recommender), label_of(str(source)), scores)
        trivial = rules.filter(recommender=recommender)
        rows, bars = [], []
        for row in (*scores.sort("win_ratio", descending=True, nulls_last=True).iter_rows(named=True),
                    *trivial.iter_rows(named=True)):  # fmt: skip
            rows.append((row["generator"], row["source"], bounds(row, "win_ratio"), bounds(row, "ranking_order"),
                         f"{row['rows']:,}", f"{row['unreadable']:,}"))  # fmt: skip
            if row["source"] == source and row["win_ratio"] is not None:
                bars.append((row["generator"], row["win_ratio"], row["win_ratio_low"], row["win_ratio_high"]))
        name = safe_name(f"table2-{recommender}-{label_of(str(source))}")
        head = ("generator", "source", "win ratio", "ranking order", "rows", "unreadable")
        title = f"Compared by {source}: {recommender} (the paper's Table 2)"
        yield Sheet(name, title, head, tuple(rows), f"{best}. Below: what trivial rules would say.", tuple(bars))
        yield from _against(workspace, str(recommender), str(source), scores["generator"].to_list(), seed)


def _against(
    workspace: Workspace, recommender: str, source: str, generators: Sequence[str], seed: int
) -> Iterator[Sheet]:
    """Each generator against the one that the recipe names for this judge, as the paper's Figures 3 and 4 have it."""
    judges = workspace.read_manifest().get("recipe", {}).get("judges", [])
    named = [judge.get("against") for judge in judges if judge.get("spec") == source]
    for against in (one for one in named if one in generators):
        places = {safe_name(workspace.path.resolve().name): workspace}
        found = duels_of(places, seed).filter(recommender=recommender, source=source, against=against)
        # In the order of the recipe: lengths of history, amounts of data.
        order = [name for name in _labels(workspace) if name in generators]
        some = sorted(found.iter_rows(named=True), key=lambda row: (*order, row["generator"]).index(row["generator"]))
        rows = [
            (row["generator"], _interval(row["win_ratio"], row["low"], row["high"]), f"{row['rows']:,}") for row in some
        ]
        bars = [(row["generator"], row["win_ratio"], row["low"], row["high"]) for row in some]
        title = f"Against {against}, compared by {source}: {recommender} (the paper's Figures 3 and 4)"
        note = "The share of recommendations where the judge prefers it; .5 is a coin, or texts that are the same."
        name = safe_name(f"against-{recommender}-{label_of(source)}")
        yield Sheet(name, title, ("generator", "win ratio", "rows"), tuple(rows), note, tuple(bars))


def _labels(workspace: Workspace) -> list[str]:
    """The names of the recipe's generators, in its order."""
    told = workspace.read_manifest().get("recipe", {}).get("generators", [])
    return [str(one.get("name") or one.get("adapter") or slug(str(one.get("spec", "")))) for one in told]


def _attributes(workspace: Workspace) -> Sheet:
    head = ("recommender", "target", "who", "accuracy", "rows", "unread")
    rows = [
        (row["recommender"], row["target"], row["who"], _interval(row["accuracy"], row["low"], row["high"]),
         str(row["rows"]), str(row["unread"]))
        for row in _csv(workspace, "table3")
    ]  # fmt: skip
    note = "Random, most frequent and logistic regression are what has to be beaten."
    return Sheet("table3", "Attributes (the paper's Table 3)", head, tuple(rows), note)


def _people(workspace: Workspace, seed: int) -> Iterator[Sheet]:
    for file in sorted((workspace.path / "ratings").glob("*.jsonl")):
        rows, bars = [], []
        for row in figure_2(read_ratings(file), seed).iter_rows(named=True):
            cells = [_cell(value) for value in row.values()]
            rows.append(tuple(cells))
            bars.append((f"{row['generator']}, {row['scale']}", row["mean"], row["low"], row["high"]))
            head = tuple(row)
        if rows:
            yield Sheet(f"figure2-{file.stem}", f"People: {file.stem} (the paper's Figure 2)", head, tuple(rows),
                        "Scores from 1 to 10.", tuple(bars))  # fmt: skip


def _faithfulness(workspace: Workspace) -> Sheet:
    found = _csv(workspace, "faithfulness")
    rows, bars = [], []
    for row in found:
        what = row["removed"] or "the texts"
        interval = _interval(row["value"], row["low"], row["high"])
        rows.append((row["recommender"], row["generator"], what, row["measure"], interval, str(row["rows"])))
        if row["measure"] == "flip" and row["removed"] in ("cited", "random") and row["value"] is not None:
            bars.append((f"{row['generator']}, {what}", row["value"], row["low"], row["high"]))
    note = "What becomes of recommendations without what texts cite; as many random items are what has to be beaten."
    if any(row["surrogate"] for row in found):
        note += " Measured on a stand-in: the recommender itself cannot be asked."
    head = ("recommender", "generator", "removed", "measure", "value", "rows")
    return Sheet("faithfulness", "Faithfulness", head, tuple(rows), f"{note} Drawn: flips.", tuple(bars))


def _identified(workspace: Workspace) -> Sheet:
    rows = [tuple(_cell(value) for value in row.values()) for row in _csv(workspace, "identifiability")]
    head = tuple(next(iter(_csv(workspace, "identifiability")), {}))
    note = "Each text's person looked for among others; shuffled and popular texts are what chance gives."
    return Sheet("identifiability", "Whose a text is", head, tuple(rows), note)


def _fairness(workspace: Workspace) -> Sheet:
    rows = [
        (row["who"], row["how"], f"{row['attribute']}: {row['group']}", row["measure"],
         _interval(row["mean"], row["mean_low"], row["mean_high"]),
         _interval(row["difference"], row["difference_low"], row["difference_high"]),
         _interval(row["adjusted"], row["adjusted_low"], row["adjusted_high"]), str(row["rows"]))
        for row in _csv(workspace, "fairness")
    ]  # fmt: skip
    head = ("who", "how", "group", "measure", "mean", "difference", "at equal history", "rows")
    note = "Only flipped pairs tell what the attribute itself does."
    return Sheet("fairness", "Groups (the paper's Table 4)", head, tuple(rows), note)


def _costs(workspace: Workspace) -> Sheet:
    rows = []
    for recommender in workspace.recommenders():
        wanted = read_recommendations(workspace, recommender)
        for generator in workspace.generators(recommender):
            table = latest(workspace.explanations(recommender, generator), wanted, SCHEMA)
            asked = table.filter(pl.col("status").is_not_null())
            ended = asked["status"].value_counts(sort=True).iter_rows()
            words = asked.filter(pl.col("status") == "ok")["text"].str.split(" ").list.len().mean()
            told = f"{asked.height:,}", ", ".join(f"{count:,} {how}" for how, count in ended), _cell(words)
            spent = f"{asked['output_tokens'].sum() or 0:,}", f"{asked['cost'].sum() or 0:.4f}"
            rows.append((recommender, generator, *told, *spent))
    head = ("recommender", "generator", "rows", "how they ended", "words", "tokens written", "USD")
    return Sheet("costs", "How explanations ended, and what they cost", head, tuple(rows))


def _times(workspace: Workspace) -> Sheet:
    took: dict[tuple[str, ...], tuple[int, float]] = {}
    for row in read_ledger(workspace.times) if workspace.times.exists() else ():
        key = tuple(str(row.get(name, "")) for name in ("stage", "recommender", "who"))
        rows, seconds = took.get(key, (0, 0.0))
        took[key] = rows + int(row.get("rows", 0)), seconds + float(row.get("seconds", 0.0))
    lines = [
        (*key, f"{rows:,}", f"{seconds:.1f}", f"{rows / seconds:,.0f}" if seconds else "–")
        for key, (rows, seconds) in took.items()
    ]
    head = ("stage", "recommender", "who", "rows", "seconds", "rows a second")
    note = "Of runs that came to their end. Rows of training are interactions, of tuning what is learned from."
    return Sheet("times", "How long it took", head, tuple(lines), note)


def _csv(workspace: Workspace, name: str) -> list[dict[str, Any]]:
    file = workspace.table(name)
    return pl.read_csv(file, infer_schema_length=None).to_dicts() if file.exists() else []


def _interval(value: object, low: object, high: object) -> str:
    if not all(isinstance(figure, int | float) for figure in (value, low, high)):
        return "–"
    return f"{value:.3f} [{low:.3f}, {high:.3f}]"


def _cell(value: object) -> str:
    return "–" if value is None else f"{value:.3f}" if isinstance(value, float) else str(value)
