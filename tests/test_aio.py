"""AsyncSocketManager: the same verbs, awaited, on the loops of asyncio and uvloop."""

from __future__ import annotations

import asyncio
import gc
import inspect
import math
import os
import signal
import threading
from collections.abc import Callable
from contextlib import asynccontextmanager
from functools import partial
from typing import Any
from unittest.mock import Mock

import pytest
import zmq
import zmq.asyncio

from agentzero import AsyncSocketManager, SocketManager, steps
from agentzero.errors import AgentZeroSocketError, PluginError, SocketClosed, SocketTimeout
from tests.processes import START, eventually, is_asleep, running

LOOPS = ["asyncio", "uvloop"]

NAMES = [name for name in dir(SocketManager) if not name.startswith("_")]

ITERATORS = ("subscribe", "connection_events")

# What either manager defines for itself, rather than in the base that they share.
VERBS = [name for name in NAMES if name in vars(SocketManager)]


@pytest.fixture
def without_naps(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing but a wake-up ends a wait in the time of a test."""
    for name in ("FIRST_NAP", "LONGEST_NAP"):
        monkeypatch.setattr(steps, name, 1800.0)


def looped(test: Callable[[], Any]) -> Callable[[str], None]:
    """Make a test of a coroutine function: it runs on each kind of loop, for a bounded time."""

    @pytest.mark.parametrize("loop", LOOPS)
    def run(loop: str) -> None:
        factory = pytest.importorskip(loop).new_event_loop
        with asyncio.Runner(loop_factory=factory) as runner:
            runner.run(asyncio.wait_for(test(), START))

    return run


@asynccontextmanager
async def pipe(kinds: tuple[int, int] = (zmq.PULL, zmq.PUSH), hwm: int = 0) -> Any:
    """A manager with a bound socket named "in" and a connected one named "out"."""
    async with AsyncSocketManager(linger=0) as sockets:
        for name, kind in zip(("in", "out"), kinds, strict=True):
            sockets.create(name, kind)
            sockets.set_socket_option(name, zmq.HWM, hwm)
        sockets.bind("in", "inproc://pipe", zmq.POLLIN)
        sockets.connect("out", "inproc://pipe")
        yield sockets


async def waiting(sockets: AsyncSocketManager, name: str, tasks: int = 1) -> None:
    waiters, engaged = sockets._channels[name]._waiters, sockets._registered._waiting
    while len({*waiters, *engaged}) < tasks:
        await asyncio.sleep(0.001)


async def turns(number: int, step: Callable[[], Any] = lambda: asyncio.sleep(0)) -> None:
    for _ in range(number):
        await step()


async def turns_of_others(step: Callable[[], Any], times: int) -> int:
    """How many turns another task gets while one takes so many steps."""
    task, number = asyncio.create_task(turns(times, step)), 0
    while not task.done():
        number += 1
        await asyncio.sleep(0)
    await task
    return number


def shape(function: Any) -> tuple[list[tuple[str, Any, Any]], str]:
    parameters = inspect.signature(function).parameters.values()
    prose = str(inspect.getdoc(function)).partition(">>>")[0]
    return [(p.name, p.kind, p.default) for p in parameters], prose


def test_both_managers_have_the_same_names() -> None:
    assert [name for name in dir(AsyncSocketManager) if not name.startswith("_")] == NAMES
    assert [name for name in NAMES if name in vars(AsyncSocketManager)] == VERBS


@pytest.mark.parametrize("name", [*NAMES, "__init__"])
def test_both_managers_have_the_same_parameters_and_words(name: str) -> None:
    ours, theirs = getattr(AsyncSocketManager, name), getattr(SocketManager, name)
    assert shape(ours) == shape(theirs)
    assert inspect.iscoroutinefunction(ours) is (name in VERBS and name not in ITERATORS)


@looped
async def test_send_and_receive() -> None:
    async with pipe() as sockets:
        assert isinstance(sockets.get_by_name("in"), zmq.asyncio.Socket)
        await sockets.send("out", {"a": 1})
        assert await sockets.recv("in") == {"a": 1}
        assert await sockets.send_safe("out", [1])
        assert await sockets.recv_safe("in", type=tuple[int, ...]) == (1,)
        await sockets.send_multipart("out", [b"a", b"", b"b"])
        assert await sockets.recv_multipart("in") == [b"a", b"", b"b"]
    async with pipe((zmq.ROUTER, zmq.REQ)) as sockets:
        await sockets.send("out", "question")
        identity, data = await sockets.recv_from("in")
        await sockets.send_to("in", identity, f"{data}, answer")
        assert await sockets.recv("out") == "question, answer"


@looped
async def test_publish_subscribe_and_log() -> None:
    async with pipe((zmq.XPUB, zmq.SUB)) as sockets:
        events = sockets.subscribe("out", "a", timeout=5)
        assert await sockets.recv_multipart("in") == [b"\1a"]
        for number in range(3):
            await sockets.publish("in", f"a{number}", number)
        assert await sockets.publish_safe("in", "b", "for nobody")
        assert [await anext(events), await anext(events)] == [("a0", 0), ("a1", 1)]
        await events.aclose()
        assert await sockets.recv_event("out", timeout=5) == ("a2", 2)
        assert await sockets.recv_event_safe("out", timeout=0) is None
        assert [event async for event in sockets.subscribe("out", "a", timeout=0.01)] == []
        logger = sockets.get_logger("in", "a", logger_name="test_aio")
        logger.error("from a task")
        await asyncio.to_thread(logger.error, "from a thread")
        for text in ("from a task", "from a thread"):
            assert (await sockets.recv_event("out")).data["msg"] == text
        logger.handlers.clear()


@looped
async def test_engage_ready_and_time_outs() -> None:
    async with pipe() as sockets:
        socket = sockets.get_by_name("in")
        assert await sockets.engage(10) == {}
        assert await sockets.ready("in", zmq.POLLIN, 10) is None
        until_ready = partial(sockets.wait_until_ready, "in", zmq.POLLIN)
        assert await until_ready(0.01) is None
        calls = sockets.engage(5000), sockets.ready("in", zmq.POLLIN, 5000), until_ready(5)
        waits = asyncio.gather(*calls)
        await waiting(sockets, "in", 3)
        await sockets.send("out", 1)
        assert await waits == [{socket: zmq.POLLIN}, socket, socket]
        assert await sockets.recv("in") == 1
        sockets.create("nobody", zmq.PUSH)
        with pytest.raises(SocketTimeout, match=r"receive on socket 'in' \(PULL, .*in 0.02 s"):
            await sockets.recv("in", timeout=0.02)
        with pytest.raises(SocketTimeout, match=r"send on socket 'nobody' \(PUSH, .*in 0 s"):
            await sockets.send("nobody", 1, timeout=0)


@looped
async def test_a_cancelled_receive_loses_no_message() -> None:
    async with pipe() as sockets:
        tasks = []
        for number in range(2000):
            tasks.append(asyncio.create_task(sockets.recv("in")))
            await turns(number % 4)
            await sockets.send("out", number)
            await turns(number // 4 % 4)
            tasks[-1].cancel()
            await asyncio.wait(tasks[-1:])
        got = [task.result() for task in tasks if not task.cancelled()]
        assert 0 < len(got) < 2000
        got += [await sockets.recv("in") for _ in range(len(got), 2000)]
        assert sorted(got) == list(range(2000))
        assert await sockets.recv_safe("in", timeout=0) is None


@looped
async def test_a_cancelled_send_is_sent_whole_or_not_at_all() -> None:
    sent, got = [], []
    async with pipe(hwm=1) as sockets:

        async def send(number: int) -> None:
            await sockets.send_multipart("out", [b"%d" % number] * 3)
            sent.append(number)

        for number in range(500):
            task = asyncio.create_task(send(number))
            await turns(number % 3)
            if number % 2 and len(sent) > len(got):
                got.append(await sockets.recv_multipart("in"))
            task.cancel()
            await asyncio.wait([task])
        while len(got) < len(sent):
            got.append(await sockets.recv_multipart("in"))
        assert got == [[b"%d" % number] * 3 for number in sent]
        assert 0 < len(sent) < 500
        assert await sockets.recv_safe("in", timeout=0) is None


@looped
async def test_tasks_of_one_loop_and_no_other_share_a_socket() -> None:
    async with pipe() as sockets, asyncio.TaskGroup() as group:
        tasks = [group.create_task(sockets.recv("in")) for _ in range(200)]
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await sockets.recv("in")
        await waiting(sockets, "in", 200)
        for number in range(200):
            await sockets.send("out", number)
        assert sorted(await asyncio.gather(*tasks)) == list(range(200))
        assert not sockets._channels["in"]._waiters
        with pytest.raises(AgentZeroSocketError, match="another event loop"):
            await asyncio.to_thread(lambda: asyncio.run(sockets.recv("in", 1)))


@looped
async def test_closing_wakes_whoever_waits() -> None:
    async with pipe() as sockets:
        sockets.create("full", zmq.PUSH)
        sockets.create("events", zmq.SUB)
        calls = sockets.recv("in"), sockets.engage(), sockets.send("full", 1)
        waits = asyncio.gather(*calls, return_exceptions=True)
        events = asyncio.create_task(anext(sockets.subscribe("events"), "over"))
        await waiting(sockets, "in", 2)
        await waiting(sockets, "full")
        await waiting(sockets, "events")
        sockets.close("in")
        sockets.close("events")
        await asyncio.to_thread(sockets.close, "full")
        assert [type(error) for error in await waits] == [SocketClosed] * 3
        assert await events == "over"
        await sockets.close_all()
        await sockets.close_all()


@looped
async def test_who_never_has_to_wait_lets_others_have_turns() -> None:
    async with pipe() as sockets:
        assert await turns_of_others(partial(sockets.send, "out", 1), 5000) >= 19
        assert await turns_of_others(partial(sockets.recv, "in"), 5000) >= 19
        assert await turns_of_others(partial(sockets.recv_safe, "in", 0), 100) >= 100
        assert await turns_of_others(partial(sockets.engage, 0), 100) >= 100
        large = partial(sockets.send, "out", "x" * 100_000)
        assert await turns_of_others(large, 60) >= 20
        ready = partial(sockets.ready, "in", zmq.POLLIN)
        assert await turns_of_others(ready, 5000) >= 19
        assert await turns_of_others(sockets.engage, 5000) >= 19


def test_what_suits_the_other_manager_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    green = pytest.importorskip("zmq.green")
    for options in ({"backend": "threads"}, {"zmq": green}):
        with pytest.raises(PluginError, match="for SocketManager"):
            AsyncSocketManager(**options)
    for options in ({"backend": "asyncio"}, {"zmq": zmq.asyncio}):
        with pytest.raises(PluginError, match="for AsyncSocketManager"):
            SocketManager(**options)
    monkeypatch.setenv("AGENTZERO_ASYNC_BACKEND", "threads")
    with pytest.raises(PluginError, match="'threads' is for SocketManager"):
        AsyncSocketManager()


@looped
async def test_the_socket_s_own_recv_works_beside_the_verbs() -> None:
    async with pipe() as sockets:
        for _ in range(20):
            for receive, received in (
                (sockets.get_by_name("in").recv, b"1"),
                (partial(sockets.recv, "in"), 1),
            ):
                task = asyncio.ensure_future(receive())
                await turns(3)
                await sockets.send("out", 1)
                assert await task == received


@pytest.mark.skipif(not os.path.isdir("/proc/self/fd"), reason="this system has no /proc")
@looped
async def test_no_file_descriptor_is_left_open() -> None:
    async with pipe() as sockets:
        for number in range(1200):
            if number == 10:
                before = len(os.listdir("/proc/self/fd"))
            name = "in" if number < 1000 else "short"
            sockets.get_or_create(name, zmq.PULL)
            await sockets.recv_safe(name, timeout=0.0001)
            sockets.close("short")
        await turns(3)
        # libzmq lets go of what is closed in a thread of its own.
        eventually(lambda: len(os.listdir("/proc/self/fd")) <= before + 2)


def open_files() -> int:
    gc.collect()
    return len(os.listdir("/proc/self/fd"))


@pytest.mark.skipif(not os.path.isdir("/proc/self/fd"), reason="this system has no /proc")
@pytest.mark.parametrize("loop", LOOPS)
@pytest.mark.parametrize("closed", [True, False])
def test_a_manager_that_outlives_its_loop_leaves_no_file_open(loop: str, closed: bool) -> None:
    """Nobody is left to do what the loop was asked to do."""
    new_loop = pytest.importorskip(loop).new_event_loop

    async def engage(sockets: AsyncSocketManager) -> None:
        sockets.get_or_create("in", zmq.PULL, zmq.POLLIN)
        assert await sockets.engage(1) == {}
        assert await sockets.recv_safe("in", timeout=0.001) is None

    for number in range(12):
        if number == 2:
            before = open_files()
        event_loop, sockets = new_loop(), AsyncSocketManager(linger=0)
        event_loop.run_until_complete(engage(sockets))
        if closed:
            closing = threading.Thread(target=sockets.close, args=("in",))
            closing.start()
            closing.join()
        event_loop.close()
        del sockets
    eventually(lambda: open_files() <= before + 2)  # contexts end in threads of their own


@pytest.mark.usefixtures("without_naps")
@looped
async def test_a_signal_handler_that_closes_a_socket_wakes_its_waiters() -> None:
    async with pipe() as sockets:
        before = signal.signal(signal.SIGALRM, lambda *_: sockets.close("in"))
        try:
            task = asyncio.create_task(sockets.recv("in", timeout=math.inf))
            await waiting(sockets, "in")
            signal.setitimer(signal.ITIMER_REAL, 0.05)
            with pytest.raises(SocketClosed):
                await task
        finally:
            signal.signal(signal.SIGALRM, before)


@pytest.mark.usefixtures("without_naps")
def test_a_manager_goes_on_in_a_new_loop_when_its_own_is_over() -> None:
    sockets = AsyncSocketManager(linger=0)
    sockets.ensure_and_bind("in", zmq.PULL, "inproc://loops")
    sockets.ensure_and_connect("out", zmq.PUSH, "inproc://loops")
    for number in range(3):

        async def talk() -> int:
            task = asyncio.create_task(sockets.recv("in"))
            await waiting(sockets, "in")
            await sockets.send("out", number)  # noqa: B023
            return int(await task)

        assert asyncio.run(talk()) == number
    asyncio.run(sockets.close_all())


@pytest.mark.parametrize("loop", LOOPS)
def test_ctrl_c_ends_the_process(loop: str) -> None:
    pytest.importorskip(loop)
    program = f"""if True:
        import asyncio, zmq, {loop}
        from agentzero import AsyncSocketManager
        async def main():
            async with AsyncSocketManager() as sockets:
                sockets.create("in", zmq.PULL)
                asyncio.get_running_loop().call_later(0.1, print, "waiting")
                await sockets.recv("in", timeout=60)
        asyncio.Runner(loop_factory={loop}.new_event_loop).run(main())
    """
    with running("-c", program, measured=False) as process:
        assert process.line() == "waiting"
        eventually(lambda: is_asleep(process.pid))
        process.interrupt()
        ended = process.end(within=START)
    assert ended.err.splitlines()[-1] == "KeyboardInterrupt"


def test_a_loop_that_cannot_watch_sockets_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    refuse = Mock(side_effect=NotImplementedError)
    monkeypatch.setattr(asyncio.SelectorEventLoop, "add_reader", refuse)
    sockets = AsyncSocketManager(linger=0)
    sockets.create("in", zmq.PULL)
    with pytest.raises(AgentZeroSocketError, match="this event loop cannot watch sockets"):
        asyncio.run(sockets.recv("in", timeout=1))


def test_who_is_cancelled_waits_for_lent_memory_no_more() -> None:
    async def main() -> None:
        async with AsyncSocketManager(linger=0) as sockets:
            sockets.ensure_and_bind("in", zmq.PULL, "inproc://large")
            sockets.ensure_and_connect("out", zmq.PUSH, "inproc://large")
            tracker = await sockets.send_multipart("out", [bytearray(100_000)], copy=False)
            waits = asyncio.create_task(tracker.wait())
            await asyncio.sleep(0)
            assert tracker._loan._waiters
            waits.cancel()
            with pytest.raises(asyncio.CancelledError):
                await waits
            assert not tracker._loan._waiters
            await sockets.recv_multipart("in")
            await tracker.wait()

    asyncio.run(main())
