"""One stage of a soak: what its scenes share, from their beginning until all is accounted for."""

from __future__ import annotations

import random
import socket
import time
import traceback
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import zmq
from soak_ledger import Flow, Ledger
from soak_sides import Bare, Side, Threads, Work

from agentzero.errors import SocketBindError, SocketClosed, SocketNotFound

# What a socket's user gets when somebody else has closed it.
GONE = (SocketClosed, SocketNotFound)

# Seconds until whatever is still to come has to be there.
PATIENCE = 12.0

# After so many seconds without a message, also a socket that lingers has connected and sent all.
QUIET = 0.3

# How long one attempt waits, in seconds, before it looks whether it is to go on.
TURN = 0.05

# Or they would drop what a slow subscriber has no room for.
UNBOUNDED = (zmq.PUB, zmq.XPUB, zmq.SUB)

# Out of the range that the system takes ports from, or a client may have ours for its own.
PORTS = range(10_000, 32_000)


class Stage:
    """What is going on, for how long, and where.

    Attributes:
        ledger: the accounts.
        manager: the side of the library.
        going: whether sockets come and go; then each sends until it is heard, and is done.
        draining: whether receivers have only to get what is still to come.
        ports: port -> whether a stranger's message does no harm there; of tcp, bound now or soon.
        closable: names of the manager's sockets that anybody may close.
    """

    def __init__(self, ledger: Ledger, manager: Side, seed: str, folder: Path) -> None:
        self.ledger, self.manager, self.folder = ledger, manager, folder
        self.going, self.draining = True, False
        self.ports: dict[int, bool] = {}
        self.closable: list[str] = []
        self._seed = seed
        self._addresses = 0
        self._tasks: dict[str, int] = {"coming and going": 0, "sending": 0, "receiving": 0}
        self._end = float("inf")

    def rng(self, name: str) -> random.Random:
        """Return a source of randomness of that name."""
        return random.Random(f"{self._seed} {name}")

    def bare(self) -> Side:
        """Return the side of bare pyzmq: a context, to be used in one thread."""
        return Side(Bare(), Threads(), bare=True)

    def drained(self, flow: Flow) -> bool:
        """Return whether nothing is to come on a flow; sockets that linger may still be sending."""
        return self.draining and (self.overdue or not (flow.due() or flow.busy(QUIET)))

    @property
    def overdue(self) -> bool:
        """Whether what was still to come should have been there."""
        return time.monotonic() > self._end

    def address(self, transport: str, *, open_to_strays: bool = False) -> str:
        """Return an address that nobody has."""
        self._addresses += 1
        if transport == "tcp":
            port = free_port(self.rng(f"port {self._addresses}"))
            self.ports[port] = open_to_strays
            return f"tcp://127.0.0.1:{port}"
        where = self.folder / "socket" if transport == "ipc" else "soak"
        return f"{transport}://{where}-{self._addresses}"

    # Tasks

    def start(self, what: str, side: Side, work: Work) -> None:
        """Start a task, of which `settle` waits for the end: coming and going, sending, receiving.

        What it does with bare sockets it does in a thread.
        """
        with self.ledger.lock:
            self._tasks[what] += 1
        side.tasks.start(lambda: self._watched(what, side, work))

    async def _watched(self, what: str, side: Side, work: Work) -> None:
        try:
            await work()
        except Exception:
            self.ledger.fault(traceback.format_exc())
        finally:
            if side.bare:
                side.sockets.close_all()
            with self.ledger.lock:
                self._tasks[what] -= 1

    async def settle(self) -> None:
        """Bring everything to its end, so that nothing is on its way any more."""
        self.going = False
        self._end = time.monotonic() + PATIENCE
        await self._ended("coming and going")
        await self._ended("sending")
        self.draining = True
        await self._ended("receiving")

    async def _ended(self, what: str) -> None:
        # Each gives up by itself once it is overdue; what does not even do that hangs.
        while self._tasks[what] and time.monotonic() < self._end + PATIENCE:
            await self.manager.pause(0.01)
        if self._tasks[what]:
            self.ledger.fault(f"{self._tasks[what]} tasks hang: {what}")

    # Sockets

    @asynccontextmanager
    async def socket(self, side: Side, name: str, kind: int, **options: Any) -> AsyncIterator[None]:
        """Make a socket, and close it unless somebody has already."""
        side.sockets.create(name, kind, **options)
        if kind in UNBOUNDED:
            side.sockets.set_socket_option(name, zmq.HWM, 0)
        self.ledger.count("sockets made")
        try:
            yield
        finally:
            self.close(side, name)

    def close(self, side: Side, name: str) -> bool:
        """Close a socket, and return whether there was one."""
        there = name in side.sockets
        side.sockets.close(name)
        self.ledger.count("sockets closed", int(there))
        return there

    @asynccontextmanager
    async def connected(
        self, side: Side, name: str, kind: int, address: str, **options: Any
    ) -> AsyncIterator[None]:
        """Make a socket, connect it, and close it."""
        async with self.socket(side, name, kind, **options):
            side.sockets.connect(name, address)
            yield

    @asynccontextmanager
    async def bound(
        self, side: Side, name: str, kind: int, address: str, **options: Any
    ) -> AsyncIterator[None]:
        """Make a socket, bind it, and close it."""
        async with self.socket(side, name, kind, **options):
            await self.bind(side, name, address)
            yield

    async def bind(self, side: Side, name: str, address: str) -> None:
        """Bind a socket to an address that it or another has just let go of."""
        while True:
            try:
                side.sockets.bind(name, address)
                return
            except SocketBindError:
                self.ledger.count("binds tried again")
                if self.overdue:
                    raise
                await side.pause(0.01)

    async def close_at_random(self) -> None:
        """Close sockets that others are using."""
        rng = self.rng("closing")
        while self.going:
            await self.manager.pause(rng.uniform(0.02, 0.3))
            if self.close(self.manager, rng.choice(self.closable)):
                self.ledger.count("sockets closed under their users")

    async def until(self, side: Side, condition: Callable[[], object], what: str) -> bool:
        """Wait until a condition holds; it is a fault where that takes too long."""
        end = time.monotonic() + PATIENCE
        while not condition():
            if time.monotonic() > end:
                self.ledger.fault(f"it never came true: {what}")
                return False
            await side.pause(0.002)
        return True


def free_port(rng: random.Random) -> int:
    """Return a port of the loopback that nobody has."""
    while True:
        with socket.socket() as probe:
            port = rng.choice(PORTS)
            if probe.connect_ex(("127.0.0.1", port)):
                return port
