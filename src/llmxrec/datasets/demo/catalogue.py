"""The films of the demo.

`films.csv` was typed for this project as facts (display title, year of the first public showing, genres); no other
dataset lies behind it. Genres are a matter of opinion: one to three of `GENRES` per film, the plainest ones.
"""

from __future__ import annotations

from importlib import resources

import polars as pl

GENRES = (
    "Action",
    "Adventure",
    "Animation",
    "Comedy",
    "Crime",
    "Documentary",
    "Drama",
    "Family",
    "Fantasy",
    "History",
    "Horror",
    "Music",
    "Mystery",
    "Romance",
    "Science Fiction",
    "Thriller",
    "War",
    "Western",
)


def films() -> pl.DataFrame:
    """The catalogue, oldest film first: item_id, title, year (String), genres (List(String), alphabetical)."""
    content = resources.files("llmxrec.datasets.demo").joinpath("films.csv").read_bytes()
    return pl.read_csv(content, infer_schema=False).with_columns(pl.col("genres").str.split("|"))
