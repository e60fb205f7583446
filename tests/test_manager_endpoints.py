"""Addresses: bound, connected, resolved, looked at and let go of."""

from __future__ import annotations

import socket as network
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, NoReturn

import pytest
import zmq

from agentzero import SocketManager
from agentzero.errors import SocketBindError, SocketConnectError, SocketNotFound

Make = Callable[..., Any]

TCP = "tcp://127.0.0.1:*"


def has_ipv6() -> bool:
    try:
        with network.socket(network.AF_INET6) as probe:
            probe.bind(("::1", 0))
    except OSError:
        return False
    return True


def free_address() -> str:
    with network.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"tcp://127.0.0.1:{probe.getsockname()[1]}"


@pytest.mark.parametrize(
    ("address", "real"),
    [
        pytest.param("tcp://127.0.0.1:*", "tcp://127.0.0.1:", id="any port"),
        pytest.param("tcp://localhost:*", "tcp://127.0.0.1:", id="host name"),
        pytest.param("tcp://lo:*", "tcp://127.0.0.1:", id="interface"),
        pytest.param("tcp://*:*", "tcp://0.0.0.0:", id="all interfaces"),
        pytest.param("tcp://[::1]:*", "tcp://[::1]:", id="IPv6"),
        pytest.param("ipc://*", "ipc://", id="any ipc"),
    ],
)
def test_what_is_bound_is_known_by_its_real_address(
    sockets: SocketManager, peer: Make, address: str, real: str
) -> None:
    if "[" in address and not has_ipv6():
        pytest.skip("this machine has no IPv6")
    if "lo:" in address and "lo" not in dict(map(reversed, network.if_nameindex())):  # type: ignore[arg-type]
        pytest.skip("this machine calls its loopback differently")
    sockets.ensure_and_bind("in", zmq.PULL, address)
    (endpoint,) = sockets.endpoints("in")
    assert endpoint.startswith(real)
    assert "*" not in endpoint
    reachable = endpoint.replace("0.0.0.0", "127.0.0.1")
    peer(zmq.PUSH, connect=reachable, ipv6=int("[" in reachable)).send(b"1")
    assert sockets.recv("in") == 1


def test_sockets_meet_over_ipc_and_inproc(
    sockets: SocketManager, link: Make, tmp_path: Path
) -> None:
    for address in (f"ipc://{tmp_path}/jobs", "inproc://jobs"):
        link(sockets, (f"in {address}", zmq.PULL), (f"out {address}", zmq.PUSH), address)
        sockets.send(f"out {address}", "hello")
        assert sockets.recv(f"in {address}") == "hello"
        assert sockets.endpoints(f"in {address}") == [address]


@pytest.mark.skipif(not has_ipv6(), reason="this machine has no IPv6")
def test_a_socket_may_connect_by_ipv6(sockets: SocketManager, link: Make) -> None:
    address = link(sockets, ("in", zmq.PULL), ("out", zmq.PUSH), "tcp://[::1]:*")
    assert sockets.endpoints("out") == [address]
    sockets.send("out", "hello")
    assert sockets.recv("in") == "hello"


def test_connecting_by_host_name_leaves_dns_to_the_background(
    sockets: SocketManager, monkeypatch: pytest.MonkeyPatch
) -> None:
    def resolve(*_: object, **__: object) -> NoReturn:
        pytest.fail("connecting waited for DNS")

    sockets.ensure_and_bind("in", zmq.PULL, TCP)
    port = sockets.endpoints("in")[0].rpartition(":")[2]
    for function in ("getaddrinfo", "gethostbyname", "gethostbyname_ex"):
        monkeypatch.setattr(network, function, resolve)
    sockets.ensure_and_connect("out", zmq.PUSH, f"tcp://localhost:{port}")
    sockets.connect("out", "tcp://no-such-host.invalid:6000")
    sockets.disconnect("out", "tcp://no-such-host.invalid:6000")
    sockets.send("out", "hello")
    assert sockets.recv("in") == "hello"
    assert sockets.endpoints("out") == [f"tcp://localhost:{port}"]


