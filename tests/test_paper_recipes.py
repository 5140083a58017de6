"""The paper's analyses with other generators: only the lines that name them are changed, as the recipes say."""

from __future__ import annotations

import json
from pathlib import Path
from shutil import copytree
from typing import Any

import pytest
from tests.conftest import Call
from tests.generators.loopback import Said, Serve, completion

from llmxrec.workspace import Workspace

RECIPES = Path(__file__).parents[1] / "recipes"


def changed(name: str, spec: str) -> str:
    """The recipe for five people, and this generator in place of the embedded model."""
    text = (RECIPES / f"{name}.toml").read_text(encoding="utf-8")
    text = text.replace('= "embedded"', f'= "{spec}"')  # what generators ask, and what adapters are tuned of
    text = text.replace("users = 20\n", "").replace('recommenders = ["bpr"]', 'recommenders = ["bpr"]\nusers = 5')
    return text.replace('"1", "7", "13"', '"1", "3"')


@pytest.mark.parametrize("name", ["paper-history-length", "paper-side-information", "paper-gender-length"])
def test_a_served_language_model(
    name: str, call: Call, serve: Serve, real_data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def behave(body: dict[str, Any], _number: int) -> Said:
        asked = body["messages"][-1]["content"]
        return completion(f"It has {asked.count('genres:')} genres, {asked.count(chr(10))} lines, {'gender' in asked}.")

    server = serve(behave)
    monkeypatch.setenv("OPENAI_API_KEY", "k")
    Path("r.toml").write_text(changed(name, f"openai:big@{server.url}"))
    ended = call("run", "r.toml", "--workspace", "w", "--source", real_data / "ml-100k")
    assert ended.code == 0, ended.out
    place = Workspace(Path("w"))
    texts = {
        label: [json.loads(line)["text"] for line in place.explanations("bpr", label).read_text().splitlines()]
        for label in place.generators("bpr")
    }
    assert all(len(said) == 5 for said in texts.values())
    page = place.report.read_text(encoding="utf-8")
    if name == "paper-history-length":
        assert list(texts) == ["history-1", "history-10", "history-20", "history-5", "history-50"]
        assert texts["history-1"][0] < "It has 3" and texts["history-1"] != texts["history-50"]
        assert "Against history-1, compared by text" in page
    elif name == "paper-side-information":
        told = {label: (" 0 genres" not in said[0], "True" in said[0]) for label, said in texts.items()}
        assert told == {"neither": (0, 0), "profile": (0, 1), "genres": (1, 0), "both": (1, 1)}
        assert "Against neither, compared by text" in page
    else:
        assert len(place.flips("bpr")) == 4 and "Table 4" in page


@pytest.mark.parametrize("name", ["paper-tuning-data", "paper-case-study"])
def test_a_language_model_tuned_here(name: str, call: Call, tiny: Path, real_data: Path) -> None:
    copytree(tiny / "llama", "big")
    config = Path("big/config.json")
    config.write_text(config.read_text().replace('"max_position_embeddings": 512', '"max_position_embeddings": 4096'))
    text = changed(name, "hf:big")
    text = text.replace("[[adapters]]", "[[adapters]]\nsettings = { epochs = 1 }")
    for rows in (30, 60, 120, 240):
        text = text.replace(f"\nrows = {rows}\n", f"\nrows = {rows // 30}\n")
    text = text.replace('name = "tuned"', 'name = "tuned"\nrows = 4').partition("[[judges]]")[
        0
    ]  # it says nothing whole
    generators = text.count("[[generators]]\nspec")
    text = text.replace('spec = "hf:big"', 'spec = "hf:big"\nsettings = { max_tokens = 8 }')
    Path("r.toml").write_text(text)
    ended = call("run", "r.toml", "--workspace", "w", "--source", real_data / "ml-100k")
    assert ended.code == 0, ended.out
    place = Workspace(Path("w"))
    assert len(place.generators("bpr")) == generators
    assert "hf:big+adapters/" in "".join(file.read_text() for file in Path("w/explanations/bpr").glob("*.toml"))
    if name == "paper-case-study":
        page = place.report.read_text(encoding="utf-8")
        assert 'id="case-bpr-1"' in page and 'id="case-bpr-2"' in page and 'id="case-bpr-3"' not in page
