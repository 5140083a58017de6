"""Stage 2 as a whole: recommendations x generator -> explanations, through a ledger.

Every answer is on disk before more is asked for, so a run can be killed at any moment: the same command goes on
where it stopped and asks only for what is missing. Predictions are asked for in the same way (see `llmxrec.predict`).
"""

from __future__ import annotations

import hashlib
import logging
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import polars as pl

from llmxrec.datasets.dataset import Dataset, Histories
from llmxrec.errors import InputError, WorkError
from llmxrec.evidence.verification import Verifier, asked_again, told
from llmxrec.generators.prices import Price, cost, priced_as_of
from llmxrec.generators.protocol import Generator
from llmxrec.generators.template import sentences
from llmxrec.ledger import Ledger, Record, read_ledger
from llmxrec.notes import settle
from llmxrec.progress import Advance, quiet
from llmxrec.prompts.instructions import Instructions, PromptSettings
from llmxrec.prompts.prompt import TooLong, make_prompt
from llmxrec.prompts.template import Template, load_template
from llmxrec.records import Answer, Explanation, Prompt, Source, Task
from llmxrec.seeds import derive

log = logging.getLogger(__name__)

_PROBED = 10
"""Prompts looked at before anything is asked. If no model could read any of them, it is not the rows' fault."""

ANSWERED = {
    "recommender": pl.String,
    "generator": pl.String,
    "user_id": pl.String,
    "item_id": pl.String,
    "rank": pl.Int32,
    "text": pl.String,
    "status": pl.String,
    "prompt": pl.String,
    "history": pl.Int32,
    "dropped": pl.Int32,
    "input_tokens": pl.Int64,
    "output_tokens": pl.Int64,
    "detail": pl.String,
    "cost": pl.Float64,
}
"""What is kept of every answer, whatever was asked."""

SCHEMA = {**ANSWERED, "source": pl.String}
"""Explanation as a table."""


@dataclass(frozen=True)
class Questions:
    """What is to be explained, and how it is asked: the rows of a recommender's table, one prompt each.

    `rows` has user_id, item_id and rank, and causes where the template tells them: what each recommendation rests on,
    as ids, the strongest first. Prompts are made one at a time, as they are drawn. Where there are `targets`,
    these are to be predicted instead, each with an answer of its `choices` if it has any.
    """

    recommender: str
    rows: pl.DataFrame
    instructions: Instructions
    dataset: Dataset
    template: Template
    settings: PromptSettings
    generator: Generator
    seed: int
    targets: tuple[str, ...] = ()
    choices: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    @classmethod
    def of(
        cls,
        recommender: str,
        recommendations: pl.DataFrame,
        dataset: Dataset,
        histories: Histories,
        generator: Generator,
        settings: PromptSettings,
        *,
        users: int | None = None,
        top: int = 1,
        seed: int = 1,
        targets: tuple[str, ...] = (),
        choices: Mapping[str, tuple[str, ...]] | None = None,
        causes: pl.DataFrame | None = None,
    ) -> Questions:
        """Ask about the first `top` recommendations of the first `users` people (None: of all) of the table.

        `causes` (user_id, item_id, causes: ids) is for templates that tell them. Raises InputError where the table
        names an item that is not of the dataset, or the template does not ask for targets.
        """
        template = load_template(settings.template)
        if targets and "predict" not in template.sections:
            raise InputError(
                f"template '{template.name}' has a section [predict], to ask for attributes", cure="add it"
            )
        rows = recommendations.filter(pl.col("rank") <= top)
        unknown = rows.join(dataset.items, on="item_id", how="anti")
        if unknown.height:
            cure = "recommend anew"
            raise InputError("a recommendation names an item of the dataset", value=unknown["item_id"][0], cure=cure)
        if users is not None:
            chosen = rows.select(pl.col("user_id").unique(maintain_order=True).head(users))
            rows = rows.join(chosen, on="user_id", how="semi", maintain_order="left")
        rows = rows.select("user_id", "item_id", "rank")
        if causes is not None:
            rows = rows.join(causes, on=["user_id", "item_id"], how="left", maintain_order="left")
        return cls(
            recommender=recommender,
            rows=rows,
            instructions=Instructions.of(dataset, histories, settings, rows["user_id"].unique(maintain_order=True)),
            dataset=dataset,
            template=template,
            settings=settings,
            generator=generator,
            seed=seed,
            targets=targets,
            choices=choices or {},
        )

    def __len__(self) -> int:
        return self.rows.height

    @property
    def task(self) -> Task:
        """`predict` where there are targets."""
        return "predict" if self.targets else "explain"

    def prompts(self) -> Iterator[Question]:
        """Each row as a question. A prompt's key is a digest of whom it is about and of all its words."""
        for user_id, item_id, rank, *causes in self.rows.iter_rows():
            problem = None
            rests_on = (causes[0] or ()) if causes else ()
            try:
                prompt = make_prompt(
                    "",
                    self.instructions.make(self.task, user_id, item_id, self.targets, rests_on),
                    self.template,
                    self.dataset.domain,
                    self.settings,
                    room=self.generator.context_tokens,
                    count_tokens=self.generator.count_tokens,
                    seed=derive(self.seed, self.task, user_id, item_id),
                    choices=self.choices if self.targets else None,
                )
            except TooLong as error:
                prompt, problem = error.prompt, str(error)
            yield Question(replace(prompt, key=_digest(user_id, item_id, prompt)), rank, problem)


