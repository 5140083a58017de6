"""Where each thing lies in a workspace, the folder of one experiment, and its manifest."""

from __future__ import annotations

import os
import platform
import re
import tomllib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any
from urllib.parse import quote

import tomli_w

from llmxrec.errors import InputError

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@+-]{0,99}")
_LONGEST = 200


@dataclass(frozen=True)
class Workspace:
    """The paths of a workspace. Nothing is made before something is written."""

    path: Path

    @property
    def name(self) -> str:
        """What it is called where people read of it: the folder's name, which may hold any sign."""
        return self.path.resolve().name

    @property
    def dataset(self) -> Path:
        return self.path / "dataset"

    @property
    def manifest(self) -> Path:
        return self.path / "workspace.toml"

    @property
    def summary(self) -> Path:
        return self.path / "summary.md"

    @property
    def times(self) -> Path:
        """How long what took: a ledger of stage, recommender, who, rows and seconds."""
        return self.path / "times.jsonl"

    @property
    def report(self) -> Path:
        return self.path / "report.html"

    def model(self, recommender: str) -> Path:
        return self.path / "models" / safe_name(recommender)

    def recommendations(self, recommender: str) -> Path:
        return self.path / "recommendations" / f"{safe_name(recommender)}.parquet"

    def evidence(self, recommender: str) -> Path:
        return self.path / "evidence" / f"{safe_name(recommender)}.parquet"

    def explanations(self, recommender: str, generator: str) -> Path:
        return self.path / "explanations" / safe_name(recommender) / f"{safe_name(generator)}.jsonl"

    def predictions(self, recommender: str, generator: str) -> Path:
        return self.path / "predictions" / safe_name(recommender) / f"{safe_name(generator)}.jsonl"

    def verdicts(self, recommender: str, judge: str) -> Path:
        return self.path / "verdicts" / safe_name(recommender) / f"{safe_name(judge)}.jsonl"

    def ratings(self, recommender: str) -> Path:
        """What people rated: explanations of what `recommender` recommends."""
        return self.path / "ratings" / f"{safe_name(recommender)}.jsonl"

    def validity(self, recommender: str, judge: str) -> Path:
        """What a judge was found to be worth when it gave its verdicts."""
        return self.verdicts(recommender, judge).with_suffix(".validity.json")

    def adapter(self, name: str) -> Path:
        """The folder of an adapter, or of its folds."""
        return self.path / "adapters" / safe_name(name)

    def flipped(self, recommender: str, generator: str, attribute: str, value: str) -> Path:
        """What a generator answers where `attribute` of everybody is `value`."""
        what = f"{safe_name(generator)}.{quote(attribute, safe='')}={quote(value, safe='')}"
        if len(what) > _LONGEST:
            raise InputError("an attribute and its value make the name of a file", value=value, cure="shorten them")
        return self.path / "flipped" / safe_name(recommender) / f"{what}.jsonl"

    def prompts(self, recommender: str) -> Path:
        """What generators were asked, word for word, where it came with explanations made elsewhere."""
        return self.path / "prompts" / f"{safe_name(recommender)}.parquet"

    def table(self, name: str) -> Path:
        return self.path / "tables" / f"{safe_name(name)}.csv"

    def recommenders(self) -> list[str]:
        """The recommenders whose recommendations lie here, by name."""
        return sorted(file.stem for file in self.path.glob("recommendations/*.parquet"))

    def explained(self) -> list[str]:
        """The recommenders of which explanations lie here, by name."""
        return [name for name in self.recommenders() if self.generators(name)]

    def generators(self, recommender: str) -> list[str]:
        """The names under which explanations of `recommender` lie here."""
        return sorted(file.stem for file in self.path.glob(f"explanations/{safe_name(recommender)}/*.jsonl"))

    def predictors(self, recommender: str) -> list[str]:
        """The names under which predictions about recommendations of `recommender` lie here."""
        return sorted(file.stem for file in self.path.glob(f"predictions/{safe_name(recommender)}/*.jsonl"))

    def judges(self, recommender: str) -> list[str]:
        """The names under which verdicts on explanations of `recommender` lie here."""
        return sorted(file.stem for file in self.path.glob(f"verdicts/{safe_name(recommender)}/*.jsonl"))

    def flips(self, recommender: str) -> list[Path]:
        """The files of all that is `flipped`."""
        return sorted(self.path.glob(f"flipped/{safe_name(recommender)}/*.jsonl"))

    def read_manifest(self) -> dict[str, Any]:
        """What `note` wrote; empty where there is no manifest. Raises InputError for one that is not TOML."""
        if not self.manifest.exists():
            return {}
        try:
            manifest = tomllib.loads(self.manifest.read_text(encoding="utf-8"))
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise InputError(f"a manifest is TOML: {error}", file=self.manifest) from None
        trained = manifest.get("recommenders", {})
        tables = [*manifest.items(), *(trained.items() if isinstance(trained, dict) else ())]
        for key, table in tables:
            if not isinstance(table, dict) or not isinstance(table.get("settings", {}), dict):
                raise InputError(f"'{key}' of a manifest is a table, and so are its settings", file=self.manifest)
        return manifest

    def note(self, *keys: str, **content: Any) -> None:
        """Set the table at `keys` of the manifest to `content`; None values are left out."""
        manifest = self.read_manifest()
        manifest["versions"] = _versions()
        table = manifest
        for key in keys[:-1]:
            table = table.setdefault(key, {})
        table[keys[-1]] = plain(content)
        with atomic(self.manifest) as file:
            file.write_text(tomli_w.dumps(manifest), encoding="utf-8")


def safe_name(name: str) -> str:
    """`name`, if it can be a file's name anywhere. Raises InputError otherwise."""
    if not _NAME.fullmatch(name) or name.endswith("."):
        raise InputError(
            "a name starts with a letter or digit and goes on with those and . _ @ + - only (100 at most)", value=name
        )
    return name


@contextmanager
def atomic(target: Path) -> Iterator[Path]:
    """A path to write instead of `target`; it takes its place only when whole, so a kill leaves the old or the new."""
    target.parent.mkdir(parents=True, exist_ok=True)
    draft = target.with_name(f".{target.name}.{os.getpid()}.draft")
    try:
        yield draft
        draft.replace(target)
    finally:
        draft.unlink(missing_ok=True)


def _versions() -> dict[str, str]:
    return {"llmxrec": metadata.version("llmxrec"), "python": platform.python_version()}


def plain(value: Any) -> Any:
    """`value` without None, which TOML does not have."""
    if isinstance(value, Mapping):
        return {key: plain(inner) for key, inner in value.items() if inner is not None}
    return [plain(inner) for inner in value] if isinstance(value, list | tuple) else value
