"""Recipes: every shipped one loads, every wrong one is refused in one line, and one runs on the real data."""

from __future__ import annotations

import json
import re
import tomllib
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from tests.conftest import Call, Demo
from tests.generators.loopback import Serve, completion

from llmxrec.evaluation.pairs import ANNOTATED, labelled
from llmxrec.experiment import run
from llmxrec.recipe import load_recipe
from llmxrec.stages.cases import cases_of
from llmxrec.workspace import Workspace

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


ALL = """
name = "all"
[dataset]
kind = "demo"
[[recommenders]]
name = "popularity"
[[recommenders]]
name = "ease"
[prompt]
template = "evidence"
[[adapters]]
name = "few"
sources = ["annotated:news"]
rows = 20
settings = { epochs = 1, rehearsal = 12 }
[[adapters]]
name = "people"
tasks = ["attributes"]
recommenders = ["ease"]
folds = 2
settings = { epochs = 1 }
[[generators]]
spec = "template"
[[generators]]
spec = "embedded"
name = "short"
prompt = { history = 3, template = "default" }
[[generators]]
spec = "embedded"
adapter = "few"
[[generators]]
spec = "embedded"
adapter = "people"
[explain]
recommenders = ["ease"]
generators = ["template", "short", "few"]
users = 12
[[judges]]
spec = "text"
train = "annotated"
against = "template"
[predict]
recommenders = ["ease"]
generators = ["people"]
targets = ["gender"]
users = 12
[measure]
faithfulness = true
identify = 6
fairness = ["gender"]
flip = true
[report]
cases = ["u001", "u002"]
"""
"""Uses all that a recipe can tell."""


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
def test_a_recipe_that_uses_everything_makes_it_once(call: Call) -> None:
    pairs = labelled(Path(ANNOTATED)).read_text(encoding="utf-8").splitlines(keepends=True)
    Path("pairs.jsonl").write_text("".join(pairs[:20]), encoding="utf-8")
    Path("all.toml").write_text(ALL.replace('train = "annotated"', 'train = "pairs.jsonl"'))
    ended = call("run", "all.toml", "--workspace", "w")
    assert ended.code == 0, ended.out
    wrote = [Path(line.split("wrote ")[1]) for line in ended.out.splitlines() if "wrote " in line]
    assert {file.name for file in wrote} >= {
        "table2.csv", "against.csv", "table3.csv", "faithfulness.csv", "identifiability.csv", "fairness.csv",
        "summary.md", "report.html",
    }  # fmt: skip
    assert [file for file in wrote if not file.is_file()] == []

    few, *people = (json.loads(file.read_text()) for file in sorted(Path("w/adapters").rglob("card.json")))
    assert (few["task"], few["rows"], few["settings"]["epochs"]) == ("explain", 12, 1), "some its own"
    assert [one["task"] for one in people] == ["attributes"] * 2
    assert {file.stem for file in Path("w/explanations/ease").glob("*.jsonl")} == {"template", "short", "few"}
    assert not Path("w/explanations/popularity").exists()
    shown = {}
    for file in Path("w/explanations/ease").glob("*.jsonl"):
        rows = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
        assert [row["status"] for row in rows] == ["ok"] * 12 and len({row["user_id"] for row in rows}) == 12
        shown[file.stem] = max(row["history"] for row in rows)
    assert shown["short"] == 3 and min(shown["template"], shown["few"]) > 3
    told = {file.stem: tomllib.loads(file.read_text()) for file in Path("w/explanations/ease").glob("*.toml")}
    assert {name: notes["template"] for name, notes in told.items()} == {
        "template": "evidence", "short": "default", "few": "evidence"
    }  # fmt: skip
    assert len(Path("w/predictions/ease/people.jsonl").read_bytes().splitlines()) == 12
    against = Path("w/tables/against-ease-text.md").read_text(encoding="utf-8")
    assert re.findall(r"^\| (\w+) \|", against, re.MULTILINE) == ["generator", "short", "few"]
    assert {*shown} <= {*pl.read_csv("w/tables/identifiability.csv")["who"]}
    flips = {file.stem for file in Path("w/flipped/ease").glob("*.jsonl")}
    assert flips == {f"{name}.gender={value}" for name in shown for value in ("female", "male")}
    report = Path("w/report.html").read_text(encoding="utf-8")
    assert ", for u001: ease" in report and ", for u002: ease" in report and ", for u003: ease" not in report

    before = snapshot(Path("w"))
    again = call("run", "all.toml", "--workspace", "w")
    assert again.code == 0, again.out
    asked = [line for line in again.out.splitlines() if "rows: " in line or "compared" in line]
    assert len(asked) == 3 + 1 + 1 + 6 and all("nothing to ask" in line for line in asked), again.out
    assert again.out.count("was tuned before") == 3 and "ease: Recall@10" not in again.out
    after = snapshot(Path("w"))
    changed = {name for name in {*before, *after} if before.get(name) != after.get(name)}
    assert {name for name in changed if not name.startswith(("tables/times", "times", "summary", "report"))} == set()


