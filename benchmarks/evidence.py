"""How long it takes to trace causes, and whether they are the causes: ML-100k, all 943 users, by hand.

    python benchmarks/evidence.py [--data FOLDER] [--out FILE.json]

Time: from a fitted recommender to the evidence of everybody's first recommendation, and of half of the people. Truth:
items leave the history by tenths, in the order of their influence, of chance, or newest first; POS@1 is the share of
recommendations that still stand first, averaged over nine steps (as in Barkan et al., "A counterfactual framework for
learning and evaluating explanations for recommender systems", 2024). EASE with ridge 200, last item held out.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

import numpy as np
import polars as pl

from llmxrec.datasets import read_dataset
from llmxrec.datasets.dataset import Histories
from llmxrec.datasets.split import leave_one_out
from llmxrec.evidence.causes import measure, standings
from llmxrec.recommenders import make_recommender
from llmxrec.recommenders.protocol import Recommender
from llmxrec.recommenders.topk import recommend
from llmxrec.seeds import derive
from llmxrec.stages.data import find_source
from llmxrec.stages.recommending import parts

STEPS = 9


def main() -> None:
    read = argparse.ArgumentParser(description=__doc__)
    read.add_argument("--data", default=None)
    read.add_argument("--recommenders", default="ease,bpr,lightgcn,sasrec")
    read.add_argument("--out", type=Path, default=None)
    options = read.parse_args()
    dataset, _ = read_dataset("ml-100k", find_source("ml-100k", options.data))
    train, known, _, _ = parts(dataset, hold_out=True)
    figures: dict[str, dict[str, float]] = {}
    for name in options.recommenders.split(","):
        recommender = make_recommender(name).fit(train)
        rows = recommend(recommender, train, known, 1)
        measure(recommender, train, known, rows.head(5))  # what has to be compiled is compiled
        half, whole = (seconds(recommender, train, known, some) for some in (rows[::2], rows))
        found = measure(recommender, train, known, rows)
        sizes = found["displacing"].list.len()
        figures[name] = {
            "seconds": whole,
            "seconds_of_half": half,
            "first_by_history": float((found["place"] == 1).mean()),
            "displaced_by_one": float((sizes == 1).sum() / found.height),
            "displaced": float(sizes.is_not_null().mean()),
            "items": float(sizes.mean() or 0),
        }
        print(name, {key: round(value, 3) for key, value in figures[name].items()}, flush=True)
    split = leave_one_out(dataset)
    users, items = dataset.users["user_id"], dataset.items["item_id"]
    before = Histories.build(pl.concat([split.train, split.validation]), users, items)
    ease = make_recommender("ease", {"ridge": 200.0}).fit(before)
    figures["pos_at_1"] = curves(ease, before)
    print("POS@1 by order of removal", {key: round(value, 3) for key, value in figures["pos_at_1"].items()})
    if options.out:
        options.out.write_text(json.dumps(figures, indent=1))


def seconds(recommender: Recommender, train: Histories, known: Histories, rows: pl.DataFrame) -> float:
    start = time.perf_counter()
    measure(recommender, train, known, rows)
    return time.perf_counter() - start


def curves(recommender: Recommender, histories: Histories) -> dict[str, float]:
    """POS@1, averaged over steps and users, by the order in which items leave the history."""
    rows = recommend(recommender, histories, histories, 1)
    found = measure(recommender, histories, histories, rows)
    number = {item: row for row, item in enumerate(histories.items.to_list())}
    people = {user: row for row, user in enumerate(histories.users.to_list())}
    orders: dict[str, list[np.ndarray]] = {"influence": [], "random": [], "most recent": []}
    users, candidates = [], []
    for user_id, item_id, ranked in found.select("user_id", "item_id", "history").iter_rows():
        user = people[user_id]
        history = histories.of(user)
        draw = np.random.Generator(np.random.PCG64(derive(1, "order", user_id)))
        orders["influence"].append(np.array([number[item] for item in ranked]))
        orders["random"].append(draw.permutation(history))
        orders["most recent"].append(history[::-1])
        users.append(user)
        candidates.append(number[item_id])
    out = {}
    for name, gone in orders.items():
        variants, asked, wanted = [], [], []
        for user, candidate, order in zip(users, candidates, gone, strict=True):
            history = histories.of(user)
            for step in range(1, STEPS + 1):
                left_out = order[: round(len(order) * step / (STEPS + 1))]
                variants.append(history[~np.isin(history, left_out)])
                asked.append(user)
                wanted.append(candidate)
        rank = standings(
            recommender, histories, variants, np.arange(len(variants)), np.array(asked), np.array(wanted)
        ).rank
        out[name] = float((rank == 1).mean())
    return out


if __name__ == "__main__":
    main()
