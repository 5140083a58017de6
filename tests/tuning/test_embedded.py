"""The embedded model tuned on attributes, in a world where what people have tells who they are."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file
from tests.worlds import MOVIES
from transformers import LlamaForCausalLM, PreTrainedTokenizerFast

from llmxrec.errors import InputError
from llmxrec.generators.embedded.attributes import known_answers, read_items
from llmxrec.generators.embedded.decoding import Writer
from llmxrec.generators.embedded.generator import MODEL, EmbeddedGenerator
from llmxrec.records import Instruction, Item, Prompt, User
from llmxrec.tuning.embedded import Example, tune_attributes

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")

ITEMS = [Item(f'{n} of "many"', f"Film {n}") for n in range(30)]


def person(number: int) -> Example:
    """Painters have the first fifteen films, plumbers the others; a third of what anyone has is anything. The young got
    an even film recommended."""
    draw = random.Random(number)
    painter, young = draw.random() < 0.5, draw.random() < 0.5
    mine = ITEMS[:15] if painter else ITEMS[15:]
    history = [draw.choice(mine if draw.random() < 0.67 else ITEMS) for _ in range(draw.randint(4, 12))]
    candidate = draw.choice(ITEMS[0::2] if young else ITEMS[1::2])
    asked = Instruction("predict", User(str(number)), tuple(history), candidate, ("job", "age"))
    return asked, {"job": "painter" if painter else "plumber", "age": "20" if young else "60"}


@pytest.fixture(scope="module")
def adapter(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("adapter")
    curve = tune_attributes([person(n) for n in range(150)], out, epochs=12, seed=3)
    assert curve[-1] < curve[0] / 2
    return out


@pytest.fixture(scope="module")
def answers(adapter: Path) -> list[tuple[dict[str, str], dict[str, str]]]:
    """Of people it has not seen: what it says, and the truth."""
    asked = [person(n) for n in range(1000, 1100)]
    prompts = [Prompt(str(n), instruction, MOVIES, ()) for n, (instruction, _) in enumerate(asked)]
    found = list(EmbeddedGenerator(adapter=adapter).generate(prompts))
    assert sorted(int(answer.key) for answer in found) == list(range(100))
    assert {answer.status for answer in found} == {"ok"}
    return [(json.loads(answer.text), dict(asked[int(answer.key)][1])) for answer in found]


@pytest.mark.parametrize("target", ["job", "age"])
def test_it_learns_what_items_tell(answers: list[tuple[dict[str, str], dict[str, str]]], target: str) -> None:
    assert np.mean([said[target] == truth[target] for said, truth in answers]) > 0.8
    assert all(list(said) == ["job", "age"] for said, _ in answers), "as asked for, in that order"


def test_what_it_says_is_what_transformers_says(adapter: Path) -> None:
    from peft import PeftModel

    tokenizer = PreTrainedTokenizerFast.from_pretrained(adapter)
    base = LlamaForCausalLM.from_pretrained(MODEL, dtype=torch.float32)
    base.resize_token_embeddings(len(tokenizer), mean_resizing=False)
    tuned: Any = PeftModel.from_pretrained(base, adapter).eval()
    writer = Writer.load(MODEL, adapter)
    theirs, ours = tokenizer.get_vocab(), {token: n for n, token in enumerate(writer.vocabulary)}
    asked, _ = person(2000)
    known, mine = (
        known_answers(tokenizer.convert_ids_to_tokens(list(range(len(tokenizer))))),
        known_answers(writer.vocabulary),
    )
    assert {target: found.values for target, found in known.items()} == {t: found.values for t, found in mine.items()}
    reads = torch.tensor([[*read_items(asked, theirs), known["job"].ask]])
    with torch.no_grad():
        logits = tuned(reads).logits[0, -1, torch.from_numpy(known["job"].tokens)]
    expected = torch.softmax(logits, -1).numpy()
    (found,) = writer.choose(np.array([[*read_items(asked, ours), mine["job"].ask]]), 1, [mine["job"].tokens])
    assert np.allclose(found[0], expected, atol=1e-3)


def test_only_the_adapter_changes_and_it_still_explains(adapter: Path) -> None:
    saved = load_file(adapter / "adapter_model.safetensors")
    assert all(".lora_" in name or name.endswith("trainable_tokens_delta") for name in saved)
    prompt = Prompt("k", Instruction("explain", User("u"), (ITEMS[0],), ITEMS[1]), MOVIES, ())
    plain, tuned = (next(EmbeddedGenerator(adapter=one).generate([prompt])) for one in (None, adapter))
    assert plain.status == tuned.status == "ok" and '"Film 1"' in tuned.text


def test_what_it_was_not_taught_it_does_not_say(adapter: Path) -> None:
    asked = Instruction("predict", User("u"), (Item("new", "New"),), Item("newer", "Newer"), ("job",))
    other = Instruction("predict", User("u"), (ITEMS[0],), ITEMS[1], ("job", "price"))
    generator = EmbeddedGenerator(adapter=adapter)
    answers = {
        a.key: a for a in generator.generate([Prompt("new", asked, MOVIES, ()), Prompt("other", other, MOVIES, ())])
    }
    assert json.loads(answers["new"].text)["job"] in ("painter", "plumber")
    assert answers["other"].status == "empty" and "price" in (answers["other"].detail or "")


def test_there_must_be_something_to_learn(tmp_path: Path) -> None:
    asked, _ = person(1)
    with pytest.raises(InputError, match="different answers"):
        tune_attributes([(asked, {"job": "painter"})] * 5, tmp_path)


def test_only_what_is_allowed_is_answered(adapter: Path) -> None:
    asked, _ = person(1500)
    generator = EmbeddedGenerator(adapter=adapter)
    for only in ("painter", "plumber"):
        (answer,) = generator.generate([Prompt("k", asked, MOVIES, (), choices={"job": (only, "no job")})])
        assert json.loads(answer.text)["job"] == only
    (none,) = generator.generate([Prompt("k", asked, MOVIES, (), choices={"job": ("no job",)})])
    assert none.status == "empty" and "none of the answers allowed" in (none.detail or "")
