"""The gate: judges that know nothing of the texts come out INVALID, each for its reason; one that reads does not."""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmxrec.errors import InputError, WorkError
from llmxrec.evaluation.judges.protocol import Judge
from llmxrec.evaluation.judges.text import TextJudge
from llmxrec.evaluation.pairs import groups_of, read_pairs
from llmxrec.evaluation.rules import RULES
from llmxrec.evaluation.validation import cross_validate, fold_groups, validate
from llmxrec.evaluation.validity import Validity
from llmxrec.records import Case, Pair, Ruling, Winner
from llmxrec.testing.judges import JudgeConformance, sample_pairs

Say = Callable[[str, str], float | None]


class Scripted:
    """A judge that says what `say` does of the texts shown first and second: how likely the first is the better one;
    None is unreadable."""

    def __init__(self, say: Say, name: str = "scripted", order_free: bool = False, odds: bool = True) -> None:
        self.name, self.order_free, self.say, self.odds = name, order_free, say, odds

    def judge(self, cases: Iterable[Case]) -> Iterator[Ruling]:
        for case in cases:
            places = range(len(case.texts))
            for a, b in (itertools.combinations if self.order_free else itertools.permutations)(places, 2):
                said = self.say(case.texts[a], case.texts[b])
                if said is None:
                    yield Ruling(case.key, a, b, None, status="invalid")
                else:
                    winner: Winner = "tie" if said == 0.5 else "first" if said > 0.5 else "second"
                    yield Ruling(case.key, a, b, winner, said if self.odds else None)


class Namer(Scripted):
    """Learns which generator wins oftener against which, and knows each text's by a mark in it."""

    def __init__(self) -> None:
        self.wins: dict[tuple[str, str], int] = {}
        super().__init__(self._by_name, "namer", order_free=True)

    @property
    def trained(self) -> bool:
        return bool(self.wins)

    def fit(self, pairs: Sequence[Pair]) -> None:
        for pair in pairs:
            lead = 1 if pair.winner == "first" else -1
            for names, sign in ((pair.generators, 1), (pair.generators[::-1], -1)):
                self.wins[names] = self.wins.get(names, 0) + sign * lead

    def _by_name(self, first: str, second: str) -> float:
        lead = self.wins.get((first[:1], second[:1]), 0)
        return 0.5 if lead == 0 else 0.9 if lead > 0 else 0.1


def quality(text: str) -> int:
    return text.count("because")


def reads(first: str, second: str) -> float:
    return {1: 0.95, 0: 0.5, -1: 0.05}[(quality(first) > quality(second)) - (quality(first) < quality(second))]


def by_chance(first: str, second: str) -> float:
    return 0.9 if random.Random(f"{first}/{second}").random() < 0.5 else 0.1


def longer(first: str, second: str) -> float:
    more = len(first.split()) - len(second.split())
    return 0.9 if more > 0 else 0.1 if more < 0 else 0.5


def world(groups: int, seed: int = 0) -> list[Pair]:
    """Pairs of the generators A, B and C in each group. A text says "because" the more often the better it is; C does
    so oftener than B, and B than A, but not always; a longer text is not better; better ones mostly stand second."""
    draw = random.Random(seed)
    pairs = []
    for group in range(groups):
        levels = {name: draw.randint(low, low + 4) for name, low in (("A", 0), ("B", 2), ("C", 3))}
        texts = {
            name: f"{name}{group}" + " because" * level + " hm" * draw.randint(0, 9) for name, level in levels.items()
        }
        for two in itertools.combinations("ABC", 2):
            better = max(two, key=lambda name: levels[name])
            worse = min(two, key=lambda name: levels[name])
            if levels[better] == levels[worse]:
                continue
            first, second = (worse, better) if draw.random() < 0.85 else (better, worse)
            case = Case("k", f"Why {group}?", (texts[first], texts[second]))
            pairs.append(Pair(case, "second" if second == better else "first", f"g{group}", (first, second)))
    return pairs


TRAIN, TEST = world(150, 1), [replace(pair, group=f"t{pair.group}") for pair in world(150, 2)]


