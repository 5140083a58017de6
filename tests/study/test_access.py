"""Nobody reaches what is not theirs: more than a thousand attempts, none of them allowed."""

from __future__ import annotations

import base64
import json
import random
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.study.asking import FORM, ORIGIN, Asker, Person, signed_by
from tests.study.browsing import stored
from tests.study.studies import GENERATORS, SECRET, make_study

from llmxrec.errors import InputError
from llmxrec.study.access import SESSION_SECONDS, Access, kept_secret
from llmxrec.study.guard import BODY_BYTES, HEADERS, Site

RATER_PAGES = ["/", "/rate", "/pause"]
ORGANISER_PAGES = ["/organise", "/organise/results", "/explore"]
ORGANISER_PAGES += [f"/organise/answers.{kind}" for kind in ("csv", "parquet", "jsonl")]
ORGANISER_FORMS = ["invite", "exclude", "state", "unblind", "keep", "leave"]
WHOLE = {"to": "closed", "by": "Eve", "word": "unblind", "name": "Eve", "reason": "so"}
REFUSED = {400, 401, 403, 404, 405, 413, 415, 422}


@pytest.fixture
def asker(study_file: Path) -> Asker:
    return Asker(make_study(study_file, rows=4, ratings_per_cell=4))


@pytest.fixture
def attempts(asker: Asker) -> Iterator[list[Any]]:
    """Answers to attempts: each is refused, tells nothing, and changes nothing."""
    before = _state(asker)
    found: list[Any] = []
    yield found
    assert {answer.status_code for answer in found} <= REFUSED, {(a.status_code, a.url) for a in found}
    for answer in found:
        assert not any(name in answer.text for name in GENERATORS) and "set-cookie" not in answer.headers
        assert all(answer.headers[name] == value for name, value in HEADERS.items())
        assert "You have just seen" not in answer.text and "enter/" not in answer.text
    assert _state(asker) == before
    print(f"{len(found)} attempts")


def _state(asker: Asker) -> Any:
    progress = asker.store.progress()
    invited = [one.rater.name for one in progress.raters if one.rater.name == "Eve" or one.rater.excluded_reason]
    done = [event for event in asker.store.events() if not event.what.startswith("invited")]
    return stored(asker.store), progress.state, progress.unblinded_at, invited, done


def _everything(asker: Asker, cookies: str, task: str, form_token: str = "", **headers: str) -> list[Any]:
    """Each page and each form, asked for with these cookies."""
    pages = [*RATER_PAGES, f"/tasks/{task}", *ORGANISER_PAGES]
    answers = [asker.ask("GET", page, None, cookies, headers) for page in pages]
    scores = dict.fromkeys(("reasonability", "attractiveness", "redundancy"), 1)
    forms = [(f"/tasks/{task}", scores), ("/leave", {})]
    forms += [(f"/organise/{name}", WHOLE) for name in ORGANISER_FORMS]
    return answers + [asker.post(path, {"form_token": form_token, **form}, cookies, **headers) for path, form in forms]


def test_nobody_without_a_session(asker: Asker, attempts: list[Any]) -> None:
    task = asker.rater().task().task_id
    attempts += _everything(asker, "", task)
    draw = random.Random(1)
    for _ in range(150):
        guess = base64.urlsafe_b64encode(draw.randbytes(32)).decode().rstrip("=")
        attempts.append(asker.ask("GET", f"/enter/{guess}"))
        attempts.append(asker.ask("GET", f"/organise/enter/{guess}"))
    real = asker.rater().token
    for wrong in (real[:-1], real + "A", real.lower(), real[::-1], " ", "%00", "..", "'", "é", "%ff", real + "%00"):
        attempts.append(asker.ask("GET", f"/enter/{wrong}"))
        attempts.append(asker.ask("GET", f"/organise/enter/{wrong}"))
    attempts.append(asker.ask("GET", f"/organise/enter/{real}"))
    attempts.append(asker.ask("GET", f"/enter/{asker.access.organiser_token}"))


def test_nobody_with_a_session_of_another_kind(asker: Asker, attempts: list[Any]) -> None:
    rater, organiser = asker.rater(), asker.organiser()
    task = rater.task().task_id
    for page in ORGANISER_PAGES:
        attempts.append(rater.get(page))
    for name in ORGANISER_FORMS:
        attempts.append(rater.post(f"/organise/{name}", **WHOLE))
    for page in (*RATER_PAGES, f"/tasks/{task}"):
        attempts.append(organiser.get(page))
    attempts.append(organiser.post(f"/tasks/{task}", reasonability=1, attractiveness=1, redundancy=1))
    # The cookie of one role under the name of the other.
    value = rater.cookies.partition("=")[2]
    attempts += _everything(asker, f"organiser={value}", "none", rater.form_token)
    value = organiser.cookies.partition("=")[2]
    attempts += _everything(asker, f"rater={value}", task, organiser.form_token)


