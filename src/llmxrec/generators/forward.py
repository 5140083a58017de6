"""One forward pass of a local model, of which only what is wanted is computed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any


def forward(model: Any, ends: Sequence[tuple[int, int]], **inputs: Any) -> tuple[Any, Any, list[tuple[Any, Any]]]:
    """Hidden states (ends, size) and logits (ends, vocabulary) at `ends` (row, column), and, where the model keeps a
    cache, keys and values of each layer.

    The head is given the hidden states at `ends` alone: all other logits would be computed in vain.
    """
    head = model.get_output_embeddings()
    picked: list[Any] = []

    def pick(_module: Any, given: tuple[Any, ...]) -> tuple[Any, ...]:
        hidden = given[0][[row for row, _ in ends], [column for _, column in ends]]
        picked.append(hidden)
        return (hidden[None],)

    hook = head.register_forward_pre_hook(pick)
    try:
        inputs = {name: value.to(model.device) if hasattr(value, "to") else value for name, value in inputs.items()}
        output = model(**inputs)
    finally:
        hook.remove()
    layers = [(layer.keys, layer.values) for layer in output.past_key_values.layers] if inputs["use_cache"] else []
    return picked[0], output.logits[0], layers
