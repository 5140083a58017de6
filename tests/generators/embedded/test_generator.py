"""The generator as users have it."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest
from hypothesis import given, settings
from tests.worlds import ANNA, BAMBI, FARGO, HEAT, MOVIES, SUSPECTS, instructions

from llmxrec.datasets.domains import load_domain
from llmxrec.evidence.plan import Plan, make_plan
from llmxrec.generators.embedded import slots
from llmxrec.generators.embedded.generator import EmbeddedGenerator, finished, plain
from llmxrec.generators.embedded.realise import quoted, realise
from llmxrec.generators.specs import GenerationSettings, make_generator
from llmxrec.records import Domain, Instruction, Item, Prompt, User
from llmxrec.testing.generators import GeneratorConformance


class TestEmbedded(GeneratorConformance):
    def make(self) -> EmbeddedGenerator:
        return EmbeddedGenerator()


class TestGreedy(GeneratorConformance):
    def make(self) -> EmbeddedGenerator:
        return EmbeddedGenerator(GenerationSettings(temperature=0.0))


GENERATOR = EmbeddedGenerator()


def why(*history: Item, candidate: Item = SUSPECTS, domain: Domain = MOVIES, **more: int) -> str:
    prompt = Prompt("k", Instruction("explain", ANNA, history, candidate), domain, (), **more)
    (answer,) = GENERATOR.generate([prompt])
    assert answer.status == "ok"
    return answer.text


def test_it_says_who_shares_what() -> None:
    texts = {why(HEAT, FARGO, BAMBI, seed=seed) for seed in range(40)}
    assert len(texts) >= 38, "no two people read the same"
    for text in texts:
        assert '"The Usual Suspects"' in text and ('"Heat"' in text or '"Fargo"' in text) and "crime" in text
        assert "Bambi" not in text and "animation" not in text
        assert text.endswith((".", "!", "?"))


def test_the_greedy_and_the_drawn() -> None:
    drawn = [make_generator("embedded", GenerationSettings(seed=s)) for s in (1, 1, 2)]
    prompt = Prompt("k", Instruction("explain", ANNA, (HEAT,), SUSPECTS), MOVIES, (), seed=5)
    first, same, other = ([a.text for a in generator.generate([prompt])] for generator in drawn)
    assert first == same and first != other
    greedy = make_generator("embedded", GenerationSettings(temperature=0.0, seed=9))
    assert len({a.text for n in range(4) for a in greedy.generate([replace(prompt, seed=0, key=str(n))])}) == 1


@pytest.mark.parametrize("words", [20, 40, 75])
def test_it_keeps_to_the_length_asked_for(words: int) -> None:
    assert all(len(why(HEAT, FARGO, seed=seed, max_words=words).split()) <= words for seed in range(30))


def test_any_catalogue_will_do() -> None:
    books = Domain("books", "book", "book", "books", "read", "read", {"author": "author", "genre": "genre"}, {})
    emma = Item("1", "Emma", {"author": ("Jane Austen",), "genre": ("Romance",)})
    persuasion = Item("2", "Persuasion", {"author": ("Jane Austen",), "genre": ("Classics",)})
    text = why(emma, candidate=persuasion, domain=books)
    assert "the author Jane Austen" in text[0].lower() + text[1:] and '"Emma"' in text
    assert "film" not in text and "watched" not in text
    assert '"Doom"' in why(candidate=Item("3", "Doom", {}), domain=load_domain("games"))


def test_untuned_it_predicts_nothing() -> None:
    prompt = Prompt("k", Instruction("predict", ANNA, (HEAT,), SUSPECTS, ("age",)), MOVIES, ())
    (answer,) = GENERATOR.generate([prompt])
    assert (answer.status, answer.text) == ("empty", "") and "not tuned to predict age" in str(answer.detail)


def test_no_more_words_than_tokens_allowed() -> None:
    brief = EmbeddedGenerator(GenerationSettings(max_tokens=12))
    prompts = [Prompt("k", Instruction("explain", ANNA, (HEAT,), SUSPECTS), MOVIES, (), seed=s) for s in range(20)]
    assert all(len(answer.text.split()) <= 12 for answer in brief.generate(prompts))


def test_what_the_model_did_not_end_is_cut_and_what_breaks_a_rule_is_replaced() -> None:
    plan = make_plan(Instruction("explain", ANNA, (HEAT,), SUSPECTS), MOVIES)
    good = slots.tokens_of("like {h1}, {cand} is a {A} {item}.")
    assert finished([*good, *slots.tokens_of("and then")], plan, 75) == list(good)
    assert finished(slots.tokens_of("unlike {h1}, {cand} is {A}."), plan, 75) == []
    assert finished([*good, *good], plan, 75) == list(good)
    for bare in (plan, Plan(MOVIES, SUSPECTS), Plan(MOVIES, SUSPECTS, cited=(HEAT,), properties=(("a", "b"),))):
        assert slots.obeys(plain(bare), bare)


@settings(max_examples=60, deadline=None)
@given(instructions())
def test_whatever_the_catalogue_holds_titles_and_facts_are_its_own(instruction: Instruction) -> None:
    if instruction.task != "explain":
        return
    (answer,) = GENERATOR.generate([Prompt("k", instruction, MOVIES, ())])
    assert answer.status == "ok" and quoted(instruction.candidate) in answer.text
    known = {quoted(item) for item in (*instruction.history, instruction.candidate)}
    facts = {
        value for item in (*instruction.history, instruction.candidate) for v in item.attributes.values() for value in v
    }
    if not any('"' in fact for fact in facts):
        assert set(re.findall(r'"[^"]*"', answer.text)) <= known
    assert not re.search(r"<[a-z0-9-]+>|\{(?:cand|h\d|item)\}", answer.text) or any(
        sign in one.title for one in (*instruction.history, instruction.candidate) for sign in "{<"
    )


def test_a_plan_of_an_empty_person() -> None:
    plan = make_plan(Instruction("explain", User(""), (), Item("", "")), MOVIES)
    assert realise(plain(plan), plan) == '"untitled" is recommended to you.'
