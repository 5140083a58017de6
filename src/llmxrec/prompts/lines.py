"""One line per item and per person, written so that it can be read back without a doubt.

    "The Usual Suspects"; genres: Crime, Thriller; year: 1995
    age: 63; gender: male; occupation: programmer

Titles stand in double quotes, with \\" and \\\\ inside; so does a value in which a comma, semicolon, colon, quote or
backslash could be taken for a border.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from functools import lru_cache

from llmxrec.errors import InputError
from llmxrec.lookup import closest
from llmxrec.records import Item

_BREAKS = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\s]+")
_QUOTED = r'"(?:[^"\\\x00-\x1f]|\\["\\])*"'
_BARE = r'[^,;:"\\\s](?:[^,;:"\\]*[^,;:"\\\s])?'
_VALUE = re.compile(f"{_QUOTED}|{_BARE}")
_TITLE = re.compile(_QUOTED)


def one_line(text: str) -> str:
    """`text` with every run of white space, line breaks and control characters as one space.

    Text from data stays within its line: a title cannot pretend to be the next part of a prompt.
    """
    return _BREAKS.sub(" ", text).strip()


def write_item(item: Item, labels: Mapping[str, str]) -> str:
    """The line of `item`. `labels` maps attributes to what they are called; those without a label are left out."""
    return _item_line(item.title, tuple(item.attributes.items()), tuple(labels.items()))


def read_item(line: str, labels: Mapping[str, str]) -> Item:
    """The item of a line that `write_item` wrote, without its id. Raises InputError for another line."""
    title = _TITLE.match(line)
    if not title:
        raise InputError("an item's line begins with its title in double quotes", value=line)
    rest = line[title.end() :]
    return Item("", _unquote(title[0]), _read_attributes(rest.removeprefix("; "), labels) if rest else {})


def write_user(attributes: Mapping[str, str], labels: Mapping[str, str]) -> str:
    """The line of a user's attributes; empty where there are none to show."""
    values = {key: (value,) for key, value in attributes.items()}
    return "; ".join(_write_attributes(values, labels.items()))


def read_user(line: str, labels: Mapping[str, str]) -> dict[str, str]:
    """The attributes of a line that `write_user` wrote."""
    return {key: values[0] for key, values in _read_attributes(line, labels).items()}


def write_list(values: tuple[str, ...]) -> str:
    """Values with commas between."""
    return ", ".join(_write_value(value) for value in values)


def read_list(text: str) -> tuple[str, ...]:
    """The values that `write_list` wrote. Raises InputError for text that it could not have written."""
    values, end = _read_values(text, 0)
    if not values or end != len(text):
        raise InputError("values stand apart by commas, quoted where they need be", value=text)
    return values


# A history of 20 items is 20 lines, and each item stands in many histories: written once, kept for the next.
@lru_cache(maxsize=1 << 16)
def _item_line(
    title: str, attributes: tuple[tuple[str, tuple[str, ...]], ...], labels: tuple[tuple[str, str], ...]
) -> str:
    return "; ".join([_quote(title), *_write_attributes(dict(attributes), labels)])


def _write_attributes(attributes: Mapping[str, tuple[str, ...]], labels: Iterable[tuple[str, str]]) -> list[str]:
    parts = []
    for key, label in labels:
        values = tuple(v for v in map(one_line, attributes.get(key, ())) if v)
        if values:
            parts.append(f"{label}: {write_list(values)}")
    return parts


def _read_attributes(text: str, labels: Mapping[str, str]) -> dict[str, tuple[str, ...]]:
    """Read `label: value, value; label: value`."""
    columns = {label: key for key, label in labels.items()}
    out: dict[str, tuple[str, ...]] = {}
    position = 0
    while position < len(text) or not out:
        label, colon, _ = text[position:].partition(": ")
        if not colon:
            raise InputError("attributes read 'label: value, value; label: value'", value=text)
        if label not in columns:
            raise closest("attribute", label, columns)
        position += len(label) + len(colon)
        values, position = _read_values(text, position)
        if not values:
            raise InputError(f"'{label}' has no value that can be read", value=text)
        out[columns[label]] = values
        if position < len(text) and not text.startswith("; ", position):
            raise InputError("attributes stand apart by '; '", value=text)
        position += 2
    return out


def _read_values(text: str, position: int) -> tuple[tuple[str, ...], int]:
    """The values that stand at `position`, and where they end."""
    values: list[str] = []
    while match := _VALUE.match(text, position):
        values.append(_unquote(match[0]) if match[0].startswith('"') else match[0])
        position = match.end()
        if not text.startswith(", ", position):
            break
        position += 2
    return tuple(values), position


def _write_value(value: str) -> str:
    return value if re.fullmatch(_BARE, value) else _quote(value)


def _quote(text: str) -> str:
    escaped = one_line(text).replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def _unquote(text: str) -> str:
    unquoted: str = json.loads(text)
    return unquoted
