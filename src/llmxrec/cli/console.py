"""What every command does the same way: errors in one line, exit codes, text from elsewhere made harmless."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import Any

import typer
from typer.core import TyperGroup

from llmxrec.errors import InputError, LLMXRecError
from llmxrec.errors import printable as printable
from llmxrec.lookup import only as only


class Reporting(TyperGroup):
    """Ends a command that raises with one line and its exit code: 1 the work failed, 2 the input was wrong."""

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except LLMXRecError as error:
            typer.echo(f"error: {printable(str(error))}", err=True)
            raise typer.Exit(2 if isinstance(error, InputError) else 1) from None
        except BrokenPipeError:
            raise typer.Exit(1) from None  # whoever read along has left: `llmxrec ... | head`
        except _failures() as error:
            place = getattr(error, "filename", None)
            said = f"{place}: {error.strerror}" if place and isinstance(error, OSError) else str(error)
            typer.echo(f"error: {printable(' '.join(said.split())[:300])}", err=True)
            raise typer.Exit(1) from None
        except KeyboardInterrupt:
            typer.echo("stopped; what was done is kept, and the same command goes on from there", err=True)
            raise typer.Exit(130) from None


def _failures() -> tuple[type[Exception], ...]:
    """What fails when a disk is full, a folder is closed or a stored file is damaged, of the libraries in use."""
    kinds: list[type[Exception]] = [OSError, MemoryError]
    for module, name in (("polars.exceptions", "PolarsError"), ("safetensors", "SafetensorError")):
        if module in sys.modules:
            kinds.append(getattr(sys.modules[module], name))
    return tuple(kinds)


def say(text: str) -> None:
    """A line for the user."""
    typer.echo(printable(text))


def say_next(*words: object) -> None:
    """The next command to run, ready to be pasted."""
    typer.echo(f"next: {shlex.join(['llmxrec', *map(str, words)])}")


def wrote(path: Path) -> None:
    """What was written, and where."""
    typer.echo(f"wrote {path}")


def pairs(option: str, given: list[str]) -> dict[str, str]:
    """Options of the form KEY=VALUE, as a table. Columns are named once on either side; values may be equal."""
    out: dict[str, str] = {}
    for text in given:
        key, equals, value = text.partition("=")
        if not equals or not key or not value:
            raise InputError(f"{option} takes KEY=VALUE", value=text)
        if key in out or (option == "--column" and value in out.values()):
            raise InputError(f"{option} names each thing once", value=text, cure="delete one of the two")
        out[key] = value
    return out


def numbers_or_words(table: dict[str, str]) -> dict[str, Any]:
    """Values as a recipe would have them: 20 is a number, true is true, all else is words."""
    import json

    def read(text: str) -> Any:
        try:
            return json.loads(text)
        except ValueError:
            return text

    return {key: read(text) for key, text in table.items()}


def listed(text: str | None) -> tuple[str, ...] | None:
    """An option that lists names with commas between; the empty text lists none."""
    return None if text is None else tuple(name.strip() for name in text.split(",") if name.strip())
