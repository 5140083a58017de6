"""Whether explanations are true of the recommender: what they cite is taken away, and the recommender asked again."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import polars as pl

from llmxrec.datasets.dataset import Dataset, Histories
from llmxrec.errors import InputError
from llmxrec.evaluation.fairness import answered
from llmxrec.evaluation.faithfulness import CITATIONS, Faithfulness, faithfulness, flips
from llmxrec.evaluation.material import Question, Row
from llmxrec.evaluation.reading import known_histories, read_part
from llmxrec.evidence.causes import ScoresHistories, stand_in
from llmxrec.evidence.claims import ClaimReader
from llmxrec.progress import Advance, progress, quiet
from llmxrec.records import Status
from llmxrec.stages.recommending import parts
from llmxrec.stages.tracing import scorer_of, trace
from llmxrec.stored import current_explanations, knowledge, read_evidence
from llmxrec.workspace import Workspace


@dataclass(frozen=True)
class Ground:
    """What explanations of one recommender are held against: the recommender, or its stand-in, and what it knew.

    `evidence` has the columns of EVIDENCE; `known` is what is never recommended. `called` has the ids of all items by
    title, for prompts made elsewhere, which tell no ids.
    """

    scorer: ScoresHistories
    histories: Histories
    known: Histories
    evidence: pl.DataFrame
    called: Mapping[str, Sequence[str]]

    @classmethod
    def of(cls, workspace: Workspace, recommender: str) -> Ground:
        """Raises InputError where nobody measured the evidence, or no stand-in can be fitted."""
        evidence = read_evidence(workspace, recommender)
        dataset = Dataset.load(workspace.dataset)
        histories = known_histories(workspace, dataset, recommender)
        _, known, _, _ = parts(dataset, bool(knowledge(workspace, recommender)["hold_out"]))
        called: dict[str, list[str]] = {}
        for item_id, title in dataset.items.select("item_id", "title").iter_rows():
            called.setdefault(title, []).append(item_id)
        scorer = scorer_of(workspace, recommender) or stand_in(histories)
        return cls(scorer, histories, known, evidence, called)

    def flips(
        self, texts: Iterable[tuple[Row, str, Status]], questions: Mapping[Row, Question], reader: ClaimReader
    ) -> pl.DataFrame:
        """Which of `texts` cite what their recommendation falls without (see `faithfulness.flips`)."""
        cited = citations(texts, questions, reader, self.called)
        return flips(self.scorer, self.histories, self.known, self.evidence, cited)


def measure_faithfulness(
    workspace: Workspace, recommender: str, *, k: int = 10, seed: int = 1
) -> dict[str, Faithfulness]:
    """How true the explanations of `recommender` are, by generator. Evidence is traced first where there is none.

    Those made for other recommendations than there are now are left out. Raises InputError where nothing is explained.
    """
    part, now = read_part(workspace), current_explanations(workspace, recommender)
    told = [answers for answers in part.answers if answers.recommender == recommender and answers.generator in now]
    if not told:
        raise InputError(
            "there are no explanations yet of what is recommended now",
            value=recommender,
            cure="make them with: llmxrec explain",
        )
    if not workspace.evidence(recommender).exists():
        trace(workspace, recommender, top=max((row.rank for one in told for row in one.rows), default=1))
    on, reader = Ground.of(workspace, recommender), ClaimReader(part.items, part.domain)
    found = {}
    for answers in told:
        recommended = [row for row in answers.rows if (row.user_id, row.item_id) in part.recommended[recommender]]
        with progress(f"reading {answers.generator}", len(recommended)) as advance:
            cited = citations(answered(recommended), part.questions[recommender], reader, on.called, advance)
        found[answers.generator] = faithfulness(on.scorer, on.histories, on.known, on.evidence, cited, k=k, seed=seed)
    return found


def citations(
    texts: Iterable[tuple[Row, str, Status]],
    questions: Mapping[Row, Question],
    reader: ClaimReader,
    called: Mapping[str, Sequence[str]],
    advance: Advance = quiet,
) -> pl.DataFrame:
    """Which items of the history each of `texts` cites: the columns of CITATIONS. What is not ok could not be read.

    `called` is as in Ground. `advance` is told of texts.
    """
    rows = []
    for row, text, status in texts:
        ids: list[str] | None = None
        if row in questions and status == "ok" and text.strip():
            claims = [claim for claim in reader.read(text, questions[row].instruction) if claim.kind == "title"]
            named = [claim for claim in claims if claim.about == "history"]
            cited = [list(filter(None, claim.items)) or called.get(claim.value, ()) for claim in named]
            ids = list(dict.fromkeys(item for some in cited for item in some))
        rows.append((*row, ids))
        advance(1)
    return pl.DataFrame(rows, schema=CITATIONS, orient="row")
