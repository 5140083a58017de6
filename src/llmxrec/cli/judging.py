"""Commands about judges: judge, validate-judge."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from llmxrec.cli import app
from llmxrec.cli.console import figures, only, opened, say, say_next, wrote
from llmxrec.cli.explanations import check_answered
from llmxrec.cli.options import ExplainedRecommender, JudgeSpec, Seed, Test, Train, WorkspacePath
from llmxrec.workspace import Workspace


@app.command("validate-judge")
def validate_judge(
    judge: JudgeSpec = "text",
    train: Train = None,
    test: Test = None,
    folds: Annotated[int, typer.Option(metavar="N", min=2, help="Parts of the cross-validation.")] = 10,
    seed: Seed = 1,
) -> None:
    """Measure a judge on labelled pairs, beside rules that read nothing.

    Each pair is shown in both orders. INVALID is a finding, not an error. What learns is measured on pairs that it has
    not learned from.
    """
    from llmxrec.evaluation.gate import measure

    measured = measure(judge, train, test, folds=folds, seed=seed)
    found, read, labels = measured.validity, measured.pairs, measured.labels
    figures(**found.to_json(), labels=labels)
    for name, pairs in read.items():
        say(f"{name}: {pairs}")
    if labels is not None:
        say(str(labels))
    for line in found.lines():
        say(line)
    if found.valid:
        say_next("judge", "WORKSPACE", "--judge", judge)
    elif judge != "text":
        say_next("validate-judge", "--judge", "text", *(word for name in read for word in _option(name, train, test)))


@app.command()
def judge(
    workspace: WorkspacePath,
    recommender: ExplainedRecommender = None,
    judge: JudgeSpec = "text",
    train: Train = None,
    test: Test = None,
    seed: Seed = 1,
) -> None:
    """Have a judge, measured first, compare the explanations of all generators.

    A judge that is not shown to be valid names no winner. Stopped at any moment, the same command goes on.
    """
    from llmxrec.evaluation.gate import prepare
    from llmxrec.generators.specs import slug
    from llmxrec.reports.summary import write_summary
    from llmxrec.reports.tables import verdict_lines, write_tables
    from llmxrec.stages import judging

    place = opened(workspace)
    recommender = only("recommender", recommender, place.explained(), f"llmxrec explain {workspace}")
    ready, measured = prepare(judge, train, test, seed=seed)
    settings = judging.judge_settings(judge, ready, train, seed)
    outcome = judging.judge_explanations(place, recommender, ready, measured, settings)
    for line in measured.validity.lines() if measured else ():
        say(line)
    named = {place.name: place}
    for line in (*outcome.lines(), *verdict_lines(named, seed)):
        say(line)
    tables = write_tables(named, place, seed)
    write_summary(place)
    figures(recommender=recommender, judge=judge, **vars(outcome))
    figures(validity=measured and measured.validity.to_json(), **compared(named, place))
    for file in (place.verdicts(recommender, slug(judge)), *tables, place.summary):
        wrote(file)
    check_answered(outcome.asked["failed"], "comparisons")
    say_next("audit", workspace)


def compared(workspaces: Mapping[str, Workspace], out: Workspace) -> dict[str, Any]:
    """The paper's Table 2 as it was written to `out`, for programs, and who is best in it by each judge, if anyone."""
    import polars as pl

    from llmxrec.reports.tables import TABLE_2, label_of, winner

    table = pl.read_csv(out.table("table2"), schema=TABLE_2)
    best = [
        {
            "recommender": recommender,
            "dataset": dataset,
            "source": source,
            "said": winner(workspaces[str(dataset)], str(recommender), label_of(str(source)), scores),
        }
        for (recommender, dataset, source), scores in table.partition_by(
            "recommender", "dataset", "source", as_dict=True
        ).items()
    ]
    return {"scores": table.to_dicts(), "best": best}


def _option(name: str, train: Path | None, test: Path | None) -> tuple[str, str]:
    return f"--{name}", str(train if name == "train" else test)
