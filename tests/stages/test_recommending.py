"""What a recommender left behind when it was killed is never taken for what it would have written."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import polars as pl
import pytest
from tests.worlds import small_dataset

from llmxrec.errors import InputError
from llmxrec.recommenders.popularity import Popularity as Popularity
from llmxrec.stages import recommending
from llmxrec.stages.recommending import is_trained, recommend
from llmxrec.stored import read_recommendations
from llmxrec.workspace import Workspace


def killed(*_: Any, **__: Any) -> None:
    raise KeyboardInterrupt


def trained(place: Workspace, k: int) -> bool:
    return is_trained(place, "popularity", {}, k=k, hold_out=False, seed=1)


@pytest.mark.parametrize(
    ("owner", "step"),
    [
        (Popularity, "save"),
        (recommending, "write_recommendations"),
        (Workspace, "note"),
        (pl.DataFrame, "write_parquet"),
    ],
)
def test_killed_anywhere_it_is_not_taken_for_done(
    owner: Any, step: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = Workspace(tmp_path)
    small_dataset().save(place.dataset)
    recommend(place, "popularity", k=2, hold_out=False)
    assert trained(place, 2) and not trained(place, 1)
    with monkeypatch.context() as patch:
        patch.setattr(owner, step, killed)
        with pytest.raises(KeyboardInterrupt):
            recommend(place, "popularity", k=1, hold_out=False)
    assert not trained(place, 1) and not trained(place, 2)
    with pytest.raises(InputError, match="llmxrec recommend"):
        read_recommendations(place, "popularity")
    recommend(place, "popularity", k=1, hold_out=False)
    assert trained(place, 1) and set(read_recommendations(place, "popularity")["rank"]) == {1}
