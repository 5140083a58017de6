"""The line to a server that misbehaves: what is asked again, what ends the run, and that nothing goes on unasked."""

from __future__ import annotations

import itertools
import os
import random
import signal
import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from tests.generators.loopback import QUICK, Said, Serve, ask, completion, fault, first_then, one

from llmxrec.errors import WorkError
from llmxrec.generators.openai_compatible import OpenAICompatibleGenerator
from llmxrec.generators.specs import GenerationSettings
from llmxrec.records import Prompt
from llmxrec.testing.generators import sample_prompts


@pytest.mark.parametrize(
    "said",
    [
        fault(429, "slow down"),
        fault(429, "slow down", {"Retry-After": "0"}),
        fault(408),
        fault(409),
        fault(500),
        fault(503, "", {"Retry-After": "nonsense"}),
        Said(502, "<html>Bad gateway</html>", {"Content-Type": "text/html"}),
        Said(200, "<html>Log in to the wifi</html>", {"Content-Type": "text/html"}),
        Said(200, '{"choices": [{"mess'),
        Said(200, ""),
        Said(200, "[]"),
        Said(200, {"error": {"message": "upstream broke", "code": 502}}),
        Said(200, "[" * 100_000),
        Said(200, b'{"choices": \xff\xfe'),
        Said(200, completion("a whole answer").body, cut=True),
        Said(200, completion("too late").body, delay=5),
        Said(200, completion("never done").body, drip=0.1),
    ],
)
def test_what_may_pass_is_asked_again(serve: Serve, said: Said) -> None:
    server = serve(first_then(said, completion("there it is")))
    assert one(server, timeout=1).text == "there it is"
    assert len(server.requests) == 2


def test_a_prompt_that_finds_no_answer_has_failed_after_all_its_attempts(serve: Serve) -> None:
    server = serve(lambda *_: fault(500, "it\nbroke\x1b[31m"))
    answer = one(server, retries=3)
    assert answer.status == "failed"
    assert answer.detail == "no answer after 4 attempts: the server answered 500: it broke [31m"
    assert len(server.requests) == 4


def test_a_server_that_is_not_there() -> None:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    generator = OpenAICompatibleGenerator(
        "m", GenerationSettings(retries=1), server=f"http://127.0.0.1:{port}/v1", backoff=QUICK
    )
    (answer,) = generator.generate(sample_prompts(1))
    assert answer.status == "failed"
    assert answer.detail is not None
    assert "broke" in answer.detail


def test_the_server_is_given_the_time_it_asks_for(serve: Serve) -> None:
    server = serve(first_then(fault(429, headers={"Retry-After": "0.5"}), completion("yes")))
    start = time.monotonic()
    assert one(server).status == "ok"
    assert 0.5 <= time.monotonic() - start < 3


def test_too_many_requests_slows_everyone(serve: Serve) -> None:
    moments: list[float] = []

    def behave(_body: dict[str, Any], number: int) -> Said:
        moments.append(time.monotonic())
        # The first four come together; the first of them is told to wait.
        return fault(429, headers={"Retry-After": "0.6"}) if number == 1 else Said(200, completion("x").body, delay=0.1)

    server = serve(behave)
    assert len(list(ask(server, concurrency=4).generate(sample_prompts(12)))) == 12
    told = moments[0]
    assert not [moment for moment in moments if told + 0.3 < moment < told + 0.6]


def test_a_wait_beyond_patience_ends_the_run(serve: Serve) -> None:
    server = serve(lambda *_: fault(429, "daily limit", {"Retry-After": "86400"}))
    with pytest.raises(WorkError, match=r"asks to wait 86,400 s; the server answered 429: daily limit"):
        list(ask(server, concurrency=1).generate(sample_prompts(50)))
    assert len(server.requests) == 1


@pytest.mark.parametrize(
    ("said", "words"),
    [
        (fault(429, "You exceeded your current quota", code="insufficient_quota"), "quota.*top up"),
        (fault(402, "Insufficient Balance"), "Balance"),
        (fault(400, "Billing hard limit has been reached", code="billing_hard_limit_reached"), "Billing"),
        (fault(401, "Incorrect API key"), "check OPENAI_API_KEY"),
        (fault(403, "Country not supported"), "Country"),
        (fault(404, "The model `m` does not exist"), "check the model's name"),
        (fault(400, "does not support 0", code="unsupported_value", param="temperature"), "does not support 0"),
    ],
)
def test_what_all_the_rest_would_meet_too_ends_the_run_at_once(serve: Serve, said: Said, words: str) -> None:
    server = serve(lambda *_: said)
    with pytest.raises(WorkError, match=words) as caught:
        list(ask(server, concurrency=1).generate(sample_prompts(50)))
    assert len(server.requests) == 1
    assert str(caught.value).isprintable()


def test_what_was_answered_before_the_run_ended_is_given_out(serve: Serve) -> None:
    def behave(body: dict[str, Any], number: int) -> Said:
        return completion("paid for") if number <= 6 else fault(402, "no credit")

    server = serve(behave)
    answers = []
    with pytest.raises(WorkError, match="no credit"):
        for answer in ask(server, concurrency=4).generate(sample_prompts(100)):
            answers.append(answer)
    assert [answer.text for answer in answers if answer.status == "ok"] == ["paid for"] * 6
    assert len(server.requests) <= 6 + 4


