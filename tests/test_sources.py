"""What `llmxrec tune --from` names, and how much of it is learned."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.worlds import MOVIES

from llmxrec.errors import InputError
from llmxrec.prompts.instructions import PromptSettings
from llmxrec.records import Instruction, Item, Lesson, User
from llmxrec.sources import lessons_from, some
from llmxrec.tuning.lessons import Lessons
from llmxrec.workspace import Workspace


def rows(count: int) -> Lessons:
    """About persons 0, 1, ..., in that order; one more was left out before."""
    asked = Instruction("explain", User(""), (), Item("i", "Film"))
    return Lessons([Lesson(asked, MOVIES, str(n)) for n in range(count)], Counter({"too long": 1}))


@given(st.integers(0, 60), st.integers(0, 60), st.integers(0, 60), st.integers(0, 9))
def test_fewer_rows_are_some_of_more_in_their_order(count: int, one: int, other: int, seed: int) -> None:
    few, many = sorted((min(count, one), min(count, other)))
    lessons = rows(count)
    fewer, more = ([int(row.answer) for row in some(lessons, n, seed).rows] for n in (few, many))
    assert len(fewer) == few and len(more) == many
    assert {*fewer} <= {*more} <= {*range(count)} and fewer == sorted(fewer) and more == sorted(more)
    assert some(lessons, many, seed) == some(lessons, many, seed)
    assert lessons == rows(count) and some(lessons, few, seed).dropped == lessons.dropped


def test_which_rows_is_drawn_by_the_seed() -> None:
    """Each row by as good a chance: of 10 out of 40, by 400 seeds, about 100 times."""
    drawn = Counter(row.answer for seed in range(400) for row in some(rows(40), 10, seed).rows)
    assert len(drawn) == 40 and all(60 <= times <= 140 for times in drawn.values())


def test_more_than_there_are_are_refused() -> None:
    assert some(rows(5), 5, 1).rows == rows(5).rows
    with pytest.raises(InputError, match="there are 6 rows to learn from; found '5 rows"):
        some(rows(5), 6, 1)


@pytest.mark.parametrize("domain", ["movies", "news", "games"])
def test_annotated_rows_of_one_domain(tmp_path: Path, domain: str) -> None:
    workspace, prompt = Workspace(tmp_path / "none"), PromptSettings()
    of_all = lessons_from("annotated", workspace, None, prompt, seed=1)
    found = lessons_from(f"annotated:{domain}", workspace, None, prompt, seed=1)
    assert {row.domain.name for row in found.rows} == {domain}
    assert found.rows == [row for row in of_all.rows if row.domain.name == domain]
    assert len(found.rows) == 80 and len(of_all.rows) == 240


@pytest.mark.parametrize(
    ("source", "error"),
    [
        ("annotated:movie", "'movie'; did you mean 'movies'?"),
        ("annotated:items", "'items'"),
        ("anotated", "rows to learn from are 'annotated', 'annotated:DOMAIN'"),
        ("anotated:news", "found 'anotated:news'"),
    ],
)
def test_what_names_no_rows_is_refused(tmp_path: Path, source: str, error: str) -> None:
    with pytest.raises(InputError) as raised:
        lessons_from(source, Workspace(tmp_path / "none"), None, PromptSettings(), seed=1)
    assert error in str(raised.value)
