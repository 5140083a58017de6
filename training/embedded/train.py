"""Train the embedded model and put it into the package: one command, seeded, within an hour on two cores.

    python training/embedded/train.py [--texts 75000] [--epochs 3] [--seed 1] [--out FOLDER]
    python training/embedded/train.py --from FOLDER --texts 15000 --epochs 1 --seed 2      after patterns were mended

Reads the patterns beside it and nothing else. Writes config.json, model.safetensors, tokenizer files, phrases.txt and
card.json. With --from it goes on from a model that knows all words of the patterns, in smaller steps: minutes instead
of a whole training.
"""

from __future__ import annotations

import argparse
import json
import random
import re
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from corpus import PACKAGE, example, known_phrases, patterns
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from llmxrec.generators.embedded import slots
from llmxrec.generators.embedded.phrases import write_phrases

SHAPE = {
    "hidden_size": 192,
    "intermediate_size": 576,
    "num_hidden_layers": 5,
    "num_attention_heads": 6,
    "num_key_value_heads": 1,
    "max_position_embeddings": 160,
    "tie_word_embeddings": True,
}
BATCH, RATE, WARM = 64, 2e-3, 300
HELD_OUT = 2_000
WORDS = Path(__file__).parent / "words.txt"
ES = re.compile("(?:s|sh|ch|x|z)$")
MOVES = ("cause", "property", "more", "count", "taste", "novelty", "own", "recent", "bare", "profile", "close", "plain")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--texts", type=int, default=75_000)
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--from", dest="before", type=Path, help="the model to go on from")
    parser.add_argument("--out", type=Path, default=PACKAGE)
    asked = parser.parse_args()
    start = time.perf_counter()
    random_ = random.Random(asked.seed)
    texts = [numbered(random_) for _ in range(asked.texts + HELD_OUT)]
    signs = [*slots.MARKS, *slots.SLOTS, *slots.SENTENCE_ENDS, ",", ":", ";"]
    words = sorted({word for _, text in texts for word in text} - {*signs})
    written = len(signs) + len(words)
    vocabulary = [*signs, *words, *sorted({*more_words()} - {*words})]
    if asked.before:
        known = PreTrainedTokenizerFast.from_pretrained(asked.before)
        vocabulary = known.convert_ids_to_tokens(list(range(len(known))))
        written = LlamaConfig.from_pretrained(asked.before).written
    number = {token: n for n, token in enumerate(vocabulary)}
    rows = [[number[token] for token in [*read, *text, slots.END]] for read, text in texts]
    print(f"{len(rows):,} texts, {len(vocabulary):,} tokens known, {time.perf_counter() - start:.0f} s", flush=True)
    torch.manual_seed(asked.seed)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    ids = {"bos_token_id": number[slots.BEGIN], "eos_token_id": number[slots.END], "pad_token_id": number[slots.PAD]}
    if asked.before:
        model = LlamaForCausalLM.from_pretrained(asked.before, dtype=torch.float32).to(device)
    else:
        model = LlamaForCausalLM(LlamaConfig(vocab_size=len(vocabulary), written=written, **SHAPE, **ids)).to(device)
    rate = RATE / 4 if asked.before else RATE
    curve = learn(model, rows[HELD_OUT:], rows[:HELD_OUT], asked.epochs, asked.seed, rate)
    save(model, vocabulary, asked.out)
    write_phrases(asked.out, known_phrases())
    card = {
        "parameters": sum(parameter.numel() for parameter in model.parameters()),
        "vocabulary": len(vocabulary),
        "written": written,
        "patterns": sum(len(patterns(move)) for move in MOVES),
        "texts": asked.texts,
        "epochs": asked.epochs,
        "seed": asked.seed,
        "seconds": round(time.perf_counter() - start),
        "device": device,
        "threads": torch.get_num_threads(),
        "held_out_loss": curve,
    }
    if asked.before:
        card["before"] = json.loads((asked.before / "card.json").read_text())
    (asked.out / "card.json").write_text(json.dumps(card, indent=2) + "\n")
    print(json.dumps(card), flush=True)


