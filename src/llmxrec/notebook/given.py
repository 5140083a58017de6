"""Tables as a notebook has them: files, or data frames of Polars, pandas or Arrow."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Protocol, TypeAlias, TypeVar, cast

import polars as pl

from llmxrec.errors import InputError

T = TypeVar("T")


class DataFrame(Protocol):
    """A data frame of Polars, Arrow, or pandas (where pyarrow is installed)."""

    def __arrow_c_stream__(self, requested_schema: object = None, /) -> object: ...


Table: TypeAlias = str | Path | DataFrame | Mapping[str, Sequence[Any]]
"""The path of a CSV, TSV, JSONL or Parquet file, a data frame, or columns by name."""


_LEAST = {"k": 1, "users": 1, "top": 1, "folds": 2, "among": 2, "evidence": 0, "seed": 0}


def check_numbers(**given: int | None) -> None:
    """Raises InputError for a number that is less than what it counts can be; None stands for all."""
    for name, number in given.items():
        if number is not None and not (isinstance(number, int) and number >= _LEAST[name]):
            raise InputError(f"{name} is a whole number, {_LEAST[name]} or more", value=number)


def several(given: str | Path | Iterable[T]) -> tuple[T, ...]:
    """`given` as a list: a lone name is one of one."""
    return (cast(T, given),) if isinstance(given, str | Path) else tuple(given)


def named(what: str, given: str | Iterable[str] | None) -> tuple[str, ...] | None:
    """The names in `given`; None stands for all. Raises InputError where there is none."""
    names: tuple[str, ...] | None = None if given is None else several(given)
    if names == ():
        raise InputError(f"{what} names one or more", value=[], cure="leave it out for all")
    return names


@contextmanager
def in_python() -> Iterator[None]:
    """What is refused in here is said as Python has it: `--max-cost USD` is max_cost=USD."""
    try:
        yield
    except InputError as error:
        rule, cure = map(_in_python, (error.rule, error.cure))
        if (rule, cure) == (error.rule, error.cure):
            raise
        raise InputError(rule, value=error.value, cure=cure, file=error.file, line=error.line) from None


def _in_python(text: str) -> str:
    def keyword(option: re.Match[str]) -> str:
        name, value = option[1].replace("-", "_"), option[2]
        return f"{_KEYWORDS.get(name, name)}{f'={value}' if value else ''}"

    return re.sub(r"(?<!\S)--([a-z][a-z-]*)(?: ([A-Z][A-Z_,]*|annotated)\b)?", keyword, text)


_KEYWORDS = {"from": "sources", "target": "targets", "attribute": "attributes", "full": "hold_out=False"}
"""Options that Python calls otherwise."""


@contextmanager
def as_files(**tables: Table | None) -> Iterator[dict[str, Path]]:
    """The files of `tables`, by their names: those that are no files yet are written as some, for as long as it takes.

    An InputError about such a file names the table instead, and columns are named as Python does.
    """
    given = {name: table for name, table in tables.items() if table is not None}
    with TemporaryDirectory() as folder:
        files = {name: _file(table, Path(folder, f"{name}.parquet")) for name, table in given.items()}
        try:
            yield files
        except InputError as error:
            name = next((name for name, file in files.items() if file == error.file), "")
            where = f"the table of {name}" if name and in_memory(given[name]) else error.file
            cure = re.sub(r"--column (\w+)=(\w+)", r"columns={'\1': '\2'}", error.cure)
            raise InputError(error.rule, value=error.value, cure=cure, file=where, line=error.line) from None


def in_memory(table: Table) -> bool:
    """Whether it is no file."""
    return not isinstance(table, str | Path)


def _file(table: Table, file: Path) -> Path:
    if isinstance(table, str | Path):
        return Path(table)
    try:
        frame = pl.DataFrame(table)
        frame.write_parquet(file)
    except (TypeError, ValueError, ImportError, pl.exceptions.PolarsError) as error:
        reason = str(error).strip().split("\n")[0]
        rule = f"a table is a file, a data frame or columns by name: {reason}"
        cure = "write it to a CSV or Parquet file, and give its path"
        raise InputError(rule, value=type(table).__name__, cure=cure) from None
    return file
