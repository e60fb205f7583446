"""The ZeroMQ Authentication Protocol, RFC 27: libzmq asks who may come in, and this answers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from zmq.utils import z85

from agentzero.security import ServerKeys

__all__ = ["ENDPOINT", "answer"]

ENDPOINT: Final = "inproc://zeromq.zap.01"

VERSION = b"1.0"
# Never 300, "try again": libzmq leaves such a client connected, and waiting for ever.
WELCOME, REFUSED, ERROR = b"200", b"400", b"500"


def answer(request: Sequence[bytes], realms: Mapping[bytes, ServerKeys]) -> list[bytes]:
    """Return the frames of the reply to a request; it never raises.

    Who is let in is named by its public key: that is the "User-Id" of all it sends from then on.

    Args:
        request: the frames that libzmq sent, without delimiter.
        realms: whom to let in, by domain.

    >>> from agentzero.security import ANY, ServerKeys, generate_keys
    >>> server, client = ServerKeys(generate_keys(), allowed=ANY), generate_keys().public
    >>> asked = [b"1.0", b"1", server.domain, b"127.0.0.1", b"", b"CURVE", z85.decode(client)]
    >>> answer(asked, {server.domain: server}) == [b"1.0", b"1", b"200", b"OK", client, b""]
    True
    >>> answer(asked, {})
    [b'1.0', b'1', b'400', b'unknown domain', b'', b'']
    """
    status, text, user = judge(request, realms)
    number = b"".join(request[1:2])
    return [VERSION, number, status, text, user, b""]


def judge(
    request: Sequence[bytes], realms: Mapping[bytes, ServerKeys]
) -> tuple[bytes, bytes, bytes]:
    """Return the status of the reply, its text, and who the client is where it is let in."""
    match request:
        case [b"1.0", _, domain, _, _, b"CURVE", key] if len(key) == 32:
            return admission(realms.get(domain), z85.encode(key))
        case [b"1.0", _, _, _, _, b"CURVE", *_]:
            return REFUSED, b"malformed credentials", b""
        case [b"1.0", _, _, _, _, _, *_]:
            return REFUSED, b"only CURVE is let in", b""
        case _:
            return ERROR, b"malformed request", b""


def admission(realm: ServerKeys | None, client: bytes) -> tuple[bytes, bytes, bytes]:
    """Return the same for a client that has shown its key."""
    if realm is None:
        return REFUSED, b"unknown domain", b""
    if not realm.admits(client):
        return REFUSED, b"unknown key", b""
    return WELCOME, b"OK", client
