"""`llmxrec predict`, as a user gives it."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import polars as pl
import pytest
from tests.conftest import Call
from tests.generators.tiny import make_models

from llmxrec.generators.specs import GenerationSettings
from llmxrec.ledger import read_ledger
from llmxrec.prompts.instructions import PromptSettings
from llmxrec.recipe import GeneratorRecipe
from llmxrec.stages.predicting import attribute_questions
from llmxrec.workspace import Workspace

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny model with room for a prompt, and adapters of it: three folds of the demo's people, and one of few."""
    from transformers import AutoModelForCausalLM

    root = tmp_path_factory.mktemp("models")
    make_models(root)
    config = root / "llama/config.json"
    config.write_text(json.dumps({**json.loads(config.read_text()), "max_position_embeddings": 4096}))
    assert AutoModelForCausalLM.from_pretrained(root / "llama").config.max_position_embeddings == 4096
    return root / "llama"


def adapter(model: Path, folder: Path, users: list[str], seed: int) -> Path:
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM

    torch.manual_seed(seed)
    config = LoraConfig(r=2, target_modules=["q_proj", "v_proj"], init_lora_weights=False, lora_alpha=64)
    get_peft_model(AutoModelForCausalLM.from_pretrained(model), config).save_pretrained(folder)
    (folder / "card.json").write_text(json.dumps({"task": "attributes", "users": users}))
    return folder


@pytest.fixture
def demo(call: Call) -> Workspace:
    assert call("init", "w", "--dataset", "demo").code == 0
    assert call("recommend", "w", "--recommender", "popularity").code == 0
    return Workspace(Path("w"))


def people(demo: Workspace) -> list[str]:
    return pl.read_parquet(demo.recommendations("popularity"))["user_id"].unique(maintain_order=True).to_list()


def test_a_local_model_is_measured_beside_the_rules(call: Call, demo: Workspace, model: Path) -> None:
    words = ("predict", "w", "--generator", f"hf:{model}", "--users", "12", "--target", "gender", "--target", "age",
             "--name", "tiny", "--history", "3")  # fmt: skip
    dry = call(*words, "--dry-run")
    assert dry.code == 0 and "calls: 12 (0 of 12 rows are answered already)" in dry.out
    assert "Infer from this: age, gender." in dry.out and "About this customer" not in dry.out
    assert not demo.predictions("popularity", "tiny").exists()
    ended = call(*words)
    assert ended.code == 0, ended.out
    assert "12 rows: 12 ok" in ended.out and "next: llmxrec audit w" in ended.out
    table = pl.read_csv("w/tables/table3.csv")
    assert table["target"].to_list() == ["age"] * 4 + ["gender"] * 4
    assert table["who"].to_list() == ["random", "most frequent", "logistic regression", "tiny"] * 2
    assert set(table["rows"]) == {12} and set(table["unread"]) == {0} and set(table["dataset"]) == {"w"}
    assert ((table["low"] <= table["accuracy"]) & (table["accuracy"] <= table["high"])).all()
    again = call(*words)
    assert "12 rows: nothing to ask (12 were answered before)" in again.out
    assert pl.read_csv("w/tables/table3.csv").equals(table)
    other = call(*words[:-2], "--history", "4")
    assert other.code == 2 and "made with history = 3; found 4" in other.out


def test_what_cannot_be_read_is_told_and_not_measured(call: Call, demo: Workspace) -> None:
    ended = call("predict", "w", "--users", "5", "--target", "gender")
    assert ended.code == 0, ended.out
    assert "5 rows: 5 empty" in ended.out and "not answered, such as: not tuned to predict gender" in ended.out
    row = pl.read_csv("w/tables/table3.csv").filter(who="embedded").row(0, named=True)
    assert (row["accuracy"], row["rows"], row["unread"], row["over_all"]) == (None, 5, 5, 0.0)
    assert "embedded             –  5 rows, 5 unread; 0.000 [0.000, 0.000] of all" in ended.out


def test_rules_stand_beside_each_generator_on_its_own_rows(call: Call, demo: Workspace) -> None:
    for name, users in (("few", "5"), ("many", "40"), ("more", "40")):
        ended = call("predict", "w", "--users", users, "--target", "gender", "--name", name)
        assert ended.code == 0, ended.out
    table = pl.read_csv("w/tables/table3.csv")
    rules = ["random", "most frequent", "logistic regression"]
    assert table.select("who", "rows", "beside").rows() == [
        *((rule, 5, "few") for rule in rules), ("few", 5, ""),
        *((rule, 40, "many, more") for rule in rules), ("many", 40, ""), ("more", 40, ""),
    ]  # fmt: skip
    assert "  logistic regression, rows of many, more  " in ended.out and "  most frequent, rows of few  " in ended.out


def test_tables_of_other_recommenders_stay(call: Call, demo: Workspace) -> None:
    assert call("recommend", "w", "--recommender", "ease").code == 0
    for recommender in ("popularity", "ease", "popularity"):
        words = ("predict", "w", "--recommender", recommender, "--users", "5", "--target", "gender")
        assert call(*words).code == 0
    table = pl.read_csv("w/tables/table3.csv")
    assert table["recommender"].to_list() == ["ease"] * 4 + ["popularity"] * 4


