"""How long an epoch and the top-10 of everyone take at Steam's size, and how much memory.

    python benchmarks/training_steam_size.py bpr|lightgcn [--top-10 USERS]

The pairs are synthetic, as in benchmarks/peers/implicit_steam.py: 2.6 M users, 32,000 items, 7.8 M pairs. One process,
as many threads as the environment says (OMP_NUM_THREADS=1 for one).
"""

from __future__ import annotations

import argparse
import resource
import time

import numpy as np
import polars as pl

from llmxrec.datasets.dataset import Histories
from llmxrec.recommenders import make_recommender
from llmxrec.recommenders.protocol import Watch
from llmxrec.recommenders.topk import best_unseen
from llmxrec.testing.recommenders import checkerboard

USERS, ITEMS, PAIRS = 2_600_000, 32_000, 7_800_000


def main() -> None:
    parser = argparse.ArgumentParser(description="Train at Steam's size.")
    parser.add_argument("recommender", choices=["bpr", "lightgcn"])
    parser.add_argument("--top-10", type=int, default=100_000, help="of so many users")
    asked = parser.parse_args()
    make_recommender(asked.recommender, {"epochs": 1}).fit(checkerboard()[0])  # compiles
    train = pairs()
    print(f"{len(train):,} pairs; {peak():.2f} GB with the data", flush=True)
    told: list[float] = [time.perf_counter()]
    recommender = make_recommender(asked.recommender)
    watch = Watch(lambda _: told.append(time.perf_counter()), last_epoch=2)
    recommender.fit(train, watch)
    print(f"{asked.recommender}: epochs of {', '.join(f'{s:.1f}' for s in np.diff(told[1:]))} s, "
          f"{time.perf_counter() - told[0]:.1f} s in all; {peak():.2f} GB at the peak", flush=True)  # fmt: skip
    users = np.sort(np.random.default_rng(2).choice(USERS, asked.top_10, replace=False))
    start = time.perf_counter()
    best_unseen(recommender, train, users, 10)
    print(f"top-10: {len(users) / (time.perf_counter() - start):,.0f} users/s; {peak():.2f} GB at the peak")


def pairs(seed: int = 1) -> Histories:
    """Each pair once, items drawn unevenly."""
    rng = np.random.default_rng(seed)
    user = rng.integers(0, USERS, PAIRS)
    item = (ITEMS * rng.random(PAIRS) ** 3).astype(np.int64)
    keys = np.unique(user * ITEMS + item)
    counts = np.bincount(keys // ITEMS, minlength=USERS)
    ids = [pl.Series(np.arange(n)).cast(pl.String) for n in (USERS, ITEMS)]
    return Histories(*ids, np.concatenate([[0], np.cumsum(counts)]), (keys % ITEMS).astype(np.int32))


def peak() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


if __name__ == "__main__":
    main()
