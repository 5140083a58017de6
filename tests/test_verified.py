"""Verified explanations: nothing unsupported is ever sent, nothing paid for is lost, and asking comes to an end."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.test_explain import RECOMMENDATIONS, Counting, about, questions
from tests.worlds import small_dataset

from llmxrec.asking.ask import Outcome
from llmxrec.evidence.claims import ClaimReader
from llmxrec.evidence.verification import Verification, Verifier
from llmxrec.explain import explain, read_explanations
from llmxrec.generators.embedded.weights import known_words
from llmxrec.generators.prices import Price
from llmxrec.ledger import read_ledger
from llmxrec.records import Answer, Prompt
from llmxrec.settings import check

DATASET = small_dataset()


def verifier(**rules: Any) -> Verifier:
    people = {"occupation": {"engineer", "writer"}, "gender": {"female", "male"}}
    reader = ClaimReader(DATASET.item_records, DATASET.domain, people)
    return Verifier(reader, check(Verification, rules, "rules"), known_words())


def run(script: Callable[[Prompt], Answer | str], file: Path, **rules: Any) -> tuple[Outcome, pl.DataFrame]:
    outcome = explain(questions(Counting(script=script), top=1), file, verifier=verifier(**rules))
    return outcome, read_explanations(file, RECOMMENDATIONS.filter(rank=1))


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "scripted.jsonl"


def named(prompt: Prompt) -> str:
    return f'You may like "{prompt.instruction.candidate.title}".'


def test_what_may_be_sent_is_sent_as_it_came(file: Path) -> None:
    outcome, table = run(named, file)
    assert table["text"][0] == 'You may like "The Usual Suspects".'
    assert table["source"].to_list() == ["generator"] * 3 and table["detail"].null_count() == 3
    assert (outcome.asked, outcome.rejected, outcome.replaced) == ({"ok": 3}, 0, 0)


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ('Like "Interstellar", "The Usual Suspects" is a crime film.', "unsupported title"),
        ("Like Interstellar, The Usual Suspects is a crime film.", "unsupported title"),
        ("The Usual Suspects is a western for you.", None),
        ("The Usual Suspects is an animation like Heat.", None),
        ('"Heat" is for you.', "wrong candidate"),
        ("As a woman you will like The Usual Suspects.", "profile told"),
        ("As an engineer of 34 years, you will like The Usual Suspects.", "profile told"),
        ("I'm sorry, but I can't help with that.", "refusal"),
        ("   ", "no answer"),
        ("The Usual Suspects " + "is fine and " * 40, "too long"),
    ],
)
def test_what_may_not_be_sent_is_replaced(text: str, kind: str | None, file: Path) -> None:
    """For anna, who had Bambi, Heat and Fargo: an animation and a western, the first shown and the other no value."""
    outcome, table = run(lambda prompt: text if prompt.instruction.user.user_id == "anna" else named(prompt), file)
    first = table.row(0, named=True)
    if kind is None:
        assert first["text"] == text and outcome.rejected == 0
        return
    assert first["source"] == "template" and first["status"] == "ok" and kind in first["detail"]
    assert '"The Usual Suspects"' in first["text"] and text not in first["text"]
    assert (outcome.rejected, outcome.replaced, outcome.wrong[kind]) == (3, 1, 3)
    kept = [row for row in read_ledger(file) if row["status"] == "rejected"]
    assert [row["text"] for row in kept] == [text] * 3, "what was paid for is kept"


def test_an_attribute_of_nothing_shown_is_unsupported(file: Path) -> None:
    """Bob had The Usual Suspects and Heat, and is recommended Fargo: nothing of his is an animation."""
    text = 'Since you like animation films, "Fargo" is for you.'
    outcome, table = run(lambda prompt: text if prompt.instruction.user.user_id == "bob" else named(prompt), file)
    assert "unsupported attribute" in table["detail"][1] and outcome.replaced == 1


def test_what_of_the_person_may_be_told(file: Path) -> None:
    """Only what is allowed, and only what is true: anna is a woman of 34."""
    true = 'As a woman you may like "The Usual Suspects".'
    script = lambda prompt: true if prompt.instruction.user.user_id == "anna" else named(prompt)  # noqa: E731
    outcome, table = run(script, file, may_tell=("gender",))
    assert table["text"][0] == true and outcome.rejected == 0
    wrong = 'As a man you may like "The Usual Suspects".'
    outcome, table = run(lambda prompt: wrong, file.with_name("other.jsonl"), may_tell=("gender",))
    assert table["source"].to_list()[0] == "template"


def test_asked_again_with_what_was_wrong(file: Path) -> None:
    def heeds(prompt: Prompt) -> str:
        told = prompt.messages[-1].content
        return named(prompt) if "names 'Interstellar'" in told else f'Like "Interstellar". {named(prompt)}'

    generator = Counting(script=heeds)
    outcome = explain(questions(generator, top=1), file, verifier=verifier())
    table = read_explanations(file, RECOMMENDATIONS.filter(rank=1))
    assert table["source"].to_list() == ["generator"] * 3
    assert (outcome.rejected, outcome.replaced, outcome.asked) == (3, 0, {"ok": 3})
    assert "Interstellar" in table["detail"][0], "what the first answer said is told"
    assert len(generator.asked) == 6


@pytest.mark.parametrize(("again", "otherwise"), [(0, "template"), (1, "withhold"), (3, "template")])
def test_asking_comes_to_an_end(again: int, otherwise: str, file: Path) -> None:
    outcome, table = run(lambda prompt: "Watch Interstellar.", file, again=again, otherwise=otherwise)
    assert outcome.rejected == 3 * (again + 1)
    if otherwise == "withhold":
        assert table["status"].to_list() == ["withheld"] * 3 and table["text"].to_list() == [""] * 3
        assert table["source"].null_count() == 3
    else:
        assert table["source"].to_list() == ["template"] * 3
    once_more = explain(questions(Counting(), top=1), file, verifier=verifier(again=again, otherwise=otherwise))
    assert once_more.asked == {} and once_more.known == 3, "and is over"


def test_each_row_is_asked_as_often_as_allowed_however_the_others_fare(file: Path) -> None:
    """Bob's second answer may be sent, as anna's second may not: as many rejections in all as before that round."""
    tries = Counter[str]()

    def script(prompt: Prompt) -> str:
        user = prompt.instruction.user.user_id
        tries[user] += 1
        bad = user == "anna" or (user == "bob" and tries[user] < 2)
        return "Watch Interstellar." if bad else named(prompt)

    outcome, table = run(script, file, again=2)
    assert tries == {"anna": 3, "bob": 2, "cleo": 1}
    assert table["source"].to_list() == ["template", "generator", "generator"]
    assert table["status"].to_list() == ["ok"] * 3 and (outcome.rejected, outcome.replaced) == (4, 1)


def test_a_row_without_an_answer_is_not_asked_for_ever(file: Path) -> None:
    """Anna's first answer may not be sent, and there is no other; the next run asks for it."""
    tries = Counter[str]()

    def script(prompt: Prompt) -> Answer | str:
        tries[prompt.instruction.user.user_id] += 1
        if prompt.instruction.user.user_id != "anna":
            return named(prompt)
        lost = Answer(prompt.key, "", "failed", detail="lost")
        return "Watch Interstellar." if tries["anna"] == 1 else lost if tries["anna"] == 2 else named(prompt)

    outcome, _ = run(script, file)
    assert outcome.asked == {"ok": 2, "failed": 1} and tries["anna"] == 2
    outcome, table = run(script, file)
    assert outcome.asked == {"ok": 1} and table["source"].to_list() == ["generator"] * 3


