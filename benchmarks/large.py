"""How fast a large array crosses from process to process without being copied on the way.

python benchmarks/large.py SUBJECT reply|request COUNT [ADDRESS]

The requester sends an array and waits for an empty answer; the replier looks at what it received
as an array. SUBJECT is one of this library's backends, "pyzmq", or "pyzmq, copying".
"""

from __future__ import annotations

import sys
import time
from collections.abc import Coroutine
from typing import Any, Protocol

import loops
import numpy
import zmq
from aims import BARE_LARGE
from side import ADDRESS, Measured, announce, median, report, warm_up

from agentzero import AsyncSocketManager, SocketManager

BARE = BARE_LARGE
COPYING = f"{BARE_LARGE}, copying"

SIZE = 100_000_000  # bytes
NUMBERS = SIZE // 8

KINDS = {"request": zmq.REQ, "reply": zmq.REP}


class End(Protocol):
    """One side's socket; what an event loop need not wait for does not suspend."""

    async def send(self, buffer: Any) -> None:
        """Send a buffer as it lies in memory."""

    async def recv(self) -> Any:
        """Return the memory of what was received."""


class Bare:
    """A socket of bare pyzmq."""

    def __init__(self, role: str, address: str, *, copy: bool) -> None:
        self._socket: zmq.Socket[bytes] = zmq.Context.instance().socket(KINDS[role])
        self._copy = copy
        if address:
            self._socket.connect(address)
        else:
            self._socket.bind(ADDRESS)
            announce(self._socket.get(zmq.LAST_ENDPOINT).decode())

    async def send(self, buffer: Any) -> None:
        self._socket.send(buffer, copy=self._copy)

    async def recv(self) -> Any:
        received: Any = self._socket.recv(copy=self._copy)
        return received if self._copy else received.buffer


def managed(sockets: Any, role: str, address: str) -> Any:
    """Return the manager with a socket named "socket"."""
    sockets.create("socket", KINDS[role])
    if address:
        sockets.connect("socket", address)
    else:
        announce(sockets.bind_to_random_port("socket", None, "tcp://127.0.0.1")[1])
    return sockets


class Sync:
    """A socket of this library, on a backend that is not awaited."""

    def __init__(self, backend: str, role: str, address: str) -> None:
        self._sockets = managed(SocketManager(backend=backend, timeout=60), role, address)

    async def send(self, buffer: Any) -> None:
        self._sockets.send_multipart("socket", [buffer], copy=False)

    async def recv(self) -> Any:
        return self._sockets.recv_multipart("socket", copy=False)[0]


class Async:
    """A socket of this library, in an event loop."""

    def __init__(self, backend: str, role: str, address: str) -> None:
        self._sockets = managed(AsyncSocketManager(backend=backend, timeout=60), role, address)

    async def send(self, buffer: Any) -> None:
        await self._sockets.send_multipart("socket", [buffer], copy=False)

    async def recv(self) -> Any:
        (view,) = await self._sockets.recv_multipart("socket", copy=False)
        return view


def end(subject: str, role: str, address: str) -> End:
    """Return the socket of a side."""
    if subject in (BARE, COPYING):
        return Bare(role, address, copy=subject == COPYING)
    if subject in loops.BACKENDS:
        return Async(loops.BACKENDS[subject], role, address)
    return Sync(subject, role, address)


async def request(socket: End, count: int) -> Measured:
    """Send an array again and again, each when the one before has been looked at."""
    array = numpy.arange(NUMBERS, dtype="f8")
    durations = []
    for _ in range(warm_up(count) + count):
        started = time.perf_counter()
        await socket.send(array)
        await socket.recv()
        durations.append(time.perf_counter() - started)
    return {"rate": SIZE / median(durations[-count:])["p50"]}


async def reply(socket: End, count: int) -> Measured:
    """Look at both ends of each array."""
    for _ in range(warm_up(count) + count):
        array = numpy.frombuffer(await socket.recv(), dtype="f8")
        assert (array[0], array[-1]) == (0, NUMBERS - 1)
        del array
        await socket.send(b"")
    return {}


def ended(coroutine: Coroutine[Any, Any, Measured]) -> Measured:
    """Return what a coroutine returns that never suspends."""
    try:
        coroutine.send(None)
    except StopIteration as stop:
        result: Measured = stop.value
        return result
    raise RuntimeError("it suspended")


def measure(subject: str, role: str, count: int, address: str = "") -> Measured:
    """Play one side; the requester returns MB a second."""

    async def main() -> Measured:
        socket = end(subject, role, address)
        return await {"request": request, "reply": reply}[role](socket, count)

    return loops.run(subject, main) if subject in loops.BACKENDS else ended(main())


if __name__ == "__main__":
    subject, role, count, *address = sys.argv[1:]
    report(lambda: measure(subject, role, int(count), *address))
