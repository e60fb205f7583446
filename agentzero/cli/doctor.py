"""`agentzero doctor`: find out what keeps a connection from working."""

from __future__ import annotations

import re
import socket
from time import monotonic
from typing import Any, NamedTuple

import click
import zmq

from agentzero import SocketManager
from agentzero.cli.curve import Keys, curve_options
from agentzero.cli.options import timeout_option
from agentzero.cli.output import one_line, warn
from agentzero.cli.zmtp import Peer, Stranger, greeted
from agentzero.security import ClientKeys

__all__ = ["doctor"]

TCP = re.compile(r"(?:.*;)?(?P<host>\[[^\]]+\]|[^\[\]:;]+):(?P<port>\d{1,5})")
FOR_ALL = ("*", "0.0.0.0", "[::]")

LONGEST = 86400.0  # seconds; sockets know no longer time-out

# What a socket of each type talks to.
FITTING = {
    "REQ": "REP and ROUTER",
    "REP": "REQ and DEALER",
    "DEALER": "REP, ROUTER and DEALER",
    "ROUTER": "REQ, DEALER and ROUTER",
    "PUSH": "PULL",
    "PULL": "PUSH",
    "PUB": "SUB and XSUB",
    "XPUB": "SUB and XSUB",
    "SUB": "PUB and XPUB",
    "XSUB": "PUB and XPUB",
    "PAIR": "PAIR",
}

# Types that take no message which is meant for others, and what they talk to.
HARMLESS = {
    zmq.REQ: "REP or ROUTER",
    zmq.SUB: "PUB or XPUB",
    zmq.PUSH: "PULL",
    zmq.PUB: "SUB or XSUB",
}

LOCKED_OUT = "the server does not let this key in"
UNTRIED = (
    "Or it is a PUSH, REQ, DEALER or PAIR: they are not tried, as that might take their messages"
)


class Place(NamedTuple):
    """Where a stream leads: its family, its address there, and that in words."""

    family: int
    address: Any
    words: str


@click.command()
@click.argument("address")
@timeout_option("How long the other side may take.", default=5.0)
@curve_options
def doctor(address: str, timeout: float, curve: Keys | None) -> None:
    """Find out what answers at ADDRESS.

    It tells how far it comes: the address is resolved, connected, and greeted. The exit code is 1
    where it comes no further, and what to do is told then. No message is sent or taken. Of a socket
    with CURVE it can tell more when it is given keys that are let in.

    \b
    Example:
      agentzero doctor tcp://127.0.0.1:6000
    """
    keys, patience = _client(curve), min(timeout, LONGEST)
    place = _resolved(address)
    _say("leads to", place.words)
    with _connected(place, patience) as stream:
        _say("connects", "yes")
        peer = _greeted(stream, patience)
    _say("speaks", _protocol(peer))
    if keys is not None:
        _say("lets in", _let_in(address, peer, keys, patience))
    elif peer.kind:
        kind = one_line(peer.kind)
        _say("is", f"{kind}, which talks to {FITTING.get(kind, 'what is not known here')}")
    elif peer.mechanism == "CURVE":
        warn("Give --curve-server and --curve-key to see whether it lets you in.")


def _say(what: str, words: str) -> None:
    click.echo(f"{what:<9} {words}")


def _client(keys: Keys | None) -> ClientKeys | None:
    if keys is None or isinstance(keys, ClientKeys):
        return keys
    raise click.UsageError("this is a client: give it --curve-server, and not --curve-allow")


def _resolved(address: str) -> Place:
    transport, _, rest = address.partition("://")
    if transport == "ipc" and rest:
        return Place(socket.AF_UNIX, f"\0{rest[1:]}" if rest[0] == "@" else rest, address)
    found = TCP.fullmatch(rest)
    if transport != "tcp" or not found or int(found["port"]) > 65535:
        raise click.UsageError(f"{address!r} is neither tcp://host:port nor ipc://path")
    if found["host"] in FOR_ALL:
        raise click.UsageError(f"{address} is where to bind; to connect, name a host")
    return _looked_up(found["host"], int(found["port"]))


