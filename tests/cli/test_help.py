"""Help as a new user reads it: commands in the order of work, each line in its place."""

from __future__ import annotations

import inspect
import subprocess
import sys
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from llmxrec.cli import app
from llmxrec.cli.console import PANELS

GROUP: Any = typer.main.get_command(app)
COMMANDS: dict[str, Any] = GROUP.commands
LISTED = [name for names in PANELS.values() for name in names]


def shown(*words: str) -> str:
    return CliRunner().invoke(app, [*words, "--help"], env={"COLUMNS": "100"}, terminal_width=100).stdout


def test_commands_stand_in_the_order_of_work() -> None:
    assert sorted(LISTED) == sorted(COMMANDS) and len(LISTED) == len(set(LISTED))
    lines = shown().splitlines()
    first = [line.split()[1] for line in lines if line.startswith("│ ") and line[2] not in " -"]
    assert first == LISTED
    assert [panel for panel in PANELS if any(f"╭─ {panel} ─" in line for line in lines)] == list(PANELS)


@pytest.mark.parametrize("command", COMMANDS)
def test_help_is_whole(command: str) -> None:
    """Nothing is cut off, every option says what it is, in words of ours instead of types."""
    text = shown(command)
    assert max(map(len, text.splitlines())) <= 100
    assert "…" not in text.replace("GEN…", ""), "a path longer than its column"
    for kind in ("<str>", "<int>", "<float>", "<bool>", "range>"):
        assert kind not in text
    for option in COMMANDS[command].params:
        assert option.help, option.name


@pytest.mark.parametrize("command", sorted(COMMANDS))
def test_the_first_sentence_is_a_line(command: str) -> None:
    summary = inspect.cleandoc(COMMANDS[command].help).split("\n\n")[0]
    assert len(summary) <= 80 and summary.endswith(".")


def test_the_same_option_says_the_same() -> None:
    """Where two commands share an option, they share its words, but for those that are told apart here."""
    apart = {"--generator", "--recommender", "--users", "--user-attributes", "--name", "--judge", "--set", "--pairs",
             "--source", "--folds", "--out", "-k", "--top", "--seed"}  # fmt: skip
    words: dict[str, set[str]] = {}
    for command in COMMANDS.values():
        for option in command.params:
            words.setdefault(option.opts[-1], set()).add(option.help)
    said = {name: told for name, told in words.items() if name.startswith("-") and len(told) > 1}
    assert set(said) <= apart, said


def test_the_program_has_one_name() -> None:
    ended = subprocess.run([sys.executable, "-m", "llmxrec", "-h"], capture_output=True, text=True, check=True)
    assert "Usage: llmxrec [OPTIONS] COMMAND" in ended.stdout