class Question(NamedTuple):
    """A row of the table as a prompt. `problem` says why it cannot be asked, if it cannot."""

    prompt: Prompt
    rank: int
    problem: str | None


@dataclass
class Outcome:
    """What a run did. `asked` counts the answers of this run by status; `cost` is in USD, of the whole ledger.

    Where answers are verified, `rejected` counts those that may not be sent, `wrong` why (see `verification.KINDS`),
    and `replaced` the rows in which fixed sentences took their place.
    """

    rows: int
    known: int = 0
    asked: Counter[str] = field(default_factory=Counter)
    rejected: int = 0
    wrong: Counter[str] = field(default_factory=Counter)
    replaced: int = 0
    shortened: int = 0
    cost: float = 0.0
    out_of_money: bool = False

    def lines(self) -> list[str]:
        """The outcome for people."""
        counts = ", ".join(f"{count:,} {status}" for status, count in self.asked.most_common()) or "nothing to ask"
        known = f" ({self.known:,} were answered before)" if self.known else ""
        out = [f"{self.rows:,} rows: {counts}{known}"]
        if self.rejected:
            why = ", ".join(f"{kind} {count:,}" for kind, count in self.wrong.most_common())
            out.append(
                f"{self.rejected:,} answers may not be sent ({why}); {self.replaced:,} rows have fixed sentences"
            )
        if self.shortened:
            out.append(f"{self.shortened:,} prompts were too long for the model: their oldest history was left out")
        if self.cost:
            out.append(f"cost so far: {self.cost:,.4f} USD")
        if self.out_of_money:
            out.append("stopped: the next row could exceed the most it may cost; allow more, and it goes on from there")
        return out


def explain(
    questions: Questions,
    file: Path,
    *,
    price: Price | None = None,
    max_tokens: int = 0,
    max_cost: float | None = None,
    settings: Mapping[str, Any] | None = None,
    verifier: Verifier | None = None,
    advance: Advance = quiet,
) -> Outcome:
    """Ask what `file` does not hold yet, and append each answer to it as it comes.

    With a `verifier`, an answer that may not be sent is kept as `rejected` and asked for again, as often as its rules
    say; then fixed sentences take its place, or nothing does.

    `price` and `max_tokens` (the most an answer can have) say what a row costs; the run ends before a row that could
    bring the cost of the ledger, earlier runs included, above `max_cost` USD. `settings` is what decides the answers;
    they are noted beside the ledger, and answers made otherwise are refused (see `refuse_to_mix`). Raises WorkError
    where all further prompts would fail too; what was answered is kept, and the same call goes on from there.
    """

    def explanation(question: Question, answer: Answer, paid: float | None, source: Source | None) -> Record:
        found = _explanation(questions, question, answer, paid, source)
        return {column: getattr(found, column) for column in SCHEMA}

    return ask(
        questions,
        file,
        explanation,
        price=price,
        max_tokens=max_tokens,
        max_cost=max_cost,
        settings=settings,
        verifier=verifier,
        advance=advance,
    )


