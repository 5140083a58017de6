"""What the README and the docs show is run, and prints what they say; what they link to and name is there."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
import warnings
from contextlib import chdir, redirect_stdout
from dataclasses import dataclass, field
from html.parser import HTMLParser
from importlib import import_module
from io import StringIO
from pathlib import Path
from shutil import copytree
from typing import Any
from urllib.parse import unquote, urlsplit

import polars as pl
import pytest
import typer.main
from tests.conftest import Call
from typer.testing import CliRunner

from llmxrec.cli import app
from llmxrec.datasets.domains import load_domain
from llmxrec.prompts.template import read_template
from llmxrec.recipe import Recipe

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
PAGES = [ROOT / "README.md", *(file for file in sorted(DOCS.rglob("*.md")) if "_build" not in file.parts)]
BESIDE = ("CHANGELOG.md", "benchmarks/**/*.md", "training/**/*.md", "examples/*.md", "src/llmxrec/*/annotations/*.md")
READ_AS_FILES = [*PAGES, *(file for pattern in BESIDE for file in sorted(ROOT.glob(pattern)))]

IN_THE_TUTORIALS_WORKSPACE = ("generators.md", "language-models.md", "notebook.md", "tuning.md")
ON_THE_RELEASE = ("concepts.md", "replaying.md")


def name_of(page: Path) -> str:
    return str(page.relative_to(ROOT))


@dataclass(frozen=True)
class Step:
    """A command of a page with the lines of output shown below it, or a block of Python."""

    command: str = ""
    shown: list[str] = field(default_factory=list)
    python: str = ""


def steps(page: Path) -> list[Step]:
    found: list[Step] = []
    for kind, block in blocks(page):
        if kind == "python":
            found.append(Step(python=block))
        for line in block.splitlines() if kind == "console" else ():
            if line.startswith("$ "):
                found.append(Step(line[2:]))
            elif line.strip():
                found[-1].shown.append(line)
    return found


def blocks(page: Path) -> list[tuple[str, str]]:
    return re.findall(r"^```(\w+)\n(.*?)^```", page.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)


@dataclass(frozen=True)
class Stage:
    """A folder in which pages are played. What a command printed there, it is not run for again."""

    folder: Path
    printed: dict[str, str] = field(default_factory=dict)

    def play(self, page: Path) -> None:
        """Run everything that `page` shows, where it is shown. Fails where it does not end well or prints otherwise."""
        with chdir(self.folder):
            for step in steps(page):
                if step.python:
                    check_python(step.python)
                elif not is_of_make(step.command):
                    out = self.run(step.command)
                    check_shown(step, out)

    def run(self, command: str) -> str:
        if command not in self.printed:
            words = shlex.split("llmxrec demo demo-workspace" if command == "make demo" else command)
            assert words[0] == "llmxrec", command
            ended = CliRunner().invoke(app, words[1:])
            if ended.exception is not None and not isinstance(ended.exception, SystemExit):
                raise ended.exception
            assert ended.exit_code == 0, f"{command}\n{ended.output}"
            self.printed[command] = ended.output
        return self.printed[command]


def is_of_make(command: str) -> bool:
    """Whether it is a target of the Makefile other than the demo, which a test need not make again."""
    words = command.split()
    if words[0] != "make":
        return False
    assert re.search(rf"^{words[1]}:", (ROOT / "Makefile").read_text(), re.MULTILINE)
    return words[1] != "demo"


def check_shown(step: Step, out: str) -> None:
    """Each line that is shown is printed, after the one before it."""
    printed = iter(_rounded(line) for line in out.splitlines())
    for line in step.shown:
        assert line == "..." or _rounded(line) in printed, (
            f"{step.command}\ndoes not print, or not there:\n{line}\n{out}"
        )


def check_python(code: str) -> None:
    """Run it; the comments that it ends with are what it prints. A file of tests is run as one."""
    if "(RecommenderConformance)" in code:
        Path("test_mine.py").write_text(code)
        command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "test_mine.py"]
        ended = subprocess.run(command, capture_output=True, text=True)
        assert ended.returncode == 0 and " passed" in ended.stdout, ended.stdout + ended.stderr
        return
    out = StringIO()
    with redirect_stdout(out):
        exec(code, {"__name__": "example"})  # noqa: S102 - ours
    said = re.search(r"(?:^# .*\n)+\Z", code, re.MULTILINE)
    wanted = [line.removeprefix("# ") for line in said[0].splitlines()] if said else []
    assert [_rounded(line) for line in out.getvalue().splitlines()] == [_rounded(line) for line in wanted]


def _rounded(line: str) -> str:
    """Measured shares differ in their last digits from one kind of processor to another."""
    return re.sub(r"\b0\.(\d)\d+", r"0.\1", line.rstrip())


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What the pages' commands find where they are run."""
    monkeypatch.chdir(tmp_path)
    orders = [f"c{c},p{(c + s) % 20},2024-01-0{s + 1}" for c in range(12) for s in range(5)]
    (tmp_path / "orders.csv").write_text("\n".join(["customer,sku,created_at", *orders]) + "\n")
    products = [f"p{n},Book {n},{'crime' if n % 2 else 'poetry'}" for n in range(20)]
    (tmp_path / "products.csv").write_text("\n".join(["sku,title,shelf", *products]) + "\n")
    (tmp_path / "ours.csv").write_text(
        "\n".join(["customer,sku", *(f"c{c},p{(c + 5) % 20}" for c in range(12))]) + "\n"
    )
    (tmp_path / "people.csv").write_text("customer,age,phone\n" + "".join(f"c{c},{20 + c},555{c}\n" for c in range(12)))
    texts = [f"c{c},p{(c + 5) % 20},Book {(c + 5) % 20} was picked for you." for c in range(12)]
    (tmp_path / "theirs.csv").write_text("\n".join(["user,item,text", *texts]) + "\n")
    pairs = [
        {"instruction": f"Why book {n}?", "explanation_1": "You read Book 1.", "explanation_2": "Buy it.", "label": 1}
        for n in range(30)
    ]
    for name in ("pairs.jsonl", "labelled.jsonl"):
        (tmp_path / name).write_text("\n".join(map(json.dumps, pairs)) + "\n")
    return tmp_path


