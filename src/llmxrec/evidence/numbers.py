"""How prose tells numbers of a catalogue: years, prices, and what has a label beside it."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping

from llmxrec.evidence.spelling import Reading
from llmxrec.records import Domain

_NUMBER = re.compile(r"\d{1,12}(?:\.\d{1,6})?", re.ASCII)
_FREE = "free"
_AMOUNT = r"(?:\d{1,3}(?:,\d{3})+|\d{1,7})(?:\.\d\d?)?(?![.,]?\d)"
_PRICE = (
    rf"[$€£]\s?({_AMOUNT})(?!\s?(?:million|billion|[mk]\b))|\b({_AMOUNT})\s(?:dollars|euros|pounds|usd|eur|gbp)\b"
    rf"|\bprice(?:d\sat|\sof|\sis)\s({_AMOUNT})"
)
_FOR_FREE = (
    r"|\b(?:for|is|are|it['’]s|completely|totally|entirely|absolutely)\s(free)\b(?![- ](?:from|of\b(?!\scharge)|roam))"
    r"|\b(free)[- ](?:to[- ]play|of\scharge|games?)\b|\bprice(?:d\sat|\sof|\sis|:)\s(free)\b"
)
_YEAR = r"(?<![\d$€£.,-])\b((?:18|19|20)\d\d)\b(?![.,]?\d|%|\s(?:copies|hours|minutes|people|players|reviews|users))"


def are_numbers(values: Collection[str]) -> bool:
    """Whether all that occurs in a column is a number, or free."""
    return bool(values) and all(_NUMBER.fullmatch(value) or value == _FREE for value in values)


class Numbers:
    """Columns of numbers, to find where texts tell one of them; `columns` maps each to the values that occur."""

    def __init__(self, columns: Mapping[str, Collection[str]], domain: Domain) -> None:
        self._columns = [
            (
                column,
                re.compile(_pattern(column, domain.item_attributes[column], values), re.IGNORECASE),
                _spelled(values),
            )
            for column, values in columns.items()
        ]

    def find(self, reading: Reading, taken: Collection[int]) -> Iterator[tuple[str, str, int, int]]:
        """The column, the value as the catalogue spells it if it does, and from where to where the text tells it."""
        if not self._columns:
            return
        signs = list(reading.text)
        for place in taken:
            start, end = reading.starts[place], reading.ends[place]
            signs[start:end] = "\N{OBJECT REPLACEMENT CHARACTER}" * (end - start)
        text = "".join(signs)
        for column, pattern, spelled in self._columns:
            for match in pattern.finditer(text):
                group = match.lastindex or 0
                said = match[group].replace(",", "").casefold()
                value = said if said == _FREE else spelled.get(float(said), said)
                yield column, value, match.start(group), match.end(group)


def _pattern(column: str, label: str, values: Collection[str]) -> str:
    if re.search("price|cost", f"{column} {label}", re.IGNORECASE):
        return _PRICE + _FOR_FREE if _FREE in values else _PRICE
    if all(len(value) == 4 and value[:2] in ("18", "19", "20") for value in values):
        return _YEAR
    names = "|".join(re.escape(name) for name in dict.fromkeys((label, column)))
    return rf"\b(?:{names})\b(?:\W+(?:of|is|at|as|was|level|score)\b){{0,2}}\W{{1,3}}(\d+(?:\.\d+)?)\b"


def _spelled(values: Collection[str]) -> dict[float, str]:
    return {float(value): value for value in values if value != _FREE}
