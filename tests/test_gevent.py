"""What gevent's users expect: with green sockets and plain ones, patched and unpatched.

What is expected is in `tests/peers/greenlets.py`, as functions that both kinds of process run.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterator

import pytest

from agentzero import SocketManager, steps
from tests.processes import START, run

pytest.importorskip("gevent")
greenlets = importlib.import_module("tests.peers.greenlets")

PATCHED = ["-m", "gevent.monkey", "--module"]
UNPATCHED = ["-m"]

# Those that differ in the verb alone share a process.
PREFIXES = dict.fromkeys(
    case.partition(": ")[0] for case in (*greenlets.CASES, *greenlets.HANDED_OUT)
)


@pytest.fixture(params=["zmq.green", "zmq"])
def flavoured(request: pytest.FixtureRequest) -> Iterator[SocketManager]:
    """A manager that waits in greenlets, and hands out sockets of one flavour."""
    flavour = importlib.import_module(request.param)
    with SocketManager(zmq=flavour, backend="gevent", **greenlets.PATIENT) as sockets:
        yield sockets


@pytest.fixture
def endless(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody is saved by asking again."""
    for name in ("FIRST_NAP", "LONGEST_NAP"):
        monkeypatch.setattr(steps, name, greenlets.ENDLESS)


def ends_well(start: list[str], prefix: str) -> None:
    within = START + greenlets.PATIENCE
    ended = run(*start, "tests.peers.greenlets", prefix, within=within, measured=False)
    assert (ended.code, ended.out, ended.err) == (0, "", "")


@pytest.mark.usefixtures("endless")
@pytest.mark.parametrize("case", greenlets.CASES)
def test_unpatched(case: str, flavoured: SocketManager) -> None:
    greenlets.run(case, flavoured)


@pytest.mark.parametrize("flavoured", ["zmq.green"], indirect=True)
@pytest.mark.parametrize("case", greenlets.HANDED_OUT)
def test_the_green_socket_that_is_handed_out(case: str, flavoured: SocketManager) -> None:
    greenlets.run(case, flavoured)


@pytest.mark.parametrize("prefix", PREFIXES)
def test_monkey_patched(prefix: str) -> None:
    ends_well(PATCHED, prefix)


@pytest.mark.parametrize("start", [PATCHED, UNPATCHED], ids=["patched", "unpatched"])
@pytest.mark.parametrize("case", greenlets.ALONE)
def test_in_a_process_of_its_own(case: str, start: list[str]) -> None:
    ends_well(start, case)


# What begins, ends and wakes waits.
WITH_LIBUV = [
    "others go on beside",
    "a native thread closes",
    "a Timeout ends",
    "hubs share a manager",
    "several engage",
    "kills at any time lose nothing",
]


@pytest.mark.parametrize("prefix", WITH_LIBUV)
def test_with_libuv(prefix: str, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("gevent.libuv.loop")
    monkeypatch.setenv("GEVENT_LOOP", "libuv")
    ends_well(UNPATCHED, prefix)


def test_a_patched_process_has_native_locks_all_the_same() -> None:
    """One of gevent's own switches to other greenlets where threads contend for it."""
    program = (
        "from gevent import monkey; monkey.patch_all();"
        "from agentzero import backends; print(type(backends.resolve().lock()).__module__)"
    )
    ended = run("-c", program, within=START, measured=False)
    assert (ended.code, ended.out, ended.err) == (0, "_thread\n", "")


TASKS_WHERE_PATCHED = """
from gevent import monkey
monkey.patch_all()
import asyncio, zmq
from agentzero import AsyncSocketManager

async def main():
    async with AsyncSocketManager(linger=0) as sockets:
        sockets.ensure_and_bind("in", zmq.PULL, "tcp://127.0.0.1:*")
        sockets.ensure_and_connect("out", zmq.PUSH, sockets.endpoints("in")[0])
        await sockets.send("out", 1)
        assert await sockets.recv("in", timeout=20) == 1
        async for event in sockets.connection_events("in"):
            return event.kind

print(asyncio.run(main()))
"""


def test_a_patched_process_may_have_an_event_loop_as_well() -> None:
    ended = run("-c", TASKS_WHERE_PATCHED, within=START, measured=False)
    assert (ended.code, ended.out, ended.err) == (0, "connected\n", "")


THREADS_WHERE_PATCHED = """
from gevent import monkey
monkey.patch_all()
import gevent, zmq
from agentzero import SocketManager

with SocketManager(zmq, linger=0) as sockets:
    print(sockets.backend.name)
    sockets.ensure_and_bind("in", zmq.PULL, "inproc://jobs")
    sockets.ensure_and_connect("out", zmq.PUSH, "inproc://jobs")

    def receive():
        tasks = [gevent.spawn(sockets.recv, "in", timeout=20) for _ in range(3)]
        gevent.joinall(tasks, raise_error=True)
        return [task.value for task in tasks]

    for _ in range(10):
        results = [gevent.get_hub().threadpool.spawn(receive) for _ in range(3)]
        gevent.sleep(0.005)
        for number in range(9):
            sockets.send("out", number)
        assert sorted(sum((result.get() for result in results), [])) == list(range(9))
"""


def test_the_threads_backend_serves_several_hubs_of_a_patched_process() -> None:
    """What plain zmq asks for is the threads backend, patched or not."""
    ended = run("-c", THREADS_WHERE_PATCHED, within=START, measured=False)
    assert (ended.code, ended.out, ended.err) == (0, "threads\n", "")


def test_a_green_socket_that_could_not_be_made_says_nothing_more() -> None:
    program = """if True:
        import os, resource, zmq
        from agentzero import SocketManager, errors
        sockets = SocketManager(backend="gevent")
        resource.setrlimit(resource.RLIMIT_NOFILE, (60, 60))
        kept = []
        try:
            while True:
                kept.append(os.open("/dev/null", os.O_RDONLY))
        except OSError:
            pass
        try:
            sockets.create("jobs", zmq.PULL)
        except errors.AgentZeroSocketError as error:
            print(error)
        for fd in kept:
            os.close(fd)
    """
    pytest.importorskip("resource")
    ended = run("-c", program, within=START, measured=False)
    assert (ended.code, ended.err) == (0, "")
    assert ended.out.startswith("cannot create socket 'jobs' of type")
