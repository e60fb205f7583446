"""One socket and its waiters: whoever works on it wakes those who can go on."""

from __future__ import annotations

import select
import threading
from array import array
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import pytest
import zmq

from agentzero.base import subscribe
from agentzero.channel import Channel, RouterChannel
from agentzero.endpoints import attach, detach, resolved
from agentzero.errors import (
    AgentZeroSocketError,
    PeerUnreachable,
    SocketBindError,
    SocketClosed,
    SocketConnectError,
)
from agentzero.serializers import JSON

IN, OUT = int(zmq.POLLIN), int(zmq.POLLOUT)


@dataclass(eq=False)
class Sleeper:
    """A task that would be waiting."""

    woken: int = 0

    def wake(self) -> None:
        self.woken += 1


class Pair:
    """A channel and a bare peer of the same type, over tcp."""

    def __init__(self, context: zmq.Context[Any], kind: int, peer_kind: int) -> None:
        self.socket = context.socket(kind)
        self.peer = context.socket(peer_kind)
        opened.extend([self.socket, self.peer])
        for socket in (self.socket, self.peer):
            socket.linger = 0
            socket.rcvtimeo = socket.sndtimeo = 20_000
        if kind == zmq.ROUTER:
            self.socket.router_mandatory = 1
        made = RouterChannel if kind == zmq.ROUTER else Channel
        self.channel = made("test", self.socket, threading.RLock(), JSON())
        port = self.socket.bind_to_random_port("tcp://127.0.0.1")
        self.peer.connect(f"tcp://127.0.0.1:{port}")

    def arrives(self, *messages: bytes) -> None:
        """Have the peer send; return when the channel's fd tells, without touching the socket."""
        for message in messages:
            self.peer.send(message)
        assert select.select(self.channel.fds, [], [], 20)[0]


opened: list[Any] = []


@pytest.fixture
def context() -> Iterator[zmq.Context[Any]]:
    context = zmq.Context()
    yield context
    context.destroy(linger=0)
    opened.clear()


@pytest.fixture
def pair(context: zmq.Context[Any]) -> Pair:
    """Two DEALERs that are connected, with all that this caused behind them."""
    pair = Pair(context, zmq.DEALER, zmq.DEALER)
    pair.peer.send(b"hello")
    assert pair.socket.recv() == b"hello"
    pair.socket.send(b"hello")
    assert pair.peer.recv() == b"hello"
    while pair.socket.get(zmq.EVENTS) != OUT:
        pass
    return pair


OPERATIONS: dict[str, Any] = {
    "send": lambda channel: channel.try_send(b"1"),
    "send frames": lambda channel: channel.try_send_frames([b"1", b"2"]),
    "an option": lambda channel: using(channel, lambda socket: socket.get(zmq.EVENTS)),
    "a bind": lambda channel: attach(channel, resolved(channel, "inproc://x", bound=True)),
    "a bind that fails": lambda channel: failing_bind(channel),
    "an unbind that fails": lambda channel: failing_detach(channel),
    "a look at what is ready": lambda channel: look(channel),
    "another who begins to wait": lambda channel: channel.attempt_or_arm(bool, 4, Sleeper()),
    "another who ceases to wait": lambda channel: channel.disarm(Sleeper()),
}


def using(channel: Channel, work: Any) -> None:
    with channel.using() as socket:
        work(socket)


def look(channel: Channel) -> None:
    passer_by = Sleeper()
    assert channel.ready_or_arm(OUT, passer_by) == OUT
    channel.disarm(passer_by)


def failing_bind(channel: Channel) -> None:
    with pytest.raises(SocketBindError):
        attach(channel, resolved(channel, "tcp://192.0.2.1:5", bound=True))


def failing_detach(channel: Channel) -> None:
    attached = resolved(channel, "inproc://never", bound=False)
    channel.endpoints.append(attached)
    with pytest.raises(SocketConnectError):
        detach(channel, "inproc://never", bound=False)


@pytest.mark.parametrize("operation", OPERATIONS.values(), ids=OPERATIONS)
def test_an_operation_that_eats_the_edge_wakes_who_waits_for_it(pair: Pair, operation: Any) -> None:
    sleeper = Sleeper()
    assert pair.channel.attempt_or_arm(pair.channel.try_recv, IN, sleeper) is None
    pair.arrives(b"message")
    operation(pair.channel)
    eaten = not select.select(pair.channel.fds, [], [], 0)[0]
    assert sleeper.woken or not eaten


def test_receiving_wakes_the_next_for_the_next_message(pair: Pair) -> None:
    sleepers = [Sleeper(), Sleeper()]
    for sleeper in sleepers:
        assert pair.channel.attempt_or_arm(pair.channel.try_recv, IN, sleeper) is None
    pair.arrives(b"1", b"2")
    while not pair.channel.ready(IN):
        pass
    received = pair.channel.attempt(pair.channel.try_recv, sleepers[0])
    while not pair.channel.ready(IN):
        pass
    pair.channel.disarm(sleepers[0])
    assert received == b"1"
    assert sleepers[1].woken == 1


