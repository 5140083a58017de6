"""An event loop in a thread of its own, so that plain code, a notebook included, can have many requests under way."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def background_loop() -> Iterator[asyncio.AbstractEventLoop]:
    """The loop, running until the block ends. Nothing may be left running on it by then."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name="llmxrec-requests", daemon=True)
    thread.start()
    try:
        yield loop
    finally:
        asyncio.run_coroutine_threadsafe(loop.shutdown_default_executor(), loop).result()
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()
