"""Generators that run here, with transformers."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property
from importlib.util import find_spec
from itertools import islice
from pathlib import Path
from typing import Any

from llmxrec.errors import InputError, MissingExtra, WorkError
from llmxrec.generators.constrained import Reader, answer
from llmxrec.generators.replies import brief, ended, speakable
from llmxrec.generators.specs import GenerationSettings
from llmxrec.records import Answer, Message, Prompt
from llmxrec.seeds import derive

log = logging.getLogger(__name__)

_MODEL_IS = "give a folder with config.json, tokenizer files and safetensors, or a name on the Hugging Face hub"
_WINDOW = 16
"""Batches drawn ahead, to be sorted by length: padding costs as much as words do."""


class TransformersGenerator:
    """Runs `model`, a folder or a name on the Hugging Face hub, with a LoRA `adapter` folder if one is given.

    On CUDA where there is one (bfloat16, over all devices if need be), else on the CPU (float32). Weights are read
    from safetensors only. The tokenizer is read at once, the weights when the first answer is wanted.

    An answer depends on its prompt and the settings alone, not on what shares its batch: words are drawn with each
    prompt's own random numbers. (Half precision rounds differently in batches of different shapes, so on a GPU this
    holds for equal batches only.) `context_tokens` is what the model's position limit leaves after `max_tokens`; a
    longer prompt is `invalid`. The model's own defaults for drawing words (temperature, penalties) are left aside.

    Where attributes are to be predicted (task `predict`), nothing is drawn: see `llmxrec.generators.constrained`.
    """

    def __init__(
        self,
        model: str,
        settings: GenerationSettings | None = None,
        *,
        adapter: Path | None = None,
        name: str | None = None,
    ) -> None:
        try:
            import torch
            import transformers
        except ImportError:
            raise MissingExtra("an hf: generator", "torch") from None
        self.name = name or (f"hf:{model}" if adapter is None else f"hf:{model}+{adapter}")
        self.settings = settings or GenerationSettings()
        self._source = model
        self._adapter = None if adapter is None else _checked_adapter(adapter)
        self._device = "cuda" if torch.cuda.is_available() else "cpu"
        trust = self.settings.trust_remote_code
        if model.startswith(("/", ".", "~")) and not Path(model).is_dir():
            raise InputError("no such folder", value=model, cure=_MODEL_IS)
        try:
            self.tokenizer = transformers.AutoTokenizer.from_pretrained(model, trust_remote_code=trust)
            config = transformers.AutoConfig.from_pretrained(model, trust_remote_code=trust)
        except Exception as error:  # noqa: BLE001 - what a broken file raises is up to three libraries
            raise _not_loaded("model", model, error) from None
        window = getattr(config.get_text_config(), "max_position_embeddings", None)
        self.context_tokens = self.settings.room(window, model)

    def count_tokens(self, messages: Sequence[Message]) -> int:
        """The true number, the chat template's own tokens included."""
        return len(prompt_tokens(self.tokenizer, messages))

    def generate(self, prompts: Iterable[Prompt]) -> Iterator[Answer]:
        source = iter(prompts)
        size = self.settings.batch_size
        while window := list(islice(source, size * _WINDOW)):
            fitting: list[tuple[Prompt, list[int]]] = []
            for prompt in window:
                tokens = prompt_tokens(self.tokenizer, prompt.messages)
                if wrong := self._wrong(tokens):
                    yield Answer(prompt.key, "", "invalid", len(tokens), detail=wrong)
                else:
                    fitting.append((prompt, tokens))
            # Longest first: if memory does not suffice, that shows at once.
            fitting.sort(key=lambda pair: len(pair[1]), reverse=True)
            for start in range(0, len(fitting), size):
                yield from self._answers(fitting[start : start + size])

    def _wrong(self, tokens: list[int]) -> str | None:
        if not tokens:
            return "the prompt holds no tokens"
        if self.context_tokens is not None and len(tokens) > self.context_tokens:
            return f"the prompt has {len(tokens)} tokens, the model has room for {self.context_tokens}"
        return None

    def _answers(self, batch: Sequence[tuple[Prompt, list[int]]]) -> Iterator[Answer]:
        """Of one batch: what is to be predicted together with what is asked alike, all else written."""
        import torch

        alike: dict[str, list[tuple[Prompt, list[int]]]] = {}
        for prompt, tokens in batch:
            asked = prompt.instruction.targets
            alike.setdefault(repr((asked, dict(prompt.choices))) if asked else "", []).append((prompt, tokens))
        for targets, rows in alike.items():
            try:
                yield from self._predicted(rows) if targets else self._written(rows)
            except torch.cuda.OutOfMemoryError:
                raise WorkError(
                    f"the device's memory does not hold {len(rows)} prompts of up to "
                    f"{max(len(tokens) for _, tokens in rows)} tokens; lower batch_size"
                ) from None

    def _predicted(self, batch: Sequence[tuple[Prompt, list[int]]]) -> Iterator[Answer]:
        prompts = [tokens for _, tokens in batch]
        asked = batch[0][0]
        texts = answer(self._reader, self.tokenizer, prompts, asked.instruction.targets, asked.choices)
        for (prompt, tokens), text in zip(batch, texts, strict=True):
            written = len(self.tokenizer(text, add_special_tokens=False)["input_ids"])
            yield Answer(prompt.key, speakable(text), "ok", len(tokens), written)

    def _written(self, batch: Sequence[tuple[Prompt, list[int]]]) -> Iterator[Answer]:
        import torch

        model, settings = self.model, self.settings
        longest = max(len(tokens) for _, tokens in batch)
        pad = model.generation_config.pad_token_id
        # Padding stands on the left, so that every prompt ends where its answer begins.
        ids = torch.tensor([[pad] * (longest - len(tokens)) + tokens for _, tokens in batch])
        mask = torch.tensor([[0] * (longest - len(tokens)) + [1] * len(tokens) for _, tokens in batch])
        processors = []
        if settings.temperature:
            seeds = [derive(settings.seed, "sampling", prompt.seed) for prompt, _ in batch]
            processors.append(DrawByRow(seeds, settings.temperature, settings.top_p))
        with torch.inference_mode():
            output = model.generate(
                input_ids=ids.to(model.device),
                attention_mask=mask.to(model.device),
                max_new_tokens=settings.max_tokens,
                do_sample=False,
                logits_processor=processors,
            )
        for (prompt, tokens), row in zip(batch, output[:, longest:].tolist(), strict=True):
            yield self._answer(prompt, len(tokens), row)

    def _answer(self, prompt: Prompt, input_tokens: int, row: list[int]) -> Answer:
        stops = _ids(self.model.generation_config.eos_token_id)
        end = next((i for i, token in enumerate(row) if token in stops), None)
        written = row if end is None else row[:end]
        text = speakable(self.tokenizer.decode(written, skip_special_tokens=True)).strip()
        status = ended(text, cut=end is None)
        reasons = {
            "truncated": f"cut after {len(row)} tokens",
            "empty": "the answer holds no words",
            "refused": "reads as a refusal",
        }
        output_tokens = len(written) + (end is not None)
        return Answer(prompt.key, text, status, input_tokens, output_tokens, detail=reasons.get(status))

    @cached_property
    def _reader(self) -> Reader:
        return Reader(self.model, self.settings.batch_size)

    @cached_property
    def model(self) -> Any:
        """The weights, with the adapter on them."""
        from transformers import GenerationConfig

        model = load_weights(self._source, trust_remote_code=self.settings.trust_remote_code)
        stops = ends(model, self.tokenizer)
        pads = [*_ids(self.tokenizer.pad_token_id), *_ids(model.generation_config.pad_token_id), *stops, 0]
        model.generation_config = GenerationConfig(eos_token_id=stops or None, pad_token_id=pads[0])
        if self._adapter is not None:
            try:
                from peft import PeftModel

                with warnings.catch_warnings():
                    warnings.simplefilter("ignore", FutureWarning)  # PEFT asks transformers by old names
                    model = PeftModel.from_pretrained(model, str(self._adapter))
            except Exception as error:  # noqa: BLE001 - as above
                raise _not_loaded("adapter", str(self._adapter), error) from None
        log.info("loaded %s%s on %s", self._source, f" with {self._adapter}" if self._adapter else "", model.device)
        return model.eval()


