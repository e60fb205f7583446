"""SocketManager: named ZeroMQ sockets with one set of verbs, for threads and greenlets."""

from __future__ import annotations

import math
from collections.abc import Callable, Generator, Sequence
from contextlib import closing
from functools import partial
from inspect import iscoroutinefunction
from types import ModuleType, TracebackType
from typing import TYPE_CHECKING, Any, Literal, TypeVar, overload

import zmq

from agentzero import backends
from agentzero.backends import Backend
from agentzero.base import BaseManager, always, check_callable, check_kind, subscribe_to
from agentzero.books import DEFAULT_POLLING_TIMEOUT, DEFAULT_TIMEOUT_IN_SECONDS, checked_mask
from agentzero.channel import POLLIN, POLLOUT, Channel
from agentzero.deadline import Deadline, checked_timeout
from agentzero.errors import DeserializationError, SocketTimeout
from agentzero.events import ConnectionEvent, Envelope, Event
from agentzero.loans import Loan
from agentzero.log import ZMQPubHandler
from agentzero.messages import (
    as_frames,
    envelope,
    event,
    or_report,
    pack,
    reply,
    topic_bytes,
    unpack,
)
from agentzero.serializers import Serializer, check_type
from agentzero.steps import (
    LONGEST_NAP,
    NO_ROOM,
    NOTHING,
    drive,
    drive_each,
    poll,
    repeat,
    timed_out,
    until,
)
from agentzero.subscribers import NEWS
from agentzero.tracking import Tracker

if TYPE_CHECKING:
    from typing_extensions import Buffer, TypeForm

__all__ = [
    "DEFAULT_POLLING_TIMEOUT",
    "DEFAULT_TIMEOUT_IN_SECONDS",
    "Event",
    "SocketManager",
    "ZMQPubHandler",
    "zmq",
]

T = TypeVar("T")


