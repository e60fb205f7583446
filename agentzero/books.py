"""The books of a manager: which sockets it has, how they are made, found, counted and closed."""

from __future__ import annotations

import os
import weakref
from contextlib import ExitStack
from functools import partial
from importlib import import_module
from types import ModuleType
from typing import Any, Generic, Never, TypeVar

import zmq as pyzmq

from agentzero import backends, lifecycle, serializers
from agentzero.attendant import Attendant
from agentzero.backends import AsyncBackend, Backend, Wakeable
from agentzero.channel import Channel, RouterChannel
from agentzero.deadline import Deadline, checked_timeout, milliseconds
from agentzero.errors import (
    AgentZeroSocketError,
    ManagerClosed,
    SocketAlreadyExists,
    SocketClosed,
    SocketNotFound,
)
from agentzero.events import SocketStats
from agentzero.handed import handed
from agentzero.log import ZMQPubHandler
from agentzero.pollset import PollSet
from agentzero.screen import screened
from agentzero.security import ClientKeys, ServerKeys
from agentzero.steps import Steps, end
from agentzero.subscribers import XpubChannel

__all__ = ["DEFAULT_POLLING_TIMEOUT", "DEFAULT_TIMEOUT_IN_SECONDS", "B", "Books"]

DEFAULT_TIMEOUT_IN_SECONDS = 10
DEFAULT_POLLING_TIMEOUT = DEFAULT_TIMEOUT_IN_SECONDS * 1000

# What sockets of a type are set to.
OPTIONS = {
    pyzmq.ROUTER: {
        pyzmq.ROUTER_MANDATORY: 1,
        # Or who comes back under its identity is not heard while the old one seems to be there.
        pyzmq.ROUTER_HANDOVER: 1,
    },
    pyzmq.XPUB: {
        pyzmq.XPUB_VERBOSER: 1,  # or equal subscriptions are told of once
        pyzmq.IMMEDIATE: 1,  # or who has gone stays subscribed
    },
}

CHANNELS: dict[int, type[Channel]] = {pyzmq.ROUTER: RouterChannel, pyzmq.XPUB: XpubChannel}

B = TypeVar("B", bound=Backend | AsyncBackend)


def checked_mask(mask: object) -> int:
    """Return `mask` when it is made of zmq.POLLIN and zmq.POLLOUT.

    Raises:
        ValueError: it is anything else.
    """
    if not isinstance(mask, int) or not 0 < mask <= pyzmq.POLLIN | pyzmq.POLLOUT:
        raise ValueError(f"polling_mechanism is zmq.POLLIN, zmq.POLLOUT or both, not {mask!r}")
    return int(mask)


def checked_size(size: object) -> int | None:
    """Return `size` when it is a number of bytes, or None.

    Raises:
        TypeError, ValueError: it is neither.
    """
    if size is None:
        return None
    if isinstance(size, bool) or not isinstance(size, int):
        raise TypeError(f"max_message_size is a number of bytes or None, not {size!r}")
    if not 0 <= size < 2**63:
        raise ValueError(f"max_message_size is a number of bytes from 0, not {size!r}")
    return size


def checked_context(context: object) -> pyzmq.Context[Any]:
    """Return `context` when it is one.

    Raises:
        TypeError: it is not.
    """
    if not isinstance(context, pyzmq.Context):
        raise TypeError(f"context is a zmq.Context or None, not {context!r}")
    return context


def checked_keys(curve: object) -> None:
    """Raise TypeError where `curve` is neither keys nor None."""
    if curve is not None and not isinstance(curve, ServerKeys | ClientKeys):
        raise TypeError(f"curve is ServerKeys, ClientKeys or None, not {type(curve).__name__}")


class Channels(dict[str, Channel]):
    """Channels by name; a name that is not there raises what the caller should see."""

    def __init__(self, manager: Books[Any]) -> None:
        self._manager = weakref.ref(manager)

    def __missing__(self, name: str) -> Never:
        manager = self._manager()
        assert manager is not None  # who asks holds it
        manager._check_open()
        raise SocketNotFound(manager, name)