def load_weights(model: str, *, device: Any = None, quantize: bool = False, trust_remote_code: bool = False) -> Any:
    """The weights of `model`, a folder or a name on the Hugging Face hub, from safetensors: bfloat16 on CUDA (float16
    on cards that do not know it), float32 on the CPU.

    On `device`; None: on all CUDA devices together if need be, or on the CPU where there is none. `quantize`: in 4
    bits, which takes CUDA and bitsandbytes. Raises InputError where they cannot be read.
    """
    import torch
    from transformers import AutoModelForCausalLM, BitsAndBytesConfig

    cuda = torch.cuda.is_available() if device is None else torch.device(device).type == "cuda"
    half = torch.bfloat16 if cuda and torch.cuda.is_bf16_supported() else torch.float16
    how: dict[str, Any] = {"dtype": half if cuda else torch.float32}
    if cuda:
        how["device_map"] = "auto" if device is None else {"": device}
    if quantize:
        _check_quantizable(cuda)
        how["quantization_config"] = BitsAndBytesConfig(
            load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_use_double_quant=True, bnb_4bit_compute_dtype=half
        )
    try:
        return AutoModelForCausalLM.from_pretrained(
            model, trust_remote_code=trust_remote_code, use_safetensors=True, **how
        )
    except Exception as error:  # noqa: BLE001 - what a broken file raises is up to three libraries
        raise _not_loaded("model", model, error) from None


