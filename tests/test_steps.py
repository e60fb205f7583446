"""The waiting logic: what it asks for, when it tries again, and when it ends."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest
import zmq

from agentzero import SocketManager, steps
from agentzero.channel import Channel, RouterChannel
from agentzero.deadline import Deadline
from agentzero.errors import SocketClosed
from agentzero.pollset import PollSet
from agentzero.serializers import JSON
from agentzero.steps import Wait, drive, drive_each, end, poll, repeat, until

Make = Callable[..., Any]

IN, OUT = int(zmq.POLLIN), int(zmq.POLLOUT)


class Restless:
    """A backend and its only waiter, which returns at once from every wait, and notes it."""

    name, flavour, is_async, turn_every = "restless", "zmq", False, 0
    lock = staticmethod(threading.RLock)

    def __init__(self, then: Callable[[], object] = lambda: None) -> None:
        self.waits: list[tuple[Sequence[int], float]] = []
        self.closed = 0
        self.woken = 0
        self.then = then

    def waiter(self) -> Any:
        return self

    def wait(self, fds: Sequence[int], timeout: float) -> None:
        self.waits.append((fds, timeout))
        self.then()

    def wake(self) -> None:
        self.woken += 1

    def forget(self, fd: int) -> None:
        """Nothing is watched."""

    def close(self) -> None:
        self.closed += 1


@pytest.fixture
def idle() -> Iterator[Channel]:
    """A channel to which nothing ever comes."""
    with zmq.Context() as context, context.socket(zmq.PULL) as socket:
        yield Channel("idle", socket, threading.RLock(), JSON())


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The time, in a list of one."""
    now = [1000.0]
    monkeypatch.setattr("agentzero.deadline.monotonic", lambda: now[0])
    return now


def polled(channel: Channel) -> PollSet:
    """A set of one, polled for what can be received."""
    polled = PollSet(Restless())
    polled.register(channel, IN)
    return polled


def waited(backend: Restless) -> list[float]:
    return [timeout for _, timeout in backend.waits]


def test_what_succeeds_at_once_waits_for_nothing(idle: Channel) -> None:
    backend = Restless()
    ready = idle.ready_or_arm
    assert ready
    idle._get = lambda option: IN  # type: ignore[method-assign]
    assert drive(backend, lambda w: until(w, idle, lambda: "done", IN, Deadline(9))) == "done"
    assert (backend.waits, backend.closed) == ([], 1)


def test_a_time_of_zero_tries_once_and_never_waits(idle: Channel) -> None:
    backend, tried = Restless(), []
    attempt = lambda: tried.append(1)  # noqa: E731
    idle._get = lambda option: IN  # type: ignore[method-assign]
    assert drive(backend, lambda w: until(w, idle, attempt, IN, Deadline(0))) is None
    assert 1 <= len(tried) <= 2
    assert not any(waited(backend))  # to give others a turn is no wait


def test_single_waits_grow_and_never_pass_the_total(idle: Channel, clock: list[float]) -> None:
    def pass_time() -> None:
        clock[0] += backend.waits[-1][1]

    backend = Restless(pass_time)
    assert drive(backend, lambda w: until(w, idle, idle.try_recv, IN, Deadline(40))) is None
    assert sum(waited(backend)) == pytest.approx(40)
    assert waited(backend)[:4] == pytest.approx([0.1, 0.2, 0.4, 0.8])
    assert max(waited(backend)) == steps.LONGEST_NAP


def test_no_single_wait_is_longer_than_asked(idle: Channel, clock: list[float]) -> None:
    def pass_time() -> None:
        clock[0] += backend.waits[-1][1]

    backend = Restless(pass_time)
    drive(backend, lambda w: until(w, idle, idle.try_recv, IN, Deadline(1), longest=0.03))
    assert sum(waited(backend)) == pytest.approx(1)
    assert max(waited(backend)) == pytest.approx(0.03)


def test_wakings_for_nothing_do_not_prolong_the_wait(idle: Channel, clock: list[float]) -> None:
    """The original's wait ran far past its time-out."""

    def pass_a_little() -> None:
        clock[0] += 0.001

    for wait in (
        lambda w: until(w, idle, idle.try_recv, IN, Deadline(1)),
        lambda w: poll(w, polled(idle), Deadline(1)),
    ):
        began = clock[0]
        backend = Restless(pass_a_little)
        assert not drive(backend, wait)
        assert clock[0] - began == pytest.approx(1, abs=0.01)


def test_an_endless_wait_never_asks_for_more_than_a_nap(idle: Channel) -> None:
    def end_at_last() -> None:
        if len(backend.waits) == 20:
            idle.close()

    backend = Restless(end_at_last)
    with pytest.raises(SocketClosed):
        drive(backend, lambda w: until(w, idle, idle.try_recv, IN, Deadline(math.inf)))
    assert max(waited(backend)) == steps.LONGEST_NAP
    assert backend.closed == 1


def test_the_fds_are_those_of_the_socket_and_asked_to_be_readable(idle: Channel) -> None:
    backend = Restless()
    drive(backend, lambda w: until(w, idle, idle.try_recv, IN, Deadline(0.01)))
    assert {tuple(fds) for fds, _ in backend.waits} == {(idle.socket.get(zmq.FD),)}


