"""What sheets say is what is stored: duels, times, costs, who is held against whom, and no file of what is gone."""

from __future__ import annotations

from dataclasses import asdict
from io import StringIO
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from rich.console import Console
from tests.reports.test_tables import verdict
from tests.worlds import small_dataset

from llmxrec.datasets.dataset import ReadReport
from llmxrec.evaluation.faithfulness import CITED, Faithfulness, Removal
from llmxrec.evaluation.ranking import DUELS, duels
from llmxrec.evaluation.verdicts import as_table
from llmxrec.ledger import Ledger
from llmxrec.recommenders.metrics import Metric
from llmxrec.records import Explanation, Status, Winner
from llmxrec.reports.attributes import TABLE_3
from llmxrec.reports.faithfulness import write_faithfulness
from llmxrec.reports.measured import MEASURED
from llmxrec.reports.page import rows_of
from llmxrec.reports.people import FAIRNESS
from llmxrec.reports.screen import screen
from llmxrec.reports.sheets import Bar, Sheet, sheets_of, write_sheets
from llmxrec.reports.sheets import as_table as cells_of
from llmxrec.reports.tables import duels_of, read_table, write_table
from llmxrec.stages.data import store_dataset
from llmxrec.stages.recommending import write_recommendations
from llmxrec.stages.reporting import named_workspaces, write_report
from llmxrec.stages.timing import timed
from llmxrec.workspace import Workspace


def workspace_at(path: Path) -> Workspace:
    """Two people to whom heat is recommended."""
    workspace = Workspace(path)
    store_dataset(workspace, small_dataset(), ReadReport("here", {}))
    people = pl.DataFrame({"user_id": ["anna", "bob"], "item_id": ["heat", "heat"]})
    write_recommendations(workspace, "bpr", people.with_columns(rank=pl.lit(1, pl.Int32), score=pl.lit(0.0)))
    return workspace


def explain(workspace: Workspace, generator: str, user: str, text: str, status: Status = "ok", **more: Any) -> None:
    with Ledger(workspace.explanations("bpr", generator)) as ledger:
        ledger.append(asdict(Explanation("bpr", generator, user, "heat", 1, text, status, "p", 1, **more)))


def judge(workspace: Workspace, *rows: tuple[str, str, str, Winner | None]) -> None:
    """Verdicts without an order: user, first, second, winner."""
    with Ledger(workspace.verdicts("bpr", "text")) as ledger:
        for user, first, second, winner in rows:
            one = verdict("text", user, winner, order_free=True)
            ledger.append({**asdict(one), "first": first, "second": second})


def sheets(workspace: Workspace) -> dict[str, Sheet]:
    return {sheet.name: sheet for sheet in sheets_of(workspace, [])}


def test_duels_by_hand() -> None:
    verdicts = as_table([
        verdict("j", "anna", "first"), verdict("j", "anna", "second", turned=True),  # x, both times
        verdict("j", "bob", "second"), verdict("j", "bob", "second", turned=True),  # the second, both times: a tie
        verdict("j", "cleo", "tie"),
        verdict("j", "dora", "first"), verdict("j", "dora", None, turned=True),  # one of two could not be read
        verdict("j", "eve", "second"),  # y
    ])  # fmt: skip
    found = duels(verdicts)
    assert dict(found.schema) == DUELS
    assert found.select("generator", "against", "rows").rows() == [("y", "x", 4), ("x", "y", 4)]
    y, x = found["win_ratio"]
    assert x == (1 + 0.5 + 0.5 + 0) / 4 and y == 1 - x
    assert found["low"][0] == 1 - found["high"][1] and found["low"][1] <= x <= found["high"][1]
    assert duels(verdicts.filter(user_id="dora")).is_empty()


def test_duels_are_named_by_what_they_are_of(tmp_path: Path) -> None:
    workspace = workspace_at(tmp_path / "w")
    judge(workspace, ("anna", "x", "y", "first"), ("bob", "x", "y", "first"))
    keys = ("recommender", "dataset", "source", "generator", "against", "win_ratio")
    assert duels_of({"w": workspace}).select(*keys).rows() == [
        ("bpr", "w", "text", "y", "x", 0.0), ("bpr", "w", "text", "x", "y", 1.0),
    ]  # fmt: skip


