"""The library by hand: what its methods leave is what commands leave, and what they return shows itself harmlessly."""

from __future__ import annotations

import json
import random
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from shutil import copytree

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.conftest import Call
from tests.generators.loopback import Serve, completion
from tests.worlds import hostile

import llmxrec
from llmxrec import InputError
from llmxrec.notebook.shown import Card, Cards, html_of, lines_of, sheet_of
from llmxrec.reports.sheets import Sheet


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory, pairs: Path) -> Path:
    """The demo, two recommenders, and one explained by two generators, all by hand."""
    folder = tmp_path_factory.mktemp("made") / "films"
    films = llmxrec.load("demo", folder)
    films.fit("popularity")
    films.fit("ease")
    films.explain("template", recommender="ease", users=30)
    films.explain("embedded", recommender="ease", users=30, template="evidence", verify=True, name="true")
    films.faithfulness()
    films.identify(among=20)
    films.fairness(["gender"])
    films.predict(recommender="ease", users=20, targets=["gender"])
    films.judge(train=pairs)
    films.audit()
    films.report()
    return folder


@pytest.fixture
def films(made: Path, tmp_path: Path) -> llmxrec.Experiment:
    """A copy of it."""
    copytree(made, tmp_path / "films")
    return llmxrec.open(tmp_path / "films")


def files_in(folder: Path) -> dict[str, bytes]:
    return {str(file.relative_to(folder)): file.read_bytes() for file in folder.rglob("*") if file.is_file()}


def differing(one: Path, other: Path) -> list[str]:
    """The files that are not the same; how long things took is told in some, and differs."""
    mine, theirs = files_in(one), files_in(other)
    told = {name for name in {*mine, *theirs} if Path(name).stem == "times" or name == "report.html"}
    return [name for name in sorted({*mine, *theirs} - told) if mine.get(name) != theirs.get(name)]


# --- a workspace is the same, whoever made it ----------------------------------------------------------------------


def test_a_workspace_is_as_commands_make_it(made: Path, call: Call, pairs: Path) -> None:
    for words in (
        "init films --dataset demo",
        "recommend films --recommender popularity",
        "recommend films --recommender ease",
        "explain films --recommender ease --generator template --users 30",
        "explain films --recommender ease --users 30 --template evidence --verify --name true",
        "faithfulness films",
        "identify films --recommender ease --among 20",
        "fairness films --recommender ease --attribute gender",
        "predict films --recommender ease --users 20 --target gender",
        f"judge films --train {pairs}",
        "audit films",
        "report films",
    ):
        ended = call(*words.split())
        assert ended.code == 0, ended.out
    assert len(files_in(Path("films"))) > 30
    assert differing(made, Path("films")) == []


def test_tables_and_texts_of_ones_own_are_read_as_commands_read_them(call: Call, tmp_path: Path) -> None:
    orders = [f"c{c},p{(c + s) % 20},2024-01-0{s + 1}" for c in range(12) for s in range(5)]
    Path("orders.csv").write_text("\n".join(["customer,sku,created_at", *orders]) + "\n")
    Path("products.csv").write_text("sku,title,shelf\n" + "".join(f"p{n},Book {n},crime\n" for n in range(20)))
    Path("people.csv").write_text("customer,age\n" + "".join(f"c{c},{20 + c}\n" for c in range(12)))
    Path("ours.csv").write_text("customer,sku\n" + "".join(f"c{c},p{(c + 5) % 20}\n" for c in range(12)))
    Path("theirs.csv").write_text("user,item,text\n" + "".join(f"c{c},p{(c + 5) % 20},Buy it.\n" for c in range(12)))
    files = {"interactions": "orders.csv", "items": "products.csv", "users": "people.csv"}
    for words in (
        "init a/shop --interactions orders.csv --items products.csv --users people.csv --show-user age",
        "recommend a/shop --recommender external --recommendations ours.csv",
        "import a/shop theirs.csv --recommender external --generator them",
        "explain a/shop",
    ):
        ended = call(*words.split())
        assert ended.code == 0, ended.out
    shop = llmxrec.tables("b/shop", **files, show_user=["age"], recommendations="ours.csv")  # type: ignore[arg-type]
    shop.attach("ours.csv")
    assert shop.add("theirs.csv", generator="them").generators == ("them",)
    assert shop.explain().rows == 12
    assert differing(Path("a"), Path("b")) == []

    # The same tables from memory differ in where they come from, and in nothing else.
    frames = {name: pl.read_csv(file) for name, file in files.items()}
    held = {
        "user": [f"c{c}" for c in range(12)],
        "item": [f"p{(c + 5) % 20}" for c in range(12)],
        "text": ["Buy it."] * 12,
    }
    shop = llmxrec.tables("c/shop", **frames, show_user=["age"], recommendations=pl.read_csv("ours.csv"))  # type: ignore[arg-type]
    shop.attach(pl.read_csv("ours.csv"))
    shop.add(held, generator="them")
    shop.explain()
    assert differing(Path("a"), Path("c")) == ["shop/explanations/external/them.toml", "shop/workspace.toml"]

    again = llmxrec.tables("c/shop", **frames, show_user=["age"], recommendations=pl.read_csv("ours.csv"))  # type: ignore[arg-type]
    assert again == shop and again.explanations("embedded").rows == 12
    with pytest.raises(InputError, match="this one holds other tables"):
        llmxrec.tables("c/shop", interactions=frames["interactions"].head(20), items=frames["items"])


