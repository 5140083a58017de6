"""What is wrong with explanations, file by file: do they answer their prompt, and what do they say that is not so?"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from llmxrec.evaluation.audit.findings import Finding, examples, grade, share, wilson
from llmxrec.evaluation.material import Answers, Part, Question, Row
from llmxrec.evidence.naming import Candidates, Catalogue, Naming
from llmxrec.evidence.nouns import NOUNS, nouns
from llmxrec.evidence.profile import facts_told
from llmxrec.evidence.refusals import is_refusal
from llmxrec.evidence.spelling import words_of
from llmxrec.records import Explanation

ELSEWHERE_TOLERATED, ELSEWHERE_CRITICAL = 0.02, 0.2
"""Of texts that name another prompt's candidate and never their own. A model that names a film nobody showed it, and
leaves out its own, does this now and then; a file that was mixed up does it in most rows."""
DOMAIN_TOLERATED, DOMAIN_CRITICAL = 0.2, 0.5
"""Of texts in another domain's words only. News about games and films is told so, rightly."""
UNMEASURED_TOLERATED, UNMEASURED_CRITICAL = 0.01, 0.2
"""Of refusals, and of answers that are empty or cut: more, and those who are left are no sample of all."""
LONG_TOLERATED = 0.05
"""Of answers longer than was asked for. Judges prefer longer texts."""
INVENTED_TOLERATED, INVENTED_CRITICAL = 0.02, 0.5
"""Of texts that name a title that was not shown. Models tell a film by another now and then."""
TOLD_BACK_TOLERATED = 0.01
"""Of texts that tell customers their age, gender or occupation."""


@dataclass(frozen=True, slots=True)
class Text:
    """An explanation with its question, and what it names."""

    row: Row
    explanation: Explanation
    question: Question
    naming: Naming


def read_texts(answers: Answers, questions: Mapping[Row, Question], catalogue: Catalogue) -> list[Text]:
    """The answers that say something about a known row; refusals and cut answers are left to `unmeasured`."""
    out = []
    for row in answers.rows:
        question = questions.get((row.user_id, row.item_id))
        if question is not None and row.status == "ok" and row.text.strip() and not is_refusal(row.text):
            seen = _as_seen(row, question)
            out.append(Text((row.user_id, row.item_id), row, seen, catalogue.read(row.text, seen.instruction)))
    return out


def _as_seen(row: Explanation, question: Question) -> Question:
    """The question as this generator was shown it: its oldest history may have been left out."""
    history = question.instruction.history
    if not row.prompt or row.history >= len(history):
        return question
    return replace(question, instruction=replace(question.instruction, history=history[len(history) - row.history :]))


class Elsewhere:
    """The candidates of all prompts that are looked at together, and whose they are."""

    def __init__(self, parts: Sequence[Part]) -> None:
        self._whose: dict[str, dict[tuple[str, str], set[str]]] = {}
        for part in parts:
            for recommender, questions in part.questions.items():
                for (user_id, _), question in questions.items():
                    title = question.instruction.candidate.title
                    whose = self._whose.setdefault(title, {})
                    whose.setdefault((part.name, recommender), set()).add(user_id)
        self._candidates = Candidates(self._whose)

    def find(self, text: Text) -> str | None:
        """The candidate of another prompt that `text` is about, though it never names its own."""
        if text.naming.candidate:
            return None
        instruction = text.question.instruction
        shown = (instruction.candidate.title, *(item.title for item in instruction.history))
        return self._candidates.closest(text.explanation.text, shown)

    def tell(self, part: str, recommender: str, found: Sequence[tuple[Text, str]]) -> str:
        """Whose prompts the texts seem to answer: what another recommender gave the same user, if that explains most;
        else the commonest owner of what they name."""
        same: Counter[str] = Counter()
        owners: Counter[str] = Counter()
        for text, title in found:
            for (dataset, other), users in self._whose[title].items():
                if (dataset, other) == (part, recommender):
                    owners["other rows of this file"] += 1
                else:
                    owners[other if dataset == part else dataset] += 1
                    if dataset == part and text.row[0] in users:
                        same[f"{other}, for the same user"] += 1
        most = same if same and 2 * max(same.values()) > len(found) else owners
        (owner, count), *_ = most.most_common(1)
        return f"most often a candidate of {owner} ({count:,})"


