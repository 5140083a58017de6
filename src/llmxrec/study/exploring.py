"""The explorer: a person's history and recommendations, and what every generator said of them. Not blind."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from fastapi.responses import HTMLResponse, Response

from llmxrec.evaluation.material import Part, Row
from llmxrec.evaluation.reading import read_part
from llmxrec.evidence.claims import Claim, ClaimReader
from llmxrec.records import Domain, Instruction
from llmxrec.stored import causes_of, read_evidence
from llmxrec.study.organising import organiser
from llmxrec.study.web import Denied, Web
from llmxrec.workspace import Workspace

LISTED = 200
"""People who are listed at once; others are found by their id."""


@dataclass(frozen=True, slots=True)
class Piece:
    """A part of a text. `mark` is the kind of what it claims, `says` tells that; empty where it claims nothing."""

    text: str
    mark: str = ""
    says: str = ""


@dataclass(frozen=True, slots=True)
class Shown:
    """A recommendation as the explorer shows it. `causes` are ids of the items of the history that it rests on."""

    recommender: str
    rank: int | None
    instruction: Instruction
    causes: frozenset[str]
    texts: tuple[tuple[str, str, tuple[Piece, ...]], ...]


class Explorer:
    """What a workspace holds, by person. It is read when it is first asked for."""

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace
        self._known: dict[str, Mapping[Row, frozenset[str]]] = {}

    @cached_property
    def _part(self) -> Part:
        return read_part(self._workspace)

    @property
    def domain(self) -> Domain:
        return self._part.domain

    @cached_property
    def _rows(self) -> dict[str, list[tuple[str, Row]]]:
        found: dict[str, list[tuple[str, Row]]] = {}
        for recommender, questions in self._part.questions.items():
            for row in questions:
                found.setdefault(row[0], []).append((recommender, row))
        return found

    def people(self, wanted: str = "") -> list[str]:
        """Ids of people that hold `wanted`, LISTED at most; those that begin with it first."""
        held = [user for user in self._rows if wanted.casefold() in user.casefold()]
        held.sort(key=lambda user: (not user.casefold().startswith(wanted.casefold()), len(user), user))
        return held[:LISTED]

    def of(self, user_id: str) -> list[Shown]:
        """What was recommended to a person, and how it was explained; empty for one who is unknown."""
        return [self._shown(recommender, row) for recommender, row in self._rows.get(user_id, ())]

    def _shown(self, recommender: str, row: Row) -> Shown:
        part = self._part
        instruction = part.questions[recommender][row].instruction
        texts = []
        for answers in part.answers:
            told = self._answers[answers.recommender, answers.generator].get(row)
            if answers.recommender == recommender and told is not None:
                texts.append((answers.generator, told.status, self._read(told.text, instruction)))
        rank = part.recommended.get(recommender, {}).get(row)
        return Shown(recommender, rank, instruction, self._causes(recommender).get(row, frozenset()), tuple(texts))

    @cached_property
    def _answers(self) -> dict[tuple[str, str], dict[Row, Any]]:
        return {
            (answers.recommender, answers.generator): {(one.user_id, one.item_id): one for one in answers.rows}
            for answers in self._part.answers
        }

    def _causes(self, recommender: str) -> Mapping[Row, frozenset[str]]:
        """What each recommendation rests on, as far as it was measured."""
        if recommender not in self._known:
            measured = self._workspace.evidence(recommender).exists()
            rows = causes_of(read_evidence(self._workspace, recommender)).iter_rows() if measured else ()
            self._known[recommender] = {(user, item): frozenset(found) for user, item, found in rows}
        return self._known[recommender]

    @cached_property
    def _reader(self) -> ClaimReader:
        people = {column: set(values) for column, values in self._part.truths.items()}
        return ClaimReader(self._part.items, self.domain, people)

    def _read(self, text: str, instruction: Instruction) -> tuple[Piece, ...]:
        return marked(text, self._reader.read(text, instruction))


def marked(text: str, claims: Sequence[Claim]) -> tuple[Piece, ...]:
    """`text` in pieces, those marked that claim something; of claims that overlap, the one that begins first."""
    pieces, end = [], 0
    for claim in sorted(claims, key=lambda one: (one.start, -one.end)):
        if claim.start < end or not 0 <= claim.start < claim.end <= len(text):
            continue
        if claim.start > end:
            pieces.append(Piece(text[end : claim.start]))
        true = "nothing that was shown supports it" if claim.about is None else f"true of the {claim.about}"
        mark = "unsupported" if claim.about is None else claim.kind
        pieces.append(Piece(text[claim.start : claim.end], mark, f"{claim.kind} {claim.column}: {true}"))
        end = claim.end
    if end < len(text):
        pieces.append(Piece(text[end:]))
    return tuple(pieces)


def exploring_routes(web: Web, explore_open: bool) -> APIRouter:
    """The explorer's page, for the organiser only; before the study is closed, only where `explore_open` says so."""
    routes = APIRouter(default_response_class=HTMLResponse)
    explorer = Explorer(web.workspace) if web.workspace is not None else None

    @routes.get("/explore")
    def explore(
        request: Request,
        user: Annotated[str, Query(max_length=500)] = "",
        find: Annotated[str, Query(max_length=500)] = "",
    ) -> Response:
        organiser(web, request)
        back = ("/organise", "To the progress")
        if explorer is None:
            raise Denied(
                404, "There is nothing to explore", "This study was opened without its workspace.", onward=back
            )
        if not explore_open and web.store.state() != "closed":
            why = (
                "It shows who wrote what, so it is off until the study is closed, unless it is started with --explore."
            )
            raise Denied(403, "The explorer is off", why, onward=back)
        shown = explorer.of(user) if user else []
        status = 404 if user and not shown else 200
        people = explorer.people(find)
        return web.page(
            "explore.html",
            status,
            here="explore",
            user=user,
            find=find,
            people=people,
            shown=shown,
            domain=explorer.domain,
        )

    return routes
