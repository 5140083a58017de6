"""The summary says what is stored, and text from elsewhere stays text."""

from __future__ import annotations

from pathlib import Path

import polars as pl
from tests.worlds import small_dataset

from llmxrec.ledger import Ledger
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
    assert "1 users with too few items are not measured" in text and "`popularity`" in text
    assert "| 3 | 4 | 5 |" in text and "2 rows without an item" in text
    assert "2 answers: " in text and "1 refused" in text
    assert "2 prompts were too long" in text
    assert "**The Usual Suspects**, for user anna:" in text and "Fargo" not in text, "a refusal is no example"


def test_hostile_text_stays_text(tmp_path: Path) -> None:
    workspace = filled(tmp_path / "w", "<script>x</script> [a](javascript:b) ![c](d)\n# H `e` | f")
    write_summary(workspace)
    (quoted,) = [line for line in workspace.summary.read_text(encoding="utf-8").splitlines() if line.startswith("> ")]
    assert quoted == "> " + safe("<script>x</script> [a](javascript:b) ![c](d) # H `e` | f")
    for sign in "<>[]()#`|!":
        assert all(quoted[i - 1] == "\\" for i, s in enumerate(quoted) if s == sign and i > 0)
