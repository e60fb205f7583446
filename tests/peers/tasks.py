"""Tasks, whatever a backend's are: threads, greenlets, or the tasks of an event loop.

What they do is written once, in coroutine functions. A thread or a greenlet brings one of them to
its end in a single step, for what it awaits returns late, and is there by then.
"""

from __future__ import annotations

import inspect
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial
from typing import Any

from agentzero import AsyncSocketManager, SocketManager

Work = Callable[[], Awaitable[None]]

LOOPS: dict[str, tuple[str, dict[str, Any]]] = {
    "asyncio": ("asyncio", {}),
    "uvloop": ("asyncio", {"use_uvloop": True}),
    "trio": ("trio", {}),
}


async def got(result: Any) -> Any:
    """What a verb returns, on either manager."""
    return await result if inspect.isawaitable(result) else result


async def each(events: Any) -> AsyncIterator[Any]:
    """What a subscription gives, on either manager."""
    if hasattr(events, "__anext__"):
        async for event in events:
            yield event
    else:
        for event in events:
            yield event


async def ended(work: Work) -> BaseException | None:
    """Return the error that ends some work, if one does."""
    try:
        await work()
    except Exception as error:
        return error
    return None


class Threads:
    """Tasks are threads."""

    name = "threads"

    def run(self, main: Work) -> None:
        """Run a program to its end."""
        stepped(main)

    def manager(self, **options: Any) -> Any:
        return SocketManager(backend=self.name, **options)

    async def together(self, *works: Work) -> list[BaseException | None]:
        """Do all of these at once; return the errors that ended them."""
        errors: list[BaseException | None] = [None] * len(works)

        def work(number: int) -> None:
            errors[number] = stepped(partial(ended, works[number]))

        joins = [self._start(partial(work, number)) for number in range(len(works))]
        for join in joins:
            join()
        return errors

    def _start(self, function: Callable[[], None]) -> Callable[[], object]:
        thread = threading.Thread(target=function)
        thread.start()
        return thread.join

    async def give_way(self) -> None:
        """Let other tasks run, which threads do unasked."""


class Greenlets(Threads):
    """Tasks are greenlets."""

    name = "gevent"

    def _start(self, function: Callable[[], None]) -> Callable[[], object]:
        import gevent

        join: Callable[[], object] = gevent.spawn(function).join
        return join

    async def give_way(self) -> None:
        import gevent

        gevent.sleep(0)


class Loop:
    """Tasks are those of an event loop."""

    def __init__(self, name: str) -> None:
        self._backend, self._options = LOOPS[name]

    def run(self, main: Work) -> None:
        import anyio

        anyio.run(main, backend=self._backend, backend_options=self._options)

    def manager(self, **options: Any) -> Any:
        return AsyncSocketManager(backend=self._backend, **options)

    async def together(self, *works: Work) -> list[BaseException | None]:
        import anyio

        errors: list[BaseException | None] = [None] * len(works)

        async def work(number: int) -> None:
            errors[number] = await ended(works[number])

        async with anyio.create_task_group() as group:
            for number in range(len(works)):
                group.start_soon(work, number)
        return errors

    async def give_way(self) -> None:
        import anyio

        await anyio.sleep(0)


Tasks = Threads | Loop


def tasks_of(backend: str) -> Tasks:
    """Return the tasks that suit the backend of that name."""
    if backend in LOOPS:
        return Loop(backend)
    return Greenlets() if backend == "gevent" else Threads()


def stepped(work: Callable[[], Any]) -> Any:
    """Run a coroutine function that is never suspended; return what it returns."""
    try:
        work().send(None)
    except StopIteration as end:
        return end.value
    raise AssertionError("it was suspended")
