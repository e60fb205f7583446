"""Bad messages over real sockets: each an error, and the next message is read."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest
import zmq

from agentzero import SocketManager
from agentzero.errors import DeserializationError
from agentzero.serializers import Serializer, resolve
from tests.processes import START, running
from tests.strangers import (
    GOOD,
    GOOD_JSON,
    GREETING,
    HUGE,
    LONG,
    Peers,
    listening,
    long_frame,
    reader,
    ready,
    stranger,
    thrown_out,
)

Make = Callable[..., Any]

pytestmark = pytest.mark.usefixtures("no_collection")

BAD: dict[str, dict[str, bytes]] = {
    "json": {
        "empty": b"",
        "truncated": b'{"a": [1, 2',
        "nested": b"[" * 200_000,
        "nested and closed": b"[" * 200_000 + b"]" * 200_000,
        "nested maps": b'{"a":' * 200_000,
        "lying length": b'"\\ud83d',
        "invalid UTF-8": b'"\xff\xfe"',
        "something after it": b"{} {}",
        "not of this format": b"\x81\xa1a\x01",
    },
    "msgpack": {
        "empty": b"",
        "truncated": b"\x82\xa1a\x01",
        "nested": b"\x91" * 200_000,
        "nested and closed": b"\x91" * 200_000 + b"\x01",
        "nested maps": b"\x81\xa1a" * 200_000,
        "lying array": b"\xdd\xff\xff\xff\xff\x01",
        "lying map": b"\xdf\xff\xff\xff\xff\x01",
        "lying text": b"\xdb\xff\xff\xff\xffx",
        "lying bytes": b"\xc6\xff\xff\xff\xffx",
        "lying extension": b"\xc9\xff\xff\xff\xff\x01x",
        "invalid UTF-8": b"\xa2\xff\xfe",
        "something after it": b"\x01\x02",
        "not of this format": b"\xc1",
    },
    "cbor": {
        "empty": b"",
        "truncated": b"\xa2\x61a\x01",
        "nested": b"\x81" * 200_000,
        "nested and closed": b"\x81" * 200_000 + b"\x01",
        "nested maps": b"\xa1\x61a" * 200_000,
        "nested tags": b"\xc1" * 200_000,
        "lying array": b"\x9b\x7f" + b"\xff" * 7,
        "lying map": b"\xbb\x7f" + b"\xff" * 7,
        "lying text": b"\x7b\x7f" + b"\xff" * 7,
        "lying bytes": b"\x5b\x00\x00\x00\x10" + b"\x00" * 4,
        "invalid UTF-8": b"\x62\xff\xfe",
        "something after it": b"\x01\x02",
        "not of this format": b"\x1c",
    },
}


def packed(codec: Serializer, data: object) -> bytes:
    raw = codec.pack(data)
    return raw.encode() if isinstance(raw, str) else raw


@dataclass
class Wire:
    """A manager's socket, a bare peer that is connected to it, and a verb that reads.

    Attributes:
        read: the verb; returns the data of a message. Its argument is the type that is wanted.
        head: the frames before the payload, as the peer sends them.
        topic: what an error says about the topic.
        frames: numbers of frames, as the peer sends them, that are no message here.
    """

    sockets: SocketManager
    peer: zmq.Socket[bytes]
    codec: Serializer
    read: Callable[..., Any]
    head: list[bytes]
    topic: str | None
    frames: list[int]

    @property
    def good(self) -> bytes:
        return packed(self.codec, GOOD)

    def send(self, *frames: bytes) -> None:
        self.peer.send_multipart(frames)

    def send_good(self) -> None:
        self.send(*self.head, self.good)

    def refusal(self) -> DeserializationError:
        """The error of the next message, whose name and text are those of the socket."""
        with pytest.raises(DeserializationError) as caught:
            self.read()
        assert caught.value.name == "in"
        assert "'in'" in str(caught.value)
        return caught.value


# verb: socket type, frames before the payload, topic, wrong numbers of frames
WAYS: dict[str, tuple[int, list[bytes], str | None, list[int]]] = {
    "recv": (zmq.PULL, [], None, [2, 3, 1000]),
    "recv_safe": (zmq.DEALER, [], None, [2, 3, 1000]),
    "recv_event": (zmq.SUB, [b"top"], "top", [1, 3, 1000]),
    "recv_event_safe": (zmq.SUB, [b"top"], "top", [1, 3, 1000]),
    "recv_from": (zmq.ROUTER, [], None, [2, 3, 1000]),
    "recv_from through a delimiter": (zmq.ROUTER, [b"id", b""], None, [2, 4, 1000]),
}


@pytest.fixture
def peers() -> Iterator[Peers]:
    with Peers() as peers:
        yield peers


@pytest.fixture
def sockets(manager: Make, codec: str) -> SocketManager:
    made: SocketManager = manager(serialization_backend=codec, timeout=LONG)
    return made


@pytest.fixture(params=WAYS)
def wire(request: pytest.FixtureRequest, sockets: SocketManager, codec: str, peers: Peers) -> Wire:
    kind, head, topic, frames = WAYS[request.param]
    listening(sockets, kind)
    peer, read = peers.connect_to(sockets), reader(sockets, request.param)
    return Wire(sockets, peer, resolve(codec), read, head, topic, frames)


# One message


def test_a_payload_that_cannot_be_read_is_an_error_and_the_next_one_is_read(
    wire: Wire, codec: str
) -> None:
    for raw in BAD[codec].values():
        wire.send(*wire.head, raw)
        wire.send_good()
        error = wire.refusal()
        assert (error.raw, error.topic) == (raw, wire.topic)
        assert len(str(error)) < 1000
        assert wire.read() == GOOD
    assert wire.sockets.stats("in").undecodable == len(BAD[codec])


def test_a_wrong_number_of_frames_is_an_error_and_the_next_message_is_read(wire: Wire) -> None:
    for count in wire.frames:
        frames = [wire.good] * count
        wire.send(*frames)
        wire.send_good()
        error = wire.refusal()
        assert error.raw.endswith(b"".join(frames))
        assert "frames" in str(error)
        assert wire.read() == GOOD


def test_empty_frames_are_an_error_and_the_next_message_is_read(wire: Wire) -> None:
    for count in (1, 2, 3, 1000):
        wire.send(*[b""] * count)
        wire.send_good()
        wire.refusal()
        assert wire.read() == GOOD


def test_what_does_not_fit_the_type_is_an_error_and_the_next_message_is_read(wire: Wire) -> None:
    wire.send(*wire.head, packed(wire.codec, {"next": 5}))
    wire.send_good()
    with pytest.raises(DeserializationError, match=r"\$\[") as caught:
        wire.read(dict[str, str])
    assert (caught.value.name, caught.value.topic) == ("in", wire.topic)
    assert wire.read(dict[str, str]) == GOOD


@pytest.mark.parametrize("verb", ["recv_event", "recv_event_safe"])
def test_a_topic_that_is_not_text_is_an_error_and_the_next_event_is_read(
    sockets: SocketManager, codec: str, peers: Peers, verb: str
) -> None:
    listening(sockets, zmq.SUB)
    peer = peers.connect_to(sockets)
    wire = Wire(sockets, peer, resolve(codec), reader(sockets, verb), [b"top"], None, [])
    for topic in (b"\xff\xfe", b"\xc3", b"\xed\xa0\x80", b"\xc0\x80"):
        wire.send(topic, wire.good)
        wire.send_good()
        error = wire.refusal()
        assert topic in error.raw
        assert error.topic is None
        assert wire.read() == GOOD


def test_a_server_that_got_a_bad_request_can_answer_and_read_the_next(
    sockets: SocketManager, codec: str, peers: Peers
) -> None:
    listening(sockets, zmq.REP)
    peer = peers.connect_to(sockets)
    wire = Wire(sockets, peer, resolve(codec), reader(sockets, "recv"), [], None, [])
    for raw in BAD[codec].values():
        wire.send(raw)
        assert wire.refusal().raw == raw
        sockets.send("in", "sorry")
        assert resolve(codec).unpack(peer.recv()) == "sorry"
        wire.send_good()
        assert wire.read() == GOOD
        sockets.send("in", "thanks")
        peer.recv()


# Subscriptions


def test_a_subscription_goes_on_after_every_bad_message(
    sockets: SocketManager,
    codec: str,
    peers: Peers,
    caplog: pytest.LogCaptureFixture,
) -> None:
    listening(sockets, zmq.SUB)
    peer = peers.connect_to(sockets)
    good = packed(resolve(codec), GOOD)
    bad = [[b"top", raw] for raw in BAD[codec].values()]
    bad += [[good] * 1, [good] * 3, [good] * 1000, [b""], [b"", b""], [b"\xff\xfe", good]]
    errors: list[DeserializationError] = []
    with caplog.at_level(logging.ERROR):
        events = sockets.subscribe("in", timeout=LONG, on_error=errors.append)
        for number, frames in enumerate(bad, 1):
            peer.send_multipart(frames)
            peer.send_multipart([b"top", good])
            assert next(events) == ("top", GOOD)
            assert sockets.stats("in").undecodable == number == len(errors)
            error = errors[-1]
            assert error.name == "in"
            assert error.raw in b"".join(frames)
    events.close()
    assert [record.levelno for record in caplog.records] == [logging.ERROR] * len(bad)
    assert all("'in'" in record.getMessage() for record in caplog.records)
    assert [error.topic for error in errors[: len(BAD[codec])]] == ["top"] * len(BAD[codec])


def test_bad_messages_alone_do_not_starve_keep_polling(
    sockets: SocketManager, codec: str, peers: Peers
) -> None:
    listening(sockets, zmq.SUB)
    peer = peers.connect_to(sockets)
    errors: list[DeserializationError] = []
    for _ in range(20):
        peer.send_multipart([b"top", BAD[codec]["truncated"]])
    events = sockets.subscribe(
        "in", keep_polling=lambda: len(errors) < 10, timeout=LONG, on_error=errors.append
    )
    assert list(events) == []
    assert len(errors) == 10


def test_a_log_line_about_a_bad_message_is_no_longer_than_a_person_reads(
    sockets: SocketManager, codec: str, peers: Peers, caplog: pytest.LogCaptureFixture
) -> None:
    listening(sockets, zmq.SUB)
    peer = peers.connect_to(sockets)
    peer.send_multipart([b"t" * 1_000_000, BAD[codec]["truncated"]])
    peer.send_multipart([b"top", packed(resolve(codec), GOOD)])
    with caplog.at_level(logging.ERROR):
        assert next(sockets.subscribe("in", timeout=LONG)) == ("top", GOOD)
    assert max(len(record.getMessage()) for record in caplog.records) < 2000


# Sizes


@pytest.mark.parametrize("scope", ["manager", "socket"])
def test_a_peer_that_exceeds_the_size_is_dropped_and_others_go_on(
    manager: Make, peers: Peers, scope: str
) -> None:
    whole = {"max_message_size": 1000 if scope == "manager" else 5}
    single = {} if scope == "manager" else {"max_message_size": 1000}
    with manager(timeout=LONG, **whole) as sockets:
        where = listening(sockets, zmq.PULL, **single)
        hostile, friend = (peers.connect(zmq.PUSH, where) for _ in range(2))
        monitor = hostile.get_monitor_socket(zmq.EVENT_DISCONNECTED)
        friend.send(b'"%s"' % (b"x" * 998))
        assert sockets.recv("in") == "x" * 998
        hostile.send(b'"%s"' % (b"x" * 999))
        assert monitor.poll(int(LONG * 1000)), "it was not disconnected"
        hostile.disable_monitor()
        monitor.close()
        friend.send(GOOD_JSON)
        assert sockets.recv("in") == GOOD
        assert sockets.recv_safe("in", timeout=0) is None
        assert sockets.stats("in").received == 2


@pytest.mark.parametrize("size", [1001, 2**31, HUGE, 2**64 - 1])
def test_a_size_that_is_merely_claimed_is_enough_to_be_dropped(
    manager: Make, peers: Peers, size: int
) -> None:
    with manager(timeout=LONG, max_message_size=1000) as sockets:
        where = listening(sockets, zmq.PULL)
        with stranger(where, GREETING + ready(zmq.PUSH) + long_frame(2, size)) as connection:
            assert thrown_out(connection)
        peers.connect(zmq.PUSH, where).send(GOOD_JSON)
        assert sockets.recv("in") == GOOD


# The process that receives: many claims, then one good message. Its memory must not follow claims.
CLAIMED = """
import resource, sys, zmq
from agentzero import SocketManager
from agentzero.errors import DeserializationError

