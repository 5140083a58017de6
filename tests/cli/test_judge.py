"""`llmxrec judge`, as a user gives it: measured first, then compared, and a winner only where the judge is valid."""

from __future__ import annotations

import json
from pathlib import Path

import polars as pl
import pytest
from tests.conftest import Call

from llmxrec.evaluation.judges.text import TextJudge
from llmxrec.ledger import read_ledger


@pytest.fixture
def explained(call: Call) -> Path:
    """The demo's people, explained by two generators."""
    assert call("init", "w", "--dataset", "demo").code == 0
    assert call("recommend", "w", "--recommender", "popularity").code == 0
    for generator in ("template", "embedded"):
        assert call("explain", "w", "--generator", generator, "--users", "30").code == 0
    return Path("w")


def test_a_valid_judge_names_a_winner_and_goes_on_where_it_was(call: Call, explained: Path, pairs: Path) -> None:
    ended = call("judge", explained, "--train", pairs)
    assert ended.code == 0, ended.out
    lines = ended.out.splitlines()
    assert "VALID" in lines and "30 recommendations compared: 30 ok" in lines
    assert any(line.startswith("popularity on w, text: ") and line.endswith("the judge is VALID") for line in lines)
    table = pl.read_csv("w/tables/table2.csv")
    assert set(table["generator"]) == {"embedded", "template"} and set(table["rows"]) == {30}
    assert table["win_ratio"].sum() == pytest.approx(1)
    assert {file.name for file in Path("w/tables").iterdir()} == {
        "against.csv", "positions.csv", "strengths.csv", "table2-rules.csv", "table2.csv"
    }  # fmt: skip
    assert lines[-1] == "next: llmxrec audit w"
    page = Path("w/summary.md").read_text()
    assert "## Compared: popularity, text" in page and "the judge is VALID." in page
    table_2 = Path("w/tables/table2.csv").read_bytes()
    Path("w/tables/table2.csv").unlink()
    Path("w/summary.md").unlink()
    told = call("report", explained)
    assert told.code == 0 and "wrote w/tables/table2.csv" in told.out.splitlines()
    assert Path("w/tables/table2.csv").read_bytes() == table_2 and Path("w/summary.md").read_text() == page
    again = call("judge", explained, "--train", pairs)
    assert "30 recommendations compared (30 were judged before): nothing to ask" in again.out
    rows = list(read_ledger(Path("w/verdicts/popularity/text.jsonl")))
    assert len(rows) == 30 and all(row["order_free"] for row in rows)


def test_an_invalid_judge_names_none(call: Call, explained: Path, pairs: Path) -> None:
    """Trained on the labels turned round, and measured on them as they are."""
    wrong = [{**json.loads(line)} for line in pairs.read_text().splitlines()]
    turned = [row | {"label": 3 - row["label"], "instruction": row["instruction"] + "!?"} for row in wrong]
    turned = [row | {"group": f"turned {number}"} for number, row in enumerate(turned)]
    Path("turned.jsonl").write_text("\n".join(map(json.dumps, turned)))
    ended = call("judge", explained, "--train", "turned.jsonl", "--test", pairs)
    assert ended.code == 0
    assert "popularity on w, text: no winner: the judge is INVALID: it does not beat the rule" in ended.out
    assert "Best: no winner: the judge is INVALID: it does not beat" in Path("w/summary.md").read_text()
    mixed = call("judge", explained, "--train", pairs)
    assert mixed.code == 2 and "holds answers made with learned_from = " in mixed.out


def test_a_judge_that_nobody_measured_names_none(call: Call, explained: Path, pairs: Path) -> None:
    from llmxrec.evaluation.pairs import read_pairs

    judge = TextJudge()
    judge.fit(read_pairs(pairs)[:60])
    judge.save(Path("mine"))
    ended = call("judge", explained, "--judge", "text:mine")
    assert ended.code == 0, ended.out
    assert "no winner: the judge is not shown to be valid: nobody measured it on labelled pairs" in ended.out
    measured = call("judge", explained, "--judge", "text:mine", "--test", pairs)
    assert measured.code == 0 and "nothing to ask" in measured.out and "the judge is VALID" in measured.out
    assert "text:mine: 60 pairs; 0 of 120 rulings unreadable" in measured.out
    assert "60 pairs are about recommendations that the judge was trained on, and were left out" in measured.out


def test_what_is_missing_is_said(call: Call, explained: Path, pairs: Path) -> None:
    ended = call("judge", explained)
    assert ended.code == 2 and "the judge 'text' learns from labelled pairs first; give them with --train" in ended.out
    Path("w/explanations/popularity/template.jsonl").unlink()
    alone = call("judge", explained, "--train", pairs)
    assert alone.code == 2 and "two generators or more explain a recommendation of 'popularity'" in alone.out
    assert "found 'embedded'" in alone.out


def test_a_report_of_nothing_judged_is_told_so(call: Call, explained: Path) -> None:
    told = call("report", explained)
    assert told.code == 0 and told.out.splitlines()[-1] == "next: llmxrec study w"
    assert pl.read_csv("w/tables/table2.csv").is_empty() and Path("w/summary.md").exists()


def test_a_recipe_may_name_judges(call: Call, pairs: Path) -> None:
    Path("r.toml").write_text(
        f"""
        name = "r"
        [dataset]
        kind = "demo"
        [[recommenders]]
        name = "popularity"
        [[generators]]
        spec = "template"
        [[generators]]
        spec = "embedded"
        [[judges]]
        spec = "text"
        train = "{pairs}"
        [explain]
        users = 20
        """
    )
    ended = call("run", "r.toml", "--workspace", "w")
    assert ended.code == 0, ended.out
    assert "  popularity, judged by text: 20 recommendations compared: 20 ok" in ended.out.splitlines()
    assert "VALID" in ended.out and set(pl.read_csv("w/tables/table2.csv")["rows"]) == {20}
    again = call("run", "r.toml", "--workspace", "w")
    assert again.code == 0 and "(20 were judged before)" in again.out
