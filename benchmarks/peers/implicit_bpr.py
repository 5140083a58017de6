"""Implicit's BPR, or its ALS, on the folder of export.py.

    python benchmarks/peers/implicit_bpr.py DATA OUT.json --seed N [--epochs MAX] [--patience 50] [--model als]

It tells a callback when an epoch ends, and that is where we measure and stop it.
"""

from __future__ import annotations

import contextlib
from typing import Any

import implicit
import numpy as np
from common import TOP_K, Training, arguments, read, users_per_second, write
from implicit.cpu.als import AlternatingLeastSquares
from implicit.cpu.bpr import BayesianPersonalizedRanking
from scipy.sparse import csr_matrix

MODELS = {"bpr": BayesianPersonalizedRanking, "als": AlternatingLeastSquares}
FACTORS = 100


class EnoughError(Exception):
    """Raised from the callback: the only way to end a fit early."""


def main() -> None:
    # Its epochs are many and short: with RecBole's patience of 10, seed 2 of BPR would stop at its first epoch.
    parser = arguments(__doc__, epochs=300, patience=50)
    parser.add_argument("--model", choices=MODELS, default="bpr")
    asked = parser.parse_args()
    data = read(asked.data)
    ones = np.ones(len(data.train), np.float32)
    train = csr_matrix((ones, (data.train[:, 0], data.train[:, 1])), (data.n_users, data.n_items))
    model = MODELS[asked.model](factors=FACTORS, iterations=asked.epochs, num_threads=1, random_state=asked.seed)
    training = Training(data, asked.patience)

    def after_epoch(*_: Any) -> None:
        if not training.epoch(lambda: model.user_factors @ model.item_factors.T):
            raise EnoughError

    training.start()
    with contextlib.suppress(EnoughError):
        model.fit(train, show_progress=False, callback=after_epoch)
    everyone = np.arange(data.n_users)
    rate = users_per_second(lambda: model.recommend(everyone, train, N=TOP_K), data.n_users)
    write(
        asked.out,
        peer=f"implicit {implicit.__version__} {asked.model.upper()}",
        settings=f"factors={FACTORS}, patience {asked.patience} epochs",
        seed=asked.seed,
        training=training,
        chosen=training.best,
        users_per_s=rate,
    )


if __name__ == "__main__":
    main()
