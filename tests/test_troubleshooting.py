"""The page for those whom something fails says every text that there is."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import zmq
from zmq import Event

from agentzero import SocketManager, asking, connections, errors, steps
from agentzero.channel import ONE_WAY, WRONG_STATE
from agentzero.connections import Connections
from agentzero.endpoints import Endpoint
from tests.pages import Page
from tests.processes import ROOT

TEXT = Page(ROOT / "docs" / "when-something-goes-wrong.md").text
HERE = "tcp://127.0.0.1:6000"

Happened = list[tuple[Event, int]]

DIALLED = [(Event.CONNECTED, 7), (Event.HANDSHAKE_SUCCEEDED, 0)]
TAKEN = [(Event.ACCEPTED, 7), (Event.HANDSHAKE_SUCCEEDED, 0)]
LOST = [(Event.DISCONNECTED, 7), (Event.CONNECT_RETRIED, 0)]
REFUSED = [(Event.CLOSED, 7), (Event.CONNECT_RETRIED, 0)]

CONNECTING: dict[str, Happened] = {
    "nothing": [],
    "refused": REFUSED,
    "not resolved": [(Event.CONNECT_RETRIED, 0)],
    "connected": DIALLED,
    "disconnected": DIALLED + LOST,
    "never again": DIALLED + LOST + REFUSED,
    "no keys": [(Event.HANDSHAKE_FAILED_NO_DETAIL, 32)],
    "not let in": [(Event.HANDSHAKE_FAILED_AUTH, 400)],
    "broken protocol": [(Event.HANDSHAKE_FAILED_PROTOCOL, -1)],
    "unfit": [(Event.CONNECTED, 7), (Event.DISCONNECTED, 7)],
    **{
        reason: [(Event.HANDSHAKE_FAILED_PROTOCOL, number)]
        for number, reason in connections.PROTOCOL_ERRORS.items()
    },
}
BOUND: dict[str, Happened] = {
    "nobody": [],
    "one": TAKEN,
    "two": TAKEN + TAKEN,
    "none any more": [*TAKEN, (Event.DISCONNECTED, 7)],
}


def words(happened: Happened, *, bound: bool = False, secret: bool = False) -> str:
    """What a time-out would say after that."""
    links = Connections(secret=secret)
    for event, value in happened:
        links.note(event, value, HERE)
    return links.told([Endpoint(HERE, HERE, bound)])


def parts(said: str) -> Iterator[str]:
    """What is before brackets, and what is in them."""
    before, _, reason = said.partition(" (")
    yield f": {before}"
    yield reason.removesuffix(")")


@pytest.mark.parametrize("secret", [False, True], ids=["plain", "CURVE"])
@pytest.mark.parametrize("happened", CONNECTING.values(), ids=CONNECTING)
def test_each_end_of_a_time_out_is_explained(happened: Happened, secret: bool) -> None:
    assert [part for part in parts(words(happened, secret=secret)) if part not in TEXT] == []


@pytest.mark.parametrize("happened", BOUND.values(), ids=BOUND)
def test_each_end_of_a_time_out_of_a_bound_socket_is_explained(happened: Happened) -> None:
    assert f": {words(happened, bound=True)}" in TEXT


def test_what_keeps_a_bound_socket_from_accepting_is_explained() -> None:
    said = words([(Event.ACCEPT_FAILED, 24)], bound=True)
    last, _, cause = said.partition(", last: ")[2].partition(": ")
    assert f"{last}: ...)" in TEXT
    assert cause.removesuffix(")") in TEXT


@pytest.mark.parametrize("name", errors.__all__)
def test_each_class_of_error_is_on_it(name: str) -> None:
    assert name in TEXT


@pytest.mark.parametrize(
    "text",
    [
        steps.NOTHING,
        steps.NO_ROOM,
        asking.NO_REPLY,
        *WRONG_STATE.values(),
        *(f"socket {does}" for does in ONE_WAY.values()),
    ],
)
def test_each_text_of_a_verb_is_on_it(text: str) -> None:
    assert text in TEXT


def test_what_a_child_process_reads_is_on_it() -> None:
    sockets = SocketManager()
    try:
        sockets._inherited()
        with pytest.raises(errors.ManagerClosed) as caught:
            sockets.create("jobs", zmq.PULL)
        assert str(caught.value) in " ".join(TEXT.split())
    finally:
        sockets.context.term()
