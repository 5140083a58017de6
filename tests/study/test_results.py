"""From answers to what a study found: records, tables, files, and pairs for a judge."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest
from tests.study.small import FILMS, START, created, design, instruction, invited, material

from llmxrec.datasets.domains import load_domain
from llmxrec.errors import InputError
from llmxrec.evaluation.judges.text import TextJudge
from llmxrec.evaluation.pairs import read_pairs
from llmxrec.evaluation.ratings import as_table, read_ratings
from llmxrec.evaluation.verdicts import VERDICTS, read_verdicts
from llmxrec.records import Domain, Instruction, Rating, Verdict
from llmxrec.reports.tables import doubts, table_2
from llmxrec.study.accounts import LATE
from llmxrec.study.answers import Choice, Scores
from llmxrec.study.material import StudyRow
from llmxrec.study.overview import ANSWERS
from llmxrec.study.results import (
    against_judge,
    agreement,
    bring_in,
    export_answers,
    narrower,
    pairs_of,
    ratings_of,
    results,
    verdicts_of,
    write_pairs,
)
from llmxrec.study.store import Store
from llmxrec.workspace import Workspace

BETTER = {"A": 8, "B": 4, "C": 4}
"""What generators deserve, and get from all raters."""


def study(url: str, *, rows: int = 6, own: int = 0) -> Store:
    """Three raters, who all find A better than B and C; these are alike. One is late, one is excluded."""
    of = design(mode="both", generators=("A", "B", "C"), rows=rows, ratings_per_cell=2, gold=1, attention_every=10)
    store = created(url, of, own)
    gone, *raters = (invited(store, name) for name in ("gone", "Ann", "Bob"))
    late, lost = "", None
    while lost is None or not all(" of " in text for text in lost.texts):  # not one that begins with a check
        late = invited(store, "late")
        lost = store.next_task(late, START)
    answer_all(store, gone)
    store.exclude(gone, "=1+1", "me", START)
    for rater in raters:
        answer_all(store, rater, START + 3600)
    answered(store, late, lost, START + 3600)
    if own:
        answer_all(store, invited(store, "Own", f"u{rows}"))
    store.close("me", START)
    store.unblind("me", START)
    return store


def answer_all(store: Store, rater: str, now: float = START) -> None:
    while task := store.next_task(rater, now):
        answered(store, rater, task, now)


def answered(store: Store, rater: str, task, now: float) -> None:  # type: ignore[no-untyped-def]
    points = [BETTER.get(text[0], 1) if " of " in text else 1 for text in task.texts]
    if task.kind == "compare":
        winner = "tie" if points[0] == points[1] else "first" if points[0] > points[1] else "second"
        answer = Choice(winner=winner)  # type: ignore[arg-type]
    else:
        answer = Scores(reasonability=points[0], attractiveness=points[0], redundancy=points[0], comment="=SUM(A1)")
    assert store.submit(task.task_id, rater, answer, now + 30) == "stored"


def test_what_counts_becomes_ratings_and_verdicts(study_url: str) -> None:
    answers = study(study_url, own=1).ratings()
    assert dict(answers.schema) == ANSWERS
    ratings, verdicts = ratings_of(answers), verdicts_of(answers)
    third = [one for one in ratings if not one.self_rated]
    # 6 rows x 3 generators, and x 3 pairs, by two raters each: not what was late or of the excluded.
    assert len(third) == 36 and len(verdicts) == 36
    assert len([one for one in ratings if one.self_rated]) == 3
    assert {one.user_id for one in ratings if one.self_rated} == {"u6"}
    assert all(one.reasonability == BETTER[one.generator] for one in ratings)
    for one in verdicts:
        best = {"first": one.first, "second": one.second, "tie": "tie"}[one.winner or ""]
        assert best == ("A" if "A" in (one.first, one.second) else "tie")
    assert {one.judge for one in verdicts} == {"people"} and all(one.rater for one in verdicts)
    assert {one.first for one in verdicts} == {"A", "B", "C"}
    assert sum(answers["left_out"].drop_nulls() == LATE) == 1


def test_the_tables_of_a_study(tmp_path: Path) -> None:
    found = results(study(f"sqlite:///{tmp_path}/study.db").ratings())
    means = {(row["generator"], row["scale"]): row["mean"] for row in found.figure_2.iter_rows(named=True)}
    assert means == {
        (name, scale): BETTER[name] for name in BETTER for scale in ("reasonability", "attractiveness", "redundancy")
    }
    apart = found.differences.filter(scale="redundancy").select("a", "b", "difference").rows()
    assert apart == [("A", "B", 4.0), ("A", "C", 4.0), ("B", "C", 0.0)]
    assert [round(one.value, 6) for one in found.agreement] == [1.0] * 4
    assert found.strengths is not None
    strength = dict(found.strengths.select("generator", "strength").iter_rows())
    assert strength["A"] > 2 and strength["B"] == pytest.approx(strength["C"])
    assert found.left_out == {LATE: 1, "rater excluded: =1+1": 36}


def test_agreement_falls_where_raters_differ() -> None:
    def rated(rater: str, row: int, score: int) -> dict[str, object]:
        scores = {"reasonability": score, "attractiveness": 5, "redundancy": score}
        who = {"task": f"{rater}{row}", "rater": rater, "rater_kind": "third-party", "order": 1, "recommender": "bpr"}
        what = {"kind": "rate", "purpose": "cell", "user_id": f"u{row}", "item_id": "i", "first": "A"}
        return {**who, **what, **scores, "comment": "", "seconds": 1.0}

    answers = pl.DataFrame(
        [rated("Ann", row, 2 + row % 7) for row in range(20)] + [rated("Bob", row, 8 - row % 7) for row in range(20)],
        schema=ANSWERS,
    )
    by_name = {one.name: one.value for one in agreement(answers)}
    assert by_name["reasonability alpha, interval"] < -0.5
    assert by_name["attractiveness alpha, interval"] != by_name["attractiveness alpha, interval"]  # one value: NaN


def test_an_export_is_whole_and_runs_nothing(tmp_path: Path) -> None:
    answers = study(f"sqlite:///{tmp_path}/study.db").ratings()
    for ending in ("parquet", "jsonl", "csv"):
        export_answers(answers, tmp_path / f"out.{ending}")
    assert pl.read_parquet(tmp_path / "out.parquet").equals(answers)
    assert pl.read_ndjson(tmp_path / "out.jsonl", schema=ANSWERS).equals(answers)
    table = pl.read_csv(tmp_path / "out.csv")
    assert table.columns == list(ANSWERS) and table.height == answers.height
    assert set(table["comment"].drop_nulls()) - {""} == {"'=SUM(A1)"}
    with pytest.raises(InputError, match="ends in one of"):
        export_answers(answers, tmp_path / "out.xlsx")


def test_results_are_brought_into_the_workspace(tmp_path: Path) -> None:
    answers = study(f"sqlite:///{tmp_path}/study.db", own=1).ratings()
    workspace = Workspace(tmp_path / "w")
    for _ in range(2):
        files = bring_in(answers, workspace)
        assert files == [workspace.ratings("bpr"), workspace.verdicts("bpr", "people")]
        assert read_ratings(files[0]).equals(as_table(ratings_of(answers)))
        assert read_verdicts(files[1]).height == 36
    # People are a judge like any other, who need not be measured on people first.
    scores = table_2({"w": workspace}).filter(source="people")
    assert dict(scores.select("generator", "win_ratio").iter_rows()) == {"A": 1.0, "B": 0.25, "C": 0.25}
    assert doubts(workspace, "bpr", "people") == "" and doubts(workspace, "bpr", "other") != ""


def test_a_judge_beside_people(tmp_path: Path) -> None:
    answers = study(f"sqlite:///{tmp_path}/study.db").ratings()

    def judge(winner_of: dict[str, int]) -> pl.DataFrame:
        made = [
            Verdict("bpr", "judge", f"u{row}", f"i{row}", a, b, "first" if winner_of[a] > winner_of[b] else "second")
            for row in range(6)
            for a, b in (("A", "B"), ("C", "A"), ("B", "C"))
        ]
        return pl.DataFrame([{name: getattr(one, name) for name in VERDICTS} for one in made], schema=VERDICTS)

    same, opposite = (
        against_judge(judge(points), answers) for points in ({"A": 3, "B": 2, "C": 1}, {"A": 1, "B": 2, "C": 3})
    )
    for source in ("comparisons", "ratings"):
        # That people call B and C alike, as no verdict here does, is no fault in accuracy.
        assert same[source].accuracy.value == 1.0 and opposite[source].accuracy.value == 0.0
        assert same[source].alpha.value > opposite[source].alpha.value
    assert same["comparisons"].kappa.rows == 36 and same["ratings"].kappa.rows == 18
    assert against_judge(judge({"A": 3, "B": 2, "C": 1}).clear(), answers) == {}


def test_pairs_for_a_judge(tmp_path: Path) -> None:
    store = study(f"sqlite:///{tmp_path}/study.db")
    pairs = pairs_of(store.ratings(), store.rows(), store.domain)
    assert len(pairs) == 18
    for pair in pairs:
        number = pair.case.instruction.user.user_id.removeprefix("u") if pair.case.instruction else ""
        assert pair.case.texts == tuple(f"{name} of {number}" for name in pair.generators)
        best = {"first": pair.generators[0], "second": pair.generators[1], "tie": "tie"}[pair.winner]
        assert best == ("A" if "A" in pair.generators else "tie")
        assert f"Film {number}" in pair.case.asked
    # The place tells nothing of the winner.
    assert 4 <= sum(pair.winner == "first" for pair in pairs) <= 8
    file = tmp_path / "pairs.jsonl"
    write_pairs(pairs, file)
    again = read_pairs(file)
    assert [(one.winner, one.generators, one.case.texts) for one in again] == [
        (one.winner, one.generators, one.case.texts) for one in pairs
    ]
    assert len({one.group for one in again}) == 6
    # The words are read back as what was asked, though the domain is one of one's own; ids are not in them.
    assert [(one.case.instruction, one.case.domain) for one in again] == [
        (without_ids(one.case.instruction), FILMS) for one in pairs
    ]


def without_ids(one: Instruction | None) -> Instruction:
    assert one is not None
    history = tuple(replace(item, item_id="") for item in one.history)
    return replace(
        one, user=replace(one.user, user_id=""), history=history, candidate=replace(one.candidate, item_id="")
    )


@pytest.mark.parametrize(
    ("domain", "told", "checked"),
    [(FILMS, True, True), (FILMS, False, False), (load_domain("movies"), False, True)],
    ids=["told by the pair", "words of one's own", "told by the words"],
)
def test_a_judge_of_what_a_study_exported_weighs_what_can_be_checked(
    tmp_path: Path, domain: Domain, told: bool, checked: bool
) -> None:
    """Of each pair the one that names the film that was seen is better than the one that names a film of nobody's."""
    said = {
        "A": 'You have watched "Seen {}", so this is for you.',
        "B": 'You may well like "Unseen {}", a film for all.',
    }
    rows = [StudyRow(instruction(n), {name: text.format(n) for name, text in said.items()}) for n in range(12)]
    answers = pl.DataFrame([one for n in range(12) for one in rated(n, 9, 3)], schema=ANSWERS)
    file = tmp_path / "pairs.jsonl"
    write_pairs(pairs_of(answers, rows, domain), file)
    if not told:
        lines = [json.loads(line) for line in file.read_text().splitlines()]
        file.write_text("".join(json.dumps({k: v for k, v in one.items() if k != "domain"}) + "\n" for one in lines))
    pairs = read_pairs(file)
    assert {pair.case.instruction is not None for pair in pairs} == {checked}
    judge = TextJudge()
    judge.fit(pairs)
    weights = dict(judge.heaviest(1000))
    assert (weights.get("any history title", 0.0) > 0) == checked and weights["different words"] != 0


