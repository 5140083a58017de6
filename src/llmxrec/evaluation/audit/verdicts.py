"""What is wrong with verdicts and with the pairs that a judge learns from: does the place decide, or the name?"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

import polars as pl

from llmxrec.evaluation.audit.findings import Finding, Severity, examples, grade, share, wilson
from llmxrec.evaluation.material import Part
from llmxrec.evaluation.ranking import outcomes, positions, trivial_rules
from llmxrec.evidence.spelling import words_of
from llmxrec.records import Pair

PLACE_TOLERATED, PLACE_CRITICAL = 0.05, 0.15
"""How far from a half the share won by the second text may lie. Good judges asked in both orders stay within .05."""
ONE_SIDE_TOLERATED, ONE_SIDE_CRITICAL = 0.8, 0.95
"""Of a generator's verdicts, the share in which it stands on one side. Where orders are drawn, it is a half."""
UNREADABLE_TOLERATED = 0.01
"""Of verdicts: more, and what is left may be no fair sample."""
LABEL_TOLERATED, LABEL_CRITICAL = 0.1, 0.25
"""How far from a half the share of labels `second` may lie."""
_SPREAD = 0.2
"""Between the win ratios that a rule without reading gives: where all are nearly equal, it predicts nothing."""
_AGREES = 0.15
"""Mean distance between reported win ratios and those of the rule, at which the rule says what was reported."""


def verdict_findings(part: Part, recommender: str, judge: str, verdicts: pl.DataFrame) -> Iterator[Finding]:
    """All that the verdicts (columns of VERDICTS) of one judge show."""
    about = f"{part.name}: {recommender}, judged by {judge}"
    ordered = verdicts.filter(~pl.col("order_free"))
    if ordered.filter(pl.col("winner").is_not_null()).height:
        yield from _place(about, ordered)
    sides = Counter[tuple[str, str]]()
    for first, second, count in ordered.group_by("first", "second").len().iter_rows():
        sides[first, "first"] += count
        sides[second, "second"] += count
    yield from _one_side(
        about, sides, "A generator's place cannot be told from its quality: whatever favours the place, favours it."
    )
    unread = verdicts.filter(pl.col("winner").is_null())
    if unread.height:
        raw = unread.select("user_id", "item_id", "first", "second", "raw").iter_rows()
        yield Finding(
            "unreadable",
            grade(unread.height, verdicts.height, warning=UNREADABLE_TOLERATED),
            about,
            "verdicts that say neither the first nor the second",
            share(unread.height, verdicts.height),
            unread.height,
            verdicts.height,
            "Unmeasured: counted as a loss of either side, they would move its win ratio.",
            examples(((user, item, f"{one} : {other}"), f"answered {said!r}") for user, item, one, other, said in raw),
        )


def _place(about: str, verdicts: pl.DataFrame) -> Iterator[Finding]:
    found = positions(verdicts)
    second, pairs = found.second, found.pairs
    # Drawing three users again says that three wins in three are sure; the count itself says that they are not.
    low, high = wilson(second.value * second.rows, second.rows)
    distance = max(min(second.low, low) - 0.5, 0.5 - max(second.high, high))
    severity: Severity | None = (
        "critical" if distance > PLACE_CRITICAL else "warning" if distance > PLACE_TOLERATED else None
    )
    asked = verdicts.select("first", "second").unique()
    swapped = asked.join(asked, left_on=["first", "second"], right_on=["second", "first"], how="semi").height
    won = round(second.value * second.rows)
    if severity:
        lowest, highest = pairs.sort("value").row(0, named=True), pairs.sort("value").row(-1, named=True)
        yield Finding(
            "place",
            severity,
            about,
            "the place decides: one side wins",
            f"the second wins {share(won, second.rows)} [{second.low:.3f}, {second.high:.3f}]; by pair from "
            f"{lowest['value']:.3f} ({lowest['first']} : {lowest['second']}) to {highest['value']:.3f} "
            f"({highest['first']} : {highest['second']}); "
            + ("no pair was shown in both orders" if not swapped else f"{swapped // 2:,} pairs in both orders"),
            won,
            second.rows,
            "Win ratios measure where a generator stood; they do not say which is better.",
            examples(((first, second_), f"second wins {value:.3f} of {rows:,}") for first, second_, value, _, _, rows in
                     pairs.sort("value", descending=True).iter_rows()),
        )  # fmt: skip
    if severity is None:
        return
    ratios, constant = win_ratios(verdicts), win_ratios(trivial_rules(verdicts)["second"])
    common = sorted(ratios.keys() & constant.keys())
    if len(common) < 2 or max(constant.values()) - min(constant.values()) < _SPREAD:
        return
    distance = sum(abs(ratios[name] - constant[name]) for name in common) / len(common)
    if distance < _AGREES:
        yield Finding(
            "always second",
            severity,
            about,
            "win ratios that a judge gives who always answers the second",
            "; ".join(f"{name} {ratios[name]:.3f} ({constant[name]:.3f})" for name in common)
            + f": reported (always second), {distance:.3f} apart on average",
            won,
            second.rows,
            "The table would be much the same if nobody had read the texts.",
        )


