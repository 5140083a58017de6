"""Many raters at once over HTTP, and a server that is killed under them.

python -m tests.study.load URL PORT      serves the study at URL
"""

from __future__ import annotations

import http.client
import os
import random
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlencode

from tests.study.studies import access

from llmxrec.study.app import create_app
from llmxrec.study.guard import Site
from llmxrec.study.serving import listen, serve
from llmxrec.study.store import Store, open_store

ROOT = Path(__file__).parents[2]
SCALES = ("reasonability", "attractiveness", "redundancy")
PATIENCE_S = 120.0


class Server:
    """A server in a process of its own. `kill` ends it at once, wherever it is, and starts another."""

    def __init__(self, url: str) -> None:
        self.url, self.kills = url, 0
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = int(free.getsockname()[1])
        self._start()

    def _start(self) -> None:
        path = f"{ROOT / 'src'}{os.pathsep}{ROOT}"
        command = [sys.executable, "-m", "tests.study.load", self.url, str(self.port)]
        self._process = subprocess.Popen(command, env=os.environ | {"PYTHONPATH": path}, cwd=ROOT)
        self.wait()

    def wait(self) -> None:
        ends = time.monotonic() + PATIENCE_S
        while self._process.poll() is None and time.monotonic() < ends:
            try:
                socket.create_connection(("127.0.0.1", self.port), 1).close()
                return
            except OSError:
                time.sleep(0.02)
        raise AssertionError("the server does not start")

    def kill(self) -> None:
        self._process.send_signal(signal.SIGKILL)
        self._process.wait()
        self.kills += 1
        self._start()

    def close(self) -> None:
        self._process.terminate()
        self._process.wait()


@dataclass
class Told:
    """What raters were told: of each task that was acknowledged the scores, and how long pages took, in seconds."""

    acknowledged: dict[str, tuple[int, ...]] = field(default_factory=dict)
    pages: list[float] = field(default_factory=list)
    posts: list[float] = field(default_factory=list)
    doubled: int = 0
    again: int = 0


class Rater:
    """Somebody who answers until there is nothing left, and sends again what got no answer."""

    def __init__(self, port: int, token: str, told: Told, seed: int, think: float = 0.0) -> None:
        self.port, self.token, self.told, self.think = port, token, told, think
        self.draw = random.Random(seed)
        self._line = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        self._cookie = ""

    def work(self) -> None:
        _, headers, _ = self._ask("GET", f"/enter/{self.token}")
        self._cookie = headers["set-cookie"].partition(";")[0]
        _, headers, _ = self._ask("GET", "/rate")
        while (place := headers.get("location")) and place.startswith("/tasks/"):
            began = time.monotonic()
            _, _, page = self._ask("GET", place)
            self.told.pages.append(time.monotonic() - began)
            if self.think:
                time.sleep(self.draw.expovariate(1 / self.think))
            headers = self._answer(place, page)
        if headers.get("location"):
            self._ask("GET", headers["location"])
        self._line.close()

    def _answer(self, place: str, page: str) -> dict[str, str]:
        (token,) = re.findall(r'name="form_token" value="([^"]+)"', page)[:1]
        scores = tuple(self.draw.randint(1, 10) for _ in SCALES)
        form = urlencode({"form_token": token, **dict(zip(SCALES, scores, strict=True)), "comment": "ok"})
        other = None
        if self.draw.random() < 0.1:
            self.told.doubled += 1
            twin = Rater(self.port, self.token, Told(), 0)
            twin._cookie = self._cookie
            other = threading.Thread(target=twin._send_once, args=(place, form))
            other.start()
        began = time.monotonic()
        status, headers, said = self._ask("POST", place, form)
        self.told.posts.append(time.monotonic() - began)
        assert status == 303, said
        self.told.acknowledged[place.removeprefix("/tasks/")] = scores
        if other is not None:
            other.join()
        return headers

    def _send_once(self, place: str, form: str) -> None:
        self._ask("POST", place, form)
        self._line.close()

    def _ask(self, method: str, path: str, form: str | None = None) -> tuple[int, dict[str, str], str]:
        """An answer, whatever it takes: where the line or the server is gone, the same is asked again."""
        headers = {"Cookie": self._cookie}
        if form is not None:
            headers |= {"Content-Type": "application/x-www-form-urlencoded", "Sec-Fetch-Site": "same-origin"}
        ends = time.monotonic() + PATIENCE_S
        while True:
            try:
                self._line.request(method, path, form, headers)
                answer = self._line.getresponse()
                text = answer.read().decode()
                if answer.status < 500:
                    return answer.status, {key.lower(): value for key, value in answer.getheaders()}, text
            except (OSError, http.client.HTTPException):
                self._line.close()
            assert time.monotonic() < ends, f"no answer to {method} {path}"
            self.told.again += 1
            time.sleep(self.draw.uniform(0.02, 0.2))


def rate_all(
    server: Server, tokens: list[str], kills: int = 0, expected: int = 0, think: float = 0.0
) -> tuple[Told, float]:
    """Have a rater for each of `tokens` answer all there is, with `kills` spread over the `expected` answers.

    Returns what they were told, and how long it took.
    """
    told = Told()
    raters = [Rater(server.port, token, told, seed, think) for seed, token in enumerate(tokens)]
    began = time.monotonic()
    with ThreadPoolExecutor(len(raters)) as pool:
        work = [pool.submit(rater.work) for rater in raters]
        for number in range(kills):
            goal = expected * (number + 1) // (kills + 2)
            _until(lambda goal=goal: len(told.acknowledged) >= goal or all(one.done() for one in work))
            server.kill()
        for one in work:
            one.result()
    return told, time.monotonic() - began


def _until(ready: Callable[[], bool]) -> None:
    while not ready():
        time.sleep(0.01)


def check(store: Store, told: Told, each: int) -> None:
    """Each answer that was acknowledged is stored once, as it was sent, and each cell has exactly `each`."""
    progress = store.progress()
    assert {(cell.stored, cell.held, cell.quota) for cell in progress.cells} == {(each, 0, each)}
    with store.database.reading() as db:
        rows = db.exec_driver_sql("SELECT task, reasonability, attractiveness, redundancy FROM rating").all()
    stored = {row[0]: tuple(row[1:]) for row in rows}
    assert len(stored) == len(rows) == each * len(progress.cells)
    assert all(stored[task] == scores for task, scores in told.acknowledged.items())
    assert len(told.acknowledged) == len(rows)


def main(url: str, port: str) -> None:
    with listen("127.0.0.1", int(port)) as at:
        serve(create_app(open_store(url), access(), Site.at(f"http://127.0.0.1:{port}")), at)


if __name__ == "__main__":
    main(*sys.argv[1:])
