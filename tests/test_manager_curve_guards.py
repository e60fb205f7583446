"""How managers take keys and guard doors: arguments, one guard a context, crowds and ends."""

from __future__ import annotations

import gc
import os
import weakref
from collections.abc import Callable
from itertools import islice
from typing import Any

import pytest
import zmq
from zmq.auth.thread import ThreadAuthenticator
from zmq.utils import z85

from agentzero import SocketManager
from agentzero.errors import (
    AgentZeroSocketError,
    SocketAlreadyExists,
    SocketBindError,
    SocketConnectError,
)
from agentzero.security import ANY, ClientKeys, ServerKeys
from tests.curve import (
    ALICE,
    BOB,
    CLIENTS,
    LISTED,
    REASONS,
    SERVER,
    STRANGERS,
    TCP,
    End,
    are_refused,
    meet,
    tell,
)  # fmt: skip
from tests.peers.remote import Remote
from tests.processes import START, run

Make = Callable[..., Any]

needs_proc = pytest.mark.skipif(not os.path.isdir("/proc/self/task"), reason="it has no /proc")

# What create and its kin take


@pytest.mark.parametrize(
    "wrong",
    [SERVER.secret, SERVER.secret.decode(), SERVER, {"secret": SERVER.secret}, ServerKeys, ANY, 1],
    ids=["bytes", "str", "KeyPair", "dict", "class", "ANY", "int"],
)
def test_what_are_no_keys_is_refused_and_not_shown(sockets: SocketManager, wrong: Any) -> None:
    for verb, args in (
        (sockets.create, ()),
        (sockets.get_or_create, ()),
        (sockets.ensure_and_bind, (TCP,)),
        (sockets.ensure_and_connect, ("tcp://127.0.0.1:9",)),
    ):
        with pytest.raises(TypeError, match="curve is ServerKeys, ClientKeys or None") as caught:
            verb("socket", zmq.PULL, *args, curve=wrong)
        assert SERVER.secret.decode() not in str(caught.value)
    assert sockets.names() == []


def test_a_socket_that_cannot_be_made_is_closed(manager: Make) -> None:
    with zmq.Context() as context:
        sockets = manager(context=context)
        with pytest.raises(AgentZeroSocketError) as kept:
            sockets.create("s", zmq.STREAM, curve=ServerKeys(SERVER))
        assert all(socket.closed for socket in context._sockets)
        assert kept


KEYS = ServerKeys(SERVER)


@pytest.mark.parametrize(
    ("had", "given"),
    [(KEYS, ServerKeys(SERVER)), (KEYS, LISTED), (KEYS, None), (None, KEYS), (None, LISTED)],
)
def test_a_socket_that_has_other_keys_is_an_error_and_stays_as_it_is(
    sockets: SocketManager, had: Any, given: Any
) -> None:
    sockets.create("socket", zmq.PULL, curve=had)
    for verb, args in (
        (sockets.get_or_create, (zmq.POLLIN,)),
        (sockets.ensure_and_bind, (TCP, zmq.POLLIN)),
        (sockets.ensure_and_connect, ("tcp://127.0.0.1:9", zmq.POLLIN)),
    ):
        with pytest.raises(SocketAlreadyExists, match="other keys"):
            verb("socket", zmq.PULL, *args, curve=given)
    assert sockets.endpoints("socket") == []
    assert not sockets._registered._masks


def test_a_socket_that_has_the_same_keys_is_found_with_and_without_them(
    sockets: SocketManager,
) -> None:
    made = sockets.get_or_create("socket", zmq.PULL, curve=KEYS)
    assert sockets.get_or_create("socket", zmq.PULL, curve=KEYS) is made
    assert sockets.get_or_create("socket", zmq.PULL) is made
    for _ in range(2):
        twin = ClientKeys(ALICE, server=SERVER.public)
        sockets.ensure_and_connect("client", zmq.PUSH, "tcp://127.0.0.1:9", curve=twin)
    assert sockets.endpoints("client") == ["tcp://127.0.0.1:9"]
    assert made.get(zmq.MECHANISM) == zmq.CURVE


@pytest.mark.parametrize("transport", ["pgm", "epgm", "norm", "udp", "ws", "wss", "vmci", "TCP"])
def test_transports_that_curve_does_not_protect_are_refused(
    sockets: SocketManager, transport: str
) -> None:
    for name, curve in (("server", KEYS), ("client", LISTED)):
        sockets.create(name, zmq.SUB, curve=curve)
        for verb in (sockets.bind, sockets.connect):
            with pytest.raises(AgentZeroSocketError, match="CURVE does not protect") as caught:
                verb(name, f"{transport}://127.0.0.1:6000")
            assert isinstance(caught.value, SocketBindError | SocketConnectError)
        assert sockets.endpoints(name) == []