def rated(row: int, a: int, b: int) -> list[dict[str, object]]:
    """What Ann said of two texts of a row."""
    return [
        {
            "rater": "Ann", "rater_kind": "third-party", "order": 1, "recommender": "bpr", "kind": "rate",
            "purpose": "cell", "user_id": f"u{row}", "item_id": f"i{row}", "first": name, "comment": "",
            "reasonability": score, "attractiveness": score, "redundancy": 5, "seconds": 1.0,
        }
        for name, score in (("A", a), ("B", b))
    ]  # fmt: skip


def test_pairs_from_ratings_alone_are_ties_within_the_margin() -> None:
    rows = material(design(generators=("A", "B"), rows=3)).rows
    answers = pl.DataFrame(rated(0, 9, 3) + rated(1, 5, 5), schema=ANSWERS)
    pairs = pairs_of(answers, rows, FILMS)
    assert [(pair.winner, pair.generators) for pair in pairs] == [("first", ("A", "B")), ("tie", ("B", "A"))]
    # (9 + 9 + 5) / 3 - (3 + 3 + 5) / 3 = 4
    assert [pair.winner for pair in pairs_of(answers, rows, FILMS, margin=4.1)] == ["tie", "tie"]


def test_a_study_ends_when_enough_is_known(study_url: str) -> None:
    of = design(generators=("A",), rows=60, ratings_per_cell=2, stop_at=0.5, tasks_per_rater=200)
    store = created(study_url, of)
    ann = invited(store, "Ann")
    done = 0
    while task := store.next_task(ann, START):
        score = 6 + done % 2
        answer = Scores(reasonability=score, attractiveness=score, redundancy=score)
        assert store.submit(task.task_id, ann, answer, START) == "stored"
        done += 1
        assert not narrower(store._answers(), of, 0.5) or done >= 30
    # Looked at after each 25 answers, and never before 30 recommendations are rated: after 50.
    assert done == 50 and store.state() == "closed"
    assert store.events()[-1].who == "stopping rule" and "narrower than 0.5" in store.events()[-1].what


def test_a_study_without_that_rule_ends_at_its_quotas(tmp_path: Path) -> None:
    store = created(
        f"sqlite:///{tmp_path}/study.db", design(generators=("A",), rows=60, ratings_per_cell=1, tasks_per_rater=200)
    )
    ann = invited(store, "Ann")
    while task := store.next_task(ann, START):
        store.submit(task.task_id, ann, Scores(reasonability=5, attractiveness=5, redundancy=5), START)
    assert store.progress().complete and store.state() == "open" and not store.settle(START)


def test_ratings_of_nothing() -> None:
    empty = pl.DataFrame(schema=ANSWERS)
    found = results(empty)
    assert found.figure_2.is_empty() and found.strengths is None and found.agreement == [] and found.left_out == {}
    assert ratings_of(empty) == list[Rating]()
