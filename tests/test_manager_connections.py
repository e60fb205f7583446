"""What a manager tells of its connections: as events, and in the text of every time-out."""

from __future__ import annotations

import errno
import gc
import os
import threading
from collections.abc import Callable
from contextlib import suppress
from itertools import islice
from typing import Any

import pytest
import zmq

from agentzero import ConnectionEvent, SocketManager, attendant
from agentzero.endpoints import redial
from agentzero.errors import AgentZeroSocketError, SocketClosed, SocketNotFound, SocketTimeout
from agentzero.monitor import KEPT, Monitor

Make = Callable[..., Any]

TCP = "tcp://127.0.0.1:*"
NOBODY = "tcp://127.0.0.1:1"
NOWHERE = "tcp://nowhere.invalid:6000"

needs_proc = pytest.mark.skipif(not os.path.isdir("/proc/self/task"), reason="it has no /proc")


def kinds(sockets: SocketManager, name: str, count: int) -> list[str]:
    """The first events of a socket."""
    return [event.kind for event in islice(sockets.connection_events(name, timeout=20), count)]


def until(sockets: SocketManager, name: str, kind: str) -> ConnectionEvent:
    """The next event of a kind, from the first on."""
    return next(e for e in sockets.connection_events(name, timeout=20) if e.kind == kind)


def native_threads() -> int:
    return len(os.listdir("/proc/self/task"))


# Events


@pytest.mark.parametrize("transport", ["tcp", "ipc"])
def test_both_sides_hear_of_each_other(
    sockets: SocketManager, link: Make, tmp_path: Any, transport: str
) -> None:
    where = TCP if transport == "tcp" else f"ipc://{tmp_path}/socket"
    address = link(sockets, ("in", zmq.PULL), ("out", zmq.PUSH), where)
    connected = ConnectionEvent("connected", address)
    assert next(sockets.connection_events("in")) == connected
    assert next(sockets.connection_events("out")) == connected
    sockets.close("out")
    assert kinds(sockets, "in", 2) == ["connected", "disconnected"]


def test_a_peer_that_goes_and_comes_again_is_heard_of(sockets: SocketManager, peer: Make) -> None:
    pull = peer(zmq.PULL, bind=TCP)
    address = pull.get(zmq.LAST_ENDPOINT).decode()
    sockets.ensure_and_connect("out", zmq.PUSH, address)
    assert kinds(sockets, "out", 1) == ["connected"]
    pull.close()
    assert kinds(sockets, "out", 3) == ["connected", "disconnected", "refused"]
    peer(zmq.PULL, bind=address)
    heard = [event.kind for event in _through_last(sockets, "out", "connected", 2)]
    assert heard == ["connected", "disconnected", *["refused"] * (len(heard) - 3), "connected"]


def _through_last(
    sockets: SocketManager, name: str, kind: str, count: int
) -> list[ConnectionEvent]:
    heard = []
    for event in sockets.connection_events(name, timeout=20):
        heard.append(event)
        count -= event.kind == kind
        if not count:
            break
    return heard


def test_a_name_that_nobody_resolves_is_told_from_a_port_where_nobody_listens(
    sockets: SocketManager,
) -> None:
    sockets.ensure_and_connect("a", zmq.PUSH, NOBODY)
    sockets.ensure_and_connect("b", zmq.PUSH, NOWHERE)
    assert until(sockets, "a", "refused") == ConnectionEvent("refused", NOBODY)
    assert "not resolved" in until(sockets, "b", "refused").reason


def test_a_stream_is_connected_without_a_handshake(sockets: SocketManager, link: Make) -> None:
    link(sockets, ("server", zmq.STREAM), ("client", zmq.STREAM))
    assert kinds(sockets, "server", 1) == kinds(sockets, "client", 1) == ["connected"]


def test_of_inproc_nothing_is_told(sockets: SocketManager, link: Make) -> None:
    link(sockets, ("in", zmq.PULL), ("out", zmq.PUSH), "inproc://quiet")
    assert list(sockets.connection_events("out", timeout=0.05)) == []


@pytest.mark.usefixtures("without_naps")
def test_events_are_heard_as_they_happen_by_all_who_listen(
    sockets: SocketManager, spawn: Make, eventually: Make, peer: Make
) -> None:
    sockets.ensure_and_bind("in", zmq.PULL, TCP)
    tasks = [spawn(kinds, sockets, "in", 2) for _ in range(3)]
    monitor = sockets._channels["in"].monitor
    eventually(lambda: len(monitor._listeners) == 3)
    push = peer(zmq.PUSH, connect=sockets.endpoints("in")[0])
    eventually(lambda: len(monitor._past) == 1)
    push.close()
    assert [task.result() for task in tasks] == [["connected", "disconnected"]] * 3
    assert not monitor._listeners


