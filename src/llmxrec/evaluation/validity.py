"""Whether a judge can be believed: measured on pairs that it has not learned from, beside rules that read nothing.

A judge's table is worth no more than what is printed here. Rules, and what is known of names alone, are measured on the
very same pairs, and whatever a judge says is asked in both orders.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, cast

import numpy as np
import numpy.typing as npt

from llmxrec.errors import InputError, WorkError
from llmxrec.evaluation.bootstrap import Floats, intervals, ratio
from llmxrec.evaluation.judges.protocol import Judge, Learner, Taught
from llmxrec.evaluation.pairs import seen_in
from llmxrec.records import Case, Pair, Ruling
from llmxrec.seeds import derive

RULES = ("always_second", "longer", "names_only", "random")
"""What a judge has to beat: the second is better; the longer one is; the one whose generator wins most among the pairs
learned from, in this pairing; either, by chance."""

LEAST_CONSISTENCY = 0.8
"""Of the pairs that can be read in both orders, the share on which both say the same, at least."""
MOST_UNREADABLE = 0.1
"""Of all rulings, the share without a winner, at most: what is measured on the rest says nothing of these."""

_BINS = 10


@dataclass(frozen=True, slots=True)
class Figure:
    """A mean over `rows` pairs with its 95 % interval: bootstrap over groups. NaN where there are none."""

    value: float
    low: float
    high: float
    rows: int

    def __str__(self) -> str:
        return f"{self.value:.3f} [{self.low:.3f}, {self.high:.3f}]" if self.rows else "not measured"


@dataclass(frozen=True, slots=True)
class Calibration:
    """How far probabilities can be taken at their word, over both orders of each pair.

    `error` is the expected calibration error over ten equal bins of the probability of the winner; `brier` the mean
    square of probability minus outcome: .25 for a judge that always says one half.
    """

    error: float
    brier: float
    rows: int


@dataclass(frozen=True)
class Validity:
    """What a judge was found to be worth.

    `forward` is its accuracy in the order the pairs were labelled in, `swapped` in the other, `balanced` the mean of
    both; a tie where there is a winner is half right. `consistency` is over pairs read in both orders. `rules` are the
    balanced accuracies of RULES on the same pairs, `ahead` how far the judge is before each; None where it cannot be
    measured. `left_out` has the balanced accuracy on the pairs of each generator, under "all" on those of any:
    where the judge learns, it has not read a text of that generator (`learns`). `varying` counts the pairs between
    generators, in one domain, of which now one wins and now the other; `varying_accuracy` and `varying_names` are the
    judge's and the names' accuracy on them, and `insight` how often, of two such pairs with different winners, the
    judge thinks more of the one generator where it won: .5 for whoever knows the names only. `ties` counts pairs
    labelled a tie: they are not measured. `unreadable` counts rulings of `rulings`, `overlap` the pairs that could have
    been learned from but are about a recommendation measured here, `seen` those that could have been measured but are
    about one that the judge had learned from before.
    """

    judge: str
    learns: bool
    rows: int
    ties: int
    rulings: int
    unreadable: int
    forward: Figure
    swapped: Figure
    balanced: Figure
    consistency: Figure
    rules: Mapping[str, Figure | None]
    ahead: Mapping[str, Figure | None]
    left_out: Mapping[str, Figure]
    left_out_ahead: Figure | None
    varying: int
    varying_accuracy: Figure | None
    varying_names: Figure | None
    insight: Figure | None
    calibration: Calibration | None
    folds: int | None = None
    overlap: int = 0
    seen: int = 0

    @property
    def valid(self) -> bool:
        return not self.reasons

    @property
    def reasons(self) -> tuple[str, ...]:
        """Why not to believe it, each in one line; none where it is VALID."""
        return tuple(self._reasons())

    def _reasons(self) -> Iterator[str]:
        if not self.balanced.rows:
            yield "no pair could be read in both orders"
            return
        if self.unreadable > MOST_UNREADABLE * self.rulings:
            yield f"{self.unreadable:,} of {self.rulings:,} rulings are unreadable, more than {MOST_UNREADABLE:.0%}"
        if not self.consistency.value >= LEAST_CONSISTENCY:
            share = f"{self.consistency.value:.1%}"
            yield f"it says the same in both orders on {share} of the pairs, less than {LEAST_CONSISTENCY:.0%}"
        for rule in ("random", "always_second", "longer"):
            ahead = self.ahead[rule]
            if ahead is not None and not ahead.low > 0:
                yield f"it does not beat the rule '{_spoken(rule)}': {_against(self.balanced, self.rules[rule], ahead)}"
        names = self.ahead["names_only"]
        if names is None or names.low > 0:
            return
        against = _against(self.balanced, self.rules["names_only"], names)
        if names.high < 0:
            yield f"it does worse than the generators' names alone: {against}"
        elif self.insight is None:
            yield f"it does not beat the generators' names: {against}; and no pairing has winners that they do not tell"
        elif not self.insight.low > 0.5:
            yield f"it knows no more than the generators' names: {against}; where they do not tell, {self.insight}"
        elif self.learns and not (self.left_out_ahead is not None and self.left_out_ahead.low > 0):
            found = self.left_out.get("all", "not measured")
            yield f"it knows only the generators it learned from: {found} on others, not above chance and 'longer'"

    def to_json(self) -> dict[str, Any]:
        """All of it as plain JSON: None where something was not measured."""
        figures = {
            "accuracy_forward": self.forward,
            "accuracy_swapped": self.swapped,
            "accuracy_balanced": self.balanced,
            "consistency": self.consistency,
        }
        return {
            "judge": self.judge,
            "valid": self.valid,
            "reasons": list(self.reasons),
            "rows": self.rows,
            "ties": self.ties,
            "rulings": self.rulings,
            "unreadable": self.unreadable,
            "learns": self.learns,
            "folds": self.folds,
            "overlap": self.overlap,
            "seen": self.seen,
            **{name: _number(figure.value) for name, figure in figures.items()},
            "intervals": {name: [_number(figure.low), _number(figure.high)] for name, figure in figures.items()},
            "rules": {name: figure and _number(figure.value) for name, figure in self.rules.items()},
            "ahead": {name: _json(figure) for name, figure in self.ahead.items()},
            "leave_one_generator_out": {name: _json(figure) for name, figure in self.left_out.items()},
            "leave_one_generator_out_ahead": _json(self.left_out_ahead),
            "within_varying_pairs": {
                "rows": self.varying,
                "accuracy": _json(self.varying_accuracy),
                "names_only": _json(self.varying_names),
                "insight": _json(self.insight),
            },
            "calibration": self.calibration
            and {"error": self.calibration.error, "brier": self.calibration.brier, "rows": self.calibration.rows},
        }

    def lines(self) -> list[str]:
        """All of it for people; the last lines are the verdict."""
        how = f", cross-validated in {self.folds} folds" if self.folds else ""
        rows = [
            ("as labelled", self.forward),
            ("swapped", self.swapped),
            ("balanced", self.balanced),
            ("same in both orders", self.consistency),
        ]
        out = [f"{self.judge}: {self.rows:,} pairs{how}; {self.unreadable:,} of {self.rulings:,} rulings unreadable"]
        out += [f"{self.ties:,} more pairs are labelled a tie and not measured"] if self.ties else []
        if self.overlap:
            out.append(
                f"{self.overlap:,} pairs to learn from are about recommendations measured here, and were left out"
            )
        if self.seen:
            out.append(
                f"{self.seen:,} pairs are about recommendations that the judge was trained on, and were left out"
            )
        out += [f"  {name:<28}{figure}" for name, figure in rows]
        out.append("rules on the same pairs, balanced, and how far the judge is ahead:")
        for rule in RULES:
            found, ahead = self.rules[rule], self.ahead[rule]
            shown = "not measured" if found is None else f"{found.value:.3f}   ahead {_signed(ahead)}"
            out.append(f"  {_spoken(rule):<28}{shown}")
        if self.left_out:
            what = "that it has not learned from" if self.learns else "alone"
            out.append(f"pairs with a generator {what}:")
            out += [f"  {name:<28}{figure}" for name, figure in self.left_out.items()]
        if self.insight is not None:
            out.append(f"{self.varying:,} pairs of generators of which either wins at times:")
            out.append(f"  {'accuracy':<28}{self.varying_accuracy}")
            out.append(f"  {'accuracy of names only':<28}{self.varying_names}")
            out.append(f"  {'insight (names only: .500)':<28}{self.insight}")
        if self.calibration is not None:
            out.append(f"calibration error {self.calibration.error:.3f}, Brier score {self.calibration.brier:.3f}")
        out.append("VALID" if self.valid else "INVALID: " + "; ".join(self.reasons))
        return out


def validate(
    make: Callable[[], Judge], train: Sequence[Pair] | None, test: Sequence[Pair], *, learns: bool = True, seed: int = 1
) -> Validity:
    """Measure the judge that `make` makes on `test`.

    A Learner is trained on `train` first, unless `learns` is False: then it is measured as it is. Names are known from
    `train`, or where there is none from the other groups of `test`. Pairs of `train` whose group is in `test` are not
    learned from, and `overlap` counts them. Pairs of `test` that the judge learned from before are not measured, and
    `seen` counts them. Raises InputError where nothing can be measured.
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
    found = _rule(make, train if learns else None, decided)
    names = _names_hits(train, decided) if train is not None else _names_hits_crosswise(decided)
    left_out = np.full((len(decided), 2), np.nan)
    for generator in sorted(_generators(decided) if learns else ()):
        rest = [
            pair for pair in cast(Sequence[Pair], train) if generator not in pair.generators and all(pair.generators)
        ]
        rows = [row for row, pair in enumerate(decided) if generator in pair.generators]
        _measure_left_out(make, rest, decided, rows, generator, left_out)
    summed = _summed_up(make().name, learns, found, names, left_out, decided, len(test) - len(decided), seed)
    return replace(summed, overlap=overlap, seen=offered - len(test))