def _looked_up(host: str, port: int) -> Place:
    # Of names only IPv4 addresses, as for sockets.
    family = socket.AF_INET6 if host.startswith("[") else socket.AF_INET
    try:
        [first, *_] = socket.getaddrinfo(host.strip("[]"), port, family, socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise click.ClickException(
            f"the name {host} is not resolved ({_words(error)}): look at its spelling, and at DNS"
        ) from error
    return Place(family, first[4], str(first[4][0]))


def _connected(place: Place, timeout: float) -> socket.socket:
    stream = socket.socket(place.family)
    stream.settimeout(max(timeout, 0.001))
    try:
        stream.connect(place.address)
    except OSError as error:
        stream.close()
        raise click.ClickException(_why_not_connected(error, timeout)) from error
    return stream


def _why_not_connected(error: OSError, timeout: float) -> str:
    if isinstance(error, TimeoutError):
        return f"no connection in {timeout:g} s: perhaps a firewall drops what is sent there"
    if isinstance(error, ConnectionRefusedError | FileNotFoundError):
        return (
            "refused, as nobody listens there: is the other side running, and bound to this very "
            "address, or to one that can be reached from here?"
        )
    return f"not connected: {_words(error)}"


def _greeted(stream: socket.socket, timeout: float) -> Peer:
    try:
        return greeted(stream, timeout)
    except Stranger as error:
        raise click.ClickException(f"it is no ZeroMQ socket: {error}; is it the port?") from error
    except TimeoutError as error:
        raise click.ClickException(
            f"it took the connection, and did not greet in {timeout:g} s: it hangs, or it is no "
            "ZeroMQ socket; is it the port?"
        ) from error
    except OSError as error:
        raise click.ClickException(
            f"{_words(error)}: it is no ZeroMQ socket, or it ends just now"
        ) from error


def _words(error: Exception) -> str:
    return str(getattr(error, "strerror", None) or error)


def _protocol(peer: Peer) -> str:
    if not peer.mechanism:
        return f"ZMTP {peer.version}: of a ZeroMQ before version 4, which cannot encrypt"
    words = f"ZMTP {peer.version}, {one_line(peer.mechanism)}"
    if peer.mechanism == "NULL":
        return f"{words}: not encrypted, and open to all"
    return f"{words}: encrypted" if peer.mechanism == "CURVE" else words


def _let_in(address: str, peer: Peer, keys: ClientKeys, timeout: float) -> str:
    """Return in words which sockets are let in with these keys."""
    if peer.mechanism != "CURVE":
        raise click.ClickException(
            "one side uses CURVE, and the other does not: give keys to both, or to neither"
        )
    reasons, end = set(), monotonic() + timeout
    with SocketManager(backend="threads", linger=0) as sockets:
        for kind, fitting in HARMLESS.items():
            reason = _refused(sockets, kind, address, keys, max(0.0, end - monotonic()))
            if reason is None:
                return f"this key, to a {fitting}"
            reasons.add(reason)
    if LOCKED_OUT in reasons:  # a socket that does not fit never hears of that
        raise click.ClickException(f"{LOCKED_OUT}: have its public one allowed there")
    raise click.ClickException(f"{'; '.join(sorted(reasons))}. {UNTRIED}")


def _refused(
    sockets: SocketManager, kind: int, address: str, keys: ClientKeys, timeout: float
) -> str | None:
    """Return why a socket of that type is refused; None where it is not."""
    name = str(kind)
    sockets.ensure_and_connect(name, kind, address, curve=keys)
    for event in sockets.connection_events(name, timeout=timeout):
        return None if event.kind == "connected" else event.reason or event.kind
    return "it did not answer in time"
