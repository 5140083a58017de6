"""The project's own annotated explanations: each is true of its evidence, in words of its own.

What a text says is read back from its words: titles in quotation marks, labels of the catalogue outside of them, and
numbers. A sentence that names items says of them only what holds for all of them, so that it can be checked, and so
that a model which learns from it writes what can be checked.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cache, cached_property
from importlib import resources
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest
from training.annotations.questions import LONGEST, ROWS, SHORTEST, catalogue, rows
from training.embedded.corpus import Node, read

from llmxrec.datasets.domains import load_domain
from llmxrec.evidence.mentions import find_titles
from llmxrec.evidence.plan import labels_of
from llmxrec.records import Domain, Item

DOMAINS = ("movies", "news", "games")
SENTENCE = re.compile(r'(?:"[^"]*"|(?<=\d)\.(?=\d)|[^".!?])+(?:[.!?]|$)')
TITLE = re.compile(r'"([^"]+)"')
NUMBERS = dict(zip("two three four five six seven eight nine ten eleven twelve".split(), range(2, 13), strict=True))
NUMBER = rf"(?:{'|'.join(NUMBERS)}|\d+)"
NEWEST = r"(?:last|latest|newest|most recent|recent)"
RELEASED_TEXTS = ("csv", "json")

FORMS = {
    "animation": "animated",
    "comedy": "comedies comic",
    "documentary": "documentaries",
    "family": "families",
    "fantasy": "fantasies fantastical",
    "history": "historical",
    "music": "musical musicals musically",
    "mystery": "mysteries mysterious",
    "romance": "romances romantic",
    "science fiction": "science-fiction sci-fi",
    "city builder": "city-building",
    "horror": "horrors",
    "cats": "cat",
    "deckbuilding": "deckbuilder deckbuilders",
    "driving": "drive drives",
    "hand-drawn": "drawn",
    "historical": "history",
    "mining": "mine mines",
    "platformer": "platforming",
    "puzzle": "puzzling",
    "racing": "race races racer",
    "roguelike": "roguelikes",
    "robots": "robot",
    "rock climbing": "climbing climb",
    "sailing": "sail sails",
    "simulation": "simulator simulators sim sims",
    "strategy": "strategies strategic",
    "trading": "trade trades",
    "trains": "train",
    "arts": "art",
    "concerts": "concert",
    "environment": "environmental",
    "farming": "farm farms",
    "forests": "forest",
    "gadgets": "gadget",
    "gardening": "garden gardens",
    "islands": "island",
    "museums": "museum",
    "pets": "pet",
    "rail": "rails railway railways",
    "repairs": "repair",
    "rivers": "river",
    "science": "scientific",
    "sleep": "sleeping",
    "sports": "sport sporting",
    "storms": "storm stormy",
    "technology": "technical technologies",
    "theatre": "theatrical",
    "travel": "travelling",
    "batteries": "battery",
}
"""A label -> how else prose spells it; a plural s needs no entry."""

BANNED = (
    # praise and promises, which no evidence holds
    "acclaimed amazing award awards beautiful beautifully beloved best brilliant captivating classic compelling "
    "delight delightful enchanting engaging excellent exciting exhilarating fantastic fascinating favorite favorites "
    "favourite favourites gem great gripping hilarious iconic immersive incredible intense intriguing legendary "
    "masterpiece must-see outstanding perfect popular powerful renowned stunning superb terrific thrilling "
    "unforgettable wonderful worthwhile "
    # what nobody said of what they had
    "adore adored appreciate appreciated enjoy enjoyed enjoying enjoyment like-minded liked liking love loved loves "
    "passion rated "
    # plot and people
    "actor actors actress author cast character characters developer director directed hero heroine narrative plot "
    "protagonist starring stars studio "
    # who somebody is
    "age aged boy female gender girl lady male man men woman women young "
    # the speaker
    "i me my our ours us we"
).split()


@dataclass(frozen=True)
class Row:
    """One annotated explanation."""

    domain: Domain
    history: tuple[Item, ...]
    candidate: Item
    answer: str

    @cached_property
    def items(self) -> dict[str, Item]:
        return {item.title: item for item in (self.candidate, *self.history)}

    @cached_property
    def sentences(self) -> list[str]:
        return [one.strip() for one in SENTENCE.findall(self.answer)]

    def named(self, text: str) -> list[Item]:
        return [self.items[title] for title in TITLE.findall(text) if title in self.items]

    def named_of_history(self, text: str) -> list[Item]:
        return [item for item in self.named(text) if item is not self.candidate]

    def labels(self, item: Item) -> set[str]:
        return {value.casefold().replace("_", " ") for value in labels_of(item, self.domain)}

    @cached_property
    def shared(self) -> set[str]:
        return {one for item in self.history for one in self.labels(item)} & self.labels(self.candidate)

    def count(self, labels: tuple[str, ...], newest: int) -> int:
        return sum(self.labels(item) >= {*labels} for item in self.history[-newest:])


def as_item(stored: dict[str, Any]) -> Item:
    return Item(stored["item_id"], stored["title"], {key: tuple(one) for key, one in stored["attributes"].items()})


def stored_rows(name: str) -> list[dict[str, Any]]:
    file = resources.files("llmxrec.tuning").joinpath("annotations", f"{name}.jsonl")
    return [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]


@cache
def annotated(name: str) -> list[Row]:
    domain = load_domain(name)
    return [
        Row(domain, tuple(map(as_item, row["history"])), as_item(row["candidate"]), row["answer"])
        for row in stored_rows(name)
    ]


@cache
def spellings(name: str) -> list[tuple[re.Pattern[str], str]]:
    """How prose can spell the labels of a domain's catalogue, the longest first, and the label each stands for."""
    domain = load_domain(name)
    known = {one.casefold().replace("_", " ") for item in catalogue(domain) for one in labels_of(item, domain)}
    ways = {way: one for one in known for way in FORMS.get(one, "").split()}
    ways |= {f"{one}s": one for one in known if not one.endswith("s")} | {one: one for one in known}
    ways |= {one.replace("-", " "): one for one in known} | {one.replace(" ", "-"): one for one in known}
    longest = sorted(ways, key=len, reverse=True)
    return [(re.compile(rf"(?<![\w-]){re.escape(way)}(?![\w-])"), ways[way]) for way in longest]


