"""The words of the model that are not words: what a plan looks like to it, the slots it may fill, and where.

Every title in a sentence has every label in that sentence, and a label that no title has stands alone; so no word
between two slots can make a relation that the plan does not hold.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from functools import lru_cache

from llmxrec.evidence.plan import MOST_CITED, MOST_LABELS, MOST_PROPERTIES, MOST_RECENT, Plan

CANDIDATE = "{cand}"
CITED = ("{h1}", "{h2}", "{h3}")
LABELS = ("{A}", "{B}", "{C}")
PROPERTIES = ("{P}", "{Q}")
RECENT = ("{r}", "{s}")
COUNT, TOTAL, TASTE, TASTE_COUNT, NOVEL, OWN, PROFILE = "{nA}", "{total}", "{T}", "{nT}", "{N}", "{D}", "{U}"
DOMAIN = ("{item}", "{items}", "{verb}", "{verb_past}")
"""The domain's words; any sentence may have them, as often as it likes."""

SLOTS = (
    CANDIDATE, *CITED, *LABELS, *PROPERTIES, *RECENT, COUNT, TOTAL, TASTE, TASTE_COUNT, NOVEL, OWN, PROFILE, *DOMAIN,
)  # fmt: skip

MOST_SENTENCES = 4
SENTENCES = tuple(f"<s{n}>" for n in range(1, MOST_SENTENCES + 1))
"""How many sentences are wanted: part of what the model reads."""
PAD, BEGIN, END, UNKNOWN = "<pad>", "<begin>", "<end>", "<unknown>"
_FLAGS = ("count", "favourite", "taste", "novel", "own", "newest", "profile")
_FEATURES = (
    *(f"<h{n}>" for n in range(MOST_CITED + 1)),
    *(f"<l{n}>" for n in range(MOST_LABELS + 1)),
    *(f"<p{n}>" for n in range(MOST_PROPERTIES + 1)),
    *(f"<r{n}>" for n in range(MOST_RECENT + 1)),
    *(f"<{no}{name}>" for name in _FLAGS for no in ("", "no-")),
)
MARKS = (PAD, BEGIN, END, UNKNOWN, *_FEATURES, *SENTENCES)
"""Tokens that are never said."""

SENTENCE_ENDS = (".", "!", "?")
HABIT = frozenset("most mostly mainly usually often favourite usual main lead steady leaning".split())
"""Words of what is had most: allowed where the plan has a favourite or a taste, and of that alone."""
NOVELTY = frozenset(["new", "change", "different", "widens", "broadens", "stretches", "break", "opens", "fresh"])
"""Words that need something that was not there before."""
CONTRAST = frozenset("not no none never without unlike instead nothing little away aside cannot rather".split())
"""Words that set one thing against another: none may meet what is shared."""
RECENCY = frozenset(["last", "latest", "lately", "recently", "just", "straight", "ends", "end", "late"])
"""Words of what came last: of items that are not the newest they may not be said."""
LEISURE = frozenset(
    "evening hour tonight night quiet free season month year moment engaging engaged enjoyable keeps keep promise "
    "home familiar lives attention spirit mood settle while remains stays start begin going hold holds place waits "
    "waiting".split()
)
"""What is said of things to watch, play and read, and of nothing else that can be bought."""
_WATCHED = ("movies", "games", "news")
_WORDS = {"habit": HABIT, "novelty": NOVELTY, "contrast": CONTRAST, "recency": RECENCY}

_KIND = {
    CANDIDATE: "candidate", COUNT: "count", TOTAL: "total", TASTE: "taste", TASTE_COUNT: "taste count", NOVEL: "novel",
    OWN: "own", PROFILE: "profile", LABELS[0]: "first label",
    **dict.fromkeys(CITED, "cited"), **dict.fromkeys(LABELS[1:], "label"), **dict.fromkeys(PROPERTIES, "property"),
    **dict.fromkeys(RECENT, "recent"),
}  # fmt: skip
_SHARED = ("cited", "first label", "label", "property", "count")
_ALONE = {
    **dict.fromkeys(_SHARED, ("taste", "taste count", "novel", "own", "recent", "profile", "contrast", "novelty")),
    "count": ("label", "property", "taste", "taste count", "novel", "own", "recent", "profile", "contrast", "novelty"),
    "taste": ("candidate", "own", "novel", "recent", "profile"),
    "taste count": ("candidate", "own", "novel", "recent", "profile"),
    "novel": ("own", "recent", "profile", "contrast"),
    "own": ("recent", "profile", "contrast", "novelty"),
    "recent": ("profile",),
    "first label": ("first label", "taste", "taste count", "novel", "own", "recent", "profile", "contrast", "novelty"),
    "candidate": ("candidate",),
}
_APART = frozenset(frozenset((one, other)) for one, others in _ALONE.items() for other in others)
"""Kinds that no sentence has both of: every title named in a sentence has every label named in it."""


