"""Logistic regression that learns from several right answers at once, and the tf-idf that it reads.

Of a person of 34, every age from 29 to 39 is right, and each of them is learned. So .55 of the ages on MovieLens-100K
are told, and .51 where 34 alone is learned. Libraries learn one answer to a row; repeating the row for each takes ten
times as long.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from llmxrec.errors import MissingExtra
from llmxrec.evaluation.bootstrap import Floats

Numbers = npt.NDArray[np.integer[Any]]

STEPS, ENOUGH = 30, 1e-4
"""Steps of L-BFGS at most, and the share of the loss below which one gains too little to go on. More do not help those
who were not learned from."""


@dataclass(frozen=True)
class Regression:
    """Weights (features, answers) and what each answer begins with (answers,): log odds are linear in the features."""

    weights: Floats
    bias: Floats

    def shares(self, read: Any) -> Floats:
        """How likely each answer is, by row of `read` (rows, features): (rows, answers), each row summing to 1."""
        return _softmax(read @ self.weights + self.bias)[0]


def regressions(
    read: Any, wanted: Floats, strengths: Sequence[float], *, steps: int = STEPS, enough: float = ENOUGH
) -> Iterator[Regression]:
    """A regression for each of `strengths` (inverse ones of the L2 penalty, rising), each begun where the last ended.

    `read`: a sparse matrix (rows, features). `wanted`: (rows, answers), each row summing to 1. What is made small is
    the sum of cross-entropies times the strength, plus half the sum of squared weights.
    """
    from scipy.optimize import minimize

    features, answers = read.shape[1], wanted.shape[1]
    turned = read.T.tocsr()
    found = np.zeros((features + 1) * answers)

    def loss(flat: Floats, strength: float) -> tuple[float, Floats]:
        weights = flat.reshape(features + 1, answers)
        shares, logs = _softmax(read @ weights[:-1] + weights[-1])
        off = strength * (shares - wanted)
        slopes = np.concatenate([turned @ off + weights[:-1], off.sum(axis=0, keepdims=True)])
        return -strength * float((wanted * logs).sum()) + 0.5 * float(np.square(weights[:-1]).sum()), slopes.ravel()

    for strength in strengths:
        options = {"maxiter": steps, "ftol": enough}
        found = minimize(loss, found, args=(strength,), jac=True, method="L-BFGS-B", options=options).x
        weights = found.reshape(features + 1, answers)
        yield Regression(weights[:-1].copy(), weights[-1].copy())


def counts(rows: Sequence[Sequence[int] | Numbers], width: int) -> Any:
    """A sparse matrix (rows, width): how often each number stands in each row."""
    try:
        from scipy import sparse
    except ImportError:
        raise MissingExtra("the supervised model", "predict") from None
    starts = np.cumsum([0, *map(len, rows)])
    columns = np.concatenate([np.empty(0, np.int64), *(np.asarray(row, np.int64) for row in rows)])
    found = sparse.csr_matrix((np.ones(len(columns)), columns, starts), shape=(len(rows), width))
    found.sum_duplicates()
    return found


def joined(matrices: Sequence[Any]) -> Any:
    """Sparse matrices of the same rows, side by side."""
    from scipy import sparse

    return sparse.hstack(matrices, format="csr")


def tf_idf(found: Any) -> Any:
    """Counts (rows, words), those that stand in few rows weighed more, each row of length 1 (0 where it is empty).

    A word that stands in d of n rows weighs 1 + log((1 + n) / (1 + d)).
    """
    from scipy import sparse

    n = found.shape[0]
    weighed = found @ sparse.diags(1 + np.log((1 + n) / (1 + found.getnnz(axis=0))))
    lengths = np.sqrt(np.asarray(weighed.multiply(weighed).sum(axis=1)).ravel())
    return sparse.csr_matrix(sparse.diags(1 / np.where(lengths > 0, lengths, 1.0)) @ weighed)


def _softmax(logits: Floats) -> tuple[Floats, Floats]:
    """Shares and their logarithms, by row."""
    logs = logits - logits.max(axis=1, keepdims=True)
    logs = logs - np.log(np.exp(logs).sum(axis=1, keepdims=True))
    return np.exp(logs), logs
