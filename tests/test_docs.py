"""What the README and the docs show is run, and prints what they say."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
import warnings
from pathlib import Path
from shutil import copytree

import polars as pl
import pytest
from tests.conftest import Call

from llmxrec.datasets.domains import load_domain
from llmxrec.prompts.template import read_template

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


def sessions(page: Path) -> list[tuple[str, list[str]]]:
    """The commands of a page, each with the lines of output shown below it."""
    found: list[tuple[str, list[str]]] = []
    for block in re.findall(r"```console\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL):
        for line in block.splitlines():
            if line.startswith("$ "):
                found.append((line[2:], []))
            elif line.strip():
                found[-1][1].append(line)
    return found


@pytest.fixture
def folder(tmp_path: Path, call: Call, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What the pages' commands find where they are run."""
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
    (tmp_path / "pairs.jsonl").write_text("\n".join(map(json.dumps, pairs)) + "\n")
    return tmp_path


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_commands_run_and_print_what_is_shown(
    page: Path, folder: Path, call: Call, real_data: Path, request: pytest.FixtureRequest
) -> None:
    (folder / "recipes").symlink_to(ROOT / "recipes")
    (folder / "data").symlink_to(real_data)
    if page.name == "judging.md":
        (folder / "release").symlink_to(request.getfixturevalue("real_release"))
    if page.name in ("generators.md", "tuning.md"):
        assert call("demo", "demo").code == 0
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
    for command, shown in sessions(page):
        words = shlex.split(command)
        if words[0] == "make":
            assert re.search(rf"^{words[1]}:", (ROOT / "Makefile").read_text(), re.MULTILINE)
            if words[1] != "demo":
                continue
            words = ["llmxrec", "demo", "demo-workspace"]
        assert words[0] == "llmxrec"
        ended = call(*words[1:])
        assert ended.code == 0, f"{command}\n{ended.out}"
        printed = [_rounded(line) for line in ended.out.splitlines() if line.strip()]
        wanted = [_rounded(line) for line in shown if line != "..."]
        places = [printed.index(line) if line in printed else -1 for line in wanted]
        assert -1 not in places and places == sorted(places), f"{command}\n{ended.out}"


def _rounded(line: str) -> str:
    """Measured shares differ in their last digits from one kind of processor to another."""
    return re.sub(r"\b0\.(\d)\d+", r"0.\1", line.rstrip())


def library_example(library: str) -> str:
    page = (ROOT / "docs/other-libraries.md").read_text(encoding="utf-8")
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


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_and_files_exist(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    for target in re.findall(r"\]\(([^)#]+)\)", text):
        assert target.startswith("https://") or (page.parent / target).exists(), target


def test_the_examples_of_files_are_right(tmp_path: Path) -> None:
    (domain,) = re.findall(r"```toml\n(.*?)```", (ROOT / "docs/own-data.md").read_text(), re.DOTALL)
    (tmp_path / "books.toml").write_text(domain)
    assert load_domain(tmp_path / "books.toml").verb_past == "read"
    (template,) = re.findall(r"```text\n(.*?)```", (ROOT / "docs/generators.md").read_text(), re.DOTALL)
    assert list(read_template("mine", template).sections) == ["history", "candidate", "explain"]


def test_the_examples_of_code_run(tmp_path: Path) -> None:
    suites, stages = re.findall(r"```python\n(.*?)```", (ROOT / "docs/your-own-models.md").read_text(), re.DOTALL)
    (tmp_path / "test_mine.py").write_text(suites)
    ended = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", tmp_path], capture_output=True, text=True, cwd=tmp_path
    )
    assert ended.returncode == 0 and " passed" in ended.stdout, ended.stdout + ended.stderr
    printed = subprocess.run([sys.executable, "-c", stages], capture_output=True, text=True, check=True).stdout
    assert "NDCG@10 0.0" in printed


def test_the_example_of_the_embedded_model_prints_what_it_says() -> None:
    (code,) = re.findall(r"```python\n(.*?)```", (ROOT / "docs/generators.md").read_text(), re.DOTALL)
    printed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert printed.strip() == code.strip().splitlines()[-1].removeprefix("# ")


def test_the_readme_is_one_screen() -> None:
    assert len((ROOT / "README.md").read_text().splitlines()) <= 80
