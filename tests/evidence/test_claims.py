"""What texts assert: every title, value and fact of the person, and whom it is true of."""

from __future__ import annotations

import json
import re
import time
from dataclasses import dataclass, replace
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

import pytest
from benchmarks.claims import claims_of, compare, labelled, read_world
from hypothesis import given
from hypothesis import strategies as st
from tests.worlds import MOVIES, hostile, instructions
from training.annotations.questions import catalogue

from llmxrec.datasets.domains import load_domain
from llmxrec.evidence.claims import Claim, ClaimReader
from llmxrec.evidence.spelling import title_key, words_of
from llmxrec.records import Domain, Instruction, Item, User
from llmxrec.replay import read_release

LABELS = Path(__file__).with_name("claims.jsonl")


def film(title: str, *genres: str, year: str = "1995") -> Item:
    return Item(title, title, {"genres": genres, "year": (year,)})


HEAT = film("Heat", "Action", "Crime")
FARGO = film("Fargo", "Crime", "Drama", year="1996")
SUSPECTS = film("Usual Suspects, The", "Crime", "Thriller")
TERMINATOR = film("Terminator 2: Judgment Day", "Action", "Sci-Fi", year="1991")
SEVEN = film("Seven (Se7en)", "Crime")
CUCKOO = film("One Flew Over the Cuckoo's Nest", "Drama", year="1975")
THEFT = film("Grand Theft Auto V", "Action")
EMPIRE = film("Star Wars: Episode V - The Empire Strikes Back", "Sci-Fi", "War", year="1980")
STORY = film("Toy Story 2", "Animation", "Children's", year="1999")
SHOWN = (FARGO, SUSPECTS, TERMINATOR, SEVEN, CUCKOO, THEFT, EMPIRE, STORY)
KING = film("Lion King, The", "Animation", "Musical", year="1994")
ALIEN = film("Alien", "Horror", "Sci-Fi", year="1979")
TOY = film("Toy Story", "Animation", "Comedy")
IT = film("It", "Horror", "Film-Noir")
OTHERS = (KING, ALIEN, TOY, IT, film("Sabrina", "Comedy", "Romance", "Western", "Mystery"))
ANNA = User("anna", {"age": "34", "gender": "female", "occupation": "engineer"})
PEOPLE = {"age": {"34", "20"}, "gender": {"male", "female"}, "occupation": {"engineer", "writer", "other"}}
ASKED = Instruction("explain", ANNA, SHOWN, HEAT)
READER = ClaimReader([HEAT, *SHOWN, *OTHERS], MOVIES, PEOPLE)


def read(text: str, kind: str, reader: ClaimReader = READER, asked: Instruction = ASKED) -> list[Claim]:
    return [claim for claim in reader.read(text, asked) if claim.kind == kind]


def titles(text: str) -> list[str | None]:
    """What is named; what is not shown in brackets."""
    return [claim.value if claim.about else f"({claim.value})" for claim in read(text, "title")]


@pytest.mark.parametrize(
    ("text", "item"),
    [
        ("You liked The Usual Suspects.", SUSPECTS),
        ('You liked "Usual Suspects, The".', SUSPECTS),
        ("You liked the Usual Suspects a lot.", SUSPECTS),
        ('It is like "The Usual Suspects (1995)," too.', SUSPECTS),
        ("It is like “Usual Suspect”.", SUSPECTS),
        ("It is like The Usual Supsects.", SUSPECTS),
        ("It has the suspense of Terminator 2.", TERMINATOR),
        ("It has the suspense of Terminator II: Judgement Day.", TERMINATOR),
        ("Judgment Day was one of yours.", TERMINATOR),
        ("Fargo's humour is here, too.", FARGO),
        ("FARGO is near.", FARGO),
        ("It is as dark as Se7en.", SEVEN),
        ("one flew over the cuckoo's nest, and you saw it", CUCKOO),
        ("You played GTA V for long.", THEFT),
        ("It continues The Empire Strikes Back.", EMPIRE),
        ("* Toy Story 2\n* more", STORY),
        ("**Toy Story 2** is one of yours", STORY),
    ],
)
def test_titles_however_they_are_spelled(text: str, item: Item) -> None:
    (claim,) = read(text, "title")
    assert (claim.value, claim.about, claim.items) == (item.title, "history", (item.item_id,))
    assert text[claim.start : claim.end].strip("\"“”*,'") and claim.column == ""


