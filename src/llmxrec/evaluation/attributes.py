"""The paper's third evaluation (section 3.3, Table 3): how often predicted attributes are right.

Beside every generator stand three rules that it has to beat, on the same people: a uniform guess, the answer that is
right most often, and a logistic regression on the person's whole history. The last two learn from other people than
those they answer for, in five parts by turns, so that everybody is answered for.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from llmxrec.datasets.dataset import Dataset, Histories
from llmxrec.evaluation.bootstrap import Floats, clusters, intervals, ratio, sums_by_user
from llmxrec.evaluation.regression import counts, joined, regressions, tf_idf
from llmxrec.progress import Advance, quiet
from llmxrec.prompts.targets import (
    OF_CANDIDATE,
    TARGETS,
    WITHIN,
    Targets,
    hidden,
    is_right,
    likeliest,
    number_of,
    read_answers,
)
from llmxrec.seeds import derive

RANDOM, FREQUENT, SUPERVISED = "random", "most frequent", "logistic regression"
"""What the rules are called."""
FOLDS = 5
"""Parts of the people: those of one are answered for by what the others taught."""
STRENGTHS = (0.3, 1.0, 3.0, 10.0, 30.0)
"""Inverse strengths of regularisation that a regression chooses from, on the people it learns from."""

_ATTRIBUTES_WEIGH = 0.3
"""Beside the items themselves, which tell more."""
_CHOOSING = 3
"""Parts of the people learned from, to choose the strength by."""
_LEARNED_FROM = 5000
"""People learned from, at most; of more, so many are drawn."""

Bools = npt.NDArray[np.bool_]
Ints = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Accuracy:
    """How often `who` (a generator, or one of the rules) is right about `target`, with 95 % intervals over users.

    `accuracy` is of the answers that can be read; `over_all` of all `rows`, where the `unread` ones count as not right.
    NaN where there are none. Of a uniform guess it is the expectation. `beside`: of a rule, the generators on whose
    rows it was measured, with ", " between, where that is said.
    """

    target: str
    who: str
    accuracy: float
    low: float
    high: float
    rows: int
    unread: int
    over_all: float
    over_all_low: float
    over_all_high: float
    beside: str = ""


@dataclass(frozen=True)
class Material:
    """What is measured of `target`: the recommendations of which the truth is known (`rows`: user_id, item_id).

    `right` says which of all `answers` would be right, (rows, answers).
    """

    target: str
    rows: pl.DataFrame
    answers: tuple[str, ...]
    right: Bools

    @classmethod
    def of(cls, target: str, rows: pl.DataFrame, targets: Targets) -> Material:
        """Of `rows`, which have user_id and item_id."""
        answers = targets.answers[target]
        truths = [targets.truth(target, user, item) for user, item in rows.select("user_id", "item_id").iter_rows()]
        known = rows.select("user_id", "item_id").filter(pl.Series([bool(truth) for truth in truths], dtype=pl.Boolean))
        truths = [truth for truth in truths if truth]
        if target in WITHIN:
            true = np.array([number_of(truth[0]) for truth in truths]).reshape(-1, 1)
            away = np.abs(np.array([*map(number_of, answers)]) - true)
            return cls(target, known, answers, away <= WITHIN[target])
        place = {answer: number for number, answer in enumerate(answers)}
        right = np.zeros((len(truths), len(answers)), np.bool_)
        for row, truth in enumerate(truths):
            right[row, [place[answer] for answer in truth]] = True
        return cls(target, known, answers, right)


def measure(table: pl.DataFrame, who: str, targets: Targets, seed: int = 1) -> list[Accuracy]:
    """How often the predictions in `table` (columns of PREDICTIONS, one row to a recommendation) are right.

    Rows without a status were not asked about and are left out, as is what nobody knows the truth of. An answer that is
    not `ok`, or not readable, is unread.
    """
    asked = table.filter(pl.col("status").is_not_null())
    out = []
    for target in asked_for(asked):
        rows = asked.filter(pl.col("targets").list.contains(target))
        choices = targets.choices((target,))
        users: list[str] = []
        right: list[float | None] = []
        for user, item, text, status in rows.select("user_id", "item_id", "text", "status").iter_rows():
            if truth := targets.truth(target, user, item):
                answer = read_answers(text, (target,), choices)[target] if status == "ok" else None
                users.append(user)
                right.append(None if answer is None else float(is_right(target, answer, truth)))
        out.append(accuracy(target, who, right, users, seed))
    return out


def asked_for(table: pl.DataFrame) -> tuple[str, ...]:
    """The targets of any row of `table` (columns of PREDICTIONS), in the order of TARGETS."""
    asked = set(table["targets"].explode().drop_nulls())
    return tuple(name for name in TARGETS if name in asked)


def accuracy(target: str, who: str, right: Sequence[float | None], users: Sequence[str], seed: int = 1) -> Accuracy:
    """From whether each answer is right (1, 0, or how likely it is; None: unread), and whom it is about."""
    numbers, n_users = clusters(pl.Series(users, dtype=pl.String))
    gains = np.array([0.0 if gain is None else gain for gain in right])
    read = np.array([gain is not None for gain in right], np.float64)
    sums = sums_by_user(np.stack([gains, read, np.ones(len(right))], axis=1), numbers, n_users)
    value, low, high = intervals(sums, lambda drawn: ratio(drawn[:, :1], drawn[:, 1:]), seed, f"{target}/{who}")
    return Accuracy(
        target, who, float(value[0]), float(low[0]), float(high[0]), len(right), int((read == 0).sum()),
        float(value[1]), float(low[1]), float(high[1]),
    )  # fmt: skip


def guess_at_random(material: Material, seed: int = 1, *, of: pl.DataFrame | None = None) -> Accuracy:
    """A uniform guess among all answers: of an age, those from the youngest person's to the oldest's; of a price, those
    that occur. Measured `of` these of its rows; None: of all."""
    return _measured(material, RANDOM, material.right.mean(axis=1), of, seed)


def guess_the_most_frequent(material: Material, seed: int = 1, *, of: pl.DataFrame | None = None) -> Accuracy:
    """The answer that is right of most other people: of an age, the one with most of them near enough.

    It learns from all rows, and is measured `of` these; None: of all.
    """
    part = parts(material.rows["user_id"].to_list(), seed)
    gains = np.zeros(len(part))
    for fold in np.unique(part):
        best = material.right[part != fold].sum(axis=0).argmax()
        gains[part == fold] = material.right[part == fold, best]
    return _measured(material, FREQUENT, gains, of, seed)


def guess_by_regression(
    material: Material, read: Any, seed: int = 1, advance: Advance = quiet, *, of: pl.DataFrame | None = None
) -> Accuracy:
    """Logistic regression on `read`, which has the features of each row (see `features`).

    It learns all answers that are right of a person (see `regressions`), with the one of STRENGTHS that is right most
    often of people held out from those it learns from, and of its answers takes the one most likely right (see
    `likeliest`). `advance` is told of each of FOLDS. Measured `of` these of its rows; None: of all.
    """
    users = material.rows["user_id"].to_list()
    part = parts(users, seed)
    gains = np.zeros(len(part))
    for fold in range(FOLDS):
        learned, answered = _some(np.flatnonzero(part != fold), seed), np.flatnonzero(part == fold)
        if len(learned) and len(answered):
            best = _strength(material, read, learned, users, seed)
            *_, places = _answers(material, read, learned, answered, STRENGTHS[: STRENGTHS.index(best) + 1])
            gains[answered] = material.right[answered, places]
        advance(1)
    return _measured(material, SUPERVISED, gains, of, seed)


def _measured(material: Material, who: str, gains: Floats, of: pl.DataFrame | None, seed: int) -> Accuracy:
    """A rule with `gains` on the rows of `material`, measured on those among them that are in `of`."""
    rows = material.rows.with_columns(pl.Series("gain", gains, dtype=pl.Float64))
    if of is not None:
        rows = rows.join(of, on=["user_id", "item_id"], how="semi", maintain_order="left")
    return accuracy(material.target, who, rows["gain"].to_list(), rows["user_id"].to_list(), seed)


def parts(users: Sequence[str], seed: int, count: int = FOLDS) -> Ints:
    """In which of `count` parts each row is, all rows of a user in one; parts differ by one user at most."""
    ordered = sorted(set(users), key=lambda user: derive(seed, "part", count, user))
    place = {user: number % count for number, user in enumerate(ordered)}
    return np.array([place[user] for user in users], np.int64)


def features(target: str, rows: pl.DataFrame, dataset: Dataset, histories: Histories) -> Any:
    """What a supervised model may read to predict `target`, as a sparse matrix (rows, features).

    The items of the whole history, and their attributes that the domain shows; for what the candidate has, also the
    candidate, its attributes and the words of its title. All by tf-idf. Nothing that a prompt may not show (`hidden`).
    Raises MissingExtra without SciPy.
    """
    told = hidden((target,))
    number = {user: row for row, user in enumerate(histories.users.to_list())}
    place = {item: row for row, item in enumerate(histories.items.to_list())}
    nothing = np.empty(0, np.int32)
    had = counts([histories.of(number[user]) if user in number else nothing for user in rows["user_id"]], len(place))
    found = [tf_idf(had), _ATTRIBUTES_WEIGH * tf_idf(had @ _attributes(dataset, told.history))]
    if target in OF_CANDIDATE:
        candidates = [place[item] for item in rows["item_id"]]
        titles = _words([re.findall(r"\w+", title.casefold()) for title in dataset.items["title"]])
        about = _attributes(dataset, told.candidate, told.values)
        found += [counts([[row] for row in candidates], len(place))]
        found += [tf_idf(matrix)[candidates] for matrix in (about, titles)]
    return joined(found)


def _attributes(dataset: Dataset, without: Collection[str], silent: Collection[str] = ()) -> Any:
    """(items, values): which of the values of the domain's attributes each item has."""
    return _words(
        [
            [
                f"{column}\x1f{value}"
                for column, values in item.attributes.items()
                if column not in without
                for value in values
                if value.casefold() not in silent
            ]
            for item in dataset.item_records
        ]
    )


