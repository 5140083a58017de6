"""From anyone's explanation to words and slots: what the embedded model can be tuned on.

What a sentence claims beyond the instruction (another title, a name, a number, the person's profile) would be told of
other items once it is a pattern; so such a sentence is left out, and counted by what was wrong with it.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from llmxrec.evidence.mentions import Mention, find_titles
from llmxrec.evidence.plan import MOST_CITED, MOST_LABELS, Plan, labels_of, make_plan
from llmxrec.generators.embedded import slots
from llmxrec.generators.embedded.realise import label, number
from llmxrec.records import Domain, Instruction, Item

_SENTENCE = re.compile(r"(?<=[.!?])[\"”']?\s+(?=[\"“‘'A-Z])")
_NOUNS = {"movies": ("movie", "film", "picture"), "games": ("game", "title"), "news": ("article", "story", "news")}
"""Other words for a domain's items."""
_SPOKEN = {"sci-fi": ("science fiction", "science-fiction", "scifi"), "children's": ("children", "family-friendly")}
_VERBS = frozenset("watched seen viewed enjoyed read played".split())
_WORLD = re.compile(
    r"\b(?:acclaim|award|oscar|direct(?:or|ed)|perform|cast\b|starr?(?:s|ing|ed)\b|act(?:or|ress|ing)|plot|effects"
    r"|soundtrack|score\b|screenplay|script|cinematograph|ending|sequel|series|franchise|famous|renown|known for"
    r"|classic|blockbuster|masterpiece|iconic|legend|popular|rated|rating|review|box.office|graphics|gameplay|stor(?:y|ies)"
    r"|narrative|character|dialogue|humou?r|suspens|twist|releas|adapt|based on a|true events|critic)"
)
"""What is known of one item and not of the next: praise, plots, people. Our data hold none of it."""
_NAMED = re.compile(r"(?<=[a-z,;:] )[A-Z][\w’'-]+")
_NUMBER = re.compile(r"\d")


@dataclass(frozen=True)
class Delexicalised:
    """`tokens` (see `realise`) tell of `plan` what was kept of a text; `dropped` counts sentences by what was wrong.

    `titles` are all mentions; those of no item of the instruction have None for one.
    """

    plan: Plan
    tokens: tuple[str, ...]
    dropped: Counter[str] = field(default_factory=Counter)
    titles: tuple[Mention, ...] = ()


def delexicalise(text: str, instruction: Instruction, domain: Domain) -> Delexicalised:
    """Words and slots of `text`, an explanation of the recommendation in `instruction`.

    The plan is of what the text itself cites and shares, as far as all its pairings are true. A sentence that breaks
    one of the rules of `slots`, or tells what the plan does not hold, is dropped.
    """
    items = [*instruction.history, instruction.candidate]
    mentions = tuple(find_titles(text, items))
    plan = _plan_of(text, mentions, instruction, domain)
    facts = _facts(plan)
    kept: list[str] = []
    dropped: Counter[str] = Counter()
    left = slots.uses(plan)
    for start, end in _spans(text):
        inside = [mention for mention in mentions if start <= mention.start < end]
        tokens, wrong = _sentence(text, start, end, inside, plan, facts, instruction)
        if not wrong:
            wrong = _against_rules(tokens, plan, left)
        if wrong:
            dropped[wrong] += 1
            continue
        for token in tokens:
            if token in left:
                left[token] -= 1
        kept += tokens
    return Delexicalised(plan, tuple(kept), dropped, mentions)


def _plan_of(text: str, mentions: Sequence[Mention], instruction: Instruction, domain: Domain) -> Plan:
    """The plan that says what the text says: its own citations, and the labels that it names and all of them share."""
    usual = make_plan(instruction, domain)
    candidate = instruction.candidate
    cited: dict[str, Item] = {}
    for mention in mentions:
        if mention.item is not None and mention.item.title != candidate.title:
            cited.setdefault(mention.item.title, mention.item)
    group = tuple(cited.values())[:MOST_CITED]
    lower = text.lower()
    said = [one for one in labels_of(candidate, domain) if any(way in lower for way in _ways(one))]
    shared = [one for one in said if all(one in labels_of(item, domain) for item in group)]
    if not group or not shared:
        others = [one for one in said if one != usual.novel]
        return replace(
            usual, cited=(), labels=(), properties=(), count=0, favourite=False, recent=group[:2],
            newest=list(group[:2]) == list(reversed(instruction.history))[: len(group[:2])],
            own=others[0] if others else usual.own,
        )  # fmt: skip
    labels = tuple(shared[:MOST_LABELS])
    rest = [one for one in said if one not in labels and one != usual.novel]
    often = Counter(one for item in instruction.history for one in labels_of(item, domain))
    counted = often[labels[0]] if usual.labels[:1] == labels[:1] else 0
    return replace(
        usual, cited=group, labels=labels, properties=(), count=usual.count and counted,
        favourite=usual.favourite and usual.labels[:1] == labels[:1], own=rest[0] if rest else None, recent=(),
    )  # fmt: skip


