"""The paper's Table 2 from the verdicts of workspaces, beside what trivial rules would give: as CSV, and for people."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import suppress
from itertools import combinations
from pathlib import Path
from typing import Any

import polars as pl

from llmxrec.datasets.domains import load_domain
from llmxrec.errors import InputError
from llmxrec.evaluation.agreement import agreement
from llmxrec.evaluation.ranking import DUELS, duels, outcomes, positions, score, strengths, trivial_rules, word_counts
from llmxrec.evaluation.validity import LEAST_RECOMMENDATIONS
from llmxrec.evaluation.verdicts import PEOPLE, RELEASED, read_verdicts
from llmxrec.generators.specs import slug
from llmxrec.recommenders.metrics import Metric
from llmxrec.reports.export import defuse
from llmxrec.stored import current_explanations, taught_by
from llmxrec.workspace import Workspace, atomic

TABLE_2 = {
    "recommender": pl.String,
    "dataset": pl.String,
    "generator": pl.String,
    "source": pl.String,
    "win_ratio": pl.Float64,
    "win_ratio_low": pl.Float64,
    "win_ratio_high": pl.Float64,
    "ranking_order": pl.Float64,
    "ranking_order_low": pl.Float64,
    "ranking_order_high": pl.Float64,
    "rows": pl.Int64,
    "ranked": pl.Int64,
    "unreadable": pl.Int64,
}
"""The paper's Table 2: where its figures come from, their intervals, and what is behind them (see `ranking.score`): of
the ranking order, `ranked` recommendations."""

POSITIONS = {
    "recommender": pl.String,
    "dataset": pl.String,
    "source": pl.String,
    "first": pl.String,
    "second": pl.String,
    "second_wins": pl.Float64,
    "low": pl.Float64,
    "high": pl.Float64,
    "rows": pl.Int64,
}
"""How often the text shown second wins: for each two generators in the order shown; for all, where both are empty."""

STRENGTHS = {
    "recommender": pl.String,
    "dataset": pl.String,
    "source": pl.String,
    "texts": pl.String,
    "generator": pl.String,
    "strength": pl.Float64,
    "low": pl.Float64,
    "high": pl.Float64,
    "rows": pl.Int64,
}
"""Bradley-Terry strengths (see `ranking.strengths`), log odds with mean 0; `texts`: as they are, or at equal length."""

AGAINST = {"recommender": pl.String, "dataset": pl.String, "source": pl.String, **DUELS}
"""How often each generator wins from each other one (see `ranking.duels`): the paper's Figures 3 and 4 are of this."""

RELEASED_SOURCE = "released verdicts"
RULES = {"second": "always the second", "longer": "the longer text", "random": "a coin"}
"""Trivial rules (see `ranking.trivial_rules`) -> what they are called as a source."""


def table_2(workspaces: Mapping[str, Workspace], seed: int = 1) -> pl.DataFrame:
    """Win ratio and ranking order from all verdicts of `workspaces` (dataset -> workspace): the columns of TABLE_2.

    A row for each recommender, dataset, source of verdicts and generator, in that order. `source` is RELEASED_SOURCE,
    or the judge's name.
    """
    found = [
        _named(score(verdicts, seed), recommender, dataset, source)
        for dataset, recommender, source, verdicts in _all_verdicts(workspaces)
    ]
    return _sorted(found)


def rules_of_table_2(workspaces: Mapping[str, Workspace], seed: int = 1) -> pl.DataFrame:
    """As `table_2`, from what the trivial rules would have answered to the same questions; `source` is the rule.

    Where several judges were asked, the questions are those of the first, released verdicts before all others.
    """
    found, done = [], set()
    for dataset, recommender, _, verdicts in _all_verdicts(workspaces):
        if (dataset, recommender) not in done:
            done.add((dataset, recommender))
            rules = trivial_rules(verdicts, _words(workspaces[dataset], recommender), seed)
            found += [
                _named(score(rules[rule], seed), recommender, dataset, source)
                for rule, source in RULES.items()
                if rule in rules
            ]
    return _sorted(found)


