"""What a wait on 1,000 sockets costs: `engage` beside zmq.Poller.

    python benchmarks/polling.py zmq.Poller|threads|gevent|asyncio|uvloop|trio

Two kinds of rounds: `READY` sockets have a message already; or a thread sends one while the wait is
under way. Each round takes from the sockets what made them ready, so that the next is the same.
"""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Awaitable, Callable, Coroutine
from statistics import median
from typing import Any

import zmq
from loops import BACKENDS, run
from side import Measured, decode, encode, report

from agentzero import AsyncSocketManager, SocketManager

SOCKETS = 1_000
READY = 5
READY_ROUNDS, WAITING_ROUNDS = 100, 20
DELAY = 0.03  # seconds until a message comes: by then the wait has long begun
TIMEOUT = 5_000  # milliseconds

Step = Callable[[], Awaitable[int]]

context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
context.set(zmq.MAX_SOCKETS, 2 * SOCKETS)


def address(number: int) -> str:
    """Return where a socket is bound."""
    return f"inproc://socket-{number}"


def bare() -> Step:
    """Return a step of zmq.Poller: wait, take what is there, return how much that was."""
    poller = zmq.Poller()
    for number in range(SOCKETS):
        socket = context.socket(zmq.PULL)
        socket.bind(address(number))
        poller.register(socket, zmq.POLLIN)

    async def step() -> int:
        ready = poller.poll(TIMEOUT)
        for socket, _ in ready:
            decode(socket.recv())
        return len(ready)

    return step


def prepared(sockets: SocketManager | AsyncSocketManager) -> dict[Any, str]:
    """Fill a manager; return the names of its sockets."""
    return {
        sockets.ensure_and_bind(str(number), zmq.PULL, address(number), zmq.POLLIN): str(number)
        for number in range(SOCKETS)
    }


def blocking(backend: str) -> Step:
    """Return a step of `SocketManager.engage`."""
    sockets = SocketManager(context=context, backend=backend)
    names = prepared(sockets)

    async def step() -> int:
        ready = sockets.engage(TIMEOUT)
        for socket in ready:
            sockets.recv(names[socket])
        return len(ready)

    return step


def awaited(backend: str) -> Step:
    """Return a step of `AsyncSocketManager.engage`."""
    sockets = AsyncSocketManager(context=context, backend=backend)
    names = prepared(sockets)

    async def step() -> int:
        ready = await sockets.engage(TIMEOUT)
        for socket in ready:
            await sockets.recv(names[socket])
        return len(ready)

    return step


def feeder(number: int) -> zmq.Socket[bytes]:
    """Return a socket that sends to one of those that are polled."""
    socket = context.socket(zmq.PUSH)
    socket.connect(address(number))
    return socket


async def ready_rounds(step: Step) -> Measured:
    """Return the us of a round that finds messages."""
    feeders = [feeder(number * SOCKETS // READY) for number in range(READY)]
    durations = []
    for _ in range(READY_ROUNDS):
        for socket in feeders:
            socket.send(encode(1))
        started = time.perf_counter()
        taken = await step()
        durations.append(time.perf_counter() - started)
        assert taken == READY
    return {"ready": median(durations) * 1e6}


class Latecomer(threading.Thread):
    """Sends one message some time after it is asked to."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.sent = 0.0
        self._asked = threading.Semaphore(0)

    def ask(self) -> None:
        """Have it send."""
        self._asked.release()

    def run(self) -> None:
        """Send whenever asked."""
        socket = feeder(SOCKETS // 2)
        while self._asked.acquire():
            time.sleep(DELAY)
            self.sent = time.perf_counter()
            socket.send(encode(1))


async def waiting_rounds(step: Step) -> Measured:
    """Return the processor us of a round that has to wait, and the us from sending to its end."""
    latecomer = Latecomer()
    latecomer.start()
    used, late = [], []
    for _ in range(WAITING_ROUNDS):
        latecomer.ask()
        started = time.thread_time()
        taken = await step()
        ended = time.perf_counter()
        used.append(time.thread_time() - started)
        late.append(ended - latecomer.sent)
        assert taken == 1
    return {"waiting": median(used) * 1e6, "late": median(late) * 1e6}


async def rounds(subject: Callable[[], Step]) -> Measured:
    """Measure both kinds of rounds."""
    step = subject()
    return await ready_rounds(step) | await waiting_rounds(step)


def run_here(measuring: Coroutine[Any, Any, Measured]) -> Measured:
    """Run to its end a coroutine that never gives way, as its steps block."""
    try:
        measuring.send(None)
    except StopIteration as end:
        measured: Measured = end.value
        return measured
    raise AssertionError("it gave way")


def measure(subject: str) -> Measured:
    """Measure one subject."""
    if subject in BACKENDS:
        return run(subject, rounds, lambda: awaited(BACKENDS[subject]))
    return run_here(rounds(bare if subject == "zmq.Poller" else lambda: blocking(subject)))


if __name__ == "__main__":
    report(lambda: measure(sys.argv[1]))
