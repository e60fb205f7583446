"""What fails leaves no trace in the books, and says why."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import zmq

from agentzero import SocketManager
from agentzero.errors import AgentZeroSocketError, SocketBindError, SocketConnectError

Make = Callable[..., Any]

UNUSABLE = {
    "no transport": "nonsense",
    "unknown transport": "carrier-pigeon://x",
    "no port": "tcp://127.0.0.1",
    "port too high": "tcp://127.0.0.1:70000",
    "no text": None,
    "NUL": "inproc://a\0b",
    "empty": "",
    "not UTF-8": "ipc://\udc80",
    "ipc path too long": "ipc:///" + "x" * 300,
}


@pytest.mark.parametrize("address", UNUSABLE.values(), ids=UNUSABLE)
@pytest.mark.parametrize("verb", ["bind", "connect"])
def test_an_address_that_cannot_be_used_leaves_no_trace(
    sockets: SocketManager, verb: str, address: Any
) -> None:
    wanted = SocketBindError if verb == "bind" else SocketConnectError
    sockets.create("socket", zmq.PUSH)
    with pytest.raises(wanted, match=rf"cannot {verb} socket 'socket' \(PUSH, ") as caught:
        getattr(sockets, verb)("socket", address, zmq.POLLOUT)
    assert repr(address) in str(caught.value)
    assert sockets.endpoints("socket") == []
    assert not sockets._registered


@pytest.mark.parametrize("address", ["tcp://127.0.0.1:*", "tcp://no such host:6000"])
def test_wildcards_and_nonsense_cannot_be_connected(sockets: SocketManager, address: str) -> None:
    sockets.create("socket", zmq.PUSH)
    with pytest.raises(SocketConnectError):
        sockets.connect("socket", address)
    assert sockets.endpoints("socket") == []


@pytest.mark.parametrize("verb", ["ensure_and_bind", "ensure_and_connect"])
def test_what_was_made_for_an_attachment_that_failed_is_gone_again(
    sockets: SocketManager, verb: str
) -> None:
    with pytest.raises(AgentZeroSocketError):
        getattr(sockets, verb)("socket", zmq.PUSH, "nonsense", zmq.POLLOUT)
    assert sockets.names() == []
    assert not sockets._registered
    assert sockets._by_socket == {}


def test_an_address_in_use_names_socket_address_and_cause(sockets: SocketManager) -> None:
    sockets.ensure_and_bind("first", zmq.PULL, "tcp://127.0.0.1:*")
    (address,) = sockets.endpoints("first")
    with pytest.raises(SocketBindError) as caught:
        sockets.ensure_and_bind("second", zmq.PULL, address, zmq.POLLIN)
    for part in ("'second'", "PULL", address, "in use"):
        assert part in str(caught.value)
    assert str(caught.value).count(address) == 1
    assert isinstance(caught.value.__cause__, zmq.ZMQError)
    assert sockets.names() == ["first"]


def test_a_socket_that_was_there_before_stays_as_it_was(sockets: SocketManager) -> None:
    jobs = sockets.ensure_and_bind("jobs", zmq.PULL, "inproc://jobs")
    with pytest.raises(SocketBindError):
        sockets.ensure_and_bind("jobs", zmq.PULL, "nonsense", zmq.POLLIN)
    assert sockets.get_by_name("jobs") is jobs
    assert sockets.endpoints("jobs") == ["inproc://jobs"]
    assert not sockets._registered


@pytest.mark.parametrize("verb", ["bind", "connect", "ensure_and_bind", "ensure_and_connect"])
def test_a_wrong_mask_attaches_nothing(sockets: SocketManager, verb: str) -> None:
    sockets.create("jobs", zmq.PULL)
    kind = (zmq.PULL,) if verb.startswith("ensure") else ()
    with pytest.raises(ValueError, match="polling_mechanism"):
        getattr(sockets, verb)("jobs", *kind, "inproc://jobs", 4)
    assert sockets.endpoints("jobs") == []


def test_a_host_that_does_not_exist_cannot_be_bound(sockets: SocketManager) -> None:
    with pytest.raises(SocketBindError, match=r"no-such-host\.invalid"):
        sockets.ensure_and_bind("jobs", zmq.PULL, "tcp://no-such-host.invalid:*")
    assert "jobs" not in sockets


@pytest.mark.parametrize("limit", ["much", -7.5, 2**70])
def test_a_message_limit_that_makes_no_sense_makes_no_socket(
    sockets: SocketManager, limit: Any
) -> None:
    with pytest.raises((TypeError, ValueError), match="max_message_size"):
        sockets.create("jobs", zmq.PULL, max_message_size=limit)
    assert sockets.names() == []


def test_a_serializer_that_is_unknown_makes_no_socket(sockets: SocketManager) -> None:
    with pytest.raises(AgentZeroSocketError, match="json"):
        sockets.create("jobs", zmq.PULL, serializer="morse")
    with pytest.raises(TypeError, match="serializer"):
        sockets.create("jobs", zmq.PULL, serializer=5)  # type: ignore[arg-type]
    assert sockets.names() == []