def _check_quantizable(cuda: bool) -> None:
    if not cuda:
        raise InputError("a model is held in 4 bits on CUDA only", cure="leave quantize out")
    if find_spec("bitsandbytes") is None:
        raise MissingExtra("a model in 4 bits", "quantize")


def ends(model: Any, tokenizer: Any) -> list[int]:
    """The tokens at which an answer of `model` ends."""
    return sorted({*_ids(model.generation_config.eos_token_id), *_ids(tokenizer.eos_token_id)})


class DrawByRow:
    """Draws each row's next token with the row's own random numbers, as a logits processor for greedy decoding.

    The likeliest token after adding Gumbel noise to log-probabilities is a draw from them (Gumbel-max), so a row's
    draws depend on its seed alone, whatever else is in the batch. `seeds`: one per row.
    """

    def __init__(self, seeds: Sequence[int], temperature: float, top_p: float) -> None:
        self._seeds = seeds
        self._draws: list[Any] = []
        self._temperature = temperature
        self._top_p = top_p

    def __call__(self, input_ids: Any, scores: Any) -> Any:
        """`scores`: (rows, tokens). Returns the same shape; the largest of each row is the token drawn."""
        import torch

        # A model spread over devices ends on another one than it begins on: only the scores know which.
        self._draws = self._draws or [torch.Generator(scores.device).manual_seed(seed) for seed in self._seeds]
        scores = scores.float() / self._temperature
        if self._top_p < 1:
            ordered, order = scores.softmax(dim=-1).sort(dim=-1, descending=True)
            beyond = ordered.cumsum(dim=-1) - ordered >= self._top_p
            scores = scores.masked_fill(beyond.scatter(-1, order, beyond), float("-inf"))
        noise = torch.stack([torch.empty_like(scores[0]).exponential_(generator=draw) for draw in self._draws])
        return scores - noise.clamp_min(torch.finfo(noise.dtype).tiny).log()


