"""The pairs of explanations that the annotated labels compare: made anew by a seed, without their labels.

    python training/annotations/pairs.py ADAPTER      prints them, one JSON object for each recommendation

Asked about are simulated people of the demo whom the demo itself does not have, so that a judge who learned from
these pairs has read none of the recommendations that the demo explains. Each recommendation is explained in several
ways, some of them poor on purpose; four of these are drawn, and compared in a ring. ADAPTER is the embedded model tuned
until it forgets its grammar: 16 epochs on the annotated explanations of news and games, and on nothing else.
"""

from __future__ import annotations

import json
import random
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from llmxrec.datasets.dataset import Dataset, Histories
from llmxrec.datasets.demo.simulation import simulate
from llmxrec.generators.specs import make_generator
from llmxrec.prompts.instructions import PromptSettings
from llmxrec.prompts.prompt import make_prompt
from llmxrec.prompts.template import load_template
from llmxrec.recommenders.ease import EASE
from llmxrec.recommenders.topk import recommend
from llmxrec.records import Instruction, Item, User
from llmxrec.seeds import derive

SEED = 1
FIRST, LAST = 301, 400
"""People: the demo has those before."""
ROWS = 90
SHORTEST, LONGEST = 4, 10
"""Films in a history."""
MOST_ALIKE = 3
"""Questions about one film."""
DRAWN = 4
"""Texts for each recommendation."""
NEWEST = 2
"""Films that `embedded-newest` is shown."""
CAUSES = 2

PLAIN = (
    "Based on your viewing history, we think you will enjoy {title}.",
    "{title} is a great film that viewers like you love. Don't miss it!",
    "We recommend {title} because it matches your interests and preferences.",
    "Looking for something to watch tonight? {title} offers a memorable experience for every film lover.",
    "You have excellent taste in films, and {title} is a perfect addition to your list.",
    "{title} is one of the most popular choices right now, so we picked it for you.",
)
"""What could be said to anybody."""

Asked = tuple[str, Instruction]


def main() -> None:
    adapter = sys.argv[1]
    for row in rows(adapter):
        print(json.dumps(row, ensure_ascii=False))


def rows(adapter: str) -> Iterator[dict[str, Any]]:
    """A row for each recommendation: what it is about, the texts by who wrote them, and which two are compared."""
    dataset, _ = simulate(users=LAST)
    asked = list(questions(dataset))
    texts = {
        "template": written(asked, dataset, "template"),
        "embedded": written(asked, dataset, "embedded"),
        "embedded-evidence": written(asked, dataset, "embedded", template="evidence"),
        "embedded-newest": written([(user, _newest(one)) for user, one in asked], dataset, "embedded"),
        "embedded-titles": written([(user, _bare(one)) for user, one in asked], dataset, "embedded"),
        "overtuned": written(asked, dataset, f"embedded+{adapter}", template="evidence"),
        "another's": written([(user, _anothers(one, asked)) for user, one in asked], dataset, "embedded"),
        "plain": [PLAIN[place % len(PLAIN)].format(title=one.candidate.title) for place, (_, one) in enumerate(asked)],
    }
    for place, (user, one) in enumerate(asked):
        draw = random.Random(f"pairs/{SEED}/{user}")
        different = {texts[name][place]: name for name in sorted(texts, key=lambda _: draw.random())}
        names = [*different.values()][:DRAWN]
        ring = [(a, b) if draw.random() < 0.5 else (b, a) for a, b in zip(names, names[1:] + names[:1], strict=True)]
        yield {
            "domain": "movies",
            "history": [_as_json(item) for item in one.history],
            "candidate": _as_json(one.candidate),
            "texts": {name: texts[name][place] for name in names},
            "pairs": ring,
        }


def questions(dataset: Dataset) -> Iterator[Asked]:
    """One of the three best films for each of some people, and the newest of what they watched."""
    known = Histories.build(dataset.interactions, dataset.users["user_id"], dataset.items["item_id"])
    ease = EASE().fit(known)
    best = recommend(ease, known, known, 3)
    items = {item.item_id: item for item in dataset.item_records}
    used: Counter[str] = Counter()
    asked = 0
    for number in range(FIRST, LAST + 1):
        user = f"u{number:03d}"
        draw = random.Random(f"pairs/{SEED}/question/{user}")
        candidate = best.filter(user_id=user)["item_id"][int(3 * draw.random())]
        if used[candidate] == MOST_ALIKE or asked == ROWS:
            continue
        used[candidate] += 1
        asked += 1
        history = known.of(number - 1)[-SHORTEST - int((LONGEST - SHORTEST + 1) * draw.random()) :]
        shown = tuple(items[known.items[int(place)]] for place in history)
        column = known.items.to_list().index(candidate)
        added = ease.contributions(np.asarray(history))[:, column]
        causes = tuple(shown[place] for place in np.argsort(-added, kind="stable")[:CAUSES] if added[place] > 0)
        yield user, Instruction("explain", User(user), shown, items[candidate], causes=causes)


def written(asked: Sequence[Asked], dataset: Dataset, spec: str, template: str = "default") -> list[str]:
    """The answers of a generator."""
    settings, layout = PromptSettings(template=template), load_template(template)
    prompts = (
        make_prompt(
            user, one if template == "evidence" else replace(one, causes=()), layout, dataset.domain, settings,
            seed=derive(SEED, spec, template, user),
        )
        for user, one in asked
    )  # fmt: skip
    return [answer.text for answer in make_generator(spec).generate(prompts)]


def _newest(one: Instruction) -> Instruction:
    return replace(one, history=one.history[-NEWEST:], causes=())


def _bare(one: Instruction) -> Instruction:
    """Titles only."""
    history = tuple(replace(item, attributes={}) for item in one.history)
    return replace(one, history=history, candidate=replace(one.candidate, attributes={}), causes=())


def _anothers(one: Instruction, asked: Sequence[Asked]) -> Instruction:
    """The history of whoever watched least of the same."""
    own = {item.item_id for item in one.history}

    def had(other: Instruction) -> tuple[int, bool]:
        return len(own & {item.item_id for item in other.history}), one.candidate in other.history

    stranger = min((other for _, other in asked if other.candidate != one.candidate), key=had)
    return replace(one, history=stranger.history, causes=())


def _as_json(item: Item) -> dict[str, Any]:
    return {"item_id": item.item_id, "title": item.title, "attributes": {k: [*v] for k, v in item.attributes.items()}}


if __name__ == "__main__":
    main()
