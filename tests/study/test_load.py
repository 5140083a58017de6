"""Raters at once over HTTP while the server is killed: what was acknowledged is stored once, and quotas are exact.

The long version, 64 raters of 50 tasks and 10 kills, is `python -m benchmarks.study`.
"""

from __future__ import annotations

import time

from tests.study.load import Server, check, rate_all
from tests.study.studies import make_study

RATERS, EACH, KILLS = 16, 12, 3


def test_raters_at_once_and_a_server_that_is_killed(study_url: str) -> None:
    expected = RATERS * EACH
    store = make_study(study_url, rows=expected // 2 // 3, ratings_per_cell=3, tasks=EACH + 6)
    tokens = [store.invite("third-party", f"rater {n}", time.time()) for n in range(RATERS)]
    server = Server(study_url)
    try:
        told, _ = rate_all(server, tokens, KILLS, expected)
    finally:
        server.close()
    assert server.kills == KILLS and told.doubled > 5 and told.again > 0
    check(store, told, 3)