def test_what_is_done_is_kept(films: llmxrec.Experiment) -> None:
    folder = films.workspace.path
    copytree(folder, folder.parent / "before")
    assert llmxrec.load("demo", folder) == films
    before = {file: file.stat().st_mtime_ns for file in (folder / "models").rglob("*.*")}
    fitted = films.fit("ease")
    assert before == {file: file.stat().st_mtime_ns for file in (folder / "models").rglob("*.*")}
    assert fitted.metrics["Recall@10"].value == pytest.approx(73 / 300) and fitted.rows == 3000
    again = films.explain(recommender="ease", users=30, template="evidence", verify=True, name="true")
    assert "nothing to ask (30 were answered before)" in repr(again)
    assert differing(folder, folder.parent / "before") == []
    with pytest.raises(InputError, match="holds answers made with template = 'evidence'"):
        films.explain(recommender="ease", users=30, name="true")
    with pytest.raises(InputError, match="holds the dataset 'demo'"):
        llmxrec.load("ml-100k", folder)


# --- what methods return -------------------------------------------------------------------------------------------


def test_a_recommender_is_shown_beside_the_trivial_rule(films: llmxrec.Experiment) -> None:
    fitted = films.fit("ease")
    lines = repr(fitted).splitlines()
    assert lines[0] == "ease: 3,000 recommendations for 300 users"
    assert "  ease         Recall@10  0.243 [0.193, 0.293]  300" in lines
    assert "  popularity   Recall@10  0.117 [0.080, 0.153]  300" in lines
    assert fitted.table.filter(recommender="popularity", metric="NDCG@10")["low"][0] == pytest.approx(0.0357, abs=1e-3)
    assert fitted.evidence is not None and fitted.evidence.by_one == 216
    text, tags = read(fitted._repr_html_())
    assert "0.243 [0.193, 0.293]" in text and "table" in tags
    assert 'not measured yet: fit("popularity")' in repr(films.fit("ease", k=5))


def test_explanations_tell_what_caused_them(films: llmxrec.Experiment) -> None:
    why = films.explanations("true")
    assert why.rows == 30 and why.statuses == {"ok": 30} and why.cost == 0
    first, *_ = cards = why.sample(3)
    assert len(cards) == 3 and cards == why.sample(3)
    for card in cards:
        assert card.causes and all(card.text[start:end].strip('"') in card.causes for start, end in card.marked)
    assert any(card.marked for card in cards)
    assert first in why.of(first.user_id) and not why.of("nobody")
    html = cards._repr_html_()
    assert html.count("<mark>") == sum(len(card.marked) for card in cards)
    assert f'*"{first.causes[0]}"*' in repr(cards)
    file = why.export(films.workspace.path / "why.csv")
    assert pl.read_csv(file)["title"].to_list() == why.table["title"].to_list()