def test_nobody_with_a_session_that_was_forged_or_is_over(asker: Asker, attempts: list[Any]) -> None:
    rater = asker.rater()
    task, draw = rater.task().task_id, random.Random(2)
    others = signed_by("another secret of somebody else")
    value = rater.cookies.partition("=")[2]
    text, _, signature = value.partition(".")
    content = json.loads(base64.urlsafe_b64decode(text + "=="))
    forged = [others.sign_in("rater", rater.subject), others.sign_in("organiser", "organiser"), text, f"{text}.", ""]
    for role, subject, until in (("organiser", "organiser", content[2]), ("rater", asker.rater().subject, content[2])):
        told = base64.urlsafe_b64encode(json.dumps([role, subject, until, content[3]]).encode()).decode().rstrip("=")
        forged += [f"{told}.{signature}", f"{told}.", told]
    for _ in range(25):
        at = draw.randrange(len(value))
        forged.append(value[:at] + draw.choice([c for c in "AZaz09-_" if c != value[at]]) + value[at + 1 :])
    # The last sign of 43 holds two bits that say nothing: another sign there may be the same signature.
    forged = [one for one in forged if asker.access.session("rater", one) is None]
    over = Access(SECRET, now=lambda: time.time() - SESSION_SECONDS - 1)
    forged += [over.sign_in("rater", rater.subject), over.sign_in("organiser", "organiser")]
    forged += [asker.access.sign_in("rater", "nobody"), asker.access.sign_in("rater", "")]
    assert len(forged) > 35
    for cookie in forged:
        attempts += _everything(asker, f"rater={cookie}; organiser={cookie}", task, rater.form_token)[::2]


def test_nobody_reaches_what_another_is_given(asker: Asker, attempts: list[Any]) -> None:
    mine, theirs = asker.rater(), [asker.rater(name=f"other {n}") for n in range(3)]
    given = [person.task().task_id for person in theirs]
    with asker.store.database.reading() as db:
        given += list(db.exec_driver_sql("SELECT id FROM explanation").scalars())
    given += [
        mine.subject,
        theirs[0].subject,
        "1",
        "0",
        "-1",
        "a" * 32,
        "%2e%2e",
        "'",
        "1 OR 1=1",
        "%00",
        "é",
        "x" * 3000,
    ]
    own = mine.task().task_id
    given += [own[:-1], own.upper() if own.upper() != own else own + "0", own + "0", f"{own}%00", f"%20{own}"]
    for task in given:
        attempts.append(mine.get(f"/tasks/{task}"))
        attempts.append(mine.post(f"/tasks/{task}", reasonability=1, attractiveness=1, redundancy=1))


def test_nobody_by_another_name_of_the_host(asker: Asker, attempts: list[Any]) -> None:
    rater, organiser = asker.rater(), asker.organiser()
    task = rater.task().task_id
    names = [
        "evil.example",
        "127.0.0.1.evil.example",
        "evil.example:8000",
        "localhost.evil",
        "127.0.0.1@evil",
        "0.0.0.1",
    ]
    names += [
        "",
        " ",
        "[::2]",
        "127.0.0.1:evil",
        "127.0.0.1,evil",
        "2130706433",
        "127.1",
        "evil#127.0.0.1",
        "127.0.0.1/x",
    ]
    for name in names:
        attempts += _everything(asker, f"{rater.cookies}; {organiser.cookies}", task, rater.form_token, host=name)
        attempts.append(asker.ask("GET", f"/enter/{rater.token}", headers={"host": name}))
        attempts.append(asker.ask("GET", "/static/study.css", headers={"host": name, "x-forwarded-host": "127.0.0.1"}))


def test_no_form_from_elsewhere(asker: Asker, attempts: list[Any]) -> None:
    rater, organiser = asker.rater(), asker.organiser()
    task = rater.task().task_id
    paths = [
        (rater, f"/tasks/{task}", {"reasonability": 1, "attractiveness": 1, "redundancy": 1}),
        (rater, "/leave", {}),
    ]
    paths += [(organiser, f"/organise/{name}", WHOLE) for name in ORGANISER_FORMS]
    elsewhere: list[dict[str, str]] = [
        {"sec_fetch_site": "cross-site"},
        {"sec_fetch_site": "same-site"},
        {"sec_fetch_site": "none"},
        *({"origin": origin} for origin in ("https://evil.example", f"{ORIGIN}0", "http://localhost:8000", "file://")),
        {"origin": "https://127.0.0.1:8000"},
        {"origin": "null", "sec_fetch_site": "cross-site"},
        *({"content_type": kind} for kind in ("text/plain", "application/json", "multipart/form-data; boundary=x", "")),
    ]
    for person, path, form in paths:
        for headers in elsewhere:
            attempts.append(asker.post(path, {"form_token": person.form_token, **form}, person.cookies, **headers))
        # What a page elsewhere can send by itself: no token, or that of another session.
        other = Person(asker, "rater", rater.subject, "").form_token
        for token in (
            "",
            "x",
            other,
            organiser.form_token if person is rater else rater.form_token,
            person.form_token[:-1],
        ):
            attempts.append(asker.post(path, {"form_token": token, **form}, person.cookies))
        parts = {"form_token": person.form_token, **form}
        said = [
            f'--x\r\nContent-Disposition: form-data; name="{key}"\r\n\r\n{value}\r\n' for key, value in parts.items()
        ]
        multipart = FORM | {"content-type": "multipart/form-data; boundary=x"}
        attempts.append(asker.ask("POST", path, f"{''.join(said)}--x--\r\n".encode(), person.cookies, multipart))
        for method in ("PUT", "DELETE", "PATCH", "HEAD", "OPTIONS", "TRACE"):
            attempts.append(asker.ask(method, path, None, person.cookies))
        long = {"form_token": person.form_token, **form, "comment": "x" * BODY_BYTES}
        attempts.append(asker.post(path, long, person.cookies))


