"""Files of labelled pairs, read; and who wrote the texts, told from a release."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmxrec.datasets.domains import load_domain
from llmxrec.errors import InputError
from llmxrec.evaluation.pairs import ReleasedTexts, _parsed, group_of, groups_of, read_named_pairs, read_pairs, seen_in
from llmxrec.prompts.template import load_template
from llmxrec.records import Case, Domain, Instruction, Item, Pair, User

PROMPT = """The history games played by the customer are:
1: Tower of Tea
The tags of the game are [Indie].

As a recommender, say something.
Give reasons why the customer needs to play this game with the following title and tags:
A Tea Odyssey.
The tags of the game are [Strategy].

Use ONLY what is above."""

OURS = {"instruction": "Why Fargo?", "explanation_1": "Because.", "explanation_2": "You like crime.", "label": 2}


def theirs(first: str, second: str, output: Any, prompt: str = PROMPT) -> dict[str, Any]:
    line = "-" * 20
    head = f"{line}Instruction{line}\n{prompt}\n\n\n{line}Explanation 1{line}\n{first}\n"
    return {"instruction": f"{head}{line}Explanation 2{line}\n{second}\n{line}\n", "input": "", "output": output}


def written(file: Path, *rows: Any) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("\n".join(json.dumps(row) for row in rows) + "\n", encoding="utf-8")
    return file


def test_the_authors_rows(tmp_path: Path) -> None:
    file = written(tmp_path / "train.json", theirs("One.\n\nTwo lines.", "", "1"), theirs("One.", "Other.", 2, "Why?"))
    first, second = read_pairs(file)
    assert first.case.texts == ("One.\n\nTwo lines.", "")
    assert (first.winner, second.winner) == ("first", "second")
    assert first.case.asked == PROMPT and first.generators == ("", "")
    assert first.case.instruction is not None and first.case.domain is not None
    assert (first.case.instruction.candidate.title, first.case.domain.name) == ("A Tea Odyssey", "games")
    assert second.case.instruction is None
    assert first.group != second.group


def test_our_rows_and_an_array_of_both(tmp_path: Path) -> None:
    named = {**OURS, "label": "tie", "generator_1": "a", "generator_2": "b", "group": "g"}
    lines = read_pairs(written(tmp_path / "pairs.jsonl", OURS, named))
    assert [(p.winner, p.generators, p.group) for p in lines] == [
        ("second", ("", ""), group_of("Why Fargo?")),
        ("tie", ("a", "b"), "g"),
    ]
    array = tmp_path / "pairs.json"
    array.write_text(json.dumps([OURS, theirs("One.", "Other.", "2")], indent=1))
    assert [pair.case.asked for pair in read_pairs(array)] == ["Why Fargo?", PROMPT]
    assert [pair.case.key for pair in read_pairs(array)] == ["0", "1"]


FARGO = Item("f", "Fargo", {"genres": ("Crime", "Comedy"), "year": ("1996",)})
HEAT = Item("h", 'He said "Heat"', {"genres": ("Crime",)})
BOOKS = Domain("b", "book", "book", "books", "read", "read", {"shelf": "shelf"}, {"town": "town"})


@pytest.mark.parametrize("name", ["movies", "news", "games", "items"])
def test_our_words_are_read_back_in_the_domain_that_they_speak_of(tmp_path: Path, name: str) -> None:
    domain = load_domain(name)
    column, what = next(iter([*domain.item_attributes, "shelf"])), {"age": "30"} if domain.user_attributes else {}
    seen, new = (replace(item, item_id="", attributes={column: ("Crime", "A; b")}) for item in (FARGO, HEAT))
    domain = replace(domain, item_attributes={column: "shelf"}) if not domain.item_attributes else domain
    asked = Instruction("explain", User("", what), (seen, new), seen)
    words = {**OURS, "instruction": load_template("paper").words(asked, domain)}
    plain, told = read_pairs(written(tmp_path / "pairs.jsonl", words, {**words, "domain": asdict(domain)}))
    assert (told.case.instruction, told.case.domain) == (asked, domain)
    if name != "items":  # what it calls the attributes is each shop's own
        assert (plain.case.instruction, plain.case.domain) == (asked, domain)


def test_words_of_a_domain_of_ones_own_are_read_where_the_row_tells_it(tmp_path: Path) -> None:
    seen = Item("", "Emma", {"shelf": ("novels",)})
    asked = Instruction("explain", User("", {"town": "Ulm"}), (seen,), replace(seen, title="Persuasion"))
    row = {**OURS, "instruction": load_template("paper").words(asked, BOOKS)}
    rows = [row, {**row, "domain": asdict(BOOKS)}, {**row, "domain": "movies"}, {**OURS, "domain": asdict(BOOKS)}]
    pairs = read_pairs(written(tmp_path / "pairs.jsonl", *rows))
    found = [(pair.case.instruction, pair.case.domain) for pair in pairs]
    assert found == [(None, None), (asked, BOOKS), (None, None), (None, None)]
    assert len({pair.group for pair in pairs[:3]}) == 1, "what the row tells besides is no part of the words"


@given(st.text() | st.lists(st.text(st.characters(codec="utf-8"), max_size=9), max_size=4).map("\n\n".join))
def test_any_words_are_read_or_not(text: str) -> None:
    """Even where they pretend to be a prompt of ours."""
    asked = Instruction("explain", User(""), (replace(FARGO, title="MARK"),), HEAT)
    ours = load_template("paper").words(asked, load_domain("movies"))
    for words in (text, ours.replace("MARK", text), ours.replace('1. "MARK', text), ours + text):
        instruction, domain = _parsed(words)
        assert (instruction is None) == (domain is None)


def test_a_prompt_that_is_none_is_words_only() -> None:
    ours = load_template("paper").words(Instruction("explain", User(""), (FARGO,), HEAT), load_domain("movies"))
    assert _parsed(ours)[0] is not None
    for wrong in (ours.replace("1. ", "9" * 5000 + ". "), ours.replace("Fargo", "Far\x01go"), ours.replace("1.", "")):
        assert _parsed(wrong) == (None, None)


@pytest.mark.parametrize(
    ("row", "rule"),
    [
        ({**OURS, "label": 3}, "'label' is 1, 2 or tie; found 3"),
        ({**OURS, "label": True}, "'label' is 1, 2 or tie; found True"),
        ({key: OURS[key] for key in OURS if key != "label"}, "add 'label'"),
        ({**OURS, "explanation_1": 7}, "'explanation_1' is text; found 7"),
        (theirs("a", "b", "tie"), "'output' is 1 or 2; found 'tie'"),
        (theirs("a", "b", "12"), "'output' is 1 or 2; found '12'"),
        ({"instruction": "no headers", "output": "1"}, "headers of dashes"),
        ({"instruction": None, "output": "1"}, "headers of dashes"),
        (["a"], "a pair is a JSON object"),
        ({**OURS, "domain": "movie"}, "unknown domain 'movie'; did you mean 'movies'?"),
        ({**OURS, "domain": 7}, "unknown domain '7'"),
        ({**OURS, "domain": {"name": "b"}}, "a domain's 'field' is one line of words"),
    ],
)
def test_a_row_that_is_neither_is_an_error_with_its_line(tmp_path: Path, row: Any, rule: str) -> None:
    file = written(tmp_path / "pairs.jsonl", OURS, row)
    with pytest.raises(InputError) as error:
        read_pairs(file)
    assert rule in str(error.value)
    assert str(error.value).startswith(f"{file}, line 2: ")


@pytest.mark.parametrize("content", ["", "\n\n", "[]", '{"a": ', "[{]", "[" * 100_000, "nonsense"])
def test_a_file_of_something_else(tmp_path: Path, content: str) -> None:
    (tmp_path / "pairs.json").write_text(content)
    with pytest.raises(InputError, match=r"pairs\.json"):
        read_pairs(tmp_path / "pairs.json")


@given(st.lists(st.tuples(st.text(), st.text(), st.sampled_from([1, 2, "1", "2", "tie"])), min_size=1, max_size=5))
def test_any_texts_are_read_as_they_are(tmp_path_factory: pytest.TempPathFactory, rows: list[Any]) -> None:
    file = tmp_path_factory.mktemp("any") / "pairs.jsonl"
    written(file, *({**OURS, "explanation_1": a, "explanation_2": b, "label": label} for a, b, label in rows))
    pairs = read_pairs(file)
    assert [pair.case.texts for pair in pairs] == [(a, b) for a, b, _ in rows]
    assert [pair.winner for pair in pairs] == [{"1": "first", "2": "second", "tie": "tie"}[str(r[2])] for r in rows]


def test_the_group_is_that_of_the_words() -> None:
    assert group_of("Why  Fargo,\nnow?") == group_of("why Fargo now")
    assert group_of("Why Fargo?") != group_of("Why Heat?")
    assert group_of("a flight of 19 ½ hours") == group_of("a flight of 19 陆 hours")
    assert group_of("为什么") != group_of("哪一个")


STYLES = {
    "LLaMA2": "Based on your history , I recommend {} number {} because it aligns with your preferences",
    "GPT4": "Given your taste for {} , number {} could captivate you with its blend of ideas",
    "ChatGLM2": "The customer should try {} and number {} as it is a great choice overall",
}


def release(root: Path) -> Path:
    for generator, style in STYLES.items():
        folder = root / f"src/gen_exp_4_model/results/BPR-MF/{generator}/steam"
        folder.mkdir(parents=True)
        rows = [style.format("tea", number) for number in range(30)]
        pl.DataFrame({"instruction": rows, "response": rows}).write_csv(folder / "results.csv")
    return root


def test_who_wrote_a_text_is_told_from_the_release(tmp_path: Path) -> None:
    root = release(tmp_path / "repository")
    known, unknown = STYLES["LLaMA2"].format("tea", 3), STYLES["GPT4"].format("coffee", 99)
    rows = [theirs(known + " ", unknown, "2"), theirs("Hm.", "Ah.", "2", "Why?")]
    named = read_named_pairs(written(root / "src/SFT/data/disc_data/train.json", *rows))
    assert [pair.generators for pair in named.pairs] == [("LLaMA", "GPT-4"), ("", "")]
    assert (named.texts, named.found, named.by_style, named.agreement) == (4, 1, 1, 1.0)
    assert "50% have a known author (1 found in the release, 1 by style; style agrees on 100.0%" in str(named)
    alone = written(tmp_path / "elsewhere/test.json", *rows)
    assert read_pairs(alone)[0].generators == ("", "")
    assert read_pairs(alone, ReleasedTexts.near(root / "src/x.json"))[0].generators == ("LLaMA", "GPT-4")


def test_what_a_row_says_of_its_generators_stands(tmp_path: Path) -> None:
    root = release(tmp_path)
    said = {**OURS, "explanation_1": STYLES["LLaMA2"].format("tea", 3), "generator_1": "mine"}
    named = read_named_pairs(written(root / "pairs.jsonl", said))
    assert (named.pairs[0].generators[0], named.said, named.found) == ("mine", 1, 0)


def test_a_name_that_is_taken_is_not_given_twice(tmp_path: Path) -> None:
    root = release(tmp_path)
    llama, gpt = STYLES["LLaMA2"].format("coffee", 77), STYLES["GPT4"].format("coffee", 99)
    said = {**OURS, "explanation_1": llama, "explanation_2": gpt}
    assert read_pairs(written(root / "a.jsonl", said))[0].generators == ("LLaMA", "GPT-4")
    named = read_pairs(written(root / "b.jsonl", {**said, "generator_1": "GPT-4"}))
    assert named[0].generators == ("GPT-4", "")


def test_style_is_checked_on_texts_that_it_was_not_learned_from(tmp_path: Path) -> None:
    root = release(tmp_path)
    file = root / "src/gen_exp_4_model/results/BPR-MF/GPT4/steam/results.csv"
    odd = "Zig zag zog, zim zam zom, said nobody else"
    table = pl.read_csv(file)
    pl.concat([table, pl.DataFrame({"instruction": [odd], "response": [odd]})]).write_csv(file)
    row = {**OURS, "explanation_1": odd, "explanation_2": odd}
    named = read_named_pairs(written(root / "pairs.jsonl", row))
    assert (named.found, named.agreement) == (1, None)


def test_the_released_pairs(real_release: Path) -> None:
    file = real_release / "src/SFT/data/disc_data/train.json"
    named = read_named_pairs(file)
    assert (len(named.pairs), len({pair.group for pair in named.pairs}), named.texts) == (1440, 240, 960)
    assert all(pair.case.instruction for pair in named.pairs)
    assert (named.found, named.agreement) == (131, 1.0)
    # What style tells agrees with the order of the file: in each 80 rows the same two generators were compared.
    for start in range(0, 1440, 80):
        block = [pair.generators for pair in named.pairs[start : start + 80]]
        assert max(block.count(names) for names in set(block)) >= 78


@pytest.mark.parametrize(
    ("before", "now", "same"),
    [
        (("Why A?", ""), ("why A ?", ""), True),
        (("Why A?", ""), ("Why B?", ""), False),
        (("Why A?", "g1"), ("Why A?", "g1"), True),
        (("Why A?", "g1"), ("Why A?", "g2"), False),  # a file whose instructions all read alike
        (("Why A?", "g1"), ("Why B?", "g1"), False),  # two files that number their groups
        (("Why A?", "g1"), ("Why A?", ""), True),
        (("Why A?", ""), ("Why A?", "g1"), True),
    ],
)
def test_a_recommendation_is_known_again_in_another_file(
    before: tuple[str, str], now: tuple[str, str], same: bool
) -> None:
    def pair(asked: str, name: str) -> Pair:
        return Pair(Case("k", asked, ("x", "y")), "first", name or group_of(asked))

    known = groups_of([pair(*before), pair("Why else?", "")])
    assert seen_in(known, [pair(*now), pair("Why not?", "")]) == ({pair(*now).group} if same else set())