@pytest.mark.parametrize(
    "text",
    [
        "What a heat wave. Heat waves are hot.",
        "It is of one Michael Heat, and of Heat Wave.",
        "You know Terminator 3 and Toy Story 3.",
        "The Star Wars films are many.",
        "usual suspects are arrested",
        "See grand theft in it.",
        "",
    ],
)
def test_what_is_no_title_shown(text: str) -> None:
    assert not any(claim.about for claim in read(text, "title"))


def test_titles_that_were_not_shown() -> None:
    assert titles("It is like The Lion King, or like Alien.") == ["(Lion King, The)", "(Alien)"]
    assert titles('Think of "Pulp Fiction" and "Heat".') == ["(Pulp Fiction)", "Heat"]
    assert titles("Think of Disney's film of The Little Mermaid.") == ["(The Little Mermaid)"]
    assert titles("It is grim.\nFans of it say: show me the money") == []
    assert titles('"Toy Story" came before "Toy Story 3".') == ["(Toy Story 3)"], "the first may be short for what was"
    assert titles('"The Crying Heat", "Heat 2" and "Aliens"') == ["(The Crying Heat)", "(Heat 2)", "(Aliens)"]


def test_a_title_twice_in_the_history_is_both() -> None:
    again = replace(FARGO, item_id="again")
    (claim,) = read("Like Fargo.", "title", asked=replace(ASKED, history=(FARGO, again)))
    assert claim.items == ("Fargo", "again")


def test_a_headline_told_in_its_words() -> None:
    news = Item(
        "n", "Police investigate mayor's son after late-night crash on Main Street bridge", {"category": ("news",)}
    )
    reader = ClaimReader([news], load_domain("news"))
    asked = Instruction("explain", User("u"), (), news)
    told = "You may like the news about the mayor's son, whom police investigate after a crash on the bridge."
    assert [claim.about for claim in read(told, "title", reader, asked)] == ["candidate"]
    loose = "Police are in it. So is a mayor. There is a crash. It is late at night, on a street."
    assert read(loose, "title", reader, asked) == []


@pytest.mark.parametrize(
    ("text", "column", "value", "about"),
    [
        ("It is a crime film.", "genres", "Crime", "candidate"),
        ("You like dramas.", "genres", "Drama", "history"),
        ("It is dramatic.", "genres", "Drama", "history"),
        ("It is a science-fiction film.", "genres", "Sci-Fi", "history"),
        ("It is sci fi.", "genres", "Sci-Fi", "history"),
        ("An action-packed film", "genres", "Action", "candidate"),
        ("It is animated.", "genres", "Animation", "history"),
        ("A war film", "genres", "War", "history"),
        ("It is a romantic film.", "genres", "Romance", None),
        ("Comedies are fun.", "genres", "Comedy", None),
        ("a comedic scene", "genres", "Comedy", None),
        ("for lovers of mysteries", "genres", "Mystery", None),
        ("It is a film noir.", "genres", "Film-Noir", None),
        ("the Children's genre", "genres", "Children's", "history"),
        ("It is of 1995.", "year", "1995", "candidate"),
        ("It is of 1991.", "year", "1991", "history"),
        ("It is of 1939.", "year", "1939", None),
    ],
)
def test_attributes_in_the_words_of_prose(text: str, column: str, value: str, about: str | None) -> None:
    (claim,) = read(text, "attribute")
    assert (claim.column, claim.value, claim.about) == (column, value, about)
    having = [item for item in (HEAT, *SHOWN) if value in item.attributes[column]]
    wanted = [HEAT] if about == "candidate" else having
    assert claim.items == tuple(item.item_id for item in wanted if about)


@pytest.mark.parametrize(
    "text",
    [
        "You have to take action.",
        "It is about the war between them, the Cold War, and World War II.",
        "They solve a crime.",
        "Western culture, in thrilling scenes",
        "It is made for children.",
        "It costs $1995 and has 2000 players.",
        "It is like Crime Story and Action Jackson.",
    ],
)
def test_words_in_another_sense(text: str) -> None:
    assert read(text, "attribute") == []


