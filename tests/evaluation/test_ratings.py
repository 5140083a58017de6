"""People's scores: means with intervals, differences, agreement, and the paper's own Figure 2."""

from __future__ import annotations

import ast
import csv
import json
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from llmxrec.errors import InputError
from llmxrec.evaluation.ratings import (
    DIFFERENCES,
    FIGURE_2,
    RATINGS,
    SCALES,
    alphas,
    as_table,
    differences,
    figure_2,
    outcomes_of_ratings,
    read_ratings,
)
from llmxrec.records import Rating


def rating(generator: str, user: str, rater: str, *scores: int, self_rated: bool = False) -> Rating:
    reasonability, attractiveness, redundancy = scores
    fields = (reasonability, attractiveness, redundancy, 1, 20.0)
    return Rating("bpr", generator, user, f"item of {user}", rater, *fields, self_rated=self_rated)


# Two rows, each explained by two generators; Ann and Bob rate all of the first, Ann alone of the second.
FEW = [
    rating("A", "u1", "Ann", 4, 6, 8), rating("A", "u1", "Bob", 6, 6, 10),
    rating("B", "u1", "Ann", 8, 5, 9), rating("B", "u1", "Bob", 6, 5, 9),
    rating("A", "u2", "Ann", 2, 6, 3), rating("B", "u2", "Ann", 1, 9, 1),
    rating("A", "u1", "u1", 10, 10, 10, self_rated=True),
]  # fmt: skip


def test_means_by_hand() -> None:
    table = figure_2(as_table(FEW))
    assert dict(table.schema) == FIGURE_2
    third = table.filter(raters="third-party")
    assert third.select("generator", "scale", "mean", "ratings", "rows").rows() == [
        ("A", "reasonability", (4 + 6 + 2) / 3, 3, 2),
        ("A", "attractiveness", 6.0, 3, 2),
        ("A", "redundancy", (8 + 10 + 3) / 3, 3, 2),
        ("B", "reasonability", (8 + 6 + 1) / 3, 3, 2),
        ("B", "attractiveness", (5 + 5 + 9) / 3, 3, 2),
        ("B", "redundancy", (9 + 9 + 1) / 3, 3, 2),
    ]
    # With two rows, a draw has the first alone, the second alone, or both.
    assert third.row(0, named=True)["low"] == 2.0 and third.row(0, named=True)["high"] == 5.0
    assert third.row(1, named=True)["low"] == third.row(1, named=True)["high"] == 6.0
    own = table.filter(raters="self")
    assert own.select("generator", "mean").rows() == [("A", 10.0)] * 3


def test_differences_by_hand() -> None:
    table = differences(as_table(FEW))
    assert dict(table.schema) == DIFFERENCES
    # Row by row: 5 - 7 and 2 - 1; 6 - 5 and 6 - 9; 9 - 9 and 3 - 1.
    assert table.select("raters", "scale", "a", "b", "difference", "low", "high", "rows").rows() == [
        ("third-party", "reasonability", "A", "B", -0.5, -2.0, 1.0, 2),
        ("third-party", "attractiveness", "A", "B", -1.0, -3.0, 1.0, 2),
        ("third-party", "redundancy", "A", "B", 1.0, 0.0, 2.0, 2),
    ]


def test_who_is_better_by_hand() -> None:
    # u1: A (4+6+8+6+6+10)/6 = 6.67 and B 7; u2: A 11/3 and B 11/3. What people say of their own is apart.
    assert outcomes_of_ratings(as_table(FEW)).sort("user_id").select("user_id", "a", "b", "points").rows() == [
        ("u1", "A", "B", 0.0), ("u2", "A", "B", 0.5),
    ]  # fmt: skip


def test_agreement_is_krippendorffs() -> None:
    krippendorff = pytest.importorskip("krippendorff")
    draw = np.random.Generator(np.random.PCG64(3))
    truth = draw.integers(3, 9, (40, 3))
    given = np.clip(truth[None] + draw.integers(-2, 3, (3, 40, 3)), 1, 10)
    made = [rating("A", f"u{n}", f"r{r}", *map(int, given[r, n])) for r in range(3) for n in range(40) if (r + n) % 4]
    for number, metric in enumerate(alphas(as_table(made))):
        data = np.array([[given[r, n, number] if (r + n) % 4 else np.nan for n in range(40)] for r in range(3)])
        theirs = krippendorff.alpha(data, level_of_measurement="interval")
        assert metric.value == pytest.approx(theirs) and metric.low < metric.value < metric.high
        assert metric.name == f"{SCALES[number]} alpha, interval"


