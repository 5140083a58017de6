"""Where instruction data come from: whatever `llmxrec tune --from` names, and the true attributes of a workspace."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path

import polars as pl

from llmxrec.datasets.columns import as_ids, as_text, need
from llmxrec.datasets.dataset import Dataset
from llmxrec.datasets.tablefiles import read_table
from llmxrec.datasets.textfiles import LINE, read_json_rows
from llmxrec.errors import InputError
from llmxrec.evaluation.judging import contests, standing
from llmxrec.evaluation.reading import known_histories, read_part
from llmxrec.generators.replies import ended
from llmxrec.prompts.instructions import Instructions, PromptSettings, shown_for_attributes
from llmxrec.prompts.targets import Targets
from llmxrec.seeds import derive
from llmxrec.stored import read_recommendations, stored_explanations
from llmxrec.tuning.lessons import ANNOTATED, Lessons, annotated, attributes, explained, read_lessons, users
from llmxrec.tuning.preference import Preferences, from_verdicts
from llmxrec.workspace import Workspace

TEXT = ("explanation", "response", "output", "answer", "reason", "why")
"""What else a column of explanations may be called."""


def gather(
    workspace: Workspace,
    tasks: Collection[str],
    sources: Sequence[str] | None,
    recommenders: Sequence[str] | None,
    targets: Sequence[str] | None,
    prompt: PromptSettings,
    *,
    seed: int,
    whole: bool = False,
) -> Lessons:
    """Rows of both tasks together: explanations (task `explain`) from `sources`, and `attributes` of `workspace`.

    None: the annotated explanations; all recommenders; all attributes. Histories are shortened at random by `seed`;
    `whole`: but for those that attributes are read from. Raises InputError where a task gets no rows.
    """
    named = tuple(recommenders or workspace.recommenders())
    parts = []
    if "explain" in tasks:
        shown = recommenders[0] if recommenders else None
        parts += [lessons_from(one, workspace, shown, prompt, seed=seed) for one in sources or [ANNOTATED]]
        if not any(part.rows for part in parts):
            raise InputError(
                "there are explanations to learn from", value="; ".join(map(str, parts)), cure="give others with --from"
            )
    elif sources:
        raise InputError("explanations go with the task explain", value=", ".join(sources), cure="leave --from out")
    if "attributes" in tasks:
        if not named:
            raise InputError("attributes are asked about with recommendations", value="none", cure="llmxrec recommend")
        parts.append(attributes_from(workspace, named, targets, prompt, seed=None if whole else seed))
    elif targets:
        raise InputError("targets go with the task attributes", value=", ".join(targets), cure="leave --target out")
    return Lessons([row for part in parts for row in part.rows], sum((part.dropped for part in parts), start=Counter()))


def lessons_from(
    source: str, workspace: Workspace, recommender: str | None, prompt: PromptSettings, *, seed: int
) -> Lessons:
    """The explanations that `source` names, as rows to learn from.

    It is the word `annotated`, or `annotated:DOMAIN` for those of one domain; the ledger of a generator in a workspace,
    this or another one; a file of lessons (see `read_lessons`); or a table with user, item and text of the dataset,
    shown with the histories that `recommender` knew (None: with whole ones). What of explanations is left out: see
    `explained`. Raises InputError for anything else.
    """
    check_source(source)
    word, _, domain = source.partition(":")
    if word == ANNOTATED:
        return annotated(domain or None)
    file = Path(source)
    ledger = _ledger(file)
    if ledger is None and _holds_lessons(file):
        return read_lessons(file)
    if ledger is not None:
        workspace, recommender = ledger
        table = stored_explanations(workspace, recommender, file.stem)
        dataset = Dataset.load(workspace.dataset)
    else:
        dataset = Dataset.load(workspace.dataset)
        table = _read(file, dataset)
    histories = known_histories(workspace, dataset, recommender)
    instructions = Instructions.of(dataset, histories, prompt, table["user_id"])
    return explained(table, instructions, dataset.domain, max_words=prompt.max_words, seed=seed)


def check_source(source: str) -> None:
    """Raises InputError for what `lessons_from` knows no rows of by its name alone."""
    word, _, domain = source.partition(":")
    if word == ANNOTATED:
        annotated(domain or None)
    elif not Path(source).is_file():
        raise InputError(
            "rows to learn from are 'annotated', 'annotated:DOMAIN', explanations of a workspace, or a file",
            value=source,
            cure="give WORKSPACE/explanations/RECOMMENDER/GENERATOR.jsonl, or any table with user, item and text",
        )


def attributes_from(
    workspace: Workspace,
    recommenders: Sequence[str],
    targets: Sequence[str] | None,
    prompt: PromptSettings,
    *,
    seed: int | None,
) -> Lessons:
    """The true attributes of the people that `recommenders` recommend to, asked about the first recommendation of each.

    Nothing is shown of the person but what `prompt` names. `targets` None: all that there are. Raises InputError for
    one that there is not, or where there is none.
    """
    dataset = Dataset.load(workspace.dataset)
    parts = []
    for recommender in recommenders:
        rows = read_recommendations(workspace, recommender).filter(pl.col("rank") == 1)
        histories = known_histories(workspace, dataset, recommender)
        told = Targets.of(dataset, histories)
        wanted = told.wanted(targets)
        instructions = Instructions.of(dataset, histories, shown_for_attributes(prompt), rows["user_id"])
        pairs = rows.select("user_id", "item_id").iter_rows()
        asked = (instructions.make("predict", user_id, item_id, wanted) for user_id, item_id in pairs)
        parts.append(attributes(asked, dataset.domain, told.to_learn, choices=told.choices(wanted), seed=seed))
    return Lessons([row for part in parts for row in part.rows], sum((part.dropped for part in parts), start=Counter()))


def preferences_from(workspace: Workspace, recommender: str, judge: str) -> Preferences:
    """Which explanations of `recommender` the verdicts called `judge` prefer, as rows to learn from."""
    compared = list(contests(read_part(workspace), recommender))
    verdicts, outdated = standing(workspace.verdicts(recommender, judge), compared)
    found = from_verdicts(compared, verdicts)
    if outdated:
        found.dropped["on texts that have changed since"] = outdated
    return found


def drawn(lessons: Lessons, people: int, seed: int) -> Lessons:
    """The rows about so many people, drawn by `seed`: the others are left to be measured on. Rows about nobody stay."""
    order = sorted(users(lessons.rows), key=lambda user: derive(seed, "tuned on", user))
    kept = {*order[:people], ""}
    rows = [row for row in lessons.rows if row.instruction.user.user_id in kept]
    out = Lessons(rows, lessons.dropped.copy())
    if len(rows) < len(lessons.rows):
        out.dropped["about people left to be measured on"] += len(lessons.rows) - len(rows)
    return out


def some(lessons: Lessons, rows: int, seed: int) -> Lessons:
    """So many of the rows, drawn by `seed`, in their order; a smaller number are some of a larger one.

    Raises InputError where there are fewer.
    """
    if rows > len(lessons.rows):
        raise InputError(
            f"there are {rows:,} rows to learn from", value=str(lessons), cure="give more, or ask for fewer"
        )
    order = sorted(range(len(lessons.rows)), key=lambda place: derive(seed, "learned from", place))
    return Lessons([lessons.rows[place] for place in sorted(order[:rows])], lessons.dropped.copy())


def in_folds(lessons: Lessons, folds: int, seed: int) -> list[Lessons]:
    """`folds` times the rows, each time without those about another part of the people. Rows about nobody stay.

    Raises InputError where there are fewer people than folds.
    """
    order = sorted(users(lessons.rows), key=lambda user: derive(seed, "fold", user))
    if len(order) < folds:
        raise InputError("each fold leaves some people out", value=f"{len(order)} people", cure="use fewer --folds")
    fold = {user: place % folds for place, user in enumerate(order)}
    return [
        replace(lessons, rows=[row for row in lessons.rows if fold.get(row.instruction.user.user_id) != number])
        for number in range(folds)
    ]


def _ledger(file: Path) -> tuple[Workspace, str] | None:
    """The workspace and the recommender whose explanations `file` holds, where it lies as in a workspace."""
    folders = file.resolve().parents
    if file.suffix != ".jsonl" or len(folders) < 3 or folders[1].name != "explanations":
        return None
    workspace = Workspace(folders[2])
    return (workspace, folders[0].name) if workspace.dataset.is_dir() else None


def _holds_lessons(file: Path) -> bool:
    if file.name.removesuffix(".gz").rpartition(".")[2].lower() not in ("json", "jsonl", "ndjson"):
        return False
    return all(
        isinstance(row, dict) and {"candidate", "instruction"} & {*row} for row, _ in islice(read_json_rows(file), 1)
    )


def _read(file: Path, dataset: Dataset) -> pl.DataFrame:
    """user_id, item_id, text and status of each row of a table. Raises InputError for one that is not of `dataset`."""
    table = read_table(file)
    text = as_text(table[need("text", table.columns, {}, file, *TEXT)])
    if text is None:
        raise InputError("explanations are text", value="lists", cure="give each its own row", file=file)
    words = text.fill_null("")
    rows = pl.DataFrame(
        {
            LINE: table[LINE],
            "user_id": as_ids(table, need("user_id", table.columns, {}, file), file).fill_null(""),
            "item_id": as_ids(table, need("item_id", table.columns, {}, file), file).fill_null(""),
            "text": words,
            "status": pl.Series([ended(one) for one in words], dtype=pl.String),
        }
    )
    for column, known in (("user_id", dataset.users), ("item_id", dataset.items)):
        unknown = rows.join(known.select(column), on=column, how="anti", maintain_order="left")
        if unknown.height:
            raise InputError(
                f"every {column} is one of the dataset's", value=unknown[column][0], file=file, line=unknown[LINE][0]
            )
    return rows
