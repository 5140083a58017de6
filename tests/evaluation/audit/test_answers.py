"""Faults planted in explanations without a fault are found, each by its name; a few of them are no more than a note."""

from __future__ import annotations

from dataclasses import replace

import pytest
from tests.evaluation.audit.worlds import answers, by_check, question, retold, serious, simulated
from tests.worlds import ANNA, FARGO, HEAT, MOVIES, SUSPECTS

from llmxrec.evaluation.audit import audit
from llmxrec.evaluation.audit.findings import Finding
from llmxrec.evaluation.audit.material import Material
from llmxrec.evaluation.material import Part
from llmxrec.records import Explanation

CLEAN = simulated(7)


def found_in(*parts: Part) -> dict[str, Finding]:
    return by_check(audit(Material(parts)))


def test_rows_that_slipped_are_found_with_the_step() -> None:
    texts = [row.text for row in CLEAN.answers[0].rows]
    found = found_in(retold(CLEAN, lambda place, _: texts[place - 3]))["other prompts"]
    assert found.severity == "critical" and found.count > 0.9 * found.rows == 0.9 * 200
    assert "other rows of this file" in found.figure and "slipped by -3" in found.figure
    assert len(found.examples) == 3 and "names '" in found.examples[0][1]


def test_a_few_rows_of_others_are_a_note() -> None:
    texts = [row.text for row in CLEAN.answers[0].rows]
    found = found_in(retold(CLEAN, lambda place, row: texts[place - 1] if place < 3 else row.text))["other prompts"]
    assert found.severity == "note" and found.count == 3


def test_answers_to_the_prompts_of_another_recommender() -> None:
    # The same people, each recommended what the next one is in the clean part, and their files exchanged.
    mine, theirs = CLEAN.questions["r"], {}
    rows = list(mine)
    for (user_id, _), (_, item_id) in zip(rows, rows[1:] + rows[:1], strict=True):
        item = next(item for item in CLEAN.items if item.item_id == item_id)
        history = mine[next(row for row in rows if row[0] == user_id)].instruction.history
        theirs[user_id, item_id] = question(item, [one for one in history if one.item_id != item_id])
    told = [f'You will like "{asked.instruction.candidate.title}", it is for you.' for asked in theirs.values()]
    part = replace(
        retold(CLEAN, lambda place, _: told[place]),
        questions={"r": mine, "s": theirs},
        recommended={"r": dict.fromkeys(mine, 1), "s": dict.fromkeys(theirs, 1)},
    )
    found = found_in(part)["other prompts"]
    assert found.severity == "critical" and found.count > 180
    assert "a candidate of s, for the same user" in found.figure


def test_answers_in_the_words_of_another_domain() -> None:
    found = found_in(retold(CLEAN, lambda place, _: f"This article is news of the day {place}, for readers like you."))
    assert found["other domain"].severity == "critical" and found["other domain"].count == 200
    assert "as of news" in found["other domain"].figure
    fine = found_in(retold(CLEAN, lambda place, _: f"This film is a news item {place}."))
    assert "other domain" not in fine


@pytest.mark.parametrize(
    ("check", "text", "severity"),
    [
        ("refusals", "I'm sorry, but I cannot help with that.", "critical"),
        ("no answer", " ", "critical"),
        ("cut", "You will like this film because it", "critical"),
        ("over-length", "word " * 76 + "end.", "warning"),
        ("unknown", 'It is in the manner of "The Nonexistent Moose".', "warning"),
        ("duplicates", "A film for everybody, everywhere.", "warning"),
    ],
)
def test_planted_in_half_of_the_rows(check: str, text: str, severity: str) -> None:
    found = found_in(retold(CLEAN, lambda place, row: row.text if place % 2 else text))[check]
    assert found.severity == severity and found.count == 100 and found.rows == 200
    assert check not in found_in(CLEAN)
    few = found_in(retold(CLEAN, lambda place, row: text if place < 2 else row.text))[check]
    assert few.severity == "note" and few.count == 2


