"""The attributes of the paper's third evaluation (section 3.3, Table 3), and how an answer to them is read.

age           a person's; a number, right within 5 years
gender        a person's
occupation    a person's
category      the candidate's
interest      a category of which the person had something before; learned as the one they had most of
price         the candidate's; an amount or free, right to the cent
popularity    the candidate's, from 1 to 5, by how many had it before: fewer than 50, 100, 150, 200, or more

What is not a number has a closed set of answers: those that the dataset holds. An answer is one of these, or a number,
and nothing else: whatever is not exactly that is unreadable, and not taken for a wrong answer.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl

from llmxrec.datasets.dataset import Dataset, Histories
from llmxrec.errors import InputError
from llmxrec.lookup import closest
from llmxrec.records import Instruction

Floats = npt.NDArray[np.float64]

OF_USER = ("age", "gender", "occupation")
OF_CANDIDATE = ("category", "price", "popularity")
TARGETS = (*OF_USER, "category", "interest", "price", "popularity")

NUMBERS = {"age": ("a number",), "price": ("a number", "free")}
"""Targets without a closed set of answers, and what is said of their answers instead."""
WITHIN = {"age": 5.0}
"""How far from the truth a number is still right; nowhere else is it."""
AGES = tuple(map(str, range(100)))
"""What a person's age may be, where nothing is known of the people."""
LEVELS = (50, 100, 150, 200)
"""The least interactions of an item of popularity 2, 3, 4 and 5."""

_OLDEST = 150
"""Years. Above that, ages are no ages, and nothing is guessed between them."""
_FREE = ("free", "free to play")
_NUMBER = re.compile(r"\d{1,15}(?:\.\d{1,15})?", re.ASCII)
_FENCED = re.compile(r"```(?:json)?[ \t]*\n(.*)\n[ \t]*```", re.DOTALL)
_NEEDS = {
    "age": "users have a column 'age' of numbers",
    "gender": "users have a column 'gender'",
    "occupation": "users have a column 'occupation'",
    "category": "items have a column 'category'",
    "interest": "items have a column 'category'",
    "price": "items have a column 'price' of numbers, or free",
    "popularity": "there are interactions",
}


@dataclass(frozen=True)
class Hidden:
    """Columns that would tell what is to be predicted: of the person, the candidate and the items of the history.

    `values` are those of the candidate that would tell it in whichever column, in small letters.
    """

    user: frozenset[str]
    candidate: frozenset[str]
    history: frozenset[str]
    values: frozenset[str]


def hidden(targets: Iterable[str]) -> Hidden:
    """What may not be shown where `targets` are asked for.

    A column that is called as a target is hidden of the person and the candidate, a subcategory together with its
    category. Interests are what categories the history has, so these are hidden with them. A tag "Free to Play" tells
    a price.
    """
    asked = frozenset(targets)
    category = frozenset({"category", "subcategory"})
    return Hidden(
        user=asked,
        candidate=asked | category if "category" in asked else asked,
        history=category if "interest" in asked else frozenset(),
        values=frozenset(_FREE) if "price" in asked else frozenset(),
    )


@dataclass(frozen=True)
class Targets:
    """What can be asked about a dataset, by name: all that an answer may be, and the truth.

    `answers` has numbers too, though they are no closed set: the ages from the lowest in the data to the highest, and
    the prices in the data.
    """

    answers: Mapping[str, tuple[str, ...]]
    _known: Mapping[str, Mapping[str, str]]  # by name, then by user or item
    _histories: Histories
    _users: Mapping[str, int]
    _items: Mapping[str, int]
    _levels: npt.NDArray[np.int64]

    @classmethod
    def of(cls, dataset: Dataset, histories: Histories) -> Targets:
        """Of `dataset`, with the interactions in `histories`: those that the recommender was trained on."""
        known = {name: _column(dataset.users, "user_id", name) for name in OF_USER}
        known |= {name: _column(dataset.items, "item_id", name) for name in ("category", "price")}
        answers = {name: _answers(name, column.values()) for name, column in known.items() if column}
        if "category" in answers:
            answers["interest"] = answers["category"]
        if len(histories):
            answers["popularity"] = tuple(str(level) for level in range(1, len(LEVELS) + 2))
        return cls(
            answers={name: answers[name] for name in TARGETS if name in answers},
            _known=known,
            _histories=histories,
            _users={user: row for row, user in enumerate(histories.users.to_list())},
            _items={item: row for row, item in enumerate(histories.items.to_list())},
            _levels=1
            + np.searchsorted(LEVELS, np.bincount(histories.item_index, minlength=histories.n_items), "right"),
        )

    def wanted(self, names: Iterable[str] | None = None) -> tuple[str, ...]:
        """`names` in the order of TARGETS; None: all that can be asked. Raises InputError for one that cannot."""
        asked = set(self.answers if names is None else names)
        for name in asked:
            if name not in TARGETS:
                raise closest("target", name, TARGETS)
            if name not in self.answers:
                cure = f"ask for: {', '.join(self.answers)}" if self.answers else ""
                raise InputError(f"'{name}' can be predicted where {_NEEDS[name]}", cure=cure)
        if not asked:
            raise InputError("an attribute to predict is named, or there is one", value="none")
        return tuple(name for name in TARGETS if name in asked)

    def choices(self, names: Iterable[str]) -> dict[str, tuple[str, ...]]:
        """The answers that are allowed to those of `names` that are no numbers."""
        return {name: self.answers[name] for name in names if name not in NUMBERS}

    def truth(self, name: str, user_id: str, item_id: str) -> tuple[str, ...]:
        """The right answers to `name` about recommending `item_id` to `user_id`, the one to learn first; () where none
        is known."""
        if name == "interest":
            row = self._users.get(user_id)
            items = () if row is None else self._histories.items.gather(self._histories.of(row)).to_list()
            category = self._known["category"]
            return tuple(value for value, _ in Counter(category[i] for i in items if i in category).most_common())
        if name == "popularity":
            return (str(self._levels[self._items[item_id]]),)
        known = self._known[name].get(user_id if name in OF_USER else item_id)
        return () if known is None else (known,)

    def to_learn(self, asked: Instruction, name: str) -> str | None:
        """The answer to `name` that is learned from `asked`; None where it is not known."""
        truth = self.truth(name, asked.user.user_id, asked.candidate.item_id)
        return truth[0] if truth else None