def test_a_waiter_that_leaves_passes_the_baton_on(pair: Pair) -> None:
    first, second = Sleeper(), Sleeper()
    for sleeper in (first, second):
        assert pair.channel.attempt_or_arm(pair.channel.try_recv, IN, sleeper) is None
    pair.arrives(b"1")
    while not first.woken:
        pair.channel.try_send(b"meanwhile")
    assert second.woken == 0
    pair.channel.disarm(first)  # its time was over, say
    assert second.woken == 1


def test_one_message_wakes_one_waiter(pair: Pair) -> None:
    sleepers = [Sleeper() for _ in range(5)]
    for sleeper in sleepers:
        assert pair.channel.attempt_or_arm(pair.channel.try_recv, IN, sleeper) is None
    pair.arrives(b"1")
    while not any(sleeper.woken for sleeper in sleepers):
        pair.channel.try_send(b"meanwhile")
    assert sum(sleeper.woken for sleeper in sleepers) == 1


def test_what_is_there_already_is_taken_instead_of_waited_for(pair: Pair) -> None:
    sleeper = Sleeper()
    pair.arrives(b"1")
    assert pair.channel.attempt_or_arm(pair.channel.try_recv, IN, sleeper) == b"1"
    assert not pair.channel._waiters


def test_closing_wakes_all_and_lets_nobody_wait_any_more(pair: Pair) -> None:
    sleepers = [Sleeper(), Sleeper()]
    for sleeper in sleepers:
        pair.channel.attempt_or_arm(pair.channel.try_recv, IN, sleeper)
    pair.channel.close()
    pair.channel.close()
    assert [sleeper.woken for sleeper in sleepers] == [1, 1]
    for call in (
        lambda: pair.channel.attempt_or_arm(pair.channel.try_recv, IN, Sleeper()),
        lambda: pair.channel.ready_or_arm(IN, Sleeper()),
        lambda: pair.channel.ready(IN),
        lambda: pair.channel.try_send(b"1"),
        lambda: pair.channel.try_send_frames([b"1"]),
    ):
        with pytest.raises(SocketClosed, match=r"socket 'test' \(DEALER, no endpoints\)"):
            call()
    pair.channel.disarm(sleepers[0])


def test_a_message_of_several_frames_is_whole_or_not_at_all(context: zmq.Context[Any]) -> None:
    with context.socket(zmq.PUSH) as push, context.socket(zmq.PULL) as pull:
        push.sndhwm = pull.rcvhwm = 1
        pull.bind("inproc://narrow")
        push.connect("inproc://narrow")
        channel = Channel("narrow", push, threading.RLock(), JSON())
        frames = [b"head", b"x" * 50_000, b"tail"]
        received = 0
        for _ in range(3):
            while channel.try_send_frames(frames):
                pass
            # What found no room must leave no frame behind.
            assert channel.try_send_frames(frames) is None
            while pull.poll(0):
                assert pull.recv_multipart() == frames
                received += 1
        assert (channel.sent, channel.sent_bytes) == (received, received * 50_008)


def test_no_frame_gets_between_the_frames_of_another_message(pair: Pair) -> None:
    """As a signal handler's would, which runs between any two of them."""
    inner: list[Any] = []
    send = pair.channel._send

    def interrupted(frame: Any, flags: int) -> Any:
        sent = send(frame, flags)
        if frame == b"one":
            inner.append(pair.channel.try_send(b"inner"))
            inner.append(pair.channel.try_send_frames([b"inner", b"inner"]))
            inner.append(pair.channel.try_recv())
        return sent

    pair.channel._send = interrupted
    assert pair.channel.try_send_frames([b"one", b"two", b"three"]) is True
    assert inner == [None, None, None]
    assert pair.channel.try_send(b"next") is True
    assert pair.peer.recv_multipart() == [b"one", b"two", b"three"]
    assert pair.peer.recv_multipart() == [b"next"]


def test_ctrl_c_between_two_frames_leaves_no_half_message(pair: Pair) -> None:
    send = pair.channel._send

    def interrupted(frame: Any, flags: int) -> None:
        send(frame, flags)
        if frame == b"one":
            raise KeyboardInterrupt

    pair.channel._send = interrupted
    with pytest.raises(KeyboardInterrupt):
        pair.channel.try_send_frames([b"one", b"two", b"three"])
    assert pair.channel.try_send(b"next") is True
    assert pair.peer.recv_multipart() == [b"one", b"two", b"three"]
    assert pair.peer.recv_multipart() == [b"next"]


