"""`proxy`: what it passes on, and how it is steered."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import zmq

from agentzero import SocketManager
from agentzero.errors import RemoteError
from tests.cli.inside import Agent, Peer, Ran, meanwhile
from tests.processes import START

FRONT, BACK, CONTROL = "ipc://front", "ipc://back", "ipc://control"


def steer(sockets: SocketManager, command: str) -> Any:
    return sockets.request("control", command)


@pytest.fixture
def sockets(peer: Peer) -> SocketManager:
    """Those of all who use the proxy, and of who steers it."""
    peer.sockets.ensure_and_connect("control", zmq.REQ, CONTROL)
    return peer.sockets


@contextmanager
def using(sockets: SocketManager, front: int, back: int) -> Iterator[None]:
    """Have the sockets "front" and "back", and end the proxy after all."""
    sockets.ensure_and_connect("front", front, FRONT)
    sockets.ensure_and_connect("back", back, BACK)
    try:
        yield
    finally:
        steer(sockets, "terminate")


def ran(agent: Agent, kind: str) -> Ran:
    return agent("proxy", kind, FRONT, BACK, "--control", CONTROL)


def counted(ran: Ran) -> list[tuple[int, int]]:
    """How many messages came in and went out, at the front and at the back."""
    assert (ran.code, ran.err) == (0, "")
    said = json.loads(ran.out)
    assert (said["state"], said["dropped"]) == ("ended", 0)
    return [(said[side]["received"], said[side]["sent"]) for side in ("front", "back")]


def test_a_queue_takes_questions_and_brings_answers(agent: Agent, sockets: SocketManager) -> None:
    def use() -> None:
        with using(sockets, zmq.REQ, zmq.REP):
            sockets.send("front", "ping")
            assert sockets.recv("back") == "ping"
            sockets.send("back", "pong")
            assert sockets.recv("front") == "pong"

    with meanwhile(use):
        ended = ran(agent, "queue")
    assert counted(ended) == [(1, 1), (1, 1)]


def test_a_forwarder_passes_on_subscriptions_and_events(
    agent: Agent, sockets: SocketManager
) -> None:
    def use() -> None:
        with using(sockets, zmq.XPUB, zmq.SUB):
            sockets.set_topic("back", "sky")
            sockets.wait_for_subscribers("front", "sky")
            sockets.publish("front", "ground", 1)
            sockets.publish("front", "sky", 2)
            assert sockets.recv_event("back") == ("sky", 2)

    with meanwhile(use):
        ended = ran(agent, "forwarder")
    assert counted(ended) == [(1, 1), (1, 1)]


def test_a_streamer_passes_on_in_one_direction(agent: Agent, sockets: SocketManager) -> None:
    def use() -> None:
        with using(sockets, zmq.PUSH, zmq.PULL):
            for number in range(3):
                sockets.send("front", number)
            assert [sockets.recv("back") for _ in range(3)] == [0, 1, 2]

    with meanwhile(use):
        ended = ran(agent, "streamer")
    assert counted(ended) == [(3, 0), (0, 3)]


def test_a_proxy_is_steered(agent: Agent, sockets: SocketManager) -> None:
    def use() -> None:
        with using(sockets, zmq.PUSH, zmq.PULL):
            sockets.send("front", "early")
            assert sockets.recv("back") == "early"
            assert steer(sockets, "statistics")["state"] == "running"
            assert steer(sockets, "pause")["state"] == "paused"
            sockets.send("front", "late")
            while steer(sockets, "statistics")["front"]["received"] < 2:
                pass
            assert steer(sockets, "statistics")["back"]["sent"] == 1
            assert sockets.recv_safe("back", timeout=0) is None
            assert steer(sockets, "resume")["state"] == "running"
            assert sockets.recv("back") == "late"
            for nonsense in ("restart", ["pause"], None):
                with pytest.raises(RemoteError, match="a command is one of statistics, pause"):
                    steer(sockets, nonsense)  # type: ignore[arg-type] # anybody may send anything

    with meanwhile(use):
        ended = ran(agent, "streamer")
    assert (ended.code, len(ended.err.splitlines())) == (0, 3)


def test_an_answer_to_one_who_has_gone_is_dropped(agent: Agent, sockets: SocketManager) -> None:
    def use() -> None:
        with using(sockets, zmq.REQ, zmq.DEALER):
            sockets.send("front", "ping")
            answer = sockets.recv_multipart("back")
            sockets.close("front")
            # The proxy notices in its own time; until then an answer is on its way.
            while not steer(sockets, "statistics")["dropped"]:
                sockets.send_multipart("back", answer)

    with meanwhile(use):
        ended = ran(agent, "queue")
    assert json.loads(ended.out)["dropped"] > 0


def test_both_sides_may_connect(agent: Agent, sockets: SocketManager) -> None:
    sockets.ensure_and_bind("in", zmq.PUSH, FRONT)
    sockets.ensure_and_bind("out", zmq.PULL, BACK)

    def use() -> None:
        sockets.send("in", "hello")
        assert sockets.recv("out", START) == "hello"
        steer(sockets, "terminate")

    with meanwhile(use):
        words = ["--connect-front", "--connect-back", "--control", CONTROL]
        assert agent("proxy", "streamer", FRONT, BACK, *words).code == 0


def test_a_kind_that_there_is_not_is_wrong_usage(agent: Agent) -> None:
    ran = agent("proxy", "mirror", FRONT, BACK)
    assert ran.code == 2
    assert "'queue', 'forwarder', 'streamer'" in ran.err
