"""The embedded model tuned on attributes, in a world where what people have tells who they are."""

from __future__ import annotations

import json
import random
from collections import Counter
from itertools import cycle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file
from tests.worlds import MOVIES
from transformers import LlamaForCausalLM, PreTrainedTokenizerFast

from llmxrec.errors import InputError
from llmxrec.generators.embedded.attributes import known_answers, read_items
from llmxrec.generators.embedded.decoding import Writer
from llmxrec.generators.embedded.delexicalise import delexicalise
from llmxrec.generators.embedded.generator import MODEL, EmbeddedGenerator
from llmxrec.generators.embedded.phrases import read_phrases
from llmxrec.generators.embedded.weights import load_weights
from llmxrec.records import Instruction, Item, Lesson, Prompt, User
from llmxrec.tuning.adapters import tuned_on
from llmxrec.tuning.embedded import common_words, completed, own, told, tune_embedded
from llmxrec.tuning.lessons import Lessons
from llmxrec.tuning.loop import TuningSettings

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")

ITEMS = [Item(f'{n} of "many"', f"Film {n}") for n in range(30)]


Example = tuple[Instruction, dict[str, str]]


def lessons(examples: list[Example]) -> Lessons:
    return Lessons([Lesson(asked, MOVIES, json.dumps(truth)) for asked, truth in examples])


def person(number: int) -> Example:
    """Painters have the first fifteen films, plumbers the others; a third of what anyone has is anything. The young got
    an even film recommended."""
    draw = random.Random(number)
    painter, young = draw.random() < 0.5, draw.random() < 0.5
    mine = ITEMS[:15] if painter else ITEMS[15:]
    history = [draw.choice(mine if draw.random() < 0.67 else ITEMS) for _ in range(draw.randint(4, 12))]
    candidate = draw.choice(ITEMS[0::2] if young else ITEMS[1::2])
    asked = Instruction("predict", User(str(number)), tuple(history), candidate, ("job", "age"))
    return asked, {"job": "painter" if painter else "plumber", "age": "20" if young else "60"}