def test_ctrl_c_between_two_frames_leaves_no_half_message_to_read(pair: Pair) -> None:
    receive, calls = pair.channel._recv, iter(range(10))

    def interrupted(*flags: Any) -> Any:
        frame = receive(*flags)
        if next(calls) == 1:
            raise KeyboardInterrupt
        return frame

    pair.peer.send_multipart([b"one", b"two", b"three"])
    pair.arrives(b"next")
    while not pair.channel.ready(IN):
        pass
    pair.channel._recv = interrupted
    with pytest.raises(KeyboardInterrupt):
        pair.channel.try_recv()
    while (message := pair.channel.try_recv()) is None:
        pass
    assert message == b"next"


def test_frames_are_counted_in_bytes(pair: Pair) -> None:
    pair.channel.try_send_frames([memoryview(array("I", [1, 2, 3])), b"abc"])
    frames = pair.peer.recv_multipart()
    assert pair.channel.sent_bytes == sum(map(len, frames)) == 15


def test_a_router_says_whom_it_does_not_reach(context: zmq.Context[Any]) -> None:
    pair = Pair(context, zmq.ROUTER, zmq.DEALER)
    with pytest.raises(PeerUnreachable, match="'test'"):
        pair.channel.try_send_frames([b"nobody", b"1"])
    with pytest.raises(AgentZeroSocketError, match="send_to"):
        pair.channel.try_send(b"1")


def test_errors_of_libzmq_are_told_in_the_librarys_own_words(context: zmq.Context[Any]) -> None:
    pair = Pair(context, zmq.REP, zmq.REQ)
    with pytest.raises(AgentZeroSocketError, match="receives and sends in turn") as caught:
        pair.channel.try_send(b"1")
    assert isinstance(caught.value.__cause__, zmq.ZMQError)


@pytest.mark.parametrize(
    ("kind", "does"), [(zmq.PUSH, "only sends"), (zmq.SUB, "only receives")], ids=str
)
def test_a_socket_of_one_way_says_which(context: zmq.Context[Any], kind: int, does: str) -> None:
    channel = Pair(context, kind, zmq.PULL if kind == zmq.PUSH else zmq.PUB).channel
    attempt = channel.try_recv if kind == zmq.PUSH else partial(channel.try_send, b"1")
    with pytest.raises(AgentZeroSocketError, match=f"a {zmq.SocketType(kind).name} socket {does}"):
        attempt()


def test_a_subscription_is_made_although_a_turn_is_due() -> None:
    """An XSUB subscribes by a message, which is none that could be left for later."""
    with (
        zmq.Context() as context,
        context.socket(zmq.XSUB) as xsub,
        context.socket(zmq.XPUB) as xpub,
    ):
        xpub.bind("inproc://news")
        xsub.connect("inproc://news")
        channel = Channel("news", xsub, threading.RLock(), JSON(), turn_every=1)
        while channel.try_send(b"anything"):
            pass
        subscribe(channel, b"topic")
        while xpub.poll(2000):
            if xpub.recv() == b"\1topic":
                return
        pytest.fail("there was no subscription")


def test_threads_that_cannot_wait_do_not_take_each_others_turns() -> None:
    with zmq.Context() as context, context.socket(zmq.PUB) as pub:
        channel = Channel("logs", pub, threading.RLock(), JSON(), turn_every=2)
        sent: list[bool | None] = []
        work = lambda: sent.extend(channel.try_send_now([b"1"]) for _ in range(2000))  # noqa: E731
        threads = [threading.Thread(target=work) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert sent == [True] * 8000


@pytest.mark.parametrize("lost", [0, 1, 2])
def test_a_frame_that_pyzmq_lost_to_ctrl_c_spoils_one_message_at_the_most(
    context: zmq.Context[Any], lost: int
) -> None:
    """A signal handler that raises within pyzmq's own receive takes the frame along."""
    pair = Pair(context, zmq.DEALER, zmq.DEALER)
    pair.peer.send_multipart([b"1", b"", b"one"])
    pair.peer.send_multipart([b"2", b"", b"two"])
    pair.arrives(b"end")
    recv, taken = pair.channel._recv, []

    def interrupted(*args: Any) -> Any:
        taken.append(recv(*args))
        if len(taken) == lost + 1:
            raise KeyboardInterrupt
        return taken[-1]

    pair.channel.receive_with(interrupted, pair.channel._get)
    received: list[list[bytes]] = []
    kept: list[zmq.Frame] = []
    with pytest.raises(KeyboardInterrupt):
        any(pair.channel.try_recv_into(kept) for _ in iter(int, 1))
    while received[-1:] != [[b"end"]]:
        if pair.channel.try_recv_into(kept):
            received.append([frame.bytes for frame in kept])
            kept.clear()
    assert received[-2:] == [[b"2", b"", b"two"], [b"end"]]