def other_prompts(part: Part, answers: Answers, texts: Sequence[Text], elsewhere: Elsewhere) -> Finding | None:
    """Answers that name the candidate of another prompt and never their own."""
    found = [(text, title) for text in texts if (title := elsewhere.find(text)) is not None]
    if not found:
        return None
    own = sum(text.naming.candidate for text in texts)
    severity = grade(len(found), len(texts), warning=ELSEWHERE_TOLERATED, critical=ELSEWHERE_CRITICAL)
    moved = _moved(texts, found)
    return Finding(
        "other prompts",
        severity,
        _about(part, answers),
        "answers that belong to other prompts",
        f"{own:,} of {len(texts):,} answers name their candidate; {share(len(found), len(texts))} name another "
        f"prompt's and not their own, {elsewhere.tell(part.name, answers.recommender, found)}{moved}",
        len(found),
        len(texts),
        "What these answers win or lose says nothing about their generator.",
        examples((text.row, f"names {title!r}: {text.explanation.text}") for text, title in found),
    )


def _moved(texts: Sequence[Text], found: Sequence[tuple[Text, str]]) -> str:
    """By how many rows the file has slipped, if most that was found stands the same way off."""
    where: dict[str, list[int]] = {}
    for place, text in enumerate(texts):
        where.setdefault(text.question.instruction.candidate.title, []).append(place)
    places = {text.row: place for place, text in enumerate(texts)}
    steps: Counter[int] = Counter()
    for text, title in found:
        steps.update({to - places[text.row] for to in where.get(title, ())})
    (step, count), (_, next_most) = [*steps.most_common(2), (0, 0), (0, 0)][:2]
    sure = wilson(count, len(found))[0] > 0.5 and count > 2 * next_most
    return f"; rows seem to have slipped by {step:+d}" if sure else ""


def other_domain(part: Part, answers: Answers, texts: Sequence[Text]) -> Finding | None:
    """Answers that speak of another kind of items, and never of their own."""
    own = nouns(part.domain)
    foreign = {name: words for name, words in NOUNS.items() if not words & own}
    found: list[tuple[Text, str]] = []
    for text in texts:
        said = set(words_of(text.naming.masked))
        if not said & own:
            found += [(text, name) for name, words in foreign.items() if said & words][:1]
    severity = grade(len(found), len(texts), warning=DOMAIN_TOLERATED, critical=DOMAIN_CRITICAL)
    if not found or severity == "note":
        return None
    (name, _), *_ = Counter(name for _, name in found).most_common(1)
    return Finding(
        "other domain",
        severity,
        _about(part, answers),
        "answers about another kind of items",
        f"{share(len(found), len(texts))} never speak of {part.domain.items}, but as of {name}",
        len(found),
        len(texts),
        "What these answers win or lose says nothing about their generator.",
        examples((text.row, text.explanation.text) for text, _ in found),
    )


def unmeasured(part: Part, answers: Answers) -> Iterator[Finding]:
    """Refusals, answers that are empty or never came, answers that were cut."""
    rows = answers.rows
    refused = [row for row in rows if row.status == "refused" or (row.status == "ok" and is_refusal(row.text))]
    empty = [row for row in rows if row.status in ("empty", "failed", "invalid") or not row.text.strip()]
    cut = [
        row for row in rows if row not in empty and (row.status == "truncated" or (row.status == "ok" and _is_cut(row)))
    ]
    kinds = (
        ("refusals", "refusals", refused, "A refusal is no explanation: counted as a text, it loses to any other."),
        ("no answer", "rows without an answer", empty, "Those who got an answer may be no fair sample of all."),
        ("cut", "answers that end within a sentence", cut, "Cut answers are judged by what they did not come to say."),
    )
    for check, title, found, consequence in kinds:
        if found:
            severity = grade(len(found), len(rows), warning=UNMEASURED_TOLERATED, critical=UNMEASURED_CRITICAL)
            counted = sum(row.status == "ok" for row in found)
            noted = f"; {counted:,} of them are stored as sound" if check != "no answer" and counted else ""
            yield Finding(
                check,
                severity,
                _about(part, answers),
                title,
                share(len(found), len(rows)) + noted,
                len(found),
                len(rows),
                consequence,
                examples(
                    ((row.user_id, row.item_id), row.text[-160:] if check == "cut" else row.text) for row in found
                ),
            )


