"""Wrong arguments are named as such, and never end as an AttributeError deep inside."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from typing import Any

import pytest
import zmq

from agentzero import AsyncSocketManager, SocketManager
from agentzero.errors import AgentZeroSocketError, PluginError

Make = Callable[..., Any]

CONSTRUCTOR: dict[str, tuple[dict[str, Any], str]] = {
    "the name of a flavour": ({"zmq": "zmq"}, "zmq"),
    "a module that is no flavour": ({"zmq": math}, "zmq"),
    "a context that is none": ({"context": "context"}, "context"),
    "an empty context": ({"context": ""}, "context"),
    "a serializer's class": ({"serialization_backend": dict}, "serializer"),
    "a number for a backend": ({"backend": 5}, "backend"),
    "text for a time-out": ({"timeout": "10"}, "timeout"),
    "no time-out at all": ({"timeout": None}, "timeout"),
    "a bool for a time-out": ({"timeout": True}, "timeout"),
    "text for the polling time-out": ({"polling_timeout": "10"}, "polling_timeout"),
    "text for the linger": ({"linger": "10"}, "linger"),
    "text for the message limit": ({"max_message_size": "10"}, "max_message_size"),
}


either = pytest.mark.parametrize("manager_class", [SocketManager, AsyncSocketManager])


@either
@pytest.mark.parametrize(("arguments", "about"), CONSTRUCTOR.values(), ids=CONSTRUCTOR)
def test_a_manager_checks_what_it_is_made_of(
    manager_class: Make, arguments: dict[str, Any], about: str
) -> None:
    with pytest.raises(TypeError, match=about):
        manager_class(**arguments)


@either
def test_a_context_in_the_place_of_the_flavour_is_a_clear_error(manager_class: Make) -> None:
    with zmq.Context() as context, pytest.raises(TypeError, match="zmq"):
        manager_class(context)


@either
@pytest.mark.parametrize("argument", ["timeout", "polling_timeout", "linger"])
@pytest.mark.parametrize("value", [-1, -0.001, math.nan, -math.inf])
def test_times_are_zero_or_more(manager_class: Make, argument: str, value: float) -> None:
    with pytest.raises(ValueError, match=argument):
        manager_class(**{argument: value})


@either
@pytest.mark.parametrize("argument", ["backend", "serialization_backend"])
def test_an_unknown_name_lists_the_known_ones(manager_class: Make, argument: str) -> None:
    with pytest.raises(PluginError, match=r"threads|json"):
        manager_class(**{argument: "nonsense"})


def test_the_asynchronous_flavour_names_the_manager_that_it_is_for() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        asynchronous = pytest.importorskip("zmq.asyncio")
    with pytest.raises(PluginError, match="AsyncSocketManager"):
        SocketManager(asynchronous)


@pytest.mark.parametrize("linger", [3_000_000, 1e12])
def test_a_linger_of_months_is_no_less_than_a_linger(manager: Make, linger: float) -> None:
    with manager(linger=linger) as sockets:
        sockets.create("out", zmq.PUSH)


@pytest.mark.parametrize("name", [None, 5, b"jobs", ["jobs"]])
def test_a_name_is_text(sockets: SocketManager, name: Any) -> None:
    with pytest.raises(TypeError):
        sockets.create(name, zmq.PULL)


@pytest.mark.parametrize("kind", [999, -1, "PULL", None])
def test_a_socket_type_that_does_not_exist_is_refused(sockets: SocketManager, kind: Any) -> None:
    with pytest.raises((AgentZeroSocketError, TypeError)):
        sockets.create("jobs", kind)
    assert sockets.names() == []


@pytest.mark.parametrize("mask", [0, 4, -1, "in", None, 1.0])
@pytest.mark.parametrize("verb", ["ready", "wait_until_ready"])
def test_a_mask_is_in_out_or_both(pipe: SocketManager, verb: str, mask: Any) -> None:
    with pytest.raises(ValueError, match="polling_mechanism"):
        getattr(pipe, verb)("in", mask)


@pytest.mark.parametrize("mask", [0, 4, -1, "in", None, 1.0])
def test_a_registration_without_a_sensible_mask_is_refused(pipe: SocketManager, mask: Any) -> None:
    with pytest.raises((TypeError, ValueError), match="polling_mechanism"):
        pipe.register_socket(pipe.get_by_name("in"), mask)
    assert pipe.engage(0) == {}


@pytest.mark.parametrize("frames", ["text", b"bytes", bytearray(b"x"), ["text"], [None], 5, None])
def test_frames_are_a_list_of_bytes(pipe: SocketManager, frames: Any) -> None:
    with pytest.raises(TypeError):
        pipe.send_multipart("out", frames)
    pipe.send("out", "next")
    assert pipe.recv("in") == "next"


def test_a_message_has_at_least_one_frame(pipe: SocketManager) -> None:
    with pytest.raises(ValueError, match="at least one"):
        pipe.send_multipart("out", [])


def test_a_frame_that_cannot_be_sent_spoils_neither_its_message_nor_the_next(
    pipe: SocketManager,
) -> None:
    with pytest.raises((BufferError, TypeError, ValueError)):
        pipe.send_multipart("out", [b"a", memoryview(b"abcd")[::2], b"c"])
    pipe.send_multipart("out", [b"the next"])
    assert pipe.recv_multipart("in") == [b"the next"]


@pytest.mark.parametrize("topic", [5, None, ["a"], 1.5])
def test_a_topic_is_text_or_bytes(sockets: SocketManager, topic: Any) -> None:
    sockets.create("pub", zmq.PUB)
    sockets.create("sub", zmq.SUB)
    calls: list[Callable[[], object]] = [
        lambda: sockets.publish("pub", topic, 1),
        lambda: sockets.publish_safe("pub", topic, 1),
        lambda: sockets.set_topic("sub", topic),
        lambda: sockets.unset_topic("sub", topic),
    ]
    if topic is not None:
        calls.append(lambda: sockets.recv_event_safe("sub", topic, timeout=0))
        calls.append(lambda: sockets.subscribe("sub", topic))
    for call in calls:
        with pytest.raises(TypeError, match="topic"):
            call()


def test_true_is_no_topic(sockets: SocketManager) -> None:
    sockets.create("sub", zmq.SUB)
    with pytest.raises(TypeError, match="topic"):
        sockets.recv_event_safe("sub", True, timeout=0)  # type: ignore[call-overload]


def test_what_asks_a_loop_to_go_on_can_be_called(sockets: SocketManager) -> None:
    sockets.create("sub", zmq.SUB)
    with pytest.raises(TypeError, match="keep_polling"):
        sockets.subscribe("sub", "topic", True)  # type: ignore[call-overload]


def test_what_takes_errors_can_be_called(sockets: SocketManager) -> None:
    sockets.create("sub", zmq.SUB)
    with pytest.raises(TypeError, match="on_error"):
        sockets.subscribe("sub", on_error="log")  # type: ignore[call-overload]


def test_an_option_that_does_not_exist_names_the_socket(sockets: SocketManager) -> None:
    sockets.create("jobs", zmq.PULL)
    with pytest.raises(AgentZeroSocketError, match="option 9999 to 1 on socket 'jobs'"):
        sockets.set_socket_option("jobs", 9999, 1)
    with pytest.raises(AgentZeroSocketError, match="option RCVHWM to -5 on socket 'jobs'"):
        sockets.set_socket_option("jobs", zmq.RCVHWM, -5)


@pytest.mark.parametrize("value", ["many", None, 1.5, 2**40])
@pytest.mark.parametrize("option", [zmq.RCVHWM, zmq.HWM])
def test_an_options_value_of_the_wrong_kind_is_refused(
    sockets: SocketManager, option: int, value: Any
) -> None:
    jobs = sockets.create("jobs", zmq.PULL)
    before = jobs.get(zmq.RCVHWM)
    with pytest.raises((AgentZeroSocketError, TypeError, ValueError, OverflowError)):
        sockets.set_socket_option("jobs", option, value)
    assert jobs.get(zmq.RCVHWM) == before


@pytest.mark.parametrize("wanted", ["int", 5, [int]])
def test_a_type_that_is_none_is_said_to_be_none(pipe: SocketManager, wanted: Any) -> None:
    pipe.send("out", 1)
    with pytest.raises(TypeError, match="type"):
        pipe.recv("in", type=wanted)


@pytest.mark.parametrize("identity", ["text", 5, None])
def test_an_identity_is_bytes(sockets: SocketManager, identity: Any) -> None:
    sockets.create("router", zmq.ROUTER)
    with pytest.raises(TypeError):
        sockets.send_to("router", identity, "hello")
