"""Writing, many texts at a time: the model's forward pass with a cache, and only the tokens that are allowed.

It is an ordinary Llama model, which transformers loads and tunes. To write with it takes the sums below and no more: so
it needs no torch, starts at once, and is several times faster on a CPU than a general `generate`.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from llmxrec.evidence.plan import Plan
from llmxrec.generators.embedded import slots
from llmxrec.generators.embedded.phrases import START, Phrase
from llmxrec.generators.embedded.realise import surface
from llmxrec.generators.embedded.weights import Floats, Weights, load_weights

Mask: TypeAlias = npt.NDArray[np.bool_]

LONGEST = 96
"""Tokens of a text, at most; those it learned from have 62."""
MOST_READ = 416
"""Tokens read before anything is written or chosen, at most."""
_ROOM_FOR_ONE = 16
"""Words of the sentences' own that one more may take; its titles come on top."""
_SURE = 0.7
"""Of the probability, the least that must lie on allowed tokens. Where the model would rather say what it may not, it
has begun a sentence that it cannot end well: that sentence is left out."""
_STILL_FULL = 0.8
"""Of a batch; when fewer texts are under way, the others' places are given up."""


class Writer:
    """A Llama model with one key and value head and tied embeddings, as `load_weights` gives it."""

    def __init__(self, model: Weights) -> None:
        self.vocabulary, weights, config = model.vocabulary, model.arrays, model.config
        self._heads, self._size = int(config["num_attention_heads"]), int(config["hidden_size"])
        self._wide = self._size // self._heads
        self._epsilon = np.float32(config["rms_norm_eps"])
        self._embedding, self._norm = weights["model.embed_tokens.weight"], weights["model.norm.weight"]
        self._layers = []
        for number in range(int(config["num_hidden_layers"])):

            def part(name: str, number: int = number) -> Floats:
                return weights[f"model.layers.{number}.{name}.weight"]

            # The norms' scales go into what reads them, and all that reads one thing is one matrix.
            norm1, norm2 = part("input_layernorm"), part("post_attention_layernorm")
            self._layers.append(
                (
                    _ordered(np.concatenate([part(f"self_attn.{kind}_proj") for kind in "qkv"]) * norm1),
                    _ordered(part("self_attn.o_proj")),
                    _ordered(np.concatenate([part("mlp.gate_proj"), part("mlp.up_proj")]) * norm2),
                    _ordered(part("mlp.down_proj")),
                )
            )
        self._out = _ordered(self._embedding[: model.written] * self._norm)
        length = MOST_READ + LONGEST
        theta = float(config.get("rope_theta") or config["rope_parameters"]["rope_theta"])
        frequencies = theta ** -(np.arange(0, self._wide, 2) / self._wide)
        angles = np.outer(np.arange(length), frequencies)
        self._turns = np.tile(np.cos(angles), 2).astype(np.float32), np.tile(np.sin(angles), 2).astype(np.float32)
        self._rules = _Rules(self.vocabulary[: model.written], model.phrases)

    @classmethod
    def load(cls, folder: Path, adapter: Path | None = None) -> Writer:
        """From a folder as transformers writes it, with the LoRA `adapter` that PEFT wrote to another.

        Raises InputError where the adapter is none, or of another model.
        """
        return cls(load_weights(folder, adapter))

    def write(
        self,
        plans: Sequence[Plan],
        sentences: Sequence[int],
        max_words: Sequence[int],
        draws: npt.NDArray[np.float64] | None = None,
        *,
        temperature: float = 0.0,
        top_p: float = 1.0,
    ) -> list[list[str]]:
        """A text for each of `plans`, as tokens, of about so many sentences and at most so many words.

        `draws`: (len(plans), LONGEST) numbers from 0 to 1, which decide what is drawn; None, or a temperature of 0: the
        likeliest token each time. A text depends on its plan and its draws, not on what else is written with it.
        """
        number = self._rules.number
        reads = [[number[mark] for mark in slots.read_plan(p, n)] for p, n in zip(plans, sentences, strict=True)]
        lines = [_Line(self._rules, plan, n) for plan, n in zip(plans, max_words, strict=True)]
        rows = np.arange(len(plans))
        cache = np.zeros((len(self._layers), 2, len(plans), slots.READ + LONGEST, self._wide), np.float32)
        tokens = np.array(reads).reshape(len(plans), slots.READ)
        place = 0
        for step in range(LONGEST if plans else 0):
            scores = self.scores(tokens, cache, place)
            place += tokens.shape[1]
            allowed = np.stack([lines[row].allowed for row in rows])
            shares = scores.astype(np.float64)
            _softmax(shares)
            sure = (shares * np.stack([lines[row].may for row in rows])).sum(-1) >= _SURE
            scores[~allowed] = -np.inf
            if draws is None or temperature == 0:
                chosen = scores.argmax(-1)
            else:
                chosen = _drawn(scores / np.float32(temperature), top_p, draws[rows, step])
            for row, token, is_sure in zip(rows.tolist(), chosen.tolist(), sure.tolist(), strict=True):
                lines[row].add(token, is_sure)
            going = np.array([not lines[row].ended for row in rows])
            if not going.any():
                break
            if going.mean() < _STILL_FULL:
                rows, chosen = rows[going], chosen[going]
                cache = cache[:, :, going]
            tokens = chosen[:, None]
        return [[self.vocabulary[token] for token in line.tokens] for line in lines]

    def scores(self, tokens: npt.NDArray[np.int64], cache: Floats, place: int) -> Floats:
        """The scores of what follows `tokens` (rows, n), which stand from `place` on: (rows, words it may write).

        `cache`: (layers, 2, rows, positions, width) holds the keys and values before `place`, and is given those of
        `tokens`.
        """
        scores: Floats = self._normed(self._states(tokens, cache, place)[:, -1]) @ self._out
        return scores

    def choose(
        self, reads: npt.NDArray[np.int64], asks: int, answers: Sequence[npt.NDArray[np.int64]]
    ) -> list[npt.NDArray[np.float64]]:
        """How likely each of `answers` is at each of the last `asks` tokens of `reads` (rows, n), n at most MOST_READ.

        `answers` has the tokens to choose from, for each ask. Returns (rows, answers) for each ask; each row sums to 1.
        """
        rows, n = reads.shape
        cache = np.zeros((len(self._layers), 2, rows, n, self._wide), np.float32)
        states = self._states(reads, cache, 0)[:, n - asks :]
        out = []
        for ask, tokens in enumerate(answers):
            shares = (self._normed(states[:, ask]) @ (self._embedding[tokens] * self._norm).T).astype(np.float64)
            _softmax(shares)
            out.append(shares)
        return out

    def _states(self, tokens: npt.NDArray[np.int64], cache: Floats, place: int) -> Floats:
        """The last layer's states at `tokens`: (rows, n, size)."""
        rows, n = tokens.shape
        cos, sin = (turn[place : place + n, None] for turn in self._turns)
        later = np.triu(np.ones((n, n), np.bool_), 1) if n > 1 else None
        x = self._embedding[tokens].reshape(rows * n, self._size)
        for (qkv, out, gate_up, down), (keys, values) in zip(self._layers, cache, strict=True):
            heads = (self._normed(x) @ qkv).reshape(rows, n, self._heads + 2, self._wide)
            turned = _turned(heads[:, :, :-1], cos, sin)
            keys[:, place : place + n], values[:, place : place + n] = turned[:, :, -1], heads[:, :, -1]
            # One head of keys for all queries: a row's queries are the rows of one matrix.
            query = turned[:, :, :-1].reshape(rows, n * self._heads, self._wide)
            shares = query @ keys[:, : place + n].transpose(0, 2, 1)
            shares *= np.float32(self._wide**-0.5)
            if later is not None:
                shares.reshape(rows, n, self._heads, place + n)[..., place:].transpose(0, 2, 1, 3)[
                    :, :, later
                ] = -np.inf
            _softmax(shares)
            joined = (shares @ values[:, : place + n]).reshape(rows * n, self._size)
            x = x + joined @ out
            inner = self._normed(x) @ gate_up
            gate, up = inner[:, : len(down)], inner[:, len(down) :]
            x = x + (gate / (1 + np.exp(-gate)) * up) @ down
        return x.reshape(rows, n, self._size)

    def _normed(self, x: Floats) -> Floats:
        """Root mean square norm, without its scale."""
        mean = np.einsum("rs,rs->r", x, x)[:, None] / np.float32(self._size)
        normed: Floats = x / np.sqrt(mean + self._epsilon)
        return normed


