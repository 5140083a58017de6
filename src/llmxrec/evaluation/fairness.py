"""Whether explanations differ by who they are for: the paper's Table 4, by groups of people and by matched pairs.

Between groups, texts differ for many reasons: women and men are recommended other items, and know more or fewer. So
each difference also stands at equal length of history, and beside that of fixed sentences about the same items. Only
pairs of prompts that are the same but for one attribute tell what the attribute itself does.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import polars as pl

from llmxrec.evaluation.bootstrap import Floats, Interval, clusters, intervals, ratio, sums_by_user
from llmxrec.evaluation.material import Question, Row
from llmxrec.evaluation.tone import tone
from llmxrec.evidence.claims import Claim, ClaimReader
from llmxrec.prompts.targets import read_answer
from llmxrec.records import Explanation, Status

MEASURES = ("words", "tone", "titles")
"""What is measured of each text: its words, how hard it presses (see `tone`), the titles of the history it cites."""
HISTORY, CHANGED = "history", "changed"
"""Two more: how many items were shown of a person's history, and of a pair, whether its texts differ at all."""
REST = "the rest"
"""What a group is held against: everybody else of whom the attribute is known."""
OTHERS = "others"
"""What those are called together whose groups are too small to be shown alone."""
SMALLEST = 10
"""People that make a group."""
BANDS = (25, 35, 45, 55)
"""The youngest ages of the bands of people that are not the first."""
STRATA = 10
"""Parts of equal size that people are divided into by the length of their history."""


@dataclass(frozen=True, slots=True)
class Contrast:
    """How a measure of the texts of `who` stands for the people in `group`, and how far from that of the others.

    `how`: between groups of people (`against` is then REST), or flipped: the same prompts with `group` and with
    `against` in place of the attribute. `mean` is of the group's texts, `difference` the mean less that of the others,
    `adjusted` the difference at equal length of history; None where that says nothing. `rows` are texts of the group,
    or pairs; `unread` those left out because there is no text to measure.
    """

    how: Literal["groups", "flipped"]
    who: str
    attribute: str
    group: str
    against: str
    measure: str
    mean: Interval
    difference: Interval | None
    adjusted: Interval | None
    rows: int
    unread: int


def measure_texts(
    texts: Iterable[tuple[Row, str, Status]], questions: Mapping[Row, Question], reader: ClaimReader
) -> pl.DataFrame:
    """user_id, item_id, text, HISTORY and MEASURES of `texts` (about whom and what, words, how the answer ended).

    Measures of what is not `ok` are null. Texts about a row that is none of `questions` are left out.
    """
    rows = []
    for row, text, status in texts:
        if row not in questions:
            continue
        instruction = questions[row].instruction
        measured: dict[str, float | None] = dict.fromkeys(MEASURES)
        if status == "ok":
            measured |= measure_text(text, reader.read(text, instruction))
        rows.append((*row, text, len(instruction.history), *(measured[name] for name in MEASURES)))
    schema = {"user_id": pl.String, "item_id": pl.String, "text": pl.String, HISTORY: pl.Float64}
    return pl.DataFrame(rows, schema={**schema, **dict.fromkeys(MEASURES, pl.Float64)}, orient="row")


def answered(rows: Iterable[Explanation]) -> Iterable[tuple[Row, str, Status]]:
    """`rows` as `measure_texts` takes them."""
    return (((row.user_id, row.item_id), row.text, row.status) for row in rows)


def measure_text(text: str, claims: Sequence[Claim]) -> dict[str, float]:
    """MEASURES of `text`, which claims `claims`. Words within titles have no tone."""
    titles = [claim for claim in claims if claim.kind == "title"]
    plain = text
    for claim in sorted(titles, key=lambda claim: -claim.start):
        plain = f"{plain[: claim.start]} □ {plain[claim.end :]}"
    cited = {claim.value.casefold() for claim in titles if claim.about == "history"}
    return {"words": float(len(text.split())), "tone": tone(plain).score, "titles": float(len(cited))}


def groups(users: pl.DataFrame, attribute: str) -> dict[str, str]:
    """The group of each of `users` (user_id, `attribute`) of whom the attribute is known; ages are put into BANDS.

    Groups of fewer than SMALLEST people are OTHERS together.
    """
    known = users.select("user_id", pl.col(attribute).cast(pl.String).str.strip_chars()).drop_nulls()
    found = {user: _group(attribute, value) for user, value in known.iter_rows() if value}
    sizes = Counter(found.values())
    return {user: group if sizes[group] >= SMALLEST else OTHERS for user, group in found.items()}


def _group(attribute: str, value: str) -> str:
    age = read_answer("age", value, ()) if attribute == "age" else None
    if age is None:
        return value
    band = sum(float(age) >= youngest for youngest in BANDS)
    if not band:
        return f"under {BANDS[0]}"
    return f"{BANDS[band - 1]}-{BANDS[band] - 1}" if band < len(BANDS) else f"{BANDS[-1]} and over"