def labels_in(text: str, name: str) -> set[str]:
    """Labels of the catalogue that stand outside of titles; each word is read once."""
    bare, found = TITLE.sub(" \N{REPLACEMENT CHARACTER} ", text).casefold(), set()
    for pattern, one in spellings(name):
        if pattern.search(bare):
            found.add(one)
            bare = pattern.sub("\N{REPLACEMENT CHARACTER}", bare)
    return found


def number(word: str) -> int:
    return NUMBERS.get(word) or int(word)


def faults(row: Row) -> Iterator[str]:
    """What is wrong with a row, so far as words can tell."""
    text, name = row.answer, row.domain.name
    words = text.split()
    if not 12 <= len(words) <= 75:
        yield f"{len(words)} words"
    if text != " ".join(words) or not text.endswith((".", "!", "?")) or "".join(row.sentences) == "":
        yield "not one line of whole sentences"
    if text.count('"') % 2 or re.search(r"[“”«»*_#\n]", text):
        yield "marks that no explanation needs"
    if f'"{row.candidate.title}"' not in text:
        yield "candidate not named"
    for mention in find_titles(text, list(row.items.values())):
        if mention.item is None or text[mention.start : mention.end] != f'"{mention.item.title}"':
            yield f"title not given exactly: {text[mention.start : mention.end]}"
    yield from (f"no title of the evidence: {title}" for title in TITLE.findall(text) if title not in row.items)
    if len({item.title for item in row.named_of_history(text)}) > 3:
        yield "more than three titles of the history"
    plain = re.findall(r"[\w'-]+", TITLE.sub(" ", text).casefold())
    yield from (f"banned: {word}" for word in plain if word in BANNED)
    if not {"you", "your"} & {*plain}:
        yield "not addressed to the customer"
    for sentence in row.sentences:
        yield from (f"{fault}: {sentence}" for fault in faults_of_sentence(row, sentence, name))