def test_what_asking_would_cost_is_known_before(films: llmxrec.Experiment, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "none")
    before = files_in(films.workspace.path)
    how = {"recommender": "ease", "users": 4, "max_tokens": 100}
    plan = films.estimate("openai:some-model", price=(1.0, 2.0), **how)
    assert plan.calls == 4 and plan.cost_at_most == pytest.approx(plan.estimate.input_tokens * 1e-6 + 4 * 100 * 2e-6)
    assert len(plan.prompts) == 3 and plan.prompts[0] in repr(plan) and "calls: 4" in repr(plan)
    assert films.estimate("openai:some-model", **how).cost_at_most is None
    assert files_in(films.workspace.path) == before


def test_a_judge_names_a_winner_only_where_it_is_valid(films: llmxrec.Experiment, pairs: Path) -> None:
    found = films.judge(train=pairs)
    assert found.valid and found.verdict.endswith("the judge is VALID") and found.worth is not None
    assert {"text", "the longer text", "a coin"} <= {*found.table["source"]}
    assert found.verdict in repr(found) and found.verdict in read(found._repr_html_())[0]
    assert llmxrec.validate_judge(train=pairs).table.equals(found.worth.table)
    assert "judged by text" in repr(films)

    tossed, draw = pairs.with_name("tossed.jsonl"), random.Random(2)
    rows = [{**json.loads(line), "label": draw.choice([1, 2])} for line in pairs.read_text().splitlines()]
    tossed.write_text("\n".join(map(json.dumps, rows)))
    measured = llmxrec.validate_judge(train=tossed)
    assert not measured.valid and measured.reasons and repr(measured).splitlines()[-1].startswith("INVALID: ")


def test_an_adapter_is_tuned_and_asked_about_others(films: llmxrec.Experiment) -> None:
    how = {"task": "attributes", "recommenders": ["ease"], "targets": ["gender"], "users": 20, "epochs": 1}
    tuned = films.tune("embedded", name="mine", **how)
    assert tuned.spec == f"embedded+{films.workspace.adapter('mine')}" and tuned.table.height == 1
    (card,) = tuned.cards.values()
    assert card.rows + card.held_out == 20 and "mine: " in repr(tuned)
    assert films.tune("embedded", name="mine", **how).table.equals(tuned.table), "kept"
    found = films.predict(tuned.spec, recommender="ease", targets=["gender"], users=20, name="mine")
    assert {one.who for one in found.found} >= {"random", "most frequent", "mine"}
    assert "left out: 20 people on whom the adapter was tuned" in repr(found)


def test_an_experiment_says_what_is_there(films: llmxrec.Experiment, tmp_path: Path) -> None:
    lines = repr(films).splitlines()
    assert lines[0] == "films: 300 users, 419 items, 12,105 interactions"
    assert lines[1] == "shown to generators: of items genres, year; of users age, gender, occupation"
    assert lines[2].startswith("  ease: Recall@10 0.2433 [") and lines[2].endswith(
        "explained by template, true; judged by text"
    )
    with pytest.raises(InputError, match="a workspace is a folder with a dataset in it"):
        llmxrec.open(tmp_path / "nothing")


def test_errors_name_the_rule_the_value_and_the_cure(films: llmxrec.Experiment, tmp_path: Path) -> None:
    films.explain("template", recommender="popularity", users=1)
    for wrong, said in (
        (lambda: films.explain(), "say which recommender with recommender=NAME; found 'ease, popularity'"),
        (lambda: films.explain(recommender="eas"), "did you mean 'ease'?"),
        (lambda: films.explain(recommender="ease", temprature=1), "did you mean 'temperature'?"),
        (lambda: films.explain(recommender="ease", template="evidense"), "did you mean 'evidence'?"),
        (lambda: films.explanations("embeded", recommender="ease"), "unknown generator 'embeded'"),
        (lambda: films.fit("esae"), "did you mean 'ease'?"),
        (lambda: films.fit("ease", rige=1), "did you mean 'ridge'?"),
        (lambda: films.fit("external"), "give them with attach"),
        (lambda: films.judge("tekst", recommender="ease"), "tekst"),
        (lambda: llmxrec.load("demoo", tmp_path / "x"), "did you mean 'demo'?"),
        (lambda: llmxrec.tables(tmp_path / "x", interactions=3), "found 'int'"),  # type: ignore[arg-type]
        (
            lambda: llmxrec.tables(tmp_path / "x", interactions={"who": ["a"], "item_id": ["b"]}),
            "the table of interactions: a column holds the user_id; found 'who, item_id'; say which: "
            "columns={'user_id': 'YOUR_COLUMN'}",
        ),
        (
            lambda: llmxrec.tables(tmp_path / "x", interactions={"user_id": ["a"], "item_id": [[{"b": 1}]]}),
            "the table of interactions",
        ),
    ):
        with pytest.raises(InputError) as error:
            wrong()
        assert said in str(error.value), str(error.value)
        assert error.value._render_traceback_() == [f"InputError: {error.value}"]
    assert not (tmp_path / "x").exists()


