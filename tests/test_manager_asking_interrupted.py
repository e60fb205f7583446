"""request amid Ctrl-C and cancellations: no reply is lost, and the socket goes on."""

from __future__ import annotations

import asyncio
import itertools
import linecache
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Any
from unittest.mock import Mock

import pytest
import zmq

from agentzero import AsyncSocketManager, SocketManager, asking, endpoints
from agentzero.asking import Correlated, InTurn
from agentzero.channel import Channel
from agentzero.deadline import Deadline
from agentzero.errors import (
    SocketTimeout,
)
from tests.processes import START
from tests.questions import Stop, connect, looped, settled

Make = Callable[..., Any]


@pytest.mark.usefixtures("without_naps")
def test_whoever_is_interrupted_loses_nobody_s_reply() -> None:
    """At any step of receiving and handing over, as Ctrl-C may come."""
    step = 1
    while interrupted_at(step):
        step += 1
    assert step > 15


def interrupted_at(step: int) -> bool:
    """Interrupt one of two who ask while it receives; return whether it ever came to that step."""
    functions = Channel.try_recv_into, Channel._take_frames
    trace = Interrupting(step, *functions, Correlated._receive, Correlated._hand_over)
    with SocketManager(linger=0, backend="threads") as sockets:
        router = sockets.ensure_and_bind("router", zmq.ROUTER, "inproc://router")
        sockets.ensure_and_connect("client", zmq.DEALER, "inproc://router")
        replies: list[Any] = []
        ask = partial(sockets.request, "client", timeout=START)
        other = threading.Thread(target=lambda: replies.append(ask("other")))
        other.start()
        message = router.recv_multipart()
        with sockets._channels["client"].lock:  # so that the other does not receive it itself
            router.send_multipart(message)
            with trace, suppress(KeyboardInterrupt, SocketTimeout):
                sockets.request("client", "mine", timeout=0)
        other.join()
        assert replies == ["other"], f"lost at {trace.where}"
    return bool(trace.where)


class Interrupting:
    """Raise at one of the lines of some functions, in this thread."""

    def __init__(self, step: int, *functions: Any) -> None:
        self._codes = {function.__code__ for function in functions}
        self._left = step
        self.where = ""

    def __enter__(self) -> None:
        self._measuring = sys.gettrace()
        sys.settrace(self)

    def __exit__(self, *_: object) -> None:
        sys.settrace(self._measuring)

    def __call__(self, frame: Any, event: str, _: Any) -> Any:
        if frame.f_code not in self._codes:
            return None
        line = linecache.getline(frame.f_code.co_filename, frame.f_lineno).strip()
        # Signals do not come where a block begins or ends, as this would.
        if event == "line" and not line.startswith(("with ", "try:")):
            self._left -= 1
            if not self._left:
                self.where = line
                raise KeyboardInterrupt
        return self


def test_whoever_is_interrupted_leaves_a_req_usable() -> None:
    """At any step of sending, waiting and revoking a request that timed out."""
    step = 1
    while usable_after(step):
        step += 1
    assert step > 30


def usable_after(step: int) -> bool:
    """Interrupt who asks a REQ, at that step, and ask again; return whether it came so far."""
    functions = InTurn._exchange, InTurn._send, InTurn._settle, InTurn._revoke, InTurn._relax
    again = asking.sent, asking._reconnect, endpoints.reconnect, endpoints._connect
    trace = Interrupting(step, *functions, *again)
    with SocketManager(linger=0, backend="threads") as sockets:
        router = sockets.ensure_and_bind("router", zmq.ROUTER, "inproc://router")
        sockets.ensure_and_connect("client", zmq.REQ, "inproc://router")
        with suppress(SocketTimeout):
            sockets.request("client", "so that it is relaxed", timeout=0)
        with trace, suppress(KeyboardInterrupt, SocketTimeout):
            sockets.request("client", "first", timeout=0)
        second = threading.Thread(target=echo_until_the_second, args=(router,), daemon=True)
        second.start()
        assert sockets.request("client", "second", START) == "second", f"after {trace.where}"
        second.join()
    return bool(trace.where)


def echo_until_the_second(router: Any) -> None:
    message = [b""]
    while message[-1] != b'"second"':
        message = router.recv_multipart()
        with suppress(zmq.ZMQError):  # the first may come from a connection that is gone
            router.send_multipart(message)


@pytest.mark.parametrize("left", [False, True], ids=["before", "after"])
def test_ctrl_c_within_a_send_leaves_a_req_usable(
    sockets: SocketManager, router: Any, spawn: Make, left: bool
) -> None:
    connect(sockets, zmq.REQ, router)
    channel = sockets._channels["client"]
    send = channel._send

    def interrupted(*args: Any) -> None:
        channel._send = send
        if left:
            send(*args)
        raise Stop

    channel._send = interrupted
    with pytest.raises(Stop):
        sockets.request("client", "first")
    asked = spawn(sockets.request, "client", "second")
    echo_until_the_second(router)
    assert asked.result() == "second"


