"""A peer that is killed and comes back on the same address is used again, without a call."""

from __future__ import annotations

import itertools
import socket
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import zmq

from agentzero import SocketManager
from agentzero.errors import SocketTimeout
from tests.peers.remote import Remote

Make = Callable[..., Any]

# What comes and goes, and where; and whether it is the manager that binds.
WAYS = {
    "a manager on tcp": ("manager", "tcp", False),
    "bare pyzmq on ipc": ("bare", "ipc", False),
    "bare pyzmq that connects": ("bare", "tcp", True),
}
ON_TCP, ON_IPC, CONNECTS = WAYS


def peers(*ways: str, backends: Sequence[str] = ("threads",)) -> pytest.MarkDecorator:
    """Run a test for each of these ways, with each of these backends in turn."""
    cases = zip(itertools.cycle(backends), ways, strict=False)
    return pytest.mark.parametrize(
        ("backend", "flavour", "address", "bound"),
        [pytest.param(backend, *WAYS[way], id=f"{backend}, {way}") for backend, way in cases],
        indirect=["backend", "address"],
    )


BACKENDS = ["threads", "gevent", "asyncio", "uvloop"]

# Those who wait meanwhile wait in a way of their own on each backend.
WAITING = peers(*WAYS, *WAYS, backends=BACKENDS)


