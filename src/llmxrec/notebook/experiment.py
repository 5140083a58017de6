"""An experiment in a notebook: a workspace, and a method for each stage.

What a method leaves in the workspace is what the command of the same stage leaves there: either goes on with the
other's work, and the same call again asks for, trains and pays only what is missing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import polars as pl

from llmxrec.asking.answers import answer_rows
from llmxrec.asking.estimate import estimate
from llmxrec.asking.questions import Questions
from llmxrec.datasets.dataset import Dataset
from llmxrec.datasets.domains import load_domain
from llmxrec.datasets.tables import read_recommendations as read_recommendations_of
from llmxrec.errors import InputError
from llmxrec.evaluation.attributes import Accuracy
from llmxrec.evaluation.fairness import Contrast
from llmxrec.evaluation.faithfulness import Faithfulness
from llmxrec.evaluation.gate import prepare
from llmxrec.evaluation.identifiability import AMONG, Identified
from llmxrec.evaluation.pairs import read_pairs
from llmxrec.evidence.verification import Verification
from llmxrec.generators.specs import GenerationSettings, slug
from llmxrec.imports import import_explanations
from llmxrec.lookup import closest, only
from llmxrec.notebook.found import (
    TRIVIAL,
    Added,
    Explanations,
    Figures,
    Findings,
    Fitted,
    Judged,
    Plan,
    Tuned,
    Worth,
    Written,
)
from llmxrec.notebook.given import Table, as_files, check_numbers, in_python, named, several
from llmxrec.notebook.shown import Shown
from llmxrec.notes import refuse_to_mix
from llmxrec.prompts.instructions import PromptSettings
from llmxrec.prompts.template import load_template
from llmxrec.recipe import GeneratorRecipe, price_for
from llmxrec.recommenders import FITTED_ELSEWHERE
from llmxrec.recommenders.metrics import Metric
from llmxrec.reports.attributes import TABLE_3, accuracy_lines, write_table_3
from llmxrec.reports.faithfulness import FAITHFULNESS, faithfulness_lines, write_faithfulness
from llmxrec.reports.people import (
    FAIRNESS,
    IDENTIFIABILITY,
    fairness_lines,
    identified_lines,
    write_fairness,
    write_identified,
)
from llmxrec.reports.summary import write_summary
from llmxrec.reports.tables import rules_of_table_2, table_2, winner, write_tables
from llmxrec.settings import Settings, check
from llmxrec.sources import drawn, gather
from llmxrec.stages import explaining, judging, predicting, recommending, tuning
from llmxrec.stages.auditing import find_faults, write_faults
from llmxrec.stages.fairness import called, measurable, measure_fairness
from llmxrec.stages.faithful import measure_faithfulness
from llmxrec.stages.identifying import identify_people
from llmxrec.stages.reporting import write_report
from llmxrec.stages.tracing import STAND_IN, Traced, trace_missing
from llmxrec.stored import (
    EXTERNAL,
    causes_of,
    knowledge,
    read_evidence,
    read_recommendations,
    rests_on_a_stand_in,
    stored_explanations,
)
from llmxrec.tuning.loop import TuningSettings
from llmxrec.workspace import Workspace

Price = tuple[float, float]
"""USD per million tokens read and written."""


@dataclass(frozen=True, repr=False)
class Experiment(Shown):
    """A workspace, the folder of one experiment, begun by `load`, `tables` or `open`; a method for each stage.

    `said` is what was said when its data were read.
    """

    workspace: Workspace
    said: tuple[str, ...] = field(default=(), compare=False)

    # --- stage 1 --------------------------------------------------------------------------------------------------

    @in_python()
    def fit(
        self,
        recommender: str,
        *,
        k: int = 10,
        hold_out: bool = True,
        seed: int = 1,
        evidence: int = 1,
        **settings: Any,
    ) -> Fitted:
        """Train popularity, ease, bpr, lightgcn or sasrec (or take in one of `implicit`), measure it, write its `k`
        best items for everybody, and find out what the first `evidence` of each person rest on.

        `hold_out` False: train on everything, for use, not measuring. `settings` are the recommender's own, such as
        epochs=50. What was trained in the same way before is kept.
        """
        check_numbers(k=k, seed=seed, evidence=evidence)
        how: dict[str, Any] = {"k": k, "hold_out": hold_out, "seed": seed}
        if recommender == EXTERNAL:
            raise InputError("recommendations made elsewhere are not trained", cure="give them with attach(TABLE)")
        # What was fitted elsewhere may have been fitted anew, to the same file.
        if recommender in FITTED_ELSEWHERE or not recommending.is_trained(self.workspace, recommender, settings, **how):
            recommending.recommend(self.workspace, recommender, settings, **how)
        trace_missing(self.workspace, recommender, top=evidence)
        return self._fitted(recommender)

    @in_python()
    def attach(self, recommendations: Table, *, columns: Mapping[str, str] | None = None, evidence: int = 1) -> Fitted:
        """Take in what a recommender of your own recommends, a table of who and what, as the recommender `external`.

        What it rests on is measured on a stand-in, since yours cannot be asked from here.
        """
        check_numbers(evidence=evidence)
        said = attach(self.workspace, recommendations, columns or {})
        trace_missing(self.workspace, EXTERNAL, top=evidence)
        return replace(self._fitted(EXTERNAL), said=said)

    # --- stage 2 --------------------------------------------------------------------------------------------------

    @in_python()
    def explain(
        self,
        generator: str = "embedded",
        *,
        recommender: str | None = None,
        users: int | None = None,
        top: int = 1,
        template: str = "default",
        history: int = 20,
        verify: bool | Mapping[str, Any] = False,
        name: str | None = None,
        price: Price | None = None,
        max_cost: float | None = None,
        seed: int = 1,
        **settings: Any,
    ) -> Explanations:
        """Have `generator` explain the first `top` recommendations of the first `users` people (None: of all).

        A generator is embedded, template, hf:NAME_OR_PATH, openai:MODEL, openai:MODEL@URL or a preset; a template is
        default, evidence (which tells what caused the recommendation), paper or FILE.txt. `verify`: send nothing that
        claims what its prompt does not support; as a table, with what else it is told (again, otherwise, may_tell).
        `max_cost`: USD it may cost in all. `settings` are others of prompts (item_attributes, user_attributes,
        reasoning, max_words) and of generators (max_tokens, temperature, batch_size, concurrency...).
        Stopped at any moment, the same call goes on where it was.
        """
        asked, questions, rules = self._asking(
            generator, recommender, users, top, verify, name, price, max_cost, seed,
            {"template": template, "history": history, **settings},
        )  # fmt: skip
        outcome = explaining.explain_recommendations(self.workspace, asked, questions, rules)
        found = self.explanations(asked.label, recommender=questions.recommender)
        return replace(found, said=tuple(outcome.lines()))

    @in_python()
    def estimate(
        self,
        generator: str = "embedded",
        *,
        recommender: str | None = None,
        users: int | None = None,
        top: int = 1,
        template: str = "default",
        history: int = 20,
        verify: bool | Mapping[str, Any] = False,
        name: str | None = None,
        price: Price | None = None,
        max_cost: float | None = None,
        seed: int = 1,
        **settings: Any,
    ) -> Plan:
        """What `explain` would ask, word for word, and what it would cost. Nothing is asked."""
        asked, questions, rules = self._asking(
            generator, recommender, users, top, verify, name, price, max_cost, seed,
            {"template": template, "history": history, **settings},
        )  # fmt: skip
        file = self.workspace.explanations(questions.recommender, asked.label)
        attempts = 1 if rules is None else 1 + rules.again
        most = asked.settings.max_tokens
        plan = estimate(questions, file, price=price_for(asked), max_tokens=most, attempts=attempts)
        return Plan(plan, listed_price=price is None)

    @in_python()
    def explanations(self, generator: str | None = None, *, recommender: str | None = None) -> Explanations:
        """The explanations called `generator` that are stored here (None: the only ones). Nothing is asked."""
        recommender = self._explained(recommender)
        generator = _only("generator", generator, self.workspace.generators(recommender), "explain()")
        table = stored_explanations(self.workspace, recommender, generator)
        costs = [row.get("cost") for row in answer_rows(self.workspace.explanations(recommender, generator))]
        dataset = Dataset.load(self.workspace.dataset)
        causes = pl.DataFrame(schema={"user_id": pl.String, "item_id": pl.String, "causes": pl.List(pl.String)})
        stand_in = False
        if self.workspace.evidence(recommender).exists():
            evidence = read_evidence(self.workspace, recommender)
            causes, stand_in = causes_of(evidence), bool(evidence["surrogate"].any())
        titles = dataset.items.select("item_id", "title")
        first = ("user_id", "item_id", "title", "rank", "text", "status", "causes")
        told = table.join(titles, on="item_id", how="left", maintain_order="left").join(
            causes, on=["user_id", "item_id"], how="left", maintain_order="left"
        )
        return Explanations(
            recommender,
            generator,
            told.select(*first, pl.exclude(first)),
            dataset,
            cost=None if None in costs else float(sum(filter(None, costs))),
            stand_in=stand_in,
        )

    @in_python()
    def add(
        self,
        texts: Table,
        *,
        generator: str | None = None,
        recommender: str | None = None,
        columns: Mapping[str, str] | None = None,
    ) -> Added:
        """Take in explanations made elsewhere, by any system or by hand: a table of user, item and text.

        `generator` is who made them, where no column of the table says so. They are compared, judged and audited as if
        they had been made here.
        """
        if recommender is None:
            recommender = _only("recommender", None, self.workspace.recommenders(), "add(..., recommender=NAME)")
        with as_files(texts=texts) as files:
            taken = import_explanations(self.workspace, files["texts"], recommender, generator, columns)
        return Added(recommender, tuple(taken))

    @in_python()
    def tune(
        self,
        base: str = "embedded",
        *,
        name: str,
        task: str = "explain,attributes",
        sources: Sequence[str] | None = None,
        recommenders: Sequence[str] | None = None,
        targets: Sequence[str] | None = None,
        users: int | None = None,
        folds: int | None = None,
        pairs: str | Path | None = None,
        **settings: Any,
    ) -> Tuned:
        """Tune a LoRA adapter, called `name`, of a model that runs here: `embedded`, hf:NAME_OR_PATH or a preset.

        `task`: explain, attributes or both, from `sources` of explanations (annotated, ledgers, files of lessons,
        tables) and from the attributes of people; or judge, reward or prefer, from labelled `pairs`. `users`: learn
        from so many people only; `folds`: so many adapters, each without another part of the people. `settings` are of
        prompts and of tuning (epochs, learning_rate...). Stopped at any moment, the same call goes on.
        """
        check_numbers(users=users, folds=folds)
        sources, recommenders, targets = (
            named(what, given)
            for what, given in (("sources", sources), ("recommenders", recommenders), ("targets", targets))
        )
        tasks = tuning.read_tasks(task)
        lessons_of = (sources, recommenders, targets, users, folds)
        tuning.on_pairs(tasks, pairs=pairs is not None, lessons=any(one is not None for one in lessons_of))
        shown, rest = _parted(settings, TuningSettings)
        prompt = check(PromptSettings, shown, "the prompt")
        usual = tuning.usual_settings(base, tasks).model_dump()
        how = check(TuningSettings, {**usual, **rest}, "tuning")
        folder = self.workspace.adapter(name)
        if pairs is not None:
            labels = read_pairs(Path(pairs))
            card = tuning.tune_on_pairs(self.workspace, base, task, name, labels, how, prompt=prompt)
            specs = {"reward": f"reward:{folder}", "judge": f"pairwise:{base}+{folder}"}
            return Tuned(specs.get(task, f"{base}+{folder}"), {folder: card})
        whole = base == "embedded"  # it is shown another part of each history in each epoch
        lessons = gather(
            self.workspace, tasks, sources, recommenders, targets, prompt, seed=how.seed, whole=whole
        )  # fmt: skip
        lessons = lessons if users is None else drawn(lessons, users, how.seed)
        cards = tuning.tune(self.workspace, base, name, lessons, how, prompt=prompt, folds=folds, say=lambda _: None)
        return Tuned(f"{base}+{folder}", cards)

    # --- evaluation -----------------------------------------------------------------------------------------------

    @in_python()
    def judge(
        self,
        judge: str = "text",
        *,
        recommender: str | None = None,
        train: str | Path | None = None,
        test: str | Path | None = None,
        seed: int = 1,
    ) -> Judged:
        """Have a judge compare the explanations of all generators, once it was measured on labelled pairs.

        A judge is text, text:FOLDER, pairwise:GENERATOR or reward:FOLDER. `train`: pairs that it learns from, and is
        measured on crosswise; `test`: pairs that it is measured on instead; files, or the word annotated, for those
        that ship with the library. A judge that is not shown to be valid names no winner.
        """
        check_numbers(seed=seed)
        recommender = self._explained(recommender)
        learned, held = pairs_file(train), pairs_file(test)
        ready, measured = prepare(judge, learned, held, seed=seed)
        settings = judging.judge_settings(judge, ready, learned, seed)
        outcome = judging.judge_explanations(self.workspace, recommender, ready, measured, settings)
        places = {self.workspace.name: self.workspace}
        write_tables(places, self.workspace, seed)
        write_summary(self.workspace)
        scores = table_2(places, seed).filter(recommender=recommender, source=ready.name)
        rules = rules_of_table_2(places, seed).filter(recommender=recommender)
        best = winner(self.workspace, recommender, slug(ready.name), scores)
        worth = None if measured is None else Worth(measured)
        table = pl.concat([scores.sort("win_ratio", descending=True, nulls_last=True), rules])
        return Judged(recommender, ready.name, worth, best, table, tuple(outcome.lines()))

    @in_python()
    def predict(
        self,
        generator: str = "embedded",
        *,
        recommender: str | None = None,
        targets: Sequence[str] | None = None,
        users: int | None = None,
        template: str = "default",
        history: int = 20,
        item_attributes: Sequence[str] | None = None,
        user_attributes: Sequence[str] = (),
        name: str | None = None,
        price: Price | None = None,
        max_cost: float | None = None,
        seed: int = 1,
        **settings: Any,
    ) -> Figures[list[Accuracy]]:
        """Have `generator` predict attributes that it is not shown (None: all that the data tell), beside rules that it
        has to beat. `settings` are the generator's.
        """
        check_numbers(users=users, seed=seed)
        place = self.workspace
        recommender = self._recommended(recommender)
        shown = {
            "item_attributes": None if item_attributes is None else several(item_attributes),
            "user_attributes": several(user_attributes),
        }
        prompt = check(PromptSettings, {"template": template, "history": history, **shown}, "the prompt")
        asked = _generator(generator, name, settings, price, max_cost)
        questions, left_out = predicting.attribute_questions(
            place, recommender, asked, prompt, named("targets", targets), users=users, seed=seed
        )
        made = predicting.prediction_settings(place, asked, questions)
        refuse_to_mix(place.predictions(recommender, asked.label), made)
        outcome = predicting.predict_attributes(place, asked, questions)
        found, notes = predicting.measure_predictions(place, recommender, seed)
        write_table_3(found, place, recommender)
        table = pl.DataFrame([asdict(one) for one in found], schema={
            name: kind for name, kind in TABLE_3.items() if name not in ("recommender", "dataset")
        }).fill_nan(None)  # fmt: skip
        aside = [f"left out: {left_out:,} people on whom the adapter was tuned"] if left_out else []
        said = (*outcome.lines(), *aside, *notes)
        return Figures("Attributes", found, table, tuple(accuracy_lines(found)), said)

    @in_python()
    def faithfulness(
        self, *, recommender: str | None = None, k: int = 10, seed: int = 1
    ) -> Figures[dict[str, Faithfulness]]:
        """Take away what explanations cite, and see whether the recommendation falls: are they true of it?"""
        check_numbers(k=k, seed=seed)
        recommender = self._explained(recommender)
        found = measure_faithfulness(self.workspace, recommender, k=k, seed=seed)
        stand_in = rests_on_a_stand_in(self.workspace, recommender)
        file = write_faithfulness({recommender: found}, {recommender: stand_in}, self.workspace)
        told = [line for name, one in found.items() for line in faithfulness_lines(recommender, name, one)]
        table = pl.read_csv(file, schema=FAITHFULNESS).filter(recommender=recommender)
        first = table.filter(pl.col("measure").is_in(["citing", "coverage", "flip"]))
        return Figures(
            "Faithfulness", found, table, tuple(told), (f"measured on {STAND_IN}",) if stand_in else (), first
        )

    @in_python()
    def identify(
        self,
        generators: Sequence[str] | None = None,
        *,
        recommender: str | None = None,
        among: int = AMONG,
        seed: int = 1,
    ) -> Figures[list[Identified]]:
        """Whether texts tell whose they are: find each one's person `among` others, by history and profile."""
        check_numbers(among=among, seed=seed)
        recommender = self._explained(recommender)
        there = self.workspace.generators(recommender)
        asked = named("generators", generators) or there
        names = [_only("generator", name, there, "explain()") for name in asked]
        found = identify_people(self.workspace, recommender, names, among, seed)
        table = pl.read_csv(write_identified(found, self.workspace, recommender), schema=IDENTIFIABILITY)
        of_it = table.filter(recommender=recommender)
        return Figures("Whose a text is", found, of_it, tuple(identified_lines(found)))

    @in_python()
    def fairness(
        self,
        attributes: Sequence[str] | None = None,
        *,
        generator: str | None = None,
        recommender: str | None = None,
        seed: int = 1,
    ) -> Figures[list[Contrast]]:
        """Whether texts differ by who they are for, by groups of people (None: by all attributes that may be shown).

        Nothing is asked; what an attribute itself does is found with: llmxrec fairness --flip.
        """
        check_numbers(seed=seed)
        recommender = self._explained(recommender)
        dataset, names = Dataset.load(self.workspace.dataset), measurable(self.workspace, recommender)
        if generator is not None or not names:
            known = called(generator, names) if generator is not None else None
            names = [_only("generator", known, names, "explain()")]
        shown = [name for name in dataset.domain.user_attributes if name in dataset.users.columns]
        found = measure_fairness(self.workspace, recommender, names, named("attributes", attributes) or shown, seed)
        table = pl.read_csv(write_fairness(found, self.workspace, recommender), schema=FAIRNESS)
        told = pl.col("attribute").is_in({one.attribute for one in found}) & pl.col("who").is_in({x.who for x in found})
        of_it = table.filter(told, recommender=recommender)
        return Figures("Groups", found, of_it, tuple(fairness_lines(found)))

    @in_python()
    def audit(
        self,
        *,
        tuning: Sequence[str | Path] = (),
        pairs: Sequence[str | Path] = (),
        accuracies: str | Path | None = None,
    ) -> Findings:
        """Look for what makes numbers say what they do not; audit.md in the workspace has it all.

        `tuning`: files of rows that a generator was tuned on; `pairs`: of labelled pairs; `accuracies`: a CSV file of
        reported accuracies.
        """
        folder, reported = self.workspace.path, None if accuracies is None else Path(accuracies)
        found = find_faults(
            folder, tuning=[*map(Path, several(tuning))], pairs=[*map(Path, several(pairs))], accuracies=reported
        )
        write_faults(folder, found)
        return Findings(tuple(found))

    @in_python()
    def report(self) -> Written:
        """Write report.html, all tables and summaries anew from what is stored. Nothing is asked, trained or judged."""
        return Written(self.workspace.report, tuple(write_report(self.workspace.path)))

    # --- what they share ------------------------------------------------------------------------------------------

    def _recommended(self, recommender: str | None) -> str:
        return _only("recommender", recommender, self.workspace.recommenders(), "fit(NAME)")

    def _explained(self, recommender: str | None) -> str:
        return _only("recommender", recommender, self.workspace.explained(), "explain()")

    def _fitted(self, recommender: str) -> Fitted:
        """What the workspace tells of a recommender."""
        noted = self.workspace.read_manifest().get("recommenders", {})
        table = read_recommendations(self.workspace, recommender)
        users = table["user_id"].n_unique()
        mine, rule = noted.get(recommender, {}), noted.get(TRIVIAL, {})
        alike = recommender != TRIVIAL and (mine.get("k"), mine.get("hold_out")) == (
            rule.get("k"),
            rule.get("hold_out"),
        )
        there = self.workspace.evidence(recommender).exists()
        return Fitted(
            recommender,
            rows=table.height,
            users=users,
            strangers=_height(self.workspace.dataset / "users.parquet") - users,
            kept_out=mine.get("kept_out", 0),
            metrics=_metrics(mine),
            trivial=_metrics(rule) if alike else {},
            evidence=Traced.of(read_evidence(self.workspace, recommender)) if there else None,
        )

    def _asking(
        self,
        generator: str,
        recommender: str | None,
        users: int | None,
        top: int,
        verify: bool | Mapping[str, Any],
        name: str | None,
        price: Price | None,
        max_cost: float | None,
        seed: int,
        settings: Mapping[str, Any],
    ) -> tuple[GeneratorRecipe, Questions, Verification | None]:
        """Whom to ask, what, and how answers are verified. `settings` are of prompts and of generators."""
        check_numbers(users=users, top=top, seed=seed)
        recommender = self._recommended(recommender)
        shown, rest = _parted(settings, GenerationSettings)
        prompt = check(PromptSettings, shown, "the prompt")
        asked = _generator(generator, name, {"seed": seed, **rest}, price, max_cost)
        rules = None if verify is False else check(Verification, {} if verify is True else verify, "verify")
        file = self.workspace.explanations(recommender, asked.label)
        known_then = knowledge(self.workspace, recommender)
        refuse_to_mix(file, explaining.answer_settings(self.workspace, asked, prompt, seed, known_then, rules))
        if load_template(prompt.template).tells_causes:
            trace_missing(self.workspace, recommender, top=top)
        questions = explaining.questions_about(
            self.workspace, recommender, asked, prompt, users=users, top=top, seed=seed
        )
        return asked, questions, rules

    def _lines(self) -> list[str]:
        place = self.workspace
        counts = {name: _height(place.dataset / f"{name}.parquet") for name in ("users", "items", "interactions")}
        held = ", ".join(f"{count:,} {name}" for name, count in counts.items())
        lines = [f"{place.name}: {held}", *(self.said or _read_then(place)), _shown(place)]
        for recommender in place.recommenders():
            explained = place.generators(recommender)
            metrics = _metrics(place.read_manifest().get("recommenders", {}).get(recommender, {})).values()
            told = [str(one) for one in metrics if one.name.startswith(("NDCG", "Recall"))]
            told += [f"explained by {', '.join(explained)}"] if explained else []
            told += [f"judged by {', '.join(place.judges(recommender))}"] if place.judges(recommender) else []
            lines.append(f"  {recommender}: {'; '.join(told) or 'not explained yet'}")
        return lines


