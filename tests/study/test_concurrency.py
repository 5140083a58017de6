"""Many at once, and processes killed: every acknowledged rating is stored once, and quotas are exact."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import polars as pl
from tests.conftest import REPOSITORY
from tests.study.small import START, created, design, invited

KILLS = 10


def test_64_raters_at_once_with_kills(study_url: str, tmp_path: Path) -> None:
    plan = design(
        generators=("A", "B", "C", "D", "E"), rows=80, ratings_per_cell=4, tasks_per_rater=30, hold_minutes=60.0
    )
    store = created(study_url, plan)
    raters = [invited(store, f"rater {n}") for n in range(64)]
    file = tmp_path / "acknowledged"
    work = [raters[n::4] for n in range(4)]
    running = [_start(study_url, file, part) for part in work]
    draw = random.Random(1)
    for _ in range(KILLS):
        before = _lines(file)
        while _lines(file) < before + 1600 // (KILLS + 2) and any(one.poll() is None for one in running):
            time.sleep(0.02)
        alive = [n for n, one in enumerate(running) if one.poll() is None]
        assert alive, "all were done before the last kill"
        n = draw.choice(alive)
        os.kill(running[n].pid, signal.SIGKILL)
        running[n].wait()
        running[n] = _start(study_url, file, work[n])
    assert [one.wait(timeout=300) for one in running] == [0] * 4

    progress = store.progress()
    assert Counter((cell.stored, cell.held) for cell in progress.cells) == {(4, 0): 400}
    store.close("me", START)
    store.unblind("me", START)
    answers = store.ratings()
    assert answers.height == answers["task"].n_unique() == 1600
    assert answers["left_out"].null_count() == 1600
    assert answers.select("rater", "user_id", "first").is_unique().all()
    stored = {row[0]: row[1:] for row in answers.select("task", "rater", pl.col("^reas.*|attr.*|redu.*$")).iter_rows()}
    acknowledged = [line.split() for line in file.read_text().splitlines()]
    assert len(acknowledged) > 1500
    for task, rater, *scores in acknowledged:
        # A rater who was told "already stored" after a kill may have had other scores in mind: whose the task is holds.
        assert stored[task][0] == rater, scores


def _start(url: str, file: Path, raters: list[str]) -> subprocess.Popen[bytes]:
    environment = os.environ | {"PYTHONPATH": f"{REPOSITORY / 'src'}{os.pathsep}{REPOSITORY}"}
    command = [sys.executable, "-m", "tests.study.rating_process", url, str(file), *raters]
    return subprocess.Popen(command, cwd=REPOSITORY, env=environment)


def _lines(file: Path) -> int:
    return file.read_bytes().count(b"\n") if file.exists() else 0