def test_what_ends_within_a_sentence_and_what_does_not() -> None:
    def cut(text: str) -> bool:
        return "cut" in found_in(retold(CLEAN, lambda place, _: f"{place} films. {text}"))

    assert cut("It is") and cut("It is,") and cut("Made by a man called")
    for whole in (
        'It is "fun"',
        "It is fun!",
        "Enjoy it.\n\nBest regards,\nThe recommender",
        "それは楽しい。",
        "Fun :)",
    ):
        assert not cut(whole)


def test_refusals_stored_as_sound_are_told_from_those_that_are_not() -> None:
    rows = [replace(row, text="I'm sorry, but I cannot help.", status="refused") for row in CLEAN.answers[0].rows]
    found = found_in(replace(CLEAN, answers=[replace(CLEAN.answers[0], rows=rows)]))
    assert "stored as sound" not in found["refusals"].figure
    assert found["refusals"].count == 200 and "other prompts" not in found, "a refusal is no answer to judge further"


def test_titles_of_the_catalogue_that_were_not_shown() -> None:
    def tell(place: int, row: Explanation) -> str:
        shown = CLEAN.questions["r"][row.user_id, row.item_id].instruction
        taken = {item.title for item in (*shown.history, shown.candidate)}
        other = next(item.title for item in CLEAN.items[place:] if item.title not in taken and len(item.title) > 12)
        return f'{row.text} It is much like "{other}".'

    found = found_in(retold(CLEAN, tell))
    assert found["not shown"].severity == "critical" and found["not shown"].count > 150


def test_longer_than_this_file_was_asked_for() -> None:
    asked = replace(CLEAN.answers[0], max_words=5)
    found = found_in(replace(CLEAN, answers=[asked]))["over-length"]
    assert found.severity == "warning" and "more than 5 words" in found.figure


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("As an engineer, you will like Heat.", "occupation 1"),
        ("As a busy software engineer, you will like Heat.", "occupation 1"),
        ("With your work as an engineer, Heat fits.", "occupation 1"),
        ("Heat suits a 34-year-old.", "age 1"),
        ("At the age of 34, one likes Heat.", "age 1"),
        ("As a young woman you will like Heat.", "gender 1"),
        ("Heat is liked by female viewers.", "gender 1"),
        ("Heat, for a fellow engineer.", "occupation 1"),
        ("Heat has much for an engineer like you.", "occupation 1"),
        ("Heat tells of a robber with an engineer, for a woman's sake.", None),
        ("Heat is about an engineer, a woman, and 34 robbers.", None),
        ("Heat has a strong female lead, as a female character has to be.", None),
        ("As a man would, you will like Heat.", None),
    ],
)
def test_what_is_told_back_to_the_customer(text: str, told: str | None) -> None:
    row = (ANNA.user_id, HEAT.item_id)
    asked = {row: question(HEAT, [FARGO, SUSPECTS], ANNA)}
    part = Part("w", MOVIES, [HEAT, FARGO, SUSPECTS], {"r": asked}, answers=[answers([(row, text)])])
    found = found_in(part).get("told back")
    assert (found.figure.split(": ")[1] if found else None) == told


def test_only_what_this_generator_was_shown_is_its_history() -> None:
    row = ("u", HEAT.item_id)
    part = Part("w", MOVIES, [HEAT, FARGO, SUSPECTS], {"r": {row: question(HEAT, [FARGO, SUSPECTS])}})
    told = answers([(row, 'Like "Fargo", "Heat" is dark.')])
    assert found_in(replace(part, answers=[told]))["history named"].count == 1
    short = replace(told, rows=[replace(told.rows[0], history=1)])
    found = found_in(replace(part, answers=[short]))
    assert found["history named"].count == 0 and found["not shown"].count == 1


def test_nothing_is_wrong_with_an_empty_file() -> None:
    assert serious(audit(Material([replace(CLEAN, answers=[answers([])])]))) == []
    assert audit(Material()) == []
