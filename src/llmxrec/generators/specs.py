"""A generator by its spec: the one word a user writes to say which model answers.

embedded                        the small model that ships with LLMXRec
embedded+ADAPTER                the same, with a LoRA adapter from that folder
template                        fixed sentences, no model
hf:NAME_OR_PATH                 a model run here with transformers
hf:NAME_OR_PATH+ADAPTER         the same, with a LoRA adapter from that folder
openai:MODEL                    OpenAI's API, or the server that OPENAI_BASE_URL names
openai:MODEL@http://host/v1     any server that speaks the same language: vLLM, Ollama, llama.cpp, TGI
gpt-3.5 gpt-4 llama-2 chatglm   the paper's four, as `presets.toml` has them; +ADAPTER for those that run here
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from pydantic import Field

from llmxrec.errors import InputError
from llmxrec.generators.presets import presets
from llmxrec.generators.prices import Price, price_of
from llmxrec.generators.protocol import Generator
from llmxrec.lookup import closest, resolve
from llmxrec.settings import Settings

GENERATORS = {
    "embedded": "llmxrec.generators.embedded.generator:EmbeddedGenerator",
    "template": "llmxrec.generators.template:TemplateGenerator",
    "hf": "llmxrec.generators.transformers_local:TransformersGenerator",
    "openai": "llmxrec.generators.openai_compatible:OpenAICompatibleGenerator",
}

_FORMS = ("embedded", "template", "hf:NAME_OR_PATH", "openai:MODEL")


class GenerationSettings(Settings):
    """How answers are made. The same settings for every generator, so that generators can be compared."""

    max_tokens: int = Field(default=200, ge=1)
    """Tokens an answer may have; a longer one is cut and marked `truncated`."""
    temperature: float | None = Field(default=None, ge=0)
    """0 takes the likeliest word every time; above, words are drawn. None: 0, but for `embedded`, which draws."""
    top_p: float = Field(default=1.0, gt=0, le=1)
    """Words are drawn from the likeliest that together have this share of the probability."""
    seed: int = Field(default=1, ge=0)
    """Of the drawing; each prompt draws from this seed and its own."""
    context_tokens: int | None = Field(default=None, ge=1)
    """Tokens a prompt may have. None: what the model's window leaves after `max_tokens`, as far as it is known."""
    batch_size: int = Field(default=16, ge=1)
    """Prompts answered at a time (hf: only)."""
    trust_remote_code: bool = False
    """Run code that comes with a model (hf: only). It can do whatever you can do on this machine."""
    concurrency: int = Field(default=8, ge=1)
    """Requests under way at a time (openai: only)."""
    timeout: float = Field(default=120.0, gt=0)
    """Seconds one request may take (openai: only)."""
    retries: int = Field(default=6, ge=0)
    """How often a request that found no answer is made again (openai: only)."""
    retry_lost: bool = True
    """Also make those again whose answer was lost on the way, and which may have to be paid twice (openai: only)."""

    def room(self, window: int | None, model: str) -> int | None:
        """Tokens a prompt may have for a model whose window is `window` (None: not known)."""
        if self.context_tokens is not None or window is None:
            return self.context_tokens
        if window <= self.max_tokens:
            raise InputError(
                f"an answer must leave room for the prompt in {model}'s window of {window} tokens",
                value=self.max_tokens,
                cure="lower max_tokens",
            )
        return window - self.max_tokens


@dataclass(frozen=True, slots=True)
class Spec:
    """A generator's spec, read. `kind` is a key of GENERATORS; `server` is an address, `adapter` a folder."""

    kind: str
    model: str = ""
    server: str | None = None
    adapter: str | None = None


def make_generator(spec: str, settings: GenerationSettings | None = None) -> Generator:
    """The generator that `spec` stands for, called by that spec. Raises InputError where there is none."""
    settings = settings or GenerationSettings()
    parts = read_spec(spec)
    make: Any = resolve("generator", parts.kind, GENERATORS)
    generator: Generator
    adapter = None if parts.adapter is None else Path(parts.adapter)
    if parts.kind == "hf":
        generator = make(parts.model, settings, adapter=adapter, name=spec)
    elif parts.kind == "openai":
        generator = make(parts.model, settings, server=parts.server, name=spec)
    elif parts.kind == "embedded":
        generator = make(settings, adapter=adapter, name=spec)
    else:
        generator = make()
    return generator


