"""Generators behind OpenAI's chat completions API, and behind every server that speaks it."""

from __future__ import annotations

import asyncio
import logging
import os
import time
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from itertools import islice
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from llmxrec.errors import InputError, MissingExtra, WorkError
from llmxrec.generators.background import background_loop
from llmxrec.generators.presets import window_of
from llmxrec.generators.replies import Fault, Reply, brief, read_error, read_reply, speakable
from llmxrec.generators.retry import Backoff, Pause, retry_after
from llmxrec.generators.specs import GenerationSettings
from llmxrec.records import Answer, Message, Prompt
from llmxrec.seeds import derive

if TYPE_CHECKING:
    from openai import AsyncOpenAI

log = logging.getLogger(__name__)

_KEY = "OPENAI_API_KEY"
_GIVE_UP_AFTER = 10
"""Prompts in a row that found no answer, each after all its attempts: the server is taken for gone."""
_TICK_S = 0.5
"""Ctrl-C is noticed between two waits at the latest: not every system breaks into one."""


class OpenAICompatibleGenerator:
    """Asks `model` of OpenAI, or of `server` (as in http://localhost:8000/v1).

    The key is taken from OPENAI_API_KEY; a `server` of your own may do without. Up to `settings.concurrency` requests
    are under way at a time, and no more prompts than that are drawn ahead. Requests that find no answer are made
    again as `backoff` says; when the server says "too many requests", all wait. The run stops (WorkError) when the
    key or the model is refused, credit is exhausted or ten prompts in a row found no answer.

    A seed is sent only where words are drawn (temperature above 0); whether it is kept is up to the server.
    """

    def __init__(
        self,
        model: str,
        settings: GenerationSettings | None = None,
        *,
        server: str | None = None,
        name: str | None = None,
        backoff: Backoff | None = None,
    ) -> None:
        try:
            import openai  # noqa: F401 - only to see that it is there; it is used when something is asked
        except ImportError:
            raise MissingExtra("an openai: generator", "openai") from None
        self.name = name or (f"openai:{model}" if server is None else f"openai:{model}@{server}")
        self.settings = settings or GenerationSettings()
        self.context_tokens = self.settings.room(window_of(model) if server is None else None, model)
        self._model = model
        self._server = server
        self._backoff = backoff or Backoff()
        self._key = _read_key()
        self._limit = "max_tokens"  # what the server calls the length limit, corrected by its first answer

    def count_tokens(self, messages: Sequence[Message]) -> int:
        """An estimate, meant to be too high rather than too low: no tokenizer is at hand.

        Three ASCII characters to a token, two bytes of any other writing (English has about four characters to a
        token, Chinese about three bytes), and four tokens around each message.
        """
        return sum(_estimate(message.content) + 4 for message in messages)

    def generate(self, prompts: Iterable[Prompt]) -> Iterator[Answer]:
        if not self._key and self._server is None:
            raise InputError(
                f"OpenAI's API needs a key in {_KEY}",
                cure=f"export {_KEY}=..., or name a server: openai:MODEL@http://host/v1",
            )
        source = iter(prompts)
        waiting: set[Future[Answer]] = set()
        stopped_by: WorkError | None = None
        with background_loop() as loop:
            line = _Line(self)
            try:
                while True:
                    room = 0 if stopped_by else self.settings.concurrency - len(waiting)
                    for prompt in islice(source, room):
                        waiting.add(asyncio.run_coroutine_threadsafe(line.ask(prompt), loop))
                    if not waiting:
                        break
                    done, waiting = wait(waiting, timeout=_TICK_S, return_when=FIRST_COMPLETED)
                    for future in done:
                        # What others have been answered is paid for, so it is given out before the run stops.
                        if isinstance(error := future.exception(), WorkError):
                            stopped_by = stopped_by or error
                        else:
                            yield future.result()
                    stopped_by = stopped_by or line.gone
            finally:
                asyncio.run_coroutine_threadsafe(line.hang_up(), loop).result()
        if stopped_by is not None:
            raise stopped_by

    def _client(self) -> AsyncOpenAI:
        from openai import AsyncOpenAI

        # Retries are ours alone: two policies on top of each other multiply.
        return AsyncOpenAI(
            api_key=self._key or "none", base_url=self._server, max_retries=0, timeout=self.settings.timeout
        )

    def _request(self, prompt: Prompt) -> dict[str, Any]:
        drawn = bool(self.settings.temperature)
        request: dict[str, Any] = {
            "model": self._model,
            "messages": [{"role": message.role, "content": speakable(message.content)} for message in prompt.messages],
            "temperature": self.settings.temperature or 0.0,
            self._limit: self.settings.max_tokens,
        }
        if drawn and self.settings.top_p < 1:
            request["top_p"] = self.settings.top_p
        if drawn:
            # 31 bits: some servers keep no more.
            request["seed"] = derive(self.settings.seed, "sampling", prompt.seed) & 0x7FFFFFFF
        return request

    def _hide_key(self, text: str) -> str:
        """Servers echo what they are sent. Short keys ("none", "EMPTY") are placeholders, and words besides."""
        return text.replace(self._key, "[key]") if len(self._key) >= 8 else text


