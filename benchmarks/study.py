"""How soon the study's pages come with many raters at once, and whether all is stored where its server is killed.

    python -m benchmarks.study [--raters 64] [--tasks 50] [--kills 10] [--think 2]

First raters who take their time, `--think` seconds a task in the mean, on a study of their own: how long pages and
answers take. Then raters who take none, one answer in ten sent twice at once, and a server killed `--kills` times:
each acknowledged answer is stored once, and each cell has its quota exactly. On SQLite, and on PostgreSQL where its
programs are installed.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median, quantiles

from tests.study.databases import programs, running
from tests.study.load import Server, check, rate_all
from tests.study.studies import make_study

EACH, SLACK = 4, 6
"""Ratings of each cell; and tasks that a rater may have beyond their share, since the last cells are not for all."""


def main() -> None:
    parser = argparse.ArgumentParser()
    for name, value in (("raters", 64), ("tasks", 50), ("kills", 10)):
        parser.add_argument(f"--{name}", type=int, default=value)
    parser.add_argument("--think", type=float, default=2.0, help="seconds")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, _urls(Path(folder)) as urls:
        for kind, pair in urls.items():
            for url, think, kills in zip(pair, (options.think, 0.0), (0, options.kills), strict=True):
                _run(kind, url, options.raters, options.tasks, think, kills)


@contextmanager
def _urls(folder: Path) -> Iterator[dict[str, list[str]]]:
    """Of each kind of database two that are empty."""
    found = {"SQLite": [f"sqlite:///{folder / name}.db" for name in ("calm", "killed")]}
    installed = programs()
    if installed is None:
        print("PostgreSQL is not installed")
        yield found
        return
    with running(installed) as cluster:
        yield found | {"PostgreSQL": [cluster.new(), cluster.new()]}


def _run(kind: str, url: str, raters: int, tasks: int, think: float, kills: int) -> None:
    expected = raters * tasks
    store = make_study(url, rows=expected // EACH // 2, ratings_per_cell=EACH, tasks=tasks + SLACK)
    tokens = [store.invite("third-party", f"rater {number}", time.time()) for number in range(raters)]
    server = Server(url)
    try:
        told, seconds = rate_all(server, tokens, kills, expected, think)
    finally:
        server.close()
    check(store, told, EACH)
    how = f"{think:g} s of thought a task" if think else f"no thought, {kills} kills, {told.again} asked again"
    print(
        f"{kind}, {raters} raters x {tasks} tasks, {how}: {len(told.acknowledged):,} answers in {seconds:.0f} s "
        f"({told.doubled} sent twice), each stored once, each cell full\n"
        f"  page {_times(told.pages)}; answer {_times(told.posts)}",
        flush=True,
    )


def _times(seconds: list[float]) -> str:
    return f"median {1000 * median(seconds):.0f} ms, 95 % within {1000 * quantiles(seconds, n=20)[-1]:.0f} ms"


if __name__ == "__main__":
    main()
