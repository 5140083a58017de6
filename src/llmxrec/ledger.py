"""Append-only JSONL of records: what is paid for is on disk before more is asked, and a kill loses nothing.

A record is one line. It is written whole, or the half of it that reached the disk is cut off when the ledger is
next opened; a half line is never misread, because an object cut short is not JSON.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Self

from llmxrec.errors import InputError, WorkError

if sys.platform != "win32":
    import fcntl

Record = dict[str, Any]

_SYNC_EVERY_S = 1.0
_BLOCK = 1 << 16


class Ledger:
    """A ledger open for appending, by one process at a time.

    >>> with Ledger(Path("answers.jsonl")) as ledger:   # doctest: +SKIP
    ...     ledger.append({"key": "a", "text": "b"})
    """

    def __init__(self, file: Path) -> None:
        """Open `file`, made with its folder if absent, and repair its end.

        Raises WorkError where another process has it open, InputError where it is not a ledger.
        """
        self.file = file
        file.parent.mkdir(parents=True, exist_ok=True)
        # Unbuffered: each append is one write, so what a kill can cut is at most the line being written.
        self._out: BinaryIO = file.open("a+b", buffering=0)
        try:
            self._lock()
            _repair(self._out, file)
        except BaseException:
            self._out.close()
            raise
        self._synced = time.monotonic()

    def append(self, record: Mapping[str, Any]) -> None:
        """Write `record` as one line. It survives the death of this process from the moment this returns."""
        line = json.dumps(record, ensure_ascii=False, separators=(",", ":")) + "\n"
        # A lone surrogate is no UTF-8; "backslashreplace" writes the very escape that JSON reads back as one.
        data = memoryview(line.encode("utf-8", "backslashreplace"))
        try:
            while data:
                data = data[self._out.write(data) :]
            if time.monotonic() - self._synced > _SYNC_EVERY_S:
                self._sync()
        except OSError as error:
            raise WorkError(f"{self.file}: cannot be written: {error.strerror}") from error

    def close(self) -> None:
        """Make sure that all is on the disk, and let others open the ledger."""
        if not self._out.closed:
            self._sync()
            self._out.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _sync(self) -> None:
        os.fsync(self._out.fileno())
        self._synced = time.monotonic()

    def _lock(self) -> None:
        if sys.platform == "win32":
            return  # no flock there: that only one run at a time writes a ledger is the user's to see to
        try:
            fcntl.flock(self._out.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise WorkError(f"{self.file}: another llmxrec is writing it; wait for its end, or stop it") from None


def read_ledger(file: Path) -> Iterator[Record]:
    """The records of `file`, in the order written; none where it does not exist.

    A last line without its end is left out if it was cut short: someone may be writing it now. Raises InputError,
    with its number, for any other line that is not a JSON object.
    """
    if not file.exists():
        return
    with file.open("rb") as lines:
        for number, line in enumerate(lines, 1):
            record = _parse(line)
            if record is not None:
                yield record
            elif line.endswith(b"\n"):
                raise _broken(file, number, line)


def _repair(out: BinaryIO, file: Path) -> None:
    """End the file with a whole line: a cut one goes, one that only lacks its newline gets it.

    Nothing is changed where the first line or the last says that this is no ledger.
    """
    size = out.seek(0, os.SEEK_END)
    start = _start_of_last_line(out, size)
    if start:
        out.seek(0)
        first = out.readline()
        if _parse(first) is None:
            raise _broken(file, 1, first)
    out.seek(start)
    tail = out.read(size - start)
    if not tail:
        return
    if _parse(tail) is not None:
        out.write(b"\n")
    elif tail.startswith(b'{"') or tail in (
        b"{",
        b"\0" * len(tail),
    ):  # cut short; or zeros, which a power cut can leave
        out.truncate(start)
    else:
        raise _broken(file, 1 if start == 0 else None, tail)


def _start_of_last_line(out: BinaryIO, size: int) -> int:
    """Where the bytes after the last newline begin."""
    end = size
    while end > 0:
        begin = max(0, end - _BLOCK)
        out.seek(begin)
        found = out.read(end - begin).rfind(b"\n")
        if found >= 0:
            return begin + found + 1
        end = begin
    return 0


def _parse(line: bytes) -> Record | None:
    try:
        record = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return record if isinstance(record, dict) else None


def _broken(file: Path, number: int | None, line: bytes) -> InputError:
    return InputError(
        "each line of a ledger is a JSON object",
        value=line[:60].decode("utf-8", "replace"),
        cure="mend or delete the line",
        file=file,
        line=number,
    )
