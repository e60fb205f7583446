"""Peers of a manager's socket: good ones, and strangers who speak no ZMTP, or only half of it."""

from __future__ import annotations

import random
import socket
import struct
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import zmq

from agentzero import Envelope, Event, SocketManager
from agentzero.errors import DeserializationError, SocketTimeout

GOOD = {"next": "good one"}
GOOD_JSON = b'{"next": "good one"}'
LONG = 10.0

PEERS = {
    zmq.PULL: zmq.PUSH,
    zmq.PUSH: zmq.PULL,
    zmq.SUB: zmq.XPUB,
    zmq.XSUB: zmq.XPUB,
    zmq.PUB: zmq.SUB,
    zmq.XPUB: zmq.SUB,
    zmq.REP: zmq.REQ,
    zmq.REQ: zmq.REP,
    zmq.ROUTER: zmq.DEALER,
    zmq.DEALER: zmq.DEALER,
    zmq.PAIR: zmq.PAIR,
}


# Good peers


def listening(sockets: SocketManager, kind: int, **options: Any) -> str:
    """Bind the socket "in" to a port of the loopback; return its address."""
    sockets.create("in", kind, **options)
    if kind == zmq.SUB:
        sockets.set_topic("in", "")
    return sockets.bind_to_random_port("in", zmq.POLLIN, "tcp://127.0.0.1")[1]


class Peers:
    """Bare pyzmq sockets, kept until the test is over."""

    def __init__(self) -> None:
        self.context: zmq.Context[Any] = zmq.Context()
        self.sockets: list[zmq.Socket[bytes]] = []

    def __enter__(self) -> Peers:
        return self

    def __exit__(self, *error: object) -> None:
        self.context.destroy(linger=0)

    def connect(self, kind: int, address: str) -> zmq.Socket[bytes]:
        """Return a connected socket."""
        peer: zmq.Socket[bytes] = self.context.socket(kind)
        self.sockets.append(peer)
        peer.sndtimeo = peer.rcvtimeo = int(LONG * 1000)
        peer.connect(address)
        return peer

    def connect_to(self, sockets: SocketManager) -> zmq.Socket[bytes]:
        """Return a peer of the socket "in"; a publisher knows already that somebody listens."""
        kind = zmq.SocketType(sockets.get_by_name("in").type)
        peer = self.connect(PEERS[kind], sockets.endpoints("in")[0])
        while kind in (zmq.SUB, zmq.XSUB) and not peer.poll(10):
            sockets.engage(0)  # a bound subscriber greets who has come when it is used
        return peer


def newcomer(sockets: SocketManager, kind: int, peers: Peers) -> zmq.Socket[bytes]:
    """Return a peer of the socket "in", to which strangers were connected just before.

    libzmq turns away whoever comes to a PAIR that has not noticed yet that its last peer is gone,
    or has not read all that this one said.
    """
    peer = peers.connect_to(sockets)
    while kind == zmq.PAIR and not (sockets.send_safe("in", 1, timeout=1) and peer.poll(1000)):
        peer.close(0)
        with suppress(SocketTimeout):
            while True:
                sockets.recv_multipart("in", timeout=0)
        peer = peers.connect_to(sockets)
    return peer


def reader(sockets: SocketManager, verb: str) -> Callable[..., Any]:
    """Return what calls the verb and gives the data of what it returns."""

    def read(wanted: Any = None) -> Any:
        received = getattr(sockets, verb.split()[0])("in", timeout=LONG, type=wanted)
        return received.data if isinstance(received, Event | Envelope) else received

    return read


def exchange(sockets: SocketManager, kind: int, peer: zmq.Socket[bytes]) -> None:
    """Assert that a message goes each way that the socket has."""
    if kind in (zmq.PUB, zmq.XPUB):
        until_it_comes(lambda: sockets.publish("in", "top", GOOD), peer)
    elif kind in (zmq.PUSH, zmq.REQ):
        sockets.send("in", GOOD)
        assert b"good one" in peer.recv()
    else:
        peer.send_multipart([b"top", GOOD_JSON] if kind in (zmq.SUB, zmq.XSUB) else [GOOD_JSON])
        verb = {zmq.SUB: "recv_event", zmq.XSUB: "recv_event", zmq.ROUTER: "recv_from"}
        assert first_good(reader(sockets, verb.get(zmq.SocketType(kind), "recv"))) == GOOD


def first_good(read: Callable[[], Any]) -> Any:
    """Read on after what strangers sent, where that was a message."""
    while True:
        with suppress(DeserializationError):
            return read()


def until_it_comes(publish: Callable[[], object], peer: zmq.Socket[bytes]) -> None:
    """Publish until the subscription has arrived and with it the event."""
    until = time.monotonic() + LONG
    while not peer.poll(20):
        assert time.monotonic() < until
        publish()
    assert peer.recv_multipart() == [b"top", b'{"next":"good one"}']


# Strangers

GREETING = b"\xff" + bytes(8) + b"\x7f\x03\x00" + b"NULL".ljust(20, b"\0") + bytes(32)
HUGE = 2**62


def long_frame(flags: int, size: int) -> bytes:
    return struct.pack(">BQ", flags, size)


