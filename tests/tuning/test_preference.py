"""Direct preference optimisation on tiny models: the loss by hand, what is learned, and what stays as it was."""

from __future__ import annotations

import hashlib
import json
import math
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.conftest import Call
from tests.tuning.toys import make_model, one_thread
from tests.worlds import BAMBI, FARGO, HEAT, MOVIES, SUSPECTS

from llmxrec.errors import InputError
from llmxrec.evaluation.judges.text import TextJudge
from llmxrec.evaluation.judging import Contest
from llmxrec.evaluation.verdicts import VERDICTS
from llmxrec.generators.specs import GenerationSettings, make_generator
from llmxrec.generators.transformers_local import prompt_tokens
from llmxrec.prompts.instructions import PromptSettings
from llmxrec.prompts.template import load_template
from llmxrec.recipe import GeneratorRecipe
from llmxrec.records import Case, Instruction, Prompt, User
from llmxrec.stages.explaining import answer_settings
from llmxrec.testing.judges import sample_pairs
from llmxrec.tuning import preference
from llmxrec.tuning.adapters import Card, save_adapter
from llmxrec.tuning.causal import Sequel, answer_loss, answer_scores, tunable
from llmxrec.tuning.loop import Job, TuningSettings, learn
from llmxrec.tuning.preference import (
    Choice,
    Preference,
    Preferences,
    from_pairs,
    from_verdicts,
    margins,
    prefer,
    tune_preference,
)
from llmxrec.workspace import Workspace