def cross_validate(
    make: Callable[[], Judge], pairs: Sequence[Pair], folds: int = 10, *, learns: bool = True, seed: int = 1
) -> Validity:
    """As `validate`, each fold of the groups of `pairs` measured by what learned from all others.

    Raises InputError where there are fewer groups than folds.
    """
    offered = len(pairs)
    pairs = _unseen(make(), pairs)
    fold_of = fold_groups(pairs, folds, seed)
    learns = learns and isinstance(make(), Learner)
    decided = _decided(pairs)
    found = _Found.empty(len(decided))
    names = np.full(len(decided), np.nan)
    left_out = np.full((len(decided), 2), np.nan)
    for fold in range(folds):
        rows = [row for row, pair in enumerate(decided) if fold_of[pair.group] == fold]
        here = [decided[row] for row in rows]
        train = [pair for pair in pairs if fold_of[pair.group] != fold]
        if not here:
            continue
        names[rows] = _names_hits(train, here)
        if learns or fold == 0:
            found.put(
                rows if learns else range(len(decided)),
                _rule(make, train if learns else None, here if learns else decided),
            )
        for generator in sorted(_generators(here) if learns else ()):
            rest = [pair for pair in train if generator not in pair.generators and all(pair.generators)]
            its = [row for row in rows if generator in decided[row].generators]
            _measure_left_out(make, rest, decided, its, generator, left_out)
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


