"""Judging as a stage: nothing lost, nothing asked twice, only what can be compared."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import asdict, replace
from itertools import permutations
from pathlib import Path

import polars as pl
import pytest
from tests.worlds import BAMBI, FARGO, HEAT, MOVIES, SUSPECTS

from llmxrec.errors import InputError, WorkError
from llmxrec.evaluation.judging import Contest, contests, judge_contests, standing
from llmxrec.evaluation.material import Answers, Part, Question
from llmxrec.evaluation.ranking import outcomes
from llmxrec.evaluation.verdicts import read_verdicts
from llmxrec.ledger import Ledger, read_ledger
from llmxrec.records import Case, Explanation, Instruction, Ruling, Status, User, Verdict


class Longer:
    """Prefers the longer text; asked in both orders like a language model. Stops like a killed process after `limit`
    rulings; says nothing readable of texts with a question mark, and fails at those with "down"."""

    name = "longer"
    order_free = False

    def __init__(self, limit: int | None = None) -> None:
        self.limit = limit
        self.ruled: list[str] = []

    def judge(self, cases: Iterable[Case]) -> Iterator[Ruling]:
        for case in cases:
            for first, second in permutations(range(len(case.texts)), 2):
                if self.limit is not None and len(self.ruled) >= self.limit:
                    raise KeyboardInterrupt
                self.ruled.append(case.key)
                both = case.texts[first] + case.texts[second]
                if "?" in both or "down" in both:
                    yield Ruling(case.key, first, second, None, status="failed" if "down" in both else "invalid")
                    continue
                longer = len(case.texts[first]) > len(case.texts[second])
                yield Ruling(case.key, first, second, "first" if longer else "second", 0.9 if longer else 0.1)


def answers(generator: str, *rows: tuple[str, str, str, Status]) -> Answers:
    made = [Explanation("bpr", generator, user, item, 1, text, status, "p", 3) for user, item, text, status in rows]
    return Answers("bpr", generator, made)


BRIEF = answers(
    "brief",
    ("anna", "suspects", "Good.", "ok"),
    ("bob", "fargo", "Fine.", "ok"),
    ("cleo", "heat", "I cannot.", "refused"),
    ("bob", "bambi", "Not recommended.", "ok"),
)
WORDY = answers(
    "wordy",
    ("anna", "suspects", "You watched Heat, and so this is for you.", "ok"),
    ("bob", "fargo", "Is it?", "ok"),
    ("cleo", "heat", "Since it is there.", "ok"),
    ("bob", "bambi", "Not recommended either.", "ok"),
)
ROWS = [("anna", SUSPECTS), ("bob", FARGO), ("cleo", HEAT), ("bob", BAMBI)]


def part(brief: Answers = BRIEF, wordy: Answers = WORDY, words: str = "") -> Part:
    asked = {
        (user, item.item_id): Question(
            Instruction("explain", User(user), (HEAT,), item), words if item == FARGO else ""
        )
        for user, item in ROWS
    }
    recommended = {(user, item.item_id): 1 for user, item in ROWS[:3]}
    other = Answers("ease", "other", WORDY.rows)
    return Part("world", MOVIES, [], {"bpr": asked}, {"bpr": recommended}, [brief, wordy, other])


def compared(brief: Answers = BRIEF, wordy: Answers = WORDY) -> list[Contest]:
    return list(contests(part(brief, wordy), "bpr"))


def saying(text: str) -> Answers:
    """What `wordy` says, were it this."""
    return replace(WORDY, rows=[replace(row, text=text) for row in WORDY.rows])


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "longer.jsonl"


def test_what_two_answered_is_compared_with_what_was_asked() -> None:
    anna, bob = compared()
    assert (anna.user_id, anna.item_id, anna.generators) == ("anna", "suspects", ("brief", "wordy"))
    assert anna.case.texts == ("Good.", "You watched Heat, and so this is for you.")
    assert anna.case.instruction is not None and anna.case.instruction.candidate == SUSPECTS
    assert "Heat" in anna.case.asked and "The Usual Suspects" in anna.case.asked
    assert bob.case.key != anna.case.key
    told = list(contests(part(words="as it was asked"), "bpr"))
    assert [one.case.asked == "as it was asked" for one in told] == [False, True]
    assert list(contests(part(), "ease")) == [], "one generator is compared with nobody"


def test_every_verdict_is_kept_as_it_was_said(file: Path) -> None:
    outcome = judge_contests(compared(), Longer(), "bpr", file)
    rows = list(read_ledger(file))
    assert [(row["first"], row["second"], row["winner"], row["status"]) for row in rows] == [
        ("brief", "wordy", "second", "ok"),
        ("wordy", "brief", "first", "ok"),
        ("brief", "wordy", None, "invalid"),
        ("wordy", "brief", None, "invalid"),
    ]
    assert {row["judge"] for row in rows} == {"longer"} and not any(row["order_free"] for row in rows)
    assert outcome.lines() == ["2 recommendations compared: 2 ok, 2 invalid"]


@pytest.mark.parametrize("limit", range(4))
def test_killed_it_goes_on_and_asks_what_is_missing(file: Path, limit: int) -> None:
    whole = file.with_name("whole.jsonl")
    judge_contests(compared(), Longer(), "bpr", whole)
    with pytest.raises(KeyboardInterrupt):
        judge_contests(compared(), Longer(limit), "bpr", file)
    assert len(list(read_ledger(file))) == limit
    judge = Longer()
    judge_contests(compared(), judge, "bpr", file)
    assert len(judge.ruled) == (2 if limit >= 2 else 4), "a case is asked whole or not at all"
    key = ("case", "first", "second", "winner")
    last = {tuple(row[k] for k in key) for row in read_ledger(file)}
    assert last == {tuple(row[k] for k in key) for row in read_ledger(whole)}
    again = Longer()
    assert judge_contests(compared(), again, "bpr", file).known == 2 and again.ruled == []


def test_other_texts_are_another_case_and_what_failed_is_asked_again(file: Path) -> None:
    judge_contests(compared(), Longer(), "bpr", file)
    changed = Longer()
    judge_contests(compared(wordy=saying("Another.")), changed, "bpr", file)
    assert len(changed.ruled) == 4
    down = saying("down")
    judge_contests(compared(wordy=down), Longer(), "bpr", file)
    again = Longer()
    assert judge_contests(compared(wordy=down), again, "bpr", file).asked["failed"] == 4 and len(again.ruled) == 4


def test_verdicts_made_otherwise_are_not_mixed_in(file: Path) -> None:
    judge_contests(compared(), Longer(), "bpr", file, settings={"spec": "longer", "train": "a"})
    with pytest.raises(InputError, match="train = 'a'"):
        judge_contests(compared(), Longer(), "bpr", file, settings={"spec": "longer", "train": "b"})


class Broken(Longer):
    def judge(self, cases: Iterable[Case]) -> Iterator[Ruling]:
        rulings = list(super().judge(cases))
        yield from rulings[1:]


class Twice(Longer):
    def judge(self, cases: Iterable[Case]) -> Iterator[Ruling]:
        for ruling in super().judge(cases):
            yield ruling
            yield ruling


def test_a_judge_that_loses_rulings_or_rules_too_often_is_told(file: Path) -> None:
    with pytest.raises(WorkError, match="left 1 cases without all"):
        judge_contests(compared(), Broken(), "bpr", file)
    with pytest.raises(WorkError, match="too often"):
        judge_contests(compared(), Twice(), "bpr", file.with_name("twice.jsonl"))


ANEW = replace(WORDY, rows=[replace(WORDY.rows[0], text="Brief."), *WORDY.rows[1:]])
"""What `wordy` says after it explained anna's row anew."""


