"""Tune the embedded model: on anyone's explanations, taken apart into words and slots, and on attributes."""

from __future__ import annotations

import json
import math
import random
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, cycle, islice
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

from llmxrec.errors import InputError, MissingExtra
from llmxrec.evidence.plan import Plan, labels_of
from llmxrec.generators.embedded import slots
from llmxrec.generators.embedded.attributes import (
    Answers,
    answer_token,
    ask_token,
    item_token,
    known_answers,
    read_items,
)
from llmxrec.generators.embedded.delexicalise import delexicalise, refers
from llmxrec.generators.embedded.generator import MODEL, EmbeddedGenerator
from llmxrec.generators.embedded.phrases import phrases_of, write_phrases
from llmxrec.generators.embedded.realise import sentences
from llmxrec.progress import Advance, quiet
from llmxrec.prompts.targets import is_right
from llmxrec.records import Lesson, Prompt
from llmxrec.seeds import derive
from llmxrec.tuning import lessons as lessons_
from llmxrec.tuning.adapters import Card, save_adapter
from llmxrec.tuning.causal import Sequel, answer_loss, with_lora
from llmxrec.tuning.lessons import Lessons
from llmxrec.tuning.loop import Job, TuningSettings, learn

EXPLAIN = TuningSettings(
    epochs=16, batch_size=8, learning_rate=3e-3, rank=16, alpha=32, held_out=0, rehearsal=400
)  # fmt: skip
"""What suits explanations: some hundred rows, to be known well enough to write without a slip."""
ATTRIBUTES = TuningSettings(epochs=12, learning_rate=3e-3, rank=4, alpha=8, dropout=0.1, held_out=0.1, patience=4)
"""What suits attributes: thousands of items of which each person had few."""
_CANDIDATES = 5
"""Different candidates that a word is said of, at least, for the model to learn to write it."""
_SPREAD = 2.0
"""How far apart items begin, in lengths of a word's embedding."""
_FEWEST = 0.3
"""Of a history, the share of items that is seen at least."""
_HOLD = 0.03
"""What it costs an embedding to leave the place where it began, by squared distance."""
_TRIED = 30
"""Texts that a loose sentence is tried with."""
_LIFT, _CHANCE = 1.5, 0.001
"""A word tells of a label if it stands beside it so many times as often as elsewhere, and this seldom by chance."""


@dataclass(frozen=True, slots=True)
class Asked:
    """Tokens that are read of a person, then what is asked: each of `asks` is a token, its `answers` a place among all
    that may be answered to it."""

    read: tuple[int, ...]
    asks: tuple[int, ...]
    answers: tuple[int, ...]


Row: TypeAlias = Sequel | Asked


