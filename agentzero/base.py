"""What never waits, and both managers share: endpoints, options, topics, logs."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Generator
from typing import Any

import zmq

from agentzero.asking import request
from agentzero.backends.base import Wakeable
from agentzero.books import B, Books, checked_mask
from agentzero.channel import Channel, Message
from agentzero.deadline import Deadline, checked_timeout
from agentzero.endpoints import Endpoint, attach, attached, detach, resolved
from agentzero.errors import AgentZeroSocketError, DeserializationError, SocketBindError
from agentzero.events import ConnectionEvent
from agentzero.log import ZMQPubHandler
from agentzero.messages import pack, topic_bytes
from agentzero.monitor import happenings
from agentzero.pollset import PollSet
from agentzero.serializers import check_type
from agentzero.serving import Question, serve
from agentzero.steps import Steps, Wait
from agentzero.subscribers import XpubChannel

__all__ = ["BaseManager"]


class BaseManager(Books[B]):
    """Everything about named sockets that is the same for sync and async."""

    # Endpoints

    def bind(self, socket_name: str, address: str, polling_mechanism: int | None = None) -> Any:
        """Bind a socket to an address; it may have many.

        Args:
            socket_name: the socket.
            address: tcp (host names, `*`, interfaces, IPv6 in brackets, port `*` for any free
                one), ipc or inproc.
            polling_mechanism: what `engage` polls it for from now on: zmq.POLLIN, zmq.POLLOUT or
                both. None leaves that as it is.

        Returns:
            The pyzmq socket.

        Raises:
            SocketNotFound: there is no socket of that name.
            SocketBindError: with socket, address and cause; nothing has changed. An address that is
                in use is tried for a tenth of a second, as one that was just left may still be.

        >>> import zmq
        >>> from agentzero import SocketManager
        >>> with SocketManager() as sockets:
        ...     _ = sockets.create("pipe-in", zmq.PULL)
        ...     _ = sockets.bind("pipe-in", "inproc://pipe", zmq.POLLIN)
        ...     sockets.endpoints("pipe-in")
        ['inproc://pipe']
        """
        return self._attach(socket_name, address, polling_mechanism, bound=True)[0].socket

    def connect(self, socket_name: str, address: str, polling_mechanism: int | None = None) -> Any:
        """Connect a socket to an address, whether somebody is there yet or not; it may have many.

        It never waits for DNS: the name is resolved in the background, anew at each reconnection,
        to its IPv4 address.

        Args:
            socket_name: the socket.
            address: as for `bind`, without wildcards.
            polling_mechanism: as for `bind`.

        Returns:
            The pyzmq socket.

        Raises:
            SocketNotFound: there is no socket of that name.
            SocketConnectError: with socket, address and cause; nothing has changed.

        >>> import zmq
        >>> from agentzero import SocketManager
        >>> with SocketManager(linger=0) as sockets:
        ...     _ = sockets.create("jobs", zmq.PUSH)
        ...     _ = sockets.connect("jobs", "tcp://localhost:6000", zmq.POLLOUT)
        ...     sockets.endpoints("jobs")
        ['tcp://localhost:6000']
        """
        return self._attach(socket_name, address, polling_mechanism, bound=False)[0].socket

    def _attach(
        self, name: str, address: str, mask: int | None, *, bound: bool
    ) -> tuple[Channel, Endpoint]:
        channel = self._channels[name]
        if mask is not None:
            checked_mask(mask)
        endpoint = self._attached(channel, resolved(channel, address, bound=bound))
        self._register(channel, mask)
        return channel, endpoint

    def _attached(self, channel: Channel, endpoint: Endpoint) -> Endpoint:
        if not endpoint.address.startswith("inproc:"):  # of which nothing is told
            self._attendant.watch(channel)
        return attach(channel, endpoint)

    def bind_to_random_port(
        self,
        socket_name: str,
        polling_mechanism: int | None = None,
        local_address: str = "tcp://0.0.0.0",
    ) -> tuple[Any, str]:
        """Bind a socket to a port that the system chooses.

        Args:
            socket_name: the socket.
            polling_mechanism: as for `bind`.
            local_address: transport and host, without a port. The default means all interfaces, so
                other machines can connect; `tcp://127.0.0.1` keeps it to this one.

        Returns:
            The pyzmq socket and its address.

        Raises:
            SocketNotFound, SocketBindError: as for `bind`.

        >>> import zmq
        >>> from agentzero import SocketManager
        >>> with SocketManager() as sockets:
        ...     _ = sockets.create("api-server", zmq.REP)
        ...     _, address = sockets.bind_to_random_port(
        ...         "api-server", zmq.POLLIN | zmq.POLLOUT, local_address="tcp://127.0.0.1"
        ...     )
        ...     address.rpartition(":")[0]
        'tcp://127.0.0.1'
        """
        if not local_address.startswith("tcp://"):
            raise SocketBindError(
                f"only tcp has ports, as in 'tcp://0.0.0.0', not {local_address!r}"
            )
        address = f"{local_address}:*"
        channel, endpoint = self._attach(socket_name, address, polling_mechanism, bound=True)
        return channel.socket, endpoint.address

    def ensure_and_bind(
        self,
        socket_name: str,
        socket_type: int,
        address: str,
        polling_mechanism: int | None = None,
        **options: Any,
    ) -> Any:
        """See to it that a socket exists and is bound; doing it again changes nothing.

        It never waits for traffic.

        Args:
            socket_name, socket_type, options: as for `get_or_create`.
            address, polling_mechanism: as for `bind`.

        Returns:
            The pyzmq socket.

        Raises:
            SocketAlreadyExists: the name belongs to a socket of another type.
            SocketBindError: as for `bind`; a socket made for this is gone again.

        >>> import zmq
        >>> from agentzero import SocketManager
        >>> with SocketManager() as sockets:
        ...     for _ in range(2):
        ...         _ = sockets.ensure_and_bind("jobs", zmq.PULL, "inproc://jobs", zmq.POLLIN)
        ...     sockets.endpoints("jobs")
        ['inproc://jobs']
        """
        return self._ensure_attached(
            socket_name, socket_type, address, polling_mechanism, options, bound=True
        )

    def ensure_and_connect(
        self,
        socket_name: str,
        socket_type: int,
        address: str,
        polling_mechanism: int | None = None,
        **options: Any,
    ) -> Any:
        """See to it that a socket exists and is connected; doing it again changes nothing.

        It never waits for traffic, nor for the peer.

        Args:
            socket_name, socket_type, options: as for `get_or_create`.
            address, polling_mechanism: as for `connect`.

        Returns:
            The pyzmq socket.

        Raises:
            SocketAlreadyExists: the name belongs to a socket of another type.
            SocketConnectError: as for `connect`; a socket made for this is gone again.

        >>> import zmq
        >>> from agentzero import SocketManager
        >>> with SocketManager(linger=0) as sockets:
        ...     _ = sockets.ensure_and_connect("requester", zmq.REQ, "tcp://127.0.0.1:5051")
        ...     "requester" in sockets
        True
        """
        return self._ensure_attached(
            socket_name, socket_type, address, polling_mechanism, options, bound=False
        )

    def _ensure_attached(
        self,
        name: str,
        socket_type: int,
        address: str,
        mask: int | None,
        options: dict[str, Any],
        *,
        bound: bool,
    ) -> Any:
        if mask is not None:
            checked_mask(mask)
        endpoint = resolved(f"socket {name!r}", address, bound=bound)
        # Not under the lock of the books: whoever holds a channel's must be able to take that.
        with self._ensuring:
            channel, made = self._ensure(name, socket_type, None, options)
            try:
                if not attached(channel, endpoint):
                    self._attached(channel, endpoint)
                self._register(channel, mask)
            except BaseException:
                if made:
                    self.close(name)
                raise
            return channel.socket

    def disconnect(self, name: str, address: str | None = None) -> None:
        """Let go of one address that a socket is connected to, or of all of them.

        Raises:
            SocketNotFound: there is no socket of that name.
            SocketConnectError: it is not connected to that address.

        >>> import zmq
        >>> from agentzero import SocketManager
        >>> with SocketManager(linger=0) as sockets:
        ...     _ = sockets.ensure_and_connect("logs", zmq.PUB, "tcp://127.0.0.1:6000")
        ...     sockets.disconnect("logs")
        ...     sockets.endpoints("logs")
        []
        """
        self._detached(self._channels[name], address, bound=False)

    def unbind(self, name: str, address: str | None = None) -> None:
        """Let go of one address that a socket is bound to, or of all of them.

        Raises:
            SocketNotFound: there is no socket of that name.
            SocketBindError: it is not bound to that address.

        >>> import zmq
        >>> from agentzero import SocketManager
        >>> with SocketManager() as sockets:
        ...     _ = sockets.ensure_and_bind("jobs", zmq.PULL, "tcp://127.0.0.1:*")
        ...     sockets.unbind("jobs")
        ...     sockets.endpoints("jobs")
        []
        """
        self._detached(self._channels[name], address, bound=True)

    def _detached(self, channel: Channel, address: str | None, *, bound: bool) -> None:
        detach(channel, address, bound=bound)
        self._attendant.settle(channel)

    def endpoints(self, name: str) -> list[str]:
        """Return the addresses of a socket, bound and connected, with the ports it really has.

        Raises:
            SocketNotFound: there is no socket of that name.

        >>> import zmq
        >>> from agentzero import SocketManager
        >>> with SocketManager() as sockets:
        ...     _ = sockets.create("jobs", zmq.PULL)
        ...     sockets.endpoints("jobs")
        []
        """
        return [endpoint.address for endpoint in self._channels[name].endpoints]

    # Options and topics

    def set_socket_option(self, name: str, option: int, value: int | str | bytes) -> None:
        """Set an option of a socket, such as zmq.HWM, zmq.IDENTITY or zmq.SUBSCRIBE.

        Most count for what is bound or connected afterwards. Text is taken as UTF-8.

        Raises:
            SocketNotFound: there is no socket of that name.
            AgentZeroSocketError: libzmq refuses the option or its value.

        >>> import zmq
        >>> from agentzero import SocketManager
        >>> with SocketManager() as sockets:
        ...     jobs = sockets.create("pipe-in", zmq.PULL)
        ...     # block after 10 messages are queued
        ...     sockets.set_socket_option("pipe-in", zmq.HWM, 10)
        ...     jobs.get(zmq.RCVHWM)
        10
        """
        channel = self._channels[name]
        if option == zmq.SUBSCRIBE:
            subscribe(channel, topic_bytes(value))
        elif option == zmq.UNSUBSCRIBE:
            unsubscribe(channel, topic_bytes(value))
        else:
            set_option(channel, option, value)

    def set_topic(self, name: str, topic: str | bytes) -> None:
        """Subscribe a SUB socket to all topics that begin with `topic`; the same twice counts once.

        Raises:
            SocketNotFound: there is no socket of that name.
            AgentZeroSocketError: the socket is no SUB.

        >>> import zmq
        >>> from agentzero import SocketManager
        >>> with SocketManager() as sockets:
        ...     _ = sockets.ensure_and_bind("events", zmq.SUB, "inproc://events", zmq.POLLIN)
        ...     # subscribe only to topics beginning with "logs"
        ...     sockets.set_topic("events", "logs")
        """
        self.set_socket_option(name, zmq.SUBSCRIBE, topic)

    def unset_topic(self, name: str, topic: str | bytes) -> None:
        """End the subscription that `set_topic` made; without one, nothing happens.

        Raises:
            SocketNotFound: there is no socket of that name.

        >>> import zmq
        >>> from agentzero import SocketManager
        >>> with SocketManager() as sockets:
        ...     _ = sockets.create("events", zmq.SUB)
        ...     sockets.set_topic("events", "logs")
        ...     sockets.unset_topic("events", "logs")
        """
        self.set_socket_option(name, zmq.UNSUBSCRIBE, topic)

    # Logs

    def publish_nowait(self, name: str, topic: str | bytes, data: object) -> bool:
        """Publish without ever waiting, not even for an event loop: for logs and metrics.

        Args:
            name: the socket.
            topic: what to publish under.
            data: whatever the serializer can write.

        Returns:
            True when it is queued; False when it was dropped, which `stats` counts.

        Raises:
            SocketNotFound, SocketClosed, ManagerClosed: there is nothing to publish on.
            AgentZeroSocketError: a socket of this type cannot send.
            SerializationError: `data` cannot be written.

        >>> import zmq
        >>> from agentzero import SocketManager
        >>> with SocketManager() as sockets:
        ...     _ = sockets.ensure_and_bind("metrics", zmq.PUB, "inproc://metrics")
        ...     sockets.publish_nowait("metrics", "load", 0.25)
        True
        """
        channel = self._channels[name]
        frames = [topic_bytes(topic), pack(channel, data)]
        sent = bool(channel.try_send_now(frames))
        if not sent:
            channel.count("dropped")
        return sent

    def get_log_handler(self, socket_name: str, topic_name: str = "logs") -> ZMQPubHandler:
        """Return the handler that publishes log records on a socket; always the same one.

        Args:
            socket_name: a PUB socket; until there is one, the handler drops and counts.
            topic_name: the topic to publish under.

        Raises:
            ManagerClosed: the manager is closed.

        >>> import logging
        >>> from agentzero import SocketManager
        >>> with SocketManager() as sockets:
        ...     handler = sockets.get_log_handler("logs", topic_name="app_logs")
        ...     handler is sockets.get_log_handler("logs", topic_name="app_logs")
        True
        """
        with self._lock:
            self._check_open()
            key = (socket_name, topic_name)
            if key not in self._handlers:
                self._handlers[key] = ZMQPubHandler(self, socket_name, topic_name)
            return self._handlers[key]

    def get_logger(
        self, socket_name: str, topic_name: str = "logs", logger_name: str | None = None
    ) -> logging.Logger:
        """Return a logger whose records are published on a socket; its level is left as it is.

        Args:
            socket_name, topic_name: as for `get_log_handler`.
            logger_name: the logger; the socket's name where it is None.

        >>> from agentzero import SocketManager
        >>> with SocketManager() as sockets:
        ...     logger = sockets.get_logger("logs", logger_name="app")
        ...     logger is sockets.get_logger("logs", logger_name="app"), len(logger.handlers)
        (True, 1)
        """
        logger = logging.getLogger(logger_name or socket_name)
        logger.addHandler(self.get_log_handler(socket_name, topic_name))
        return logger

    # What the verbs share

    def _request(
        self,
        name: str,
        data: object,
        timeout: float | None,
        retries: int,
        polling_timeout: float | None,
        wanted: Any,
    ) -> tuple[Channel, Callable[[Wakeable], Steps[Message]]]:
        channel = self._channels[name]
        check_kind(channel, "request", zmq.REQ, zmq.DEALER)
        if wanted is not None:
            check_type(wanted)
        each = self.timeout if timeout is None else checked_timeout(timeout)
        again, longest = checked_number(retries, "retries"), self._longest(polling_timeout)
        payload = pack(channel, data)
        return channel, lambda waiter: request(waiter, channel, payload, each, again, longest)

    def _publisher(self, name: str, count: int) -> XpubChannel:
        channel = self._channels[name]
        if not isinstance(channel, XpubChannel):
            raise AgentZeroSocketError(f"only an XPUB is told of subscribers, not {channel}")
        checked_number(count, "count")
        return channel

    def _serve(
        self,
        name: str,
        handler: object,
        keep_polling: Callable[[], object] | None,
        timeout: float | None,
        polling_timeout: float | None,
        wanted: Any,
        on_error: Callable[[DeserializationError], object] | None,
    ) -> Callable[[Wakeable], Generator[Wait | Question, None, None]]:
        if not callable(handler):
            raise TypeError(f"handler is a callable, not {handler!r}")
        check_callable(keep_polling, "keep_polling")
        check_callable(on_error, "on_error")
        channel = self._channels[name]
        check_kind(channel, "serve", zmq.REP, zmq.ROUTER)
        if wanted is not None:
            check_type(wanted)
        go_on, silence, longest = self._going_on(keep_polling, timeout, polling_timeout)
        patience = min(self.timeout, longest)
        return lambda waiter: serve(
            waiter, channel, wanted, on_error, go_on, silence, longest, patience
        )

    def _happenings(
        self,
        name: str,
        keep_polling: Callable[[], object] | None,
        timeout: float | None,
        polling_timeout: float | None,
    ) -> Callable[[Wakeable], Generator[Wait | ConnectionEvent, None, None]]:
        check_callable(keep_polling, "keep_polling")
        channel = self._channels[name]
        self._attendant.watch(channel)
        channel.ready(0)  # raises what a closed socket should
        if channel.monitor is None:
            raise AgentZeroSocketError(f"{channel} cannot be watched: no more sockets or threads")
        if channel.monitor.closed:
            raise AgentZeroSocketError(f"{channel} cannot be watched: it has another monitor")
        go_on, silence, longest = self._going_on(keep_polling, timeout, polling_timeout)
        return lambda waiter: happenings(waiter, channel.monitor, go_on, silence, longest)

    def _going_on(
        self,
        keep_polling: Callable[[], object] | None,
        timeout: float | None,
        polling_timeout: float | None,
    ) -> tuple[Callable[[], object], float, float]:
        """Return what tells whether a loop goes on, its silence, and its longest single wait."""
        silence = math.inf if timeout is None else checked_timeout(timeout)
        return keep_polling or always, silence, self._longest(polling_timeout)

    def _deadline(self, timeout: float | None) -> Deadline:
        return Deadline(self.timeout if timeout is None else timeout)

    def _milliseconds(self, timeout: float | None) -> Deadline:
        timeout = self.polling_timeout if timeout is None else checked_timeout(timeout)
        return Deadline(timeout / 1000)

    def _longest(self, polling_timeout: float | None) -> float:
        if polling_timeout is None:
            polling_timeout = self.polling_timeout
        else:
            checked_timeout(polling_timeout, "polling_timeout")
        # A single wait of 0 would be a busy loop.
        return max(0.001, polling_timeout / 1000)

    def _polled(self) -> PollSet:
        self._check_open()
        return self._registered


def always() -> bool:
    """Say yes."""
    return True


def check_callable(function: object, what: str) -> None:
    """Raise TypeError where `function` can be neither called nor left out."""
    if function is not None and not callable(function):
        raise TypeError(f"{what} is a callable or None, not {function!r}")


def check_kind(channel: Channel, verb: str, *kinds: int) -> None:
    """Raise an error where a socket is of none of these kinds."""
    if channel.kind not in kinds:
        channel.ready(0)  # raises what a closed socket should
        able = " or ".join(zmq.SocketType(kind).name for kind in kinds)
        raise AgentZeroSocketError(f"{verb} needs a {able}, which {channel} is not")


def checked_number(number: object, what: str) -> int:
    """Return `number` when it is how many there are of something: 0 or more.

    Raises:
        TypeError, ValueError: it is not.
    """
    if isinstance(number, bool) or not isinstance(number, int):
        raise TypeError(f"{what} is a whole number, not {number!r}")
    if number < 0:
        raise ValueError(f"{what} is 0 or more, not {number}")
    return number


def subscribe_to(channel: Channel, verb: str, topic: str | bytes | bool | None) -> None:
    """Subscribe a SUB or XSUB to `topic`, or to everything where it has no topic at all."""
    if not channel.topics:  # which only these two ever have
        check_kind(channel, verb, zmq.SUB, zmq.XSUB)
    if topic is None or topic is False:
        if not channel.topics:
            subscribe(channel, b"")
    else:
        subscribe(channel, topic_bytes(topic))


def set_option(channel: Channel, option: int, value: int | str | bytes) -> None:
    """Set a socket option."""
    value = value.encode() if isinstance(value, str) else value
    try:
        with channel.using() as socket:
            if option == zmq.HWM:
                socket.set_hwm(value)
            else:
                socket.set(option, value)
    except zmq.ZMQError as error:
        named = getattr(option, "name", option)
        raise channel.explained(error, f"set option {named} to {value!r} on") from error


def subscribe(channel: Channel, topic: bytes) -> None:
    """Subscribe once, however often it is called."""
    with channel.lock:
        if topic not in channel.topics:
            _set_filter(channel, zmq.SUBSCRIBE, topic)
            channel.topics.add(topic)


def unsubscribe(channel: Channel, topic: bytes) -> None:
    """End a subscription, if there is one."""
    with channel.lock:
        if topic in channel.topics:
            _set_filter(channel, zmq.UNSUBSCRIBE, topic)
            channel.topics.remove(topic)


def _set_filter(channel: Channel, option: int, topic: bytes) -> None:
    check_kind(channel, "a topic", zmq.SUB, zmq.XSUB)
    if channel.kind == zmq.XSUB:
        channel.try_send_now([(b"\1" if option == zmq.SUBSCRIBE else b"\0") + topic])
    else:
        set_option(channel, option, topic)
