"""LightGCN: vectors that spread over the graph of who had what, and nothing else (He et al., 2020)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Self, TypeAlias

import numpy as np
import numpy.typing as npt
from pydantic import Field

from llmxrec.datasets.dataset import Histories
from llmxrec.errors import InputError
from llmxrec.recommenders import fold_in, storage, training
from llmxrec.recommenders.dot_product import DotProduct, DotProductRecommender, concatenated
from llmxrec.recommenders.protocol import UNWATCHED, History, Scores, Watch
from llmxrec.recommenders.training import Arrays
from llmxrec.seeds import derive
from llmxrec.settings import Settings, check

Users: TypeAlias = npt.NDArray[np.int64]

_STEPS = 12
"""Per epoch, where `batch_size` does not say."""
_AT_ONCE = 65_536
"""Users whose gradients are held at once, of millions."""


class LightGCNSettings(Settings):
    """What can be set. The defaults were chosen on the validation items of ML-100k."""

    embedding_size: Annotated[int, Field(ge=1)] = 64
    """Numbers per user and item."""
    layers: Annotated[int, Field(ge=1)] = 3
    """How far vectors spread: to neighbours, to their neighbours, and so on (K of the paper)."""
    epochs: Annotated[int, Field(ge=1)] = 150
    """Passes over all interactions, at most."""
    patience: Annotated[int, Field(ge=1)] = 20
    """Epochs without a better ranking of what is held out, after which training ends."""
    batch_size: Annotated[int, Field(ge=1)] | None = None
    """Interactions per step; None: a twelfth of all, since every step spreads over the whole graph."""
    learning_rate: Annotated[float, Field(gt=0, le=10)] = 0.01
    """Of Adam."""
    regularization: Annotated[float, Field(ge=0)] = 1e-4
    """L2 of all first vectors, in units of a mean over people (lambda of the paper)."""
    seed: Annotated[int, Field(ge=0)] = 1


class LightGCN(DotProductRecommender):
    """Scores an item by the dot product of vectors, each the mean of `layers` + 1 layers of the graph.

    Layer 0 is learned, by BPR and Adam. Each next layer of a user is the sum over their items i of i's layer before,
    divided by the root of how many items the user had and how many users i; and of an item likewise (equation 3
    there). A history that was never seen is a new user of the graph, who leaves the items' layers as they are and whose
    layer 0 is told by a linear map (see `fold_in`). On ML-100k, .86 of a fitted user's ten best items are among the ten
    best of their history, .83 where the map has not seen the user.

    `reach` is what an item adds to the vector of those who have it, but for the root of how many items they have.
    `fold` is the map to layer 0, divided as the layers are.
    """

    name = "lightgcn"
    settings_type = LightGCNSettings

    def __init__(self, settings: LightGCNSettings | None = None) -> None:
        self.settings = settings or LightGCNSettings()
        self.epochs, self.best_epoch = self.settings.epochs, 0
        empty: Scores = np.zeros((0, self.settings.embedding_size), np.float32)
        self.user_factors, self.item_vectors, self.reach, self.fold = empty, empty, empty, empty
        self.biases: Scores = np.zeros(0, np.float32)

    def fit(self, train: Histories, watch: Watch = UNWATCHED) -> Self:
        """Raises InputError for an empty catalogue, WorkError where the steps are too long."""
        if train.n_items == 0:
            raise InputError("lightgcn needs items to rank", value=0)
        learner = _Learner(self.settings, train)
        self.best_epoch = training.train(learner, train, watch)
        self.item_vectors, self.biases = learner.item_vectors, learner.biases
        layers = np.float32(self.settings.layers + 1)
        self.reach = learner.reach / layers
        some = fold_in.some_of(train.n_users)
        read = fold_in.features([train.of(int(user)) for user in some], self.item_vectors)
        self.fold = fold_in.fit(read, learner.weights()["users"][some]) / layers
        self.user_factors = learner.all_user_vectors()
        return self

    def user_vectors(self, users: Users) -> Scores:
        return self.user_factors[users]

    def history_vectors(self, histories: Sequence[History]) -> Scores:
        offsets, items = concatenated(histories)
        vectors = _gathered(offsets[:-1], offsets[1:], items, self.reach)
        vectors += fold_in.features(histories, self.item_vectors).astype(np.float32) @ self.fold
        return vectors

    def save(self, folder: Path) -> None:
        arrays = {
            "user_factors": self.user_factors,
            "item_vectors": self.item_vectors,
            "reach": self.reach,
            "fold": self.fold,
        }
        storage.save(folder, self.name, self.settings, arrays)

    @classmethod
    def load(cls, folder: Path) -> Self:
        settings, arrays = storage.load(folder, cls.name, ("user_factors", "item_vectors", "reach", "fold"))
        model = cls(check(LightGCNSettings, settings, "lightgcn"))
        model.user_factors, model.item_vectors = arrays["user_factors"], arrays["item_vectors"]
        model.reach, model.fold = arrays["reach"], arrays["fold"]
        model.biases = np.zeros(len(model.item_vectors), np.float32)
        return model


class _Learner(DotProduct):
    """A fit under way: the graph, the first vectors, and Adam's memory of them.

    With E the first vectors and P the spreading (linear, and symmetric), the loss is a function of P E, so its
    gradient by E is P times its gradient by P E: both ways are the same passes. Edges join users and items only, so
    the items' layers can be had without the users', of whom there may be millions: theirs are sums over `reach`.
    """

    name = LightGCN.name
    measured_every = 2

    def __init__(self, settings: LightGCNSettings, graph: Histories) -> None:
        self.settings, self._graph = settings, graph
        self.epochs, self.patience = settings.epochs, settings.patience
        draw = np.random.Generator(np.random.PCG64(derive(settings.seed, "lightgcn", "start")))
        self._first: dict[str, Scores] = {
            side: draw.standard_normal((number, settings.embedding_size), np.float32)
            for side, number in (("users", graph.n_users), ("items", graph.n_items))
        }
        for first in self._first.values():
            first *= np.float32(0.1)
        self._means = {side: np.zeros_like(first) for side, first in self._first.items()}
        self._squares = {side: np.zeros_like(first) for side, first in self._first.items()}
        self._steps = np.zeros(1, np.int64)
        degrees = np.bincount(graph.item_index, minlength=graph.n_items)
        self._item_scale = (1 / np.sqrt(np.maximum(degrees, 1))).astype(np.float32)[:, None]
        self.biases = np.zeros(graph.n_items, np.float32)
        self.measurable()

    def measurable(self) -> None:
        everyone = np.arange(self._graph.n_users)
        self.item_vectors, self.reach = self._layers(everyone, self._first["users"], self._first["items"])

    def epoch(self, number: int) -> None:
        from llmxrec.recommenders.kernels import pair_gradients

        graph, size = self._graph, self.settings.embedding_size
        seed = derive(self.settings.seed, "lightgcn", number)
        state = np.array([seed], np.uint64)
        order = np.random.Generator(np.random.PCG64(seed)).permutation(len(graph))
        batch = self.settings.batch_size or max(1, -(-len(graph) // _STEPS))
        for start in range(0, len(order), batch):
            some = order[start : start + batch]
            users, rows = np.unique(graph.user_index[some].astype(np.int64), return_inverse=True)
            self.measurable()
            of_users = np.zeros((len(users), size), np.float32)
            of_items = np.zeros((graph.n_items, size), np.float32)
            pair_gradients(
                rows, graph.user_index[some], graph.item_index[some], graph.offsets, graph.sorted_items,
                self.user_vectors(users), self.item_vectors, of_users, of_items, state,
            )  # fmt: skip
            of_users /= len(some)
            of_items /= len(some)
            self._step(users, of_users, of_items)

    def _layers(self, users: Users, of_users: Scores, of_items: Scores) -> tuple[Scores, Scores]:
        """The mean of the items' layers; and their sum but for the last, each divided by the root of its degree.

        `of_users` is layer 0 of `users`, zero for all others; `of_items` that of all items.
        """
        from llmxrec.recommenders.kernels import around, spread_lines

        graph, scale = self._graph, self._item_scale
        layers = [of_items, np.zeros_like(of_items)]
        for start in range(0, len(users), _AT_ONCE):
            some = users[start : start + _AT_ONCE]
            roots = np.sqrt(np.maximum(1, graph.offsets[some + 1] - graph.offsets[some])).astype(np.float32)
            lines = of_users[start : start + _AT_ONCE] / roots[:, None]
            spread_lines(some, graph.offsets, graph.item_index, lines, layers[1])
        layers[1] *= scale
        for number in range(2, self.settings.layers + 1):
            layers.append(np.zeros_like(of_items))
            around(graph.offsets, graph.item_index, layers[number - 2] * scale, layers[number])
            layers[number] *= scale
        without_last = np.sum(layers[:-1], axis=0)
        return (without_last + layers[-1]) / np.float32(len(layers)), without_last * scale

    def _step(self, users: Users, of_users: Scores, of_items: Scores) -> None:
        """One of Adam, from the gradients of the final vectors of `users` (zero for others) and of all items."""
        gradients, reach = self._layers(users, of_users, of_items)
        self._steps += 1
        self._adam("items", slice(None), gradients)
        for start in range(0, self._graph.n_users, _AT_ONCE):
            part = slice(start, min(start + _AT_ONCE, self._graph.n_users))
            gradients = self._around(part, reach)
            low, high = np.searchsorted(users, [part.start, part.stop])
            gradients[users[low:high] - part.start] += of_users[low:high]
            gradients /= np.float32(self.settings.layers + 1)
            self._adam("users", part, gradients)

    def _adam(self, side: str, part: slice, gradients: Scores) -> None:
        from llmxrec.recommenders.kernels import adam

        first, means, squares = (table[side][part] for table in (self._first, self._means, self._squares))
        gradients += np.float32(self.settings.regularization / self._graph.n_users) * first
        steps = int(self._steps[0])
        fresh_means, fresh_squares = np.float32(1 / (1 - 0.9**steps)), np.float32(1 / (1 - 0.999**steps))
        rate = np.float32(self.settings.learning_rate)
        adam(first, gradients, means, squares, rate, fresh_means, fresh_squares)

    def _around(self, part: slice, reach: Scores) -> Scores:
        offsets = self._graph.offsets
        starts, stops = offsets[part.start : part.stop], offsets[part.start + 1 : part.stop + 1]
        return _gathered(starts, stops, self._graph.item_index, reach)

    def user_vectors(self, users: Users) -> Scores:
        offsets = self._graph.offsets
        sums = _gathered(offsets[users], offsets[users + 1], self._graph.item_index, self.reach)
        sums += self._first["users"][users]
        return sums / np.float32(self.settings.layers + 1)

    def all_user_vectors(self) -> Scores:
        """Those of everyone, in the place of their first vectors: this ends the fit."""
        for start in range(0, self._graph.n_users, _AT_ONCE):
            part = np.arange(start, min(start + _AT_ONCE, self._graph.n_users))
            self._first["users"][part] = self.user_vectors(part)
        return self._first["users"]

    def weights(self) -> Arrays:
        return dict(self._first)

    def memory(self) -> Arrays:
        return {
            **{f"means.{side}": array for side, array in self._means.items()},
            **{f"squares.{side}": array for side, array in self._squares.items()},
            "steps": self._steps,
        }

    def restore(self, arrays: Mapping[str, npt.NDArray[Any]]) -> None:
        mine = self.weights() | self.memory()
        for name, array in arrays.items():
            mine[name][:] = array


def _gathered(
    starts: npt.NDArray[np.int64], stops: npt.NDArray[np.int64], items: npt.NDArray[np.int32], reach: Scores
) -> Scores:
    """The sum of what `items[starts[r]:stops[r]]` reach, divided by the root of their number."""
    from llmxrec.recommenders.kernels import sum_lines

    sums = np.empty((len(starts), reach.shape[1]), np.float32)
    sum_lines(starts, stops, items, reach, sums)
    sums /= np.sqrt(np.maximum(1, stops - starts)).astype(np.float32)[:, None]
    return sums
