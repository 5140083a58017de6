"""Text files, plain and gzipped, in blocks."""

from __future__ import annotations

import gzip
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmxrec.datasets.textfiles import LINE, numbers, read_delimited, read_lines, whole_characters, whole_numbers
from llmxrec.errors import InputError


def lines_of(file: Path, block_bytes: int) -> list[tuple[int, str]]:
    return [
        (number, line)
        for first, block in read_lines(file, block_bytes=block_bytes)
        for number, line in enumerate(block, first)
    ]


words = st.text("aé€\t\r\x85\u2028 ", max_size=6).map(lambda text: text.rstrip("\r"))


@given(st.lists(words), words, st.sampled_from(["\n", "\r\n"]), st.integers(1, 40))
def test_blocks_of_any_size_hold_the_same_lines(
    tmp_path_factory: pytest.TempPathFactory, lines: list[str], last: str, end: str, block_bytes: int
) -> None:
    text = "".join(line + end for line in lines) + last
    expected = [*lines, last] if last else lines
    folder = tmp_path_factory.mktemp("lines")
    (folder / "a.txt").write_bytes(text.encode())
    (folder / "a.txt.gz").write_bytes(gzip.compress(text.encode()))
    for name in ("a.txt", "a.txt.gz"):
        assert lines_of(folder / name, block_bytes) == list(enumerate(expected, 1))


@pytest.mark.parametrize("bad", [b"\xff", b"\0"])
@given(before=st.integers(0, 30), block_bytes=st.integers(1, 20))
def test_a_bad_byte_is_found_in_its_line(
    tmp_path_factory: pytest.TempPathFactory, bad: bytes, before: int, block_bytes: int
) -> None:
    file = tmp_path_factory.mktemp("bad") / "a.txt"
    file.write_bytes(b"ok\n" * before + b"x" + bad + b"\nok\n")
    with pytest.raises(InputError) as caught:
        lines_of(file, block_bytes)
    assert caught.value.line == before + 1


def test_rows_know_their_lines_past_blank_ones(tmp_path: Path) -> None:
    (tmp_path / "a.tsv").write_text("head\n\n1\t2\n\n\n3\t")
    rows = read_delimited(tmp_path / "a.tsv", ("a", "b"), "\t", skip=1)
    assert rows.rows() == [(3, "1", "2"), (6, "3", "")]
    (tmp_path / "b.tsv").write_text("")
    assert read_delimited(tmp_path / "b.tsv", ("a", "b"), "\t").schema == rows.schema
    (tmp_path / "c.tsv").write_text("1\n2\n")
    assert read_delimited(tmp_path / "c.tsv", ("a",), "\t")["a"].to_list() == ["1", "2"]


def test_numbers() -> None:
    rows = pl.DataFrame({LINE: [4, 5, 6, 7], "n": ["1", " 2.5 ", "", None]})
    assert numbers(rows, "n", Path("f")).to_list() == [1.0, 2.5, None, None]
    assert whole_numbers(rows, "n", Path("f")).to_list() == [1, 2, None, None]
    with pytest.raises(InputError, match="f, line 6: 'n' is a number; found ''"):
        numbers(rows, "n", Path("f"), required=True)


def test_surrogates_become_characters() -> None:
    assert whole_characters("a\ud83d\ude00b\ud800") == "a\U0001f600b\ufffd"
