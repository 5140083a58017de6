"""A judge made ready: trained on the pairs it is to learn from, and measured on pairs that it has not learned from."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from llmxrec.errors import InputError
from llmxrec.evaluation.ceiling import Ceiling, ceiling
from llmxrec.evaluation.judges import make_judge
from llmxrec.evaluation.judges.protocol import Judge, Learner
from llmxrec.evaluation.pairs import NamedPairs, ReleasedTexts, read_named_pairs
from llmxrec.evaluation.validation import cross_validate, validate
from llmxrec.evaluation.validity import Validity
from llmxrec.progress import progress

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Measured:
    """What a judge was found to be worth, the pairs (by `train` and `test`) that say so, and how far the labels of
    those it is measured on can be agreed with at all."""

    validity: Validity
    pairs: Mapping[str, NamedPairs]
    labels: Ceiling | None


def measure(spec: str, train: Path | None, test: Path | None, *, folds: int = 10, seed: int = 1) -> Measured:
    """Measure the judge `spec` on the pairs in `test`, learned from those in `train`; without `test`, cross-validated.

    Either may be the word `annotated`: the pairs that were labelled for this project (see `pairs.labelled`).
    Raises InputError where there is nothing to measure it on.
    """
    if train is None and test is None:
        raise InputError("say on which pairs the judge is measured", cure="give --train, --test, or both")
    kept: list[Judge] = []

    def make() -> Judge:
        # One that learns is made anew each time; a model that is ready is loaded once.
        if learns or not kept:
            kept[:] = [make_judge(spec)]
        return kept[0]

    learns = False
    learns = needs_pairs(make())
    # Files of pairs may lie apart from what tells who wrote their texts: what is known of one serves both.
    release = next(filter(None, (ReleasedTexts.near(file) for file in (train, test) if file)), None)
    pairs = {name: read_named_pairs(file, release) for name, file in (("train", train), ("test", test)) if file}
    measured = pairs["test" if "test" in pairs else "train"].pairs
    named = sum(bool(generator) for pair in measured for generator in pair.generators) if learns else 0
    with progress(f"measuring the judge {spec}", len(measured) + named, "pairs") as advance:
        if "test" in pairs:
            known = pairs["train"].pairs if "train" in pairs else None
            found = validate(make, known, measured, learns=learns, seed=seed, advance=advance)
        else:
            found = cross_validate(make, measured, folds, learns=learns, seed=seed, advance=advance)
    log.info("measured the judge %s on %s pairs: %s", spec, f"{found.rows:,}", "VALID" if found.valid else "INVALID")
    return Measured(found, pairs, ceiling(measured))


def prepare(
    spec: str, train: Path | None = None, test: Path | None = None, *, seed: int = 1
) -> tuple[Judge, Measured | None]:
    """The judge `spec`, trained on all pairs of `train` if it is one that learns, and what it is worth.

    None: there are no pairs to measure it on. Raises InputError where it has to learn and is given nothing to.
    """
    judge = make_judge(spec)
    if needs_pairs(judge) and train is None:
        raise InputError(
            f"the judge '{spec}' learns from labelled pairs first",
            cure="give them with --train FILE, or those about films that ship with LLMXRec: --train annotated",
        )
    measured = measure(spec, train, test, seed=seed) if train or test else None
    if measured is not None and needs_pairs(judge) and isinstance(judge, Learner):
        judge.fit(measured.pairs["train"].pairs)
    return judge, measured


def needs_pairs(judge: Judge) -> bool:
    """Whether it has to learn before it can judge."""
    return isinstance(judge, Learner) and not judge.trained
