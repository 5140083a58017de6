"""The judge without order, on tiny models with random weights."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from tests.evaluation.judges.test_pairwise import save_adapter

from llmxrec.errors import InputError
from llmxrec.evaluation.judges import make_judge
from llmxrec.evaluation.judges.local import LocalReader
from llmxrec.evaluation.judges.protocol import Judge
from llmxrec.evaluation.judges.reward import RewardJudge
from llmxrec.evaluation.pairs import groups_of
from llmxrec.records import Case, Pair
from llmxrec.testing.judges import JudgeConformance, sample_cases, sample_pairs

# peft asks transformers by an old name.
pytestmark = pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing` is deprecated:FutureWarning")


@pytest.fixture(autouse=True, scope="module")
def _one_thread() -> Iterator[None]:
    """On models this small, threads spend their time waiting for each other."""
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@cache
def trained(folder: Path, **settings: Any) -> RewardJudge:
    judge = RewardJudge(f"hf:{folder}", name="reward:tiny", **settings)
    judge.fit(sample_pairs(16))
    return judge


def probabilities(judge: Judge, cases: list[Case]) -> dict[tuple[str, int, int], float]:
    return {(r.key, r.first, r.second): r.probability or math.nan for r in judge.judge(cases)}


class TestConformance(JudgeConformance):
    drawn_ahead = 0
    close = 1e-4

    @pytest.fixture(autouse=True, params=["llama", "plain"])
    def _model(self, request: pytest.FixtureRequest, models: Path) -> None:
        self.folder = models / str(request.param)

    def make(self) -> Judge:
        return trained(self.folder)


@pytest.mark.parametrize("name", ["llama", "glm", "gpt2", "mamba"])
@pytest.mark.parametrize("batch_size", [16, 2])
def test_scores_are_those_of_one_prompt_at_a_time(models: Path, name: str, batch_size: int) -> None:
    import torch

    judge = trained(models / name, batch_size=batch_size)
    (case,) = sample_cases(1, 5)
    scores = []
    for text in case.texts:
        prompt = torch.tensor([judge.prompt(case.asked, text)])
        with torch.inference_mode():
            states = judge.generator.model(prompt, use_cache=False, output_hidden_states=True).hidden_states[-1]
        scores.append(float(states[0, -1] @ judge.head))
    for ruling in judge.judge([case]):
        one, two = scores[ruling.first], scores[ruling.second]
        assert ruling.probability == pytest.approx(1 / (1 + math.exp(two - one)), abs=1e-3)
        assert ruling.winner == ("first" if one > two else "second")
        said = [float(word) for word in ruling.raw.split() if word[-1].isdigit()]
        assert said == pytest.approx([one, two], rel=1e-3, abs=1e-3)
    assert len(set(scores)) == 5


def test_each_different_text_is_read_once(models: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    judge = trained(models / "llama")
    (case,) = sample_cases(1, 5)
    next(judge.judge([case]))
    rows: list[int] = []
    run = LocalReader._run

    def counting(self: LocalReader, ends: Any, **inputs: Any) -> Any:
        rows.append(inputs["input_ids"].numel())
        return run(self, ends, **inputs)

    monkeypatch.setattr(LocalReader, "_run", counting)
    twice = replace(case, texts=case.texts * 2)
    rulings = list(judge.judge([twice]))
    assert len(rulings) == 45
    same = [r for r in rulings if r.second == r.first + 5]
    assert {(r.winner, r.probability) for r in same} == {("tie", 0.5)}
    trunk, twigs = rows
    assert trunk + twigs < 2 * max(len(judge.prompt(case.asked, text)) for text in case.texts)


def ranked(better: str) -> tuple[list[Pair], list[Case]]:
    """Pairs of neighbours in the order of five texts about each of four films, in the one order and in the other; and
    cases of all five, of which most pairs were not in what was learned."""
    cases = sample_cases(4, 5)
    pairs = []
    for case in cases:
        for n in range(4):
            texts = case.texts[n : n + 2]
            turned = n % 2 == 0
            winner: Any = {"more": "second", "less": "first"}[better]
            if turned:
                texts, winner = texts[::-1], {"first": "second", "second": "first"}[winner]
            pairs.append(Pair(replace(case, texts=texts), winner, case.key))
    return pairs, cases


@pytest.mark.parametrize(("better", "winner"), [("more", "second"), ("less", "first")])
@pytest.mark.parametrize("name", ["llama", "plain"])
def test_neighbours_teach_the_whole_order(models: Path, name: str, better: str, winner: str) -> None:
    pairs, cases = ranked(better)
    judge = RewardJudge(f"hf:{models / name}", epochs=100)
    judge.fit(pairs)
    assert [ruling.winner for ruling in judge.judge(cases)] == [winner] * 40


def test_the_same_pairs_make_the_same_judge_whatever_came_before(models: Path) -> None:
    cases = sample_cases(3)
    judge = RewardJudge(f"hf:{models / 'llama'}")
    judge.fit(sample_pairs(10))
    first = probabilities(judge, cases)
    judge.fit(sample_pairs(10, start=50))
    other = probabilities(judge, cases)
    judge.fit(sample_pairs(10))
    assert probabilities(judge, cases) == pytest.approx(first, abs=1e-5)
    assert other != pytest.approx(first, abs=1e-3)


def test_ties_pull_scores_together(models: Path) -> None:
    def margin(ties: int) -> float:
        pairs = sample_pairs(20)
        # The better first in all of them: taken for wins, they would pull scores apart.
        tied = [replace(pair, winner="tie") for pair in pairs if pair.winner == "first"]
        judge = RewardJudge(f"hf:{models / 'llama'}")
        judge.fit(pairs + tied * ties)
        return sum(abs(p - 0.5) for p in probabilities(judge, [pair.case for pair in pairs]).values())

    assert margin(6) < margin(2) < margin(0)


@pytest.mark.parametrize("adapted", [False, True])
def test_saved_equals_loaded(models: Path, tmp_path: Path, adapted: bool) -> None:
    adapter = f"+{save_adapter(models / 'llama', tmp_path / 'adapter')}" if adapted else ""
    judge = RewardJudge(f"hf:{models / 'llama'}{adapter}")
    judge.fit(sample_pairs(16))
    cases = sample_cases(3)
    expected = probabilities(judge, cases)
    judge.save(tmp_path / "saved")
    files = {file.name for file in (tmp_path / "saved").iterdir()}
    assert {"reward.json", "reward_head.safetensors", "card.json"} <= files
    assert ("adapter_model.safetensors" in files) == adapted
    assert not {file for file in files if file.endswith((".bin", ".pt", ".pkl"))}
    for spec in (f"reward:{tmp_path / 'saved'}", f"reward:hf:{models / 'llama'}+{tmp_path / 'saved'}"):
        loaded = make_judge(spec)
        assert (loaded.name, loaded.order_free) == (spec, True)
        assert probabilities(loaded, cases) == pytest.approx(expected, abs=1e-5)
        assert isinstance(loaded, RewardJudge)
        assert loaded.groups == groups_of(sample_pairs(16)) != frozenset()
        loaded.save(tmp_path / "again")
        assert probabilities(make_judge(f"reward:{tmp_path / 'again'}"), cases) == pytest.approx(expected, abs=1e-5)


def test_a_text_beyond_the_models_window_has_no_score(models: Path, tmp_path: Path) -> None:
    trained(models / "llama").save(tmp_path / "saved")
    (case,) = sample_cases(1, 3)
    long = replace(case, texts=(case.texts[0], "It is a drama. " * 40, case.texts[2]))
    judge = trained(models / "llama")
    room = max(len(judge.prompt(case.asked, text)) for text in case.texts)
    narrow = RewardJudge(str(tmp_path / "saved"), context_tokens=room)
    rulings = {(r.first, r.second): r for r in narrow.judge([long])}
    tokens = len(judge.prompt(case.asked, long.texts[1]))
    assert rulings[0, 2].status == "ok"
    for place in ((0, 1), (1, 2)):
        ruling = rulings[place]
        assert (ruling.status, ruling.winner, ruling.probability) == ("invalid", None, None)
        assert ruling.raw == f"the prompt has {tokens} tokens, the model has room for {room}"
    assert {r.status for r in RewardJudge(str(tmp_path / "saved"), context_tokens=5).judge([long])} == {"invalid"}
    too_long = [replace(pair, case=replace(pair.case, texts=("x " * 900, "y"))) for pair in sample_pairs(20)]
    with pytest.raises(InputError, match="10 pairs with a winner or more; found 9"):
        RewardJudge(f"hf:{models / 'llama'}", context_tokens=room + 200).fit([*too_long, *sample_pairs(9)])


def test_a_score_that_is_no_number_is_no_ruling(models: Path, tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    trained(models / "llama").save(tmp_path / "saved")
    weights = load_file(models / "llama/model.safetensors")
    weights["model.norm.weight"] = weights["model.norm.weight"] * float("nan")
    folder = tmp_path / "broken"
    folder.mkdir()
    for file in (models / "llama").iterdir():
        (folder / file.name).write_bytes(file.read_bytes())
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    for ruling in make_judge(f"reward:hf:{folder}+{tmp_path / 'saved'}").judge(sample_cases(1)):
        assert (ruling.status, ruling.winner) == ("invalid", None)
        assert ruling.raw == "the model's score is no number"


def test_too_few_pairs_are_refused(models: Path) -> None:
    judge = RewardJudge(f"hf:{models / 'llama'}")
    for pairs in ([], sample_pairs(9), [replace(pair, winner="tie") for pair in sample_pairs(30)]):
        with pytest.raises(InputError, match="learns from 10 pairs with a winner or more"):
            judge.fit(pairs)
    with pytest.raises(InputError, match="is trained before it judges"):
        next(judge.judge(sample_cases(1)))
    with pytest.raises(InputError, match="is trained before it is saved"):
        judge.save(models / "nowhere")


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        ("reward", "has a model"),
        ("reward:", "has a model"),
        ("reward:/no/such/folder", "holds no trained judge 'reward'"),
        ("reward:openai:gpt-4o", "runs here"),
        ("reward:hf:/no/such/folder", "no such folder"),
        ("reward:hf:some/model+/no/such/folder", "holds reward.json or an adapter"),
    ],
)
def test_a_spec_without_a_model_or_folder_is_refused(spec: str, words: str) -> None:
    with pytest.raises(InputError, match=words) as caught:
        make_judge(spec)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("file", "content"),
    [
        ("reward.json", "{"),
        ("reward.json", '{"judge": "text", "version": 1, "model": "x"}'),
        ("reward.json", "[" * 100_000),
        ("reward_head.safetensors", "{"),
        ("reward_head.safetensors", None),
    ],
)
def test_a_broken_folder_is_one_line(models: Path, tmp_path: Path, file: str, content: str | None) -> None:
    trained(models / "llama").save(tmp_path / "saved")
    target = tmp_path / "saved" / file
    if content is None:
        target.unlink()
    else:
        target.write_text(content)
    with pytest.raises(InputError, match="train and save it again") as caught:
        make_judge(f"reward:{tmp_path / 'saved'}")
    assert "\n" not in str(caught.value)


def test_a_head_of_another_model_is_refused(models: Path, tmp_path: Path) -> None:
    import torch
    from safetensors.torch import save_file

    trained(models / "llama").save(tmp_path / "saved")
    save_file({"weight": torch.zeros(1, 33)}, tmp_path / "saved/reward_head.safetensors")
    with pytest.raises(InputError, match="the head belongs to another model; found '33 numbers'"):
        next(make_judge(f"reward:{tmp_path / 'saved'}").judge(sample_cases(1)))


def test_settings_are_checked(models: Path) -> None:
    with pytest.raises(InputError, match="did you mean 'epochs'"):
        make_judge(f"reward:hf:{models / 'llama'}", epoch=3)
    assert json.loads(json.dumps(RewardJudge(f"hf:{models / 'llama'}", epochs=3).settings.model_dump()))["epochs"] == 3
