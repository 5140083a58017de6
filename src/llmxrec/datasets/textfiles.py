"""Text files as they are found, plain or gzipped, with line numbers for when one of them breaks a rule."""

from __future__ import annotations

import codecs
import gzip
import json
import re
import zlib
from collections.abc import Iterator, Sequence
from io import BufferedIOBase
from pathlib import Path
from typing import Any

import polars as pl

from llmxrec.errors import InputError

LINE = "#line"
"""The column that says where a row stands in its file, from 1. Never part of a dataset."""

_BLOCK_BYTES = 1 << 24


def existing_folder(folder: Path) -> Path:
    """`folder` itself. Raises InputError where it is no folder."""
    if not folder.is_dir():
        what = "this is a file, not a folder" if folder.exists() else "the folder does not exist"
        raise InputError(what, file=folder, cure="give the folder that holds the original files")
    return folder


def one_of(folder: Path, names: Sequence[str]) -> Path:
    """The one file of `folder` that has one of these names. Raises InputError where none or several have."""
    found = [folder / name for name in names if (folder / name).exists()]
    if len(found) == 1:
        return found[0]
    if found:
        held = ", ".join(file.name for file in found)
        raise InputError(f"the folder holds more than one of {held}", file=folder, cure="keep the one to read")
    raise InputError(f"the folder holds no {' or '.join(names)}", file=existing_folder(folder), cure="put it there")


def read_lines(file: Path, encoding: str = "utf-8", block_bytes: int = _BLOCK_BYTES) -> Iterator[tuple[int, list[str]]]:
    """Yield the lines of `file` in blocks, each with the number of its first line (from 1).

    Lines end with LF or CRLF, which are taken off; blank lines are kept, so that numbers can be counted. Names ending
    in `.gz` are unpacked as they are read. Raises InputError for a file that is missing, a folder, damaged, not in
    `encoding`, or holding NUL bytes.
    """
    number = 1
    with _opened(file) as stream:
        while block := _block(stream, file, block_bytes):
            text = _decoded(block, encoding, file, number)
            if number == 1:
                text = text.removeprefix("\ufeff")
            lines = text.split("\n")
            if text.endswith("\n"):
                lines.pop()
            if "\r" in text:
                lines = [line.removesuffix("\r") for line in lines]
            yield number, lines
            number += len(lines)


def read_json_rows(file: Path) -> Iterator[tuple[Any, dict[str, Any]]]:
    """The rows of a file of JSON lines, or of one that is a JSON array; each with its place, for an InputError.

    Raises InputError for what is neither.
    """
    lines = [line for _, block in read_lines(file) for line in block]
    if next((line.lstrip()[:1] for line in lines if line.strip()), "") == "[":
        try:
            rows = json.loads("\n".join(lines))
        except (ValueError, RecursionError) as error:
            line = error.lineno if isinstance(error, json.JSONDecodeError) else None
            raise InputError("the file is one JSON array, or a JSON object a line", file=file, line=line) from None
        yield from ((row, {"file": f"{file}, row {number}"}) for number, row in enumerate(rows, 1))
        return
    for number, text in enumerate(lines, 1):
        if text.strip():
            place: dict[str, Any] = {"file": file, "line": number}
            try:
                yield json.loads(text), place
            except (ValueError, RecursionError):
                raise InputError("each line is a JSON object", value=text, **place) from None


def read_delimited(
    file: Path, columns: Sequence[str], separator: str, *, encoding: str = "utf-8", skip: int = 0
) -> pl.DataFrame:
    """The rows of a text file without quoting, as LINE (UInt32) and `columns` (String, as spelled).

    Blank lines, and the first `skip` lines, are left out. Raises InputError at the first line that has not one field
    for each column.
    """
    nothing = pl.DataFrame(schema={LINE: pl.UInt32, **dict.fromkeys(columns, pl.String)})
    return pl.concat([nothing, *delimited_blocks(file, columns, separator, encoding=encoding, skip=skip)])


