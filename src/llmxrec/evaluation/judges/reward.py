"""A judge without order: a language model with a head that gives each explanation one score.

The probability that one text is better than another is the sigmoid of the difference of their scores (Bradley & Terry,
1952), so n texts take n evaluations instead of n(n-1), and no text stands first.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator, Sequence
from itertools import combinations
from pathlib import Path
from typing import Any

from pydantic import Field

from llmxrec.errors import InputError
from llmxrec.evaluation.judges.local import Branch, LocalReader, Tokens, over_room, read_words
from llmxrec.evaluation.pairs import groups_of
from llmxrec.generators.cards import list_groups, listed
from llmxrec.generators.specs import GenerationSettings, Spec, read_spec
from llmxrec.generators.transformers_local import TransformersGenerator
from llmxrec.records import Case, Pair, Ruling, Winner
from llmxrec.seeds import derive
from llmxrec.settings import Settings, check

_HEAD, _ABOUT, _ADAPTER = "reward_head.safetensors", "reward.json", "adapter_config.json"
_FEWEST = 10
"""Pairs with a winner from which anything can be learned."""
_WHICH = "use reward:FOLDER or reward:hf:NAME_OR_PATH[+FOLDER]"
WIN = {"first": 1.0, "second": 0.0, "tie": 0.5}
"""What the first text of a pair scores, by winner."""


class RewardSettings(Settings):
    """How the judge is trained, and how its model is run."""

    epochs: int = Field(default=30, ge=1)
    """Passes over the pairs in which the head learns, the model as it is."""
    learning_rate: float = Field(default=1e-2, gt=0)
    """AdamW's step for the head, which is given hidden states of standard deviation 1 each."""
    weight_decay: float = Field(default=0.1, ge=0)
    """AdamW's."""
    batch_size: int = Field(default=16, ge=1)
    """Pairs to a step; texts read at a time when judging."""
    seed: int = Field(default=1, ge=0)
    """Of the order of the pairs."""
    context_tokens: int | None = Field(default=None, ge=1)
    """Tokens a prompt may have. None: what the model's window holds, as far as it is known."""
    trust_remote_code: bool = False
    """Run code that comes with a model. It can do whatever you can do on this machine."""


