"""What a backend has to offer: two Protocols, one for sync and one for async.

A backend knows how to wait and how to wake, and nothing else: it never sees a socket or a message.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Any, Literal, Protocol, runtime_checkable

__all__ = ["AsyncBackend", "AsyncWaiter", "Backend", "Lock", "Waiter", "Wakeable"]


class Lock(Protocol):
    """A lock that its holder may take again, as `threading.RLock` is."""

    def __enter__(self) -> Any: ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
        /,
    ) -> Any: ...


class Wakeable(Protocol):
    """Somebody who may be waiting."""

    def wake(self) -> None:
        """End the wait, or the next one if none is under way.

        Any thread may call it, often, and with locks held: it never waits. Where the waiter is
        closed, it does nothing.
        """


class Waiter(Wakeable, Protocol):
    """One task's place to wait at; used by that task alone, but for `wake`."""

    def wait(self, fds: Sequence[int], timeout: float) -> None:
        """Return when an fd is readable, when woken, or after `timeout` seconds.

        It may return early. Where several tasks wait for one fd, at least one of them returns.
        `timeout` is 0 or more, and may be `math.inf`. With a `timeout` of 0 as well, the others of
        an event loop have a turn.
        """

    def close(self) -> None:
        """Give the place up; the task waits here no more. Twice is harmless."""


class AsyncWaiter(Wakeable, Protocol):
    """The same for tasks of an event loop."""

    async def wait(self, fds: Sequence[int], timeout: float) -> None:
        """As `Waiter.wait`; a cancellation ends it at once."""

    def close(self) -> None:
        """As `Waiter.close`."""


@runtime_checkable
class Backend(Protocol):
    """How the tasks of a `SocketManager` wait.

    Attributes:
        name: what it is registered as.
        flavour: the pyzmq module whose sockets suit it, e.g. "zmq" or "zmq.green".
        is_async: False; it tells the two Protocols apart.
        turn_every: after how many messages, or KiB, a task that never has to wait lets others have
            a turn; 0 where tasks need no such courtesy, as threads do not.
    """

    name: str
    flavour: str
    is_async: Literal[False]
    turn_every: int

    def lock(self) -> Lock:
        """Make a lock that is held for microseconds, never while waiting."""

    def waiter(self) -> Waiter:
        """Return a place to wait at, for the calling task."""

    def detach(self, function: Callable[[], object]) -> object:
        """Start a native thread that calls `function`, and do not wait for it.

        The end of the process does not wait for it either. It may be called in garbage collection.
        """

    def forget(self, fd: int) -> None:
        """Stop watching `fd`, awaited or not: it is about to be closed. Any thread may call it."""


@runtime_checkable
class AsyncBackend(Protocol):
    """How the tasks of an `AsyncSocketManager` wait. Attributes and methods as in `Backend`."""

    name: str
    flavour: str
    is_async: Literal[True]
    turn_every: int

    def lock(self) -> Lock:
        """As `Backend.lock`."""

    def waiter(self) -> AsyncWaiter:
        """As `Backend.waiter`."""

    def detach(self, function: Callable[[], object]) -> object:
        """As `Backend.detach`."""

    def forget(self, fd: int) -> None:
        """As `Backend.forget`."""