@pytest.fixture(scope="session")
def tutorial(tmp_path_factory: pytest.TempPathFactory) -> Stage:
    """The tutorial, played to its end: pages that go on in its workspace begin there."""
    stage = Stage(tmp_path_factory.mktemp("tutorial"))
    stage.play(DOCS / "tutorial.md")
    return stage


@pytest.fixture(scope="session")
def release(tmp_path_factory: pytest.TempPathFactory, real_release: Path) -> Stage:
    """Where pages about what the paper's authors released are played, all of them in one folder."""
    stage = Stage(tmp_path_factory.mktemp("release"))
    (stage.folder / "release").symlink_to(real_release)
    (reported,) = (block for _, block in blocks(DOCS / "replaying.md") if block.startswith("measure,"))
    (stage.folder / "reported.csv").write_text(reported)
    return stage


@pytest.mark.parametrize("page", [page for page in PAGES if steps(page)], ids=name_of)
def test_commands_run_and_print_what_is_shown(
    page: Path, folder: Path, real_data: Path, request: pytest.FixtureRequest
) -> None:
    if page.name == "tutorial.md":
        request.getfixturevalue("tutorial")
        return
    if page.name in ON_THE_RELEASE:
        request.getfixturevalue("release").play(page)
        return
    stage = Stage(folder)
    (folder / "recipes").symlink_to(ROOT / "recipes")
    (folder / "data").symlink_to(real_data)
    if page.name == "README.md":
        stage = Stage(folder, {"make demo": request.getfixturevalue("demo").out})
    if page.name == "recipes.md":
        (recipe,) = (block for kind, block in blocks(page) if kind == "toml")
        (folder / "films.toml").write_text(recipe)
    if page.name == "judging.md":
        (folder / "release").symlink_to(request.getfixturevalue("real_release"))
    if page.name in IN_THE_TUTORIALS_WORKSPACE:
        played: Stage = request.getfixturevalue("tutorial")
        copytree(played.folder, folder, dirs_exist_ok=True)
        stage = Stage(folder, dict(played.printed))
    if page.name == "tuning.md":
        copytree(request.getfixturevalue("tiny") / "llama", folder / "my-model")
        config = folder / "my-model/config.json"
        config.write_text(
            config.read_text().replace('"max_position_embeddings": 512', '"max_position_embeddings": 4096')
        )
    if page.name == "other-libraries.md":
        columns = {"customer": "user_id", "sku": "item_id", "created_at": "time"}
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about threads of BLAS
            exec(library_example("implicit"), {"interactions": pl.read_csv("orders.csv").rename(columns)})  # noqa: S102 - ours
        for step in steps(page):
            if not step.python:
                check_shown(step, stage.run(step.command))
        return
    stage.play(page)


