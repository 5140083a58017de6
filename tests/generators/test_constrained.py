"""Allowed answers scored by a local model: as if each were read whole, by itself."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from llmxrec.generators.constrained import Reader, Ways, _shares, _tokens, _ways, _written
from llmxrec.generators.specs import GenerationSettings
from llmxrec.generators.transformers_local import TransformersGenerator, prompt_tokens
from llmxrec.prompts.targets import AGES, likeliest
from llmxrec.records import Prompt
from llmxrec.testing.generators import sample_prompts

pytestmark = pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing` is deprecated:FutureWarning")

JOBS = ("artist", "art", "engineer", "the film", 'a "quoted" one', "é")
CHOICES = {"gender": ("female", "male"), "job": JOBS}


@pytest.fixture(autouse=True, scope="module")
def _one_thread() -> Iterator[None]:
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@cache
def made(folder: Path, batch_size: int = 4) -> TransformersGenerator:
    return TransformersGenerator(str(folder), GenerationSettings(max_tokens=12, batch_size=batch_size))


@pytest.fixture(params=["llama", "glm", "plain"])
def generator(request: pytest.FixtureRequest, tiny: Path) -> TransformersGenerator:
    return made(tiny / str(request.param))


def asked(number: int, *targets: str) -> list[Prompt]:
    return [
        replace(
            prompt,
            instruction=replace(prompt.instruction, task="predict", targets=targets),
            choices={name: CHOICES[name] for name in targets if name in CHOICES},
        )
        for prompt in sample_prompts(number)
    ]


def texts(generator: TransformersGenerator, prompts: list[Prompt]) -> dict[str, str]:
    found = list(generator.generate(prompts))
    assert {answer.status for answer in found} == {"ok"}
    return {answer.key: answer.text for answer in found}


def score(generator: TransformersGenerator, prompt: Prompt, before: str, value: str, after: str) -> float:
    """The plainest way: the answer up to the value's closing quote, read from the beginning, by itself."""
    import torch

    read = prompt_tokens(generator.tokenizer, prompt.messages)
    (row,) = _tokens(generator.tokenizer, [before + json.dumps(value, ensure_ascii=False)[1:-1]], '"' + after)
    with torch.inference_mode():
        logits = generator.model(torch.tensor([read + row]), use_cache=False).logits[0].double()
    steps = logits.log_softmax(dim=-1)
    places = range(len(read), len(read) + len(row))
    return float(sum(steps[place - 1, token] for place, token in zip(places, row, strict=True)))


def slowly(generator: TransformersGenerator, prompt: Prompt) -> str:
    text = "{"
    targets = prompt.instruction.targets
    for target, following in [*pairwise(targets), (targets[-1], "")]:
        text += f'"{target}": "'
        after = f', "{following}": "' if following else "}"
        allowed = prompt.choices.get(target, AGES)
        shares = np.exp([score(generator, prompt, text, value, after) for value in allowed])
        best = allowed[likeliest(target, allowed, (shares / shares.sum())[None])[0]]
        text += json.dumps(best, ensure_ascii=False)[1:-1] + '"' + (", " if following else "}")
    return text


def test_answers_are_those_of_the_slow_way(generator: TransformersGenerator) -> None:
    prompts = asked(6, "gender", "job")
    got = texts(generator, prompts)
    assert got == {prompt.key: slowly(generator, prompt) for prompt in prompts}
    assert generator._reader.shares
    for text in got.values():
        assert list(json.loads(text)) == ["gender", "job"] and json.loads(text)["job"] in JOBS


def test_scores_are_those_of_the_slow_way(generator: TransformersGenerator) -> None:
    prompts = asked(5, "job")
    tokens = [prompt_tokens(generator.tokenizer, prompt.messages) for prompt in prompts]
    ways = [_ways(generator.tokenizer, '{"job": "', JOBS, "}")] * len(prompts)
    read = Reader(generator.model, 3).read(tokens)
    found = np.log(_shares(read, ways))
    wanted = np.array([[score(generator, prompt, '{"job": "', job, "}") for job in JOBS] for prompt in prompts])
    assert np.allclose(found - found[:, :1], wanted - wanted[:, :1], atol=1e-3)
    assert np.abs(wanted - wanted[:1]).max() > 0.1, "prompts differ"
    read.reader.shares = False
    assert np.allclose(np.log(_shares(read, ways)), found, atol=1e-3)


def test_an_age_is_scored_from_0_to_99(tiny: Path) -> None:
    generator = made(tiny / "llama")
    (prompt,) = asked(1, "age")
    assert texts(generator, [prompt]) == {"p0": slowly(generator, prompt)}