def test_listening_can_begin_before_there_is_anything_to_hear(
    sockets: SocketManager, spawn: Make, eventually: Make
) -> None:
    sockets.create("out", zmq.PUSH)
    task = spawn(until, sockets, "out", "refused")
    eventually(lambda: sockets._channels["out"].monitor is not None)
    sockets.connect("out", NOBODY)
    assert task.result().endpoint == NOBODY


def test_closing_the_socket_ends_it(sockets: SocketManager, spawn: Make, eventually: Make) -> None:
    sockets.ensure_and_bind("in", zmq.PULL, TCP)
    task = spawn(lambda: list(sockets.connection_events("in", polling_timeout=10**7)))
    eventually(lambda: sockets._channels["in"].monitor._listeners)
    sockets.close("in")
    assert task.result() == []


def test_keep_polling_and_silence_end_it(sockets: SocketManager) -> None:
    sockets.ensure_and_bind("in", zmq.PULL, TCP)
    asked = iter([True, True, False])
    events = sockets.connection_events("in", lambda: next(asked), polling_timeout=1)
    assert list(events) == []
    assert next(asked, "all were asked for") == "all were asked for"
    assert list(sockets.connection_events("in", timeout=0.01)) == []


def test_wrong_arguments_are_errors_at_once(sockets: SocketManager) -> None:
    sockets.create("in", zmq.PULL)
    with pytest.raises(SocketNotFound):
        sockets.connection_events("nobody")
    for wrong in (
        {"keep_polling": 1},
        {"timeout": "soon"},
        {"polling_timeout": None, "timeout": -1},
    ):
        with pytest.raises((TypeError, ValueError)):
            sockets.connection_events("in", **wrong)  # type: ignore[arg-type]


def test_the_past_is_kept_within_bounds(sockets: SocketManager) -> None:
    """Hundreds of refusals a second, which nobody asks about, harm nobody."""
    sockets.create("out", zmq.PUSH)
    sockets.set_socket_option("out", zmq.RECONNECT_IVL, 1)
    sockets.connect("out", NOBODY)
    events = sockets.connection_events("out", timeout=20)
    for _ in range(KEPT + 200):
        assert next(events).kind == "refused"
    events.close()
    assert len(sockets._channels["out"].monitor._past) == KEPT


def test_a_flood_of_events_keeps_no_other_socket_waiting(
    sockets: SocketManager, link: Make, eventually: Make
) -> None:
    for number in range(20):
        sockets.create(f"{number}", zmq.PUSH)
        sockets.set_socket_option(f"{number}", zmq.RECONNECT_IVL, 1)
        sockets.connect(f"{number}", NOBODY)
    link(sockets, ("in", zmq.PULL), ("out", zmq.PUSH))
    eventually(lambda: len(sockets._channels["0"].monitor._past) > 100)
    for number in range(500):
        sockets.send("out", number)
        assert sockets.recv("in", timeout=20) == number


# The words of time-outs


def said(verb: Callable[..., Any], *args: Any) -> str:
    """What the text of a time-out ends with, behind its time."""
    with pytest.raises(SocketTimeout) as caught:
        verb(*args, timeout=0.05)
    text, _, words = str(caught.value).partition(" in 0.05 s")
    assert text
    return words


VERBS: dict[str, tuple[int, Callable[[Any], Callable[..., Any]], tuple[Any, ...]]] = {
    "send": (zmq.PUSH, lambda sockets: sockets.send, (1,)),
    "send_multipart": (zmq.PUSH, lambda sockets: sockets.send_multipart, ([b"1"],)),
    "recv": (zmq.PULL, lambda sockets: sockets.recv, ()),
    "recv_multipart": (zmq.PULL, lambda sockets: sockets.recv_multipart, ()),
    "recv_from": (zmq.ROUTER, lambda sockets: sockets.recv_from, ()),
    "recv_event": (zmq.SUB, lambda sockets: sockets.recv_event, ()),
    "request on a REQ": (zmq.REQ, lambda sockets: sockets.request, (1,)),
    "request on a DEALER": (zmq.DEALER, lambda sockets: sockets.request, (1,)),
    "wait_for_subscribers": (zmq.XPUB, lambda sockets: sockets.wait_for_subscribers, ()),
}


