"""What items are called in prose, beside what a domain calls them itself."""

from __future__ import annotations

from functools import lru_cache

from llmxrec.evidence.spelling import words_of
from llmxrec.records import Domain

NOUNS = {
    "movies": frozenset("film films movie movies cinema".split()),
    "news": frozenset("news article articles headline headlines".split()),
    "games": frozenset("game games gameplay gaming gamer gamers".split()),
}
"""A kind of items -> words for them."""


def nouns(domain: Domain) -> frozenset[str]:
    """All words for a domain's items, in small letters."""
    return _nouns(domain.field, domain.item, domain.items)


@lru_cache(maxsize=256)
def _nouns(*said: str) -> frozenset[str]:
    own = {word.casefold() for word in said} | {word for words in said for word in words_of(words)}
    return frozenset(own.union(*(words for words in NOUNS.values() if words & own)))
