"""A study in its database, step by step, on SQLite and on PostgreSQL."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import sqlalchemy as sa
from tests.study.small import (
    MINUTE,
    START,
    answer_to,
    created,
    design,
    instruction,
    invited,
    material,
    rate_all,
)

from llmxrec.errors import InputError, WorkError
from llmxrec.study import schema
from llmxrec.study.accounts import LATE, UnknownTask
from llmxrec.study.answers import Choice, Scores
from llmxrec.study.material import Gold, Material, StudyRow
from llmxrec.study.store import Store, open_store


def finished(store: Store) -> Store:
    store.close("me", START)
    store.unblind("me", START)
    return store


def test_a_study_is_filled_by_its_raters(study_url: str) -> None:
    store = created(study_url, design(rows=3, ratings_per_cell=2))
    for name in ("Ann", "Bob", "Cem"):
        rate_all(store, invited(store, name))
    progress = store.progress()
    assert [(cell.user_id, cell.generators, cell.stored, cell.held, cell.quota) for cell in progress.cells] == [
        (f"u{row}", (name,), 2, 0, 2) for row in range(3) for name in ("A", "B")
    ]
    assert (progress.stored, progress.quota, progress.complete) == (12, 12, True)
    # Two raters see all six cells each; for the third there is nothing left.
    assert sorted((one.rater.name, one.done, one.seconds) for one in progress.raters) == [
        ("Ann", 6, 30.0), ("Bob", 6, 30.0), ("Cem", 0, None),
    ]  # fmt: skip
    answers = finished(store).ratings()
    assert answers.select("user_id", "first").n_unique() == 6
    assert answers["order"].to_list() == [1, 2, 3, 4, 5, 6] * 2 or sorted(answers["order"]) == sorted(
        [*range(1, 7)] * 2
    )
    assert set(answers["seconds"]) == {30.0}


def test_a_rater_is_shown_the_text_and_the_export_says_who_wrote_it(study_url: str) -> None:
    store = created(study_url, design(mode="both", rows=2))
    rater = invited(store)
    shown = {task.task_id: task for task in rate_all(store, rater)}
    answers = finished(store).ratings()
    assert answers.height == len(shown) == 2 * 3
    for row in answers.iter_rows(named=True):
        number = row["user_id"].removeprefix("u")
        names = [name for name in (row["first"], row["second"]) if name is not None]
        task = shown[row["task"]]
        assert task.texts == tuple(f"{name} of {number}" for name in names)
        assert task.instruction == instruction(int(number))
        assert (task.number, task.kind) == (row["order"], row["kind"])


def test_what_a_rater_is_given_does_not_name_generators(study_url: str) -> None:
    names = ("zebra", "quokka")
    plan = design(generators=names, mode="both", gold=1, attention_every=2, rows=4)
    rows = tuple(StudyRow(instruction(n), {"zebra": f"one {n}", "quokka": f"two {n}"}) for n in range(4))
    store = open_store(study_url)
    store.create(plan, Material(material(plan).domain, rows, material(plan).gold), START)
    seen = repr(rate_all(store, invited(store)))
    assert "one" in seen and not any(name in seen for name in names)


def test_an_answer_is_stored_once(study_url: str) -> None:
    store = created(study_url, design())
    rater = invited(store)
    task = store.next_task(rater, START)
    assert task is not None
    assert store.submit(task.task_id, rater, answer_to(task, 3), START + 1) == "stored"
    assert store.submit(task.task_id, rater, answer_to(task, 9), START + 2) == "already stored"
    stored = store.stored_answer(task.task_id, rater)
    assert stored is not None and (stored.answer, stored.stored_at) == (answer_to(task, 3), START + 1)
    assert store.progress().stored == 1


def test_two_tabs_and_a_reload_show_the_same_task(study_url: str) -> None:
    store = created(study_url, design())
    rater = invited(store)
    first = store.next_task(rater, START)
    assert first is not None and store.next_task(rater, START + 5 * MINUTE) == first
    assert store.submit(first.task_id, rater, answer_to(first), START + 6 * MINUTE) == "stored"
    assert finished(store).ratings()["seconds"].item() == 6 * MINUTE


def test_nobody_answers_for_another(study_url: str) -> None:
    store = created(study_url, design())
    ann, bob = invited(store, "Ann"), invited(store, "Bob")
    task = store.next_task(ann, START)
    assert task is not None
    for task_id, rater in [(task.task_id, bob), ("no such", ann)]:
        with pytest.raises(UnknownTask):
            store.submit(task_id, rater, answer_to(task), START)
        assert store.stored_answer(task_id, rater) is None
    with pytest.raises(InputError, match="a rater was invited"):
        store.submit(task.task_id, "nobody", answer_to(task), START)
    with pytest.raises(InputError, match="scores answer a rating"):
        store.submit(task.task_id, ann, Choice(winner="tie"), START)
    assert store.progress().stored == 0


def test_tokens_are_secret_and_expire(study_url: str) -> None:
    store = created(study_url, design())
    token = store.invite("third-party", "Ann", START, expires_at=START + MINUTE)
    rater = store.rater_of(token, START)
    assert rater is not None and rater.name == "Ann"
    assert store.rater_of(token, START + MINUTE) is None
    for forged in ("", token[:-1], token + "x", token.lower(), rater.rater_id, "\ud800", "'; DROP TABLE rater; --"):
        assert store.rater_of(forged, START) is None
    with store.database.reading() as db:
        everything = [tuple(row) for table in schema.meta.sorted_tables for row in db.execute(sa.select(table))]
    assert "Ann" in repr(everything) and token not in repr(everything)


def test_a_held_task_goes_to_another_when_its_time_is_over(study_url: str) -> None:
    store = created(study_url, design(generators=("A",), rows=1, ratings_per_cell=1, hold_minutes=10))
    ann, bob = invited(store, "Ann"), invited(store, "Bob")
    lost = store.next_task(ann, START)
    assert lost is not None
    assert store.next_task(bob, START + 9 * MINUTE) is None
    assert not store.standing(bob).left and store.standing(ann).left
    given = store.next_task(bob, START + 11 * MINUTE)
    assert given is not None and given.texts == lost.texts and given.task_id != lost.task_id
    # Ann comes back: hers is kept, and left out, for Bob has the place; he may still answer.
    assert store.submit(lost.task_id, ann, answer_to(lost), START + 12 * MINUTE) == "stored"
    assert store.submit(given.task_id, bob, answer_to(given), START + 13 * MINUTE) == "stored"
    progress = store.progress()
    assert [(cell.stored, cell.held) for cell in progress.cells] == [(1, 0)]
    assert {one.rater.name: one.late for one in progress.raters} == {"Ann": 1, "Bob": 0}
    assert finished(store).ratings()["left_out"].to_list() == [LATE, None]


def test_a_late_answer_counts_where_its_place_is_free(study_url: str) -> None:
    store = created(study_url, design(generators=("A",), rows=2, ratings_per_cell=1, tasks_per_rater=1))
    ann, bob = invited(store, "Ann"), invited(store, "Bob")
    task = store.next_task(ann, START)
    other = store.next_task(bob, START + 11 * MINUTE)  # takes Ann's place back, and gets one of the two rows
    assert task is not None and other is not None
    outcome = store.submit(task.task_id, ann, answer_to(task), START + 12 * MINUTE)
    assert outcome == "stored"
    free = task.texts != other.texts
    assert finished(store).ratings()["left_out"].to_list() == [None if free else LATE]


def test_who_comes_back_late_gets_the_lost_task_again(study_url: str) -> None:
    store = created(study_url, design(generators=("A",), rows=1, ratings_per_cell=2))
    ann, bob = invited(store, "Ann"), invited(store, "Bob")
    lost = store.next_task(ann, START)
    assert lost is not None
    assert len(rate_all(store, bob, START + 11 * MINUTE)) == 1
    assert store.progress().cells[0].held == 0
    assert store.standing(ann).left
    assert store.next_task(ann, START + 60 * MINUTE) == lost
    assert store.submit(lost.task_id, ann, answer_to(lost), START + 61 * MINUTE) == "stored"
    # The hour away was no reading.
    assert finished(store).ratings().sort("seconds")["seconds"].to_list() == [30.0, 60.0]
    assert store.progress().complete


def test_pause_and_close(study_url: str) -> None:
    store = created(study_url, design())
    ann = invited(store)
    begun = store.next_task(ann, START)
    assert begun is not None
    store.pause("me", START)
    assert store.next_task(ann, START) is None and not store.standing(ann).left
    assert store.submit(begun.task_id, ann, answer_to(begun), START + 1) == "stored"
    store.resume("me", START)
    begun = store.next_task(ann, START)
    assert begun is not None
    store.close("me", START)
    assert store.submit(begun.task_id, ann, answer_to(begun), START + 1) == "refused"
    assert store.stored_answer(begun.task_id, ann) is None
    assert store.next_task(ann, START) is None
    with pytest.raises(InputError, match="becomes open"):
        store.resume("me", START)
    assert [event.what.split(":")[0].split(" ")[0] for event in store.events()] == [
        "created", "invited", "paused", "open", "closed",
    ]  # fmt: skip


def test_results_are_shown_after_unblinding_only(study_url: str) -> None:
    store = created(study_url, design())
    rate_all(store, invited(store))
    for _ in range(2):
        with pytest.raises(InputError, match="closed and unblinded"):
            store.ratings()
        with pytest.raises(InputError, match="closed and unblinded"):
            store.rows()
        if store.state() == "open":
            with pytest.raises(InputError, match="closed before it is unblinded"):
                store.unblind("me", START)
            store.close("me", START)
    store.unblind("Ada", START + 5)
    with pytest.raises(InputError, match="once"):
        store.unblind("Bob", START + 6)
    progress = store.progress()
    assert (progress.unblinded_by, progress.unblinded_at) == ("Ada", START + 5)
    assert store.ratings().height == 6
    assert store.rows() == list(material(store.design).rows)
    assert [(event.who, event.at) for event in store.events() if event.what == "unblinded"] == [("Ada", START + 5)]


def test_an_excluded_rater_counts_no_more_and_others_fill_in(study_url: str) -> None:
    store = created(study_url, design(rows=2, ratings_per_cell=1))
    ann, bob = invited(store, "Ann"), invited(store, "Bob")
    done = rate_all(store, ann)[:3]
    assert len(done) == 3 and store.progress().complete
    store.exclude(ann, "clicks at random", "me", START)
    assert [(cell.stored, cell.held) for cell in store.progress().cells] == [(0, 0)] * 4
    assert store.next_task(ann, START) is None
    assert store.standing(ann).excluded_reason == "clicks at random"
    assert len(rate_all(store, bob)) == 4 and store.progress().complete
    with pytest.raises(InputError, match="once, for a reason"):
        store.exclude(bob, "  ", "me", START)
    answers = finished(store).ratings()
    assert answers.height == 8
    assert answers.filter(rater=ann)["left_out"].unique().to_list() == ["rater excluded: clicks at random"]
    with pytest.raises(InputError, match="before the study is unblinded"):
        store.exclude(bob, "their scores are not as hoped", "me", START)


def test_an_excluded_rater_with_an_open_task_loses_it(study_url: str) -> None:
    store = created(study_url, design(rows=1, generators=("A",), ratings_per_cell=1))
    ann, bob = invited(store, "Ann"), invited(store, "Bob")
    task = store.next_task(ann, START)
    assert task is not None and store.next_task(bob, START) is None
    store.exclude(ann, "left", "me", START)
    assert store.submit(task.task_id, ann, answer_to(task), START) == "refused"
    assert len(rate_all(store, bob)) == 1


def test_a_self_rater_rates_their_own_and_takes_nobodys_place(study_url: str) -> None:
    store = created(study_url, design(rows=2, ratings_per_cell=1), own=1)
    own, shared, third = invited(store, user_id="u2"), invited(store, user_id="u0"), invited(store)
    with pytest.raises(InputError, match="has recommendations in the study"):
        invited(store, user_id="u9")
    with pytest.raises(InputError, match="a self-rater is a user"):
        store.invite("third-party", "Ann", START, "u0")
    assert sorted(task.texts[0] for task in rate_all(store, own)) == ["A of 2", "B of 2"]
    assert sorted(task.texts[0] for task in rate_all(store, shared)) == ["A of 0", "B of 0"]
    assert store.progress().stored == 0 and store.progress().by_self == 4
    # Nobody else is shown what is theirs alone; row 0 still wants its third-party ratings.
    assert sorted(task.texts[0] for task in rate_all(store, third)) == ["A of 0", "A of 1", "B of 0", "B of 1"]
    assert store.standing(own).of == 2 and store.standing(third).of == 4
    answers = finished(store).ratings()
    assert answers["rater_kind"].value_counts().sort("rater_kind").rows() == [("self", 4), ("third-party", 4)]


def test_checks_are_met_or_missed(study_url: str) -> None:
    store = created(study_url, design(rows=6, gold=1, attention_every=3, tasks_per_rater=6))
    careful, careless = invited(store, "careful"), invited(store, "careless")
    while task := store.next_task(careful, START):
        scores = [5, 5, 5]
        if "To show that" in task.texts[0]:
            asked = task.texts[0].split(": ")[1].rstrip(".").split(", ")
            scores = [int(part.split(" ")[0]) for part in asked]
            assert [part.split(" for ")[1] for part in asked] == ["reasonability", "attractiveness", "redundancy"]
        elif "gold" in task.texts[0]:
            scores = [2, 10, 10]
        reasonability, attractiveness, redundancy = scores
        answer = Scores(reasonability=reasonability, attractiveness=attractiveness, redundancy=redundancy)
        store.submit(task.task_id, careful, answer, START)
    rate_all(store, careless)
    by_name = {one.rater.name: one for one in store.progress().raters}
    assert (by_name["careful"].passed, by_name["careful"].checks) == (3, 3)
    assert (by_name["careless"].passed, by_name["careless"].checks) == (0, 3)
    # Checks are no ratings of anybody.
    assert store.progress().stored == by_name["careful"].done + by_name["careless"].done - 6 == 12
    checks = finished(store).ratings().filter(purpose="attention")
    assert checks["first"].null_count() == checks.height == 4


def test_checks_of_comparisons_know_where_the_right_text_stands(study_url: str) -> None:
    store = created(study_url, design(mode="compare", rows=12, gold=6, attention_every=3, tasks_per_rater=12))
    rater = invited(store)
    places = set()
    while task := store.next_task(rater, START):
        right = [text.startswith(("To show that", "good")) for text in task.texts]
        winner = "tie" if not any(right) else "first" if right[0] else "second"
        places.add(winner)
        assert winner == "tie" or right.count(True) == 1
        store.submit(task.task_id, rater, Choice.model_validate({"winner": winner}), START)
    (one,) = store.progress().raters
    assert one.passed == one.checks == 12 and places == {"first", "second", "tie"}


HOSTILE = "=cmd|'/c calc'!A1 <script>alert(1)</script> \x00 \ud800 '; DROP TABLE rating; -- {{7*7}} \u202e"


def test_hostile_text_is_kept_as_text(study_url: str) -> None:
    plan = design(generators=("A",), rows=1, ratings_per_cell=1)
    row = StudyRow(instruction(0), {"A": HOSTILE})
    store = open_store(study_url)
    store.create(plan, Material(material(plan).domain, (row,)), START)
    rater = invited(store, HOSTILE)
    task = store.next_task(rater, START)
    kept = HOSTILE.replace("\x00", "\ufffd").replace("\ud800", "?")
    assert task is not None and task.texts == (kept,)
    answer = Scores(reasonability=1, attractiveness=2, redundancy=3, comment=HOSTILE.replace("\ud800", "?"))
    assert store.submit(task.task_id, rater, answer, START) == "stored"
    store.exclude(rater, HOSTILE, HOSTILE, START)
    assert finished(store).ratings()["comment"].item() == kept
    assert store.progress().raters[0].rater.name == kept


def test_a_study_is_created_once_and_whole(study_url: str) -> None:
    store = open_store(study_url)
    with pytest.raises(InputError, match="holds a study"):
        _ = store.design
    plan = design(gold=1)
    good = material(plan)
    row = good.rows[0]
    for wrong, rule in [
        (Material(good.domain, good.rows[:2], good.gold), "3 rows"),
        (
            Material(good.domain, (*good.rows[:2], StudyRow(instruction(2), {"A": "a", "B": "  "})), good.gold),
            "all of its",
        ),
        (Material(good.domain, (row, row, good.rows[1]), good.gold), "each recommendation once"),
        (Material(good.domain, good.rows), "gold tasks is given"),
        (Material(good.domain, good.rows, (Gold(instruction(9), ("a", "b")),)), "one text and scores"),
    ]:
        with pytest.raises(InputError, match=rule):
            store.create(plan, wrong, START)
    assert not store.exists()
    store.create(plan, good, START)
    with pytest.raises(InputError, match="holds one study"):
        store.create(plan, good, START)
    again = open_store(study_url)
    assert again.exists() and again.design == plan and again.domain == good.domain


def test_the_database_is_sqlite_or_postgresql(tmp_path: Path) -> None:
    for url in ("mysql://root:secret@host/db", "nonsense", "sqlite://", "sqlite:///:memory:"):
        with pytest.raises(InputError, match=r"URL|SQLite or PostgreSQL") as told:
            open_store(url)
        assert "secret" not in str(told.value)
    with pytest.raises(WorkError, match="does not answer"):
        open_store(tmp_path / "no such folder" / "study.db").exists()
    with pytest.raises(WorkError, match="does not answer") as lost:
        open_store("postgresql://me:secret@127.0.0.1:1/study?connect_timeout=1").exists()
    assert "secret" not in str(lost.value) and "\n" not in str(lost.value)


def test_the_database_itself_refuses_more_than_the_quota(study_url: str) -> None:
    store = created(study_url, design(ratings_per_cell=2))
    for taken in (3, -1):
        with pytest.raises(sa.exc.IntegrityError), store.database.writing() as db:
            db.execute(sa.update(schema.cell).values(taken=taken))
    rater = invited(store)
    task = rate_all(store, rater)[0]
    again = {"task": task.task_id, "winner": "tie", "comment": "", "stored_at": START, "seconds": 1.0}
    with pytest.raises(sa.exc.IntegrityError), store.database.writing() as db:
        db.execute(sa.insert(schema.rating).values(again))


def test_the_design_is_stored_as_it_was_stated(study_url: str) -> None:
    store = created(study_url, design(stop_at=0.5))
    with store.database.reading() as db:
        stored = json.loads(db.execute(sa.select(schema.study.c.design)).scalar_one())
    assert stored == json.loads(store.design.model_dump_json()) and stored["stop_at"] == 0.5
