"""Managers' sockets with keys and without, which meet, converse, or are refused."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from typing import Any

import zmq

from agentzero.errors import AgentZeroSocketError, SocketTimeout
from agentzero.security import ClientKeys, generate_keys

TCP = "tcp://127.0.0.1:*"

SERVER, ALICE, BOB, OTHER = (generate_keys() for _ in range(4))

LISTED = ClientKeys(ALICE, SERVER.public)
STRANGERS = {
    "plain": None,
    "astray": ClientKeys(ALICE, OTHER.public),
    "unlisted": ClientKeys(BOB, SERVER.public),
}

CLIENTS = {**STRANGERS, "listed": LISTED}

# Each a server and a client.
PAIRS = [
    (zmq.PULL, zmq.PUSH),
    (zmq.PUSH, zmq.PULL),
    (zmq.SUB, zmq.PUB),
    (zmq.PUB, zmq.SUB),
    (zmq.SUB, zmq.XPUB),
    (zmq.XPUB, zmq.SUB),
    (zmq.REP, zmq.REQ),
    (zmq.ROUTER, zmq.REQ),
    (zmq.ROUTER, zmq.DEALER),
    (zmq.DEALER, zmq.ROUTER),
    (zmq.DEALER, zmq.DEALER),
    (zmq.PAIR, zmq.PAIR),
]
PUBLISHERS = (zmq.PUB, zmq.XPUB)
BEGIN = (zmq.PUSH, zmq.REQ, zmq.DEALER, zmq.PAIR, *PUBLISHERS)
DEAF = (zmq.PUSH, zmq.PUB)
MUTE = (zmq.PULL, zmq.SUB)

MISMATCH = "one side uses CURVE, and the other does not"
ENDED = "the other side ended it"
ANOTHERS_KEY = "the client was given the key of another server"
REFUSED = "the server does not let this key in"

# How the reasons may begin that server and client are told. Where one speaks CURVE and the other
# does not, the one that finds out first ends it.
REASONS = {
    "plain": ((MISMATCH, ENDED), (MISMATCH, ENDED)),
    "astray": ((ANOTHERS_KEY,), (ENDED,)),
    "unlisted": ((REFUSED,), (REFUSED,)),
}


class End:
    """A socket of a manager."""

    def __init__(self, sockets: Any, name: str, kind: int, curve: Any) -> None:
        sockets.create(name, kind, curve=curve)
        self.sockets, self.name, self.kind = sockets, name, kind
        if kind == zmq.SUB:
            sockets.set_topic(name, "")

    def send(self, *frames: bytes, timeout: float = 20) -> None:
        self.sockets.send_multipart(self.name, list(frames), timeout=timeout)

    def recv(self, timeout: float = 20) -> Any:
        return self.sockets.recv_multipart(self.name, timeout=timeout)

    def tries(self) -> None:
        """Begin to speak, if it can."""
        with suppress(SocketTimeout):
            for _ in range(3 if self.kind in BEGIN else 0):
                self.send(b"let me in", timeout=0)
                if self.kind == zmq.REQ:
                    return

    def heard(self) -> list[bytes]:
        """The last frame of each message that it has received by now."""
        got: list[bytes] = []
        with suppress(AgentZeroSocketError):  # nothing is there, or a REQ could not even ask
            while self.kind not in DEAF:
                got.append(self.recv(timeout=0)[-1])
        return got

    def failures(self) -> Iterable[str]:
        """Why handshakes failed, from the first on."""
        events = self.sockets.connection_events(self.name, timeout=20)
        return (event.reason for event in events if event.kind == "handshake failed")

    def connected(self) -> bool:
        """Wait until it is."""
        events = self.sockets.connection_events(self.name, timeout=20)
        return any(event.kind == "connected" for event in events)


def meet(server: End, client: End, bound: str = "server", address: str = TCP) -> None:
    """Connect one to the other, whichever is to be the one that is bound."""
    one, other = (server, client) if bound == "server" else (client, server)
    if not one.sockets.endpoints(one.name):
        one.sockets.bind(one.name, address)
    other.sockets.connect(other.name, one.sockets.endpoints(one.name)[0])


def tell(speaker: End, listener: End, *frames: bytes) -> list[bytes]:
    """Send a message; return its frames as they arrive."""
    speaker.send(*frames)
    while True:
        try:
            return list(listener.recv(0.02))
        except SocketTimeout:
            if speaker.kind in PUBLISHERS:  # a subscription may have been on its way
                speaker.send(*frames)


def converse(one: End, other: End) -> None:
    """Have each say something to the other, as far as they can."""
    speaker, listener = (one, other) if one.kind in BEGIN else (other, one)
    *route, text = tell(speaker, listener, b"hello")
    assert text == b"hello"
    if speaker.kind not in DEAF and listener.kind not in MUTE:
        assert tell(listener, speaker, *route, b"world")[-1] == b"world"


def ask(server: End, client: End, text: bytes) -> None:
    """Have the server hear the client, and answer it if it has to."""
    *route, heard = tell(client, server, text)
    assert heard == text
    if client.kind == zmq.REQ:
        tell(server, client, *route, b"answer")


def are_refused(server: End, client: End, who: str) -> None:
    """Wait until both sides were told why the handshake failed."""
    heard = [
        next(reason for reason in end.failures() if reason.startswith(expected))
        for end, expected in zip((server, client), REASONS[who], strict=True)
    ]
    assert who != "plain" or MISMATCH in heard
