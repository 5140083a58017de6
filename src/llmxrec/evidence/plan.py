"""The facts that an explanation may tell, so grouped that every pairing of them is true.

A sentence can join any cited item with any shared value ("{h2} is as {A} as {cand}"). So all cited items share all the
values that are called shared, with each other and with the candidate; and what is true of one side only (a taste that
the candidate does not serve, a value that nothing before had) stands apart from them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import combinations, takewhile
from typing import TypeAlias

from llmxrec.records import Domain, Instruction, Item

MOST_CITED, MOST_LABELS, MOST_PROPERTIES, MOST_RECENT = 3, 3, 2, 2

_LABELLING = (
    "genre",
    "category",
    "class",
    "tag",
    "theme",
    "topic",
    "style",
    "mood",
    "subject",
    "kind",
    "type",
    "section",
)
"""Columns whose values say what kind of item it is: "a crime film". Other values are told with their column."""
_MOST_TITLE_WORDS = 30
"""Of all titles cited together with the candidate's, so that an explanation keeps to its length."""
_MOST_WEIGHED = 8
"""Values of a candidate that are looked for in the history: a game can have twenty tags."""
_FEW, _SOME = 3, 5
"""Items that make a habit, and items shown that make it worth counting."""

Fact: TypeAlias = str | tuple[str, str]
"""A label, or the name and the value of a property."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What may be said. Values are spelled as the catalogue spells them.

    `cited` (the best reason first) are items of the history that each share every one of `labels` and `properties`
    with the candidate; where there are none, so are these. `count` of the `total` items shown have `labels[0]`; 0
    where that is not worth saying, as when all have. `favourite`: at least half of them have it, and no other label
    is found as often. `taste` is the label of which this holds, and how often it is found, if the candidate does not
    have it. `novel` is a label of the candidate that no item shown has; `own` is another one of its labels, not
    shared. `recent` are items not cited, of which nothing more is said; `newest`, that they are the newest of all.
    `profile` holds what is known of the person and may be said.
    """

    domain: Domain
    candidate: Item
    cited: tuple[Item, ...] = ()
    labels: tuple[str, ...] = ()
    properties: tuple[tuple[str, str], ...] = ()
    count: int = 0
    total: int = 0
    favourite: bool = False
    taste: tuple[str, int] | None = None
    novel: str | None = None
    own: str | None = None
    recent: tuple[Item, ...] = ()
    newest: bool = True
    profile: tuple[tuple[str, str], ...] = ()


def make_plan(
    instruction: Instruction, domain: Domain, *, causes: Sequence[str] = (), profile: Collection[str] = ()
) -> Plan:
    """What may be said about the recommendation in `instruction`.

    `causes` are ids of history items, the strongest first: where there are any, no other item is cited, and those that
    share nothing with the candidate are named before any recent item. `profile` lists what may be said of the person.
    """
    candidate = instruction.candidate
    names = {candidate.title}
    known: list[Item] = []  # newest first; of items of one title only the newest can be cited
    for item in reversed(instruction.history):
        if item.title not in names:
            names.add(item.title)
            known.append(item)
    order = {item_id: place for place, item_id in enumerate(causes)}
    ranked = sorted(known, key=lambda item: order.get(item.item_id, len(order)))
    columns = _Columns.of(domain)
    room = _MOST_TITLE_WORDS - len(candidate.title.split())
    causing = [item for item in ranked if item.item_id in order]
    cited, labels, properties = _shared(candidate, causing or ranked, columns, room, len(causing))
    # Causes may be older than all else that is shown: what is counted is an unbroken run of the newest.
    older = {id(item) for item in takewhile(lambda item: item.item_id in order, instruction.history)}
    newest = [item for item in known if id(item) not in older]
    often = Counter(label for item in newest for label in columns.labels(item))
    had = {label for item in known for label in columns.labels(item)}
    labels = tuple(sorted(labels, key=lambda label: -often[label]))
    mine = columns.labels(candidate)
    (top, times), (_, next_best) = [*often.most_common(2), ("", 0), ("", 0)][:2]
    habit = len(newest) >= _SOME and 2 * times >= len(newest) and times > next_best
    others = [label for label in mine if not any(_alike(label, one) for one in labels)]
    novel = next((label for label in others if label not in had), None) if len(known) >= _FEW else None
    recent = _within(room, [item for item in ranked if item not in cited], MOST_RECENT)
    return Plan(
        domain=domain,
        candidate=candidate,
        cited=cited,
        labels=labels,
        properties=properties,
        count=often[labels[0]] if labels and _SOME <= len(newest) > often[labels[0]] >= _FEW else 0,
        total=len(newest),
        favourite=habit and labels[:1] == (top,),
        taste=(top, times) if habit and top not in mine else None,
        novel=novel,
        own=next((label for label in others if label != novel), None),
        recent=recent,
        newest=list(recent) == known[: len(recent)],
        profile=tuple((key, value) for key, value in instruction.user.attributes.items() if key in profile),
    )


