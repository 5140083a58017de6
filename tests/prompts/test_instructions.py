"""What an instruction holds, and how a prompt is made to fit."""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.worlds import ANNA, MOVIES, SUSPECTS, instructions, small_dataset

from llmxrec.datasets.dataset import Dataset, Histories
from llmxrec.errors import InputError
from llmxrec.prompts.instructions import Instructions, PromptSettings
from llmxrec.prompts.prompt import make_prompt, without_oldest
from llmxrec.prompts.template import load_template
from llmxrec.records import Instruction, Item, Message
from llmxrec.settings import check


def make(**settings: object) -> Instructions:
    dataset = small_dataset()
    histories = Histories.build(dataset.interactions, dataset.users["user_id"], dataset.items["item_id"])
    return Instructions.of(dataset, histories, check(PromptSettings, settings, "prompt"), ["anna", "bob", "cleo"])


def titles(instruction: Instruction) -> list[str]:
    return [item.title for item in instruction.history]


def test_history_is_oldest_first_and_never_holds_the_candidate() -> None:
    assert titles(make().make("explain", "anna", "suspects")) == ["Bambi", "Heat", "Fargo"]
    assert titles(make().make("explain", "anna", "heat")) == ["Bambi", "Fargo"]
    assert titles(make(history=1).make("explain", "anna", "fargo")) == ["Heat"]
    assert titles(make(history=0).make("explain", "anna", "fargo")) == []
    assert titles(make().make("explain", "cleo", "heat")) == []


def test_causes_are_shown_however_old_the_strongest_first() -> None:
    asked = make(history=1).make("explain", "anna", "suspects", causes=["fargo", "bambi", "suspects", "no film"])
    assert titles(asked) == ["Bambi", "Fargo"]
    assert [item.title for item in asked.causes] == ["Fargo", "Bambi"]
    assert titles(make(history=0).make("explain", "anna", "suspects", causes=["heat"])) == ["Heat"]
    assert make().make("explain", "anna", "suspects").causes == ()


def test_a_prompt_that_is_too_long_loses_its_causes_last() -> None:
    asked = make().make("explain", "anna", "suspects", causes=["heat", "bambi"])
    left = [without_oldest(asked, count) for count in range(4)]
    assert [titles(one) for one in left] == [["Bambi", "Heat", "Fargo"], ["Bambi", "Heat"], ["Heat"], []]
    assert [[item.title for item in one.causes] for one in left] == [["Heat", "Bambi"]] * 2 + [["Heat"], []]


@given(st.integers(0, 30), st.integers(0, 40))
def test_the_newest_items_are_shown_as_many_as_there_are_or_as_are_asked_for(had: int, length: int) -> None:
    rows = pl.DataFrame(
        {"user_id": ["u"] * had, "item_id": [f"i{n}" for n in range(had)], "timestamp": range(had)},
        schema={"user_id": pl.String, "item_id": pl.String, "timestamp": pl.Int64},
    )
    catalogue = [f"i{n}" for n in range(31)]
    items = pl.DataFrame({"item_id": catalogue, "title": catalogue})
    dataset = Dataset(
        rows.with_columns(rating=pl.lit(None, pl.Float64)), items, pl.DataFrame({"user_id": ["u"]}), MOVIES
    )
    histories = Histories.build(rows, pl.Series(["u"]), items["item_id"])
    instructions = Instructions.of(dataset, histories, PromptSettings(history=length), ["u"])
    assert titles(instructions.make("explain", "u", "i30")) == catalogue[:had][max(0, had - length) :]


def test_side_information_is_switched_piece_by_piece() -> None:
    full = make().make("explain", "anna", "suspects")
    assert full.user.attributes == {"age": "34", "gender": "female", "occupation": "engineer"}
    assert set(full.candidate.attributes) == {"genres", "year"}
    part = make(item_attributes=["genres"], user_attributes=["age"]).make("explain", "anna", "suspects")
    assert part.user.attributes == {"age": "34"}
    assert part.history[0].attributes == {"genres": ("Animation",)}
    none = make(item_attributes=[], user_attributes=[]).make("explain", "anna", "suspects")
    assert none.user.attributes == {} and none.candidate.attributes == {} and none.history[0].attributes == {}


def test_what_is_to_be_predicted_is_not_shown() -> None:
    ask = make().make("predict", "anna", "suspects", ("age", "genres"))
    assert set(ask.user.attributes) == {"gender", "occupation"}
    assert set(ask.candidate.attributes) == {"year"}
    assert "Crime" in str(ask.history)
    text = load_template("paper").render(ask, MOVIES)[0].content
    assert "34" not in text and "Thriller" not in text


@pytest.mark.parametrize(
    ("settings", "error"),
    [
        ({"item_attributes": ["genre"]}, "unknown item attribute 'genre'; did you mean 'genres'"),
        ({"user_attributes": ["zip"]}, "unknown user attribute 'zip'"),
        ({"history": -1}, "history of prompt should be greater than or equal to 0; found -1"),
        ({"histroy": 3}, "unknown setting of prompt 'histroy'; did you mean 'history'"),
    ],
)
def test_wrong_settings_are_refused_in_one_line(settings: dict[str, object], error: str) -> None:
    with pytest.raises(InputError, match=error):
        make(**settings)


def words(messages: Sequence[Message]) -> int:
    return sum(len(message.content.split()) for message in messages)


@given(instructions(), st.integers(0, 400), st.sampled_from(["default", "paper"]))
def test_the_oldest_go_first_and_no_more_than_needed(instruction: Instruction, room: int, name: str) -> None:
    template = load_template(name)
    settings = PromptSettings()

    def length(dropped: int) -> int:
        shown = type(instruction)(
            instruction.task,
            instruction.user,
            instruction.history[dropped:],
            instruction.candidate,
            instruction.targets,
        )
        return words(template.render(shown, MOVIES))

    fitting = [dropped for dropped in range(len(instruction.history) + 1) if length(dropped) <= room]
    if not fitting:
        with pytest.raises(InputError, match=f"there is room for {room}"):
            make_prompt("k", instruction, template, MOVIES, settings, room=room, count_tokens=words)
        return
    prompt = make_prompt("k", instruction, template, MOVIES, settings, room=room, count_tokens=words)
    assert prompt.dropped == fitting[0]
    assert prompt.instruction.history == instruction.history[fitting[0] :]
    assert template.parse(prompt.messages, MOVIES) == prompt.instruction


def test_without_a_limit_nothing_is_counted() -> None:
    def never(_: Sequence[Message]) -> int:
        raise AssertionError

    ask = Instruction("explain", ANNA, (Item("", "A"),) * 500, SUSPECTS)
    prompt = make_prompt("k", ask, load_template("default"), MOVIES, PromptSettings(), count_tokens=never)
    assert prompt.dropped == 0 and len(prompt.instruction.history) == 500


def test_times_decide_then_places_in_the_file() -> None:
    rows = pl.DataFrame(
        {"user_id": ["u"] * 5, "item_id": list("abcde"), "timestamp": [2, 1, 2, None, 1]},
        schema_overrides={"timestamp": pl.Int64},
    )
    histories = Histories.build(rows, pl.Series(["u", "empty"]), pl.Series(list("edcba")))
    assert [histories.items[int(i)] for i in histories.of(0)] == ["d", "b", "e", "a", "c"]
    assert len(histories.of(1)) == 0
