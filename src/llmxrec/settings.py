"""What may be set: frozen models that refuse what they do not know, and their errors in one line."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, TypeVar, get_args

from pydantic import BaseModel, ConfigDict, ValidationError

from llmxrec.errors import InputError
from llmxrec.lookup import closest

M = TypeVar("M", bound=BaseModel)


class Settings(BaseModel):
    """The base of every table of settings: frozen, unknown names refused, `"5"` is not 5 and `nan` is no number.

    The docstring beneath a field says its unit; it becomes the field's description.
    """

    model_config = ConfigDict(
        frozen=True, extra="forbid", strict=True, allow_inf_nan=False, use_attribute_docstrings=True
    )


def check(model: type[M], values: Mapping[str, Any], what: str) -> M:
    """`values`, as a TOML or JSON file gives them, as a `model`: a list will do for a tuple, a string for a path.

    Raises InputError in the words of `one_line`.
    """
    try:
        return model.model_validate_json(json.dumps(dict(values), default=str))
    except ValidationError as error:
        raise one_line(error, what, model) from None


def one_line(error: ValidationError, what: str, model: type[BaseModel]) -> InputError:
    """Pydantic's complaint about the settings of `what` as one line: a misspelt name first, else the first fault.

    >>> class Oven(Settings):
    ...     degrees: int = 180
    >>> try:
    ...     Oven(degree=200)
    ... except ValidationError as error:
    ...     print(one_line(error, "oven", Oven))
    unknown setting of oven 'degree'; did you mean 'degrees'? Known: degrees
    """
    problems = error.errors(include_url=False)
    problem = next((p for p in problems if p["type"] == "extra_forbidden"), problems[0])
    *table, name = [str(part) for part in problem["loc"]] or [""]
    path = ".".join([*table, name])
    holder = _model_at(model, table)
    if problem["type"] == "extra_forbidden":
        where = f"{what}, table {'.'.join(table)}" if table else what
        if not holder.model_fields:
            return InputError(f"{where} takes no settings", value=name, cure="leave it out")
        return closest(f"setting of {where}", name, holder.model_fields)
    if problem["type"] == "missing":
        return InputError(f"{what} needs the setting {path!r}")
    message = problem["msg"].removeprefix("Value error, ")
    if message.startswith("Input should"):
        message = f"{path} of {what}" + message.removeprefix("Input")
    elif path:
        message = f"{path} of {what}: {message}"
    field = holder.model_fields.get(name)
    known_default = field is not None and not field.is_required() and field.default_factory is None
    plain = field is not None and known_default and isinstance(field.default, str | int | float)
    cure = f"leave it out for {field.default!r}" if field is not None and plain else ""
    return InputError(message, value=problem["input"], cure=cure)


def _model_at(model: type[BaseModel], path: list[str]) -> type[BaseModel]:
    """The model whose table stands at `path`; keys of dictionaries and places in lists are passed over."""
    for part in path:
        if part in model.model_fields:
            model = _inner(model.model_fields[part].annotation) or model
    return model


def _inner(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((found for argument in get_args(annotation) if (found := _inner(argument))), None)