def test_a_router_is_asked_often_whether_a_peer_has_room() -> None:
    with zmq.Context() as context, context.socket(zmq.ROUTER) as socket:
        channel = RouterChannel("router", socket, threading.RLock(), JSON())
        backend = Restless()
        full = lambda: None  # noqa: E731
        drive(backend, lambda w: until(w, channel, full, OUT, Deadline(0.01)))
        assert 0 < max(waited(backend)) <= 0.05
        backend = Restless()
        drive(backend, lambda w: until(w, channel, channel.try_recv, IN, Deadline(0.3)))
        assert max(waited(backend)) >= steps.FIRST_NAP


def test_a_wait_that_is_broken_off_is_forgotten(idle: Channel) -> None:
    class Interrupted(BaseException):
        pass

    def interrupt() -> None:
        raise Interrupted

    for wait in (
        lambda w: until(w, idle, idle.try_recv, IN, Deadline(9)),
        lambda w: poll(w, polled(idle), Deadline(9)),
    ):
        backend = Restless(interrupt)
        with pytest.raises(Interrupted):
            drive(backend, wait)
        assert backend.closed == 1
        assert not idle._waiters


def test_a_loop_that_is_broken_off_is_forgotten(idle: Channel) -> None:
    backend = Restless()
    running = repeat(backend, idle, lambda message: message, lambda: True, math.inf, 1)
    assert isinstance(next(running), Wait)
    assert idle._waiters
    running.close()
    assert not idle._waiters


def test_a_loop_yields_items_and_no_waits(idle: Channel) -> None:
    backend = Restless(lambda: asked.append(backend.woken))
    asked: list[int] = []
    answers = iter([True, True, False])
    loop = drive_each(
        backend, lambda w: repeat(w, idle, lambda m: m, lambda: next(answers), math.inf, 0.002)
    )
    assert list(loop) == []
    assert asked
    assert backend.closed == 1


def test_an_end_is_waited_for_and_no_longer_than_asked() -> None:
    begun, over = [], []
    backend = Restless(lambda: over.append(True))
    drive(
        backend,
        lambda w: end(w, list, lambda: begun.append(1), lambda: bool(over), list, Deadline(20)),
    )
    assert begun
    assert over
    drive(
        Restless(),
        lambda w: end(w, list, lambda: begun.append(2), lambda: False, list, Deadline(0.01)),
    )
    assert begun == [1, 2]


def test_a_request_to_wait_says_for_what_and_how_long(idle: Channel) -> None:
    running = until(Restless(), idle, idle.try_recv, IN, Deadline(0.05))
    wait = next(running)
    assert isinstance(wait, Wait)
    assert wait.fds == idle.fds
    assert 0 < wait.timeout <= 0.05
    running.close()


# With naps of half an hour, nothing but a wake-up ends a wait in the time of a test.


@pytest.fixture
def without_naps(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("FIRST_NAP", "LONGEST_NAP"):
        monkeypatch.setattr(steps, name, 1800.0)


@pytest.mark.usefixtures("without_naps")
def test_messages_wake_receivers_while_others_work_on_the_socket(
    backend: Any, sockets: SocketManager, link: Make, spawn: Make
) -> None:
    link(sockets, ("a", zmq.DEALER), ("b", zmq.DEALER))
    sockets.register_socket(sockets.get_by_name("a"), zmq.POLLIN)
    over = backend.event()

    def meddle() -> None:
        while not over.is_set():
            sockets.send("a", "noise")
            sockets.ready("a", zmq.POLLOUT, timeout=0)
            sockets.engage(0)
            sockets.set_socket_option("a", zmq.LINGER, 0)
            backend.pause(0)

    def drain() -> None:
        while sockets.recv("b", timeout=math.inf) == "noise":
            backend.pause(0)

    meddling, draining = spawn(meddle), spawn(drain)
    began = time.monotonic()
    for number in range(200):
        received = spawn(sockets.recv, "a", timeout=math.inf)
        backend.pause(0)
        sockets.send("b", number, timeout=math.inf)
        assert received.result() == number
    over.set()
    meddling.result()
    sockets.send("a", "the end")
    draining.result()
    assert time.monotonic() - began < 60


@pytest.mark.usefixtures("without_naps")
def test_senders_are_woken_by_room_while_others_receive(
    backend: Any, sockets: SocketManager, spawn: Make
) -> None:
    for name in ("a", "b"):
        sockets.create(name, zmq.DEALER)
        sockets.set_socket_option(name, zmq.HWM, 2)
    sockets.bind("a", "inproc://narrow")
    sockets.connect("b", "inproc://narrow")

    def send(name: str, first: int) -> None:
        for number in range(first, first + 100):
            sockets.send(name, number, timeout=math.inf)

    def receive(name: str) -> list[int]:
        return [sockets.recv(name, timeout=math.inf) for _ in range(100)]

    senders = [spawn(send, name, first) for name in ("a", "b") for first in (0, 100)]
    receivers = {name: [spawn(receive, name) for _ in range(2)] for name in ("a", "b")}
    for task in senders:
        task.result()
    for tasks in receivers.values():
        assert sorted(number for task in tasks for number in task.result()) == list(range(200))
