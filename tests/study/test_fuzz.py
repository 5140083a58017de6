"""Schemathesis on every route, as everybody who may ask: whatever is sent, nothing breaks."""

from __future__ import annotations

import random
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.study.asking import FORM, ORIGIN, Asker, Person
from tests.study.studies import make_study

schemathesis = pytest.importorskip("schemathesis")

EXAMPLES = 10
"""Of each route and role."""


@pytest.mark.parametrize("role", ["anonymous", "rater", "organiser"])
@pytest.mark.parametrize("unblinded", [False, True], ids=["open", "unblinded"])
def test_no_route_breaks(study_url: str, role: str, unblinded: bool) -> None:
    store = make_study(study_url, rows=3, mode="both", ratings_per_cell=3)
    asker = Asker(store)
    asker.rater().rate(comment="so so")
    person = {"rater": asker.rater, "organiser": asker.organiser}.get(role, lambda: None)()
    mine = person.task().task_id if role == "rater" and person else "0" * 32
    if unblinded:
        store.close("organiser", 0.0)
        store.unblind("organiser", 0.0)
    schema = schemathesis.openapi.from_dict(asker.app.openapi())
    operations = [found.ok() for found in schema.get_all_operations()]
    assert len(operations) >= 19
    statuses = set()
    for operation in operations:
        if operation.label == "POST /organise/state":
            continue  # below: it would close the study for all that follow

        @settings(max_examples=EXAMPLES, database=None, suppress_health_check=list(HealthCheck))
        @given(case=operation.as_strategy(), draw=st.randoms(use_true_random=False))
        def sent(case: Any, draw: random.Random) -> None:
            statuses.add(_send(asker, case, person, mine, draw))

        sent()
    assert all(status < 500 for status in statuses) and len(statuses) >= (2 if role == "anonymous" else 4)


def test_no_state_breaks(study_url: str) -> None:
    asker = Asker(make_study(study_url))
    organiser = asker.organiser()
    for to in ("", "open", "paused", "paused", "open", "\0", "shut", "closed", "closed", "open", "paused"):
        assert organiser.post("/organise/state", to=to).status_code in (303, 409)
    assert asker.store.state() == "closed"


def test_no_sign_breaks(study_url: str) -> None:
    """PostgreSQL takes no NUL and no half signs."""
    asker = Asker(make_study(study_url))
    person, organiser = asker.rater(), asker.organiser()
    for sign in ("%00", "%ED%A0%80", "%FF", "%00" * 32):
        assert person.get(f"/tasks/{sign}").status_code == 404
        assert person.get(f"/enter/{sign}").status_code == 403
        form = f"form_token={organiser.form_token}&kind=self"
        form += "".join(f"&{name}=a{sign}" for name in ("name", "reason", "rater", "user_id", "by"))
        for name in ("invite", "exclude", "unblind"):
            answer = asker.ask("POST", f"/organise/{name}", form.encode(), organiser.cookies, FORM)
            assert answer.status_code in (409, 422)
    assert person.rate(comment="a\0b").status_code == 303


def _send(asker: Asker, case: Any, person: Person | None, mine: str, draw: random.Random) -> int:
    sent = case.as_transport_kwargs(base_url=ORIGIN)
    path = sent["url"].removeprefix(ORIGIN)
    if "/tasks/" in path and draw.random() < 0.7:
        path = f"/tasks/{mine}"
    query = {key: str(value) for key, value in (sent.get("params") or {}).items()}
    if query:
        path += f"?{_encoded(query)}"
    form = {str(key): _text(value) for key, value in (sent.get("data") or {}).items()}
    if person is not None and draw.random() < 0.9:
        form["form_token"] = person.form_token
    cookies = person.cookies if person is not None else ""
    content = _encoded(form) if sent["method"] == "POST" else None
    answer = asker.ask(sent["method"], path, content and content.encode(), cookies, FORM if content else {})
    assert answer.status_code < 500, (sent, answer.text)
    return int(answer.status_code)


def _text(value: Any) -> str:
    return value if isinstance(value, str) else repr(value)


def _encoded(fields: dict[str, str]) -> str:
    from urllib.parse import urlencode

    return urlencode({key: value.encode("utf-8", "surrogatepass") for key, value in fields.items()})
