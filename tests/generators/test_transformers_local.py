"""Models that run here: tiny ones with random weights, of the architectures of the paper's LLaMA2 and ChatGLM."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from llmxrec.errors import InputError, WorkError
from llmxrec.generators.protocol import Generator
from llmxrec.generators.specs import GenerationSettings, make_generator
from llmxrec.generators.transformers_local import DrawByRow, TransformersGenerator, prompt_tokens
from llmxrec.records import Answer, Message, Prompt
from llmxrec.testing.generators import GeneratorConformance, sample_prompts

# peft asks transformers by an old name.
pytestmark = pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing` is deprecated:FutureWarning")

MODELS = ["llama", "glm"]
SHORT = {"max_tokens": 12}


@pytest.fixture(autouse=True, scope="module")
def _one_thread() -> Iterator[None]:
    """On models this small, threads spend their time waiting for each other."""
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@cache
def made(folder: Path, name: str | None = None, **settings: Any) -> TransformersGenerator:
    return TransformersGenerator(str(folder), GenerationSettings(**{**SHORT, **settings}), name=name)


def answers(generator: Generator, prompts: list[Prompt]) -> dict[str, Answer]:
    return {answer.key: answer for answer in generator.generate(prompts)}


@pytest.fixture(params=MODELS)
def folder(request: pytest.FixtureRequest, tiny: Path) -> Path:
    return tiny / str(request.param)


class TestConformance(GeneratorConformance):
    drawn_ahead = 4 * 16

    @pytest.fixture(autouse=True)
    def _model(self, folder: Path) -> None:
        self.folder = folder

    def make(self) -> Generator:
        # One name for all: folders of tests have other names in every run.
        return made(self.folder, name="tiny", batch_size=4)


class TestSamplingConformance(GeneratorConformance):
    drawn_ahead = 4 * 16

    @pytest.fixture(autouse=True)
    def _model(self, tiny: Path) -> None:
        self.folder = tiny / "llama"

    def make(self) -> Generator:
        return made(self.folder, name="tiny", batch_size=4, temperature=0.9, top_p=0.8)


@pytest.mark.parametrize("drawing", [{}, {"temperature": 1.0}, {"temperature": 0.7, "top_p": 0.9}])
def test_one_big_batch_equals_single_prompts(folder: Path, drawing: dict[str, float]) -> None:
    prompts = sample_prompts(24)
    alone = answers(made(folder, batch_size=1, **drawing), prompts)
    together = answers(made(folder, batch_size=8, **drawing), prompts)
    assert alone == together
    assert len({answer.text for answer in alone.values()}) > 12


def greedy(generator: TransformersGenerator, prompt: Prompt) -> list[int]:
    """What the model writes, by the plainest loop there is: no batch, no cache, no padding, no end."""
    import torch

    read = prompt_tokens(generator.tokenizer, prompt.messages)
    written: list[int] = []
    with torch.inference_mode():
        while len(written) < generator.settings.max_tokens:
            logits = generator.model(torch.tensor([read + written]), use_cache=False).logits
            written.append(int(logits[0, -1].argmax()))
    return written


def test_greedy_answers_are_those_of_the_plainest_loop(folder: Path) -> None:
    generator = made(folder, batch_size=4)
    prompts = sample_prompts(8)
    got = answers(generator, prompts)
    for prompt in prompts:
        text = generator.tokenizer.decode(greedy(generator, prompt), skip_special_tokens=True).strip()
        assert got[prompt.key].text == text


def test_draws_follow_the_seed_of_the_prompt_and_of_the_settings(tiny: Path) -> None:
    (prompt,) = sample_prompts(1)
    prompts = [replace(prompt, key=str(seed), seed=seed) for seed in range(8)]
    first = answers(made(tiny / "llama", temperature=1.0), prompts)
    other = answers(made(tiny / "llama", temperature=1.0, seed=2), prompts)
    assert len({answer.text for answer in first.values()}) == 8
    assert not {a.text for a in first.values()} & {a.text for a in other.values()}


def test_tokens_are_drawn_by_their_probability() -> None:
    import torch

    probabilities = [0.5, 0.3, 0.15, 0.05]
    rows = 4000
    scores = torch.tensor([probabilities]).log().repeat(rows, 1)
    drawn = DrawByRow(range(rows), 1.0, 1.0)(None, scores).argmax(dim=-1)
    shares = [int((drawn == token).sum()) / rows for token in range(4)]
    # Four standard deviations of a share near one half: 4 * sqrt(.25 / 4000) = .032.
    assert shares == pytest.approx(probabilities, abs=0.032)


def test_temperature_and_top_p_shape_what_is_drawn() -> None:
    import torch

    scores = torch.tensor([[0.5, 0.3, 0.15, 0.05]]).log().repeat(500, 1)

    def drawn(temperature: float, top_p: float) -> Counter[int]:
        return Counter(DrawByRow(range(500), temperature, top_p)(None, scores).argmax(dim=-1).tolist())

    assert set(drawn(1.0, 0.5)) == {0}
    assert set(drawn(1.0, 0.51)) == {0, 1}
    assert set(drawn(1.0, 0.81)) == {0, 1, 2}
    assert set(drawn(1.0, 1e-9)) == {0}
    # At temperature 1/4 the shares go as the fourth power: .5**4 / sum = .878.
    assert drawn(0.25, 1.0)[0] / 500 == pytest.approx(0.878, abs=0.06)


def test_an_answer_without_an_end_is_truncated(folder: Path) -> None:
    for answer in answers(made(folder, max_tokens=3), sample_prompts(5)).values():
        assert (answer.status, answer.output_tokens, answer.detail) == ("truncated", 3, "cut after 3 tokens")


def test_an_answer_ends_at_the_first_of_several_ends(folder: Path) -> None:
    generator = TransformersGenerator(str(folder), GenerationSettings(**SHORT))
    prompt, other = sample_prompts(2)
    row = greedy(generator, prompt)
    generator.model.generation_config.eos_token_id = [row[6], row[4]]
    end = min(row.index(row[6]), row.index(row[4]))
    answer = answers(generator, [prompt, other])["p0"]
    text = generator.tokenizer.decode(row[:end]).strip()
    assert (answer.status, answer.text, answer.output_tokens) == ("ok", text, end + 1)
    generator.model.generation_config.eos_token_id = [row[0]]
    answer = answers(generator, [prompt])["p0"]
    assert (answer.status, answer.text, answer.output_tokens) == ("empty", "", 1)


def test_a_prompt_beyond_the_models_window_is_invalid(tiny: Path) -> None:
    generator = made(tiny / "llama")
    assert generator.context_tokens == 512 - 12
    fits, beyond = sample_prompts(2)
    text = "a film " * 300
    beyond = replace(beyond, messages=(Message("user", text),))
    got = answers(generator, [beyond, fits])
    assert got["p0"].status in ("ok", "truncated")
    tokens = generator.count_tokens(beyond.messages)
    assert got["p1"] == Answer(
        "p1", "", "invalid", tokens, detail=f"the prompt has {tokens} tokens, the model has room for 500"
    )
    with pytest.raises(InputError, match="window of 512 tokens"):
        TransformersGenerator(str(tiny / "llama"), GenerationSettings(max_tokens=512))


def test_prompts_follow_the_chat_template(tiny: Path) -> None:
    tokenizer = made(tiny / "llama").tokenizer
    tokens = prompt_tokens(tokenizer, [Message("system", "Explain."), Message("user", "Why Heat?")])
    assert tokenizer.decode(tokens) == "<s><|system|>Explain.\n<|user|>Why Heat?\n<|assistant|>"
    assert tokens.count(tokenizer.bos_token_id) == 1
    assert made(tiny / "llama").count_tokens([Message("user", "Why Heat?")]) < len(tokens)


def test_a_template_without_a_system_role_gets_its_words_in_the_first_turn(tiny: Path) -> None:
    tokenizer = made(tiny / "strict").tokenizer
    turns = [Message("user", "Why Heat?"), Message("assistant", "Crime."), Message("user", "More?")]
    tokens = prompt_tokens(tokenizer, [Message("system", "Explain."), *turns])
    assert tokenizer.decode(tokens) == (
        "<s><|user|>Explain.\n\nWhy Heat?\n<|assistant|>Crime.\n<|user|>More?\n<|assistant|>"
    )
    alone = prompt_tokens(tokenizer, [Message("system", "Explain.")])
    assert tokenizer.decode(alone) == "<s><|user|>Explain.\n<|assistant|>"


def test_a_model_without_a_template_reads_plain_text(tiny: Path) -> None:
    generator = made(tiny / "plain")
    tokens = prompt_tokens(generator.tokenizer, [Message("system", "Explain."), Message("user", "Why Heat?")])
    assert generator.tokenizer.decode(tokens) == "Explain.\n\nWhy Heat?\n\n"
    assert len(answers(generator, sample_prompts(3))) == 3
    nothing = replace(sample_prompts(1)[0], messages=())
    assert answers(generator, [nothing])["p0"].detail == "the prompt holds no tokens"


def test_a_title_cannot_speak_the_models_own_language(tiny: Path) -> None:
    tokenizer = made(tiny / "llama").tokenizer
    tokens = prompt_tokens(tokenizer, [Message("user", "Heat</s><s>half \ud83d<pad>")])
    assert not {tokenizer.eos_token_id, tokenizer.pad_token_id} & set(tokens)
    assert tokens.count(tokenizer.bos_token_id) == 1
    assert "Heat< /s>< s>half ?< pad>" in tokenizer.decode(tokens)


def test_the_models_own_sampling_defaults_are_left_aside(tiny: Path, tmp_path: Path) -> None:
    copied = copy_of(tiny / "llama", tmp_path)
    file = copied / "generation_config.json"
    own = json.loads(file.read_text()) | {"do_sample": True, "temperature": 5.0, "repetition_penalty": 9.0, "top_k": 2}
    file.write_text(json.dumps(own))
    prompts = sample_prompts(5)
    assert answers(made(copied), prompts) == answers(made(tiny / "llama"), prompts)


def test_an_adapter_changes_the_answers(folder: Path, tmp_path: Path) -> None:
    adapter = save_adapter(folder, tmp_path / "adapter")
    prompts = sample_prompts(6)
    tuned = make_generator(f"hf:{folder}+{adapter}", GenerationSettings(**SHORT))
    assert tuned.name == f"hf:{folder}+{adapter}"
    changed, before = answers(tuned, prompts), answers(made(folder), prompts)
    assert all(changed[key].text != before[key].text for key in before)
    assert {answer.input_tokens for answer in changed.values()} == {answer.input_tokens for answer in before.values()}


def test_what_is_no_adapter_is_refused(tiny: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"a folder with adapter_config.json"):
        TransformersGenerator(str(tiny / "llama"), adapter=tmp_path / "nowhere")
    adapter = save_adapter(tiny / "llama", tmp_path / "pickled")
    (adapter / "adapter_model.safetensors").rename(adapter / "adapter_model.bin")
    with pytest.raises(InputError, match=r"a folder with adapter_model.safetensors"):
        TransformersGenerator(str(tiny / "llama"), adapter=adapter)


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        ("hf:/no/such/folder", "no such folder; found '/no/such/folder'"),
        ("hf:no-such-org/no-such-model", "the model cannot be loaded"),
    ],
)
def test_a_model_that_is_not_there_is_one_line(spec: str, words: str) -> None:
    with pytest.raises(InputError) as caught:
        make_generator(spec)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_only_safetensors_are_read(tiny: Path, tmp_path: Path) -> None:
    import torch
    from safetensors.torch import load_file

    copied = copy_of(tiny / "llama", tmp_path)
    torch.save(load_file(copied / "model.safetensors"), copied / "pytorch_model.bin")
    (copied / "model.safetensors").unlink()
    with pytest.raises(InputError, match="safetensors"):
        next(TransformersGenerator(str(copied)).generate(sample_prompts(1)))


@pytest.mark.parametrize("file", ["config.json", "tokenizer.json", "model.safetensors"])
def test_a_broken_file_is_one_line(tiny: Path, tmp_path: Path, file: str) -> None:
    copied = copy_of(tiny / "llama", tmp_path)
    (copied / file).write_text('{"broken')
    with pytest.raises(InputError, match="the model cannot be loaded") as caught:
        next(TransformersGenerator(str(copied)).generate(sample_prompts(1)))
    assert "\n" not in str(caught.value)


def test_code_that_comes_with_a_model_is_refused(tiny: Path, tmp_path: Path) -> None:
    copied = copy_of(tiny / "llama", tmp_path)
    config = json.loads((copied / "config.json").read_text())
    config |= {"model_type": "evil", "auto_map": {"AutoConfig": "evil.Evil", "AutoModelForCausalLM": "evil.Model"}}
    (copied / "config.json").write_text(json.dumps(config))
    (copied / "evil.py").write_text(f"open({str(tmp_path / 'was-run')!r}, 'w')\n")
    with pytest.raises(InputError, match="code of its own, which is refused"):
        TransformersGenerator(str(copied))
    assert not (tmp_path / "was-run").exists()


def test_too_little_memory_says_what_to_do(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    generator = TransformersGenerator(str(tiny / "llama"), GenerationSettings(**SHORT))

    def exhausted(**_: Any) -> None:
        raise torch.cuda.OutOfMemoryError

    monkeypatch.setattr(generator.model, "generate", exhausted)
    with pytest.raises(WorkError, match=r"does not hold 3 prompts of up to \d+ tokens; lower batch_size"):
        list(generator.generate(sample_prompts(3)))


def copy_of(model: Path, into: Path) -> Path:
    copied = into / "copy"
    copied.mkdir()
    for file in model.iterdir():
        (copied / file.name).write_bytes(file.read_bytes())
    return copied


def save_adapter(model: Path, folder: Path) -> Path:
    """A LoRA adapter with random weights, large enough to be heard."""
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM

    torch.manual_seed(3)
    base = AutoModelForCausalLM.from_pretrained(model)
    tuned = get_peft_model(base, LoraConfig(r=4, target_modules=["q_proj", "v_proj"], init_lora_weights=False))
    tuned.save_pretrained(folder)
    return folder
