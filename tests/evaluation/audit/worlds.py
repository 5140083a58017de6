"""Worlds for the auditor: one by hand, one simulated without a fault, and the paper's release where it is there."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path

import polars as pl

from llmxrec.datasets.demo.simulation import simulate
from llmxrec.evaluation.audit.findings import Finding
from llmxrec.evaluation.material import Answers, Part, Question, Row
from llmxrec.evaluation.verdicts import as_table
from llmxrec.prompts.released import parse_released
from llmxrec.records import Explanation, Instruction, Item, User, Verdict, Winner

FOLDERS = {"ml-100k": "ml-100k", "mind": "mind_small_dev", "steam": "steam"}
"""Our names of datasets -> those of the release's folders."""
PATHS = {name: f"gen_exp_4_model/results/BPR-MF/{name}" for name in ("LLaMA2", "ChatGLM2", "GPT3.5", "GPT4")}
PATHS["LLaMA2-SFT"] = "gen_exp_5_model/results/SFT/BPR-MF"

_SHAPES = (
    "{one} and {two} are both in your history, and {candidate} is {kind} in the same way.",
    "Whoever liked {one} will find {candidate} worth an evening: it is {kind} as well.",
    "{candidate} is {kind}. You have watched {one} and {two}, so it should suit you.",
    "After {one}, try {candidate}; it is another {kind} film.",
)


def answers(texts: Iterable[tuple[Row, str]], generator: str = "g", recommender: str = "r") -> Answers:
    """A file of explanations, asked with one prompt for each row."""
    rows = [Explanation(recommender, generator, *row, 1, text, "ok", "/".join(row), 99) for row, text in texts]
    return Answers(recommender, generator, rows)


@cache
def simulated(seed: int, users: int = 200) -> Part:
    """Recommendations of the simulated demo and true explanations of them in four shapes of words; no fault in it."""
    dataset, _ = simulate(users, seed)
    records = {item.item_id: item for item in dataset.item_records}
    people = dataset.user_records(dataset.users["user_id"].to_list())
    seen: dict[str, list[str]] = {}
    for user_id, item_id in dataset.interactions.select("user_id", "item_id").iter_rows():
        seen.setdefault(user_id, []).append(item_id)
    questions, texts = {}, []
    for user in people:
        draw = random.Random(f"{seed}/{user.user_id}")
        candidate = records[draw.choice([item for item in records if item not in seen[user.user_id]])]
        history = tuple(records[item] for item in seen[user.user_id][-20:])
        row = (user.user_id, candidate.item_id)
        questions[row] = Question(Instruction("explain", user, history, candidate))
        one, two = draw.sample(history, 2)
        kind = " and ".join(candidate.attributes["genres"]).lower()
        shape = draw.choice(_SHAPES)
        quoted = {"one": f'"{one.title}"', "two": f'"{two.title}"', "candidate": f'"{candidate.title}"'}
        texts.append((row, shape.format(kind=kind, **quoted)))
    return Part(
        "films", dataset.domain, dataset.item_records, {"r": questions}, {"r": dict.fromkeys(questions, 1)},
        [answers(texts)],
        truths={name: dataset.users[name].to_list() for name in ("age", "gender", "occupation")},
    )  # fmt: skip


def retold(part: Part, tell: Callable[[int, Explanation], str], generator: str = "g") -> Part:
    """`part` with the texts of its first file told otherwise."""
    first = part.answers[0]
    rows = [replace(row, text=tell(place, row), generator=generator) for place, row in enumerate(first.rows)]
    return replace(part, answers=[replace(first, rows=rows, generator=generator), *part.answers[1:]])


def question(candidate: Item, history: Sequence[Item] = (), user: User | None = None) -> Question:
    return Question(Instruction("explain", user or User("u"), tuple(history), candidate))


def verdicts(
    rows: Sequence[Row],
    generators: Sequence[str],
    judge: Callable[[str, str, random.Random], Winner | None],
    *,
    both: bool,
) -> pl.DataFrame:
    """What `judge` says of each two generators for each row: in `both` orders, or in the order they are listed."""
    out = []
    for row in rows:
        draw = random.Random(repr(row))
        for place, first in enumerate(generators):
            for second in generators[place + 1 :]:
                for a, b in ((first, second), (second, first))[: 1 + both]:
                    winner = judge(a, b, draw)
                    out.append(Verdict("r", "j", *row, a, b, winner, status="ok" if winner else "invalid"))
    return as_table(out)


def serious(found: Iterable[Finding]) -> list[Finding]:
    return [finding for finding in found if finding.severity != "note"]


def by_check(found: Iterable[Finding]) -> dict[str, Finding]:
    return {finding.check: finding for finding in found}


@cache
def released(folder: Path, name: str) -> Part:
    """The BPR-MF part of the release for one dataset, read plainly."""
    items: dict[str, Item] = {}
    questions: dict[Row, Question] = {}
    files = []
    for generator, path in PATHS.items():
        table = pl.read_csv(folder / "src" / path / FOLDERS[name] / "results.csv", infer_schema=False)
        rows = []
        for number, (words, text) in enumerate(table.iter_rows()):
            instruction, domain = parse_released(words)
            row = (str(number), instruction.candidate.title)
            questions.setdefault(row, Question(instruction, words))
            items.update({item.title: item for item in (*instruction.history, instruction.candidate)})
            rows.append((row, text or ""))
        files.append(answers(rows, generator, "BPR-MF"))
    return Part(
        name, domain, list(items.values()), {"BPR-MF": questions}, {"BPR-MF": dict.fromkeys(questions, 1)}, files
    )


@cache
def released_verdicts(folder: Path, name: str) -> pl.DataFrame:
    part = released(folder, name)
    rows = list(part.questions["BPR-MF"])
    table = pl.read_csv(folder / "src/gen_compare_result/results/BPR-MF/compare_all.csv", infer_schema=False)
    winners: dict[str, Winner] = {"1": "first", "2": "second"}
    return as_table(
        Verdict("BPR-MF", "released", *rows[int(index)], first, second, winners.get(said))
        for index, dataset, first, second, said in table.iter_rows()
        if dataset == FOLDERS[name]
    )
