"""engage, ready, wait_until_ready: waiting for sockets without touching their messages."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest
import zmq

from agentzero import SocketManager
from agentzero.errors import SocketClosed, SocketNotFound

Make = Callable[..., Any]

IN_OR_OUT = zmq.POLLIN | zmq.POLLOUT


@pytest.fixture
def pair(sockets: SocketManager, link: Make) -> SocketManager:
    """Two DEALERs named "a" and "b", connected."""
    link(sockets, ("a", zmq.DEALER), ("b", zmq.DEALER))
    sockets.wait_until_ready("a", zmq.POLLOUT)
    return sockets


def test_a_socket_that_can_only_send_is_ready_for_in_or_out(pair: SocketManager) -> None:
    """The original compared masks with ==: ready for one of two was never "ready"."""
    a = pair.get_by_name("a")
    assert pair.ready("a", IN_OR_OUT, timeout=0) is a
    assert pair.wait_until_ready("a", IN_OR_OUT, timeout=0) is a


def test_a_socket_that_can_do_both_is_ready_for_each(pair: SocketManager) -> None:
    a = pair.get_by_name("a")
    pair.send("b", "hello")
    assert pair.ready("a", zmq.POLLIN) is a
    for mask in (zmq.POLLIN, zmq.POLLOUT, IN_OR_OUT):
        assert pair.ready("a", mask, timeout=0) is a
        assert pair.wait_until_ready("a", mask, timeout=0) is a


@pytest.mark.parametrize("verb", ["ready", "wait_until_ready"])
def test_a_socket_with_nothing_to_read_is_not_ready_for_in(pair: SocketManager, verb: str) -> None:
    assert getattr(pair, verb)("a", zmq.POLLIN, timeout=0.01) is None


@pytest.mark.parametrize("verb", ["ready", "wait_until_ready"])
def test_a_message_ends_the_wait(
    pair: SocketManager, spawn: Make, waiting: Make, verb: str
) -> None:
    waits = spawn(getattr(pair, verb), "a", zmq.POLLIN)
    waiting(pair, "a")
    pair.send("b", "hello")
    assert waits.result() is pair.get_by_name("a")
    assert pair.recv("a", timeout=0) == "hello"


def test_a_peer_ends_the_wait_for_somebody_to_send_to(
    sockets: SocketManager, spawn: Make, waiting: Make, peer: Make
) -> None:
    out = sockets.ensure_and_bind("out", zmq.PUSH, "tcp://127.0.0.1:*")
    waits = spawn(sockets.wait_until_ready, "out", zmq.POLLOUT)
    waiting(sockets, "out")
    peer(zmq.PULL, connect=sockets.endpoints("out")[0])
    assert waits.result() is out


@pytest.mark.parametrize("verb", ["ready", "wait_until_ready"])
def test_the_socket_need_not_be_registered_and_is_not(pair: SocketManager, verb: str) -> None:
    assert getattr(pair, verb)("a", zmq.POLLOUT)
    assert pair.engage(0) == {}


@pytest.mark.parametrize("verb", ["ready", "wait_until_ready"])
def test_waiting_for_an_unknown_socket_says_so(sockets: SocketManager, verb: str) -> None:
    with pytest.raises(SocketNotFound, match="'nobody'"):
        getattr(sockets, verb)("nobody", zmq.POLLIN)


@pytest.mark.parametrize("verb", ["ready", "wait_until_ready"])
def test_closing_a_socket_ends_the_wait(
    sockets: SocketManager, spawn: Make, waiting: Make, verb: str
) -> None:
    sockets.create("jobs", zmq.PULL)
    waits = spawn(getattr(sockets, verb), "jobs", zmq.POLLIN)
    waiting(sockets, "jobs")
    sockets.close("jobs")
    with pytest.raises(SocketClosed, match="'jobs'"):
        waits.result()


def test_engage_tells_what_each_socket_is_ready_for(pair: SocketManager) -> None:
    a = pair.register_socket(pair.get_by_name("a"), IN_OR_OUT)
    b = pair.register_socket(pair.get_by_name("b"), zmq.POLLIN)
    assert pair.engage(0) == {a: zmq.POLLOUT}
    pair.send("b", "hello")
    pair.ready("a", zmq.POLLIN)
    assert pair.engage(0) == {a: IN_OR_OUT}
    pair.send("a", "hello")
    pair.ready("b", zmq.POLLIN)
    assert pair.engage(0) == {a: IN_OR_OUT, b: zmq.POLLIN}


def test_engage_polls_a_socket_once_however_often_it_is_registered(pair: SocketManager) -> None:
    for _ in range(3):
        pair.ensure_and_bind("a", zmq.DEALER, "inproc://again", zmq.POLLOUT)
        pair.get_or_create("a", zmq.DEALER, zmq.POLLOUT)
    assert list(pair.engage(0).values()) == [zmq.POLLOUT]
    assert len(pair._registered) == 1


def test_engage_ends_with_the_first_message(
    pair: SocketManager, spawn: Make, waiting: Make
) -> None:
    a = pair.register_socket(pair.get_by_name("a"), zmq.POLLIN)
    pair.register_socket(pair.get_by_name("b"), zmq.POLLIN)
    engaged = spawn(pair.engage)
    waiting(pair, "b")
    pair.send("b", "hello")
    assert engaged.result() == {a: zmq.POLLIN}


def test_engage_with_nothing_registered_waits_without_working(sockets: SocketManager) -> None:
    began, worked = time.monotonic(), time.process_time()
    assert sockets.engage(400) == {}
    assert time.monotonic() - began >= 0.399
    assert time.process_time() - worked < 0.2


def test_engage_polls_no_socket_that_was_closed(pair: SocketManager) -> None:
    pair.register_socket(pair.get_by_name("a"), zmq.POLLOUT)
    b = pair.register_socket(pair.get_by_name("b"), zmq.POLLOUT)
    pair.close("a")
    pair.create("a", zmq.DEALER)
    assert pair.engage(0) in ({b: zmq.POLLOUT}, {})  # b may know already that it is alone
    assert len(pair._registered) == 1


def test_engage_ends_when_one_of_its_sockets_is_closed_meanwhile(
    pair: SocketManager, spawn: Make, waiting: Make
) -> None:
    pair.register_socket(pair.get_by_name("a"), zmq.POLLIN)
    pair.register_socket(pair.get_by_name("b"), zmq.POLLIN)
    engaged = spawn(pair.engage)
    waiting(pair, "b")
    pair.close("a")
    with pytest.raises(SocketClosed, match="'a'"):
        engaged.result()
    assert pair.engage(0) == {}


def test_waiting_takes_no_message_away(pair: SocketManager) -> None:
    pair.register_socket(pair.get_by_name("a"), zmq.POLLIN)
    pair.send("b", 1)
    for _ in range(3):
        assert pair.engage()
        assert pair.ready("a", zmq.POLLIN)
    assert pair.recv("a", timeout=0) == 1
    assert pair.engage(0) == {}


def test_what_is_ready_can_be_used_by_hand(backend: Any, pair: SocketManager) -> None:
    pair.send("b", "hello")
    socket = pair.wait_until_ready("a", zmq.POLLIN)
    assert backend.call(socket.recv, zmq.NOBLOCK) == b'"hello"'


def test_several_tasks_wait_on_one_socket_and_each_message_wakes_one(
    pair: SocketManager, spawn: Make, waiting: Make
) -> None:
    waits = [spawn(pair.recv, "a") for _ in range(4)]
    waiting(pair, "a", 4)
    for number in range(4):
        pair.send("b", number)
    assert sorted(task.result() for task in waits) == [0, 1, 2, 3]


def test_other_tasks_run_while_one_waits(backend: Any, pair: SocketManager, spawn: Make) -> None:
    ticks = []

    def tick() -> None:
        for number in range(10):
            ticks.append(number)
            backend.pause(0.001)
        pair.send("b", "after ten ticks")

    spawn(tick)
    assert pair.recv("a") == "after ten ticks"
    assert len(ticks) == 10


def test_one_task_sends_while_another_waits_to_receive(
    pair: SocketManager, spawn: Make, waiting: Make
) -> None:
    received = spawn(pair.recv, "a")
    waiting(pair, "a")
    pair.send("a", "from a")
    assert pair.recv("b") == "from a"
    pair.send("b", "from b")
    assert received.result() == "from b"
