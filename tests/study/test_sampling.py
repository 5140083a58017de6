"""Which recommendations a study is about."""

from __future__ import annotations

from dataclasses import replace

import pytest
from tests.study.small import FILMS, design, instruction

from llmxrec.errors import InputError
from llmxrec.evaluation.material import Answers, Part, Question
from llmxrec.records import Explanation, Status
from llmxrec.study.creating import check_fits
from llmxrec.study.design import StudyDesign
from llmxrec.study.sampling import sample


def explained(generator: str, number: int, status: Status = "ok") -> Explanation:
    return Explanation(
        "bpr", generator, f"u{number}", f"i{number}", 1, f"{generator}, Film {number} of {number}", status, "digest", 1
    )


def part(people: int = 10, *, broken: int = 0) -> Part:
    """People 0, 1, ... with one recommendation each, explained by A, B and C; B could not explain the first few."""
    return Part(
        name="w",
        domain=FILMS,
        items=(),
        questions={"bpr": {(f"u{n}", f"i{n}"): Question(instruction(n)) for n in range(people)}},
        recommended={"bpr": {(f"u{n}", f"i{n}"): 1 for n in range(people)}},
        answers=[
            Answers(
                "bpr",
                name,
                [explained(name, n, "refused" if name == "B" and n < broken else "ok") for n in range(people)],
            )
            for name in ("A", "B", "C")
        ],
    )


def numbers(of: StudyDesign, whole: Part, **more: list[str]) -> list[int]:
    return [int(row.instruction.user.user_id[1:]) for row in sample(whole, of, **more).rows if not row.self_only]


def test_rows_are_those_that_all_generators_explained() -> None:
    of = design(rows=6, gold=0)
    assert sorted(numbers(of, part(broken=4))) == [4, 5, 6, 7, 8, 9]
    with pytest.raises(InputError, match="7 recommendations are explained by A, B"):
        sample(part(broken=4), design(rows=7))
    # A and C explained them all.
    assert len(numbers(design(rows=10, generators=("A", "C")), part(broken=4))) == 10
    texts = sample(part(), of).rows[0].texts
    assert set(texts) == {"A", "B"} and all(text.startswith(name) for name, text in texts.items())


def test_the_sample_is_the_seeds() -> None:
    whole = part(40)
    draws = {tuple(numbers(design(rows=5, seed=seed), whole)) for seed in range(20)}
    assert len(draws) == 20
    assert numbers(design(rows=5, seed=3), whole) == numbers(design(rows=5, seed=3), whole)


def test_each_person_comes_once_before_any_comes_twice() -> None:
    whole = part(4)
    twice = {("u0", f"j{n}"): Question(instruction(0)) for n in range(5)}
    more = {name: [replace(explained(name, 0), item_id=item) for _, item in twice] for name in "AB"}
    both = replace(
        whole,
        questions={"bpr": {**whole.questions["bpr"], **twice}},
        recommended={"bpr": {**whole.recommended["bpr"], **dict.fromkeys(twice, 2)}},
        answers=[replace(one, rows=[*one.rows, *more.get(one.generator, [])]) for one in whole.answers],
    )
    for seed in range(10):
        assert sorted(numbers(design(rows=4, seed=seed), both)) == [0, 1, 2, 3]


def test_self_raters_have_rows_of_their_own_and_who_taught_a_generator_has_none() -> None:
    of = design(rows=5)
    material = sample(part(), of, self_raters=["u3"], left_out=["u1", "u2"])
    own = [row.instruction.user.user_id for row in material.rows if row.self_only]
    shared = {row.instruction.user.user_id for row in material.rows if not row.self_only}
    assert own == ["u3"] and len(shared) == 5 and not shared & {"u1", "u2", "u3"}
    check_fits(of, material)
    with pytest.raises(InputError, match="a self-rater has recommendations"):
        sample(part(), of, self_raters=["u99"])


@pytest.mark.parametrize("mode", ["rate", "compare", "both"])
def test_gold_tasks_explain_another_item(mode: str) -> None:
    of = design(rows=4, gold=3, mode=mode)
    material = sample(part(20), of)
    check_fits(of, material)
    rated = {row.instruction.user.user_id for row in material.rows}
    assert len(material.gold) == 9
    for gold in material.gold:
        number = gold.instruction.candidate.item_id[1:]
        own = [text.endswith(f" of {number}") for text in gold.texts]
        if gold.winner is None:
            assert own == [False] and gold.expected == {"reasonability": (1, 5)}
        else:
            assert own == [True, False] and gold.winner == "first"
        assert gold.instruction.user.user_id not in rated
    kinds = {gold.winner for gold in material.gold}
    assert kinds == {"rate": {None}, "compare": {"first"}, "both": {None, "first"}}[mode]


def test_gold_needs_two_items() -> None:
    with pytest.raises(InputError, match="explanations that name the item, of different items"):
        sample(part(1), design(rows=1, gold=1))
    # Texts that name nothing may be as true of another item.
    whole = part(10)
    vague = [
        replace(
            one,
            rows=[
                replace(row, text="Prefilm 1, film 2, Film 33: you will like this, as any other.") for row in one.rows
            ],
        )
        for one in whole.answers
    ]
    with pytest.raises(InputError, match="explanations that name the item"):
        sample(replace(whole, answers=vague), design(rows=4, gold=1))
