"""Every failure of this library, as an exception under one base class."""

from __future__ import annotations

from typing import Any

__all__ = [
    "AgentZeroSocketError",
    "DeserializationError",
    "ManagerClosed",
    "PeerUnreachable",
    "PluginError",
    "RemoteError",
    "SerializationError",
    "SocketAlreadyExists",
    "SocketBindError",
    "SocketClosed",
    "SocketConnectError",
    "SocketNotFound",
    "SocketTimeout",
]


class AgentZeroSocketError(Exception):
    """Base of every error that this library raises.

    >>> from agentzero import SocketManager
    >>> from agentzero.errors import AgentZeroSocketError
    >>> with SocketManager() as sockets:
    ...     try:
    ...         sockets.get_by_name("nobody")
    ...     except AgentZeroSocketError as error:
    ...         print(type(error).__name__)
    SocketNotFound
    """


def _remade(kind: type[AgentZeroSocketError], args: tuple[Any, ...]) -> AgentZeroSocketError:
    """Make an error again from its text, as the manager that it speaks of stays where it was."""
    error = kind.__new__(kind)
    error.args = args
    return error


class SocketAlreadyExists(AgentZeroSocketError):
    """A socket of that name exists already.

    >>> from agentzero.core import SocketManager, zmq
    >>> sockets = SocketManager()
    >>> _ = sockets.create("foo", zmq.REP)
    >>> sockets.create("foo", zmq.REP)
    Traceback (most recent call last):
      ...
    agentzero.errors.SocketAlreadyExists: SocketManager(...) already has a socket named 'foo'.
    >>> sockets.close_all()
    """

    def __init__(self, manager: object, socket_name: str, detail: str = "") -> None:
        super().__init__(f"{manager!r} already has a socket named {socket_name!r}{detail}.")

    def __reduce__(self) -> tuple[Any, ...]:
        return _remade, (type(self), self.args)


class SocketNotFound(AgentZeroSocketError):
    """No socket of that name exists.

    >>> from agentzero.core import SocketManager, zmq
    >>> with SocketManager() as sockets:
    ...     sockets.get_by_name("some-name")
    Traceback (most recent call last):
      ...
    agentzero.errors.SocketNotFound: SocketManager(sockets=['']) has no sockets named 'some-name'.
    """

    def __init__(self, manager: object, socket_name: str) -> None:
        super().__init__(f"{manager!r} has no sockets named {socket_name!r}.")

    def __reduce__(self) -> tuple[Any, ...]:
        return _remade, (type(self), self.args)


class SocketBindError(AgentZeroSocketError):
    """An address could not be bound, or unbound; the text names socket, address and cause."""


class SocketConnectError(AgentZeroSocketError):
    """An address could not be connected, or disconnected; as for SocketBindError."""


class SocketTimeout(AgentZeroSocketError, TimeoutError):
    """A strict verb waited its whole time in vain; the text says for what, where and how long.

    >>> from agentzero.core import SocketManager, zmq
    >>> with SocketManager() as sockets:
    ...     _ = sockets.create("jobs", zmq.PULL)
    ...     sockets.recv("jobs", timeout=0)
    Traceback (most recent call last):
      ...
    agentzero.errors.SocketTimeout: nothing to receive on socket 'jobs' (PULL, no endpoints) in 0 s
    """


class SocketClosed(AgentZeroSocketError):
    """The socket was closed, by its owner or another task, while it was in use."""


class ManagerClosed(AgentZeroSocketError):
    """The manager was closed; it makes, finds and moves nothing any more."""


class PeerUnreachable(AgentZeroSocketError):
    """A ROUTER was asked to send to an identity that no connected peer has."""


class SerializationError(AgentZeroSocketError, ValueError):
    """An object has no exact form in the serializer that should write it."""


class DeserializationError(AgentZeroSocketError, ValueError):
    """A message could not be read.

    Attributes:
        name: the socket it came from, or None where no socket was involved.
        topic: the topic it was published under, or None.
        raw: the bytes that could not be read; frames joined where there were several.
        identity: the peer that sent it to a ROUTER, for `send_to` to answer; else None.
    """

    def __init__(
        self,
        message: str,
        *,
        name: str | None = None,
        topic: str | None = None,
        raw: bytes = b"",
    ) -> None:
        super().__init__(message)
        self.name = name
        self.topic = topic
        self.raw = raw
        self.identity: bytes | None = None

    def __reduce__(self) -> tuple[Any, ...]:
        names = ("name", "topic", "raw", "identity")
        state = {name: getattr(self, name) for name in names}
        return type(self), (str(self),), state


class RemoteError(AgentZeroSocketError):
    """The other side's handler raised; this carries what it raised.

    Attributes:
        module: where the exception's class is defined, e.g. "builtins".
        name: the exception's class name, e.g. "ValueError".
        traceback: the other side's traceback, as text.
    """

    def __init__(
        self, message: str, *, module: str = "", name: str = "", traceback: str = ""
    ) -> None:
        super().__init__(message)
        self.module = module
        self.name = name
        self.traceback = traceback

    def __reduce__(self) -> tuple[Any, ...]:
        state = {"module": self.module, "name": self.name, "traceback": self.traceback}
        return type(self), (str(self),), state


class PluginError(AgentZeroSocketError):
    """A serializer or backend was asked for that is unknown, ambiguous or unusable."""