class TestConformance(JudgeConformance):
    drawn_ahead = 0

    def make(self) -> Judge:
        return Scripted(by_chance)


class TestOrderFreeConformance(JudgeConformance):
    drawn_ahead = 0

    def make(self) -> Judge:
        return Scripted(reads, order_free=True)


class TestLearnerConformance(JudgeConformance):
    drawn_ahead = 0

    def make(self) -> Judge:
        namer = Namer()
        namer.fit(sample_pairs(10))
        return namer


@pytest.mark.parametrize("promise", ["order free", "all pairs", "no ruling twice", "statuses", "together"])
def test_the_suite_finds_a_judge_that_breaks_its_promise(promise: str) -> None:
    class Broken(Scripted):
        def judge(self, cases: Iterable[Case]) -> Iterator[Ruling]:
            rulings = list(super().judge(cases))
            if promise == "all pairs":
                rulings = rulings[1:]
            if promise == "no ruling twice":
                rulings += rulings[:1]
            if promise == "statuses":
                rulings = [replace(ruling, winner=None) for ruling in rulings]
            if promise == "together":
                rulings.sort(key=lambda ruling: ruling.second)
            yield from rulings

    class Suite(JudgeConformance):
        def make(self) -> Judge:
            return Broken(by_chance, order_free=promise == "order free")

    test = {
        "order free": Suite.test_order_free_is_what_it_says,
        "all pairs": Suite.test_every_two_texts_of_each_case_are_compared,
        "no ruling twice": Suite.test_every_two_texts_of_each_case_are_compared,
        "statuses": Suite.test_rulings_say_how_they_ended,
        "together": Suite.test_the_rulings_of_a_case_come_together,
    }[promise]
    with pytest.raises(AssertionError):
        test(Suite())


def pair(first: str, second: str, winner: Winner, group: str, names: tuple[str, str] = ("", "")) -> Pair:
    return Pair(Case("k", "Why?", (first, second)), winner, group, names)


def test_figures_checked_by_hand() -> None:
    """Four pairs and a tie. The judge reads, but takes the second where it sees "?" and says nothing where "#"."""

    def say(first: str, second: str) -> float | None:
        return None if "#" in first else 0.2 if "?" in first + second else reads(first, second)

    pairs = [
        pair("because", "hm", "first", "1", ("A", "B")),  # right in both orders
        pair("hm", "because because", "second", "2", ("A", "B")),  # right in both orders
        pair("because ?", "hm hm hm", "first", "3", ("B", "A")),  # wrong, then right
        pair("# because", "hm", "first", "4", ("A", "B")),  # unreadable, then right
        pair("hm", "because", "tie", "5"),
    ]
    found = validate(lambda: Scripted(say), None, pairs)
    assert (found.rows, found.ties, found.rulings, found.unreadable) == (4, 1, 8, 1)
    assert (found.forward.value, found.forward.rows) == (2 / 3, 3)
    assert (found.swapped.value, found.swapped.rows) == (4 / 4, 4)
    assert (found.balanced.value, found.balanced.rows) == ((1 + 1 + 0.5) / 3, 3)
    assert found.consistency.value == 2 / 3
    # Longer: a tie, right, wrong. Names, as the other groups tell: whoever won here has lost there, 1 to 2.
    assert {name: rule and rule.value for name, rule in found.rules.items()} == {
        "always_second": 0.5,
        "longer": (0.5 + 1 + 0) / 3,
        "names_only": 0,
        "random": 0.5,
    }
    assert found.to_json()["accuracy_balanced"] == found.balanced.value
    # Sure of .95 twice each and of .8 thrice (one of them wrong); .95 once more.
    brier = (5 * 0.05**2 + 0.8**2 + 0.2**2) / 7
    assert found.calibration is not None
    assert found.calibration.brier == pytest.approx(brier)
    assert found.calibration.error == pytest.approx((5 * 0.05 + abs(1 - 2 * 0.8)) / 7)


