"""The loop against transformers, and against a sum by hand."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tests.worlds import MOVIES
from transformers import AutoModelForCausalLM, AutoTokenizer, LlamaForCausalLM

from llmxrec.errors import InputError
from llmxrec.evidence.plan import Plan
from llmxrec.generators.embedded import slots
from llmxrec.generators.embedded.decoding import LONGEST, Writer, _drawn
from llmxrec.generators.embedded.generator import MODEL
from llmxrec.records import Item


@pytest.fixture(scope="module")
def writer() -> Writer:
    return Writer.load(MODEL)


@pytest.fixture(scope="module")
def reference() -> Any:
    return LlamaForCausalLM.from_pretrained(MODEL, dtype=torch.float32).eval()


def plans(number: int) -> list[Plan]:
    films = [Item(str(n), f"Film {n}") for n in range(3)]
    return [
        Plan(
            MOVIES,
            Item("c", "The New"),
            cited=tuple(films[: n % 4]),
            labels=("Crime", "War")[: min(n % 4, 2)],
            own="Noir",
        )
        for n in range(number)
    ]


def test_its_scores_are_those_of_transformers(writer: Writer, reference: Any) -> None:
    draw = np.random.default_rng(0)
    tokens = draw.integers(0, len(writer.vocabulary), (3, slots.READ + 6))
    with torch.no_grad():
        expected = reference(torch.from_numpy(tokens)).logits.numpy()
    layers, wide = reference.config.num_hidden_layers, reference.config.head_dim
    cache = np.zeros((layers, 2, 3, slots.READ + LONGEST, wide), np.float32)
    found = [writer.scores(tokens[:, : slots.READ], cache, 0)]
    found += [writer.scores(tokens[:, [n]], cache, n) for n in range(slots.READ, slots.READ + 6)]
    written = reference.config.written
    assert 500 < written < len(writer.vocabulary) / 3, "it knows more words than it writes"
    assert np.allclose(np.stack(found, 1), expected[:, slots.READ - 1 :, :written], atol=1e-3)


def test_it_is_an_ordinary_transformers_model(writer: Writer) -> None:
    model, tokenizer = AutoModelForCausalLM.from_pretrained(MODEL), AutoTokenizer.from_pretrained(MODEL)
    assert tokenizer.convert_ids_to_tokens(list(range(len(tokenizer)))) == list(writer.vocabulary)
    assert 2_000_000 <= model.num_parameters() <= 6_000_000
    assert (MODEL / "model.safetensors").stat().st_size < 12_000_000
    read = tokenizer(" ".join(slots.read_plan(plans(3)[2], 2)), return_tensors="pt", add_special_tokens=False)
    assert read["input_ids"].shape == (1, slots.READ)


def test_the_likeliest_tokens_are_those_of_generate(writer: Writer, reference: Any) -> None:
    """Where no rule stands in the way, which for most plans none does."""
    asked = plans(8)
    same = 0
    for plan, text in zip(asked, writer.write(asked, [2] * 8, [75] * 8), strict=True):
        read = torch.tensor([[writer.vocabulary.index(mark) for mark in slots.read_plan(plan, 2)]])
        out = reference.generate(read, max_new_tokens=LONGEST, do_sample=False)[0, slots.READ :]
        theirs = [writer.vocabulary[n] for n in out.tolist()]
        same += theirs[:-1] == text and theirs[-1] == slots.END
    assert same >= 5


def test_a_text_is_its_own_whatever_is_written_with_it(writer: Writer) -> None:
    asked = plans(12)
    draws = np.random.default_rng(1).random((12, LONGEST))
    together = writer.write(asked, [2] * 12, [75] * 12, draws, temperature=0.8)
    alone = [writer.write([p], [2], [75], draws[[n]], temperature=0.8)[0] for n, p in enumerate(asked)]
    assert together == alone
    assert writer.write([], [], []) == []
    again = writer.write(asked, [2] * 12, [75] * 12, draws[::-1], temperature=0.8)
    assert again != together, "draws decide"


def test_draws_fall_where_the_shares_are() -> None:
    scores = np.log(np.array([[0.1, 0.6, 0.3]], np.float32)).repeat(5, 0)
    draws = np.array([0.05, 0.15, 0.69, 0.71, 1 - 1e-16])
    assert _drawn(scores, 1.0, draws).tolist() == [0, 1, 1, 2, 2]
    # Of the likeliest that have .8 together: .6 and .3, in that order.
    assert _drawn(scores, 0.8, np.array([0.0, 0.66, 0.67, 0.9, 0.99])).tolist() == [1, 1, 2, 2, 2]
    assert _drawn(scores, 0.5, draws).tolist() == [1] * 5
    unsaid = np.array([[-np.inf, 0.0, -np.inf]], np.float32)
    assert _drawn(unsaid, 1.0, np.array([1.0])).tolist() == [1]


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
def test_it_takes_adapters_like_any_other(writer: Writer, reference: Any, tmp_path: Path) -> None:
    from peft import LoraConfig, get_peft_model

    torch.manual_seed(1)
    layers = ["q_proj", "v_proj", "up_proj", "down_proj"]
    base = LlamaForCausalLM.from_pretrained(MODEL, dtype=torch.float32)
    tuned = get_peft_model(base, LoraConfig(r=4, lora_alpha=16, target_modules=layers, init_lora_weights=False))
    tuned.save_pretrained(tmp_path)
    tokens = np.random.default_rng(0).integers(0, len(writer.vocabulary), (2, slots.READ))
    with torch.no_grad():
        expected = tuned.eval()(torch.from_numpy(tokens)).logits[:, -1].numpy()
    shape = (reference.config.num_hidden_layers, 2, 2, slots.READ + LONGEST, reference.config.head_dim)
    found = Writer.load(MODEL, tmp_path).scores(tokens, np.zeros(shape, np.float32), 0)
    assert np.allclose(found, expected[:, : reference.config.written], atol=1e-2, rtol=1e-3)
    assert not np.allclose(found, writer.scores(tokens, np.zeros(shape, np.float32), 0), atol=0.5)
    with pytest.raises(InputError, match="a LoRA adapter is a folder"):
        Writer.load(MODEL, tmp_path / "none")
    (tmp_path / "adapter_model.safetensors").write_bytes((MODEL / "model.safetensors").read_bytes())
    with pytest.raises(InputError, match="LoRA on its linear layers"):
        Writer.load(MODEL, tmp_path)


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
def test_words_that_an_adapter_was_taught_can_be_written(writer: Writer, reference: Any, tmp_path: Path) -> None:
    from peft import LoraConfig, get_peft_model

    words = ["wonderful", "gripping", "zany"]
    known = {word: writer.vocabulary.index(word) for word in words}
    assert min(known.values()) >= reference.config.written
    base = LlamaForCausalLM.from_pretrained(MODEL, dtype=torch.float32)
    config = LoraConfig(r=2, target_modules=["q_proj"], trainable_token_indices={"embed_tokens": [*known.values()]})
    tuned = get_peft_model(base, config).eval()
    taught = torch.arange(3 * reference.config.hidden_size).reshape(3, -1) / 500 - 0.5
    for name, weight in tuned.named_parameters():
        if "trainable_tokens_delta" in name:
            weight.data = taught.clone()
    tuned.save_pretrained(tmp_path, save_embedding_layers=False)
    mine = Writer.load(MODEL, tmp_path)
    assert sorted(mine.vocabulary) == sorted(writer.vocabulary)
    number = {token: n for n, token in enumerate(mine.vocabulary)}
    read = slots.read_plan(plans(3)[2], 2)
    with torch.no_grad():
        logits = tuned(torch.tensor([[writer.vocabulary.index(mark) for mark in read]])).logits[0, -1].numpy()
    shape = (reference.config.num_hidden_layers, 2, 1, slots.READ + LONGEST, reference.config.head_dim)
    found = mine.scores(np.array([[number[mark] for mark in read]]), np.zeros(shape, np.float32), 0)[0]
    assert len(found) == reference.config.written + 3
    before = {word: writer.vocabulary.index(word) for word in ("because", "{h1}")}
    for word, place in {**known, **before}.items():
        assert np.isclose(found[number[word]], logits[place], atol=1e-3), word


def test_nothing_of_transformers_or_torch_is_needed(tmp_path: Path) -> None:
    import subprocess
    import sys

    code = (
        "import sys\n"
        "from llmxrec.generators.specs import make_generator\n"
        "from llmxrec.testing.generators import sample_prompts\n"
        "print(len(list(make_generator('embedded').generate(sample_prompts(3)))))\n"
        "assert not {'torch', 'transformers', 'tokenizers'} & set(sys.modules)\n"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert ended.stdout == "3\n", ended.stderr