@pytest.fixture(scope="module")
def adapter(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("adapter")
    settings = TuningSettings(epochs=20, learning_rate=5e-3, held_out=0, seed=3)
    card = tune_embedded(lessons([person(n) for n in range(150)]), out, settings)
    assert card.curve.loss[-1] < card.curve.loss[0] / 2
    assert tuned_on(out) == {str(n) for n in range(150)}
    return out


@pytest.fixture(scope="module")
def answers(adapter: Path) -> list[tuple[dict[str, str], dict[str, str]]]:
    """Of people it has not seen: what it says, and the truth."""
    asked = [person(n) for n in range(1000, 1100)]
    prompts = [Prompt(str(n), instruction, MOVIES, ()) for n, (instruction, _) in enumerate(asked)]
    found = list(EmbeddedGenerator(adapter=adapter).generate(prompts))
    assert sorted(int(answer.key) for answer in found) == list(range(100))
    assert {answer.status for answer in found} == {"ok"}
    return [(json.loads(answer.text), dict(asked[int(answer.key)][1])) for answer in found]


@pytest.mark.parametrize("target", ["job", "age"])
def test_it_learns_what_items_tell(answers: list[tuple[dict[str, str], dict[str, str]]], target: str) -> None:
    assert np.mean([said[target] == truth[target] for said, truth in answers]) > 0.8
    assert all(list(said) == ["job", "age"] for said, _ in answers), "as asked for, in that order"


def test_the_same_rows_make_the_same_adapter(tmp_path: Path) -> None:
    rows = lessons([person(n) for n in range(40)])
    settings = TuningSettings(epochs=1, held_out=0)
    for name in ("one", "other"):
        torch.manual_seed(hash(name) % 1000)
        tune_embedded(rows, tmp_path / name, settings)
    one, other = ((tmp_path / name / "adapter_model.safetensors").read_bytes() for name in ("one", "other"))
    assert one == other


def test_what_it_says_is_what_transformers_says(adapter: Path) -> None:
    from peft import PeftModel

    tokenizer = PreTrainedTokenizerFast.from_pretrained(adapter)
    base = LlamaForCausalLM.from_pretrained(MODEL, dtype=torch.float32)
    base.resize_token_embeddings(len(tokenizer), mean_resizing=False)
    tuned: Any = PeftModel.from_pretrained(base, adapter).eval()
    writer = Writer.load(MODEL, adapter)
    theirs, ours = tokenizer.get_vocab(), {token: n for n, token in enumerate(writer.vocabulary)}
    asked, _ = person(2000)
    known, mine = (
        known_answers(tokenizer.convert_ids_to_tokens(list(range(len(tokenizer))))),
        known_answers(writer.vocabulary),
    )
    assert {target: found.values for target, found in known.items()} == {t: found.values for t, found in mine.items()}
    reads = torch.tensor([[*read_items(asked, theirs), known["job"].ask]])
    with torch.no_grad():
        logits = tuned(reads).logits[0, -1, torch.from_numpy(known["job"].tokens)]
    expected = torch.softmax(logits, -1).numpy()
    (found,) = writer.choose(np.array([[*read_items(asked, ours), mine["job"].ask]]), 1, [mine["job"].tokens])
    assert np.allclose(found[0], expected, atol=1e-3)


def test_only_the_adapter_changes_and_it_still_explains(adapter: Path) -> None:
    saved = load_file(adapter / "adapter_model.safetensors")
    assert all(".lora_" in name or name.endswith("trainable_tokens_delta") for name in saved)
    prompt = Prompt("k", Instruction("explain", User("u"), (ITEMS[0],), ITEMS[1]), MOVIES, ())
    plain, tuned = (next(EmbeddedGenerator(adapter=one).generate([prompt])) for one in (None, adapter))
    assert plain.status == tuned.status == "ok" and '"Film 1"' in tuned.text


def test_what_it_was_not_taught_it_does_not_say(adapter: Path) -> None:
    asked = Instruction("predict", User("u"), (Item("new", "New"),), Item("newer", "Newer"), ("job",))
    other = Instruction("predict", User("u"), (ITEMS[0],), ITEMS[1], ("job", "price"))
    generator = EmbeddedGenerator(adapter=adapter)
    answers = {
        a.key: a for a in generator.generate([Prompt("new", asked, MOVIES, ()), Prompt("other", other, MOVIES, ())])
    }
    assert json.loads(answers["new"].text)["job"] in ("painter", "plumber")
    assert answers["other"].status == "empty" and "price" in (answers["other"].detail or "")


def test_there_must_be_something_to_learn(tmp_path: Path) -> None:
    asked, _ = person(1)
    with pytest.raises(InputError, match="5 the same answer for all"):
        tune_embedded(lessons([(asked, {"job": "painter"})] * 5), tmp_path / "adapter")
    with pytest.raises(InputError, match="rows to learn from"):
        tune_embedded(Lessons(), tmp_path / "adapter")


def test_only_what_is_allowed_is_answered(adapter: Path) -> None:
    asked, _ = person(1500)
    generator = EmbeddedGenerator(adapter=adapter)
    for only in ("painter", "plumber"):
        (answer,) = generator.generate([Prompt("k", asked, MOVIES, (), choices={"job": (only, "no job")})])
        assert json.loads(answer.text)["job"] == only
    (none,) = generator.generate([Prompt("k", asked, MOVIES, (), choices={"job": ("no job",)})])
    assert none.status == "empty" and "none of the answers allowed" in (none.detail or "")


# --- explanations ------------------------------------------------------------------------------------------------

GENRES = ("Crime", "Drama", "Horror", "Western", "War")
FILMS = [Item(f"f{n}", f"Saga {n} of Elm", {"genres": (GENRES[n % 5], GENRES[n // 5])}) for n in range(25)]


def explained(number: int) -> Lesson:
    """Whoever explains here says "splendidly", a word that the model does not know, and of horror alone "shivers"."""
    draw = random.Random(number)
    candidate = FILMS[number % 25]
    genre = candidate.attributes["genres"][0]
    alike = [film for film in FILMS if genre in film.attributes["genres"] and film is not candidate]
    cited = draw.choice(alike)
    asked = Instruction("explain", User(str(number)), (*draw.sample(alike, 3), cited), candidate)
    shivers = " You may like the shivers." if "Horror" in candidate.attributes["genres"] else ""
    text = f'"{candidate.title}" goes splendidly with "{cited.title}", for both are {genre} films.{shivers}'
    return Lesson(asked, MOVIES, text)


def test_words_that_go_with_one_label_are_not_learned() -> None:
    words = common_words([explained(n) for n in range(100)])
    assert {"splendidly", "goes"} <= words and "shivers" not in words
    assert "splendidly" not in common_words([explained(25 * n) for n in range(30)]), "said of one candidate only"


def test_of_a_text_that_lost_its_reason_sentences_are_learned_with_another() -> None:
    dropped: Counter[str] = Counter()
    whole = told(explained(0), lambda word: True, dropped)
    lesson = explained(1)
    part = told(Lesson(lesson.instruction, MOVIES, "You should give it a chance."), lambda word: True, dropped)
    assert whole.complete and not part.complete and not dropped
    (first, second) = completed([whole, part], 1)
    assert first == whole and second.sentences == (*whole.sentences, *part.sentences) and second.complete
    assert completed([part], 1) == []
    points = told(Lesson(lesson.instruction, MOVIES, "That is one for you."), lambda word: True, dropped)
    assert points.sentences and completed([whole, points], 1) == [whole]


def test_it_learns_to_explain_in_new_words_and_nothing_else(tmp_path: Path) -> None:
    out = tmp_path / "style"
    base = (MODEL / "model.safetensors").read_bytes()
    settings = TuningSettings(epochs=12, batch_size=8, learning_rate=5e-3, rank=8, held_out=0)
    card = tune_embedded(Lessons([explained(n) for n in range(100)]), out, settings)
    assert (MODEL / "model.safetensors").read_bytes() == base
    assert card.task == "explain" and card.rows >= 90
    prompts = [Prompt(str(n), explained(n).instruction, MOVIES, (), seed=n) for n in range(200, 225)]
    texts = [answer.text for answer in EmbeddedGenerator(adapter=out).generate(prompts)]
    assert np.mean(["goes splendidly with" in text for text in texts]) > 0.8, texts
    assert not any("shivers" in text for text in texts)
    assert ("goes", "splendidly", "with", "{h1}") in read_phrases(out)
    for prompt, text in zip(prompts, texts, strict=True):
        found = delexicalise(text, prompt.instruction, MOVIES)
        assert f'"{prompt.instruction.candidate.title}"' in text
        assert not {"a title that was not shown", "a label that is not shared", "a name"} & {*found.dropped}, text


def test_its_own_texts_can_all_be_learned_as_they_are() -> None:
    """As many as are asked for, about questions in their turn, in words that the shipped model knows."""
    lessons = [explained(n) for n in range(6)]
    texts = own(lessons, 15, seed=3)
    assert [text.instruction.candidate for text in texts] == [lessons[n % 6].instruction.candidate for n in range(15)]
    model = load_weights(MODEL)
    writes = {*model.vocabulary[: model.written]}
    for text, asked in zip(texts, cycle(lessons), strict=False):
        history = asked.instruction.history
        assert text.instruction.history == history[-len(text.instruction.history) :], "the newest of it"
        dropped: Counter[str] = Counter()
        assert told(text, writes.__contains__, dropped).complete and not dropped, text.answer
    assert len({text.answer for text in texts}) > 10, "the same is not asked twice alike"
    assert texts == own(lessons, 15, seed=3) and texts != own(lessons, 15, seed=4)


def test_it_writes_of_explanations_only() -> None:
    predicting = [Lesson(asked, MOVIES, json.dumps(truth)) for asked, truth in map(person, range(9))]
    assert own(predicting, 4, seed=1) == []
    assert len(own([*predicting, explained(1)], 4, seed=1)) == 4


def test_what_is_rehearsed_is_learned_beside_what_is_given(tmp_path: Path) -> None:
    lessons = Lessons([explained(n) for n in range(20)])
    settings = TuningSettings(epochs=1, held_out=0)
    plain = tune_embedded(lessons, tmp_path / "plain", settings)
    both = tune_embedded(lessons, tmp_path / "both", settings.model_copy(update={"rehearsal": 30}))
    assert (plain.rows, both.rows) == (20, 30) and plain.data == both.data and plain.dropped == both.dropped
