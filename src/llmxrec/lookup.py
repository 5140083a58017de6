"""Names resolve through visible tables: name -> "module:attribute", loaded only when asked for."""

from __future__ import annotations

import difflib
import importlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from llmxrec.errors import InputError


def closest(kind: str, name: str, known: Iterable[str]) -> InputError:
    """The error for an unknown name, with the nearest known one.

    >>> print(closest("recommender", "pbr", ["bpr", "ease"]))
    unknown recommender 'pbr'; did you mean 'bpr'? Known: bpr, ease
    """
    names = sorted(known)
    near = difflib.get_close_matches(name, names, n=1, cutoff=0.5)
    hint = f"did you mean {near[0]!r}? " if near else ""
    return InputError(f"unknown {kind} {name!r}", cure=f"{hint}Known: {', '.join(names)}")


def resolve(kind: str, name: str, table: Mapping[str, str]) -> Any:
    """Load what `name` stands for in `table`. Raises InputError with "did you mean" for an unknown name."""
    if name not in table:
        raise closest(kind, name, table)
    module, attribute = table[name].split(":")
    return getattr(importlib.import_module(module), attribute)


def only(what: str, given: str | None, there: Sequence[str], cure: str, *, option: str = "") -> str:
    """`given`, or the only one there is; `option` is how the user says it: by default, `--WHAT`."""
    if given is None and len(there) != 1:
        found = ", ".join(there) or "none"
        option = option or f"--{what}"
        raise InputError(f"say which {what} with {option}", value=found, cure="" if there else f"make one: {cure}")
    if given is not None and given not in there:
        if not there:
            raise InputError(f"there is no {what} here yet", value=given, cure=f"make one: {cure}")
        raise closest(what, given, there)
    return given or there[0]
