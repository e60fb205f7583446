"""Whom sockets with keys let in: nobody else gets a message through, neither way."""

from __future__ import annotations

import copy
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest
import zmq

from agentzero import connections
from agentzero.errors import DeserializationError, SocketBindError, SocketTimeout
from agentzero.screen import AT_ONCE
from agentzero.security import ANY, ClientKeys, ServerKeys, generate_keys
from tests.curve import (
    ALICE,
    BOB,
    CLIENTS,
    DEAF,
    LISTED,
    PAIRS,
    PUBLISHERS,
    REASONS,
    SERVER,
    STRANGERS,
    TCP,
    End,
    are_refused,
    ask,
    converse,
    meet,
    tell,
)  # fmt: skip

Make = Callable[..., Any]

pairs = pytest.mark.parametrize(
    ("server_kind", "client_kind"),
    PAIRS,
    ids=[f"{zmq.SocketType(s).name}-{zmq.SocketType(c).name}" for s, c in PAIRS],
)
directions = pytest.mark.parametrize("bound", ["server", "client"])


@pytest.mark.parametrize(("bound", "transport"), [("server", "tcp"), ("client", "ipc")])
@pairs
def test_who_is_listed_is_heard_and_hears_and_nobody_else(
    manager: Make, server_kind: int, client_kind: int, bound: str, transport: str, tmp_path: Any
) -> None:
    here, there, keys = manager(), manager(), ServerKeys(SERVER, [ALICE.public])
    if bound == "server":
        servers = dict.fromkeys([*STRANGERS, "listed"], End(here, "server", server_kind, keys))
    else:
        servers = {who: End(here, who, server_kind, keys) for who in [*STRANGERS, "listed"]}
    clients = {who: End(there, who, client_kind, curve) for who, curve in STRANGERS.items()}
    for who, client in clients.items():
        server = servers[who]
        meet(server, client, bound, TCP if transport == "tcp" else f"ipc://{tmp_path}/{who}")
        client.tries()
        are_refused(server, client, who)
        server.tries()
    listed, server = End(there, "listed", client_kind, LISTED), servers["listed"]
    meet(server, listed, bound, TCP if transport == "tcp" else f"ipc://{tmp_path}/listed")
    for _ in range(3):
        converse(server, listed)
    # An XPUB is told of the subscription of the one that is listed, and of no other.
    assert {text for end in servers.values() for text in end.heard()} <= {b"hello", b"\1"}
    assert here.stats().received <= 4 or client_kind in PUBLISHERS
    for client in clients.values():
        assert client.heard() == []
        assert there.stats(client.name).received == 0


@directions
@pytest.mark.parametrize("who", STRANGERS)
def test_time_outs_say_why_on_both_sides(manager: Make, who: str, bound: str) -> None:
    keys = ServerKeys(SERVER, [ALICE.public])
    server = End(manager(), "server", zmq.DEALER, keys)
    client = End(manager(), "client", zmq.DEALER, STRANGERS[who])
    meet(server, client, bound)
    are_refused(server, client, who)
    for end, reasons in zip((server, client), REASONS[who], strict=True):
        with pytest.raises(SocketTimeout) as caught:
            end.recv(0.01)
        assert any(f"handshake failed ({reason}" in str(caught.value) for reason in reasons)


@directions
def test_who_has_keys_talks_to_no_plain_server(manager: Make, bound: str) -> None:
    server = End(manager(), "server", zmq.DEALER, None)
    client = End(manager(), "client", zmq.DEALER, LISTED)
    meet(server, client, bound)
    client.tries(), server.tries()
    are_refused(server, client, "plain")
    other = End(client.sockets, "other", zmq.DEALER, None)
    meet(server, other, bound)
    tell(other, server, b"hello")
    assert server.heard() == client.heard() == []


def test_any_lets_every_key_in_and_nobody_without(manager: Make) -> None:
    server = End(manager(), "server", zmq.DEALER, ServerKeys(SERVER, ANY))
    plain = End(manager(), "plain", zmq.DEALER, None)
    meet(server, plain)
    are_refused(server, plain, "plain")
    for curve in (LISTED, STRANGERS["unlisted"], ClientKeys(generate_keys(), SERVER.public)):
        client = End(manager(), "client", zmq.DEALER, curve)
        meet(server, client)
        tell(client, server, b"hello")
    assert plain.heard() == server.heard() == []


def test_nobody_is_let_in_unless_it_is_said(manager: Make) -> None:
    server = End(manager(), "server", zmq.PULL, ServerKeys(SERVER))
    for client in (End(manager(), "client", zmq.PUSH, LISTED) for _ in range(3)):
        meet(server, client)
        client.tries()
        are_refused(server, client, "unlisted")
    assert server.heard() == []


