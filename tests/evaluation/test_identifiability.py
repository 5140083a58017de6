"""Whose a text is: worlds in which it is certain, in which nobody can know, and the arithmetic in view."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.worlds import BAMBI, FARGO, HEAT, MOVIES, SUSPECTS

from llmxrec.errors import InputError
from llmxrec.evaluation.identifiability import (
    ALL,
    Identified,
    Told,
    attributed_to_others,
    identify,
    most_popular,
    popular_sentence,
)
from llmxrec.evaluation.resemblance import FEATURES, Crowd, Person, Said, Stranger, fit
from llmxrec.evidence.claims import ClaimReader
from llmxrec.records import Item

NEW = Item("new", "Up", {"genres": ("Animation",)})


def film(name: str) -> Item:
    return Item(name, f"Film {name}")


def strangers(count: int, own: int = 3) -> Crowd:
    """People who each had some films that nobody else had, and one that all had."""
    return Crowd({f"u{n}": Person([film(f"{n}-{k}") for k in range(own)] + [film("of all")]) for n in range(count)})


def told(user: str, *titles: str, **more: frozenset[tuple[str, str]]) -> Told:
    return Told(user, "new", Said(NEW, frozenset(title.casefold() for title in titles), **more))


def whole(found: Sequence[Identified]) -> Identified:
    return next(one for one in found if one.by == ALL)


def test_unique_titles_tell_everybody() -> None:
    crowd = strangers(120)
    texts = [told(f"u{n}", f"Film {n}-0", f"Film {n}-2") for n in range(120)]
    found = {one.by: one for one in identify(texts, crowd, "x")}
    assert found[ALL].recall == (1.0, 1.0, 1.0) and (found[ALL].rows, found[ALL].among) == (120, 100)
    assert tuple(found[ALL].bits) == pytest.approx((math.log2(100),) * 3, abs=0.05)
    assert found["titles"].bits.value > 6.5
    assert found["attributes"].bits.value == found["profile"].bits.value == pytest.approx(0)


def test_texts_that_say_nothing_or_the_same_of_everybody_tell_nothing() -> None:
    crowd = strangers(120)
    for titles in ((), ("Film of all",), ("A film that nobody had",)):
        found = whole(identify([told(f"u{n}", *titles) for n in range(120)], crowd, "x"))
        assert found.recall == pytest.approx((0.01, 0.01, 0.01)) and found.bits == pytest.approx((0, 0, 0), abs=1e-9)


def test_attributed_to_others_the_same_texts_tell_nothing() -> None:
    """A reader who is told who it is about, or is shown that person's titles first, is found out here."""
    crowd = strangers(600)
    texts = [told(f"u{n}", f"Film {n}-0") for n in range(600)]
    shuffled = attributed_to_others(texts, crowd.people)
    assert sorted(text.user_id for text in shuffled) == sorted(crowd.people)
    assert all(text.user_id != text.of for text in shuffled)
    found = whole(identify(shuffled, crowd, "x"))
    assert found.recall.value == pytest.approx(0.01) and found.bits.high < 0.01
    assert found.bits.value == pytest.approx(0, abs=0.05)


def test_whom_it_is_about_is_not_among_those_it_is_attributed_to() -> None:
    """Or the reader would find them, and nobody by chance."""
    crowd = strangers(3)
    texts = [told(f"u{n}", f"Film {n}-0") for n in range(3)]
    found = whole(identify(attributed_to_others(texts, crowd.people), crowd, "x"))
    assert found.among == 2 and found.recall.value == pytest.approx(0.5)
    (alone,) = attributed_to_others(texts[:1], crowd.people)
    assert alone.of == "u0" and alone.user_id in ("u1", "u2")


def test_who_comes_first_together_shares_it() -> None:
    twins = {f"{n}{twin}": Person([film(str(n))]) for n in range(10) for twin in "ab"}
    found = whole(identify([told(user, f"Film {user[:-1]}") for user in twins], Crowd(twins), "x"))
    assert found.recall.value == pytest.approx(0.5)
    assert math.log2(20) - 1.2 < found.bits.value <= math.log2(20) - 1


def test_weights_are_not_learned_from_those_who_are_measured() -> None:
    """Of a dozen texts that name titles at random, one can learn by heart which sign of the evidence is right."""
    bits = []
    for seed in range(20):
        draw = random.Random(seed)
        films = [film(str(n)) for n in range(12)]
        crowd = Crowd({f"u{n}": Person(draw.sample(films, 6)) for n in range(12)})
        texts = [told(f"u{n}", *(one.title for one in draw.sample(films, 3))) for n in range(12)]
        bits.append(whole(identify(texts, crowd, "x", seed=seed)).bits.value)
    assert np.mean(bits) < 0