def test_binding_to_a_slow_host_name_holds_up_nobody_else(
    backend: Any, sockets: SocketManager, spawn: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, asked, answered = network.getaddrinfo, backend.event(), backend.event()

    def slow(host: object, *args: Any, **options: Any) -> Any:
        if host != "slow-host":
            return real(host, *args, **options)  # type: ignore[arg-type]
        asked.set()
        answered.wait(20)
        return real("127.0.0.1", *args, **options)

    monkeypatch.setattr(network, "getaddrinfo", slow)
    slowly = spawn(sockets.ensure_and_bind, "slow", zmq.PULL, "tcp://slow-host:*")
    assert asked.wait(20)
    try:
        assert spawn(sockets.create, "other", zmq.PULL).result(within=5)
    finally:
        answered.set()
        slowly.result()
    assert sockets.endpoints("slow")[0].startswith("tcp://127.0.0.1:")


def test_a_socket_has_all_its_addresses_and_not_only_the_last(
    sockets: SocketManager, peer: Make
) -> None:
    """The original kept only the last address."""
    sockets.create("in", zmq.PULL)
    sockets.bind("in", TCP)
    sockets.bind("in", TCP)
    sockets.bind("in", "inproc://in")
    sockets.connect("in", "inproc://elsewhere")
    first, second, *others = sockets.endpoints("in")
    assert first != second
    assert others == ["inproc://in", "inproc://elsewhere"]
    for address in (first, second):
        peer(zmq.PUSH, connect=address).send(b"1")
        assert sockets.recv("in") == 1


def test_bind_to_random_port_tells_which(sockets: SocketManager, peer: Make) -> None:
    made = sockets.create("api", zmq.REP)
    socket, address = sockets.bind_to_random_port("api", zmq.POLLIN, "tcp://127.0.0.1")
    assert socket is made
    assert sockets.endpoints("api") == [address]
    peer(zmq.REQ, connect=address).send(b"1")
    assert sockets.engage(20_000) == {made: zmq.POLLIN}
    _, address = sockets.bind_to_random_port("api")
    assert address.startswith("tcp://0.0.0.0:")


def test_ensuring_again_changes_nothing(sockets: SocketManager) -> None:
    sockets.ensure_and_bind("in", zmq.PULL, TCP)
    address = sockets.endpoints("in")[0]
    again = sockets.ensure_and_bind("in", zmq.PULL, TCP)
    assert sockets.ensure_and_bind("in", zmq.PULL, address) is again
    assert sockets.endpoints("in") == [address]
    for _ in range(2):
        sockets.ensure_and_connect("out", zmq.PUSH, address)
    assert sockets.endpoints("out") == [address]


def test_ensuring_never_waits_for_traffic(sockets: SocketManager) -> None:
    """The original's ensure_and_bind blocked for the polling time-out."""
    polled = []
    sockets.backend.waiter = lambda: polled.append(True)  # type: ignore[method-assign]
    try:
        sockets.ensure_and_bind("in", zmq.PULL, TCP, zmq.POLLIN)
        sockets.ensure_and_connect("out", zmq.PUSH, "tcp://127.0.0.1:1", zmq.POLLOUT)
    finally:
        del sockets.backend.waiter
    assert polled == []


@pytest.mark.parametrize("verb", ["disconnect", "unbind"])
def test_one_endpoint_may_go_or_all(sockets: SocketManager, verb: str) -> None:
    attach = sockets.bind if verb == "unbind" else sockets.connect
    detach = getattr(sockets, verb)
    sockets.create("socket", zmq.PULL)
    sockets.bind("socket", "inproc://bound")
    sockets.connect("socket", "inproc://connected")
    addresses = [free_address() for _ in range(3)]
    for address in addresses:
        attach("socket", address)
    detach("socket", addresses[1])
    assert sockets.endpoints("socket")[2:] == [addresses[0], addresses[2]]
    detach("socket")
    kept = "inproc://connected" if verb == "unbind" else "inproc://bound"
    assert sockets.endpoints("socket") == [kept]
    detach("socket")  # nothing is left: nothing to do


def test_a_disconnected_endpoint_gets_no_more(sockets: SocketManager, peer: Make) -> None:
    pulls = {}
    sockets.create("out", zmq.PUSH)
    for _ in range(2):
        pull = peer(zmq.PULL)
        address = f"tcp://127.0.0.1:{pull.bind_to_random_port('tcp://127.0.0.1')}"
        pulls[address] = pull
        sockets.connect("out", address)
    left, kept = pulls
    sockets.disconnect("out", left)
    for number in range(10):
        sockets.send("out", number)
    assert [pulls[kept].recv() for _ in range(10)] == [b"%d" % number for number in range(10)]
    assert not pulls[left].poll(0)


def test_a_connection_made_twice_is_let_go_of_at_once(sockets: SocketManager) -> None:
    sockets.create("out", zmq.PUSH)
    address = free_address()
    sockets.connect("out", address)
    sockets.connect("out", address)
    sockets.disconnect("out", address)
    assert sockets.endpoints("out") == []


def test_nobody_listens_on_an_address_that_was_unbound(
    sockets: SocketManager, eventually: Make
) -> None:
    def refused() -> bool:
        with network.socket() as probe:
            return bool(probe.connect_ex(("127.0.0.1", int(address.rpartition(":")[2]))))

    sockets.ensure_and_bind("in", zmq.PULL, TCP)
    (address,) = sockets.endpoints("in")
    assert not refused()
    sockets.unbind("in", address)
    eventually(refused)  # libzmq closes it in the background


def test_letting_go_of_what_was_never_there_is_an_error(sockets: SocketManager) -> None:
    sockets.create("socket", zmq.PULL)
    with pytest.raises(SocketConnectError, match=r"'socket'.*'inproc://nowhere'"):
        sockets.disconnect("socket", "inproc://nowhere")
    with pytest.raises(SocketBindError, match=r"'socket'.*'inproc://nowhere'"):
        sockets.unbind("socket", "inproc://nowhere")


def test_a_connection_comes_back_with_its_peer(
    sockets: SocketManager, manager: Make, peer: Make
) -> None:
    pull = peer(zmq.PULL)
    address = f"tcp://127.0.0.1:{pull.bind_to_random_port('tcp://127.0.0.1')}"
    sockets.ensure_and_connect("out", zmq.PUSH, address)
    sockets.set_socket_option("out", zmq.IMMEDIATE, 1)
    sockets.send("out", "first")
    assert pull.recv() == b'"first"'
    pull.close()
    with manager() as others:
        others.create("in", zmq.PULL)
        while "in" in others and not others.endpoints("in"):
            with suppress(SocketBindError):  # the closed socket's port takes a moment
                others.bind("in", address)
        got = others.recv_safe("in", timeout=0)
        while got is None:
            sockets.send("out", "second")
            got = others.recv_safe("in", timeout=0.05)
        assert got == "second"


@pytest.mark.parametrize("verb", ["bind", "connect", "disconnect", "unbind", "endpoints"])
def test_endpoints_need_a_socket(sockets: SocketManager, verb: str) -> None:
    with pytest.raises(SocketNotFound, match="'nobody'"):
        getattr(sockets, verb)(*["nobody", "inproc://x"][: 1 if verb == "endpoints" else 2])


def test_nobody_can_be_at_port_0(sockets: SocketManager) -> None:
    sockets.create("out", zmq.PUSH)
    with pytest.raises(SocketConnectError, match="port 0"):
        sockets.connect("out", "tcp://127.0.0.1:0")
