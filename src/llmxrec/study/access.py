"""Who may do what: personal links, signed sessions, form tokens. Nothing here is kept on the server.

A rater's link carries 256 random bits of which the store keeps a hash; the organiser's is derived from the study's
secret. Either is exchanged for a cookie that says who is signed in and until when, signed with that secret.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from llmxrec.errors import InputError

Role = Literal["rater", "organiser"]

SESSION_SECONDS = 7 * 24 * 3600
"""How long a sign-in lasts. The link opens a new one at any time."""
SHORTEST_SECRET = 16


@dataclass(frozen=True, slots=True)
class Session:
    """Somebody who is signed in. `form_token` has to come back with every form that they send."""

    role: Role
    subject: str
    form_token: str


class Access:
    """Makes and checks the signs by which a study knows people. `now` tells the time in unix seconds."""

    def __init__(self, secret: str, now: Callable[[], float] = time.time) -> None:
        if len(secret) < SHORTEST_SECRET:
            raise InputError(
                f"a study's secret has {SHORTEST_SECRET} signs or more",
                value=f"{len(secret)} signs",
                cure="python -c 'import secrets; print(secrets.token_urlsafe())'",
            )
        # Raters hold cookies signed with the key, so guessing the secret behind it has to be slow.
        self._key = hashlib.scrypt(secret.encode(), salt=b"llmxrec study", n=2**14, r=8, p=1, dklen=32)
        self._now = now
        self.organiser_token = self._sign("organiser's link", "")

    def is_organiser(self, token: str) -> bool:
        """Whether `token` is that of the organiser's link."""
        return _same(token, self.organiser_token)

    def sign_in(self, role: Role, subject: str) -> str:
        """The cookie of a new session."""
        content = [role, subject, int(self._now()) + SESSION_SECONDS, secrets.token_urlsafe(12)]
        text = _encode(json.dumps(content).encode())
        return f"{text}.{self._sign('session', text)}"

    def session(self, role: Role, cookie: str | None) -> Session | None:
        """Who `cookie` says is signed in as `role`; None unless it was made here for that role and has not expired."""
        text, _, signature = (cookie or "").partition(".")
        if not _same(signature, self._sign("session", text)):
            return None
        kind, subject, until, _ = json.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
        if kind != role or until <= self._now():
            return None
        return Session(role, subject, self._sign("form", text))

    def is_of(self, session: Session, form_token: str | None) -> bool:
        """Whether a form with `form_token` was made for `session`."""
        return _same(form_token or "", session.form_token)

    def _sign(self, purpose: str, text: str) -> str:
        return _encode(hmac.digest(self._key, f"{purpose}\0{text}".encode("utf-8", "surrogatepass"), "sha256"))


def kept_secret(file: Path) -> str:
    """The secret in `file`, which nobody else may read; made where there is none."""
    if not file.exists():
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch(mode=0o600)
        file.write_text(secrets.token_urlsafe(32) + "\n", encoding="utf-8")
    return file.read_text(encoding="utf-8").strip()


def _encode(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def _same(one: str, other: str) -> bool:
    """Whether two texts are equal, in a time that does not tell how far they are."""
    return hmac.compare_digest(one.encode("utf-8", "surrogatepass"), other.encode("utf-8", "surrogatepass"))
