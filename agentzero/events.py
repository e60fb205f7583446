"""What the verbs hand out: events, envelopes, counters."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, NamedTuple

if TYPE_CHECKING:
    from typing_extensions import TypeVar

    T_co = TypeVar("T_co", covariant=True, default=Any)
else:
    from typing import TypeVar

    T_co = TypeVar("T_co", covariant=True)

__all__ = ["ConnectionEvent", "Envelope", "Event", "Identity", "SocketStats"]


class Event(NamedTuple, Generic[T_co]):
    """One published message; to type checkers an `Event[T]`, where it was asked for with `type=T`.

    Attributes:
        topic: what it was published under.
        data: what was published, deserialized.

    >>> topic, data = Event("logs", {"msg": "hello"})
    >>> topic, data
    ('logs', {'msg': 'hello'})
    """

    topic: str
    data: T_co


class Identity(bytes):
    """Who sent a message to a ROUTER, and the way an answer has to take.

    It equals the plain bytes of the peer's identity. `route` holds the frames that stood between
    identity and payload (a REQ peer's empty delimiter, a request's id): `send_to` puts them back,
    so that an answer reaches whoever asked, and how they asked.

    >>> Identity(b"worker-1") == b"worker-1"
    True
    """

    route: tuple[bytes, ...]

    def __new__(cls, identity: bytes, route: tuple[bytes, ...] = ()) -> Identity:
        """Make the identity of a peer, with the frames between it and the payload."""
        self = super().__new__(cls, identity)
        self.route = route
        return self


class Envelope(NamedTuple, Generic[T_co]):
    """One message with its sender, as a ROUTER receives it; an `Envelope[T]` with `type=T`.

    Attributes:
        identity: the peer; give it to `send_to` to answer.
        data: what the peer sent, deserialized.

    >>> Envelope(Identity(b"worker-1"), "ready").data
    'ready'
    """

    identity: Identity
    data: T_co


class ConnectionEvent(NamedTuple):
    """Something that happened to a connection of a socket.

    Attributes:
        kind: "connected" (and ready for messages), "disconnected", "refused" (nobody listens
            there, or it cannot be reached; it is tried again) or "handshake failed".
        endpoint: the address that the socket is connected or bound to.
        reason: why, as far as that is known, else "".

    >>> ConnectionEvent("refused", "tcp://127.0.0.1:6000").kind
    'refused'
    """

    kind: str
    endpoint: str
    reason: str = ""


@dataclass(frozen=True, slots=True)
class SocketStats:
    """What one socket, or a whole manager, did so far.

    Attributes:
        sent: messages handed to ZeroMQ.
        sent_bytes: their payload in bytes, all frames.
        received: messages taken from ZeroMQ.
        received_bytes: their payload in bytes, all frames.
        timeouts: verbs that waited their whole time in vain.
        undecodable: messages that could not be read.
        late: replies that came after their request had given up.
        dropped: messages that were not queued because nothing may wait, such as log records.

    >>> (SocketStats(sent=1, sent_bytes=20) + SocketStats(sent=2, sent_bytes=5)).sent_bytes
    25
    """

    sent: int = 0
    sent_bytes: int = 0
    received: int = 0
    received_bytes: int = 0
    timeouts: int = 0
    undecodable: int = 0
    late: int = 0
    dropped: int = 0

    def __add__(self, other: SocketStats) -> SocketStats:
        return SocketStats(*(getattr(self, name) + getattr(other, name) for name in self.__slots__))
