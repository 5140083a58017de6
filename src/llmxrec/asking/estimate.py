"""What a run would ask and cost, before it does."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from llmxrec.asking.answers import answer_rows
from llmxrec.asking.questions import Questions, probe
from llmxrec.generators.prices import Price, cost, priced_as_of
from llmxrec.records import Prompt


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
    probe(questions)
    done = {row["prompt"] for row in answer_rows(file) if row["status"] not in ("failed", "rejected")}
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
