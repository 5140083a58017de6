"""The scripted generator, and the template generator's manners."""

from __future__ import annotations

from llmxrec.generators.protocol import Generator
from llmxrec.generators.scripted import ScriptedGenerator
from llmxrec.generators.template import TemplateGenerator
from llmxrec.records import Answer
from llmxrec.testing.generators import GeneratorConformance, sample_prompts


class TestConformance(GeneratorConformance):
    drawn_ahead = 0

    def make(self) -> Generator:
        return ScriptedGenerator(lambda prompt: f"Because of {prompt.instruction.history[-1].title}.")


class TestTemplateConformance(GeneratorConformance):
    drawn_ahead = 0

    def make(self) -> Generator:
        return TemplateGenerator()


def test_a_table_by_key() -> None:
    cut = Answer("whatever", "You li", "truncated", 9, 2, "cut")
    generator = ScriptedGenerator({"p0": "You like drama.", "p1": " ", "p2": "I'm sorry, but I can't.", "p3": cut})
    answers = list(generator.generate(sample_prompts(5)))
    assert [(answer.key, answer.text, answer.status) for answer in answers] == [
        ("p0", "You like drama.", "ok"),
        ("p1", " ", "empty"),
        ("p2", "I'm sorry, but I can't.", "refused"),
        ("p3", "You li", "truncated"),
        ("p4", "", "failed"),
    ]
    assert answers[0].output_tokens == 3
    assert answers[3].input_tokens == 9
