"""What is wrong before any explanation: what was recommended, what was shown, and whether all were asked the same."""

from __future__ import annotations

from collections import Counter, defaultdict

from llmxrec.evaluation.audit.findings import Finding, examples, grade, share
from llmxrec.evaluation.material import Answers, Part, Question
from llmxrec.evidence.spelling import title_key
from llmxrec.records import Item

SEEN_TOLERATED, SEEN_CRITICAL = 0.02, 0.2
"""Of prompts whose candidate stands in the history they show. Two films can have one title; more is a recommender that
was not kept from what its users had."""
TOP_TOLERATED, TOP_CRITICAL = 0.25, 0.5
"""Of users whose best recommendation is the same item. What is popular is recommended often, rarely to a quarter."""
PROMPTS_TOLERATED, PROMPTS_CRITICAL = 0.01, 0.1
"""Of rows for which generators were not asked the same."""
STRAY_TOLERATED, STRAY_CRITICAL = 0.01, 0.5
"""Of explanations of what is not recommended."""
_TRIVIAL = "popularity"
"""The recommender that gives everybody the same on purpose."""


def seen(part: Part, recommender: str) -> Finding | None:
    """Candidates that the displayed history holds already, or that the recommender knew the user to have."""
    questions = part.questions.get(recommender, {})
    shown = {row: question for row, question in questions.items() if _is_shown(question)}
    known = {row: question for row, question in questions.items() if question.known and row not in shown}
    found = {**shown, **known}
    if not found:
        return None
    more = f"; {len(known):,} more the user was known to have" if known else ""
    return Finding(
        "seen",
        grade(len(found), len(questions), warning=SEEN_TOLERATED, critical=SEEN_CRITICAL),
        f"{part.name}: {recommender}",
        "candidates that the customer has already",
        f"{share(len(shown), len(questions))} of the prompts show their candidate in the history{more}",
        len(found),
        len(questions),
        "To say why somebody should take what they have is another task; the easier one, for the history says why.",
        examples((row, question.instruction.candidate.title) for row, question in found.items()),
    )


def collapse(part: Part, recommender: str) -> Finding | None:
    """How many different items are recommended, and how often the commonest. A note where that is as it should be."""
    table = part.recommended.get(recommender) or dict.fromkeys(part.questions.get(recommender, {}), 1)
    best = [row for row, rank in table.items() if rank == 1]
    if not best:
        return None
    often = Counter(item_id for _, item_id in best)
    (top, count), *_ = often.most_common(1)
    severity = grade(count, len(best), warning=TOP_TOLERATED, critical=TOP_CRITICAL)
    title = next((item.title for item in part.items if item.item_id == top), top)
    return Finding(
        "collapse",
        "note" if recommender == _TRIVIAL else severity,
        f"{part.name}: {recommender}",
        "how many items are recommended",
        f"{len(often):,} different items to {len(best):,} users; the commonest to {share(count, len(best))}",
        count,
        len(best),
        "Nothing is wrong with that."
        if severity == "note"
        else "Explanations of one item are compared, not of recommendations; "
        "a text that fits this item fits nearly every row.",
        examples((row, title) for row in best if row[1] == top),
    )


def asked_otherwise(part: Part, recommender: str) -> Finding | None:
    """Rows for which the generators that answered were not shown the same prompt, where it is known what they were.

    A note, where all of them were meant to be asked in different ways.
    """
    prompts: dict[tuple[str, str], dict[str, str]] = defaultdict(dict)
    meant = {}
    for answers in part.answers:
        if answers.recommender == recommender:
            meant[answers.generator] = answers.asked
            for row in (row for row in answers.rows if row.prompt):
                prompts[row.user_id, row.item_id][answers.generator] = row.prompt
    several = {row: asked for row, asked in prompts.items() if len(asked) > 1}
    found = {row: asked for row, asked in several.items() if len(set(asked.values())) > 1}
    if not found:
        return None
    odd: Counter[str] = Counter()
    for asked in found.values():
        common = Counter(asked.values()).most_common(1)[0][0]
        odd.update(name for name, prompt in asked.items() if prompt != common)
    # Of each way of asking that was noted there is one prompt to a row.
    unmeant = {
        row: asked for row, asked in found.items()
        if len({(meant[name], prompt) for name, prompt in asked.items()}) > len({meant[name] for name in asked})
    }  # fmt: skip
    severity = grade(len(unmeant), len(several), warning=PROMPTS_TOLERATED, critical=PROMPTS_CRITICAL)
    return Finding(
        "asked otherwise",
        severity if unmeant else "note",
        f"{part.name}: {recommender}",
        "rows for which generators were asked differently" + ("" if unmeant else ", as they were meant to be"),
        f"{share(len(found), len(several))}; unlike the others: "
        + ", ".join(f"{name} ({count:,})" for name, count in odd.most_common(3)),
        len(found),
        len(several),
        "A difference between such answers may be one between the prompts.",
        examples((row, ", ".join(sorted(asked))) for row, asked in (unmeant or found).items()),
    )


def stray(part: Part, answers: Answers) -> Finding | None:
    """Explanations of items that the recommender does not recommend to that user."""
    table = part.recommended.get(answers.recommender)
    if not table:
        return None
    found = [row for row in answers.rows if (row.user_id, row.item_id) not in table]
    if not found:
        return None
    others: Counter[str] = Counter(
        name
        for row in found
        for name, recommended in part.recommended.items()
        if name != answers.recommender and (row.user_id, row.item_id) in recommended
    )
    theirs = "".join(f"; {count:,} are what {name} recommends to that user" for name, count in others.most_common(1))
    return Finding(
        "stray",
        grade(len(found), len(answers.rows), warning=STRAY_TOLERATED, critical=STRAY_CRITICAL),
        f"{part.name}: {answers.recommender} x {answers.generator}",
        "explanations of what is not recommended",
        share(len(found), len(answers.rows)) + theirs,
        len(found),
        len(answers.rows),
        "They answer another prompt than the other generators; where rows are matched, they are left out.",
        examples(((row.user_id, row.item_id), row.text) for row in found),
    )


def _is_shown(question: Question) -> bool:
    candidate = question.instruction.candidate
    return any(_same(item, candidate) for item in question.instruction.history)


def _same(item: Item, candidate: Item) -> bool:
    """By id where there are ids; by title and attributes where a prompt is all there is: remakes share a title."""
    if item.item_id and candidate.item_id:
        return item.item_id == candidate.item_id
    return title_key(item.title) == title_key(candidate.title) and item.attributes == candidate.attributes
