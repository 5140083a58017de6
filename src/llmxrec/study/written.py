"""Records as JSON and back, as the tables of a study hold them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from llmxrec.records import Domain, Instruction, Item, User
from llmxrec.study.material import Gold


def as_json(record: Domain | Instruction | Gold) -> str:
    """`record` as ASCII: no text that a dataset holds is more than a database takes."""
    return json.dumps(asdict(record))


def storable(text: str) -> str:
    """`text` without what a database does not take: NUL, and halves of characters."""
    return text.encode("utf-8", "replace").decode("utf-8").replace("\0", "\N{REPLACEMENT CHARACTER}")


def instruction_of(fields: Mapping[str, Any]) -> Instruction:
    return Instruction(
        fields["task"],
        User(**fields["user"]),
        tuple(_item(item) for item in fields["history"]),
        _item(fields["candidate"]),
        tuple(fields["targets"]),
    )


def domain_of(fields: Mapping[str, Any]) -> Domain:
    return Domain(**fields)


def gold_of(fields: Mapping[str, Any]) -> Gold:
    return Gold(
        instruction_of(fields["instruction"]),
        tuple(fields["texts"]),
        {scale: (low, high) for scale, (low, high) in fields["expected"].items()},
        fields["winner"],
    )


def _item(fields: Mapping[str, Any]) -> Item:
    attributes = {name: tuple(values) for name, values in fields["attributes"].items()}
    return Item(fields["item_id"], fields["title"], attributes)
