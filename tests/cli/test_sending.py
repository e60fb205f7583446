"""`pub` and `push`: what they send, whom they wait for, and what they refuse."""

from __future__ import annotations

import os
import pty
from typing import Any

import pytest
import zmq

from tests.cli.inside import Agent, Peer, meanwhile
from tests.processes import START, run

REFUSED = "tcp://127.0.0.1:1"

NO_INPUT = f"""
import sys
from agentzero.cli import main

sys.stdin, sys.argv = None, ["agentzero", "push", "{REFUSED}"]
main()
"""


def received(peer: Peer, count: int) -> list[list[bytes]]:
    return [peer.sockets.recv_multipart("peer") for _ in range(count)]


@pytest.mark.parametrize(
    ("words", "stdin", "expected"),
    [
        (
            ['{"a": 1}', "sunny", "7", "null", "two words"],
            b"",
            [{"a": 1}, "sunny", 7, None, "two words"],
        ),
        (["--text", "7", "{"], b"", ["7", "{"]),
        (["--count", "3", "1", "2"], b"", [1, 2, 1]),
        (["--count", "1", "1", "2"], b"", [1]),
        ([], b'{"a": 1}\nsunny\n7', [{"a": 1}, "sunny", 7]),
        (["-"], b"1\n2\n", [1, 2]),
        (["--count", "2"], b"1\n2\n3\n", [1, 2]),
        (["--text"], b"[INFO] up\n\n", ["[INFO] up", ""]),
        ([], b"", []),
    ],
)
def test_a_body_is_json_or_else_text(
    words: list[str], stdin: bytes, expected: list[Any], agent: Agent, peer: Peer
) -> None:
    peer.has(zmq.PULL, bound=True)
    ran = agent("push", peer.address, *words, stdin=stdin)
    assert (ran.code, ran.out, ran.err) == (0, b"", "")
    assert [peer.sockets.recv("peer") for _ in expected] == expected
    assert peer.sockets.recv_safe("peer", timeout=0) is None


def test_what_is_typed_on_a_terminal_is_sent_line_by_line(agent: Agent, peer: Peer) -> None:
    peer.has(zmq.PULL, bound=True)
    ours, theirs = pty.openpty()
    os.write(ours, b"hello\n7\n\x04")
    with open(theirs, encoding="utf-8") as terminal, open(ours, "rb"):
        ran = agent("push", peer.address, stdin=terminal)
    assert (ran.code, ran.out, ran.err) == (0, b"", "Each line is a message; Ctrl-D ends.\n")
    assert [peer.sockets.recv("peer") for _ in range(2)] == ["hello", 7]


def test_raw_sends_the_bytes_of_each_line(agent: Agent, peer: Peer) -> None:
    peer.has(zmq.PULL, bound=True)
    assert agent("push", peer.address, "--raw", stdin=b"{oops\n\xff\x00\r\n\n").code == 0
    assert received(peer, 3) == [[b"{oops"], [b"\xff\x00\r"], [b""]]


