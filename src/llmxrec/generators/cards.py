"""The card beside an adapter or a trained judge: what it was made of, and so what it may not be measured on."""

from __future__ import annotations

import json
from pathlib import Path

from llmxrec.errors import InputError

CARD = "card.json"


def listed(folder: Path | str | None, what: str) -> frozenset[str]:
    """What the card in `folder` lists under `what` (`users`, `groups`, `taught_by`); nothing where there is no card, or
    it does not say.

    Raises InputError for a card that cannot be read.
    """
    file = None if folder is None else Path(folder) / CARD
    if file is None or not file.is_file():
        return frozenset()
    try:
        names = json.loads(file.read_text(encoding="utf-8")).get(what, [])
        if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
            raise ValueError
    except (ValueError, AttributeError, RecursionError):
        raise InputError(f"an adapter's card is JSON, and lists {what}", file=file, cure="tune it again") from None
    return frozenset(names)


def list_groups(folder: Path, groups: frozenset[str]) -> None:
    """Write to `folder` a card that lists nothing but the `groups` of the pairs that a judge learned from."""
    (folder / CARD).write_text(json.dumps({"groups": sorted(groups)}, indent=2) + "\n", encoding="utf-8")
