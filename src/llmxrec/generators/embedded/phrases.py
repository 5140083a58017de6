"""Runs of four words as they stand in known sentences. A tuned model keeps to these, so that its grammar holds.

Some hundred texts teach so small a model new words, and cost it its hold on the old ones: "and {cand} is which to the
same kind". Each of its sentences is therefore made of runs that stand in one of its lessons, or in a sentence that the
shipped model was trained on.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cache
from pathlib import Path

from llmxrec.errors import InputError

FILE = "phrases.txt"
"""Beside a model's or an adapter's weights: a run of four tokens a line, START for what is before a sentence."""
START = "<s>"
_LENGTH = 4

Phrase = tuple[str, str, str, str]
"""Four tokens in a row."""


def phrases_of(sentences: Iterable[Sequence[str]]) -> set[Phrase]:
    """All runs in `sentences`, each a list of tokens; three START stand before it."""
    out: set[Phrase] = set()
    for sentence in sentences:
        line = (*[START] * (_LENGTH - 1), *sentence)
        out.update(zip(line, line[1:], line[2:], line[3:], strict=False))
    return out


def write_phrases(folder: Path, phrases: Iterable[Phrase]) -> None:
    """Write `phrases` beside the weights in `folder`."""
    lines = sorted(" ".join(phrase) for phrase in phrases)
    (folder / FILE).write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")


def read_phrases(folder: Path) -> set[Phrase]:
    """What `write_phrases` wrote to `folder`; none where it wrote nothing. Raises InputError for another file."""
    file = folder / FILE
    if not file.exists():
        return set()
    out: set[Phrase] = set()
    for number, line in enumerate(file.read_text(encoding="utf-8").splitlines(), 1):
        match line.split(" "):
            case [first, second, third, last]:
                out.add((first, second, third, last))
            case words:
                raise InputError("a phrase is four words", value=" ".join(words), file=file, line=number)
    return out


@cache
def known_phrases() -> frozenset[Phrase]:
    """Those of the sentences that the shipped model was trained on."""
    return frozenset(read_phrases(Path(__file__).parent / "model"))