def over_length(part: Part, answers: Answers) -> Finding | None:
    """Answers longer than was asked for."""
    rows = [row for row in answers.rows if row.text.strip()]
    lengths = {id(row): len(row.text.split()) for row in rows}
    found = [row for row in rows if lengths[id(row)] > answers.max_words]
    if not found:
        return None
    longest = max(lengths.values())
    return Finding(
        "over-length",
        grade(len(found), len(rows), warning=LONG_TOLERATED),
        _about(part, answers),
        "answers longer than was asked for",
        f"{share(len(found), len(rows))} have more than {answers.max_words} words, the longest {longest:,}",
        len(found),
        len(rows),
        "Longer texts win more often; a generator that ignores the limit is compared with those that keep it.",
        examples(((row.user_id, row.item_id), f"{lengths[id(row)]} words: {row.text}") for row in found),
    )


def invented(part: Part, answers: Answers, texts: Sequence[Text]) -> Iterator[Finding]:
    """Titles of the catalogue that were not shown, and quotations that are no title at all."""
    kinds = (
        (
            "not shown",
            "titles of the catalogue that the prompt did not show",
            [(text, text.naming.others) for text in texts if text.naming.others],
            "The customer is told of an item as if it were theirs; a judge cannot tell, a customer can.",
        ),
        (
            "unknown",
            "quotations like titles that neither prompt nor catalogue has",
            [(text, text.naming.unknown) for text in texts if text.naming.unknown],
            "Invented, or told from memory: not from what the prompt says, which was all that should be used.",
        ),
    )
    for check, title, found, consequence in kinds:
        if found:
            yield Finding(
                check,
                grade(len(found), len(texts), warning=INVENTED_TOLERATED, critical=INVENTED_CRITICAL),
                _about(part, answers),
                title,
                f"{share(len(found), len(texts))} have one",
                len(found),
                len(texts),
                consequence,
                examples((text.row, f"{', '.join(names)} in: {text.explanation.text}") for text, names in found),
            )


def history_named(part: Part, answers: Answers, texts: Sequence[Text]) -> Finding | None:
    """How many answers name any item of the history: to know, no fault."""
    asked = [text for text in texts if text.question.instruction.history]
    found = [text for text in asked if text.naming.history]
    if not asked:
        return None
    titles = sum(len(text.naming.history) for text in asked)
    return Finding(
        "history named",
        "note",
        _about(part, answers),
        "answers that name what the customer had",
        f"{share(len(found), len(asked))}, {titles / len(asked):.2f} titles each on average",
        len(found),
        len(asked),
        "An answer that names none of the history could have been given to anybody.",
        examples((text.row, ", ".join(text.naming.history)) for text in found),
    )


def told_back(part: Part, answers: Answers, texts: Sequence[Text]) -> Finding | None:
    """Answers that tell customers what is known of them: age, gender, occupation."""
    asked = [text for text in texts if text.question.instruction.user.attributes]
    found = [(text, told) for text in asked if (told := _told(text))]
    if not found:
        return None
    counts = Counter(name for _, told in found for name in told)
    return Finding(
        "told back",
        grade(len(found), len(asked), warning=TOLD_BACK_TOLERATED),
        _about(part, answers),
        "customers told what is known of them",
        f"{share(len(found), len(asked))}: " + ", ".join(f"{name} {count:,}" for name, count in counts.most_common()),
        len(found),
        len(asked),
        "Personal data is no reason to like an item; telling it back reads as stereotype, and customers mind.",
        examples((text.row, f"{', '.join(told)}: {text.explanation.text}") for text, told in found),
    )


_GREETING = re.compile(r"(?:,\s*\n.{1,60}|\b(?:regards|sincerely|yours|cheers|best),?)\Z", re.IGNORECASE)


def _told(text: Text) -> list[str]:
    """What the text tells of the customer that is so."""
    known = text.question.instruction.user.attributes
    facts = facts_told(text.naming.masked, known)
    told = {fact.column for fact in facts if fact.value == known[fact.column]}
    return [name for name in known if name in told]


def _is_cut(row: Explanation) -> bool:
    """Whether a text ends within a sentence: not after a sign that ends one, and not with greetings."""
    text = row.text.rstrip()
    end = re.split(r"[.!?]\s|\n", text)[-1]
    return bool(end) and (end[-1].isalnum() or end[-1] in ",;:-–—(&") and not _GREETING.search(text)


def _about(part: Part, answers: Answers) -> str:
    return f"{part.name}: {answers.recommender} x {answers.generator}"