def _rule(make: Callable[[], Judge], train: Sequence[Pair] | None, pairs: Sequence[Pair]) -> _Found:
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


def _hits(says: Floats, truth: Floats) -> Floats:
    """1 where right, 0 where wrong, one half for a tie, NaN where unreadable."""
    return np.asarray((1 + says * (truth[:, None] if says.ndim == 2 else truth)) / 2)


def _truth(pairs: Sequence[Pair]) -> Floats:
    return np.array([1.0 if pair.winner == "first" else -1.0 for pair in pairs])


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


def _wins(pairs: Sequence[Pair]) -> Counter[tuple[str, str]]:
    """For each two generators, in alphabetical order, how much oftener the first of them wins than the other."""
    wins: Counter[tuple[str, str]] = Counter()
    for pair in pairs:
        if all(pair.generators) and pair.winner != "tie":
            first, second = sorted(pair.generators)
            wins[first, second] += 1 if (pair.winner == "first") == (pair.generators[0] == first) else -1
    return wins


def _names_hit(wins: Mapping[tuple[str, str], int], pair: Pair) -> float:
    """Whether names alone tell the winner: 1, 0, one half where they do not say; NaN where they are not known."""
    if not all(pair.generators):
        return float("nan")
    first, second = sorted(pair.generators)
    lead = wins.get((first, second), 0) * (1 if pair.generators[0] == first else -1)
    if lead == 0 or first == second:
        return 0.5
    return float((lead > 0) == (pair.winner == "first"))


