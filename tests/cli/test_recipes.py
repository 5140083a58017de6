"""Recipes: every shipped one loads, every wrong one is refused in one line, and one runs on the real data."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import polars as pl
import pytest
from tests.conftest import Call, Demo

from llmxrec.recipe import load_recipe

ROOT = Path(__file__).parents[2]
RIGHT = (ROOT / "recipes" / "ml-100k.toml").read_text()


@pytest.mark.parametrize("recipe", sorted((ROOT / "recipes").glob("*.toml")), ids=lambda file: file.stem)
def test_every_shipped_recipe_loads(recipe: Path) -> None:
    assert load_recipe(recipe).name == recipe.stem


@pytest.mark.parametrize(
    ("right", "wrong", "error"),
    [
        ('name = "bpr"', 'name = "bprr"', "unknown recommender 'bprr'; did you mean 'bpr'?"),
        ("k = 10", 'k = "ten"', "k of recipe r.toml should be a valid integer; found 'ten'"),
        ("k = 10", "kk = 10", "unknown setting of recipe r.toml 'kk'; did you mean 'k'?"),
        ('kind = "ml-100k"', 'kind = "ml-100"', "unknown dataset 'ml-100'; did you mean 'ml-100k'?"),
        (
            "history = 50",
            "histroy = 50",
            "unknown setting of recipe r.toml, table prompt 'histroy'; did you mean 'history'?",
        ),
        (
            "history = 50",
            "history = -1",
            "prompt.history of recipe r.toml should be greater than or equal to 0; found -1",
        ),
        ('spec = "template"', 'spec = "tempalte"', "did you mean 'template'?"),
        ('spec = "template"', 'sped = "template"', "table generators.0 'sped'; did you mean 'spec'?"),
        ('recommenders = ["bpr"]', 'recommenders = ["sasrec"]', "unknown recommender of this recipe 'sasrec'"),
        ('name = "ease"', 'name = "bpr"', "each recommender of a recipe has its own name"),
        ('name = "bpr"', 'name = "bpr"\nsettings = { epoch = 3 }', "did you mean 'epochs'?"),
        ('template = "default"', 'template = "defualt"', "did you mean 'default'?"),
        ("seed = 1", "", None),
        ('name = "ml-100k"\n', "", "recipe r.toml needs the setting 'name'"),
        ("[explain]", "[explain", "a recipe is TOML"),
        ("[explain]", '[[judges]]\nspec = "txet"\n[explain]', "unknown judge 'txet'; did you mean 'text'?"),
        ("[explain]", '[[judges]]\ntrain = "x.jsonl"\n[explain]', "judge 'text': labelled pairs are a file; found 'x"),
    ],
)
def test_a_wrong_recipe_is_refused_in_one_line(call: Call, right: str, wrong: str, error: str | None) -> None:
    assert right in RIGHT
    Path("r.toml").write_text(RIGHT.replace(right, wrong, 1) + "\n")
    ended = call("run", "r.toml", "--workspace", "w", "--source", "nowhere")
    assert ended.code == 2 and ended.out.splitlines()[-1].startswith("error: ")
    if error is not None:
        assert error in ended.out and ended.out.count("\n") == 1
        assert not Path("w").exists()


def test_the_demo_tells_the_whole_story(demo: Demo) -> None:
    """Recommenders, three generators, a judge with its gate, attributes, faithfulness, faults, and a last screen."""
    place = demo.folder / "demo-workspace"
    for line in ("  ease x template: 300 rows: 300 ok", "  ease x embedded: 300 rows: 300 ok"):
        assert line in demo.out
    assert "  ease x tuned: 300 rows: 300 ok" in demo.out
    assert demo.out.index("    VALID") < demo.out.index("ease, judged by text"), "the gate comes first"
    assert "logistic regression" in demo.out and "0 critical" in demo.out
    last = demo.out[demo.out.index("╭") :]
    assert last.count("rests on: ") == last.count(", for u") == 3 and "compared by text: " in last
    for name in ("template", "embedded", "tuned"):
        assert re.search(rf"^{name} +0\.\d{{3}} \[", last, re.MULTILINE)
    assert last.splitlines()[-3:] == [
        "wrote demo-workspace/audit.md",
        "wrote demo-workspace/report.html",
        "next: llmxrec explain demo-workspace --recommender bpr",
    ]
    assert (place / "report.html").exists() and "case-ease-1" in (place / "report.html").read_text(encoding="utf-8")


def test_the_demo_is_kept(demo: Demo, call: Call) -> None:
    demo.copy(Path("d"))
    again = call("demo", "d")
    assert again.code == 0 and "answered before" in again.out and "was tuned before" in again.out


def test_ml_100k_from_raw_files_to_943_explanations(call: Call, real_data: Path) -> None:
    ended = call("run", ROOT / "recipes" / "ml-100k.toml", "--workspace", "w", "--source", real_data / "ml-100k")
    assert ended.code == 0, ended.out
    interactions = pl.read_parquet("w/dataset/interactions.parquet")
    assert (interactions.height, interactions["user_id"].n_unique(), interactions["item_id"].n_unique()) == (
        100_000,
        943,
        1_682,
    )
    manifest = tomllib.loads(Path("w/workspace.toml").read_text(encoding="utf-8"))
    ndcg = {name: noted["metrics"]["NDCG@10"] for name, noted in manifest["recommenders"].items()}
    assert ndcg["bpr"]["low"] > ndcg["popularity"]["value"], "the paper's first recommender beats the trivial rule"
    assert ndcg["bpr"]["rows"] == 943
    lines = Path("w/explanations/bpr/template.jsonl").read_bytes().splitlines()
    assert len(lines) == 943
    assert "943 answers: 943 ok" in Path("w/summary.md").read_text(encoding="utf-8")


SMALL = """
name = "small"
k = 10
[dataset]
kind = "demo"
[[recommenders]]
name = "ease"
settings = { ridge = 50.0 }
[[generators]]
spec = "template"
"""


def snapshot(folder: Path) -> dict[str, bytes]:
    return {str(file.relative_to(folder)): file.read_bytes() for file in folder.rglob("*") if file.is_file()}


@pytest.mark.parametrize(
    ("right", "wrong", "error"),
    [
        ("ridge = 50.0", "ridge = 60.0", "answers made with recommender = {'ridge': 50.0}; found {'ridge': 60.0}"),
        ("k = 10", "k = 10\nseed = 2", "answers made with seed = 1; found 2"),
        ("k = 10", "k = 10\nhold_out = false", "answers made with hold_out = True; found False"),
        ('spec = "template"', 'spec = "template"\n[prompt]\nhistory = 5', "answers made with history = 20; found 5"),
        ('spec = "template"', 'spec = "template"\n[prompt]\nitem_attributes = ["genre"]', "did you mean 'genres'"),
        ('name = "ease"', 'name = "external"', "there are no recommendations of 'external' yet"),
        ('spec = "template"', 'spec = "template"\nsettings = { seed = 9 }', "made with sampling_seed = 1; found 9"),
        ('kind = "demo"', 'kind = "mind"', "holds the dataset 'demo'"),
        (
            "ridge = 50.0 }",
            'ridge = 60.0 }\n[[generators]]\nspec = "gpt-4"\nname = "a"',
            "needs a key in OPENAI_API_KEY",
        ),
        ("ridge = 50.0 }", 'ridge = 60.0 }\n[[generators]]\nspec = "hf:/nowhere"\nname = "a"', "no such folder"),
    ],
)
def test_a_changed_recipe_is_refused_before_it_spoils_anything(
    call: Call, right: str, wrong: str, error: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    Path("small.toml").write_text(SMALL)
    assert call("run", "small.toml", "--workspace", "w").code == 0
    before = snapshot(Path("w"))
    assert right in SMALL
    changed = SMALL.replace(right, wrong)
    if "external" in wrong:
        changed = changed.replace("settings = { ridge = 50.0 }\n", "")
    Path("small.toml").write_text(changed)
    ended = call("run", "small.toml", "--workspace", "w")
    assert ended.code == 2 and error in ended.out, ended.out
    assert snapshot(Path("w")) == before


def test_what_a_recipe_adds_is_made_and_the_rest_is_kept(call: Call) -> None:
    Path("small.toml").write_text(SMALL)
    call("run", "small.toml", "--workspace", "w")
    again = call("run", "small.toml", "--workspace", "w")
    assert "300 were answered before" in again.out and "ease: Recall" not in again.out
    Path("small.toml").write_text(SMALL.replace("k = 10", "k = 5"))
    shorter = call("run", "small.toml", "--workspace", "w")
    assert "ease: Recall@5" in shorter.out and "300 were answered before" in shorter.out
    assert pl.read_parquet("w/recommendations/ease.parquet").height == 1500
