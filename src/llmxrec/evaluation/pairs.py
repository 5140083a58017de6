"""Labelled pairs of explanations, as files hold them, and who wrote what in those that the paper's authors released."""

from __future__ import annotations

import hashlib
import math
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cache, lru_cache
from importlib import resources
from itertools import pairwise, permutations
from pathlib import Path
from typing import Any

import polars as pl

from llmxrec.datasets.domains import BUNDLED, load_domain, told_domain
from llmxrec.datasets.textfiles import read_json_rows, whole_characters
from llmxrec.errors import InputError
from llmxrec.prompts.released import parse_released
from llmxrec.prompts.template import Template, load_template
from llmxrec.records import Case, Domain, Instruction, Item, Message, Pair, User, Winner

_RELEASED = re.compile(
    r"-{5,} ?Instruction ?-{5,}\n(.*?)\n*"
    r"-{5,} ?Explanation 1 ?-{5,}\n(.*?)\n?-{5,} ?Explanation 2 ?-{5,}\n(.*?)\n?-{5,}\s*",
    re.DOTALL,
)
_LABELS: Mapping[str, Winner] = {"1": "first", "2": "second", "tie": "tie"}
_OURS = ("instruction", "explanation_1", "explanation_2", "label")

ANNOTATED = "annotated"
"""Stands for the pairs that were labelled for this project; see the account beside them."""

_GENERATORS = {"LLaMA2": "LLaMA", "ChatGLM2": "ChatGLM", "GPT3.5": "GPT-3.5", "GPT4": "GPT-4", "SFT": "LLMXRec"}
"""The authors' folders -> the generators' names in the paper."""

_TUNED = "LLMXRec"
"""Tuned on GPT-4's explanations and writing as it does, after the pairs had been labelled."""

_TEXT = ("response", "output", "answer")
_MOST_READ = 3000
"""Texts of a generator from which its style is learned: more tell little more."""
_MARGIN = math.log(1000)
"""How much likelier than any other way of giving out names the likeliest has to be."""


def labelled(source: Path) -> Path:
    """The file of labelled pairs that `source` is, or that the word `annotated` stands for."""
    if str(source) != ANNOTATED or source.exists():
        return source
    return Path(str(resources.files("llmxrec.evaluation") / "annotations" / "movies.jsonl"))


def read_pairs(file: Path, release: ReleasedTexts | None = None) -> list[Pair]:
    """The labelled pairs of `file`, in its order; or those labelled for this project, of the word `annotated`.

    JSON lines, or one JSON array, of rows of any kind: the authors' (`instruction` holds the prompt and both
    explanations between dashed headers, `output` is 1 or 2); ours: instruction, explanation_1, explanation_2, label
    (1, 2 or "tie"), and if known generator_1, generator_2, group and domain (see `told_domain`); or all of one
    recommendation together: domain, history, candidate, texts by generator, and labels, each two generators and which
    is better (see `annotated`). An instruction in the words of the template `paper` is read back, in its domain where
    the row tells it, else in any of those that come with the library; so is one of the authors'. Where rows do not say
    who wrote the texts, `release` tells, or the copy of the authors' repository in which the file lies. Raises
    InputError, with the line, for any other row.
    """
    return read_named_pairs(file, release).pairs


def read_named_pairs(file: Path, release: ReleasedTexts | None = None) -> NamedPairs:
    """As `read_pairs`, with how many texts were named, and how."""
    file = labelled(file)
    pairs = [
        pair
        for number, (row, place) in enumerate(read_json_rows(file))
        for pair in (_compared(number, row, place) if _is_whole(row) else [_pair(number, row, place)])
    ]
    if not pairs:
        raise InputError("the file holds no pairs", file=file, cure="give JSON lines, a pair each")
    release = release or ReleasedTexts.near(file)
    if release is None:
        texts = {_text_key(pair, place): pair.generators[place] for pair in pairs for place in (0, 1)}
        return NamedPairs(pairs, len(texts), said=sum(map(bool, texts.values())))
    return release.name(pairs)


