"""From anyone's explanation to words and slots: what the embedded model can be tuned on.

What a sentence claims beyond the instruction (another title, a name, a number, the person's profile) would be told of
other items once it is a pattern. So it is taken out where the sentence stands without it, as a member of a list or as a
part between commas; else the sentence is left out, and counted by what was wrong with it.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import combinations, pairwise

from llmxrec.evidence.mentions import Mention, find_titles
from llmxrec.evidence.plan import MOST_CITED, MOST_LABELS, Plan, labels_of, make_plan
from llmxrec.generators.embedded import slots
from llmxrec.generators.embedded.phrases import known_phrases, phrases_of
from llmxrec.generators.embedded.realise import label, number
from llmxrec.records import Domain, Instruction, Item

_SENTENCE = re.compile(r"(?<=[.!?])[\"”']?\s+(?=[\"“‘'A-Z])")
_NOUNS = {"movies": ("movie", "film", "picture"), "games": ("game", "title"), "news": ("article", "story", "news")}
"""Other words for a domain's items."""
_SPOKEN = {"sci-fi": ("science fiction", "science-fiction", "scifi"), "children's": ("children", "family-friendly")}
_MOST_IN_WORDS = 12
"""The largest number that prose tells in a word."""
_MOST_WEIGHED = 6
"""Cited titles that are weighed for a plan."""
_WORLD = re.compile(
    r"\b(?:acclaim|award|oscar|direct(?:or|ed)|perform|cast\b|starr?(?:s|ing|ed)\b|act(?:or|ress|ing)|plot|effects"
    r"|soundtrack|score\b|screenplay|script|cinematograph|ending|sequel|series|franchise|famous|renown|known for"
    r"|classic|blockbuster|masterpiece|iconic|legend|popular|rated|rating|review|box.office|graphics|gameplay|stor(?:y|ies)"
    r"|excellen|masterful|well-(?:crafted|made|acted|written)|gripping|intens|brilliant|superb|outstanding|stunning|epic\b"
    r"|narrative|character|dialogue|humou?r|suspens|twist|releas|adapt|based on a|true events|critic)"
)
"""What is known of one item and not of the next: praise, plots, people. Our data hold none of it."""
_NAMED = re.compile(r"(?<=[a-z,;:] )[A-Z][\w’'-]+")
_NUMBER = re.compile(r"[^\s{}]*\d[^\s{}]*")

_WRONG = {
    "{x_title}": "a title that was not shown",
    "{x_more}": "more titles than a plan cites",
    "{x_label}": "a label that is not shared",
    "{x_number}": "a number",
    "{x_world}": "what the world knows",
    "{x_name}": "a name",
    "{x_profile}": "the person's profile",
    "{x_domain}": "the domain's own words",
}
"""Stand in a sentence for what may not be said; and what that is."""
_RELATION, _TWICE, _UNKNOWN = "a relation that the plan does not hold", "a fact said twice", "a word that is not known"
_NO_END, _COUNTS, _REFERS = "no end", "a claim of number or order", "what was said in a sentence that is left out"
_CLAIMS = frozenset(
    "all both each every only single sole alone half most none nothing nobody never no once twice pair two three four "
    "first second third fourth between before began begins begin started end ends ended row run streak overlap same "
    "exactly just year years free other others either neither always last latest newest recent recently lately".split()
)
"""Words that count, order or exclude. What they say of one plan is false of the next, but in the sentences that the
shipped model was trained on, which were written to be true of every plan that has their slots."""
_ORDER = frozenset("last latest newest recent recently lately".split())
"""Those of them that of cited items are true where "the last {total}" is meant alone."""
_PLURAL = frozenset("are were have come".split())
"""What only some labels can stand before: puzzles are, horror is."""
_POINTS = frozenset("that those these them they one both such".split())
_GOES_ON = frozenset("and so but or which then because is are was were".split())
"""Words that point to the sentence before, anywhere in a sentence and where it begins."""
_OPEN = frozenset("a an the of to with and or for from by have has had is are was were does do not".split())
"""Words that no sentence ends with: what they lead to was taken out."""

