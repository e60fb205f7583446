"""Waiting in plain threads: one poll(2) over what is awaited and a socket to be woken by."""

from __future__ import annotations

import _socket
import os
import socket
import weakref
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any, Literal

from agentzero.backends.base import Lock
from agentzero.backends.native import is_patched, native_lock, start_native
from agentzero.backends.readiness import Readiness, readiness
from agentzero.errors import AgentZeroSocketError

__all__ = ["Sleeper", "ThreadsBackend"]


# Windows has none but Python's own, and nothing there replaces that.
socketpair: Callable[[], tuple[Any, Any]] = getattr(_socket, "socketpair", socket.socketpair)


class Sleeper:
    """Somewhere for a thread to sleep, until a file descriptor is readable, or it is woken.

    Args:
        readiness: what tells which file descriptors are readable.
    """

    def __init__(self, readiness: Callable[[Sequence[int]], Readiness] = readiness) -> None:
        # Not what gevent may have put there: its sockets belong to the thread that makes them.
        self._ours, self._theirs = socketpair()
        self._ours.setblocking(False)
        self._theirs.setblocking(False)
        self._fd = self._ours.fileno()
        self._fds: Sequence[int] = ()
        self._new_readiness = readiness
        self._readiness = readiness([self._fd])

    def wake(self) -> None:
        """End the sleep, or the next one; any thread may call it, often."""
        with suppress(BlockingIOError):  # full of wakes already
            self._theirs.send(b"\0")

    def sleep(self, fds: Sequence[int], timeout: float) -> list[int]:
        """Return those of `fds` that are readable, after `timeout` seconds at the most."""
        if fds != self._fds:
            self._fds = fds
            self._readiness = self._new_readiness([self._fd, *fds])
        ready = self._readiness.wait(timeout)
        if self._fd in ready:
            ready.remove(self._fd)
            with suppress(BlockingIOError):
                self._ours.recv(4096)
        return ready

    def __del__(self) -> None:
        with suppress(AttributeError):  # there were no file descriptors left to make them
            self._ours.close()
            self._theirs.close()


class ThreadWaiter(Sleeper):
    """One thread's place to wait at; `close` returns it to the pool, its sockets still open."""

    def __init__(self, pool: deque[ThreadWaiter]) -> None:
        super().__init__()
        # Weak, or both would live on until the garbage collector finds them.
        self._pool = weakref.ref(pool)
        self._given_up = False

    def wait(self, fds: Sequence[int], timeout: float) -> None:
        self.sleep(fds, timeout)

    def close(self) -> None:
        pool = self._pool()
        if pool is not None and not self._given_up:
            self._given_up = True
            pool.append(self)

    def reused(self) -> ThreadWaiter:
        """Return it for another task."""
        self._given_up = False
        return self


class ThreadsBackend:
    """The backend of plain threads; any number of them may share a manager.

    >>> ThreadsBackend().name
    'threads'
    """

    name = "threads"
    flavour = "zmq"
    is_async: Literal[False] = False
    turn_every = 0

    def __init__(self) -> None:
        self._pool: deque[ThreadWaiter] = deque()
        self._process = os.getpid()

    def lock(self) -> Lock:
        return native_lock()

    def waiter(self) -> ThreadWaiter:
        if self._process != os.getpid():  # a fork shares sockets with its parent
            self._pool, self._process = deque(), os.getpid()
        if is_patched("select"):  # what waits then belongs to the hub of the thread that makes it
            return self._new_waiter(deque())
        try:
            return self._pool.pop().reused()
        except IndexError:
            return self._new_waiter(self._pool)

    @staticmethod
    def _new_waiter(pool: deque[ThreadWaiter]) -> ThreadWaiter:
        try:
            return ThreadWaiter(pool)
        except OSError as error:
            raise AgentZeroSocketError(f"cannot wait: {error.strerror}") from error

    def detach(self, function: Callable[[], object]) -> object:
        return start_native(function)

    def forget(self, fd: int) -> None:
        """Do nothing: nobody watches between two waits."""
