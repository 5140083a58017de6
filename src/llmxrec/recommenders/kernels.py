"""The inner loops, compiled. Imported when they are needed, since numba takes half a second to load.

One thread and no global state: the same input gives the same bits. Random numbers come from splitmix64, whose state is
handed in and left changed. Nothing here checks its input.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, cast

import numpy as np

from llmxrec.errors import MissingExtra

try:
    from numba import int64, njit, uint64
except ImportError:
    raise MissingExtra("training a recommender", "train") from None

F = TypeVar("F", bound=Callable[..., Any])

_ANY_ORDER = {"contract", "reassoc", "nsz", "arcp"}
"""Sums may be taken in any order, which lets them use vector instructions; NaN and infinity keep their meaning."""
_LOOK = 64
"""Scores looked at together."""


def _compiled(function: F) -> F:
    try:
        return cast(F, njit(cache=True, nogil=True, fastmath=_ANY_ORDER)(function))
    except RuntimeError:  # a read-only installation has no place for compiled code: it is compiled in every run
        return cast(F, njit(nogil=True, fastmath=_ANY_ORDER)(function))


@_compiled
def _below(state: Any, n: Any) -> Any:
    """A random integer from 0 to n - 1 (splitmix64: Steele, Lea and Flood, 2014)."""
    state[0] += uint64(0x9E3779B97F4A7C15)
    z = state[0]
    z = (z ^ (z >> uint64(30))) * uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> uint64(27))) * uint64(0x94D049BB133111EB)
    z = z ^ (z >> uint64(31))
    return int64(((z >> uint64(32)) * uint64(n)) >> uint64(32))


@_compiled
def _shuffle(order: Any, state: Any) -> None:
    """Put `order` into a random order (Fisher-Yates)."""
    for last in range(len(order) - 1, 0, -1):
        other = _below(state, last + 1)
        order[last], order[other] = order[other], order[last]


@_compiled
def _holds(owned: Any, begin: Any, end: Any, item: Any) -> Any:
    """Whether `item` is in `owned[begin:end]`, which rises."""
    low, high = begin, end
    while low < high:
        middle = (low + high) >> 1
        if owned[middle] < item:
            low = middle + 1
        else:
            high = middle
    return low < end and owned[low] == item


@_compiled
def _unseen(owned: Any, begin: Any, end: Any, n_items: Any, state: Any) -> Any:
    """A random item that is not in `owned[begin:end]`, which holds fewer than all."""
    item = _below(state, n_items)
    while _holds(owned, begin, end, item):
        item = _below(state, n_items)
    return item


@_compiled
def bpr_epoch(
    offsets: Any,
    items: Any,
    owned: Any,
    block: Any,
    weights: Any,
    negatives: Any,
    user_factors: Any,
    item_factors: Any,
    biases: Any,
    rate: Any,
    regularization: Any,
    state: Any,
) -> None:
    """One step of SGD on w ln sigmoid(x_ui - x_uj) for each interaction (u, i), in random order.

    w is `weights[a]`, a the number of later interactions of u. j is, of `negatives` random items, the one not of u
    that u scores highest. `owned` holds each user's items in rising order, within `offsets`. Factors and biases are
    changed in place. Users who have every item are passed over. Interactions are shuffled within `block` users at a
    time, and the blocks too: so a block's factors stay in cache.
    """
    n_users, n_items, size = len(offsets) - 1, len(item_factors), item_factors.shape[1]
    one = np.float32(1.0)
    blocks = np.arange((n_users + block - 1) // block)
    _shuffle(blocks, state)
    for number in blocks:
        first, last = number * block, min((number + 1) * block, n_users)
        order = np.arange(offsets[first], offsets[last])
        user_of = np.empty(len(order), np.int64)
        for u in range(first, last):
            user_of[offsets[u] - offsets[first] : offsets[u + 1] - offsets[first]] = u
        _shuffle(order, state)
        for row in order:
            u, i = user_of[row - offsets[first]], items[row]
            begin, end = offsets[u], offsets[u + 1]
            if end - begin >= n_items:
                continue
            p, q = user_factors[u], item_factors[i]
            j, highest = int64(-1), np.float32(-np.inf)
            for _ in range(negatives):
                other = _below(state, n_items)
                score = biases[other]
                r = item_factors[other]
                for f in range(size):
                    score += p[f] * r[f]
                if score > highest and not _holds(owned, begin, end, other):
                    j, highest = other, score
            if j < 0:
                j = _unseen(owned, begin, end, n_items, state)
            r = item_factors[j]
            x = biases[i] - biases[j]
            for f in range(size):
                x += p[f] * (q[f] - r[f])
            push = weights[end - 1 - row] / (one + np.exp(x))
            for f in range(size):
                pf, qf, rf = p[f], q[f], r[f]
                p[f] += rate * (push * (qf - rf) - regularization * pf)
                q[f] += rate * (push * pf - regularization * qf)
                r[f] += rate * (-push * pf - regularization * rf)
            biases[i] += rate * push
            biases[j] -= rate * push


@_compiled
def pair_gradients(
    rows: Any,
    users: Any,
    positives: Any,
    offsets: Any,
    owned: Any,
    user_vectors: Any,
    item_vectors: Any,
    user_gradients: Any,
    item_gradients: Any,
    state: Any,
) -> None:
    """Add to the gradients those of -ln sigmoid(x_ui - x_uj), x a dot product, over pairs (users[r], positives[r]).

    j is a random item not of u. Vectors and gradients of users are of those in the batch only: `rows[r]` is the row
    of user `users[r]`.
    """
    n_items, size = item_vectors.shape
    one = np.float32(1.0)
    for place in range(len(users)):
        u, i = users[place], positives[place]
        begin, end = offsets[u], offsets[u + 1]
        if end - begin >= n_items:
            continue
        j = _unseen(owned, begin, end, n_items, state)
        p, q, r = user_vectors[rows[place]], item_vectors[i], item_vectors[j]
        x = np.float32(0.0)
        for f in range(size):
            x += p[f] * (q[f] - r[f])
        push = one / (one + np.exp(x))
        gp, gq, gr = user_gradients[rows[place]], item_gradients[i], item_gradients[j]
        for f in range(size):
            gp[f] -= push * (q[f] - r[f])
            gq[f] -= push * p[f]
            gr[f] += push * p[f]


@_compiled
def sum_lines(starts: Any, stops: Any, items: Any, lines: Any, sums: Any) -> None:
    """Into `sums[r]` goes the sum of the `lines` that `items[starts[r]:stops[r]]` name.

    Eight lines at a time, so that a sum is read and written an eighth as often as lines are read.
    """
    size = lines.shape[1]
    for r in range(len(starts)):
        total = sums[r]
        total[:] = 0
        place, stop = starts[r], stops[r]
        while place + 8 <= stop:
            a, b, c, d = lines[items[place]], lines[items[place + 1]], lines[items[place + 2]], lines[items[place + 3]]
            place += 4
            e, f, g, h = lines[items[place]], lines[items[place + 1]], lines[items[place + 2]], lines[items[place + 3]]
            place += 4
            for n in range(size):
                total[n] += ((a[n] + b[n]) + (c[n] + d[n])) + ((e[n] + f[n]) + (g[n] + h[n]))
        while place < stop:
            a = lines[items[place]]
            place += 1
            for n in range(size):
                total[n] += a[n]


@_compiled
def sum_lines_into(starts: Any, stops: Any, items: Any, lines: Any, columns: Any, sums: Any) -> None:
    """As `sum_lines`; number n of a line goes to column `columns[n]` of the sums, and the others stay as they are."""
    total = np.empty((1, lines.shape[1]), np.float32)
    for r in range(len(starts)):
        sum_lines(starts[r : r + 1], stops[r : r + 1], items, lines, total)
        for n in range(len(columns)):
            sums[r, columns[n]] = total[0, n]


@_compiled
def weighted_sums(offsets: Any, items: Any, weights: Any, lines: Any, sums: Any) -> None:
    """Into `sums[r]` goes the sum of the `lines` of row r's items, the last times `weights[0]`, and so on back."""
    size = lines.shape[1]
    for r in range(len(sums)):
        total = sums[r]
        total[:] = 0
        for place in range(offsets[r], offsets[r + 1]):
            line, weight = lines[items[place]], weights[offsets[r + 1] - 1 - place]
            for f in range(size):
                total[f] += weight * line[f]


