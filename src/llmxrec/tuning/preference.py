"""Direct preference optimisation (Rafailov et al., 2023): of two answers to one instruction, learn to write the better.

Who was a teacher is no judge: what a generator learned of a judge's verdicts, that judge finds good by construction.
The adapter's card names the judges.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import polars as pl

from llmxrec.errors import InputError
from llmxrec.evaluation.judging import Contest
from llmxrec.evaluation.ranking import outcomes
from llmxrec.evaluation.verdicts import latest
from llmxrec.evidence.mentions import find_titles
from llmxrec.generators.cards import listed
from llmxrec.generators.specs import GenerationSettings, make_generator, read_spec
from llmxrec.generators.transformers_local import TransformersGenerator, prompt_tokens
from llmxrec.progress import Advance, quiet
from llmxrec.prompts.instructions import PromptSettings
from llmxrec.prompts.prompt import TooLong, make_prompt
from llmxrec.prompts.template import load_template
from llmxrec.records import Domain, Instruction, Pair
from llmxrec.tuning.adapters import Card, save_adapter
from llmxrec.tuning.causal import Sequel, answer_scores, tunable
from llmxrec.tuning.loop import Curve, Job, TuningSettings, hold_out, learn

PEOPLE = "people"
"""What the judge of people's verdicts is called. Others may rate what was learned from them."""


@dataclass(frozen=True, slots=True)
class Preference:
    """Two answers to one instruction, of which `chosen` is the better, as `judge` says; empty where labels do.

    Those of one `group` are about one recommendation.
    """

    instruction: Instruction
    domain: Domain
    chosen: str
    rejected: str
    group: str
    judge: str = ""


@dataclass
class Preferences:
    """Rows to learn from; `dropped` counts those that were left out, by why."""

    rows: list[Preference] = field(default_factory=list)
    dropped: Counter[str] = field(default_factory=Counter)


class Choice(NamedTuple):
    """A preference in tokens of any model: what is read, and both answers, their ends included."""

    prompt: Sequence[int]
    chosen: Sequence[int]
    rejected: Sequence[int]


class _Row(NamedTuple):
    """A choice, and the margin (see `margins`) that the model had before."""

    choice: Choice
    before: float


def from_pairs(pairs: Iterable[Pair]) -> Preferences:
    """Labelled pairs as preferences. Left out are ties, and those whose instruction is words only."""
    out = Preferences()
    for pair in pairs:
        case = pair.case
        chosen, rejected = case.texts if pair.winner == "first" else case.texts[::-1]
        if pair.winner == "tie":
            out.dropped["a tie"] += 1
        elif case.instruction is None or case.domain is None:
            out.dropped["the instruction cannot be read"] += 1
        else:
            out.rows.append(Preference(case.instruction, case.domain, chosen, rejected, pair.group))
    return out


def from_verdicts(compared: Iterable[Contest], verdicts: pl.DataFrame) -> Preferences:
    """What `verdicts` (columns of VERDICTS) prefer among the explanations in `compared`, of the same recommender.

    Asked in both orders, a judge prefers what it prefers in both. Left out are ties, what could not be read, and what
    is about explanations that are not there.
    """
    out = Preferences()
    contests = {(contest.user_id, contest.item_id): contest for contest in compared}
    pair = [pl.min_horizontal("first", "second"), pl.max_horizontal("first", "second").alias("other")]
    asked = latest(verdicts).select("recommender", "judge", "user_id", "item_id", *pair, "rater").n_unique()
    found = outcomes(verdicts)
    if asked > found.height:
        out.dropped["unreadable"] = asked - found.height
    for row in found.iter_rows(named=True):
        contest = contests.get((row["user_id"], row["item_id"]))
        texts = dict(zip(contest.generators, contest.case.texts, strict=True)) if contest else {}
        if row["points"] == 0.5:
            out.dropped["a tie"] += 1
        elif contest is None or row["a"] not in texts or row["b"] not in texts:
            out.dropped["not there"] += 1
        elif contest.case.instruction is None or contest.case.domain is None:
            out.dropped["the instruction cannot be read"] += 1
        else:
            chosen, rejected = (row["a"], row["b"]) if row["points"] == 1 else (row["b"], row["a"])
            case = contest.case
            about = (contest.case.instruction, contest.case.domain, texts[chosen], texts[rejected])
            out.rows.append(Preference(*about, group=case.key, judge=row["judge"]))
    return out


