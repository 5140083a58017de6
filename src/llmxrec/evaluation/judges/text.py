"""The judge `text`: a score for each explanation from what can be checked and how it is worded, learned in seconds.

Transparent, order-free by construction, and without a language model: what every other judge has to beat.
"""

from __future__ import annotations

import json
import math
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import combinations, pairwise
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from llmxrec.errors import InputError, MissingExtra
from llmxrec.evaluation.pairs import groups_of
from llmxrec.evidence.mentions import Mention, find_titles
from llmxrec.evidence.plan import labels_of
from llmxrec.evidence.refusals import is_refusal
from llmxrec.generators.cards import list_groups, listed
from llmxrec.records import Case, Domain, Instruction, Item, Pair, Ruling, Winner

Floats = npt.NDArray[np.float64]

_FILE = "text-judge.json"
_FEWEST = 10
"""Pairs with a winner from which anything can be learned."""

# Fixed once, by cross-validation on the pairs that the paper's authors released; all around them is a plateau, accuracy
# changing by less than .005. What can be checked is learned first and goes in by half: more makes a better judge of
# generators that it has never read, and a worse one of those that it has.
_FACTS_STRENGTH, _WORDS_STRENGTH = 0.1, 5.0
"""What the pairs weigh against weights of zero: inverse L2 penalties."""
_FACTS_SHARE = 0.5
_RAREST = 3
"""Texts that have a word or a pair of words, at least."""

_MOST_WORDS = 75
"""The length asked for, where the instruction does not say."""
_LONGEST = 20_000
"""Letters of a text that are read: no explanation is longer, and what answers with a book must not hold up the rest."""

_WORD = re.compile(r"[^\W_]+(?:['’][^\W_]+)*")
_TOKEN = re.compile(r"[^\W_]+|[!?,.]")
_SENTENCE = re.compile(r"[.!?]+[\"”')]*(?:\s+|$)")
_WHOLE = re.compile(r"[.!?…][\"”’')*\s]*$")
_LIMIT = re.compile(
    r"\b(?:within|under|at most|no more than|up to|fewer than|less than) (\d{1,4}) words", re.IGNORECASE
)
_THIRD = re.compile(r"\b(?:the|this) (?:customer|user|viewer|player|reader|client)s?\b|\bhe or she\b|\bhe/she\b")
_YOU = frozenset("you your yours yourself you'll you've you're you'd you’ll you’ve you’re you’d".split())


