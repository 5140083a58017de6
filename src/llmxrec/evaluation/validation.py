"""Whether a judge can be believed: measured on pairs that it has not learned from, beside rules that read nothing.

A judge's table is worth no more than what is printed here. Rules, and what is known of names alone, are measured on the
very same pairs, and whatever a judge says is asked in both orders.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import cast

import numpy as np

from llmxrec.errors import InputError, WorkError
from llmxrec.evaluation.bootstrap import Floats, ratio
from llmxrec.evaluation.figures import Groups, calibrated, strata_of
from llmxrec.evaluation.judges.protocol import Judge, Learner, Taught
from llmxrec.evaluation.pairs import seen_in
from llmxrec.evaluation.rules import hits_of, longer_hits, names_hits, names_hits_crosswise, truth_of
from llmxrec.evaluation.validity import Validity
from llmxrec.progress import Advance, quiet
from llmxrec.records import Case, Pair, Ruling
from llmxrec.seeds import derive


def validate(
    make: Callable[[], Judge],
    train: Sequence[Pair] | None,
    test: Sequence[Pair],
    *,
    learns: bool = True,
    seed: int = 1,
    advance: Advance = quiet,
) -> Validity:
    """Measure the judge that `make` makes on `test`.

    A Learner is trained on `train` first, unless `learns` is False: then it is measured as it is. Names are known from
    `train`, or where there is none from the other groups of `test`. Pairs of `train` whose group is in `test` are not
    learned from, and `overlap` counts them. Pairs of `test` that the judge learned from before are not measured, and
    `seen` counts them. `advance` is told of pairs, as in `cross_validate`. Raises InputError where nothing can be
    measured.
    """
    offered = len(test)
    test = _unseen(make(), test)
    overlap = 0
    if train is not None:
        measured = {pair.group for pair in test}
        overlap = sum(pair.group in measured for pair in train)
        train = [pair for pair in train if pair.group not in measured]
    learns = learns and isinstance(make(), Learner)
    if learns and train is None:
        raise InputError("a judge that learns needs pairs to learn from", cure="give them with --train")
    decided = _decided(test)
    found = _rule(make, train if learns else None, decided, advance)
    names = names_hits(train, decided) if train is not None else names_hits_crosswise(decided)
    left_out = np.full((len(decided), 2), np.nan)
    for generator in sorted(_generators(decided) if learns else ()):
        rest = [
            pair for pair in cast(Sequence[Pair], train) if generator not in pair.generators and all(pair.generators)
        ]
        rows = [row for row, pair in enumerate(decided) if generator in pair.generators]
        _measure_left_out(make, rest, decided, rows, generator, left_out, advance)
    summed = _summed_up(make().name, learns, found, names, left_out, decided, len(test) - len(decided), seed)
    return replace(summed, overlap=overlap, seen=offered - len(test))


def cross_validate(
    make: Callable[[], Judge],
    pairs: Sequence[Pair],
    folds: int = 10,
    *,
    learns: bool = True,
    seed: int = 1,
    advance: Advance = quiet,
) -> Validity:
    """As `validate`, each fold of the groups of `pairs` measured by what learned from all others.

    `advance` is told of pairs, each time that one is compared: once, and where the judge learns once more for each of
    its generators that is known. Raises InputError where there are fewer groups than folds.
    """
    offered = len(pairs)
    pairs = _unseen(make(), pairs)
    fold_of = fold_groups(pairs, folds, seed)
    learns = learns and isinstance(make(), Learner)
    decided = _decided(pairs)
    found = _Found.empty(len(decided))
    names = np.full(len(decided), np.nan)
    left_out = np.full((len(decided), 2), np.nan)
    if not learns:
        found = _rule(make, None, decided, advance)
    for fold in range(folds):
        rows = [row for row, pair in enumerate(decided) if fold_of[pair.group] == fold]
        here = [decided[row] for row in rows]
        train = [pair for pair in pairs if fold_of[pair.group] != fold]
        if not here:
            continue
        names[rows] = names_hits(train, here)
        if learns:
            found.put(rows, _rule(make, train, here, advance))
        for generator in sorted(_generators(here) if learns else ()):
            rest = [pair for pair in train if generator not in pair.generators and all(pair.generators)]
            its = [row for row in rows if generator in decided[row].generators]
            _measure_left_out(make, rest, decided, its, generator, left_out, advance)
    summed = _summed_up(make().name, learns, found, names, left_out, decided, len(pairs) - len(decided), seed)
    return replace(summed, folds=folds, seen=offered - len(pairs))


def fold_groups(pairs: Sequence[Pair], folds: int, seed: int = 1) -> dict[str, int]:
    """The fold of each group, from 0: equally many groups in each, whatever the order of the pairs."""
    groups = sorted({pair.group for pair in pairs}, key=lambda group: derive(seed, "fold", group))
    if not 2 <= folds <= len(groups):
        raise InputError(f"pairs of {folds} recommendations or more are needed for {folds} folds", value=len(groups))
    return {group: place % folds for place, group in enumerate(groups)}


# --- what is measured of each pair --------------------------------------------------------------------------------


@dataclass
class _Found:
    """What a judge said of each pair, from the first's view: `says` 1 it is better, 0 tie, -1 worse, NaN unreadable,
    and `odds` the probability of it, NaN where not given; shape (pairs, 2), as labelled and swapped."""

    says: Floats
    odds: Floats

    @classmethod
    def empty(cls, rows: int) -> _Found:
        return cls(np.full((rows, 2), np.nan), np.full((rows, 2), np.nan))

    def put(self, rows: Sequence[int], other: _Found) -> None:
        self.says[list(rows)], self.odds[list(rows)] = other.says, other.odds


def _rule(make: Callable[[], Judge], train: Sequence[Pair] | None, pairs: Sequence[Pair], advance: Advance) -> _Found:
    """Have a judge compare each pair: in both orders, unless it is order-free."""
    judge = make()
    if train is not None:
        cast(Learner, judge).fit(train)
    found = _Found.empty(len(pairs))
    asked = Counter[tuple[int, int]]()
    for ruling in judge.judge(_case(row, pair) for row, pair in enumerate(pairs)):
        row = int(ruling.key)
        swapped = int(ruling.first > ruling.second)
        asked[row, swapped] += 1
        found.says[row, swapped], found.odds[row, swapped] = _as_of_first(ruling)
        if judge.order_free:
            found.says[row, 1], found.odds[row, 1] = found.says[row, 0], found.odds[row, 0]
            asked[row, 1] += 1
        advance(not swapped)
    if set(asked.values()) - {1} or len(asked) != 2 * len(pairs):
        raise WorkError(f"judge '{judge.name}' did not rule once on each pair in each order")
    return found


def _case(row: int, pair: Pair) -> Case:
    return replace(pair.case, key=str(row))


def _as_of_first(ruling: Ruling) -> tuple[float, float]:
    """Who is better and how likely, as seen from the text that stands first in its case."""
    sign = 1.0 if ruling.first < ruling.second else -1.0
    says = {"first": 1.0, "second": -1.0, "tie": 0.0, None: np.nan}[ruling.winner] * sign
    odds = np.nan if ruling.probability is None or ruling.winner is None else ruling.probability
    return says, odds if sign > 0 else 1 - odds


def _unseen(judge: Judge, pairs: Sequence[Pair]) -> Sequence[Pair]:
    """Those that are about no recommendation from which `judge` has learned before."""
    seen = seen_in(judge.groups, pairs) if isinstance(judge, Taught) and judge.groups else frozenset()
    unseen = [pair for pair in pairs if pair.group not in seen]
    if not unseen and pairs:
        raise InputError(
            "a judge is measured on pairs that it was not trained on",
            value=f"{len(pairs):,} pairs, all about recommendations that '{judge.name}' learned from",
            cure="give others",
        )
    return unseen


def _decided(pairs: Sequence[Pair]) -> list[Pair]:
    decided = [pair for pair in pairs if pair.winner != "tie"]
    if not decided:
        raise InputError("a judge is measured on pairs with a winner", value=f"{len(pairs)} pairs, all labelled a tie")
    return decided


def _generators(pairs: Sequence[Pair]) -> set[str]:
    return {generator for pair in pairs for generator in pair.generators if generator}


def _measure_left_out(
    make: Callable[[], Judge],
    rest: Sequence[Pair],
    pairs: Sequence[Pair],
    rows: Sequence[int],
    generator: str,
    into: Floats,
    advance: Advance,
) -> None:
    """Write to `into`, shape (pairs, 2), the balanced hits on `rows` of a judge that learned from `rest`.

    Each pair has a place for either of its generators. What is too little to learn from is not measured.
    """
    its = [pairs[row] for row in rows]
    try:
        hits = hits_of(_rule(make, rest, its, advance).says, truth_of(its)).mean(axis=1)
    except InputError:
        return
    into[rows, [pairs[row].generators.index(generator) for row in rows]] = hits


# --- what it comes to ---------------------------------------------------------------------------------------------


def _summed_up(
    judge: str,
    learns: bool,
    found: _Found,
    names: Floats,
    left_out: Floats,
    pairs: Sequence[Pair],
    ties: int,
    seed: int,
) -> Validity:
    truth = truth_of(pairs)
    hits = hits_of(found.says, truth)
    balanced = hits.mean(axis=1)
    numbers = {group: number for number, group in enumerate(dict.fromkeys(pair.group for pair in pairs))}
    group = np.array([numbers[pair.group] for pair in pairs])
    groups = Groups(group, len(numbers), seed)
    longer = longer_hits(pairs)
    half = np.full(len(pairs), 0.5)
    rules = {"always_second": half, "longer": longer, "names_only": names, "random": half}
    on_read = {name: np.where(np.isnan(balanced), np.nan, rule) for name, rule in rules.items()}
    same = np.where(np.isnan(balanced), np.nan, found.says[:, 0] == found.says[:, 1])
    if not learns:
        for row, pair in enumerate(pairs):
            left_out[row] = [balanced[row] if name else np.nan for name in pair.generators]
    generators = sorted(_generators(pairs))
    by_name = {name: _of_generator(left_out, pairs, name) for name in generators}
    either = _mean_known(left_out)
    rivals = [groups.known(either - rule) for rule in (half, longer)]
    strata = strata_of(pairs, truth)
    inside = np.array([bool(stratum) for stratum in strata])
    scores = _scores(found)
    return Validity(
        judge=judge,
        learns=learns,
        rows=len(pairs),
        recommendations=len({*group[~np.isnan(balanced)].tolist()}),
        ties=ties,
        rulings=found.says.size,
        unreadable=int(np.isnan(found.says).sum()),
        forward=groups.mean(hits[:, 0]),
        swapped=groups.mean(hits[:, 1]),
        balanced=groups.mean(balanced),
        consistency=groups.mean(same),
        rules={name: groups.known(rule) for name, rule in on_read.items()},
        ahead={name: groups.known(balanced - rule) for name, rule in on_read.items()},
        left_out={
            name: figure
            for name, values in [*by_name.items(), ("all", either)]
            if (figure := groups.known(values)) is not None
        },
        left_out_ahead=min((rival for rival in rivals if rival is not None), key=lambda rival: rival.low, default=None),
        varying=int(inside.sum()),
        varying_accuracy=groups.known(np.where(inside, balanced, np.nan)),
        varying_names=groups.known(np.where(inside, on_read["names_only"], np.nan)),
        insight=groups.insight(scores, truth, pairs, strata),
        calibration=calibrated(found.odds, truth),
    )


def _scores(found: _Found) -> Floats:
    """How much more the judge thinks of the first, over both orders; by probability where it gives one throughout."""
    sure = np.isnan(found.odds) & ~np.isnan(found.says)
    return np.asarray((found.says if sure.any() else found.odds - 0.5).mean(axis=1))


def _of_generator(left_out: Floats, pairs: Sequence[Pair], name: str) -> Floats:
    its = np.array([[generator == name for generator in pair.generators] for pair in pairs])
    return _mean_known(np.where(its, left_out, np.nan))


def _mean_known(values: Floats) -> Floats:
    """The mean of each row over what is not NaN; NaN where all is."""
    there = ~np.isnan(values)
    return ratio(np.where(there, values, 0.0).sum(axis=1), there.sum(axis=1).astype(np.float64))
