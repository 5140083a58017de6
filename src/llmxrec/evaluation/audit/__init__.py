"""The auditor: what is wrong with explanations, verdicts and training data, before anybody believes a table of them."""

from __future__ import annotations

from collections.abc import Iterator

from llmxrec.evaluation.audit.answers import (
    Elsewhere,
    history_named,
    invented,
    other_domain,
    other_prompts,
    over_length,
    read_texts,
    told_back,
    unmeasured,
)
from llmxrec.evaluation.audit.constants import claim_findings
from llmxrec.evaluation.audit.duplicates import duplicates
from llmxrec.evaluation.audit.findings import SEVERITIES, Finding
from llmxrec.evaluation.audit.material import Material
from llmxrec.evaluation.audit.recommendations import asked_otherwise, collapse, seen, stray
from llmxrec.evaluation.audit.tuning import tuning_findings
from llmxrec.evaluation.audit.verdicts import label_findings, verdict_findings, with_generators
from llmxrec.evaluation.material import Part
from llmxrec.evidence.naming import Catalogue
from llmxrec.progress import Advance, quiet

__all__ = ["Finding", "Material", "audit"]


def audit(material: Material, advance: Advance = quiet) -> list[Finding]:
    """All that is to be said of `material`, the worst first. `advance` is told of each explanation looked at."""
    found = list(_findings(material, advance))
    return sorted(found, key=lambda finding: (SEVERITIES.index(finding.severity), finding.check, finding.about))


def _findings(material: Material, advance: Advance) -> Iterator[Finding]:
    elsewhere = Elsewhere(material.parts)
    for part in material.parts:
        for recommender in {**part.questions, **part.recommended}:
            yield from filter(None, (check(part, recommender) for check in (seen, collapse, asked_otherwise)))
        yield from _of_answers(part, elsewhere, advance)
        for (recommender, judge), verdicts in part.verdicts.items():
            yield from verdict_findings(part, recommender, judge, verdicts)
    pairs = with_generators(material.pairs, material.parts)
    yield from label_findings(pairs)
    yield from claim_findings(material.claims, material.parts, pairs)
    yield from tuning_findings(material.tuned, material.parts, pairs)


def _of_answers(part: Part, elsewhere: Elsewhere, advance: Advance) -> Iterator[Finding]:
    catalogue = Catalogue(part.items)
    for answers in part.answers:
        texts = read_texts(answers, part.questions.get(answers.recommender, {}), catalogue)
        if stray_finding := stray(part, answers):
            yield stray_finding
        yield from unmeasured(part, answers)
        yield from invented(part, answers, texts)
        yield from duplicates(part, answers, texts)
        single = (
            other_prompts(part, answers, texts, elsewhere),
            other_domain(part, answers, texts),
            over_length(part, answers),
            history_named(part, answers, texts),
            told_back(part, answers, texts),
        )
        yield from filter(None, single)
        advance(len(answers.rows))