_TITLES = frozenset((slots.CANDIDATE, *slots.CITED, *slots.RECENT, "{x_title}", "{x_more}"))
_LABELS = frozenset((*slots.LABELS, slots.NOVEL, slots.OWN, slots.TASTE, "{x_label}"))
_JOINS = frozenset((",", "and", "or", "as", "well"))
_SUBJECTS = frozenset(
    ("you", "it", "this", "these", "that", "we", "i", "the", "your", "its", "there", "both", "all", slots.CANDIDATE)
)
_UNDER = frozenset(
    "as given since if because while with based considering like just from for having due after when although though "
    "by to whether being knowing seeing".split()
)
"""Words that begin a clause which cannot stand alone."""
_FINITE = re.compile(
    r"\b(?:is|are|was|were|will|would|should|might|may|can|could|must|has|have|had|do|does|enjoy(?:s|ed)?|offers?|shares?"
    r"|combines?|blends?|mix(?:es)?|fits?|aligns?|suits?|match(?:es)?|love[sd]?|like[sd]?|promises|delivers|provides|brings"
    r"|features|appeals|seems?|recommend|suggest|presents|falls|caters|continues|echoes|appreciated?|showcases|resonates"
    r"|it's|you're|you've|you'll|that's|there's|we've|i've)\b|(?:'s|'re|'ve|'ll|'d)\b|\{verb_past\}"
)


@dataclass(frozen=True)
class Delexicalised:
    """`tokens` (see `realise`) tell of `plan` what was kept of a text; `dropped` counts sentences by what was wrong.

    `titles` are all mentions; those of no item of the instruction have None for one.
    """

    plan: Plan
    tokens: tuple[str, ...]
    dropped: Counter[str] = field(default_factory=Counter)
    titles: tuple[Mention, ...] = ()


def delexicalise(
    text: str, instruction: Instruction, domain: Domain, *, knows: Callable[[str], bool] | None = None
) -> Delexicalised:
    """Words and slots of `text`, an explanation of the recommendation in `instruction`.

    The plan is of what the text itself cites and shares, as far as all its pairings are true. What breaks one of the
    rules of `slots`, tells what the plan does not hold, or has a word that the model does not know (`knows`; None: it
    knows all) is taken out, or its sentence dropped.
    """
    items = [*instruction.history, instruction.candidate]
    mentions = tuple(find_titles(text, items))
    plan = _plan_of(text, mentions, instruction, domain)
    facts = _facts(plan)
    kept: list[str] = []
    dropped: Counter[str] = Counter()
    left = slots.uses(plan)
    gap = False  # whether the sentence before was left out
    for start, end in _spans(text, mentions):
        inside = [mention for mention in mentions if start <= mention.start < end]
        marked = _sentence(text, start, end, inside, plan, facts, instruction)

        def wrong_with(tokens: Sequence[str], gap: bool = gap) -> str:
            marks = [_WRONG[token] for token in tokens if token in _WRONG]
            if marks:
                return marks[0]
            if knows is not None and not all(map(knows, tokens)):
                return _UNKNOWN
            if tokens[-2:-1] and tokens[-2] in _OPEN:
                return _NO_END
            if gap and refers(tokens):
                return _REFERS
            return _against_rules(tokens, plan, left) or (_COUNTS if _claims(tokens) else "")

        if not marked or marked[-1] not in slots.SENTENCE_ENDS:
            dropped[_NO_END] += 1
            gap = True
            continue
        wrong = wrong_with(marked)
        tokens = marked
        if wrong:
            tokens = next((one for one in _shorter(_pruned(marked)) if not wrong_with(one)), [])
        gap = not tokens
        if not tokens:
            dropped[wrong] += 1
            continue
        for token in tokens:
            if token in left:
                left[token] -= 1
        kept += tokens
    return Delexicalised(plan, tuple(kept), dropped, mentions)


def refers(sentence: Sequence[str]) -> bool:
    """Whether a sentence, in tokens, needs the one before it to be understood. "It" does not: it is the candidate."""
    return (
        sentence[0] in _GOES_ON
        or not _POINTS.isdisjoint(sentence)
        or any(
            pair == ("has", "it") or (pair[0] == "this" and pair[1] not in slots.DOMAIN) for pair in pairwise(sentence)
        )
    )


def _claims(sentence: Sequence[str]) -> bool:
    """Whether a sentence, in tokens, counts, orders or speaks of many otherwise than the shipped model does."""
    if any(one in _LABELS and other in _PLURAL for one, other in pairwise(sentence)):
        return True  # "puzzles are": of the next label it would be wrong
    cites = not {*slots.CITED}.isdisjoint(sentence)
    for *before, word, after in phrases_of([sentence]):
        if word in _CLAIMS and (*before, word, after) not in known_phrases():
            return True
        if cites and word in _ORDER and after != slots.TOTAL:
            return True
    return False


