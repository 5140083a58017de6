"""Raters at work in a process of their own, a thread each: until there is nothing left, or it is killed.

    python -m tests.study.rating_process URL ACKNOWLEDGED RATER...

Each answer that was acknowledged is written to the file ACKNOWLEDGED before the next task is asked for. One in ten is
submitted twice, from two threads at once.
"""

from __future__ import annotations

import os
import random
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

from llmxrec.study.answers import Scores
from llmxrec.study.store import Store, open_store


def work(store: Store, rater: str, acknowledged: int, twice: ThreadPoolExecutor) -> None:
    draw = random.Random()
    while task := store.next_task(rater, time.time()):
        scores = [draw.randint(1, 10) for _ in range(3)]
        answer = Scores(reasonability=scores[0], attractiveness=scores[1], redundancy=scores[2])

        def submit(task_id: str = task.task_id, answer: Scores = answer) -> str:
            return store.submit(task_id, rater, answer, time.time())

        if draw.random() < 0.1:
            outcomes = sorted(one.result() for one in [twice.submit(submit), twice.submit(submit)])
            # An answer from before a kill may be there already.
            assert outcomes in (["already stored", "stored"], ["already stored", "already stored"]), outcomes
        else:
            assert submit() in ("stored", "already stored")
        os.write(acknowledged, f"{task.task_id} {rater} {' '.join(map(str, scores))}\n".encode())


def main(url: str, file: str, *raters: str) -> None:
    store = open_store(url)
    acknowledged = os.open(file, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    failed: list[BaseException] = []

    def one(rater: str) -> None:
        try:
            work(store, rater, acknowledged, twice)
        except BaseException as error:
            failed.append(error)
            raise

    with ThreadPoolExecutor(8) as twice:
        threads = [threading.Thread(target=one, args=(rater,)) for rater in raters]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main(*sys.argv[1:])