def positions_of(workspaces: Mapping[str, Workspace], seed: int = 1) -> tuple[pl.DataFrame, list[str]]:
    """How much the place decided in the verdicts of `workspaces`: a table with the columns of POSITIONS, and in words.

    Judges to which no order was shown are left out.
    """
    tables, lines = [pl.DataFrame(schema=POSITIONS)], []
    for dataset, recommender, source, verdicts in _all_verdicts(workspaces):
        found = positions(verdicts, seed)
        if not found.second.rows:
            continue
        figures = {key: [getattr(found.second, key)] for key in ("value", "low", "high", "rows")}
        whole = pl.DataFrame({"first": [None], "second": [None], **figures}, schema=found.pairs.schema)
        tables.append(
            pl.concat([whole, found.pairs])
            .rename({"value": "second_wins"})
            .with_columns(recommender=pl.lit(recommender), dataset=pl.lit(dataset), source=pl.lit(source))
            .select(*POSITIONS)
        )
        twice = found.consistency
        agreed = (
            f"{_share(twice)} of {twice.rows:,} pairs agree in both orders"
            if twice.rows
            else "no pair was shown in both orders"
        )
        lines.append(
            f"{recommender} on {dataset}, {source}: the text shown second wins {_share(found.second)} of "
            f"{found.second.rows:,}; {agreed}"
        )
    return pl.concat(tables), lines


def strengths_of(workspaces: Mapping[str, Workspace]) -> pl.DataFrame:
    """Bradley-Terry strengths from all verdicts of `workspaces`, as they are and at equal length: columns STRENGTHS."""
    tables = [pl.DataFrame(schema=STRENGTHS)]
    for dataset, recommender, source, verdicts in _all_verdicts(workspaces):
        pairs, words = outcomes(verdicts), _words(workspaces[dataset], recommender)
        if pairs.is_empty():
            continue
        ways = {"as they are": strengths(pairs).table}
        if words is not None:
            with suppress(InputError):  # the length of no two texts compared is known
                ways["at equal length"] = strengths(pairs, words).table
        keys = {"recommender": recommender, "dataset": dataset, "source": source}
        tables += [
            found.with_columns(pl.lit(value).alias(name) for name, value in {**keys, "texts": way}.items()).select(
                *STRENGTHS
            )
            for way, found in ways.items()
        ]
    return pl.concat(tables)


def duels_of(workspaces: Mapping[str, Workspace], seed: int = 1) -> pl.DataFrame:
    """Each generator against each other one, from all verdicts of `workspaces`: the columns of AGAINST."""
    found = [
        duels(verdicts, seed).select(
            pl.lit(recommender).alias("recommender"), pl.lit(dataset).alias("dataset"),
            pl.lit(source).alias("source"), *DUELS,
        )
        for dataset, recommender, source, verdicts in _all_verdicts(workspaces)
    ]  # fmt: skip
    return pl.concat([pl.DataFrame(schema=AGAINST), *found])


def write_tables(workspaces: Mapping[str, Workspace], out: Workspace, seed: int = 1) -> list[Path]:
    """Write Table 2, what trivial rules would give, strengths, how much the place decided, and each generator against
    each other one; returns the files.
    """
    tables = {
        "table2": table_2(workspaces, seed),
        "table2-rules": rules_of_table_2(workspaces, seed),
        "strengths": strengths_of(workspaces),
        "positions": positions_of(workspaces, seed)[0],
        "against": duels_of(workspaces, seed),
    }
    for name, table in tables.items():
        write_table(table, out.table(name))
    return [out.table(name) for name in tables]


def verdict_lines(workspaces: Mapping[str, Workspace], seed: int = 1) -> list[str]:
    """All verdicts of `workspaces` for people: tables side by side, how much the place decided, and who wins."""
    table = table_2(workspaces, seed)
    lines = side_by_side(pl.concat([table, rules_of_table_2(workspaces, seed)])) + positions_of(workspaces, seed)[1]
    for dataset, recommender, source, _ in _all_verdicts(workspaces):
        scores = table.filter(recommender=recommender, dataset=dataset, source=source)
        best = winner(workspaces[dataset], recommender, label_of(source), scores)
        lines.append(f"{recommender} on {dataset}, {source}: {best}")
    return lines + _agreements(workspaces, seed)


