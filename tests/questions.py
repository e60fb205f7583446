"""What the tests of `request` and `serve` share."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
import zmq

from agentzero import SocketManager
from tests.processes import START

TCP = "tcp://127.0.0.1:*"

ASKING = pytest.mark.parametrize("kind", [zmq.REQ, zmq.DEALER], ids=["REQ", "DEALER"])
SERVING = pytest.mark.parametrize("kind", [zmq.REP, zmq.ROUTER], ids=["REP", "ROUTER"])


class Patient:
    """A bare socket that lets other tasks run until there is something to receive."""

    def __init__(self, socket: Any, eventually: Callable[..., None]) -> None:
        self._socket = socket
        self._eventually = eventually

    def __getattr__(self, name: str) -> Any:
        if name.startswith("recv"):
            self._eventually(lambda: self._socket.poll(0))
        return getattr(self._socket, name)


class Stop(BaseException):
    """As Ctrl-C, but for no particular thread."""


def connect(sockets: SocketManager, kind: int, to: Any) -> None:
    """Connect a socket named "client" to a bare one."""
    sockets.ensure_and_connect("client", kind, to.last_endpoint.decode())


def settled(value: Any) -> Any:
    """Answer with what was asked, unless it was to fail."""
    if value == "fail":
        raise KeyError("no such thing")
    return value


def looped(test: Callable[[], Any]) -> Callable[[], None]:
    """Make a test of a coroutine function: it runs for a bounded time."""
    return lambda: asyncio.run(asyncio.wait_for(test(), START))
