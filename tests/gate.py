"""Servers and clients of CURVE on bare pyzmq, and somebody who answers libzmq's questions."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import pytest
import zmq
from zmq.utils.monitor import recv_monitor_message

from agentzero.security import ClientKeys, KeyPair, ServerKeys, generate_keys
from agentzero.zap import ENDPOINT, answer

TCP = "tcp://127.0.0.1:*"

PATIENCE = 20_000

ENDINGS = (
    zmq.EVENT_HANDSHAKE_SUCCEEDED
    | zmq.EVENT_HANDSHAKE_FAILED_AUTH
    | zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL
    | zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL
    | zmq.EVENT_DISCONNECTED
)


class Gate:
    """Sockets on both sides, each side in a context of its own.

    Attributes:
        realms: whom the handler lets in, by domain.
    """

    def __init__(self) -> None:
        self.realms: dict[bytes, ServerKeys] = {}
        self._inside = zmq.Context()
        self._outside = zmq.Context()
        self._made: list[zmq.Socket[Any]] = []
        self._monitors: dict[zmq.Socket[Any], zmq.Socket[Any]] = {}
        self._guard: threading.Thread | None = None

    def guard(self) -> None:
        """Have libzmq's questions answered from now on."""
        handler = self._inside.socket(zmq.REP)
        handler.bind(ENDPOINT)
        self._guard = threading.Thread(target=self._answer, args=(handler,), daemon=True)
        self._guard.start()

    def _answer(self, handler: zmq.Socket[Any]) -> None:
        with handler:
            try:
                while True:
                    handler.send_multipart(answer(handler.recv_multipart(), self.realms))
            except zmq.ContextTerminated:
                return

    def server(
        self, kind: int, keys: ServerKeys | None, address: str = TCP, **options: int
    ) -> zmq.Socket[Any]:
        """A socket that is bound; without keys a plain one."""
        socket = self._socket(self._inside, kind, keys, options)
        if keys is not None:
            self.realms[keys.domain] = keys
        socket.bind(address)
        return socket

    def client(
        self, kind: int, keys: ClientKeys | None, server: zmq.Socket[Any], **options: int
    ) -> zmq.Socket[Any]:
        """A socket that is connected to that server; without keys a plain one."""
        socket = self._socket(self._outside, kind, keys, options)
        socket.connect(str(server.get_string(zmq.LAST_ENDPOINT)))
        return socket

    def _socket(
        self, context: Any, kind: int, keys: ServerKeys | ClientKeys | None, options: dict[str, int]
    ) -> zmq.Socket[Any]:
        socket: zmq.Socket[Any] = context.socket(kind)
        self._made.append(socket)
        socket.linger = 0
        socket.rcvtimeo = socket.sndtimeo = PATIENCE
        for option, value in options.items():
            socket.set(getattr(zmq, option.upper()), value)
        if keys is not None:
            keys.configure(socket)
        self._monitors[socket] = socket.get_monitor_socket(ENDINGS)
        return socket

    def outcome(self, socket: zmq.Socket[Any]) -> str:
        """How the next handshake of a socket ends, in the words of libzmq."""
        monitor = self._monitors[socket]
        assert monitor.poll(PATIENCE)
        return str(zmq.Event(recv_monitor_message(monitor)["event"]).name)

    def end(self) -> None:
        for socket in self._made:
            if not socket.closed:
                socket.disable_monitor()
                socket.close()
        for monitor in self._monitors.values():
            monitor.close()
        self._outside.term()
        self._inside.term()
        if self._guard is not None:
            self._guard.join()


@pytest.fixture
def gate() -> Iterator[Gate]:
    """A gate with nobody who answers."""
    gate = Gate()
    yield gate
    gate.end()


@pytest.fixture
def guarded(gate: Gate) -> Gate:
    """A gate with somebody who answers."""
    gate.guard()
    return gate


@pytest.fixture(scope="session")
def pairs() -> list[KeyPair]:
    """Some pairs of keys."""
    return [generate_keys() for _ in range(3)]
