"""What the methods of an experiment return: the figures as attributes, all of them as a table, shown in a few lines."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Generic, TypeVar

import polars as pl

from llmxrec.asking.estimate import Estimate
from llmxrec.datasets.dataset import Dataset
from llmxrec.evaluation.audit import Finding
from llmxrec.evaluation.gate import Measured
from llmxrec.evidence.mentions import find_titles
from llmxrec.imports import Imported
from llmxrec.notebook.shown import Card, Cards, Shown, html_lines, html_of, lines_of, sheet_of, some
from llmxrec.recommenders.metrics import Metric
from llmxrec.reports.export import export
from llmxrec.stages.auditing import finding_lines
from llmxrec.stages.tracing import STAND_IN, Traced
from llmxrec.stored import EXTERNAL
from llmxrec.tuning.adapters import Card as AdapterCard

T = TypeVar("T")

TRIVIAL = "popularity"
"""The recommender that the others have to beat."""


@dataclass(frozen=True, repr=False, eq=False)
class Fitted(Shown):
    """A recommender trained and measured, and what its recommendations rest on.

    `metrics` by name, such as Recall@10; empty where nothing was held out to measure them on. `trivial` are those of
    `popularity`, measured alike, where it is there. `strangers` are recommended nothing: they have no history, or are
    left out of recommendations made elsewhere. `kept_out` have too few items to hold any out. `table`: a row for each
    metric of the two.
    """

    recommender: str
    rows: int
    users: int
    strangers: int
    kept_out: int
    metrics: Mapping[str, Metric]
    trivial: Mapping[str, Metric]
    evidence: Traced | None
    said: tuple[str, ...] = ()

    @property
    def table(self) -> pl.DataFrame:
        measured = [(self.recommender, metric) for metric in self.metrics.values()]
        measured += [(TRIVIAL, metric) for metric in self.trivial.values()]
        rows = [(name, one.name, one.value, one.low, one.high, one.rows) for name, one in measured]
        kinds = dict.fromkeys(("value", "low", "high"), pl.Float64)
        schema = {"recommender": pl.String, "metric": pl.String, **kinds, "users": pl.Int64}
        return pl.DataFrame(rows, schema=schema, orient="row")

    def _lines(self) -> Iterator[str]:
        yield self._head()
        yield from (f"  {line}" for line in lines_of(sheet_of("", self._ranking)) if self.metrics)
        yield from self._notes()

    def _blocks(self) -> Iterator[str]:
        yield html_lines([self._head()])
        if self.metrics:
            yield html_of(sheet_of("", self._ranking))
        yield html_lines(self._notes())

    @property
    def _ranking(self) -> pl.DataFrame:
        return self.table.filter(~pl.col("metric").str.starts_with("coverage"))

    def _head(self) -> str:
        return f"{self.recommender}: {self.rows:,} recommendations for {self.users:,} users"

    def _notes(self) -> Iterator[str]:
        yield from self.said
        if self.recommender == EXTERNAL:
            yield "not measured: it was made elsewhere"
        elif not self.metrics:
            yield "not measured: nothing was held out"
        elif self.recommender != TRIVIAL:
            rule = f"the trivial rule to beat is {TRIVIAL}"
            yield rule if self.trivial else f'{rule}, not measured yet: fit("{TRIVIAL}")'
        if self.strangers:
            why = "" if self.recommender == EXTERNAL else "have no history, and "
            yield f"{self.strangers:,} users {why}are recommended nothing"
        if self.kept_out:
            yield f"{self.kept_out:,} users have too few items to hold any out; they are not measured"
        yield from self.evidence.lines() if self.evidence is not None else ()


@dataclass(frozen=True, repr=False, eq=False)
class Explanations(Shown):
    """The explanations called `generator` of what `recommender` recommends.

    `table`: user_id, item_id, title, rank, text, status, causes (ids of what the recommendation rests on; null where
    nobody measured it), and what is known of how each was made. `statuses` counts how they ended. `cost`: USD that all
    answers cost, also those that were asked for again; None: not known, where no price was. `stand_in`: causes are
    those of a stand-in, since the recommender itself cannot be asked. `said` is what came of asking, in words.
    """

    recommender: str
    generator: str
    table: pl.DataFrame
    dataset: Dataset = field(repr=False)
    cost: float | None
    stand_in: bool = False
    said: tuple[str, ...] = ()

    @property
    def rows(self) -> int:
        return self.table.height

    @property
    def statuses(self) -> dict[str, int]:
        return dict(self.table["status"].value_counts(sort=True).iter_rows())

    def sample(self, n: int = 3) -> Cards:
        """`n` of them, from all over the table: always the same."""
        return self._cards(self.table.gather_every(max(1, self.rows // max(1, n))).head(n))

    def of(self, user_id: str) -> Cards:
        """Those for one person."""
        return self._cards(self.table.filter(pl.col("user_id") == user_id))

    def export(self, file: str | Path) -> Path:
        """Write them to FILE.csv (made safe for spreadsheets), FILE.parquet or FILE.jsonl."""
        export(self.table.drop("title"), self.dataset, Path(file))
        return Path(file)

    def _cards(self, rows: pl.DataFrame) -> Cards:
        items = {item.item_id: item for item in self.dataset.item_records}
        cards = []
        for row in rows.iter_rows(named=True):
            causes = [items[cause] for cause in row["causes"] or () if cause in items]
            # The candidate is looked for too, so that a title like its own is not taken for a cause.
            candidate = filter(None, [items.get(row["item_id"])])
            named = find_titles(row["text"], [*causes, *candidate])
            marked = sorted((one.start, one.end) for one in named if one.item in causes)
            titles = tuple(item.title for item in causes)
            known = {name: row[name] for name in ("user_id", "item_id", "title", "rank", "text", "status")}
            cards.append(Card(**known, causes=titles, marked=tuple(marked), stand_in=self.stand_in))
        return Cards(cards)

    def _lines(self) -> Iterator[str]:
        counts = ", ".join(f"{count:,} {status}" for status, count in self.statuses.items())
        first, *more = self.said or [f"{self.rows:,} rows: {counts}"]
        yield f"{self.generator} explains {self.recommender}: {first}"
        yield from more
        written = dict(self.table["source"].drop_nulls().value_counts(sort=True).iter_rows())
        if written:
            yield "verified; sent as written by: " + ", ".join(f"{who} {count:,}" for who, count in written.items())
        if self.statuses.get("failed"):
            yield f"{self.statuses['failed']:,} rows got no answer; the same call asks them again"
        if self.cost is None:
            yield "cost unknown"
        if self.stand_in:
            yield f"causes are those of {STAND_IN}"

    def _blocks(self) -> Iterator[str]:
        yield html_lines(self._lines())


@dataclass(frozen=True, repr=False, eq=False)
class Plan(Shown):
    """What explaining would ask and cost: nothing was asked. `prompts` are the first, word for word."""

    estimate: Estimate
    listed_price: bool

    @property
    def calls(self) -> int:
        return self.estimate.calls

    @property
    def cost_at_most(self) -> float | None:
        """USD; None: no price is known."""
        return self.estimate.cost_at_most

    @property
    def prompts(self) -> tuple[str, ...]:
        return tuple(
            "\n\n".join(f"[{message.role}]\n{message.content}" for message in prompt.messages)
            for prompt in self.estimate.examples
        )

    @property
    def table(self) -> pl.DataFrame:
        """One row of counts."""
        names = ("rows", "known", "impossible", "calls", "input_tokens", "output_tokens_at_most", "cost_at_most")
        return pl.DataFrame({name: [getattr(self.estimate, name)] for name in names})

    def _lines(self) -> Iterator[str]:
        yield "nothing was asked"
        yield from self.estimate.lines(self.listed_price)
        if self.prompts:
            yield f"prompt 1 of {self.calls:,}:\n{self.prompts[0]}"


@dataclass(frozen=True, repr=False, eq=False)
class Worth(Shown):
    """What a judge was found to be worth on labelled pairs, beside rules that read nothing; `valid` or not, and why."""

    measured: Measured

    @property
    def valid(self) -> bool:
        return self.measured.validity.valid

    @property
    def reasons(self) -> tuple[str, ...]:
        return self.measured.validity.reasons

    @property
    def table(self) -> pl.DataFrame:
        """Balanced accuracy of the judge and of each rule on the same pairs, and the judge's insight where the names of
        generators do not tell (.5 for whoever knows the names only)."""
        found = self.measured.validity
        figures = {found.judge: found.balanced, **found.rules, "insight where names do not tell": found.insight}
        rows = [(who, one.value, one.low, one.high, one.rows) for who, one in figures.items() if one and one.rows]
        kinds = dict.fromkeys(("accuracy", "low", "high"), pl.Float64)
        return pl.DataFrame(rows, schema={"who": pl.String, **kinds, "pairs": pl.Int64}, orient="row")

    def _lines(self) -> Iterator[str]:
        yield from (f"{name}: {pairs}" for name, pairs in self.measured.pairs.items())
        if self.measured.labels is not None:
            yield str(self.measured.labels)
        yield from self.measured.validity.lines()

    def _blocks(self) -> Iterator[str]:
        title = f"{self.measured.validity.judge}, measured on labelled pairs"
        yield html_of(sheet_of(title, self.table, self.measured.validity.lines()[-1]))


@dataclass(frozen=True, repr=False, eq=False)
class Judged(Shown):
    """Generators compared by a judge: win ratio and ranking order of each, beside what trivial rules would say.

    `verdict` says who wins, or why nobody does: `worth` is what the judge was found to be worth (None: not measured).
    """

    recommender: str
    judge: str
    worth: Worth | None
    verdict: str
    table: pl.DataFrame
    said: tuple[str, ...] = ()

    @property
    def valid(self) -> bool:
        """Whether the judge was shown to be valid: else its table names no winner."""
        return self.worth is not None and self.worth.valid

    def _lines(self) -> Iterator[str]:
        yield f"{self.judge} judges {self.recommender}: {'; '.join(self.said)}"
        yield from (f"  {line}" for line in lines_of(self._sheet("")))
        yield self.verdict

    def _blocks(self) -> Iterator[str]:
        yield html_of(self._sheet(f"{self.judge} judges {self.recommender}"))
        yield html_lines([*self.said, self.verdict])

    def _sheet(self, title: str) -> Any:
        return sheet_of(title, self.table, without=("recommender", "dataset"))


@dataclass(frozen=True, repr=False, eq=False)
class Figures(Shown, Generic[T]):
    """What was measured: as the records of the stage (`found`), as a `table`, and in words (`told`)."""

    title: str
    found: T
    table: pl.DataFrame
    told: tuple[str, ...]
    notes: tuple[str, ...] = ()
    first: pl.DataFrame | None = None
    """The rows of `table` to read first; None: all."""

    def _lines(self) -> Iterator[str]:
        return iter((*some(self.told), *self.notes))

    def _blocks(self) -> Iterator[str]:
        shown = self.table if self.first is None else self.first
        yield html_of(sheet_of(self.title, shown, without=("recommender", "dataset", "surrogate")))
        yield html_lines(self.notes)


@dataclass(frozen=True, repr=False, eq=False)
class Findings(Shown):
    """What is wrong, or good to know, the worst first; `critical` ones make numbers say what they do not."""

    found: tuple[Finding, ...]

    @property
    def critical(self) -> tuple[Finding, ...]:
        return tuple(one for one in self.found if one.severity == "critical")

    @property
    def warnings(self) -> tuple[Finding, ...]:
        return tuple(one for one in self.found if one.severity == "warning")

    @property
    def table(self) -> pl.DataFrame:
        names = ("severity", "title", "about", "figure", "count", "rows", "consequence")
        return pl.DataFrame({name: [getattr(one, name) for one in self.found] for name in names})

    def _lines(self) -> Iterable[str]:
        return finding_lines(self.found)

    def _blocks(self) -> Iterator[str]:
        serious = self.table.filter(pl.col("severity") != "note")
        if serious.height:
            yield html_of(sheet_of("What is wrong", serious, without=("count", "rows")))
        yield html_lines(finding_lines(self.found)[-1:])


@dataclass(frozen=True, repr=False, eq=False)
class Tuned(Shown):
    """Adapters tuned, by their folders. `spec` is what to explain or predict with, or to judge with."""

    spec: str
    cards: Mapping[Path, AdapterCard]

    @property
    def table(self) -> pl.DataFrame:
        """The loss of each epoch, on what was learned and on what was held out."""
        rows = [
            (folder.name, number, loss, card.curve.held_out[number - 1] if card.curve.held_out else None)
            for folder, card in self.cards.items()
            for number, loss in enumerate(card.curve.loss, 1)
        ]
        kinds = {"adapter": pl.String, "epoch": pl.Int64, "loss": pl.Float64, "held_out": pl.Float64}
        return pl.DataFrame(rows, schema=kinds, orient="row")

    def _lines(self) -> Iterator[str]:
        for folder, card in self.cards.items():
            yield f"{folder.name}: {card.rows:,} rows learned, {card.held_out:,} held out"
        yield from lines_of(sheet_of("", self.table))
        yield f'next: {self._next}("{self.spec}")' if self._next else f"spec: {self.spec}"

    def _blocks(self) -> Iterator[str]:
        yield html_of(sheet_of(f"Tuned: {self.spec}", self.table))

    @property
    def _next(self) -> str:
        """The method to go on with: of several folds each is asked about others, which only `predict` does."""
        tasks = {card.task for card in self.cards.values()}
        if tasks & {"judge", "reward"}:
            return ""
        return "predict" if len(self.cards) > 1 or tasks == {"attributes"} else "explain"


@dataclass(frozen=True, repr=False)
class Written(Shown):
    """Files written; `page` is the one to open in a browser."""

    page: Path
    files: Sequence[Path]

    def _lines(self) -> Iterator[str]:
        yield f"wrote {self.page}, to be opened in any browser, and {len(self.files) - 1:,} more files"


@dataclass(frozen=True, repr=False)
class Added(Shown):
    """Explanations made elsewhere, taken in: what of each generator."""

    recommender: str
    imported: tuple[Imported, ...]

    @property
    def generators(self) -> tuple[str, ...]:
        return tuple(one.generator for one in self.imported)

    @property
    def table(self) -> pl.DataFrame:
        names = ("generator", "rows", "known", "replaced", "aside")
        return pl.DataFrame({name: [getattr(one, name) for one in self.imported] for name in names})

    def _lines(self) -> Iterator[str]:
        return map(str, self.imported)

    def _blocks(self) -> Iterator[str]:
        yield html_lines(self._lines())
