"""The results of a study as tables of words, and as files."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import isnan
from pathlib import Path
from tempfile import TemporaryDirectory

import polars as pl

from llmxrec.evaluation.verdicts import PEOPLE, read_verdicts
from llmxrec.study.results import (
    against_judge,
    bring_in,
    export_answers,
    pairs_of,
    results,
    write_pairs,
)
from llmxrec.study.store import Store
from llmxrec.workspace import Workspace

KINDS = {
    "csv": "text/csv; charset=utf-8",
    "parquet": "application/vnd.apache.parquet",
    "jsonl": "application/x-ndjson",
}
"""Files in which answers are given out, and what browsers are told that they are."""


@dataclass(frozen=True, slots=True)
class Table:
    """A table that is ready to be shown. `note` says what its numbers are."""

    heading: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    note: str = ""


def tables(store: Store, workspace: Workspace | None) -> list[Table]:
    """What the study found. Raises InputError before it is unblinded."""
    answers, design = store.ratings(), store.design
    found = results(answers, design.seed)
    shown = []
    if found.figure_2.height:
        over = "Means over ratings, each with its 95 % interval over the people whose recommendations were rated."
        shown.append(_table("Scores, as in the paper’s Figure 2", found.figure_2, over))
    if found.differences.height:
        paired = "How much higher a is scored than b, on the recommendations of which both are rated."
        shown.append(_table("Differences", found.differences, paired))
    if found.strengths is not None and found.strengths.height:
        shown.append(_table("Comparisons (Bradley-Terry)", found.strengths, "Of third-party raters."))
    agreed = [[one.name, *map(_words, (one.value, one.low, one.high)), str(one.rows)] for one in found.agreement]
    krippendorff = "Krippendorff’s alpha among third-party raters: 1 is full agreement, 0 what chance gives."
    shown.append(Table("Agreement of raters", ("of", "value", "low", "high", "rows"), agreed, krippendorff))
    if workspace is not None and (judged := _judges(workspace, design.recommender, answers, design.seed)):
        judge = "How far each judge of the workspace says what people say."
        shown.append(Table("Judges against people", ("judge", "people’s", "agreement"), judged, judge))
    left_out = [[why, str(count)] for why, count in found.left_out.items()]
    if left_out:
        shown.append(Table("Left out", ("why", "answers"), left_out))
    return shown


def answers_as(answers: pl.DataFrame, kind: str) -> bytes:
    """All answers as a file of `kind`, one of KINDS."""
    with TemporaryDirectory() as folder:
        file = Path(folder, f"answers.{kind}")
        export_answers(answers, file)
        return file.read_bytes()


def keep(store: Store, workspace: Workspace) -> list[Path]:
    """Take ratings, comparisons, and pairs for a judge to learn from into the workspace; returns the files."""
    answers = store.ratings()
    files = bring_in(answers, workspace)
    if pairs := pairs_of(answers, store.rows(), store.domain):
        files.append(workspace.path / "pairs" / f"{store.design.recommender}.jsonl")
        write_pairs(pairs, files[-1])
    return files


def _judges(workspace: Workspace, recommender: str, answers: pl.DataFrame, seed: int) -> list[list[str]]:
    found = []
    for judge in workspace.judges(recommender):
        if judge != PEOPLE:
            judged = read_verdicts(workspace.verdicts(recommender, judge))
            found += [[judge, what, str(one)] for what, one in against_judge(judged, answers, seed).items()]
    return found


def _table(heading: str, table: pl.DataFrame, note: str) -> Table:
    # What is the same in all rows is told once at most.
    columns = [name for name in table.columns if name != "recommender"]
    rows = [[_words(value) for value in row] for row in table.select(columns).iter_rows()]
    return Table(heading, columns, rows, note)


def _words(value: object) -> str:
    if isinstance(value, float):
        return "–" if isnan(value) else f"{value:.2f}"
    return "–" if value is None else str(value)
