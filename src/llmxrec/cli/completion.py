"""What a shell completes: names that are known, and those of what lies in a workspace.

It is asked at every press of a key, so nothing heavy loads here, and nothing that is there is trusted to be whole.
"""

from __future__ import annotations

import json
import tomllib
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path

import typer

from llmxrec.datasets import READERS
from llmxrec.datasets.domains import BUNDLED as DOMAINS
from llmxrec.evaluation.judges import JUDGES
from llmxrec.generators.presets import presets
from llmxrec.prompts.template import BUNDLED as TEMPLATES
from llmxrec.recommenders import RECOMMENDERS

# Where these two are at home, it takes polars to load them; a test compares.
EXTERNAL = "external"
TARGETS = ("age", "gender", "occupation", "category", "interest", "price", "popularity")

ON_PAIRS = ("judge", "reward", "prefer")
TASKS = ("explain", "attributes", *ON_PAIRS)
MODES = ("rate", "compare", "both")
OTHERWISE = ("template", "withhold")


def datasets() -> Iterable[str]:
    return READERS


def domains() -> Iterable[str]:
    return DOMAINS


def templates() -> Iterable[str]:
    return TEMPLATES


def targets() -> Iterable[str]:
    return TARGETS


def modes() -> Iterable[str]:
    return MODES


def otherwise() -> Iterable[str]:
    return OTHERWISE


def tasks(incomplete: str) -> Iterable[str]:
    return _in_list(TASKS, incomplete)


def trainable() -> Iterable[str]:
    """The recommenders that `recommend` knows."""
    return *RECOMMENDERS, EXTERNAL


def recommenders(ctx: typer.Context) -> Iterable[str]:
    """Those whose recommendations lie in the workspace."""
    return _names(ctx, "recommendations/*.parquet")


def explained(ctx: typer.Context) -> Iterable[str]:
    """Those whose recommendations are explained there."""
    return sorted({file.parent.name for file in _files(ctx, "explanations/*/*.jsonl")})


def generators(ctx: typer.Context) -> Iterable[str]:
    """The names of explanations in the workspace."""
    return _names(ctx, "explanations/*/*.jsonl")


def several_generators(ctx: typer.Context, incomplete: str) -> Iterable[str]:
    return _in_list(generators(ctx), incomplete)


def judges(ctx: typer.Context) -> Iterable[str]:
    """The names of verdicts in the workspace."""
    return _names(ctx, "verdicts/*/*.jsonl")


def generator_specs(ctx: typer.Context) -> Iterable[str]:
    """Specs, and those of the adapters that were tuned in the workspace to explain or predict."""
    tuned = [f"{base}+{folder}" for task, base, folder in _adapters(ctx) if task not in ("judge", "reward")]
    return "embedded", "template", *presets(), "hf:", "openai:", *tuned


def base_specs() -> Iterable[str]:
    """What can be tuned."""
    return "embedded", "hf:", *(name for name, preset in presets().items() if preset.spec.startswith("hf:"))


def judge_specs(ctx: typer.Context) -> Iterable[str]:
    tuned = [
        f"reward:{folder}" if task == "reward" else f"pairwise:{base}+{folder}"
        for task, base, folder in _adapters(ctx)
        if task in ("judge", "reward")
    ]
    kinds = (kind if kind == "text" else f"{kind}:" for kind in JUDGES)
    return *kinds, *(f"pairwise:{name}" for name in presets()), *tuned


def any_generator(ctx: typer.Context) -> Iterable[str]:
    """Names that are there, and specs."""
    return dict.fromkeys((*generators(ctx), *generator_specs(ctx)))


def user_attribute(ctx: typer.Context) -> Iterable[str]:
    return _attributes(ctx, "user_attributes")


def user_attributes(ctx: typer.Context, incomplete: str) -> Iterable[str]:
    return _in_list(_attributes(ctx, "user_attributes"), incomplete)


def item_attributes(ctx: typer.Context, incomplete: str) -> Iterable[str]:
    return _in_list(_attributes(ctx, "item_attributes"), incomplete)


def _names(ctx: typer.Context, pattern: str) -> list[str]:
    return sorted({file.stem for file in _files(ctx, pattern)})


def _files(ctx: typer.Context, pattern: str) -> Iterator[Path]:
    """Files of the workspace that the command line names; none where it names none yet."""
    # A command line that ends with an option leaves its arguments unnamed; the first is the workspace.
    place = ctx.params.get("workspace") or next(iter(ctx.args), None)
    if place is not None:
        with suppress(OSError):
            yield from sorted(Path(place).glob(pattern))


def _adapters(ctx: typer.Context) -> Iterator[tuple[str, str, Path]]:
    """Task, base and folder of each."""
    for file in (*_files(ctx, "adapters/*/card.json"), *_files(ctx, "adapters/*/fold-1/card.json")):
        with suppress(OSError, ValueError, KeyError, TypeError):
            card = json.loads(file.read_text(encoding="utf-8"))
            folder = file.parent.parent if file.parent.name == "fold-1" else file.parent
            yield str(card["task"]), str(card["base"]), folder


def _attributes(ctx: typer.Context, of: str) -> list[str]:
    for file in _files(ctx, "dataset/domain.toml"):
        with suppress(OSError, ValueError):
            return list(tomllib.loads(file.read_text(encoding="utf-8")).get(of, {}))
    return []


def _in_list(known: Iterable[str], incomplete: str) -> list[str]:
    """The next of a list with commas between; none of those that it has already."""
    before, comma, _ = incomplete.rpartition(",")
    return [f"{before}{comma}{name}" for name in known if name not in before.split(",")]