Written = Callable[[Question, Answer, float | None, Source | None], Record]
"""The row of a question, its answer, what it cost, and who wrote it, if that was verified."""


def ask(
    questions: Questions,
    file: Path,
    written: Written,
    *,
    price: Price | None,
    max_tokens: int,
    max_cost: float | None,
    settings: Mapping[str, Any] | None,
    verifier: Verifier | None = None,
    advance: Advance,
) -> Outcome:
    """What `explain` does, for whatever is asked."""
    if max_cost is not None and price is None:
        raise InputError("a limit of cost needs a price", cure="say what a million tokens, read and written, cost")
    _probe(questions)
    with Ledger(file) as ledger:
        if settings is not None:
            settle(file, settings)
        asking = _Asking(questions, ledger, written, Purse(price, max_tokens, max_cost), verifier, advance)
        for row in _rows(file):
            asking.remember(row)
        asking.go_on()
    return asking.outcome


class _Asking:
    """A run under way: what was answered before, what is being asked, and what has to be asked again.

    `rejected` has, by prompt, what was wrong with each answer that may not be sent, until one may or none is left to
    ask for. Only such prompts are held in memory, so that a million rows stream through.
    """

    def __init__(
        self,
        questions: Questions,
        ledger: Ledger,
        written: Written,
        purse: Purse,
        verifier: Verifier | None,
        advance: Advance,
    ) -> None:
        self.questions, self.ledger, self.written = questions, ledger, written
        self.purse, self.verifier, self.advance = purse, verifier, advance
        self.outcome = Outcome(rows=len(questions))
        self.done: set[str] = set()
        self.rejected: dict[str, list[str]] = {}
        self.waiting: dict[str, Question] = {}

    def remember(self, row: Mapping[str, Any]) -> None:
        """Count in a row of an earlier run."""
        self.purse.remember(row)
        if row["status"] == "rejected":
            self.rejected.setdefault(row["prompt"], []).append(str(row.get("detail") or ""))
        elif row["status"] != "failed":
            self.done.add(row["prompt"])
            self.rejected.pop(row["prompt"], None)

    def go_on(self) -> None:
        """Ask all that is missing; then, as long as there are any, those again whose answers may not be sent."""
        file, kept = self.ledger.file, len(self.done)
        log.info("%s: %s rows, %s answers are kept from before", file, f"{self.outcome.rows:,}", f"{kept:,}")
        self._round(self._missing())
        while self.verifier is not None and self.rejected and not self.outcome.out_of_money:
            before = sum(map(len, self.rejected.values()))
            log.info("%s answers may not be sent; these rows are asked again", f"{len(self.rejected):,}")
            self._round(self._again())
            if sum(map(len, self.rejected.values())) == before:
                break  # what is left got no answer, or is of rows that are not asked about this time
        self.outcome.cost = self.purse.spent

    def _round(self, prompts: Iterator[Prompt]) -> None:
        name = self.questions.generator.name
        with closing(_closable(self.questions.generator.generate(prompts))) as answers:
            for answer in answers:
                if answer.key not in self.waiting:
                    raise WorkError(f"generator '{name}' answered a prompt that it was not asked, or twice")
                question = self.waiting.pop(answer.key)
                self._keep(question, answer, self.purse.pay(question.prompt, answer))
        if self.waiting:
            raise WorkError(f"generator '{name}' left {len(self.waiting)} prompts without an answer")

    def _missing(self) -> Iterator[Prompt]:
        for question in self.questions.prompts():
            key = question.prompt.key
            self.outcome.shortened += question.prompt.dropped > 0 and question.problem is None
            if key in self.done:
                self.outcome.known += 1
                self.advance(1)
            elif question.problem is not None:
                self._keep(question, Answer(key, "", "invalid", 0, 0, question.problem), self.purse.nothing)
            else:
                yield from self._asked(question)
                if self.outcome.out_of_money:
                    return

    def _again(self) -> Iterator[Prompt]:
        for question in self.questions.prompts():
            if question.prompt.key in self.rejected:
                yield from self._asked(question)
                if self.outcome.out_of_money:
                    return

    def _asked(self, question: Question) -> Iterator[Prompt]:
        """The prompt that asks `question`, if it may still be asked and paid."""
        prompt = question.prompt
        wrong = self.rejected.get(prompt.key, [])
        if self.verifier is not None and len(wrong) > self.verifier.rules.again:
            self._replace(question)
        elif self.purse.reserve(prompt):
            self.waiting[prompt.key] = question
            yield asked_again(prompt, wrong[-1], derive(prompt.seed, "again", len(wrong))) if wrong else prompt
        else:
            self.outcome.out_of_money = True

    def _keep(self, question: Question, answer: Answer, paid: float | None) -> None:
        if self.verifier is None or answer.status == "failed":
            self._settle(question, answer, paid, None)
            return
        key = question.prompt.key
        problems = self.verifier.problems(question.prompt, answer)
        if not problems:
            before = "; ".join(dict.fromkeys(self.rejected.pop(key, [])))
            self._settle(question, replace(answer, detail=before or answer.detail), paid, "generator")
            return
        wrong = told(problems)
        self.outcome.rejected += 1
        self.outcome.wrong.update({kind for kind, _ in problems})
        self.ledger.append(self.written(question, replace(answer, status="rejected", detail=wrong), paid, None))
        self.rejected.setdefault(key, []).append(wrong)
        if question.problem is not None or len(self.rejected[key]) > self.verifier.rules.again:
            self._replace(question)

    def _replace(self, question: Question) -> None:
        """Put what may be sent, if there is anything, in the place of what may not."""
        wrong = "; ".join(dict.fromkeys(self.rejected.pop(question.prompt.key)))
        text = None if self.verifier is None else instead(self.verifier, question.prompt)
        self.outcome.replaced += text is not None
        answer = Answer(question.prompt.key, text or "", "ok" if text else "withheld", 0, 0, wrong)
        self._settle(question, answer, self.purse.nothing, "template" if text else None)

    def _settle(self, question: Question, answer: Answer, paid: float | None, source: Source | None) -> None:
        row = self.written(question, answer, paid, source)
        self.ledger.append(row)
        self.outcome.asked[row["status"]] += 1
        self.advance(1)


