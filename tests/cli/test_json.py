"""Every command with --json: one object on standard output, whatever happens."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import typer
from tests.conftest import Demo
from tests.generators.loopback import Serve, completion
from tests.test_replay import PLAIN, PROMPTS, answers
from typer.testing import CliRunner

from llmxrec.cli import app
from llmxrec.cli.console import as_json
from llmxrec.recommenders.metrics import Metric

COMMANDS: dict[str, Any] = typer.main.get_command(app).commands  # type: ignore[attr-defined] # a group has them

RECIPE = """
name = "small"
dataset = { kind = "demo" }
recommenders = [{ name = "popularity" }]
generators = [{ spec = "template" }]
explain = { users = 5 }
"""

WORDS = {
    "demo": "d",
    "init": "w --dataset demo",
    "recommend": "w --recommender popularity",
    "evidence": "w",
    "explain": "w --generator template --users 20",
    "tune": "w --base embedded --name mine --task attributes --target gender --users 30 --set epochs=1",
    "import": "w theirs.csv --recommender popularity --generator theirs",
    "export": "w --generator template --out why.csv",
    "validate-judge": "--train pairs.jsonl",
    "judge": "w --train pairs.jsonl",
    "predict": "w --generator embedded+w/adapters/mine --users 20",
    "faithfulness": "w",
    "identify": "w --among 5",
    "fairness": "w --attribute gender",
    "audit": "w",
    "study": "w --power",
    "report": "w",
    "replay": "clone --out released --no-judging",
    "run": "r.toml --workspace small",
}
"""What each command is tried with, in the order of work: each finds what those before it made."""

WRONG = {
    "demo": "file",
    "init": "new",
    "recommend": "nowhere --recommender ease",
    "tune": "nowhere --base embedded --name x",
    "import": "nowhere theirs.csv --recommender x",
    "export": "nowhere --out x.csv",
    "validate-judge": "--judge txet",
    "replay": "nowhere --out x",
    "run": "nowhere.toml",
}
"""What each cannot do anything with; of the others, "nowhere"."""

FIGURES = {
    "init": ("dataset", "users", "shown"),
    "recommend": ("metrics", "evidence", "rows"),
    "evidence": ("by_one", "displaced", "surrogate"),
    "explain": ("generator", "known", "asked", "cost"),
    "tune": ("adapters",),
    "import": ("imported",),
    "export": ("rows",),
    "validate-judge": ("valid", "accuracy_balanced", "labels"),
    "judge": ("validity", "scores", "best", "asked"),
    "predict": ("accuracies", "left_out", "asked"),
    "faithfulness": ("generators",),
    "identify": ("identified",),
    "fairness": ("contrasts",),
    "audit": ("findings", "critical"),
    "study": ("detectable",),
    "report": ("workspaces", "scores"),
    "replay": ("workspaces", "scores"),
}
"""Some of what each tells a program."""


@dataclass
class Run:
    """How a command ended."""

    code: int
    stdout: str
    stderr: str

    @property
    def told(self) -> dict[str, Any]:
        """The one object on standard output."""
        assert self.stdout.endswith("\n") and self.stdout.count("\n") == 1 and self.stdout.isascii(), self.stdout
        found = json.loads(self.stdout, parse_constant=pytest.fail)
        assert isinstance(found, dict)
        return found


def run(*words: str) -> Run:
    result = CliRunner().invoke(app, words)
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return Run(result.exit_code, result.stdout, result.stderr)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, demo: Demo) -> Iterator[Path]:
    """Where all commands of this module are run, with what they need."""
    place, before = tmp_path_factory.mktemp("json"), Path.cwd()
    demo.copy(place / "d")  # made before, so that it is made quickly
    pairs = [
        {"instruction": f"Why film {n}?", "explanation_1": "You saw it.", "explanation_2": "Buy.", "label": 1 + n % 2}
        for n in range(30)
    ]
    (place / "pairs.jsonl").write_text("\n".join(map(json.dumps, pairs)))
    (place / "r.toml").write_text(RECIPE)
    (place / "file").touch()
    for folder in ("LLaMA2", "GPT4"):
        texts = [f"Watch it, says {folder}."] * len(PROMPTS)
        answers(place / "clone/src", PLAIN.format(recommender="BPR-MF", generator=folder), PROMPTS, texts)
    os.chdir(place)
    yield place
    os.chdir(before)


@pytest.fixture(scope="module")
def runs(folder: Path) -> dict[str, Run]:
    """Every command, once."""
    done = {}
    for command, words in WORDS.items():
        if command == "import":
            table = pl.read_parquet("w/recommendations/popularity.parquet").filter(rank=1).head(20)
            table.select("user_id", "item_id", text=pl.lit('So "good".')).write_csv("theirs.csv")
        done[command] = run(command, *words.split(), "--json")
    return done


def test_every_command_is_tried_here() -> None:
    assert set(WORDS) == set(COMMANDS)


@pytest.mark.parametrize("command", COMMANDS)
def test_one_object_and_nothing_else(command: str, runs: dict[str, Run]) -> None:
    ended = runs[command]
    assert ended.code == 0, ended.stderr
    told = ended.told
    assert told["command"] == command and list(told)[-2:] == ["wrote", "next"]
    assert "error: " not in ended.stderr and "wrote " not in ended.stderr, "progress at most"
    for file in told["wrote"]:
        assert Path(file).exists()
    assert set(FIGURES.get(command, ())) <= set(told)
    if told["next"] is not None:
        program, name, *words = told["next"]
        assert program == "llmxrec"
        COMMANDS[name].make_context(name, words)  # raises for an option that it does not have


@pytest.mark.parametrize("command", ["explain", "recommend", "judge", "audit", "identify", "export"])
def test_figures_are_those_that_people_read(command: str, runs: dict[str, Run]) -> None:
    """A few of them beside the files that the command wrote."""
    told = runs[command].told
    if command == "explain":
        assert (told["rows"], told["asked"], told["generator"]) == (20, {"ok": 20}, "template")
    elif command == "recommend":
        noted = {metric["name"]: metric for metric in told["metrics"]}
        assert noted["NDCG@10"]["low"] <= noted["NDCG@10"]["value"] <= noted["NDCG@10"]["high"]
        assert told["evidence"]["rows"] == told["users"] == 300
    elif command == "judge":
        table = pl.read_csv("w/tables/table2.csv")
        assert [row["win_ratio"] for row in told["scores"]] == table["win_ratio"].to_list()
        assert told["best"][0]["said"].startswith("no winner") and told["validity"]["valid"] is False
    elif command == "audit":
        assert told["critical"] == sum(one["severity"] == "critical" for one in told["findings"])
    elif command == "identify":
        assert {one["who"] for one in told["identified"]} >= {"template", "theirs"}
    else:
        assert command == "export"
        assert pl.read_csv("why.csv").height == told["rows"] == 20


@pytest.mark.parametrize("command", COMMANDS)
def test_wrong_input_is_told_too(command: str, runs: dict[str, Run]) -> None:
    words = (command, *WRONG.get(command, "nowhere").split())
    ended, plain = run(*words, "--json"), run(*words)
    told = ended.told
    assert (ended.code, told["command"], told["exit"]) == (2, command, 2)
    assert ended.stderr == plain.stderr == f"error: {told['error']['message']}\n"
    assert told["error"]["rule"] and told["error"]["rule"] in told["error"]["message"]
    assert told["wrote"] == [] and "next" not in told


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_line_that_cannot_be_read_is_told_too(command: str) -> None:
    ended = run(command, "--json", "--no-such-option")
    assert (ended.code, ended.told["command"], ended.told["exit"]) == (2, command, 2)
    assert "--no-such-option" in ended.told["error"]["message"] and "--no-such-option" in ended.stderr
    assert run(command, "--no-such-option").stdout == ""


def test_an_unknown_command_is_told_too() -> None:
    ended = run("exlpain", "w", "--json")
    assert (ended.code, ended.told["command"]) == (2, None) and "exlpain" in ended.told["error"]["message"]


def test_failed_work_keeps_its_figures(runs: dict[str, Run], serve: Serve) -> None:
    """A server that loses every third answer, which is not asked for again where each costs."""
    server = serve(lambda _body, number: replace(completion("Good."), cut=number % 3 == 0))
    words = ("explain", "w", "--generator", f"openai:m@{server.url}", "--name", "served", "--users", "6")
    ended = run(*words, "--concurrency", "1", "--price", "1,1", "--max-cost", "1", "--json")
    told = ended.told
    assert (ended.code, told["exit"], told["asked"]) == (1, 1, {"ok": 4, "failed": 2}), told
    assert [Path(file).name for file in told["wrote"]] == ["served.jsonl"]
    assert told["error"]["rule"] is None and ended.stderr.endswith(f"error: {told['error']['message']}\n")


def test_a_plan_is_told_with_its_prompts(runs: dict[str, Run]) -> None:
    told = run("explain", "w", "--generator", "gpt-4", "--users", "5", "--dry-run", "--json").told
    assert told["plan"]["calls"] == 5 and told["plan"]["cost_at_most"] > 0 and told["next"] is None
    assert told["plan"]["examples"][0][0]["role"] and len(told["plan"]["examples"]) == 3


def test_plans_are_told_by_value(runs: dict[str, Run]) -> None:
    words = ("fairness", "w", "--generator", "template", "--attribute", "gender", "--flip", "--dry-run", "--json")
    told = run(*words, "--users", "4").told
    assert (told["attribute"], {value: plan["calls"] for value, plan in told["plans"].items()}) == (
        "gender", {"female": 4, "male": 4}
    )  # fmt: skip


def test_of_several_processes_that_tune_one_tells(runs: dict[str, Run], monkeypatch: pytest.MonkeyPatch) -> None:
    assert run("tune", *WORDS["tune"].split(), "--json").told["adapters"]
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv("RANK", "1")
    for words in (WORDS["tune"], f"{WORDS['tune']} --json"):
        ended = run("tune", *words.split())
        assert (ended.code, ended.stdout) == (0, "")


def test_interrupted_is_told_too(runs: dict[str, Run], monkeypatch: pytest.MonkeyPatch) -> None:
    def stopped(*_given: object, **_more: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("llmxrec.stages.tracing.trace", stopped)
    ended = run("evidence", "w", "--json")
    assert (ended.code, ended.told["exit"]) == (130, 130) and "stopped" in ended.told["error"]["message"]


def test_what_a_library_prints_is_not_for_programs(runs: dict[str, Run], monkeypatch: pytest.MonkeyPatch) -> None:
    from llmxrec.stages import tracing

    found = tracing.trace

    def chatty(*given: Any, **more: Any) -> Any:
        print("loading weights")
        return found(*given, **more)

    monkeypatch.setattr("llmxrec.stages.tracing.trace", chatty)
    ended = run("evidence", "w", "--json")
    assert ended.told["rows"] == 300 and "loading weights" in ended.stderr


def test_a_full_disk_ends_in_one_line(runs: dict[str, Run]) -> None:
    with Path("/dev/full").open("w") as full:
        words = [sys.executable, "-m", "llmxrec", "study", "w", "--power", "--json"]
        ended = subprocess.run(words, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert ended.returncode == 1 and ended.stderr.startswith("error: ") and ended.stderr.count("\n") == 1


def test_values_as_json_has_them() -> None:
    metric = Metric("NDCG@10", math.nan, -math.inf, 0.5, 3)
    assert as_json(metric) == {"name": "NDCG@10", "value": None, "low": None, "high": 0.5, "rows": 3}
    mixed = {1: (np.int64(2), np.float64("nan"), True), "path": Path("a/b"), "none": None}
    assert as_json(mixed) == {"1": [2, None, True], "path": "a/b", "none": None}
