"""A workspace on one page of Markdown: data, recommenders with intervals, explanations with examples."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import polars as pl

from llmxrec.datasets.dataset import Dataset
from llmxrec.errors import InputError
from llmxrec.recommenders.metrics import Metric
from llmxrec.reports.markdown import safe
from llmxrec.reports.sheets import trivial_recommender
from llmxrec.reports.tables import bounds, label_of, rules_of_table_2, table_2, winner
from llmxrec.stored import stored_explanations
from llmxrec.workspace import Workspace, atomic


def write_summary(workspace: Workspace, examples: int = 3) -> None:
    """Write `summary.md` from what is stored in the workspace, nothing else."""
    manifest = workspace.read_manifest()
    dataset = Dataset.load(workspace.dataset)
    parts = [
        f"# {safe(manifest.get('recipe', {}).get('name', workspace.path.resolve().name))}",
        *_data(manifest, dataset),
    ]
    parts += _recommenders(manifest.get("recommenders", {}))
    for recommender in workspace.recommenders():
        for generator in workspace.generators(recommender):
            parts += ["", f"## Explanations: {safe(recommender)} x {safe(generator)}", ""]
            try:
                table = stored_explanations(workspace, recommender, generator)
            except InputError as error:
                parts.append(f"Not shown: {safe(error)}")
                continue
            parts += _explanations(table, dataset, examples)
    parts += _verdicts(workspace)
    with atomic(workspace.summary) as file:
        file.write_text("\n".join(parts) + "\n", encoding="utf-8")


def _data(manifest: Mapping[str, Any], dataset: Dataset) -> list[str]:
    noted = manifest.get("dataset", {})
    users, items, rows = dataset.users.height, dataset.items.height, dataset.interactions.height
    lines = ["", "## Data", ""]
    lines += _table(["users", "items", "interactions"], [[f"{users:,}", f"{items:,}", f"{rows:,}"]])
    dropped = [f"{count:,} {safe(why)}" for why, count in noted.get("dropped", {}).items() if count]
    notes = [f"{count:,} {safe(what)}" for what, count in noted.get("notes", {}).items() if count]
    lines += ["", "Dropped when read: " + ("; ".join(dropped) or "nothing") + "."]
    return [*lines, "", "Noted when read: " + "; ".join(notes) + "."] if notes else lines


def _recommenders(noted: Mapping[str, Mapping[str, Any]]) -> list[str]:
    measured = {name: entry for name, entry in noted.items() if entry.get("metrics")}
    if not measured:
        return []
    metrics = list(dict.fromkeys(metric for entry in measured.values() for metric in entry["metrics"]))
    rows = [
        [name, *(_interval(entry["metrics"].get(metric)) for metric in metrics), _rows_of(entry)]
        for name, entry in measured.items()
    ]
    kept_out = max(entry.get("kept_out", 0) for entry in measured.values())
    lines = [
        "",
        "## Recommenders",
        "",
        "Each user's last item is held out and ranked among all items not seen before; [95 % interval over users]. "
        + safe(trivial_recommender(noted)),
    ]
    if kept_out:
        lines[-1] += f" {kept_out:,} users with too few items are not measured."
    return [*lines, "", *_table(["recommender", *metrics, "users"], rows)]


def _explanations(table: pl.DataFrame, dataset: Dataset, examples: int) -> list[str]:
    lines: list[str] = []
    counts = dict(table.group_by("status").len().sort("len", descending=True).iter_rows())
    lines.append(f"{table.height:,} answers: " + ", ".join(f"{n:,} {status}" for status, n in counts.items()) + ".")
    shortened = table.filter(pl.col("dropped") > 0).height
    if shortened:
        lines.append(f"{shortened:,} prompts were too long for the model: their oldest history was left out.")
    tokens = table["input_tokens"].sum(), table["output_tokens"].sum()
    if any(tokens):
        lines.append(f"{tokens[0]:,} tokens read, {tokens[1]:,} written.")
    titles = dict(dataset.items.select("item_id", "title").iter_rows())
    shown = table.filter(pl.col("status") == "ok")
    step = max(1, shown.height // examples) if examples else 1
    for row in shown.gather_every(step).head(examples).iter_rows(named=True):
        lines += [
            "",
            f"**{safe(titles[row['item_id']])}**, for user {safe(row['user_id'])}:",
            "",
            f"> {safe(row['text'])}",
        ]
    return lines


def _verdicts(workspace: Workspace) -> list[str]:
    """The paper's Table 2 of each judge, and in place of a winner why there is none where the judge is in doubt."""
    lines: list[str] = []
    dataset = workspace.path.resolve().name
    table, rules = table_2({dataset: workspace}), rules_of_table_2({dataset: workspace})
    for (recommender, source), scores in table.partition_by("recommender", "source", as_dict=True).items():
        lines += ["", f"## Compared: {safe(recommender)}, {safe(source)}", ""]
        lines += [f"Best: {safe(winner(workspace, str(recommender), label_of(str(source)), scores))}.", ""]
        asked = table.filter(recommender=recommender)["source"][0]
        below = "Below: what trivial rules would say"
        lines += [f"{below}{'' if source == asked else f' to the questions of {safe(asked)}'}.", ""]
        rows = [
            [safe(row["generator"]), safe(row["source"]), bounds(row, "win_ratio"), bounds(row, "ranking_order"),
             *(f"{row[count]:,}" for count in ("rows", "ranked", "unreadable"))]
            for part in (scores.sort("win_ratio", descending=True, nulls_last=True),
                         rules.filter(recommender=recommender))
            for row in part.iter_rows(named=True)
        ]  # fmt: skip
        head = ["generator", "source", "win ratio", "ranking order", "rows", "ranked", "unreadable"]
        lines += _table(head, rows)
    return lines


def _interval(metric: Mapping[str, Any] | None) -> str:
    return "–" if metric is None else str(Metric(**metric)).removeprefix(f"{metric['name']} ")


def _rows_of(entry: Mapping[str, Any]) -> str:
    return f"{max(metric['rows'] for metric in entry['metrics'].values()):,}"


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    return ["| " + " | ".join(cells) + " |" for cells in (head, ["---"] * len(head), *rows)]
