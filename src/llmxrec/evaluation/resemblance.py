"""How well what a text says fits each person whom it may be about: a naive likelihood whose weights are learned."""

from __future__ import annotations

import math
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from llmxrec.evaluation.bootstrap import Floats
from llmxrec.evidence.claims import ClaimReader
from llmxrec.records import Instruction, Item, User

Fact = tuple[str, str]
"""A column and a value of it, in small letters."""

FEATURES = (
    "titles they had",
    "titles they did not have",
    "attributes the candidate does not have",
    "attributes the candidate has",
    "profile",
)
"""What evidence is made of: log likelihood ratios, in nats, to a text about nobody in particular."""

_USUAL_ITEMS = 5.0
"""Items as the whole crowd has them, added to each person's before their shares are counted."""
_MISTAKEN = 0.1
"""Of the facts that a text tells of a person, the part that is taken to be wrong."""
_PULL = 1.0
"""How hard weights are held near 1, where all evidence is taken at its word: as much as a text or two would."""
_STEPS, _ENOUGH = 50, 1e-9

_WORD, _PARTS = re.compile(r"[^\W_]+"), re.compile(r"[:()]| [-–—] ")
_SHORT, _STEM = 4, 5
"""Letters: of a word that may tell a title, and of its beginning, in which forms of it agree."""


@dataclass(frozen=True, slots=True)
class Said:
    """What a text about recommending `candidate` says that may tell whose it is, each once, all in small letters.

    `titles` without the candidate's; `attributes` of items, and `profile` of people, as facts.
    """

    candidate: Item
    titles: frozenset[str] = frozenset()
    attributes: frozenset[Fact] = frozenset()
    profile: frozenset[Fact] = frozenset()


class Stranger:
    """Reads texts as one who does not know whose they are: as if anything that anybody had could have been shown.

    What is found in a text does not depend on whom it may be about, so nobody's titles are looked for harder than
    another's.
    """

    def __init__(self, reader: ClaimReader, items: Iterable[Item]) -> None:
        """`items` are what anybody had."""
        self._reader = reader
        self._parts: list[tuple[Item, int]] = []  # an item, and of how many words a part of its title is
        self._holding: dict[str, list[int]] = defaultdict(list)
        had = {item.title: item for item in items}
        values = {value for item in had.values() for _, value in facts_of(item)}
        for item in had.values():
            if item.title.casefold() in values:
                continue  # a game is called "Free to Play", and thousands are
            for part in {item.title, *_PARTS.split(item.title)}:
                words = _stems(part)
                for word in words:
                    self._holding[word].append(len(self._parts))
                self._parts.append((item, len(words)))

    def read(self, text: str, candidate: Item) -> Said:
        """What `text` about recommending `candidate` says, whomever it is true of."""
        shown = tuple(item for item in self._likely(text) if item.title != candidate.title)
        found: dict[str, set[Fact]] = {"title": set(), "attribute": set(), "profile": set()}
        for claim in self._reader.read(text, Instruction("explain", User(""), shown, candidate)):
            found[claim.kind].add((claim.column, claim.value.casefold()))
        titles = {value for _, value in found["title"]} - {candidate.title.casefold()}
        return Said(candidate, frozenset(titles), frozenset(found["attribute"]), frozenset(found["profile"]))

    def _likely(self, text: str) -> list[Item]:
        """The items that `text` may name, for it has half the words of a part of their titles. Of thousands, a few."""
        said = Counter(part for word in _stems(text) for part in self._holding.get(word, ()))
        likely = (self._parts[part] for part in sorted(said) if 2 * said[part] >= self._parts[part][1])
        return list({item.title: item for item, _ in likely}.values())


def _stems(text: str) -> set[str]:
    """How the words of `text` begin; of short ones only where there are no others."""
    words = [word.casefold() for word in _WORD.findall(text)]
    return {word[:_STEM] for word in words if len(word) >= _SHORT} or set(words)


