"""What a workspace holds of stages 1 and 2, read back: recommendations, and the explanations of them."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import polars as pl

from llmxrec.errors import InputError
from llmxrec.evidence.causes import EVIDENCE, causes
from llmxrec.explain import read_explanations
from llmxrec.notes import read_notes, refuse_to_mix
from llmxrec.predict import read_predictions
from llmxrec.workspace import Workspace

_COLUMNS = {"user_id": pl.String, "item_id": pl.String, "rank": pl.Int32}

EXTERNAL = "external"
"""What recommendations are called that come from a user's own file: they need no class, only their table."""


def read_recommendations(workspace: Workspace, name: str) -> pl.DataFrame:
    """What `write_recommendations` wrote. Raises InputError where there is none."""
    file = workspace.recommendations(name)
    if not file.exists():
        cure = "give yours with: llmxrec init --recommendations FILE" if name == EXTERNAL else "llmxrec recommend"
        raise InputError(f"there are no recommendations of '{name}' yet", value=str(file), cure=f"make them: {cure}")
    try:
        table = pl.read_parquet(file, glob=False)
    except pl.exceptions.PolarsError as error:
        raise InputError(f"recommendations are a Parquet table: {error}", file=file, cure="make them again") from None
    for column, kind in _COLUMNS.items():
        if table.schema.get(column) != kind or table[column].null_count():
            raise InputError(f"recommendations have a column '{column}' of {kind}", file=file, cure="make them again")
    return table


def read_evidence(workspace: Workspace, name: str) -> pl.DataFrame:
    """What recommendations of `name` rest on (see EVIDENCE). Raises InputError where nobody measured it."""
    file = workspace.evidence(name)
    if not file.exists():
        cure = f"measure it: llmxrec evidence {workspace.path} --recommender {name}"
        raise InputError(f"what recommendations of '{name}' rest on is not known yet", value=str(file), cure=cure)
    try:
        table = pl.read_parquet(file, glob=False)
    except pl.exceptions.PolarsError as error:
        raise InputError(f"evidence is a Parquet table: {error}", file=file, cure="llmxrec evidence") from None
    for column, kind in EVIDENCE.items():
        if table.schema.get(column) != kind:
            raise InputError(f"evidence has a column '{column}' of {kind}", file=file, cure="llmxrec evidence")
    return table


def causes_of(evidence: pl.DataFrame) -> pl.DataFrame:
    """What each recommendation rests on (see `causes`): user_id, item_id, causes."""
    rests_on = [causes(*row) for row in evidence.select("displacing", "history", "influence").iter_rows()]
    return evidence.select("user_id", "item_id", pl.Series("causes", rests_on, dtype=pl.List(pl.String)))


def knowledge(workspace: Workspace, recommender: str) -> dict[str, Any]:
    """What decided the recommendations of `recommender` and the histories it knew, as far as the workspace tells."""
    noted = workspace.read_manifest().get("recommenders", {}).get(recommender, {})
    return {"hold_out": bool(noted.get("hold_out", False)), "settings": noted.get("settings")}


def stored_explanations(workspace: Workspace, recommender: str, name: str) -> pl.DataFrame:
    """The explanations called `name` of the recommendations as they are now.

    Raises InputError where they were made for recommendations that have been made anew in another way since.
    """
    file = workspace.explanations(recommender, name)
    table = read_explanations(file, _recommended_as(workspace, recommender, file, "explain"))
    if table.is_empty() and file.stat().st_size:
        raise InputError(
            "explanations are of what is recommended now", value="none of them is", cure="llmxrec explain", file=file
        )
    return table


def current_explanations(workspace: Workspace, recommender: str) -> dict[str, pl.DataFrame]:
    """By name, all `stored_explanations` of what `recommender` recommends now; those made for others are left out."""
    found = {}
    for name in workspace.generators(recommender):
        with suppress(InputError):
            found[name] = stored_explanations(workspace, recommender, name)
    return found


def stored_predictions(workspace: Workspace, recommender: str, name: str) -> pl.DataFrame:
    """The predictions called `name`, as `stored_explanations` has explanations."""
    file = workspace.predictions(recommender, name)
    return read_predictions(file, _recommended_as(workspace, recommender, file, "predict"))


def _recommended_as(workspace: Workspace, recommender: str, file: Path, verb: str) -> pl.DataFrame:
    """The recommendations as they are now. Raises InputError where the answers in `file` are about others."""
    refuse_to_mix(
        file,
        what_was_known(knowledge(workspace, recommender)),
        only={"hold_out", "recommender"},
        cure=f"{verb} what is recommended now under another name (--name OTHER), or recommend again as before",
    )
    return read_recommendations(workspace, recommender)


def what_was_known(known: Mapping[str, Any]) -> dict[str, Any]:
    """`known` (see `knowledge`) as settings of the answers that were made with it."""
    settings = known.get("settings")
    return {"hold_out": known["hold_out"], "recommender": None if settings is None else dict(settings)}


def taught_by(workspace: Workspace, recommender: str, name: str) -> frozenset[str]:
    """The judges from whose verdicts the generator had learned that made the explanations called `name`."""
    noted = read_notes(workspace.explanations(recommender, name)).get("taught_by", [])
    return frozenset(map(str, noted)) if isinstance(noted, list) else frozenset()


def rests_on_a_stand_in(workspace: Workspace, recommender: str) -> bool:
    """Whether the evidence of `recommender` is that of a stand-in, because the recommender itself cannot be asked."""
    return bool(read_evidence(workspace, recommender)["surrogate"].any())
