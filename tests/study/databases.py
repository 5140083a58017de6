"""A PostgreSQL server of the tests' own, in a temporary folder, reached by a socket there."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from urllib.parse import quote

_START_S = 60


class Cluster:
    """A server that runs. It keeps its promises about what is on the disk, as one in use does."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._numbers = count(1)

    def new(self) -> str:
        """The URL of a new, empty database."""
        import psycopg

        name = f"study{next(self._numbers)}"
        with psycopg.connect(host=str(self._folder), user="postgres", dbname="postgres", autocommit=True) as db:
            db.execute(f"CREATE DATABASE {name}")
        return f"postgresql://postgres@/{name}?host={quote(str(self._folder), safe='')}"


def programs() -> Path | None:
    """Where Debian puts PostgreSQL's programs, the newest; None where it is not installed."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda file: int(file.parts[-3]))
    if found:
        return found[-1].parent
    elsewhere = shutil.which("initdb")
    return Path(elsewhere).parent if elsewhere else None


@contextmanager
def running(bin_folder: Path) -> Iterator[Cluster]:
    """A new cluster, served until the end. PostgreSQL refuses to be run by root, who lends it to its own user."""
    root = os.geteuid() == 0
    who = {"user": "postgres", "group": "postgres", "extra_groups": []} if root else {}
    # Not in pytest's folder, which another user may not enter; and short, for the name of a socket is.
    folder = Path(tempfile.mkdtemp(prefix="pg"))
    server = None
    try:
        if root:
            shutil.chown(folder, "postgres", "postgres")
        data = folder / "data"
        begin = [bin_folder / "initdb", "-D", data, "-U", "postgres", "-A", "trust", "-E", "UTF8", "--no-sync"]
        subprocess.run(begin, check=True, capture_output=True, cwd=folder, **who)
        options = ["-D", data, "-k", folder, "-c", "listen_addresses=", "-c", "max_connections=200"]
        with (folder / "log").open("wb") as log:
            server = subprocess.Popen([bin_folder / "postgres", *options], stderr=log, cwd=folder, **who)
        ready = [bin_folder / "pg_isready", "-q", "-h", folder]
        end = time.monotonic() + _START_S
        while subprocess.run(ready, check=False).returncode:
            if server.poll() is not None or time.monotonic() > end:
                raise RuntimeError((folder / "log").read_text())
            time.sleep(0.05)
        yield Cluster(folder)
    finally:
        if server is not None:
            server.send_signal(signal.SIGQUIT)
            server.wait()
        shutil.rmtree(folder, ignore_errors=True)
