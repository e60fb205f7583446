"""What a revoked client sends over a connection that it still has: nobody receives it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import zmq

from agentzero.channel import Channel
from agentzero.screen import AT_ONCE, Screen, screened
from agentzero.security import ANY, ClientKeys, KeyPair, ServerKeys
from agentzero.serializers import JSON
from tests.gate import PATIENCE, TCP, Gate, gate, guarded, pairs
from tests.processes import START, run

__all__ = ["gate", "guarded", "pairs"]

NOBLOCK = int(zmq.NOBLOCK)
IN = int(zmq.POLLIN)


class Hall:
    """A server whose channel receives through a screen, and two clients that were let in.

    Attributes:
        keys: the server's.
        channel: the server's.
        good, bad: the clients.
    """

    def __init__(
        self,
        gate: Gate,
        pairs: list[KeyPair],
        kind: int,
        peer: int,
        address: str = TCP,
        *,
        anybody: bool = False,
    ) -> None:
        server, good, bad = pairs
        self.gate = gate
        self.bad_key = bad.public
        allowed = [good.public, bad.public]
        self.keys = ServerKeys(server, allowed=ANY if anybody else allowed)
        options = {"xpub_verboser": 1} if kind == zmq.XPUB else {}
        socket = gate.server(kind, self.keys, address, **options)
        self.channel = Channel("hall", socket, threading.RLock(), JSON())
        screen = screened(socket, self.keys, lambda: self.channel.count("dropped"))
        self.channel._recv, self.channel._get = screen.recv, screen.get
        self.good, self.bad = (
            gate.client(peer, ClientKeys(pair, server.public), socket) for pair in (good, bad)
        )
        for client in (self.good, self.bad):
            assert gate.outcome(client) == "HANDSHAKE_SUCCEEDED"

    def revoke(self) -> None:
        self.keys.revoke(self.bad_key)

    def hears(self) -> Any:
        """The next message that the channel receives."""
        return until(lambda: self.channel.try_recv())

    def has_dropped(self, messages: int) -> None:
        """Return when so many were dropped, and nothing was received meanwhile."""
        assert until(lambda: self.channel.try_recv() or self.channel.dropped == messages) is True


def until(condition: Callable[[], Any]) -> Any:
    end = time.monotonic() + PATIENCE / 1000
    while not (value := condition()):
        assert time.monotonic() < end
        time.sleep(0.001)
    return value


@pytest.fixture
def hall(guarded: Gate, pairs: list[KeyPair]) -> Callable[..., Hall]:
    def make(kind: int, peer: int, address: str = TCP, **options: Any) -> Hall:
        return Hall(guarded, pairs, kind, peer, address, **options)

    return make


@pytest.mark.parametrize("anybody", [False, True])
@pytest.mark.parametrize("transport", ["tcp", "ipc"])
@pytest.mark.parametrize(
    ("kind", "peer"),
    [
        (zmq.PULL, zmq.PUSH),
        (zmq.DEALER, zmq.DEALER),
        (zmq.SUB, zmq.XPUB),
    ],
)
def test_messages_of_a_revoked_client_are_dropped_whole_and_others_arrive(
    hall: Callable[..., Hall], kind: int, peer: int, transport: str, anybody: bool, tmp_path: Path
) -> None:
    address = TCP if transport == "tcp" else f"ipc://{tmp_path}/hall"
    here = hall(kind, peer, address, anybody=anybody)
    if kind == zmq.SUB:
        here.channel.socket.subscribe(b"")
        # libzmq sends it when somebody looks at the socket.
        until(lambda: here.channel.ready(IN) or (here.good.poll(0) and here.bad.poll(0)))
        assert here.good.recv() == here.bad.recv() == b"\1"
    here.bad.send_multipart([b"from bad", b"1"])
    assert here.hears() == [b"from bad", b"1"]
    here.revoke()
    for frames in ([b"single"], [b"more", b"than", b"one"], [b"", b""]):
        here.bad.send_multipart(frames)
    here.good.send(b"hello")
    assert here.hears() == b"hello"
    here.good.send_multipart([b"hello", b"again"])
    assert here.hears() == [b"hello", b"again"]
    here.has_dropped(3)


def test_a_router_drops_them_with_the_identity(hall: Callable[..., Hall]) -> None:
    here = hall(zmq.ROUTER, zmq.DEALER)
    here.revoke()
    here.bad.send_multipart([b"", b"spam"])
    here.has_dropped(1)
    here.good.send_multipart([b"", b"hello"])
    assert here.hears()[1:] == [b"", b"hello"]


def test_what_arrived_before_the_key_was_revoked_is_dropped_too(hall: Callable[..., Hall]) -> None:
    here = hall(zmq.PULL, zmq.PUSH)
    here.bad.send(b"early")
    assert here.channel.socket.poll(PATIENCE)
    here.revoke()
    here.has_dropped(1)


def test_a_client_that_is_allowed_again_is_heard_again(hall: Callable[..., Hall]) -> None:
    here = hall(zmq.PULL, zmq.PUSH)
    here.revoke()
    here.bad.send(b"spam")
    here.has_dropped(1)
    here.keys.allow(here.bad_key)
    here.bad.send(b"sorry")
    assert here.hears() == b"sorry"


def test_a_rep_answers_a_revoked_client_with_nothing_and_serves_the_others(
    hall: Callable[..., Hall],
) -> None:
    here = hall(zmq.REP, zmq.REQ)
    here.revoke()
    for _ in range(2):
        here.bad.send_multipart([b"let me in", b"please"])
        until(lambda: here.channel.try_recv() or here.bad.poll(0))
        assert here.bad.recv_multipart() == [b""]
    here.good.send(b"hello")
    assert here.hears() == b"hello"
    here.channel.try_send(b"world")
    assert here.good.recv() == b"world"
    assert here.channel.dropped == 2


def test_an_xpub_is_told_of_every_subscription_and_its_end(hall: Callable[..., Hall]) -> None:
    here = hall(zmq.XPUB, zmq.XSUB)
    here.revoke()
    here.bad.send(b"\1topic")
    assert here.hears() == b"\1topic"
    here.bad.send(b"gossip")
    here.bad.send_multipart([b"\2more", b"gossip"])
    here.bad.close()
    assert here.hears() == b"\0topic"
    assert here.channel.dropped == 2


def test_what_comes_from_within_the_process_has_no_key_and_arrives(
    hall: Callable[..., Hall],
) -> None:
    here = hall(zmq.PULL, zmq.PUSH)
    here.revoke()
    here.channel.socket.bind("inproc://hall")
    with here.channel.socket.context.socket(zmq.PUSH) as neighbour:
        neighbour.connect("inproc://hall")
        neighbour.send(b"hello")
        assert here.hears() == b"hello"


def test_a_dropped_message_leaves_a_waiter_waiting(hall: Callable[..., Hall]) -> None:
    here = hall(zmq.PULL, zmq.PUSH)
    here.revoke()
    here.bad.send(b"spam")
    assert here.channel.socket.poll(PATIENCE)
    assert here.channel.ready(IN)
    assert here.channel.try_recv() is None
    assert not here.channel.ready(IN)


# Frames that a client has really sent, received by a script


class Interrupted(BaseException):
    """What a signal handler raises."""


class Script:
    """Gives frames as a socket does.

    Args:
        frames: what is received, in this order; none is left at the end.
    """

    def __init__(self, frames: list[zmq.Frame]) -> None:
        self.frames = frames
        self.more = False
        self.loses: int | None = None

    def recv(self, flags: int, copy: bool) -> zmq.Frame:
        assert (flags, copy) == (NOBLOCK, False)
        if not self.frames:
            raise zmq.Again
        frame = self.frames.pop(0)
        self.more = frame.more
        if self.loses is not None:
            self.loses -= 1
            if self.loses < 0:
                self.loses = None
                raise Interrupted
        return frame

    def get(self, option: int) -> int:
        return int(self.more) if option == zmq.RCVMORE else 0


class Shaky(ServerKeys):
    """Keys that a signal handler interrupts, the first time that they are asked."""

    calm = False

    def admits(self, key: str | bytes) -> bool:
        if not self.calm:
            self.calm = True
            raise Interrupted
        return super().admits(key)


@pytest.fixture
def sent(guarded: Gate, pairs: list[KeyPair]) -> Callable[..., list[zmq.Frame]]:
    """Return the frames of messages as they arrive from the second pair, or from the third."""
    server = pairs[0]
    socket = guarded.server(zmq.PULL, ServerKeys(server, allowed=ANY))
    clients = {
        key: guarded.client(zmq.PUSH, ClientKeys(pair, server.public), socket)
        for key, pair in zip(("good", "bad"), pairs[1:], strict=True)
    }

    def send(who: str, *messages: list[bytes]) -> list[zmq.Frame]:
        frames: list[zmq.Frame] = []
        for message in messages:
            clients[who].send_multipart(message)
            frames += socket.recv_multipart(copy=False)
        return frames

    return send


def through(screen: Screen) -> list[Any]:
    """The frames that come through until there is none, and what interrupted that."""
    got: list[Any] = []
    while True:
        try:
            got.append(screen.recv(NOBLOCK))
        except zmq.Again:
            return got
        except Interrupted:
            got.append(Interrupted)


def test_nobody_is_asked_before_a_key_was_revoked(
    sent: Callable[..., list[zmq.Frame]], pairs: list[KeyPair]
) -> None:
    script = Script(sent("good", [b"1", b"2"], [b"3"]))
    keys = Shaky(pairs[0], allowed=[])
    assert through(Screen(script.recv, script.get, keys, int)) == [b"1", b"2", b"3"]


def test_frames_come_as_bytes_or_as_they_are(
    sent: Callable[..., list[zmq.Frame]], pairs: list[KeyPair]
) -> None:
    script = Script(sent("good", [b"1", b"2"]))
    screen = Screen(script.recv, script.get, ServerKeys(pairs[0]), int)
    first = screen.recv(NOBLOCK, False)
    assert (type(first), first.bytes, first.more) == (zmq.Frame, b"1", True)
    assert screen.get(zmq.RCVMORE) == 1
    assert screen.recv(NOBLOCK) == b"2"
    assert screen.get(zmq.RCVMORE) == 0


def test_a_flood_is_dropped_in_portions(
    sent: Callable[..., list[zmq.Frame]], pairs: list[KeyPair]
) -> None:
    flood = sent("bad", *[[b"spam", b"spam"]] * (AT_ONCE // 2 + 1))
    script = Script(flood + sent("good", [b"hello"]))
    keys = ServerKeys(pairs[0], allowed=[pairs[1].public])
    keys.revoke(pairs[2].public)
    counted: list[None] = []
    screen = Screen(script.recv, script.get, keys, lambda: counted.append(None))
    with pytest.raises(zmq.Again):
        screen.recv(NOBLOCK)
    assert len(counted) == AT_ONCE // 2
    assert screen.recv(NOBLOCK) == b"hello"
    assert len(counted) == AT_ONCE // 2 + 1


@pytest.mark.parametrize("lost", range(7))
def test_a_frame_that_pyzmq_loses_to_a_signal_takes_no_more_than_its_message_along(
    sent: Callable[..., list[zmq.Frame]], pairs: list[KeyPair], lost: int
) -> None:
    spam = [b"spam 1", b"spam 2", b"spam 3"]
    script = Script(
        sent("good", [b"one"]) + sent("bad", spam, [b"spam"]) + sent("good", [b"two"], [b"a", b"b"])
    )
    keys = ServerKeys(pairs[0], allowed=[pairs[1].public])
    keys.revoke(pairs[2].public)
    script.loses = lost
    got = through(Screen(script.recv, script.get, keys, int))
    assert got.count(Interrupted) == 1
    heard = [frame for frame in got if frame is not Interrupted]
    whole = [b"one", b"two", b"a", b"b"]
    assert heard in ([b"two", b"a", b"b"], whole, [b"one", b"a", b"b"], [b"one", b"two"])


@pytest.mark.parametrize("who", ["good", "bad"])
def test_a_signal_while_a_message_is_judged_costs_no_frame_and_lets_no_rest_through(
    sent: Callable[..., list[zmq.Frame]], pairs: list[KeyPair], who: str
) -> None:
    script = Script(sent(who, [b"1", b"2", b"3"]) + sent("good", [b"4"]))
    keys = Shaky(pairs[0], allowed=[pairs[1].public])
    keys.revoke(pairs[2].public)
    screen = Screen(script.recv, script.get, keys, int)
    with pytest.raises(Interrupted):
        screen.recv(NOBLOCK)
    assert screen.get(zmq.RCVMORE) == 0
    assert screen.get(zmq.EVENTS) == (IN if who == "good" else 0)
    assert through(screen) == ([b"1", b"2", b"3", b"4"] if who == "good" else [b"4"])


def test_a_signal_while_a_drop_is_told_leaves_the_peer_no_answer_short(
    sent: Callable[..., list[zmq.Frame]], pairs: list[KeyPair]
) -> None:
    script = Script(sent("bad", [b"1", b"2"]) + sent("good", [b"3"]))
    keys = ServerKeys(pairs[0], allowed=[pairs[1].public])
    keys.revoke(pairs[2].public)
    told: list[str] = []

    def tell() -> None:
        told.append("dropped")
        if len(told) == 1:
            raise Interrupted

    screen = Screen(script.recv, script.get, keys, tell, answer=lambda: told.append("answered"))
    assert through(screen) == [Interrupted, b"3"]
    assert told[-1] == "answered"


SHAKEN = """
import signal, threading
import zmq
from agentzero import screen as module
from agentzero.security import generate_keys
from tests.gate import Gate
from tests.test_screen import Hall