class SocketManager(BaseManager[Backend]):
    """ZeroMQ sockets by name, safe to share between any number of threads (or greenlets).

    Args:
        zmq: the pyzmq flavour, `zmq` or `zmq.green`: which sockets the manager hands out. None
            means the flavour that suits the backend.
        context: where sockets are made. None makes one that `close_all` terminates; one that is
            passed in is never terminated.
        serialization_backend: a serializer, or the name of one. None means $AGENTZERO_SERIALIZER,
            else JSON.
        polling_timeout: the longest single wait, in milliseconds.
        timeout: how long verbs wait by default, in seconds; `math.inf` waits for ever.
        backend: a backend, or the name of one. None means $AGENTZERO_BACKEND, else what suits
            `zmq`, else gevent where it has monkey-patched the process, else threads.
        linger: how long closing may keep the process for unsent messages, in seconds. It is up to
            the owner of a context that is passed in to wait for them, by terminating it.
        max_message_size: bytes per frame; a peer that sends more is disconnected. None sets no
            limit.

    Everywhere `timeout` is in seconds, 0 tries once without waiting, and `math.inf` waits for ever.
    None takes the manager's, but for the loops `subscribe`, `serve` and `connection_events`, which
    go on for ever then. `polling_timeout` and the time-outs of `engage` and `ready` are in
    milliseconds.

    >>> import zmq
    >>> with SocketManager() as sockets:
    ...     _ = sockets.ensure_and_bind("in", zmq.PULL, "inproc://jobs")
    ...     _ = sockets.ensure_and_connect("out", zmq.PUSH, "inproc://jobs")
    ...     sockets.send("out", {"job": 1})
    ...     sockets.recv("in")
    {'job': 1}
    """

    def __init__(
        self,
        zmq: ModuleType | None = None,
        context: zmq.Context[Any] | None = None,
        serialization_backend: Serializer | str | None = None,
        polling_timeout: float = DEFAULT_POLLING_TIMEOUT,
        timeout: float = DEFAULT_TIMEOUT_IN_SECONDS,
        *,
        backend: Backend | str | None = None,
        linger: float = 10,
        max_message_size: int | None = None,
    ) -> None:
        super().__init__(
            zmq,
            context,
            serialization_backend,
            polling_timeout,
            timeout,
            backends.resolve(backend, zmq),
            linger,
            max_message_size,
        )

    def __enter__(self) -> SocketManager:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close_all()

    def close_all(self) -> None:
        """Close everything; twice is harmless, and later calls raise ManagerClosed.

        It waits `linger` seconds at the most for messages that are still to be sent.

        >>> sockets = SocketManager()
        >>> sockets.close_all()
        >>> sockets.names()
        []
        """
        drive(self.backend, self._closing)

    # Waiting

    def engage(self, timeout: float | None = None) -> dict[Any, int]:
        """Wait until any registered socket is ready.

        Args:
            timeout: milliseconds; None takes the manager's `polling_timeout`.

        Returns:
            socket -> what it is ready for (zmq.POLLIN, zmq.POLLOUT or both), of those that are.

        Raises:
            SocketClosed: one of them was closed meanwhile; the next call goes on with the others.
            ValueError: the time-out is negative.

        >>> with SocketManager() as sockets:
        ...     jobs = sockets.ensure_and_bind("jobs", zmq.PULL, "inproc://jobs", zmq.POLLIN)
        ...     _ = sockets.ensure_and_connect("out", zmq.PUSH, "inproc://jobs")
        ...     sockets.send("out", 1)
        ...     sockets.engage() == {jobs: zmq.POLLIN}
        True
        """
        polled, deadline = self._polled(), self._milliseconds(timeout)
        return drive(self.backend, lambda waiter: poll(waiter, polled, deadline))

    def ready(self, name: str, polling_mechanism: int, timeout: float | None = None) -> Any:
        """Wait until a socket is ready for any of what is asked.

        Args:
            name: the socket.
            polling_mechanism: zmq.POLLIN, zmq.POLLOUT or both.
            timeout: milliseconds; None takes the manager's `polling_timeout`.

        Returns:
            The pyzmq socket, or None in time-out.

        Raises:
            SocketNotFound: there is no socket of that name.
            SocketClosed: it was closed meanwhile.
            ValueError: the time-out is negative, or `polling_mechanism` is none of these.

        >>> with SocketManager() as sockets:
        ...     _ = sockets.ensure_and_bind("events", zmq.PUB, "inproc://events")
        ...     sockets.ready("events", zmq.POLLOUT) is sockets.get_by_name("events")
        True
        """
        return self._ready(self._channels[name], polling_mechanism, self._milliseconds(timeout))

    def wait_until_ready(
        self,
        name: str,
        polling_mechanism: int,
        timeout: float | None = None,
        polling_timeout: float | None = None,
    ) -> Any:
        """As `ready`, with its time-out in seconds.

        Args:
            name: the socket.
            polling_mechanism: zmq.POLLIN, zmq.POLLOUT or both.
            timeout: seconds in all.
            polling_timeout: milliseconds of the longest single wait within them.

        Returns:
            The pyzmq socket, or None in time-out.

        Raises:
            SocketNotFound: there is no socket of that name.
            SocketClosed: it was closed meanwhile.
            ValueError: a time-out is negative, or `polling_mechanism` is none of these.

        >>> with SocketManager() as sockets:
        ...     _ = sockets.create("jobs", zmq.PULL)
        ...     sockets.wait_until_ready("jobs", zmq.POLLIN, timeout=0.01) is None
        True
        """
        channel, deadline = self._channels[name], self._deadline(timeout)
        return self._ready(channel, polling_mechanism, deadline, self._longest(polling_timeout))

    def _ready(
        self, channel: Channel, mask: int, deadline: Deadline, longest: float = LONGEST_NAP
    ) -> Any:
        wanted = checked_mask(mask)
        ready = self._until(channel, lambda: channel.ready(wanted) or None, mask, deadline, longest)
        return channel.socket if ready else None

    def _until(
        self,
        channel: Channel,
        attempt: Callable[[], T],
        mask: int,
        deadline: Deadline,
        longest: float,
    ) -> T | None:
        return drive(
            self.backend, lambda waiter: until(waiter, channel, attempt, mask, deadline, longest)
        )

    def _awaited(
        self,
        channel: Channel,
        attempt: Callable[[], Any],
        timeout: float | None,
        polling_timeout: float | None,
    ) -> Any:
        deadline, longest = self._deadline(timeout), self._longest(polling_timeout)
        message = self._until(channel, attempt, POLLIN, deadline, longest)
        if message is None:
            raise timed_out(NOTHING, channel, deadline)
        return message

    def _queued(
        self,
        channel: Channel,
        attempt: Callable[[], bool | None],
        timeout: float | None,
        polling_timeout: float | None,
    ) -> None:
        deadline, longest = self._deadline(timeout), self._longest(polling_timeout)
        if self._until(channel, attempt, POLLOUT, deadline, longest) is None:
            raise timed_out(NO_ROOM, channel, deadline)

    # Sending

    def send(
        self,
        name: str,
        data: object,
        timeout: float | None = None,
        polling_timeout: float | None = None,
    ) -> None:
        """Serialize and send, as one frame.

        Args:
            name: the socket.
            data: whatever the serializer can write.
            timeout: seconds to wait for room in the socket's queue.
            polling_timeout: milliseconds of the longest single wait within them.

        Raises:
            SocketTimeout: it could not be queued in time.
            SocketNotFound, SocketClosed, ManagerClosed: there is nothing to send on.
            AgentZeroSocketError: a socket of this type cannot send so, or not now.
            SerializationError: `data` cannot be written.
            ValueError: a time-out is negative.

        >>> with SocketManager() as sockets:
        ...     _ = sockets.create("nobody", zmq.PUSH)
        ...     sockets.send("nobody", "hello", timeout=0)
        Traceback (most recent call last):
          ...
        agentzero.errors.SocketTimeout: no room to send on socket 'nobody' ... in 0 s
        """
        channel = self._channels[name]
        frame = pack(channel, data)
        if channel.try_send(frame) is None:
            attempt = partial(channel.try_send, frame)
            self._queued(channel, attempt, timeout, polling_timeout)

    def send_safe(
        self,
        name: str,
        data: object,
        timeout: float | None = None,
        polling_timeout: float | None = None,
    ) -> bool:
        """As `send`, but return True, or False when it could not be queued in time.

        >>> with SocketManager() as sockets:
        ...     _ = sockets.create("nobody", zmq.PUSH)
        ...     sockets.send_safe("nobody", "hello", timeout=0)
        False
        """
        try:
            self.send(name, data, timeout, polling_timeout)
        except SocketTimeout:
            return False
        return True

    @overload
    def send_multipart(
        self,
        name: str,
        frames: Sequence[Buffer],
        timeout: float | None = None,
        polling_timeout: float | None = None,
        *,
        copy: Literal[True] = True,
    ) -> None: ...
    @overload
    def send_multipart(
        self,
        name: str,
        frames: Sequence[Buffer],
        timeout: float | None = None,
        polling_timeout: float | None = None,
        *,
        copy: Literal[False],
    ) -> Tracker: ...
    def send_multipart(
        self,
        name: str,
        frames: Sequence[Buffer],
        timeout: float | None = None,
        polling_timeout: float | None = None,
        *,
        copy: bool = True,
    ) -> Tracker | None:
        """Send frames of bytes as they are, as one message. Errors as for `send`.

        Args:
            name: the socket.
            frames: bytes, or anything else with a buffer contiguous in memory, such as an array.
            timeout, polling_timeout: as for `send`.
            copy: False sends buffers of 64 KiB and more from where they are. They must not change
                until the tracker that is then returned says that it is `done`; its `wait` waits.

        Returns:
            None; with `copy=False` a tracker.

        >>> with SocketManager() as sockets:
        ...     _ = sockets.ensure_and_bind("in", zmq.PULL, "inproc://raw")
        ...     _ = sockets.ensure_and_connect("out", zmq.PUSH, "inproc://raw")
        ...     sockets.send_multipart("out", [b"one", b"two"])
        ...     sockets.recv_multipart("in")
        [b'one', b'two']
        """
        channel, loan, message = self._channels[name], Loan(), as_frames(frames)
        attempt = partial(channel.try_send_frames, message if copy else loan.lend(message))
        if attempt() is None:
            self._queued(channel, attempt, timeout, polling_timeout)
        return None if copy else Tracker(self, channel, loan)

    def send_to(
        self,
        name: str,
        identity: bytes,
        data: object,
        timeout: float | None = None,
        polling_timeout: float | None = None,
    ) -> None:
        """Serialize and send to one peer of a ROUTER. Errors as for `send`, and one more.

        Args:
            name: the ROUTER.
            identity: the peer; from an `Envelope`, the answer finds its way to whoever asked.
            data, timeout, polling_timeout: as for `send`.

        Raises:
            PeerUnreachable: no connected peer has that identity.
            AgentZeroSocketError: the socket is no ROUTER.

        >>> with SocketManager() as sockets:
        ...     _ = sockets.ensure_and_bind("router", zmq.ROUTER, "inproc://router")
        ...     sockets.send_to("router", b"nobody", "hello")
        Traceback (most recent call last):
          ...
        agentzero.errors.PeerUnreachable: no connected peer of socket 'router' ... has that identity
        """
        channel = self._channels[name]
        check_kind(channel, "send_to", zmq.ROUTER)
        frames = as_frames([identity, *getattr(identity, "route", ()), pack(channel, data)])
        if channel.try_send_frames(frames) is None:
            attempt = partial(channel.try_send_frames, frames)
            self._queued(channel, attempt, timeout, polling_timeout)

    def publish(
        self,
        name: str,
        topic: str | bytes,
        data: object,
        timeout: float | None = None,
        polling_timeout: float | None = None,
    ) -> None:
        """Serialize and publish, as [topic, payload]. Errors as for `send`.

        >>> with SocketManager() as sockets:
        ...     _ = sockets.ensure_and_bind("logs", zmq.PUB, "inproc://logs")
        ...     sockets.publish("logs", "output", "some data")
        """
        channel = self._channels[name]
        frames = [topic_bytes(topic), pack(channel, data)]
        if channel.try_send_frames(frames) is None:
            attempt = partial(channel.try_send_frames, frames)
            self._queued(channel, attempt, timeout, polling_timeout)

    def publish_safe(
        self,
        name: str,
        topic: str | bytes,
        data: object,
        timeout: float | None = None,
        polling_timeout: float | None = None,
    ) -> bool:
        """As `publish`, but return True, or False when it could not be queued in time.

        >>> with SocketManager() as sockets:
        ...     _ = sockets.ensure_and_bind("logs", zmq.PUB, "inproc://logs")
        ...     sockets.publish_safe("logs", "output", "some data")
        True
        """
        try:
            self.publish(name, topic, data, timeout, polling_timeout)
        except SocketTimeout:
            return False
        return True

    # Receiving

    @overload
    def recv(
        self,
        name: str,
        timeout: float | None = None,
        polling_timeout: float | None = None,
        *,
        type: None = None,
    ) -> Any: ...
    @overload
    def recv(
        self,
        name: str,
        timeout: float | None = None,
        polling_timeout: float | None = None,
        *,
        type: TypeForm[T],
    ) -> T: ...
    def recv(
        self,
        name: str,
        timeout: float | None = None,
        polling_timeout: float | None = None,
        *,
        type: Any = None,
    ) -> Any:
        """Receive a message of one frame and deserialize it.

        Args:
            name: the socket.
            timeout: seconds to wait for a message.
            polling_timeout: milliseconds of the longest single wait within them.
            type: what the data is converted to: a msgspec Struct, a dataclass, a TypedDict,
                `list[int]`, ... None takes it as it comes.

        Returns:
            The data; None where the message is a null.

        Raises:
            SocketTimeout: no message came in time.
            DeserializationError: the message cannot be read, or does not fit `type`; it is gone.
            TypeError: `type` is none to convert to.
            SocketNotFound, SocketClosed, ManagerClosed: there is nothing to receive on.
            AgentZeroSocketError: a socket of this type cannot receive so, or not now.
            ValueError: a time-out is negative.

        >>> with SocketManager() as sockets:
        ...     _ = sockets.ensure_and_bind("in", zmq.PULL, "inproc://typed")
        ...     _ = sockets.ensure_and_connect("out", zmq.PUSH, "inproc://typed")
        ...     sockets.send("out", [1, 2])
        ...     sockets.recv("in", type=tuple[int, ...])
        (1, 2)
        """
        channel = self._channels[name]
        if type is not None:
            check_type(type)
        message = channel.try_recv()
        if message is None:
            message = self._awaited(channel, channel.try_recv, timeout, polling_timeout)
        return unpack(channel, message, type)

    @overload
    def recv_safe(
        self,
        name: str,
        timeout: float | None = None,
        polling_timeout: float | None = None,
        *,
        type: None = None,
    ) -> Any: ...
    @overload
    def recv_safe(
        self,
        name: str,
        timeout: float | None = None,
        polling_timeout: float | None = None,
        *,
        type: TypeForm[T],
    ) -> T | None: ...
    def recv_safe(
        self,
        name: str,
        timeout: float | None = None,
        polling_timeout: float | None = None,
        *,
        type: Any = None,
    ) -> Any:
        """As `recv`, but return None in time-out. Arguments and other errors as for `recv`.

        >>> with SocketManager() as sockets:
        ...     _ = sockets.create("in", zmq.PULL)
        ...     sockets.recv_safe("in", timeout=0) is None
        True
        """
        try:
            return self.recv(name, timeout, polling_timeout, type=type)
        except SocketTimeout:
            return None

    @overload
    def recv_multipart(
        self,
        name: str,
        timeout: float | None = None,
        polling_timeout: float | None = None,
        *,
        copy: Literal[True] = True,
    ) -> list[bytes]: ...
    @overload
    def recv_multipart(
        self,
        name: str,
        timeout: float | None = None,
        polling_timeout: float | None = None,
        *,
        copy: Literal[False],
    ) -> list[memoryview]: ...
    def recv_multipart(
        self,
        name: str,
        timeout: float | None = None,
        polling_timeout: float | None = None,
        *,
        copy: bool = True,
    ) -> list[bytes] | list[memoryview]:
        """Receive a message as its frames. Errors as for `recv`.

        Args:
            name: the socket.
            timeout, polling_timeout: as for `recv`.
            copy: False gives read-only views of the memory that the frames arrived in, which lives
                as long as the view does.

        Returns:
            The frames, as bytes or memoryviews.

        >>> with SocketManager() as sockets:
        ...     _ = sockets.create("in", zmq.PULL)
        ...     sockets.recv_multipart("in", timeout=0)
        Traceback (most recent call last):
          ...
        agentzero.errors.SocketTimeout: nothing to receive on socket 'in' ... in 0 s
        """
        channel = self._channels[name]
        attempt: Callable[[], Any] = channel.try_recv if copy else channel.try_recv_views
        message = attempt()
        if message is None:
            message = self._awaited(channel, attempt, timeout, polling_timeout)
        return message if isinstance(message, list) else [message]

    @overload
    def recv_from(
        self,
        name: str,
        timeout: float | None = None,
        polling_timeout: float | None = None,
        *,
        type: None = None,
    ) -> Envelope: ...
    @overload
    def recv_from(
        self,
        name: str,
        timeout: float | None = None,
        polling_timeout: float | None = None,
        *,
        type: TypeForm[T],
    ) -> Envelope[T]: ...
    def recv_from(
        self,
        name: str,
        timeout: float | None = None,
        polling_timeout: float | None = None,
        *,
        type: Any = None,
    ) -> Envelope:
        """Receive a message of a ROUTER with its sender. Arguments and errors as for `recv`.

        >>> with SocketManager() as sockets:
        ...     _ = sockets.ensure_and_bind("router", zmq.ROUTER, "inproc://router")
        ...     _ = sockets.ensure_and_connect("worker", zmq.REQ, "inproc://router")
        ...     sockets.send("worker", "ready")
        ...     identity, data = sockets.recv_from("router")
        ...     sockets.send_to("router", identity, f"{data}, steady, go")
        ...     sockets.recv("worker")
        'ready, steady, go'
        """
        channel = self._channels[name]
        if type is not None:
            check_type(type)
        message = channel.try_recv()
        if message is None:
            message = self._awaited(channel, channel.try_recv, timeout, polling_timeout)
        return envelope(channel, message, type)

    @overload
    def recv_event(
        self,
        name: str,
        topic: str | bytes | Literal[False] | None = False,
        timeout: float | None = None,
        polling_timeout: float | None = None,
        *,
        type: None = None,
    ) -> Event: ...
    @overload
    def recv_event(
        self,
        name: str,
        topic: str | bytes | Literal[False] | None = False,
        timeout: float | None = None,
        polling_timeout: float | None = None,
        *,
        type: TypeForm[T],
    ) -> Event[T]: ...
    def recv_event(
        self,
        name: str,
        topic: str | bytes | Literal[False] | None = False,
        timeout: float | None = None,
        polling_timeout: float | None = None,
        *,
        type: Any = None,
    ) -> Event:
        """Receive a published message. Arguments and errors as for `recv`, and:

        Args:
            topic: what to subscribe to, once. False and None mean everything where the socket has
                no subscription yet, and what it is subscribed to where it has.

        Raises:
            AgentZeroSocketError: the socket is neither SUB nor XSUB.

        >>> with SocketManager() as sockets:
        ...     _ = sockets.ensure_and_bind("events", zmq.SUB, "inproc://events")
        ...     sockets.recv_event("events", "logs", timeout=0)
        Traceback (most recent call last):
          ...
        agentzero.errors.SocketTimeout: nothing to receive on socket 'events' ... in 0 s
        """
        channel = self._channels[name]
        if type is not None:
            check_type(type)
        subscribe_to(channel, "recv_event", topic)
        message = channel.try_recv()
        if message is None:
            message = self._awaited(channel, channel.try_recv, timeout, polling_timeout)
        return event(channel, message, type)

    @overload
    def recv_event_safe(
        self,
        name: str,
        topic: str | bytes | Literal[False] | None = False,
        timeout: float | None = None,
        polling_timeout: float | None = None,
        *,
        type: None = None,
    ) -> Event | None: ...
    @overload
    def recv_event_safe(
        self,
        name: str,
        topic: str | bytes | Literal[False] | None = False,
        timeout: float | None = None,
        polling_timeout: float | None = None,
        *,
        type: TypeForm[T],
    ) -> Event[T] | None: ...
    def recv_event_safe(
        self,
        name: str,
        topic: str | bytes | Literal[False] | None = False,
        timeout: float | None = None,
        polling_timeout: float | None = None,
        *,
        type: Any = None,
    ) -> Event | None:
        """As `recv_event`, but return None in time-out.

        >>> with SocketManager() as sockets:
        ...     _ = sockets.ensure_and_bind("events", zmq.SUB, "inproc://events")
        ...     sockets.recv_event_safe("events", timeout=0) is None
        True
        """
        try:
            return self.recv_event(name, topic, timeout, polling_timeout, type=type)
        except SocketTimeout:
            return None

    @overload
    def subscribe(
        self,
        name: str,
        topic: str | bytes | None = None,
        keep_polling: Callable[[], object] | None = None,
        timeout: float | None = None,
        polling_timeout: float | None = None,
        *,
        type: None = None,
        on_error: Callable[[DeserializationError], object] | None = None,
    ) -> Generator[Event, None, None]: ...
    @overload
    def subscribe(
        self,
        name: str,
        topic: str | bytes | None = None,
        keep_polling: Callable[[], object] | None = None,
        timeout: float | None = None,
        polling_timeout: float | None = None,
        *,
        type: TypeForm[T],
        on_error: Callable[[DeserializationError], object] | None = None,
    ) -> Generator[Event[T], None, None]: ...
    def subscribe(
        self,
        name: str,
        topic: str | bytes | None = None,
        keep_polling: Callable[[], object] | None = None,
        timeout: float | None = None,
        polling_timeout: float | None = None,
        *,
        type: Any = None,
        on_error: Callable[[DeserializationError], object] | None = None,
    ) -> Generator[Event, None, None]:
        """Subscribe now, and iterate over what is published.

        A message that cannot be read does not end it: it is counted, logged at ERROR, and handed
        to `on_error`. Closing the socket ends it.

        Args:
            name: the socket.
            topic: as for `recv_event`.
            keep_polling: asked before each message, and at least every `polling_timeout`; it ends
                the loop when it returns something false.
            timeout: seconds without a message after which the loop ends; None goes on for ever.
            polling_timeout: milliseconds of the longest single wait.
            type: as for `recv`.
            on_error: called with each DeserializationError, which holds the raw bytes.

        Raises:
            SocketNotFound: there is no socket of that name.
            AgentZeroSocketError: the socket is neither SUB nor XSUB.
            TypeError: `keep_polling` cannot be called.
            ValueError: a time-out is negative.

        >>> with SocketManager() as sockets:
        ...     _ = sockets.ensure_and_bind("out", zmq.XPUB, "inproc://events")
        ...     _ = sockets.ensure_and_connect("in", zmq.SUB, "inproc://events")
        ...     events = sockets.subscribe("in", "output", timeout=1)
        ...     _ = sockets.recv_multipart("out")  # the subscription
        ...     sockets.publish("out", "output:0", "some data")
        ...     for topic, data in events:
        ...         print(topic, "==>", data)
        ...         break
        output:0 ==> some data
        """
        check_callable(keep_polling, "keep_polling")
        check_callable(on_error, "on_error")
        go_on = keep_polling or always
        channel = self._channels[name]
        if type is not None:
            check_type(type)
        subscribe_to(channel, "subscribe", topic)
        handle = partial(or_report, event, channel, type, on_error)
        silence = math.inf if timeout is None else checked_timeout(timeout)
        return drive_each(
            self.backend,
            # Through self, which lives as long as the loop does.
            lambda waiter: repeat(
                waiter, channel, handle, go_on, silence, self._longest(polling_timeout)
            ),
        )

    def wait_for_subscribers(
        self,
        name: str,
        topic: str | bytes = "",
        count: int = 1,
        timeout: float | None = None,
    ) -> None:
        """Wait until what is published under a topic reaches so many subscribers.

        An XPUB receives subscriptions as messages: `recv_multipart` gets also those that were
        read for this.

        Args:
            name: an XPUB.
            topic: what will be published; subscriptions to any beginning of it count.
            count: how many subscriptions there are to be, not subscribers: one who subscribes to
                two beginnings of it counts twice.
            timeout: seconds in all.

        Raises:
            SocketTimeout: there were fewer in that time; the text says how many.
            SocketNotFound, SocketClosed, ManagerClosed: there is nothing to wait on.
            AgentZeroSocketError: the socket is no XPUB.
            ValueError: the time-out, or `count`, is negative.

        >>> with SocketManager() as sockets:
        ...     _ = sockets.ensure_and_bind("news", zmq.XPUB, "inproc://news")
        ...     _ = sockets.ensure_and_connect("in", zmq.SUB, "inproc://news")
        ...     sockets.set_topic("in", "sport")
        ...     sockets.wait_for_subscribers("news", "sport:tennis")
        ...     sockets.publish("news", "sport:tennis", "6:4")
        ...     sockets.recv_event("in")
        Event(topic='sport:tennis', data='6:4')
        """
        channel, wanted, deadline = (
            self._publisher(name, count),
            topic_bytes(topic),
            self._deadline(timeout),
        )
        attempt = partial(channel.try_count, wanted, count)
        if attempt() is None and not self._until(channel, attempt, NEWS, deadline, LONGEST_NAP):
            raise timed_out(channel.too_few(wanted, count), channel, deadline)

    def connection_events(
        self,
        name: str,
        keep_polling: Callable[[], object] | None = None,
        timeout: float | None = None,
        polling_timeout: float | None = None,
    ) -> Generator[ConnectionEvent, None, None]:
        """Iterate over what happened to the connections of a socket, and over what happens.

        The newest 1,000 events since it was first bound or connected come first. Of inproc, nothing
        is told. Closing the socket ends it.

        Args:
            name: the socket.
            keep_polling: asked before each event, and at least every `polling_timeout`; it ends
                the loop when it returns something false.
            timeout: seconds without an event after which the loop ends; None goes on for ever.
            polling_timeout: milliseconds of the longest single wait.

        Raises:
            SocketNotFound, ManagerClosed: there is no socket of that name.
            AgentZeroSocketError: no more sockets or threads can be made, to watch with.
            ValueError: a time-out is negative.

        >>> with SocketManager() as sockets:
        ...     _ = sockets.ensure_and_bind("in", zmq.PULL, "tcp://127.0.0.1:*")
        ...     [address] = sockets.endpoints("in")
        ...     _ = sockets.ensure_and_connect("out", zmq.PUSH, address)
        ...     for event in sockets.connection_events("out"):
        ...         print(event.kind, event.endpoint == address)
        ...         break
        connected True
        """
        steps = self._happenings(name, keep_polling, timeout, polling_timeout)
        return drive_each(self.backend, steps)

    # Asking and answering

    @overload
    def request(
        self,
        name: str,
        data: object,
        timeout: float | None = None,
        retries: int = 0,
        polling_timeout: float | None = None,
        *,
        type: None = None,
    ) -> Any: ...
    @overload
    def request(
        self,
        name: str,
        data: object,
        timeout: float | None = None,
        retries: int = 0,
        polling_timeout: float | None = None,
        *,
        type: TypeForm[T],
    ) -> T: ...
    def request(
        self,
        name: str,
        data: object,
        timeout: float | None = None,
        retries: int = 0,
        polling_timeout: float | None = None,
        *,
        type: Any = None,
    ) -> Any:
        """Send a request and wait for its reply.

        On a DEALER any number of requests may be under way, from any number of tasks: each carries
        an id, [id, "", payload], which comes back with its reply, also from a plain REP. On a REQ
        tasks take turns. In time-out both go on working, and a reply that comes late is dropped.
        Other verbs must not receive on the socket meanwhile: they would get the replies.
        A question that a DEALER could not send stays with it: closing waits `linger` for a peer.

        Args:
            name: a REQ or DEALER.
            data: whatever the serializer can write.
            timeout: seconds to wait for the reply, in each attempt.
            retries: how often it is sent again when no reply came in time. The other side may get
                it more than once.
            polling_timeout: milliseconds of the longest single wait.
            type: what the reply is converted to, as for `recv`.

        Returns:
            The reply.

        Raises:
            SocketTimeout: no reply came in time, in any attempt.
            RemoteError: the other side's handler raised; the error says what.
            DeserializationError: the reply cannot be read, or does not fit `type`; it is gone.
            SerializationError: `data` cannot be written.
            SocketNotFound, SocketClosed, ManagerClosed: there is nothing to ask on.
            AgentZeroSocketError: the socket is neither REQ nor DEALER.
            ValueError: a time-out, or `retries`, is negative.

        >>> from threading import Thread
        >>> with SocketManager() as sockets:
        ...     _ = sockets.ensure_and_bind("server", zmq.REP, "inproc://questions")
        ...     _ = sockets.ensure_and_connect("client", zmq.DEALER, "inproc://questions")
        ...     Thread(target=sockets.serve, args=("server", sum)).start()
        ...     sockets.request("client", [1, 2, 3])
        6
        """
        channel, steps = self._request(name, data, timeout, retries, polling_timeout, type)
        return reply(channel, drive(self.backend, steps), type)

    @overload
    def serve(
        self,
        name: str,
        handler: Callable[[Any], Any],
        keep_polling: Callable[[], object] | None = None,
        timeout: float | None = None,
        polling_timeout: float | None = None,
        *,
        type: None = None,
        on_error: Callable[[DeserializationError], object] | None = None,
    ) -> None: ...
    @overload
    def serve(
        self,
        name: str,
        handler: Callable[[T], Any],
        keep_polling: Callable[[], object] | None = None,
        timeout: float | None = None,
        polling_timeout: float | None = None,
        *,
        type: TypeForm[T],
        on_error: Callable[[DeserializationError], object] | None = None,
    ) -> None: ...
    def serve(
        self,
        name: str,
        handler: Callable[[Any], Any],
        keep_polling: Callable[[], object] | None = None,
        timeout: float | None = None,
        polling_timeout: float | None = None,
        *,
        type: Any = None,
        on_error: Callable[[DeserializationError], object] | None = None,
    ) -> None:
        """Answer requests, until `keep_polling` says stop, the socket is closed, or none comes.

        What the handler raises is logged, and answered with the exception as data: `request`
        raises it as RemoteError. So is a request that cannot be read, which is counted and handed
        to `on_error`, and a reply that cannot be written. The loop goes on.

        Ctrl-C or a cancellation ends it, also in the handler: the request is answered with that,
        and the socket can be used again. An answer to a peer that has gone, or has had no room for
        it for the manager's `timeout` or for `polling_timeout`, is dropped and counted.

        Any number of tasks may serve one ROUTER, and one at a time a REP.

        Args:
            name: a REP or ROUTER.
            handler: called with the data of each request, returns the reply. With
                AsyncSocketManager it may be a coroutine function.
            keep_polling: asked before each request, and at least every `polling_timeout`; it ends
                the loop when it returns something false.
            timeout: seconds without a request after which the loop ends; None goes on for ever.
            polling_timeout: milliseconds of the longest single wait.
            type: what the data is converted to, as for `recv`.
            on_error: called with each DeserializationError, which holds the raw bytes.

        Raises:
            SocketNotFound, ManagerClosed: there is nothing to serve on.
            AgentZeroSocketError: the socket is neither REP nor ROUTER.
            TypeError: `handler` or `keep_polling` cannot be called.
            ValueError: a time-out is negative.

        >>> from threading import Thread
        >>> with SocketManager() as sockets:
        ...     _ = sockets.ensure_and_bind("server", zmq.ROUTER, "inproc://questions")
        ...     _ = sockets.ensure_and_connect("client", zmq.REQ, "inproc://questions")
        ...     Thread(target=sockets.serve, args=("server", len)).start()
        ...     print(sockets.request("client", "four"))
        ...     sockets.request("client", 4)
        Traceback (most recent call last):
          ...
        agentzero.errors.RemoteError: the other side of socket 'client' ... raised TypeError: ...
        """
        if iscoroutinefunction(handler):
            raise TypeError(
                f"AsyncSocketManager serves with coroutine functions, as {handler!r} is"
            )
        steps = self._serve(name, handler, keep_polling, timeout, polling_timeout, type, on_error)
        with closing(drive_each(self.backend, steps)) as questions:
            for question in questions:
                with question:
                    question.reply = handler(question.data)