class TextJudge:
    """Probability that the first is better = sigmoid(score of the first - score of the second).

    The score of a text is linear: in FACTS (what can be checked against the instruction, and its form), and in words
    and pairs of words (tf-idf with sublinear counts, each text of length 1). Both are logistic regressions on
    differences, without intercept, so no place is preferred; the second learns what the first leaves to be explained.
    Nothing is drawn by chance.
    """

    order_free = True

    def __init__(self, model: str = "", *, name: str = "text") -> None:
        """`model` is a folder that `save` wrote; empty: to be trained with `fit`."""
        self.name = name
        self._facts: dict[str, float] = {}
        self._scales: dict[str, float] = {}
        self._words: dict[str, tuple[float, float]] = {}  # each with its idf and its weight
        self.groups: frozenset[str] = frozenset()
        if model:
            self._load(Path(model))

    @property
    def trained(self) -> bool:
        return bool(self._facts)

    def fit(self, pairs: Sequence[Pair]) -> None:
        """Learn from `pairs`; a tie is half a win for each. Raises InputError where there are too few with a winner."""
        decided = sum(pair.winner != "tie" for pair in pairs)
        if decided < _FEWEST:
            raise InputError(f"the judge 'text' learns from {_FEWEST} pairs with a winner or more", value=decided)
        places: dict[tuple[str, str], int] = {}
        texts: list[_Read] = []
        sides = np.empty((len(pairs), 2), dtype=np.int64)
        for row, pair in enumerate(pairs):
            for side, text in enumerate(pair.case.texts):
                key = pair.case.asked, text
                if key not in places:
                    places[key] = len(texts)
                    texts.append(_read(pair.case, text))
                sides[row, side] = places[key]
        wins = np.array([{"first": 1.0, "second": 0.0, "tie": 0.5}[pair.winner] for pair in pairs])
        facts = np.array([list(text.facts.values()) for text in texts])
        scales = facts.std(axis=0)
        scales[scales < 1e-9] = math.inf  # what never differs says nothing
        facts /= scales
        differences = facts[sides[:, 0]] - facts[sides[:, 1]]
        weights = _regress(differences, wins, np.zeros(len(wins)), _FACTS_STRENGTH) * _FACTS_SHARE
        self._scales = dict(zip(FACTS, scales.tolist(), strict=True))
        self._facts = dict(zip(FACTS, (weights / scales).tolist(), strict=True))
        self._words = self._learn_words(texts, sides, wins, differences @ weights)
        self.groups = groups_of(pairs)

    def judge(self, cases: Iterable[Case]) -> Iterator[Ruling]:
        """A ruling for every two texts of each case, the one that stands first in it first."""
        if not self._facts:
            raise InputError("the judge 'text' is trained before it judges", cure="give pairs, or text:FOLDER")
        for case in cases:
            scores = [self._score(_read(case, text)) for text in case.texts]
            for first, second in combinations(range(len(scores)), 2):
                difference = scores[first] - scores[second]
                winner: Winner = "first" if difference > 0 else "second" if difference < 0 else "tie"
                yield Ruling(case.key, first, second, winner, _sigmoid(difference))

    def scores(self, case: Case) -> list[float]:
        """A score for each text of `case`, in log-odds; only their differences mean anything."""
        return [self._score(_read(case, text)) for text in case.texts]

    def heaviest(self, most: int = 20) -> list[tuple[str, float]]:
        """What weighs most, for (above 0) or against a text: a fact, or a word or two in quotation marks.

        In log-odds: of a fact, for each standard deviation among the texts learned from; of words, for a text of
        nothing else.
        """
        weights = {name: weight * self._scales[name] for name, weight in self._facts.items() if weight}
        weights |= {f'"{term}"': weight for term, (_, weight) in self._words.items()}
        return sorted(weights.items(), key=lambda item: -abs(item[1]))[:most]

    def save(self, folder: Path) -> None:
        """Write the judge to `folder`, as JSON that can be read."""
        folder.mkdir(parents=True, exist_ok=True)
        scales = {name: scale if math.isfinite(scale) else 0.0 for name, scale in self._scales.items()}
        held = {"judge": "text", "version": 1, "facts": self._facts, "scales": scales, "words": self._words}
        (folder / _FILE).write_text(json.dumps(held, ensure_ascii=False, allow_nan=False, indent=1), encoding="utf-8")
        list_groups(folder, self.groups)

    def _load(self, folder: Path) -> None:
        file = folder / _FILE
        if not file.is_file():
            raise InputError("the folder holds no trained judge 'text'", file=folder, cure=f"it would hold {_FILE}")
        try:
            held = json.loads(file.read_text(encoding="utf-8"))
            facts = {name: float(held["facts"][name]) for name in FACTS}
            scales = {name: float(held["scales"][name]) for name in FACTS}
            words = {str(term): (float(idf), float(weight)) for term, (idf, weight) in held["words"].items()}
            numbers = [*facts.values(), *scales.values(), *(number for pair in words.values() for number in pair)]
            if held["judge"] != "text" or held["version"] != 1 or not all(map(math.isfinite, numbers)):
                raise ValueError
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            raise InputError("this is no trained judge 'text'", file=file, cure="train and save it again") from None
        self._facts, self._scales, self._words = facts, scales, words
        self.groups = listed(folder, "groups")

    def _learn_words(
        self, texts: Sequence[_Read], sides: npt.NDArray[np.int64], wins: Floats, known: Floats
    ) -> dict[str, tuple[float, float]]:
        """Terms -> idf and weight, beside the log-odds `known` of each pair."""
        try:
            from scipy.sparse import csr_array
        except ImportError:
            raise MissingExtra("training the judge 'text'", "judge") from None
        frequency = Counter(term for text in texts for term in text.terms)
        idf = {
            term: math.log((1 + len(texts)) / (1 + count)) + 1
            for term, count in sorted(frequency.items())
            if count >= _RAREST
        }
        if not idf:
            return {}
        column = {term: place for place, term in enumerate(idf)}
        rows, columns, values = [], [], []
        for row, text in enumerate(texts):
            for term, value in _weighted(text.terms, idf).items():
                rows.append(row)
                columns.append(column[term])
                values.append(value)
        table = csr_array((values, (rows, columns)), shape=(len(texts), len(idf)))
        weights = _regress(table[sides[:, 0]] - table[sides[:, 1]], wins, known, _WORDS_STRENGTH)
        return {term: (idf[term], weight) for term, weight in zip(idf, weights.tolist(), strict=True)}

    def _score(self, text: _Read) -> float:
        facts = sum(weight * text.facts[name] for name, weight in self._facts.items())
        known = {term: self._words[term][0] for term in text.terms if term in self._words}
        return facts + sum(self._words[term][1] * value for term, value in _weighted(text.terms, known).items())


