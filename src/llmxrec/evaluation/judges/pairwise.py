"""The paper's discriminator (section 3.3, equation 4): a language model that says which explanation is better."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import permutations

from pydantic import Field

from llmxrec.errors import InputError, WorkError
from llmxrec.evaluation.judges.local import Branch, LocalReader, Tokens, over_room, read_words
from llmxrec.generators.cards import listed
from llmxrec.generators.protocol import Generator
from llmxrec.generators.replies import speakable
from llmxrec.generators.specs import GenerationSettings, make_generator, read_spec
from llmxrec.generators.transformers_local import TransformersGenerator
from llmxrec.records import Answer, Case, Domain, Instruction, Item, Message, Prompt, Ruling, Status, User, Winner
from llmxrec.settings import check

ANSWERS = ("1", "2")
_LONGEST = 200
"""Characters. A longer answer says more than which is better."""
_WRAPPING = re.compile(r"""[\s"'`*_“”‘’«»()\[\]{}<>]+""")
_ANSWER = re.compile(
    r"(?:(?:the |my )?(?:better |best |superior |preferred |final )?"
    r"(?:answer|choice|verdict|winner|output|explanation|one)(?: is| would be)? ?[:=]? ?)?"
    r"(?:the )?(?:explanation|option|number)? ?[#:]? ?"
    r"\b([12])\b"
    r"(?: is (?:the )?(?:better|best|superior)(?: explanation| one)?)? ?[.!]?",
    re.IGNORECASE | re.ASCII,
)
_NO_DOMAIN = Domain("", "", "", "", "", "", {}, {})
_NO_INSTRUCTION = Instruction("explain", User(""), (), Item("", ""))


class PairwiseSettings(GenerationSettings):
    """How the model is run or asked; what concerns drawing words has no effect on a model that runs here."""

    max_tokens: int = Field(default=16, ge=1)
    """Tokens an answer may have; a longer one is cut and marked `truncated`. One that runs here writes none."""
    batch_size: int = Field(default=32, ge=1)
    """Ordered pairs read at a time (hf: only)."""
    least_mass: float = Field(default=0.0, ge=0, le=1)
    """Probability that "1" and "2" must have together; below, the answer is `invalid` (hf: only)."""