def test_ctrl_c_twice_between_the_frames_of_a_request_leaves_it_whole(
    sockets: SocketManager, router: Any, spawn: Make
) -> None:
    connect(sockets, zmq.DEALER, router)
    channel = sockets._channels["client"]
    send, frames = channel._send, []

    def interrupted(frame: bytes, flags: int) -> None:
        send(frame, flags)
        frames.append(frame)
        if len(frames) < 3:
            raise Stop

    channel._send = interrupted
    with pytest.raises(Stop):
        sockets.request("client", "first")
    asked = spawn(sockets.request, "client", "second")
    assert router.recv_multipart()[1:] == frames[:3]
    router.send_multipart(router.recv_multipart())
    assert asked.result() == "second"


def test_ctrl_c_twice_between_the_frames_of_a_reply_loses_nothing() -> None:
    with SocketManager(linger=0, backend="threads") as sockets:
        receiver, other = two_who_ask(sockets, Bell(), Bell())
        channel = sockets._channels["client"]
        recv, calls = channel._recv, itertools.count(1)

        def interrupted(*args: Any) -> Any:
            if next(calls) in (2, 3):
                raise KeyboardInterrupt
            return recv(*args)

        channel._recv = interrupted
        with pytest.raises(KeyboardInterrupt):
            next(receiver)
        with pytest.raises(StopIteration) as end:
            next(other)
        assert end.value.value == b"1"


def test_a_second_reply_is_late_also_where_nobody_has_looked_at_the_first() -> None:
    with SocketManager(linger=0, backend="threads") as sockets:
        receiver, other = two_who_ask(sockets, Bell(), Bell(), copies=2)
        next(receiver)
        assert sockets.stats("client").late == 1
        with pytest.raises(StopIteration):
            next(other)
        receiver.close()


def two_who_ask(sockets: SocketManager, *bells: Any, copies: int = 1) -> tuple[Any, Any]:
    """Have two ask by hand: one who is to receive, and another whose reply is there."""
    router = sockets.ensure_and_bind("router", zmq.ROUTER, "inproc://router")
    sockets.ensure_and_connect("client", zmq.DEALER, "inproc://router")
    requests = Correlated(sockets._channels["client"])
    receiver, other = (requests.ask(bell, b"1", Deadline(20), 20) for bell in bells)
    next(receiver)
    router.recv_multipart()
    next(other)
    message = router.recv_multipart()
    for _ in range(copies):
        router.send_multipart(message)
    return receiver, other


class Bell:
    """A waiter that remembers whether it was woken."""

    rung = False

    def wake(self) -> None:
        self.rung = True


@pytest.mark.parametrize("interrupted", [False, True])
def test_whoever_receives_wakes_whoever_asked(
    monkeypatch: pytest.MonkeyPatch, interrupted: bool
) -> None:
    with SocketManager(linger=0, backend="threads") as sockets:
        bell = Bell()
        receiver, other = two_who_ask(sockets, Bell(), bell)
        if interrupted:
            with monkeypatch.context() as patch:
                patch.setattr(Correlated, "_hand_over", Mock(side_effect=KeyboardInterrupt))
                with pytest.raises(KeyboardInterrupt):
                    next(receiver)
        else:
            next(receiver)
        assert bell.rung
        with pytest.raises(StopIteration) as end:
            next(other)
        assert end.value.value == b"1"
        assert sockets.stats("client").received == 1
        receiver.close()


@looped
async def test_cancelled_requests_take_nobody_s_reply() -> None:
    async with AsyncSocketManager(linger=0) as sockets, asyncio.TaskGroup() as group:
        sockets.ensure_and_bind("server", zmq.ROUTER, "inproc://questions")
        sockets.ensure_and_connect("client", zmq.DEALER, "inproc://questions")
        group.create_task(sockets.serve("server", settled))
        kept = []
        for number in range(500):
            tasks = [asyncio.create_task(sockets.request("client", number)) for _ in range(3)]
            for _ in range(number % 5):
                await asyncio.sleep(0)
            tasks[number % 2].cancel()
            kept.append(tasks[2])
        assert await asyncio.gather(*kept) == list(range(500))
        sockets.close("server")


@looped
async def test_a_cancelled_request_leaves_a_req_usable() -> None:
    async with AsyncSocketManager(linger=0) as sockets, asyncio.TaskGroup() as group:
        sockets.ensure_and_bind("server", zmq.ROUTER, "inproc://questions")
        sockets.ensure_and_connect("client", zmq.REQ, "inproc://questions")
        group.create_task(sockets.serve("server", settled))
        for number in range(100):
            task = asyncio.create_task(sockets.request("client", -1))
            waits = asyncio.create_task(sockets.request("client", number))
            for _ in range(number % 7):
                await asyncio.sleep(0)
            task.cancel()
            assert await waits == number
        sockets.close("server")
