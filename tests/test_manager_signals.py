"""Ctrl-C, signal handlers and fork, each in a process of its own."""

from __future__ import annotations

import os
import signal
import textwrap

import pytest

from tests.processes import START, eventually, is_asleep, run, running

PREAMBLE = """
import logging, os, signal, sys, time
import zmq
from agentzero import SocketManager
from agentzero.errors import AgentZeroSocketError, ManagerClosed

sockets = SocketManager(backend=sys.argv[1], linger=0)
sockets.ensure_and_bind("in", zmq.PULL, "inproc://jobs", zmq.POLLIN)
sockets.ensure_and_connect("out", zmq.PUSH, "inproc://jobs")
sockets.ensure_and_bind("news", zmq.XPUB, "inproc://news")
sockets.ensure_and_connect("events", zmq.SUB, "inproc://news")
sockets.ensure_and_bind("server", zmq.REP, "tcp://127.0.0.1:*")
sockets.ensure_and_connect("client", zmq.DEALER, *sockets.endpoints("server"))
"""

WAITS = {
    "recv": "sockets.recv('in', timeout=60)",
    "recv without end": "sockets.recv('in', timeout=float('inf'))",
    "subscribe": "list(sockets.subscribe('events'))",
    "engage": "sockets.engage(60_000)",
    "request": "sockets.request('client', 1, timeout=60)",
    "serve": "sockets.serve('server', len)",
    "wait_for_subscribers": "sockets.wait_for_subscribers('news', count=2, timeout=60)",
    "connection_events": "list(sockets.connection_events('in'))",
    "wait_until_ready": "sockets.wait_until_ready('in', zmq.POLLIN, timeout=60)",
}

# An event loop raises Ctrl-C in itself, and ends by it: tests/test_aio.py has that.
backends = pytest.mark.parametrize("backend", ["threads", "gevent"])

needs_posix = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")


def program(text: str) -> str:
    return PREAMBLE + textwrap.dedent(text)


@backends
@pytest.mark.parametrize("wait", WAITS.values(), ids=WAITS)
def test_ctrl_c_ends_a_wait_and_the_socket_still_works(backend: str, wait: str) -> None:
    if backend == "gevent":
        pytest.importorskip("gevent")
    text = f"""
        sockets.recv_event_safe("events", timeout=0)
        sockets.recv_multipart("news")
        print("ready", flush=True)
        try:
            {wait}
        except KeyboardInterrupt:
            print("interrupted", flush=True)
        assert not any(channel._waiters for channel in sockets._channels.values())
        sockets.send("out", 1)
        assert sockets.engage(20_000), "engage"
        assert sockets.recv("in") == 1
        sockets.publish("news", "topic", 2)
        assert next(sockets.subscribe("events")) == ("topic", 2)
        sockets.close_all()
        print("works", flush=True)
    """
    with running("-c", program(text), backend, measured=False) as process:
        assert process.line() == "ready"
        eventually(lambda: is_asleep(process.pid))
        process.interrupt()
        ended = process.end(START)
    # What gevent's hub says on stderr about Ctrl-C is its own.
    assert (ended.out.split(), ended.code) == (["interrupted", "works"], 0), ended.err


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="this system has no interval timers")
def test_a_signal_handler_that_logs_in_the_midst_of_publish_corrupts_nothing() -> None:
    text = """
        logger = sockets.get_logger("news", "logs", "app")
        logger.setLevel(logging.INFO)
        logger.propagate = False
        sockets.set_topic("events", "")
        sockets.recv_multipart("news")
        handled = 0

        def handle(*_):
            global handled
            handled += 1
            logger.info("signal %d", handled)

        sockets.set_socket_option("news", zmq.SNDHWM, 0)
        sockets.set_socket_option("events", zmq.RCVHWM, 0)
        signal.signal(signal.SIGALRM, handle)
        signal.setitimer(signal.ITIMER_REAL, 0.0005, 0.0005)
        published = logged = 0
        deadline = time.monotonic() + 20
        while handled < 500 and time.monotonic() < deadline:
            sockets.publish("news", "data", {"number": published})
            published += 1
        signal.setitimer(signal.ITIMER_REAL, 0)
        dropped = sockets.get_log_handler("news", "logs").dropped
        numbers = []
        while (frames := receive()) is not None:
            assert len(frames) == 2, frames
            if frames[0] == b"data":
                numbers.append(frames[1])
            else:
                assert frames[0] == b"logs" and b"signal " in frames[1], frames
                logged += 1
        assert numbers == [b'{"number":%d}' % number for number in range(published)]
        assert logged + dropped == handled >= 500, (logged, dropped, handled)
        sockets.close_all()
    """
    receive = textwrap.dedent("""
        def receive():
            try:
                return sockets.recv_multipart("events", timeout=0.2)
            except AgentZeroSocketError:
                return None
    """)
    ended = run("-c", PREAMBLE + receive + textwrap.dedent(text), "threads", within=60)
    assert (ended.code, ended.err) == (0, "")


