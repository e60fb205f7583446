"""serve: a loop that goes on, whatever it is asked and its handler does."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable
from typing import Any

import pytest
import zmq

from agentzero import AsyncSocketManager, SocketManager
from agentzero.errors import (
    DeserializationError,
    PeerUnreachable,
    RemoteError,
)
from agentzero.serializers import JSON
from tests.questions import SERVING, TCP, Stop, looped, settled

Make = Callable[..., Any]


def test_a_handler_is_a_callable(sockets: SocketManager) -> None:
    sockets.create("server", zmq.REP)
    with pytest.raises(TypeError, match="handler"):
        sockets.serve("server", "no function")  # type: ignore[call-overload]


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
    sockets.serve("server", len, timeout=0.01)


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


@SERVING
def test_serving_ends_when_the_handler_closes_the_manager(
    sockets: Any, bare: Make, serving: Make, kind: int
) -> None:
    manager = getattr(sockets, "_manager", sockets)  # whose coroutine the loop is to await
    address, task = serving(kind, lambda data: manager.close_all())
    bare(zmq.REQ, connect=address).send(b"1")
    assert task.result() is None


def test_a_handler_may_ask_others(sockets: SocketManager, spawn: Make, serving: Make) -> None:
    sockets.ensure_and_bind("other", zmq.REP, TCP)
    sockets.ensure_and_connect("asks", zmq.DEALER, sockets.endpoints("other")[0])
    spawn(sockets.serve, "other", settled)
    manager = getattr(sockets, "_manager", sockets)
    address, _ = serving(zmq.ROUTER, lambda data: manager.request("asks", data))
    sockets.ensure_and_connect("client", zmq.REQ, address)
    with pytest.raises(RemoteError, match="RemoteError") as caught:
        sockets.request("client", "fail")
    assert "KeyError" in caught.value.traceback
    assert sockets.request("client", 2) == 2


def test_a_rep_goes_on_when_whoever_asked_has_gone(
    sockets: SocketManager, peer: Make, bare: Make, serving: Make, eventually: Make
) -> None:
    def handler(data: Any) -> Any:
        if data == "go":
            guest.close()
        return data

    address, _ = serving(zmq.REP, handler)
    guest = peer(zmq.REQ, connect=address)
    guest.send(b'"go"')
    asker = bare(zmq.REQ, connect=address)
    asker.send(b"1")
    assert asker.recv() == b"1"


def test_a_rep_goes_on_when_whoever_asks_takes_no_answers(
    sockets: SocketManager, peer: Make, bare: Make, serving: Make, eventually: Make
) -> None:
    sockets.create("server", zmq.REP)
    sockets.set_socket_option("server", zmq.SNDHWM, 1)
    address, _ = serving(zmq.REP, lambda data: "x" * 100_000)
    greedy = peer(zmq.DEALER, connect=address, rcvhwm=1)
    for _ in range(100):
        greedy.send_multipart([b"", b"1"])
    eventually(lambda: sockets.stats("server").sent == 100)
    asker = bare(zmq.REQ, connect=address)
    asker.send(b"1")
    assert len(asker.recv()) == 100_002


@SERVING
def test_ctrl_c_within_an_answer_does_not_answer_twice(
    sockets: SocketManager, bare: Make, serving: Make, kind: int
) -> None:
    address, task = serving(kind, settled)
    channel = sockets._channels["server"]
    send = channel._send

    def interrupted(frame: bytes, flags: int) -> None:
        send(frame, flags)
        if frame == b"1":
            channel._send = send
            raise Stop

    channel._send = interrupted
    asker = bare(zmq.DEALER, connect=address)
    asker.send_multipart([b"", b"1"])
    with pytest.raises(Stop):
        task.result()
    serving(kind, settled)
    asker.send_multipart([b"", b"2"])
    assert [asker.recv_multipart() for _ in range(2)] == [[b"", b"1"], [b"", b"2"]]


@SERVING
def test_what_keep_polling_raises_ends_it(sockets: SocketManager, kind: int) -> None:
    def keep_polling() -> bool:
        raise LookupError

    sockets.ensure_and_bind("server", kind, TCP)
    with pytest.raises(LookupError):
        sockets.serve("server", settled, keep_polling)


@pytest.mark.parametrize("waits", ["threads", "gevent"])
def test_a_coroutine_function_is_for_an_asyncsocketmanager(waits: str) -> None:
    async def handler(data: Any) -> Any:
        return data

    with backend_or_skip(waits) as sockets:
        sockets.create("server", zmq.REP)
        with pytest.raises(TypeError, match="AsyncSocketManager"):
            sockets.serve("server", handler)


def backend_or_skip(name: str) -> SocketManager:
    if name == "gevent":
        pytest.importorskip("gevent")
    return SocketManager(backend=name, linger=0)


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
