"""request and serve: replies find whoever asked, and what goes wrong goes wrong for one alone."""

from __future__ import annotations

import asyncio
import linecache
import math
import random
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest
import zmq

from agentzero import AsyncSocketManager, SocketManager, steps
from agentzero.channel import Channel
from agentzero.deadline import Deadline
from agentzero.errors import (
    AgentZeroSocketError,
    DeserializationError,
    PeerUnreachable,
    RemoteError,
    SocketClosed,
    SocketTimeout,
)
from agentzero.requests import Correlated
from agentzero.serializers import JSON
from tests.processes import START, running

Make = Callable[..., Any]

TCP = "tcp://127.0.0.1:*"

ASKING = pytest.mark.parametrize("kind", [zmq.REQ, zmq.DEALER], ids=["REQ", "DEALER"])
SERVING = pytest.mark.parametrize("kind", [zmq.REP, zmq.ROUTER], ids=["REP", "ROUTER"])


@pytest.fixture(params=["tcp", "ipc", "inproc"])
def address(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Something to bind to, on each transport."""
    return {"tcp": TCP, "ipc": f"ipc://{tmp_path}/s", "inproc": "inproc://questions"}[request.param]


class Patient:
    """A bare socket that lets other tasks run until there is something to receive."""

    def __init__(self, socket: Any, eventually: Make) -> None:
        self._socket = socket
        self._eventually = eventually

    def __getattr__(self, name: str) -> Any:
        if name.startswith("recv"):
            self._eventually(lambda: self._socket.poll(0))
        return getattr(self._socket, name)


@pytest.fixture
def bare(peer: Make, eventually: Make) -> Make:
    """Make a socket of bare pyzmq that no greenlet blocks on."""
    return lambda *args, **options: Patient(peer(*args, **options), eventually)


@pytest.fixture
def router(bare: Make) -> Any:
    """A bare ROUTER that answers when a test says so."""
    return bare(zmq.ROUTER, bind=TCP)


@pytest.fixture
def without_naps(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing but a wake-up ends a wait in the time of a test."""
    for name in ("FIRST_NAP", "LONGEST_NAP"):
        monkeypatch.setattr(steps, name, 1800.0)


@pytest.fixture
def serving(sockets: SocketManager, spawn: Make, waiting: Make) -> Make:
    """Have a socket named "server" served by a task; return its address and the task."""

    def start(kind: int, handler: Callable[[Any], Any], **options: Any) -> tuple[str, Any]:
        sockets.ensure_and_bind("server", kind, TCP)
        task = spawn(sockets.serve, "server", handler, **options)
        waiting(sockets, "server")
        return sockets.endpoints("server")[0], task

    return start


def connect(sockets: SocketManager, kind: int, to: Any) -> None:
    """Connect a socket named "client" to a bare one."""
    sockets.ensure_and_connect("client", kind, to.last_endpoint.decode())


def settled(value: Any) -> Any:
    if value == "fail":
        raise KeyError("no such thing")
    return value


# Asking


@ASKING
def test_a_bare_rep_answers(sockets: SocketManager, bare: Make, spawn: Make, kind: int) -> None:
    rep = bare(zmq.REP, bind=TCP)
    connect(sockets, kind, rep)
    for number in range(3):
        asked = spawn(sockets.request, "client", {"number": number}, type=tuple[int, ...])
        assert rep.recv() == b'{"number":%d}' % number
        rep.send(b"[%d]" % number)
        assert asked.result() == (number,)


def test_a_req_sends_an_empty_frame_and_the_payload(
    sockets: SocketManager, router: Any, spawn: Make
) -> None:
    connect(sockets, zmq.REQ, router)
    asked = spawn(sockets.request, "client", "hello")
    identity, *frames = router.recv_multipart()
    assert frames == [b"", b'"hello"']
    router.send_multipart([identity, b"", b"null"])
    assert asked.result() is None


def test_a_dealer_sends_an_id_before_that(sockets: SocketManager, router: Any, spawn: Make) -> None:
    connect(sockets, zmq.DEALER, router)
    asked = spawn(sockets.request, "client", "hello")
    identity, key, *frames = router.recv_multipart()
    assert key
    assert frames == [b"", b'"hello"']
    router.send_multipart([identity, key, b"", b"1"])
    assert asked.result() == 1


@pytest.mark.usefixtures("without_naps")
def test_replies_in_any_order_find_whoever_asked(
    sockets: SocketManager, router: Any, spawn: Make
) -> None:
    connect(sockets, zmq.DEALER, router)
    asked = [spawn(sockets.request, "client", number) for number in range(100)]
    received = [router.recv_multipart() for _ in asked]
    random.Random(1).shuffle(received)
    for message in received:
        router.send_multipart(message)
    assert [task.result() for task in asked] == list(range(100))
    assert sockets.stats("client").received == 100
    assert not sockets._channels["client"]._waiters


@pytest.mark.usefixtures("without_naps")
def test_many_requests_of_many_tasks(sockets: SocketManager, spawn: Make, serving: Make) -> None:
    address, _ = serving(zmq.ROUTER, lambda number: -number)
    sockets.ensure_and_connect("client", zmq.DEALER, address)

    def ask(numbers: range) -> list[int]:
        return [sockets.request("client", number) for number in numbers]

    tasks = [spawn(ask, range(start, start + 50)) for start in range(0, 500, 50)]
    replies = [reply for task in tasks for reply in task.result()]
    assert replies == [-number for number in range(500)]
    assert sockets.stats("client").late == 0


@ASKING
def test_a_time_out_says_so_and_the_socket_goes_on(
    sockets: SocketManager, router: Any, spawn: Make, kind: int
) -> None:
    connect(sockets, kind, router)
    for number in range(3):
        with pytest.raises(SocketTimeout, match=r"no reply on socket 'client' .* in 0.02 s"):
            sockets.request("client", number, timeout=0.02)
    asked = spawn(sockets.request, "client", "last")
    while (message := router.recv_multipart())[-1] != b'"last"':
        pass
    router.send_multipart(message)
    assert asked.result() == "last"
    assert sockets.stats("client").timeouts == 3


@ASKING
@pytest.mark.parametrize("bound", [False, True], ids=["connected", "bound"])
def test_a_late_reply_is_never_taken_for_the_next_one(
    sockets: SocketManager, eventually: Make, spawn: Make, address: str, kind: int, bound: bool
) -> None:
    with sockets.context.socket(zmq.ROUTER, socket_class=zmq.Socket) as socket:
        socket.linger = 0
        router = Patient(socket, eventually)
        if bound:
            sockets.ensure_and_bind("client", kind, address)
            router.connect(sockets.endpoints("client")[0])
        else:
            router.bind(address)
            connect(sockets, kind, router)
        missed = spawn(sockets.request, "client", "first", timeout=0.3)
        first = router.recv_multipart()
        with pytest.raises(SocketTimeout):
            missed.result()
        asked = spawn(sockets.request, "client", "second")
        second = router.recv_multipart()
        with suppress(zmq.ZMQError):
            router.send_multipart([*first[:-1], b'"late"'])
        router.send_multipart([*second[:-1], b'"in time"'])
        assert asked.result() == "in time"


def test_an_identity_is_kept_after_a_time_out(
    sockets: SocketManager, router: Any, spawn: Make
) -> None:
    """A ROUTER refuses a new connection under an identity that it still knows."""
    sockets.create("client", zmq.REQ)
    sockets.set_socket_option("client", zmq.IDENTITY, b"me")
    connect(sockets, zmq.REQ, router)
    for number in range(3):
        asked = spawn(sockets.request, "client", number, timeout=0.1)
        assert router.recv_multipart()[0] == b"me"
        with pytest.raises(SocketTimeout):
            asked.result()
    asked = spawn(sockets.request, "client", "last")
    router.send_multipart(router.recv_multipart())
    assert asked.result() == "last"


def test_late_replies_to_a_dealer_are_dropped_and_counted(
    sockets: SocketManager, router: Any, spawn: Make
) -> None:
    connect(sockets, zmq.DEALER, router)
    for number in range(3):
        with pytest.raises(SocketTimeout):
            sockets.request("client", number, timeout=0.01)
    asked = spawn(sockets.request, "client", "last")
    for message in [router.recv_multipart() for _ in range(4)]:
        router.send_multipart(message)
    assert asked.result() == "last"
    assert sockets.stats("client").late == 3


@ASKING
def test_a_retry_sends_again(sockets: SocketManager, router: Any, spawn: Make, kind: int) -> None:
    connect(sockets, kind, router)
    asked = spawn(sockets.request, "client", "hello", timeout=0.2, retries=50)
    seen = [router.recv_multipart() for _ in range(3)]
    assert [message[-1] for message in seen] == [b'"hello"'] * 3
    router.send_multipart([*seen[-1][:-1], b'"hi"'])
    assert asked.result() == "hi"
    assert sockets.stats("client").timeouts == 2


@ASKING
def test_after_its_retries_a_request_has_timed_out(sockets: SocketManager, kind: int) -> None:
    sockets.ensure_and_connect("client", kind, "inproc://nobody")
    with pytest.raises(SocketTimeout):
        sockets.request("client", 1, timeout=0.01, retries=2)
    assert sockets.stats("client").timeouts == 3


@pytest.mark.usefixtures("without_naps")
def test_tasks_take_turns_on_a_req(sockets: SocketManager, spawn: Make, serving: Make) -> None:
    address, _ = serving(zmq.REP, lambda number: number + 1)
    sockets.ensure_and_connect("client", zmq.REQ, address)
    tasks = [spawn(sockets.request, "client", number) for number in range(50)]
    assert [task.result() for task in tasks] == list(range(1, 51))


def test_a_turn_that_does_not_come_in_time_is_a_time_out(
    sockets: SocketManager, router: Any, spawn: Make, waiting: Make
) -> None:
    connect(sockets, zmq.REQ, router)
    first = spawn(sockets.request, "client", "first")
    waiting(sockets, "client")
    with pytest.raises(SocketTimeout):
        sockets.request("client", "second", timeout=0.05)
    router.send_multipart(router.recv_multipart())
    assert first.result() == "first"


def test_a_req_that_waits_for_another_verb_s_reply_is_left_alone(
    sockets: SocketManager, link: Make
) -> None:
    link(sockets, ("server", zmq.REP), ("client", zmq.REQ))
    sockets.send("client", 1)
    with pytest.raises(AgentZeroSocketError, match="sends and receives in turn"):
        sockets.request("client", 2)
    sockets.send("server", sockets.recv("server"))
    assert sockets.recv("client") == 1


def test_a_req_is_strict_again_once_a_request_went_well(
    sockets: SocketManager, router: Any, spawn: Make
) -> None:
    connect(sockets, zmq.REQ, router)
    with pytest.raises(SocketTimeout):
        sockets.request("client", 1, timeout=0.01)
    asked = spawn(sockets.request, "client", "again")
    while (message := router.recv_multipart())[-1] != b'"again"':
        pass
    router.send_multipart(message)
    asked.result()
    sockets.send("client", 1)
    with pytest.raises(AgentZeroSocketError, match="sends and receives in turn"):
        sockets.send("client", 2)


@ASKING
def test_closing_the_socket_wakes_all_who_asked(
    sockets: SocketManager, router: Any, spawn: Make, waiting: Make, eventually: Make, kind: int
) -> None:
    connect(sockets, kind, router)
    asked = [spawn(sockets.request, "client", number, math.inf) for number in range(4)]
    if kind == zmq.REQ:
        waiting(sockets, "client")
        eventually(lambda: len(sockets._channels["client"].requests._queue) == 4)
    else:
        waiting(sockets, "client", 4)
    sockets.close("client")
    for task in asked:
        with pytest.raises(SocketClosed):
            task.result()


@ASKING
@pytest.mark.parametrize("frames", [[b"{"], [b"1", b"2"]], ids=["broken", "too many frames"])
def test_an_unreadable_reply_is_an_error_for_its_asker_alone(
    sockets: SocketManager, router: Any, spawn: Make, kind: int, frames: list[bytes]
) -> None:
    connect(sockets, kind, router)
    asked = spawn(sockets.request, "client", 1)
    router.send_multipart([*router.recv_multipart()[:-1], *frames])
    with pytest.raises(DeserializationError, match="'client'"):
        asked.result()
    asked = spawn(sockets.request, "client", 2)
    router.send_multipart(router.recv_multipart())
    assert asked.result() == 2
    assert sockets.stats("client").undecodable == 1


def test_a_reply_that_does_not_fit_is_an_error(
    sockets: SocketManager, router: Any, spawn: Make
) -> None:
    connect(sockets, zmq.DEALER, router)
    asked = spawn(sockets.request, "client", [1, "2"], type=list[int])
    router.send_multipart(router.recv_multipart())
    with pytest.raises(DeserializationError, match=r"\$\[1\]"):
        asked.result()


def test_a_message_that_is_no_reply_disturbs_nobody(
    sockets: SocketManager, router: Any, spawn: Make
) -> None:
    connect(sockets, zmq.DEALER, router)
    asked = spawn(sockets.request, "client", 1)
    message = router.recv_multipart()
    for frames in ([b"1"], [b""], [b"", b"2"], [b"id", b"", b"3"], [b"x"] * 20):
        router.send_multipart([message[0], *frames])
    router.send_multipart(message)
    assert asked.result() == 1
    assert sockets.stats("client").late == 5


@pytest.mark.parametrize("hostile", [5, {}, {"module": [1], "message": {"a": 1}, "name": None}])
def test_an_error_reply_need_not_be_as_ours(
    sockets: SocketManager, router: Any, spawn: Make, hostile: Any
) -> None:
    connect(sockets, zmq.DEALER, router)
    asked = spawn(sockets.request, "client", {"agentzero.error": hostile})
    router.send_multipart(router.recv_multipart())
    if hostile == 5:
        assert asked.result() == {"agentzero.error": 5}
    else:
        with pytest.raises(RemoteError, match="'client'"):
            asked.result()


@pytest.mark.parametrize("kind", [zmq.PULL, zmq.ROUTER, zmq.SUB])
def test_other_sockets_ask_and_serve_nothing(sockets: SocketManager, kind: int) -> None:
    sockets.create("other", kind)
    with pytest.raises(AgentZeroSocketError, match=r"request needs a REQ or DEALER.*'other'"):
        sockets.request("other", 1)
    sockets.create("dealer", zmq.DEALER)
    with pytest.raises(AgentZeroSocketError, match=r"serve needs a REP or ROUTER.*'dealer'"):
        sockets.serve("dealer", len)


@pytest.mark.parametrize(("retries", "error"), [(-1, ValueError), (1.5, TypeError)])
def test_retries_are_a_number_of_times(
    sockets: SocketManager, retries: Any, error: type[Exception]
) -> None:
    sockets.create("client", zmq.REQ)
    with pytest.raises(error, match="retries"):
        sockets.request("client", 1, retries=retries)


def test_a_handler_is_a_callable(sockets: SocketManager) -> None:
    sockets.create("server", zmq.REP)
    with pytest.raises(TypeError, match="handler"):
        sockets.serve("server", "no function")  # type: ignore[arg-type]


# A server that dies

SERVER = """
import sys, zmq
from agentzero import SocketManager
sockets = SocketManager()
sockets.ensure_and_bind("server", zmq.{kind}, {address!r})
print(sockets.endpoints("server")[0], flush=True)
sockets.serve("server", lambda data: [{name!r}, data])
"""


@ASKING
@pytest.mark.parametrize("server", ["REP", "ROUTER"])
def test_a_server_that_was_killed_and_restarted_answers_the_next_request(
    sockets: SocketManager, kind: int, server: str
) -> None:
    program = SERVER.format(kind=server, address=TCP, name="first")
    with running("-c", program, measured=False) as process:
        address = process.line()
        sockets.ensure_and_connect("client", kind, address)
        assert sockets.request("client", 1, START) == ["first", 1]
        process.kill()
    with pytest.raises(SocketTimeout):
        sockets.request("client", 2, timeout=0.1)
    program = SERVER.format(kind=server, address=address, name="second")
    with running("-c", program, measured=False) as process:
        process.line()
        assert sockets.request("client", 3, timeout=0.5, retries=60) == ["second", 3]


# Serving


@SERVING
@pytest.mark.parametrize("client", [zmq.REQ, zmq.DEALER], ids=["REQ", "DEALER"])
def test_bare_clients_get_their_answers(bare: Make, serving: Make, kind: int, client: int) -> None:
    address, _ = serving(kind, lambda number: number + 1)
    asker = bare(client, connect=address)
    before = [] if client == zmq.REQ else [b"hop", b"id", b""]
    for number in range(3):
        asker.send_multipart([*before, b"%d" % number])
        assert asker.recv_multipart() == [*before, b"%d" % (number + 1)]


@SERVING
@pytest.mark.parametrize("client", [zmq.REQ, zmq.DEALER], ids=["REQ", "DEALER"])
def test_what_a_handler_raises_is_raised_where_it_was_asked(
    sockets: SocketManager,
    serving: Make,
    caplog: pytest.LogCaptureFixture,
    kind: int,
    client: int,
) -> None:
    address, _ = serving(kind, settled)
    sockets.ensure_and_connect("client", client, address)
    with pytest.raises(RemoteError, match=r"'client' .*KeyError: 'no such thing'") as caught:
        sockets.request("client", "fail")
    error = caught.value
    assert (error.module, error.name) == ("builtins", "KeyError")
    assert "in settled" in error.traceback
    assert "'server'" in caplog.text
    assert sockets.request("client", "works") == "works"


@SERVING
def test_a_plain_peer_sees_an_error_as_data(bare: Make, serving: Make, kind: int) -> None:
    address, _ = serving(kind, settled)
    asker = bare(zmq.REQ, connect=address)
    asker.send(b'"fail"')
    assert list(asker.recv_json()["agentzero.error"]) == ["module", "name", "message", "traceback"]


@SERVING
def test_an_unreadable_request_is_answered_counted_logged_and_handed_on(
    sockets: SocketManager,
    bare: Make,
    serving: Make,
    caplog: pytest.LogCaptureFixture,
    kind: int,
) -> None:
    errors: list[DeserializationError] = []
    address, _ = serving(kind, len, type=str, on_error=errors.append)
    asker = bare(zmq.REQ, connect=address)
    for frames in ([b"{"], [b"\xff"], [b"1"], [b'"a"', b'"b"'], [b""]):
        asker.send_multipart(frames)
        assert asker.recv_json()["agentzero.error"]["name"] == "DeserializationError"
    asker.send(b'"four"')
    assert asker.recv() == b"4"
    assert sockets.stats("server").undecodable == len(errors) == 5
    assert errors[0].raw == b"{"
    assert caplog.text.count("cannot read a message on socket 'server'") == 5


def test_requests_to_a_router_without_an_envelope_that_makes_sense(
    sockets: SocketManager, bare: Make, serving: Make
) -> None:
    address, _ = serving(zmq.ROUTER, settled)
    asker = bare(zmq.DEALER, connect=address)
    for frames in ([b"a", b"b"], [b"1", b"2", b"3"], [b"", b"a", b"b"]):
        asker.send_multipart(frames)
        answer = asker.recv_multipart()
        assert b"DeserializationError" in answer[-1]
        assert answer[:-1] == ([b""] if frames[0] == b"" else [])
    asker.send(b"1")
    assert asker.recv_multipart() == [b"1"]


@SERVING
def test_a_reply_that_cannot_be_written_is_an_error_for_its_asker(
    sockets: SocketManager, serving: Make, kind: int
) -> None:
    address, _ = serving(kind, lambda data: math.nan if data else data)
    sockets.ensure_and_connect("client", zmq.REQ, address)
    with pytest.raises(RemoteError, match="SerializationError"):
        sockets.request("client", 1)
    assert sockets.request("client", 0) == 0


def test_an_answer_to_a_peer_that_has_gone_is_dropped_and_counted(
    sockets: SocketManager, peer: Make, serving: Make, eventually: Make
) -> None:
    def handler(data: Any) -> Any:
        if data == "go":
            guest.close()
            eventually(unknown)
        return data

    def unknown() -> bool:
        try:
            sockets._channels["server"].try_send_frames([b"guest", b"1"])
        except PeerUnreachable:
            return True
        return False

    address, _ = serving(zmq.ROUTER, handler)
    guest = peer(zmq.DEALER, connect=address, routing_id=b"guest")
    guest.send(b'"go"')
    eventually(lambda: sockets.stats("server").dropped)
    assert sockets.stats("server").dropped == 1
    sockets.ensure_and_connect("client", zmq.REQ, address)
    assert sockets.request("client", 1) == 1


@SERVING
def test_serving_ends_when_it_is_told_to(sockets: SocketManager, spawn: Make, kind: int) -> None:
    sockets.ensure_and_bind("server", kind, TCP)
    go_on = [True]
    task = spawn(sockets.serve, "server", len, lambda: go_on[0], polling_timeout=10)
    go_on.clear()
    go_on.append(False)
    assert task.result() is None
    assert sockets.serve("server", len, timeout=0.01) is None


@SERVING
def test_serving_ends_when_the_socket_is_closed(
    sockets: SocketManager, serving: Make, kind: int
) -> None:
    _, task = serving(kind, len)
    sockets.close("server")
    assert task.result() is None


@SERVING
def test_serving_ends_when_the_handler_closes_the_socket(
    sockets: SocketManager, bare: Make, serving: Make, kind: int
) -> None:
    address, task = serving(kind, lambda data: sockets.close("server"))
    bare(zmq.REQ, connect=address).send(b"1")
    assert task.result() is None


class Stop(BaseException):
    """As Ctrl-C, but for no particular thread."""


@SERVING
def test_who_is_interrupted_in_a_handler_leaves_the_socket_usable(
    sockets: SocketManager, serving: Make, kind: int
) -> None:
    def handler(data: Any) -> Any:
        raise Stop

    address, task = serving(kind, handler)
    sockets.ensure_and_connect("client", zmq.REQ, address)
    with pytest.raises(RemoteError, match="Stop") as caught:
        sockets.request("client", 1)
    assert caught.value.name == "Stop"
    with pytest.raises(Stop):
        task.result()
    _, task = serving(kind, settled)
    assert sockets.request("client", 2) == 2


@SERVING
def test_what_on_error_raises_ends_it_and_leaves_the_socket_usable(
    sockets: SocketManager, bare: Make, serving: Make, kind: int
) -> None:
    def complain(error: DeserializationError) -> None:
        raise LookupError

    address, task = serving(kind, settled, on_error=complain)
    asker = bare(zmq.REQ, connect=address)
    asker.send(b"{")
    assert b"DeserializationError" in asker.recv()
    with pytest.raises(LookupError):
        task.result()
    serving(kind, settled)
    asker.send(b"1")
    assert asker.recv() == b"1"


def test_several_tasks_serve_a_router(
    sockets: SocketManager, spawn: Make, serving: Make, waiting: Make
) -> None:
    address, _ = serving(zmq.ROUTER, settled)
    for _ in range(3):
        spawn(sockets.serve, "server", settled)
    waiting(sockets, "server", 4)
    sockets.ensure_and_connect("client", zmq.DEALER, address)
    tasks = [spawn(sockets.request, "client", number) for number in range(100)]
    assert [task.result() for task in tasks] == list(range(100))


def test_every_serializer_asks_and_answers(manager: Make, spawn: Make, codec: str) -> None:
    sockets = manager(serialization_backend=codec)
    sockets.ensure_and_bind("server", zmq.REP, "inproc://questions")
    sockets.ensure_and_connect("client", zmq.DEALER, "inproc://questions")
    spawn(sockets.serve, "server", settled)
    assert sockets.request("client", [1, None, "é"]) == [1, None, "é"]
    with pytest.raises(RemoteError):
        sockets.request("client", "fail")
    sockets.close_all()


# Interruptions


@pytest.mark.usefixtures("without_naps")
def test_whoever_is_interrupted_loses_nobody_s_reply() -> None:
    """At any step of receiving and handing over, as Ctrl-C may come."""
    step = 1
    while interrupted_at(step):
        step += 1
    assert step > 15


def interrupted_at(step: int) -> bool:
    """Interrupt one of two who ask while it receives; return whether it ever came to that step."""
    trace = Interrupting(step)
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
            measuring = sys.gettrace()
            sys.settrace(trace)
            try:
                with suppress(KeyboardInterrupt, SocketTimeout):
                    sockets.request("client", "mine", timeout=0)
            finally:
                sys.settrace(measuring)
        other.join()
        assert replies == ["other"], f"lost at {trace.where}"
    return bool(trace.where)


class Interrupting:
    """A trace function that raises at one of the lines that receive and hand over."""

    def __init__(self, step: int) -> None:
        receiving = Channel.try_recv_into, Channel._take_frames
        handing_over = Correlated._receive, Correlated._hand_over
        self._codes = {function.__code__ for function in receiving + handing_over}
        self._left = step
        self.where = ""

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
        router = sockets.ensure_and_bind("router", zmq.ROUTER, "inproc://router")
        sockets.ensure_and_connect("client", zmq.DEALER, "inproc://router")
        requests, bells = Correlated(sockets._channels["client"]), [Bell(), Bell()]
        receiver, other = (requests.ask(bell, b"1", Deadline(20), 20) for bell in bells)
        next(receiver)
        router.recv_multipart()
        next(other)
        router.send_multipart(router.recv_multipart())
        if interrupted:
            with monkeypatch.context() as patch:
                patch.setattr(Correlated, "_hand_over", Mock(side_effect=KeyboardInterrupt))
                with pytest.raises(KeyboardInterrupt):
                    next(receiver)
        else:
            next(receiver)
        assert bells[1].rung
        with pytest.raises(StopIteration) as end:
            next(other)
        assert end.value.value == b"1"
        assert sockets.stats("client").received == 1
        receiver.close()


class Interrupted(JSON):
    """Ctrl-C while a request is read."""

    def unpack(self, item: bytes) -> Any:
        data = super().unpack(item)
        if data == "stop":
            raise Stop
        return data


@SERVING
def test_who_is_interrupted_while_reading_leaves_the_socket_usable(
    sockets: SocketManager, bare: Make, spawn: Make, kind: int
) -> None:
    sockets.ensure_and_bind("server", kind, TCP, serializer=Interrupted())
    asker = bare(zmq.DEALER, connect=sockets.endpoints("server")[0])
    asker.send_multipart([b"", b'"stop"'])
    with pytest.raises(Stop):
        sockets.serve("server", settled)
    asker.send_multipart([b"", b"1"])
    spawn(sockets.serve, "server", settled)
    while (answer := asker.recv_multipart())[-1] != b"1":
        assert b"Stop" in answer[-1]


def test_a_request_that_timed_out_before_it_left_is_never_sent(
    manager: Make, bare: Make, spawn: Make, tmp_path: Path
) -> None:
    sockets, address = manager(linger=5), f"ipc://{tmp_path}/later"
    sockets.ensure_and_connect("client", zmq.REQ, address)
    with pytest.raises(SocketTimeout):
        sockets.request("client", "first", timeout=0.05)
    router, seen = bare(zmq.ROUTER, bind=address), []
    for word in ("second", "third", "fourth"):
        asked = spawn(sockets.request, "client", word)
        seen.append(router.recv_multipart())
        router.send_multipart(seen[-1])
        assert asked.result() == word
    assert [message[-1] for message in seen] == [b'"second"', b'"third"', b'"fourth"']


def looped(test: Callable[[], Any]) -> Callable[[], None]:
    """Make a test of a coroutine function: it runs for a bounded time."""
    return lambda: asyncio.run(asyncio.wait_for(test(), START))


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


@looped
async def test_a_handler_may_be_a_coroutine_function_and_be_cancelled() -> None:
    async with AsyncSocketManager(linger=0) as sockets:
        sockets.ensure_and_bind("server", zmq.REP, "inproc://questions")
        sockets.ensure_and_connect("client", zmq.REQ, "inproc://questions")
        began = asyncio.Event()

        async def handler(seconds: float) -> str:
            began.set()
            await asyncio.sleep(seconds)
            return "awake"

        serves = asyncio.create_task(sockets.serve("server", handler))
        assert await sockets.request("client", 0.001) == "awake"
        with pytest.raises(RemoteError, match="TypeError"):
            await sockets.request("client", "soon")
        began.clear()
        asks = asyncio.create_task(sockets.request("client", 60))
        await began.wait()
        serves.cancel()
        with pytest.raises(RemoteError, match="CancelledError"):
            await asks
        with pytest.raises(asyncio.CancelledError):
            await serves
        serves = asyncio.create_task(sockets.serve("server", handler))
        assert await sockets.request("client", 0) == "awake"
        sockets.close("server")
        await serves


@ASKING
def test_what_is_no_type_is_told_before_anything_is_sent(sockets: SocketManager, kind: int) -> None:
    sockets.create("client", kind)
    sockets.create("server", zmq.REP)
    with pytest.raises(TypeError, match="no type to convert to"):
        sockets.request("client", 1, type="int")
    with pytest.raises(TypeError, match="no type to convert to"):
        sockets.serve("server", len, type="int")
    assert sockets.stats("client").sent == 0
