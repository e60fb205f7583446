"""Waiting in tasks of an asyncio event loop, uvloop's included."""

from __future__ import annotations

import _thread
import asyncio
import math
import os
import threading
from collections import defaultdict
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Literal

from agentzero.backends.base import Lock
from agentzero.errors import AgentZeroSocketError

__all__ = ["AsyncioBackend"]


class AsyncioWaiter:
    """One task's place to wait at."""

    def __init__(self, backend: AsyncioBackend, loop: asyncio.AbstractEventLoop) -> None:
        self._backend = backend
        self._loop = loop
        self._future: asyncio.Future[None] | None = None
        self._woken = False

    def wake(self) -> None:
        self._woken = True
        if threading.get_ident() == self._backend.thread:
            self.end_wait()
        else:
            with suppress(RuntimeError):  # the loop is closed, and its tasks with it
                self._loop.call_soon_threadsafe(self.end_wait)

    def end_wait(self) -> None:
        """End the wait; only the loop's own thread may call it."""
        if self._future is not None and not self._future.done():
            self._future.set_result(None)

    async def wait(self, fds: Sequence[int], timeout: float) -> None:
        if timeout == 0:
            await asyncio.sleep(0)
        else:
            await self._wait(fds, timeout)

    async def _wait(self, fds: Sequence[int], timeout: float) -> None:
        self._future = self._loop.create_future()
        timer = None if timeout == math.inf else self._loop.call_later(timeout, self.end_wait)
        try:
            self._backend.watch(fds, self)
            if self._woken:
                self.end_wait()
            await self._future
        finally:
            self._woken = False
            self._future = None
            self._backend.unwatch(fds, self)
            if timer is not None:
                timer.cancel()

    def close(self) -> None:
        """Do nothing: nothing is kept."""


class AsyncioBackend:
    """The backend of asyncio; it belongs to the event loop that first waits with it.

    >>> AsyncioBackend().name
    'asyncio'
    """

    name = "asyncio"
    flavour = "zmq.asyncio"
    is_async: Literal[True] = True
    turn_every = 64

    def __init__(self) -> None:
        self.thread = 0
        self._loop: asyncio.AbstractEventLoop | None = None
        self._waiters: dict[int, list[AsyncioWaiter]] = defaultdict(list)
        self._copies: dict[int, int] = {}
        self._books = threading.RLock()

    def lock(self) -> Lock:
        return threading.RLock()

    def waiter(self) -> AsyncioWaiter:
        loop = asyncio.get_running_loop()
        if self._loop is None:
            self._loop, self.thread = loop, threading.get_ident()
        elif self._loop is not loop:
            raise AgentZeroSocketError(
                "this manager belongs to another event loop, the one that first waited with it:"
                " make one manager for each loop"
            )
        return AsyncioWaiter(self, loop)

    def detach(self, function: Callable[[], object]) -> object:
        return _thread.start_new_thread(function, ())

    def watch(self, fds: Sequence[int], waiter: AsyncioWaiter) -> None:
        """Have `waiter` end its wait when an fd is readable."""
        with self._books, suppress(OSError):  # closed meanwhile: the waiter was woken
            for fd in fds:
                self._waiters[fd].append(waiter)
                if len(self._waiters[fd]) == 1:
                    self._add_reader(fd)

    def unwatch(self, fds: Sequence[int], waiter: AsyncioWaiter) -> None:
        """Undo `watch`, as far as `forget` has not done so."""
        with self._books:
            for fd in fds:
                waiters = self._waiters.get(fd, [])
                if waiter in waiters:
                    waiters.remove(waiter)
                    if not waiters:
                        self._remove_reader(fd)

    def _add_reader(self, fd: int) -> None:
        # A copy, as one fd has one reader: the socket that is handed out may want its own.
        assert self._loop is not None
        if fd not in self._copies:
            self._copies[fd] = os.dup(fd)
        try:
            self._loop.add_reader(self._copies[fd], self._readable, fd)
        except NotImplementedError as error:
            raise AgentZeroSocketError(
                "this event loop cannot watch sockets; on Windows use asyncio.SelectorEventLoop"
            ) from error

    def _remove_reader(self, fd: int) -> None:
        if fd in self._copies and self._loop is not None and not self._loop.is_closed():
            with suppress(NotImplementedError):  # it could not be added either
                self._loop.remove_reader(self._copies[fd])

    def _readable(self, fd: int) -> None:
        # One is enough: what it leaves it passes on.
        for waiter in self._waiters.get(fd, [])[:1]:
            waiter.end_wait()

    def forget(self, fd: int) -> None:
        with self._books:
            if self._waiters.pop(fd, None):
                self._remove_reader(fd)
            if fd in self._copies:
                os.close(self._copies.pop(fd))