@pytest.fixture
def address(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """Where peers come back to; nobody else gets the port while they are away."""
    with socket.socket() as held:
        held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        held.bind(("127.0.0.1", 0))
        port = held.getsockname()[1]
        yield f"tcp://127.0.0.1:{port}" if request.param == "tcp" else f"ipc://{tmp_path}/peer"


class Meeting:
    """An address where a socket of the manager meets peers, one after the other."""

    def __init__(
        self, sockets: SocketManager, address: str, bound: bool, peers: list[Remote]
    ) -> None:
        self._sockets = sockets
        self._address = address
        self._bound = bound
        self._peers = peers

    def open(self, name: str, kind: int) -> None:
        """Make the manager's socket; this is all that it is told of the address."""
        _open(self._sockets, name, kind, self._address, self._bound)

    def come(self, kind: int, identity: bytes | None = None) -> Remote:
        """Return the next peer, which has a socket named "peer"."""
        peer = self._peers.pop()
        peer.create("peer", kind)
        if identity is not None:
            peer.set_socket_option("peer", zmq.IDENTITY, identity)
        _open(peer, "peer", kind, self._address, not self._bound)
        return peer


def _open(sockets: Any, name: str, kind: int, address: str, bound: bool) -> None:
    verb = sockets.ensure_and_bind if bound else sockets.ensure_and_connect
    verb(name, kind, address)


@pytest.fixture
def meeting(
    sockets: SocketManager, eventually: Make, flavour: str, address: str, bound: bool
) -> Iterator[Meeting]:
    """Where two peers come, one after the other."""
    peers = [Remote(flavour, eventually) for _ in range(2)]
    yield Meeting(sockets, address, bound, list(peers))
    for peer in peers:
        peer.kill()


@peers(*WAYS)
def test_a_receiver_that_comes_back_gets_what_is_sent(
    sockets: SocketManager, meeting: Meeting
) -> None:
    meeting.open("out", zmq.PUSH)
    first = meeting.come(zmq.PULL)
    sockets.send("out", "hello")
    assert first.recv("peer") == "hello"
    first.kill()
    second = meeting.come(zmq.PULL)
    # What libzmq had handed to the kernel before it noticed is lost.
    last, arrived = until_one_arrives(lambda number: sockets.send("out", number), second)
    sockets.send("out", "end")
    following = list(iter(lambda: second.recv("peer"), "end"))
    assert [arrived, *following] == list(range(arrived, last + 1))


def until_one_arrives(send: Callable[[int], object], peer: Remote) -> tuple[int, int]:
    """Send numbers until the peer has one; return the last that was sent, and that one."""
    for number in range(1000):
        send(number)
        if (arrived := peer.recv_safe("peer", 0.02)) is not None:
            return number, arrived
    raise AssertionError("nothing arrived")


@WAITING
def test_who_waits_receives_from_a_sender_that_comes_back(
    sockets: SocketManager, meeting: Meeting, spawn: Make, waiting: Make
) -> None:
    meeting.open("in", zmq.PULL)
    first = meeting.come(zmq.PUSH)
    first.send("peer", 1)
    assert sockets.recv("in") == 1
    waits = spawn(sockets.recv, "in")
    waiting(sockets, "in")
    first.kill()
    second = meeting.come(zmq.PUSH)
    for number in (2, 3):
        second.send("peer", number)
    assert [waits.result(), sockets.recv("in")] == [2, 3]


@WAITING
def test_subscriptions_count_again_with_each_publisher(
    sockets: SocketManager, meeting: Meeting, spawn: Make
) -> None:
    meeting.open("in", zmq.SUB)
    for topic in ("a", "b", "c"):
        sockets.set_topic("in", topic)
    first = meeting.come(zmq.XPUB)
    received: list[str] = []
    events = sockets.subscribe("in", "end")
    listens = spawn(listen, events, received)
    publish(first, subscribed=["a", "b", "c", "end"])
    listens.result()
    listens = spawn(listen, events, received)
    first.kill()
    sockets.unset_topic("in", "b")
    publish(meeting.come(zmq.XPUB), subscribed=["a", "c", "end"])
    listens.result()
    assert received == ["a", "b", "c", "end", "a", "c", "end"]


@peers(ON_TCP)
def test_subscriptions_count_again_while_nobody_receives(
    sockets: SocketManager, meeting: Meeting
) -> None:
    meeting.open("in", zmq.SUB)
    sockets.set_topic("in", "a")
    first = meeting.come(zmq.XPUB)
    first.wait_for_subscribers("peer", "a")
    first.publish("peer", "a", 1)
    assert sockets.recv_event("in") == ("a", 1)
    first.kill()
    second = meeting.come(zmq.XPUB)
    second.wait_for_subscribers("peer", "a", 1, 2.0)
    second.publish("peer", "a", 2)
    assert sockets.recv_event("in") == ("a", 2)


def listen(events: Iterator[Any], received: list[str]) -> None:
    for topic, _ in events:
        received.append(topic)
        if topic == "end":
            break


def publish(publisher: Remote, subscribed: list[str]) -> None:
    for topic in subscribed:
        publisher.wait_for_subscribers("peer", topic)
    for topic in ("a", "b", "c", "d", "end"):
        publisher.publish("peer", topic, 1)


@peers(*[CONNECTS] * 4, backends=BACKENDS)
def test_a_subscriber_that_comes_back_ends_the_wait_for_it(
    sockets: SocketManager, meeting: Meeting, spawn: Make, waiting: Make
) -> None:
    meeting.open("news", zmq.XPUB)
    first = subscriber(sockets, meeting)
    first.kill()
    assert [sockets.recv_multipart("news") for _ in range(2)] == [[b"\1a"], [b"\0a"]]
    waits = spawn(sockets.wait_for_subscribers, "news", "a")
    waiting(sockets, "news")
    second = meeting.come(zmq.SUB)
    second.set_topic("peer", "a")
    waits.result()
    sockets.publish("news", "a", 2)
    assert second.recv_event("peer") == ("a", 2)


@peers(*WAYS)
def test_a_subscriber_that_was_killed_counts_no_more(
    sockets: SocketManager, meeting: Meeting, backend: Any
) -> None:
    meeting.open("news", zmq.XPUB)
    subscriber(sockets, meeting).kill()
    assert any(not subscribers(sockets, 1) or backend.pause(0.01) for _ in range(100))
    subscriber(sockets, meeting)
    assert subscribers(sockets, 1)
    assert not subscribers(sockets, 2)


def subscribers(sockets: SocketManager, count: int) -> bool:
    try:
        sockets.wait_for_subscribers("news", "a", count, timeout=0)
    except SocketTimeout:
        return False
    return True


def subscriber(sockets: SocketManager, meeting: Meeting) -> Remote:
    """Return a subscriber that has received an event."""
    peer = meeting.come(zmq.SUB)
    peer.set_topic("peer", "a")
    peer.begin("recv_event", "peer")
    sockets.wait_for_subscribers("news", "a")
    sockets.publish("news", "a", 1)
    assert peer.result() == ("a", 1)
    return peer


@WAITING
@pytest.mark.parametrize(
    ("client", "server"),
    [(zmq.REQ, zmq.REP), (zmq.DEALER, zmq.ROUTER)],
    ids=["REQ to REP", "DEALER to ROUTER"],
)
def test_a_request_under_way_is_answered_by_a_server_that_comes_back(
    sockets: SocketManager, meeting: Meeting, spawn: Make, client: int, server: int
) -> None:
    meeting.open("client", client)
    first = meeting.come(server)
    first.begin("serve", "peer", str.upper)
    assert sockets.request("client", "a") == "A"
    first.kill()
    with pytest.raises(SocketTimeout):
        sockets.request("client", "b", timeout=0.05)
    asks = spawn(sockets.request, "client", "c", 0.2, retries=100)
    meeting.come(server).begin("serve", "peer", str.upper)
    assert asks.result() == "C"
    assert sockets.request("client", "d") == "D"


@WAITING
def test_a_worker_that_comes_back_is_known_by_its_identity(
    sockets: SocketManager, meeting: Meeting, spawn: Make, waiting: Make
) -> None:
    meeting.open("router", zmq.ROUTER)
    first = worker(sockets, meeting)
    waits = spawn(sockets.recv_from, "router")
    waiting(sockets, "router")
    first.kill()
    second = meeting.come(zmq.DEALER, b"worker")
    second.send("peer", "ready")
    assert waits.result() == (b"worker", "ready")
    sockets.send_to("router", b"worker", "job")
    assert second.recv("peer") == "job"


@peers(CONNECTS)
def test_a_worker_that_comes_back_while_nobody_receives_is_known(
    sockets: SocketManager, meeting: Meeting
) -> None:
    meeting.open("router", zmq.ROUTER)
    worker(sockets, meeting).kill()
    second = meeting.come(zmq.DEALER, b"worker")
    second.send("peer", "back")
    assert second.recv_safe("peer", 0.5) is None  # it is connected by now
    assert sockets.recv_from("router", timeout=2) == (b"worker", "back")


def worker(sockets: SocketManager, meeting: Meeting) -> Remote:
    """Return a worker that the ROUTER knows."""
    peer = meeting.come(zmq.DEALER, b"worker")
    peer.send("peer", "ready")
    assert sockets.recv_from("router") == (b"worker", "ready")
    sockets.send_to("router", b"worker", "job")
    assert peer.recv("peer") == "job"
    return peer


@peers(ON_TCP, ON_IPC)
def test_a_peer_that_comes_after_we_connected_gets_all(
    sockets: SocketManager, meeting: Meeting
) -> None:
    meeting.open("out", zmq.PUSH)
    for number in range(100):
        sockets.send("out", number)
    peer = meeting.come(zmq.PULL)
    assert [peer.recv("peer") for _ in range(100)] == list(range(100))
