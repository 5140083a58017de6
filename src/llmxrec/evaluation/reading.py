"""From a workspace on disk to what judges compare and the auditor looks at."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import polars as pl

from llmxrec.datasets.dataset import Dataset, Histories
from llmxrec.datasets.split import leave_one_out
from llmxrec.errors import InputError
from llmxrec.evaluation.material import MAX_WORDS, Answers, Part, Question, Row
from llmxrec.evaluation.verdicts import read_verdicts
from llmxrec.evidence.causes import causes
from llmxrec.ledger import read_ledger
from llmxrec.notes import read_notes
from llmxrec.prompts.instructions import Instructions, PromptSettings
from llmxrec.prompts.released import parse_released
from llmxrec.records import Domain, Explanation, Instruction
from llmxrec.settings import check
from llmxrec.workspace import Workspace

_TEXT = ("user_id", "item_id", "text", "status", "prompt")


def workspaces(folder: Path) -> list[Workspace]:
    """The workspace that `folder` is, or those that lie in it, by name. Raises InputError where there are none."""
    if Workspace(folder).dataset.is_dir():
        return [Workspace(folder)]
    inside = [Workspace(child) for child in sorted(folder.iterdir())] if folder.is_dir() else []
    found = [workspace for workspace in inside if workspace.dataset.is_dir()]
    if not found:
        raise InputError("a workspace, or a folder of workspaces, is looked at", value=str(folder), cure="llmxrec init")
    return found


def read_part(workspace: Workspace) -> Part:
    """What is stored in `workspace`. Raises InputError for files that are not what they should be."""
    dataset = Dataset.load(workspace.dataset)
    answers, recommended, questions = [], {}, {}
    explained = [folder.name for folder in sorted((workspace.path / "explanations").glob("*")) if folder.is_dir()]
    for recommender in dict.fromkeys([*workspace.recommenders(), *explained]):
        table = _recommended(workspace, recommender)
        files = [_answers(workspace, recommender, generator) for generator in workspace.generators(recommender)]
        rows = {row for row, rank in table.items() if rank == 1}
        rows |= {(row.user_id, row.item_id) for file, _ in files for row in file.rows}
        shown = _shown([settings for _, notes in files if (settings := noted_prompt(notes))], dataset.domain)
        questions[recommender] = _questions(workspace, dataset, recommender, sorted(rows), shown)
        recommended[recommender] = table
        answers += [file for file, _ in files]
    judged = [folder.name for folder in sorted((workspace.path / "verdicts").glob("*")) if folder.is_dir()]
    return Part(
        name=workspace.path.resolve().name,
        domain=dataset.domain,
        items=dataset.item_records,
        questions=questions,
        recommended=recommended,
        answers=answers,
        verdicts={
            (recommender, judge): read_verdicts(workspace.verdicts(recommender, judge))
            for recommender in judged
            for judge in workspace.judges(recommender)
        },
        truths=_truths(dataset),
    )


def noted_prompt(notes: Mapping[str, Any]) -> PromptSettings | None:
    """How prompts were made, as the notes beside a ledger tell (see `read_notes`); None where they tell nothing of it.

    Raises InputError where they tell what cannot be.
    """
    told = {name: notes[name] for name in PromptSettings.model_fields if name in notes}
    return check(PromptSettings, told, "the notes on explanations") if told else None


def _shown(noted: Sequence[PromptSettings], domain: Domain) -> PromptSettings:
    """What any of the generators whose settings were `noted` was shown; where nothing was noted, what usually is."""
    if not noted:
        return PromptSettings()
    items, users = domain.item_attributes, domain.user_attributes
    return PromptSettings(
        history=max(one.history for one in noted),
        item_attributes=tuple(name for name in items if any(_told(name, one.item_attributes) for one in noted)),
        user_attributes=tuple(name for name in users if any(_told(name, one.user_attributes) for one in noted)),
    )


def _told(name: str, chosen: Sequence[str] | None) -> bool:
    return chosen is None or name in chosen


def _recommended(workspace: Workspace, recommender: str) -> dict[Row, int]:
    file = workspace.recommendations(recommender)
    if not file.exists():
        return {}
    table = _parquet(file, ("user_id", "item_id", "rank"))
    return {(user_id, item_id): rank for user_id, item_id, rank in table.iter_rows()}


def _answers(workspace: Workspace, recommender: str, generator: str) -> tuple[Answers, Mapping[str, Any]]:
    """The last answer to each row of a ledger, and what was noted of how they were made."""
    file = workspace.explanations(recommender, generator)
    notes = read_notes(file)
    rows = {}
    for number, row in enumerate(read_ledger(file), 1):
        if not all(isinstance(row.get(name), str) for name in _TEXT):
            raise InputError(
                f"an explanation has {', '.join(_TEXT)}, as text",
                value=row,
                cure="mend or delete it",
                file=file,
                line=number,
            )
        rows[row["user_id"], row["item_id"]] = Explanation(
            recommender=recommender,
            generator=generator,
            user_id=row["user_id"],
            item_id=row["item_id"],
            rank=_count(row.get("rank"), 1),
            text=row["text"],
            status=row["status"],
            prompt=row["prompt"],
            history=_count(row.get("history"), 0),
            dropped=_count(row.get("dropped"), 0),
        )
    asked = json.dumps(
        {name: notes[name] for name in (*PromptSettings.model_fields, "template_digest") if name in notes}
    )
    return Answers(recommender, generator, list(rows.values()), _count(notes.get("max_words"), MAX_WORDS), asked), notes


def _questions(
    workspace: Workspace, dataset: Dataset, recommender: str, rows: Sequence[Row], shown: PromptSettings
) -> dict[Row, Question]:
    """What generators were shown for each of `rows`: as the stored prompts say, else as prompts are made that show all
    that is `shown` to any of them.

    Rows of an item that is not of the dataset are left out: nobody could have asked about it.
    """
    histories = known_histories(workspace, dataset, recommender)
    make = Instructions.of(dataset, histories, shown, [user_id for user_id, _ in rows])
    words = _words(workspace, recommender)
    rests_on = _causes(workspace, recommender)
    numbers = {user: number for number, user in enumerate(histories.users.to_list())}
    out = {}
    for user_id, item_id in rows:
        if item_id not in make.item_rows:
            continue
        had = histories.of(numbers[user_id]) if user_id in numbers else ()
        instruction = make.make("explain", user_id, item_id, causes=rests_on.get((user_id, item_id), ()))
        told = words.get((user_id, item_id), "")
        known = make.item_rows[item_id] in set(map(int, had))
        out[user_id, item_id] = Question(_as_told(told, instruction), told, known)
    return out


def _as_told(words: str, made: Instruction) -> Instruction:
    """The instruction that stored words of a released prompt tell, with the ids of the row; else the one `made`."""
    if not words:
        return made
    try:
        told, _ = parse_released(words)
    except InputError:
        return made
    return replace(told, user=replace(told.user, user_id=made.user.user_id))


def known_histories(workspace: Workspace, dataset: Dataset, recommender: str | None) -> Histories:
    """What the recommender knew; None: everything."""
    noted = workspace.read_manifest().get("recommenders", {}).get(recommender, {})
    held_out = isinstance(noted, dict) and noted.get("hold_out")
    interactions = leave_one_out(dataset).train if held_out else dataset.interactions
    return Histories.build(interactions, dataset.users["user_id"], dataset.items["item_id"])


def _words(workspace: Workspace, recommender: str) -> dict[Row, str]:
    file = workspace.prompts(recommender)
    if not file.exists():
        return {}
    table = _parquet(file, ("user_id", "item_id", "words"))
    return {(user_id, item_id): words or "" for user_id, item_id, words in table.iter_rows()}


def _causes(workspace: Workspace, recommender: str) -> dict[Row, list[str]]:
    """What recommendations rest on, where that was measured: prompts may have shown it, however old it is."""
    file = workspace.evidence(recommender)
    if not file.exists():
        return {}
    table = _parquet(file, ("user_id", "item_id", "displacing", "history", "influence"))
    return {(user_id, item_id): causes(*found) for user_id, item_id, *found in table.iter_rows()}


def _parquet(file: Path, columns: Sequence[str]) -> pl.DataFrame:
    try:
        return pl.read_parquet(file, glob=False).select(columns)
    except pl.exceptions.PolarsError as error:
        raise InputError(f"a Parquet table with {', '.join(columns)}: {error}", file=file) from None


def _truths(dataset: Dataset) -> dict[str, Sequence[str]]:
    return dict(_columns(dataset.users))


def _columns(users: pl.DataFrame) -> Iterator[tuple[str, Sequence[str]]]:
    for name in users.columns:
        if name != "user_id":
            values = [str(value) for value in users[name].to_list() if value is not None and str(value) != ""]
            if values:
                yield name, values


def _count(value: object, otherwise: int) -> int:
    return value if type(value) is int and value >= 0 else otherwise