def test_insight_checked_by_hand() -> None:
    """A won over B where it was scored .9 and .3, B over A where it was .6 and .1: three of four are right."""
    odds = {"a": 0.9, "b": 0.3, "c": 0.6, "d": 0.1}
    rows = [("a", "x", "first"), ("b", "x", "first"), ("c", "x", "second"), ("d", "x", "second")]
    pairs = [pair(a, b, winner, a, ("A", "B")) for a, b, winner in rows]  # type: ignore[arg-type]

    def say(first: str, second: str) -> float:
        return odds[first] if first in odds else 1 - odds[second]

    found = validate(lambda: Scripted(say), None, pairs)
    assert found.insight is not None
    assert (found.insight.value, found.varying) == (3 / 4, 4)


def test_a_judge_that_reads_is_valid() -> None:
    for odds, order_free in itertools.product([True, False], repeat=2):
        found = validate(partial(Scripted, reads, odds=odds, order_free=order_free), TRAIN, TEST)
        assert found.valid, found.reasons
        assert found.balanced.value == found.consistency.value == 1
        assert (found.calibration is None) == (not odds)
        assert found.insight is not None and found.insight.value == 1
        assert found.lines()[-1] == "VALID"


@pytest.mark.parametrize(
    ("judge", "reasons"),
    [
        (Scripted(lambda first, second: 0.2), ["same in both orders on 0.0%", "'random'", "'always second'"]),
        (Scripted(longer, order_free=True), ["'longer'"]),
        (Scripted(by_chance), ["same in both orders on ", "'random'", "'always second'"]),
        (Scripted(by_chance, order_free=True), ["'random'", "'always second'"]),
        (Scripted(lambda first, second: 0.5), ["'random'", "'always second'"]),
        (Scripted(lambda first, second: None), ["no pair could be read"]),
        (Scripted(lambda first, second: None if "hm" in first else reads(first, second)), ["rulings are unreadable"]),
        (
            Scripted(lambda first, second: 0.1 if first[0] < second[0] else 0.9, order_free=True),
            ["it knows no more than the generators' names"],
        ),
        (Scripted(lambda first, second: reads(second, first)), ["'random'", "worse than the generators' names"]),
    ],
)
def test_a_judge_that_does_not_is_invalid(judge: Judge, reasons: list[str]) -> None:
    found = validate(lambda: judge, TRAIN, TEST)
    assert not found.valid
    for reason in reasons:
        assert any(reason in said for said in found.reasons), found.reasons
    assert found.lines()[-1].startswith("INVALID: ")
    assert found.to_json()["valid"] is False


def test_a_judge_that_learns_only_names_is_invalid() -> None:
    found = validate(Namer, TRAIN, TEST)
    assert found.learns and found.balanced.value > 0.7
    assert found.balanced.value == found.rules["names_only"].value  # type: ignore[union-attr]
    assert found.insight is not None and found.insight.value == 0.5
    assert {figure.value for figure in found.left_out.values()} == {0.5}
    assert len(found.reasons) == 1 and "it knows no more than the generators' names" in found.reasons[0]
    assert not cross_validate(Namer, TRAIN, folds=5).valid


def test_a_judge_that_learns_to_read_is_valid_and_needs_no_generator_for_it() -> None:
    found = validate(TextJudge, TRAIN, TEST)
    assert found.valid, found.reasons
    assert set(found.left_out) == {"A", "B", "C", "all"}
    assert found.left_out["all"].low > 0.6
    assert found.consistency.value == 1


def test_where_the_names_are_not_known_they_are_not_measured() -> None:
    nameless = [replace(pair, generators=("", "")) for pair in TEST]
    found = validate(lambda: Scripted(reads), TRAIN, nameless)
    assert found.rules["names_only"] is None and found.insight is None and not found.left_out
    assert found.valid
    assert "names only                  not measured" in "\n".join(found.lines())
    assert found.lines()[-1].startswith("VALID, though names were not measured")
    assert validate(lambda: Scripted(reads), TRAIN, TEST).lines()[-1] == "VALID"
    assert validate(lambda: Scripted(reads), nameless, TEST).rules["names_only"] is None


