"""Waiting in plain threads: one poll(2) over what is awaited and a socket to be woken by."""

from __future__ import annotations

import _thread
import os
import socket
import weakref
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Literal

from agentzero.backends.base import Lock
from agentzero.backends.native import is_patched, native
from agentzero.backends.readiness import readiness
from agentzero.errors import AgentZeroSocketError

__all__ = ["ThreadsBackend"]


class ThreadWaiter:
    """One thread's place to wait at; `close` returns it to the pool, its sockets still open."""

    def __init__(self, pool: deque[ThreadWaiter]) -> None:
        # Weak, or both would live on until the garbage collector finds them.
        self._pool = weakref.ref(pool)
        self._ours, self._theirs = socket.socketpair()
        self._ours.setblocking(False)
        self._theirs.setblocking(False)
        self._fd = self._ours.fileno()
        self._given_up = False
        self._fds: Sequence[int] = ()
        self._readiness = readiness([self._fd])

    def wake(self) -> None:
        with suppress(BlockingIOError):  # full of wakes already
            self._theirs.send(b"\0")

    def wait(self, fds: Sequence[int], timeout: float) -> None:
        if fds != self._fds:
            self._fds = fds
            self._readiness = readiness([self._fd, *fds])
        if self._fd in self._readiness.wait(timeout):
            with suppress(BlockingIOError):
                self._ours.recv(4096)

    def close(self) -> None:
        pool = self._pool()
        if pool is not None and not self._given_up:
            self._given_up = True
            pool.append(self)

    def reused(self) -> ThreadWaiter:
        """Return it for another task."""
        self._given_up = False
        return self

    def __del__(self) -> None:
        with suppress(AttributeError):  # there were no file descriptors left to make them
            self._ours.close()
            self._theirs.close()


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
        lock: Lock = native("_thread", "RLock")()
        return lock

    def waiter(self) -> ThreadWaiter:
        if self._process != os.getpid():  # a fork shares sockets with its parent
            self._pool, self._process = deque(), os.getpid()
        if is_patched():  # gevent's sockets belong to the hub of the thread that makes them
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
        # Not threading.Thread, whose start waits for locks that garbage collection may interrupt.
        return _thread.start_new_thread(function, ())

    def forget(self, fd: int) -> None:
        """Do nothing: nobody watches between two waits."""
