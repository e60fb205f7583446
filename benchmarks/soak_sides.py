"""Both sides of a soak: the manager with the tasks of its backend, and bare pyzmq in threads.

What they do is written once, in coroutine functions, for every backend. A thread or a greenlet
brings one to its end in a single step: what it awaits returns late, and is there by then.
"""

from __future__ import annotations

import asyncio
import inspect
import json
import threading
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from importlib import import_module
from typing import Any

import zmq

from agentzero import AsyncSocketManager, SocketManager
from agentzero.errors import DeserializationError, SocketBindError, SocketTimeout

Work = Callable[[], Awaitable[None]]


async def got(result: Any) -> Any:
    """Return what a verb gives, on either side."""
    return await result if inspect.isawaitable(result) else result


async def each(events: Any, until: Callable[[Any], object]) -> None:
    """Hand what a verb iterates over to `until`, up to the first for which that is true."""
    if hasattr(events, "__anext__"):
        await _each_async(events, until)
        return
    try:
        any(until(event) for event in events)
    finally:
        events.close()


async def _each_async(events: Any, until: Callable[[Any], object]) -> None:
    try:
        async for event in events:
            if until(event):
                break
    finally:
        await events.aclose()


def stepped(work: Callable[[], Any]) -> Any:
    """Run a coroutine function that is never suspended; return what it returns."""
    try:
        work().send(None)
    except StopIteration as end:
        return end.value
    raise AssertionError("it was suspended")


class Threads:
    """Tasks are threads."""

    def run(self, main: Callable[[], Any]) -> Any:
        """Run a program to its end; return what it returns."""
        return stepped(main)

    def manager(self, **options: Any) -> Any:
        """Return a manager that waits as these tasks do."""
        return SocketManager(backend="threads", **options)

    def start(self, work: Work) -> object:
        """Start a task."""
        thread = threading.Thread(target=stepped, args=(work,))
        thread.start()
        return thread

    async def pause(self, seconds: float) -> None:
        """Let others run."""
        time.sleep(seconds)


class Greenlets(Threads):
    """Tasks are greenlets, and nothing is patched."""

    def __init__(self) -> None:
        self._gevent = import_module("gevent")

    def manager(self, **options: Any) -> Any:
        return SocketManager(backend="gevent", **options)

    def start(self, work: Work) -> object:
        return self._gevent.spawn(stepped, work)

    async def pause(self, seconds: float) -> None:
        self._gevent.sleep(seconds)


class Loop(Threads):
    """Tasks are those of an event loop."""

    def __init__(self, run: Callable[..., Any]) -> None:
        self._run = run

    def run(self, main: Callable[[], Any]) -> Any:
        return self._run(main())

    def manager(self, **options: Any) -> Any:
        return AsyncSocketManager(backend="asyncio", **options)

    def start(self, work: Work) -> object:
        return asyncio.ensure_future(work())

    async def pause(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


BACKENDS: dict[str, Callable[[], Threads]] = {
    "threads": Threads,
    "gevent": Greenlets,
    "asyncio": lambda: Loop(asyncio.run),
    "uvloop": lambda: Loop(import_module("uvloop").run),
}


class Bare:
    """Sockets of bare pyzmq under the names of a manager's verbs, for one thread."""

    def __init__(self) -> None:
        self._context: zmq.Context[Any] = zmq.Context()
        self._sockets: dict[str, zmq.Socket[bytes]] = {}

    def __contains__(self, name: object) -> bool:
        return name in self._sockets

    def create(self, name: str, kind: int, **options: Any) -> None:
        made = self._sockets[name] = self._context.socket(kind)
        # Of subscriptions and questions, nobody waits for the last.
        made.linger = 10_000 if kind in (zmq.PUSH, zmq.PUB) else 0
        if options.get("curve"):
            options["curve"].configure(made)

    def set_socket_option(self, name: str, option: int, value: int) -> None:
        if option == zmq.HWM:
            self._sockets[name].set_hwm(value)
        else:
            self._sockets[name].set(option, value)

    def set_topic(self, name: str, topic: str) -> None:
        self._sockets[name].subscribe(topic)

    def bind(self, name: str, address: str) -> None:
        try:
            self._sockets[name].bind(address)
        except zmq.ZMQError as error:
            raise SocketBindError(str(error)) from error

    def connect(self, name: str, address: str) -> None:
        self._sockets[name].connect(address)

    def close(self, name: str) -> None:
        if name in self._sockets:
            self._sockets.pop(name).close()

    def close_all(self) -> None:
        for name in list(self._sockets):
            self.close(name)
        self._context.term()

    def send_multipart(self, name: str, message: Sequence[bytes], timeout: float) -> None:
        self._wait(name, zmq.POLLOUT, timeout)
        self._sockets[name].send_multipart(message)

    def recv_multipart(self, name: str, timeout: float) -> list[bytes]:
        self._wait(name, zmq.POLLIN, timeout)
        return self._sockets[name].recv_multipart()

    def _wait(self, name: str, mask: int, timeout: float) -> None:
        if not self._sockets[name].poll(int(timeout * 1000), mask):
            raise SocketTimeout(name)

    def send(self, name: str, data: object, timeout: float) -> None:
        self.send_multipart(name, [json.dumps(data).encode()], timeout)

    def recv(self, name: str, timeout: float) -> Any:
        message = self.recv_multipart(name, timeout)
        try:
            return json.loads(message[-1])
        except ValueError as error:
            raise DeserializationError(str(error), raw=b"".join(message)) from error

    def publish(self, name: str, topic: str, data: object, timeout: float) -> None:
        self.send_multipart(name, [topic.encode(), json.dumps(data).encode()], timeout)

    def subscribe(
        self,
        name: str,
        topic: str,
        keep_polling: Callable[[], object],
        on_error: Callable[[DeserializationError], object],
        **_: Any,
    ) -> Iterator[tuple[str, Any]]:
        self.set_topic(name, topic)
        while keep_polling():
            try:
                yield "", self.recv(name, 0.02)
            except SocketTimeout:
                pass
            except DeserializationError as error:
                on_error(error)


class Side:
    """Sockets, and the tasks that use them."""

    def __init__(self, sockets: Any, tasks: Threads, *, bare: bool) -> None:
        self.sockets, self.tasks, self.bare = sockets, tasks, bare
        self.pause = tasks.pause
