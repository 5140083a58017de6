"""Many at once, and processes killed: every acknowledged rating is stored once, and quotas are exact."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import polars as pl
import sqlalchemy as sa
from tests.conftest import REPOSITORY
from tests.study.small import START, answer_to, created, design, invited

from llmxrec.study import schema
from llmxrec.study.accounts import LATE

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


def test_answers_that_come_while_their_places_are_given_to_others(study_url: str) -> None:
    # Few places, held for so short that they are taken back, given anew and answered late all the time.
    plan = design(generators=("A",), rows=12, ratings_per_cell=3, hold_minutes=0.02 / 60)
    store = created(study_url, plan)
    raters = [invited(store, f"rater {n}") for n in range(24)]

    def work(rater: str) -> int:
        draw, acknowledged = random.Random(rater), 0
        for _ in range(40):
            if task := store.next_task(rater, time.time()):
                time.sleep(draw.choice([0.0, 0.02, 0.05]))
                acknowledged += store.submit(task.task_id, rater, answer_to(task), time.time()) == "stored"
        return acknowledged

    with ThreadPoolExecutor(len(raters)) as pool:
        acknowledged = sum(pool.map(work, raters))
    task, rating = schema.task, schema.rating
    late = store.next_task(invited(store), time.time() + 60)  # what is held too long is taken back
    with store.database.reading() as db:
        counted = sa.select(task.c.cell).join_from(task, rating).where(rating.c.left_out.is_(None))
        held = Counter(db.execute(counted).scalars())
        taken = {cell.id: cell.taken for cell in db.execute(sa.select(schema.cell))}
        n_late = db.execute(sa.select(sa.func.count()).where(rating.c.left_out == LATE)).scalar_one()
        stored = db.execute(sa.select(sa.func.count()).select_from(rating)).scalar_one()
    assert late is None and set(taken.values()) == {3}
    assert held == taken and stored == acknowledged == 36 + n_late and n_late > 0


def test_two_tabs_that_ask_at_once_are_given_one_task(study_url: str) -> None:
    store = created(study_url, design(rows=10))
    rater = invited(store)
    with ThreadPoolExecutor(4) as pool:
        for number in range(1, 21):
            tabs = [pool.submit(store.next_task, rater, START) for _ in range(4)]
            task, *others = [tab.result() for tab in tabs]
            assert task is not None and task.number == number and others == [task] * 3
            clicks = [pool.submit(store.submit, task.task_id, rater, answer_to(task), START) for _ in range(4)]
            assert sorted(click.result() for click in clicks) == ["already stored"] * 3 + ["stored"]
    assert store.progress().stored == 20


def _start(url: str, file: Path, raters: list[str]) -> subprocess.Popen[bytes]:
    environment = os.environ | {"PYTHONPATH": f"{REPOSITORY / 'src'}{os.pathsep}{REPOSITORY}"}
    command = [sys.executable, "-m", "tests.study.rating_process", url, str(file), *raters]
    return subprocess.Popen(command, cwd=REPOSITORY, env=environment)


def _lines(file: Path) -> int:
    return file.read_bytes().count(b"\n") if file.exists() else 0