def test_what_is_part_of_a_title_is_no_attribute() -> None:
    war = film("War of the Worlds", "Sci-Fi")
    reader = ClaimReader([war, EMPIRE], MOVIES)
    asked = Instruction("explain", User("u"), (EMPIRE,), war)
    assert read("See War of the Worlds, and Star Wars: Episode V too.", "attribute", reader, asked) == []


def test_codes_of_news_are_told_in_words() -> None:
    def article(name: str, category: str, subcategory: str) -> Item:
        return Item(name, name, {"category": (category,), "subcategory": (subcategory,)})

    shown = (
        article("a", "sports", "football_nfl"),
        article("b", "news", "newspolitics"),
        article("c", "lifestyle", "lifestyleroyals"),
        article("d", "foodanddrink", "recipes"),
        article("e", "finance", "finance-real-estate"),
    )
    other = (article("f", "sports", "basketball_nba"), article("g", "tv", "tvnews"), article("h", "music", "musicnews"))
    reader = ClaimReader([*shown, *other], load_domain("news"))
    asked = Instruction("explain", User("u"), shown[1:], shown[0])

    def told(text: str) -> list[str]:
        claims = read(text, "attribute", reader, asked)
        return [f"{'' if one.about else 'x:'}{one.value}" for one in claims]

    assert told("It is NFL football.") == ["football_nfl"]
    assert told("It is of the subcategory football_NFL, of football, of the NFL.") == ["football_nfl"] * 3
    assert told("It is about politics, a political event.") == ["newspolitics"] * 2
    assert told("You like royal news and real estate.") == ["lifestyleroyals", "finance-real-estate"]
    assert told("You like food & drink, and recipes.") == ["foodanddrink", "recipes"]
    assert told("NBA basketball") == ["x:basketball_nba"]
    assert told("TV news, music news") == ["x:tv", "x:music"]
    assert told("This news is news to you; you read the news.") == []
    assert told("It is of the category of news, or the news category.") == ["news"] * 2
    assert told("You have an interest in news, and in sports and news.") == ["news", "sports", "news"]


def test_prices_and_popularity() -> None:
    domain = replace(
        load_domain("games"), item_attributes={"tags": "tags", "price": "price", "popularity": "popularity"}
    )

    def game(name: str, price: str, popularity: str, *tags: str) -> Item:
        return Item(name, name, {"tags": tags, "price": (price,), "popularity": (popularity,)})

    rust, dota, rest = game("Rust", "19.99", "5", "Indie"), game("Dota", "free", "3", "MOBA"), game("X", "4.99", "1")
    reader = ClaimReader([rust, dota, rest], domain)
    asked = Instruction("explain", User("u"), (dota,), rust)

    def told(text: str) -> list[tuple[str, str, str | None]]:
        return [(one.column, one.value, one.about) for one in read(text, "attribute", reader, asked)]

    assert told("At $19.99 it is fine.") == [("price", "19.99", "candidate")]
    assert told("It costs 4.99 dollars.") == [("price", "4.99", None)]
    assert told("Dota is free to play.") == [("price", "free", "history")]
    assert told("It is free.") == [("price", "free", "history")]
    assert told("Feel free to roam a free world, hassle-free; $7.9 million were paid.") == []
    assert told("It has a popularity of 5, and is popular.") == [("popularity", "5", "candidate")]


def test_any_catalogue() -> None:
    domain = Domain("books", "book", "book", "books", "read", "read", {"subject": "subject", "author": "author"}, {})
    one = Item("1", "The Dig", {"subject": ("History", "Weight Loss"), "author": ("Ann Example",)})
    other = Item("2", "Walking", {"subject": ("Philosophy", "Biography"), "author": ("Bo Other",)})
    reader, asked = ClaimReader([one, other], domain), Instruction("explain", User("u"), (), one)
    text = "The Dig, by Ann Example, is a historical book on weightloss; no philosophical one by Bo Other."
    assert [(claim.value, claim.about) for claim in reader.read(text, asked)] == [
        ("The Dig", "candidate"),
        ("Ann Example", "candidate"),
        ("History", "candidate"),
        ("Weight Loss", "candidate"),
        ("Philosophy", None),
        ("Bo Other", None),
    ]


