"""ROUTER: who asked, and how an answer finds its way."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from typing import Any

import pytest
import zmq

from agentzero import Envelope, SocketManager
from agentzero.errors import (
    AgentZeroSocketError,
    DeserializationError,
    PeerUnreachable,
    SocketTimeout,
)

Make = Callable[..., Any]


@pytest.fixture
def address(sockets: SocketManager) -> str:
    """Where a ROUTER named "router" is bound."""
    sockets.ensure_and_bind("router", zmq.ROUTER, "tcp://127.0.0.1:*")
    return sockets.endpoints("router")[0]


@pytest.mark.parametrize("kind", [zmq.REQ, zmq.DEALER])
def test_an_answer_reaches_whoever_asked(sockets: SocketManager, address: str, kind: int) -> None:
    for name in ("one", "two"):
        sockets.ensure_and_connect(name, kind, address)
        sockets.send(name, f"from {name}")
    for _ in range(2):
        envelope = sockets.recv_from("router")
        assert isinstance(envelope, Envelope)
        identity, data = envelope
        sockets.send_to("router", identity, f"{data} and back")
    for name in ("one", "two"):
        assert sockets.recv(name) == f"from {name} and back"


@pytest.mark.parametrize("kind", [zmq.REQ, zmq.DEALER])
def test_bare_peers_get_their_answers(
    sockets: SocketManager, address: str, peer: Make, kind: int
) -> None:
    bare = peer(kind, connect=address, routing_id=b"bare")
    bare.send(b'"ping"')
    identity, data = sockets.recv_from("router")
    assert (identity, data) == (b"bare", "ping")
    sockets.send_to("router", identity, "pong")
    assert bare.recv_multipart() == [b'"pong"']


def test_a_dealer_that_speaks_like_a_req_gets_its_frames_back(
    sockets: SocketManager, address: str, peer: Make
) -> None:
    dealer = peer(zmq.DEALER, connect=address, routing_id=b"bare")
    dealer.send_multipart([b"request 1", b"", b"1"])
    identity, data = sockets.recv_from("router")
    assert (identity, identity.route, data) == (b"bare", (b"request 1", b""), 1)
    sockets.send_to("router", identity, 2)
    assert dealer.recv_multipart() == [b"request 1", b"", b"2"]


def test_a_peer_may_be_addressed_by_the_bytes_of_its_identity(
    sockets: SocketManager, address: str, peer: Make
) -> None:
    dealer = peer(zmq.DEALER, connect=address, routing_id=b"worker-1")
    dealer.send(b'"ready"')
    assert sockets.recv_from("router").identity == b"worker-1"
    for number in range(3):
        sockets.send_to("router", b"worker-1", number)
    assert [dealer.recv() for _ in range(3)] == [b"0", b"1", b"2"]


def test_an_unknown_identity_is_an_error_that_says_so(
    sockets: SocketManager, address: str, peer: Make
) -> None:
    with pytest.raises(PeerUnreachable, match=r"'router' \(ROUTER.*identity"):
        sockets.send_to("router", b"nobody", "hello")
    dealer = peer(zmq.DEALER, connect=address, routing_id=b"somebody")
    dealer.send(b"1")
    sockets.recv_from("router")
    sockets.send_to("router", b"somebody", "hello")
    assert dealer.recv_multipart() == [b'"hello"']
    assert issubclass(PeerUnreachable, AgentZeroSocketError)


def test_a_peer_that_has_gone_is_unknown(
    sockets: SocketManager, address: str, peer: Make, eventually: Make
) -> None:
    dealer = peer(zmq.DEALER, connect=address, routing_id=b"guest")
    dealer.send(b"1")
    sockets.recv_from("router")
    dealer.close()

    def unreachable() -> bool:
        try:
            sockets.send_to("router", b"guest", 1, timeout=0)
        except PeerUnreachable:
            return True
        return False

    eventually(unreachable)


def test_a_full_peer_takes_its_time_and_no_processor(
    sockets: SocketManager, full_router: bytes
) -> None:
    channel = sockets._channels["router"]
    tried = 0
    attempt = channel.try_send_frames

    def counted(frames: Any) -> bool | None:
        nonlocal tried
        tried += 1
        return attempt(frames)

    sockets._channels["router"] = Counting(channel, counted)  # type: ignore[assignment]
    with pytest.raises(SocketTimeout, match=r"no room.*'router'.* in 0.4 s"):
        sockets.send_to("router", full_router, 1, timeout=0.4)
    assert 2 <= tried < 100
    sockets._channels["router"] = channel


class Counting:
    """A channel whose attempts to send are somebody else's."""

    def __init__(self, channel: Any, try_send_frames: Any) -> None:
        self._channel = channel
        self.try_send_frames = try_send_frames

    def __getattr__(self, name: str) -> Any:
        return getattr(self._channel, name)

    def __str__(self) -> str:
        return str(self._channel)


