"""Stage 1: recommenders, the lists they recommend, and ranking metrics.

Recommendations made elsewhere need no class here: a table of user_id, item_id, rank and score takes this stage's place.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from llmxrec.lookup import resolve

if TYPE_CHECKING:
    from llmxrec.recommenders.protocol import Recommender

log = logging.getLogger(__name__)

RECOMMENDERS = {
    "bpr": "llmxrec.recommenders.bpr:BPR",
    "ease": "llmxrec.recommenders.ease:EASE",
    "implicit": "llmxrec.recommenders.implicit:Implicit",
    "lightgcn": "llmxrec.recommenders.lightgcn:LightGCN",
    "popularity": "llmxrec.recommenders.popularity:Popularity",
    "sasrec": "llmxrec.recommenders.sasrec:SASRec",
}
"""Every recommender by name. A class named here holds its model of settings in `settings_type`."""

FITTED_ELSEWHERE = {"implicit"}
"""Those that come fitted, to whatever it was: nothing can be held out of them any more."""


def make_recommender(name: str, settings: Mapping[str, Any] | None = None, seed: int = 1) -> Recommender:
    """The recommender called `name`, not fitted yet; `seed` is for those that draw, unless `settings` has one.

    Raises InputError for an unknown name or setting.
    """
    from llmxrec.settings import check

    recommender = resolve("recommender", name, RECOMMENDERS)
    values = dict(settings or {})
    if "seed" in recommender.settings_type.model_fields:
        values.setdefault("seed", seed)
    made: Recommender = recommender(check(recommender.settings_type, values, f"recommender {name}"))
    return made


def load_recommender(folder: Path) -> Recommender:
    """The fitted recommender saved in `folder`, whichever of RECOMMENDERS it is. Raises InputError where it is none."""
    from llmxrec.recommenders.storage import read_name

    loaded: Recommender = resolve("recommender", read_name(folder), RECOMMENDERS).load(folder)
    log.info("loaded the recommender %s from %s", loaded.name, folder)
    return loaded