def _weighted(terms: Mapping[str, int], idf: Mapping[str, float]) -> dict[str, float]:
    """The tf-idf of the terms that have one: (1 + log count) idf, divided by their norm."""
    values = {term: (1 + math.log(terms[term])) * idf[term] for term in terms if term in idf}
    norm = math.sqrt(sum(value * value for value in values.values()))
    return {term: value / norm for term, value in values.items()}


def _regress(differences: Any, wins: Floats, known: Floats, strength: float) -> Floats:
    """The weights w that minimise |w|²/2 + strength * (logistic loss of `wins`, each 0 to 1).

    The log-odds of a pair are `known` + `differences` w; shapes (pairs,) and (pairs, weights).
    """
    try:
        from scipy.optimize import minimize
    except ImportError:
        raise MissingExtra("training the judge 'text'", "judge") from None

    def loss(weights: Floats) -> tuple[float, Floats]:
        odds = known + differences @ weights
        misses = 1 / (1 + np.exp(-np.clip(odds, -500, 500))) - wins
        total = (np.logaddexp(0, odds) - wins * odds).sum()
        return 0.5 * weights @ weights + strength * total, weights + strength * (differences.T @ misses)

    found = minimize(loss, np.zeros(differences.shape[1]), jac=True, method="L-BFGS-B", options={"maxiter": 500})
    return np.asarray(found.x, dtype=np.float64)


def _sigmoid(odds: float) -> float:
    return 1 / (1 + math.exp(-odds)) if odds >= 0 else math.exp(odds) / (1 + math.exp(odds))


# --- what is read of a text ---------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Read:
    facts: dict[str, float]
    terms: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class _View:
    """A text as its facts see it. `known` and the lists of labels are empty where the instruction is words only."""

    text: str
    lower: str
    words: list[str]
    sentences: int
    limit: int
    known: bool
    mentions: list[Mention]
    candidate: str
    shared: list[str]
    new: list[str]
    other: list[str]
    profile: list[str]

    def share(self, some: frozenset[str]) -> float:
        return sum(word in some for word in self.words) / max(1, len(self.words))

    def named(self, values: Sequence[str]) -> int:
        return sum(re.search(rf"(?<!\w){re.escape(value)}", self.lower) is not None for value in values)

    def titles(self) -> Counter[str]:
        return Counter(mention.item.title if mention.item else "" for mention in self.mentions)


def _history_titles(view: _View) -> int:
    return len([title for title in view.titles() if title not in ("", view.candidate)])


def _share_of_attributes(view: _View) -> float:
    its = [*view.shared, *view.new]
    return view.named(its) / len(its) if its else 0.0


def _repeated(view: _View) -> float:
    runs = list(zip(view.words, view.words[1:], view.words[2:], strict=False))
    return 1 - len(set(runs)) / len(runs) if runs else 0.0


