"""LLMXRec's own recommenders on the folder of export.py, measured as the peers are.

    python benchmarks/peers/llmxrec_models.py DATA OUT.json --seed N [--model bpr]

The figures are those of a fit as people have it, ended by the validation items; before it, a fit for all planned epochs
is measured after each of them, which gives the curve. Compiling is not counted.
"""

from __future__ import annotations

import time
from importlib.metadata import version
from typing import Any

import numpy as np
import polars as pl
from common import TOP_K, Data, Ints, Training, arguments, read, users_per_second, write

from llmxrec.datasets.dataset import Histories
from llmxrec.recommenders import RECOMMENDERS, make_recommender, training
from llmxrec.recommenders.protocol import UNWATCHED, Recommender, Watch
from llmxrec.recommenders.topk import best_unseen, recommend, top_k
from llmxrec.testing.recommenders import checkerboard


def main() -> None:
    parser = arguments(__doc__, epochs=0)
    parser.add_argument("--model", choices=sorted(RECOMMENDERS), default="bpr")
    asked = parser.parse_args()
    data = read(asked.data)
    train, known = histories(data, data.train), histories(data, data.known)
    held_out = np.full(data.n_users, -1)
    held_out[data.validation[:, 0]] = data.validation[:, 1]
    compiling = make_recommender(asked.model)
    small = make_recommender(asked.model, {"epochs": 1} if compiling.epochs else {})
    best_unseen(small.fit(checkerboard()[0]), checkerboard()[0], np.arange(1), 1)
    curve = learn(make_recommender(asked.model, seed=asked.seed), train, data)
    recommender = make_recommender(asked.model, seed=asked.seed)
    start = time.process_time()
    recommender.fit(train, Watch(held_out=held_out))
    seconds = time.process_time() - start
    chosen = Training(data)
    everyone = np.arange(data.n_users)
    scores = recommender.score(everyone)
    chosen.add(seconds, recommender.best_epoch, scores)
    chosen.curve += curve.curve
    by_user, _ = top_k(scores, known, everyone, TOP_K)
    by_history, _ = top_k(recommender.score_histories([train.of(u) for u in everyone]), known, everyone, TOP_K)
    write(
        asked.out,
        peer=f"LLMXRec {version('llmxrec')} {asked.model}",
        settings="defaults",
        seed=asked.seed,
        training=chosen,
        chosen=chosen.curve[0],
        users_per_s=users_per_second(lambda: recommend(recommender, train, known, TOP_K), data.n_users),
        alike=np.mean([len({*a} & {*b}) / TOP_K for a, b in zip(by_user.tolist(), by_history.tolist(), strict=True)]),
    )


def histories(data: Data, rows: Ints) -> Histories:
    counts = np.bincount(rows[:, 0], minlength=data.n_users)
    ids = [pl.Series(np.arange(n)).cast(pl.String) for n in (data.n_users, data.n_items)]
    return Histories(*ids, np.concatenate([[0], np.cumsum(counts)]), rows[:, 1].astype(np.int32))


def learn(recommender: Recommender, train: Histories, data: Data) -> Training:
    """Every planned epoch, each measured."""
    watched = Training(data, patience=recommender.epochs)

    def epochs(learner: Any, _histories: Histories, _watch: Watch) -> int:
        watched.start()
        for number in range(learner.epochs):
            learner.epoch(number)
            learner.measurable()
            watched.epoch(lambda: learner.score(np.arange(data.n_users)))
        return int(learner.epochs)

    usual = training.train
    training.train = epochs
    try:
        recommender.fit(train, UNWATCHED)
    finally:
        training.train = usual
    return watched


if __name__ == "__main__":
    main()
