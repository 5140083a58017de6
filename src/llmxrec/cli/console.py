"""What every command does the same way: --json and -v, errors in one line, exit codes, text made harmless."""

from __future__ import annotations

import inspect
import json
import logging
import math
import shlex
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, redirect_stdout, suppress
from contextvars import ContextVar
from dataclasses import dataclass, field, fields, is_dataclass
from functools import update_wrapper
from pathlib import Path
from typing import Annotated, Any, NoReturn, TextIO, TypeVar

import typer
from typer.core import TyperCommand, TyperGroup

from llmxrec.errors import InputError, LLMXRecError
from llmxrec.errors import printable as printable
from llmxrec.lookup import only as only
from llmxrec.workspace import Workspace

Function = TypeVar("Function", bound=Callable[..., Any])

PANELS = {
    "Start": ("demo", "init", "run"),
    "Stage 1: what is recommended": ("recommend", "evidence"),
    "Stage 2: why it is recommended": ("tune", "explain", "import", "export"),
    "Evaluate": (
        "validate-judge", "judge", "predict", "faithfulness", "identify", "fairness", "audit", "study",
    ),
    "Publish": ("report", "replay"),
}  # fmt: skip
"""All commands in the order of work, as help shows them."""

_USAGE: Any = typer.BadParameter.__base__
"""A command line that cannot be read. Typer exports its kinds only."""


@dataclass
class Told:
    """What a command tells a program: one JSON object, sent once."""

    command: str | None
    to: TextIO
    figures: dict[str, Any] = field(default_factory=dict)
    wrote: list[str] = field(default_factory=list)
    next: list[str] | None = None
    sent: bool = False

    def send(self, end: Mapping[str, Any] | None = None) -> None:
        """Print it, with `end` in the place of the next command."""
        if not self.sent:
            self.sent = True
            whole = {"command": self.command, **self.figures, "wrote": self.wrote, **(end or {"next": self.next})}
            # Escaped to ASCII: one line for whoever reads it, and nothing that steers a terminal.
            print(json.dumps(as_json(whole), allow_nan=False), file=self.to, flush=True)


_told: ContextVar[Told | None] = ContextVar("told", default=None)
"""Of the command under way, where it was given --json."""


class Commands(typer.Typer):
    """An app whose commands all take --json and -v."""

    def command(self, name: str | None = None, **kwargs: Any) -> Callable[[Function], Function]:
        def add(function: Function) -> Function:
            called = name or function.__name__
            (panel,) = (panel for panel, names in PANELS.items() if called in names)
            # Else help would break lines where the docstring does.
            told = "\n\n".join(" ".join(part.split()) for part in (function.__doc__ or "").split("\n\n"))
            how = {"cls": Command, "help": told, "rich_help_panel": panel, **kwargs}
            register = super(Commands, self).command(called, **how)
            register(_reporting(function, called))
            return function

        return add


def _reporting(function: Callable[..., None], name: str) -> Callable[..., None]:
    """`function` with the options that all commands have."""

    def run(*, as_json: bool, verbose: int, **given: Any) -> None:
        with _logs(verbose):
            if not as_json:
                function(**given)
                return
            told = Told(name, sys.stdout)
            _told.set(told)
            with redirect_stdout(sys.stderr):  # what a library prints is not for programs
                function(**given)
            told.send()

    update_wrapper(run, function)
    signature = inspect.signature(function, eval_str=True)
    own = [
        inspect.Parameter("as_json", inspect.Parameter.KEYWORD_ONLY, default=False, annotation=_Json),
        inspect.Parameter("verbose", inspect.Parameter.KEYWORD_ONLY, default=0, annotation=_Verbose),
    ]
    # What Typer reads a command's options from; mypy knows no such attribute of functions.
    run.__signature__ = signature.replace(parameters=[*signature.parameters.values(), *own])  # type: ignore[attr-defined]
    return run


_Json = Annotated[bool, typer.Option("--json", help="Print one JSON object, for programs, instead of lines.")]
_Verbose = Annotated[
    int,
    typer.Option(
        "--verbose", "-v", count=True, show_default=False, metavar="", help="Say what is being done; -vv: in detail."
    ),
]


class Command(TyperCommand):
    """A command in whose help flags take no value."""

    def get_params(self, ctx: Any) -> list[Any]:
        return _without_values(super().get_params(ctx))


class Reporting(TyperGroup):
    """Ends a command that raises with one line and its exit code: 1 the work failed, 2 the input was wrong."""

    def get_params(self, ctx: Any) -> list[Any]:
        return _without_values(super().get_params(ctx))

    def list_commands(self, ctx: Any) -> list[str]:
        return [name for names in PANELS.values() for name in names]

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        # A command line that cannot be read may have been meant for a program too.
        ctx.meta["llmxrec.json"] = "--json" in args
        return super().parse_args(ctx, args)

    def invoke(self, ctx: Any) -> Any:
        before = _told.set(None)
        try:
            return super().invoke(ctx)
        except _USAGE as error:
            if ctx.meta["llmxrec.json"]:
                _told.set(Told(ctx.invoked_subcommand, sys.stdout))
                _send_failure(error.format_message(), 2)
            raise
        except LLMXRecError as error:
            _fail(str(error), 2 if isinstance(error, InputError) else 1, error)
        except BrokenPipeError:
            raise typer.Exit(1) from None  # whoever read along has left: `llmxrec ... | head`
        except _failures() as error:
            place = getattr(error, "filename", None)
            said = f"{place}: {error.strerror}" if place and isinstance(error, OSError) else str(error)
            _fail(" ".join(said.split())[:300], 1)
        except KeyboardInterrupt:
            words = "stopped; what was done is kept, and the same command goes on from there"
            typer.echo(words, err=True)
            _send_failure(words, 130)
            raise typer.Exit(130) from None
        finally:
            _told.reset(before)


