"""SASRec: causal self-attention over what somebody had, in order (Kang and McAuley, 2018)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Self, TypeAlias

import numpy as np
import numpy.typing as npt
from pydantic import Field, model_validator

from llmxrec.datasets.dataset import Histories
from llmxrec.errors import InputError, MissingExtra
from llmxrec.recommenders import storage, training
from llmxrec.recommenders.dot_product import DotProductRecommender, concatenated
from llmxrec.recommenders.protocol import UNWATCHED, History, Scores, Watch
from llmxrec.recommenders.training import Arrays
from llmxrec.seeds import derive
from llmxrec.settings import Settings, check

try:
    import torch
    from torch.nn import functional
except ImportError:
    raise MissingExtra("sasrec", "torch") from None

Tensor: TypeAlias = Any
Tensors: TypeAlias = dict[str, Tensor]

_BUCKET = 64
"""Batches whose windows are sorted by length together, so that little is padded and batches stay random."""
_AT_ONCE = 256
"""Histories read in one pass."""


class SASRecSettings(Settings):
    """What can be set. The defaults were chosen on the validation items of ML-100k."""

    embedding_size: Annotated[int, Field(ge=1)] = 64
    """Numbers per item and position."""
    length: Annotated[int, Field(ge=1)] = 50
    """The latest items of a history that are read."""
    blocks: Annotated[int, Field(ge=1)] = 1
    """Of attention and a feed-forward layer."""
    heads: Annotated[int, Field(ge=1)] = 1
    """Of attention; a divisor of embedding_size."""
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.2
    """The share of numbers left out while training."""
    epochs: Annotated[int, Field(ge=1)] = 15
    """Passes over all interactions, at most."""
    patience: Annotated[int, Field(ge=1)] = 5
    """Epochs without a better ranking of what is held out, after which training ends."""
    batch_size: Annotated[int, Field(ge=1)] = 800
    """Interactions per step."""
    learning_rate: Annotated[float, Field(gt=0, le=1)] = 0.003
    """Of Adam; it rises during the first epoch, and falls to zero along a cosine."""
    sampled_items: Annotated[int, Field(ge=1)] = 4096
    """A larger catalogue is not weighed whole at each step: the batch's own items are, and so many drawn evenly."""
    device: str = "auto"
    """cpu, cuda, mps...; auto: a GPU where there is one."""
    seed: Annotated[int, Field(ge=0)] = 1

    @model_validator(mode="after")
    def _heads_divide(self) -> Self:
        if self.embedding_size % self.heads:
            raise ValueError(f"{self.heads} heads do not divide an embedding_size of {self.embedding_size}")
        return self


