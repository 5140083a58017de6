"""How sure a share must be, by hand."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmxrec.evaluation.audit.findings import examples, grade, share, wilson


def test_intervals_as_published() -> None:
    # Newcombe (1998), table I, score method without continuity correction.
    assert wilson(81, 263) == pytest.approx((0.2553, 0.3662), abs=5e-5)
    assert wilson(15, 148) == pytest.approx((0.0624, 0.1605), abs=5e-5)
    assert wilson(0, 20) == pytest.approx((0.0, 0.1611), abs=5e-5)
    assert wilson(1, 29) == pytest.approx((0.0061, 0.1718), abs=5e-5)
    assert wilson(0, 0) == (0, 1)


@given(st.integers(1, 500), st.data())
def test_the_share_lies_within(rows: int, data: st.DataObject) -> None:
    count = data.draw(st.integers(0, rows))
    low, high = wilson(count, rows)
    assert 0 <= low <= count / rows + 1e-9 and count / rows - 1e-9 <= high <= 1


def test_a_few_rows_are_a_note_and_many_are_not() -> None:
    assert grade(2, 10, warning=0.1) == "note", "a fifth, but of ten"
    assert grade(200, 1000, warning=0.1) == "warning"
    assert grade(200, 1000, warning=0.01, critical=0.15) == "critical"
    assert grade(1000, 1000, warning=0.5) == "warning", "a critical of 1 is never passed"
    assert grade(0, 0, warning=0.01, critical=0.01) == "note"


def test_shares_and_examples_are_short_lines() -> None:
    assert share(12, 943) == "12 of 943 (1.3 %)" and share(0, 0) == "0 of 0"
    shown = examples(([str(n)], "x\n\x1b[31m" + "y" * 500) for n in range(9))
    assert len(shown) == 3 and shown[0][0] == "0"
    assert all(quoted.isprintable() and len(quoted) <= 160 for _, quoted in shown)
