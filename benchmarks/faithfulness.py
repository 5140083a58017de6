"""How true explanations are of the recommender: ours, and those that the paper's authors released, by hand.

    python benchmarks/faithfulness.py [--data FOLDER] [--release FOLDER] [--out FILE.json]

Ours: ML-100k, everybody's first recommendation by EASE and BPR-MF, told by fixed sentences and by the shipped model,
from the newest items alone (template `default`) and from evidence (template `evidence`). Theirs: the five generators'
texts of BPR-MF's recommendations on ML-100k; nobody can ask that model any more, so titles are matched back to ML-100k,
and EASE and a BPR-MF of ours, fitted to all of its ratings, score the histories that the prompts showed.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import polars as pl

from llmxrec.datasets import read_dataset
from llmxrec.datasets.dataset import Dataset, Histories
from llmxrec.evaluation.faithfulness import CITATIONS, Faithfulness, faithfulness
from llmxrec.evidence.causes import measure
from llmxrec.evidence.claims import ClaimReader
from llmxrec.evidence.naming import title_key
from llmxrec.prompts.instructions import PromptSettings
from llmxrec.prompts.released import parse_released
from llmxrec.recipe import GeneratorRecipe
from llmxrec.recommenders import make_recommender
from llmxrec.replay import read_release
from llmxrec.reports.faithfulness import faithfulness_lines
from llmxrec.stages.data import find_source, store_dataset
from llmxrec.stages.explaining import explain_recommendations, questions_about
from llmxrec.stages.faithful import measure_faithfulness
from llmxrec.stages.recommending import recommend
from llmxrec.stages.tracing import trace
from llmxrec.workspace import Workspace


def main() -> None:
    read = argparse.ArgumentParser(description=__doc__)
    read.add_argument("--data", default=None)
    read.add_argument("--release", type=Path, default=Path("release"))
    read.add_argument("--out", type=Path, default=None)
    options = read.parse_args()
    dataset, report = read_dataset("ml-100k", find_source("ml-100k", options.data))
    figures: dict[str, Any] = {}
    with TemporaryDirectory() as folder:
        workspace = Workspace(Path(folder, "ml-100k"))
        store_dataset(workspace, dataset, report, kind="ml-100k")
        for name in ("ease", "bpr"):
            for generator, found in ours(workspace, name):
                figures[f"{name} x {generator}"] = told(name, generator, found)
    if options.release.exists():
        for name in ("ease", "bpr"):
            for generator, found in theirs(options.release, dataset, name):
                figures[f"released, {name} x {generator}"] = told(f"released texts, scored by {name}", generator, found)
    if options.out:
        options.out.write_text(json.dumps(figures, indent=1))


def told(recommender: str, generator: str, found: Faithfulness) -> dict[str, Any]:
    print("\n".join(faithfulness_lines(recommender, generator, found)), flush=True)
    return asdict(found)


def ours(workspace: Workspace, recommender: str) -> Iterator[tuple[str, Faithfulness]]:
    recommend(workspace, recommender)
    trace(workspace, recommender)
    for spec in ("template", "embedded"):
        for template in ("default", "evidence"):
            generator = GeneratorRecipe(spec=spec, name=f"{spec}-{template}")
            questions = questions_about(workspace, recommender, generator, PromptSettings(template=template))
            explain_recommendations(workspace, generator, questions)
    yield from measure_faithfulness(workspace, recommender).items()


def theirs(release: Path, dataset: Dataset, name: str) -> Iterator[tuple[str, Faithfulness]]:
    """Texts of rows whose candidate is a film of ML-100k; films shown that are not are left out of the history."""
    everything = Histories.build(dataset.interactions, dataset.users["user_id"], dataset.items["item_id"])
    scorer = make_recommender(name).fit(everything)
    by_title = {title_key(title): number for number, title in reversed(list(enumerate(dataset.items["title"])))}
    ids = dataset.items["item_id"].to_list()
    reader = ClaimReader(dataset.item_records, dataset.domain)
    for answers in read_release(release).answers["ml-100k"]:
        rows, recommended, cited = [], [], []
        for row, (prompt, text) in enumerate(answers.rows):
            asked, _ = parse_released(prompt)
            candidate = by_title.get(title_key(asked.candidate.title))
            shown = [(item.title, by_title.get(title_key(item.title))) for item in asked.history]
            had = {title: number for title, number in shown if number is not None and number != candidate}
            if candidate is None:
                continue
            claims = [claim for claim in reader.read(text, asked) if claim.kind == "title" and claim.about == "history"]
            named = dict.fromkeys(had[claim.value] for claim in claims if claim.value in had)
            rows += [(str(row), ids[number], None) for number in dict.fromkeys(had.values())]
            recommended.append((str(row), ids[candidate], 1))
            cited.append((str(row), ids[candidate], [ids[number] for number in named]))
        people = pl.Series([user for user, _, _ in recommended])
        interactions = pl.DataFrame(rows, schema=["user_id", "item_id", "timestamp"], orient="row")
        histories = Histories.build(interactions.cast({"timestamp": pl.Int64}), people, dataset.items["item_id"])
        ranks = {"user_id": pl.String, "item_id": pl.String, "rank": pl.Int32}
        evidence = measure(scorer, histories, histories, pl.DataFrame(recommended, schema=ranks, orient="row"))
        first = (evidence["place"] <= 10).mean()
        print(
            f"{answers.generator}: {evidence.height} rows; {name} has {first:.1%} of the candidates in its own top 10"
        )
        citations = pl.DataFrame(cited, schema=CITATIONS, orient="row")
        yield answers.generator, faithfulness(scorer, histories, histories, evidence, citations)


if __name__ == "__main__":
    main()