def _ordered(matrix: Floats) -> Floats:
    """For products from the left."""
    return np.ascontiguousarray(matrix.T)


def _turned(x: Floats, cos: Floats, sin: Floats) -> Floats:
    """Rotary positions (Su et al., 2021), in the halves that Llama's weights expect."""
    half = x.shape[-1] // 2
    turned: Floats = np.concatenate([-x[..., half:], x[..., :half]], -1)
    turned *= sin
    turned += x * cos
    return turned


def _softmax(scores: npt.NDArray[Any]) -> None:
    scores -= scores.max(-1, keepdims=True)
    np.exp(scores, out=scores)
    scores /= scores.sum(-1, keepdims=True)


def _drawn(scores: Floats, top_p: float, draws: npt.NDArray[np.float64]) -> npt.NDArray[np.int64]:
    """From the likeliest tokens that together have `top_p` of the probability, the one that each draw falls on."""
    shares = scores.astype(np.float64)
    _softmax(shares)
    order = None
    if top_p < 1:
        order = np.argsort(-shares, axis=-1, kind="stable")
        shares = np.take_along_axis(shares, order, -1)
        shares[np.cumsum(shares, -1) - shares >= top_p] = 0.0
    ends = np.cumsum(shares, -1)
    place = (ends <= draws[:, None] * ends[:, -1:]).sum(-1)
    # By rounding, a draw of almost 1 may fall behind the last end: then the last that counts is meant.
    last = shares.shape[-1] - 1 - (shares[:, ::-1] > 0).argmax(-1)
    place = np.minimum(place, last)
    return place if order is None else np.take_along_axis(order, place[:, None], -1)[:, 0]


