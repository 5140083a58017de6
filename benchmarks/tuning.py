"""What a step of tuning costs, ours beside others', on the CPU with a Llama of 7 million random weights.

    python benchmarks/tuning.py [STEPS]

All take the same batches, in turn, so that whatever else the machine does falls on all alike: our loop; a bare loop of
PEFT and PyTorch that makes logits where an answer's token is next; the same with all logits; and TRL's SFTTrainer where
it is installed. Prints seconds of one thread's work (CPU time) and of the clock for each step, whether the losses are
the same, and what sorting by length saves on prompts of the lengths that prompts have.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from typing import Any

import numpy as np
import torch
from peft import LoraConfig, get_peft_model
from transformers import LlamaConfig, LlamaForCausalLM

from llmxrec.tuning.causal import Sequel, answer_loss
from llmxrec.tuning.loop import Job, TuningSettings, learn, steps

VOCABULARY, BATCH, BLOCKS = 8000, 8, 4
SETTINGS = TuningSettings(
    epochs=1, batch_size=BATCH, rows_at_once=BATCH, learning_rate=1e-3, warm_up=0.0, held_out=0.0, rank=8, alpha=16.0
)


def main() -> None:
    torch.set_num_threads(1)
    count = int(sys.argv[1]) if sys.argv[1:] else 6
    rows = sequels(count * BATCH, seed=1)
    batches = [[rows[place] for place in batch] for batch in steps(list(map(length, rows)), SETTINGS, 0)]
    model = base()
    print(f"{sum(w.numel() for w in model.parameters()) / 1e6:.1f} M weights, {count} steps of {BATCH} rows, "
          f"{np.mean([length(row) for row in rows]):.0f} tokens each, of which "
          f"{np.mean([length(row) - row.read for row in rows]):.0f} are answered")  # fmt: skip
    ways = {"a bare loop, answers' logits": bare, "ours": ours, "a bare loop, all logits": bare_with_all_logits}
    if find_spec("trl"):
        ways["TRL's SFTTrainer"] = trl
    spent: dict[str, list[tuple[float, float]]] = {name: [] for name in ways}
    losses: dict[str, list[float]] = {name: [] for name in ways}
    for block in range(BLOCKS):
        names = list(ways)
        for name in names[block % len(names) :] + names[: block % len(names)]:
            tuned = adapted()
            clock, work = time.perf_counter(), time.process_time()
            losses[name] = ways[name](tuned, rows, batches)
            spent[name].append(((time.process_time() - work) / count, (time.perf_counter() - clock) / count))
    reference = min(work for work, _ in spent["a bare loop, answers' logits"])
    for name, each in spent.items():
        work, clock = (min(one) for one in zip(*each, strict=True))
        middle = statistics.median(one for one, _ in each)
        print(f"{name:32}{work:.3f} s of work a step (median {middle:.3f}), {clock:.3f} s by the clock, "
              f"{work / reference:.2f} of the bare loop's; loss {losses[name][-1]:.6f}")  # fmt: skip
    if not np.allclose(losses["ours"], losses["a bare loop, answers' logits"], rtol=1e-5):
        raise SystemExit("they did not learn the same")
    saved_by_sorting()


def length(row: Sequel) -> int:
    return len(row.tokens)


def base() -> Any:
    torch.manual_seed(1)
    return LlamaForCausalLM(
        LlamaConfig(
            vocab_size=VOCABULARY,
            hidden_size=256,
            intermediate_size=688,
            num_hidden_layers=4,
            num_attention_heads=8,
            num_key_value_heads=4,
            tie_word_embeddings=False,
        )
    )


def adapted() -> Any:
    """By PEFT alone: the same first weights for all."""
    model, how = base(), {"r": 8, "lora_alpha": 16, "lora_dropout": 0.0, "target_modules": "all-linear"}
    torch.manual_seed(1)
    return get_peft_model(model, LoraConfig(**how, task_type="CAUSAL_LM"))


def sequels(count: int, seed: int) -> list[Sequel]:
    """Rows as long as prompts about films are: a history of 3 to 20 lines of 21 tokens or so, and 150 tokens around
    them; answers of both tasks, of 12 tokens or of 40 to 110."""
    draw = np.random.default_rng(seed)
    out = []
    for _ in range(count):
        read = 150 + int(draw.normal(21, 4, size=draw.integers(3, 21)).sum())
        answer = 12 if draw.random() < 0.5 else int(draw.integers(40, 111))
        out.append(Sequel(draw.integers(3, VOCABULARY, read + answer).tolist(), read))
    return out


def ours(model: Any, rows: Sequence[Sequel], batches: Sequence[Sequence[Sequel]]) -> list[float]:
    return learn(model, Job(rows, [], answer_loss, length), SETTINGS).loss


def bare(model: Any, rows: Sequence[Sequel], batches: Sequence[Sequence[Sequel]]) -> list[float]:
    """Written without our code: hidden states, the head where an answer is next, cross entropy."""

    def loss_of(tokens: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        inner = model.get_base_model()
        states = inner.model(input_ids=tokens[:, :-1], use_cache=False).last_hidden_state
        wanted = labels[:, 1:] != -100
        return torch.nn.functional.cross_entropy(inner.lm_head(states[wanted]), labels[:, 1:][wanted])

    return plain_loop(model, batches, loss_of)


def bare_with_all_logits(model: Any, rows: Sequence[Sequel], batches: Sequence[Sequence[Sequel]]) -> list[float]:
    def loss_of(tokens: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        loss: torch.Tensor = model(input_ids=tokens, labels=labels, use_cache=False).loss
        return loss

    return plain_loop(model, batches, loss_of)


def plain_loop(
    model: Any, batches: Sequence[Sequence[Sequel]], loss_of: Callable[[torch.Tensor, torch.Tensor], torch.Tensor]
) -> list[float]:
    """Mean loss over all answers of the epoch."""
    weights = [weight for weight in model.parameters() if weight.requires_grad]
    optimizer = torch.optim.AdamW(weights, lr=1e-3, weight_decay=0.0)
    cosine = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, len(batches))
    model.train()
    total = much = 0.0
    for batch in batches:
        longest = max(map(length, batch))
        tokens = torch.tensor([[*row.tokens, *[0] * (longest - length(row))] for row in batch])
        labels = torch.full_like(tokens, -100)
        for place, row in enumerate(batch):
            labels[place, row.read : length(row)] = tokens[place, row.read : length(row)]
        loss = loss_of(tokens, labels)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(weights, 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        cosine.step()
        answers = float((labels[:, 1:] != -100).sum())
        total, much = total + loss.item() * answers, much + answers
    return [total / much]


def trl(model: Any, rows: Sequence[Sequel], batches: Sequence[Sequence[Sequel]]) -> list[float]:
    from torch.utils.data import SequentialSampler
    from trl import SFTConfig, SFTTrainer

    from datasets import Dataset

    class InOrder(SFTTrainer):  # the same batches
        def _get_train_sampler(self, *_: Any) -> Any:
            return SequentialSampler(self.train_dataset)

    flat = [row for batch in batches for row in batch]
    table = {
        "input_ids": [list(row.tokens) for row in flat],
        "completion_mask": [[0] * row.read + [1] * (length(row) - row.read) for row in flat],
    }
    with tempfile.TemporaryDirectory() as folder:
        config = SFTConfig(
            output_dir=folder,
            use_cpu=True,
            bf16=False,
            per_device_train_batch_size=BATCH,
            num_train_epochs=1,
            learning_rate=1e-3,
            lr_scheduler_type="cosine",
            warmup_steps=0,
            max_length=None,
            completion_only_loss=True,
            gradient_checkpointing=False,
            report_to=[],
            save_strategy="no",
            logging_strategy="no",
            disable_tqdm=True,
            seed=1,
        )
        trainer = InOrder(
            model=model, args=config, train_dataset=Dataset.from_dict(table), processing_class=_tokenizer(folder)
        )
        return [trainer.train().training_loss]


def _tokenizer(folder: str) -> Any:
    """Of words that are numbers: TRL asks for one, and the rows are tokens already."""
    from tokenizers import Tokenizer, models
    from transformers import PreTrainedTokenizerFast

    words = {"<pad>": 0, "<s>": 1, "</s>": 2} | {str(number): number for number in range(3, VOCABULARY)}
    marks = {"pad_token": "<pad>", "bos_token": "<s>", "eos_token": "</s>", "unk_token": "<pad>"}
    return PreTrainedTokenizerFast(
        tokenizer_object=Tokenizer(models.WordLevel(words, unk_token="<pad>")),  # noqa: S106 - no password
        **marks,
    )


def saved_by_sorting() -> None:
    """Random batches against those of like lengths: what is padding, and what a step costs."""
    rows = sequels(4000, seed=2)
    lengths = list(map(length, rows))
    draw = np.random.default_rng(1)
    order = draw.permutation(len(rows))
    drawn = [order[start : start + BATCH] for start in range(0, len(order), BATCH)]
    alike = steps(lengths, SETTINGS, 0)
    for name, batches in (("random batches", drawn), ("batches of like lengths", alike)):
        print(f"{name}: {padding(lengths, batches):.1%} of what is read is padding")
    some = draw.permutation(min(len(drawn), len(alike)))[:16]
    spent = {"random": 0.0, "alike": 0.0}
    for place in some:
        for name, batches in (("random", drawn), ("alike", alike)):
            batch = [rows[row] for row in batches[place]]
            tuned = adapted()
            start = time.process_time()
            learn(tuned, Job(batch, [], answer_loss, length), SETTINGS)
            spent[name] += (time.process_time() - start) / sum(map(length, batch))
    print(f"for the same tokens, random batches take {spent['random'] / spent['alike']:.2f} times the work")


def padding(lengths: Sequence[int], batches: Sequence[Any]) -> float:
    of = np.array(lengths)
    read = sum(len(batch) * of[batch].max() for batch in batches)
    return float(1 - of.sum() / read)


if __name__ == "__main__":
    main()
