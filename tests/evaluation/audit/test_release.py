"""Every fault that is known of the paper's release, found in the files that have it.

Of the files that are not there, the same fault is planted in those that are.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest
from tests.evaluation.audit.worlds import FOLDERS, by_check, released, released_verdicts

from llmxrec.evaluation.audit import audit
from llmxrec.evaluation.audit.answers import Elsewhere, other_prompts, read_texts
from llmxrec.evaluation.audit.constants import claim_findings
from llmxrec.evaluation.audit.findings import Finding
from llmxrec.evaluation.audit.material import Claim, Material
from llmxrec.evaluation.audit.tuning import read_tuned
from llmxrec.evaluation.audit.verdicts import verdict_findings
from llmxrec.evaluation.material import Answers, Part
from llmxrec.evaluation.pairs import read_pairs
from llmxrec.evaluation.verdicts import VERDICTS
from llmxrec.evidence.naming import Catalogue


def only(part: Part, generator: str) -> Part:
    return replace(part, answers=[file for file in part.answers if file.generator == generator])


def file_of(part: Part, generator: str) -> Answers:
    return only(part, generator).answers[0]


def with_texts(part: Part, generator: str, texts: Sequence[str]) -> Part:
    """`part` with one file, in whose rows these texts stand; rows without one are left out."""
    file = file_of(part, generator)
    rows = [replace(row, text=text) for row, text in zip(file.rows, texts, strict=False)]
    return replace(part, answers=[replace(file, rows=rows)])


def texts_of(part: Part, generator: str) -> list[str]:
    return [row.text for row in file_of(part, generator).rows]


def found_in(*parts: Part) -> dict[str, Finding]:
    return by_check(audit(Material(parts)))


def test_answers_of_news_in_a_file_of_films(real_release: Path) -> None:
    films, news = released(real_release, "ml-100k"), released(real_release, "mind")
    mixed = with_texts(films, "GPT3.5", texts_of(news, "GPT3.5"))
    found = found_in(mixed, replace(news, answers=[]))
    other = found["other prompts"]
    assert other.severity == "critical" and other.figure.startswith("0 of 943 answers name their candidate")
    assert other.count > 400 and "most often a candidate of mind" in other.figure
    assert found["other domain"].severity == "critical" and found["other domain"].count > 700


@pytest.mark.parametrize("name", FOLDERS)
def test_rows_that_slipped(real_release: Path, name: str) -> None:
    part = released(real_release, name)
    catalogue, elsewhere = Catalogue(part.items), Elsewhere([part])
    for file in part.answers:
        texts = texts_of(part, file.generator)
        slipped = with_texts(part, file.generator, [*texts[1:], texts[0]])
        read = read_texts(slipped.answers[0], part.questions["BPR-MF"], catalogue)
        found = other_prompts(slipped, slipped.answers[0], read, elsewhere)
        assert found is not None and found.severity == "critical", f"{file.generator}: {found and found.figure}"
        # Headlines are told in other words, and most users of steam get one of a few games, as the row before does.
        assert found.count > {"ml-100k": 0.4, "mind": 0.3, "steam": 0.3}[name] * found.rows, found.figure


def test_answers_to_the_prompts_of_another_recommender(real_release: Path) -> None:
    """Half of the rows as another recommender's table: each user gets what the user before them got."""
    part = released(real_release, "ml-100k")
    mine = part.questions["BPR-MF"]
    rows = list(mine)
    moved = {(user, rows[place - 1][1]): mine[rows[place - 1]] for place, (user, _) in enumerate(rows)}
    texts = texts_of(part, "LLaMA2")
    mixed = with_texts(part, "LLaMA2", [texts[-1], *texts[:-1]])
    both = replace(
        mixed,
        questions={"LightGCN": mine, "SASRec": moved},
        recommended={"LightGCN": dict.fromkeys(mine, 1), "SASRec": dict.fromkeys(moved, 1)},
        answers=[replace(mixed.answers[0], recommender="LightGCN")],
    )
    found = found_in(both)["other prompts"]
    assert found.severity == "critical" and "a candidate of SASRec, for the same user" in found.figure
    # The file can say of itself that it answers other prompts: then the rows are not those of the recommender.
    owned = [
        replace(row, user_id=user, item_id=item)
        for row, (user, item) in zip(both.answers[0].rows, moved, strict=True)
    ]  # fmt: skip
    stray = found_in(replace(both, answers=[replace(both.answers[0], rows=owned)]))["stray"]
    assert stray.severity == "critical" and "are what SASRec recommends to that user" in stray.figure


def test_candidates_that_are_in_the_history(real_release: Path) -> None:
    found = {name: found_in(only(released(real_release, name), "GPT4")).get("seen") for name in FOLDERS}
    news = found["mind"]
    assert news is not None and news.severity == "critical" and 0.28 <= news.count / news.rows <= 0.35
    assert all(one is None or one.severity == "note" for name, one in found.items() if name != "mind")