@pytest.mark.parametrize("verb", VERBS)
def test_every_time_out_tells_what_the_connections_last_did(
    sockets: SocketManager, verb: str
) -> None:
    kind, bound, args = VERBS[verb]
    sockets.create("socket", kind)
    sockets.set_socket_option("socket", zmq.SNDHWM, 1)
    sockets.connect("socket", NOBODY)
    until(sockets, "socket", "refused")
    with suppress(SocketTimeout):  # until its queue is full
        for _ in range(9 if verb.startswith("send") else 0):
            bound(sockets)("socket", *args, timeout=0)
    assert said(bound(sockets), "socket", *args) == ": refused"


def test_a_peer_that_never_answered_reads_like_no_other(sockets: SocketManager, peer: Make) -> None:
    address = peer(zmq.REP, bind=TCP).get(zmq.LAST_ENDPOINT).decode()
    sockets.ensure_and_connect("q", zmq.DEALER, address)
    until(sockets, "q", "connected")
    assert said(sockets.request, "q", 1) == ": connected"


def test_a_peer_that_went_away_reads_like_no_other(sockets: SocketManager, peer: Make) -> None:
    rep = peer(zmq.REP, bind=TCP)
    sockets.ensure_and_connect("q", zmq.DEALER, rep.get(zmq.LAST_ENDPOINT).decode())
    until(sockets, "q", "connected")
    rep.close()
    until(sockets, "q", "refused")
    assert said(sockets.request, "q", 1) == ": disconnected, then refused"


def test_a_name_that_is_not_resolved_reads_like_no_other(sockets: SocketManager) -> None:
    sockets.ensure_and_connect("q", zmq.DEALER, NOWHERE)
    until(sockets, "q", "refused")
    assert "the name is not resolved" in said(sockets.request, "q", 1)


def test_socket_types_that_do_not_fit_read_like_no_other(
    sockets: SocketManager, link: Make
) -> None:
    link(sockets, ("in", zmq.PULL), ("q", zmq.DEALER))
    assert "socket types" in until(sockets, "q", "handshake failed").reason
    assert "socket types" in until(sockets, "in", "handshake failed").reason
    assert "socket types" in said(sockets.request, "q", 1)


def test_a_subscriber_to_nothing_reads_like_no_other(sockets: SocketManager, link: Make) -> None:
    link(sockets, ("out", zmq.PUB), ("in", zmq.SUB))
    until(sockets, "in", "connected")
    assert said(sockets.recv, "in") == ": connected; no topic is set"
    sockets.set_topic("in", "a")
    assert said(sockets.recv, "in") == ": connected"
    sockets.unset_topic("in", "a")
    sockets.disconnect("in")
    assert said(sockets.recv, "in") == "; no topic is set"


def test_a_bound_socket_tells_how_many_peers_it_has(
    sockets: SocketManager, peer: Make, eventually: Make
) -> None:
    sockets.ensure_and_bind("in", zmq.PULL, TCP)
    assert said(sockets.recv, "in") == ": no peer has connected yet"
    pushes = [peer(zmq.PUSH, connect=sockets.endpoints("in")[0]) for _ in range(2)]
    eventually(lambda: said(sockets.recv, "in") == ": 2 peers connected")
    pushes.pop().close()
    eventually(lambda: said(sockets.recv, "in") == ": 1 peer connected, last: disconnected")


def test_of_several_endpoints_each_is_told(sockets: SocketManager, peer: Make) -> None:
    address = peer(zmq.PUSH, bind=TCP).get(zmq.LAST_ENDPOINT).decode()
    sockets.ensure_and_connect("in", zmq.PULL, address)
    sockets.connect("in", NOBODY)
    until(sockets, "in", "connected"), until(sockets, "in", "refused")
    assert said(sockets.recv, "in") == f": {address} connected, {NOBODY} refused"
    sockets.disconnect("in", NOBODY)
    assert said(sockets.recv, "in") == ": connected"


def test_what_was_let_go_of_is_forgotten(sockets: SocketManager) -> None:
    sockets.ensure_and_connect("in", zmq.PULL, NOBODY)
    until(sockets, "in", "refused")
    sockets.disconnect("in")
    assert said(sockets.recv, "in") == ""


# What libzmq gives up


def test_a_connection_that_the_other_side_s_message_ended_is_made_anew(
    sockets: SocketManager, peer: Make
) -> None:
    push = peer(zmq.PUSH, bind=TCP)
    address = push.get(zmq.LAST_ENDPOINT).decode()
    sockets.ensure_and_connect("in", zmq.PULL, address, max_message_size=1000)
    push.send(b"0")
    assert sockets.recv("in", timeout=20) == 0
    push.send(bytes(2000))
    heard = _through_last(sockets, "in", "connected", 2)
    assert [event.kind for event in heard] == ["connected", "disconnected", "connected"]
    push.send(b"1")
    assert sockets.recv("in", timeout=20) == 1


