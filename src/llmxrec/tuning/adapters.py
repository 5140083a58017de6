"""An adapter as it lies on disk: what PEFT writes, and a card that tells what it was made of."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from llmxrec.errors import InputError
from llmxrec.generators.cards import CARD
from llmxrec.tuning.loop import Curve, Team, TuningSettings


@dataclass(frozen=True)
class Card:
    """What an adapter is. `base` is the spec of its model, `data` a digest of the rows it learned from, `users` the
    people they were about (by id, sorted): those it may not be measured on. `dropped` counts rows left out, by why."""

    task: str
    base: str
    rows: int
    held_out: int
    data: str
    users: tuple[str, ...]
    settings: TuningSettings
    curve: Curve
    dropped: Mapping[str, int]
    prompt: Mapping[str, Any] = field(default_factory=dict)
    """How its prompts were made (PromptSettings), where it read any: it is at its best when asked in the same way."""
    groups: tuple[str, ...] = ()
    """Of the labelled pairs that it learned from (see `pairs.groups_of`): a judge is not measured on them."""
    taught_by: tuple[str, ...] = ()
    """The judges whose verdicts it learned from: what they say of it is no evidence."""

    def to_json(self) -> dict[str, Any]:
        return {**asdict(self), "settings": self.settings.model_dump(mode="json")}

    @classmethod
    def from_json(cls, card: Mapping[str, Any]) -> Card:
        """What `to_json` made."""
        known = {"settings": TuningSettings(**card["settings"]), "curve": Curve(**card["curve"])}
        names = {key: tuple(card[key]) for key in ("users", "groups", "taught_by")}
        return cls(**{**card, **known, **names})


def save_adapter(
    model: Any, folder: Path, card: Card, tokenizer: Any = None, *, also: Callable[[Path], None] | None = None
) -> None:
    """Write the adapter of `model` (PEFT's), its card, the `tokenizer` where tokens are new, and what `also` writes to
    the folder that it is given; whole or not at all.

    What lay in `folder` before is replaced. Of several processes that tune together, one writes.
    """
    if not Team().first:
        return
    draft = folder.with_name(f".{folder.name}.draft")
    shutil.rmtree(draft, ignore_errors=True)
    model.save_pretrained(draft, save_embedding_layers=False)
    if tokenizer is not None:
        tokenizer.save_pretrained(draft)
    if also is not None:
        also(draft)
    (draft / "README.md").unlink(missing_ok=True)  # PEFT's, to be filled in by hand; the card tells it
    (draft / CARD).write_text(json.dumps(card.to_json(), indent=2) + "\n", encoding="utf-8")
    shutil.rmtree(folder, ignore_errors=True)
    draft.rename(folder)


def tuned_on(folder: Path) -> frozenset[str]:
    """The people whose rows an adapter learned from; none where its card, or the adapter, does not say.

    Raises InputError for a card that cannot be read.
    """
    return frozenset(read_card(folder).get("users", []))


def read_card(folder: Path) -> dict[str, Any]:
    """An adapter's card as JSON (see `Card.to_json`); empty where there is none.

    Raises InputError for one that cannot be read.
    """
    file = folder / CARD
    if not file.exists():
        return {}
    try:
        card = json.loads(file.read_text(encoding="utf-8"))
        users = card.get("users", [])
        if not isinstance(users, list) or not all(isinstance(user, str) for user in users):
            raise ValueError
    except (ValueError, AttributeError, RecursionError):
        raise InputError("an adapter's card is JSON, and lists users", file=file, cure="tune it again") from None
    return dict(card)


def folds(folder: Path) -> list[Path]:
    """The adapters in `folder` that were each tuned without a part of the people (`fold-1`, ...), in their order."""
    numbers = (fold.name.removeprefix("fold-") for fold in folder.glob("fold-*"))
    return [folder / f"fold-{number}" for number in sorted(int(number) for number in numbers if number.isdecimal())]


def made_of(folder: Path) -> str | None:
    """A digest of what lies in `folder`: an adapter, or its folds, by its card; by all its files where that does not
    tell what it learned from. None where nothing lies there.

    Raises InputError for a card that cannot be read.
    """
    content = hashlib.blake2b(digest_size=8)
    told = False
    for part in folds(folder) or [folder]:
        files = [part / CARD] if "data" in read_card(part) else sorted(part.glob("*"))
        for file in filter(Path.is_file, files):
            told = True
            with file.open("rb") as lines:
                while block := lines.read(1 << 20):
                    content.update(block)
    return content.hexdigest() if told else None


def check_apart(tuned: Iterable[str], measured: Iterable[str]) -> None:
    """Raises InputError where somebody whose rows were learned from is to be measured on."""
    both = sorted({*tuned} & {*measured})
    if both:
        raise InputError(
            "nobody is measured on whom the model was tuned on",
            value=f"{len(both):,} people, {both[0]!r} among them",
            cure="measure on others, or tune on others",
        )
