"""How fast and how good the recommenders are on MovieLens-100K, beside other libraries', in one run.

    python benchmarks/recommenders.py [--peers FOLDER] [--source FOLDER] [--seeds 5] [--core 1] [--out results.json]

Leave-one-out by time, ties by place in the file, full ranking without seen items. Each fit is a process of its own, one
after the other, on one core with one thread; seconds are CPU seconds. FOLDER holds the peers' environments
(benchmarks/peers/README.md); without it, only ours are run. Last comes training at Steam's size.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

HERE = Path(__file__).parent / "peers"
OURS = {"popularity": 1, "ease": 1, "bpr": 5, "lightgcn": 5, "sasrec": 5}
"""Recommenders, and over how many seeds each is averaged at most."""
PEERS: list[tuple[str, str, tuple[str, ...], int]] = [
    ("cornac", "cornac_bpr.py", (), 5),
    ("implicit", "implicit_bpr.py", (), 5),
    ("implicit", "implicit_bpr.py", ("--model", "als"), 5),
    ("recbole", "recbole_models.py", ("--model", "BPR"), 3),
    ("recbole", "recbole_models.py", ("--model", "LightGCN"), 3),
    ("rectools", "rectools_sasrec.py", (), 3),
]
"""Environment, script, arguments, seeds at most."""
RIVALS = {"bpr": ("Cornac", "implicit"), "lightgcn": ("RecBole 1.2.1 LightGCN",), "sasrec": ("RecTools",)}
"""Whose ranking quality ours are timed to."""
_T95 = (0.0, 0.0, 12.71, 4.30, 3.18, 2.78)
"""Student's t for a 95 % interval, by the number of seeds."""

Result = dict[str, Any]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--peers", type=Path, help="the folder of the peers' environments")
    parser.add_argument("--source", help="the folder of the original files")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--core", type=int, default=1, help="the core that everything runs on")
    parser.add_argument("--out", type=Path, help="where to keep all results, curves included")
    asked = parser.parse_args()
    found: list[list[Result]] = []
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder, "data")
        export = [sys.executable, HERE / "export.py", data, *([asked.source] if asked.source else [])]
        subprocess.run(export, check=True)
        jobs = [(sys.executable, "llmxrec_models.py", ("--model", name), seeds) for name, seeds in OURS.items()]
        if asked.peers:
            jobs += [(str(asked.peers.absolute() / env / "bin/python"), *job) for env, *job in PEERS]
        for python, script, more, most in jobs:
            found.append([])
            for seed in range(1, min(most, asked.seeds) + 1):
                out = Path(folder, "result.json")
                run(asked.core, [python, HERE / script, data, out, "--seed", seed, *more])
                found[-1].append(json.loads(out.read_text()))
                print(".", end="", file=sys.stderr, flush=True)
    print(file=sys.stderr)
    if asked.out:
        asked.out.write_text(json.dumps(found))
    show(found)
    steam = Path(__file__).parent / "training_steam_size.py"
    for name in ("bpr", "lightgcn"):
        print(run(asked.core, [sys.executable, steam, name]))
    if asked.peers:
        print(run(asked.core, [asked.peers / "implicit/bin/python", HERE / "implicit_steam.py"]))


def run(core: int, command: Sequence[object]) -> str:
    """What `command` prints, on one core with one thread."""
    one = {f"{name}_NUM_THREADS": "1" for name in ("OMP", "MKL", "OPENBLAS", "NUMBA")}
    words = ["taskset", "-c", str(core), *map(str, command)]
    ended = subprocess.run(words, env=os.environ | one, capture_output=True, text=True)
    if ended.returncode:
        raise SystemExit(f"{' '.join(words)} failed:\n{ended.stderr}")
    return ended.stdout.strip()


def show(found: list[list[Result]]) -> None:
    """Tables in Markdown: what each comes to, and when ours are as good as their rivals."""
    print("| | seeds | s | s per epoch | NDCG@10 | Recall@10 | top-10, users/s | peak MiB | alike |")
    print("|---|---|---|---|---|---|---|---|---|")
    for results in found:
        alike = f"{np.mean([r['alike'] for r in results]):.2f}" if "alike" in results[0] else ""
        columns = [
            results[0]["peer"],
            str(len(results)),
            f"{np.median([r['seconds'] for r in results]):.1f}",
            f"{np.median([r['seconds_per_epoch'] for r in results]):.3f}",
            mean([r["ndcg"] for r in results]),
            mean([r["recall"] for r in results]),
            f"{np.median([r['users_per_s'] for r in results]):,.0f}",
            f"{max(r['peak_mib'] for r in results):.0f}",
            alike,
        ]
        print("|", " | ".join(columns), "|")
    print("\n| ours | as good as each run of | its NDCG@10 | its s | our s | times faster |\n|---|---|---|---|---|---|")
    by_name = {results[0]["peer"]: results for results in found}
    for name, rivals in RIVALS.items():
        (ours,) = (results for peer, results in by_name.items() if peer.endswith(f" {name}"))
        for peer, theirs in by_name.items():
            if peer.startswith(rivals):
                took = [[seconds_to(r, one["ndcg"]) for r in ours] for one in theirs]
                middle = [np.median([np.inf if s is None else s for s in seconds]) for seconds in took]
                ratios = [one["seconds"] / s for one, s in zip(theirs, middle, strict=True)]
                columns = [
                    name,
                    peer,
                    span([one["ndcg"] for one in theirs], ".4f"),
                    span([one["seconds"] for one in theirs], ".1f"),
                    span(middle, ".2f"),
                    f"{np.median(ratios):.1f} ({min(ratios):.1f} to {max(ratios):.1f})",
                ]
                print("|", " | ".join(columns), "|")


def span(values: Sequence[float], form: str) -> str:
    return f"{min(values):{form}} to {max(values):{form}}"


def seconds_to(result: Result, ndcg: float) -> float | None:
    """CPU seconds of training until the NDCG@10 of the test items is that high; None: it never is."""
    return next((point[0] for point in result["curve"][1:] if point[3] >= ndcg), None)


def mean(values: list[float]) -> str:
    """The mean over seeds, with its 95 % interval where there are several."""
    half = _T95[len(values)] * np.std(values, ddof=1) / np.sqrt(len(values)) if len(values) > 1 else 0.0
    return f"{np.mean(values):.4f}" + (f" ± {half:.4f}" if half else "")


if __name__ == "__main__":
    main()