codec, space = sys.argv[1], int(sys.argv[2])
if space:
    resource.setrlimit(resource.RLIMIT_AS, (space, space))
sockets = SocketManager(serialization_backend=codec, linger=0)
sockets.create("in", zmq.PULL)
print(sockets.bind_to_random_port("in", local_address="tcp://127.0.0.1")[1], flush=True)
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
bad = 0
while True:
    try:
        data = sockets.recv("in", 30)
    except DeserializationError:
        bad += 1
        continue
    if data == {"next": "good one"}:
        break
print(bad, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="ru_maxrss is in KiB there")
@pytest.mark.parametrize("space", [0, 2**31], ids=["unlimited", "2 GiB of addresses"])
def test_memory_does_not_follow_what_messages_claim(codec: str, peers: Peers, space: int) -> None:
    raws = [raw for name, raw in BAD[codec].items() if "lying" in name or "truncated" in name]
    with running("-c", CLAIMED, codec, str(space)) as process:
        where = process.line()
        shaken = GREETING + ready(zmq.PUSH)
        claims = [shaken + long_frame(2, size) for size in (2**30, 2**33, 2**40, HUGE)]
        strangers = [stranger(where, said) for said in claims * 5]
        peer = peers.connect(zmq.PUSH, where)
        for raw in raws * 20:
            peer.send(raw)
        peer.send(packed(resolve(codec), GOOD))
        ended = process.end(START)
        for connection in strangers:
            connection.close()
    assert (ended.code, ended.err) == (0, "")
    bad, grown = map(int, ended.out.split()[-2:])
    assert bad == 20 * len(raws)
    assert grown < 50_000  # KiB
