"""Fitted recommenders on disk: numbers as safetensors, the rest as JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from llmxrec.errors import InputError
from llmxrec.settings import Settings

Arrays = Mapping[str, npt.NDArray[Any]]


def save(folder: Path, name: str, settings: Settings, arrays: Arrays) -> None:
    """Write a recommender's settings and arrays to `folder`, made if absent."""
    from safetensors.numpy import save_file

    folder.mkdir(parents=True, exist_ok=True)
    save_file({key: np.ascontiguousarray(array) for key, array in arrays.items()}, folder / "model.safetensors")
    about = {"recommender": name, "settings": settings.model_dump(mode="json")}
    (folder / "model.json").write_text(json.dumps(about, indent=2) + "\n", encoding="utf-8")


def read_name(folder: Path) -> str:
    """Which recommender lies in `folder`. Raises InputError where none does."""
    name: str = _about(folder)["recommender"]
    return name


def load(
    folder: Path, name: str, names: tuple[str, ...] | None = None
) -> tuple[dict[str, Any], dict[str, npt.NDArray[Any]]]:
    """What `save` wrote for recommender `name`: its settings and the arrays, called `names` if these are given.

    Raises InputError where `folder` holds something else.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    about = _about(folder)
    if about["recommender"] != name:
        raise InputError(f"{folder} holds the model '{name}'", value=about["recommender"], cure="train it again")
    try:
        arrays = load_file(folder / "model.safetensors")
    except (OSError, SafetensorError) as error:
        raise InputError(f"a model's numbers are safetensors: {error}", file=folder / "model.safetensors") from None
    if names is not None and set(arrays) != set(names):
        raise InputError(f"'{name}' has arrays {', '.join(names)}", value=sorted(arrays), file=folder)
    return about["settings"], arrays


def _about(folder: Path) -> dict[str, Any]:
    file = folder / "model.json"
    try:
        about = json.loads(file.read_text(encoding="utf-8"))
        return {"recommender": str(about["recommender"]), "settings": dict(about["settings"])}
    except (OSError, ValueError, KeyError, TypeError):
        raise InputError("a trained model has a model.json", value=str(file), cure="llmxrec recommend") from None
