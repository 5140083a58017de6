"""Evidence, verified explanations and faithfulness, as a user asks for them."""

from __future__ import annotations

import json
from pathlib import Path

import polars as pl
import pytest
from tests.conftest import Call

from llmxrec.evidence.causes import EVIDENCE
from llmxrec.explain import read_explanations
from llmxrec.ledger import Ledger, read_ledger
from llmxrec.workspace import Workspace


@pytest.fixture
def demo(call: Call, tmp_path: Path) -> Path:
    place = tmp_path / "demo"
    assert call("init", str(place), "--dataset", "demo").code == 0
    assert call("recommend", str(place), "--recommender", "ease").code == 0
    return place


def flips(place: Path, generator: str, removed: str) -> float:
    table = pl.read_csv(place / "tables/faithfulness.csv")
    chosen = table.filter(generator=generator, removed=removed, measure="flip")
    assert chosen.height == 1
    return float(chosen["value"][0])


def test_from_evidence_to_faithful_texts(call: Call, demo: Path) -> None:
    evidence = pl.read_parquet(Workspace(demo).evidence("ease"))
    assert dict(evidence.schema) == EVIDENCE and evidence.height == 300 and not evidence["surrogate"].any()
    for template in ("default", "evidence"):
        asked = ("--generator", "template", "--template", template, "--name", template, "--verify")
        assert call("explain", str(demo), *asked).code == 0
    ended = call("faithfulness", str(demo))
    assert ended.code == 0 and "ease x evidence: 100.0%" in ended.out
    assert flips(demo, "evidence", "cited") >= 4 * flips(demo, "evidence", "random")
    assert flips(demo, "evidence", "cited") > 0.9 > 0.5 > flips(demo, "default", "cited")
    said = json.loads(call("faithfulness", str(demo), "--json").out)["generators"]
    assert set(said) == {"default", "evidence"} and said["evidence"]["coverage"]["rows"] == 300


def test_explanations_measure_the_evidence_that_they_tell(call: Call, demo: Path) -> None:
    file = Workspace(demo).evidence("ease")
    before = file.read_bytes()
    file.unlink()
    assert call("explain", str(demo), "--template", "evidence").code == 0
    assert file.read_bytes() == before
    again = call("evidence", str(demo), "--top", "2")
    assert again.code == 0 and "next: llmxrec explain" in again.out
    assert pl.read_parquet(Workspace(demo).evidence("ease")).height == 600
    assert call("explain", str(demo), "--template", "evidence", "--users", "5", "--top", "2").code == 0
    assert call("recommend", str(demo), "--recommender", "ease", "--evidence", "0").code == 0
    assert not Workspace(demo).evidence("ease").exists(), "what others rested on is no longer known"


def test_recommendations_made_elsewhere_are_measured_on_a_stand_in(call: Call, shop: Path, tmp_path: Path) -> None:
    place = tmp_path / "shop"
    tables = [f"--{name}={shop / file}" for name, file in
              (("interactions", "orders.csv"), ("items", "products.csv"), ("recommendations", "ours.csv"))]  # fmt: skip
    assert call("init", str(place), *tables).code == 0
    ended = call("evidence", str(place))
    assert ended.code == 0 and "stand-in" in ended.out
    assert pl.read_parquet(Workspace(place).evidence("external"))["surrogate"].all()
    assert call("explain", str(place), "--template", "evidence", "--generator", "template").code == 0
    ended = call("faithfulness", str(place))
    assert ended.code == 0 and "stand-in" in ended.out


def test_verified_explanations_tell_who_wrote_them(call: Call, demo: Path) -> None:
    assert call("explain", str(demo), "--verify", "--template", "evidence").code == 0
    place = Workspace(demo)
    table = read_explanations(place.explanations("ease", "embedded"), pl.read_parquet(place.recommendations("ease")))
    sent = table.filter(pl.col("status") == "ok")
    assert sent.height == 300 and set(sent["source"]) <= {"generator", "template"}
    mixed = call("explain", str(demo), "--template", "evidence")
    assert mixed.code == 2 and "verified" in mixed.out, "verified answers are not mixed with others"
    wrong = call("explain", str(demo), "--verify", "--otherwise", "guess", "--name", "other")
    assert wrong.code == 2 and "otherwise" in wrong.out
    unknown = call("explain", str(demo), "--verify", "--may-tell", "agee", "--name", "other")
    assert unknown.code == 2 and "did you mean 'age'" in unknown.out


