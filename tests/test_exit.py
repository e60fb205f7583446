"""However a process ends, it ends in time, says nothing it need not, and delivers what it sent."""

from __future__ import annotations

import re
import signal
import socket
import sys
from collections.abc import Iterator
from contextlib import ExitStack

import pytest
import zmq

from tests.processes import START, Ended, eventually, is_asleep, run, running

BACKENDS = ["threads", "gevent"]
SLACK = 8.0  # what an end may take beyond the linger, in seconds

PRELUDE = """
import gc, logging, math, os, resource, sys, threading, time
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

# How a process ends that has sent what nobody has taken yet.
ENDINGS = {
    "falling off the end": "sockets = sending()",
    "in a function": "def main(): sockets = sending()\nmain()",
    "closed": "sending().close_all()",
    "closed by with": "with sending(): pass",
    "socket closed": "sockets = sending()\nsockets.close('out')",
    "dropped": "sockets = sending()\ndel sockets\ngc.collect()",
    "dropped in a cycle": "cycle = [sending()]\ncycle.append(cycle)\ndel cycle\ngc.collect()",
    "left in a cycle": "cycle = [sending()]\ncycle.append(cycle)\ndel cycle",
    "kept by a log handler": "logging.getLogger().addHandler(sending().get_log_handler('out'))",
    "by a thread": "thread = threading.Thread(target=sending)\nthread.start()",
    "sys.exit": "sockets = sending()\nsys.exit(3)",
    "exception": "sockets = sending()\nraise ValueError('boom')",
    "exception in a function": "def main():\n  x = sending()\n  raise ValueError('boom')\nmain()",
    "context of the user": "context = zmq.Context()\nsockets = sending(context=context)",
    "context of the user, dropped": "sending(context=zmq.Context())",
}
SAID = {
    "sys.exit": (3, ""),
    "exception": (1, "ValueError: boom"),
    "exception in a function": (1, "ValueError: boom"),
}
QUIETLY = (0, "")


def said(ended: Ended) -> tuple[int, str]:
    """The exit code, and stderr without the frames of a first traceback."""
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
    return sink.get_string(zmq.LAST_ENDPOINT)


def takes_all(sink: zmq.Socket[bytes]) -> bool:
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
            for ending, program in ENDINGS.items()
        }
        # More than the slack of one, as they all start at the same time.
        ends = {ending: said(process.end(START)) for ending, process in processes.items()}
    assert ends == {ending: SAID.get(ending, QUIETLY) for ending in ENDINGS}


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("ending", ENDINGS)
def test_what_was_sent_just_before_the_end_arrives(
    pull: zmq.Socket[bytes], ending: str, backend: str
) -> None:
    with running("-c", PRELUDE + ENDINGS[ending], bound(pull), backend, "10") as process:
        assert takes_all(pull)
        assert said(process.end(SLACK)) == SAID.get(ending, QUIETLY)


@pytest.mark.parametrize("ending", ["falling off the end", "closed", "dropped"])
def test_a_linger_without_end_delivers_and_ends(pull: zmq.Socket[bytes], ending: str) -> None:
    with running("-c", PRELUDE + ENDINGS[ending], bound(pull), "threads", "inf") as process:
        assert takes_all(pull)
        assert said(process.end(SLACK)) == QUIETLY


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("ending", ["falling off the end", "closed", "dropped"])
def test_a_peer_that_comes_within_the_linger_gets_what_was_left(
    nobody: socket.socket, pull: zmq.Socket[bytes], ending: str, backend: str
) -> None:
    program = PRELUDE + ENDINGS[ending].replace("sending()", "sending(); print('sent')", 1)
    if ending == "closed":
        program = PRELUDE + "sockets = sending()\nprint('sent')\nsockets.close_all()"
    with running("-c", program, address(nobody), backend, "30") as process:
        assert process.line() == "sent"
        where = address(nobody)
        nobody.close()
        pull.bind(where)
        assert takes_all(pull)
        assert said(process.end(SLACK)) == QUIETLY


PUBLISHED = """
sockets = opened()
sockets.create("pub", zmq.XPUB)
print(sockets.bind_to_random_port("pub", local_address="tcp://127.0.0.1")[1])
sockets.recv_multipart("pub")
for number in range(500):
    sockets.publish("pub", "topic", number)
