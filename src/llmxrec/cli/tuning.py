"""Commands that tune: tune."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from llmxrec.cli import app, completion
from llmxrec.cli.console import figures, hush, listed, numbers_or_words, only, opened, pairs, say, say_next, wrote
from llmxrec.cli.options import (
    History,
    ItemAttributes,
    MaxWords,
    Reasoning,
    Settings,
    Target,
    Template,
    UserAttributes,
    WorkspacePath,
)
from llmxrec.errors import InputError
from llmxrec.workspace import Workspace

if TYPE_CHECKING:
    from llmxrec.tuning.adapters import Card


@app.command()
def tune(
    workspace: WorkspacePath,
    base: Annotated[
        str,
        typer.Option(
            metavar="SPEC",
            help="The model: embedded, hf:NAME_OR_PATH, llama-2, chatglm.",
            autocompletion=completion.base_specs,
        ),
    ],
    name: Annotated[str, typer.Option(metavar="NAME", help="What to call the adapter.")],
    task: Annotated[
        str,
        typer.Option(
            metavar="A,B",
            help="explain, attributes or both; or one of judge, reward and prefer.",
            autocompletion=completion.tasks,
        ),
    ] = "explain,attributes",
    source: Annotated[
        list[str] | None,
        typer.Option(
            "--from",
            metavar="SOURCE",
            help="Explanations to learn: annotated (the default), WORKSPACE/explanations/RECOMMENDER/GENERATOR.jsonl, "
            "a file of lessons, or a table with user, item and text. Repeatable.",
        ),
    ] = None,
    recommender: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME",
            help="Whose recommendations are asked about; without, all. Repeatable.",
            autocompletion=completion.recommenders,
        ),
    ] = None,
    target: Target = None,
    users: Annotated[
        int | None,
        typer.Option(metavar="N", min=1, help="Learn from N people, drawn; the others are left to be measured on."),
    ] = None,
    folds: Annotated[
        int | None, typer.Option(metavar="N", min=2, help="N adapters, each tuned without another part of the people.")
    ] = None,
    labelled: Annotated[
        Path | None,
        typer.Option("--pairs", metavar="FILE", help="Labelled pairs, for the tasks judge, reward and prefer."),
    ] = None,
    judge: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="For prefer: whose verdicts are learned; may be left out where there is one.",
            autocompletion=completion.judges,
        ),
    ] = None,
    setting: Settings = None,
    template: Template = "default",
    history: History = 20,
    item_attributes: ItemAttributes = None,
    user_attributes: UserAttributes = None,
    reasoning: Reasoning = True,
    max_words: MaxWords = 75,
) -> None:
    """Tune a LoRA adapter of a model that runs here: to explain, predict or judge.

    Longer texts than --max-words are not learned. Stopped at any moment, the same command goes on.
    """
    from llmxrec.evaluation.pairs import read_pairs
    from llmxrec.prompts.instructions import PromptSettings
    from llmxrec.settings import check
    from llmxrec.sources import drawn, gather, preferences_from
    from llmxrec.stages import tuning
    from llmxrec.tuning.loop import Team, TuningSettings

    place, tasks = opened(workspace), tuning.read_tasks(task)
    verdicts = labelled is None and tasks == ("prefer",)
    given = (source, target, users, folds, None if verdicts else recommender)
    paired = tuning.on_pairs(tasks, pairs=verdicts or labelled is not None, lessons=any(given))
    if judge is not None and not verdicts:
        raise InputError("--judge goes with --task prefer, where no --pairs are given", value=task, cure="leave it out")
    usual = tuning.usual_settings(base, tasks).model_dump()
    settings = check(TuningSettings, {**usual, **numbers_or_words(pairs("--set", setting or []))}, "tuning")
    prompt = PromptSettings(
        template=template,
        history=history,
        item_attributes=listed(item_attributes),
        user_attributes=listed(user_attributes),
        reasoning=reasoning,
        max_words=max_words,
    )
    if not Team().first:
        hush()
    if paired:
        if verdicts:
            one = only(
                "recommender", recommender[0] if recommender else None, place.recommenders(), "llmxrec recommend"
            )
            judge = only("judge", judge, place.judges(one), f"llmxrec judge {workspace}")
            learned = preferences_from(place, one, judge)
            say(f"{len(learned.rows):,} verdicts of {judge}")
            card = tuning.tune_on_pairs(place, base, tasks[0], name, learned, settings, prompt=prompt)
        else:
            labels = read_pairs(labelled or Path())
            say(f"{len(labels):,} pairs")
            card = tuning.tune_on_pairs(place, base, tasks[0], name, labels, settings, prompt=prompt)
        cards = {place.adapter(name): card}
    else:
        # The embedded model is shown another part of each history in each epoch.
        whole = base == "embedded"
        lessons = gather(place, tasks, source, recommender, target, prompt, seed=settings.seed, whole=whole)
        lessons = lessons if users is None else drawn(lessons, users, settings.seed)
        say(str(lessons))
        cards = tuning.tune(place, base, name, lessons, settings, prompt=prompt, folds=folds, say=say)
    for folder, card in cards.items():
        for line in _lines(card):
            say(line)
        wrote(folder)
    figures(adapters=[{"folder": folder, **_learned(card)} for folder, card in cards.items()])
    say_next(*_next(place, base, tasks, name, folds))


def _next(place: Workspace, base: str, tasks: tuple[str, ...], name: str, folds: int | None) -> tuple[object, ...]:
    adapter = place.adapter(name)
    if tasks[0] in ("judge", "reward"):
        judge = f"reward:{adapter}" if tasks[0] == "reward" else f"pairwise:{base}+{adapter}"
        return "validate-judge", "--judge", judge, "--test", "PAIRS"
    stage = "predict" if folds or tasks == ("attributes",) else "explain"
    return stage, place.path, "--generator", f"{base}+{adapter}"


def _lines(card: Card) -> list[str]:
    """What was learned, and how the loss fell."""
    out = ", ".join(f"{count:,} {why}" for why, count in card.dropped.items())
    lines = [f"{card.rows:,} rows learned, {card.held_out:,} held out" + (f" (left out: {out})" if out else "")]
    for number, loss in enumerate(card.curve.loss):
        held = f", on those held out {card.curve.held_out[number]:.3f}" if card.curve.held_out else ""
        lines.append(f"  epoch {number + 1}: loss {loss:.3f}{held}{' (kept)' if number + 1 == card.curve.best else ''}")
    return lines


def _learned(card: Card) -> dict[str, Any]:
    """What `_lines` say, for programs."""
    known = ("base", "rows", "held_out", "dropped", "settings", "curve")
    return {name: value for name, value in card.to_json().items() if name in known}