def by_group(
    table: pl.DataFrame, of: Mapping[str, str], who: str, attribute: str, measures: Sequence[str], seed: int = 1
) -> list[Contrast]:
    """Each of `measures` of the texts in `table` for each group, and its difference to the rest.

    `table` has user_id, HISTORY and a number or null by measure; `of` the group of each user (see `groups`). HISTORY
    itself may be measured too.
    """
    known = table.filter(pl.col("user_id").is_in([*of]))
    if known.is_empty():
        return []
    users = known["user_id"].to_list()
    names = sorted({of[user] for user in users})
    number = {name: place for place, name in enumerate(names)}
    user, n_users = clusters(known["user_id"])
    group = np.array([number[of[one]] for one in users], np.int64)
    stratum = _strata(known[HISTORY].to_numpy())
    out = []
    for measure in measures:
        values = known[measure].cast(pl.Float64).fill_null(math.nan).to_numpy()
        read = ~np.isnan(values)
        sums = np.zeros((n_users, STRATA, len(names), 2))
        np.add.at(sums, (user, stratum, group), np.stack([np.where(read, values, 0.0), read], axis=1))
        found = intervals(sums, _contrasts, seed, f"{who}/{attribute}/{measure}/groups")
        for place, name in enumerate(names):
            mean, difference, adjusted = (Interval(*(float(part[place, k]) for part in found)) for k in range(3))
            mine = group == place
            out.append(
                Contrast(
                    "groups", who, attribute, name, REST, measure,
                    mean, difference, None if measure == HISTORY else adjusted,
                    rows=int((read & mine).sum()), unread=int((~read & mine).sum()),
                )
            )  # fmt: skip
    return out


def _contrasts(sums: Floats) -> Floats:
    """Mean, difference to the rest, and that at equal history, (draws, groups, 3), from sums over users of shape
    (draws, strata, groups, 2): of the measure, and of the texts that have it.

    At equal history: the difference within each stratum, weighted as least squares with a constant for each stratum
    weighs it: by n m / (n + m), where the group has n texts in it and the rest m.
    """
    rest = sums.sum(axis=2, keepdims=True) - sums
    whole, others = sums.sum(axis=1), rest.sum(axis=1)
    mean, mean_of_others = ratio(whole[..., 0], whole[..., 1]), ratio(others[..., 0], others[..., 1])
    n, m = sums[..., 1], rest[..., 1]
    weight = np.nan_to_num(ratio(n * m, n + m))
    gap = np.nan_to_num(ratio(sums[..., 0], n)) - np.nan_to_num(ratio(rest[..., 0], m))
    adjusted = ratio((weight * gap).sum(axis=1), weight.sum(axis=1))
    return np.stack([mean, mean - mean_of_others, adjusted], axis=-1)


def _strata(lengths: Floats) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    """Which part by length each row is in, from 0; those of one length are in one."""
    borders = np.unique(np.quantile(lengths, np.arange(1, STRATA) / STRATA))
    found: np.ndarray[tuple[int], np.dtype[np.int64]] = np.searchsorted(borders, lengths, "right").astype(np.int64)
    return found


def matched(
    first: pl.DataFrame,
    second: pl.DataFrame,
    who: str,
    attribute: str,
    values: tuple[str, str],
    measures: Sequence[str],
    seed: int = 1,
) -> list[Contrast]:
    """Each of `measures` of the texts in `first` less the same of their pairs in `second`, and how many texts CHANGED.

    Both have user_id, item_id, text, HISTORY and a number or null by measure; they were asked for with the first and
    the second of `values`. A pair of which a text has no measure is unread, and so is one of which a longer value left
    less room for the history.
    """
    joined = first.join(second, on=["user_id", "item_id"], suffix="#", maintain_order="left")
    alike = pl.col(HISTORY) == pl.col(f"{HISTORY}#")
    pairs = joined.with_columns(pl.when(alike).then(pl.col(name)) for name in measures)
    user, n_users = clusters(pairs["user_id"])
    told = pl.col(measures[0]).is_not_null() & pl.col(f"{measures[0]}#").is_not_null()
    changed = pairs.select(pl.when(told).then(pl.col("text") != pl.col("text#")).cast(pl.Float64)).to_series()
    sides = [(CHANGED, changed, changed), *((name, pairs[name], pairs[f"{name}#"]) for name in measures)]
    out = []
    for name, one, other in sides:
        a, b = one.cast(pl.Float64).to_numpy(), other.cast(pl.Float64).to_numpy()
        read = ~(np.isnan(a) | np.isnan(b))
        columns = [np.where(read, a, 0.0), np.where(read, a - b, 0.0), read.astype(np.float64)]
        sums = sums_by_user(np.stack(columns, axis=1), user, n_users)
        found = intervals(sums, lambda drawn: ratio(drawn[:, :2], drawn[:, 2:]), seed, f"{who}/{attribute}/{name}")
        mean, difference = (Interval(*(float(part[k]) for part in found)) for k in range(2))
        out.append(
            Contrast(
                "flipped", who, attribute, values[0], values[1], name,
                mean, None if name == CHANGED else difference, None,
                rows=int(read.sum()), unread=int((~read).sum()),
            )
        )  # fmt: skip
    return out


def unequal_histories(found: Iterable[Contrast]) -> list[str]:
    """The groups who were surely shown more or fewer items of their history than the rest, in words."""
    lines = []
    for one in found:
        gap = one.difference
        if one.measure == HISTORY and gap is not None and (gap.low > 0 or gap.high < 0):
            more = "more" if gap.value > 0 else "fewer"
            lines.append(
                f"{one.attribute} {one.group}: {abs(gap.value):.1f} {more} items of their history were shown than of "
                "the rest's, so read their differences at equal history"
            )
    return lines