def test_a_limit_counts_what_is_sent_and_not_what_encryption_adds(manager: Make) -> None:
    here = manager(max_message_size=1000)
    server = End(here, "server", zmq.PULL, ServerKeys(SERVER, ANY))
    client = End(manager(), "client", zmq.PUSH, LISTED)
    meet(server, client)
    assert tell(client, server, bytes(1000)) == [bytes(1000)]
    client.send(bytes(1001))
    events = here.connection_events("server", timeout=20)
    assert any(event.kind == "disconnected" for event in events)
    assert server.heard() == []


# Who answers libzmq


def test_a_context_has_one_guard_and_the_next_one_when_that_is_closed(manager: Make) -> None:
    with zmq.Context() as context:
        first, second = manager(context=context), manager(context=context)
        first.create("socket", zmq.PULL, curve=KEYS)
        for _ in range(2):
            with pytest.raises(AgentZeroSocketError, match="has a ZAP handler already"):
                second.create("socket", zmq.PULL, curve=KEYS)
        assert second.names() == []
        second.create("plain", zmq.PULL)
        first.close_all()
        server = End(second, "socket", zmq.PULL, ServerKeys(SERVER, ANY))
        client = End(second, "client", zmq.PUSH, LISTED)
        meet(server, client)
        tell(client, server, b"hello")
        second.close_all()


def test_an_authenticator_of_pyzmq_in_its_place_is_told_of(manager: Make) -> None:
    with zmq.Context() as context:
        authenticator = ThreadAuthenticator(context)
        authenticator.start()
        try:
            sockets = manager(context=context)
            with pytest.raises(AgentZeroSocketError, match="has a ZAP handler already"):
                sockets.create("socket", zmq.PULL, curve=KEYS)
            sockets.create("socket", zmq.PULL, curve=LISTED)
            sockets.close_all()
        finally:
            authenticator.stop()


def test_when_the_guard_has_gone_nobody_is_let_in(manager: Make) -> None:
    keys = ServerKeys(SERVER, ANY)
    with zmq.Context() as context, context.socket(zmq.PULL) as door:
        guard = manager(context=context)
        guard.create("socket", zmq.PULL, curve=keys)
        keys.configure(door)
        port = door.bind_to_random_port("tcp://127.0.0.1")
        before, after = (End(manager(), "client", zmq.PUSH, LISTED) for _ in range(2))
        before.sockets.connect("client", f"tcp://127.0.0.1:{port}")
        assert before.connected()
        guard.close_all()
        after.sockets.connect("client", f"tcp://127.0.0.1:{port}")
        assert next(iter(after.failures()))
        assert not door.poll(0)


@needs_proc
@pytest.mark.parametrize("end", ["close_all", "dropped"])
def test_nothing_is_left_of_guards(backend: Any, eventually: Make, end: str) -> None:
    def guard() -> None:
        sockets = backend.manager(linger=0)
        server = End(sockets, "server", zmq.PULL, ServerKeys(SERVER, [ALICE.public]))
        clients = {who: End(sockets, who, zmq.PUSH, CLIENTS[who]) for who in ("listed", "unlisted")}
        for client in clients.values():
            meet(server, client)
        tell(clients["listed"], server, b"hello")
        are_refused(server, clients["unlisted"], "unlisted")
        if end == "close_all":
            sockets.close_all()

    threads, fds = (len(os.listdir(f"/proc/self/{what}")) for what in ("task", "fd"))
    for _ in range(6):
        guard()
        gc.collect()
    eventually(lambda: len(os.listdir("/proc/self/task")) <= threads)
    # Backends keep a few for the next wait.
    eventually(lambda: len(os.listdir("/proc/self/fd")) < fds + 6)


def test_keys_that_nobody_uses_any_more_are_forgotten(sockets: SocketManager) -> None:
    keys = ServerKeys(SERVER)
    gone = weakref.ref(keys)
    sockets.create("socket", zmq.PULL, curve=keys)
    del keys
    assert gone() is not None
    sockets.close("socket")
    gc.collect()
    assert gone() is None


# Floods, and secrets


def test_a_crowd_at_the_door_keeps_nobody_waiting_who_may_come_in(
    manager: Make, peer: Make, link: Make
) -> None:
    here, there = manager(), manager()
    server = End(here, "server", zmq.PULL, ServerKeys(SERVER, [ALICE.public]))
    listed = End(there, "listed", zmq.PUSH, LISTED)
    here.set_socket_option("server", zmq.BACKLOG, 300)
    address = here.bind("server", TCP) and here.endpoints("server")[0]
    keys = {"curve_publickey": BOB.public, "curve_secretkey": BOB.secret}
    for _ in range(200):
        peer(zmq.PUSH, **keys, curve_serverkey=SERVER.public, connect=address)
    link(here, ("in", zmq.PULL), ("out", zmq.PUSH))
    meet(server, listed)
    for number in range(100):
        here.send("out", number)
        assert here.recv("in") == number
        tell(listed, server, b"hello")
    assert sum(1 for _ in islice(server.failures(), 200)) == 200
    assert server.heard() == []