"""


@pytest.mark.parametrize("backend", BACKENDS)
def test_what_was_published_just_before_the_end_arrives(backend: str) -> None:
    with (
        running("-c", PRELUDE + PUBLISHED, "", backend, "10") as process,
        zmq.Context() as context,
        context.socket(zmq.SUB) as sub,
    ):
        sub.rcvtimeo = int(START * 1000)
        sub.subscribe("")
        sub.connect(process.line())
        sent = [[b"topic", b"%d" % number] for number in range(500)]
        assert [sub.recv_multipart() for _ in sent] == sent
        assert said(process.end(SLACK)) == QUIETLY


PUBLISHED_TO_NOBODY = """
sockets = opened()
sockets.ensure_and_bind("bound", zmq.PUB, "tcp://127.0.0.1:*")
sockets.ensure_and_connect("connected", zmq.PUB, ADDRESS)
for number in range(5000):
    sockets.publish("bound", "topic", number)
    sockets.publish("connected", "topic", number)
"""


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_process_that_published_to_nobody_ends_at_once(
    nobody: socket.socket, backend: str
) -> None:
    program = PRELUDE + PUBLISHED_TO_NOBODY
    ended = run("-c", program, address(nobody), backend, "30", within=SLACK)
    assert said(ended) == QUIETLY


SUBSCRIBED_TO_NOBODY = """
sockets = opened()
for name, kind in (("sub", zmq.SUB), ("xsub", zmq.XSUB)):
    sockets.ensure_and_connect(name, kind, ADDRESS)
    sockets.recv_event_safe(name, "topic", timeout=0)
"""


def test_a_subscription_that_never_reached_a_publisher_is_no_unsent_message(
    nobody: socket.socket,
) -> None:
    program = PRELUDE + SUBSCRIBED_TO_NOBODY
    ended = run("-c", program, address(nobody), "threads", "30", within=SLACK)
    assert said(ended) == QUIETLY


# Who waits, for ever, when the process ends.
WAITING = {
    "recv": "sockets.recv('in', math.inf)",
    "recv_safe": "sockets.recv_safe('in', math.inf)",
    "send": "sockets.send('full', 1, math.inf)",
    "recv_event": "sockets.recv_event('sub', timeout=math.inf)",
    "subscribe": "list(sockets.subscribe('sub'))",
    "engage": "sockets.engage(math.inf)",
    "wait_until_ready": "sockets.wait_until_ready('in', zmq.POLLIN, math.inf)",
    "serve": "sockets.serve('server', str)",
    "request": "sockets.request('client', 1, math.inf)",
    "wait_for_subscribers": "sockets.wait_for_subscribers('news', timeout=math.inf)",
}

IDLE = """
sockets = opened()
sockets.ensure_and_bind("in", zmq.PULL, "tcp://127.0.0.1:*", zmq.POLLIN)
sockets.ensure_and_bind("full", zmq.PUSH, "tcp://127.0.0.1:*")
sockets.ensure_and_bind("sub", zmq.SUB, "tcp://127.0.0.1:*")
sockets.ensure_and_bind("news", zmq.XPUB, "tcp://127.0.0.1:*")
sockets.ensure_and_bind("server", zmq.REP, "tcp://127.0.0.1:*")
sockets.ensure_and_bind("silent", zmq.ROUTER, "tcp://127.0.0.1:*")
sockets.ensure_and_connect("client", zmq.REQ, sockets.endpoints("silent")[0])
"""

# The main thread waits as well: the others are at it by then.
LEFT_WAITING = """
def wait():
    {use}

for _ in range(3):
    {start}
sockets.recv_safe("in", 0.2)
"""
STARTS = {
    "threads": "threading.Thread(target=wait, daemon=True).start()",
    "gevent": "import gevent; gevent.spawn(wait)",
}


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("use", WAITING)
def test_those_who_still_wait_do_not_keep_the_process(use: str, backend: str) -> None:
    program = PRELUDE + IDLE + LEFT_WAITING.format(use=WAITING[use], start=STARTS[backend])
    assert said(run("-c", program, "", backend, "30", within=SLACK)) == QUIETLY


HALF_READ = """
sockets = opened()
sockets.ensure_and_bind("out", zmq.XPUB, "tcp://127.0.0.1:*")
sockets.ensure_and_connect("in", zmq.SUB, sockets.endpoints("out")[0])
events = sockets.subscribe("in", "topic")
sockets.recv_multipart("out")
for number in range(5):
    sockets.publish("out", "topic", number)
