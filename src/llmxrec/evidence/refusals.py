"""Whether a text declines to explain anything."""

from __future__ import annotations

import re

_REFUSAL_OPENS = re.compile(
    r"\W*(?:"
    r"(?:(?:i['’]m|i am|we['’]re|my)\s+)?(?:(?:very|so)\s+)?(?:sorry|apologi[sz]e|apologies|afraid|unfortunately)"
    r"\s*(?:[,;.:—–-]|\b(?:but|that|for|as|i)\b)"
    r"|i (?:must |have to |need to )?(?:apologi[sz]e|decline)\b"
    r"|as an? (?:ai|(?:ai |large )?language model|ai assistant),? i\b"
    r"|i (?:can['’]?t|cannot|can not|won['’]?t|will not|am unable to|am not able to) "
    r"(?:assist|help(?! but)|comply|fulfil|answer|provide|generate|continue)"
    r")",
    re.IGNORECASE,
)
_UNABLE = re.compile(
    r"\b(?:i|we)(?:['’]m| am|['’]re| are| must)? "
    r"(?:can['’]?t|cannot|can not|could not|couldn['’]?t|won['’]?t|will not|unable|not able|not allowed|decline|"
    r"don['’]?t have|do not have)\b",
    re.IGNORECASE,
)
_REFUSAL_LONGEST = 400
"""Characters. Some models apologise and then explain after all. Among 994 published answers that open with an apology,
nearly all of the shorter ones say nothing else, and the longer ones go on to an answer."""
_GOES_ON = re.compile(r"\bhowever\b", re.IGNORECASE)


def is_refusal(text: str) -> bool:
    """Whether `text` is nothing but a refusal: it opens as one, says "I can't" or the like, and leaves it at that.

    Careful rather than keen: a real explanation is never to be taken for a refusal. English only.

    >>> is_refusal("I'm sorry, but I can't help with that.")
    True
    >>> is_refusal("Sorry Wrong Number suits you: you cannot resist a thriller.")
    False
    """
    if len(text) > _REFUSAL_LONGEST or _GOES_ON.search(text):
        return False
    return _REFUSAL_OPENS.match(text) is not None and _UNABLE.search(text) is not None
