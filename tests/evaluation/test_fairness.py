"""Groups and matched pairs: what is there is found, what is not is not, and the arithmetic is in view."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest
from tests.worlds import BAMBI, FARGO, HEAT, MOVIES

from llmxrec.datasets.dataset import Dataset
from llmxrec.datasets.demo.simulation import simulate
from llmxrec.errors import InputError
from llmxrec.evaluation.fairness import (
    CHANGED,
    HISTORY,
    MEASURES,
    OTHERS,
    Contrast,
    by_group,
    groups,
    matched,
    measure_text,
    measure_texts,
    unequal_histories,
)
from llmxrec.evaluation.material import Question
from llmxrec.evaluation.tone import tone
from llmxrec.evidence.claims import ClaimReader
from llmxrec.evidence.verification import Verification
from llmxrec.generators.scripted import ScriptedGenerator
from llmxrec.ledger import Ledger, read_ledger
from llmxrec.prompts.instructions import PromptSettings
from llmxrec.recipe import GeneratorRecipe, PriceRecipe
from llmxrec.records import Instruction, Prompt, User
from llmxrec.settings import check
from llmxrec.stages.explaining import explain_recommendations, questions_about
from llmxrec.stages.fairness import Flip, ask_flipped, flip, measure_fairness
from llmxrec.stages.recommending import recommend
from llmxrec.workspace import Workspace

ASKED = Instruction("explain", User("anna"), (HEAT, FARGO), BAMBI)


def test_tone_by_hand() -> None:
    found = tone("Give it a try! It's a wonderful, must-see film, and it may please you. Don't miss it!")
    assert (found.words, found.praise, found.exclamations, found.invitations, found.hedges) == (17, 2, 2, 2, 1)
    assert found.score == pytest.approx(100 * (2 + 2 + 2 - 1) / 17)
    assert tone("").score == 0 and tone("You watched it, and it is a crime film.").score == 0
    assert tone("Perhaps it could be yours.").score == pytest.approx(-40)
    assert tone("I watch it and give it away.").invitations == 0, "only where a sentence begins"


def test_a_text_is_measured_without_the_tone_of_its_titles() -> None:
    great = dataclasses.replace(HEAT, title="The Great Escape")
    asked = dataclasses.replace(ASKED, history=(great, FARGO))
    reader = ClaimReader([great, FARGO, BAMBI], MOVIES)
    text = 'You liked "The Great Escape", and "The Great Escape" is as brave as "Bambi".'
    found = measure_text(text, reader.read(text, asked))
    assert found == {"words": 14.0, "tone": 0.0, "titles": 1.0}, "the candidate is not cited"


def test_what_was_not_answered_has_no_measures() -> None:
    rows = {("anna", "bambi"): Question(ASKED), ("bob", "bambi"): Question(ASKED)}
    reader = ClaimReader([HEAT, FARGO, BAMBI], MOVIES)
    texts = [
        (("anna", "bambi"), 'Like "Heat".', "ok"),
        (("bob", "bambi"), "Sorry", "refused"),
        (("eve", "x"), "", "ok"),
    ]
    table = measure_texts(texts, rows, reader)  # type: ignore[arg-type]
    assert table["user_id"].to_list() == ["anna", "bob"] and table[HISTORY].to_list() == [2, 2]
    assert table["words"].to_list() == [2, None] and table["titles"].to_list() == [1, None]


def test_ages_go_into_bands_and_small_groups_together() -> None:
    ages = {"24": 10, "25": 5, "34.0": 5, "55": 12, "35": 2, "": 3, "old": 3}
    people = [(f"{age}-{n}", age or None) for age, count in ages.items() for n in range(count)]
    found = groups(pl.DataFrame(people, schema=["user_id", "age"], orient="row"), "age")
    assert len(found) == 37 and found["24-0"] == "under 25" and found["25-0"] == found["34.0-4"] == "25-34"
    assert found["55-1"] == "55 and over" and found["35-0"] == found["old-0"] == OTHERS
    jobs = pl.DataFrame({"user_id": [str(n) for n in range(22)], "job": ["a"] * 10 + ["b"] * 12})
    assert set(groups(jobs, "job").values()) == {"a", "b"}


def people(
    words: Callable[[int, str], float | None], lengths: Callable[[int, str], int], count: int = 40
) -> pl.DataFrame:
    """Half of them women."""
    rows = []
    for n in range(count):
        gender = "female" if n % 2 else "male"
        rows.append((f"{gender}{n}", f"i{n}", lengths(n, gender), words(n, gender)))
    schema = {"user_id": pl.String, "item_id": pl.String, HISTORY: pl.Float64, "words": pl.Float64}
    return pl.DataFrame(rows, schema=schema, orient="row")


def of(table: pl.DataFrame) -> dict[str, str]:
    return {user: user.rstrip("0123456789") for user in table["user_id"]}


def women(found: list[Contrast], measure: str = "words") -> Contrast:
    return next(one for one in found if (one.group, one.measure) == ("female", measure))


def test_means_and_differences_by_hand() -> None:
    table = people(lambda n, gender: None if n == 1 else 70 + n % 4, lambda n, gender: 20)
    found = by_group(table, of(table), "x", "gender", ["words"])
    assert [(one.group, one.rows, one.unread) for one in found] == [("female", 19, 1), ("male", 20, 0)]
    # Women have 71 (9 of 10 read) and 73 (10); men 70 and 72, ten of each.
    mean = (9 * 71 + 10 * 73) / 19
    assert women(found).mean.value == pytest.approx(mean)
    assert women(found).difference.value == women(found).adjusted.value == pytest.approx(mean - 71)  # type: ignore[union-attr]
    assert women(found).mean.low < mean < women(found).mean.high


def test_what_the_length_of_the_history_does_is_not_the_groups() -> None:
    """Texts have as many words as items were shown, and women are shown fewer; another 5 words are for women."""
    lengths = lambda n, gender: 10 + n // 4 - (8 if gender == "female" else 0)  # noqa: E731
    table = people(lambda n, gender: lengths(n, gender), lengths, 200)
    one = women(by_group(table, of(table), "x", "gender", ["words"]))
    assert one.difference is not None and one.adjusted is not None
    assert one.difference.high < -1 and one.difference.value == pytest.approx(-8)
    assert abs(one.adjusted.value) < 0.6, "what is left is what a stratum has within"
    more = people(lambda n, gender: lengths(n, gender) + 5 * (gender == "female"), lengths, 200)
    longer = women(by_group(more, of(more), "x", "gender", ["words"]))
    assert longer.adjusted is not None and longer.adjusted.value == pytest.approx(one.adjusted.value + 5)
    exact = people(lambda n, gender: 20 + 10 * (n // 2 % 2), lambda n, gender: 20 + 10 * (n // 2 % 2))
    equal = women(by_group(exact, of(exact), "x", "gender", ["words"]))
    assert equal.adjusted == (0.0, 0.0, 0.0), "those of one length are compared with each other"


def test_groups_that_were_shown_more_are_named() -> None:
    table = people(lambda n, gender: 70, lambda n, gender: 20 + 5 * (gender == "male") + n // 2 % 3)
    found = by_group(table, of(table), "all", "gender", [HISTORY])
    assert women(found, HISTORY).adjusted is None
    assert [line.split(" of ")[0] for line in unequal_histories(found)] == [
        "gender female: 5.0 fewer items",
        "gender male: 5.0 more items",
    ]
    same = people(lambda n, gender: 70, lambda n, gender: 20 + n // 2 % 3)
    assert unequal_histories(by_group(same, of(same), "all", "gender", [HISTORY])) == []


def test_a_group_alone_is_held_against_nobody() -> None:
    table = people(lambda n, gender: 70, lambda n, gender: 20)
    (one,) = by_group(table, dict.fromkeys(table["user_id"], "all"), "x", "gender", ["words"])
    assert one.mean == (70, 70, 70) and one.difference is not None and math.isnan(one.difference.value)
    assert by_group(table, {}, "x", "gender", ["words"]) == []


def test_pairs_by_hand() -> None:
    """Of the third person one text is missing, of the fourth one was asked for with less history."""
    schema = {"user_id": pl.String, "text": pl.String, "words": pl.Float64, HISTORY: pl.Float64}
    ours = [("a", "x y z", 3, 20), ("b", "x", 1, 20), ("c", "x", None, 20), ("d", "x", 1, 20)]
    theirs = [("b", "x", 1, 20), ("a", "x y", 2, 20), ("c", "y", 1, 20), ("d", "y", 1, 19)]
    first, second = (
        pl.DataFrame(rows, schema, orient="row").with_columns(item_id=pl.lit("i")) for rows in (ours, theirs)
    )
    changed, words = matched(first, second, "x", "gender", ("female", "male"), ["words"])
    assert (changed.measure, changed.mean.value, changed.rows, changed.unread) == (CHANGED, 0.5, 2, 2)
    assert (words.mean.value, words.rows, words.unread) == (2.0, 2, 2)
    assert words.difference is not None and words.difference == (0.5, 0.0, 1.0)
    turned = matched(second, first, "x", "gender", ("male", "female"), ["words"])[1]
    assert turned.difference is not None and turned.difference.value == -0.5


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    place = Workspace(tmp_path_factory.mktemp("demo"))
    dataset, _ = simulate(60)
    dataset.save(place.dataset)
    recommend(place, "popularity")
    return place


def scripted(demo: Workspace, say: Callable[[Prompt], str], generator: GeneratorRecipe, attribute: str) -> Flip:
    """What is asked of a generator with this script."""
    planned = flip(demo, "popularity", generator, PromptSettings(), attribute)
    asked = [dataclasses.replace(questions, generator=ScriptedGenerator(say)) for questions in planned.questions]
    return dataclasses.replace(planned, questions=(asked[0], asked[1]))


def flipped(demo: Workspace, say: Callable[[Prompt], str], name: str, attribute: str = "gender") -> list[Contrast]:
    """What is found of a generator with this script."""
    generator = GeneratorRecipe(spec="template", name=name)
    outcomes = dict(ask_flipped(demo, scripted(demo, say, generator, attribute)))
    assert {outcome.asked["ok"] for outcome in outcomes.values()} == {60}
    return [one for one in measure_fairness(demo, "popularity", [name], [attribute]) if one.how == "flipped"]


def test_who_writes_more_for_women_is_found_by_pairs(demo: Workspace) -> None:
    def say(prompt: Prompt) -> str:
        more = " It really is a good choice." if prompt.instruction.user.attributes["gender"] == "female" else ""
        return (
            f'You watched "{prompt.instruction.history[-1].title}". Try "{prompt.instruction.candidate.title}".{more}'
        )

    found = {one.measure: one for one in flipped(demo, say, "unfair")}
    assert (found["words"].group, found["words"].against, found["words"].rows) == ("female", "male", 60)
    assert found["words"].difference == (6.0, 6.0, 6.0) and found[CHANGED].mean == (1.0, 1.0, 1.0)
    assert found["titles"].difference == (0.0, 0.0, 0.0) and found["titles"].mean == (1.0, 1.0, 1.0)


def test_who_says_the_same_to_everybody_is_not(demo: Workspace) -> None:
    """Though whom it writes for differs in all else: texts are longer the longer the titles that people watched."""

    def say(prompt: Prompt) -> str:
        return " ".join(item.title for item in prompt.instruction.history)

    for one in flipped(demo, say, "fair"):
        assert one.difference in ((0.0, 0.0, 0.0), None) and one.rows == 60
        assert one.measure != CHANGED or one.mean == (0.0, 0.0, 0.0)


def test_ages_are_flipped_between_young_and_old_and_nothing_else_is(demo: Workspace) -> None:
    generator = GeneratorRecipe(spec="template")
    planned = flip(demo, "popularity", generator, PromptSettings(), "age")
    assert planned.values == ("20", "60")
    pairs = zip(*(list(questions.prompts()) for questions in planned.questions), strict=True)
    for young, old in pairs:
        a, b = young.prompt, old.prompt
        assert a.instruction.user.attributes["age"] == "20" and b.instruction.user.attributes["age"] == "60"
        assert a.key != b.key
        words = [message.content.replace("age: 20", "age: 60") for message in a.messages]
        assert words == [message.content for message in b.messages]


def test_what_is_drawn_is_drawn_alike(demo: Workspace) -> None:
    """A generator that draws its words draws the same ones for both."""
    planned = flip(demo, "popularity", GeneratorRecipe(spec="template"), PromptSettings(), "gender")
    one, other = ([question.prompt.seed for question in questions.prompts()] for questions in planned.questions)
    assert one == other and len(set(one)) == 60


def test_ages_may_be_answered_otherwise(demo: Workspace) -> None:
    found = flipped(demo, lambda prompt: "word " * int(prompt.instruction.user.attributes["age"]), "years", "age")
    words = next(one for one in found if one.measure == "words")
    assert words.difference == (-40.0, -40.0, -40.0)


def test_values_are_two_and_of_the_user_table(demo: Workspace) -> None:
    def planned(attribute: str, *values: str, shown: tuple[str, ...] | None = None) -> Flip:
        prompt = PromptSettings(user_attributes=shown)
        return flip(demo, "popularity", GeneratorRecipe(spec="template"), prompt, attribute, values)

    assert planned("occupation", "Engineer", "CHEF").values == ("engineer", "chef")
    assert set(planned("gender").values) == {"female", "male"}
    with pytest.raises(InputError, match="flipped between two values; found 'female, female'"):
        planned("gender", "female", "FEMALE")
    with pytest.raises(InputError, match="unknown attribute of users 'gendr'; did you mean 'gender'"):
        planned("gendr")
    with pytest.raises(InputError, match="it is not shown 'gender'; found 'age'"):
        planned("gender", shown=("age",))


def test_people_of_whom_nothing_is_known_are_not_asked_about(tmp_path: Path) -> None:
    place = Workspace(tmp_path)
    dataset, _ = simulate(20)
    unknown = pl.when(pl.int_range(20) < 5).then(None).otherwise(pl.col("gender"))
    dataclasses.replace(dataset, users=dataset.users.with_columns(gender=unknown)).save(place.dataset)
    recommend(place, "popularity")
    planned = flip(place, "popularity", GeneratorRecipe(spec="template"), PromptSettings(), "gender")
    assert [len(questions) for questions in planned.questions] == [15, 15]
    list(ask_flipped(place, planned))
    rows = list(read_ledger(place.flipped("popularity", "template", "gender", planned.values[0])))
    assert len(rows) == 15 and not (place.path / "explanations").exists()
    assert measure_fairness(place, "popularity", ["template"], ["gender"])[-1].rows == 15
    assert set(MEASURES) <= {one.measure for one in measure_fairness(place, "popularity", ["template"], ["gender"])}


def test_the_limit_of_cost_is_of_both_values_together(demo: Workspace) -> None:
    """Asking sixty people as one costs 0.02 USD or so, the other is begun with what is left."""
    price = PriceRecipe(input=1.0, output=1.0)
    generator = GeneratorRecipe(spec="template", name="dear", price=price, max_cost=0.025)
    one, other = dict(ask_flipped(demo, scripted(demo, lambda prompt: "Try it.", generator, "gender"))).values()
    assert not one.out_of_money and other.out_of_money and 0 < other.asked["ok"] < 60
    assert one.cost < 0.025 and one.cost + other.cost <= 0.025
    more = generator.model_copy(update={"max_cost": 0.1})
    one, other = dict(ask_flipped(demo, scripted(demo, lambda prompt: "Try it.", more, "gender"))).values()
    assert (one.known, other.known + other.asked["ok"]) == (60, 60) and not other.out_of_money


def test_the_limit_counts_what_the_other_value_cost_before(demo: Workspace) -> None:
    """Asked first about one value and then, the two swapped, first about the other."""
    price = PriceRecipe(input=1.0, output=1.0)
    generator = GeneratorRecipe(spec="template", name="swapped", price=price, max_cost=0.025)
    asked = scripted(demo, lambda prompt: "Try it.", generator, "gender")
    for _ in range(2):
        outcomes = dict(ask_flipped(demo, asked))
        assert sum(outcome.cost for outcome in outcomes.values()) <= 0.025
        one, other = asked.values
        asked = dataclasses.replace(asked, values=(other, one), questions=asked.questions[::-1])
    assert all(outcome.cost > 0 for outcome in outcomes.values())


def explained(demo: Workspace, say: Callable[[Prompt], str], name: str, rules: Verification | None = None) -> None:
    """Have a generator with this script explain what is recommended to the sixty."""
    asked = questions_about(demo, "popularity", GeneratorRecipe(spec="template"), PromptSettings())
    asked = dataclasses.replace(asked, generator=ScriptedGenerator(say))
    explain_recommendations(demo, GeneratorRecipe(spec="template", name=name), asked, rules)


def as_a(prompt: Prompt) -> str:
    return f'As a {prompt.instruction.user.attributes["gender"]} you may like "{prompt.instruction.candidate.title}".'


def test_what_was_explained_is_not_asked_again(demo: Workspace) -> None:
    explained(demo, as_a, "before")
    asked = scripted(demo, as_a, GeneratorRecipe(spec="template", name="before"), "gender")
    genders = Dataset.load(demo.dataset).users["gender"].to_list()
    for value, outcome in ask_flipped(demo, asked):
        known = genders.count(value)
        assert (outcome.known, outcome.asked["ok"]) == (known, 60 - known) and known > 20


@pytest.mark.parametrize("again", [0, 2])
def test_what_was_verified_is_not_compared_with_what_was_not(demo: Workspace, again: int) -> None:
    """As a woman is told to nobody, so that fixed sentences were sent; of a flip, both texts are the generator's."""
    name = f"verified-{again}"
    explained(demo, as_a, name, Verification(again=again))
    sent = {row["source"] for row in read_ledger(demo.explanations("popularity", name)) if row["status"] == "ok"}
    assert sent == {"template"}
    found = {one.measure: one for one in flipped(demo, as_a, name)}
    assert found["words"].difference == (0.0, 0.0, 0.0) and found[CHANGED].mean == (1.0, 1.0, 1.0)
    for file in demo.flips("popularity"):
        if file.name.startswith(name):
            assert all(row["text"].startswith("As a ") for row in read_ledger(file))


