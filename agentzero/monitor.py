"""One socket's monitor: reads what libzmq tells of its connections, and passes it on.

A monitor that nobody reads blocks the thread of libzmq that all sockets share, so that an attendant
reads it whenever there is something. Whoever wants to know the very last may read it as well.
"""

from __future__ import annotations

import itertools
import struct
from collections import deque
from collections.abc import Callable, Generator, Sequence
from contextlib import suppress
from typing import Any

import zmq
from zmq.backend import Socket as RawSocket

from agentzero.backends.base import Lock, Wakeable
from agentzero.connections import WATCHED, Connections
from agentzero.deadline import Deadline
from agentzero.endpoints import Endpoint
from agentzero.events import ConnectionEvent
from agentzero.steps import Wait

__all__ = ["KEPT", "Monitor", "happenings"]

# How many events are kept for whoever asks later.
KEPT = 1000

NOBLOCK = int(zmq.NOBLOCK)
HEAD = struct.Struct("=HI")

_numbers = itertools.count(1)


class Monitor:
    """The monitor of one socket.

    Args:
        socket: whose connections it watches.
        lock: held while it is read.
        stirred: called when something happened that matters to its attendant, and when it is
            closed; by whoever reads.
        endpoints: the socket's, as they are at any time.

    Raises:
        zmq.ZMQError: it cannot be made; there are too many sockets.
    """

    def __init__(
        self,
        socket: Any,
        lock: Lock,
        stirred: Callable[[], object],
        endpoints: Sequence[Endpoint],
    ) -> None:
        self._lock = lock
        self._stirred = stirred
        self._head: zmq.Frame | None = None
        self._reading = False
        self._past: deque[ConnectionEvent] = deque(maxlen=KEPT)
        self._listeners: dict[Wakeable, deque[ConnectionEvent]] = {}
        self._connections = Connections(
            endpoints,
            handshakes=socket.get(zmq.TYPE) != zmq.STREAM,
            secret=socket.get(zmq.MECHANISM) == zmq.CURVE and not socket.get(zmq.CURVE_SERVER),
        )
        # A raw one: closed by the owner of a context before its socket, it would block libzmq.
        self._pair: Any = RawSocket(socket.context, zmq.PAIR)
        try:
            self._attach(socket)
            self.fd: int = int(self._pair.get(zmq.FD))
            self.read()  # in vain: or libzmq would not tell of the first event
        except BaseException:
            with suppress(zmq.ZMQError):
                RawSocket.monitor(socket, None, 0)
            self._pair.close()
            raise

    def _attach(self, socket: Any) -> None:
        address = f"inproc://agentzero.monitor.{next(_numbers)}"
        self._pair.set(zmq.LINGER, 0)
        self._pair.set(zmq.RCVHWM, 0)
        # In this order: who is interrupted in between leaves no monitor without a reader.
        self._pair.connect(address)
        RawSocket.monitor(socket, address, WATCHED)

    @property
    def closed(self) -> bool:
        """Whether nothing is told any more."""
        return self._pair is None

    # Reading

    def read(self) -> None:
        """Read all there is; any thread may call it."""
        with self._lock:
            if self._reading or self._pair is None:
                return
            self._reading = True
            try:
                while self._pair is not None:
                    self._note(self._pair.recv(NOBLOCK, False))
            except zmq.Again:
                pass
            except zmq.ZMQError:  # its context is being terminated
                self._drop()
            finally:
                self._reading = False

    def _note(self, frame: zmq.Frame) -> None:
        head, self._head = self._head, frame if frame.more else None
        if head is None or frame.more:
            return
        event, value = HEAD.unpack(head.bytes)
        if event == zmq.EVENT_MONITOR_STOPPED:  # its socket was closed, or given another monitor
            self._drop()
            return
        told = self._connections.note(event, value, frame.bytes.decode(errors="replace"))
        if told is not None or event == zmq.EVENT_DISCONNECTED:
            self._stirred()
        if told is not None:
            if self._past and told == self._past[-1]:
                told = self._past[-1]  # a server that is down refuses for days
            self._past.append(told)
            for waiter, heard in list(self._listeners.items()):
                heard.append(told)
                waiter.wake()

    def unheard(self) -> Any:
        """Return the lock that whoever reads it holds."""
        return self._lock

    def told(self, endpoints: list[Endpoint]) -> str:
        """Return in words what the connections of `endpoints` last did."""
        self.read()
        with self._lock:
            return self._connections.told(endpoints)

    def lost(self) -> dict[str, float]:
        """Return the addresses whose connection was lost, each with when to dial it anew."""
        with self._lock:
            return self._connections.lost()

    def dialled(self, address: str, really: bool = True) -> None:
        """Hear that an address was dialled anew, or that it is to be tried again later."""
        with self._lock:
            self._connections.dialled(address, really)

    def forget(self, address: str, *, anew: bool = False) -> None:
        """Begin anew with an address that was let go of, or whose connections are made `anew`."""
        with self._lock:
            self.read()
            self._connections.forget(address, anew=anew)

    # Listening

    def listen(self, waiter: Wakeable) -> deque[ConnectionEvent]:
        """Return where events will be put, each with a wake-up; those of the past are there."""
        with self._lock:
            self._listeners[waiter] = heard = self._past.copy()
            return heard

    def leave(self, waiter: Wakeable) -> None:
        """Undo `listen`."""
        with self._lock:
            self._listeners.pop(waiter, None)

    # The end

    def close(self, socket: Any) -> None:
        """Watch no more; `socket` may be closed already, but not its monitor before it."""
        with self._lock:
            if self._pair is not None:
                self.read()  # for the last words
                with suppress(zmq.ZMQError):
                    RawSocket.monitor(socket, None, 0)
                self._drop()

    def inherit(self, lock: Lock) -> None:
        """Tell nothing in a forked process, where the parent's monitor does not work."""
        self._lock = lock
        self._kept, self._pair = self._pair, None
        self._listeners.clear()

    def _drop(self) -> None:
        pair, self._pair = self._pair, None
        if pair is not None:
            pair.close()
        for waiter in list(self._listeners):
            waiter.wake()
        self._stirred()
        self._stirred = lambda: None  # or it and its socket would keep each other


def happenings(
    waiter: Wakeable,
    monitor: Monitor,
    keep_polling: Callable[[], object],
    silence: float,
    longest: float,
) -> Generator[Wait | ConnectionEvent, None, None]:
    """Yield what happened and what happens to connections, and waits between.

    It ends as `steps.repeat` does.
    """
    heard = monitor.listen(waiter)
    deadline = Deadline(silence)
    try:
        while keep_polling():
            monitor.read()
            if heard:
                yield heard.popleft()
                deadline = Deadline(silence)
            elif monitor.closed or not (left := deadline.left()):
                return
            else:
                yield Wait((), min(longest, left))
    finally:
        monitor.leave(waiter)
