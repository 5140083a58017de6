"""What answers cost, from the dated list in `prices.toml`."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any


@dataclass(frozen=True, slots=True)
class Price:
    """US dollars per million tokens, read (`input`) and written (`output`)."""

    input: float
    output: float


def price_of(model: str) -> Price | None:
    """The listed price of OpenAI's `model`, by its exact name. None where it is not listed: unknown, not free."""
    entry = _list()["models"].get(model)
    return None if entry is None else Price(float(entry["input"]), float(entry["output"]))


def cost(price: Price, input_tokens: int, output_tokens: int) -> float:
    """US dollars for that many tokens.

    >>> cost(Price(input=30.0, output=60.0), input_tokens=1_000_000, output_tokens=500_000)
    60.0
    """
    return (price.input * input_tokens + price.output * output_tokens) / 1_000_000


def priced_as_of() -> str:
    """Year and month of the list, to be shown beside every cost, as in '2025-04'."""
    as_of: str = _list()["as_of"]
    return as_of


@cache
def _list() -> Mapping[str, Any]:
    return tomllib.loads(resources.files(__package__).joinpath("prices.toml").read_text(encoding="utf-8"))
