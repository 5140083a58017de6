"""How many rows a second go through stage 2 when the generator costs nothing, and in how much memory.

    python benchmarks/explaining.py [ROWS] [GENERATOR]

Simulated people, histories of 20 films, the template generator if no other is named, everything included: prompt,
digest, ledger.
"""

from __future__ import annotations

import resource
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import polars as pl

from llmxrec.asking.questions import Questions
from llmxrec.datasets.dataset import Histories
from llmxrec.datasets.demo.simulation import simulate
from llmxrec.explain import explain, read_explanations
from llmxrec.generators.specs import make_generator
from llmxrec.prompts.instructions import PromptSettings

TOP = 20


def main() -> None:
    rows = int(sys.argv[1]) if sys.argv[1:] else 100_000
    generator = make_generator(sys.argv[2] if sys.argv[2:] else "template")
    dataset, _ = simulate(-(-rows // TOP))
    histories = Histories.build(dataset.interactions, dataset.users["user_id"], dataset.items["item_id"])
    draw = np.random.default_rng(1)
    items = np.array([draw.permutation(dataset.items.height)[:TOP] for _ in range(dataset.users.height)])
    recommendations = pl.DataFrame(
        {
            "user_id": dataset.users["user_id"].gather(np.repeat(np.arange(dataset.users.height), TOP)),
            "item_id": dataset.items["item_id"].gather(items.ravel()),
            "rank": pl.Series(np.tile(np.arange(1, TOP + 1), dataset.users.height), dtype=pl.Int32),
        }
    ).head(rows)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "explanations.jsonl")
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        start = time.perf_counter()
        questions = Questions.of("random", recommendations, dataset, histories, generator, PromptSettings(), top=TOP)
        explain(questions, file)
        explained = time.perf_counter()
        again = explain(questions, file)
        resumed = time.perf_counter()
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        table = read_explanations(file, recommendations)
        print(f"{rows:,} rows: {rows / (explained - start):,.0f} rows/s; {again.known:,} known after")
        print(f"again: {rows / (resumed - explained):,.0f} rows/s")
        print(f"peak: {peak:,.0f} MiB ({before:,.0f} before)")
        print(f"read back: {table.height:,} rows in {time.perf_counter() - resumed:.1f} s")


if __name__ == "__main__":
    main()
