"""The embedded model tuned on a large model's explanations, beside all that the paper's authors released.

    python benchmarks/distillation.py [RELEASE] [--out FOLDER] [--dataset steam] [--teacher GPT-4] [--users 700]

RELEASE is a copy of their repository (default: release); nothing of it is kept but
what is written to --out. Tunes the embedded model on the teacher's texts for some of a dataset's users, asks it about
the others, and has the judge `text`, measured first, compare its texts with the five released generators' and its own
untuned ones. What is claimed of titles and attributes is read back from the words.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections import Counter
from pathlib import Path

import polars as pl

from embedded import wrong
from llmxrec.datasets.dataset import Dataset
from llmxrec.evaluation.gate import prepare
from llmxrec.evaluation.ranking import mean, outcomes
from llmxrec.evaluation.verdicts import read_verdicts
from llmxrec.generators.specs import slug
from llmxrec.prompts.instructions import PromptSettings
from llmxrec.recipe import GeneratorRecipe
from llmxrec.replay import PAIRS, replay
from llmxrec.sources import drawn, lessons_from
from llmxrec.stages import explaining, judging, tuning
from llmxrec.stored import stored_explanations
from llmxrec.tuning.adapters import tuned_on
from llmxrec.tuning.embedded import EXPLAIN
from llmxrec.workspace import Workspace

RELEASE = Path("release")
RECOMMENDER = "BPR-MF"
PROMPT = PromptSettings(history=50)  # as many as the authors show on this dataset
TUNED = "embedded-tuned"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("release", type=Path, nargs="?", default=RELEASE)
    parser.add_argument("--out", type=Path, help="keep what is made in this folder")
    parser.add_argument("--dataset", choices=["ml-100k", "mind", "steam"], default="ml-100k")
    parser.add_argument("--teacher", default="GPT-4")
    parser.add_argument("--users", type=int, default=700, help="whose explanations are learned")
    parser.add_argument("--show", type=int, default=0, help="texts printed")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        out = asked.out or Path(folder)
        replay(asked.release, out, say=lambda _line: None, judge="")
        workspace = Workspace(out / asked.dataset)
        distil(workspace, asked.teacher, asked.users)
        compare(workspace, asked.release / "src" / PAIRS)
        faults(workspace, asked.show)


def distil(workspace: Workspace, teacher: str, users: int) -> None:
    """Tune, and explain everything with the tuned model and the untuned one."""
    ledger = workspace.explanations(RECOMMENDER, teacher)
    found = lessons_from(str(ledger), workspace, RECOMMENDER, PROMPT, seed=EXPLAIN.seed)
    lessons = drawn(found, users, EXPLAIN.seed)
    print(f"{teacher}: {lessons}")
    start = time.perf_counter()
    (card,) = tuning.tune(workspace, "embedded", "distilled", lessons, EXPLAIN).values()
    print(f"{card.rows} texts learned in {time.perf_counter() - start:.0f} s (left out: {dict(card.dropped)})")
    for name, spec in (("embedded", "embedded"), (TUNED, f"embedded+{workspace.adapter('distilled')}")):
        generator = GeneratorRecipe(spec=spec, name=name)
        questions = explaining.questions_about(workspace, RECOMMENDER, generator, PROMPT)
        start = time.perf_counter()
        outcome = explaining.explain_recommendations(workspace, generator, questions)
        print(f"{name}: {'; '.join(outcome.lines())}, in {time.perf_counter() - start:.0f} s")


def compare(workspace: Workspace, pairs: Path) -> None:
    """How often each is preferred to each other one, by the judge `text`, over people nobody was tuned on."""
    judge, measured = prepare("text", pairs)
    settings = judging.judge_settings("text", judge, pairs, seed=1)
    outcome = judging.judge_explanations(workspace, RECOMMENDER, judge, measured, settings)
    print("; ".join(outcome.lines()))
    print(f"the judge is {'VALID' if measured and measured.validity.valid else 'INVALID'}")
    found = outcomes(read_verdicts(workspace.verdicts(RECOMMENDER, slug(judge.name))))
    for ours in (TUNED, "embedded"):
        print(f"{ours}, preferred to")
        for other in sorted({*found["a"], *found["b"]} - {ours}):
            mine = pl.when(pl.col("a") == ours).then("points").otherwise(1 - pl.col("points"))
            both = pl.col("a").is_in([ours, other]) & pl.col("b").is_in([ours, other])
            rows = found.filter(both).with_columns(mine.alias("points"))
            metric = mean("win ratio", rows["points"].to_numpy(), rows["user_id"])
            print(f"  {other:<12}{metric.value:.3f} [{metric.low:.3f}, {metric.high:.3f}], {metric.rows} users")


def faults(workspace: Workspace, show: int) -> None:
    """Of each generator's texts for people it was not tuned on: titles and attributes that are not in the data."""
    dataset = Dataset.load(workspace.dataset)
    tuned = tuned_on(workspace.adapter("distilled"))
    generator = GeneratorRecipe(spec="embedded")
    questions = explaining.questions_about(workspace, RECOMMENDER, generator, PROMPT)
    asked = {
        question.prompt.instruction.user.user_id: question.prompt.instruction
        for question in questions.prompts()
        if question.prompt.instruction.user.user_id not in tuned
    }
    for name in workspace.generators(RECOMMENDER):
        table = stored_explanations(workspace, RECOMMENDER, name).filter(pl.col("user_id").is_in(list(asked)))
        found: Counter[str] = Counter()
        for row in table.filter(pl.col("status") == "ok").iter_rows(named=True):
            found.update({*wrong(asked[row["user_id"]], row["text"], dataset)})
        words = [len(text.split()) for text in table["text"]]
        over = sum(count > PROMPT.max_words for count in words)
        shown = ", ".join(f"{what} {count}" for what, count in sorted(found.items())) or "none"
        print(f"{name:<16}{table.height} texts, {sum(words) / len(words):.0f} words, too long {over}; faults: {shown}")
        if name == TUNED:
            for text in table["text"][:show]:
                print("  -", text)


if __name__ == "__main__":
    main()