gate = Gate()
gate.guard()
hall = Hall(gate, [generate_keys() for _ in range(3)], zmq.PULL, zmq.PUSH)
hall.revoke()

class Interrupted(BaseException):
    pass

armed = False

def interrupt(number, frame):
    global armed
    armed = False
    if frame.f_code.co_filename == module.__file__:
        raise Interrupted

def chatter(client, who):
    for number in range(1500):
        client.send_multipart([b"%s %d %d" % (who, number, n) for n in range(1 + number % 4)])

talkers = [threading.Thread(target=chatter, args=args)
           for args in ((hall.good, b"good"), (hall.bad, b"bad"))]
for talker in talkers:
    talker.start()
signal.signal(signal.SIGALRM, interrupt)
heard = interrupted = 0
while any(talker.is_alive() for talker in talkers) or hall.channel.socket.poll(500):
    if not armed:
        armed = True
        signal.setitimer(signal.ITIMER_REAL, 0.0001)
    try:
        message = hall.channel.try_recv()
    except Interrupted:
        interrupted += 1
        continue
    if message is not None:
        frames = message if isinstance(message, list) else [message]
        number = int(frames[0].split()[1])
        assert frames == [b"good %d %d" % (number, n) for n in range(1 + number % 4)], frames
        heard += 1
signal.signal(signal.SIGALRM, signal.SIG_IGN)
assert 1500 - interrupted <= heard <= 1500, (heard, interrupted)
assert 1500 - interrupted <= hall.channel.dropped, (hall.channel.dropped, interrupted)
gate.end()
print("whole")
"""


def test_signals_at_any_time_leave_every_message_whole_that_is_received() -> None:
    ended = run("-c", SHAKEN, within=3 * START, measured=False)
    assert (ended.code, ended.out) == (0, "whole\n"), ended.err[-3000:]
