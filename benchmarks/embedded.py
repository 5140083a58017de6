"""How good and how fast the embedded model is, on the real samples of three domains.

    python benchmarks/embedded.py [--data FOLDER] [--model FOLDER] [--show 20]

Recommendations of EASE (of what was most often had, where it cannot be fitted), explained for 943 users of ML-100k, 400
of MIND and 1,000 of Steam. What a text says is read back from its words, titles in quotation marks and the catalogue's
labels outside of them; nothing is taken from the plan.
"""

from __future__ import annotations

import argparse
import re
import resource
import sys
import time
from collections import Counter
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import numpy as np
import polars as pl

from llmxrec.asking.questions import Questions
from llmxrec.datasets import read_dataset
from llmxrec.datasets.dataset import Dataset, Histories
from llmxrec.datasets.split import leave_one_out
from llmxrec.generators.embedded.realise import label, quoted
from llmxrec.generators.specs import make_generator
from llmxrec.prompts.instructions import PromptSettings
from llmxrec.recommenders import make_recommender
from llmxrec.recommenders.topk import recommend
from llmxrec.records import Instruction, Item, Prompt

USERS = {"ml-100k": 943, "mind": 400, "steam": 1000}
FOLDERS = {"ml-100k": "ml-100k", "mind": "mind-sample", "steam": "steam-sample"}
_TITLE = re.compile(r'"([^"]+)"')


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--data", type=Path, help="the folder of the samples")
    parser.add_argument("--model", type=Path, help="another model than the one in the package")
    parser.add_argument("--show", type=int, default=0, help="texts printed of each dataset")
    parser.add_argument("--temperature", type=float)
    asked = parser.parse_args()
    for kind, users in USERS.items():
        source = (asked.data or Path("data")) / FOLDERS[kind]
        dataset, _ = read_dataset(kind, source)
        prompts = list(questions(dataset, users))
        start = time.perf_counter()
        if asked.model:
            from llmxrec.generators.embedded.generator import EmbeddedGenerator
            from llmxrec.generators.specs import GenerationSettings

            generator = EmbeddedGenerator(GenerationSettings(temperature=asked.temperature), model=asked.model)
        else:
            generator = make_generator("embedded")
        list(generator.generate(prompts[:1]))
        loaded = time.perf_counter()
        answers = {answer.key: answer.text for answer in generator.generate(prompts)}
        took = time.perf_counter() - loaded
        texts = [answers[prompt.key] for prompt in prompts]
        print(f"\n{kind}: {len(texts):,} texts, loaded in {loaded - start:.1f} s, {len(texts) / took:,.0f} texts/s, "
              f"{resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MiB at the peak")  # fmt: skip
        measure(prompts, texts, dataset)
        for text in texts[:: max(1, len(texts) // asked.show)][: asked.show] if asked.show else ():
            print("-", text)


def questions(dataset: Dataset, n_users: int) -> Iterator[Prompt]:
    """The first recommendation of each of the first users, as stage 2 asks about it."""
    users, items = dataset.users["user_id"], dataset.items["item_id"]
    split = leave_one_out(dataset)
    known = Histories.build(pl.concat([split.train, split.validation]), users, items)
    name = "ease" if len(np.unique(known.item_index)) < 10_000 else "popularity"
    some = known.users.filter(pl.Series(np.diff(known.offsets) > 2)).head(n_users)
    table = recommend(make_recommender(name).fit(known), known, known, 1)
    table = table.filter(pl.col("user_id").is_in(some.implode()))
    generator = make_generator("template")
    for question in Questions.of(name, table, dataset, known, generator, PromptSettings()).prompts():
        yield question.prompt


def measure(prompts: list[Prompt], texts: list[str], dataset: Dataset) -> None:
    n = len(texts)
    faults: Counter[str] = Counter()
    shared = could = 0
    for prompt, text in zip(prompts, texts, strict=True):
        faults.update(wrong(prompt.instruction, text, dataset))
        some, can = says_what_is_shared(prompt.instruction, text, dataset)
        shared, could = shared + (some and can), could + can
    words = [len(text.split()) for text in texts]
    sentences = Counter(one for text in texts for one in set(sentences_of(text)))
    starts = len({" ".join(text.split()[:4]) for text in texts})
    hundreds = [len({" ".join(t.split()[:4]) for t in texts[k : k + 100]}) for k in range(0, n - 99, 100)]
    print(f"  faults: {dict(faults) or 'none'}")
    rate = shared / max(1, could)
    print(f"  a history title with a true shared attribute: {shared} of {could} where one exists ({rate:.1%})")
    within = np.mean(np.array(words) <= 75)
    print(f"  within 75 words: {within:.1%}; words {np.mean(words):.0f} on average, {max(words)} at most")
    print(f"  distinct first four words: {starts / n:.0%} ({min(hundreds, default=0)} of 100 at least)")
    print(
        f"  most frequent sentence: {sentences.most_common(1)[0][1] / n:.1%} of texts: {sentences.most_common(1)[0][0]}"
    )


def sentences_of(text: str) -> list[str]:
    """Cut where a sentence ends, and not within a title."""
    return re.findall(r'(?:"[^"]*"|[^".!?])+[.!?]', text)


def wrong(instruction: Instruction, text: str, dataset: Dataset) -> Iterator[str]:
    """Faults, one word each."""
    titles = {quoted(item)[1:-1]: item for item in (*instruction.history, instruction.candidate)}
    if quoted(instruction.candidate) not in text:
        yield "candidate not named"
    for sentence in sentences_of(text):
        named = _TITLE.findall(sentence)
        yield from ("unsupported title" for title in named if title not in titles)
        cited = [titles[t] for t in named if t in titles]
        for said in labels_in(sentence, dataset):
            if not any(said in labels(item) for item in (*instruction.history, instruction.candidate)):
                yield "unsupported attribute"
            elif any(said not in labels(item) for item in cited):
                yield "false relation"


def says_what_is_shared(instruction: Instruction, text: str, dataset: Dataset) -> tuple[bool, bool]:
    """Whether a history item is named and a label that it shares with the candidate; and whether there is one."""
    mine = labels(instruction.candidate)
    others = [item for item in instruction.history if item.title != instruction.candidate.title]
    said = mine.intersection(labels_in(text, dataset))
    there = any(quoted(item) in text and said & labels(item) for item in others)
    return there, any(mine & labels(item) for item in others)


def labels(item: Item) -> set[str]:
    """Its labels that are words, as they are told."""
    values = (label(value).casefold() for values in item.attributes.values() for value in values)
    return {value for value in values if any(sign.isalpha() for sign in value)}


def labels_in(text: str, dataset: Dataset) -> list[str]:
    """Labels of the catalogue outside of titles, in lower case, the longest first; each word is read once."""
    bare = _TITLE.sub(" \N{REPLACEMENT CHARACTER} ", text).lower()
    found = []
    for phrase in _catalogue(dataset):
        pattern = rf"(?<![\w-]){re.escape(phrase)}(?![\w-])"
        if phrase in bare and re.search(pattern, bare):
            found.append(phrase)
            bare = re.sub(pattern, "\N{REPLACEMENT CHARACTER}", bare)
    return found


@cache
def _words_of_patterns() -> set[str]:
    """Words that the model writes of anything: a label that is one of them cannot be told from it."""
    from llmxrec.generators.embedded.generator import MODEL
    from llmxrec.generators.embedded.weights import load_weights

    known = load_weights(MODEL)
    return set(known.vocabulary[: known.written])


_KNOWN: dict[str, list[str]] = {}


def _catalogue(dataset: Dataset) -> list[str]:
    if dataset.domain.name not in _KNOWN:
        words = _words_of_patterns()
        known = {value for item in dataset.item_records for value in labels(item)} - words
        # "one more sports article" tells of sports, not of "more sports".
        known = {one for one in known if not (one.split()[0] in words and " ".join(one.split()[1:]) in known)}
        _KNOWN[dataset.domain.name] = sorted(known - {dataset.domain.item, dataset.domain.items}, key=len, reverse=True)
    return _KNOWN[dataset.domain.name]


if __name__ == "__main__":
    sys.exit(main())