def kinds(token: str) -> tuple[str, ...]:
    """What the rules know a token as: nothing, for most words."""
    if token in _KIND:
        return (_KIND[token],)
    return tuple(name for name, words in _WORDS.items() if token in words)


def may_follow(token: str, sentence: Iterable[str], plan: Plan) -> bool:
    """Whether `token` may stand in a sentence that has the tokens `sentence` already."""
    mine = kinds(token)
    return not mine or not any(_apart(one, other, plan) for one in mine for t in sentence for other in kinds(t))


def _apart(one: str, other: str, plan: Plan) -> bool:
    pair = {one, other}
    if "habit" in pair and not plan.favourite and not pair.isdisjoint(_SHARED):
        return True
    return frozenset(pair) in _APART or (pair == {"recency", "recent"} and not plan.newest)


def uses(plan: Plan) -> dict[str, int]:
    """How often a text may use each slot of `plan`; slots that are not here it may not use.

    The candidate and the first label may come again in another sentence.
    """
    there = [*CITED[: len(plan.cited)], *LABELS[: len(plan.labels)], *PROPERTIES[: len(plan.properties)]]
    there += RECENT[: len(plan.recent)] if not plan.cited else []
    there += [COUNT] if plan.count else []
    there += [TASTE, TASTE_COUNT] if plan.taste else []
    there += [name for name, value in ((NOVEL, plan.novel), (OWN, plan.own), (PROFILE, plan.profile)) if value]
    there += [TOTAL] if plan.count or plan.taste else []
    return {**dict.fromkeys(there, 1), CANDIDATE: 2} | ({LABELS[0]: 2} if plan.labels else {})


def licensed(word: str, plan: Plan) -> bool:
    """Whether the plan bears out what `word` would claim."""
    if word in LEISURE and plan.domain.name not in _WATCHED:
        return False
    if word in HABIT:
        return plan.favourite or plan.taste is not None
    return word not in NOVELTY or plan.novel is not None or plan.taste is not None


def complete(tokens: Sequence[str], plan: Plan) -> bool:
    """Whether a text names what it must: the candidate, and where something is shared, who shares what."""
    used = set(tokens)
    shared = not plan.cited or (
        not used.isdisjoint(CITED) and not used.isdisjoint((*LABELS[: len(plan.labels)], *PROPERTIES))
    )
    return CANDIDATE in used and shared


def obeys(tokens: Sequence[str], plan: Plan) -> bool:
    """Whether a whole text keeps every rule here."""
    left = uses(plan)
    sentence: list[str] = []
    for token in tokens:
        if token in MARKS or not may_follow(token, sentence, plan) or not licensed(token, plan):
            return False
        if token in SLOTS and token not in DOMAIN:
            left[token] = left.get(token, 0) - 1
            if left[token] < 0:
                return False
        sentence.append(token)
        if token in SENTENCE_ENDS:
            sentence = []
    return not sentence and complete(tokens, plan)


def read_plan(plan: Plan, sentences: int) -> list[str]:
    """What the model reads before it writes: always of one length, so that nothing is ever padded."""
    return [
        BEGIN,
        f"<h{len(plan.cited)}>",
        f"<l{len(plan.labels)}>",
        f"<p{len(plan.properties)}>",
        f"<r{0 if plan.cited else len(plan.recent)}>",
        *(f"<{name}>" if getattr(plan, name) else f"<no-{name}>" for name in _FLAGS),
        SENTENCES[sentences - 1],
    ]


READ = 13
"""Tokens that `read_plan` makes of any plan."""

_TOKEN = re.compile(r"\{\w+\}|[^\W_]+(?:['’-][^\W_]+)*|[.,:;!?]")


@lru_cache(maxsize=1 << 14)
def tokens_of(text: str) -> tuple[str, ...]:
    """Words (in lower case), slots and punctuation of a text that has nothing else."""
    return tuple(token if token.startswith("{") else token.lower() for token in _TOKEN.findall(text))