@pytest.mark.parametrize(
    ("right", "wrong", "error"),
    [
        ('adapter = "few"', 'adapter = "fw"', "unknown adapter of this recipe 'fw'; did you mean 'few'?"),
        ('spec = "embedded"\nadapter = "few"', 'spec = "template"\nadapter = "few"', 'give spec = "embedded"'),
        ('name = "few"', 'name = "f/w"', "found 'f/w'"),
        (
            '[[generators]]\nspec = "template"',
            '[[adapters]]\nname = "few"\n[[generators]]\nspec = "template"',
            "each adapter of a recipe has its own name; found 'few'",
        ),
        ('name = "few"', 'name = "few"\nbase = "gpt-4"', "adapter 'few': what is tuned is a model that runs here"),
        ('name = "few"', 'name = "few"\nbsae = "embedded"', "table adapters.0 'bsae'; did you mean 'base'?"),
        ('tasks = ["attributes"]', 'tasks = ["attribute"]', "should be 'explain' or 'attributes'; found 'attribute'"),
        ('recommenders = ["ease"]\nfolds', 'recommenders = ["bpr"]\nfolds', "unknown recommender of this recipe 'bpr'"),
        ("epochs = 1,", "epoch = 1,", "unknown setting of adapter 'few' 'epoch'; did you mean 'epochs'?"),
        ("epochs = 1,", "epochs = 0,", "epochs of adapter 'few' should be greater than or equal to 1; found 0"),
        (
            '"annotated:news"',
            '"annotated:new"',
            "annotated explanations 'new'; did you mean 'news'?",
        ),
        ('"annotated:news"', '"none.jsonl"', "rows to learn from are 'annotated'"),
        ("rows = 20", "rows = 0", "adapters.0.rows of recipe r.toml should be greater than or equal to 1; found 0"),
        ("folds = 2", "folds = 1", "folds of recipe r.toml should be greater than or equal to 2; found 1"),
        ("history = 3", "histroy = 3", "unknown setting of prompt of 'short' 'histroy'; did you mean 'history'?"),
        ('template = "default"', 'template = "defualt"', "did you mean 'default'?"),
        (
            'spec = "template"',
            'spec = "template"\n[[generators]]\nspec = "template"',
            "each generator of a recipe has its own name; found 'template'",
        ),
        (
            '"short", "few"]',
            '"short", "few", "people"]',
            "generator 'people': an adapter of several folds predicts, and explains nothing",
        ),
        ('"short", "few"]', '"shot", "few"]', "unknown generator of this recipe 'shot'; did you mean 'short'?"),
        ('generators = ["people"]', 'generators = ["peopel"]', "'peopel'; did you mean 'people'?"),
        ('targets = ["gender"]', 'targets = ["gendre"]', "unknown target 'gendre'; did you mean 'gender'?"),
        ('against = "template"', 'against = "tempalte"', "'tempalte'; did you mean 'template'?"),
        ('train = "annotated"', 'train = "anotated"', "judge 'text': labelled pairs are a file; found 'anotated'"),
        ("identify = 6", "identify = 1", "measure.identify of recipe r.toml should be greater than or equal to 2"),
        ("faithfulness = true", "faithful = true", "table measure 'faithful'; did you mean 'faithfulness'?"),
        ("cases =", "case =", "table report 'case'; did you mean 'cases'?"),
        ('cases = ["u001"', 'cases = [["u001"]', "should be a valid string"),
    ],
)
def test_a_wrong_name_is_refused_before_anything_is_read(call: Call, right: str, wrong: str, error: str) -> None:
    assert right in ALL
    Path("r.toml").write_text(ALL.replace(right, wrong, 1))
    ended = call("run", "r.toml", "--workspace", "w")
    assert ended.code == 2 and ended.out.count("\n") == 1, ended.out
    assert ended.out.startswith("error: ") and error in ended.out
    assert not Path("w").exists()


