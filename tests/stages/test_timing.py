"""How long work took is kept, and never the reason that work fails."""

from __future__ import annotations

import json
import threading
from pathlib import Path

import pytest

from llmxrec.ledger import Ledger
from llmxrec.stages import timing
from llmxrec.stages.timing import timed
from llmxrec.workspace import Workspace


def test_commands_that_end_at_once_all_keep_their_times(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path)
    done = threading.Barrier(4)

    def work(number: int) -> None:
        with timed(workspace, "explain", "bpr", f"x{number}") as rows:
            rows(number + 1)
            done.wait()

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    kept = [json.loads(line) for line in workspace.times.read_text().splitlines()]
    assert sorted(row["rows"] for row in kept) == [1, 2, 3, 4]


def test_work_is_done_though_its_time_cannot_be_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(timing, "_WAIT_S", 0.0)
    workspace = Workspace(tmp_path)
    with Ledger(workspace.times) as held:
        held.append({"rows": 1})
        with timed(workspace, "explain", "bpr", "x") as rows:
            rows(3)
    assert len(workspace.times.read_text().splitlines()) == 1
    assert "how long this took is not kept" in caplog.text
