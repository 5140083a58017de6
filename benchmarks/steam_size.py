"""How long a dataset of Steam's size takes to read, split and save, and how much memory.

    python benchmarks/steam_size.py [--users 2600000 --items 32000 --rows 7800000] [--reviews 300000]

Makes a synthetic Parquet table (seeded), then reads, splits and saves it in a process of its own. The bound is 60 s
and 4 GB on 2 cores. With --reviews it also writes that many synthetic lines as Steam's reviews are published, and
says how many a second are read.
"""

from __future__ import annotations

import argparse
import gzip
import random
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

MOST_SECONDS, MOST_BYTES = 60.0, 4 << 30


def main() -> int:
    parser = argparse.ArgumentParser(description="Read, split and save a dataset of Steam's size.")
    parser.add_argument("--users", type=int, default=2_600_000)
    parser.add_argument("--items", type=int, default=32_000)
    parser.add_argument("--rows", type=int, default=7_800_000)
    parser.add_argument("--reviews", type=int, default=0, help="lines of reviews to read as well")
    parser.add_argument("--step", choices=["make", "read", "make-reviews", "read-reviews"], help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.step == "make":
        return make_tables(asked.folder, asked.users, asked.items, asked.rows)
    if asked.step == "read":
        return read_tables_of(asked.folder)
    if asked.step == "make-reviews":
        return make_reviews(asked.folder, asked.reviews, asked.items)
    if asked.step == "read-reviews":
        return read_reviews_of(asked.folder)
    with tempfile.TemporaryDirectory() as folder:
        # Each step has a process of its own, since a process counts the memory of the one that started it.
        for step in ("make", "read", "make-reviews", "read-reviews") if asked.reviews else ("make", "read"):
            command = [sys.executable, __file__, *sys.argv[1:], "--step", step, "--folder", folder]
            if code := subprocess.call(command):
                return code
    return 0


def make_tables(folder: Path, users: int, items: int, rows: int, seed: int = 1) -> int:
    """Write interactions.parquet and items.parquet; items are drawn unevenly, as in life, users evenly."""
    import numpy as np
    import polars as pl

    rng = np.random.default_rng(seed)
    user = rng.integers(0, users, rows)
    item = (items * rng.random(rows) ** 3).astype(np.int64)
    when = 1_287_000_000 + rng.integers(0, 2_600, rows) * 86_400
    pl.DataFrame({"user": user, "item": item, "date": pl.from_epoch(pl.Series(when)).dt.date()}).with_columns(
        pl.format("7656119{}", "user").alias("user"), pl.format("{}0", "item").alias("item")
    ).write_parquet(folder / "interactions.parquet")
    names = [f"Game {n}" for n in range(items)]
    pl.DataFrame(
        {"item": [f"{n}0" for n in range(items)], "title": names, "tags": ["Action|Indie"] * items}
    ).write_parquet(folder / "items.parquet")
    return 0


def read_tables_of(folder: Path) -> int:
    """Read, split and save; print what it took. Returns 1 where that is beyond the bounds."""
    start = time.perf_counter()
    from llmxrec.datasets.domains import load_domain
    from llmxrec.datasets.split import leave_one_out
    from llmxrec.datasets.tables import read_tables

    dataset, report = read_tables(
        folder / "interactions.parquet", folder / "items.parquet", None, load_domain("games"), {}
    )
    read = time.perf_counter()
    split = leave_one_out(dataset)
    parted = time.perf_counter()
    dataset.save(folder / "saved")
    end = time.perf_counter()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    for line in report.lines():
        print(line)
    print(
        f"{dataset.interactions.height:,} interactions of {dataset.users.height:,} users; "
        f"test {split.test.height:,}, kept out {split.kept_out:,}"
    )
    print(f"read {read - start:.1f} s, split {parted - read:.1f} s, save {end - parted:.1f} s")
    print(f"{end - start:.1f} s in all (at most {MOST_SECONDS:.0f}), {peak / 2**30:.2f} GB at the peak (at most 4)")
    return int(end - start > MOST_SECONDS or peak > MOST_BYTES)


def make_reviews(folder: Path, reviews: int, items: int, seed: int = 1) -> int:
    """Write Steam's two files with made-up content, spelled as they are."""
    draw = random.Random(seed)
    words = ("it's", "a", "good", '"game"', "of", "many", "hours", "that", "I", "don't", "play", "any", "more")
    with gzip.open(folder / "steam_games.json.gz", "wt", compresslevel=1) as out:
        for n in range(items):
            out.write(f"{{u'id': u'{n}0', u'title': u'Game {n}', u'price': 4.99, u'tags': [u'Action', u'Indie']}}\n")
    with gzip.open(folder / "steam_reviews.json.gz", "wt", compresslevel=1) as out:
        for n in range(reviews):
            text = ascii(" ".join(draw.choices(words, k=draw.randrange(2, 120))))
            out.write(
                f"{{u'username': u'person {n % 100_000}', u'hours': {draw.random() * 99:.1f}, u'products': 217, "
                f"u'product_id': u'{draw.randrange(items)}0', u'page_order': {n % 10}, u'date': u'2017-12-24', "
                f"u'text': u{text}, u'early_access': False, u'page': 1}}\n"
            )
    return 0


def read_reviews_of(folder: Path) -> int:
    """Read Steam's two files; print how many lines a second."""
    from llmxrec.datasets import read_dataset

    start = time.perf_counter()
    _, report = read_dataset("steam", folder)
    seconds = time.perf_counter() - start
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    lines = sum(report.read.values())
    print(
        f"{lines:,} lines of Steam's files in {seconds:.1f} s ({lines / seconds:,.0f} lines/s), {peak / 2**30:.2f} GB"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
