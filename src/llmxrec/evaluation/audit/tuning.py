"""What is wrong with the rows that a generator was tuned on: is it measured on them, and whom does it imitate?"""

from __future__ import annotations

import json
import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from llmxrec.datasets.literals import unescape
from llmxrec.errors import InputError
from llmxrec.evaluation.audit.findings import Finding, examples, grade, share
from llmxrec.evaluation.audit.material import Tuned
from llmxrec.evaluation.material import Part, Row
from llmxrec.evidence.spelling import Words, title_key, words_of
from llmxrec.records import Pair

PROMPT_TOLERATED, PROMPT_CRITICAL = 0.01, 0.1
"""Of tuning rows that are asked again where generators are measured."""
USER_TOLERATED, USER_CRITICAL = 0.2, 1.0
"""Of tuning rows about somebody who is asked about again, with another candidate: less is learned from that."""
TARGET_TOLERATED, TARGET_CRITICAL = 0.05, 0.5
"""Of tuning targets that are what a compared generator said."""

_NUMBERED = re.compile(r'^\s*\d+[.:] (?:"((?:[^"\\]|\\.)*)"|(.*))', re.MULTILINE)
_SURE = 0.9
"""Of the titles of the shorter history, the share in both at which they are one person's."""
_FEWEST = 5
"""Titles in common, unless both histories are as short as that."""


def read_tuned(file: Path) -> list[Tuned]:
    """The tuning rows of `file`: JSON lines, or one JSON list.

    A row has `instruction` (and `input`) and `output`, as in the paper's release; or `prompt` and `completion`; or
    `messages`, of which the last is the target. Raises InputError for any other.
    """
    try:
        content = file.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise InputError("tuning rows are a file", value=str(file), cure="give its path") from None
    except UnicodeDecodeError as error:
        raise InputError(f"tuning rows are UTF-8: {error}", file=file) from None
    if content.lstrip().startswith("["):
        try:
            rows: list[tuple[int | None, Any]] = [(None, row) for row in json.loads(content)]
        except (ValueError, RecursionError) as error:
            raise InputError(f"a list of tuning rows is JSON: {error}", file=file) from None
    else:
        rows = [
            (number, _json(line, file, number)) for number, line in enumerate(content.splitlines(), 1) if line.strip()
        ]
    return [_tuned(row, file, number) for number, row in rows]


def _json(line: str, file: Path, number: int) -> Any:
    try:
        return json.loads(line)
    except (ValueError, RecursionError):
        raise InputError("each tuning row is a line of JSON", value=line, file=file, line=number) from None


def _tuned(row: Any, file: Path, number: int | None) -> Tuned:
    if isinstance(row, dict):
        for asked, more, target in (("instruction", "input", "output"), ("prompt", "", "completion")):
            if isinstance(row.get(asked), str) and isinstance(row.get(target), str):
                extra = row.get(more)
                return Tuned(f"{row[asked]}\n{extra}" if isinstance(extra, str) and extra else row[asked], row[target])
        messages = row.get("messages")
        if isinstance(messages, list) and len(messages) > 1:
            contents = [message.get("content") if isinstance(message, dict) else None for message in messages]
            said = [words for words in contents if isinstance(words, str)]
            if len(said) == len(messages):
                return Tuned("\n".join(said[:-1]), said[-1])
    raise InputError(
        "a tuning row has instruction and output, prompt and completion, or messages", value=row, file=file, line=number
    )


def tuning_findings(tuned: Sequence[Tuned], parts: Sequence[Part], pairs: Sequence[Pair] = ()) -> Iterator[Finding]:
    """Rows tuned on that are asked again, and targets that are what a compared generator said, or a judge learned."""
    if tuned:
        yield from _asked_again(tuned, parts)
        yield from _imitated(tuned, parts)
        yield from _taught(tuned, pairs)


def _asked_again(tuned: Sequence[Tuned], parts: Sequence[Part]) -> Iterator[Finding]:
    asked = _Asked(parts)
    again: list[tuple[int, Row, str]] = []
    others: list[tuple[int, Row, str]] = []
    word_for_word = 0
    for place, row in enumerate(tuned):
        found, same_words = asked.find(row.asked)
        word_for_word += same_words
        for candidate_too, (key, title) in found[:1]:
            (again if candidate_too else others).append((place, key, title))
    for check, title, rows, tolerated, critical, consequence in (
        ("tuned on", "tuning prompts that are asked again where generators are measured", again,
         PROMPT_TOLERATED, PROMPT_CRITICAL, "The tuned generator has seen these questions, the others have not."),
        ("tuned users", "tuning prompts about people who are asked about again", others,
         USER_TOLERATED, USER_CRITICAL, "The tuned generator has seen these histories, the others have not."),
    ):  # fmt: skip
        if rows:
            exact = f", {word_for_word:,} word for word" if check == "tuned on" else ""
            yield Finding(
                check,
                grade(len(rows), len(tuned), warning=tolerated, critical=critical),
                "tuning rows",
                title,
                f"{share(len(rows), len(tuned))}{exact}",
                len(rows),
                len(tuned),
                consequence,
                examples(((f"tuning row {place + 1}", *key), candidate) for place, key, candidate in rows),
            )


