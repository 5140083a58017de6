"""Anyone's text to words and slots, and what may not come through."""

from __future__ import annotations

import csv
import random
import sys
from pathlib import Path

import pytest
from tests.worlds import BAMBI, FARGO, HEAT, MOVIES, SUSPECTS

from llmxrec.generators.embedded import slots
from llmxrec.generators.embedded.delexicalise import Delexicalised, delexicalise, refers
from llmxrec.generators.embedded.generator import EmbeddedGenerator
from llmxrec.generators.embedded.realise import realise, sentences
from llmxrec.prompts.released import parse_released
from llmxrec.records import Instruction, Item, Prompt, User

ANNA = User("anna", {"occupation": "engineer"})


def taken(text: str, *history: Item) -> Delexicalised:
    return delexicalise(text, Instruction("explain", ANNA, history or (HEAT, FARGO, BAMBI), SUSPECTS), MOVIES)


def test_titles_labels_and_nouns_become_slots() -> None:
    found = taken('Since you watched "Heat" and "Fargo," try "Usual Suspects, The", another crime movie.')
    assert " ".join(found.tokens) == ("since you {verb_past} {h1} and {h2} , try {cand} , another {A} {item} .")
    assert found.plan.cited == (HEAT, FARGO) and found.plan.labels == ("Crime",) and not found.dropped
    assert realise(found.tokens, found.plan) == (
        'Since you watched "Heat" and "Fargo", try "The Usual Suspects", another crime film.'
    )


@pytest.mark.parametrize(
    ("sentence", "wrong"),
    [
        ('It is like "Casablanca".', "a title that was not shown"),
        ("It stars the great Humphrey Bogart.", "what the world knows"),
        ("You will love what Bogart does here.", "a name"),
        ("It came out in 1995.", "a number"),
        ("As an engineer you will like it.", "the person's profile"),
        ("It is a drama.", "a label that is not shared"),
        ('Unlike "Heat", this crime film.', "a relation that the plan does not hold"),
        ("It is the kind you usually pick.", "a relation that the plan does not hold"),
        ("It is critically acclaimed.", "what the world knows"),
        ('It is a thriller, like "Heat".', "a label that is not shared"),
        ('"Fargo" is the last film you watched.', "a claim of number or order"),
        ('"Fargo" was your latest.', "a claim of number or order"),
        ('You watched "Fargo" recently.', "a claim of number or order"),
        ("That is the only crime film in your history.", "a claim of number or order"),
        ('"Fargo" is from the same year.', "a claim of number or order"),
        ("It is free.", "a claim of number or order"),
        ("Thriller are its own.", "a claim of number or order"),
        ("A song it does not have.", "no end"),
    ],
)
def test_a_sentence_that_says_more_is_left_out_and_counted(sentence: str, wrong: str) -> None:
    found = taken(f'Like "Heat", "The Usual Suspects" is a crime film. {sentence} Enjoy it!')
    assert found.dropped == {wrong: 1}
    assert " ".join(found.tokens) == "like {h1} , {cand} is a {A} {item} . enjoy it !"


@pytest.mark.parametrize(
    ("sentence", "kept"),
    [
        ('You know this from "Fargo", "Casablanca" and "Heat".', "you know this from {h1} and {h2} ."),
        ('You may like it, as you did "Fargo", a masterpiece.', "you may like it , as you did {h1} ."),
        ("You may like it, as an engineer, for what Bogart does.", "you may like it ."),
        ("As an engineer, you may like it.", "you may like it ."),
        ('Like "Heat", it is drama, crime and action.', "like {h1} , it is {A} ."),
        ('Unlike "Heat", it is a crime film.', "it is a {A} {item} ."),
    ],
)
def test_what_a_sentence_can_do_without_is_taken_out(sentence: str, kept: str) -> None:
    found = taken(f"You know that crime pays. {sentence}")
    *_, last = sentences(found.tokens)
    assert " ".join(last) == kept and not found.dropped


