"""publish, recv_event and subscribe."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable
from typing import Any

import pytest
import zmq

from agentzero import Event, SocketManager
from agentzero.errors import AgentZeroSocketError, DeserializationError, SocketNotFound

Make = Callable[..., Any]

TCP = "tcp://127.0.0.1:*"


@pytest.fixture
def news(sockets: SocketManager, link: Make) -> SocketManager:
    """An XPUB named "out", from which subscriptions can be received, and a SUB named "in"."""
    link(sockets, ("out", zmq.XPUB), ("in", zmq.SUB))
    return sockets


@pytest.fixture
def everything(news: SocketManager) -> SocketManager:
    """The same, already subscribed to everything."""
    news.set_topic("in", "")
    assert news.recv_multipart("out") == [b"\x01"]
    return news


def test_an_event_unpacks_to_topic_and_data(everything: SocketManager) -> None:
    everything.publish("out", "output:0", {"stdout": "hello"})
    event = everything.recv_event("in")
    topic, data = event
    assert isinstance(event, Event)
    assert (topic, data) == (event.topic, event.data) == ("output:0", {"stdout": "hello"})


def test_publish_is_topic_and_payload_for_a_bare_peer(sockets: SocketManager, peer: Make) -> None:
    sockets.ensure_and_bind("out", zmq.XPUB, TCP)
    sub = peer(zmq.SUB, connect=sockets.endpoints("out")[0], subscribe=b"")
    sockets.recv_multipart("out")
    sockets.publish("out", "grüße", {"a": 1})
    topic, payload = sub.recv_multipart()
    assert (topic, json.loads(payload)) == ("grüße".encode(), {"a": 1})


def test_what_a_bare_peer_publishes_is_received(sockets: SocketManager, peer: Make) -> None:
    pub = peer(zmq.XPUB)
    port = pub.bind_to_random_port("tcp://127.0.0.1")
    sockets.ensure_and_connect("in", zmq.SUB, f"tcp://127.0.0.1:{port}")
    assert sockets.recv_event_safe("in", "logs", timeout=0) is None
    assert pub.recv() == b"\x01logs"
    pub.send_multipart([b"logs:1", b"[1]"])
    assert sockets.recv_event("in", "logs") == ("logs:1", [1])


def test_publish_safe_says_whether_it_did(sockets: SocketManager) -> None:
    """The original's publish_safe returned None."""
    sockets.create("out", zmq.PUB)
    assert sockets.publish_safe("out", "topic", 1) is True
    sockets.create("nobody", zmq.PUSH)
    assert sockets.publish_safe("nobody", "topic", 1, timeout=0.01) is False


@pytest.mark.parametrize("topic", ["grüße", "grüße".encode()])
def test_topics_are_text_or_bytes(news: SocketManager, topic: str | bytes) -> None:
    assert news.recv_event_safe("in", topic, timeout=0) is None
    assert news.recv_multipart("out") == [b"\x01" + "grüße".encode()]
    news.publish("out", topic, 1)
    assert news.recv_event("in", topic) == ("grüße", 1)


@pytest.mark.parametrize("topic", [(), (None,), (False,), ("",), (b"",)])
def test_without_a_topic_everything_is_received(news: SocketManager, topic: Any) -> None:
    """The original's recv_event_safe without a topic raised TypeError."""
    assert news.recv_event_safe("in", *topic, timeout=0) is None
    assert news.recv_multipart("out") == [b"\x01"]
    news.publish("out", "whatever", 1)
    assert news.recv_event_safe("in", *topic) == ("whatever", 1)


def test_receiving_again_subscribes_no_second_time(news: SocketManager) -> None:
    for _ in range(3):
        assert news.recv_event_safe("in", "a", timeout=0) is None
    news.unset_topic("in", "a")
    assert [news.recv_multipart("out"), news.recv_multipart("out")] == [[b"\x01a"], [b"\x00a"]]


def test_a_topic_set_before_is_not_widened(news: SocketManager) -> None:
    news.set_topic("in", "logs")
    assert news.recv_multipart("out") == [b"\x01logs"]
    received = [news.recv_event_safe("in", timeout=0)]
    for topic in ("other", "logs:1"):
        news.publish("out", topic, topic)
    received.append(news.recv_event_safe("in"))
    assert received == [None, ("logs:1", "logs:1")]


def test_an_xsub_receives_events_too(sockets: SocketManager, link: Make) -> None:
    link(sockets, ("out", zmq.XPUB), ("in", zmq.XSUB))
    sockets.set_topic("in", "a")
    assert sockets.recv_multipart("out") == [b"\x01a"]
    sockets.publish("out", "a", 1)
    assert sockets.recv_event("in", "a") == ("a", 1)
    sockets.unset_topic("in", "a")
    assert sockets.recv_multipart("out") == [b"\x00a"]


def test_a_pub_that_is_connected_reaches_a_sub_that_is_bound(
    sockets: SocketManager, link: Make, eventually: Make
) -> None:
    link(sockets, ("in", zmq.SUB), ("out", zmq.PUB))
    events: list[Event] = []

    def arrived() -> bool:
        sockets.publish("out", "topic", "data")
        event = sockets.recv_event_safe("in", "topic", timeout=0)
        return event is not None and not events.append(event)

    eventually(arrived)
    assert events == [("topic", "data")]


def test_a_subscription_is_made_before_its_first_event_is_asked_for(news: SocketManager) -> None:
    events = news.subscribe("in", "output", timeout=10)
    assert news.recv_multipart("out") == [b"\x01output"]
    for number in range(3):
        news.publish("out", f"output:{number}", number)
    news.publish("out", "else", 0)
    assert [next(events) for _ in range(3)] == [(f"output:{n}", n) for n in range(3)]
    events.close()


