"""Explanations of one file are those of one model, though another comes to lie where it lay."""

from __future__ import annotations

import json
import shutil
import tomllib
from pathlib import Path

import pytest
from tests.stages.worlds import explained, named, small_workspace

from llmxrec.errors import InputError
from llmxrec.recipe import GeneratorRecipe
from llmxrec.records import Prompt
from llmxrec.workspace import Workspace


def tuned(workspace: Workspace, data: str) -> GeneratorRecipe:
    """The adapter `mine`, tuned on this."""
    folder = workspace.adapter("mine")
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "card.json").write_text(json.dumps({"users": [], "data": data}))
    (folder / "adapter_model.safetensors").write_bytes(b"weights")
    return GeneratorRecipe(spec=f"embedded+{folder}", name="mine")


def cut(prompt: Prompt) -> str:
    """Killed when it is bob's turn."""
    if prompt.instruction.user.user_id == "bob":
        raise KeyboardInterrupt
    return named(prompt)


def stopped(workspace: Workspace, generator: GeneratorRecipe) -> Path:
    with pytest.raises(KeyboardInterrupt):
        explained(workspace, generator, cut)
    return workspace.explanations("bpr", "mine")


def test_an_adapter_tuned_anew_goes_not_on_where_the_other_stopped(tmp_path: Path) -> None:
    place = small_workspace(tmp_path / "w")
    file = stopped(place, tuned(place, "a"))
    before = file.read_bytes()
    assert before.count(b"\n") == 1
    with pytest.raises(
        InputError, match=r"mine\.jsonl holds answers made with adapter = .*keep both with --name OTHER"
    ):
        explained(place, tuned(place, "b"), named)
    assert file.read_bytes() == before
    assert explained(place, tuned(place, "a"), named).known == 1


def test_an_adapter_without_a_card_is_told_by_its_weights(tmp_path: Path) -> None:
    place = small_workspace(tmp_path / "w")
    generator = tuned(place, "a")
    (place.adapter("mine") / "card.json").unlink()
    stopped(place, generator)
    (place.adapter("mine") / "adapter_model.safetensors").write_bytes(b"others")
    with pytest.raises(InputError, match="holds answers made with adapter"):
        explained(place, generator, named)


def test_folds_are_told_by_all_their_cards(tmp_path: Path) -> None:
    place = small_workspace(tmp_path / "w")
    generator = tuned(place, "a")
    for number in (1, 2):
        fold = place.adapter("mine") / f"fold-{number}"
        fold.mkdir()
        shutil.copy(place.adapter("mine") / "card.json", fold)
    stopped(place, generator)
    (place.adapter("mine") / "fold-2/card.json").write_text(json.dumps({"users": [], "data": "b"}))
    with pytest.raises(InputError, match="holds answers made with adapter"):
        explained(place, generator, named)


def test_the_workspace_may_be_moved(tmp_path: Path) -> None:
    place = small_workspace(tmp_path / "w")
    stopped(place, tuned(place, "a"))
    moved = Workspace(Path(shutil.copytree(place.path, tmp_path / "moved")))
    shutil.rmtree(place.path)
    generator = GeneratorRecipe(spec=f"embedded+{moved.adapter('mine')}", name="mine")
    assert explained(moved, generator, named).known == 1


def test_notes_from_before_adapters_were_told_are_gone_on_with(tmp_path: Path) -> None:
    """From then on, the adapter is noted; another is refused."""
    place = small_workspace(tmp_path / "w")
    note = stopped(place, tuned(place, "a")).with_suffix(".toml")
    lines = note.read_text().splitlines()
    note.write_text("\n".join(line for line in lines if not line.startswith("adapter =")))
    assert "adapter" not in tomllib.loads(note.read_text())
    assert explained(place, tuned(place, "a"), named).known == 1
    with pytest.raises(InputError, match="holds answers made with adapter"):
        explained(place, tuned(place, "b"), named)