@dataclass(frozen=True)
class NamedPairs:
    """Pairs, and of their `texts` distinct texts, of how many the generator is known: the row `said` so, the release
    holds the same text (`found`), or it is in the style of that one only (`by_style`).

    `agreement` is the share of texts found in the release on which their style alone, learned without them, agrees;
    None where none was found.
    """

    pairs: list[Pair]
    texts: int
    said: int = 0
    found: int = 0
    by_style: int = 0
    agreement: float | None = None

    def __str__(self) -> str:
        known = self.said + self.found + self.by_style
        if not known:
            return f"{len(self.pairs):,} pairs of {self.texts:,} texts; who wrote them is not known"
        ways = {"said by the file": self.said, "found in the release": self.found, "by style": self.by_style}
        how = ", ".join(f"{count:,} {way}" for way, count in ways.items() if count)
        sure = (
            ""
            if self.agreement is None or not self.by_style
            else f"; style agrees on {self.agreement:.1%} of those found"
        )
        share = f"{known / self.texts:.0%} have a known author ({how}{sure})"
        return f"{len(self.pairs):,} pairs of {self.texts:,} texts; {share}"


@dataclass(frozen=True)
class ReleasedTexts:
    """Explanations that the authors released, by generator: what tells who wrote a text of unknown origin."""

    texts: Mapping[str, tuple[str, ...]]

    @classmethod
    def near(cls, file: Path) -> ReleasedTexts | None:
        """Of the copy of the authors' repository that `file` lies in, whatever of it is there; None elsewhere."""
        for folder in file.resolve().parents:
            if any((folder / "src" / part).is_dir() for part in ("gen_exp_4_model", "gen_exp_5_model")):
                return _released(folder / "src")
        return None

    def name(self, pairs: Sequence[Pair]) -> NamedPairs:
        """`pairs` with the generators of their texts, as far as they can be told.

        A text that one generator wrote, word for word, is its. The texts of one group are by different generators:
        they get the names under which they are likeliest, in words and pairs of words, each name once, where that is
        1,000 times likelier than in any other way. Generators tuned on another's texts are told word for word only.
        """
        names = {key: name for pair in pairs for key, name in zip(_keys(pair), pair.generators, strict=True)}
        said = sum(map(bool, names.values()))
        owners: dict[str, set[str]] = {}
        for generator, texts in self.texts.items():
            for text in texts:
                owners.setdefault(_words(text), set()).add(generator)
        words = {key: _words(text) for pair in pairs for key, text in zip(_keys(pair), pair.case.texts, strict=True)}
        groups: dict[str, list[tuple[str, str]]] = {}
        for key in names:
            groups.setdefault(key[0], []).append(key)
        found = {key: next(iter(owners[words[key]])) for key in names if len(owners.get(words[key], ())) == 1}
        style = _Style.of({g: t for g, t in self.texts.items() if g != _TUNED}, set(words.values()))
        by_style = {key: name for keys in groups.values() for key, name in style.give_out(keys, words).items()}
        both = [key for key in found if key in by_style]
        fixed = {key: name or found.get(key, "") for key, name in names.items()}
        for keys in groups.values():
            unknown = [key for key in keys if not fixed[key]]
            taken = {fixed[key] for key in keys}
            for key in unknown:
                if by_style.get(key, "") not in taken:
                    fixed[key] = by_style.get(key, "")
        named = [replace(pair, generators=(fixed[_keys(pair)[0]], fixed[_keys(pair)[1]])) for pair in pairs]
        n_found = sum(not names[key] for key in found)
        return NamedPairs(
            named,
            len(names),
            said,
            n_found,
            sum(map(bool, fixed.values())) - said - n_found,
            sum(found[key] == by_style[key] for key in both) / len(both) if both else None,
        )