class PairwiseJudge:
    """Asks the model of a generator's spec (`hf:NAME_OR_PATH+ADAPTER`, `openai:MODEL`), or a generator, for the better
    of each two texts, in both orders.

    A model that runs here is not made to write: the probability of the first text is that of the token "1" against
    "2" where the answer would begin (softmax over the two), and `raw` says what probability both had together among
    all tokens ("mass 0.93"): near 0, the model meant to say something else, and its choice means little. Prompts of a
    case share the computation of what they begin with (see LocalReader). A prompt beyond the model's window is
    `invalid`.

    Any other model is asked in words, and its answer read by `read_answer`. Answers of cases that are left behind when
    the run stops (WorkError) are given out first, with `failed` for those that did not come.
    """

    order_free = False

    def __init__(self, model: str | Generator, *, name: str = "pairwise", **settings: object) -> None:
        self.name = name
        self.settings = check(PairwiseSettings, settings, "the pairwise: judge")
        self.groups: frozenset[str] = frozenset()
        if isinstance(model, str):
            if not model or read_spec(model).kind in ("embedded", "template"):
                raise InputError(
                    "a pairwise: judge asks a language model",
                    value=name,
                    cure="use pairwise:hf:NAME_OR_PATH or pairwise:openai:MODEL",
                )
            self.groups = listed(read_spec(model).adapter, "groups")
            model = make_generator(model, self.settings)
        self.generator = model
        self._words = read_words("pairwise")
        if isinstance(model, TransformersGenerator):
            self._reader = LocalReader(model, self.settings.batch_size)
            self._tokens = Tokens(model.tokenizer, self._words, ANSWERS)

    def judge(self, cases: Iterable[Case]) -> Iterator[Ruling]:
        if not isinstance(self.generator, TransformersGenerator):
            yield from self._asked(cases)
            return
        for case in cases:
            yield from self._read(case)

    def prompt(self, asked: str, first: str, second: str) -> list[int]:
        """The tokens of one question, up to where the answer begins: what a model that runs here is asked, or tuned
        on."""
        trunk, between, end = self._tokens.fixed[0], self._tokens.fixed[2], self._tokens.fixed[3]
        trunk = [*trunk, *self._tokens.text(asked), *self._tokens.fixed[1]]
        return [*trunk, *self._tokens.text(first), *between, *self._tokens.text(second), *end]

    @property
    def answer_tokens(self) -> tuple[int, int]:
        """The tokens of "1" and "2" where the answer begins, of a model that runs here."""
        one, two = self._tokens.answers
        return one, two

    def _read(self, case: Case) -> Iterator[Ruling]:
        opening, before, between, end = self._tokens.fixed
        trunk = [*opening, *self._tokens.text(case.asked), *before]
        texts = [self._tokens.text(text) for text in case.texts]
        rulings: dict[tuple[int, int], Ruling] = {}
        branches, places = [], []
        for first, stem in enumerate(texts):
            twigs = []
            for second, twig in enumerate(texts):
                if first == second:
                    continue
                length = len(trunk) + len(stem) + len(between) + len(twig) + len(end)
                if why := over_room(self.generator.context_tokens, length):
                    rulings[first, second] = Ruling(case.key, first, second, None, None, "invalid", why)
                else:
                    twigs.append([*twig, *end])
                    places.append((first, second))
            if twigs:
                branches.append(Branch([*stem, *between], twigs))
        if branches:
            _, logits = self._reader.read(trunk, branches)
            of_two = logits[:, self._tokens.answers]
            firsts = of_two.softmax(dim=-1)[:, 0].tolist()
            masses = (of_two.logsumexp(dim=-1) - logits.logsumexp(dim=-1)).exp().tolist()
            for (first, second), probability, mass in zip(places, firsts, masses, strict=True):
                rulings[first, second] = self._ruling(case.key, first, second, probability, mass)
        for place in permutations(range(len(texts)), 2):
            yield rulings[place]

    def _ruling(self, key: str, first: int, second: int, probability: float, mass: float) -> Ruling:
        if math.isnan(probability) or math.isnan(mass):
            return Ruling(key, first, second, None, None, "invalid", "the model's logits are no numbers")
        raw = f"mass {mass:.3g}"
        if mass < self.settings.least_mass:
            return Ruling(key, first, second, None, None, "invalid", raw)
        winner: Winner = "tie" if probability == 0.5 else "first" if probability > 0.5 else "second"
        return Ruling(key, first, second, winner, probability, "ok", raw)

    def _asked(self, cases: Iterable[Case]) -> Iterator[Ruling]:
        """Answers come in any order: each case waits for its last one, and for the cases before it."""
        open_cases: dict[int, Case] = {}
        rulings: dict[int, dict[tuple[int, int], Ruling]] = {}
        expected: dict[int, int] = {}

        def prompts() -> Iterator[Prompt]:
            for number, case in enumerate(cases):
                open_cases[number], rulings[number] = case, {}
                places = list(permutations(range(len(case.texts)), 2))
                expected[number] = len(places)
                for first, second in places:
                    words = self._words.filled(case.asked, case.texts[first], case.texts[second])
                    messages = (Message("user", words),)
                    if why := self._over_room(messages):
                        ruling = Ruling(case.key, first, second, None, None, "invalid", why)
                        rulings[number][first, second] = ruling
                        continue
                    yield Prompt(
                        f"{number}/{first}/{second}",
                        case.instruction or _NO_INSTRUCTION,
                        case.domain or _NO_DOMAIN,
                        messages,
                    )

        def given_out(whole: bool) -> Iterator[Ruling]:
            while open_cases:
                number = next(iter(open_cases))
                if whole and len(rulings[number]) < expected[number]:
                    return
                case, known = open_cases.pop(number), rulings.pop(number)
                for first, second in permutations(range(len(case.texts)), 2) if known else ():
                    missing = Ruling(case.key, first, second, None, None, "failed", "the run stopped before the answer")
                    yield known.get((first, second), missing)

        try:
            for answer in self.generator.generate(prompts()):
                number, first, second = map(int, answer.key.split("/"))
                rulings[number][first, second] = ruled(open_cases[number].key, first, second, answer)
                yield from given_out(whole=True)
        except WorkError:
            yield from given_out(whole=False)
            raise
        yield from given_out(whole=True)

    def _over_room(self, messages: Sequence[Message]) -> str:
        room = self.generator.context_tokens
        return "" if room is None else over_room(room, self.generator.count_tokens(messages))


def ruled(key: str, first: int, second: int, answer: Answer) -> Ruling:
    """What a model said in words, as a ruling."""
    raw = speakable(answer.text or answer.detail or "")
    if answer.status != "ok":
        return Ruling(key, first, second, None, None, answer.status, raw)
    winner = read_answer(answer.text)
    status: Status = "invalid" if winner is None else "ok"
    return Ruling(key, first, second, winner, None, status, raw)


def read_answer(text: str) -> Winner | None:
    """Which one an answer in words says is better; None where it does not say exactly one of 1 and 2, and nothing else.

    Quotation marks, brackets, emphasis and a few set phrases around the number are harmless.

    >>> read_answer("**Explanation 2**"), read_answer('{"answer": 1}'), read_answer("12"), read_answer("1 or 2")
    ('second', 'first', None, None)
    """
    if len(text) > _LONGEST:
        return None
    match = _ANSWER.fullmatch(_WRAPPING.sub(" ", text).strip())
    if match is None:
        return None
    return "first" if match[1] == "1" else "second"
