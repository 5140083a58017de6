"""The ledger: whole lines or none, whatever happens."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmxrec.errors import InputError, WorkError
from llmxrec.ledger import Ledger, read_ledger

json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
records = st.lists(st.dictionaries(st.text(max_size=6), json_values, max_size=4), max_size=6)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "sub" / "answers.jsonl"


@given(records)
def test_what_is_written_is_read_back(tmp_path_factory: pytest.TempPathFactory, rows: list[dict[str, object]]) -> None:
    file = tmp_path_factory.mktemp("ledger") / "a.jsonl"
    with Ledger(file) as ledger:
        for row in rows:
            ledger.append(row)
    assert list(read_ledger(file)) == rows


@given(records.filter(bool), st.data())
def test_cut_anywhere_it_keeps_the_whole_lines_and_goes_on(
    tmp_path_factory: pytest.TempPathFactory, rows: list[dict[str, object]], data: st.DataObject
) -> None:
    file = tmp_path_factory.mktemp("ledger") / "a.jsonl"
    with Ledger(file) as ledger:
        for row in rows:
            ledger.append(row)
    whole = file.read_bytes()
    cut = data.draw(st.integers(0, len(whole)))
    file.write_bytes(whole[:cut])
    # A line is there if all of it but perhaps its newline is.
    kept, end = 0, 0
    for line in whole.splitlines(keepends=True) if b"\r" not in whole else whole.split(b"\n")[:-1]:
        end += len(line) if line.endswith(b"\n") else len(line) + 1
        kept += cut >= end - 1
    assert list(read_ledger(file)) == rows[:kept]
    with Ledger(file) as ledger:
        ledger.append({"after": "the cut"})
    assert list(read_ledger(file)) == [*rows[:kept], {"after": "the cut"}]


def test_lone_surrogates_survive(file: Path) -> None:
    with Ledger(file) as ledger:
        ledger.append({"text": "a\ud800b", "é": "\u2028"})
    assert list(read_ledger(file)) == [{"text": "a\ud800b", "é": "\u2028"}]


def test_a_missing_ledger_is_empty(file: Path) -> None:
    assert list(read_ledger(file)) == []


def test_a_broken_line_in_the_middle_is_named(file: Path) -> None:
    file.parent.mkdir()
    file.write_bytes(b'{"a":1}\n\x00\x00\n{"a":2}\n')
    with pytest.raises(InputError, match=r"answers.jsonl, line 2: each line of a ledger is a JSON object"):
        list(read_ledger(file))


@pytest.mark.parametrize("content", [b"user,item\n1,2\n", b"[1]\n", b'"text"\n', b"not a ledger", b"{see appendix"])
def test_what_is_no_ledger_is_not_appended_to(file: Path, content: bytes) -> None:
    file.parent.mkdir()
    file.write_bytes(content)
    with pytest.raises(InputError, match="line 1"):
        Ledger(file)
    assert file.read_bytes() == content


def test_another_kind_of_file_is_left_as_it_is(file: Path) -> None:
    file.parent.mkdir()
    file.write_bytes(b'my notes\n{"see appendix')
    with pytest.raises(InputError, match="line 1"):
        Ledger(file)
    assert file.read_bytes() == b'my notes\n{"see appendix'


def test_zeros_that_a_power_cut_left_are_cut_off(file: Path) -> None:
    file.parent.mkdir()
    file.write_bytes(b'{"a":1}\n' + b"\0" * 700)
    with Ledger(file) as ledger:
        ledger.append({"a": 2})
    assert list(read_ledger(file)) == [{"a": 1}, {"a": 2}]


def test_one_writer_at_a_time(file: Path) -> None:
    with Ledger(file), pytest.raises(WorkError, match="another llmxrec is writing it"):
        Ledger(file)
    Ledger(file).close()


WRITER = """
import sys
from pathlib import Path
from llmxrec.ledger import Ledger
with Ledger(Path(sys.argv[1])) as ledger:
    print("open", flush=True)
    n = 0
    while True:
        ledger.append({"n": n, "text": "x" * (n % 5000)})
        n += 1
        print(n, flush=True)
"""


def test_killed_while_writing_it_keeps_all_that_was_appended(file: Path) -> None:
    for _ in range(3):
        before = len(list(read_ledger(file)))
        child = subprocess.Popen([sys.executable, "-c", WRITER, str(file)], stdout=subprocess.PIPE, text=True)
        assert child.stdout is not None
        acknowledged = 0
        for line in child.stdout:
            if line.strip().isdigit():
                acknowledged = int(line)
            if acknowledged >= 500:
                os.kill(child.pid, signal.SIGKILL)
                break
        rest = child.stdout.read().split()
        child.stdout.close()
        child.wait()
        acknowledged = max([acknowledged, *(int(n) for n in rest if n.isdigit())])
        Ledger(file).close()
        rows = [json.loads(line) for line in file.read_bytes().splitlines()]
        # What was acknowledged is there, and at most the one row in flight besides.
        assert acknowledged <= len(rows) - before <= acknowledged + 1
        assert [row["n"] for row in rows[before:]] == list(range(len(rows) - before))
