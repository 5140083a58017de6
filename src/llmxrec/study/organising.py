"""The organiser's pages: how far the study is, invitations and exclusions, and results once it is unblinded."""

from __future__ import annotations

from collections import defaultdict
from typing import Annotated, Literal

from fastapi import APIRouter, Form, Request
from fastapi.responses import HTMLResponse, Response

from llmxrec.errors import InputError
from llmxrec.study.access import Session
from llmxrec.study.accounts import CellProgress
from llmxrec.study.showing import KINDS, answers_as, keep, tables
from llmxrec.study.web import Denied, Web, cleaned, see

ORGANISER = "organiser"
NAME_SIGNS, REASON_SIGNS = 100, 500
_LINK = "Please open the organiser's link, which `llmxrec study` prints when it starts."

Words = Annotated[str, Form(max_length=2000)]


def organising_routes(web: Web) -> APIRouter:
    """All that the organiser reaches, under /organise."""
    routes = APIRouter(prefix="/organise", default_response_class=HTMLResponse)

    @routes.get("/enter/{token}")
    def enter(token: str) -> Response:
        if not web.access.is_organiser(token):
            raise Denied(403, "This link does not work", _LINK)
        return web.sign_in(web.page("enter.html", onward="/organise"), "organiser", ORGANISER)

    @routes.get("")
    def overview(request: Request) -> Response:
        return _overview(web, organiser(web, request))

    @routes.post("/invite")
    def invite(
        request: Request,
        form_token: Words = "",
        name: Words = "",
        kind: Words = "third-party",
        user_id: Words = "",
    ) -> Response:
        session = organiser(web, request, form_token)
        role: Literal["self", "third-party"] = "self" if kind == "self" else "third-party"
        called, person = cleaned(name, NAME_SIGNS), cleaned(user_id, NAME_SIGNS)
        try:
            token = web.store.invite(role, called, web.now(), person if role == "self" else None)
        except InputError as error:
            return _overview(web, session, 409, wrong=str(error))
        return web.page("invited.html", name=called, link=f"{web.site.origin}/enter/{token}", here="progress")

    @routes.post("/exclude")
    def exclude(request: Request, form_token: Words = "", rater: Words = "", reason: Words = "") -> Response:
        session = organiser(web, request, form_token)
        try:
            web.store.exclude(cleaned(rater, NAME_SIGNS), cleaned(reason, REASON_SIGNS), ORGANISER, web.now())
        except InputError as error:
            return _overview(web, session, 409, wrong=str(error))
        return see("/organise")

    @routes.post("/state")
    def state(request: Request, form_token: Words = "", to: Words = "") -> Response:
        session = organiser(web, request, form_token)
        turns = {"open": web.store.resume, "paused": web.store.pause, "closed": web.store.close}
        if to in turns and web.store.state() != to:
            try:
                turns[to](ORGANISER, web.now())
            except InputError as error:
                return _overview(web, session, 409, wrong=str(error))
        return see("/organise")

    @routes.post("/unblind")
    def unblind(request: Request, form_token: Words = "", by: Words = "", word: Words = "") -> Response:
        session = organiser(web, request, form_token)
        who = cleaned(by, NAME_SIGNS)
        if not who or cleaned(word, NAME_SIGNS).lower() != "unblind":
            wrong = "to unblind, say who you are and write the word unblind"
            return _overview(web, session, 422, wrong=wrong)
        try:
            web.store.unblind(who, web.now())
        except InputError as error:
            return _overview(web, session, 409, wrong=str(error))
        return see("/organise/results")

    @routes.get("/results")
    def results(request: Request) -> Response:
        session = organiser(web, request)
        unblinded = web.store.progress().unblinded_at is not None
        found = tables(web.store, web.workspace) if unblinded else None
        return web.page("results.html", session=session, here="results", tables=found, keeps=web.workspace is not None)

    @routes.get("/answers.{kind}")
    def answers(request: Request, kind: str) -> Response:
        organiser(web, request)
        if kind not in KINDS:
            raise Denied(404, "There is no such page", onward=("/organise", "To the progress"))
        content = answers_as(web.store.ratings(), kind)
        named = {"content-disposition": f'attachment; filename="answers.{kind}"'}
        return Response(content, media_type=KINDS[kind], headers=named)

    @routes.post("/keep")
    def take_in(request: Request, form_token: Words = "") -> Response:
        organiser(web, request, form_token)
        if web.workspace is None:
            raise Denied(404, "There is no such page", "This study was opened without its workspace.")
        files = keep(web.store, web.workspace)
        back = ("/organise/results", "To the results")
        raise Denied(200, "The ratings are in the workspace", *map(str, files), onward=back)

    @routes.post("/leave")
    def leave(request: Request, form_token: Words = "") -> Response:
        organiser(web, request, form_token)
        return web.sign_out(see("/left"), "organiser")

    return routes


def organiser(web: Web, request: Request, form_token: str | None = None) -> Session:
    """The organiser's session. Raises Denied for anybody else, and for a form that is not of that session."""
    session = web.session(request, "organiser")
    if session is None:
        raise Denied(401, "This page is the organiser's", _LINK)
    if form_token is not None:
        web.check_form(session, form_token)
    return session


def _overview(web: Web, session: Session, status: int = 200, wrong: str = "") -> HTMLResponse:
    progress = web.store.progress()
    shared = [cell for cell in progress.cells if cell.quota]
    return web.page(
        "organise.html",
        status,
        session=session,
        here="progress",
        wrong=wrong,
        progress=progress,
        design=web.store.design,
        agreement=web.agreement(),
        generators=_by_generators(shared),
        rows=_by_row(shared),
        held=sum(cell.held for cell in shared),
        people=sorted({cell.user_id for cell in progress.cells if not cell.quota}),
        events=web.store.events()[::-1][:200],
    )


def _by_generators(cells: list[CellProgress]) -> list[tuple[str, int, int]]:
    """Of each generator, or two that are compared: answers, and how many there are to be."""
    found: dict[str, list[int]] = defaultdict(lambda: [0, 0])
    for cell in cells:
        counts = found[" : ".join(cell.generators)]
        counts[0] += cell.stored
        counts[1] += cell.quota
    return [(name, stored, quota) for name, (stored, quota) in sorted(found.items())]


def _by_row(cells: list[CellProgress]) -> list[tuple[str, str, list[CellProgress]]]:
    found: dict[tuple[str, str], list[CellProgress]] = defaultdict(list)
    for cell in cells:
        found[cell.user_id, cell.item_id].append(cell)
    ordered = {row: sorted(cells, key=lambda cell: cell.generators) for row, cells in found.items()}
    return [(user, item, cells) for (user, item), cells in ordered.items()]
