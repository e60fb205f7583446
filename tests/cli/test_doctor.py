"""`doctor`: how far it comes, what it says of who answers, and that it does no harm."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import zmq

from agentzero import SocketManager
from agentzero.cli.doctor import FITTING
from agentzero.security import ANY, ServerKeys
from tests.cli.inside import Agent, meanwhile
from tests.curve import ALICE, BOB, ENDED, MISMATCH, OTHER, REFUSED, SERVER
from tests.ports import lasting_port
from tests.processes import START

TYPES = [zmq.SocketType[name] for name in FITTING]
CURVE = b"\xff" + bytes(8) + b"\x7f\x03\x00" + b"CURVE".ljust(52, b"\0")  # a greeting
HARMFUL = (zmq.PUSH, zmq.REQ, zmq.DEALER, zmq.PAIR)


@pytest.fixture
def sockets() -> Iterator[SocketManager]:
    with SocketManager(timeout=START, linger=0) as sockets:
        yield sockets


@pytest.fixture
def keys(folder: Path) -> Path:
    """A folder with files of keys."""
    SERVER.save_public("server.public")
    OTHER.save_public("other.public")
    ALICE.save("alice.secret")
    BOB.save("bob.secret")
    return folder


def bound(sockets: SocketManager, kind: int, **options: Any) -> str:
    """Have a socket named "peer"; return where."""
    sockets.ensure_and_bind("peer", kind, "tcp://127.0.0.1:*", **options)
    return sockets.endpoints("peer")[0]


def mine(pair: str, server: str = "server") -> list[str]:
    return ["--curve-key", f"{pair}.secret", "--curve-server", f"{server}.public"]


@contextmanager
def program(says: bytes | None, *, hangs_up: bool = True) -> Iterator[str]:
    """Have a program that says something to who comes first, and nothing to others."""
    with socket.create_server(("127.0.0.1", 0)) as server, ThreadPoolExecutor(1) as pool:

        def speak() -> socket.socket:
            stream = server.accept()[0]
            if says is not None:
                stream.sendall(says)
                if hangs_up:
                    stream.shutdown(socket.SHUT_WR)
            return stream

        speaking = pool.submit(speak)
        yield f"tcp://127.0.0.1:{server.getsockname()[1]}"
        speaking.result(START).close()


@pytest.mark.parametrize("kind", TYPES, ids=lambda kind: kind.name)
def test_it_tells_who_answers(kind: zmq.SocketType, agent: Agent, sockets: SocketManager) -> None:
    address = bound(sockets, kind).replace("127.0.0.1", "localhost")
    ran = agent("doctor", address)
    assert (ran.code, ran.err) == (0, "")
    assert [line.decode() for line in ran.lines] == [
        "leads to  127.0.0.1",
        "connects  yes",
        "speaks    ZMTP 3.1, NULL: not encrypted, and open to all",
        f"is        {kind.name}, which talks to {FITTING[kind.name]}",
    ]


@pytest.mark.parametrize("transport", ["ipc", "abstract"])
def test_it_finds_sockets_of_this_machine(
    transport: str, agent: Agent, sockets: SocketManager, folder: Path
) -> None:
    address = f"ipc://{folder}/socket" if transport == "ipc" else f"ipc://@{folder.name}"
    sockets.ensure_and_bind("peer", zmq.PULL, address)
    ran = agent("doctor", address)
    assert (ran.code, ran.lines[-1]) == (0, b"is        PULL, which talks to PUSH")


def test_it_takes_no_message(agent: Agent, sockets: SocketManager) -> None:
    address = bound(sockets, zmq.PUSH)
    with meanwhile(sockets.send, "peer", "for another"):
        assert agent("doctor", address).code == 0
        sockets.ensure_and_connect("worker", zmq.PULL, address)
        assert sockets.recv("worker") == "for another"


@pytest.mark.parametrize(
    ("address", "said"),
    [
        ("tcp://127.0.0.1:{port}", "nobody listens there"),
        ("ipc://{folder}/nobody", "nobody listens there"),
        ("tcp://nowhere.invalid:6000", "the name nowhere.invalid is not resolved"),
    ],
)
def test_it_tells_where_nobody_is(address: str, said: str, agent: Agent, folder: Path) -> None:
    ran = agent("doctor", address.format(port=lasting_port(), folder=folder))
    assert ran.code == 1
    [line] = ran.err.splitlines()
    assert line.startswith("Error: ")
    assert said in line


@pytest.mark.parametrize(
    "address",
    [
        *("6000", "127.0.0.1:6000", "tcp://localhost", "tcp://localhost:", "tcp://localhost:x"),
        *("tcp://localhost:65536", "tcp://::1:6000", "inproc://a", "ipc://", "udp://127.0.0.1:1"),
        *("tcp://*:6000", "tcp://0.0.0.0:6000", "tcp://[::]:6000", "tcp://localhost:*"),
    ],
)
def test_what_nobody_can_connect_to_is_wrong_usage(address: str, agent: Agent) -> None:
    ran = agent("doctor", address)
    assert (ran.code, ran.out) == (2, b"")
    assert address in ran.err


@pytest.mark.parametrize(
    ("says", "said"),
    [
        (b"SSH-2.0-OpenSSH\r\n", r"it is no ZeroMQ socket: it said b'SSH-2.0-OpenSSH\r\n'"),
        (b"", "hung up: it is no ZeroMQ socket, or it ends just now"),
        (None, "did not greet in 0.05 s"),
    ],
)
def test_it_tells_of_other_programs(says: bytes | None, said: str, agent: Agent) -> None:
    patience = "0.05" if says is None else "20"
    with program(says) as address:
        ran = agent("doctor", address, "--timeout", patience)
    assert (ran.code, ran.lines[-1]) == (1, b"connects  yes")
    assert said in ran.err
    assert len(ran.err.splitlines()) == 1


# CURVE


@pytest.mark.usefixtures("keys")
@pytest.mark.parametrize(
    "kind", [kind for kind in TYPES if kind not in HARMFUL], ids=lambda kind: kind.name
)
def test_a_key_that_is_let_in(kind: zmq.SocketType, agent: Agent, sockets: SocketManager) -> None:
    curve = ServerKeys(SERVER, allowed=[ALICE.public])
    ran = agent("doctor", bound(sockets, kind, curve=curve), *mine("alice"))
    assert (ran.code, ran.err) == (0, "")
    *_, speaks, lets_in = ran.out.decode().splitlines()
    assert speaks == "speaks    ZMTP 3.1, CURVE: encrypted"
    assert lets_in.startswith("lets in   this key, to a ")
    assert kind.name in lets_in.split()


@pytest.mark.usefixtures("keys")
@pytest.mark.parametrize(
    ("kind", "options", "said"),
    [
        (zmq.REP, mine("bob"), f"Error: {REFUSED}: have its public one allowed there\n"),
        (zmq.XPUB, mine("bob"), f"Error: {REFUSED}: have its public one allowed there\n"),
        (zmq.REP, mine("alice", "other"), f"{ENDED}: its key is not the server key given here"),
        (zmq.PUSH, mine("alice"), "a PUSH, REQ, DEALER or PAIR: they are not tried"),
    ],
)
def test_a_key_that_is_not_let_in(
    kind: int, options: list[str], said: str, agent: Agent, sockets: SocketManager
) -> None:
    address = bound(sockets, kind, curve=ServerKeys(SERVER, allowed=[ALICE.public]))
    ran = agent("doctor", address, *options)
    assert ran.code == 1
    assert ran.lines[-1].startswith(b"speaks ")
    assert said in ran.err


@pytest.mark.usefixtures("keys")
def test_a_server_that_does_not_answer_a_key(agent: Agent) -> None:
    with program(CURVE, hangs_up=False) as address:
        ran = agent("doctor", address, *mine("alice"), "--timeout", "1")
    assert (ran.code, ran.lines[-1]) == (1, b"speaks    ZMTP 3.0, CURVE: encrypted")
    assert "it did not answer in time" in ran.err


def test_without_keys_it_says_which_options_give_them(agent: Agent, sockets: SocketManager) -> None:
    ran = agent("doctor", bound(sockets, zmq.REP, curve=ServerKeys(SERVER, allowed=ANY)))
    assert ran.code == 0
    assert ran.lines[-1] == b"speaks    ZMTP 3.1, CURVE: encrypted"
    assert "--curve-server" in ran.err


@pytest.mark.usefixtures("keys")
def test_keys_for_a_plain_socket_are_too_much(agent: Agent, sockets: SocketManager) -> None:
    ran = agent("doctor", bound(sockets, zmq.REP), *mine("alice"))
    assert ran.code == 1
    assert ran.err == f"Error: {MISMATCH}: give keys to both, or to neither\n"


@pytest.mark.usefixtures("keys")
def test_it_is_never_the_server(agent: Agent) -> None:
    ran = agent("doctor", "tcp://127.0.0.1:1", "--curve-key", "bob.secret", "--curve-allow", "any")
    assert (ran.code, ran.out) == (2, b"")
    assert "--curve-server, and not --curve-allow" in ran.err
