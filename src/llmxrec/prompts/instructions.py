"""From a dataset to instructions: whose history is shown, how much of it, and which side information."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Annotated, TypeVar

from pydantic import Field

from llmxrec.datasets.dataset import Dataset, Histories
from llmxrec.lookup import closest
from llmxrec.prompts.targets import hidden
from llmxrec.records import Domain, Instruction, Item, Task, User
from llmxrec.settings import Settings

V = TypeVar("V")


class PromptSettings(Settings):
    """What a prompt shows, and in which template."""

    template: str = "default"
    """`default`, `evidence` (which tells what the recommendation rests on), `paper`, or the path of a text file."""
    history: Annotated[int, Field(ge=0)] = 20
    """The newest items shown, at most, beside those that the recommendation rests on. The paper shows up to 50 on
    ML-100k and 10 on MIND and Steam."""
    item_attributes: tuple[str, ...] | None = None
    """Side information shown of each item, by column; None: all that the domain lists; (): none."""
    user_attributes: tuple[str, ...] | None = None
    """What is shown of the person, by column; None: all that the domain lists; (): nothing."""
    reasoning: bool = True
    """Chain of thought: ask the generator to reason first."""
    max_words: Annotated[int, Field(ge=1)] = 75
    """The length that an explanation is asked to keep, in words (the paper's 75)."""


@dataclass(frozen=True)
class Instructions:
    """Makes the instructions for the rows of a dataset.

    `histories` is what may be shown: what the recommender knew. Items and people are cut down once to the side
    information that is shown, so an instruction holds what the generator is told, and no more.
    """

    histories: Histories
    items: Sequence[Item]
    item_rows: Mapping[str, int]
    users: Mapping[str, User]
    user_rows: Mapping[str, int]
    length: int

    @classmethod
    def of(
        cls, dataset: Dataset, histories: Histories, settings: PromptSettings, user_ids: Iterable[str]
    ) -> Instructions:
        """For these users of `dataset`. Raises InputError for an attribute that the domain does not list."""
        domain = dataset.domain
        item_attributes = _shown("item attribute", settings.item_attributes, domain.item_attributes)
        user_attributes = _shown("user attribute", settings.user_attributes, domain.user_attributes)
        wanted = list(dict.fromkeys(user_ids))
        numbers = {user: number for number, user in enumerate(histories.users.to_list())}
        return cls(
            histories=histories,
            items=[
                replace(item, attributes={k: v for k, v in item.attributes.items() if k in item_attributes})
                for item in dataset.item_records
            ],
            item_rows={item: number for number, item in enumerate(histories.items.to_list())},
            users={
                user.user_id: replace(
                    user, attributes={k: user.attributes[k] for k in user_attributes if k in user.attributes}
                )
                for user in dataset.user_records(wanted)
            },
            user_rows={user: numbers[user] for user in wanted if user in numbers},
            length=settings.history,
        )

    def make(
        self, task: Task, user_id: str, item_id: str, targets: tuple[str, ...] = (), causes: Sequence[str] = ()
    ) -> Instruction:
        """What to ask about recommending `item_id` to `user_id`. Both are of the dataset.

        The history is the newest items before the recommendation, without the candidate itself; and those among
        `causes`, ids of what the recommendation rests on, however old. The attributes in `targets` are what is to be
        predicted, so what would tell them is not shown (see `hidden`).
        """
        candidate = self.items[self.item_rows[item_id]]
        user = self.users[user_id]
        numbers = self.histories.of(self.user_rows[user_id]) if user_id in self.user_rows else ()
        known = [self.items[number] for number in numbers if number != self.item_rows[item_id]]
        older = known[: max(0, len(known) - self.length)]
        newest = [*(item for item in older if item.item_id in causes), *known[len(older) :]]
        if targets:
            told = hidden(targets)
            user = replace(user, attributes=_without(user.attributes, told.user))
            candidate = _silent(candidate, told.candidate, told.values)
            newest = [_silent(item, told.history) for item in newest] if told.history else newest
        shown = {item.item_id: item for item in newest}
        rests_on = tuple(shown[cause] for cause in causes if cause in shown)
        return Instruction(task, user, tuple(newest), candidate, targets, rests_on)


def shown_for_attributes(prompt: PromptSettings) -> PromptSettings:
    """`prompt` where attributes are asked for: nothing is shown of the person but what it names."""
    return prompt if prompt.user_attributes is not None else prompt.model_copy(update={"user_attributes": ()})


def check_shown(settings: PromptSettings, domain: Domain) -> None:
    """Raises InputError for side information to be shown that `domain` does not list."""
    _shown("item attribute", settings.item_attributes, domain.item_attributes)
    _shown("user attribute", settings.user_attributes, domain.user_attributes)


def _shown(kind: str, wanted: tuple[str, ...] | None, listed: Mapping[str, str]) -> tuple[str, ...]:
    for name in wanted or ():
        if name not in listed:
            raise closest(kind, name, listed)
    return tuple(listed) if wanted is None else wanted


def _without(attributes: Mapping[str, V], names: Collection[str]) -> dict[str, V]:
    return {key: value for key, value in attributes.items() if key not in names}


def _silent(item: Item, columns: Collection[str], values: Collection[str] = ()) -> Item:
    """`item` without these columns, and without these values (in small letters) in all others."""
    kept = {
        column: tuple(value for value in found if value.casefold() not in values)
        for column, found in _without(item.attributes, columns).items()
    }
    return replace(item, attributes={column: found for column, found in kept.items() if found})