def users(table: pl.DataFrame) -> list[tuple[str, str]]:
    return list(zip(table["user_id"], table["first"], strict=True))


ANNA = [("anna", "brief"), ("anna", "wordy")]
BOB = [("bob", "brief"), ("bob", "wordy")]


def test_verdicts_on_texts_that_are_no_more_do_not_count(file: Path) -> None:
    judge_contests(compared(), Longer(), "bpr", file)
    table, outdated = standing(file, compared())
    assert users(table) == ANNA + BOB and outdated == 0 and table.equals(read_verdicts(file))
    table, outdated = standing(file, compared(wordy=ANEW))
    assert users(table) == BOB and outdated == 2
    refused = replace(WORDY, rows=[replace(WORDY.rows[0], status="refused"), *WORDY.rows[1:]])
    assert standing(file, compared(wordy=refused))[1] == 2, "nothing of anna's is compared any more"


@pytest.mark.parametrize("limit", [1, 2])
def test_the_two_orders_of_a_pair_are_about_the_same_texts(limit: int, file: Path) -> None:
    """Judging anew is stopped after one order, or both: the other order of before was about another text."""
    judge_contests(compared(), Longer(), "bpr", file)
    with suppress(KeyboardInterrupt):
        judge_contests(compared(wordy=ANEW), Longer(limit), "bpr", file)
    for table in (read_verdicts(file), standing(file, compared(wordy=ANEW))[0]):
        assert users(table) == BOB + ANNA[:limit]
    assert standing(file, compared(wordy=ANEW))[1] == 2 - limit
    assert users(standing(file, compared())[0]) == ANNA + BOB, "and when the text is as it was, so are the verdicts"


def test_verdicts_stay_when_a_generator_comes(file: Path) -> None:
    """The texts of a recommendation are others then; those that were judged are the same."""
    judge_contests(compared(), Longer(), "bpr", file)
    more = replace(saying("There is more to it."), generator="more")
    asked = part()
    three = list(contests(replace(asked, answers=[*asked.answers, more]), "bpr"))
    kept, outdated = standing(file, three)
    assert outdated == 0 and outcomes(kept).equals(outcomes(read_verdicts(file)))
    with suppress(KeyboardInterrupt):
        judge_contests(three, Longer(1), "bpr", file)
    assert users(standing(file, three)[0]) == [ANNA[1], *BOB, ANNA[0]], "one was asked again, the others stand"
    judge_contests(three, Longer(), "bpr", file)
    kept, outdated = standing(file, three)
    assert kept.height == 14 and outdated == 0, "of three texts each for anna and bob, of two for cleo"
    kept, outdated = standing(file, compared())
    assert sorted(users(kept)) == ANNA + BOB and outdated == 10, "and where it goes, what was asked without it stands"


def test_what_others_said_stays(file: Path) -> None:
    """Verdicts of people, or made elsewhere, do not tell what texts they were about."""
    said = asdict(Verdict("bpr", "people", "anna", "suspects", "brief", "wordy", "first", rater="p1"))
    with Ledger(file) as ledger:
        ledger.append(said)
        ledger.append({key: value for key, value in said.items() if key != "case"} | {"rater": "p2"})
    table, outdated = standing(file, compared(wordy=ANEW))
    assert table["rater"].to_list() == ["p1", "p2"] and outdated == 0


def test_all_verdicts_stay_where_no_texts_are(file: Path) -> None:
    judge_contests(compared(), Longer(), "bpr", file)
    table, outdated = standing(file, [])
    assert users(table) == ANNA + BOB and outdated == 0