def read_answers(text: str, targets: Sequence[str], choices: Mapping[str, tuple[str, ...]]) -> dict[str, str | None]:
    """What `text` answers to each of `targets`; None where that cannot be read.

    `text` is one JSON object, by itself, in a fenced block or with words around it; a text with two says nothing. Its
    keys are compared as answers are (see `read_answer`).
    """
    found = {" ".join(str(key).split()).casefold(): value for key, value in _object(text).items()}
    return {name: read_answer(name, found.get(name.casefold()), choices.get(name, ())) for name in targets}


def read_answer(name: str, value: object, choices: Sequence[str]) -> str | None:
    """`value`, text or a JSON number, as an answer to `name`; None where it is none.

    Of `choices` it is one that is the same but for case and the space around it. Where there are none it is a number,
    digits with a decimal point if need be ("24", "24.0"), or for a price a word that means free.

    >>> [read_answer("age", value, ()) for value in ("24", 24.0, "about 24", "24-30")]
    ['24', '24', None, None]
    >>> [read_answer("price", value, ()) for value in ("Free to Play", 0, "4.5", "$4.50")]
    ['free', 'free', '4.50', None]
    """
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return None
    text = str(value).strip()
    if choices:
        return next((choice for choice in choices if choice.casefold() == text.casefold()), None)
    if name == "price" and " ".join(text.split()).casefold() in _FREE:
        return "free"
    return _written(name, float(text)) if _NUMBER.fullmatch(text) else None


def is_right(name: str, answer: str, truth: Sequence[str]) -> bool:
    """Whether `answer`, as `read_answer` gives it, is one of `truth`, or as near to it as it has to be."""
    if name in WITHIN:
        return any(abs(float(answer) - float(right)) <= WITHIN[name] for right in truth)
    return answer in truth


def likeliest(name: str, answers: Sequence[str], shares: Floats) -> npt.NDArray[np.int64]:
    """The place of the answer that is most likely right, by row of `shares` (rows, answers), of which each sums to 1.

    Where a number is right within some distance, it is the one that has most of the probability so near.
    """
    if name not in WITHIN:
        return _largest(shares)
    numbers = np.array([float(answer) if _NUMBER.fullmatch(answer) else np.nan for answer in answers])
    near = np.abs(numbers[:, None] - numbers) <= WITHIN[name]
    np.fill_diagonal(near, True)
    # Of those that are as good as each other, the likelier one.
    return _largest(shares @ near + 1e-9 * shares)


def number_of(answer: str) -> float:
    """A number or price as `read_answer` gives it."""
    return 0.0 if answer == "free" else float(answer)


def _column(table: pl.DataFrame, key: str, name: str) -> dict[str, str]:
    """What `table` has in column `name`, by `key`, as answers; without what cannot be one."""
    if table.schema.get(name) is None or isinstance(table.schema[name], pl.List):
        return {}
    values = table.select(key, pl.col(name).cast(pl.String).str.strip_chars()).drop_nulls().iter_rows()
    found = {row: value for row, value in values if value}
    if name in NUMBERS:
        return {row: number for row, value in found.items() if (number := read_answer(name, value, ())) is not None}
    spelled = {value.casefold(): value for value in sorted(set(found.values()), reverse=True)}
    return {row: spelled[value.casefold()] for row, value in found.items()}


def _answers(name: str, values: Iterable[str]) -> tuple[str, ...]:
    if name == "age":
        ages = [float(value) for value in values]
        if max(ages) <= _OLDEST:
            return tuple(map(str, range(int(min(ages)), int(max(ages)) + 1)))
    return tuple(sorted(set(values), key=number_of if name in NUMBERS else None))


def _largest(shares: Floats) -> npt.NDArray[np.int64]:
    places: npt.NDArray[np.int64] = np.argmax(shares, axis=1)
    return places


def _written(name: str, number: float) -> str:
    if name == "price":
        return f"{number:.2f}" if round(number, 2) else "free"
    return f"{number:g}" if number < 1e6 else str(number)


def _object(text: str) -> dict[str, object]:
    """The JSON object that `text` is, or holds; empty where there is none or more than one."""
    fenced = _FENCED.fullmatch(text.strip())
    inner = fenced[1] if fenced else text
    start = inner.find("{")
    try:
        value, end = json.JSONDecoder(object_pairs_hook=_pairs).raw_decode(inner, start) if start >= 0 else ({}, 0)
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) and "{" not in inner[end:] else {}


def _pairs(pairs: list[tuple[str, object]]) -> dict[str, object]:
    """Raises ValueError where a key occurs twice: it would be anyone's guess which one is meant."""
    if len({" ".join(key.split()).casefold() for key, _ in pairs}) < len(pairs):
        raise ValueError
    return dict(pairs)
