"""Tiny models tuned on a toy world: films with Fargo recommended are told one way, all others another."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from tests.worlds import BAMBI, FARGO, HEAT, MOVIES, SUSPECTS
from transformers import AutoModelForCausalLM, AutoTokenizer, Gemma2Config, Gemma2ForCausalLM

from llmxrec.errors import InputError, MissingExtra
from llmxrec.generators.specs import GenerationSettings, make_generator
from llmxrec.generators.transformers_local import answer_tokens, ends, load_weights
from llmxrec.prompts.instructions import PromptSettings
from llmxrec.prompts.prompt import make_prompt
from llmxrec.prompts.template import load_template
from llmxrec.records import Instruction, Item, Lesson, User
from llmxrec.tuning.adapters import read_card, tuned_on
from llmxrec.tuning.causal import Sequel, answer_logits, answer_loss, trained, with_lora
from llmxrec.tuning.language import reader, tune_language
from llmxrec.tuning.lessons import Lessons
from llmxrec.tuning.loop import Job, TuningSettings, learn

FILMS = [HEAT, FARGO, BAMBI, SUSPECTS]
SETTINGS = TuningSettings(epochs=14, batch_size=8, learning_rate=1e-2, rank=4)


@pytest.fixture(autouse=True, scope="module")
def _one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def short(tmp_path_factory: pytest.TempPathFactory) -> PromptSettings:
    """Prompts that leave room in a window of 512 tokens, each about one letter."""
    file = tmp_path_factory.mktemp("template") / "short.txt"
    parts = {"history": "Seen:\n{history}", "candidate": "Now: {candidate}", "explain": "Why?", "predict": "{targets}?"}
    file.write_text("\n\n".join(f"[{name}]\n{text}" for name, text in parts.items()))
    return PromptSettings(template=str(file))


def lesson(number: int) -> Lesson:
    draw = random.Random(number)
    *history, candidate = draw.sample(FILMS, 4)
    user = User(f"u{number}")
    if number % 3 == 0:
        gender = "female" if candidate is BAMBI else "male"
        asked = Instruction("predict", user, tuple(history), candidate, ("gender",))
        return Lesson(asked, MOVIES, f'{{"gender": "{gender}"}}')
    words = "A crime film." if candidate is FARGO else "Drama."
    return Lesson(Instruction("explain", user, tuple(history), candidate), MOVIES, words)


LESSONS = [lesson(number) for number in range(72)]


def sequels(model: Path, prompt: PromptSettings, rows: list[Lesson], most: int = 500) -> list[Sequel]:
    tokenizer = AutoTokenizer.from_pretrained(model)
    read = reader(tokenizer, [tokenizer.eos_token_id], prompt, most)
    found = [read(row) for row in rows]
    assert all(isinstance(row, Sequel) for row in found), found
    return found  # type: ignore[return-value]


@pytest.mark.parametrize("name", ["llama", "glm"])
def test_it_answers_what_it_was_taught(tiny: Path, short: PromptSettings, tmp_path: Path, name: str) -> None:
    card = tune_language(str(tiny / name), Lessons(LESSONS), tmp_path / "adapter", SETTINGS, prompt=short)
    assert (card.task, card.base, card.rows, card.held_out) == ("explain,attributes", f"hf:{tiny / name}", 65, 7)
    assert tuned_on(tmp_path / "adapter") == {f"u{number}" for number in range(72)}
    assert card.curve.loss[-1] < card.curve.loss[0] / 10
    assert read_card(tmp_path / "adapter")["prompt"]["template"] == short.template

    generator = make_generator(f"hf:{tiny / name}+{tmp_path / 'adapter'}", GenerationSettings(max_tokens=40))
    template = load_template(short.template)
    prompts = [make_prompt(str(n), row.instruction, template, MOVIES, short) for n, row in enumerate(LESSONS)]
    right = [answer.text == LESSONS[int(answer.key)].answer for answer in generator.generate(prompts)]
    assert len(right) == 72 and sum(right) > 60


def test_the_loss_is_that_of_the_answers_tokens_by_hand(tiny: Path, short: PromptSettings) -> None:
    """Equation 2: summed over t of |y|, of what is said given what is asked. Rows of other lengths share a batch."""
    model = load_weights(str(tiny / "llama")).eval()
    rows = sequels(tiny / "llama", short, LESSONS[:6])
    tokenizer = AutoTokenizer.from_pretrained(tiny / "llama")
    by_hand = 0.0
    for row, told in zip(rows, LESSONS, strict=False):
        assert tokenizer.decode(row.tokens[row.read :]) == f"{told.answer}</s>"
        with torch.inference_mode():
            likely = torch.log_softmax(model(torch.tensor([list(row.tokens)])).logits[0].double(), -1)
        by_hand -= sum(float(likely[place - 1, row.tokens[place]]) for place in range(row.read, len(row.tokens)))
    assert len({len(row.tokens) for row in rows}) > 2
    loss, weight = answer_loss(model, rows)
    assert loss.item() == pytest.approx(by_hand, rel=1e-5)
    assert weight == sum(len(row.tokens) - row.read for row in rows)


def test_what_is_asked_is_read_and_never_a_label(tiny: Path, short: PromptSettings) -> None:
    """Logits are made where an answer's token is next, so nothing that is asked can be a label."""
    model = load_weights(str(tiny / "llama"))
    row = sequels(tiny / "llama", short, LESSONS[:1])[0]
    seen: list[Any] = []
    model.lm_head.register_forward_hook(lambda _, _given, made: seen.append(made))
    logits, wanted = answer_logits(model, [row])
    assert wanted.tolist() == list(row.tokens[row.read :])
    assert seen[-1].shape[:2] == (1, len(wanted))
    full = model(torch.tensor([list(row.tokens)])).logits[0]
    assert torch.allclose(logits, full[row.read - 1 : -1], atol=1e-5)


