"""Socket options and topics."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import zmq

from agentzero import SocketManager
from agentzero.errors import AgentZeroSocketError, SocketNotFound

Make = Callable[..., Any]

OPTIONS: list[tuple[int, Any, Any]] = [
    (zmq.AFFINITY, 1, 1),
    (zmq.IDENTITY, b"me", b"me"),
    (zmq.IDENTITY, "me", b"me"),
    (zmq.SNDBUF, 4096, 4096),
    (zmq.RCVBUF, 4096, 4096),
    (zmq.LINGER, 5, 5),
    (zmq.BACKLOG, 7, 7),
]


@pytest.mark.parametrize(("option", "value", "result"), OPTIONS)
def test_the_seeds_options_are_set(
    sockets: SocketManager, option: int, value: Any, result: Any
) -> None:
    dealer = sockets.create("dealer", zmq.DEALER)
    sockets.set_socket_option("dealer", option, value)
    assert dealer.get(option) == result


def test_the_high_water_mark_is_set_both_ways(sockets: SocketManager) -> None:
    dealer = sockets.create("dealer", zmq.DEALER)
    sockets.set_socket_option("dealer", zmq.HWM, 10)
    assert (dealer.get(zmq.SNDHWM), dealer.get(zmq.RCVHWM)) == (10, 10)


def test_an_option_that_libzmq_refuses_names_option_and_socket(sockets: SocketManager) -> None:
    sockets.create("jobs", zmq.PULL)
    with pytest.raises(AgentZeroSocketError, match=r"EVENTS.*'jobs'") as caught:
        sockets.set_socket_option("jobs", zmq.EVENTS, 1)
    assert isinstance(caught.value.__cause__, zmq.ZMQError)


def test_options_need_a_socket(sockets: SocketManager) -> None:
    with pytest.raises(SocketNotFound, match="'nobody'"):
        sockets.set_socket_option("nobody", zmq.LINGER, 1)
    with pytest.raises(SocketNotFound, match="'nobody'"):
        sockets.set_topic("nobody", "a")


@pytest.fixture
def pub(sockets: SocketManager, link: Make) -> SocketManager:
    """An XPUB named "out", from which subscriptions can be received, and a SUB named "in"."""
    link(sockets, ("out", zmq.XPUB), ("in", zmq.SUB))
    return sockets


@pytest.mark.parametrize("topic", ["logs", b"logs"])
def test_a_topic_is_set_once_and_unset_at_once(pub: SocketManager, topic: Any) -> None:
    for _ in range(2):
        pub.set_topic("in", topic)
    for _ in range(2):
        pub.unset_topic("in", "logs")
    pub.set_topic("in", "end")
    subscriptions = [pub.recv_multipart("out")[0] for _ in range(3)]
    assert subscriptions == [b"\x01logs", b"\x00logs", b"\x01end"]


def test_the_option_and_the_shortcut_are_one(pub: SocketManager) -> None:
    pub.set_socket_option("in", zmq.SUBSCRIBE, "a")
    pub.set_topic("in", b"a")
    pub.set_socket_option("in", zmq.UNSUBSCRIBE, b"a")
    pub.set_topic("in", "end")
    assert [pub.recv_multipart("out")[0] for _ in range(3)] == [b"\x01a", b"\x00a", b"\x01end"]


def test_topics_that_are_no_utf8_are_topics(pub: SocketManager) -> None:
    pub.set_topic("in", b"\xff")
    assert pub.recv_multipart("out") == [b"\x01\xff"]


def test_only_what_begins_with_a_topic_is_received(pub: SocketManager) -> None:
    for topic in ("logs", "metrics"):
        pub.set_topic("in", topic)
        pub.recv_multipart("out")
    for topic in ("log", "logs:1", "metric", "metrics"):
        pub.publish("out", topic, None)
    assert [pub.recv_event("in").topic for _ in range(2)] == ["logs:1", "metrics"]


def test_an_unset_topic_is_received_no_more(pub: SocketManager) -> None:
    for topic in ("a", "b"):
        pub.set_topic("in", topic)
        pub.recv_multipart("out")
    pub.unset_topic("in", "a")
    assert pub.recv_multipart("out") == [b"\x00a"]
    pub.publish("out", "a", 1)
    pub.publish("out", "b", 2)
    assert pub.recv_event("in") == ("b", 2)


def test_options_may_be_set_while_another_task_waits(
    pub: SocketManager, spawn: Make, waiting: Make
) -> None:
    received = spawn(pub.recv_event, "in", "a")
    waiting(pub, "in")
    assert pub.recv_multipart("out") == [b"\x01a"]
    pub.set_socket_option("in", zmq.RCVHWM, 10)
    pub.set_topic("in", "b")
    assert pub.recv_multipart("out") == [b"\x01b"]
    pub.publish("out", "b", 1)
    assert received.result() == ("b", 1)
