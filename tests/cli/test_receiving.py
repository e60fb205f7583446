"""`sub` and `pull`: what they print of what comes, and when they end."""

from __future__ import annotations

import json
import math

import pytest
import zmq

from tests.cli.inside import Agent, Peer, meanwhile

ODD = b"\xff\xfe"  # no UTF-8, and no JSON


def publish(peer: Peer, *messages: list[bytes]) -> None:
    """Send messages once somebody has subscribed."""
    peer.has(zmq.XPUB, bound=True)
    peer.sockets.recv_multipart("peer")
    for message in messages:
        peer.sockets.send_multipart("peer", message)


def push(peer: Peer, *messages: list[bytes]) -> None:
    peer.has(zmq.PUSH)
    for message in messages:
        peer.sockets.send_multipart("peer", message)


def test_pull_prints_a_message_a_line(agent: Agent, peer: Peer) -> None:
    push(peer, [b'{"job": 1}'], [b'"two"'], [b"null"])
    ran = agent("pull", peer.address, "--count", "3")
    assert (ran.code, ran.lines, ran.err) == (0, [b'{"job":1}', b'"two"', b"null"], "")


def test_sub_prints_topic_and_data(agent: Agent, peer: Peer) -> None:
    with meanwhile(publish, peer, [b"sky", b"1"], [b"sky:blue", b"[2]"]):
        ran = agent("sub", peer.address, "sky", "--count", "2")
    assert ran.code == 0
    printed = [json.loads(line) for line in ran.lines]
    assert printed == [{"topic": "sky", "data": 1}, {"topic": "sky:blue", "data": [2]}]


@pytest.mark.parametrize(
    ("topics", "expected"), [([], [1, 2, 3]), (["a"], [1, 3]), (["a", "b"], [1, 2, 3])]
)
def test_sub_takes_any_number_of_topics(
    topics: list[str], expected: list[int], agent: Agent, peer: Peer
) -> None:
    def serve() -> None:
        peer.has(zmq.XPUB, bound=True)
        for topic in topics or [""]:
            peer.sockets.wait_for_subscribers("peer", topic)
        for topic, data in [("a", 1), ("b", 2), ("a", 3)]:
            peer.sockets.publish("peer", topic, data)

    with meanwhile(serve):
        ran = agent("sub", peer.address, *topics, "--count", str(len(expected)))
    assert [json.loads(line)["data"] for line in ran.lines] == expected


def test_a_topic_that_is_no_utf_8_is_shown_with_escapes(agent: Agent, peer: Peer) -> None:
    with meanwhile(publish, peer, [ODD, b"1"]):
        ran = agent("sub", peer.address, "--count", "1")
    assert (ran.code, json.loads(ran.out)) == (0, {"topic": "\\xff\\xfe", "data": 1})


@pytest.mark.parametrize(
    ("frames", "said"),
    [
        ([b"sky", ODD], "cannot be read as JSON"),
        ([b"sky"], "it has 1 frames, and not 2"),
        ([b"sky", b"1", b"2"], "it has 3 frames, and not 2"),
    ],
)
def test_what_cannot_be_read_is_told_and_gone_on_after(
    frames: list[bytes], said: str, agent: Agent, peer: Peer
) -> None:
    with meanwhile(publish, peer, frames, [b"sky", b"2"]):
        ran = agent("sub", peer.address, "--count", "2")
    assert ran.code == 1
    assert [json.loads(line)["data"] for line in ran.lines] == [2]
    assert ran.err.startswith("Error: a message was left out: ")
    assert said in ran.err
    assert len(ran.err.splitlines()) == 1


def test_data_without_a_form_in_json_is_told_of(agent: Agent, peer: Peer) -> None:
    peer.has(zmq.PUSH, serializer="msgpack")
    for data in (math.nan, b"\xff", 3):
        peer.sockets.send("peer", data)
    ran = agent("pull", peer.address, "--serializer", "msgpack", "--count", "3")
    assert (ran.code, ran.lines) == (1, [b'"/w=="', b"3"])
    assert "JSON has no NaN" in ran.err


@pytest.mark.parametrize("frames", [[b"sky", ODD], [ODD]])
def test_raw_prints_the_bytes_of_the_last_frame(
    frames: list[bytes], agent: Agent, peer: Peer
) -> None:
    with meanwhile(publish, peer, frames):
        ran = agent("sub", peer.address, "--raw", "--count", "1")
    assert (ran.code, ran.out, ran.err) == (0, ODD + b"\n", "")


@pytest.mark.parametrize("command", ["sub", "pull"])
def test_where_nothing_comes_the_time_out_says_why(command: str, agent: Agent, peer: Peer) -> None:
    ran = agent(command, "--connect", "tcp://127.0.0.1:1", "--timeout", "0.2")
    assert (ran.code, ran.out) == (1, b"")
    assert ran.err.startswith(f"Error: nothing to receive on socket {command!r}")
    assert ran.err.endswith("in 0.2 s: refused\n")


def test_the_time_out_is_for_each_message(
    agent: Agent, peer: Peer, monkeypatch: pytest.MonkeyPatch
) -> None:
    push(peer, [b"1"])
    monkeypatch.setenv("AGENTZERO_TIMEOUT", "0.5")
    ran = agent("pull", peer.address, "--count", "2")
    assert (ran.code, ran.lines) == (1, [b"1"])
    assert "nothing to receive" in ran.err
