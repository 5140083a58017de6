"""Single recommendations shown whole, as the paper's Figure 5 has one: what they rest on, every text, the prompt."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace

from llmxrec.asking.questions import Questions
from llmxrec.datasets.dataset import Dataset
from llmxrec.errors import InputError
from llmxrec.evaluation.material import Answers, Part, Question, Row
from llmxrec.evaluation.reading import known_histories, noted_prompt, read_part
from llmxrec.evidence.verification import Verification, told
from llmxrec.generators.template import TemplateGenerator
from llmxrec.notes import read_notes
from llmxrec.prompts.prompt import without_oldest
from llmxrec.prompts.template import load_template
from llmxrec.records import Answer, Explanation, Prompt
from llmxrec.reports.sheets import Sheet
from llmxrec.settings import check
from llmxrec.stages.explaining import make_verifier
from llmxrec.stored import causes_of, current_explanations, read_evidence, read_recommendations
from llmxrec.workspace import Workspace, safe_name


@dataclass(frozen=True, slots=True)
class _Text:
    """A text, what is wrong with it, and what its generator was asked, in words; None where nobody knows any more."""

    generator: str
    text: str
    problems: str
    asked: str | None


def cases_of(workspace: Workspace) -> Iterator[Sheet]:
    """The first recommendation to each of the people whom the recipe of `workspace` names as cases, if it names any."""
    users = workspace.read_manifest().get("recipe", {}).get("report", {}).get("cases", [])
    if not users:
        return
    part, dataset = read_part(workspace), Dataset.load(workspace.dataset)
    for recommender in workspace.recommenders():
        first = {row[0]: row for row, rank in part.recommended[recommender].items() if rank == 1}
        numbers = {row: number for number, row in enumerate((first[user] for user in users if user in first), 1)}
        questions = {row: part.questions[recommender][row] for row in numbers if row in part.questions[recommender]}
        causes, texts = _causes(workspace, recommender, part), _texts(workspace, dataset, part, recommender, questions)
        for row, question in questions.items():
            if row in texts:
                yield Sheet(
                    safe_name(f"case-{recommender}-{numbers[row]}"),
                    f"{question.instruction.candidate.title}, for {row[0]}: {recommender} (the paper's Figure 5)",
                    ("who", "what"),
                    tuple(_lines(causes.get(row), texts[row])),
                    "One recommendation, whole. It rests on what the recommender itself goes by, while a text may cite "
                    "other things. In brackets stands what is wrong with a text, if anything is. What was asked stands "
                    "last, where what was noted of it makes the same prompt again.",
                    marks=tuple(causes.get(row, ())),
                )


def _texts(
    workspace: Workspace, dataset: Dataset, part: Part, recommender: str, questions: Mapping[Row, Question]
) -> dict[Row, list[_Text]]:
    """What each generator says about each row of `questions`."""
    found: dict[Row, list[_Text]] = {}
    now = current_explanations(workspace, recommender)
    for answers in (one for one in part.answers if one.recommender == recommender and one.generator in now):
        rows = {row: one for one in answers.rows if (row := (one.user_id, one.item_id)) in questions}
        verified = read_notes(workspace.explanations(recommender, answers.generator)).get("verified")
        # Of texts that were not verified nobody said what they may not tell.
        rules = check(Verification, verified, "verification") if verified else _of_all(part)
        verifier = make_verifier(dataset, rules)
        prompts = _prompts(workspace, dataset, answers, rows)
        for row, one in rows.items():
            prompt = prompts.get(row)
            words = "\n\n".join(message.content for message in prompt.messages) if prompt else questions[row].words
            if prompt is None:
                prompt = Prompt("", questions[row].instruction, part.domain, (), max_words=answers.max_words)
            problems = told(verifier.problems(prompt, Answer("", one.text, one.status)))
            ended = one.text if one.status == "ok" else f"({one.status}) {one.text}"
            found.setdefault(row, []).append(_Text(answers.generator, ended, problems, words or None))
    return found


def _of_all(part: Part) -> Verification:
    return Verification(may_tell=tuple(part.domain.user_attributes))


def _prompts(
    workspace: Workspace, dataset: Dataset, answers: Answers, rows: Mapping[Row, Explanation]
) -> dict[Row, Prompt]:
    """The prompts that `rows` answer, made again as was noted; none where nothing was, or where another prompt comes
    out, for the template or the evidence has changed since (of one that was shortened to fit, that cannot be told).
    """
    recommender = answers.recommender
    settings = noted_prompt(read_notes(workspace.explanations(recommender, answers.generator)))
    out: dict[Row, Prompt] = {}
    if settings is None:
        return out
    with suppress(InputError):  # the template, or what it tells, is gone
        template = load_template(settings.template)
        table = read_recommendations(workspace, recommender)
        asked = Questions.of(
            recommender,
            table.filter(table["user_id"].is_in([user_id for user_id, _ in rows])),
            dataset,
            known_histories(workspace, dataset, recommender),
            TemplateGenerator(),  # it can read a prompt of any length
            settings,
            causes=causes_of(read_evidence(workspace, recommender)) if template.tells_causes else None,
        )
        for prompt, *_ in asked.prompts():
            row = prompt.instruction.user.user_id, prompt.instruction.candidate.item_id
            if row in rows and rows[row].dropped:
                shown = without_oldest(prompt.instruction, rows[row].dropped)
                messages = template.render(
                    shown, dataset.domain, reasoning=settings.reasoning, max_words=settings.max_words
                )
                out[row] = replace(prompt, instruction=shown, messages=messages)
            elif row in rows and rows[row].prompt == prompt.key:
                out[row] = prompt
    return out


def _lines(causes: Sequence[str] | None, texts: Sequence[_Text]) -> Iterator[tuple[str, str]]:
    if causes is not None:
        yield "rests on", ", ".join(causes) or "nothing that few items could displace"
    for one in texts:
        yield one.generator, f"{one.text} [{one.problems}]" if one.problems else one.text
    for words in dict.fromkeys(one.asked for one in texts if one.asked):
        names = [one.generator for one in texts if one.asked == words]
        yield "asked" if len(names) == len(texts) else f"asked of {', '.join(names)}", words


def _causes(workspace: Workspace, recommender: str, part: Part) -> dict[Row, list[str]]:
    """What each recommendation rests on, as titles; empty where nobody measured it."""
    if not workspace.evidence(recommender).exists():
        return {}
    titles = {item.item_id: item.title for item in part.items}
    known = causes_of(read_evidence(workspace, recommender)).iter_rows()
    return {(user, item): [titles.get(one, one) for one in found] for user, item, found in known}