def test_a_server_gone_for_ten_prompts_ends_the_run(serve: Serve) -> None:
    server = serve(lambda _body, number: completion("yes") if number <= 5 else fault(500, "gone"))
    answers = []
    with pytest.raises(WorkError, match=r"10 prompts in a row found no answer; .*gone"):
        for answer in ask(server, retries=1, concurrency=2).generate(sample_prompts(1000)):
            answers.append(answer)
    assert sum(answer.status == "ok" for answer in answers) == 5
    assert len(server.requests) <= 5 + 2 * 11


def test_a_server_that_answers_now_and_then_is_asked_to_the_end(serve: Serve) -> None:
    server = serve(lambda _body, number: completion("yes") if number % 8 == 0 else fault(500, "busy"))
    answers = list(ask(server, retries=0, concurrency=1).generate(sample_prompts(40)))
    assert sum(answer.status == "ok" for answer in answers) == 5
    assert sum(answer.status == "failed" for answer in answers) == 35


def test_every_prompt_is_answered_by_a_server_that_fails_a_third_of_the_time(serve: Serve) -> None:
    faults = [
        fault(429, "slow"),
        fault(429, "slow", {"Retry-After": "0"}),
        fault(500),
        Said(503, "<html>busy</html>"),
        Said(200, "{"),
        Said(200, completion("cut").body, cut=True),
        Said(200, completion("late").body, delay=1),
    ]
    chance = random.Random(5)

    def behave(body: dict[str, Any], _number: int) -> Said:
        return chance.choice(faults) if chance.random() < 0.35 else completion(body["messages"][-1]["content"])

    server = serve(behave)
    prompts = sample_prompts(200)
    answers = list(ask(server, retries=12, timeout=0.3).generate(prompts))
    assert {answer.status for answer in answers} == {"ok"}
    assert {answer.key: answer.text for answer in answers} == {p.key: p.messages[-1].content for p in prompts}
    assert len(answers) == 200
    # 200 / .65 = 308 are to be expected.
    assert len(server.requests) < 400


@pytest.mark.parametrize("concurrency", [1, 5])
def test_no_more_requests_are_under_way_than_allowed(serve: Serve, concurrency: int) -> None:
    server = serve(lambda *_: Said(200, completion("x").body, delay=0.02))
    assert len(list(ask(server, concurrency=concurrency).generate(sample_prompts(30)))) == 30
    assert server.most_in_flight == concurrency


def endless() -> Iterator[Prompt]:
    for i in itertools.count():
        yield from sample_prompts(1, start=i)


def test_leaving_stops_the_traffic(serve: Serve) -> None:
    server = serve(lambda _body, number: Said(200, completion("x").body, delay=0.01 if number < 6 else 30))
    answers = ask(server).generate(endless())
    next(answers)
    start = time.monotonic()
    answers.close()
    assert time.monotonic() - start < 2
    time.sleep(0.2)  # what was on its way when the line was cut
    asked = len(server.requests)
    assert asked <= 1 + 8 + 5
    time.sleep(0.3)
    assert len(server.requests) == asked
    assert not [thread for thread in threading.enumerate() if thread.name == "llmxrec-requests"]


def test_an_interrupt_stops_the_traffic(serve: Serve) -> None:
    server = serve(lambda *_: Said(200, completion("x").body, delay=30))
    timer = threading.Timer(0.5, os.kill, (os.getpid(), signal.SIGINT))
    timer.start()
    with pytest.raises(KeyboardInterrupt):
        list(ask(server, concurrency=3).generate(endless()))
    timer.join()
    time.sleep(0.2)
    assert len(server.requests) == 3
    assert not [thread for thread in threading.enumerate() if thread.name == "llmxrec-requests"]


def test_what_was_lost_on_the_way_is_counted_and_asked_again_only_if_that_is_wanted(serve: Serve) -> None:
    cut = replace(completion("lost"), cut=True)
    ways = {"cut": cut, "late": replace(completion("late"), delay=1.0), "no JSON": Said(body="<html>")}
    for name, way in ways.items():
        again = one(serve(first_then(way, completion("yes"))), timeout=0.3)
        assert (again.status, again.lost) == ("ok", 1), name
        server = serve(lambda _body, _number, way=way: way)
        once = one(server, timeout=0.3, retry_lost=False)
        assert (once.status, once.lost, len(server.requests)) == ("failed", 1, 1), name
    refused = one(serve(first_then(fault(500), completion("yes"))), retry_lost=False)
    assert (refused.status, refused.lost) == ("ok", 0), "an error is no lost answer"


def test_the_prompt_after_which_the_server_is_given_up_keeps_its_answer(serve: Serve) -> None:
    server = serve(lambda *_: replace(completion("lost"), cut=True))
    answers = []
    with pytest.raises(WorkError, match="10 prompts in a row found no answer"):
        for answer in ask(server, retries=1, concurrency=1).generate(sample_prompts(40)):
            answers.append(answer)
    assert len(server.requests) == sum(answer.lost for answer in answers) == 20
