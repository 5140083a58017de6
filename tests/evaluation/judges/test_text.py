"""The judge that reads words and facts: what it learns, what it says, and that no order moves it."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.worlds import ANNA, BAMBI, FARGO, HEAT, MOVIES, SUSPECTS

from llmxrec.errors import InputError
from llmxrec.evaluation.judges import make_judge
from llmxrec.evaluation.judges.protocol import Judge
from llmxrec.evaluation.judges.text import FACTS, TextJudge, _read
from llmxrec.evaluation.pairs import read_pairs
from llmxrec.records import Case, Instruction
from llmxrec.testing.judges import JudgeConformance, sample_cases, sample_pairs

WHY_FARGO = Instruction("explain", ANNA, (BAMBI, SUSPECTS, HEAT), FARGO)


def trained() -> TextJudge:
    judge = TextJudge()
    judge.fit(sample_pairs(40))
    return judge


class TestConformance(JudgeConformance):
    drawn_ahead = 0
    close = 1e-12

    def make(self) -> Judge:
        return trained()


def facts(
    text: str, asked: str = "Why? Answer within 10 words.", instruction: Instruction | None = WHY_FARGO
) -> dict[str, float]:
    return {
        name: value
        for name, value in _read(Case("", asked, (text, ""), instruction, MOVIES), text).facts.items()
        if value
    }


def test_facts_checked_by_hand() -> None:
    """Fargo is crime and drama; of the history, The Usual Suspects and Heat are crime, nothing is drama."""
    text = 'Dear engineer, you watched "Heat". "Fargo" is crime drama, not animation: "Fargo" beats "Up"!'
    assert facts(text) == {
        "words, of those asked for": 1.4,
        "words too many": pytest.approx(0.4),
        "longer than asked": 1,
        "sentences": 2,
        "words a sentence": 7,
        "says you": pytest.approx(1 / 14),
        "different words": pytest.approx(13 / 14),
        "names the candidate": 1,
        "names it again": 1,
        "history titles": 1,
        "any history title": 1,
        "invented titles": 1,
        "attributes of the candidate": 1,
        "attributes it shares": 1,
        "attributes new to the history": 1,
        "attributes it lacks": 1,
        "repeats the profile": 1,
    }


def test_more_facts() -> None:
    known = facts("The customer has a history of films, a history of films")
    assert known["cut off"] == known["speaks of the customer"] == 1
    assert known["repeats itself"] == pytest.approx(1 - 7 / 9)
    assert facts("I'm sorry, but I can't help with that.")["refuses"] == 1
    assert facts("One.\nTwo.")["line breaks"] == 1
    assert facts("") == facts(" ...") == {}


def test_where_the_instruction_is_words_only_there_are_no_facts_about_it() -> None:
    known = facts('You watched "Heat" and "Up".', instruction=None)
    assert not [name for name in known if "title" in name or "attribute" in name or "candidate" in name]
    assert known["words, of those asked for"] == 0.5
    assert facts("One two three.", asked="Why?", instruction=None)["words, of those asked for"] == 3 / 75


def test_it_learns_what_makes_the_better_text() -> None:
    judge = trained()
    for case in sample_cases(5, 3):  # the third text names most of the history
        assert [r.winner for r in judge.judge([case])] == ["second", "second", "second"]
        none, one, two = judge.scores(case)
        assert none < one < two
    weights = dict(judge.heaviest(1000))
    assert weights["any history title"] > 0 > weights["cut off"]
    assert weights['"you"'] > 0 > weights['"customer"']
    assert [abs(w) for w in weights.values()] == sorted((abs(w) for w in weights.values()), reverse=True)


def test_a_tie_is_half_a_win_for_each() -> None:
    pairs = sample_pairs(40)
    judge = TextJudge()
    judge.fit([replace(pair, winner="tie") for pair in pairs[:20]] + pairs[20:])
    soft = next(judge.judge(sample_cases(1, 3))).probability
    sure = next(trained().judge(sample_cases(1, 3))).probability
    assert sure is not None and soft is not None
    assert sure < soft < 0.5


def test_it_does_not_matter_in_which_order_a_tie_was_shown() -> None:
    pairs = sample_pairs(40)
    shown = [pair for pair in pairs if pair.winner == "second"][:10]
    ties = [replace(pair, winner="tie") for pair in shown]
    turned = [replace(pair, case=replace(pair.case, texts=pair.case.texts[::-1])) for pair in ties]
    judges = TextJudge(), TextJudge()
    for judge, tied in zip(judges, (ties, turned), strict=True):
        judge.fit(pairs + tied)
    (case,) = sample_cases(1, 4)
    assert judges[0].scores(case) == pytest.approx(judges[1].scores(case), abs=1e-3)


def test_words_learn_only_what_the_facts_leave(monkeypatch: pytest.MonkeyPatch) -> None:
    def weight_of_words() -> float:
        return sum(abs(weight) for name, weight in trained().heaviest(10_000) if name.startswith('"'))

    beside_facts = weight_of_words()
    monkeypatch.setattr("llmxrec.evaluation.judges.text._FACTS_SHARE", 0.0)
    assert beside_facts < 0.8 * weight_of_words()


def test_the_same_text_twice_is_a_tie() -> None:
    ruling = next(trained().judge([Case("c", "Why?", ("Because.", "Because."))]))
    assert (ruling.winner, ruling.probability) == ("tie", 0.5)


@given(st.text(max_size=200), st.text(max_size=200))
def test_turned_round_it_says_the_same_of_any_texts(one: str, other: str) -> None:
    judge = JUDGE
    for instruction in (None, WHY_FARGO):
        (there,) = judge.judge([Case("c", "Why?", (one, other), instruction, MOVIES)])
        (back,) = judge.judge([Case("c", "Why?", (other, one), instruction, MOVIES)])
        assert there.probability is not None and back.probability is not None
        assert there.probability + back.probability == pytest.approx(1, abs=1e-12)
        assert {there.winner, back.winner} in ({"first", "second"}, {"tie"})


JUDGE = trained()


def test_saved_and_loaded_it_is_the_same(tmp_path: Path) -> None:
    judge = trained()
    judge.save(tmp_path / "judge")
    loaded = make_judge(f"text:{tmp_path / 'judge'}")
    assert loaded.name == f"text:{tmp_path / 'judge'}"
    cases = sample_cases(5, 4)
    assert list(loaded.judge(cases)) == list(judge.judge(cases))
    assert isinstance(loaded, TextJudge)
    assert loaded.heaviest(50) == judge.heaviest(50)


def test_what_is_no_trained_judge_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="trained before it judges"):
        list(TextJudge().judge(sample_cases(1)))
    with pytest.raises(InputError, match="no trained judge"):
        TextJudge(str(tmp_path))
    with pytest.raises(InputError, match="10 pairs with a winner or more; found 9"):
        TextJudge().fit([*sample_pairs(9), replace(sample_pairs(1)[0], winner="tie")])
    trained().save(tmp_path)
    file = tmp_path / "text-judge.json"
    whole = json.loads(file.read_text())
    broken = [
        "",
        "[]",
        "{}",
        json.dumps({**whole, "version": 2}),
        json.dumps({**whole, "facts": {}}),
        json.dumps({**whole, "words": {"a": [1]}}),
        json.dumps({**whole, "words": {"a": [1, float("nan")]}}),
    ]
    for content in broken:
        file.write_text(content)
        with pytest.raises(InputError, match="this is no trained judge"):
            TextJudge(str(tmp_path))


def test_long_texts_do_not_hold_up_the_rest() -> None:
    (ruling,) = JUDGE.judge([Case("c", "Why?", ('"Heat" ' * 100_000, "Because."), WHY_FARGO, MOVIES)])
    assert ruling.winner is not None


def test_every_fact_is_finite_and_bounded() -> None:
    long = 'Dear customer, "Heat", "Fargo", "Up"! crime drama 34\n' * 400
    for text in (long, "a" * 5000, "!" * 5000, "you " * 5000):
        assert all(-100 <= value <= 100 for value in facts(text).values())
    assert set(facts(long)) <= set(FACTS)


def test_on_the_released_pairs_learned_and_measured_apart(real_release: Path) -> None:
    """Four fifths learned from, one fifth measured: above .88 whatever the fifth (.92 over all of them)."""
    pairs = read_pairs(real_release / "src/SFT/data/disc_data/train.json")
    held_out = {group for place, group in enumerate(sorted({pair.group for pair in pairs})) if place % 5 == 0}
    judge = TextJudge()
    judge.fit([pair for pair in pairs if pair.group not in held_out])
    test = [pair for pair in pairs if pair.group in held_out]
    right = [r.winner == pair.winner for r, pair in zip(judge.judge(p.case for p in test), test, strict=True)]
    assert len(right) >= 250
    assert sum(right) / len(right) > 0.88
