"""Text from data in Markdown: whatever it is, readers see it as it is."""

from __future__ import annotations

from html import escape

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from tests.worlds import hostile

from llmxrec.prompts.lines import one_line
from llmxrec.reports.markdown import safe

READER = MarkdownIt("commonmark").enable(["table", "strikethrough"])


@given(hostile | st.text(st.sampled_from("12.) \t-+*=#>|`~_[]()<&;!\\\n:a"), max_size=12))
@example("1. Great film")
@example("12) x")
@example("0.5. x")
@example("- a\n- b")
@example("a\n===")
@example("<script>x</script> [a](javascript:b) ![c](d) &lt; `e`")
def test_a_quotation_is_a_paragraph_of_its_own_words(text: str) -> None:
    told = READER.render(f"> {safe(text)}")
    words = escape(one_line(text), quote=False).replace('"', "&quot;")
    assert told == (f"<blockquote>\n<p>{words}</p>\n</blockquote>\n" if words else "<blockquote></blockquote>\n")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("see https://a.b/c and HTTP://d", r"see https\://a.b/c and HTTP\://d"),
        ("www.a.b, WWW.c", r"www\.a.b, WWW\.c"),
        ("at 10:30, 0.5 or 2. of 1.", "at 10:30, 0.5 or 2. of 1."),
    ],
)
def test_an_address_is_no_link_and_figures_stay_plain(text: str, told: str) -> None:
    assert safe(text) == told
