"""`req` and `rep`: questions and answers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import zmq

from agentzero.errors import RemoteError
from tests.cli.inside import Agent, Peer, meanwhile

ODD = b"\xff\x00"


def serve(peer: Peer, handler: Callable[[Any], Any], count: int = 1) -> None:
    """Answer so many questions."""
    left = iter(range(count - 1, -1, -1))
    peer.has(zmq.REP, bound=True)
    peer.sockets.serve("peer", handler, lambda: next(left, None) is not None)


def test_req_prints_the_replies(agent: Agent, peer: Peer) -> None:
    with meanwhile(serve, peer, lambda question: [question], count=2):
        ran = agent("req", peer.address, "hello", '{"a": 1}')
    assert (ran.code, ran.lines, ran.err) == (0, [b'["hello"]', b'[{"a":1}]'], "")


def test_req_tells_what_the_other_side_raised(agent: Agent, peer: Peer) -> None:
    with meanwhile(serve, peer, int):
        ran = agent("req", peer.address, "four")
    assert (ran.code, ran.out) == (1, b"")
    assert "raised ValueError: invalid literal" in ran.err
    assert len(ran.err.splitlines()) == 1


def test_req_asks_again(agent: Agent, peer: Peer) -> None:
    def be_deaf_at_first() -> None:
        peer.has(zmq.ROUTER, bound=True)
        peer.sockets.recv_from("peer")
        again, question = peer.sockets.recv_from("peer")
        peer.sockets.send_to("peer", again, question)

    with meanwhile(be_deaf_at_first):
        ran = agent("req", peer.address, "hello", "--timeout", "0.5", "--retries", "9")
    assert (ran.code, ran.out) == (0, b'"hello"\n')


def test_where_no_reply_comes_the_time_out_says_why(agent: Agent) -> None:
    ran = agent("req", "tcp://127.0.0.1:1", "hello", "--timeout", "0.2")
    assert (ran.code, ran.out) == (1, b"")
    assert ran.err.startswith("Error: no reply on socket 'req'")
    assert ran.err.endswith("in 0.2 s: refused\n")


def test_raw_questions_and_replies_are_bytes(agent: Agent, peer: Peer) -> None:
    def turn() -> None:
        peer.has(zmq.REP, bound=True)
        [question] = peer.sockets.recv_multipart("peer")
        peer.sockets.send_multipart("peer", [question[::-1]])

    with meanwhile(turn):
        ran = agent("req", peer.address, "--raw", stdin=ODD + b"\n")
    assert (ran.code, ran.out) == (0, ODD[::-1] + b"\n")


@pytest.mark.parametrize(
    ("words", "question", "answer"),
    [
        (["--echo"], {"a": [1]}, {"a": [1]}),
        (["pong"], "ping", "pong"),
        (["--text", "7"], None, "7"),
        (["7"], None, 7),
        (["--command", "tr a-z A-Z"], "hello", "HELLO"),
        (["--command", "cat"], {"a": 1}, {"a": 1}),
        (["--command", "wc -c"], "four", 4),
        (["--command", "echo '{}'", "--text"], None, "{}"),
        (["--command", "true"], None, ""),
    ],
)
def test_rep_answers(
    words: list[str], question: Any, answer: Any, agent: Agent, peer: Peer
) -> None:
    peer.has(zmq.DEALER)
    said: list[Any] = []
    with meanwhile(lambda: said.append(peer.sockets.request("peer", question))):
        ran = agent("rep", peer.address, *words, "--count", "1")
    assert (ran.code, ran.out, ran.err) == (0, b"", "")
    assert said == [answer]


@pytest.mark.parametrize("words", [["--echo"], ["--command", "cat"]])
@pytest.mark.parametrize("question", [ODD, b"", b"line\n", b"{"])
def test_rep_answers_bytes_with_bytes(
    question: bytes, words: list[str], agent: Agent, peer: Peer
) -> None:
    peer.has(zmq.REQ)
    peer.sockets.send_multipart("peer", [question])
    ran = agent("rep", peer.address, "--raw", *words, "--count", "1")
    assert (ran.code, ran.err) == (0, "")
    assert peer.sockets.recv_multipart("peer") == [question]


@pytest.mark.parametrize("question", ["$(echo caught)", "; echo caught", "`echo caught`", "\n"])
def test_a_question_is_never_part_of_the_command(question: str, agent: Agent, peer: Peer) -> None:
    peer.has(zmq.DEALER)
    said: list[Any] = []
    with meanwhile(lambda: said.append(peer.sockets.request("peer", question))):
        agent("rep", peer.address, "--command", "echo answer", "--count", "1")
    assert said == ["answer"]


@pytest.mark.parametrize(
    ("command", "said"),
    [
        ("exit 3", "the command ended with exit code 3"),
        ("sleep 60 | sleep 60", "the command took more than 0.2 s"),
        ("echo '{'", "cannot be read as JSON"),
    ],
)
def test_a_command_that_fails_is_answered_with_an_error(
    command: str, said: str, agent: Agent, peer: Peer
) -> None:
    def ask() -> None:
        peer.has(zmq.DEALER)
        with pytest.raises(RemoteError, match=said):
            peer.sockets.request("peer", "hello")

    with meanwhile(ask):
        ran = agent(
            "rep", peer.address, "--command", command, "--command-timeout", "0.2", "--count", "1"
        )
    assert ran.code == 0
    assert ran.err.startswith("Error: a handler failed")
    assert said in ran.err
    assert len(ran.err.splitlines()) == 1


def test_a_question_that_cannot_be_read_is_answered_and_counted(agent: Agent, peer: Peer) -> None:
    peer.has(zmq.REQ)
    peer.sockets.send_multipart("peer", [ODD])
    ran = agent("rep", peer.address, "--echo", "--count", "1")
    assert (ran.code, len(ran.err.splitlines())) == (0, 1)
    assert "agentzero.error" in peer.sockets.recv("peer")


def test_rep_ends_where_no_question_comes(agent: Agent, peer: Peer) -> None:
    ran = agent("rep", peer.address, "--echo", "--timeout", "0.1")
    assert (ran.code, ran.err) == (1, "Error: no question came in 0.1 s\n")


@pytest.mark.parametrize("words", [[], ["pong", "--echo"], ["--echo", "--command", "date"]])
def test_rep_is_told_what_to_answer_with_once(words: list[str], agent: Agent) -> None:
    ran = agent("rep", "tcp://127.0.0.1:*", *words)
    assert ran.code == 2
    assert "say what to answer with: BODY, or --echo, or --command" in ran.err


def test_the_last_reply_arrives_whole_however_big(agent: Agent, peer: Peer) -> None:
    question = b"x" * 20_000_000
    peer.has(zmq.REQ)
    peer.sockets.send_multipart("peer", [question])
    assert agent("rep", peer.address, "--raw", "--echo", "--count", "1").code == 0
    assert peer.sockets.recv_multipart("peer") == [question]
