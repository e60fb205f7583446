"""A channel's endpoints: addresses checked, resolved, bound, connected, and let go of."""

from __future__ import annotations

import re
from dataclasses import dataclass

import zmq

from agentzero.channel import Channel
from agentzero.errors import SocketBindError, SocketClosed, SocketConnectError
from agentzero.util import fix_zeromq_tcp_address

__all__ = ["Endpoint", "attach", "attached", "checked", "detach"]

TCP = re.compile(r"tcp://(?P<host>.+):(?P<port>\*|\d+)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Endpoint:
    """An address of a socket.

    Attributes:
        address: what ZeroMQ calls it; the actual port where a wildcard was bound.
        given: what the caller called it.
        bound: whether it was bound, or connected.
    """

    address: str
    given: str
    bound: bool

    def __str__(self) -> str:
        return f"{'bound' if self.bound else 'connected'} to {self.address}"


def checked(address: object) -> str:
    """Return `address` if it can be one; libzmq itself would take port 70000 for 4464.

    Raises:
        ValueError: it is not a str, has no transport, or no sensible port.

    >>> checked("tcp://localhost:6000")
    'tcp://localhost:6000'
    """
    if not isinstance(address, str) or "://" not in address or "\0" in address:
        raise ValueError("an address is a str with a transport, as in 'tcp://127.0.0.1:6000'")
    if address.startswith("tcp://"):
        _check_port(address)
    return address


def _check_port(address: str) -> None:
    found = TCP.fullmatch(address)
    if not found:
        raise ValueError("a tcp address is 'tcp://host:port'")
    if found["port"] != "*" and int(found["port"]) > 65535:
        raise ValueError(f"a port is at most 65535, not {found['port']}")


def attached(channel: Channel, address: str, *, bound: bool) -> bool:
    """Return whether `channel` has `address`, as given or as ZeroMQ calls it."""
    return bool(_found(channel, address, bound=bound))


def _found(channel: Channel, address: str | None, *, bound: bool) -> list[Endpoint]:
    return [
        endpoint
        for endpoint in channel.endpoints
        if endpoint.bound == bound and address in (None, endpoint.given, endpoint.address)
    ]


def attach(channel: Channel, address: str, *, bound: bool) -> Endpoint:
    """Bind or connect `channel` to `address`.

    A host name to bind is resolved here. One to connect is left to libzmq, which resolves it in the
    background, anew at each reconnection; it takes IPv4 addresses of names, and literal IPv6 ones.

    Raises:
        SocketBindError, SocketConnectError: with socket, address and cause.
        SocketClosed: the socket is closed.
    """
    try:
        real = fix_zeromq_tcp_address(checked(address)) if bound else checked(address)
        with channel.using() as socket:
            socket.set(zmq.IPV6, real.startswith("tcp://["))
            (socket.bind if bound else socket.connect)(real)
            if bound:
                real = socket.get(zmq.LAST_ENDPOINT).decode()
            endpoint = Endpoint(real, address, bound)
            channel.endpoints.append(endpoint)
    except (zmq.ZMQError, ValueError, OSError) as error:
        raise _failed(channel, "bind" if bound else "connect", address, error) from error
    return endpoint


def detach(channel: Channel, address: str | None, *, bound: bool) -> None:
    """Let go of one endpoint, or of all of them where `address` is None.

    Raises:
        SocketBindError, SocketConnectError: the socket has no such endpoint.
        SocketClosed: the socket is closed.
    """
    doing = "unbind" if bound else "disconnect"
    try:
        with channel.using() as socket:
            leaving = _found(channel, address, bound=bound)
            if address is not None and not leaving:
                raise ValueError("it has no such endpoint")
            for endpoint in leaving:
                (socket.unbind if bound else socket.disconnect)(endpoint.address)
                channel.endpoints.remove(endpoint)
    except (zmq.ZMQError, ValueError) as error:
        raise _failed(channel, doing, address, error) from error


def _failed(channel: Channel, doing: str, address: str | None, error: Exception) -> Exception:
    if isinstance(error, zmq.ZMQError) and channel.gone(error):
        return SocketClosed(f"{channel} was closed")
    cause = error.strerror if isinstance(error, OSError | zmq.ZMQError) else error
    error_class = SocketBindError if doing.endswith("bind") else SocketConnectError
    return error_class(f"cannot {doing} {channel}, address {address!r}: {cause}")
