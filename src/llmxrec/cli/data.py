"""Commands that bring data in: init, recommend."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from llmxrec.cli import app, completion
from llmxrec.cli.console import figures, listed, numbers_or_words, opened, pairs, refuse_idle, say, say_next, wrote
from llmxrec.cli.options import Columns, Recommendations, Settings, WorkspacePath
from llmxrec.errors import InputError
from llmxrec.workspace import Workspace

_KNOWN, _OWN = "A known dataset", "Your own tables"


@app.command()
def init(
    workspace: WorkspacePath,
    dataset: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="demo, ml-100k, mind, steam or recbole.",
            autocompletion=completion.datasets,
            rich_help_panel=_KNOWN,
        ),
    ] = None,
    source: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="Where its original files lie.", rich_help_panel=_KNOWN)
    ] = None,
    download: Annotated[
        bool, typer.Option("--download", help="Fetch them into --source first.", rich_help_panel=_KNOWN)
    ] = False,
    interactions: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Who, what, and when if known.", rich_help_panel=_OWN)
    ] = None,
    items: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Your items: id, title, attributes.", rich_help_panel=_OWN)
    ] = None,
    users: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Your users: id, attributes.", rich_help_panel=_OWN)
    ] = None,
    domain: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="How they are spoken of: movies, news, games, items (the default) or FILE.toml.",
            autocompletion=completion.domains,
            rich_help_panel=_OWN,
        ),
    ] = None,
    show_user: Annotated[
        str | None,
        typer.Option(
            metavar="A,B", help="Columns of your users that generators may see; without, none.", rich_help_panel=_OWN
        ),
    ] = None,
    column: Columns = None,
    recommendations: Recommendations = None,
) -> None:
    """Read a dataset into a new workspace: a known one, or your own tables.

    Tables are CSV, TSV, Parquet or JSON lines. It says what was read, what was dropped and why, and what generators
    will be shown.
    """
    from llmxrec.datasets import read_dataset, tables
    from llmxrec.datasets.domains import load_domain
    from llmxrec.datasets.download import download as fetch
    from llmxrec.stages.data import check_new, find_source, store_dataset
    from llmxrec.stages.recommending import write_recommendations
    from llmxrec.stored import EXTERNAL

    place = Workspace(workspace)
    check_new(place)
    columns = pairs("--column", column or [])
    if dataset is not None and interactions is None:
        refuse_idle("--interactions", items=items, users=users, domain=domain, show_user=show_user)
        if recommendations is None:
            refuse_idle("--interactions or --recommendations", column=column)
        if download:
            source = fetch(dataset, source or Path("data", dataset))
        found, report = read_dataset(dataset, find_source(dataset, source))
    elif interactions is not None and dataset is None:
        refuse_idle("--dataset", source=source, download=download)
        found, report = tables.read_tables(
            interactions, items, users, load_domain(domain or "items"), columns, listed(show_user) or ()
        )
    else:
        raise InputError("a workspace begins with --dataset NAME or with --interactions FILE", cure="give one of them")
    for line in report.lines():
        say(line)
    of_items = [name for name in found.domain.item_attributes if name in found.items.columns]
    of_users = [name for name in found.domain.user_attributes if name in found.users.columns]
    say(
        f"shown to generators: of items {', '.join(of_items) or 'nothing'}; of users {', '.join(of_users) or 'nothing'}"
    )
    figures(
        dataset=report,
        users=found.users.height,
        items=found.items.height,
        interactions=found.interactions.height,
        shown={"items": of_items, "users": of_users},
    )
    external = None
    if recommendations is not None:
        external, more = tables.read_recommendations(recommendations, found, columns)
        for line in more.lines():
            say(line)
        figures(recommendations=more)
    store_dataset(place, found, report, kind=dataset or "tables")
    wrote(place.dataset)
    if external is None:
        say_next("recommend", workspace, "--recommender", "bpr")
    else:
        write_recommendations(place, EXTERNAL, external)
        wrote(place.recommendations(EXTERNAL))
        say_next("explain", workspace, "--recommender", EXTERNAL)


@app.command()
def recommend(
    workspace: WorkspacePath,
    recommender: Annotated[
        str,
        typer.Option(
            metavar="NAME",
            help="popularity, ease, bpr, lightgcn, sasrec, implicit; or external: yours.",
            autocompletion=completion.trainable,
        ),
    ],
    k: Annotated[
        int | None, typer.Option("-k", metavar="N", min=1, help="Items recommended to each user; without, 10.")
    ] = None,
    setting: Settings = None,
    full: Annotated[
        bool, typer.Option("--full", help="Train on everything, to be used: nothing is held out, nothing measured.")
    ] = False,
    seed: Annotated[
        int | None, typer.Option(metavar="N", min=0, help="Of all that is drawn by chance; without, 1.")
    ] = None,
    evidence: Annotated[
        int, typer.Option(metavar="N", min=0, help="Recommendations of each user whose causes are measured.")
    ] = 1,
    recommendations: Recommendations = None,
    column: Columns = None,
) -> None:
    """Train a recommender, measure it, and write what it recommends to everybody.

    Or take in what yours recommends: --recommender external --recommendations FILE.
    """
    from llmxrec.datasets.dataset import Dataset
    from llmxrec.datasets.tables import read_recommendations
    from llmxrec.stages import recommending
    from llmxrec.stages.tracing import trace
    from llmxrec.stored import EXTERNAL

    place = opened(workspace)
    if (recommender == EXTERNAL) != (recommendations is not None):
        raise InputError("--recommender external and --recommendations FILE go together", cure="give both, or neither")
    if recommendations is not None:
        refuse_idle("a recommender that is trained here", k=k, set=setting, full=full, seed=seed)
        table, report = read_recommendations(
            recommendations, Dataset.load(place.dataset), pairs("--column", column or [])
        )
        for line in report.lines():
            say(line)
        figures(recommender=recommender, rows=table.height, recommendations=report)
        recommending.write_recommendations(place, EXTERNAL, table)
    else:
        refuse_idle("--recommendations", column=column)
        settings = numbers_or_words(pairs("--set", setting or []))
        trained = recommending.recommend(
            place,
            recommender,
            settings,
            k=10 if k is None else k,
            hold_out=not full,
            seed=1 if seed is None else seed,
        )
        say(f"{trained.rows:,} recommendations for {trained.users:,} users")
        if trained.strangers:
            say(f"{trained.strangers:,} users have no history, and are recommended nothing")
        if trained.kept_out:
            say(f"{trained.kept_out:,} users have too few items to hold any out; they are not measured")
        for metric in trained.metrics:
            say(f"  {metric}")
        figures(recommender=recommender, **vars(trained))
    wrote(place.recommendations(recommender))
    if not evidence:
        say_next("evidence", workspace, "--recommender", recommender)
        return
    traced = trace(place, recommender, top=evidence)
    for line in traced.lines():
        say(line)
    figures(evidence=traced)
    wrote(place.evidence(recommender))
    say_next("explain", workspace, "--recommender", recommender, "--template", "evidence")
