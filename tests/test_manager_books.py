"""Which sockets a manager has: making, finding, registering and naming them."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest
import zmq

from agentzero import SocketManager
from agentzero.core import DEFAULT_POLLING_TIMEOUT, DEFAULT_TIMEOUT_IN_SECONDS
from agentzero.errors import AgentZeroSocketError, SocketAlreadyExists, SocketNotFound

Make = Callable[..., Any]


def test_the_defaults_are_the_seeds(sockets: SocketManager) -> None:
    assert (DEFAULT_TIMEOUT_IN_SECONDS, DEFAULT_POLLING_TIMEOUT) == (10, 10000)
    assert (sockets.timeout, sockets.polling_timeout) == (10, 10000)


def test_get_by_name_gives_the_object_that_create_returned(sockets: SocketManager) -> None:
    made = sockets.create("jobs", zmq.PULL)
    assert made.type == zmq.PULL
    assert sockets.get_by_name("jobs") is made


def test_a_name_can_be_taken_only_once(sockets: SocketManager) -> None:
    sockets.create("foo", zmq.REP)
    with pytest.raises(SocketAlreadyExists) as caught:
        sockets.create("foo", zmq.REP)
    text = "SocketManager(sockets=['foo']) already has a socket named 'foo'."
    assert str(caught.value).removeprefix("Async") == text


def test_an_unknown_name_is_answered_in_the_seeds_words(sockets: SocketManager) -> None:
    with pytest.raises(SocketNotFound) as caught:
        sockets.get_by_name("some-name")
    text = "SocketManager(sockets=['']) has no sockets named 'some-name'."
    assert str(caught.value).removeprefix("Async") == text


def test_get_or_create_makes_once_and_finds_ever_after(sockets: SocketManager) -> None:
    made = sockets.get_or_create("jobs", zmq.PULL, zmq.POLLIN)
    assert sockets.get_or_create("jobs", zmq.PULL, zmq.POLLIN) is made
    assert sockets.get_by_name("jobs") is made


def test_get_or_create_does_not_pass_off_another_type(sockets: SocketManager) -> None:
    sockets.create("jobs", zmq.PULL)
    with pytest.raises(SocketAlreadyExists, match="PULL"):
        sockets.get_or_create("jobs", zmq.PUSH, zmq.POLLOUT)
    assert sockets.engage(0) == {}


def test_get_or_create_with_a_wrong_mask_creates_nothing(sockets: SocketManager) -> None:
    with pytest.raises(ValueError, match="polling_mechanism"):
        sockets.get_or_create("jobs", zmq.PULL, 0)
    assert sockets.names() == []


def test_registering_again_replaces_the_mask(pipe: SocketManager) -> None:
    out = pipe.get_by_name("out")
    pipe.wait_until_ready("out", zmq.POLLOUT)
    pipe.register_socket(out, zmq.POLLOUT)
    assert pipe.engage(0) == {out: zmq.POLLOUT}
    pipe.register_socket(out, zmq.POLLIN)
    assert pipe.engage(0) == {}


def test_get_or_create_without_a_mask_leaves_the_registration_alone(pipe: SocketManager) -> None:
    out = pipe.register_socket(pipe.get_by_name("out"), zmq.POLLOUT)
    pipe.wait_until_ready("out", zmq.POLLOUT)
    pipe.get_or_create("out", zmq.PUSH)
    assert pipe.engage(0) == {out: zmq.POLLOUT}


def test_a_foreign_socket_is_polled_and_stays_its_owners(manager: Make, peer: Make) -> None:
    sockets = manager()
    pull = peer(zmq.PULL)
    port = pull.bind_to_random_port("tcp://127.0.0.1")
    assert sockets.register_socket(pull, zmq.POLLIN) is pull
    peer(zmq.PUSH, connect=f"tcp://127.0.0.1:{port}").send(b"hello")
    assert sockets.engage(20_000) == {pull: zmq.POLLIN}
    sockets.close_all()
    assert pull.recv() == b"hello"
    assert sockets.names() == []


def test_a_foreign_socket_that_its_owner_closed_is_polled_no_more(
    sockets: SocketManager, peer: Make
) -> None:
    pull = sockets.register_socket(peer(zmq.PULL), zmq.POLLIN)
    pull.close()
    assert sockets.engage(0) == {}


def test_registering_a_closed_socket_is_an_error_of_this_library(
    sockets: SocketManager, peer: Make
) -> None:
    pull = peer(zmq.PULL)
    pull.close()
    with pytest.raises(AgentZeroSocketError, match="closed"):
        sockets.register_socket(pull, zmq.POLLIN)


def test_registering_what_is_no_socket_says_so(sockets: SocketManager) -> None:
    with pytest.raises(TypeError, match="pyzmq socket"):
        sockets.register_socket("jobs", zmq.POLLIN)


def test_the_names_are_listed_counted_and_found(sockets: SocketManager) -> None:
    assert (sockets.names(), len(sockets), "b" in sockets) == ([], 0, False)
    sockets.create("b", zmq.PULL)
    sockets.create("a", zmq.PUSH)
    assert (sockets.names(), len(sockets), "b" in sockets) == (["b", "a"], 2, True)
    assert repr(sockets).removeprefix("Async") == "SocketManager(sockets=['b', 'a'])"


def test_a_manager_without_sockets_is_true(sockets: SocketManager) -> None:
    assert bool(sockets)
    assert len(sockets) == 0


def test_the_linger_is_set_when_a_socket_is_made(manager: Make) -> None:
    assert manager(linger=1.5).create("out", zmq.PUSH).linger == 1500
    assert manager(linger=0).create("out", zmq.PUSH).linger == 0


def test_the_message_limit_is_the_managers_unless_the_socket_has_one(manager: Make) -> None:
    sockets = manager(max_message_size=1000)
    assert sockets.create("a", zmq.PULL).get(zmq.MAXMSGSIZE) == 1000
    assert sockets.create("b", zmq.PULL, max_message_size=5).get(zmq.MAXMSGSIZE) == 5


def test_a_socket_may_have_a_serializer_of_its_own(sockets: SocketManager, peer: Make) -> None:
    sockets.ensure_and_bind("out", zmq.PUSH, "tcp://127.0.0.1:*", serializer="msgpack")
    pull = peer(zmq.PULL, connect=sockets.endpoints("out")[0])
    sockets.send("out", [1, b"raw"])
    assert pull.recv() == b"\x92\x01\xc4\x03raw"


def test_two_managers_share_nothing_but_the_wire(manager: Make) -> None:
    one, other = manager(), manager()
    one.ensure_and_bind("socket", zmq.PULL, "tcp://127.0.0.1:*")
    other.ensure_and_connect("socket", zmq.PUSH, one.endpoints("socket")[0])
    other.send("socket", "hello")
    assert one.recv("socket") == "hello"
    one.close_all()
    assert other.names() == ["socket"]


def test_managers_of_one_context_meet_over_inproc(manager: Make) -> None:
    with zmq.Context() as context:
        one, other = manager(context=context), manager(context=context)
        one.ensure_and_bind("in", zmq.PULL, "inproc://jobs")
        other.ensure_and_connect("out", zmq.PUSH, "inproc://jobs")
        other.send("out", "hello")
        assert one.recv("in") == "hello"
        one.close_all()
        other.close_all()


def test_a_green_socket_that_is_handed_out_cooperates() -> None:
    gevent = pytest.importorskip("gevent")
    green = pytest.importorskip("zmq.green")
    ticks: list[float] = []

    def tick() -> None:
        while len(ticks) < 5:
            ticks.append(time.monotonic())
            gevent.sleep(0.01)
        sockets.send("out", "after five ticks")

    with SocketManager(zmq=green, linger=0) as sockets:
        jobs = sockets.ensure_and_bind("in", zmq.PULL, "inproc://jobs")
        sockets.ensure_and_connect("out", zmq.PUSH, "inproc://jobs")
        assert isinstance(jobs, green.Socket)
        gevent.spawn(tick)
        assert jobs.recv() == b'"after five ticks"'
    assert len(ticks) == 5


def test_the_flavour_says_who_waits_and_which_sockets_are_handed_out() -> None:
    pytest.importorskip("gevent")
    green = pytest.importorskip("zmq.green")
    with SocketManager(zmq, linger=0) as sockets:
        assert sockets.backend.name == "threads"
        assert isinstance(sockets.create("a", zmq.PULL), zmq.Socket)
    with SocketManager(green, linger=0) as sockets:
        assert sockets.backend.name == "gevent"
        assert isinstance(sockets.create("a", zmq.PULL), green.Socket)
    with SocketManager(zmq, backend="gevent", linger=0) as sockets:
        assert sockets.backend.name == "gevent"
        assert isinstance(sockets.create("a", zmq.PULL), zmq.Socket)