def faults_of_sentence(row: Row, sentence: str, name: str) -> Iterator[str]:
    named, of_history, said = row.named(sentence), row.named_of_history(sentence), labels_in(sentence, name)
    every = {one for item in row.items.values() for one in row.labels(item)}
    yield from (f"unsupported label {one}" for one in said - every)
    yield from (
        f"{item.title} is not {one}" for item in named for one in sorted(said & every) if one not in row.labels(item)
    )
    bare = TITLE.sub("\N{REPLACEMENT CHARACTER}", sentence).casefold()
    windows = [
        *(number(m) for m in re.findall(rf"{NEWEST} ({NUMBER})(?!\w)", bare)),
        *(number(m) for m in re.findall(rf"(?<!\w)({NUMBER}) (?:\w+ )?{NEWEST}(?!\w)", bare)),
    ]
    yield from (f"there are no {window}" for window in windows if window > len(row.history))
    windows = [window for window in windows if window <= len(row.history)]
    true = true_numbers(row, sentence, said, windows)
    for word in re.findall(rf"(?<![\w.])({NUMBER})(?![\w.]*\d|s\b)(?!\w)", bare):
        if number(word) not in true and not is_value(row, word):
            yield f"number {word}"
    yield from wrong_values(row, sentence)
    yield from (
        f"{item.title} is not of the newest {max(windows)}"
        for item in of_history
        if windows and item not in row.history[-max(windows) :]
    )
    recency = (
        r"\b(?:latest|newest|most recent|most recently|just (?:watched|read|played)"
        r"|(?:which|film|one|game|article) you [\w ]*last)\b"
    )
    if of_history and not windows and re.search(recency, bare) and row.history[-1] not in of_history:
        yield "not the newest"
    if of_history and re.search(r"\bonly\b", bare) and said and "not only" not in bare:
        counts = {row.count(some, len(row.history)) for n in (1, 2, 3) for some in combinations(sorted(said), n)}
        if len({item.title for item in of_history}) not in counts:
            yield "not the only"
    if re.search(r"\b(?:opens|begins|began|started) with\b", bare) and row.history[0] not in of_history:
        yield "not the oldest"
    if not of_history and said and re.search(r"\b(?:no|none|not one|nothing|never|new|missing|lacks?|absent)\b", bare):
        mine = row.labels(row.candidate)
        known = all(row.count((one,), len(row.history)) and one in mine for one in said)
        if known and row.count(tuple(said), len(row.history)):
            yield "not new"


def true_numbers(row: Row, sentence: str, said: set[str], windows: list[int]) -> set[int]:
    """Numbers that hold: of what is shown, of what a sentence names, and of how often what is said is found."""
    total = len(row.history)
    in_text = labels_in(row.answer, row.domain.name)
    some = [(one,) for one in in_text] + [pair for n in (2, 3) for pair in combinations(sorted(said), n)]
    return {
        total,
        *windows,
        *(row.count(one, window) for one in some for window in (total, *windows)),
        len(row.named(sentence)),
        len(row.named_of_history(sentence)),
        len({item.title for item in row.named_of_history(row.answer)}),
        len(said),
        len(row.labels(row.candidate)),
    }


def is_value(row: Row, word: str) -> bool:
    return any(word in values for item in row.items.values() for values in item.attributes.values())