def test_few_recommendations_prove_nothing() -> None:
    """Whoever is right three times in three is so in every draw of the three: that is no interval."""
    for groups, valid in ((3, False), (19, False), (20, True)):
        decided = [pair for pair in world(60, 5) if int(pair.group[1:]) < 60]
        kept = sorted({pair.group for pair in decided}, key=lambda group: int(group[1:]))[:groups]
        found = validate(lambda: Scripted(reads), TRAIN, [pair for pair in decided if pair.group in kept])
        assert found.balanced.value == 1 and found.recommendations == groups
        assert found.valid is valid, found.reasons
    few = validate(lambda: Scripted(reads), TRAIN, TEST[:9])
    assert f"it was measured on {few.recommendations} recommendations, fewer than 20" in few.reasons


def test_a_judge_that_learns_nothing_is_asked_whatever_the_first_fold_holds() -> None:
    pairs = world(40, 6)
    fold_of = fold_groups(pairs, 5)
    tied = [replace(pair, winner="tie") if fold_of[pair.group] == 0 else pair for pair in pairs]
    found = cross_validate(lambda: Scripted(reads), tied, 5, learns=False)
    assert found.unreadable == 0 and found.balanced.value == 1 and found.ties > 0


def test_a_figure_of_fewer_pairs_says_of_how_many() -> None:
    silent = Scripted(lambda first, second: None if "A" in first + second else reads(first, second))
    lines = validate(lambda: silent, TRAIN, TEST).lines()
    its = sum("A" not in pair.generators for pair in TEST)
    (balanced,) = (line for line in lines if line.startswith("  balanced"))
    assert balanced.endswith(f"{its:,} pairs") and 0 < its < len(TEST)


def test_nothing_measured_is_learned_from() -> None:
    learned: list[set[str]] = []

    class Watched(Namer):
        def fit(self, pairs: Sequence[Pair]) -> None:
            learned.append({pair.group for pair in pairs} | {name for pair in pairs for name in pair.generators})

    found = validate(Watched, TRAIN + TEST[:30], TEST)
    assert found.overlap == 30
    whole, *left_out = learned
    assert whole == {pair.group for pair in TRAIN} | set("ABC")
    assert [set("ABC") - those for those in left_out] == [{"A"}, {"B"}, {"C"}]
    learned.clear()
    folds = fold_groups(TRAIN, 4)
    cross_validate(Watched, TRAIN, folds=4)
    for fold in range(4):
        for those in learned[4 * fold : 4 * fold + 4]:
            assert not those & {group for group in folds if folds[group] == fold}
        assert [set("ABC") - those for those in learned[4 * fold : 4 * fold + 4]] == [set(), {"A"}, {"B"}, {"C"}]


@pytest.mark.parametrize("crosswise", [False, True])
def test_what_a_judge_was_trained_on_before_is_not_measured(crosswise: bool) -> None:
    class Ready(Scripted):
        groups = groups_of(TRAIN)

    def measure(judge: Judge, pairs: Sequence[Pair]) -> Validity:
        return cross_validate(lambda: judge, pairs) if crosswise else validate(lambda: judge, None, pairs)

    alone, mixed = measure(Scripted(reads), TEST), measure(Ready(reads), [*TRAIN, *TEST])
    assert (alone.seen, mixed.seen, mixed.rows) == (0, len(TRAIN), len(TEST))
    assert mixed.balanced == alone.balanced
    said = f"{len(TRAIN):,} pairs are about recommendations that the judge was trained on, and were left out"
    assert said in mixed.lines() and mixed.to_json()["seen"] == len(TRAIN)
    with pytest.raises(InputError, match="is measured on pairs that it was not trained on"):
        measure(Ready(reads), TRAIN)


def test_a_trained_judge_can_be_measured_as_it_is() -> None:
    judge = TextJudge()
    judge.fit(TRAIN)
    found = validate(lambda: judge, None, TEST, learns=False)
    assert found.valid and not found.learns
    assert found.left_out["all"].value == pytest.approx(found.balanced.value)
    with pytest.raises(InputError, match="pairs to learn from"):
        validate(lambda: judge, None, TEST)


