"""Models with random weights and a tokenizer trained on three sentences: small enough to make in a second."""

from __future__ import annotations

from pathlib import Path
from typing import Any

SENTENCES = [
    "The customer watched Heat and Fargo and Seen 1; both are crime films.",
    "Why would the customer watch this film? Because its genre is drama.",
    "You explain recommendations. A crime film for those who like drama.",
]
TEMPLATE = (
    "{{ bos_token }}{% for m in messages %}<|{{ m['role'] }}|>{{ m['content'] }}\n{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>{% endif %}"
)
STRICT_TEMPLATE = (
    "{% if messages[0]['role'] == 'system' %}{{ raise_exception('System role not supported') }}{% endif %}" + TEMPLATE
)


def make_models(root: Path) -> None:
    """Folders of models in `root`.

    llama and glm (the architecture of the paper's ChatGLM, as its successors have it); strict: llama, whose chat
    template refuses a system role; plain: llama without a chat template.
    """
    import torch
    from transformers import GlmConfig, GlmForCausalLM, LlamaConfig, LlamaForCausalLM

    shape = {
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "head_dim": 8,
        "max_position_embeddings": 512,
        "initializer_range": 0.5,  # so large that the answers differ from prompt to prompt
        "bos_token_id": 1,
        "eos_token_id": 2,
        "pad_token_id": 0,
    }
    templates = {"llama": TEMPLATE, "glm": TEMPLATE, "strict": STRICT_TEMPLATE, "plain": None}
    for name, template in templates.items():
        tokenizer = _tokenizer(template)
        tokenizer.save_pretrained(root / name)
        torch.manual_seed(4)
        kind, config = (GlmForCausalLM, GlmConfig) if name == "glm" else (LlamaForCausalLM, LlamaConfig)
        kind(config(vocab_size=len(tokenizer), **shape)).save_pretrained(root / name)


def _tokenizer(template: str | None) -> Any:
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=400,
        special_tokens=["<pad>", "<s>", "</s>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(SENTENCES, trainer)
    marks = {"pad_token": "<pad>", "bos_token": "<s>", "eos_token": "</s>"}
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, chat_template=template, **marks)