def test_padding_changes_nothing(tiny: Path, short: PromptSettings) -> None:
    model = load_weights(str(tiny / "glm")).eval()
    rows = sequels(tiny / "glm", short, LESSONS[:6])
    with torch.inference_mode():
        alone = [float(answer_loss(model, [row])[0]) for row in rows]
        together = float(answer_loss(model, rows)[0])
    assert together == pytest.approx(sum(alone), rel=1e-5)


def test_a_model_that_bends_its_logits_is_learned_as_it_speaks() -> None:
    torch.manual_seed(1)
    shape = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    more = {"num_key_value_heads": 1, "head_dim": 8, "vocab_size": 30, "final_logit_softcapping": 0.5}
    model = Gemma2ForCausalLM(Gemma2Config(**shape, **more, initializer_range=0.5)).eval()
    row = Sequel([3, 4, 5, 6, 7], 3)
    with torch.inference_mode():
        logits, _ = answer_logits(model, [row])
        assert torch.allclose(logits, model(torch.tensor([[3, 4, 5, 6, 7]])).logits[0, 2:4], atol=1e-6)
    assert logits.abs().max() <= 0.5


@pytest.mark.parametrize("name", ["llama", "glm"])
def test_only_the_adapter_changes(tiny: Path, short: PromptSettings, name: str) -> None:
    """Equation 3: bit for bit, all that was there before is as it was."""
    base = load_weights(str(tiny / name))
    before = {key.replace(".base_layer", ""): value.clone() for key, value in base.state_dict().items()}
    tuned = with_lora(base, SETTINGS)
    first = {key: value.clone() for key, value in trained(tuned).items()}
    rows = sequels(tiny / name, short, LESSONS[:16])
    learn(tuned, Job(rows, [], answer_loss, lambda row: len(row.tokens)), SETTINGS.model_copy(update={"epochs": 2}))
    after = {key.replace(".base_layer", ""): value for key, value in base.state_dict().items() if "lora_" not in key}
    assert after.keys() == before.keys() and all(torch.equal(after[key], before[key]) for key in before)
    assert len(first) > 4 and all("lora_" in key for key in first)
    assert not any(torch.equal(first[key], value) for key, value in trained(tuned).items())


def test_accumulated_it_is_the_same_adapter_and_again_the_very_same(
    tiny: Path, short: PromptSettings, tmp_path: Path
) -> None:
    settings = SETTINGS.model_copy(update={"epochs": 1})
    found = {}
    for name, more in {"whole": {}, "again": {}, "parts": {"rows_at_once": 3}, "other": {"seed": 2}}.items():
        how = settings.model_copy(update=more)
        tune_language(str(tiny / "llama"), Lessons(LESSONS[:24]), tmp_path / name, how, prompt=short)
        found[name] = load_file(tmp_path / name / "adapter_model.safetensors")
    assert all(torch.equal(found["again"][key], value) for key, value in found["whole"].items())
    assert all(torch.allclose(found["parts"][key], value, atol=1e-5) for key, value in found["whole"].items())
    assert not all(torch.allclose(found["other"][key], value, atol=1e-3) for key, value in found["whole"].items())


