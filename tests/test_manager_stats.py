"""Counters, checked against what bare pyzmq peers saw."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import zmq

from agentzero import SocketManager
from agentzero.errors import DeserializationError, SocketNotFound, SocketTimeout
from agentzero.events import SocketStats

Make = Callable[..., Any]

TCP = "tcp://127.0.0.1:*"


def test_a_new_socket_has_done_nothing(sockets: SocketManager) -> None:
    sockets.create("jobs", zmq.PULL)
    assert sockets.stats("jobs") == sockets.stats() == SocketStats()


def test_what_was_sent_is_what_a_bare_peer_received(sockets: SocketManager, peer: Make) -> None:
    sockets.ensure_and_bind("out", zmq.PUSH, TCP)
    pull = peer(zmq.PULL, connect=sockets.endpoints("out")[0])
    for size in (0, 10, 1000):
        sockets.send("out", "x" * size)
    sockets.send_multipart("out", [b"ab", b"", memoryview(b"cde")])
    sockets.publish("out", "topic", [1])
    seen = [pull.recv_multipart() for _ in range(5)]
    stats = sockets.stats("out")
    assert stats.sent == len(seen)
    assert stats.sent_bytes == sum(len(frame) for frames in seen for frame in frames)
    assert stats == SocketStats(sent=stats.sent, sent_bytes=stats.sent_bytes)


def test_what_was_received_is_what_a_bare_peer_sent(sockets: SocketManager, peer: Make) -> None:
    sockets.ensure_and_bind("in", zmq.PULL, TCP)
    push = peer(zmq.PUSH, connect=sockets.endpoints("in")[0])
    messages = [[b"1"], [b'"' + b"x" * 1000 + b'"'], [b"a", b"", b"bcd"]]
    for frames in messages:
        push.send_multipart(frames)
    sockets.recv("in")
    sockets.recv_safe("in")
    sockets.recv_multipart("in")
    stats = sockets.stats("in")
    assert stats == SocketStats(received=3, received_bytes=1 + 1002 + 4)


def test_timeouts_are_counted(sockets: SocketManager) -> None:
    sockets.create("in", zmq.PULL)
    sockets.create("out", zmq.PUSH)
    for _ in range(2):
        assert sockets.recv_safe("in", timeout=0) is None
        with pytest.raises(SocketTimeout):
            sockets.send("out", 1, timeout=0)
    assert sockets.stats("in") == sockets.stats("out") == SocketStats(timeouts=2)
    assert sockets.stats() == SocketStats(timeouts=4)


def test_unreadable_messages_are_received_and_counted(sockets: SocketManager, peer: Make) -> None:
    sockets.ensure_and_bind("in", zmq.PULL, TCP)
    push = peer(zmq.PUSH, connect=sockets.endpoints("in")[0])
    push.send(b"{")
    with pytest.raises(DeserializationError):
        sockets.recv("in")
    assert sockets.stats("in") == SocketStats(received=1, received_bytes=1, undecodable=1)


def test_what_could_not_be_published_at_once_is_dropped_and_counted(
    sockets: SocketManager,
) -> None:
    sockets.create("nobody", zmq.PUSH)
    assert sockets.publish_nowait("nobody", "topic", 1) is False
    assert sockets.stats("nobody") == SocketStats(dropped=1)


def test_the_sum_is_of_all_sockets_closed_ones_included(pipe: SocketManager) -> None:
    pipe.send("out", 1)
    pipe.recv("in")
    before = pipe.stats()
    pipe.close("out")
    assert pipe.stats() == before == SocketStats(1, 1, 1, 1)
    pipe.create("out", zmq.PUSH)
    assert pipe.stats("out") == SocketStats()
    pipe.close_all()
    assert pipe.stats() == before


def test_stats_need_a_socket(sockets: SocketManager) -> None:
    with pytest.raises(SocketNotFound, match="'nobody'"):
        sockets.stats("nobody")


def test_tasks_that_share_a_socket_are_counted_together(
    backend: Any, pipe: SocketManager, spawn: Make
) -> None:
    def work() -> None:
        for number in range(100):
            pipe.send("out", number)
            backend.pause(0)

    for task in [spawn(work) for _ in range(4)]:
        task.result()
    for _ in range(400):
        pipe.recv("in")
    stats = pipe.stats()
    assert (stats.sent, stats.received) == (400, 400)
    assert stats.sent_bytes == stats.received_bytes == 4 * (10 + 2 * 90)
