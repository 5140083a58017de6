"""What all tuned language models share: rows of tokens of which the answer is learned, and LoRA on the base model.

Equation 2 of the paper: the loss is that of the answer's tokens, given the prompt. Equation 3: of all weights, only the
adapter's change.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from llmxrec.errors import InputError, MissingExtra
from llmxrec.generators.transformers_local import TransformersGenerator
from llmxrec.tuning.loop import TuningSettings


@dataclass(frozen=True, slots=True)
class Sequel:
    """Tokens of which the first `read` are the prompt, and the others the answer, its end included."""

    tokens: Sequence[int]
    read: int


def with_lora(model: Any, settings: TuningSettings, *, new_tokens: Sequence[int] = ()) -> Any:
    """`model` with a fresh LoRA adapter on all its linear layers but the output: the only weights that then change.

    `new_tokens` are tokens whose embeddings change too, each by itself. The adapter is drawn from the settings' seed.
    """
    try:
        import torch
        from peft import LoraConfig, get_peft_model
    except ImportError:
        raise MissingExtra("tuning", "tune") from None
    lora = LoraConfig(
        r=settings.rank,
        lora_alpha=settings.alpha,
        lora_dropout=settings.dropout,
        target_modules="all-linear",
        trainable_token_indices={"embed_tokens": list(new_tokens)} if new_tokens else None,
        task_type="CAUSAL_LM",
    )
    on_cuda = model.device.type == "cuda"
    with torch.random.fork_rng(devices=[model.device] if on_cuda else []), warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # PEFT asks transformers by old names
        torch.manual_seed(settings.seed)
        return get_peft_model(model, lora)


def tunable(generator: TransformersGenerator, settings: TuningSettings) -> Any:
    """The model of `generator`, to be tuned: with a fresh adapter (see `with_lora`), or with the one that it came with,
    which goes on learning. It is the generator's from now on."""
    if settings.quantize:
        raise InputError("judges and preferences are learned by a model in full weights", cure="leave quantize out")
    model = generator.model
    if hasattr(model, "peft_config"):
        model.set_adapter(model.active_adapter)  # PEFT loads adapters with weights that do not change
    else:
        generator.model = model = with_lora(model, settings)
    return model


def answer_loss(model: Any, rows: Sequence[Sequel]) -> tuple[Any, float]:
    """The summed loss of the answers' tokens, and how many there are (see `Job`).

    Logits are made where an answer's token is next, and nowhere else: with a large vocabulary they cost more than all
    layers. Rows are filled up behind, where nothing looks back at.
    """
    import torch

    logits, wanted = answer_logits(model, rows)
    loss = torch.nn.functional.cross_entropy(logits.float(), wanted, reduction="sum")
    return loss, float(len(wanted))


def answer_logits(model: Any, rows: Sequence[Sequel]) -> tuple[Any, Any]:
    """Logits (answer tokens, vocabulary) from which each answer token of `rows` is to be told, and these tokens, one
    row's after the other's."""
    import torch

    longest = max(len(row.tokens) for row in rows)
    device = model.device
    tokens = torch.tensor([[*row.tokens, *[0] * (longest - len(row.tokens))] for row in rows], device=device)
    wanted = torch.zeros(tokens.shape, dtype=torch.bool, device=device)
    for number, row in enumerate(rows):
        wanted[number, row.read : len(row.tokens)] = True
    head = model.get_output_embeddings()
    # The model's own way to logits, for some scale or bend them; only the head is told where they are wanted.
    at_answers = head.register_forward_pre_hook(lambda _, given: (_at(given[0], wanted[:, 1:]),))
    try:
        logits = model(input_ids=tokens[:, :-1], use_cache=False).logits[0]
    finally:
        at_answers.remove()
    return logits, tokens[wanted]


def _at(states: Any, places: Any) -> Any:
    """Of `states` (row, place, size), those at `places` (a mask), as one row."""
    return states[places.to(states.device)].unsqueeze(0)


def answer_scores(model: Any, rows: Sequence[Sequel]) -> Any:
    """The log-probability of each row's answer, (rows,): the sum over its tokens."""
    import torch

    logits, wanted = answer_logits(model, rows)
    of_tokens = -torch.nn.functional.cross_entropy(logits.float(), wanted, reduction="none")
    counts = torch.tensor([len(row.tokens) - row.read for row in rows], device=of_tokens.device)
    owners = torch.arange(len(rows), device=of_tokens.device).repeat_interleave(counts)
    return of_tokens.new_zeros(len(rows)).index_add(0, owners, of_tokens)


def trained(model: Any) -> Mapping[str, Any]:
    """The weights that change, by name."""
    return {name: weight for name, weight in model.named_parameters() if weight.requires_grad}
