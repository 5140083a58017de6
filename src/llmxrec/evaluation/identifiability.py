"""Whether a text tells whose it is: its person is looked for among a hundred, by history and profile.

An explanation that would do for anyone explains nothing about this person. A reader who knows the histories and
profiles of `among` people, but not whose the text is, says how likely it is each one's. R@1 is how often the right one
comes first; bits are log2(among x p(right one | text)) in the mean, a lower bound of the information that the text has
about whose it is, at most log2(100) = 6.64.

Beside every generator stands what the same reader finds in texts that tell nothing: texts attributed to another person,
and a sentence that names what everybody knows.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import polars as pl

from llmxrec.errors import InputError
from llmxrec.evaluation.attributes import parts
from llmxrec.evaluation.bootstrap import Floats, Interval, clusters, intervals, ratio, sums_by_user
from llmxrec.evaluation.resemblance import FEATURES, Crowd, Said, fit, log_shares
from llmxrec.records import Domain, Item
from llmxrec.seeds import derive

AMONG = 100
"""People whom a text may be about."""
POPULAR, OWN, SHUFFLED = "popular template", "template", "shuffled"
"""What the sentences are called that stand beside generators: one that names the two items most people had, and the
template generator's own, which names what this person had; and a generator's own texts, each attributed to another."""

ALL = "everything"
BY = {ALL: [0, 1, 2, 3, 4], "titles": [0, 1], "attributes": [2, 3], "profile": [4]}
"""The kinds of evidence that are measured together and each by itself -> the places of their FEATURES."""

_ALIKE = 1e-9
"""Scores that differ by less are equal."""


@dataclass(frozen=True, slots=True)
class Told:
    """A text about recommending `item_id` to `user_id`; `said` is None where there is nothing to read.

    Whom it is really about, where that is another (`of`), is not among those whom it may be about.
    """

    user_id: str
    item_id: str
    said: Said | None
    of: str | None = None


@dataclass(frozen=True, slots=True)
class Identified:
    """How often the texts of `who` tell their person from the `among` of whom it may be, `by` a kind of evidence.

    `recall` is R@1, where those who come first together share it: 1 / `among` by chance. `bits` are 0 by chance, and
    below where the reader is sure and wrong. Of `rows` texts, without the `unread` ones.
    """

    who: str
    by: str
    among: int
    recall: Interval
    bits: Interval
    rows: int
    unread: int


def identify(texts: Sequence[Told], crowd: Crowd, who: str, among: int = AMONG, seed: int = 1) -> list[Identified]:
    """Look for the person of each of `texts` among as many of the `crowd`, drawn for it (all, where there are fewer).

    With each kind of evidence of BY. How much it weighs is learned from texts about other people, in parts by turns.
    Raises InputError where there are not two people to choose from.
    """
    among = min(among, len(crowd.people) - any(text.of is not None for text in texts))
    if among < 2:
        raise InputError("a person is looked for among two or more", value=among, cure="explain to more people")
    everybody = sorted(crowd.people)
    read = [text for text in texts if text.said is not None]
    evidence = np.zeros((len(read), among, len(FEATURES)))
    for place, text in enumerate(read):
        if text.said is not None:
            evidence[place] = crowd.evidence(text.said, [text.user_id, *_others(everybody, text, among - 1, seed)])
    users = [text.user_id for text in read]
    unread = sum(text.said is None for text in texts)
    out = []
    for by, kinds in BY.items():
        recall, bits = _measured(evidence[:, :, kinds], users, f"{who}/{by}", seed)
        out.append(Identified(who, by, among, recall, bits, len(read), unread))
    return out


def _measured(evidence: Floats, users: Sequence[str], name: str, seed: int) -> tuple[Interval, Interval]:
    """R@1 and bits from the evidence for the people of each text, of whom the first is the right one."""
    part = parts(users, seed)
    scores = np.zeros(evidence.shape[:2])
    for fold in np.unique(part):
        scores[part == fold] = evidence[part == fold] @ fit(evidence[part != fold])
    first = scores >= scores.max(axis=1, keepdims=True) - _ALIKE
    bits = (log_shares(scores)[:, 0] + np.log(evidence.shape[1])) / np.log(2)
    found = np.stack([first[:, 0] / np.maximum(1, first.sum(axis=1)), bits, np.ones(len(users))], axis=1)
    sums = sums_by_user(found, *clusters(pl.Series(users, dtype=pl.String)))
    value = intervals(sums, lambda drawn: ratio(drawn[:, :2], drawn[:, 2:]), seed, f"identify/{name}")
    recall, told = (Interval(*(float(part[k]) for part in value)) for k in range(2))
    return recall, told


def attributed_to_others(texts: Iterable[Told], people: Iterable[str], seed: int = 1) -> list[Told]:
    """`texts`, each said to be about another of `people`: everybody's next, in an order drawn by `seed`."""
    users = sorted(people, key=lambda user: derive(seed, "another", user))
    another = dict(zip(users, [*users[1:], *users[:1]], strict=True))
    return [replace(text, user_id=another[text.user_id], of=text.user_id) for text in texts]


def popular_sentence(candidate: Item, popular: Sequence[Item], domain: Domain) -> str:
    """The template's sentence with the first two of `popular` in place of what the person had.

    What it says of the candidate is true; so it also shows what the candidate alone tells.
    """
    cited = [f'"{item.title}"' for item in popular if item.title != candidate.title][:2]
    kinds = [
        [value for value in candidate.attributes.get(column, ()) if any(map(str.isalpha, value))]
        for column in domain.item_attributes
    ]
    values = next((found for found in kinds if found), [])
    listed = f"is listed under {', '.join(values[:3])}" if values else "may be for you"
    likened = f"Like {' and '.join(cited)}, which you {domain.verb_past}, " if cited else ""
    return f'{likened}"{candidate.title}" {listed}.'


def most_popular(histories: Mapping[str, Sequence[Item]], count: int = 3) -> list[Item]:
    """The items that most of the people had, the first of them first."""
    had: dict[str, int] = {}
    items: dict[str, Item] = {}
    for history in histories.values():
        for title, item in {item.title: item for item in history}.items():
            items.setdefault(title, item)
            had[title] = had.get(title, 0) + 1
    return [items[title] for title in sorted(had, key=lambda title: (-had[title], title))[:count]]


def _others(everybody: Sequence[str], text: Told, count: int, seed: int) -> list[str]:
    """So many people other than the one whom `text` is said to be about, and than the one whom it is about."""
    draw = np.random.Generator(np.random.PCG64(derive(seed, "others", text.user_id, text.item_id)))
    drawn = draw.choice(len(everybody), min(count + 2, len(everybody)), replace=False)
    return [user for place in drawn if (user := everybody[place]) not in (text.user_id, text.of)][:count]
