"""`llmxrec tune`, as a user gives it: tiny models, the demo's people, and what is in their films."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from safetensors.numpy import load_file
from tests.conftest import Call

from llmxrec.ledger import read_ledger
from llmxrec.tuning.lessons import read_lessons

TEMPLATE = "[history]\nSeen:\n{history}\n\n[candidate]\nNow: {candidate}\n\n[explain]\nWhy?\n\n[predict]\n{targets}?\n"
LEDGER = "w/explanations/popularity/template.jsonl"


@pytest.fixture
def explained(call: Call, tiny: Path) -> Path:
    """The demo's people, explained by fixed sentences, and what a tiny model can read."""
    assert call("init", "w", "--dataset", "demo").code == 0
    assert call("recommend", "w", "--recommender", "popularity").code == 0
    assert call("explain", "w", "--generator", "template", "--users", "40").code == 0
    Path("short.txt").write_text(TEMPLATE)
    Path("tiny").symlink_to(tiny / "llama")
    return Path("w")


def words(name: str, *more: object, task: str = "explain", epochs: int = 1, **sources: str) -> list[object]:
    how = ["--template", "short.txt", "--history", 5, "--item-attributes", "", "--set", f"epochs={epochs}"]
    source = ["--from", sources.get("source", LEDGER)] if "explain" in task else []
    return ["tune", "w", "--base", "hf:tiny", "--name", name, "--task", task, *source, *how, "--set", "rank=2", *more]