def _pruned(tokens: Sequence[str]) -> list[str]:
    """Without those members of lists that may not be said, where others stay: "{A} , {x_label} and {B}"."""
    out: list[str] = []
    place = 0
    while place < len(tokens):
        kind = next((kind for kind in (_TITLES, _LABELS) if tokens[place] in kind), None)
        if kind is None:
            out.append(tokens[place])
            place += 1
            continue
        members, end = [tokens[place]], place + 1
        while end < len(tokens):
            after = end
            while after < len(tokens) and tokens[after] in _JOINS and after - end < 3:
                after += 1
            if after == len(tokens) or tokens[after] not in kind:
                break
            members.append(tokens[after])
            end = after + 1
        good = list(dict.fromkeys(member for member in members if member not in _WRONG))
        if len(good) == len(members) or not good:
            out += tokens[place:end]
        else:
            out += [sign for member in good[:-1] for sign in (member, ",")][:-1]
            out += ["and", good[-1]] if len(good) > 1 else good
        place = end
    return out


def _shorter(tokens: list[str]) -> Iterator[list[str]]:
    """`tokens`, and what of them can stand alone, the longest first: without parts before or behind a comma."""
    yield tokens
    parts: list[list[str]] = [[]]
    for place, token in enumerate(tokens[:-1]):
        # A comma within a list parts nothing.
        listing = any(
            tokens[place - 1] in kind and {*tokens[place + 1 : place + 3]} & kind for kind in (_TITLES, _LABELS)
        )
        if token in (",", ";", ":") and not listing:
            parts.append([])
        else:
            parts[-1].append(token)
    ways = []
    for first in range(len(parts)):
        if first and not _main(parts[first]):
            continue
        for last in range(first, len(parts)):
            some = parts[first : last + 1]
            if len(some) < len(parts) and any(map(_main, some)):
                ways.append([*[token for part in some for token in (*part, ",")][:-1], tokens[-1]])
    yield from sorted(ways, key=len, reverse=True)


def _main(part: Sequence[str]) -> bool:
    """Whether a part of a sentence can stand alone."""
    words = part[1:] if part[:1] and part[0] in ("and", "so", "but") else part
    return (
        bool(words)
        and (words[0] in _SUBJECTS or (words[0] not in _UNDER and bool({*words} & {"you", slots.CANDIDATE})))
        and (_FINITE.search(" ".join(words)) is not None)
    )


