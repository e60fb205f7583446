"""What `engage` polls: nothing that is ready is missed, and nothing that is idle is looked at."""

from __future__ import annotations

import math
import os
import select
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import pytest
import zmq

from agentzero import SocketManager, pollset
from agentzero.errors import SocketClosed
from tests.processes import eventually

Make = Callable[..., Any]


class Bystander:
    """Somebody who waits beside."""

    woken = 0

    def wake(self) -> None:
        self.woken += 1


@pytest.fixture(params=["epoll", "no epoll"])
def sockets(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Fifty DEALERs, "0" to "49", of which "0" is connected to "peer"; no belt, only braces."""
    if request.param == "no epoll":
        monkeypatch.delattr(select, "epoll", raising=False)
    elif not hasattr(select, "epoll"):
        pytest.skip("this system has no epoll")
    monkeypatch.setattr(pollset, "LOOK_AT_ALL", math.inf)
    with SocketManager(backend="threads", linger=0) as manager:
        for number in range(50):
            manager.get_or_create(str(number), zmq.DEALER, zmq.POLLIN)
        manager.bind("0", "inproc://0")
        manager.ensure_and_connect("peer", zmq.DEALER, "inproc://0")
        assert manager.engage(0) == {}
        yield manager


def names(sockets: SocketManager, timeout: float = 0) -> list[str]:
    by_socket = {sockets.get_by_name(name): name for name in sockets.names()}
    return [by_socket[socket] for socket in sockets.engage(timeout)]


def due(sockets: SocketManager) -> list[str]:
    return [channel.name for channel, _, _ in sockets._registered.due(Bystander())]


def test_what_is_ready_stays_so_until_it_is_read(sockets: SocketManager) -> None:
    for _ in range(3):
        sockets.send("peer", "hello")
    for _ in range(3):
        assert names(sockets) == names(sockets) == ["0"]
        sockets.recv("0")
    assert names(sockets) == []


def test_an_edge_that_an_operation_by_hand_has_eaten_is_seen(sockets: SocketManager) -> None:
    socket = sockets.get_by_name("0")
    for number in range(50):
        sockets.send("peer", number)
        socket.send(b"1")  # takes note of the message, and so silences the file descriptor
        assert names(sockets) == ["0"]
        assert socket.recv() == b"%d" % number
        assert names(sockets) == []


def test_an_edge_that_a_verb_has_eaten_is_seen(sockets: SocketManager) -> None:
    for number in range(50):
        sockets.send("peer", number)
        sockets.send("0", "anything")
        assert names(sockets) == ["0"]
        assert sockets.recv("0") == number
        assert names(sockets) == []


def test_idle_sockets_are_left_alone(sockets: SocketManager) -> None:
    # Where nothing tells which are idle, all are looked at.
    idle = set() if hasattr(select, "epoll") else {str(number) for number in range(50)}
    names(sockets)
    assert set(due(sockets)) == idle
    sockets.send("peer", 1)
    assert set(due(sockets)) == idle | {"0"}
    sockets.recv("0")
    names(sockets)
    names(sockets)  # the first look has moved the mailbox once more
    assert set(due(sockets)) == idle


def test_everything_is_looked_at_now_and_then(
    sockets: SocketManager, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sockets._registered, "_look_at_all", 0.0)
    assert len(due(sockets)) == 50


@pytest.mark.parametrize("kind", [zmq.REQ, zmq.REP])
def test_a_turn_taken_by_hand_makes_a_stateful_socket_ready(
    sockets: SocketManager, kind: int, peer: Make
) -> None:
    address = "tcp://127.0.0.1:*"
    socket = sockets.ensure_and_bind("turns", kind, address, zmq.POLLIN | zmq.POLLOUT)
    other = peer(zmq.REP if kind == zmq.REQ else zmq.REQ, connect=sockets.endpoints("turns")[0])
    if kind == zmq.REQ:
        assert sockets.engage() == {socket: zmq.POLLOUT}
        socket.send(b"question")
        other.recv()
        assert sockets.engage(0) == {}
        other.send(b"answer")
        assert sockets.engage() == {socket: zmq.POLLIN}
    else:
        assert sockets.engage(0) == {}
        other.send(b"question")
        assert sockets.engage() == {socket: zmq.POLLIN}
    socket.recv()
    assert sockets.engage(0) == {socket: zmq.POLLOUT}


def test_another_mask_is_looked_at_anew(sockets: SocketManager) -> None:
    socket = sockets.get_by_name("0")
    sockets.register_socket(socket, zmq.POLLOUT)
    assert sockets.engage(0) == {socket: zmq.POLLOUT}
    sockets.register_socket(socket, zmq.POLLIN)
    assert sockets.engage(0) == {}
    sockets.register_socket(socket, zmq.POLLIN | zmq.POLLOUT)
    assert sockets.engage(0) == {socket: zmq.POLLOUT}


def test_who_sees_a_change_wakes_the_others(sockets: SocketManager) -> None:
    bystander, polled = Bystander(), sockets._registered
    polled.enter(bystander)
    sockets.send("peer", 1)
    assert names(sockets) == ["0"]
    # Where there is no epoll, it would be woken by the channel.
    assert bool(bystander.woken) is hasattr(select, "epoll")
    assert "0" in due(sockets)
    polled.leave(bystander)


def test_a_socket_with_the_number_of_a_closed_one_is_polled(sockets: SocketManager) -> None:
    for number in range(20):
        sockets.close("0")
        sockets.get_or_create("0", zmq.DEALER, zmq.POLLIN)
        sockets.bind("0", f"inproc://again-{number}")
        sockets.disconnect("peer")
        sockets.connect("peer", f"inproc://again-{number}")
        assert names(sockets) == []
        sockets.send("peer", number)
        assert names(sockets) == ["0"]
        assert sockets.recv("0") == number


def test_a_foreign_socket_closed_by_its_owner_is_polled_no_more(
    sockets: SocketManager, peer: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    foreign = sockets.register_socket(peer(zmq.PULL), zmq.POLLIN)
    assert sockets.engage(0) == {}
    foreign.close()
    monkeypatch.setattr(sockets._registered, "_look_at_all", 0.0)
    assert sockets.engage(0) == {}
    assert len(sockets._registered) == 50


def test_a_socket_closed_as_it_is_registered_is_not_polled(sockets: SocketManager) -> None:
    channel = sockets._channels["1"]
    sockets.close("1")
    sockets._registered.register(channel, zmq.POLLIN)
    assert len(sockets._registered) == 49
    assert sockets.engage(0) == {}


def test_what_is_connected_or_bound_within_the_process_is_seen(sockets: SocketManager) -> None:
    """No mailbox moves: pipes within a process are joined by whoever comes second."""
    sockets.get_or_create("out", zmq.PUSH, zmq.POLLOUT)
    sockets.get_or_create("jobs", zmq.PULL, zmq.POLLIN)
    assert names(sockets) == []
    sockets.connect("out", "inproc://jobs")
    assert names(sockets) == ["out"]
    sockets.send("out", 1)
    sockets.bind("jobs", "inproc://jobs")
    assert sorted(names(sockets)) == ["jobs", "out"]


def test_a_signal_handler_may_close_a_socket_in_the_middle_of_a_round(
    sockets: SocketManager, monkeypatch: pytest.MonkeyPatch
) -> None:
    to_close = [str(number) for number in range(1, 40)]

    def monotonic() -> float:
        if to_close:
            sockets.close(to_close.pop())
        return 0.0

    monkeypatch.setattr(pollset, "monotonic", monotonic)
    while to_close:
        with suppress(SocketClosed):
            assert names(sockets) == []
    sockets.send("peer", 1)
    assert names(sockets) == ["0"]


def test_an_interrupted_round_is_made_good(
    sockets: SocketManager, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    sockets.send("peer", 1)
    with monkeypatch.context() as patch:
        patch.setattr(sockets._registered, "_mark", interrupted)
        patch.setattr(pollset, "monotonic", interrupted)
        with pytest.raises(KeyboardInterrupt):
            sockets.engage(0)
    assert names(sockets) == ["0"]


def test_two_who_wait_do_not_keep_each_other_awake(sockets: SocketManager) -> None:
    engaged = [threading.Thread(target=sockets.engage, args=(500,)) for _ in range(2)]
    worked = time.process_time()
    for thread in engaged:
        thread.start()
    for thread in engaged:
        thread.join()
    assert time.process_time() - worked < 0.4


def test_a_forked_process_leaves_its_parents_sockets_alone(sockets: SocketManager) -> None:
    polled, bystander = sockets._registered, Bystander()
    polled.enter(bystander)
    channel, [fd, *_] = sockets._channels["0"], polled.fds
    polled.inherit(sockets.backend)
    assert polled.lost(bystander) >= {channel}
    assert due(sockets) == []
    polled.discard(channel)
    polled.leave(bystander)
    if hasattr(select, "epoll"):  # which the parent goes on with
        with select.epoll.fromfd(os.dup(fd)) as epoll:
            epoll.poll(0)
            sockets.send("peer", 1)
            assert epoll.poll(0) == [(channel.fds[0], select.EPOLLIN | select.EPOLLOUT)]


def test_what_was_closed_before_is_left_out_however_late_it_is_found(
    sockets: SocketManager, peer: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    foreign = sockets.register_socket(peer(zmq.PULL), zmq.POLLIN)
    sockets._registered._restless.clear()
    assert sockets.engage(0) == {}
    foreign.close()
    monkeypatch.setattr(sockets._registered, "_look_at_all", time.monotonic() + 0.05)
    assert sockets.engage(200) == {}
    assert len(sockets._registered) == 50


def test_closing_tells_those_who_poll(sockets: SocketManager) -> None:
    bystander, polled = Bystander(), sockets._registered
    polled.enter(bystander)
    channel = sockets._channels["1"]
    sockets.close("1")
    assert bystander.woken
    assert polled.lost(bystander) == {channel}
    with pytest.raises(SocketClosed):
        channel.ready(0)
    polled.leave(bystander)


def test_a_number_that_is_anothers_by_now_is_let_go_of_without_a_word(
    sockets: SocketManager,
) -> None:
    """Closed by one task and registered by another, a socket's number may be anything's."""
    polled = sockets._registered
    with open(__file__) as file:
        for number, fd in enumerate((*polled.fds[:1], file.fileno(), 10**6)):
            sockets.create(f"late {number}", zmq.PULL)
            late = sockets._channels[f"late {number}"]
            late.close()
            late.fds = (fd,)
            polled.register(late, zmq.POLLIN)
    assert len(polled) == 50
    sockets.send("peer", "hello")
    assert names(sockets) == ["0"]


@pytest.mark.skipif(not os.path.isdir("/proc/self/fd"), reason="this system has no /proc")
def test_no_file_descriptor_is_left_open() -> None:
    with SocketManager(backend="threads", linger=0) as sockets:
        sockets.engage(0)
        for number in range(30):
            if number == 5:
                before = len(os.listdir("/proc/self/fd"))
            sockets.get_or_create("in", zmq.PULL, zmq.POLLIN)
            sockets.engage(0.1)
            sockets.close("in")
        # libzmq lets go of what is closed in a thread of its own.
        eventually(lambda: len(os.listdir("/proc/self/fd")) <= before + 1)
