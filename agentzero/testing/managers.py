"""What the managers promise on any backend: each message once, and no wait that does not end."""

# ruff: noqa: D102 - the names of tests tell what they test

from __future__ import annotations

import time
from functools import partial
from typing import Any

import anyio
import pytest
import zmq

from agentzero.errors import ManagerClosed, SocketClosed, SocketTimeout
from agentzero.testing.lab import PATIENCE, Conformance, Lab, case
from agentzero.testing.waiters import open_files, room_for

__all__ = ["ManagerConformance"]

MESSAGES = 1000


def linked(lab: Lab, name: str = "pipe", sockets: Any = None, hwm: int = 0) -> Any:
    """A manager with a PULL named "in" and a PUSH named "out" that is connected to it."""
    sockets = sockets or lab.manager()
    for prefix, kind in (("in", zmq.PULL), ("out", zmq.PUSH)):
        sockets.create(prefix, kind)
        sockets.set_socket_option(prefix, zmq.HWM, hwm)
    sockets.bind("in", f"inproc://{name}", zmq.POLLIN)
    sockets.connect("out", f"inproc://{name}")
    return sockets


async def send(sockets: Any, numbers: range) -> None:
    """Send each number."""
    for number in numbers:
        await sockets.send("out", number)


async def receive(sockets: Any, number: int) -> list[Any]:
    """Receive so many messages."""
    return [await sockets.recv("in") for _ in range(number)]


def close_awaited(sockets: Any) -> None:
    """Close the socket as soon as a task waits for it."""
    end = time.monotonic() + PATIENCE
    while not sockets._channels["in"]._waiters and time.monotonic() < end:
        pass
    time.sleep(0.001)
    sockets.close("in")


