"""Steam's games and reviews as McAuley's laboratory published them (Kang and McAuley, 2018; Pathak et al., 2017).

The folder holds `steam_games.json` and one of `steam_reviews.json` (a review per line) and
`australian_user_reviews.json` (a user per line), each also as `.json.gz`. Lines are Python literals or JSON.
"""

from __future__ import annotations

import html
import math
import re
from collections import Counter
from pathlib import Path
from typing import Any

import polars as pl

from llmxrec.datasets.cleaning import assemble
from llmxrec.datasets.dataset import Dataset, ReadReport
from llmxrec.datasets.domains import load_domain
from llmxrec.datasets.literals import flat_fields, quiet_literals, read_object, text, unescape
from llmxrec.datasets.textfiles import existing_folder, one_of, read_lines
from llmxrec.errors import InputError
from llmxrec.progress import progress

_TEXTS = ("developer", "publisher", "release_date", "sentiment", "metascore")
_LISTS = ("genres", "tags", "specs")
_REVIEW = ("username", "product_id", "date")
_REVIEWS = pl.Schema({"user_id": pl.String, "item_id": pl.String, "date": pl.String, "rating": pl.Float64})
_APP = re.compile(r"/app/(\d+)")
_AMOUNT = re.compile(r"\d[\d,]*(?:\.\d+)?")


def read(source: Path) -> tuple[Dataset, ReadReport]:
    """Read the folder `source`. Who reviewed a game interacted with it; rating is 1 where they recommend it, 0 where
    they do not, null where the file does not say. Days count from midnight, UTC. Steam names no year in the reviews of
    the running one, so those are of the year after the newest review that names its year; undated where none does.

    A game without an id takes the one in its address; without a title, its name in the app. Raises InputError for a
    file that is missing, or a line that is no object.
    """
    folder = existing_folder(source)
    games_file = one_of(folder, ("steam_games.json.gz", "steam_games.json"))
    kinds = ("steam_reviews.json", "australian_user_reviews.json")
    reviews_file = one_of(folder, [name + ending for name in kinds for ending in (".gz", "")])
    notes: Counter[str] = Counter()
    dropped: Counter[str] = Counter()
    with quiet_literals():
        games, lines = _games(games_file, dropped, notes)
        reviews = _reviews(reviews_file, notes)
    read = {"games": lines, "reviews": reviews.height}
    return assemble(source, load_domain("games"), reviews, games, read=read, dropped=dropped, notes=notes)


def price_words(price: Any) -> str | None:
    """A price as "free" or an amount in dollars with two decimals; None where it names no amount.

    >>> [price_words(price) for price in (4.99, 0, "Free To Play", "Starting at $499.00", "Play the Demo")]
    ['4.99', 'free', 'free', '499.00', None]
    """
    if isinstance(price, str):
        if re.search(r"\bfree\b", price, re.I):
            return "free"
        amount = _AMOUNT.search(price)
        price = float(amount[0].replace(",", "")) if amount else None
    if isinstance(price, bool) or not isinstance(price, int | float) or not math.isfinite(price) or price < 0:
        return None
    return f"{price:.2f}" if price else "free"


def _games(file: Path, dropped: Counter[str], notes: Counter[str]) -> tuple[pl.DataFrame, int]:
    """Items, and the number of lines they were read from."""
    rows: list[dict[str, Any]] = []
    lines = 0
    for first, block in read_lines(file):
        for number, line in enumerate(block, first):
            if not line.strip():
                continue
            lines += 1
            game = _game(read_object(line, file, number), notes)
            if game["item_id"]:
                rows.append(game)
            else:
                dropped["games without an id"] += 1
    schema = dict.fromkeys(("item_id", "title", *_TEXTS, "price"), pl.String) | dict.fromkeys(
        _LISTS, pl.List(pl.String)
    )
    return pl.DataFrame(rows, schema=schema).select("item_id", "title", *_LISTS, "price", *_TEXTS), lines


def _game(line: dict[str, Any], notes: Counter[str]) -> dict[str, Any]:
    game: dict[str, Any] = {name: _readable(line.get(name)) for name in _TEXTS}
    for name in _LISTS:
        values = line.get(name)
        game[name] = [_readable(value) for value in values] if isinstance(values, list) else []
    game["item_id"] = text(line.get("id"))
    if not game["item_id"] and (app := _APP.search(text(line.get("url")) or "")):
        game["item_id"] = app[1]
        notes["games whose id was taken from their address"] += 1
    game["title"] = _readable(line.get("title")) or _readable(line.get("app_name"))
    game["price"] = price_words(line.get("price"))
    notes["prices that name no amount, left out"] += line.get("price") is not None and game["price"] is None
    for name, pattern, note in (
        ("release_date", r"\d{4}-\d{2}-\d{2}", "release dates that are no date, left out"),
        ("metascore", r"\d+", "metascores that are no number, left out"),
        ("sentiment", r"\D+", "sentiments that only count reviews, left out"),
    ):
        if game[name] and not re.fullmatch(pattern, game[name]):
            game[name] = None
            notes[note] += 1
    return game


