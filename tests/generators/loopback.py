"""A chat completions server on loopback that misbehaves as it is told."""

from __future__ import annotations

import json
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from llmxrec.generators.openai_compatible import OpenAICompatibleGenerator
from llmxrec.generators.retry import Backoff
from llmxrec.generators.specs import GenerationSettings
from llmxrec.records import Answer
from llmxrec.testing.generators import sample_prompts


@dataclass
class Said:
    """What the server says to one request. `cut`: more bytes promised than sent. `drip`: seconds between bytes."""

    status: int = 200
    body: bytes | str | dict[str, Any] = b""
    headers: dict[str, str] = field(default_factory=dict)
    delay: float = 0.0
    cut: bool = False
    drip: float = 0.0


def completion(text: str | None, finish: str = "stop", **message: Any) -> Said:
    """A chat completion as OpenAI sends it: 7 tokens read, 3 written."""
    choice = {"index": 0, "finish_reason": finish, "message": {"role": "assistant", "content": text, **message}}
    usage = {"prompt_tokens": 7, "completion_tokens": 3, "total_tokens": 10}
    return Said(body={"id": "c", "object": "chat.completion", "choices": [choice], "usage": usage})


def fault(status: int, message: str = "no", headers: dict[str, str] | None = None, **error: Any) -> Said:
    """An error as OpenAI sends it."""
    return Said(status, {"error": {"message": message, "type": "t", **error}}, headers or {})


Behaviour = Callable[[dict[str, Any], int], Said]
"""What to say to a request: its JSON body, and its number from 1."""


class Loopback:
    """A server that says what `behave` makes it say, and remembers what it was asked."""

    def __init__(self, behave: Behaviour) -> None:
        self.requests: list[dict[str, Any]] = []
        self.headers: list[dict[str, str]] = []
        self.most_in_flight = 0
        self.in_flight = 0
        self._lock = threading.Lock()
        loopback = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            wbufsize = -1  # head and body in one packet: apart, each answer waits 40 ms for an acknowledgement

            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                with loopback._lock:
                    loopback.requests.append(body)
                    loopback.headers.append({name.lower(): value for name, value in self.headers.items()})
                    number = len(loopback.requests)
                    loopback.in_flight += 1
                    loopback.most_in_flight = max(loopback.most_in_flight, loopback.in_flight)
                try:
                    said = behave(body, number)
                    if said.delay:
                        loopback.closing.wait(said.delay)
                finally:
                    # Counted down before the client can have the answer, and ask again.
                    with loopback._lock:
                        loopback.in_flight -= 1
                self.say(said)

            def say(self, said: Said) -> None:
                content = json.dumps(said.body).encode() if isinstance(said.body, dict) else said.body
                content = content.encode() if isinstance(content, str) else content
                self.send_response(said.status)
                for name, value in {"Content-Type": "application/json", **said.headers}.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(content) + (100 if said.cut else 0)))
                self.end_headers()
                for byte in content if said.drip else b"":
                    self.wfile.write(bytes([byte]))
                    self.wfile.flush()
                    loopback.closing.wait(said.drip)
                self.wfile.write(b"" if said.drip else content)
                self.close_connection = said.cut

            def log_message(self, format: str, *args: Any) -> None:
                pass

        class Server(ThreadingHTTPServer):
            daemon_threads = True
            request_queue_size = 64

            def handle_error(self, request: Any, client_address: Any) -> None:
                if not isinstance(sys.exception(), ConnectionError):
                    super().handle_error(request, client_address)

        self.closing = threading.Event()
        self._server = Server(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        self._thread.start()
        self.url = f"http://127.0.0.1:{self._server.server_port}/v1"

    def close(self) -> None:
        self.closing.set()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


Serve = Callable[[Behaviour], Loopback]
"""The fixture `serve`."""

QUICK = Backoff(first=0.005, longest=0.02, patience=20)


def ask(server: Loopback, **settings: Any) -> OpenAICompatibleGenerator:
    return OpenAICompatibleGenerator("m", GenerationSettings(**settings), server=server.url, backoff=QUICK)


def one(server: Loopback, **settings: Any) -> Answer:
    (answer,) = ask(server, **settings).generate(sample_prompts(1))
    return answer


def first_then(first: Said, then: Said) -> Behaviour:
    return lambda _body, number: first if number == 1 else then