def test_what_cannot_be_measured_is_nothing_in_json(call: Call, shop: Path, tmp_path: Path) -> None:
    place = tmp_path / "shop"
    tables = [f"--{name}={shop / file}" for name, file in (("interactions", "orders.csv"), ("items", "products.csv"))]
    assert call("init", str(place), *tables).code == 0
    assert call("recommend", str(place), "--recommender", "ease").code == 0
    said = pl.read_parquet(Workspace(place).recommendations("ease")).filter(rank=1)
    texts = tmp_path / "texts.csv"
    said.select("user_id", "item_id", text=pl.lit("It is good.")).write_csv(texts)
    assert call("import", str(place), str(texts), "--generator", "mine", "--recommender", "ease").code == 0
    found = json.loads(call("faithfulness", str(place), "--json").out)["generators"]["mine"]
    assert found["citing"]["value"] == 0 and found["removals"][0]["flip"]["value"] is None


def test_every_text_is_measured_or_counted_as_unread(call: Call, demo: Path) -> None:
    """Ten texts, five about second places, which nobody traced; one is refused, and one is about nothing there is."""
    place = Workspace(demo)
    assert call("explain", str(demo), "--generator", "template", "--users", "5", "--top", "2").code == 0
    with Ledger(place.explanations("ease", "template")) as ledger:
        first = next(read_ledger(ledger.file))
        ledger.append({**first, "text": "", "status": "refused"})
        ledger.append({**first, "item_id": "gone"})
    assert pl.read_parquet(place.evidence("ease"))["rank"].unique().to_list() == [1]
    ended = call("faithfulness", str(demo))
    assert ended.code == 0 and "of 4 texts cite" in ended.out and "rests on; 6 unread" in ended.out
    assert set(pl.read_csv(place.table("faithfulness"))["unread"]) == {6}


def test_what_was_measured_goes_with_what_was_recommended(call: Call, demo: Path) -> None:
    place = Workspace(demo)
    for words in (("explain", "--generator", "template", "--users", "5"), ("faithfulness",), ("report",)):
        assert call(words[0], str(demo), *words[1:]).code == 0
    assert 'id="faithfulness"' in place.report.read_text()
    for words in (("recommend", "--recommender", "ease", "--full"), ("report",)):
        assert call(words[0], str(demo), *words[1:]).code == 0
    text = place.report.read_text()
    assert 'id="faithfulness"' not in text and 'id="browse"' not in text and "5 ok" not in text
    assert "Not shown: template.jsonl holds answers made with hold\\_out = True" in place.summary.read_text()
    ended = call("faithfulness", str(demo))
    assert ended.code == 2 and "there are no explanations yet" in ended.out


def test_nothing_explained_is_nothing_to_measure(call: Call, demo: Path) -> None:
    ended = call("faithfulness", str(demo))
    assert ended.code == 2 and "llmxrec explain" in ended.out


def test_faithfulness_is_compared_between_groups_and_pairs(call: Call, demo: Path) -> None:
    assert call("explain", str(demo), "--generator", "template", "--template", "evidence").code == 0
    ended = call("fairness", str(demo), "--generator", "template", "--attribute", "gender", "--flip")
    assert ended.code == 0 and "flip by gender" in ended.out
    table = pl.read_csv(demo / "tables/fairness.csv").filter(measure="flip")
    groups, pairs = (table.filter(how=how) for how in ("groups", "flipped"))
    assert groups.height == 3 and (groups["mean"] > 0.9).all(), "fixed sentences cite the cause of everybody's"
    assert pairs["difference"].to_list() == [0.0], "and say the same whoever it is"
