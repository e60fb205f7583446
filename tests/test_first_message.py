"""A publisher that has waited for its subscriber loses no first message, however new it is."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import zmq

from agentzero import SocketManager
from tests.processes import START, Process, running

Make = Callable[..., Any]

PUBLISHERS = 500
AT_ONCE = 50  # each has files open, on both sides

TCP = "tcp://127.0.0.1:*"


@pytest.fixture(params=["bare pyzmq", "a manager"])
def subscriber(
    request: pytest.FixtureRequest, sockets: SocketManager, backend: Any
) -> Iterator[Process]:
    """A process that subscribes to each address it is sent, and sends back what it receives."""
    for name, kind in (("addresses", zmq.PUSH), ("received", zmq.PULL)):
        sockets.ensure_and_bind(name, kind, TCP)
    where = [sockets.endpoints(name)[0] for name in ("addresses", "received")]
    flavour = "bare" if request.param == "bare pyzmq" else backend.name
    with running("-m", "tests.peers.subscriber", flavour, *where, measured=False) as process:
        yield process


def test_five_hundred_new_publishers_lose_no_first_message(
    sockets: SocketManager, subscriber: Process, tmp_path: Path
) -> None:
    received: list[Any] = []
    for first in range(0, PUBLISHERS, AT_ONCE):
        publishers = {str(n): n for n in range(first, first + AT_ONCE)}
        for name in publishers:
            transport = TCP if int(name) % 5 else f"ipc://{tmp_path}/{name}"
            sockets.ensure_and_bind(name, zmq.XPUB, transport)
        sockets.send("addresses", [sockets.endpoints(name)[0] for name in publishers])
        for name, number in publishers.items():
            sockets.wait_for_subscribers(name, "news", timeout=START)
            sockets.publish(name, "news", number)
        received += [sockets.recv("received", START) for _ in publishers]
        assert sockets.recv("received", START) == [], "more than was sent"
        for name in publishers:
            sockets.close(name)
    assert received == [["news", number] for number in range(PUBLISHERS)]
    sockets.send("addresses", [])
    ended = subscriber.end(START)
    assert (ended.code, ended.err) == (0, "")


def test_nor_do_they_where_both_are_of_one_manager(sockets: SocketManager, spawn: Make) -> None:
    def receive() -> Any:
        sockets.ensure_and_connect("in", zmq.SUB, "inproc://news")
        return sockets.recv_event("in", "news")

    for number in range(PUBLISHERS):
        sockets.ensure_and_bind("out", zmq.XPUB, "inproc://news")
        receives = spawn(receive)
        sockets.wait_for_subscribers("out", "news")
        sockets.publish("out", "news", number)
        assert receives.result() == ("news", number)
        assert sockets.recv_event_safe("in", timeout=0) is None
        sockets.close("in")
        sockets.close("out")