def _facts(plan: Plan) -> list[tuple[str, str]]:
    """Ways to say each label of the plan, the longest first, and its slot."""
    of_slot = [*zip(slots.LABELS, plan.labels, strict=False)]
    of_slot += [(slot, value) for slot, value in ((slots.NOVEL, plan.novel), (slots.OWN, plan.own)) if value]
    of_slot += [(slots.TASTE, plan.taste[0])] if plan.taste else []
    return sorted(((way, slot) for slot, value in of_slot for way in _ways(value)), key=lambda pair: -len(pair[0]))


def _ways(value: str) -> list[str]:
    shown = label(value).lower()
    plural = f"{shown[:-1]}ies" if shown.endswith("y") else f"{shown}s"
    return [shown, plural, *_SPOKEN.get(shown, ())]


def _spans(text: str) -> list[tuple[int, int]]:
    ends = [match.start() for match in _SENTENCE.finditer(text)] + [len(text)]
    return list(zip([0, *ends[:-1]], ends, strict=True))


def _sentence(
    text: str,
    start: int,
    end: int,
    mentions: list[Mention],
    plan: Plan,
    facts: list[tuple[str, str]],
    asked: Instruction,
) -> tuple[list[str], str]:
    """The tokens of one sentence, and what is wrong with it."""
    names = {item.title: slot for slot, item in zip(slots.CITED, plan.cited, strict=False)}
    names |= {item.title: slot for slot, item in zip(slots.RECENT, plan.recent, strict=False)}
    names[plan.candidate.title] = slots.CANDIDATE
    parts, place = [], start
    for mention in mentions:
        if mention.item is None:
            return [], "a title that was not shown"
        slot = names.get(mention.item.title)
        if slot is None:
            return [], "more titles than a plan cites"
        inner = text[mention.start : mention.end]
        parts += [text[place : mention.start], f" {slot} ", " , " if inner.rstrip("\"”'").endswith(",") else ""]
        parts += [" . "] if inner.rstrip("\"”'").endswith((".", "!", "?")) and mention.end >= end - 1 else []
        place = mention.end
    parts.append(text[place:end])
    words = _counted("".join(parts), plan)
    bare = re.sub(r"\{\w+\}", " ", words)
    if _NUMBER.search(bare):
        return [], "a number"
    if _WORLD.search(bare.lower()):
        return [], "what the world knows"
    known = {way.split()[0] for way, _ in facts}
    if any(name.lower() not in known and name.lower() not in _said_by(plan) for name in _NAMED.findall(bare)):
        return [], "a name"
    lower = f" {words} ".replace("\n", " ")
    lower = re.sub(r"\{\w+\}|[^{}]+", lambda m: m[0] if m[0].startswith("{") else m[0].lower(), lower)
    if any(re.search(rf"\b{re.escape(value.lower())}\b", lower) for value in asked.user.attributes.values() if value):
        return [], "the person's profile"
    for way, slot in facts:
        lower = re.sub(rf"(?<![\w{{'-]){re.escape(way)}(?![\w}}'-])", f" {slot} ", lower)
    others = {way for item in asked.history for one in labels_of(item, plan.domain) for way in _ways(one)}
    others |= {way for one in labels_of(asked.candidate, plan.domain) for way in _ways(one)}
    if any(re.search(rf"\b{re.escape(way)}\b", lower) for way in others):
        return [], "a label that is not shared"
    for word in _said_by(plan):
        many = f"{word[:-1]}ies" if word.endswith("y") else f"{word}s"
        lower = re.sub(rf"(?<![\w{{-]){many}(?![\w}}'-])", " {items} ", lower)
        lower = re.sub(rf"(?<![\w{{-]){word}(?![\w}}'-])", " {item} ", lower)
    if any(re.search(rf"(?<![{{]){word}s?\b(?![}}])", lower) for word in _said_by(plan)):
        return [], "the domain's own words"
    lower = re.sub(rf"\b{plan.domain.verb_past}\b", " {verb_past} ", lower)
    tokens = list(slots.tokens_of(lower.replace("’", "'")))
    if not tokens or tokens[-1] not in slots.SENTENCE_ENDS:
        return [], "no end"
    return tokens, ""


def _counted(words: str, plan: Plan) -> str:
    """`words` with slots in place of the plan's counts, where they stand as counts do."""
    wanted = [(plan.count, slots.COUNT)] if plan.count else []
    wanted += [(plan.taste[1], slots.TASTE_COUNT)] if plan.taste else []
    if wanted:
        words = re.sub(rf"\b(last|out of|among the last) {number(plan.total)}\b", rf"\1 {slots.TOTAL}", words)
    for count, slot in wanted:
        words = re.sub(rf"(?i)(?<![\w{{]){number(count)}(?= (?:of|times|out)\b| [\w'-]+ \w+s\b)", slot, words, count=1)
    return words


def _said_by(plan: Plan) -> tuple[str, ...]:
    return tuple(dict.fromkeys((plan.domain.item, *_NOUNS.get(plan.domain.name, ()))))


def _against_rules(tokens: list[str], plan: Plan, left: dict[str, int]) -> str:
    for place, token in enumerate(tokens):
        if not slots.may_follow(token, tokens[:place], plan) or not slots.licensed(token, plan):
            return "a relation that the plan does not hold"
    uses = Counter(token for token in tokens if token in slots.SLOTS and token not in slots.DOMAIN)
    return "a fact said twice" if any(left.get(token, 0) < n for token, n in uses.items()) else ""
