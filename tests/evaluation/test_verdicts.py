"""Verdicts as a ledger: read back as written, and a line that is none is named."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmxrec.errors import InputError
from llmxrec.evaluation.verdicts import VERDICTS, as_table, read_verdicts
from llmxrec.ledger import Ledger
from llmxrec.records import Verdict

FINE = Verdict("bpr", "text", "anna", "heat", "x", "y", "first", 0.75)


def written(folder: Path, *rows: dict[str, Any]) -> Path:
    file = folder / "text.jsonl"
    with Ledger(file) as ledger:
        for row in rows:
            ledger.append(row)
    return file


def test_what_is_written_is_read(tmp_path: Path) -> None:
    verdicts = [
        FINE,
        replace(FINE, first="y", second="x", winner="tie", probability=None),
        replace(FINE, user_id="7", winner=None, status="invalid", raw='12\n"and so on"'),
        replace(FINE, judge="people", rater="Zoë", order_free=True),
    ]
    table = read_verdicts(written(tmp_path, *map(asdict, verdicts)))
    assert dict(table.schema) == VERDICTS
    assert [Verdict(**row) for row in table.iter_rows(named=True)] == verdicts
    assert table.equals(as_table(verdicts))


def test_what_was_asked_again_counts_once_and_the_last_time(tmp_path: Path) -> None:
    failed = replace(FINE, winner=None, status="failed")
    table = read_verdicts(written(tmp_path, asdict(failed), asdict(FINE)))
    assert [Verdict(**row) for row in table.iter_rows(named=True)] == [FINE]
    other_order = replace(FINE, first="y", second="x")
    assert as_table([FINE, other_order, replace(FINE, rater="p")]).height == 3


def test_columns_that_only_people_need_may_be_absent(tmp_path: Path) -> None:
    row = {key: value for key, value in asdict(FINE).items() if key not in ("rater", "order_free", "raw")}
    assert read_verdicts(written(tmp_path, row)).equals(as_table([FINE]))
    assert read_verdicts(written(tmp_path / "other", {**row, "user_id": "8"}, row)).height == 2


def test_no_verdicts_at_all(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"there are no such verdicts yet; .*llmxrec judge"):
        read_verdicts(tmp_path / "none.jsonl")
    assert read_verdicts(written(tmp_path)).is_empty()


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"winner": "1"}, "the winner of a verdict is first, second, tie or null; found '1'"),
        ({"winner": ["first"]}, "the winner of a verdict is first"),
        ({"second": "x"}, "a verdict compares two generators; found 'x'"),
        ({"user_id": None}, "a verdict has 'user_id', as text"),
        ({"status": "fine"}, "the status of a verdict is one of ok, "),
        ({"status": "invalid"}, "a verdict with a winner has the status ok; found 'invalid'"),
        ({"probability": 1.5}, "lies between 0 and 1, or is null; found 1.5"),
        ({"probability": "high"}, "lies between 0 and 1, or is null; found 'high'"),
        ({"probability": True}, "lies between 0 and 1"),
        ({"order_free": "no"}, "'order_free' of a verdict is true or false; found 'no'"),
    ],
)
def test_a_line_that_is_no_verdict_is_named(tmp_path: Path, wrong: dict[str, Any], said: str) -> None:
    file = written(tmp_path, asdict(FINE), {**asdict(FINE), **wrong})
    with pytest.raises(InputError) as raised:
        read_verdicts(file)
    assert str(raised.value).startswith(f"{file}, line 2: ") and said in str(raised.value)


def test_ids_that_are_numbers_are_text_however_the_file_ends(tmp_path: Path) -> None:
    file = written(tmp_path, {**asdict(FINE), "user_id": 7})
    assert read_verdicts(file)["user_id"].to_list() == ["7"]
    with file.open("a") as out:
        out.write('{"recommender": "b')
    assert read_verdicts(file)["user_id"].to_list() == ["7"]


def test_a_line_cut_short_is_left_out(tmp_path: Path) -> None:
    file = written(tmp_path, asdict(FINE))
    with file.open("a") as out:
        out.write(json.dumps(asdict(replace(FINE, user_id="8")))[:-9])
    assert read_verdicts(file).height == 1


@given(st.text(max_size=20), st.text(max_size=20))
def test_any_raw_answer_is_kept(tmp_path_factory: pytest.TempPathFactory, raw: str, rater: str) -> None:
    verdict = replace(FINE, winner=None, status="invalid", raw=raw, rater=rater)
    file = written(tmp_path_factory.mktemp("v"), asdict(verdict))
    assert [Verdict(**row) for row in read_verdicts(file).iter_rows(named=True)] == [verdict]
