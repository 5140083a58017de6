"""Instruction tuning (section 3.2 of the paper) of a language model that runs here: both tasks, one adapter."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from llmxrec.errors import InputError
from llmxrec.evidence.mentions import find_titles
from llmxrec.generators.specs import GenerationSettings
from llmxrec.generators.transformers_local import (
    TransformersGenerator,
    answer_tokens,
    ends,
    load_weights,
    prompt_tokens,
)
from llmxrec.progress import Advance, quiet
from llmxrec.prompts.instructions import PromptSettings
from llmxrec.prompts.prompt import TooLong, make_prompt
from llmxrec.prompts.template import load_template
from llmxrec.records import Lesson
from llmxrec.tuning.adapters import Card, save_adapter
from llmxrec.tuning.causal import Sequel, answer_loss, with_lora
from llmxrec.tuning.lessons import Lessons, digest, divide, users
from llmxrec.tuning.loop import Job, Team, TuningSettings, learn

_TASKS = {"explain": "explain", "predict": "attributes"}
"""What a lesson asks -> what its task is called on a card."""


class Read(NamedTuple):
    """A lesson as the model reads it."""

    lesson: Lesson
    sequel: Sequel


def tune_language(
    base: str,
    lessons: Lessons,
    out: Path,
    settings: TuningSettings,
    *,
    prompt: PromptSettings | None = None,
    checkpoint: Path | None = None,
    advance: Advance = quiet,
) -> Card:
    """Tune a LoRA adapter of `base`, a folder or a name on the Hugging Face hub, on `lessons`; write it to `out`.

    Prompts are made as `prompt` says. A history that does not fit the model or the settings loses its oldest items; a
    row is left out where even that does not help, or where its answer tells of them. On CUDA the model is held in
    bfloat16 (in 4 bits with `quantize`), on the CPU in float32. `checkpoint` and `advance` as in `learn`. Raises
    InputError where nothing is left to learn.
    """
    prompt = prompt or PromptSettings()
    known = TransformersGenerator(base, GenerationSettings(max_tokens=1))
    window = None if known.context_tokens is None else known.context_tokens + 1
    model = load_weights(base, device=Team().device, quantize=settings.quantize)
    dropped = Counter(lessons.dropped)
    read = reader(known.tokenizer, ends(model, known.tokenizer), prompt, min(settings.most_tokens, window or 1 << 62))
    told = _read(lessons.rows, read, dropped)
    if not told:
        left = str(Lessons([], dropped))
        raise InputError("tuning needs rows to learn from", value=left, cure="raise most_tokens, or give other rows")
    learned, held_out = divide(told, settings.held_out, settings.seed, lambda one: one.lesson.instruction.user.user_id)
    rows = [one.lesson for one in told]
    job = Job([one.sequel for one in learned], [one.sequel for one in held_out], answer_loss, _length)
    tuned = with_lora(model, settings)
    curve = learn(tuned, job, settings, checkpoint=checkpoint, about=_about(base, job), advance=advance)
    card = Card(
        task=",".join(sorted({_TASKS[row.instruction.task] for row in rows}, reverse=True)),
        base=f"hf:{base}",
        rows=len(learned),
        held_out=len(held_out),
        data=digest(lessons.rows),
        users=users(rows),
        settings=settings,
        curve=curve,
        dropped=dict(dropped),
        prompt=prompt.model_dump(mode="json"),
    )
    save_adapter(tuned, out, card)
    return card


def reader(
    tokenizer: Any, stops: Sequence[int], settings: PromptSettings, most: int
) -> Callable[[Lesson], Sequel | str]:
    """What makes a lesson tokens, `most` of them at most; or says why it cannot be learned from.

    Read is the prompt that `hf:` generators are given, by the same template; answered are the lesson's words, and an
    end (see `answer_tokens`).
    """
    template = load_template(settings.template)

    def read(lesson: Lesson) -> Sequel | str:
        asked = lesson.instruction
        if asked.task not in template.sections:
            raise InputError(f"a template has a section [{asked.task}] to learn that task", value=template.name)
        answer = answer_tokens(tokenizer, lesson.answer, stops)
        try:
            prompt = make_prompt(
                "",
                asked,
                template,
                lesson.domain,
                settings,
                room=most - len(answer),
                count_tokens=lambda messages: len(prompt_tokens(tokenizer, messages)),
                choices=lesson.choices or None,
            )
        except TooLong:
            return "too long even without history"
        lost = asked.history[: prompt.dropped]
        named = find_titles(lesson.answer, [*asked.history, asked.candidate]) if lost else []
        if asked.task == "explain" and any(mention.item in lost for mention in named):
            return "telling of history that did not fit"
        tokens = prompt_tokens(tokenizer, prompt.messages)
        return Sequel([*tokens, *answer], len(tokens))

    return read


def _read(rows: Sequence[Lesson], read: Callable[[Lesson], Sequel | str], dropped: Counter[str]) -> list[Read]:
    out = []
    for row in rows:
        sequel = read(row)
        if isinstance(sequel, str):
            dropped[sequel] += 1
        else:
            out.append(Read(row, sequel))
    return out


def _length(row: Sequel) -> int:
    return len(row.tokens)


def _about(base: str, job: Job[Sequel]) -> str:
    """A digest of the model's name and of all that is learned and held out."""
    out = hashlib.blake2b(base.encode("utf-8", "surrogatepass"), digest_size=16)
    for row in (*job.rows, None, *job.held_out):
        out.update(json.dumps(row and [row.read, *row.tokens]).encode())
    return out.hexdigest()
