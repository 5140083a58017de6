"""What a study found: from all answers to records in the workspace, tables, and pairs that a judge learns from."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import polars as pl

from llmxrec.errors import InputError
from llmxrec.evaluation import ratings as scores
from llmxrec.evaluation import verdicts as comparisons
from llmxrec.evaluation.agreement import Agreement, alpha_of_outcomes
from llmxrec.evaluation.agreement import agreement as agree
from llmxrec.evaluation.pairs import group_of
from llmxrec.evaluation.ranking import outcomes, strengths
from llmxrec.prompts.template import load_template
from llmxrec.recommenders.metrics import Metric
from llmxrec.records import Case, Domain, Pair, Rating, Verdict, Winner
from llmxrec.reports.export import ENDINGS, write_by_ending
from llmxrec.study.design import StudyDesign
from llmxrec.study.material import StudyRow
from llmxrec.workspace import Workspace, atomic

_FEWEST_ROWS = 30
"""Intervals over fewer recommendations are too narrow to end a study by."""


def ratings_of(answers: pl.DataFrame) -> list[Rating]:
    """The ratings that count of `answers` (columns of ANSWERS)."""
    return [
        Rating(
            one["recommender"],
            one["first"],
            one["user_id"],
            one["item_id"],
            one["rater"],
            one["reasonability"],
            one["attractiveness"],
            one["redundancy"],
            one["order"],
            one["seconds"],
            one["comment"],
            one["rater_kind"] == "self",
        )
        for one in _counted(answers).filter(kind="rate").iter_rows(named=True)
    ]


def verdicts_of(answers: pl.DataFrame) -> list[Verdict]:
    """The comparisons that count of `answers`, of third-party raters, as verdicts of `verdicts.PEOPLE`."""
    return [
        Verdict(
            one["recommender"],
            comparisons.PEOPLE,
            one["user_id"],
            one["item_id"],
            one["first"],
            one["second"],
            one["winner"],
            raw=one["comment"],
            rater=one["rater"],
        )
        for one in _counted(answers).filter(kind="compare", rater_kind="third-party").iter_rows(named=True)
    ]


def _counted(answers: pl.DataFrame) -> pl.DataFrame:
    return answers.filter(pl.col("left_out").is_null(), pl.col("purpose") == "cell")


def agreement(answers: pl.DataFrame, seed: int = 1) -> list[Metric]:
    """Krippendorff's alpha among third-party raters: of each scale, and of comparisons; only what there is."""
    found = []
    rated = scores.as_table(ratings_of(answers))
    if rated.height:
        found += scores.alphas(rated, seed)
    compared = verdicts_of(answers)
    if compared:
        one = alpha_of_outcomes(outcomes(comparisons.as_table(compared)), seed)
        found.append(Metric(f"comparisons {one.name}", one.value, one.low, one.high, one.rows))
    return found


def narrower(answers: pl.DataFrame, design: StudyDesign, goal: float) -> bool:
    """Whether the intervals of `ratings.figure_2` are narrower than `goal` for all generators of the design, by
    third-party raters. Never before each was rated on 30 recommendations."""
    means = scores.figure_2(scores.as_table(ratings_of(answers)), design.seed).filter(raters="third-party")
    enough = means.filter(pl.col("rows") >= _FEWEST_ROWS, pl.col("high") - pl.col("low") < goal)
    return enough.height == len(design.generators) * len(scores.SCALES)


def export_answers(answers: pl.DataFrame, file: Path) -> None:
    """Write `answers`, one row each, as Parquet, CSV or JSONL by the ending of `file`.

    In CSV, text that a spreadsheet would run is defused. Raises InputError for another ending.
    """
    if file.suffix not in ENDINGS:
        raise InputError(f"an export ends in one of {', '.join(ENDINGS)}", value=file.name)
    write_by_ending(answers, file)


def bring_in(answers: pl.DataFrame, workspace: Workspace) -> list[Path]:
    """Put the ratings and comparisons that count into the workspace, in place of those there; returns the files.

    A study is the whole of what people said of a recommender, so that bringing it in twice changes nothing.
    """
    written = []
    for recommender in answers["recommender"].unique():
        part = answers.filter(recommender=recommender)
        for records, file in (
            (ratings_of(part), workspace.ratings(recommender)),
            (verdicts_of(part), workspace.verdicts(recommender, comparisons.PEOPLE)),
        ):
            if records:
                with atomic(file) as draft:
                    draft.write_text("".join(_line(asdict(record)) for record in records), encoding="utf-8")
                written.append(file)
    return written


def _line(fields: Mapping[str, Any]) -> str:
    return json.dumps(fields, ensure_ascii=True, separators=(",", ":")) + "\n"


