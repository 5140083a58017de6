"""What holds for every request and answer of the study, before and after the pages have their say."""

from __future__ import annotations

import re
from dataclasses import dataclass
from ipaddress import ip_address
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from llmxrec.errors import InputError

BODY_BYTES = 64 * 1024
"""The most that a form may send; a comment has 2,000 signs at most."""

HEADERS = {
    "content-security-policy": (
        "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; connect-src 'self'; "
        "form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
    ),
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=()",
}

_HOST = re.compile(r"(\[[0-9A-Fa-f:]+\]|[A-Za-z0-9.-]+)(:[0-9]{1,5})?")


@dataclass(frozen=True)
class Site:
    """Where people reach the study: `origin` is its address up to the port, `hosts` the names it answers to."""

    origin: str
    hosts: frozenset[str]

    @classmethod
    def at(cls, address: str) -> Site:
        """For an address as a browser shows it. Raises InputError for what is not one."""
        parts = urlsplit(address.rstrip("/"))
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.path or parts.query:
            raise InputError(
                "an address is http:// or https:// with a host", value=address, cure="http://127.0.0.1:8000"
            )
        local = {"127.0.0.1", "localhost", "::1"}
        hosts = local if is_loopback(parts.hostname) else {parts.hostname}
        return cls(f"{parts.scheme}://{parts.netloc.lower()}", frozenset(hosts))

    @property
    def https(self) -> bool:
        return self.origin.startswith("https:")

    def answers_to(self, host: str | None) -> bool:
        """Whether a request for `host`, as its header says, is meant for this study."""
        named = _HOST.fullmatch(host or "")
        return named is not None and named[1].strip("[]").lower() in self.hosts


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches `host`."""
    try:
        return ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host == "localhost"


class Guard:
    """Turns away what no page of the study would send, and puts its headers on every answer."""

    def __init__(self, app: ASGIApp, site: Site) -> None:
        self.app, self.site = app, site

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return

        async def guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                harden(MutableHeaders(scope=message))
            await send(message)

        refused = self._refusal(scope)
        body = b""
        if refused is None and scope["method"] == "POST":
            read = await _whole(receive)
            if read is None:
                refused = (413, "This is more than a form of the study sends.")
            else:
                body = read
        if refused is not None:
            await PlainTextResponse(refused[1], refused[0])(scope, receive, guarded)
            return
        sent = False

        async def replay() -> Message:
            nonlocal sent
            if sent:
                return await receive()
            sent = True
            return {"type": "http.request", "body": body, "more_body": False}

        await self.app(scope, replay if scope["method"] == "POST" else receive, guarded)

    def _refusal(self, scope: Scope) -> tuple[int, str] | None:
        """Why this request is not for the study to answer: a status, and words."""
        headers = Headers(scope=scope)
        if len(headers.getlist("host")) != 1 or not self.site.answers_to(headers.get("host")):
            return 400, "This is not the address of the study."
        if scope["method"] in ("GET", "HEAD", "OPTIONS"):
            return None
        # Browsers that say where a form is from must say: from here. Under no-referrer, Origin may be null, which says
        # nothing; the token in the form decides then.
        place = headers.get("sec-fetch-site", "same-origin")
        origin = headers.get("origin", "null").lower()
        if place != "same-origin" or origin not in ("null", self.site.origin):
            return 403, "This form was not sent from the study's own page."
        kind = headers.get("content-type", "").partition(";")[0].strip().lower()
        if scope["method"] == "POST" and kind != "application/x-www-form-urlencoded":
            return 415, "The study reads forms only."
        return None


async def _whole(receive: Receive) -> bytes | None:
    """The body of a request; None where it is longer than BODY_BYTES, or the line is lost: half a form is none."""
    body = b""
    while True:
        message = await receive()
        if message["type"] != "http.request":
            return None
        body += bytes(message.get("body", b""))
        if len(body) > BODY_BYTES:
            return None
        if not message.get("more_body", False):
            return body


def harden(headers: MutableHeaders) -> None:
    """Add what every answer of the study says about itself; nothing is kept by caches unless the answer says so."""
    for name, value in HEADERS.items():
        headers[name] = value
    headers.setdefault("cache-control", "no-store")