class SASRec(DotProductRecommender):
    """Scores an item by the state after the last item of a history, times the item's own embedding.

    The state is of the latest `length` items alone, whoever had them: a user is scored as their history is.
    Departures from the paper, each of which ranked the validation items of ML-100k better: one block and one head;
    positions count from the end; the loss is a softmax over all items instead of one drawn item ("Turning Dross Into
    Gold Loss", Klenitskiy and Vasilev, 2023). A start token stands before the first item, so that even an empty
    history has a state.
    """

    name = "sasrec"
    settings_type = SASRecSettings

    def __init__(self, settings: SASRecSettings | None = None) -> None:
        self.settings = settings or SASRecSettings()
        self.epochs, self.best_epoch = self.settings.epochs, 0
        self._train: Histories | None = None
        self._tensors: Tensors = {}
        self.item_vectors: Scores = np.zeros((0, self.settings.embedding_size), np.float32)
        self.biases: Scores = np.zeros(0, np.float32)

    def fit(self, train: Histories, watch: Watch = UNWATCHED) -> Self:
        """Raises InputError for an empty catalogue or a device that is not there, WorkError for steps too long."""
        if train.n_items == 0:
            raise InputError("sasrec needs items to rank", value=0)
        self._train = train
        self._take(_first_weights(self.settings, train.n_items))
        self.best_epoch = training.train(_Learner(self, train), train, watch)
        self._take({name: tensor.detach() for name, tensor in self.tensors.items()})
        return self

    def _take(self, tensors: Mapping[str, Tensor]) -> None:
        device = device_of(self.settings.device)
        self.tensors = {name: tensor.to(device) for name, tensor in tensors.items()}
        self.measurable()

    def measurable(self) -> None:
        """Bring what scoring reads up to date with the tensors."""
        self.item_vectors = self.tensors["items"].detach()[:-1].cpu().numpy()
        self.biases = np.zeros(len(self.item_vectors), np.float32)

    def user_vectors(self, users: npt.NDArray[np.int64]) -> Scores:
        if self._train is None:
            raise InputError("a loaded sasrec model knows no users", cure="score their histories")
        train = self._train
        sizes = np.diff(train.offsets)[users]
        kept = np.minimum(sizes, self.settings.length)
        offsets = np.append(0, np.cumsum(kept))
        latest = np.repeat(train.offsets[users + 1] - offsets[1:], kept) + np.arange(offsets[-1])
        return self._vectors(sizes, offsets, train.item_index[latest])

    def history_vectors(self, histories: Sequence[History]) -> Scores:
        sizes = np.array([len(history) for history in histories], np.int64)
        return self._vectors(sizes, *concatenated([history[-self.settings.length :] for history in histories]))

    def _vectors(
        self, sizes: npt.NDArray[np.int64], offsets: npt.NDArray[np.int64], items: npt.NDArray[np.int32]
    ) -> Scores:
        """Of histories of these `sizes`, whose latest `items` follow each other."""
        vectors = np.empty((len(sizes), self.settings.embedding_size), np.float32)
        tokens = _with_starts(offsets, items, len(self.item_vectors))
        kept = np.diff(offsets)
        ends = np.cumsum(kept + 1)
        begins = ends - np.minimum(sizes + 1, self.settings.length)
        by_length = np.argsort(kept, kind="stable")
        with torch.inference_mode():
            for start in range(0, len(sizes), _AT_ONCE):
                rows = by_length[start : start + _AT_ONCE]
                places, lengths = _padded(begins[rows], ends[rows])
                batch = self.on_device(tokens[places])
                states = _states(self.tensors, batch, self.on_device(lengths), self.settings, only_last=True)
                vectors[rows] = states.cpu().numpy()
        return vectors

    def on_device(self, array: npt.NDArray[Any]) -> Tensor:
        """Integers, where the tensors are."""
        return torch.from_numpy(array).to(self.tensors["items"].device, torch.int64)

    def save(self, folder: Path) -> None:
        storage.save(folder, self.name, self.settings, {n: tensor.cpu().numpy() for n, tensor in self.tensors.items()})

    @classmethod
    def load(cls, folder: Path) -> Self:
        settings, arrays = storage.load(folder, cls.name)
        model = cls(check(SASRecSettings, settings, "sasrec"))
        shapes = {name: array.shape for name, array in arrays.items()}
        if shapes != _shapes(model.settings, len(arrays.get("items", [0])) - 1):
            raise InputError("a sasrec model has the arrays its settings tell", value=str(shapes), file=folder)
        model._take({name: torch.from_numpy(array) for name, array in arrays.items()})
        return model


class _Learner:
    """A fit under way: the order of the windows, the loss, and Adam."""

    name = SASRec.name
    measured_every = 1

    def __init__(self, model: SASRec, train: Histories) -> None:
        self._model = model
        self.settings = settings = model.settings
        self.epochs, self.patience = settings.epochs, settings.patience
        self._tensors = list(model.tensors.values())
        for tensor in self._tensors:
            tensor.requires_grad_()
        fused = self._tensors[0].device.type in ("cpu", "cuda")
        self._adam = torch.optim.Adam(self._tensors, lr=settings.learning_rate, betas=(0.9, 0.98), fused=fused)
        self._n_items = train.n_items
        self._tokens = _with_starts(train.offsets, train.item_index, train.n_items)
        self._begins, self._ends = _windows(np.diff(train.offsets), settings.length)

    def epoch(self, number: int) -> None:
        seed = derive(self.settings.seed, "sasrec", number)
        draw = np.random.Generator(np.random.PCG64(seed))
        batches = _batches(self._ends - self._begins, self.settings.batch_size, draw)
        with torch.random.fork_rng():  # dropout draws from the global generator, which is put back
            torch.manual_seed(seed)
            for step, rows in enumerate(batches):
                done = number + step / len(batches)
                falling = 0.5 * (1 + np.cos(np.pi * done / self.epochs))
                for group in self._adam.param_groups:
                    group["lr"] = self.settings.learning_rate * falling * min(1.0, done + 1 / len(batches))
                self._adam.zero_grad()
                self._loss(rows, draw).backward()
                torch.nn.utils.clip_grad_norm_(self._tensors, 1.0)
                self._adam.step()

    def _loss(self, rows: npt.NDArray[np.int64], draw: np.random.Generator) -> Tensor:
        """The mean over the positions of these windows of -ln softmax of the item that came next."""
        model = self._model
        places, lengths = _padded(self._begins[rows], self._ends[rows])
        there = np.arange(places.shape[1]) < lengths[:, None]
        wanted = self._tokens[places[there] + 1]
        states = _states(
            model.tensors, model.on_device(self._tokens[places]), model.on_device(lengths), self.settings, training=True
        )[torch.from_numpy(there).to(model.tensors["items"].device)]
        items = model.tensors["items"]
        sampled = self.settings.sampled_items
        if self._n_items <= sampled:
            return functional.cross_entropy(states @ items[:-1].T, model.on_device(wanted))
        own, place = np.unique(wanted, return_inverse=True)
        others = np.setdiff1d(draw.choice(self._n_items, sampled, replace=False), own)
        # Each item that was drawn stands for all those that might have been.
        weight = np.log(max(1, self._n_items - len(own)) / max(1, len(others)))
        weights = np.concatenate([np.zeros(len(own)), np.full(len(others), weight)]).astype(np.float32)
        scores = states @ items[model.on_device(np.concatenate([own, others]))].T
        scores = scores + torch.from_numpy(weights).to(scores.device)
        return functional.cross_entropy(scores, model.on_device(place.reshape(-1)))

    def measurable(self) -> None:
        self._model.measurable()

    def score(self, users: npt.NDArray[np.int64]) -> Scores:
        return self._model.score(users)

    def weights(self) -> Arrays:
        return {name: tensor.detach().cpu().numpy() for name, tensor in self._model.tensors.items()}

    def memory(self) -> Arrays:
        kept = self._adam.state_dict()["state"]
        return {
            f"{number}.{name}": value.cpu().numpy() for number, values in kept.items() for name, value in values.items()
        }

    def restore(self, arrays: Mapping[str, npt.NDArray[Any]]) -> None:
        with torch.no_grad():
            for name, tensor in self._model.tensors.items():
                tensor.copy_(torch.from_numpy(arrays[name]))
        memory: dict[int, dict[str, Tensor]] = {}
        for key in set(arrays) - set(self._model.tensors):
            number, name = key.split(".")
            memory.setdefault(int(number), {})[name] = torch.from_numpy(arrays[key])
        if memory:
            self._adam.load_state_dict({**self._adam.state_dict(), "state": memory})


