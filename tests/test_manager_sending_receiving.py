"""send and recv, strict and safe, one frame or many, against ourselves and bare pyzmq."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import cbor2
import msgpack
import pytest
import zmq

from agentzero import SocketManager
from agentzero.errors import (
    AgentZeroSocketError,
    DeserializationError,
    SerializationError,
    SocketNotFound,
    SocketTimeout,
)

Make = Callable[..., Any]

ITEMS = [{"topic": "grüße", "times": 3}, [1, 2.5, None, True], "text", 0, "", [], {}, False]

READ = {"json": json.loads, "msgpack": msgpack.unpackb, "cbor": cbor2.loads}
WRITE = {
    "json": lambda item: json.dumps(item).encode(),
    "msgpack": msgpack.packb,
    "cbor": cbor2.dumps,
}


@pytest.fixture
def coded(manager: Make, link: Make, codec: str) -> SocketManager:
    """A PULL named "in" and a PUSH named "out", with each serializer."""
    sockets: SocketManager = manager(serialization_backend=codec)
    link(sockets, ("in", zmq.PULL), ("out", zmq.PUSH))
    return sockets


def test_what_is_sent_is_received(coded: SocketManager) -> None:
    for item in ITEMS:
        coded.send("out", item)
        assert coded.recv("in") == item


def test_the_safe_verbs_work_with_every_serializer(coded: SocketManager) -> None:
    """The original's send_safe failed with binary serializers."""
    for item in ITEMS:
        assert coded.send_safe("out", item) is True
        assert coded.recv_safe("in") == item


def test_send_is_one_frame_that_a_bare_peer_can_read(manager: Make, peer: Make, codec: str) -> None:
    sockets = manager(serialization_backend=codec)
    sockets.ensure_and_bind("out", zmq.PUSH, "tcp://127.0.0.1:*")
    pull = peer(zmq.PULL, connect=sockets.endpoints("out")[0])
    for item in ITEMS:
        sockets.send("out", item)
        (frame,) = pull.recv_multipart()
        assert READ[codec](frame) == item


def test_what_a_bare_peer_sends_is_received(manager: Make, peer: Make, codec: str) -> None:
    sockets = manager(serialization_backend=codec)
    sockets.ensure_and_bind("in", zmq.PULL, "tcp://127.0.0.1:*")
    push = peer(zmq.PUSH, connect=sockets.endpoints("in")[0])
    for item in ITEMS:
        push.send(WRITE[codec](item))
        assert sockets.recv("in") == item


def test_messages_keep_their_order(pipe: SocketManager) -> None:
    for number in range(500):
        pipe.send("out", number)
    assert [pipe.recv("in") for _ in range(500)] == list(range(500))


def test_request_and_reply_over_req_and_rep(sockets: SocketManager, link: Make) -> None:
    link(sockets, ("server", zmq.REP), ("client", zmq.REQ))
    for number in range(3):
        sockets.send("client", number)
        sockets.send("server", sockets.recv("server") + 1)
        assert sockets.recv("client") == number + 1


def test_a_null_is_a_value_for_the_strict_verb(coded: SocketManager) -> None:
    coded.send("out", None)
    assert coded.recv("in") is None
    with pytest.raises(SocketTimeout):
        coded.recv("in", timeout=0)


def test_the_safe_verbs_say_no_by_their_value(sockets: SocketManager) -> None:
    sockets.create("out", zmq.PUSH)
    sockets.create("in", zmq.PULL)
    assert sockets.send_safe("out", 1, timeout=0.01) is False
    assert sockets.recv_safe("in", timeout=0.01) is None


def test_times_may_be_given_by_position_as_in_the_seed(sockets: SocketManager) -> None:
    sockets.create("out", zmq.PUSH)
    sockets.create("in", zmq.PULL)
    assert sockets.send_safe("out", 1, 0.02, 10) is False
    assert sockets.recv_safe("in", 0.02, 10) is None
    assert sockets.wait_until_ready("in", zmq.POLLIN, 0.02, 10) is None


def test_a_timeout_names_socket_type_endpoints_and_time(sockets: SocketManager) -> None:
    sockets.ensure_and_bind("jobs", zmq.PULL, "inproc://one")
    sockets.connect("jobs", "inproc://two")
    with pytest.raises(SocketTimeout) as caught:
        sockets.recv("jobs", timeout=0.015)
    for part in ("'jobs'", "PULL", "inproc://one", "inproc://two", "0.015 s"):
        assert part in str(caught.value)
    assert isinstance(caught.value, TimeoutError)
    sockets.create("lonely", zmq.PUSH)
    with pytest.raises(SocketTimeout, match=r"send.*'lonely' \(PUSH, no endpoints\) in 0 s"):
        sockets.send("lonely", 1, timeout=0)


def test_sending_waits_until_there_is_somebody_to_send_to(
    sockets: SocketManager, spawn: Make, waiting: Make, peer: Make
) -> None:
    sockets.ensure_and_bind("out", zmq.PUSH, "tcp://127.0.0.1:*")
    sent = spawn(sockets.send_safe, "out", "hello")
    waiting(sockets, "out")
    pull = peer(zmq.PULL, connect=sockets.endpoints("out")[0])
    assert sent.result() is True
    assert pull.recv() == b'"hello"'


