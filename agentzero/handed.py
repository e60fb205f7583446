"""The sockets that managers hand out: they note when they are used by hand.

libzmq's sockets are for one thread at a time. A manager works on a socket that is idle, for what
libzmq does only while somebody works on it; it must not where somebody else may be doing so.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import zmq

__all__ = ["Handed", "handed"]

if TYPE_CHECKING:
    Base = zmq.Socket[Any]
else:
    Base = object


class Handed(Base):
    """What is added to a flavour's socket; the verbs of managers go another way.

    Attributes:
        by_hand: whether its own methods were used to send, receive or poll.
        guard: the lock that is held while others work on it.
    """

    by_hand: bool = False
    guard: Any = None

    def _take(self) -> None:
        if not self.by_hand and self.guard is not None:
            with self.guard:
                self.by_hand = True

    def send(self, *args: Any, **options: Any) -> Any:
        """Send, by hand."""
        self._take()
        return super().send(*args, **options)

    def recv(self, *args: Any, **options: Any) -> Any:
        """Receive, by hand."""
        self._take()
        return super().recv(*args, **options)

    def poll(self, *args: Any, **options: Any) -> Any:
        """Poll, by hand."""
        self._take()
        return super().poll(*args, **options)


_classes: dict[type, type] = {}


def handed(flavour: type) -> type:
    """Return a flavour's class of sockets with that added; always the same one.

    >>> import zmq
    >>> issubclass(handed(zmq.Socket), zmq.Socket), handed(zmq.Socket) is handed(zmq.Socket)
    (True, True)
    """
    if flavour not in _classes:
        doc = {"__doc__": flavour.__doc__, "__module__": flavour.__module__}
        _classes[flavour] = type(flavour.__name__, (Handed, flavour), doc)
    return _classes[flavour]