def _names_hits(train: Sequence[Pair], pairs: Sequence[Pair]) -> Floats:
    wins = _wins(train)
    return np.array([_names_hit(wins, pair) if wins else np.nan for pair in pairs])


def _names_hits_crosswise(pairs: Sequence[Pair]) -> Floats:
    """As learned, for each pair, from the pairs of all other groups."""
    wins = _wins(pairs)
    by_group: dict[str, list[Pair]] = {}
    for pair in pairs:
        by_group.setdefault(pair.group, []).append(pair)
    own = {group: _wins(its) for group, its in by_group.items()}
    hits = []
    for pair in pairs:
        others = Counter(wins)
        others.subtract(own[pair.group])
        hits.append(_names_hit(others, pair))
    return np.array(hits)


def _longer_hits(pairs: Sequence[Pair]) -> Floats:
    lengths = np.array([[len(text.split()) for text in pair.case.texts] for pair in pairs])
    return _hits(np.sign(lengths[:, 0] - lengths[:, 1]).astype(np.float64), _truth(pairs))


def _measure_left_out(
    make: Callable[[], Judge],
    rest: Sequence[Pair],
    pairs: Sequence[Pair],
    rows: Sequence[int],
    generator: str,
    into: Floats,
) -> None:
    """Write to `into`, shape (pairs, 2), the balanced hits on `rows` of a judge that learned from `rest`.

    Each pair has a place for either of its generators. What is too little to learn from is not measured.
    """
    its = [pairs[row] for row in rows]
    try:
        hits = _hits(_rule(make, rest, its).says, _truth(its)).mean(axis=1)
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
    truth = _truth(pairs)
    hits = _hits(found.says, truth)
    balanced = hits.mean(axis=1)
    numbers = {group: number for number, group in enumerate(dict.fromkeys(pair.group for pair in pairs))}
    group = np.array([numbers[pair.group] for pair in pairs])
    groups = _Groups(group, len(numbers), seed)
    longer = _longer_hits(pairs)
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
    strata = _strata(pairs, truth)
    inside = np.array([bool(stratum) for stratum in strata])
    scores = _scores(found)
    return Validity(
        judge=judge,
        learns=learns,
        rows=len(pairs),
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
        calibration=_calibration(found.odds, truth),
    )