def tune_embedded(
    lessons: Lessons,
    out: Path,
    settings: TuningSettings | None = None,
    *,
    checkpoint: Path | None = None,
    advance: Advance = quiet,
) -> Card:
    """Learn from `lessons` of either task, and write the adapter to `out`.

    Of an explanation, those sentences are learned that tell only what its plan holds (see `delexicalise`); where not
    enough is left to name the candidate and a shared reason, the row is left out. Words that the model knows but does
    not write yet, it learns to write if several rows have them. Where fewer than `settings.rehearsal` are left, texts
    that it writes itself about the same questions are learned beside them. What it writes afterwards is made of the
    phrases of all these, and of those that it was trained on (see `phrases`). Of attributes, it learns to tell the true
    answer from all others given: items and answers become tokens of their own. Raises InputError where nothing is left
    to learn.
    """
    try:
        import torch
        from transformers import LlamaForCausalLM, PreTrainedTokenizerFast
        from transformers.utils.logging import disable_progress_bar
    except ImportError:
        raise MissingExtra("tuning", "torch") from None

    disable_progress_bar()
    tokenizer = PreTrainedTokenizerFast.from_pretrained(MODEL)
    model = LlamaForCausalLM.from_pretrained(MODEL, dtype=torch.float32)
    known, written = len(tokenizer), int(model.config.written)
    explaining = [lesson for lesson in lessons.rows if lesson.instruction.task == "explain"]
    predicting = [lesson for lesson in lessons.rows if lesson.instruction.task == "predict"]
    settings = settings or (EXPLAIN if explaining else ATTRIBUTES)
    fixed = {*tokenizer.convert_ids_to_tokens(list(range(written)))}
    words = sorted(common_words(explaining) - fixed)
    tokenizer.add_tokens([*(word for word in words if word not in tokenizer.get_vocab()), *_new_tokens(predicting)])
    number = tokenizer.get_vocab()
    answers = known_answers(tokenizer.convert_ids_to_tokens(list(range(len(tokenizer)))))
    answers = {target: one for target, one in answers.items() if len(one.values) > 1}
    place = {target: {value: n for n, value in enumerate(one.values)} for target, one in answers.items()}
    dropped = Counter(lessons.dropped)
    may_say = fixed.union(words).__contains__

    kept, apart = lessons_.divide(
        lessons.rows, settings.held_out, settings.seed, lambda lesson: lesson.instruction.user.user_id
    )

    def rows_of(some: Sequence[Lesson], rehearsal: int) -> list[Row]:
        told_ = [told(lesson, may_say, dropped) for lesson in some if lesson.instruction.task == "explain"]
        texts = [one for one in told_ if one.sentences]
        missing = rehearsal - len(completed(texts, settings.seed)) if texts else 0
        texts += [told(lesson, may_say, Counter()) for lesson in own(some, max(0, missing), settings.seed)]
        texts = completed(texts, settings.seed)
        rows: list[Row] = [Sequel([number[token] for token in one.tokens()], slots.READ) for one in texts]
        for lesson in some:
            if lesson.instruction.task == "predict":
                truth = json.loads(lesson.answer)
                asked = [(answers[name].ask, place[name][value]) for name, value in truth.items() if name in answers]
                if not asked:
                    dropped["the same answer for all"] += 1
                    continue
                read = tuple(read_items(lesson.instruction, number))
                rows.append(Asked(read, tuple(ask for ask, _ in asked), tuple(answer for _, answer in asked)))
        return rows

    rows, held_out = rows_of(kept, settings.rehearsal), rows_of(apart, 0)
    if not rows:
        left = str(Lessons([], dropped))
        raise InputError(
            "tuning needs rows to learn from", value=left, cure="give explanations, or attributes that differ"
        )
    choices = {one.ask: _Choice(torch.from_numpy(one.tokens), _right(name, one)) for name, one in answers.items()}

    items = sorted(n for token, n in number.items() if token.startswith("<item "))
    with torch.random.fork_rng():
        torch.manual_seed(settings.seed)
        model.resize_token_embeddings(len(tokenizer), mean_resizing=False)
        if items:
            embeddings = model.get_input_embeddings().weight.data
            embeddings[items] = _item_embeddings(rows, items, embeddings[:written])
    device = "cuda" if torch.cuda.is_available() else "cpu"
    tuned = with_lora(
        model, settings, new_tokens=sorted({*map(number.__getitem__, words), *range(known, len(tokenizer))})
    ).to(device)
    start = _embeddings(tuned).detach().clone() if predicting else None
    job = Job[Row](
        rows,
        held_out,
        lambda model, rows: _loss(model, rows, choices, start),
        lambda one: len(one.tokens) if isinstance(one, Sequel) else len(one.read) + len(one.asks),
    )
    data = lessons_.digest(lessons.rows)
    curve = learn(tuned, job, settings, checkpoint=checkpoint, about=data, advance=advance)
    card = Card(
        task=",".join(dict.fromkeys("attributes" if isinstance(one, Asked) else "explain" for one in rows)),
        base="embedded",
        rows=len(rows),
        held_out=len(held_out),
        data=data,
        users=lessons_.users(lessons.rows),
        settings=settings,
        curve=curve,
        dropped=dict(dropped),
    )
    texts = [tokenizer.convert_ids_to_tokens(row.tokens[slots.READ : -1]) for row in rows if isinstance(row, Sequel)]
    phrases = phrases_of(sentence for text in texts for sentence in sentences(text))
    save_adapter(tuned.to("cpu"), out, card, tokenizer, also=lambda folder: write_phrases(folder, phrases))
    return card


def own(lessons: Sequence[Lesson], count: int, seed: int) -> list[Lesson]:
    """`count` explanations by the shipped model about what `lessons` of explanations ask, histories cut at random."""
    asked = [lesson for lesson in lessons if lesson.instruction.task == "explain"]
    chosen = [(lesson, derive(seed, "own", number)) for number, lesson in enumerate(islice(cycle(asked), count))]
    prompts = [
        Prompt(f"{number}", lessons_.shortened(lesson.instruction, (), drawn), lesson.domain, (), seed=drawn)
        for number, (lesson, drawn) in enumerate(chosen)
    ]
    answers = {answer.key: answer.text for answer in EmbeddedGenerator().generate(prompts)}
    return [Lesson(prompt.instruction, prompt.domain, answers[prompt.key]) for prompt in prompts]


