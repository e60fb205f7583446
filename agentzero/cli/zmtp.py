"""The first words of ZMTP, ZeroMQ's protocol: who answers at the other end of a stream.

It is spoken by hand, and not by a socket of ZeroMQ, as a socket has to be of a type that fits, and
one that fits may take messages which are meant for others.
"""

from __future__ import annotations

import socket
from collections.abc import Iterator
from dataclasses import dataclass
from time import monotonic

__all__ = ["Peer", "Stranger", "Words", "greeted"]

# RFC 23: a greeting is a signature, a version, a mechanism, and filler. Which end is the server of
# the mechanism is to be told as well, but libzmq never says that it is.
SIGNATURE = b"\xff\x00\x00\x00\x00\x00\x00\x00\x01\x7f"
MAJOR, MINOR = b"\x03", b"\x00"
NULL = b"NULL".ljust(20, b"\0")
FILLER = bytes(32)

GREETING = 64  # bytes
LONGEST = 4096  # bytes that a command may have here
COMMAND, LONG = 0x04, 0x02  # flags


class Stranger(Exception):
    """What is at the other end does not speak ZMTP; the text says what it did."""


@dataclass(frozen=True)
class Peer:
    """Who has answered.

    Attributes:
        version: of ZMTP, such as "3.1".
        mechanism: of security: "NULL", "CURVE", "PLAIN", or "" where its version has none.
        kind: the type of its socket, such as "REP"; "" where it does not tell that to anybody.
    """

    version: str
    mechanism: str = ""
    kind: str = ""


def greeted(stream: socket.socket, timeout: float) -> Peer:
    """Greet who is at the other end of a stream; return who it is. No message is sent or taken.

    Args:
        stream: one that is connected.
        timeout: seconds that it all may take.

    Raises:
        Stranger: it does not speak ZMTP.
        OSError: it closed the connection, or said too little in time (TimeoutError).

    >>> ours, theirs = socket.socketpair()
    >>> theirs.sendall(SIGNATURE + MAJOR + MINOR + b"CURVE".ljust(20, bytes(1)) + bytes(32))
    >>> with ours, theirs:
    ...     greeted(ours, timeout=1)
    Peer(version='3.0', mechanism='CURVE', kind='')
    """
    words = Words(stream, timeout)
    words.send(SIGNATURE + MAJOR)
    start = words.read(1)
    if start != SIGNATURE[:1]:
        raise Stranger(f"it said {start + stream.recv(30)!r}")
    start += words.read(len(SIGNATURE))
    major = start[-1]
    if start[-2] != SIGNATURE[-1]:
        raise Stranger(f"it said {start!r}")
    if major < MAJOR[0]:
        return Peer("2.0" if major else "1.0")
    greeting = start + words.read(GREETING - len(start))
    mechanism = greeting[12:32].rstrip(b"\0").decode("ascii", "backslashreplace")
    kind = _kind(words) if mechanism == "NULL" else ""
    return Peer(f"{major}.{greeting[11]}", mechanism, kind)


class Words:
    """What is said on a stream, within a total of so many seconds."""

    def __init__(self, stream: socket.socket, timeout: float) -> None:
        self._stream = stream
        self._end = monotonic() + timeout

    def send(self, words: bytes) -> None:
        """Say something."""
        self._stream.settimeout(self._left())
        self._stream.sendall(words)

    def read(self, size: int) -> bytes:
        """Return so many bytes that the other end says."""
        said = b""
        while len(said) < size:
            self._stream.settimeout(self._left())
            more = self._stream.recv(size - len(said))
            if not more:
                raise ConnectionError(f"it said {said!r}, and hung up" if said else "it hung up")
            said += more
        return said

    def _left(self) -> float:
        return max(self._end - monotonic(), 0.001)  # a time-out of 0 means something else


def _kind(words: Words) -> str:
    """Go on without security; return the type of socket that the other end says it is."""
    words.send(MINOR + NULL + FILLER)
    name, said = _command(words)
    if name != b"READY":
        raise Stranger(f"it said {name + said!r} instead of READY")
    kind = {key.lower(): value for key, value in _properties(said)}.get(b"socket-type", b"")
    return kind.decode("ascii", "backslashreplace")


def _command(words: Words) -> tuple[bytes, bytes]:
    [flags] = words.read(1)
    size = int.from_bytes(words.read(8 if flags & LONG else 1))
    if not flags & COMMAND or not 0 < size <= LONGEST:
        raise Stranger("it breaks off the handshake")
    body = words.read(size)
    end = 1 + body[0]
    return body[1:end], body[end:]


def _properties(body: bytes) -> Iterator[tuple[bytes, bytes]]:
    while body:
        start = 1 + body[0]
        end = start + 4 + int.from_bytes(body[start : start + 4])
        yield body[1:start], body[start + 4 : end]
        body = body[end:]
