"""Implicit's BPR on a synthetic dataset of Steam's size: seconds of an epoch, top-10 users a second, memory.

    python benchmarks/peers/implicit_steam.py

2.6 M users, 32,000 items and 7.8 M pairs, drawn with a seed: items unevenly, as in life, users evenly.
"""

from __future__ import annotations

import json
import time
from typing import Any

import implicit
import numpy as np
from common import TOP_K, peak_mib
from implicit.cpu.bpr import BayesianPersonalizedRanking
from scipy.sparse import csr_matrix

USERS, ITEMS, ROWS = 2_600_000, 32_000, 7_800_000
FACTORS, EPOCHS, SERVED, BATCH = 64, 3, 100_000, 1_000


def main() -> None:
    rng = np.random.default_rng(1)
    user = rng.integers(0, USERS, ROWS).astype(np.int32)
    item = (ITEMS * rng.random(ROWS) ** 3).astype(np.int32)
    # Pairs that occur twice are summed to one entry.
    train = csr_matrix((np.ones(ROWS, np.float32), (user, item)), (USERS, ITEMS))
    del user, item
    made = peak_mib()
    model = BayesianPersonalizedRanking(factors=FACTORS, iterations=EPOCHS, num_threads=1, random_state=1)
    ends: list[float] = []

    def after_epoch(*_: Any) -> None:
        ends.append(time.process_time())

    start = time.process_time()
    model.fit(train, show_progress=False, callback=after_epoch)
    fit = time.process_time() - start
    served = rng.permutation(USERS)[:SERVED]
    start = time.process_time()
    for first in range(0, SERVED, BATCH):
        users = served[first : first + BATCH]
        model.recommend(users, train[users], N=TOP_K, filter_already_liked_items=True)
    figures = {
        "peer": f"implicit {implicit.__version__} BPR",
        "settings": f"factors={FACTORS}, num_threads=1",
        "pairs": train.nnz,
        "seconds_per_epoch": (ends[-1] - ends[0]) / (EPOCHS - 1),
        "seconds_of_fit": fit,
        "users_per_s": SERVED / (time.process_time() - start),
        "peak_mib_of_data": made,
        "peak_mib": peak_mib(),
    }
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