def _agreements(workspaces: Mapping[str, Workspace], seed: int) -> list[str]:
    """How far each two that judged the same recommendations agree."""
    by_table: dict[tuple[str, str], list[tuple[str, pl.DataFrame]]] = {}
    for dataset, recommender, source, verdicts in _all_verdicts(workspaces):
        by_table.setdefault((recommender, dataset), []).append((source, outcomes(verdicts)))
    return [
        f"{recommender} on {dataset}, {one} beside {other}: {agreement(mine, theirs, seed)}"
        for (recommender, dataset), judged in by_table.items()
        for (other, theirs), (one, mine) in combinations(judged, 2)
    ]


def label_of(source: str) -> str:
    """What the verdicts of a `source` (see TABLE_2) are called in a workspace."""
    return RELEASED if source == RELEASED_SOURCE else slug(source)


def winner(workspace: Workspace, recommender: str, judge: str, scores: pl.DataFrame) -> str:
    """Who wins in `scores` (columns of TABLE_2) of one judge, called `judge` in the workspace; or why nobody does."""
    taught = [
        name
        for name in workspace.generators(recommender)
        if name in scores["generator"]
        and judge in {slug(teacher) for teacher in taught_by(workspace, recommender, name)}
    ]
    why = f"the judge taught {', '.join(taught)}; ask another" if taught else doubts(workspace, recommender, judge)
    if why:
        return f"no winner: {why}"
    whose = "by people's own comparisons" if judge == PEOPLE else _validity(workspace, recommender, judge)
    ranked = scores.drop_nulls("win_ratio").sort("win_ratio", descending=True)
    if ranked.is_empty():
        return "no winner: nothing could be read"
    best, *others = ranked.iter_rows(named=True)
    apart = [other for other in others if other["win_ratio_high"] >= best["win_ratio_low"]]
    if apart:
        names = ", ".join(other["generator"] for other in apart)
        alike = best["win_ratio"] == others[0]["win_ratio"]
        first = "none wins most" if alike else f"{best['generator']} wins most, but not surely more than {names}"
        return f"{first}; {whose}"
    if others and best["rows"] < LEAST_RECOMMENDATIONS:
        few = f"{best['rows']:,} recommendations, fewer than {LEAST_RECOMMENDATIONS}"
        return f"{best['generator']} wins most, but of {few}; {whose}"
    return f"{best['generator']} wins; {whose}"


def doubts(workspace: Workspace, recommender: str, judge: str) -> str:
    """Why verdicts of `judge` are not to be believed: INVALID, or never measured. Empty: it is VALID, or people."""
    if judge == PEOPLE:
        return ""
    file = workspace.validity(recommender, judge)
    try:
        found = json.loads(file.read_text(encoding="utf-8")) if file.exists() else {}
        measured, valid = bool(found.get("measured")), bool(found.get("valid"))
        reasons = "; ".join(map(str, found.get("reasons") or ()))
    except (ValueError, AttributeError, TypeError):
        raise InputError("what a judge was found to be worth is a JSON object", file=file, cure="judge again") from None
    if not measured:
        return "the judge is not shown to be valid: nobody measured it on labelled pairs"
    return "" if valid else f"the judge is INVALID: {reasons}"


def _validity(workspace: Workspace, recommender: str, judge: str) -> str:
    """That the judge is VALID; and of what, where it was measured on texts about other things than these."""
    file = workspace.validity(recommender, judge)
    found = json.loads(file.read_text(encoding="utf-8"))
    about, rules = found.get("domains") or [], found.get("rules") or {}
    own = load_domain(workspace.dataset / "domain.toml").name
    measured = "names_only" not in rules or rules["names_only"] is not None
    unknown = "" if measured else ", though not measured against the generators' names"
    if not about or own in about:
        return f"the judge is VALID{unknown}"
    return f"the judge is VALID on texts about {', '.join(map(str, about))}, and not tried on {own}{unknown}"


def write_table(table: pl.DataFrame, file: Path) -> None:
    """Write `table` as CSV, made safe for spreadsheets; numbers as they are, nothing where there is none."""
    with atomic(file) as draft:
        defuse(table).write_csv(draft)


