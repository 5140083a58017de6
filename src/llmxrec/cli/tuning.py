"""Commands that tune: tune."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from llmxrec.cli import app
from llmxrec.cli.console import figures, hush, listed, numbers_or_words, only, pairs, say, say_next, wrote
from llmxrec.cli.data import WorkspacePath
from llmxrec.errors import InputError
from llmxrec.lookup import closest
from llmxrec.workspace import Workspace

if TYPE_CHECKING:
    from llmxrec.tuning.adapters import Card

ON_PAIRS = ("judge", "reward", "prefer")
TASKS = ("explain", "attributes", *ON_PAIRS)


@app.command()
def tune(
    workspace: WorkspacePath,
    base: Annotated[str, typer.Option(help="The model: embedded, hf:NAME_OR_PATH, llama-2...")],
    name: Annotated[str, typer.Option(help="What to call the adapter.")],
    task: Annotated[
        str, typer.Option(help="explain, attributes or both with a comma between; judge; reward; prefer.")
    ] = ("explain,attributes"),
    source: Annotated[
        list[str] | None,
        typer.Option(
            "--from",
            metavar="SOURCE",
            help="Explanations to learn: annotated (the default), WORKSPACE/explanations/RECOMMENDER/GENERATOR.jsonl, "
            "a file of lessons, or a table with user, item and text. Can be given again.",
        ),
    ] = None,
    recommender: Annotated[
        list[str] | None, typer.Option(help="Whose recommendations are asked about; all. Can be given again.")
    ] = None,
    target: Annotated[
        list[str] | None, typer.Option(help="An attribute to learn; by default, all. Can be given again.")
    ] = None,
    users: Annotated[
        int | None, typer.Option(min=1, help="Learn from so many people only, drawn by the seed; the others stay.")
    ] = None,
    folds: Annotated[
        int | None, typer.Option(min=2, help="So many adapters, each tuned without another part of the people.")
    ] = None,
    labelled: Annotated[
        Path | None, typer.Option("--pairs", help="Labelled pairs, for judge, reward and prefer.")
    ] = None,
    judge: Annotated[
        str | None, typer.Option(help="For prefer: by what name the verdicts lie here that are learned; the only ones.")
    ] = None,
    setting: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="How it is tuned: --set epochs=5.")
    ] = None,
    template: Annotated[str, typer.Option(help="Of prompts: default, paper or FILE.txt.")] = "default",
    history: Annotated[int, typer.Option(min=0, help="The newest items shown, at most.")] = 20,
    item_attributes: Annotated[str | None, typer.Option(help="Shown of items: genres,year; '' for none.")] = None,
    user_attributes: Annotated[str | None, typer.Option(help="Shown of users: age,gender; '' for none.")] = None,
    reasoning: Annotated[bool, typer.Option(help="Chain of thought in the prompt.")] = True,
    max_words: Annotated[int, typer.Option(min=1, help="Words asked for; longer texts are not learned.")] = 75,
) -> None:
    """Tune a LoRA adapter of a model that runs here. Stopped at any moment, the same command goes on."""
    from llmxrec.evaluation.pairs import read_pairs
    from llmxrec.prompts.instructions import PromptSettings
    from llmxrec.settings import check
    from llmxrec.sources import drawn, gather, preferences_from
    from llmxrec.stages import tuning
    from llmxrec.tuning.loop import Team, TuningSettings

    place, tasks = Workspace(workspace), _tasks(task)
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
    if tasks[0] in ON_PAIRS:
        verdicts = labelled is None and task == "prefer"
        if (labelled is None and not verdicts) or source or target or users or folds:
            raise InputError(f"{task} learns from labelled pairs", cure="give --pairs FILE, and no lessons")
        if verdicts:
            one = only(
                "recommender", recommender[0] if recommender else None, place.recommenders(), "llmxrec recommend"
            )
            judge = only("judge", judge, place.judges(one), f"llmxrec judge {workspace}")
            learned = preferences_from(place, one, judge)
            say(f"{len(learned.rows):,} verdicts of {judge}")
            card = tuning.tune_on_pairs(place, base, task, name, learned, settings, prompt=prompt)
        else:
            labels = read_pairs(labelled or Path())
            say(f"{len(labels):,} pairs")
            card = tuning.tune_on_pairs(place, base, task, name, labels, settings, prompt=prompt)
        cards = {place.adapter(name): card}
    else:
        if labelled is not None:
            raise InputError("--pairs go with --task judge, reward or prefer", value=task, cure="leave them out")
        if judge is not None:
            raise InputError("--judge goes with --task prefer", value=task, cure="leave it out")
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


def _tasks(text: str) -> tuple[str, ...]:
    tasks = listed(text) or ()
    for task in tasks:
        if task not in TASKS:
            raise closest("task", task, TASKS)
    if not tasks or (len(tasks) > 1 and {*ON_PAIRS} & {*tasks}):
        raise InputError("an adapter learns explain, attributes or both, or one of the other tasks", value=text)
    return tasks


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
