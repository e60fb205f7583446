"""Messages have the type that was asked for."""
# pyright: strict

from __future__ import annotations

from array import array
from collections.abc import Generator
from dataclasses import dataclass
from typing import Annotated, Any, TypedDict, assert_type

import msgspec
import zmq

from agentzero import ConnectionEvent, Envelope, Event, SocketManager
from agentzero.events import Identity, SocketStats


@dataclass
class Job:
    path: str


class Price(msgspec.Struct):
    amount: float


class Tags(TypedDict):
    names: list[str]


def typed(sockets: SocketManager) -> None:
    assert_type(sockets.recv("in", type=Job), Job)
    assert_type(sockets.recv("in", type=Price).amount, float)
    assert_type(sockets.recv("in", type=Tags)["names"], list[str])
    assert_type(sockets.recv("in", type=dict[str, list[Job]]), dict[str, list[Job]])
    assert_type(sockets.recv("in", type=Job | Price), Job | Price)
    assert_type(sockets.recv("in", type=Job | None), Job | None)
    assert_type(sockets.recv("in", type=Annotated[int, msgspec.Meta(ge=0)]), int)
    assert_type(sockets.recv_safe("in", timeout=2, type=Job), Job | None)
    assert_type(sockets.request("client", {"id": 1}, 2, retries=1, type=Job), Job)


def of_any_type(sockets: SocketManager, wanted: Any) -> None:
    assert_type(sockets.recv("in"), Any)
    assert_type(sockets.recv("in", type=wanted), Any)
    assert_type(sockets.recv_event("in", type=wanted).data, Any)
    assert_type(sockets.recv_from("in", type=wanted).data, Any)
    assert_type(sockets.recv_safe("in"), Any)
    assert_type(sockets.request("client", b"what?"), Any)


def events(sockets: SocketManager) -> None:
    topic, data = sockets.recv_event("in", "prices")
    assert_type(topic, str)
    assert_type(data, Any)
    assert_type(sockets.recv_event("in", b"prices", 2), Event)
    assert_type(sockets.recv_event_safe("in"), Event | None)
    assert_type(sockets.subscribe("in", "prices", lambda: True), Generator[Event, None, None])
    for event in sockets.subscribe("in", on_error=lambda error: print(error.raw)):
        assert_type(event, Event)
    for change in sockets.connection_events("in"):
        assert_type(change, ConnectionEvent)
        assert_type(change.reason, str)


def typed_events(sockets: SocketManager) -> None:
    topic, data = sockets.recv_event("in", "prices", type=Price)
    assert_type(topic, str)
    assert_type(data, Price)
    assert_type(sockets.recv_event("in", type=Job | None), Event[Job | None])
    assert_type(sockets.recv_event_safe("in", timeout=2, type=Price), Event[Price] | None)
    for event in sockets.subscribe("in", "prices", type=Price):
        assert_type(event, Event[Price])
        whatever: Event[object] = event
        shown(whatever)


def shown(event: Event) -> None:
    assert_type(event.data, Any)


def frames(sockets: SocketManager) -> None:
    assert_type(sockets.recv_multipart("in"), list[bytes])
    assert_type(sockets.recv_multipart("in", copy=False), list[memoryview])
    sockets.send_multipart("out", [b"topic", array("d", [1.5])])
    tracker = sockets.send_multipart("out", [bytearray(5)], copy=False)
    assert_type(tracker.done, bool)
    assert_type(tracker.wait(2), None)


def by_identity(sockets: SocketManager) -> None:
    envelope = sockets.recv_from("router")
    assert_type(envelope, Envelope)
    assert_type(envelope.data, Any)
    sockets.send_to("router", envelope.identity, envelope.data)
    assert_type(sockets.recv_from("router", type=Job), Envelope[Job])
    identity, job = sockets.recv_from("router", type=Job)
    assert_type(identity, Identity)
    assert_type(job, Job)


def path(job: Job) -> str:
    return job.path


def serving(sockets: SocketManager, wanted: Any) -> None:
    sockets.serve("server", len)
    sockets.serve("server", path)
    sockets.serve("server", len, type=str)
    sockets.serve("server", path, type=Job)
    sockets.serve("server", path, type=wanted)


def safe(sockets: SocketManager) -> None:
    assert_type(sockets.send_safe("out", {"a": [1, None]}), bool)
    assert_type(sockets.publish_safe("out", "prices", Price(1.5)), bool)


def books() -> None:
    with SocketManager(timeout=2, backend="threads") as sockets:
        assert_type(sockets, SocketManager)
        sockets.create("in", zmq.PULL, serializer="cbor", max_message_size=2**20)
        assert_type(sockets.bind_to_random_port("in")[1], str)
        assert_type(sockets.endpoints("in"), list[str])
        assert_type(sockets.names(), list[str])
        assert_type(sockets.stats("in"), SocketStats)
        assert_type(sockets.stats().received, int)
        assert_type(sockets.timeout, float)