def instead(verifier: Verifier, prompt: Prompt) -> str | None:
    """Fixed sentences that may be sent in the place of an answer; None where none may, or the rules want none."""
    if verifier.rules.otherwise == "withhold":
        return None
    texts = sentences(prompt.instruction, prompt.domain)
    return next((text for text in texts if not verifier.problems(prompt, Answer(prompt.key, text))), None)


@dataclass
class Purse:
    """What a ledger has cost, and what the prompts under way may cost at most, in USD. `price` None: not known."""

    price: Price | None
    max_tokens: int
    limit: float | None
    spent: float = 0.0
    reserved: dict[str, float] = field(default_factory=dict)

    @property
    def nothing(self) -> float | None:
        """What costs nothing, costs."""
        return None if self.price is None else 0.0

    def remember(self, row: Mapping[str, Any]) -> None:
        """Add what a row of an earlier run cost; where no price was known then, what its tokens cost now."""
        if row.get("cost") is not None:
            self.spent += row["cost"]
        elif self.price is not None:
            self.spent += cost(self.price, row.get("input_tokens") or 0, row.get("output_tokens") or 0)

    def reserve(self, prompt: Prompt) -> bool:
        """Set aside what a prompt may cost; False where that could exceed the limit."""
        if self.limit is None:
            return True
        most = self._most(prompt)
        if self.spent + sum(self.reserved.values()) + most > self.limit:
            return False
        self.reserved[prompt.key] = most
        return True

    def pay(self, prompt: Prompt, answer: Answer) -> float | None:
        """What the answer cost: as its server counted, or at most where it did not; lost attempts at most too."""
        self.reserved.pop(prompt.key, None)
        if self.price is None:
            return None
        paid = self._most(prompt) * answer.lost if answer.lost else 0.0
        if answer.input_tokens is not None:
            paid += cost(self.price, answer.input_tokens, answer.output_tokens or 0)
        elif answer.status != "failed":
            paid += self._most(prompt)
        self.spent += paid
        return paid

    def _most(self, prompt: Prompt) -> float:
        """What one attempt may cost. No tokenizer makes more tokens of a text than it has bytes, but for a few marks
        around each message."""
        if self.price is None:
            return 0.0
        read = sum(len(message.content.encode("utf-8", "replace")) + 16 for message in prompt.messages)
        return cost(self.price, read, self.max_tokens)


