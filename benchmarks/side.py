"""What all peers share: the message, the codec, the clock, and how a side reports to its parent.

    python benchmarks/peer_....py [VARIANT] ROLE COUNT [ADDRESS]

ROLE is receive, send, request or reply. Who binds prints its address first. Each side prints one
JSON line of what it measured, and then stays until its parent ends it: what it sent may still be
under way.
"""

from __future__ import annotations

import faulthandler
import json
import sys
import time
from collections.abc import Callable, Coroutine
from typing import Any, TypeAlias

import msgspec

MESSAGE = {f"field-{number}": "value" * 2 for number in range(8)} | {"last": "value"}

# One codec for all: agentzero's JSON serializer is msgspec's as well.
encode = msgspec.json.Encoder().encode
decode = msgspec.json.Decoder().decode

ADDRESS = "tcp://127.0.0.1:*"
LIMIT = 60  # seconds that a side may live

Measured: TypeAlias = dict[str, float]
Role: TypeAlias = Callable[[int, str], Measured]
AsyncRole: TypeAlias = Callable[[int, str], Coroutine[Any, Any, Measured]]


def warm_up(count: int) -> int:
    """Return how many messages or round trips go before the `count` that are measured."""
    return count // 10 + 1


def announce(address: str) -> None:
    """Tell the parent where this side can be reached."""
    print(address, flush=True)


class Clock:
    """Wall and processor time since it was made; the processor time is that of all threads."""

    def __init__(self) -> None:
        self._used = time.process_time()
        self._started = time.perf_counter()

    def rate(self, count: int) -> Measured:
        """Return how many a second, and the processor time of each in us."""
        wall = time.perf_counter() - self._started
        return {"rate": count / wall, "cpu": (time.process_time() - self._used) / count * 1e6}


def median(durations: list[float]) -> Measured:
    """Return the median of durations in seconds, in us."""
    return {"p50": sorted(durations)[len(durations) // 2] * 1e6}


def play(*roles: Role, arguments: list[str], names: str = "receive send request reply") -> None:
    """Play the role that `arguments` name: ROLE COUNT [ADDRESS]."""
    name, count, *address = arguments
    role = dict(zip(names.split(), roles, strict=True))[name]
    report(lambda: role(int(count), *(address or [""])))


def report(measure: Callable[[], Measured]) -> None:
    """Print what `measure` measured, and stay until the parent is done.

    After `LIMIT` it gives up, and says where it was.
    """
    faulthandler.dump_traceback_later(LIMIT, exit=True)
    print(json.dumps(measure()), flush=True)
    sys.stdin.read()
