"""Waiting in greenlets: libev or libuv watchers on the hub of the calling thread."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Literal

import gevent
from gevent.hub import Waiter as Switch

from agentzero.backends.base import Lock
from agentzero.backends.native import native_lock, start_native

__all__ = ["GeventBackend"]

READ = 1

# libuv counts in milliseconds, and warns of what is less.
SHORTEST = 0.001


class GeventWaiter:
    """One greenlet's place to wait at."""

    def __init__(self) -> None:
        self._lock = native_lock()
        self._woken = self._closed = False
        self._move()

    def _move(self) -> None:
        with self._lock:
            self._hub = gevent.get_hub()
            self._async = self._hub.loop.async_()

    def wake(self) -> None:
        self._woken = True
        with self._lock:  # libuv's loops let other threads run while they send
            if not self._closed:
                with suppress(ValueError):  # its loop was destroyed
                    self._async.send()

    def wait(self, fds: Sequence[int], timeout: float) -> None:
        if timeout == 0:
            gevent.sleep(0)
        else:
            self._wait(fds, timeout)

    def _wait(self, fds: Sequence[int], timeout: float) -> None:
        if gevent.get_hub() is not self._hub:  # a generator that another thread goes on with
            self._move()
        switch, loop = Switch(self._hub), self._hub.loop
        watchers = [self._async]
        try:
            watchers += (loop.io(fd, READ) for fd in fds)
            if timeout != math.inf:
                watchers.append(loop.timer(max(timeout, SHORTEST)))
            for watcher in watchers:
                watcher.start(switch.switch, None)
            if not self._woken:
                switch.get()
        finally:
            self._woken = False
            for watcher in watchers:
                watcher.stop()
            for watcher in watchers[1:]:
                watcher.close()

    def close(self) -> None:
        with self._lock:
            self._closed = True
            self._async.close()


class GeventBackend:
    """The backend of greenlets, with or without monkey-patching; each thread has its own hub.

    >>> GeventBackend().name
    'gevent'
    """

    name = "gevent"
    flavour = "zmq.green"
    is_async: Literal[False] = False
    turn_every = 256

    def lock(self) -> Lock:
        # It is held for microseconds and never across a switch, and threads with hubs of their own
        # share it.
        return native_lock()

    def waiter(self) -> GeventWaiter:
        return GeventWaiter()

    def detach(self, function: Callable[[], object]) -> object:
        return start_native(function)

    def forget(self, fd: int) -> None:
        """Do nothing: nobody watches between two waits."""