def tune_preference(
    base: str,
    preferences: Preferences | Sequence[Pair],
    out: Path,
    settings: TuningSettings,
    *,
    beta: float = 0.1,
    prompt: PromptSettings | None = None,
    checkpoint: Path | None = None,
    advance: Advance = quiet,
) -> Card:
    """Tune an adapter to write what is preferred (see `prefer`; labelled pairs are taken by `from_pairs`), and write it
    to the folder `out`.

    `base` is `hf:NAME_OR_PATH`, or `hf:NAME_OR_PATH+ADAPTER`: then that tuned model is what it is held to, and its
    adapter goes on learning (rank, scale and dropout are its own). Either way the result is an adapter of
    NAME_OR_PATH. Prompts are made as `prompt` says; a history that does not fit loses its oldest items, and rows for
    which even that does not help, or whose better answer tells of these, are left out. The card names the people, and
    the judges whose verdicts were learned: they have to be measured by others. `checkpoint` and `advance` as in
    `learn`. Raises InputError for a base that does not run here, and where nothing is left to learn.
    """
    if not isinstance(preferences, Preferences):
        preferences = from_pairs(preferences)
    spec = read_spec(base)
    if spec.kind != "hf":
        raise InputError("what is tuned is a model that runs here", value=base, cure="use hf:NAME_OR_PATH")
    generator = make_generator(base, GenerationSettings(max_tokens=1))
    if not isinstance(generator, TransformersGenerator):
        raise TypeError(f"{base} made a {type(generator).__name__}")
    window = generator.context_tokens
    most = settings.most_tokens if window is None else min(settings.most_tokens, window + 1)
    read = _reader(generator.tokenizer, prompt or PromptSettings(), most)
    dropped = Counter(preferences.dropped)
    told: list[tuple[Preference, Choice]] = []
    for row in preferences.rows:
        choice = read(row)
        if isinstance(choice, str):
            dropped[choice] += 1
        else:
            told.append((row, choice))
    held = hold_out([row.instruction.user.user_id or row.group for row, _ in told], settings.held_out, settings.seed)
    learned = [choice for (_, choice), out_ in zip(told, held, strict=True) if not out_]
    held_out = [choice for (_, choice), out_ in zip(told, held, strict=True) if out_]
    if not learned:
        left = ", ".join(f"{count:,} {why}" for why, count in dropped.items()) or "none"
        raise InputError("tuning needs preferences to learn from", value=left, cure="raise most_tokens, or give others")
    data = _digest([row for row, _ in told])
    model = tunable(generator, settings)
    curve = prefer(
        model, learned, held_out, settings, beta=beta, checkpoint=checkpoint, about=f"{base} {data}", advance=advance
    )
    card = Card(
        task="prefer",
        base=f"hf:{spec.model}",
        rows=len(learned),
        held_out=len(held_out),
        data=data,
        users=tuple(sorted({row.instruction.user.user_id for row, _ in told} - {""} | listed(spec.adapter, "users"))),
        settings=settings,
        curve=curve,
        dropped=dict(dropped),
        groups=tuple(sorted(listed(spec.adapter, "groups"))),
        taught_by=tuple(sorted({row.judge for row, _ in told} - {"", PEOPLE} | listed(spec.adapter, "taught_by"))),
    )
    save_adapter(model, out, card)
    return card


