"""A dataset: who interacted with what, what the items and users are, and in which domain's words."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from llmxrec.datasets.domains import load_domain, save_domain
from llmxrec.errors import InputError
from llmxrec.records import Domain, Item, User

INTERACTION_COLUMNS = {
    "user_id": pl.String,
    "item_id": pl.String,
    "timestamp": pl.Int64,
    "rating": pl.Float64,
}


@dataclass(frozen=True)
class ReadReport:
    """What a reader read, what it left out and why, and what else is worth knowing: name -> count."""

    source: str
    read: Mapping[str, int]
    dropped: Mapping[str, int] = field(default_factory=dict)
    notes: Mapping[str, int] = field(default_factory=dict)

    def lines(self) -> list[str]:
        """The report for people, a line each."""
        out = [f"read {count:,} {what}" for what, count in self.read.items()]
        out += [f"dropped {count:,} {why}" for why, count in self.dropped.items() if count]
        out += [f"note: {count:,} {what}" for what, count in self.notes.items() if count]
        return out


@dataclass(frozen=True)
class Dataset:
    """Interactions, items and users as tables, with the words of their domain.

    `interactions`: user_id, item_id (strings), timestamp (Int64 unix seconds, nullable), rating (Float64,
    nullable); a (user, item) pair occurs once; rows keep the order of the source, which decides between equal times.
    `items`: item_id, title (display title), then attributes; String, or List(String) where there are several.
    `users`: user_id, then attributes (String). Every interaction has its item in `items` and its user in `users`.
    """

    interactions: pl.DataFrame
    items: pl.DataFrame
    users: pl.DataFrame
    domain: Domain

    def save(self, folder: Path) -> None:
        """Write Parquet and TOML files to `folder`, made if absent."""
        folder.mkdir(parents=True, exist_ok=True)
        for name in ("interactions", "items", "users"):
            getattr(self, name).write_parquet(folder / f"{name}.parquet", statistics=False)
        save_domain(self.domain, folder / "domain.toml")

    @classmethod
    def load(cls, folder: Path) -> Dataset:
        """Read what `save` wrote. Raises InputError where a file is missing."""
        tables: dict[str, Any] = {}
        for name in ("interactions", "items", "users"):
            file = folder / f"{name}.parquet"
            if not file.exists():
                raise InputError(
                    f"a workspace holds dataset/{name}.parquet", value=str(file), cure="make it with: llmxrec init"
                )
            try:
                tables[name] = pl.read_parquet(file, glob=False)
            except pl.exceptions.PolarsError as error:
                raise InputError(f"a dataset's tables are Parquet: {error}", file=file) from None
        return cls(**tables, domain=load_domain(folder / "domain.toml"))

    @cached_property
    def item_records(self) -> list[Item]:
        """All items as records, in the order of `items`; attributes are those the domain shows."""
        columns = [c for c in self.domain.item_attributes if c in self.items.columns]
        values = [self.items[c].to_list() for c in columns]
        rows = zip(*values, strict=True) if columns else ((),) * self.items.height
        return [
            Item(item_id, title, _attributes(columns, row))
            for item_id, title, row in zip(
                self.items["item_id"].to_list(), self.items["title"].to_list(), rows, strict=True
            )
        ]

    def user_records(self, user_ids: list[str]) -> list[User]:
        """These users as records, in this order; users the table does not hold have no attributes."""
        columns = [c for c in self.domain.user_attributes if c in self.users.columns]
        wanted = pl.DataFrame({"user_id": pl.Series(user_ids, dtype=pl.String)})
        found = wanted.join(self.users.select("user_id", *columns), on="user_id", how="left", maintain_order="left")
        return [
            User(row[0], {c: str(v) for c, v in zip(columns, row[1:], strict=True) if v is not None and str(v) != ""})
            for row in found.iter_rows()
        ]


def _attributes(columns: list[str], row: tuple[Any, ...]) -> dict[str, tuple[str, ...]]:
    out: dict[str, tuple[str, ...]] = {}
    for column, value in zip(columns, row, strict=True):
        values = value if isinstance(value, list) else [value]
        kept = tuple(str(v) for v in values if v is not None and str(v) != "")
        if kept:
            out[column] = kept
    return out


@dataclass(frozen=True)
class Histories:
    """Who interacted with what, as integers, oldest first: what recommenders read.

    User `u` is `users[u]`; their items are `item_index[offsets[u]:offsets[u + 1]]`, rows of the item table;
    `items[i]` is the id of row `i`. Items nobody touched have a row too.
    """

    users: pl.Series
    items: pl.Series
    offsets: npt.NDArray[np.int64]
    item_index: npt.NDArray[np.int32]

    @property
    def n_users(self) -> int:
        return len(self.users)

    @property
    def n_items(self) -> int:
        return len(self.items)

    def __len__(self) -> int:
        """The number of interactions."""
        return len(self.item_index)

    def of(self, user: int) -> npt.NDArray[np.int32]:
        """The items of user number `user`, oldest first."""
        return self.item_index[self.offsets[user] : self.offsets[user + 1]]

    @cached_property
    def user_index(self) -> npt.NDArray[np.int32]:
        """The user of each interaction, in the order of `item_index`."""
        return np.repeat(np.arange(self.n_users, dtype=np.int32), np.diff(self.offsets))

    @cached_property
    def sorted_items(self) -> npt.NDArray[np.int32]:
        """Each user's items in rising order, within `offsets`."""
        keys = self.user_index.astype(np.int64) * self.n_items + self.item_index
        keys.sort()
        keys -= self.user_index.astype(np.int64) * self.n_items
        return keys.astype(np.int32)

    @classmethod
    def build(cls, interactions: pl.DataFrame, users: pl.Series, items: pl.Series) -> Histories:
        """From `interactions` (see Dataset), for `users` and `items` in the order given.

        Within a user, rows are ordered by time, undated ones first, equal times by their place in the table.
        Rows of users or items that are not listed are left out.
        """
        user_rows = pl.DataFrame({"user_id": users, "u": np.arange(len(users), dtype=np.int64)})
        item_rows = pl.DataFrame({"item_id": items, "i": np.arange(len(items), dtype=np.int32)})
        rows = (
            interactions.lazy()
            .select("user_id", "item_id", "timestamp")
            .join(user_rows.lazy(), on="user_id", maintain_order="left")
            .join(item_rows.lazy(), on="item_id", maintain_order="left")
            .select("u", "i", "timestamp")
            .sort("u", "timestamp", nulls_last=False, maintain_order=True)
            .select("u", "i")
            .collect()
        )
        counts = np.bincount(rows["u"].to_numpy(), minlength=len(users)).astype(np.int64)
        offsets = np.concatenate([np.zeros(1, np.int64), np.cumsum(counts)])
        return cls(users, items, offsets, np.ascontiguousarray(rows["i"].to_numpy(), dtype=np.int32))
