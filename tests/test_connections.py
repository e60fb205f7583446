"""libzmq's monitor events, understood: what each sequence means, and how it is put in words."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from zmq import Event

from agentzero.connections import ENDED, NOT_PLAIN, WRONG_KEY, Connections
from agentzero.endpoints import Endpoint

HERE = "tcp://127.0.0.1:6000"
THERE = "tcp://127.0.0.1:6001"

DIALLED = [Event.CONNECTED, Event.HANDSHAKE_SUCCEEDED]
TAKEN = [Event.ACCEPTED, Event.HANDSHAKE_SUCCEEDED]
REFUSED = [Event.CLOSED, Event.CONNECT_RETRIED]
LOST = [Event.DISCONNECTED, Event.CONNECT_RETRIED]
MISMATCH = (Event.HANDSHAKE_FAILED_PROTOCOL, Event.PROTOCOL_ERROR_ZMTP_MECHANISM_MISMATCH)

DIFFERENT = "(one side uses CURVE, and the other does not)"
UNFIT = "handshake failed (the socket types of the two sides do not fit, or one side is not ZeroMQ)"
TOO_MANY = "(no connection can be accepted: Too many open files)"

Step = Event | tuple[Event, int]


def kinds(connections: Connections, steps: Sequence[Step], address: str = HERE) -> list[str]:
    """What the steps mean, in short."""
    events = [step if isinstance(step, tuple) else (step, 0) for step in steps]
    noted = [connections.note(event, value, address) for event, value in events]
    return [event.kind for event in noted if event is not None]


def words(steps: list[Step], *, bound: bool = False) -> str:
    connections = Connections()
    kinds(connections, steps)
    return connections.told([Endpoint(HERE, HERE, bound)])


@pytest.mark.parametrize(
    ("steps", "expected"),
    [
        (DIALLED, ["connected"]),
        (TAKEN, ["connected"]),
        (REFUSED * 3, ["refused"] * 3),
        ([Event.CONNECT_RETRIED] * 2, ["refused"] * 2),
        (DIALLED + LOST, ["connected", "disconnected"]),
        (DIALLED + LOST + REFUSED, ["connected", "disconnected", "refused"]),
        (DIALLED + LOST + DIALLED, ["connected", "disconnected", "connected"]),
        ([Event.CONNECTED, MISMATCH, Event.DISCONNECTED], ["handshake failed"]),
        ([Event.CONNECTED, Event.HANDSHAKE_FAILED_NO_DETAIL, *LOST], ["handshake failed"]),
        ([*TAKEN, Event.DISCONNECTED, *TAKEN], ["connected", "disconnected", "connected"]),
        ([(Event.ACCEPT_FAILED, 24)], ["refused"]),
        ([Event.CLOSED], []),
        ([Event.ACCEPTED], []),
    ],
    ids=str,
)
def test_what_happened(steps: list[Step], expected: list[str]) -> None:
    assert kinds(Connections(), steps) == expected


def test_where_nobody_shakes_hands_a_connection_is_ready_at_once() -> None:
    assert kinds(Connections(handshakes=False), [Event.CONNECTED]) == ["connected"]
    assert kinds(Connections(handshakes=False), [Event.ACCEPTED]) == ["connected"]


@pytest.mark.parametrize(
    ("steps", "expected"),
    [
        ([], "not connected yet"),
        (DIALLED, "connected"),
        (REFUSED, "refused"),
        ([Event.CONNECT_RETRIED], "refused (the name is not resolved, or no route leads there)"),
        (DIALLED + LOST, "disconnected"),
        (DIALLED + LOST + REFUSED, "disconnected, then refused"),
        (DIALLED + LOST + DIALLED, "connected"),
        ([(Event.HANDSHAKE_FAILED_AUTH, 400)], "(the server does not let this key in)"),
        ([MISMATCH], DIFFERENT),
        ([Event.CONNECTED, Event.DISCONNECTED], UNFIT),
        ([(Event.HANDSHAKE_FAILED_PROTOCOL, 0x10000000)], "(the other side breaks the protocol)"),
        ([(Event.HANDSHAKE_FAILED_NO_DETAIL, 104)], f"({ENDED}: {NOT_PLAIN})"),
    ],
    ids=str,
)
def test_what_a_connecting_socket_says(steps: list[Step], expected: str) -> None:
    said = words(steps)
    assert said.endswith(expected)
    assert said == expected or said == f"handshake failed {expected}"


@pytest.mark.parametrize(
    ("steps", "expected"),
    [
        ([], "no peer has connected yet"),
        (TAKEN, "1 peer connected"),
        (TAKEN * 2, "2 peers connected"),
        (TAKEN * 2 + [Event.DISCONNECTED], "1 peer connected, last: disconnected"),
        ([*TAKEN, Event.DISCONNECTED], "0 peers connected, last: disconnected"),
        ([*TAKEN, Event.DISCONNECTED, *TAKEN], "1 peer connected"),
        ([Event.ACCEPTED, Event.DISCONNECTED], f"0 peers connected, last: {UNFIT}"),
        (
            [*TAKEN, (Event.ACCEPTED, 8), (Event.DISCONNECTED, 8)],
            f"1 peer connected, last: {UNFIT}",
        ),
        (
            [*TAKEN, (Event.ACCEPTED, 8), (Event.DISCONNECTED, 0)],
            "0 peers connected, last: disconnected",
        ),
        (  # nobody says which of the two it was that came to an understanding
            [(Event.ACCEPTED, 8), *TAKEN, (Event.DISCONNECTED, 8)],
            "1 peer connected",
        ),
        (
            [*TAKEN, Event.ACCEPTED, MISMATCH, Event.DISCONNECTED],
            f"1 peer connected, last: handshake failed {DIFFERENT}",
        ),
        (
            [(Event.ACCEPT_FAILED, 24)],
            "0 peers connected, last: refused (no connection can be accepted: Too many open files)",
        ),
    ],
    ids=str,
)
def test_what_a_bound_socket_says(steps: list[Step], expected: str) -> None:
    assert words(steps, bound=True) == expected


def test_several_endpoints_are_told_apart() -> None:
    connections = Connections()
    kinds(connections, DIALLED)
    kinds(connections, REFUSED, THERE)
    endpoints = [Endpoint(at, at, bound=False) for at in (HERE, THERE, "inproc://silent")]
    assert connections.told(endpoints) == f"{HERE} connected, {THERE} refused"
    connections.forget(HERE)
    assert connections.told(endpoints[:1]) == "not connected yet"
    assert connections.told(endpoints[2:]) == ""


def test_what_a_curve_client_cannot_know_is_hinted_at() -> None:
    noted = Connections(secret=True).note(Event.HANDSHAKE_FAILED_NO_DETAIL, 32, HERE)
    assert noted is not None
    assert noted.reason == f"{ENDED}: {WRONG_KEY}"


@pytest.mark.parametrize(
    ("steps", "lost"),
    [
        (DIALLED, False),
        (DIALLED + LOST, False),
        ([*DIALLED, Event.DISCONNECTED], True),
        ([Event.CONNECTED, MISMATCH, Event.DISCONNECTED], True),
        ([*DIALLED, Event.DISCONNECTED, *DIALLED], False),
        ([*TAKEN, Event.DISCONNECTED], False),
    ],
    ids=str,
)
def test_a_connection_that_libzmq_does_not_make_anew_is_known(
    steps: list[Step], lost: bool
) -> None:
    connections = Connections()
    kinds(connections, steps)
    assert bool(connections.lost()) is lost
    connections.dialled(HERE)
    assert not connections.lost()


@pytest.mark.parametrize(
    ("endpoint", "named"),
    [
        ("tcp://localhost:6000", "tcp://127.0.0.1:6000"),
        ("tcp://0.0.0.0:6000", "tcp://127.0.0.1:6000"),
        ("tcp://[::]:6000", "tcp://[::1]:6000"),
    ],
)
def test_what_libzmq_calls_otherwise_is_known_by_its_port(endpoint: str, named: str) -> None:
    here = [Endpoint(endpoint, endpoint, bound=False)]
    connections = Connections(here)
    assert kinds(connections, [*DIALLED, Event.DISCONNECTED], endpoint)
    connections.note(Event.CONNECT_RETRIED, 0, named)
    assert not connections.lost()
    event = connections.note(Event.HANDSHAKE_SUCCEEDED, 0, named)
    assert event is not None
    assert event.endpoint == endpoint
    assert connections.told(here) == "connected"


def test_of_what_was_let_go_of_nothing_is_kept() -> None:
    connections = Connections([])
    for port in range(100):
        address = f"tcp://127.0.0.1:{6000 + port}"
        assert kinds(connections, [*DIALLED, Event.DISCONNECTED], address)
    assert not connections._links
    assert not connections.lost()


def test_what_happened_before_its_connections_were_made_anew_is_still_told() -> None:
    connections = Connections()
    kinds(connections, DIALLED + LOST + REFUSED)
    connections.forget(HERE, anew=True)
    assert connections.told([Endpoint(HERE, HERE, bound=False)]) == "disconnected, then refused"
