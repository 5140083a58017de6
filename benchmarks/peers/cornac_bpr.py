"""Cornac's BPR on the folder of export.py.

    python benchmarks/peers/cornac_bpr.py DATA OUT.json --seed N [--epochs 100]

Cornac tells nobody when an epoch ends. So each point of the curve is a fit of its own, from the beginning, and its
seconds are those of that fit. The figures are of the last point, the fixed number of epochs.
"""

from __future__ import annotations

import time

import cornac
import numpy as np
from common import TOP_K, Scores, Training, arguments, read, users_per_second, write
from cornac.data import Dataset
from cornac.models import BPR

FACTORS, LEARNING_RATE, POINTS = 64, 0.05, 10


def main() -> None:
    asked = arguments(__doc__, epochs=100).parse_args()
    data = read(asked.data)
    train = Dataset.from_uir([(user, item, 1.0) for user, item in data.train.tolist()], seed=asked.seed)
    training = Training(data)
    for epochs in sorted({max(1, asked.epochs * point // POINTS) for point in range(1, POINTS + 1)}):
        model = BPR(k=FACTORS, max_iter=epochs, learning_rate=LEARNING_RATE, seed=asked.seed)
        start = time.process_time()
        model.fit(train)
        training.add(time.process_time() - start, epochs, scores(model, data.n_users, data.n_items))
    everyone = list(model.uid_map)
    rate = users_per_second(
        lambda: [model.recommend(user, k=TOP_K, remove_seen=True, train_set=train) for user in everyone], len(everyone)
    )
    write(
        asked.out,
        peer=f"Cornac {cornac.__version__} BPR",
        settings=f"k={FACTORS}, learning_rate={LEARNING_RATE}, {asked.epochs} epochs",
        seed=asked.seed,
        training=training,
        chosen=training.curve[-1],
        users_per_s=rate,
    )


def scores(model: BPR, n_users: int, n_items: int) -> Scores:
    """In the data folder's numbers: Cornac numbers users and items as they come, and knows those of train only."""
    users, items = list(model.uid_map), list(model.iid_map)
    out = np.full((n_users, n_items), -np.inf, np.float32)
    out[np.ix_(users, items)] = model.u_factors @ model.i_factors.T + model.i_biases
    return out


if __name__ == "__main__":
    main()
