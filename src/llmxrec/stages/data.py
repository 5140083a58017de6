"""Data into a workspace: where original files lie, and a dataset written whole or not at all."""

from __future__ import annotations

import logging
import os
import shutil
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

from llmxrec.datasets import READERS
from llmxrec.datasets.dataset import Dataset, ReadReport
from llmxrec.errors import InputError
from llmxrec.lookup import closest
from llmxrec.workspace import Workspace

log = logging.getLogger(__name__)

DATA_FOLDER = "data"
"""Where datasets usually lie, each in a folder of its name; $LLMXREC_DATA comes before it."""


def find_source(kind: str, source: str | Path | None = None) -> Path | None:
    """The folder of a dataset's original files: `source`, or where such files usually lie; None for the bundled one.

    Raises InputError, naming the places looked at, where there is none.
    """
    if kind not in READERS:
        raise closest("dataset", kind, READERS)
    if source is not None or kind == "demo":
        return None if source is None else Path(source)
    roots = [root for root in (os.environ.get("LLMXREC_DATA"), DATA_FOLDER) if root]
    for root in roots:
        if Path(root, kind).is_dir():
            return Path(root, kind)
    looked = ", ".join(str(Path(root, kind)) for root in roots)
    raise InputError(
        f"the original files of '{kind}' lie in a folder", cure=f"give it with --source (looked at: {looked})"
    )


def check_new(workspace: Workspace) -> None:
    """Raises InputError where the workspace has a dataset already, or is no folder."""
    if workspace.path.exists() and not workspace.path.is_dir():
        raise InputError("a workspace is a folder", value=str(workspace.path), cure="choose another name")
    if workspace.dataset.exists():
        raise InputError(
            "a workspace holds one dataset", value=str(workspace.dataset), cure="choose another folder, or delete it"
        )


def check_same(workspace: Workspace, kind: str, source: str | Path | None = None) -> None:
    """Raises InputError where the workspace holds a dataset of another kind, or read from another folder than `source`
    (None: from wherever)."""
    held = workspace.read_manifest().get("dataset", {})
    other = source is not None and Path(source).resolve() != Path(str(held.get("source"))).resolve()
    if held.get("kind") != kind or other:
        rule = f"{workspace.path} holds the dataset '{held.get('kind')}' of {held.get('source')}"
        raise InputError(rule, value=source if other else kind, cure="choose another folder for the workspace")


def store_dataset(workspace: Workspace, dataset: Dataset, report: ReadReport, **origin: str) -> None:
    """Write `dataset` to a workspace that has none, whole or not at all."""
    check_new(workspace)
    draft = workspace.path / ".dataset.draft"
    read_from = Path(report.source)
    # Whole, since the next call may come from another folder; what is no file, such as the demo, is named as it is.
    source = str(read_from.resolve()) if read_from.exists() else report.source
    shutil.rmtree(draft, ignore_errors=True)
    counts = {key: dict(value) for key, value in asdict(report).items() if isinstance(value, Mapping)}
    try:
        dataset.save(draft)
        # Noted before it is there: a kill in between leaves a note that the next try overwrites.
        workspace.note("dataset", **{"source": source, **origin}, **counts)
        draft.rename(workspace.dataset)
        read = ", ".join(f"{count:,} {what}" for what, count in report.read.items())
        log.info("read %s from %s, stored in %s", read, report.source, workspace.dataset)
    finally:
        shutil.rmtree(draft, ignore_errors=True)