@dataclass(frozen=True)
class Estimate:
    """What a run would ask: `calls` prompts, tokens in all, USD at most (None: no price known), three prompts whole.

    Tokens are counted on `counted` of the prompts, spread over all, and scaled up. `known` rows are answered already,
    `impossible` ones can not be asked, for the model could not read them.
    """

    rows: int
    known: int
    impossible: int
    calls: int
    counted: int
    input_tokens: int
    output_tokens_at_most: int
    cost_at_most: float | None
    shortened: int
    examples: tuple[Prompt, ...]

    def lines(self, listed_price: bool) -> list[str]:
        """The estimate for people. `listed_price`: its price is of the dated table, if any."""
        out = [f"calls: {self.calls:,} ({self.known:,} of {self.rows:,} rows are answered already)"]
        if self.impossible:
            out.append(f"not asked: {self.impossible:,} prompts that the model could not read even without any history")
        how = "" if self.counted == self.calls else f", from {self.counted:,} prompts"
        out.append(f"tokens: about {self.input_tokens:,} read{how}; {self.output_tokens_at_most:,} written at most")
        if self.shortened:
            out.append(f"shortened: {self.shortened:,} prompts lose their oldest history, to fit the model")
        if self.cost_at_most is None:
            return [*out, "price: not known; give it: IN,OUT, USD per million tokens"]
        dated = f" (listed prices are of {priced_as_of()})" if listed_price and self.cost_at_most else ""
        most = f"price: about {self.cost_at_most:,.2f} USD, if every answer is as long as it may be{dated}"
        return [*out, most]