@pytest.mark.parametrize(
    ("text", "facts"),
    [
        ("As a 34-year-old engineer, you will like it.", ["age=34", "occupation=engineer"]),
        ("As a young woman you will like it.", ["gender=female"]),
        ("As a male writer, you will like it.", ["x:gender=male", "x:occupation=writer"]),
        ("At 20, you will like it.", ["x:age=20"]),
        ("Your age of 34 says so; so does your work as an engineer.", ["age=34", "occupation=engineer"]),
        ("It will speak to you as a writer.", ["x:occupation=writer"]),
        ("Female viewers like it, and men.", ["gender=female"]),
        ("He stars as a writer who, at 20, meets a 12-year-old boy and an engineer.", []),
        ("It follows her rise as a writer, and a man's love. Your favourite writer likes it.", []),
    ],
)
def test_facts_of_the_person(text: str, facts: list[str]) -> None:
    claims = read(text, "profile")
    assert [f"{'' if one.about else 'x:'}{one.column}={one.value}" for one in claims] == facts


def test_who_is_known_better_than_shown() -> None:
    unknown = replace(ASKED, user=User("anna"))
    text = "As an engineer, you will like it."
    assert [claim.about for claim in READER.read(text, unknown)] == [None]
    assert [claim.about for claim in READER.read(text, unknown, ANNA)] == ["user"]
    letters = ClaimReader([HEAT], MOVIES, {"gender": {"M", "F"}})
    (claim,) = letters.read("As a man, you will like it.", replace(ASKED, user=User("u", {"gender": "M"})))
    assert (claim.value, claim.about) == ("M", "user")


@pytest.mark.parametrize(
    ("text", "suspects"),
    [
        ("It is in the manner of Interstellar.", ("Interstellar",)),
        ("Dark Star is like it. Pulp Fiction too.", ("Dark Star", "Pulp Fiction")),
        ("It has the force of the Empire, and of Judgment Day and Episode V.", ()),
        ("Alien is like it.", ("Alien",)),
        ("Watch Toy Story before.", ("Toy Story",)),
        ("See Toy Story 2 and Toy Story 3.", ("Toy Story 3",)),
        ("It is much like Terminator, or the Terminator films.", ("Terminator",)),
        ("It was made by Tom Example, in January, in English, as Action and Sci-Fi films are.", ("Tom Example",)),
        ("Dear Customer,\nas an Engineer you will like Heat. It is a Crime film! I say so.", ()),
        ("It is like Fargo and The Usual Suspects; Enjoy it. Try it: Good fun.", ()),
        ('You know "Dark Suspects" and Usual Nest.', ("Dark Suspects", "Usual Nest")),
        ("It has much of It, and of Sabrina.", ("It", "Sabrina")),
        ("Combining Action and Crime, it is for you. Given this, see it.", ()),
        ("it is all in small letters", ()),
    ],
)
def test_names_that_nothing_shown_supports(text: str, suspects: tuple[str, ...]) -> None:
    assert READER.suspects(text, ASKED) == suspects


@given(
    st.lists(st.text(st.sampled_from("abcdeé :,(12"), min_size=3, max_size=14).map(str.strip), min_size=1, max_size=5)
)
def test_titles_in_quotation_marks_are_all_found(found: list[str]) -> None:
    shown = [Item(str(place), f"T{title}x") for place, title in enumerate(dict.fromkeys(found))]
    reader = ClaimReader(shown, MOVIES)
    asked = Instruction("explain", User("u"), tuple(shown[1:]), shown[0])
    claims = read(" and ".join(f'"{item.title}"' for item in shown), "title", reader, asked)
    assert len(claims) == len(shown) and all(claim.about for claim in claims)


@given(st.data())
def test_nothing_is_linked_to_what_does_not_have_it(data: st.DataObject) -> None:
    asked = data.draw(instructions(MOVIES))
    shown = tuple(replace(item, item_id=str(place)) for place, item in enumerate((asked.candidate, *asked.history)))
    asked = replace(asked, candidate=shown[0], history=shown[1:])
    values = [value for item in shown for found in item.attributes.values() for value in found]
    parts = [*values, *(item.title for item in shown), *asked.user.attributes.values(), " is a ", '"', ". As a "]
    text = "".join(data.draw(st.lists(st.sampled_from(parts) | hostile, max_size=8)))
    known = {item.item_id: item for item in shown}
    reader = ClaimReader(shown, MOVIES, {"occupation": set(asked.user.attributes.values())})
    claims = reader.read(text, asked)
    assert list(claims) == sorted(claims, key=lambda claim: (claim.start, claim.end))
    for claim in claims:
        assert 0 <= claim.start < claim.end <= len(text)
        if claim.kind == "attribute":
            assert all(claim.value in known[one].attributes[claim.column] for one in claim.items)
        if claim.about == "user":
            assert asked.user.attributes[claim.column].strip().casefold() == claim.value.strip().casefold()
        assert bool(claim.items) == (claim.about in ("candidate", "history"))
        assert claim.about != "candidate" or claim.items == ("0",)
    assert all(name in text for name in reader.suspects(text, asked))