class Books(Generic[B]):
    """Which sockets a manager has."""

    def __init__(
        self,
        zmq: ModuleType | None,
        context: pyzmq.Context[Any] | None,
        serialization_backend: serializers.Serializer | str | None,
        polling_timeout: float,
        timeout: float,
        backend: B,
        linger: float,
        max_message_size: int | None,
    ) -> None:
        self.zmq: ModuleType = zmq or import_module(backend.flavour)
        self._socket_class = handed(backends.socket_class(self.zmq))
        self.timeout: float = checked_timeout(timeout)
        self.polling_timeout: float = checked_timeout(polling_timeout, "polling_timeout")
        self.linger: float = checked_timeout(linger, "linger")
        self.serialization_backend: serializers.Serializer = serializers.resolve(
            serialization_backend
        )
        self.max_message_size: int | None = checked_size(max_message_size)
        self.backend = backend
        self.context: pyzmq.Context[Any] = (
            self._new_context() if context is None else checked_context(context)
        )
        self._owns_context = context is None
        self._ending = self.context if self._owns_context else None
        self._leaving: list[Channel] = []
        self._lock = backend.lock()
        self._ensuring = backend.lock()
        self._channels = Channels(self)
        self._registered = PollSet(backend)
        self._attendant = Attendant(self.context, backend)
        self._by_socket: dict[Any, Channel] = {}
        self._handlers: dict[tuple[str, str], ZMQPubHandler] = {}
        self._past = SocketStats()
        self._refusal = ""
        lifecycle.watch(self)
        self._disposal = weakref.finalize(
            self,
            lifecycle.dispose,
            os.getpid(),
            self._channels,
            self._ending,
            linger,
            backend.detach,
            self._registered.close,
            self._attendant.stop,
        )
        self._disposal.atexit = False

    def _new_context(self) -> pyzmq.Context[Any]:
        context: pyzmq.Context[Any]
        try:
            context = self.zmq.Context()
            context.set(pyzmq.MAX_SOCKETS, context.get(pyzmq.SOCKET_LIMIT))
        except pyzmq.ZMQError as error:
            raise AgentZeroSocketError(f"cannot make a context: {error.strerror}") from error
        return context

    def __repr__(self) -> str:
        names = "', '".join(self._channels)
        return f"{type(self).__name__}(sockets=['{names}'])"

    def __len__(self) -> int:
        return len(self._channels)

    def __bool__(self) -> bool:
        return True

    def __contains__(self, name: object) -> bool:
        return name in self._channels

    # The books

    def create(
        self,
        name: str,
        socket_type: int,
        *,
        serializer: serializers.Serializer | str | None = None,
        max_message_size: int | None = None,
        curve: ServerKeys | ClientKeys | None = None,
    ) -> Any:
        """Create a socket under a name.

        Args:
            name: any text; free again once the socket is closed.
            socket_type: zmq.REQ, zmq.SUB, ...
            serializer: an instance or a registered name, where this socket's differs.
            max_message_size: bytes per frame; a peer that sends more is disconnected. None takes
                the manager's.
            curve: `ServerKeys` or `ClientKeys` of `agentzero.security`: its connections over tcp
                and ipc are encrypted, and only who has the right key gets anything through.

        Returns:
            The pyzmq socket, of the manager's flavour.

        Raises:
            SocketAlreadyExists: the name is taken.
            AgentZeroSocketError: there is no such type of socket, or no more can be made.
            PluginError: no serializer of that name can be used.
            ManagerClosed: the manager is closed.

        >>> import zmq
        >>> from agentzero import SocketManager
        >>> with SocketManager() as sockets:
        ...     _ = sockets.create("jobs", zmq.PULL, serializer="msgpack")
        ...     sockets.names()
        ['jobs']
        """
        if not isinstance(name, str):
            raise TypeError(f"a socket's name is a str, not {name!r}")
        limit = (
            self.max_message_size if max_message_size is None else checked_size(max_message_size)
        )
        codec = (
            self.serialization_backend if serializer is None else serializers.resolve(serializer)
        )
        checked_keys(curve)
        with self._lock:
            self._check_open()
            if name in self._channels:
                raise SocketAlreadyExists(self, name)
            if isinstance(curve, ServerKeys):
                self._attendant.guard(curve)
            socket = self._new_socket(name, socket_type, limit, curve)
            channel = CHANNELS.get(socket_type, Channel)(
                name,
                socket,
                self.backend.lock(),
                codec,
                self.backend.turn_every,
                self.backend.forget,
                curve,
            )
            if isinstance(curve, ServerKeys):
                screen = screened(socket, curve, partial(channel.count, "dropped"))
                channel.receive_with(screen.recv, screen.get)
            self._channels[name] = self._by_socket[socket] = channel
        return socket

    def _new_socket(
        self,
        name: str,
        socket_type: int,
        limit: int | None,
        curve: ServerKeys | ClientKeys | None,
    ) -> Any:
        try:
            pyzmq.SocketType(socket_type)
            socket = self.context.socket(socket_type, socket_class=self._socket_class)
            with ExitStack() as undone:
                undone.callback(socket.close)
                self._configure(socket, limit, curve)
                undone.pop_all()
        except (pyzmq.ZMQError, ValueError) as error:
            raise AgentZeroSocketError(
                f"cannot create socket {name!r} of type {socket_type!r}: {error}"
            ) from error
        return socket

    def _configure(
        self, socket: Any, limit: int | None, curve: ServerKeys | ClientKeys | None
    ) -> None:
        kind = socket.get(pyzmq.TYPE)
        # Before anything else: what is never connected is closed at once all the same.
        # A subscription on its way to a publisher is nothing that closing should wait for.
        subscribes = kind in (pyzmq.SUB, pyzmq.XSUB)
        socket.set(pyzmq.LINGER, 0 if subscribes else milliseconds(self.linger))
        if limit is not None:
            socket.set(pyzmq.MAXMSGSIZE, limit)
        for option, value in OPTIONS.get(kind, {}).items():
            socket.set(option, value)
        if curve is not None:
            curve.configure(socket)

    def get_by_name(self, name: str) -> Any:
        """Return the socket that `create` returned.

        Raises:
            SocketNotFound: there is none of that name.

        >>> import zmq
        >>> from agentzero import SocketManager
        >>> with SocketManager() as sockets:
        ...     sockets.create("jobs", zmq.PULL) is sockets.get_by_name("jobs")
        True
        """
        return self._channels[name].socket

    def get_or_create(
        self, name: str, socket_type: int, polling_mechanism: int | None = None, **options: Any
    ) -> Any:
        """Return the socket of that name; create it where there is none.

        Args:
            name: its name.
            socket_type: zmq.REQ, zmq.SUB, ...
            polling_mechanism: what `engage` polls it for: zmq.POLLIN, zmq.POLLOUT or both. None
                leaves that as it is.
            options: as for `create`; they count when it is created.

        Raises:
            SocketAlreadyExists: the name belongs to a socket of another type.
            AgentZeroSocketError, PluginError, ManagerClosed: as for `create`.

        >>> import zmq
        >>> from agentzero import SocketManager
        >>> with SocketManager() as sockets:
        ...     requester = sockets.get_or_create("requester", zmq.REQ, zmq.POLLIN | zmq.POLLOUT)
        ...     requester is sockets.get_or_create("requester", zmq.REQ, zmq.POLLIN)
        True
        """
        return self._ensure(name, socket_type, polling_mechanism, options)[0].socket

    def _ensure(
        self, name: str, socket_type: int, mask: int | None, options: dict[str, Any]
    ) -> tuple[Channel, bool]:
        """Return the channel of that name, and whether it was made for this."""
        if mask is not None:
            checked_mask(mask)
        checked_keys(options.get("curve"))
        with self._lock:
            made = name not in self._channels
            if made:
                self.create(name, socket_type, **options)
            channel = self._channels[name]
            if channel.kind != socket_type:
                kind = channel.kind.name
                raise SocketAlreadyExists(self, name, f", and it is a {kind}")
            if options.get("curve", channel.curve) != channel.curve:
                raise SocketAlreadyExists(self, name, ", and it has other keys")
            self._register(channel, mask)
            return channel, made

    def register_socket(self, socket: Any, polling_mechanism: int) -> Any:
        """Have `engage` poll a socket, one of this manager or any other pyzmq socket.

        Doing it again replaces the mask. A foreign socket stays its owner's: the manager never
        closes it, and it must not be used by another thread while `engage` runs.

        Args:
            socket: the pyzmq socket.
            polling_mechanism: zmq.POLLIN, zmq.POLLOUT or both.

        Returns:
            The socket.

        >>> import zmq
        >>> from agentzero import SocketManager
        >>> with SocketManager() as sockets, zmq.Context() as context:
        ...     foreign = sockets.register_socket(context.socket(zmq.PUSH), zmq.POLLOUT)
        ...     sockets.engage(0)
        ...     foreign.close()
        {}
        """
        if not isinstance(socket, pyzmq.Socket):
            raise TypeError(f"a pyzmq socket is expected, not {socket!r}")
        checked_mask(polling_mechanism)
        if socket.closed:
            raise SocketClosed(f"{socket!r} was closed")
        with self._lock:
            self._check_open()
            channel = self._channel_of(socket)
            foreign = channel.name not in self._channels
            self._registered.register(channel, polling_mechanism, foreign=foreign)
        return socket

    def _channel_of(self, socket: Any) -> Channel:
        if socket not in self._by_socket:
            lock, codec = self.backend.lock(), self.serialization_backend
            self._by_socket[socket] = Channel(repr(socket), socket, lock, codec)
        return self._by_socket[socket]

    def _register(self, channel: Channel, mask: int | None) -> None:
        if mask is not None:
            self._registered.register(channel, checked_mask(mask))

    def names(self) -> list[str]:
        """Return the names of all sockets, in the order of their creation.

        >>> from agentzero import SocketManager
        >>> with SocketManager() as sockets:
        ...     sockets.names()
        []
        """
        return list(self._channels)

    def _check_open(self) -> None:
        if self._refusal:
            raise ManagerClosed(self._refusal)

    # Counters

    def stats(self, name: str | None = None) -> SocketStats:
        """Return the counters of one socket, or of all, closed ones included.

        Raises:
            SocketNotFound: there is no socket of that name.

        >>> import zmq
        >>> from agentzero import SocketManager
        >>> with SocketManager() as sockets:
        ...     _ = sockets.create("jobs", zmq.PULL)
        ...     _ = sockets.recv_safe("jobs", timeout=0)
        ...     sockets.stats("jobs").timeouts
        1
        """
        if name is not None:
            return self._channels[name].stats()
        with self._lock:
            channels, past = list(self._channels.values()), self._past
        # Without the lock: whoever holds a channel's must be able to take it.
        return sum((channel.stats() for channel in channels), past)

    # The end

    def close(self, socket_name: str) -> None:
        """Close a socket, if there is one of that name; whoever waits on it gets SocketClosed.

        The name is free at once. Messages that wait to be sent are sent for as long as `linger`.

        >>> import zmq
        >>> from agentzero import SocketManager
        >>> with SocketManager() as sockets:
        ...     _ = sockets.create("logs", zmq.SUB)
        ...     sockets.close("logs")
        ...     sockets.close("logs")
        ...     "logs" in sockets
        False
        """
        channel = self._channels.get(socket_name)
        if channel is None:
            return
        # First of all, so that after a Ctrl-C the name is still there to be closed again.
        channel.close()
        self._registered.discard(channel)
        counted = channel.stats()
        with self._lock:
            self._by_socket.pop(channel.socket, None)
            if self._channels.get(socket_name) is channel:
                del self._channels[socket_name]
                self._past += counted

    def _closing(self, waiter: Wakeable) -> Steps[None]:
        total = Deadline(self.linger + lifecycle.GRACE)
        return end(waiter, self._shut, self._end, self._ended, self._give_up, total)

    def _shut(self) -> list[Channel]:
        """Close all sockets; return their channels. It can be repeated where it is interrupted."""
        with self._lock:
            self._refusal = self._refusal or "the manager was closed"
            self._leaving += set(self._channels.values()).difference(self._leaving)
        for name in list(self._channels):
            self.close(name)
        for channel in self._leaving:  # also what an interruption left half closed
            channel.close()
        with self._lock:
            self._registered.close()
            self._by_socket.clear()
        self._attendant.stop()
        return self._leaving

    def _end(self) -> None:
        """Have the context terminated, if it is the manager's own; from here on nothing is lost."""
        with self._lock:
            ending, self._ending = self._ending, None
        if ending is not None:
            lifecycle.end_context(ending, self.linger, self.backend.detach)
        lifecycle.unwatch(self)
        self._disposal.detach()

    def _give_up(self) -> None:
        lifecycle.give_up(self.context)

    def _ended(self) -> bool:
        return self._attendant.ended and (not self._owns_context or self.context.closed)

    def _abandon(self) -> None:
        """Close everything at the exit of the process, which waits for the linger."""
        for channel in list(self._channels.values()):
            channel.abandon()
        self._shut()
        self._end()

    def _inherited(self) -> None:
        """Refuse all work: the sockets belong to the process that this one was forked from."""
        self._refusal = "the manager was made before fork(), by another process: make a new one"
        self._disposal.detach()
        self._lock, self._ensuring = self.backend.lock(), self.backend.lock()
        # Not closed, and kept: their owner goes on using what is behind them.
        for channel in (*self._channels.values(), *self._leaving):
            channel.inherit(self.backend.lock())
        self._kept = self._channels, self._attendant
        self._channels, self._attendant = Channels(self), Attendant(self.context, self.backend)
        self._registered.inherit(self.backend)
        self._by_socket = {}
