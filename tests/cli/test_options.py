"""The options that commands share: addresses, keys, times."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import zmq

from agentzero.security import ClientKeys, ServerKeys, generate_keys
from tests.cli.inside import Agent, Peer


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["nonsense"], "an address is a str with a transport"),
        (["--connect", "tcp://*:6000"], "Invalid argument"),
        (["--bind", "tcp://192.0.2.1:6000"], "Cannot assign requested address"),
        (["carrier://pigeon"], "Protocol not supported"),
        (["--serializer", "jason", "tcp://127.0.0.1:1"], "did you mean 'json'?"),
        (["--timeout", "nan", "tcp://127.0.0.1:1"], "is not a valid number"),
        (["--timeout", "-1", "tcp://127.0.0.1:1"], "-1"),
    ],
)
def test_what_makes_no_sense_is_wrong_usage(words: list[str], said: str, agent: Agent) -> None:
    ran = agent("pull", *words)
    assert (ran.code, ran.out) == (2, b"")
    assert said in ran.err.splitlines()[-1]


def test_a_backend_that_there_is_not_is_wrong_usage(
    agent: Agent, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AGENTZERO_BACKEND", "snail")
    ran = agent("pull", "tcp://127.0.0.1:1")
    assert ran.code == 2
    assert "no backend is named 'snail'" in ran.err


def test_an_address_in_use_is_no_wrong_usage(agent: Agent, peer: Peer) -> None:
    peer.sockets.ensure_and_bind("peer", zmq.PULL, "tcp://127.0.0.1:*")
    [address] = peer.sockets.endpoints("peer")
    ran = agent("pull", address)
    assert ran.code == 1
    assert ran.err.startswith("Error: cannot bind socket 'pull'")
    assert ran.err.endswith("Address already in use\n")


def test_the_port_that_was_found_is_told(agent: Agent) -> None:
    ran = agent("pull", "tcp://127.0.0.1:*", "--timeout", "0")
    assert ran.out == b""
    assert ran.err.splitlines()[0].startswith("pull: bound to tcp://127.0.0.1:")


@pytest.mark.parametrize("allowed", ["client.public", "any"])
def test_a_command_may_be_a_curve_server(
    allowed: str, agent: Agent, peer: Peer, folder: Path
) -> None:
    server, client = generate_keys(), generate_keys()
    server.save(folder / "server.secret")
    client.save_public(folder / "client.public")
    peer.has(zmq.PUSH, curve=ClientKeys(client, server=server.public))
    peer.sockets.send("peer", "hello")
    keys = ["--curve-key", "server.secret", "--curve-allow", allowed]
    ran = agent("pull", peer.address, *keys, "--count", "1")
    assert (ran.code, ran.out) == (0, b'"hello"\n')


@pytest.mark.parametrize("as_file", [True, False])
def test_a_command_may_be_a_curve_client(
    as_file: bool, agent: Agent, peer: Peer, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server, client = generate_keys(), generate_keys()
    server.save_public(folder / "server.public")
    client.save(folder / "client.secret")
    monkeypatch.setenv("AGENTZERO_CURVE_KEY", "client.secret")
    key = "server.public" if as_file else server.public.decode()
    peer.has(zmq.PULL, bound=True, curve=ServerKeys(server, allowed=[client.public]))
    assert agent("push", peer.address, "hello", f"--curve-server={key}").code == 0
    assert peer.sockets.recv("peer") == "hello"


def test_without_keys_nobody_comes_in(agent: Agent, peer: Peer) -> None:
    peer.has(zmq.PULL, bound=True, curve=ServerKeys(generate_keys()))
    ran = agent("push", peer.address, "hello", "--timeout", "0.5")
    assert ran.code == 1
    assert re.search(r"handshake failed \(.*CURVE", ran.err)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--curve-key", "pair"], "--curve-key needs --curve-server or --curve-allow"),
        (["--curve-allow", "any"], "--curve-allow needs the server's own keys"),
        (["--curve-server", "a", "--curve-allow", "b"], "is for clients"),
        (["--curve-server", "no-file"], "there is no file 'no-file'"),
        (["--curve-server", " " * 40], "is 40 characters of z85 text, and this is not"),
        (["--curve-key", "no-file", "--curve-allow", "any"], "No such file"),
        (["--curve-key", "pair", "--curve-allow", "any"], "cannot have ServerKeys"),
    ],
)
def test_keys_that_make_no_sense_are_wrong_usage(
    words: list[str], said: str, agent: Agent, folder: Path
) -> None:
    generate_keys().save(folder / "pair")
    ran = agent("req", "tcp://127.0.0.1:1", "hello", *words)
    assert (ran.code, ran.out) == (2, b"")
    assert said in ran.err.splitlines()[-1]
