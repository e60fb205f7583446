"""What waiting costs: the processor time of tasks that each wait in recv on a socket of their own.

python benchmarks/idle.py threads|gevent|asyncio|uvloop|trio SETTLE SECONDS
"""

from __future__ import annotations

import asyncio
import sys
import threading
import time
from functools import partial
from importlib import import_module
from typing import Any

import zmq
from loops import BACKENDS, run
from side import Measured, report

from agentzero import AsyncSocketManager, SocketManager

TASKS = 1_000
THREADS = 200
TIMEOUT = 600  # seconds, longer than anything here takes


class Window:
    """The share of a processor that was used since it was opened, in per cent."""

    def __init__(self) -> None:
        self._used, self._started = time.process_time(), time.perf_counter()

    def measured(self) -> Measured:
        """Return that share."""
        used = time.process_time() - self._used
        return {"share": 100 * used / (time.perf_counter() - self._started)}


def prepared(sockets: SocketManager | AsyncSocketManager, count: int) -> list[str]:
    """Create `count` sockets; return their names."""
    names = [f"socket-{number}" for number in range(count)]
    for name in names:
        sockets.create(name, zmq.PULL)
    return names


def threads(settle: float, seconds: float) -> Measured:
    """Measure threads."""
    sockets = SocketManager(backend="threads", timeout=TIMEOUT)
    for name in prepared(sockets, THREADS):
        threading.Thread(target=sockets.recv, args=(name,), daemon=True).start()
    time.sleep(settle)
    window = Window()
    time.sleep(seconds)
    return window.measured()


def greenlets(settle: float, seconds: float) -> Measured:
    """Measure greenlets."""
    gevent = import_module("gevent")
    sockets = SocketManager(backend="gevent", timeout=TIMEOUT)
    for name in prepared(sockets, TASKS):
        gevent.spawn(sockets.recv, name)
    gevent.sleep(settle)
    window = Window()
    gevent.sleep(seconds)
    return window.measured()


async def asyncio_tasks(settle: float, seconds: float) -> Measured:
    """Measure tasks of asyncio or uvloop."""
    sockets = AsyncSocketManager(backend="asyncio", timeout=TIMEOUT)
    tasks = [asyncio.create_task(sockets.recv(name)) for name in prepared(sockets, TASKS)]
    await asyncio.sleep(settle)
    window = Window()
    await asyncio.sleep(seconds)
    measured = window.measured()
    for task in tasks:
        task.cancel()
    return measured


async def trio_tasks(settle: float, seconds: float) -> Measured:
    """Measure tasks of trio."""
    trio: Any = import_module("trio")
    sockets = AsyncSocketManager(backend="trio", timeout=TIMEOUT)
    async with trio.open_nursery() as nursery:
        for name in prepared(sockets, TASKS):
            nursery.start_soon(sockets.recv, name)
        await trio.sleep(settle)
        window = Window()
        await trio.sleep(seconds)
        measured = window.measured()
        nursery.cancel_scope.cancel()
    return measured


def measure(backend: str, settle: float, seconds: float) -> Measured:
    """Measure one backend."""
    if backend in BACKENDS:
        tasks = trio_tasks if backend == "trio" else asyncio_tasks
        return run(backend, tasks, settle, seconds)
    return (threads if backend == "threads" else greenlets)(settle, seconds)


if __name__ == "__main__":
    report(partial(measure, sys.argv[1], float(sys.argv[2]), float(sys.argv[3])))
