"""The command study: people rate explanations in a web page."""

from __future__ import annotations

from time import time
from typing import Annotated

import typer

from llmxrec.cli import app, completion
from llmxrec.cli.console import figures, listed, only, opened, say, send
from llmxrec.cli.options import ExplainedRecommender, Seed, WorkspacePath
from llmxrec.errors import InputError, MissingExtra
from llmxrec.lookup import closest

SECRET_VARIABLE = "LLMXREC_STUDY_SECRET"  # noqa: S105 - its name only
_SERVED = "Served"


@app.command()
def study(
    workspace: WorkspacePath,
    recommender: ExplainedRecommender = None,
    generators: Annotated[
        str | None,
        typer.Option(
            metavar="A,B", help="Whose explanations; without, all.", autocompletion=completion.several_generators
        ),
    ] = None,
    rows: Annotated[int, typer.Option(metavar="N", min=1, help="Recommendations that are rated.")] = 200,
    ratings: Annotated[int, typer.Option(metavar="N", min=1, help="Raters of each explanation.")] = 3,
    mode: Annotated[
        str, typer.Option(metavar="HOW", help="rate, compare or both.", autocompletion=completion.modes)
    ] = "rate",
    tasks: Annotated[int, typer.Option(metavar="N", min=1, help="Explanations that one rater is given, at most.")] = 50,
    stop_at: Annotated[
        float | None,
        typer.Option(metavar="POINTS", help="End early where all 95 % intervals are narrower than so many points."),
    ] = None,
    own: Annotated[
        list[str] | None,
        typer.Option("--self", metavar="USER", help="A user who rates what was recommended to them. Repeatable."),
    ] = None,
    seed: Seed = 1,
    invite: Annotated[int, typer.Option(metavar="N", min=0, help="Raters to make links for.")] = 0,
    power: Annotated[bool, typer.Option("--power", help="Only say what such a study can find.")] = False,
    explore: Annotated[bool, typer.Option("--explore", help="Open the explorer while the study runs.")] = False,
    database: Annotated[
        str | None,
        typer.Option(
            metavar="URL",
            help="postgresql://... or sqlite:///FILE; without, study.db in the workspace.",
            rich_help_panel=_SERVED,
        ),
    ] = None,
    host: Annotated[
        str,
        typer.Option(
            metavar="ADDRESS", help="Where to listen; 127.0.0.1: for this machine only.", rich_help_panel=_SERVED
        ),
    ] = "127.0.0.1",
    port: Annotated[
        int, typer.Option(metavar="N", min=0, max=65535, help="0: any that is free.", rich_help_panel=_SERVED)
    ] = 8000,
    address: Annotated[
        str | None,
        typer.Option(
            metavar="URL",
            help="How browsers reach it, if another way: https://study.example.org",
            rich_help_panel=_SERVED,
        ),
    ] = None,
    secret: Annotated[
        str | None,
        typer.Option(
            metavar="SECRET",
            envvar=SECRET_VARIABLE,
            help="What links and sessions are signed with, 16 signs or more.",
            rich_help_panel=_SERVED,
        ),
    ] = None,
) -> None:
    """Have people rate or compare explanations in a web page, blind.

    Ended with Ctrl+C, the same command goes on with what is stored.
    """
    from llmxrec.settings import check
    from llmxrec.study.design import StudyDesign
    from llmxrec.study.power import detectable, statement

    if power:
        say(statement(rows, ratings))
        figures(rows=rows, ratings=ratings, detectable=detectable(rows, ratings))
        return
    try:
        from llmxrec.stages.studying import invitations, make_study, told
        from llmxrec.study.access import Access, kept_secret
        from llmxrec.study.app import create_app
        from llmxrec.study.guard import Site, is_loopback
        from llmxrec.study.serving import listen, serve
        from llmxrec.study.store import open_store
    except ImportError:
        raise MissingExtra("the study", "study") from None
    place = opened(workspace)
    outside = not is_loopback(host)
    if outside and secret is None:
        raise InputError(
            "a study that others reach has a secret", value=host, cure=f"set {SECRET_VARIABLE}, or give --secret"
        )
    if outside and address is None and host in ("0.0.0.0", "::"):  # noqa: S104 - what the user said
        raise InputError("a study that others reach has an address", value=host, cure="--address https://HOST")
    with listen(host, port) as at:
        site = Site.at(address or f"http://{f'[{host}]' if ':' in host else host}:{at.getsockname()[1]}")
        access = Access(secret or kept_secret(place.path / "study.key"))
        store = open_store(database or place.path / "study.db")
        known = store.exists()
        if not known:
            whose = only("recommender", recommender, place.explained(), f"llmxrec explain {workspace}")
            settings = {"rows": rows, "ratings_per_cell": ratings, "mode": mode, "tasks_per_rater": tasks, "seed": seed}
            there = place.generators(whose)
            names = listed(generators) or tuple(there)
            for name in names:
                if name not in there:
                    raise closest("generator", name, there)
            asked = {"recommender": whose, "generators": names, "stop_at": stop_at, **settings}
            design = check(StudyDesign, {key: value for key, value in asked.items() if value is not None}, "the study")
            say(statement(design.rows, design.ratings_per_cell))
            make_study(place, store, design, people=own or ())
        for line in told(store.design):
            say(line)
        if known:
            say("it goes on with what is stored; what it asks of whom is as it was designed")
        links = []
        for name, person in invitations(store, invite, () if known else own or ()):
            token = store.invite("self" if person else "third-party", name, time(), person)
            links.append({"rater": name, "url": f"{site.origin}/enter/{token}"})
            say(f"{name}: {site.origin}/enter/{token}")
        organiser = f"{site.origin}/organise/enter/{access.organiser_token}"
        say(f"organiser: {organiser}")
        if outside and not site.https:
            say(
                "note: links and answers are sent unencrypted; put a proxy with TLS before it, and say --address https://"
            )
        figures(url=site.origin, organiser=organiser, raters=links, goes_on=known)
        figures(design=store.design.model_dump(mode="json"))
        send()
        say(f"serving {site.origin}; Ctrl+C ends it, and the same command goes on")
        serve(create_app(store, access, site, place, explore=explore), at)