@pytest.mark.parametrize(
    ("right", "wrong", "error"),
    [
        (
            'fairness = ["gender"]',
            'fairness = ["gendre"]',
            "unknown attribute of users 'gendre'; did you mean 'gender'?",
        ),
        ("history = 3,", "user_attributes = [],", "it is not shown 'gender'; found 'nothing of people is shown'"),
        ('cases = ["u001"', 'cases = ["u901"', "a case is a person of the dataset; found 'u901'"),
        ("history = 3,", 'item_attributes = ["genre"],', "'genre'; did you mean 'genres'?"),
    ],
)
def test_what_the_dataset_does_not_know_is_refused_before_anything_is_trained(
    call: Call, right: str, wrong: str, error: str
) -> None:
    assert right in ALL
    Path("r.toml").write_text(ALL.replace(right, wrong, 1))
    ended = call("run", "r.toml", "--workspace", "w")
    assert ended.code == 2 and error in ended.out.splitlines()[-1], ended.out
    assert {file.name for file in Path("w").iterdir()} == {"dataset", "workspace.toml"}


@pytest.fixture(scope="module")
def forty_people(real_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The original files of MovieLens-100K, of its first forty people."""
    folder = tmp_path_factory.mktemp("ml-100k")
    for file in (real_data / "ml-100k").iterdir():
        lines = file.read_text(encoding="latin-1").splitlines(keepends=True)
        people = {"u.data": "\t", "u.user": "|"}.get(file.name)
        few = [line for line in lines if people is None or int(line.split(people)[0]) <= 40]
        (folder / file.name).write_text("".join(few), encoding="latin-1")
    return folder


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
@pytest.mark.parametrize("name", [file.stem for file in sorted((ROOT / "recipes").glob("paper-*.toml"))])
def test_a_recipe_of_the_paper_runs_on_the_real_data(name: str, forty_people: Path, tmp_path: Path) -> None:
    """About few people, and learning little: every stage that it names does its work."""
    recipe = load_recipe(ROOT / "recipes" / f"{name}.toml")
    assert recipe.dataset.kind == "ml-100k"

    def little(one: Any, **settings: Any) -> Any:
        return one.model_copy(update={"settings": {**one.settings, **settings}})

    adapters = [little(one, epochs=1).model_copy(update={"rows": (one.rows or 120) // 10}) for one in recipe.adapters]
    recommenders = [little(one, epochs=1) if one.name == "bpr" else one for one in recipe.recommenders]
    small = recipe.model_copy(
        update={
            "dataset": recipe.dataset.model_copy(update={"source": str(forty_people)}),
            "recommenders": tuple(recommenders),
            "adapters": tuple(adapters),
            "explain": recipe.explain.model_copy(update={"users": 12}),
            "measure": recipe.measure.model_copy(update={"identify": recipe.measure.identify and 6}),
        }
    )
    place, lines = Workspace(tmp_path / name), list[str]()
    run(small, place, lines.append)
    for generator in recipe.generators:
        rows = place.explanations("bpr", generator.label).read_text(encoding="utf-8").splitlines()
        assert len(rows) == 12 and all(json.loads(row)["status"] == "ok" for row in rows)
    written = {Path(line.split("wrote ")[1]).name for line in lines if "wrote " in line}
    assert written >= {
        *(["table2.csv"] if recipe.judges else []),
        *(["against.csv"] if any(judge.against for judge in recipe.judges) else []),
        *(["identifiability.csv"] if recipe.measure.identify else []),
        *(["fairness.csv"] if recipe.measure.fairness else []),
    }
    for adapter in recipe.adapters:
        assert (place.adapter(adapter.name) / "card.json").is_file()
    people = [json.loads(row)["user_id"] for row in rows]
    named = [user for user in recipe.report.cases if user in people]
    assert [sheet.name for sheet in cases_of(place)] == [f"case-bpr-{n}" for n, _ in enumerate(named, 1)]
    assert bool(named) == bool(recipe.report.cases)


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


DEAR = """
name = "dear"
[dataset]
kind = "demo"
[[recommenders]]
name = "popularity"
[[recommenders]]
name = "ease"
[[generators]]
spec = "openai:m@SERVER"
name = "served"
price = { input = 0.0, output = 100_000.0 }
settings = { max_tokens = 3, concurrency = 1 }
max_cost = 4.0
[explain]
users = 3
[predict]
generators = ["served"]
targets = ["gender"]
users = 3
[measure]
fairness = ["gender"]
flip = true
"""
"""Each answer costs 0.3 USD; 18 are to be asked for."""


def test_a_limit_of_cost_is_for_all_that_a_generator_is_asked(
    call: Call, serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "k")
    server = serve(lambda _body, _number: completion('{"gender": "male"}'))
    text = DEAR.replace("SERVER", server.url)
    Path("r.toml").write_text(text)
    for limit, answers in ((4.0, 13), (4.0, 13), (4.3, 14), (99.0, 18)):
        Path("r.toml").write_text(text.replace("max_cost = 4.0", f"max_cost = {limit}"))
        ended = call("run", "r.toml", "--workspace", "w")
        assert ended.code == 0, ended.out
        assert len(server.requests) == answers, f"{limit} USD buy {limit / 0.3:.1f} answers"
        ledgers = [
            file for part in ("explanations", "predictions", "flipped") for file in Path("w", part).rglob("*.jsonl")
        ]
        rows = [json.loads(line) for file in ledgers for line in file.read_text().splitlines()]
        assert sum(row["cost"] for row in rows) == pytest.approx(0.3 * answers)


def test_causes_of_more_recommendations_are_traced_where_they_are_told(call: Call) -> None:
    Path("small.toml").write_text(f'{SMALL}[prompt]\ntemplate = "evidence"\n[explain]\nusers = 4\n')
    assert call("run", "small.toml", "--workspace", "w").code == 0
    Path("small.toml").write_text(f'{SMALL}[prompt]\ntemplate = "evidence"\n[explain]\nusers = 4\ntop = 2\n')
    ended = call("run", "small.toml", "--workspace", "w")
    assert ended.code == 0 and "600 recommendations fall" in ended.out, ended.out
    assert "600 recommendations" not in call("run", "small.toml", "--workspace", "w").out
    asked = "explain w --generator template --template evidence --name more --users 4 --top 3"
    assert call(*asked.split()).code == 0
    for name, rows in (("template", 8), ("more", 12)):
        texts = [
            json.loads(line)["text"] for line in Path(f"w/explanations/ease/{name}.jsonl").read_text().splitlines()
        ]
        assert len(texts) == rows and all(text.startswith("Because you watched") for text in texts)


def test_other_predictions_are_refused_before_anything_is_asked(call: Call) -> None:
    one = f'{SMALL}[explain]\nusers = 3\n[predict]\ngenerators = ["template"]\nusers = 3\ntargets = ["gender"]\n'
    Path("small.toml").write_text(one)
    assert call("run", "small.toml", "--workspace", "w").code == 0
    assert call("run", "small.toml", "--workspace", "w").code == 0, "the same are kept"
    before = snapshot(Path("w"))
    for right, wrong, error in (
        ('targets = ["gender"]', 'targets = ["age"]', "template.jsonl holds answers made with targets = ['gender']"),
        ('targets = ["gender"]', "", "holds answers made with targets = ['gender']"),
        ("[explain]", "[prompt]\nhistory = 5\n[explain]\ngenerators = []", "holds answers made with history = 20"),
    ):
        Path("small.toml").write_text(one.replace("[explain]\nusers = 3", "[explain]\nusers = 9").replace(right, wrong))
        ended = call("run", "small.toml", "--workspace", "w")
        assert ended.code == 2 and error in ended.out, ended.out
        assert snapshot(Path("w")) == before


def test_an_empty_list_names_nobody(call: Call) -> None:
    for key in ("generators", "recommenders"):
        Path("small.toml").write_text(f"{SMALL}[explain]\n{key} = []\n")
        ended = call("run", "small.toml", "--workspace", key)
        assert ended.code == 0 and "ease: Recall@10" in ended.out, ended.out
        assert not Path(key, "explanations").exists()
    predicting = f'{SMALL}[explain]\ngenerators = []\n[predict]\ngenerators = ["template"]\nrecommenders = []\n'
    Path("small.toml").write_text(predicting)
    assert call("run", "small.toml", "--workspace", "p").code == 0 and not Path("p/predictions").exists()
    for right, wrong in (
        ('sources = ["annotated:news"]', "sources = []"),
        ('recommenders = ["ease"]\nfolds', "recommenders = []\nfolds"),
        ('targets = ["gender"]', "targets = []"),
    ):
        assert right in ALL
        Path("r.toml").write_text(ALL.replace(right, wrong))
        ended = call("run", "r.toml", "--workspace", "w")
        assert ended.code == 2 and "should have at least 1 item" in ended.out, ended.out