def test_intervals_hold_the_truth_as_often_as_they_say() -> None:
    draw = np.random.Generator(np.random.PCG64(5))
    held = 0
    for study in range(100):
        row = draw.normal(0, 1.0, 60)
        made = []
        for n in range(60):
            for r in range(3):
                score = int(np.clip(round(6 + row[n] + draw.normal(0, 1)), 1, 10))
                made.append(rating("A", f"u{n}", f"r{r}", score, 5, 5))
        first = figure_2(as_table(made), seed=study).row(0, named=True)
        held += first["low"] <= 6.0 <= first["high"]
    # Ratings of one row go together: as if they were apart, the interval would hold it in about 80 only.
    assert 88 <= held <= 100


def test_a_ledger_is_read_back(tmp_path: Path) -> None:
    file = tmp_path / "bpr.jsonl"
    last = replace(FEW[0], reasonability=9, comment="better so")
    file.write_text("".join(json.dumps(asdict(one)) + "\n" for one in [*FEW, last]), encoding="utf-8")
    read = read_ratings(file)
    assert dict(read.schema) == RATINGS and read.height == len(FEW)
    assert read.filter(comment="better so")["reasonability"].item() == 9


@pytest.mark.parametrize(
    ("change", "rule"),
    [
        ({"reasonability": 11}, "from 1 to 10"),
        ({"redundancy": 0}, "from 1 to 10"),
        ({"attractiveness": 5.5}, "from 1 to 10"),
        ({"attractiveness": True}, "from 1 to 10"),
        ({"rater": None}, "'rater'"),
        ({"order": 0}, "'order'"),
        ({"seconds": -1}, "'seconds'"),
        ({"seconds": float("inf")}, "'seconds'"),
        ({"self_rated": "yes"}, "'self_rated'"),
        ({"comment": 3}, "'comment'"),
    ],
)
def test_a_wrong_rating_is_named_with_its_line(tmp_path: Path, change: dict[str, object], rule: str) -> None:
    file = tmp_path / "bpr.jsonl"
    file.write_text(json.dumps(asdict(FEW[0])) + "\n" + json.dumps(asdict(FEW[1]) | change) + "\n", encoding="utf-8")
    with pytest.raises(InputError, match=rule) as told:
        read_ratings(file)
    assert told.value.line == 2


def test_no_ratings_are_no_means(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such ratings yet"):
        read_ratings(tmp_path / "bpr.jsonl")
    assert figure_2(as_table([])).is_empty() and differences(as_table([])).is_empty()
    assert outcomes_of_ratings(as_table([])).is_empty()
    assert all(np.isnan(one.value) and one.rows == 0 for one in alphas(as_table([])))


def test_the_papers_figure_2(real_release: Path) -> None:
    folder = real_release / "src/Human_eval"
    names = ("LLaMA2", "ChatGLM2", "GPT3.5", "GPT4", "LLaMA2-SFT")
    made: dict[str, list[Rating]] = {}
    with (folder / "result.csv").open(encoding="utf-8") as lines:
        for row in csv.DictReader(lines):
            for name in names:
                scores = ast.literal_eval(row[name])
                user = f"{row['dataset']}/{row['index']}"
                made.setdefault(row["dataset"], []).append(
                    rating(name, user, "one of five", *(scores[scale] for scale in SCALES))
                )
    with (folder / "result_avg.csv").open(encoding="utf-8") as lines:
        published = {(row["Dataset"], row["model"]): row for row in csv.DictReader(lines)}
    assert len(published) == 15
    for dataset, ratings in made.items():
        table = figure_2(as_table(ratings))
        assert set(table["ratings"]) == {500}
        for row in table.iter_rows(named=True):
            assert row["mean"] == pytest.approx(float(published[dataset, row["generator"]][row["scale"]]), abs=5e-4)
            assert row["low"] < row["mean"] < row["high"] and row["high"] - row["low"] < 0.3
        # What its text says of Steam: a tenth less redundant than LLaMA, and more reasonable, beyond chance.
        if dataset == "steam":
            found = differences(as_table(ratings)).filter(a="LLaMA2", b="LLaMA2-SFT")
            by_scale = {row["scale"]: row["high"] for row in found.iter_rows(named=True)}
            assert by_scale["redundancy"] < 0 and by_scale["reasonability"] < 0
            assert pl.Series(found["rows"]).unique().to_list() == [500]
