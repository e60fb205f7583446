"""request: replies find whoever asked, and what goes wrong goes wrong for one alone."""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import zmq

from agentzero import SocketManager
from agentzero.errors import (
    AgentZeroSocketError,
    DeserializationError,
    RemoteError,
    SocketClosed,
    SocketTimeout,
)
from tests.processes import START, running
from tests.questions import ASKING, TCP, Patient, connect

Make = Callable[..., Any]


@pytest.fixture(params=["tcp", "ipc", "inproc"])
def address(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Something to bind to, on each transport."""
    return {"tcp": TCP, "ipc": f"ipc://{tmp_path}/s", "inproc": "inproc://questions"}[request.param]


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


def test_nor_is_it_where_the_manager_knows_nothing_of_the_connection(
    sockets: SocketManager, router: Any, spawn: Make
) -> None:
    sockets.create("client", zmq.REQ).connect(router.last_endpoint.decode())
    missed = spawn(sockets.request, "client", "first", timeout=0.3)
    first = router.recv_multipart()
    with pytest.raises(SocketTimeout):
        missed.result()
    asked = spawn(sockets.request, "client", "second")
    second = router.recv_multipart()
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


def test_a_second_reply_is_dropped_and_counted(
    sockets: SocketManager, router: Any, spawn: Make
) -> None:
    connect(sockets, zmq.DEALER, router)
    for number in range(3):
        asked = spawn(sockets.request, "client", number)
        message = router.recv_multipart()
        for _ in range(3):
            router.send_multipart(message)
        assert asked.result() == number
    asked = spawn(sockets.request, "client", "last")
    router.send_multipart(router.recv_multipart())
    assert asked.result() == "last"
    assert sockets.stats("client").late == 6


def test_a_request_gives_up_in_time_though_replies_for_others_keep_arriving(
    sockets: SocketManager,
) -> None:
    sockets.ensure_and_bind("router", zmq.ROUTER, "inproc://router")
    sockets.create("client", zmq.DEALER)
    sockets.set_socket_option("client", zmq.IDENTITY, b"client")
    sockets.connect("client", "inproc://router")
    sockets.send("client", "here I am")
    sockets.recv_from("router")
    for _ in range(500):
        sockets.send_multipart("router", [b"client", b"another's", b"", b"1"])
    with pytest.raises(SocketTimeout, match="no reply"):
        sockets.request("client", 1, timeout=0)
    assert 0 < sockets.stats("client").late < 500


@ASKING
def test_a_connection_that_was_let_go_of_amid_a_request_can_be_made_again(
    sockets: SocketManager, router: Any, spawn: Make, kind: int
) -> None:
    connect(sockets, kind, router)
    asked = spawn(sockets.request, "client", "first", timeout=0.2)
    router.recv_multipart()
    sockets.disconnect("client")
    with pytest.raises(SocketTimeout):
        asked.result()
    connect(sockets, kind, router)
    asked = spawn(sockets.request, "client", "second")
    router.send_multipart(router.recv_multipart())
    assert asked.result() == "second"


@ASKING
def test_a_socket_that_its_user_closes_amid_a_request_is_closed(
    sockets: SocketManager, router: Any, spawn: Make, kind: int
) -> None:
    connect(sockets, kind, router)
    asked = spawn(sockets.request, "client", "first")
    router.recv_multipart()
    sockets.get_by_name("client").close()
    with pytest.raises(SocketClosed):
        asked.result()


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


@pytest.mark.parametrize("frames", [[], [b"1"], [b"", b"1", b"2"]], ids=len)
def test_a_reply_to_a_dealer_has_three_frames(
    sockets: SocketManager, router: Any, spawn: Make, frames: list[bytes]
) -> None:
    connect(sockets, zmq.DEALER, router)
    asked = spawn(sockets.request, "client", 1)
    router.send_multipart([*router.recv_multipart()[:2], *frames])
    expected = f"frames: {1 + len(frames)}, where id, empty frame and payload were expected"
    with pytest.raises(DeserializationError, match=expected):
        asked.result()


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


@ASKING
def test_what_is_no_type_is_told_before_anything_is_sent(sockets: SocketManager, kind: int) -> None:
    sockets.create("client", kind)
    sockets.create("server", zmq.REP)
    with pytest.raises(TypeError, match="no type to convert to"):
        sockets.request("client", 1, type="int")
    with pytest.raises(TypeError, match="no type to convert to"):
        sockets.serve("server", len, type="int")
    assert sockets.stats("client").sent == 0
