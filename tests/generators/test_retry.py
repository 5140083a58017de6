"""How long to wait."""

from __future__ import annotations

import asyncio
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmxrec.generators.retry import Backoff, Pause, retry_after

NOON = 1_445_412_480.0  # Wed, 21 Oct 2015 07:28:00 GMT


@pytest.mark.parametrize(
    ("said", "seconds"),
    [
        ("20", 20.0),
        ("0.5", 0.5),
        ("0", 0.0),
        ("-5", 0.0),
        ("Wed, 21 Oct 2015 07:28:30 GMT", 30.0),
        ("Wed, 21 Oct 2015 09:28:30 +0200", 30.0),
        ("Wed, 21 Oct 2015 07:27:00 GMT", 0.0),
        ("", None),
        ("soon", None),
        ("nan", None),
        ("inf", None),
        ("Wed, 99 Oct 2015 07:28:30 GMT", None),
    ],
)
def test_retry_after_is_seconds_or_a_date(said: str, seconds: float | None) -> None:
    assert retry_after({"retry-after": said}, now=NOON) == seconds


def test_a_server_need_not_say() -> None:
    assert retry_after({}) is None


@given(st.text(max_size=30))
def test_anything_a_server_says_is_read(said: str) -> None:
    seconds = retry_after({"retry-after": said}, now=NOON)
    assert seconds is None or seconds >= 0


@given(st.integers(0, 1000))
def test_waits_double_up_to_the_longest(attempt: int) -> None:
    whole = min(60.0, 2.0**attempt)
    assert whole / 2 <= Backoff(first=1, longest=60).wait(attempt) <= whole


@given(st.integers(0, 10), st.floats(0, 500))
def test_a_server_never_waits_for_less_than_it_asks(attempt: int, asked: float) -> None:
    assert Backoff().wait(attempt, asked) >= asked


def test_a_pause_holds_everyone_and_a_stop_lets_them_go() -> None:
    async def elapsed(pause: Pause) -> float:
        start = time.monotonic()
        await asyncio.gather(*(pause.over(spread=0.01) for _ in range(5)))
        return time.monotonic() - start

    async def held() -> tuple[float, float]:
        pause = Pause()
        pause.hold(0.1)
        first = await elapsed(pause)
        pause.hold(60)
        asyncio.get_running_loop().call_later(0.05, pause.stopped.set)
        return first, await elapsed(pause)

    first, stopped = asyncio.run(held())
    assert 0.1 <= first < 2
    assert stopped < 2
