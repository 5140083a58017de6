"""Texts given to different people in the same words, found without comparing each with each."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from hashlib import blake2b

from llmxrec.evaluation.audit.answers import Text
from llmxrec.evaluation.audit.findings import Finding, examples, grade, share
from llmxrec.evaluation.material import Answers, Part
from llmxrec.evidence.spelling import words_of

DUPLICATES_TOLERATED, DUPLICATES_CRITICAL = 0.05, 0.5
"""Of texts that somebody else was given as well. Short texts about one candidate may agree by chance."""
ALIKE = 0.8
"""Of two texts' runs of words, the least share in common at which they are called near-duplicates."""
_RUN = 4
_LOOKED_AT = 40
"""Texts that one is compared with at most: those that share its rarest runs of words. A text that has a twin shares
nearly all of them, so the first few tell."""


def duplicates(part: Part, answers: Answers, texts: Sequence[Text]) -> Iterator[Finding]:
    """Texts said twice or nearly so, and, to know, texts that are one form filled in."""
    words = [words_of(text.explanation.text) for text in texts]
    yield from _twice(part, answers, texts, groups(words, exactly=True), groups(words))
    masked = groups([words_of(text.naming.masked.replace("□", " 0 ")) for text in texts])
    alike = sum(len(group) for group in masked)
    if texts and 2 * alike > len(texts):
        largest = max(masked, key=len)
        yield Finding(
            "template",
            "note",
            f"{part.name}: {answers.recommender} x {answers.generator}",
            "texts that are a form filled in",
            f"{share(alike, len(texts))} have a twin but for the titles named; {len(masked):,} forms, the commonest in "
            f"{len(largest):,}",
            alike,
            len(texts),
            "Judged once, a form is judged for all: such texts are no independent rows.",
            examples((texts[place].row, texts[place].explanation.text) for place in largest),
        )


def _twice(
    part: Part, answers: Answers, texts: Sequence[Text], same: Sequence[Sequence[int]], near: Sequence[Sequence[int]]
) -> Iterator[Finding]:
    """A text that names what its customer had is theirs, though somebody else who had it was told the same."""
    found, across = [], 0
    for group in near:
        several = len({texts[place].row[1] for place in group}) > 1
        across += len(group) if several else 0
        found.append([place for place in group if several or _is_for_anybody(texts[place])])
    count = sum(map(len, found))
    if not count:
        return
    largest = max(found, key=len)
    exactly = {place for group in same for place in group}
    word_for_word = sum(place in exactly for group in found for place in group)
    yield Finding(
        "duplicates",
        grade(count, len(texts), warning=DUPLICATES_TOLERATED, critical=DUPLICATES_CRITICAL),
        f"{part.name}: {answers.recommender} x {answers.generator}",
        "texts given to several people that name nothing they had",
        f"{share(count, len(texts))} nearly as they are, {word_for_word:,} of them word for word; the commonest "
        f"{len(largest):,} times; {across:,} about different items",
        count,
        len(texts),
        "One text judged many times: intervals are narrower than they should be, and nobody's own history is told.",
        examples((texts[place].row, texts[place].explanation.text) for place in largest),
    )


def _is_for_anybody(text: Text) -> bool:
    return bool(text.question.instruction.history) and not text.naming.history


def groups(texts: Sequence[Sequence[str]], *, exactly: bool = False) -> list[list[int]]:
    """Places of texts, given as words, that are the same or nearly the same as another; each group two or more.

    Near: each is as good as its group's first text, in that both have `ALIKE` of their runs of words in common. Texts
    of fewer words than a run has are only ever the same.
    """
    members: dict[Sequence[str], list[int]] = defaultdict(list)
    for place, words in enumerate(texts):
        members[tuple(words)].append(place)
    if not exactly:
        members = _near(members)
    return [places for places in members.values() if len(places) > 1]


def _near(members: dict[Sequence[str], list[int]]) -> dict[Sequence[str], list[int]]:
    """Groups of equal texts, brought together where they are alike.

    Two texts that have the share `ALIKE` in common share one of the rarest runs of each (prefix filtering: Bayardo, Ma
    and Srikant, 2007), so only texts that do are compared. A text that joins a group is not looked up again.
    """
    runs = {words: _runs(words) for words in members}
    often = Counter(run for found in runs.values() for run in found)
    out: dict[Sequence[str], list[int]] = {}
    holding: dict[int, list[Sequence[str]]] = defaultdict(list)
    for words, places in members.items():
        mine = runs[words]
        rarest = sorted(mine, key=lambda run: (often[run], run))[: len(mine) - int(ALIKE * len(mine) - 1e-9)]
        like = Counter(other for run in rarest for other in holding[run][:_LOOKED_AT])
        twin = next((other for other, _ in like.most_common(_LOOKED_AT) if _jaccard(mine, runs[other]) >= ALIKE), None)
        if twin is not None:
            out[twin] += places
            continue
        out[words] = list(places)
        for run in rarest:
            holding[run].append(words)
    return out


def _runs(words: Sequence[str]) -> frozenset[int]:
    """The runs of words of a text, each as a number: the same in every process."""
    joined = (" ".join(words[at : at + _RUN]) for at in range(len(words) - _RUN + 1))
    return frozenset(int.from_bytes(blake2b(run.encode(), digest_size=8).digest(), "big") for run in joined)


def _jaccard(one: frozenset[int], other: frozenset[int]) -> float:
    return len(one & other) / len(one | other) if one or other else 0.0
