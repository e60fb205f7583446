"""Closing: one socket, all of them, and what others notice of it."""

from __future__ import annotations

import gc
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import zmq

from agentzero import SocketManager
from agentzero.errors import ManagerClosed, SocketClosed

Make = Callable[..., Any]

PATIENCE = 20.0
LARGE = 30  # messages of a megabyte, more than the system's buffers take

WAITS: dict[str, Callable[[SocketManager], object]] = {
    "recv": lambda sockets: sockets.recv("in"),
    "recv_safe": lambda sockets: sockets.recv_safe("in"),
    "recv_multipart": lambda sockets: sockets.recv_multipart("in"),
    "recv_from": lambda sockets: sockets.recv_from("in"),
    "recv_event": lambda sockets: sockets.recv_event("events"),
    "recv_event_safe": lambda sockets: sockets.recv_event_safe("events"),
    "ready": lambda sockets: sockets.ready("in", zmq.POLLIN),
    "wait_until_ready": lambda sockets: sockets.wait_until_ready("in", zmq.POLLIN),
    "engage": lambda sockets: sockets.engage(),
    "send": lambda sockets: sockets.send("out", 1),
    "send_safe": lambda sockets: sockets.send_safe("out", 1),
    "send_multipart": lambda sockets: sockets.send_multipart("out", [b"1"]),
    "send_to": lambda sockets: sockets.send_to("router", b"full", 1),
    "publish": lambda sockets: sockets.publish("out", "topic", 1),
    "publish_safe": lambda sockets: sockets.publish_safe("out", "topic", 1),
    "request of a REQ": lambda sockets: sockets.request("req", 1),
    "request of a DEALER": lambda sockets: sockets.request("dealer", 1),
    "wait_for_subscribers": lambda sockets: sockets.wait_for_subscribers("news"),
}

# They end where others raise SocketClosed.
LOOPS: dict[str, Callable[[SocketManager], object]] = {
    "subscribe": lambda sockets: list(sockets.subscribe("events")),
    "serve on a REP": lambda sockets: sockets.serve("rep", len),
    "serve on a ROUTER": lambda sockets: sockets.serve("router", len),
}

OTHERS: dict[str, Callable[[SocketManager], object]] = {
    "create": lambda sockets: sockets.create("new", zmq.PULL),
    "get_by_name": lambda sockets: sockets.get_by_name("in"),
    "get_or_create": lambda sockets: sockets.get_or_create("in", zmq.PULL),
    "bind": lambda sockets: sockets.bind("in", "inproc://x"),
    "bind_to_random_port": lambda sockets: sockets.bind_to_random_port("in"),
    "ensure_and_bind": lambda sockets: sockets.ensure_and_bind("in", zmq.PULL, "inproc://x"),
    "ensure_and_connect": lambda sockets: sockets.ensure_and_connect("a", zmq.PULL, "inproc://x"),
    "connect": lambda sockets: sockets.connect("in", "inproc://x"),
    "disconnect": lambda sockets: sockets.disconnect("in"),
    "unbind": lambda sockets: sockets.unbind("in"),
    "endpoints": lambda sockets: sockets.endpoints("in"),
    "set_socket_option": lambda sockets: sockets.set_socket_option("in", zmq.LINGER, 0),
    "set_topic": lambda sockets: sockets.set_topic("in", "a"),
    "unset_topic": lambda sockets: sockets.unset_topic("in", "a"),
    "publish_nowait": lambda sockets: sockets.publish_nowait("out", "a", 1),
    "stats": lambda sockets: sockets.stats("in"),
}


ALL = WAITS | OTHERS | LOOPS

# On which sockets verbs wait: those not named here, on "in".
WAITS_ON = {name: "out" for name in WAITS if name.startswith(("send", "publish"))} | {
    "send_to": "router",
    "recv_event": "events",
    "recv_event_safe": "events",
    "subscribe": "events",
    "request of a REQ": "req",
    "request of a DEALER": "dealer",
    "wait_for_subscribers": "news",
    "serve on a REP": "rep",
    "serve on a ROUTER": "router",
}


@pytest.fixture
def idle(sockets: SocketManager, full_router: bytes) -> SocketManager:
    """Sockets that wait for ever: nobody sends, nobody receives."""
    sockets.ensure_and_bind("in", zmq.PULL, "tcp://127.0.0.1:*", zmq.POLLIN)
    sockets.ensure_and_bind("out", zmq.PUSH, "tcp://127.0.0.1:*")
    sockets.ensure_and_bind("events", zmq.SUB, "tcp://127.0.0.1:*")
    for name in ("req", "dealer", "rep"):
        sockets.ensure_and_bind(name, zmq.SocketType[name.upper()], f"inproc://{name}")
    sockets.ensure_and_bind("news", zmq.XPUB, "inproc://news")
    return sockets


