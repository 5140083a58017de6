"""What recommendations rest on, traced to items of the history and written for the stages that follow."""

from __future__ import annotations

import logging
from dataclasses import dataclass

import polars as pl

from llmxrec.datasets.dataset import Dataset
from llmxrec.evaluation.reading import known_histories
from llmxrec.evidence.causes import ScoresHistories, measure, stand_in
from llmxrec.progress import progress
from llmxrec.recommenders import load_recommender
from llmxrec.stages.recommending import parts
from llmxrec.stages.timing import timed
from llmxrec.stored import knowledge, read_evidence, read_recommendations
from llmxrec.workspace import Workspace, atomic

log = logging.getLogger(__name__)

STAND_IN = "a stand-in (EASE, fitted to the interactions): the recommender itself cannot be asked"
"""Whose causes are told where a recommender came from elsewhere; to be said wherever they are."""


@dataclass(frozen=True)
class Traced:
    """What was found: of so many recommendations, how many a few items displace, and how many one alone.

    `apart` counts those that the recommender places otherwise when it scores the history alone.
    """

    rows: int
    displaced: int
    by_one: int
    apart: int
    surrogate: bool

    @classmethod
    def of(cls, evidence: pl.DataFrame) -> Traced:
        """What `evidence` (columns of EVIDENCE) says."""
        sizes = evidence["displacing"].list.len().drop_nulls()
        apart = evidence.filter(pl.col("place") != pl.col("rank")).height
        surrogate = bool(evidence["surrogate"].any())
        return cls(evidence.height, len(sizes), int((sizes == 1).sum()), apart, surrogate)

    def lines(self) -> list[str]:
        """For people."""
        out = [
            f"{self.by_one:,} of {self.rows:,} recommendations fall without one item of the history, "
            f"{self.displaced:,} without five at most"
        ]
        if self.apart:
            out.append(f"{self.apart:,} stand elsewhere where the history alone is scored, and are followed from there")
        if self.surrogate:
            out.append(f"measured on {STAND_IN}")
        return out


def trace(workspace: Workspace, recommender: str, *, top: int = 1) -> Traced:
    """Find what the first `top` recommendations of each person rest on, and write it where the next stage reads it.

    The recommender saved in the workspace is asked, or a stand-in where there is none. Raises InputError where there
    are no recommendations, or a stand-in cannot be fitted.
    """
    recommendations = read_recommendations(workspace, recommender).filter(pl.col("rank") <= top)
    dataset = Dataset.load(workspace.dataset)
    histories = known_histories(workspace, dataset, recommender)
    _, known, _, _ = parts(dataset, bool(knowledge(workspace, recommender)["hold_out"]))
    scorer = scorer_of(workspace, recommender)
    surrogate = scorer is None
    log.info("asking %s what its recommendations rest on", "a stand-in" if surrogate else recommender)
    with (
        timed(workspace, "trace", recommender) as rows,
        progress(f"tracing {recommender}", recommendations.height) as advance,
    ):
        found = measure(
            scorer or stand_in(histories), histories, known, recommendations, surrogate=surrogate, advance=advance
        )
        rows(found.height)
    with atomic(workspace.evidence(recommender)) as file:
        found.write_parquet(file)
    return Traced.of(found)


def trace_missing(workspace: Workspace, recommender: str, *, top: int = 1) -> Traced | None:
    """`trace`, unless what the first `top` recommendations of each person rest on is known; None where it is."""
    wanted = read_recommendations(workspace, recommender).filter(pl.col("rank") <= top)
    if workspace.evidence(recommender).exists():
        known = read_evidence(workspace, recommender)
        wanted = wanted.join(known, on=["user_id", "item_id"], how="anti")
    return trace(workspace, recommender, top=top) if wanted.height else None


def scorer_of(workspace: Workspace, recommender: str) -> ScoresHistories | None:
    """The recommender saved in the workspace; None where it came from elsewhere and cannot be asked."""
    folder = workspace.model(recommender)
    if not folder.exists():
        return None
    return load_recommender(folder)
