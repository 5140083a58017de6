"""Tell people why something was recommended to them, for any recommender, in words that can be checked."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from llmxrec.errors import InputError, LLMXRecError, MissingExtra, WorkError

if TYPE_CHECKING:
    from llmxrec.notebook.experiment import Experiment
    from llmxrec.notebook.opening import load, open, tables, validate_judge

__version__ = "0.1.0"

__all__ = [
    "Experiment",
    "InputError",
    "LLMXRecError",
    "MissingExtra",
    "WorkError",
    "__version__",
    "load",
    "open",
    "tables",
    "validate_judge",
]


def __getattr__(name: str) -> Any:
    # Loaded when it is asked for: `import llmxrec` and the command line's help are instant.
    if name not in __all__:
        raise AttributeError(f"module 'llmxrec' has no attribute {name!r}")
    from llmxrec.lookup import resolve

    return resolve("name", name, dict.fromkeys(__all__, f"llmxrec.notebook.opening:{name}"))


def __dir__() -> list[str]:
    return __all__