@needs_posix
@backends
def test_a_forked_child_is_told_and_its_parent_goes_on(backend: str) -> None:
    if backend == "gevent":
        pytest.importorskip("gevent")
    text = """
        if sys.argv[1] == "gevent":
            import gevent.os
        sockets.send("out", "before")
        child = gevent.os.fork() if sys.argv[1] == "gevent" else os.fork()
        if not child:
            signal.alarm(10)
            refused = 0
            for verb in (
                lambda: sockets.send("out", "from the child"),
                lambda: sockets.recv("in"),
                lambda: sockets.create("new", zmq.PULL),
                lambda: sockets.engage(0),
                lambda: sockets.get_by_name("in"),
                lambda: sockets.ensure_and_bind("new", zmq.PULL, "inproc://new"),
                lambda: sockets.stats("in"),
                lambda: sockets.connection_events("server"),
                lambda: sockets.request("client", 1),
            ):
                try:
                    verb()
                except ManagerClosed as error:
                    refused += "fork" in str(error)
            sockets.close("in")
            sockets.close_all()
            with SocketManager(backend=sys.argv[1], linger=0) as own:
                own.ensure_and_bind("in", zmq.PULL, "inproc://jobs")
                own.ensure_and_connect("out", zmq.PUSH, "inproc://jobs")
                own.send("out", "in the child")
                assert own.recv("in") == "in the child"
            sys.exit(refused)
        _, status = os.waitpid(child, 0)
        assert os.waitstatus_to_exitcode(status) == 9, status
        assert sockets.recv("in") == "before"
        sockets.send("out", "after")
        assert sockets.recv("in") == "after"
        assert sockets.names() == ["in", "out", "news", "events", "server", "client"]
        assert next(sockets.connection_events("server")).kind == "connected"
        sockets.close_all()
        print("done")
    """
    ended = run("-c", program(text), backend, within=2 * START, measured=False)
    assert (ended.code, ended.out, ended.err) == (0, "done\n", "")


@needs_posix
@backends
def test_a_fork_amid_connection_events_harms_neither_side(backend: str) -> None:
    if backend == "gevent":
        pytest.importorskip("gevent")
    text = """
        if sys.argv[1] == "gevent":
            import gevent.os
        address = sockets.endpoints("server")[0]
        kinds = []
        for event in sockets.connection_events("server", timeout=20):
            kinds.append(event.kind)
            if kinds == ["connected"]:
                child = gevent.os.fork() if sys.argv[1] == "gevent" else os.fork()
                if not child:
                    signal.alarm(10)
                else:
                    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
                    sockets.close("client")
            if kinds == ["connected", "disconnected"]:
                break
        if child:
            print(*kinds)
    """
    ended = run("-c", program(text), backend, within=2 * START, measured=False)
    assert (ended.code, ended.out, ended.err) == (0, "connected disconnected\n", "")