def attach(place: Workspace, recommendations: Table, columns: Mapping[str, str]) -> tuple[str, ...]:
    """Write what a recommender of the user's own recommends, unless it lies there; returns what was read, in words."""
    with as_files(recommendations=recommendations) as files:
        table, report = read_recommendations_of(files["recommendations"], Dataset.load(place.dataset), columns)
    if EXTERNAL not in place.recommenders() or not read_recommendations(place, EXTERNAL).equals(table):
        recommending.write_recommendations(place, EXTERNAL, table)
    return tuple(report.lines())


def pairs_file(file: str | Path | None) -> Path | None:
    """Labelled pairs, by their file or the word that stands for some."""
    return None if file is None else Path(file)


def _generator(
    spec: str, name: str | None, settings: Mapping[str, Any], price: Price | None, max_cost: float | None
) -> GeneratorRecipe:
    priced = None if price is None else {"input": price[0], "output": price[1]}
    recipe = {"spec": spec, "name": name, "settings": settings, "price": priced, "max_cost": max_cost}
    return check(GeneratorRecipe, recipe, "the generator")


def _parted(settings: Mapping[str, Any], others: type[Settings]) -> tuple[dict[str, Any], dict[str, Any]]:
    """`settings` of prompts, and `others`. Raises InputError for one that is neither."""
    known = [*PromptSettings.model_fields, *others.model_fields]
    for name in settings:
        if name not in known:
            raise closest("setting", name, known)
    shown = {
        name: several(value) if name.endswith("_attributes") and value is not None else value
        for name, value in settings.items()
        if name in PromptSettings.model_fields
    }
    return shown, {name: value for name, value in settings.items() if name not in shown}


def _only(what: str, given: str | None, there: Sequence[str], cure: str) -> str:
    return only(what, given, there, cure, option=f"{what}=NAME")


def _metrics(noted: Mapping[str, Any]) -> dict[str, Metric]:
    return {name: Metric(**metric) for name, metric in noted.get("metrics", {}).items()}


def _height(file: Path) -> int:
    return int(pl.scan_parquet(file, glob=False).select(pl.len()).collect().item())


def _read_then(place: Workspace) -> list[str]:
    """What was left out when the data were read, and why."""
    noted = place.read_manifest().get("dataset", {})
    lines = [f"dropped {count:,} {why}" for why, count in noted.get("dropped", {}).items() if count]
    return lines + [f"note: {count:,} {what}" for what, count in noted.get("notes", {}).items() if count]


def _shown(place: Workspace) -> str:
    """What generators are told of items and of people."""
    domain = load_domain(place.dataset / "domain.toml")
    parts = [
        f"of {what} {', '.join(name for name in listed if name in columns) or 'nothing'}"
        for what, listed in (("items", domain.item_attributes), ("users", domain.user_attributes))
        for columns in [pl.read_parquet_schema(place.dataset / f"{what}.parquet")]
    ]
    return f"shown to generators: {'; '.join(parts)}"
