"""Whether explanations are true of the recommender: what they cite is taken away, and the recommender asked again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import polars as pl

from llmxrec.datasets.dataset import Dataset
from llmxrec.errors import InputError
from llmxrec.evaluation.faithfulness import CITATIONS, Faithfulness, faithfulness
from llmxrec.evaluation.material import Answers, Question, Row
from llmxrec.evaluation.reading import known_histories, read_part
from llmxrec.evidence.causes import stand_in
from llmxrec.evidence.claims import ClaimReader
from llmxrec.progress import Advance, progress
from llmxrec.stages.recommending import parts
from llmxrec.stages.tracing import scorer_of, trace
from llmxrec.stored import knowledge, read_evidence
from llmxrec.workspace import Workspace


def measure_faithfulness(
    workspace: Workspace, recommender: str, *, k: int = 10, seed: int = 1
) -> dict[str, Faithfulness]:
    """How true the explanations of `recommender` are, by generator. Evidence is traced first where there is none.

    Raises InputError where nothing is explained.
    """
    part = read_part(workspace)
    answered = [answers for answers in part.answers if answers.recommender == recommender]
    if not answered:
        raise InputError("there are no explanations yet", value=recommender, cure="make them with: llmxrec explain")
    if not workspace.evidence(recommender).exists():
        trace(workspace, recommender, top=max((row.rank for one in answered for row in one.rows), default=1))
    evidence = read_evidence(workspace, recommender)
    dataset = Dataset.load(workspace.dataset)
    histories = known_histories(workspace, dataset, recommender)
    _, known, _, _ = parts(dataset, bool(knowledge(workspace, recommender)["hold_out"]))
    scorer = scorer_of(workspace, recommender) or stand_in(histories)
    reader = ClaimReader(part.items, part.domain)
    called: dict[str, list[str]] = {}
    for item in part.items:
        called.setdefault(item.title, []).append(item.item_id)
    found = {}
    for answers in answered:
        with progress(f"reading {answers.generator}", len(answers.rows)) as advance:
            cited = citations(answers, part.questions[recommender], reader, called, advance)
        found[answers.generator] = faithfulness(scorer, histories, known, evidence, cited, k=k, seed=seed)
    return found


def citations(
    answers: Answers,
    questions: Mapping[Row, Question],
    reader: ClaimReader,
    called: Mapping[str, Sequence[str]],
    advance: Advance,
) -> pl.DataFrame:
    """Which items of the history each text cites: the columns of CITATIONS. Texts that are not ok are left out.

    `called` has the ids of all items by title, for prompts made elsewhere, which tell no ids.
    """
    rows = []
    for row in answers.rows:
        question = questions.get((row.user_id, row.item_id))
        if question is not None and row.status == "ok" and row.text.strip():
            claims = [claim for claim in reader.read(row.text, question.instruction) if claim.kind == "title"]
            named = [claim for claim in claims if claim.about == "history"]
            cited = [list(filter(None, claim.items)) or called.get(claim.value, ()) for claim in named]
            rows.append((row.user_id, row.item_id, list(dict.fromkeys(item for ids in cited for item in ids))))
        advance(1)
    return pl.DataFrame(rows, schema=CITATIONS, orient="row")
