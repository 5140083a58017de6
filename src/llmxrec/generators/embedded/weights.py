"""The embedded model's numbers and words, from the package and from an adapter. Nothing else is read or run."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from llmxrec.errors import InputError
from llmxrec.generators.embedded.phrases import Phrase, read_phrases

Floats: TypeAlias = npt.NDArray[np.float32]

_EMBEDDING = "model.embed_tokens.weight"
_TUNED_TOKENS = "model.embed_tokens.token_adapter.trainable_tokens_delta"


@dataclass(frozen=True)
class Weights:
    """A model as it is written with. `arrays` are named as transformers names them (`LlamaForCausalLM`).

    The first `written` tokens of `vocabulary` are those that may be written: what the model learned to write, and what
    an adapter taught it since. The others are known by name only. What it writes is made of `phrases`, if there are any
    (see `phrases`).
    """

    config: Mapping[str, Any]
    arrays: Mapping[str, Floats]
    vocabulary: tuple[str, ...]
    written: int
    phrases: frozenset[Phrase] = frozenset()


def load_weights(folder: Path, adapter: Path | None = None) -> Weights:
    """The model in `folder`, as transformers writes it, with the LoRA `adapter` that PEFT wrote to another folder.

    An adapter may have new tokens (a tokenizer lies beside it then) and tokens tuned by name. Raises InputError where
    it is no adapter, or of another model.
    """
    from safetensors.numpy import load_file

    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    vocabulary = _vocabulary(folder)
    arrays = {name: array.astype(np.float32) for name, array in load_file(folder / "model.safetensors").items()}
    tuned: list[int] = []
    phrases: set[Phrase] = set()
    if adapter is not None:
        if (adapter / "tokenizer.json").exists():
            more = _vocabulary(adapter)
            if more[: len(vocabulary)] != vocabulary:
                raise InputError("an adapter's tokenizer goes on from the model's", value=str(adapter), cure=_CURE)
            new = np.zeros((len(more) - len(vocabulary), arrays[_EMBEDDING].shape[1]), np.float32)
            arrays[_EMBEDDING], vocabulary = np.concatenate([arrays[_EMBEDDING], new]), more
        tuned = _add(arrays, adapter)
        if phrases := read_phrases(adapter):
            phrases |= read_phrases(folder)
    written = int(config.get("written", len(vocabulary)))
    learned = sorted(token for token in set(tuned) if token >= written and not vocabulary[token].startswith("<"))
    order = [*range(written), *learned, *sorted({*range(written, len(vocabulary))} - {*learned})]
    arrays[_EMBEDDING] = arrays[_EMBEDDING][order]
    words = tuple(vocabulary[token] for token in order)
    return Weights(config, arrays, words, written + len(learned), frozenset(phrases))


_CURE = "tune it on the model in the package"


def known_words() -> frozenset[str]:
    """The words, in small letters, that the shipped model knows: what explanations are usually made of."""
    return frozenset(token for token in _vocabulary(Path(__file__).parent / "model") if token.isalpha())


def _vocabulary(folder: Path) -> list[str]:
    content = json.loads((folder / "tokenizer.json").read_text(encoding="utf-8"))
    known = {**content["model"]["vocab"], **{token["content"]: token["id"] for token in content["added_tokens"]}}
    return sorted(known, key=lambda token: int(known[token]))


def _add(arrays: dict[str, Floats], adapter: Path) -> list[int]:
    """Add what an adapter learned; returns the tokens that it was taught.

    On linear layers that is alpha / r times B A (Hu et al., 2022, section 4.1); a tuned token's embedding takes the
    place of the old one.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    try:
        config = json.loads((adapter / "adapter_config.json").read_text(encoding="utf-8"))
        parts = load_file(adapter / "adapter_model.safetensors")
        rank, alpha = int(config["r"]), float(config["lora_alpha"])
        tuned = [int(token) for token in (config.get("trainable_token_indices") or {}).get("embed_tokens", ())]
    except (OSError, ValueError, KeyError, TypeError, AttributeError, SafetensorError) as error:
        said = f"a LoRA adapter is a folder with adapter_config.json and adapter_model.safetensors: {error}"
        raise InputError(said, value=str(adapter), cure="give one that PEFT saved") from None
    scale = np.float32(alpha / (rank**0.5 if config.get("use_rslora") else rank))
    for name, first in parts.items():
        bare = name.removeprefix("base_model.model.")
        if bare.endswith(".lora_B.weight"):
            continue
        if bare == _TUNED_TOKENS and first.shape == (len(tuned), arrays[_EMBEDDING].shape[1]):
            arrays[_EMBEDDING][tuned] = first
            continue
        target = bare.replace(".lora_A.weight", ".weight")
        second = parts.get(name.replace(".lora_A.weight", ".lora_B.weight")) if ".lora_A." in name else None
        if second is None or target not in arrays or arrays[target].shape != (len(second), first.shape[1]):
            rule = "an adapter of the embedded model is LoRA on its linear layers, and embeddings of tokens"
            raise InputError(rule, value=name, cure=_CURE, file=adapter)
        arrays[target] = arrays[target] + scale * (second.astype(np.float32) @ first.astype(np.float32))
    return tuned