def test_crosswise_is_the_same_as_one_fold_after_the_other() -> None:
    """What a fold's pairs get is what a judge trained on all the others says: counted by hand here."""
    folds = fold_groups(TRAIN, 3)
    right: list[float] = []
    for fold in range(3):
        judge = TextJudge()
        judge.fit([pair for pair in TRAIN if folds[pair.group] != fold])
        test = [pair for pair in TRAIN if folds[pair.group] == fold]
        right += [r.winner == p.winner for r, p in zip(judge.judge(p.case for p in test), test, strict=True)]
    found = cross_validate(TextJudge, TRAIN, folds=3)
    assert found.balanced.value == pytest.approx(sum(right) / len(right))
    assert found.folds == 3


def test_folds_are_equal_and_do_not_depend_on_the_order() -> None:
    folds = fold_groups(TRAIN, 7)
    assert folds == fold_groups(TRAIN[::-1], 7)
    sizes = [list(folds.values()).count(fold) for fold in range(7)]
    assert max(sizes) - min(sizes) <= 1
    with pytest.raises(InputError, match=f"found {len(folds)}"):
        fold_groups(TRAIN, len(folds) + 1)


@given(st.randoms(use_true_random=False))
def test_turning_pairs_round_swaps_the_two_accuracies(draw: random.Random) -> None:
    judge = Scripted(lambda first, second: draw.choice([None, 0.2, 0.5, 0.8, 0.9]) and by_chance(first, second))
    some = TEST[:12]
    said = {(f, s): judge.say(f, s) for p in some for f, s in itertools.permutations(p.case.texts)}
    fixed = partial(Scripted, lambda first, second: said[first, second])
    turned = {"first": "second", "second": "first"}
    other = [
        replace(
            p,
            case=replace(p.case, texts=p.case.texts[::-1]),
            winner=turned[p.winner],  # type: ignore[arg-type]
            generators=p.generators[::-1],
        )
        for p in some
    ]
    one, two = validate(fixed, TRAIN, some), validate(fixed, TRAIN, other)
    assert one.unreadable == two.unreadable
    assert [str(one.forward.value), one.forward.rows] == [str(two.swapped.value), two.swapped.rows]
    assert str(one.balanced.value) == str(two.balanced.value)
    assert str(one.rules) == str(two.rules) and str(one.insight) == str(two.insight)


def test_a_judge_that_does_not_answer_is_an_error() -> None:
    class Silent(Scripted):
        def judge(self, cases: Iterable[Case]) -> Iterator[Ruling]:
            yield from list(super().judge(cases))[1:]

    with pytest.raises(WorkError, match="did not rule once"):
        validate(lambda: Silent(reads), None, TEST)
    with pytest.raises(InputError, match="all labelled a tie"):
        validate(lambda: Scripted(reads), None, [replace(p, winner="tie") for p in TEST])


def test_json_has_what_is_promised() -> None:
    found = validate(lambda: Scripted(reads), TRAIN, TEST).to_json()
    assert set(found["rules"]) == set(RULES)
    for key in ("accuracy_forward", "accuracy_swapped", "accuracy_balanced", "consistency"):
        low, high = found["intervals"][key]
        assert low <= found[key] <= high
    assert found["within_varying_pairs"]["insight"]["value"] == 1
    assert {"valid", "reasons", "rows", "unreadable", "leave_one_generator_out", "calibration"} <= set(found)


def test_on_the_released_pairs_the_text_judge_is_valid(real_release: Path) -> None:
    pairs = read_pairs(real_release / "src/SFT/data/disc_data/train.json")
    found = cross_validate(TextJudge, pairs, folds=4)
    assert found.valid, found.reasons
    assert found.balanced.value > 0.9 and found.consistency.value == 1
    assert found.insight is not None and found.insight.low > 0.6
    assert found.left_out["all"].low > 0.75
    always_second = validate(lambda: Scripted(lambda first, second: 0.2), None, pairs)
    assert always_second.forward.value == pytest.approx(1190 / 1440)
    assert not always_second.valid
