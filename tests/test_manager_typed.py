"""Messages as the type that the receiver asks for, through every verb that takes one."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any, TypedDict

import msgspec
import pytest
import zmq

from agentzero import SocketManager
from agentzero.errors import DeserializationError

Make = Callable[..., Any]


class Point(msgspec.Struct):
    x: int
    y: int


@dataclasses.dataclass
class Job:
    name: str
    points: list[Point]


class Options(TypedDict):
    verbose: bool


FITTING: dict[str, tuple[Any, Any, Any]] = {
    "Struct": (Point, {"x": 1, "y": 2}, Point(1, 2)),
    "dataclass": (Job, {"name": "a", "points": [{"x": 1, "y": 2}]}, Job("a", [Point(1, 2)])),
    "TypedDict": (Options, {"verbose": True}, {"verbose": True}),
    "list of int": (list[int], [1, 2], [1, 2]),
    "tuple": (tuple[int, str], [1, "a"], (1, "a")),
    "optional": (Point | None, None, None),
}

UNFITTING: dict[str, tuple[Any, Any, str]] = {
    "Struct": (Point, {"x": 1, "y": "two"}, r"`int`.*`str`.*\$\.y"),
    "missing field": (Point, {"x": 1}, "`y`"),
    "dataclass": (Job, {"name": "a", "points": [{"x": 1, "y": None}]}, r"\$\.points\[0\]\.y"),
    "TypedDict": (Options, {"verbose": 5}, r"\$\.verbose"),
    "list of int": (list[int], [1, "two"], r"\$\[1\]"),
    "null": (Point, None, "`null`|`None`"),
}


@pytest.fixture
def wired(manager: Make, link: Make, codec: str) -> SocketManager:
    """A PULL "in" and a PUSH "out", a SUB "events" and an XPUB "news", with each serializer."""
    sockets: SocketManager = manager(serialization_backend=codec)
    link(sockets, ("in", zmq.PULL), ("out", zmq.PUSH), "inproc://jobs")
    link(sockets, ("news", zmq.XPUB), ("events", zmq.SUB), "inproc://news")
    sockets.set_topic("events", "")
    assert sockets.recv_multipart("news") == [b"\x01"]
    return sockets


def transfers(sockets: SocketManager) -> list[Callable[[Any, Any], Any]]:
    """Ways to send some data and to receive it as a type."""

    def through(receive: Callable[..., Any]) -> Callable[[Any, Any], Any]:
        def transfer(data: Any, wanted: Any) -> Any:
            sockets.send("out", data)
            return receive("in", type=wanted)

        return transfer

    def published(receive: Callable[..., Any]) -> Callable[[Any, Any], Any]:
        def transfer(data: Any, wanted: Any) -> Any:
            sockets.publish("news", "topic", data)
            event = receive("events", type=wanted)
            assert event.topic == "topic"
            return event.data

        return transfer

    return [
        through(sockets.recv),
        through(sockets.recv_safe),
        published(sockets.recv_event),
        published(sockets.recv_event_safe),
    ]


@pytest.mark.parametrize(("wanted", "data", "result"), FITTING.values(), ids=FITTING)
def test_data_arrives_as_the_type_asked_for(
    wired: SocketManager, wanted: Any, data: Any, result: Any
) -> None:
    for transfer in transfers(wired):
        received = transfer(data, wanted)
        assert received == result
        assert type(received) is type(result)


@pytest.mark.parametrize(("wanted", "data", "path"), UNFITTING.values(), ids=UNFITTING)
def test_what_does_not_fit_is_an_error_with_the_path_to_the_field(
    wired: SocketManager, wanted: Any, data: Any, path: str
) -> None:
    for transfer in transfers(wired):
        with pytest.raises(DeserializationError, match=path) as caught:
            transfer(data, wanted)
        assert caught.value.name in ("in", "events")
        assert caught.value.raw
        assert transfer([1, 2], list[int]) == [1, 2]
    assert wired.stats().undecodable == 4


def test_what_is_sent_as_a_type_is_received_as_one(wired: SocketManager) -> None:
    job = Job("hash", [Point(1, 2), Point(3, 4)])
    for transfer in transfers(wired):
        assert transfer(job, Job) == job


def test_a_subscription_gives_events_of_a_type_and_skips_what_does_not_fit(
    wired: SocketManager, caplog: pytest.LogCaptureFixture
) -> None:
    errors: list[DeserializationError] = []
    events = wired.subscribe("events", timeout=10, type=Point, on_error=errors.append)
    for data in ({"x": 1, "y": 2}, {"x": "one", "y": 2}, {"x": 3, "y": 4}):
        wired.publish("news", "points", data)
    assert next(events) == ("points", Point(1, 2))
    assert next(events) == ("points", Point(3, 4))
    events.close()
    (error,) = errors
    assert "$.x" in str(error)
    assert (error.name, error.topic) == ("events", "points")
    assert "'events'" in caplog.text


def test_an_envelope_holds_the_type(sockets: SocketManager, link: Make) -> None:
    link(sockets, ("router", zmq.ROUTER), ("dealer", zmq.DEALER))
    sockets.send("dealer", {"x": 1, "y": 2})
    assert sockets.recv_from("router", type=Point).data == Point(1, 2)
    sockets.send("dealer", {"x": 1})
    with pytest.raises(DeserializationError, match="`y`"):
        sockets.recv_from("router", type=Point)


@pytest.mark.parametrize("wanted", ["str", 5, lambda: None])
def test_what_is_no_type_is_told_before_a_message_is_taken(
    wired: SocketManager, wanted: Any
) -> None:
    wired.send("out", "precious")
    wired.publish("news", "topic", "precious")
    for receive in (wired.recv, wired.recv_safe):
        with pytest.raises(TypeError, match="no type to convert to"):
            receive("in", type=wanted)
    for receive in (wired.recv_event, wired.recv_event_safe, wired.subscribe):
        with pytest.raises(TypeError, match="no type to convert to"):
            receive("events", type=wanted)
    assert wired.recv("in") == "precious"
    assert wired.recv_event("events").data == "precious"