def replace_rows(file: Path, schema: Mapping[str, Any], rows: pl.DataFrame, replaced: pl.Expr) -> None:
    """Write `rows`, of columns `schema`, to the table `file`, in place of those of its rows that are `replaced`."""
    kept = read_table(file, schema).filter(~replaced)
    write_table(pl.concat([kept, rows]).sort("recommender", maintain_order=True), file)


def read_table(file: Path, schema: Mapping[str, Any]) -> pl.DataFrame:
    """A table that was written with columns `schema`; no rows where there is none. Raises InputError for another."""
    if not file.exists():
        return pl.DataFrame(schema=schema)
    try:
        return pl.read_csv(file, schema=schema)
    except pl.exceptions.PolarsError as error:
        what = f"table {file.stem} has columns of its own: {error}"
        raise InputError(what, file=file, cure="delete it, and measure again") from None


def side_by_side(table: pl.DataFrame) -> list[str]:
    """`table` (columns of TABLE_2) for people: by recommender and dataset, a line for each generator and source."""
    lines = []
    for (recommender, dataset), part in table.partition_by("recommender", "dataset", as_dict=True).items():
        lines.append(f"{recommender} on {dataset}")
        best = (
            part.group_by("generator")
            .agg(pl.col("win_ratio").first())
            .sort("win_ratio", descending=True, nulls_last=True)
        )
        width = max(map(len, part["source"]))
        for generator in best["generator"]:
            lines.append(f"  {generator}")
            for row in part.filter(pl.col("generator") == generator).iter_rows(named=True):
                ratio, order = (bounds(row, name) for name in ("win_ratio", "ranking_order"))
                count = f"{row['rows']:,} rows"
                count += f", {row['ranked']:,} ranked" if row["ranked"] != row["rows"] else ""
                count += f", {row['unreadable']:,} unreadable" if row["unreadable"] else ""
                lines.append(f"    {row['source']:<{width}}  WR {ratio}  RO {order}  {count}")
    return lines


def _all_verdicts(workspaces: Mapping[str, Workspace]) -> Iterator[tuple[str, str, str, pl.DataFrame]]:
    """Dataset, recommender, source and verdicts, released ones first."""
    for dataset, workspace in workspaces.items():
        for recommender in sorted(folder.name for folder in workspace.path.glob("verdicts/[!.]*") if folder.is_dir()):
            for judge in sorted(workspace.judges(recommender), key=lambda name: (name != RELEASED, name)):
                verdicts = read_verdicts(workspace.verdicts(recommender, judge))
                if verdicts.height:
                    name = verdicts["judge"][0]
                    yield dataset, recommender, RELEASED_SOURCE if name == RELEASED else name, verdicts


def _words(workspace: Workspace, recommender: str) -> pl.DataFrame | None:
    """How long the explanations are that the workspace holds, by the names of their files: verdicts go by these, while
    several may be by one model. None where it holds none.
    """
    tables = [
        word_counts(told.with_columns(pl.lit(generator).alias("generator")))
        for generator, told in current_explanations(workspace, recommender).items()
    ]
    return pl.concat(tables) if tables else None


def _named(scores: pl.DataFrame, recommender: str, dataset: str, source: str) -> pl.DataFrame:
    known = scores.with_columns(recommender=pl.lit(recommender), dataset=pl.lit(dataset), source=pl.lit(source))
    return known.select(*TABLE_2)


def _sorted(tables: list[pl.DataFrame]) -> pl.DataFrame:
    """In one, by recommender and dataset; sources as they come."""
    return pl.concat([pl.DataFrame(schema=TABLE_2), *tables]).sort("recommender", "dataset", maintain_order=True)


def bounds(row: Mapping[str, float | None], name: str) -> str:
    """The figure `name` of a row of TABLE_2 with its interval; a dash where there is none."""
    value, low, high = row[name], row[f"{name}_low"], row[f"{name}_high"]
    return "–" if value is None or low is None or high is None else f"{value:.3f} [{low:.3f}, {high:.3f}]"


def _share(metric: Metric) -> str:
    return f"{metric.value:.1%} [{metric.low:.1%}, {metric.high:.1%}]"
