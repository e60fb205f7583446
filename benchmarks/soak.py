"""Misuse this library for a while, and account for every message; exit with 1 where one is missing.

    python benchmarks/soak.py [--seconds 60] [--backend NAME ...] [--seed N]

The time is that of all backends together. Sockets come and go, processes are killed, strangers send
garbage: `soak_backend.py` has the scenes, `soak_ledger.py` the rules.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, TypeAlias

from soak_sides import BACKENDS

PROGRAM = Path(__file__).with_name("soak_backend.py")

# Seconds that a backend may take beyond its time until it is taken to hang.
GRACE = 30

Found: TypeAlias = dict[str, Any]

STATS = {"timeouts": "verbs timed out", "late": "late replies", "dropped": "dropped by the manager"}
COUNTS = (
    "sent",
    "received",
    "rejected",
    "undecodable",
    "strays",
    "questions answered",
    "questions answered with an error",
    "questions that timed out as asked",
    "questions without an answer, the server gone",
    "questions whose socket was closed",
    "sockets made",
    "sockets closed",
    "sockets closed under their users",
    "binds tried again",
    "processes killed",
    "garbage connections",
)
LOST = ("receiver closed", "process killed", "no subscription yet")


def arguments() -> argparse.Namespace:
    """Return what was asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--backend", choices=BACKENDS, nargs="+", default=list(BACKENDS))
    parser.add_argument("--seed", type=int, default=random.randrange(10**6))
    return parser.parse_args()


def installed(backend: str) -> bool:
    """Return whether a backend can be used here; say so where it cannot."""
    there = backend == "threads" or find_spec(backend) is not None
    if not there:
        print(f"{backend} is left out: it is not installed")
    return there


def soaked(backend: str, seconds: float, seed: int) -> Found:
    """Soak one backend; return what was found."""
    with TemporaryDirectory(prefix="soak-") as folder:
        process = subprocess.Popen(
            [sys.executable, str(PROGRAM), backend, str(seconds), str(seed), folder],
            stdout=subprocess.PIPE,
            text=True,
            # Two, or the more threads there are, the more memory is kept for later.
            env=os.environ | {"MALLOC_ARENA_MAX": "2"},
        )
        try:
            said, _ = process.communicate(timeout=seconds + GRACE)
        except subprocess.TimeoutExpired:
            return hung(process, backend)
        finally:
            process.kill()
            process.wait()
    if process.returncode:
        return failed(f"it ended with {process.returncode}")
    found: Found = json.loads(said)
    return found


def hung(process: subprocess.Popen[str], backend: str) -> Found:
    """Have a process that hangs print its stacks, and end it."""
    print(f"{backend} hangs; its stacks:", file=sys.stderr, flush=True)
    process.send_signal(signal.SIGUSR1)
    try:
        process.communicate(timeout=2)
    except subprocess.TimeoutExpired:
        process.kill()
    return failed(f"it took {GRACE} s longer than its time")


def failed(fault: str) -> Found:
    """Return what is found where nothing can be."""
    nothing: Found = {"counts": {}, "lost": {}, "stats": {}, "warm": {}, "end": {}}
    return nothing | {"faults": [fault]}


def rows(found: Found) -> dict[str, str]:
    """Return the figures of one backend, by their names."""
    lost = {reason: found["lost"].get(reason, 0) for reason in LOST}
    figures = {name: found["counts"].get(name, 0) for name in COUNTS}
    figures |= {f"lost: {reason}": count for reason, count in lost.items()}
    figures |= {words: found["stats"].get(name, 0) for name, words in STATS.items()}
    changes = {
        f"{name}, warm and at the end": f"{found['warm'].get(name)} {found['end'].get(name)}"
        for name in ("fds", "threads", "mib")
    }
    return {name: str(figure) for name, figure in figures.items()} | changes


def table(by_backend: dict[str, Found]) -> str:
    """Return all figures, one column for each backend."""
    columns = {backend: rows(found) for backend, found in by_backend.items()}
    names = list(next(iter(columns.values())))
    width = max(map(len, names))
    lines = [" " * width + "".join(f"{backend:>14}" for backend in columns)]
    for name in names:
        lines.append(
            f"{name:<{width}}" + "".join(f"{column[name]:>14}" for column in columns.values())
        )
    return "\n".join(lines)


def verdict(by_backend: dict[str, Found]) -> str:
    """Return in words what was wrong."""
    faults = [
        f"{backend}: {fault}" for backend, found in by_backend.items() for fault in found["faults"]
    ]
    if not faults:
        return "All is accounted for, and nothing has grown."
    return "\n".join([f"{len(faults)} faults:", *faults])


def main() -> int:
    """Soak one backend after another; return the exit code."""
    options = arguments()
    print(f"seed {options.seed}", flush=True)
    backends = [backend for backend in options.backend if installed(backend)]
    if not backends:
        return 0
    each = options.seconds / len(backends)
    by_backend = {backend: soaked(backend, each, options.seed) for backend in backends}
    print(table(by_backend))
    print(verdict(by_backend))
    return int(any(found["faults"] for found in by_backend.values()))


if __name__ == "__main__":
    sys.exit(main())
