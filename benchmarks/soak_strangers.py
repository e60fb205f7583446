"""Strangers: raw TCP clients that speak no ZMTP, or only half of it."""

from __future__ import annotations

import random
import socket
import struct
from contextlib import suppress

from soak_sides import Side
from soak_stage import Stage

GREETING = b"\xff" + bytes(8) + b"\x7f\x03\x00" + b"NULL".ljust(20, b"\0") + bytes(32)
READY = b"\x04\x1a\x05READY\x0bSocket-Type\x00\x00\x00\x04PUSH"
HUGE = 2**62
MOST = 20  # connections at once


def long_frame(flags: int, size: int) -> bytes:
    """Return the beginning of a frame that claims to be so long."""
    return struct.pack(">BQ", flags, size)


def half_said(rng: random.Random) -> bytes:
    """Return what never becomes a handshake, so that nobody takes the stranger for a peer."""
    return rng.choice(
        [
            b"",
            GREETING[: rng.randrange(64)],
            GREETING,
            GREETING + READY[: rng.randrange(len(READY))],
            GREETING + b"\x80" + rng.randbytes(rng.randrange(5000)),
            GREETING + long_frame(6, HUGE),
            GREETING + long_frame(2, HUGE),
            GREETING.replace(b"NULL\0", b"PLAIN") + b"\x04\x0b\x05HELLO\x01a\x01b",
            GREETING.replace(b"NULL\0", b"CURVE") + b"\x04\xc8\x05HELLO" + bytes(194),
            GREETING.replace(b"NULL", b"EVIL") + rng.randbytes(100),
        ]
    )


def said(rng: random.Random) -> bytes:
    """Return anything at all: for who never sends anything, and may receive it as messages."""
    return rng.choice(
        [
            half_said(rng),
            rng.randbytes(rng.randrange(5000)),
            b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n",
            bytes(rng.randrange(5000)),
            b"\1\0" + rng.randbytes(rng.randrange(5000)),
            GREETING + READY + long_frame(2, HUGE),
            GREETING + READY + long_frame(6, 2**63),
            GREETING + READY + b"\x04\x02\xffa",
        ]
    )


class Strangers:
    """A crowd that connects to every port of a stage, says something, and leaves or does not."""

    def __init__(self, stage: Stage, side: Side) -> None:
        self._stage, self._side = stage, side
        self._rng = stage.rng("strangers")
        self._connections: list[socket.socket] = []

    async def run(self) -> None:
        """Go on until the stage is to settle; then leave."""
        while self._stage.going:
            port, harmless = self._rng.choice(list(self._stage.ports.items()))
            with suppress(OSError):  # nobody is there now, or it has thrown us out already
                self._say(port, said(self._rng) if harmless else half_said(self._rng))
            while len(self._connections) > MOST or self._rng.random() < 0.3:
                self._leave()
            await self._side.pause(self._rng.uniform(0, 0.02))
        while self._connections:
            self._leave()

    def _say(self, port: int, text: bytes) -> None:
        connection = socket.create_connection(("127.0.0.1", port), 1)
        self._connections.append(connection)
        self._stage.ledger.count("garbage connections")
        connection.sendall(text)

    def _leave(self) -> None:
        if self._connections:
            connection = self._connections.pop(self._rng.randrange(len(self._connections)))
            if self._rng.random() < 0.5:  # as a peer does that crashed
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            connection.close()
