"""How well claims are read from explanations, against labels that people gave by reading, and how fast.

    python benchmarks/claims.py [--labels FILE] [--release FOLDER] [--show]

FILE has a line for each text labelled: dataset, generator, row of the released file, and the titles, attributes and
facts of the person that the text tells (default: those of the tests). The texts are read from FOLDER, a copy of the
authors' repository (default: release). Titles are spelled c (the candidate), hN (the
N-th item of the history) or x:WORDS (no item that was shown); attributes column=value and facts of the person likewise,
with x: before what nothing that was shown supports. Items of one title count as one. --show prints all mistakes.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from difflib import SequenceMatcher
from pathlib import Path

import numpy as np

from llmxrec.errors import InputError
from llmxrec.evaluation.bootstrap import intervals, ratio
from llmxrec.evidence.claims import Claim, ClaimReader
from llmxrec.evidence.spelling import title_key
from llmxrec.prompts.released import parse_released
from llmxrec.records import Domain, Instruction, Item
from llmxrec.replay import Release, read_release

ROOT = Path(__file__).resolve().parent.parent
RELEASE = Path("release")
LABELS = ROOT / "tests/evidence/claims.jsonl"
KINDS = ("titles", "attributes", "profile")
RECOMMENDER = "BPR-MF"
_LOOSELY = 0.7
"""How alike two spellings are of one title that was not shown."""


@dataclass
class World:
    """What the released prompts of one dataset show, by the words of the prompt, and the reader of its texts."""

    asked: dict[str, Instruction]
    reader: ClaimReader


@dataclass(frozen=True)
class Text:
    """A text that was labelled: what it asserts by its labels, and what it was to explain."""

    dataset: str
    generator: str
    row: int
    text: str
    instruction: Instruction
    labels: Mapping[str, frozenset[str]] = field(default_factory=dict)


Rule = Callable[[Text], Mapping[str, frozenset[str]]]


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--labels", type=Path, default=LABELS)
    parser.add_argument("--release", type=Path, default=RELEASE)
    parser.add_argument("--show", action="store_true")
    given = parser.parse_args()
    release = read_release(given.release)
    worlds = {name: read_world(release, name) for name in release.datasets}
    texts = labelled(given.labels, release, worlds)
    print(f"{len(texts)} texts labelled; precision and recall with 95 % intervals over texts, and how many labels")
    rules: dict[str, Rule] = {
        "claims": lambda text: claims_of(text, worlds[text.dataset].reader),
        "substrings": substrings,
    }
    for name, rule in rules.items():
        for line in lines(texts, rule, name):
            print(line)
    for of in ("dataset", "generator"):
        for group in sorted({getattr(text, of) for text in texts}):
            for line in lines([text for text in texts if getattr(text, of) == group], rules["claims"], group):
                print(line)
    if given.show:
        for line in mistakes(texts, rules["claims"]):
            print(line)
    for name, world in worlds.items():
        print(f"{name}: {speed(release, name, world):,.0f} texts a minute")


def read_world(release: Release, dataset: str) -> World:
    """All prompts of one dataset. Items are called c, h1, h2 ... as the labels call them."""
    asked: dict[str, Instruction] = {}
    items: dict[Item, None] | list[Item] = []
    people: dict[str, set[str]] = {}
    domain: Domain | None = None
    for answers in release.answers[dataset]:
        for words, _ in answers.rows:
            if answers.recommender == RECOMMENDER and words not in asked:
                try:
                    instruction, domain = parse_released(words)
                except InputError:
                    continue
                asked[words] = _called(instruction)
    every = {
        (one.title, tuple(one.attributes.items())): one for a in asked.values() for one in (a.candidate, *a.history)
    }
    items = [replace(one, item_id=str(number)) for number, one in enumerate(every.values())]
    for instruction in asked.values():
        for column, value in instruction.user.attributes.items():
            people.setdefault(column, set()).add(value)
    if domain is None:
        raise SystemExit(f"no prompt of {dataset} can be read")
    return World(asked, ClaimReader(items, domain, people))


def _called(instruction: Instruction) -> Instruction:
    history = tuple(replace(item, item_id=f"h{place}") for place, item in enumerate(instruction.history, 1))
    return replace(instruction, history=history, candidate=replace(instruction.candidate, item_id="c"))


def labelled(file: Path, release: Release, worlds: Mapping[str, World]) -> list[Text]:
    """The texts that `file` labels."""
    out = []
    for line in file.read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        answers = next(
            one
            for one in release.answers[row["dataset"]]
            if (one.recommender, one.generator) == (RECOMMENDER, row["generator"])
        )
        words, text = answers.rows[row["row"]]
        instruction = worlds[row["dataset"]].asked[words]
        labels = {kind: frozenset(row[kind]) for kind in KINDS}
        labels["titles"] = frozenset(_one_title(title, instruction) for title in row["titles"])
        out.append(Text(row["dataset"], row["generator"], row["row"], text, instruction, labels))
    return out


def _one_title(name: str, instruction: Instruction) -> str:
    """The first that is called as the item `name` is: c, h1 ..."""
    shown = {item.item_id: title_key(item.title) for item in (instruction.candidate, *instruction.history)}
    return next((one for one, title in shown.items() if title == shown[name]), name) if name in shown else name


def claims_of(text: Text, reader: ClaimReader) -> Mapping[str, frozenset[str]]:
    """What the reader reads, spelled as labels are."""
    claims = reader.read(text.text, text.instruction)
    titles = (c for c in claims if c.kind == "title")
    return {
        "titles": frozenset(_one_title(c.items[0], text.instruction) if c.about else f"x:{c.value}" for c in titles),
        "attributes": frozenset(_spelled(c) for c in claims if c.kind == "attribute"),
        "profile": frozenset(_spelled(c) for c in claims if c.kind == "profile"),
    }


def _spelled(claim: Claim) -> str:
    return f"{'' if claim.about else 'x:'}{claim.column}={claim.value}"


def substrings(text: Text) -> Mapping[str, frozenset[str]]:
    """The trivial rule: titles, values and facts that stand in the text as they are spelled."""
    asked = text.instruction
    shown = (asked.candidate, *asked.history)
    values = {(column, value) for item in shown for column, found in item.attributes.items() for value in found}
    return {
        "titles": frozenset(_one_title(item.item_id, asked) for item in shown if item.title in text.text),
        "attributes": frozenset(f"{column}={value}" for column, value in values if value in text.text),
        "profile": frozenset(
            f"{column}={value}" for column, value in asked.user.attributes.items() if value in text.text
        ),
    }


def compare(text: Text, read: Mapping[str, frozenset[str]], kind: str) -> tuple[set[str], set[str], set[str]]:
    """What was read rightly, what wrongly, and what was missed."""
    right, wrong, missed = set[str](), set[str](), set(text.labels[kind])
    for one in sorted(read[kind]):
        same = next((label for label in sorted(missed) if _same(one, label, kind)), None)
        (wrong if same is None else right).add(one)
        missed.discard(same or "")
    return right, wrong, missed


def _same(one: str, other: str, kind: str) -> bool:
    if kind == "titles" and one.startswith("x:") and other.startswith("x:"):
        mine, theirs = (" ".join(title_key(title[2:])) for title in (one, other))
        return mine in theirs or theirs in mine or SequenceMatcher(None, mine, theirs).ratio() >= _LOOSELY
    return one == other


def counts(texts: list[Text], rule: Rule) -> np.ndarray:
    """Of each text and kind: read rightly, read, labelled."""
    out = np.zeros((len(texts), len(KINDS), 3))
    for row, text in enumerate(texts):
        read = rule(text)
        for column, kind in enumerate(KINDS):
            right, wrong, missed = compare(text, read, kind)
            out[row, column] = len(right), len(right) + len(wrong), len(right) + len(missed)
    return out


def lines(texts: list[Text], rule: Rule, name: str) -> Iterator[str]:
    sums = counts(texts, rule)

    def shares(totals: np.ndarray) -> np.ndarray:
        return np.stack([ratio(totals[..., 0], totals[..., 1]), ratio(totals[..., 0], totals[..., 2])], axis=-1)

    value, low, high = intervals(sums, shares, 1, f"claims/{name}")
    parts = []
    for column, kind in enumerate(KINDS):
        said = [f"{value[column, one]:.3f} [{low[column, one]:.3f}, {high[column, one]:.3f}]" for one in (0, 1)]
        parts.append(f"{kind} {said[0]} {said[1]} ({sums[:, column, 2].sum():.0f})")
    yield f"{name} ({len(texts)}): {'; '.join(parts)}"


def mistakes(texts: list[Text], rule: Rule) -> Iterator[str]:
    for text in texts:
        read = rule(text)
        found = {kind: compare(text, read, kind) for kind in KINDS}
        if any(wrong or missed for _, wrong, missed in found.values()):
            yield f"{text.dataset} {text.generator} {text.row}: {text.text}"
            for kind, (_, wrong, missed) in found.items():
                yield from (f"  {kind}: read {one}" for one in sorted(wrong))
                yield from (f"  {kind}: missed {one}" for one in sorted(missed))


def speed(release: Release, dataset: str, world: World) -> float:
    """Texts a minute of one core, each generator's texts once."""
    rows = [
        (text, world.asked[words])
        for answers in release.answers[dataset]
        if answers.recommender == RECOMMENDER
        for words, text in answers.rows
        if words in world.asked
    ]
    start = time.process_time()
    for text, instruction in rows:
        world.reader.read(text, instruction)
    return 60 * len(rows) / (time.process_time() - start)


if __name__ == "__main__":
    main()