def test_a_subscription_survives_that(sockets: SocketManager, peer: Make) -> None:
    xpub = peer(zmq.XPUB, bind=TCP)
    address = xpub.get(zmq.LAST_ENDPOINT).decode()
    sockets.ensure_and_connect("in", zmq.SUB, address, max_message_size=1000)
    sockets.set_topic("in", "news")
    assert xpub.recv() == b"\1news"
    xpub.send_multipart([b"news", b"0"])
    assert sockets.recv_event("in", timeout=20).data == 0
    xpub.send_multipart([b"news", bytes(2000)])
    assert xpub.recv() == b"\0news"
    assert xpub.recv() == b"\1news"
    xpub.send_multipart([b"news", b"1"])
    assert sockets.recv_event("in", timeout=20).data == 1


def test_who_wants_no_reconnection_gets_none(sockets: SocketManager, peer: Make) -> None:
    push = peer(zmq.PUSH, bind=TCP)
    sockets.create("in", zmq.PULL, max_message_size=1000)
    sockets.set_socket_option("in", zmq.RECONNECT_IVL, -1)
    sockets.connect("in", push.get(zmq.LAST_ENDPOINT).decode())
    push.send(b"0")
    assert sockets.recv("in", timeout=20) == 0
    push.send(bytes(2000))
    events = sockets.connection_events("in", timeout=1.3)
    assert [event.kind for event in events] == ["connected", "disconnected"]


def test_a_peer_hears_of_a_disconnection_from_a_socket_that_is_idle(
    sockets: SocketManager, link: Make
) -> None:
    link(sockets, ("in", zmq.PULL), ("out", zmq.PUSH))
    sockets.send("out", 1)
    assert sockets.recv("in", timeout=20) == 1
    sockets.disconnect("out")
    until(sockets, "in", "disconnected")


def test_a_host_name_that_is_connected_again_stays_so(sockets: SocketManager, peer: Make) -> None:
    """libzmq calls it by its number from the second time on."""
    push = peer(zmq.PUSH, bind=TCP)
    port = push.get(zmq.LAST_ENDPOINT).decode().rpartition(":")[2]
    sockets.ensure_and_connect("in", zmq.PULL, f"tcp://localhost:{port}")
    push.send(b"1")
    assert sockets.recv("in", timeout=20) == 1
    push.close()
    until(sockets, "in", "disconnected")
    push = peer(zmq.PUSH, bind=f"tcp://127.0.0.1:{port}")
    push.send(b"2")
    assert sockets.recv("in", timeout=20) == 2
    events = list(sockets.connection_events("in", timeout=1.2))
    assert {event.endpoint for event in events} == {f"tcp://localhost:{port}"}
    assert [event.kind for event in events].count("connected") == 2
    assert said(sockets.recv, "in") == ": connected"


@pytest.mark.parametrize("host", ["0.0.0.0", "*", "[::]"])
def test_who_comes_to_a_wildcard_is_counted(
    sockets: SocketManager, peer: Make, eventually: Make, host: str
) -> None:
    sockets.create("in", zmq.PULL)
    _, address = sockets.bind_to_random_port("in", local_address=f"tcp://{host}")
    peer(zmq.PUSH, connect=f"tcp://127.0.0.1:{address.rpartition(':')[2]}")
    assert until(sockets, "in", "connected").endpoint == address
    assert said(sockets.recv, "in") == ": 1 peer connected"


# What is used by hand


@pytest.mark.parametrize("use", ["nothing", "by hand"])
def test_a_socket_that_is_used_by_hand_is_left_alone(
    backend: Any, sockets: SocketManager, link: Make, use: str
) -> None:
    link(sockets, ("in", zmq.PULL), ("out", zmq.PUSH))
    until(sockets, "out", "connected")
    channel = sockets._channels["out"]
    if use != "nothing":
        sockets.send("out", 1)
        assert channel.is_ours
        backend.call(channel.socket.poll, 0)
    assert not channel.is_ours
    assert not redial(channel, channel.endpoints[0].address)
    sockets.send("out", 2)
    assert channel.is_ours == (use == "nothing")


# The end


@needs_proc
@pytest.mark.parametrize("end", ["close_all", "dropped", "sockets first", "context first"])
def test_nothing_is_left_of_what_listened(backend: Any, eventually: Make, end: str) -> None:
    before = native_threads()
    context = zmq.Context() if end == "context first" else None
    sockets = backend.manager(linger=0, context=context)
    sockets.ensure_and_connect("out", zmq.PUSH, NOBODY)
    sockets.ensure_and_bind("in", zmq.PULL, TCP)
    until(sockets, "out", "refused")
    if end == "sockets first":
        for name in sockets.names():
            sockets.get_by_name(name).close()
    if context is not None:
        backend.call(context.destroy, 0)
    if end != "dropped":
        sockets.close_all()
    del sockets
    gc.collect()
    eventually(lambda: native_threads() <= before)