class _Style:
    """How often each generator uses words and pairs of words: a multinomial model, with one added to each count."""

    def __init__(self, counts: Mapping[str, Counter[str]]) -> None:
        vocabulary = len(set().union(*counts.values()))
        self.counts = counts
        self.totals = {generator: count.total() + vocabulary for generator, count in counts.items()}

    @classmethod
    def of(cls, texts: Mapping[str, Sequence[str]], without: set[str]) -> _Style:
        """Learned from `texts`, save those whose words are in `without`."""
        counts: dict[str, Counter[str]] = {}
        for generator, its in texts.items():
            every = max(1, len(its) // _MOST_READ)
            counts[generator] = Counter()
            for text in its[::every]:
                if (words := _words(text)) not in without:
                    counts[generator].update(_terms(words))
        return cls({generator: count for generator, count in counts.items() if count})

    def give_out(
        self, keys: Sequence[tuple[str, str]], words: Mapping[tuple[str, str], str]
    ) -> dict[tuple[str, str], str]:
        """Names for the texts `keys` of one group, where one way of giving them out is by far the likeliest."""
        if len(keys) > len(self.counts) or len(self.counts) > 6:
            return {}
        scores = [{name: self._likelihood(words[key], name) for name in self.counts} for key in keys]
        ways = sorted(
            (
                (sum(score[name] for score, name in zip(scores, way, strict=True)), way)
                for way in permutations(self.counts, len(keys))
            ),
            reverse=True,
        )
        if len(ways) < 2 or ways[0][0] - ways[1][0] < _MARGIN:
            return {}
        return dict(zip(keys, ways[0][1], strict=True))

    def _likelihood(self, words: str, generator: str) -> float:
        counts, total = self.counts[generator], self.totals[generator]
        return sum(math.log((counts[term] + 1) / total) for term in _terms(words))


@cache
def _released(source: Path) -> ReleasedTexts:
    texts: dict[str, list[str]] = {}
    for file in sorted(source.glob("gen_exp_*/results/**/results.csv")):
        generator = next((_GENERATORS[part] for part in file.parts[::-1] if part in _GENERATORS), None)
        if generator is not None:
            texts.setdefault(generator, []).extend(_answers(file))
    return ReleasedTexts({generator: tuple(its) for generator, its in texts.items()})


def _answers(file: Path) -> list[str]:
    """The texts of a released file of answers; none of one that is damaged: names are a help, not a need."""
    try:
        table = pl.read_csv(file, infer_schema=False)
    except pl.exceptions.PolarsError:
        return []
    column = next((name for name in _TEXT if name in table.columns), None)
    return [] if column is None else table[column].drop_nulls().to_list()


def _pair(number: int, row: Any, place: dict[str, Any]) -> Pair:
    if not isinstance(row, dict):
        raise InputError("a pair is a JSON object", value=row, **place)
    fields = {key: whole_characters(value) if isinstance(value, str) else value for key, value in row.items()}
    if "output" in fields and "label" not in fields:
        match = _RELEASED.fullmatch(fields["instruction"]) if isinstance(fields.get("instruction"), str) else None
        if match is None:
            rule = "'instruction' has a prompt and two explanations under headers of dashes"
            raise InputError(rule, value=fields.get("instruction"), **place)
        asked, first, second = match.groups()
        winner = _winner(fields["output"], "output", place)
    else:
        for name in _OURS:
            if name not in fields:
                raise InputError(f"a pair has {', '.join(_OURS)}", value=sorted(fields), cure=f"add '{name}'", **place)
        for name in (*_OURS[:3], "generator_1", "generator_2", "group"):
            if not isinstance(fields.get(name) or "", str):
                raise InputError(f"'{name}' is text", value=fields[name], **place)
        asked, first, second = (fields[name] or "" for name in _OURS[:3])
        winner = _winner(fields["label"], "label", place)
    told = fields.get("domain")
    instruction, domain = _parsed(asked) if told is None else _parsed_in(asked, _domain(told, place))
    return Pair(
        Case(f"{number}", asked, (first, second), instruction, domain),
        winner,
        fields.get("group") or group_of(asked),
        (fields.get("generator_1") or "", fields.get("generator_2") or ""),
    )


def _is_whole(row: Any) -> bool:
    """Whether a row has all of one recommendation together."""
    return isinstance(row, dict) and "labels" in row


def _compared(number: int, row: Mapping[str, Any], place: dict[str, Any]) -> Iterator[Pair]:
    """The pairs of a row that has all of one recommendation; they share its group."""
    try:
        domain = _domain(row["domain"], place)
        history = tuple(map(_item, row["history"]))
        instruction = Instruction("explain", User(""), history, _item(row["candidate"]))
        asked = _ours().words(instruction, domain)
        for count, (first, second, label) in enumerate(row["labels"]):
            texts = _text(row["texts"][first]), _text(row["texts"][second])
            case = Case(f"{number}/{count}", asked, texts, instruction, domain)
            yield Pair(case, _winner(label, "label", place), group_of(asked), (first, second))
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        rule = "a row with labels has a domain, a history, a candidate and texts, and each label two of these"
        raise InputError(f"{rule}: {error!r}", **place) from None


def _item(told: Mapping[str, Any]) -> Item:
    attributes = {name: tuple(map(_text, values)) for name, values in told.get("attributes", {}).items()}
    return Item(_text(told.get("item_id", "")), _text(told["title"]), attributes)


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError(f"text is wanted, not {value!r}")
    return whole_characters(value)


def _domain(told: object, place: dict[str, Any]) -> Domain:
    try:
        return told_domain(told, "domain")
    except InputError as error:
        raise InputError(error.rule, value=error.value, cure=error.cure, **place) from None


def _winner(value: Any, name: str, place: dict[str, Any]) -> Winner:
    spelled = str(value).strip().casefold()
    if isinstance(value, bool) or spelled not in _LABELS or (name == "output" and spelled == "tie"):
        rule = "'output' is 1 or 2" if name == "output" else "'label' is 1, 2 or tie"
        raise InputError(rule, value=value, **place)
    return _LABELS[spelled]


@lru_cache(4096)
def _parsed(asked: str) -> tuple[Instruction | None, Domain | None]:
    """What `asked` says in words: the authors', or ours about what the library knows; None where it is neither."""
    with suppress(InputError):
        return parse_released(asked)
    found = (_parsed_in(asked, load_domain(name)) for name in BUNDLED)
    return next((one for one in found if one[0]), (None, None))


def _parsed_in(asked: str, domain: Domain) -> tuple[Instruction | None, Domain | None]:
    """What `asked` says in our words about things of `domain`; None where it does not."""
    try:
        return _ours().parse((Message("user", asked),), domain), domain
    except InputError:
        return None, None


@cache
def _ours() -> Template:
    return load_template("paper")


def group_of(asked: str) -> str:
    """A digest of the words of an instruction: pairs that share it are about one recommendation.

    Signs that are not ASCII do not count where half of the letters are: the authors' files spell some of one prompt
    in two ways, by a wrong encoding.
    """
    words = re.findall(r"\w+", asked.casefold())
    plain = re.findall(r"[a-z0-9]+", asked.casefold())
    if 2 * sum(map(len, plain)) >= sum(map(len, words)):
        words = plain
    return hashlib.blake2b(" ".join(words).encode(), digest_size=8).hexdigest()


def groups_of(pairs: Iterable[Pair]) -> frozenset[str]:
    """The recommendations that `pairs` are about, as digests that tell them in other files too (see `seen_in`): of the
    words of the instruction, and behind a "/" of the group's name where the file gave it one."""
    return frozenset(map(_recommendation, pairs))


def seen_in(groups: frozenset[str], pairs: Iterable[Pair]) -> frozenset[str]:
    """Those groups of `pairs` that are about a recommendation of `groups` (of `groups_of`).

    It is the same where the words of the instruction are, and the group's name too if both files name theirs: many
    instructions may read alike.
    """
    words = {group.partition("/")[0] for group in groups}
    seen = set()
    for pair in pairs:
        own = _recommendation(pair)
        asked, _, name = own.partition("/")
        if own in groups or asked in groups or (not name and asked in words):
            seen.add(pair.group)
    return frozenset(seen)


def _recommendation(pair: Pair) -> str:
    words = group_of(pair.case.asked)
    return words if pair.group == words else f"{words}/{group_of(pair.group)}"


def _keys(pair: Pair) -> tuple[tuple[str, str], tuple[str, str]]:
    return _text_key(pair, 0), _text_key(pair, 1)


def _text_key(pair: Pair, place: int) -> tuple[str, str]:
    return pair.group, _words(pair.case.texts[place])


def _words(text: str) -> str:
    return " ".join(text.split())


def _terms(words: str) -> list[str]:
    single = re.findall(r"\w+|[!?,.]", words.casefold())
    return single + [f"{a} {b}" for a, b in pairwise(single)]