@_compiled
def spread_lines(users: Any, offsets: Any, items: Any, lines: Any, sums: Any) -> None:
    """To the `sums` of each item of `users[r]` is added `lines[r]`."""
    size = lines.shape[1]
    for r in range(len(users)):
        line = lines[r]
        for place in range(offsets[users[r]], offsets[users[r] + 1]):
            total = sums[items[place]]
            for f in range(size):
                total[f] += line[f]


@_compiled
def around(offsets: Any, items: Any, lines: Any, sums: Any) -> None:
    """Every user takes the mean of their items' `lines` and adds it to the `sums` of each of these items."""
    size = lines.shape[1]
    mean = np.empty(size, np.float32)
    for u in range(len(offsets) - 1):
        begin, end = offsets[u], offsets[u + 1]
        if begin == end:
            continue
        share = np.float32(1.0) / np.float32(end - begin)
        mean[:] = 0
        for place in range(begin, end):
            line = lines[items[place]]
            for f in range(size):
                mean[f] += line[f]
        for f in range(size):
            mean[f] *= share
        for place in range(begin, end):
            total = sums[items[place]]
            for f in range(size):
                total[f] += mean[f]


@_compiled
def adam(weights: Any, gradient: Any, first: Any, second: Any, rate: Any, bias1: Any, bias2: Any) -> None:
    """One step of Adam (Kingma and Ba, 2015) on a row or a table of weights, with .9, .999 and 1e-8."""
    w, g, m, v = weights.reshape(-1), gradient.reshape(-1), first.reshape(-1), second.reshape(-1)
    for f in range(len(w)):
        m[f] += np.float32(0.1) * (g[f] - m[f])
        v[f] += np.float32(0.001) * (g[f] * g[f] - v[f])
        w[f] -= rate * (m[f] * bias1) / (np.sqrt(v[f] * bias2) + np.float32(1e-8))


