"""Judges by spec: the one word a user writes to say who compares.

text                          trained from labelled pairs in seconds, on a CPU: what every other judge has to beat
text:FOLDER                   the same, trained and saved before
pairwise:GENERATOR            the paper's discriminator: a language model that answers 1 or 2 (hf:NAME_OR_PATH,
                              hf:NAME_OR_PATH+ADAPTER, openai:MODEL...)
reward:FOLDER                 one score for each explanation, by a language model with a head, trained and saved before
reward:hf:NAME_OR_PATH        the same, to be trained from labelled pairs
reward:hf:NAME_OR_PATH+FOLDER what was saved, where its model lies elsewhere now; or an adapter, to be given a head
"""

from __future__ import annotations

from typing import Any

from llmxrec.evaluation.judges.protocol import Judge
from llmxrec.lookup import closest, resolve

JUDGES = {
    "text": "llmxrec.evaluation.judges.text:TextJudge",
    "pairwise": "llmxrec.evaluation.judges.pairwise:PairwiseJudge",
    "reward": "llmxrec.evaluation.judges.reward:RewardJudge",
}


def check_judge(spec: str) -> None:
    """Raises InputError, with "did you mean", where `spec` names no kind of judge. No model is touched."""
    kind = spec.partition(":")[0]
    if kind not in JUDGES:
        raise closest("judge", kind, JUDGES)


def make_judge(spec: str, **settings: Any) -> Judge:
    """The judge that `spec` stands for, called by that spec. Raises InputError where there is none."""
    kind, _, model = spec.partition(":")
    judge: Judge = resolve("judge", kind, JUDGES)(model, name=spec, **settings)
    return judge