@dataclass(frozen=True, slots=True)
class Told:
    """What can be learned of an explanation: sentences in words and slots, and the plan that they tell of."""

    plan: Plan
    sentences: tuple[tuple[str, ...], ...]

    @property
    def complete(self) -> bool:
        """Whether it names the candidate and a shared reason, and so may end."""
        return len(self.sentences) <= slots.MOST_SENTENCES and slots.obeys([*chain(*self.sentences)], self.plan)

    def tokens(self) -> list[str]:
        """What is read, what is written, and the end."""
        return [*slots.read_plan(self.plan, len(self.sentences)), *chain(*self.sentences), slots.END]


def told(lesson: Lesson, may_say: Callable[[str], bool], dropped: Counter[str]) -> Told:
    """What can be learned of `lesson`, in words that the model `may_say`; what is left out is counted in `dropped`."""
    found = delexicalise(lesson.answer, lesson.instruction, lesson.domain, knows=may_say)
    dropped.update({f"sentences with {why}": count for why, count in found.dropped.items()})
    kept = tuple(map(tuple, sentences(found.tokens)))
    if not kept:
        dropped["nothing was left"] += 1
    return Told(found.plan, kept[: slots.MOST_SENTENCES])


def completed(texts: Sequence[Told], seed: int) -> list[Told]:
    """The complete ones of `texts`, and for each sentence of the others a complete one that ends with it.

    A text of which the candidate's or the reason's sentence was left out must not be learned as it is: the model would
    learn to leave these out. A sentence is added where it breaks no rule, to a text drawn from `seed`; one that fits
    none of many, or that points to the one before it, is left out.
    """
    whole = [text for text in texts if text.complete]
    rest = [sentence for text in texts if not text.complete for sentence in text.sentences]
    loose = [sentence for sentence in rest if not refers(sentence)]
    draw = random.Random(seed)
    out = list(whole)
    for sentence in loose:
        some = draw.sample(whole, min(len(whole), _TRIED))
        longer = (Told(text.plan, (*text.sentences, sentence)) for text in some if sentence not in text.sentences)
        out += islice((text for text in longer if text.complete), 1)
    return out


def common_words(explaining: Sequence[Lesson]) -> set[str]:
    """Words that tell of no item: no labels, said of several candidates, and not mostly of those with one label.

    What an explainer says of thrillers alone ("gripping") is a claim; so small a model would make it of anything.
    """
    said: dict[str, dict[str, set[int]]] = {}
    has: Counter[str] = Counter()
    labels = []
    facts: set[str] = set()
    for row, lesson in enumerate(explaining):
        mine = labels_of(lesson.instruction.candidate, lesson.domain)
        labels.append(mine)
        has.update(mine)
        for item in (*lesson.instruction.history, lesson.instruction.candidate):
            facts.update(word for one in labels_of(item, lesson.domain) for word in slots.tokens_of(one))
        found = delexicalise(lesson.answer, lesson.instruction, lesson.domain)
        for word in {*found.tokens} - {*slots.SLOTS}:
            said.setdefault(word, {}).setdefault(lesson.instruction.candidate.title, set()).add(row)
    out = set()
    for word, of in said.items():
        rows = [row for some in of.values() for row in some]
        beside = Counter(label for row in rows for label in labels[row])
        shares = {label: has[label] / len(explaining) for label in beside}
        tells = any(
            count > _LIFT * shares[label] * len(rows) and _tail(count, len(rows), shares[label]) < _CHANCE
            for label, count in beside.items()
        )
        if len(of) >= _CANDIDATES and not tells and word not in facts:
            out.add(word)
    return out


def _tail(count: int, of: int, share: float) -> float:
    """The probability of `count` or more hits in `of` draws, each a hit with probability `share`."""
    return sum(math.comb(of, k) * share**k * (1 - share) ** (of - k) for k in range(count, of + 1))


def _new_tokens(predicting: Iterable[Lesson]) -> list[str]:
    """Tokens for the items, the questions and the answers of `predicting`."""
    items: dict[str, None] = {}
    answers: set[tuple[str, str]] = set()
    for lesson in predicting:
        items |= {item.item_id: None for item in (*lesson.instruction.history, lesson.instruction.candidate)}
        answers |= {*json.loads(lesson.answer).items()}
    asks = sorted({target for target, _ in answers})
    return [*map(item_token, items), *map(ask_token, asks), *(answer_token(*one) for one in sorted(answers))]


class _Choice(NamedTuple):
    """What may be answered to a question: tokens, (answers,), and what is right where each is the truth, (answers,
    answers)."""

    tokens: Any
    right: Any


def _right(name: str, answers: Answers) -> Any:
    import torch

    return torch.tensor([[is_right(name, said, (truth,)) for said in answers.values] for truth in answers.values])