def test_a_message_for_a_full_peer_is_sent_once_there_is_room(
    sockets: SocketManager, full_router: bytes, spawn: Make, waiting: Make
) -> None:
    sent = spawn(sockets.send_to, "router", full_router, "last")
    waiting(sockets, "router")
    received = []
    while received[-1:] != ["last"]:
        received.append(sockets.recv("full"))
    sent.result()


def test_a_full_peer_does_not_hold_up_the_others(
    sockets: SocketManager, full_router: bytes, spawn: Make, waiting: Make
) -> None:
    stuck = spawn(sockets.send_to, "router", full_router, 1)
    waiting(sockets, "router")
    sockets.ensure_and_connect("other", zmq.REQ, "inproc://router")
    for number in range(20):
        sockets.send("other", number)
        sockets.send_to("router", *sockets.recv_from("router"))
        assert sockets.recv("other") == number
    assert not stuck.done()
    sockets.recv("full")
    stuck.result()


def test_a_message_with_frames_in_between_is_an_error_once(
    sockets: SocketManager, address: str, peer: Make
) -> None:
    dealer = peer(zmq.DEALER, connect=address, routing_id=b"bare")
    for frames in ([b"one", b"two"], [b"{"], [b"1"]):
        dealer.send_multipart(frames)
    for raw in (b"bareonetwo", b"{"):
        with pytest.raises(DeserializationError, match="'router'") as caught:
            sockets.recv_from("router")
        assert caught.value.raw == raw
    assert sockets.recv_from("router").data == 1


@pytest.mark.parametrize("kind", [zmq.REQ, zmq.DEALER])
def test_whoever_sent_what_cannot_be_read_can_be_answered(
    sockets: SocketManager, address: str, kind: int
) -> None:
    sockets.ensure_and_connect("one", kind, address)
    sockets.send_multipart("one", [b"{"])
    with pytest.raises(DeserializationError) as caught:
        sockets.recv_from("router")
    error = pickle.loads(pickle.dumps(caught.value))
    sockets.send_to("router", error.identity, "not understood")
    assert sockets.recv("one") == "not understood"


def test_recv_on_a_router_tells_the_verb_that_keeps_the_sender(
    sockets: SocketManager, address: str
) -> None:
    sockets.ensure_and_connect("dealer", zmq.DEALER, address)
    sockets.send("dealer", 1)
    with pytest.raises(DeserializationError, match="recv_from"):
        sockets.recv("router")


def test_send_on_a_router_tells_the_verb_that_names_the_receiver(
    sockets: SocketManager, address: str
) -> None:
    """libzmq drops a lone frame without a word: it would be an identity and no message."""
    with pytest.raises(AgentZeroSocketError, match="send_to"):
        sockets.send("router", "hello")


def test_only_a_router_sends_to_one_of_its_peers(sockets: SocketManager) -> None:
    """A PUSH would send the identity to whoever it likes."""
    sockets.ensure_and_bind("in", zmq.PULL, "inproc://jobs")
    sockets.ensure_and_connect("out", zmq.PUSH, "inproc://jobs")
    with pytest.raises(AgentZeroSocketError, match="send_to needs a ROUTER, which socket 'out'"):
        sockets.send_to("out", b"worker-1", "job")
    assert sockets.recv_safe("in", timeout=0) is None


def test_identity_and_payload_are_raw_frames_too(
    sockets: SocketManager, address: str, peer: Make
) -> None:
    dealer = peer(zmq.DEALER, connect=address, routing_id=b"bare")
    dealer.send_multipart([b"a", b"b"])
    frames = sockets.recv_multipart("router")
    assert frames == [b"bare", b"a", b"b"]
    sockets.send_multipart("router", frames[::2])
    assert dealer.recv_multipart() == [b"b"]
