"""A recipe: one experiment, described in a TOML file."""

from __future__ import annotations

import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field

from llmxrec.datasets import READERS
from llmxrec.errors import InputError
from llmxrec.evaluation.judges import check_judge
from llmxrec.evaluation.pairs import labelled
from llmxrec.evidence.verification import Verification
from llmxrec.generators.prices import Price
from llmxrec.generators.specs import GenerationSettings, price_of_spec, read_spec, usual_name
from llmxrec.lookup import closest
from llmxrec.prompts.instructions import PromptSettings
from llmxrec.prompts.targets import TARGETS
from llmxrec.prompts.template import load_template
from llmxrec.recommenders import RECOMMENDERS, make_recommender
from llmxrec.settings import Settings, check
from llmxrec.sources import check_source
from llmxrec.stored import EXTERNAL
from llmxrec.tuning.loop import TuningSettings
from llmxrec.workspace import safe_name

Named = Annotated[tuple[str, ...], Field(min_length=1)]
"""Some names; to name none would be to ask for nothing."""


class DatasetRecipe(Settings):
    """Which dataset, and where its original files lie."""

    kind: str
    """A reader's name: ml-100k, mind, steam, recbole, demo."""
    source: str | None = None
    """The folder of the original files; None: looked for where datasets usually lie (see the README)."""


class RecommenderRecipe(Settings):
    """A recommender to train, or `external` for recommendations that the workspace already holds."""

    name: str
    settings: dict[str, Any] = Field(default_factory=dict)
    """Its own settings, such as embedding_size and epochs for bpr."""


class PriceRecipe(Settings):
    """What a generator costs, in USD per million tokens."""

    input: Annotated[float, Field(ge=0)]
    output: Annotated[float, Field(ge=0)]


class AdapterRecipe(Settings):
    """An adapter to tune before anything is explained, for generators of the recipe: see `llmxrec tune`."""

    name: str
    base: str = "embedded"
    """A model that runs here: embedded, hf:NAME_OR_PATH, llama-2..."""
    tasks: tuple[Literal["explain", "attributes"], ...] = ("explain",)
    sources: Named | None = None
    """Explanations to learn, as `tune --from` takes them; None: the annotated ones."""
    rows: Annotated[int, Field(ge=1)] | None = None
    """How many of them, drawn by the seed; a smaller number draws some of what a larger one does. None: all."""
    recommenders: Named | None = None
    """Whose recommendations attributes are asked about; None: all of the recipe."""
    folds: Annotated[int, Field(ge=2)] | None = None
    """So many adapters, each tuned without another part of the people."""
    settings: dict[str, Any] = Field(default_factory=dict)
    """How it is tuned, such as epochs and rank; what is left out is as usual for the base and the tasks."""


class GeneratorRecipe(Settings):
    """A generator to ask."""

    spec: str
    """embedded, template, hf:NAME_OR_PATH, openai:MODEL, openai:MODEL@http://host:port/v1, or a preset."""
    adapter: str | None = None
    """An adapter of this recipe, by name, that goes onto the model."""
    name: str | None = None
    """What its explanations are called in the workspace; None: the adapter's name, or one made from the spec."""
    prompt: dict[str, Any] = Field(default_factory=dict)
    """What differs for it from the recipe's prompt, such as history."""
    settings: GenerationSettings = GenerationSettings()
    price: PriceRecipe | None = None
    """None: the price of the dated table, where it holds the model."""
    max_cost: Annotated[float, Field(ge=0)] | None = None
    """USD that all its answers may cost together, whatever it is asked in the workspace; None: no limit."""

    @property
    def label(self) -> str:
        return safe_name(self.name or self.adapter or usual_name(self.spec))

    def asked(self, prompt: PromptSettings) -> PromptSettings:
        """How it is asked where the recipe asks as `prompt` says."""
        return check(PromptSettings, {**prompt.model_dump(), **self.prompt}, f"prompt of '{self.label}'")


