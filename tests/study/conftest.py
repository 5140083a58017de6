"""A study that is served, and a browser that visits it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
import uvicorn
from fastapi import FastAPI
from tests.study.studies import access

from llmxrec.study.app import create_app
from llmxrec.study.guard import Site
from llmxrec.study.serving import listen
from llmxrec.study.store import Store

Host = Callable[[Store], str]
"""Serve a study; returns its address."""


@contextmanager
def served(make: Callable[[str], FastAPI]) -> Iterator[str]:
    """The address of what `make` returns for it, served by a thread until the end."""
    with listen("127.0.0.1", 0) as at:
        address = f"http://127.0.0.1:{at.getsockname()[1]}"
        server = uvicorn.Server(uvicorn.Config(make(address), access_log=False, log_level="error", lifespan="off"))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [at]})
        thread.start()
        while not server.started:
            time.sleep(0.01)
        try:
            yield address
        finally:
            server.should_exit = server.force_exit = True
            thread.join()


@pytest.fixture
def host() -> Iterator[Host]:
    with ExitStack() as stack:
        yield lambda store: stack.enter_context(served(lambda at: create_app(store, access(), Site.at(at))))


@pytest.fixture
def study_file(tmp_path: Path) -> Path:
    return tmp_path / "study.db"
