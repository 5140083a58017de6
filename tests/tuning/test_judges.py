"""Judges tuned on labelled pairs, on tiny models: what they read is what they judge by, and then they judge well."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NoReturn

import pytest
from tests.cli.test_validate_judge import written
from tests.conftest import Call
from tests.generators.tiny import make_models
from tests.tuning.toys import make_model, marked_pairs, one_thread, paired_words

from llmxrec.errors import InputError
from llmxrec.evaluation.judges import make_judge
from llmxrec.evaluation.judges.protocol import Judge
from llmxrec.evaluation.judges.reward import RewardJudge
from llmxrec.evaluation.pairs import groups_of
from llmxrec.evaluation.validation import validate
from llmxrec.evaluation.validity import Validity
from llmxrec.records import Instruction, Item, Pair, User
from llmxrec.tuning import judges
from llmxrec.tuning.adapters import Card, tuned_on
from llmxrec.tuning.judges import tune_judge
from llmxrec.tuning.loop import Job, TuningSettings

# peft asks transformers by an old name.
pytestmark = pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing` is deprecated:FutureWarning")

QUICK = TuningSettings(epochs=1, batch_size=4, learning_rate=1e-3)
LONG = TuningSettings(epochs=6, batch_size=8, learning_rate=1e-2, patience=6)
TEST = 800


@pytest.fixture(autouse=True, scope="module")
def _one_thread() -> Iterator[None]:
    with one_thread():
        yield


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_model(tmp_path_factory.mktemp("model"), 0.2)


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Models of other kinds, with chat templates and without, and with room for a whole question."""
    root = tmp_path_factory.mktemp("models")
    make_models(root)
    for name in ("llama", "plain", "glm"):
        config = json.loads((root / name / "config.json").read_text())
        (root / name / "config.json").write_text(json.dumps(config | {"max_position_embeddings": 8192}))
    return root


@pytest.fixture(scope="module")
def discriminator(model: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Card]:
    out = tmp_path_factory.mktemp("pairwise") / "judge"
    return out, tune_judge(f"hf:{model}", marked_pairs(120), out, LONG)


def gate(judge: Judge, pairs: Sequence[Pair]) -> Validity:
    return validate(lambda: judge, None, pairs, learns=False)


def test_the_tuned_discriminator_passes_the_gate(
    model: Path, discriminator: tuple[Path, Card], tmp_path: Path, call: Call
) -> None:
    """By the command, given also pairs that it was tuned on."""
    out, card = discriminator
    assert card.curve.held_out[card.curve.best - 1] < 0.1
    measured = marked_pairs(60, TEST)
    untuned = gate(make_judge(f"pairwise:hf:{model}"), measured)
    assert not untuned.valid and untuned.consistency.value < 0.5
    file = written(tmp_path / "pairs.jsonl", [*measured, *marked_pairs(120)[:30]])  # without the groups' names
    ended = call("validate-judge", "--judge", f"pairwise:hf:{model}+{out}", "--test", file)
    assert ended.code == 0 and "\nVALID\n" in ended.out
    assert ": 60 pairs; 0 of 120 rulings unreadable" in ended.out
    assert "30 pairs are about recommendations that the judge was trained on, and were left out" in ended.out
    assert gate(make_judge(f"pairwise:hf:{model}+{out}"), measured).balanced.value > 0.95


def test_the_tuned_head_and_adapter_pass_the_gate(tmp_path: Path) -> None:
    """Better than the head alone could, on the model as it is; without a head it says nothing."""
    model, out = make_model(tmp_path / "model", 0.1), tmp_path / "judge"
    pairs, measured = paired_words(120), paired_words(60, TEST)
    head = RewardJudge(f"hf:{model}")
    with pytest.raises(InputError, match="is trained before it judges"):
        gate(head, measured)
    head.fit(pairs)
    alone = gate(head, measured)
    tune_judge(f"hf:{model}", pairs, out, LONG, kind="reward")
    for spec in (f"reward:{out}", f"reward:hf:{model}+{out}"):
        found = gate(make_judge(spec), [*measured, *pairs[:10]])
        assert found.valid and found.seen == 10
        assert found.balanced.value > 0.95 and found.balanced.low > alone.balanced.high


def test_the_card_says_what_was_learned(model: Path, discriminator: tuple[Path, Card]) -> None:
    out, card = discriminator
    pairs = marked_pairs(120)
    assert (card.task, card.base, card.rows, card.held_out) == ("judge: pairwise", f"hf:{model}", 108, 12)
    assert set(card.groups) == groups_of(pairs)
    assert json.loads((out / "card.json").read_text()) == json.loads(json.dumps(card.to_json()))
    assert sorted(file.name for file in out.iterdir()) == [
        "adapter_config.json", "adapter_model.safetensors", "card.json"
    ]  # fmt: skip
    assert not list(out.parent.glob(".*"))