FACTS: Mapping[str, Callable[[_View], float]] = {
    "words, of those asked for": lambda view: min(5.0, len(view.words) / view.limit),
    "words too many": lambda view: min(5.0, max(0.0, len(view.words) / view.limit - 1)),
    "longer than asked": lambda view: len(view.words) > view.limit,
    "sentences": lambda view: min(20, view.sentences),
    "words a sentence": lambda view: min(100.0, len(view.words) / max(1, view.sentences)),
    "cut off": lambda view: _WHOLE.search(view.text) is None,
    "line breaks": lambda view: min(10, view.text.strip().count("\n")),
    "says you": lambda view: view.share(_YOU),
    "speaks of the customer": lambda view: _THIRD.search(view.lower) is not None,
    "refuses": lambda view: is_refusal(view.text),
    "repeats itself": _repeated,
    "different words": lambda view: len(set(view.words)) / max(1, len(view.words)),
    "names the candidate": lambda view: view.known and view.candidate in view.titles(),
    "names it again": lambda view: min(5, max(0, view.titles()[view.candidate] - 1)),
    "history titles": lambda view: min(5, _history_titles(view)),
    "any history title": lambda view: _history_titles(view) > 0,
    "invented titles": lambda view: min(3, view.titles()[""]),
    "attributes of the candidate": _share_of_attributes,
    "attributes it shares": lambda view: min(6, view.named(view.shared)),
    "attributes new to the history": lambda view: min(6, view.named(view.new)),
    "attributes it lacks": lambda view: min(6, view.named(view.other)),
    "repeats the profile": lambda view: view.named(view.profile),
}
"""What is measured of each text, beyond its words. All are 0 for a text without words; those about titles, attributes
and profile also where the instruction is known as words only."""


@dataclass(frozen=True, slots=True)
class _Question:
    """What a text answers: the same words, and as a record the same."""

    asked: str
    instruction: Instruction | None
    domain: Domain | None

    def __hash__(self) -> int:
        return hash(self.asked)


def _read(case: Case, text: str) -> _Read:
    return _read_once(_Question(case.asked, case.instruction, case.domain), text[:_LONGEST])


@lru_cache(1 << 13)
def _read_once(question: _Question, text: str) -> _Read:
    return _about(question).read(text)


@lru_cache(1 << 8)
def _about(question: _Question) -> _About:
    return _About.of(question.asked, question.instruction, question.domain)


@dataclass(frozen=True)
class _About:
    """What an instruction says, ready to be looked for."""

    limit: int
    candidate: Item | None
    items: list[Item]
    shared: list[str]
    new: list[str]
    other: list[str]
    profile: list[str]

    @classmethod
    def of(cls, asked: str, instruction: Instruction | None, domain: Domain | None) -> _About:
        said = _LIMIT.search(asked)
        limit = max(1, int(said[1])) if said else _MOST_WORDS
        if instruction is None:
            return cls(limit, None, [], [], [], [], [])
        candidate, history = instruction.candidate, instruction.history
        items = {candidate.title: candidate} | {item.title: item for item in history if item.title != candidate.title}
        its = _labels(candidate, domain)
        seen = {label for item in history for label in _labels(item, domain)}
        return cls(
            limit,
            candidate,
            [*items.values()],
            sorted(its & seen),
            sorted(its - seen),
            sorted(seen - its),
            sorted(value.casefold() for value in instruction.user.attributes.values() if value.strip()),
        )

    def read(self, text: str) -> _Read:
        lower = text.casefold()
        words = _WORD.findall(lower)
        mentions: list[Mention] = []
        if self.candidate is not None:
            mentions = find_titles(text, self.items)
        view = _View(
            text,
            lower,
            words,
            sum(bool(part.strip()) for part in _SENTENCE.split(text)),
            self.limit,
            self.candidate is not None,
            mentions,
            self.candidate.title if self.candidate else "",
            self.shared,
            self.new,
            self.other,
            self.profile,
        )
        facts = {name: float(fact(view)) if words else 0.0 for name, fact in FACTS.items()}
        return _Read(facts, Counter(_terms(lower)))


def _terms(text: str) -> list[str]:
    single = _TOKEN.findall(text)
    return single + [f"{a} {b}" for a, b in pairwise(single)]


def _labels(item: Item, domain: Domain | None) -> set[str]:
    if domain is None:
        return {value.casefold() for values in item.attributes.values() for value in values}
    return {label.casefold() for label in labels_of(item, domain)}
