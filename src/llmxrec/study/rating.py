"""The pages of a rater: welcome, one task at a time, what was stored, a pause."""

from __future__ import annotations

import re
from typing import Annotated, cast

from fastapi import APIRouter, Form, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response

from llmxrec.records import Winner
from llmxrec.study.access import Session
from llmxrec.study.accounts import Rater
from llmxrec.study.answers import Answer, Choice, Scores
from llmxrec.study.giving import StudyTask
from llmxrec.study.material import SCALES
from llmxrec.study.web import Denied, Web, cleaned, see

COMMENT_SIGNS = 2000
_TASK = re.compile("[0-9a-f]{32}")
_WINNERS = {"first": "the first", "second": "the second", "tie": "no difference"}
_LINK = "Please open the personal link that you were given. It also works if you have been signed out."

Field = Annotated[str, Form(max_length=100)]


def rating_routes(web: Web) -> APIRouter:
    """All that a rater reaches. Whoever is not signed in as one is turned away, but from the link itself."""
    routes = APIRouter(default_response_class=HTMLResponse)

    @routes.get("/enter/{token}")
    def enter(token: str) -> Response:
        rater = web.store.rater_of(token, web.now())
        if rater is None:
            raise Denied(403, "This link does not work", "It is not complete, or no longer valid.", _LINK)
        # Answered by a page, not a redirect: after a click elsewhere, browsers send a strict cookie only from here on.
        return web.sign_in(web.page("enter.html", onward="/"), "rater", rater.rater_id)

    @routes.get("/")
    def welcome(request: Request) -> Response:
        session, rater = _signed_in(web, request)
        standing = web.store.standing(rater.rater_id)
        if not standing.left:
            return see("/rate")
        return web.page(
            "welcome.html",
            session=session,
            name=rater.name,
            own=rater.kind == "self",
            domain=web.store.domain,
            mode=web.store.design.mode,
            done=standing.done,
            total=standing.of,
        )

    @routes.get("/rate")
    def rate(request: Request) -> Response:
        _, rater = _signed_in(web, request)
        return _next(web, rater) or _nothing_left(web, rater)

    @routes.get("/tasks/{task_id}")
    def show(request: Request, task_id: str) -> Response:
        session, rater = _signed_in(web, request)
        task = _task(web, rater, task_id)
        stored = web.store.stored_answer(task_id, rater.rater_id)
        if stored is None:
            return _form(web, session, rater, task)
        return web.page(
            "stored.html", task=task, own=rater.kind == "self", domain=web.store.domain, answer=_told(stored.answer)
        )

    @routes.post("/tasks/{task_id}")
    def submit(
        request: Request,
        task_id: str,
        form_token: Field = "",
        reasonability: Field = "",
        attractiveness: Field = "",
        redundancy: Field = "",
        winner: Field = "",
        comment: Annotated[str, Form()] = "",
    ) -> Response:
        session, rater = _signed_in(web, request)
        web.check_form(session, form_token)
        task = _task(web, rater, task_id)
        given = {"reasonability": reasonability, "attractiveness": attractiveness, "redundancy": redundancy}
        given = given if task.kind == "rate" else {"winner": winner}
        right = _WINNERS if task.kind == "compare" else {str(score) for score in range(1, 11)}
        missing = [name for name, value in given.items() if value not in right]
        comment = cleaned(comment, COMMENT_SIGNS + 1)
        if len(comment) > COMMENT_SIGNS:
            missing.append("comment")
        if missing:
            return _form(web, session, rater, task, {**given, "comment": comment}, missing)
        answer = _answer(given, comment)
        outcome = web.store.submit(task_id, rater.rater_id, answer, web.now())
        if outcome == "refused":
            raise Denied(200, "The study has ended", "This last answer could not be stored any more. Thank you!")
        if outcome == "already stored":
            stored = web.store.stored_answer(task_id, rater.rater_id)
            # Sent twice, it is as if sent once; from a second tab with other numbers, the page says which were stored.
            if stored is not None and stored.answer != answer:
                return see(f"/tasks/{task_id}")
        return _next(web, rater) or see("/rate")

    @routes.get("/pause")
    def pause(request: Request) -> Response:
        session, rater = _signed_in(web, request)
        standing = web.store.standing(rater.rater_id)
        return web.page("pause.html", session=session, done=standing.done, total=standing.of)

    @routes.post("/leave")
    def leave(request: Request, form_token: Field = "") -> RedirectResponse:
        session, _ = _signed_in(web, request)
        web.check_form(session, form_token)
        return web.sign_out(see("/left"), "rater")

    @routes.get("/left")
    def left() -> Response:
        raise Denied(200, "You are signed out", "All that you sent is stored.", _LINK)

    return routes


def _signed_in(web: Web, request: Request) -> tuple[Session, Rater]:
    session = web.session(request, "rater")
    rater = web.store.rater(session.subject) if session else None
    if session is None or rater is None or (rater.expires_at is not None and rater.expires_at <= web.now()):
        raise Denied(401, "Please sign in", _LINK)
    return session, rater


def _next(web: Web, rater: Rater) -> Response | None:
    """On to the rater's next task, if there is one."""
    task = web.store.next_task(rater.rater_id, web.now())
    return None if task is None else see(f"/tasks/{task.task_id}")


def _nothing_left(web: Web, rater: Rater) -> Response:
    said = "All that you sent is stored."
    if web.store.state() == "paused" and rater.excluded_reason is None:
        again = ("/rate", "Look again")
        return web.message(Denied(200, "The study pauses", f"{said} Please come back later.", onward=again))
    return web.message(Denied(200, "Thank you!", f"There is nothing more to do for you. {said}"))


def _task(web: Web, rater: Rater, task_id: str) -> StudyTask:
    task = web.store.task(task_id, rater.rater_id) if _TASK.fullmatch(task_id) else None
    if task is None:
        raise Denied(404, "There is no such page", onward=("/rate", "Go on"))
    return task


def _form(
    web: Web,
    session: Session,
    rater: Rater,
    task: StudyTask,
    given: dict[str, str] | None = None,
    missing: list[str] | None = None,
) -> HTMLResponse:
    return web.page(
        "task.html",
        422 if missing else 200,
        session=session,
        task=task,
        own=rater.kind == "self",
        domain=web.store.domain,
        given=given or {},
        missing=missing or [],
    )


def _answer(given: dict[str, str], comment: str) -> Answer:
    if "winner" in given:
        return Choice(winner=cast(Winner, given["winner"]), comment=comment)
    return Scores(**{scale: int(given[scale]) for scale in SCALES}, comment=comment)


def _told(answer: Answer) -> list[tuple[str, str]]:
    """An answer as the page tells it."""
    if isinstance(answer, Choice):
        told = [("The better explanation", _WINNERS[answer.winner])]
    else:
        told = [(scale.capitalize(), str(getattr(answer, scale))) for scale in SCALES]
    return [*told, ("Comment", answer.comment)] if answer.comment else told
