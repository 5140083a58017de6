"""Language models that judge here: templates as tokens, and prompts that begin alike read at the cost of what differs.

A prompt is made of segments, in turn the template's own words and text from data, and each segment is made into tokens
by itself. So the tokens of a segment do not depend on its neighbours, prompts that begin with the same segments begin
with the same tokens, and whether they are read together or one by one, the model sees the same.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from importlib import resources
from itertools import chain
from string import Formatter
from typing import Any

from llmxrec.errors import InputError, WorkError
from llmxrec.generators.forward import forward
from llmxrec.generators.replies import brief, speakable
from llmxrec.generators.transformers_local import TransformersGenerator

_MARK = "\ue000"
"""Stands for a text while a chat template is filled in; of the private use area, so that no template cares."""


@dataclass(frozen=True)
class Words:
    """A template of this folder: `fixed` are its own words, before, between and after the places for `variables`."""

    fixed: tuple[str, ...]
    variables: tuple[str, ...]

    def filled(self, *texts: str) -> str:
        """The prompt in words, each of the `texts` quoted in its place."""
        rest = chain.from_iterable(zip(map(quoted, texts), self.fixed[1:], strict=True))
        return self.fixed[0] + "".join(rest)


def read_words(name: str) -> Words:
    """The words of the bundled template `name`."""
    lines = resources.files(__package__).joinpath(f"{name}.txt").read_text(encoding="utf-8").splitlines()
    text = "\n".join(line for line in lines if not line.startswith("#")).strip()
    parts = list(Formatter().parse(text))
    fixed = [literal for literal, _, _, _ in parts]
    variables = [variable for _, variable, _, _ in parts if variable]
    return Words((*fixed, "")[: len(variables) + 1], tuple(variables))


def quoted(text: str) -> str:
    """Untrusted `text` behind ">" on each line, so that none of its lines can pass for a line of the template."""
    return "\n".join(f"> {line}" for line in speakable(text).splitlines() or [""])


class Tokens:
    """The segments of prompts as tokens of `tokenizer`.

    `fixed`: one list of tokens before, between and after the texts, with the marks of the tokenizer's chat template
    (one user turn) where it has one. `answers`: for each word a judge may answer, the token by which it begins; where
    their texts begin alike after the prompt (a space, an empty line of thought), that is part of the prompt.
    """

    def __init__(self, tokenizer: Any, words: Words, answers: Sequence[str] = ()) -> None:
        self._tokenizer = tokenizer
        *before, last = self._conversation(words)
        self.fixed = [self._own(text) for text in before]
        self.fixed[0] = self._opening() + self.fixed[0]
        ends = [self._own(last + answer) for answer in answers] or [self._own(last)]
        shared = len(ends[0])
        if answers:
            shared = next(
                (place for place, signs in enumerate(zip(*ends, strict=False)) if len(set(signs)) == len(ends)), -1
            )
            if shared < 0 or any(end[:shared] != ends[0][:shared] for end in ends):
                raise InputError(f"the model's tokens tell the answers {' and '.join(answers)} apart at once")
        self.fixed.append(ends[0][:shared])
        self.answers = [end[shared] for end in ends] if answers else []

    def text(self, text: str) -> list[int]:
        """Text from data, quoted. Marks that mean something to the model ("</s>") are letters here."""
        tokens: list[int] = self._tokenizer(quoted(text), add_special_tokens=False, split_special_tokens=True)[
            "input_ids"
        ]
        return tokens

    def _own(self, text: str) -> list[int]:
        tokens: list[int] = self._tokenizer(text, add_special_tokens=False)["input_ids"] if text else []
        return tokens

    def _opening(self) -> list[int]:
        """What the tokenizer puts before a text of its own accord, where no chat template does."""
        if self._tokenizer.chat_template:
            return []
        with_marks: list[int] = self._tokenizer("a")["input_ids"]
        bare = self._own("a")
        return with_marks[: next((i for i in range(len(with_marks)) if with_marks[i:][: len(bare)] == bare), 0)]

    def _conversation(self, words: Words) -> list[str]:
        """The fixed words with a chat's marks around them, up to where the answer begins."""
        if not self._tokenizer.chat_template:
            return [*words.fixed[:-1], f"{words.fixed[-1]}\n\n"]
        from jinja2.exceptions import TemplateError

        # The place of an answer is read off an answered conversation: generation prompts may open a line of thought.
        turns = [("user", _MARK.join(words.fixed)), ("assistant", _MARK)]
        conversation = [{"role": role, "content": content} for role, content in turns]
        try:
            text: str = self._tokenizer.apply_chat_template(conversation, tokenize=False)
        except TemplateError as error:
            raise InputError(f"the model's chat template takes no such conversation: {brief(str(error))}") from None
        parts = text.split(_MARK)
        if len(parts) != len(words.fixed) + 1:
            raise InputError("the model's chat template keeps the words that it is given", value=brief(text))
        return parts[:-1]