@pytest.mark.parametrize("verb", WAITS)
def test_a_closed_socket_wakes_its_waiters(
    idle: SocketManager, spawn: Make, waiting: Make, verb: str
) -> None:
    name = WAITS_ON.get(verb, "in")
    # On a REQ others would wait for their turn; tests/test_manager_asking.py has that.
    tasks = 1 if verb == "request of a REQ" else 4
    waits = [spawn(WAITS[verb], idle) for _ in range(tasks)]
    waiting(idle, name, tasks)
    idle.close(name)
    for task in waits:
        with pytest.raises(SocketClosed, match=f"socket '{name}' .* was closed"):
            task.result()


@pytest.mark.parametrize("loop", LOOPS)
@pytest.mark.parametrize("all_of_it", [False, True], ids=["socket", "manager"])
def test_a_closed_socket_ends_the_loops_on_it(
    idle: SocketManager, spawn: Make, waiting: Make, loop: str, all_of_it: bool
) -> None:
    name = WAITS_ON.get(loop, "in")
    loops = [spawn(LOOPS[loop], idle) for _ in range(4)]
    waiting(idle, name, 4)
    idle.close_all() if all_of_it else idle.close(name)
    for task in loops:
        assert not task.result()


@pytest.mark.parametrize("verb", WAITS)
def test_a_closed_manager_wakes_all_waiters(
    idle: SocketManager, spawn: Make, waiting: Make, verb: str
) -> None:
    waits = spawn(WAITS[verb], idle)
    waiting(idle, WAITS_ON.get(verb, "in"))
    idle.close_all()
    with pytest.raises(SocketClosed, match="was closed"):
        waits.result()


@pytest.mark.parametrize("verb", ALL.values(), ids=ALL)
def test_a_closed_manager_says_so_from_every_verb(
    idle: SocketManager, verb: Callable[[SocketManager], object]
) -> None:
    idle.close_all()
    with pytest.raises(ManagerClosed, match="closed"):
        verb(idle)
    assert idle.names() == []


def test_a_closed_manager_registers_nothing(idle: SocketManager, peer: Make) -> None:
    idle.close_all()
    with pytest.raises(ManagerClosed):
        idle.register_socket(peer(zmq.PULL), zmq.POLLIN)


@pytest.mark.parametrize("verb", ALL.values(), ids=ALL)
def test_a_socket_closed_behind_the_managers_back_is_no_crash(
    idle: SocketManager, verb: Callable[[SocketManager], object]
) -> None:
    idle.polling_timeout = 10  # engage has nothing left to wait for
    for name in idle.names():
        idle.get_by_name(name).close()
    with suppress(SocketClosed):
        verb(idle)
    idle.close("in")
    idle.ensure_and_bind("in", zmq.PULL, "inproc://again")


@pytest.mark.parametrize("verb", [name for name in WAITS if name != "engage"])
def test_using_a_socket_that_its_user_closed_raises_socket_closed(
    idle: SocketManager, verb: str
) -> None:
    for name in idle.names():
        idle.get_by_name(name).close()
    with pytest.raises(SocketClosed, match="was closed"):
        WAITS[verb](idle)


def test_closing_frees_the_name(sockets: SocketManager) -> None:
    """The original's close kept the name."""
    first = sockets.ensure_and_bind("jobs", zmq.PULL, "inproc://jobs", zmq.POLLIN)
    sockets.close("jobs")
    assert first.closed
    assert sockets.names() == []
    assert sockets.engage(0) == {}
    second = sockets.create("jobs", zmq.PUSH)
    assert sockets.get_by_name("jobs") is second


def test_closing_what_is_not_there_is_silent(sockets: SocketManager) -> None:
    sockets.close("nobody")
    sockets.create("jobs", zmq.PULL)
    sockets.close("jobs")
    sockets.close("jobs")
    sockets.close_all()
    sockets.close("jobs")


def test_closing_all_twice_is_harmless(manager: Make) -> None:
    sockets = manager()
    jobs = sockets.create("jobs", zmq.PULL)
    sockets.close_all()
    sockets.close_all()
    assert jobs.closed


def test_a_manager_closes_at_the_end_of_its_block(manager: Make) -> None:
    with manager() as sockets:
        jobs = sockets.create("jobs", zmq.PULL)
    assert jobs.closed
    assert sockets.context.closed
    with pytest.raises(ManagerClosed):
        sockets.create("jobs", zmq.PULL)


def test_a_manager_of_its_own_context_terminates_it(manager: Make) -> None:
    sockets = manager()
    sockets.create("jobs", zmq.PULL)
    sockets.close_all()
    assert sockets.context.closed


def test_a_context_that_was_passed_in_is_never_terminated(manager: Make) -> None:
    with zmq.Context() as context:
        sockets = manager(context=context)
        jobs = sockets.create("jobs", zmq.PULL)
        sockets.close_all()
        assert jobs.closed
        assert not context.closed
        context.socket(zmq.PULL).close()


