"""Stage 2: nothing lost, nothing asked twice, nothing above the limit."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.worlds import small_dataset

from llmxrec.asking.estimate import estimate
from llmxrec.asking.questions import Questions
from llmxrec.datasets.dataset import Histories
from llmxrec.errors import InputError, WorkError
from llmxrec.explain import explain, read_explanations
from llmxrec.generators.prices import Price
from llmxrec.generators.scripted import ScriptedGenerator
from llmxrec.ledger import read_ledger
from llmxrec.notes import settle
from llmxrec.prompts.instructions import PromptSettings
from llmxrec.records import Answer, Prompt
from llmxrec.settings import check

RECOMMENDATIONS = pl.DataFrame(
    {
        "user_id": ["anna", "anna", "bob", "bob", "cleo", "cleo"],
        "item_id": ["suspects", "heat", "fargo", "bambi", "heat", "fargo"],
        "rank": pl.Series([1, 2, 1, 2, 1, 2], dtype=pl.Int32),
        "score": [0.9, 0.1, 0.8, 0.2, 0.7, 0.3],
    }
)


def about(prompt: Prompt) -> str:
    """A script whose every answer tells whom it is for."""
    return f"{prompt.instruction.candidate.title} for {prompt.instruction.user.user_id}"


class Counting(ScriptedGenerator):
    """Scripted, and remembers what it was asked; stops like a killed process after `limit` answers."""

    def __init__(self, limit: int | None = None, **given: Any) -> None:
        super().__init__(given.pop("script", about), **given)
        self.asked: list[str] = []
        self.limit = limit

    def generate(self, prompts: Iterable[Prompt]) -> Iterator[Answer]:
        for answer in super().generate(prompts):
            if self.limit is not None and len(self.asked) >= self.limit:
                raise KeyboardInterrupt
            self.asked.append(answer.key)
            yield answer


def questions(generator: ScriptedGenerator, top: int = 2, **settings: Any) -> Questions:
    dataset = small_dataset()
    histories = Histories.build(dataset.interactions, dataset.users["user_id"], dataset.items["item_id"])
    prompt = check(PromptSettings, settings, "prompt")
    return Questions.of("bpr", RECOMMENDATIONS, dataset, histories, generator, prompt, top=top)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "scripted.jsonl"


def test_every_row_is_explained_once_in_the_order_of_the_table(file: Path) -> None:
    outcome = explain(questions(Counting()), file)
    table = read_explanations(file, RECOMMENDATIONS)
    assert table["text"].to_list()[:3] == ["The Usual Suspects for anna", "Heat for anna", "Fargo for bob"]
    assert table.select("user_id", "item_id", "rank").equals(RECOMMENDATIONS.select("user_id", "item_id", "rank"))
    assert (outcome.rows, outcome.known, outcome.asked) == (6, 0, {"ok": 6})
    assert table["history"].to_list() == [3, 2, 2, 2, 0, 0]


def test_users_and_top_choose_rows() -> None:
    dataset = small_dataset()
    histories = Histories.build(dataset.interactions, dataset.users["user_id"], dataset.items["item_id"])
    chosen = Questions.of("bpr", RECOMMENDATIONS, dataset, histories, Counting(), PromptSettings(), users=2, top=1)
    assert chosen.rows["item_id"].to_list() == ["suspects", "fargo"]


@given(st.lists(st.integers(0, 4), max_size=4))
def test_stopped_anywhere_it_ends_as_if_it_never_was(
    tmp_path_factory: pytest.TempPathFactory, stops: list[int]
) -> None:
    folder = tmp_path_factory.mktemp("runs")
    explain(questions(Counting()), folder / "whole.jsonl")
    asked: list[str] = []
    for stop in stops:
        generator = Counting(limit=stop)
        with suppress(KeyboardInterrupt):
            explain(questions(generator), folder / "cut.jsonl")
        asked += generator.asked
    last = Counting()
    explain(questions(last), folder / "cut.jsonl")
    assert sorted(asked + last.asked) == sorted({*asked, *last.asked}), "a prompt was paid twice"
    assert (folder / "cut.jsonl").read_bytes() == (folder / "whole.jsonl").read_bytes()


def test_the_same_run_again_asks_nothing(file: Path) -> None:
    explain(questions(Counting()), file)
    before = file.read_bytes()
    again = Counting()
    assert explain(questions(again), file).known == 6
    assert again.asked == [] and file.read_bytes() == before


def test_only_failed_rows_are_asked_again(file: Path) -> None:
    ends = iter(["ok", "failed", "truncated", "refused", "empty", "invalid"])

    def script(prompt: Prompt) -> Answer:
        return Answer(prompt.key, "half", next(ends), 3, 1)

    assert explain(questions(Counting(script=script)), file).asked["failed"] == 1
    again = Counting()
    explain(questions(again), file)
    assert len(again.asked) == 1
    table = read_explanations(file, RECOMMENDATIONS)
    assert table["status"].to_list() == ["ok", "ok", "truncated", "refused", "empty", "invalid"]
    assert table["text"][1] == "Heat for anna" and table["text"][2] == "half"


def test_a_changed_history_is_another_question(file: Path) -> None:
    explain(questions(Counting(), history=20), file)
    again = Counting()
    explain(questions(again, history=1), file)
    assert len(again.asked) == 4, "cleo has no history, so her prompts did not change"
    assert read_explanations(file, RECOMMENDATIONS)["history"].to_list() == [1, 1, 1, 1, 0, 0]


def test_explanations_of_what_is_no_longer_recommended_are_left_out(file: Path) -> None:
    explain(questions(Counting()), file)
    assert read_explanations(file, RECOMMENDATIONS.head(1))["item_id"].to_list() == ["suspects"]


def test_the_prompt_is_shortened_to_the_model_and_it_is_told(file: Path) -> None:
    full = next(questions(Counting()).prompts()).prompt
    room = ScriptedGenerator(about).count_tokens(full.messages) - 1
    outcome = explain(questions(Counting(context_tokens=room)), file)
    table = read_explanations(file, RECOMMENDATIONS)
    assert table["dropped"][0] == 1 and table["history"][0] == 2
    assert outcome.shortened == table.filter(pl.col("dropped") > 0).height >= 1


# Every answer reads some words and writes 3 tokens. At 1 USD a token, costs are token counts.
PRICE = Price(1_000_000.0, 1_000_000.0)


def most(prompt: Prompt) -> int:
    """What one attempt may cost at PRICE, with 10 tokens written: a byte is a token at most."""
    return sum(len(message.content.encode()) + 16 for message in prompt.messages) + 10


def test_it_stops_before_the_limit_is_exceeded_and_goes_on_when_it_is_raised(file: Path) -> None:
    whole = explain(questions(Counting()), file.with_name("whole.jsonl"), price=PRICE, max_tokens=10)
    some = 0.7 * most(next(questions(Counting()).prompts()).prompt) + whole.cost / 3
    outcome = explain(questions(Counting()), file, price=PRICE, max_tokens=10, max_cost=some)
    assert outcome.out_of_money and 0 < outcome.cost <= some
    assert 1 <= outcome.asked["ok"] < 6
    nothing = explain(questions(Counting()), file, price=PRICE, max_tokens=10, max_cost=outcome.cost)
    assert nothing.out_of_money and sum(nothing.asked.values()) == 0, "what earlier runs cost counts too"
    rest = explain(questions(Counting()), file, price=PRICE, max_tokens=10, max_cost=10 * whole.cost)
    assert not rest.out_of_money and rest.cost == pytest.approx(whole.cost)


@given(st.floats(0, 20000), st.integers(1, 40))
def test_the_limit_holds_whatever_the_answers_cost(
    tmp_path_factory: pytest.TempPathFactory, limit: float, tokens: int
) -> None:
    def script(prompt: Prompt) -> Answer:
        read = ScriptedGenerator(about).count_tokens(prompt.messages)
        return Answer(prompt.key, "x", input_tokens=read, output_tokens=tokens)

    file = tmp_path_factory.mktemp("purse") / "a.jsonl"
    outcome = explain(questions(Counting(script=script)), file, price=PRICE, max_tokens=40, max_cost=limit)
    rows = list(read_ledger(file))
    assert sum(row["input_tokens"] + row["output_tokens"] for row in rows) <= limit
    assert outcome.out_of_money == (len(rows) < 6)


class Ahead(Counting):
    """Draws all it is given before it answers, as a generator does that has many requests under way."""

    def generate(self, prompts: Iterable[Prompt]) -> Iterator[Answer]:
        return super().generate(list(prompts))


def test_what_is_under_way_counts_against_the_limit(file: Path) -> None:
    one = most(next(questions(Counting()).prompts()).prompt)
    outcome = explain(questions(Ahead()), file, price=PRICE, max_tokens=10, max_cost=2.5 * one)
    assert outcome.out_of_money and 2 <= outcome.asked["ok"] <= 4
    assert outcome.cost <= 2.5 * one


def test_a_server_that_does_not_count_is_taken_to_ask_the_most_in_every_run(file: Path) -> None:
    def script(prompt: Prompt) -> Answer:
        return Answer(prompt.key, "uncounted")

    one = most(next(questions(Counting()).prompts()).prompt)
    for _ in range(4):
        explain(questions(Counting(script=script)), file, price=PRICE, max_tokens=10, max_cost=1.5 * one)
    assert len(list(read_ledger(file))) == 1


def test_what_was_asked_before_its_price_was_known_counts_too(file: Path) -> None:
    explain(questions(Counting(), top=1), file)
    assert all(row["cost"] is None for row in read_ledger(file))
    tokens = sum(row["input_tokens"] + row["output_tokens"] for row in read_ledger(file))
    again = explain(questions(Counting()), file, price=PRICE, max_tokens=10, max_cost=tokens + 1.0)
    assert again.out_of_money and sum(again.asked.values()) == 0 and again.cost == tokens


def test_attempts_that_were_lost_on_the_way_may_have_to_be_paid(file: Path) -> None:
    def script(prompt: Prompt) -> Answer:
        return Answer(prompt.key, "", "failed", detail="cut", lost=3)

    outcome = explain(questions(Counting(script=script)), file, price=PRICE, max_tokens=10)
    assert outcome.cost == 3 * sum(most(question.prompt) for question in questions(Counting()).prompts())


def test_a_row_that_cannot_be_asked_does_not_keep_the_others(file: Path) -> None:
    count = ScriptedGenerator(about).count_tokens
    room = count(next(questions(Counting(), history=0).prompts()).prompt.messages)
    long = small_dataset()
    titles = long.items["title"].to_list()
    titles[0] = "word " * 500
    dataset = replace(long, items=long.items.with_columns(title=pl.Series(titles)))
    histories = Histories.build(dataset.interactions, dataset.users["user_id"], dataset.items["item_id"])
    generator = Counting(context_tokens=room + 50)
    asked = Questions.of("bpr", RECOMMENDATIONS, dataset, histories, generator, PromptSettings(), top=2)
    outcome = explain(asked, file)
    table = read_explanations(file, RECOMMENDATIONS)
    assert outcome.asked == {"ok": 4, "invalid": 2} and len(generator.asked) == 4
    refused = table.filter(pl.col("status") == "invalid")
    assert set(refused["item_id"]) == {"heat"} and "there is room for" in refused["detail"][0]
    assert explain(asked, file).known == 6


def test_where_no_prompt_fits_nothing_is_begun(file: Path) -> None:
    with pytest.raises(InputError, match=r"none of the first 6 prompts can be asked: .* there is room for 5"):
        explain(questions(Counting(context_tokens=5)), file)
    assert not file.exists()


@pytest.mark.parametrize("cost", ['"abc"', "NaN", "-1", "Infinity"])
def test_a_damaged_cost_is_told_and_never_added(file: Path, cost: str) -> None:
    file.write_text(f'{{"prompt": "a", "status": "ok", "cost": {cost}}}\n')
    with pytest.raises(InputError, match="line 1: a row of answers has"):
        explain(questions(Counting()), file, price=PRICE, max_tokens=1, max_cost=1.0)


def test_a_dry_run_tells_what_cannot_be_asked(file: Path) -> None:
    with pytest.raises(InputError, match="none of the first 6 prompts can be asked"):
        estimate(questions(Counting(context_tokens=5)), file, price=None, max_tokens=1)


def test_a_recommendation_of_nothing_known_is_told() -> None:
    dataset = small_dataset()
    histories = Histories.build(dataset.interactions, dataset.users["user_id"], dataset.items["item_id"])
    wrong = RECOMMENDATIONS.with_columns(item_id=pl.lit("gone"))
    with pytest.raises(InputError, match="names an item of the dataset; found 'gone'"):
        Questions.of("bpr", wrong, dataset, histories, Counting(), PromptSettings())


def test_progress_is_told_of_every_row(file: Path) -> None:
    steps: list[int] = []
    explain(questions(Counting(limit=None)), file, advance=steps.append)
    explain(questions(Counting()), file, advance=steps.append)
    assert sum(steps) == 12


def test_each_row_is_drawn_with_a_seed_of_its_own() -> None:
    seeds = [question.prompt.seed for question in questions(Counting()).prompts()]
    assert len(set(seeds)) == 6
    assert seeds == [question.prompt.seed for question in questions(Counting()).prompts()]


def test_a_ledger_of_something_else_is_told(file: Path) -> None:
    file.write_text('{"a": 1}\n')
    with pytest.raises(InputError, match="line 1: a row of answers has a prompt, a status and a cost"):
        explain(questions(Counting()), file)


def test_settings_are_noted_and_kept_to(file: Path) -> None:
    explain(questions(Counting()), file, settings={"history": 20})
    with pytest.raises(InputError, match="made with history = 20; found 5"):
        explain(questions(Counting()), file, settings={"history": 5})
    explain(questions(Counting()), file, settings={"history": 20})


def test_another_run_with_other_settings_cannot_change_the_notes_of_this_one(file: Path) -> None:
    class Nosy(Counting):
        def generate(self, prompts: Iterable[Prompt]) -> Iterator[Answer]:
            with pytest.raises(WorkError, match="another llmxrec is writing it"):
                explain(questions(Counting()), file, settings={"history": 5})
            yield from super().generate(prompts)

    explain(questions(Nosy()), file, settings={"history": 20})
    assert "history = 20" in file.with_suffix(".toml").read_text()


def test_a_limit_needs_a_price(file: Path) -> None:
    with pytest.raises(InputError, match="a limit of cost needs a price"):
        explain(questions(Counting()), file, max_cost=1.0)


def test_a_dry_run_counts_what_is_missing(file: Path) -> None:
    generator = Counting()
    plan = estimate(questions(generator), file, price=PRICE, max_tokens=10)
    assert (plan.rows, plan.calls, plan.counted, len(plan.examples)) == (6, 6, 6, 3)
    assert generator.asked == [] and not file.exists()
    whole = explain(questions(generator), file, price=PRICE, max_tokens=10)
    read = sum(row["input_tokens"] for row in read_ledger(file))
    assert plan.input_tokens == read and plan.output_tokens_at_most == 60
    assert plan.cost_at_most == read + 60 >= whole.cost
    assert estimate(questions(generator), file, price=None, max_tokens=10).calls == 0


class Forgetful(ScriptedGenerator):
    def generate(self, prompts: Iterable[Prompt]) -> Iterator[Answer]:
        for prompt in list(prompts)[1:]:
            yield Answer(prompt.key, "x")


class Babbling(ScriptedGenerator):
    def generate(self, prompts: Iterable[Prompt]) -> Iterator[Answer]:
        for prompt in prompts:
            yield Answer(prompt.key, "x")
            yield Answer(prompt.key, "x again")


def test_a_generator_that_breaks_its_contract_is_found_out(file: Path) -> None:
    with pytest.raises(WorkError, match="left 1 prompts without an answer"):
        explain(questions(Forgetful(about)), file)
    with pytest.raises(WorkError, match="not asked, or twice"):
        explain(questions(Babbling(about)), file.with_name("b.jsonl"))


def test_a_half_written_line_is_read_around_and_repaired(file: Path) -> None:
    explain(questions(Counting()), file)
    file.write_bytes(file.read_bytes()[:-20])
    assert read_explanations(file, RECOMMENDATIONS).height == 5
    again = Counting()
    explain(questions(again), file)
    assert len(again.asked) == 1 and read_explanations(file, RECOMMENDATIONS).height == 6


def test_no_explanations_yet(file: Path) -> None:
    with pytest.raises(InputError, match="no such explanations yet"):
        read_explanations(file, RECOMMENDATIONS)


def test_answers_made_otherwise_are_not_mixed(file: Path) -> None:
    settle(file, {"template": "default", "history": 20, "item_attributes": None})
    settle(file, {"template": "default", "history": 10})  # nothing was answered yet
    explain(questions(Counting()), file)
    settle(file, {"template": "default", "history": 10})
    with pytest.raises(InputError, match=r"answers made with history = 10; found 5; keep both with --name OTHER"):
        settle(file, {"template": "default", "history": 5})
    with pytest.raises(InputError, match="made with item_attributes = None"):
        settle(file, {"template": "default", "history": 10, "item_attributes": ["genres"]})