def labels_of(item: Item, domain: Domain) -> tuple[str, ...]:
    """What kind of item it is, in the catalogue's words."""
    return _Columns.of(domain).labels(item)


def _shared(
    candidate: Item, ranked: list[Item], columns: _Columns, room: int, n_causes: int
) -> tuple[tuple[Item, ...], tuple[str, ...], tuple[tuple[str, str], ...]]:
    """Which items to cite, and what all of them share with the candidate.

    Of all that it could share, what makes most of both: a value more counts a little more than an item more. The first
    cause that shares anything is cited in any case.
    """
    every: list[Fact] = [*columns.labels(candidate), *columns.properties(candidate)]
    facts = every[:_MOST_WEIGHED]
    shares = [_bits(facts, {*columns.labels(item), *columns.properties(item)}) for item in ranked]
    wanted = next((bits for bits in shares[:n_causes] if bits), 0)
    best: tuple[float, tuple[Item, ...], int] = (0.0, (), 0)
    alike = [1 << a | 1 << b for a, b in combinations(range(len(facts)), 2) if _alike(facts[a], facts[b])]
    for chosen in _subsets(len(facts)):
        if (wanted and chosen & ~wanted) or any(pair & chosen == pair for pair in alike):
            continue
        sharing = [item for item, bits in zip(ranked, shares, strict=True) if not chosen & ~bits]
        if sharing:
            group = _within(room, sharing, MOST_CITED)
            worth = 1.2 * chosen.bit_count() + len(group)
            if worth > best[0]:
                best = (worth, group, chosen)
    _, group, chosen = best
    kept = [fact for place, fact in enumerate(facts) if chosen >> place & 1]
    labels = tuple(fact for fact in kept if isinstance(fact, str))
    properties = tuple(fact for fact in kept if not isinstance(fact, str))
    return group, labels, properties[:MOST_PROPERTIES]


def _alike(one: Fact, other: Fact) -> bool:
    """Whether two labels say one thing: "strategy" and "turn-based strategy"."""
    if not isinstance(one, str) or not isinstance(other, str):
        return False
    mine, others = {*one.casefold().split()}, {*other.casefold().split()}
    return mine <= others or others <= mine


def _bits(facts: Sequence[object], had: Collection[object]) -> int:
    return sum(1 << place for place, fact in enumerate(facts) if fact in had)


@cache
def _subsets(n_facts: int) -> tuple[int, ...]:
    """Of so many facts, those that can be told together; of one size, the first facts come first."""
    sizes = range(1, MOST_LABELS + 1)
    return tuple(sum(1 << place for place in some) for size in sizes for some in combinations(range(n_facts), size))


def _within(room: int, items: list[Item], most: int) -> tuple[Item, ...]:
    """The first items whose titles have so many words together; one in any case."""
    kept: list[Item] = []
    for item in items:
        room -= len(item.title.split())
        if (kept and room < 0) or len(kept) == most:
            break
        kept.append(item)
    return tuple(kept)


@dataclass(frozen=True)
class _Columns:
    """A domain's columns, by how their values are told."""

    labelling: tuple[str, ...]
    telling: Mapping[str, str]
    nouns: frozenset[str]

    @classmethod
    def of(cls, domain: Domain) -> _Columns:
        def labelling(column: str, label: str) -> bool:
            words = f"{column} {label}".lower().replace("_", " ").split()
            return any(_singular(word).removeprefix("sub") in _LABELLING for word in words)

        kinds = {column: labelling(column, label) for column, label in domain.item_attributes.items()}
        telling = {column: label for column, label in domain.item_attributes.items() if not kinds[column]}
        return cls(tuple(c for c, kind in kinds.items() if kind), telling, frozenset((domain.item, domain.items)))

    def labels(self, item: Item) -> tuple[str, ...]:
        """What kind of item it is, each value once. A value that only lengthens another is a code, and left out."""
        values: dict[str, str] = {}
        for column in self.labelling:
            for value in item.attributes.get(column, ()):
                key = value.casefold()
                code = any(key.startswith(known) and key[len(known)].isalnum() for known in values if key != known)
                if _is_words(value) and not code and key not in self.nouns:
                    values.setdefault(key, value)
        return tuple(values.values())

    def properties(self, item: Item) -> tuple[tuple[str, str], ...]:
        """Label and value of all else that is words: numbers, such as a year or a price, are no reason."""
        return tuple(
            (label, value)
            for column, label in self.telling.items()
            for value in item.attributes.get(column, ())
            if _is_words(value) and len(value.split()) <= 6
        )


def _is_words(value: str) -> bool:
    return value.isprintable() and any(sign.isalpha() for sign in value)


def _singular(word: str) -> str:
    for ending, singular in (("ies", "y"), ("sses", "ss"), ("s", "")):
        if word.endswith(ending) and not word.endswith("ss" if ending == "s" else "\0"):
            return word.removesuffix(ending) + singular
    return word
