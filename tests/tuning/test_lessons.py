"""Instruction data: files read back as they were written, what nobody should learn left out, people never divided."""

from __future__ import annotations

import json
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.worlds import ANNA, BAMBI, FARGO, HEAT, MOVIES, SUSPECTS, instructions, small_dataset

from llmxrec.datasets.dataset import Histories
from llmxrec.errors import InputError
from llmxrec.explain import SCHEMA
from llmxrec.prompts.instructions import Instructions, PromptSettings
from llmxrec.records import Instruction, Lesson, User
from llmxrec.tuning.adapters import check_apart
from llmxrec.tuning.lessons import (
    Lessons,
    annotated,
    attributes,
    digest,
    divide,
    explained,
    read_lessons,
    shortened,
    users,
    write_lessons,
)

ASKED = Instruction("explain", ANNA, (HEAT, FARGO, BAMBI), SUSPECTS)
ROW = {
    "domain": "movies",
    "history": [{"title": "Heat"}],
    "candidate": {"title": "Fargo", "attributes": {"genres": ["Crime"]}},
    "answer": "Both are films.",
}


def table(*texts: tuple[str, str, str]) -> pl.DataFrame:
    """Explanations of The Usual Suspects: user, text and status."""
    rows = [{"user_id": user, "item_id": "suspects", "text": text, "status": status} for user, text, status in texts]
    return pl.DataFrame(rows, schema={name: SCHEMA[name] for name in ("user_id", "item_id", "text", "status")})


def known(*people: str) -> Instructions:
    dataset = small_dataset()
    histories = Histories.build(dataset.interactions, dataset.users["user_id"], dataset.items["item_id"])
    return Instructions.of(dataset, histories, PromptSettings(), people)


@given(st.lists(st.tuples(instructions(), st.text(max_size=20)), max_size=4))
def test_what_is_written_is_read_back(
    tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[Instruction, str]]
) -> None:
    made = [Lesson(asked, MOVIES, answer) for asked, answer in rows]
    file = tmp_path_factory.mktemp("lessons") / "rows.jsonl"
    write_lessons(made, file)
    if made:
        again = read_lessons(file).rows
        assert again == made and digest(again) == digest(made)


def test_a_row_of_ours_and_one_of_theirs(tmp_path: Path) -> None:
    file = tmp_path / "rows.json"
    told = {"task": "predict", "targets": ["age"], "answer": '{"age": "24"}', "user": {"user_id": "u"}}
    file.write_text(json.dumps([ROW, {**ROW, **told}]))
    first, second = read_lessons(file).rows
    assert (first.instruction.task, first.instruction.candidate.attributes) == ("explain", {"genres": ("Crime",)})
    assert (second.instruction.targets, second.instruction.user, second.answer) == (
        ("age",),
        User("u"),
        '{"age": "24"}',
    )


@pytest.mark.parametrize(
    "wrong",
    [
        {"domain": "/etc/passwd.toml"},
        {"domain": "muvies"},
        {"history": "Heat"},
        {"candidate": {"title": 3}},
        {"answer": None},
        {"task": "guess"},
        {"task": "predict"},
        {"targets": ["age"]},
    ],
)
def test_a_row_that_is_neither_is_named_by_its_line(tmp_path: Path, wrong: dict[str, object]) -> None:
    file = tmp_path / "rows.jsonl"
    file.write_text(f"{json.dumps(ROW)}\n{json.dumps(ROW | wrong)}\n")
    with pytest.raises(InputError, match=r"rows\.jsonl, line 2"):
        read_lessons(file)


def test_what_nobody_should_learn_is_left_out_and_counted() -> None:
    good = 'Like "Heat", "The Usual Suspects" is a crime film.'
    rows = explained(
        table(
            ("anna", good, "ok"),
            ("anna", good, "truncated"),
            ("anna", "Because it is good.", "ok"),
            ("anna", f'{good} So is "Casablanca".', "ok"),
            ("anna", good + " yes" * 70, "ok"),
        ),
        known("anna"),
        MOVIES,
        max_words=60,
        seed=1,
    )
    (row,) = rows.rows
    assert row.answer == good and HEAT.title in [item.title for item in row.instruction.history]
    assert rows.dropped == {"truncated": 1, "candidate not named": 1, "a title that was not shown": 1, "too long": 1}
    assert str(rows).startswith("1 rows (left out: ")


@given(st.integers(0, 1 << 40))
def test_a_history_is_shortened_but_keeps_what_is_named(seed: int) -> None:
    asked = Instruction("explain", ANNA, (HEAT, FARGO, BAMBI) * 3, SUSPECTS)
    assert shortened(asked, (), seed).history == asked.history[9 - len(shortened(asked, (), seed).history) :]
    assert 3 <= len(shortened(asked, (), seed).history) <= 9
    assert shortened(ASKED, ["Heat"], seed) == ASKED, "named first, so all of it is needed"


def test_all_lengths_occur() -> None:
    asked = Instruction("explain", ANNA, (HEAT, FARGO, BAMBI) * 3, SUSPECTS)
    assert {len(shortened(asked, (), seed).history) for seed in range(50)} == set(range(3, 10))


def test_attributes_are_those_that_are_known() -> None:
    asked = Instruction("predict", ANNA, (HEAT, FARGO, BAMBI), SUSPECTS, ("age", "gender", "job"))
    truth = {"age": "34", "gender": "female"}
    found = attributes(
        [asked, Instruction("predict", User("bob"), (), HEAT, ("job",))],
        MOVIES,
        lambda _asked, target: truth.get(target),
        choices={"gender": ("female", "male")},
        seed=None,
    )
    (row,) = found.rows
    assert json.loads(row.answer) == truth and row.instruction.targets == ("age", "gender")
    assert row.choices == {"gender": ("female", "male")} and row.instruction.history == asked.history
    assert found.dropped == {"nothing known": 1}


@given(st.lists(st.sampled_from(["a", "b", "c", ""]), max_size=12), st.floats(0, 0.9), st.integers(0, 9))
def test_a_person_is_on_one_side(people: list[str], share: float, seed: int) -> None:
    learned, held_out = divide(people, share, seed, lambda person: person)
    assert sorted(learned + held_out) == sorted(people)
    assert not ({*learned} & {*held_out}) - {""}
    several = len({*people} - {""}) + people.count("") > 1
    assert bool(held_out) == (several and share > 0) and (learned or not people)


def test_who_was_learned_from_is_not_measured() -> None:
    rows = Lessons([Lesson(ASKED, MOVIES, "x"), Lesson(Instruction("explain", User(""), (), HEAT), MOVIES, "y")])
    assert users(rows.rows) == ("anna",)
    check_apart(users(rows.rows), ["bob"])
    with pytest.raises(InputError, match="1 people, 'anna' among them"):
        check_apart(users(rows.rows), ["anna", "bob"])


def test_what_was_annotated_comes_by_domain() -> None:
    assert [len(annotated(domain).rows) for domain in ("movies", "news", "games", None)] == [80, 80, 80, 240]
    assert {row.domain.name for row in annotated("news").rows} == {"news"}
