"""The command line: one command per stage. What a command needs is loaded when it runs, so that help is instant."""

from __future__ import annotations

from typing import Annotated

import typer

from llmxrec.cli.console import Commands, Reporting

app = Commands(
    cls=Reporting,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Tell people why something was recommended to them, in words that can be checked.",
    epilog="First time here? Run: llmxrec demo. Each command tells more with --help.",
)


def _show_version(wanted: bool) -> None:
    from importlib.metadata import version

    if wanted:
        typer.echo(f"llmxrec {version('llmxrec')}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Say which version this is.")
    ] = False,
) -> None:
    pass


def main() -> None:
    """The `llmxrec` command."""
    app(prog_name="llmxrec")


from llmxrec.cli import (  # noqa: E402 - they add their commands
    audits,
    data,
    explanations,
    judging,
    people,
    predictions,
    replays,
    reporting,
    runs,
    studying,
    truth,
    tuning,
)

__all__ = [
    "app",
    "audits",
    "data",
    "explanations",
    "judging",
    "main",
    "people",
    "predictions",
    "replays",
    "reporting",
    "runs",
    "studying",
    "truth",
    "tuning",
]