def test_secrets_are_never_shown(manager: Make, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG")
    here, there = manager(), manager()
    server = End(here, "server", zmq.DEALER, ServerKeys(SERVER, [ALICE.public]))
    shown = []
    for who, curve in CLIENTS.items():
        client = End(there, who, zmq.DEALER, curve)
        meet(server, client)
        for end in (server, client):
            with pytest.raises(AgentZeroSocketError) as timeout:
                end.recv(timeout=0.01)
            with pytest.raises(AgentZeroSocketError) as taken:
                end.sockets.create(end.name, zmq.DEALER, curve=curve)
            shown += [timeout.value, taken.value, end.sockets, end.sockets.stats()]
            shown += list(end.sockets.connection_events(end.name, timeout=0.01))
    text = f"{shown} {list(map(str, shown))} {caplog.text}"
    for pair in (SERVER, ALICE, BOB):
        for form in (pair.secret.decode(), pair.secret.hex(), z85.decode(pair.secret).hex()):
            assert form not in text


# Other processes


def test_other_processes_of_bare_pyzmq_get_through_with_the_right_keys_alone(
    manager: Make, eventually: Make, tmp_path: Any
) -> None:
    here, keys = manager(), ServerKeys(SERVER, [ALICE.public])
    ends = [End(here, "server", zmq.ROUTER, keys), End(here, "news", zmq.XPUB, keys)]
    remote = Remote("bare", eventually)
    try:
        for who, curve in CLIENTS.items():
            for name, kind, where in ((who, zmq.DEALER, "server"), (f"{who}'s", zmq.SUB, "news")):
                remote.create(name, kind)
                for option, value in options_of(curve):
                    remote.set_socket_option(name, option, value)
                remote.ensure_and_connect(name, kind, f"ipc://{tmp_path}/{where}")
            remote.send(who, who)  # before it is refused, when there is nobody to send to
            remote.set_topic(f"{who}'s", "")
        for end in ends:
            here.bind(end.name, f"ipc://{tmp_path}/{end.name}")
            for server_side, _ in REASONS.values():
                assert next(reason for reason in end.failures() if reason.startswith(server_side))
        here.wait_for_subscribers("news")
        here.publish("news", "topic", "secret")
        assert list(remote.recv_event("listed's")) == ["topic", "secret"]
        identity, text = here.recv_from("server")
        here.send_to("server", identity, "welcome")
        assert (text, remote.recv("listed")) == ("listed", "welcome")
        assert [end.heard() for end in ends] == [[], [b"\1"]]
        for who in STRANGERS:
            assert remote.recv_safe(who, 0) is remote.recv_event_safe(f"{who}'s", 0) is None
    finally:
        remote.kill()


def options_of(curve: ClientKeys | None) -> list[tuple[int, bytes]]:
    """What makes a bare socket a client."""
    if curve is None:
        return []
    return [
        (zmq.CURVE_PUBLICKEY, curve.pair.public),
        (zmq.CURVE_SECRETKEY, curve.pair.secret),
        (zmq.CURVE_SERVERKEY, curve.server),
    ]


FORKED = """
import os, sys, warnings
import zmq
from agentzero import SocketManager
from agentzero.errors import ManagerClosed
from agentzero.security import ClientKeys, ServerKeys, generate_keys

warnings.simplefilter("ignore", DeprecationWarning)  # of fork() beside threads
pair, client = generate_keys(), generate_keys()
keys = ServerKeys(pair, [client.public])

def serves(sockets, names):
    for name in names:
        curve = ClientKeys(client, pair.public)
        sockets.ensure_and_connect(name, zmq.PUSH, sockets.endpoints("in")[0], curve=curve)
        sockets.send(name, name)
        assert sockets.recv("in") == name

sockets = SocketManager(linger=0)
sockets.ensure_and_bind("in", zmq.PULL, "tcp://127.0.0.1:*", curve=keys)
serves(sockets, ["before"])
child = os.fork()
if not child:
    try:
        sockets.create("another", zmq.PULL, curve=keys)
    except ManagerClosed:
        with SocketManager(linger=0) as mine:
            mine.ensure_and_bind("in", zmq.PULL, "tcp://127.0.0.1:*", curve=keys)
            serves(mine, ["child"])
        print("refused", flush=True)
    sys.exit()
assert os.waitpid(child, 0)[1] == 0
serves(sockets, ["before", "after"])
sockets.close_all()
print("served")
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="it has no fork")
def test_a_fork_guards_nothing_and_its_parent_goes_on() -> None:
    ended = run("-W", "error", "-c", FORKED, within=START, measured=False)
    assert (ended.code, ended.out) == (0, "refused\nserved\n"), ended.err
