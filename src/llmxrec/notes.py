"""Beside each ledger, a note of what decided its answers: answers made otherwise are never mixed with them."""

from __future__ import annotations

import tomllib
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import tomli_w

from llmxrec.errors import InputError
from llmxrec.workspace import atomic, plain


def settle(file: Path, settings: Mapping[str, Any]) -> None:
    """Note beside the ledger `file` how its answers are made. Raises InputError as `refuse_to_mix` does."""
    refuse_to_mix(file, settings)
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
    wanted = plain(settings)
    if file.with_suffix(".toml").exists() and file.exists() and file.stat().st_size:
        before = read_notes(file)
        for key in only or [*wanted, *before]:
            if before.get(key) != wanted.get(key):
                raise InputError(
                    f"{file.name} holds answers made with {key} = {before.get(key)!r}",
                    value=wanted.get(key),
                    cure=cure,
                )


def read_notes(file: Path) -> dict[str, Any]:
    """What `settle` noted beside the ledger `file`; nothing where it did not. Raises InputError for what is no TOML."""
    notes = file.with_suffix(".toml")
    if not notes.exists():
        return {}
    try:
        return tomllib.loads(notes.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InputError(f"notes on explanations are TOML: {error}", file=notes) from None