@dataclass(frozen=True)
class Branch:
    """Prompts that begin alike after the trunk: `stem`, which may be empty, then one of the `twigs`."""

    stem: Sequence[int]
    twigs: Sequence[Sequence[int]]


@dataclass
class _Level:
    """Keys and values of tokens that later ones go on from, in rows: of each layer (rows, heads, tokens, size)."""

    layers: list[tuple[Any, Any]]
    real: Any  # (rows, tokens): False where a token only fills a row up
    positions: list[int]  # of each row, where its next token stands


@dataclass
class _Row:
    """Twigs read side by side, none of them seeing another: they go on from the row `parent` of the level before."""

    parent: int
    twigs: list[tuple[int, Sequence[int]]] = field(default_factory=list)  # with their numbers

    @property
    def width(self) -> int:
        return sum(len(twig) for _, twig in self.twigs)


class LocalReader:
    """Reads what a local model makes of the last token of prompts: (hidden states, logits), in their order.

    Hidden states are those that the model's head is given, (prompts, hidden size); logits are (prompts, vocabulary).

    `size`: prompts read at a time. `shares`: whether prompts that begin alike are read together; None until the first
    are, which are also read alone to see whether it comes to the same. It does not for models that keep more than keys
    and values of what they have read, or that look no further back than a window; then each prompt is read alone.
    """

    def __init__(self, generator: TransformersGenerator, size: int) -> None:
        self.generator = generator
        self.size = size
        self.shares: bool | None = None

    @property
    def hidden_size(self) -> int:
        """Numbers in a hidden state."""
        size: int = self.generator.model.config.get_text_config().hidden_size
        return size

    def read(self, trunk: Sequence[int], branches: Sequence[Branch]) -> tuple[Any, Any]:
        """The ends of all prompts `trunk + stem + twig`, branch by branch, by a tree of keys and values.

        The trunk is read once, each stem once after it, then the twigs after their stems, two or more to a row where
        that costs less: each sees the trunk, its stem and itself, at the positions that it has when read alone.
        """
        import torch

        model = self.generator.model  # loaded here: weights that are loaded in inference mode cannot be trained
        longest = len(trunk) + max(len(branch.stem) + len(twig) for branch in branches for twig in branch.twigs)
        window = getattr(model.config.get_text_config(), "sliding_window", None)
        with torch.inference_mode():
            if self.shares is False or (window is not None and longest > window):
                return self.read_alone(_prompts(trunk, branches))
            try:
                together = self._read_together(trunk, branches)
            except torch.cuda.OutOfMemoryError:
                raise WorkError(_NO_MEMORY) from None
            except (AttributeError, IndexError, NotImplementedError, RuntimeError, TypeError, ValueError):
                if self.shares:
                    raise
                together = None
            if self.shares is None:
                # The last one stands in the last row, after all others.
                *_, last = _prompts(trunk, branches)
                self.shares = together is not None and _close(
                    together[1][-1:], self.read_alone([last])[1], rounding=1e-3 if model.dtype == torch.float32 else 0.1
                )
            return together if together is not None and self.shares else self.read_alone(_prompts(trunk, branches))

    def read_alone(self, prompts: Iterable[Sequence[int]]) -> tuple[Any, Any]:
        """The same for any prompts, each read from its beginning. Gradients flow, unless they are switched off."""
        import torch

        prompts = list(prompts)
        parts = []
        for start in range(0, len(prompts), self.size):
            some = prompts[start : start + self.size]
            width = max(map(len, some))
            ids = torch.tensor([[*prompt, *[0] * (width - len(prompt))] for prompt in some])
            real = torch.arange(width) < torch.tensor([[len(prompt)] for prompt in some])
            ends = [(row, len(prompt) - 1) for row, prompt in enumerate(some)]
            try:
                hidden, logits, _ = self._run(ends, input_ids=ids, attention_mask=real.long(), use_cache=False)
            except torch.cuda.OutOfMemoryError:
                raise WorkError(_NO_MEMORY) from None
            parts.append((hidden, logits))
        return torch.cat([hidden for hidden, _ in parts]), torch.cat([logits for _, logits in parts])

    def _read_together(self, trunk: Sequence[int], branches: Sequence[Branch]) -> tuple[Any, Any]:
        import torch

        _, _, layers = self._run([(0, len(trunk) - 1)], input_ids=torch.tensor([trunk]), use_cache=True)
        root = _Level(layers, torch.ones(1, len(trunk), dtype=torch.bool), [len(trunk)])
        parts = []
        for some in _portions(branches, self.size):
            level = root
            stems = [branch.stem for branch in some]
            if any(stems):
                level, _ = self._grow(root, [_Row(0, [(n, stem)]) for n, stem in enumerate(stems)])
            twigs = [branch.twigs for branch in some]
            parents = range(len(some)) if any(stems) else [0] * len(some)
            rows = self._rows(list(zip(parents, twigs, strict=True)), level.real.shape[1])
            parts.append(self._grow(level, rows)[1])
        return torch.cat([hidden for hidden, _ in parts]), torch.cat([logits for _, logits in parts])

    def _rows(self, twigs: Sequence[tuple[int, Sequence[Sequence[int]]]], past: int) -> list[_Row]:
        """How to lay out `twigs` (with their parents) in rows after `past` tokens: as many to a row as costs least.

        Few to a row: `past` is copied more often. Many: each token meets those of its neighbours too, though it does
        not see them. A token costs about 6 hidden sizes as much as its meeting another one (12 hidden² multiplications
        in a layer against 2 hidden), the copy of one about a third of a hidden size (measured on a CPU).
        """
        size = self.hidden_size
        best: list[_Row] = []
        least = float("inf")
        for most in range(1, max(len(some) for _, some in twigs) + 1):
            rows, number = [], 0
            for parent, some in twigs:
                mine = [_Row(parent) for _ in range(-(-len(some) // most))]
                # The longest first, each to the row with the most room: rows are filled up to the widest.
                for twig_number, twig in sorted(enumerate(some, number), key=lambda pair: -len(pair[1])):
                    min(mine, key=lambda row: row.width).twigs.append((twig_number, twig))
                rows += mine
                number += len(some)
            width = max(row.width for row in rows)
            cost = len(rows) * (width * (6 * size + past + width) + past * size / 2)
            if cost < least:
                best, least = rows, cost
        return best

    def _grow(self, level: _Level, rows: Sequence[_Row]) -> tuple[_Level, tuple[Any, Any]]:
        """Read `rows`, which go on from `level`: what comes of their tokens, and of the last one of each twig."""
        import torch
        from transformers import DynamicCache

        width = max(row.width for row in rows)
        ids, positions, owners = (torch.zeros(len(rows), width, dtype=torch.long) for _ in range(3))
        ends: dict[int, tuple[int, int]] = {}
        for number, row in enumerate(rows):
            start = 0
            for place, (twig_number, twig) in enumerate(row.twigs):
                stop, first = start + len(twig), level.positions[row.parent]
                ids[number, start:stop] = torch.tensor(twig, dtype=torch.long)
                positions[number, start:stop] = torch.arange(first, first + len(twig))
                owners[number, start:stop] = place + 1
                ends[twig_number] = (number, stop - 1)
                start = stop
        parents = torch.tensor([row.parent for row in rows])
        same = owners[:, :, None] == owners[:, None, :]
        before = level.real[parents][:, None, :].expand(-1, width, -1)
        sees = torch.cat([before, same & torch.ones(width, width, dtype=torch.bool).tril()], dim=-1)[:, None]
        dtype = self.generator.model.dtype
        mask = torch.zeros(sees.shape, dtype=dtype).masked_fill_(~sees, torch.finfo(dtype).min)
        if len(level.positions) == 1:  # not copied yet: the model itself copies it to put the new ones behind
            past = [(k.expand(len(rows), -1, -1, -1), v.expand(len(rows), -1, -1, -1)) for k, v in level.layers]
        else:
            past = [(k[parents.to(k.device)], v[parents.to(v.device)]) for k, v in level.layers]
        hidden, logits, layers = self._run(
            [ends[number] for number in sorted(ends)],
            input_ids=ids,
            attention_mask=mask,
            position_ids=positions,
            past_key_values=DynamicCache(past),
            use_cache=True,
        )
        real = torch.cat([level.real[parents], owners > 0], dim=-1)
        after = [level.positions[row.parent] + row.width for row in rows]
        return _Level(layers, real, after), (hidden, logits)

    def _run(self, ends: Sequence[tuple[int, int]], **inputs: Any) -> tuple[Any, Any, list[tuple[Any, Any]]]:
        """One forward pass (see `forward`), in full precision."""
        hidden, logits, layers = forward(self.generator.model, ends, **inputs)
        return hidden.float(), logits.float(), layers


_NO_MEMORY = "the device's memory does not hold the prompts that are read at a time; lower batch_size"


def _prompts(trunk: Sequence[int], branches: Sequence[Branch]) -> Iterator[list[int]]:
    for branch in branches:
        for twig in branch.twigs:
            yield [*trunk, *branch.stem, *twig]


def _portions(branches: Sequence[Branch], size: int) -> Iterator[list[Branch]]:
    """`branches` in portions of about `size` prompts."""
    portion: list[Branch] = []
    for branch in branches:
        if portion and sum(len(one.twigs) for one in (*portion, branch)) > size:
            yield portion
            portion = []
        portion.append(branch)
    yield portion


def _close(some: Any, others: Any, rounding: float) -> bool:
    """Whether logits differ by no more than `rounding`, a share of their spread."""
    return bool((some - others).norm() <= rounding * (others - others.mean()).norm())


def over_room(room: int | None, tokens: int) -> str:
    """Why a prompt of so many `tokens` cannot be read; empty where it can."""
    if room is None or tokens <= room:
        return ""
    return f"the prompt has {tokens} tokens, the model has room for {room}"
