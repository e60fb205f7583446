"""wait_for_subscribers: no first message is lost."""

from __future__ import annotations

import socket
from collections.abc import Callable
from typing import Any

import pytest
import zmq

from agentzero import SocketManager
from agentzero.errors import AgentZeroSocketError, SocketClosed, SocketTimeout
from agentzero.subscribers import NEWS, XpubChannel
from tests.strangers import GREETING, ready

Make = Callable[..., Any]

TCP = "tcp://127.0.0.1:*"


@pytest.fixture
def address(sockets: SocketManager) -> str:
    """Where an XPUB named "news" is bound."""
    sockets.ensure_and_bind("news", zmq.XPUB, TCP, zmq.POLLIN)
    return sockets.endpoints("news")[0]


def subscriber(peer: Make, address: str, *topics: bytes) -> Any:
    sub = peer(zmq.SUB, connect=address)
    for topic in topics:
        sub.subscribe(topic)
    return sub


@pytest.mark.parametrize("subscribed", [b"", b"sport", b"sport:tennis"])
def test_the_first_message_reaches_whoever_was_waited_for(
    sockets: SocketManager, address: str, peer: Make, subscribed: bytes
) -> None:
    sub = subscriber(peer, address, subscribed)
    sockets.wait_for_subscribers("news", "sport:tennis")
    sockets.publish("news", "sport:tennis", 1)
    assert sub.recv_multipart() == [b"sport:tennis", b"1"]


def test_others_do_not_count(sockets: SocketManager, address: str, peer: Make) -> None:
    subscriber(peer, address, b"sport:tennis", b"arts")
    with pytest.raises(SocketTimeout, match=r"0 of 1 subscriptions to 'sport' .*'news'"):
        sockets.wait_for_subscribers("news", "sport", timeout=0.2)
    assert sockets.stats("news").timeouts == 1


def test_a_subscriber_that_comes_ends_the_wait(
    sockets: SocketManager, address: str, peer: Make, spawn: Make, waiting: Make
) -> None:
    waits = [spawn(sockets.wait_for_subscribers, "news", "a", 2) for _ in range(3)]
    waiting(sockets, "news", 3)
    first = subscriber(peer, address, b"a")
    assert first
    second = subscriber(peer, address, b"a")
    assert second
    for task in waits:
        task.result()


def test_who_has_gone_does_not_count(sockets: SocketManager, address: str, peer: Make) -> None:
    sub = subscriber(peer, address, b"a")
    sockets.wait_for_subscribers("news", "a")
    sub.unsubscribe(b"a")
    assert [sockets.recv_multipart("news") for _ in range(2)] == [[b"\1a"], [b"\0a"]]
    with pytest.raises(SocketTimeout):
        sockets.wait_for_subscribers("news", "a", timeout=0)


@pytest.mark.parametrize("copy", [True, False])
def test_what_was_read_is_still_there_for_others(
    sockets: SocketManager, address: str, peer: Make, copy: bool
) -> None:
    subscriber(peer, address, b"a", b"b")
    sockets.wait_for_subscribers("news", "b")
    news = sockets.get_by_name("news")
    assert sockets.engage() == {news: zmq.POLLIN}
    assert sockets.ready("news", zmq.POLLIN) is news
    read = [sockets.recv_multipart("news", copy=copy) for _ in range(2)]  # type: ignore[call-overload]
    assert read == [[b"\1a"], [b"\1b"]]
    assert sockets.engage(0) == {}


def test_what_was_read_wakes_those_who_wait_for_messages(
    sockets: SocketManager, address: str, peer: Make, spawn: Make, waiting: Make
) -> None:
    received = [spawn(sockets.recv_multipart, "news") for _ in range(2)]
    waits = spawn(sockets.wait_for_subscribers, "news", "b")
    waiting(sockets, "news", 3)
    subscriber(peer, address, b"a", b"b")
    waits.result()
    assert sorted(task.result() for task in received) == [[b"\1a"], [b"\1b"]]


def test_closing_ends_the_wait(
    sockets: SocketManager, address: str, spawn: Make, waiting: Make
) -> None:
    waits = spawn(sockets.wait_for_subscribers, "news")
    waiting(sockets, "news")
    sockets.close("news")
    with pytest.raises(SocketClosed):
        waits.result()


class Bell:
    """A waiter that remembers whether it was woken."""

    rung = False

    def wake(self) -> None:
        self.rung = True


def test_whoever_receives_a_subscription_wakes_whoever_waits_for_it(
    sockets: SocketManager, address: str, peer: Make
) -> None:
    channel, bell = sockets._channels["news"], Bell()
    assert isinstance(channel, XpubChannel)
    assert not channel.attempt_or_arm(lambda: channel.try_count(b"a", 1), NEWS, bell)
    subscriber(peer, address, b"a")
    assert sockets.recv_multipart("news") == [b"\1a"]
    assert bell.rung
    assert channel.attempt(lambda: channel.try_count(b"a", 1), bell)
    channel.disarm(bell)


@pytest.mark.usefixtures("without_naps")
def test_who_waits_for_more_is_not_kept_by_what_was_read_already(
    sockets: SocketManager, address: str, peer: Make, spawn: Make, waiting: Make
) -> None:
    subscriber(peer, address, b"a")
    sockets.wait_for_subscribers("news", "a")
    waits = [spawn(sockets.wait_for_subscribers, "news", "a", 2) for _ in range(3)]
    waiting(sockets, "news", 3)
    subscriber(peer, address, b"a")
    for task in waits:
        task.result()


def test_who_waits_for_more_costs_nothing_meanwhile(
    sockets: SocketManager, address: str, peer: Make, spawn: Make, waiting: Make
) -> None:
    subscriber(peer, address, b"a")
    sockets.wait_for_subscribers("news", "a")
    waits = spawn(sockets.wait_for_subscribers, "news", "a", 2)
    waiting(sockets, "news")
    channel = sockets._channels["news"]
    assert not any(channel.is_blind(waiter) for waiter in channel._waiters)
    subscriber(peer, address, b"a")
    waits.result()


def test_a_cancellation_of_what_was_never_subscribed_hides_nobody(
    sockets: SocketManager, address: str, peer: Make
) -> None:
    """libzmq's own subscribers do no such thing."""
    with socket.create_connection(("127.0.0.1", int(address.rpartition(":")[2]))) as stranger:
        stranger.sendall(GREETING + ready(zmq.SUB))
        while b"READY" not in stranger.recv(4096):
            pass
        stranger.sendall(3 * b"\x00\x02\x00a")
        assert [sockets.recv_multipart("news") for _ in range(3)] == [[b"\0a"]] * 3
        subscriber(peer, address, b"a")
        sockets.wait_for_subscribers("news", "a")


def test_what_nobody_is_subscribed_to_any_more_takes_no_memory(
    sockets: SocketManager, address: str, peer: Make
) -> None:
    sub = subscriber(peer, address)
    for number in range(100):
        sub.subscribe(b"%d" % number)
        sub.unsubscribe(b"%d" % number)
    for _ in range(200):
        sockets.recv_multipart("news")
    assert not sockets._channels["news"]._subscribed  # type: ignore[attr-defined]


def test_only_an_xpub_knows(sockets: SocketManager) -> None:
    sockets.create("news", zmq.PUB)
    with pytest.raises(AgentZeroSocketError, match="only an XPUB"):
        sockets.wait_for_subscribers("news")
    sockets.create("xpub", zmq.XPUB)
    with pytest.raises(TypeError, match="count"):
        sockets.wait_for_subscribers("xpub", count="2")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="count"):
        sockets.wait_for_subscribers("xpub", count=-1)