def test_the_evidence_by_hand() -> None:
    """Six items in all: Heat and Fargo twice. Anna had three of them, Bob two, Cleo one."""
    crowd = Crowd(
        {
            "anna": Person([HEAT, FARGO, BAMBI], {"gender": "female", "age": "34"}),
            "bob": Person([HEAT, FARGO], {"gender": "male"}),
            "cleo": Person([SUSPECTS]),
        }
    )
    said = Said(
        NEW,
        titles=frozenset({"heat", "the usual suspects"}),
        attributes=frozenset({("genres", "crime"), ("genres", "animation")}),
        profile=frozenset({("gender", "female")}),
    )
    anna, bob, cleo = crowd.evidence(said, ["anna", "bob", "cleo"])
    assert dict(zip(FEATURES[:2], anna, strict=False)) == {
        "titles they had": pytest.approx(math.log((1 / 3) / (2 / 6))),
        "titles they did not have": -1,
    }
    assert bob[:2] == pytest.approx([math.log((1 / 2) / (2 / 6)), -1])
    assert cleo[:2] == pytest.approx([math.log((1 / 1) / (1 / 6)), -1])
    crime, animation = 5.5 / 7, 1.5 / 7  # 5 of 6 items are crime films, 1 is animated; a half and one more
    assert anna[2:4] == pytest.approx(
        [math.log((2 + 5 * crime) / (3 + 5) / crime), math.log((1 + 5 * animation) / (3 + 5) / animation)]
    )
    assert bob[2] == pytest.approx(math.log((2 + 5 * crime) / (2 + 5) / crime))
    assert (anna[4], bob[4], cleo[4]) == pytest.approx((math.log(0.9 / (1 / 3)), math.log(0.1), 0))


def test_the_candidate_is_nobodys() -> None:
    """Some people had what is recommended to others: naming it, or its kind, tells nothing of anyone."""
    had = {f"u{n}": Person([BAMBI, *([NEW] if n % 2 else [])]) for n in range(20)}
    crowd = Crowd(had)
    reader = Stranger(ClaimReader([BAMBI, NEW], MOVIES), [BAMBI, NEW])
    said = reader.read('"Up" is an animation film for you.', NEW)
    assert said.titles == frozenset() and said.attributes == {("genres", "animation")}
    evidence = crowd.evidence(said, list(had))
    assert np.ptp(evidence, axis=0) == pytest.approx(0)


def test_texts_are_read_without_knowing_whose_they_are() -> None:
    films = [HEAT, FARGO, BAMBI, SUSPECTS]
    reader = Stranger(ClaimReader(films, MOVIES, {"occupation": ["engineer", "writer"]}), films)
    said = reader.read('As an engineer who liked "Fargo", you may enjoy "Heat" and its crime plot.', HEAT)
    assert said.titles == {"fargo"} and ("genres", "crime") in said.attributes
    assert said.profile == {("occupation", "engineer")}


def test_what_cannot_be_read_is_counted_and_not_measured() -> None:
    texts = [told("u0", "Film 0-0"), Told("u1", "new", None), Told("u2", "new", None)]
    found = whole(identify(texts, strangers(5), "x"))
    assert (found.rows, found.unread, found.among) == (1, 2, 5) and found.recall.value == 1
    none = whole(identify([Told("u1", "new", None)], strangers(5), "x"))
    assert (none.rows, none.unread) == (0, 1) and math.isnan(none.recall.value) and math.isnan(none.bits.low)
    with pytest.raises(InputError, match="among two or more; found 1"):
        identify([told("u0")], strangers(1), "x")


@settings(max_examples=10)
@given(st.permutations(range(12)))
def test_the_order_of_texts_and_people_changes_nothing(order: Sequence[int]) -> None:
    texts = [told(f"u{n}", f"Film {n % 5}-0") for n in range(12)]
    people = strangers(12).people
    found = identify(texts, Crowd(people), "x", among=5)
    moved = Crowd({user: people[user] for user in sorted(people, key=lambda user: order[int(user[1:])])})
    again = identify([texts[n] for n in order], moved, "x", among=5)
    for one, other in zip(found, again, strict=True):
        assert (one.recall.value, one.bits.value) == pytest.approx((other.recall.value, other.bits.value))


def test_weights_are_those_of_a_conditional_logit() -> None:
    """At the best weights, nothing near is better."""
    draw = np.random.default_rng(1)
    evidence = draw.normal(size=(50, 8, 2))
    evidence[:, 0, 0] += 1.0

    def height(weights: Sequence[float]) -> float:
        scores = evidence @ np.array(weights)
        logs = scores[:, 0] - np.log(np.exp(scores).sum(axis=1))
        return float(logs.sum() - 0.5 * np.square(np.array(weights) - 1).sum())

    best = fit(evidence)
    assert best[0] > 0.5 > abs(best[1])
    for step in ((0.01, 0), (-0.01, 0), (0, 0.01), (0, -0.01)):
        assert height(best) > height(best + step)
    assert fit(np.zeros((0, 3, 2))) == pytest.approx([1, 1])


def test_what_everybody_knows_is_named() -> None:
    popular = most_popular({"a": [HEAT, FARGO], "b": [FARGO, HEAT, BAMBI, BAMBI], "c": [FARGO]})
    assert [item.title for item in popular] == ["Fargo", "Heat", "Bambi"]
    assert popular_sentence(HEAT, popular, MOVIES) == (
        'Like "Fargo" and "Bambi", which you watched, "Heat" is listed under Action, Crime.'
    )
    assert popular_sentence(Item("x", "X"), popular, MOVIES).endswith('which you watched, "X" may be for you.')
    assert popular_sentence(Item("x", "X"), [], MOVIES) == '"X" may be for you.'


def test_any_title_may_be_meant_but_one_that_is_a_value() -> None:
    """A game is called "Free to Play", and a thousand are; a part of a title means it where anybody had it."""
    free = Item("free", "Free to Play", {"genres": ("Documentary",)})
    heroes = Item("heroes", "Heroes of Order: Nightfall", {"genres": ("Free to Play",)})
    reader = Stranger(ClaimReader([free, heroes, NEW], MOVIES), [free, heroes])
    assert reader.read('Like "Nightfall", "Up" is listed under Free to Play.', NEW).titles == {heroes.title.casefold()}
