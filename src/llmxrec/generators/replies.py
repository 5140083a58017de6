"""What models and servers send back, read into words, a status and a reason. Pure functions of untrusted text."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any, Literal

from llmxrec.evidence.refusals import is_refusal
from llmxrec.records import Status

_TOO_LONG = re.compile(
    r"context[ _](length|window|size)|maximum context|prompt is too long|too many (input )?tokens"
    r"|tokens`? \+ `?max_new_tokens",
    re.IGNORECASE,
)
_FILTERED = re.compile(
    r"content[ _](filter|policy|management policy)|ResponsibleAIPolicyViolation|flagged|moderation", re.IGNORECASE
)
_NO_CREDIT = re.compile(
    r"insufficient_quota|insufficient[ _](credit|balance|funds)|billing_(hard_limit|not_active)", re.IGNORECASE
)
_CURES = {
    401: "check OPENAI_API_KEY",
    402: "top up, then run the same command again",
    403: "check what OPENAI_API_KEY may do",
    404: "check the model's name, and the address (most end in /v1)",
}
_AGAIN = frozenset({408, 409, 425, 429})


@dataclass(frozen=True, slots=True)
class Reply:
    """What a server answered to one prompt."""

    text: str
    status: Status
    input_tokens: int | None = None
    output_tokens: int | None = None
    detail: str | None = None


@dataclass(frozen=True, slots=True)
class Fault:
    """Why a server gave no answer.

    again: may be gone when asked again. stop: all the other prompts would end the same. prompt: it is about this
    prompt, whose status is `status`. `lost`: the server may have answered, and may want to be paid, all the same.
    """

    kind: Literal["again", "stop", "prompt"]
    detail: str
    status: Status = "failed"
    unknown_parameter: str | None = None
    lost: bool = False


def ended(text: str, cut: bool = False) -> Status:
    """How an answer ended, from its words and whether the length limit cut it."""
    if cut:
        return "truncated"
    if not text.strip():
        return "empty"
    return "refused" if is_refusal(text) else "ok"


def speakable(text: str) -> str:
    """`text` as it can be sent and stored: half characters, which UTF-8 cannot hold, become '?'."""
    return text.encode("utf-8", "replace").decode("utf-8")


def brief(text: str, limit: int = 200) -> str:
    """Untrusted `text` as one printable line of at most `limit` characters."""
    line = " ".join("".join(sign if sign.isprintable() else " " for sign in text[: 20 * limit]).split())
    return line if len(line) <= limit else line[: limit - 1] + "…"


def read_reply(body: str) -> Reply | Fault:
    """Read the body of a chat completion that came with status 200.

    Some servers answer 200 and mean an error, and proxies answer with pages of their own: those are faults.
    """
    try:
        content = json.loads(body)
    except (ValueError, RecursionError):
        why = f"the server's answer is not JSON: {brief(body, 80)}" if body else "no body came back"
        return Fault("again", why, lost=True)
    if not isinstance(content, dict):
        return Fault("again", f"the server's answer is not a chat completion: {brief(body, 80)}")
    choices = content.get("choices")
    if not isinstance(choices, list):
        code = _table(content.get("error")).get("code")
        return read_error(code if isinstance(code, int) and 400 <= code <= 599 else 500, body)
    choice = _table(choices[0]) if choices else {}
    message = _table(choice.get("message"))
    text = speakable(_words(message.get("content")))
    usage = _table(content.get("usage"))
    read, written = _count(usage.get("prompt_tokens")), _count(usage.get("completion_tokens"))
    refusal, finish = message.get("refusal"), choice.get("finish_reason")
    if isinstance(refusal, str) and refusal.strip():
        return Reply(text or speakable(refusal), "refused", read, written, "the model declined")
    if finish == "content_filter":
        return Reply(text, "refused", read, written, "the server's content filter stopped the answer")
    status = ended(text, cut=finish == "length")
    reasons = {
        "truncated": "cut by the length limit",
        "empty": "the answer holds no words" if choices else "the server gave no choices",
        "refused": "reads as a refusal",
    }
    return Reply(text, status, read, written, reasons.get(status))


def read_error(http_status: int, body: str) -> Fault:
    """Read the body of an answer whose status says that something is wrong."""
    try:
        content = json.loads(body)
    except (ValueError, RecursionError):
        content = None
    error = _table(content).get("error", content)
    fields = _table(error) or _table(content)
    said = next((value for key in ("message", "detail", "error") if isinstance(value := fields.get(key), str)), None)
    if said is None:
        said = error if isinstance(error, str) else body
    codes = " ".join(str(fields.get(key) or "") for key in ("code", "type"))
    detail = f"the server answered {http_status}: {brief(said)}" if said else f"the server answered {http_status}"
    no_credit = _NO_CREDIT.search(codes) or (http_status in (403, 429) and _NO_CREDIT.search(said))
    if http_status == 402 or no_credit:
        return Fault("stop", f"{detail}; {_CURES[402]}")
    if http_status in _AGAIN or http_status >= 500:
        return Fault("again", detail)
    if http_status in (400, 403, 413, 422):
        if _FILTERED.search(f"{codes} {said}"):
            return Fault("prompt", detail, "refused")
        if http_status != 403 and (_TOO_LONG.search(f"{codes} {said}") or http_status == 413):
            return Fault("prompt", detail, "invalid")
    if http_status in (401, 403, 404):
        return Fault("stop", f"{detail}; {_CURES[http_status]}")
    parameter = fields.get("param")
    if isinstance(parameter, str) and "unsupported" in codes:
        return Fault("stop", detail, unknown_parameter=parameter)
    return Fault("prompt", detail)


def _table(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _count(value: object) -> int | None:
    return value if type(value) is int and value >= 0 else None


def _words(content: object) -> str:
    """The words of a message: a string, or, as some servers send them, a list of parts."""
    if isinstance(content, list):
        return "".join(_words(_table(part).get("text")) for part in content)
    return content if isinstance(content, str) else ""
