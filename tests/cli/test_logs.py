"""-v and -vv: what is being done, on standard error, and nothing that is secret."""

from __future__ import annotations

import logging
import re
import subprocess
import sys
from pathlib import Path

import pytest
from tests.conftest import Call
from tests.generators.loopback import Said, Serve, completion, fault

KEY = "sk-0123456789abcdef"
ANSWER = "It is a quiet film about a lighthouse."


@pytest.fixture
def demo(call: Call) -> None:
    assert call("init", "w", "--dataset", "demo").code == 0
    assert call("recommend", "w", "--recommender", "popularity").code == 0


def test_what_is_being_done(call: Call) -> None:
    """Each line has a time and says who speaks; lines for people stay as they are."""
    said = call("init", "w", "--dataset", "demo", "-v").out
    assert re.search(
        r"^\d\d:\d\d:\d\d llmxrec\.stages\.data: read 12,105 ratings, .* from the demo", said, re.MULTILINE
    )
    plain = call("recommend", "w", "--recommender", "bpr", "--set", "epochs=3").out
    said = call("recommend", "w", "--recommender", "bpr", "--set", "epochs=3", "-v").out
    assert re.search(r"trained bpr: 3 epochs in \d+\.\d s, epoch \d is kept", said)
    assert "loaded the recommender bpr from w/models/bpr" in said and "epoch 1: NDCG" not in said
    assert [line for line in said.splitlines() if " llmxrec." not in line] == plain.splitlines()
    assert "llmxrec" not in plain.replace("next: llmxrec", "")
    assert re.search(r"bpr, epoch \d: NDCG@10 0\.\d+", call("recommend", "w", "--recommender", "bpr", "-vv").out)
    call("explain", "w", "--users", "3")
    assert "embedded.jsonl: 5 rows, 3 answers are kept from before" in call("explain", "w", "--users", "5", "-v").out


def test_nothing_secret_is_logged(call: Call, demo: None, serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that echoes the key and the prompt in its errors, once, and then answers."""

    def echo(body: dict[str, object], number: int) -> Said:
        return fault(500, f"{KEY} {body}") if number == 1 else completion(ANSWER)

    server = serve(echo)
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    ended = call("explain", "w", "--generator", f"openai:m@{server.url}", "--name", "m", "--users", "4", "-vv")
    assert ended.code == 0, ended.out
    assert server.headers[0]["authorization"] == f"Bearer {KEY}"
    assert "the server answered with status 500" in ended.out
    assert "no answer to attempt 1 at a prompt; asking again in" in ended.out
    told = str(server.requests[0]["messages"])
    title = re.findall(r'"([^"]{4,})"', told)[0]
    for secret in (KEY, "Bearer", "authorization", ANSWER, "lighthouse", title):
        assert secret not in ended.out


def test_a_library_sets_no_handlers(call: Call, demo: None) -> None:
    before = logging.getLogger("llmxrec").level
    assert call("evidence", "w", "-vv").code == 0
    logger = logging.getLogger("llmxrec")
    assert logger.handlers == [] and logger.level == before
    imports = "import logging, llmxrec.cli, llmxrec.experiment;"
    code = f"{imports}print(logging.getLogger('llmxrec').handlers, logging.root.handlers)"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout == "[] []\n"


def test_logs_are_not_among_what_programs_read(demo: None) -> None:
    words = [sys.executable, "-m", "llmxrec", "evidence", "w", "--json", "-v"]
    ran = subprocess.run(words, capture_output=True, text=True, check=True)
    assert ran.stdout.startswith('{"command": "evidence"') and ran.stdout.count("\n") == 1
    assert "loaded the recommender" in ran.stderr and Path("w/evidence/popularity.parquet").exists()
