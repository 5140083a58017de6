"""Attributes answered by a local model that is not made to write: allowed answers are scored, and the best is taken.

The answer is the JSON object that prompts ask for. It is forced up to the first value; the log-probabilities of each
allowed value's tokens are summed, its closing quote included, so that none gains by being the beginning of another;
the likeliest (see `likeliest`) becomes part of what the next value is scored after. An age is scored from 0 to 99, so
that the one with most of the probability around it can be taken. What has neither a closed set nor a range, as a price,
is written by the likeliest token each time, up to a closing quote.

Values are made into tokens together with what stands around them, as they are in an answer that was learned whole.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

import numpy as np

from llmxrec.generators.forward import forward
from llmxrec.prompts.targets import AGES, Floats, likeliest

_WRITTEN = 8
"""Tokens in which a value that is written has to come to its end."""

Tokens = Sequence[int]


@dataclass(frozen=True)
class Ways:
    """How a prompt may go on: with `stem`, and then with any one of the `twigs`, which do not see each other."""

    stem: Tokens
    twigs: Sequence[Tokens] = ()


def answer(
    reader: Reader,
    tokenizer: Any,
    prompts: Sequence[Tokens],
    targets: Sequence[str],
    choices: Mapping[str, Sequence[str]],
) -> list[str]:
    """What the model answers to `prompts`, tokens up to where the answer begins, that all ask for `targets`: JSON."""
    read = reader.read(prompts)
    texts = [f'{{{_quoted(targets[0])}: "'] * len(prompts)
    for target, following in zip(targets, (*targets[1:], ""), strict=True):
        after = f', {_quoted(following)}: "' if following else "}"
        allowed = choices.get(target) or (AGES if target == "age" else ())
        if allowed:
            ways = {text: _ways(tokenizer, text, allowed, after) for text in set(texts)}
            shares = _shares(read, [ways[text] for text in texts])
            values = [allowed[best] for best in likeliest(target, allowed, shares)]
        else:
            values = _written(read, tokenizer, texts)
        texts = [f'{text}{_quoted(value)[1:-1]}"{after}' for text, value in zip(texts, values, strict=True)]
    return texts


class Reader:
    """Reads what a model makes of prompts and how they may go on.

    What follows a prompt is read after the prompt's own keys and values, all of its ways side by side. `shares` says
    whether that can be done; None until the first prompts, of which one is also read alone to see whether it comes to
    the same. It does not for models that keep more than keys and values, or that look no further back than a window:
    then every way is read from the prompt's beginning, `size` at a time.
    """

    def __init__(self, model: Any, size: int) -> None:
        self.model = model
        self.size = size
        self.shares: bool | None = None

    def read(self, prompts: Sequence[Tokens]) -> Read:
        """Read all of `prompts` but the last token of each, which is read with what follows."""
        import torch

        longest = max(map(len, prompts)) - 1
        # An answer takes a few dozen tokens.
        window = getattr(self.model.config.get_text_config(), "sliding_window", None)
        if self.shares is False or longest < 1 or (window is not None and longest + 256 > window):
            return Read(self, prompts, [], None)
        ids = torch.tensor([[*prompt[:-1], *[0] * (longest + 1 - len(prompt))] for prompt in prompts])
        real = torch.arange(longest) < torch.tensor([[len(prompt) - 1] for prompt in prompts])
        with torch.inference_mode():
            try:
                _, _, layers = forward(self.model, [(0, 0)], input_ids=ids, attention_mask=real.long(), use_cache=True)
            except (AttributeError, TypeError):
                self.shares = False
                return Read(self, prompts, [], None)
        return Read(self, prompts, layers, real)


@dataclass(frozen=True)
class Read:
    """Prompts that `reader` has read: `layers` of keys and values, `real` where these are of a token and no filling."""

    reader: Reader
    prompts: Sequence[Tokens]
    layers: Sequence[tuple[Any, Any]]
    real: Any

    def logits(self, ways: Sequence[Ways]) -> list[Any]:
        """For each prompt and its ways, logits (1 + n, vocabulary): after its stem, then after each token of its twigs
        but their last ones, from which nothing is to be told."""
        import torch

        reader = self.reader
        with torch.inference_mode():
            if not self.layers or reader.shares is False:
                return self.alone(ways)
            try:
                together = self._together(ways)
            except torch.cuda.OutOfMemoryError:
                raise
            except (AttributeError, IndexError, NotImplementedError, RuntimeError, TypeError, ValueError):
                if reader.shares:
                    raise
                reader.shares = False
                return self.alone(ways)
            if reader.shares is None:
                reader.shares = self._same(ways, together)
            return together if reader.shares else self.alone(ways)

    def alone(self, ways: Sequence[Ways]) -> list[Any]:
        """The same, each way of each prompt read by itself from the beginning."""
        import torch

        rows, firsts = [], []
        for prompt, way in zip(self.prompts, ways, strict=True):
            for twig in way.twigs or ((0,),):
                rows.append([*prompt, *way.stem, *twig[:-1]])
                firsts.append(len(prompt) + len(way.stem) - 1)
        found: list[Any] = []
        for start in range(0, len(rows), self.reader.size):
            some, begins = rows[start : start + self.reader.size], firsts[start : start + self.reader.size]
            width = max(map(len, some))
            ids = torch.tensor([[*row, *[0] * (width - len(row))] for row in some])
            real = torch.arange(width) < torch.tensor([[len(row)] for row in some])
            ends = [(n, column) for n, row in enumerate(some) for column in range(begins[n], len(row))]
            _, logits, _ = forward(self.reader.model, ends, input_ids=ids, attention_mask=real.long(), use_cache=False)
            found += logits.split([len(row) - begin for row, begin in zip(some, begins, strict=True)])
        out, rest = [], iter(found)
        for way in ways:
            mine = [next(rest) for _ in way.twigs or ((0,),)]
            out.append(torch.cat([mine[0][:1], *(logits[1:] for logits in mine)]))
        return out

    def _together(self, ways: Sequence[Ways]) -> list[Any]:
        """All ways of all prompts in one pass: a row for each prompt, its last token and stem first, then its twigs."""
        import torch
        from transformers import DynamicCache

        rows = [
            [(0, [prompt[-1], *way.stem]), *((1 + n, twig[:-1]) for n, twig in enumerate(way.twigs))]
            for prompt, way in zip(self.prompts, ways, strict=True)
        ]
        width = max(sum(len(tokens) for _, tokens in row) for row in rows)
        ids, positions = (torch.zeros(len(rows), width, dtype=torch.long) for _ in range(2))
        owners = torch.full((len(rows), width), -1)
        ends: list[list[tuple[int, int]]] = []
        for number, (prompt, way, row) in enumerate(zip(self.prompts, ways, rows, strict=True)):
            start, stem = 0, 1 + len(way.stem)
            for owner, tokens in row:
                stop, first = start + len(tokens), len(prompt) - 1 + (stem if owner else 0)
                ids[number, start:stop] = torch.tensor(tokens, dtype=torch.long)
                positions[number, start:stop] = torch.arange(first, first + len(tokens))
                owners[number, start:stop] = owner
                start = stop
            ends.append([(number, column) for column in range(stem - 1, start)])
        mine = (owners[:, :, None] == owners[:, None, :]) | (owners[:, None, :] == 0)
        before = self.real[:, None, :].expand(-1, width, -1)
        sees = torch.cat([before, mine & torch.ones(width, width, dtype=torch.bool).tril()], dim=-1)[:, None]
        dtype = self.reader.model.dtype
        _, logits, _ = forward(
            self.reader.model,
            list(chain.from_iterable(ends)),
            input_ids=ids,
            attention_mask=torch.zeros(sees.shape, dtype=dtype).masked_fill_(~sees, torch.finfo(dtype).min),
            position_ids=positions,
            past_key_values=DynamicCache(self.layers),
            use_cache=True,
        )
        return list(logits.split([len(row) for row in ends]))

    def _same(self, ways: Sequence[Ways], together: Sequence[Any]) -> bool:
        """Whether the last way of the last prompt comes to the same when it is read alone."""
        import torch

        last = ways[-1]
        one = Read(self.reader, self.prompts[-1:], [], None).alone([Ways(last.stem, last.twigs[-1:])])[0].float()
        told = len(one) - 1
        other = torch.cat([together[-1][:1], together[-1][len(together[-1]) - told :]]).float()
        rounding = 1e-3 if self.reader.model.dtype == torch.float32 else 0.1
        return bool((one - other).norm() <= rounding * (one - one.mean()).norm())


def _shares(read: Read, ways: Sequence[Ways]) -> Floats:
    """How likely each twig is among the twigs of its prompt: (prompts, twigs), each row summing to 1."""
    import torch

    out = np.empty((len(ways), len(ways[0].twigs)))
    for row, (way, logits) in enumerate(zip(ways, read.logits(ways), strict=True)):
        known = logits.float()
        known = known - known.logsumexp(dim=-1, keepdim=True)
        after: list[int] = []
        tokens: list[int] = []
        owners: list[int] = []
        start = 1
        for owner, twig in enumerate(way.twigs):
            after += [0, *range(start, start + len(twig) - 1)]
            tokens += twig
            owners += [owner] * len(twig)
            start += len(twig) - 1
        each = known[after, tokens].double().cpu()
        scores = torch.zeros(len(way.twigs), dtype=torch.double).index_add_(0, torch.tensor(owners), each)
        out[row] = scores.softmax(dim=0).numpy()
    return out


def _written(read: Read, tokenizer: Any, texts: Sequence[str]) -> list[str]:
    """What the model writes after `texts` up to a closing quote; what does not come to one ends in "…"."""
    stems = [_tokens(tokenizer, [text])[0] for text in texts]
    written: list[list[int]] = [[] for _ in texts]
    for _ in range(_WRITTEN):
        if all('"' in tokenizer.decode(tokens) for tokens in written):
            break
        ways = [Ways([*stem, *tokens]) for stem, tokens in zip(stems, written, strict=True)]
        for tokens, logits in zip(written, read.logits(ways), strict=True):
            if '"' not in tokenizer.decode(tokens):
                tokens.append(int(logits[0].argmax()))
    said = [tokenizer.decode(tokens, skip_special_tokens=True) for tokens in written]
    return [text.partition('"')[0] if '"' in text else f"{text}…" for text in said]


def _ways(tokenizer: Any, text: str, values: Sequence[str], after: str) -> Ways:
    """`text` with each of `values` behind it, up to the token that has its closing quote; `after` follows on that."""
    befores = [text + _quoted(value)[1:-1] for value in values]
    rows = _tokens(tokenizer, befores, f'"{after}')
    shared = 0
    while len({row[shared] for row in rows}) == 1 and shared < min(map(len, rows)) - 1:
        shared += 1
    return Ways(rows[0][:shared], [row[shared:] for row in rows])


def _tokens(tokenizer: Any, texts: Sequence[str], after: str = "") -> list[list[int]]:
    """The tokens of each of `texts` as they are when `after` follows, up to the one that has the first sign of it.

    Marks that mean something to the model ("</s>") are letters here: values are data.
    """
    plain: dict[str, Any] = {"add_special_tokens": False, "split_special_tokens": True}
    if not after:
        return [list(row) for row in tokenizer(list(texts), **plain)["input_ids"]]
    if not tokenizer.is_fast:  # it does not tell which token has which sign
        return _tokens(tokenizer, [text + after[0] for text in texts])
    found = tokenizer([text + after for text in texts], **plain, return_offsets_mapping=True)
    out = []
    for text, tokens, places in zip(texts, found["input_ids"], found["offset_mapping"], strict=True):
        last = next(number for number, (_, end) in enumerate(places) if end > len(text))
        out.append(list(tokens[: last + 1]))
    return out


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)