class _Rules:
    """`slots`' rules as masks over a vocabulary, and the words that follow others in known phrases."""

    def __init__(self, vocabulary: Sequence[str], phrases: Collection[Phrase] = ()) -> None:
        self.vocabulary = vocabulary
        self.number = {token: n for n, token in enumerate(vocabulary)}
        self.words = np.array([token not in slots.MARKS and token not in slots.SLOTS for token in vocabulary])
        self.words |= np.isin(vocabulary, slots.DOMAIN)
        self.ends = np.isin(vocabulary, slots.SENTENCE_ENDS)
        self.punctuation = self.ends | np.isin(vocabulary, (",", ":", ";"))
        self.kinds = [slots.kinds(token) for token in vocabulary]
        self.special = np.array([bool(kinds) for kinds in self.kinds]) | self.ends
        self.end = self.number[slots.END]
        self._claims = np.flatnonzero(np.isin(vocabulary, [*slots.HABIT, *slots.NOVELTY]))
        self._said = {kind: token for token in vocabulary for kind in slots.kinds(token)}
        self._banned: dict[tuple[bool, bool], dict[str, Mask]] = {}
        self.keeps_to_phrases = bool(phrases)
        self._following: dict[tuple[str, ...], list[int]] = {(START,) * 3: [self.end]}
        for *before, word in phrases:
            if word in self.number:
                self._following.setdefault(tuple(before), []).append(self.number[word])

    def banned(self, plan: Plan) -> dict[str, Mask]:
        """By kind of a token said: what may not follow it in its sentence."""
        key = (plan.favourite, plan.newest)
        if key not in self._banned:
            self._banned[key] = {
                kind: np.array([not slots.may_follow(token, [said], plan) for token in self.vocabulary])
                for kind, said in self._said.items()
            }
        return self._banned[key]

    def following(self, sentence: Sequence[int]) -> Mask:
        """What stands behind the last words of `sentence` in a known phrase, and the end where no sentence is begun."""
        mask = np.zeros(len(self.vocabulary), np.bool_)
        last = [self.vocabulary[token] for token in sentence[-3:]]
        mask[self._following.get((*[START] * (3 - len(last)), *last), [])] = True
        return mask

    def of(self, plan: Plan) -> Mask:
        """The words that `plan` bears out. Slots are not among them."""
        mask = self.words.copy()
        for number in self._claims:
            mask[number] = slots.licensed(self.vocabulary[int(number)], plan)
        return mask


