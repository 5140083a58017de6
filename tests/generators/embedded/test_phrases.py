"""Runs of four words, and a model that has lost its grammar and writes in them alone."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from tests.generators.embedded.test_decoding import plans
from training.embedded.corpus import known_phrases as of_the_patterns

from llmxrec.errors import InputError
from llmxrec.generators.embedded import slots
from llmxrec.generators.embedded.decoding import LONGEST, Writer
from llmxrec.generators.embedded.generator import MODEL
from llmxrec.generators.embedded.phrases import known_phrases, phrases_of, read_phrases, write_phrases
from llmxrec.generators.embedded.realise import sentences
from llmxrec.generators.embedded.weights import Weights, load_weights


def test_a_sentence_of_two_words_has_two_phrases() -> None:
    assert phrases_of([["yes", "."]]) == {("<s>", "<s>", "<s>", "yes"), ("<s>", "<s>", "yes", ".")}
    assert len(phrases_of(["abcde", "abcdf", "abcde"])) == 6


def test_they_come_back_from_a_file(tmp_path: Path) -> None:
    phrases = phrases_of([["{cand}", "is", "a", "{A}", "."], ["it's", "so", "!"]])
    assert read_phrases(tmp_path) == set()
    write_phrases(tmp_path, phrases)
    assert read_phrases(tmp_path) == phrases
    (tmp_path / "phrases.txt").write_text("<s> <s> <s> so\nnot four words\n")
    with pytest.raises(InputError, match="line 2: a phrase is four words; found 'not four words'"):
        read_phrases(tmp_path)


def test_the_shipped_ones_are_those_of_the_patterns() -> None:
    assert known_phrases() == of_the_patterns(), "write them anew: python training/embedded/corpus.py --phrases"


def broken(phrases: frozenset[tuple[str, str, str, str]]) -> Weights:
    """The shipped model, its last layer lost in noise."""
    model = load_weights(MODEL)
    draw, name = np.random.default_rng(1), "model.layers.4.mlp.down_proj.weight"
    noise = draw.normal(0, 0.4, model.arrays[name].shape).astype(np.float32)
    return replace(model, arrays={**model.arrays, name: model.arrays[name] + noise}, phrases=phrases)


def test_a_model_keeps_to_its_phrases_however_it_was_tuned() -> None:
    asked, draws = plans(40), np.random.default_rng(2).random((40, LONGEST))
    found = {}
    for phrases in (frozenset(), known_phrases()):
        texts = Writer(broken(phrases)).write(asked, [3] * 40, [75] * 40, draws, temperature=0.4)
        lines = [line for text in texts for line in sentences(text) if line[-1] in slots.SENTENCE_ENDS]
        assert len(lines) > 20
        found[bool(phrases)] = np.mean([bool(phrases_of([line]) - known_phrases()) for line in lines])
    assert found[True] == 0 and found[False] > 0.3, found


def test_where_no_phrase_goes_on_the_sentence_is_left_out() -> None:
    """Of the phrases here one sentence comes to its end; another is begun, and leads nowhere."""
    good = "like {h1} , {cand} is a {A} {item} .".split()
    phrases = frozenset(phrases_of([good]) | {("<s>", "<s>", "<s>", "because"), ("<s>", "<s>", "because", "you")})
    asked, draws = plans(12), np.random.default_rng(3).random((12, LONGEST))
    model = replace(load_weights(MODEL), phrases=phrases)
    texts = Writer(model).write(asked, [1] * 12, [75] * 12, draws, temperature=2.0)
    told = {" ".join(line) for text in texts for line in sentences(text) if line[-1] in slots.SENTENCE_ENDS}
    assert told == {" ".join(good)}
