"""What tests of every room may ask for."""

from __future__ import annotations

import os

# Two processes test at once: more threads than cores wait for each other, which makes a small model 20 times slower.
os.environ.setdefault("OMP_NUM_THREADS", "1")
# Read by huggingface_hub when it is first imported. No test asks the network.
os.environ["HF_HUB_OFFLINE"] = "1"

import json
import random
from collections.abc import Callable, Iterator
from contextlib import ExitStack, chdir, closing
from dataclasses import dataclass
from pathlib import Path
from shutil import copytree

import hypothesis
import pytest
from tests.generators.loopback import Loopback, Serve
from tests.generators.tiny import make_models
from tests.study.databases import Cluster, programs, running
from typer.testing import CliRunner

from llmxrec.cli import app

# How long an example takes is no test: machines are shared, and the first one may compile a kernel.
hypothesis.settings.register_profile("here", deadline=None)
hypothesis.settings.load_profile("here")

REPOSITORY = Path(__file__).resolve().parent.parent


@dataclass
class Ended:
    """How a command ended. `out` is all that it printed."""

    code: int
    out: str


Call = Callable[..., Ended]


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of the real datasets, which the project may not hold: $LLMXREC_DATA, else ../shared/data."""
    return _folder(Path(os.environ.get("LLMXREC_DATA") or REPOSITORY.parent / "shared/data"), "the real datasets")


@pytest.fixture(scope="session")
def real_release() -> Path:
    """The folder of what the paper's authors released, laid out as in their repository."""
    return _folder(REPOSITORY.parent / "shared/paper/release", "what the paper's authors released")


def _folder(folder: Path, what: str) -> Path:
    if not folder.is_dir():
        pytest.skip(f"{what} may not be distributed with the project, and {folder} is not there")
    return folder


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of `make_models`: tiny models made on the spot."""
    root = tmp_path_factory.mktemp("tiny")
    make_models(root)
    return root


@pytest.fixture(scope="session")
def postgres() -> Iterator[Cluster]:
    """A PostgreSQL server of our own."""
    found = programs()
    if found is None:
        pytest.skip("PostgreSQL is not installed; on Debian: apt-get install postgresql")
    with running(found) as cluster:
        yield cluster


@pytest.fixture(scope="session")
def pairs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Labelled by whether a text names a film of the history, which any of three generators may do or not."""
    file, draw, rows = tmp_path_factory.mktemp("pairs") / "pairs.jsonl", random.Random(1), []
    ends = ["It should suit you.", "Have a look soon.", "We think it is a fine choice for the evening.", "Enjoy it."]
    for number in range(120):
        texts = [f'Because you watched "Film {number}", this follows. ', "Recommended to you, as to others. "]
        better = draw.randrange(2)
        first, second = (texts[0] + draw.choice(ends), texts[1] + draw.choice(ends))[:: 1 if better == 0 else -1]
        one, other = draw.sample(["A", "B", "C"], 2)
        rows.append(
            {"instruction": f"Why item {number}?", "explanation_1": first, "explanation_2": second, "label": better + 1}
            | {"generator_1": one, "generator_2": other}
        )
    file.write_text("\n".join(map(json.dumps, rows)))
    return file


@dataclass
class Demo:
    """The demo as it was made once: the folder in which it was called, and what it printed."""

    folder: Path
    out: str

    def copy(self, to: Path) -> Path:
        """A workspace of one's own."""
        copytree(self.folder / "demo-workspace", to)
        return to


@pytest.fixture(scope="session")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Demo:
    """`llmxrec demo demo-workspace`, which takes a minute or two: once for all tests of a process."""
    folder = tmp_path_factory.mktemp("demo")
    with chdir(folder):
        # As wide as it is shown in the README, whatever width the tests' own terminal has.
        ended = CliRunner().invoke(app, ["demo", "demo-workspace"], env={"COLUMNS": "100"}, catch_exceptions=False)
    assert ended.exit_code == 0, ended.output
    return Demo(folder, ended.output)


@pytest.fixture(params=["sqlite", "postgresql"])
def study_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of an empty database for a study: each test that asks for it is run on SQLite and on PostgreSQL."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'study.db'}"
    cluster: Cluster = request.getfixturevalue("postgres")
    return cluster.new()


@pytest.fixture
def call(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Call:
    """Run `llmxrec` with these words, in an empty folder. An exception that is not an exit is the test's failure."""
    monkeypatch.chdir(tmp_path)

    def run(*words: object) -> Ended:
        result = CliRunner().invoke(app, [str(word) for word in words])
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        return Ended(result.exit_code, result.output)

    return run


@pytest.fixture
def serve(monkeypatch: pytest.MonkeyPatch) -> Iterator[Serve]:
    """Start servers; they are gone when the test ends. The environment's proxies and keys are left out of it."""
    for name in ("OPENAI_API_KEY", "OPENAI_BASE_URL", "HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
    with ExitStack() as stack:
        yield lambda behave: stack.enter_context(closing(Loopback(behave)))
