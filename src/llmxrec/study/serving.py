"""The application on a port."""

from __future__ import annotations

import socket

import uvicorn
from fastapi import FastAPI


def listen(host: str, port: int) -> socket.socket:
    """A socket that listens at `host` and `port` (0: any that is free). Raises OSError where it cannot."""
    # asyncio sends at once only where the protocol is named: without, each page waits 40 ms for its last part.
    at = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        at.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        at.bind((host, port))
        at.listen(512)
    except BaseException:
        at.close()
        raise
    return at


def serve(app: FastAPI, at: socket.socket) -> None:
    """Answer what comes in `at` until the process is told to end; what has begun is finished then."""
    settings = uvicorn.Config(
        app,
        # It would hold the links of all raters.
        access_log=False,
        log_level="warning",
        server_header=False,
        # What a header says of where a request is from decides nothing here.
        proxy_headers=False,
        timeout_graceful_shutdown=10,
        lifespan="off",
    )
    uvicorn.Server(settings).run(sockets=[at])
