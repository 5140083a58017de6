"""Specs, settings, names for files, presets and prices."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pydantic
import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmxrec.errors import InputError
from llmxrec.generators.presets import presets, window_of
from llmxrec.generators.prices import Price, cost, price_of, priced_as_of
from llmxrec.generators.specs import (
    GENERATORS,
    GenerationSettings,
    Spec,
    make_generator,
    price_of_spec,
    read_spec,
    slug,
    usual_name,
)
from llmxrec.lookup import resolve


@pytest.mark.parametrize(
    ("text", "spec"),
    [
        ("template", Spec("template")),
        ("hf:gpt2", Spec("hf", "gpt2")),
        ("hf:org/name+adapters/mine", Spec("hf", "org/name", adapter="adapters/mine")),
        ("openai:gpt-4o", Spec("openai", "gpt-4o")),
        ("openai:a@b@http://h:1/v1/", Spec("openai", "a@b", server="http://h:1/v1")),
        ("openai:/models/a+b@https://h", Spec("openai", "/models/a+b", server="https://h")),
        ("openai:m@http://[::1]:8000/v1", Spec("openai", "m", server="http://[::1]:8000/v1")),
        ("gpt-3.5", Spec("openai", "gpt-3.5-turbo")),
        ("gpt-4", Spec("openai", "gpt-4")),
        ("llama-2", Spec("hf", "meta-llama/Llama-2-7b-chat-hf")),
        ("embedded", Spec("embedded")),
        ("embedded+adapters/mine", Spec("embedded", adapter="adapters/mine")),
        ("llama-2+tuned", Spec("hf", "meta-llama/Llama-2-7b-chat-hf", adapter="tuned")),
        ("chatglm", Spec("hf", "zai-org/glm-4-9b-chat-hf")),
    ],
)
def test_specs_are_read(text: str, spec: Spec) -> None:
    assert read_spec(text) == spec


def test_folders_may_have_a_plus_in_their_names(tmp_path: Path) -> None:
    model, adapter = tmp_path / "c++" / "model", tmp_path / "a+b"
    model.mkdir(parents=True)
    adapter.mkdir()
    assert read_spec(f"hf:{model}") == Spec("hf", str(model))
    assert read_spec(f"hf:{model}+{adapter}") == Spec("hf", str(model), adapter=str(adapter))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("gpt-5", "unknown generator 'gpt-5'; did you mean 'gpt-"),
        ("templat", "did you mean 'template'?"),
        ("lama-2", "did you mean 'llama-2'?"),
        ("hg:gpt2", "Known: chatglm, embedded, gpt-3.5, gpt-4, hf:NAME_OR_PATH, llama-2, openai:MODEL, template"),
        ("", "unknown generator ''"),
        ("hf:", "names a model"),
        ("hf: ", "names a model"),
        ("hf:a\x00b", "names a model"),
        ("hf:gpt2+", "an adapter is a folder"),
        ("gpt-4+mine", "an adapter is a folder"),
        ("llama-2+", "an adapter is a folder"),
        ("embedded+", "did you mean 'embedded'"),
        ("openai:", "names a model"),
        ("openai:@http://h/v1", "names a model"),
        ("openai:m@http://", "http://host:port/v1"),
        ("openai:m@http://h:99999/v1", "http://host:port/v1"),
        ("openai:m@http://[/v1", "http://host:port/v1"),
    ],
)
def test_broken_specs_are_refused_in_one_line(text: str, words: str) -> None:
    with pytest.raises(InputError) as caught:
        read_spec(text)
    assert words in str(caught.value)
    assert str(caught.value).isprintable()


def test_a_password_in_an_address_is_refused_and_not_shown() -> None:
    with pytest.raises(InputError, match="OPENAI_API_KEY") as caught:
        read_spec("openai:m@http://me:hunter2@host/v1")
    assert "hunter2" not in str(caught.value)


@given(st.text(max_size=60) | st.text(max_size=30).map("hf:{}".format) | st.text(max_size=30).map("openai:m@{}".format))
def test_any_text_is_a_spec_or_an_input_error(text: str) -> None:
    try:
        assert read_spec(text).kind in GENERATORS
    except InputError as error:
        assert "\n" not in str(error)


@given(st.text(min_size=0, max_size=120), st.text(max_size=120))
def test_slugs_are_safe_file_names_and_tell_specs_apart(one: str, other: str) -> None:
    name = slug(one)
    assert 0 < len(name) <= 80
    assert set(name) <= set("abcdefghijklmnopqrstuvwxyz0123456789._-")
    assert ".." not in name
    assert name[0] not in ".-"
    assert (name == slug(other)) == (one == other)
    assert slug(name) == name


def test_an_adapter_is_called_by_its_folder() -> None:
    assert usual_name("embedded") == "embedded"
    assert usual_name("embedded+films/adapters/tuned") == "embedded+tuned"
    assert usual_name("hf:a/b+/x/y/mine") == f"{slug('hf:a/b')}+mine"


def test_slugs_can_be_read() -> None:
    assert slug("template") == "template"
    assert slug("gpt-3.5") == "gpt-3.5"
    assert slug("hf:meta-llama/Llama-2-7b-chat-hf").startswith("hf-meta-llama-llama-2-7b-chat-hf-")
    assert len({slug("hf:a/b"), slug("hf:a-b"), slug("hf:A/b"), slug("hf-a-b")}) == 4
    assert slug("../../etc").startswith("etc-")
    assert slug("..").startswith("generator-")


@pytest.mark.parametrize(
    "wrong",
    [
        {"max_tokens": 0},
        {"temperature": -0.1},
        {"temperature": float("nan")},
        {"top_p": 0},
        {"top_p": 1.1},
        {"timeout": 0},
        {"retries": -1},
        {"concurrency": 0},
        {"batch_size": 0},
        {"context_tokens": 0},
        {"max_token": 3},
    ],
)
def test_settings_out_of_range_or_unknown_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(pydantic.ValidationError):
        GenerationSettings.model_validate(wrong)


def test_every_setting_says_what_it_is() -> None:
    assert [name for name, field in GenerationSettings.model_fields.items() if not field.description] == []


def test_every_generator_of_the_table_can_be_loaded() -> None:
    for name in GENERATORS:
        assert callable(resolve("generator", name, GENERATORS).generate)


def test_the_template_is_made_from_its_name() -> None:
    assert make_generator("template").name == "template"


def test_every_preset_can_be_read_and_says_how_it_stands_to_the_papers() -> None:
    assert set(presets()) == {"gpt-3.5", "gpt-4", "llama-2", "chatglm"}
    for name, preset in presets().items():
        assert read_spec(name) == read_spec(preset.spec)
        assert "paper" in preset.note
        if preset.spec.startswith("openai:"):
            model = read_spec(name).model
            assert (window_of(model) or 0) >= 4096
            assert price_of(model) is not None


def test_prices() -> None:
    assert price_of("gpt-4") == Price(input=30.0, output=60.0)
    assert price_of("gpt-5000") is None
    # 2,000 tokens read at $30 and 500 written at $60 a million: 6 and 3 cents.
    assert cost(Price(input=30.0, output=60.0), 2_000, 500) == pytest.approx(0.06 + 0.03)
    assert priced_as_of()[:2] == "20"


def test_only_what_openai_asks_has_a_listed_price() -> None:
    assert price_of_spec("gpt-3.5") == price_of("gpt-3.5-turbo") == Price(0.5, 1.5)
    assert price_of_spec("openai:gpt-4o@http://localhost:1/v1") is None
    assert price_of_spec("hf:gpt-4o") is None
    assert price_of_spec("template") is None


def test_reading_a_spec_loads_nothing_heavy() -> None:
    code = (
        "import sys, llmxrec.generators, llmxrec.generators.specs as s; s.read_spec('llama-2');"
        "import llmxrec.generators.openai_compatible, llmxrec.generators.transformers_local;"
        "print([m for m in ('torch', 'transformers', 'openai', 'peft', 'jinja2') if m in sys.modules])"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"


@pytest.mark.parametrize(
    ("module", "spec", "extra"), [("openai", "openai:m@http://h/v1", "openai"), ("torch", "hf:gpt2", "torch")]
)
def test_a_missing_extra_says_how_to_install_it(
    monkeypatch: pytest.MonkeyPatch, module: str, spec: str, extra: str
) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(InputError, match=rf"needs the extra '{extra}'; pip install 'llmxrec\[{extra}\]'"):
        make_generator(spec)
