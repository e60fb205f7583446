"""Time: its units, its totals, and what ends a wait."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import pytest
import zmq

from agentzero import SocketManager
from agentzero.errors import SocketClosed, SocketTimeout

Make = Callable[..., Any]

# More than any wait here should overrun by, on a machine that is busy.
LATE = 5.0


@pytest.fixture
def idle(sockets: SocketManager, full_router: bytes) -> SocketManager:
    """Sockets of which none is ever ready: nobody sends, nobody receives."""
    sockets.ensure_and_bind("in", zmq.PULL, "tcp://127.0.0.1:*")
    sockets.ensure_and_bind("out", zmq.PUSH, "tcp://127.0.0.1:*")
    sockets.ensure_and_bind("events", zmq.SUB, "tcp://127.0.0.1:*")
    sockets.register_socket(sockets.get_by_name("in"), zmq.POLLIN)
    return sockets


def gives_up(call: Callable[..., Any], *args: Any, **options: Any) -> bool:
    try:
        result = call(*args, **options)
    except SocketTimeout:
        return True
    return result in (None, False, {}, [])


SECONDS: dict[str, Callable[..., Any]] = {
    "send": lambda sockets, **time: sockets.send("out", 1, **time),
    "send_safe": lambda sockets, **time: sockets.send_safe("out", 1, **time),
    "send_multipart": lambda sockets, **time: sockets.send_multipart("out", [b"1"], **time),
    "send_to": lambda sockets, **time: sockets.send_to("router", b"full", 1, **time),
    "publish": lambda sockets, **time: sockets.publish("out", "topic", 1, **time),
    "publish_safe": lambda sockets, **time: sockets.publish_safe("out", "topic", 1, **time),
    "recv": lambda sockets, **time: sockets.recv("in", **time),
    "recv_safe": lambda sockets, **time: sockets.recv_safe("in", **time),
    "recv_multipart": lambda sockets, **time: sockets.recv_multipart("in", **time),
    "recv_from": lambda sockets, **time: sockets.recv_from("in", **time),
    "recv_event": lambda sockets, **time: sockets.recv_event("events", **time),
    "recv_event_safe": lambda sockets, **time: sockets.recv_event_safe("events", **time),
    "subscribe": lambda sockets, **time: list(sockets.subscribe("events", **time)),
    "wait_until_ready": lambda sockets, **time: sockets.wait_until_ready("in", 1, **time),
}

MILLISECONDS: dict[str, Callable[..., Any]] = {
    "engage": lambda sockets, **time: sockets.engage(**time),
    "ready": lambda sockets, **time: sockets.ready("in", zmq.POLLIN, **time),
}

seconds = pytest.mark.parametrize("verb", SECONDS.values(), ids=SECONDS)
milliseconds = pytest.mark.parametrize("verb", MILLISECONDS.values(), ids=MILLISECONDS)
every = pytest.mark.parametrize(
    "verb", (SECONDS | MILLISECONDS).values(), ids=list(SECONDS | MILLISECONDS)
)


@seconds
def test_seconds_are_seconds(idle: SocketManager, verb: Callable[..., Any]) -> None:
    """The original passed seconds as milliseconds."""
    began = time.monotonic()
    assert gives_up(verb, idle, timeout=0.06)
    assert 0.059 <= time.monotonic() - began < 0.06 + LATE


@milliseconds
def test_milliseconds_are_milliseconds(idle: SocketManager, verb: Callable[..., Any]) -> None:
    began = time.monotonic()
    assert gives_up(verb, idle, timeout=60)
    assert 0.059 <= time.monotonic() - began < 0.06 + LATE


@seconds
def test_slices_never_add_up_to_more_than_the_total(
    idle: SocketManager, verb: Callable[..., Any]
) -> None:
    """The original's wait ran far past its time-out."""
    for polling_timeout in (7, 0, 60_000, math.inf):
        began = time.monotonic()
        assert gives_up(verb, idle, timeout=0.03, polling_timeout=polling_timeout)
        assert 0.029 <= time.monotonic() - began < 0.03 + LATE


class Impatient:
    """A place to wait at, or to await, that only notes how long it should have been."""

    def __init__(self) -> None:
        self.waited: list[float] = []

    def wait(self, fds: object, timeout: float) -> Impatient:
        self.waited.append(timeout)
        return self

    def __await__(self) -> Iterator[None]:
        return iter(())

    def wake(self) -> None:
        """It never sleeps."""

    def close(self) -> None:
        """Nothing is kept."""


