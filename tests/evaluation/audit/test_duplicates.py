"""Texts said twice, found among many."""

from __future__ import annotations

import random
import time
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st
from tests.evaluation.audit.worlds import by_check, retold, simulated

from llmxrec.evaluation.audit import audit
from llmxrec.evaluation.audit.duplicates import ALIKE, groups
from llmxrec.evaluation.audit.material import Material

LONG = "you will like this film for it has all that you liked in those before and more of it than most have".split()


def test_the_same_and_nearly_the_same() -> None:
    near = [*LONG[:-1], "had"]
    far = [*LONG[:10], *"quite other words stand here in place of those that came".split()]
    texts = [LONG, ["short"], near, far, LONG, ["short"]]
    assert groups(texts, exactly=True) == [[0, 4], [1, 5]]
    assert sorted(map(sorted, groups(texts))) == [[0, 2, 4], [1, 5]]
    assert groups([]) == [] and groups([[], []]) == [[0, 1]]


def runs(words: list[str]) -> set[tuple[str, ...]]:
    return {tuple(words[at : at + 4]) for at in range(len(words) - 3)}


@given(st.lists(st.lists(st.sampled_from("ab"), max_size=14), max_size=12))
def test_groups_are_what_comparing_each_with_each_finds(texts: list[list[str]]) -> None:
    """By hand: each text joins the first before it that no other stands for and that shares enough, if there is one."""
    found = {place: min(group) for group in groups(texts) for place in group}
    for place, words in enumerate(texts):
        if place in found:
            first = texts[min(p for p, head in found.items() if head == found[place])]
            both = runs(words), runs(first)
            assert words == first or len(both[0] & both[1]) >= ALIKE * len(both[0] | both[1])
        else:
            heads = [texts[p] for p in range(len(texts)) if p != place and found.get(p, p) == p]
            assert words not in heads
            for head in heads:
                both = runs(words), runs(head)
                assert not both[0] or len(both[0] & both[1]) < ALIKE * len(both[0] | both[1])


def test_many_texts_take_seconds() -> None:
    draw = random.Random(1)
    words = [f"w{n}" for n in range(300)]
    texts = [draw.choices(words, k=60) for _ in range(10_000)]
    for place in range(1000):
        texts[-1 - place] = [*texts[place][:-1], "changed"]
    start = time.perf_counter()
    found = groups(texts)
    assert time.perf_counter() - start < 30
    assert sum(map(len, found)) == 2000 and all(len(group) == 2 for group in found)


def test_a_text_that_names_the_customers_own_is_theirs() -> None:
    clean = simulated(7)
    first = clean.answers[0].rows[0]
    shown = clean.questions["r"][first.user_id, first.item_id]
    same_rows = {row: replace(shown) for row in clean.questions["r"]}
    part = replace(clean, questions={"r": same_rows})
    own = f'Like "{shown.instruction.history[0].title}", "{shown.instruction.candidate.title}" is a film to see.'
    alike = replace(part.answers[0], rows=[replace(row, item_id=first.item_id) for row in part.answers[0].rows])
    rows = {(row.user_id, row.item_id): shown for row in alike.rows}
    part = replace(part, questions={"r": rows}, recommended={"r": dict.fromkeys(rows, 1)}, answers=[alike])
    assert "duplicates" not in by_check(audit(Material([retold(part, lambda place, row: own)])))
    anybody = f'"{shown.instruction.candidate.title}" is a film to see.'
    found = by_check(audit(Material([retold(part, lambda place, row: anybody)])))["duplicates"]
    assert found.severity == "critical" and found.count == 200 and "0 about different items" in found.figure


def test_a_form_filled_in_is_worth_a_note() -> None:
    clean = simulated(7)

    def tell(place: int, title: str, history: str) -> str:
        return f'You watched "{history}", and whoever did will also like to watch "{title}" on an evening at home.'

    shown = [question.instruction for question in clean.questions["r"].values()]
    told = [tell(place, one.candidate.title, one.history[-1].title) for place, one in enumerate(shown)]
    found = by_check(audit(Material([retold(clean, lambda place, _: told[place])])))
    assert found["template"].severity == "note" and found["template"].count == 200
    assert "1 forms" in found["template"].figure and "duplicates" not in found
