"""Tables that are written where something is measured: their columns, and what is no longer true in them."""

from __future__ import annotations

from contextlib import suppress

import polars as pl

from llmxrec.errors import InputError
from llmxrec.reports.attributes import TABLE_3
from llmxrec.reports.faithfulness import FAITHFULNESS
from llmxrec.reports.people import FAIRNESS, IDENTIFIABILITY
from llmxrec.reports.tables import replace_rows
from llmxrec.workspace import Workspace

MEASURED = {
    "table3": TABLE_3,
    "faithfulness": FAITHFULNESS,
    "identifiability": IDENTIFIABILITY,
    "fairness": FAIRNESS,
}
"""Names of the tables, as sheets and files have them -> their columns."""


def forget(workspace: Workspace, recommender: str) -> None:
    """Remove from all tables of MEASURED what was measured of `recommender`: it recommends something else now."""
    for name, schema in MEASURED.items():
        if (file := workspace.table(name)).exists():
            with suppress(InputError):  # a table of somebody else's tells nothing that was measured here
                replace_rows(file, schema, pl.DataFrame(schema=schema), pl.col("recommender") == recommender)