def more_words() -> Iterator[str]:
    """The words of words.txt, with the forms that a sign behind one stands for."""
    lines = WORDS.read_text(encoding="utf-8").splitlines()
    for word in (word for line in lines if not line.startswith("#") for word in line.split()):
        stem = word.rstrip("+-~")
        yield stem
        if word == stem:
            continue
        yield f"{stem[:-1]}ies" if re.search("[^aeiou]y$", stem) else stem + ("es" if ES.search(stem) else "s")
        doubled = stem + stem[-1] if re.fullmatch("[^aeiou]*[aeiou][^aeiouwxy]", stem) else stem
        if word[-1] in "-~":
            yield f"{stem[:-1] if re.search('[^eo]e$', stem) else doubled}ing"
        if word[-1] == "~":
            yield f"{stem[:-1]}ied" if re.search("[^aeiou]y$", stem) else f"{doubled.removesuffix('e')}ed"


def numbered(random_: random.Random) -> tuple[list[str], list[str]]:
    """What the model reads, and what it is to write."""
    plan, tokens = example(random_)
    n_sentences = sum(token in slots.SENTENCE_ENDS for token in tokens)
    return slots.read_plan(plan, min(n_sentences, slots.MOST_SENTENCES)), tokens


def learn(
    model: LlamaForCausalLM, rows: list[list[int]], held_out: list[list[int]], epochs: int, seed: int, rate: float
) -> list[float]:
    """AdamW with a warm start and a cosine's fall; returns the loss per token on `held_out` after each epoch."""
    read = slots.READ
    steps = epochs * (len(rows) // BATCH)
    optimizer = torch.optim.AdamW(model.parameters(), lr=rate, betas=(0.9, 0.98), weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda step: min(1.0, (step + 1) / WARM) * 0.5 * (1 + np.cos(np.pi * min(1.0, step / steps)))
    )
    draw = np.random.default_rng(seed)
    curve, done, start = [], 0, time.perf_counter()
    for _ in range(epochs):
        model.train()
        for some in batches([len(row) for row in rows], draw):
            loss = loss_of(model, [rows[n] for n in some], read)
            optimizer.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            schedule.step()
            done += 1
            if done % 100 == 0:
                left = (time.perf_counter() - start) / done * (steps - done)
                print(f"step {done:,} of {steps:,}, loss {loss.item():.3f}, {left / 60:.1f} min left", flush=True)
        model.eval()
        with torch.inference_mode():
            parts = [loss_of(model, held_out[n : n + BATCH], read).item() for n in range(0, len(held_out), BATCH)]
        curve.append(round(float(np.mean(parts)), 4))
        print(f"held out: {curve[-1]}", flush=True)
    return curve


def batches(lengths: list[int], draw: np.random.Generator) -> list[np.ndarray]:
    """Random batches of like lengths."""
    order = draw.permutation(len(lengths))
    out = []
    for start in range(0, len(order), 64 * BATCH):
        block = order[start : start + 64 * BATCH]
        block = block[np.argsort(np.array(lengths)[block], kind="stable")]
        out += [block[n : n + BATCH] for n in range(0, len(block) - BATCH + 1, BATCH)]
    return [out[n] for n in draw.permutation(len(out))]


def loss_of(model: LlamaForCausalLM, rows: list[list[int]], read: int) -> torch.Tensor:
    """Per token that is to be written: the plan is read, not learned."""
    longest = max(map(len, rows))
    pad = model.config.pad_token_id
    tokens = torch.tensor([row + [pad] * (longest - len(row)) for row in rows], device=model.device)
    states = model.model(tokens[:, :-1]).last_hidden_state[:, read - 1 :]
    wanted = tokens[:, read:]
    there = wanted != pad
    return torch.nn.functional.cross_entropy(model.lm_head(states[there]), wanted[there])


def save(model: LlamaForCausalLM, vocabulary: list[str], folder: Path) -> None:
    """An ordinary transformers model with its tokenizer; half precision, since a fact cannot be rounded away."""
    tokenizer = Tokenizer(models.WordLevel({token: n for n, token in enumerate(vocabulary)}, unk_token=slots.UNKNOWN))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    marks = {"pad_token": slots.PAD, "bos_token": slots.BEGIN, "eos_token": slots.END, "unk_token": slots.UNKNOWN}
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, **marks).save_pretrained(folder)
    model.to(torch.float16).save_pretrained(folder)


if __name__ == "__main__":
    main()
