"""What the connections of a socket last did: libzmq's monitor events, understood and put in words.

Nothing in here touches a socket.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from time import monotonic

import zmq

from agentzero.endpoints import Endpoint
from agentzero.events import ConnectionEvent

__all__ = ["WATCHED", "Connections"]

Event = zmq.Event

FAILURES = (
    Event.HANDSHAKE_FAILED_NO_DETAIL | Event.HANDSHAKE_FAILED_PROTOCOL | Event.HANDSHAKE_FAILED_AUTH
)
OPENED = (Event.CONNECTED, Event.ACCEPTED)
WATCHED = int(
    FAILURES
    | Event.HANDSHAKE_SUCCEEDED
    | Event.CONNECTED
    | Event.ACCEPTED
    | Event.DISCONNECTED
    | Event.CLOSED
    | Event.CONNECT_RETRIED
    | Event.ACCEPT_FAILED
    | Event.MONITOR_STOPPED
)
"""The events that `Connections.note` wants to hear of."""

# What libzmq does not redial by itself is dialled anew after so many seconds.
REDIAL = 1.0

PROTOCOL_ERRORS: dict[int, str] = {
    Event.PROTOCOL_ERROR_ZMTP_MECHANISM_MISMATCH: "one side uses CURVE, and the other does not",
    Event.PROTOCOL_ERROR_ZMTP_CRYPTOGRAPHIC: "the client was given the key of another server",
}
# libzmq ends such connections without saying that the handshake failed.
UNFIT = "the socket types of the two sides do not fit, or one side is not ZeroMQ"

# Who closes a connection amid the handshake does not say why.
ENDED = "the other side ended it"
WRONG_KEY = "its key is not the server key given here, or it uses no CURVE"
NOT_PLAIN = "it may use CURVE, or be no ZeroMQ socket"


@dataclass(slots=True)
class Link:
    """What the connections of one address did.

    Attributes:
        last: the kind of the last event, or "".
        reason: its reason.
        peers: how many connections are up.
        bound: whether they are accepted, and not made.
        went: whether there was one that has gone, and none since.
        failing: whether a handshake failed, and its connection is still to be closed.
        opening: the fds of connections of which no handshake is known.
        unknown: how many of those are peers all the same.
        closed: whether an attempt to connect was given up, and is still to be repeated.
        lost: when its connection was lost; None once libzmq dials again.
    """

    last: str = ""
    reason: str = ""
    peers: int = 0
    bound: bool = False
    went: bool = False
    failing: bool = False
    opening: set[int] = field(default_factory=set)
    unknown: int = 0
    closed: bool = False
    lost: float | None = None


class Connections:
    """The connections of one socket.

    Args:
        endpoints: the socket's, as they are at any time; none where any address will do.
        handshakes: whether its peers shake hands, as all do but those of a STREAM.
        secret: whether it is a CURVE client, whom a server does not tell what is wrong.
    """

    def __init__(
        self,
        endpoints: Sequence[Endpoint] | None = None,
        *,
        handshakes: bool = True,
        secret: bool = False,
    ) -> None:
        self._endpoints = endpoints
        self._ready = (Event.HANDSHAKE_SUCCEEDED,) if handshakes else OPENED
        self._hint = WRONG_KEY if secret else NOT_PLAIN
        self._links: dict[str, Link] = {}

    def note(self, event: int, value: int, address: str) -> ConnectionEvent | None:
        """Take note of an event of libzmq's; return what it means, unless that is nothing new.

        >>> Connections().note(zmq.Event.HANDSHAKE_SUCCEEDED, 0, "tcp://127.0.0.1:6000")
        ConnectionEvent(kind='connected', endpoint='tcp://127.0.0.1:6000', reason='')
        """
        address = self._given(address)
        link = self._links.setdefault(address, Link()) if self._is_wanted(address) else Link()
        happened = self._understand(link, event, value)
        if happened is None:
            return None
        link.last, link.reason = happened
        return ConnectionEvent(link.last, address, link.reason)

    def _given(self, address: str) -> str:
        """Return the endpoint that libzmq means.

        It calls a host name by what that was last resolved to, and a wildcard by what was asked.
        """
        known = {endpoint.address for endpoint in self._endpoints or ()}
        alike = {other for other in known if _port(other) == _port(address)}
        return address if address in known or len(alike) != 1 else alike.pop()

    def _is_wanted(self, address: str) -> bool:
        known = self._endpoints
        return known is None or any(endpoint.address == address for endpoint in known)

    def _understand(self, link: Link, event: int, value: int) -> tuple[str, str] | None:
        if event == Event.ACCEPTED:
            link.bound = True
        if event in self._ready:
            return self._connected(link)
        if event in OPENED:
            link.opening.add(value)
        if event & FAILURES:
            link.failing = True
            return "handshake failed", self._failure(link, event, value)
        if event == Event.DISCONNECTED:
            return self._disconnected(link, value)
        if event == Event.CONNECT_RETRIED:
            return self._retried(link)
        if event == Event.CLOSED:
            link.closed = True
        if event == Event.ACCEPT_FAILED:
            return "refused", f"no connection can be accepted: {os.strerror(value)}"
        return None

    @staticmethod
    def _connected(link: Link) -> tuple[str, str]:
        if len(link.opening) == 1:
            link.opening.clear()
        elif link.opening:
            link.unknown += 1  # nobody says which of them it is
        link.peers, link.went, link.lost = link.peers + 1, False, None
        return "connected", ""

    def _failure(self, link: Link, event: int, value: int) -> str:
        if event == Event.HANDSHAKE_FAILED_AUTH:
            return "the server does not let this key in"
        if event == Event.HANDSHAKE_FAILED_PROTOCOL:
            return PROTOCOL_ERRORS.get(value, "the other side breaks the protocol")
        return ENDED if link.bound else f"{ENDED}: {self._hint}"

    @staticmethod
    def _disconnected(link: Link, fd: int) -> tuple[str, str] | None:
        link.lost = None if link.bound else monotonic()
        opening = len(link.opening) if fd in link.opening else 0
        link.opening.discard(fd)
        if link.failing:
            link.failing = False
            return None
        if opening > link.unknown:  # it was none of the peers, or nobody knows
            return None if link.unknown else ("handshake failed", UNFIT)
        link.unknown -= bool(opening)
        link.peers = max(0, link.peers - 1)
        link.went = not link.peers
        return "disconnected", ""

    @staticmethod
    def _retried(link: Link) -> tuple[str, str] | None:
        # Of a connection that was lost, this is only the announcement of an attempt.
        announced, link.lost = link.lost is not None, None
        tried, link.closed = link.closed, False
        if announced:
            return None
        return "refused", "" if tried else "the name is not resolved, or no route leads there"

    def lost(self) -> dict[str, float]:
        """Return the addresses whose connection was lost, each with when to dial it anew.

        libzmq does not where the other side broke the protocol: with keys that do not fit, or with
        more than `max_message_size`. Where it does, it says so at once.
        """
        return {at: link.lost + REDIAL for at, link in self._links.items() if link.lost}

    def dialled(self, address: str, really: bool = True) -> None:
        """Hear that an address was dialled anew, or that it is to be tried again later."""
        if address in self._links:
            self._links[address].lost = None if really else monotonic()

    def forget(self, address: str, *, anew: bool = False) -> None:
        """Begin anew with an address that was let go of.

        Where only its connections are made `anew`, what happened to it before is still told.
        """
        past = self._links.pop(address, None)
        if anew and past is not None:
            self._links[address] = Link(past.last, past.reason, went=past.went)

    def told(self, endpoints: Iterable[Endpoint]) -> str:
        """Return in words what the connections of `endpoints` last did.

        >>> connections = Connections()
        >>> here = Endpoint("tcp://127.0.0.1:6000", "tcp://localhost:6000", bound=False)
        >>> connections.told([here])
        'not connected yet'
        """
        words = {
            e.address: self._words(self._links.get(e.address, Link()), bound=e.bound)
            for e in endpoints
            if not e.address.startswith("inproc:")
        }
        if len(words) == 1:
            return next(iter(words.values()))
        return ", ".join(f"{address} {state}" for address, state in words.items())

    @staticmethod
    def _words(link: Link, *, bound: bool) -> str:
        what = f"{link.last} ({link.reason})" if link.reason else link.last
        if bound:
            return _words_of_bound(link, what)
        if link.went and link.last != "disconnected":
            return f"disconnected, then {what}"
        return what or "not connected yet"


def _port(address: str) -> str:
    return address.rpartition(":")[2] if address.startswith("tcp://") else address


def _words_of_bound(link: Link, what: str) -> str:
    if not link.last:
        return "no peer has connected yet"
    peers = "1 peer connected" if link.peers == 1 else f"{link.peers} peers connected"
    return peers if link.last == "connected" else f"{peers}, last: {what}"