def test_sending_waits_until_a_full_queue_has_room(
    sockets: SocketManager, spawn: Make, waiting: Make
) -> None:
    for name, kind in (("in", zmq.PULL), ("out", zmq.PUSH)):
        sockets.create(name, kind)
        sockets.set_socket_option(name, zmq.HWM, 1)
    sockets.bind("in", "inproc://narrow")
    sockets.connect("out", "inproc://narrow")
    count = 0
    while sockets.send_safe("out", count, timeout=0):
        count += 1
    sent = spawn(sockets.send, "out", count)
    waiting(sockets, "out")
    assert [sockets.recv("in") for _ in range(count + 1)] == list(range(count + 1))
    sent.result()


def test_a_reply_before_its_request_is_an_error_and_no_wait(
    sockets: SocketManager, link: Make
) -> None:
    link(sockets, ("server", zmq.REP), ("client", zmq.REQ))
    with pytest.raises(AgentZeroSocketError, match=r"'server'.*receives and sends in turn"):
        sockets.send_safe("server", 1)
    with pytest.raises(AgentZeroSocketError, match=r"'client'.*sends and receives in turn"):
        sockets.recv_safe("client")


def test_a_socket_that_only_sends_cannot_receive(pipe: SocketManager) -> None:
    with pytest.raises(AgentZeroSocketError, match="receive on socket 'out'"):
        pipe.recv("out")
    with pytest.raises(AgentZeroSocketError, match="send on socket 'in'"):
        pipe.send("in", 1)


@pytest.mark.parametrize("verb", ["send", "send_safe", "recv", "recv_safe", "recv_multipart"])
def test_verbs_need_a_socket(sockets: SocketManager, verb: str) -> None:
    with pytest.raises(SocketNotFound, match="'nobody'"):
        getattr(sockets, verb)("nobody", *[1] * verb.startswith("send"))


def test_what_cannot_be_written_is_not_sent(coded: SocketManager) -> None:
    loop: list[Any] = []
    loop.append(loop)
    for verb in (coded.send, coded.send_safe):
        with pytest.raises(SerializationError):
            verb("out", loop)
    coded.send("out", "next")
    assert coded.recv("in") == "next"
    assert coded.stats("out").sent == 1


@pytest.mark.parametrize("verb", ["recv", "recv_safe"])
def test_a_message_that_cannot_be_read_is_an_error_once(
    sockets: SocketManager, peer: Make, verb: str
) -> None:
    sockets.ensure_and_bind("in", zmq.PULL, "tcp://127.0.0.1:*")
    push = peer(zmq.PUSH, connect=sockets.endpoints("in")[0])
    push.send(b"{")
    push.send_multipart([b"1", b"2"])
    push.send(b'"good"')
    for raw in (b"{", b"12"):
        with pytest.raises(DeserializationError, match="'in'") as caught:
            getattr(sockets, verb)("in")
        assert (caught.value.name, caught.value.topic, caught.value.raw) == ("in", None, raw)
    assert getattr(sockets, verb)("in") == "good"
    assert sockets.stats("in").undecodable == 2


def test_frames_pass_as_they_are(pipe: SocketManager) -> None:
    for frames in ([b"one"], [b"", b"\xff\x00", b""], [b"x" * 100_000, b"y"]):
        pipe.send_multipart("out", frames)
        assert pipe.recv_multipart("in") == frames


def test_frames_may_be_any_buffer(pipe: SocketManager) -> None:
    pipe.send_multipart("out", (bytearray(b"a"), memoryview(b"b"), b"c"))
    assert pipe.recv_multipart("in") == [b"a", b"b", b"c"]


def test_a_multipart_message_reaches_a_bare_peer_in_one_piece(
    sockets: SocketManager, peer: Make
) -> None:
    sockets.ensure_and_bind("out", zmq.PUSH, "tcp://127.0.0.1:*")
    pull = peer(zmq.PULL, connect=sockets.endpoints("out")[0])
    sockets.send_multipart("out", [b"1", b"2", b"3"])
    sockets.send_multipart("out", [b"4"])
    assert [pull.recv_multipart(), pull.recv_multipart()] == [[b"1", b"2", b"3"], [b"4"]]


def test_multipart_verbs_wait_and_time_out_as_the_others(
    sockets: SocketManager, spawn: Make, waiting: Make
) -> None:
    sockets.ensure_and_bind("in", zmq.PULL, "inproc://raw")
    with pytest.raises(SocketTimeout, match="'in'"):
        sockets.recv_multipart("in", timeout=0)
    received = spawn(sockets.recv_multipart, "in")
    waiting(sockets, "in")
    sockets.ensure_and_connect("out", zmq.PUSH, "inproc://raw")
    sockets.send_multipart("out", [b"1", b"2"])
    assert received.result() == [b"1", b"2"]


@pytest.mark.parametrize("timeout", [0, 0.05, None])
def test_receiving_out_of_turn_is_an_error_also_after_a_reply_that_was_waited_for(
    sockets: SocketManager, link: Make, spawn: Make, waiting: Make, timeout: float | None
) -> None:
    link(sockets, ("server", zmq.REP), ("client", zmq.REQ))
    sockets.send("client", 1)
    reply = spawn(sockets.recv, "client")
    waiting(sockets, "client")
    sockets.send("server", sockets.recv("server"))
    assert reply.result() == 1
    with pytest.raises(AgentZeroSocketError, match="sends and receives in turn"):
        sockets.recv("client", timeout=timeout)