def test_causes_of_a_stand_in_are_said_to_be_its(films: llmxrec.Experiment, call: Call) -> None:
    table = pl.read_parquet(films.workspace.recommendations("ease")).filter(pl.col("rank") <= 2)
    fitted = films.attach(table)
    how = {"recommender": "external", "template": "evidence", "users": 9}
    why = films.explain("template", **how)
    said = "a stand-in (EASE, fitted to the interactions): the recommender itself cannot be asked"
    assert f"measured on {said}" in repr(fitted) and f"causes are those of {said}" in repr(why)
    assert why.stand_in and said in read(why._repr_html_())[0]
    for card in why.sample():
        assert card.text.startswith("Because you") and "rests on (by a stand-in): " in repr(card)
        assert "rests on (by a stand-in): " in read(card._repr_html_())[0]
    own = films.explanations("true", recommender="ease")
    assert not own.stand_in and "stand-in" not in repr(own) + repr(own.sample()) and "rests on: " in repr(own.sample())
    asked = call("explain", films.workspace.path, *"--recommender external --template evidence --name b".split())
    assert f"reasons are those of {said}" in asked.out


def test_whom_others_recommend_nothing_is_not_said_to_have_no_history(films: llmxrec.Experiment) -> None:
    table = pl.read_parquet(films.workspace.recommendations("ease"))
    attached = films.attach(table.filter(pl.col("user_id") > "u010"))
    assert attached.strangers == 10 and "\n10 users are recommended nothing\n" in repr(attached)


def test_all_answers_cost_and_an_unknown_price_is_not_free(
    films: llmxrec.Experiment, serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "k")
    server = serve(lambda _body, _number: completion("You are an old man of 99 years."))
    how = {"recommender": "ease", "users": 2, "max_tokens": 3}
    why = films.explain(f"openai:m@{server.url}", name="a", **how)
    assert why.cost is None and "cost unknown" in repr(why).splitlines()
    asked = len(server.requests)
    why = films.explain(f"openai:m@{server.url}", name="b", price=(0.0, 100_000.0), verify=True, **how)
    asked = len(server.requests) - asked
    assert asked == 6, "two rows, each again twice"
    assert why.cost == pytest.approx(0.3 * asked) and "unknown" not in repr(why)


def test_a_workspace_may_have_any_name(made: Path, call: Call, pairs: Path) -> None:
    copytree(made, "my films, 2024")
    films = llmxrec.open("my films, 2024")
    assert set(films.judge(train=pairs).table["dataset"]) == {"my films, 2024"}
    assert call("judge", "my films, 2024", "--train", pairs).code == 0