def test_what_counts_and_orders_stays_where_it_is_true_of_every_such_plan() -> None:
    """As the shipped model's own sentences have it: "the last {total} items", "all three are {A} items"."""
    text = 'You watched "Heat" and "Fargo", and "The Usual Suspects" rounds off the set: all three are crime films. '
    text += "Three of your last five films were crime films."
    found = taken(text, BAMBI, HEAT, Item("up", "Up"), FARGO, Item("scarface", "Scarface", {"genres": ("Crime",)}))
    assert not found.dropped and " ".join(found.tokens).endswith(
        "all three are {A} {items} . {nA} of your last {total} {items} were {A} {items} ."
    )


@pytest.mark.parametrize(
    ("sentence", "needs"),
    [
        ("and so is {cand} .", True),
        ("{cand} is one .", True),
        ("{cand} has it .", True),
        ("this is not .", True),
        ("this {item} is a {D} {item} .", False),
        ("it is a {D} {item} besides .", False),
        ("we hope you enjoy it !", False),
    ],
)
def test_what_points_to_the_sentence_before_is_kept_behind_it_alone(sentence: str, needs: bool) -> None:
    assert refers(sentence.split()) is needs


def test_what_points_to_a_sentence_that_is_left_out_is_left_out() -> None:
    whole = taken('You watched "Heat". "The Usual Suspects" is a crime film. And so is "Fargo".')
    assert " ".join(whole.tokens).endswith("and so is {h2} .") and not whole.dropped
    found = taken('You watched "Heat". "The Usual Suspects" came out in 1995. And so is "Fargo". Enjoy it!')
    assert " ".join(found.tokens) == "you {verb_past} {r} . enjoy it !"
    assert found.dropped == {"a number": 1, "what was said in a sentence that is left out": 1}


def test_words_that_are_not_known_are_taken_out_too() -> None:
    asked = Instruction("explain", ANNA, (HEAT, FARGO, BAMBI), SUSPECTS)
    text = 'Like "Heat", "The Usual Suspects" is a crime film. You may like it, forsooth. Forsooth!'
    found = delexicalise(text, asked, MOVIES, knows=lambda word: word != "forsooth")
    assert " ".join(found.tokens) == "like {h1} , {cand} is a {A} {item} . you may like it ."
    assert found.dropped == {"a word that is not known": 1}


def test_nothing_of_the_text_but_its_slots_is_of_the_item() -> None:
    found = taken('"The Usual Suspects" is like "Heat" in being about crime.')
    assert not {"usual", "suspects", "heat", "crime"} & {*found.tokens}


def test_what_we_write_comes_back() -> None:
    """Texts of the model itself, for plans as they come: all facts are found again, and the text is the same."""
    draw = random.Random(3)
    genres = ["Crime", "Drama", "Horror", "Western", "Romance", "Mystery"]
    films = [Item(str(n), f"Saga {n} of Elm", {"genres": tuple(draw.sample(genres, 2))}) for n in range(40)]
    prompts = [
        Prompt(str(n), Instruction("explain", ANNA, tuple(draw.sample(films[:-1], 9)), films[-1]), MOVIES, (), seed=n)
        for n in range(120)
    ]
    by_key = {prompt.key: prompt for prompt in prompts}
    whole = same = 0
    for answer in EmbeddedGenerator().generate(prompts):
        found = delexicalise(answer.text, by_key[answer.key].instruction, MOVIES)
        assert all(mention.item is not None for mention in found.titles)
        whole += not found.dropped
        same += realise(found.tokens, found.plan) == answer.text
    assert whole >= 96 and same >= 96, (whole, same)


def test_the_released_texts(real_release: Path) -> None:
    """Of GPT-4's texts for ML-100k, those whose candidate and cited titles all become slots: .98."""
    csv.field_size_limit(sys.maxsize)
    rows = good = 0
    file = real_release / "src/gen_exp_4_model/results/BPR-MF/GPT4/ml-100k/results.csv"
    with file.open(encoding="utf-8", newline="") as opened:
        for row in csv.DictReader(opened):
            instruction, domain = parse_released(row["instruction"])
            found = delexicalise(row["response"], instruction, domain)
            named = {mention.item.title if mention.item else None for mention in found.titles}
            rows, good = rows + 1, good + (instruction.candidate.title in named and None not in named)
            used = {token for token in found.tokens if token in slots.SLOTS} - {*slots.DOMAIN}
            assert used <= {*slots.uses(found.plan)}
    assert rows == 943 and good / rows >= 0.95