@pytest.mark.parametrize(
    "text",
    [
        '"A" ' * 5_000,
        "'a " * 10_000,
        "Heat " * 10_000,
        "As a " * 10_000,
        "A. " * 10_000,
        "x" * 100_000,
        "Star Wars Star Trek of the " * 3_000,
        "\"“«'‘\x00\u2028\ud800é²" * 3_000,
    ],
)
def test_hostile_texts_take_no_longer_than_others(text: str) -> None:
    start = time.process_time()
    READER.read(text, ASKED)
    READER.suspects(text, ASKED)
    assert time.process_time() - start < 10


@dataclass(frozen=True)
class Written:
    """One of the project's annotated explanations, with all that it was written from."""

    asked: Instruction
    text: str


@cache
def written(name: str) -> tuple[ClaimReader, list[Written]]:
    def item(stored: dict[str, Any]) -> Item:
        return Item(stored["item_id"], stored["title"], {key: tuple(one) for key, one in stored["attributes"].items()})

    domain, out = load_domain(name), []
    file = resources.files("llmxrec.tuning").joinpath("annotations", f"{name}.jsonl")
    for line in file.read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        history = tuple(item(one) for one in row["history"])
        out.append(Written(Instruction("explain", User("u"), history, item(row["candidate"])), row["answer"]))
    people = {"age": (), "gender": ("male", "female"), "occupation": ("artist", "writer", "student")}
    return ClaimReader(list(catalogue(domain)), domain, people), out


@pytest.mark.parametrize("name", ["movies", "news", "games"])
def test_what_is_written_true_is_supported(name: str) -> None:
    reader, rows = written(name)
    for row in rows:
        claims = reader.read(row.text, row.asked)
        assert all(claim.about in ("candidate", "history") for claim in claims), row.text
        assert any(claim.kind == "title" and claim.about == "candidate" for claim in claims), row.text
        assert reader.suspects(row.text, row.asked) == (), row.text


@pytest.mark.parametrize("name", ["movies", "news", "games"])
def test_what_is_true_of_somebody_else_is_not(name: str) -> None:
    """Each text is told to another person: every title in it that they were not shown is found, quoted or not."""
    reader, rows = written(name)
    for place, row in enumerate(rows):
        asked = rows[place - 7].asked
        shown = {title_key(item.title) for item in (asked.candidate, *asked.history)}
        others = {title for title in re.findall('"([^"]+)"', row.text) if title_key(title) not in shown}
        found = {claim.value for claim in reader.read(row.text, asked) if claim.kind == "title" and not claim.about}
        assert others <= found, (row.text, others - found)
        suspects = " | ".join(reader.suspects(row.text.replace('"', ""), asked))
        missed = {title for title in others if not {*words_of(title)} & {*words_of(suspects)}}
        # Numbers have no capitals, and where a sentence begins with it, "It" has one anyway.
        assert not any(sign.isalpha() for title in missed - {"It"} for sign in title), (row.text, missed)


def test_the_texts_labelled_by_reading(real_release: Path) -> None:
    release = read_release(real_release)
    worlds = {name: read_world(release, name) for name in release.datasets}
    counts = {kind: [0, 0, 0] for kind in ("titles", "attributes", "profile")}
    texts = labelled(LABELS, release, worlds)
    for text in texts:
        found = claims_of(text, worlds[text.dataset].reader)
        for kind, count in counts.items():
            for place, part in enumerate(compare(text, found, kind)):
                count[place] += len(part)
    assert len(texts) == 165
    for kind, least in (("titles", 0.97), ("attributes", 0.95), ("profile", 0.85)):
        right, wrong, missed = counts[kind]
        assert right / (right + wrong) >= least and right / (right + missed) >= least, (kind, counts)
