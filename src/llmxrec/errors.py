"""What can go wrong, in the user's words.

LLMXRecError
├── InputError       what the user gave breaks a rule        exit code 2
│   └── MissingExtra an optional part is not installed       exit code 2
└── WorkError        the work itself failed                  exit code 1
"""

from __future__ import annotations

from pathlib import Path


class LLMXRecError(Exception):
    """Anything this library raises on purpose. Its text is one line, which may quote data: see `printable`."""

    def _render_traceback_(self) -> list[str]:
        """What a notebook shows (IPython asks for it): the one line, as a command prints it."""
        return [f"{type(self).__name__}: {printable(str(self))}"]


class WorkError(LLMXRecError):
    """The input was fine, the work failed: a server gone, a disk full."""


class InputError(LLMXRecError):
    """What the user gave breaks a rule. Says the place, the rule, the value and the cure, in one line.

    >>> print(InputError("a rating is a number", value="five", cure="use 1 to 5", file="u.data", line=3))
    u.data, line 3: a rating is a number; found 'five'; use 1 to 5
    """

    def __init__(
        self,
        rule: str,
        *,
        value: object = None,
        cure: str = "",
        file: str | Path | None = None,
        line: int | None = None,
    ) -> None:
        self.rule, self.value, self.cure, self.file, self.line = rule, value, cure, file, line
        place = "" if file is None else str(file)
        if line is not None:
            place += f", line {line}"
        found = "" if value is None else f"found {_short(value)}"
        text = "; ".join(part for part in (rule, found, cure) if part)
        super().__init__(f"{place}: {text}" if place else text)


class MissingExtra(InputError):
    """An optional part of the library is not installed."""

    def __init__(self, what: str, extra: str) -> None:
        super().__init__(f"{what} needs the extra '{extra}'", cure=f"pip install 'llmxrec[{extra}]'")


def printable(text: str) -> str:
    """`text` from data or a model without what could steer a terminal: escapes and other control signs."""
    return "".join(sign if sign.isprintable() or sign == "\n" else " " for sign in text)


def _short(value: object, limit: int = 80) -> str:
    text = repr(value)
    return text if len(text) <= limit else text[: limit - 1] + "…"
