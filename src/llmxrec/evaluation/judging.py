"""The paper's first evaluation as a stage: explanations of several generators x judge -> verdicts, through a ledger.

Every verdict is on disk before more is asked for, so a run can be killed at any moment: the same command goes on where
it stopped.
"""

from __future__ import annotations

import hashlib
import logging
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, NamedTuple

import polars as pl

from llmxrec.errors import WorkError
from llmxrec.evaluation.judges.protocol import Judge
from llmxrec.evaluation.material import Part, Row
from llmxrec.evaluation.verdicts import ASKED, latest, read_all_verdicts
from llmxrec.ledger import Ledger, read_ledger
from llmxrec.notes import settle
from llmxrec.progress import Advance, quiet
from llmxrec.prompts.template import load_template
from llmxrec.records import Case, Ruling, Verdict

log = logging.getLogger(__name__)


class Contest(NamedTuple):
    """Explanations of one recommendation, with the generators that wrote them in the order of the case's texts."""

    case: Case
    user_id: str
    item_id: str
    generators: tuple[str, ...]


def contests(part: Part, recommender: str) -> Iterator[Contest]:
    """What can be compared of what `part` holds: recommendations of `recommender` that two or more explained.

    Only what is `ok` is compared: unreadable is unmeasured. A judge sees what generators were asked, word for word
    where that is stored; else as the paper's template has it.
    """
    texts: dict[Row, dict[str, str]] = {}
    for answers in part.answers:
        if answers.recommender == recommender:
            for row in answers.rows:
                if row.status == "ok" and row.text.strip():
                    texts.setdefault((row.user_id, row.item_id), {})[answers.generator] = row.text
    questions, recommended = part.questions.get(recommender, {}), part.recommended.get(recommender)
    template = load_template("paper")
    for (user_id, item_id), by_generator in texts.items():
        question = questions.get((user_id, item_id))
        stray = recommended is not None and recommended.get((user_id, item_id), 0) < 1
        if len(by_generator) < 2 or question is None or stray:
            continue
        asked = question.words or template.words(question.instruction, part.domain)
        case = Case("", asked, tuple(by_generator.values()), question.instruction, part.domain)
        generators = tuple(by_generator)
        yield Contest(replace(case, key=_digest(user_id, item_id, generators, case)), user_id, item_id, generators)


def standing(file: Path, compared: Iterable[Contest]) -> tuple[pl.DataFrame, int]:
    """The verdicts of the ledger `file` (columns of VERDICTS) on texts as they are `compared` now, and how many were on
    others, and so are left out.

    One stays where another generator has come since. All stay where nothing is compared, and those whose texts nobody
    noted: what people, or others elsewhere, said. Raises InputError as `read_verdicts` does.
    """
    told = read_all_verdicts(file)
    contests = {(contest.user_id, contest.item_id): contest for contest in compared}
    if not contests:
        return latest(told), 0
    cases = told.filter(pl.col("case") != "").group_by("case", "user_id", "item_id").agg("first", "second")
    now = {"": ""}
    for key, user_id, item_id, first, second in cases.iter_rows():
        contest = contests.get((user_id, item_id))
        if contest is not None and key in (contest.case.key, _key_of(contest, {*first, *second})):
            now[key] = contest.case.key
    kept = told.filter(pl.col("case").is_in([*now])).with_columns(pl.col("case").replace(now))
    return latest(kept), told.unique(ASKED).height - kept.unique(ASKED).height


def _key_of(contest: Contest, generators: Collection[str]) -> str:
    """The key that the case would have, did only these `generators` explain the recommendation."""
    both = zip(contest.generators, contest.case.texts, strict=True)
    told = {name: text for name, text in both if name in generators}
    return _digest(contest.user_id, contest.item_id, tuple(told), replace(contest.case, texts=tuple(told.values())))


