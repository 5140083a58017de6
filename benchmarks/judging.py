"""How good the judge `text` is on the pairs that the paper's authors released, and how fast.

    python benchmarks/judging.py [RELEASE]

RELEASE is a copy of their repository (default: release). Prints what the labels
allow, the cross-validated figures, accuracy with other folds, what weighs most, and the time it takes to judge 1,000
instructions with the explanations of five generators.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

import polars as pl

from llmxrec.evaluation.ceiling import ceiling
from llmxrec.evaluation.judges.text import TextJudge
from llmxrec.evaluation.pairs import read_named_pairs
from llmxrec.evaluation.validation import cross_validate, fold_groups
from llmxrec.prompts.released import parse_released
from llmxrec.records import Case, Pair

RELEASE = Path("release")
ANSWERS = ("gen_exp_4_model/results/BPR-MF/*/{}/results.csv", "gen_exp_5_model/results/SFT/BPR-MF/{}/results.csv")
INSTRUCTIONS = 1000


def main() -> None:
    root = Path(sys.argv[1]) if sys.argv[1:] else RELEASE
    read = read_named_pairs(root / "src/SFT/data/disc_data/train.json")
    print(read)
    print(ceiling(read.pairs))
    start = time.perf_counter()
    for line in cross_validate(TextJudge, read.pairs).lines():
        print(line)
    print(f"cross-validated in {time.perf_counter() - start:.1f} s")
    others = [accuracy(read.pairs, seed) for seed in range(2, 8)]
    print(f"accuracy with other folds: {', '.join(f'{share:.4f}' for share in others)}")
    judge = TextJudge()
    start = time.perf_counter()
    judge.fit(read.pairs)
    print(f"trained on all pairs in {time.perf_counter() - start:.2f} s, their texts read before")
    for name, weight in judge.heaviest(12):
        print(f"  {weight:+.2f} {name}")
    cases = [case for dataset in ("ml-100k", "steam") for case in released_cases(root / "src", dataset)][:INSTRUCTIONS]
    start = time.perf_counter()
    rulings = sum(1 for _ in judge.judge(cases))
    taken = time.perf_counter() - start
    print(f"{len(cases):,} instructions, {rulings:,} pairs judged in {taken:.1f} s: {rulings / taken:,.0f} pairs/s")


def accuracy(pairs: list[Pair], seed: int) -> float:
    """Cross-validated in ten folds of the recommendations."""
    folds = fold_groups(pairs, 10, seed)
    right = 0
    for fold in range(10):
        judge = TextJudge()
        judge.fit([pair for pair in pairs if folds[pair.group] != fold])
        test = [pair for pair in pairs if folds[pair.group] == fold]
        rulings = judge.judge(pair.case for pair in test)
        right += sum(ruling.winner == pair.winner for ruling, pair in zip(rulings, test, strict=True))
    return right / len(pairs)


def released_cases(source: Path, dataset: str) -> list[Case]:
    """Each instruction with the texts that all generators answered it with; their rows run in step."""
    files = [file for pattern in ANSWERS for file in sorted(source.glob(pattern.format(dataset)))]
    tables = [pl.read_csv(file, infer_schema=False) for file in files]
    cases = []
    for row, asked in enumerate(tables[0]["instruction"]):
        instruction, domain = parse_released(asked)
        texts = tuple(table["response"][row] or "" for table in tables)
        cases.append(Case(f"{dataset}/{row}", asked, texts, instruction, domain))
    return cases


if __name__ == "__main__":
    main()
