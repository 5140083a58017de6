"""What every judge must do, as tests. Subclass, say how yours is made, and run pytest:

class TestMine(JudgeConformance):
    def make(self) -> Judge:
        return MyJudge()

A judge that learns is trained by `make`; `sample_pairs` has something to learn from.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import get_args

from llmxrec.evaluation.judges.protocol import Judge, Learner
from llmxrec.records import Case, Instruction, Item, Pair, Ruling, Status, User, Winner
from llmxrec.testing.generators import HOSTILE, MOVIES


def sample_cases(number: int, texts: int = 3, start: int = 0) -> list[Case]:
    """Cases about a film each, all different in words, with so many texts. Their keys are "c0", "c1", ..."""
    return [_case(i, [_text(i, quality) for quality in range(texts)]) for i in range(start, start + number)]


def sample_pairs(number: int, start: int = 0) -> list[Pair]:
    """Pairs in which the text that names films of the history is better than the one that says nothing, be that longer
    or shorter; each two are of one group, in the one order and in the other."""
    pairs = []
    for i in range(start, start + number):
        good, bad = _text(i // 2, 2), _text(i // 2, 0)
        winner: Winner = "first" if i % 4 in (0, 3) else "second"
        texts = [good, bad] if winner == "first" else [bad, good]
        names = ("good", "bad") if winner == "first" else ("bad", "good")
        pairs.append(Pair(_case(i // 2, texts), winner, f"g{i // 2}", names))
    return pairs


class JudgeConformance:
    """The tests. `make` gives a judge that is ready to judge: a new one, or the same one again.

    `deterministic`: the same cases get the same rulings. `drawn_ahead`: cases it may draw beyond those ruled on.
    `close`: how much probabilities of the same question may differ, where arithmetic depends on what is asked together.
    """

    deterministic = True
    drawn_ahead = 64
    close = 1e-6

    def make(self) -> Judge:
        raise NotImplementedError("say how your judge is made")

    def test_it_has_a_name(self) -> None:
        name = self.make().name
        assert name.strip() == name != ""
        assert name.isprintable()

    def test_every_two_texts_of_each_case_are_compared(self) -> None:
        for texts in (2, 3, 5):
            judge = self.make()
            cases = sample_cases(4, texts)
            asked = itertools.combinations if judge.order_free else itertools.permutations
            expected = Counter((case.key, *places) for case in cases for places in asked(range(texts), 2))
            assert Counter(_place(ruling) for ruling in judge.judge(cases)) == expected

    def test_the_rulings_of_a_case_come_together(self) -> None:
        keys = [ruling.key for ruling in self.make().judge(sample_cases(7))]
        assert sorted(key for key, _ in itertools.groupby(keys)) == [f"c{i}" for i in range(7)]

    def test_rulings_say_how_they_ended(self) -> None:
        for ruling in self.make().judge(sample_cases(5)):
            _check(ruling)

    def test_no_cases_no_rulings(self) -> None:
        assert list(self.make().judge([])) == []

    def test_cases_are_drawn_as_they_are_needed(self) -> None:
        drawn = 0

        def endless() -> Iterator[Case]:
            nonlocal drawn
            for i in itertools.count():
                drawn += 1
                yield from sample_cases(1, 2, start=i)

        judge = self.make()
        rulings = judge.judge(endless())
        assert len(list(itertools.islice(rulings, 3))) == 3
        assert drawn <= 3 + self.drawn_ahead
        _close(rulings)

    def test_it_can_be_left_and_used_again(self) -> None:
        judge = self.make()
        rulings = judge.judge(sample_cases(12))
        next(rulings)
        _close(rulings)
        assert {ruling.key for ruling in judge.judge(sample_cases(3))} == {"c0", "c1", "c2"}

    def test_two_runs_can_take_turns(self) -> None:
        judge = self.make()
        runs = zip(judge.judge(sample_cases(3)), judge.judge(sample_cases(3, start=3)), strict=True)
        assert {ruling.key for both in runs for ruling in both} == {f"c{i}" for i in range(6)}

    def test_what_the_cases_raise_comes_through(self) -> None:
        def broken() -> Iterator[Case]:
            yield from sample_cases(2)
            raise ZeroDivisionError("the caller's own")

        try:
            list(self.make().judge(broken()))
        except ZeroDivisionError as error:
            assert str(error) == "the caller's own"
        else:
            raise AssertionError("the caller's error was swallowed")

    def test_the_same_cases_get_the_same_rulings_in_any_order(self) -> None:
        if self.deterministic:
            cases = sample_cases(6)
            judge = self.make()
            self._same(list(judge.judge(cases)), list(self.make().judge(cases[::-1])))

    def test_a_comparison_does_not_depend_on_the_other_texts(self) -> None:
        if self.deterministic:
            (whole,) = sample_cases(1, 4)
            alone = replace(whole, texts=whole.texts[:2])
            kept = [r for r in self.make().judge([whole]) if max(r.first, r.second) < 2]
            self._same(kept, list(self.make().judge([alone])))

    def test_order_free_is_what_it_says(self) -> None:
        judge = self.make()
        if not judge.order_free:
            return
        for case in sample_cases(6, 2) + [_case(9, pair) for pair in itertools.permutations(HOSTILE, 2)]:
            (there,) = judge.judge([case])
            (back,) = judge.judge([replace(case, texts=case.texts[::-1])])
            assert back.winner == {"first": "second", "second": "first"}.get(there.winner or "", there.winner)
            if there.probability is not None and back.probability is not None:
                assert abs(there.probability - (1 - back.probability)) <= self.close

    def test_hostile_text_is_only_text(self) -> None:
        cases = [_case(i, [text, _text(i, 1)], title=text or "x") for i, text in enumerate(HOSTILE)]
        cases.append(_case(len(cases), list(HOSTILE)))
        cases.append(Case(f"c{len(cases)}", HOSTILE[1], (HOSTILE[0], HOSTILE[2])))
        rulings = list(self.make().judge(cases))
        assert {ruling.key for ruling in rulings} == {case.key for case in cases}
        for ruling in rulings:
            _check(ruling)

    def test_a_learner_learns_the_same_in_any_order_of_the_texts(self) -> None:
        judge = self.make()
        if not isinstance(judge, Learner) or not self.deterministic:
            return
        pairs = sample_pairs(40)
        turned: dict[Winner, Winner] = {"first": "second", "second": "first", "tie": "tie"}
        other = [replace(p, case=replace(p.case, texts=p.case.texts[::-1]), winner=turned[p.winner]) for p in pairs]
        judge.fit(pairs)
        first = list(judge.judge(sample_cases(4)))
        again = self.make()
        assert isinstance(again, Learner)
        again.fit(other)
        for a, b in zip(first, again.judge(sample_cases(4)), strict=True):
            assert (_place(a), a.winner) == (_place(b), b.winner)

    def _same(self, some: Sequence[Ruling], others: Sequence[Ruling]) -> None:
        by_place = {_place(ruling): ruling for ruling in others}
        assert len(by_place) == len(others) == len(some)
        for ruling in some:
            other = by_place[_place(ruling)]
            assert (ruling.winner, ruling.status) == (other.winner, other.status)
            if ruling.probability is not None:
                assert other.probability is not None
                assert abs(ruling.probability - other.probability) <= self.close


def _check(ruling: Ruling) -> None:
    assert ruling.first != ruling.second
    assert ruling.winner is None or ruling.winner in get_args(Winner)
    assert ruling.status in get_args(Status)
    assert (ruling.status == "ok") == (ruling.winner is not None), "unreadable is unmeasured, and nothing else is"
    ruling.raw.encode("utf-8")  # what cannot be encoded cannot be stored
    if ruling.probability is not None:
        assert 0 <= ruling.probability <= 1


def _place(ruling: Ruling) -> tuple[str, int, int]:
    return ruling.key, ruling.first, ruling.second


def _close(rulings: Iterator[Ruling]) -> None:
    """Iterators need not have a close(); those made with `yield` do."""
    close = getattr(rulings, "close", None)
    if close is not None:
        close()


def _text(number: int, quality: int) -> str:
    """The better, the more of the history it names. Of every other film, what says nothing does so at length."""
    seen = ", ".join(f'"Seen {n}"' for n in range(quality))
    because = f"You watched {seen}, and" if quality else "The customer will find that"
    ending = "." if quality else " that goes on and on and on, and further on, to the very" * (number % 2)
    return f'{because} "Candidate {number}" is a drama{ending}'


def _case(number: int, texts: Sequence[str], title: str = "") -> Case:
    history = tuple(Item(f"i{n}", f"Seen {n}", {"genre": ("drama",)}) for n in range(4))
    candidate = Item("c", title or f"Candidate {number}", {"genre": ("drama", "crime")})
    watched = "; ".join(item.title for item in history)
    asked = f"The customer watched: {watched}. Why {candidate.title}? Answer within 75 words."
    instruction = Instruction("explain", User(f"u{number}", {"age": "31"}), history, candidate)
    return Case(f"c{number}", asked, tuple(texts), instruction, MOVIES)