class _Line:
    """A text under way: what it may go on with."""

    def __init__(self, rules: _Rules, plan: Plan, max_words: int) -> None:
        self._rules, self._plan, self._max_words = rules, plan, max_words
        self._base, self._bans = rules.of(plan), rules.banned(plan)
        self._left = {rules.number[slot]: n for slot, n in slots.uses(plan).items() if slot in rules.number}
        self._lengths = {rules.number[s]: len(t.split()) for s, t in surface(plan).items() if s in rules.number}
        self._titles = max([self._lengths.get(rules.number[s], 0) for s in (slots.CANDIDATE, *slots.CITED)])
        self._banned = np.zeros(len(rules.vocabulary), np.bool_)
        self.tokens: list[int] = []
        self.ended = False
        self._kept = self._words = self._words_kept = 0  # tokens and words, and those of the sentences that are kept
        self._left_kept = dict(self._left)
        self._spoilt = False
        self._begin()

    def _begin(self) -> None:
        """A sentence begins: it may not do so with a sign."""
        self._banned = np.zeros(len(self._rules.vocabulary), np.bool_)
        self._refresh()
        self.may &= ~self._rules.punctuation

    def _refresh(self) -> None:
        self.may = self._base.copy()
        for slot, left in self._left.items():
            self.may[slot] = left > 0
        self.may &= ~self._banned

    @property
    def allowed(self) -> Mask:
        """What may come next. Where no known phrase goes on as it may, the sentence ends, and is left out."""
        if not self._rules.keeps_to_phrases:
            return self.may
        known = self.may & self._rules.following(self.tokens[self._kept :])
        return known if known.any() else self._rules.ends

    def add(self, token: int, sure: bool = True) -> None:
        """Go on with `token`; `sure`: the model would not rather have said what it may not."""
        if self.ended:
            return
        rules = self._rules
        known = not rules.keeps_to_phrases or rules.following(self.tokens[self._kept :])[token]
        self._spoilt |= not (sure and known)
        if token == rules.end:
            self.ended = True
            return
        begins = len(self.tokens) == self._kept
        self.tokens.append(token)
        self._words += 0 if rules.punctuation[token] else self._lengths.get(token, 1)
        if rules.ends[token]:
            if self._spoilt:
                del self.tokens[self._kept :]
                self._words, self._left = self._words_kept, dict(self._left_kept)
            self._kept, self._words_kept, self._spoilt = len(self.tokens), self._words, False
            self._left_kept = dict(self._left)
            self._begin()
            if slots.complete([rules.vocabulary[t] for t in self.tokens], self._plan):
                self.may[rules.end] = True
                if self._words + _ROOM_FOR_ONE + self._titles > self._max_words:
                    self.may[:] = False
                    self.may[rules.end] = True
            return
        if rules.special[token]:
            if token in self._left:
                self._left[token] -= 1
            for kind in rules.kinds[token]:
                self._banned |= self._bans[kind]
            self._refresh()
        elif begins or rules.punctuation[self.tokens[-2]]:
            self._refresh()
        if rules.punctuation[token]:
            self.may &= ~rules.punctuation
