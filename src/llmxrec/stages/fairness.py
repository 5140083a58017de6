"""Whether explanations differ by who they are for: groups compared, and generators asked about people as others."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from itertools import combinations
from pathlib import Path
from typing import Any

import polars as pl

from llmxrec.asking.ask import Outcome
from llmxrec.asking.purse import spent_on
from llmxrec.asking.questions import Questions
from llmxrec.datasets.dataset import Dataset
from llmxrec.errors import InputError
from llmxrec.evaluation.fairness import HISTORY, MEASURES, Contrast, answered, by_group, groups, matched, measure_texts
from llmxrec.evaluation.faithfulness import FLIP
from llmxrec.evaluation.material import Answers, Part, Question, Row
from llmxrec.evaluation.reading import known_histories, read_part
from llmxrec.evidence.claims import ClaimReader
from llmxrec.explain import SCHEMA, explain, read_explanations
from llmxrec.generators.specs import GenerationSettings, make_generator, usual_name
from llmxrec.generators.template import sentence
from llmxrec.ledger import Ledger, read_ledger
from llmxrec.lookup import closest
from llmxrec.notes import differing, read_notes, refuse_to_mix, settle
from llmxrec.progress import progress
from llmxrec.prompts.instructions import PromptSettings
from llmxrec.prompts.template import load_template
from llmxrec.recipe import GeneratorRecipe, price_for
from llmxrec.records import Status
from llmxrec.settings import check
from llmxrec.stages.explaining import answer_settings, placed, within_limit
from llmxrec.stages.faithful import Ground
from llmxrec.stored import causes_of, knowledge, read_evidence, read_recommendations, what_was_known
from llmxrec.workspace import Workspace, plain

TEMPLATE = "template"
"""Whose sentences stand beside those of generators: they say the same to everybody."""
EVERYBODY = "everybody"
"""Whose texts the lengths of histories are told of."""
USUAL = {"age": ("20", "60")}
"""What is put in place of an attribute where nobody says; of others, the two values that most people have."""

_ENDED = ("ok", "truncated", "refused", "empty", "invalid")


@dataclasses.dataclass(frozen=True)
class Flip:
    """Everybody's first recommendation, asked about with each of `values` as the `attribute`, all else as it was."""

    generator: GeneratorRecipe
    attribute: str
    values: tuple[str, str]
    questions: tuple[Questions, Questions]
    settings: Mapping[str, Any]
    """What decides the answers, but for the value."""

    def settings_of(self, value: str) -> dict[str, Any]:
        """What decides the answers about people of this value."""
        flipped = {"generator": self.generator.label, "attribute": self.attribute, "value": value}
        return {**self.settings, "flipped": flipped}


def called(generator: str, names: Collection[str]) -> str:
    """`generator` if it is one of `names`, else what the answers of such a spec are called."""
    return generator if generator in names else usual_name(generator)


def measurable(workspace: Workspace, recommender: str) -> list[str]:
    """The names under which there are explanations of `recommender`, or answers about people as others."""
    noted = (read_notes(file).get("flipped", {}).get("generator") for file in workspace.flips(recommender))
    return sorted({*workspace.generators(recommender), *map(str, filter(None, noted))})


def asked_before(
    workspace: Workspace, recommender: str, generator: str, **more: Any
) -> tuple[GeneratorRecipe, PromptSettings, int]:
    """How the explanations called `generator` were asked for, and their seed; of a spec without any, the defaults.

    `more`: of the GeneratorRecipe. Raises InputError for explanations that no generator here made.
    """
    label = called(generator, known := workspace.generators(recommender))
    notes = read_notes(workspace.explanations(recommender, label))
    if generator in known and "spec" not in notes:
        raise InputError(
            "only a generator that was asked here can be asked again", value=generator, cure="give a spec: --generator"
        )
    settings = {name: notes[name] for name in GenerationSettings.model_fields if name in notes}
    if "sampling_seed" in notes:
        settings["seed"] = notes["sampling_seed"]
    recipe = {"spec": placed(notes.get("spec", generator), workspace), "name": label, "settings": settings, **more}
    prompt = {name: notes[name] for name in PromptSettings.model_fields if name in notes}
    return (
        check(GeneratorRecipe, recipe, "the generator"),
        check(PromptSettings, prompt, "the prompt"),
        int(notes.get("seed", 1)),
    )


