"""The first words of ZMTP: what is made of those that others say."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest

from agentzero.cli.zmtp import GREETING, Peer, Stranger, greeted

SIGNATURE = b"\xff" + bytes(8) + b"\x7f"
NULL = SIGNATURE + b"\x03\x01" + b"NULL".ljust(20, b"\0") + bytes(32)
READY = b"\x05READY"
LONG_KIND = READY + b"\x01X" + (300).to_bytes(4) + bytes(300) + b"\x0bsocket-type\0\0\0\x03REP"


@pytest.fixture
def streams() -> Iterator[tuple[socket.socket, socket.socket]]:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        yield ours, theirs


def command(body: bytes) -> bytes:
    return b"\x04" + bytes([len(body)]) + body


def long_command(body: bytes, size: int | None = None) -> bytes:
    return b"\x06" + (len(body) if size is None else size).to_bytes(8) + body


@pytest.mark.parametrize(
    ("said", "peer"),
    [
        (NULL + command(READY + b"\x0bSocket-Type\0\0\0\x03PUB"), Peer("3.1", "NULL", kind="PUB")),
        (NULL + long_command(LONG_KIND), Peer("3.1", "NULL", kind="REP")),
        (NULL + command(READY), Peer("3.1", "NULL")),
        (NULL + command(READY + b"\x09Identity\xff\xff\xff\xffx"), Peer("3.1", "NULL")),
        (NULL.replace(b"NULL\0", b"PLAIN"), Peer("3.1", "PLAIN")),
        (NULL.replace(b"NULL\0", b"CURVE"), Peer("3.1", "CURVE")),
        (NULL.replace(b"NULL", b"\xff\xfe\0\0"), Peer("3.1", r"\xff\xfe")),
        (SIGNATURE + b"\x01\x05", Peer("2.0")),
        (SIGNATURE + b"\x00", Peer("1.0")),
    ],
)
def test_who_speaks_zmtp_is_known(
    said: bytes, peer: Peer, streams: tuple[socket.socket, socket.socket]
) -> None:
    ours, theirs = streams
    theirs.sendall(said)
    assert greeted(ours, timeout=5) == peer


@pytest.mark.parametrize(
    ("said", "words"),
    [
        (b"SSH-2.0-OpenSSH_9.2\r\n", "it said b'SSH-2.0-OpenSSH_9.2"),
        (b"\x01\x00", "it said"),
        (b"\xff" * 40, "it said"),
        (NULL + command(b"\x05ERROR\x03no!"), "ERROR.*instead of READY"),
        (NULL + b"\x00\x05hello", "breaks off"),
        (NULL + b"\x04\x00", "breaks off"),
        (NULL + long_command(b"", 2**63), "breaks off"),
    ],
)
def test_a_stranger_is_told_by_what_it_says(
    said: bytes, words: str, streams: tuple[socket.socket, socket.socket]
) -> None:
    ours, theirs = streams
    theirs.sendall(said)
    with pytest.raises(Stranger, match=words):
        greeted(ours, timeout=5)


@pytest.mark.parametrize("length", [0, 1, 10, 11, 40, GREETING, GREETING + 3])
def test_who_hangs_up_is_no_peer(length: int, streams: tuple[socket.socket, socket.socket]) -> None:
    ours, theirs = streams
    theirs.sendall((NULL + command(READY))[:length])
    theirs.shutdown(socket.SHUT_WR)
    with pytest.raises(ConnectionError, match="hung up"):
        greeted(ours, timeout=5)


@pytest.mark.parametrize("length", [0, 10, 40, GREETING])
def test_who_says_too_little_is_not_waited_for(
    length: int, streams: tuple[socket.socket, socket.socket]
) -> None:
    ours, theirs = streams
    theirs.sendall(NULL[:length])
    with pytest.raises(TimeoutError):
        greeted(ours, timeout=0.02)
