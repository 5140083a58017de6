"""From workspaces to what is looked at."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

import polars as pl
import pytest
from tests.evaluation.audit.worlds import by_check, serious
from tests.worlds import small_dataset

from llmxrec.errors import InputError
from llmxrec.evaluation.audit import audit
from llmxrec.evaluation.audit.reading import read_material
from llmxrec.evaluation.reading import read_part
from llmxrec.records import Verdict
from llmxrec.workspace import Workspace

PROMPT = """The history films watched by the customer are:
1: Heat
The class of the movie is Action Crime.
2: Brazil
The class of the movie is Comedy.

The age of the customer is 34, the gender is female and the customer's occupation is engineer. Tell the customer why.
Give reasons why the customer needs to watch this movie with the following title and class:
Brazil.
The class of the movie is Comedy.

"""
"""In the layout of released prompts."""


def lines(file: Path, *rows: Mapping[str, object]) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


def explanation(user: str, item: str, text: str, **more: object) -> dict[str, object]:
    return {
        "user_id": user,
        "item_id": item,
        "rank": 1,
        "text": text,
        "status": "ok",
        "prompt": user,
        "history": 9,
    } | more


def filled(path: Path) -> Workspace:
    """Two recommendations explained by `mine`, one of them twice, and one that is not recommended."""
    workspace = Workspace(path)
    small_dataset().save(workspace.dataset)
    table = {"user_id": ["anna", "anna", "bob"], "item_id": ["suspects", "bambi", "fargo"], "rank": [1, 2, 1]}
    file = workspace.recommendations("bpr")
    file.parent.mkdir(parents=True)
    pl.DataFrame(table, schema_overrides={"rank": pl.Int32}).write_parquet(file)
    lines(
        workspace.explanations("bpr", "mine"),
        explanation("anna", "suspects", "first answer", status="failed"),
        explanation("bob", "fargo", "Fargo, as you liked Heat."),
        explanation("anna", "suspects", "last answer"),
        explanation("cleo", "heat", "Heat for you."),
        explanation("cleo", "nothing", "of an item that is not there"),
    )
    verdict = Verdict("bpr", "j", "bob", "fargo", "mine", "other", "first")
    lines(workspace.verdicts("bpr", "j"), asdict(verdict))
    return workspace


def test_all_that_a_workspace_holds(tmp_path: Path) -> None:
    part = read_part(filled(tmp_path / "films"))
    assert part.name == "films" and len(part.items) == 4
    assert part.recommended == {"bpr": {("anna", "suspects"): 1, ("anna", "bambi"): 2, ("bob", "fargo"): 1}}
    questions = part.questions["bpr"]
    assert set(questions) == {("anna", "suspects"), ("bob", "fargo"), ("cleo", "heat")}
    history = [item.title for item in questions["anna", "suspects"].instruction.history]
    assert history == ["Bambi", "Heat", "Fargo"]
    assert questions["anna", "suspects"].instruction.user.attributes["occupation"] == "engineer"
    (file,) = part.answers
    assert [row.text for row in file.rows if row.user_id == "anna"] == ["last answer"] and len(file.rows) == 4
    assert file.max_words == 75 and part.verdicts["bpr", "j"].height == 1
    assert part.truths == {"age": ["34", "50"], "gender": ["female", "male"], "occupation": ["engineer", "writer"]}


def test_what_was_asked_is_noted_beside_the_answers(tmp_path: Path) -> None:
    workspace = filled(tmp_path / "films")
    workspace.explanations("bpr", "mine").with_suffix(".toml").write_text("history = 2\nmax_words = 3\n")
    part = read_part(workspace)
    assert part.answers[0].max_words == 3
    history = [item.title for item in part.questions["bpr"]["anna", "suspects"].instruction.history]
    assert history == ["Heat", "Fargo"], "the newest two"
    assert by_check(audit(read_material(workspace.path)))["over-length"].count == 2


def test_what_no_generator_was_told_nobody_is_shown(tmp_path: Path) -> None:
    workspace = filled(tmp_path / "films")

    def shown() -> tuple[set[str], set[str]]:
        """Of the person and of the items."""
        instruction = read_part(workspace).questions["bpr"]["anna", "suspects"].instruction
        return set(instruction.user.attributes), set(instruction.candidate.attributes)

    notes = workspace.explanations("bpr", "mine").with_suffix(".toml")
    notes.write_text('template = "default"\nuser_attributes = []\nitem_attributes = ["year"]\n')
    assert shown() == (set(), {"year"})
    lines(workspace.explanations("bpr", "other"), explanation("bob", "fargo", "Fargo."))
    assert shown() == (set(), {"year"}), "of what came from elsewhere nobody knows"
    other = workspace.explanations("bpr", "other").with_suffix(".toml")
    other.write_text('user_attributes = ["age"]\nitem_attributes = []\n')
    assert shown() == ({"age"}, {"year"}), "all that any was told"
    other.write_text('template = "default"\n')
    assert shown() == ({"age", "gender", "occupation"}, {"genres", "year"}), "where nothing else is said, it is all"
    other.write_text("history = -1\n")
    with pytest.raises(InputError, match="history of the notes on explanations"):
        read_part(workspace)


def test_what_was_held_out_was_not_shown(tmp_path: Path) -> None:
    workspace = filled(tmp_path / "films")
    workspace.note("recommenders", "bpr", hold_out=True)
    history = read_part(workspace).questions["bpr"]["anna", "suspects"].instruction.history
    assert [item.title for item in history] == ["Bambi"]


def test_an_item_that_the_user_had_is_known(tmp_path: Path) -> None:
    workspace = filled(tmp_path / "films")
    table = pl.DataFrame({"user_id": ["anna"], "item_id": ["heat"], "rank": pl.Series([1], dtype=pl.Int32)})
    table.write_parquet(workspace.recommendations("bpr"))
    assert read_part(workspace).questions["bpr"]["anna", "heat"].known
    assert not read_part(workspace).questions["bpr"]["bob", "fargo"].known


def test_stored_words_of_a_prompt_say_what_was_shown(tmp_path: Path) -> None:
    workspace = filled(tmp_path / "films")
    (workspace.path / "prompts").mkdir()
    words = {"user_id": ["anna", "bob"], "item_id": ["suspects", "fargo"], "prompt": ["p", "q"]}
    pl.DataFrame({**words, "words": [PROMPT, "no released prompt"]}).write_parquet(
        workspace.path / "prompts/bpr.parquet"
    )
    questions = read_part(workspace).questions["bpr"]
    asked = questions["anna", "suspects"]
    assert asked.words == PROMPT and asked.instruction.candidate.title == "Brazil"
    assert [item.title for item in asked.instruction.history] == ["Heat", "Brazil"]
    assert [item.title for item in questions["bob", "fargo"].instruction.history] == ["The Usual Suspects", "Heat"]
    assert by_check(audit(read_material(workspace.path)))["seen"].count == 1


def test_a_folder_of_workspaces_is_read_together(tmp_path: Path) -> None:
    filled(tmp_path / "one")
    filled(tmp_path / "two")
    (tmp_path / "tables").mkdir()
    assert [part.name for part in read_material(tmp_path).parts] == ["one", "two"]
    for nothing in (tmp_path / "tables", tmp_path / "none"):
        with pytest.raises(InputError, match="a workspace, or a folder of workspaces"):
            read_material(nothing)


def test_files_that_a_replay_noted_are_read(tmp_path: Path) -> None:
    workspace = filled(tmp_path / "films")
    lines(tmp_path / "rows.jsonl", {"prompt": "a", "completion": "b"})
    label = {"instruction": "a", "explanation_1": "x", "explanation_2": "y", "label": 2}
    lines(tmp_path / "pairs.jsonl", label)
    workspace.note(
        "replay", tuning=[str(tmp_path / "rows.jsonl"), str(tmp_path / "gone")], pairs=str(tmp_path / "pairs.jsonl")
    )
    material = read_material(workspace.path)
    assert len(material.tuned) == 1 and len(material.pairs) == 1
    lines(tmp_path / "mine.jsonl", *[{"prompt": "a", "completion": "b"}] * 3)
    assert len(read_material(workspace.path, tuning=[tmp_path / "mine.jsonl"]).tuned) == 3


@pytest.mark.parametrize(
    ("place", "content", "said"),
    [
        ("explanations/bpr/mine.jsonl", b'{"user_id": 7}\n', "mine.jsonl, line 1: an explanation has user_id"),
        ("explanations/bpr/mine.toml", b"= no", "notes on explanations are TOML"),
        ("recommendations/bpr.parquet", b"PAR1", "a Parquet table with user_id, item_id, rank"),
        ("verdicts/bpr/j.jsonl", b'{"recommender": "bpr"}\n', "a verdict has 'judge'"),
        ("prompts/bpr.parquet", b"PAR1", "a Parquet table with user_id, item_id, words"),
    ],
)
def test_damaged_files_are_named(tmp_path: Path, place: str, content: bytes, said: str) -> None:
    workspace = filled(tmp_path / "films")
    (workspace.path / place).parent.mkdir(exist_ok=True)
    (workspace.path / place).write_bytes(content)
    with pytest.raises(InputError, match=said):
        read_material(workspace.path)


def test_what_is_wrong_with_it_is_found(tmp_path: Path) -> None:
    found = by_check(serious(audit(read_material(filled(tmp_path / "films").path))))
    assert {check: finding.count for check, finding in found.items()} == {"stray": 2, "cut": 2}
