"""The paper's first evaluation: explanations compared by a judge."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from llmxrec.errors import InputError
from llmxrec.evaluation.gate import Measured
from llmxrec.evaluation.judges.protocol import Judge, Learner
from llmxrec.evaluation.judging import Judged, contests, judge_contests, standing
from llmxrec.evaluation.pairs import labelled
from llmxrec.evaluation.reading import read_part
from llmxrec.generators.specs import read_spec, slug
from llmxrec.notes import read_notes
from llmxrec.progress import progress
from llmxrec.stages.timing import timed
from llmxrec.tuning.adapters import check_apart, made_of, tuned_on
from llmxrec.workspace import Workspace, atomic


def judge_explanations(
    workspace: Workspace, recommender: str, judge: Judge, measured: Measured | None, settings: Mapping[str, Any]
) -> Judged:
    """The paper's first evaluation: have `judge` compare what explains the recommendations of `recommender`.

    What it was found to be worth (None: nobody measured) lies beside its verdicts. `settings` is what decides these.
    Left out is whom a compared generator, or the judge, was tuned on. Raises InputError where no two generators
    explained the same recommendation, or only to such people.
    """
    found = list(contests(read_part(workspace), recommender))
    tuned = tuned_people(workspace, recommender)
    taught = _learned_from(workspace, str(settings.get("judge", "")))
    compared = [
        one for one in found if one.user_id not in taught.union(*(tuned.get(name, ()) for name in one.generators))
    ]
    if not compared:
        check_apart(taught.union(*tuned.values()), (one.user_id for one in found))
        raise InputError(
            f"two generators or more explain a recommendation of '{recommender}', to be compared",
            value=", ".join(workspace.generators(recommender)) or "none",
            cure="llmxrec explain, or llmxrec import",
        )
    label = slug(judge.name)
    verdicts = workspace.verdicts(recommender, label)

    def begin() -> None:
        _note_worth(workspace.validity(recommender, label), measured)

    with (
        timed(workspace, "judge", recommender, label) as rows,
        progress(f"judging {recommender} with {judge.name}", len(compared)) as advance,
    ):
        outcome = judge_contests(
            compared,
            judge,
            recommender,
            verdicts,
            settings=settings,
            begin=begin,
            advance=advance,
        )
        rows(outcome.asked.total())
    outcome.left_out = len({one.user_id for one in found} - {one.user_id for one in compared})
    _, outcome.outdated = standing(verdicts, found)
    return outcome


def _note_worth(file: Path, measured: Measured | None) -> None:
    """Write what a judge was found to be worth to `file`: before its verdicts, so that a kill leaves none beside what
    another was worth."""
    worth: dict[str, Any] = {"measured": False}
    if measured is not None:
        about = {pair.case.domain.name for some in measured.pairs.values() for pair in some.pairs if pair.case.domain}
        worth = {"measured": True, **measured.validity.to_json(), "domains": sorted(about)}
    with atomic(file) as draft:
        draft.write_text(json.dumps(worth, indent=2) + "\n", encoding="utf-8")


def tuned_people(workspace: Workspace, recommender: str) -> dict[str, frozenset[str]]:
    """The people on whose rows each generator was tuned that explained recommendations of `recommender`, by its name.

    Explanations of their recommendations tell nothing of how it explains to others. Raises InputError where an adapter
    is gone, so that nobody can say.
    """
    return {name: _learned_from(workspace, spec) for name, spec in _specs(workspace, recommender).items()}


def _specs(workspace: Workspace, recommender: str) -> dict[str, str]:
    """The spec of each generator that explained recommendations of `recommender` here, as far as it was noted."""
    files = {name: workspace.explanations(recommender, name) for name in workspace.generators(recommender)}
    specs = {name: read_notes(file).get("spec") for name, file in files.items()}
    return {name: spec for name, spec in specs.items() if isinstance(spec, str)}


def _learned_from(workspace: Workspace, spec: str) -> frozenset[str]:
    """The people whose rows a generator or a judge learned from, where its spec names an adapter; else nobody.

    Raises InputError where the adapter is gone, so that nobody can say.
    """
    adapter = _folder(spec)
    if adapter is None:
        return frozenset()
    for folder in (workspace.path / adapter, Path(adapter), workspace.path / "adapters" / Path(adapter).name):
        if folder.is_dir():
            return tuned_on(folder)
    cure = f"put its folder back, or to {workspace.path / 'adapters'}"
    raise InputError("the adapter is there, for its card to say whom it was tuned on", value=spec, cure=cure)


def _folder(spec: str) -> str | None:
    """The folder of what was tuned or trained before, that the spec of a generator or a judge names, if any."""
    kind, _, rest = spec.partition(":")
    if kind == "pairwise":
        return _folder(rest)
    if kind == "text" or (kind == "reward" and not rest.startswith("hf:")):
        return rest or None
    return read_spec(rest if kind == "reward" else spec).adapter if "+" in spec else None


def judge_settings(spec: str, judge: Judge, train: Path | None, seed: int) -> dict[str, Any]:
    """All that decides what a judge says: itself, what lies in the folder that it names, if any, and for one that was
    trained for this, what on."""
    learned = isinstance(judge, Learner) and train is not None
    digest = hashlib.blake2b(labelled(train).read_bytes(), digest_size=8).hexdigest() if learned and train else None
    folder = _folder(spec)
    adapter = None if folder is None else made_of(Path(folder))
    return {"judge": spec, "adapter": adapter, "learned_from": digest, "seed": seed}