def card(name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(Path("w/adapters", name, "card.json").read_text())
    return found


def test_both_tasks_together_tell_what_was_done_and_what_is_next(call: Call, explained: Path) -> None:
    ended = call(*words("mine", task="explain,attributes", epochs=2))
    assert ended.code == 0, ended.out
    assert ended.out.startswith("320 rows (left out: 20 a title that was not shown)\n"), "300 people, 40 texts"
    said = [
        r"2\d\d rows learned, \d\d held out \(left out: 20 a title that was not shown\)",
        r"  epoch 1: loss \d+\.\d{3}, on those held out \d+\.\d{3}",
        r"  epoch 2: loss \d+\.\d{3}, on those held out \d+\.\d{3} \(kept\)",
        "wrote w/adapters/mine",
        r"next: llmxrec explain w --generator hf:tiny\+w/adapters/mine",
    ]
    assert re.search("\n".join(said), ended.out)
    found = card("mine")
    assert found["task"] == "explain,attributes" and len(found["users"]) == 300
    assert {file.name for file in Path("w/adapters/mine").iterdir()} == {
        "adapter_config.json", "adapter_model.safetensors", "card.json",
    }  # fmt: skip
    assert [file.name for file in Path("w/adapters").iterdir()] == ["mine"], "no checkpoint is left"

    again = call(*words("mine", task="explain,attributes", epochs=2))
    assert again.code == 0 and "w/adapters/mine was tuned before" in again.out
    other = call(*words("mine", task="explain,attributes", epochs=3))
    assert other.code == 2 and "w/adapters/mine holds what was tuned otherwise, by its settings" in other.out
    folds = call(*words("mine", "--folds", 2, task="attributes"))
    assert folds.code == 2 and "holds what was tuned otherwise" in folds.out
    assert call(*words("mine", "--set", "seed=2", task="explain,attributes")).code == 2

    asked = ["explain", "w", "--generator", "hf:tiny+w/adapters/mine", "--name", "tuned", "--users", 2]
    answered = call(*asked, "--template", "short.txt", "--history", 5, "--item-attributes", "", "--max-tokens", 5)
    assert answered.code == 0 and "2 rows: 2 truncated" in answered.out


def test_the_embedded_model_learns_what_was_annotated(call: Call, explained: Path) -> None:
    command = ["tune", "w", "--base", "embedded", "--name", "small", "--users", 40, "--set", "epochs=1"]
    ended = call(*command)
    assert ended.code == 0 and "280 rows (left out: 260 about people left" in ended.out, ended.out
    assert ended.out.strip().endswith("next: llmxrec explain w --generator embedded+w/adapters/small")
    assert (card("small")["task"], len(card("small")["users"])) == ("explain,attributes", 40)
    assert "w/adapters/small was tuned before" in call(*command).out


def test_some_people_are_left_to_be_measured_on(call: Call, explained: Path) -> None:
    ended = call(*words("some", "--users", 30, "--target", "gender", task="attributes"))
    assert ended.code == 0 and "30 rows (left out: 270 about people left to be measured on)" in ended.out
    assert ended.out.strip().endswith("next: llmxrec predict w --generator hf:tiny+w/adapters/some")
    found = card("some")
    assert len(found["users"]) == 30 and found["rows"] + found["held_out"] == 30 and found["held_out"] == 3
    assert found["task"] == "attributes"


def test_each_fold_leaves_out_another_part_of_the_people(call: Call, explained: Path) -> None:
    ended = call(*words("parts", "--folds", 3, "--users", 20, task="attributes"))
    assert ended.code == 0, ended.out
    people = [{*card(f"parts/fold-{n}")["users"]} for n in (1, 2, 3)]
    left = [set.union(*people) - some for some in people]
    assert sorted(map(len, left)) == [6, 7, 7] and len(set.union(*left)) == 20
    assert ended.out.strip().endswith("next: llmxrec predict w --generator hf:tiny+w/adapters/parts")
    Path("w/adapters/parts/fold-2/adapter_config.json").unlink()
    again = call(*words("parts", "--folds", 3, "--users", 20, task="attributes"))
    assert "fold-1 was tuned before" in again.out and "fold-2 was tuned" not in again.out
    single = call(*words("parts", "--users", 20, task="attributes"))
    assert single.code == 2 and "holds what was tuned otherwise" in single.out


def test_what_there_is_to_learn_from(call: Call, explained: Path) -> None:
    """A table, a file of lessons, the authors' kind of rows, and attributes: each by itself."""
    rows = list(read_ledger(Path(LEDGER)))[:9]
    titles = dict(pl.read_parquet("w/dataset/items.parquet").select("item_id", "title").iter_rows())
    table = [{"customer": r["user_id"], "item": r["item_id"], "why": f"Do see {titles[r['item_id']]}."} for r in rows]
    pl.DataFrame([*table[:8], table[8] | {"why": "Because."}]).write_csv("t.csv")
    assert call(*words("table", source="t.csv")).out.startswith("8 rows (left out: 1 candidate not named)\n")
    lessons = [
        {"domain": "movies", "history": [{"title": "Heat"}], "candidate": {"title": "Fargo"}, "answer": "Crime."},
        {"domain": "movies", "task": "predict", "targets": ["age"], "history": [], "candidate": {"title": "Fargo"},
         "answer": "{}"},
    ]  # fmt: skip
    Path("lessons.jsonl").write_text("\n".join(map(json.dumps, lessons)))
    ended = call(*words("file", "--set", "held_out=0", source="lessons.jsonl"))
    assert "2 rows learned, 0 held out" in ended.out and card("file")["users"] == []
    both = call(*words("more", "--from", "t.csv", source="lessons.jsonl"))
    assert both.out.startswith("10 rows (left out: 1 candidate not named)\n")


@pytest.mark.parametrize(
    ("more", "told"),
    [
        (["--task", "explane"], "unknown task 'explane'; did you mean 'explain'?"),
        (["--task", "explain,judge"], "an adapter learns explain, attributes or both"),
        (["--task", "judge"], "judge learns from labelled pairs"),
        (["--pairs", "p.jsonl"], "pairs go with the tasks judge, reward and prefer"),
        (["--judge", "text"], "--judge goes with --task prefer"),
        (
            ["--from", "nowhere.csv"],
            "rows to learn from are 'annotated', 'annotated:DOMAIN', explanations of a workspace, or a file",
        ),
        (["--base", "openai:gpt-4"], "what is tuned is a model that runs here"),
        (["--base", "hf:tiny+w"], "what is tuned is a model that runs here"),
        (["--base", "hf:./nowhere"], "no such folder"),
        (["--set", "epoch=2"], "unknown setting of tuning 'epoch'; did you mean 'epochs'?"),
        (["--target", "gender"], "targets go with the task attributes"),
        (["--task", "attributes", "--target", "gander"], "explanations go with the task explain"),
        (["--name", "a/b"], "a name starts with a letter or digit"),
    ],
)
def test_what_is_wrong_is_said_before_anything_is_done(
    call: Call, explained: Path, more: list[object], told: str
) -> None:
    ended = call(*words("mine"), *more)
    assert ended.code == 2 and told in ended.out and ended.out.count("\n") <= 2, ended.out
    assert not Path("w/adapters").exists()


def test_attributes_that_nobody_has_are_refused(call: Call, explained: Path) -> None:
    ended = call(*words("mine", "--target", "gander", task="attributes"))
    assert ended.code == 2 and "unknown target 'gander'; did you mean 'gender'?" in ended.out
    table = call(*words("mine", source="short.txt"))
    assert table.code == 2 and "a table is a file of one of these kinds" in table.out
    Path("t.csv").write_text("user,item,text\nnobody,x,Because.\n")
    stranger = call(*words("mine", source="t.csv"))
    assert stranger.code == 2 and "t.csv, line 2: every user_id is one of the dataset's" in stranger.out


def test_attributes_are_asked_about_with_nothing_of_the_person_shown(call: Call, explained: Path) -> None:
    from llmxrec.prompts.instructions import PromptSettings
    from llmxrec.sources import attributes_from
    from llmxrec.workspace import Workspace

    people = {row["user_id"]: row for row in pl.read_parquet("w/dataset/users.parquet").iter_rows(named=True)}
    place, targets = Workspace(Path("w")), ["gender", "age"]
    rows = attributes_from(place, ["popularity"], targets, PromptSettings(), seed=1).rows
    assert len(rows) == 300
    for row in rows:
        asked = row.instruction
        assert (asked.task, asked.targets, asked.user.attributes) == ("predict", ("age", "gender"), {})
        assert json.loads(row.answer) == {name: people[asked.user.user_id][name] for name in targets}
    told = PromptSettings(user_attributes=("age", "occupation"))
    rows = attributes_from(place, ["popularity"], ["gender", "age"], told, seed=1).rows
    assert {*rows[0].instruction.user.attributes} == {"occupation"}, "what is named, but for what is asked"


def test_nobody_is_judged_on_whom_a_generator_was_tuned(call: Call, explained: Path, tmp_path: Path) -> None:
    """Of 40 people explained by two generators, one was tuned on some."""
    pairs = [
        {"instruction": f"Why film {n}?", "explanation_1": "You saw Heat.", "explanation_2": "Buy it.", "label": 1}
        for n in range(30)
    ]
    Path("pairs.jsonl").write_text("\n".join(map(json.dumps, pairs)))
    assert call("explain", "w", "--generator", "embedded", "--users", "40").code == 0
    assert call(*words("mine", "--users", 30, "--target", "gender", task="attributes")).code == 0
    note = Path("w/explanations/popularity/embedded.toml")
    note.write_text(re.sub("(?m)^spec = .*", 'spec = "hf:tiny+w/adapters/mine"', note.read_text()))
    people = {row["user_id"] for row in read_ledger(Path(LEDGER))}
    both = people & {*card("mine")["users"]}
    assert 0 < len(both) < 40
    ended = call("judge", "w", "--train", "pairs.jsonl")
    assert ended.code == 0, ended.out
    assert f"{40 - len(both)} recommendations compared: {40 - len(both)} ok" in ended.out
    assert f"{len(both)} people are left out: a compared generator, or the judge, was tuned on them" in ended.out
    judged = {row["user_id"] for row in read_ledger(Path("w/verdicts/popularity/text.jsonl"))}
    assert judged == people - both

    whole = Path("w/adapters/mine/card.json")
    whole.write_text(json.dumps(card("mine") | {"users": sorted(people)}))
    nobody = call("judge", "w", "--train", "pairs.jsonl")
    assert nobody.code == 2 and 'nobody is measured on whom the model was tuned on; found "40 people' in nobody.out
    Path("w/adapters/mine").rename("elsewhere")
    gone = call("judge", "w", "--train", "pairs.jsonl")
    assert gone.code == 2 and "the adapter is there, for its card to say whom it was tuned on" in gone.out


def test_killed_again_and_again_it_ends_as_if_it_never_was(call: Call, explained: Path) -> None:
    """SIGKILL in the middle of steps, with a checkpoint after each, then Ctrl-C, then the command as people type it."""
    often = "from llmxrec.tuning import loop; loop._CHECKPOINT_S = 0.0; from llmxrec.cli import main; main()"
    command = [str(word) for word in words("mine", "--set", "batch_size=2", "--set", "dropout=0.1", epochs=8)]
    checkpoint, seen = Path("w/adapters/.mine.checkpoint"), b""
    for kill in (signal.SIGKILL, signal.SIGINT):
        child = subprocess.Popen(
            [sys.executable, "-c", often, *command], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
        )
        deadline = time.monotonic() + 120
        while child.poll() is None and time.monotonic() < deadline:
            if checkpoint.exists() and checkpoint.read_bytes() != seen:
                time.sleep(0.2)
                os.kill(child.pid, kill)
                break
            time.sleep(0.005)
        _, said = child.communicate(timeout=60)
        assert child.returncode == (130 if kill == signal.SIGINT else -kill), said
        assert not Path("w/adapters/mine").exists()
        seen = checkpoint.read_bytes()
    assert said.strip().splitlines()[-1].startswith("stopped; what was done is kept") and "Traceback" not in said
    assert call(*command).code == 0 and not checkpoint.exists()
    assert call(*[word.replace("mine", "whole") for word in command]).code == 0
    files = [Path("w/adapters", name, "adapter_model.safetensors").read_bytes() for name in ("mine", "whole")]
    assert files[0] == files[1]
    killed, never = (card(name)["curve"] for name in ("mine", "whole"))
    assert killed.pop("seconds") > 0 < never.pop("seconds") and killed == never


def test_several_processes_tune_the_same_adapter(call: Call, explained: Path) -> None:
    alone = [str(word) for word in words("alone", task="attributes", epochs=2)]
    assert call(*alone).code == 0
    launch = [sys.executable, "-m", "accelerate.commands.launch", "--multi_gpu", "--num_processes", "2"]
    together = ["-m", "llmxrec", *(word.replace("alone", "together") for word in alone)]
    ended = subprocess.run([*launch, *together], capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.count("wrote w/adapters/together") == 1 == ended.stdout.count("epoch 1:")
    one, two = (load_file(f"w/adapters/{name}/adapter_model.safetensors") for name in ("alone", "together"))
    assert all(np.allclose(one[key], two[key], atol=1e-5) for key in one)
    assert any(not np.array_equal(one[key], two[key]) for key in one), "sums of two processes round otherwise"
    assert card("alone")["curve"]["loss"] == pytest.approx(card("together")["curve"]["loss"], rel=1e-4)


def test_lessons_of_a_ledger_are_what_the_model_is_asked(call: Call, explained: Path) -> None:
    """Distilled rows hold the histories of the recommender, not the candidate, and the words of the ledger."""
    from llmxrec.prompts.instructions import PromptSettings
    from llmxrec.sources import lessons_from
    from llmxrec.tuning.lessons import write_lessons
    from llmxrec.workspace import Workspace

    lessons = lessons_from(LEDGER, Workspace(Path("elsewhere")), None, PromptSettings(), seed=1)
    texts = {row["user_id"]: row["text"] for row in read_ledger(Path(LEDGER))}
    assert len(lessons.rows) == 40
    for row in lessons.rows:
        assert row.answer == texts[row.instruction.user.user_id]
        assert row.instruction.candidate not in row.instruction.history
    write_lessons(lessons.rows, Path("out.jsonl"))
    assert read_lessons(Path("out.jsonl")).rows == lessons.rows


def test_what_a_judge_prefers_is_learned_and_it_names_its_pupil_no_winner(call: Call, explained: Path) -> None:
    assert call("explain", "w", "--generator", "embedded", "--users", "40").code == 0
    pairs = [
        {"instruction": f"Why film {n}?", "explanation_1": f"You saw film {n}.", "explanation_2": "Buy it.", "label": 1}
        for n in range(30)
    ]
    Path("pairs.jsonl").write_text("\n".join(map(json.dumps, pairs)))
    assert call("judge", "w", "--train", "pairs.jsonl").code == 0
    how = ["--template", "short.txt", "--history", 5, "--item-attributes", "", "--set", "epochs=1", "--set", "rank=2"]
    ended = call("tune", "w", "--base", "hf:tiny", "--name", "better", "--task", "prefer", *how)
    assert ended.code == 0, ended.out
    assert re.search(r"(?m)^\d+ verdicts of text$", ended.out) and "wrote w/adapters/better" in ended.out
    assert card("better")["taught_by"] == ["text"] and card("better")["curve"]["loss"][0] == pytest.approx(
        0.69, abs=0.1
    )
    lost = call("tune", "w", "--base", "hf:tiny", "--name", "more", "--task", "prefer", "--judge", "txt", *how)
    assert lost.code == 2 and "did you mean 'text'?" in lost.out
