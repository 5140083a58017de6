"""How an experiment begins: with a known dataset, with tables of one's own, or where it was left."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from llmxrec.datasets import read_dataset
from llmxrec.datasets.dataset import Dataset
from llmxrec.datasets.domains import load_domain
from llmxrec.datasets.tables import read_tables
from llmxrec.errors import InputError
from llmxrec.evaluation.gate import measure
from llmxrec.notebook.experiment import Experiment, attach, pairs_file
from llmxrec.notebook.found import Worth
from llmxrec.notebook.given import Table, as_files, check_numbers, in_memory, in_python, several
from llmxrec.stages.data import check_new, check_same, find_source, store_dataset
from llmxrec.workspace import Workspace


@in_python()
def load(kind: str, folder: str | Path, source: str | Path | None = None) -> Experiment:
    """Read a dataset (demo, ml-100k, mind, steam, recbole) into the workspace `folder`, or go on with it there.

    `source` is the folder of its original files; None: looked for where such files usually lie. The demo has none.
    """
    place = Workspace(Path(folder))
    if place.dataset.exists():
        check_same(place, kind, source)
        return Experiment(place)
    check_new(place)
    dataset, report = read_dataset(kind, find_source(kind, source))
    store_dataset(place, dataset, report, kind=kind)
    return Experiment(place, tuple(report.lines()))


@in_python()
def tables(
    folder: str | Path,
    *,
    interactions: Table,
    items: Table | None = None,
    users: Table | None = None,
    recommendations: Table | None = None,
    domain: str | Path = "items",
    columns: Mapping[str, str] | None = None,
    show_user: Sequence[str] = (),
) -> Experiment:
    """Read tables of your own into the workspace `folder`, or go on with the same ones there.

    A table is a file (CSV, TSV, JSONL, Parquet), a data frame, or columns by name. `domain` is movies, news, games,
    items or FILE.toml; `columns` maps our names to yours, where they are not found. `show_user`: columns of your users
    that generators may see. `recommendations`: what a recommender of yours recommends (see `attach`).
    """
    place = Workspace(Path(folder))
    named = dict(columns or {})
    with as_files(interactions=interactions, items=items, users=users) as files:
        dataset, report = read_tables(
            files["interactions"],
            files.get("items"),
            files.get("users"),
            load_domain(domain),
            named,
            several(show_user),
        )
    if in_memory(interactions):
        report = replace(report, source="tables in memory")
    if place.dataset.exists():
        _check_same(dataset, place)
    else:
        store_dataset(place, dataset, report, kind="tables")
    said = tuple(report.lines())
    if recommendations is not None:
        said += attach(place, recommendations, named)
    return Experiment(place, said)


def open(folder: str | Path) -> Experiment:
    """The experiment in the workspace `folder`, whoever made it."""
    place = Workspace(Path(folder))
    if not place.dataset.is_dir():
        cure = "make one with llmxrec.load or llmxrec.tables"
        raise InputError("a workspace is a folder with a dataset in it", value=str(folder), cure=cure)
    return Experiment(place)


@in_python()
def validate_judge(
    judge: str = "text",
    *,
    train: str | Path | None = None,
    test: str | Path | None = None,
    folds: int = 10,
    seed: int = 1,
) -> Worth:
    """Measure a judge on labelled pairs, in both orders, beside rules that read nothing. INVALID is a finding."""
    check_numbers(folds=folds, seed=seed)
    return Worth(measure(judge, pairs_file(train), pairs_file(test), folds=folds, seed=seed))


def _check_same(dataset: Dataset, place: Workspace) -> None:
    """Raises InputError where the workspace holds another dataset."""
    held = Dataset.load(place.dataset)
    parts = ("interactions", "items", "users")
    if held.domain != dataset.domain or not all(getattr(held, x).equals(getattr(dataset, x)) for x in parts):
        rule = "a workspace holds one dataset, and this one holds other tables"
        raise InputError(rule, value=str(place.path), cure="choose another folder, or delete it")
