"""What a verb costs when its manager holds many other sockets.

python benchmarks/scale.py
"""

from __future__ import annotations

import time
from statistics import median

import zmq
from side import Measured, report

from agentzero import SocketManager

OTHERS = 1_000
REPEATS = 10_000
TURNS = 5


def prepared(others: int) -> SocketManager:
    """Return a manager with a connected pair, and `others` more sockets, all registered."""
    sockets = SocketManager(linger=0)
    for number in range(others):
        sockets.get_or_create(f"other-{number}", zmq.PULL, zmq.POLLIN)
    sockets.ensure_and_bind("in", zmq.PULL, "inproc://scale", zmq.POLLIN)
    sockets.ensure_and_connect("out", zmq.PUSH, "inproc://scale", zmq.POLLOUT)
    return sockets


def timed(sockets: SocketManager) -> float:
    """Return the microseconds of one send and one receive."""
    started = time.perf_counter()
    for _ in range(REPEATS):
        sockets.send("out", 1)
        sockets.recv("in")
    return (time.perf_counter() - started) / REPEATS * 1e6


def measure() -> Measured:
    """Measure without and with other sockets, in turn."""
    with prepared(0) as alone, prepared(OTHERS) as among:
        pairs = [(timed(alone), timed(among)) for _ in range(TURNS)]
    without, with_others = zip(*pairs, strict=True)
    return {"alone": median(without), "among": median(with_others)}


if __name__ == "__main__":
    report(measure)
