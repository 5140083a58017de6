"""RecBole's "atomic files" (Zhao et al., 2021): NAME.inter, NAME.item and NAME.user, with typed headers."""

from __future__ import annotations

from pathlib import Path

import polars as pl

from llmxrec.datasets.cleaning import assemble
from llmxrec.datasets.columns import as_microseconds, find, need, with_seconds
from llmxrec.datasets.dataset import Dataset, ReadReport
from llmxrec.datasets.domains import load_domain
from llmxrec.datasets.movielens import film_columns, user_columns
from llmxrec.datasets.tables import named_by_id, show_attributes, some_titles
from llmxrec.datasets.textfiles import LINE, existing_folder, numbers, read_delimited, read_lines
from llmxrec.errors import InputError

_TYPES = ("token", "token_seq", "float", "float_seq")


def read(source: Path) -> tuple[Dataset, ReadReport]:
    """Read the folder `source`, which holds one `.inter` file; `.item` and `.user` of the same name may be absent.

    MovieLens becomes what its original files become; of other datasets, columns keep their names, and the domain is
    "items", showing all of them. Vectors of items (float_seq) are no words and left out.
    Raises InputError for a file that is missing or breaks the format.
    """
    file = _interactions_file(existing_folder(source))
    rows, _ = _table(file)
    actions = [rows[need(name, rows.columns, {}, file)].alias(name) for name in ("user_id", "item_id")]
    if time := find("timestamp", rows.columns, {}):
        exact, _ = as_microseconds(numbers(rows, time, file))
        actions.append(exact.alias("timestamp"))
    if rating := find("rating", rows.columns, {}):
        actions.append(numbers(rows, rating, file).alias("rating"))
    interactions = with_seconds(pl.DataFrame(actions)) if time else pl.DataFrame(actions)
    read = {"interactions": interactions.height}
    notes: dict[str, int] = {}
    domain = load_domain("items")

    items = named_by_id(interactions)
    if (file := file.with_suffix(".item")).exists():
        items, films = _items(file)
        read["items"] = items.height
        if films:
            domain = load_domain("movies")
            items, notes = film_columns(items)
    users = None
    if (file := file.with_suffix(".user")).exists():
        rows, _ = _table(file)
        id_column = need("user_id", rows.columns, {}, file)
        users = rows.drop(LINE).rename({id_column: "user_id"})
        read["users"] = users.height
        if domain.name == "movies" and "gender" in users.columns:
            users = user_columns(users)
    if domain.name == "items":
        domain = show_attributes(domain, items, users)
    return assemble(source, domain, interactions, items, users, read=read, notes=notes)


def _interactions_file(folder: Path) -> Path:
    files = sorted(folder.glob("*.inter"))
    if len(files) != 1:
        held = ", ".join(file.name for file in files) or "none"
        raise InputError("the folder holds one .inter file", value=held, file=folder, cure="keep the one to read")
    return files[0]


def _table(file: Path) -> tuple[pl.DataFrame, dict[str, str]]:
    """The rows, and the type that the header gives each column."""
    header = next((lines[0] for _, lines in read_lines(file)), "")
    types: dict[str, str] = {}
    for field in header.split("\t"):
        name, _, kind = field.rpartition(":")
        if not name or name in types or name == LINE or kind not in _TYPES:
            raise InputError(
                f"the first line names the columns, each differently, as NAME:{'|'.join(_TYPES)}",
                value=field,
                file=file,
                line=1,
            )
        types[name] = kind
    return read_delimited(file, list(types), "\t", skip=1), types


def _items(file: Path) -> tuple[pl.DataFrame, bool]:
    """Items, whose sequences are lists, and whether they are MovieLens' films."""
    rows, types = _table(file)
    item = need("item_id", rows.columns, {}, file, "id")
    title = find("title", rows.columns, {}, *some_titles(rows.columns))
    films = title == "movie_title" and ("class" in types or "genres" in types)
    ours = {"class": "genres", "release_year": "year"} if films else {}
    ours = {theirs: name for theirs, name in ours.items() if name not in types}
    head = [pl.col(item).alias("item_id"), (pl.col(title) if title else pl.lit(None, pl.String)).alias("title")]
    attributes = [
        (pl.col(column).str.split(" ") if kind.endswith("_seq") else pl.col(column)).alias(ours.get(column, column))
        for column, kind in types.items()
        if column not in (item, title, "item_id", "title") and kind != "float_seq"
    ]
    return rows.select(*head, *attributes), films
