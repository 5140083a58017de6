"""What a judge is, as it is noted, and what it is worth, as it lies beside its verdicts."""

from __future__ import annotations

from pathlib import Path

import pytest

from llmxrec.evaluation.judges.text import TextJudge
from llmxrec.stages.judging import judge_settings


@pytest.mark.parametrize(
    "spec", ["text:{}", "reward:{}", "reward:hf:some/model+{}", "pairwise:hf:some/model+{}", "pairwise:embedded+{}"]
)
def test_a_judge_is_told_by_what_lies_in_its_folder(spec: str, tmp_path: Path) -> None:
    """As `text` and `reward` are saved after training: with a card that tells of nothing but groups."""
    folder = tmp_path / "saved"
    folder.mkdir()
    (folder / "card.json").write_text('{"groups": []}')
    (folder / "head").write_text("a")
    named = spec.format(folder)
    before = judge_settings(named, TextJudge(), None, 1)
    assert before["judge"] == named and before == judge_settings(named, TextJudge(), None, 1)
    (folder / "head").write_text("b")
    after = judge_settings(named, TextJudge(), None, 1)
    assert {key for key in before if before[key] != after[key]} == {"adapter"}


@pytest.mark.parametrize("spec", ["text", "pairwise:openai:gpt-4", "reward:hf:some/model", "pairwise:embedded"])
def test_a_judge_without_a_folder_has_none(spec: str) -> None:
    assert judge_settings(spec, TextJudge(), None, 1)["adapter"] is None