@every
def test_zero_tries_once_and_never_waits(
    idle: SocketManager, verb: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    waiter = Impatient()
    monkeypatch.setattr(idle.backend, "waiter", lambda: waiter)
    assert gives_up(verb, idle, timeout=0)
    monkeypatch.undo()
    assert not any(waiter.waited)  # to give others a turn is no wait


@pytest.mark.parametrize("name", sorted({*SECONDS} - {"subscribe", "send_to"}))
def test_none_is_the_managers_time(manager: Make, name: str) -> None:
    sockets = manager(timeout=0.05)
    sockets.create("in", zmq.PULL)
    sockets.create("out", zmq.PUSH)
    sockets.create("events", zmq.SUB)
    for options in ({}, {"timeout": None}):
        began = time.monotonic()
        assert gives_up(SECONDS[name], sockets, **options)
        assert 0.049 <= time.monotonic() - began < 0.05 + LATE


@milliseconds
def test_none_is_the_managers_polling_time(manager: Make, verb: Callable[..., Any]) -> None:
    sockets = manager(polling_timeout=50)
    sockets.create("in", zmq.PULL)
    began = time.monotonic()
    assert gives_up(verb, sockets, timeout=None)
    assert 0.049 <= time.monotonic() - began < 0.05 + LATE


@every
def test_infinity_waits_until_the_socket_is_closed(
    idle: SocketManager, verb: Callable[..., Any], spawn: Make, eventually: Make
) -> None:
    waits = spawn(verb, idle, timeout=math.inf)
    channels = list(idle._channels.values())
    eventually(lambda: any(channel._waiters for channel in channels))
    assert not waits.done()
    idle.close_all()
    with suppress(SocketClosed):
        assert waits.result() == []  # a loop ends


@every
def test_what_is_no_time_is_a_clear_error(idle: SocketManager, verb: Callable[..., Any]) -> None:
    for value in (-1, -0.5, math.nan, -math.inf):
        with pytest.raises(ValueError, match="timeout must be 0 or more"):
            verb(idle, timeout=value)
    for nonsense in ("1", True, [], 1j):
        with pytest.raises(TypeError, match="timeout must be a number"):
            verb(idle, timeout=nonsense)


@seconds
def test_what_is_no_polling_time_is_a_clear_error(
    idle: SocketManager, verb: Callable[..., Any]
) -> None:
    for value in (-1, math.nan):
        with pytest.raises(ValueError, match="polling_timeout must be 0 or more"):
            verb(idle, timeout=0.01, polling_timeout=value)
    for nonsense in ("1", True):
        with pytest.raises(TypeError, match="polling_timeout must be a number"):
            verb(idle, timeout=0.01, polling_timeout=nonsense)


@pytest.mark.parametrize("verb", ["recv", "wait_until_ready"])
def test_a_wait_that_is_woken_over_and_over_still_ends_on_time(
    backend: Any, idle: SocketManager, spawn: Make, verb: str
) -> None:
    """The original's wait began anew with every wake-up."""
    over, channel = backend.event(), idle._channels["in"]

    def disturb() -> None:
        while not over.is_set():
            for waiter in list(channel._waiters):
                waiter.wake()
            backend.pause(0.001)

    disturbing = spawn(disturb)
    began = time.monotonic()
    assert gives_up(SECONDS[verb], idle, timeout=0.3)
    over.set()
    assert 0.299 <= time.monotonic() - began < 0.3 + LATE
    disturbing.result()


def test_traffic_on_a_router_does_not_prolong_the_wait_for_a_full_peer(
    backend: Any, sockets: SocketManager, spawn: Make, full_router: bytes
) -> None:
    over = backend.event()
    sockets.ensure_and_connect("busy", zmq.DEALER, "inproc://router")

    def chatter() -> None:
        while not over.is_set():
            sockets.send("busy", 1)
            sockets.recv_from("router")
            backend.pause(0)

    chatting = spawn(chatter)
    began = time.monotonic()
    with pytest.raises(SocketTimeout, match="'router'"):
        sockets.send_to("router", full_router, 1, timeout=0.3)
    over.set()
    assert 0.299 <= time.monotonic() - began < 0.3 + LATE
    chatting.result()
