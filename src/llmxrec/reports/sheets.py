"""What a workspace holds as tables to read: each with its rows, intervals and what has to be beaten."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import polars as pl

from llmxrec.asking.answers import answer_rows
from llmxrec.datasets.dataset import Dataset
from llmxrec.evaluation.attributes import FREQUENT, RANDOM, SUPERVISED
from llmxrec.evaluation.audit import Finding
from llmxrec.evaluation.fairness import REST
from llmxrec.evaluation.faithfulness import CITED, FLIP
from llmxrec.evaluation.faithfulness import RANDOM as AT_RANDOM
from llmxrec.evaluation.identifiability import ALL, POPULAR, SHUFFLED
from llmxrec.evaluation.ranking import mean, word_counts
from llmxrec.evaluation.ratings import differences, figure_2, read_ratings
from llmxrec.explain import SCHEMA
from llmxrec.generators.specs import slug
from llmxrec.ledger import read_ledger
from llmxrec.reports.attributes import asked_apart, rule_name
from llmxrec.reports.markdown import safe
from llmxrec.reports.measured import MEASURED
from llmxrec.reports.tables import (
    RULES,
    bounds,
    duels_of,
    label_of,
    positions_of,
    read_table,
    rules_of_table_2,
    table_2,
    winner,
    write_table,
)
from llmxrec.stored import current_explanations
from llmxrec.workspace import Workspace, atomic, safe_name

_MADE = re.compile(
    rf"audit|table1|recommenders|costs|times|{'|'.join(MEASURED)}|(table2|against)-.+-.+|figure2-.+|case-.+-\d+"
)
"""Names of sheets."""
_COIN = 0.5
_LONG = 60
"""Signs of a cell that LaTeX has to break into lines."""
_TALL = {2300: r"\scriptsize", 1400: r"\footnotesize"}
"""Signs in a broken column from which on a table is set smaller, to stay on a page of 10 pt: measured with pdflatex."""
_SHORTEST = 0.1
"""Seconds that tell how fast something is."""
_TEX = {**{sign: f"\\{sign}" for sign in "&%$#_{}"}, "\\": r"\textbackslash{}", "~": r"\textasciitilde{}",
        "^": r"\textasciicircum{}", "<": r"\textless{}", ">": r"\textgreater{}", "|": r"\textbar{}",
        "–": "--"}  # fmt: skip
_FIGURE = re.compile(r"-?[\d,]+(\.\d+)?")
_INTERVAL = re.compile(r"(-?[\d.]+) \[(-?[\d.]+), (-?[\d.]+)\]")


class Bar(NamedTuple):
    """A figure to draw, with its interval, and what a trivial rule has, if there is one to beat."""

    what: str
    value: float
    low: float
    high: float
    rule: float | None = None


@dataclass(frozen=True, slots=True)
class Sheet:
    """A table as it is shown: text in cells, untrusted where it comes from data.

    `note` says what has to be known to read it. `bars` are figures to draw, and `drawn` says which they are. `marks`
    are titles to be marked where a cell names them.
    """

    name: str
    title: str
    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    note: str = ""
    bars: tuple[Bar, ...] = ()
    drawn: str = ""
    marks: tuple[str, ...] = ()


def sheets_of(workspace: Workspace, findings: Sequence[Finding], seed: int = 1) -> list[Sheet]:
    """All that there is to show of `workspace`; what was not measured is left out."""
    every = (
        _findings(findings), _dataset(Dataset.load(workspace.dataset)), _recommenders(workspace.read_manifest()),
        *_compared(workspace, seed), _attributes(workspace), *_people(workspace, seed), _faithfulness(workspace),
        _identified(workspace), _fairness(workspace), _costs(workspace, seed), _times(workspace),
    )  # fmt: skip
    return [sheet for sheet in every if sheet.rows]


def write_sheets(sheets: Sequence[Sheet], workspace: Workspace) -> list[Path]:
    """Each of `sheets` as Markdown, LaTeX and CSV; returns the files. Those of sheets that are no longer there go.

    The CSV of MEASURED, with all figures in full, stays as it was measured.
    """
    out = []
    for sheet in sheets:
        for ending, text in ((".md", markdown(sheet)), (".tex", latex(sheet))):
            file = workspace.table(sheet.name).with_suffix(ending)
            with atomic(file) as draft:
                draft.write_text(text, encoding="utf-8")
            out.append(file)
        if sheet.name not in MEASURED:
            write_table(as_table(sheet), workspace.table(sheet.name))
            out.append(workspace.table(sheet.name))
    for file in (workspace.path / "tables").glob("*.*"):
        measured = file.suffix == ".csv" and file.stem in MEASURED
        if file.suffix in (".md", ".tex", ".csv") and _MADE.fullmatch(file.stem) and not measured and file not in out:
            file.unlink()
    return out


def markdown(sheet: Sheet) -> str:
    """`sheet` as a table of Markdown; nothing in a cell is markup."""
    head, *rows = ([safe(cell) for cell in line] for line in (sheet.head, *sheet.rows))
    table = "\n".join("| " + " | ".join(line) + " |" for line in (head, ["---"] * len(head), *rows))
    note = f"\n\n{safe(sheet.note)}" if sheet.note else ""
    return f"**{safe(sheet.title)}**\n\n{table}{note}\n"


def latex(sheet: Sheet) -> str:
    """`sheet` as a LaTeX table (package booktabs); nothing in a cell is a command. Columns of long cells are broken,
    and a table that would be taller than a page is set smaller.
    """
    body = [" & ".join(map(_tex, line)) + r" \\" for line in sheet.rows]
    broken = [any(len(cell) > _LONG for cell in column) for column in zip(*sheet.rows, strict=True)]
    tallest = max((sum(map(len, column)) for column in zip(*sheet.rows, strict=True)), default=0)
    size = next((size for signs, size in _TALL.items() if any(broken) and tallest > signs), "")
    width = f"p{{{0.7 / max(1, sum(broken)):.2f}\\linewidth}}"
    lines = [
        rf"\begin{{table}}{size}", rf"\caption{{{_tex(sheet.title)}. {_tex(sheet.note)}}}",
        rf"\begin{{tabular}}{{{''.join(width if is_broken else 'l' for is_broken in broken)}}}", r"\toprule",
        " & ".join(map(_tex, sheet.head)) + r" \\",
        r"\midrule", *body, r"\bottomrule", r"\end{tabular}", r"\end{table}",
    ]  # fmt: skip
    return "\n".join(lines) + "\n"


def as_table(sheet: Sheet) -> pl.DataFrame:
    """`sheet` for programs: figures as numbers, an interval as three columns, nothing where there is a dash."""
    columns: dict[str, pl.Series] = {}
    for head, cells in zip(sheet.head, zip(*sheet.rows, strict=True), strict=True):
        told = [None if cell == "–" else cell for cell in cells]
        known = [cell for cell in told if cell is not None]
        found = [None if cell is None else _INTERVAL.fullmatch(cell) for cell in told]
        if known and sum(match is not None for match in found) == len(known):
            ends = [(None,) * 3 if match is None else match.groups() for match in found]
            for name, column in zip((head, f"{head} low", f"{head} high"), zip(*ends, strict=True), strict=True):
                columns[name] = pl.Series(column, dtype=pl.String).cast(pl.Float64)
        elif known and all(map(_FIGURE.fullmatch, known)):
            figures = pl.Series(told, dtype=pl.String).str.replace_all(",", "")
            columns[head] = figures.cast(pl.Float64 if any("." in cell for cell in known) else pl.Int64)
        else:
            columns[head] = pl.Series(told, dtype=pl.String)
    return pl.DataFrame(columns)


def _tex(text: str) -> str:
    told = "".join(_TEX.get(sign, sign) for sign in " ".join(text.split()))
    # At the beginning of a line, "[" and "*" would belong to the command that ends the line before.
    return f"{{{told[0]}}}{told[1:]}" if told.startswith(("[", "*")) else told


def _findings(findings: Sequence[Finding]) -> Sheet:
    serious = [one for one in findings if one.severity != "note"]
    rows = [(str(one.severity), one.title, one.about, one.figure, one.consequence) for one in serious]
    head = ("severity", "what", "where", "figure", "what it does")
    note = f"Counts of rows, without intervals. {len(findings) - len(serious):,} notes, and examples: llmxrec audit."
    if not rows:
        return Sheet("audit", "What is wrong", ("found",), (("Nothing that spoils a figure.",),), note)
    return Sheet("audit", "What is wrong", head, tuple(rows), note)


def _dataset(dataset: Dataset) -> Sheet:
    users, items = dataset.interactions["user_id"].n_unique(), dataset.interactions["item_id"].n_unique()
    count = dataset.interactions.height
    cells = (f"{users:,}", f"{items:,}", f"{count:,}", f"{count / max(1, users):.1f}",
             f"{1 - count / max(1, users * items):.2%}", dataset.domain.name)  # fmt: skip
    head = ("users", "items", "interactions", "interactions of each user", "sparsity", "domain")
    note = "Counts, without intervals: users and items that have interactions. Sparsity: pairs that have none."
    return Sheet("table1", "The data (the paper's Table 1)", head, (cells,), note)


def _recommenders(manifest: Mapping[str, Any]) -> Sheet:
    rows, bars = [], []
    trained = manifest.get("recommenders", {})
    trivial = trained.get("popularity", {}).get("metrics", {})
    for name, noted in trained.items():
        for metric in noted.get("metrics", {}).values():
            value, low, high = (float(metric[key]) for key in ("value", "low", "high"))
            measure = str(metric["name"])
            if not measure.startswith("coverage"):
                rows.append((name, measure, _interval(value, low, high), f"{metric['rows']:,}"))
            if measure.startswith("NDCG"):
                rule = trivial.get(measure, {}).get("value") if name != "popularity" else None
                bars.append((measure, Bar(name, value, low, high, rule)))
    note = (
        "Each user's last item is held out and looked for among all items not seen before. 95 % intervals over users. "
        f"{trivial_recommender(trained)}"
    )
    kept_out = max((int(noted.get("kept_out", 0)) for noted in trained.values()), default=0)
    note += f" {kept_out:,} users with too few items are not measured." if kept_out else ""
    head = ("recommender", "metric", "value", "users")
    drawn = list(dict.fromkeys(measure for measure, _ in bars))
    if len(drawn) > 1:  # of lists of different lengths, which are not to be compared
        return Sheet("recommenders", "Recommenders", head, tuple(rows), f"{note} Not drawn: {', '.join(drawn)} differ.")
    told = "".join(drawn) + ("; dashed: popularity" if any(bar.rule is not None for _, bar in bars) else "")
    return Sheet("recommenders", "Recommenders", head, tuple(rows), note, tuple(bar for _, bar in bars), told)


def trivial_recommender(trained: Mapping[str, Mapping[str, Any]]) -> str:
    """Which rule the recommenders `trained` (a manifest's) have to beat, and where it was not measured beside them."""
    metrics = {name: noted.get("metrics", {}) for name, noted in trained.items()}
    trivial = metrics.get("popularity", {})
    if not trivial:
        return "No trivial rule: popularity was not measured."
    without = ", ".join(
        dict.fromkeys(metric for known in metrics.values() for metric in known if metric not in trivial)
    )
    return f"The trivial rule is popularity{f', which was not measured by {without}' if without else ''}."


def _compared(workspace: Workspace, seed: int) -> Iterator[Sheet]:
    """The paper's Table 2, a sheet for each recommender and source of verdicts."""
    places = {workspace.path.resolve().name: workspace}
    table, rules = table_2(places, seed), rules_of_table_2(places, seed)
    places_tell = positions_of(places, seed)[1]
    for (recommender, source), scores in table.partition_by("recommender", "source", as_dict=True).items():
        best = winner(workspace, str(recommender), label_of(str(source)), scores)
        trivial = rules.filter(recommender=recommender)
        asked = table.filter(recommender=recommender)["source"][0]
        told = f"{recommender} on {next(iter(places))}, {source}: "
        place = [f" The places: {line.removeprefix(told)}." for line in places_tell if line.startswith(told)]
        # Where an order was shown, that alone may have decided.
        rule = RULES["second"] if place and source == asked else RULES["random"]
        second = trivial.filter(source=RULES["second"]).select("generator", "win_ratio")
        beaten = dict(second.iter_rows()) if rule == RULES["second"] else {}
        rows, bars = [], []
        for row in (*scores.sort("win_ratio", descending=True, nulls_last=True).iter_rows(named=True),
                    *trivial.iter_rows(named=True)):  # fmt: skip
            rows.append((row["generator"], row["source"], bounds(row, "win_ratio"), bounds(row, "ranking_order"),
                         f"{row['rows']:,}", f"{row['ranked']:,}", f"{row['unreadable']:,}"))  # fmt: skip
            if row["source"] == source and row["win_ratio"] is not None:
                figures = (row["win_ratio"], row["win_ratio_low"], row["win_ratio_high"])
                bars.append(Bar(row["generator"], *figures, beaten.get(row["generator"], _COIN)))
        note = (
            f"Outcome: {best}.{''.join(place)} Win ratio: the share of comparisons won, a tie being half. "
            "Ranking order: the mean place among the texts about a recommendation, 1 the best; equal ones share it. "
            "Rows: recommendations; ranked: those where each text was compared, of which the ranking order is. 95 % "
            "intervals over users. Below: what trivial rules would say"
            f"{'' if source == asked else f' to the questions of {asked}'}."
        )
        note += _dash(rows, "nothing could be read")
        name = safe_name(f"table2-{recommender}-{label_of(str(source))}")
        head = ("generator", "source", "win ratio", "ranking order", "rows", "ranked", "unreadable")
        title = f"Compared by {source}: {recommender} (the paper's Table 2)"
        yield Sheet(name, title, head, tuple(rows), note, tuple(bars), f"win ratio; dashed: {rule}")
        yield from _against(workspace, str(recommender), str(source), scores["generator"].to_list(), seed)


def _against(
    workspace: Workspace, recommender: str, source: str, generators: Sequence[str], seed: int
) -> Iterator[Sheet]:
    """Each generator against the one that the recipe names for this judge, as the paper's Figures 3 and 4 have it."""
    judges = workspace.read_manifest().get("recipe", {}).get("judges", [])
    named = dict.fromkeys(judge.get("against") for judge in judges if judge.get("spec") == source)
    for against in (one for one in named if one in generators):
        places = {workspace.path.resolve().name: workspace}
        found = duels_of(places, seed).filter(recommender=recommender, source=source, against=against)
        # In the order of the recipe: lengths of history, amounts of data.
        order = [name for name in _labels(workspace) if name in generators]
        some = sorted(found.iter_rows(named=True), key=lambda row: (*order, row["generator"]).index(row["generator"]))
        rows = [
            (row["generator"], _interval(row["win_ratio"], row["low"], row["high"]), f"{row['rows']:,}") for row in some
        ]
        bars = [Bar(row["generator"], row["win_ratio"], row["low"], row["high"], _COIN) for row in some]
        title = f"Against {against}, compared by {source}: {recommender} (the paper's Figures 3 and 4)"
        note = (
            f"The share of recommendations where the judge prefers it to {against}, a tie being half, with 95 % "
            "intervals over users; 0.5 is a coin, or texts that are the same. What the judge is worth stands above."
        )
        name = safe_name(f"against-{recommender}-{label_of(source)}")
        head = ("generator", "win ratio", "rows")
        yield Sheet(name, title, head, tuple(rows), note, tuple(bars), "win ratio; dashed: a coin")


def _labels(workspace: Workspace) -> list[str]:
    """The names of the recipe's generators, in its order."""
    told = workspace.read_manifest().get("recipe", {}).get("generators", [])
    return [str(one.get("name") or one.get("adapter") or slug(str(one.get("spec", "")))) for one in told]


def _attributes(workspace: Workspace) -> Sheet:
    head = ("recommender", "target", "who", "accuracy", "with unread as wrong", "rows", "unread")
    found = _csv(workspace, "table3")
    apart = asked_apart(((row["recommender"], row["target"]), row["beside"] or "") for row in found)
    names = [rule_name(row["who"], (row["beside"] or "") if apart else "") for row in found]
    rows = [
        (row["recommender"], row["target"], name, _interval(row["accuracy"], row["low"], row["high"]),
         _interval(row["over_all"], row["over_all_low"], row["over_all_high"]), f"{row['rows']:,}",
         f"{row['unread']:,}")
        for row, name in zip(found, names, strict=True)
    ]  # fmt: skip
    # Of the generators beside which it stands, one by one, and of the other rules there.
    constant = {
        (row["recommender"], row["target"], whose): row["accuracy"]
        for row in found
        if row["who"] == FREQUENT and row["beside"]
        for whose in (row["beside"], *row["beside"].split(", "))
    }
    whole = _prefix(row["recommender"] for row in found)
    bars = [
        Bar(f"{row['target']}: {whole(row['recommender'])}{name}", row["accuracy"], row["low"], row["high"],
            constant.get((row["recommender"], row["target"], row["beside"] or row["who"])))
        for row, name in zip(found, names, strict=True)
        if row["who"] not in (RANDOM, FREQUENT) and row["accuracy"] is not None
    ]  # fmt: skip
    note = (
        f"How often a predicted attribute is right, with 95 % intervals over users. To be beaten on the same rows: "
        f"{RANDOM} (a uniform guess), {FREQUENT} (the best constant) and {SUPERVISED} (on the whole history)."
    )
    note += _dash(rows, "no answer could be read")
    drawn = f"accuracy; dashed: the {FREQUENT} answer"
    return Sheet("table3", "Attributes (the paper's Table 3)", head, tuple(rows), note, tuple(bars), drawn)


def _people(workspace: Workspace, seed: int) -> Iterator[Sheet]:
    for file in sorted((workspace.path / "ratings").glob("*.jsonl")):
        ratings = read_ratings(file)
        rows, bars = [], []
        for row in figure_2(ratings, seed).iter_rows(named=True):
            figures = row["mean"], row["low"], row["high"]
            cells = (row["raters"], row["generator"], row["scale"])
            rows.append((*cells, _interval(*figures), f"{row['ratings']:,}", f"{row['rows']:,}"))
            kind = ", by themselves" if row["raters"] == "self" else ""
            bars.append(Bar(f"{row['generator']}, {row['scale']}{kind}", *figures))
        if rows:
            name, title = f"figure2-{file.stem}", f"People: {file.stem} (the paper's Figure 2)"
            head = ("raters", "generator", "scale", "mean", "ratings", "rows")
            note = (
                "Scores from 1 to 10, higher is better. Rows: recommendations. 95 % intervals over the people whose "
                "recommendations were rated. A score has no trivial rule; a difference has to be other than 0."
            )
            yield Sheet(name, title, head, tuple(rows), note, tuple(bars), "mean scores")
            apart = [
                (row["raters"], row["scale"], row["a"], row["b"],
                 _interval(row["difference"], row["low"], row["high"]), f"{row['rows']:,}")
                for row in differences(ratings, seed).iter_rows(named=True)
            ]  # fmt: skip
            head = ("raters", "scale", "generator", "less", "points", "rows")
            note = "By how many points people score one higher than another, where both were rated; 0 is no difference."
            note += _dash(apart, "no recommendation of which both were rated")
            yield Sheet(f"{name}-differences", f"People: {file.stem}, differences", head, tuple(apart), note)


def _faithfulness(workspace: Workspace) -> Sheet:
    found = _csv(workspace, "faithfulness")
    whole = _prefix(row["recommender"] for row in found)
    random = {
        (row["recommender"], row["generator"]): row["value"]
        for row in found
        if row["measure"] == FLIP and row["removed"] == AT_RANDOM
    }
    rows, bars = [], []
    for row in found:
        interval = _interval(row["value"], row["low"], row["high"])
        removed = row["removed"] or "nothing"
        rows.append((row["recommender"], row["generator"], removed, row["measure"], interval, f"{row['rows']:,}",
                     f"{row['unread']:,}"))  # fmt: skip
        if row["measure"] == FLIP and row["removed"] == CITED and row["value"] is not None:
            what, rule = (
                whole(row["recommender"]) + row["generator"],
                random.get((row["recommender"], row["generator"])),
            )
            bars.append(Bar(what, row["value"], row["low"], row["high"], rule))
    note = (
        "Citing: the share of texts that cite the history; items: how many those cite; coverage: of what a "
        "recommendation rests on, the share that is cited. Then, without what texts cite: flip, the share of "
        "recommendations that fall; POS, the share still among the best; NEG, the same when all others go; rank drop, "
        "how many places they fall. To be beaten: as many random items. The best there is: as many of the true "
        "evidence. 95 % intervals over users. Unread: texts that are not ok, or of whose recommendation nobody traced "
        "the evidence; they count nowhere."
    )
    note += _dash(rows, "no text cites anything, or what recommendations rest on is not known")
    if any(row["surrogate"] for row in found):
        note += " Measured on a stand-in: the recommender itself cannot be asked."
    head = ("recommender", "generator", "removed", "measure", "value", "rows", "unread")
    drawn = "flips without what is cited; dashed: without as many random items"
    return Sheet("faithfulness", "Faithfulness", head, tuple(rows), note, tuple(bars), drawn)


def _identified(workspace: Workspace) -> Sheet:
    found = _csv(workspace, "identifiability")
    whole = _prefix(row["recommender"] for row in found)
    rows, bars = [], []
    for row in found:
        recall = row["recall"], row["recall_low"], row["recall_high"]
        bits = _interval(row["bits"], row["bits_low"], row["bits_high"])
        rows.append((row["recommender"], row["who"], row["by"], f"{row['among']:,}", _interval(*recall), bits,
                     f"{row['rows']:,}", f"{row['unread']:,}"))  # fmt: skip
        is_rule = row["who"] == POPULAR or row["who"].endswith(f", {SHUFFLED}")
        if row["by"] == ALL and recall[0] is not None and not is_rule:
            bars.append(Bar(whole(row["recommender"]) + row["who"], *recall, 1 / max(1, row["among"])))
    head = ("recommender", "who", "by", "among", "recall at 1", "bits", "rows", "unread")
    note = (
        "Each text's person is looked for among others, by what the text tells. Recall at 1: how often found; by "
        "chance, 1 by how many these are. Bits: what the text tells about whose it is; by chance, 0. Shuffled texts "
        "and the popular template are what has to be beaten. 95 % intervals over users."
    )
    note += _dash(rows, "no text could be read")
    drawn = f"recall at 1 by {ALL}; dashed: chance"
    return Sheet("identifiability", "Whose a text is", head, tuple(rows), note, tuple(bars), drawn)


def _fairness(workspace: Workspace) -> Sheet:
    rows = [
        (row["recommender"], row["who"], row["measure"], f"{row['attribute']}: {_group(row)}",
         _interval(row["mean"], row["mean_low"], row["mean_high"]),
         _interval(row["difference"], row["difference_low"], row["difference_high"]),
         _interval(row["adjusted"], row["adjusted_low"], row["adjusted_high"]), f"{row['rows']:,}",
         f"{row['unread']:,}")
        for row in _csv(workspace, "fairness")
    ]  # fmt: skip
    head = ("recommender", "who", "measure", "group", "mean", "difference", "at equal history", "rows", "unread")
    note = (
        "Difference: how far a group's mean is from that of the rest; 0 is none. To hold it against: the template's, "
        "whose sentences are the same for all, and that at equal length of history. Only flipped pairs, the same "
        "prompts but for the attribute, tell what the attribute itself does. 95 % intervals over users."
    )
    note += _dash(rows, "flipped pairs are of the same history, and the length of history is what is held equal")
    return Sheet("fairness", "Groups (the paper's Table 4)", head, tuple(rows), note)


def _group(row: Mapping[str, Any]) -> str:
    if row["how"] == "flipped":
        return f"{row['group']} for {row['against']}, flipped"
    return str(row["group"]) if row["against"] == REST else f"{row['group']} against {row['against']}"


def _costs(workspace: Workspace, seed: int) -> Sheet:
    rows = []
    for recommender in workspace.recommenders():
        now = current_explanations(workspace, recommender)
        for generator in workspace.generators(recommender):
            asked = now.get(generator, pl.DataFrame(schema=SCHEMA))
            ended = asked["status"].value_counts(sort=True).sort("count", "status", descending=[True, False])
            words = word_counts(asked)
            length = mean("words", words["words"].cast(pl.Float64).to_numpy(), words["user_id"], seed)
            told = ", ".join(f"{count:,} {how}" for how, count in ended.iter_rows())
            others = asked.filter(pl.col("source").is_not_null() & (pl.col("source") != "generator")).height
            every = list(answer_rows(workspace.explanations(recommender, generator)))
            tokens = [row["output_tokens"] for row in every if row.get("output_tokens") is not None]
            paid = [row.get("cost") for row in every]
            known = [one for one in paid if one is not None]
            rows.append((
                recommender, generator, f"{asked.height:,}", told or "none is of what is recommended now",
                f"{others:,}", _interval(length.value, length.low, length.high, 1) if length.rows else "–",
                f"{sum(tokens):,}" if tokens else "–", f"{sum(known):.4f}" if len(known) == len(paid) else "–",
            ))  # fmt: skip
    head = ("recommender", "generator", "rows", "how they ended", "fixed", "words", "tokens written", "USD")
    note = (
        "Counts of the last answers to what is recommended now, so without intervals or a rule to beat; words: the "
        "mean of texts that are ok, with its 95 % interval over users. Fixed: sentences of the template in place of a "
        "text that was rejected. Tokens and USD: of all that was ever asked, answers that were rejected included; USD "
        "by the prices that were given; what runs here costs none."
    )
    note += _dash(rows, "no text is ok, no tokens were counted, or what an answer cost is not known")
    return Sheet("costs", "How explanations ended, and what they cost", head, tuple(rows), note)


def _times(workspace: Workspace) -> Sheet:
    took: dict[tuple[str, ...], tuple[int, int, float]] = {}
    for row in read_ledger(workspace.times) if workspace.times.exists() else ():
        key = tuple(str(row.get(name) or "") for name in ("stage", "recommender", "who"))
        runs, rows, seconds = took.get(key, (0, 0, 0.0))
        took[key] = runs + 1, rows + int(row.get("rows", 0)), seconds + float(row.get("seconds", 0.0))
    lines = [
        (*key, f"{runs:,}", f"{rows:,}", f"{seconds:.1f}" if seconds >= _SHORTEST else f"{seconds:.3f}",
         f"{rows / seconds:,.0f}" if seconds >= _SHORTEST else "–")
        for key, (runs, rows, seconds) in took.items()
    ]  # fmt: skip
    head = ("stage", "recommender", "who", "runs", "rows", "seconds", "rows a second")
    note = (
        "Sums over runs that came to their end, as the clock had them: no intervals, no rule. Rows of training are "
        "interactions, of tuning what is learned from."
    )
    note += _dash(lines, f"less than {_SHORTEST} seconds tell no rate")
    return Sheet("times", "How long it took", head, tuple(lines), note)


def _prefix(recommenders: Iterable[str]) -> Callable[[str], str]:
    """What stands before a name in a drawing: the recommender, where there are several."""
    several = len(set(recommenders)) > 1
    return lambda recommender: f"{recommender}, " if several else ""


def _dash(rows: Iterable[Sequence[str]], reason: str) -> str:
    """What a dash means, for a note of `rows` that have one."""
    return f" –: {reason}." if any("–" in row for row in rows) else ""


def _csv(workspace: Workspace, name: str) -> list[dict[str, Any]]:
    return read_table(workspace.table(name), MEASURED[name]).to_dicts()


def _interval(value: object, low: object, high: object, digits: int = 3) -> str:
    if not (isinstance(value, int | float) and isinstance(low, int | float) and isinstance(high, int | float)):
        return "–"
    # What rounds to nothing has no sign.
    shown = [f"{figure:.{digits}f}" if round(figure, digits) else f"{0:.{digits}f}" for figure in (value, low, high)]
    return "–" if value != value else f"{shown[0]} [{shown[1]}, {shown[2]}]"
