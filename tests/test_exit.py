"""However a process ends, it ends in time, says nothing it need not, and delivers what it sent."""

from __future__ import annotations

import re
import signal
import socket
import time
from collections.abc import Iterator

import pytest
import zmq

from tests.processes import START, Ended, run, running

BACKENDS = ["threads", "gevent"]

# All that a process may take beyond its linger.
SLACK = 8.0

PRELUDE = """
import gc, math, os, sys, threading, time
import zmq
from agentzero import SocketManager
from agentzero.errors import AgentZeroSocketError

ADDRESS, BACKEND, LINGER = sys.argv[1], sys.argv[2], float(sys.argv[3])

def opened(**options):
    return SocketManager(backend=BACKEND, linger=LINGER, **options)

def sending(**options):
    sockets = opened(**options)
    sockets.ensure_and_connect("out", zmq.PUSH, ADDRESS)
    for number in range(500):
        sockets.send("out", number, timeout=5)
    return sockets
"""

# Each has sent what nobody has taken yet: its end, its exit code, the last line of its stderr.
ENDINGS = {
    "falling off the end": ("sockets = sending()", 0, ""),
    "in a function": ("def main():\n    sockets = sending()\nmain()", 0, ""),
    "closed": ("sockets = sending()\nsockets.close_all()", 0, ""),
    "closed by a with": ("with sending() as sockets: pass", 0, ""),
    "socket closed": ("sockets = sending()\nsockets.close('out')", 0, ""),
    "dropped": ("sockets = sending()\ndel sockets\ngc.collect()", 0, ""),
    "dropped in a cycle": ("cycle = [sending()]\ncycle.append(cycle)\ndel cycle\ngc.collect()", 0, ""),
    "left in a cycle": ("cycle = [sending()]\ncycle.append(cycle)\ndel cycle", 0, ""),
    "kept by a log handler": (
        "import logging\nlogging.getLogger().addHandler(sending().get_log_handler('out'))",
        0,
        "",
    ),
    "sys.exit": ("sockets = sending()\nsys.exit(3)", 3, ""),
    "unhandled exception": ("sockets = sending()\nraise ValueError('boom')", 1, "ValueError: boom"),
    "in an exception's frame": (
        "def main():\n    sockets = sending()\n    raise ValueError('boom')\nmain()",
        1,
        "ValueError: boom",
    ),
    "by a thread": (
        "thread = threading.Thread(target=sending)\nthread.start()",
        0,
        "",
    ),
    "context of the user": ("context = zmq.Context()\nsockets = sending(context=context)", 0, ""),
    "context of the user, dropped": ("sending(context=zmq.Context())", 0, ""),
}



def said(ended: Ended) -> tuple[int, str]:
    """The exit code, and stderr without the frames of a traceback."""
    return ended.code, re.sub(r"\ATraceback.*?\n(?=\S)", "", ended.err, flags=re.DOTALL).strip()


@pytest.fixture
def nobody() -> Iterator[socket.socket]:
    """A socket that holds a port at which connections are refused."""
    with socket.socket() as taken:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        taken.bind(("127.0.0.1", 0))
        yield taken


def address(taken: socket.socket) -> str:
    return "tcp://127.0.0.1:{1}".format(*taken.getsockname())


@pytest.fixture
def pull() -> Iterator[zmq.Socket[bytes]]:
    """A bare PULL that waits no longer than a process may take to start."""
    with zmq.Context() as context, context.socket(zmq.PULL) as sink:
        sink.linger = 0
        sink.rcvtimeo = int(START * 1000)
        yield sink


def bound(sink: zmq.Socket[bytes]) -> str:
    sink.bind("tcp://127.0.0.1:*")
    return sink.get(zmq.LAST_ENDPOINT).decode()


def five_hundred(sink: zmq.Socket[bytes]) -> bool:
    return [sink.recv() for _ in range(500)] == [b"%d" % number for number in range(500)]


@pytest.mark.parametrize("linger", ["0", "1"])
@pytest.mark.parametrize("backend", BACKENDS)
def test_unsent_messages_keep_a_process_for_its_linger_at_the_most(
    nobody: socket.socket, backend: str, linger: str
) -> None:
    with ExitStack() as stack:
        processes = {
            ending: stack.enter_context(
                running("-c", PRELUDE + program, address(nobody), backend, linger)
            )
            for ending, (program, _, _) in ENDINGS.items()
        }
        # They start all at once, so each may take a share of the machine only.
        ends = {ending: process.end(START) for ending, process in processes.items()}
    assert {ending: said(ended) for ending, ended in ends.items()} == {
        ending: (code, last_line) for ending, (_, code, last_line) in ENDINGS.items()
    }


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("ending", ENDINGS)
def test_what_was_sent_just_before_the_end_arrives(
    pull: zmq.Socket[bytes], ending: str, backend: str
) -> None:
    program, code, last_line = ENDINGS[ending]
    with running("-c", PRELUDE + program, bound(pull), backend, "10") as process:
        assert five_hundred(pull)
        assert said(process.end(SLACK)) == (code, last_line)


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_peer_that_comes_within_the_linger_gets_what_a_dropped_manager_sent(
    nobody: socket.socket, pull: zmq.Socket[bytes], backend: str
) -> None:
    program = PRELUDE + "sockets = sending()\ndel sockets\nprint('dropped')"
    with running("-c", program, address(nobody), backend, "30") as process:
        assert process.line() == "dropped"
        nobody.close()
        pull.bind(address_of)
        assert five_hundred(pull)
        assert said(process.end(SLACK)) == (0, "")


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("linger", ["10", "inf"])
def test_what_was_published_just_before_the_end_arrives(backend: str, linger: str) -> None:
    program = """
sockets = opened()
print(sockets.bind_to_random_port(
    "pub", local_address="tcp://127.0.0.1"
) if sockets.create("pub", zmq.XPUB) is None else
sockets.bind_to_random_port("pub", local_address="tcp://127.0.0.1")[1])
"""
