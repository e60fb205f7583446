"""Waiting in tasks of trio.

Trio lets one task alone wait for a file descriptor. So all tasks of a run share one selector, which
holds whatever any of them waits for, and one task of the run waits until that selector is readable.
"""

from __future__ import annotations

import _thread
import selectors
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Literal

import trio
from trio.lowlevel import RunVar

from agentzero.backends import Lock
from agentzero.errors import AgentZeroSocketError

__all__ = ["TrioBackend"]


class Watcher:
    """Ends the waits of one trio run, as soon as something is readable."""

    def __init__(self) -> None:
        self.token = trio.lowlevel.current_trio_token()
        self.over = False
        self._selector = selectors.DefaultSelector()
        self._books = threading.RLock()
        trio.lowlevel.spawn_system_task(self._watch)

    async def _watch(self) -> None:
        try:
            while True:
                await trio.lowlevel.wait_readable(self._selector)
                self._tell()
        finally:
            with self._books:
                self.over = True
                self._selector.close()

    def _tell(self) -> None:
        with self._books:
            for key, _ in self._selector.select(0):
                key.data[0].end_wait()  # one is enough: what it leaves it passes on

    def add(self, fds: Sequence[int], waiter: TrioWaiter) -> None:
        """Have `waiter` end its wait when an fd is readable."""
        with self._books, suppress(OSError):  # closed meanwhile: the waiter was woken
            for fd in fds:
                if key := self._selector.get_map().get(fd):
                    key.data.append(waiter)
                else:
                    self._selector.register(fd, selectors.EVENT_READ, [waiter])

    def remove(self, fds: Sequence[int], waiter: TrioWaiter) -> None:
        """Undo `add`, as far as `forget` has not done so."""
        with self._books:
            for fd in fds:
                waiters = self._waiters(fd)
                if waiter in waiters:
                    waiters.remove(waiter)
                    if not waiters:
                        self._selector.unregister(fd)

    def forget(self, fd: int) -> None:
        """Watch `fd` for nobody any more."""
        with self._books:
            if self._waiters(fd):
                self._selector.unregister(fd)

    def _waiters(self, fd: int) -> list[TrioWaiter]:
        key = None if self.over else self._selector.get_map().get(fd)
        return key.data if key else []


# One for each run, however many managers are made in it.
watchers: RunVar[Watcher | None] = RunVar("agentzero_trio", default=None)


class TrioWaiter:
    """One task's place to wait at."""

    def __init__(self, watcher: Watcher) -> None:
        self._watcher = watcher
        self._event = trio.Event()

    def wake(self) -> None:
        # From anywhere: this task's run, another thread, a signal handler.
        with suppress(trio.RunFinishedError):  # and its tasks with it
            self._watcher.token.run_sync_soon(self.end_wait, idempotent=True)

    def end_wait(self) -> None:
        """End the wait; only the run's own thread may call it."""
        self._event.set()

    async def wait(self, fds: Sequence[int], timeout: float) -> None:
        if timeout == 0:
            await trio.lowlevel.checkpoint()
        else:
            await self._wait(fds, timeout)

    async def _wait(self, fds: Sequence[int], timeout: float) -> None:
        try:
            self._watcher.add(fds, self)
            with trio.move_on_after(timeout):
                await self._event.wait()
        finally:
            self._watcher.remove(fds, self)
            self._event = trio.Event()

    def close(self) -> None:
        """Do nothing: nothing is kept."""


class TrioBackend:
    """The backend of trio; it belongs to the run that waits with it, until that run has ended.

    >>> TrioBackend().name
    'trio'
    """

    name = "trio"
    flavour = "zmq"
    is_async: Literal[True] = True
    turn_every = 256

    def __init__(self) -> None:
        self._watcher: Watcher | None = None
        self._books = threading.RLock()

    def lock(self) -> Lock:
        return threading.RLock()

    def waiter(self) -> TrioWaiter:
        if not trio.lowlevel.in_trio_run():
            raise AgentZeroSocketError("the backend 'trio' waits in tasks of trio.run, not here")
        if (current := watchers.get()) is None:
            watchers.set(current := Watcher())
        with self._books:
            if self._watcher is None or self._watcher.over:
                self._watcher = current
            if self._watcher is not current:
                raise AgentZeroSocketError(
                    "this manager belongs to another trio.run, the one that first waited with it:"
                    " make one manager for each run"
                )
        return TrioWaiter(current)

    def detach(self, function: Callable[[], object]) -> object:
        return _thread.start_new_thread(function, ())

    def forget(self, fd: int) -> None:
        if self._watcher is not None:
            self._watcher.forget(fd)