def device_of(name: str) -> Tensor:
    """The device called `name`. Raises InputError where there is none."""
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        return torch.zeros(0, device=name).device
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        said = str(error).splitlines()[0]
        raise InputError(f"a device is cpu, or a GPU that is there: {said}", value=name, cure="use auto") from None


def _shapes(settings: SASRecSettings, n_items: int) -> dict[str, tuple[int, ...]]:
    """What is learned. `items` has a last row for the start token; the heads' queries, keys and values are one."""
    size = settings.embedding_size
    shapes: dict[str, tuple[int, ...]] = {"items": (n_items + 1, size), "positions": (settings.length, size)}
    for number in range(settings.blocks):
        shapes |= {
            f"block{number}.norm1": (2, size),
            f"block{number}.qkv": (3 * size, size),
            f"block{number}.qkv_bias": (3 * size,),
            f"block{number}.out": (size, size),
            f"block{number}.out_bias": (size,),
            f"block{number}.norm2": (2, size),
            f"block{number}.inner": (size, size),
            f"block{number}.inner_bias": (size,),
            f"block{number}.outer": (size, size),
            f"block{number}.outer_bias": (size,),
        }
    return shapes | {"norm": (2, size)}


def _first_weights(settings: SASRecSettings, n_items: int) -> Tensors:
    draw = np.random.Generator(np.random.PCG64(derive(settings.seed, "sasrec", "start")))
    out = {}
    for name, shape in _shapes(settings, n_items).items():
        if "norm" in name:
            first = np.stack([np.ones(shape[1]), np.zeros(shape[1])])
        elif name in ("items", "positions"):
            first = draw.normal(0, 0.02, shape)
        else:  # as torch.nn.Linear begins
            first = draw.uniform(-1, 1, shape) / np.sqrt(settings.embedding_size)
        out[name] = torch.from_numpy(first.astype(np.float32))
    return out


def _states(
    tensors: Tensors,
    tokens: Tensor,
    lengths: Tensor,
    settings: SASRecSettings,
    *,
    training: bool = False,
    only_last: bool = False,
) -> Tensor:
    """The state after each token: (rows, longest, size); with `only_last`, after the last: (rows, size).

    `tokens` is (rows, longest); what stands behind the first `lengths[r]` of row r is read by no other token.
    """
    size, heads = settings.embedding_size, settings.heads
    rows, longest = tokens.shape
    share = settings.dropout if training else 0.0

    def norm(x: Tensor, name: str) -> Tensor:
        return functional.layer_norm(x, (size,), tensors[name][0], tensors[name][1])

    def dropout(x: Tensor) -> Tensor:
        return functional.dropout(x, share, training)

    from_end = (lengths[:, None] - 1 - torch.arange(longest, device=tokens.device)).clamp(min=0)
    x = dropout(functional.embedding(tokens, tensors["items"]) + functional.embedding(from_end, tensors["positions"]))
    last = (torch.arange(rows, device=tokens.device), lengths - 1)
    for number in range(settings.blocks):
        block = {name: tensors[f"block{number}.{name}"] for name in _BLOCK}
        normed = norm(x, f"block{number}.norm1")
        cut = only_last and number == settings.blocks - 1
        if cut:  # nothing reads the other positions any more
            joined = _attend_last(normed, lengths, block, heads)
            x = x[last][:, None]
        else:
            queries, keys, values = functional.linear(normed, block["qkv"], block["qkv_bias"]).chunk(3, -1)
            joined = _attend(queries, keys, values, heads, share)
        x = x + dropout(functional.linear(joined, block["out"], block["out_bias"]))
        inner = functional.gelu(functional.linear(norm(x, f"block{number}.norm2"), block["inner"], block["inner_bias"]))
        x = x + dropout(functional.linear(dropout(inner), block["outer"], block["outer_bias"]))
    states = norm(x, "norm")
    return states[:, 0] if only_last else states


