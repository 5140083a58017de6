"""What others made, taken in on the command line: import and replay."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path

import polars as pl
import pytest
from tests.conftest import Call

from llmxrec.ledger import read_ledger
from llmxrec.stored import stored_explanations
from llmxrec.workspace import Workspace

COLUMNS = ("--column", "user_id=customer", "--column", "item_id=sku", "--column", "timestamp=when")
ROWS = (
    'user,item,text,generator\nc0,p5,Because of c0.,P5\nc1,p6,"It says ""you"",\nand more.",P5\nc0,p5,Why not?,PETER\n'
)


@pytest.fixture
def started(call: Call, shop: Path) -> Path:
    """A workspace of the shop, without recommendations."""
    ended = call("init", "w", "--interactions", shop / "orders.csv", "--items", shop / "products.csv", *COLUMNS)
    assert ended.code == 0, ended.out
    return Path("w")


def test_a_spreadsheet_of_explanations(call: Call, started: Path) -> None:
    Path("theirs.csv").write_text(ROWS)
    ended = call("import", started, "theirs.csv", "--recommender", "ours")
    assert ended.code == 0, ended.out
    assert "P5: 2 rows: 2 ok\n" in ended.out and "PETER: 1 rows: 1 ok\n" in ended.out
    assert f"wrote {Path('w/explanations/ours/P5.jsonl')}" in ended.out
    workspace = Workspace(started)
    assert pl.read_parquet(workspace.recommendations("ours")).rows() == [("c0", "p5", 1, 0.0), ("c1", "p6", 1, 0.0)]
    table = stored_explanations(workspace, "ours", "P5")
    assert table.select("user_id", "item_id", "rank", "text", "status").rows() == [
        ("c0", "p5", 1, "Because of c0.", "ok"),
        ("c1", "p6", 1, 'It says "you",\nand more.', "ok"),
    ]
    note = tomllib.loads(Path("w/explanations/ours/P5.toml").read_text())
    assert note == {"source": "imported", "hold_out": False, "files": ["theirs.csv"]}
    assert ended.out.splitlines()[-1] == (
        "next: llmxrec export w --recommender ours --generator P5 --out explanations.csv"
    )
    exported = call(*ended.out.splitlines()[-1].removeprefix("next: llmxrec ").split())
    assert exported.code == 0 and pl.read_csv("explanations.csv")["title"].to_list() == [
        "Book 5, the novel",
        "Book 6, the novel",
    ]


@pytest.mark.parametrize("ending", ["jsonl", "parquet", "tsv"])
def test_other_tables_and_names_of_columns(call: Call, started: Path, ending: str) -> None:
    file = Path(f"theirs.{ending}")
    table = pl.DataFrame({"customer_id": ["c0", "c3"], "product_id": ["p5", "p0"], "words": ["Tabs are gone.", ""]})
    writers = {"jsonl": table.write_ndjson, "parquet": table.write_parquet}
    if ending == "tsv":
        table.write_csv(file, separator="\t")
    else:
        writers[ending](file)
    ended = call("import", started, file, "--recommender", "o", "--generator", "by-hand", "--column", "text=words")
    assert ended.code == 0, ended.out
    assert "by-hand: 2 rows: 1 ok, 1 empty" in ended.out
    rows = list(read_ledger(started / "explanations/o/by-hand.jsonl"))
    assert [(row["user_id"], row["text"], row["status"]) for row in rows] == [
        ("c0", "Tabs are gone.", "ok"), ("c3", "", "empty")
    ]  # fmt: skip


def test_twice_is_once_and_new_words_replace(call: Call, started: Path) -> None:
    Path("theirs.csv").write_text(ROWS)
    call("import", started, "theirs.csv", "--recommender", "ours")
    before = {file: file.read_bytes() for file in sorted(started.rglob("*.*"))}
    again = call("import", started, "theirs.csv", "--recommender", "ours")
    assert again.code == 0 and "P5: 2 rows: 2 ok; 2 were there before" in again.out
    assert {file: file.read_bytes() for file in sorted(started.rglob("*.*"))} == before
    Path("more.csv").write_text("user,item,text,generator\nc0,p5,Better words.,P5\nc0,p6,A second item.,P5\n")
    more = call("import", started, "more.csv", "--recommender", "ours")
    assert more.code == 0 and "P5: 2 rows: 2 ok; 1 replace others" in more.out
    table = stored_explanations(Workspace(started), "ours", "P5")
    assert table.select("user_id", "item_id", "rank", "text").rows() == [
        ("c0", "p5", 1, "Better words."),
        ("c1", "p6", 1, 'It says "you",\nand more.'),
        ("c0", "p6", 2, "A second item."),
    ]
    assert tomllib.loads(Path("w/explanations/ours/P5.toml").read_text())["files"] == ["theirs.csv", "more.csv"]
    assert stored_explanations(Workspace(started), "ours", "PETER").height == 1


def test_ranks_are_those_of_the_recommender_that_is_here(call: Call, started: Path, shop: Path) -> None:
    call("recommend", started, "--recommender", "external", "--recommendations", shop / "ours.csv", *COLUMNS[:4])
    recommended = Path("w/recommendations/external.parquet").read_bytes()
    Path("theirs.csv").write_text("user,item,text\nc0,p6,Second.\nc0,p5,First.\nc0,p1,Not recommended.\n")
    ended = call("import", started, "theirs.csv", "--recommender", "external", "--generator", "P5")
    assert ended.code == 0 and "P5: 3 rows: 3 ok; 1 explain what is not recommended, and are not shown" in ended.out
    table = stored_explanations(Workspace(started), "external", "P5")
    assert table.select("item_id", "rank", "text").rows() == [("p5", 1, "First."), ("p6", 2, "Second.")]
    assert Path("w/recommendations/external.parquet").read_bytes() == recommended
    Path("others.csv").write_text("user,item,text\nc0,p1,Not recommended.\n")
    refused = call("import", started, "others.csv", "--recommender", "external", "--generator", "P5")
    assert refused.code == 2 and "an explanation is of what 'external' recommends" in refused.out


def test_an_export_comes_back_with_how_its_answers_ended(call: Call, started: Path) -> None:
    rows = [("c0", "p5", "Cut sho", "truncated"), ("c1", "p6", "Fine.", "ok")]
    pl.DataFrame(rows, schema=["user_id", "item_id", "text", "status"], orient="row").write_csv("theirs.csv")
    assert call("import", started, "theirs.csv", "--recommender", "o", "--generator", "P5").code == 0
    assert call("export", started, "--out", "all.jsonl").code == 0
    assert call("import", started, "all.jsonl", "--recommender", "again").code == 0
    table = stored_explanations(Workspace(started), "again", "P5")
    assert table.select("user_id", "item_id", "text", "status").rows() == rows


def test_what_a_generator_here_explained_is_not_mixed(call: Call, started: Path) -> None:
    call("recommend", started, "--recommender", "popularity")
    assert call("explain", started, "--users", "1").code == 0
    made = (started / "explanations/popularity/embedded.jsonl").read_bytes()
    row = json.loads(made)
    Path("theirs.csv").write_text(f"user,item,text\n{row['user_id']},{row['item_id']},Mine.\n")
    ended = call("import", started, "theirs.csv", "--recommender", "popularity", "--generator", "embedded")
    assert ended.code == 2 and "embedded.jsonl holds answers made with source = None; found 'imported'" in ended.out
    assert (started / "explanations/popularity/embedded.jsonl").read_bytes() == made
    assert call("import", started, "theirs.csv", "--recommender", "popularity", "--generator", "mine").code == 0
    assert stored_explanations(Workspace(started), "popularity", "mine")["text"].to_list() == ["Mine."]


HEAD = "user,item,text,generator\n"
WRONG = {
    f"{HEAD}c0,p5,a,x\nc99,p5,a,x\n": "theirs.csv, line 3: every user_id is one of the dataset's; found 'c99'",
    f"{HEAD}c0,p5,a,x\n,p5,a,x\n": "theirs.csv, line 3: every user_id is one of the dataset's; found ''",
    f'{HEAD}c0,p5,"a\nb",x\nc0,p77,a,x\n': "line 4: every item_id is one of the dataset's; found 'p77'",
    f"{HEAD}c0,p5,a,x\nc0,p5,a,y\nc0,p5,b,x\n": (
        "line 4: a generator explains an item to a user once; line 2 did; found 'c0, p5, x'"
    ),
    f"{HEAD}c0,p5,a,x\nc1,p5,a,\n": "line 3: of generators, a name starts with a letter or digit",
    f"{HEAD}c0,p5,a,../../x\n": "line 2: of generators, a name starts with a letter or digit",
    "user,item,text\nc0,p5,a\n": "each explanation has a generator; say which made them: --generator NAME",
    "user,item,generator\nc0,p5,a\n": "a column holds the text; found 'user, item, generator'",
    "user,item,text,generator,status\nc0,p5,a,x,fine\n": "line 2: a status is one of ok, truncated, ",
    HEAD: "an explanation is of what 'ours' recommends; found 'none of these is'",
}
"""Files that break a rule -> what is said."""


@pytest.mark.parametrize(("content", "said"), WRONG.items())
def test_every_row_is_checked_before_any_is_taken(call: Call, started: Path, content: str, said: str) -> None:
    Path("theirs.csv").write_text(content)
    ended = call("import", started, "theirs.csv", "--recommender", "ours")
    assert ended.code == 2 and said in ended.out, ended.out
    assert not (started / "explanations").exists() and not (started / "recommendations").exists()


def test_the_name_of_a_recommender_is_checked_and_a_column_that_is_not_there(call: Call, started: Path) -> None:
    Path("theirs.csv").write_text(ROWS)
    assert "a name starts with a letter or digit" in call("import", started, "theirs.csv", "--recommender", "../x").out
    ended = call("import", started, "theirs.csv", "--recommender", "ours", "--column", "text=txt")
    assert ended.code == 2 and "'text=txt' names a column that is there" in ended.out
    nowhere = call("import", "nowhere", "theirs.csv", "--recommender", "ours")
    assert nowhere.code == 2 and "a workspace holds dataset/" in nowhere.out


def test_replay_says_what_it_found_and_writes_the_table(call: Call) -> None:
    folder = Path("clone/src/gen_compare_result/results/BPR-MF")
    folder.mkdir(parents=True)
    (folder / "compare_all.csv").write_text("index,dataset,model1,model2,compare\n0,steam,LLaMA2,GPT4,2\n")
    ended = call("replay", "clone", "--out", "out")
    assert ended.code == 0, ended.out
    assert ended.out.startswith("BPR-MF: steam (0 answers of 0 generators, 1 verdicts)\n  not there: ")
    assert "released verdicts  WR 1.000 [1.000, 1.000]" in ended.out
    assert f"wrote {Path('out/tables/table2.csv')}" in ended.out
    assert "released verdicts: no winner: the judge is not shown to be valid: nobody measured it" in ended.out
    assert ended.out.splitlines()[-1] == "next: llmxrec audit out"
    assert pl.read_csv("out/tables/table2.csv")["generator"].to_list() == ["GPT-4", "LLaMA"]
    refused = call("replay", "nowhere", "--out", "out")
    assert refused.code == 2 and "error: this is no clone of the authors' repository" in refused.out
