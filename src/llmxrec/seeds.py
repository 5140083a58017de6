"""Randomness derived from what it is for, so the same row gets the same draw in any order, shard or resumed run."""

from __future__ import annotations

import hashlib


def derive(seed: int, *parts: object) -> int:
    """A 63-bit seed for `parts` (a run, a user, a pair) under the run's `seed`.

    >>> derive(1, "user", "7") == derive(1, "user", "7") != derive(1, "user", "8")
    True
    """
    text = "\x1f".join([str(seed), *map(str, parts)])
    digest = hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return int.from_bytes(digest, "big") >> 1