def test_what_is_wrong_is_said_before_anything_is_written(films: llmxrec.Experiment, pairs: Path) -> None:
    before = files_in(films.workspace.path)
    ease = {"recommender": "ease"}
    for wrong, said in (
        (lambda: films.tune(name="a", task="explane"), "unknown task 'explane'; did you mean 'explain'?"),
        (lambda: films.tune(name="a", task="explain,judge", pairs=pairs), "an adapter learns explain, attributes or"),
        (lambda: films.tune(name="a", task="judge"), "judge learns from labelled pairs; give pairs=FILE, and no sou"),
        (lambda: films.tune(name="a", task="judge", pairs=pairs, users=3), "judge learns from labelled pairs"),
        (lambda: films.tune(name="a", task="reward", pairs=pairs, sources=["annotated"]), "learns from labelled pairs"),
        (lambda: films.tune(name="a", pairs=pairs), "pairs go with the tasks judge, reward and prefer"),
        (lambda: films.tune(name="a", folds=0), "folds is a whole number, 2 or more; found 0"),
        (lambda: films.tune(name="a", users=0), "users is a whole number, 1 or more; found 0"),
        (lambda: films.tune(name="a", sources=[]), "sources names one or more; found []"),
        (lambda: films.tune(name="a", task="attributes", targets=[]), "targets names one or more; found []"),
        (lambda: films.tune(name="a", task="attributes", sources="annotated"), "leave sources out"),
        (lambda: films.explain("template", users=-5, **ease), "users is a whole number, 1 or more; found -5"),
        (lambda: films.explain("template", users="all", **ease), "users is a whole number, 1 or more; found 'all'"),
        (lambda: films.explain("template", top=0, name="b", **ease), "top is a whole number, 1 or more; found 0"),
        (lambda: films.estimate("template", users=0, name="b", **ease), "users is a whole number, 1 or more"),
        (lambda: films.predict("template", users=0, name="b", **ease), "users is a whole number, 1 or more"),
        (lambda: films.predict("template", targets=[], name="b", **ease), "targets names one or more"),
        (lambda: films.fit("ease", k=0), "k is a whole number, 1 or more"),
        (lambda: films.fit("ease", evidence=-1), "evidence is a whole number, 0 or more"),
        (lambda: films.identify(among=1, **ease), "among is a whole number, 2 or more"),
        (lambda: films.identify([], **ease), "generators names one or more"),
        (lambda: films.fairness([], **ease), "attributes names one or more"),
        (lambda: films.faithfulness(k=0, **ease), "k is a whole number, 1 or more"),
        (lambda: films.judge("text", seed=-1, **ease), "seed is a whole number, 0 or more"),
        (lambda: llmxrec.validate_judge(train=pairs, folds=1), "folds is a whole number, 2 or more"),
        (lambda: films.judge("text", **ease), "give them with train=FILE, or those about films that ship with LLMXRec: "
            "train=annotated"),
    ):  # fmt: skip
        with pytest.raises(InputError) as error:
            wrong()
        assert said in str(error.value) and "--" not in str(error.value), str(error.value)
    assert files_in(films.workspace.path) == before


def test_a_lone_name_is_a_list_of_one(films: llmxrec.Experiment) -> None:
    assert {one.attribute for one in films.fairness("gender").found} == {"gender"}
    assert films.identify("true", among=20).table.equals(films.identify(["true"], among=20).table)
    found = films.predict(recommender="ease", users=5, targets="gender", user_attributes="age", name="lone")
    assert {one.target for one in found.found} == {"gender"}
    plan = films.estimate(recommender="ease", users=1, user_attributes="occupation")
    assert plan.calls == 1 and "occupation" in plan.prompts[0] and "gender" not in plan.prompts[0]


def test_a_tuned_adapter_says_what_it_is_for(films: llmxrec.Experiment) -> None:
    how = {"users": 6, "epochs": 1, "rehearsal": 6}
    folds = films.tune(name="parts", task="attributes", recommenders="ease", targets="gender", folds=2, **how)
    assert repr(folds).endswith(f'next: predict("{folds.spec}")')
    asked = {"recommender": "ease", "targets": "gender", "users": 4, "name": "parts"}
    assert films.predict(folds.spec, **asked).found
    told = films.tune(name="told", task="explain", sources="annotated:news", **how)
    assert repr(told).endswith(f'next: explain("{told.spec}")')


def test_a_model_fitted_elsewhere_is_taken_in_again(films: llmxrec.Experiment, tmp_path: Path) -> None:
    from llmxrec.experiment import run
    from llmxrec.recipe import Recipe
    from llmxrec.settings import check

    users = pl.read_parquet(films.workspace.dataset / "users.parquet")["user_id"].to_list()
    items = pl.read_parquet(films.workspace.dataset / "items.parquet")["item_id"].to_list()
    where = {name: str(tmp_path / name) for name in ("model", "users", "items")}
    Path(where["users"]).write_text("\n".join(users))
    Path(where["items"]).write_text("\n".join(items))
    again = {"name": "again", "dataset": {"kind": "demo"}, "hold_out": False, "explain": {"recommenders": []}}
    recipe = check(Recipe, {**again, "recommenders": [{"name": "implicit", "settings": where}]}, "it")

    def recommended(seed: int, *, by_recipe: bool = False) -> pl.DataFrame:
        draw = np.random.default_rng(seed)
        factors = {"user_factors": draw.random((300, 3)), "item_factors": draw.random((len(items), 3))}
        with Path(where["model"]).open("wb") as file:
            np.savez(file, **{name: values.astype(np.float32) for name, values in factors.items()})
        if by_recipe:
            run(recipe, films.workspace, lambda _: None)
        else:
            films.fit("implicit", hold_out=False, **where)
        return pl.read_parquet(films.workspace.recommendations("implicit"))

    first, second, third = recommended(1), recommended(2), recommended(3, by_recipe=True)
    assert not first.equals(second) and not second.equals(third)
    assert first.equals(recommended(1, by_recipe=True))


