"""The paper's second evaluation: a study with people, made of what a workspace holds."""

from __future__ import annotations

from collections.abc import Sequence
from time import time

from llmxrec.evaluation.reading import read_part
from llmxrec.stages.judging import tuned_people
from llmxrec.study.design import StudyDesign
from llmxrec.study.sampling import sample
from llmxrec.study.store import Store
from llmxrec.workspace import Workspace


def make_study(workspace: Workspace, store: Store, design: StudyDesign, people: Sequence[str] = ()) -> None:
    """Draw what `design` asks for from `workspace`, and put it into the empty `store`.

    `people` are users who will rate what was recommended to themselves. Nobody else is in it whom one of the generators
    was tuned on. Raises InputError where too little is explained.
    """
    by_generator = tuned_people(workspace, design.recommender)
    tuned = frozenset().union(*(by_generator.get(name, frozenset()) for name in design.generators))
    store.create(design, sample(read_part(workspace), design, people, tuned), time())


def told(design: StudyDesign) -> list[str]:
    """A study in words, a line each: what is asked, and when it ends."""
    asked = {"rate": "rated", "compare": "compared in pairs", "both": "rated, and compared in pairs"}[design.mode]
    names = ", ".join(design.generators)
    rule = "when each has its number of ratings"
    if design.stop_at is not None:
        rule += f", or before when every 95 % interval is narrower than {design.stop_at:g} points"
    return [
        f"{design.rows:,} recommendations of {design.recommender}, explained by {names}, are {asked}, "
        f"each by {design.ratings_per_cell} raters; {design.tasks_per_rater} tasks a rater at most",
        f"it ends {rule}",
    ]


def invitations(store: Store, number: int, people: Sequence[str]) -> list[tuple[str, str | None]]:
    """Whom to invite: `people` by their user id, and `number` more, who are counted on from those there are."""
    before = len(store.progress().raters) + len(people)
    named: list[tuple[str, str | None]] = [(person, person) for person in people]
    return named + [(f"rater {place}", None) for place in range(before + 1, before + 1 + number)]