class RewardJudge:
    """Scores each text by a linear head on what the model makes of the last token of `reward.txt`.

    `model`: a FOLDER that `save` wrote; `hf:NAME_OR_PATH+FOLDER`, the same on a model that now lies elsewhere; or
    `hf:NAME_OR_PATH` (with `+ADAPTER`, a folder without a head), to be trained with `fit`. (`tuning.judges` trains an
    adapter together with the head.)

    A case's texts share the computation of what they begin with, and a text that stands twice is read once. One beyond
    the model's window has no score: what concerns it is `invalid`.
    """

    order_free = True

    def __init__(self, model: str, *, name: str = "reward", **settings: object) -> None:
        self.name = name
        self.settings = check(RewardSettings, settings, "the reward: judge")
        self._base, folder = _read_model(model, name)
        self._head: Any = None  # (hidden size,)
        self.groups = self._before = listed(folder, "groups")
        asked = GenerationSettings(
            max_tokens=1,
            context_tokens=self.settings.context_tokens,
            trust_remote_code=self.settings.trust_remote_code,
        )
        adapter = folder if folder is not None and (folder / _ADAPTER).is_file() else None
        self.generator = TransformersGenerator(self._base.model, asked, adapter=adapter, name=name)
        self._reader = LocalReader(self.generator, self.settings.batch_size)
        self._tokens = Tokens(self.generator.tokenizer, read_words("reward"))
        if folder is not None and (folder / _ABOUT).is_file():
            self._head = _read_head(folder)

    @property
    def trained(self) -> bool:
        return self._head is not None

    def judge(self, cases: Iterable[Case]) -> Iterator[Ruling]:
        if self._head is None:
            raise InputError("a reward: judge is trained before it judges", value=self.name, cure="name its folder")
        if len(self._head) != self._reader.hidden_size:
            raise InputError("the head belongs to another model", value=f"{len(self._head)} numbers", cure=_WHICH)
        for case in cases:
            scores, wrong = self._scores(case)
            for first, second in combinations(range(len(case.texts)), 2):
                yield _ruling(case, first, second, scores, wrong)

    def prompt(self, asked: str, text: str) -> list[int]:
        """The tokens that the model reads to score one text."""
        return [*self._trunk(asked), *self._twig(text)]

    @property
    def head(self) -> Any:
        """The head's weights, (hidden size,); None before it is trained."""
        return self._head

    def fit(self, pairs: Sequence[Pair]) -> None:
        """Learn from `pairs` by the Bradley-Terry loss, -log sigmoid(score of the better - score of the other); a tie
        is half a win for each.

        Only the head learns, from the model's hidden states as they are. What it learned before is forgotten; the same
        pairs make the same judge, in whichever order their texts stand. Pairs beyond the model's window are left out.
        Raises InputError for fewer than 10 with a winner.
        """
        import torch

        held = [pair for pair in pairs if not any(self._over_room(pair.case.asked, text) for text in pair.case.texts)]
        decided = sum(pair.winner != "tie" for pair in held)
        if decided < _FEWEST:
            raise InputError(f"the reward: judge learns from {_FEWEST} pairs with a winner or more", value=decided)
        places: dict[tuple[str, str], int] = {}
        for pair in held:
            for text in sorted(pair.case.texts):
                places.setdefault((pair.case.asked, text), len(places))
        sides = torch.tensor([[places[pair.case.asked, text] for text in pair.case.texts] for pair in held])
        wins = torch.tensor([WIN[pair.winner] for pair in held])
        by_asked: dict[str, list[str]] = {}
        for asked, text in places:
            by_asked.setdefault(asked, []).append(text)
        states = dict[tuple[str, str], Any]()
        for asked, texts in by_asked.items():
            states |= zip(((asked, text) for text in texts), self._states(asked, texts), strict=True)
        # Out of inference mode, whose tensors take no part in learning.
        seen = torch.stack([states[place] for place in places]).clone()
        scale = seen.std(dim=0).clamp_min(1e-6)
        head = torch.zeros(seen.shape[1], device=seen.device, requires_grad=True)
        settings = self.settings
        optimizer = torch.optim.AdamW([head], lr=settings.learning_rate, weight_decay=settings.weight_decay)
        for epoch in range(settings.epochs):
            draw = torch.Generator().manual_seed(derive(settings.seed, "reward", epoch))
            for some in torch.randperm(len(sides), generator=draw).split(settings.batch_size):
                of_both = (seen[sides[some]] / scale) @ head
                optimizer.zero_grad()
                bradley_terry(of_both, wins[some]).mean().backward()
                optimizer.step()
        self._head = (head.detach() / scale).cpu()
        self.groups = self._before | groups_of(held)

    def save(self, folder: Path) -> None:
        """Write the head, its adapter if there is one, and the name of the model that they belong to."""
        if self._head is None:
            raise InputError("a reward: judge is trained before it is saved", value=self.name)
        folder.mkdir(parents=True, exist_ok=True)
        if hasattr(self.generator.model, "peft_config"):
            self.generator.model.save_pretrained(folder)
        write_head(folder, self._head, self._base.model)
        list_groups(folder, self.groups)

    def _scores(self, case: Case) -> tuple[dict[str, float], dict[str, str]]:
        """The score of each different text, or why it has none. Read sorted, so that their order cannot matter."""
        texts = sorted(set(case.texts))
        wrong = {text: why for text in texts if (why := self._over_room(case.asked, text))}
        fitting = [text for text in texts if text not in wrong]
        scores: dict[str, float] = {}
        if fitting:
            states = self._states(case.asked, fitting)
            scores = dict(zip(fitting, (states @ self._head.to(states.device)).tolist(), strict=True))
        wrong |= {text: "the model's score is no number" for text in fitting if not math.isfinite(scores[text])}
        return scores, wrong

    def _states(self, asked: str, texts: Sequence[str]) -> Any:
        """Hidden states at the ends of the prompts about `texts`, (texts, hidden size)."""
        trunk, twigs = self._trunk(asked), [self._twig(text) for text in texts]
        size = self.settings.batch_size
        branches = [Branch((), twigs[start : start + size]) for start in range(0, len(twigs), size)]
        return self._reader.read(trunk, branches)[0]

    def _trunk(self, asked: str) -> list[int]:
        opening, before, _ = self._tokens.fixed
        return [*opening, *self._tokens.text(asked), *before]

    def _twig(self, text: str) -> list[int]:
        return [*self._tokens.text(text), *self._tokens.fixed[2]]

    def _over_room(self, asked: str, text: str) -> str:
        return over_room(self.generator.context_tokens, len(self.prompt(asked, text)))


