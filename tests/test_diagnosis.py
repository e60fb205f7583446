"""Why nothing came, and how much did: told of other processes that fail in every way."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import zmq

from agentzero import SocketManager
from agentzero.errors import SocketTimeout
from agentzero.security import ClientKeys, generate_keys
from tests.peers.remote import Remote

Make = Callable[..., Any]


@pytest.fixture
def server(eventually: Make) -> Iterator[Remote]:
    """A process of bare pyzmq with a REP named "peer", which answers nobody by itself."""
    remote = Remote("bare", eventually)
    remote.create("peer", zmq.REP)
    yield remote
    remote.kill()


@pytest.fixture
def address(tmp_path: Any) -> str:
    return f"ipc://{tmp_path}/server"


def until(sockets: SocketManager, kind: str) -> None:
    next(e for e in sockets.connection_events("q", timeout=20) if e.kind == kind)


def said(sockets: SocketManager) -> str:
    """What a request that had no answer says at the end."""
    with pytest.raises(SocketTimeout, match=r"no (reply|room to send) on socket 'q'") as caught:
        sockets.request("q", 1, timeout=0.05)
    return str(caught.value).partition(" in 0.05 s: ")[2]


KINDS = pytest.mark.parametrize("kind", [zmq.REQ, zmq.DEALER], ids=["REQ", "DEALER"])


@KINDS
def test_where_nobody_ever_was(sockets: SocketManager, address: str, kind: int) -> None:
    sockets.ensure_and_connect("q", kind, address)
    until(sockets, "refused")
    assert said(sockets) == "refused"


@KINDS
def test_a_server_that_was_killed(
    sockets: SocketManager, server: Remote, address: str, kind: int
) -> None:
    server.ensure_and_bind("peer", zmq.REP, address)
    sockets.ensure_and_connect("q", kind, address)
    until(sockets, "connected")
    server.kill()
    until(sockets, "refused")
    assert said(sockets) == "disconnected, then refused"


@KINDS
def test_a_server_with_another_key(
    sockets: SocketManager, server: Remote, address: str, kind: int
) -> None:
    server.set_socket_option("peer", zmq.CURVE_SERVER, 1)
    server.set_socket_option("peer", zmq.CURVE_SECRETKEY, generate_keys().secret)
    server.ensure_and_bind("peer", zmq.REP, address)
    keys = ClientKeys(generate_keys(), server=generate_keys().public)
    sockets.ensure_and_connect("q", kind, address, curve=keys)
    until(sockets, "handshake failed")
    assert said(sockets).startswith("handshake failed (the other side ended it: its key is")


@KINDS
def test_a_server_without_keys(
    sockets: SocketManager, server: Remote, address: str, kind: int
) -> None:
    server.ensure_and_bind("peer", zmq.REP, address)
    keys = ClientKeys(generate_keys(), server=generate_keys().public)
    sockets.ensure_and_connect("q", kind, address, curve=keys)
    until(sockets, "handshake failed")
    # Who is the first to see it says it; the other is hung up on.
    assert "CURVE" in said(sockets)


@KINDS
def test_a_server_that_never_answers(
    sockets: SocketManager, server: Remote, address: str, kind: int
) -> None:
    server.ensure_and_bind("peer", zmq.REP, address)
    sockets.ensure_and_connect("q", kind, address)
    until(sockets, "connected")
    os.kill(server.pid, signal.SIGSTOP)
    assert said(sockets) == "connected"


def test_a_request_that_is_sent_again_says_how_often(sockets: SocketManager, address: str) -> None:
    sockets.ensure_and_connect("q", zmq.DEALER, address)
    with pytest.raises(SocketTimeout, match=r"in 0\.01 s.*, in the last of 3 attempts$"):
        sockets.request("q", 1, timeout=0.01, retries=2)


@KINDS
def test_a_late_reply_is_for_nobody(
    sockets: SocketManager, spawn: Make, server: Remote, address: str, kind: int
) -> None:
    server.ensure_and_bind("peer", zmq.REP, address)
    sockets.ensure_and_connect("q", kind, address)
    until(sockets, "connected")
    assert said(sockets) == "connected"
    assert server.recv("peer") == 1
    server.send("peer", "late")
    asked = spawn(sockets.request, "q", 2, timeout=20)
    assert server.recv("peer") == 2
    server.send("peer", "in time")
    assert asked.result() == "in time"
    # To a REQ, what comes late does not even come.
    assert sockets.stats("q").late == (kind == zmq.DEALER)


def test_what_many_tasks_sent_is_what_another_process_counts(
    backend: Any, sockets: SocketManager, spawn: Make, server: Remote, address: str
) -> None:
    server.ensure_and_bind("sink", zmq.PULL, address)
    sockets.ensure_and_connect("out", zmq.PUSH, address)

    def work() -> None:
        for number in range(50):
            sockets.send("out", number)
            backend.pause(0)

    for task in [spawn(work) for _ in range(4)]:
        task.result()
    seen = [server.recv("sink") for _ in range(sockets.stats("out").sent)]
    assert sorted(seen) == sorted([*range(50)] * 4)
    assert server.recv_safe("sink", 0.05) is None
    assert sockets.stats("out").sent_bytes == sum(len(str(number)) for number in seen)


def test_who_sends_too_much_is_thrown_out_and_comes_again(
    sockets: SocketManager, server: Remote, address: str
) -> None:
    sockets.ensure_and_bind("in", zmq.PULL, address, max_message_size=1000)
    server.ensure_and_connect("source", zmq.PUSH, address)
    server.send("source", "small")
    assert sockets.recv("in", timeout=20) == "small"
    server.send("source", "x" * 2000)
    kinds = []
    for event in sockets.connection_events("in", timeout=20):
        kinds.append(event.kind)
        if len(kinds) == 3:
            break
    assert kinds == ["connected", "disconnected", "connected"]
    server.send("source", "small again")
    assert sockets.recv("in", timeout=20) == "small again"
