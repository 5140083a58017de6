"""The study as a web application."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

from fastapi import APIRouter, FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import Response
from sqlalchemy.exc import SQLAlchemyError
from starlette.exceptions import HTTPException

from llmxrec.errors import InputError
from llmxrec.study.access import Access
from llmxrec.study.exploring import exploring_routes
from llmxrec.study.guard import Guard, Site, harden
from llmxrec.study.organising import organising_routes
from llmxrec.study.rating import rating_routes
from llmxrec.study.store import Store
from llmxrec.study.web import Denied, Web
from llmxrec.workspace import Workspace

log = logging.getLogger("llmxrec.study")


def create_app(
    store: Store,
    access: Access,
    site: Site,
    workspace: Workspace | None = None,
    *,
    explore: bool = False,
    now: Callable[[], float] = time.time,
) -> FastAPI:
    """The pages of the study in `store`, reached at `site` by whom `access` knows.

    `workspace` is where its explanations are from: ratings are taken into it, and the explorer shows it, with `explore`
    while the study is open too. `now` tells the time in unix seconds.
    """
    web = Web(store, access, site, now, workspace)
    # Its schema is no secret, but nobody needs it either: tests ask the application itself.
    app = FastAPI(title="LLMXRec study", openapi_url=None)
    app.include_router(rating_routes(web))
    app.include_router(organising_routes(web))
    app.include_router(exploring_routes(web, explore))
    app.include_router(_static_routes(web))
    app.add_middleware(Guard, site=site)

    @app.exception_handler(Denied)
    def denied(_: Request, error: Denied) -> Response:
        return web.message(error)

    @app.exception_handler(RequestValidationError)
    def unreadable(_: Request, error: RequestValidationError) -> Response:
        return web.message(Denied(422, "This could not be read", "Nothing was stored.", onward=("/", "To the start")))

    @app.exception_handler(InputError)
    def wrong(_: Request, error: InputError) -> Response:
        return web.message(Denied(409, "This cannot be done", str(error)))

    @app.exception_handler(HTTPException)
    def missing(_: Request, error: HTTPException) -> Response:
        said = "There is no such page" if error.status_code == 404 else "This cannot be done"
        response = web.message(Denied(error.status_code, said, onward=("/", "To the start")))
        response.headers.update(error.headers or {})
        return response

    @app.exception_handler(SQLAlchemyError)
    def unreachable(_: Request, error: SQLAlchemyError) -> Response:
        # What a statement was given is not for the log: it holds what people wrote.
        log.error("the database failed: %s", type(error).__name__)
        busy = Denied(
            503, "Please try again in a moment", "The study could not be reached. What was stored, is stored."
        )
        return web.message(busy)

    @app.exception_handler(Exception)
    def failed(_: Request, error: Exception) -> Response:
        # This one is made outside the guard.
        response = web.message(Denied(500, "Something went wrong", "What was stored before, is stored."))
        harden(response.headers)
        return response

    return app


def _static_routes(web: Web) -> APIRouter:
    routes = APIRouter()

    @routes.get("/static/{name}")
    def static(name: str) -> Response:
        if name not in web.static:
            raise Denied(404, "There is no such page")
        content, kind = web.static[name]
        # The address changes with the content.
        return Response(content, media_type=kind, headers={"cache-control": "public, max-age=31536000, immutable"})

    return routes