def test_a_context_that_was_passed_in_is_left_as_it_was(backend: Any, eventually: Make) -> None:
    """No socket is left in it: terminating it does not wait."""
    with zmq.Context() as context:
        sockets = backend.manager(linger=0, context=context)
        sockets.ensure_and_connect("out", zmq.PUSH, NOBODY)
        until(sockets, "out", "refused")
        sockets.close_all()
        ended = threading.Thread(target=context.term, daemon=True)
        ended.start()
        eventually(lambda: not ended.is_alive())


def test_closing_a_socket_by_hand_ends_its_events(
    sockets: SocketManager, spawn: Make, eventually: Make
) -> None:
    sockets.ensure_and_bind("in", zmq.PULL, TCP)
    sockets.ensure_and_connect("out", zmq.PUSH, NOBODY)
    task = spawn(lambda: list(sockets.connection_events("in", polling_timeout=10**7)))
    eventually(lambda: sockets._channels["in"].monitor._listeners)
    sockets.get_by_name("in").close()
    assert task.result() == []
    until(sockets, "out", "refused")


def test_a_monitor_of_the_user_s_own_takes_the_place_of_ours(
    sockets: SocketManager, link: Make, eventually: Make
) -> None:
    sockets.ensure_and_bind("in", zmq.PULL, TCP)
    plain = zmq.Socket.shadow(sockets.get_by_name("in").underlying)
    plain.monitor("inproc://mine", zmq.EVENT_ALL)
    mine = sockets.context.socket(zmq.PAIR, socket_class=zmq.Socket)
    mine.connect("inproc://mine")
    eventually(lambda: sockets._channels["in"].monitor.closed)
    link(sockets, ("in", zmq.PULL), ("out", zmq.PUSH))
    sockets.send("out", 1)
    assert sockets.recv("in", timeout=20) == 1
    assert mine.poll(20_000)
    plain.disable_monitor()
    mine.close()


def test_where_no_monitor_can_be_made_all_else_works(
    sockets: SocketManager, link: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    def too_many(*_: Any) -> None:
        raise zmq.ZMQError(errno.EMFILE)

    monkeypatch.setattr(Monitor, "_attach", too_many)
    link(sockets, ("in", zmq.PULL), ("out", zmq.PUSH))
    sockets.send("out", 1)
    assert sockets.recv("in", timeout=20) == 1
    assert said(sockets.recv, "in") == ""
    with pytest.raises(AgentZeroSocketError, match="cannot be watched"):
        sockets.connection_events("in")


def test_ctrl_c_while_a_monitor_is_made_leaves_none(
    sockets: SocketManager, link: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    read, interrupts = Monitor.read, [KeyboardInterrupt]

    def interrupted(monitor: Monitor) -> None:
        if interrupts:
            raise interrupts.pop()
        read(monitor)

    monkeypatch.setattr(Monitor, "read", interrupted)
    with pytest.raises(KeyboardInterrupt):
        sockets.ensure_and_bind("in", zmq.PULL, TCP)
    link(sockets, ("in", zmq.PULL), ("out", zmq.PUSH))
    assert next(sockets.connection_events("in")).kind == "connected"


def test_where_monitors_would_take_too_much_there_are_none(
    sockets: SocketManager, eventually: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(attendant, "open_files", lambda: 64)
    for number in range(12):
        sockets.ensure_and_bind(f"{number}", zmq.PULL, TCP)
    watched = [channel.monitor is not None for channel in sockets._channels.values()]
    assert watched == [True] * 8 + [False] * 4
    sockets.close("0")
    eventually(lambda: len(sockets._attendant._watched) == 7)
    assert list(sockets.connection_events("11", timeout=0)) == []


def test_a_closed_socket_cannot_be_watched(sockets: SocketManager) -> None:
    sockets.create("in", zmq.PULL)
    sockets.get_by_name("in").close()
    with pytest.raises(SocketClosed):
        sockets.connection_events("in")


def test_of_an_abandoned_iteration_nothing_is_left(sockets: SocketManager) -> None:
    sockets.ensure_and_connect("out", zmq.PUSH, NOBODY)
    events = sockets.connection_events("out")
    assert next(events).kind == "refused"
    events.close()
    assert not sockets._channels["out"].monitor._listeners
