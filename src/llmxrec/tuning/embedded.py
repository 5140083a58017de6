"""Tune the embedded model to predict attributes: an adapter with tokens for items and answers (LoRA, through PEFT)."""

from __future__ import annotations

import json
import random
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from llmxrec.errors import InputError, MissingExtra
from llmxrec.generators.embedded.attributes import answer_token, ask_token, item_token, known_answers, read_items
from llmxrec.generators.embedded.generator import MODEL
from llmxrec.progress import Advance, quiet
from llmxrec.records import Instruction

_RATE, _BATCH, _RANK = 5e-3, 32, 8
_LAYERS = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]

Example = tuple[Instruction, Mapping[str, str]]
"""What is asked (task `predict`), and the true answer to each of its targets."""


def tune_attributes(
    examples: Sequence[Example], out: Path, *, epochs: int = 10, seed: int = 1, advance: Advance = quiet
) -> list[float]:
    """Learn to predict the attributes in `examples`, write the adapter to `out`; returns the loss of each epoch.

    The loss is that of the answer among the answers to its attribute, and of nothing that is read (the paper's equation
    2). Only LoRA's matrices and the new tokens' embeddings change (equation 3). Raises InputError where there is
    nothing to learn.
    """
    try:
        import torch
        from peft import LoraConfig, get_peft_model
        from transformers import LlamaForCausalLM, PreTrainedTokenizerFast
    except ModuleNotFoundError:
        raise MissingExtra("tuning", "torch") from None

    answers = {(target, answer) for _, truth in examples for target, answer in truth.items()}
    if len({target for target, _ in answers}) == len(answers):
        raise InputError("tuning needs rows with different answers", value=f"{len(examples)} rows")
    items = {item.item_id: None for asked, _ in examples for item in (*asked.history, asked.candidate)}
    tokens = [*map(item_token, items), *map(ask_token, sorted({target for target, _ in answers}))]
    tokens += [answer_token(target, answer) for target, answer in sorted(answers)]

    torch.manual_seed(seed)
    tokenizer = PreTrainedTokenizerFast.from_pretrained(MODEL)
    model = LlamaForCausalLM.from_pretrained(MODEL, dtype=torch.float32)
    before = len(tokenizer)
    tokenizer.add_tokens(tokens)
    model.resize_token_embeddings(len(tokenizer), mean_resizing=False)
    config = LoraConfig(
        r=_RANK,
        lora_alpha=2 * _RANK,
        target_modules=_LAYERS,
        trainable_token_indices={"embed_tokens": list(range(before, len(tokenizer)))},
    )
    tuned = get_peft_model(model, config)
    number = tokenizer.get_vocab()
    known = known_answers(tokenizer.convert_ids_to_tokens(list(range(len(tokenizer)))))
    place = {target: {value: n for n, value in enumerate(found.values)} for target, found in known.items()}
    choices = {target: torch.from_numpy(found.tokens) for target, found in known.items()}
    optimizer = torch.optim.AdamW([p for p in tuned.parameters() if p.requires_grad], lr=_RATE, weight_decay=0.01)
    random_ = random.Random(seed)
    rows = [(read_items(asked, number), dict(truth)) for asked, truth in examples if truth]
    schedule = torch.optim.lr_scheduler.LinearLR(optimizer, 1.0, 0.05, epochs * -(-len(rows) // _BATCH))
    curve = []
    for _ in range(epochs):
        random_.shuffle(rows)
        losses = []
        for start in range(0, len(rows), _BATCH):
            some = rows[start : start + _BATCH]
            loss = _loss(tuned, [_drawn(read, truth, random_) for read, truth in some], known, choices, place)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
            losses.append(loss.item())
            advance(len(some))
        curve.append(round(sum(losses) / len(losses), 4))
    tuned.save_pretrained(out, save_embedding_layers=False)
    tokenizer.save_pretrained(out)
    card = {"task": "attributes", "rows": len(rows), "epochs": epochs, "seed": seed, "loss": curve}
    (out / "card.json").write_text(json.dumps(card, indent=2) + "\n", encoding="utf-8")
    return curve


def _drawn(read: list[int], truth: dict[str, str], random_: random.Random) -> tuple[list[int], list[str], list[str]]:
    """A row as it is learned this time: a stretch of its history, and its attributes in any order.

    So it does not learn whole histories by heart, and what was asked before decides nothing.
    """
    begin, candidate, *history = read
    kept = random_.randint(min(len(history), 1 + len(history) // 2), len(history)) if history else 0
    start = random_.randint(0, len(history) - kept)
    targets = random_.sample(sorted(truth), len(truth))
    return [begin, candidate, *history[start : start + kept]], targets, [truth[target] for target in targets]


def _loss(model: Any, rows: list[tuple[list[int], list[str], list[str]]], known: Any, choices: Any, place: Any) -> Any:
    """Mean over all that is asked. Rows are filled up behind, where nothing looks back at."""
    import torch

    sequences = [[*read, *(known[target].ask for target in targets)] for read, targets, _ in rows]
    longest = max(map(len, sequences))
    tokens = torch.tensor([row + [0] * (longest - len(row)) for row in sequences])
    states = model.base_model.model.model(tokens).last_hidden_state
    embedding = model.base_model.model.get_output_embeddings()
    losses = []
    for target, among in choices.items():
        asks = [
            (row, len(read) + targets.index(target), answers[targets.index(target)])
            for row, (read, targets, answers) in enumerate(rows)
            if target in targets
        ]
        if asks:
            at, where, answer = zip(*asks, strict=True)
            scores = embedding(states[list(at), list(where)])[:, among]
            wanted = torch.tensor([place[target][value] for value in answer])
            losses.append(torch.nn.functional.cross_entropy(scores, wanted))
    return torch.stack(losses).mean()
