"""`llmxrec study`: what it prints, where it listens, and that it goes on."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from tests.conftest import REPOSITORY, Call

from llmxrec.study.store import open_store


@pytest.fixture
def explained(call: Call, shop: Path) -> Path:
    """A shop of which every recommendation was explained twice."""
    files = ("--interactions", shop / "orders.csv", "--items", shop / "products.csv")
    columns = ("--column", "user_id=customer", "--column", "item_id=sku", "--column", "timestamp=when")
    assert call("init", "shop", *files, "--recommendations", shop / "ours.csv", *columns).code == 0
    for generator in ("embedded", "template"):
        assert call("explain", "shop", "--generator", generator).code == 0
    return Path("shop").resolve()


@contextmanager
def running(workspace: Path, *words: str, **environment: str) -> Iterator[tuple[subprocess.Popen[str], list[str]]]:
    """The command at work, and what it has printed once it serves; ended as by Ctrl+C."""
    command = [sys.executable, "-m", "llmxrec", "study", str(workspace), "--port", "0", *words]
    path = {"PYTHONPATH": str(REPOSITORY / "src"), "PYTHONUNBUFFERED": "1"}
    with subprocess.Popen(
        command, env=os.environ | path | environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        printed: list[str] = []
        assert process.stdout is not None
        for line in process.stdout:
            printed.append(line.rstrip())
            if line.startswith("serving"):
                break
        try:
            yield process, printed
        finally:
            process.send_signal(signal.SIGINT)
            printed += process.stdout.read().splitlines()
            process.wait(30)


def links(printed: list[str], who: str) -> list[str]:
    return re.findall(rf"^{who}[^:]*: (http\S+)$", "\n".join(printed), re.MULTILINE)


def get(url: str, host: str | None = None) -> str:
    request = urllib.request.Request(url, headers={"Host": host} if host else {})  # noqa: S310 - ours
    with urllib.request.urlopen(request, timeout=10) as answer:  # noqa: S310 - our own server, on loopback
        return str(answer.read().decode())


def test_a_study_begins_and_goes_on(explained: Path) -> None:
    asked = ("--rows", "6", "--ratings", "2", "--mode", "both", "--invite", "2", "--self", "c1")
    with running(explained, *asked) as (_, printed):
        text = "\n".join(printed)
        assert "6 rows x 2 raters detect a difference of" in text
        assert "explained by embedded, template, are rated, and compared in pairs, each by 2 raters" in text
        assert "it ends when each has its number of ratings" in text
        (organiser,), raters, (own,) = links(printed, "organiser"), links(printed, "rater"), links(printed, "c1")
        assert organiser.startswith("http://127.0.0.1:") and len({*raters, own}) == 3
        for link in (organiser, *raters, own):
            assert "You are signed in" in get(link)
        with pytest.raises(urllib.error.HTTPError, match="400"):
            get(organiser, host="evil.example")
    # What is printed while it serves holds no link: there is no access log.
    after = printed[[line.startswith("serving") for line in printed].index(True) + 1 :]
    assert not any("/enter/" in line for line in after)
    key = (explained / "study.key").read_text()
    with running(explained, "--rows", "3", "--invite", "1") as (_, again):
        text = "\n".join(again)
        assert "it goes on with what is stored" in text and "6 recommendations of external" in text
        assert "detect a difference" not in text and links(again, "rater 4")
        assert links(again, "organiser")[0].partition("/organise")[2] == organiser.partition("/organise")[2]
        port = organiser.split("/")[2], links(again, "organiser")[0].split("/")[2]
        assert "You are signed in" in get(raters[0].replace(port[0], port[1]))
    assert (explained / "study.key").read_text() == key


def test_a_program_is_told_when_it_serves(explained: Path) -> None:
    command = [
        sys.executable,
        "-m",
        "llmxrec",
        "study",
        explained,
        "--port",
        "0",
        "--rows",
        "3",
        "--invite",
        "1",
        "--json",
    ]
    path = {"PYTHONPATH": str(REPOSITORY / "src")}
    with subprocess.Popen(command, env=os.environ | path, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        told = json.loads(process.stdout.readline())
        try:
            assert told["command"] == "study" and told["design"]["rows"] == 3 and told["goes_on"] is False
            assert told["url"].startswith("http://127.0.0.1:") and told["organiser"].startswith(told["url"])
            assert "You are signed in" in get(told["raters"][0]["url"])
        finally:
            process.send_signal(signal.SIGINT)
            assert process.stdout.read() == "", "one object, once"
            process.wait(30)


def test_the_power_is_told_and_nothing_made(call: Call, explained: Path) -> None:
    ended = call("study", "shop", "--power", "--rows", "200", "--ratings", "3")
    assert ended.code == 0 and ended.out.startswith("200 rows x 3 raters detect a difference of 0.32 points")
    assert not (explained / "study.db").exists()


def test_what_cannot_be_is_said_in_one_line(call: Call, explained: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("LLMXREC_STUDY_SECRET", raising=False)
    secret = ("--secret", "a secret of many signs")
    for words, said in (
        (("--host", "0.0.0.0"), "a study that others reach has a secret; found '0.0.0.0'"),  # noqa: S104
        (("--host", "0.0.0.0", *secret), "a study that others reach has an address"),  # noqa: S104
        (("--secret", "short", "--port", "0"), "a study's secret has 16 signs or more; found '5 signs'"),
        (("--address", "study.example.org", "--port", "0"), "an address is http:// or https:// with a host"),
        (("--rows", "1000", "--port", "0"), "1,000 recommendations are explained by embedded, template; found 12"),
        (("--generators", "embedded,gpt", "--rows", "2", "--port", "0"), "unknown generator 'gpt'"),
        (("--mode", "guess", "--port", "0"), "mode of the study should be 'rate', 'compare' or 'both'"),
        (("--database", "mysql://x/y", "--port", "0"), "a study lies in SQLite or PostgreSQL; found 'mysql'"),
    ):
        ended = call("study", "shop", *words)
        assert ended.code == 2 and said in ended.out, ended.out
        assert len(ended.out.strip().splitlines()[-1]) < 400 and "Traceback" not in ended.out
    assert "a workspace holds dataset/" in call("study", "nowhere").out
    assert not open_store(explained / "study.db").exists()


def test_the_secret_can_come_from_the_environment(explained: Path) -> None:
    words = ("--rows", "3", "--address", "https://study.example.org")
    with running(explained, *words, LLMXREC_STUDY_SECRET="a secret of many signs") as (process, printed):  # noqa: S106
        assert links(printed, "organiser")[0].startswith("https://study.example.org/organise/enter/")
        assert not (explained / "study.key").exists() and "a secret of many signs" not in "\n".join(printed)
        assert process.poll() is None