print(next(events).data, next(events).data)
{end}
"""


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("end", ["", "del sockets", "del events", "events = [events, sockets]"])
def test_a_subscription_half_read_does_not_keep_the_process(end: str, backend: str) -> None:
    ended = run("-c", PRELUDE + HALF_READ.format(end=end), "", backend, "30", within=SLACK)
    assert ended.out == "0 1\n"
    assert said(ended) == QUIETLY


# A thread that the exit does not wait for tells when to press Ctrl-C, once all sockets are there.
TELLS_SOON = """
def tell_soon():
    teller = threading.Timer(0.3, print, ["waiting"])
    teller.daemon = True
    teller.start()
"""
SENDS_AND_TELLS = """
send_all = sending

def sending():
    sockets = send_all()
    tell_soon()
    return sockets
"""


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("use", WAITING)
def test_ctrl_c_ends_a_wait_and_the_process(use: str, backend: str) -> None:
    program = PRELUDE + TELLS_SOON + IDLE + "tell_soon()\n" + WAITING[use]
    with running("-c", program, "", backend, "30") as process:
        assert process.line() == "waiting"
        eventually(lambda: is_asleep(process.pid))
        process.interrupt()
        ended = process.end(SLACK)
    assert ended.code == -signal.SIGINT
    assert ended.err.endswith("\nKeyboardInterrupt\n")
    assert "Exception ignored" not in ended.err


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("ending", ["falling off the end", "dropped", "closed"])
def test_ctrl_c_ends_the_wait_for_the_linger(
    nobody: socket.socket, ending: str, backend: str
) -> None:
    program = PRELUDE + TELLS_SOON + SENDS_AND_TELLS + ENDINGS[ending]
    with running("-c", program, address(nobody), backend, "30") as process:
        assert process.line() == "waiting"
        process.interrupt()
        process.end(SLACK)


MEASURED_DROP = """
sockets = sending()
began = time.monotonic()
del sockets
gc.collect()
print(time.monotonic() - began, flush=True)
os._exit(0)
"""


@pytest.mark.parametrize("backend", BACKENDS)
def test_dropping_a_manager_with_unsent_messages_does_not_wait(
    nobody: socket.socket, backend: str
) -> None:
    program = PRELUDE + MEASURED_DROP
    ended = run("-c", program, address(nobody), backend, "30", within=SLACK)
    assert said(ended) == QUIETLY
    assert float(ended.out) < 1


FORKED = """
import warnings
warnings.simplefilter("ignore", DeprecationWarning)  # of fork() beside threads
sockets = sending()
child = os.fork()
if child:
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
    os._exit(0)
del sockets
gc.collect()
sys.exit(7)
"""


def test_a_forked_child_ends_without_waiting_for_its_parents_messages(
    nobody: socket.socket,
) -> None:
    ended = run("-c", PRELUDE + FORKED, address(nobody), "threads", "30", within=SLACK)
    assert said(ended) == QUIETLY
    assert ended.out == "7\n"


# Each manager has sockets, a message that nobody takes, and has waited; few files may be open.
THREE_HUNDRED = """
gc.disable()  # what is out of reach is closed without it, but for what is left in a cycle
resource.setrlimit(resource.RLIMIT_NOFILE, (256, 256))

def held():
    return len(os.listdir("/proc/self/fd")), len(os.listdir("/proc/self/task"))

def settled(fds, tasks):
    until = time.monotonic() + 5
    while held()[0] > fds or held()[1] > tasks:
        if time.monotonic() > until:
            sys.exit(f"{{held()}} files and threads are open, where {{(fds, tasks)}} were")
        time.sleep(0.005)
    return held()

def use():
    sockets = opened()
    sockets.ensure_and_connect("out", zmq.PUSH, ADDRESS)
    sockets.ensure_and_bind("in", zmq.PULL, "tcp://127.0.0.1:*", zmq.POLLIN)
    sockets.send("out", "hello")
    sockets.recv_safe("in", 0.0001)
    sockets.engage(0)
    {end}

use()
{collect}
fds, tasks = settled(math.inf, 1)
for _ in range(300):
    use()
    if held()[0] > 200:
        {collect}
        settled(200, 100)
{collect}
settled(fds, tasks)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="counts what is open in /proc")
@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize(
    ("end", "collect"),
    [
        ("sockets.close_all()", "pass"),
        ("del sockets", "pass"),
        ("cycle = [sockets]; cycle.append(cycle)", "gc.collect()"),
    ],
    ids=["closed", "dropped", "dropped in a cycle"],
)
def test_three_hundred_managers_leave_nothing_open(
    nobody: socket.socket, end: str, collect: str, backend: str
) -> None:
    program = PRELUDE + THREE_HUNDRED.format(end=end, collect=collect)
    ended = run("-c", program, address(nobody), backend, "0", within=START + SLACK)
    assert said(ended) == QUIETLY