@pytest.mark.parametrize("kind", ["llama", "glm"])
def test_one_big_batch_equals_single_prompts(tiny: Path, kind: str) -> None:
    prompts = asked(11, "gender", "price", "job")
    assert texts(made(tiny / kind, 1), prompts) == texts(made(tiny / kind, 8), prompts)


def test_models_that_cannot_share_are_read_alone(tiny: Path) -> None:
    prompts = asked(4, "job", "gender", "price")
    shared = texts(made(tiny / "llama"), prompts)
    alone = TransformersGenerator(str(tiny / "llama"), GenerationSettings(max_tokens=12, batch_size=3))
    alone._reader.shares = False
    assert texts(alone, prompts) == shared
    windowed = TransformersGenerator(str(tiny / "llama"), GenerationSettings(max_tokens=12))
    windowed.model.config.sliding_window = 100
    assert texts(windowed, prompts) == shared and windowed._reader.shares is None


def test_a_model_that_only_seems_to_share_is_found_out(tiny: Path) -> None:
    """One that does not heed where tokens stand."""
    generator = TransformersGenerator(str(tiny / "llama"), GenerationSettings(max_tokens=12))
    forward = generator.model.forward
    generator.model.forward = lambda **inputs: forward(**{k: v for k, v in inputs.items() if k != "position_ids"})
    prompts = asked(4, "job")
    assert texts(generator, prompts) == texts(made(tiny / "llama"), prompts)
    assert generator._reader.shares is False


def test_a_beginning_of_another_answer_gains_nothing_by_it(tiny: Path) -> None:
    tokenizer = made(tiny / "llama").tokenizer
    ways = _ways(tokenizer, '{"job": "', ["art", "artist"], "}")
    assert [tokenizer.decode([*ways.stem, *twig]) for twig in ways.twigs] == ['{"job": "art"', '{"job": "artist"']
    assert all(ways.twigs)


def test_a_title_that_is_a_mark_stays_text(tiny: Path) -> None:
    tokenizer = made(tiny / "llama").tokenizer
    ways = _ways(tokenizer, '{"job": "', ["</s>", "x"], "}")
    assert tokenizer.eos_token_id not in [token for twig in ways.twigs for token in twig]


def test_tokens_are_those_of_the_whole_answer(tiny: Path) -> None:
    """Where a quote and a comma are one token, that token is scored: so the answer was learned."""
    from tokenizers import AddedToken
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(tiny / "llama")
    tokenizer.add_tokens([AddedToken('",', normalized=False)])
    (row,) = _tokens(tokenizer, ['{"job": "art'], '", "gender": "')
    assert tokenizer.decode(row[-1:]) == '",'
    whole = tokenizer('{"job": "art", "gender": "', add_special_tokens=False)["input_ids"]
    assert whole[: len(row)] == row


class Dictated:
    """Stands for prompts that were read: the model would write `texts`, one to a prompt."""

    def __init__(self, tokenizer: Any, texts: list[str]) -> None:
        self._stem = len(_tokens(tokenizer, ['{"price": "'])[0])
        self._rows = _tokens(tokenizer, texts)
        self._size = len(tokenizer)

    def logits(self, ways: list[Ways]) -> list[Any]:
        import torch

        places = [len(way.stem) - self._stem for way in ways]
        wanted = [row[min(place, len(row) - 1)] for place, row in zip(places, self._rows, strict=True)]
        return [torch.eye(self._size)[[token]] for token in wanted]


def test_a_number_is_written_up_to_its_quote(tiny: Path) -> None:
    tokenizer = made(tiny / "llama").tokenizer
    read: Any = Dictated(tokenizer, ['4.99", "x', 'free"}', '0"', "1234567890"])
    assert _written(read, tokenizer, ['{"price": "'] * 4) == ["4.99", "free", "0", "12345678…"]
    for text in texts(made(tiny / "llama"), asked(3, "price")).values():
        assert list(json.loads(text)) == ["price"]


def test_what_is_to_be_explained_is_still_written(tiny: Path) -> None:
    generator = made(tiny / "llama")
    both = [*sample_prompts(3), *(replace(prompt, key=f"a{prompt.key}") for prompt in asked(3, "gender"))]
    found = {answer.key: answer for answer in generator.generate(both)}
    alone = {answer.key: answer for answer in generator.generate(both[:3])}
    assert {key: found[key] for key in alone} == alone and len(found) == 6
    assert json.loads(found["ap0"].text)["gender"] in ("female", "male")