def estimate(
    questions: Questions,
    file: Path,
    *,
    price: Price | None,
    max_tokens: int,
    attempts: int = 1,
    most_counted: int = 1000,
) -> Estimate:
    """Ask nothing, and say what would be asked, and what it costs at most if each prompt is asked `attempts` times.

    Raises InputError where asking would.
    """
    _probe(questions)
    done = {row["prompt"] for row in _rows(file) if row["status"] not in ("failed", "rejected")}
    every = max(1, -(-len(questions) // most_counted))
    calls = counted = tokens = shortened = known = impossible = 0
    examples: list[Prompt] = []
    for number, (prompt, _, problem) in enumerate(questions.prompts()):
        shortened += prompt.dropped > 0 and problem is None
        if prompt.key in done or problem is not None:
            known += prompt.key in done
            impossible += prompt.key not in done
            continue
        calls += 1
        if len(examples) < 3:
            examples.append(prompt)
        if number % every == 0 or not counted:
            counted += 1
            tokens += questions.generator.count_tokens(prompt.messages)
    total = round(tokens / counted * calls) if counted else 0
    most = None if price is None else attempts * cost(price, total, max_tokens * calls)
    return Estimate(
        len(questions), known, impossible, calls, counted, total, max_tokens * calls, most, shortened, tuple(examples)
    )


def read_explanations(file: Path, recommendations: pl.DataFrame) -> pl.DataFrame:
    """The explanations of a ledger that are about `recommendations`, in their order, one row each (see SCHEMA).

    Where a row was asked again, because it had failed or its prompt changed, its last answer counts. Raises
    InputError where there is no such ledger.
    """
    if not file.exists():
        raise InputError("there are no such explanations yet", value=str(file), cure="make them with: llmxrec explain")
    return latest(file, recommendations, SCHEMA)


def latest(file: Path, recommendations: pl.DataFrame, schema: Mapping[str, Any]) -> pl.DataFrame:
    """The last row about each of `recommendations` in the ledger `file`, as columns of `schema`."""
    table = _read_table(file, schema).unique(["user_id", "item_id"], keep="last", maintain_order=True)
    order = recommendations.select("user_id", "item_id", "rank")
    return order.join(table.drop("rank"), on=["user_id", "item_id"], maintain_order="left").select(*schema)


def _probe(questions: Questions) -> None:
    """Raises InputError where the model could read none of the first prompts."""
    first = list(islice(questions.prompts(), _PROBED))
    if first and all(question.problem for question in first):
        raise InputError(f"none of the first {len(first)} prompts can be asked: {first[0].problem}")


def _explanation(
    questions: Questions, question: Question, answer: Answer, paid: float | None, source: Source | None
) -> Explanation:
    prompt, rank, _ = question
    return Explanation(
        recommender=questions.recommender,
        generator=questions.generator.name,
        user_id=prompt.instruction.user.user_id,
        item_id=prompt.instruction.candidate.item_id,
        rank=rank,
        text=answer.text,
        status=answer.status,
        prompt=prompt.key,
        history=len(prompt.instruction.history),
        dropped=prompt.dropped,
        input_tokens=answer.input_tokens,
        output_tokens=answer.output_tokens,
        detail=answer.detail,
        cost=paid,
        source=source,
    )


def _rows(file: Path) -> Iterator[Record]:
    """The rows of a ledger of answers. Raises InputError for one that is of something else."""
    for number, row in enumerate(read_ledger(file), 1):
        paid = row.get("cost")
        known = isinstance(row.get("prompt"), str) and isinstance(row.get("status"), str)
        if not known or not (paid is None or (isinstance(paid, int | float) and 0 <= paid < float("inf"))):
            raise InputError(
                "a row of answers has a prompt, a status and a cost in USD, if it is known",
                value=row,
                cure="is this file another's?",
                file=file,
                line=number,
            )
        yield row


def _digest(user_id: str, item_id: str, prompt: Prompt) -> str:
    parts = [user_id, item_id, *(f"{m.role}\x1f{m.content}" for m in prompt.messages)]
    # What is allowed decides an answer even where the template does not tell it.
    parts += ["\x1f".join([name, *answers]) for name, answers in prompt.choices.items()]
    return hashlib.blake2b("\x1e".join(parts).encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()


def _read_table(file: Path, schema: Mapping[str, Any]) -> pl.DataFrame:
    try:
        with file.open("rb") as lines:
            table = pl.read_ndjson(lines, schema=schema)
    except pl.exceptions.PolarsError:
        table = None
    if table is not None and not table["prompt"].null_count() + table["status"].null_count():
        return table
    # A last line being written, or a broken one, which this names.
    try:
        return pl.DataFrame(list(_rows(file)), schema=schema)
    except (pl.exceptions.PolarsError, TypeError) as error:
        raise InputError(f"answers are rows of known columns: {error}", file=file) from None


def _closable(answers: Iterator[Answer]) -> Any:
    """`answers` itself if it can be closed, as generators can: so that an interrupted run stops asking at once."""
    return answers if hasattr(answers, "close") else (answer for answer in answers)