def _readable(value: Any) -> str | None:
    """Text without the escapes of Python (\\u2122) and HTML (&amp;, at times twice over) that the source has left."""
    found = text(value)
    if found and "&" in found:
        found = html.unescape(html.unescape(found))
    return unescape(found) if found else found


def _reviews(file: Path, notes: Counter[str]) -> pl.DataFrame:
    """Interactions, a block of lines at a time, so that a file of millions of reviews needs little memory."""
    blocks = [_dated(pl.DataFrame(schema=_REVIEWS), notes)]
    with progress(f"reading {file.name}", None, "lines") as advance:
        for first, block in read_lines(file):
            rows = [
                review
                for number, line in enumerate(block, first)
                if line.strip()
                for review in _reviews_of(line, file, number)
            ]
            blocks.append(_dated(pl.DataFrame(rows, schema=_REVIEWS, orient="row"), notes))
            advance(len(block))
    return _with_years(pl.concat(blocks), notes)


def _reviews_of(line: str, file: Path, number: int) -> list[tuple[str | None, str | None, str | None, float | None]]:
    """(user, game, date, rating) of the review on this line, or of all reviews of the user on this line."""
    fields = flat_fields(line, _REVIEW) or read_object(line, file, number)
    if "reviews" not in fields:
        return [(text(fields.get("username")), text(fields.get("product_id")), text(fields.get("date")), None)]
    reviews = fields["reviews"]
    if not isinstance(reviews, list) or not all(isinstance(review, dict) for review in reviews):
        raise InputError("'reviews' is a list of objects", value=reviews, file=file, line=number)
    user = text(fields.get("user_id"))
    return [(user, text(r.get("item_id")), text(r.get("posted")), _rating(r.get("recommend"))) for r in reviews]


def _rating(recommend: Any) -> float | None:
    return float(recommend) if isinstance(recommend, bool) else None


def _dated(reviews: pl.DataFrame, notes: Counter[str]) -> pl.DataFrame:
    """With `timestamp` and `leap_day` for `date`, which reads "2017-12-24", "Posted December 24, 2017." or "Posted
    December 24."; the last, which names no year, has no timestamp but its day in the year 2000."""
    date = pl.col("date").str.strip_chars().str.replace(r".*\+.*", "")  # signs lead to years that no calendar has
    posted = "Posted %B %d, %Y."
    day = pl.coalesce(date.str.to_date("%Y-%m-%d", strict=False), date.str.to_date(posted, strict=False))
    yearless = date.str.extract(r"^(Posted \p{L}+ \d{1,2})\.?$") + ", 2000."
    dated = reviews.with_columns(
        day.dt.epoch("s").alias("timestamp"), yearless.str.to_date(posted, strict=False).alias("leap_day")
    )
    unread = dated.select((pl.col("timestamp").is_null() & pl.col("leap_day").is_null()).sum()).item()
    notes["reviews without a date that can be read, kept undated"] += unread
    return dated.drop("date")


def _with_years(reviews: pl.DataFrame, notes: Counter[str]) -> pl.DataFrame:
    """With the `leap_day` of reviews that name no year as a timestamp in the year after the newest that do."""
    without = reviews.height - reviews["leap_day"].null_count()
    newest = reviews.select(pl.from_epoch("timestamp").dt.year().max()).item()
    if newest is not None:
        year = newest + 1
        leap_day = pl.col("leap_day")
        day = leap_day.dt.offset_by(f"{year - 2000}y")
        real = day.dt.day() == leap_day.dt.day()  # 29 February is moved to the 28th in most years
        undated = reviews["timestamp"].null_count()
        reviews = reviews.with_columns(pl.coalesce("timestamp", pl.when(real).then(day.dt.epoch("s"))))
        taken = undated - reviews["timestamp"].null_count()
        notes[f"reviews dated without a year, taken to be of {year}"] += taken
        without -= taken
    notes["reviews dated without a year, kept undated"] += without
    return reviews.drop("leap_day")
