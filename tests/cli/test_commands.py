"""Commands as a user gives them: what they print, what they write, how they end."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from tests.conftest import Call

from llmxrec.datasets.dataset import Dataset, Histories
from llmxrec.recommenders import load_recommender, make_recommender
from llmxrec.recommenders.protocol import Watch

COLUMNS = ("--column", "user_id=customer", "--column", "item_id=sku", "--column", "timestamp=when")


def started(call: Call, shop: Path) -> None:
    ended = call("init", "w", "--interactions", shop / "orders.csv", "--items", shop / "products.csv", *COLUMNS)
    assert ended.code == 0, ended.out


def test_help_and_import_load_nothing_heavy() -> None:
    code = "import sys, llmxrec, llmxrec.cli; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert not {"torch", "transformers", "openai", "numba", "polars", "numpy"} & set(loaded)


def test_without_the_extra_for_training_ones_own_recommendations_are_explained(call: Call, shop: Path) -> None:
    tables = ["--interactions", str(shop / "orders.csv"), "--recommendations", str(shop / "ours.csv"), *COLUMNS]
    code = "import sys; sys.modules['numba'] = None; from llmxrec.cli import main; main()"

    def bare(*words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run([sys.executable, "-c", code, *words], capture_output=True, text=True, check=False)

    assert bare("init", "w", *tables).returncode == 0
    assert "12 rows: 12 ok" in bare("explain", "w").stdout
    refused = bare("recommend", "w", "--recommender", "bpr")
    assert refused.returncode == 2
    assert refused.stderr == "error: training a recommender needs the extra 'train'; pip install 'llmxrec[train]'\n"


@pytest.mark.parametrize(
    ("words", "idle", "needs"),
    [
        ("explain w --otherwise withhold", "--otherwise", "--verify"),
        ("explain w --may-tell age --again 0", "--again, --may-tell", "--verify"),
        ("fairness w --between a,b --users 3", "--between, --users", "--flip"),
        ("fairness w --max-cost 1 --price 1,1", "--price, --max-cost", "--flip"),
        ("init x --dataset demo --domain news", "--domain", "--interactions"),
        ("init x --dataset demo --column a=b", "--column", "--interactions or --recommendations"),
        ("init x --interactions FILE --source data", "--source", "--dataset"),
        ("recommend w --recommender ease --column foo=bar", "--column", "--recommendations"),
        ("recommend w --recommender external --recommendations FILE -k 3 --seed 1", "-k, --seed", "a recommender that"),
        (
            "recommend w --recommender external --recommendations FILE --set a=1 --full",
            "--set, --full",
            "a recommender",
        ),
    ],
)
def test_options_that_would_do_nothing_are_refused(call: Call, shop: Path, words: str, idle: str, needs: str) -> None:
    tables = ("--interactions", shop / "orders.csv", "--recommendations", shop / "ours.csv", *COLUMNS)
    assert call("init", "w", *tables).code == 0
    ended = call(*words.replace("FILE", str(shop / "ours.csv")).split())
    assert ended.code == 2 and ended.out.startswith(f"error: {idle} can only be given with {needs}"), ended.out
    assert ended.out.count("\n") == 1 and not Path("x").exists() and not Path("w/explanations").exists()


def test_own_tables_in_three_commands(call: Call, shop: Path) -> None:
    first = call(
        "init", "w", "--interactions", shop / "orders.csv", "--items", shop / "products.csv",
        "--recommendations", shop / "ours.csv", *COLUMNS,
    )  # fmt: skip
    assert first.code == 0, first.out
    assert "next: llmxrec explain w --recommender external" in first.out
    second = call("explain", "w", "--recommender", "external")
    assert second.code == 0 and "12 rows: 12 ok" in second.out
    third = call("export", "w", "--out", "why.csv")
    assert third.code == 0, third.out
    table = pl.read_csv("why.csv")
    assert table.height == 12 and set(table["rank"]) == {1}
    row = table.row(0, named=True)
    assert row["title"] == "Book 5, the novel"
    assert '"Book 5, the novel"' in row["text"] and "the shelf crime" in row["text"].replace("The", "the")
    assert "shown to generators: of items shelf; of users nothing" in first.out


def test_own_recommendations_can_come_later(call: Call, shop: Path) -> None:
    started(call, shop)
    ended = call("recommend", "w", "--recommender", "external", "--recommendations", shop / "ours.csv", *COLUMNS[:4])
    assert ended.code == 0, ended.out
    assert call("explain", "w", "--top", "2").out.startswith("24 rows: 24 ok")


@pytest.mark.parametrize("name", ["popularity", "ease", "bpr"])
def test_a_recommender_is_trained_and_measured(call: Call, shop: Path, name: str) -> None:
    started(call, shop)
    ended = call("recommend", "w", "--recommender", name, "-k", "2")
    assert ended.code == 0, ended.out
    assert re.search(r"NDCG@2 .*\[.*\]", ended.out), ended.out
    table = pl.read_parquet(f"w/recommendations/{name}.parquet")
    seen = pl.read_parquet("w/dataset/interactions.parquet").sort("timestamp", maintain_order=True)
    known = seen.group_by("user_id", maintain_order=True).agg(pl.col("item_id").head(4)).explode("item_id")
    assert table.join(known, on=["user_id", "item_id"], how="semi").is_empty(), "what was seen is not recommended"
    full = call("recommend", "w", "--recommender", name, "--full")
    assert full.code == 0 and "NDCG" not in full.out
    table = pl.read_parquet(f"w/recommendations/{name}.parquet")
    assert table.join(seen, on=["user_id", "item_id"], how="semi").is_empty()


def test_explanations_show_the_history_that_the_recommender_knew(call: Call, shop: Path) -> None:
    started(call, shop)
    call("recommend", "w", "--recommender", "popularity")
    held_out = call("explain", "w", "--dry-run").out
    call("recommend", "w", "--recommender", "popularity", "--full")
    full = call("explain", "w", "--dry-run").out
    first = [text.split("--- prompt 2")[0] for text in (held_out, full)]
    assert [len(re.findall(r'^\d+\. "', text, re.MULTILINE)) for text in first] == [3, 5]


def test_a_dry_run_needs_no_key_asks_nothing_and_tells_the_price(
    call: Call, shop: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    started(call, shop)
    call("recommend", "w", "--recommender", "popularity")
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    ended = call("explain", "w", "--generator", "gpt-4", "--dry-run")
    assert ended.code == 0, ended.out
    assert ended.out.count("--- prompt ") == 3 and "calls: 12 " in ended.out
    assert re.search(r"price: about \d+\.\d\d USD, .* \(listed prices are of 20\d\d-\d\d\)", ended.out)
    assert not Path("w/explanations").exists()
    keyless = call("explain", "w", "--generator", "gpt-4")
    assert keyless.code == 2 and "needs a key in OPENAI_API_KEY" in keyless.out
    unknown = call("explain", "w", "--generator", "openai:mine@http://127.0.0.1:9/v1", "--dry-run")
    assert "price: not known" in unknown.out
    refused = call("explain", "w", "--generator", "openai:mine@http://127.0.0.1:9/v1", "--max-cost", "1")
    assert refused.code == 2 and "needs a price" in refused.out
    said = call("explain", "w", "--generator", "openai:mine@http://127.0.0.1:9/v1", "--price", "1,2", "--dry-run")
    assert "USD, if every answer" in said.out and "listed prices" not in said.out


@pytest.mark.parametrize(
    ("words", "error"),
    [
        (["init", "w"], "--dataset NAME or with --interactions FILE"),
        (["init", "w", "--dataset", "ml100k", "--source", "."], "unknown dataset 'ml100k'; did you mean 'ml-100k'?"),
        (["init", "w", "--interactions", "none.csv"], "none.csv"),
        (["init", "w", "--dataset", "mind", "--source", "nowhere"], "nowhere"),
        (["recommend", "w", "--recommender", "bpr"], "llmxrec init"),
        (["explain", "w"], "a workspace holds dataset/; found 'w'; check its name, or begin it with: llmxrec init"),
        (["judge", "w", "--recommender", "bpr"], "a workspace holds dataset/"),
        (["export", "w", "--out", "x.csv"], "a workspace holds dataset/"),
        (["recommend", "w", "--recommender", "external"], "a workspace holds dataset/"),
        (["init", "w", "--interactions", "x.csv", "--column", "user_id"], "--column takes KEY=VALUE; found 'user_id'"),
    ],
)
def test_wrong_input_gets_one_line_and_exit_code_2(call: Call, words: list[str], error: str) -> None:
    ended = call(*words)
    assert ended.code == 2
    assert ended.out.startswith("error: ") and ended.out.count("\n") == 1
    assert error in ended.out


@pytest.mark.parametrize(
    ("words", "error"),
    [
        (["recommend", "w", "--recommender", "bprr"], "unknown recommender 'bprr'; did you mean 'bpr'?"),
        (["recommend", "w", "--recommender", "bpr", "--set", "epoch=3"], "did you mean 'epochs'"),
        (["recommend", "w", "--recommender", "bpr", "--set", "epochs=many"], "'many'"),
        (["explain", "w", "--generator", "gtp-4"], "did you mean 'gpt-4'"),
        (["explain", "w", "--recommender", "popularty"], "did you mean 'popularity'"),
        (["recommend", "w", "--recommender", "external"], "go together"),
        (["explain", "w", "--template", "papr"], "did you mean 'paper'"),
        (["explain", "w", "--item-attributes", "shelv"], "did you mean 'shelf'"),
        (["explain", "w", "--price", "1"], "two numbers"),
        (["explain", "w", "--name", "../x"], "a name starts with a letter or digit"),
        (["export", "w", "--out", "x.csv"], "make one: llmxrec explain w"),
        (["init", "w", "--dataset", "demo"], "a workspace holds one dataset"),
    ],
)
def test_misspelt_names_are_told(call: Call, shop: Path, words: list[str], error: str) -> None:
    started(call, shop)
    call("recommend", "w", "--recommender", "popularity")
    ended = call(*words)
    assert ended.code == 2 and error in ended.out and ended.out.count("\n") == 1, ended.out


def test_other_settings_are_not_mixed_into_the_same_file(call: Call, shop: Path) -> None:
    started(call, shop)
    call("recommend", "w", "--recommender", "popularity")
    assert call("explain", "w").code == 0
    mixed = call("explain", "w", "--history", "2")
    assert mixed.code == 2 and "made with history = 20; found 2; keep both with --name OTHER" in mixed.out
    assert call("explain", "w", "--history", "2", "--name", "short").code == 0
    assert "answered before" in call("explain", "w").out
    assert call("explain", "w", "--history", "3", "--dry-run").code == 2


def test_hostile_titles_cannot_steer_the_terminal(call: Call, tmp_path: Path) -> None:
    Path("o.csv").write_text("user,item\n" + "".join(f"u{n},i{n % 3}\n" for n in range(9)))
    Path("i.csv").write_text('item,title\ni0,"A\x1b[31m\x07red"\ni1,"[bold]B[/bold]"\ni2,C\n')
    Path("r.csv").write_text("user,item\n" + "".join(f"u{n},i{(n + 1) % 3}\n" for n in range(9)))
    ended = call("init", "w", "--interactions", "o.csv", "--items", "i.csv", "--recommendations", "r.csv")
    assert ended.code == 0, ended.out
    shown = call("explain", "w", "--dry-run").out
    assert "\x1b" not in shown and "\x07" not in shown and "[bold]B[/bold]" in shown


def test_explanations_of_another_model_are_not_passed_off(call: Call, shop: Path) -> None:
    started(call, shop)
    call("recommend", "w", "--recommender", "ease")
    call("explain", "w")
    assert call("export", "w", "--out", "a.csv").code == 0
    call("recommend", "w", "--recommender", "ease")
    assert call("export", "w", "--out", "a.csv").code == 0, "the same model again is the same model"
    call("recommend", "w", "--recommender", "ease", "--full")
    for words in (["export", "w", "--out", "b.csv"], ["explain", "w"]):
        refused = call(*words)
        assert refused.code == 2 and "made with hold_out = True; found False" in refused.out
    assert call("explain", "w", "--name", "full").code == 0
    assert call("export", "w", "--generator", "full", "--out", "b.csv").code == 0


@pytest.mark.parametrize(
    "damaged", ["recommendations/ease.parquet", "dataset/items.parquet", "dataset/domain.toml", "workspace.toml"]
)
def test_damaged_files_end_in_one_line(call: Call, shop: Path, damaged: str) -> None:
    started(call, shop)
    call("recommend", "w", "--recommender", "ease")
    Path("w", damaged).write_bytes(b"\x00 damaged [")
    ended = call("explain", "w")
    assert ended.code in (1, 2) and ended.out.startswith("error: ") and ended.out.count("\n") == 1, ended.out


def test_nothing_of_a_person_is_shown_unasked(call: Call, shop: Path) -> None:
    rows = ["customer,age,phone,Full Name"] + [f"c{c},{20 + c},+49 170 555{c},Jane Roe{c}" for c in range(12)]
    Path("people.csv").write_text("\n".join(rows) + "\n")
    tables = [
        "--interactions",
        shop / "orders.csv",
        "--users",
        "people.csv",
        "--recommendations",
        shop / "ours.csv",
        *COLUMNS,
    ]
    call("init", "w", *tables)
    assert not re.search("Jane|555|age", call("explain", "w", "--dry-run").out)
    named = call("init", "w2", *tables, "--show-user", "age")
    assert "of users age" in named.out
    shown = call("explain", "w2", "--dry-run").out
    assert "age: 20" in shown and not re.search("Jane|555", shown)
    assert "did you mean 'phone'" in call("init", "w3", *tables, "--show-user", "fone").out


def test_a_full_disk_ends_in_one_line(call: Call, shop: Path) -> None:
    started(call, shop)
    call("recommend", "w", "--recommender", "ease")
    with Path("/dev/full").open("w") as full:
        ended = subprocess.run(
            [sys.executable, "-m", "llmxrec", "explain", "w"],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    assert ended.returncode == 1 and "Traceback" not in ended.stderr, ended.stderr


def test_other_workspaces_are_never_read(call: Call, shop: Path) -> None:
    """Names that a library would take for a pattern are names."""
    tables = ["--interactions", shop / "orders.csv", "--recommendations", shop / "ours.csv", *COLUMNS]
    for name in ("w*", "w1", "w[1]"):
        assert call("init", name, *tables).code == 0
        assert "12 rows: 12 ok" in call("explain", name).out
        assert "12 explanations" in call("export", name, "--out", f"{name}.csv").out


@pytest.mark.parametrize(
    "damage", ['dataset = "x"', "recommenders = 3", "[recommenders]\nease = 3", "[recommenders.ease]\nsettings = 3"]
)
def test_a_manifest_of_another_shape_is_told(call: Call, shop: Path, damage: str) -> None:
    started(call, shop)
    call("recommend", "w", "--recommender", "ease")
    Path("w/workspace.toml").write_text(damage)
    for words in (["explain", "w"], ["recommend", "w", "--recommender", "ease"]):
        ended = call(*words)
        assert ended.code == 2 and "of a manifest is a table" in ended.out, ended.out


def test_full_training_chooses_its_epochs_and_leaves_no_checkpoint(call: Call) -> None:
    """First without the last items, then with everything for as many epochs: the model is that of such a fit."""
    assert call("init", "w", "--dataset", "demo").code == 0
    assert call("recommend", "w", "--recommender", "bpr", "--full", "--set", "epochs=30").code == 0
    dataset = Dataset.load(Path("w/dataset"))
    everything = Histories.build(dataset.interactions, dataset.users["user_id"], dataset.items["item_id"])
    noted = tomllib.loads(Path("w/workspace.toml").read_text())["recommenders"]["bpr"]
    assert 0 < noted["best_epoch"] <= 30 and noted["settings"]["epochs"] == 30
    again = make_recommender("bpr", {"epochs": 30}).fit(everything, Watch(last_epoch=noted["best_epoch"]))
    users = np.arange(5)
    assert np.array_equal(load_recommender(Path("w/models/bpr")).score(users), again.score(users))
    assert [path.name for path in Path("w/models").iterdir()] == ["bpr"]
