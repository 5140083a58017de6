"""Beside each ledger, a note of what decided its answers: answers made otherwise are never mixed with them."""

from __future__ import annotations

import logging
import tomllib
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import tomli_w

from llmxrec.errors import InputError
from llmxrec.workspace import atomic, plain

_WHERE_TOLD = frozenset({"adapter"})
"""Settings that are compared only where both tell them: notes were written without them, and what is checked before an
adapter was tuned cannot tell what it will be made of."""

log = logging.getLogger(__name__)


def settle(file: Path, settings: Mapping[str, Any]) -> None:
    """Note beside the ledger `file` how its answers are made. Raises InputError as `refuse_to_mix` does."""
    refuse_to_mix(file, settings)
    log.debug("noting what decides the answers in %s", file)
    with atomic(file.with_suffix(".toml")) as draft:
        draft.write_text(tomli_w.dumps(plain(settings)), encoding="utf-8")


def refuse_to_mix(
    file: Path,
    settings: Mapping[str, Any],
    *,
    only: Collection[str] | None = None,
    cure: str = "keep both with --name OTHER (in a recipe: name), or delete the file to start over",
) -> None:
    """Raises InputError where the ledger `file` holds answers made otherwise, naming the first setting that differs.

    `only`: the settings that are compared; None: all.
    """
    wanted, before = plain(settings), read_notes(file)
    if before and file.exists() and file.stat().st_size:
        key = differing(before, wanted, only)
        if key is not None:
            raise InputError(
                f"{file.name} holds answers made with {key} = {before.get(key)!r}", value=wanted.get(key), cure=cure
            )


def differing(before: Mapping[str, Any], wanted: Mapping[str, Any], only: Collection[str] | None = None) -> str | None:
    """The first setting, of those in `only` (None: of all), in which two notes differ; None where they do in none."""
    for key in only or [*wanted, *before]:
        told = key not in _WHERE_TOLD or (key in before and key in wanted)
        if told and before.get(key) != wanted.get(key):
            return key
    return None


def read_notes(file: Path) -> dict[str, Any]:
    """What was noted beside the ledger `file`; empty where nothing was. Raises InputError where it is not TOML."""
    notes = file.with_suffix(".toml")
    try:
        return tomllib.loads(notes.read_text(encoding="utf-8")) if notes.exists() else {}
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InputError(f"notes on explanations are TOML: {error}", file=notes) from None