class _Asked:
    """The questions that generators are measured on, found again by the titles they show."""

    def __init__(self, parts: Sequence[Part]) -> None:
        self._rows: list[tuple[Row, str, frozenset[Words]]] = []
        self._words: dict[Words, int] = {}
        self._holding: dict[Words, list[int]] = defaultdict(list)
        for part in parts:
            for questions in part.questions.values():
                for row, question in questions.items():
                    titles = frozenset(title_key(item.title) for item in question.instruction.history)
                    if question.words:
                        self._words.setdefault(words_of(question.words), len(self._rows))
                    for title in titles:
                        self._holding[title].append(len(self._rows))
                    self._rows.append((row, question.instruction.candidate.title, titles))

    def find(self, asked: str) -> tuple[list[tuple[bool, tuple[Row, str]]], bool]:
        """Questions of the same person, the same candidate first; and whether one has the same words."""
        same = self._words.get(words_of(asked))
        if same is not None:
            return [(True, self._rows[same][:2])], True
        plain = unescape(asked)
        titles = {title_key(_title(match)) for match in _NUMBERED.finditer(plain)}
        rest = " ".join(words_of(_NUMBERED.sub("", plain)))
        common = Counter(place for title in titles for place in self._holding.get(title, ()))
        found = []
        for place, count in common.items():
            row, candidate, history = self._rows[place]
            shorter = min(len(history), len(titles))
            if count >= _SURE * shorter and (count >= _FEWEST or len(history) == len(titles)):
                candidate_too = f" {' '.join(title_key(candidate))} " in f" {rest} "
                found.append((candidate_too, (row, candidate)))
        return sorted(found, key=lambda entry: not entry[0]), False


def _imitated(tuned: Sequence[Tuned], parts: Sequence[Part]) -> Iterator[Finding]:
    said: dict[str, set[str]] = defaultdict(set)
    for part in parts:
        for answers in part.answers:
            for explanation in answers.rows:
                said[_joined(explanation.text)].add(answers.generator)
    by_name: dict[str, list[tuple[int, str]]] = defaultdict(list)
    for place, row in enumerate(tuned):
        for name in said.get(_joined(row.target), ()):
            by_name[name].append((place, row.target))
    for name, found in sorted(by_name.items()):
        yield Finding(
            "imitated",
            grade(len(found), len(tuned), warning=TARGET_TOLERATED, critical=TARGET_CRITICAL),
            f"tuning rows, {name}",
            "tuning targets that are what a compared generator said",
            f"{share(len(found), len(tuned))} are answers of {name}",
            len(found),
            len(tuned),
            f"What is tuned on them imitates {name}: it is compared with its own teacher.",
            examples(((f"tuning row {place + 1}",), target) for place, target in found),
        )


def _taught(tuned: Sequence[Tuned], pairs: Sequence[Pair]) -> Iterator[Finding]:
    """Targets that stand in the pairs a judge learns from: the judge is taught what the generator is taught to say."""
    targets = {_joined(row.target): place for place, row in enumerate(tuned)}
    there: dict[int, str] = {}
    won = second = decided = 0
    for pair in pairs:
        held = [targets.get(_joined(text)) for text in pair.case.texts[:2]]
        for side, place in zip(("first", "second"), held, strict=True):
            if place is not None:
                there.setdefault(place, tuned[place].target)
                if pair.winner != "tie" and held.count(None) == 1:
                    decided += 1
                    won += pair.winner == side
                    second += side == "second"
    if there:
        often = f"; they win {share(won, decided)} of these pairs, and stand second in {second:,}" if decided else ""
        yield Finding(
            "taught",
            grade(len(there), len(targets), warning=TARGET_TOLERATED, critical=TARGET_CRITICAL),
            "tuning rows, labelled pairs",
            "tuning targets among the texts that a judge learns from",
            f"{share(len(there), len(targets))}{often}",
            len(there),
            len(targets),
            "The judge has learned to prefer the very words that the generator has learned to say.",
            examples(((f"tuning row {place + 1}",), target) for place, target in sorted(there.items())),
        )


def _joined(text: str) -> str:
    return " ".join(text.split())


def _title(match: re.Match[str]) -> str:
    quoted = match[1]
    return re.sub(r"\\(.)", r"\1", quoted) if quoted is not None else match[2]
