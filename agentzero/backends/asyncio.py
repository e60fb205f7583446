"""Waiting in tasks of an asyncio event loop, uvloop's included."""

from __future__ import annotations

import asyncio
import heapq
import itertools
import math
import os
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Literal

from agentzero.backends.base import Lock
from agentzero.backends.native import native_lock, start_native
from agentzero.backends.readiness import readiness
from agentzero.errors import AgentZeroSocketError

__all__ = ["AsyncioBackend"]

# How often in a row a file descriptor may be readable with nobody there before it is watched no
# more. To go on watching saves two system calls for each wait.
PATIENCE = 3


class AsyncioWaiter:
    """One task's place to wait at."""

    def __init__(self, backend: AsyncioBackend, loop: asyncio.AbstractEventLoop) -> None:
        self._backend = backend
        self._loop = loop
        self._thread = threading.get_ident()
        self._future: asyncio.Future[None] | None = None
        self._woken = False
        self.alarm: int = -1  # the number of the one that is set

    def wake(self) -> None:
        self._woken = True
        # Outside of a task, as in a signal handler, the loop may be asleep.
        at_work = threading.get_ident() == self._thread and asyncio.current_task(self._loop)
        if at_work:
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
        watched = []
        try:
            if timeout != math.inf:
                self._backend.alarms.set(timeout, self)
            for fd in fds:
                watched.append(self._backend.watch(fd, self))
            if self._woken:
                self.end_wait()
            await self._future
        finally:
            self._woken = False
            self._future = None
            self.alarm = -1
            for watch in watched:
                watch.waiters.remove(self)

    def close(self) -> None:
        """Do nothing: nothing is kept."""


class Alarms:
    """Ends waits when their time is over, by one timer of the loop.

    Most waits end long before: a timer of its own for each, made and cancelled, would cost more
    than the rest of the wait.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._set: list[tuple[float, int, AsyncioWaiter]] = []
        self._numbers = itertools.count()
        self._timer: asyncio.TimerHandle | None = None

    def set(self, timeout: float, waiter: AsyncioWaiter) -> None:
        """End the wait of `waiter` in `timeout` seconds, unless it ends before."""
        when, waiter.alarm = self._loop.time() + timeout, next(self._numbers)
        heapq.heappush(self._set, (when, waiter.alarm, waiter))
        if self._set[0][1] == waiter.alarm:
            self._ring_at(when)

    def _ring_at(self, when: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._loop.call_at(when, self._ring, when)

    def _ring(self, now: float) -> None:
        self._timer = None
        now = max(now, self._loop.time())  # a loop may be a little early
        while self._set:
            when, number, waiter = self._set[0]
            if waiter.alarm == number:
                if when > now:
                    self._ring_at(when)
                    break
                waiter.end_wait()
            heapq.heappop(self._set)


class Watch:
    """A file descriptor that the loop watches, and who waits for it.

    What is watched is a copy, as one file descriptor has one reader: the socket that is handed out
    may want its own.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, fd: int) -> None:
        self.waiters: list[AsyncioWaiter] = []
        self._loop = loop
        self._copy = -1
        self._copy = os.dup(fd)
        self._readiness = readiness([self._copy])
        self._in_vain = PATIENCE

    def begin(self) -> None:
        """Have the loop watch, if it does not."""
        if self._in_vain >= PATIENCE:
            self._loop.add_reader(self._copy, self._readable)
        self._in_vain = 0

    def _readable(self) -> None:
        if not self.waiters:
            self._in_vain += 1
            if self._in_vain == PATIENCE:
                self._loop.remove_reader(self._copy)
        # Unless that is past: the loop asks once more before the task that it woke has run.
        elif self._readiness.wait(0):
            self.waiters[0].end_wait()  # one is enough: what it leaves it passes on

    def end(self) -> None:
        """Stop watching; only the loop's own thread may call it, or any once it is closed."""
        if self._copy >= 0 and not self._loop.is_closed():
            with suppress(NotImplementedError):  # it could not be added either
                self._loop.remove_reader(self._copy)
        self._close()

    def _close(self) -> None:
        copy, self._copy = self._copy, -1
        if copy >= 0:
            os.close(copy)

    def __del__(self) -> None:  # a loop that is closed forgets what it was to call
        self._close()

    def end_soon(self) -> None:
        """Stop watching; any thread may call it."""
        try:
            self._loop.call_soon_threadsafe(self.end)
        except RuntimeError:  # the loop is closed
            self.end()


class AsyncioBackend:
    """The backend of asyncio; it belongs to the event loop that first waits with it.

    >>> AsyncioBackend().name
    'asyncio'
    """

    name = "asyncio"
    flavour = "zmq.asyncio"
    is_async: Literal[True] = True
    turn_every = 256

    def __init__(self) -> None:
        self._thread = 0
        self._loop: asyncio.AbstractEventLoop | None = None
        self.alarms: Alarms
        self._watches: dict[int, Watch] = {}

    def lock(self) -> Lock:
        return native_lock()

    def waiter(self) -> AsyncioWaiter:
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError as error:
            raise AgentZeroSocketError(
                "the backend 'asyncio' waits in tasks of an asyncio event loop, and none runs here"
            ) from error
        if self._loop is not loop:
            self._belong_to(loop)
        return AsyncioWaiter(self, loop)

    def _belong_to(self, loop: asyncio.AbstractEventLoop) -> None:
        if self._loop is not None and not self._loop.is_closed():
            raise AgentZeroSocketError(
                "this manager belongs to another event loop, the one that first waited with it:"
                " make one manager for each loop"
            )
        for fd in list(self._watches):
            self.forget(fd)
        self._loop, self._thread, self.alarms = loop, threading.get_ident(), Alarms(loop)

    def detach(self, function: Callable[[], object]) -> object:
        return start_native(function)

    def watch(self, fd: int, waiter: AsyncioWaiter) -> Watch:
        """Have `waiter` end its wait when an fd is readable."""
        assert self._loop is not None
        try:
            watch = self._watches.get(fd)
            if watch is None:
                watch = self._watches[fd] = Watch(self._loop, fd)
            watch.begin()
        except OSError as error:
            raise AgentZeroSocketError(f"cannot wait: {error.strerror}") from error
        except NotImplementedError as error:
            raise AgentZeroSocketError(
                "this event loop cannot watch sockets; on Windows use asyncio.SelectorEventLoop"
            ) from error
        watch.waiters.append(waiter)
        return watch

    def forget(self, fd: int) -> None:
        watch = self._watches.pop(fd, None)
        if watch is None:
            return
        if threading.get_ident() == self._thread:
            watch.end()
        else:
            watch.end_soon()