def test_one_game_for_nearly_everybody(real_release: Path) -> None:
    part = only(released(real_release, "steam"), "GPT4")
    rows = list(part.questions["BPR-MF"])
    table = {"SASRec": {(user, rows[0][1] if place else "another"): 1 for place, (user, _) in enumerate(rows)}}
    found = by_check(audit(Material([replace(part, questions={}, recommended=table, answers=[])])))["collapse"]
    assert found.severity == "critical" and "the commonest to 999 of 1,000" in found.figure
    assert found_in(part)["collapse"].severity == "critical", "BPR-MF, too, gives one game to most"
    assert found_in(only(released(real_release, "mind"), "GPT4"))["collapse"].severity == "note"


def test_places_decide(real_release: Path) -> None:
    won = rows = 0
    for name in FOLDERS:
        part = released(real_release, name)
        found = by_check(verdict_findings(part, "BPR-MF", "released", released_verdicts(real_release, name)))
        assert all(found[check].severity == "critical" for check in ("place", "one side", "always second"))
        assert "no pair was shown in both orders" in found["place"].figure
        assert "LLaMA2-SFT second in" in found["one side"].figure and "LLaMA2 first in" in found["one side"].figure
        won, rows = won + found["place"].count, rows + found["place"].rows
        if name == "mind":
            for reported in ("0.061 (0.000)", "0.189 (0.250)", "0.501 (0.500)", "0.756 (0.750)", "0.993 (1.000)"):
                assert reported in found["always second"].figure
    assert rows == 29430 and won / rows == pytest.approx(0.92, abs=0.005)


def test_unreadable_verdicts(real_release: Path) -> None:
    part = released(real_release, "mind")
    table = released_verdicts(real_release, "mind").to_dicts()
    for row, said in zip(table[::1000], ("12", "111111111111", ""), strict=False):
        row.update(winner=None, status="invalid", raw=said)
    found = by_check(verdict_findings(part, "BPR-MF", "released", pl.DataFrame(table, schema=VERDICTS)))["unreadable"]
    assert found.count == 3 and found.severity == "note" and "answered '12'" in found.examples[0][1]


def test_labels_and_tuning_rows(real_release: Path) -> None:
    tuning = real_release / "src/SFT/data"
    pairs, tuned = read_pairs(tuning / "disc_data/train.json"), read_tuned(tuning / "exp_data/train.json")
    parts = [replace(released(real_release, name), answers=[]) for name in FOLDERS]
    found = by_check(audit(Material(parts, tuned, pairs, [Claim("judge", 0.892, "the paper", 360)])))
    assert found["label skew"].severity == "critical" and "1,190 of 1,440 (82.6 %)" in found["label skew"].figure
    assert found["no text"].count / found["no text"].rows > 0.9
    assert found["constant"].severity in ("critical", "warning"), "reading no text does better than the paper's judge"
    assert found["one side"].severity == "critical"
    assert found["tuned on"].severity == "critical" and found["tuned on"].count == 240
    assert found["taught"].severity == "critical" and "240 of 240" in found["taught"].figure


def test_targets_that_a_compared_generator_said(real_release: Path) -> None:
    """The release's targets are those of GPT-4 to prompts whose answers are not there; here, to prompts that are."""
    tuned = read_tuned(real_release / "src/SFT/data/exp_data/train.json")
    part = released(real_release, "steam")
    planted = [replace(row, target=text) for row, text in zip(tuned, texts_of(part, "GPT4"), strict=False)]
    found = by_check(audit(Material([part], planted)))["imitated"]
    assert found.severity == "critical" and found.count == 240 and "answers of GPT4" in found.figure


def test_constants_against_table_3(real_release: Path, real_data: Path) -> None:
    with (real_data / "ml-100k/u.user").open() as lines:
        _, ages, genders, jobs, _ = zip(*(line.strip().split("|") for line in lines), strict=True)
    world = replace(released(real_release, "ml-100k"), truths={"age": ages, "gender": genders, "occupation": jobs})
    # Table 3 of the paper, BPR-MF: LLaMA, ChatGLM, LLMXRec.
    table = {"occupation": (0.024, 0.064, 0.127), "age": (0.313, 0.375, 0.386), "gender": (0.743, 0.784, 0.745)}
    claims = [Claim(measure, accuracy) for measure, cells in table.items() for accuracy in cells]
    found = list(claim_findings(claims, [world], []))
    assert [f.severity for f in found if f.title.startswith("occupation")] == ["critical"] * 3
    assert [f.severity for f in found if f.title.startswith("age")] == ["critical", "warning", "warning"]
    assert all("always 'student' 0.208" in f.figure for f in found if f.title.startswith("occupation"))
    assert all("always '25 ± 5' 0.393" in f.figure for f in found if f.title.startswith("age"))
