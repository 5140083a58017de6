"""A model that was fitted with the library implicit, attached: alternating least squares, BPR or logistic MF.

The library itself is not needed. It saves a model as arrays, `model.save("als.npz")`, in the numbers of the matrix that
it was fitted to; two text files say which users and items these numbers are.
"""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Self

import numpy as np
import numpy.typing as npt
import polars as pl

from llmxrec.datasets.dataset import Histories
from llmxrec.errors import InputError
from llmxrec.recommenders.factors import Factors
from llmxrec.recommenders.protocol import UNWATCHED, Scores, Watch
from llmxrec.settings import Settings


class ImplicitSettings(Settings):
    """Where the model lies."""

    model: str
    """The file that `model.save` wrote."""
    users: str
    """A text file of user ids, one a line, in the order of the matrix's rows."""
    items: str
    """A text file of item ids, one a line, in the order of its columns."""


class Implicit(Factors):
    """Scores an item as implicit does: user factors · item factors (which hold biases where the model has any).

    `fit` learns nothing about who likes what: it takes the model's factors for the users and items of the histories.
    Users that the model does not know, and histories never seen, are folded in by a linear map (see `fold_in`). Items
    that it does not know score below all others.
    """

    name = "implicit"
    epochs = 0
    best_epoch = 0
    settings_type = ImplicitSettings

    def __init__(self, settings: ImplicitSettings) -> None:
        super().__init__(settings)

    def fit(self, train: Histories, watch: Watch = UNWATCHED) -> Self:
        """Raises InputError where the files are not a model and its ids, or know no user or no item of `train`."""
        of_users, of_items = _factors(Path(self.settings.model))
        user_rows = _rows(Path(self.settings.users), train.users, len(of_users), "users")
        item_rows = _rows(Path(self.settings.items), train.items, len(of_items), "items")
        known_users = np.flatnonzero(user_rows >= 0)
        self.user_factors = np.zeros((train.n_users, of_users.shape[1]), np.float32)
        self.user_factors[known_users] = of_users[user_rows[known_users]]
        self.item_vectors = np.zeros((train.n_items, of_items.shape[1]), np.float32)
        self.item_vectors[item_rows >= 0] = of_items[item_rows[item_rows >= 0]]
        self.fit_fold(train, known_users)
        strangers = np.flatnonzero(user_rows < 0)
        self.user_factors[strangers] = self.history_vectors([train.of(int(user)) for user in strangers])
        longest = float(np.linalg.norm(self.user_factors, axis=1).max() * np.linalg.norm(of_items, axis=1).max())
        self.biases = np.where(item_rows >= 0, 0.0, -2 * longest - 1).astype(np.float32)
        return self


def _factors(file: Path) -> tuple[Scores, Scores]:
    """The factors of users and of items. Nothing in the file is executed."""
    try:
        with file.open("rb") as opened, np.load(opened, allow_pickle=False) as arrays:
            found = {name: arrays[name] for name in ("user_factors", "item_factors") if name in arrays}
    except (OSError, ValueError, EOFError, AttributeError, zipfile.BadZipFile) as error:
        raise InputError(f"implicit's models are .npz files: {error}", file=file, cure="model.save(FILE)") from None
    users, items = (np.asarray(found.get(name, 0)) for name in ("user_factors", "item_factors"))
    if users.ndim != 2 or items.ndim != 2 or users.shape[1] != items.shape[1] or users.dtype.kind != "f":
        raise InputError(
            "a factor model of implicit (ALS, BPR, logistic MF) has user_factors and item_factors of one width",
            value=f"shapes {users.shape} and {items.shape}",
            cure="give what another model recommends as a file, with --recommender external",
            file=file,
        )
    return users.astype(np.float32), items.astype(np.float32)


def _rows(file: Path, ids: pl.Series, n_rows: int, what: str) -> npt.NDArray[np.int64]:
    """Of each of `ids` the model's row; -1 where the model does not know it."""
    try:
        named = file.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"the model's {what} are a text file of ids: {error}", file=file) from None
    if len(named) != n_rows or len(set(named)) != n_rows:
        distinct = len(set(named))
        raise InputError(
            f"the model knows {n_rows:,} {what}, each named on a line of its own",
            value=f"{len(named):,} lines, {distinct:,} of them different",
            file=file,
        )
    number = {name: row for row, name in enumerate(named)}
    rows = np.array([number.get(one, -1) for one in ids], np.int64)
    if not (rows >= 0).any():
        raise InputError(
            f"the model and the workspace share {what}", value=f"the model's first is {named[:1]}",
            cure="write the ids as your tables spell them", file=file,
        )  # fmt: skip
    return rows
