"""Answers from a server, and what is sent to it and told of it."""

from __future__ import annotations

import logging
import traceback
from dataclasses import replace
from typing import Any

import pytest
from tests.generators.loopback import Said, Serve, ask, completion, fault, one

from llmxrec.errors import InputError, WorkError
from llmxrec.generators.openai_compatible import OpenAICompatibleGenerator
from llmxrec.generators.protocol import Generator
from llmxrec.generators.specs import GenerationSettings, make_generator
from llmxrec.records import Answer, Message
from llmxrec.testing.generators import GeneratorConformance, sample_prompts

KEY = "sk-test-3f9a1c77e2b84d05"


class TestConformance(GeneratorConformance):
    drawn_ahead = 8

    @pytest.fixture(autouse=True)
    def _serve(self, serve: Serve) -> None:
        def echo(body: dict[str, Any], _number: int) -> Said:
            return completion(f"You asked: {body['messages'][-1]['content'][-40:]}")

        self.server = serve(echo)

    def make(self) -> Generator:
        return ask(self.server)


def test_an_answer_comes_with_what_the_server_counted(serve: Serve) -> None:
    server = serve(lambda *_: completion("Because you liked Fargo 🎬 人物."))
    assert one(server) == Answer("p0", "Because you liked Fargo 🎬 人物.", "ok", 7, 3)


def test_the_request_says_what_the_settings_say(serve: Serve) -> None:
    server = serve(lambda *_: completion("yes"))
    one(server, max_tokens=55)
    assert server.requests[0] == {
        "model": "m",
        "messages": [
            {"role": "system", "content": "You explain recommendations."},
            {"role": "user", "content": "The customer watched: Film 0. Why Candidate 0?"},
        ],
        "temperature": 0.0,
        "max_tokens": 55,
    }


def test_half_a_character_is_sent_as_a_question_mark(serve: Serve) -> None:
    server = serve(lambda *_: completion("yes"))
    prompt = replace(sample_prompts(1)[0], messages=(Message("user", "half \ud83d of it"),))
    assert [answer.status for answer in ask(server).generate([prompt])] == ["ok"]
    assert server.requests[0]["messages"] == [{"role": "user", "content": "half ? of it"}]


def test_each_prompt_draws_with_a_seed_of_its_own_that_a_new_run_repeats(serve: Serve) -> None:
    server = serve(lambda *_: completion("yes"))
    for _ in range(2):
        list(ask(server, temperature=0.7, top_p=0.9).generate(sample_prompts(4)))
    seeds = {(r["messages"][-1]["content"], r["seed"]) for r in server.requests}
    assert len(server.requests) == 8
    assert len(seeds) == len({seed for _, seed in seeds}) == 4
    assert all(0 <= seed < 2**31 for _, seed in seeds)
    other_run = [replace(prompt, key=f"again {prompt.key}") for prompt in sample_prompts(4)]
    list(ask(server, temperature=0.7).generate(other_run))
    assert {(r["messages"][-1]["content"], r["seed"]) for r in server.requests} == seeds
    list(ask(server, temperature=0.7, seed=2).generate(sample_prompts(4)))
    assert len({r["seed"] for r in server.requests}) == 8
    server.requests = server.requests[:8]
    assert {(r["temperature"], r["top_p"]) for r in server.requests} == {(0.7, 0.9)}


@pytest.mark.parametrize(
    ("said", "status", "text"),
    [
        (completion("cut in the mid", "length"), "truncated", "cut in the mid"),
        (completion("", "content_filter"), "refused", ""),
        (completion(None, refusal="I will not."), "refused", "I will not."),
        (completion("I'm sorry, but I can't help with that."), "refused", "I'm sorry, but I can't help with that."),
        (completion(None), "empty", ""),
        (completion("  \n "), "empty", "  \n "),
        (Said(body={"choices": []}), "empty", ""),
        (Said(body='{"choices": [{"message": {"content": "half \\ud83d"}}]}'), "ok", "half ?"),
        (fault(400, "This model's maximum context length is 9 tokens", code="context_length_exceeded"), "invalid", ""),
        (fault(400, "filtered", code="content_filter"), "refused", ""),
        (fault(422, "messages: too odd"), "failed", ""),
    ],
)
def test_what_ends_a_prompt_is_its_status_and_is_not_asked_again(
    serve: Serve, said: Said, status: str, text: str
) -> None:
    server = serve(lambda *_: said)
    answer = one(server)
    assert (answer.status, answer.text) == (status, text)
    assert answer.detail is not None or status == "ok"
    assert len(server.requests) == 1


