"""The texts that the embedded model learns from: sentences written for this project, composed for simulated plans.

    python training/embedded/corpus.py [NUMBER] [--seed 1]      prints some, for a made-up film
    python training/embedded/corpus.py --phrases                puts their phrases into the package

`patterns/` holds the sentences, one pattern a line: `(this|that|)` is a choice, slots stand in braces. Each file is a
move that an explanation can make; a text is a first sentence that gives the reason, up to two that add to it, and an
end.
"""

from __future__ import annotations

import argparse
import random
import re
from dataclasses import dataclass
from functools import cache
from itertools import product
from pathlib import Path

from llmxrec.datasets.domains import load_domain
from llmxrec.evidence.plan import Plan
from llmxrec.generators.embedded import slots
from llmxrec.generators.embedded.phrases import Phrase, phrases_of, write_phrases
from llmxrec.generators.embedded.realise import realise
from llmxrec.records import Item

PATTERNS = Path(__file__).parent / "patterns"
PACKAGE = Path(__file__).parents[2] / "src/llmxrec/generators/embedded/model"
_PLAIN, _CLOSED = 0.06, 0.5
"""The share of texts that are a plain sentence, and of longer ones that end with reassurance or invitation."""
_MOST_WORDS = 62
_FAMILIAR = frozenset(("familiar", "home", "right", "settle", "safe"))
"""Words of an end that would gainsay something new."""

Node = str | list["Node"] | tuple["Node", ...]
"""Words; a sequence; a choice."""


@dataclass(frozen=True)
class Pattern:
    """A line of a file, read."""

    text: str
    node: Node

    def draw(self, random_: random.Random) -> tuple[str, ...]:
        """One of the sentences that it stands for."""
        return slots.tokens_of(_drawn(self.node, random_))

    def sentences(self) -> list[tuple[str, ...]]:
        """All the sentences that it stands for."""
        return [slots.tokens_of(text) for text in _all(self.node)]


@cache
def patterns(move: str) -> tuple[Pattern, ...]:
    """Those of a file of `patterns/`."""
    lines = (PATTERNS / f"{move}.txt").read_text(encoding="utf-8").splitlines()
    return tuple(Pattern(line, read(line)) for line in lines if line and not line.startswith("#"))


def read(text: str) -> Node:
    """`a (b|c (d|))` as a tree. Raises ValueError where brackets do not match."""
    stack: list[list[list[Node]]] = [[[]]]
    for part in re.split(r"([(|)])", text):
        if part == "(":
            stack.append([[]])
        elif part == "|" and len(stack) > 1:
            stack[-1].append([])
        elif part == ")" and len(stack) > 1:
            choice: Node = tuple(stack.pop())
            stack[-1][-1].append(choice)
        elif part in ("(", "|", ")"):
            raise ValueError(f"brackets match: {text}")
        else:
            stack[-1][-1].append(part)
    if len(stack) > 1:
        raise ValueError(f"brackets match: {text}")
    return stack[0][0]


def _drawn(node: Node, random_: random.Random) -> str:
    if isinstance(node, str):
        return node
    if isinstance(node, tuple):
        return _drawn(random_.choice(node), random_)
    return "".join(_drawn(part, random_) for part in node)


def _all(node: Node) -> list[str]:
    if isinstance(node, str):
        return [node]
    if isinstance(node, tuple):
        return [text for choice in node for text in _all(choice)]
    return ["".join(parts) for parts in product(*map(_all, node))]


def known_phrases() -> set[Phrase]:
    """The phrases of all sentences of all patterns."""
    moves = sorted(file.stem for file in PATTERNS.glob("*.txt"))
    return phrases_of(sentence for move in moves for pattern in patterns(move) for sentence in pattern.sentences())


