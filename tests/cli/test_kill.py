"""The real command, really killed, against a real server that counts what it is asked."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from zlib import crc32

import polars as pl
import pytest
from safetensors import safe_open
from tests.conftest import Call
from tests.generators.loopback import Loopback, Said, Serve, completion

from llmxrec.explain import read_explanations

CONCURRENCY = 4


def answer(body: dict[str, object], number: int) -> Said:
    """Something that depends on the prompt alone, a little late, so that a kill finds requests under way."""
    said = completion(f"Because of prompt {crc32(json.dumps(body['messages']).encode())}.")
    said.delay = 0.02
    return said


def command(server: Loopback, workspace: str) -> list[str]:
    words = [sys.executable, "-m", "llmxrec", "explain", workspace, "--recommender", "popularity", "--name", "mine"]
    return [*words, "--generator", f"openai:mine@{server.url}", "--concurrency", str(CONCURRENCY)]


@pytest.fixture
def workspace(call: Call) -> Path:
    assert call("init", "w", "--dataset", "demo").code == 0
    assert call("recommend", "w", "--recommender", "popularity").code == 0
    return Path("w")


def test_killed_again_and_again_it_ends_as_if_it_never_was(
    workspace: Path, call: Call, serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SIGKILL at different moments; no row lost, doubled, or paid twice beyond those under way at each kill."""
    server: Loopback = serve(answer)
    file = workspace / "explanations/popularity/mine.jsonl"
    kills = 0
    for rows_before_kill in (0, 1, 40, 90, 150):
        child = subprocess.Popen(command(server, "w"), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        deadline = time.monotonic() + 60
        while child.poll() is None and time.monotonic() < deadline:
            if len(server.requests) > rows_before_kill and _rows(file) >= rows_before_kill:
                os.kill(child.pid, signal.SIGKILL)
                kills += 1
                break
            time.sleep(0.005)
        child.wait()
    assert kills == 5
    whole = subprocess.run(command(server, "w"), capture_output=True, text=True, check=False)
    assert whole.returncode == 0, whole.stderr
    rows = [json.loads(line) for line in file.read_bytes().splitlines()]
    assert len(rows) == 300 == len({row["user_id"] for row in rows})
    asked = Counter(json.dumps(request["messages"]) for request in server.requests)
    assert len(asked) == 300
    assert sum(asked.values()) - 300 <= kills * CONCURRENCY, "paid twice beyond those under way"

    before = len(server.requests)
    recommendations = pl.read_parquet(workspace / "recommendations/popularity.parquet").filter(pl.col("rank") == 1)
    interrupted = read_explanations(file, recommendations)
    file.unlink()
    assert subprocess.run(command(server, "w"), capture_output=True, check=False).returncode == 0
    assert len(server.requests) - before == 300
    assert read_explanations(file, recommendations).equals(interrupted), "as an uninterrupted run would have it"


def _rows(file: Path) -> int:
    return file.read_bytes().count(b"\n") if file.exists() else 0


def test_ctrl_c_ends_it_in_one_line_and_keeps_what_was_answered(workspace: Path, serve: Serve) -> None:
    server: Loopback = serve(answer)
    child = subprocess.Popen(command(server, "w"), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    while len(server.requests) < 30 and child.poll() is None:
        time.sleep(0.01)
    child.send_signal(signal.SIGINT)
    _, err = child.communicate(timeout=30)
    assert child.returncode == 130
    assert err.strip().splitlines()[-1].startswith("stopped; what was done is kept") and "Traceback" not in err
    quiet = len(server.requests)
    time.sleep(0.2)
    assert len(server.requests) == quiet, "nothing goes on calling the server"
    assert _rows(workspace / "explanations/popularity/mine.jsonl") >= 20


def test_exhausted_credit_stops_the_run_and_keeps_what_was_paid(workspace: Path, serve: Serve) -> None:
    def behave(body: dict[str, object], number: int) -> Said:
        error = {
            "error": {"message": "You exceeded your quota", "type": "insufficient_quota", "code": "insufficient_quota"}
        }
        return completion("Because.") if number <= 20 else Said(429, error)

    server: Loopback = serve(behave)
    ended = subprocess.run(command(server, "w"), capture_output=True, text=True, check=False)
    assert ended.returncode == 1 and ended.stderr.startswith("error: ") and ended.stderr.count("\n") == 1
    assert _rows(workspace / "explanations/popularity/mine.jsonl") >= 20
    assert len(server.requests) <= 20 + CONCURRENCY


def test_a_limit_of_cost_holds_where_answers_are_lost(workspace: Path, serve: Serve) -> None:
    """Three bodies in four are cut; each may have to be paid, and is counted with the most it can cost."""

    def behave(body: dict[str, object], number: int) -> Said:
        said = completion("Because.")
        said.cut = number % 4 != 0
        return said

    server = serve(behave)
    words = [*command(server, "w"), "--price", "1000,1000", "--max-cost", "40"]
    ended = subprocess.run(words, capture_output=True, text=True, check=False)
    assert "stopped: the next row could exceed" in ended.stdout, ended.stdout + ended.stderr
    rows = [json.loads(line) for line in (workspace / "explanations/popularity/mine.jsonl").read_bytes().splitlines()]
    assert 10 < sum(row["cost"] for row in rows) <= 40
    assert len(rows) == len(server.requests), "each request is a row: nothing was asked twice behind the purse's back"


def test_a_killed_training_goes_on_from_its_checkpoint(call: Call) -> None:
    """SIGKILL in the middle of fits that keep a checkpoint after every epoch, then the command as people type it."""
    words = ["recommend", "w", "--recommender", "bpr", "--set", "epochs=300", "--set", "patience=300"]
    often = (
        "from llmxrec.recommenders import training; training._CHECKPOINT_S = training._CHECKPOINT_SHARE = 0; "
        "from llmxrec.cli import main; main()"
    )
    checkpoint, seen = Path("w/models/.bpr.training"), b""
    assert call("init", "w", "--dataset", "demo").code == 0
    for _ in range(3):
        child = subprocess.Popen([sys.executable, "-c", often, *words], stdout=subprocess.DEVNULL)
        deadline = time.monotonic() + 60
        while child.poll() is None and time.monotonic() < deadline:
            if checkpoint.exists() and checkpoint.read_bytes() != seen:
                time.sleep(0.1)
                child.kill()
            time.sleep(0.005)
        assert child.wait() == -signal.SIGKILL
        seen = checkpoint.read_bytes()
    done = _epochs_of(checkpoint)
    assert done >= 3
    gone_on = call(*words)
    assert gone_on.code == 0 and not checkpoint.exists()
    killed = pl.read_parquet("w/recommendations/bpr.parquet")
    assert call(*words).code == 0
    assert killed.equals(pl.read_parquet("w/recommendations/bpr.parquet")), "as an uninterrupted fit would have it"


def _epochs_of(checkpoint: Path) -> int:
    with safe_open(checkpoint, framework="numpy") as kept:
        return int(json.loads(kept.metadata()["llmxrec"])["done"])
