"""Generators that have a short name, from `presets.toml`: the paper's four."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any


@dataclass(frozen=True, slots=True)
class Preset:
    """A spec under a short name. `note` says how it stands to the paper's generator."""

    spec: str
    note: str


@cache
def presets() -> Mapping[str, Preset]:
    """Short name -> preset."""
    return {name: Preset(entry["spec"], entry["note"]) for name, entry in _table()["presets"].items()}


def window_of(model: str) -> int | None:
    """How many tokens an API's model reads and writes together; None where it is not known."""
    window: int | None = _table()["windows"].get(model)
    return window


@cache
def _table() -> dict[str, Any]:
    return tomllib.loads(resources.files(__package__).joinpath("presets.toml").read_text(encoding="utf-8"))