def test_one_generator_is_held_against_the_others_in_the_order_of_the_recipe(tmp_path: Path) -> None:
    workspace = workspace_at(tmp_path / "w")
    judge(workspace, *[(user, first, second, "second") for user in ("anna", "bob")
                       for first, second in (("h-1", "h-10"), ("h-1", "h-5"), ("h-10", "h-5"))])  # fmt: skip
    generators = [{"spec": "embedded", "name": name} for name in ("h-1", "h-5", "h-10")]
    workspace.note("recipe", generators=generators, judges=[{"spec": "text"}])
    assert not any(name.startswith("against") for name in sheets(workspace)), "nobody asked for it"
    workspace.note("recipe", generators=generators, judges=[{"spec": "text", "against": "h-1"}])
    sheet = sheets(workspace)["against-bpr-text"]
    assert sheet.rows == (("h-5", "1.000 [1.000, 1.000]", "2"), ("h-10", "1.000 [1.000, 1.000]", "2"))
    assert sheet.bars == (Bar("h-5", 1.0, 1.0, 1.0, 0.5), Bar("h-10", 1.0, 1.0, 1.0, 0.5))


def test_lists_of_different_lengths_are_not_drawn_on_one_scale(tmp_path: Path) -> None:
    workspace = workspace_at(tmp_path / "w")

    def trained(name: str, k: int, value: float) -> None:
        metric = {"name": f"NDCG@{k}", "value": value, "low": 0.0, "high": 1.0, "rows": 2}
        workspace.note("recommenders", name, metrics={metric["name"]: metric})

    trained("popularity", 10, 0.25)
    trained("bpr", 10, 0.5)
    sheet = sheets(workspace)["recommenders"]
    assert sheet.bars == (Bar("popularity", 0.25, 0.0, 1.0), Bar("bpr", 0.5, 0.0, 1.0, 0.25))
    assert sheet.drawn == "NDCG@10; dashed: popularity" and "The trivial rule is popularity." in sheet.note
    trained("bpr", 5, 0.5)
    sheet = sheets(workspace)["recommenders"]
    assert sheet.bars == () and sheet.note.endswith("Not drawn: NDCG@10, NDCG@5 differ.")
    assert "popularity, which was not measured by NDCG@5." in sheet.note
    assert [row[:2] for row in sheet.rows] == [("popularity", "NDCG@10"), ("bpr", "NDCG@5")]


def test_of_a_judge_who_saw_an_order_the_place_is_what_has_to_be_beaten(tmp_path: Path) -> None:
    workspace = workspace_at(tmp_path / "w")
    with Ledger(workspace.verdicts("bpr", "released")) as ledger:
        for user in ("anna", "bob"):
            ledger.append(asdict(verdict("released", user, "second")))
    sheet = sheets(workspace)["table2-bpr-released"]
    assert sheet.bars == (Bar("y", 1.0, 1.0, 1.0, 1.0), Bar("x", 0.0, 0.0, 0.0, 0.0)), "y always stood second"
    assert sheet.drawn == "win ratio; dashed: always the second"
    assert sheet.note.startswith("Outcome: no winner: the judge is not shown to be valid")
    assert "the text shown second wins 100.0% [100.0%, 100.0%] of 2" in sheet.note
    judge(workspace, ("anna", "x", "y", "first"))
    text = sheets(workspace)["table2-bpr-text"]
    assert [bar.rule for bar in text.bars] == [0.5, 0.5] and "to the questions of released verdicts" in text.note


def test_times_are_summed_over_runs_and_say_when_they_tell_no_rate(tmp_path: Path) -> None:
    workspace = workspace_at(tmp_path / "w")
    with Ledger(workspace.times) as ledger:
        for stage, rows, seconds in (("explain", 1_000, 1.5), ("train", 5, 0.002), ("explain", 500, 0.5)):
            ledger.append({"stage": stage, "recommender": "bpr", "who": "x", "rows": rows, "seconds": seconds})
    sheet = sheets(workspace)["times"]
    assert sheet.rows == (
        ("explain", "bpr", "x", "2", "1,500", "2.0", "750"), ("train", "bpr", "x", "1", "5", "0.002", "–"),
    )  # fmt: skip
    assert sheet.note.endswith("–: less than 0.1 seconds tell no rate.")


