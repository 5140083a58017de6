"""What a judge has to beat: rules that read nothing, and what is known of the generators' names alone."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np

from llmxrec.evaluation.bootstrap import Floats
from llmxrec.records import Pair

RULES = ("always_second", "longer", "names_only", "random")
"""What a judge has to beat: the second is better; the longer one is; the one whose generator wins most among the pairs
learned from, in this pairing; either, by chance."""


def truth_of(pairs: Sequence[Pair]) -> Floats:
    """1 where the first of a pair is better, -1 where the second is; shape (pairs,). Ties are none of these pairs."""
    return np.array([1.0 if pair.winner == "first" else -1.0 for pair in pairs])


def hits_of(says: Floats, truth: Floats) -> Floats:
    """1 where right, 0 where wrong, one half for a tie, NaN where unreadable.

    `says` is 1 for the first, -1 for the second, 0 for a tie; shape (pairs,), or (pairs, 2) as labelled and swapped.
    """
    return np.asarray((1 + says * (truth[:, None] if says.ndim == 2 else truth)) / 2)


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


def names_hits(train: Sequence[Pair], pairs: Sequence[Pair]) -> Floats:
    """Whether names alone, known from `train`, tell the winner of each of `pairs`: see `hits_of`; NaN if unknown."""
    wins = _wins(train)
    return np.array([_names_hit(wins, pair) if wins else np.nan for pair in pairs])


def names_hits_crosswise(pairs: Sequence[Pair]) -> Floats:
    """As `names_hits`, known for each pair from the pairs of all other groups."""
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


def longer_hits(pairs: Sequence[Pair]) -> Floats:
    """Whether the text with more words is the better one of each pair: see `hits_of`."""
    lengths = np.array([[len(text.split()) for text in pair.case.texts] for pair in pairs])
    return hits_of(np.sign(lengths[:, 0] - lengths[:, 1]).astype(np.float64), truth_of(pairs))
