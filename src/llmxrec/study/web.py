"""What the study's pages share: who is signed in, templates, and answers that turn somebody away."""

from __future__ import annotations

import hashlib
import re
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from math import isnan
from pathlib import Path
from typing import Any

from fastapi import Request
from fastapi.responses import HTMLResponse, RedirectResponse
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from llmxrec.recommenders.metrics import Metric
from llmxrec.study.access import SESSION_SECONDS, Access, Role, Session
from llmxrec.study.guard import Site
from llmxrec.study.store import Store
from llmxrec.workspace import Workspace

PAGES = Path(__file__).parent / "pages"
STATIC = {
    "study.css": "text/css; charset=utf-8",
    "study.js": "text/javascript; charset=utf-8",
    "htmx.min.js": "text/javascript; charset=utf-8",
    "icon.svg": "image/svg+xml",
}
_AGREEMENT_SECONDS = 60
_CONTROL = re.compile(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\ud800-\udfff]")


class Denied(Exception):
    """An answer other than what was asked for: a status, and a page that says why and where to go."""

    def __init__(self, status: int, heading: str, *lines: str, onward: tuple[str, str] | None = None) -> None:
        super().__init__(heading)
        self.status, self.heading, self.lines, self.onward = status, heading, lines, onward


@dataclass(frozen=True)
class Web:
    """A study as its pages see it.

    `now` tells the time in unix seconds. `workspace` is where the explanations are from, None where it is not at hand.
    """

    store: Store
    access: Access
    site: Site
    now: Callable[[], float] = time.time
    workspace: Workspace | None = None
    static: dict[str, tuple[bytes, str]] = field(
        default_factory=lambda: {name: ((PAGES / "static" / name).read_bytes(), kind) for name, kind in STATIC.items()}
    )

    def agreement(self) -> list[Metric]:
        """How far raters agree, as it was a minute ago at most: it takes a while where there are many answers."""
        if not self._agreed or self._agreed[0][0] < self.now() - _AGREEMENT_SECONDS:
            self._agreed[:] = [(self.now(), self.store.agreement())]
        return self._agreed[0][1]

    @cached_property
    def _templates(self) -> Environment:
        # Text is data: all of it is escaped, and a name that is missing is an error.
        environment = Environment(
            loader=FileSystemLoader(PAGES),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            auto_reload=False,
        )
        marks = {name: hashlib.sha256(content).hexdigest()[:12] for name, (content, _) in self.static.items()}
        environment.globals["static"] = lambda name: f"/static/{name}?{marks[name]}"
        environment.filters["number"] = lambda value: "–" if isnan(value) else f"{value:.2f}"
        environment.filters["when"] = lambda at: time.strftime("%Y-%m-%d %H:%M", time.gmtime(at))
        return environment

    def page(self, template: str, status: int = 200, **content: Any) -> HTMLResponse:
        """`template` filled in."""
        # Half a sign, as JSON can hold it, is no text in UTF-8.
        return HTMLResponse(self._templates.get_template(template).render(content).encode("utf-8", "replace"), status)

    def message(self, denied: Denied) -> HTMLResponse:
        return self.page(
            "message.html", denied.status, heading=denied.heading, lines=denied.lines, onward=denied.onward
        )

    def sign_in(self, response: HTMLResponse, role: Role, subject: str) -> HTMLResponse:
        """`response` with the cookie of a new session."""
        response.set_cookie(self._cookie(role), self.access.sign_in(role, subject), SESSION_SECONDS, **self._kind)
        return response

    def sign_out(self, response: RedirectResponse, role: Role) -> RedirectResponse:
        response.delete_cookie(self._cookie(role), **self._kind)
        return response

    def session(self, request: Request, role: Role) -> Session | None:
        return self.access.session(role, request.cookies.get(self._cookie(role)))

    def check_form(self, session: Session, form_token: str) -> None:
        """Raises Denied for a form that was not made for this session."""
        if not self.access.is_of(session, form_token):
            raise Denied(403, "This form is out of date", "Nothing was stored. Please go back and send it again.")

    def _cookie(self, role: Role) -> str:
        return f"__Host-{role}" if self.site.https else role

    @cached_property
    def _agreed(self) -> list[tuple[float, list[Metric]]]:
        return []

    @property
    def _kind(self) -> dict[str, Any]:
        return {"path": "/", "httponly": True, "samesite": "strict", "secure": self.site.https}


def see(path: str) -> RedirectResponse:
    """What follows a form: a page to get, so that reloading sends nothing again."""
    return RedirectResponse(path, 303)


def cleaned(text: str, limit: int) -> str:
    """`text` from a form, at most `limit` signs, without control signs but line breaks; PostgreSQL takes no NUL."""
    return _CONTROL.sub("", text.replace("\r\n", "\n").replace("\r", "\n")).strip()[:limit]
