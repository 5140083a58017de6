"""What answers cost, and what they may cost."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from llmxrec.asking.answers import answer_rows
from llmxrec.generators.prices import Price, cost
from llmxrec.records import Answer, Prompt


def spent_on(file: Path, price: Price | None) -> float:
    """What the ledger `file` has cost so far, in USD."""
    purse = Purse(price, 0, None)
    for row in answer_rows(file):
        purse.remember(row)
    return purse.spent


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
