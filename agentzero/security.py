"""CURVE: who a socket is, whom it lets in, and the files that keep the keys.

Give a `ServerKeys` or a `ClientKeys` to `create` as `curve=`, and every connection of that socket
is encrypted, and both its ends know each other by their keys. Which end is the server has nothing
to do with which one binds.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from enum import Enum
from typing import Any, Final

import zmq

from agentzero.errors import AgentZeroSocketError
from agentzero.keys import KeyPair, checked_key, generate_keys, load_public_key

__all__ = ["ANY", "ClientKeys", "KeyPair", "ServerKeys", "generate_keys", "load_public_key"]

# The bytes that encryption adds to each frame, RFC 26: a command's name, flags, nonce and MAC.
ADDED = 33


class Anybody(Enum):
    """The type of `ANY`."""

    ANY = "ANY"

    def __repr__(self) -> str:
        return self.name


ANY: Final = Anybody.ANY
"""Whoever has a key, whichever it is, as in `ServerKeys(pair, allowed=ANY)`.

>>> ANY
ANY
"""


class ServerKeys:
    """The server's end of CURVE: its own keys, and the clients that it lets in.

    A client that is not let in gets nothing through, neither way. Any thread may change who is let
    in while sockets use it; one object may serve any number of them.

    Args:
        pair: the server's own keys; clients know the public one.
        allowed: the public keys of the clients to let in, or `ANY` for all that have a key. As long
            as it is empty, nobody is let in.

    Attributes:
        pair: the server's own keys.
        domain: what libzmq calls this object by when it asks whether to let a client in; no two
            objects have the same one.

    Raises:
        TypeError: `allowed` is one key instead of several.
        ValueError: one of the keys is not a key.

    >>> alice, bob = generate_keys().public, generate_keys().public
    >>> keys = ServerKeys(generate_keys(), allowed=[alice])
    >>> keys.admits(alice), keys.admits(bob)
    (True, False)
    >>> keys
    ServerKeys(KeyPair(public=b'...', secret=...), allowed=<1 key>)
    """

    __slots__ = ("__weakref__", "_by_default", "_known", "_revoked_any", "domain", "pair")

    _numbers = itertools.count(1)

    def __init__(
        self, pair: KeyPair, allowed: Iterable[str] | Iterable[bytes] | Anybody = ()
    ) -> None:
        if isinstance(allowed, str | bytes) or not isinstance(allowed, Iterable | Anybody):
            raise TypeError("allowed is several public keys, such as [key], or ANY, not one key")
        keys = () if isinstance(allowed, Anybody) else allowed
        self.pair: KeyPair = checked_pair(pair)
        self.domain: bytes = b"agentzero.%d" % next(self._numbers)
        self._by_default = allowed is ANY
        # One assignment changes it: whoever looks meanwhile sees what was, or what is.
        self._known = {checked_key(key): True for key in keys}
        self._revoked_any = False

    def __getstate__(self) -> tuple[Any, ...]:
        return self.pair, self._by_default, self._known.copy(), self._revoked_any

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        self.pair, self._by_default, self._known, self._revoked_any = state
        self.domain = b"agentzero.%d" % next(self._numbers)  # a copy is a list of its own

    def __repr__(self) -> str:
        known = list(self._known.values())
        count = known.count(True)
        allowed = "ANY" if self._by_default else f"<{count} key{'s' * (count != 1)}>"
        return f"ServerKeys({self.pair!r}, allowed={allowed})"

    def allow(self, key: str | bytes) -> None:
        """Let the client with that public key in from now on.

        Raises:
            ValueError: it is not a key.

        >>> keys, alice = ServerKeys(generate_keys()), generate_keys().public
        >>> keys.allow(alice)
        >>> keys.admits(alice)
        True
        """
        self._known[checked_key(key)] = True

    def revoke(self, key: str | bytes) -> None:
        """Do not let the client with that public key in any more, nor what it sends from now on.

        Where `allowed` is `ANY`, this client is the exception. A connection that it has lives on,
        and may still receive; close the socket to end it.

        Raises:
            ValueError: it is not a key.

        >>> keys, mallory = ServerKeys(generate_keys(), allowed=ANY), generate_keys().public
        >>> keys.revoke(mallory)
        >>> keys.admits(mallory)
        False
        """
        self._known[checked_key(key)] = False
        self._revoked_any = True

    def admits(self, key: str | bytes) -> bool:
        """Return whether the client with that public key is let in.

        >>> ServerKeys(generate_keys()).admits(generate_keys().public)
        False
        """
        text = key.encode() if isinstance(key, str) else key
        return self._known.get(text, self._by_default)

    @property
    def revoked_any(self) -> bool:
        """Whether a key was ever revoked.

        >>> ServerKeys(generate_keys(), allowed=ANY).revoked_any
        False
        """
        return self._revoked_any

    def configure(self, socket: zmq.Socket[Any]) -> None:
        """Make a socket a server, before it is bound or connected.

        Somebody has to answer what libzmq asks by `domain`, as a manager does for sockets it
        creates with `curve=`; otherwise nobody is let in.

        Raises:
            AgentZeroSocketError: a socket of this type cannot be a server: STREAM has no CURVE, and
                libzmq lets no reply through to a REQ whose peers it knows by name.

        >>> with zmq.Context() as context, context.socket(zmq.REP) as socket:
        ...     ServerKeys(generate_keys()).configure(socket)
        ...     socket.get(zmq.CURVE_SERVER)
        1
        """
        if socket.get(zmq.TYPE) == zmq.REQ:
            raise AgentZeroSocketError("a REQ cannot have ServerKeys: give them to its peers")
        set_pair(socket, self.pair)
        socket.set(zmq.CURVE_SERVER, 1)
        socket.set(zmq.ZAP_DOMAIN, self.domain)
        socket.set(zmq.ZAP_ENFORCE_DOMAIN, 1)  # or libzmq lets all in where nobody answers


class ClientKeys:
    """The client's end of CURVE: its own keys, and the server that it talks to, and to no other.

    Args:
        pair: the client's own keys; the server is told the public one.
        server: the server's public key.

    Attributes:
        pair: the client's own keys.
        server: the server's public key, bytes.

    Raises:
        ValueError: `server` is not a key.

    >>> ClientKeys(generate_keys(), server=generate_keys().public)
    ClientKeys(KeyPair(public=b'...', secret=...), server=b'...')
    """

    __slots__ = ("pair", "server")

    def __init__(self, pair: KeyPair, server: str | bytes) -> None:
        self.pair: KeyPair = checked_pair(pair)
        self.server: bytes = checked_key(server, "the server's public key")

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ClientKeys) and (self.pair, self.server) == (
            other.pair,
            other.server,
        )

    def __hash__(self) -> int:
        return hash((self.pair, self.server))

    def __repr__(self) -> str:
        return f"ClientKeys({self.pair!r}, server={self.server!r})"

    def configure(self, socket: zmq.Socket[Any]) -> None:
        """Make a socket a client, before it is bound or connected.

        Raises:
            AgentZeroSocketError: sockets of this type have no CURVE.

        >>> keys = ClientKeys(generate_keys(), server=generate_keys().public)
        >>> with zmq.Context() as context, context.socket(zmq.REQ) as socket:
        ...     keys.configure(socket)
        ...     socket.get(zmq.MECHANISM) == zmq.CURVE
        True
        """
        set_pair(socket, self.pair)
        socket.set(zmq.CURVE_SERVERKEY, self.server)


def checked_pair(pair: object) -> KeyPair:
    """Return `pair` when it is one; no error shows what it is."""
    if not isinstance(pair, KeyPair):
        raise TypeError(f"pair is a KeyPair, not {type(pair).__name__}")
    return pair


def set_pair(socket: zmq.Socket[Any], pair: KeyPair) -> None:
    """Set a socket's own keys; its limit of bytes goes on counting what is sent, not the cipher."""
    if socket.get(zmq.TYPE) == zmq.STREAM:
        raise AgentZeroSocketError("a STREAM socket has no CURVE: what it sends would be plain")
    socket.set(zmq.CURVE_PUBLICKEY, pair.public)
    socket.set(zmq.CURVE_SECRETKEY, pair.secret)
    limit = int(socket.get(zmq.MAXMSGSIZE))
    if limit >= 0:
        socket.set(zmq.MAXMSGSIZE, limit + ADDED)
