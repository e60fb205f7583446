"""Sharing a manager between tasks, and between native threads."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import pytest
import zmq

from agentzero import SocketManager, steps
from agentzero.errors import AgentZeroSocketError, SocketAlreadyExists, SocketClosed

Make = Callable[..., Any]


@pytest.fixture
def hectic() -> Iterator[None]:
    """Let threads take turns a thousand times as often as usual."""
    usual = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    yield
    sys.setswitchinterval(usual)


pytestmark = pytest.mark.usefixtures("hectic")


def test_eight_tasks_share_one_socket_and_nothing_is_lost_or_doubled(
    sockets: SocketManager, link: Make, spawn: Make
) -> None:
    link(sockets, ("echo", zmq.DEALER), ("shared", zmq.DEALER))

    def send(first: int) -> None:
        for number in range(first, first + 250):
            sockets.send("shared", number)

    def receive() -> list[int]:
        return [sockets.recv("shared") for _ in range(250)]

    def echo() -> None:
        for _ in range(1000):
            sockets.send("echo", sockets.recv("echo"))

    spawn(echo)
    tasks = [spawn(send, first) for first in range(0, 1000, 250)]
    received = [number for task in [spawn(receive) for _ in range(4)] for number in task.result()]
    for task in tasks:
        task.result()
    assert sorted(received) == list(range(1000))
    assert (sockets.stats("shared").sent, sockets.stats("shared").received) == (1000, 1000)


def test_closing_under_four_waiters_and_four_senders_ends_them_all(
    sockets: SocketManager, link: Make, spawn: Make, waiting: Make
) -> None:
    sockets.ensure_and_bind("in", zmq.PULL, "tcp://127.0.0.1:*")
    sockets.create("out", zmq.PUSH)

    def send() -> None:
        while True:
            sockets.send("out", 1)

    tasks = [spawn(sockets.recv, "in") for _ in range(4)] + [spawn(send) for _ in range(4)]
    waiting(sockets, "in", 4)
    waiting(sockets, "out", 4)
    for name in ("in", "out"):
        sockets.close(name)
    for task in tasks:
        with pytest.raises(SocketClosed):
            task.result()


def test_of_two_who_create_one_name_one_is_told(
    backend: Any, sockets: SocketManager, spawn: Make
) -> None:
    start = backend.event()

    def create(name: str) -> Any:
        start.wait(20)
        try:
            return sockets.create(name, zmq.PULL)
        except SocketAlreadyExists:
            return None

    tasks = [spawn(create, f"jobs-{number}") for number in range(20) for _ in range(3)]
    start.set()
    made = [task.result() for task in tasks]
    assert sum(socket is not None for socket in made) == 20
    assert len(sockets) == 20


def test_all_who_ensure_one_socket_get_the_same(
    backend: Any, sockets: SocketManager, spawn: Make
) -> None:
    start = backend.event()

    def ensure() -> Any:
        start.wait(20)
        return sockets.ensure_and_bind("jobs", zmq.PULL, "tcp://127.0.0.1:*", zmq.POLLIN)

    tasks = [spawn(ensure) for _ in range(8)]
    start.set()
    assert len({id(task.result()) for task in tasks}) == 1
    assert len(sockets.endpoints("jobs")) == 1


def test_sockets_come_and_go_while_others_engage(
    backend: Any, sockets: SocketManager, spawn: Make
) -> None:
    over = backend.event()

    def engage() -> int:
        rounds = 0
        while not over.is_set():
            with suppress(SocketClosed):
                sockets.engage(1)
            rounds += 1
            backend.pause(0)
        return rounds

    def come_and_go(task: int) -> None:
        for number in range(60):
            names = [f"{task}-{number}-{index}" for index in range(3)]
            sockets.ensure_and_bind(names[0], zmq.PULL, f"inproc://{names[0]}", zmq.POLLIN)
            sockets.create(names[1], zmq.PUSH)
            sockets.connect(names[1], f"inproc://{names[0]}", zmq.POLLOUT)
            sockets.get_or_create(names[2], zmq.DEALER, zmq.POLLIN)
            sockets.names(), len(sockets), sockets.stats(), repr(sockets)
            for name in names:
                sockets.close(name)
            backend.pause(0)

    engaging = [spawn(engage) for _ in range(2)]
    for task in [spawn(come_and_go, task) for task in range(3)]:
        task.result()
    over.set()
    assert all(task.result() > 0 for task in engaging)
    assert sockets.names() == []
    assert sockets.engage(0) == {}


def test_engage_goes_through_the_registrations_while_bind_adds_to_them(
    manager: Make, spawn: Make
) -> None:
    sockets = manager()

    def bind() -> None:
        for number in range(300):
            sockets.create(f"late-{number}", zmq.PULL)
            sockets.bind(f"late-{number}", f"inproc://late-{number}", zmq.POLLIN)

    binding = [spawn(bind)]
    while not all(task.done() for task in binding):
        assert sockets.engage(0) == {}
    binding[0].result()
    assert len(sockets._polled()) == 300


def test_one_closes_all_while_others_work(manager: Make, spawn: Make, waiting: Make) -> None:
    for _ in range(5):
        sockets = manager()
        sockets.ensure_and_bind("in", zmq.PULL, "inproc://in")
        sockets.ensure_and_connect("out", zmq.PUSH, "inproc://in")

        def work(sockets: SocketManager = sockets) -> None:
            while True:
                sockets.send("out", 1)
                sockets.recv("in")
                sockets.engage(0)

        def make(sockets: SocketManager = sockets) -> None:
            for number in range(10_000):
                sockets.ensure_and_bind("new", zmq.PULL, f"inproc://{number}", zmq.POLLIN)
                sockets.close("new")

        tasks = [spawn(work), spawn(make), spawn(sockets.recv_event, "in", timeout=20)]
        waits = spawn(sockets.wait_until_ready, "in", zmq.POLLIN)
        del waits
        sockets.close_all()
        for task in tasks[:2]:
            with pytest.raises(AgentZeroSocketError, match="closed"):
                task.result()


def test_two_close_all_at_once(manager: Make, spawn: Make) -> None:
    sockets = manager()
    sockets.create("jobs", zmq.PULL)
    for task in [spawn(sockets.close_all) for _ in range(4)]:
        task.result()
    assert sockets.names() == []


def test_native_threads_with_hubs_of_their_own_share_a_manager() -> None:
    gevent = pytest.importorskip("gevent")
    with SocketManager(backend="gevent", linger=0) as sockets:
        sockets.ensure_and_bind("in", zmq.PULL, "inproc://jobs")
        sockets.ensure_and_connect("out", zmq.PUSH, "inproc://jobs")
        received: list[int] = []

        def receive() -> None:
            for _ in range(100):
                received.append(sockets.recv("in"))
            gevent.get_hub().destroy()

        threads = [threading.Thread(target=receive) for _ in range(3)]
        for thread in threads:
            thread.start()
        for number in range(300):
            sockets.send("out", number)
            gevent.sleep(0)
        for thread in threads:
            thread.join(20)
        assert sorted(received) == list(range(300))


def test_a_native_thread_is_woken_though_another_threads_hub_made_its_socket(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A green socket watches its own fd, and so eats the edges that others wait for."""
    gevent = pytest.importorskip("gevent")
    for name in ("FIRST_NAP", "LONGEST_NAP"):
        monkeypatch.setattr(steps, name, 5.0)
    late: list[int] = []
    with SocketManager(backend="gevent", linger=0) as sockets, zmq.Context() as context:
        sockets.ensure_and_bind("in", zmq.PULL, "tcp://127.0.0.1:*")
        received, over = threading.Event(), threading.Event()

        def receive() -> None:
            while sockets.recv("in"):
                received.set()
            gevent.get_hub().destroy()

        def send() -> None:
            with context.socket(zmq.PUSH) as push:
                push.connect(sockets.endpoints("in")[0])
                for number in range(100):
                    received.clear()
                    push.send(b"1")
                    if not received.wait(4):
                        late.append(number)
                        break
                push.send(b"0")
                over.set()

        threads = [threading.Thread(target=receive), threading.Thread(target=send)]
        for thread in threads:
            thread.start()
        while any(thread.is_alive() for thread in threads):
            gevent.sleep(0.001)
    assert late == []