class ExplainRecipe(Settings):
    """Which recommendations are explained."""

    recommenders: tuple[str, ...] | None = None
    """By name; None: all of the recipe; an empty list: none."""
    generators: tuple[str, ...] | None = None
    """By name; None: all of the recipe; an empty list: none."""
    users: Annotated[int, Field(ge=1)] | None = None
    """How many people, from the first of the table on; None: all."""
    top: Annotated[int, Field(ge=1)] = 1
    """How many recommendations of each person; the paper explains the first."""
    verify: Verification | None = None
    """How explanations are verified before they may be sent; None: they are not."""


class JudgeRecipe(Settings):
    """A judge that compares all that was explained: the paper's first evaluation."""

    spec: str = "text"
    """text, text:FOLDER, pairwise:GENERATOR, reward:FOLDER."""
    train: str | None = None
    """A file of labelled pairs that it learns from, and is measured on crosswise; or the word `annotated`."""
    test: str | None = None
    """A file of labelled pairs that it is measured on instead."""
    against: str | None = None
    """A generator of the recipe that the report holds each other one against, as in the paper's Figures 3 and 4."""


class PredictRecipe(Settings):
    """Which attributes are predicted, and by whom: the paper's third evaluation."""

    generators: tuple[str, ...] = ()
    """Names of this recipe's generators; none: nothing is predicted."""
    targets: Named | None = None
    """age, gender, occupation, category, interest, price, popularity; None: all that the dataset tells."""
    recommenders: tuple[str, ...] | None = None
    """By name; None: all of the recipe; an empty list: none."""
    users: Annotated[int, Field(ge=1)] | None = None
    """How many people, from the first of the table on; None: all."""


class MeasureRecipe(Settings):
    """What else is measured of all that was explained."""

    faithfulness: bool = False
    """Whether texts are true of the recommender: see `llmxrec faithfulness`."""
    identify: Annotated[int, Field(ge=2)] | None = None
    """Whether texts tell whose they are, among so many people: see `llmxrec identify`; None: not measured."""
    fairness: tuple[str, ...] = ()
    """Attributes of people by which texts are compared, as in the paper's Table 4: see `llmxrec fairness`."""
    flip: bool = False
    """Also ask every generator about everybody with one value of each of these, and with another."""


class ReportRecipe(Settings):
    """What the report shows besides all that was measured."""

    cases: tuple[str, ...] = ()
    """People whose recommendations are shown whole, as in the paper's Figure 5: prompt, causes, every text."""


class Recipe(Settings):
    """An experiment from raw files to explanations, compared and measured, and attributes predicted."""

    name: str
    seed: Annotated[int, Field(ge=0)] = 1
    dataset: DatasetRecipe
    hold_out: bool = True
    """Hold out each person's last two items, to measure the recommenders; false: train on everything."""
    k: Annotated[int, Field(ge=1)] = 10
    """How many items are recommended to each person."""
    recommenders: Annotated[tuple[RecommenderRecipe, ...], Field(min_length=1)]
    prompt: PromptSettings = PromptSettings()
    adapters: tuple[AdapterRecipe, ...] = ()
    generators: tuple[GeneratorRecipe, ...] = ()
    explain: ExplainRecipe = ExplainRecipe()
    judges: tuple[JudgeRecipe, ...] = ()
    predict: PredictRecipe = PredictRecipe()
    measure: MeasureRecipe = MeasureRecipe()
    report: ReportRecipe = ReportRecipe()

    @property
    def explaining(self) -> tuple[GeneratorRecipe, ...]:
        """The generators that explain."""
        named = self.explain.generators
        return tuple(one for one in self.generators if named is None or one.label in named)

    @property
    def explained(self) -> tuple[str, ...]:
        """The recommenders whose recommendations are explained."""
        named = self.explain.recommenders
        return tuple(one.name for one in self.recommenders) if named is None else named

    @property
    def predicted(self) -> tuple[str, ...]:
        """The recommenders about whose recommendations attributes are predicted."""
        named = self.predict.recommenders
        return tuple(one.name for one in self.recommenders) if named is None else named


def price_for(generator: GeneratorRecipe) -> Price | None:
    """What `generator` costs: as its recipe says, or the dated table; nothing where it runs here; None: not known."""
    if generator.price is not None:
        return Price(generator.price.input, generator.price.output)
    return price_of_spec(generator.spec) if read_spec(generator.spec).kind == "openai" else Price(0.0, 0.0)