def flip(
    workspace: Workspace,
    recommender: str,
    generator: GeneratorRecipe,
    prompt: PromptSettings,
    attribute: str,
    values: Sequence[str] = (),
    *,
    users: int | None = None,
    seed: int = 1,
) -> Flip:
    """What to ask so that only `attribute` differs, between two `values`; none: those of USUAL.

    People of whom the attribute is not known are left out. Raises InputError where the prompt does not show it.
    """
    dataset = Dataset.load(workspace.dataset)
    check_attribute(dataset, attribute)
    check_flippable(dataset, attribute, prompt)
    pair = _pair(dataset, attribute, values)
    known = dataset.users.filter(pl.col(attribute).cast(pl.String).str.strip_chars() != "").select("user_id")
    table = read_recommendations(workspace, recommender).join(known, on="user_id", how="semi", maintain_order="left")
    histories = known_histories(workspace, dataset, recommender)
    asked = make_generator(generator.spec, within_limit(generator))
    tells = load_template(prompt.template).tells_causes
    causes = causes_of(read_evidence(workspace, recommender)) if tells else None

    def questions(value: str) -> Questions:
        people = dataset.users.with_columns(pl.lit(value).alias(attribute))
        changed = dataclasses.replace(dataset, users=people)
        return Questions.of(
            recommender, table, changed, histories, asked, prompt, users=users, seed=seed, causes=causes
        )

    settings = answer_settings(workspace, generator, prompt, seed, knowledge(workspace, recommender))
    return Flip(generator, attribute, pair, (questions(pair[0]), questions(pair[1])), settings)


def ask_flipped(workspace: Workspace, asked: Flip) -> Iterator[tuple[str, Outcome]]:
    """Have the generator answer both questions about everybody; yields each value with what came of it.

    What was answered before is not asked again, nor what the workspace's explanations have: whoever has the value is
    explained there. The limit of cost is of both together, earlier runs included.
    """
    price, most = price_for(asked.generator), asked.generator.max_cost
    recommender, label = asked.questions[0].recommender, asked.generator.label
    files = [workspace.flipped(recommender, label, asked.attribute, value) for value in asked.values]
    for value, questions, file, other in zip(asked.values, asked.questions, files, reversed(files), strict=True):
        settings = asked.settings_of(value)
        left = None if most is None else max(0.0, most - spent_on(other, price))
        _take_over(workspace, asked, questions, file, settings)
        with progress(f"asking {asked.generator.label}, {asked.attribute} {value}", len(questions)) as advance:
            outcome = explain(
                questions,
                file,
                price=price,
                max_tokens=asked.generator.settings.max_tokens,
                max_cost=left,
                settings=settings,
                advance=advance,
            )
        yield value, outcome


def _take_over(
    workspace: Workspace, asked: Flip, questions: Questions, file: Path, settings: Mapping[str, Any]
) -> None:
    """Copy to `file` what the workspace's explanations answer to the very same prompts; it costs nothing.

    Nothing of explanations that were made otherwise: what was verified, and asked again or replaced where it may not be
    sent, would be compared with what comes of the first attempt.
    """
    explained = workspace.explanations(questions.recommender, asked.generator.label)
    known = {row.get("prompt"): row for row in read_ledger(explained) if _taken(row)}
    if not known or differing(read_notes(explained), plain(asked.settings)) is not None:
        return
    with Ledger(file) as ledger:
        settle(file, settings)
        done = {row.get("prompt") for row in read_ledger(file) if row.get("status") in _ENDED}
        for question in questions.prompts():
            key = question.prompt.key
            if key in known and key not in done:
                ledger.append({**{column: known[key].get(column) for column in SCHEMA}, "cost": 0.0})


def _taken(row: Mapping[str, Any]) -> bool:
    """Whether a row is an answer as it came: not one that was verified."""
    return row.get("status") in _ENDED and row.get("source") is None


def measure_fairness(
    workspace: Workspace, recommender: str, generators: Sequence[str], attributes: Sequence[str], seed: int = 1
) -> list[Contrast]:
    """What the texts of `generators` are like by groups of each of `attributes`, and of the pairs that were asked.

    The template's sentences about the same rows stand beside them. Where evidence was measured, so is how often a
    recommendation falls without what its text cites (FLIP). Raises InputError for an attribute that the user table does
    not have.
    """
    dataset, part = Dataset.load(workspace.dataset), read_part(workspace)
    for attribute in attributes:
        check_attribute(dataset, attribute)
    questions, reader = part.questions[recommender], ClaimReader(part.items, part.domain)
    texts = {one.generator: [*answered(one.rows)] for one in _answers(part, recommender, generators)}
    rows = dict.fromkeys(
        row for told in texts.values() for row, _, status in told if status == "ok" and row in questions
    )
    if TEMPLATE not in texts:
        texts[TEMPLATE] = [(row, sentence(questions[row].instruction, part.domain), "ok") for row in rows]
    pairs = _pairs(workspace, recommender, generators, attributes)
    ground = Ground.of(workspace, recommender) if workspace.evidence(recommender).exists() else None
    measures = MEASURES if ground is None else (*MEASURES, FLIP)
    of = {attribute: groups(dataset.users, attribute) for attribute in attributes}
    found: list[Contrast] = []
    with progress("measuring texts", len(texts) + len(pairs), "generators") as advance:
        for who, told in texts.items():
            table = _with_flips(measure_texts(told, questions, reader), told, ground, questions, reader)
            for attribute, people in of.items():
                if who == TEMPLATE:
                    found += by_group(table, people, EVERYBODY, attribute, (HISTORY,), seed)
                found += by_group(table, people, who, attribute, measures, seed)
            advance(1)
        recommended = read_recommendations(workspace, recommender) if pairs else pl.DataFrame()
        known = what_was_known(knowledge(workspace, recommender))
        for who, attribute, files in pairs:
            one, other = (_measured(file, known, recommended, ground, questions, reader) for _, file in files)
            values = files[0][0], files[1][0]
            found += matched(one, other, who, attribute, values, measures, seed)
            advance(1)
    return sorted(found, key=lambda one: attributes.index(one.attribute))


