"""Strangers who speak no ZMTP, or only half of it, leave a socket serving."""

from __future__ import annotations

import math
import os
import socket
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from typing import Any

import pytest
import zmq

from agentzero import SocketManager
from tests.conftest import Tasks
from tests.strangers import (
    GOOD,
    GOOD_JSON,
    GREETING,
    LONG,
    PEERS,
    Peers,
    exchange,
    garbage,
    listening,
    newcomer,
    noise,
    ready,
    reset,
    stranger,
    thrown_out,
    unshaken,
)

Make = Callable[..., Any]


@pytest.fixture
def peers() -> Iterator[Peers]:
    with Peers() as peers:
        yield peers


ANY_KIND = pytest.mark.parametrize("kind", PEERS, ids=lambda kind: kind.name)

# Who waits on a socket of that type until a good peer comes; on a PUB, in vain.
WAITS: dict[int, Callable[[SocketManager], Any]] = {
    zmq.PULL: lambda sockets: sockets.recv("in"),
    zmq.PUSH: lambda sockets: sockets.send("in", GOOD),
    zmq.SUB: lambda sockets: sockets.recv_event("in").data,
    zmq.XSUB: lambda sockets: sockets.recv_event("in", "top").data,
    zmq.PUB: lambda sockets: sockets.wait_until_ready("in", zmq.POLLIN),
    zmq.XPUB: lambda sockets: sockets.wait_for_subscribers("in", "top"),
    zmq.REP: lambda sockets: sockets.serve("in", echo),
    zmq.REQ: lambda sockets: sockets.request("in", GOOD),
    zmq.ROUTER: lambda sockets: sockets.serve("in", echo),
    zmq.DEALER: lambda sockets: sockets.recv("in"),
    zmq.PAIR: lambda sockets: sockets.recv("in"),
}


def echo(data: Any) -> Any:
    return data


@pytest.mark.skipif(sys.platform != "linux", reason="counts what is open in /proc")
@ANY_KIND
def test_who_waits_goes_on_waiting_and_nothing_stays_open(
    kind: zmq.SocketType,
    backend: Tasks,
    manager: Make,
    peers: Peers,
    spawn: Make,
    waiting: Make,
    eventually: Make,
    capfd: pytest.CaptureFixture[str],
) -> None:
    sockets = manager(timeout=math.inf)
    where = listening(sockets, kind)
    waits = spawn(WAITS[kind], sockets)
    waiting(sockets, "in")
    before = backend.call(open_files)  # in the loop: only by waiting does it open its last file
    with hundreds(where, kind):
        assert open_files() > before + 100
    eventually(lambda: open_files() <= before)
    assert not waits.done()
    with hundreds(where, kind):
        peer = peers.connect_to(sockets)
        assert heard_by(peer, kind, eventually)
        if kind not in (zmq.PUB, zmq.REP, zmq.ROUTER):
            assert waits.result() == (None if kind in (zmq.PUSH, zmq.XPUB) else GOOD)
        if kind in (zmq.PUB, zmq.XPUB):
            peer.setsockopt(zmq.SUBSCRIBE, b"")
            exchange(sockets, kind, peer)
    eventually(lambda: open_files() < before + 100)  # the next test counts as well
    assert capfd.readouterr() == ("", "")


def open_files() -> int:
    return len(os.listdir("/proc/self/fd"))


@contextmanager
def hundreds(where: str, kind: int) -> Iterator[None]:
    """Strangers who come and go, and some who stay."""
    with ExitStack() as staying:
        for said in unshaken(kind).values():
            for leave in (socket.socket.close, reset, staying.enter_context):
                connection = stranger(where, said)
                with suppress(ConnectionError):
                    connection.recv(1)  # libzmq has let it in
                leave(connection)
        yield


def heard_by(peer: Any, kind: int, eventually: Make) -> bool:
    """Say what a good peer says, and return whether it hears what it should."""
    if kind == zmq.XPUB:
        peer.subscribe("top")
    elif kind in (zmq.SUB, zmq.XSUB):
        peer.send_multipart([b"top", GOOD_JSON])
    elif kind not in (zmq.PUB, zmq.PUSH, zmq.REQ):
        peer.send(GOOD_JSON)
    if kind not in (zmq.PUSH, zmq.REQ, zmq.REP, zmq.ROUTER):
        return True
    eventually(lambda: peer.poll(0))
    heard = b"good one" in peer.recv()
    if kind == zmq.REQ:
        peer.send(GOOD_JSON)
    return heard


@ANY_KIND
def test_strangers_do_not_keep_a_socket_from_serving(
    kind: zmq.SocketType, manager: Make, peers: Peers, capfd: pytest.CaptureFixture[str]
) -> None:
    with manager(timeout=LONG) as sockets:
        where = listening(sockets, kind)
        if kind == zmq.XSUB:
            sockets.recv_event_safe("in", "top", timeout=0)
        for said in garbage(kind).values():
            with stranger(where, said) as connection:
                with suppress(OSError):  # thrown out already
                    connection.shutdown(socket.SHUT_WR)
                assert thrown_out(connection)
        with stranger(where, GREETING[:10]), stranger(where, GREETING), stranger(where, b""):
            peer = newcomer(sockets, kind, peers)
            if kind in (zmq.PUB, zmq.XPUB):
                peer.setsockopt(zmq.SUBSCRIBE, b"")
            exchange(sockets, kind, peer)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("kind", [zmq.PULL, zmq.SUB, zmq.ROUTER], ids=lambda kind: kind.name)
def test_strangers_who_come_while_messages_flow_spoil_none_of_them(
    kind: zmq.SocketType, manager: Make, peers: Peers
) -> None:
    with manager(timeout=LONG) as sockets:
        where = listening(sockets, kind)
        peer = peers.connect_to(sockets)
        for seed in range(60):
            said = (GREETING + ready(PEERS[kind]))[: seed * 2] + noise(200, seed)
            with stranger(where, said):
                exchange(sockets, kind, peer)


def test_to_a_stream_nobody_is_a_stranger(sockets: SocketManager) -> None:
    where = listening(sockets, zmq.STREAM)
    for said in garbage(zmq.PULL).values():
        with stranger(where, said) as connection:
            connection.shutdown(socket.SHUT_WR)
            assert sockets.recv_multipart("in")[1] == b""  # it has come
            rest = iter(lambda: sockets.recv_multipart("in")[1], b"")  # until it has gone
            assert b"".join(rest) == said
    with stranger(where, b"hello") as friend:
        for heard in (b"", b"hello"):
            who, what = sockets.recv_multipart("in")
            assert what == heard
        sockets.send_multipart("in", [who, b"welcome"])
        assert friend.recv(100) == b"welcome"
