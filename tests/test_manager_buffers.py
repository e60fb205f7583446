"""Frames that are sent and received without a copy, and when their memory is free again."""

from __future__ import annotations

import array
import ctypes
import socket
from collections.abc import Callable
from typing import Any

import pytest
import zmq

from agentzero import SocketManager
from agentzero.errors import SocketTimeout

Make = Callable[..., Any]

LARGE = 1_000_000  # bytes; more than is ever copied
HUGE = 12_000_000  # bytes; more than any buffers of TCP hold


def pattern(size: int = LARGE) -> bytearray:
    return bytearray(range(250)) * (size // 250)


def is_free(buffer: bytearray) -> bool:
    """Whether nobody holds its memory."""
    try:
        buffer.append(0)
    except BufferError:
        return False
    return True


@pytest.fixture
def shared(sockets: SocketManager, link: Make) -> SocketManager:
    """A PULL "in" and a PUSH "out" within the process, where nothing on the way copies."""
    link(sockets, ("in", zmq.PULL), ("out", zmq.PUSH), "inproc://large")
    return sockets


@pytest.fixture
def unread(sockets: SocketManager, peer: Make) -> Any:
    """A bare PULL that has taken nothing yet of what "out" sends."""
    pull = peer(zmq.PULL, bind="tcp://127.0.0.1:*", rcvbuf=4096, rcvhwm=1)
    sockets.ensure_and_connect("out", zmq.PUSH, pull.get(zmq.LAST_ENDPOINT).decode())
    return pull


BUFFERS: dict[str, Any] = {
    "bytes": bytes(pattern()),
    "bytearray": pattern(),
    "memoryview": memoryview(pattern())[500:],
    "array": array.array("d", range(100_000)),
    "two dimensions": memoryview(pattern()).cast("B", (1000, 1000)),
    "small": b"small",
    "empty": b"",
}


@pytest.mark.parametrize("copied", [True, False])
@pytest.mark.parametrize("buffer", BUFFERS.values(), ids=BUFFERS)
def test_any_buffer_arrives_as_its_bytes(pipe: SocketManager, buffer: Any, copied: bool) -> None:
    tracker = pipe.send_multipart("out", [b"head", buffer, b"tail"], copy=False)
    frames = pipe.recv_multipart("in", copy=copied)
    tracker.wait()
    assert [bytes(frame) for frame in frames] == [b"head", memoryview(buffer).tobytes(), b"tail"]
    assert {type(frame) for frame in frames} == {bytes if copied else memoryview}


def test_what_is_sent_with_a_copy_may_change_at_once(shared: SocketManager) -> None:
    buffer = pattern()
    assert shared.send_multipart("out", [buffer]) is None
    buffer[0] = 255
    assert shared.recv_multipart("in") == [pattern()]


def test_what_is_lent_is_not_copied(shared: SocketManager) -> None:
    buffer = pattern()
    shared.send_multipart("out", [buffer], copy=False)
    buffer[0] = 255
    (view,) = shared.recv_multipart("in", copy=False)
    assert view[0] == 255
    buffer[1] = 255
    assert view[1] == 255


def test_what_is_received_without_a_copy_cannot_be_written_to(shared: SocketManager) -> None:
    """Another receiver, or the sender, may look at the same memory."""
    for size in (10, LARGE):
        shared.send_multipart("out", [pattern(size)])
        (view,) = shared.recv_multipart("in", copy=False)
        assert view.readonly


def test_what_is_received_without_a_copy_outlives_the_manager(pipe: SocketManager) -> None:
    pipe.send_multipart("out", [pattern(), b"tail"])
    frames = pipe.recv_multipart("in", copy=False)
    pipe.close_all()
    assert frames == [pattern(), b"tail"]


def test_it_is_done_when_the_receiver_lets_go(shared: SocketManager) -> None:
    tracker = shared.send_multipart("out", [pattern()], copy=False)
    frames = shared.recv_multipart("in", copy=False)
    assert not tracker.done
    del frames
    tracker.wait()
    assert tracker.done


def test_it_is_done_when_the_peer_has_taken_it(
    sockets: SocketManager, unread: Any, spawn: Make
) -> None:
    buffer = pattern(HUGE)
    tracker = sockets.send_multipart("out", [buffer], copy=False)
    assert not tracker.done
    waits = [spawn(tracker.wait) for _ in range(3)]
    assert unread.recv() == buffer
    for wait in waits:
        wait.result()
    assert tracker.done
    tracker.wait(timeout=0)


def test_it_is_done_when_all_frames_are(shared: SocketManager) -> None:
    tracker = shared.send_multipart("out", [pattern(), b"small", pattern()], copy=False)
    first, _, last = shared.recv_multipart("in", copy=False)
    del first
    with pytest.raises(SocketTimeout):
        tracker.wait(timeout=0.01)
    del last
    tracker.wait()


def test_it_is_done_at_once_where_a_copy_is_cheaper(sockets: SocketManager, unread: Any) -> None:
    tracker = sockets.send_multipart(
        "out", [b"head", bytearray(zmq.COPY_THRESHOLD - 1)], copy=False
    )
    assert tracker.done
    assert len(unread.recv_multipart()) == 2


def test_what_goes_to_many_is_done_when_all_have_it(
    sockets: SocketManager, link: Make, eventually: Make
) -> None:
    link(sockets, ("news", zmq.XPUB), ("one", zmq.SUB), "inproc://news")
    sockets.ensure_and_connect("other", zmq.SUB, "inproc://news")
    for name in ("one", "other"):
        sockets.set_topic(name, "")
    eventually(lambda: sockets._channels["news"].ready(zmq.POLLIN))
    sockets.recv_multipart("news")
    tracker = sockets.send_multipart("news", [b"topic", pattern()], copy=False)
    assert sockets.recv_multipart("one") == [b"topic", pattern()]
    assert not tracker.done
    assert sockets.recv_multipart("other") == [b"topic", pattern()]
    tracker.wait()


@pytest.mark.usefixtures("unread")
def test_it_is_done_when_the_message_is_dropped(sockets: SocketManager, spawn: Make) -> None:
    tracker = sockets.send_multipart("out", [pattern(HUGE)], copy=False)
    wait = spawn(tracker.wait)
    sockets.close_all()
    wait.result()
    assert tracker.done


def test_it_is_done_when_the_connection_goes(sockets: SocketManager, eventually: Make) -> None:
    """libzmq drops the messages only while somebody works on the socket."""
    with socket.socket() as refusing:
        refusing.bind(("127.0.0.1", 0))
        sockets.ensure_and_connect("out", zmq.PUSH, f"tcp://127.0.0.1:{refusing.getsockname()[1]}")
        trackers = [sockets.send_multipart("out", [pattern()], copy=False) for _ in range(2)]
        sockets.disconnect("out")
        trackers[0].wait()
        eventually(lambda: trackers[1].done)


def test_it_is_done_when_the_peer_goes(sockets: SocketManager, peer: Make) -> None:
    sockets.ensure_and_bind("out", zmq.PUSH, "tcp://127.0.0.1:*")
    pull = peer(zmq.PULL, connect=sockets.endpoints("out")[0], rcvbuf=4096, rcvhwm=1)
    trackers = [sockets.send_multipart("out", [pattern(HUGE)], copy=False) for _ in range(4)]
    pull.close()
    for tracker in trackers:
        tracker.wait()


@pytest.mark.usefixtures("unread")
def test_the_time_out_says_which_socket_still_sends(sockets: SocketManager) -> None:
    tracker = sockets.send_multipart("out", [pattern(HUGE)], copy=False)
    for timeout in (0, 0.01):
        with pytest.raises(SocketTimeout, match=rf"'out'.*{timeout} s"):
            tracker.wait(timeout)
    assert sockets.stats("out").timeouts == 2
    assert "'out'" in repr(tracker)


@pytest.mark.usefixtures("unread")
@pytest.mark.parametrize(("timeout", "error"), [(-1, ValueError), ("1", TypeError)])
def test_nonsense_is_no_time_out(
    sockets: SocketManager, timeout: Any, error: type[Exception]
) -> None:
    with pytest.raises(error):
        sockets.send_multipart("out", [pattern(HUGE)], copy=False).wait(timeout)


def test_what_waits_for_room_is_sent_whole(
    sockets: SocketManager, spawn: Make, waiting: Make
) -> None:
    sockets.create("out", zmq.PUSH)
    sent = spawn(sockets.send_multipart, "out", [b"head", pattern()], copy=False)
    waiting(sockets, "out")
    sockets.ensure_and_bind("in", zmq.PULL, "inproc://late")
    sockets.connect("out", "inproc://late")
    assert sockets.recv_multipart("in") == [b"head", pattern()]
    sent.result().wait()


def test_what_could_not_be_queued_is_given_back(sockets: SocketManager, eventually: Make) -> None:
    sockets.create("out", zmq.PUSH)
    buffer = pattern()
    with pytest.raises(SocketTimeout):
        sockets.send_multipart("out", [buffer], timeout=0, copy=False)
    eventually(lambda: is_free(buffer))


def test_counters_know_its_size(shared: SocketManager) -> None:
    shared.send_multipart("out", [b"head", BUFFERS["array"]], copy=False)
    shared.recv_multipart("in", copy=False)
    assert shared.stats("out").sent_bytes == shared.stats("in").received_bytes == 800_004


@pytest.mark.parametrize("copied", [True, False])
def test_what_is_not_contiguous_is_refused(pipe: SocketManager, copied: bool) -> None:
    with pytest.raises(ValueError, match="contiguous"):
        pipe.send_multipart("out", [memoryview(pattern())[::2]], copy=copied)  # type: ignore[call-overload]


@pytest.mark.parametrize("copied", [True, False])
def test_references_to_objects_are_refused(pipe: SocketManager, copied: bool) -> None:
    """Their addresses mean nothing to others, and are nobody's business."""
    objects = (ctypes.py_object * 3)(1, 2, 3)

    class Row(ctypes.Structure):
        _fields_ = (("count", ctypes.c_int), ("Owner", ctypes.c_int))

    with pytest.raises(TypeError, match="Python objects"):
        pipe.send_multipart("out", [objects], copy=copied)  # type: ignore[call-overload]
    pipe.send_multipart("out", [Row(1, 2)])
    assert pipe.recv_multipart("in") == [bytes(Row(1, 2))]


@pytest.mark.parametrize(
    "buffer", [bytearray(b"abc"), memoryview(b"abc"), array.array("d", [1.0]), b"abc", "abc"]
)
def test_a_forgotten_list_is_told(pipe: SocketManager, buffer: Any) -> None:
    with pytest.raises(TypeError, match="a list of frames is expected, not"):
        pipe.send_multipart("out", buffer)


def test_who_waits_for_a_message_gets_views(
    pipe: SocketManager, spawn: Make, waiting: Make
) -> None:
    received = spawn(pipe.recv_multipart, "in", copy=False)
    waiting(pipe, "in")
    pipe.send_multipart("out", [b"head", pattern()])
    assert received.result() == [b"head", pattern()]