@_compiled
def best_of_rows(scores: Any, columns: Any, users: Any, offsets: Any, owned: Any, best: Any, values: Any) -> None:
    """Merge the highest scores of each row into `values`, and their items into `best`, highest first.

    Column c scores item `columns[c]`; row r is of user `users[r]`, whose items, within `offsets` of `owned`, are
    left out. Of equal scores, the lower item comes first. `values` begins as -inf, and keeps it where a
    row has fewer scores above that. A row is passed once; almost every score is below the worst of those kept, and
    goes by with one look at some dozens of them.
    """
    last = best.shape[1] - 1
    n_items = columns.max() + 1 if len(columns) else 0
    had = np.zeros(n_items, np.bool_)  # by the row's user; a search in `owned` would cost more than all else
    for row in range(scores.shape[0]):
        line, kept, kept_items = scores[row], values[row], best[row]
        begin, end = offsets[users[row]], offsets[users[row] + 1]
        for place in range(begin, end):
            if owned[place] < n_items:
                had[owned[place]] = True
        worst = kept[last]
        for start in range(0, len(line), _LOOK):
            some = line[start : start + _LOOK]
            high = 0
            for place in range(len(some)):
                high += some[place] >= worst
            if not high:
                continue
            for column in range(start, start + len(some)):
                score = line[column]
                if not score >= worst:
                    continue
                item = columns[column]
                if score == worst and (score == -np.inf or item > kept_items[last]):
                    continue
                if had[item]:
                    continue
                place = last
                while place > 0 and (
                    kept[place - 1] < score or (kept[place - 1] == score and kept_items[place - 1] > item)
                ):
                    kept[place], kept_items[place] = kept[place - 1], kept_items[place - 1]
                    place -= 1
                kept[place], kept_items[place] = score, item
                worst = kept[last]
        for place in range(begin, end):
            if owned[place] < n_items:
                had[owned[place]] = False