class ManagerConformance(Conformance):
    """The part of `BackendConformance` that is about managers which wait with the backend."""

    @case
    async def test_one_task_sends_and_another_receives_in_order(self, lab: Lab) -> None:
        sockets = linked(lab)
        works = receive(sockets, MESSAGES), send(sockets, range(MESSAGES))
        received, _ = await lab.together(*works)
        assert received == list(range(MESSAGES))

    @case
    async def test_a_sender_waits_for_room(self, lab: Lab) -> None:
        sockets = linked(lab, hwm=1)
        works = send(sockets, range(MESSAGES)), receive(sockets, MESSAGES)
        _, received = await lab.together(*works)
        assert received == list(range(MESSAGES))

    @case
    async def test_questions_and_answers_go_to_and_fro(self, lab: Lab) -> None:
        sockets = lab.manager()
        sockets.ensure_and_bind("server", zmq.REP, "inproc://questions")
        sockets.ensure_and_connect("client", zmq.REQ, "inproc://questions")

        async def serve() -> None:
            for _ in range(200):
                await sockets.send("server", await sockets.recv("server") + 1)

        async def ask() -> None:
            for number in range(200):
                await sockets.send("client", number)
                assert await sockets.recv("client") == number + 1

        await lab.together(serve(), ask())

    @case
    async def test_tasks_share_a_socket_and_each_is_served(self, lab: Lab) -> None:
        sockets = linked(lab)

        async def feed() -> None:
            await lab.waiting(sockets, "in", 20)
            await send(sockets, range(20 * 10))

        received = await lab.together(*(receive(sockets, 10) for _ in range(20)), feed())
        numbers = [number for some in received[:-1] for number in some]
        assert sorted(numbers) == list(range(20 * 10))

    @case
    async def test_closing_a_socket_ends_the_waits_for_it(self, lab: Lab) -> None:
        for _ in range(10):
            sockets = lab.manager()
            sockets.create("in", zmq.PULL)

            async def close(sockets: Any = sockets) -> None:
                await lab.waiting(sockets, "in", 3)
                sockets.close("in")

            waits = [self.until_closed(sockets) for _ in range(3)]
            await lab.together(*waits, close())

    @case
    async def test_another_thread_may_close_what_tasks_wait_for(self, lab: Lab) -> None:
        for _ in range(10):
            sockets = lab.manager()
            sockets.create("in", zmq.PULL)
            closed = lab.thread(partial(close_awaited, sockets))
            await self.until_closed(sockets)
            await lab.ended(closed)

    @staticmethod
    async def until_closed(sockets: Any) -> None:
        """Receive in vain."""
        with pytest.raises(SocketClosed):
            await sockets.recv("in")

    @case
    async def test_closing_a_manager_ends_everything(self, lab: Lab) -> None:
        sockets = linked(lab)

        async def close() -> None:
            await lab.waiting(sockets, "in")
            await sockets.close_all()

        await lab.together(self.until_closed(sockets), close())
        with pytest.raises(ManagerClosed):
            await sockets.recv("in")
        await sockets.close_all()

    @case
    async def test_a_time_out_says_so(self, lab: Lab) -> None:
        sockets = lab.manager()
        sockets.create("in", zmq.PULL)
        sockets.create("out", zmq.PUSH)
        for timeout in (0, 0.02):
            with pytest.raises(SocketTimeout):
                await sockets.recv("in", timeout=timeout)
            with pytest.raises(SocketTimeout):
                await sockets.send("out", 1, timeout=timeout)

    @case
    async def test_a_cancelled_receive_loses_no_message(self, lab: Lab) -> None:
        if not lab.backend.is_async:
            pytest.skip("nothing cancels a sync receive")
        sockets, received = linked(lab), []

        async def give_up(scope: anyio.CancelScope) -> None:
            with scope:
                received.append(await sockets.recv("in"))

        async def send_and_cancel(scope: anyio.CancelScope, number: int) -> None:
            for _ in range(number % 4):
                await lab.pause(0)
            await sockets.send("out", number)
            for _ in range(number // 4 % 4):
                await lab.pause(0)
            scope.cancel()

        for number in range(MESSAGES):
            scope = anyio.CancelScope()
            await lab.together(give_up(scope), send_and_cancel(scope, number))
        assert received
        received += await receive(sockets, MESSAGES - len(received))
        assert sorted(received) == list(range(MESSAGES))
        assert await sockets.recv_safe("in", timeout=0) is None

    @case
    async def test_one_task_waits_for_many_sockets(self, lab: Lab) -> None:
        sockets, names = lab.manager(), [str(number) for number in range(room_for(50))]
        for name in names:
            sockets.ensure_and_bind(name, zmq.PULL, f"inproc://{name}", zmq.POLLIN)
            sockets.ensure_and_connect(f"to {name}", zmq.PUSH, f"inproc://{name}")
        assert await sockets.engage(1) == {}

        async def find(name: str) -> None:
            ready: dict[Any, int] = {}
            while not ready:
                ready = await sockets.engage(10_000)
            assert ready == {sockets.get_by_name(name): zmq.POLLIN}
            assert await sockets.recv(name) == name

        async def feed(name: str) -> None:
            await lab.pause()
            await sockets.send(f"to {name}", name)

        for name in names:
            await lab.together(find(name), feed(name))

    @case
    async def test_a_socket_that_is_never_empty_keeps_nobody_from_running(self, lab: Lab) -> None:
        if not lab.cooperates:
            pytest.skip("its tasks run whether or not others wait")
        sockets, due = linked(lab), 20 * lab.backend.turn_every
        assert await lab.turns_of_others(lambda: send(sockets, range(due))) >= 10
        assert await lab.turns_of_others(lambda: receive(sockets, due)) >= 10

    @case
    async def test_managers_leave_no_file_descriptor_open(self, lab: Lab) -> None:
        before = 0
        for number in range(30):
            if number == 3:
                before = open_files()
            sockets = linked(lab, f"pipe {number}")
            await lab.together(receive(sockets, 10), send(sockets, range(10)))
            await sockets.close_all()
        await lab.until(lambda: open_files() <= before + 2)