def prefer(
    model: Any,
    rows: Sequence[Choice],
    held_out: Sequence[Choice],
    settings: TuningSettings,
    *,
    beta: float = 0.1,
    checkpoint: Path | None = None,
    about: str = "",
    advance: Advance = quiet,
) -> Curve:
    """Learn from `rows` by the loss -log sigmoid(beta (margin - margin before)), which is log 2 before any step.

    A margin is how much greater the log-probability of the chosen answer is than that of the rejected one; "before" is
    the model as it is now, read once. `beta` is above 0: the smaller, the farther the model may go from what it was.
    The rest as in `learn`.
    """
    if not beta > 0:
        raise InputError("beta is above 0", value=beta, cure="leave it out for 0.1")
    known = _before(model, rows, settings.rows_at_once), _before(model, held_out, settings.rows_at_once)
    job = Job(*known, partial(_loss, beta), lambda row: _longer(row.choice))
    return learn(model, job, settings, checkpoint=checkpoint, about=f"beta {beta} {about}", advance=advance)


def margins(model: Any, choices: Sequence[Choice]) -> Any:
    """How much greater the log-probability of each chosen answer is than that of the rejected one, (choices,)."""
    both = [
        Sequel([*choice.prompt, *answer], len(choice.prompt))
        for choice in choices
        for answer in (choice.chosen, choice.rejected)
    ]
    scores = answer_scores(model, both).view(-1, 2)
    return scores[:, 0] - scores[:, 1]


def _loss(beta: float, model: Any, rows: Sequence[_Row]) -> tuple[Any, float]:
    import torch

    now = margins(model, [row.choice for row in rows])
    before = torch.tensor([row.before for row in rows], device=now.device)
    return -torch.nn.functional.logsigmoid(beta * (now - before)).sum(), float(len(rows))


def _before(model: Any, choices: Sequence[Choice], at_once: int) -> list[_Row]:
    """`choices` with their margins as the model is now; read with others of like length, for padding costs too."""
    import torch

    model.eval()
    order = sorted(range(len(choices)), key=lambda place: _longer(choices[place]))
    found: dict[int, float] = {}
    with torch.no_grad():
        for start in range(0, len(order), at_once):
            some = order[start : start + at_once]
            found |= zip(some, margins(model, [choices[place] for place in some]).tolist(), strict=True)
    return [_Row(choice, found[place]) for place, choice in enumerate(choices)]


def _longer(choice: Choice) -> int:
    return len(choice.prompt) + max(len(choice.chosen), len(choice.rejected))


def _reader(tokenizer: Any, settings: PromptSettings, most: int) -> Callable[[Preference], Choice | str]:
    """What makes a preference tokens, `most` of them at most with either answer; or says why it cannot be learned."""
    template = load_template(settings.template)
    end = tokenizer.eos_token_id
    if end is None:
        raise InputError("a model that learns to answer has a token that ends answers", cure="give it an eos_token")

    def tokens(answer: str) -> list[int]:
        words: list[int] = tokenizer(answer, add_special_tokens=False, split_special_tokens=True)["input_ids"]
        return [*words, end]

    def read(row: Preference) -> Choice | str:
        chosen, rejected = tokens(row.chosen), tokens(row.rejected)
        if chosen == rejected:
            return "the same words"
        try:
            prompt = make_prompt(
                "",
                row.instruction,
                template,
                row.domain,
                settings,
                room=most - max(len(chosen), len(rejected)),
                count_tokens=lambda messages: len(prompt_tokens(tokenizer, messages)),
            )
        except TooLong:
            return "too long even without history"
        lost = row.instruction.history[: prompt.dropped]
        if any(mention.item in lost for mention in find_titles(row.chosen, lost)):
            return "telling of history that did not fit"
        return Choice(prompt_tokens(tokenizer, prompt.messages), chosen, rejected)

    return read


def _digest(rows: Sequence[Preference]) -> str:
    out = hashlib.blake2b(digest_size=16)
    for row in rows:
        out.update(repr(row).encode("utf-8", "surrogatepass"))
    return out.hexdigest()