def load_recipe(file: Path) -> Recipe:
    """The recipe in `file`, with every name in it checked, so that nothing fails late for a misspelling.

    Raises InputError in one line, with "did you mean".
    """
    try:
        content = tomllib.loads(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"a recipe is a UTF-8 text file: {error}", value=str(file)) from None
    except tomllib.TOMLDecodeError as error:
        raise InputError(f"a recipe is TOML: {error}", file=file) from None
    return check_recipe(check(Recipe, content, f"recipe {file.name}"))


def check_recipe(recipe: Recipe) -> Recipe:
    """`recipe`, if every name in it is known."""
    safe_name(recipe.name)
    if recipe.dataset.kind not in READERS:
        raise closest("dataset", recipe.dataset.kind, READERS)
    names = [entry.name for entry in recipe.recommenders]
    for entry in recipe.recommenders:
        if entry.name not in (*RECOMMENDERS, EXTERNAL):
            raise closest("recommender", entry.name, [*RECOMMENDERS, EXTERNAL])
        if entry.name != EXTERNAL:
            make_recommender(entry.name, entry.settings)
    for name in (*(recipe.explain.recommenders or ()), *(recipe.predict.recommenders or ())):
        if name not in names:
            raise closest("recommender of this recipe", name, names)
    for target in recipe.predict.targets or ():
        if target not in TARGETS:
            raise closest("target", target, TARGETS)
    load_template(recipe.prompt.template)
    _check_adapters(recipe, names)
    labels = [generator.label for generator in recipe.generators]
    for label in (*recipe.predict.generators, *(recipe.explain.generators or ())):
        if label not in labels:
            raise closest("generator of this recipe", label, labels)
    for generator in recipe.generators:
        load_template(generator.asked(recipe.prompt).template)
        if generator.max_cost is not None and price_for(generator) is None:
            raise InputError(
                f"generator '{generator.label}': a limit of cost needs a price",
                cure="add price = { input = ..., output = ... }, USD per million tokens",
            )
    for judge in recipe.judges:
        check_judge(judge.spec)
        if judge.against is not None and judge.against not in labels:
            raise closest("generator of this recipe", judge.against, labels)
        for file in filter(None, (judge.train, judge.test)):
            if not labelled(Path(file)).is_file():
                raise InputError(f"judge '{judge.spec}': labelled pairs are a file", value=file, cure="check its path")
    judges, adapters = [judge.spec for judge in recipe.judges], [adapter.name for adapter in recipe.adapters]
    named = ("recommender", names), ("generator", labels), ("judge", judges), ("adapter", adapters)
    for what, listed in named:
        for name in listed:
            if listed.count(name) > 1:
                raise InputError(f"each {what} of a recipe has its own name", value=name, cure="rename or delete one")
    return recipe


def _check_adapters(recipe: Recipe, recommenders: Sequence[str]) -> None:
    """Raises InputError for an adapter, or a generator with one, that could not be made."""
    named = {adapter.name: adapter for adapter in recipe.adapters}
    for adapter in recipe.adapters:
        safe_name(adapter.name)
        if read_spec(adapter.base).kind not in ("embedded", "hf"):
            raise InputError(
                f"adapter '{adapter.name}': what is tuned is a model that runs here",
                value=adapter.base,
                cure="give embedded or hf:NAME_OR_PATH",
            )
        check(TuningSettings, adapter.settings, f"adapter '{adapter.name}'")
        for source in adapter.sources or ():
            check_source(source)
        for name in adapter.recommenders or ():
            if name not in recommenders:
                raise closest("recommender of this recipe", name, recommenders)
    for generator in recipe.generators:
        spec = read_spec(generator.spec)
        if generator.adapter is None:
            continue
        if generator.adapter not in named:
            raise closest("adapter of this recipe", generator.adapter, named)
        base = named[generator.adapter].base
        if spec.adapter is not None or spec != read_spec(base):
            raise InputError(
                f"generator '{generator.label}': an adapter goes onto the model that it was tuned of",
                value=generator.spec,
                cure=f'give spec = "{base}"',
            )
        if named[generator.adapter].folds is not None and generator in recipe.explaining:
            raise InputError(
                f"generator '{generator.label}': an adapter of several folds predicts, and explains nothing",
                cure="name those that explain in [explain] generators, without it",
            )