@pytest.mark.parametrize("name", ["msgpack", "cbor"])
def test_another_serializer_may_be_named_in_the_environment(
    name: str, agent: Agent, peer: Peer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AGENTZERO_SERIALIZER", name)
    peer.has(zmq.PULL, bound=True, serializer=name)
    assert agent("push", peer.address, '{"a": 1}').code == 0
    assert peer.sockets.recv("peer") == {"a": 1}


@pytest.mark.parametrize("side", ["--bind", "--connect"])
def test_pub_loses_no_first_message(side: str, agent: Agent, peer: Peer) -> None:
    peer.has(zmq.SUB, bound=side == "--connect")
    peer.sockets.set_topic("peer", "sk")
    came: list[list[bytes]] = []
    # Who is bound tells of its subscriptions while it receives.
    with meanwhile(lambda: came.extend(received(peer, 2))):
        assert agent("pub", side, peer.address, "sky", "1", "2").code == 0
    assert came == [[b"sky", b"1"], [b"sky", b"2"]]


def test_pub_drops_nothing_for_one_that_is_slow(agent: Agent, peer: Peer) -> None:
    peer.has(zmq.SUB)
    peer.sockets.set_topic("peer", "")
    ran = agent("pub", peer.address, "sky", "0" * 10_000, "--count", "9999", "--timeout", "0.2")
    assert ran.code == 1
    assert ran.err.startswith("Error: no room to send on socket 'pub'")


def test_a_topic_may_be_any_bytes(agent: Agent, peer: Peer) -> None:
    peer.has(zmq.SUB)
    peer.sockets.set_topic("peer", b"\xff")
    assert agent("pub", peer.address, "\udcff", "1").code == 0
    assert received(peer, 1) == [[b"\xff", b"1"]]


def test_pub_need_not_wait(agent: Agent, peer: Peer) -> None:
    ran = agent("pub", peer.address, "sky", "1", "--no-wait", "--timeout", "0")
    assert (ran.code, ran.err) == (0, "")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["pub", "--bind", "tcp://127.0.0.1:*", "sky"], "0 of 1 subscriptions to 'sky'"),
        (["push", REFUSED], "no room to send"),
    ],
)
def test_where_nobody_takes_it_the_time_out_says_so(
    words: list[str], said: str, agent: Agent
) -> None:
    ran = agent(*words, "1", "--timeout", "0.2")
    assert (ran.code, ran.out) == (1, b"")
    assert said in ran.err.splitlines()[-1]
    assert ran.err.splitlines()[-1].endswith((": no peer has connected yet", ": refused"))


@pytest.mark.parametrize(
    ("words", "stdin", "said"),
    [
        (["1", "{oops"], b"", "argument 2: cannot be read as JSON"),
        (["\udcff"], b"", "argument 1: it is no UTF-8 (--raw sends any bytes)"),
        (["--text"], b"\xff", "line 1: it is no UTF-8"),
        ([], b"[1\n", "line 1: cannot be read as JSON"),
        (["1", "--count", "0"], b"", "--count"),
    ],
)
def test_what_is_no_message_is_wrong_usage(
    words: list[str], stdin: bytes, said: str, agent: Agent
) -> None:
    ran = agent("push", REFUSED, *words, stdin=stdin)
    assert (ran.code, ran.out) == (2, b"")
    assert said in ran.err


def test_data_that_the_serializer_cannot_write_is_one_line(agent: Agent) -> None:
    ran = agent("push", REFUSED, "--serializer", "msgpack", str(2**70))
    assert ran.code == 1
    assert ran.err.startswith("Error: cannot be written as MessagePack")
    assert len(ran.err.splitlines()) == 1


@pytest.mark.parametrize("words", [["push"], ["pub", "--no-wait"]])
def test_an_address_within_the_process_is_wrong_usage(words: list[str], agent: Agent) -> None:
    command, *options = words
    ran = agent(command, "inproc://x", "x", "y", *options)
    assert (ran.code, ran.out) == (2, b"")
    assert "inproc://x does not leave this process" in ran.err


def test_messages_that_nobody_takes_in_the_end_are_told_of(agent: Agent, peer: Peer) -> None:
    peer.has(zmq.PULL, bound=True)
    peer.sockets.set_socket_option("peer", zmq.RCVHWM, 1)
    peer.sockets.unbind("peer")
    peer.sockets.bind("peer", peer.address)
    ran = agent("push", peer.address, "0" * 100_000, "--count", "500", "--timeout", "0.5")
    assert (ran.code, ran.out) == (1, b"")
    assert ran.err == "Error: not all was taken in 0.5 s: messages were dropped\n"


def test_without_standard_input_a_body_is_asked_for() -> None:
    ended = run("-c", NO_INPUT, within=START)
    assert (ended.code, ended.out) == (2, "")
    assert "standard input is closed: give a BODY" in ended.err
