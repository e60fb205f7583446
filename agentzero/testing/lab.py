"""What the tests of backends stand on: tasks, pipes and managers, the same for sync and async.

Each test is written once, as a coroutine function. On an async backend it runs in its event loop.
On a sync one it runs in a task of that backend, where it is stepped once and never suspends:
whatever it awaits there simply returns late.
"""

from __future__ import annotations

import inspect
import math
import os
import threading
import time
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from concurrent.futures import Future
from functools import partial, wraps
from typing import Any, ClassVar, TypeAlias, TypeVar

import anyio
import pytest

from agentzero import AsyncSocketManager, SocketManager, pollset, steps
from agentzero.backends import AsyncBackend, AsyncWaiter, Backend

__all__ = ["PATIENCE", "AsyncLab", "Conformance", "Lab", "Pipe", "case"]

T = TypeVar("T")

PATIENCE = 20.0
"""How long anything may take that is sure to come, in seconds: far more than any machine needs."""

Work: TypeAlias = Coroutine[Any, Any, Any]


class Conformance:
    """How the tests of one backend run; the attributes are told in `BackendConformance`."""

    loop: ClassVar[str] = "asyncio"
    loop_options: ClassVar[Mapping[str, Any]] = {}

    @staticmethod
    def spawn(function: Callable[[], None]) -> object:
        """Start `function` as a task of the backend."""
        thread = threading.Thread(target=function, daemon=True)
        thread.start()
        return thread

    @staticmethod
    def pause(seconds: float) -> object:
        """Let other tasks run for so long."""
        time.sleep(seconds)
        return None

    @pytest.fixture
    def lab(self, backend: Any) -> Lab:
        """What a test works with."""
        return self._lab(backend)

    def _lab(self, backend: Any) -> Lab:
        if backend.is_async:
            return AsyncLab(backend, self.loop, self.loop_options)
        return SyncLab(backend, self.spawn, self.pause)


def case(test: Callable[[Any, Any], Awaitable[None]]) -> Callable[[Any, Any], None]:
    """Make a test of a coroutine function."""

    @wraps(test)
    def run(self: Conformance, lab: Lab) -> None:
        with pytest.MonkeyPatch.context() as patch:
            # Managers ask again now and then; here nobody is saved by that from a lost wake-up.
            patch.setattr(steps, "FIRST_NAP", math.inf)
            patch.setattr(steps, "LONGEST_NAP", math.inf)
            patch.setattr(pollset, "LOOK_AT_ALL", math.inf)
            lab.run(partial(test, self, lab))

    del run.__wrapped__  # or pytest would ask for its arguments
    return run


class Pipe:
    """A pipe whose reading end is waited for."""

    def __init__(self) -> None:
        self.fd: int
        self.fd, self._writing = os.pipe()
        os.set_blocking(self.fd, False)

    def write(self) -> None:
        """Make it readable."""
        os.write(self._writing, b"1")

    def read(self) -> bool:
        """Take what `write` gave once; return whether there was anything."""
        try:
            return bool(os.read(self.fd, 1))
        except BlockingIOError:
            return False

    def replace(self, other: Pipe) -> None:
        """Close it, and have its number name the other one's file."""
        os.dup2(other.fd, self.fd)

    def close(self) -> None:
        """Close both ends."""
        os.close(self.fd)
        os.close(self._writing)