def delimited_blocks(
    file: Path, columns: Sequence[str], separator: str, *, encoding: str = "utf-8", skip: int = 0
) -> Iterator[pl.DataFrame]:
    """As `read_delimited`, a block of lines at a time, for files that are large."""
    for number, lines in read_lines(file, encoding):
        rows = pl.DataFrame({LINE: pl.int_range(number, number + len(lines), dtype=pl.UInt32, eager=True), "": lines})
        rows = rows.filter((pl.col("") != "") & (pl.col(LINE) > skip))
        fields = pl.col("").str.count_matches(separator, literal=True) + 1
        wrong = rows.filter(fields != len(columns)).head(1)
        if wrong.height:
            raise ragged(file, wrong[LINE][0], len(columns), wrong[""][0].count(separator) + 1)
        split = pl.col("").str.split_exact(separator, len(columns) - 1).struct.rename_fields(list(columns))
        yield rows.select(LINE, split.alias("")).unnest("")


def ragged(file: Path, line: int, wanted: int, found: int) -> InputError:
    """The error for a line with another number of fields than there are columns."""
    return InputError(f"every line has {wanted} fields", value=found, file=file, line=line, cure="mend that line")


def numbers(rows: pl.DataFrame, column: str, file: Path, *, required: bool = False) -> pl.Series:
    """A String column as Float64; empty text is null. Raises InputError at the first value that is no finite number."""
    parsed = rows.select(
        LINE,
        pl.col(column).alias("text"),
        pl.col(column).str.strip_chars().cast(pl.Float64, strict=False).alias("number"),
    )
    empty = pl.col("text").is_null() | (pl.col("text").str.strip_chars() == "")
    fine = pl.col("number").is_finite().fill_null(False) | (pl.lit(not required) & empty)
    wrong = parsed.filter(~fine).head(1)
    if wrong.height:
        value = wrong["text"][0]
        cure = "write decimals with a point" if re.fullmatch(r"\s*-?\d+,\d+\s*", value or "") else ""
        raise InputError(f"'{column}' is a number", value=value, file=file, line=wrong[LINE][0], cure=cure)
    return parsed["number"].alias(column)


def whole_numbers(rows: pl.DataFrame, column: str, file: Path, *, required: bool = False) -> pl.Series:
    """As `numbers`, rounded down to Int64."""
    floats = numbers(rows, column, file, required=required)
    whole = floats.floor().cast(pl.Int64, strict=False)
    wrong = rows.filter(whole.is_null() & floats.is_not_null()).head(1)
    if wrong.height:
        raise InputError(
            f"'{column}' is a whole number below 2^63", value=wrong[column][0], file=file, line=wrong[LINE][0]
        )
    return whole


def present(rows: pl.DataFrame, column: str, file: Path) -> pl.DataFrame:
    """`rows` itself. Raises InputError at the first row whose `column` is empty."""
    wrong = rows.filter(pl.col(column).fill_null("") == "").head(1)
    if wrong.height:
        raise InputError(f"every row has its {column}", value="", file=file, line=wrong[LINE][0])
    return rows


def whole_characters(text: str) -> str:
    """`text` as it can be written in UTF-8: pairs of surrogates joined, lone ones replaced."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def _opened(file: Path) -> BufferedIOBase:
    if file.is_dir():
        raise InputError("this is a folder, not a file", file=file, cure="give the file itself")
    try:
        return gzip.open(file, "rb") if file.suffix == ".gz" else file.open("rb")
    except FileNotFoundError:
        raise InputError("the file does not exist", file=file, cure="check the path") from None
    except OSError as error:
        raise InputError(f"the file cannot be read: {error.strerror}", file=file) from None


def _block(stream: BufferedIOBase, file: Path, size: int) -> bytes:
    """The next `size` bytes and the rest of the line they end in; empty at the end."""
    try:
        block = stream.read(size)
        return block if not block or block.endswith(b"\n") else block + stream.readline()
    except (OSError, EOFError, zlib.error) as error:
        raise InputError(f"the file is damaged or cut short: {error}", file=file, cure="fetch it again") from None


def _decoded(block: bytes, encoding: str, file: Path, number: int) -> str:
    if number == 1 and block.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        raise InputError("the file is UTF-16", file=file, cure="save it as UTF-8")
    nul = block.find(b"\0")
    if nul >= 0:
        line = number + block.count(b"\n", 0, nul)
        raise InputError("a text file holds no NUL bytes", file=file, line=line, cure="save it as text")
    try:
        return block.decode(encoding)
    except UnicodeDecodeError as error:
        line = number + block.count(b"\n", 0, error.start)
        value = block[error.start : error.end]
        cure = "save it as UTF-8, with an editor or iconv -f latin1 -t utf-8"
        raise InputError(f"text is {encoding}", value=value, file=file, line=line, cure=cure) from None