class _Looked(Exception):
    """Raised in place of learning."""


def looked_at(monkeypatch: pytest.MonkeyPatch, *words: Any, **named: Any) -> tuple[Any, Job[Any]]:
    """The model and the rows that a call of `tune_judge` would have learned."""
    seen: list[Any] = []

    def look(model: Any, job: Job[Any], *_: Any, **__: Any) -> NoReturn:
        seen.extend([model, job])
        raise _Looked

    with monkeypatch.context() as patch:
        patch.setattr(judges, "learn", look)
        with pytest.raises(_Looked):
            tune_judge(*words, **named)
    return seen[0], seen[1]


def test_what_the_discriminator_learns_is_what_it_judges_by(
    models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each pair in both orders; the loss is that of the probabilities which the untuned judge rules by."""
    pairs = marked_pairs(12)
    for name in ("llama", "plain", "glm"):
        spec = f"hf:{models / name}"
        model, job = looked_at(monkeypatch, spec, pairs, tmp_path, TuningSettings(held_out=0))
        judge: Any = make_judge(f"pairwise:{spec}")
        one, two = judge.answer_tokens
        for row, pair in zip(job.rows, pairs, strict=True):
            texts = pair.case.texts
            first_wins = pair.winner == "first"
            assert row.there.tokens == [*judge.prompt(pair.case.asked, *texts), one if first_wins else two]
            assert row.back.tokens == [*judge.prompt(pair.case.asked, *texts[::-1]), two if first_wins else one]
            assert (row.there.read, row.back.read) == (len(row.there.tokens) - 1, len(row.back.tokens) - 1)
        expected = []
        for pair in pairs:
            better = 0 if pair.winner == "first" else 1
            for ruling in judge.judge([pair.case]):
                right = ruling.probability if ruling.first == better else 1 - ruling.probability
                expected.append(-math.log(right * float(ruling.raw.removeprefix("mass "))))
        loss, much = job.loss(model, job.rows)
        assert much == 24 and loss.item() == pytest.approx(sum(expected), rel=1e-3)


def test_what_the_head_learns_is_what_it_judges_by(
    models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The loss is -log of the probability that the judge gives the winner; a tie is half of either."""
    pairs = [*marked_pairs(14), *(replace(pair, winner="tie") for pair in marked_pairs(3, 300))]
    for name in ("llama", "glm"):
        spec = f"hf:{models / name}"
        model, job = looked_at(monkeypatch, spec, pairs, tmp_path, TuningSettings(held_out=0), kind="reward")
        judge = RewardJudge(spec)
        judge.fit(pairs)
        expected = 0.0
        for ruling, pair in zip(judge.judge([pair.case for pair in pairs]), pairs, strict=True):
            win = {"first": 1.0, "second": 0.0, "tie": 0.5}[pair.winner]
            chance = ruling.probability or math.nan
            expected -= win * math.log(chance) + (1 - win) * math.log(1 - chance)
        loss, much = job.loss(model, job.rows)
        assert much == 17 and loss.item() == pytest.approx(expected, rel=1e-3)
        assert "reward_head" in {name for name, weight in model.named_parameters() if weight.requires_grad}


@pytest.mark.parametrize("kind", ["pairwise", "reward"])
def test_pairs_of_a_group_stand_on_one_side_and_what_cannot_be_learned_is_counted(
    model: Path, tmp_path: Path, kind: Any
) -> None:
    pairs = [replace(pair, group=f"g{n // 3}") for n, pair in enumerate(marked_pairs(30))]
    pairs += [replace(pair, winner="tie") for pair in marked_pairs(2, 300)]
    long = replace(pairs[0].case, texts=("It fits " * 200, "It bores us"))
    pairs.append(Pair(long, "first", "long"))
    settings = QUICK.model_copy(update={"held_out": 0.2, "most_tokens": 250})
    for seed in range(10):
        sides = judges._divided(pairs, range(32), settings.model_copy(update={"seed": seed}), {})
        learned, held_out = ({pairs[place].group for place in side} for side in sides)
        assert learned and held_out and not learned & held_out
    card = tune_judge(f"hf:{model}", pairs, tmp_path / "judge", settings, kind=kind)
    ties = {"a tie": 2} if kind == "pairwise" else {}
    assert card.dropped == {"too long": 1, **ties}
    assert card.rows + card.held_out == (30 if ties else 32)
    assert card.held_out in ((6,) if ties else (4, 5, 6))
    assert set(card.groups) == groups_of(pairs[:30] if ties else pairs[:32])


def test_the_people_that_pairs_are_about_are_named(model: Path, tmp_path: Path) -> None:
    pairs = []
    for n, pair in enumerate(marked_pairs(12)):
        asked = Instruction("explain", User(f"u{n % 3}"), (), Item("i", "I"))
        pairs.append(replace(pair, case=replace(pair.case, instruction=asked)))
    tune_judge(f"hf:{model}", pairs, tmp_path / "judge", QUICK)
    assert tuned_on(tmp_path / "judge") == {"u0", "u1", "u2"}


@pytest.mark.parametrize("kind", ["pairwise", "reward"])
def test_interrupted_it_goes_on_as_if_nothing_had_happened(model: Path, tmp_path: Path, kind: Any) -> None:
    from safetensors.numpy import load_file

    pairs, settings = marked_pairs(20), TuningSettings(epochs=3, batch_size=8, dropout=0.1)
    before = digest(model)

    def tune(out: Path, advance: Callable[[int], None]) -> Card:
        checkpoint = tmp_path / "checkpoint"
        return tune_judge(f"hf:{model}", pairs, out, settings, kind=kind, checkpoint=checkpoint, advance=advance)

    def stop(_rows: int) -> None:
        stop.rows += _rows  # type: ignore[attr-defined]
        if stop.rows > 30:  # type: ignore[attr-defined]
            raise KeyboardInterrupt

    stop.rows = 0  # type: ignore[attr-defined]
    whole = tune(tmp_path / "whole", lambda rows: None)
    with pytest.raises(KeyboardInterrupt):
        tune(tmp_path / "halved", stop)
    assert not (tmp_path / "halved").exists() and (tmp_path / "checkpoint").exists()
    again = tune(tmp_path / "halved", lambda rows: None)
    assert again.curve.loss == pytest.approx(whole.curve.loss, abs=1e-6)
    weights = [
        load_file(tmp_path / name / file)
        for name in ("whole", "halved")
        for file in ["adapter_model.safetensors", *(["reward_head.safetensors"] if kind == "reward" else [])]
    ]
    for one, other in zip(weights[: len(weights) // 2], weights[len(weights) // 2 :], strict=True):
        assert set(one) == set(other)
        assert all(one[name] == pytest.approx(other[name], abs=1e-6) for name in one)
    assert all("lora_" in name for name in weights[0])
    assert digest(model) == before


def test_an_adapter_goes_on_learning_and_its_card_remembers(
    model: Path, discriminator: tuple[Path, Card], tmp_path: Path
) -> None:
    first, card = discriminator
    more = marked_pairs(12, 500)
    told = json.loads((first / "card.json").read_text()) | {"users": ["u1"], "taught_by": ["text"]}
    (first / "card.json").write_text(json.dumps(told))
    again = tune_judge(f"hf:{model}+{first}", more, tmp_path / "again", QUICK)
    assert again.base == f"hf:{model}" and again.curve.loss[0] < card.curve.loss[0] / 10
    assert set(again.groups) == {*card.groups, *groups_of(more)}
    assert (again.users, again.taught_by) == (("u1",), ("text",))
    assert gate(make_judge(f"pairwise:hf:{model}+{tmp_path / 'again'}"), marked_pairs(30, TEST)).valid


@pytest.mark.parametrize(
    ("base", "number", "rule"),
    [
        ("openai:gpt-4o", 20, "a judge is tuned on a model that runs here; found 'openai:gpt-4o'"),
        ("embedded", 20, "a judge is tuned on a model that runs here"),
        ("hf:/no/such/folder", 20, "no such folder"),
        ("", 9, "a judge is tuned on 10 pairs with a winner or more; found '9'"),
        ("", 0, "a judge is tuned on 10 pairs with a winner or more; found '0'"),
        ("long", 20, "a judge is tuned on 10 pairs with a winner or more; found '0, 20 too long'"),
    ],
)
@pytest.mark.parametrize("kind", ["pairwise", "reward"])
def test_what_cannot_be_tuned_is_said(
    model: Path, tmp_path: Path, base: str, number: int, rule: str, kind: Any
) -> None:
    settings = QUICK.model_copy(update={"held_out": 0.0, **({"most_tokens": 20} if base == "long" else {})})
    base = base.removeprefix("long")
    with pytest.raises(InputError) as caught:
        tune_judge(base or f"hf:{model}", marked_pairs(number), tmp_path / "judge", settings, kind=kind)
    assert rule in str(caught.value)
    assert not (tmp_path / "judge").exists()


def digest(folder: Path) -> dict[str, str]:
    return {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in folder.iterdir()}
