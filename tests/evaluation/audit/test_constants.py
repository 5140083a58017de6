"""Accuracies beside those of a constant."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.evaluation.audit.test_verdicts import labelled
from tests.worlds import MOVIES

from llmxrec.errors import InputError
from llmxrec.evaluation.audit import audit
from llmxrec.evaluation.audit.constants import constant, read_claims
from llmxrec.evaluation.audit.material import Claim, Material
from llmxrec.evaluation.material import Part

TRUTHS = {"gender": ["m"] * 700 + ["f"] * 300, "age": [str(20 + n % 40) for n in range(1000)]}
WORLD = Part("w", MOVIES, [], {}, truths=TRUTHS)


def test_constants_by_hand() -> None:
    assert constant(["m", "m", "f"]) == ("m", 2 / 3)
    assert constant(["f", "m"]) == ("f", 0.5), "of equals, the first by name"
    assert constant(["10", "16", "20", "21", "40"], within=5) == ("15 ± 5", 3 / 5)
    assert constant(["30"], within=5) == ("30 ± 5", 1.0)
    with pytest.raises(InputError, match="true values"):
        constant([])
    with pytest.raises(InputError, match="ages are numbers; found 'old'"):
        constant(["20", "old"], within=5)


@pytest.mark.parametrize(
    ("claim", "severity"),
    [
        (Claim("gender", 0.60), "critical"),
        (Claim("gender", 0.69), "warning"),
        (Claim("gender", 0.71), "note"),
        (Claim("gender", 0.80), None),
        (Claim("gender", 0.60, rows=10), "warning"),
        (Claim("Age", 0.10, "ours"), "critical"),
        (Claim("age", 0.60), None),
    ],
)
def test_claims_are_held_against_the_most_frequent(claim: Claim, severity: str | None) -> None:
    found = audit(Material([WORLD], claims=[claim]))
    assert [finding.severity for finding in found] == ([severity] if severity else [])


def test_figures_name_source_and_constant() -> None:
    (found,) = audit(Material([WORLD], claims=[Claim("gender", 0.6, "the tuned one")]))
    assert found.figure == "the tuned one: 0.600; always 'm' 0.700" and "below a constant" in found.title


def test_a_judge_is_held_against_rules_that_read_nothing() -> None:
    pairs = labelled(1, swapped=True)
    low = [f for f in audit(Material(pairs=pairs, claims=[Claim("judge", 0.7)])) if f.check == "constant"]
    assert [finding.severity for finding in low] == ["critical"] and "the usual winner of the two named" in low[
        0
    ].figure
    assert [f for f in audit(Material(pairs=pairs, claims=[Claim("judge", 0.95)])) if f.check == "constant"] == []
    unnamed = audit(Material(pairs=labelled(1, swapped=False, names=False), claims=[Claim("judge", 0.6)]))
    assert any("the second" in finding.figure for finding in unnamed if finding.check == "constant")


def test_what_cannot_be_held_against_anything() -> None:
    with pytest.raises(InputError, match="--pairs"):
        audit(Material([WORLD], claims=[Claim("judge", 0.9)]))
    with pytest.raises(InputError, match="age, gender, judge"):
        audit(Material([WORLD], claims=[Claim("shoes", 0.9)]))


def test_claims_from_a_file(tmp_path: Path) -> None:
    file = tmp_path / "claims.csv"
    file.write_text("measure,accuracy,source,rows\ngender,0.7,a,300\nage,.5,,\n")
    assert read_claims(file) == [Claim("gender", 0.7, "a", 300), Claim("age", 0.5)]
    for content, said in (
        ("what,accuracy\n", "columns measure, accuracy"),
        ("measure,accuracy\ngender,7\n", "line 2: an accuracy is a number from 0 to 1"),
        ("measure,accuracy\ngender,high\n", "line 2"),
        ("measure,accuracy,rows\ngender,nan,3\n", "line 2"),
    ):
        file.write_text(content)
        with pytest.raises(InputError, match=said):
            read_claims(file)
    with pytest.raises(InputError, match="accuracies are a file"):
        read_claims(tmp_path / "none")
