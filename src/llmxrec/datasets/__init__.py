"""Datasets: readers, checks, the leave-one-out split, and the bundled demo."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from llmxrec.errors import InputError
from llmxrec.lookup import resolve

if TYPE_CHECKING:
    from llmxrec.datasets.dataset import Dataset, ReadReport

READERS = {
    "demo": "llmxrec.datasets.demo.simulation:read",
    "ml-100k": "llmxrec.datasets.movielens:read",
    "mind": "llmxrec.datasets.mind:read",
    "steam": "llmxrec.datasets.steam:read",
    "recbole": "llmxrec.datasets.recbole:read",
}


def read_dataset(kind: str, source: Path | None = None) -> tuple[Dataset, ReadReport]:
    """Read the folder `source`, which holds the original files of a dataset of this `kind` (a key of READERS).

    The demo alone has no source. Raises InputError for an unknown kind, a missing source, and for files that are
    missing or break their format.
    """
    read = resolve("dataset", kind, READERS)
    if source is None and kind != "demo":
        raise InputError(f"'{kind}' is read from the folder of its original files", cure="give that folder")
    dataset, report = read(source)
    return dataset, report