# peft asks transformers by an old name.
pytestmark = pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing` is deprecated:FutureWarning")

GOOD, BAD = "It fits you", "It bores us"
PROMPT = PromptSettings(reasoning=False, history=3)


@pytest.fixture(autouse=True, scope="module")
def _one_thread() -> Iterator[None]:
    with one_thread():
        yield


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_model(tmp_path_factory.mktemp("model"), 0.2)


def asked(number: int) -> Instruction:
    return Instruction("explain", User(f"u{number}"), (HEAT, FARGO), replace(BAMBI, title=f"Film {number}"))


def preferences(number: int, judge: str = "text") -> Preferences:
    return Preferences([Preference(asked(n), MOVIES, GOOD, BAD, f"g{n}", judge) for n in range(100, 100 + number)])


def opened(folder: Path, adapter: Path | None = None) -> Any:
    return make_generator(f"hf:{folder}" + (f"+{adapter}" if adapter else ""), GenerationSettings(max_tokens=12))


def choices(generator: Any, rows: Preferences) -> list[Choice]:
    read = preference._reader(generator.tokenizer, PROMPT, 1000)
    return [choice for row in rows.rows if not isinstance(choice := read(row), str)]


@pytest.fixture(scope="module")
def undecided(model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An adapter with which the model writes the one answer or the other, as often."""
    out = tmp_path_factory.mktemp("undecided") / "adapter"
    generator = opened(model)
    rows = [
        Sequel([*choice.prompt, *answer], len(choice.prompt))
        for choice in choices(generator, preferences(24))
        for answer in (choice.chosen, choice.rejected)
    ]
    settings = TuningSettings(epochs=10, batch_size=8, learning_rate=1e-2)
    tuned = tunable(generator, settings)
    job = Job(rows, [], answer_loss, lambda row: len(row.tokens))
    curve = learn(tuned, job, settings)
    assert curve.loss[-1] < 0.25
    save_adapter(tuned, out, Card("explain", f"hf:{model}", 48, 0, "", ("ann",), settings, curve, {}))
    return out


def test_an_answers_score_is_the_sum_of_its_tokens_log_probabilities(model: Path) -> None:
    """One token at a time, from the model's own logits."""
    import torch

    loaded = opened(model).model
    rows = [Sequel([5, 6, 7, 8, 9], 2), Sequel([9, 8, 7], 2), Sequel([5, 6, 7, 4, 2, 1, 3], 1)]
    expected = []
    for row in rows:
        total = 0.0
        for place in range(row.read, len(row.tokens)):
            with torch.no_grad():
                logits = loaded(torch.tensor([row.tokens[:place]])).logits[0, -1]
            total += logits.log_softmax(-1)[row.tokens[place]].item()
        expected.append(total)
    assert answer_scores(loaded, rows).tolist() == pytest.approx(expected, abs=1e-4)
    (margin,) = margins(loaded, [Choice([5, 6], [7, 8, 9], [4])]).tolist()
    worse = answer_scores(loaded, [Sequel([5, 6, 4], 2)]).item()
    assert margin == pytest.approx(expected[0] - worse, abs=1e-4)


def test_the_loss_by_hand(model: Path) -> None:
    """beta .5, and a margin that has grown by 2: log(1 + 1/e). By another formula, that of TRL."""
    loaded = opened(model).model
    choice = Choice([5, 6], [7, 8, 9], [4])
    (now,) = margins(loaded, [choice]).tolist()
    loss, much = preference._loss(0.5, loaded, [preference._Row(choice, now - 2.0), preference._Row(choice, now)])
    assert much == 2 and loss.item() == pytest.approx(0.313262 + math.log(2), abs=1e-5)


@given(st.floats(-30, 30), st.floats(-30, 30), st.floats(-30, 30), st.floats(-30, 30), st.floats(0.01, 2))
def test_the_loss_is_that_of_trl(won: float, lost: float, ref_won: float, ref_lost: float, beta: float) -> None:
    """As `DPOTrainer.dpo_loss` writes it (loss_type "sigmoid"): -logsigmoid(beta * (chosen - rejected log-ratios))."""
    import torch

    chosen_logratios = torch.tensor(won - ref_won)
    rejected_logratios = torch.tensor(lost - ref_lost)
    theirs = -torch.nn.functional.logsigmoid(beta * (chosen_logratios - rejected_logratios))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(preference, "margins", lambda model, choices: torch.tensor([won - lost]))
        ours, _ = preference._loss(beta, None, [preference._Row(Choice([], [], []), ref_won - ref_lost)])
    assert ours.item() == pytest.approx(theirs.item(), abs=1e-4)


@pytest.mark.parametrize("adapted", [False, True])
def test_before_any_step_the_loss_is_log_2(model: Path, undecided: Path, tmp_path: Path, adapted: bool) -> None:
    settings = TuningSettings(epochs=1, learning_rate=1e-12, batch_size=3, rows_at_once=2)
    base = f"hf:{model}" + (f"+{undecided}" if adapted else "")
    card = tune_preference(base, preferences(20), tmp_path / "out", settings, beta=2.0, prompt=PROMPT)
    assert card.curve.loss == pytest.approx([math.log(2)], abs=1e-5)
    assert card.curve.held_out == pytest.approx([math.log(2)], abs=1e-5)


def test_what_is_preferred_is_written(model: Path, undecided: Path, tmp_path: Path) -> None:
    """A model that wrote either answer writes the better one, for people it has not seen; either may be the better."""
    settings = TuningSettings(epochs=6, batch_size=4, learning_rate=2e-3)
    files = digest(model), digest(undecided)
    unseen = preferences(130).rows[-10:]
    for turned in (False, True):
        rows = preferences(24)
        if turned:
            rows.rows = [replace(row, chosen=row.rejected, rejected=row.chosen) for row in rows.rows]
        out = tmp_path / f"out-{turned}"
        card = tune_preference(f"hf:{model}+{undecided}", rows, out, settings, prompt=PROMPT)
        assert card.curve.loss[-1] < card.curve.loss[0] < math.log(2) + 1e-5
        assert card.curve.held_out[card.curve.best - 1] < 0.5
        generator = opened(model, out)
        template = load_template("default")
        prompts = [
            Prompt(row.group, row.instruction, MOVIES, template.render(row.instruction, MOVIES, reasoning=False))
            for row in unseen
        ]
        answers = list(generator.generate(prompts))
        assert {answer.text for answer in answers} == {BAD if turned else GOOD}
        assert {answer.status for answer in answers} == {"ok"}
    assert (digest(model), digest(undecided)) == files


def test_margins_grow_and_what_they_are_measured_from_stays(model: Path) -> None:
    import torch

    generator = opened(model)
    rows = choices(generator, preferences(16))
    settings = TuningSettings(epochs=4, batch_size=4, learning_rate=1e-3, dropout=0.1)
    tuned = tunable(generator, settings)
    weights = {name: weight.clone() for name, weight in tuned.named_parameters() if "lora_" not in name}
    with torch.no_grad():
        before = margins(tuned, rows)
    curve = prefer(tuned, rows[:12], rows[12:], settings, beta=0.3)
    with torch.no_grad():
        after = margins(tuned, rows)
        with tuned.disable_adapter():
            reference = margins(tuned, rows)
    assert bool((after > before + 1).all())
    assert torch.allclose(reference, before, atol=1e-4)
    assert all(torch.equal(weight, weights[name]) for name, weight in tuned.named_parameters() if name in weights)
    held_out = -torch.nn.functional.logsigmoid(0.3 * (after - before)[12:]).mean().item()
    assert curve.held_out[curve.best - 1] == pytest.approx(held_out, abs=1e-5)


def test_the_card_names_people_and_teachers(model: Path, undecided: Path, tmp_path: Path) -> None:
    rows = preferences(12)
    rows.rows += preferences(3, judge="people").rows
    rows.rows.append(replace(rows.rows[0], chosen=BAD, judge="reward:mine"))
    rows.rows.append(replace(rows.rows[0], chosen="It fits you. " * 300, judge="never:learned"))
    rows.dropped["a tie"] = 2
    settings = TuningSettings(epochs=1)
    card = tune_preference(f"hf:{model}+{undecided}", rows, tmp_path / "out", settings, prompt=PROMPT)
    assert (card.task, card.base, card.rows + card.held_out) == ("prefer", f"hf:{model}", 15)
    assert card.dropped == {"a tie": 2, "the same words": 1, "too long even without history": 1}
    assert card.users == ("ann", *(f"u{n}" for n in range(100, 112)))
    assert card.taught_by == ("text",)
    assert json.loads((tmp_path / "out/card.json").read_text()) == json.loads(json.dumps(card.to_json()))
    place, known = Workspace(tmp_path / "w"), {"hold_out": False, "settings": None}
    notes = answer_settings(place, GeneratorRecipe(spec=f"hf:{model}+{tmp_path / 'out'}"), PROMPT, 1, known)
    assert notes["taught_by"] == ["text"]
    plain = answer_settings(place, GeneratorRecipe(spec=f"hf:{model}"), PROMPT, 1, known)
    assert plain["taught_by"] is None


def test_a_prompt_is_what_the_generator_is_asked_and_an_answer_ends(model: Path) -> None:
    generator = opened(model)
    (row,) = preferences(1).rows
    (choice,) = choices(generator, Preferences([row]))
    messages = load_template("default").render(row.instruction, MOVIES, reasoning=False)
    assert choice.prompt == prompt_tokens(generator.tokenizer, messages)
    for tokens, text in ((choice.chosen, GOOD), (choice.rejected, BAD)):
        assert tokens[-1] == generator.tokenizer.eos_token_id
        assert generator.tokenizer.decode(tokens[:-1]) == text


def test_history_that_does_not_fit_is_dropped_unless_it_is_told_of(model: Path) -> None:
    generator = opened(model)
    (row,) = preferences(1).rows
    row = replace(row, instruction=replace(row.instruction, history=(SUSPECTS, HEAT, FARGO)))
    (whole,) = choices(generator, Preferences([row]))
    room = len(whole.prompt) + max(len(whole.chosen), len(whole.rejected)) - 1
    read = preference._reader(generator.tokenizer, PROMPT, room)
    cut = read(row)
    assert isinstance(cut, Choice)
    text = generator.tokenizer.decode(cut.prompt)
    assert SUSPECTS.title not in text and HEAT.title in text
    told = replace(row, chosen='"The Usual Suspects" fits', rejected=BAD)
    assert preference._reader(generator.tokenizer, PROMPT, room - 20)(told) == "telling of history that did not fit"
    assert preference._reader(generator.tokenizer, PROMPT, 30)(row) == "too long even without history"


def test_labelled_pairs_are_preferences() -> None:
    pairs = sample_pairs(8)
    tie, bare = replace(pairs[0], winner="tie"), replace(pairs[1], case=replace(pairs[1].case, instruction=None))
    found = from_pairs([*pairs, tie, bare])
    assert found.dropped == {"a tie": 1, "the instruction cannot be read": 1}
    for row, pair in zip(found.rows, pairs, strict=True):
        better = 0 if pair.winner == "first" else 1
        assert (row.chosen, row.rejected) == (pair.case.texts[better], pair.case.texts[1 - better])
        assert "You watched" in row.chosen and "The customer will" in row.rejected
        assert (row.instruction, row.group, row.judge) == (pair.case.instruction, pair.group, "")


def test_labelled_pairs_can_be_learned_as_they_are(model: Path, tmp_path: Path) -> None:
    pairs = sample_pairs(12)
    settings = TuningSettings(epochs=1)
    cards = [
        tune_preference(f"hf:{model}", rows, tmp_path / "out", settings, prompt=PROMPT)
        for rows in (pairs, from_pairs(pairs))
    ]
    assert cards[0].data == cards[1].data
    assert (cards[0].rows + cards[0].held_out, cards[0].taught_by) == (12, ())


def test_verdicts_are_preferences_where_both_orders_agree() -> None:
    case = Case("k1", "Why?", ("by a", "by b", "by c"), asked(1), MOVIES)
    compared = [
        Contest(case, "u1", "i", ("a", "b", "c")),
        Contest(Case("k2", "Why?", ("by a", "by b"), asked(2), MOVIES), "u2", "i", ("a", "b")),
    ]

    def verdict(user: str, first: str, second: str, winner: str | None) -> dict[str, Any]:
        row = {"recommender": "r", "judge": "j", "user_id": user, "item_id": "i", "first": first, "second": second}
        return {**row, "winner": winner, "status": "ok" if winner else "invalid", "raw": "", "rater": ""}

    table = pl.DataFrame(
        [
            verdict("u1", "a", "b", "second"), verdict("u1", "b", "a", "first"),  # b, in both orders
            verdict("u1", "a", "c", "first"), verdict("u1", "c", "a", "first"),  # whoever stands first
            verdict("u1", "b", "c", "first"), verdict("u1", "c", "b", None),  # one order cannot be read
            verdict("u2", "a", "b", "first"),
            verdict("u2", "a", "c", "first"),  # c did not explain this
            verdict("u3", "a", "b", "first"),  # nobody did
        ],
        schema=VERDICTS,
    )  # fmt: skip
    found = from_verdicts(compared, table)
    assert [(row.chosen, row.rejected, row.group, row.judge) for row in found.rows] == [
        ("by b", "by a", "k1", "j"), ("by a", "by b", "k2", "j")
    ]  # fmt: skip
    assert found.dropped == Counter({"not there": 2, "a tie": 1, "unreadable": 1})


@pytest.mark.parametrize(
    ("base", "rows", "settings", "rule"),
    [
        ("openai:gpt-4o", 12, {}, "what is tuned is a model that runs here; found 'openai:gpt-4o'"),
        ("hf:/no/such/folder", 12, {}, "no such folder"),
        ("", 0, {}, "tuning needs preferences to learn from; found 'none'"),
        ("", 2, {"most_tokens": 9}, "found '2 too long even without history'; raise most_tokens, or give others"),
        ("", 12, {"beta": 0.0}, "beta is above 0; found 0.0"),
        ("", 12, {"beta": math.nan}, "beta is above 0; found nan"),
    ],
)
def test_what_cannot_be_tuned_is_said(
    model: Path, tmp_path: Path, base: str, rows: int, settings: dict[str, Any], rule: str
) -> None:
    how: dict[str, Any] = {"beta": settings.get("beta", 0.1), "prompt": PROMPT}
    tuning = TuningSettings(most_tokens=settings.get("most_tokens", 2048))
    with pytest.raises(InputError) as caught:
        tune_preference(base or f"hf:{model}", preferences(rows), tmp_path / "out", tuning, **how)
    assert rule in str(caught.value)
    assert not (tmp_path / "out").exists()


def test_whom_a_judge_taught_it_does_not_crown(call: Call, tmp_path: Path) -> None:
    """Valid or not; another judge may, and this one may where the pupil did not take part."""
    from tests.cli.test_validate_judge import written

    pairs = [replace(pair, generators=("", "")) for pair in sample_pairs(120)]
    written(Path("pairs.jsonl"), pairs)
    other = TextJudge()
    other.fit(pairs[:60])
    other.save(Path("other"))
    assert call("init", "w", "--dataset", "demo").code == 0
    assert call("recommend", "w", "--recommender", "popularity").code == 0
    for generator in ("template", "embedded"):
        assert call("explain", "w", "--generator", generator, "--users", "20").code == 0
    notes = Path("w/explanations/popularity/embedded.toml")
    notes.write_text('taught_by = ["text"]\n' + notes.read_text())
    ended = call("judge", "w", "--train", "pairs.jsonl")
    assert ended.code == 0 and "\nVALID, though names were not measured" in ended.out
    assert "popularity on w, text: no winner: the judge taught embedded; ask another" in ended.out
    assert "Best: no winner: the judge taught embedded; ask another" in Path("w/summary.md").read_text()
    by_other = call("judge", "w", "--judge", "text:other", "--test", "pairs.jsonl")
    assert by_other.code == 0, by_other.out
    assert "popularity on w, text:other: no winner" not in by_other.out
    assert "the judge taught" in by_other.out, "of the first one, still"


def digest(folder: Path) -> dict[str, str]:
    return {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in folder.iterdir()}
