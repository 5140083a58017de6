"""What is asked: the rows of a recommender's table, one prompt each."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import NamedTuple

import polars as pl

from llmxrec.datasets.dataset import Dataset, Histories
from llmxrec.errors import InputError
from llmxrec.generators.protocol import Generator
from llmxrec.prompts.instructions import Instructions, PromptSettings
from llmxrec.prompts.prompt import TooLong, make_prompt
from llmxrec.prompts.template import Template, load_template
from llmxrec.records import Prompt, Task
from llmxrec.seeds import derive

_PROBED = 10
"""Prompts looked at before anything is asked. If no model could read any of them, it is not the rows' fault."""


@dataclass(frozen=True)
class Questions:
    """What is to be explained, and how it is asked: the rows of a recommender's table, one prompt each.

    `rows` has user_id, item_id and rank, and causes where the template tells them: what each recommendation rests on,
    as ids, the strongest first. Prompts are made one at a time, as they are drawn. Where there are `targets`,
    these are to be predicted instead, each with an answer of its `choices` if it has any.
    """

    recommender: str
    rows: pl.DataFrame
    instructions: Instructions
    dataset: Dataset
    template: Template
    settings: PromptSettings
    generator: Generator
    seed: int
    targets: tuple[str, ...] = ()
    choices: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    @classmethod
    def of(
        cls,
        recommender: str,
        recommendations: pl.DataFrame,
        dataset: Dataset,
        histories: Histories,
        generator: Generator,
        settings: PromptSettings,
        *,
        users: int | None = None,
        top: int = 1,
        seed: int = 1,
        targets: tuple[str, ...] = (),
        choices: Mapping[str, tuple[str, ...]] | None = None,
        causes: pl.DataFrame | None = None,
    ) -> Questions:
        """Ask about the first `top` recommendations of the first `users` people (None: of all) of the table.

        `causes` (user_id, item_id, causes: ids) is for templates that tell them. Raises InputError where the table
        names an item that is not of the dataset, or the template does not ask for targets.
        """
        template = load_template(settings.template)
        if targets and "predict" not in template.sections:
            raise InputError(
                f"template '{template.name}' has a section [predict], to ask for attributes", cure="add it"
            )
        rows = recommendations.filter(pl.col("rank") <= top)
        unknown = rows.join(dataset.items, on="item_id", how="anti")
        if unknown.height:
            cure = "recommend anew"
            raise InputError("a recommendation names an item of the dataset", value=unknown["item_id"][0], cure=cure)
        if users is not None:
            chosen = rows.select(pl.col("user_id").unique(maintain_order=True).head(users))
            rows = rows.join(chosen, on="user_id", how="semi", maintain_order="left")
        rows = rows.select("user_id", "item_id", "rank")
        if causes is not None:
            rows = rows.join(causes, on=["user_id", "item_id"], how="left", maintain_order="left")
        return cls(
            recommender=recommender,
            rows=rows,
            instructions=Instructions.of(dataset, histories, settings, rows["user_id"].unique(maintain_order=True)),
            dataset=dataset,
            template=template,
            settings=settings,
            generator=generator,
            seed=seed,
            targets=targets,
            choices=choices or {},
        )

    def __len__(self) -> int:
        return self.rows.height

    @property
    def task(self) -> Task:
        """`predict` where there are targets."""
        return "predict" if self.targets else "explain"

    def prompts(self) -> Iterator[Question]:
        """Each row as a question. A prompt's key is a digest of whom it is about and of all its words."""
        for user_id, item_id, rank, *causes in self.rows.iter_rows():
            problem = None
            rests_on = (causes[0] or ()) if causes else ()
            try:
                prompt = make_prompt(
                    "",
                    self.instructions.make(self.task, user_id, item_id, self.targets, rests_on),
                    self.template,
                    self.dataset.domain,
                    self.settings,
                    room=self.generator.context_tokens,
                    count_tokens=self.generator.count_tokens,
                    seed=derive(self.seed, self.task, user_id, item_id),
                    choices=self.choices if self.targets else None,
                )
            except TooLong as error:
                prompt, problem = error.prompt, str(error)
            yield Question(replace(prompt, key=_digest(user_id, item_id, prompt)), rank, problem)


class Question(NamedTuple):
    """A row of the table as a prompt. `problem` says why it cannot be asked, if it cannot."""

    prompt: Prompt
    rank: int
    problem: str | None


def probe(questions: Questions) -> None:
    """Raises InputError where the model could read none of the first prompts."""
    first = list(islice(questions.prompts(), _PROBED))
    if first and all(question.problem for question in first):
        raise InputError(f"none of the first {len(first)} prompts can be asked: {first[0].problem}")


def _digest(user_id: str, item_id: str, prompt: Prompt) -> str:
    parts = [user_id, item_id, *(f"{m.role}\x1f{m.content}" for m in prompt.messages)]
    # What is allowed decides an answer even where the template does not tell it.
    parts += ["\x1f".join([name, *answers]) for name, answers in prompt.choices.items()]
    return hashlib.blake2b("\x1e".join(parts).encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()
