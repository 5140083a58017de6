"""What comes back, read: refusals, errors in every server's own words, and text that is not to be trusted."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmxrec.evidence.refusals import is_refusal
from llmxrec.generators.replies import Fault, Reply, brief, ended, read_error, read_reply, speakable


@pytest.mark.parametrize(
    "text",
    [
        "I'm sorry, but I can't help with that.",
        "I’m sorry, but I can’t assist with that request.",
        "Sorry, I am unable to explain this recommendation.",
        "I apologize, but I cannot provide an explanation.",
        "As an AI language model, I cannot know what the customer feels.",
        "As a language model, I don't have access to the customer's history.",
        "I'm sorry, but as an AI, I do not have enough information about the customer.",
        "Unfortunately, I cannot say why this film was recommended.",
        "I cannot fulfill your request.",
        "I won't answer that, I must decline.",
    ],
)
def test_refusals(text: str) -> None:
    assert is_refusal(text)
    assert ended(text) == "refused"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "The customer cannot resist a thriller.",
        "I can't help but notice how many crime films you watched; Fargo is one more.",
        "Sorry, Wrong Number suits you, who can't resist a thriller.",
        "Sorry to Bother You is as odd as the films you liked. I cannot recommend it enough.",
        "I'm sorry, I can't say much; however, Fargo is a crime film like Heat.",
        "I'm sorry, but I can't say for sure. " + "Fargo is a crime film, and so is Heat. " * 12,
        "As an AI film, Ex Machina suits you: you cannot have enough of robots.",
        "Unfortunately for your sleep, this game is just what you like.",
        "I Am Sorry, Father is a drama, like the last three films you watched.",
    ],
)
def test_explanations_are_not_refusals(text: str) -> None:
    assert not is_refusal(text)


def test_how_an_answer_ended() -> None:
    assert [ended("You like drama."), ended(" \n"), ended("", cut=True), ended("I cannot answer", cut=True)] == [
        "ok",
        "empty",
        "truncated",
        "truncated",
    ]


@given(st.text(st.characters(codec=None)) | st.text(st.characters(categories=["Cs", "Lu"])), st.integers(2, 50))
def test_untrusted_text_becomes_one_printable_line(text: str, limit: int) -> None:
    line = brief(text, limit)
    assert line.isprintable()
    assert len(line) <= limit
    assert brief(line, limit) == line


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_whole_characters_are_left_alone(text: str) -> None:
    assert speakable(text) == text


@given(st.text(st.characters(categories=["Cs", "Lu"])))
def test_half_characters_are_gone(text: str) -> None:
    assert len(speakable(text).encode("utf-8")) >= len(text) - 1


@pytest.mark.parametrize(
    ("status", "body", "kind", "ends", "words"),
    [
        # OpenAI
        (429, {"error": {"message": "quota", "type": "insufficient_quota", "code": None}}, "stop", "failed", "top up"),
        (429, {"error": {"message": "Rate limit reached for gpt-4"}}, "again", "failed", "Rate limit"),
        (400, {"error": {"message": "m", "code": "content_policy_violation"}}, "prompt", "refused", "400: m"),
        # Azure
        (400, {"error": {"message": "m", "innererror": {}, "code": "content_filter"}}, "prompt", "refused", "m"),
        # vLLM, before and after it nested its errors
        (400, {"object": "error", "message": "maximum context length is 4096"}, "prompt", "invalid", "4096"),
        (400, {"error": {"message": "maximum context length is 4096", "code": 400}}, "prompt", "invalid", "4096"),
        (404, {"object": "error", "message": "The model `x` does not exist."}, "stop", "failed", "does not exist"),
        # llama.cpp
        (400, {"error": {"message": "m", "type": "exceed_context_size_error"}}, "prompt", "invalid", "m"),
        # TGI
        (422, {"error": "`inputs` tokens + `max_new_tokens` must be <= 4096"}, "prompt", "invalid", "4096"),
        # FastAPI
        (422, {"detail": [{"loc": ["body"], "msg": "m"}]}, "prompt", "failed", "loc"),
        (400, {"detail": "Server is pinned to 'a'"}, "prompt", "failed", "pinned"),
        # OpenRouter
        (403, {"error": {"message": "your input was flagged", "code": 403}}, "prompt", "refused", "flagged"),
        # gateways
        (413, "<html>too large</html>", "prompt", "invalid", "too large"),
        (529, "", "again", "failed", "529"),
        (425, "null", "again", "failed", "null"),
        (418, '"tea"', "prompt", "failed", "tea"),
        (401, "[[[", "stop", "failed", "OPENAI_API_KEY"),
    ],
)
def test_errors_in_the_words_of_each_server(status: int, body: object, kind: str, ends: str, words: str) -> None:
    fault = read_error(status, body if isinstance(body, str) else json.dumps(body))
    assert (fault.kind, fault.status) == (kind, ends)
    assert words in fault.detail
    assert fault.detail.isprintable()


def test_text_in_parts() -> None:
    content = [{"type": "text", "text": "You like "}, {"type": "image"}, {"type": "text", "text": "drama."}]
    reply = read_reply(json.dumps({"choices": [{"message": {"content": content}}]}))
    assert reply == Reply("You like drama.", "ok")


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["choices", "message", "content", "usage", "error", "code", "refusal", "prompt_tokens", "text"]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


@given(json_values)
def test_any_json_is_read_as_a_reply_or_a_fault(value: object) -> None:
    body = json.dumps(value)
    read = read_reply(body)
    assert isinstance(read, (Reply, Fault))
    if isinstance(read, Reply):
        assert read.status != "ok" or read.text.strip()
    assert read_error(400, body).detail.isprintable()


@given(st.text(max_size=40))
def test_any_text_is_read_as_a_reply_or_a_fault(body: str) -> None:
    assert read_reply(body)
    assert read_error(500, body).kind in ("again", "stop")