def _without_values(options: list[Any]) -> list[Any]:
    """Typer shows what a flag is, as if one had to give it: <bool>."""
    for option in options:
        if getattr(option, "is_flag", False):
            option.metavar = ""
    return options


def _fail(message: str, code: int, error: LLMXRecError | None = None) -> NoReturn:
    typer.echo(f"error: {printable(message)}", err=True)
    _send_failure(message, code, error)
    raise typer.Exit(code) from None


def _send_failure(message: str, code: int, error: LLMXRecError | None = None) -> None:
    told = _told.get()
    if told is not None:
        parts = {name: getattr(error, name, None) for name in ("rule", "value", "cure", "file", "line")}
        with suppress(OSError):  # the disk may be what failed
            told.send({"error": {"message": message, **parts}, "exit": code})


def _failures() -> tuple[type[Exception], ...]:
    """What fails when a disk is full, a folder is closed or a stored file is damaged, of the libraries in use."""
    kinds: list[type[Exception]] = [OSError, MemoryError]
    for module, name in (("polars.exceptions", "PolarsError"), ("safetensors", "SafetensorError")):
        if module in sys.modules:
            kinds.append(getattr(sys.modules[module], name))
    return tuple(kinds)


class _StandardError(logging.Handler):
    """Lines of a log, where progress is shown too."""

    def emit(self, record: logging.LogRecord) -> None:
        print(printable(self.format(record)), file=sys.stderr, flush=True)


@contextmanager
def _logs(verbose: int) -> Iterator[None]:
    """Show what this library logs: all that is done (1), or in detail (2)."""
    logger = logging.getLogger("llmxrec")
    before, handler = logger.level, _StandardError()
    handler.setFormatter(logging.Formatter("%(asctime)s %(name)s: %(message)s", "%H:%M:%S"))
    if verbose:
        logger.setLevel(logging.INFO if verbose == 1 else logging.DEBUG)
        logger.addHandler(handler)
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.setLevel(before)


def say(text: str) -> None:
    """A line for people."""
    if _told.get() is None:
        typer.echo(printable(text))


def figures(**known: Any) -> None:
    """What the lines of a command say, for programs: numbers, names, records and tables, by their names."""
    told = _told.get()
    if told is not None:
        told.figures |= known


def hush() -> None:
    """Say nothing from now on, to people or programs: of several processes that do one thing, one speaks."""
    told = _told.get()
    if told is None:
        _told.set(Told(None, sys.stdout, sent=True))
    else:
        told.sent = True


def send() -> None:
    """What a program is told, at once: for a command that stays."""
    told = _told.get()
    if told is not None:
        told.send()


def say_next(*words: object) -> None:
    """The next command to run, ready to be pasted."""
    command, told = ["llmxrec", *map(str, words)], _told.get()
    if told is None:
        typer.echo(f"next: {shlex.join(command)}")
    else:
        told.next = command


def wrote(path: Path) -> None:
    """What was written, and where."""
    told = _told.get()
    if told is None:
        typer.echo(f"wrote {path}")
    else:
        told.wrote.append(str(path))


def as_json(value: Any) -> Any:
    """`value` as JSON has it: records by their fields, tables by rows, null where a figure is not a number."""
    if is_dataclass(value):
        return {one.name: as_json(getattr(value, one.name)) for one in fields(value)}
    if isinstance(value, Mapping):
        return {str(key): as_json(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [as_json(inner) for inner in value]
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if hasattr(value, "item"):
        return as_json(value.item())  # a number of NumPy's
    return value if value is None or isinstance(value, str | int) else str(value)


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


def refuse_idle(goes_with: str, **given: object) -> None:
    """Raises InputError for the options that were `given` (None, False or none: they were not) where only `goes_with`
    makes them do anything."""
    names = (name for name, value in given.items() if value is not None and value is not False and value != [])
    idle = ", ".join(f"{'-' if len(name) == 1 else '--'}{name.replace('_', '-')}" for name in names)
    if idle:
        raise InputError(f"{idle} can only be given with {goes_with}", cure="leave that out")


def listed(text: str | None) -> tuple[str, ...] | None:
    """An option that lists names with commas between; the empty text lists none."""
    return None if text is None else tuple(name.strip() for name in text.split(",") if name.strip())


def opened(path: Path) -> Workspace:
    """The workspace at `path`. Raises InputError where nothing was begun there."""
    if not Workspace(path).dataset.is_dir():
        cure = "check its name, or begin it with: llmxrec init"
        raise InputError("a workspace holds dataset/", value=str(path), cure=cure)
    return Workspace(path)
