"""MovieLens 100K in its original files (Harper and Konstan, 2015): u.data, u.item, u.genre, u.user."""

from __future__ import annotations

from pathlib import Path

import polars as pl

from llmxrec.datasets.cleaning import assemble
from llmxrec.datasets.dataset import Dataset, ReadReport
from llmxrec.datasets.domains import load_domain
from llmxrec.datasets.textfiles import LINE, existing_folder, numbers, present, read_delimited, whole_numbers
from llmxrec.datasets.titles import display_title
from llmxrec.errors import InputError

_ITEM_COLUMNS = ("item_id", "title", "release_date", "video_release_date", "imdb_url")
_NO_GENRE = ("unknown", "(no genres listed)")
_GENDERS = {"M": "male", "F": "female"}


def read(source: Path) -> tuple[Dataset, ReadReport]:
    """Read the folder `source`. Files are latin-1, times are UTC.

    Raises InputError for a file that is missing or breaks the format.
    """
    folder = existing_folder(source)
    ratings = _ratings(folder / "u.data")
    films = _films(folder / "u.item", _genres(folder / "u.genre"))
    users = _users(folder / "u.user")
    items, notes = film_columns(films)
    read = {"ratings": ratings.height, "films": films.height, "users": users.height}
    return assemble(source, load_domain("movies"), ratings, items, users, read=read, notes=notes)


def film_columns(films: pl.DataFrame) -> tuple[pl.DataFrame, dict[str, int]]:
    """Films with a display title, the title as the source spells it, a year, and no genre that means none.

    `films` holds item_id and title; `year` (String) counts where it is four digits, else the year in the title does;
    `genres` (a list, or text with "|" between) and other columns may be there. Also returns what is worth a note.
    """
    parts = [("", None) if title is None else display_title(title) for title in films["title"].to_list()]
    titles = pl.Series("title", [title for title, _ in parts], dtype=pl.String)
    years = pl.Series([year for _, year in parts], dtype=pl.String)
    if films.schema.get("genres") == pl.String:
        films = films.with_columns(pl.col("genres").str.split("|"))
    genres = pl.col("genres") if "genres" in films.columns else pl.lit([], pl.List(pl.String))
    given = pl.col("year") if films.schema.get("year") == pl.String else pl.lit(None, pl.String)
    none = genres.list.eval(pl.element().is_in(_NO_GENRE)).list.any()
    out = films.select(
        "item_id",
        titles,
        pl.col("title").alias("original_title"),
        genres.list.eval(pl.element().filter(~pl.element().is_in(_NO_GENRE))).alias("genres"),
        pl.coalesce(pl.when(given.str.contains(r"^\d{4}$")).then(given), years).alias("year"),
        pl.exclude("item_id", "title", "original_title", "genres", "year"),
    )
    notes = {
        "films whose genre is given as unknown": int(films.select(none.fill_null(False).sum()).item() or 0),
        "films without a year": out["year"].null_count(),
    }
    return out, notes


def user_columns(users: pl.DataFrame) -> pl.DataFrame:
    """Users with their gender in words."""
    return users.with_columns(pl.col("gender").replace(_GENDERS))


def _ratings(file: Path) -> pl.DataFrame:
    rows = read_delimited(file, ("user_id", "item_id", "rating", "timestamp"), "\t", encoding="latin-1")
    for column in ("user_id", "item_id"):
        present(rows, column, file)
    return rows.select(
        "user_id",
        "item_id",
        whole_numbers(rows, "timestamp", file, required=True),
        numbers(rows, "rating", file, required=True),
    )


def _genres(file: Path) -> list[str]:
    """Genre names in the order of their columns in u.item."""
    rows = read_delimited(file, ("genre", "number"), "|", encoding="latin-1")
    places = rows.select("genre", whole_numbers(present(rows, "genre", file), "number", file, required=True))
    places = places.sort("number")
    if places["number"].to_list() != list(range(places.height)) or places["genre"].is_duplicated().any():
        raise InputError("genres are different names, numbered from 0 without a gap", file=file)
    return places["genre"].to_list()


def _films(file: Path, genres: list[str]) -> pl.DataFrame:
    flags = [f"#{genre}" for genre in genres]
    rows = read_delimited(file, (*_ITEM_COLUMNS, *flags), "|", encoding="latin-1")
    present(rows, "item_id", file)
    for flag in flags:
        wrong = rows.filter(~pl.col(flag).is_in(("0", "1"))).head(1)
        if wrong.height:
            raise InputError(f"a genre is 0 or 1 ({flag[1:]})", value=wrong[flag][0], file=file, line=wrong[LINE][0])
    named = [pl.when(pl.col(flag) == "1").then(pl.lit(genre)) for flag, genre in zip(flags, genres, strict=True)]
    lists = pl.concat_list(named).list.drop_nulls() if named else pl.lit([], pl.List(pl.String))
    return rows.select("item_id", "title", lists.alias("genres"), "release_date")


def _users(file: Path) -> pl.DataFrame:
    rows = read_delimited(file, ("user_id", "age", "gender", "occupation", "zip_code"), "|", encoding="latin-1")
    return user_columns(present(rows, "user_id", file).drop(LINE))