def ready(kind: int) -> bytes:
    """The handshake of a peer of that type."""
    name = zmq.SocketType(kind).name.encode()
    body = b"\x05READY\x0bSocket-Type" + struct.pack(">I", len(name)) + name
    return b"\x04" + bytes([len(body)]) + body


def noise(size: int, seed: int) -> bytes:
    return random.Random(seed).randbytes(size)


def command(name: bytes, body: bytes = b"") -> bytes:
    said = bytes([len(name)]) + name + body
    return struct.pack(">BQ", 6, len(said)) + said


def unshaken(kind: int) -> dict[str, bytes]:
    """What nobody may say whose handshake with a socket of that type succeeds."""
    whole = GREETING + ready(PEERS[kind])
    halves = {f"{length} bytes": whole[:length] for length in range(len(whole))}
    return halves | {
        "an unknown mechanism": GREETING.replace(b"NULL", b"EVIL"),
        "PLAIN": GREETING.replace(b"NULL\0", b"PLAIN") + command(b"HELLO", b"\1a\1b"),
        "CURVE": GREETING.replace(b"NULL\0", b"CURVE") + command(b"HELLO", bytes(194)),
        "no server, but a server": GREETING[:32] + b"\1" + GREETING[33:] + noise(100, 5),
        "noise": GREETING + b"\x80" + noise(10_000, 3),
        "a huge command": GREETING + long_frame(6, HUGE),
        "a huge message": GREETING + long_frame(2, HUGE),
        "a negative length": GREETING + long_frame(6, 2**64 - 1),
        "a type that does not exist": GREETING + ready(PEERS[kind]).replace(b"\x0b", b"\x0c"),
        "a type that does not suit": GREETING + ready(STRANGE[kind]),
        "a property longer than all": GREETING + command(b"READY", b"\xffSocket-Type"),
        "an error": GREETING + command(b"ERROR", b"\4evil"),
        "an error longer than all": GREETING + command(b"ERROR", b"\xffevil"),
        "a PING too early": GREETING + command(b"PING", b"\0\1"),
    }


# Nobody talks to these.
STRANGE = {kind: zmq.PUSH if kind == zmq.PUSH else zmq.SUB for kind in PEERS} | {
    zmq.PUB: zmq.REQ,
    zmq.XPUB: zmq.REQ,
}


def shaken(kind: int) -> dict[str, bytes]:
    """What somebody may say who has begun as a peer of a socket of that type does."""
    after = {
        "a huge message": long_frame(2, HUGE),
        "the longest message": long_frame(2, 2**63 - 1),
        "a negative length": long_frame(2, 2**64 - 1),
        "a huge command": long_frame(6, HUGE),
        "noise": b"\x80" + noise(10_000, 4),
        "a PING without its time": command(b"PING"),
        "half a PING": command(b"PING", b"\0"),
        "a PING with too much": command(b"PING", b"\0\1" + bytes(1000)),
        "a PONG that nobody asked for": command(b"PONG", bytes(1000)),
        "a subscription to nothing": command(b"SUBSCRIBE"),
        "a subscription to noise": command(b"SUBSCRIBE", noise(1000, 6)),
        "the end of no subscription": command(b"CANCEL", noise(1000, 7)),
        "a message that ends no subscription": b"\0\4\0abc",
        "an unknown command": command(b"EVIL", noise(1000, 8)),
        "a command without a name": b"\4\0",
        "a name longer than its command": b"\4\2\xffa",
        "a command with more to come": b"\5\5\4PING",
        "another handshake": ready(PEERS[kind]),
        "an error": command(b"ERROR", b"\xffevil"),
        "flags that do not exist": b"\xf8\1a",
        "a message without its end": b"\1\1a",
    }
    whole = {
        "a handshake without a type": GREETING + command(b"READY"),
        "a handshake that lies": GREETING + command(b"READY", b"\x0bSocket-Type" + b"\xff" * 4),
        "version 1": b"\1\0" + noise(100, 9),
        "version 1 with a name": b"\6\0alice\2\0a",
        "version 1 with a huge name": b"\xff" + HUGE.to_bytes(8) + b"\0" + noise(100, 10),
        "version 2": b"\xff" + bytes(8) + b"\x7f\1\5\0\0" + noise(100, 2),
    }
    begun = {f"a handshake, then {name}": said for name, said in after.items()}
    return whole | {name: GREETING + ready(PEERS[kind]) + said for name, said in begun.items()}


def garbage(kind: int) -> dict[str, bytes]:
    """What a stranger may send to a socket of that type."""
    anything = {
        "a web browser": b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n",
        "only noise": noise(10_000, 1),
        "zeros": bytes(10_000),
        "all bits": b"\xff" * 10_000,
    }
    return anything | unshaken(kind) | shaken(kind)


def stranger(address: str, said: bytes) -> socket.socket:
    """Connect with plain TCP and say something."""
    host, port = address.removeprefix("tcp://").split(":")
    connection = socket.create_connection((host, int(port)), LONG)
    with suppress(ConnectionError):  # thrown out already
        connection.sendall(said)
    return connection


def reset(connection: socket.socket) -> None:
    """Close it with an RST, as a peer does that crashed."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


def thrown_out(connection: socket.socket) -> bool:
    """Wait until the other side has ended the connection."""
    connection.settimeout(LONG)
    try:
        with suppress(ConnectionError):
            while connection.recv(4096):
                pass
    except TimeoutError:
        return False
    return True
