"""What the embedded model learned from: every sentence keeps the rules, and the shipped model knows all its words."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest
from training.embedded.corpus import Pattern, example, patterns, read

from llmxrec.generators.embedded import slots
from llmxrec.generators.embedded.decoding import Writer
from llmxrec.generators.embedded.generator import MODEL
from llmxrec.generators.embedded.realise import realise

MOVES = ("bare", "cause", "close", "count", "more", "novelty", "own", "plain", "profile", "property", "recent", "taste")


def test_choices_are_drawn() -> None:
    pattern = Pattern("", read("a (b|c (d|))e."))
    drawn = {" ".join(pattern.draw(random.Random(seed))) for seed in range(40)}
    assert drawn == {"a be .", "a c de .", "a c e ."}


@pytest.mark.parametrize("text", ["a (b", "a b)", "a | b"])
def test_brackets_match(text: str) -> None:
    with pytest.raises(ValueError, match="brackets match"):
        read(text)


def test_several_hundred_patterns_whose_sentences_keep_the_rules() -> None:
    plan, _ = example(random.Random(0))
    plan = replace(plan, favourite=True, newest=True)
    known = {*Writer.load(MODEL).vocabulary}
    draw = random.Random(1)
    assert sum(len(patterns(move)) for move in MOVES) > 250
    for move in MOVES:
        for pattern in patterns(move):
            for _ in range(5):
                tokens = pattern.draw(draw)
                assert tokens[-1] in slots.SENTENCE_ENDS, pattern.text
                assert {*tokens} <= known, "the model was trained on other patterns: train it again"
                sentence: list[str] = []
                for token in tokens:
                    assert slots.may_follow(token, sentence, plan), (pattern.text, token)
                    sentence = [] if token in slots.SENTENCE_ENDS else [*sentence, token]


def test_every_text_is_one_that_may_be_written() -> None:
    draw = random.Random(2)
    texts = [example(draw) for _ in range(300)]
    for plan, tokens in texts:
        assert slots.obeys(tokens, plan), realise(tokens, plan)
        assert len(slots.read_plan(plan, 1)) == slots.READ
    assert len({" ".join(tokens) for _, tokens in texts}) > 280
    again = random.Random(2)
    assert texts[:5] == [example(again) for _ in range(5)], "seeded"