@_compiled
def stand(
    scores: Any, rows: Any, users: Any, candidates: Any, offsets: Any, owned: Any, score: Any, rank: Any, lead: Any
) -> None:
    """Where `candidates[n]` stands in line `rows[n]` of `scores` among items that `users[n]` does not own.

    Writes its `score`, its `rank` (1 and as many as are above it; of equal scores, the lower item is) and its `lead`
    over the best other. What is owned lies, within `offsets`, in `owned`; the candidate counts in any case.
    """
    n_items = scores.shape[1]
    had = np.zeros(n_items, np.bool_)
    for n in range(len(rows)):
        line, candidate = scores[rows[n]], candidates[n]
        begin, end = offsets[users[n]], offsets[users[n] + 1]
        for place in range(begin, end):
            had[owned[place]] = True
        mine = line[candidate]
        best = np.float32(-np.inf)
        above = 0
        for item in range(n_items):
            if had[item] or item == candidate:
                continue
            other = line[item]
            above += other > mine or (other == mine and item < candidate)
            best = max(best, other)
        for place in range(begin, end):
            had[owned[place]] = False
        score[n], rank[n], lead[n] = mine, above + 1, mine - best


@_compiled
def smallest_set(added: Any, candidate: Any, owned: Any, chosen: Any) -> Any:
    """The fewest rows of `added` without which `candidate` is no longer first: their numbers, into `chosen`.

    `added[r, i]` is what row r adds to the score of item i; what is `owned` (rising) is no rival. For one rival, the
    best rows to leave out are those that favour the candidate most; so the fewest for any rival are the fewest of all.
    Of sets of one size, the one that lets a rival furthest ahead. `chosen` stays as it is (-1) where so many rows are
    not enough. Returns whether the candidate is first at all.
    """
    n_rows, n_items = added.shape
    most = len(chosen)
    had = np.zeros(n_items, np.bool_)
    for item in owned:
        had[item] = True
    had[candidate] = True
    lead = np.zeros(n_items, np.float64)
    best = np.zeros((n_items, most), np.float64)  # what leaving out the best rows wins, largest first
    for row in range(n_rows):
        line = added[row]
        mine = line[candidate]
        for item in range(n_items):
            gain = np.float64(mine) - np.float64(line[item])
            lead[item] += gain
            if gain > best[item, most - 1]:
                place = most - 1
                while place > 0 and best[item, place - 1] < gain:
                    best[item, place] = best[item, place - 1]
                    place -= 1
                best[item, place] = gain
    rival, size, ahead = -1, most + 1, 0.0
    for item in range(n_items):
        if had[item]:
            continue
        if lead[item] < 0 or (lead[item] == 0 and item < candidate):
            return False
        left = lead[item]
        for place in range(most):
            left -= best[item, place]
            # What float32 sums could still turn around does not count.
            if left < -1e-5 * (np.abs(lead[item]) + 1e-2):
                if place + 1 < size or (place + 1 == size and left < ahead):
                    rival, size, ahead = item, place + 1, left
                break
    for place in range(size if rival >= 0 else 0):
        row, most_gain = -1, -np.inf
        for other in range(n_rows):
            gain = np.float64(added[other, candidate]) - np.float64(added[other, rival])
            taken = False
            for before in range(place):
                taken = taken or chosen[before] == other
            if not taken and gain > most_gain:
                row, most_gain = other, gain
        chosen[place] = row
    return True
