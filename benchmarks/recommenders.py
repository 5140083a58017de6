"""How fast and how good the recommenders are, on MovieLens-100K.

    python benchmarks/recommenders.py [FOLDER of the original files]

Leave-one-out by time, ties by place in the file, full ranking without seen items. Times are of one process; the first
fit, in which numba compiles, is not counted.
"""

from __future__ import annotations

import sys
import time

import numpy as np
import polars as pl

from llmxrec.datasets import read_dataset
from llmxrec.datasets.dataset import Histories
from llmxrec.datasets.split import leave_one_out
from llmxrec.experiment import find_source
from llmxrec.recommenders import make_recommender
from llmxrec.recommenders.metrics import evaluate
from llmxrec.recommenders.protocol import Watch
from llmxrec.recommenders.topk import recommend, top_k

SEEDS = {"popularity": 1, "ease": 1, "bpr": 5, "lightgcn": 5, "sasrec": 5}


def main() -> None:
    dataset, _ = read_dataset("ml-100k", find_source("ml-100k", *sys.argv[1:2]))
    split = leave_one_out(dataset)
    users, items = dataset.users["user_id"], dataset.items["item_id"]
    train = Histories.build(split.train, users, items)
    known = Histories.build(pl.concat([split.train, split.validation]), users, items)
    validation = Histories.build(split.validation, users, items)
    held_out = np.full(train.n_users, -1)
    held_out[validation.user_index] = validation.item_index
    for name in ("bpr", "lightgcn"):
        make_recommender(name, {"epochs": 1}).fit(train)
    print(f"{'':12}{'fit s':>8}{'users/s':>10}{'NDCG@10':>22}{'Recall@10':>22}  what-if")
    for name, seeds in SEEDS.items():
        fits, rates, ndcg, recall, same = [], [], [], [], []
        for seed in range(1, seeds + 1):
            recommender = make_recommender(name, seed=seed)
            start = time.perf_counter()
            recommender.fit(train, Watch(held_out=held_out))
            fitted = time.perf_counter()
            table = recommend(recommender, train, known, 10)
            fits.append(fitted - start)
            rates.append(train.n_users / (time.perf_counter() - fitted))
            found = {metric.name: metric.value for metric in evaluate(table, split.test, 10)}
            ndcg.append(found["NDCG@10"])
            recall.append(found["Recall@10"])
            everyone = np.arange(train.n_users)
            by_user, _ = top_k(recommender.score(everyone), known, everyone, 10)
            by_history, _ = top_k(recommender.score_histories([train.of(u) for u in everyone]), known, everyone, 10)
            pairs = zip(by_user.tolist(), by_history.tolist(), strict=True)
            same.append(np.mean([len({*a} & {*b}) / 10 for a, b in pairs]))
        row = f"{name:12}{np.median(fits):8.2f}{np.median(rates):10,.0f}{_mean(ndcg):>22}{_mean(recall):>22}"
        print(f"{row}  {np.mean(same):.2f} of the top 10 alike")


def _mean(values: list[float]) -> str:
    """The mean over seeds, with its 95 % interval (Student's t would widen it a little)."""
    half = 1.96 * np.std(values, ddof=1) / np.sqrt(len(values)) if len(values) > 1 else 0.0
    return f"{np.mean(values):.4f}" + (f" ± {half:.4f}" if half else "")


if __name__ == "__main__":
    main()