def bradley_terry(scores: Any, wins: Any) -> Any:
    """The loss of each pair: -log of the probability that it ended as it did, by `scores` (pairs, 2) of its texts.

    `wins` (pairs,) is 1 where the first won, 0 where it lost, .5 for a tie.
    """
    from torch.nn.functional import binary_cross_entropy_with_logits

    margins = scores[:, 0] - scores[:, 1]
    return binary_cross_entropy_with_logits(margins, wins.to(margins), reduction="none")


def write_head(folder: Path, head: Any, model: str) -> None:
    """Write to `folder` what makes it a judge: the head's weights (hidden size,), and the name of their model."""
    from safetensors.torch import save_file

    save_file({"weight": head[None].contiguous()}, folder / _HEAD)
    about = {"judge": "reward", "version": 1, "model": model}
    (folder / _ABOUT).write_text(json.dumps(about, indent=2) + "\n", encoding="utf-8")


def _ruling(case: Case, first: int, second: int, scores: dict[str, float], wrong: dict[str, str]) -> Ruling:
    texts = case.texts[first], case.texts[second]
    if whys := [wrong[text] for text in texts if text in wrong]:
        return Ruling(case.key, first, second, None, None, "invalid", whys[0])
    of_first, of_second = scores[texts[0]], scores[texts[1]]
    margin = of_first - of_second
    # Of the two ways to write a sigmoid, the one whose exponential cannot overflow.
    share = math.exp(-abs(margin))
    probability = (1.0 if margin >= 0 else share) / (1.0 + share)
    winner: Winner = "tie" if margin == 0 else "first" if margin > 0 else "second"
    return Ruling(case.key, first, second, winner, probability, "ok", f"scores {of_first:.4f} and {of_second:.4f}")


def _read_model(model: str, name: str) -> tuple[Spec, Path | None]:
    """The model and the folder, if any, that a spec names."""
    if not model:
        raise InputError("a reward: judge has a model", value=name, cure=_WHICH)
    folder = Path(model)
    if (folder / _ABOUT).is_file():
        return Spec("hf", _about(folder)), folder
    if ":" not in model:
        raise InputError("the folder holds no trained judge 'reward'", file=folder, cure=f"it would hold {_ABOUT}")
    spec = read_spec(model)
    if spec.kind != "hf":
        raise InputError("a reward: judge runs here", value=name, cure=_WHICH)
    folder_given = None if spec.adapter is None else Path(spec.adapter)
    if folder_given is not None and not any((folder_given / file).is_file() for file in (_ABOUT, _ADAPTER)):
        raise InputError(f"the folder holds {_ABOUT} or an adapter", value=str(folder_given), cure="give one of these")
    return spec, folder_given


def _about(folder: Path) -> str:
    """The name of the model that a folder's head belongs to."""
    file = folder / _ABOUT
    try:
        about = json.loads(file.read_text(encoding="utf-8"))
        if about["judge"] != "reward" or about["version"] != 1 or not isinstance(about["model"], str):
            raise ValueError
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        raise InputError("this is no trained judge 'reward'", file=file, cure="train and save it again") from None
    return str(about["model"])


def _read_head(folder: Path) -> Any:
    """The head's weights, (hidden size,)."""
    import torch
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    file = folder / _HEAD
    try:
        weight = load_file(file)["weight"].float()
        if weight.dim() != 2 or len(weight) != 1 or not torch.isfinite(weight).all():
            raise ValueError
    except (OSError, SafetensorError, KeyError, ValueError):
        raise InputError(
            "a reward: judge has a head in safetensors", file=file, cure="train and save it again"
        ) from None
    return weight[0]
