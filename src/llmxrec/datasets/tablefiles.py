"""Anyone's table as it is found: CSV, TSV, JSON lines or Parquet."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import polars as pl

from llmxrec.datasets.textfiles import LINE, ragged, read_delimited, read_lines
from llmxrec.errors import InputError

_ROWS_AT_ONCE = 100_000
_UNNAMED = "#unnamed "  # such as the first column of a CSV file that pandas wrote


def read_table(file: Path) -> pl.DataFrame:
    """The columns of `file` under their own names, and LINE; for Parquet, LINE is the row number, from 1.

    CSV has commas, or whichever of ; tab | its first line holds more of, and TSV tabs, both with double quotes around
    what holds one or a quote, and a first line that names the columns; JSON lines hold one object each, whose values
    are text, numbers, true, false, null or lists of those. Their text is UTF-8, `.gz` may follow, and their columns
    are String (List(String) for JSON's lists); those of Parquet are as they are. Raises InputError for anything else.
    """
    readers: dict[str, Callable[[Path], pl.DataFrame]] = {
        ".csv": partial(_read_separated, separators=",;\t|"),
        ".tsv": partial(_read_separated, separators="\t"),
        ".jsonl": _read_jsonl,
        ".ndjson": _read_jsonl,
        ".parquet": _read_parquet,
    }
    name = file.name.removesuffix(".gz") if not file.name.endswith(".parquet.gz") else file.name
    reader = readers.get(Path(name).suffix.lower())
    if reader is None:
        raise InputError("a table is a file of one of these kinds", file=file, cure=", ".join(readers))
    table = reader(file)
    table = table.drop(column for column in table.columns if column.startswith(_UNNAMED))
    if table.width == 1:
        raise InputError("a table has columns", file=file)
    return table


def _read_separated(file: Path, separators: str) -> pl.DataFrame:
    """Separated by the one of `separators` that its first line holds most of; by the first where none is ahead."""
    header = _first_line(file)
    separator = max(separators, key=re.sub('"[^"]*"', "", header).count)
    # Without quotes every separator separates, which is quick to split; Python's reader knows what quotes mean.
    if not any('"' in line for _, lines in read_lines(file) for line in lines):
        return read_delimited(file, _header(header.split(separator), file), separator, skip=1)
    lines = (line + "\n" for _, block in read_lines(file) for line in block)
    reader = csv.reader(lines, delimiter=separator, strict=True)
    try:
        columns = _header(next(reader, []), file)
        frames = [pl.DataFrame(schema={LINE: pl.UInt32, **dict.fromkeys(columns, pl.String)})]
        numbered = ((reader.line_num, row) for row in reader if row)
        while batch := list(islice(numbered, _ROWS_AT_ONCE)):
            for line, row in batch:
                if len(row) != len(columns):
                    raise ragged(file, line, len(columns), len(row))
            values = zip(*(row for _, row in batch), strict=True)
            frames.append(
                pl.DataFrame(
                    {LINE: [line for line, _ in batch], **dict(zip(columns, values, strict=True))},
                    schema=frames[0].schema,
                )
            )
    except csv.Error as error:
        raise InputError(
            f"quotes open and close a field, and are doubled inside: {error}", file=file, line=reader.line_num
        ) from None
    return pl.concat(frames)


def _read_parquet(file: Path) -> pl.DataFrame:
    if not file.is_file():
        raise InputError("the file does not exist or is a folder", file=file, cure="give the file itself")
    try:
        return pl.read_parquet(file, glob=False).with_row_index(LINE, offset=1)
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException, OSError) as error:
        reason = str(error).strip().split("\n")[0]
        raise InputError(f"the file is no Parquet table: {reason}", file=file) from None


def _read_jsonl(file: Path) -> pl.DataFrame:
    frames = []
    rows = (
        (number, line) for first, block in read_lines(file) for number, line in enumerate(block, first) if line.strip()
    )
    while batch := list(islice(rows, _ROWS_AT_ONCE)):
        frames.append(_json_frame(batch, file))
    if not frames:
        raise InputError("the file is empty", file=file)
    lists = {name for frame in frames for name, dtype in frame.schema.items() if dtype == pl.List(pl.String)}
    return pl.concat(
        (
            frame.with_columns(
                pl.concat_list(name) for name in lists if name in frame.columns and frame.schema[name] == pl.String
            )
            for frame in frames
        ),
        how="diagonal",
    )


def _json_frame(batch: Sequence[tuple[int, str]], file: Path) -> pl.DataFrame:
    values: dict[str, list[Any]] = {}
    for place, (number, line) in enumerate(batch):
        try:
            row = json.loads(line)
        except (ValueError, RecursionError):
            raise InputError("every line is one JSON object", value=line, file=file, line=number) from None
        if not isinstance(row, dict):
            raise InputError("every line is one JSON object", value=line, file=file, line=number)
        for name, value in row.items():
            try:
                name.encode()
                column = values.setdefault(name, [None] * len(batch))
                column[place] = [_text(part) for part in value] if isinstance(value, list) else _text(value)
            except (TypeError, ValueError):
                raise InputError(
                    "a value is text, a number, true, false, null or a list of those",
                    value={name: value},
                    file=file,
                    line=number,
                ) from None
    series = [pl.Series(LINE, [number for number, _ in batch], dtype=pl.UInt32)]
    for name, column in zip(_header(values, file), values.values(), strict=True):
        listed = any(isinstance(value, list) for value in column)
        if listed:
            column = [value if isinstance(value, list) or value is None else [value] for value in column]
        series.append(pl.Series(name, column, dtype=pl.List(pl.String) if listed else pl.String))
    return pl.DataFrame(series)


def _text(value: Any) -> str | None:
    """A JSON value as text. Raises TypeError for an object, ValueError for text that no file can hold."""
    if value is None or value != value:  # NaN, which Python's JSON reads, differs from itself
        return None
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        value.encode()
        return value
    if isinstance(value, int | float):
        return str(value)
    raise TypeError


def _first_line(file: Path) -> str:
    for _, lines in read_lines(file):
        return lines[0]
    raise InputError("the file is empty", file=file)


def _header(names: Iterable[str], file: Path) -> list[str]:
    columns = [name.strip() or f"{_UNNAMED}{place}" for place, name in enumerate(names)]
    known = {LINE}
    for name in columns:
        if name in known:
            raise InputError("columns have different names", value=name, file=file, line=1, cure="rename one")
        known.add(name)
    return columns
