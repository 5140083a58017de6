"""The summary says what is stored, and text from elsewhere stays text."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import polars as pl
from tests.worlds import small_dataset

from llmxrec.ledger import Ledger
from llmxrec.records import Verdict
from llmxrec.reports.markdown import safe
from llmxrec.reports.summary import write_summary
from llmxrec.workspace import Workspace


def filled(path: Path, text: str) -> Workspace:
    workspace = Workspace(path)
    small_dataset().save(workspace.dataset)
    workspace.note("recipe", name="small")
    workspace.note("dataset", kind="tables", read={"rows": 5}, dropped={"rows without an item": 2}, notes={})
    metric = {"name": "NDCG@10", "value": 0.5, "low": 0.25, "high": 0.75, "rows": 2}
    workspace.note("recommenders", "bpr", kept_out=1, metrics={"NDCG@10": metric})
    rows = pl.DataFrame(
        {
            "user_id": ["anna", "bob"],
            "item_id": ["suspects", "fargo"],
            "rank": pl.Series([1, 1], dtype=pl.Int32),
            "score": [1.0, 1.0],
        }
    )
    workspace.recommendations("bpr").parent.mkdir()
    rows.write_parquet(workspace.recommendations("bpr"))
    with Ledger(workspace.explanations("bpr", "mine")) as ledger:
        for user, item, status in (("anna", "suspects", "ok"), ("bob", "fargo", "refused")):
            ledger.append(
                {
                    "user_id": user,
                    "item_id": item,
                    "rank": 1,
                    "text": text,
                    "status": status,
                    "prompt": user,
                    "dropped": 1,
                }
            )
    return workspace


def test_numbers_come_with_their_interval_rows_and_rule(tmp_path: Path) -> None:
    workspace = filled(tmp_path / "w", "Because.")
    write_summary(workspace)
    text = workspace.summary.read_text(encoding="utf-8")
    assert "| bpr | 0.5000 [0.2500, 0.7500] | 2 |" in text
    assert "1 users with too few items are not measured" in text
    assert "No trivial rule: popularity was not measured." in text
    assert "| 3 | 4 | 5 |" in text and "2 rows without an item" in text
    assert "2 answers: " in text and "1 refused" in text
    assert "2 prompts were too long" in text
    assert "**The Usual Suspects**, for user anna:" in text and "Fargo" not in text, "a refusal is no example"


def test_popularity_is_the_rule_where_it_was_measured_alike(tmp_path: Path) -> None:
    workspace = filled(tmp_path / "w", "Because.")
    metric = {"name": "NDCG@10", "value": 0.25, "low": 0.125, "high": 0.375, "rows": 2}
    workspace.note("recommenders", "popularity", metrics={"NDCG@10": metric})
    write_summary(workspace)
    assert "The trivial rule is popularity." in workspace.summary.read_text()
    workspace.note("recommenders", "popularity", metrics={"NDCG@5": {**metric, "name": "NDCG@5"}})
    write_summary(workspace)
    told = "The trivial rule is popularity, which was not measured by NDCG@10."
    assert told in workspace.summary.read_text()


def test_what_is_compared_stands_beside_the_trivial_rules(tmp_path: Path) -> None:
    workspace = filled(tmp_path / "w", "Because.")
    with Ledger(workspace.verdicts("bpr", "j")) as ledger:
        for shown in (("mine", "other"), ("mine", "third"), ("other", "third")):
            ledger.append(asdict(Verdict("bpr", "j", "anna", "suspects", *shown, "second", None, "ok", "")))
        ledger.append(asdict(Verdict("bpr", "j", "bob", "fargo", "mine", "other", "second", None, "ok", "")))
    write_summary(workspace)
    lines = workspace.summary.read_text().split("## Compared: bpr, j")[1].splitlines()
    table = [[cell.strip() for cell in line.split("|")[1:-1]] for line in lines if line.startswith("|")]
    assert table[0] == ["generator", "source", "win ratio", "ranking order", "rows", "ranked", "unreadable"]
    assert [row[:3] for row in table[2:5]] == [
        ["third", "j", "1.000 [1.000, 1.000]"], ["other", "j", "0.667 [0.500, 1.000]"],
        ["mine", "j", "0.000 [0.000, 0.000]"],
    ]  # fmt: skip
    assert [row[4:] for row in table[2:5]] == [["1", "1", "0"], ["2", "1", "0"], ["2", "1", "0"]], "bob has no third"
    always = {row[0]: row[2][:5] for row in table[5:] if row[1] == "always the second"}
    assert always == {"third": "1.000", "other": "0.667", "mine": "0.000"}
    assert {row[1] for row in table[5:]} == {"always the second", "the longer text", "a coin"}
    assert "Below: what trivial rules would say." in lines


def test_hostile_text_stays_text(tmp_path: Path) -> None:
    workspace = filled(tmp_path / "w", "<script>x</script> [a](javascript:b) ![c](d)\n# H `e` | f")
    write_summary(workspace)
    (quoted,) = [line for line in workspace.summary.read_text(encoding="utf-8").splitlines() if line.startswith("> ")]
    assert quoted == "> " + safe("<script>x</script> [a](javascript:b) ![c](d) # H `e` | f")
    for sign in "<>[]()#`|!":
        assert all(quoted[i - 1] == "\\" for i, s in enumerate(quoted) if s == sign and i > 0)