@dataclass(frozen=True)
class _Groups:
    """The group of each pair, by number, so that intervals are drawn over groups."""

    group: npt.NDArray[np.int64]
    n: int
    seed: int

    def mean(self, values: Floats) -> Figure:
        """Over the pairs where there is a value. All figures see the same draws."""
        there = ~np.isnan(values)
        sums = np.zeros((self.n, 2))
        np.add.at(sums, self.group, np.stack([np.where(there, values, 0.0), there.astype(np.float64)], axis=1))
        value, low, high = intervals(sums, lambda s: ratio(s[:, :1], s[:, 1:]), self.seed, "pairs")
        return Figure(float(value[0]), float(low[0]), float(high[0]), int(there.sum()))

    def known(self, values: Floats) -> Figure | None:
        """As `mean`; None where there is no value at all."""
        return None if np.isnan(values).all() else self.mean(values)

    def insight(
        self, scores: Floats, truth: Floats, pairs: Sequence[Pair], strata: Sequence[tuple[str, ...]]
    ) -> Figure | None:
        """Of all two pairs of one stratum with different winners, the share in which the score of the alphabetically
        first generator is the higher where it won; equal scores are half."""
        turned = np.array([1.0 if pair.generators[0] <= pair.generators[1] else -1.0 for pair in pairs])
        score, won = scores * turned, truth * turned > 0
        tables: list[tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], Floats]] = []
        for stratum in sorted({stratum for stratum in strata if stratum}):
            its = np.array([place == stratum for place in strata]) & ~np.isnan(score)
            above, below = np.flatnonzero(its & won), np.flatnonzero(its & ~won)
            if len(above) and len(below):
                higher = (1 + np.sign(score[above][:, None] - score[below][None, :])) / 2
                tables.append((self.group[above], self.group[below], higher))
        if not tables:
            return None

        def share(weights: Floats) -> Floats:
            right = sum(
                ((weights[:, above] @ higher) * weights[:, below]).sum(axis=1) for above, below, higher in tables
            )
            of = sum(weights[:, above].sum(axis=1) * weights[:, below].sum(axis=1) for above, below, _ in tables)
            return ratio(np.asarray(right), np.asarray(of))[:, None]

        value, low, high = intervals(np.eye(self.n), share, self.seed, "pairs")
        rows = sum(len(above) + len(below) for above, below, _ in tables)
        return Figure(float(value[0]), float(low[0]), float(high[0]), rows)


def _strata(pairs: Sequence[Pair], truth: Floats) -> list[tuple[str, ...]]:
    """For each pair its generators and domain, where either of the two wins at times; else nothing."""
    keys = [
        (*sorted(pair.generators), pair.case.domain.name if pair.case.domain else "") if all(pair.generators) else ()
        for pair in pairs
    ]
    winners: dict[tuple[str, ...], set[str]] = {}
    for key, pair, sign in zip(keys, pairs, truth, strict=True):
        winners.setdefault(key, set()).add(pair.generators[0 if sign > 0 else 1])
    return [key if len(winners[key]) == 2 else () for key in keys]


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


def _calibration(odds: Floats, truth: Floats) -> Calibration | None:
    there = ~np.isnan(odds)
    if not there.any():
        return None
    first = (np.broadcast_to(truth[:, None], odds.shape) > 0)[there]
    odds = odds[there]
    sure = np.maximum(odds, 1 - odds)
    right = np.where(odds == 0.5, 0.5, (odds > 0.5) == first)
    place = np.minimum((sure - 0.5) * 2 * _BINS, _BINS - 1).astype(np.int64)
    gaps = np.bincount(place, weights=right - sure, minlength=_BINS)
    return Calibration(float(np.abs(gaps).sum() / len(odds)), float(np.square(odds - first).mean()), len(odds))


def _spoken(rule: str) -> str:
    return rule.replace("_", " ")


def _against(found: Figure, rule: Figure | None, ahead: Figure) -> str:
    return f"{found.value:.3f} against {rule.value if rule else float('nan'):.3f}, ahead {_signed(ahead)}"


def _signed(figure: Figure | None) -> str:
    return "not measured" if figure is None else f"{figure.value:+.3f} [{figure.low:+.3f}, {figure.high:+.3f}]"


def _number(value: float) -> float | None:
    return None if np.isnan(value) else value


def _json(figure: Figure | None) -> dict[str, Any] | None:
    if figure is None:
        return None
    return {
        "value": _number(figure.value),
        "low": _number(figure.low),
        "high": _number(figure.high),
        "rows": figure.rows,
    }
