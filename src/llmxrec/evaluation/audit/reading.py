"""All that the auditor looks at together: workspaces, and the files that came with them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from llmxrec.evaluation.audit.constants import read_claims
from llmxrec.evaluation.audit.material import Material
from llmxrec.evaluation.audit.tuning import read_tuned
from llmxrec.evaluation.pairs import read_pairs
from llmxrec.evaluation.reading import read_part, workspaces
from llmxrec.workspace import Workspace


def read_material(
    folder: Path, *, tuning: Sequence[Path] = (), pairs: Sequence[Path] = (), accuracies: Path | None = None
) -> Material:
    """All there is to look at in `folder`, a workspace or a folder of them, and in the files named.

    Where no tuning rows or pairs are named, those that a replay noted are read. Raises InputError for files that are
    not what they should be.
    """
    found = workspaces(folder)
    return Material(
        parts=[read_part(workspace) for workspace in found],
        tuned=[row for file in tuning or noted_files(folder, found, "tuning") for row in read_tuned(file)],
        pairs=[pair for file in pairs or noted_files(folder, found, "pairs") for pair in read_pairs(file)],
        claims=read_claims(accuracies) if accuracies is not None else (),
    )


def noted_files(folder: Path, found: Sequence[Workspace], kind: str) -> list[Path]:
    """Files of `kind` (tuning, pairs) that a replay noted in the manifests, and that are still there."""
    paths: dict[Path, None] = {}
    for workspace in dict.fromkeys([Workspace(folder), *found]):
        manifest = workspace.read_manifest()
        for noted in (manifest.get(table, {}).get(kind, []) for table in ("replay", "release")):
            for path in [noted] if isinstance(noted, str) else noted:
                if isinstance(path, str) and Path(path).is_file():
                    paths[Path(path)] = None
    return list(paths)
