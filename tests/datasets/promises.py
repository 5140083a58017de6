"""What every reader promises of its dataset."""

from __future__ import annotations

import unicodedata

import polars as pl

from llmxrec.datasets.dataset import INTERACTION_COLUMNS, Dataset


def keeps_promises(dataset: Dataset) -> bool:
    """Fails at the first promise of `Dataset` that is broken."""
    interactions, items, users = dataset.interactions, dataset.items, dataset.users
    assert dict(interactions.schema) == INTERACTION_COLUMNS
    assert not interactions.is_empty()
    assert not interactions.select(pl.struct("user_id", "item_id").is_duplicated().any()).item()
    assert interactions["rating"].is_finite().all()
    assert items.columns[:2] == ["item_id", "title"] and users.columns[0] == "user_id"
    for table, key in ((items, "item_id"), (users, "user_id")):
        assert table[key].is_unique().all() and (table[key] != "").all() and table[key].null_count() == 0
        assert interactions.join(table, on=key, how="anti").is_empty()
    assert items["title"].null_count() == 0
    for table in (items, users):
        for name, dtype in table.schema.items():
            assert dtype in (pl.String, pl.List(pl.String)), name
            if not name.endswith("_id"):
                values = table[name].explode() if dtype == pl.List(pl.String) else table[name]
                assert all(_is_one_line(value) for value in values.drop_nulls()), name
    assert all(dtype == pl.String for dtype in users.dtypes)
    assert len(dataset.item_records) == items.height
    return True


def _is_one_line(text: str) -> bool:
    return text == " ".join(text.split()) and not any(unicodedata.category(c) in ("Cc", "Zl", "Zp") for c in text)