_BLOCK = ("qkv", "qkv_bias", "out", "out_bias", "inner", "inner_bias", "outer", "outer_bias")


def _attend(queries: Tensor, keys: Tensor, values: Tensor, heads: int, dropout: float) -> Tensor:
    """Causal attention: (rows, longest, size)."""
    q, k, v = (x.unflatten(-1, (heads, -1)).transpose(1, 2) for x in (queries, keys, values))
    joined = functional.scaled_dot_product_attention(q, k, v, dropout_p=dropout, is_causal=True)
    return joined.transpose(1, 2).flatten(2)


def _attend_last(normed: Tensor, lengths: Tensor, block: Tensors, heads: int) -> Tensor:
    """The attention of each row's last position to all that lies within its length: (rows, 1, size).

    A key is met by one query only, so it is cheaper to bring that query to the inputs than all inputs to keys; and the
    inputs are weighed before they become one value. The keys' bias adds the same to all scores of a softmax.
    """
    rows, longest, size = normed.shape
    to_query, to_key, to_value = block["qkv"].unflatten(0, (3, heads, -1))
    query_bias, _, value_bias = block["qkv_bias"].unflatten(0, (3, heads, -1))
    asking = normed[torch.arange(rows, device=normed.device), lengths - 1]
    queries = torch.einsum("rs,hqs->rhq", asking, to_query) + query_bias
    scores = torch.einsum("rhq,hqs->rhs", queries, to_key) @ normed.transpose(1, 2) / (size // heads) ** 0.5
    within = torch.arange(longest, device=normed.device) < lengths[:, None]
    weights = scores.masked_fill(~within[:, None], -torch.inf).softmax(-1)
    values = torch.einsum("rhs,hvs->rhv", weights @ normed, to_value) + value_bias
    return values.flatten(1)[:, None]


def _with_starts(offsets: npt.NDArray[np.int64], items: npt.NDArray[np.int32], start: int) -> npt.NDArray[np.int64]:
    """Histories one after the other, the token `start` before each."""
    return np.insert(items.astype(np.int64), offsets[:-1], start)


def _windows(sizes: npt.NDArray[np.int64], length: int) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Where each window of tokens begins and ends (the next token is what follows it), `length` tokens at most.

    Histories of `sizes` items, each behind its start token, are cut from their ends, so that every item follows
    exactly one token of one window.
    """
    firsts = np.cumsum(sizes + 1) - (sizes + 1)
    numbers = -(-sizes // length)
    user = np.repeat(np.arange(len(sizes)), numbers)
    number = np.arange(len(user)) - np.repeat(np.cumsum(numbers) - numbers, numbers)
    ends = firsts[user] + sizes[user] - number * length
    return np.maximum(firsts[user], ends - length), ends


def _batches(lengths: npt.NDArray[np.int64], batch_size: int, draw: np.random.Generator) -> list[npt.NDArray[np.int64]]:
    """Windows in random batches of like lengths, each of `batch_size` positions at most (or one window)."""
    order = draw.permutation(len(lengths))
    out: list[npt.NDArray[np.int64]] = []
    per_bucket = max(1, int(_BUCKET * batch_size / max(1.0, lengths.mean() if len(lengths) else 1.0)))
    for start in range(0, len(order), per_bucket):
        bucket = order[start : start + per_bucket]
        bucket = bucket[np.argsort(lengths[bucket], kind="stable")]
        begin = 0
        while begin < len(bucket):
            fits = lengths[bucket[begin:]] * np.arange(1, len(bucket) - begin + 1) <= batch_size
            end = begin + max(1, int(fits.sum()))
            out.append(bucket[begin:end])
            begin = end
    return [out[number] for number in draw.permutation(len(out))]


def _padded(
    begins: npt.NDArray[np.int64], ends: npt.NDArray[np.int64]
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """The places of each window's tokens, one window per row, and its length; padded with its last place."""
    lengths = ends - begins
    places = begins[:, None] + np.arange(lengths.max(initial=1))
    return np.minimum(places, ends[:, None] - 1), lengths