def test_messages_on_their_way_are_delivered_within_the_linger(manager: Make, peer: Make) -> None:
    sockets = manager(linger=20)
    pull = peer(zmq.PULL, rcvhwm=1)
    port = pull.bind_to_random_port("tcp://127.0.0.1")
    sockets.ensure_and_connect("out", zmq.PUSH, f"tcp://127.0.0.1:{port}")
    for number in range(100):
        sockets.send("out", number)
    sockets.close("out")
    assert [pull.recv() for _ in range(100)] == [b"%d" % number for number in range(100)]


def test_messages_for_nobody_keep_it_for_the_linger_and_no_longer(manager: Make) -> None:
    sockets = manager(linger=0.2)
    sockets.ensure_and_connect("out", zmq.PUSH, "tcp://127.0.0.1:1")
    sockets.send("out", "into the void")
    sockets.close_all()
    assert sockets.context.closed


def test_other_tasks_run_while_a_manager_lingers(backend: Any, manager: Make, spawn: Make) -> None:
    sockets = manager(linger=0.3)
    sockets.ensure_and_connect("out", zmq.PUSH, "tcp://127.0.0.1:1")
    sockets.send("out", "into the void")
    order: list[str] = []

    def work() -> None:
        for _ in range(3):
            backend.pause(0.01)
        order.append("worked")

    spawn(work)
    sockets.close_all()
    order.append("closed")
    assert order == ["worked", "closed"]


@pytest.mark.parametrize("linger", [0, float("inf")])
def test_a_manager_that_is_dropped_closes_its_sockets(
    backend: Any, linger: float, eventually: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    failures: list[Any] = []
    monkeypatch.setattr(sys, "unraisablehook", failures.append)
    sockets = backend.manager(linger=linger)
    jobs, context = sockets.create("jobs", zmq.PULL), sockets.context
    del sockets
    gc.collect()
    eventually(lambda: (jobs.closed and context.closed) or failures)
    assert failures == []


def test_what_was_counted_is_remembered_after_closing(pipe: SocketManager) -> None:
    pipe.send("out", "hello")
    pipe.recv("in")
    pipe.close("out")
    pipe.close("in")
    assert (pipe.stats().sent, pipe.stats().received) == (1, 1)


def test_a_close_that_ctrl_c_ended_can_be_repeated(
    sockets: SocketManager, monkeypatch: pytest.MonkeyPatch
) -> None:
    sockets.create("x", zmq.PULL)
    sockets.bind("x", "inproc://x")

    def interrupted(fd: int) -> None:
        monkeypatch.undo()
        raise KeyboardInterrupt

    monkeypatch.setattr(sockets._channels["x"], "forget", interrupted)
    with pytest.raises(KeyboardInterrupt):
        sockets.close("x")
    sockets.close("x")
    assert "x" not in sockets
    sockets.ensure_and_bind("x", zmq.PULL, "inproc://y")


def test_the_address_of_a_closed_socket_is_free_at_once(
    idle: SocketManager, spawn: Make, waiting: Make
) -> None:
    """Its waiters may still be on their way out."""
    for number in range(20):
        idle.ensure_and_bind("again", zmq.PULL, "inproc://again")
        waits = [spawn(idle.recv_safe, "again") for _ in range(3)]
        waiting(idle, "again", 3)
        idle.close("again")
        idle.ensure_and_bind(f"other-{number}", zmq.PULL, "inproc://again")
        idle.close(f"other-{number}")
        for task in waits:
            with pytest.raises(SocketClosed):
                task.result()


@pytest.mark.parametrize("transport", ["tcp://127.0.0.1:*", "ipc://{folder}/out"])
@pytest.mark.parametrize("all_of_it", [False, True], ids=["socket", "manager"])
def test_what_a_bound_socket_has_sent_arrives_when_it_is_closed(
    manager: Make, peer: Make, tmp_path: Path, transport: str, all_of_it: bool
) -> None:
    sockets = manager(linger=PATIENCE)
    sockets.ensure_and_bind("out", zmq.PUSH, transport.format(folder=tmp_path))
    receiver = peer(zmq.PULL, connect=sockets.endpoints("out")[0])
    for _ in range(LARGE):
        sockets.send_multipart("out", [b"x" * 1_000_000])
    with ThreadPoolExecutor() as threads:  # closing all of it waits until that is taken
        closing = threads.submit(sockets.close_all if all_of_it else partial(sockets.close, "out"))
        for _ in range(LARGE):
            assert len(receiver.recv()) == 1_000_000
        closing.result()


def test_the_address_of_a_closed_socket_that_has_sent_is_free_soon(sockets: SocketManager) -> None:
    sockets.ensure_and_bind("first", zmq.XPUB, "tcp://127.0.0.1:*")
    [address] = sockets.endpoints("first")
    sockets.publish("first", "topic", 1)
    sockets.close("first")
    for number in range(50):
        sockets.ensure_and_bind(f"{number}", zmq.XPUB, address)
        sockets.publish(f"{number}", "topic", 1)
        sockets.close(f"{number}")
