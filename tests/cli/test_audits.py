"""`llmxrec audit` as a user gives it."""

from __future__ import annotations

import json
import time
from pathlib import Path

import polars as pl
from tests.conftest import Call


def explained(call: Call, shop: Path, name: str = "w") -> Path:
    columns = ("--column", "user_id=customer", "--column", "item_id=sku", "--column", "timestamp=when")
    tables = ("--interactions", shop / "orders.csv", "--items", shop / "products.csv")
    assert call("init", name, *tables, "--recommendations", shop / "ours.csv", *columns).code == 0
    assert call("explain", name).code == 0
    return Path(name)


def spoil(workspace: Path, text: str, repeat: int = 1) -> None:
    """Every explanation says `text`."""
    (file,) = workspace.glob("explanations/*/*.jsonl")
    rows = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
    file.write_text("".join(json.dumps({**row, "text": text}) + "\n" for row in rows), encoding="utf-8")


def test_a_sound_workspace_has_notes_only(call: Call, shop: Path) -> None:
    workspace = explained(call, shop)
    ended = call("audit", workspace)
    assert ended.code == 0 and "0 critical, 0 warnings, " in ended.out and "wrote w/audit.md" in ended.out
    assert "note: " not in ended.out and "note: " in call("audit", workspace, "--notes").out
    page = (workspace / "audit.md").read_text(encoding="utf-8")
    assert page.startswith("# Audit of w\n\n## Critical\n\nNone.\n\n## Warnings\n\nNone.\n\n## Notes\n\n- **")


def test_faults_are_told_with_figure_examples_and_consequence(call: Call, shop: Path) -> None:
    workspace = explained(call, shop)
    spoil(workspace, "I'm sorry, but I cannot <b>help</b>\x1b[31m with that.")
    ended = call("audit", workspace)
    assert (
        "critical: refusals (w: external x embedded)\n  12 of 12 (100.0 %); 12 of them are stored as sound\n"
        in ended.out
    )
    assert "    c0 / p5: I'm sorry, but I cannot <b>help</b> [31m with that.\n" in ended.out
    assert ended.out.index("critical: refusals") < ended.out.index("A refusal is no explanation")
    assert ended.code == 0 and "\x1b" not in ended.out
    page = (workspace / "audit.md").read_text(encoding="utf-8")
    assert "**refusals**" in page and "\\<b\\>help" in page and "<b>" not in page and "\x1b" not in page


def test_json_is_json_and_nothing_else(call: Call, shop: Path) -> None:
    workspace = explained(call, shop)
    spoil(workspace, "I'm sorry, but I cannot help with that.")
    found = json.loads(call("audit", workspace, "--json").out)["findings"]
    assert found[0]["severity"] == "critical" and found[0]["check"] == "refusals" and found[0]["count"] == 12
    assert set(found[0]) == {
        "check", "severity", "about", "title", "figure", "count", "rows", "consequence", "examples"
    }  # fmt: skip


def test_files_that_came_with_it(call: Call, shop: Path) -> None:
    workspace = explained(call, shop)
    pair = {"instruction": "asked", "explanation_1": "a", "explanation_2": "b", "label": 2}
    Path("pairs.jsonl").write_text("".join(json.dumps({**pair, "group": str(n)}) + "\n" for n in range(60)))
    (file,) = workspace.glob("explanations/*/*.jsonl")
    texts = [json.loads(line)["text"] for line in file.read_text(encoding="utf-8").splitlines()]
    Path("rows.jsonl").write_text("".join(json.dumps({"prompt": "p", "completion": text}) + "\n" for text in texts))
    Path("claims.csv").write_text("measure,accuracy\njudge,0.5\n")
    files = ("--pairs", "pairs.jsonl", "--tuning", "rows.jsonl", "--accuracies", "claims.csv")
    ended = call("audit", workspace, *files)
    for said in ("labels prefer one side", "12 of 12 (100.0 %) are answers of embedded", "judge: below a constant"):
        assert said in ended.out
    for option, content in (("--pairs", "7\n"), ("--tuning", "7\n"), ("--accuracies", "x\n")):
        Path("wrong").write_text(content)
        wrong = call("audit", workspace, option, "wrong")
        assert wrong.code == 2 and wrong.out.startswith("error: wrong") and wrong.out.count("\n") == 1


def test_what_is_no_workspace(call: Call, tmp_path: Path) -> None:
    ended = call("audit", "nowhere")
    assert ended.code == 2 and ended.out == (
        "error: a workspace, or a folder of workspaces, is looked at; found 'nowhere'; llmxrec init\n"
    )
    assert not Path("nowhere").exists()


def test_workspaces_are_looked_at_together(call: Call, shop: Path) -> None:
    """Books that are told of in answers about other books are known for what they are."""
    explained(call, shop, "shops/one")
    items = pl.read_csv(shop / "products.csv").with_columns(pl.col("title").str.replace("Book", "Scroll"))
    items.write_csv(shop / "products.csv")
    explained(call, shop, "shops/two")
    (theirs,) = Path("shops/two").glob("explanations/*/*.jsonl")
    (mine,) = Path("shops/one").glob("explanations/*/*.jsonl")
    mine.write_bytes(theirs.read_bytes())
    ended = call("audit", "shops")
    assert ended.code == 0 and "shops/audit.md" in ended.out
    assert "critical: answers that belong to other prompts (one: external x embedded)" in ended.out
    assert (
        "0 of 12 answers name their candidate; 12 of 12" in ended.out and "most often a candidate of two" in ended.out
    )


def test_the_release_is_audited_in_less_than_a_minute(call: Call, real_release: Path) -> None:
    assert call("replay", real_release, "--out", "paper").code == 0
    tuning = real_release / "src/SFT/data"
    files = ("--tuning", tuning / "exp_data/train.json", "--pairs", tuning / "disc_data/train.json")
    start = time.perf_counter()
    ended = call("audit", "paper", *files)
    assert ended.code == 0 and time.perf_counter() - start < 60
    for said in (
        "the second wins 8,300 of 9,430 (88.0 %)",
        "LLMXRec second in 4,000 of 4,000",
        "`second` is the label of 1,190 of 1,440 (82.6 %)",
        "281 of 1,000 (28.1 %) of the prompts show their candidate in the history",
        "17 different items to 1,000 users",
        "240 of 240 (100.0 %); they win 699 of 720 (97.1 %)",
        "240 of 240 (100.0 %), 80 word for word",
        "have more than 75 words",
        "customers told what is known of them (ml-100k: BPR-MF x LLMXRec)",
    ):
        assert said in ended.out, said
    assert "other prompts" not in ended.out and "another kind of items" not in ended.out, "no file is misplaced"
