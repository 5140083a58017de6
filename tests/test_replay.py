"""The authors' release as workspaces: by hand on a made-up one, and the paper's own figures on the real one."""

from __future__ import annotations

import csv
import json
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

import polars as pl
import pytest

from llmxrec.datasets.dataset import Dataset, Histories
from llmxrec.errors import InputError
from llmxrec.evaluation.verdicts import read_verdicts
from llmxrec.ledger import read_ledger
from llmxrec.prompts.instructions import Instructions, PromptSettings
from llmxrec.replay import found, read_release, replay
from llmxrec.reports.tables import TABLE_2
from llmxrec.stored import read_recommendations, stored_explanations
from llmxrec.workspace import Workspace

MOVIES = {"Heat": "Action Crime", "Fargo": "Crime Drama", "Bambi": "Animation", "Up": "Animation", "Big": "Comedy"}


def film(title: str) -> str:
    return f"{title}\nThe class of the movie is {MOVIES.get(title, 'Drama')}."


def asked(history: Sequence[str], candidate: str, age: int = 34) -> str:
    """A prompt of the authors' layout, of films that are here."""
    shown = "\n".join(f"{number}: {film(title)}" for number, title in enumerate(history, 1))
    title, kind = film(candidate).split("\n")
    return (
        f"The history films watched by the customer are:\n{shown}\n\nThe age of the customer is {age}, the gender is "
        "female and the customer's occupation is engineer. Say why.\n"
        "Give reasons why the customer needs to watch this movie with the following title:\n"
        f"{title}.\n{kind}\n\nBe short.\n"
    )


def news(history: Sequence[str], candidate: str) -> str:
    shown = "\n".join(f"{n}: {title}\nThe category of the news is sports." for n, title in enumerate(history, 1))
    return (
        f"The history news viewed by the customer are:\n{shown}\n\nSay why.\n"
        "Give reasons why the customer needs to view this news with the following title and category:\n"
        f"{candidate}.\nThe category of the news is sports.\n\nBe short.\n"
    )


PROMPTS = [asked(["Heat", "Fargo"], "Up"), asked(["Bambi", "Bambi", "Big"], "Bambi"), asked(["Big"], "Heat", age=50)]
TUNED = "gen_exp_5_model/results/SFT/BPR-MF/ml-100k"
PLAIN = "gen_exp_4_model/results/{recommender}/{generator}/ml-100k"
FOLDERS = {"LLaMA2": "LLaMA", "GPT4": "GPT-4"}


