"""Errors, lookup, seeds, settings, workspace, progress, domains: the small things that everything stands on."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import llmxrec
from llmxrec.datasets.domains import BUNDLED, load_domain, save_domain
from llmxrec.errors import InputError, MissingExtra, WorkError
from llmxrec.lookup import resolve
from llmxrec.progress import note, progress, quiet
from llmxrec.seeds import derive
from llmxrec.settings import Settings, check
from llmxrec.workspace import Workspace, atomic, safe_name


def test_an_error_says_place_rule_value_and_cure() -> None:
    error = InputError("a rating is a number", value="five", cure="use 1 to 5", file="u.data", line=3)
    assert str(error) == "u.data, line 3: a rating is a number; found 'five'; use 1 to 5"
    assert len(str(InputError("r", value="x" * 1000))) < 100
    assert "pip install 'llmxrec[torch]'" in str(MissingExtra("hf:", "torch"))


@given(st.text())
def test_an_error_is_one_line_whatever_the_value(value: str) -> None:
    assert len(str(InputError("rule", value=value)).splitlines()) == 1


def test_names_resolve_or_tell_the_nearest() -> None:
    table = {"ease": "llmxrec.errors:InputError"}
    assert resolve("recommender", "ease", table) is InputError
    with pytest.raises(InputError, match="unknown recommender 'eese'; did you mean 'ease'"):
        resolve("recommender", "eese", table)
    with pytest.raises(InputError, match="unknown recommender 'qqqq'; Known: ease"):
        resolve("recommender", "qqqq", table)


def test_seeds_depend_on_every_part_and_on_nothing_else() -> None:
    seeds = [derive(1, "a", "b"), derive(1, "ab"), derive(2, "a", "b"), derive(1, "b", "a"), derive(1, "a", "b", "")]
    assert len(set(seeds)) == 5 and all(0 <= seed < 2**63 for seed in seeds)
    assert derive(1, "a", "b") == 1585635615258537040, "the same on every machine, in every version"


class Inner(Settings):
    size: int = 3


class Outer(Settings):
    inner: Inner = Inner()
    many: tuple[Inner, ...] = ()
    rate: float = 0.1


@pytest.mark.parametrize(
    ("content", "error"),
    [
        ({"rat": 1}, "unknown setting of x 'rat'; did you mean 'rate'"),
        ({"inner": {"sise": 1}}, "unknown setting of x, table inner 'sise'; did you mean 'size'"),
        ({"many": [{"size": 1}, {"sise": 1}]}, "table many.1 'sise'; did you mean 'size'"),
        ({"rate": "fast"}, "rate of x should be a valid number; found 'fast'"),
        ({"inner": 3}, "inner of x should be an object; found 3"),
    ],
)
def test_settings_tell_the_first_fault_in_one_line(content: dict[str, object], error: str) -> None:
    with pytest.raises(InputError, match=error):
        check(Outer, content, "x")


def test_a_workspace_keeps_its_notes(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path / "w")
    assert workspace.read_manifest() == {} and workspace.recommenders() == [] and workspace.generators("bpr") == []
    workspace.note("recommenders", "bpr", k=10, settings={"epochs": 3, "none": None})
    workspace.note("recommenders", "ease", k=5)
    noted = workspace.read_manifest()
    assert noted["recommenders"] == {"bpr": {"k": 10, "settings": {"epochs": 3}}, "ease": {"k": 5}}
    assert noted["versions"]["llmxrec"] == llmxrec.__version__
    workspace.manifest.write_text("not = [toml")
    with pytest.raises(InputError, match="a manifest is TOML"):
        workspace.read_manifest()


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "a\\b", "-x", "a\x00", "a b", "a.", "é", "x" * 101, "a\n"])
def test_names_that_are_no_file_names_are_refused(name: str) -> None:
    with pytest.raises(InputError):
        safe_name(name)


def test_a_file_takes_its_place_only_when_whole(tmp_path: Path) -> None:
    target = tmp_path / "sub" / "a.txt"
    with atomic(target) as draft:
        draft.write_text("old")
    with pytest.raises(KeyboardInterrupt), atomic(target) as draft:
        draft.write_text("half of the n")
        raise KeyboardInterrupt
    assert target.read_text() == "old"
    assert list(target.parent.iterdir()) == [target]


def test_progress_is_a_line_now_and_then_where_no_one_watches(capsys: pytest.CaptureFixture[str]) -> None:
    with progress("working", 10) as advance:
        advance(5)
    assert capsys.readouterr().err == ""


def test_progress_tells_how_it_goes(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("llmxrec.progress._LOG_EVERY_S", 0.0)
    with progress("tuning", 10) as advance:
        note(advance, "loss 2.310")
        advance(5)
    assert re.fullmatch(r"tuning: 5 of 10, \d+ s left \([\d,.]+ rows/s\), loss 2.310\n", capsys.readouterr().err)
    note(quiet, "said to nobody")


@pytest.mark.parametrize("name", BUNDLED)
def test_domains_are_written_and_read(name: str, tmp_path: Path) -> None:
    domain = load_domain(name)
    save_domain(domain, tmp_path / "d.toml")
    assert load_domain(tmp_path / "d.toml") == domain


@pytest.mark.parametrize(
    ("change", "error"),
    [
        (('item = "film"', 'itm = "film"'), "unknown key of a domain 'itm'; did you mean 'item'"),
        (('item = "film"', "item = 3"), "'item' is one line of words; found 3"),
        (('item = "film"', 'item = "a\\nb"'), "'item' is one line of words"),
        (('year = "year"', 'year = "y: ear"'), "'item_attributes' maps columns to labels"),
        (('year = "year"', 'year = "genres"'), "'item_attributes' gives each column its own label"),
        (('name = "movies"', "name = "), "a domain is a TOML file"),
    ],
)
def test_a_wrong_domain_is_refused_in_one_line(change: tuple[str, str], error: str, tmp_path: Path) -> None:
    file = Path(load_domain.__code__.co_filename).parent / "movies.toml"
    text = file.read_text()
    assert change[0] in text
    (tmp_path / "d.toml").write_text(text.replace(*change))
    with pytest.raises(InputError, match=error):
        load_domain(tmp_path / "d.toml")
    with pytest.raises(InputError, match="did you mean 'movies'"):
        load_domain("movie")


def test_work_and_input_errors_are_apart() -> None:
    assert not issubclass(WorkError, InputError) and issubclass(MissingExtra, InputError)


def test_the_version_is_said() -> None:
    said = subprocess.run([sys.executable, "-m", "llmxrec", "--version"], capture_output=True, text=True, check=True)
    assert said.stdout == f"llmxrec {llmxrec.__version__}\n"