@dataclass
class Judged:
    """What a run did: `rows` recommendations compared, of which `known` were before; verdicts of this run by status.

    `left_out` counts the people whose rows are not compared, because a generator or the judge was tuned on them;
    `outdated` the verdicts on texts that have been written anew since (see `standing`).
    """

    rows: int = 0
    known: int = 0
    asked: Counter[str] = field(default_factory=Counter)
    left_out: int = 0
    outdated: int = 0

    def lines(self) -> list[str]:
        """The outcome for people."""
        counts = ", ".join(f"{count:,} {status}" for status, count in self.asked.most_common()) or "nothing to ask"
        known = f" ({self.known:,} were judged before)" if self.known else ""
        lines = [f"{self.rows:,} recommendations compared{known}: {counts}"]
        if self.left_out:
            lines.append(
                f"{self.left_out:,} people are left out: a compared generator, or the judge, was tuned on them"
            )
        if self.outdated:
            lines.append(
                f"{self.outdated:,} verdicts of before are on texts that have changed since: they do not count"
            )
        return lines


def judge_contests(
    compared: Iterable[Contest],
    judge: Judge,
    recommender: str,
    file: Path,
    *,
    settings: Mapping[str, Any] | None = None,
    begin: Callable[[], None] | None = None,
    advance: Advance = quiet,
) -> Judged:
    """Have `judge` compare what `file` does not hold yet, and append each verdict to it as it comes.

    A recommendation counts as judged when all its comparisons are there and none has failed; else all of them are asked
    again. `settings` is what decides the verdicts, noted beside the ledger; verdicts made otherwise are refused.
    `begin` is called when nothing is refused any more, before anything is asked.
    """
    outcome = Judged()
    waiting: dict[str, Contest] = {}
    left: Counter[str] = Counter()
    with Ledger(file) as ledger:
        if settings is not None:
            settle(file, settings)
        done: dict[str, set[tuple[str, str]]] = {}
        for row in read_ledger(file):
            if row.get("status") != "failed":
                done.setdefault(str(row.get("case")), set()).add((str(row.get("first")), str(row.get("second"))))

        if begin is not None:
            begin()
        log.info("%s: verdicts on %s recommendations are kept from before", file, f"{len(done):,}")

        def missing() -> Iterator[Case]:
            for contest in compared:
                outcome.rows += 1
                key, asks = contest.case.key, _asks(contest.generators, judge)
                if len(done.get(key, ())) >= asks:
                    outcome.known += 1
                    advance(1)
                else:
                    waiting[key], left[key] = contest, asks
                    yield contest.case

        for ruling in judge.judge(missing()):
            if ruling.key not in waiting:
                raise WorkError(f"judge '{judge.name}' ruled on a case that it was not asked about, or too often")
            verdict = _verdict(waiting[ruling.key], ruling, judge, recommender)
            ledger.append(asdict(verdict))
            outcome.asked[verdict.status] += 1
            left[ruling.key] -= 1
            if not left[ruling.key]:
                del waiting[ruling.key]
                advance(1)
    if waiting:
        raise WorkError(f"judge '{judge.name}' left {len(waiting)} cases without all their rulings")
    return outcome


def _asks(generators: Sequence[str], judge: Judge) -> int:
    n = len(generators)
    return n * (n - 1) // (2 if judge.order_free else 1)


def _verdict(contest: Contest, ruling: Ruling, judge: Judge, recommender: str) -> Verdict:
    return Verdict(
        recommender=recommender,
        judge=judge.name,
        user_id=contest.user_id,
        item_id=contest.item_id,
        first=contest.generators[ruling.first],
        second=contest.generators[ruling.second],
        winner=ruling.winner,
        probability=ruling.probability,
        status=ruling.status,
        raw=ruling.raw,
        order_free=judge.order_free,
        case=ruling.key,
    )


def _digest(user_id: str, item_id: str, generators: Sequence[str], case: Case) -> str:
    parts = [user_id, item_id, case.asked, *(f"{g}\x1f{text}" for g, text in zip(generators, case.texts, strict=True))]
    return hashlib.blake2b("\x1e".join(parts).encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()
