"""What judges are tried on: tiny models made on the spot, with room for a whole question."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from tests.generators.tiny import make_models

# Read by huggingface_hub when it is first imported. No test asks the network.
os.environ["HF_HUB_OFFLINE"] = "1"


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of `make_models`, and of what `more_models` adds."""
    root = tmp_path_factory.mktemp("models")
    make_models(root)
    for name in ("llama", "glm", "strict", "plain"):
        config = json.loads((root / name / "config.json").read_text())
        (root / name / "config.json").write_text(json.dumps(config | {"max_position_embeddings": 8192}))
    _more_models(root)
    return root


def _more_models(root: Path) -> None:
    """gpt2, which learned its positions; near: sees 64 tokens back; bloom and mamba, which cannot share what they
    have read: one leans on distances in the row, the other keeps no keys and values."""
    import torch
    from transformers import (
        AutoTokenizer,
        BloomConfig,
        BloomForCausalLM,
        GPT2Config,
        GPT2LMHeadModel,
        MambaConfig,
        MambaForCausalLM,
        MistralConfig,
        MistralForCausalLM,
    )

    tokenizer = AutoTokenizer.from_pretrained(root / "llama")
    size = {"vocab_size": len(tokenizer), "bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 0}
    wide = {"initializer_range": 0.5}
    kinds = {
        "gpt2": (GPT2LMHeadModel, GPT2Config(n_embd=32, n_layer=2, n_head=4, n_positions=4096, **size, **wide)),
        "near": (
            MistralForCausalLM,
            MistralConfig(
                hidden_size=32,
                intermediate_size=64,
                num_hidden_layers=2,
                num_attention_heads=4,
                num_key_value_heads=2,
                head_dim=8,
                sliding_window=64,
                **size,
                **wide,
            ),
        ),
        "bloom": (BloomForCausalLM, BloomConfig(hidden_size=32, n_layer=2, n_head=4, **size, **wide)),
        "mamba": (MambaForCausalLM, MambaConfig(hidden_size=32, num_hidden_layers=2, state_size=4, **size)),
    }
    for name, (kind, config) in kinds.items():
        torch.manual_seed(4)
        kind(config).save_pretrained(root / name)
        tokenizer.save_pretrained(root / name)