@dataclass(frozen=True)
class Results:
    """The tables of a study: see `ratings.figure_2`, `ratings.differences`, `agreement`, `ranking.strengths`.

    `strengths` is None without comparisons. `left_out` counts answers by why they do not count, checks apart.
    """

    figure_2: pl.DataFrame
    differences: pl.DataFrame
    agreement: Sequence[Metric]
    strengths: pl.DataFrame | None
    left_out: Mapping[str, int]


def results(answers: pl.DataFrame, seed: int = 1) -> Results:
    """All tables of `answers` (columns of ANSWERS)."""
    rated, compared = scores.as_table(ratings_of(answers)), comparisons.as_table(verdicts_of(answers))
    why = answers.filter(purpose="cell").drop_nulls("left_out")["left_out"].value_counts(sort=True)
    return Results(
        scores.figure_2(rated, seed),
        scores.differences(rated, seed),
        agreement(answers, seed),
        strengths(outcomes(compared)).table if compared.height else None,
        dict(why.iter_rows()),
    )


def against_judge(judged: pl.DataFrame, answers: pl.DataFrame, seed: int = 1) -> dict[str, Agreement]:
    """How far a judge agrees with people, who are the reference: with their `comparisons`, and with their `ratings`.

    `judged` has verdicts (columns of VERDICTS); what there is nothing of is left out.
    """
    mine = outcomes(judged)
    people = {
        "comparisons": outcomes(comparisons.as_table(verdicts_of(answers))),
        "ratings": scores.outcomes_of_ratings(scores.as_table(ratings_of(answers))),
    }
    found = {name: agree(mine, theirs, seed) for name, theirs in people.items() if theirs.height}
    return {name: one for name, one in found.items() if one.kappa.rows}


def pairs_of(answers: pl.DataFrame, rows: Sequence[StudyRow], domain: Domain, margin: float = 0.5) -> list[Pair]:
    """What a judge may learn from people: of each two explanations of a row which one they found better.

    By the points that third-party raters gave in comparisons (a tie is half), where there are any; else by the means of
    all scores. Equal points are a tie, and so are means that differ by less than `margin` points. Generators stand in
    the order of their names for one half of the rows, and turned for the other.
    """
    key = ["user_id", "item_id"]
    rated = scores.as_table(ratings_of(answers)).filter(~pl.col("self_rated"))
    score = pl.mean_horizontal(*scores.SCALES).mean().alias("score")
    means = {
        (one["user_id"], one["item_id"], one["generator"]): one["score"]
        for one in rated.group_by(*key, "generator").agg(score).iter_rows(named=True)
    }
    compared = (
        outcomes(comparisons.as_table(verdicts_of(answers))).group_by(*key, "a", "b").agg(pl.col("points").mean())
    )
    points = {(o["user_id"], o["item_id"], o["a"], o["b"]): o["points"] for o in compared.iter_rows(named=True)}
    template = load_template("paper")
    found: list[Pair] = []
    for row in rows:
        user, item = row.instruction.user.user_id, row.instruction.candidate.item_id
        asked = template.words(row.instruction, domain)
        names = sorted(row.texts)
        for a, b in [(a, b) for a in names for b in names if a < b]:
            better = _better(
                points.get((user, item, a, b)), means.get((user, item, a)), means.get((user, item, b)), margin
            )
            if better is None:
                continue
            one, other = (a, b) if len(found) % 2 == 0 else (b, a)
            lead = better if one == a else -better
            case = Case(str(len(found)), asked, (row.texts[one], row.texts[other]), row.instruction, domain)
            winner: Winner = "tie" if lead == 0 else "first" if lead > 0 else "second"
            found.append(Pair(case, winner, group_of(asked), (one, other)))
    return found


def _better(points: float | None, a: float | None, b: float | None, margin: float) -> int | None:
    """1 where `a` is better, -1 where `b` is, 0 for a tie; None where nothing is known."""
    if points is not None:
        return (points > 0.5) - (points < 0.5)
    if a is None or b is None:
        return None
    return 0 if abs(a - b) < margin else 1 if a > b else -1


def write_pairs(pairs: Sequence[Pair], file: Path) -> None:
    """Write `pairs` as `pairs.read_pairs` reads them."""
    labels = {"first": "1", "second": "2", "tie": "tie"}
    with atomic(file) as draft, draft.open("w", encoding="utf-8") as out:
        for pair in pairs:
            fields: dict[str, Any] = {
                "instruction": pair.case.asked,
                "explanation_1": pair.case.texts[0],
                "explanation_2": pair.case.texts[1],
                "label": labels[pair.winner],
                "generator_1": pair.generators[0],
                "generator_2": pair.generators[1],
                "group": pair.group,
            }
            if pair.case.domain is not None:
                fields["domain"] = asdict(pair.case.domain)
            out.write(_line(fields))
