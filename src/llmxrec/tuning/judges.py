"""Judges tuned on labelled pairs: the paper's discriminator, and the judge without order, by LoRA in the shared loop.

What either learns to read is, token for token, what it is given when it judges.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Literal, NamedTuple, TypeVar

from llmxrec.errors import InputError
from llmxrec.evaluation.judges.local import LocalReader
from llmxrec.evaluation.judges.pairwise import PairwiseJudge
from llmxrec.evaluation.judges.reward import WIN, RewardJudge, bradley_terry, write_head
from llmxrec.evaluation.pairs import groups_of
from llmxrec.generators.cards import listed
from llmxrec.generators.specs import Spec, read_spec
from llmxrec.progress import Advance, quiet
from llmxrec.records import Pair
from llmxrec.tuning.adapters import Card, save_adapter
from llmxrec.tuning.causal import Sequel, answer_loss, tunable
from llmxrec.tuning.loop import Curve, Job, TuningSettings, hold_out, learn

Row = TypeVar("Row")

FEWEST = 10
"""Pairs with a winner from which anything can be learned."""


class _BothOrders(NamedTuple):
    """The two questions about a pair, with the token that answers each: a step that learns one learns the other."""

    there: Sequel
    back: Sequel


class _Texts(NamedTuple):
    """What is read to score each text of a pair, and what the first scores: 1, 0, or .5 for a tie."""

    first: Sequence[int]
    second: Sequence[int]
    win: float


def tune_judge(
    base: str,
    pairs: Sequence[Pair],
    out: Path,
    settings: TuningSettings,
    *,
    kind: Literal["pairwise", "reward"] = "pairwise",
    checkpoint: Path | None = None,
    advance: Advance = quiet,
) -> Card:
    """Tune a judge on `pairs`, and write it to the folder `out`.

    `base` is `hf:NAME_OR_PATH`, or `hf:NAME_OR_PATH+ADAPTER`, where that adapter goes on learning (rank, scale and
    dropout are then its own).

    `pairwise`: the answer 1 or 2, by its one token (section 3.3, equation 4), in both orders of each pair; ties are
    left out. It then judges as `pairwise:hf:NAME_OR_PATH+OUT`. `reward`: one score for each text by the Bradley-Terry
    loss, first by a head on the model as it is, then by head and adapter together; a tie is half a win for each. It
    then judges as `reward:OUT`.

    Pairs beyond the model's window or `most_tokens` are left out; those of one group are all learned from or all held
    out. The card lists their recommendations, on which the judge is not to be measured. `checkpoint` and `advance` as
    in `learn`. Raises InputError for a base that does not run here, and for fewer than 10 pairs with a winner.
    """
    spec = read_spec(base)
    if spec.kind != "hf":
        raise InputError("a judge is tuned on a model that runs here", value=base, cure="use hf:NAME_OR_PATH")
    tune = _tune_pairwise if kind == "pairwise" else _tune_reward
    return tune(spec, pairs, out, settings, checkpoint, advance)


def _tune_pairwise(
    spec: Spec, pairs: Sequence[Pair], out: Path, settings: TuningSettings, checkpoint: Path | None, advance: Advance
) -> Card:
    judge = PairwiseJudge(_written(spec), name="pairwise:")
    generator: Any = judge.generator
    one, two = judge.answer_tokens
    read: dict[int, _BothOrders] = {}
    dropped: Counter[str] = Counter()
    for place, pair in enumerate(pairs):
        if pair.winner == "tie":
            dropped["a tie"] += 1
            continue
        asked, (first, second) = pair.case.asked, pair.case.texts
        better, other = (one, two) if pair.winner == "first" else (two, one)
        row = _BothOrders(
            _answered(judge.prompt(asked, first, second), better), _answered(judge.prompt(asked, second, first), other)
        )
        if _fits(max(row.there.read, row.back.read), settings, generator.context_tokens):
            read[place] = row
        else:
            dropped["too long"] += 1
    learned, held_out = _divided(pairs, list(read), settings, dropped)
    model = tunable(generator, settings)
    job = Job([read[place] for place in learned], [read[place] for place in held_out], _answers_loss, _longer)
    about = _digest("pairwise", _written(spec), pairs)
    curve = learn(model, job, settings, checkpoint=checkpoint, about=about, advance=advance)
    card = _card("judge: pairwise", spec, pairs, learned, held_out, settings, curve, dropped)
    save_adapter(model, out, card)
    return card


def _tune_reward(
    spec: Spec, pairs: Sequence[Pair], out: Path, settings: TuningSettings, checkpoint: Path | None, advance: Advance
) -> Card:
    import torch

    judge = RewardJudge(_written(spec), name="reward:", seed=settings.seed)
    read: dict[int, _Texts] = {}
    dropped: Counter[str] = Counter()
    for place, pair in enumerate(pairs):
        first, second = (judge.prompt(pair.case.asked, text) for text in pair.case.texts)
        if _fits(max(len(first), len(second)), settings, judge.generator.context_tokens):
            read[place] = _Texts(first, second, WIN[pair.winner])
        else:
            dropped["too long"] += 1
    learned, held_out = _divided(pairs, list(read), settings, dropped)
    judge.fit([pairs[place] for place in learned])
    model = tunable(judge.generator, settings)
    # A weight of the model from now on, for whom everything that learns is one.
    model.register_parameter("reward_head", torch.nn.Parameter(judge.head.to(model.device)))
    loss = partial(_preference_loss, LocalReader(judge.generator, 2 * settings.rows_at_once))
    job = Job([read[place] for place in learned], [read[place] for place in held_out], loss, _longest)
    about = _digest("reward", _written(spec), pairs)
    curve = learn(model, job, settings, checkpoint=checkpoint, about=about, advance=advance)
    card = _card("judge: reward", spec, pairs, learned, held_out, settings, curve, dropped)
    head = model.reward_head.detach().cpu()
    save_adapter(model, out, card, also=lambda folder: write_head(folder, head, spec.model))
    return card


def _answers_loss(model: Any, rows: Sequence[_BothOrders]) -> tuple[Any, float]:
    return answer_loss(model, [sequel for row in rows for sequel in row])


def _preference_loss(reader: LocalReader, model: Any, rows: Sequence[_Texts]) -> tuple[Any, float]:
    import torch

    states, _ = reader.read_alone([tokens for row in rows for tokens in (row.first, row.second)])
    scores = (states @ model.reward_head).view(-1, 2)
    wins = torch.tensor([row.win for row in rows])
    return bradley_terry(scores, wins).sum(), float(len(rows))


def _answered(prompt: Sequence[int], answer: int) -> Sequel:
    return Sequel([*prompt, answer], len(prompt))


def _longer(row: _BothOrders) -> int:
    return max(row.there.read, row.back.read)


def _longest(row: _Texts) -> int:
    return max(len(row.first), len(row.second))


def _fits(tokens: int, settings: TuningSettings, room: int | None) -> bool:
    return tokens < settings.most_tokens and (room is None or tokens <= room)


def _divided(
    pairs: Sequence[Pair], places: Sequence[int], settings: TuningSettings, dropped: Mapping[str, int]
) -> tuple[list[int], list[int]]:
    """Those of `places` to learn from, and those held out."""
    out = hold_out([pairs[place].group for place in places], settings.held_out, settings.seed)
    learned = [place for place, held in zip(places, out, strict=True) if not held]
    decided = sum(pairs[place].winner != "tie" for place in learned)
    if decided < FEWEST:
        found = ", ".join([f"{decided:,}", *(f"{count:,} {why}" for why, count in dropped.items())])
        raise InputError(f"a judge is tuned on {FEWEST} pairs with a winner or more", value=found)
    return learned, [place for place, held in zip(places, out, strict=True) if held]


def _card(
    task: str,
    spec: Spec,
    pairs: Sequence[Pair],
    learned: Sequence[int],
    held_out: Sequence[int],
    settings: TuningSettings,
    curve: Curve,
    dropped: Counter[str],
) -> Card:
    """With what the base's adapter had learned from before, if it has one."""
    told = [pairs[place] for place in (*learned, *held_out)]
    users = {pair.case.instruction.user.user_id for pair in told if pair.case.instruction} - {""}
    return Card(
        task=task,
        base=f"hf:{spec.model}",
        rows=len(learned),
        held_out=len(held_out),
        data=_digest("pairs", pairs),
        users=tuple(sorted(users | listed(spec.adapter, "users"))),
        settings=settings,
        curve=curve,
        dropped=dict(dropped),
        groups=tuple(sorted(groups_of(told) | listed(spec.adapter, "groups"))),
        taught_by=tuple(sorted(listed(spec.adapter, "taught_by"))),
    )


def _written(spec: Spec) -> str:
    return f"hf:{spec.model}" + (f"+{spec.adapter}" if spec.adapter else "")


def _digest(*parts: str | Sequence[Pair]) -> str:
    """Of words, and of all that is in pairs but who wrote them, in their order."""
    out = hashlib.blake2b(digest_size=16)
    for part in parts:
        rows = [part] if isinstance(part, str) else [[p.case.asked, *p.case.texts, p.winner, p.group] for p in part]
        out.update(json.dumps(rows).encode())
    return out.hexdigest()