class Lab:
    """One test's tasks, waiters, pipes and managers; all of them end with the test."""

    backend: Any

    def __init__(self) -> None:
        self._waiters: list[Any] = []
        self._pipes: list[Pipe] = []
        self._managers: list[Any] = []

    @property
    def cooperates(self) -> bool:
        """Whether a task keeps all others from running until it gives them a turn."""
        return bool(self.backend.turn_every)

    def run(self, test: Callable[[], Awaitable[None]]) -> None:
        """Run a whole test, and clean up behind it."""
        raise NotImplementedError

    async def together(self, *works: Work) -> list[Any]:
        """Run coroutines in tasks of their own; return what they return, in order."""
        raise NotImplementedError

    async def pause(self, seconds: float = 0.001) -> None:
        """Let other tasks run for so long."""
        raise NotImplementedError

    async def until(self, condition: Callable[[], object]) -> None:
        """Let other tasks run until a condition holds."""
        end = time.monotonic() + PATIENCE
        while not condition():
            assert time.monotonic() < end, "it never came true"
            await self.pause()

    async def waiting(self, sockets: Any, name: str, tasks: int = 1) -> None:
        """Return when so many tasks wait on a socket."""
        channel = sockets._channels[name]
        await self.until(lambda: len(channel._waiters) >= tasks)

    async def turns_of_others(self, work: Callable[[], Awaitable[object]]) -> int:
        """Return how many turns another task gets while one does some work."""
        over, turns = False, 0

        async def busy() -> None:
            nonlocal over
            await work()
            over = True

        async def idle() -> None:
            nonlocal turns
            while not over:
                turns += 1
                await self.pause(0)

        await self.together(busy(), idle())
        return turns

    def thread(self, function: Callable[[], object], later: float = 0.0) -> Future[Any]:
        """Call a function in a native thread, some time later; return its result to be."""

        def run() -> object:
            time.sleep(later)
            return function()

        return _started(self.backend.detach, run)

    async def natively(self, *functions: Callable[[], object]) -> None:
        """Call functions in native threads, all at once, and wait for their ends."""
        await self.ended(*map(self.thread, functions))

    async def ended(self, *futures: Future[Any]) -> None:
        """Let other tasks run until all of these are there; raise what they raised."""
        await self.until(lambda: all(future.done() for future in futures))
        for future in futures:
            future.result(0)

    def waiter(self) -> AsyncWaiter:
        """A new waiter of the backend; that of a sync backend can be awaited as well."""
        waiter = self.backend.waiter()
        self._waiters.append(waiter)
        return self.awaited(waiter)

    def awaited(self, waiter: Any) -> AsyncWaiter:
        """A waiter that can be awaited, and is not closed in the end."""
        awaited: AsyncWaiter = self._awaited(waiter, AsyncWaiter)
        return awaited

    def manager(self, **options: Any) -> Any:
        """A new manager; that of a sync backend can be awaited as well."""
        kind = AsyncSocketManager if self.backend.is_async else SocketManager
        manager = self._awaited(
            kind(**{"backend": self.backend, "linger": 0, **options}), AsyncSocketManager
        )
        self._managers.append(manager)
        return manager

    def pipe(self) -> Pipe:
        """A new pipe with nothing in it."""
        self._pipes.append(Pipe())
        return self._pipes[-1]

    def pipes(self, number: int) -> list[Pipe]:
        """So many of them."""
        return [self.pipe() for _ in range(number)]

    async def close(self) -> None:
        """Close all that the test has made."""
        for manager in self._managers:
            await manager.close_all()
        for waiter in self._waiters:
            waiter.close()
        for pipe in self._pipes:
            self.backend.forget(pipe.fd)
            pipe.close()

    def _awaited(self, real: Any, like: type) -> Any:
        return real


class SyncLab(Lab):
    """The tasks of a sync backend."""

    def __init__(
        self,
        backend: Backend,
        spawn: Callable[[Callable[[], None]], object],
        pause: Callable[[float], object],
    ) -> None:
        super().__init__()
        self.backend = backend
        self._spawn = spawn
        self._pause = pause

    def run(self, test: Callable[[], Awaitable[None]]) -> None:
        async def main() -> None:
            try:
                await test()
            finally:
                await self.close()

        # In a task of its own, so that one that hangs fails.
        _called_through(self.together(main()))

    async def together(self, *works: Work) -> list[Any]:
        futures = [_started(self._spawn, partial(_called_through, work)) for work in works]
        end = time.monotonic() + PATIENCE
        while not all(future.done() for future in futures):
            for future in futures:
                if future.done():
                    future.result(0)
            assert time.monotonic() < end, "some tasks never end"
            self._pause(0.001)
        return [future.result(0) for future in futures]

    async def pause(self, seconds: float = 0.001) -> None:
        self._pause(seconds)

    def _awaited(self, real: Any, like: type) -> Any:
        return Awaited(real, like)


class AsyncLab(Lab):
    """The tasks of an event loop."""

    def __init__(self, backend: AsyncBackend, loop: str, options: Mapping[str, Any]) -> None:
        super().__init__()
        self.backend = backend
        self._loop = loop
        self._options = dict(options)

    def run(self, test: Callable[[], Awaitable[None]]) -> None:
        """As `Lab.run`."""

        async def main() -> None:
            try:
                with anyio.fail_after(PATIENCE):
                    await test()
            finally:
                await self.close()

        anyio.run(main, backend=self._loop, backend_options=self._options)

    async def together(self, *works: Work) -> list[Any]:
        """As `Lab.together`."""
        results: dict[int, Any] = {}

        async def keep(number: int, work: Work) -> None:
            results[number] = await work

        async with anyio.create_task_group() as group:
            for number, work in enumerate(works):
                group.start_soon(keep, number, work)
        return [results[number] for number in range(len(works))]

    async def pause(self, seconds: float = 0.001) -> None:
        """As `Lab.pause`."""
        await anyio.sleep(seconds)


class Awaited:
    """A sync object that is used as its async counterpart is.

    Args:
        real: the object.
        like: the class whose coroutine functions tell what is awaited.
    """

    def __init__(self, real: Any, like: type) -> None:
        self._real = real
        self._like = like

    def __getattr__(self, name: str) -> Any:
        attribute = getattr(self._real, name)
        if not inspect.iscoroutinefunction(getattr(self._like, name, None)):
            return attribute

        async def call(*args: Any, **options: Any) -> Any:
            return attribute(*args, **options)

        return call


def _called_through(work: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine that never suspends."""
    try:
        work.send(None)
    except StopIteration as end:
        result: T = end.value
        return result
    raise AssertionError("what a sync backend waits with does not suspend")


def _started(
    start: Callable[[Callable[[], None]], object], function: Callable[[], Any]
) -> Future[Any]:
    """Have `start` call a function concurrently; return its result to be."""
    future: Future[Any] = Future()

    def run() -> None:
        try:
            result = function()
        except BaseException as error:
            future.set_exception(error)
        else:
            future.set_result(result)

    start(run)
    return future