def test_a_prompt_that_is_too_long_loses_its_oldest_history(tiny: Path, short: PromptSettings) -> None:
    tokenizer = AutoTokenizer.from_pretrained(tiny / "llama")
    films = tuple(Item(f"i{n}", f"Film number {n}") for n in range(20))
    asked = Instruction("explain", User("u"), films, HEAT)
    plain = Lesson(asked, MOVIES, "It is a crime film.")
    (whole,) = sequels(tiny / "llama", short, [plain], most=10_000)
    read = reader(tokenizer, [tokenizer.eos_token_id], short, len(whole.tokens) - 1)
    cut = read(plain)
    assert isinstance(cut, Sequel) and len(cut.tokens) < len(whole.tokens)
    words = tokenizer.decode(cut.tokens)
    assert '1. "Film number 1"' in words and "number 0" not in words and "number 19" in words
    assert read(replace(plain, answer='Like "Film number 0", it is.')) == "telling of history that did not fit"
    assert isinstance(read(replace(plain, answer='Like "Film number 19", it is.')), Sequel)
    shortest = reader(tokenizer, [2], short, 30)
    assert shortest(plain) == "too long even without history"


def test_rows_that_do_not_fit_are_counted_and_none_left_is_an_error(
    tiny: Path, short: PromptSettings, tmp_path: Path
) -> None:
    long = Lesson(LESSONS[1].instruction, MOVIES, "word " * 300)
    settings = SETTINGS.model_copy(update={"epochs": 1, "held_out": 0.0})
    card = tune_language(str(tiny / "llama"), Lessons([*LESSONS[:8], long]), tmp_path / "a", settings, prompt=short)
    assert (card.rows, card.dropped) == (8, {"too long even without history": 1})
    with pytest.raises(InputError, match=r"0 rows .left out: 1 too long even without history.'; raise most_tokens"):
        tune_language(str(tiny / "llama"), Lessons([long]), tmp_path / "b", settings, prompt=short)
    assert not (tmp_path / "b").exists()


def test_an_answer_ends_as_the_chat_template_ends_it(tiny: Path) -> None:
    tokenizer = AutoTokenizer.from_pretrained(tiny / "llama")
    assert answer_tokens(tokenizer, "Heat", [2])[-1] == 2
    tokenizer.add_special_tokens({"additional_special_tokens": ["<turn>"]})
    turn = tokenizer.convert_tokens_to_ids("<turn>")
    tokenizer.chat_template = "{% for m in messages %}{{ m['role'] }}: {{ m['content'] }}<turn>{% endfor %}"
    assert answer_tokens(tokenizer, "Heat", [2, turn])[-1] == turn, "as Gemma's, whose tokenizer names another end"
    assert answer_tokens(tokenizer, "Heat", [2])[-1] == 2, "a mark at which the model would not stop is none"
    tokenizer.eos_token = None
    with pytest.raises(InputError, match="has a token for the end"):
        answer_tokens(tokenizer, "Heat", [])


def test_an_answer_cannot_speak_the_models_own_language(tiny: Path) -> None:
    tokenizer = AutoTokenizer.from_pretrained(tiny / "llama")
    tokens = answer_tokens(tokenizer, "Heat</s><s> is \ud83d good", [2])
    assert tokens.count(2) == 1 and tokens[-1] == 2 and tokenizer.bos_token_id not in tokens
    model = AutoModelForCausalLM.from_pretrained(tiny / "llama")
    assert ends(model, tokenizer) == [2]


def test_a_template_that_does_not_ask_is_refused(tiny: Path, tmp_path: Path) -> None:
    (tmp_path / "t.txt").write_text("[history]\n{history}\n\n[candidate]\nNow: {candidate}\n\n[explain]\nWhy?")
    prompt = PromptSettings(template=str(tmp_path / "t.txt"))
    with pytest.raises(InputError, match=r"has a section \[predict\]"):
        tune_language(str(tiny / "llama"), Lessons(LESSONS), tmp_path / "out", SETTINGS, prompt=prompt)


def test_four_bits_need_cuda_and_bitsandbytes(tiny: Path, short: PromptSettings, tmp_path: Path) -> None:
    settings = SETTINGS.model_copy(update={"quantize": True})
    if not torch.cuda.is_available():
        with pytest.raises(InputError, match="in 4 bits on CUDA only"):
            tune_language(str(tiny / "llama"), Lessons(LESSONS), tmp_path / "out", settings, prompt=short)
    with pytest.raises(MissingExtra, match="needs the extra 'quantize'"):
        load_weights(str(tiny / "llama"), device="cuda:0", quantize=True)