def test_newer_models_call_the_length_limit_otherwise(serve: Serve) -> None:
    def behave(body: dict[str, Any], _number: int) -> Said:
        if "max_tokens" in body:
            return fault(400, "Use 'max_completion_tokens'", code="unsupported_parameter", param="max_tokens")
        return completion(str(body["max_completion_tokens"]))

    server = serve(behave)
    answers = list(ask(server, max_tokens=33, concurrency=2).generate(sample_prompts(10)))
    assert {answer.text for answer in answers} == {"33"}
    assert len(server.requests) <= 12


def test_it_works_where_an_event_loop_already_runs(serve: Serve) -> None:
    import asyncio

    server = serve(lambda *_: completion("in a notebook"))

    async def cell() -> str:
        return one(server).text

    assert asyncio.run(cell()) == "in a notebook"


def test_the_key_is_sent_and_never_told(
    serve: Serve, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    monkeypatch.setenv("OPENAI_API_KEY", f" {KEY}\n")
    leaks = [
        completion(f"your key is {KEY}"),
        fault(500, f"Bearer {KEY} broke it"),
        Said(200, f"<html>{KEY}</html>"),
        fault(401, f"Incorrect API key provided: {KEY}"),
    ]
    server = serve(lambda _body, number: leaks[min(number, len(leaks)) - 1])
    generator = ask(server, concurrency=1, retries=1)
    told = [repr(generator), str(vars(generator.settings))]
    with pytest.raises(WorkError) as caught:
        for answer in generator.generate(sample_prompts(5)):
            told.append(repr(answer))
    told += traceback.format_exception(caught.value)
    told += [record.getMessage() for record in caplog.records]
    assert len(told) > 5
    assert not [line for line in told if KEY in line]
    assert "your key is [key]" in told[2]
    assert all(headers["authorization"] == f"Bearer {KEY}" for headers in server.headers)


def test_a_key_with_a_line_break_inside_is_refused_without_showing_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", f"{KEY}\n{KEY}")
    with pytest.raises(InputError, match="OPENAI_API_KEY") as caught:
        make_generator("openai:gpt-4o")
    assert KEY not in str(caught.value)


def test_openai_needs_a_key_and_a_server_of_ones_own_does_not(serve: Serve) -> None:
    server = serve(lambda *_: completion("yes"))
    assert one(server).status == "ok"
    with pytest.raises(InputError, match=r"needs a key in OPENAI_API_KEY"):
        next(make_generator("gpt-3.5").generate(sample_prompts(1)))


def test_room_for_prompts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    assert make_generator("gpt-4", GenerationSettings(max_tokens=192)).context_tokens == 8000
    assert make_generator("openai:gpt-99").context_tokens is None
    assert make_generator("openai:gpt-4@http://localhost:1/v1").context_tokens is None
    assert make_generator("openai:gpt-99", GenerationSettings(context_tokens=77)).context_tokens == 77
    with pytest.raises(InputError, match="8192"):
        make_generator("gpt-4", GenerationSettings(max_tokens=8192))


@pytest.mark.parametrize(
    ("text", "tokens"),
    [("", 4), ("abc", 5), ("abcd", 6), ("人", 6), ("🎬", 6), ("\ud83d", 5)],
)
def test_tokens_are_estimated(serve: Serve, text: str, tokens: int) -> None:
    generator = OpenAICompatibleGenerator("m", server="http://localhost:1/v1")
    assert generator.count_tokens([Message("user", text)]) == tokens
