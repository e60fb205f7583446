"""Lent memory is given back in every kind of process, and stays until libzmq has read it."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
import zmq

from tests.processes import START, Ended, run, running

LENDING = """
import os, sys, threading, zmq
from agentzero import SocketManager

def lend():
    with SocketManager(linger=0) as sockets:
        sockets.ensure_and_bind("in", zmq.PULL, "inproc://large")
        sockets.ensure_and_connect("out", zmq.PUSH, "inproc://large")
        for _ in range(3):
            tracker = sockets.send_multipart("out", [bytearray(100_000)], copy=False)
            assert len(sockets.recv_multipart("in")) == 1
            tracker.wait()
"""
PATCHED = "from gevent import monkey; monkey.patch_all()\n"

AT_ONCE = """
sys.setswitchinterval(1e-6)
start = threading.Barrier(8)
threads = [threading.Thread(target=lambda: (start.wait(), lend())) for _ in range(8)]
for thread in threads: thread.start()
for thread in threads: thread.join()
"""
HUBS = """
import gevent
pool = gevent.get_hub().threadpool
pool.apply(lend)
pool.kill()
lend()
"""
FORKED = """
import signal
lend()
child = os.fork()
signal.alarm(15)
lend()
if child:
    sys.exit(os.waitpid(child, 0)[1])
"""

LOCKED = """
import signal
from agentzero import collector

held, over = threading.Event(), threading.Event()

def hold():
    with collector._lock:
        held.set()
        over.wait(0.2)

thread = threading.Thread(target=hold)
thread.start()
held.wait()
child = os.fork()
signal.alarm(15)
lend()
if child:
    sys.exit(os.waitpid(child, 0)[1])
"""
INHERITED = """
with SocketManager(linger=0) as sockets:
    sockets.ensure_and_bind("in", zmq.PULL, "inproc://large")
    sockets.ensure_and_connect("out", zmq.PUSH, "inproc://large")
    tracker = sockets.send_multipart("out", [bytearray(100_000)], copy=False)
    assert not tracker.done
    child = os.fork()
    if not child:
        tracker.wait(timeout=0)
        assert tracker.done
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
    assert not tracker.done
    sockets.recv_multipart("in")
    tracker.wait()
"""
NO_THREADS = """
import _thread

def refuse(*_):
    raise RuntimeError("can't start new thread")

from agentzero import collector
native = collector.native
collector.native = lambda *name: refuse if "start_new_thread" in name else native(*name)
try:
    lend()
except RuntimeError as error:
    assert "start new thread" in str(error)
else:
    raise AssertionError("it could start one")
collector.native = native
lend()
"""


needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")


@pytest.fixture(params=["unpatched", "patched"])
def patch(request: pytest.FixtureRequest) -> str:
    """What a program begins with: nothing, or gevent's patches."""
    if request.param == "unpatched":
        return ""
    pytest.importorskip("gevent")
    return PATCHED


def quietly(ended: Ended) -> bool:
    return (ended.code, ended.out, ended.err) == (0, "", "")


def test_threads_that_lend_for_the_first_time_at_once(patch: str) -> None:
    assert quietly(run("-c", patch + LENDING + AT_ONCE, within=START))


def test_a_hub_that_ends_does_not_take_the_collector_along() -> None:
    pytest.importorskip("gevent")
    assert quietly(run("-c", PATCHED + LENDING + HUBS, within=START))


@needs_fork
def test_a_forked_process_lends_by_itself(patch: str) -> None:
    assert quietly(run("-W", "ignore", "-c", patch + LENDING + FORKED, within=START))


@needs_fork
def test_a_fork_amid_a_first_loan_harms_nobody() -> None:
    assert quietly(run("-W", "ignore", "-c", LENDING + LOCKED, within=START))


@needs_fork
def test_a_forked_process_has_a_copy_that_nobody_reads() -> None:
    assert quietly(run("-W", "ignore", "-c", LENDING + INHERITED, within=START))


def test_where_no_thread_could_be_started_the_next_loan_tries_again() -> None:
    pytest.importorskip("gevent")
    assert quietly(run("-c", PATCHED + LENDING + NO_THREADS, within=START))


def test_a_process_whose_threads_alone_are_patched_gets_its_memory_back() -> None:
    pytest.importorskip("gevent")
    patch = "from gevent import monkey; monkey.patch_thread()\n"
    assert quietly(run("-c", patch + LENDING + "lend()", within=START))


def test_nobody_lends_before_the_collector_is_complete() -> None:
    program = """
    from zmq.sugar.socket import Socket
    connect, entered, go_on = Socket.connect, threading.Event(), threading.Event()

    def late(socket, address):
        if "pyzmq.gc" in str(address):
            entered.set()
            go_on.wait(0.2)
        return connect(socket, address)

    Socket.connect = late
    threads = [threading.Thread(target=lend) for _ in range(2)]
    threads[0].start()
    entered.wait()
    threads[1].start()
    for thread in threads:
        thread.join()
    """
    assert quietly(run("-c", LENDING + "if True:" + program, within=START))


def test_pyzmq_s_own_zero_copy_goes_on_beside_it() -> None:
    program = """
    context = zmq.Context()
    pull, push = context.socket(zmq.PULL), context.socket(zmq.PUSH)
    pull.bind("inproc://own")
    push.connect("inproc://own")
    for order in (lend, lambda: None), (lambda: None, lend):
        for step in order:
            step()
            tracker = push.send(bytearray(100_000), copy=False, track=True)
            pull.recv()
            tracker.wait(20)
    """
    assert quietly(run("-c", LENDING + "if True:" + program, within=START))


# The end of the process

UNSENT = """
import sys, zmq
from agentzero import SocketManager

address, owner, linger = sys.argv[1:]
context = zmq.Context() if owner == "user" else None
sockets = SocketManager(context=context, linger=float(linger))
sockets.ensure_and_connect("out", zmq.PUSH, address)

def send():
    sockets.send_multipart("out", [b"x" * 1000, bytearray(b"x" * 20_000_000)], copy=False)

send()
print("sent")
"""


@pytest.fixture
def pull() -> Iterator[zmq.Socket[bytes]]:
    """A bare PULL that waits no longer than a process may take to start."""
    with zmq.Context() as context, context.socket(zmq.PULL) as sink:
        sink.linger = 0
        sink.rcvhwm = 1
        sink.rcvbuf = 4096
        sink.rcvtimeo = int(START * 1000)
        sink.bind("tcp://127.0.0.1:*")
        yield sink


def test_what_is_lent_is_still_sent_when_the_process_ends(
    pull: zmq.Socket[bytes], patch: str
) -> None:
    address = pull.get(zmq.LAST_ENDPOINT).decode()
    with running("-c", patch + UNSENT, address, "own", "20") as process:
        assert process.line() == "sent"
        assert pull.recv_multipart() == [b"x" * 1000, b"x" * 20_000_000]
        assert quietly(process.end(START))


@pytest.mark.parametrize(("owner", "linger"), [("own", "0"), ("own", "0.1"), ("user", "20")])
def test_a_process_that_ends_amid_a_message_ends_well(
    pull: zmq.Socket[bytes], owner: str, linger: str
) -> None:
    """libzmq would abort it: what it sends must not go away."""
    address = pull.get(zmq.LAST_ENDPOINT).decode()
    ended = run("-c", UNSENT, address, owner, linger, within=START)
    assert (ended.code, ended.out, ended.err) == (0, "sent\n", "")
