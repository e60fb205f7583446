"""The zmq.green socket that managers hand out: it watches its file descriptor only while it waits.

One of pyzmq's own watches all the time, from the hub that made it: it would touch the socket behind
the lock of its channel, and eat the edges that others wait for.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import zmq.green

__all__ = ["Socket"]

if TYPE_CHECKING:

    class GreenSocket(zmq.Socket[bytes]):
        """What pyzmq does not say of its own."""

        _state_event: Any
        _Socket__state_changed: Any

        def _wait_read(self) -> None: ...

        def _wait_write(self) -> None: ...

else:
    GreenSocket = zmq.green.Socket


class Socket(GreenSocket):
    """A socket whose own `recv` and `send` let other greenlets run while they wait.

    A verb of the manager that works on the same socket meanwhile may take the wake-up of such a
    wait, which then notices a second later.

    >>> import zmq.green
    >>> issubclass(Socket, zmq.green.Socket)
    True
    """

    _gevent_bug_timeout = 1.0  # seconds after which a wait looks by itself; pyzmq's is 11.6

    _watching_now = 0

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._state_event.stop()

    def close(self, linger: int | None = None) -> None:
        """Close it; any thread may, unless a greenlet waits in its own `recv` or `send`."""
        if self._state_event is None:  # it could not be made
            zmq.Socket.close(self, linger)
            return
        if not self._state_event.active:
            self._state_event = None
        super().close(linger)

    def _wait_read(self) -> None:
        with self._watching():
            super()._wait_read()

    def _wait_write(self) -> None:
        with self._watching():
            super()._wait_write()

    @contextmanager
    def _watching(self) -> Iterator[None]:
        watcher = self._state_event
        if not self._watching_now:
            watcher.start(self._Socket__state_changed)
        self._watching_now += 1  # one may read and another write
        try:
            yield
        finally:
            self._watching_now -= 1
            if not self._watching_now:
                watcher.stop()