def test_the_same_files_are_the_same_from_any_folder(
    tmp_path: Path, call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "data" / "few"
    folder.mkdir(parents=True)
    rows = ["user_id:token\titem_id:token", *(f"u{u}\ti{(u + i) % 9}" for u in range(12) for i in range(5))]
    (folder / "few.inter").write_text("\n".join(rows) + "\n")
    few = repr(llmxrec.load("recbole", "w", "data/few")).splitlines()[0]
    recipe = 'name = "few"\n[dataset]\nkind = "recbole"\nsource = "SOURCE"\n[[recommenders]]\nname = "popularity"\n'
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert repr(llmxrec.load("recbole", "../w", "../data/few")).splitlines()[0] == few
    assert llmxrec.load("recbole", "../w").said == ()
    Path("r.toml").write_text(recipe.replace("SOURCE", "../data/few"))
    assert call("run", "r.toml", "--workspace", "../w").code == 0
    for other in (lambda: llmxrec.load("recbole", "../w", "../data"), lambda: llmxrec.load("mind", "../w")):
        with pytest.raises(InputError, match=r"w holds the dataset 'recbole' of .*data.few"):
            other()


# --- text is data --------------------------------------------------------------------------------------------------


class _Page(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.text, self.tags, self.attributes = "", list[str](), set[str]()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes |= {name for name, _ in attrs}

    def handle_data(self, data: str) -> None:
        self.text += data


def read(html: str) -> tuple[str, list[str]]:
    """The text and the tags of a piece of HTML, none of which runs anything."""
    page = _Page()
    page.feed(html)
    page.close()
    assert page.attributes <= {"style", "class"}
    assert {*page.tags} <= {"div", "b", "small", "br", "mark", "table", "thead", "tbody", "tr", "th", "td", "p", "pre"}
    return page.text, page.tags


ATTACKS = [
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "\x1b[2J\x1b]0;owned\x07",
    "'; drop",
    "$a$",
    "&lt;",
]
texts = hostile | st.sampled_from(ATTACKS) | st.lists(st.sampled_from(ATTACKS)).map(" ".join)


@given(texts, texts, texts, texts)
def test_no_text_is_more_than_text(title: str, user: str, text: str, cause: str) -> None:
    card = Card(user, "i", title, 1, text, "ok", (cause,), ((0, len(text) // 2),))
    shown, _ = read(Cards([card, card])._repr_html_())
    for part in (title, user, text, cause):
        assert shown.count(part.replace("\r\n", "\n").replace("\r", "\n")) >= 2 or "\r" in part or "\x00" in part
    assert repr(card).replace("\n", "").isprintable()
    sheet = Sheet("", title, (user, "n"), ((text, cause),), cause)
    assert text in read(html_of(sheet))[0] or "\r" in text or "\x00" in text
    assert len(lines_of(sheet)) == (3 if cause else 2)


def test_hostile_data_stay_text_all_the_way(tmp_path: Path) -> None:
    attack = " ".join(ATTACKS)
    people, items = [f"{attack}{n}" for n in range(6)], [f"i{n}" for n in range(8)]
    rows = [(user, item) for place, user in enumerate(people) for item in items[place % 3 : place % 3 + 4]]
    shop = llmxrec.tables(
        tmp_path / "shop",
        interactions=pl.DataFrame(rows, schema=["user_id", "item_id"], orient="row"),
        items={"item_id": items, "title": [f"{attack} {n}" for n in range(8)], "kind": [attack] * 8},
        recommendations={"user_id": people, "item_id": ["i7"] * 6},
    )
    shop.add({"user_id": people, "item_id": ["i7"] * 6, "text": [attack] * 6}, generator="them")
    why = shop.explain("template", template="evidence")
    for shown in (shop, why, why.sample(), shop.explanations("them").sample(), shop.faithfulness(), shop.audit()):
        assert "\x1b" not in repr(shown) and "\x07" not in repr(shown)
        read(shown._repr_html_())


def test_a_figure_stands_in_one_cell_with_its_interval() -> None:
    table = pl.DataFrame(
        {"who": ["a", "b"], "value": [0.5, None], "low": [0.25, None], "high": [0.75, None], "rows": [1200, 0]}
    )
    sheet = sheet_of("T", table, "note")
    assert sheet.head == ("who", "value", "rows")
    assert sheet.rows == (("a", "0.500 [0.250, 0.750]", "1,200"), ("b", "–", "0"))
    many = sheet_of("T", pl.DataFrame({"n": range(100)}))
    assert len(many.rows) == 40 and many.note == "60 more rows are in .table."


# --- the front door ------------------------------------------------------------------------------------------------


def test_the_front_door_is_short_and_light() -> None:
    assert dir(llmxrec) == llmxrec.__all__ and all(hasattr(llmxrec, name) for name in llmxrec.__all__)
    with pytest.raises(AttributeError, match="no attribute 'lode'"):
        llmxrec.lode  # noqa: B018
    for name, heavy in (("InputError", ("polars", "pydantic", "typer")), ("load", ("scipy", "numba", "torch"))):
        code = f"import llmxrec, sys; llmxrec.{name}; print([m for m in {heavy} if m in sys.modules])"
        assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.strip() == "[]"


def test_types_are_known_to_whoever_writes_a_notebook(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from mypy import api

    lines = [
        "import llmxrec",
        "from pathlib import Path",
        'films = llmxrec.load("demo", "films")',
        'low: float = films.fit("ease", epochs=3).metrics["NDCG@10"].low',
        'films.explain("template", recommender="ease")',
        'why = films.explain("embedded", template="evidence", verify=True, price=(1.0, 2.0))',
        "text: str = why.sample(3)[0].text",
        'valid: bool = films.judge(train="annotated").valid',
        "page: Path = films.report().page",
        "films.explain(users='all')  # wrong",
    ]
    (tmp_path / "mine.py").write_text("\n".join(lines))
    root = Path(__file__).parents[1]
    monkeypatch.chdir(root)
    monkeypatch.setenv("MYPYPATH", str(root / "src"))
    out, problems, _ = api.run(["--no-error-summary", str(tmp_path / "mine.py")])
    assert not problems and len(out.splitlines()) == 1 and "mine.py:10: error" in out and '"users"' in out, out


def test_a_cell_shows_progress_while_it_lasts_and_an_error_in_one_line() -> None:
    nbclient = pytest.importorskip("nbclient")
    nbformat = pytest.importorskip("nbformat")
    shown: list[str] = []

    class Watching(nbclient.NotebookClient):  # type: ignore[misc, name-defined]
        def process_message(self, msg: dict[str, dict[str, dict[str, str]]], cell: object, cell_index: int) -> object:
            if msg["header"]["msg_type"] in ("display_data", "update_display_data"):  # type: ignore[comparison-overlap]
                shown.append(msg["content"]["data"]["text/plain"])
            return super().process_message(msg, cell, cell_index)

    code = [
        "import time",
        "from llmxrec.progress import progress",
        "with progress('waiting', 4, 'naps') as advance:",
        "    for _ in range(4):",
        "        time.sleep(0.6)",
        "        advance(1)",
        "with progress('in no time', 4) as advance:",
        "    advance(4)",
    ]
    cells = map(nbformat.v4.new_code_cell, ["\n".join(code), "import llmxrec\nllmxrec.open('nowhere')"])
    notebook = nbformat.v4.new_notebook(cells=list(cells))
    Watching(notebook, timeout=60, allow_errors=True).execute()
    assert len(shown) == 5 and shown[0].startswith("waiting: 1 of 4, ") and shown[0].endswith(" naps/s)")
    assert shown[-1] == "" and [one["data"] for one in notebook.cells[0].outputs] == [{"text/plain": ""}]
    (wrong,) = notebook.cells[1].outputs
    assert len(wrong.traceback) == 1 and wrong.traceback[0].startswith("InputError: a workspace is a folder with")
