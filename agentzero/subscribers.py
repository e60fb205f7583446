"""Who is subscribed to what, as far as an XPUB is told."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable
from typing import Any

import zmq

from agentzero.channel import POLLIN, Channel, Message, as_bytes

__all__ = ["NEWS", "XpubChannel"]

# What whoever counts waits for: messages that ZeroMQ has, and not those that were only counted.
NEWS = 1 << 8

# How many are kept for whoever asks for messages, should nobody ever do.
UNREAD = 10_000


class XpubChannel(Channel):
    """An XPUB, which keeps account of the subscriptions that it receives."""

    __slots__ = ("_subscribed", "_unread")

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self._subscribed: Counter[bytes] = Counter()
        # Received for the account, and still to be received by whoever asks for messages.
        self._unread: deque[Message] = deque(maxlen=UNREAD)

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
            self._account(message[1:], 1 if message[0] else -1)
        return message

    def _account(self, topic: bytes, change: int) -> None:
        # Anybody may cancel what he never subscribed to.
        self._subscribed[topic] = max(0, self._subscribed[topic] + change)
        if not self._subscribed[topic]:
            del self._subscribed[topic]
        for waiter in self._waiters:
            waiter.wake()

    def _events(self) -> int:
        events = super()._events()
        return events | (NEWS if events & POLLIN else 0) | (POLLIN if self._unread else 0)

    def try_count(self, topic: bytes, count: int) -> bool | None:
        """Return True where so many subscriptions cover `topic`, or None for "not yet"."""
        with self.lock:
            self._quiet = False  # whatever was not there a moment ago
            while (message := self._take()) is not None:  # the last may be that somebody has gone
                self._unread.append(message)
                self._tell()
            return self.subscriptions(topic) >= count or None

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
        text = topic.decode(errors="backslashreplace")
        return f"{self.subscriptions(topic)} of {count} subscriptions to {text!r} on"
