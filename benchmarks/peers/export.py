"""Write MovieLens-100K, split as in benchmarks/recommenders.py, as plain files for the peers' environments.

    python benchmarks/peers/export.py DATA [FOLDER of the original files]

Needs llmxrec. Users and items are numbered as in its tables; `order` is the place in the user's history, with ties in
time broken already, so that no peer breaks them in its own way.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import polars as pl

from llmxrec.datasets import read_dataset
from llmxrec.datasets.dataset import Histories
from llmxrec.datasets.split import leave_one_out
from llmxrec.stages.data import find_source


def main() -> None:
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    dataset, _ = read_dataset("ml-100k", find_source("ml-100k", *sys.argv[2:3]))
    users, items = dataset.users["user_id"], dataset.items["item_id"]
    split = leave_one_out(dataset)
    before = np.zeros(len(users), np.int64)
    for name in ("train", "validation", "test"):
        part = Histories.build(getattr(split, name), users, items)
        counts = np.diff(part.offsets)
        user = np.repeat(np.arange(len(users)), counts)
        order = before[user] + np.arange(len(part)) - part.offsets[user]
        pl.DataFrame({"user": user, "item": part.item_index, "order": order}).write_csv(
            folder / f"{name}.tsv", separator="\t"
        )
        before += counts
    (folder / "sizes.json").write_text(json.dumps({"n_users": len(users), "n_items": len(items)}) + "\n")


if __name__ == "__main__":
    main()