def wrong_values(row: Row, sentence: str) -> Iterator[str]:
    """Years and prices: of the item named before, else of the next, else of the candidate; of all where it says so."""
    values = [(match.start(), match[0]) for match in re.finditer(r"\b(?:\d{4}|\d+\.\d\d|free)\b", sentence)]
    titles = [(match.start(), match.end(), row.items.get(match[1])) for match in TITLE.finditer(sentence)]
    for place, value in values:
        if any(start < place < end for start, end, _ in titles):
            continue
        before = [item for start, _, item in titles if start < place]
        behind = [item for start, _, item in titles if start > place]
        of = before[-1:] or behind[:1] or [row.candidate]
        both = re.search(r"\bsame (?:year|price)\b|\bboth (?:are |of them are )?(?:from|free|cost)\b", sentence)
        if both or re.search(r"\b(?:like|same as)\b", sentence[place:]):
            of = [*before, *behind]
        for item in of:
            if item is not None and not any(value in (one or ()) for one in item.attributes.values()):
                yield f"{item.title} is not of {value}"


@pytest.mark.parametrize("name", DOMAINS)
def test_questions_are_those_that_the_script_makes(name: str) -> None:
    stored = stored_rows(name)
    assert all(list(row) == ["domain", "history", "candidate", "answer"] for row in stored)
    assert [{key: value for key, value in row.items() if key != "answer"} for row in stored] == rows(name)
    assert len(stored) == ROWS
    assert all(SHORTEST <= len(row["history"]) <= LONGEST[name] for row in stored)


@pytest.mark.parametrize("name", DOMAINS)
def test_nothing_is_said_but_what_the_evidence_holds(name: str) -> None:
    found = {number: list(faults(row)) for number, row in enumerate(annotated(name), 1)}
    assert {number: wrong for number, wrong in found.items() if wrong} == {}


@pytest.mark.parametrize("name", DOMAINS)
def test_where_something_is_shared_the_history_is_named(name: str) -> None:
    could = [row for row in annotated(name) if row.shared]
    named = [row for row in could if row.named_of_history(row.answer)]
    assert len(could) >= 60
    assert len(named) / len(could) >= 0.9
    told = [
        row
        for row in could
        if any(row.labels(item) & row.shared & labels_in(row.answer, name) for item in row.named_of_history(row.answer))
    ]
    assert len(told) / len(could) >= 0.9


@pytest.mark.parametrize("name", DOMAINS)
def test_openings_and_lengths_vary(name: str) -> None:
    texts = [row.answer for row in annotated(name)]
    openings = Counter(" ".join(text.casefold().split()[:4]) for text in texts)
    assert len(openings) / len(texts) >= 0.85
    assert Counter(text.casefold().split()[0] for text in texts).most_common(1)[0][1] <= 12
    lengths = sorted(len(text.split()) for text in texts)
    assert lengths[7] <= 28 and lengths[-8] >= 50, lengths


def bare_words(text: str) -> str:
    return " ".join(re.findall(r"[^\W_]+", text.casefold()))


def test_no_sentence_is_written_twice() -> None:
    said = Counter(bare_words(one) for name in DOMAINS for row in annotated(name) for one in row.sentences)
    assert [one for one, times in said.items() if times > 1] == []


def test_no_sentence_is_another_with_other_facts() -> None:
    """Longer sentences differ in more than titles, labels and numbers: nothing was filled into a mould."""
    moulds = Counter(mould(one, name) for name in DOMAINS for row in annotated(name) for one in row.sentences)
    assert [one for one, times in moulds.items() if times > 1 and len(one.split()) >= 8] == []


def test_no_sentence_is_one_of_the_embedded_models() -> None:
    lines = [
        line
        for file in sorted((Path(__file__).parents[2] / "training/embedded/patterns").glob("*.txt"))
        for line in file.read_text(encoding="utf-8").splitlines()
        if line and not line.startswith("#")
    ]
    assert len(lines) > 250
    patterns = [re.compile(as_regex(read(line.rstrip(".!?")))) for line in lines]
    assert any(pattern.fullmatch('since you watched ", " made your list: the two are * films') for pattern in patterns)
    ours = {mould(one, name).rstrip(".!?") for name in DOMAINS for row in annotated(name) for one in row.sentences}
    assert [one for one in ours if any(pattern.fullmatch(one) for pattern in patterns)] == []