def read_spec(spec: str) -> Spec:
    """Take `spec` apart; a preset becomes what it stands for. No model, folder or server is touched.

    >>> read_spec("openai:qwen3@http://localhost:8000/v1")
    Spec(kind='openai', model='qwen3', server='http://localhost:8000/v1', adapter=None)
    """
    name, plus, adapter = spec.partition("+")
    if name in presets():
        parts = read_spec(presets()[name].spec)
        if not plus:
            return parts
        if parts.kind == "hf" and adapter:
            return replace(parts, adapter=adapter)
        raise InputError("an adapter is a folder, added to a model that runs here", value=spec, cure="hf:NAME+FOLDER")
    if name == "embedded" and plus and adapter:
        return Spec("embedded", adapter=adapter)
    kind, colon, model = spec.partition(":")
    if spec in ("embedded", "template"):
        return Spec(spec)
    if not colon or kind not in ("hf", "openai"):
        raise closest("generator", spec, [*presets(), *_FORMS])
    parts = _hf(model) if kind == "hf" else _openai(model)
    if not parts.model.strip() or not parts.model.isprintable():
        raise InputError("a generator's spec names a model", value=spec, cure=f"use one of: {', '.join(_FORMS)}")
    return parts


def price_of_spec(spec: str) -> Price | None:
    """The listed price of a spec that asks OpenAI. None where the price is unknown or nobody asks one."""
    parts = read_spec(spec)
    return price_of(parts.model) if parts.kind == "openai" and parts.server is None else None


def slug(spec: str) -> str:
    """A file name for `spec`, good on every system: lower-case letters, digits, '.', '_' and '-', 80 at most.

    A spec that is one already is kept; any other gets a digest at its end, so that two specs never share a name.

    >>> slug("gpt-3.5")
    'gpt-3.5'
    >>> slug("openai:gpt-4o")
    'openai-gpt-4o-90a0f357'
    """
    words = re.sub(r"[^a-z0-9._]+|\.{2,}", "-", spec.lower()).strip(".-_")
    if words and words == spec and len(spec) <= 60:
        return spec
    digest = hashlib.blake2b(spec.encode("utf-8", "surrogatepass"), digest_size=4).hexdigest()
    return f"{words[:60].rstrip('.-_') or 'generator'}-{digest}"


def usual_name(spec: str) -> str:
    """What explanations by `spec` are called where nobody says: its `slug`, and for an adapter that of its folder.

    >>> usual_name("embedded+films/adapters/tuned")
    'embedded+tuned'
    """
    adapter = read_spec(spec).adapter
    if adapter is None:
        return slug(spec)
    return f"{slug(spec.removesuffix(f'+{adapter}'))}+{slug(Path(adapter).name)}"


def _hf(text: str) -> Spec:
    """Folders may have a '+' in their names, so the first split whose right side exists is taken."""
    splits = [(text[:i], text[i + 1 :]) for i, sign in enumerate(text) if sign == "+"]
    if not splits or _is_folder(text):
        return Spec("hf", text)
    model, adapter = next((split for split in splits if _is_folder(split[1])), splits[0])
    if not adapter:
        raise InputError("an adapter is a folder", value=f"hf:{text}", cure="hf:NAME+FOLDER, or leave the '+' out")
    return Spec("hf", model, adapter=adapter)


def _is_folder(text: str) -> bool:
    try:
        return bool(text) and Path(text).is_dir()
    except (OSError, ValueError):  # too long for a path, or no path at all
        return False


def _openai(text: str) -> Spec:
    at = re.search(r"@(?=https?://)", text)
    if at is None:
        if re.search(r"@[\w.-]+:\d+(/|$)", text):
            raise InputError("a server's address begins with http:// or https://", value=text)
        return Spec("openai", text)
    model, address = text[: at.start()], text[at.end() :]
    try:
        url = urlsplit(address)
        host, _port, secret = url.hostname, url.port, url.username or url.password
    except ValueError:
        host = secret = None
    if secret:
        raise InputError("a server's address holds no name or password", cure="set OPENAI_API_KEY instead")
    if not host or url.query or url.fragment:
        raise InputError("a server's address is http://host:port/v1, and nothing after it", value=address)
    return Spec("openai", model, server=address.rstrip("/"))