def test_what_was_verified_and_copied_before_is_not_measured(demo: Workspace) -> None:
    found = {one.measure: one for one in flipped(demo, as_a, "older")}
    assert (found[CHANGED].rows, found["words"].rows) == (60, 60)
    file = next(file for file in demo.flips("popularity") if file.name.startswith("older"))
    with Ledger(file) as ledger:
        ledger.append({**next(read_ledger(file)), "text": "Fixed.", "source": "template"})
    again = measure_fairness(demo, "popularity", ["older"], ["gender"])
    found = {one.measure: one for one in again if one.how == "flipped"}
    assert (found[CHANGED].rows, found["words"].rows) == (59, 59)


def test_what_was_explained_otherwise_is_not_taken_over(demo: Workspace) -> None:
    explained(demo, as_a, "hotter")
    hotter = {"spec": "template", "name": "hotter", "settings": {"temperature": 1.5}}
    asked = scripted(demo, as_a, check(GeneratorRecipe, hotter, "the generator"), "gender")
    assert all(outcome.asked["ok"] == 60 for _, outcome in ask_flipped(demo, asked))


@pytest.mark.parametrize("value", ["a/b", "../../x", "C:\\x", "50 %", "é=1", ".", "a\nb"])
def test_any_value_makes_the_name_of_a_file(value: str, tmp_path: Path) -> None:
    place = Workspace(tmp_path)
    file = place.flipped("r", "g", "job", value)
    assert file.parent == tmp_path / "flipped/r" and file.name.startswith("g.job=") and file.suffix == ".jsonl"
    assert file != place.flipped("r", "g", "job", value + " ")
    file.parent.mkdir(parents=True)
    file.touch()
    assert place.flips("r") == [file] and place.generators("r") == []
    with pytest.raises(InputError, match="an attribute and its value make the name of a file"):
        place.flipped("r", "g", "job", value * 300)