def table(file: Path, columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("w", newline="", encoding="utf-8") as out:
        csv.writer(out).writerows([columns, *rows])


def answers(root: Path, folder: str, prompts: Sequence[str], texts: Sequence[str]) -> None:
    table(root / folder / "results.csv", ["instruction", "response"], list(zip(prompts, texts, strict=True)))


def verdicts(root: Path, rows: Sequence[Sequence[object]], recommender: str = "BPR-MF") -> None:
    file = root / "gen_compare_result/results" / recommender / "compare_all.csv"
    table(file, ["index", "dataset", "model1", "model2", "compare"], rows)


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """Three rows, three generators: the tuned one wins from LLaMA and GPT-4 but once, where an answer is unreadable."""
    root = tmp_path / "clone/src"
    for folder in FOLDERS:
        place = PLAIN.format(recommender="BPR-MF", generator=folder)
        answers(root, place, PROMPTS, ['You like\n\n"Heat", so', "", "I'm sorry, but I cannot help with that."])
    answers(root, TUNED, PROMPTS, ["Watch Up, it is good.", "Watch Bambi again.", "Watch Heat."])
    rows: list[tuple[object, ...]] = []
    for row in range(3):
        rows += [(row, "ml-100k", "LLaMA2", "GPT4", "2"), (row, "ml-100k", "GPT4", "LLaMA2-SFT", "2" if row else "1")]
        rows.append((row, "ml-100k", "LLaMA2", "LLaMA2-SFT", ["2", "12", ""][row]))
    verdicts(root, rows)
    return tmp_path / "clone"


def read(out: Path, name: str = "table2") -> pl.DataFrame:
    return pl.read_csv(out / f"tables/{name}.csv")


def test_a_release_becomes_a_workspace(clone: Path, tmp_path: Path) -> None:
    said: list[str] = []
    replay(clone, tmp_path / "out", said.append)
    workspace = Workspace(tmp_path / "out/ml-100k")
    dataset = Dataset.load(workspace.dataset)
    assert dataset.domain.name == "movies" and list(dataset.domain.item_attributes) == ["genres"]
    assert dataset.users.rows() == [(f"{row}", age, "female", "engineer") for row, age in enumerate(["34", "34", "50"])]
    assert dict(dataset.items.select("item_id", "genres").rows()) == {
        title: kinds.split() for title, kinds in MOVIES.items()
    }
    # Bambi is displayed twice to the second person, and recommended all the same: it stays in view
    assert dataset.interactions.select("user_id", "item_id", "timestamp").rows() == [
        ("0", "Heat", 0), ("0", "Fargo", 1), ("1", "Bambi", 0), ("1", "Big", 2), ("2", "Big", 0)
    ]  # fmt: skip
    assert read_recommendations(workspace, "BPR-MF").rows() == [
        ("0", "Up", 1, 0.0), ("1", "Bambi", 1, 0.0), ("2", "Heat", 1, 0.0)
    ]  # fmt: skip
    assert workspace.generators("BPR-MF") == ["GPT-4", "LLMXRec", "LLaMA"]
    texts = stored_explanations(workspace, "BPR-MF", "LLaMA")
    assert texts.select("user_id", "item_id", "text", "status", "history").rows() == [
        ("0", "Up", 'You like\n\n"Heat", so', "ok", 2),
        ("1", "Bambi", "", "empty", 3),
        ("2", "Heat", "I'm sorry, but I cannot help with that.", "refused", 1),
    ]
    kept = pl.read_parquet(workspace.path / "prompts/BPR-MF.parquet")
    assert kept["words"].to_list() == PROMPTS and kept["prompt"].to_list() == texts["prompt"].to_list()
    assert kept.select("user_id", "item_id").rows() == texts.select("user_id", "item_id").rows()
    manifest = workspace.read_manifest()
    assert manifest["dataset"]["kind"] == "release" and manifest["release"]["source"] == str(clone / "src")
    assert said[0] == "BPR-MF: ml-100k (9 answers of 3 generators, 9 verdicts)"
    assert (
        said[1].startswith("  not there: ml-100k of ChatGLM, GPT-3.5; mind of LLaMA, ")
        and "verdicts on mind" in said[1]
    )
    assert said[2] == "not there: SASRec, LightGCN"
    assert "  ml-100k: BPR-MF: 2 of 9 verdicts are neither 1 nor 2: unreadable" in said


def test_what_is_displayed_can_be_asked_about_again(clone: Path, tmp_path: Path) -> None:
    """The dataset gives back what the prompts showed."""
    replay(clone, tmp_path / "out", lambda line: None)
    dataset = Dataset.load(tmp_path / "out/ml-100k/dataset")
    histories = Histories.build(dataset.interactions, dataset.users["user_id"], dataset.items["item_id"])
    made = Instructions.of(dataset, histories, PromptSettings(), ["0"]).make("explain", "0", "Up")
    assert [(item.title, item.attributes["genres"]) for item in made.history] == [
        ("Heat", ("Action", "Crime")), ("Fargo", ("Crime", "Drama"))
    ]  # fmt: skip
    assert made.user.attributes == {"age": "34", "gender": "female", "occupation": "engineer"}


def test_verdicts_and_their_table(clone: Path, tmp_path: Path) -> None:
    said: list[str] = []
    replay(clone, tmp_path / "out", said.append)
    stored = read_verdicts(tmp_path / "out/ml-100k/verdicts/BPR-MF/released.jsonl")
    assert set(stored["judge"]) == {"released"} and stored.height == 9
    unread = stored.filter(pl.col("winner").is_null())
    assert unread.select("user_id", "item_id", "first", "second", "status", "raw").rows() == [
        ("1", "Bambi", "LLaMA", "LLMXRec", "invalid", "12"),
        ("2", "Heat", "LLaMA", "LLMXRec", "invalid", ""),
    ]
    written = read(tmp_path / "out")
    assert written.columns == list(TABLE_2)
    by_name = {row["generator"]: row for row in written.iter_rows(named=True)}
    assert by_name["GPT-4"]["win_ratio"] == pytest.approx(4 / 6)
    assert by_name["LLMXRec"]["win_ratio"] == pytest.approx(3 / 4)
    assert by_name["LLaMA"]["win_ratio"] == 0
    # row 0: GPT-4 two wins, LLMXRec one, LLaMA none; rows 1 and 2: LLMXRec 1 of 1, GPT-4 1 of 2, LLaMA 0 of 1
    assert by_name["GPT-4"]["ranking_order"] == pytest.approx((1 + 2 + 2) / 3)
    assert {name: row["unreadable"] for name, row in by_name.items()} == {"GPT-4": 0, "LLMXRec": 2, "LLaMA": 2}
    assert {row["rows"] for row in by_name.values()} == {3}
    assert {row["source"] for row in by_name.values()} == {"released verdicts"}
    rules = read(tmp_path / "out", "table2-rules")
    second = rules.filter(pl.col("source") == "always the second")
    assert dict(second.select("generator", "win_ratio").rows()) == {"GPT-4": 0.5, "LLMXRec": 1.0, "LLaMA": 0.0}
    places = read(tmp_path / "out", "positions")
    assert places.filter(pl.col("first").is_null())["second_wins"].to_list() == [pytest.approx(6 / 7)]
    assert any(
        line.startswith("BPR-MF on ml-100k, released verdicts: the text shown second wins 85.7% [") for line in said
    )


def tree(folder: Path) -> Mapping[str, bytes]:
    return {str(file.relative_to(folder)): file.read_bytes() for file in sorted(folder.rglob("*")) if file.is_file()}


def test_the_same_again_changes_nothing_and_another_is_refused(clone: Path, tmp_path: Path) -> None:
    out, said = tmp_path / "out", list[str]()
    replay(clone, out, said.append)
    before = tree(out)
    replay(clone / "src", out, said.append)
    assert tree(out) == before and "  ml-100k: was read before" in said
    verdicts(clone / "src", [(0, "ml-100k", "LLaMA2", "GPT4", "1")])
    with pytest.raises(InputError, match="holds another state of the release"):
        replay(clone, out, said.append)
    (tmp_path / "other/ml-100k/dataset").mkdir(parents=True)
    with pytest.raises(InputError, match="holds a dataset that is not the release's ml-100k"):
        replay(clone, tmp_path / "other", said.append)


def test_killed_before_its_end_it_starts_anew(clone: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    replay(clone, out, lambda line: None)
    whole = tree(out)
    manifest = out / "ml-100k/workspace.toml"
    kept = manifest.read_text()
    manifest.write_text(kept[: kept.index("[release]")])
    (out / "ml-100k/verdicts/BPR-MF/released.jsonl").write_text('{"recommender"')
    replay(clone, out, lambda line: None)
    assert tree(out) == whole


def test_answers_to_other_prompts_are_nobody_elses(clone: Path, tmp_path: Path) -> None:
    """Another recommender: its prompts show the same history in one row and another in the next; one of its generators
    answered prompts of another domain, and more of them."""
    root = clone / "src"
    prompts = [asked(["Heat", "Fargo"], "Big"), asked(["Up"], "Heat"), asked(["Big"], "Up", age=50)]
    for folder in ("LLaMA2", "ChatGLM2"):
        answers(root, PLAIN.format(recommender="SASRec", generator=folder), prompts, ["Watch it."] * 3)
    strange = [news(["A goal", "A match"], f"Cup number {row}") for row in range(4)]
    answers(root, PLAIN.format(recommender="SASRec", generator="GPT3.5"), strange, ["Read it."] * 4)
    verdicts(root, [(1, "ml-100k", "LLaMA2", "GPT3.5", "1"), (3, "ml-100k", "LLaMA2", "GPT3.5", "2")], "SASRec")
    said: list[str] = []
    replay(clone, tmp_path / "out", said.append)
    workspace = Workspace(tmp_path / "out/ml-100k")
    assert read_recommendations(workspace, "SASRec").select("user_id", "item_id").rows() == [
        ("0", "Big"), ("1-2", "Heat"), ("2", "Up"), ("3", "Cup number 3")
    ]  # fmt: skip
    own = list(read_ledger(workspace.explanations("SASRec", "GPT-3.5")))
    assert [(row["user_id"], row["item_id"]) for row in own] == [
        ("0-2", "Cup number 0"), ("1-3", "Cup number 1"), ("2-2", "Cup number 2"), ("3", "Cup number 3")
    ]  # fmt: skip
    assert "  ml-100k: SASRec x GPT-3.5: 3 of 4 answers are to other prompts than those of the other generators" in said
    assert "  ml-100k: note: 4 prompts of another domain" in said
    dataset = Dataset.load(workspace.dataset)
    assert dataset.domain.name == "movies"
    shown = dataset.interactions.filter(pl.col("user_id") == "1-2")["item_id"].to_list()
    assert shown == ["Up"]
    judged = read_verdicts(workspace.verdicts("SASRec", "released")).select("user_id", "item_id", "winner").rows()
    assert judged == [("1-2", "Heat", "first"), ("3", "Cup number 3", "second")]
    assert read_recommendations(workspace, "BPR-MF").height == 3


def test_titles_that_two_items_share_are_told_apart(tmp_path: Path) -> None:
    root = tmp_path / "src"
    prompts = [
        asked(["Heat"], "Big"),
        asked(["Heat"], "Big").replace("Action Crime", "Drama"),
        asked(["Heat (2)"], "Big"),
    ]
    answers(root, TUNED, prompts, ["x"] * 3)
    replay(tmp_path, tmp_path / "out", lambda line: None)
    dataset = Dataset.load(tmp_path / "out/ml-100k/dataset")
    assert dataset.interactions.select("user_id", "item_id").rows() == [
        ("0", "Heat"), ("1", "Heat (2)"), ("2", "Heat (2) (2)")
    ]  # fmt: skip
    titles = dict(dataset.items.select("item_id", "title").rows())
    assert titles["Heat (2)"] == "Heat" and titles["Heat (2) (2)"] == "Heat (2)"


def test_verdicts_without_explanations_still_have_a_table(tmp_path: Path) -> None:
    rows = [(row, "steam", "LLaMA2", "GPT4", answer) for row, answer in enumerate(["1", "2.0", "111111111111"])]
    verdicts(tmp_path, rows)
    replay(tmp_path, tmp_path / "out", lambda line: None)
    written = read(tmp_path / "out")
    assert written.select("dataset", "generator", "win_ratio", "rows", "unreadable").rows() == [
        ("steam", "GPT-4", 0.5, 2, 1), ("steam", "LLaMA", 0.5, 2, 1)
    ]  # fmt: skip
    assert not (tmp_path / "out/steam/dataset").exists()


def test_what_cannot_be_read_is_said_and_left_out(clone: Path) -> None:
    root = clone / "src"
    unknown = root / "gen_exp_4_model/results/BPR-MF/GPT4/netflix"
    table(unknown / "results.csv", ["instruction", "response"], [("a", "b")])
    table(root / PLAIN.format(recommender="LightGCN", generator="GPT4") / "results.csv", ["question", "response"], [])
    (root / PLAIN.format(recommender="LightGCN", generator="GPT3.5")).mkdir(parents=True)
    (root / PLAIN.format(recommender="LightGCN", generator="GPT3.5") / "results.csv").write_bytes(b"instruction,\xff\n")
    answers(root, "gen_exp_6_model/results/SFT/BPR-MF/ml-100k", PROMPTS, ["x"] * 3)
    verdicts(
        root, [(0, "ml-100k", "A B", "B", "1"), ("x", "ml-100k", "A", "B", "1"), (0, "mars", "A", "B", "1")], "New"
    )
    release = read_release(clone)
    said = "\n".join(found(release))
    for reason in (
        "netflix/results.csv: answers lie in RECOMMENDER/GENERATOR/DATASET; found 'BPR-MF/GPT4/netflix'",
        "line 1: a column is called instruction; found 'question, response'",
        "the file is no CSV table in UTF-8",
        "BPR-MF x LLMXRec on ml-100k is there twice",
        "line 3: a verdict has the number of a row, a known dataset and two generators; found '2 rows without'",
    ):
        assert reason in said
    assert len(release.missed) == 5
    assert release.verdicts["ml-100k"]["New"] == [(0, "A-B", "B", "1")]
    assert [a.generator for a in release.answers["ml-100k"]] == ["LLaMA", "GPT-4", "LLMXRec"]


def test_prompts_of_another_layout_are_counted(tmp_path: Path) -> None:
    answers(tmp_path / "src", TUNED, [PROMPTS[0], "Why?", PROMPTS[2]], ["a", "b", "c"])
    said: list[str] = []
    replay(tmp_path, tmp_path / "out", said.append)
    assert "  ml-100k: BPR-MF: 1 prompts cannot be read; their answers are left out" in said
    workspace = Workspace(tmp_path / "out/ml-100k")
    assert stored_explanations(workspace, "BPR-MF", "LLMXRec")["text"].to_list() == ["a", "c"]


@pytest.mark.parametrize("folder", ["", "src"])
def test_another_folder_is_refused(tmp_path: Path, folder: str) -> None:
    (tmp_path / folder).mkdir(exist_ok=True)
    with pytest.raises(InputError, match="this is no clone of the authors' repository"):
        replay(tmp_path, tmp_path / "out", print)
    table(tmp_path / PLAIN.format(recommender="A", generator="B") / "results.csv", ["x", "y"], [])
    with pytest.raises(InputError, match=r"nothing of the release could be read; .*a column is called instruction"):
        replay(tmp_path, tmp_path / "out", print)
    verdicts(tmp_path / "empty", [])
    with pytest.raises(InputError, match="nothing of the release could be read; its files hold no rows"):
        replay(tmp_path / "empty", tmp_path / "out", print)


# --- the real one ---

PAPER = {
    "ml-100k": {
        "LLaMA": (0.176, 4.256),
        "ChatGLM": (0.084, 4.611),
        "GPT-3.5": (0.515, 2.911),
        "GPT-4": (0.853, 1.571),
        "LLMXRec": (0.872, 1.488),
    },
    "mind": {
        "LLaMA": (0.062, 4.750),
        "ChatGLM": (0.189, 4.242),
        "GPT-3.5": (0.501, 2.994),
        "GPT-4": (0.757, 1.972),
        "LLMXRec": (0.993, 1.028),
    },
    "steam": {
        "LLaMA": (0.229, 4.083),
        "ChatGLM": (0.025, 4.902),
        "GPT-3.5": (0.496, 3.015),
        "GPT-4": (0.755, 1.980),
        "LLMXRec": (0.995, 1.020),
    },
}
"""Win ratio and ranking order of BPR-MF in Table 2 of the paper."""


@pytest.fixture(scope="module")
def replayed(real_release: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[str]]:
    out, said = tmp_path_factory.mktemp("replay"), list[str]()
    replay(real_release, out, said.append, judge="")
    return out, said


def test_all_cells_of_table_2_for_bpr_mf(replayed: tuple[Path, list[str]]) -> None:
    written = read(replayed[0])
    cells = {(row["dataset"], row["generator"]): row for row in written.iter_rows(named=True)}
    assert written.height == 15 and set(written["recommender"]) == {"BPR-MF"}
    for dataset, generators in PAPER.items():
        for generator, figures in generators.items():
            row = cells[dataset, generator]
            assert (row["win_ratio"], row["ranking_order"]) == pytest.approx(figures, abs=0.001), (dataset, generator)
            for name in ("win_ratio", "ranking_order"):
                assert row[f"{name}_low"] <= row[name] <= row[f"{name}_high"]
            assert (row["rows"], row["unreadable"]) == (943 if dataset == "ml-100k" else 1000, 0)


def test_a_judge_that_reads_nothing_gives_nearly_the_same(replayed: tuple[Path, list[str]]) -> None:
    rules = read(replayed[0], "table2-rules").filter(pl.col("source") == "always the second")
    for dataset in PAPER:
        got = dict(rules.filter(pl.col("dataset") == dataset).select("generator", "win_ratio").rows())
        assert got == {"LLaMA": 0.0, "ChatGLM": 0.25, "GPT-3.5": 0.5, "GPT-4": 0.75, "LLMXRec": 1.0}
    places = read(replayed[0], "positions").filter(pl.col("first").is_null())
    assert dict(places.select("dataset", "rows").rows()) == {"ml-100k": 9430, "mind": 10_000, "steam": 10_000}
    # 27,086 of the 29,430 verdicts say 2
    assert (places["second_wins"] * places["rows"]).sum() == pytest.approx(27_086)


def test_judged_again_by_a_judge_that_was_measured(real_release: Path, tmp_path: Path) -> None:
    """Two generators on one dataset, with the authors' pairs to learn from."""
    source = real_release / "src"
    kept = ["SFT", *(f"gen_exp_4_model/results/BPR-MF/{name}/steam" for name in ("GPT4", "LLaMA2"))]
    for part in kept:
        shutil.copytree(source / part, tmp_path / "clone/src" / part)
    said: list[str] = []
    replay(tmp_path / "clone", tmp_path / "out", said.append)
    table = read(tmp_path / "out")
    assert set(table["source"]) == {"text"} and dict(table.select("generator", "win_ratio").rows())["GPT-4"] > 0.9
    # Of the pairs' texts, these two files tell the authors of too few for the names to be measured.
    assert "VALID, though names were not measured: no pair says who wrote its texts" in said
    assert said[-1].startswith("BPR-MF on steam, text: GPT-4 wins; the judge is VALID, though not measured against")
    found = json.loads(Workspace(tmp_path / "out/steam").validity("BPR-MF", "text").read_text())
    assert found["valid"] and found["accuracy_balanced"] >= 0.92 and found["consistency"] == 1
    again: list[str] = []
    replay(tmp_path / "clone", tmp_path / "out", again.append)
    assert "  steam, BPR-MF: 1,000 recommendations compared (1,000 were judged before): nothing to ask" in again
    noted = Workspace(tmp_path / "out").read_manifest()["release"]
    assert noted["pairs"].endswith("disc_data/train.json") and noted["tuning"].endswith("exp_data/train.json")


def test_every_released_answer_is_kept(real_release: Path, replayed: tuple[Path, list[str]]) -> None:
    csv.field_size_limit(1 << 30)
    file = real_release / "src/gen_exp_5_model/results/SFT/BPR-MF/steam/results.csv"
    with file.open(newline="", encoding="utf-8") as rows:
        texts = [row["response"] for row in csv.DictReader(rows)]
    workspace = Workspace(replayed[0] / "steam")
    assert stored_explanations(workspace, "BPR-MF", "LLMXRec")["text"].to_list() == texts
    for dataset in PAPER:
        workspace = Workspace(replayed[0] / dataset)
        for generator in workspace.generators("BPR-MF"):
            ledger = workspace.explanations("BPR-MF", generator)
            assert len(list(read_ledger(ledger))) == (943 if dataset == "ml-100k" else 1000)
        prompts = pl.read_parquet(workspace.path / "prompts/BPR-MF.parquet")
        asked_of = [json.loads(line)["prompt"] for line in ledger.read_text(encoding="utf-8").splitlines()]
        assert set(asked_of) <= set(prompts["prompt"])
