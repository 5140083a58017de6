"""`llmxrec identify` and `llmxrec fairness`, as a user gives them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from tests.conftest import Call
from tests.generators.loopback import Said, Serve, completion

from llmxrec.ledger import read_ledger
from llmxrec.workspace import Workspace


def unfair(body: dict[str, Any], number: int) -> Said:
    """A model that writes more for women."""
    asked = body["messages"][-1]["content"]
    return completion("This film fits you well." + (" It really does." if "gender: female" in asked else ""))


@pytest.fixture
def demo(call: Call) -> Workspace:
    assert call("init", "w", "--dataset", "demo").code == 0
    assert call("recommend", "w", "--recommender", "popularity").code == 0
    return Workspace(Path("w"))


def test_texts_are_told_from_each_other(call: Call, demo: Workspace) -> None:
    for generator in ("embedded", "template"):
        assert call("explain", "w", "--generator", generator, "--users", "120").code == 0
    ended = call("identify", "w")
    assert ended.code == 0, ended.out
    assert "R@1 among 100" in ended.out and ended.out.splitlines()[-1].startswith("next: llmxrec fairness w")
    table = pl.read_csv("w/tables/identifiability.csv")
    whole = {row["who"]: row for row in table.filter(by="everything").iter_rows(named=True)}
    assert list(whole) == ["embedded", "embedded, shuffled", "template", "template, shuffled", "popular template"]
    assert whole["embedded"]["recall"] > 0.5 and whole["template"]["bits"] > 3
    assert whole["template, shuffled"]["recall"] < 0.05 and abs(whole["popular template"]["bits"]) < 0.4
    assert {row["rows"] for row in whole.values()} == {120}
    told = json.loads(call("identify", "w", "--generator", "template", "--among", "10", "--json").out)
    assert {one["among"] for one in told["identified"]} == {10}
    assert {one["who"] for one in told["identified"]} == {"template", "template, shuffled", "popular template"}
    wrong = call("identify", "w", "--generator", "templat")
    assert wrong.code == 2 and "unknown generator 'templat'; did you mean 'template'?" in wrong.out


def test_groups_are_compared_and_nothing_is_asked(call: Call, demo: Workspace, serve: Serve) -> None:
    server = serve(unfair)
    spec = f"openai:m@{server.url}"
    words = ("explain", "w", "--generator", spec, "--name", "served", "--users", "60")
    assert call(*words).code == 0
    asked = len(server.requests)
    ended = call("fairness", "w", "--attribute", "gender")
    assert ended.code == 0, ended.out
    table = pl.read_csv("w/tables/fairness.csv")
    assert set(table["how"]) == {"groups"} and set(table["who"]) == {"served", "template", "everybody"}
    women = table.filter(who="served", group="female", measure="words").row(0, named=True)
    assert (women["mean"], women["against"]) == (8, "the rest") and women["difference_low"] > 0
    assert call("fairness", "w", "--attribute", "gender", "--generator", "served").code == 0
    again = call("fairness", "w", "--json")
    found = json.loads(again.out)["contrasts"]
    assert {one["attribute"] for one in found} == {"age", "gender", "occupation"}
    assert all(one["adjusted"] is None for one in found if one["measure"] == "history")
    assert len(server.requests) == asked and not (demo.path / "flipped").exists()


def test_what_is_flipped_is_asked_once_and_kept_apart(call: Call, demo: Workspace, serve: Serve) -> None:
    server = serve(unfair)
    spec = f"openai:m@{server.url}"
    words = ("explain", "w", "--generator", spec, "--name", "served", "--users", "60", "--history", "5")
    assert call(*words).code == 0
    file = demo.explanations("popularity", "served")
    explained, people = file.read_bytes(), pl.read_parquet(demo.dataset / "users.parquet")
    first = [row["user_id"] for row in read_ledger(file)]
    women = people.filter(pl.col("user_id").is_in(first), gender="female").height
    flip = ("fairness", "w", "--generator", "served", "--attribute", "gender", "--flip", "--users", "60")
    plan = call(*flip, "--dry-run")
    assert plan.code == 0 and "calls: 60 (0 of 60" in plan.out and len(server.requests) == 60
    assert not (demo.path / "flipped").exists()
    ended = call(*flip)
    assert ended.code == 0, ended.out
    assert f"gender female: 60 rows: {60 - women} ok ({women} were answered before)" in ended.out
    assert "  served  female - male  8.00 [8.00, 8.00], difference +3.00 [+3.00, +3.00], 60 pairs" in ended.out
    assert "  served  female - male  1.00 [1.00, 1.00], 60 pairs" in ended.out
    shown = [request["messages"][-1]["content"].count("; genres: ") for request in server.requests]
    assert set(shown) == {6}, "asked as the explanations were: of five items and the candidate"
    asked = len(server.requests)
    assert "60 rows: nothing to ask (60 were answered before)" in call(*flip).out
    assert len(server.requests) == asked and file.read_bytes() == explained
    assert demo.generators("popularity") == ["served"]
    assert {file.name for file in (demo.path / "flipped/popularity").glob("*.jsonl")} == {
        "served.gender=female.jsonl", "served.gender=male.jsonl"
    }  # fmt: skip
    assert "female - male" in call("fairness", "w", "--attribute", "gender").out, "also without asking"
    table = pl.read_csv("w/tables/fairness.csv")
    assert table.filter(how="flipped").height == 5 and table.filter(how="groups", who="served").height == 12
    call("fairness", "w", "--attribute", "age")
    assert pl.read_csv("w/tables/fairness.csv").filter(attribute="gender").equals(table), "others stay"


def test_a_generator_that_explained_nothing_can_be_flipped(call: Call, demo: Workspace) -> None:
    words = ("fairness", "w", "--generator", "embedded", "--attribute", "age", "--flip", "--between", "18,81")
    ended = call(*words, "--users", "20")
    assert ended.code == 0, ended.out
    assert "age 18: 20 rows: 20 ok" in ended.out and "embedded  18 - 81" in ended.out
    table = pl.read_csv("w/tables/fairness.csv")
    assert table.filter(measure="words")["difference"].to_list() == [0.0], "its model is shown nothing of people"
    assert "embedded  18 - 81" in call("fairness", "w", "--attribute", "age").out, "also without asking"
    assert call("recommend", "w", "--recommender", "popularity", "--full").code == 0
    stale = call("fairness", "w", "--attribute", "age")
    assert stale.code == 2 and "holds answers made with hold_out = True" in stale.out


@pytest.mark.parametrize(
    ("words", "error"),
    [
        ((), "say which generator with --generator; found 'none'; make one: llmxrec explain w"),
        (("--generator", "gpt-4"), "there is no generator here yet"),
        (("--flip",), "--flip asks one generator"),
        (
            ("--flip", "--generator", "template"),
            "say which attribute with --attribute; found 'age, gender, occupation'",
        ),
        (("--flip", "--generator", "templat", "--attribute", "gender"), "unknown generator 'templat'"),
        (("--flip", "--generator", "template", "--attribute", "gendre"), "did you mean 'gender'?"),
        (("--flip", "--generator", "template", "--attribute", "age", "--between", "3"), "flipped between two values"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(call: Call, demo: Workspace, words: tuple[str, ...], error: str) -> None:
    ended = call("fairness", "w", *words)
    assert ended.code == 2 and error in ended.out and ended.out.count("\n") == 1
    assert not Path("w/flipped").exists()


def test_texts_from_elsewhere_cannot_be_asked_again(call: Call, demo: Workspace) -> None:
    row = pl.read_parquet(demo.recommendations("popularity")).row(0, named=True)
    Path("theirs.csv").write_text(f"user,item,text\n{row['user_id']},{row['item_id']},Try it.\n")
    words = ("import", "w", "theirs.csv", "--recommender", "popularity", "--generator", "theirs")
    assert call(*words).code == 0
    ended = call("fairness", "w", "--generator", "theirs", "--attribute", "gender", "--flip")
    assert ended.code == 2 and "only a generator that was asked here can be asked again" in ended.out
    assert call("fairness", "w", "--generator", "theirs", "--attribute", "gender").code == 0


def test_what_the_authors_released_tells_of_people(call: Call, real_release: Path) -> None:
    """GPT-4 names what people watched; ChatGLM would say the same to anyone. Women do not get longer texts."""
    assert call("replay", real_release, "--out", "paper", "--no-judging").code == 0
    words = ("identify", "paper/ml-100k", "--generator", "GPT-4", "--generator", "ChatGLM")
    assert call(*words).code == 0
    table = pl.read_csv("paper/ml-100k/tables/identifiability.csv")
    whole = {row["who"]: row for row in table.filter(by="everything").iter_rows(named=True)}
    assert whole["GPT-4"]["recall_low"] > 0.6 and whole["GPT-4"]["bits_low"] > 4.5
    assert whole["ChatGLM"]["recall_high"] < 0.08 and whole["ChatGLM"]["unread"] > 200
    for name in ("GPT-4, shuffled", "ChatGLM, shuffled", "popular template"):
        assert whole[name]["recall_low"] <= 0.02 and whole[name]["bits_high"] < 0.05, name
    assert call("fairness", "paper/ml-100k", "--attribute", "gender").code == 0
    table = pl.read_csv("paper/ml-100k/tables/fairness.csv").filter(group="female", measure="words")
    found = {row["who"]: row["difference_high"] for row in table.iter_rows(named=True)}
    assert found["GPT-4"] < 0 and found["GPT-3.5"] < 5.76 / 2 and found["LLaMA"] < 6.31 / 2
