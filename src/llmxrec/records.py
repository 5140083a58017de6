"""The frozen types that travel between stages, and nothing else.

A stage is a function from records to records. Whatever a stage needs is in the record it is given, so any
stage can be rerun, read or replaced alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

Task = Literal["explain", "predict"]
"""What is asked of a generator: `explain` is the paper's I_e (equation 1), `predict` its I_a (equation 5)."""

Status = Literal["ok", "truncated", "refused", "empty", "invalid", "failed", "rejected", "withheld"]
"""How an answer ended. Only `ok` is measured; `failed` and `rejected` ones are asked again.

truncated: cut by the length limit. refused: the model or its filter declined. empty: no words came back.
invalid: the answer cannot be read as what was asked for. failed: the server or the line gave up.
rejected: it was verified, and may not be sent. withheld: nothing may be sent in its place either.
"""

Source = Literal["generator", "template"]
"""Who wrote an explanation that was verified: the generator that was asked, or fixed sentences in its place."""


@dataclass(frozen=True, slots=True)
class Domain:
    """The nouns and verbs a prompt needs, and which attributes may be shown to a generator.

    `item_attributes` and `user_attributes` map a column to the label shown, in the order shown.
    """

    name: str
    field: str
    item: str
    items: str
    verb: str
    verb_past: str
    item_attributes: Mapping[str, str]
    user_attributes: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Item:
    """Something that can be recommended. `title` is the display title; attributes hold one or more values."""

    item_id: str
    title: str
    attributes: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class User:
    """A person, as far as the dataset tells. Empty attributes where it tells nothing."""

    user_id: str
    attributes: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Instruction:
    """What a generator is asked, before it becomes words: (u, i, h_u) of the paper's equations 1 and 5.

    `history` runs from the oldest to the newest item and never holds the candidate. `targets` names the
    attributes to predict (task `predict` only); they are never shown. `causes` are items of the history that the
    recommendation rests on, the strongest first; empty where nothing is known of that.
    """

    task: Task
    user: User
    history: tuple[Item, ...]
    candidate: Item
    targets: tuple[str, ...] = ()
    causes: tuple[Item, ...] = ()


@dataclass(frozen=True, slots=True)
class Message:
    """One turn of a chat, as every chat model takes it."""

    role: Literal["system", "user", "assistant"]
    content: str


@dataclass(frozen=True, slots=True)
class Prompt:
    """An instruction and the words it became.

    `key` names the prompt within its run. `dropped` counts the oldest history items left out because the
    model could not have read them all; `instruction` is what is left. `seed` makes sampling repeatable row by row.
    `max_words` is the length that an explanation is asked to keep. `choices` has, for each attribute to predict that
    has a closed set of answers, the answers that are allowed.
    """

    key: str
    instruction: Instruction
    domain: Domain
    messages: tuple[Message, ...]
    dropped: int = 0
    seed: int = 0
    max_words: int = 75
    choices: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Lesson:
    """A row of instruction data, (x, y) of the paper's equation 2: what is asked, and what is to be answered.

    `answer` has the words of an explanation, or for `predict` one JSON object with the instruction's targets as keys
    and text as values. The same instruction may come with more than one answer. `choices` are as in Prompt.
    """

    instruction: Instruction
    domain: Domain
    answer: str
    choices: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back for one prompt, raw. Token counts are None where the generator does not count.

    `detail` says why an answer is not `ok`. `lost` counts the attempts whose answer never arrived whole: they may have
    to be paid for all the same.
    """

    key: str
    text: str
    status: Status = "ok"
    input_tokens: int | None = None
    output_tokens: int | None = None
    detail: str | None = None
    lost: int = 0


@dataclass(frozen=True, slots=True)
class Explanation:
    """Why `item_id` was recommended to `user_id` by `recommender`, in the words of `generator`.

    `prompt` is a digest of all that the generator was shown and asked, so an answer to another question is
    never taken for this one. `history` counts the items shown, `dropped` those that did not fit. `cost` is in USD, at
    most what was paid; None where no price is known. `source` is None where nothing was verified; where it was,
    `detail` says what was wrong with what the generator wrote.
    """

    recommender: str
    generator: str
    user_id: str
    item_id: str
    rank: int
    text: str
    status: Status
    prompt: str
    history: int
    dropped: int = 0
    input_tokens: int | None = None
    output_tokens: int | None = None
    detail: str | None = None
    cost: float | None = None
    source: Source | None = None


@dataclass(frozen=True, slots=True)
class Prediction:
    """What `generator` takes the attributes `targets` to be, where `recommender` recommends `item_id` to `user_id`.

    `text` is the answer as it came, and `status` is `invalid` where none of the targets can be read from it. The rest
    as in Explanation.
    """

    recommender: str
    generator: str
    user_id: str
    item_id: str
    rank: int
    targets: tuple[str, ...]
    text: str
    status: Status
    prompt: str
    history: int
    dropped: int = 0
    input_tokens: int | None = None
    output_tokens: int | None = None
    detail: str | None = None
    cost: float | None = None


Winner = Literal["first", "second", "tie"]
"""Which of two explanations is better, by the place in which they were shown."""


@dataclass(frozen=True, slots=True)
class Case:
    """Explanations of one recommendation, to be compared with each other.

    `asked` is what their generators were asked, in words; `instruction` and `domain` the same as records, None where
    the words are all that is known. `texts` has two explanations or more.
    """

    key: str
    asked: str
    texts: tuple[str, ...]
    instruction: Instruction | None = None
    domain: Domain | None = None


@dataclass(frozen=True, slots=True)
class Ruling:
    """What a judge says of two texts of the case `key`, shown in this order: `first` and `second` are places in them.

    `winner` is None where the answer was unreadable (`status` says how it ended, `raw` what it said). `probability` is
    how likely the judge holds it that `first` is the better one, from 0 to 1; None where it does not say.
    """

    key: str
    first: int
    second: int
    winner: Winner | None
    probability: float | None = None
    status: Status = "ok"
    raw: str = ""


@dataclass(frozen=True, slots=True)
class Pair:
    """Two explanations of one recommendation and which is better: what a judge learns from and is measured on.

    `generators` made the first and the second; empty where that is not known. Pairs of one `group` are about one
    recommendation, so they are never split between learning and measuring. Each stands in the order it was labelled in.
    """

    case: Case
    winner: Winner
    group: str
    generators: tuple[str, str] = ("", "")


@dataclass(frozen=True, slots=True)
class Verdict:
    """A comparison of two explanations, made by a judge, or by a person (`judge` is then `people`, `rater` who).

    `first` and `second` are generators, in the order their texts were shown; `order_free` where no order was. `case` is
    a digest of all texts of the recommendation that were compared, and of what was asked; empty where nobody noted it.
    The rest as in Ruling.
    """

    recommender: str
    judge: str
    user_id: str
    item_id: str
    first: str
    second: str
    winner: Winner | None
    probability: float | None = None
    status: Status = "ok"
    raw: str = ""
    order_free: bool = False
    rater: str = ""
    case: str = ""


@dataclass(frozen=True, slots=True)
class Rating:
    """What a person says of one explanation, without knowing who wrote it: the paper's three scores.

    Scores run from 1 to 10, higher is better (`redundancy` 10: nothing too much). `order` is the place of the rating
    among all that the rater was shown, from 1, `seconds` the time from showing to storing. `self_rated`: the rater is
    the person whom the item was recommended to.
    """

    recommender: str
    generator: str
    user_id: str
    item_id: str
    rater: str
    reasonability: int
    attractiveness: int
    redundancy: int
    order: int
    seconds: float
    comment: str = ""
    self_rated: bool = False
