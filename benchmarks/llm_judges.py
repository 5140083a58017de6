"""How fast language models judge here, against one forward pass for each ordered prompt.

    python benchmarks/llm_judges.py [--cases 3] [--rounds 3] [--threads 1]

Models with random weights, in the shape of SmolLM-135M and a tiny one; cases of five explanations of about 75 words and
an instruction of 25 films. The slow way reads the same tokens: each ordered pair as a whole prompt, ten at a time,
filled up on the right, logits of the last token alone. CPU seconds of this process, so that others on the machine
matter less; the ways take turns, medians over rounds.
"""

from __future__ import annotations

import argparse
import os
import random
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from itertools import permutations
from pathlib import Path
from statistics import median
from typing import Any

os.environ["HF_HUB_OFFLINE"] = "1"

WORDS = "the film you watched before is a drama crime comedy and its genre shares with this one because of what that"
MARKS = ["<pad>", "<s>", "</s>", "<|user|>", "<|assistant|>"]
SHAPES = {
    "tiny": {"hidden_size": 64, "num_hidden_layers": 4, "num_attention_heads": 4, "num_key_value_heads": 2,
             "intermediate_size": 128, "vocab_size": 4096},
    "135M": {"hidden_size": 576, "num_hidden_layers": 30, "num_attention_heads": 9, "num_key_value_heads": 3,
             "intermediate_size": 1536, "vocab_size": 49152, "tie_word_embeddings": True},
}  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--shape", choices=SHAPES, action="append")
    parser.add_argument("--cases", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=1)
    asked = parser.parse_args()
    import torch

    torch.set_num_threads(asked.threads)
    print(f"{asked.threads} thread(s), {asked.cases} cases, medians of {asked.rounds} rounds")
    with tempfile.TemporaryDirectory() as folder:
        for shape in asked.shape or SHAPES:
            make_model(Path(folder, shape), SHAPES[shape])
            measure(shape, Path(folder, shape), asked.cases, asked.rounds)


def make_model(folder: Path, shape: dict[str, Any]) -> None:
    """Random weights, and a tokenizer with a token for each word and each mark of its chat template."""
    import torch
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    from llmxrec.evaluation.judges.local import read_words

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=4000, special_tokens=MARKS, initial_alphabet=alphabet, show_progress=False)
    own = [part for name in ("pairwise", "reward") for part in read_words(name).fixed]
    tokenizer.train_from_iterator([*own, WORDS, *titles(), *own], trainer)
    template = "<s>{% for m in messages %}<|{{ m['role'] }}|>\n{{ m['content'] }}\n{% endfor %}"
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, chat_template=template).save_pretrained(folder)
    torch.manual_seed(1)
    config = LlamaConfig(**shape, max_position_embeddings=2048, bos_token_id=1, eos_token_id=2, pad_token_id=0)
    LlamaForCausalLM(config).save_pretrained(folder)


def titles() -> list[str]:
    return [f"{number}. Film {number} (19{number % 90 + 10}), genre: drama; crime" for number in range(1, 51)]


def make_cases(number: int) -> Iterator[Any]:
    from llmxrec.records import Case

    draw = random.Random(1)
    for case in range(number):
        history = draw.sample(titles(), 25)
        texts = tuple(" ".join(draw.choices(WORDS.split(), k=draw.randint(85, 105))) for _ in range(5))
        yield Case(f"c{case}", "\n".join(["What this customer has watched:", *history, "Why this film?"]), texts)


def measure(shape: str, folder: Path, n_cases: int, rounds: int) -> None:
    from llmxrec.evaluation.judges.pairwise import PairwiseJudge
    from llmxrec.evaluation.judges.reward import RewardJudge
    from llmxrec.testing.judges import sample_pairs

    cases = list(make_cases(n_cases))
    pairwise = PairwiseJudge(f"hf:{folder}")
    reward = RewardJudge(f"hf:{folder}", epochs=1)
    reward.fit(sample_pairs(10))
    prompts = [
        [pairwise.prompt(case.asked, case.texts[i], case.texts[j]) for i, j in permutations(range(5), 2)]
        for case in cases
    ]
    question = len(pairwise.prompt(cases[0].asked, "", ""))
    total = sum(map(len, prompts[0]))
    print(f"\n{shape}: the request and the words around it {question} tokens, a prompt {total / 20:.0f}, "
          f"explanations about {(total / 20 - question) / 2:.0f}")  # fmt: skip
    difference = farthest(pairwise, cases[0], prompts[0])
    print(f"  logits differ from those of the slow way by {difference:.1e} at most")
    model = pairwise.generator.model  # type: ignore[attr-defined]
    ways: dict[str, Callable[[], Any]] = {
        "slow, attention mask": lambda: [slow(model, some, True) for some in prompts],
        "slow, no mask": lambda: [slow(model, some, False) for some in prompts],
        "pairwise": lambda: list(pairwise.judge(cases)),
        "reward": lambda: list(reward.judge(cases)),
    }
    seconds: dict[str, list[float]] = {way: [] for way in ways}
    for _ in range(rounds):
        for way, run in ways.items():
            start = time.process_time()
            run()
            seconds[way].append((time.process_time() - start) / n_cases)
    for way, took in seconds.items():
        against = " ".join(f"{median(s / t for s, t in zip(seconds[w], took, strict=True)):6.2f} x {w}"
                           for w in ("slow, attention mask", "slow, no mask"))  # fmt: skip
        print(f"  {way:22} {median(took):8.3f} s a case; {against}")


def slow(model: Any, prompts: list[list[int]], masked: bool, at_a_time: int = 10) -> Any:
    """Logits at the ends of whole prompts. Filled up on the right, a causal model needs no mask; most callers give
    one."""
    import torch

    parts = []
    with torch.inference_mode():
        for start in range(0, len(prompts), at_a_time):
            some = prompts[start : start + at_a_time]
            width = max(map(len, some))
            ids = torch.tensor([prompt + [0] * (width - len(prompt)) for prompt in some])
            mask = torch.tensor([[1] * len(prompt) + [0] * (width - len(prompt)) for prompt in some])
            states = model.model(ids, attention_mask=mask if masked else None, use_cache=False).last_hidden_state
            ends = [len(prompt) - 1 for prompt in some]
            parts.append(model.lm_head(states[range(len(some)), ends]))
    return torch.cat(parts)


def farthest(judge: Any, case: Any, prompts: list[list[int]]) -> float:
    """The largest difference between logits of the two ways."""
    seen = []
    read = judge._reader.read
    judge._reader.read = lambda *given: seen.append(read(*given)) or seen[-1]
    list(judge.judge([case]))
    judge._reader.read = read
    return float((seen[0][1] - slow(judge.generator.model, prompts, True)).abs().max())


if __name__ == "__main__":
    sys.exit(main())
