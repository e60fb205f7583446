"""A manager's attendant: the thread that hears what libzmq says beside the messages.

It reads the monitors of sockets, makes connections anew that libzmq has given up, and answers who
may come in. It is a native thread under every backend, it is there once a socket is bound or
connected to anything outside of the process, and it ends with its manager.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from time import monotonic
from typing import Any
from weakref import WeakValueDictionary

import zmq
from zmq.backend import Socket as RawSocket

from agentzero import zap
from agentzero.backends.base import AsyncBackend, Backend
from agentzero.backends.native import native
from agentzero.backends.readiness import native_readiness
from agentzero.backends.threads import Sleeper
from agentzero.channel import Channel
from agentzero.endpoints import redial
from agentzero.errors import AgentZeroSocketError, SocketClosed
from agentzero.monitor import Monitor
from agentzero.security import ServerKeys

__all__ = ["Attendant"]

get_ident: Callable[[], int] = native("_thread", "get_ident")

# After it has read monitors it reads none for so many seconds: connections may come and go fast.
REST = 0.02


def open_files() -> int:
    """Return how many file descriptors this process may have."""
    try:
        import resource
    except ImportError:  # on Windows
        return 2**16
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return 2**16 if soft == resource.RLIM_INFINITY else soft


class Attendant:
    """The attendant of one manager.

    Args:
        context: where the manager's sockets are.
        backend: makes locks, and starts the thread.
    """

    def __init__(self, context: Any, backend: Backend | AsyncBackend) -> None:
        self._context = context
        self._new_lock = backend.lock
        self._detach = backend.detach
        self._lock = backend.lock()
        self._sleeper: Sleeper | None = None
        self._watched: set[Channel] = set()
        self._lost: dict[Channel, dict[str, float]] = {}
        self._unsettled: dict[Channel, float] = {}
        self._stirred: deque[Channel] = deque()
        self._thread = 0
        self._handler: Any = None
        self._handler_fds: tuple[int, ...] = ()
        self._realms: WeakValueDictionary[bytes, ServerKeys] = WeakValueDictionary()
        self._stopping = False
        self.ended: bool = True

    # What managers ask for

    def watch(self, channel: Channel) -> None:
        """Monitor the connections of a socket, if there is room for that: it is no must."""
        with suppress(zmq.ZMQError, OSError, RuntimeError, SocketClosed):
            self._start()
            with channel.using() as socket:
                if channel.monitor is None and self._has_room():
                    stir, lock = partial(self._stir, channel), self._new_lock()
                    channel.monitor = Monitor(socket, lock, stir, channel.endpoints)
            if channel.monitor is None:
                return
            with self._lock:
                self._watched.add(channel)
            self._wake()

    def _has_room(self) -> bool:
        """Return whether monitors leave enough of what `create` and new connections need."""
        sockets: int = self._context.get(zmq.MAX_SOCKETS)
        return 2 * len(self._watched) < min(open_files(), sockets) // 4

    def guard(self, keys: ServerKeys) -> None:
        """Answer who is let in by `keys`, from now on.

        Raises:
            AgentZeroSocketError: somebody else does that in this context, or no thread is left.
        """
        try:
            with self._lock:
                self._realms[keys.domain] = keys
                if self._handler is None:
                    self._handler = self._new_handler()
                    self._handler_fds = (self._handler.get(zmq.FD),)
            self._start()
        except (zmq.ZMQError, OSError, RuntimeError) as error:
            cause = error.strerror if isinstance(error, OSError | zmq.ZMQError) else error
            if isinstance(error, zmq.ZMQError) and error.errno == zmq.EADDRINUSE:
                cause = "its context has a ZAP handler already, of another manager or of your own"
            raise AgentZeroSocketError(f"nobody can be let in: {cause}") from error
        self._wake()

    def _new_handler(self) -> Any:
        handler = RawSocket(self._context, zmq.REP)
        handler.set(zmq.LINGER, 0)
        try:
            handler.bind(zap.ENDPOINT)
        except zmq.ZMQError:
            handler.close()
            raise
        return handler

    def settle(self, channel: Channel) -> None:
        """Let libzmq finish soon what was begun with a socket, be it idle.

        It ends a connection only while somebody works on the socket.
        """
        if channel.monitor is not None:
            with self._lock:
                self._unsettled[channel] = monotonic() + REST
            self._wake()

    def stop(self) -> None:
        """End the thread soon; it is not waited for, but `ended` tells."""
        with self._lock:
            self._stopping = True
        self._wake()

    def _start(self) -> None:
        with self._lock:
            if self._stopping:
                raise RuntimeError("its manager is closed")
            if self._sleeper is None:
                sleeper = Sleeper(native_readiness)
                self.ended = False
                try:
                    self._detach(self._attend)
                except BaseException:
                    self.ended = True
                    raise
                self._sleeper = sleeper

    def _stir(self, channel: Channel) -> None:
        self._stirred.append(channel)
        self._wake()

    def _wake(self) -> None:
        sleeper = self._sleeper
        if sleeper is not None and self._thread != get_ident():
            sleeper.wake()

    # Its thread

    def _attend(self) -> None:
        try:
            with self._lock:
                sleeper = self._sleeper
            assert sleeper is not None
            self._thread = get_ident()
            while not self._stopping:
                self._round(sleeper)
        finally:
            self._leave()

    def _round(self, sleeper: Sleeper) -> None:
        by_fd = self._fds()
        fds = tuple(by_fd)
        ready = [by_fd[fd] for fd in sleeper.sleep(fds, self._patience())]
        if None in ready:
            self._answer()
        for channel in ready:
            if channel is not None:
                channel.monitor.read()
        stirred = self._take_stirred()
        self._redial()
        self._settle_unsettled()
        if stirred and not self._stopping and sleeper.sleep(self._handler_fds, REST):
            self._answer()

    def _fds(self) -> dict[int, Channel | None]:
        """Return who is to be looked at when an fd is readable; None for the handler."""
        with self._lock:
            self._watched = {c for c in self._watched if c.monitor and not c.monitor.closed}
            watched = list(self._watched)
        fds: dict[int, Channel | None] = {channel.monitor.fd: channel for channel in watched}
        return fds | dict.fromkeys(self._handler_fds)

    def _patience(self) -> float:
        if self._stirred:  # amid a rest, which took the wake-up
            return 0
        with self._lock:
            due = [*self._unsettled.values()]
        due += (time for lost in self._lost.values() for time in lost.values())
        return max(0.0, min(due) - monotonic()) if due else math.inf

    def _take_stirred(self) -> set[Channel]:
        """See to the sockets of which something was read, be it by somebody else."""
        stirred = {self._stirred.popleft() for _ in range(len(self._stirred))}
        for channel in stirred:
            # Only who works on a socket lets it know its peers: be it for a new one to hear what
            # it is subscribed to, or for one of the same identity to take the place of the last.
            self._settle(channel)
            self.settle(channel)  # and again: the event may come before what it tells of
            if channel.monitor is not None:  # or it is still being made
                self._lost[channel] = channel.monitor.lost()
        return stirred

    def _redial(self) -> None:
        now = monotonic()
        for channel, lost in list(self._lost.items()):
            for address, due in lost.items():
                if due <= now:
                    channel.monitor.dialled(address, redial(channel, address))
            self._lost[channel] = channel.monitor.lost()
            if channel.monitor.closed or not self._lost[channel]:
                del self._lost[channel]

    def _settle_unsettled(self) -> None:
        now = monotonic()
        with self._lock:
            due = [channel for channel, time in self._unsettled.items() if time <= now]
            for channel in due:
                del self._unsettled[channel]
        for channel in due:
            self._settle(channel)

    @staticmethod
    def _settle(channel: Channel) -> None:
        with suppress(AgentZeroSocketError):
            channel.tend()

    def _answer(self) -> None:
        try:
            while True:
                self._answer_one()
        except zmq.Again:
            pass
        except zmq.ZMQError:  # its context is being terminated
            self._dismiss()

    def _answer_one(self) -> None:
        request = [self._handler.recv(zmq.NOBLOCK)]
        while self._handler.get(zmq.RCVMORE):
            request.append(self._handler.recv(zmq.NOBLOCK))
        *reply, last = zap.answer(request, self._realms)
        for frame in reply:
            self._handler.send(frame, zmq.NOBLOCK | zmq.SNDMORE)
        self._handler.send(last, zmq.NOBLOCK)

    def _dismiss(self) -> None:
        with self._lock:
            if self._handler is not None:
                with suppress(zmq.ZMQError):  # now, and not when libzmq's reaper comes by
                    self._handler.unbind(zap.ENDPOINT)
                self._handler.close()
            self._handler_fds = ()

    def _leave(self) -> None:
        with self._lock:
            self._stopping = True
            watched, self._watched = self._watched, set()
            self._sleeper = None
            self._unsettled.clear()
        try:
            self._dismiss()
            for channel in watched:
                with channel.lock:
                    channel.monitor.close(channel.socket)
        finally:
            self._lost.clear()
            self._stirred.clear()
            self.ended = True
