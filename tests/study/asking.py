"""Asking the application without a browser: everything about a request can be said, also what no browser would."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

from fastapi import FastAPI
from fastapi.testclient import TestClient
from tests.study.studies import access

from llmxrec.study.access import Access
from llmxrec.study.app import create_app
from llmxrec.study.guard import Site
from llmxrec.study.store import Store
from llmxrec.workspace import Workspace

ORIGIN = "http://127.0.0.1:8000"
FORM = {"content-type": "application/x-www-form-urlencoded", "origin": ORIGIN, "sec-fetch-site": "same-origin"}


class Asker:
    """Sends requests to the pages of a study, each with the cookies that it is given and no others."""

    def __init__(self, store: Store, workspace: Workspace | None = None, explore: bool = False) -> None:
        self.store, self.access = store, access()
        self.app: FastAPI = create_app(store, self.access, Site.at(ORIGIN), workspace, explore=explore)
        self._client = TestClient(self.app, base_url=ORIGIN, follow_redirects=False, raise_server_exceptions=False)

    def ask(
        self,
        method: str,
        path: str,
        form: Mapping[str, Any] | bytes | None = None,
        cookies: str = "",
        headers: Mapping[str, str] | None = None,
    ) -> Any:
        sent = dict(headers or {})
        if cookies:
            sent["cookie"] = cookies
        content = form if isinstance(form, bytes | None) else urlencode(form, errors="replace").encode()
        self._client.cookies.clear()
        return self._client.request(method, path, content=content, headers=sent)

    def post(self, path: str, form: Mapping[str, Any], cookies: str = "", **headers: str) -> Any:
        """A form as the study's own pages send it; `headers` with _ for - change that."""
        return self.ask("POST", path, form, cookies, FORM | {key.replace("_", "-"): v for key, v in headers.items()})

    def rater(self, kind: str = "third-party", name: str = "Ada", user_id: str | None = None) -> Person:
        token = self.store.invite(kind, name, time.time(), user_id)  # type: ignore[arg-type] - as a test says it
        found = self.store.rater_of(token, time.time())
        assert found is not None
        return Person(self, "rater", found.rater_id, token)

    def organiser(self) -> Person:
        return Person(self, "organiser", "organiser", self.access.organiser_token)


class Person:
    """Somebody who is signed in."""

    def __init__(self, asker: Asker, role: Any, subject: str, token: str) -> None:
        self.asker, self.subject, self.token = asker, subject, token
        cookie = asker.access.sign_in(role, subject)
        self.cookies = f"{role}={cookie}"
        session = asker.access.session(role, cookie)
        assert session is not None
        self.form_token = session.form_token

    def get(self, path: str, **headers: str) -> Any:
        return self.asker.ask("GET", path, None, self.cookies, headers)

    def post(self, path: str, **form: Any) -> Any:
        return self.asker.post(path, {"form_token": self.form_token, **form}, self.cookies)

    def task(self) -> Any:
        """The task that they are at."""
        found = self.asker.store.next_task(self.subject, time.time())
        assert found is not None
        return found

    def rate(self, score: int = 5, comment: str = "") -> Any:
        """Answer the task that they are at."""
        task = self.task()
        answer: dict[str, Any] = {"winner": "first"}
        if task.kind == "rate":
            answer = dict.fromkeys(("reasonability", "attractiveness", "redundancy"), score)
        return self.post(f"/tasks/{task.task_id}", comment=comment, **answer)


def signed_by(secret: str) -> Access:
    """Somebody else's way of signing."""
    return Access(secret)