def test_what_concepts_quote_is_printed(release: Stage) -> None:
    page = DOCS / "concepts.md"
    release.play(page)
    printed = {_rounded(line) for out in release.printed.values() for line in out.splitlines()}
    quoted = [line for kind, block in blocks(page) if kind == "text" for line in block.splitlines()]
    assert len(quoted) > 15
    assert [line for line in quoted if _rounded(line) not in printed] == []


def library_example(library: str) -> str:
    page = (DOCS / "other-libraries.md").read_text(encoding="utf-8")
    (code,) = re.findall(rf"## {library}\b[^\n]*\n(?:(?!## ).)*?```python\n(.*?)```", page, re.DOTALL)
    return code


@pytest.mark.parametrize("library", ["RecTools", "Cornac", "RecBole"])
def test_what_other_libraries_recommend_is_read(library: str, folder: Path, call: Call) -> None:
    """Each in its own environment (benchmarks/peers/README.md), since they exclude each other and LLMXRec's tests."""
    python = Path(os.environ.get("LLMXREC_PEERS", ""), library.lower(), "bin/python")
    if not python.exists():
        pytest.skip("set LLMXREC_PEERS to the folder of the peers' environments")
    read = (
        "import pandas\ninteractions = pandas.read_csv('orders.csv').rename("
        "columns={'customer': 'user_id', 'sku': 'item_id', 'created_at': 'time'})\n"
        "interactions['time'] = pandas.to_datetime(interactions['time']).astype('int64') // 10**9\n"
    )
    Path("ours.csv").unlink()
    subprocess.run([python, "-c", read + library_example(library)], check=True, capture_output=True)
    assert call("init", "shop", "--interactions", "orders.csv", "--items", "products.csv").code == 0
    taken = call("recommend", "shop", "--recommender", "external", "--recommendations", "ours.csv")
    assert taken.code == 0 and re.search(r"read \d\d+ recommendations", taken.out)
    assert "12 rows: 12 ok" in call("explain", "shop", "--recommender", "external").out


def test_the_examples_of_files_are_right(tmp_path: Path) -> None:
    (domain,) = re.findall(r"```toml\n(.*?)```", (DOCS / "own-data.md").read_text(), re.DOTALL)
    (tmp_path / "books.toml").write_text(domain)
    assert load_domain(tmp_path / "books.toml").verb_past == "read"
    (template,) = re.findall(r"```text\n(.*?)```", (DOCS / "generators.md").read_text(), re.DOTALL)
    assert list(read_template("mine", template).sections) == ["history", "candidate", "explain"]


def test_the_readme_is_one_screen() -> None:
    assert len((ROOT / "README.md").read_text().splitlines()) <= 80


# As it is read on a code host.


@pytest.mark.parametrize("page", READ_AS_FILES, ids=name_of)
def test_links_lead_somewhere_in_the_files(page: Path) -> None:
    missing = []
    for target in re.findall(r"\]\(([^)\s]+)\)", prose(page)):
        path, _, anchor = target.partition("#")
        file = page if not path else (page.parent / path).resolve()
        if not urlsplit(target).scheme and (not file.exists() or (anchor and anchor not in slugs(file))):
            missing.append(target)
    assert missing == []


def prose(page: Path) -> str:
    """A page without its blocks of code."""
    return re.sub(r"^```.*?^```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)


def slugs(page: Path) -> list[str]:
    """The anchors that a code host gives the headings of a page."""
    found: list[str] = []
    for heading in re.findall(r"^#+ (.+)$", prose(page), re.MULTILINE):
        plain = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).replace("`", "")
        slug = re.sub(r"[^\w\- ]", "", plain.lower()).replace(" ", "-")
        found.append(f"{slug}-{found.count(slug)}" if slug in found else slug)
    return found


def test_every_page_is_in_the_index() -> None:
    index = (DOCS / "index.md").read_text()
    listed = {line.split("<")[-1].rstrip(">") for kind in re.findall(r"```\{toctree\}(.*?)```", index, re.DOTALL)
              for line in kind.splitlines()}  # fmt: skip
    assert [name_of(page) for page in PAGES if page.parent != ROOT and page.name != "index.md"
            and str(page.relative_to(DOCS).with_suffix("")) not in listed] == []  # fmt: skip


