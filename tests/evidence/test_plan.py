"""What may be said: by hand, and for random people."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st
from tests.worlds import ANNA, BAMBI, FARGO, HEAT, MOVIES, SUSPECTS

from llmxrec.evidence.plan import MOST_CITED, MOST_LABELS, Plan, make_plan
from llmxrec.records import Domain, Instruction, Item, User

BOOKS = Domain("books", "book", "book", "books", "read", "read", {"author": "author", "shelf": "category"}, {})


def film(title: str, *genres: str) -> Item:
    return Item(title, title, {"genres": genres, "year": ("1995",)})


def plan(*history: Item, candidate: Item = SUSPECTS, **more: object) -> Plan:
    return make_plan(Instruction("explain", ANNA, history, candidate), MOVIES, **more)


def test_cited_are_those_that_share_the_newest_first() -> None:
    found = plan(HEAT, BAMBI, FARGO)
    assert (found.cited, found.labels) == ((FARGO, HEAT), ("Crime",))
    assert (found.recent, found.newest, found.total) == ((BAMBI,), False, 3)


def test_more_in_common_or_more_in_company() -> None:
    """One film that shares two genres is worth more than two that share one; three that share one, more than it."""
    seven, diva = film("Seven", "Thriller", "Crime"), film("Diva", "Crime", "Thriller")
    assert (plan(seven, HEAT).cited, plan(seven, HEAT).labels) == ((seven,), ("Crime", "Thriller"))
    assert (plan(seven, HEAT, FARGO).cited, plan(seven, HEAT, FARGO).labels) == ((FARGO, HEAT, seven), ("Crime",))
    assert plan(seven, diva, HEAT).cited == (diva, seven)


def test_nothing_in_common() -> None:
    found = plan(BAMBI)
    assert (found.cited, found.labels, found.recent, found.newest) == ((), (), (BAMBI,), True)
    assert plan() == Plan(MOVIES, SUSPECTS, own="Crime")


def test_causes_come_first() -> None:
    found = plan(HEAT, BAMBI, FARGO, causes=[HEAT.item_id])
    assert found.cited[0] == HEAT
    by_cause = plan(BAMBI, film("New", "War"), causes=[BAMBI.item_id])
    assert by_cause.recent[0] == BAMBI and not by_cause.newest


def test_habits() -> None:
    often = [film(f"Crime {n}", "Crime") for n in range(4)]
    dramas = [film(f"Drama {n}", "Drama") for n in range(4)]
    crime = plan(*often, BAMBI)
    assert (crime.count, crime.total, crime.favourite, crime.taste) == (4, 5, True, None)
    tied = plan(*often, *dramas)
    assert (tied.count, tied.favourite, tied.taste) == (4, False, None), "a tie is no favourite"
    other = plan(*dramas, HEAT)
    assert (other.favourite, other.taste, other.count) == (False, ("Drama", 4), 0)
    few = plan(*dramas, *(film(f"x{n}", f"Kind {n}") for n in range(5)))
    assert few.taste is None, "four of nine are not most"


def test_what_is_new_and_what_else_it_is() -> None:
    candidate = film("It", "Crime", "Noir", "War")
    found = plan(HEAT, FARGO, film("Platoon", "War"), candidate=candidate)
    assert (found.labels, found.novel, found.own) == (("Crime",), "Noir", "War")
    assert plan(HEAT, candidate=candidate).novel is None, "one film says nothing of what is new"


def test_other_columns_are_told_with_their_name_and_numbers_not_at_all() -> None:
    one = Item("1", "Emma", {"author": ("Jane Austen",), "shelf": ("1815",)})
    two = Item("2", "Persuasion", {"author": ("Jane Austen",), "shelf": ("1815",)})
    found = make_plan(Instruction("explain", User("u"), (one,), two), BOOKS)
    assert (found.labels, found.properties) == ((), (("author", "Jane Austen"),))


def test_codes_that_lengthen_another_value_are_left_out() -> None:
    news = Domain(
        "news", "news", "article", "articles", "read", "read", {"category": "category", "sub": "subcategory"}, {}
    )
    one = Item("1", "A", {"category": ("news",), "sub": ("newsus",)})
    two = Item("2", "B", {"category": ("news",), "sub": ("newsus",)})
    found = make_plan(Instruction("explain", User("u"), (one,), two), news)
    assert found.labels == ("news",)


def test_labels_that_say_one_thing_are_not_said_together() -> None:
    one, two = film("Chess", "Strategy", "Turn-Based Strategy"), film("Go", "Turn-Based Strategy", "Strategy")
    found = plan(one, candidate=two)
    assert len(found.labels) == 1 and found.own is None and found.novel is None
    assert plan(one, film("Ludo", "Strategy"), candidate=two).labels == ("Strategy",)


def test_of_one_title_only_the_newest_is_cited_and_never_the_candidates() -> None:
    old, new = replace(HEAT, item_id="old"), replace(HEAT, item_id="new")
    assert plan(old, new).cited == (new,)
    assert plan(replace(SUSPECTS, item_id="again"), HEAT).cited == (HEAT,)


def test_nothing_of_the_person_is_said_unless_allowed() -> None:
    assert plan(HEAT).profile == ()
    assert plan(HEAT, profile=("age",)).profile == (("age", ANNA.attributes["age"]),)


genres = st.lists(st.sampled_from(["Crime", "Drama", "War", "Western", "Noir"]), unique=True).map(tuple)
histories = st.lists(genres, max_size=12).map(lambda found: [film(f"Film {n}", *g) for n, g in enumerate(found)])


@given(histories, genres, st.lists(st.integers(0, 11), unique=True, max_size=3))
def test_every_pairing_is_true(history: list[Item], wanted: tuple[str, ...], causes: list[int]) -> None:
    candidate = film("New", *wanted)
    found = plan(*history, candidate=candidate, causes=[f"Film {n}" for n in causes])
    assert len(found.cited) <= MOST_CITED and len(found.labels) <= MOST_LABELS
    causing = [item for n, item in enumerate(history) if n in causes]
    assert bool(found.cited) == any({*wanted} & {*item.attributes["genres"]} for item in causing or history)
    assert not causing or all(item in causing for item in found.cited), "nothing else is a reason"
    for label in found.labels:
        assert label in wanted and all(label in item.attributes["genres"] for item in found.cited)
    assert bool(found.cited) == bool(found.labels) and not found.properties
    unbroken = [item for n, item in enumerate(history) if not all(before in causes for before in range(n + 1))]
    counts = {
        g: sum(g in item.attributes["genres"] for item in unbroken)
        for g in ("Crime", "Drama", "War", "Western", "Noir")
    }
    if found.count:
        assert found.count == counts[found.labels[0]] and found.total == len(unbroken)
    if found.favourite:
        assert all(counts[found.labels[0]] > n for g, n in counts.items() if g != found.labels[0])
    if found.taste:
        assert found.taste[0] not in wanted and found.taste[1] == max(counts.values()) >= len(unbroken) / 2
    had = {label for item in history for label in item.attributes["genres"]}
    assert found.novel is None or (found.novel in wanted and found.novel not in had)
    assert found.own is None or (found.own in wanted and found.own not in found.labels)
    assert not found.newest or list(found.recent) == history[::-1][: len(found.recent)]
    assert not {item.item_id for item in found.recent} & {item.item_id for item in found.cited}