def _plan_of(text: str, mentions: Sequence[Mention], instruction: Instruction, domain: Domain) -> Plan:
    """The plan that says most of what the text says: of its citations those, and of the labels it names those, that
    all share."""
    usual = make_plan(instruction, domain)
    candidate = instruction.candidate
    cited: dict[str, Item] = {}
    for mention in mentions:
        if mention.item is not None and mention.item.title != candidate.title:
            cited.setdefault(mention.item.title, mention.item)
    lower = text.lower()
    said = [one for one in labels_of(candidate, domain) if any(way in lower for way in _ways(one))]
    group, shared = _most_shared([*cited.values()][:_MOST_WEIGHED], said, domain)
    if not group:
        others = [one for one in said if one != usual.novel]
        first = tuple(cited.values())[:2]
        return replace(
            usual, cited=(), labels=(), properties=(), count=0, favourite=False, recent=first,
            newest=list(first) == list(reversed(instruction.history))[: len(first)],
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


def _most_shared(cited: Sequence[Item], said: Sequence[str], domain: Domain) -> tuple[tuple[Item, ...], list[str]]:
    """Those of `cited` (in their order) and of `said` that make most pairs which all hold; none where nothing does."""
    has = {item.title: {*labels_of(item, domain)} for item in cited}
    best: tuple[int, tuple[Item, ...], list[str]] = (0, (), [])
    for size in range(1, MOST_CITED + 1):
        for group in combinations(cited, size):
            shared = [one for one in said if all(one in has[item.title] for item in group)]
            worth = size * min(len(shared), MOST_LABELS)
            if worth > best[0]:
                best = (worth, group, shared)
    return best[1], best[2]


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


def _spans(text: str, mentions: Sequence[Mention]) -> list[tuple[int, int]]:
    """Where sentences begin and end; none ends within a title."""
    found = [match.start() for match in _SENTENCE.finditer(text)]
    ends = [end for end in found if not any(m.start < end < m.end - 1 for m in mentions)] + [len(text)]
    return list(zip([0, *ends[:-1]], ends, strict=True))


def _sentence(
    text: str,
    start: int,
    end: int,
    mentions: list[Mention],
    plan: Plan,
    facts: list[tuple[str, str]],
    asked: Instruction,
) -> list[str]:
    """The tokens of one sentence, with a mark (see `_WRONG`) where it says what may not be said."""
    names = {item.title: slot for slot, item in zip(slots.CITED, plan.cited, strict=False)}
    names |= {item.title: slot for slot, item in zip(slots.RECENT, plan.recent, strict=False)}
    names[plan.candidate.title] = slots.CANDIDATE
    parts, place = [], start
    for mention in mentions:
        slot = "{x_title}" if mention.item is None else names.get(mention.item.title, "{x_more}")
        inner = text[mention.start : mention.end]
        parts += [text[place : mention.start], f" {slot} ", " , " if inner.rstrip("\"”'").endswith(",") else ""]
        parts += [" . "] if inner.rstrip("\"”'").endswith((".", "!", "?")) and mention.end >= end - 1 else []
        place = mention.end
    parts.append(text[place:end])
    words = _counted("".join(parts), plan)
    words = _outside(rf"(?i:\b(?:{'|'.join(_other_numbers(plan))})\b)", "{x_number}", words)
    cites = any(slot in words for slot in slots.CITED)
    others = {way for item in asked.history for one in labels_of(item, plan.domain) for way in _ways(one)}
    others |= {way for one in labels_of(asked.candidate, plan.domain) for way in _ways(one)}
    fine = {way.split()[0] for way, _ in facts} | {way.split()[0] for way in others} | {*_said_by(plan)}
    words = _outside(rf"(?i:{_WORLD.pattern})\w*", "{x_world}", words)
    words = _NAMED.sub(lambda m: m[0] if re.split("[’']", m[0].lower())[0] in fine else "{x_name}", words)
    words = _outside("[^{}]+", lambda found: found.lower(), words.replace("\n", " ").replace("’", "'"))
    words = _outside(r"[\w'%-]*\d[\w'%-]*", "{x_number}", words)
    for value in filter(None, asked.user.attributes.values()):
        words = _outside(rf"\b{re.escape(value.lower())}s?\b", "{x_profile}", words)
    for way, slot in facts:
        # A label that not all cited items have is not said beside them.
        slot = "{x_label}" if cites and slot not in slots.LABELS else slot
        words = _outside(rf"(?<![\w'-]){re.escape(way)}(?![\w'-])", slot, words)
    for way in sorted(others, key=len, reverse=True):
        words = _outside(rf"[\w'-]*\b{re.escape(way)}\b[\w'-]*", "{x_label}", words)
    for word in _said_by(plan):
        many = f"{word[:-1]}ies" if word.endswith("y") else f"{word}s"
        words = _outside(rf"(?<![\w-]){many}(?![\w'-])", "{items}", words)
        words = _outside(rf"(?<![\w-]){word}(?![\w'-])", "{item}", words)
        words = _outside(rf"[\w'-]*\b{word}s?\b[\w'-]*", "{x_domain}", words)
    words = _outside(rf"\b{plan.domain.verb_past}\b", "{verb_past}", words)
    return list(slots.tokens_of(re.sub(r"\ban(?= +\{)", "a", words)))


def _outside(pattern: str, put: str | Callable[[str], str], words: str) -> str:
    """`words` with `put` in place of `pattern`, but within slots."""

    def instead(found: re.Match[str]) -> str:
        if found[0].startswith("{"):
            return found[0]
        return put(found[0]) if callable(put) else f" {put} "

    return re.sub(rf"\{{\w+\}}|{pattern}", instead, words)


def _counted(words: str, plan: Plan) -> str:
    """`words` with slots in place of the plan's counts, where they stand as counts do."""
    wanted = [(plan.count, slots.COUNT)] if plan.count else []
    wanted += [(plan.taste[1], slots.TASTE_COUNT)] if plan.taste else []
    if wanted:
        words = re.sub(rf"\b(last|out of|in|among the last) {number(plan.total)}\b", rf"\1 {slots.TOTAL}", words)
    for count, slot in wanted:
        words = re.sub(rf"(?i)(?<![\w{{]){number(count)}(?= (?:of|times|out)\b| [\w'-]+ \w+s\b)", slot, words, count=1)
    return words


def _other_numbers(plan: Plan) -> list[str]:
    """Numbers in words that would be false of another plan; how many items are cited, with the candidate or without, a
    sentence may say: it is said of others that cite as many.
    """
    cited = len(plan.cited)
    return [number(n) for n in range(2, _MOST_IN_WORDS + 1) if n not in (cited, cited + 1)] + ["dozen"]


def _said_by(plan: Plan) -> tuple[str, ...]:
    return tuple(dict.fromkeys((plan.domain.item, *_NOUNS.get(plan.domain.name, ()))))


def _against_rules(tokens: Sequence[str], plan: Plan, left: Mapping[str, int]) -> str:
    for place, token in enumerate(tokens):
        if not slots.may_follow(token, tokens[:place], plan) or not slots.licensed(token, plan):
            return _RELATION
    uses = Counter(token for token in tokens if token in slots.SLOTS and token not in slots.DOMAIN)
    return _TWICE if any(left.get(token, 0) < n for token, n in uses.items()) else ""