# As a site.


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> dict[Path, Page]:
    """The pages of the site, built as `make docs` builds it: any warning fails."""
    out = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "sphinx", "-W", "-n", "--keep-going", "-q", "-c", "docs", ".", str(out)]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return {file: Page.read(file) for file in sorted(out.rglob("*.html"))}


class Page(HTMLParser):
    """What a page of the site links to and loads, and the anchors that it has."""

    def __init__(self) -> None:
        super().__init__()
        self.targets: list[str] = []
        self.loaded: list[str] = []
        self.anchors: set[str] = set()
        self.words: list[str] = []

    @classmethod
    def read(cls, file: Path) -> Page:
        page = cls()
        page.feed(file.read_text(encoding="utf-8"))
        return page

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        told = dict(attrs)
        self.targets += [told[name] or "" for name in ("href", "src") if name in told]
        self.loaded += [told["src"] or ""] if "src" in told else [told.get("href") or ""] if tag == "link" else []
        self.anchors |= {told[name] or "" for name in ("id", "name") if name in told}

    def handle_data(self, data: str) -> None:
        self.words.append(data)


def test_no_link_of_the_site_is_dead(site: dict[Path, Page]) -> None:
    assert len(site) > 40
    dead = []
    for file, page in site.items():
        for target in page.targets:
            parts = urlsplit(target)
            if parts.scheme or parts.netloc:
                continue
            there = (file.parent / unquote(parts.path)).resolve() if parts.path else file
            anchor = unquote(parts.fragment)
            if not there.is_file() or (anchor and there in site and anchor not in site[there].anchors):
                dead.append(f"{file.name}: {target}")
    assert dead == []


def test_nothing_of_the_site_is_loaded_from_elsewhere(site: dict[Path, Page]) -> None:
    assert {one for page in site.values() for one in page.loaded if urlsplit(one).netloc} == set()


def test_the_reference_has_every_option_and_every_key(site: dict[Path, Page]) -> None:
    commands = typer.main.get_command(app).commands  # type: ignore[attr-defined]
    words = words_on(site, "cli")
    parameters = [one for command in commands.values() for one in command.params if one.name != "help"]
    options = {word for one in parameters for word in (*one.opts, *one.secondary_opts) if word.startswith("-")}
    assert len(options) > 60 and options - words == set()
    assert {f"llmxrec-{name}" for name in commands} - page_of(site, "cli").anchors == set()
    schema = Recipe.model_json_schema()
    keys = {key for table in (schema, *schema["$defs"].values()) for key in table.get("properties", ())}
    assert len(keys) > 30 and keys - words_on(site, "recipe") == set()
    there = [word.strip() for word in page_of(site, "recipe").words]
    assert there.index("hold_out") < there.index("Which dataset, and where its original files lie.")


def page_of(site: dict[Path, Page], name: str) -> Page:
    (page,) = (page for file, page in site.items() if file.parts[-3:] == ("docs", "reference", f"{name}.html"))
    return page


def words_on(site: dict[Path, Page], name: str) -> set[str]:
    return {word.strip() for word in page_of(site, name).words}


def test_names_in_the_paper_index_lead_to_the_reference(site: dict[Path, Page]) -> None:
    (page,) = (page for file, page in site.items() if file.parts[-2:] == ("docs", "paper.html"))
    linked = {urlsplit(target).fragment for target in page.targets}
    assert {name for name in named_in_the_paper_index() if not {name, f"module-{name}"} & linked} == set()


def test_the_paper_index_is_whole_and_names_what_exists() -> None:
    text = (DOCS / "paper.md").read_text()
    rows = set(re.findall(r"^\| ([^ ]+) \|", text, re.MULTILINE))
    assert {"(1)", "(2)", "(3)", "(4)", "(5)", "(6)", "(7)", "1", "2", "3", "4", "3a", "3b", "5"} - rows == set()
    assert [name for name in named_in_the_paper_index() if not exists(name)] == []
    assert [name for name in re.findall(r"`(recipes/[^`]+)`", text) if not (ROOT / name).is_file()] == []


def named_in_the_paper_index() -> list[str]:
    return re.findall(r"`(llmxrec\.[\w.]+)`", (DOCS / "paper.md").read_text())


def exists(name: str) -> bool:
    """Whether a module, or something in one, is called that."""
    module, inner = name, []
    while True:
        try:
            thing: Any = import_module(module)
            break
        except ModuleNotFoundError:
            module, _, last = module.rpartition(".")
            inner.insert(0, last)
    for part in inner:
        if not hasattr(thing, part):
            return False
        thing = getattr(thing, part)
    return True