# Changes while sockets run


def test_who_was_refused_gets_in_soon_after_it_was_allowed(
    manager: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Once a verb has worked on a socket; one that may be used by hand is left alone."""
    monkeypatch.setattr(connections, "REDIAL", 0.1)
    here, there, keys = manager(), manager(), ServerKeys(SERVER)
    ends = [
        (End(here, f"{number}", server, keys), End(there, f"{number}", client, LISTED))
        for number, (server, client) in enumerate(PAIRS)
        if client != zmq.REQ  # what it asks while it is refused is lost, and with that its turn
    ]
    for server, client in ends:
        meet(server, client)
        are_refused(server, client, "unlisted")
        client.tries() if client.kind in DEAF else client.heard()
    keys.allow(ALICE.public)
    for server, client in ends:
        assert client.connected()  # or what it says may go to a connection that was refused
        converse(server, client)


def test_a_server_that_connects_comes_to_who_was_allowed(manager: Make) -> None:
    keys = ServerKeys(SERVER)
    server, client = End(manager(), "in", zmq.PULL, keys), End(manager(), "out", zmq.PUSH, LISTED)
    meet(server, client, "client")
    are_refused(server, client, "unlisted")
    keys.allow(ALICE.public)
    assert client.connected()
    tell(client, server, b"hello")


@pytest.mark.parametrize(
    ("server_kind", "client_kind"),
    [
        (zmq.PULL, zmq.PUSH),
        (zmq.SUB, zmq.PUB),
        (zmq.REP, zmq.REQ),
        (zmq.ROUTER, zmq.REQ),
        (zmq.ROUTER, zmq.DEALER),
        (zmq.DEALER, zmq.DEALER),
    ],
    ids=lambda kind: str(kind.name),
)
def test_what_a_revoked_client_sends_is_dropped_and_others_are_heard(
    manager: Make, eventually: Make, server_kind: int, client_kind: int
) -> None:
    here, there, keys = manager(), manager(), ServerKeys(SERVER, [ALICE.public, BOB.public])
    server = End(here, "server", server_kind, keys)
    good, bad = (End(there, who, client_kind, CLIENTS[who]) for who in ("listed", "unlisted"))
    for client in (good, bad):
        meet(server, client)
        ask(server, client, b"hello")
    server.heard()
    keys.revoke(BOB.public)
    count = 1 if client_kind == zmq.REQ else 3
    for _ in range(count):
        bad.send(b"spam")
    heard: list[bytes] = []
    eventually(lambda: heard.extend(server.heard()) or here.stats("server").dropped >= count)
    assert b"spam" not in heard
    for _ in range(3):
        ask(server, good, b"hello")
    new = End(there, "new", client_kind, CLIENTS["unlisted"])
    meet(server, new)
    are_refused(server, new, "unlisted")
    if server_kind == zmq.REP:
        assert bad.recv() == [b""]
    assert good.heard() == bad.heard() == []


def test_of_a_revoked_subscriber_an_xpub_hears_subscriptions_and_nothing_else(
    manager: Make, eventually: Make
) -> None:
    here, keys = manager(), ServerKeys(SERVER, ANY)
    server = End(here, "server", zmq.XPUB, keys)
    client = End(manager(), "client", zmq.XSUB, LISTED)
    meet(server, client)
    client.send(b"\1news")
    here.wait_for_subscribers("server", "news")
    keys.revoke(ALICE.public)
    client.send(b"gossip")
    client.send(b"\1sport")
    here.wait_for_subscribers("server", "sport")
    assert here.stats("server").dropped == 1


def test_a_revoked_peer_of_a_pair_is_not_heard_until_it_is_allowed_again(
    manager: Make, eventually: Make
) -> None:
    here, keys = manager(), ServerKeys(SERVER, [ALICE.public])
    server, client = (
        End(here, "server", zmq.PAIR, keys),
        End(manager(), "client", zmq.PAIR, LISTED),
    )
    meet(server, client)
    converse(server, client)
    keys.revoke(ALICE.public)
    client.send(b"spam")
    eventually(lambda: server.heard() or here.stats("server").dropped)
    keys.allow(ALICE.public)
    assert tell(client, server, b"sorry") == [b"sorry"]


def test_who_waits_hears_nothing_of_a_flood_of_a_revoked_client(
    manager: Make, spawn: Make, waiting: Make, eventually: Make
) -> None:
    here, there, keys = manager(), manager(), ServerKeys(SERVER, ANY)
    server = End(here, "server", zmq.PULL, keys)
    good, bad = (End(there, who, zmq.PUSH, CLIENTS[who]) for who in ("listed", "unlisted"))
    for client in (good, bad):
        meet(server, client)
        tell(client, server, b"hello")
    keys.revoke(BOB.public)
    task, flood = spawn(server.recv), 2 * AT_ONCE + 1
    waiting(here, "server")
    assert spawn(lambda: [bad.send(b"spam") for _ in range(flood)]).result()
    good.send(b"hello")
    assert task.result() == [b"hello"]
    eventually(lambda: server.heard() or here.stats("server").dropped == flood)


@pytest.mark.parametrize("kind", [zmq.REP, zmq.ROUTER], ids=["REP", "ROUTER"])
def test_who_serves_goes_on_when_a_client_was_revoked(
    manager: Make, spawn: Make, kind: int
) -> None:
    here, there, keys = manager(), manager(), ServerKeys(SERVER, ANY)
    server, asked = End(here, "server", kind, keys), []
    good, bad = (End(there, who, zmq.REQ, CLIENTS[who]) for who in ("listed", "unlisted"))
    spawn(here.serve, "server", lambda who: asked.append(who) or who)
    for client in (good, bad):
        meet(server, client)
        assert there.request(client.name, client.name) == client.name
    keys.revoke(BOB.public)
    for _ in range(2):
        with pytest.raises((SocketTimeout, DeserializationError)):
            there.request("unlisted", "let me in", timeout=0.05)
        assert there.request("listed", "listed") == "listed"
    assert asked == ["listed", "unlisted", "listed", "listed"]


def is_bound(sockets: Any, address: str) -> bool:
    with suppress(SocketBindError):
        return bool(sockets.bind("server", address))
    return False


def test_a_socket_that_is_made_anew_is_rid_of_who_was_revoked(
    manager: Make, eventually: Make
) -> None:
    here, there, keys = manager(), manager(), ServerKeys(SERVER, ANY)
    server = End(here, "server", zmq.PULL, keys)
    good, bad = (End(there, who, zmq.PUSH, CLIENTS[who]) for who in ("listed", "unlisted"))
    for client in (good, bad):
        meet(server, client)
        tell(client, server, b"hello")
    keys.revoke(BOB.public)
    (address,) = here.endpoints("server")
    here.close("server")
    server = End(here, "server", zmq.PULL, keys)
    eventually(lambda: is_bound(here, address))  # once libzmq has let go of it
    are_refused(server, bad, "unlisted")
    tell(good, server, b"hello")


# Several managers, several realms


def test_a_key_opens_no_door_but_those_it_was_listed_for(manager: Make) -> None:
    here, there = manager(), manager()
    doors = {
        who: End(here, who, zmq.PULL, ServerKeys(SERVER, [pair.public]))
        for who, pair in (("alice", ALICE), ("bob", BOB))
    }
    for door in doors.values():
        for who, pair in (("alice", ALICE), ("bob", BOB)):
            curve = ClientKeys(pair, SERVER.public)
            client = End(there, f"{who} at {door.name}", zmq.PUSH, curve)
            meet(door, client)
            client.tries()
            if door.name == who:
                assert client.connected()
            else:
                are_refused(door, client, "unlisted")
    for door in doors.values():
        assert [door.recv() for _ in range(3)] == [[b"let me in"]] * 3
        assert door.heard() == []


def test_one_list_serves_many_sockets_of_several_managers(manager: Make) -> None:
    keys, there = ServerKeys(SERVER), manager()
    servers = [
        End(here, f"{number}", zmq.PULL, keys)
        for here in (manager(), manager())
        for number in range(5)
    ]
    keys.allow(ALICE.public)
    for number, server in enumerate(servers):
        client = End(there, f"{number}", zmq.PUSH, LISTED)
        meet(server, client)
        tell(client, server, b"hello")
    keys.revoke(ALICE.public)
    for number, server in enumerate(servers):
        client = End(there, f"{number} again", zmq.PUSH, LISTED)
        meet(server, client)
        are_refused(server, client, "unlisted")


def test_a_copy_of_keys_is_another_list(manager: Make) -> None:
    here, there, keys = manager(), manager(), ServerKeys(SERVER)
    twin = copy.deepcopy(keys)
    first, second = End(here, "first", zmq.PULL, keys), End(here, "second", zmq.PULL, twin)
    twin.allow(ALICE.public)
    refused, welcome = (End(there, name, zmq.PUSH, LISTED) for name in ("refused", "welcome"))
    meet(first, refused)
    are_refused(first, refused, "unlisted")
    meet(second, welcome)
    tell(welcome, second, b"hello")