def simulate(random_: random.Random) -> Plan:
    """A plan with facts in any combination that a real one can have. What they are does not matter: they are slots."""
    items = [Item(str(n), f"Film {n}") for n in range(6)]
    cited = random_.choices(range(4), (12, 30, 30, 28))[0]
    n_labels = random_.choices(range(4), (8, 45, 28, 19))[0] if cited else 0
    properties = 0 if n_labels and random_.random() < 0.8 else random_.choice((1, 1, 1, 2))
    count = n_labels > 0 and random_.random() < 0.5
    favourite = count and random_.random() < 0.5
    recent = random_.choices(range(3), (15, 25, 60) if cited else (25, 25, 50))[0]
    taste = (cited or recent) and not favourite and random_.random() < 0.4
    return Plan(
        domain=load_domain("movies"),
        candidate=Item("c", "The Candidate"),
        cited=tuple(items[:cited]),
        labels=("Crime", "Drama", "War")[:n_labels],
        properties=(("author", "Ada"), ("brand", "Acme"))[: properties if cited else 0],
        count=5 if count else 0,
        total=20,
        favourite=favourite,
        taste=("Comedy", 9) if taste else None,
        novel="Western" if (cited or recent) and random_.random() < 0.4 else None,
        own="Horror" if random_.random() < 0.5 else None,
        recent=tuple(items[4 : 4 + recent]),
        newest=random_.random() < 0.75,
        profile=(("occupation", "artist"),) if random_.random() < 0.04 else (),
    )


def compose(plan: Plan, random_: random.Random) -> list[list[str]]:
    """The sentences of a text for `plan`."""
    reasons = (
        ["cause"] * 6 * bool(plan.labels) + ["property"] * 2 * bool(plan.properties) + ["count"] * bool(plan.count)
    )
    first = random_.choice(reasons) if reasons else "recent" if plan.recent else "bare"
    if first != "bare" and random_.random() < _PLAIN:
        return [_sentence("plain", plan, [], random_)]
    text = [_sentence(first, plan, [], random_)]
    wanted = random_.choices((0, 1, 2), (25, 45, 30))[0]
    shared = ["more"] * bool(plan.labels) + ["property"] * (bool(plan.properties) and first == "cause")
    alone = ["count", "taste", "novelty", "own", "profile"]
    random_.shuffle(shared)
    random_.shuffle(alone)
    for move in [*shared, *alone]:  # "they" are those of the first sentence: what adds to it stands behind it
        if len(text) <= wanted and (move in alone or (len(text) == 1 and random_.random() < 0.6)):
            one = _sentence(move, plan, text, random_)
            # What is new is said once.
            if one and not (_novel(one) and any(map(_novel, text))):
                text.append(one)
    if random_.random() < (_CLOSED if len(text) > 1 else 0.7 * _CLOSED):
        one = _sentence("close", plan, text, random_)
        if one and not (_FAMILIAR & {*one} and any(map(_novel, text))):
            text.append(one)
    while len(text) > 1 and sum(map(len, text)) > _MOST_WORDS:
        text.pop()
    return text


def _novel(sentence: list[str]) -> bool:
    return not slots.NOVELTY.isdisjoint(sentence)


def _sentence(move: str, plan: Plan, before: list[list[str]], random_: random.Random) -> list[str]:
    """One of a move that the plan bears out and that repeats no fact of the sentences before; none: empty."""
    said = [token for sentence in before for token in sentence]
    found = [*patterns(move)]
    random_.shuffle(found)
    for pattern in found[:40]:
        for _ in range(4):
            sentence = list(pattern.draw(random_))
            if _fits(sentence, said, plan, first=not before):
                return sentence
    return []


def _fits(sentence: list[str], said: list[str], plan: Plan, *, first: bool) -> bool:
    left = slots.uses(plan)
    for token in [*said, *sentence]:
        if token in left:
            left[token] -= 1
        elif token in slots.SLOTS and token not in slots.DOMAIN:
            return False
    if any(uses < 0 for uses in left.values()):
        return False
    if not all(slots.licensed(word, plan) for word in sentence):
        return False
    if not all(slots.may_follow(token, sentence[:place], plan) for place, token in enumerate(sentence)):
        return False
    return slots.complete(sentence, plan) if first else True


def example(random_: random.Random) -> tuple[Plan, list[str]]:
    """A plan, and what is to be written of it: whole sentences that keep every rule."""
    while True:
        plan = simulate(random_)
        text = compose(plan, random_)
        tokens = [token for sentence in text for token in sentence]
        if text[0] and slots.obeys(tokens, plan):
            return plan, tokens


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("number", type=int, nargs="?", default=10)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--phrases", action="store_true")
    asked = parser.parse_args()
    if asked.phrases:
        write_phrases(PACKAGE, known_phrases())
        return
    random_ = random.Random(asked.seed)
    for _ in range(asked.number):
        plan, tokens = example(random_)
        print("-", realise(tokens, plan))


if __name__ == "__main__":
    main()
