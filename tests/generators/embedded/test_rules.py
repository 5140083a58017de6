"""Nothing false can be said, whatever the model would like to say: texts of random words are read back and checked."""

from __future__ import annotations

import re

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.worlds import MOVIES

from llmxrec.evidence.plan import Plan, make_plan
from llmxrec.generators.embedded import slots
from llmxrec.generators.embedded.decoding import LONGEST, _Line, _Rules
from llmxrec.generators.embedded.generator import finished, plain
from llmxrec.generators.embedded.realise import realise
from llmxrec.records import Instruction, Item, User

WORDS = ["film", "and", "both", "like", "is", "of", "three"]
VOCABULARY = [
    *slots.MARKS, *slots.SLOTS, *slots.SENTENCE_ENDS, ",", ":", ";",
    *sorted(slots.HABIT | slots.NOVELTY | slots.CONTRAST | slots.RECENCY), *WORDS,
]  # fmt: skip
GENRES = ["zorbic", "quellish", "vantine", "ombral", "pexine"]
"""Words that stand for nothing else, so that they can be found in a text."""
RULES = _Rules(VOCABULARY)

genres = st.lists(st.sampled_from(GENRES), unique=True).map(tuple)


@st.composite
def instructions(draw: st.DrawFn) -> Instruction:
    films = [Item(f"{n}", f"Film {n}", {"genres": draw(genres)}) for n in range(draw(st.integers(0, 12)))]
    return Instruction("explain", User("u"), tuple(films), Item("c", "The New", {"genres": draw(genres)}))


def babble(plan: Plan, seed: int) -> list[str]:
    """Any tokens that are allowed, slots more often than words."""
    draw = np.random.default_rng(seed)
    line = _Line(RULES, plan, 75)
    weights = np.array([6.0 if t in slots.SLOTS else 3.0 if t in slots.SENTENCE_ENDS else 1.0 for t in VOCABULARY])
    for _ in range(LONGEST):
        shares = weights * line.allowed
        assert shares.sum() > 0, "something is always allowed"
        line.add(int(draw.choice(len(VOCABULARY), p=shares / shares.sum())))
        if line.ended:
            break
    return [VOCABULARY[token] for token in line.tokens]


@settings(max_examples=400)
@given(instructions(), st.integers(0, 2**32), st.lists(st.integers(0, 11), max_size=2, unique=True))
def test_every_relation_in_any_text_is_true(instruction: Instruction, seed: int, causes: list[int]) -> None:
    plan = make_plan(instruction, MOVIES, causes=[str(n) for n in causes])
    tokens = finished(babble(plan, seed), plan, 75) or plain(plan)
    text = realise(tokens, plan)
    assert not re.search(r"[{}<>]", text), "no slot and no mark is left"
    assert '"The New"' in text and len(text.split()) <= 75
    films = {item.title: item for item in (*instruction.history, instruction.candidate)}
    has = {title: set(item.attributes["genres"]) for title, item in films.items()}
    first = next((n for n in range(len(instruction.history)) if n not in causes), len(instruction.history))
    newest = [item.title for item in reversed(instruction.history[first:])]  # causes may be older than all others
    often = {g: sum(g in has[title] for title in newest) for g in GENRES}
    every = {g: sum(g in has[item.title] for item in instruction.history) for g in GENRES}
    for sentence in re.split(r"(?<=[.!?]) ", text):
        named = re.findall(r'"([^"]+)"', sentence)
        assert set(named) <= set(films), "no title is invented"
        said = [g for g in GENRES if re.search(rf"\b{g}\b", sentence, re.IGNORECASE)]
        cited = [title for title in named if title != "The New"]
        words = set(re.sub(r'"[^"]+"', "", sentence).lower().replace(".", " ").replace(",", " ").split())
        assert all(g in has[title] for g in said for title in named), f"every pairing is true: {sentence}"
        assert not (said and named and words & slots.CONTRAST), sentence
        for g in said:
            if g not in has["The New"]:  # a taste
                assert 2 * often[g] >= len(newest) and often[g] == max(often.values()), sentence
        if words & slots.NOVELTY and said and said[0] in has["The New"]:
            assert not any(every[g] for g in said) and len(instruction.history) >= 3, sentence
        if words & slots.HABIT and cited and plan.cited:
            top = max(often, key=lambda g: often[g])
            assert top in has["The New"] and 2 * often[top] >= len(newest), sentence
        if words & slots.RECENCY and cited and not plan.cited:
            latest = [item.title for item in instruction.history[-2:]]
            assert set(cited) <= set(latest), sentence


def test_rules_by_hand() -> None:
    plan = Plan(
        MOVIES, Item("c", "C"), cited=(Item("1", "One"),), labels=("Crime", "War"), count=4, total=9, own="Noir"
    )
    assert slots.obeys(slots.tokens_of("like {h1}, {cand} is a {A} {item}."), plan)
    assert slots.obeys(slots.tokens_of("{h1} is {A}. {cand} is {D}."), plan)
    for wrong in (
        "like {h1}, {cand} is a {D} {item}.",  # own is not shared
        "unlike {h1}, {cand} is {A}.",
        "{h1} is {A}, {cand} is not.",
        "{cand} is {A} and {h1} is {A}.",  # said twice
        "{h1}, {h2} and {cand} are {A}.",  # there is no second
        "{nA} of {total} are {B}, as is {cand}. {h1} is {A}.",  # the count is of the first label
        "{cand} is {A}.",  # who shares it is not said
        "{h1} is {A}.",  # what is recommended is not said
        "you mostly pick {A} {items} like {h1}, and {cand}.",  # four of nine are not most
        "{h1} and {cand} are {A}, a change.",
        "{h1} and {cand} are {A}",  # no end
        "{h1} and {cand} are {A}. <h1>.",
    ):
        assert not slots.obeys(tuple(wrong.split()) if "<" in wrong else slots.tokens_of(wrong), plan), wrong


def test_a_text_ends_before_it_is_too_long() -> None:
    long = Item("c", "word " * 30)
    plan = Plan(MOVIES, long, cited=(Item("1", "word " * 20),), labels=("Crime",))
    line = _Line(RULES, plan, 75)
    for token in slots.tokens_of("like {h1} , {cand} is {A} ."):
        line.add(RULES.number[token])
    assert np.flatnonzero(line.allowed).tolist() == [RULES.end]
