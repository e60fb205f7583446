"""A channel's endpoints: addresses checked, resolved, bound, connected, and let go of."""

from __future__ import annotations

import re
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

import zmq

from agentzero.backends.native import native
from agentzero.channel import Channel
from agentzero.errors import SocketBindError, SocketClosed, SocketConnectError
from agentzero.util import fix_zeromq_tcp_address

__all__ = ["Endpoint", "attach", "attached", "checked", "detach", "reconnect", "redial", "resolved"]

# How often an address is tried that is in use, and the seconds between two tries.
TRIES, PAUSE = 21, 0.005

TCP = re.compile(r"tcp://(?P<host>.+):(?P<port>\*|\d+)", re.DOTALL)

# Over all others libzmq would send in plain, without a word. Over inproc it does as well, but that
# does not leave the process.
PROTECTED = ("tcp", "ipc", "tipc", "inproc")


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
        return f"{'bound' if self.bound else 'connects'} to {self.address}"


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


def resolved(socket: object, address: str, *, bound: bool) -> Endpoint:
    """Return the endpoint that `address` means; to bind, it waits for DNS.

    A host name to connect to is left to libzmq, which resolves it in the background, anew at each
    reconnection; it takes IPv4 addresses of names, and literal IPv6 ones.

    Raises:
        SocketBindError, SocketConnectError: it is no address; the text names `socket`.
    """
    try:
        real = checked(address)
        if not bound and real.startswith("tcp://") and real.endswith(":0"):
            raise ValueError("nobody can be bound to port 0")
        return Endpoint(fix_zeromq_tcp_address(real) if bound else real, address, bound)
    except (ValueError, OSError) as error:
        raise _failed("bind" if bound else "connect", socket, address, error) from error


def attached(channel: Channel, endpoint: Endpoint) -> bool:
    """Return whether `channel` has that endpoint already."""
    return bool(_found(channel, endpoint.given, bound=endpoint.bound))


def _found(channel: Channel, address: str | None, *, bound: bool) -> list[Endpoint]:
    return [
        endpoint
        for endpoint in channel.endpoints
        if endpoint.bound == bound and address in (None, endpoint.given, endpoint.address)
    ]


def attach(channel: Channel, endpoint: Endpoint) -> Endpoint:
    """Bind or connect `channel` to a resolved endpoint; return it with its actual port.

    Raises:
        SocketBindError, SocketConnectError: with socket, address and cause.
        SocketClosed: the socket is closed.
    """
    try:
        _check_protected(channel, endpoint)
        with channel.using() as socket, channel.unheard():
            if endpoint.bound:
                socket.set(zmq.IPV6, endpoint.address.startswith("tcp://["))
                _bind(socket, endpoint.address)
                actual = socket.get(zmq.LAST_ENDPOINT).decode()
                endpoint = replace(endpoint, address=actual)
            else:
                _connect(socket, endpoint)
            channel.endpoints.append(endpoint)
            return endpoint
    except (zmq.ZMQError, ValueError) as error:
        doing = "bind" if endpoint.bound else "connect"
        raise _failed(doing, channel, endpoint.given, error) from error


def _bind(socket: Any, address: str) -> None:
    """Bind; an address that was just left is free once libzmq's own threads have come by."""
    for tries_left in reversed(range(TRIES)):
        try:
            socket.bind(address)
            return
        except zmq.ZMQError as error:
            if error.errno != zmq.EADDRINUSE or not tries_left:
                raise
        native("time", "sleep")(PAUSE)


def _check_protected(channel: Channel, endpoint: Endpoint) -> None:
    transport = endpoint.address.partition("://")[0]
    if channel.curve is not None and transport not in PROTECTED:
        raise ValueError(f"CURVE does not protect {transport}, and the socket was given keys")


def detach(channel: Channel, address: str | None, *, bound: bool) -> None:
    """Let go of one address, or of all of them where `address` is None.

    Raises:
        SocketBindError, SocketConnectError: the socket has no such endpoint.
        SocketClosed: the socket is closed.
    """
    try:
        with channel.using() as socket:
            leaving = _found(channel, address, bound=bound)
            if address is not None and not leaving:
                raise ValueError("it has no such endpoint")
            # Connected twice, ZeroMQ lets go of both at once.
            for gone in {endpoint.address for endpoint in leaving}:
                (socket.unbind if bound else socket.disconnect)(gone)
                channel.forget_connections([gone])
            channel.endpoints[:] = [kept for kept in channel.endpoints if kept not in leaving]
    except (zmq.ZMQError, ValueError) as error:
        raise _failed("unbind" if bound else "disconnect", channel, address, error) from error


def redial(channel: Channel, address: str) -> bool:
    """Make a connection anew that libzmq has given up; return False where that is not for now."""
    with suppress(SocketClosed, zmq.ZMQError), channel.using() as socket:
        wanted = [e for e in channel.endpoints if e.address == address and not e.bound]
        if wanted and not channel.is_ours:
            return False
        if wanted and socket.get(zmq.RECONNECT_IVL) >= 0:
            reconnect(socket, wanted)
    return True


def reconnect(socket: Any, endpoints: Sequence[Endpoint]) -> None:
    """Make connections anew; interrupted, it can be repeated."""
    for address in {endpoint.address for endpoint in endpoints}:
        with suppress(zmq.ZMQError):  # there is none, or libzmq knows it no more
            socket.disconnect(address)
    for endpoint in endpoints:
        _connect(socket, endpoint)


def _connect(socket: Any, endpoint: Endpoint) -> None:
    socket.set(zmq.IPV6, endpoint.address.startswith("tcp://["))
    socket.connect(endpoint.address)


def _failed(doing: str, socket: object, address: str | None, error: Exception) -> Exception:
    if isinstance(error, zmq.ZMQError) and Channel.gone(error):
        return SocketClosed(f"{socket} was closed")
    # Not its own text, where pyzmq repeats the address.
    cause = zmq.strerror(error.errno or 0) if isinstance(error, zmq.ZMQError) else error
    error_class = SocketBindError if doing.endswith("bind") else SocketConnectError
    return error_class(f"cannot {doing} {socket}, address {address!r}: {cause}")
