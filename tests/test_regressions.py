"""What once went wrong between two steps: each test puts the other task, or Ctrl-C, right there."""

from __future__ import annotations

import asyncio
import gc
import os
import select
import threading
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import pytest
import zmq

from agentzero import AsyncSocketManager, SocketManager, lifecycle, steps
from agentzero.channel import Channel, RouterChannel
from agentzero.deadline import Deadline
from agentzero.errors import PeerUnreachable, SocketClosed
from agentzero.events import Event
from agentzero.serializers import JSON
from tests.processes import START, elsewhere, run

Make = Callable[..., Any]

IN = int(zmq.POLLIN)


class Sleeper:
    woken = False

    def wake(self) -> None:
        self.woken = True


@pytest.fixture
def opened() -> Iterator[Callable[[int], Channel]]:
    """Make a channel; all of them share a context."""
    context, made = zmq.Context(), []

    def make(kind: int) -> Channel:
        channel_class = RouterChannel if kind == zmq.ROUTER else Channel
        made.append(channel_class("test", context.socket(kind), threading.RLock(), JSON()))
        return made[-1]

    yield make
    context.destroy(linger=0)


# Wake-ups


def test_a_message_for_an_unknown_peer_takes_no_wake_up_from_a_receiver(
    opened: Make, peer: Make
) -> None:
    channel, sleeper = opened(zmq.ROUTER), Sleeper()
    channel.socket.router_mandatory = 1
    port = channel.socket.bind_to_random_port("tcp://127.0.0.1")
    assert channel.attempt_or_arm(channel.try_recv, IN, sleeper) is None
    peer(zmq.DEALER, connect=f"tcp://127.0.0.1:{port}").send(b"message")
    while not channel.ready(IN):  # this looks without telling anybody
        assert select.select(channel.fds, [], [], 20)[0]
    with pytest.raises(PeerUnreachable):
        channel.try_send_frames([b"nobody", b"1"])
    assert sleeper.woken


