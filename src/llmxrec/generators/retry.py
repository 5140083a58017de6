"""When to ask a server again: exponential backoff with jitter, the server's own wish, and a bound to it all."""

from __future__ import annotations

import asyncio
import math
import random
import time
from collections.abc import Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime


@dataclass(frozen=True, slots=True)
class Backoff:
    """How long to wait, in seconds. Attempt 0 is the first; `first` doubles with each attempt up to `longest`.

    `patience` bounds what one prompt may wait for in all.
    """

    first: float = 1.0
    longest: float = 60.0
    patience: float = 600.0

    def wait(self, attempt: int, asked: float | None = None) -> float:
        """Seconds to wait after `attempt` failed. `asked` is what the server asked for, and is never undercut."""
        backoff = min(self.longest, self.first * 2.0 ** min(attempt, 30))
        # Jitter keeps those who failed together from coming back together.
        return (asked or 0.0) + backoff * random.uniform(0.5, 1.0) * (0.25 if asked else 1.0)


class Pause:
    """Holds back everyone who shares it, so that one answer of "too many requests" slows them all."""

    def __init__(self) -> None:
        self.stopped = asyncio.Event()
        self._until = 0.0

    def hold(self, seconds: float) -> None:
        """From now, nobody asks for that long."""
        self._until = max(self._until, time.monotonic() + seconds)

    async def over(self, spread: float) -> None:
        """Wait until nobody is held back any more, each up to `spread` seconds longer so as not to come all at once."""
        while (left := self._until - time.monotonic()) > 0 and not self.stopped.is_set():
            await self.sleep(left + random.uniform(0, spread))

    async def sleep(self, seconds: float) -> None:
        """Sleep, but not beyond the moment when all is stopped."""
        try:
            await asyncio.wait_for(self.stopped.wait(), seconds)
        except TimeoutError:
            return


def retry_after(headers: Mapping[str, str], now: float | None = None) -> float | None:
    """Seconds that a server asks to wait: the Retry-After header, in seconds or as a date. None if it does not say.

    `now` is the present in unix seconds.

    >>> retry_after({"retry-after": "20"})
    20.0
    """
    said = headers.get("retry-after", "").strip()
    try:
        seconds = float(said)
    except ValueError:
        try:
            seconds = parsedate_to_datetime(said).timestamp() - (time.time() if now is None else now)
        except (ValueError, OverflowError, OSError, TypeError):
            return None
    return max(0.0, seconds) if math.isfinite(seconds) else None
