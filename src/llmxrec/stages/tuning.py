"""Adapters tuned: of generators on lessons, of judges and writers on labelled pairs."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

from llmxrec.errors import InputError
from llmxrec.generators.specs import read_spec
from llmxrec.lookup import closest, resolve
from llmxrec.progress import progress, quiet
from llmxrec.prompts.instructions import PromptSettings
from llmxrec.records import Pair
from llmxrec.sources import in_folds
from llmxrec.stages.timing import timed
from llmxrec.tuning.adapters import Card, read_card
from llmxrec.tuning.lessons import Lessons, digest
from llmxrec.tuning.loop import Team, TuningSettings
from llmxrec.tuning.preference import Preferences
from llmxrec.workspace import Workspace

Say = Callable[[str], None]

_TUNERS = {
    "embedded": "llmxrec.tuning.embedded:tune_embedded",
    "hf": "llmxrec.tuning.language:tune_language",
}
"""Who tunes a generator, by the kind of its base."""


_TUNERS_ON_PAIRS = {
    "judge": "llmxrec.tuning.judges:tune_judge",
    "reward": "llmxrec.tuning.judges:tune_judge",
    "prefer": "llmxrec.tuning.preference:tune_preference",
}
"""Who tunes on labelled pairs, by the task."""


TASKS = ("explain", "attributes", *_TUNERS_ON_PAIRS)
"""What an adapter may learn: one of them, or the first two together."""

_JUDGES = {"judge": "pairwise", "reward": "reward"}


def read_tasks(text: str) -> tuple[str, ...]:
    """Some of TASKS, with commas between. Raises InputError for what is none, or is not learned together."""
    tasks = tuple(name.strip() for name in text.split(",") if name.strip())
    for task in tasks:
        if task not in TASKS:
            raise closest("task", task, TASKS)
    if not tasks or (len(tasks) > 1 and {*_TUNERS_ON_PAIRS} & {*tasks}):
        raise InputError("an adapter learns explain, attributes or both, or one of the other tasks", value=text)
    return tasks


def on_pairs(tasks: Sequence[str], *, pairs: bool, lessons: bool) -> bool:
    """Whether `tasks` are learned from pairs, where labelled `pairs` are given, or what `lessons` are made of is.

    Raises InputError where these are not what is learned from.
    """
    if tasks[0] not in _TUNERS_ON_PAIRS:
        if pairs:
            cure = "leave them out"
            raise InputError("pairs go with the tasks judge, reward and prefer", value=",".join(tasks), cure=cure)
        return False
    if lessons or not pairs:
        cure = "give --pairs FILE, and no sources, recommenders, targets, users or folds"
        raise InputError(f"{tasks[0]} learns from labelled pairs", cure=cure)
    return True


def usual_settings(base: str, tasks: Sequence[str]) -> TuningSettings:
    """How `base` is tuned where nobody says otherwise."""
    from llmxrec.tuning import embedded

    if read_spec(base).kind != "embedded":
        return TuningSettings()
    return embedded.EXPLAIN if "explain" in tasks else embedded.ATTRIBUTES


def tune(
    workspace: Workspace,
    base: str,
    name: str,
    lessons: Lessons,
    settings: TuningSettings,
    *,
    prompt: PromptSettings | None = None,
    folds: int | None = None,
    say: Say = print,
) -> dict[Path, Card]:
    """Tune the adapter `name` of the generator `base` on `lessons`, those of both tasks together.

    With `folds`, several of them: `NAME/fold-1` and so on, each tuned without another part of the people. `prompt` is
    how an `hf:` model is asked. Returns the cards by their folders. Interrupted, the same call goes on; what was tuned
    in the same way before is kept. Raises InputError where something else lies there, or for a base that is not tuned.
    """
    spec = read_spec(base)
    if spec.kind not in _TUNERS or spec.adapter is not None:
        cure = "give a base without an adapter: embedded or hf:NAME_OR_PATH"
        raise InputError("what is tuned is a model that runs here", value=base, cure=cure)
    if settings.rehearsal and spec.kind != "embedded":
        raise InputError("embedded alone rehearses", value=f"rehearsal={settings.rehearsal}", cure="leave it out")
    folder = workspace.adapter(name)
    parts = {folder: lessons}
    if folds is not None:
        parts = {folder / f"fold-{n}": part for n, part in enumerate(in_folds(lessons, folds, settings.seed), 1)}
    model = (spec.model,) if spec.kind == "hf" else ()
    asked = {"prompt": prompt or PromptSettings()} if spec.kind == "hf" else {}
    known: dict[str, Any] = {"base": ":".join([spec.kind, *model]), "settings": settings.model_dump(mode="json")}
    if asked:
        known["prompt"] = asked["prompt"].model_dump(mode="json")
    done = {place: _tuned(folder, place, {**known, "data": digest(part.rows)}) for place, part in parts.items()}
    tuner = resolve("base", spec.kind, _TUNERS)
    cards = {}
    for place, part in parts.items():
        card = done[place]
        if card is not None:
            say(f"{place} was tuned before")
        else:
            with (
                timed(workspace, "tune", "", str(place.relative_to(workspace.path / "adapters"))) as rows,
                _tuning(place, _rows(part, settings), settings) as how,
            ):
                card = tuner(*model, part, place, settings, **asked, **how)
                rows(card.rows if Team().first else 0)
        cards[place] = card
    return cards


def tune_on_pairs(
    workspace: Workspace,
    base: str,
    task: str,
    name: str,
    pairs: Sequence[Pair] | Preferences,
    settings: TuningSettings,
    *,
    prompt: PromptSettings | None = None,
) -> Card:
    """Tune the adapter `name` of the model `base` on labelled `pairs`, or for `prefer` on verdicts: to be a judge that
    is asked which is better (`judge`) or that scores each (`reward`), or to write what is preferred (`prefer`), asked
    as `prompt` says.

    Interrupted, the same call goes on. Raises InputError where an adapter of that name lies there.
    """
    tuner = resolve("task", task, _TUNERS_ON_PAIRS)
    asked = {"prompt": prompt or PromptSettings()} if task == "prefer" else {"kind": _JUDGES[task]}
    place = workspace.adapter(name)
    _tuned(place, place, {"data": None})
    rows = len(pairs.rows if isinstance(pairs, Preferences) else pairs)
    with _tuning(place, rows, settings) as how:
        card: Card = tuner(base, pairs, place, settings, **asked, **how)
    return card


def _rows(lessons: Lessons, settings: TuningSettings) -> int:
    """How many rows are learned, those included that the embedded model writes itself."""
    explains = any(lesson.instruction.task == "explain" for lesson in lessons.rows)
    return max(len(lessons.rows), settings.rehearsal) if explains else len(lessons.rows)


@contextmanager
def _tuning(place: Path, rows: int, settings: TuningSettings) -> Iterator[dict[str, Any]]:
    """How all are tuned: with progress shown, and a checkpoint that is gone when the adapter is written."""
    checkpoint = place.with_name(f".{place.name}.checkpoint")
    learned = round(rows * (1 - settings.held_out))
    what = place.name if place.parent.name == "adapters" else f"{place.parent.name}/{place.name}"
    showing = progress(f"tuning {what}", learned * settings.epochs)
    with showing if Team().first else nullcontext(quiet) as advance:
        yield {"checkpoint": checkpoint, "advance": advance}
    if Team().first:
        checkpoint.unlink(missing_ok=True)


def _tuned(folder: Path, place: Path, wanted: Mapping[str, Any]) -> Card | None:
    """The card of the adapter that is to lie at `place`, in the `folder` of its name; None where nothing does.

    Raises InputError where one lies there that was tuned otherwise, or folds instead of one, or one instead of folds.
    """
    card, there = read_card(place), (place / "adapter_config.json").exists()
    different = [key for key, value in wanted.items() if there and card.get(key) != value]
    if different or (any(folder.glob("fold-*")) if place == folder else (folder / "adapter_config.json").exists()):
        raise InputError(
            f"{folder} holds what was tuned otherwise" + (f", by its {different[0]}" if different else ""),
            cure="keep both with --name OTHER, or delete the folder to start over",
        )
    return Card.from_json(card) if there else None
