"""The questions that the annotated explanations answer: 80 of each of three domains, drawn anew by a seed.

    python training/annotations/questions.py movies|news|games      prints them, one JSON object a line

Films are those of the demo, recommended by EASE to its made-up people. Articles and games are invented (`news.csv`,
`games.csv`), and so is who had them: most of what a person has shares one of two values that they keep to.
"""

from __future__ import annotations

import argparse
import json
import math
import random
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from llmxrec.datasets.dataset import Dataset, Histories
from llmxrec.datasets.demo.simulation import simulate
from llmxrec.datasets.domains import load_domain
from llmxrec.evidence.plan import labels_of
from llmxrec.recommenders.ease import EASE
from llmxrec.recommenders.topk import recommend
from llmxrec.records import Domain, Item

HERE = Path(__file__).parent
SEED = 1
ROWS = 80
SHORTEST = 3
LONGEST = {"movies": 12, "news": 10, "games": 10}
"""Items in a history."""
MOST_ALIKE = 2
"""Questions about one candidate: a text about it is learned once, or twice, and no more."""
_STRANGE = 0.1
"""The share of candidates of news and games that are drawn among those that share nothing."""

_LIKING = 14
"""How much more often than any other item one is had that has a value which the person keeps to."""

Question = tuple[list[Item], Item]
"""A history, oldest first, and a candidate that is not in it."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("domain", choices=LONGEST)
    for row in rows(parser.parse_args().domain):
        print(json.dumps(row, ensure_ascii=False))


def rows(name: str) -> list[dict[str, Any]]:
    """The questions of a domain as its file has them, without their answers."""
    domain = load_domain(name)
    asked = _of_the_demo() if name == "movies" else _invented(domain)
    return [
        {"domain": name, "history": [_as_json(item) for item in history], "candidate": _as_json(candidate)}
        for history, candidate in asked
    ]


def catalogue(domain: Domain) -> list[Item]:
    """All items that a question of this domain can hold."""
    if domain.name == "movies":
        dataset, _ = simulate(users=1)
        return dataset.item_records
    table = pl.read_csv(HERE / f"{domain.name}.csv", infer_schema=False)
    lists = [pl.col(column).str.split("|") for column in ("genres", "tags") if column in table.columns]
    empty = pl.DataFrame(schema={"user_id": pl.String})
    return Dataset(pl.DataFrame(), table.with_columns(lists), empty, domain).item_records


def _of_the_demo() -> Iterator[Question]:
    """One of the three best films for each of some people, and the newest of what they watched."""
    dataset, _ = simulate()
    known = Histories.build(dataset.interactions, dataset.users["user_id"], dataset.items["item_id"])
    best = recommend(EASE().fit(known), known, known, 3)
    recommended = {
        user: part["item_id"].to_list() for (user,), part in best.partition_by("user_id", as_dict=True).items()
    }
    items = dataset.item_records
    by_id = {item.item_id: item for item in items}
    draw = random.Random(f"annotations/movies/{SEED}")
    used: Counter[str] = Counter()
    people = sorted(range(known.n_users), key=lambda _: draw.random())
    asked = 0
    for person in people:
        rank, length = int(3 * draw.random()), _length("movies", draw)
        candidate = recommended[known.users[person]][rank]
        if used[candidate] == MOST_ALIKE:
            continue
        used[candidate] += 1
        yield [items[number] for number in known.of(person)[-length:]], by_id[candidate]
        asked += 1
        if asked == ROWS:
            return


def _invented(domain: Domain) -> Iterator[Question]:
    """Histories of people who keep to two values, and candidates that mostly share something with them."""
    items = catalogue(domain)
    labels = {item.item_id: {*labels_of(item, domain)} for item in items}
    used: Counter[str] = Counter()
    for number in range(ROWS):
        annotated = f"annotations/{domain.name}/{SEED}/{number}"
        draw = random.Random(annotated)
        kept_to = {_one(sorted(labels[_one(items, draw).item_id]), draw) for _ in range(2)}
        liking = [1 + _LIKING * len(kept_to & labels[item.item_id]) for item in items]
        ranked = _shuffled(items, liking, draw)
        history = ranked[: _length(domain.name, draw)]
        had = set().union(*(labels[item.item_id] for item in history))
        strange = draw.random() < _STRANGE
        left = [item for item in items if item not in history and used[item.item_id] < MOST_ALIKE]
        fitting = [item for item in left if bool(had & labels[item.item_id]) != strange] or left
        candidate = _shuffled(fitting, [1 + _LIKING * len(kept_to & labels[item.item_id]) for item in fitting], draw)[0]
        used[candidate.item_id] += 1
        yield _shuffled(history, [1] * len(history), random.Random(f"{annotated}/order")), candidate


def _length(name: str, draw: random.Random) -> int:
    return SHORTEST + int((LONGEST[name] - SHORTEST + 1) * draw.random())


def _one(values: Sequence[Any], draw: random.Random) -> Any:
    return values[int(len(values) * draw.random())]


def _shuffled(items: Sequence[Item], weights: Sequence[float], draw: random.Random) -> list[Item]:
    """In an order in which what weighs more mostly comes first. Only `random()` is drawn: it is the same everywhere."""
    keys = [-math.log(1 - draw.random()) / weight for weight in weights]
    return [items[place] for place in np.argsort(keys, kind="stable")]


def _as_json(item: Item) -> dict[str, Any]:
    return {
        "item_id": item.item_id,
        "title": item.title,
        "attributes": {column: list(values) for column, values in item.attributes.items()},
    }


if __name__ == "__main__":
    main()
