"""Labelled pairs that a tiny model can learn to tell apart in seconds, and such models."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from llmxrec.evaluation.judges.local import read_words
from llmxrec.records import Case, Pair, Winner

TEXTS = ("It fits you", "It fits us", "It bores you", "It bores us")


def marked_pairs(number: int, start: int = 100) -> list[Pair]:
    """The better text says "fits", the other "bores". Who wrote which tells nothing, nor does the place."""
    draw = random.Random(start)
    return [
        _pair(n, f"It fits {draw.choice(['you', 'us'])}", f"It bores {draw.choice(['you', 'us'])}", draw)
        for n in range(start, start + number)
    ]


def paired_words(number: int, start: int = 100) -> list[Pair]:
    """The better text says "fits you" or "bores us", the other one of the other two: no word alone tells."""
    draw = random.Random(start)
    return [
        _pair(n, draw.choice(["It fits you", "It bores us"]), draw.choice(["It fits us", "It bores you"]), draw)
        for n in range(start, start + number)
    ]


def _pair(number: int, better: str, worse: str, draw: random.Random) -> Pair:
    first = draw.random() < 0.5
    winner: Winner = "first" if first else "second"
    one, other = draw.sample("AB", 2)
    texts = (better, worse) if first else (worse, better)
    return Pair(Case("k", f"Why film {number}?", texts), winner, f"g{number}", (one, other))


def make_model(folder: Path, spread: float) -> Path:
    """A model with random weights of standard deviation `spread`, and a tokenizer that knows the judges' own words."""
    import torch
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    marks = {"pad_token": "<pad>", "bos_token": "<s>", "eos_token": "</s>"}
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=900, special_tokens=[*marks.values()], initial_alphabet=alphabet, show_progress=False
    )
    own = [part for name in ("pairwise", "reward") for part in read_words(name).fixed]
    tokenizer.train_from_iterator([*own, *TEXTS] * 3, trainer)
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, **marks)
    fast.save_pretrained(folder)
    torch.manual_seed(1)
    config = LlamaConfig(
        vocab_size=len(fast),
        hidden_size=64,
        intermediate_size=128,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=1024,
        initializer_range=spread,
        bos_token_id=1,
        eos_token_id=2,
        pad_token_id=0,
    )
    LlamaForCausalLM(config).save_pretrained(folder)
    return folder


@contextmanager
def one_thread() -> Iterator[None]:
    """On models this small, threads spend their time waiting for each other."""
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)
