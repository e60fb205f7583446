"""Who is subscribed to what, as far as an XPUB is told."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable
from typing import Any

import zmq

from agentzero.channel import POLLIN, Channel, Message, as_bytes

__all__ = ["XpubChannel"]


class XpubChannel(Channel):
    """An XPUB, which keeps account of the subscriptions that it receives."""

    __slots__ = ("_subscribed", "_unread")

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self._subscribed: Counter[bytes] = Counter()
        # Received for the account, and still to be received by whoever asks for messages.
        self._unread: deque[Message] = deque()

    def try_recv(self, read: Callable[[zmq.Frame], Any] = as_bytes) -> Any:
        """Take a message, the oldest that was only counted so far."""
        with self.lock:
            message = self._unread.popleft() if self._unread else self._take()
        if message is None or read is as_bytes:
            return message
        return (
            memoryview(message)
            if isinstance(message, bytes)
            else [memoryview(frame) for frame in message]
        )

    def _take(self) -> Message | None:
        message = super().try_recv()
        if isinstance(message, bytes) and message[:1] in (b"\0", b"\1"):
            self._subscribed[message[1:]] += 1 if message[0] else -1
        return message

    def _events(self) -> int:
        return super()._events() | (POLLIN if self._unread else 0)

    def try_count(self, topic: bytes, count: int) -> bool | None:
        """Return True where so many subscriptions cover `topic`, or None for "not yet"."""
        with self.lock:
            while self.subscriptions(topic) < count:
                message = self._take()
                if message is None:
                    return None
                self._unread.append(message)
                self._tell()
            return True

    def _tell(self) -> None:
        if self._waiters:
            self._pass_on()
        if self.when_used is not None:
            self.when_used(self)

    def subscriptions(self, topic: bytes) -> int:
        """Return how many subscriptions are known that cover `topic`."""
        with self.lock:
            return sum(n for prefix, n in self._subscribed.items() if topic.startswith(prefix))

    def too_few(self, topic: bytes, count: int) -> str:
        """Return what was in vain."""
        return f"{self.subscriptions(topic)} of {count} subscriptions to {topic!r} on"
