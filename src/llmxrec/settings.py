"""Typed settings: frozen, unknown keys refused, wrong values told in one line."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, ValidationError

from llmxrec.errors import InputError
from llmxrec.lookup import closest


class Settings(BaseModel):
    """The base of all settings. Fields say their unit and range beneath them."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    @classmethod
    def of(cls, content: Mapping[str, Any], what: str) -> Self:
        """The settings that `content` spells. Raises InputError in one line, naming `what` and the key."""
        try:
            return cls.model_validate(content)
        except ValidationError as error:
            raise one_line(error, what, cls) from None


def one_line(error: ValidationError, what: str, model: type[BaseModel]) -> InputError:
    """The first fault of `error` as an InputError, with "did you mean" for an unknown key."""
    fault = error.errors()[0]
    path = [str(part) for part in fault["loc"]]
    key = ".".join(path) or "content"
    if fault["type"] == "extra_forbidden":
        return closest(f"key of {what}", key, _known(model, path))
    if fault["type"] == "missing":
        return InputError(f"{what}: '{key}' is missing", cure="add it")
    rule = fault["msg"].removeprefix("Value error, ")
    return InputError(f"{what}: '{key}': {rule[:1].lower()}{rule[1:]}", value=fault["input"])


def _known(model: type[BaseModel], path: list[str]) -> list[str]:
    """The dotted keys that stand beside the last one of `path`."""
    prefix = ""
    for part in path[:-1]:
        field = model.model_fields.get(part)
        inner = (
            next((t for t in (field.annotation, *_inner(field.annotation)) if _is_model(t)), None) if field else None
        )
        prefix += f"{part}."
        if inner is not None:
            model = inner
    return [prefix + name for name in model.model_fields]


def _inner(annotation: Any) -> tuple[Any, ...]:
    return getattr(annotation, "__args__", ())


def _is_model(annotation: Any) -> bool:
    return isinstance(annotation, type) and issubclass(annotation, BaseModel)