def test_nothing_is_kept_of_a_run_that_was_stopped_or_did_nothing(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path)
    with pytest.raises(KeyboardInterrupt), timed(workspace, "explain", "bpr", "x") as rows:
        rows(3)
        raise KeyboardInterrupt
    with timed(workspace, "explain", "bpr", "x") as rows:
        rows(0)
    assert not workspace.times.exists()
    with timed(workspace, "explain", "bpr", "x") as rows:
        rows(2)
        rows(1)
    (line,) = pl.read_ndjson(workspace.times).to_dicts()
    assert (line["stage"], line["recommender"], line["who"], line["rows"]) == ("explain", "bpr", "x", 3)
    assert 0 <= line["seconds"] < 60


def test_costs_are_of_all_that_was_asked_and_ends_of_the_last_answers(tmp_path: Path) -> None:
    workspace = workspace_at(tmp_path / "w")
    explain(workspace, "x", "anna", "", "failed", cost=0.0)
    explain(workspace, "x", "anna", "bad", "rejected", cost=0.5, output_tokens=7)
    explain(workspace, "x", "anna", "worse", "rejected", cost=0.5, output_tokens=8)
    explain(workspace, "x", "anna", "one  two three", cost=0.0, output_tokens=0, source="template")
    explain(workspace, "x", "bob", "no", "refused", cost=0.25, output_tokens=1)
    explain(workspace, "y", "bob", "", "failed")
    explain(workspace, "y", "bob", "one", cost=1.0)
    sheet = sheets(workspace)["costs"]
    assert sheet.rows == (
        ("bpr", "x", "2", "1 ok, 1 refused", "1", "3.0 [3.0, 3.0]", "16", "1.2500"),
        ("bpr", "y", "1", "1 ok", "0", "1.0 [1.0, 1.0]", "–", "–"),
    )
    assert "–: no text is ok, no tokens were counted, or what an answer cost is not known." in sheet.note


def test_what_was_made_for_other_recommendations_is_not_shown_as_of_these(tmp_path: Path) -> None:
    workspace = workspace_at(tmp_path / "w")
    explain(workspace, "old", "anna", "one two", cost=0.5)
    explain(workspace, "theirs", "bob", "three")
    workspace.explanations("bpr", "old").with_suffix(".toml").write_text("hold_out = true")
    workspace.note("recommenders", "bpr", hold_out=True)
    assert [row["texts"] for row in rows_of(workspace)] == [{"old": "one two"}, {"theirs": "three"}]
    workspace.note("recommenders", "bpr", hold_out=False)
    assert [row["texts"] for row in rows_of(workspace)] == [{"theirs": "three"}]
    old, theirs = sheets(workspace)["costs"].rows
    assert old == ("bpr", "old", "0", "none is of what is recommended now", "0", "–", "–", "0.5000"), "it was paid"
    assert theirs[2:4] == ("1", "1 ok")


def test_what_was_measured_of_a_recommender_goes_with_what_it_recommended(tmp_path: Path) -> None:
    workspace = workspace_at(tmp_path / "w")
    for name, schema in MEASURED.items():
        keys = {column: "1" if kind == pl.String else None for column, kind in schema.items()}
        rows = [{**keys, "recommender": recommender} for recommender in ("bpr", "007")]
        write_table(pl.DataFrame(rows, schema=schema), workspace.table(name))
    recommended = pl.read_parquet(workspace.recommendations("bpr"))
    write_recommendations(workspace, "bpr", recommended)
    assert all(
        read_table(workspace.table(name), MEASURED[name])["recommender"].to_list() == ["007"] for name in MEASURED
    )
    workspace.table("table3").write_text("mine\n1\n")
    write_recommendations(workspace, "bpr", recommended)
    assert workspace.table("table3").read_text() == "mine\n1\n", "what is no table of ours stays"


