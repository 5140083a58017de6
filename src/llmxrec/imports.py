"""Explanations made elsewhere, by any system or by hand, taken into a workspace as if they had been made here."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

import polars as pl
import tomli_w

from llmxrec.datasets.columns import as_ids, as_text, check_used, find, need
from llmxrec.datasets.dataset import Dataset
from llmxrec.datasets.tablefiles import read_table
from llmxrec.datasets.textfiles import LINE
from llmxrec.errors import InputError
from llmxrec.explain import SCHEMA
from llmxrec.generators.replies import ended
from llmxrec.ledger import Ledger, read_ledger
from llmxrec.notes import refuse_to_mix
from llmxrec.records import Explanation, Status
from llmxrec.sources import TEXT
from llmxrec.stages.recommending import write_recommendations
from llmxrec.stored import knowledge, read_recommendations, what_was_known
from llmxrec.workspace import Workspace, atomic, plain, safe_name

_GENERATOR = ("model", "system", "method")
_PAIR = ["user_id", "item_id"]


@dataclass(frozen=True)
class Imported:
    """What was taken in of one generator's explanations. `known` were there before, word for word; `replaced` are new
    words for what had others; `aside` explain what the recommender does not recommend, and are not shown."""

    generator: str
    rows: int
    known: int
    replaced: int
    aside: int
    statuses: Mapping[str, int]

    def __str__(self) -> str:
        counts = ", ".join(f"{count:,} {status}" for status, count in self.statuses.items())
        more = [
            f"{self.known:,} were there before" if self.known else "",
            f"{self.replaced:,} replace others" if self.replaced else "",
            f"{self.aside:,} explain what is not recommended, and are not shown" if self.aside else "",
        ]
        return "; ".join([f"{self.generator}: {self.rows:,} rows: {counts}", *filter(None, more)])


def import_explanations(
    workspace: Workspace,
    file: Path,
    recommender: str,
    generator: str | None = None,
    columns: Mapping[str, str] | None = None,
) -> list[Imported]:
    """Take the rows of `file`, a table of a kind that `tablefiles` knows, into the ledgers of their generators.

    A row has a user_id, an item_id and a text, and may have a generator (where it has none, it is `generator`) and a
    status; `columns` maps our names to theirs, else the usual ones are found. Without a status, it is read from the
    text. Ranks are those of the recommendations of `recommender`; where the workspace has none, or has them from such
    files, they are made from the rows, each person's in the order of the file.
    Raises InputError, with the line, for a user or an item that the dataset does not hold, a row that is there twice,
    or a generator that has no name or one that is no name of a file; and where explanations of that generator were made
    otherwise.
    """
    safe_name(recommender)
    dataset = Dataset.load(workspace.dataset)
    rows = _read(file, generator, columns or {})
    for column, table in (("user_id", dataset.users), ("item_id", dataset.items)):
        unknown = rows.join(table.select(column), on=column, how="anti", maintain_order="left")
        if unknown.height:
            raise InputError(
                f"every {column} is one of the dataset's",
                value=unknown[column][0],
                cure="leave the row out, or check the column",
                file=file,
                line=unknown[LINE][0],
            )
    _check_repeats(rows, file)
    recommended, made_here = _recommended(workspace, recommender, rows)
    ranked = rows.join(recommended.select(*_PAIR, "rank"), on=_PAIR, how="left", maintain_order="left")
    if ranked["rank"].null_count() == ranked.height:
        raise InputError(
            f"an explanation is of what '{recommender}' recommends",
            value="none of these is",
            cure="check the ids, or give another --recommender",
            file=file,
        )
    settings = {"source": "imported", **what_was_known(knowledge(workspace, recommender))}
    parts = ranked.partition_by("generator", maintain_order=True)
    for part in parts:
        refuse_to_mix(
            workspace.explanations(recommender, part["generator"][0]),
            settings,
            only=list(plain(settings)),
            cure="give these another --generator name, or delete that file",
        )
    if made_here:
        workspace.note("recommenders", recommender, imported=file.name)
        write_recommendations(workspace, recommender, recommended)
    return [_append(workspace, recommender, part, settings, file.name) for part in parts]


def _read(file: Path, generator: str | None, columns: Mapping[str, str]) -> pl.DataFrame:
    """LINE, user_id, item_id, text, generator, status of each row."""
    table = read_table(file)
    check_used(columns, table.columns)
    text = as_text(table[need("text", table.columns, columns, file, *TEXT)])
    if text is None:
        raise InputError("explanations are text", value="lists", cure="give each its own row", file=file)
    given = find("generator", table.columns, columns, *_GENERATOR)
    if given is None and generator is None:
        raise InputError(
            "each explanation has a generator", cure="say which made them: --generator NAME, or a column", file=file
        )
    names = as_ids(table, given, file) if given is not None else pl.Series([None] * table.height, dtype=pl.String)
    rows = pl.DataFrame(
        {
            LINE: table[LINE],
            "user_id": as_ids(table, need("user_id", table.columns, columns, file), file).fill_null(""),
            "item_id": as_ids(table, need("item_id", table.columns, columns, file), file).fill_null(""),
            "text": text.fill_null(""),
            "generator": names.set(names == "", None).fill_null(generator or ""),
        }
    )
    for name, line in rows.group_by("generator", maintain_order=True).agg(pl.col(LINE).first()).iter_rows():
        try:
            safe_name(name)
        except InputError as error:
            cure = "name it otherwise, or leave the column out and give --generator"
            raise InputError(f"of generators, {error.rule}", value=name, cure=cure, file=file, line=line) from None
    status = find("status", table.columns, columns)
    if status is None:
        return rows.with_columns(pl.Series("status", [ended(words) for words in rows["text"]], dtype=pl.String))
    said = as_ids(table, status, file).fill_null("")
    rows = rows.with_columns(said.alias("status"))
    wrong = rows.filter(~pl.col("status").is_in(get_args(Status)))
    if wrong.height:
        known = ", ".join(get_args(Status))
        raise InputError(f"a status is one of {known}", value=wrong["status"][0], file=file, line=wrong[LINE][0])
    return rows


def _check_repeats(rows: pl.DataFrame, file: Path) -> None:
    key = [*_PAIR, "generator"]
    firsts = rows.unique(key, keep="first", maintain_order=True)
    again = rows.join(firsts.select(LINE), on=LINE, how="anti", maintain_order="left").head(1)
    if again.height:
        before = firsts.join(again, on=key, how="semi")[LINE][0]
        user, item, name = again.select(key).row(0)
        raise InputError(
            f"a generator explains an item to a user once; line {before} did",
            value=f"{user}, {item}, {name}",
            cure="keep one of them",
            file=file,
            line=again[LINE][0],
        )


def _recommended(workspace: Workspace, recommender: str, rows: pl.DataFrame) -> tuple[pl.DataFrame, bool]:
    """What `recommender` recommends, and whether that comes from `rows`, all or in part."""
    there = workspace.recommendations(recommender).exists()
    if there and "imported" not in workspace.read_manifest().get("recommenders", {}).get(recommender, {}):
        return read_recommendations(workspace, recommender), False
    before = [read_recommendations(workspace, recommender).select(*_PAIR)] if there else []
    pairs = pl.concat([*before, rows.select(*_PAIR)]).unique(maintain_order=True)
    rank = pl.int_range(1, pl.len() + 1, dtype=pl.Int32).over("user_id")
    return pairs.with_columns(rank=rank, score=pl.lit(0.0)), True


def _append(
    workspace: Workspace, recommender: str, rows: pl.DataFrame, settings: Mapping[str, object], source: str
) -> Imported:
    """Write the rows of one generator that its ledger does not hold yet, and the note beside it."""
    generator = rows["generator"][0]
    file = workspace.explanations(recommender, generator)
    known = replaced = 0
    with Ledger(file) as ledger:
        held = {
            (row.get("user_id"), row.get("item_id")): (row.get("text"), row.get("status")) for row in read_ledger(file)
        }
        _note(file, settings, source)
        for row in rows.iter_rows(named=True):
            pair = row["user_id"], row["item_id"]
            if held.get(pair) == (row["text"], row["status"]):
                known += 1
                continue
            replaced += pair in held
            explanation = Explanation(
                recommender, generator, *pair, row["rank"] or 0, row["text"], row["status"], prompt="", history=0
            )
            ledger.append({column: getattr(explanation, column) for column in SCHEMA})
    statuses = dict(rows["status"].value_counts(sort=True).iter_rows())
    return Imported(generator, rows.height, known, replaced, rows["rank"].null_count(), statuses)


def _note(file: Path, settings: Mapping[str, object], source: str) -> None:
    """Beside the ledger `file`: that its explanations were imported, and from which files."""
    notes = file.with_suffix(".toml")
    before = tomllib.loads(notes.read_text(encoding="utf-8")).get("files", []) if notes.exists() else []
    files = list(dict.fromkeys([*before, source]))
    with atomic(notes) as draft:
        draft.write_text(tomli_w.dumps(plain({**settings, "files": files})), encoding="utf-8")
