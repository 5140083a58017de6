"""Text from data in Markdown, where it stays text."""

from __future__ import annotations

import re

from llmxrec.prompts.lines import one_line

_MARKUP = re.compile(r"[\\`*_{}\[\]()<>#+!|~&$-]|:(?=//)|(?<=www)\.", re.IGNORECASE)
"""Signs that are read as markup, and those without which an address is no link."""
_LISTED = re.compile(r"\d+(?=\.(\s|$))")
"""What begins a list, beside those signs."""


def safe(text: object) -> str:
    """Untrusted text as plain text in Markdown: one line, and nothing in it is read as markup, a list or a link."""
    told = _MARKUP.sub(r"\\\g<0>", one_line(str(text)))
    return _LISTED.sub(r"\g<0>\\", told, count=1) if _LISTED.match(told) else told