def test_names_that_look_like_numbers_stay_names(tmp_path: Path) -> None:
    workspace = workspace_at(tmp_path / "w")
    one = Metric("flip", 0.5, 0.25, 0.75, 7)
    removal = Removal(CITED, one, one, one, one)
    write_faithfulness({"bpr": {"007": Faithfulness(one, one, one, (removal,))}}, {"bpr": False}, workspace)
    rows = [("bpr", "w", "1", "02", "3", "4", "5", "words", *[0.0] * 9, 4, 0)]
    write_table(pl.DataFrame(rows, schema=FAIRNESS, orient="row"), workspace.table("fairness"))
    explain(workspace, "007", "anna", "one")
    judge(workspace, ("anna", "007", "x", "first"))
    found = sheets(workspace)
    assert found["faithfulness"].rows[0][:2] == ("bpr", "007") and found["faithfulness"].bars[0].what == "007"
    assert found["fairness"].rows[0][1:4] == ("02", "words", "3: 4 against 5")
    told = StringIO()
    Console(file=told, width=200).print(screen(workspace, "bpr", "007"))
    assert "0.500 [0.250, 0.750]" in told.getvalue(), "its flips are found"
    write_report(workspace.path)


def test_attributes_stand_beside_the_best_constant_of_their_target(tmp_path: Path) -> None:
    workspace = workspace_at(tmp_path / "w")
    rows = [
        ("bpr", "w", target, who, accuracy, low, high, 10, unread, 0.3, 0.2, 0.4, beside)
        for target, constant in (("age", 0.25), ("gender", 0.5))
        for who, accuracy, low, high, unread, beside in
        (("random", 0.1, 0.1, 0.1, 0, "m, n"), ("most frequent", constant, 0.1, 0.6, 0, "m, n"),
         ("m", 0.4, 0.3, 0.5, 1, ""), ("n", None, None, None, 10, ""))
    ]  # fmt: skip
    write_table(pl.DataFrame(rows, schema=TABLE_3, orient="row"), workspace.table("table3"))
    sheet = sheets(workspace)["table3"]
    assert sheet.bars == (Bar("age: m", 0.4, 0.3, 0.5, 0.25), Bar("gender: m", 0.4, 0.3, 0.5, 0.5))
    assert [row[2] for row in sheet.rows[:4]] == ["random", "most frequent", "m", "n"]
    assert sheet.rows[2] == ("bpr", "age", "m", "0.400 [0.300, 0.500]", "0.300 [0.200, 0.400]", "10", "1")
    assert sheet.rows[3][3] == "–" and sheet.note.endswith("–: no answer could be read.")


def test_who_was_asked_about_others_has_rules_of_its_own(tmp_path: Path) -> None:
    workspace = workspace_at(tmp_path / "w")
    figures = [
        ("most frequent", 0.25, "m"), ("logistic regression", 0.3, "m"), ("m", 0.4, ""),
        ("most frequent", 0.5, "n, o"), ("logistic regression", 0.6, "n, o"), ("n", 0.7, ""), ("o", 0.8, ""),
    ]  # fmt: skip
    rows = [("bpr", "w", "age", who, value, 0.0, 1.0, 10, 0, value, 0.0, 1.0, of) for who, value, of in figures]
    write_table(pl.DataFrame(rows, schema=TABLE_3, orient="row"), workspace.table("table3"))
    sheet = sheets(workspace)["table3"]
    assert [row[2] for row in sheet.rows[:4]] == [
        "most frequent, rows of m", "logistic regression, rows of m", "m", "most frequent, rows of n, o"
    ]  # fmt: skip
    assert [(bar.what, bar.rule) for bar in sheet.bars] == [
        ("age: logistic regression, rows of m", 0.25), ("age: m", 0.25),
        ("age: logistic regression, rows of n, o", 0.5), ("age: n", 0.5), ("age: o", 0.5),
    ]  # fmt: skip