def check_flippable(dataset: Dataset, attribute: str, prompt: PromptSettings) -> None:
    """Raises InputError where a generator that is asked so is not told `attribute` of people."""
    shown = dataset.domain.user_attributes if prompt.user_attributes is None else prompt.user_attributes
    if attribute not in shown:
        raise InputError(
            f"a generator can only answer otherwise to what it is shown; it is not shown '{attribute}'",
            value=", ".join(shown) or "nothing of people is shown",
            cure="explain with --user-attributes, or give another --attribute",
        )


def check_attribute(dataset: Dataset, attribute: str) -> None:
    """Raises InputError for what is no column of the user table."""
    known = [column for column in dataset.users.columns if column != "user_id"]
    if attribute not in known:
        raise closest("attribute of users", attribute, known)


def _measured(
    file: Path,
    known: Mapping[str, Any],
    recommended: pl.DataFrame,
    ground: Ground | None,
    questions: Mapping[Row, Question],
    reader: ClaimReader,
) -> pl.DataFrame:
    """The measures of the last answer to each question in `file`, but for what was verified, as files of before have.

    Raises InputError where it is about what is no longer recommended.
    """
    refuse_to_mix(
        file, known, only=list(known), cure="flip again as before, or delete the file: another was recommended since"
    )
    table = read_explanations(file, recommended)
    table = table.filter(pl.col("status").is_not_null() & pl.col("source").is_null())
    rows = table.select("user_id", "item_id", "text", "status").iter_rows()
    texts = [((user, item), text, status) for user, item, text, status in rows]
    found = _with_flips(measure_texts(texts, questions, reader), texts, ground, questions, reader)
    shown = table.select("user_id", "item_id", pl.col("history").cast(pl.Float64).alias(HISTORY))
    return found.drop(HISTORY).join(shown, on=["user_id", "item_id"], maintain_order="left")


def _with_flips(
    table: pl.DataFrame,
    texts: Sequence[tuple[Row, str, Status]],
    ground: Ground | None,
    questions: Mapping[Row, Question],
    reader: ClaimReader,
) -> pl.DataFrame:
    """`table`, with FLIP of each text where there is a `ground` to measure it on."""
    if ground is None:
        return table
    flipped = ground.flips(texts, questions, reader)
    return table.join(flipped, on=["user_id", "item_id"], how="left", maintain_order="left")


def _answers(part: Part, recommender: str, generators: Sequence[str]) -> list[Answers]:
    return [one for one in part.answers if one.recommender == recommender and one.generator in generators]


def _pairs(
    workspace: Workspace, recommender: str, generators: Sequence[str], attributes: Sequence[str]
) -> list[tuple[str, str, tuple[tuple[str, Path], ...]]]:
    """Generator, attribute, and two values each with its file, of all that was asked in both ways."""
    files: dict[tuple[str, str], list[tuple[str, Path]]] = {}
    for file in workspace.flips(recommender):
        noted = read_notes(file).get("flipped", {})
        who, attribute, value = (str(noted.get(key)) for key in ("generator", "attribute", "value"))
        if who in generators and attribute in attributes:
            files.setdefault((who, attribute), []).append((value, file))
    return [(*key, pair) for key, known in files.items() for pair in combinations(known, 2)]


def _pair(dataset: Dataset, attribute: str, values: Sequence[str]) -> tuple[str, str]:
    """The two values that are put in place of `attribute`, spelled as the user table spells them."""
    known = dataset.users[attribute].cast(pl.String).str.strip_chars().drop_nulls()
    often = [value for value, _ in Counter(value for value in known if value).most_common()]
    spelled = {value.casefold(): value for value in reversed(often)}
    numbers = all(value.replace(".", "", 1).isdigit() for value in often)
    chosen = tuple(values) or (USUAL.get(attribute) if numbers else None) or tuple(sorted(often[:2]))
    chosen = tuple(spelled.get(value.casefold(), value) for value in chosen)
    if len(set(chosen)) != 2 or not all(chosen):
        raise InputError("an attribute is flipped between two values", value=", ".join(chosen), cure="--between A,B")
    return chosen[0], chosen[1]
