"""The demo: real films, written well; made-up people, the same everywhere; and something for a recommender to find."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import numpy.typing as npt
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llmxrec.datasets.dataset import INTERACTION_COLUMNS, Dataset, Histories
from llmxrec.datasets.demo.catalogue import GENRES, films
from llmxrec.datasets.demo.simulation import DAYS, FEWEST, MOST, START, read, simulate
from llmxrec.errors import InputError

ARTICLES = ("The", "A", "An", "La", "Le", "Les", "L'", "Il", "El", "Das", "Der", "Die")


@pytest.fixture(scope="module")
def items() -> pl.DataFrame:
    return films()


@pytest.fixture(scope="module")
def demo() -> Dataset:
    return simulate()[0]


# The films


def test_every_film_has_an_id_and_a_title_of_its_own(items: pl.DataFrame) -> None:
    assert items.schema == {"item_id": pl.String, "title": pl.String, "year": pl.String, "genres": pl.List(pl.String)}
    assert items.null_count().sum_horizontal().item() == 0
    assert items["item_id"].to_list() == [f"f{k:03d}" for k in range(1, items.height + 1)]
    assert items["title"].str.to_lowercase().is_unique().all()  # so a title alone says which film is meant
    assert items.height >= 400


def test_titles_are_written_as_on_a_poster(items: pl.DataFrame) -> None:
    for title in items["title"].to_list():
        assert title == " ".join(title.split()) != "" and title.isprintable()
        assert not title.endswith(tuple(f", {article}" for article in ARTICLES)), title
        assert "(19" not in title and "(20" not in title, title  # the year has its own column


def test_years_run_in_order_from_the_silent_era_to_the_year_before_the_simulation(items: pl.DataFrame) -> None:
    years = items["year"].cast(pl.Int64)
    assert items["year"].str.contains(r"^\d{4}$").all()
    assert years.is_sorted() and 1895 <= years[0] < 1930 and years[-1] == 2024
    assert (years // 10).n_unique() == 11  # no decade is missing


def test_genres_are_from_the_list_and_none_is_rare_or_everywhere(items: pl.DataFrame) -> None:
    for genres in items["genres"].to_list():
        assert 1 <= len(genres) <= 4 and genres == sorted(set(genres)) and set(genres) <= set(GENRES)
    counts = dict(items["genres"].explode().value_counts().iter_rows())
    assert set(counts) == set(GENRES) and list(GENRES) == sorted(GENRES)
    assert min(counts.values()) >= 25 and max(counts.values()) < 0.4 * items.height


def test_some_films_that_are_easily_got_wrong(items: pl.DataFrame) -> None:
    known = {title: (year, genres) for title, year, genres in items.select("title", "year", "genres").iter_rows()}
    assert known["1917"] == ("2019", ["Drama", "War"])
    assert known["2001: A Space Odyssey"][0] == "1968"
    assert known["20,000 Leagues Under the Sea"][0] == "1954"
    assert known["The Good, the Bad and the Ugly"] == ("1966", ["Adventure", "Western"])
    assert {"M", "8½", "It", "Amélie", "(500) Days of Summer", "tick, tick... BOOM!"} <= set(known)


# The tables


def test_the_tables_keep_the_rules_of_a_dataset(demo: Dataset) -> None:
    rows = demo.interactions
    assert dict(rows.schema) == INTERACTION_COLUMNS
    assert dict(demo.users.schema) == dict.fromkeys(["user_id", "age", "gender", "occupation"], pl.String)
    assert rows.null_count().sum_horizontal().item() == demo.users.null_count().sum_horizontal().item() == 0
    assert rows.select("user_id", "item_id").is_unique().all()
    assert rows["item_id"].is_in(demo.items["item_id"].implode()).all()
    assert demo.users["user_id"].to_list() == [f"u{k:03d}" for k in range(1, 301)]
    assert rows["user_id"].unique(maintain_order=True).to_list() == demo.users["user_id"].to_list()
    assert set(rows["rating"]) == {1.0, 2.0, 3.0, 4.0, 5.0}
    assert demo.item_records[0].attributes == {"genres": ("Horror", "Mystery"), "year": ("1920",)}
    assert set(demo.user_records(["u001"])[0].attributes) == {"age", "gender", "occupation"}


def test_a_person_watches_a_few_dozen_films_one_an_evening(demo: Dataset) -> None:
    for person in demo.interactions.partition_by("user_id"):
        seconds = person["timestamp"].to_numpy() - START
        assert FEWEST <= person.height <= MOST
        assert (np.diff(seconds // 86_400) >= 1).all() and seconds[0] >= 0 and seconds[-1] < DAYS * 86_400
        assert ((seconds % 86_400 >= 18 * 3600) & (seconds % 86_400 < 23 * 3600)).all()


def test_saved_equals_loaded(tmp_path: Path) -> None:
    made, _ = simulate(users=3)
    made.save(tmp_path)
    loaded = Dataset.load(tmp_path)
    assert loaded.interactions.equals(made.interactions) and loaded.users.equals(made.users)
    assert loaded.items.equals(made.items) and loaded.domain == made.domain


def test_the_report_counts_what_is_there(demo: Dataset) -> None:
    made, report = read()
    assert made.interactions.equals(demo.interactions)
    assert list(report.read.values()) == [demo.interactions.height, demo.items.height, 300]
    assert not report.dropped


def test_what_makes_no_sense_is_refused() -> None:
    with pytest.raises(InputError, match=r"reads no source; found 'u\.data'"):
        read(Path("u.data"))
    with pytest.raises(InputError, match="at least one person; found 0"):
        simulate(users=0)


# The same everywhere


def test_the_same_seed_gives_the_same_rows_on_every_machine(demo: Dataset) -> None:
    # If the films or the simulation were changed on purpose, take the new digest.
    text = demo.users.write_csv() + demo.interactions.write_csv()
    assert hashlib.sha256(text.encode()).hexdigest()[:16] == "7ff420e95abc111f"


def test_another_seed_gives_other_people_and_other_hits(demo: Dataset) -> None:
    other, _ = simulate(seed=2)
    assert not other.users.equals(demo.users)
    assert set(most_watched(other)) != set(most_watched(demo))


@settings(deadline=None, max_examples=15)
@given(st.integers(1, 12), st.integers(-1, 2**63))
def test_a_person_does_not_depend_on_how_many_there_are(users: int, seed: int) -> None:
    few, many = simulate(users, seed)[0], simulate(13, seed)[0]
    assert few.users.equals(many.users.head(users))
    assert few.interactions.equals(many.interactions.head(few.interactions.height))
    assert many.interactions["user_id"][few.interactions.height] == f"u{users + 1:03d}"


def test_fifty_people_are_the_first_fifty(demo: Dataset) -> None:
    fifty, _ = simulate(users=50)
    first = demo.interactions.join(fifty.users.select("user_id"), on="user_id", maintain_order="left")
    assert first.equals(fifty.interactions)


# Something to find


def most_watched(dataset: Dataset) -> list[str]:
    """Ids of the ten films that most people watched."""
    counts = dataset.interactions.group_by("item_id").len().sort(pl.col("len"), "item_id", descending=True)
    return counts["item_id"].head(10).to_list()


def genres_by_row(dataset: Dataset) -> npt.NDArray[np.bool_]:
    """(interactions, GENRES): whether the film has the genre."""
    rows = dataset.interactions.join(dataset.items, on="item_id", maintain_order="left")
    return np.array([[genre in film for genre in GENRES] for film in rows["genres"].to_list()])


def by_person(dataset: Dataset) -> list[npt.NDArray[np.int64]]:
    """For each person, the numbers of their rows, oldest first."""
    index = dataset.interactions.with_row_index("row").group_by("user_id", maintain_order=True).agg("row")
    return [np.array(rows) for rows in index["row"].to_list()]


def test_people_go_on_watching_and_liking_their_genre(demo: Dataset) -> None:
    genres, rating = genres_by_row(demo), demo.interactions["rating"].to_numpy()
    share = genres.mean(axis=0)
    kept, chance, better = [], [], []
    for rows in by_person(demo):
        first, second = rows[0::2], rows[1::2]
        favourite = np.argmax(genres[first].mean(axis=0) / share)  # judged by every other film, tested on the rest
        kept.append(genres[second, favourite].mean())
        chance.append(share[favourite])
        if 0 < genres[second, favourite].sum() < len(second):
            has = genres[second, favourite]
            better.append(rating[second][has].mean() - rating[second][~has].mean())
    assert np.mean(kept) > 2 * np.mean(chance)
    assert np.mean(better) > 0.4


def test_tastes_move_through_the_year(demo: Dataset) -> None:
    genres = genres_by_row(demo)
    last_like_before, last_like_first = [], []
    for rows in by_person(demo):
        last = genres[rows[-5:]].mean(axis=0)
        last_like_before.append(last @ genres[rows[-10:-5]].mean(axis=0))
        last_like_first.append(last @ genres[rows[:5]].mean(axis=0))
    assert np.mean(last_like_before) > 1.3 * np.mean(last_like_first)


def test_few_films_have_many_viewers_and_many_have_few(demo: Dataset) -> None:
    viewers = np.sort(demo.interactions["item_id"].value_counts()["count"].to_numpy())[::-1]
    tenth = demo.items.height // 10
    assert viewers[:tenth].sum() > 0.25 * viewers.sum()
    assert viewers[0] > 4 * np.median(viewers)
    assert viewers[0] < 0.6 * demo.users.height  # nothing that everybody has seen


def test_attributes_leave_traces(demo: Dataset) -> None:
    genres = genres_by_row(demo)
    rows = demo.interactions.join(demo.items, on="item_id", maintain_order="left")
    year = rows["year"].cast(pl.Float64).to_numpy()
    people = by_person(demo)
    age = demo.users["age"].cast(pl.Float64).to_numpy()
    assert np.corrcoef(age, [year[mine].mean() for mine in people])[0, 1] < -0.3

    documentary = np.array([genres[mine, GENRES.index("Documentary")].mean() for mine in people])
    comedy = np.array([genres[mine, GENRES.index("Comedy")].mean() for mine in people])
    likely = demo.users["occupation"].is_in(["musician", "scientist"]).to_numpy()
    assert documentary[likely].mean() > 1.5 * documentary[~likely].mean()
    male = (demo.users["gender"] == "male").to_numpy()
    assert 1.1 < comedy[male].mean() / comedy[~male].mean() < 2  # a trace, no more


def test_an_item_item_model_beats_popularity_at_the_last_film(demo: Dataset) -> None:
    histories = Histories.build(demo.interactions, demo.users["user_id"], demo.items["item_id"])
    seen = np.zeros((histories.n_users, histories.n_items))
    last = np.zeros(histories.n_users, dtype=np.int64)
    for u in range(histories.n_users):
        *before, last[u] = histories.of(u)
        seen[u, before] = 1
    # EASE (Steck 2019): a linear item-item model in closed form.
    inverse = np.linalg.inv(seen.T @ seen + 80 * np.eye(histories.n_items))
    weights = -inverse / np.diag(inverse)
    np.fill_diagonal(weights, 0)
    popularity = np.tile(seen.sum(axis=0), (histories.n_users, 1))
    assert ndcg(seen @ weights, seen, last) > 1.5 * ndcg(popularity, seen, last) > 0.02


def ndcg(scores: npt.NDArray[np.float64], seen: npt.NDArray[np.float64], last: npt.NDArray[np.int64]) -> float:
    """NDCG@10 of one held-out film a person among the films not seen: 1 / log2(1 + rank), mean over people."""
    scores = np.where(seen > 0, -np.inf, scores)
    above = (scores > scores[np.arange(len(last)), last][:, None]).sum(axis=1)
    return float(np.where(above < 10, 1 / np.log2(above + 2), 0).mean())