def test_groups_say_whom_they_are_held_against(tmp_path: Path) -> None:
    workspace = workspace_at(tmp_path / "w")
    figures = (10.0, 9.0, 11.0, -0.0001, -0.0002, 0.0001)
    rows = [
        ("bpr", "w", "groups", "x", "gender", "female", "the rest", "words", *figures, 0.0, 0.0, 0.0, 4, 1),
        ("bpr", "w", "flipped", "x", "gender", "female", "male", "words", *figures, None, None, None, 4, 0),
    ]
    write_table(pl.DataFrame(rows, schema=FAIRNESS, orient="row"), workspace.table("fairness"))
    groups, flipped = sheets(workspace)["fairness"].rows
    assert groups[3:6] == ("gender: female", "10.000 [9.000, 11.000]", "0.000 [0.000, 0.000]"), "no sign of nothing"
    assert flipped[3] == "gender: female for male, flipped" and flipped[6:] == ("–", "4", "0")


def test_a_sheet_for_programs_has_numbers() -> None:
    head = ("who", "value", "rows", "seconds", "mixed")
    sheet = Sheet("t", "T", head, (("1,2 x", "-0.5 [-1.0, 0.25]", "1,200", "0.5", "–"), ("b", "–", "3", "–", "=1+1")))
    assert cells_of(sheet).to_dict(as_series=False) == {
        "who": ["1,2 x", "b"], "value": [-0.5, None], "value low": [-1.0, None], "value high": [0.25, None],
        "rows": [1200, 3], "seconds": [0.5, None], "mixed": [None, "=1+1"],
    }  # fmt: skip


def test_each_sheet_lies_in_three_files_and_none_is_left_of_what_is_gone(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path)
    for name in ("case-bpr-1.md", "table2-bpr-text.tex", "table2-bpr-text.csv", "table3.md", "notes.md",
                 "table2.csv", "table2-rules.csv", "table3.csv", "fairness.csv"):  # fmt: skip
        (tmp_path / "tables").mkdir(exist_ok=True)
        (tmp_path / "tables" / name).write_text("before")
    sheets = [Sheet(name, "T", ("a",), (("=1+1",),)) for name in ("times", "fairness")]
    assert {file.name for file in write_sheets(sheets, workspace)} == {
        "times.md", "times.tex", "times.csv", "fairness.md", "fairness.tex",
    }  # fmt: skip
    assert {file.name for file in (tmp_path / "tables").iterdir()} == {
        "times.md", "times.tex", "times.csv", "fairness.md", "fairness.tex", "fairness.csv",
        "notes.md", "table2.csv", "table2-rules.csv", "table3.csv",
    }  # fmt: skip
    assert (tmp_path / "tables/fairness.csv").read_text() == "before", "figures in full stay as they were measured"
    assert pl.read_csv(tmp_path / "tables/times.csv")["a"].to_list() == ["'=1+1"]


def test_a_folder_may_be_called_anything(tmp_path: Path) -> None:
    name = "=my <b>demo"
    workspace = workspace_at(tmp_path / name)
    judge(workspace, ("anna", "x", "y", "first"), ("bob", "x", "y", "first"))
    workspace.note("recipe", judges=[{"spec": "text", "against": "x"}])
    explain(workspace, "x", "anna", "one")
    assert workspace.report in write_report(workspace.path) and "against-bpr-text" in sheets(workspace)
    assert "<title>=my &lt;b&gt;demo</title>" in workspace.report.read_text()
    assert workspace.summary.read_text().startswith("# =my \\<b\\>demo")
    for file in ("table2", "against", "positions"):
        assert set(pl.read_csv(workspace.table(file))["dataset"]) <= {f"'{name}"}, "no formula"


def test_a_folder_is_reported_in_the_order_of_names_and_each_has_its_own_tables(tmp_path: Path) -> None:
    for name in ("b", "a", "c"):
        workspace = workspace_at(tmp_path / name)
        judge(workspace, ("anna", "x", "y", "first" if name == "a" else "second"))
        workspace.table("table2").parent.mkdir()
        workspace.table("table2").write_text("of other verdicts")
    assert list(named_workspaces(tmp_path)) == ["a", "b", "c"]
    files = write_report(tmp_path)
    assert [file.parent.name for file in files if file.name == "report.html"] == ["a", "b", "c"]
    table = pl.read_csv(tmp_path / "tables/table2.csv").filter(generator="x")
    assert table.select("dataset", "win_ratio").rows() == [("a", 1.0), ("b", 0.0), ("c", 0.0)]
    assert pl.read_csv(tmp_path / "a/tables/table2.csv")["dataset"].unique().to_list() == ["a"]
