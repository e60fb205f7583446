"""What `send_multipart` without a copy returns: it tells when the memory is the caller's again."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Generic, TypeVar

from agentzero.backends import AsyncBackend, Backend, Wakeable
from agentzero.base import BaseManager
from agentzero.channel import Channel
from agentzero.deadline import Deadline
from agentzero.errors import SocketClosed
from agentzero.loans import Loan
from agentzero.steps import Steps, drive, drive_async, kept, until_returned

__all__ = ["AsyncTracker", "Tracker"]

B = TypeVar("B", Backend, AsyncBackend)


class BaseTracker(Generic[B]):
    """What both trackers share."""

    def __init__(self, manager: BaseManager[B], channel: Channel, loan: Loan) -> None:
        self._manager: BaseManager[B] = manager
        self._channel = channel
        self._loan = loan

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of {self._channel}, {'' if self.done else 'not '}done>"

    @property
    def done(self) -> bool:
        """Whether ZeroMQ has read all of the memory, or dropped the message; it never waits."""
        if not self._loan.done:
            with suppress(SocketClosed):
                self._channel.ready(0)  # libzmq drops what it cannot send while we look
        return self._loan.done

    def _steps(self, deadline: Deadline) -> Callable[[Wakeable], Steps[bool]]:
        return lambda waiter: until_returned(waiter, self._channel, self._loan, deadline)


class Tracker(BaseTracker[Backend]):
    """Tells when the memory of a message that was sent without a copy may be written to again.

    >>> import zmq
    >>> from agentzero import SocketManager
    >>> with SocketManager() as sockets:
    ...     _ = sockets.ensure_and_bind("in", zmq.PULL, "inproc://large")
    ...     _ = sockets.ensure_and_connect("out", zmq.PUSH, "inproc://large")
    ...     image = bytearray(1_000_000)
    ...     tracker = sockets.send_multipart("out", [b"image", image], copy=False)
    ...     _ = sockets.recv_multipart("in")
    ...     tracker.wait()
    ...     image[0] = 255
    """

    def wait(self, timeout: float | None = None) -> None:
        """Wait until the memory may be written to again.

        Args:
            timeout: seconds; None takes the manager's.

        Raises:
            SocketTimeout: ZeroMQ still needs it.
        """
        deadline = self._manager._deadline(timeout)
        if not drive(self._manager.backend, self._steps(deadline)):
            raise kept(self._channel, deadline)


class AsyncTracker(BaseTracker[AsyncBackend]):
    """As `Tracker`, for `AsyncSocketManager`.

    >>> import asyncio, zmq
    >>> from agentzero import AsyncSocketManager
    >>> async def main():
    ...     async with AsyncSocketManager() as sockets:
    ...         _ = sockets.ensure_and_bind("in", zmq.PULL, "inproc://large")
    ...         _ = sockets.ensure_and_connect("out", zmq.PUSH, "inproc://large")
    ...         image = bytearray(1_000_000)
    ...         tracker = await sockets.send_multipart("out", [b"image", image], copy=False)
    ...         _ = await sockets.recv_multipart("in")
    ...         await tracker.wait()
    ...         return tracker.done
    >>> asyncio.run(main())
    True
    """

    async def wait(self, timeout: float | None = None) -> None:
        """As `Tracker.wait`."""
        deadline, backend = self._manager._deadline(timeout), self._manager.backend
        if not await drive_async(backend, self._steps(deadline)):
            raise kept(self._channel, deadline)