def prompt_tokens(tokenizer: Any, messages: Sequence[Message]) -> list[int]:
    """The tokens a model is given for `messages`, up to where its answer begins.

    By the tokenizer's chat template. A template that knows no system role gets its words at the head of the first
    user turn. Without a template, the messages stand one after the other with a blank line after each.

    Marks that mean something to the model ("</s>") are broken up where they stand in a message: titles are data.
    """
    turns = [(message.role, _without_marks(message.content, tokenizer)) for message in messages]
    if not tokenizer.chat_template:
        text = "".join(f"{content}\n\n" for _, content in turns)
        plain: list[int] = tokenizer(text)["input_ids"]
        return plain
    from jinja2.exceptions import TemplateError

    try:
        return _templated(tokenizer, turns)
    except TemplateError as error:
        if turns and turns[0][0] == "system":
            rest = turns[1:]
            merged = ("user", "\n\n".join(content for _, content in turns[:2]))
            try:
                return _templated(tokenizer, [merged, *rest[1:]])
            except TemplateError:
                pass
        raise InputError(f"the model's chat template takes no such conversation: {brief(str(error))}") from None


def answer_tokens(tokenizer: Any, text: str, stops: Sequence[int]) -> list[int]:
    """The tokens a model should write behind `prompt_tokens` to say `text` and stop, at one of `stops` (see `ends`).

    The stop is the one that the chat template sets behind an answer, else the tokenizer's own. Raises InputError where
    there is none.
    """
    words: list[int] = tokenizer(_without_marks(text, tokenizer), add_special_tokens=False)["input_ids"]
    stop = next((token for token in _behind_an_answer(tokenizer) if token in stops), tokenizer.eos_token_id)
    stop = stop if stop is not None else next(iter(stops), None)
    if stop is None:
        raise InputError(
            "a model that learns to answer has a token for the end", cure="give its tokenizer an eos_token"
        )
    return [*words, stop]


def _behind_an_answer(tokenizer: Any) -> list[int]:
    """What the chat template makes of an answer, its tokens included; nothing where there is no template."""
    if not tokenizer.chat_template:
        return []
    from jinja2.exceptions import TemplateError

    turns = [{"role": "user", "content": "?"}, {"role": "assistant", "content": "!"}]
    try:
        asked: list[int] = tokenizer.apply_chat_template(turns[:1], return_dict=False)
        told: list[int] = tokenizer.apply_chat_template(turns, return_dict=False)
    except TemplateError:
        return []
    return told[len(asked) :]


def _templated(tokenizer: Any, turns: Sequence[tuple[str, str]]) -> list[int]:
    conversation = [{"role": role, "content": content} for role, content in turns]
    tokens: list[int] = tokenizer.apply_chat_template(conversation, add_generation_prompt=True, return_dict=False)
    return tokens


def _without_marks(text: str, tokenizer: Any) -> str:
    text = speakable(text)
    marks = [str(token) for token in tokenizer.added_tokens_decoder.values() if token.special and len(str(token)) > 1]
    for mark in marks:
        text = text.replace(mark, f"{mark[0]} {mark[1:]}")
    return text


def _ids(value: Any) -> list[int]:
    """A config's token id, which may be one, several or none."""
    if value is None:
        return []
    return list(value) if isinstance(value, (list, tuple)) else [value]


def _checked_adapter(folder: Path) -> Path:
    for file in ("adapter_config.json", "adapter_model.safetensors"):
        if not (folder / file).is_file():
            raise InputError(
                f"a LoRA adapter is a folder with {file}", value=str(folder), cure="give one that PEFT saved"
            )
    return folder


def _not_loaded(what: str, name: str, error: Exception) -> InputError:
    """One line for what from_pretrained tells in many."""
    if "trust_remote_code" in str(error):
        return InputError(
            "the model runs only with code of its own, which is refused",
            value=name,
            cure="set trust_remote_code if you trust its makers with this machine",
        )
    said = f"{type(error).__name__}: {brief(str(error))}"
    cure = _MODEL_IS if what == "model" else "give the folder of an adapter that was tuned on this model"
    return InputError(f"the {what} cannot be loaded ({said})", value=name, cure=cure)
