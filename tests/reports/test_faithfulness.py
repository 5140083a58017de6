"""The table of faithfulness: measured anew for one recommender, it keeps what it has of the others."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest

from llmxrec.errors import InputError
from llmxrec.evaluation.faithfulness import CITED, Faithfulness, Removal
from llmxrec.recommenders.metrics import Metric
from llmxrec.reports.faithfulness import FAITHFULNESS, faithfulness_lines, write_faithfulness
from llmxrec.workspace import Workspace


def found(value: float) -> Faithfulness:
    """All measures are `value`, but for `drop`, which is of no row."""

    def metric(name: str, value: float = value) -> Metric:
        return Metric(name, value, value - 0.1, value + 0.1, 7)

    nothing = Metric("drop", math.nan, math.nan, math.nan, 0)
    removal = Removal(CITED, metric("flip"), metric("pos"), metric("neg"), nothing)
    return Faithfulness(metric("citing"), metric("items"), metric("coverage"), (removal,), unread=2)


def lines(file: Path, recommender: str) -> list[str]:
    return [line for line in file.read_text(encoding="utf-8").splitlines() if line.startswith(f"{recommender},")]


def test_what_is_of_other_recommenders_stays_as_it_is(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path)
    file = write_faithfulness({"bpr": {"template": found(1 / 3), "embedded": found(0.2)}}, {"bpr": False}, workspace)
    assert file == workspace.table("faithfulness")
    of_bpr = lines(file, "bpr")
    assert len(of_bpr) == 2 * 7 and not lines(file, "external")

    write_faithfulness({"external": {"template": found(0.5)}}, {"external": True}, workspace)
    assert lines(file, "bpr") == of_bpr and len(lines(file, "external")) == 7

    # What it had of the same one goes, whoever wrote the texts.
    write_faithfulness({"external": {"them": found(0.6)}}, {"external": True}, workspace)
    table = pl.read_csv(file, schema=FAITHFULNESS)
    assert lines(file, "bpr") == of_bpr
    assert table.filter(recommender="external").select("generator", "surrogate").unique().rows() == [("them", True)]
    assert not table.filter(recommender="bpr")["surrogate"].any() and set(table["unread"]) == {2}
    by_measure = dict(table.filter(recommender="external").select("measure", "value").iter_rows())
    assert by_measure == {
        "citing": 0.6, "items": 0.6, "coverage": 0.6, "flip": 0.6, "pos": 0.6, "neg": 0.6, "drop": None
    }  # fmt: skip


def test_people_are_told_what_was_not_read() -> None:
    told, *_ = faithfulness_lines("bpr", "x", found(0.5))
    assert told.endswith("of what the recommendation rests on; 2 unread") and "of 7 texts cite" in told
    told, *_ = faithfulness_lines("bpr", "x", replace(found(0.5), unread=0))
    assert told.endswith("of what the recommendation rests on")


def test_a_table_of_something_else_is_not_written_over(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path)
    file = workspace.table("faithfulness")
    file.parent.mkdir(parents=True)
    file.write_text("mine,yours\n1,2\n")
    with pytest.raises(InputError, match="table faithfulness has columns of its own"):
        write_faithfulness({"bpr": {"template": found(0.5)}}, {"bpr": False}, workspace)
    assert file.read_text() == "mine,yours\n1,2\n"
