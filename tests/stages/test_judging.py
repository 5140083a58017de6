"""What a judge is, as it is noted, and what it is worth, as it lies beside its verdicts."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from itertools import permutations
from pathlib import Path

import pytest
from tests.stages.worlds import explained, named, small_workspace

from llmxrec.errors import InputError
from llmxrec.evaluation.judges.text import TextJudge
from llmxrec.ledger import Ledger, read_ledger
from llmxrec.recipe import GeneratorRecipe
from llmxrec.records import Case, Ruling
from llmxrec.stages.judging import judge_explanations, judge_settings
from llmxrec.workspace import Workspace


class First:
    """Prefers what is shown first; stops like a killed process after `limit` rulings."""

    name = "first"
    order_free = False

    def __init__(self, limit: int = 100) -> None:
        self.limit = limit

    def judge(self, cases: Iterable[Case]) -> Iterator[Ruling]:
        for case in cases:
            for first, second in permutations(range(len(case.texts)), 2):
                if not self.limit:
                    raise KeyboardInterrupt
                self.limit -= 1
                yield Ruling(case.key, first, second, "first")


@pytest.fixture
def place(tmp_path: Path) -> Workspace:
    """Three rows, each explained by two."""
    workspace = small_workspace(tmp_path / "w")
    explained(workspace, GeneratorRecipe(spec="template", name="brief"), named)
    explained(workspace, GeneratorRecipe(spec="template", name="wordy"), lambda prompt: f"{named(prompt)} Really.")
    return workspace


@pytest.mark.parametrize("limit", [0, 1])
def test_new_verdicts_never_lie_beside_what_another_judge_was_worth(place: Workspace, limit: int) -> None:
    """The verdicts of a judge found valid were deleted; one that nobody measured is stopped at once, or soon."""
    validity = place.validity("bpr", "first")
    validity.parent.mkdir(parents=True)
    validity.write_text(json.dumps({"measured": True, "valid": True}))
    with pytest.raises(KeyboardInterrupt):
        judge_explanations(place, "bpr", First(limit), None, {"judge": "first"})
    assert json.loads(validity.read_text()) == {"measured": False}


def test_a_refused_judge_changes_nothing(place: Workspace) -> None:
    judge_explanations(place, "bpr", First(), None, {"judge": "first", "seed": 1})
    place.validity("bpr", "first").write_text("what it was worth")
    files = {file: file.read_bytes() for file in place.path.rglob("*") if file.is_file()}
    with pytest.raises(InputError, match="holds answers made with seed = 1"):
        judge_explanations(place, "bpr", First(), None, {"judge": "first", "seed": 2})
    assert {file: file.read_bytes() for file in place.path.rglob("*") if file.is_file()} == files


def test_verdicts_on_what_is_no_longer_said_are_told(place: Workspace) -> None:
    """Anna's row was explained anew, and there is nothing to compare: what was said of it does not count."""
    assert judge_explanations(place, "bpr", First(), None, {"judge": "first"}).outdated == 0
    file = place.explanations("bpr", "wordy")
    with Ledger(file) as ledger:
        ledger.append({**next(read_ledger(file)), "status": "refused"})
    outcome = judge_explanations(place, "bpr", First(), None, {"judge": "first"})
    assert (outcome.known, outcome.outdated) == (2, 2)
    assert outcome.lines()[-1] == "2 verdicts of before are on texts that have changed since: they do not count"


def test_a_judge_trained_here_on_a_named_model_learned_from_nobody_before(place: Workspace) -> None:
    assert judge_explanations(place, "bpr", First(), None, {"judge": "reward:hf:some/model"}).asked == {"ok": 6}


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
