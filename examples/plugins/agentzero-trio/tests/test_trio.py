"""The backend of trio: what every backend promises, and what only this one has."""

from __future__ import annotations

import threading
from functools import partial
from typing import Any

import pytest
import trio
import zmq
from agentzero_trio.backend import TrioBackend

from agentzero import AsyncSocketManager, backends
from agentzero.errors import AgentZeroSocketError
from agentzero.testing import PATIENCE, BackendConformance


class TestTrio(BackendConformance):
    loop = "trio"

    @pytest.fixture
    def backend(self) -> TrioBackend:
        return TrioBackend()


def run(main: Any, *args: Any) -> Any:
    async def bounded() -> Any:
        with trio.fail_after(PATIENCE):
            return await main(*args)

    return trio.run(bounded)


def manager() -> AsyncSocketManager:
    sockets = AsyncSocketManager(backend="trio", linger=0)
    sockets.ensure_and_bind("in", zmq.PULL, "inproc://pipe")
    sockets.ensure_and_connect("out", zmq.PUSH, "inproc://pipe")
    return sockets


def test_it_is_found_by_its_name() -> None:
    assert isinstance(backends.resolve_async("trio"), TrioBackend)
    assert backends.available()["trio"].distribution == "agentzero-trio"


def test_a_cancel_scope_ends_a_receive() -> None:
    async def main() -> Any:
        async with manager() as sockets:
            with trio.move_on_after(0.01) as scope:
                await sockets.recv("in")
            await sockets.send("out", 1)
            return scope.cancelled_caught, await sockets.recv("in")

    assert run(main) == (True, 1)


def test_another_run_at_the_same_time_is_refused() -> None:
    async def main() -> None:
        async with manager() as sockets:
            assert await sockets.recv_safe("in", timeout=0.001) is None
            with pytest.raises(AgentZeroSocketError, match=r"belongs to another trio\.run"):
                await trio.to_thread.run_sync(trio.run, partial(sockets.recv, "in"))

    run(main)


def test_the_run_after_the_first_one_takes_over() -> None:
    sockets = manager()
    for number in range(3):

        async def main(number: int = number) -> Any:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(sockets.send, "out", number)
                return await sockets.recv("in")

        assert run(main) == number
    run(sockets.close_all)


def test_outside_of_trio_it_says_where_it_waits() -> None:
    with pytest.raises(AgentZeroSocketError, match=r"waits in tasks of trio\.run"):
        TrioBackend().waiter()


def test_a_wake_after_the_run_is_no_harm() -> None:
    async def main() -> Any:
        return TrioBackend().waiter()

    run(main).wake()


def test_closing_from_another_thread_after_the_run_is_no_harm() -> None:
    sockets = manager()
    run(partial(sockets.recv_safe, "in", timeout=0.001))
    thread = threading.Thread(target=sockets.close, args=("in",))
    thread.start()
    thread.join(PATIENCE)
    assert sockets.names() == ["out"]
    run(sockets.close_all)


def test_tasks_may_wait_for_the_same_fd_beside_the_manager() -> None:
    async def main() -> Any:
        async with manager() as sockets, trio.open_nursery() as nursery:
            fd = sockets.get_by_name("in").get(zmq.FD)
            nursery.start_soon(trio.lowlevel.wait_readable, fd)
            nursery.start_soon(sockets.send, "out", 1)
            received = await sockets.recv("in")
            nursery.cancel_scope.cancel()
            return received

    assert run(main) == 1


def test_managers_of_one_run_share_what_watches() -> None:
    async def main() -> set[Any]:
        waiters = [TrioBackend().waiter() for _ in range(3)]
        return {waiter._watcher for waiter in waiters}

    assert len(run(main)) == 1