class _Line:
    """The line to the server during one call of `generate`: one client, and one pause that all requests share."""

    def __init__(self, generator: OpenAICompatibleGenerator) -> None:
        self._generator = generator
        self._client = generator._client()
        self._pause = Pause()
        self._unanswered = 0
        # Why the server is taken for gone; raised when those under way have come to their end.
        self.gone: WorkError | None = None
        self._asking: set[asyncio.Task[Any]] = set()

    async def hang_up(self) -> None:
        """End what is under way, and close the line."""
        # Only our own tasks are cancelled: the client's, cancelled from outside, would leave loose ends.
        for task in self._asking:
            task.cancel()
        await asyncio.gather(*self._asking, return_exceptions=True)
        await self._client.close()

    async def ask(self, prompt: Prompt) -> Answer:
        """The answer to one prompt, whatever it takes. WorkError when the whole run must stop."""
        if task := asyncio.current_task():
            self._asking.add(task)
            task.add_done_callback(self._asking.discard)
        reply, lost = await self._reply(prompt)
        if isinstance(reply, Reply):
            self._unanswered = 0
            return Answer(
                prompt.key, reply.text, reply.status, reply.input_tokens, reply.output_tokens, reply.detail, lost
            )
        if reply.status == "failed" and not self._pause.stopped.is_set():
            self._unanswered += 1
            if self._unanswered >= _GIVE_UP_AFTER:
                self.gone = self._stop(f"{self._unanswered} prompts in a row found no answer; {reply.detail}")
        return Answer(prompt.key, "", reply.status, detail=reply.detail, lost=lost)

    async def _reply(self, prompt: Prompt) -> tuple[Reply | Fault, int]:
        """What came of a prompt in the end, and how many attempts were lost on the way."""
        backoff = self._generator._backoff
        give_up_at = time.monotonic() + backoff.patience
        attempt = lost = 0
        while True:
            await self._pause.over(spread=backoff.first)
            if self._pause.stopped.is_set():
                return Fault("again", "the run was stopped"), lost
            reply, asked = await self._attempt(prompt)
            if isinstance(reply, Reply) or reply.kind == "prompt":
                return reply, lost
            lost += reply.lost
            if reply.lost and not self._generator.settings.retry_lost:
                return reply, lost
            if reply.kind == "stop":
                raise self._stop(reply.detail)
            wait_s = backoff.wait(attempt, asked)
            if asked is not None and asked > backoff.patience:
                raise self._stop(f"the server asks to wait {asked:,.0f} s; {reply.detail}")
            attempt += 1
            if attempt > self._generator.settings.retries or time.monotonic() + wait_s > give_up_at:
                return Fault("again", f"no answer after {attempt} attempts: {reply.detail}"), lost
            log.info("no answer to attempt %d at a prompt; asking again in %.1f s or later", attempt, wait_s)
            if asked is not None:
                self._pause.hold(wait_s)
            else:
                await self._pause.sleep(wait_s)

    async def _attempt(self, prompt: Prompt) -> tuple[Reply | Fault, float | None]:
        """One request: what came of it, and how long the server asks everyone to wait, if it does."""
        import openai

        generator = self._generator
        request = generator._request(prompt)
        try:
            # The client's own timeout is between two bytes; this one is for the whole.
            async with asyncio.timeout(generator.settings.timeout):
                raw = await self._client.chat.completions.with_raw_response.create(**request)
            return read_reply(generator._hide_key(raw.content.decode("utf-8", "replace"))), None
        except openai.APIStatusError as error:
            log.info("the server answered with status %d", error.status_code)
            fault = read_error(error.status_code, generator._hide_key(error.response.text))
            asked = retry_after(error.response.headers)
            if asked is None and error.status_code == 429:
                asked = 0.0
        except (TimeoutError, openai.APITimeoutError):
            log.info("no answer within %g s", generator.settings.timeout)
            return Fault("again", f"no answer within {generator.settings.timeout:g} s", lost=True), None
        except openai.APIConnectionError as error:
            log.info("the line to the server broke")
            cause = generator._hide_key(str(error.__cause__ or error))
            # By name: the SDK has changed the HTTP library that it stands on.
            asked_for = type(error.__cause__).__name__ != "ConnectError"
            return Fault("again", f"the line to the server broke: {brief(cause)}", lost=asked_for), None
        if fault.unknown_parameter == "max_tokens" and "max_tokens" in request:
            generator._limit = "max_completion_tokens"  # what newer models call it
            return await self._attempt(prompt)
        return fault, asked

    def _stop(self, why: str) -> WorkError:
        """Tell the others to come to an end. The error says what to do; answers so far are the caller's to keep."""
        self._pause.stopped.set()
        server = self._generator._server
        host = "OpenAI" if server is None else urlsplit(server).netloc
        return WorkError(f"{host} cannot go on answering: {brief(why, 300)}")


def _read_key() -> str:
    """The key, empty where there is none: it is missed only when something is asked, so that a dry run needs none."""
    key = os.environ.get(_KEY, "").strip()
    if not (key.isascii() and key.isprintable()) or " " in key:
        raise InputError(f"{_KEY} holds signs that no key has", cure="set it again, without quotes or line breaks")
    return key


def _estimate(text: str) -> int:
    ascii_signs = sum(sign < "\x80" for sign in text)
    other_bytes = len(text.encode("utf-8", "replace")) - ascii_signs
    return -(-ascii_signs // 3) + -(-other_bytes // 2)
