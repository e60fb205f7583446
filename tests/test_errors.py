"""One family of errors, which can be caught, compared with the built-in ones, and sent on."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import pytest

from agentzero import SocketManager, errors
from agentzero.errors import (
    AgentZeroSocketError,
    DeserializationError,
    PeerUnreachable,
    RemoteError,
    SerializationError,
    SocketAlreadyExists,
    SocketNotFound,
    SocketTimeout,
)

CLASSES = [getattr(errors, name) for name in errors.__all__]

ERRORS = [
    SocketAlreadyExists("SocketManager(sockets=['foo'])", "foo"),
    SocketAlreadyExists("SocketManager(sockets=['foo'])", "foo", ", and it is a PULL"),
    SocketNotFound("SocketManager(sockets=[''])", "foo"),
    DeserializationError("cannot read", name="jobs", topic="logs", raw=b"{"),
    RemoteError("it failed", module="builtins", name="ValueError", traceback="Traceback ..."),
    *(
        getattr(errors, name)("what happened")
        for name in errors.__all__
        if name not in ("SocketAlreadyExists", "SocketNotFound")
    ),
]


def test_the_contract_names_them() -> None:
    assert set(errors.__all__) >= {
        "AgentZeroSocketError", "DeserializationError", "ManagerClosed", "PluginError",
        "RemoteError", "SerializationError", "SocketAlreadyExists", "SocketBindError",
        "SocketClosed", "SocketConnectError", "SocketNotFound", "SocketTimeout",
    }  # fmt: skip


@pytest.mark.parametrize("error", CLASSES, ids=lambda error: error.__name__)
def test_every_error_is_one_of_this_library_and_an_exception(error: type[Exception]) -> None:
    """The original's errors derived from BaseException."""
    assert issubclass(error, AgentZeroSocketError)
    assert issubclass(error, Exception)
    assert error.__module__ == "agentzero.errors"


def test_some_are_what_python_calls_them_too() -> None:
    assert issubclass(SocketTimeout, TimeoutError)
    assert issubclass(SerializationError, ValueError)
    assert issubclass(DeserializationError, ValueError)


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
@pytest.mark.parametrize("way", ["pickle", "copy"])
def test_an_error_survives_the_way_to_another_process(error: Exception, way: str) -> None:
    again: Any = pickle.loads(pickle.dumps(error)) if way == "pickle" else copy.copy(error)
    assert type(again) is type(error)
    assert str(again) == str(error)
    assert vars(again) == vars(error)


def test_the_texts_of_the_seed() -> None:
    with SocketManager() as sockets:
        exists, missing = SocketAlreadyExists(sockets, "foo"), SocketNotFound(sockets, "foo")
    assert str(exists) == "SocketManager(sockets=['']) already has a socket named 'foo'."
    assert str(missing) == "SocketManager(sockets=['']) has no sockets named 'foo'."


def test_an_unreadable_message_carries_where_it_came_from() -> None:
    error = DeserializationError("cannot read", name="jobs", topic="logs", raw=b"{")
    assert (error.name, error.topic, error.raw) == ("jobs", "logs", b"{")
    error = DeserializationError("cannot read")
    assert (error.name, error.topic, error.raw) == (None, None, b"")


def test_a_remote_error_carries_what_was_raised() -> None:
    error = RemoteError("no", module="builtins", name="ValueError", traceback="Traceback")
    assert (error.module, error.name, error.traceback) == ("builtins", "ValueError", "Traceback")


def test_a_peer_out_of_reach_is_no_timeout() -> None:
    assert not issubclass(PeerUnreachable, TimeoutError)