def _words(rows: Sequence[Sequence[str]]) -> Any:
    """(rows, different words): how often each word stands in each row."""
    numbers: dict[str, int] = {}
    numbered = [[numbers.setdefault(word, len(numbers)) for word in row] for row in rows]
    return counts(numbered, len(numbers))


def _some(rows: Ints, seed: int) -> Ints:
    """`rows`, or as many of them as are learned from, drawn by `seed`."""
    draw = np.random.Generator(np.random.PCG64(derive(seed, "learned from")))
    return rows if len(rows) <= _LEARNED_FROM else np.sort(draw.choice(rows, _LEARNED_FROM, replace=False))


def _strength(material: Material, read: Any, learned: Ints, users: Sequence[str], seed: int) -> float:
    part = parts([users[row] for row in learned], seed, _CHOOSING)
    scores = np.zeros(len(STRENGTHS))
    for fold in np.unique(part):
        held_out = learned[part == fold]
        if len(held_out) < len(learned):
            for number, places in enumerate(_answers(material, read, learned[part != fold], held_out, STRENGTHS)):
                scores[number] += material.right[held_out, places].sum()
    return STRENGTHS[int(scores.argmax())]


def _answers(
    material: Material, read: Any, learned: Ints, answered: Ints, strengths: Sequence[float]
) -> Iterator[Ints]:
    """The places of the answers to the rows `answered` by what the rows `learned` teach, with each of `strengths`."""
    taught = np.flatnonzero(material.right[learned].any(axis=0))
    seen = np.flatnonzero(read[learned].getnnz(axis=0))
    wanted = material.right[learned][:, taught].astype(np.float64)
    wanted /= wanted.sum(axis=1, keepdims=True)
    for regression in regressions(read[learned][:, seen], wanted, strengths):
        shares: Floats = np.zeros((len(answered), len(material.answers)))
        shares[:, taught] = regression.shares(read[answered][:, seen])
        yield likeliest(material.target, material.answers, shares)