def win_ratios(verdicts: pl.DataFrame) -> dict[str, float]:
    """Each generator's share of the comparisons it took part in, a tie as half (the paper's equation 6)."""
    pairs = outcomes(verdicts)
    points: dict[str, float] = defaultdict(float)
    rows: Counter[str] = Counter()
    for one, other, won, count in (
        pairs.group_by("a", "b").agg(pl.col("points").sum(), pl.len()).select("a", "b", "points", "len").iter_rows()
    ):
        points[one] += won
        points[other] += count - won
        rows.update({one: count, other: count})
    return {name: points[name] / count for name, count in rows.items()}


def _one_side(about: str, sides: Mapping[tuple[str, str], int], consequence: str) -> Iterator[Finding]:
    names = sorted({name for name, _ in sides})
    fixed: list[tuple[str, str, int, int, Severity]] = []
    for name in names:
        rows = sides.get((name, "first"), 0) + sides.get((name, "second"), 0)
        for side in ("first", "second"):
            count = sides.get((name, side), 0)
            severity = grade(count, rows, warning=ONE_SIDE_TOLERATED, critical=ONE_SIDE_CRITICAL)
            if severity != "note":
                fixed.append((name, side, count, rows, severity))
    if fixed:
        worst: Severity = "critical" if any(entry[4] == "critical" for entry in fixed) else "warning"
        yield Finding(
            "one side",
            worst,
            about,
            "generators that always stand on one side",
            "; ".join(f"{name} {side} in {share(count, rows)}" for name, side, count, rows, _ in fixed),
            sum(entry[2] for entry in fixed),
            sum(entry[3] for entry in fixed),
            consequence,
        )


def label_findings(pairs: Sequence[Pair]) -> Iterator[Finding]:
    """What the labels of pairs show: which side they prefer, and what a rule gets from them that reads no text."""
    about = "labelled pairs"
    second = sum(pair.winner == "second" for pair in pairs)
    decided = sum(pair.winner != "tie" for pair in pairs)
    if not decided:
        return
    low, high = wilson(second, decided)
    distance = max(low - 0.5, 0.5 - high)
    if distance > LABEL_TOLERATED:
        yield Finding(
            "label skew",
            "critical" if distance > LABEL_CRITICAL else "warning",
            about,
            "labels prefer one side",
            f"`second` is the label of {share(second, decided)}",
            second,
            decided,
            "A judge learns the side from them; and a test with such labels rewards it.",
            examples(((pair.group, " : ".join(pair.generators)), pair.winner) for pair in pairs),
        )
    known = [pair for pair in pairs if all(pair.generators)]
    sides = Counter(
        (name, side) for pair in known for name, side in zip(pair.generators, ("first", "second"), strict=True)
    )
    yield from _one_side(about, sides, "A judge can learn the side instead of the text, and the names from the style.")
    named = 2 * len(known) > len(pairs)
    right, rows = no_text_rule(pairs if named else with_places(pairs))
    if rows:
        what = "which two generators are compared" if named else "in how many of a group's pairs each text stands first"
        yield Finding(
            "no text",
            "note",
            about,
            "what a rule gets that reads no text",
            f"knowing only {what}, {share(right, rows)}; always `second`, {share(second, decided)}",
            right,
            rows,
            "A judge is worth what it gets beyond this.",
        )


def no_text_rule(pairs: Sequence[Pair]) -> tuple[int, int]:
    """Of decided pairs, how many a rule gets right that knows only which generators they compare; and their number.

    It answers what the pairs of other groups were mostly labelled that compare the same two in this order; where there
    are none, or both are as frequent, the second.
    """
    known = [pair for pair in pairs if all(pair.generators) and pair.winner != "tie"]
    labels: Counter[tuple[tuple[str, str], str]] = Counter((pair.generators, pair.winner) for pair in known)
    own: Counter[tuple[str, tuple[str, str], str]] = Counter(
        (pair.group, pair.generators, pair.winner) for pair in known
    )
    right = 0
    for pair in known:
        votes = {
            side: labels[pair.generators, side] - own[pair.group, pair.generators, side] for side in ("first", "second")
        }
        right += pair.winner == ("first" if votes["first"] > votes["second"] else "second")
    return right, len(known)


def with_generators(pairs: Sequence[Pair], parts: Sequence[Part]) -> list[Pair]:
    """`pairs` with the names of generators found by their texts, where they are not given."""
    names: dict[tuple[str, ...], set[str]] = defaultdict(set)
    for part in parts:
        for answers in part.answers:
            for row in answers.rows:
                names[words_of(row.text)].add(answers.generator)
    out = []
    for pair in pairs:
        found = [names.get(words_of(text), set()) for text in pair.case.texts[:2]]
        if not all(pair.generators) and all(len(one) == 1 for one in found):
            pair = replace(pair, generators=(min(found[0]), min(found[1])))
        out.append(pair)
    return out


def with_places(pairs: Sequence[Pair]) -> list[Pair]:
    """`pairs` whose generators are called by how often their text stands first in its group.

    Where pairs are shown in one order only, this is as good as a name; where orders are drawn, it says little.
    """
    firsts: Counter[tuple[str, str]] = Counter((pair.group, pair.case.texts[0]) for pair in pairs)
    return [replace(pair, generators=(_place_name(firsts, pair, 0), _place_name(firsts, pair, 1))) for pair in pairs]


def _place_name(firsts: Mapping[tuple[str, str], int], pair: Pair, which: int) -> str:
    return f"{firsts.get((pair.group, pair.case.texts[which]), 0)} times first"
