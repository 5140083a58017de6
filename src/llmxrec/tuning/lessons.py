"""Instruction data, (x, y) of the paper's equation 2: from files, from a workspace's explanations, from attributes."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from importlib import resources
from pathlib import Path
from typing import Any, TypeVar

import polars as pl

from llmxrec.datasets.domains import BUNDLED, load_domain, told_domain
from llmxrec.datasets.textfiles import read_json_rows
from llmxrec.errors import InputError
from llmxrec.evidence.mentions import find_titles
from llmxrec.lookup import closest
from llmxrec.prompts.instructions import Instructions
from llmxrec.prompts.released import parse_released, parse_released_answer
from llmxrec.records import Domain, Instruction, Item, Lesson, User
from llmxrec.seeds import derive
from llmxrec.tuning.loop import hold_out

Row = TypeVar("Row")

ANNOTATED = "annotated"
"""Stands for the explanations that were written for this project."""
ANNOTATED_DOMAINS = ("games", "movies", "news")
_FEWEST_SHOWN = 3
"""Items of a history that is shown shortened, at least."""


@dataclass
class Lessons:
    """Rows to learn from; `dropped` counts those that were left out, by why."""

    rows: list[Lesson] = field(default_factory=list)
    dropped: Counter[str] = field(default_factory=Counter)

    def __str__(self) -> str:
        out = ", ".join(f"{count:,} {why}" for why, count in self.dropped.most_common())
        return f"{len(self.rows):,} rows" + (f" (left out: {out})" if out else "")


def read_lessons(file: Path) -> Lessons:
    """The rows of `file`, JSON lines or a JSON array: of our kind (domain, history, candidate, answer, and if known
    user, task and targets), or as the paper's authors keep theirs (instruction and output, in words).

    Raises InputError, with the line, for a row that is neither.
    """
    out = Lessons()
    for row, place in read_json_rows(file):
        try:
            if isinstance(row, dict) and "candidate" in row:
                out.rows.append(_ours(row))
            elif isinstance(row, dict) and isinstance(row.get("instruction"), str):
                lesson = _theirs(row)
                if lesson is None:
                    out.dropped["nothing known"] += 1
                else:
                    out.rows.append(lesson)
            else:
                raise ValueError("it has a history, a candidate and an answer, or an instruction and an output")
        except (ValueError, KeyError, TypeError, AttributeError, InputError) as error:
            said = error.rule if isinstance(error, InputError) else f"a row to learn from: {error!r}"
            raise InputError(said, **place) from None
    return out


def annotated(domain: str | None = None) -> Lessons:
    """The explanations that were written for this project, of `domain` or of all; see the account beside them.

    Raises InputError for a domain without any.
    """
    if domain is not None and domain not in ANNOTATED_DOMAINS:
        raise closest("domain with annotated explanations", domain, ANNOTATED_DOMAINS)
    out = Lessons()
    with resources.as_file(resources.files("llmxrec.tuning") / "annotations") as folder:
        for file in sorted(folder.glob(f"{domain or '*'}.jsonl")):
            out.rows += read_lessons(file).rows
    return out


def explained(table: pl.DataFrame, instructions: Instructions, domain: Domain, *, max_words: int, seed: int) -> Lessons:
    """The explanations in `table` (columns of `explain.SCHEMA`) as rows to learn from, histories shortened at random.

    Left out is what nobody should learn: an answer that is not `ok`, that is longer than `max_words`, does not name the
    candidate, or names a title that was not shown. A history is cut to its newest items, as many as its explanation
    names and at least three.
    """
    out = Lessons()
    for row in table.iter_rows(named=True):
        if row["status"] != "ok":
            out.dropped[str(row["status"] or "not explained")] += 1
            continue
        asked = instructions.make("explain", row["user_id"], row["item_id"])
        mentions = find_titles(row["text"], [*asked.history, asked.candidate])
        named = {mention.item.title for mention in mentions if mention.item is not None}
        why = (
            "too long" if len(row["text"].split()) > max_words
            else "candidate not named" if asked.candidate.title not in named
            else "a title that was not shown" if any(mention.item is None for mention in mentions)
            else ""
        )  # fmt: skip
        if why:
            out.dropped[why] += 1
            continue
        out.rows.append(Lesson(shortened(asked, named, derive(seed, "shorten", row["user_id"])), domain, row["text"]))
    return out


def attributes(
    asked: Iterable[Instruction],
    domain: Domain,
    truth: Callable[[Instruction, str], str | None],
    *,
    choices: Mapping[str, tuple[str, ...]] | None = None,
    seed: int | None,
) -> Lessons:
    """Each of `asked` (task `predict`) with its true answers: `truth` of a target, None where it is not known.

    Histories are shortened at random by `seed`; None: they stay whole. `choices` has the allowed answers of targets
    that have a closed set.
    """
    out = Lessons()
    for instruction in asked:
        known = {target: value for target in instruction.targets if (value := truth(instruction, target)) is not None}
        if not known:
            out.dropped["nothing known"] += 1
            continue
        cut = instruction
        if seed is not None:
            cut = shortened(instruction, (), derive(seed, "shorten", instruction.user.user_id))
        answer = json.dumps(known, ensure_ascii=False)
        allowed = {target: choices[target] for target in known if target in choices} if choices else {}
        out.rows.append(Lesson(replace(cut, targets=tuple(known)), domain, answer, allowed))
    return out


def shortened(asked: Instruction, named: Iterable[str], seed: int) -> Instruction:
    """`asked` with a history of its newest items only: a random number of them, but all of the titles `named`."""
    titles = [item.title for item in asked.history]
    needed = [len(titles) - titles.index(title) for title in named if title in titles]
    fewest = min(len(titles), max([_FEWEST_SHOWN, *needed]))
    kept = fewest + seed % (len(titles) - fewest + 1)
    return replace(asked, history=asked.history[len(titles) - kept :])


def digest(rows: Sequence[Lesson]) -> str:
    """Of all that is in `rows`, in their order."""
    out = hashlib.blake2b(digest_size=16)
    for row in rows:
        out.update(json.dumps(_written(row), sort_keys=True).encode("utf-8", "surrogatepass"))
    return out.hexdigest()


def users(rows: Iterable[Lesson]) -> tuple[str, ...]:
    """The people that `rows` are about, sorted; those without an id are left out."""
    return tuple(sorted({row.instruction.user.user_id for row in rows} - {""}))


def divide(rows: Sequence[Row], share: float, seed: int, user: Callable[[Row], str]) -> tuple[list[Row], list[Row]]:
    """`rows` to learn from, and those held out: of a `share` of the people, all rows of one on one side.

    `user` tells whom a row is about; one that is about nobody known stands for a person of its own.
    """
    keys = [user(row) or f"\x00{number}" for number, row in enumerate(rows)]
    out = hold_out(keys, share, seed)
    return (
        [row for row, held in zip(rows, out, strict=True) if not held],
        [row for row, held in zip(rows, out, strict=True) if held],
    )


def write_lessons(rows: Iterable[Lesson], file: Path) -> None:
    """As JSON lines that `read_lessons` reads."""
    with file.open("w", encoding="utf-8") as out:
        for row in rows:
            out.write(json.dumps(_written(row), ensure_ascii=False) + "\n")


def _written(row: Lesson) -> dict[str, Any]:
    asked = row.instruction
    name = row.domain.name
    out: dict[str, Any] = {
        "domain": name if name in BUNDLED and load_domain(name) == row.domain else asdict(row.domain)
    }
    if asked.task == "predict":
        out |= {"task": "predict", "targets": list(asked.targets)}
    if asked.user.user_id or asked.user.attributes:
        out["user"] = {"user_id": asked.user.user_id, "attributes": dict(asked.user.attributes)}
    out["history"] = [_item(item) for item in asked.history]
    out |= {"candidate": _item(asked.candidate), "answer": row.answer}
    return out | ({"choices": {target: list(said) for target, said in row.choices.items()}} if row.choices else {})


def _item(item: Item) -> dict[str, Any]:
    attributes = {key: list(values) for key, values in item.attributes.items()}
    return {"item_id": item.item_id, "title": item.title, "attributes": attributes}


def _ours(row: Mapping[str, Any]) -> Lesson:
    task = row.get("task", "explain")
    if task not in ("explain", "predict"):
        raise ValueError(f"a task is explain or predict, not {task!r}")
    user = row.get("user") or {}
    targets = tuple(_text(target) for target in row.get("targets", ()))
    if (task == "predict") != bool(targets):
        raise ValueError("targets name what is to be predicted")
    instruction = Instruction(
        task,
        User(_text(user.get("user_id", "")), {_text(k): _text(v) for k, v in user.get("attributes", {}).items()}),
        tuple(map(_read_item, row["history"])),
        _read_item(row["candidate"]),
        targets,
    )
    choices = {_text(target): tuple(map(_text, said)) for target, said in (row.get("choices") or {}).items()}
    return Lesson(instruction, told_domain(row["domain"], "domain"), _text(row["answer"]), choices)


def _read_item(item: Mapping[str, Any]) -> Item:
    attributes = {_text(key): tuple(map(_text, values)) for key, values in item.get("attributes", {}).items()}
    return Item(_text(item.get("item_id", "")), _text(item["title"]), attributes)


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise ValueError(f"text is wanted, not {value!r}")
    return value


def _theirs(row: Mapping[str, Any]) -> Lesson | None:
    """None for a row whose answer does not tell what is asked for."""
    instruction, domain = parse_released(row["instruction"])
    answer = _text(row["output"])
    if instruction.targets:
        known = parse_released_answer(answer, instruction.targets)
        instruction = replace(instruction, targets=tuple(known))
        answer = json.dumps(known, ensure_ascii=False)
    return Lesson(instruction, domain, answer) if instruction.targets or instruction.task == "explain" else None
