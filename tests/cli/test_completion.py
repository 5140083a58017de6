"""What shells complete, asked as they ask: in a process of its own, by the environment."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from tests.conftest import REPOSITORY, Call

from llmxrec.cli import completion
from llmxrec.prompts.targets import TARGETS
from llmxrec.recommenders import RECOMMENDERS
from llmxrec.stages.tuning import _TUNERS_ON_PAIRS, TASKS
from llmxrec.stored import EXTERNAL

HEAVY = {"torch", "transformers", "openai", "numba", "polars", "numpy", "scipy"}


@pytest.fixture
def program(tmp_path: Path) -> dict[str, str]:
    """The environment in which `llmxrec` is a command, and home an empty folder."""
    (tmp_path / "bin").mkdir()
    file = tmp_path / "bin/llmxrec"
    file.write_text(f"#!{sys.executable}\nfrom llmxrec.cli import main\n\nmain()\n")
    file.chmod(0o755)
    paths = {"PATH": f"{file.parent}:{os.environ['PATH']}", "PYTHONPATH": str(REPOSITORY / "src")}
    return {**os.environ, **paths, "HOME": str(tmp_path), "SHELL": "/bin/bash"}


def completed(program: dict[str, str], *words: str) -> list[str]:
    """What bash is told for the last of `words`."""
    asked = {"COMP_WORDS": "\n".join(["llmxrec", *words]), "COMP_CWORD": str(len(words))}
    environment = {**program, **asked, "_LLMXREC_COMPLETE": "complete_bash"}
    ended = subprocess.run(["llmxrec"], env=environment, capture_output=True, text=True, check=True)
    assert ended.stderr == ""
    return ended.stdout.split()


@pytest.fixture
def explained(call: Call, shop: Path) -> Path:
    tables = ["--interactions", shop / "orders.csv", "--items", shop / "products.csv"]
    assert call("init", "w", *tables, "--recommendations", shop / "ours.csv").code == 0
    assert call("explain", "w", "--generator", "template", "--name", "plain").code == 0
    adapter = Path("w/adapters/mine")
    adapter.mkdir(parents=True)
    (adapter / "card.json").write_text(json.dumps({"task": "explain", "base": "embedded"}))
    judge = Path("w/adapters/wise")
    judge.mkdir()
    (judge / "card.json").write_text(json.dumps({"task": "reward", "base": "hf:x"}))
    (Path("w/adapters/broken")).mkdir()
    Path("w/adapters/broken/card.json").write_text("{")
    Path("w/verdicts/external").mkdir(parents=True)
    Path("w/verdicts/external/text.jsonl").touch()
    return Path("w")


def test_names_are_completed(program: dict[str, str], explained: Path) -> None:
    assert {"explain", "export", "evidence"} == set(completed(program, "e"))
    assert completed(program, "recommend", "w", "--recommender", "") == [*RECOMMENDERS, "external"]
    assert completed(program, "recommend", "w", "--recommender", "l") == ["lightgcn"]
    assert completed(program, "explain", "w", "--recommender", "") == ["external"]
    assert completed(program, "export", "w", "--generator", "") == ["plain"]
    assert completed(program, "identify", "w", "--recommender", "external", "--generator", "p") == ["plain"]
    specs = completed(program, "explain", "w", "--generator", "")
    assert {"embedded", "template", "gpt-4", "hf:", "openai:", "embedded+w/adapters/mine"} <= set(specs)
    assert not any("wise" in spec or "broken" in spec for spec in specs), "no generators"
    assert "reward:w/adapters/wise" in completed(program, "judge", "w", "--judge", "")
    assert completed(program, "tune", "w", "--task", "prefer", "--judge", "") == ["text"]
    assert completed(program, "tune", "w", "--task", "explain,a") == ["explain,attributes"]
    assert completed(program, "init", "w", "--dataset", "m") == ["ml-100k", "mind"]
    assert completed(program, "init", "w", "--domain", "") == list(completion.DOMAINS)
    assert completed(program, "explain", "w", "--template", "p") == ["paper"]
    assert completed(program, "explain", "w", "--item-attributes", "") == ["shelf"]
    assert completed(program, "predict", "w", "--target", "") == list(TARGETS)
    assert completed(program, "explain", "--generator", "emb") == ["embedded"], "before the workspace is named"
    assert completed(program, "explain", "nowhere", "--recommender", "") == []
    assert "--json" in completed(program, "audit", "w", "--j")


def test_lists_that_are_written_twice_agree() -> None:
    assert completion.TARGETS == TARGETS and completion.EXTERNAL == EXTERNAL
    assert set(completion.ON_PAIRS) == set(_TUNERS_ON_PAIRS) and completion.TASKS == TASKS


@pytest.mark.parametrize("words", [["explain", "w", "--generator", ""], ["tune", "w", "--task", ""]])
def test_completing_loads_nothing_heavy(words: list[str]) -> None:
    code = (
        "import sys, atexit; atexit.register(lambda: print('loaded', *sys.modules, file=sys.stderr));"
        "sys.argv = ['llmxrec']; from llmxrec.cli import main; main()"
    )
    asked = {"COMP_WORDS": "\n".join(["llmxrec", *words]), "COMP_CWORD": str(len(words))}
    environment = {**os.environ, **asked, "_LLMXREC_COMPLETE": "complete_bash"}
    ended = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert ended.stdout and not HEAVY & set(ended.stderr.split())


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_each_shell_has_its_script(program: dict[str, str], shell: str) -> None:
    environment = {**program, "_LLMXREC_COMPLETE": f"source_{shell}"}
    script = subprocess.run(["llmxrec"], env=environment, capture_output=True, text=True, check=True).stdout
    assert f"_LLMXREC_COMPLETE=complete_{shell}" in script
    asked = {"_LLMXREC_COMPLETE": f"complete_{shell}", "_TYPER_COMPLETE_ARGS": "llmxrec recommend w --recommender l"}
    asked["_TYPER_COMPLETE_FISH_ACTION"] = "get-args"
    if shell != "bash":
        ended = subprocess.run(["llmxrec"], env={**program, **asked}, capture_output=True, text=True, check=True)
        assert "lightgcn" in ended.stdout and "bpr" not in ended.stdout


@pytest.mark.skipif(shutil.which("bash") is None, reason="bash is not installed")
def test_bash_completes_with_what_is_installed(program: dict[str, str], explained: Path, tmp_path: Path) -> None:
    """The script is installed as a user does it, and asked through bash's own function."""
    lines = (
        "llmxrec --install-completion && source ~/.bashrc",
        'COMP_WORDS=(llmxrec explain w --recommender ""); COMP_CWORD=4',
        "$(complete -p llmxrec | sed 's/.*-F \\([^ ]*\\).*/\\1/') llmxrec",
        'printf "found %s\\n" "${COMPREPLY[@]}"',
    )
    ended = subprocess.run(
        ["bash", "--norc", "-c", "\n".join(lines)], env=program, capture_output=True, text=True, check=False
    )
    assert ended.returncode == 0, ended.stderr
    assert "found external\n" in ended.stdout and (tmp_path / ".bashrc").exists()
