"""Tables as a notebook has them: files, or data frames of Polars, pandas or Arrow."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Protocol, TypeAlias

import polars as pl

from llmxrec.errors import InputError


class DataFrame(Protocol):
    """A data frame of Polars, Arrow, or pandas (where pyarrow is installed)."""

    def __arrow_c_stream__(self, requested_schema: object = None, /) -> object: ...


Table: TypeAlias = str | Path | DataFrame | Mapping[str, Sequence[Any]]
"""The path of a CSV, TSV, JSONL or Parquet file, a data frame, or columns by name."""


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
