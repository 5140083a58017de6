"""How well gender, occupation and age of MovieLens-100K's people can be predicted, by rules and by generators.

    python benchmarks/attributes.py [--source FOLDER] [--workspace WORKSPACE --recommender NAME] [--tried]

FOLDER holds the original files (default: data/ml-100k). All 943 people; whatever learns
does so in five parts by turns. With a workspace, the predictions that lie in it are measured too, on the people that
they are about (`llmxrec predict` with adapters tuned by parts is about everybody); without one, only the rules are.
--tried: the regression with other features besides.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import polars as pl

from llmxrec.datasets import read_dataset
from llmxrec.datasets.dataset import Dataset, Histories
from llmxrec.datasets.split import leave_one_out
from llmxrec.evaluation.attributes import (
    Accuracy,
    Material,
    features,
    guess_at_random,
    guess_by_regression,
    guess_the_most_frequent,
    measure,
)
from llmxrec.evaluation.regression import counts, tf_idf
from llmxrec.prompts.targets import Targets
from llmxrec.reports.attributes import accuracy_lines
from llmxrec.stored import stored_predictions
from llmxrec.workspace import Workspace

SOURCE = Path("data/ml-100k")
TARGETS = ("gender", "occupation", "age")


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--source", type=Path, default=SOURCE)
    parser.add_argument("--workspace", type=Path)
    parser.add_argument("--recommender", default="bpr")
    parser.add_argument("--tried", action="store_true")
    given = parser.parse_args()
    dataset, _ = read_dataset("ml-100k", given.source)
    # What recommenders are trained on: all but the last two films of each person.
    histories = Histories.build(leave_one_out(dataset).train, dataset.users["user_id"], dataset.items["item_id"])
    targets = Targets.of(dataset, histories)
    found: list[Accuracy] = []
    start = time.perf_counter()
    for material in materials(dataset, targets):
        read = features(material.target, material.rows, dataset, histories)
        found += [guess_at_random(material), guess_the_most_frequent(material), guess_by_regression(material, read)]
    print(f"the rules took {time.perf_counter() - start:.0f} s")
    if given.workspace is not None:
        found += predicted(Workspace(given.workspace), given.recommender, targets)
    for line in accuracy_lines(sorted(found, key=lambda one: TARGETS.index(one.target))):
        print(line)
    if given.tried:
        for material in materials(dataset, targets):
            for name, read in others(dataset, histories).items():
                accuracy = guess_by_regression(material, read).accuracy
                print(f"{material.target}, {name}: {accuracy:.3f}", flush=True)


def materials(dataset: Dataset, targets: Targets) -> Iterator[Material]:
    # What is recommended makes no difference to who a person is.
    rows = dataset.users.select("user_id", item_id=pl.lit(dataset.items["item_id"][0]))
    for target in TARGETS:
        yield Material.of(target, rows, targets)


def predicted(workspace: Workspace, recommender: str, targets: Targets) -> list[Accuracy]:
    """Of all generators whose predictions about `recommender` lie in `workspace`, what was asked of TARGETS."""
    return [
        one
        for name in workspace.predictors(recommender)
        for one in measure(stored_predictions(workspace, recommender, name), name, targets)
        if one.target in TARGETS
    ]


def others(dataset: Dataset, histories: Histories) -> Mapping[str, Any]:
    """Other features of everybody, by what they are."""
    had = counts([histories.of(user) for user in range(histories.n_users)], histories.n_items)
    newest = counts([histories.of(user)[-50:] for user in range(histories.n_users)], histories.n_items)
    return {
        "items as they are": had,
        "items as they are, a tenth": 0.1 * had,
        "items by tf-idf": tf_idf(had),
        "the newest 50 items by tf-idf": tf_idf(newest),
    }


if __name__ == "__main__":
    main()