def mould(sentence: str, name: str) -> str:
    """What is left of a sentence without titles, labels and numbers."""
    bare = re.sub(rf"(?<!\w)(?:{NUMBER}|[\d.]*\d)(?!\w)", "0", TITLE.sub('"', sentence).casefold())
    for pattern, _ in spellings(name):
        bare = pattern.sub("*", bare)
    return bare


def as_regex(node: Node) -> str:
    """What a pattern can become, with any space between; a slot is a title, a label or a word."""
    if isinstance(node, tuple):
        return f"(?:{'|'.join(map(as_regex, node))})"
    if isinstance(node, list):
        return "".join(map(as_regex, node))
    parts = re.split(r"(\{\w+\}|\s+)", node.casefold())
    spelled = [
        r'(?:["*]|[\w-]+)' if part.startswith("{") else re.escape(part) if part.strip() else r"\s*" for part in parts
    ]
    return "".join(spelled)


def test_no_sentence_is_from_the_release(real_release: Path) -> None:
    ours = {bare_words(part) for name in DOMAINS for row in annotated(name) for part in re.split("[.!?]", row.answer)}
    ours = {one for one in ours if len(one.split()) >= 4}
    assert len(ours) > 120 * len(DOMAINS)
    for file in real_release.rglob("*.*"):
        if file.suffix[1:] in RELEASED_TEXTS:
            text = file.read_text(encoding="utf-8").replace("\\n", "\n")
            theirs = {bare_words(part) for part in {*re.split(r"[.!?\n]", text)}}
            assert not ours & theirs, file.name


FARGO = Item("1", "Fargo", {"genres": ("Comedy", "Crime"), "year": ("1996",)})
JAWS = Item("2", "Jaws", {"genres": ("Adventure", "Horror"), "year": ("1975",)})
SEVEN = Item("3", "Seven", {"genres": ("Crime", "Mystery"), "year": ("1995",)})
TRUE = Row(
    load_domain("movies"),
    (FARGO, JAWS),
    SEVEN,
    'You watched "Fargo", which is a crime film as "Seven" is. One of your last two films was "Jaws".',
)


@pytest.mark.parametrize(
    ("answer", "fault"),
    [
        ('You watched "Fargo" and then another film, so a crime film it is, from beginning to end.', "candidate"),
        (
            'You watched "Fargo", which is a horror film as "Seven" is, and now you get one more of these.',
            "Fargo is not",
        ),
        ('You watched "Fargo", a crime film just as "Seven" is, and before that you watched "Heat".', "no title"),
        (
            'You watched "Fargo", a crime film just as "Seven" is, and it is a western if you wait for it.',
            "unsupported",
        ),
        ('You watched "Fargo", a crime film just as "Seven" is, and all four of them were crime films.', "number four"),
        ('You watched "Fargo", a crime film just as "Seven" is, and both of them are from 1996, you see.', "of 1996"),
        ('You just watched "Fargo", a crime film just as "Seven" is, so this is the very next thing.', "newest"),
        ('You watched "Fargo", a crime film just as "Seven" is, and you should enjoy this one very much.', "banned"),
        ('You watched "fargo", a crime film just as "Seven" is, and so it is the very next thing to see.', "exactly"),
        (
            'Somebody watched "Fargo", a crime film just as "Seven" is, so this is the very next thing to see.',
            "addressed",
        ),
        ('Of your last five films "Fargo" is a crime film just as "Seven" is, so it is the very next thing.', "no 5"),
        (
            'Nothing you watched was a crime film, so here is "Seven", just to have one of them after all of it.',
            "not new",
        ),
        ('You watched "Fargo", a crime film.', "words"),
    ],
)
def test_a_lie_is_found(answer: str, fault: str) -> None:
    assert list(faults(TRUE)) == []
    assert any(fault in one for one in faults(replace(TRUE, answer=answer))), answer