def test_who_waits_for_room_that_nothing_tells_of_asks_soon(
    opened: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An XPUB that may not drop is always ready to send, though it has no room."""
    monkeypatch.setattr(steps, "FIRST_NAP", 1000.0)
    channel, sub = opened(zmq.XPUB), opened(zmq.SUB).socket
    channel.socket.set(zmq.XPUB_NODROP, 1)
    channel.socket.sndhwm = sub.rcvhwm = 1
    channel.socket.bind("inproc://news")
    sub.connect("inproc://news")
    sub.subscribe(b"")
    assert channel.socket.recv() == b"\1"
    while channel.try_send(b"1"):
        pass
    attempt = partial(channel.try_send, b"2")
    waits = steps.until(Sleeper(), channel, attempt, int(zmq.POLLOUT), Deadline(1000), 1000)
    assert next(waits).timeout < 1
    waits.close()


# Multipart messages


def test_ctrl_c_is_raised_where_the_message_finds_no_room_too(opened: Make) -> None:
    channel = opened(zmq.PUSH)
    send, interrupts = channel._send, iter([KeyboardInterrupt])

    def interrupted(frame: Any, flags: int) -> None:
        for interrupt in interrupts:
            raise interrupt
        send(frame, flags)

    channel._send = interrupted
    with pytest.raises(KeyboardInterrupt):
        channel.try_send_frames([b"one", b"two"])


def test_a_peer_that_goes_in_mid_message_does_not_take_the_next_one_along(
    opened: Make,
) -> None:
    channel, pull = opened(zmq.PUSH), opened(zmq.PULL).socket
    channel.socket.bind("inproc://jobs")
    pull.connect("inproc://jobs")
    send = channel._send

    def deserted(frame: Any, flags: int) -> None:
        send(frame, flags)
        if frame == b"one":
            pull.close(0)
            assert select.select(channel.fds, [], [], 20)[0]
            assert channel.socket.get(zmq.EVENTS)

    channel._send = deserted
    channel.try_send_frames([b"one", b"two", b"three", b"four"])
    # Nobody is there: a message that is "sent" now would be swallowed.
    assert channel.try_send_frames([b"next", b"next"]) is None


# Locks and races

VERBS: dict[str, Callable[[SocketManager], object]] = {
    "stats": lambda sockets: sockets.stats(),
    "close": lambda sockets: sockets.close("in"),
    "ensure": lambda sockets: sockets.ensure_and_bind("in", zmq.PULL, "inproc://more"),
}


@pytest.mark.parametrize("verb", VERBS.values(), ids=VERBS)
def test_no_verb_holds_the_books_while_it_waits_for_a_socket(
    sockets: SocketManager, verb: Callable[[SocketManager], object]
) -> None:
    """A signal handler asks for the books amid an operation that holds the socket."""
    sockets.create("in", zmq.PULL)
    channel, books, free = sockets._channels["in"], sockets._lock, []

    class Watched:
        lock = channel.lock

        def __enter__(self) -> None:
            free.append(elsewhere(lambda: books.acquire(False) and not books.release()))
            self.lock.__enter__()

        def __exit__(self, *error: Any) -> None:
            self.lock.__exit__(*error)

    channel.lock = Watched()
    verb(sockets)
    assert free
    assert all(free)


def test_who_binds_to_a_random_port_is_told_its_own(
    sockets: SocketManager, monkeypatch: pytest.MonkeyPatch
) -> None:
    sockets.create("in", zmq.PULL)
    register, others = sockets._register, []

    def beside_another(*arguments: Any) -> None:
        monkeypatch.undo()
        others.append(sockets.bind_to_random_port("in", local_address="tcp://127.0.0.1")[1])
        register(*arguments)

    monkeypatch.setattr(sockets, "_register", beside_another)
    _, address = sockets.bind_to_random_port("in", local_address="tcp://127.0.0.1")
    assert [address, *others] == sockets.endpoints("in")


def test_an_asyncio_socket_that_another_thread_closes_as_a_wait_begins_ends_that() -> None:
    async def main() -> None:
        async with AsyncSocketManager(linger=0) as sockets:
            sockets.create("in", zmq.PULL)
            watch = sockets.backend.watch

            def too_late(*arguments: Any) -> Any:
                elsewhere(lambda: sockets.close("in"))
                return watch(*arguments)

            sockets.backend.watch = too_late  # type: ignore[method-assign]
            with pytest.raises(SocketClosed):
                await sockets.recv("in", timeout=20)

    asyncio.run(main())


# The end


def test_managers_that_are_made_during_the_exit_do_not_stop_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(lifecycle, "_open", {})
    monkeypatch.setattr(lifecycle, "_ending", {})
    made: list[Any] = []

    class Manager:
        abandoned = False

        def _abandon(self) -> None:
            self.abandoned = True
            made.append(Manager())
            lifecycle.watch(made[-1])

    first = [Manager(), Manager()]
    for manager in first:
        lifecycle.watch(manager)
    lifecycle._close_at_exit()
    assert all(manager.abandoned for manager in first)


def test_close_all_that_ctrl_c_ended_can_be_repeated(
    manager: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    sockets = manager()
    made = [sockets.create(name, zmq.PULL) for name in "abc"]
    close = sockets.close

    def interrupted(name: str) -> None:
        close(name)
        if name == "b":
            raise KeyboardInterrupt

    monkeypatch.setattr(sockets, "close", interrupted)
    with pytest.raises(KeyboardInterrupt):
        sockets.close_all()
    assert not made[2].closed
    sockets.close_all()
    assert all(socket.closed for socket in made)
    assert sockets.context.closed


def test_who_closes_all_second_waits_for_the_end_as_well(
    manager: Make, spawn: Make, eventually: Make
) -> None:
    sockets = manager(linger=0.3)
    sockets.ensure_and_connect("out", zmq.PUSH, "tcp://127.0.0.1:1")
    sockets.send("out", "into the void")
    first = spawn(sockets.close_all)
    eventually(lambda: not sockets.names())
    sockets.close_all()
    assert sockets.context.closed
    first.result()


def test_a_loop_over_events_keeps_its_manager(backend: Any, peer: Make) -> None:
    xpub = peer(zmq.XPUB)
    port = xpub.bind_to_random_port("tcp://127.0.0.1")

    def listen() -> Iterator[Event]:
        sockets = backend.manager(linger=0)
        sockets.ensure_and_connect("in", zmq.SUB, f"tcp://127.0.0.1:{port}")
        return sockets.subscribe("in", timeout=20)

    events = listen()
    gc.collect()
    assert xpub.recv() == b"\1"
    xpub.send_multipart([b"topic", b"1"])
    assert next(events) == Event("topic", 1)
    events.close()


# Processes of their own

IN_THE_CHILD = ["goes on with the loop", "drops it beside a thread", "waits with the same backend"]
ON_A_HUB = [
    "a socket closed before the loop turns",
    "a socket that outlives the hub it was made with",
    "a loop over events that moves to another thread",
]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
@pytest.mark.parametrize("how", IN_THE_CHILD)
def test_a_forked_child_shares_no_wait_with_its_parent(how: str) -> None:
    ended = run("-m", "tests.peers.forking", how, within=START, measured=False)
    assert (ended.code, ended.out, ended.err) == (0, "[]\n", "")


@pytest.mark.parametrize("what", ON_A_HUB)
def test_a_hub_bears(what: str) -> None:
    pytest.importorskip("gevent")
    ended = run("-m", "tests.peers.hubs", what, within=START, measured=False)
    assert (ended.code, ended.err) == (0, "")
