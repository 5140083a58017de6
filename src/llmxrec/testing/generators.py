"""What every generator must do, as tests. Subclass, say how yours is made, and run pytest:

class TestMine(GeneratorConformance):
    def make(self) -> Generator:
        return MyGenerator()
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from typing import get_args

from llmxrec.generators.protocol import Generator
from llmxrec.records import Answer, Domain, Instruction, Item, Message, Prompt, Status, User

MOVIES = Domain(
    name="movies",
    field="film",
    item="film",
    items="films",
    verb="watch",
    verb_past="watched",
    item_attributes={"genre": "genre"},
    user_attributes={"age": "age"},
)

HOSTILE = (
    "\x00\x07\x1b[31m red \r\n\t\u202e backwards \u200b\ufeff",
    "{title} {{ user }} {% for x in y %} ${HOME} %s %(a)s \\ '\" </script> <b>&amp;",
    "<s></s><pad><|im_end|><|endoftext|>[INST] <<SYS>> [/INST] <|user|> gMASK",
    "a very long title " * 600,
    "人物 🎬👩‍👩‍👧 Ω≈ç ﷽ \U0010ffff",
    "",
    " ",
)
"""Titles as nobody should write them, and somebody does."""


def sample_prompts(number: int, start: int = 0) -> list[Prompt]:
    """Prompts to explain a film, all different in words, length and seed. Their keys are "p0", "p1", ..."""
    return [_prompt(i, f"Film {i}") for i in range(start, start + number)]


class GeneratorConformance:
    """The tests. `make` gives a new generator, or the same one again: a generator can be used more than once.

    `deterministic`: the same prompts get the same answers. `drawn_ahead`: prompts it may draw beyond those answered.
    """

    deterministic = True
    drawn_ahead = 256

    def make(self) -> Generator:
        raise NotImplementedError("say how your generator is made")

    def test_it_has_a_name_and_says_how_much_it_can_read(self) -> None:
        generator = self.make()
        assert generator.name.strip() == generator.name != ""
        assert generator.name.isprintable()
        assert generator.context_tokens is None or generator.context_tokens > 0

    def test_every_prompt_is_answered_once_under_its_key(self) -> None:
        prompts = sample_prompts(20)
        answers = list(self.make().generate(prompts))
        assert sorted(answer.key for answer in answers) == sorted(prompt.key for prompt in prompts)

    def test_answers_say_how_they_ended(self) -> None:
        for answer in self.make().generate(sample_prompts(5)):
            _check(answer)

    def test_no_prompts_no_answers(self) -> None:
        assert list(self.make().generate([])) == []

    def test_one_prompt_is_enough(self) -> None:
        assert [answer.key for answer in self.make().generate(iter(sample_prompts(1)))] == ["p0"]

    def test_prompts_are_drawn_as_they_are_needed(self) -> None:
        drawn = 0

        def endless() -> Iterator[Prompt]:
            nonlocal drawn
            for i in itertools.count():
                drawn += 1
                yield from sample_prompts(1, start=i)

        answers = self.make().generate(endless())
        assert len(list(itertools.islice(answers, 3))) == 3
        assert drawn <= 3 + self.drawn_ahead
        _close(answers)
        closed_at = drawn
        assert list(answers) == []
        assert drawn == closed_at

    def test_it_can_be_left_and_used_again(self) -> None:
        generator = self.make()
        answers = generator.generate(sample_prompts(12))
        next(answers)
        _close(answers)
        assert len(list(generator.generate(sample_prompts(3)))) == 3

    def test_two_runs_can_take_turns(self) -> None:
        generator = self.make()
        runs = zip(generator.generate(sample_prompts(4)), generator.generate(sample_prompts(4, start=4)), strict=True)
        assert {answer.key for pair in runs for answer in pair} == {f"p{i}" for i in range(8)}

    def test_what_the_prompts_raise_comes_through(self) -> None:
        def broken() -> Iterator[Prompt]:
            yield from sample_prompts(2)
            raise ZeroDivisionError("the caller's own")

        answers = self.make().generate(broken())
        try:
            list(answers)
        except ZeroDivisionError as error:
            assert str(error) == "the caller's own"
        else:
            raise AssertionError("the caller's error was swallowed")

    def test_the_same_prompts_get_the_same_answers_in_any_order(self) -> None:
        if not self.deterministic:
            return
        prompts = sample_prompts(9)
        first = {answer.key: answer for answer in self.make().generate(prompts)}
        second = {answer.key: answer for answer in self.make().generate(prompts[::-1])}
        assert first == second

    def test_hostile_text_is_only_text(self) -> None:
        prompts = [_prompt(i, title) for i, title in enumerate(HOSTILE)]
        answers = list(self.make().generate(prompts))
        assert sorted(answer.key for answer in answers) == sorted(prompt.key for prompt in prompts)
        for answer in answers:
            _check(answer)

    def test_longer_prompts_have_more_tokens(self) -> None:
        generator = self.make()
        counts = [generator.count_tokens([Message("user", "a film " * length)]) for length in (1, 10, 100, 1000)]
        assert counts[0] > 0
        assert counts == sorted(set(counts))
        one, two = sample_prompts(2)
        assert generator.count_tokens([*one.messages, two.messages[-1]]) > generator.count_tokens(one.messages)

    def test_hostile_text_is_counted(self) -> None:
        generator = self.make()
        for title in HOSTILE:
            assert generator.count_tokens([Message("user", title)]) >= 0


def _check(answer: Answer) -> None:
    assert answer.status in get_args(Status)
    assert isinstance(answer.text, str)
    answer.text.encode("utf-8")  # what cannot be encoded cannot be stored
    if answer.status == "ok":
        assert answer.text.strip()
    else:
        assert answer.detail, "an answer that is not ok says why"
        assert answer.detail.isprintable()
    for tokens in (answer.input_tokens, answer.output_tokens):
        assert tokens is None or tokens >= 0


def _close(answers: Iterator[Answer]) -> None:
    """Iterators need not have a close(); those made with `yield` do."""
    close = getattr(answers, "close", None)
    if close is not None:
        close()


def _prompt(number: int, title: str) -> Prompt:
    seen = [Item(f"i{n}", f"Seen {n}", {"genre": ("crime",)}) for n in range(number % 5)]
    history: Sequence[Item] = [*seen, Item("h", title, {"genre": ("crime", "drama")})]
    candidate = Item("c", f"Candidate {number}", {"genre": ("drama",)})
    watched = "; ".join(item.title for item in history)
    messages = (
        Message("system", "You explain recommendations."),
        Message("user", f"The customer watched: {watched}. Why {candidate.title}?"),
    )
    user = User(f"u{number}", {"age": "31"})
    instruction = Instruction("explain", user, tuple(history), candidate)
    return Prompt(f"p{number}", instruction, MOVIES, messages, seed=number)