@dataclass(frozen=True)
class Person:
    """What is known of a person: the items they had, and facts about them."""

    items: Sequence[Item]
    facts: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, instruction: Instruction) -> Person:
        """As a generator was shown them."""
        known = {column: value.casefold() for column, value in instruction.user.attributes.items()}
        return cls(instruction.history, known)

    @cached_property
    def titles(self) -> Counter[str]:
        return Counter(item.title.casefold() for item in self.items)

    @cached_property
    def attributes(self) -> Counter[Fact]:
        return Counter(fact for item in self.items for fact in facts_of(item))


def facts_of(item: Item) -> set[Fact]:
    """The attributes of `item`."""
    return {(column, value.casefold()) for column, values in item.attributes.items() for value in values}


class Crowd:
    """Everybody, by user id, and how common among them is what they had and are."""

    def __init__(self, people: Mapping[str, Person]) -> None:
        self.people = people
        self._titles: Counter[str] = Counter()
        self._attributes: Counter[Fact] = Counter()
        self._facts: Counter[Fact] = Counter()
        for person in people.values():
            self._titles.update(person.titles)
            self._attributes.update(person.attributes)
            self._facts.update(person.facts.items())
        self._slots = max(1, self._titles.total())

    def evidence(self, said: Said, users: Sequence[str]) -> Floats:
        """For each of `users` how well `said` fits them, by FEATURES: (users, features).

        The candidate is no part of anybody's history here: whoever had it would be favoured, or the one whom it is
        recommended to.
        """
        out = np.zeros((len(users), len(FEATURES)))
        own = facts_of(said.candidate)
        usual = {fact: (self._attributes[fact] + 0.5) / (self._slots + 1.0) for fact in said.attributes}
        for row, user in enumerate(users):
            person = self.people[user]
            times = person.titles[said.candidate.title.casefold()]
            had = len(person.items) - times
            for title in said.titles:
                if person.titles[title]:
                    out[row, 0] += math.log(person.titles[title] / had * self._slots / self._titles[title])
                else:
                    out[row, 1] -= 1.0
            for fact in said.attributes:
                mine = person.attributes[fact] - (times if fact in own else 0)
                share = (max(0, mine) + _USUAL_ITEMS * usual[fact]) / (had + _USUAL_ITEMS)
                out[row, 3 if fact in own else 2] += math.log(share / usual[fact])
            out[row, 4] = sum(self._fits(fact, person) for fact in said.profile)
        return out

    def _fits(self, fact: Fact, person: Person) -> float:
        column, value = fact
        known = person.facts.get(column)
        if known is None:
            return 0.0
        if known != value:
            return math.log(_MISTAKEN)
        return math.log((1 - _MISTAKEN) * len(self.people) / self._facts[fact])


def fit(evidence: Floats) -> Floats:
    """The weights of FEATURES with which the first of the people of each text is told best from the others.

    `evidence` has shape (texts, people, features). Made large is the sum of log probabilities (softmax over people)
    less half the squared distance of the weights from 1 times _PULL; it has one maximum, which Newton's steps find.
    """
    weights = np.ones(evidence.shape[-1])
    height = _height(evidence, weights)
    for _ in range(_STEPS):
        shares = np.exp(log_shares(evidence @ weights))
        mean = np.einsum("tp,tpf->tf", shares, evidence)
        centred = evidence - mean[:, None, :]
        slope = (evidence[:, 0] - mean).sum(axis=0) - _PULL * (weights - 1.0)
        curve = np.einsum("tp,tpf,tpg->fg", shares, centred, centred, optimize=True) + _PULL * np.eye(len(weights))
        step = np.linalg.solve(curve, slope)
        while (higher := _height(evidence, weights + step)) < height:
            step = step / 2
            if np.abs(step).max() < _ENOUGH:
                return weights
        weights, gained, height = weights + step, higher - height, higher
        if gained < _ENOUGH * (1 + abs(height)):
            break
    return weights


def log_shares(scores: Floats) -> Floats:
    """The logarithm of the softmax along the last axis."""
    lowered = scores - scores.max(axis=-1, keepdims=True)
    shares: Floats = lowered - np.log(np.exp(lowered).sum(axis=-1, keepdims=True))
    return shares


def _height(evidence: Floats, weights: Floats) -> float:
    told = log_shares(evidence @ weights)[:, 0].sum()
    return float(told - 0.5 * _PULL * np.square(weights - 1.0).sum())
