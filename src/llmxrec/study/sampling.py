"""Which recommendations of a workspace a study is about, and tasks made of them whose answer is known."""

from __future__ import annotations

import random
import re
from collections.abc import Collection, Sequence

from llmxrec.errors import InputError
from llmxrec.evaluation.material import Part
from llmxrec.evaluation.material import Row as Key
from llmxrec.seeds import derive
from llmxrec.study.design import StudyDesign
from llmxrec.study.material import Gold, Material, StudyRow

_WRONG = {"reasonability": (1, 5)}
"""What is right for an explanation of something else."""


def sample(
    part: Part, design: StudyDesign, self_raters: Collection[str] = (), left_out: Collection[str] = ()
) -> Material:
    """Rows of `part` (see `evaluation.reading.read_part`) for `design`, drawn by its seed, and gold tasks.

    A row is one that all generators of the design explained, of another person each as long as there are others. The
    `self_raters` (ids of users) get rows of their own, which nobody else is shown. Nobody of `left_out` is in it, such
    as those whom a generator was tuned on. Raises InputError where there are too few rows, or a self-rater has none.
    """
    usable = _usable(part, design)
    keys = [key for key in sorted(usable) if key[0] not in self_raters and key[0] not in left_out]
    random.Random(derive(design.seed, "rows")).shuffle(keys)
    turns: dict[str, int] = {}
    of_user: dict[Key, int] = {}
    for key in keys:
        of_user[key] = turns[key[0]] = turns.get(key[0], -1) + 1
    keys.sort(key=of_user.__getitem__)  # stable: everybody's first row, then everybody's second
    if len(keys) < design.rows:
        names = ", ".join(design.generators)
        cure = "explain more, or ask for fewer rows"
        raise InputError(f"{design.rows:,} recommendations are explained by {names}", value=len(keys), cure=cure)
    own = [usable[key] for key in sorted(usable) if key[0] in self_raters]
    if missing := set(self_raters) - {row.instruction.user.user_id for row in own}:
        raise InputError("a self-rater has recommendations that all generators explained", value=sorted(missing))
    rows = [usable[key] for key in keys[: design.rows]]
    alone = [StudyRow(row.instruction, row.texts, self_only=True) for row in own]
    # Gold is best made of rows that nobody rates.
    spare = [usable[key] for key in keys[design.rows :]] + rows[::-1]
    return Material(part.domain, (*rows, *alone), made_gold(spare, design))


def made_gold(rows: Sequence[StudyRow], design: StudyDesign) -> tuple[Gold, ...]:
    """Three times as many gold tasks as the design gives a rater, made of `rows`, the first of them first.

    The explanation of another item is shown, which it names. Alone it is not reasonable: 1 to 5 points. Beside the
    item's own explanation it is not the better one. Raises InputError where there are no such explanations.
    """
    count = min(3 * design.gold, len(rows)) if len(rows) >= design.gold else design.gold
    found: list[Gold] = []
    for number in range(count):
        row = rows[number % len(rows)]
        item = row.instruction.candidate
        found_wrong = _naming_another(item.title, [*rows[number + 1 :], *rows[:number]], design.generators)
        if found_wrong is None:
            rule = "gold tasks are made of explanations that name the item, of different items"
            raise InputError(rule, value=item.title, cure="gold=0, or gold tasks of your own")
        name, wrong = found_wrong
        right = row.texts[name]
        if design.mode == "compare" or (design.mode == "both" and number % 2):
            found.append(Gold(row.instruction, (right, wrong), winner="first"))
        else:
            found.append(Gold(row.instruction, (wrong,), expected=_WRONG))
    return tuple(found)


def _naming_another(title: str, rows: Sequence[StudyRow], generators: Sequence[str]) -> tuple[str, str] | None:
    """The generator and the text of the first explanation that names its item, which is not called `title`.

    One that names nothing might be as true of the other item.
    """
    for row in rows:
        own = row.instruction.candidate.title
        if own != title:
            for name in generators:
                # As a whole word and as it is spelt: "Her" is in no "another".
                if re.search(rf"(?<!\w){re.escape(own)}(?!\w)", row.texts[name]):
                    return name, row.texts[name]
    return None


def _usable(part: Part, design: StudyDesign) -> dict[Key, StudyRow]:
    """The rows that all generators explained, with words that can be read, and that are recommended as it is now."""
    texts: dict[Key, dict[str, str]] = {}
    for answers in part.answers:
        if answers.recommender == design.recommender and answers.generator in design.generators:
            for one in answers.rows:
                if one.status == "ok" and one.text.strip():
                    texts.setdefault((one.user_id, one.item_id), {})[answers.generator] = one.text
    questions, recommended = part.questions.get(design.recommender, {}), part.recommended.get(design.recommender)
    return {
        key: StudyRow(questions[key].instruction, by_generator)
        for key, by_generator in texts.items()
        if len(by_generator) == len(design.generators)
        and key in questions
        and (recommended is None or recommended.get(key, 0) > 0)
    }
