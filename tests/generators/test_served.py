"""A real server, as anyone would start it: `transformers serve` on a tiny model, asked through openai:."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from llmxrec.errors import WorkError
from llmxrec.generators.protocol import Generator
from llmxrec.generators.specs import GenerationSettings, make_generator
from llmxrec.testing.generators import GeneratorConformance, sample_prompts

START_S = 120


@pytest.fixture(scope="module")
def server(tiny: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a server of the tiny llama."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    log = tmp_path_factory.mktemp("serve") / "log.txt"
    command = shutil.which("transformers", path=str(Path(sys.executable).parent))
    assert command is not None, "the development extra brings transformers[serving]"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [command, "serve", str(tiny / "llama"), "--host", "127.0.0.1", "--port", str(port), "--device", "cpu"],
            stdout=output,
            stderr=subprocess.STDOUT,
            env={**os.environ, "HF_HUB_OFFLINE": "1"},
        )
    try:
        deadline = time.monotonic() + START_S
        while not _healthy(port):
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.1)
        yield f"http://127.0.0.1:{port}/v1"
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _healthy(port: int) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=5) as answer:
            return bool(answer.status == 200)
    except (urllib.error.URLError, ConnectionError, TimeoutError):
        return False


class TestConformance(GeneratorConformance):
    drawn_ahead = 2

    @pytest.fixture(autouse=True)
    def _spec(self, server: str, tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.delenv("OPENAI_API_KEY", raising=False)
        monkeypatch.setenv("NO_PROXY", "127.0.0.1")
        self.spec = f"openai:{tiny / 'llama'}@{server}"

    def make(self) -> Generator:
        return make_generator(self.spec, GenerationSettings(max_tokens=6, concurrency=2))

    def test_it_answers_as_the_same_model_does_here(self, tiny: Path) -> None:
        """Greedy answers, their lengths and their statuses agree, word for word."""
        prompts = sample_prompts(8)
        served = {answer.key: answer for answer in self.make().generate(prompts)}
        here = make_generator(f"hf:{tiny / 'llama'}", GenerationSettings(max_tokens=6, batch_size=1))
        for answer in here.generate(prompts):
            other = served[answer.key]
            assert other.text.strip() == answer.text
            assert (other.status, other.input_tokens, other.output_tokens) == (
                answer.status,
                answer.input_tokens,
                answer.output_tokens,
            )

    def test_a_model_it_does_not_serve_ends_the_run(self, server: str) -> None:
        generator = make_generator(f"openai:nobody/nothing@{server}", GenerationSettings(concurrency=2))
        with pytest.raises(WorkError, match="pinned"):
            list(generator.generate(sample_prompts(100)))