def test_what_pages_may_load(asker: Asker) -> None:
    for path in ("/", "/rate", "/nothing", "/static/study.css", f"/enter/{asker.rater().token}"):
        headers = asker.ask("GET", path).headers
        policy = dict(part.strip().split(" ", 1) for part in headers["content-security-policy"].split(";"))
        assert policy.pop("default-src") == policy.pop("frame-ancestors") == policy.pop("base-uri") == "'none'"
        assert set(policy.values()) == {"'self'"} and "script-src" in policy and "style-src" in policy
        assert headers["x-content-type-options"] == "nosniff" and headers["referrer-policy"] == "no-referrer"
        assert (headers["cache-control"] == "no-store") == (not path.startswith("/static"))


def test_no_results_before_unblinding(asker: Asker) -> None:
    asker.rater().rate()
    organiser = asker.organiser()
    for kind in ("csv", "parquet", "jsonl"):
        assert organiser.get(f"/organise/answers.{kind}").status_code == 409
    page = organiser.get("/organise/results")
    assert "Results are shown once" in page.text and GENERATORS[0] not in page.text
    assert organiser.post("/organise/unblind", by="Grace", word="unblind").status_code == 409  # it is open
    organiser.post("/organise/state", to="closed")
    assert organiser.post("/organise/unblind", by="", word="unblind").status_code == 422
    assert organiser.post("/organise/unblind", by="Grace", word="yes").status_code == 422
    assert organiser.get("/organise/answers.csv").status_code == 409
    assert organiser.post("/organise/unblind", by="Grace", word="unblind").status_code == 303
    assert (asker.store.events()[-1].who, asker.store.events()[-1].what) == ("Grace", "unblinded")
    assert any(name in organiser.get("/organise/results").text for name in GENERATORS)
    assert len(organiser.get("/organise/answers.csv").text.splitlines()) == 2


def test_an_excluded_rater_and_a_closed_study_store_nothing(asker: Asker) -> None:
    one, other, organiser = asker.rater(), asker.rater(), asker.organiser()
    task = one.task().task_id
    organiser.post("/organise/exclude", rater=one.subject, reason="in a hurry")
    scores = dict.fromkeys(("reasonability", "attractiveness", "redundancy"), 1)
    assert "could not be stored" in one.post(f"/tasks/{task}", **scores).text
    task = other.task().task_id
    organiser.post("/organise/state", to="closed")
    assert "could not be stored" in other.post(f"/tasks/{task}", **scores).text
    assert stored(asker.store) == 0


def test_a_link_can_end(asker: Asker) -> None:
    token = asker.store.invite("third-party", "Ada", time.time(), expires_at=time.time() - 1)
    assert asker.ask("GET", f"/enter/{token}").status_code == 403


def test_sessions_are_kept_from_scripts_and_other_sites(asker: Asker) -> None:
    rater = asker.rater()
    cookie = asker.ask("GET", f"/enter/{rater.token}").headers["set-cookie"]
    assert {"HttpOnly", "SameSite=strict", "Path=/"} <= set(cookie.split("; ")) and "Secure" not in cookie
    asker.app.user_middleware.clear()
    secure = Site.at("https://study.example.org")
    assert secure.https and secure.answers_to("study.example.org") and not secure.answers_to("127.0.0.1")


def test_no_page_and_no_answer_tells_a_secret(asker: Asker) -> None:
    rater, organiser = asker.rater(), asker.organiser()
    entered = asker.ask("GET", f"/enter/{rater.token}").text
    for text in (entered, rater.get("/").text, organiser.get("/organise").text):
        assert rater.token not in text and organiser.token not in text and SECRET not in text


def test_a_secret_is_long_or_kept_for_its_owner(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="16 signs or more; found '5 signs'"):
        Access("short")
    file = tmp_path / "study.key"
    secret = kept_secret(file)
    assert kept_secret(file) == secret and len(secret) > 40 and file.stat().st_mode & 0o777 == 0o600
