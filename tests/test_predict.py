"""Attributes asked for, kept and read back; what a prompt shows, and what it does not."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.test_explain import RECOMMENDATIONS
from tests.worlds import small_dataset

from llmxrec.asking.estimate import estimate
from llmxrec.asking.questions import Questions
from llmxrec.datasets.dataset import Histories
from llmxrec.errors import InputError
from llmxrec.explain import explain
from llmxrec.generators.prices import Price
from llmxrec.generators.scripted import ScriptedGenerator
from llmxrec.ledger import read_ledger
from llmxrec.predict import predict, read_predictions
from llmxrec.prompts.instructions import PromptSettings
from llmxrec.prompts.targets import Targets
from llmxrec.records import Answer, Prompt
from llmxrec.settings import check

GOOD = '{"age": "30", "gender": "Female"}'


class Counting(ScriptedGenerator):
    """Answers `script`, remembers what it was asked, and stops like a killed process after `limit` answers."""

    def __init__(self, script: Any = lambda prompt: GOOD, limit: int | None = None) -> None:
        super().__init__(script)
        self.asked: list[Prompt] = []
        self.limit = limit

    def generate(self, prompts: Iterable[Prompt]) -> Iterator[Answer]:
        def drawn() -> Iterator[Prompt]:
            for prompt in prompts:
                self.asked.append(prompt)
                yield prompt

        for number, answer in enumerate(super().generate(drawn())):
            if number == self.limit:
                raise KeyboardInterrupt
            yield answer


def questions(generator: ScriptedGenerator, *names: str, top: int = 1, **settings: Any) -> Questions:
    dataset = small_dataset()
    histories = Histories.build(dataset.interactions, dataset.users["user_id"], dataset.items["item_id"])
    targets = Targets.of(dataset, histories)
    wanted = targets.wanted(names or ("age", "gender"))
    prompt = check(PromptSettings, settings, "prompt")
    return Questions.of(
        "bpr", RECOMMENDATIONS, dataset, histories, generator, prompt, top=top, targets=wanted,
        choices=targets.choices(wanted),
    )  # fmt: skip


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "scripted.jsonl"


def test_every_recommendation_is_asked_about_once_for_all_targets(file: Path) -> None:
    generator = Counting()
    outcome = predict(questions(generator), file)
    table = read_predictions(file, RECOMMENDATIONS.filter(rank=1))
    assert table["user_id"].to_list() == ["anna", "bob", "cleo"] and set(table["text"]) == {GOOD}
    assert table["targets"].to_list() == [["age", "gender"]] * 3
    assert outcome.lines() == ["3 rows: 3 ok"]
    for prompt in generator.asked:
        assert (prompt.instruction.task, prompt.instruction.targets) == ("predict", ("age", "gender"))
        assert prompt.choices == {"gender": ("female", "male")}


def test_a_prompt_tells_the_allowed_answers_and_not_the_truth(file: Path) -> None:
    generator = Counting()
    predict(questions(generator, "occupation", "gender"), file)
    for prompt in generator.asked:
        text = prompt.messages[-1].content
        assert "gender: female, male; occupation: engineer, writer" in text and "Infer from this: gender, occ" in text
        assert {"gender", "occupation"}.isdisjoint(prompt.instruction.user.attributes)
    assert "About this customer: age: 34" in generator.asked[0].messages[-1].content, "what is not asked for is shown"


def test_one_that_says_nothing_of_any_target_is_invalid(file: Path) -> None:
    said = iter(['{"age": "old", "gender": "?"}', '{"age": "old", "gender": "male"}', "I'm sorry, I can't."])
    outcome = predict(questions(Counting(lambda prompt: next(said))), file)
    table = read_predictions(file, RECOMMENDATIONS.filter(rank=1))
    assert table["status"].to_list() == ["invalid", "ok", "refused"]
    assert table["detail"][0] == "none of the attributes can be read" and table["text"][0].startswith('{"age": "old"')
    assert outcome.asked == {"invalid": 1, "ok": 1, "refused": 1}
    assert predict(questions(Counting()), file).known == 3, "an answer that cannot be read is not asked for again"


@pytest.mark.parametrize("limit", range(3))
def test_killed_it_goes_on_and_asks_what_is_missing(file: Path, limit: int) -> None:
    with pytest.raises(KeyboardInterrupt):
        predict(questions(Counting(limit=limit)), file)
    again = Counting()
    outcome = predict(questions(again), file)
    assert (outcome.known, len(again.asked)) == (limit, 3 - limit)
    assert [row["user_id"] for row in read_ledger(file)] == ["anna", "bob", "cleo"]


def test_other_targets_are_another_question(file: Path) -> None:
    keys = [
        {question.prompt.key for question in questions(Counting(), *names).prompts()}
        for names in (("age",), ("gender",), ("age", "gender"))
    ]
    assert len(set.union(*keys)) == 9
    asked = questions(Counting())
    fewer = Questions(**{**vars(asked), "choices": {"gender": ("male",)}})
    assert {one.prompt.key for one in asked.prompts()}.isdisjoint(one.prompt.key for one in fewer.prompts())


def test_cost_is_limited_and_counted_as_for_explanations(file: Path) -> None:
    price = Price(1000.0, 1000.0)
    plan = estimate(questions(Counting()), file, price=price, max_tokens=10)
    assert (plan.calls, plan.output_tokens_at_most) == (3, 30) and plan.cost_at_most
    with pytest.raises(InputError, match="a limit of cost needs a price"):
        predict(questions(Counting()), file, max_cost=1.0)
    none = predict(questions(Counting()), file, price=price, max_tokens=10, max_cost=0.0)
    assert none.out_of_money and not none.asked
    paid = predict(questions(Counting()), file, price=price, max_tokens=10, max_cost=1000.0)
    assert paid.cost == pytest.approx(sum(row["cost"] for row in read_ledger(file))) and paid.cost > 0


def test_settings_are_noted_and_kept_to(file: Path) -> None:
    predict(questions(Counting()), file, settings={"targets": ["age", "gender"]})
    with pytest.raises(InputError, match=r"made with targets = \['age', 'gender'\]"):
        predict(questions(Counting(), "age"), file, settings={"targets": ["age"]})


def test_a_template_that_asks_for_nothing_is_told(tmp_path: Path, file: Path) -> None:
    own = tmp_path / "own.txt"
    own.write_text("[history]\nSeen:\n{history}\n\n[candidate]\nNow: {candidate}\n\n[explain]\nWhy?\n")
    with pytest.raises(InputError, match=r"has a section \[predict\]"):
        questions(Counting(), template=str(own))
    assert explain(Questions(**{**vars(questions(Counting())), "targets": (), "choices": {}}), file).asked


def test_without_predictions_there_is_nothing_to_read(file: Path) -> None:
    with pytest.raises(InputError, match="llmxrec predict"):
        read_predictions(file, RECOMMENDATIONS)
    file.write_text(json.dumps({"a": 1}) + "\n")
    with pytest.raises(InputError, match="a row of answers has a prompt"):
        read_predictions(file, RECOMMENDATIONS)
