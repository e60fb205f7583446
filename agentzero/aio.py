"""AsyncSocketManager: the verbs of SocketManager, awaited."""

from __future__ import annotations

import math
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from functools import partial
from inspect import isawaitable
from types import ModuleType, TracebackType
from typing import TYPE_CHECKING, Any, Literal, TypeVar, overload

import zmq

from agentzero import backends
from agentzero.backends import AsyncBackend
from agentzero.base import BaseManager, always, check_callable, check_kind, subscribe_to
from agentzero.books import DEFAULT_POLLING_TIMEOUT, DEFAULT_TIMEOUT_IN_SECONDS, checked_mask
from agentzero.channel import POLLIN, POLLOUT, Channel
from agentzero.deadline import Deadline, checked_timeout
from agentzero.errors import DeserializationError, SocketTimeout
from agentzero.events import ConnectionEvent, Envelope, Event
from agentzero.loans import Loan
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
    drive_async,
    drive_each_async,
    poll,
    repeat,
    timed_out,
    until,
)
from agentzero.subscribers import NEWS
from agentzero.tracking import AsyncTracker

if TYPE_CHECKING:
    from typing_extensions import Buffer, TypeForm

__all__ = ["AsyncSocketManager"]

T = TypeVar("T")


class AsyncSocketManager(BaseManager[AsyncBackend]):
    """The same as `SocketManager` for the tasks of an event loop: whatever can wait is a coroutine.

    It belongs to the loop that first waits with it. Cancelling a receive loses no message;
    cancelling a send leaves it sent whole or not at all.

    Args:
        zmq: the pyzmq flavour: which sockets the manager hands out. None means the flavour that
            suits the backend.
        context: as for `SocketManager`, like all that is not said here.
        backend: a backend, or the name of one. None means $AGENTZERO_ASYNC_BACKEND, else
            "asyncio".

    >>> import asyncio
    >>> import zmq
    >>> async def main():
    ...     async with AsyncSocketManager() as sockets:
    ...         sockets.ensure_and_bind("in", zmq.PULL, "inproc://jobs")
    ...         sockets.ensure_and_connect("out", zmq.PUSH, "inproc://jobs")
    ...         await sockets.send("out", {"job": 1})
    ...         return await sockets.recv("in")
    >>> asyncio.run(main())
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
        backend: AsyncBackend | str | None = None,
        linger: float = 10,
        max_message_size: int | None = None,
    ) -> None:
        super().__init__(
            zmq,
            context,
            serialization_backend,
            polling_timeout,
            timeout,
            backends.resolve_async(backend, zmq),
            linger,
            max_message_size,
        )

    async def __aenter__(self) -> AsyncSocketManager:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.close_all()

    async def close_all(self) -> None:
        """Close everything; twice is harmless, and later calls raise ManagerClosed.

        It waits `linger` seconds at the most for messages that are still to be sent.

        >>> import asyncio
        >>> sockets = AsyncSocketManager()
        >>> asyncio.run(sockets.close_all())
        >>> sockets.names()
        []
        """
        await drive_async(self.backend, self._closing)

    # Waiting

    async def engage(self, timeout: float | None = None) -> dict[Any, int]:
        """Wait until any registered socket is ready.

        Args:
            timeout: milliseconds; None takes the manager's `polling_timeout`.

        Returns:
            socket -> what it is ready for (zmq.POLLIN, zmq.POLLOUT or both), of those that are.

        Raises:
            SocketClosed: one of them was closed meanwhile; the next call goes on with the others.
            ValueError: the time-out is negative.

        >>> import asyncio
        >>> async def main():
        ...     async with AsyncSocketManager() as sockets:
        ...         jobs = sockets.ensure_and_bind("jobs", zmq.PULL, "inproc://jobs", zmq.POLLIN)
        ...         _ = sockets.ensure_and_connect("out", zmq.PUSH, "inproc://jobs")
        ...         await sockets.send("out", 1)
        ...         return (await sockets.engage()) == {jobs: zmq.POLLIN}
        >>> asyncio.run(main())
        True
        """
        polled, deadline = self._polled(), self._milliseconds(timeout)
        return await drive_async(self.backend, lambda waiter: poll(waiter, polled, deadline))

    async def ready(self, name: str, polling_mechanism: int, timeout: float | None = None) -> Any:
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

        >>> import asyncio
        >>> async def main():
        ...     async with AsyncSocketManager() as sockets:
        ...         _ = sockets.ensure_and_bind("events", zmq.PUB, "inproc://events")
        ...         return (await sockets.ready("events", zmq.POLLOUT)) is sockets.get_by_name(
        ...             "events"
        ...         )
        >>> asyncio.run(main())
        True
        """
        return await self._ready(
            self._channels[name], polling_mechanism, self._milliseconds(timeout)
        )

    async def wait_until_ready(
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

        >>> import asyncio
        >>> async def main():
        ...     async with AsyncSocketManager() as sockets:
        ...         _ = sockets.create("jobs", zmq.PULL)
        ...         return await sockets.wait_until_ready("jobs", zmq.POLLIN, timeout=0.01) is None
        >>> asyncio.run(main())
        True
        """
        channel, deadline = self._channels[name], self._deadline(timeout)
        return await self._ready(
            channel, polling_mechanism, deadline, self._longest(polling_timeout)
        )

    async def _ready(
        self, channel: Channel, mask: int, deadline: Deadline, longest: float = LONGEST_NAP
    ) -> Any:
        wanted = checked_mask(mask)
        ready = await self._until(
            channel, lambda: channel.ready(wanted) or None, mask, deadline, longest
        )
        return channel.socket if ready else None

    async def _until(
        self,
        channel: Channel,
        attempt: Callable[[], T],
        mask: int,
        deadline: Deadline,
        longest: float,
    ) -> T | None:
        return await drive_async(
            self.backend, lambda waiter: until(waiter, channel, attempt, mask, deadline, longest)
        )

    async def _awaited(
        self,
        channel: Channel,
        attempt: Callable[[], Any],
        timeout: float | None,
        polling_timeout: float | None,
    ) -> Any:
        deadline, longest = self._deadline(timeout), self._longest(polling_timeout)
        message = await self._until(channel, attempt, POLLIN, deadline, longest)
        if message is None:
            raise timed_out(NOTHING, channel, deadline)
        return message

    async def _queued(
        self,
        channel: Channel,
        attempt: Callable[[], bool | None],
        timeout: float | None,
        polling_timeout: float | None,
    ) -> None:
        deadline, longest = self._deadline(timeout), self._longest(polling_timeout)
        if await self._until(channel, attempt, POLLOUT, deadline, longest) is None:
            raise timed_out(NO_ROOM, channel, deadline)

    # Sending

    async def send(
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

        >>> import asyncio
        >>> async def main():
        ...     async with AsyncSocketManager() as sockets:
        ...         _ = sockets.create("nobody", zmq.PUSH)
        ...         return await sockets.send("nobody", "hello", timeout=0)
        >>> asyncio.run(main())
        Traceback (most recent call last):
          ...
        agentzero.errors.SocketTimeout: no room to send on socket 'nobody' ... in 0 s
        """
        channel = self._channels[name]
        frame = pack(channel, data)
        if channel.try_send(frame) is None:
            attempt = partial(channel.try_send, frame)
            await self._queued(channel, attempt, timeout, polling_timeout)

    async def send_safe(
        self,
        name: str,
        data: object,
        timeout: float | None = None,
        polling_timeout: float | None = None,
    ) -> bool:
        """As `send`, but return True, or False when it could not be queued in time.

        >>> import asyncio
        >>> async def main():
        ...     async with AsyncSocketManager() as sockets:
        ...         _ = sockets.create("nobody", zmq.PUSH)
        ...         return await sockets.send_safe("nobody", "hello", timeout=0)
        >>> asyncio.run(main())
        False
        """
        try:
            await self.send(name, data, timeout, polling_timeout)
        except SocketTimeout:
            return False
        return True

    @overload
    async def send_multipart(
        self,
        name: str,
        frames: Sequence[Buffer],
        timeout: float | None = None,
        polling_timeout: float | None = None,
        *,
        copy: Literal[True] = True,
    ) -> None: ...
    @overload
    async def send_multipart(
        self,
        name: str,
        frames: Sequence[Buffer],
        timeout: float | None = None,
        polling_timeout: float | None = None,
        *,
        copy: Literal[False],
    ) -> AsyncTracker: ...
    async def send_multipart(
        self,
        name: str,
        frames: Sequence[Buffer],
        timeout: float | None = None,
        polling_timeout: float | None = None,
        *,
        copy: bool = True,
    ) -> AsyncTracker | None:
        """Send frames of bytes as they are, as one message. Errors as for `send`.

        Args:
            name: the socket.
            frames: bytes, or anything else with a buffer contiguous in memory, such as an array.
            timeout, polling_timeout: as for `send`.
            copy: False sends buffers of 64 KiB and more from where they are. They must not change
                until the tracker that is then returned says that it is `done`; its `wait` waits.

        Returns:
            None; with `copy=False` a tracker.

        >>> import asyncio
        >>> async def main():
        ...     async with AsyncSocketManager() as sockets:
        ...         _ = sockets.ensure_and_bind("in", zmq.PULL, "inproc://raw")
        ...         _ = sockets.ensure_and_connect("out", zmq.PUSH, "inproc://raw")
        ...         await sockets.send_multipart("out", [b"one", b"two"])
        ...         return await sockets.recv_multipart("in")
        >>> asyncio.run(main())
        [b'one', b'two']
        """
        channel, loan, message = self._channels[name], Loan(), as_frames(frames)
        attempt = partial(channel.try_send_frames, message if copy else loan.lend(message))
        if attempt() is None:
            await self._queued(channel, attempt, timeout, polling_timeout)
        return None if copy else AsyncTracker(self, channel, loan)

    async def send_to(
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

        >>> import asyncio
        >>> async def main():
        ...     async with AsyncSocketManager() as sockets:
        ...         _ = sockets.ensure_and_bind("router", zmq.ROUTER, "inproc://router")
        ...         return await sockets.send_to("router", b"nobody", "hello")
        >>> asyncio.run(main())
        Traceback (most recent call last):
          ...
        agentzero.errors.PeerUnreachable: no connected peer of socket 'router' ... has that identity
        """
        channel = self._channels[name]
        check_kind(channel, "send_to", zmq.ROUTER)
        frames = as_frames([identity, *getattr(identity, "route", ()), pack(channel, data)])
        if channel.try_send_frames(frames) is None:
            attempt = partial(channel.try_send_frames, frames)
            await self._queued(channel, attempt, timeout, polling_timeout)

    async def publish(
        self,
        name: str,
        topic: str | bytes,
        data: object,
        timeout: float | None = None,
        polling_timeout: float | None = None,
    ) -> None:
        """Serialize and publish, as [topic, payload]. Errors as for `send`.

        >>> import asyncio
        >>> async def main():
        ...     async with AsyncSocketManager() as sockets:
        ...         _ = sockets.ensure_and_bind("logs", zmq.PUB, "inproc://logs")
        ...         await sockets.publish("logs", "output", "some data")
        >>> asyncio.run(main())
        """
        channel = self._channels[name]
        frames = [topic_bytes(topic), pack(channel, data)]
        if channel.try_send_frames(frames) is None:
            attempt = partial(channel.try_send_frames, frames)
            await self._queued(channel, attempt, timeout, polling_timeout)

    async def publish_safe(
        self,
        name: str,
        topic: str | bytes,
        data: object,
        timeout: float | None = None,
        polling_timeout: float | None = None,
    ) -> bool:
        """As `publish`, but return True, or False when it could not be queued in time.

        >>> import asyncio
        >>> async def main():
        ...     async with AsyncSocketManager() as sockets:
        ...         _ = sockets.ensure_and_bind("logs", zmq.PUB, "inproc://logs")
        ...         return await sockets.publish_safe("logs", "output", "some data")
        >>> asyncio.run(main())
        True
        """
        try:
            await self.publish(name, topic, data, timeout, polling_timeout)
        except SocketTimeout:
            return False
        return True

    # Receiving

    @overload
    async def recv(
        self,
        name: str,
        timeout: float | None = None,
        polling_timeout: float | None = None,
        *,
        type: None = None,
    ) -> Any: ...
    @overload
    async def recv(
        self,
        name: str,
        timeout: float | None = None,
        polling_timeout: float | None = None,
        *,
        type: TypeForm[T],
    ) -> T: ...
    async def recv(
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

        >>> import asyncio
        >>> async def main():
        ...     async with AsyncSocketManager() as sockets:
        ...         _ = sockets.ensure_and_bind("in", zmq.PULL, "inproc://typed")
        ...         _ = sockets.ensure_and_connect("out", zmq.PUSH, "inproc://typed")
        ...         await sockets.send("out", [1, 2])
        ...         return await sockets.recv("in", type=tuple[int, ...])
        >>> asyncio.run(main())
        (1, 2)
        """
        channel = self._channels[name]
        if type is not None:
            check_type(type)
        message = channel.try_recv()
        if message is None:
            message = await self._awaited(channel, channel.try_recv, timeout, polling_timeout)
        return unpack(channel, message, type)

    @overload
    async def recv_safe(
        self,
        name: str,
        timeout: float | None = None,
        polling_timeout: float | None = None,
        *,
        type: None = None,
    ) -> Any: ...
    @overload
    async def recv_safe(
        self,
        name: str,
        timeout: float | None = None,
        polling_timeout: float | None = None,
        *,
        type: TypeForm[T],
    ) -> T | None: ...
    async def recv_safe(
        self,
        name: str,
        timeout: float | None = None,
        polling_timeout: float | None = None,
        *,
        type: Any = None,
    ) -> Any:
        """As `recv`, but return None in time-out. Arguments and other errors as for `recv`.

        >>> import asyncio
        >>> async def main():
        ...     async with AsyncSocketManager() as sockets:
        ...         _ = sockets.create("in", zmq.PULL)
        ...         return await sockets.recv_safe("in", timeout=0) is None
        >>> asyncio.run(main())
        True
        """
        try:
            return await self.recv(name, timeout, polling_timeout, type=type)
        except SocketTimeout:
            return None

    @overload
    async def recv_multipart(
        self,
        name: str,
        timeout: float | None = None,
        polling_timeout: float | None = None,
        *,
        copy: Literal[True] = True,
    ) -> list[bytes]: ...
    @overload
    async def recv_multipart(
        self,
        name: str,
        timeout: float | None = None,
        polling_timeout: float | None = None,
        *,
        copy: Literal[False],
    ) -> list[memoryview]: ...
    async def recv_multipart(
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

        >>> import asyncio
        >>> async def main():
        ...     async with AsyncSocketManager() as sockets:
        ...         _ = sockets.create("in", zmq.PULL)
        ...         return await sockets.recv_multipart("in", timeout=0)
        >>> asyncio.run(main())
        Traceback (most recent call last):
          ...
        agentzero.errors.SocketTimeout: nothing to receive on socket 'in' ... in 0 s
        """
        channel = self._channels[name]
        attempt: Callable[[], Any] = channel.try_recv if copy else channel.try_recv_views
        message = attempt()
        if message is None:
            message = await self._awaited(channel, attempt, timeout, polling_timeout)
        return message if isinstance(message, list) else [message]

    @overload
    async def recv_from(
        self,
        name: str,
        timeout: float | None = None,
        polling_timeout: float | None = None,
        *,
        type: None = None,
    ) -> Envelope: ...
    @overload
    async def recv_from(
        self,
        name: str,
        timeout: float | None = None,
        polling_timeout: float | None = None,
        *,
        type: TypeForm[T],
    ) -> Envelope[T]: ...
    async def recv_from(
        self,
        name: str,
        timeout: float | None = None,
        polling_timeout: float | None = None,
        *,
        type: Any = None,
    ) -> Envelope:
        """Receive a message of a ROUTER with its sender. Arguments and errors as for `recv`.

        >>> import asyncio
        >>> async def main():
        ...     async with AsyncSocketManager() as sockets:
        ...         _ = sockets.ensure_and_bind("router", zmq.ROUTER, "inproc://router")
        ...         _ = sockets.ensure_and_connect("worker", zmq.REQ, "inproc://router")
        ...         await sockets.send("worker", "ready")
        ...         identity, data = await sockets.recv_from("router")
        ...         await sockets.send_to("router", identity, f"{data}, steady, go")
        ...         return await sockets.recv("worker")
        >>> asyncio.run(main())
        'ready, steady, go'
        """
        channel = self._channels[name]
        if type is not None:
            check_type(type)
        message = channel.try_recv()
        if message is None:
            message = await self._awaited(channel, channel.try_recv, timeout, polling_timeout)
        return envelope(channel, message, type)

    @overload
    async def recv_event(
        self,
        name: str,
        topic: str | bytes | Literal[False] | None = False,
        timeout: float | None = None,
        polling_timeout: float | None = None,
        *,
        type: None = None,
    ) -> Event: ...
    @overload
    async def recv_event(
        self,
        name: str,
        topic: str | bytes | Literal[False] | None = False,
        timeout: float | None = None,
        polling_timeout: float | None = None,
        *,
        type: TypeForm[T],
    ) -> Event[T]: ...
    async def recv_event(
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

        >>> import asyncio
        >>> async def main():
        ...     async with AsyncSocketManager() as sockets:
        ...         _ = sockets.ensure_and_bind("events", zmq.SUB, "inproc://events")
        ...         return await sockets.recv_event("events", "logs", timeout=0)
        >>> asyncio.run(main())
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
            message = await self._awaited(channel, channel.try_recv, timeout, polling_timeout)
        return event(channel, message, type)

    @overload
    async def recv_event_safe(
        self,
        name: str,
        topic: str | bytes | Literal[False] | None = False,
        timeout: float | None = None,
        polling_timeout: float | None = None,
        *,
        type: None = None,
    ) -> Event | None: ...
    @overload
    async def recv_event_safe(
        self,
        name: str,
        topic: str | bytes | Literal[False] | None = False,
        timeout: float | None = None,
        polling_timeout: float | None = None,
        *,
        type: TypeForm[T],
    ) -> Event[T] | None: ...
    async def recv_event_safe(
        self,
        name: str,
        topic: str | bytes | Literal[False] | None = False,
        timeout: float | None = None,
        polling_timeout: float | None = None,
        *,
        type: Any = None,
    ) -> Event | None:
        """As `recv_event`, but return None in time-out.

        >>> import asyncio
        >>> async def main():
        ...     async with AsyncSocketManager() as sockets:
        ...         _ = sockets.ensure_and_bind("events", zmq.SUB, "inproc://events")
        ...         return await sockets.recv_event_safe("events", timeout=0) is None
        >>> asyncio.run(main())
        True
        """
        try:
            return await self.recv_event(name, topic, timeout, polling_timeout, type=type)
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
    ) -> AsyncGenerator[Event, None]: ...
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
    ) -> AsyncGenerator[Event[T], None]: ...
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
    ) -> AsyncGenerator[Event, None]:
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

        >>> import asyncio
        >>> async def main():
        ...     async with AsyncSocketManager() as sockets:
        ...         _ = sockets.ensure_and_bind("out", zmq.XPUB, "inproc://events")
        ...         _ = sockets.ensure_and_connect("in", zmq.SUB, "inproc://events")
        ...         events = sockets.subscribe("in", "output", timeout=1)
        ...         _ = await sockets.recv_multipart("out")  # the subscription
        ...         await sockets.publish("out", "output:0", "some data")
        ...         async for topic, data in events:
        ...             print(topic, "==>", data)
        ...             break
        >>> asyncio.run(main())
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
        return drive_each_async(
            self.backend,
            # Through self, which lives as long as the loop does.
            lambda waiter: repeat(
                waiter, channel, handle, go_on, silence, self._longest(polling_timeout)
            ),
        )

    async def wait_for_subscribers(
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

        >>> import asyncio
        >>> async def main():
        ...     async with AsyncSocketManager() as sockets:
        ...         _ = sockets.ensure_and_bind("news", zmq.XPUB, "inproc://news")
        ...         _ = sockets.ensure_and_connect("in", zmq.SUB, "inproc://news")
        ...         sockets.set_topic("in", "sport")
        ...         await sockets.wait_for_subscribers("news", "sport:tennis")
        ...         await sockets.publish("news", "sport:tennis", "6:4")
        ...         return await sockets.recv_event("in")
        >>> asyncio.run(main())
        Event(topic='sport:tennis', data='6:4')
        """
        channel, wanted, deadline = (
            self._publisher(name, count),
            topic_bytes(topic),
            self._deadline(timeout),
        )
        attempt = partial(channel.try_count, wanted, count)
        if attempt() is None and not await self._until(
            channel, attempt, NEWS, deadline, LONGEST_NAP
        ):
            raise timed_out(channel.too_few(wanted, count), channel, deadline)

    def connection_events(
        self,
        name: str,
        keep_polling: Callable[[], object] | None = None,
        timeout: float | None = None,
        polling_timeout: float | None = None,
    ) -> AsyncGenerator[ConnectionEvent, None]:
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

        >>> import asyncio
        >>> async def main():
        ...     async with AsyncSocketManager() as sockets:
        ...         _ = sockets.ensure_and_bind("in", zmq.PULL, "tcp://127.0.0.1:*")
        ...         [address] = sockets.endpoints("in")
        ...         _ = sockets.ensure_and_connect("out", zmq.PUSH, address)
        ...         async for event in sockets.connection_events("out"):
        ...             return event.kind, event.endpoint == address
        >>> asyncio.run(main())
        ('connected', True)
        """
        steps = self._happenings(name, keep_polling, timeout, polling_timeout)
        return drive_each_async(self.backend, steps)

    # Asking and answering

    @overload
    async def request(
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
    async def request(
        self,
        name: str,
        data: object,
        timeout: float | None = None,
        retries: int = 0,
        polling_timeout: float | None = None,
        *,
        type: TypeForm[T],
    ) -> T: ...
    async def request(
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

        >>> import asyncio
        >>> async def main():
        ...     async with AsyncSocketManager() as sockets, asyncio.TaskGroup() as tasks:
        ...         _ = sockets.ensure_and_bind("server", zmq.REP, "inproc://questions")
        ...         _ = sockets.ensure_and_connect("client", zmq.DEALER, "inproc://questions")
        ...         tasks.create_task(sockets.serve("server", sum))
        ...         reply = await sockets.request("client", [1, 2, 3])
        ...         sockets.close("server")
        ...         return reply
        >>> asyncio.run(main())
        6
        """
        channel, steps = self._request(name, data, timeout, retries, polling_timeout, type)
        return reply(channel, await drive_async(self.backend, steps), type)

    @overload
    async def serve(
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
    async def serve(
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
    async def serve(
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

        >>> import asyncio
        >>> async def handler(seconds):
        ...     await asyncio.sleep(seconds)
        ...     return "good morning"
        >>> async def main():
        ...     async with AsyncSocketManager() as sockets, asyncio.TaskGroup() as tasks:
        ...         _ = sockets.ensure_and_bind("server", zmq.ROUTER, "inproc://questions")
        ...         _ = sockets.ensure_and_connect("client", zmq.REQ, "inproc://questions")
        ...         tasks.create_task(sockets.serve("server", handler))
        ...         reply = await sockets.request("client", 0.01)
        ...         sockets.close("server")
        ...         return reply
        >>> asyncio.run(main())
        'good morning'
        """
        steps = self._serve(name, handler, keep_polling, timeout, polling_timeout, type, on_error)
        async with aclosing(drive_each_async(self.backend, steps)) as questions:
            async for question in questions:
                with question:
                    answer = handler(question.data)
                    question.reply = await answer if isawaitable(answer) else answer