def test_a_loop_ends_when_there_was_nothing_for_its_timeout(everything: SocketManager) -> None:
    everything.publish("out", "a", 1)
    began = time.monotonic()
    assert list(everything.subscribe("in", timeout=0.1)) == [("a", 1)]
    assert time.monotonic() - began >= 0.099


def test_keep_polling_ends_a_loop_that_waits(
    sockets: SocketManager, spawn: Make, waiting: Make
) -> None:
    """The original's subscribe blocked in recv, so that keep_polling could not end it."""
    go_on: list[bool] = [True]
    sockets.ensure_and_bind("in", zmq.SUB, TCP)
    loop = spawn(
        lambda: list(sockets.subscribe("in", keep_polling=lambda: go_on[-1], polling_timeout=20))
    )
    waiting(sockets, "in")
    go_on.append(False)
    assert loop.result() == []


def test_keep_polling_is_asked_before_every_message(everything: SocketManager) -> None:
    answers = iter([True, True, False])
    for number in range(5):
        everything.publish("out", "n", number)
    events = everything.subscribe("in", keep_polling=lambda: next(answers))
    assert [data for _, data in events] == [0, 1]
    assert everything.recv_event("in") == ("n", 2)


def test_an_error_in_keep_polling_reaches_the_caller(everything: SocketManager) -> None:
    with pytest.raises(ZeroDivisionError):
        next(everything.subscribe("in", keep_polling=lambda: 1 / 0))
    everything.publish("out", "a", 1)
    assert everything.recv_event("in") == ("a", 1)


@pytest.mark.parametrize("end", ["close", "close_all"])
def test_closing_the_socket_ends_a_loop_that_waits(
    news: SocketManager, spawn: Make, waiting: Make, end: str
) -> None:
    loop = spawn(lambda: list(news.subscribe("in")))
    waiting(news, "in")
    getattr(news, end)(*["in"] * (end == "close"))
    assert loop.result() == []


def test_closing_the_socket_ends_a_loop_between_two_events(everything: SocketManager) -> None:
    received = []
    for number in range(2):
        everything.publish("out", "n", number)
    for event in everything.subscribe("in"):
        received.append(event.data)
        everything.close("in")
    assert received == [0]


def test_a_loop_that_is_broken_off_leaves_nobody_waiting(
    everything: SocketManager, backend: Any
) -> None:
    everything.publish("out", "a", 1)
    for _ in everything.subscribe("in"):
        break
    assert not everything._channels["in"]._waiters
    everything.publish("out", "b", 2)
    assert everything.recv_event("in") == ("b", 2)


def test_an_unreadable_message_does_not_end_the_loop(
    sockets: SocketManager, peer: Make, caplog: pytest.LogCaptureFixture
) -> None:
    pub = peer(zmq.XPUB)
    port = pub.bind_to_random_port("tcp://127.0.0.1")
    sockets.ensure_and_connect("in", zmq.SUB, f"tcp://127.0.0.1:{port}")
    errors: list[DeserializationError] = []
    events = sockets.subscribe("in", timeout=20, on_error=errors.append)
    assert pub.recv() == b"\x01"
    bad = [[b"a", b"{"], [b"a", b"1", b"2"], [b"alone"], [b"\xff", b"1"]]
    for message in [*bad, [b"good", b"1"]]:
        pub.send_multipart(message)
    assert next(events) == ("good", 1)
    events.close()
    assert [error.raw for error in errors] == [b"{", b"a12", b"alone", b"\xff1"]
    assert [error.topic for error in errors] == ["a", None, None, None]
    assert {error.name for error in errors} == {"in"}
    assert sockets.stats("in").undecodable == 4
    assert [record.levelno for record in caplog.records] == [logging.ERROR] * 4
    assert all("'in'" in record.getMessage() for record in caplog.records)


def test_an_unreadable_event_is_an_error_of_the_strict_verb(
    everything: SocketManager,
) -> None:
    for verb in (everything.recv_event, everything.recv_event_safe):
        everything.send_multipart("out", [b"topic", b"{"])
        everything.publish("out", "topic", "good")
        with pytest.raises(DeserializationError, match=r"'topic'.*'in'"):
            verb("in")
        assert verb("in") == ("topic", "good")


def test_recv_on_a_sub_tells_the_verb_that_reads_events(everything: SocketManager) -> None:
    everything.publish("out", "topic", 1)
    with pytest.raises(DeserializationError, match="recv_event"):
        everything.recv("in")


@pytest.mark.parametrize("verb", ["publish", "publish_safe", "recv_event", "subscribe"])
def test_verbs_for_events_need_a_socket(sockets: SocketManager, verb: str) -> None:
    with pytest.raises(SocketNotFound, match="'nobody'"):
        getattr(sockets, verb)("nobody", "topic", *[1] * verb.startswith("publish"))


def test_topics_are_for_subscribers(sockets: SocketManager) -> None:
    sockets.create("in", zmq.PULL)
    with pytest.raises(AgentZeroSocketError, match=r"a topic needs a SUB or XSUB.*'in'"):
        sockets.set_topic("in", "a")


@pytest.mark.parametrize("verb", ["recv_event", "recv_event_safe", "subscribe"])
@pytest.mark.parametrize("topic", [(), ("a",)], ids=["any topic", "one"])
def test_only_subscribers_read_events(
    sockets: SocketManager, verb: str, topic: tuple[str, ...]
) -> None:
    sockets.create("in", zmq.PULL)
    needs = f"{verb.removesuffix('_safe')} needs a SUB or XSUB, which socket 'in'"
    with pytest.raises(AgentZeroSocketError, match=needs):
        getattr(sockets, verb)("in", *topic, timeout=0)