@pytest.mark.parametrize(
    ("words", "error"),
    [
        (("--target", "gendre"), "unknown target 'gendre'; did you mean 'gender'?"),
        (("--target", "price"), "'price' can be predicted where items have a column 'price'"),
        (("--set", "max_token=3"), "did you mean 'max_tokens'?"),
        (("--set", "max_tokens"), "--set takes KEY=VALUE"),
        (("--recommender", "bpr"), "unknown recommender 'bpr'"),
        (("--price", "1"), "--price is IN,OUT"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(call: Call, demo: Workspace, words: tuple[str, ...], error: str) -> None:
    ended = call("predict", "w", *words)
    assert ended.code == 2 and error in ended.out and ended.out.count("\n") == 1
    assert not Path("w/predictions").exists()


def test_nobody_is_asked_about_on_whom_the_adapter_was_tuned(call: Call, demo: Workspace, model: Path) -> None:
    everybody = people(demo)
    few = adapter(model, Path("few"), everybody[:290], 1)
    words = (
        "predict",
        "w",
        "--generator",
        f"hf:{model}+{few}",
        "--target",
        "gender",
        "--name",
        "few",
        "--history",
        "1",
    )
    ended = call(*words)
    assert ended.code == 0, ended.out
    assert "left out: 290 people on whom the adapter was tuned" in ended.out and "10 rows: 10 ok" in ended.out
    rows = list(read_ledger(demo.predictions("popularity", "few")))
    assert {row["user_id"] for row in rows} == set(everybody[290:])
    (few / "card.json").write_text(json.dumps({"users": everybody[:289]}))
    tuned_anew = call(*words)
    assert tuned_anew.code == 2 and "holds answers made with adapter" in tuned_anew.out
    (few / "card.json").write_text(json.dumps({"users": everybody}))
    ended = call(*words, "--name", "all")
    assert ended.code == 2 and "nobody is measured on whom the model was tuned on" in ended.out
    (few / "card.json").unlink()
    unknown = call(*words, "--name", "all", "--users", "2")
    assert unknown.code == 0 and "left out" not in unknown.out, "an adapter without a card does not say"


def test_of_folds_everybody_is_asked_of_the_one_that_has_not_seen_them(
    call: Call, demo: Workspace, model: Path
) -> None:
    everybody = people(demo)
    for number in (1, 2, 10):
        place = (1, 2, 10).index(number)
        adapter(
            model, Path(f"tuned/fold-{number}"), [user for n, user in enumerate(everybody) if n % 3 != place], number
        )
    spec = f"hf:{model}+tuned"
    ended = call(
        "predict", "w", "--generator", spec, "--target", "gender", "--users", "12", "--name", "t", "--history", "1"
    )
    assert ended.code == 0 and "12 rows: 12 ok" in ended.out and "left out" not in ended.out
    rows = {row["user_id"]: row["text"] for row in read_ledger(demo.predictions("popularity", "t"))}
    assert set(rows) == set(everybody[:12])
    # Each alone says the same of the people it was not tuned on.
    for place, number in enumerate((1, 2, 10)):
        name = f"alone{number}"
        alone = call("predict", "w", "--generator", f"{spec}/fold-{number}", "--target", "gender", "--users", "4",
                     "--name", name, "--history", "1")  # fmt: skip
        assert "left out: 200 people" in alone.out
        for row in read_ledger(demo.predictions("popularity", name)):
            assert everybody.index(row["user_id"]) % 3 == place and rows[row["user_id"]] == row["text"]
    shutil.rmtree("tuned/fold-10")
    generator = GeneratorRecipe(spec=spec, settings=GenerationSettings())
    questions, left_out = attribute_questions(demo, "popularity", generator, PromptSettings(), ["gender"])
    assert (left_out, len(questions)) == (100, 200), "those whom both of the others have seen"


def test_a_recipe_predicts(call: Call) -> None:
    Path("r.toml").write_text(
        'name = "r"\n[dataset]\nkind = "demo"\n[[recommenders]]\nname = "popularity"\n'
        '[[generators]]\nspec = "embedded"\n[explain]\nusers = 2\n'
        '[predict]\ngenerators = ["embedded"]\ntargets = ["gender"]\nusers = 5\n'
    )
    ended = call("run", "r.toml", "--workspace", "w")
    assert ended.code == 0, ended.out
    assert "popularity x embedded, attributes: 5 rows: 5 empty" in ended.out and "logistic regression" in ended.out
    assert pl.read_csv("w/tables/table3.csv").height == 4
    for right, wrong, error in (
        ('["embedded"]', '["embeded"]', "unknown generator of this recipe 'embeded'"),
        ('["gender"]', '["gendr"]', "unknown target 'gendr'"),
    ):
        Path("s.toml").write_text(Path("r.toml").read_text().replace(right, wrong))
        assert error in call("run", "s.toml").out


def test_without_scipy_the_regression_is_left_out(call: Call, demo: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "scipy", None)
    ended = call("predict", "w", "--users", "5", "--target", "gender")
    assert ended.code == 0, ended.out
    assert "left out: the supervised model needs the extra 'predict'; pip install 'llmxrec[predict]'" in ended.out
    assert pl.read_csv("w/tables/table3.csv")["who"].to_list() == ["random", "most frequent", "embedded"]