def _loss(model: Any, rows: Sequence[Row], choices: Mapping[int, _Choice], start: Any) -> tuple[Any, float]:
    """Of words, among all words; of an attribute, among the answers to it. Each token and each answer counts once.

    While learning, the embeddings of tokens are held to where they began, `start`: squared distances are added.
    """
    told = [row for row in rows if isinstance(row, Sequel)]
    asked = [row for row in rows if isinstance(row, Asked)]
    parts = [answer_loss(model, told)] if told else []
    parts += [_choice_loss(model, asked, choices)] if asked else []
    loss, weight = sum(loss for loss, _ in parts), sum(weight for _, weight in parts)
    if asked and model.training:
        loss = loss + _HOLD * weight * ((_embeddings(model) - start) ** 2).sum()
    return loss, weight


def _embeddings(model: Any) -> Any:
    """The embeddings of tokens that change."""
    return model.get_base_model().model.embed_tokens.token_adapter.trainable_tokens_delta["default"]


def _choice_loss(model: Any, rows: Sequence[Asked], choices: Mapping[int, _Choice]) -> tuple[Any, float]:
    """The probability of what is right is learned: of an age, of all that are within five years of it.

    Rows are filled up behind, where nothing looks back at. While learning, each is seen with some of its items, so that
    no history is learned by heart.
    """
    import torch

    seen = [_thinned(row) if model.training else row for row in rows]
    sequences = [[*row.read, *row.asks] for row in seen]
    longest = max(map(len, sequences))
    device = model.device
    tokens = torch.tensor([row + [0] * (longest - len(row)) for row in sequences], device=device)
    inner = model.get_base_model()
    states = inner.model(input_ids=tokens, use_cache=False).last_hidden_state
    loss: Any = torch.zeros((), device=device)
    count = 0
    for ask, among in choices.items():
        at = [(n, len(row.read) + row.asks.index(ask)) for n, row in enumerate(seen) if ask in row.asks]
        if not at:
            continue
        wanted = [row.answers[row.asks.index(ask)] for row in seen if ask in row.asks]
        rows_, places = zip(*at, strict=True)
        scores = inner.lm_head(states[list(rows_), list(places)])[:, among.tokens.to(device)].float()
        right = scores.masked_fill(~among.right[wanted].to(device), -torch.inf)
        loss = loss + (scores.logsumexp(1) - right.logsumexp(1)).sum()
        count += len(at)
    return loss, float(count)


def _item_embeddings(rows: Sequence[Row], items: Sequence[int], words: Any) -> Any:
    """Where the embeddings of `items` begin, (items, size): near each other if the same people had them.

    They are the right singular vectors of the table of people and items (tf-idf, each person of length 1), turned at
    random into the model's space, around the mean of the `words`. What few people had lies near that mean: it says
    little, and must not say something by chance.
    """
    import torch

    place = {token: n for n, token in enumerate(items)}
    people = [sorted({place[token] for token in row.read if token in place}) for row in rows if isinstance(row, Asked)]
    at = torch.tensor([(n, item) for n, mine in enumerate(people) for item in mine]).T
    counts = torch.bincount(at[1], minlength=len(items)).float()
    idf = torch.log((1 + len(people)) / (1 + counts))
    lengths = torch.zeros(len(people)).index_add_(0, at[0], idf[at[1]] ** 2).sqrt().clamp_min(1e-6)
    table = torch.sparse_coo_tensor(
        at, idf[at[1]] / lengths[at[0]], (len(people), len(items)), check_invariants=True
    ).coalesce()
    size = words.shape[1]
    _, _, right = torch.svd_lowrank(table, q=min(size // 2, len(people), len(items)), niter=4)
    turned = (right * idf[:, None]) @ torch.nn.init.orthogonal_(torch.empty(size, size))[: right.shape[1]]
    usual = (turned.norm(dim=1) * counts).sum() / counts.sum()
    return words.mean(dim=0) + turned * (_SPREAD * words.norm(dim=1).mean() / usual.clamp_min(1e-6))


def _thinned(row: Asked) -> Asked:
    """Some of the items, in their order, and the questions in any order: what was asked before decides nothing.

    Drawn from torch's numbers, which the loop sets anew for each step.
    """
    import torch

    begin, candidate, *history = row.read
    share = _FEWEST + (1 - _FEWEST) * torch.rand(()).item()
    kept = [item for item, draw in zip(history, torch.rand(len(history)).tolist(), strict=True) if draw < share]
    order = torch.randperm(len(row.asks)).tolist()
    return Asked(
        (begin, candidate, *kept), tuple(row.asks[n] for n in order), tuple(row.answers[n] for n in order)
    )  # fmt: skip