@pytest.mark.parametrize("limit", range(8))
def test_stopped_anywhere_the_same_is_asked_and_written_in_the_end(limit: int, file: Path, tmp_path: Path) -> None:
    def script(prompt: Prompt) -> str:
        bad = prompt.instruction.user.user_id != "bob"
        return "Watch Interstellar." if bad else named(prompt)

    with suppress(KeyboardInterrupt):
        explain(questions(Counting(limit=limit, script=script), top=1), file, verifier=verifier(again=1))
    explain(questions(Counting(script=script), top=1), file, verifier=verifier(again=1))
    whole = tmp_path / "whole.jsonl"
    explain(questions(Counting(script=script), top=1), whole, verifier=verifier(again=1))
    tables = [read_explanations(one, RECOMMENDATIONS.filter(rank=1)) for one in (file, whole)]
    assert tables[0].equals(tables[1])
    counts = [sum(row["status"] == "rejected" for row in read_ledger(one)) for one in (file, whole)]
    assert counts[0] == counts[1] == 4, "nothing was asked once more than allowed"


def each_byte_a_token(prompt: Prompt) -> Answer:
    """An answer that may never be sent, from a model that reads as many tokens as any could, and writes ten."""
    read = sum(len(message.content.encode()) + 16 for message in prompt.messages)
    return Answer(prompt.key, "Watch Interstellar.", "ok", read, 10)


@pytest.mark.parametrize("counted", [True, False])
@given(limit=st.floats(1_000, 20_000))
@settings(max_examples=30, deadline=None)
def test_what_is_asked_again_is_paid_within_the_limit(limit: float, counted: bool) -> None:
    """At 1 USD a token, costs are bytes. What is asked again is longer: it tells what was wrong."""
    import tempfile

    read: list[int] = []

    def script(prompt: Prompt) -> Answer:
        answer = each_byte_a_token(prompt)
        read.append(answer.input_tokens or 0)
        return answer if counted else Answer(prompt.key, answer.text)

    with tempfile.TemporaryDirectory() as folder:
        outcome = explain(
            questions(Counting(script=script), top=1),
            Path(folder, "scripted.jsonl"),
            price=Price(1_000_000.0, 1_000_000.0),
            max_tokens=10,
            max_cost=limit,
            verifier=verifier(again=5),
        )
        kept = sum(row["cost"] for row in read_ledger(Path(folder, "scripted.jsonl")))
    assert outcome.cost == kept == sum(read) + 10 * len(read) <= limit
    assert outcome.out_of_money == (len(read) < 18)


words = st.sampled_from(
    ["Heat", "Fargo", "Bambi", "The Usual Suspects", "Interstellar", "crime", "drama", "you", "like", "34", "woman"]
)


@given(st.lists(st.tuples(words, st.booleans()), max_size=14))
@settings(max_examples=150, deadline=None)
def test_no_unsupported_title_is_ever_sent(drawn: list[tuple[str, bool]]) -> None:
    """Whatever the generator says: Interstellar is in no catalogue, and bob was not shown Bambi."""
    import tempfile

    text = " ".join(f'"{word}"' if quoted else word for word, quoted in drawn)
    with tempfile.TemporaryDirectory() as folder:
        _, table = run(lambda prompt: text, Path(folder, "scripted.jsonl"), again=0)
    for sent, title in zip(table["text"], ("The Usual Suspects", "Fargo", "Heat"), strict=True):
        assert "Interstellar" not in sent and title in sent
    assert "Bambi" not in table["text"][1]


def test_unverified_answers_say_nothing_of_who_wrote_them(file: Path) -> None:
    explain(questions(Counting(script=about)), file)
    assert read_explanations(file, RECOMMENDATIONS)["source"].null_count() == 6
