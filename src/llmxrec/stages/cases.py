"""Single recommendations shown whole, as the paper's Figure 5 has one: what they rest on, every text, the prompt."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from llmxrec.datasets.dataset import Dataset
from llmxrec.evaluation.material import Part, Question, Row
from llmxrec.evaluation.reading import read_part
from llmxrec.evidence.verification import Verification, Verifier, told
from llmxrec.prompts.template import load_template
from llmxrec.records import Answer, Explanation, Prompt
from llmxrec.reports.sheets import Sheet
from llmxrec.stages.explaining import make_verifier
from llmxrec.stored import causes_of, read_evidence
from llmxrec.workspace import Workspace, safe_name


def cases_of(workspace: Workspace) -> Iterator[Sheet]:
    """The first recommendation to each of the people whom the recipe of `workspace` names as cases, if it names any."""
    users = workspace.read_manifest().get("recipe", {}).get("report", {}).get("cases", [])
    if not users:
        return
    part = read_part(workspace)
    rules = Verification(may_tell=tuple(part.domain.user_attributes))
    verifier = make_verifier(Dataset.load(workspace.dataset), rules)
    for recommender in workspace.recommenders():
        causes = _causes(workspace, recommender, part)
        first = {row[0]: row for row, rank in part.recommended[recommender].items() if rank == 1}
        for number, row in enumerate((first[user] for user in users if user in first), 1):
            if row in part.questions[recommender] and (texts := _texts(part, recommender, row)):
                question = part.questions[recommender][row]
                yield Sheet(
                    safe_name(f"case-{recommender}-{number}"),
                    f"{question.instruction.candidate.title}, for {row[0]}: {recommender} (the paper's Figure 5)",
                    ("who", "what"),
                    tuple(_lines(question, causes.get(row), texts, part, verifier)),
                    "One recommendation, whole. It rests on what the recommender itself goes by, while a text may cite "
                    "other things. In brackets stands what is wrong with a text, if anything is.",
                    marks=tuple(causes.get(row, ())),
                )


def _texts(part: Part, recommender: str, row: Row) -> dict[str, Explanation]:
    return {
        answers.generator: one
        for answers in part.answers
        if answers.recommender == recommender
        for one in answers.rows
        if (one.user_id, one.item_id) == row
    }


def _lines(
    question: Question, causes: Sequence[str] | None, texts: Mapping[str, Explanation], part: Part, verifier: Verifier
) -> Iterator[tuple[str, str]]:
    if causes is not None:
        yield "rests on", ", ".join(causes) or "nothing that few items could displace"
    for name, one in texts.items():
        prompt = Prompt("", question.instruction, part.domain, ())
        problems = told(verifier.problems(prompt, Answer("", one.text, one.status)))
        ended = one.text if one.status == "ok" else f"({one.status}) {one.text}"
        yield name, f"{ended} [{problems}]" if problems else ended
    yield "asked", question.words or load_template("default").words(question.instruction, part.domain)


def _causes(workspace: Workspace, recommender: str, part: Part) -> dict[Row, list[str]]:
    """What each recommendation rests on, as titles; empty where nobody measured it."""
    if not workspace.evidence(recommender).exists():
        return {}
    titles = {item.item_id: item.title for item in part.items}
    known = causes_of(read_evidence(workspace, recommender)).iter_rows()
    return {(user, item): [titles.get(one, one) for one in found] for user, item, found in known}
